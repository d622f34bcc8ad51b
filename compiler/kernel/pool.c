/* Pooling: the window's cells are unrolled; cells in the padding are left out by a test on the position, and
 * only where there is padding. Ties take the first cell in row-major order and a NaN wins, as in PyTorch.
 * Gradients gather: an input cell adds the windows that hold it, in the order of the windows. */
#include "kernel/pool.h"
#include <math.h>

typedef struct {
  Lower *l;
  const Node *n;
  const PoolShape *s;
  Points p;
  Buffer *reg;
} Pool;

/* Samples stay in the lanes whatever the family. Blocks of channels when they fill lanes or are
 * there already; then all operands come in blocks. */
void pool_plans(Plans *ps, const Node *n)
{
  Plan p = { .family = ps->family, .algorithm = "window", .cost = 0 };
  const Type *x = value_type(n->in[0]);
  int64_t batch = ps->program->batch;
  Layout blocks = blocked_layout(x, ps->block, batch);
  Layout samples = family_layout(FAMILY_LANES, x, ps->block, batch);
  bool lanes = ps->family == FAMILY_LANES || layout_equal(&ps->in_layout[0], &samples);
  bool blocked = !lanes && (x->dim[0] >= ps->block || layout_equal(&ps->in_layout[0], &blocks));
  Family family = lanes ? FAMILY_LANES : FAMILY_CHANNELS;
  for (uint32_t i = 0; i < n->nin; i++)
    if (lanes || blocked)
      p.in[i] = blocked ? blocked_layout(value_type(n->in[i]), ps->block, batch)
                        : family_layout(FAMILY_LANES, value_type(n->in[i]), ps->block, batch);
  for (uint32_t r = 0; r < n->nout; r++)
    p.out[r] = blocked ? blocked_layout(&n->type[r], ps->block, batch)
                       : family_layout(family, &n->type[r], ps->block, batch);
  plans_offer(ps, &p);
}

static LExpr *axis_of(Pool *k, int axis) { return coord_index(k->l->b, &k->p.c, axis); }

static void pool_begin(Pool *k, const Type *t, const Layout *lay, const char *template_name)
{
  lower_kernel(k->l, k->n, "", template_name, "one point of the result at a time, lanes as the layout has them");
  const Digit *last = &lay->digit[lay->n - 1];  /* a row of 16 pixels is no block: windows cut across it */
  points_begin(k->l, &k->p, t, lay, last->axis != AXIS_BATCH && last->axis != 0);
  k->reg = l_registers(k->l->b, "best", (int)k->l->program->real, k->p.lanes, 2);
}

static void pool_end(Pool *k)
{
  points_end(k->l, &k->p);
  lower_kernel_end(k->l, k->p.items);
}

static LExpr *get(Pool *k, int i) { return l_load(k->l->b, k->reg, l_int(k->l->b, i), k->p.lanes); }
static void set(Pool *k, int i, LExpr *v) { l_store(k->l->b, k->reg, l_int(k->l->b, i), l_splat(k->l->b, v, k->p.lanes)); }

/* at in [0, extent), or NULL when that always holds */
static LExpr *inside(Build *b, LExpr *at, int64_t extent, bool low, bool high)
{
  LExpr *c = low ? l_op(b, SC_le, l_int(b, 0), at, NULL) : NULL;
  LExpr *d = high ? l_op(b, SC_lt, at, l_int(b, extent), NULL) : NULL;
  return c && d ? l_op(b, SC_and, c, d, NULL) : c ? c : d;
}

typedef struct { LExpr *row, *col; Coord c; } Cell;

typedef void (*CellFn)(Pool *k, const Cell *cell, int64_t index, void *ctx);

/* Input position of window cell u on an axis, and the test that it exists. */
static LExpr *cell_at(Pool *k, int a, int64_t u, LExpr **test)
{
  Build *b = k->l->b;
  const PoolShape *s = k->s;
  int64_t off = u * s->dilation[a] - s->pad[a], last = (s->out[a] - 1) * s->stride[a] + off;
  LExpr *at = l_addi(b, l_muli(b, axis_of(k, 1 + a), s->stride[a]), off);
  if (off < 0 || last >= s->in[a])
    at = l_let(b, a ? "x" : "y", at);
  *test = inside(b, at, s->in[a], off < 0, last >= s->in[a]);
  return at;
}

static void each_cell(Pool *k, CellFn f, void *ctx)
{
  Build *b = k->l->b;
  const PoolShape *s = k->s;
  for (int64_t u = 0; u < s->k[0]; u++) {
    LExpr *test_row, *test_col;
    Cell cell;
    cell.row = cell_at(k, 0, u, &test_row);
    if (test_row)
      l_if(b, test_row);
    for (int64_t v = 0; v < s->k[1]; v++) {
      cell.col = cell_at(k, 1, v, &test_col);
      if (test_col)
        l_if(b, test_col);
      cell.c = k->p.c;
      coord_set(&cell.c, 1, cell.row, s->in[0]);
      coord_set(&cell.c, 2, cell.col, s->in[1]);
      f(k, &cell, u * s->k[1] + v, ctx);
      if (test_col)
        l_end(b);
    }
    if (test_row)
      l_end(b);
  }
}

static LExpr *load(Pool *k, Value v, const Coord *c)
{
  LExpr *e = k->p.lanes > 1 ? lower_load(k->l, v, c, k->p.lanes) : lower_load_scalar(k->l, v, c);
  return e->dtype == (int)k->l->program->real ? e : l_cast(k->l->b, e, k->l->program->real);
}

/* ---- maximum ---- */

/* Cell number `index` against the best so far: ties keep it, a NaN replaces it. argmax may be NULL. */
static void max_step(Build *b, LExpr *v, int64_t index, LExpr **best, LExpr **argmax)
{
  LExpr *rises = l_op(b, SC_lt, *best, v, NULL);
  LExpr *better = l_let(b, "better", l_op(b, SC_or, rises, l_op(b, SC_ne, v, v, NULL), NULL));
  *best = l_op(b, SC_select, better, v, *best);
  if (argmax)
    *argmax = l_op(b, SC_select, better, l_real(b, (double)index), *argmax);
}

void pool_combine_max(Lower *l, LExpr *const *cell, int64_t cells, bool argmax, LExpr **result)
{
  Build *b = l->b;
  LExpr *best = cell[0], *first = l_splat(b, l_real(b, 0), cell[0]->lanes);
  for (int64_t i = 1; i < cells; i++) {
    max_step(b, cell[i], i, &best, argmax ? &first : NULL);
    best = l_let(b, "best", best);
    if (argmax)
      first = l_let(b, "argmax", first);
  }
  result[0] = best;
  result[1] = argmax ? first : NULL;
}

typedef struct { Value x; bool argmax, padded; } Max;

static void max_cell(Pool *k, const Cell *cell, int64_t index, void *ctx)
{
  Build *b = k->l->b;
  Max *m = ctx;
  if (index == 0 && !m->padded) {
    set(k, 0, load(k, m->x, &cell->c));
    if (m->argmax)
      set(k, 1, l_real(b, 0));
    return;
  }
  LExpr *v = l_let(b, "v", load(k, m->x, &cell->c));
  LExpr *best = get(k, 0), *argmax = m->argmax ? get(k, 1) : NULL;
  max_step(b, v, index, &best, m->argmax ? &argmax : NULL);
  set(k, 0, best);
  if (m->argmax)
    set(k, 1, argmax);
}

void pool_max(Lower *l, const Node *n, const PoolShape *s, Value x)
{
  Pool k = { .l = l, .n = n, .s = s };
  Build *b = l->b;
  pool_begin(&k, &n->type[0], lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 }), "pool.max");
  Max m = { x, lower_is_stored(l, (Value){ (Node *)(uintptr_t)n, 1 }), false };
  for (int a = 0; a < 2; a++)
    m.padded |= s->pad[a] > 0 || (s->out[a] - 1) * s->stride[a] + (s->k[a] - 1) * s->dilation[a] - s->pad[a] >= s->in[a];
  if (m.padded) {
    set(&k, 0, l_real(b, -INFINITY));
    if (m.argmax) {
      LExpr *first[2];          /* first cell of the window that is no padding */
      for (int a = 0; a < 2; a++) {
        LExpr *before = l_sub(b, l_int(b, s->pad[a]), l_muli(b, axis_of(&k, 1 + a), s->stride[a]));
        first[a] = l_max(b, l_int(b, 0), l_div(b, l_addi(b, before, s->dilation[a] - 1), l_int(b, s->dilation[a])));
      }
      set(&k, 1, l_cast(b, l_add(b, l_muli(b, first[0], s->k[1]), first[1]), l->program->real));
    }
  }
  each_cell(&k, max_cell, &m);
  LExpr *result[2] = { get(&k, 0), m.argmax ? get(&k, 1) : NULL };
  lower_finish(l, n, &k.p.c, result, k.p.lanes);
  pool_end(&k);
}

/* ---- gradients ---- */

/* How often windows overlap on an axis. */
static int64_t overlap(const PoolShape *s, int a)
{
  return ceil_div((s->k[a] - 1) * s->dilation[a] + 1, s->stride[a]);
}

typedef LExpr *(*Share)(Pool *k, const Coord *window, LExpr *const cell[2], void *ctx);

/* Adds share() of every window that holds the point, rows of windows first, in ascending order. */
static void gather_windows(Pool *k, Share share, void *ctx)
{
  Build *b = k->l->b;
  const PoolShape *s = k->s;
  set(k, 0, l_real(b, 0));
  LExpr *at[2], *last[2];
  for (int a = 0; a < 2; a++) {
    at[a] = l_addi(b, axis_of(k, 1 + a), s->pad[a]);
    last[a] = l_let(b, a ? "ox1" : "oy1", l_div(b, at[a], l_int(b, s->stride[a])));
  }
  for (int64_t i = overlap(s, 0) - 1; i >= 0; i--)
    for (int64_t j = overlap(s, 1) - 1; j >= 0; j--) {
      LExpr *o[2] = { l_addi(b, last[0], -i), l_addi(b, last[1], -j) }, *cell[2], *test = NULL;
      for (int a = 0; a < 2; a++) {
        o[a] = o[a]->kind == LE_VAR ? o[a] : l_let(b, a ? "ox" : "oy", o[a]);
        cell[a] = l_let(b, a ? "v" : "u", l_sub(b, at[a], l_muli(b, o[a], s->stride[a])));
        LExpr *fits = inside(b, o[a], s->out[a], (a ? j : i) > 0, true);
        LExpr *in_window = l_op(b, SC_lt, cell[a], l_int(b, (s->k[a] - 1) * s->dilation[a] + 1), NULL);
        fits = l_op(b, SC_and, fits, in_window, NULL);
        if (s->dilation[a] > 1)
          fits = l_op(b, SC_and, fits, l_op(b, SC_eq, l_mod(b, cell[a], l_int(b, s->dilation[a])), l_int(b, 0), NULL), NULL);
        test = test ? l_op(b, SC_and, test, fits, NULL) : fits;
      }
      l_if(b, test);
      Coord c = k->p.c;
      coord_set(&c, 1, o[0], s->out[0]);
      coord_set(&c, 2, o[1], s->out[1]);
      for (int a = 0; a < 2; a++)
        if (s->dilation[a] > 1)
          cell[a] = l_div(b, cell[a], l_int(b, s->dilation[a]));
      set(k, 0, l_add(b, get(k, 0), share(k, &c, cell, ctx)));
      l_end(b);
    }
}

typedef struct { Value dy, idx; bool count_pad; const int64_t *pad_after; } Back;

static LExpr *max_share(Pool *k, const Coord *window, LExpr *const cell[2], void *ctx)
{
  Build *b = k->l->b;
  Back *m = ctx;
  LExpr *index = l_cast(b, l_add(b, l_muli(b, cell[0], k->s->k[1]), cell[1]), k->l->program->real);
  LExpr *mine = l_op(b, SC_eq, load(k, m->idx, window), index, NULL);
  return l_op(b, SC_select, mine, load(k, m->dy, window), l_real(b, 0));
}

bool pool_apart(const PoolShape *s)
{
  for (int a = 0; a < 2; a++)
    if (s->stride[a] != s->k[a] || s->dilation[a] != 1 || s->pad[a] != 0 ||
        s->out[a] * s->k[a] > s->in[a])
      return false;
  return true;
}

/* Where windows lie apart, one pass over them writes all their cells, and zeros where no window lies.
 * It goes row by row, so the layout must end with rows and columns. */
static bool tiles(const PoolShape *s, const Layout *windows)
{
  const Digit *last = &windows->digit[windows->n - 1];
  if (last->axis != 1 && last->axis != 2)       /* lanes */
    last--;
  return pool_apart(s) && windows->n >= 4 && last->axis == 2 && last->extent == s->out[1] &&
         last[-1].axis == 1 && last[-1].extent == s->out[0];
}

/* Zero for the cells of rows [y0, y1) and columns [x0, x1). */
static void finish_zeros(Pool *k, LExpr *y0, LExpr *y1, LExpr *x0, LExpr *x1)
{
  Build *b = k->l->b;
  Coord c = k->p.c;
  coord_set(&c, 1, l_var(b, l_loop(b, "cy", y0, y1, 1, FOR_PLAIN)), k->s->in[0]);
  coord_set(&c, 2, l_var(b, l_loop(b, "cx", x0, x1, 1, FOR_PLAIN)), k->s->in[1]);
  LExpr *e = l_splat(b, l_real(b, 0), k->p.lanes);
  lower_finish(k->l, k->n, &c, &e, k->p.lanes);
  l_end(b);
  l_end(b);
}

/* Closes the loop over the windows of a row, writes what no window holds, and closes the rest. */
static void finish_tiles(Pool *k)
{
  Build *b = k->l->b;
  const PoolShape *s = k->s;
  int64_t rows = s->out[0] * s->k[0], cols = s->out[1] * s->k[1];
  LExpr *oy = axis_of(k, 1), *from = l_muli(b, oy, s->k[0]);
  l_end(b);
  k->p.depth--;
  if (cols < s->in[1])
    finish_zeros(k, from, l_addi(b, from, s->k[0]), l_int(b, cols), l_int(b, s->in[1]));
  if (rows < s->in[0]) {
    l_if(b, l_op(b, SC_eq, oy, l_int(b, s->out[0] - 1), NULL));
    finish_zeros(k, l_int(b, rows), l_int(b, s->in[0]), l_int(b, 0), l_int(b, s->in[1]));
    l_end(b);
  }
  pool_end(k);
}

/* What cell number `index` of the window gets. */
typedef LExpr *(*TileShare)(Pool *k, int64_t index, void *ctx);

static void finish_window(Pool *k, TileShare share, void *ctx)
{
  Build *b = k->l->b;
  const PoolShape *s = k->s;
  for (int64_t u = 0; u < s->k[0]; u++)
    for (int64_t v = 0; v < s->k[1]; v++) {
      Coord c = k->p.c;
      coord_set(&c, 1, l_addi(b, l_muli(b, axis_of(k, 1), s->k[0]), u), s->in[0]);
      coord_set(&c, 2, l_addi(b, l_muli(b, axis_of(k, 2), s->k[1]), v), s->in[1]);
      LExpr *e = share(k, u * s->k[1] + v, ctx);
      lower_finish(k->l, k->n, &c, &e, k->p.lanes);
    }
}

typedef struct { LExpr *dy, *idx; } Won;

static LExpr *won_share(Pool *k, int64_t index, void *ctx)
{
  Build *b = k->l->b;
  const Won *w = ctx;
  LExpr *mine = l_op(b, SC_eq, w->idx, l_real(b, (double)index), NULL);
  return l_op(b, SC_select, mine, w->dy, l_real(b, 0));
}

void pool_max_grad(Lower *l, const Node *n, const PoolShape *s, Value dy, Value idx)
{
  Pool k = { .l = l, .n = n, .s = s };
  Back m = { .dy = dy, .idx = idx };
  const Layout *lay = lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 });
  if (tiles(s, lower_layout(l, dy)) && layout_equal(lower_layout(l, dy), lower_layout(l, idx))) {
    pool_begin(&k, value_type(dy), lower_layout(l, dy), "pool.max_grad");
    Won w = { l_let(l->b, "dy", load(&k, dy, &k.p.c)), l_let(l->b, "idx", load(&k, idx, &k.p.c)) };
    finish_window(&k, won_share, &w);
    finish_tiles(&k);
    return;
  }
  pool_begin(&k, &n->type[0], lay, "pool.max_grad");
  gather_windows(&k, max_share, &m);
  LExpr *e = get(&k, 0);
  lower_finish(l, n, &k.p.c, &e, k.p.lanes);
  pool_end(&k);
}

/* ---- mean ---- */

/* Cells that count in the window at o on an axis, as an index expression; *constant: the same everywhere. */
static LExpr *count_axis(Pool *k, int a, LExpr *o, const Back *m, int64_t *constant)
{
  Build *b = k->l->b;
  const PoolShape *s = k->s;
  int64_t end = s->in[a] + (m->count_pad ? m->pad_after[a] : 0), low = m->count_pad ? s->pad[a] : 0;
  bool same = true;
  for (int64_t i = 0; i < s->out[a]; i++) {
    int64_t from = i * s->stride[a] - s->pad[a];
    same = same && from >= -low && from + s->k[a] <= end;
  }
  *constant = same ? s->k[a] : 0;
  if (same)
    return NULL;
  LExpr *from = l_addi(b, l_muli(b, o, s->stride[a]), -s->pad[a]);
  return l_sub(b, l_min(b, l_addi(b, from, s->k[a]), l_int(b, end)), l_max(b, from, l_int(b, -low)));
}

/* value / cells of the window at (oy, ox) */
static LExpr *divide(Pool *k, LExpr *value, LExpr *oy, LExpr *ox, const Back *m)
{
  Build *b = k->l->b;
  int64_t cy, cx;
  LExpr *ny = count_axis(k, 0, oy, m, &cy), *nx = count_axis(k, 1, ox, m, &cx);
  if (cy && cx)
    return l_div(b, value, l_real(b, (double)(cy * cx)));
  LExpr *count = l_mul(b, ny ? ny : l_int(b, cy), nx ? nx : l_int(b, cx));
  return l_div(b, value, l_cast(b, count, k->l->program->real));
}

void pool_combine_mean(Lower *l, LExpr *const *cell, int64_t cells, LExpr **result)
{
  Build *b = l->b;
  LExpr *sum = l_splat(b, l_real(b, 0), cell[0]->lanes);
  for (int64_t i = 0; i < cells; i++)
    sum = l_add(b, sum, cell[i]);
  result[0] = l_div(b, sum, l_real(b, (double)cells));
}

static void sum_cell(Pool *k, const Cell *cell, int64_t index, void *ctx)
{
  Value *x = ctx;
  (void)index;
  set(k, 0, l_add(k->l->b, get(k, 0), load(k, *x, &cell->c)));
}

void pool_mean(Lower *l, const Node *n, const PoolShape *s, Value x, bool count_pad, const int64_t pad_after[2])
{
  Pool k = { .l = l, .n = n, .s = s };
  Back m = { .count_pad = count_pad, .pad_after = pad_after };
  pool_begin(&k, &n->type[0], lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 }), "pool.mean");
  set(&k, 0, l_real(l->b, 0));
  each_cell(&k, sum_cell, &x);
  LExpr *e = divide(&k, get(&k, 0), axis_of(&k, 1), axis_of(&k, 2), &m);
  lower_finish(l, n, &k.p.c, &e, k.p.lanes);
  pool_end(&k);
}

static LExpr *mean_share(Pool *k, const Coord *window, LExpr *const cell[2], void *ctx)
{
  Back *m = ctx;
  Build *b = k->l->b;
  (void)cell;
  return divide(k, load(k, m->dy, window), coord_index(b, window, 1), coord_index(b, window, 2), m);
}

static LExpr *same_share(Pool *k, int64_t index, void *ctx)
{
  (void)k, (void)index;
  return ctx;
}

void pool_mean_grad(Lower *l, const Node *n, const PoolShape *s, Value dy, bool count_pad, const int64_t pad_after[2])
{
  Pool k = { .l = l, .n = n, .s = s };
  Back m = { .dy = dy, .count_pad = count_pad, .pad_after = pad_after };
  if (tiles(s, lower_layout(l, dy))) {
    pool_begin(&k, value_type(dy), lower_layout(l, dy), "pool.mean_grad");
    LExpr *part = l_div(l->b, load(&k, dy, &k.p.c), l_real(l->b, (double)(s->k[0] * s->k[1])));
    finish_window(&k, same_share, l_let(l->b, "part", part));
    finish_tiles(&k);
    return;
  }
  pool_begin(&k, &n->type[0], lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 }), "pool.mean_grad");
  gather_windows(&k, mean_share, &m);
  LExpr *e = get(&k, 0);
  lower_finish(l, n, &k.p.c, &e, k.p.lanes);
  pool_end(&k);
}
