/* A recurrent layer with few samples: where samples would leave most lanes empty, lanes hold rows
 * of w or units, in the products of both directions and in the cells forward. The same chains of
 * sums and the same arithmetic, so the same bits. What cells read and make is turned in squares of
 * a block of units x a block of samples. */
#ifndef GRADC_KERNEL_RECUR_FEW_H
#define GRADC_KERNEL_RECUR_FEW_H

#include "kernel/recur.h"
#include "kernel/tile.h"

enum { RECUR_MADE = 8 };        /* vectors that a cell stores, at most */

/* What the cells of a block of units have made: gate q of a result, a vector for each sample. */
typedef struct {
  uint32_t result;
  int q;
  LExpr *vector[LANES_MAX];
} RecurMade;

struct RecurFew {
  Lower *l;
  const Recur *r;
  bool back;
  int64_t outputs, inputs;      /* forward: rows of w and units; backward: the other way round */
  Tile tile;                    /* vectors of outputs x samples of a group */
  Buffer *acc, *columns;        /* columns: w column by column, padded to blocks; forward */
  Buffer *turn, *sums;          /* state [input][sample] and products [output][sample]; forward
                                   [sample][input] and [sample][output] */
  Buffer *second;               /* forward: the second state, [sample][unit]; NULL: there is none */
  LExpr *from, *to;             /* where the state that a step reads or makes begins in turn */
  LExpr *first, *k;             /* block of outputs, input */
  LExpr *group, *step;
  LExpr *unit;                  /* the first of the block of units whose cells run */
  LExpr **in[RECUR_GATES];      /* gates of their operand x, a vector for each sample */
  RecurMade made[RECUR_MADE];
  int nmade;
};

/* Is the batch so small that it pays? */
bool recur_is_few(const Lower *l);
/* Vectors of scratch for a state [units] of all samples. */
int64_t recur_few_vectors(const Lower *l, int64_t units);
/* In the open kernel, before its loops: makes scratch and fills it. */
RecurFew recur_few_begin(Lower *l, const Recur *r, bool back, Buffer *turn);
/* Forward: elements between the products of two samples. */
int64_t recur_few_line(const RecurFew *f);
/* Emits the products of a step with the state at f->from. */
void recur_few_multiply(RecurFew *f);
/* Backward: the product of an output, lanes hold samples. */
LExpr *recur_few_sum(const RecurFew *f, LExpr *output);

/* ---- recur_few_cells.c: forward ---- */
/* Before the first step: a state becomes the group's rows [R, H], or zeros. */
void recur_few_start(const RecurFew *f, Buffer *to, Value rows);
/* Emits the cells of a step; f->group, f->step, f->from and f->to say which. */
void recur_few_cells(RecurFew *f);
/* After the last step: a state at `at` becomes a result [H] if anybody reads it. */
void recur_few_end(const RecurFew *f, uint32_t result, Buffer *from, int64_t at);
/* recur_load, recur_store and recur_finish of such cells. */
LExpr *recur_few_load(const RecurPoint *p, Value v, int q);
void recur_few_keep(const RecurPoint *p, uint32_t result, int q, LExpr *e);

#endif
