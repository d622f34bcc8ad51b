/* The outer-product template: the weight gradient of a convolution.
 *
 *   dw[oc, ic, ky, kx] = sum over samples, oy, ox of dy[oc, oy, ox] *
 *                        x[ic, oy * s + ky * d - p, ox * s + kx * d - p]
 *
 * A work item owns the weights of a few channels and one kernel row, or a part of one that is very
 * long, so no two workers share a sum; the chain runs over samples, rows and columns in that order.
 * Where that makes few items, each sums over a fixed part of the batch alone, a shard, and a second
 * kernel adds the shards by pairs. Lanes hold samples (16 partial sums, added by halving at the end)
 * or output channels. Columns where a tap falls outside are peeled off the loop.
 *
 * Depthwise, lanes hold the channels of both sides and an item owns one weight a lane for every
 * cell of the kernel, where the registers have room for all rows; rows of the image where a kernel
 * row falls outside are then peeled off too. */
#include "kernel/conv.h"
#include "kernel/tile.h"
#include "kernel/winograd.h"

typedef struct {
  Lower *l;
  const Node *n;
  const ConvShape *c;
  Value dy, x;
  bool channel_lanes;           /* else samples */
  bool depthwise;               /* channel lanes on both sides */
  bool mask;                    /* lanes past the batch are no zeros in dy */
  int64_t groups, outputs, inputs;      /* channels per group; depthwise: all are one group's */
  int cb, rb;                   /* output channels (units) and input channels of the tile */
  int yb, xb;                   /* kernel rows (1 or all) and columns of the tile */
  Buffer *acc;
  Buffer *window;               /* x under the kernel's columns, kept between pixels; or NULL */
  bool sliding;                 /* the current loop over pixels keeps it */
  int64_t shards;
  Buffer *part;                 /* [shard][item][accumulator][lane]; NULL: one shard */
  LExpr *shard, *item;          /* shard NULL: the kernel that adds the shards */
  LExpr *group, *unit, *r0, *ky, *batch, *oy, *iy;
  LExpr *ox;
  int64_t oy_const, ox_const;   /* >= 0: known; of rows only where yb > 1 */
  int r_now, x_now;             /* input channels and kernel columns of the tile being emitted */
  int64_t kx0;                  /* its first kernel column */
} Wgrad;

static int64_t lanes_of(const Wgrad *g) { return g->channel_lanes ? g->l->block : 1; }

/* Element i of the x side: an input channel of the tile, a kernel row of it and a kernel column. */
static int elements_of(const Wgrad *g) { return g->r_now * g->yb * g->x_now; }
static int channel_at(const Wgrad *g, int i) { return i / (g->yb * g->x_now); }
static int row_at(const Wgrad *g, int i) { return i / g->x_now % g->yb; }
static int64_t column_at(const Wgrad *g, int i) { return g->kx0 + i % g->x_now; }

static void batch_coord(const Wgrad *g, Coord *c)
{
  if (g->channel_lanes) {
    coord_set(c, AXIS_BATCH, g->batch, g->l->program->batch);
    return;
  }
  coord_add(c, AXIS_BATCH, g->batch, g->l->block, ceil_div(g->l->program->batch, g->l->block));
  coord_add(c, AXIS_BATCH, NULL, 1, g->l->block);
}

static void out_channel(const Wgrad *g, Coord *c, int j)
{
  Build *b = g->l->b;
  int64_t lanes = lanes_of(g);
  LExpr *unit = l_addi(b, g->unit, j);
  if (g->groups > 1)
    unit = l_add(b, l_muli(b, g->group, g->outputs / lanes), unit);
  coord_drop(c, 0);
  coord_add(c, 0, unit, lanes, ceil_div(g->c->oc, lanes));
  if (g->channel_lanes)
    coord_add(c, 0, NULL, 1, lanes);
}

static LExpr *load_dy(void *ctx, int j)
{
  Wgrad *g = ctx;
  Coord c;
  coord_clear(&c);
  batch_coord(g, &c);
  out_channel(g, &c, j);
  coord_set(&c, 1, g->oy, g->c->out[0]);
  coord_set(&c, 2, g->ox, g->c->out[1]);
  LExpr *dy = lower_load(g->l, g->dy, &c, g->l->block);
  LExpr *mask = g->mask ? lower_batch_mask(g->l, &c, g->l->block) : NULL;
  return mask ? l_op(g->l->b, SC_select, mask, dy, l_real(g->l->b, 0)) : dy;
}

static LExpr *load_x(void *ctx, int i)
{
  Wgrad *g = ctx;
  Build *b = g->l->b;
  const ConvShape *s = g->c;
  Coord c;
  if (g->sliding)
    return reg_get(g->l, g->window, i);
  coord_clear(&c);
  batch_coord(g, &c);
  LExpr *r = l_addi(b, g->r0, channel_at(g, i));
  if (g->groups > 1)
    r = l_add(b, l_muli(b, g->group, g->inputs), r);
  if (g->depthwise)
    out_channel(g, &c, 0);
  else
    coord_set(&c, 0, r, s->ic);
  coord_set(&c, 1, l_addi(b, g->iy, row_at(g, i) * s->dilation[0]), s->in[0]);
  int64_t off = column_at(g, i) * s->dilation[1] - s->pad[1];
  coord_set(&c, 2, l_addi(b, l_muli(b, g->ox, s->stride[1]), off), s->in[1]);
  return lower_load(g->l, g->x, &c, g->l->block);
}

static bool column_inside(const ConvShape *s, int64_t ox, int64_t kx)
{
  int64_t at = ox * s->stride[1] + kx * s->dilation[1] - s->pad[1];
  return at >= 0 && at < s->in[1];
}

static bool row_inside(const ConvShape *s, int64_t oy, int64_t ky)
{
  int64_t at = oy * s->stride[0] + ky * s->dilation[0] - s->pad[0];
  return at >= 0 && at < s->in[0];
}

static bool row_live(const Wgrad *g, int i)
{
  return g->oy_const < 0 || row_inside(g->c, g->oy_const, row_at(g, i));
}

static bool live(void *ctx, int v, int sc)
{
  const Wgrad *g = ctx;
  int i = g->channel_lanes ? sc : v;
  return row_live(g, i) &&
         (g->ox_const < 0 || column_inside(g->c, g->ox_const, column_at(g, i)));
}

/* Do all columns of the tile fall inside at ox? */
static bool all_inside(const Wgrad *g, int64_t ox)
{
  return column_inside(g->c, ox, g->kx0) && column_inside(g->c, ox, g->kx0 + g->x_now - 1);
}

static void emit_pixel(Wgrad *g, LExpr *ox, int64_t ox_const, int cb)
{
  int xs = elements_of(g);
  g->ox = ox;
  g->ox_const = ox_const;
  if (g->channel_lanes)
    tile_multiply(g->l, g->acc, (Tile){ cb, xs }, load_dy, load_x, live, g);
  else
    tile_multiply(g->l, g->acc, (Tile){ xs, cb }, load_x, load_dy, live, g);
}

/* What lies under the window one pixel before ox, but for the column that leaves it. */
static void fill_window(Wgrad *g, int64_t ox)
{
  g->ox = l_int(g->l->b, ox);
  for (int i = 0; g->window && i < elements_of(g); i++)
    if (i % g->x_now < g->x_now - 1 && row_live(g, i))
      reg_set(g->l, g->window, i + 1, load_x(g, i));
}

static void slide_window(Wgrad *g, LExpr *ox)
{
  g->ox = ox;
  for (int i = 0; g->window && i < elements_of(g); i++) {
    bool kept = i % g->x_now < g->x_now - 1;
    if (row_live(g, i))
      reg_set(g->l, g->window, i, kept ? reg_get(g->l, g->window, i + 1) : load_x(g, i));
  }
  g->sliding = g->window != NULL;
}

static void emit_columns(Wgrad *g, int cb)
{
  Build *b = g->l->b;
  const ConvShape *s = g->c;
  int64_t ox = 0;
  while (ox < s->out[1]) {
    int64_t end = ox;
    while (end < s->out[1] && all_inside(g, end))
      end++;
    if (end > ox + 1) {
      fill_window(g, ox);
      LExpr *v = l_var(b, l_loop(b, "ox", l_int(b, ox), l_int(b, end), 1, FOR_ROLLED));
      slide_window(g, v);
      emit_pixel(g, v, -1, cb);
      l_end(b);
      g->sliding = false;
      ox = end;
    } else {
      emit_pixel(g, l_int(b, ox), ox, cb);
      ox++;
    }
  }
}

/* Samples, or groups of them, that a chain runs over when the batch is full. */
static int64_t steps_of(const Wgrad *g)
{
  int64_t batch = g->l->program->batch;
  return g->channel_lanes ? batch : ceil_div(batch, g->l->block);
}

/* Opens the loop over samples, or groups of them, of the batch or of the item's shard. */
static void samples_begin(Wgrad *g)
{
  Build *b = g->l->b;
  LExpr *first = l_int(b, 0), *n = g->channel_lanes ? g->l->n : lower_groups(g->l, g->l->n);
  if (g->part) {
    first = l_div(b, l_muli(b, g->shard, steps_of(g)), l_int(b, g->shards));
    LExpr *next = l_muli(b, l_addi(b, g->shard, 1), steps_of(g));
    n = l_let(b, "end", l_min(b, n, l_div(b, next, l_int(b, g->shards))));
  }
  g->batch = l_var(b, l_loop(b, g->channel_lanes ? "i" : "g", first, n, 1, FOR_ROLLED));
}

/* Rows oy whose input row iy = oy * stride + ky * dilation - pad exists, for one kernel row. */
static void emit_kernel_row(Wgrad *g, int cb)
{
  Build *b = g->l->b;
  const ConvShape *s = g->c;
  LExpr *off = l_addi(b, l_muli(b, g->ky, s->dilation[0]), -s->pad[0]);
  LExpr *lo = l_int(b, 0), *hi = l_int(b, s->out[0]), *stride = l_int(b, s->stride[0]);
  if (s->pad[0] > 0) {
    LExpr *below = l_div(b, l_sub(b, l_int(b, s->stride[0] - 1), off), stride);
    lo = l_let(b, "oy0", l_max(b, lo, below));
  }
  if (!row_inside(s, s->out[0] - 1, s->k[0] - 1)) {
    LExpr *above = l_div(b, l_sub(b, l_int(b, s->in[0] - 1 + s->stride[0]), off), stride);
    hi = l_let(b, "oy1", l_min(b, hi, above));
  }
  samples_begin(g);
  g->oy = l_var(b, l_loop(b, "oy", lo, hi, 1, FOR_ROLLED));
  g->iy = l_let(b, "iy", l_add(b, l_muli(b, g->oy, s->stride[0]), off));
  emit_columns(g, cb);
  l_end(b);
  l_end(b);
}

static void emit_row(Wgrad *g, LExpr *oy, int64_t oy_const, int cb)
{
  Build *b = g->l->b;
  g->oy = oy;
  g->oy_const = oy_const;
  g->iy = l_addi(b, l_muli(b, oy, g->c->stride[0]), -g->c->pad[0]);
  emit_columns(g, cb);
  g->oy_const = -1;
}

/* All rows oy for all kernel rows: those where one falls outside by themselves. */
static void emit_all_rows(Wgrad *g, int cb)
{
  Build *b = g->l->b;
  const ConvShape *s = g->c;
  samples_begin(g);
  for (int64_t oy = 0, end; oy < s->out[0]; oy = end) {
    end = oy;
    while (end < s->out[0] && row_inside(s, end, 0) && row_inside(s, end, s->k[0] - 1))
      end++;
    if (end > oy + 1) {
      emit_row(g, l_var(b, l_loop(b, "oy", l_int(b, oy), l_int(b, end), 1, FOR_ROLLED)), -1, cb);
      l_end(b);
    } else {
      emit_row(g, l_int(b, oy), oy, cb);
      end = oy + 1;
    }
  }
  l_end(b);
}

static void finish_tile(Wgrad *g, int cb)
{
  Lower *l = g->l;
  Build *b = l->b;
  int xs = elements_of(g);
  for (int j = 0; j < cb; j++)
    for (int i = 0; i < xs; i++) {
      Coord c;
      coord_clear(&c);
      out_channel(g, &c, j);
      coord_set(&c, 1, l_addi(b, g->r0, channel_at(g, i)), g->inputs);
      coord_set(&c, 2, l_addi(b, g->ky, row_at(g, i)), g->c->k[0]);
      coord_set(&c, 3, l_int(b, column_at(g, i)), g->c->k[1]);
      LExpr *v = reg_get(l, g->acc, g->channel_lanes ? j * xs + i : i * cb + j);
      if (!g->channel_lanes)
        v = l_reduce(b, SC_add, v);
      lower_finish(l, g->n, &c, &v, g->channel_lanes ? l->block : 1);
    }
}

static int accumulators(const Wgrad *g) { return g->cb * g->rb * g->yb * g->xb; }

static int64_t units_of(const Wgrad *g) { return ceil_div(g->outputs, lanes_of(g)); }

static int64_t items_of(const Wgrad *g)
{
  return g->groups * ceil_div(units_of(g), g->cb) * ceil_div(g->inputs, g->rb) *
         (g->c->k[0] / g->yb) * ceil_div(g->c->k[1], g->xb);
}

static LExpr *part_at(Wgrad *g, LExpr *shard, int i)
{
  Build *b = g->l->b;
  LExpr *row = l_add(b, l_muli(b, shard, items_of(g)), g->item);
  return l_muli(b, l_addi(b, l_muli(b, row, accumulators(g)), i), g->l->block);
}

/* Shards first to first + count - 1, a power of two, by pairs. */
static LExpr *sum_shards(Wgrad *g, Buffer *part, int64_t first, int64_t count, int i)
{
  Lower *l = g->l;
  if (count == 1)
    return l_load(l->b, part, part_at(g, l_int(l->b, first), i), l->block);
  LExpr *low = sum_shards(g, part, first, count / 2, i);
  return l_add(l->b, low, sum_shards(g, part, first + count / 2, count / 2, i));
}

static void accumulate_tile(Wgrad *g, int cb)
{
  for (int i = 0; i < cb * elements_of(g); i++)
    reg_set(g->l, g->acc, i, l_real(g->l->b, 0));
  if (g->yb > 1)
    emit_all_rows(g, cb);
  else
    emit_kernel_row(g, cb);
}

static void emit_tile(Wgrad *g, int cb, int rb)
{
  Lower *l = g->l;
  g->r_now = rb;
  if (!g->part || g->shard)
    accumulate_tile(g, cb);
  if (!g->part) {
    finish_tile(g, cb);
    return;
  }
  Buffer *part = lower_formal(l, g->part, g->shard != NULL);
  for (int i = 0; i < cb * elements_of(g); i++)
    if (g->shard)
      l_store(l->b, part, part_at(g, g->shard, i), reg_get(l, g->acc, i));
    else
      reg_set(l, g->acc, i, sum_shards(g, part, 0, g->shards, i));
  if (!g->shard)
    finish_tile(g, cb);
}

/* Full and last tiles of the output channels (units) for a fixed number of input channels. */
static void emit_units(Wgrad *g, LExpr *tile, int64_t units, int rb)
{
  Build *b = g->l->b;
  int64_t tiles = ceil_div(units, g->cb);
  int rest = (int)(units % g->cb);
  if (!rest || tiles == 1) {
    emit_tile(g, rest ? rest : g->cb, rb);
    return;
  }
  l_if(b, l_op(b, SC_lt, tile, l_int(b, tiles - 1), NULL));
  emit_tile(g, g->cb, rb);
  l_else(b);
  emit_tile(g, rest, rb);
  l_end(b);
}

static LExpr *scaled(Build *b, const char *name, LExpr *e, int64_t k)
{
  LExpr *r = l_muli(b, e, k);
  return r->kind == LE_VAR || r->kind == LE_INT ? r : l_let(b, name, r);
}

/* Equal lanes on both sides make both operands vectors: as many loads as products, unless
 * neighbouring pixels share those of x. Where registers are narrow there is no room to keep them. */
static bool may_slide(const Wgrad *g)
{
  int vectors = g->cb * g->yb * g->xb + g->yb * g->xb;
  return (!g->channel_lanes || (g->depthwise && vectors < g->l->target->registers)) && g->xb > 1 &&
         g->c->stride[1] == 1 && g->c->dilation[1] == 1 && g->l->target->vector_bytes == 64;
}

static bool wgrad_fits(const Wgrad *g)
{
  int columns = g->rb * g->yb * g->xb;
  if (may_slide(g))
    return columns * (g->cb + 1) + 1 <= g->l->target->registers;
  return g->channel_lanes ? tile_fits(g->l, g->cb, columns) : tile_fits(g->l, columns, g->cb);
}

/* Work items when all workers of a usual machine are to have some. */
enum { ITEMS_MIN = 16 };
/* Accumulators and kernel columns of a tile at most. */
enum { PRODUCTS_MAX = 26, COLUMNS_MAX = 24 };

/* A power of two that shape and layout alone decide: about ITEMS_MIN items with the tiles of the
 * reference machine, whatever those of the target are, for shards change the order of the sum. Halves of
 * a batch in lanes are at least two shards: who made the gradients of a half sums them as well. */
static int64_t shards_of(const Wgrad *g)
{
  int64_t columns = g->channel_lanes ? 12 : 5, shards = 1;
  int64_t items = g->groups * ceil_div(units_of(g), g->channel_lanes ? 2 : 4) *
                  ceil_div(g->inputs, max_i64(1, columns / g->c->k[1])) * g->c->k[0];
  if (g->depthwise)
    items = units_of(g) * ceil_div(g->c->k[0] * g->c->k[1], PRODUCTS_MAX);
  while (items * shards < ITEMS_MIN && shards * 2 <= steps_of(g))
    shards *= 2;
  bool halves = !g->channel_lanes && steps_of(g) % 2 == 0;
  return halves ? max_i64(shards, 2) : shards;
}

/* The tiles of one part of the kernel's columns: full and last tiles of the input channels. */
static void emit_inputs(Wgrad *g, LExpr *utile, LExpr *rtile)
{
  Build *b = g->l->b;
  int64_t rtiles = ceil_div(g->inputs, g->rb);
  int rest = (int)(g->inputs % g->rb);
  if (!rest || rtiles == 1) {
    emit_units(g, utile, units_of(g), rest ? rest : g->rb);
    return;
  }
  l_if(b, l_op(b, SC_lt, rtile, l_int(b, rtiles - 1), NULL));
  emit_units(g, utile, units_of(g), g->rb);
  l_else(b);
  emit_units(g, utile, units_of(g), rest);
  l_end(b);
}

/* Every part of the kernel's columns has code of its own, which knows where a tap falls outside. */
static void emit_parts(Wgrad *g, LExpr *part, LExpr *utile, LExpr *rtile)
{
  Build *b = g->l->b;
  int64_t k = g->c->k[1];
  int branches = 0;
  for (g->kx0 = 0; g->kx0 < k; g->kx0 += g->xb) {
    g->x_now = (int)min_i64(g->xb, k - g->kx0);
    bool last = g->kx0 + g->xb >= k;
    if (!last) {
      l_if(b, l_op(b, SC_eq, part, l_int(b, g->kx0 / g->xb), NULL));
      branches++;
    }
    emit_inputs(g, utile, rtile);
    if (!last)
      l_else(b);
  }
  while (branches-- > 0)
    l_end(b);
}

static const char *describe(const Wgrad *g, bool sharded)
{
  Arena *a = g->l->arena;
  const char *shards = sharded ? arena_printf(a, "; %d shards of the batch", (int)g->shards) : "";
  const char *lanes = g->depthwise ? "channels" : g->channel_lanes ? "output channels" : "samples";
  if (g->depthwise)
    return arena_printf(a, "lane by lane; lanes hold %d channels; tile of %d x %d cells%s",
                        g->l->block, g->yb, g->xb, shards);
  return arena_printf(
      a, "outer product; lanes hold %d %s; tile of %d output x %d input channels x %d columns%s",
      g->l->block, lanes, g->cb, g->rb, g->xb, shards);
}

/* The kernel that sums over a shard; or the one that finishes. */
static void emit_kernel(Wgrad *g, bool sharded)
{
  Lower *l = g->l;
  Build *b = l->b;
  bool adds = g->part && !sharded;
  const char *template_name = g->depthwise ? "outer.depthwise"
                              : g->channel_lanes ? "outer.channels" : "outer.lanes";
  lower_kernel(l, g->n, sharded ? "part" : "", adds ? "outer.sum" : template_name,
               adds ? "the shards' sums, added by pairs" : describe(g, sharded));
  if (adds)
    l->kernel->flops = 0;
  g->acc = l_registers(b, "acc", (int)l->program->real, l->block, accumulators(g));
  g->window = NULL;
  if (may_slide(g) && !adds)
    g->window = l_registers(b, "x", (int)l->program->real, l->block, g->rb * g->yb * g->xb);
  const char *names[] = { "shard", "group", "tile", "rtile", "ky", "part" };
  int64_t extent[] = { sharded ? g->shards : 1, g->groups, ceil_div(units_of(g), g->cb),
                       ceil_div(g->inputs, g->rb), g->c->k[0] / g->yb,
                       ceil_div(g->c->k[1], g->xb) };
  LExpr *digit[6];
  items_begin(l, names, extent, 6, digit);
  g->shard = sharded ? digit[0] : NULL;
  g->group = digit[1];
  g->unit = scaled(b, "c", digit[2], g->cb);
  g->r0 = scaled(b, "r", digit[3], g->rb);
  g->ky = digit[4];
  g->item = digit[1];
  for (int i = 2; i < 6; i++)
    g->item = l_add(b, l_muli(b, g->item, extent[i]), digit[i]);
  emit_parts(g, digit[5], digit[2], digit[3]);
  l_end(b);
  int64_t step = g->channel_lanes ? 1 : l->block;
  if (sharded && l->program->batch % (g->shards * step) == 0)
    lower_by_samples(l, l->program->batch / g->shards);
  lower_kernel_end(l, l_int(b, (sharded ? g->shards : 1) * items_of(g)));
}

/* Tiles of one filter a channel: every cell of the kernel, or of one row of it. */
static void choose_cells(Wgrad *g)
{
  g->cb = g->rb = 1;
  g->yb = (int)g->c->k[0];
  if (g->c->k[0] * g->c->k[1] > PRODUCTS_MAX || !wgrad_fits(g))
    g->yb = 1;
}

/* Tiles of output channels (units) by input channels and the columns of a kernel row. */
static void choose_channels(Wgrad *g)
{
  Lower *l = g->l;
  int64_t units = units_of(g);
  g->yb = 1;
  Tile t = g->channel_lanes ? tile_choose(l, units, g->inputs * g->xb, 4, 0)
                            : tile_choose(l, g->inputs * g->xb, units, 0, 8);
  g->cb = g->channel_lanes ? t.nv : t.ns;
  int room = g->channel_lanes ? t.ns : t.nv;
  g->rb = (int)max_i64(1, room / g->xb);
  while (g->cb > 1 && (accumulators(g) > PRODUCTS_MAX || !wgrad_fits(g)))
    g->cb--;
  g->cb = (int)ceil_div(units, ceil_div(units, g->cb));   /* no thin last tile */
  g->rb = (int)ceil_div(g->inputs, ceil_div(g->inputs, g->rb));
}

void conv_weight_grad(Lower *l, const Node *n, const Plan *p, const ConvShape *c, Value dy, Value x)
{
  if (p->grid) {
    winograd_weight_grad(l, n, c, dy, x);
    return;
  }
  Build *b = l->b;
  bool channel_lanes = p->family == FAMILY_CHANNELS && !p->sample_lanes;
  bool depthwise = channel_lanes && conv_is_depthwise(c);
  Wgrad g = { .l = l, .n = n, .c = c, .dy = dy, .x = x, .channel_lanes = channel_lanes,
              .depthwise = depthwise, .groups = depthwise ? 1 : c->groups, .oy_const = -1,
              .mask = p->sample_lanes && p->family == FAMILY_CHANNELS };
  g.outputs = c->oc / g.groups;
  g.inputs = c->ic / c->groups;
  g.xb = (int)ceil_div(c->k[1], ceil_div(c->k[1], COLUMNS_MAX));
  if (depthwise)
    choose_cells(&g);
  else
    choose_channels(&g);
  g.shards = shards_of(&g);
  if (g.shards > 1) {
    int64_t extent = g.shards * items_of(&g) * accumulators(&g) * l->block;
    const Buffer *whole = l->buffer[n->id][0];
    const char *name = arena_printf(l->arena, "%s_shards", whole ? whole->name : "dw");
    g.part = l_buffer(b, name, BUF_ARENA, l->program->real, extent);
    emit_kernel(&g, true);
  }
  emit_kernel(&g, false);
}
