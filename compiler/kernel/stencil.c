/* The gather template: forward convolution and its input gradient.
 *
 *   out[c, q] = bias[c] + sum over r, taps t of in[r, q * in_step + first + t * apart] * w[..]
 *
 * Each output is one chain of fma in the order (r, ty, tx), whatever the tile. Padding costs nothing: rows
 * bound the loop over ty, and the tiles at the left and right edge leave their missing taps out. Lanes hold
 * samples (then x is the vector operand and weights are broadcast) or output channels (the reverse);
 * depthwise they hold the channels of both sides, which are multiplied lane by lane. The
 * input gradient of a strided convolution is one dense gather per phase of the output position.
 *
 * With a window node fused behind it a work item is one row of windows: the rows of outputs that
 * they read go, finished, into an array that stays in the nearest cache, and are combined from
 * there. Outputs that no window reads are not computed. */
#include "kernel/conv.h"
#include "kernel/tile.h"
#include "kernel/winograd.h"

/* One spatial axis of one phase. */
typedef struct {
  int64_t count;                /* output positions q */
  int64_t out_step, out_base;   /* output index q * out_step + out_base */
  int64_t in_step, first, apart, in_extent;
  int64_t taps, k0, kstep;      /* weight index k0 + t * kstep */
} Axis;

typedef struct {
  Lower *l;
  const Node *n;
  Value in, w, bias;
  bool channel_lanes, flip;     /* flip: w is indexed [reduced, produced], the input gradient */
  bool depthwise;               /* channel lanes on both sides; then nothing is reduced but taps */
  int64_t groups, produced, reduced;    /* channels per group */
  int64_t out_channels, in_channels;
  int64_t k[2];
  Axis y, x;
  Tile tile;                    /* nv x ns as the family reads them */
  int cb, pb;                   /* channels (units) and pixels of the tile */
  Buffer *acc;
  const Node *window;           /* fused behind n, or NULL; then: */
  int64_t wk[2];                /* cells of a window */
  Buffer *cells;                /* [wk[0]][columns that windows read][units of the tile][lanes] */
  LExpr *u;                     /* row of the window */
  bool behind;                  /* something is fused behind its rows */
  /* the current place */
  LExpr *batch, *group, *unit;  /* sample group or sample; channel group; first unit of the tile in it */
  LExpr *q_row, *r, *r_block, *r_in, *ky, *iy;
  LExpr *q0;                    /* first pixel of the tile; q0_const >= 0: known */
  int64_t q0_const, tx;
} Stencil;

enum { CELLS_MAX = 512 };       /* blocks of 64 bytes of `cells`, if possible: x shares the cache */
/* Pixels of a depthwise tile: compilers keep the inputs under it from tap to tap, one a pixel. */
enum { PIXELS_MAX = 12, PIXELS_NARROW = 4 };

static int64_t lanes_of(const Stencil *s) { return s->channel_lanes ? s->l->block : 1; }

static void batch_coord(const Stencil *s, Coord *c)
{
  if (s->channel_lanes) {
    coord_set(c, AXIS_BATCH, s->batch, s->l->program->batch);
    return;
  }
  coord_drop(c, AXIS_BATCH);
  coord_add(c, AXIS_BATCH, s->batch, s->l->block, ceil_div(s->l->program->batch, s->l->block));
  coord_add(c, AXIS_BATCH, NULL, 1, s->l->block);
}

/* Produced channel of unit j, on `axis`, counted over all groups or within its group. */
static void produced_coord(const Stencil *s, Coord *c, int axis, int j, bool within_group)
{
  Build *b = s->l->b;
  LExpr *unit = l_addi(b, s->unit, j);
  int64_t lanes = lanes_of(s);
  if (!within_group && s->groups > 1)
    unit = l_add(b, l_muli(b, s->group, s->produced / lanes), unit);
  int64_t all = within_group ? s->produced : s->out_channels;
  coord_drop(c, axis);
  coord_add(c, axis, unit, lanes, ceil_div(all, lanes));
  if (s->channel_lanes)
    coord_add(c, axis, NULL, 1, lanes);
}

static void reduced_coord(const Stencil *s, Coord *c, int axis, bool within_group)
{
  Build *b = s->l->b;
  coord_drop(c, axis);
  if (s->r_block && (within_group || s->groups == 1)) {
    coord_add(c, axis, s->r_block, s->l->block, ceil_div(s->reduced, s->l->block));
    coord_add(c, axis, s->r_in, 1, s->l->block);
    return;
  }
  LExpr *r = s->r;
  if (s->r_block) {
    LExpr *first = l_muli(b, s->group, s->reduced / s->l->block);
    coord_add(c, axis, l_add(b, first, s->r_block), s->l->block, ceil_div(s->in_channels, s->l->block));
    coord_add(c, axis, s->r_in, 1, s->l->block);
    return;
  }
  if (!within_group && s->groups > 1)
    r = l_add(b, l_muli(b, s->group, s->reduced), r);
  coord_set(c, axis, r, within_group ? s->reduced : s->in_channels);
}

static LExpr *load_input(void *ctx, int i)
{
  Stencil *s = ctx;
  Build *b = s->l->b;
  Coord c;
  coord_clear(&c);
  batch_coord(s, &c);
  if (s->depthwise)
    produced_coord(s, &c, 0, 0, false);
  else
    reduced_coord(s, &c, 0, false);
  coord_set(&c, 1, s->iy, s->y.in_extent);
  int64_t off = i * s->x.in_step + s->x.first + s->tx * s->x.apart;
  coord_set(&c, 2, l_addi(b, l_muli(b, s->q0, s->x.in_step), off), s->x.in_extent);
  return lower_load(s->l, s->in, &c, s->l->block);
}

static LExpr *load_weight(void *ctx, int j)
{
  Stencil *s = ctx;
  Coord c;
  coord_clear(&c);
  if (s->depthwise)
    produced_coord(s, &c, 0, j, false);
  else {
    produced_coord(s, &c, s->flip ? 1 : 0, j, s->flip);
    reduced_coord(s, &c, s->flip ? 0 : 1, !s->flip);
  }
  coord_set(&c, 2, s->ky, s->k[0]);
  coord_set(&c, 3, l_int(s->l->b, s->x.k0 + s->tx * s->x.kstep), s->k[1]);
  return lower_load(s->l, s->w, &c, s->l->block);
}

static bool tap_inside(const Axis *a, int64_t q, int64_t t)
{
  int64_t at = q * a->in_step + a->first + t * a->apart;
  return at >= 0 && at < a->in_extent;
}

static bool pixel_live(const Stencil *s, int pixel)
{
  return s->q0_const < 0 || tap_inside(&s->x, s->q0_const + pixel, s->tx);
}

static bool live(void *ctx, int v, int sc)
{
  const Stencil *s = ctx;
  return pixel_live(s, s->channel_lanes ? sc : v);
}

/* Bounds of the taps that stay inside the input for output row q; constants when they are so for every q. */
static void tap_range(const Stencil *s, const Axis *a, LExpr *q, LExpr **lo, LExpr **hi)
{
  Build *b = s->l->b;
  int64_t d = a->apart < 0 ? -a->apart : a->apart;
  bool low = false, high = false;
  for (int64_t i = 0; i < a->count; i++) {
    int64_t first = i * a->in_step + a->first, last = first + (a->taps - 1) * a->apart;
    low |= a->apart > 0 ? first < 0 : first >= a->in_extent;
    high |= a->apart > 0 ? last >= a->in_extent : last < 0;
  }
  LExpr *at = l_addi(b, l_muli(b, q, a->in_step), a->first);
  LExpr *below, *above;         /* taps before `below` and from `above` on fall outside */
  if (a->apart > 0) {
    below = l_div(b, l_sub(b, l_int(b, d - 1), at), l_int(b, d));
    above = l_div(b, l_sub(b, l_int(b, a->in_extent - 1 + d), at), l_int(b, d));
  } else {
    below = l_div(b, l_addi(b, at, d - a->in_extent), l_int(b, d));
    above = l_div(b, l_addi(b, at, d), l_int(b, d));
  }
  *lo = low ? l_let(b, "ty0", l_max(b, l_int(b, 0), below)) : l_int(b, 0);
  *hi = high ? l_let(b, "ty1", l_min(b, l_int(b, a->taps), above)) : l_int(b, a->taps);
}

static LExpr *cell_index(const Stencil *s, LExpr *u, LExpr *col, int j)
{
  Build *b = s->l->b;
  LExpr *at = l_add(b, l_muli(b, u, s->x.count), col);
  return l_addi(b, l_muli(b, at, (int64_t)s->cb * s->l->block), (int64_t)j * s->l->block);
}

/* Output and epilogue coordinates of accumulator (channel j, pixel i). */
static void finish_tile(Stencil *s, int cb, int pb)
{
  Lower *l = s->l;
  Build *b = l->b;
  for (int j = 0; j < cb; j++)
    for (int i = 0; i < pb; i++) {
      Coord c;
      coord_clear(&c);
      batch_coord(s, &c);
      produced_coord(s, &c, 0, j, false);
      coord_set(&c, 1, l_addi(b, l_muli(b, s->q_row, s->y.out_step), s->y.out_base), s->n->type[0].dim[1]);
      LExpr *col = l_addi(b, s->q0, i);
      coord_set(&c, 2, l_addi(b, l_muli(b, col, s->x.out_step), s->x.out_base), s->n->type[0].dim[2]);
      LExpr *v = reg_get(l, s->acc, s->channel_lanes ? j * pb + i : i * cb + j);
      LExpr *kept = lower_finish(l, s->n, &c, &v, l->block);
      if (s->window)
        l_store(b, s->cells, cell_index(s, s->u, col, j), l_splat(b, kept, l->block));
    }
}

static void start_tile(Stencil *s, int cb, int pb)
{
  Lower *l = s->l;
  for (int j = 0; j < cb; j++) {
    LExpr *init = l_real(l->b, 0);
    if (s->bias.node) {
      Coord c;
      coord_clear(&c);
      produced_coord(s, &c, 0, j, false);
      init = lower_load(l, s->bias, &c, l->block);
    }
    for (int i = 0; i < pb; i++)
      reg_set(l, s->acc, s->channel_lanes ? j * pb + i : i * cb + j, init);
  }
}

/* Loops over the reduced channels; blocked when the input holds them so. */
static int reduce_begin(Stencil *s)
{
  if (s->depthwise)
    return 0;
  Build *b = s->l->b;
  const Layout *in = lower_layout(s->l, s->in);
  const Digit *last = &in->digit[in->n - 1];
  s->r_block = s->r_in = NULL;
  if (last->axis == 0 && last->extent == s->l->block && last->div == 1) {
    int64_t block = s->l->block, blocks = ceil_div(s->reduced, block);
    s->r_block = l_var(b, l_loop(b, "rb", l_int(b, 0), l_int(b, blocks), 1, FOR_ROLLED));
    LExpr *end = l_int(b, block);
    if (s->reduced % block)
      end = l_min(b, end, l_sub(b, l_int(b, s->reduced), l_muli(b, s->r_block, block)));
    s->r_in = l_var(b, l_loop(b, "r", l_int(b, 0), end, 1, FOR_ROLLED));
    return 2;
  }
  s->r = l_var(b, l_loop(b, "r", l_int(b, 0), l_int(b, s->reduced), 1, FOR_ROLLED));
  return 1;
}

static void emit_tile(Stencil *s, LExpr *q0, int64_t q0_const, int cb, int pb)
{
  Lower *l = s->l;
  Build *b = l->b;
  s->q0 = q0;
  s->q0_const = q0_const;
  start_tile(s, cb, pb);
  if (s->y.taps > 0 && s->x.taps > 0) {
    LExpr *lo, *hi;
    tap_range(s, &s->y, s->q_row, &lo, &hi);
    int loops = reduce_begin(s);
    LExpr *ty = l_var(b, l_loop(b, "ty", lo, hi, 1, FOR_ROLLED));
    s->iy = l_add(b, l_addi(b, l_muli(b, s->q_row, s->y.in_step), s->y.first), l_muli(b, ty, s->y.apart));
    s->ky = l_addi(b, l_muli(b, ty, s->y.kstep), s->y.k0);
    for (s->tx = 0; s->tx < s->x.taps; s->tx++) {
      if (s->channel_lanes)
        tile_multiply(l, s->acc, (Tile){ cb, pb }, load_weight, load_input, live, s);
      else
        tile_multiply(l, s->acc, (Tile){ pb, cb }, load_input, load_weight, live, s);
    }
    for (int i = 0; i <= loops; i++)
      l_end(b);
  }
  finish_tile(s, cb, pb);
}

static bool tile_interior(const Axis *a, int64_t q0, int64_t pb)
{
  for (int64_t i = 0; i < pb; i++)
    for (int64_t t = 0; t < a->taps; t++)
      if (!tap_inside(a, q0 + i, t))
        return false;
  return true;
}

/* One output row for cb channels: edge tiles by themselves, the interior as a loop. */
static void emit_row(Stencil *s, int cb)
{
  Build *b = s->l->b;
  int64_t q = 0, pb = s->pb;
  while (q < s->x.count) {
    int64_t width = min_i64(pb, s->x.count - q), end = q;
    while (width == pb && end + pb <= s->x.count && tile_interior(&s->x, end, pb))
      end += pb;
    if (end > q + pb) {
      LExpr *q0 = l_var(b, l_loop(b, "ox", l_int(b, q), l_int(b, end), pb, FOR_PLAIN));
      emit_tile(s, q0, -1, cb, (int)pb);
      l_end(b);
      q = end;
      continue;
    }
    emit_tile(s, l_int(b, q), q, cb, (int)width);
    q += width;
  }
}

/* Combines the cells of window (row, col) of channel j and finishes what is fused behind. */
static void combine_window(Stencil *s, LExpr *row, LExpr *col, int j)
{
  Lower *l = s->l;
  Build *b = l->b;
  const Type *t = &s->window->type[0];
  LExpr **cell = ARENA_ARRAY(l->arena, LExpr *, s->wk[0] * s->wk[1]), *result[2] = { NULL, NULL };
  for (int64_t u = 0; u < s->wk[0]; u++)
    for (int64_t v = 0; v < s->wk[1]; v++) {
      LExpr *at = l_addi(b, l_muli(b, col, s->wk[1]), v);
      LExpr *value = l_load(b, s->cells, cell_index(s, l_int(b, u), at, j), l->block);
      cell[u * s->wk[1] + v] = l_let(b, "v", value);
    }
  s->window->op->combine(l, s->window, cell, result);
  Coord c;
  coord_clear(&c);
  batch_coord(s, &c);
  produced_coord(s, &c, 0, j, false);
  coord_set(&c, 1, row, t->dim[1]);
  coord_set(&c, 2, col, t->dim[2]);
  lower_finish(l, s->window, &c, result, l->block);
}

/* One row of windows for cb channels. */
static void emit_windows(Stencil *s, LExpr *row, int cb)
{
  Build *b = s->l->b;
  /* over rows of the image: gcc peels a loop whose bounds it knows, and spills in both copies */
  LExpr *first = l_muli(b, row, s->wk[0]), *end = l_addi(b, first, s->wk[0]);
  s->q_row = l_var(b, l_loop(b, "cy", first, end, 1, FOR_ROLLED));
  s->u = l_let(b, "u", l_sub(b, s->q_row, first));
  emit_row(s, cb);
  l_end(b);
  LExpr *cols = l_int(b, s->window->type[0].dim[2]);
  LExpr *col = l_var(b, l_loop(b, "ox", l_int(b, 0), cols, 1, FOR_PLAIN));
  for (int j = 0; j < cb; j++)
    combine_window(s, row, col, j);
  l_end(b);
}

/* What is fused behind whole rows, for cb channels of output row `row` of the phase. */
static void emit_behind(Stencil *s, LExpr *row, int cb)
{
  Lower *l = s->l;
  Build *b = l->b;
  LExpr *unit = s->unit;
  if (cb > 1)
    s->unit = l_add(b, unit, l_var(b, l_loop(b, "j", l_int(b, 0), l_int(b, cb), 1, FOR_ROLLED)));
  Coord c;
  coord_clear(&c);
  batch_coord(s, &c);
  produced_coord(s, &c, 0, 0, false);
  coord_set(&c, 1, l_addi(b, l_muli(b, row, s->y.out_step), s->y.out_base), s->n->type[0].dim[1]);
  lower_rows(l, s->n, &c);
  if (cb > 1)
    l_end(b);
  s->unit = unit;
}

typedef struct { Axis *y, *x; int ny, nx; int64_t rows; } Phases;

static void emit_phases(Stencil *s, const Phases *ph, LExpr *row, int cb)
{
  Build *b = s->l->b;
  for (int py = 0; py < ph->ny; py++) {
    s->y = ph->y[py];
    s->q_row = row;
    bool some = !s->window && s->y.count < ph->rows;
    if (some)
      l_if(b, l_op(b, SC_lt, row, l_int(b, s->y.count), NULL));
    for (int px = 0; px < ph->nx; px++) {
      s->x = ph->x[px];
      if (s->window)
        emit_windows(s, row, cb);
      else
        emit_row(s, cb);
    }
    if (s->behind)
      emit_behind(s, row, cb);
    if (some)
      l_end(b);
  }
}

static void emit_stencil(Stencil *s, const Phases *ph, const char *suffix)
{
  Lower *l = s->l;
  Build *b = l->b;
  int64_t units = ceil_div(s->produced, lanes_of(s));
  /* Neighbouring pixels share inputs, which compilers keep from tap to tap: narrow registers have little room. */
  bool narrow = l->target->vector_bytes < 64;
  int most = s->channel_lanes ? 4 : 8;
  if (s->window)
    most = (int)max_i64(1, min_i64(most, CELLS_MAX / (s->wk[0] * ph->x[0].count)));
  if (s->depthwise)
    s->tile = tile_choose(l, 1, ph->x[0].count, 1, narrow ? PIXELS_NARROW : PIXELS_MAX);
  else if (s->channel_lanes)
    s->tile = tile_choose(l, units, ph->x[0].count, most, narrow ? 5 : 0);
  else
    s->tile = tile_choose(l, ph->x[0].count, units, narrow ? 1 : 0, most);
  s->cb = s->channel_lanes ? s->tile.nv : s->tile.ns;
  s->pb = s->channel_lanes ? s->tile.ns : s->tile.nv;
  int64_t tiles = ceil_div(units, s->cb);
  int rest = (int)(units % s->cb);
  const char *lanes = s->channel_lanes ? "channels" : "samples";
  const char *unit = s->channel_lanes ? "channel blocks" : "channels";
  lower_kernel(l, s->n, suffix,
               s->depthwise ? "stencil.depthwise"
               : s->channel_lanes ? "stencil.channels" : "stencil.lanes",
               arena_printf(l->arena, "stencil; lanes hold %d %s; tile of %d %s x %d pixels",
                            l->block, lanes, s->cb, unit, s->pb));
  s->acc = l_registers(b, "acc", (int)l->program->real, l->block, (int64_t)s->cb * s->pb);
  s->behind = lower_has_rows(l, s->n);
  if (s->window)
    s->cells = l_local(b, "cells", (int)l->program->real,
                       s->wk[0] * ph->x[0].count * s->cb * l->block);
  const char *names[] = { s->channel_lanes ? "i" : "g", "group", "tile", "oy" };
  int64_t extent[] = { 0, s->groups, tiles, ph->rows };
  LExpr *digit[4];
  items_begin(l, names, extent, 4, digit);
  s->batch = digit[0];
  s->group = digit[1];
  s->unit = s->cb == 1 ? digit[2] : l_muli(b, digit[2], s->cb);
  if (s->unit->kind == LE_OP)
    s->unit = l_let(b, "c", s->unit);
  bool split = rest && tiles > 1;
  if (split)
    l_if(b, l_op(b, SC_lt, digit[2], l_int(b, tiles - 1), NULL));
  emit_phases(s, ph, digit[3], rest && tiles == 1 ? rest : s->cb);
  if (split) {
    l_else(b);
    emit_phases(s, ph, digit[3], rest);
    l_end(b);
  }
  l_end(b);
  LExpr *batch = s->channel_lanes ? lower_host_n(l) : lower_groups(l, lower_host_n(l));
  lower_by_samples(l, s->channel_lanes ? 1 : l->block);
  lower_kernel_end(l, l_muli(b, batch, s->groups * tiles * ph->rows));
}

/* Channels as the forward pass has them. */
static Stencil stencil_make(Lower *l, const Node *n, const Plan *p, const ConvShape *c)
{
  bool channel_lanes = p->family == FAMILY_CHANNELS && !p->sample_lanes;
  bool depthwise = channel_lanes && conv_is_depthwise(c);
  int64_t groups = depthwise ? 1 : c->groups;   /* lanes of a block are groups then */
  return (Stencil){ .l = l, .n = n, .channel_lanes = channel_lanes, .depthwise = depthwise,
                    .groups = groups, .produced = c->oc / groups, .reduced = c->ic / groups,
                    .out_channels = c->oc, .in_channels = c->ic, .k = { c->k[0], c->k[1] } };
}

void conv_forward(Lower *l, const Node *n, const Plan *p, const ConvShape *c, Value x, Value w, Value bias)
{
  if (p->grid) {
    winograd_gather_pass(l, n, c, CONV_FORWARD, x, w, bias);
    return;
  }
  Stencil s = stencil_make(l, n, p, c);
  s.in = x;
  s.w = w;
  s.bias = bias;
  Axis axis[2];
  Phases ph = { .y = &axis[0], .x = &axis[1], .ny = 1, .nx = 1, .rows = c->out[0] };
  for (int a = 0; a < 2; a++)
    axis[a] = (Axis){ .count = c->out[a], .out_step = 1, .in_step = c->stride[a], .first = -c->pad[a],
                      .apart = c->dilation[a], .in_extent = c->in[a], .taps = c->k[a], .kstep = 1 };
  s.window = lower_window(l, n);
  if (s.window) {
    s.window->op->windows(s.window, s.wk);
    ph.rows = s.window->type[0].dim[1];
    for (int a = 0; a < 2; a++)
      axis[a].count = s.window->type[0].dim[1 + a] * s.wk[a];
  }
  emit_stencil(&s, &ph, "");
}

static void swap(int64_t *a, int64_t *b)
{
  int64_t old = *a;
  *a = *b;
  *b = old;
}

static int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

/* Input positions i = q * stride + r get their gradient from the taps k with (r + pad - k * dilation)
 * divisible by the stride: an arithmetic progression. */
static Axis grad_axis(const ConvShape *c, int a, int64_t r)
{
  int64_t s = c->stride[a], d = c->dilation[a], g = gcd(s, d), base = r + c->pad[a], k0 = 0;
  Axis x = { .count = c->in[a] > r ? (c->in[a] - r - 1) / s + 1 : 0, .out_step = s, .out_base = r, .in_step = 1,
             .apart = -(d / g), .in_extent = c->out[a], .kstep = s / g };
  while (k0 < s / g && (base - k0 * d) % s != 0)
    k0++;
  if (k0 == s / g || k0 >= c->k[a])
    return x;
  x.k0 = k0;
  x.taps = (c->k[a] - 1 - k0) / x.kstep + 1;
  x.first = (base - k0 * d) / s;
  return x;
}

void conv_input_grad(Lower *l, const Node *n, const Plan *p, const ConvShape *c, Value dy, Value w)
{
  if (p->grid) {
    winograd_gather_pass(l, n, c, CONV_INPUT_GRAD, dy, w, (Value){ NULL, 0 });
    return;
  }
  Stencil s = stencil_make(l, n, p, c);
  s.in = dy;
  s.w = w;
  s.flip = true;
  swap(&s.produced, &s.reduced);
  swap(&s.out_channels, &s.in_channels);
  Phases ph = { .y = ARENA_ARRAY(l->arena, Axis, c->stride[0]), .x = ARENA_ARRAY(l->arena, Axis, c->stride[1]) };
  for (int64_t r = 0; r < c->stride[0] && r < c->in[0]; r++) {
    ph.y[ph.ny++] = grad_axis(c, 0, r);
    ph.rows = max_i64(ph.rows, ph.y[ph.ny - 1].count);
  }
  for (int64_t r = 0; r < c->stride[1] && r < c->in[1]; r++)
    ph.x[ph.nx++] = grad_axis(c, 1, r);
  emit_stencil(&s, &ph, "");
}
