/* Lowering: from a graph with decided layouts and kernels to loop IR.
 *
 * A template reads operands through lower_load (the prologue: inlined nodes are evaluated there) and hands
 * results to lower_finish (the epilogue: fused elementwise nodes, then stores of what others need). Both
 * take logical coordinates; the index into the buffer follows from the value's layout. */
#ifndef GRADC_LOWER_LOWER_H
#define GRADC_LOWER_LOWER_H

#include "diag/diag.h"
#include "loop/build.h"
#include "lower/plan.h"
#include "lower/tiles.h"
#include "target/target.h"

/* ---- coordinates ---- */
/* A logical index on one axis is the sum of its parts' e * div, with 0 <= e < extent. The part with e NULL
 * is the lane: it takes `extent` consecutive values across the vector. */
enum { PARTS_MAX = 4 };
typedef struct { LExpr *e; int64_t div, extent; } Part;
struct Coord {
  int n[RANK_MAX + 1];
  Part part[RANK_MAX + 1][PARTS_MAX];   /* by axis + 1: AXIS_BATCH is 0 */
};

void coord_clear(Coord *c);
void coord_set(Coord *c, int axis, LExpr *e, int64_t extent);           /* the axis is e, 0 <= e < extent */
void coord_add(Coord *c, int axis, LExpr *e, int64_t div, int64_t extent);      /* one more part; e NULL: the lane */
void coord_drop(Coord *c, int axis);
/* Whole logical index on an axis; the lane counts 0. */
LExpr *coord_index(Build *b, const Coord *c, int axis);
int coord_lane_axis(const Coord *c);            /* axis of the lane part; RANK_MAX when there is none */

typedef enum { ACCESS_SAME, ACCESS_VECTOR, ACCESS_STRIDED } Access;
/* Element offset of lane 0 under a layout, and how the lanes lie. */
LExpr *layout_index(Build *b, const Layout *l, const Coord *c, Access *how);

/* ---- the context ---- */
typedef struct {
  const Kernel *kernel;
  const Node *node;             /* the anchor */
  VEC(Buffer *) arg;
  LExpr *items;                 /* number of work items as an expression of the host's n */
  int64_t span;                 /* samples dealt out together; 0: items are no parts of the batch */
} Call;

struct Lower {
  Arena *arena;
  Diag *diag;
  const SourceMap *sources;
  const OpTable *ops;
  const Target *target;
  Program *program;
  Module *module;
  Build *b;
  int block;
  bool compact;                 /* as in LowerArgs */
  Tiles *tiles;                 /* as in LowerArgs */
  /* of the function being lowered */
  const Graph *graph;
  const Decisions *d;
  HostKind host;
  Buffer ***buffer;             /* by node id: one per result; NULL: not materialised */
  Buffer **state;               /* by state id; shared by all functions */
  Buffer **rows;                /* by field; shared */
  Buffer *ids, *args;
  VEC(const char *) texts;      /* of the module's kernels, in order, to find equal ones */
  VEC(Call *) calls;
  LVar *host_n;                 /* n of the host function, for item counts */
  /* of the kernel being built */
  const Node *anchor;
  Kernel *kernel;
  Call *call;
  LExpr *n;                     /* samples in the batch, in kernel scope */
  LExpr *flat;                  /* not NULL: every operand is read at this element offset (same layout everywhere) */
  int64_t flat_limit;           /* elements of the flat result when its last block is not full; else 0 */
  LExpr *sample;                /* not NULL: the sample at which operands without batch lanes are read */
  LExpr ***drawn;               /* not NULL: four elements sharing random words are being made; by
                                   node id: the words, or NULL */
  int drawn_word;               /* which of the four */
  LExpr ***have;                /* by node id, result: values known at the current point; NULL outside a finish */
};

/* ---- kernels ---- */
/* Opens the kernel of an anchor. Name: layer path and suffix ("dw"); about: one line on tile and layout. */
void lower_kernel(Lower *l, const Node *anchor, const char *suffix, const char *template_name, const char *about);
void lower_kernel_end(Lower *l, LExpr *items);  /* items: an expression made with lower_host_n */
/* Of the open kernel: each `span` samples are equally many items, in the order of the batch, and
 * of batched values an item touches those of its own samples alone. */
void lower_by_samples(Lower *l, int64_t span);
LExpr *lower_groups(Lower *l, LExpr *n);        /* (n + block - 1) / block */
LExpr *lower_host_n(Lower *l);                  /* n in host scope, for items */
/* The formal that stands for a buffer in the kernel being built. */
Buffer *lower_formal(Lower *l, Buffer *b, bool written);

/* ---- operands and results ---- */
const Layout *lower_layout(Lower *l, Value v);
bool lower_is_real(Value v);
bool lower_is_stored(const Lower *l, Value v);  /* does a later kernel or the state read v? */
/* Value of v at c: `lanes` wide when it varies over the lanes, else scalar. Strided accesses are a bug
 * here: ask lower_access first. */
LExpr *lower_load(Lower *l, Value v, const Coord *c, int lanes);
Access lower_access(Lower *l, Value v, const Coord *c);         /* worst over what an inlined value reads */
/* Element of a materialised value with no regard to lanes, in its own element type. */
LExpr *lower_load_scalar(Lower *l, Value v, const Coord *c);
/* Coordinates of an operand of type `from` for a result of type `to` at c, by the broadcasting rules. */
Coord broadcast_coord(const Coord *c, const Type *from, const Type *to);
/* Hands over results of n, the anchor or the window node fused behind it, at c; runs the nodes that
 * are computed at n's points and stores what is needed. Returns what the window node reads, or NULL. */
LExpr *lower_finish(Lower *l, const Node *n, const Coord *c, LExpr *const *result, int lanes);
/* The window node fused behind the anchor n, or NULL. */
const Node *lower_window(const Lower *l, const Node *n);
/* Is anything fused behind whole rows of the anchor n? */
bool lower_has_rows(const Lower *l, const Node *n);
/* Computes what is fused behind rows of the anchor n: the row at c, which leaves the last axis
 * open, is complete. */
void lower_rows(Lower *l, const Node *n, const Coord *c);
/* As lower_finish for padding: stores zero into everything the kernel materialises. */
void lower_finish_zero(Lower *l, const Node *n, const Coord *c);
/* The scalar hook of an elementwise node over operand values x at c. */
LExpr *lower_scalar(Lower *l, const Node *n, LExpr **x, const Coord *c, int lanes);
void lower_store(Lower *l, Value v, const Coord *c, LExpr *value);      /* bare store into v's buffer */
/* A square of block vectors: result j holds lane j of each row. Uses up the array. */
LExpr **lower_turn(Lower *l, LExpr **row);

/* ---- loops over all points of a value ---- */
typedef struct {
  Coord c;
  int lanes;                    /* 1: no lane part */
  int depth;                    /* loops to close */
  LExpr *items;                 /* for lower_kernel_end */
} Points;
/* Opens loops over every point of layout for type t; the first non-lane digits become the work items.
 * scalar: no lane part even where the layout has block lanes; padding is then skipped by points_inside. */
void points_begin(Lower *l, Points *p, const Type *t, const Layout *layout, bool scalar);
void points_end(Lower *l, Points *p);
/* Condition that a point is no padding, its lanes aside; NULL: there is none. */
LExpr *points_inside(Lower *l, const Points *p, const Type *t, const Layout *layout);
void lower_ewise(Lower *l, const Node *anchor);         /* the kernel of an elementwise anchor and its group */
/* Lanes of the batch that hold samples: a vector of booleans, or NULL when every lane does (no batch lanes). */
LExpr *lower_batch_mask(Lower *l, const Coord *c, int lanes);

/* True when n's result must be made zero past the batch: its operands are not batched, or it is OP_MASKED. */
bool lower_starts_batch(const Node *n);

/* ---- whole programs ---- */
typedef struct {
  Program *program;
  const OpTable *ops;
  const Target *target;
  const SourceMap *sources;
  Arena *arena;
  Diag *diag;
  const Decisions *decisions[HOST_COUNT];       /* per graph: train, eval, infer */
  bool compact;                 /* little memory before few barriers; the same bits */
  Tiles *tiles;                 /* measured tiles to use, record of choices; NULL: neither */
} LowerArgs;
Module *lower_program(const LowerArgs *a);      /* NULL: reported */

#endif
