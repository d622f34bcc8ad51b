/* The outer-product template: the weight gradient of a convolution.
 *
 *   dw[oc, ic, ky, kx] = sum over samples, oy, ox of dy[oc, oy, ox] * x[ic, oy * s + ky * d - p, ox * s + kx * d - p]
 *
 * A work item owns the weights of a few channels and one kernel row, so no two workers share a sum; the
 * chain runs over samples, rows and columns in that order. Lanes hold samples (16 partial sums, added by
 * halving at the end) or output channels. Columns where a tap falls outside are peeled off the loop. */
#include "kernel/conv.h"
#include "kernel/tile.h"

typedef struct {
  Lower *l;
  const Node *n;
  const ConvShape *c;
  Value dy, x;
  bool channel_lanes;
  int cb, rb;                   /* output channels (units) and input channels of the tile */
  int64_t kw;
  Buffer *acc;
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
      LExpr *v = l_var(b, l_loop(b, "ox", l_int(b, ox), l_int(b, end), 1, FOR_ROLLED));
      emit_pixel(g, v, -1, cb);
      l_end(b);
      ox = end;
    } else {
      emit_pixel(g, l_int(b, ox), ox, cb);
      ox++;
    }
  }
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
  LExpr *n = g->channel_lanes ? g->l->n : lower_groups(g->l, g->l->n);
  g->batch = l_var(b, l_loop(b, g->channel_lanes ? "i" : "g", l_int(b, 0), n, 1, FOR_ROLLED));
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

static void emit_tile(Wgrad *g, int cb, int rb)
{
  Lower *l = g->l;
  g->r_now = rb;
  for (int64_t i = 0; i < (int64_t)cb * rb * g->kw; i++)
    reg_set(l, g->acc, (int)i, l_real(l->b, 0));
  int loops = rows_begin(g);
  emit_columns(g, cb);
  while (loops-- > 0)
    l_end(l->b);
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

static bool wgrad_fits(const Wgrad *g)
{
  int columns = (int)(g->rb * g->kw);
  return g->channel_lanes ? tile_fits(g->l, g->cb, columns) : tile_fits(g->l, columns, g->cb);
}

void conv_weight_grad(Lower *l, const Node *n, const Plan *p, const ConvShape *c, Value dy, Value x)
{
  Build *b = l->b;
  Wgrad g = { .l = l, .n = n, .c = c, .dy = dy, .x = x, .channel_lanes = p->family == FAMILY_CHANNELS, .kw = c->k[1] };
  int64_t units = ceil_div(c->oc / c->groups, lanes_of(&g)), inputs = c->ic / c->groups;
  if (g.kw > 24)
    ice("kernel of %d columns in the weight gradient", (int)g.kw);
  /* accumulators: cb * rb * kw within the register budget */
  Tile t = g.channel_lanes ? tile_choose(l, units, inputs * g.kw, 4, 0) : tile_choose(l, inputs * g.kw, units, 0, 8);
  g.cb = g.channel_lanes ? t.nv : t.ns;
  int room = g.channel_lanes ? t.ns : t.nv;
  g.rb = (int)max_i64(1, room / g.kw);
  while (g.cb > 1 && (g.cb * g.rb * g.kw > 26 || !wgrad_fits(&g)))
    g.cb--;
  int64_t utiles = ceil_div(units, g.cb), rtiles = ceil_div(inputs, g.rb);
  int rest = (int)(inputs % g.rb);
  lower_kernel(l, n, "", g.channel_lanes ? "outer.channels" : "outer.lanes",
               arena_printf(l->arena, "outer product; lanes hold %d %s; tile of %d output x %d input channels x %d columns",
                            l->block, g.channel_lanes ? "output channels" : "samples", g.cb, g.rb, (int)g.kw));
  g.acc = l_registers(b, "acc", (int)l->program->real, l->block, (int64_t)g.cb * g.rb * g.kw);
  const char *names[] = { "group", "tile", "rtile", "ky" };
  int64_t extent[] = { c->groups, utiles, rtiles, c->k[0] };
  LExpr *digit[4];
  items_begin(l, names, extent, 4, digit);
  g.group = digit[0];
  g.unit = scaled(b, "c", digit[1], g.cb);
  g.r0 = scaled(b, "r", digit[2], g.rb);
  g.ky = digit[3];
  if (!rest || rtiles == 1)
    emit_units(&g, digit[1], units, rest ? rest : g.rb);
  else {
    l_if(b, l_op(b, SC_lt, digit[2], l_int(b, rtiles - 1), NULL));
    emit_units(&g, digit[1], units, g.rb);
    l_else(b);
    emit_units(&g, digit[1], units, rest);
    l_end(b);
  }
  l_end(b);
  lower_kernel_end(l, l_int(b, c->groups * utiles * rtiles * c->k[0]));
}
