/* Decisions taken before loops exist: the layout of every value and which nodes share a kernel.
 *
 * Families are the layouts a whole net may run in. An operation offers a Plan per family it has a kernel
 * for; the layout pass sums the costs and picks one. Costs use fixed reference constants, so the choice,
 * and with it every bit of the result, depends on the spec alone. */
#ifndef GRADC_LOWER_PLAN_H
#define GRADC_LOWER_PLAN_H

#include "ir/op.h"
#include "loop/loop.h"

typedef enum {
  FAMILY_LANES,         /* batch in lanes: [n/16][C][H][W][n%16] */
  FAMILY_CHANNELS,      /* channel blocks: [n][C/16][H][W][C%16] */
  FAMILY_COUNT
} Family;

/* How one node is computed in one family. */
struct Plan {
  Family family;
  const char *algorithm;        /* "stencil, batch in lanes": the template's name for summary and tests */
  double cost;                  /* vector multiply-adds of a full batch on the reference machine, roughly */
  Layout in[8], out[8];         /* required layouts; n == 0: whatever the value has (in), the family's own (out) */
  bool sample_lanes;            /* its lanes hold samples whatever the family */
  int64_t windows;              /* cells of a row of windows that its template can hold; 0: none */
  bool rows;                    /* its template makes row by row: rows may be read behind it */
  int64_t grid;                 /* of tiles of the image; windows must divide it; 0: by pixels */
};

/* Products of transformed tiles, which round otherwise than the sums they stand for. */
typedef enum {
  TRANSFORM_NEVER,
  TRANSFORM_BY_COST,
  TRANSFORM_ALWAYS      /* wherever it can be (tests) */
} Transforms;

struct Plans {
  Arena *arena;
  const Program *program;
  int block;                    /* lanes of a block: 16 (f32) or 8 (f64) */
  Family family;                /* the family asked about */
  Transforms transforms;
  const Layout *in_layout;      /* current layout of each operand in that family; NULL before layouts are known */
  bool found;
  Plan plan;
};
/* Called by plans hooks: offers p for p->family (ignored unless it is the family asked about). */
void plans_offer(Plans *ps, const Plan *p);

/* The family's own layout of a value of type t; batch: the largest n. */
Layout family_layout(Family f, const Type *t, int block, int64_t batch);
/* [n][C/16]..[C%16] whatever C is: what templates with channel lanes write. Rank >= 1. */
Layout blocked_layout(const Type *t, int block, int64_t batch);
/* The layout of a view of a value: same buffer, digits rewritten for the new dims. False: not expressible. */
bool view_layout(const Layout *from, const Type *from_type, const Type *to_type, Layout *to);

/* Which kernel computes a node. */
typedef enum {
  PLACE_KERNEL,         /* the anchor of a kernel of its own */
  PLACE_EPILOGUE,       /* an elementwise node finished inside its anchor's kernel */
  PLACE_WINDOW,         /* combines windows of its anchor's results, inside the anchor's kernel */
  PLACE_ROWS,           /* reduces rows of its anchor's results, inside the anchor's kernel */
  PLACE_INLINE,         /* recomputed where it is loaded: sources, constants, cheap scalars, and
                           what only shows elements elsewhere */
  PLACE_VIEW            /* the operand's buffer under another layout */
} Placement;

typedef struct {
  Family family;
  Placement *place;                /* by node id */
  uint32_t *anchor;             /* by node id: whose kernel computes it (itself for anchors) */
  uint32_t *head;               /* by node id: at whose points in its kernel it is computed: the
                                   anchor's or those of the window node behind it */
  Plan **plan;                  /* by node id: of NEST nodes, else NULL */
  Layout **layout;              /* by node id: one per result; n == 0 for inlined values */
  Layout *state;                /* by state id */
} Decisions;

#endif
