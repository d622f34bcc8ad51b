/* Generic loops for index notation. The points of the result are the work items; indices that are
 * not the result's are loops around one accumulator. A condition is tested as soon as the indices
 * it reads are known. Lanes hold samples, so places are the same in every lane. */
#include "kernel/nest.h"

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

static LExpr *factor(Walk *w, int k)
{
  Value v = w->n->in[k];
  const Type *t = value_type(v);
  Coord c = w->sample;
  for (int a = 0; a < t->rank; a++)
    coord_set(&c, a, w->place[w->nest->first[k] + a], t->dim[a]);
  LExpr *e = t->batched && w->lanes > 1 ? lower_load(w->l, v, &c, w->lanes)
                                        : lower_load_scalar(w->l, v, &c);
  return e->dtype == (int)w->l->program->real ? e : l_cast(w->l->b, e, w->l->program->real);
}

/* sum + the product of the first `count` operands, the last multiplication rounded with the sum. */
static LExpr *add_product(Walk *w, LExpr *sum, int count)
{
  Build *b = w->l->b;
  LExpr *p = factor(w, 0);
  if (count == 1)
    return l_add(b, sum, p);
  for (int k = 1; k < count - 1; k++)
    p = l_mul(b, p, factor(w, k));
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

typedef void (*Body)(Walk *w, Buffer *reg);

static void add_term(Walk *w, Buffer *sum)
{
  set(w, sum, 0, add_product(w, get(w, sum, 0), w->nest->nfactor));
}

static void add_picked(Walk *w, Buffer *sum)
{
  Build *b = w->l->b;
  int at = w->nest->nfactor - 1;
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

/* ---- kernels ---- */

static bool any_batched(const Node *n)
{
  for (uint32_t i = 0; i < n->nin; i++)
    if (value_type(n->in[i])->batched)
      return true;
  return false;
}

static void walk_begin(Walk *w, Lower *l, const Node *n, const Nest *nest, const char *name)
{
  const Layout *lay = lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 });
  bool batched = n->type[0].batched;
  *w = (Walk){ .l = l, .n = n, .nest = nest };
  lower_kernel(l, n, "", name, "loops over indices; lanes hold samples");
  points_begin(l, &w->p, &n->type[0], lay, !batched);
  w->lanes = any_batched(n) ? l->block : 1;
  coord_clear(&w->sample);
  if (batched) {
    w->sample.n[0] = w->p.c.n[0];
    for (int i = 0; i < w->sample.n[0]; i++)
      w->sample.part[0][i] = w->p.c.part[0][i];
  }
}

static void walk_end(Walk *w, LExpr **result, int lanes)
{
  lower_finish(w->l, w->n, &w->p.c, result, lanes);
  points_end(w->l, &w->p);
  lower_kernel_end(w->l, w->p.items);
}

/* One more loop, over groups of samples whose lanes are added in the end. */
static void over_samples(Walk *w, Body body, Buffer *acc)
{
  Lower *l = w->l;
  Build *b = l->b;
  LExpr *g = l_var(b, l_loop(b, "g", l_int(b, 0), lower_groups(l, l->n), 1, FOR_ROLLED));
  coord_add(&w->sample, AXIS_BATCH, g, l->block, ceil_div(l->program->batch, l->block));
  coord_add(&w->sample, AXIS_BATCH, NULL, 1, l->block);
  LExpr *mask = lower_batch_mask(l, &w->sample, w->lanes), *old = l_let(b, "old", get(w, acc, 0));
  body(w, acc);
  set(w, acc, 0, l_op(b, SC_select, mask, get(w, acc, 0), old));
  l_end(b);
}

static void sum_kernel(Lower *l, const Node *n, const Nest *nest, const char *name, Body body)
{
  Walk w;
  walk_begin(&w, l, n, nest, name);
  Build *b = l->b;
  Buffer *acc = l_registers(b, "sum", (int)l->program->real, w.lanes, 1);
  bool total = w.lanes > 1 && !n->type[0].batched;
  set(&w, acc, 0, l_real(b, 0));
  open_loops(&w);
  if (total)
    over_samples(&w, body, acc);
  else
    body(&w, acc);
  close_loops(&w);
  LExpr *sum = get(&w, acc, 0);
  if (total)
    sum = l_let(b, "total", l_reduce(b, SC_add, sum));
  walk_end(&w, &sum, total ? 1 : w.lanes);
}

void nest_sum(Lower *l, const Node *n, const Nest *nest)
{
  sum_kernel(l, n, nest, "indices.sum", add_term);
}

void nest_pick(Lower *l, const Node *n, const Nest *nest)
{
  sum_kernel(l, n, nest, "indices.pick", add_picked);
}

void nest_max(Lower *l, const Node *n, const Nest *nest)
{
  Walk w;
  walk_begin(&w, l, n, nest, "indices.max");
  Build *b = l->b;
  Buffer *best = l_registers(b, "best", (int)l->program->real, w.lanes, 2);
  set(&w, best, 0, l_real(b, 0));
  set(&w, best, 1, l_real(b, -1));
  open_loops(&w);
  take_larger(&w, best);
  close_loops(&w);
  walk_end(&w, (LExpr *[]){ get(&w, best, 0), get(&w, best, 1) }, w.lanes);
}
