/* Statistics of batch normalisation on the channel-sum template. The variance is summed around the mean in a
 * second pass, so that nothing cancels. */
#include "kernel/norm.h"
#include "kernel/reduce.h"

typedef struct {
  Channels ch;
  Value dy, x, mean_of, istd_of;
  LExpr *mean, *istd;
} Norm;

static LExpr *load(Norm *m, Value v, const Coord *c, int lanes)
{
  LExpr *e = lanes > 1 ? lower_load(m->ch.l, v, c, lanes) : lower_load_scalar(m->ch.l, v, c);
  return l_splat(m->ch.l->b, e, lanes);
}

static LExpr *value_term(void *ctx, const Coord *c, int lanes) { return load(ctx, ((Norm *)ctx)->x, c, lanes); }

static LExpr *square_term(void *ctx, const Coord *c, int lanes)
{
  Norm *m = ctx;
  Build *b = m->ch.l->b;
  LExpr *d = l_let(b, "d", l_sub(b, load(m, m->x, c, lanes), l_splat(b, m->mean, lanes)));
  return l_mul(b, d, d);
}

void norm_stats(Lower *l, const Node *n, Value x)
{
  Build *b = l->b;
  Norm m = { .x = x };
  const Type *t = value_type(x);
  channels_begin(&m.ch, l, n, x, 2, "batchnorm_stats");
  int width = m.ch.lanes_hold_samples ? 1 : m.ch.lanes;
  LExpr *count = l_let(b, "count", batch_count(l, type_elems(t) / t->dim[0])), *sum[2];
  Term value = value_term, square = square_term;
  channels_sum(&m.ch, 0, 1, &value, &m, &sum[0]);
  m.mean = l_let(b, "mean", l_div(b, sum[0], l_splat(b, count, width)));
  channels_sum(&m.ch, 1, 1, &square, &m, &sum[1]);
  LExpr *result[2] = { m.mean, l_div(b, sum[1], l_splat(b, count, width)) };
  lower_finish(l, n, &m.ch.channel, result, width);
  channels_end(&m.ch);
}

static LExpr *dy_term(void *ctx, const Coord *c, int lanes) { return load(ctx, ((Norm *)ctx)->dy, c, lanes); }

static LExpr *dw_term(void *ctx, const Coord *c, int lanes)
{
  Norm *m = ctx;
  Build *b = m->ch.l->b;
  LExpr *d = l_sub(b, load(m, m->x, c, lanes), l_splat(b, m->mean, lanes));
  return l_mul(b, load(m, m->dy, c, lanes), l_mul(b, d, l_splat(b, m->istd, lanes)));
}

void norm_grad_stats(Lower *l, const Node *n, Value dy, Value x, Value mean, Value istd)
{
  Build *b = l->b;
  Norm m = { .dy = dy, .x = x };
  channels_begin(&m.ch, l, n, dy, 2, "batchnorm_grad_stats");
  int width = m.ch.lanes_hold_samples ? 1 : m.ch.lanes;
  m.mean = l_let(b, "mean", load(&m, mean, &m.ch.channel, width));
  m.istd = l_let(b, "istd", load(&m, istd, &m.ch.channel, width));
  Term term[2] = { dy_term, dw_term };
  LExpr *sum[2];
  channels_sum(&m.ch, 0, 2, term, &m, sum);
  lower_finish(l, n, &m.ch.channel, sum, width);
  channels_end(&m.ch);
}
