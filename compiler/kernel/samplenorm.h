/* Normalisation of each sample by itself: over all its numbers or over groups of its channels. */
#ifndef GRADC_KERNEL_SAMPLENORM_H
#define GRADC_KERNEL_SAMPLENORM_H

#include "lower/lower.h"

/* Plans of the three kernels: x keeps blocks of channels, else it takes the family's own layout;
 * what has x's shape lies like x, weights of each number like one sample. */
void samplenorm_plans(Plans *ps, const Node *n);
void samplenorm_dx_plans(Plans *ps, const Node *n);
void samplenorm_dw_plans(Plans *ps, const Node *n);

/* Is w a number for each number of a sample of x, not one for each channel? */
bool samplenorm_has_each(const Type *w, const Type *x, int64_t groups);

/* x weight bias -> y mean istd, with statistics of each of `groups` groups of channels. */
void samplenorm(Lower *l, const Node *n, int64_t groups, double eps);
/* dy x mean istd weight -> dx, and per channel the sums of e and of e * (x - mean) * istd, where e
 * is dy, times the weight if each number has its own. */
void samplenorm_dx(Lower *l, const Node *n, int64_t groups);
/* dy x mean istd -> sums over samples of dy * (x - mean) * istd and of dy; one group. */
void samplenorm_dw(Lower *l, const Node *n);

#endif
