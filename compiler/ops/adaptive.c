/* Optimizers that scale each parameter's step by its past gradients. Formulas and
 * order of operations are PyTorch's; t counts steps from 0; g includes weight_decay * w.
 *
 *   rmsprop   v = alpha * v + (1 - alpha) * g^2
 *             centered: m = alpha * m + (1 - alpha) * g, size = sqrt(v - m^2) + eps;
 *             else size = sqrt(v) + eps
 *             momentum: buf = momentum * buf + g / size, w -= lr * buf; else w -= lr * g / size
 *   adagrad   sum = sum + g^2,  w -= lr / (1 + t * lr_decay) * g / (sqrt(sum) + eps)
 *   adadelta  v = rho * v + (1 - rho) * g^2,  d = sqrt(u + eps) / sqrt(v + eps) * g
 *             u = rho * u + (1 - rho) * d^2,  w -= lr * d */
#include "ops/rule.h"

static bool at_least_0(Infer *c, const Node *n, const char *what, double v)
{
  return v >= 0 || infer_error(c, n, "E0304", "`%s` must be at least 0, not %g", what, v);
}

/* w - lr * d */
static Value moved(const Expand *e, const GBuild *b, Value w, Value d)
{
  return g_fma(b, d, g_neg(b, rule_rate(e, b)), w);
}

/* ---- rmsprop ---- */
#define RMSPROP(A, op)                                                          \
  A(op, real, lr,           "0.01", "learning rate")                            \
  A(op, real, alpha,        "0.99", "share of the last mean of squares that is kept") \
  A(op, real, eps,          "1e-8", "added to the root of the mean of squares") \
  A(op, real, momentum,     "0",    "share of the last direction that is kept") \
  A(op, flag, centered,     "false", "the variance of gradients in place of their squares") \
  A(op, real, weight_decay, "0",    "times w, added to the gradient")
ATTRS(rmsprop, RMSPROP)

enum { RMS_SQUARE = 2, RMS_MEAN, RMS_MOMENTUM };

static bool rmsprop_infer(Infer *c, const Node *n, Type *out)
{
  const rmsprop_attrs *a = n->attrs;
  return want_fraction(c, n, "`alpha`", a->alpha) &&
         want_fraction(c, n, "`momentum`", a->momentum) && at_least_0(c, n, "eps", a->eps) &&
         rule_infer(c, n, a->lr, a->weight_decay, out);
}

static void rmsprop_params(Params *p, const Node *n)
{
  const rmsprop_attrs *a = n->attrs;
  rule_slot(p, "square_avg", 0);
  if (a->centered)
    rule_slot(p, "grad_avg", 0);
  else
    param_none(p);
  if (a->momentum != 0)
    rule_slot(p, "momentum_buffer", 0);
  else
    param_none(p);
}

static bool rmsprop_expand(Expand *e, const Node *n, Value *out)
{
  const rmsprop_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  Value w = n->in[0], g = rule_decayed(&b, n->in[1], w, a->weight_decay);
  Value square = rule_mean_square(&b, n->in[RMS_SQUARE], a->alpha, g), spread = square;
  rule_write(e, n, RMS_SQUARE, square);
  if (a->centered) {
    Value mean = rule_mean(&b, n->in[RMS_MEAN], a->alpha, g);
    rule_write(e, n, RMS_MEAN, mean);
    spread = g_fma(&b, g_neg(&b, mean), mean, square);
  }
  Value d = g_div(&b, g, g_affine(&b, g_sqrt(&b, spread), 1, a->eps));
  if (a->momentum != 0) {
    d = g_fma(&b, n->in[RMS_MOMENTUM], g_const(&b, a->momentum), d);
    rule_write(e, n, RMS_MOMENTUM, d);
  }
  out[0] = moved(e, &b, w, d);
  return true;
}

const OpDef op_rmsprop = {
  .name = "rmsprop", .doc = "steps divided by the root of a running mean of squared gradients",
  .aliases = "RMSprop RMSProp",
  .formula = "v = alpha*v + (1-alpha)*$g^2, $y = $w - lr * $g / (sqrt(v) + eps)", .cls = OP_RULE,
  .flags = OP_OPTIMIZER, .operands = "w g square_avg grad_avg? momentum_buffer?", .results = "y",
  .attrs = rmsprop_attr_defs, .attrs_size = sizeof(rmsprop_attrs), .positional = 1,
  .infer = rmsprop_infer, .params = rmsprop_params, .expand = rmsprop_expand, .flops = rule_flops,
  .samples = (const OpSample[]){
    { "lr=0.1, alpha=0.5, eps=0.01", "w=f32[3], g=f32[3]" },
    { "lr=0.1, momentum=0.9, centered=true, weight_decay=0.01", "w=f32[2,3], g=f32[2,3]" }, { 0 }
  },
};

/* ---- adagrad ---- */
#define ADAGRAD(A, op)                                                          \
  A(op, real, lr,           "0.01",  "learning rate")                           \
  A(op, real, lr_decay,     "0",     "lr is divided by 1 + this times the steps done") \
  A(op, real, eps,          "1e-10", "added to the root of the sum of squares") \
  A(op, real, initial,      "0",     "what the sum of squares starts with")     \
  A(op, real, weight_decay, "0",     "times w, added to the gradient")
ATTRS(adagrad, ADAGRAD)

static bool adagrad_infer(Infer *c, const Node *n, Type *out)
{
  const adagrad_attrs *a = n->attrs;
  return at_least_0(c, n, "lr_decay", a->lr_decay) && at_least_0(c, n, "eps", a->eps) &&
         at_least_0(c, n, "initial", a->initial) &&
         rule_infer(c, n, a->lr, a->weight_decay, out);
}

static void adagrad_params(Params *p, const Node *n)
{
  rule_slot(p, "sum", ((const adagrad_attrs *)n->attrs)->initial);
}

static bool adagrad_expand(Expand *e, const Node *n, Value *out)
{
  const adagrad_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  Value w = n->in[0], g = rule_decayed(&b, n->in[1], w, a->weight_decay);
  Value sum = g_fma(&b, g, g, n->in[2]), rate = rule_rate(e, &b);
  rule_write(e, n, 2, sum);
  if (a->lr_decay != 0)
    rate = g_div(&b, rate, g_affine(&b, g_arg(&b, ARG_STEP), a->lr_decay, 1));
  Value d = g_div(&b, g, g_affine(&b, g_sqrt(&b, sum), 1, a->eps));
  out[0] = g_fma(&b, d, g_neg(&b, rate), w);
  return true;
}

const OpDef op_adagrad = {
  .name = "adagrad", .doc = "steps divided by the root of the sum of all squared gradients",
  .aliases = "Adagrad AdaGrad",
  .formula = "sum = sum + $g^2, $y = $w - lr / (1 + t * lr_decay) * $g / (sqrt(sum) + eps)",
  .cls = OP_RULE, .flags = OP_OPTIMIZER, .operands = "w g sum", .results = "y",
  .attrs = adagrad_attr_defs, .attrs_size = sizeof(adagrad_attrs), .positional = 1,
  .infer = adagrad_infer, .params = adagrad_params, .expand = adagrad_expand, .flops = rule_flops,
  .samples = (const OpSample[]){
    { "lr=0.1, initial=0.5", "w=f32[3], g=f32[3]" },
    { "lr=0.1, lr_decay=0.5, eps=0.01, weight_decay=0.01", "w=f32[2,3], g=f32[2,3]" }, { 0 }
  },
};

/* ---- adadelta ---- */
#define ADADELTA(A, op)                                                         \
  A(op, real, lr,           "1",    "factor on the steps")                      \
  A(op, real, rho,          "0.9",  "share of the last means of squares that is kept") \
  A(op, real, eps,          "1e-6", "added to both means under their roots")    \
  A(op, real, weight_decay, "0",    "times w, added to the gradient")
ATTRS(adadelta, ADADELTA)

static bool adadelta_infer(Infer *c, const Node *n, Type *out)
{
  const adadelta_attrs *a = n->attrs;
  return want_fraction(c, n, "`rho`", a->rho) && at_least_0(c, n, "eps", a->eps) &&
         rule_infer(c, n, a->lr, a->weight_decay, out);
}

static void adadelta_params(Params *p, const Node *n)
{
  (void)n;
  rule_slot(p, "square_avg", 0);
  rule_slot(p, "acc_delta", 0);
}

static bool adadelta_expand(Expand *e, const Node *n, Value *out)
{
  const adadelta_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  Value w = n->in[0], g = rule_decayed(&b, n->in[1], w, a->weight_decay);
  Value square = rule_mean_square(&b, n->in[2], a->rho, g);
  Value wide = g_sqrt(&b, g_affine(&b, n->in[3], 1, a->eps));
  Value d = g_mul(&b, g_div(&b, wide, g_sqrt(&b, g_affine(&b, square, 1, a->eps))), g);
  rule_write(e, n, 2, square);
  rule_write(e, n, 3, rule_mean_square(&b, n->in[3], a->rho, d));
  out[0] = moved(e, &b, w, d);
  return true;
}

const OpDef op_adadelta = {
  .name = "adadelta", .doc = "steps as large as past steps were for past gradients",
  .aliases = "Adadelta AdaDelta",
  .formula = "d = sqrt(u + eps) / sqrt(v + eps) * $g, $y = $w - lr * d", .cls = OP_RULE,
  .flags = OP_OPTIMIZER, .operands = "w g square_avg acc_delta", .results = "y",
  .attrs = adadelta_attr_defs, .attrs_size = sizeof(adadelta_attrs), .positional = 1,
  .infer = adadelta_infer, .params = adadelta_params, .expand = adadelta_expand,
  .flops = rule_flops,
  .samples = (const OpSample[]){
    { "lr=0.1", "w=f32[3], g=f32[3]" },
    { "lr=0.1, rho=0.5, eps=0.01, weight_decay=0.01", "w=f32[2,3], g=f32[2,3]" }, { 0 }
  },
};
