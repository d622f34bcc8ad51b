/* What the scalar hook of an elementwise operation works with: one result element, or some in lanes.
 *
 * The hook gets its operands' elements, each a vector of `lanes` or a scalar that is the same in
 * every lane, and returns the result's; mixing both is fine, s_* helpers splat. It may ask for step
 * arguments and for where the element lies, which only random numbers need. */
#ifndef GRADC_LOOP_SCALAR_H
#define GRADC_LOOP_SCALAR_H

#include "ir/graph.h"
#include "loop/build.h"

typedef struct Scalar Scalar;

/* Which random word belongs to an element: words come in blocks of four, of which neighbours in the
 * sample's row-major order take one each. */
typedef struct {
  LExpr *block;                 /* u32: the element's number in its sample / 4; or NULL */
  LExpr *word;                  /* number % 4: i64 when equal in every lane, else real lanes */
  /* NULL, or where the hook keeps the four words it draws: if there are some already, a neighbour
   * drew them and there is no block. */
  LExpr **drawn;
} RandomPlace;

struct Scalar {
  Build *b;
  int lanes;
  LExpr *(*arg)(Scalar *, StepArg);             /* step argument as a real scalar */
  LExpr *(*arg_u32)(Scalar *, StepArg);         /* the same as an exact u32 scalar: seeds, epoch */
  RandomPlace (*random)(Scalar *, const Node *);        /* of the node's element */
  /* u32 row number of the sample; a vector when lanes are samples. */
  LExpr *(*sample_id)(Scalar *);
  const DType real;                             /* DT_F32 or DT_F64 */
};

static inline LExpr *s_const(Scalar *s, double r) { return l_real(s->b, r); }
static inline LExpr *s_add(Scalar *s, LExpr *x, LExpr *y) { return l_op(s->b, SC_add, x, y, NULL); }
static inline LExpr *s_sub(Scalar *s, LExpr *x, LExpr *y) { return l_op(s->b, SC_sub, x, y, NULL); }
static inline LExpr *s_mul(Scalar *s, LExpr *x, LExpr *y) { return l_op(s->b, SC_mul, x, y, NULL); }
static inline LExpr *s_div(Scalar *s, LExpr *x, LExpr *y) { return l_op(s->b, SC_div, x, y, NULL); }
static inline LExpr *s_neg(Scalar *s, LExpr *x) { return l_op(s->b, SC_neg, x, NULL, NULL); }
/* x * y + z, rounded once */
static inline LExpr *s_fma(Scalar *s, LExpr *x, LExpr *y, LExpr *z)
{
  return l_op(s->b, SC_fma, x, y, z);
}
/* x < y ? x : y, so a NaN in y stays; x < y ? y : x, so a NaN in x stays. */
static inline LExpr *s_min(Scalar *s, LExpr *x, LExpr *y) { return l_op(s->b, SC_min, x, y, NULL); }
static inline LExpr *s_max(Scalar *s, LExpr *x, LExpr *y) { return l_op(s->b, SC_max, x, y, NULL); }
static inline LExpr *s_sqrt(Scalar *s, LExpr *x) { return l_op(s->b, SC_sqrt, x, NULL, NULL); }
static inline LExpr *s_abs(Scalar *s, LExpr *x) { return l_op(s->b, SC_abs, x, NULL, NULL); }
static inline LExpr *s_lt(Scalar *s, LExpr *x, LExpr *y) { return l_op(s->b, SC_lt, x, y, NULL); }
static inline LExpr *s_le(Scalar *s, LExpr *x, LExpr *y) { return l_op(s->b, SC_le, x, y, NULL); }
static inline LExpr *s_eq(Scalar *s, LExpr *x, LExpr *y) { return l_op(s->b, SC_eq, x, y, NULL); }
/* c ? x : y, lane by lane; both are evaluated */
static inline LExpr *s_select(Scalar *s, LExpr *c, LExpr *x, LExpr *y)
{
  return l_op(s->b, SC_select, c, x, y);
}

/* A math function of one argument by its name in loop/math.c: "exp", "log", "tanh" .. */
static inline LExpr *s_call(Scalar *s, const char *fn, LExpr *x)
{
  return l_call(s->b, l_math(s->b, fn, x->lanes), &x, 1);
}
static inline LExpr *s_exp(Scalar *s, LExpr *x) { return s_call(s, "exp", x); }
static inline LExpr *s_log(Scalar *s, LExpr *x) { return s_call(s, "log", x); }
static inline LExpr *s_tanh(Scalar *s, LExpr *x) { return s_call(s, "tanh", x); }
static inline LExpr *s_expm1(Scalar *s, LExpr *x) { return s_call(s, "expm1", x); }
static inline LExpr *s_erf(Scalar *s, LExpr *x) { return s_call(s, "erf", x); }
static inline LExpr *s_sigmoid(Scalar *s, LExpr *x) { return s_call(s, "sigmoid", x); }
static inline LExpr *s_softplus(Scalar *s, LExpr *x) { return s_call(s, "softplus", x); }

#endif
