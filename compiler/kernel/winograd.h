/* Winograd's minimal filtering F(4x4, 3x3) for 3x3 convolutions of stride 1, in channel blocks.
 *
 *   Y = A' [ sum over channels of (G g G') * (B' d B) ] A       for every 4x4 tile Y of the output
 *
 * d is the 6x6 patch of the input under the tile, g a filter; the products are those of 36 points
 * and a quarter of the 144 of the sum itself. The weight gradient is the transpose of the same
 * bilinear map: dg = G' [ sum over tiles of (B' d B) * (A dY A') ] G. The matrices interpolate at
 * 0, +-POINT_A, +-POINT_B and infinity.
 *
 * Shared by the templates: how a batch is cut into boxes of tiles and how images are
 * transformed. */
#ifndef GRADC_KERNEL_WINOGRAD_H
#define GRADC_KERNEL_WINOGRAD_H

#include "kernel/conv.h"
#include "kernel/tile.h"

enum { WINO_OUT = 4, WINO_IN = 6, WINO_POINTS = WINO_IN * WINO_IN };

/* How a batch of images is cut: a box is samples x rows x cols tiles that are transformed and
 * multiplied together. Decided by shape and batch alone. Tiles past the image or the batch are
 * zero. */
typedef struct {
  int64_t tiles[2];             /* of an image: rows, columns */
  int64_t samples, rows, cols;  /* tiles of a box */
  int64_t boxes[3];             /* of a full batch: along samples, rows, columns */
} TileGrid;

TileGrid winograd_grid(const ConvShape *s, ConvPass pass, int64_t batch, int lanes);
int64_t grid_box(const TileGrid *g);            /* tiles of a box */

/* Can the template compute this pass, whatever it costs? */
bool winograd_suits(const ConvShape *s);
/* In the units of Plan.cost. lanes: of a block. */
double winograd_cost(const ConvShape *s, ConvPass pass, int64_t batch, int lanes);
bool winograd_whole_rows(const ConvShape *s, ConvPass pass, int64_t batch, int lanes);

/* The convolution that a forward pass or an input gradient is: in, out, padding and channels. */
ConvShape winograd_gather(const ConvShape *s, ConvPass pass);

/* Channels of the weight gradient that a work item owns, in blocks, and parts of the batch that are
 * summed apart. Decided by shape and batch alone. */
typedef struct { int64_t out_blocks, in_blocks, shards; } GradCut;
GradCut winograd_grad_cut(const ConvShape *s, const TileGrid *g, int lanes);

/* What is transformed: patches of the input (6x6 at steps of 4) or tiles of the output's
 * gradient. */
typedef struct {
  Lower *l;
  const TileGrid *grid;
  Value image;                  /* [channels, rows, columns] */
  bool gradient;                /* 4x4 tiles through A, else 6x6 patches through B' */
  int64_t first[2];             /* row and column of the image where tile 0 begins */
  int64_t blocks;               /* channel blocks to transform */
  LExpr *block0;                /* the first of them */
  Buffer *columns;              /* LOCAL of transform_scratch elements */
  Buffer *to;                   /* formal: [36][block][tile of the box][lane], see point_stride */
} Transform;

/* Elements from one point of a transformed box to the next: one block more than there are, so that
 * the points do not meet in one set of the cache. */
int64_t point_stride(const Lower *l, int64_t blocks, int64_t tiles);
int64_t transform_scratch(const Lower *l, const TileGrid *g);
/* Transforms the box that begins at sample n0 and tile row, column (ty0, tx0). */
void transform_box(const Transform *t, LExpr *n0, LExpr *ty0, LExpr *tx0);

/* One-dimensional transforms of vectors; results are locals. */
void points_of_input(Build *b, LExpr *const d[6], LExpr *out[6]);       /* B' d */
void points_of_gradient(Build *b, LExpr *const y[4], LExpr *out[6]);    /* A y */
void points_of_weight(Build *b, LExpr *const g[3], LExpr *out[6]);      /* G g */
void output_of_points(Build *b, LExpr *const m[6], LExpr *out[4]);      /* A' m */
void weight_of_points(Build *b, LExpr *const m[6], LExpr *out[3]);      /* G' m */

/* Opens a loop from 0 to end - 1 and counts it; the constant 0 and no loop where it runs once. */
LExpr *count_begins(Build *b, const char *name, int64_t end, ForKind how, int *loops);
/* Opens a branch for the row of tiles ty of a sample where a box may pass the batch or the
 * image. */
bool box_row_begins(Lower *l, const TileGrid *g, LExpr *sample, LExpr *ty);

/* The templates; conv.h documents operands. */
void winograd_gather_pass(Lower *l, const Node *n, const ConvShape *s, ConvPass pass, Value x,
                          Value w,
                          Value bias);
void winograd_weight_grad(Lower *l, const Node *n, const ConvShape *s, Value dy, Value x);

#endif
