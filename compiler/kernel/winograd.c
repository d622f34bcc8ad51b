/* Winograd's forward pass and input gradient.
 *
 *   U[p] = G w G'             a kernel of its own, once a step
 *   V[p] = B' x B             of a box of tiles, all its channels, in a worker's scratch
 *   M[p] = sum over c of U[p, c] * V[p, c]          for a few output blocks of the box
 *   y    = A' M A + bias      row by row, finished as every convolution is
 *
 * p runs over 36 points. A product is a chain of fma in the order of c, whatever the tile. The
 * input gradient is the same with the weights turned around and their channels exchanged. With a
 * window node fused behind, finished rows of a strip wait in an array of the nearest cache. */
#include "kernel/winograd.h"

typedef struct {
  Lower *l;
  const Node *n;
  ConvShape c;                  /* as a forward convolution */
  Value in, w, bias;
  bool flip;                    /* w is indexed [reduced, produced], the input gradient */
  int64_t units, blocks;        /* blocks of produced and of reduced channels */
  TileGrid g;
  Tile tile;                    /* blocks of produced channels x tiles */
  Buffer *weights, *patches, *sums;     /* U [36][unit / nv][c][unit % nv][lane], V, M */
  Buffer *u, *v, *m, *acc, *columns;
  const Node *window;           /* fused behind n, or NULL; then: */
  int64_t wk[2];                /* cells of a window */
  Buffer *cells;                /* [4][columns of a strip][lane] */
  bool behind;                  /* something is fused behind its rows */
  /* the current place */
  LExpr *n0, *ty0, *tx0;        /* the box */
  LExpr *group, *point, *rb, *r; /* group of tile.nv units */
  LExpr *t0;                    /* first tile of the register tile */
  LExpr *sample, *ty, *strip, *unit;
} Gather;

/* ---- weights ---- */

static LExpr *load_tap(const Gather *w, LExpr *unit, LExpr *c, int ky, int kx)
{
  Lower *l = w->l;
  Coord at;
  coord_clear(&at);
  int axis = w->flip ? 1 : 0;
  coord_add(&at, axis, unit, l->block, w->units);
  coord_add(&at, axis, NULL, 1, l->block);
  coord_set(&at, 1 - axis, c, w->c.ic);
  coord_set(&at, 2, l_int(l->b, w->flip ? 2 - ky : ky), 3);
  coord_set(&at, 3, l_int(l->b, w->flip ? 2 - kx : kx), 3);
  return lower_load(l, w->w, &at, l->block);
}

/* The place of U[point 0] of a channel pair. */
static LExpr *weight_at(const Gather *w, LExpr *group, LExpr *c, LExpr *j)
{
  Build *b = w->l->b;
  LExpr *at = l_add(b, l_muli(b, group, w->c.ic), c);
  return l_muli(b, l_add(b, l_muli(b, at, w->tile.nv), j), w->l->block);
}

static int64_t weight_stride(const Gather *w) { return point_stride(w->l, w->units, w->c.ic); }

static void emit_weights(Gather *w)
{
  Lower *l = w->l;
  Build *b = l->b;
  lower_kernel(l, w->n, "points", "winograd.weights", "");
  l->kernel->about = "weights at the 36 points; lanes hold output channels";
  l->kernel->flops = 0;
  const char *names[] = { "unit", "c" };
  int64_t extent[] = { w->units, w->c.ic };
  LExpr *digit[2], *g[3], *row[3][WINO_IN], *out[WINO_IN];
  items_begin(l, names, extent, 2, digit);
  Buffer *to = lower_formal(l, w->weights, true);
  for (int ky = 0; ky < 3; ky++) {
    for (int kx = 0; kx < 3; kx++)
      g[kx] = l_let(b, "g", load_tap(w, digit[0], digit[1], ky, kx));
    points_of_weight(b, g, row[ky]);
  }
  LExpr *group = l_div(b, digit[0], l_int(b, w->tile.nv));
  LExpr *j = l_mod(b, digit[0], l_int(b, w->tile.nv));
  LExpr *at = l_let(b, "at", weight_at(w, group, digit[1], j));
  for (int p = 0; p < WINO_IN; p++) {
    points_of_weight(b, (LExpr *[]){ row[0][p], row[1][p], row[2][p] }, out);
    for (int q = 0; q < WINO_IN; q++)
      l_store(b, to, l_addi(b, at, (q * WINO_IN + p) * weight_stride(w)), out[q]);
  }
  l_end(b);
  lower_kernel_end(l, l_int(b, w->units * w->c.ic));
}

/* ---- products ---- */

static int64_t patch_stride(const Gather *w)
{
  return point_stride(w->l, w->blocks, grid_box(&w->g));
}

static int64_t sum_stride(const Gather *w)
{
  return point_stride(w->l, w->tile.nv, grid_box(&w->g));
}

static LExpr *load_weight(void *ctx, int j)
{
  Gather *w = ctx;
  Build *b = w->l->b;
  LExpr *c = l_add(b, l_muli(b, w->rb, w->l->block), w->r);
  LExpr *at = weight_at(w, w->group, c, l_int(b, j));
  return l_load(b, w->u, l_add(b, l_muli(b, w->point, weight_stride(w)), at), w->l->block);
}

static LExpr *load_patch(void *ctx, int i)
{
  Gather *w = ctx;
  Build *b = w->l->b;
  LExpr *tile = l_addi(b, l_add(b, l_muli(b, w->rb, grid_box(&w->g)), w->t0), i);
  LExpr *at = l_add(b, l_muli(b, tile, w->l->block), w->r);
  return l_load(b, w->v, l_add(b, l_muli(b, w->point, patch_stride(w)), at), 1);
}

/* M of the current group of output blocks, for all points and tiles of the box. */
static void emit_products(Gather *w)
{
  Lower *l = w->l;
  Build *b = l->b;
  int accumulators = w->tile.nv * w->tile.ns;
  int64_t block = l->block;
  w->point = l_var(b, l_loop(b, "p", l_int(b, 0), l_int(b, WINO_POINTS), 1, FOR_ROLLED));
  w->t0 = l_var(b, l_loop(b, "t", l_int(b, 0), l_int(b, grid_box(&w->g)), w->tile.ns, FOR_ROLLED));
  for (int i = 0; i < accumulators; i++)
    reg_set(l, w->acc, i, l_real(b, 0));
  int loops = 1;
  w->rb = count_begins(b, "rb", w->blocks, FOR_ROLLED, &loops);
  LExpr *end = l_int(b, block);
  if (w->c.ic % block)
    end = l_min(b, end, l_sub(b, l_int(b, w->c.ic), l_muli(b, w->rb, block)));
  w->r = l_var(b, l_loop(b, "r", l_int(b, 0), end, 1, FOR_ROLLED));
  tile_multiply(l, w->acc, w->tile, load_weight, load_patch, NULL, w);
  while (loops-- > 0)
    l_end(b);
  LExpr *at = l_add(b, l_muli(b, w->point, sum_stride(w)), l_muli(b, w->t0, w->tile.nv * block));
  at = l_let(b, "at", at);
  for (int i = 0; i < w->tile.ns; i++)
    for (int j = 0; j < w->tile.nv; j++)
      l_store(b, w->m, l_addi(b, at, (i * w->tile.nv + j) * block),
              reg_get(l, w->acc, j * w->tile.ns + i));
  l_end(b);
  l_end(b);
}

/* ---- results ---- */

static int64_t strip_columns(const Gather *w) { return w->g.cols * WINO_OUT; }

static void out_coord(const Gather *w, Coord *c)
{
  coord_clear(c);
  coord_set(c, AXIS_BATCH, w->sample, w->l->program->batch);
  coord_add(c, 0, w->unit, w->l->block, w->units);
  coord_add(c, 0, NULL, 1, w->l->block);
}

static LExpr *strip_at(const Gather *w, LExpr *row, LExpr *col)
{
  Build *b = w->l->b;
  return l_muli(b, l_add(b, l_muli(b, row, strip_columns(w)), col), w->l->block);
}

/* The points of a strip from left to right, into [6][columns]. j: unit of the group. */
static void invert_rows(Gather *w, LExpr *j)
{
  Build *b = w->l->b;
  int64_t block = w->l->block, stride = sum_stride(w);
  int loops = 0;
  LExpr *i = count_begins(b, "p", WINO_IN, FOR_ROLLED, &loops);
  LExpr *t = count_begins(b, "t", w->g.cols, FOR_PLAIN, &loops);
  LExpr *tile = l_add(b, w->strip, t), *in[WINO_IN], *out[WINO_OUT];
  LExpr *at = l_muli(b, l_add(b, l_muli(b, tile, w->tile.nv), j), block);
  at = l_let(b, "at", l_add(b, l_muli(b, i, WINO_IN * stride), at));
  for (int k = 0; k < WINO_IN; k++)
    in[k] = l_let(b, "m", l_load(b, w->m, l_addi(b, at, k * stride), w->l->block));
  output_of_points(b, in, out);
  for (int k = 0; k < WINO_OUT; k++)
    l_store(b, w->columns, strip_at(w, i, l_addi(b, l_muli(b, t, WINO_OUT), k)), out[k]);
  while (loops-- > 0)
    l_end(b);
}

typedef enum { ROW_INSIDE, ROW_MAYBE /* inside the branch that was opened */,
               ROW_OUTSIDE } RowPlace;

/* Where row k of the tiles' rows, of which a tile has `step`, lies in an image of `rows` rows. */
static RowPlace row_begins(const Gather *w, LExpr *row, int64_t k, int64_t step, int64_t rows)
{
  bool known = row->kind == LE_INT;
  if (known ? row->i < rows : rows >= w->g.tiles[0] * step - (step - 1 - k))
    return ROW_INSIDE;
  if (known)
    return ROW_OUTSIDE;
  l_if(w->l->b, l_op(w->l->b, SC_lt, row, l_int(w->l->b, rows), NULL));
  return ROW_MAYBE;
}

static void row_ends(const Gather *w, RowPlace place)
{
  if (place == ROW_MAYBE)
    l_end(w->l->b);
}

static void finish_pixel(Gather *w, int k, LExpr *c, LExpr *value)
{
  Lower *l = w->l;
  Build *b = l->b;
  Coord at;
  LExpr *row = l_addi(b, l_muli(b, w->ty, WINO_OUT), k);
  RowPlace place = row_begins(w, row, k, WINO_OUT, w->c.out[0]);
  if (place == ROW_OUTSIDE)
    return;
  out_coord(w, &at);
  coord_set(&at, 1, row, w->c.out[0]);
  coord_set(&at, 2, l_add(b, l_muli(b, w->tx0, WINO_OUT), c), w->c.out[1]);
  LExpr *kept = lower_finish(l, w->n, &at, &value, l->block);
  if (w->window)
    l_store(b, w->cells, strip_at(w, l_int(b, k), c), l_splat(b, kept, l->block));
  row_ends(w, place);
}

/* How many of `count` things, at steps of `step` columns, a strip holds of an image. */
static LExpr *strip_end(const Gather *w, int64_t step, int64_t count)
{
  Build *b = w->l->b;
  LExpr *left = l_sub(b, l_int(b, count), l_muli(b, w->tx0, WINO_OUT / step));
  LExpr *end = l_min(b, l_int(b, strip_columns(w) / step), left);
  return end->kind == LE_INT ? end : l_let(b, "end", end);
}

/* Columns of the strip from top to bottom, and what becomes of them. */
static void invert_columns(Gather *w)
{
  Lower *l = w->l;
  Build *b = l->b;
  LExpr *bias = NULL, *in[WINO_IN], *out[WINO_OUT];
  if (w->bias.node) {
    Coord at;
    coord_clear(&at);
    coord_add(&at, 0, w->unit, l->block, w->units);
    coord_add(&at, 0, NULL, 1, l->block);
    bias = l_let(b, "bias", lower_load(l, w->bias, &at, l->block));
  }
  LExpr *c = l_var(b, l_loop(b, "c", l_int(b, 0), strip_end(w, 1, w->c.out[1]), 1, FOR_PLAIN));
  for (int k = 0; k < WINO_IN; k++)
    in[k] = l_let(b, "m", l_load(b, w->columns, strip_at(w, l_int(b, k), c), l->block));
  output_of_points(b, in, out);
  for (int k = 0; k < WINO_OUT; k++)
    finish_pixel(w, k, c, bias ? l_let(b, "y", l_op(b, SC_add, out[k], bias, NULL)) : out[k]);
  l_end(b);
}

/* Combines the cells of one window of row k of windows of the strip. */
static void combine_window(Gather *w, int64_t k, LExpr *row, LExpr *col)
{
  Lower *l = w->l;
  Build *b = l->b;
  const Type *t = &w->window->type[0];
  LExpr **cell = ARENA_ARRAY(l->arena, LExpr *, w->wk[0] * w->wk[1]), *result[2] = { NULL, NULL };
  for (int64_t u = 0; u < w->wk[0]; u++)
    for (int64_t v = 0; v < w->wk[1]; v++) {
      LExpr *at = strip_at(w, l_int(b, k * w->wk[0] + u), l_addi(b, l_muli(b, col, w->wk[1]), v));
      cell[u * w->wk[1] + v] = l_let(b, "v", l_load(b, w->cells, at, l->block));
    }
  w->window->op->combine(l, w->window, cell, result);
  Coord c;
  out_coord(w, &c);
  coord_set(&c, 1, row, t->dim[1]);
  coord_set(&c, 2, l_add(b, l_muli(b, w->tx0, WINO_OUT / w->wk[1]), col), t->dim[2]);
  lower_finish(l, w->window, &c, result, l->block);
}

static void emit_windows(Gather *w)
{
  Build *b = w->l->b;
  const Type *t = &w->window->type[0];
  for (int64_t k = 0; k < WINO_OUT / w->wk[0]; k++) {
    LExpr *row = l_addi(b, l_muli(b, w->ty, WINO_OUT / w->wk[0]), k);
    RowPlace place = row_begins(w, row, k, WINO_OUT / w->wk[0], t->dim[1]);
    if (place == ROW_OUTSIDE)
      continue;
    LExpr *end = strip_end(w, w->wk[1], t->dim[2]);
    LExpr *col = l_var(b, l_loop(b, "ox", l_int(b, 0), end, 1, FOR_PLAIN));
    combine_window(w, k, row, col);
    l_end(b);
    row_ends(w, place);
  }
}

static void emit_behind(Gather *w)
{
  Build *b = w->l->b;
  for (int k = 0; k < WINO_OUT; k++) {
    Coord c;
    LExpr *row = l_addi(b, l_muli(b, w->ty, WINO_OUT), k);
    RowPlace place = row_begins(w, row, k, WINO_OUT, w->c.out[0]);
    if (place == ROW_OUTSIDE)
      continue;
    out_coord(w, &c);
    coord_set(&c, 1, row, w->c.out[0]);
    lower_rows(w->l, w->n, &c);
    row_ends(w, place);
  }
}

/* From the points of the box to finished results of the current group. */
static void emit_results(Gather *w)
{
  Lower *l = w->l;
  Build *b = l->b;
  int loops = 0;
  LExpr *i = count_begins(b, "s", w->g.samples, FOR_PLAIN, &loops);
  LExpr *r = count_begins(b, "row", w->g.rows, FOR_PLAIN, &loops);
  w->sample = l_add(b, w->n0, i);
  w->ty = l_let(b, "ty", l_add(b, w->ty0, r));
  w->strip = l_let(b, "at", l_muli(b, l_add(b, l_muli(b, i, w->g.rows), r), w->g.cols));
  bool cut = box_row_begins(l, &w->g, w->sample, w->ty);
  LExpr *j = count_begins(b, "j", w->tile.nv, FOR_ROLLED, &loops);
  w->unit = l_let(b, "unit", l_add(b, l_muli(b, w->group, w->tile.nv), j));
  invert_rows(w, j);
  invert_columns(w);
  if (w->window)
    emit_windows(w);
  if (w->behind)
    emit_behind(w);
  for (loops += cut; loops > 0; loops--)
    l_end(b);
}

/* ---- the kernel ---- */

static void open_kernel(Gather *w)
{
  Lower *l = w->l;
  Build *b = l->b;
  DType real = l->program->real;
  const char *about = arena_printf(
      l->arena, "F(4x4, 3x3); boxes of %d x %d x %d tiles; lanes hold channels; "
                "tile of %d channel blocks x %d tiles",
      (int)w->g.samples, (int)w->g.rows, (int)w->g.cols, w->tile.nv, w->tile.ns);
  lower_kernel(l, w->n, "", "winograd", about);
  w->u = lower_formal(l, w->weights, false);
  w->v = lower_formal(l, w->patches, true);
  w->m = lower_formal(l, w->sums, true);
  w->acc = l_registers(b, "acc", (int)real, l->block, (int64_t)w->tile.nv * w->tile.ns);
  w->columns = l_local(b, "columns", (int)real, transform_scratch(l, &w->g));
  w->behind = lower_has_rows(l, w->n);
  w->window = lower_window(l, w->n);
  if (w->window) {
    w->window->op->windows(w->window, w->wk);
    w->cells = l_local(b, "cells", (int)real, WINO_OUT * strip_columns(w) * l->block);
  }
}

static LExpr *scaled(Build *b, const char *name, LExpr *e, int64_t k)
{
  LExpr *r = l_muli(b, e, k);
  return r->kind == LE_VAR || r->kind == LE_INT ? r : l_let(b, name, r);
}

static void emit_gather(Gather *w)
{
  Lower *l = w->l;
  Build *b = l->b;
  open_kernel(w);
  const char *names[] = { "i", "by", "bx" };
  int64_t extent[] = { w->g.boxes[0], w->g.boxes[1], w->g.boxes[2] };
  LExpr *digit[3];
  items_begin(l, names, extent, 3, digit);
  w->n0 = scaled(b, "n0", digit[0], w->g.samples);
  w->ty0 = scaled(b, "ty0", digit[1], w->g.rows);
  w->tx0 = scaled(b, "tx0", digit[2], w->g.cols);
  Transform t = { .l = l, .grid = &w->g, .image = w->in, .first = { -w->c.pad[0], -w->c.pad[1] },
                  .blocks = w->blocks, .block0 = l_int(b, 0), .columns = w->columns, .to = w->v };
  transform_box(&t, w->n0, w->ty0, w->tx0);
  int loops = 1;
  w->group = count_begins(b, "group", w->units / w->tile.nv, FOR_ROLLED, &loops);
  emit_products(w);
  emit_results(w);
  while (loops-- > 0)
    l_end(b);
  LExpr *samples = l_div(b, l_addi(b, lower_host_n(l), w->g.samples - 1), l_int(b, w->g.samples));
  lower_by_samples(l, w->g.samples);
  lower_kernel_end(l, l_muli(b, samples, w->g.boxes[1] * w->g.boxes[2]));
}

void winograd_gather_pass(Lower *l, const Node *n, const ConvShape *s, ConvPass pass, Value x,
                          Value w, Value bias)
{
  Gather g = { .l = l, .n = n, .c = winograd_gather(s, pass), .in = x, .w = w, .bias = bias,
               .flip = pass == CONV_INPUT_GRAD };
  DType real = l->program->real;
  g.units = ceil_div(g.c.oc, l->block);
  g.blocks = ceil_div(g.c.ic, l->block);
  g.g = winograd_grid(s, pass, l->program->batch, l->block);
  g.tile = tile_choose(l, g.units, grid_box(&g.g), -4, -16);
  const char *name = l->buffer[n->id][0] ? l->buffer[n->id][0]->name : "values";
  g.weights = l_buffer(l->b, arena_printf(l->arena, "%s_weights", name), BUF_ARENA, real,
                       WINO_POINTS * weight_stride(&g));
  g.patches = l_buffer(l->b, "patches", BUF_WORKER, real, WINO_POINTS * patch_stride(&g));
  g.sums = l_buffer(l->b, "sums", BUF_WORKER, real, WINO_POINTS * sum_stride(&g));
  emit_weights(&g);
  emit_gather(&g);
}
