/* Statistics of batch normalisation, per channel over samples and space. */
#ifndef GRADC_KERNEL_NORM_H
#define GRADC_KERNEL_NORM_H

#include "lower/lower.h"

/* Per channel, over samples and what space is left: mean and biased variance of rows of `width`
 * numbers with sum x[..] and sum of squares around their own mean m2[..]. No m2: of x itself, width
 * 1. Two passes over x. */
void norm_stats(Lower *l, const Node *n, Value x, Value m2, int64_t width);
/* -> sum of dy, istd * sum of dyd */
void norm_grad_stats(Lower *l, const Node *n, Value dy, Value dyd, Value istd);
/* The row at c, which leaves the last axis open: its sum and the sum of squares around its mean;
 * the sum of dy and of dy * (x - mean). */
void norm_row_stats(Lower *l, const Node *n, const Coord *c);
void norm_row_grads(Lower *l, const Node *n, const Coord *c);

#endif
