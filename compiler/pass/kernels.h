/* Layouts and kernels of a whole program: which family every value is laid out in, where values are
 * converted, and which nodes share a kernel. */
#ifndef GRADC_PASS_KERNELS_H
#define GRADC_PASS_KERNELS_H

#include "diag/diag.h"
#include "loop/loop.h"
#include "lower/plan.h"

typedef struct {
  bool fuse;                    /* false: every node has its own kernel (--skip=fuse); the same bits */
  const char *family;           /* force "lanes" or "channels" (tests, bench); NULL: by cost */
  Transforms transforms;        /* what `numerics` allows */
} KernelOptions;

/* Chooses one family by the cost of the training graph (else of the first one there is), rebuilds the
 * graphs of p with explicit relayout nodes where an operand is needed in another layout, and groups nodes
 * into kernels. out[h]: decisions of train, eval, infer; NULL where p has no such graph. */
bool decide_kernels(Program *p, const KernelOptions *o, Arena *a, Diag *d, Decisions *out[HOST_COUNT]);

/* What KernelOptions.family calls it. */
const char *family_name(Family f);

/* Groups the nodes of g; part of decide_kernels, in fuse.c. Fills place and anchor. */
void fuse_nodes(const Graph *g, Decisions *d, bool fuse, Arena *a);

#endif
