/* Row templates: a work item is a group of 16 samples in lanes, or one sample; loops over the rows of
 * the sample, and over the elements of a row, run inside, in canonical order. */
#include "kernel/rowwise.h"
#include <math.h>

typedef struct {
  Lower *l;
  const Node *n;
  Coord c;                      /* the sample */
  int lanes;
  Buffer *reg;
  int axis;                     /* of the elements of a row: the last one */
} Row;

/* Vectors are padded to whole blocks; of several rows the family's own layout. */
static Layout row_layout(const Plans *ps, const Type *t)
{
  int64_t batch = ps->program->batch;
  return t->rank == 1 ? blocked_layout(t, ps->block, batch)
                      : family_layout(ps->family, t, ps->block, batch);
}

void row_plans(Plans *ps, const Node *n)
{
  Plan p = { .family = ps->family, .algorithm = "by rows", .cost = 0 };
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node && ps->family == FAMILY_LANES && value_type(n->in[i])->batched)
      p.in[i] = family_layout(FAMILY_LANES, value_type(n->in[i]), ps->block, ps->program->batch);
  for (uint32_t r = 0; r < n->nout; r++)
    p.out[r] = ps->family == FAMILY_CHANNELS && n->type[r].rank > 0
                   ? row_layout(ps, &n->type[r])
                   : family_layout(ps->family, &n->type[r], ps->block, ps->program->batch);
  plans_offer(ps, &p);
}

static void row_begin(Row *r, const char *name, int nreg)
{
  Lower *l = r->l;
  Build *b = l->b;
  bool lanes = l->d->family == FAMILY_LANES;
  r->lanes = lanes ? l->block : 1;
  lower_kernel(l, r->n, "", name, lanes ? "lanes hold samples" : "one sample a work item");
  r->reg = l_registers(b, "sum", (int)l->program->real, r->lanes, nreg);
  LExpr *i = l_var(b, l_loop(b, lanes ? "g" : "i", l_var(b, l->kernel->lo), l_var(b, l->kernel->hi), 1, FOR_PLAIN));
  coord_clear(&r->c);
  if (lanes) {
    coord_add(&r->c, AXIS_BATCH, i, l->block, ceil_div(l->program->batch, l->block));
    coord_add(&r->c, AXIS_BATCH, NULL, 1, l->block);
  } else
    coord_set(&r->c, AXIS_BATCH, i, l->program->batch);
}

static void row_end(Row *r)
{
  Lower *l = r->l;
  l_end(l->b);
  lower_by_samples(l, r->lanes);
  lower_kernel_end(l, r->lanes > 1 ? lower_groups(l, lower_host_n(l)) : lower_host_n(l));
}

static LExpr *get(Row *r, int i) { return l_load(r->l->b, r->reg, l_int(r->l->b, i), r->lanes); }
static void set(Row *r, int i, LExpr *v) { l_store(r->l->b, r->reg, l_int(r->l->b, i), l_splat(r->l->b, v, r->lanes)); }

static LExpr *load(Row *r, Value v, const Coord *c)
{
  LExpr *e = r->lanes > 1 ? lower_load(r->l, v, c, r->lanes) : lower_load_scalar(r->l, v, c);
  return l_splat(r->l->b, e->dtype == (int)r->l->program->real ? e : l_cast(r->l->b, e, r->l->program->real), r->lanes);
}

/* Opens loops over the rows of a sample of type t: all of its axes but the last. */
static void rows_begin(Row *r, const Type *t)
{
  Build *b = r->l->b;
  r->axis = t->rank - 1;
  for (int a = 0; a < r->axis; a++) {
    LVar *j = l_loop(b, "j", l_int(b, 0), l_int(b, t->dim[a]), 1, FOR_PLAIN);
    coord_set(&r->c, a, l_var(b, j), t->dim[a]);
  }
}

static void rows_end(Row *r)
{
  for (int a = 0; a < r->axis; a++) {
    l_end(r->l->b);
    coord_drop(&r->c, a);
  }
}

/* Opens a loop over the row's elements; c becomes the element's place. */
static LExpr *each_begin(Row *r, int64_t from, int64_t count, Coord *c)
{
  Build *b = r->l->b;
  LExpr *k = l_var(b, l_loop(b, "k", l_int(b, from), l_int(b, count), 1, FOR_ROLLED));
  *c = r->c;
  coord_set(c, r->axis, k, count);
  return k;
}

static LExpr *call(Row *r, const char *fn, LExpr *x) { return l_call(r->l->b, l_math(r->l->b, fn, x->lanes), &x, 1); }

/* Zero into the padding of a result with channel blocks: behind axis 0. */
static void pad_result(Row *r)
{
  Lower *l = r->l;
  const Type *t = &r->n->type[0];
  int64_t whole = align_up(t->dim[0], l->block);
  if (r->lanes > 1 || whole == t->dim[0] || (t->rank > 1 && t->dim[0] < l->block))
    return;
  Coord c = r->c;
  for (int a = 0; a < t->rank; a++) {
    LVar *k = l_loop(l->b, "k", l_int(l->b, a ? 0 : t->dim[0]), l_int(l->b, a ? t->dim[a] : whole),
                     1, FOR_ROLLED);
    coord_set(&c, a, l_var(l->b, k), a ? t->dim[a] : whole);
  }
  lower_finish_zero(l, r->n, &c);
  for (int a = 0; a < t->rank; a++)
    l_end(l->b);
}

/* reg[0] := largest of x; reg[1] := sum of exp(x - reg[0]). Returns them as locals. */
static void log_sum_exp(Row *r, Value x, LExpr **top, LExpr **sum)
{
  Build *b = r->l->b;
  int64_t count = value_type(x)->dim[r->axis];
  Coord c = r->c;
  coord_set(&c, r->axis, l_int(b, 0), count);
  set(r, 0, load(r, x, &c));
  each_begin(r, 1, count, &c);
  set(r, 0, l_max(b, get(r, 0), load(r, x, &c)));
  l_end(b);
  *top = l_let(b, "top", get(r, 0));
  set(r, 1, l_real(b, 0));
  each_begin(r, 0, count, &c);
  set(r, 1, l_add(b, get(r, 1), call(r, "exp", l_sub(b, load(r, x, &c), *top))));
  l_end(b);
  *sum = l_let(b, "total", get(r, 1));
}

void row_softmax(Lower *l, const Node *n, Value x)
{
  Build *b = l->b;
  Row r = { .l = l, .n = n };
  int64_t count = n->type[0].dim[n->type[0].rank - 1];
  row_begin(&r, "softmax", 2);
  rows_begin(&r, &n->type[0]);
  LExpr *top, *sum;
  log_sum_exp(&r, x, &top, &sum);
  LExpr *scale = l_let(b, "scale", l_div(b, l_splat(b, l_real(b, 1), r.lanes), sum));
  Coord c;
  each_begin(&r, 0, count, &c);
  LExpr *e = l_mul(b, call(&r, "exp", l_sub(b, load(&r, x, &c), top)), scale);
  lower_finish(l, n, &c, &e, r.lanes);
  l_end(b);
  rows_end(&r);
  pad_result(&r);
  row_end(&r);
}

void row_one_hot(Lower *l, const Node *n, Value y)
{
  Build *b = l->b;
  Row r = { .l = l, .n = n };
  int64_t count = n->type[0].dim[n->type[0].rank - 1];
  row_begin(&r, "indicator", 1);
  rows_begin(&r, &n->type[0]);
  LExpr *label = l_let(b, "label", load(&r, y, &r.c));
  Coord c;
  LExpr *k = each_begin(&r, 0, count, &c);
  LExpr *mine = l_op(b, SC_eq, label, l_splat(b, l_cast(b, k, l->program->real), r.lanes), NULL);
  LExpr *e = l_op(b, SC_select, mine, l_splat(b, l_real(b, 1), r.lanes), l_real(b, 0));
  lower_finish(l, n, &c, &e, r.lanes);
  l_end(b);
  rows_end(&r);
  pad_result(&r);
  row_end(&r);
}

void row_softmax_grad(Lower *l, const Node *n, Value dy, Value y)
{
  Build *b = l->b;
  Row r = { .l = l, .n = n };
  int64_t count = n->type[0].dim[n->type[0].rank - 1];
  row_begin(&r, "softmax_grad", 1);
  rows_begin(&r, &n->type[0]);
  set(&r, 0, l_real(b, 0));
  Coord c;
  each_begin(&r, 0, count, &c);
  set(&r, 0, l_fma(b, load(&r, dy, &c), load(&r, y, &c), get(&r, 0)));
  l_end(b);
  LExpr *dot = l_let(b, "dot", get(&r, 0));
  each_begin(&r, 0, count, &c);
  LExpr *e = l_mul(b, load(&r, y, &c), l_sub(b, load(&r, dy, &c), dot));
  lower_finish(l, n, &c, &e, r.lanes);
  l_end(b);
  rows_end(&r);
  pad_result(&r);
  row_end(&r);
}

/* The (smoothed) target of class k. Labels: 1 where the label is k. */
static LExpr *target_of(Row *r, Value y, LExpr *label, LExpr *k, const Coord *c, int64_t count, double smoothing)
{
  Build *b = r->l->b;
  LExpr *q = label ? l_op(b, SC_select, l_op(b, SC_eq, label, l_splat(b, l_cast(b, k, r->l->program->real), r->lanes), NULL),
                          l_splat(b, l_real(b, 1), r->lanes), l_real(b, 0))
                   : load(r, y, c);
  if (smoothing == 0)
    return q;
  return l_fma(b, q, l_real(b, 1 - smoothing), l_splat(b, l_real(b, smoothing / (double)count), r->lanes));
}

static LExpr *label_of(Row *r, Value y)
{
  bool scores = lower_is_real(y) && value_type(y)->rank == r->axis + 1;
  return scores ? NULL : l_let(r->l->b, "label", load(r, y, &r->c));
}

/* v where the label of one of several rows is a class; 0 where it is -1: it counts nowhere. */
static LExpr *where_counted(Row *r, LExpr *label, LExpr *v)
{
  Build *b = r->l->b;
  LExpr *zero = l_splat(b, l_real(b, 0), r->lanes);
  if (!label || r->axis == 0)
    return v;
  return l_op(b, SC_select, l_op(b, SC_lt, label, zero, NULL), zero, v);
}

void row_xent(Lower *l, const Node *n, Value x, Value y, double smoothing)
{
  Build *b = l->b;
  Row r = { .l = l, .n = n };
  const Type *t = value_type(x);
  int64_t count = t->dim[t->rank - 1], rows = type_elems(t) / count;
  row_begin(&r, "softmax_xent", 3);
  if (rows > 1)
    set(&r, 2, l_real(b, 0));
  rows_begin(&r, t);
  LExpr *top, *sum;
  log_sum_exp(&r, x, &top, &sum);
  LExpr *lse = l_let(b, "lse", l_add(b, top, call(&r, "log", sum)));
  LExpr *label = label_of(&r, y);
  set(&r, 0, l_real(b, 0));
  Coord c;
  LExpr *k = each_begin(&r, 0, count, &c);
  LExpr *gap = l_sub(b, lse, load(&r, x, &c));
  if (label && smoothing == 0) {
    LExpr *mine = l_op(b, SC_eq, label, l_splat(b, l_cast(b, k, l->program->real), r.lanes), NULL);
    set(&r, 0, l_op(b, SC_select, mine, gap, get(&r, 0)));
  } else
    set(&r, 0, l_fma(b, target_of(&r, y, label, k, &c, count, smoothing), gap, get(&r, 0)));
  l_end(b);
  if (rows > 1)
    set(&r, 2, l_add(b, get(&r, 2), where_counted(&r, label, get(&r, 0))));
  rows_end(&r);
  LExpr *e = rows > 1 ? l_div(b, get(&r, 2), l_splat(b, l_real(b, (double)rows), r.lanes))
                      : get(&r, 0);
  lower_finish(l, n, &r.c, &e, r.lanes);
  row_end(&r);
}

/* The share of a sample's dy that each of several rows has; NULL: there is one row. */
static LExpr *row_share(Row *r, Value dy, const Type *t)
{
  Build *b = r->l->b;
  int64_t rows = type_elems(t) / t->dim[t->rank - 1];
  if (rows == 1)
    return NULL;
  LExpr *each = l_splat(b, l_real(b, (double)rows), r->lanes);
  return l_let(b, "d", l_div(b, load(r, dy, &r->c), each));
}

void row_xent_grad(Lower *l, const Node *n, Value dy, Value x, Value y, double smoothing)
{
  Build *b = l->b;
  Row r = { .l = l, .n = n };
  const Type *t = value_type(x);
  int64_t count = t->dim[t->rank - 1];
  row_begin(&r, "softmax_xent_grad", 3);
  LExpr *d = row_share(&r, dy, t);
  rows_begin(&r, t);
  LExpr *top, *sum;
  log_sum_exp(&r, x, &top, &sum);
  d = d ? d : l_let(b, "d", load(&r, dy, &r.c));
  LExpr *label = label_of(&r, y);
  LExpr *scale = l_div(b, l_splat(b, l_real(b, 1), r.lanes), sum);
  Coord c;
  if (!label) {
    set(&r, 2, l_real(b, 0));
    LExpr *j = each_begin(&r, 0, count, &c);
    set(&r, 2, l_add(b, get(&r, 2), target_of(&r, y, NULL, j, &c, count, smoothing)));
    l_end(b);
    scale = l_mul(b, scale, get(&r, 2));
  }
  scale = l_let(b, "scale", scale);
  LExpr *k = each_begin(&r, 0, count, &c);
  LExpr *p = l_mul(b, call(&r, "exp", l_sub(b, load(&r, x, &c), top)), scale);
  LExpr *e = l_mul(b, d, l_sub(b, p, target_of(&r, y, label, k, &c, count, smoothing)));
  e = where_counted(&r, label, e);
  lower_finish(l, n, &c, &e, r.lanes);
  l_end(b);
  rows_end(&r);
  pad_result(&r);
  row_end(&r);
}

void row_xent_target_grad(Lower *l, const Node *n, Value dy, Value x, double smoothing)
{
  Build *b = l->b;
  Row r = { .l = l, .n = n };
  const Type *t = value_type(x);
  int64_t count = t->dim[t->rank - 1];
  row_begin(&r, "softmax_xent_target_grad", 2);
  LExpr *share = row_share(&r, dy, t);
  rows_begin(&r, t);
  LExpr *top, *sum;
  log_sum_exp(&r, x, &top, &sum);
  LExpr *lse = l_let(b, "lse", l_add(b, top, call(&r, "log", sum)));
  share = share ? share : load(&r, dy, &r.c);
  LExpr *d = l_let(b, "d", l_mul(b, share, l_splat(b, l_real(b, 1 - smoothing), r.lanes)));
  Coord c;
  each_begin(&r, 0, count, &c);
  LExpr *e = l_mul(b, d, l_sub(b, lse, load(&r, x, &c)));
  lower_finish(l, n, &c, &e, r.lanes);
  l_end(b);
  rows_end(&r);
  pad_result(&r);
  row_end(&r);
}

void row_mean(Lower *l, const Node *n, Value x, Value y, RowTerm term)
{
  Build *b = l->b;
  Row r = { .l = l, .n = n };
  const Type *t = value_type(x);
  row_begin(&r, "loss_mean", 1);
  set(&r, 0, l_real(b, 0));
  Coord c = r.c;
  for (int a = 0; a < t->rank; a++)
    coord_set(&c, a, l_var(b, l_loop(b, "j", l_int(b, 0), l_int(b, t->dim[a]), 1, FOR_ROLLED)), t->dim[a]);
  Coord cy = c;
  if (value_type(y)->rank != t->rank)
    for (int a = 0; a < RANK_MAX; a++)
      coord_drop(&cy, a);
  LExpr *vx = l_let(b, "x", load(&r, x, &c)), *vy = l_let(b, "t", load(&r, y, &cy));
  set(&r, 0, l_add(b, get(&r, 0), term(l, n, vx, vy)));
  for (int a = 0; a < t->rank; a++)
    l_end(b);
  LExpr *e = l_div(b, get(&r, 0), l_splat(b, l_real(b, (double)type_elems(t)), r.lanes));
  lower_finish(l, n, &r.c, &e, r.lanes);
  row_end(&r);
}
