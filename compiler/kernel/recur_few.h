/* Products of a recurrent layer with few samples: where samples would leave most lanes empty, lanes
 * hold rows of w, forward, or units, backward. The same chains of sums, so the same bits. */
#ifndef GRADC_KERNEL_RECUR_FEW_H
#define GRADC_KERNEL_RECUR_FEW_H

#include "kernel/recur.h"
#include "kernel/tile.h"

typedef struct {
  Lower *l;
  const Recur *r;
  bool back;
  int64_t outputs, inputs;      /* forward: rows of w and units; backward: the other way round */
  Tile tile;                    /* vectors of outputs x samples of a group */
  Buffer *acc, *columns;        /* forward: w column by column, padded to blocks */
  Buffer *turn, *sums;          /* state [input][sample]; the products, [output][sample] */
  LExpr *from;                  /* where the state of this step begins in turn */
  LExpr *first, *k;             /* block of outputs, input */
} RecurFew;

/* Is the batch so small that it pays? */
bool recur_is_few(const Lower *l);
/* In the open kernel, before its loops: makes scratch and fills it. */
RecurFew recur_few_begin(Lower *l, const Recur *r, bool back, Buffer *turn);
/* Emits the products of a step with the state at `from` in turn. */
void recur_few_multiply(RecurFew *f, LExpr *from);
/* Product of an output, lanes hold samples. */
LExpr *recur_few_sum(const RecurFew *f, LExpr *output);

#endif
