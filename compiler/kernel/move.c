/* Elements that move: one loop nest over the points of the result, in which every point finds what
 * it reads by index arithmetic alone. What lies in the lanes never moves within them: samples, or
 * whole blocks of channels. */
#include "kernel/move.h"

static bool all_blocked(const Plans *ps, const Node *n)
{
  for (uint32_t i = 0; i < n->nin; i++) {
    const Type *t = value_type(n->in[i]);
    Layout blocks = { 0 };
    if (t->rank > 0)
      blocks = blocked_layout(t, ps->block, ps->program->batch);
    if (t->rank == 0 || (t->dim[0] < ps->block && !layout_equal(&ps->in_layout[i], &blocks)))
      return false;
  }
  return n->type[0].rank > 0;
}

static Layout rows_of(const Type *t, int64_t batch)
{
  Layout l = layout_row_major(t);
  if (t->batched)
    l.digit[0].extent = batch;
  return l;
}

void move_plans(Plans *ps, const Node *n, bool channels_stay)
{
  Plan p = { .family = ps->family, .algorithm = "moved rows", .cost = 0 };
  int64_t batch = ps->program->batch;
  bool batched = n->type[0].batched;
  bool blocked = batched && ps->family == FAMILY_CHANNELS && channels_stay && all_blocked(ps, n);
  p.sample_lanes = batched && !blocked &&
                   (ps->family == FAMILY_LANES || batch >= ps->block / 2);
  if (blocked || p.sample_lanes)
    p.algorithm = blocked ? "moved blocks" : "moved, batch in lanes";
  for (uint32_t i = 0; i < n->nin + n->nout; i++) {
    const Type *t = i < n->nin ? value_type(n->in[i]) : &n->type[i - n->nin];
    Layout l = blocked          ? blocked_layout(t, ps->block, batch)
               : p.sample_lanes ? family_layout(FAMILY_LANES, t, ps->block, batch)
                                : rows_of(t, batch);
    if (i < n->nin)
      p.in[i] = l;
    else
      p.out[i - n->nin] = l;
  }
  plans_offer(ps, &p);
}

LExpr *move_get(Move *k, int i)
{
  return l_load(k->l->b, k->reg, l_int(k->l->b, i), k->p.lanes);
}

void move_set(Move *k, int i, LExpr *v)
{
  l_store(k->l->b, k->reg, l_int(k->l->b, i), l_splat(k->l->b, v, k->p.lanes));
}

LExpr *move_at(Move *k, int axis) { return coord_index(k->l->b, &k->p.c, axis); }

LExpr *move_load(Move *k, Value v, const Coord *c)
{
  Lower *l = k->l;
  LExpr *e = k->p.lanes > 1 ? lower_load(l, v, c, k->p.lanes) : lower_load_scalar(l, v, c);
  return e->dtype == (int)l->program->real ? e : l_cast(l->b, e, l->program->real);
}

void move_shift(Lower *l, Coord *c, int axis, int64_t by, int64_t extent)
{
  Build *b = l->b;
  if (coord_lane_axis(c) != axis) {
    coord_set(c, axis, l_addi(b, coord_index(b, c, axis), -by), extent);
    return;
  }
  for (int i = 0; i < c->n[axis + 1]; i++) {
    Part *p = &c->part[axis + 1][i];
    if (!p->e)
      continue;
    if (by % p->div != 0)
      ice("moved by %lld where lanes hold %lld", (long long)by, (long long)p->div);
    p->e = l_addi(b, p->e, -by / p->div);
    p->extent = ceil_div(extent, p->div);
  }
}

/* Is the last digit of the layout a block of lanes: samples, or channels beside their blocks? */
static bool has_lanes(const Layout *lay, int block)
{
  const Digit *last = &lay->digit[lay->n - 1];
  for (int i = 0; i < lay->n - 1; i++)
    if (lay->digit[i].axis == last->axis && lay->digit[i].div == block)
      return last->extent == block && last->div == 1;
  return false;
}

void move_lower(Lower *l, const Node *n, const char *what, MovePoint point, void *ctx)
{
  Move k = { .l = l, .n = n };
  const Layout *lay = lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 });
  lower_kernel(l, n, "", what, "one point of the result at a time, read where it comes from");
  points_begin(l, &k.p, &n->type[0], lay, lay->n == 0 || !has_lanes(lay, l->block));
  k.reg = l_registers(l->b, "moved", (int)l->program->real, k.p.lanes, MOVE_RESULTS);
  point(&k, ctx);
  LExpr *result[MOVE_RESULTS];
  for (int i = 0; i < (int)n->nout; i++)
    result[i] = move_get(&k, i);
  lower_finish(l, n, &k.p.c, result, k.p.lanes);
  points_end(l, &k.p);
  lower_kernel_end(l, k.p.items);
}
