/* Reductions over samples, space or whole tensors, in orders that depend on shape and layout alone. */
#ifndef GRADC_KERNEL_REDUCE_H
#define GRADC_KERNEL_REDUCE_H

#include "lower/lower.h"

/* Plan of a channel reduction: the first operand as it is, others like it; results row-major [C]. */
void channel_plans(Plans *ps, const Node *n);
/* Plan of a reduction over samples: operand with samples in lanes. */
void batch_plans(Plans *ps, const Node *n);

/* Plan of a reduction of rows: as for channels; results [.., 1] lie as the first operand without
 * its last axis. */
void row_sum_plans(Plans *ps, const Node *n);

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
/* acc[first + i] := sum of term i over samples and space; then its lanes are added if they hold
 * samples. sum[i] receives it. */
void channels_sum(Channels *ch, int first, int nterm, const Term *term, void *ctx, LExpr **sum);
void channels_end(Channels *ch);

/* sum with what the place c adds to it. */
typedef LExpr *(*Fold)(void *ctx, const Coord *c, LExpr *sum);
/* sum[i] := what fold i makes of 0 over the last axis of a value of type t, the row at c, which
 * leaves that axis open. Four partial sums, by the column's number mod 4, are added by pairs. As
 * wide as the lanes of c. */
void row_sums(Lower *l, const Coord *c, const Type *t, int nsum, const Fold *fold, void *ctx,
              LExpr **sum);
void reduce_row(Lower *l, const Node *n, const Coord *c);       /* op->row: sum of operand 0 at c */
void reduce_rows(Lower *l, const Node *n);      /* a kernel of its own: op->row at every row */

void reduce_channels(Lower *l, const Node *n, Value x);         /* [n,C,..] -> [C] */
void reduce_batch(Lower *l, const Node *n, Value x, bool mean); /* [n,..] -> [..] */
void reduce_elements(Lower *l, const Node *n, Value x, bool squares);   /* [n,..] -> [n], [..] -> [] */
LExpr *batch_count(Lower *l, int64_t per_sample);               /* n * per_sample as a real */

#endif
