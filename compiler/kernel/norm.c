/* Statistics of batch normalisation. Rows of the image are summed first, where they are made; what
 * they gave is summed on the channel-sum template. The variance is summed around the mean in a
 * second pass, so that nothing cancels; of rows it is the sum of squares within and between them,
 *   sum (x - mean)^2 = sum over rows (m2 + width * (sum / width - mean)^2)
 * (Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample
 * variances, 1979). */
#include "kernel/norm.h"
#include "kernel/reduce.h"

typedef struct {
  Channels ch;
  Value x, m2, dy;
  double width;
  LExpr *mean;
} Norm;

static LExpr *load(Lower *l, Value v, const Coord *c, int lanes)
{
  LExpr *e = lanes > 1 ? lower_load(l, v, c, lanes) : lower_load_scalar(l, v, c);
  return l_splat(l->b, e, lanes);
}

static LExpr *value_term(void *ctx, const Coord *c, int lanes)
{
  const Norm *m = ctx;
  return load(m->ch.l, m->x, c, lanes);
}

/* (x / width - mean)^2 * width, around which each row lies by its own m2. */
static LExpr *square_term(void *ctx, const Coord *c, int lanes)
{
  const Norm *m = ctx;
  Lower *l = m->ch.l;
  Build *b = l->b;
  LExpr *x = load(l, m->x, c, lanes), *mean = l_splat(b, m->mean, lanes);
  if (!m->m2.node) {
    LExpr *d = l_let(b, "d", l_sub(b, x, mean));
    return l_mul(b, d, d);
  }
  LExpr *d = l_let(b, "d", l_sub(b, l_mul(b, x, l_splat(b, l_real(b, 1 / m->width), lanes)), mean));
  return l_fma(b, l_mul(b, d, l_splat(b, l_real(b, m->width), lanes)), d, load(l, m->m2, c, lanes));
}

void norm_stats(Lower *l, const Node *n, Value x, Value m2, int64_t width)
{
  Build *b = l->b;
  Norm m = { .x = x, .m2 = m2, .width = (double)width };
  const Type *t = value_type(x);
  channels_begin(&m.ch, l, n, x, 2, "batchnorm_stats");
  int w = m.ch.lanes_hold_samples ? 1 : m.ch.lanes;
  LExpr *count = l_let(b, "count", batch_count(l, type_elems(t) / t->dim[0] * width)), *sum[2];
  Term value = value_term, square = square_term;
  channels_sum(&m.ch, 0, 1, &value, &m, &sum[0]);
  m.mean = l_let(b, "mean", l_div(b, sum[0], l_splat(b, count, w)));
  channels_sum(&m.ch, 1, 1, &square, &m, &sum[1]);
  LExpr *result[2] = { m.mean, l_div(b, sum[1], l_splat(b, count, w)) };
  lower_finish(l, n, &m.ch.channel, result, w);
  channels_end(&m.ch);
}

static LExpr *dy_term(void *ctx, const Coord *c, int lanes)
{
  const Norm *m = ctx;
  return load(m->ch.l, m->dy, c, lanes);
}

void norm_grad_stats(Lower *l, const Node *n, Value dy, Value dyd, Value istd)
{
  Norm m = { .dy = dy, .x = dyd };
  channels_begin(&m.ch, l, n, dy, 2, "batchnorm_grad_stats");
  int w = m.ch.lanes_hold_samples ? 1 : m.ch.lanes;
  LExpr *scale = l_let(l->b, "istd", load(l, istd, &m.ch.channel, w)), *sum[2];
  Term term[2] = { dy_term, value_term };
  channels_sum(&m.ch, 0, 2, term, &m, sum);
  sum[1] = l_mul(l->b, sum[1], scale);
  lower_finish(l, n, &m.ch.channel, sum, w);
  channels_end(&m.ch);
}

/* ---- rows ---- */
typedef struct {
  Lower *l;
  Value x, dy;
  LExpr *mean;
} Row;

static LExpr *fold_value(void *ctx, const Coord *c, LExpr *sum)
{
  const Row *r = ctx;
  return l_add(r->l->b, sum, load(r->l, r->x, c, sum->lanes));
}

static LExpr *fold_square(void *ctx, const Coord *c, LExpr *sum)
{
  const Row *r = ctx;
  LExpr *d = l_let(r->l->b, "d", l_sub(r->l->b, load(r->l, r->x, c, sum->lanes), r->mean));
  return l_fma(r->l->b, d, d, sum);
}

void norm_row_stats(Lower *l, const Node *n, const Coord *c)
{
  Build *b = l->b;
  Row r = { .l = l, .x = n->in[0] };
  const Type *t = value_type(r.x);
  Fold value = fold_value, square = fold_square;
  LExpr *sum[2];
  row_sums(l, c, t, 1, &value, &r, &sum[0]);
  int lanes = sum[0]->lanes;
  LExpr *per = l_splat(b, l_real(b, 1 / (double)t->dim[t->rank - 1]), lanes);
  r.mean = l_let(b, "mean", l_mul(b, sum[0], per));
  row_sums(l, c, t, 1, &square, &r, &sum[1]);
  lower_finish(l, n, c, sum, lanes);
}

static LExpr *fold_dy(void *ctx, const Coord *c, LExpr *sum)
{
  const Row *r = ctx;
  return l_add(r->l->b, sum, load(r->l, r->dy, c, sum->lanes));
}

static LExpr *fold_dot(void *ctx, const Coord *c, LExpr *sum)
{
  const Row *r = ctx;
  Build *b = r->l->b;
  LExpr *d = l_sub(b, load(r->l, r->x, c, sum->lanes), r->mean);
  return l_fma(b, load(r->l, r->dy, c, sum->lanes), d, sum);
}

void norm_row_grads(Lower *l, const Node *n, const Coord *c)
{
  Row r = { .l = l, .dy = n->in[0], .x = n->in[1] };
  const Type *t = value_type(r.x);
  int lanes = coord_lane_axis(c) == RANK_MAX ? 1 : l->block;
  Coord channel = broadcast_coord(c, value_type(n->in[2]), t);
  r.mean = l_let(l->b, "mean", load(l, n->in[2], &channel, lanes));
  Fold fold[2] = { fold_dy, fold_dot };
  LExpr *sum[2];
  row_sums(l, c, t, 2, fold, &r, sum);
  lower_finish(l, n, c, sum, lanes);
}
