/* Layouts and cost of the convolution templates in each family. */
#include "kernel/conv.h"
#include "kernel/winograd.h"

/* [c/16][other][kh][kw][c%16] of the weight, with axis `lane` (0: output, 1: input channels) in the lanes. */
static Layout lane_weights(const ConvShape *s, int lane, int block)
{
  int64_t dim[4] = { s->oc, s->ic / s->groups, s->k[0], s->k[1] };
  Layout l = { 0 };
  l.digit[l.n++] = (Digit){ lane, block, ceil_div(dim[lane], block) };
  l.digit[l.n++] = (Digit){ 1 - lane, 1, dim[1 - lane] };
  l.digit[l.n++] = (Digit){ 2, 1, dim[2] };
  l.digit[l.n++] = (Digit){ 3, 1, dim[3] };
  l.digit[l.n++] = (Digit){ lane, 1, block };
  return l;
}

static Layout plain_weights(const ConvShape *s)
{
  Type t = type_make(DT_F32, false, 4, (int64_t[]){ s->oc, s->ic / s->groups, s->k[0], s->k[1] });
  return layout_row_major(&t);
}

static double multiplies(const ConvShape *s)
{
  return (double)s->oc * (double)(s->ic / s->groups) * (double)(s->k[0] * s->k[1]) * (double)(s->out[0] * s->out[1]);
}

/* Channel lanes need whole blocks in every group. */
static bool channel_lanes_fit(const ConvShape *s, int block)
{
  return s->groups == 1 || ((s->oc / s->groups) % block == 0 && (s->ic / s->groups) % block == 0);
}

/* Columns of the kernel that a weight-gradient tile can hold at once. */
enum { COLUMNS_MAX = 24 };

/* May the template that transforms tiles compute what another one does at `cost`? */
static bool may_transform(const Plans *ps, const ConvShape *s, ConvPass pass, double cost)
{
  if (ps->transforms == TRANSFORM_NEVER || !winograd_suits(s))
    return false;
  return ps->transforms == TRANSFORM_ALWAYS ||
         winograd_cost(s, pass, ps->program->batch, ps->block) < 0.9 * cost;
}

void conv_plans(Plans *ps, const Node *n, const ConvShape *s, ConvPass pass, int main, int other)
{
  int64_t batch = ps->program->batch;
  Plan p = { .family = ps->family, .rows = pass != CONV_WEIGHT_GRAD };
  const Type *out = &n->type[0];
  if (pass == CONV_WEIGHT_GRAD && s->k[1] > COLUMNS_MAX)
    return;
  if (ps->family == FAMILY_LANES) {
    p.algorithm = "batch in lanes";
    /* from 16 channels on both keep all lanes busy, but whole channel blocks touch less memory */
    bool wide = s->ic >= ps->block && s->oc >= ps->block;
    p.cost = multiplies(s) * (double)ceil_div(batch, ps->block) * (wide ? 1.25 : 1);
    p.in[main] = family_layout(FAMILY_LANES, value_type(n->in[main]), ps->block, batch);
    if (pass == CONV_WEIGHT_GRAD) {
      p.in[other] = family_layout(FAMILY_LANES, value_type(n->in[other]), ps->block, batch);
      p.out[0] = plain_weights(s);
    } else {
      p.windows = pass == CONV_FORWARD ? LOCAL_BYTES_MAX / 64 : 0;
      p.in[other] = plain_weights(s);
      p.out[0] = family_layout(FAMILY_LANES, out, ps->block, batch);
    }
    plans_offer(ps, &p);
    return;
  }
  if (!channel_lanes_fit(s, ps->block))
    return;
  int64_t lane = pass == CONV_INPUT_GRAD ? s->ic : s->oc;
  p.algorithm = "channel blocks";
  p.cost = multiplies(s) / (double)lane * (double)ceil_div(lane, ps->block) * (double)batch;
  if (pass == CONV_WEIGHT_GRAD) {
    p.in[main] = blocked_layout(value_type(n->in[main]), ps->block, batch);
    p.out[0] = lane_weights(s, 0, ps->block);
  } else {
    p.windows = pass == CONV_FORWARD ? LOCAL_BYTES_MAX / 64 : 0;
    p.in[other] = lane_weights(s, pass == CONV_INPUT_GRAD ? 1 : 0, ps->block);
    p.out[0] = blocked_layout(out, ps->block, batch);
  }
  if (may_transform(ps, s, pass, p.cost)) {
    p.algorithm = "winograd";
    p.grid = WINO_OUT;
    p.cost = winograd_cost(s, pass, batch, ps->block);
    p.rows = winograd_whole_rows(s, pass, batch, ps->block);
    p.in[main] = blocked_layout(value_type(n->in[main]), ps->block, batch);
    if (pass == CONV_WEIGHT_GRAD)
      p.in[other] = blocked_layout(value_type(n->in[other]), ps->block, batch);
  }
  plans_offer(ps, &p);
}
