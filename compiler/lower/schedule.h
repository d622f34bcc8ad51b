/* Order, phases and memory of a step: from a list of kernel calls to a host function. */
#ifndef GRADC_LOWER_SCHEDULE_H
#define GRADC_LOWER_SCHEDULE_H

#include "lower/lower.h"

/* Anchors of the graph in the order their kernels run: dependencies first, state updates last. */
uint32_t *schedule_order(const Lower *l, uint32_t *count);
/* Places the ARENA buffers of l->calls, inserts barriers between phases and appends the host function. */
void schedule_host(Lower *l, LVar *host_n);

#endif
