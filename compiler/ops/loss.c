/* Losses between a prediction x and a target y of equal shape: one value per sample, the mean over
 * the sample's D elements, so that the mean over the batch is PyTorch's mean over all elements.
 * Their gradients are elementwise. A prediction of one element may meet a target that is a plain
 * number; bce_logits also takes an integer target then (0 or 1). At |x - y| = 0 the gradient of l1
 * is 0. */
#include "kernel/rowwise.h"
#include "ops/family.h"
#include <math.h>

static bool loss_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_prediction(c, n, 0, n->op == &op_bce_logits))
    return false;
  *out = type_scalar(c->in[0].dtype, true);
  return true;
}

static bool loss_dx_infer(Infer *c, const Node *n, Type *out)
{
  return want_real(c, n, 0) && want_prediction(c, n, 1, false) && infer_same_as(c, n, 1, out);
}

/* The reference of all of them: the mean of each(n, {x, y}). */
static void mean_ref(const Node *n, RefTensor *const *in, RefTensor *const *out,
                     double (*each)(const Node *, double x, double y))
{
  int64_t k = in[0]->elems;
  for (int64_t s = 0; s < in[0]->n; s++) {
    double sum = 0;
    for (int64_t i = 0; i < k; i++)
      sum += each(n, in[0]->v[s * k + i], in[1]->v[s * k + i]);
    out[0]->v[s] = sum / (double)k;
  }
}

/* dx = gradient(dy, x, y); towards y it is the opposite when the loss depends on x - y alone. */
static void difference_grad(Grad *g, const Node *n, const Value *dy, const OpDef *gradient)
{
  GBuild b = g_in_grad(g);
  if (!grad_wanted(g, n, 0) && !grad_wanted(g, n, 1))
    return;
  Value dx = g_op(&b, gradient, n->attrs, (Value[]){ dy[0], n->in[0], n->in[1] }, 3);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, dx);
  if (grad_wanted(g, n, 1))
    grad_add(g, n, 1, g_reshape(&b, g_neg(&b, dx), value_type(n->in[1])));
}

/* 1/D of a gradient node (operands dy x y). */
static double share(const Node *n) { return 1 / (double)value_elems(n->in[1]); }
static LExpr *s_share(Scalar *s, const Node *n, LExpr *dy, double k)
{
  return s_mul(s, dy, s_const(s, k * share(n)));
}

static double cheap_flops(const Node *n) { return 3 * (double)value_elems(n->in[0]); }
static double dear_flops(const Node *n) { return 45 * (double)value_elems(n->in[0]); }
static double dx_flops(const Node *n) { return 3 * flops_elems(n); }
static double dear_dx_flops(const Node *n) { return 23 * flops_elems(n); }

/* ---- bce_logits ---- */
static void bce_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value x = n->in[0], y = n->in[1];
  bool real = dtype_is_real(value_type(y)->dtype);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_op(&b, &op_bce_logits_dx, NULL,
                           (Value[]){ dy[0], x, g_cast(&b, y, value_type(x)->dtype) }, 3));
  if (real && grad_wanted(g, n, 1)) {
    Value d = g_mul(&b, g_scale(&b, x, -1 / (double)value_elems(x)), dy[0]);
    grad_add(g, n, 1, g_reshape(&b, d, value_type(y)));
  }
}

static double bce_each(const Node *n, double x, double y)
{
  (void)n;
  return (x > 0 ? x : 0) - x * y + log1p(exp(-fabs(x)));
}

static void bce_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  (void)c;
  mean_ref(n, in, out, bce_each);
}

/* max(x, 0) - x * y + log1p(exp(-|x|)) */
static LExpr *bce_term(Lower *l, const Node *n, LExpr *x, LExpr *y)
{
  Build *b = l->b;
  LExpr *size = l_op(b, SC_abs, x, NULL, NULL);
  LExpr *e =
      l_call(b, l_math(b, "exp", x->lanes), &(LExpr *){ l_op(b, SC_neg, size, NULL, NULL) }, 1);
  LExpr *tail = l_call(b, l_math(b, "log1p", x->lanes), &e, 1);
  (void)n;
  return l_add(b, l_sub(b, l_max(b, x, l_real(b, 0)), l_mul(b, x, y)), tail);
}

static void bce_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  row_mean(l, n, n->in[0], n->in[1], bce_term);
}

const OpDef op_bce_logits = {
  .name = "bce_logits", .link = "sigmoid",
  .doc = "binary cross-entropy of sigmoid(x) with targets between 0 and 1, from the logits",
  .aliases = "BCEWithLogitsLoss binary_cross_entropy_with_logits BinaryCrossentropy "
             "binary_crossentropy bce BCELoss",
  .formula = "$l = mean_i(max($x[i], 0) - $x[i] * $y[i] + log(1 + exp(-|$x[i]|)))", .cls = OP_NEST,
  .flags = OP_LOSS, .operands = "x y", .results = "l", .infer = loss_infer, .grad = bce_grad,
  .ref = bce_ref, .flops = dear_flops, .plans = row_plans, .lower = bce_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,1], y=u8[n]" }, { "", "x=f32[n], y=f32[n]" },
    { 0 }
  },
};

static LExpr *bce_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  return s_mul(s, s_share(s, n, x[0], 1), s_sub(s, s_sigmoid(s, x[1]), x[2]));
}

static double bce_dx_ref(const Node *n, const double *x)
{
  double e = exp(-fabs(x[1])), p = x[1] < 0 ? e / (1 + e) : 1 / (1 + e);
  return x[0] * share(n) * (p - x[2]);
}

const OpDef op_bce_logits_dx = {
  .name = "bce_logits_dx", .doc = "gradient of bce_logits towards the logits",
  .formula = "$dx = $dy / D * (1 / (1 + exp(-$x)) - $y)", .cls = OP_EWISE, .operands = "dy x y",
  .results = "dx", .infer = loss_dx_infer, .scalar = bce_dx_scalar, .ref_scalar = bce_dx_ref,
  .flops = dear_dx_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n], x=f32[n,3], y=f32[n,3]" }, { "", "dy=f32[n], x=f32[n,1], y=f32[n]" }, { 0 }
  },
};

/* ---- mse ---- */
static void mse_grad(Grad *g, const Node *n, const Value *dy)
{
  difference_grad(g, n, dy, &op_mse_dx);
}
static double mse_each(const Node *n, double x, double y) { (void)n; return (x - y) * (x - y); }

static void mse_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  (void)c;
  mean_ref(n, in, out, mse_each);
}

static LExpr *mse_term(Lower *l, const Node *n, LExpr *x, LExpr *y)
{
  LExpr *d = l_let(l->b, "d", l_sub(l->b, x, y));
  (void)n;
  return l_mul(l->b, d, d);
}

static void mse_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  row_mean(l, n, n->in[0], n->in[1], mse_term);
}

const OpDef op_mse = {
  .name = "mse", .doc = "mean of the squared differences, without a factor 1/2",
  .aliases = "MSELoss mse_loss mean_squared_error MeanSquaredError l2",
  .formula = "$l = mean_i(($x[i] - $y[i])^2)", .cls = OP_NEST, .flags = OP_LOSS, .operands = "x y",
  .results = "l", .infer = loss_infer, .grad = mse_grad, .ref = mse_ref, .flops = cheap_flops,
  .plans = row_plans, .lower = mse_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,1], y=f32[n]" },
    { "", "x=f32[n,2,2,3], y=f32[n,2,2,3]" }, { 0 }
  },
};

static LExpr *mse_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  return s_mul(s, s_share(s, n, x[0], 2), s_sub(s, x[1], x[2]));
}

static double mse_dx_ref(const Node *n, const double *x)
{
  return x[0] * 2 * share(n) * (x[1] - x[2]);
}

const OpDef op_mse_dx = {
  .name = "mse_dx", .doc = "gradient of mse towards the prediction",
  .formula = "$dx = $dy * 2/D * ($x - $y)", .cls = OP_EWISE, .flags = OP_ZERO, .operands = "dy x y",
  .results = "dx", .infer = loss_dx_infer, .scalar = mse_dx_scalar, .ref_scalar = mse_dx_ref,
  .flops = dx_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n], x=f32[n,3], y=f32[n,3]" }, { "", "dy=f32[n], x=f32[n,1], y=f32[n]" }, { 0 }
  },
};

/* ---- l1 ---- */
static void l1_grad(Grad *g, const Node *n, const Value *dy)
{
  difference_grad(g, n, dy, &op_l1_dx);
}
static double l1_each(const Node *n, double x, double y) { (void)n; return fabs(x - y); }

static void l1_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  (void)c;
  mean_ref(n, in, out, l1_each);
}

static LExpr *l1_term(Lower *l, const Node *n, LExpr *x, LExpr *y)
{
  (void)n;
  return l_op(l->b, SC_abs, l_sub(l->b, x, y), NULL, NULL);
}

static void l1_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  row_mean(l, n, n->in[0], n->in[1], l1_term);
}

const OpDef op_l1 = {
  .name = "l1", .doc = "mean of the absolute differences",
  .aliases = "L1Loss l1_loss mae mean_absolute_error MeanAbsoluteError",
  .formula = "$l = mean_i(|$x[i] - $y[i]|)", .cls = OP_NEST, .flags = OP_LOSS, .operands = "x y",
  .results = "l", .infer = loss_infer, .grad = l1_grad, .ref = l1_ref, .flops = cheap_flops,
  .plans = row_plans, .lower = l1_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,1], y=f32[n]" }, { 0 }
  },
};

static LExpr *l1_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  LExpr *d = s_share(s, n, x[0], 1);
  LExpr *up = s_select(s, s_lt(s, x[2], x[1]), d, s_const(s, 0));
  return s_select(s, s_lt(s, x[1], x[2]), s_neg(s, d), up);
}

static double l1_dx_ref(const Node *n, const double *x)
{
  double d = x[0] * share(n);
  return x[1] < x[2] ? -d : x[2] < x[1] ? d : 0;
}

const OpDef op_l1_dx = {
  .name = "l1_dx", .doc = "gradient of l1 towards the prediction",
  .formula = "$dx = $dy / D * sign($x - $y)", .cls = OP_EWISE, .flags = OP_ZERO,
  .operands = "dy x y", .results = "dx", .infer = loss_dx_infer, .scalar = l1_dx_scalar,
  .ref_scalar = l1_dx_ref, .flops = dx_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n], x=f32[n,3], y=f32[n,3]" }, { "", "dy=f32[n], x=f32[n,1], y=f32[n]" }, { 0 }
  },
};

/* ---- huber ---- */
#define HUBER(A, op) A(op, real, delta, "1", "difference where the square turns into a line")
ATTRS(huber, HUBER)

static bool huber_infer(Infer *c, const Node *n, Type *out)
{
  const huber_attrs *a = n->attrs;
  if (!(a->delta > 0) || a->delta > 1e30)
    return infer_error(c, n, "E0304", "`delta` must be above 0, not %g", a->delta);
  return loss_infer(c, n, out);
}

static void huber_grad(Grad *g, const Node *n, const Value *dy)
{
  difference_grad(g, n, dy, &op_huber_dx);
}

static double huber_each(const Node *n, double x, double y)
{
  const huber_attrs *a = n->attrs;
  double d = fabs(x - y);
  return d <= a->delta ? 0.5 * d * d : a->delta * (d - 0.5 * a->delta);
}

static void huber_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  (void)c;
  mean_ref(n, in, out, huber_each);
}

static LExpr *huber_term(Lower *l, const Node *n, LExpr *x, LExpr *y)
{
  const huber_attrs *a = n->attrs;
  Build *b = l->b;
  LExpr *d = l_let(b, "d", l_op(b, SC_abs, l_sub(b, x, y), NULL, NULL));
  LExpr *square = l_mul(b, l_mul(b, d, l_real(b, 0.5)), d);
  LExpr *line = l_mul(b, l_sub(b, d, l_real(b, 0.5 * a->delta)), l_real(b, a->delta));
  return l_op(b, SC_select, l_op(b, SC_le, d, l_real(b, a->delta), NULL), square, line);
}

static void huber_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  row_mean(l, n, n->in[0], n->in[1], huber_term);
}

const OpDef op_huber = {
  .name = "huber", .doc = "half the square of small differences, linear for large ones",
  .aliases = "HuberLoss huber_loss Huber SmoothL1Loss smooth_l1_loss",
  .formula = "$l = mean_i(d <= delta ? d^2/2 : delta * (d - delta/2)), d = |$x[i] - $y[i]|",
  .cls = OP_NEST, .flags = OP_LOSS, .operands = "x y", .results = "l", .attrs = huber_attr_defs,
  .attrs_size = sizeof(huber_attrs), .positional = 0, .infer = huber_infer, .grad = huber_grad,
  .ref = huber_ref, .flops = cheap_flops, .plans = row_plans, .lower = huber_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "delta=0.3", "x=f32[n,1], y=f32[n]" }, { 0 }
  },
};

static LExpr *huber_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  const huber_attrs *a = n->attrs;
  LExpr *d = s_sub(s, x[1], x[2]);
  LExpr *low = s_const(s, -a->delta), *high = s_const(s, a->delta);
  LExpr *clamped = s_min(s, high, s_max(s, d, low));    /* in this order NaN stays */
  return s_mul(s, s_share(s, n, x[0], 1), clamped);
}

static double huber_dx_ref(const Node *n, const double *x)
{
  const huber_attrs *a = n->attrs;
  double d = x[1] - x[2];
  return x[0] * share(n) * (d < -a->delta ? -a->delta : d > a->delta ? a->delta : d);
}

const OpDef op_huber_dx = {
  .name = "huber_dx", .doc = "gradient of huber towards the prediction",
  .formula = "$dx = $dy / D * clamp($x - $y, -delta, delta)", .cls = OP_EWISE, .flags = OP_ZERO,
  .operands = "dy x y", .results = "dx", .attrs = huber_attr_defs,
  .attrs_size = sizeof(huber_attrs), .infer = loss_dx_infer, .scalar = huber_dx_scalar,
  .ref_scalar = huber_dx_ref, .flops = dx_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n], x=f32[n,3], y=f32[n,3]" }, { "delta=0.3", "dy=f32[n], x=f32[n,1], y=f32[n]" },
    { "delta=0.05", "dy=f32[n], x=f32[n,4], y=f32[n,4]" }, { 0 }
  },
};
