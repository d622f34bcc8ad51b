/* Templates whose points read their operands elsewhere: borders, slices, transpositions, results of
 * whole rows. Each point of the result is computed by itself, lanes as the layout has them. */
#ifndef GRADC_KERNEL_MOVE_H
#define GRADC_KERNEL_MOVE_H

#include "lower/lower.h"

enum { MOVE_RESULTS = 2 };

typedef struct {
  Lower *l;
  const Node *n;
  Points p;                     /* p.c: the point of result 0 that is being computed */
  Buffer *reg;                  /* the point's value of each result */
} Move;

/* Plan of a node whose operands are batched like its result. Samples lie in the lanes, or blocks of
 * channels where `channels_stay`: a point reads its own channel only. Small batches go by rows.
 * Without a batch everything lies row-major. Costs count nothing. */
void move_plans(Plans *ps, const Node *n, bool channels_stay);

/* Computes the registers of the point k->p.c, which hold nothing to begin with. */
typedef void (*MovePoint)(Move *k, void *ctx);
/* The whole kernel of node n; `what` is the template's name. */
void move_lower(Lower *l, const Node *n, const char *what, MovePoint point, void *ctx);

LExpr *move_get(Move *k, int i);
void move_set(Move *k, int i, LExpr *v);
/* Index of the point on an axis that holds no lanes. */
LExpr *move_at(Move *k, int axis);
/* The element of v at c, as a real, as wide as the point. */
LExpr *move_load(Move *k, Value v, const Coord *c);
/* c with the axis at `by` less; the lanes' axis moves by whole blocks, the others lose their parts.
 * extent: of the axis in the value that is to be read. */
void move_shift(Lower *l, Coord *c, int axis, int64_t by, int64_t extent);

#endif
