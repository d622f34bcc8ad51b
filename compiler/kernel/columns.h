/* Products of a matrix with one-hot vectors: columns of it by number, and sums into them. Lanes
 * hold samples, but a column goes to one of them: squares of 16 samples x 16 rows of the matrix
 * change between both, in registers. */
#ifndef GRADC_KERNEL_COLUMNS_H
#define GRADC_KERNEL_COLUMNS_H

#include "lower/lower.h"

/* Plan of either: samples in lanes, the matrix, `w` its number among the operands or -1 for result
 * 0, column by column. */
void columns_plans(Plans *ps, const Node *n, int w);
/* n[t, o] := bias[o] + w[o, x[t]] for x [T]; bias may have no node. Numbers that w has no column
 * for give bias[o]. */
void columns_read(Lower *l, const Node *n, Value x, Value w, Value bias);
/* The matrix n[o, v] := sum of dy[t, o] over the batch where x[t] = v: groups of samples, steps,
 * samples of the group, each ascending; numbers without a column add nothing. */
void columns_add(Lower *l, const Node *n, Value dy, Value x);

#endif
