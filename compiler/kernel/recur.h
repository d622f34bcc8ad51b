/* Recurrent layers: one kernel a direction walks all steps of a window for a group of samples, so
 * that no value of a step is waited for by another worker. Lanes hold samples. Tensors of a sample
 * are [T, C], time first; products of the state with the weight w, [gates * H, H], happen here,
 * those of the inputs before, for all steps at once.
 *
 * A cell gives the arithmetic of one hidden unit; it knows its operation's operands and results. */
#ifndef GRADC_KERNEL_RECUR_H
#define GRADC_KERNEL_RECUR_H

#include "lower/lower.h"

enum { RECUR_GATES = 4, RECUR_RESULTS = 8 };    /* at most */

typedef struct Recur Recur;
typedef struct RecurFew RecurFew;

/* Where the cell stands. */
typedef struct {
  const Recur *r;
  Lower *l;
  LExpr *group, *step, *unit;
  LExpr *old_h;                 /* forward: h of this unit, one step earlier */
  LExpr *carried;               /* forward: the second state one step earlier; backward: what `pass`
                                   of the step after handed over */
  LExpr *pass;                  /* set by the cell when r->second: the new value of `carried` */
  RecurFew *few;                /* not NULL: lanes hold units, from `unit`, of one sample */
  int sample;
} RecurPoint;

struct Recur {
  const Node *node;
  int64_t units, steps;         /* H, T */
  int gates;                    /* rows of w for each unit */
  bool second;                  /* a second value of each unit goes from step to step */
  bool adds;                    /* backward: it is added to the gradient of h */
  Value w, bias;                /* bias [gates * H] of the products; node NULL: none */
  /* Forward: both states before the first step, [R, H] with sample i in row i; node NULL: zeros.
   * And the results [H] that receive them after the last step; 0: there is none. */
  Value first[2];
  uint32_t end[2];
  /* Forward: from sum[q], product and bias of gate q, to the new h; stores what it has made. */
  LExpr *(*forward)(RecurPoint *p, LExpr **sum);
  /* Backward: from the gradient dh that later steps give to h, the gradients of this step's
   * products into dsum[q]; stores what it has made. */
  void (*backward)(RecurPoint *p, LExpr *dh, LExpr **dsum);
};

void recur_forward(Lower *l, const Recur *r);
void recur_backward(Lower *l, const Recur *r);

/* Place of gate q of the point's unit in a [T, gates * H] tensor; q = 0: also in a [T, H] one. */
Coord recur_coord(const RecurPoint *p, LExpr *step, int q);
LExpr *recur_load(const RecurPoint *p, Value v, int q);         /* at the point's step */
/* Stores a result at the point's step if anybody reads it. */
void recur_store(const RecurPoint *p, uint32_t result, int q, LExpr *e);
/* Hands over the new h of a forward cell, result 0, with what is fused behind it. */
void recur_finish(const RecurPoint *p, LExpr *h);
Coord recur_samples(Lower *l, LExpr *group);            /* the samples of a group, in the lanes */

/* Samples in lanes for every operand and result of n with a batch, whatever the family; the weight,
 * operand w of [gates * H, H], as dense layers keep it; rows of states in lanes as samples are. */
void recur_plans(Plans *ps, const Node *n, uint32_t w, const char *algorithm);

/* y[c] = sum over samples and steps of x [T, C]: groups, then steps ascending, then lanes by
 * halving. */
void recur_sum(Lower *l, const Node *n, Value x);

#endif
