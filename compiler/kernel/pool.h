/* Pooling templates: windows over images, each output point by itself (gathers in both directions). */
#ifndef GRADC_KERNEL_POOL_H
#define GRADC_KERNEL_POOL_H

#include "lower/lower.h"

typedef struct {
  int64_t k[2], stride[2], dilation[2], pad[2]; /* [0]: rows, [1]: columns; pad before the first */
  int64_t in[2], out[2];
} PoolShape;

void pool_plans(Plans *ps, const Node *n);
/* Windows that neither overlap nor hold padding: each may be finished where its cells are made.
 * Rows and columns at the end that fill no window are left out. */
bool pool_apart(const PoolShape *s);
/* Results of one such window from its row-major values; result[1] is NULL without argmax. */
void pool_combine_max(Lower *l, LExpr *const *cell, int64_t cells, bool argmax, LExpr **result);
void pool_combine_mean(Lower *l, LExpr *const *cell, int64_t cells, LExpr **result);

void pool_max(Lower *l, const Node *n, const PoolShape *s, Value x);            /* results: y, argmax cell (u8) */
void pool_max_grad(Lower *l, const Node *n, const PoolShape *s, Value dy, Value idx);
/* count_pad: cells of the padding count in the divisor, as PyTorch's count_include_pad. */
void pool_mean(Lower *l, const Node *n, const PoolShape *s, Value x, bool count_pad, const int64_t pad_after[2]);
void pool_mean_grad(Lower *l, const Node *n, const PoolShape *s, Value dy, bool count_pad, const int64_t pad_after[2]);

#endif
