/* What the update rules of optimizers share. A rule's operands are the parameter w, its gradient g
 * and then the slots that its params hook declares; its result is the new w. */
#ifndef GRADC_OPS_RULE_H
#define GRADC_OPS_RULE_H

#include "ops/family.h"

/* The check of infer hooks: rate and decay are at least 0, w and g have one type, which is that of
 * the result. Reports E0304, E0201 or E0207 and returns false. */
bool rule_infer(Infer *c, const Node *n, double lr, double weight_decay, Type *out);
/* Declares a slot of w's shape, the rule's next operand, that starts with `value` everywhere. */
void rule_slot(Params *p, const char *name, double value);
/* The learning rate of the parameter that e expands the rule for. */
Value rule_rate(const Expand *e, const GBuild *b);
/* The slot that operand i reads becomes v when the step ends. */
void rule_write(Expand *e, const Node *n, uint32_t i, Value v);
/* g + decay * w */
Value rule_decayed(const GBuild *b, Value g, Value w, double decay);
/* keep * mean + (1 - keep) * x: a running mean. */
Value rule_mean(const GBuild *b, Value mean, double keep, Value x);
/* keep * mean + (1 - keep) * x^2, rounded as PyTorch's addcmul does. */
Value rule_mean_square(const GBuild *b, Value mean, double keep, Value x);
double rule_flops(const Node *n);       /* 12 for each element */

#endif
