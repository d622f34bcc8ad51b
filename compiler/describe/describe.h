/* From the checked model and its module to the net's description as data: what the runtime reads, whether
 * it is printed as C tables, linked, or used in memory. */
#ifndef GRADC_DESCRIBE_DESCRIBE_H
#define GRADC_DESCRIBE_DESCRIBE_H

#include "diag/source.h"
#include "gradrt.h"
#include "loop/loop.h"
#include "lower/plan.h"
#include "sema/model.h"
#include "target/target.h"

typedef struct {
  const Model *model;
  const Module *module;
  const Layout *state;          /* by state id: the stored layouts */
  const Target *target;
  const SourceMap *sources;
  const char *version;
  const char *fingerprint;      /* of everything that decides the numbers; NULL: none yet */
  const char *spec;             /* text of the spec for reports; may be NULL */
  int passes, eval_passes;      /* of predict, of eval, with dropout; 0: without */
  Arena *arena;
} DescribeArgs;

const gradrt_net *describe(const DescribeArgs *a);
/* Only what reading the data needs: sources, splits, fields and which split trains. Asks neither
 * for a module nor for a target. */
const gradrt_net *describe_data(const DescribeArgs *a);

/* Indices of Model.output that the train and eval functions return after the loss, in their order: all
 * operands of all metrics. Returns how many; at most GRADRT_OUTPUTS_MAX - 1. */
int describe_outputs(const Model *m, int *index, Arena *a);

#endif
