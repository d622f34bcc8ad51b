/* Losses that are a sum or mean of elementary functions of prediction x and target y: macros, so
 * that what they are made of is fused and differentiated like anything else. One value a sample.
 *
 *   sse         sum of (x - y)^2
 *   hinge       mean of max(0, 1 - y x),  y is -1 or 1; gradient 0 where y x = 1
 *   perceptron  mean of max(0, -y x),     y is -1 or 1; gradient -y where y x = 0, so that
 *               training may start from zero weights
 *   kl          sum of y (log y - x),     x are logarithms of probabilities; 0 log 0 = 0
 *
 * hinge and perceptron take a label of two classes for y as well: class 0 stands for -1. */
#include "ops/family.h"

static bool infer(Infer *c, const Node *n, Type *out)
{
  bool labels = n->op == &op_hinge || n->op == &op_perceptron;
  if (!want_prediction(c, n, 0, labels))
    return false;
  *out = type_scalar(c->in[0].dtype, true);
  return true;
}

static double per_element(const Node *n, double k) { return k * (double)value_elems(n->in[0]); }

/* The target as real numbers in the shape of the prediction. */
static Value target_of(const GBuild *b, const Node *n)
{
  const Type *x = value_type(n->in[0]);
  return g_reshape(b, g_cast(b, n->in[1], x->dtype), x);
}

static Value mean_of(const GBuild *b, const Node *n, Value each)
{
  return g_scale(b, g_sum(b, each), 1 / per_element(n, 1));
}

/* y x, with labels as -1 and 1 */
static Value margin(const GBuild *b, const Node *n)
{
  Value y = target_of(b, n);
  if (!dtype_is_real(value_type(n->in[1])->dtype))
    y = g_affine(b, y, 2, -1);
  return g_mul(b, y, n->in[0]);
}

static bool sse_expand(Expand *e, const Node *n, Value *out)
{
  GBuild b = g_in_expand(e);
  out[0] = g_sum(&b, g_square(&b, g_sub(&b, n->in[0], target_of(&b, n))));
  return true;
}

static bool hinge_expand(Expand *e, const Node *n, Value *out)
{
  GBuild b = g_in_expand(e);
  Value missing = g_affine(&b, margin(&b, n), -1, 1);
  out[0] = mean_of(&b, n, g_max(&b, g_const(&b, 0), missing));
  return true;
}

static bool perceptron_expand(Expand *e, const Node *n, Value *out)
{
  GBuild b = g_in_expand(e);
  out[0] = mean_of(&b, n, g_max(&b, g_neg(&b, margin(&b, n)), g_const(&b, 0)));
  return true;
}

static bool kl_expand(Expand *e, const Node *n, Value *out)
{
  static const double tiny = 1e-37;     /* its logarithm is finite; times 0 it is 0 */
  GBuild b = g_in_expand(e);
  Value y = target_of(&b, n), log_y = g_log(&b, g_max(&b, y, g_const(&b, tiny)));
  out[0] = g_sum(&b, g_mul(&b, y, g_sub(&b, log_y, n->in[0])));
  return true;
}

static double cheap_flops(const Node *n) { return per_element(n, 3); }
static double log_flops(const Node *n) { return per_element(n, 23); }

const OpDef op_sse = {
  .name = "sse", .doc = "sum of the squared differences of a sample, without a factor 1/2",
  .aliases = "sum_squared_error SumSquaredError", .formula = "$l = sum_i(($x[i] - $y[i])^2)",
  .cls = OP_MACRO, .flags = OP_LOSS, .operands = "x y", .results = "l", .infer = infer,
  .expand = sse_expand, .flops = cheap_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,1], y=f32[n]" },
    { "", "x=f32[n,2,2,3], y=f32[n,2,2,3]" }, { 0 }
  },
};

const OpDef op_hinge = {
  .name = "hinge", .doc = "how far predictions are from a margin of 1 on the target's side",
  .aliases = "Hinge HingeLoss hinge_loss svm", .formula = "$l = mean_i(max(0, 1 - $y[i] * $x[i]))",
  .cls = OP_MACRO, .flags = OP_LOSS, .operands = "x y", .results = "l", .infer = infer,
  .expand = hinge_expand, .flops = cheap_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,1], y=u8[n]" }, { 0 }
  },
};

const OpDef op_perceptron = {
  .name = "perceptron", .doc = "how far predictions are on the wrong side of 0",
  .aliases = "Perceptron perceptron_loss", .formula = "$l = mean_i(max(0, -$y[i] * $x[i]))",
  .cls = OP_MACRO, .flags = OP_LOSS, .operands = "x y", .results = "l", .infer = infer,
  .expand = perceptron_expand, .flops = cheap_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,1], y=u8[n]" }, { 0 }
  },
};

const OpDef op_kl = {
  .name = "kl", .doc = "Kullback-Leibler divergence of probabilities y from log-probabilities x",
  .aliases = "KLDivLoss kl_div KLDivergence kl_divergence",
  .formula = "$l = sum_i($y[i] * (log($y[i]) - $x[i]))", .cls = OP_MACRO, .flags = OP_LOSS,
  .operands = "x y", .results = "l", .infer = infer, .expand = kl_expand, .flops = log_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,5], y=f32[n,5]" }, { 0 }
  },
};
