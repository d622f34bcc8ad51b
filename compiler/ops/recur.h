/* What the operations under rnn, lstm and gru share; recur.c has their formulas. Operands of all
 * three: x [T, gates * H], w [gates * H, H], maybe a bias [gates * H], and maybe the states before
 * the first step, RECUR_FIRST and, of lstm, the one behind it: [R, H] without a batch, sample i in
 * row i, at which gradients end. Results 0 and 1: the states [T, H], and the state before each
 * step; the last ones: the states [H] after the last step. */
#ifndef GRADC_OPS_RECUR_H
#define GRADC_OPS_RECUR_H

#include "kernel/recur.h"
#include "ops/family.h"

enum { RECUR_X, RECUR_W, RECUR_BIAS, RECUR_FIRST };
enum { RECUR_STATES = 2 };              /* at most */

/* Do the operands belong together? */
bool want_scan(Infer *c, const Node *n, int gates);
/* Of a gradient: operands dy and others [T, H] or [T, count * H], then w; *out: [T, gates * H]. */
bool want_scan_back(Infer *c, const Node *n, uint32_t w, int gates, Type *out);
int recur_states(int gates);            /* that go from step to step: h, and c of lstm */
Type recur_type(const Type *x, int64_t width);          /* [T, width] with the steps of x */
Type recur_end_type(const Type *x, int64_t units);      /* [units] with the batch of x */
Value recur_result(const Node *n, uint32_t r);

/* Gradients of the weight and the bias from those of the state's products, dsum; dx: that of x. */
void recur_grad(Grad *g, const Node *n, Value dx, Value dsum);

double recur_flops(const Node *n, uint32_t w);          /* w: the number of the weight */
double recur_forward_flops(const Node *n);

void recur_lower(Lower *l, const Node *n, int gates, LExpr *(*cell)(RecurPoint *, LExpr **));
void recur_lower_back(Lower *l, const Node *n, uint32_t w, int gates,
                      void (*cell)(RecurPoint *, LExpr *, LExpr **));
LExpr *recur_math(Lower *l, const char *name, LExpr *x);        /* one of our functions, named */
LExpr *recur_slope(Build *b, LExpr *s);                 /* of sigmoid, from its value */
LExpr *recur_tanh_slope(Build *b, LExpr *y);            /* of tanh, from its value */

/* One unit of a step for recur_ref: from x[q] and sum[q], product and bias of gate q, to the new h;
 * h and *second: the states before. */
typedef double (*RecurRefCell)(RefTensor *const *out, int64_t at, const double *x,
                               const double *sum, double h, double *second);

/* Runs a cell for every sample, step and unit; at: the step's number among all, times H, plus the
 * unit. */
void recur_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out,
               RecurRefCell cell);
/* sum_o w[o, k] dsum[o] */
double recur_ref_back(const RefTensor *w, const double *dsum, int64_t k);
double recur_ref_sigmoid(double x);
/* Where gate q of the unit at `at` lies in a tensor [T, count * H]. */
double *recur_gate(const RefTensor *t, int64_t units, int64_t at, int q);

#endif
