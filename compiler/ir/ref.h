/* The float64 reference interpreter: runs a graph with naive loops in plain C doubles. It is the oracle
 * of all tests and shares no code with lowering. */
#ifndef GRADC_IR_REF_H
#define GRADC_IR_REF_H

#include "ir/op.h"

/* Row-major values; a batched tensor holds n blocks of elems values. */
struct RefTensor {
  Type type;
  int64_t n;                    /* samples: n of the run if batched, else 1 */
  int64_t elems;                /* per sample */
  double *v;
};

struct RefCtx {
  Arena *arena;
  int64_t n;
  const double *args;           /* by StepArg */
  const uint32_t *sample;       /* id of each of the n samples (random numbers are keyed by it) */
  double **state;               /* by state id: row-major current values */
  double **field;               /* by field: n rows */
};

/* Runs every node of g in order. out[i] receives the values of g->outputs[i]; afterwards the writes are
 * applied to ctx->state. */
void ref_run(RefCtx *ctx, const Graph *g, RefTensor **out);
/* As ref_run, keeping the value of every node: values[node id][result]. */
RefTensor ***ref_run_all(RefCtx *ctx, const Graph *g);
/* Runs one node on given operands (NULL: not given); out[r] receives its results. */
void ref_node(RefCtx *ctx, const Node *n, RefTensor *const *in, RefTensor **out);
int64_t ref_elems(const RefTensor *t);          /* n * elems */

#endif
