/* Reverse-mode differentiation of a graph, by the gradient hooks of its operations. */
#ifndef GRADC_PASS_AUTODIFF_H
#define GRADC_PASS_AUTODIFF_H

#include "ir/ctx.h"

/* Appends to g the gradient of `loss` (a real scalar without a batch) towards every trainable
 * parameter. Returns it by state id; node NULL: not trainable, or the loss does not depend on it.
 * Only nodes between a trainable parameter and the loss are differentiated. An operation on the way
 * that has no gradient is an error in d (E0404). */
Value *autodiff(Graph *g, Value loss, const OpTable *ops, Diag *d);

#endif
