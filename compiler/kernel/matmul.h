/* Matrix product templates: the three passes of a dense layer, for batch in lanes and for channel blocks.
 * y[o] = sum_k w[o, k] x[k] + b[o]; w [o, k], x [k] and y [o] per sample. */
#ifndef GRADC_KERNEL_MATMUL_H
#define GRADC_KERNEL_MATMUL_H

#include "lower/lower.h"

typedef enum { DENSE_FORWARD, DENSE_INPUT_GRAD, DENSE_WEIGHT_GRAD } DensePass;

/* Weights [o, k] of a dense layer whose lanes hold samples. */
Layout dense_lane_weights(int64_t o, int64_t k, int block);

/* x, y and their gradients may be sequences [T, features] too: each step is a sample of its own.
 * Operand order: FORWARD x w b?; INPUT_GRAD dy w; WEIGHT_GRAD dy x, given by their numbers. */
void dense_plans(Plans *ps, const Node *n, DensePass pass, int main, int other);
void dense_forward(Lower *l, const Node *n, const Plan *p, Value x, Value w, Value bias);
void dense_input_grad(Lower *l, const Node *n, const Plan *p, Value dy, Value w);
void dense_weight_grad(Lower *l, const Node *n, const Plan *p, Value dy, Value x);
/* The last of them for sequences dy and x [T, features], samples in lanes. */
void dense_weight_grad_steps(Lower *l, const Node *n, Value dy, Value x);

/* ---- matmul_few.c ---- */
/* Does it pay that lanes hold the steps of a sequence? Samples are few then. */
bool dense_is_few(const Lower *l, int64_t steps, int64_t inputs, int64_t outputs);
/* Forward, or towards the input (back, x: dy); layouts as with samples in lanes. */
void dense_few(Lower *l, const Node *n, Value x, Value w, Value bias, bool back);

#endif
