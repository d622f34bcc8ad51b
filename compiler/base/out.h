/* Text sink of all printers: grows in an arena, knows indentation. */
#ifndef GRADC_BASE_OUT_H
#define GRADC_BASE_OUT_H

#include "base/arena.h"

typedef struct Out Out;

Out *out_new(Arena *a);
void out_printf(Out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void out_bytes(Out *o, const char *s, size_t n);        /* raw, never indented */
void out_begin(Out *o);                                 /* starts a line: writes the indentation */
void out_end(Out *o);                                   /* ends a line */
void out_line(Out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void out_indent(Out *o);                                /* two blanks deeper */
void out_dedent(Out *o);
size_t out_column(const Out *o);                        /* bytes since the last newline */
const char *out_text(const Out *o);                     /* NUL-terminated, valid until the next write */
size_t out_length(const Out *o);

#endif
