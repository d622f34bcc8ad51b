/* Borders of images and what moves whole elements, for the operations that are made of them. */
#ifndef GRADC_OPS_BORDER_H
#define GRADC_OPS_BORDER_H

#include "ops/family.h"

#define BORDER_MODES "zeros reflect replicate circular"

/* An axis in samples, spans and steps: element (o, i, k) of axis position i lies at
 * (o * size + i) * inner + k of the tensor's values. */
typedef struct { int64_t outer, size, inner; } Lines;
Lines lines_of(const RefTensor *t, int axis);

/* True for the mode that an option without border, or with zeros, has. */
bool border_is_zeros(const char *mode);
/* Checks that cells `before` and `after` can be made for an axis of `size` cells: E0304 at n. */
bool border_infer(Infer *c, const Node *n, const char *mode, const char *what, int64_t size,
                  int64_t before, int64_t after);
/* x with so many cells more before and after its axis; x itself where there are none. */
Value g_border(const GBuild *b, Value x, int axis, int64_t before, int64_t after,
               const char *mode);
/* The cells from .. to - 1 of an axis; x itself where that is all. */
Value g_slice(const GBuild *b, Value x, int axis, int64_t from, int64_t to);
/* x with the order of an axis' cells turned round. */
Value g_reverse(const GBuild *b, Value x, Ints axes);
/* Axis a of the result is axis order.at[a] of x; x itself where nothing moves. */
Value g_transpose(const GBuild *b, Value x, Ints order);

#endif
