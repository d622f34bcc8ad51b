/* The outer-product template: the weight gradient of a convolution.
 *
 *   dw[oc, ic, ky, kx] = sum over samples, oy, ox of dy[oc, oy, ox] *
 *                        x[ic, oy * s + ky * d - p, ox * s + kx * d - p]
 *
 * A work item owns the weights of a few channels and one kernel row, so no two workers share a sum;
 * the chain runs over samples, rows and columns in that order. Where that makes few items, each
 * sums over a fixed part of the batch alone, a shard, and a second kernel adds the shards by pairs.
 * Lanes hold samples (16 partial sums, added by halving at the end) or output channels. Columns
 * where a tap falls outside are peeled off the loop. */
#include "kernel/conv.h"
#include "kernel/tile.h"
#include "kernel/winograd.h"

typedef struct {
  Lower *l;
  const Node *n;
  const ConvShape *c;
  Value dy, x;
  bool channel_lanes;
  int cb, rb;                   /* output channels (units) and input channels of the tile */
  int64_t kw;
  Buffer *acc;
  Buffer *window;               /* x under the kernel's columns, kept between pixels; or NULL */
  bool sliding;                 /* the current loop over pixels keeps it */
  int64_t shards;
  Buffer *part;                 /* [shard][item][accumulator][lane]; NULL: one shard */
  LExpr *shard, *item;          /* shard NULL: the kernel that adds the shards */
  LExpr *group, *unit, *r0, *ky, *batch, *oy, *iy;
  LExpr *ox;
  int64_t ox_const;             /* >= 0: known */
  int r_now;                    /* input channels of the tile being emitted */
} Wgrad;

static int64_t lanes_of(const Wgrad *g) { return g->channel_lanes ? g->l->block : 1; }

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
  if (g->c->groups > 1)
    unit = l_add(b, l_muli(b, g->group, g->c->oc / g->c->groups / lanes), unit);
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
  return lower_load(g->l, g->dy, &c, g->l->block);
}

/* Element i of the x side: input channel i / kw of the tile, kernel column i % kw. */
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
  LExpr *r = l_addi(b, g->r0, i / g->kw);
  if (s->groups > 1)
    r = l_add(b, l_muli(b, g->group, s->ic / s->groups), r);
  coord_set(&c, 0, r, s->ic);
  coord_set(&c, 1, g->iy, s->in[0]);
  int64_t off = i % g->kw * s->dilation[1] - s->pad[1];
  coord_set(&c, 2, l_addi(b, l_muli(b, g->ox, s->stride[1]), off), s->in[1]);
  return lower_load(g->l, g->x, &c, g->l->block);
}

static bool column_inside(const ConvShape *s, int64_t ox, int64_t kx)
{
  int64_t at = ox * s->stride[1] + kx * s->dilation[1] - s->pad[1];
  return at >= 0 && at < s->in[1];
}

static bool live(void *ctx, int v, int sc)
{
  const Wgrad *g = ctx;
  int i = g->channel_lanes ? sc : v;
  return g->ox_const < 0 || column_inside(g->c, g->ox_const, i % g->kw);
}

static bool all_inside(const ConvShape *s, int64_t ox)
{
  return column_inside(s, ox, 0) && column_inside(s, ox, s->k[1] - 1);
}

static void emit_pixel(Wgrad *g, LExpr *ox, int64_t ox_const, int cb)
{
  int xs = (int)(g->r_now * g->kw);
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
  for (int i = 0; g->window && i < g->r_now * g->kw; i++)
    if (i % g->kw < g->kw - 1)
      reg_set(g->l, g->window, i + 1, load_x(g, i));
}

static void slide_window(Wgrad *g, LExpr *ox)
{
  g->ox = ox;
  for (int i = 0; g->window && i < g->r_now * g->kw; i++) {
    bool kept = i % g->kw < g->kw - 1;
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
    while (end < s->out[1] && all_inside(s, end))
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

/* Rows oy whose input row iy = oy * stride + ky * dilation - pad exists. */
static int rows_begin(Wgrad *g)
{
  Build *b = g->l->b;
  const ConvShape *s = g->c;
  LExpr *off = l_addi(b, l_muli(b, g->ky, s->dilation[0]), -s->pad[0]);
  LExpr *lo = l_int(b, 0), *hi = l_int(b, s->out[0]);
  if (s->pad[0] > 0)
    lo = l_let(b, "oy0", l_max(b, lo, l_div(b, l_sub(b, l_int(b, s->stride[0] - 1), off), l_int(b, s->stride[0]))));
  if ((s->out[0] - 1) * s->stride[0] + (s->k[0] - 1) * s->dilation[0] - s->pad[0] >= s->in[0])
    hi = l_let(b, "oy1", l_min(b, hi, l_div(b, l_sub(b, l_int(b, s->in[0] - 1 + s->stride[0]), off),
                                            l_int(b, s->stride[0]))));
  LExpr *first = l_int(b, 0), *n = g->channel_lanes ? g->l->n : lower_groups(g->l, g->l->n);
  if (g->part) {
    first = l_div(b, l_muli(b, g->shard, steps_of(g)), l_int(b, g->shards));
    LExpr *next = l_muli(b, l_addi(b, g->shard, 1), steps_of(g));
    n = l_let(b, "end", l_min(b, n, l_div(b, next, l_int(b, g->shards))));
  }
  g->batch = l_var(b, l_loop(b, g->channel_lanes ? "i" : "g", first, n, 1, FOR_ROLLED));
  g->oy = l_var(b, l_loop(b, "oy", lo, hi, 1, FOR_ROLLED));
  g->iy = l_let(b, "iy", l_add(b, l_muli(b, g->oy, s->stride[0]), off));
  return 2;
}

static void finish_tile(Wgrad *g, int cb)
{
  Lower *l = g->l;
  Build *b = l->b;
  int xs = (int)(g->r_now * g->kw);
  for (int j = 0; j < cb; j++)
    for (int i = 0; i < xs; i++) {
      Coord c;
      coord_clear(&c);
      out_channel(g, &c, j);
      coord_set(&c, 1, l_addi(b, g->r0, i / g->kw), g->c->ic / g->c->groups);
      coord_set(&c, 2, g->ky, g->c->k[0]);
      coord_set(&c, 3, l_int(b, i % g->kw), g->kw);
      LExpr *v = reg_get(l, g->acc, g->channel_lanes ? j * xs + i : i * cb + j);
      if (!g->channel_lanes)
        v = l_reduce(b, SC_add, v);
      lower_finish(l, g->n, &c, &v, g->channel_lanes ? l->block : 1);
    }
}

static int accumulators(const Wgrad *g) { return (int)(g->cb * g->rb * g->kw); }

static int64_t items_of(const Wgrad *g)
{
  int64_t units = ceil_div(g->c->oc / g->c->groups, lanes_of(g)), inputs = g->c->ic / g->c->groups;
  return g->c->groups * ceil_div(units, g->cb) * ceil_div(inputs, g->rb) * g->c->k[0];
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
  for (int64_t i = 0; i < (int64_t)cb * g->r_now * g->kw; i++)
    reg_set(g->l, g->acc, (int)i, l_real(g->l->b, 0));
  int loops = rows_begin(g);
  emit_columns(g, cb);
  while (loops-- > 0)
    l_end(g->l->b);
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
  for (int i = 0; i < cb * rb * (int)g->kw; i++)
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

/* Samples in the lanes make both operands vectors: as many loads as products, unless neighbouring
 * pixels share those of x. Where registers are narrow there is no room to keep them. */
static bool may_slide(const Wgrad *g)
{
  return !g->channel_lanes && g->kw > 1 && g->c->stride[1] == 1 && g->c->dilation[1] == 1 &&
         g->l->target->vector_bytes == 64;
}

static bool wgrad_fits(const Wgrad *g)
{
  int columns = (int)(g->rb * g->kw);
  if (may_slide(g))
    return columns * (g->cb + 1) + 1 <= g->l->target->registers;
  return g->channel_lanes ? tile_fits(g->l, g->cb, columns) : tile_fits(g->l, columns, g->cb);
}

/* Work items when all workers of a usual machine are to have some. */
enum { ITEMS_MIN = 16 };

/* A power of two that shape and layout alone decide: about ITEMS_MIN items with the tiles of the
 * reference machine, whatever those of the target are, for shards change the order of the sum. */
static int64_t shards_of(const Wgrad *g)
{
  int64_t units = ceil_div(g->c->oc / g->c->groups, lanes_of(g)), inputs = g->c->ic / g->c->groups;
  int64_t columns = g->channel_lanes ? 12 : 5, shards = 1;
  int64_t items = g->c->groups * ceil_div(units, g->channel_lanes ? 2 : 4) *
                  ceil_div(inputs, max_i64(1, columns / g->kw)) * g->c->k[0];
  while (items * shards < ITEMS_MIN && shards * 2 <= steps_of(g))
    shards *= 2;
  return shards;
}

/* The kernel that sums over a shard; or the one that finishes. */
static void emit_kernel(Wgrad *g, bool sharded)
{
  Lower *l = g->l;
  Build *b = l->b;
  const ConvShape *c = g->c;
  bool adds = g->part && !sharded;
  int64_t units = ceil_div(c->oc / c->groups, lanes_of(g)), inputs = c->ic / c->groups;
  int64_t utiles = ceil_div(units, g->cb), rtiles = ceil_div(inputs, g->rb);
  int rest = (int)(inputs % g->rb);
  const char *about = arena_printf(
      l->arena,
      "outer product; lanes hold %d %s; tile of %d output x %d input channels x %d columns%s",
      l->block, g->channel_lanes ? "output channels" : "samples", g->cb, g->rb, (int)g->kw,
      sharded ? arena_printf(l->arena, "; %d shards of the batch", (int)g->shards) : "");
  lower_kernel(l, g->n, sharded ? "part" : "",
               adds ? "outer.sum" : g->channel_lanes ? "outer.channels" : "outer.lanes",
               adds ? "the shards' sums, added by pairs" : about);
  if (adds)
    l->kernel->flops = 0;
  g->acc = l_registers(b, "acc", (int)l->program->real, l->block, accumulators(g));
  g->window = NULL;
  if (may_slide(g) && !adds)
    g->window = l_registers(b, "x", (int)l->program->real, l->block, g->rb * g->kw);
  const char *names[] = { "shard", "group", "tile", "rtile", "ky" };
  int64_t extent[] = { sharded ? g->shards : 1, c->groups, utiles, rtiles, c->k[0] };
  LExpr *digit[5];
  items_begin(l, names, extent, 5, digit);
  g->shard = sharded ? digit[0] : NULL;
  g->group = digit[1];
  g->unit = scaled(b, "c", digit[2], g->cb);
  g->r0 = scaled(b, "r", digit[3], g->rb);
  g->ky = digit[4];
  g->item = digit[1];
  for (int i = 2; i < 5; i++)
    g->item = l_add(b, l_muli(b, g->item, extent[i]), digit[i]);
  if (!rest || rtiles == 1)
    emit_units(g, digit[2], units, rest ? rest : g->rb);
  else {
    l_if(b, l_op(b, SC_lt, digit[3], l_int(b, rtiles - 1), NULL));
    emit_units(g, digit[2], units, g->rb);
    l_else(b);
    emit_units(g, digit[2], units, rest);
    l_end(b);
  }
  l_end(b);
  lower_kernel_end(l, l_int(b, (sharded ? g->shards : 1) * items_of(g)));
}

void conv_weight_grad(Lower *l, const Node *n, const Plan *p, const ConvShape *c, Value dy, Value x)
{
  if (p->grid) {
    winograd_weight_grad(l, n, c, dy, x);
    return;
  }
  Build *b = l->b;
  Wgrad g = { .l = l, .n = n, .c = c, .dy = dy, .x = x, .channel_lanes = p->family == FAMILY_CHANNELS, .kw = c->k[1] };
  int64_t units = ceil_div(c->oc / c->groups, lanes_of(&g)), inputs = c->ic / c->groups;
  if (g.kw > 24)
    ice("kernel of %d columns in the weight gradient", (int)g.kw);
  /* accumulators: cb * rb * kw within the register budget */
  Tile t = g.channel_lanes ? tile_choose(l, units, inputs * g.kw, 4, 0)
                           : tile_choose(l, inputs * g.kw, units, 0, 8);
  g.cb = g.channel_lanes ? t.nv : t.ns;
  int room = g.channel_lanes ? t.ns : t.nv;
  g.rb = (int)max_i64(1, room / g.kw);
  while (g.cb > 1 && (g.cb * g.rb * g.kw > 26 || !wgrad_fits(&g)))
    g.cb--;
  g.cb = (int)ceil_div(units, ceil_div(units, g.cb));   /* no thin last tile */
  g.rb = (int)ceil_div(inputs, ceil_div(inputs, g.rb));
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
