/* Activations and their gradients, each gradient from what is cheapest to keep: the result where it
 * decides, else the operand. Conventions: relu'(0) = 0, leaky_relu'(0) = slope; NaN goes through
 * relu, as 0 > NaN is false. softplus is log1p(exp(-|x|)) + max(x, 0): exact on both sides, without
 * PyTorch's cut at 20. */
#include "ops/family.h"
#include <math.h>

static Value result(const Node *n) { return (Value){ (Node *)(uintptr_t)n, 0 }; }

/* dx = gradient(dy, kept) */
static void give(Grad *g, const Node *n, const Value *dy, const OpDef *gradient, Value kept)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_op(&b, gradient, n->attrs, (Value[]){ dy[0], kept }, 2));
}

static double dear_flops(const Node *n) { return 20 * flops_elems(n); }
static double cheap_flops(const Node *n) { return 3 * flops_elems(n); }

/* ---- relu ---- */
static void relu_grad(Grad *g, const Node *n, const Value *dy)
{
  give(g, n, dy, &op_relu_dx, result(n));
}

static Value relu_simplify(Graph *g, Node *n)
{
  (void)g;
  return n->in[0].node->op == &op_relu ? n->in[0] : (Value){ n, 0 };
}

static LExpr *relu_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_max(s, x[0], s_const(s, 0));
}
static double relu_ref(const Node *n, const double *x) { (void)n; return 0 > x[0] ? 0 : x[0]; }

const OpDef op_relu = {
  .name = "relu", .doc = "max(x, 0); gradient 0 at 0", .aliases = "ReLU",
  .formula = "$y = max($x, 0)", .cls = OP_EWISE,
  .flags = OP_LAYER | OP_ZERO | OP_CLAMPS, .operands = "x",
  .results = "y", .infer = infer_like_first, .grad = relu_grad, .simplify = relu_simplify,
  .scalar = relu_scalar, .ref_scalar = relu_ref, .flops = flops_elems,
  .samples = (const OpSample[]){ { "", "x=f32[n,7]" }, { "", "x=f32[n,2,3,5]" }, { 0 } },
};

static LExpr *relu_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_select(s, s_le(s, x[1], s_const(s, 0)), s_const(s, 0), x[0]);
}

static double relu_dx_ref(const Node *n, const double *x) { (void)n; return x[1] <= 0 ? 0 : x[0]; }

const OpDef op_relu_dx = {
  .name = "relu_dx", .doc = "gradient of relu from its result", .formula = "$dx = $y > 0 ? $dy : 0",
  .cls = OP_EWISE, .flags = OP_ZERO, .operands = "dy y", .results = "dx", .infer = infer_like_first,
  .scalar = relu_dx_scalar, .ref_scalar = relu_dx_ref, .flops = flops_elems,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,7], y=f32[n,7]" }, { "", "dy=f32[n,2,3,5], y=f32[n,2,3,5]" }, { 0 }
  },
};

/* ---- leaky_relu ---- */
#define LEAKY(A, op) A(op, real, slope, "0.01", "factor for x <= 0")
ATTRS(leaky_relu, LEAKY)

static void leaky_relu_grad(Grad *g, const Node *n, const Value *dy)
{
  give(g, n, dy, &op_leaky_relu_dx, n->in[0]);
}

static LExpr *leaky_relu_scalar(Scalar *s, const Node *n, LExpr **x)
{
  const leaky_relu_attrs *a = n->attrs;
  return s_select(s, s_lt(s, s_const(s, 0), x[0]), x[0], s_mul(s, x[0], s_const(s, a->slope)));
}

static double leaky_relu_ref(const Node *n, const double *x)
{
  const leaky_relu_attrs *a = n->attrs;
  return x[0] > 0 ? x[0] : a->slope * x[0];
}

const OpDef op_leaky_relu = {
  .name = "leaky_relu", .doc = "x above 0, slope * x below", .aliases = "LeakyReLU lrelu",
  .formula = "$y = $x > 0 ? $x : slope * $x", .cls = OP_EWISE, .flags = OP_LAYER | OP_ZERO,
  .operands = "x", .results = "y", .attrs = leaky_relu_attr_defs,
  .attrs_size = sizeof(leaky_relu_attrs), .positional = 1, .infer = infer_like_first,
  .grad = leaky_relu_grad, .scalar = leaky_relu_scalar, .ref_scalar = leaky_relu_ref,
  .flops = cheap_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,7]" }, { "slope=0.2", "x=f32[n,2,3,5]" }, { 0 } },
};

static LExpr *leaky_relu_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  const leaky_relu_attrs *a = n->attrs;
  return s_select(s, s_lt(s, s_const(s, 0), x[1]), x[0], s_mul(s, x[0], s_const(s, a->slope)));
}

static double leaky_relu_dx_ref(const Node *n, const double *x)
{
  const leaky_relu_attrs *a = n->attrs;
  return x[1] > 0 ? x[0] : a->slope * x[0];
}

const OpDef op_leaky_relu_dx = {
  .name = "leaky_relu_dx", .doc = "gradient of leaky_relu",
  .formula = "$dx = $x > 0 ? $dy : slope * $dy", .cls = OP_EWISE, .flags = OP_ZERO,
  .operands = "dy x", .results = "dx", .attrs = leaky_relu_attr_defs,
  .attrs_size = sizeof(leaky_relu_attrs), .infer = infer_like_first, .scalar = leaky_relu_dx_scalar,
  .ref_scalar = leaky_relu_dx_ref, .flops = cheap_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,7], x=f32[n,7]" }, { "slope=0.2", "dy=f32[n,2,3,5], x=f32[n,2,3,5]" }, { 0 }
  },
};

/* ---- tanh ---- */
static void tanh_grad(Grad *g, const Node *n, const Value *dy)
{
  give(g, n, dy, &op_tanh_dx, result(n));
}
static LExpr *tanh_scalar(Scalar *s, const Node *n, LExpr **x) { (void)n; return s_tanh(s, x[0]); }
static double tanh_ref(const Node *n, const double *x) { (void)n; return tanh(x[0]); }

const OpDef op_tanh = {
  .name = "tanh", .doc = "hyperbolic tangent", .aliases = "Tanh", .formula = "$y = tanh($x)",
  .cls = OP_EWISE, .flags = OP_LAYER | OP_ZERO, .operands = "x", .results = "y",
  .infer = infer_like_first, .grad = tanh_grad, .scalar = tanh_scalar, .ref_scalar = tanh_ref,
  .flops = dear_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,7]" }, { "", "x=f32[n,2,3,5]" }, { 0 } },
};

static LExpr *tanh_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_mul(s, x[0], s_fma(s, s_neg(s, x[1]), x[1], s_const(s, 1)));
}

static double tanh_dx_ref(const Node *n, const double *x)
{
  (void)n;
  return x[0] * (1 - x[1] * x[1]);
}

const OpDef op_tanh_dx = {
  .name = "tanh_dx", .doc = "gradient of tanh from its result", .formula = "$dx = $dy * (1 - $y^2)",
  .cls = OP_EWISE, .flags = OP_ZERO, .operands = "dy y", .results = "dx", .infer = infer_like_first,
  .scalar = tanh_dx_scalar, .ref_scalar = tanh_dx_ref, .flops = cheap_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,7], y=f32[n,7]" }, { "", "dy=f32[n,2,3,5], y=f32[n,2,3,5]" }, { 0 }
  },
};

/* ---- sigmoid ---- */
static void sigmoid_grad(Grad *g, const Node *n, const Value *dy)
{
  give(g, n, dy, &op_sigmoid_dx, result(n));
}
static LExpr *sigmoid_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_sigmoid(s, x[0]);
}

/* 1 / (1 + exp(-x)) without overflow on either side. */
static double logistic(double x)
{
  double e = exp(-fabs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

static double sigmoid_ref(const Node *n, const double *x) { (void)n; return logistic(x[0]); }

const OpDef op_sigmoid = {
  .name = "sigmoid", .doc = "logistic function, 1 / (1 + exp(-x))", .aliases = "Sigmoid logistic",
  .formula = "$y = 1 / (1 + exp(-$x))", .cls = OP_EWISE, .flags = OP_LAYER, .operands = "x",
  .results = "y", .infer = infer_like_first, .grad = sigmoid_grad, .scalar = sigmoid_scalar,
  .ref_scalar = sigmoid_ref, .flops = dear_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,7]" }, { "", "x=f32[n,2,3,5]" }, { 0 } },
};

static LExpr *sigmoid_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_mul(s, x[0], s_mul(s, x[1], s_sub(s, s_const(s, 1), x[1])));
}

static double sigmoid_dx_ref(const Node *n, const double *x)
{
  (void)n;
  return x[0] * x[1] * (1 - x[1]);
}

const OpDef op_sigmoid_dx = {
  .name = "sigmoid_dx", .doc = "gradient of sigmoid from its result",
  .formula = "$dx = $dy * $y * (1 - $y)", .cls = OP_EWISE, .flags = OP_ZERO, .operands = "dy y",
  .results = "dx", .infer = infer_like_first, .scalar = sigmoid_dx_scalar,
  .ref_scalar = sigmoid_dx_ref, .flops = cheap_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,7], y=f32[n,7]" }, { "", "dy=f32[n,2,3,5], y=f32[n,2,3,5]" }, { 0 }
  },
};

/* ---- softplus ---- */
static void softplus_grad(Grad *g, const Node *n, const Value *dy)
{
  give(g, n, dy, &op_softplus_dx, n->in[0]);
}
static LExpr *softplus_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_softplus(s, x[0]);
}

static double softplus_ref(const Node *n, const double *x)
{
  (void)n;
  return log1p(exp(-fabs(x[0]))) + (x[0] > 0 ? x[0] : 0);
}

const OpDef op_softplus = {
  .name = "softplus", .doc = "log(1 + exp(x)), a smooth relu", .aliases = "Softplus",
  .formula = "$y = log(1 + exp($x))", .cls = OP_EWISE, .flags = OP_LAYER, .operands = "x",
  .results = "y", .infer = infer_like_first, .grad = softplus_grad, .scalar = softplus_scalar,
  .ref_scalar = softplus_ref, .flops = dear_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,7]" }, { "", "x=f32[n,2,3,5]" }, { 0 } },
};

static LExpr *softplus_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_mul(s, x[0], s_sigmoid(s, x[1]));
}

static double softplus_dx_ref(const Node *n, const double *x)
{
  (void)n;
  return x[0] * logistic(x[1]);
}

const OpDef op_softplus_dx = {
  .name = "softplus_dx", .doc = "gradient of softplus", .formula = "$dx = $dy / (1 + exp(-$x))",
  .cls = OP_EWISE, .flags = OP_ZERO, .operands = "dy x", .results = "dx", .infer = infer_like_first,
  .scalar = softplus_dx_scalar, .ref_scalar = softplus_dx_ref, .flops = dear_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,7], x=f32[n,7]" }, { "", "dy=f32[n,2,3,5], x=f32[n,2,3,5]" }, { 0 }
  },
};
