/* Smooth activations. elu and selu are differentiated from their result, silu and gelu from their
 * operand. Conventions: elu'(0) is alpha, as in PyTorch; silu and gelu of -inf are NaN, as the
 * products -inf * 0 that they are. gelu is exact, through erf, or with PyTorch's approximation
 * through tanh. */
#include "ops/family.h"
#include <math.h>

static double dear_flops(const Node *n) { return 25 * flops_elems(n); }
static double cheap_flops(const Node *n) { return 3 * flops_elems(n); }

/* dx = gradient(dy, kept) */
static void give(Grad *g, const Node *n, const Value *dy, const OpDef *gradient, Value kept)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_op(&b, gradient, n->attrs, (Value[]){ dy[0], kept }, 2));
}

static Value result(const Node *n) { return (Value){ (Node *)(uintptr_t)n, 0 }; }

/* ---- elu and selu: x > 0 ? scale * x : scale * alpha * (e^x - 1) ---- */
static LExpr *exponential_unit(Scalar *s, LExpr *x, double alpha, double scale)
{
  LExpr *below = s_mul(s, s_expm1(s, x), s_const(s, scale * alpha));
  LExpr *above = scale == 1 ? x : s_mul(s, x, s_const(s, scale));
  return s_select(s, s_lt(s, s_const(s, 0), x), above, below);
}

static LExpr *exponential_unit_dx(Scalar *s, LExpr **x, double alpha, double scale)
{
  LExpr *below = s_mul(s, x[0], s_add(s, x[1], s_const(s, scale * alpha)));
  LExpr *above = scale == 1 ? x[0] : s_mul(s, x[0], s_const(s, scale));
  return s_select(s, s_lt(s, s_const(s, 0), x[1]), above, below);
}

static double exponential_unit_ref(double x, double alpha, double scale)
{
  return x > 0 ? scale * x : scale * alpha * expm1(x);
}

static double exponential_unit_dx_ref(const double *x, double alpha, double scale)
{
  return x[1] > 0 ? x[0] * scale : x[0] * (x[1] + scale * alpha);
}

#define ELU(A, op) A(op, real, alpha, "1", "the limit far below 0 is -alpha")
ATTRS(elu, ELU)

static double elu_alpha(const Node *n) { return ((const elu_attrs *)n->attrs)->alpha; }

static bool elu_infer(Infer *c, const Node *n, Type *out)
{
  if (!(elu_alpha(n) >= 0))
    return infer_error(c, n, "E0304", "`alpha` must be at least 0, not %g", elu_alpha(n));
  return infer_like_first(c, n, out);
}

static void elu_grad(Grad *g, const Node *n, const Value *dy)
{
  give(g, n, dy, &op_elu_dx, result(n));
}
static LExpr *elu_scalar(Scalar *s, const Node *n, LExpr **x)
{
  return exponential_unit(s, x[0], elu_alpha(n), 1);
}
static double elu_ref(const Node *n, const double *x)
{
  return exponential_unit_ref(x[0], elu_alpha(n), 1);
}

const OpDef op_elu = {
  .name = "elu", .doc = "x above 0, alpha * (exp(x) - 1) below", .aliases = "ELU",
  .formula = "$y = $x > 0 ? $x : alpha * (exp($x) - 1)", .cls = OP_EWISE,
  .flags = OP_LAYER | OP_ZERO, .operands = "x", .results = "y", .attrs = elu_attr_defs,
  .attrs_size = sizeof(elu_attrs), .positional = 1, .infer = elu_infer, .grad = elu_grad,
  .scalar = elu_scalar, .ref_scalar = elu_ref, .flops = dear_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,7]" }, { "alpha=0.5", "x=f32[n,2,3,5]" }, { 0 } },
};

static LExpr *elu_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  return exponential_unit_dx(s, x, elu_alpha(n), 1);
}
static double elu_dx_ref(const Node *n, const double *x)
{
  return exponential_unit_dx_ref(x, elu_alpha(n), 1);
}

const OpDef op_elu_dx = {
  .name = "elu_dx", .doc = "gradient of elu from its result",
  .formula = "$dx = $y > 0 ? $dy : $dy * ($y + alpha)", .cls = OP_EWISE, .flags = OP_ZERO,
  .operands = "dy y", .results = "dx", .attrs = elu_attr_defs, .attrs_size = sizeof(elu_attrs),
  .infer = infer_like_first, .scalar = elu_dx_scalar, .ref_scalar = elu_dx_ref,
  .flops = cheap_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,7], y=f32[n,7]" }, { "alpha=0.5", "dy=f32[n,2,3,5], y=f32[n,2,3,5]" }, { 0 }
  },
};

/* Klambauer, Unterthiner, Mayr, Hochreiter: Self-normalizing neural networks; 2017. */
static const double selu_alpha = 1.6732632423543772848170429916717;
static const double selu_scale = 1.0507009873554804934193349852946;

static void selu_grad(Grad *g, const Node *n, const Value *dy)
{
  give(g, n, dy, &op_selu_dx, result(n));
}
static LExpr *selu_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return exponential_unit(s, x[0], selu_alpha, selu_scale);
}
static double selu_ref(const Node *n, const double *x)
{
  (void)n;
  return exponential_unit_ref(x[0], selu_alpha, selu_scale);
}

const OpDef op_selu = {
  .name = "selu", .doc = "elu scaled so that activations keep mean 0 and variance 1",
  .aliases = "SELU", .formula = "$y = 1.0507 * ($x > 0 ? $x : 1.6733 * (exp($x) - 1))",
  .cls = OP_EWISE, .flags = OP_LAYER | OP_ZERO, .operands = "x", .results = "y",
  .infer = infer_like_first, .grad = selu_grad, .scalar = selu_scalar, .ref_scalar = selu_ref,
  .flops = dear_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,7]" }, { "", "x=f32[n,2,3,5]" }, { 0 } },
};

static LExpr *selu_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return exponential_unit_dx(s, x, selu_alpha, selu_scale);
}
static double selu_dx_ref(const Node *n, const double *x)
{
  (void)n;
  return exponential_unit_dx_ref(x, selu_alpha, selu_scale);
}

const OpDef op_selu_dx = {
  .name = "selu_dx", .doc = "gradient of selu from its result",
  .formula = "$dx = $y > 0 ? 1.0507 * $dy : $dy * ($y + 1.7581)", .cls = OP_EWISE,
  .flags = OP_ZERO, .operands = "dy y", .results = "dx", .infer = infer_like_first,
  .scalar = selu_dx_scalar, .ref_scalar = selu_dx_ref, .flops = cheap_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,7], y=f32[n,7]" }, { "", "dy=f32[n,2,3,5], y=f32[n,2,3,5]" }, { 0 }
  },
};

/* ---- silu ---- */
static double logistic(double x)
{
  double e = exp(-fabs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

static void silu_grad(Grad *g, const Node *n, const Value *dy)
{
  give(g, n, dy, &op_silu_dx, n->in[0]);
}
static LExpr *silu_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_mul(s, x[0], s_sigmoid(s, x[0]));
}
static double silu_ref(const Node *n, const double *x) { (void)n; return x[0] * logistic(x[0]); }

const OpDef op_silu = {
  .name = "silu", .doc = "x * sigmoid(x)", .aliases = "SiLU swish Swish",
  .formula = "$y = $x / (1 + exp(-$x))", .cls = OP_EWISE, .flags = OP_LAYER | OP_ZERO,
  .operands = "x", .results = "y", .infer = infer_like_first, .grad = silu_grad,
  .scalar = silu_scalar, .ref_scalar = silu_ref, .flops = dear_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,7]" }, { "", "x=f32[n,2,3,5]" }, { 0 } },
};

static LExpr *silu_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  LExpr *p = l_let(s->b, "p", s_sigmoid(s, x[1]));
  LExpr *slope = s_fma(s, s_mul(s, x[1], p), s_sub(s, s_const(s, 1), p), p);
  return s_mul(s, x[0], slope);
}
static double silu_dx_ref(const Node *n, const double *x)
{
  double p = logistic(x[1]);
  (void)n;
  return x[0] * (p + x[1] * p * (1 - p));
}

const OpDef op_silu_dx = {
  .name = "silu_dx", .doc = "gradient of silu",
  .formula = "$dx = $dy * (p + $x * p * (1 - p)), p = 1 / (1 + exp(-$x))", .cls = OP_EWISE,
  .flags = OP_ZERO, .operands = "dy x", .results = "dx", .infer = infer_like_first,
  .scalar = silu_dx_scalar, .ref_scalar = silu_dx_ref, .flops = dear_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,7], x=f32[n,7]" }, { "", "dy=f32[n,2,3,5], x=f32[n,2,3,5]" }, { 0 }
  },
};

/* ---- gelu ---- */
#define GELU(A, op) \
  A(op, name, form, "erf", "how the normal distribution is computed, one of: erf tanh")
ATTRS(gelu, GELU)

static const double root_half = 0.70710678118654752440;         /* sqrt(1/2) */
static const double density = 0.39894228040143267794;           /* 1 / sqrt(2 pi) */
static const double tanh_factor = 0.79788456080286535588;       /* sqrt(2 / pi) */
static const double tanh_cubic = 0.044715;

static bool is_exact(const Node *n)
{
  return str_eq(((const gelu_attrs *)n->attrs)->form, "erf");
}

static void gelu_grad(Grad *g, const Node *n, const Value *dy)
{
  give(g, n, dy, &op_gelu_dx, n->in[0]);
}

/* Twice the share of the normal distribution below x. */
static LExpr *twice_below(Scalar *s, const Node *n, LExpr *x)
{
  LExpr *one = s_const(s, 1);
  if (is_exact(n))
    return s_add(s, one, s_erf(s, s_mul(s, x, s_const(s, root_half))));
  LExpr *inner = s_fma(s, s_mul(s, x, x), s_const(s, tanh_factor * tanh_cubic),
                       s_const(s, tanh_factor));
  return s_add(s, one, s_tanh(s, s_mul(s, x, inner)));
}

static double twice_below_ref(const Node *n, double x)
{
  if (is_exact(n))
    return 1 + erf(x * root_half);
  return 1 + tanh(x * (tanh_factor + tanh_factor * tanh_cubic * x * x));
}

static LExpr *gelu_scalar(Scalar *s, const Node *n, LExpr **x)
{
  return s_mul(s, s_mul(s, x[0], s_const(s, 0.5)), twice_below(s, n, x[0]));
}
static double gelu_ref(const Node *n, const double *x)
{
  return x[0] * 0.5 * twice_below_ref(n, x[0]);
}

const OpDef op_gelu = {
  .name = "gelu", .doc = "x times the share of the normal distribution below x", .aliases = "GELU",
  .formula = "$y = $x / 2 * (1 + erf($x / sqrt(2)))", .cls = OP_EWISE, .flags = OP_LAYER | OP_ZERO,
  .operands = "x", .results = "y", .attrs = gelu_attr_defs, .attrs_size = sizeof(gelu_attrs),
  .positional = 0, .infer = infer_like_first, .grad = gelu_grad, .scalar = gelu_scalar,
  .ref_scalar = gelu_ref, .flops = dear_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,7]" }, { "form=tanh", "x=f32[n,2,3,5]" }, { 0 }
  },
};

/* The derivative of the share below x, times x: exactly x e^(-x^2 / 2) / sqrt(2 pi). */
static LExpr *weighted_density(Scalar *s, const Node *n, LExpr *x, LExpr *twice)
{
  if (is_exact(n)) {
    LExpr *e = s_exp(s, s_mul(s, s_mul(s, x, s_const(s, -0.5)), x));
    return s_mul(s, s_mul(s, x, s_const(s, density)), e);
  }
  LExpr *slope = s_fma(s, s_mul(s, x, x), s_const(s, 3 * tanh_factor * tanh_cubic),
                       s_const(s, tanh_factor));
  LExpr *square = s_mul(s, twice, s_sub(s, s_const(s, 2), twice));      /* 1 - tanh^2 */
  return s_mul(s, s_mul(s, s_mul(s, x, s_const(s, 0.5)), square), slope);
}

static LExpr *gelu_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  LExpr *twice = l_let(s->b, "twice", twice_below(s, n, x[1]));
  LExpr *slope = s_fma(s, twice, s_const(s, 0.5), weighted_density(s, n, x[1], twice));
  return s_mul(s, x[0], slope);
}

static double gelu_dx_ref(const Node *n, const double *dy_x)
{
  double x = dy_x[1], twice = twice_below_ref(n, x);
  double weighted = is_exact(n) ? x * density * exp(-0.5 * x * x)
                                : x * 0.5 * twice * (2 - twice) *
                                      (tanh_factor + 3 * tanh_factor * tanh_cubic * x * x);
  return dy_x[0] * (0.5 * twice + weighted);
}

const OpDef op_gelu_dx = {
  .name = "gelu_dx", .doc = "gradient of gelu",
  .formula = "$dx = $dy * (P($x) + $x * exp(-$x^2/2) / sqrt(2 pi)), P = (1 + erf($x/sqrt(2))) / 2",
  .cls = OP_EWISE, .flags = OP_ZERO, .operands = "dy x", .results = "dx", .attrs = gelu_attr_defs,
  .attrs_size = sizeof(gelu_attrs), .infer = infer_like_first, .scalar = gelu_dx_scalar,
  .ref_scalar = gelu_dx_ref, .flops = dear_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,7], x=f32[n,7]" }, { "form=tanh", "dy=f32[n,2,3,5], x=f32[n,2,3,5]" },
    { 0 }
  },
};
