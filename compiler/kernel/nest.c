/* Generic loops for index notation. Points of the result are the work items; indices that are
 * not the result's are loops around the accumulators. A condition is tested as soon as the indices
 * it reads are known. Lanes hold samples, so places are the same in every lane.
 *
 * A sum of products x * y, y the last operand and x the others, has a tile of points: some along an
 * index that x reads and y does not, for each of them some along one that y alone reads. Each x and
 * y of the tile is loaded once a term. Every sum keeps its terms and their order. */
#include "kernel/nest.h"
#include "kernel/tile.h"

enum { SIDE_VECTOR, SIDE_SCALAR, SIDES };       /* of a tile, as tile_multiply counts them */
enum { ITEMS_WANTED = 4, POINTS_MIN = 2 };      /* items of an axis; points before items */
/* Most points along a side where both sides are vectors of samples, by the width of registers. A
 * square reads least, and what it reads again and again fits the nearest cache. */
enum { SQUARE_WIDE = 4, SQUARE_NARROW = 2 };

typedef struct {
  Lower *l;
  const Node *n;
  const Nest *nest;
  Points p;
  Coord sample;                 /* the batch part of operands' coordinates */
  int lanes;                    /* of the terms */
  LExpr *index[NEST_INDICES];
  LExpr *place[NEST_ROWS];
  int open;                     /* loops and branches to close */
  int side[SIDES];              /* the index that points of a tile differ in; -1: none */
  int at[SIDES];                /* the point of the tile that is read */
  bool last_first;              /* the last operand is on the vectors' side */
  Tile tile;
} Walk;

void nest_bounds(const Nest *nest, const NestRow *row, int64_t *low, int64_t *high)
{
  *low = *high = row->offset;
  for (int t = 0; t < nest->nindex; t++) {
    int64_t span = row->c[t] * (nest->extent[t] - 1);
    *low += min_i64(span, 0);
    *high += max_i64(span, 0);
  }
}

bool nest_row_holds(const Nest *nest, const NestRow *row)
{
  int64_t low, high;
  nest_bounds(nest, row, &low, &high);
  bool whole = row->offset % row->divisor == 0;
  for (int t = 0; t < nest->nindex; t++)
    whole = whole && (row->c[t] % row->divisor == 0 || nest->extent[t] == 1);
  return whole && low >= 0 && high < row->extent * row->divisor;
}

void nest_plans(Plans *ps, const Node *n, const Nest *nest)
{
  int64_t batch = ps->program->batch;
  double work = (double)ceil_div(batch, ps->block);
  for (int t = 0; t < nest->nindex; t++)
    work *= (double)nest->extent[t];
  Plan p = { .family = ps->family, .algorithm = "index loops, batch in lanes", .cost = work,
             .sample_lanes = true };
  for (uint32_t i = 0; i < n->nin; i++)
    if (value_type(n->in[i])->batched)
      p.in[i] = family_layout(FAMILY_LANES, value_type(n->in[i]), ps->block, batch);
  for (uint32_t r = 0; r < n->nout; r++)
    p.out[r] = family_layout(FAMILY_LANES, &n->type[r], ps->block, batch);
  plans_offer(ps, &p);
}

/* ---- loops ---- */

/* The last index that the row reads; -1: none. */
static int last_index(const Nest *nest, const NestRow *row)
{
  int last = -1;
  for (int t = 0; t < nest->nindex; t++)
    if (row->c[t] && nest->extent[t] > 1)
      last = t;
  return last;
}

static void branch(Walk *w, LExpr *cond)
{
  l_if(w->l->b, cond);
  w->open++;
}

static void open_row(Walk *w, int r)
{
  Build *b = w->l->b;
  const NestRow *row = &w->nest->row[r];
  int64_t low, high;
  LExpr *e = l_int(b, row->offset);
  for (int t = 0; t < w->nest->nindex; t++)
    if (row->c[t] && w->nest->extent[t] > 1)
      e = l_add(b, e, l_muli(b, w->index[t], row->c[t]));
  nest_bounds(w->nest, row, &low, &high);
  bool holds = nest_row_holds(w->nest, row);
  e = l_let(b, "at", e);
  if (low < 0)
    branch(w, l_op(b, SC_le, l_int(b, 0), e, NULL));
  if (high >= row->extent * row->divisor)
    branch(w, l_op(b, SC_lt, e, l_int(b, row->extent * row->divisor), NULL));
  if (row->divisor > 1 && !holds)
    branch(w, l_op(b, SC_eq, l_mod(b, e, l_int(b, row->divisor)), l_int(b, 0), NULL));
  w->place[r] = row->divisor > 1 ? l_let(b, "at", l_div(b, e, l_int(b, row->divisor))) : e;
}

static void open_rows(Walk *w, int index)
{
  for (int r = 0; r < w->nest->nrow; r++) {
    int last = last_index(w->nest, &w->nest->row[r]);
    if (last == index || (index == w->nest->rank - 1 && last < index))
      open_row(w, r);
  }
}

static void open_loops(Walk *w)
{
  Build *b = w->l->b;
  const Nest *nest = w->nest;
  for (int t = 0; t < nest->rank; t++)
    w->index[t] = coord_index(b, &w->p.c, t);
  for (int side = 0; side < SIDES; side++)
    if (w->side[side] >= 0)
      w->index[w->side[side]] = l_let(b, "first", w->index[w->side[side]]);
  open_rows(w, nest->rank - 1);
  for (int t = nest->rank; t < nest->nindex; t++) {
    w->index[t] = l_int(b, 0);
    if (nest->extent[t] == 1)
      continue;
    LExpr *end = l_int(b, nest->extent[t]);
    w->index[t] = l_var(b, l_loop(b, "j", l_int(b, 0), end, 1, FOR_ROLLED));
    w->open++;
    open_rows(w, t);
  }
}

static void close_loops(Walk *w)
{
  while (w->open > 0) {
    l_end(w->l->b);
    w->open--;
  }
}

/* ---- terms ---- */

/* The place of row r at the point of the tile that is read. */
static LExpr *place(const Walk *w, int r)
{
  const NestRow *row = &w->nest->row[r];
  int64_t further = 0;
  for (int side = 0; side < SIDES; side++)
    if (w->side[side] >= 0)
      further += row->c[w->side[side]] / row->divisor * w->at[side];
  return l_addi(w->l->b, w->place[r], further);
}

static LExpr *factor(Walk *w, int k)
{
  Value v = w->n->in[k];
  const Type *t = value_type(v);
  Coord c = w->sample;
  for (int a = 0; a < t->rank; a++)
    coord_set(&c, a, place(w, w->nest->first[k] + a), t->dim[a]);
  LExpr *e = t->batched && w->lanes > 1 ? lower_load(w->l, v, &c, w->lanes)
                                        : lower_load_scalar(w->l, v, &c);
  return e->dtype == (int)w->l->program->real ? e : l_cast(w->l->b, e, w->l->program->real);
}

/* The product of the first `count` operands. */
static LExpr *product(Walk *w, int count)
{
  LExpr *p = factor(w, 0);
  for (int k = 1; k < count; k++)
    p = l_mul(w->l->b, p, factor(w, k));
  return p;
}

/* sum + the product of the first `count` operands, the last multiplication rounded with the sum. */
static LExpr *add_product(Walk *w, LExpr *sum, int count)
{
  Build *b = w->l->b;
  if (count == 1)
    return l_add(b, sum, factor(w, 0));
  LExpr *p = product(w, count - 1);
  return l_fma(b, l_splat(b, p, w->lanes), l_splat(b, factor(w, count - 1), w->lanes), sum);
}

static LExpr *get(Walk *w, Buffer *reg, int i)
{
  return l_load(w->l->b, reg, l_int(w->l->b, i), w->lanes);
}

static void set(Walk *w, Buffer *reg, int i, LExpr *v)
{
  l_store(w->l->b, reg, l_int(w->l->b, i), l_splat(w->l->b, v, w->lanes));
}

/* Adds the terms of the tile's points; acc as in tile_multiply. */
typedef void (*Body)(Walk *w, Buffer *acc, Tile t);

static LExpr *load_side(Walk *w, int side, int i)
{
  int last = w->nest->nfactor - 1;
  w->at[side] = i;
  LExpr *e = w->last_first == (side == SIDE_VECTOR) ? factor(w, last) : product(w, last);
  w->at[side] = 0;
  return e;
}

static LExpr *load_vector(void *walk, int i) { return load_side(walk, SIDE_VECTOR, i); }

static LExpr *load_scalar(void *walk, int i) { return load_side(walk, SIDE_SCALAR, i); }

static void add_terms(Walk *w, Buffer *sum, Tile t)
{
  if (w->nest->nfactor > 1) {
    tile_multiply(w->l, sum, t, load_vector, load_scalar, NULL, w);
    return;
  }
  for (int i = 0; i < t.nv; i++) {
    w->at[SIDE_VECTOR] = i;
    set(w, sum, i, add_product(w, get(w, sum, i), 1));
  }
  w->at[SIDE_VECTOR] = 0;
}

static void add_picked(Walk *w, Buffer *sum, Tile t)
{
  Build *b = w->l->b;
  int at = w->nest->nfactor - 1;
  (void)t;                      /* single points */
  LExpr *code = l_cast(b, w->place[w->nest->nrow - 1], w->l->program->real);
  LExpr *old = get(w, sum, 0), *hit = l_op(b, SC_eq, factor(w, at), code, NULL);
  hit = l_let(b, "hit", hit);
  set(w, sum, 0, l_op(b, SC_select, hit, add_product(w, old, at), old));
}

/* The number of a term among the indices that are not the result's. */
static LExpr *term_number(Walk *w)
{
  LExpr *e = l_int(w->l->b, 0);
  for (int t = w->nest->rank; t < w->nest->nindex; t++)
    e = l_add(w->l->b, l_muli(w->l->b, e, w->nest->extent[t]), w->index[t]);
  return l_cast(w->l->b, e, w->l->program->real);
}

static void take_larger(Walk *w, Buffer *best)
{
  Build *b = w->l->b;
  LExpr *v = l_let(b, "v", l_splat(b, factor(w, 0), w->lanes));
  LExpr *top = get(w, best, 0), *at = get(w, best, 1);
  LExpr *rises = l_op(b, SC_lt, top, v, NULL), *first = l_op(b, SC_lt, at, l_real(b, 0), NULL);
  LExpr *better = l_op(b, SC_or, rises, l_op(b, SC_ne, v, v, NULL), NULL);
  better = l_let(b, "better", l_op(b, SC_or, better, first, NULL));
  set(w, best, 0, l_op(b, SC_select, better, v, top));
  set(w, best, 1, l_op(b, SC_select, better, l_splat(b, term_number(w), w->lanes), at));
}

/* ---- tiles ---- */

static bool reads_index(const Nest *nest, int from, int to, int t)
{
  for (int r = from; r < to; r++)
    if (nest->row[r].c[t])
      return true;
  return false;
}

static bool in_condition(const Nest *nest, int t)
{
  for (int r = 0; r < nest->nrow; r++)
    if (nest->row[r].c[t] && !nest_row_holds(nest, &nest->row[r]))
      return true;
  return false;
}

/* Is axis t of the result one digit of the layout? Its number, or -1. */
static int digit_of(const Layout *lay, int t, int64_t extent)
{
  int found = -1;
  for (int i = 0; i < lay->n; i++) {
    if (lay->digit[i].axis != t)
      continue;
    if (found >= 0 || lay->digit[i].div != 1 || lay->digit[i].extent != extent)
      return -1;
    found = i;
  }
  return found;
}

/* The longest index of the result that the last operand reads and no other does, or the reverse,
 * and that no condition reads; of equal ones the last. -1: there is none. */
static int find_side(const Nest *nest, const Layout *lay, bool of_last)
{
  int split = nest->first[nest->nfactor - 1], end = nest->first[nest->nfactor], best = -1;
  if (nest->nfactor == 1)
    split = end;
  for (int t = 0; t < nest->rank; t++) {
    bool others = reads_index(nest, 0, split, t), last = reads_index(nest, split, end, t);
    if (nest->extent[t] > 1 && others != last && last == of_last && !in_condition(nest, t) &&
        digit_of(lay, t, nest->extent[t]) >= 0 &&
        (best < 0 || nest->extent[t] >= nest->extent[best]))
      best = t;
  }
  return best;
}

static bool is_batched(const Node *n, int k) { return value_type(n->in[k])->batched; }

/* Most points along a side, so that enough work items are left; 0: any number. */
static int side_limit(const Walk *w, const Layout *lay, int side, bool both)
{
  int t = w->side[side];
  if (t < 0)
    return 0;
  int64_t most = INT16_MAX, extent = w->nest->extent[t];
  if (digit_of(lay, t, extent) < 2) {
    bool batched = w->n->type[0].batched;
    int64_t groups = batched ? ceil_div(w->l->program->batch, w->l->block) : 1;
    most = max_i64(POINTS_MIN, extent * groups / ITEMS_WANTED);
  }
  int square = w->l->target->vector_bytes < 64 ? SQUARE_NARROW : SQUARE_WIDE;
  return (int)min_i64(most, both ? square : INT16_MAX);
}

static void choose_tile(Walk *w, const Layout *lay)
{
  const Nest *nest = w->nest;
  int last = nest->nfactor - 1, limit[SIDES];
  int64_t extent[SIDES];
  bool others = false;
  for (int k = 0; k < last; k++)
    others = others || is_batched(w->n, k);
  bool both = others && is_batched(w->n, last);
  w->last_first = last > 0 && !others && is_batched(w->n, last);
  for (int side = 0; side < SIDES; side++) {
    w->side[side] = find_side(nest, lay, w->last_first == (side == SIDE_VECTOR));
    extent[side] = w->side[side] < 0 ? 1 : nest->extent[w->side[side]];
    limit[side] = side_limit(w, lay, side, both);
  }
  w->tile = tile_choose(w->l, extent[SIDE_VECTOR], extent[SIDE_SCALAR], limit[SIDE_VECTOR],
                        limit[SIDE_SCALAR]);
}

static int side_points(Tile t, int side) { return side == SIDE_VECTOR ? t.nv : t.ns; }

/* The result's layout with the axes of the sides counted in tiles. */
static Layout tiled_layout(Walk *w, const Layout *lay)
{
  Layout out = *lay;
  for (int side = 0; side < SIDES; side++) {
    int points = side_points(w->tile, side), t = w->side[side];
    if (points == 1) {
      w->side[side] = -1;
      continue;
    }
    int i = digit_of(lay, t, w->nest->extent[t]);
    out.digit[i] = (Digit){ t, points, ceil_div(w->nest->extent[t], points) };
  }
  return out;
}

/* ---- kernels ---- */

static bool any_batched(const Node *n)
{
  for (uint32_t i = 0; i < n->nin; i++)
    if (value_type(n->in[i])->batched)
      return true;
  return false;
}

static void walk_begin(Walk *w, Lower *l, const Node *n, const Nest *nest, const char *name,
                       bool tiles)
{
  const Layout *lay = lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 });
  bool batched = n->type[0].batched;
  *w = (Walk){ .l = l, .n = n, .nest = nest, .side = { -1, -1 }, .tile = { 1, 1 } };
  if (tiles)
    choose_tile(w, lay);
  Layout tiled = tiled_layout(w, lay);
  const char *about = "loops over indices; lanes hold samples";
  if (w->tile.nv * w->tile.ns > 1)
    about = arena_printf(l->arena, "%s; tile of %d x %d points", about, w->tile.nv, w->tile.ns);
  lower_kernel(l, n, "", name, about);
  points_begin(l, &w->p, &n->type[0], &tiled, !batched);
  w->lanes = any_batched(n) ? l->block : 1;
  coord_clear(&w->sample);
  if (batched) {
    w->sample.n[0] = w->p.c.n[0];
    for (int i = 0; i < w->sample.n[0]; i++)
      w->sample.part[0][i] = w->p.c.part[0][i];
  }
}

static void walk_end(Walk *w)
{
  points_end(w->l, &w->p);
  lower_kernel_end(w->l, w->p.items);
}

/* The loops' accumulators over one group of samples. */
static void add_group(Walk *w, Body body, Buffer *acc, Tile t, LExpr *group)
{
  Lower *l = w->l;
  Coord outer = w->sample;
  coord_add(&w->sample, AXIS_BATCH, group, l->block, ceil_div(l->program->batch, l->block));
  coord_add(&w->sample, AXIS_BATCH, NULL, 1, l->block);
  body(w, acc, t);
  w->sample = outer;
}

/* One more loop, over groups of samples whose lanes are added in the end; the last may be short. */
static void over_samples(Walk *w, Body body, Buffer *acc, Tile t)
{
  Lower *l = w->l;
  Build *b = l->b;
  int count = t.nv * t.ns;
  LExpr **old = ARENA_ARRAY(l->arena, LExpr *, count), *whole, *mask;
  whole = l_let(b, "whole", l_div(b, l->n, l_int(b, l->block)));
  LExpr *left = l_let(b, "left", l_sub(b, l->n, l_muli(b, whole, l->block)));
  add_group(w, body, acc, t, l_var(b, l_loop(b, "g", l_int(b, 0), whole, 1, FOR_ROLLED)));
  l_end(b);
  l_if(b, l_op(b, SC_lt, l_int(b, 0), left, NULL));
  mask = l_op(b, SC_lt, l_iota(b, w->lanes), l_cast(b, left, l->program->real), NULL);
  mask = l_let(b, "mask", mask);
  for (int i = 0; i < count; i++)
    old[i] = l_let(b, "old", get(w, acc, i));
  add_group(w, body, acc, t, whole);
  for (int i = 0; i < count; i++)
    set(w, acc, i, l_op(b, SC_select, mask, get(w, acc, i), old[i]));
  l_end(b);
}

static void finish_point(Walk *w, LExpr *sum, int v, int s)
{
  Build *b = w->l->b;
  Coord c = w->p.c;
  const int at[SIDES] = { v, s };
  for (int side = 0; side < SIDES; side++) {
    int t = w->side[side];
    if (t >= 0)
      coord_set(&c, t, l_addi(b, w->index[t], at[side]), w->nest->extent[t]);
  }
  bool total = sum->lanes > 1 && !w->n->type[0].batched;
  if (total)
    sum = l_let(b, "total", l_reduce(b, SC_add, sum));
  lower_finish(w->l, w->n, &c, &sum, sum->lanes);
}

static void sum_tile(Walk *w, Body body, Buffer *acc, Tile t)
{
  for (int i = 0; i < t.nv * t.ns; i++)
    set(w, acc, i, l_real(w->l->b, 0));
  open_loops(w);
  if (w->lanes > 1 && !w->n->type[0].batched)
    over_samples(w, body, acc, t);
  else
    body(w, acc, t);
  close_loops(w);
  for (int v = 0; v < t.nv; v++)
    for (int s = 0; s < t.ns; s++)
      finish_point(w, get(w, acc, v * t.ns + s), v, s);
}

/* A branch for the shorter last tile of each side that has one. */
static void sum_tiles(Walk *w, Body body, Buffer *acc, Tile t, int side)
{
  if (side == SIDES) {
    sum_tile(w, body, acc, t);
    return;
  }
  Build *b = w->l->b;
  int index = w->side[side], points = side_points(t, side);
  int64_t extent = index < 0 ? 1 : w->nest->extent[index];
  if (extent % points == 0) {
    sum_tiles(w, body, acc, t, side + 1);
    return;
  }
  LExpr *end = l_addi(b, coord_index(b, &w->p.c, index), points);
  l_if(b, l_op(b, SC_le, end, l_int(b, extent), NULL));
  sum_tiles(w, body, acc, t, side + 1);
  l_else(b);
  *(side == SIDE_VECTOR ? &t.nv : &t.ns) = (int)(extent % points);
  sum_tiles(w, body, acc, t, side + 1);
  l_end(b);
}

static void sum_kernel(Lower *l, const Node *n, const Nest *nest, const char *name, Body body)
{
  Walk w;
  walk_begin(&w, l, n, nest, name, body == add_terms);
  int count = w.tile.nv * w.tile.ns;
  Buffer *acc = l_registers(l->b, "sum", (int)l->program->real, w.lanes, count);
  sum_tiles(&w, body, acc, w.tile, SIDE_VECTOR);
  walk_end(&w);
}

void nest_sum(Lower *l, const Node *n, const Nest *nest)
{
  sum_kernel(l, n, nest, "indices.sum", add_terms);
}

void nest_pick(Lower *l, const Node *n, const Nest *nest)
{
  sum_kernel(l, n, nest, "indices.pick", add_picked);
}

void nest_max(Lower *l, const Node *n, const Nest *nest)
{
  Walk w;
  walk_begin(&w, l, n, nest, "indices.max", false);
  Build *b = l->b;
  Buffer *best = l_registers(b, "best", (int)l->program->real, w.lanes, 2);
  set(&w, best, 0, l_real(b, 0));
  set(&w, best, 1, l_real(b, -1));
  open_loops(&w);
  take_larger(&w, best);
  close_loops(&w);
  lower_finish(l, n, &w.p.c, (LExpr *[]){ get(&w, best, 0), get(&w, best, 1) }, w.lanes);
  walk_end(&w);
}
