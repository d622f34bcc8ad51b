/* Templates that work on one sample's vector at a time: softmax, cross-entropy, means of elementwise losses. */
#ifndef GRADC_KERNEL_ROWWISE_H
#define GRADC_KERNEL_ROWWISE_H

#include "lower/lower.h"

void row_plans(Plans *ps, const Node *n);
/* A row is what lies along the last axis: a vector has one. */
void row_softmax(Lower *l, const Node *n, Value x);
void row_softmax_grad(Lower *l, const Node *n, Value dy, Value y);
void row_one_hot(Lower *l, const Node *n, Value y);      /* 1 at the class y of each row, else 0 */
/* Targets: integer class numbers, one a row, or probabilities; smoothing as in ops/xent.c. Of
 * several rows the mean, where rows with a negative class number count 0. */
void row_xent(Lower *l, const Node *n, Value x, Value y, double smoothing);
void row_xent_grad(Lower *l, const Node *n, Value dy, Value x, Value y, double smoothing);
void row_xent_target_grad(Lower *l, const Node *n, Value dy, Value x, double smoothing);

/* One summand of an elementwise loss from prediction and target. */
typedef LExpr *(*RowTerm)(Lower *l, const Node *n, LExpr *x, LExpr *y);
void row_mean(Lower *l, const Node *n, Value x, Value y, RowTerm term);         /* [n,..] -> [n] */

#endif
