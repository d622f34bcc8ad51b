/* Statistics of batch normalisation, per channel over samples and space. */
#ifndef GRADC_KERNEL_NORM_H
#define GRADC_KERNEL_NORM_H

#include "lower/lower.h"

void norm_stats(Lower *l, const Node *n, Value x);      /* -> mean, biased variance: two passes over x */
/* -> sum of dy, sum of dy * (x - mean) * istd */
void norm_grad_stats(Lower *l, const Node *n, Value dy, Value x, Value mean, Value istd);

#endif
