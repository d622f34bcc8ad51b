/* Private to the interpreter: values and the evaluation of expressions. */
#ifndef GRADC_LOOP_EVAL_H
#define GRADC_LOOP_EVAL_H

#include "loop/expr.h"

/* A value of up to LANES_MAX lanes, laid out as in memory; bool lanes are bytes. */
typedef union {
  float f32[LANES_MAX];
  double f64[LANES_MAX];
  uint8_t u8[LANES_MAX];
  int32_t i32[LANES_MAX];
  uint32_t u32[LANES_MAX];
  int64_t i64[LANES_MAX];
  bool b[LANES_MAX];
} Val;

typedef struct { char *at; int64_t extent; } Block;     /* extent 0: unknown */
typedef struct { Val *value; bool *assigned; } Reg;

typedef struct {
  const Module *m;
  Arena *arena;
  Val *var;                     /* by variable id */
  Block *block;                 /* by buffer id */
  Reg *reg;                     /* by buffer id */
  const char *where;            /* kernel or function that runs */
  const char *error;            /* first one; NULL: none */
} Eval;

void eval(Eval *v, const LExpr *e, Val *to);
/* The value of a scalar of i64. */
int64_t eval_index(Eval *v, const LExpr *e);
void eval_func(Eval *v, const LFunc *f, Val *to);       /* parameters are set in v->var */
void eval_from_double(Eval *v, double x, int dtype, Val *to);
/* False, with v->error set: lanes elements from index leave the block. */
bool eval_inside(Eval *v, const Buffer *buf, int64_t index, int lanes, const char *verb);
void eval_fail(Eval *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
