/* The runner of passes: order, verification, dumps, timing. passes.def lists them. */
#ifndef GRADC_PASS_PASS_H
#define GRADC_PASS_PASS_H

#include "base/out.h"
#include "diag/source.h"
#include "ir/ctx.h"

/* What a pass works on. It rewrites graph in place and touches nothing else. */
typedef struct {
  Graph *graph;
  Mode mode;                    /* of the graph */
  const OpTable *ops;
  Arena *tmp;                   /* side arrays; thrown away by the caller of passes_run */
} PassCtx;

/* Each returns true when it changed the graph. */
bool pass_expand(PassCtx *c);
bool pass_simplify(PassCtx *c);
bool pass_fold(PassCtx *c);
bool pass_cse(PassCtx *c);
bool pass_dce(PassCtx *c);

/* Names are separated by commas; NULL: none. */
typedef struct {
  const char *print_after;      /* passes to print the program after; "all" */
  bool print_changed; /* print the graphs that a pass changed, and one line for those it did not */
  const char *stop_after;       /* one pass: nothing runs behind it */
  const char *skip;             /* GRAPH and KERNEL passes that do not run */
  bool time_passes;             /* a table of milliseconds a pass at the end */
  const SourceMap *sources;     /* for places in dumps; may be NULL */
} PassOptions;

/* NULL, or a message about a name that is no pass, with the nearest one. */
const char *passes_check(const PassOptions *o, Arena *a);
bool pass_skipped(const PassOptions *o, const char *name);
void passes_list(Out *out);                             /* a line for each pass: stage, name, doc */

/* Runs the MADE and GRAPH rows on every graph of p. Every pass is verified: a faulty graph is a bug
 * of the compiler, named by pass and node (exit 70). Dumps and times go to out. Returns false when
 * it stopped at stop_after. */
bool passes_run(Program *p, const OpTable *ops, const PassOptions *o, Arena *tmp, Out *out);
/* For KERNEL rows: prints the program if it was asked for; false: stop here. */
bool passes_after(const Program *p, const char *name, const PassOptions *o, Out *out);

#endif
