/* Macro expansion, and the copy of a model's forward graph that one function needs. */
#ifndef GRADC_PASS_EXPAND_H
#define GRADC_PASS_EXPAND_H

#include "ir/ctx.h"

/* Makes a graph of p called `name` that computes values[0..n) of `forward` and nothing else; they
 * are replaced by the values of the new graph. Macros that behave differently in training and
 * evaluation, and those that have no gradient of their own, are expanded for the mode; in MODE_EVAL
 * all are. Statistics that expanded macros keep become writes. The forward graph is not changed. */
Graph *pass_specialize(Program *p, const Graph *forward, Mode mode, const OpTable *ops,
                       const char *name, Value *values, int n);

/* Moves what keeps order behind what picks the largest, see pick.c; part of pass_specialize, as the
 * gradient follows it. In place; true: something changed. */
bool pick_before_clamp(Graph *g);

/* Expands every macro that is left, in place; true: something changed. */
bool expand_all(Graph *g, Mode mode, const OpTable *ops);

/* The evaluation graph: outputs out[i] of `forward` under out_name[i], the first of them the loss
 * of each sample. */
Graph *eval_graph(Program *p, const Graph *forward, const Value *out, const char *const *out_name,
                  int nout, const OpTable *ops);
/* The same for samples by themselves: what batches of evaluation hand on is not there. It is called
 * "eval", too; the caller renames it. */
Graph *infer_graph(Program *p, const Graph *forward, const Value *out, const char *const *out_name,
                   int nout, const OpTable *ops);
/* The same with dropout at work, drawn by seed, epoch and row. */
Graph *sample_graph(Program *p, const Graph *forward, const Value *out,
                    const char *const *out_name, int nout, const OpTable *ops);

#endif
