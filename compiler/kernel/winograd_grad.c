/* Winograd's weight gradient.
 *
 *   S[p] = sum over tiles of (B' x B)[p] * (A dy A')[p]         36 points p
 *   dw   = G' S G
 *
 * A work item owns a few blocks of output and of input channels and goes through the boxes of tiles
 * in order, so that each sum is one chain of fma over the tiles; between boxes it lies in memory.
 * Where that makes few items, each sums over a fixed part of the boxes alone, a shard, and a second
 * kernel adds the shards by pairs before it transforms back. */
#include "kernel/winograd.h"

typedef struct {
  Lower *l;
  const Node *n;
  const ConvShape *c;
  Value dy, x;
  TileGrid g;
  GradCut cut;
  int64_t in_blocks, out_blocks;        /* of all channels */
  Tile tile;                    /* blocks of output channels x input channels */
  Buffer *patches, *tiles;      /* of a box: B' x B, A dy A' */
  Buffer *sums;                 /* [shard][item] of the arena, or of one item */
  Buffer *v, *z, *s, *acc, *columns;
  LExpr *shard, *og, *ig;       /* the item */
  LExpr *point, *j0, *r0, *t;   /* first output block and input channel of the register tile */
} WeightGrad;

static int64_t item_inputs(const WeightGrad *g) { return g->cut.in_blocks * g->l->block; }

/* One block between the points, as point_stride has. */
static int64_t sum_stride(const WeightGrad *g)
{
  return point_stride(g->l, g->cut.out_blocks, item_inputs(g));
}

static int64_t items_of(const WeightGrad *g)
{
  return g->out_blocks / g->cut.out_blocks * (g->in_blocks / g->cut.in_blocks);
}

/* Where the sums of an item begin. */
static LExpr *item_at(const WeightGrad *g, LExpr *shard)
{
  Build *b = g->l->b;
  if (g->cut.shards == 1)
    return l_int(b, 0);
  LExpr *item = l_add(b, l_muli(b, g->og, g->in_blocks / g->cut.in_blocks), g->ig);
  return l_muli(b, l_add(b, l_muli(b, shard, items_of(g)), item), WINO_POINTS * sum_stride(g));
}

static LExpr *load_tile(void *ctx, int j)
{
  WeightGrad *g = ctx;
  Build *b = g->l->b;
  int64_t box = grid_box(&g->g);
  LExpr *at = l_add(b, l_muli(b, l_addi(b, g->j0, j), box), g->t);
  LExpr *first = l_muli(b, g->point, point_stride(g->l, g->cut.out_blocks, box));
  at = l_add(b, first, l_muli(b, at, g->l->block));
  return l_load(b, g->z, at, g->l->block);
}

static LExpr *load_patch(void *ctx, int i)
{
  WeightGrad *g = ctx;
  Build *b = g->l->b;
  int64_t box = grid_box(&g->g), block = g->l->block;
  LExpr *rb = l_div(b, g->r0, l_int(b, block)), *r = l_mod(b, g->r0, l_int(b, block));
  LExpr *at = l_muli(b, l_add(b, l_muli(b, rb, box), g->t), block);
  at = l_add(b, l_muli(b, g->point, point_stride(g->l, g->cut.in_blocks, box)), l_add(b, at, r));
  return l_load(b, g->v, l_addi(b, at, i), 1);
}

static LExpr *sum_at(const WeightGrad *g, LExpr *shard, LExpr *point, LExpr *r, LExpr *j)
{
  Build *b = g->l->b;
  LExpr *at = l_muli(b, l_add(b, l_muli(b, r, g->cut.out_blocks), j), g->l->block);
  return l_add(b, item_at(g, shard), l_add(b, l_muli(b, point, sum_stride(g)), at));
}

static void clear_sums(WeightGrad *g)
{
  Build *b = g->l->b;
  int64_t end = WINO_POINTS * sum_stride(g);
  LExpr *at = l_var(b, l_loop(b, "at", l_int(b, 0), l_int(b, end), g->l->block, FOR_PLAIN));
  l_store(b, g->s, l_add(b, item_at(g, g->shard), at), l_splat(b, l_real(b, 0), g->l->block));
  l_end(b);
}

/* Adds the products of a box to the sums of the item. */
static void emit_products(WeightGrad *g)
{
  Lower *l = g->l;
  Build *b = l->b;
  g->point = l_var(b, l_loop(b, "p", l_int(b, 0), l_int(b, WINO_POINTS), 1, FOR_ROLLED));
  g->j0 = l_var(b, l_loop(b, "j", l_int(b, 0), l_int(b, g->cut.out_blocks), g->tile.nv,
                          FOR_ROLLED));
  g->r0 = l_var(b, l_loop(b, "r", l_int(b, 0), l_int(b, item_inputs(g)), g->tile.ns, FOR_ROLLED));
  LExpr *at = l_let(b, "at", sum_at(g, g->shard, g->point, g->r0, g->j0));
  for (int j = 0; j < g->tile.nv; j++)
    for (int i = 0; i < g->tile.ns; i++) {
      LExpr *place = l_addi(b, at, (i * g->cut.out_blocks + j) * l->block);
      reg_set(l, g->acc, j * g->tile.ns + i, l_load(b, g->s, place, l->block));
    }
  g->t = l_var(b, l_loop(b, "t", l_int(b, 0), l_int(b, grid_box(&g->g)), 1, FOR_ROLLED));
  tile_multiply(l, g->acc, g->tile, load_tile, load_patch, NULL, g);
  l_end(b);
  for (int j = 0; j < g->tile.nv; j++)
    for (int i = 0; i < g->tile.ns; i++) {
      LExpr *place = l_addi(b, at, (i * g->cut.out_blocks + j) * l->block);
      l_store(b, g->s, place, reg_get(l, g->acc, j * g->tile.ns + i));
    }
  for (int depth = 0; depth < 3; depth++)
    l_end(b);
}

/* Boxes of the item's shard, in order. */
static void emit_boxes(WeightGrad *g)
{
  Lower *l = g->l;
  Build *b = l->b;
  const ConvShape *c = g->c;
  LExpr *first = l_int(b, 0);
  LExpr *end = l_div(b, l_addi(b, l->n, g->g.samples - 1), l_int(b, g->g.samples));
  if (g->cut.shards > 1) {
    LExpr *next = l_muli(b, l_addi(b, g->shard, 1), g->g.boxes[0]);
    first = l_div(b, l_muli(b, g->shard, g->g.boxes[0]), l_int(b, g->cut.shards));
    end = l_let(b, "end", l_min(b, end, l_div(b, next, l_int(b, g->cut.shards))));
  }
  int loops = 1;
  LExpr *i = l_var(b, l_loop(b, "i", first, end, 1, FOR_ROLLED));
  LExpr *by = count_begins(b, "by", g->g.boxes[1], FOR_ROLLED, &loops);
  LExpr *bx = count_begins(b, "bx", g->g.boxes[2], FOR_ROLLED, &loops);
  LExpr *n0 = l_muli(b, i, g->g.samples);
  LExpr *ty0 = l_muli(b, by, g->g.rows), *tx0 = l_muli(b, bx, g->g.cols);
  Transform x = { .l = l, .grid = &g->g, .image = g->x, .first = { -c->pad[0], -c->pad[1] },
                  .blocks = g->cut.in_blocks, .block0 = l_muli(b, g->ig, g->cut.in_blocks),
                  .columns = g->columns, .to = g->v };
  Transform dy = { .l = l, .grid = &g->g, .image = g->dy, .gradient = true,
                   .blocks = g->cut.out_blocks,
                   .block0 = l_muli(b, g->og, g->cut.out_blocks), .columns = g->columns,
                   .to = g->z };
  transform_box(&x, n0, ty0, tx0);
  transform_box(&dy, n0, ty0, tx0);
  emit_products(g);
  while (loops-- > 0)
    l_end(b);
}

/* ---- results ---- */

/* Shards first to first + count - 1, a power of two, by pairs. */
static LExpr *sum_shards(WeightGrad *g, int64_t first, int64_t count, LExpr *point, LExpr *r,
                         LExpr *j)
{
  Build *b = g->l->b;
  if (count == 1)
    return l_load(b, g->s, sum_at(g, l_int(b, first), point, r, j), g->l->block);
  LExpr *low = sum_shards(g, first, count / 2, point, r, j);
  return l_add(b, low, sum_shards(g, first + count / 2, count / 2, point, r, j));
}

static void finish_weight(WeightGrad *g, LExpr *unit, LExpr *r, int ky, int kx, LExpr *value)
{
  Lower *l = g->l;
  Build *b = l->b;
  Coord c;
  coord_clear(&c);
  coord_add(&c, 0, unit, l->block, g->out_blocks);
  coord_add(&c, 0, NULL, 1, l->block);
  coord_set(&c, 1, r, g->c->ic);
  coord_set(&c, 2, l_int(b, ky), 3);
  coord_set(&c, 3, l_int(b, kx), 3);
  lower_finish(l, g->n, &c, &value, l->block);
}

/* dw of the item's channels. */
static void emit_results(WeightGrad *g)
{
  Lower *l = g->l;
  Build *b = l->b;
  int loops = 1;
  LExpr *j = count_begins(b, "j", g->cut.out_blocks, FOR_ROLLED, &loops);
  LExpr *first = l_muli(b, g->ig, item_inputs(g)), *end = l_int(b, item_inputs(g));
  if (g->c->ic % l->block)
    end = l_let(b, "end", l_min(b, end, l_sub(b, l_int(b, g->c->ic), first)));
  LExpr *r = l_var(b, l_loop(b, "r", l_int(b, 0), end, 1, FOR_ROLLED));
  LExpr *in[WINO_IN], *row[WINO_IN][3], *out[3];
  for (int p = 0; p < WINO_IN; p++) {
    for (int q = 0; q < WINO_IN; q++) {
      LExpr *point = l_int(b, p * WINO_IN + q);
      in[q] = l_let(b, "m", sum_shards(g, 0, g->cut.shards, point, r, j));
    }
    weight_of_points(b, in, row[p]);
  }
  LExpr *unit = l_let(b, "unit", l_add(b, l_muli(b, g->og, g->cut.out_blocks), j));
  for (int kx = 0; kx < 3; kx++) {
    for (int p = 0; p < WINO_IN; p++)
      in[p] = row[p][kx];
    weight_of_points(b, in, out);
    for (int ky = 0; ky < 3; ky++)
      finish_weight(g, unit, l_add(b, first, r), ky, kx, out[ky]);
  }
  while (loops-- > 0)
    l_end(b);
}

/* ---- kernels ---- */

static void open_summing(WeightGrad *g)
{
  Lower *l = g->l;
  Build *b = l->b;
  DType real = l->program->real;
  const char *shards = arena_printf(l->arena, "; %d shards of the batch", (int)g->cut.shards);
  const char *about = arena_printf(
      l->arena, "F(3x3, 4x4); boxes of %d x %d x %d tiles; %d output x %d input blocks an item; "
                "tile of %d x %d%s",
      (int)g->g.samples, (int)g->g.rows, (int)g->g.cols, (int)g->cut.out_blocks,
      (int)g->cut.in_blocks,
      g->tile.nv, g->tile.ns, g->cut.shards > 1 ? shards : "");
  lower_kernel(l, g->n, g->cut.shards > 1 ? "part" : "", "winograd", about);
  if (g->cut.shards > 1)        /* what is fused waits for the sums */
    l->kernel->about = about;
  g->v = lower_formal(l, g->patches, true);
  g->z = lower_formal(l, g->tiles, true);
  g->acc = l_registers(b, "acc", (int)real, l->block, (int64_t)g->tile.nv * g->tile.ns);
  g->columns = l_local(b, "columns", (int)real, transform_scratch(l, &g->g));
}

/* The kernel that sums; or the one that adds shards. */
static void emit_kernel(WeightGrad *g, bool summing)
{
  Lower *l = g->l;
  Build *b = l->b;
  bool sharded = g->cut.shards > 1;
  if (summing) {
    open_summing(g);
  } else {
    lower_kernel(l, g->n, "", "winograd.sum", "the shards' sums, added by pairs, transformed back");
    l->kernel->flops = 0;
  }
  g->s = lower_formal(l, g->sums, summing);
  const char *names[] = { "shard", "og", "ig" };
  int64_t extent[] = { summing ? g->cut.shards : 1, g->out_blocks / g->cut.out_blocks,
                       g->in_blocks / g->cut.in_blocks };
  LExpr *digit[3];
  items_begin(l, names, extent, 3, digit);
  g->shard = digit[0];
  g->og = digit[1];
  g->ig = digit[2];
  if (summing) {
    clear_sums(g);
    emit_boxes(g);
  }
  if (!summing || !sharded)
    emit_results(g);
  l_end(b);
  lower_kernel_end(l, l_int(b, extent[0] * items_of(g)));
}

void winograd_weight_grad(Lower *l, const Node *n, const ConvShape *s, Value dy, Value x)
{
  DType real = l->program->real;
  WeightGrad g = { .l = l, .n = n, .c = s, .dy = dy, .x = x };
  g.in_blocks = ceil_div(s->ic, l->block);
  g.out_blocks = ceil_div(s->oc, l->block);
  g.g = winograd_grid(s, CONV_WEIGHT_GRAD, l->program->batch, l->block);
  g.cut = winograd_grad_cut(s, &g.g, l->block);
  g.tile = tile_choose(l, g.cut.out_blocks, l->block, -4, -l->block);
  int64_t box = grid_box(&g.g), sums = WINO_POINTS * sum_stride(&g);
  g.patches = l_buffer(l->b, "patches", BUF_WORKER, real,
                       WINO_POINTS * point_stride(l, g.cut.in_blocks, box));
  g.tiles = l_buffer(l->b, "tiles", BUF_WORKER, real,
                     WINO_POINTS * point_stride(l, g.cut.out_blocks, box));
  if (g.cut.shards > 1)
    g.sums = l_buffer(l->b, "sums", BUF_ARENA, real, g.cut.shards * items_of(&g) * sums);
  else
    g.sums = l_buffer(l->b, "sums", BUF_WORKER, real, sums);
  emit_kernel(&g, true);
  if (g.cut.shards > 1)
    emit_kernel(&g, false);
}
