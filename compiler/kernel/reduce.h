/* Reductions over samples, space or whole tensors, in orders that depend on shape and layout alone. */
#ifndef GRADC_KERNEL_REDUCE_H
#define GRADC_KERNEL_REDUCE_H

#include "lower/lower.h"

/* Plan of a channel reduction: the first operand as it is, others like it; results row-major [C]. */
void channel_plans(Plans *ps, const Node *n);
/* Plan of a reduction over samples: operand with samples in lanes. */
void batch_plans(Plans *ps, const Node *n);

/* Value of one summand at c, `lanes` wide; called inside the loops. */
typedef LExpr *(*Term)(void *ctx, const Coord *c, int lanes);

/* Opens the kernel's loop over the channels of x (its axis 0) and sets up nacc accumulators. */
typedef struct {
  Lower *l;
  Value x;
  Coord channel;                /* where the channel is, for finish and per-channel operands */
  int lanes;                    /* of the values: block, or 1 when x has no block lanes */
  bool lanes_hold_samples;
  Buffer *acc;
} Channels;
void channels_begin(Channels *ch, Lower *l, const Node *n, Value x, int nacc, const char *template_name);
/* acc[first + i] := sum of term i over samples and space; then its lanes are added if they hold samples.
 * Returns nothing; read with channels_sum. */
void channels_sum(Channels *ch, int first, int nterm, const Term *term, void *ctx, LExpr **sum);
void channels_end(Channels *ch);

void reduce_channels(Lower *l, const Node *n, Value x);         /* [n,C,..] -> [C] */
void reduce_batch(Lower *l, const Node *n, Value x, bool mean); /* [n,..] -> [..] */
void reduce_elements(Lower *l, const Node *n, Value x, bool squares);   /* [n,..] -> [n], [..] -> [] */
LExpr *batch_count(Lower *l, int64_t per_sample);               /* n * per_sample as a real */

#endif
