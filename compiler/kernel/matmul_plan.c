/* Layouts and cost of the dense templates.
 *
 * Batch in lanes: weights [k/16][o][k%16]: a forward tile reads o neighbouring lines, the input gradient one
 * line per o, and the weight gradient writes whole lines (x is transposed first). Channel blocks: weights
 * [o/16][k as x has it][o%16]. Among channel blocks too, samples fill the lanes of a dense layer as
 * soon as there are enough of them: its input gradient is then no sum over lanes. */
#include "kernel/matmul.h"

Layout dense_lane_weights(int64_t o, int64_t k, int block)
{
  return (Layout){ 3, { { 1, block, ceil_div(k, block) }, { 0, 1, o }, { 1, 1, block } } };
}

/* The feature digits of x, moved to the weight's axis 1, between the blocks of o. */
static bool block_weights(int64_t o, const Layout *x, int block, Layout *l)
{
  *l = (Layout){ 0 };
  l->digit[l->n++] = (Digit){ 0, block, ceil_div(o, block) };
  for (int i = 0; i < x->n; i++) {
    if (x->digit[i].axis == AXIS_BATCH)
      continue;
    if (l->n + 1 >= DIGITS_MAX)
      return false;
    l->digit[l->n++] = (Digit){ 1, x->digit[i].div, x->digit[i].extent };
  }
  l->digit[l->n++] = (Digit){ 0, 1, block };
  return true;
}

/* Feature digits of the weight's axis 1 as the layout of a batched vector. */
static Layout input_layout(const Layout *w, int64_t batch)
{
  Layout l = { 1, { { AXIS_BATCH, 1, batch } } };
  for (int i = 0; i < w->n; i++)
    if (w->digit[i].axis == 1)
      l.digit[l.n++] = (Digit){ 0, w->digit[i].div, w->digit[i].extent };
  return l;
}

/* True for what block_weights makes. */
static bool has_output_lanes(const Layout *w, int block)
{
  const Digit *last = &w->digit[w->n - 1];
  return w->n > 1 && last->axis == 0 && last->div == 1 && last->extent == block;
}

/* Features of a value with a batch: its last axis. Steps of a sequence come before. */
static int64_t features(const Type *t) { return t->dim[t->rank - 1]; }
static int64_t steps(const Type *t) { return t->rank > 1 ? t->dim[0] : 1; }

static void plan_lanes(Plans *ps, const Node *n, DensePass pass, int main, int other, int64_t o, int64_t k)
{
  int64_t batch = ps->program->batch;
  Plan p = { .family = ps->family, .algorithm = "batch in lanes", .sample_lanes = true,
             .cost = (double)o * (double)k * (double)ceil_div(batch, ps->block) };
  p.in[main] = family_layout(FAMILY_LANES, value_type(n->in[main]), ps->block, batch);
  if (pass == DENSE_WEIGHT_GRAD) {
    const Type *x = value_type(n->in[other]);
    p.in[other] = x->rank > 1 ? family_layout(FAMILY_LANES, x, ps->block, batch)
                              : blocked_layout(x, ps->block, batch);
    p.out[0] = dense_lane_weights(o, k, ps->block);
    p.cost = (double)o * (double)ceil_div(k, ps->block) * (double)batch;
  } else {
    p.in[other] = dense_lane_weights(o, k, ps->block);
    p.out[0] = family_layout(FAMILY_LANES, &n->type[0], ps->block, batch);
  }
  p.cost *= (double)steps(value_type(n->in[main]));
  plans_offer(ps, &p);
}

void dense_plans(Plans *ps, const Node *n, DensePass pass, int main, int other)
{
  const Type *t_main = value_type(n->in[main]), *t_other = value_type(n->in[other]);
  int64_t batch = ps->program->batch;
  int64_t o = features(pass == DENSE_FORWARD ? &n->type[0] : t_main);
  int64_t k = features(pass == DENSE_FORWARD ? t_main : pass == DENSE_INPUT_GRAD ? &n->type[0] : t_other);
  if (ps->family == FAMILY_LANES || batch >= ps->block || t_main->rank > 1) {
    plan_lanes(ps, n, pass, main, other, o, k);
    return;
  }
  Plan p = { .family = FAMILY_CHANNELS, .algorithm = "channel blocks",
             .cost = (double)k * (double)ceil_div(o, ps->block) * (double)batch };
  const Layout *x = pass == DENSE_FORWARD ? &ps->in_layout[main] : &ps->in_layout[other];
  bool ok = true;
  if (pass == DENSE_FORWARD) {
    ok = block_weights(o, x, ps->block, &p.in[other]);
    p.out[0] = blocked_layout(&n->type[0], ps->block, batch);
  } else {
    p.in[main] = blocked_layout(t_main, ps->block, batch);
    if (pass == DENSE_WEIGHT_GRAD)
      ok = block_weights(o, x, ps->block, &p.out[0]);
    else {
      Layout plain = family_layout(FAMILY_CHANNELS, &n->type[0], ps->block, batch);
      if (!has_output_lanes(x, ps->block)) {    /* no forward pass has laid the weights out */
        ok = block_weights(o, &plain, ps->block, &p.in[other]);
        x = &p.in[other];
      }
      p.out[0] = input_layout(x, batch);
    }
  }
  if (ok)
    plans_offer(ps, &p);
}
