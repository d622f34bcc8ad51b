/* Which values a training step keeps from its forward to its backward pass, and which it computes a
 * second time instead. */
#ifndef GRADC_PASS_RECOMPUTE_H
#define GRADC_PASS_RECOMPUTE_H

#include "ir/graph.h"

/* What may be given up, by places in the graph, which are the ids of its nodes. */
typedef struct {
  const Graph *graph;
  Arena *arena;
  uint32_t nforward;            /* nodes below it come before every backward node */
  bool *saved;                  /* made forward, read backward: kept when nothing is given up */
  bool *cut;                    /* saved, and all that the rest of the forward pass needs */
  int64_t *bytes;               /* of the results of a node, without padding, for a full batch */
  uint32_t *choice, nchoice;    /* saved and worth giving up: most bytes for a FLOP first */
} Saved;

/* The nodes that a graph computes again, for a full batch. */
typedef struct {
  VEC(const Node *) nodes;
  double flops;
} Recomputed;

/* Looks at the training graph g after the graph passes; all memory in a. */
Saved *recompute_find(const Graph *g, Arena *a);
/* Everything saved but the first n choices. keep: by id, nforward of them. */
void recompute_keep_but(const Saved *s, uint32_t n, bool *keep);
/* Of the choices only those that cut the forward pass into parts of about equal bytes, and the last
 * part's. Returns how many parts there are: at most as many as asked for. */
int64_t recompute_keep_cuts(const Saved *s, int64_t parts, bool *keep);
typedef enum {
  RECOMPUTE_ONCE,               /* what is computed again stays until its last reader */
  RECOMPUTE_CHEAP_OFTEN         /* but elementwise functions of one value: anew for each reader */
} RecomputeHow;

/* The same step in p (its state, another arena) with what is not kept computed again, right before
 * its first backward reader: the same operations on the same operands, so the same bits. Nothing
 * that writes state is repeated. what: nodes of the new graph; NULL: not asked. */
Graph *recompute_graph(const Saved *s, const bool *keep, RecomputeHow how, Program *p,
                       Recomputed *what);

#endif
