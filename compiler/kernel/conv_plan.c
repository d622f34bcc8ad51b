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

bool conv_is_depthwise(const ConvShape *s)
{
  return s->groups > 1 && s->groups == s->ic && s->oc == s->ic;
}

/* Lanes of channels need whole blocks in every group, or one channel in each. */
static bool channel_lanes_fit(const ConvShape *s, int block)
{
  return s->groups == 1 || conv_is_depthwise(s) ||
         ((s->oc / s->groups) % block == 0 && (s->ic / s->groups) % block == 0);
}

/* May the template that transforms tiles compute what another one does at `cost`? */
static bool may_transform(const Plans *ps, const ConvShape *s, ConvPass pass, double cost)
{
  if (ps->transforms == TRANSFORM_NEVER || !winograd_suits(s))
    return false;
  return ps->transforms == TRANSFORM_ALWAYS ||
         winograd_cost(s, pass, ps->program->batch, ps->block) < 0.9 * cost;
}

/* Samples in the lanes, in a net of either family. From 16 channels on channels keep all lanes busy
 * too, and whole blocks of them touch less memory. */
static void plan_sample_lanes(Plans *ps, const Node *n, const ConvShape *s, ConvPass pass, int main,
                              int other)
{
  int64_t batch = ps->program->batch;
  bool wide = s->ic >= ps->block && s->oc >= ps->block;
  Plan p = { .family = ps->family, .algorithm = "batch in lanes", .sample_lanes = true,
             .rows = pass != CONV_WEIGHT_GRAD };
  p.cost = multiplies(s) * (double)ceil_div(batch, ps->block) * (wide ? 1.25 : 1);
  p.in[main] = family_layout(FAMILY_LANES, value_type(n->in[main]), ps->block, batch);
  if (pass == CONV_WEIGHT_GRAD) {
    p.in[other] = family_layout(FAMILY_LANES, value_type(n->in[other]), ps->block, batch);
    p.out[0] = plain_weights(s);
  } else {
    p.windows = pass == CONV_FORWARD ? LOCAL_BYTES_MAX / 64 : 0;
    p.in[other] = plain_weights(s);
    p.out[0] = family_layout(FAMILY_LANES, &n->type[0], ps->block, batch);
  }
  plans_offer(ps, &p);
}

static void transform(Plans *ps, const Node *n, const ConvShape *s, ConvPass pass, Plan *p)
{
  int64_t batch = ps->program->batch;
  p->algorithm = "winograd";
  p->grid = WINO_OUT;
  p->cost = winograd_cost(s, pass, batch, ps->block);
  p->rows = winograd_whole_rows(s, pass, batch, ps->block);
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node && value_type(n->in[i])->batched)
      p->in[i] = blocked_layout(value_type(n->in[i]), ps->block, batch);
}

/* Depthwise convolutions have one layout of weights for all passes: the channel is that of both
 * sides. Others keep the side that is produced in the lanes. */
static void plan_channel_lanes(Plans *ps, const Node *n, const ConvShape *s, ConvPass pass,
                               int main, int other)
{
  int64_t batch = ps->program->batch, lane = pass == CONV_INPUT_GRAD ? s->ic : s->oc;
  bool depthwise = conv_is_depthwise(s);
  Plan p = { .family = ps->family, .algorithm = depthwise ? "depthwise" : "channel blocks",
             .rows = pass != CONV_WEIGHT_GRAD };
  p.cost = multiplies(s) / (double)lane * (double)ceil_div(lane, ps->block) * (double)batch;
  if (pass == CONV_WEIGHT_GRAD || depthwise)
    p.in[main] = blocked_layout(value_type(n->in[main]), ps->block, batch);
  if (pass == CONV_WEIGHT_GRAD) {
    if (depthwise)
      p.in[other] = blocked_layout(value_type(n->in[other]), ps->block, batch);
    p.out[0] = lane_weights(s, 0, ps->block);
  } else {
    p.windows = pass == CONV_FORWARD ? LOCAL_BYTES_MAX / 64 : 0;
    p.in[other] = lane_weights(s, pass == CONV_INPUT_GRAD && !depthwise ? 1 : 0, ps->block);
    p.out[0] = blocked_layout(&n->type[0], ps->block, batch);
  }
  if (may_transform(ps, s, pass, p.cost))
    transform(ps, n, s, pass, &p);
  plans_offer(ps, &p);
}

void conv_plans(Plans *ps, const Node *n, const ConvShape *s, ConvPass pass, int main, int other)
{
  if (ps->family == FAMILY_CHANNELS && channel_lanes_fit(s, ps->block))
    plan_channel_lanes(ps, n, s, pass, main, other);
  else
    plan_sample_lanes(ps, n, s, pass, main, other);
}
