/* Tokens of the graph's text form. Blanks, newlines and comments from # to the end of the line
 * separate them. The first error is kept; functions return false from then on. For the readers of
 * ir and loop. */
#ifndef GRADC_IR_SCAN_H
#define GRADC_IR_SCAN_H

#include "ir/type.h"

typedef struct {
  Arena *arena;
  const char *text;
  size_t n, at;                 /* bytes; the next one */
  const char *error;            /* NULL: none so far */
  size_t error_at;
} Scan;

bool scan_fail(Scan *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));      /* returns false */
bool scan_end(Scan *s);                         /* nothing but blanks is left */
bool scan_next_is(Scan *s, const char *token);  /* a word or punctuation, not taken */
bool scan_take(Scan *s, const char *token);     /* takes it if it is next */
bool scan_need(Scan *s, const char *token);     /* an error if it is not next */
bool scan_word(Scan *s, const char **out);      /* [A-Za-z_][A-Za-z0-9_]* */
bool scan_int(Scan *s, int64_t *out);           /* decimal, may be negative */
bool scan_real(Scan *s, double *out);           /* also inf, -inf and nan */
bool scan_string(Scan *s, const char **out);    /* "..." escaped as str_escape does */
bool scan_type(Scan *s, Type *out);             /* checks that its elements can be counted */

#endif
