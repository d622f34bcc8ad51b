/* Private to verify.c: exact ranges of indices that are sums of constant multiples of loop
 * variables. */
#ifndef GRADC_LOOP_RANGE_H
#define GRADC_LOOP_RANGE_H

#include "loop/expr.h"

typedef struct Range Range;

Range *range_new(Arena *a, uint32_t next_id);
/* Enters a loop. True when its bounds are known and it runs at least once. */
bool range_loop(Range *r, const LVar *v, const LExpr *lo, const LExpr *hi, int64_t step);
void range_let(Range *r, const LVar *v,
               const LExpr *value); /* v stands for value where that is such a sum */
/* Smallest and largest value, both taken by some iteration; false when unknown. */
bool range_of(Range *r, const LExpr *e, int64_t *low, int64_t *high);

#endif
