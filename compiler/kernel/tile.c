/* Register tiles: choice, multiplication, work items. */
#include "kernel/tile.h"
#include <inttypes.h>
#include <stdlib.h>

Buffer *tile_scratch(Lower *l, const char *name, int64_t vectors)
{
  Buffer *buf = l_buffer(l->b, name, BUF_WORKER, l->program->real, vectors * l->block);
  buf->layer = l->anchor->name;
  return lower_formal(l, buf, true);
}

LExpr *reg_get(Lower *l, Buffer *acc, int i) { return l_load(l->b, acc, l_int(l->b, i), acc->lanes); }

void reg_set(Lower *l, Buffer *acc, int i, LExpr *value)
{
  l_store(l->b, acc, l_int(l->b, i), l_splat(l->b, value, acc->lanes));
}

/* Registers that a vector of 64 bytes takes. */
static int vector_parts(const Lower *l) { return 64 / l->target->vector_bytes; }

/* Does a step hold the scalars and go through the vectors? Where a vector takes several registers, which
 * share a scalar's one, that may need fewer; else scalars are memory operands. */
static bool holds_scalars(const Lower *l, int nv, int ns)
{
  int parts = vector_parts(l);
  return parts > 1 && ns < parts * nv;
}

static bool used(TileLive live, void *ctx, int n, int i, bool vector)
{
  bool any = !live;
  for (int k = 0; k < n && !any; k++)
    any = vector ? live(ctx, i, k) : live(ctx, k, i);
  return any;
}

static LExpr *scalar_local(Lower *l, Buffer *acc, TileLoad scalar, void *ctx, int s)
{
  return l_let(l->b, "s", l_splat(l->b, scalar(ctx, s), acc->lanes));
}

/* The vectors stay in registers, each scalar is used up at once. */
static void multiply_by_scalars(Lower *l, Buffer *acc, Tile t, TileLoad vector, TileLoad scalar, TileLive live,
                                void *ctx)
{
  LExpr **v = ARENA_ARRAY(l->arena, LExpr *, t.nv);
  for (int i = 0; i < t.nv; i++)
    if (used(live, ctx, t.ns, i, true))
      v[i] = l_let(l->b, "v", vector(ctx, i));
  for (int s = 0; s < t.ns; s++) {
    LExpr *x = NULL;
    for (int i = 0; i < t.nv; i++) {
      if (live && !live(ctx, i, s))
        continue;
      if (!x)
        x = scalar_local(l, acc, scalar, ctx, s);
      reg_set(l, acc, i * t.ns + s, l_fma(l->b, x, v[i], reg_get(l, acc, i * t.ns + s)));
    }
  }
}

/* The scalars stay in registers, which all parts of a vector share; each part of a vector is used up at once. */
static void multiply_by_vectors(Lower *l, Buffer *acc, Tile t, TileLoad vector, TileLoad scalar, TileLive live,
                                void *ctx)
{
  LExpr **x = ARENA_ARRAY(l->arena, LExpr *, t.ns);
  for (int s = 0; s < t.ns; s++)
    if (used(live, ctx, t.nv, s, false))
      x[s] = scalar_local(l, acc, scalar, ctx, s);
  for (int i = 0; i < t.nv; i++) {
    LExpr *v = NULL;
    for (int s = 0; s < t.ns; s++) {
      if (live && !live(ctx, i, s))
        continue;
      if (!v)
        v = l_let(l->b, "v", vector(ctx, i));
      reg_set(l, acc, i * t.ns + s, l_fma(l->b, x[s], v, reg_get(l, acc, i * t.ns + s)));
    }
  }
}

void tile_multiply(Lower *l, Buffer *acc, Tile t, TileLoad vector, TileLoad scalar, TileLive live, void *ctx)
{
  if (holds_scalars(l, t.nv, t.ns))
    multiply_by_vectors(l, acc, t, vector, scalar, live, ctx);
  else
    multiply_by_scalars(l, acc, t, vector, scalar, live, ctx);
}

void tile_reduce(Lower *l, int64_t extent, void (*body)(void *ctx, LExpr *block, LExpr *in),
                 void *ctx)
{
  Build *b = l->b;
  int64_t whole = extent / l->block, rest = extent % l->block;
  if (whole) {
    LExpr *block = l_var(b, l_loop(b, "kb", l_int(b, 0), l_int(b, whole), 1, FOR_ROLLED));
    LExpr *in = l_var(b, l_loop(b, "k", l_int(b, 0), l_int(b, l->block), 1, FOR_ROLLED));
    body(ctx, block, in);
    l_end(b);
    l_end(b);
  }
  if (rest) {
    LExpr *in = l_var(b, l_loop(b, "k", l_int(b, 0), l_int(b, rest), 1, FOR_ROLLED));
    body(ctx, l_int(b, whole), in);
    l_end(b);
  }
}

bool tile_fits(const Lower *l, int nv, int ns)
{
  int parts = vector_parts(l);
  int held = parts == 1 ? nv + 2 : holds_scalars(l, nv, ns) ? ns + 1 : parts * nv + 1;
  return parts * nv * ns + held <= l->target->registers;
}

static double step_cycles(int parts, int64_t nv, int64_t ns)
{
  double fma = (double)(parts * nv * ns) / 2, load = (double)(parts * nv + ns) / 2;
  double cycles = fma > load ? fma : load;
  double latency = parts > 1 ? 5 : 4;
  return (cycles > latency ? cycles : latency) + 0.5;
}

/* A question to tile_choose. */
typedef struct { int64_t nvec, nscal; int max_v, max_s; } TileAsk;

static bool tile_legal(const Lower *l, const TileAsk *q, Tile t)
{
  return t.nv >= 1 && t.ns >= 1 && t.nv <= q->nvec && t.ns <= q->nscal &&
         (!q->max_v || t.nv <= abs(q->max_v)) && (!q->max_s || t.ns <= abs(q->max_s)) &&
         !(q->max_v < 0 && q->nvec % t.nv) && !(q->max_s < 0 && q->nscal % t.ns) &&
         tile_fits(l, t.nv, t.ns);
}

static double tile_cycles(const Lower *l, const TileAsk *q, Tile t)
{
  int parts = vector_parts(l);
  int64_t rv = q->nvec % t.nv, rs = q->nscal % t.ns, fv = q->nvec / t.nv, fs = q->nscal / t.ns;
  double cost = (double)(fv * fs) * step_cycles(parts, t.nv, t.ns);
  if (rv)
    cost += (double)fs * step_cycles(parts, rv, t.ns);
  if (rs)
    cost += (double)fv * step_cycles(parts, t.nv, rs);
  if (rv && rs)
    cost += step_cycles(parts, rv, rs);
  return cost * (rv || rs ? 1.06 : 1);
}

/* The cheapest legal tile that costs more than `above`, or as much and comes after it in order;
 * nv 0: there is none. */
static Tile tile_next(const Lower *l, const TileAsk *q, double above, Tile after)
{
  Tile best = { 0, 0 };
  double best_cost = 0;
  for (int nv = 1; nv <= q->nvec && nv <= l->target->registers; nv++)
    for (int ns = 1; ns <= q->nscal && tile_fits(l, nv, ns); ns++) {
      Tile t = { nv, ns };
      if (!tile_legal(l, q, t))
        continue;
      double cost = tile_cycles(l, q, t);
      bool later = nv > after.nv || (nv == after.nv && ns > after.ns);
      if (cost < above - 1e-9 || (cost <= above + 1e-9 && !later))
        continue;
      if (!best.nv || cost < best_cost - 1e-9) {
        best_cost = cost;
        best = t;
      }
    }
  return best;
}

static Tile tile_recorded(Lower *l, const TileAsk *q, Tile standard)
{
  Tiles *all = l->tiles;
  if (!all || !all->group)
    return standard;
  TileChoice *c = tiles_choice(all, arena_printf(l->arena, "%s; %" PRId64 " x %" PRId64 ", %d %d",
                                                 all->group, q->nvec, q->nscal, q->max_v, q->max_s));
  c->standard = c->used = standard;
  if (all->smallest)
    return c->used = (Tile){ 1, 1 };
  const TileEntry *e = tiles_find(all, c->key);
  if (e && tile_legal(l, q, e->tile))
    c->used = e->tile;
  c->nother = 0;
  Tile t = standard;
  while (c->nother < TILE_OTHERS_MAX && t.nv) {
    t = tile_next(l, q, tile_cycles(l, q, t), t);
    if (t.nv)
      c->other[c->nother++] = t;
  }
  return c->used;
}

Tile tile_choose(Lower *l, int64_t nvec, int64_t nscal, int max_v, int max_s)
{
  TileAsk q = { nvec, nscal, max_v, max_s };
  Tile best = tile_next(l, &q, -1, (Tile){ 0, 0 });
  return tile_recorded(l, &q, best.nv ? best : (Tile){ 1, 1 });
}

void items_begin(Lower *l, const char *const *name, const int64_t *extent, int n, LExpr **digit)
{
  Build *b = l->b;
  int real = extent[0] == 1 ? -1 : 0;
  for (int i = 1; i < n; i++)
    real += extent[i] > 1;
  int first = 0;
  while (extent[first] == 1 && first < n - 1)
    first++;
  LExpr *lo = l_var(b, l->kernel->lo), *hi = l_var(b, l->kernel->hi);
  if (extent[first] == 1) {     /* a loop tempts compilers to keep its stores in registers */
    l_if(b, l_op(b, SC_lt, lo, hi, NULL));
    for (int i = 0; i < n; i++)
      digit[i] = l_int(b, 0);
    return;
  }
  LExpr *rest = l_var(b, l_loop(b, real > 0 ? "item" : name[first], lo, hi, 1, FOR_PLAIN));
  for (int i = 0; i < n; i++) {
    int64_t inner = 1;          /* items of one value of digit i */
    for (int k = i + 1; k < n; k++)
      inner *= extent[k];
    if (extent[i] == 1) {
      digit[i] = l_int(b, 0);
      continue;
    }
    LExpr *e = inner > 1 ? l_div(b, rest, l_int(b, inner)) : rest;
    if (i > first)
      e = l_mod(b, e, l_int(b, extent[i]));
    digit[i] = e->kind == LE_VAR || e->kind == LE_INT ? e : l_let(b, name[i], e);
  }
}
