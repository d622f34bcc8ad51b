/* x to a fixed power p. Whole powers are products, halves end in a square root, the rest is
 * exp(p log x), so that a negative x gives NaN for every p that is not whole. Its gradient,
 * p x^(p-1), is a power again; x^0 is 1 for every x. */
#include "ops/family.h"
#include <math.h>

enum { WHOLE_MAX = 64 };        /* larger whole powers go through exp and log of |x| */

#define POW(A, op) A(op, real, exponent, "!", "the power, a number")
ATTRS(pow, POW)

static double exponent_of(const Node *n) { return ((const pow_attrs *)n->attrs)->exponent; }
static bool is_whole(double p) { return floor(p) == p; }

Value g_power(const GBuild *b, Value x, double exponent)
{
  return exponent == 1 ? x : g_op(b, &op_pow, &(pow_attrs){ exponent }, &x, 1);
}

static bool pow_infer(Infer *c, const Node *n, Type *out)
{
  double p = exponent_of(n);
  if (!isfinite(p) || (is_whole(p) && fabs(p) > WHOLE_MAX))
    return infer_error(c, n, "E0304", "`exponent` must be within -%d and %d, not %g", WHOLE_MAX,
                       WHOLE_MAX, p);
  return infer_like_first(c, n, out);
}

static void pow_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  double p = exponent_of(n);
  if (!grad_wanted(g, n, 0) || p == 0)
    return;
  Value d = g_scale(&b, dy[0], p);
  grad_add(g, n, 0, p == 1 ? d : g_mul(&b, d, g_power(&b, n->in[0], p - 1)));
}

static Value pow_simplify(Graph *g, Node *n)
{
  (void)g;
  return exponent_of(n) == 1 ? n->in[0] : (Value){ n, 0 };
}

/* x^k for k >= 1: squares of x, and the product of those that k's bits name. */
static LExpr *product(Scalar *s, LExpr *x, int k)
{
  LExpr *y = NULL;
  for (; k > 0; k >>= 1) {
    if (k & 1)
      y = y ? s_mul(s, y, x) : x;
    if (k > 1)
      x = l_let(s->b, "square", s_mul(s, x, x));
  }
  return y;
}

static LExpr *pow_scalar(Scalar *s, const Node *n, LExpr **x)
{
  double p = exponent_of(n), size = fabs(p), whole = floor(size);
  LExpr *one = s_const(s, 1), *y = NULL;
  if (whole > WHOLE_MAX || (size != whole && size != whole + 0.5))
    return s_exp(s, s_mul(s, s_log(s, x[0]), s_const(s, p)));
  if (whole > 0)
    y = product(s, x[0], (int)whole);
  if (size != whole)
    y = y ? s_mul(s, y, s_sqrt(s, x[0])) : s_sqrt(s, x[0]);
  if (!y)
    return l_splat(s->b, one, s->lanes);
  return p < 0 ? s_div(s, one, y) : y;
}

static double pow_ref(const Node *n, const double *x)
{
  double p = exponent_of(n);
  return !is_whole(p) && x[0] < 0 ? NAN : pow(x[0], p);
}

static double pow_flops(const Node *n) { return 6 * flops_elems(n); }

const OpDef op_pow = {
  .name = "pow", .doc = "x to a fixed power, element by element", .aliases = "power Pow",
  .formula = "$y = $x^exponent", .cls = OP_EWISE, .flags = OP_LAYER, .operands = "x",
  .results = "y", .attrs = pow_attr_defs, .attrs_size = sizeof(pow_attrs), .positional = 1,
  .infer = pow_infer, .grad = pow_grad, .simplify = pow_simplify, .scalar = pow_scalar,
  .ref_scalar = pow_ref, .flops = pow_flops,
  .samples = (const OpSample[]){
    { "exponent=3", "x=f32[n,7]" }, { "exponent=-2", "x=f32[n,2,3,5]" },
    { "exponent=1.5", "x=f32[n,3]" }, { "exponent=-0.5", "x=f32[n,3]" },
    { "exponent=0.3", "x=f32[n,18]" }, { "exponent=0", "x=f32[n,3]" }, { 0 }
  },
};
