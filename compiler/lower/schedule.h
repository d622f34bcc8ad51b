/* Order, phases and memory of a step: from a list of kernel calls to a host function. */
#ifndef GRADC_LOWER_SCHEDULE_H
#define GRADC_LOWER_SCHEDULE_H

#include "lower/lower.h"

/* Anchors of the graph in the order their kernels run: dependencies first, state updates last. */
uint32_t *schedule_order(const Lower *l, uint32_t *count);

/* A call in its place. */
typedef struct {
  Call *call;
  int phase;                    /* all workers meet between two phases */
  int64_t span;                 /* > 0: they meet before it within the phase, unless each has a whole number
                                   of runs of so many samples */
} Slot;
typedef VEC(Slot) Slots;
/* l->calls in the order they run. True: the step is small. */
bool schedule_phases(const Lower *l, Slots *slots);
/* Gives ARENA buffers their offsets; returns the bytes of the arena. */
int64_t schedule_memory(const Lower *l, const Slots *slots, bool small);
/* The same for BUF_WORKER buffers and the scratch of one worker. */
int64_t schedule_scratch(const Lower *l);
/* Places the buffers of l->calls, inserts barriers between phases and appends the host function. */
void schedule_host(Lower *l, LVar *host_n);

#endif
