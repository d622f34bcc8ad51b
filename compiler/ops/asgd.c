/* Averaged stochastic gradient descent, by PyTorch's formula; t counts steps from 0.
 *
 *   eta = lr / (1 + lambd * lr * t)^alpha,  mu = 1 / max(1, t - t0)
 *   g += weight_decay * w,  w = w * (1 - lambd * eta) - eta * g
 *   ax = (1 - mu) * ax + mu * w
 *
 * PyTorch takes for eta the rate of the step before; ours is the rate of the step itself, which
 * differs where a schedule changes it. The slot ax holds the average, which is what a run
 * evaluates and saves. */
#include "ops/rule.h"

#define ASGD(A, op)                                                             \
  A(op, real, lr,           "0.01", "learning rate")                            \
  A(op, real, lambd,        "1e-4", "decay of weights and of the rate")         \
  A(op, real, alpha,        "0.75", "power of the rate's decay")                \
  A(op, real, t0,           "1e6",  "steps before weights are averaged")        \
  A(op, real, weight_decay, "0",    "times w, added to the gradient")
ATTRS(asgd, ASGD)

static bool asgd_infer(Infer *c, const Node *n, Type *out)
{
  const asgd_attrs *a = n->attrs;
  if (!(a->lambd >= 0 && a->alpha >= 0 && a->t0 >= 0))
    return infer_error(c, n, "E0304", "`lambd`, `alpha` and `t0` must be at least 0");
  return rule_infer(c, n, a->lr, a->weight_decay, out);
}

static void asgd_params(Params *p, const Node *n)
{
  (void)n;
  rule_slot(p, "ax", 0);
}

/* base^p for base >= 1 */
static Value power_of(const GBuild *b, Value base, double p)
{
  return g_exp(b, g_scale(b, g_log(b, base), p));
}

static bool asgd_expand(Expand *e, const Node *n, Value *out)
{
  const asgd_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  Value w = n->in[0], g = rule_decayed(&b, n->in[1], w, a->weight_decay);
  Value lr = rule_rate(e, &b), t = g_arg(&b, ARG_STEP), one = g_const(&b, 1);
  Value slowed = g_affine(&b, g_mul(&b, lr, t), a->lambd, 1);
  Value eta = g_div(&b, lr, power_of(&b, slowed, a->alpha));
  Value decayed = g_mul(&b, w, g_affine(&b, eta, -a->lambd, 1));
  out[0] = g_fma(&b, g, g_neg(&b, eta), decayed);
  Value mu = g_div(&b, one, g_max(&b, one, g_affine(&b, t, 1, -a->t0)));
  Value mean = g_fma(&b, n->in[2], g_affine(&b, mu, -1, 1), g_mul(&b, out[0], mu));
  rule_write(e, n, 2, mean);
  return true;
}

const OpDef op_asgd = {
  .name = "asgd", .doc = "gradient descent with a decaying rate that keeps the weights' average",
  .aliases = "ASGD averaged_sgd",
  .formula = "eta = lr / (1 + lambd*lr*t)^alpha, $y = $w * (1 - lambd*eta) - eta * $g",
  .cls = OP_RULE, .flags = OP_OPTIMIZER, .operands = "w g ax", .results = "y",
  .attrs = asgd_attr_defs, .attrs_size = sizeof(asgd_attrs), .positional = 1, .infer = asgd_infer,
  .average = "ax", .params = asgd_params, .expand = asgd_expand, .flops = rule_flops,
  .samples = (const OpSample[]){
    { "lr=0.1", "w=f32[3], g=f32[3]" },
    { "lr=0.1, lambd=0.1, alpha=0.5, t0=1, weight_decay=0.01", "w=f32[2,3], g=f32[2,3]" }, { 0 }
  },
};
