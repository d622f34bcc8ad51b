/* The loops of recurrent layers.
 *
 *   for every group of samples, every step, every tile of units
 *     sum[q, u] := bias + sum_k w[q * H + u, k] * h[k]           forward
 *     dh[u]     := sum_o w[o, u] * dsum[o]                       backward, steps descending
 *     the cell of each unit
 *
 * h and dsum of two steps lie in turn in scratch of the worker, that being read and that being
 * made. Sums are one chain in the order of k or o, whatever the tile. Where a batch fills half of
 * the lanes at most, recur_few.c makes the products of a step before its cells, and forward these,
 * too (recur_few_cells.c). */
#include "kernel/recur.h"
#include "kernel/matmul.h"
#include "kernel/recur_few.h"

typedef struct {
  const Recur *r;
  Lower *l;
  Buffer *acc;
  Buffer *turn, *second;        /* scratch: two steps of h or dsum; the second state */
  LExpr *from, *to;             /* where in `turn` this step reads and writes */
  LExpr *group, *step, *unit;   /* unit: the first of the tile */
  LExpr *k_block, *k;           /* reduced index; k_block NULL: k is the whole of it */
  int tile;                     /* units */
  RecurFew *few;                /* not NULL: makes the products of a step, before its tiles */
  bool cells;                   /* and its cells, in place of tiles */
  int64_t rows;                 /* of w */
} Walk;

Coord recur_samples(Lower *l, LExpr *group)
{
  Coord c;
  coord_clear(&c);
  coord_add(&c, AXIS_BATCH, group, l->block, ceil_div(l->program->batch, l->block));
  coord_add(&c, AXIS_BATCH, NULL, 1, l->block);
  return c;
}

Coord recur_coord(const RecurPoint *p, LExpr *step, int q)
{
  Build *b = p->l->b;
  Coord c = recur_samples(p->l, p->group);
  coord_set(&c, 0, step, p->r->steps);
  coord_set(&c, 1, l_addi(b, p->unit, q * p->r->units), (q + 1) * p->r->units);
  return c;
}

LExpr *recur_load(const RecurPoint *p, Value v, int q)
{
  if (p->few)
    return recur_few_load(p, v, q);
  Coord c = recur_coord(p, p->step, q);
  return lower_load(p->l, v, &c, p->l->block);
}

void recur_store(const RecurPoint *p, uint32_t result, int q, LExpr *e)
{
  Value v = { (Node *)(uintptr_t)p->r->node, result };
  if (!lower_is_stored(p->l, v))
    return;
  if (p->few) {
    recur_few_keep(p, result, q, e);
    return;
  }
  Coord c = recur_coord(p, p->step, q);
  lower_store(p->l, v, &c, e);
}

void recur_finish(const RecurPoint *p, LExpr *h)
{
  LExpr *result[RECUR_RESULTS] = { h };
  if (p->few) {
    recur_few_keep(p, 0, 0, h);
    return;
  }
  Coord c = recur_coord(p, p->step, 0);
  lower_finish(p->l, p->r->node, &c, result, p->l->block);
}

void recur_plans(Plans *ps, const Node *n, uint32_t w, const char *algorithm)
{
  int64_t batch = ps->program->batch;
  const Type *tw = value_type(n->in[w]);
  Plan p = { .family = ps->family, .algorithm = algorithm, .sample_lanes = true };
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node && value_type(n->in[i])->batched)
      p.in[i] = family_layout(FAMILY_LANES, value_type(n->in[i]), ps->block, batch);
  for (uint32_t i = 0; i < n->nout; i++)
    p.out[i] = family_layout(FAMILY_LANES, &n->type[i], ps->block, batch);
  p.in[w] = dense_lane_weights(tw->dim[0], tw->dim[1], ps->block);
  for (uint32_t i = w + 2; i < n->nin; i++)
    if (n->in[i].node)
      p.in[i] = blocked_layout(value_type(n->in[i]), ps->block, batch);
  p.cost = (double)type_elems(tw) * (double)n->type[0].dim[0] *
           (double)ceil_div(batch, ps->block);
  plans_offer(ps, &p);
}

/* ---- the products ---- */

static LExpr *load_turn(void *ctx, int i)
{
  const Walk *w = ctx;
  Build *b = w->l->b;
  int64_t block = w->l->block;
  LExpr *k = w->k_block ? l_add(b, l_muli(b, w->k_block, block), w->k) : w->k;
  (void)i;
  return l_load(b, w->turn, l_add(b, w->from, l_muli(b, k, block)), w->l->block);
}

/* Row of w for scalar i of the forward tile: gate i / tile of unit i % tile. */
static LExpr *tile_row(const Walk *w, int i)
{
  return l_addi(w->l->b, w->unit, i / w->tile * w->r->units + i % w->tile);
}

static LExpr *forward_weight(void *ctx, int i)
{
  const Walk *w = ctx;
  int64_t block = w->l->block;
  Coord c;
  coord_clear(&c);
  coord_set(&c, 0, tile_row(w, i), w->rows);
  coord_add(&c, 1, w->k_block, block, ceil_div(w->r->units, block));
  coord_add(&c, 1, w->k, 1, block);
  return lower_load_scalar(w->l, w->r->w, &c);
}

static LExpr *backward_weight(void *ctx, int i)
{
  const Walk *w = ctx;
  Build *b = w->l->b;
  int64_t block = w->l->block, units = w->r->units;
  Coord c;
  coord_clear(&c);
  coord_set(&c, 0, w->k, w->rows);
  if (block % w->tile == 0 && w->unit->kind != LE_INT) {        /* a tile lies in one line */
    LExpr *at = l_muli(b, l_mod(b, w->unit, l_int(b, block)), 1);
    coord_add(&c, 1, l_div(b, w->unit, l_int(b, block)), block, ceil_div(units, block));
    coord_add(&c, 1, l_addi(b, at, i), 1, block);
  } else
    coord_set(&c, 1, l_addi(b, w->unit, i), units);
  return lower_load_scalar(w->l, w->r->w, &c);
}

static void start_sums(Walk *w)
{
  Lower *l = w->l;
  for (int i = 0; i < w->r->gates * w->tile; i++) {
    LExpr *init = l_real(l->b, 0);
    if (w->r->bias.node) {
      Coord c;
      coord_clear(&c);
      coord_set(&c, 0, tile_row(w, i), w->rows);
      init = lower_load(l, w->r->bias, &c, l->block);
    }
    reg_set(l, w->acc, i, init);
  }
}

static void multiply_at(void *ctx, LExpr *block, LExpr *in)
{
  Walk *w = ctx;
  w->k_block = block;
  w->k = in;
  Tile t = { 1, w->r->gates * w->tile };
  tile_multiply(w->l, w->acc, t, load_turn, forward_weight, NULL, w);
}

static void multiply_state(Walk *w) { tile_reduce(w->l, w->r->units, multiply_at, w); }

/* ---- one tile of units ---- */

static LExpr *place(const Walk *w, LExpr *first, LExpr *unit)
{
  return l_add(w->l->b, first, l_muli(w->l->b, unit, w->l->block));
}

static RecurPoint point_at(Walk *w, int i)
{
  Build *b = w->l->b;
  RecurPoint p = { .r = w->r, .l = w->l, .group = w->group, .step = w->step,
                   .unit = l_addi(b, w->unit, i) };
  if (w->second)
    p.carried = l_let(b, "old", l_load(b, w->second, place(w, l_int(b, 0), p.unit), w->l->block));
  return p;
}

static void keep_second(Walk *w, const RecurPoint *p)
{
  if (w->second)
    l_store(w->l->b, w->second, place(w, l_int(w->l->b, 0), p->unit), p->pass);
}

static void forward_tile(Walk *w)
{
  Build *b = w->l->b;
  LExpr *sum[RECUR_GATES];
  start_sums(w);
  multiply_state(w);
  for (int i = 0; i < w->tile; i++) {
    RecurPoint p = point_at(w, i);
    p.old_h = l_let(b, "h", l_load(b, w->turn, place(w, w->from, p.unit), w->l->block));
    for (int q = 0; q < w->r->gates; q++)
      sum[q] = reg_get(w->l, w->acc, q * w->tile + i);
    LExpr *h = w->r->forward(&p, sum);
    l_store(b, w->turn, place(w, w->to, p.unit), h);
    keep_second(w, &p);
  }
}

static void multiply_gradient(Walk *w)
{
  Lower *l = w->l;
  Build *b = l->b;
  for (int i = 0; i < w->tile; i++)
    reg_set(l, w->acc, i, l_real(b, 0));
  w->k_block = NULL;
  w->k = l_var(b, l_loop(b, "o", l_int(b, 0), l_int(b, w->rows), 1, FOR_ROLLED));
  tile_multiply(l, w->acc, (Tile){ 1, w->tile }, load_turn, backward_weight, NULL, w);
  l_end(b);
}

static void backward_tile(Walk *w)
{
  Lower *l = w->l;
  Build *b = l->b;
  LExpr *dsum[RECUR_GATES];
  if (!w->few)
    multiply_gradient(w);
  for (int i = 0; i < w->tile; i++) {
    RecurPoint p = point_at(w, i);
    LExpr *dh = w->few ? recur_few_sum(w->few, p.unit) : reg_get(l, w->acc, i);
    if (w->r->adds)
      dh = l_add(b, dh, p.carried);
    w->r->backward(&p, dh, dsum);
    for (int q = 0; q < w->r->gates; q++) {
      LExpr *row = l_addi(b, p.unit, q * w->r->units);
      l_store(b, w->turn, place(w, w->to, row), dsum[q]);
    }
    keep_second(w, &p);
  }
}

/* ---- the walk ---- */

/* Units of a tile, each with `each` sums: as many as registers hold, rather dividing all. */
static int choose_tile(const Lower *l, int64_t units, int each, int most)
{
  int best = 1;
  while (best < most && best < units && tile_fits(l, 1, each * (best + 1)))
    best++;
  for (int t = best; 2 * t > best; t--)
    if (units % t == 0)
      return t;
  return best;
}

/* What the first step reads: vectors of the group's rows, or zeros. */
static void start_state(const Walk *w, Buffer *to, Value rows, int64_t vectors)
{
  Lower *l = w->l;
  Build *b = l->b;
  LExpr *i = l_var(b, l_loop(b, "i", l_int(b, 0), l_int(b, vectors), 1, FOR_PLAIN));
  LExpr *e = l_real(b, 0);
  if (rows.node) {
    Coord c;
    coord_clear(&c);
    coord_add(&c, 0, w->group, l->block, ceil_div(l->program->batch, l->block));
    coord_add(&c, 0, NULL, 1, l->block);
    coord_set(&c, 1, i, vectors);
    e = lower_load(l, rows, &c, l->block);
  }
  l_store(b, to, l_muli(b, i, l->block), l_splat(b, e, l->block));
  l_end(b);
}

/* The state after the last step, which lies at `at`, becomes the result if anybody reads it. */
static void end_state(const Walk *w, uint32_t result, Buffer *from, int64_t at)
{
  Lower *l = w->l;
  Build *b = l->b;
  Value v = { (Node *)(uintptr_t)w->r->node, result };
  if (!result || !lower_is_stored(l, v))
    return;
  LExpr *i = l_var(b, l_loop(b, "i", l_int(b, 0), l_int(b, w->r->units), 1, FOR_PLAIN));
  Coord c = recur_samples(l, w->group);
  coord_set(&c, 0, i, w->r->units);
  LExpr *e = l_load(b, from, place(w, l_int(b, at * l->block), i), l->block);
  lower_store(l, v, &c, e);
  l_end(b);
}

/* All tiles of a step, the last one shorter where the tile does not divide the units. */
static void walk_units(Walk *w, void (*tile)(Walk *))
{
  Build *b = w->l->b;
  int full = w->tile;
  int64_t whole = w->r->units / full;
  LExpr *i = l_var(b, l_loop(b, "tile", l_int(b, 0), l_int(b, whole), 1, FOR_ROLLED));
  w->unit = full > 1 ? l_let(b, "u", l_muli(b, i, full)) : i;
  tile(w);
  l_end(b);
  w->tile = (int)(w->r->units % full);
  w->unit = l_int(b, whole * full);
  if (w->tile)
    tile(w);
  w->tile = full;
}

/* One step, at w->step, from one half of turn to the other. */
static void walk_step(Walk *w, bool back)
{
  if (w->few) {
    w->few->group = w->group;
    w->few->step = w->step;
    w->few->from = w->from;
    w->few->to = w->to;
    recur_few_multiply(w->few);
  }
  if (w->cells)
    recur_few_cells(w->few);
  else
    walk_units(w, back ? backward_tile : forward_tile);
}

/* The first step's states; after the last one, which leaves h at `at`, those that anybody reads. */
static void walk_start(const Walk *w, int64_t vectors)
{
  const Recur *r = w->r;
  if (w->cells) {
    w->few->group = w->group;
    recur_few_start(w->few, w->turn, r->first[0]);
    if (w->second)
      recur_few_start(w->few, w->second, r->first[1]);
    return;
  }
  start_state(w, w->turn, r->first[0], vectors);
  if (w->second)
    start_state(w, w->second, r->first[1], r->units);
}

static void walk_end(const Walk *w, int64_t at)
{
  const Recur *r = w->r;
  if (w->cells) {
    recur_few_end(w->few, r->end[0], w->turn, at * w->l->block);
    recur_few_end(w->few, r->end[1], w->second, 0);
    return;
  }
  end_state(w, r->end[0], w->turn, at);
  end_state(w, r->end[1], w->second, 0);
}

static const char *walk_about(const Walk *w)
{
  if (w->cells)
    return arena_printf(w->l->arena, "all steps of a group; lanes hold %d units of a sample",
                        w->l->block);
  return arena_printf(w->l->arena, "all steps of a group; lanes hold %d samples; tile of %d units",
                      w->l->block, w->tile);
}

static void walk(Lower *l, const Recur *r, bool back, const char *template_name)
{
  Build *b = l->b;
  bool is_few = recur_is_few(l);
  Walk w = { .r = r, .l = l, .rows = r->gates * r->units, .cells = is_few && !back };
  int64_t half = w.cells ? recur_few_vectors(l, r->units) : back ? w.rows : r->units;
  w.tile = choose_tile(l, r->units, back ? 1 : r->gates, back ? l->block : INT32_MAX);
  lower_kernel(l, r->node, "", template_name, walk_about(&w));
  w.acc = is_few ? NULL : l_registers(b, "acc", (int)l->program->real, l->block,
                                      w.tile * (back ? 1 : r->gates));
  w.turn = tile_scratch(l, back ? "dsum" : "h", 2 * half);
  int64_t other = w.cells ? half : r->units;
  w.second = r->second ? tile_scratch(l, "carried", other) : NULL;
  RecurFew few;
  if (is_few) {
    few = recur_few_begin(l, r, back, w.turn);
    few.second = w.second;
    w.few = &few;
  }
  LExpr *lo = l_var(b, l->kernel->lo), *hi = l_var(b, l->kernel->hi);
  w.group = l_var(b, l_loop(b, "g", lo, hi, 1, FOR_PLAIN));
  walk_start(&w, half);
  LExpr *s = l_var(b, l_loop(b, "step", l_int(b, 0), l_int(b, r->steps), 1, FOR_ROLLED));
  w.step = back ? l_let(b, "t", l_sub(b, l_int(b, r->steps - 1), s)) : s;
  LExpr *odd = l_mod(b, s, l_int(b, 2));
  w.from = l_let(b, "from", l_muli(b, odd, half * l->block));
  w.to = l_let(b, "to", l_sub(b, l_int(b, half * l->block), w.from));
  walk_step(&w, back);
  l_end(b);
  walk_end(&w, r->steps % 2 * half);
  l_end(b);
  lower_by_samples(l, l->block);
  lower_kernel_end(l, lower_groups(l, lower_host_n(l)));
}

void recur_forward(Lower *l, const Recur *r) { walk(l, r, false, "recur"); }

void recur_backward(Lower *l, const Recur *r) { walk(l, r, true, "recur.back"); }

/* ---- sums over samples and steps ---- */

enum { SUM_TILE = 8 };

void recur_sum(Lower *l, const Node *n, Value x)
{
  Build *b = l->b;
  const Type *t = value_type(x);
  int tile = SUM_TILE;
  while (t->dim[1] % tile)
    tile--;
  lower_kernel(l, n, "", "sum.steps",
               arena_printf(l->arena, "lanes hold %d samples; tile of %d columns", l->block, tile));
  Buffer *acc = l_registers(b, "sum", (int)l->program->real, l->block, tile);
  LExpr *lo = l_var(b, l->kernel->lo), *hi = l_var(b, l->kernel->hi);
  LExpr *first = l_muli(b, l_var(b, l_loop(b, "i", lo, hi, 1, FOR_PLAIN)), tile);
  for (int k = 0; k < tile; k++)
    reg_set(l, acc, k, l_real(b, 0));
  LExpr *g = l_var(b, l_loop(b, "g", l_int(b, 0), lower_groups(l, l->n), 1, FOR_ROLLED));
  Coord c = recur_samples(l, g);
  LExpr *mask = l_let(b, "inside", lower_batch_mask(l, &c, l->block));
  LExpr *step = l_var(b, l_loop(b, "t", l_int(b, 0), l_int(b, t->dim[0]), 1, FOR_ROLLED));
  coord_set(&c, 0, step, t->dim[0]);
  for (int k = 0; k < tile; k++) {
    coord_set(&c, 1, l_addi(b, first, k), t->dim[1]);
    LExpr *e = l_op(b, SC_select, mask, lower_load(l, x, &c, l->block), l_real(b, 0));
    reg_set(l, acc, k, l_add(b, reg_get(l, acc, k), e));
  }
  l_end(b);
  l_end(b);
  for (int k = 0; k < tile; k++) {
    coord_clear(&c);
    coord_set(&c, 0, l_addi(b, first, k), t->dim[1]);
    LExpr *sum = l_reduce(b, SC_add, reg_get(l, acc, k));
    lower_finish(l, n, &c, &sum, 1);
  }
  l_end(b);
  lower_kernel_end(l, l_int(b, t->dim[1] / tile));
}
