/* Layouts that the normalisation of single samples asks for. */
#include "kernel/samplenorm.h"

static Layout whole_layout(const Plans *ps, const Type *t, const Layout *now)
{
  Layout blocks = blocked_layout(t, ps->block, ps->program->batch);
  if (ps->family == FAMILY_CHANNELS && layout_equal(now, &blocks))
    return blocks;
  return family_layout(ps->family, t, ps->block, ps->program->batch);
}

/* One number a group: never in blocks. */
static Layout stat_layout(const Plans *ps, const Type *t)
{
  if (ps->family == FAMILY_LANES)
    return family_layout(FAMILY_LANES, t, ps->block, ps->program->batch);
  return (Layout){ 2, { { AXIS_BATCH, 1, ps->program->batch }, { 0, 1, t->dim[0] } } };
}

static Layout of_one_sample(const Layout *x)
{
  Layout lay = { 0 };
  for (int d = 0; d < x->n; d++)
    if (x->digit[d].axis != AXIS_BATCH)
      lay.digit[lay.n++] = x->digit[d];
  return lay;
}

bool samplenorm_has_each(const Type *w, const Type *x, int64_t groups)
{
  return groups == 1 && w->rank == x->rank;
}

void samplenorm_plans(Plans *ps, const Node *n)
{
  const Type *t = value_type(n->in[0]);
  Plan p = { .family = ps->family, .algorithm = "sample norm", .cost = 0 };
  p.in[0] = p.out[0] = whole_layout(ps, t, &ps->in_layout[0]);
  if (samplenorm_has_each(value_type(n->in[1]), t, n->type[1].dim[0]))
    p.in[1] = p.in[2] = of_one_sample(&p.in[0]);
  p.out[1] = p.out[2] = stat_layout(ps, &n->type[1]);
  plans_offer(ps, &p);
}

void samplenorm_dx_plans(Plans *ps, const Node *n)
{
  const Type *t = value_type(n->in[1]), *stat = value_type(n->in[2]);
  Plan p = { .family = ps->family, .algorithm = "sample norm", .cost = 0 };
  p.in[0] = p.in[1] = p.out[0] = whole_layout(ps, t, &ps->in_layout[1]);
  p.in[2] = p.in[3] = stat_layout(ps, stat);
  if (samplenorm_has_each(value_type(n->in[4]), t, stat->dim[0]))
    p.in[4] = of_one_sample(&p.in[0]);
  bool blocks = ps->family == FAMILY_CHANNELS && p.in[0].digit[1].div == ps->block;
  p.out[1] = p.out[2] = blocks ? blocked_layout(&n->type[1], ps->block, ps->program->batch)
                               : stat_layout(ps, &n->type[1]);
  plans_offer(ps, &p);
}

void samplenorm_dw_plans(Plans *ps, const Node *n)
{
  const Type *t = value_type(n->in[1]);
  Plan p = { .family = ps->family, .algorithm = "sample norm", .cost = 0 };
  p.in[0] = p.in[1] = whole_layout(ps, t, &ps->in_layout[1]);
  p.in[2] = p.in[3] = stat_layout(ps, value_type(n->in[2]));
  p.out[0] = p.out[1] = of_one_sample(&p.in[0]);
  plans_offer(ps, &p);
}
