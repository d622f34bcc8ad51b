/* Sums, maxima and picks over boxes of indices; operands are read at places affine in them:
 *
 *   y[f,i] = sum_{c,j} x[c,i+j] * w[f,c,j]          indices f i c j; rows c, i+j, f, c, j
 *
 * A place is (sum_t c[t] * index[t] + offset) / divisor. A term counts only where each place is
 * whole and inside its axis; rows behind those of the operands are conditions of the same form. */
#ifndef GRADC_KERNEL_NEST_H
#define GRADC_KERNEL_NEST_H

#include "lower/lower.h"

/* A gradient has the axes of its tensor as indices beside all those of the sum: at most 10 that a
 * statement of an `op` may have, and RANK_MAX. */
enum { NEST_INDICES = RANK_MAX + 12, NEST_FACTORS = 6, NEST_ROWS = 64 };

typedef struct {
  int64_t c[NEST_INDICES], offset, divisor;
  int64_t extent;               /* places are 0 .. extent - 1 */
} NestRow;

typedef struct {
  int nindex, rank;             /* the first `rank` indices are those of the result */
  int64_t extent[NEST_INDICES];
  int nfactor;                  /* operands that are multiplied */
  int first[NEST_FACTORS + 1];  /* operand k has the rows from first[k] to first[k + 1] - 1 */
  int nrow;
  NestRow row[NEST_ROWS];
} Nest;

/* Smallest and largest value of the row's numerator over the box. */
void nest_bounds(const Nest *nest, const NestRow *row, int64_t *low, int64_t *high);
/* Is the row's place whole and inside for every index? */
bool nest_row_holds(const Nest *nest, const NestRow *row);

/* Samples in lanes whatever the family; results without a batch are row-major. */
void nest_plans(Plans *ps, const Node *n, const Nest *nest);
/* Result 0: the sum of products of the operands, over samples too where the result has no batch. */
void nest_sum(Lower *l, const Node *n, const Nest *nest);
/* As nest_sum with terms that count where the last operand equals the place of the last row. */
void nest_pick(Lower *l, const Node *n, const Nest *nest);
/* Result 0: the largest operand, 0 where no term counts; result 1: the row-major number of the
 * first such term among the indices behind the result's, -1 for none. A NaN is larger than numbers,
 * the last one the largest. */
void nest_max(Lower *l, const Node *n, const Nest *nest);

#endif
