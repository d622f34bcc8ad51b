/* Winograd: where it suits, what it costs, how a batch is cut into boxes of tiles. */
#include "kernel/winograd.h"

bool winograd_suits(const ConvShape *s)
{
  bool suits = s->groups == 1;
  for (int a = 0; a < 2; a++) {
    int64_t behind = s->out[a] + 2 - s->pad[a] - s->in[a];      /* zeros after the image */
    suits = suits && s->k[a] == 3 && s->stride[a] == 1 && s->dilation[a] == 1 && s->pad[a] >= 0 &&
            s->pad[a] <= 2 && behind >= 0 && behind <= 2;
  }
  return suits;
}

ConvShape winograd_gather(const ConvShape *s, ConvPass pass)
{
  ConvShape g = *s;
  if (pass != CONV_INPUT_GRAD)
    return g;
  g.ic = s->oc;
  g.oc = s->ic;
  for (int a = 0; a < 2; a++) {
    g.in[a] = s->out[a];
    g.out[a] = s->in[a];
    g.pad[a] = 2 - s->pad[a];
  }
  return g;
}

/* ---- boxes ---- */

/* Tiles of a box, at most, and columns of a strip: its columns stay in the first cache. */
enum { BOX_MAX = 32, COLS_MAX = 12, BOX_BYTES = 640 << 10 };

int64_t grid_box(const TileGrid *g) { return g->samples * g->rows * g->cols; }

/* Tiles of a box whose patches of so many channel blocks stay in the second cache. */
static int64_t box_most(int64_t blocks)
{
  int64_t most = BOX_BYTES / (WINO_POINTS * 64 * blocks);
  return max_i64(4, min_i64(BOX_MAX, most));
}

static TileGrid grid_of(const int64_t tiles[2], int64_t batch, int64_t samples, int64_t rows,
                        int64_t cols)
{
  return (TileGrid){ .tiles = { tiles[0], tiles[1] }, .samples = samples, .rows = rows,
                     .cols = cols,
                     .boxes = { ceil_div(batch, samples), ceil_div(tiles[0], rows),
                                ceil_div(tiles[1], cols) } };
}

/* Tiles that all boxes of a full batch hold. */
static int64_t grid_tiles(const TileGrid *g)
{
  return g->boxes[0] * g->boxes[1] * g->boxes[2] * grid_box(g);
}

/* Every box passes once over all transformed weights. */
static double grid_cost(const TileGrid *g)
{
  static const double weights = 3;      /* in tiles: what a box pays for that */
  return (double)grid_tiles(g) * (1 + weights / (double)grid_box(g));
}

static TileGrid grid_choose(const int64_t out[2], int64_t batch, int64_t most)
{
  int64_t tiles[2] = { ceil_div(out[0], WINO_OUT), ceil_div(out[1], WINO_OUT) };
  int64_t cols = ceil_div(tiles[1], ceil_div(tiles[1], min_i64(COLS_MAX, most)));
  TileGrid best = grid_of(tiles, batch, 1, 1, cols);
  for (int64_t rows = 1; rows <= tiles[0] && rows * cols <= most; rows++)
    for (int64_t samples = 1; samples <= batch && samples * rows * cols <= most; samples++) {
      TileGrid g = grid_of(tiles, batch, samples, rows, cols);
      bool whole = rows == tiles[0] && cols == tiles[1];
      if ((whole || samples == 1) && grid_cost(&g) < grid_cost(&best))
        best = g;
    }
  return best;
}

TileGrid winograd_grid(const ConvShape *s, ConvPass pass, int64_t batch, int lanes)
{
  ConvShape c = winograd_gather(s, pass);
  int64_t most = pass == CONV_WEIGHT_GRAD ? BOX_MAX : box_most(ceil_div(c.ic, lanes));
  return grid_choose(c.out, batch, most);
}

/* ---- the weight gradient ---- */

/* Blocks of sums that an item holds, and items when all workers of a usual machine are to have
 * some. */
enum { SUMS_MAX = 8, ITEMS_MIN = 8 };

static int64_t largest_divisor(int64_t n, int64_t most)
{
  int64_t d = min_i64(n, most);
  while (n % d)
    d--;
  return d;
}

GradCut winograd_grad_cut(const ConvShape *s, const TileGrid *g, int lanes)
{
  int64_t out = ceil_div(s->oc, lanes), in = ceil_div(s->ic, lanes);
  GradCut c = { .out_blocks = largest_divisor(out, 4), .shards = 1 };
  c.in_blocks = largest_divisor(in, SUMS_MAX / c.out_blocks);
  int64_t items = out / c.out_blocks * (in / c.in_blocks);
  while (items * c.shards < ITEMS_MIN && c.shards * 2 <= g->boxes[0])
    c.shards *= 2;
  return c;
}

/* ---- cost ---- */

/* Vector multiply-adds that the transforms of one tile of one block take, on the reference
 * machine. */
enum { PATCH_COST = 170, OUTPUT_COST = 280, WEIGHT_COST = 200 };

/* Transformed weights of more bytes leave the caches between being made and being read; of the
 * gradients no more is lost by that than elsewhere. */
enum { WEIGHTS_NEAR = 2 << 20 };
static const double far_cost = 0.4;     /* of each further byte */

double winograd_cost(const ConvShape *s, ConvPass pass, int64_t batch, int lanes)
{
  ConvShape c = winograd_gather(s, pass);
  double in = (double)ceil_div(c.ic, lanes), out = (double)ceil_div(c.oc, lanes);
  TileGrid g = winograd_grid(s, pass, batch, lanes);
  double channels = pass == CONV_WEIGHT_GRAD ? in * lanes : (double)c.ic;
  double products = WINO_POINTS * channels * out / 0.85;
  double weights = (double)c.ic * out * WEIGHT_COST;
  double bytes = WINO_POINTS * 64 * (double)c.ic * out;
  if (pass == CONV_FORWARD && bytes > WEIGHTS_NEAR)
    weights += far_cost * (bytes - WEIGHTS_NEAR);
  if (pass != CONV_WEIGHT_GRAD)
    return (double)grid_tiles(&g) * (products + in * PATCH_COST + out * OUTPUT_COST) + weights;
  GradCut cut = winograd_grad_cut(s, &g, lanes);
  double patches = in * PATCH_COST * out / (double)cut.out_blocks;
  double tiles = out * PATCH_COST * in / (double)cut.in_blocks;
  return (double)grid_tiles(&g) * (products + patches + tiles) + weights * (double)cut.shards;
}

bool winograd_whole_rows(const ConvShape *s, ConvPass pass, int64_t batch, int lanes)
{
  return pass != CONV_WEIGHT_GRAD && winograd_grid(s, pass, batch, lanes).boxes[2] == 1;
}
