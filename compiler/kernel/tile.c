/* Register tiles: choice, multiplication, work items. */
#include "kernel/tile.h"
#include <stdlib.h>

LExpr *reg_get(Lower *l, Buffer *acc, int i) { return l_load(l->b, acc, l_int(l->b, i), acc->lanes); }

void reg_set(Lower *l, Buffer *acc, int i, LExpr *value)
{
  l_store(l->b, acc, l_int(l->b, i), l_splat(l->b, value, acc->lanes));
}

void tile_multiply(Lower *l, Buffer *acc, Tile t, TileLoad vector, TileLoad scalar, TileLive live, void *ctx)
{
  Build *b = l->b;
  LExpr **v = ARENA_ARRAY(l->arena, LExpr *, t.nv);
  for (int i = 0; i < t.nv; i++) {
    bool used = !live;
    for (int s = 0; s < t.ns && !used; s++)
      used = live(ctx, i, s);
    if (used)
      v[i] = l_let(b, "v", vector(ctx, i));
  }
  for (int s = 0; s < t.ns; s++) {
    LExpr *x = NULL;
    for (int i = 0; i < t.nv; i++) {
      if (live && !live(ctx, i, s))
        continue;
      if (!x)
        x = l_let(b, "s", l_splat(b, scalar(ctx, s), acc->lanes));
      reg_set(l, acc, i * t.ns + s, l_fma(b, x, v[i], reg_get(l, acc, i * t.ns + s)));
    }
  }
}

static double step_cycles(int64_t nv, int64_t ns)
{
  double fma = (double)(nv * ns) / 2, load = (double)(nv + ns) / 2;
  double cycles = fma > load ? fma : load;
  return (cycles > 4 ? cycles : 4) + 0.5;
}

Tile tile_choose(const Lower *l, int64_t nvec, int64_t nscal, int max_v, int max_s)
{
  int registers = l->target->registers * l->target->vector_bytes / 64;
  if (registers < 8)
    registers = 8;
  Tile best = { 1, 1 };
  double best_cost = -1;
  for (int nv = 1; nv <= nvec && (!max_v || nv <= abs(max_v)); nv++)
    for (int ns = 1; ns <= nscal && (!max_s || ns <= abs(max_s)); ns++) {
      if (nv * ns + nv + 2 > registers)
        break;
      if ((max_v < 0 && nvec % nv) || (max_s < 0 && nscal % ns))
        continue;
      int64_t rv = nvec % nv, rs = nscal % ns, fv = nvec / nv, fs = nscal / ns;
      double cost = (double)(fv * fs) * step_cycles(nv, ns);
      if (rv)
        cost += (double)fs * step_cycles(rv, ns);
      if (rs)
        cost += (double)fv * step_cycles(nv, rs);
      if (rv && rs)
        cost += step_cycles(rv, rs);
      cost *= rv || rs ? 1.06 : 1;
      if (best_cost < 0 || cost < best_cost - 1e-9) {
        best_cost = cost;
        best = (Tile){ nv, ns };
      }
    }
  return best;
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
  LExpr *rest = l_var(b, l_loop(b, real > 0 ? "item" : name[first], l_var(b, l->kernel->lo), l_var(b, l->kernel->hi), 1,
                                FOR_PLAIN));
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
