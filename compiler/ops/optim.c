/* Optimizers: update rules for one parameter w with gradient g. Each expands to elementwise nodes
 * when the train graph is made; learning rate, bias corrections and step count stay run-time step
 * arguments. Formulas and order of operations are PyTorch's. Every trainable tensor is decayed,
 * biases too.
 *
 *   sgd    g += weight_decay * w
 *          buf = momentum * buf + (1 - dampening) * g        (first step: buf = g)
 *          g = nesterov ? g + momentum * buf : buf           (without momentum: g)
 *          w -= lr * g
 *   adam   g += weight_decay * w
 *          m = beta1 * m + (1 - beta1) * g,  v = beta2 * v + (1 - beta2) * g^2
 *          w -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *   adamw  w *= 1 - lr * weight_decay first, then adam without its decay
 *
 * Operands: w and g, then the slots that the params hook declares. Result: the new w. */
#include "ops/rule.h"

/* ---- sgd ---- */
#define SGD(A, op)                                                              \
  A(op, real, lr,           "0.001", "learning rate")                           \
  A(op, real, momentum,     "0",     "share of the last direction that is kept") \
  A(op, real, dampening,    "0",     "share of the gradient left out of the direction") \
  A(op, flag, nesterov,     "false", "look ahead by one momentum step")         \
  A(op, real, weight_decay, "0",     "times w, added to the gradient")
ATTRS(sgd, SGD)

static bool sgd_infer(Infer *c, const Node *n, Type *out)
{
  const sgd_attrs *a = n->attrs;
  if (!want_fraction(c, n, "`momentum`", a->momentum))
    return false;
  if (!(a->dampening >= 0 && a->dampening <= 1))
    return infer_error(c, n, "E0304", "`dampening` must be between 0 and 1, not %g", a->dampening);
  if (a->nesterov && (a->momentum == 0 || a->dampening != 0))
    return infer_error(c, n, "E0304", "`nesterov` needs a momentum above 0 and no dampening");
  return rule_infer(c, n, a->lr, a->weight_decay, out);
}

static void sgd_params(Params *p, const Node *n)
{
  const sgd_attrs *a = n->attrs;
  if (a->momentum != 0)
    rule_slot(p, "momentum", 0);
  else
    param_none(p);
}

static bool sgd_expand(Expand *e, const Node *n, Value *out)
{
  const sgd_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  Value w = n->in[0], g = rule_decayed(&b, n->in[1], w, a->weight_decay);
  if (a->momentum != 0) {
    Value taken = g;
    if (a->dampening != 0) {
      Value first = g_const(&b, 1), later = g_const(&b, 1 - a->dampening);
      taken = g_mul(&b, g, g_if_eq(&b, g_arg(&b, ARG_STEP), g_const(&b, 0), first, later));
    }
    Value momentum = g_const(&b, a->momentum);
    Value buf = g_fma(&b, n->in[2], momentum, taken);
    rule_write(e, n, 2, buf);
    g = a->nesterov ? g_fma(&b, buf, momentum, g) : buf;
  }
  out[0] = g_fma(&b, g, g_neg(&b, rule_rate(e, &b)), w);
  return true;
}

const OpDef op_sgd = {
  .name = "sgd", .doc = "stochastic gradient descent, with momentum if asked",
  .aliases = "SGD momentum gradient_descent",
  .formula = "buf = momentum * buf + $g + weight_decay * $w, $y = $w - lr * buf", .cls = OP_RULE,
  .flags = OP_OPTIMIZER, .operands = "w g momentum?", .results = "y", .attrs = sgd_attr_defs,
  .attrs_size = sizeof(sgd_attrs), .positional = 1, .infer = sgd_infer, .params = sgd_params,
  .expand = sgd_expand, .flops = rule_flops,
  .samples = (const OpSample[]){
    { "lr=0.1", "w=f32[3], g=f32[3]" },
    { "lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.01", "w=f32[2,3], g=f32[2,3]" },
    { "lr=0.1, momentum=0.9, nesterov=true", "w=f32[], g=f32[]" }, { 0 }
  },
};

/* ---- adam, adamw ---- */
#define ADAM_COMMON(A, op)                                                      \
  A(op, real, lr,    "0.001", "learning rate")                                  \
  A(op, real, beta1, "0.9",   "share of the last mean of gradients that is kept") \
  A(op, real, beta2, "0.999", "share of the last mean of squares that is kept") \
  A(op, real, eps,   "1e-8",  "added to the root of the mean of squares")
#define ADAM(A, op)   \
  ADAM_COMMON(A, op)  \
  A(op, real, weight_decay, "0", "times w, added to the gradient")
#define ADAMW(A, op)  \
  ADAM_COMMON(A, op)  \
  A(op, real, weight_decay, "0.01", "times lr: the share of w taken away")
ATTRS(adam, ADAM)
ATTRS(adamw, ADAMW)

static bool adam_check(Infer *c, const Node *n, const adam_attrs *a, Type *out)
{
  if (!want_fraction(c, n, "'beta1'", a->beta1) || !want_fraction(c, n, "'beta2'", a->beta2))
    return false;
  if (!(a->eps >= 0))
    return infer_error(c, n, "E0304", "`eps` must be at least 0, not %g", a->eps);
  return rule_infer(c, n, a->lr, a->weight_decay, out);
}

static adam_attrs from_adamw(const Node *n)
{
  const adamw_attrs *a = n->attrs;
  return (adam_attrs){ .lr = a->lr, .beta1 = a->beta1, .beta2 = a->beta2, .eps = a->eps,
                       .weight_decay = a->weight_decay };
}

static bool adam_infer(Infer *c, const Node *n, Type *out)
{
  return adam_check(c, n, n->attrs, out);
}

static bool adamw_infer(Infer *c, const Node *n, Type *out)
{
  adam_attrs a = from_adamw(n);
  return adam_check(c, n, &a, out);
}

static void adam_params(Params *p, const Node *n)
{
  (void)n;
  rule_slot(p, "exp_avg", 0);
  rule_slot(p, "exp_avg_sq", 0);
}

/* The step from w along g; a's decay is already dealt with. */
static Value adam_step(Expand *e, const GBuild *b, const Node *n, const adam_attrs *a, Value w,
                       Value g)
{
  Value m = rule_mean(b, n->in[2], a->beta1, g);
  Value v = rule_mean_square(b, n->in[3], a->beta2, g);
  rule_write(e, n, 2, m);
  rule_write(e, n, 3, v);
  Value root = g_div(b, g_sqrt(b, v), g_sqrt(b, g_arg(b, ARG_BC2)));
  Value direction = g_div(b, m, g_affine(b, root, 1, a->eps));
  Value size = g_div(b, rule_rate(e, b), g_arg(b, ARG_BC1));
  return g_fma(b, direction, g_neg(b, size), w);
}

static bool adam_expand(Expand *e, const Node *n, Value *out)
{
  const adam_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  out[0] = adam_step(e, &b, n, a, n->in[0], rule_decayed(&b, n->in[1], n->in[0], a->weight_decay));
  return true;
}

static bool adamw_expand(Expand *e, const Node *n, Value *out)
{
  adam_attrs a = from_adamw(n);
  GBuild b = g_in_expand(e);
  Value w = n->in[0];
  if (a.weight_decay != 0)
    w = g_mul(&b, w, g_affine(&b, rule_rate(e, &b), -a.weight_decay, 1));
  out[0] = adam_step(e, &b, n, &a, w, n->in[1]);
  return true;
}

const OpDef op_adam = {
  .name = "adam", .doc = "Adam: steps scaled by running means of gradients and of their squares",
  .aliases = "Adam",
  .formula = "m = beta1*m + (1-beta1)*$g, v = beta2*v + (1-beta2)*$g^2, $y = $w - lr/(1-beta1^t) "
             "* m / (sqrt(v/(1-beta2^t)) + eps)", .cls = OP_RULE, .flags = OP_OPTIMIZER,
  .operands = "w g exp_avg exp_avg_sq", .results = "y", .attrs = adam_attr_defs,
  .attrs_size = sizeof(adam_attrs), .positional = 1, .infer = adam_infer, .params = adam_params,
  .expand = adam_expand, .flops = rule_flops,
  .samples = (const OpSample[]){
    { "lr=0.1", "w=f32[3], g=f32[3]" },
    { "lr=0.1, beta1=0.5, beta2=0.9, eps=0.01, weight_decay=0.01", "w=f32[2,3], g=f32[2,3]" },
    { 0 }
  },
};

const OpDef op_adamw = {
  .name = "adamw", .doc = "Adam with weight decay apart from the gradient", .aliases = "AdamW",
  .formula = "m = beta1*m + (1-beta1)*$g, v = beta2*v + (1-beta2)*$g^2, $y = $w*(1 - "
             "lr*weight_decay) - lr/(1-beta1^t) * m / (sqrt(v/(1-beta2^t)) + eps)", .cls = OP_RULE,
  .flags = OP_OPTIMIZER, .operands = "w g exp_avg exp_avg_sq", .results = "y",
  .attrs = adamw_attr_defs, .attrs_size = sizeof(adamw_attrs), .positional = 1,
  .infer = adamw_infer, .params = adam_params, .expand = adamw_expand, .flops = rule_flops,
  .samples = (const OpSample[]){
    { "lr=0.1", "w=f32[3], g=f32[3]" },
    { "lr=0.1, beta1=0.5, beta2=0.9, eps=0.01, weight_decay=0", "w=f32[2,3], g=f32[2,3]" }, { 0 }
  },
};
