/* Parts of update rules; see ops/rule.h. */
#include "ops/rule.h"

bool rule_infer(Infer *c, const Node *n, double lr, double weight_decay, Type *out)
{
  if (!(lr >= 0))
    return infer_error(c, n, "E0304", "`lr` must be at least 0, not %g", lr);
  if (!(weight_decay >= 0))
    return infer_error(c, n, "E0304", "`weight_decay` must be at least 0, not %g", weight_decay);
  if (!want_operands(c, n, 2) || !want_reals(c, n) || !want_same(c, n, 0, 1))
    return false;
  return infer_same_as(c, n, 0, out);
}

void rule_slot(Params *p, const char *name, double value)
{
  Init start = { value == 0 ? INIT_ZEROS : INIT_CONSTANT, value, 0 };
  param_add(p, name, STATE_SLOT, p->in[0].rank, p->in[0].dim, start, 0, 0, false);
}

Value rule_rate(const Expand *e, const GBuild *b)
{
  Value lr = g_arg(b, ARG_LR);
  return e->lr_scale == 0 ? lr : g_scale(b, lr, e->lr_scale);
}

void rule_write(Expand *e, const Node *n, uint32_t i, Value v)
{
  uint32_t state;
  if (!operand_given(n, i) || !value_state(n->in[i], &state))
    ice("operand %u of %s is not a slot", i, n->op->name);
  expand_write(e, state, v);
}

Value rule_decayed(const GBuild *b, Value g, Value w, double decay)
{
  return decay == 0 ? g : g_fma(b, w, g_const(b, decay), g);
}

Value rule_mean(const GBuild *b, Value mean, double keep, Value x)
{
  return g_fma(b, mean, g_const(b, keep), g_scale(b, x, 1 - keep));
}

Value rule_mean_square(const GBuild *b, Value mean, double keep, Value x)
{
  return g_fma(b, mean, g_const(b, keep), g_mul(b, g_scale(b, x, 1 - keep), x));
}

double rule_flops(const Node *n) { return 12 * flops_elems(n); }
