/* Private to the reader of the text form: its state and the pieces that its two files share. */
#ifndef GRADC_LOOP_READ_H
#define GRADC_LOOP_READ_H

#include "ir/scan.h"
#include "loop/expr.h"

enum { NEST_MAX = 100 };

typedef struct {
  const char *name;
  LVar *var;
} Local;

typedef struct {
  Scan s;
  Arena *arena;
  Module *m;
  Kernel *kernel;               /* open one */
  Host *host;
  VEC(Local) local;             /* variables in scope, innermost last */
  int nest;
} Read;

/* All return false after an error; its message is in r->s. */
bool read_fail(Read *r, const char *what, const char *name);    /* false; name: quoted, or NULL */
bool read_lanes(Read *r, int *lanes);
/* "[index]" or "[index : lanes]" after the name of a buffer of the open kernel. */
bool read_element(Read *r, const char *name, Buffer **buf, LExpr **index, int *lanes);
bool read_expr(Read *r, int outer, LExpr **out);        /* operators of at least that precedence */
bool read_next_digit(const Read *r);                    /* after blanks were skipped */
Buffer *read_find_buffer(Read *r, const char *name);    /* of the open kernel, else of the module */

#endif
