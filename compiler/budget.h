/* The memory budget of a training step: what to recompute so that it fits. */
#ifndef GRADC_BUDGET_H
#define GRADC_BUDGET_H

#include "diag/diag.h"
#include "lower/lower.h"
#include "pass/kernels.h"
#include "pass/recompute.h"

typedef struct {
  int64_t limit;                /* bytes that the arena may have */
  Span at;                      /* where the spec says so */
  int64_t before, after;        /* bytes of the training step's arena: all kept, and as it is now */
  bool compact;                 /* small steps are planned like large ones (LowerArgs) */
  Recomputed again;             /* in the training step; no nodes: all is kept */
} Budget;

typedef struct {
  const LowerArgs *lower;       /* program after decide_kernels, with its decisions */
  const Program *graphs;        /* the program as it was before, for another try */
  const KernelOptions *kernels; /* with which it was decided */
} BudgetArgs;

/* Makes the arena of lower->program (the largest of its functions) at most b->limit bytes, if need
 * be by a compact plan and by recomputation in the training step: then the graphs of the program
 * and `decisions` are new ones. The layout family stays, and so do all bits of the result. False:
 * reported, E0605. */
bool budget_meet(const BudgetArgs *a, Budget *b, Decisions *decisions[HOST_COUNT]);

#endif
