/* Loops over every point of a value, and the kernels of elementwise groups built on them.
 *
 * Work items are the leading digits of the result's layout (a group of samples, a channel ..), so each item
 * owns its part of the output. When all operands share the result's layout the kernel is one flat loop. */
#include "base/str.h"
#include "lower/points.h"
#include "lower/source.h"

static const char *digit_name(const Type *t, const Layout *l, int i)
{
  static const char *const spatial[] = { "y", "x", "z" };
  const Digit *d = &l->digit[i];
  if (d->axis == AXIS_BATCH)
    return d->div > 1 ? "g" : i == l->n - 1 && i > 0 ? "s" : "i";
  if (d->axis == 0)
    return t->rank == 1 ? d->div > 1 ? "kb" : "k" : d->div > 1 ? "cb" : "c";
  if (d->axis <= 2 && t->rank == 3)
    return spatial[d->axis - 1];
  return "j";
}

bool points_is_lane(const Lower *l, const Layout *layout, int i)
{
  return i == layout->n - 1 && layout->digit[i].div == 1 && layout->digit[i].extent == l->block &&
         (i > 0 || layout->digit[i].axis != AXIS_BATCH);
}

/* How often a digit counts: for a batch digit this depends on n. */
static LExpr *digit_extent(Lower *l, const Layout *layout, int i, LExpr *n)
{
  const Digit *d = &layout->digit[i];
  if (d->axis != AXIS_BATCH || i > 0)
    return l_int(l->b, d->extent);
  return d->div > 1 ? lower_groups(l, n) : n;
}

void points_begin(Lower *l, Points *p, const Type *t, const Layout *layout, bool scalar)
{
  Build *b = l->b;
  *p = (Points){ .lanes = 1 };
  coord_clear(&p->c);
  int outer = layout->n;
  if (outer > 0 && !scalar && points_is_lane(l, layout, outer - 1)) {
    p->lanes = l->block;
    outer--;
  }
  int nitem = outer < 2 ? outer : 2;
  LExpr *item = l_var(b, l_loop(b, outer == 1 ? digit_name(t, layout, 0) : "item", l_var(b, l->kernel->lo),
                                l_var(b, l->kernel->hi), 1, FOR_PLAIN));
  p->depth = 1;
  p->items = l_int(b, 1);
  LExpr *e[2] = { item, NULL };
  if (nitem == 2) {
    int64_t inner = layout->digit[1].extent;
    e[0] = inner == 1 ? item : l_let(b, digit_name(t, layout, 0), l_div(b, item, l_int(b, inner)));
    e[1] = inner == 1 ? l_int(b, 0) : l_let(b, digit_name(t, layout, 1), l_mod(b, item, l_int(b, inner)));
    p->items = l_int(b, inner);
  }
  if (nitem > 0)
    p->items = l_mul(b, digit_extent(l, layout, 0, lower_host_n(l)), p->items);
  for (int i = 0; i < outer; i++) {
    const Digit *d = &layout->digit[i];
    LExpr *v = i < nitem ? e[i] : NULL;
    if (!v) {
      v = l_var(b, l_loop(b, digit_name(t, layout, i), l_int(b, 0), digit_extent(l, layout, i, l->n), 1, FOR_PLAIN));
      p->depth++;
    }
    coord_add(&p->c, d->axis, v, d->div, d->extent);
  }
  if (nitem > 0 && layout->digit[0].axis == AXIS_BATCH)
    lower_by_samples(l, layout->digit[0].div);
  if (outer < layout->n)
    coord_add(&p->c, layout->digit[outer].axis, NULL, 1, l->block);
}

void points_end(Lower *l, Points *p)
{
  while (p->depth-- > 0)
    l_end(l->b);
}

LExpr *points_inside(Lower *l, const Points *p, const Type *t, const Layout *layout)
{
  LExpr *all = NULL;
  for (int a = 0; a < t->rank; a++) {
    int64_t range = 1;
    if (p->lanes > 1 && coord_lane_axis(&p->c) == a)
      continue;
    for (int i = 0; i < layout->n; i++)
      if (layout->digit[i].axis == a)
        range *= layout->digit[i].extent;
    if (range <= t->dim[a])
      continue;
    LExpr *in = l_op(l->b, SC_lt, coord_index(l->b, &p->c, a), l_int(l->b, t->dim[a]), NULL);
    all = all ? l_op(l->b, SC_and, all, in, NULL) : in;
  }
  return all;
}

LExpr *lower_batch_mask(Lower *l, const Coord *c, int lanes)
{
  Build *b = l->b;
  if (coord_lane_axis(c) != AXIS_BATCH || lanes == 1)
    return NULL;
  LExpr *left = l_sub(b, l->n, coord_index(b, c, AXIS_BATCH));
  return l_op(b, SC_lt, l_iota(b, lanes), l_cast(b, left, l->program->real), NULL);
}

/* ---- elementwise kernels ---- */

bool points_in_group(Lower *l, const Node *n, const Node *anchor)
{
  return l->d->anchor[n->id] == anchor->id &&
         (n == anchor || l->d->place[n->id] == PLACE_EPILOGUE);
}

typedef bool (*OperandTest)(Lower *l, Value v, const Node *user, const void *ctx);

/* True when test holds for every value that the group reads from outside. */
static bool all_operands(Lower *l, const Node *anchor, OperandTest test, const void *ctx)
{
  for (uint32_t i = 0; i < l->graph->order.n; i++) {
    const Node *m = l->graph->order.at[i];
    if (!points_in_group(l, m, anchor))
      continue;
    for (uint32_t k = 0; k < m->nin; k++)
      if (m->in[k].node && !points_in_group(l, m->in[k].node, anchor) && !test(l, m->in[k], m, ctx))
        return false;
  }
  return true;
}

static bool is_flat_operand(Lower *l, Value v, const Node *user, const void *ctx)
{
  const Layout *layout = ctx;
  const Type *t = value_type(v);
  (void)user;
  if (!t->batched && type_elems(t) == 1)
    return true;
  int64_t state = source_attr(v.node, "state");
  if (state < 0 && l->d->place[v.node->id] == PLACE_INLINE)
    return false;
  return layout_equal(state >= 0 ? &l->d->state[state] : lower_layout(l, v), layout);
}

static bool is_lane_operand(Lower *l, Value v, const Node *user, const void *ctx)
{
  Coord c = broadcast_coord(ctx, value_type(v), &user->type[0]);
  return lower_access(l, v, &c) != ACCESS_STRIDED;
}

void points_finish(Lower *l, const Node *n, const Coord *c, int lanes)
{
  LExpr *x[8] = { NULL };
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node) {
      Coord inner = broadcast_coord(c, value_type(n->in[i]), &n->type[0]);
      x[i] = lower_load(l, n->in[i], &inner, lanes);
    }
  LExpr *e = lower_scalar(l, n, x, c, lanes);
  lower_finish(l, n, c, &e, lanes);
}

static bool has_padding(Lower *l, const Node *n, const Layout *layout)
{
  for (int a = 0; a < n->type[0].rank; a++) {
    int64_t range = 1;
    for (int i = 0; i < layout->n; i++)
      if (layout->digit[i].axis == a)
        range *= layout->digit[i].extent;
    if (range > n->type[0].dim[a])
      return true;
  }
  (void)l;
  return false;
}

/* False for an operand that lies sample by sample; rows of the network's input are padded by their numbers. */
static bool has_whole_groups(Lower *l, Value v, const Node *user, const void *ctx)
{
  (void)user;
  (void)ctx;
  return !value_type(v)->batched || l->d->place[v.node->id] == PLACE_INLINE || lower_layout(l, v)->digit[0].div > 1;
}

/* True when the loops run over whole groups of samples and an operand ends with the batch. */
static bool reads_past_batch(Lower *l, const Node *anchor, const Layout *layout)
{
  return layout->n > 1 && layout->digit[0].axis == AXIS_BATCH && layout->digit[0].div > 1 &&
         !all_operands(l, anchor, has_whole_groups, NULL);
}

static void flat_kernel(Lower *l, const Node *anchor, const Layout *layout)
{
  Build *b = l->b;
  lower_kernel(l, anchor, "", "elementwise", "one pass over the blocks of equal layouts");
  int64_t extent = align_up(layout_extent(layout), l->block), per = extent;
  bool batched = anchor->type[0].batched;
  if (batched)
    per = extent / layout->digit[0].extent;
  LExpr *i = l_var(b, l_loop(b, "i", l_var(b, l->kernel->lo), l_var(b, l->kernel->hi), 1, FOR_PLAIN));
  l->flat = l_muli(b, i, l->block);
  l->flat_limit = !batched && layout_extent(layout) % l->block ? layout_extent(layout) : 0;
  Coord c;
  coord_clear(&c);
  if (batched)
    coord_add(&c, AXIS_BATCH, NULL, 1, l->block);
  points_finish(l, anchor, &c, l->block);
  l_end(b);
  l->flat = NULL;
  l->flat_limit = 0;
  LExpr *items = l_int(b, extent / l->block);
  if (batched)
    lower_by_samples(l, layout->digit[0].div);
  if (batched)
    items = l_muli(b, layout->digit[0].div > 1 ? lower_groups(l, lower_host_n(l)) : lower_host_n(l), per / l->block);
  lower_kernel_end(l, items);
}

bool points_lanes_fit(Lower *l, const Node *anchor, const Layout *layout)
{
  Coord probe;
  coord_clear(&probe);
  for (int i = 0; i < layout->n; i++)
    coord_add(&probe, layout->digit[i].axis, points_is_lane(l, layout, i) ? NULL : l_int(l->b, 0),
              layout->digit[i].div, layout->digit[i].extent);
  return layout->n > 0 && points_is_lane(l, layout, layout->n - 1) &&
         all_operands(l, anchor, is_lane_operand, &probe);
}

/* The same places with rows cut into blocks, when a row is a whole number of blocks. */
static bool cut_rows(const Lower *l, const Layout *layout, Layout *cut)
{
  const Digit *row = &layout->digit[layout->n - 1];
  if (layout->n == 0 || layout->n == DIGITS_MAX || points_is_lane(l, layout, layout->n - 1) ||
      row->axis == AXIS_BATCH || row->div != 1 || row->extent % l->block)
    return false;
  *cut = *layout;
  cut->digit[cut->n - 1] = (Digit){ row->axis, l->block, row->extent / l->block };
  cut->digit[cut->n++] = (Digit){ row->axis, 1, l->block };
  return true;
}

void lower_ewise(Lower *l, const Node *anchor)
{
  const Layout *layout = lower_layout(l, (Value){ (Node *)(uintptr_t)anchor, 0 });
  const Type *t = &anchor->type[0];
  bool whole_blocks = !t->batched || (layout_extent(layout) / layout->digit[0].extent) % l->block == 0;
  bool placed = false;        /* some node must know where its element lies */
  for (uint32_t i = 0; i < l->graph->order.n; i++)
    placed |= points_in_group(l, l->graph->order.at[i], anchor) &&
              ((l->graph->order.at[i]->op->flags & OP_RANDOM) || lower_starts_batch(l->graph->order.at[i]));
  if (!placed && whole_blocks && !has_padding(l, anchor, layout) && all_operands(l, anchor, is_flat_operand, layout)) {
    flat_kernel(l, anchor, layout);
    return;
  }
  if (lower_quads(l, anchor, layout))
    return;
  Layout cut;
  bool vector = points_lanes_fit(l, anchor, layout);
  if (!vector && cut_rows(l, layout, &cut) && points_lanes_fit(l, anchor, &cut)) {
    layout = &cut;
    vector = true;
  }
  if (!vector && layout->n > 1 && points_is_lane(l, layout, layout->n - 1) &&
      lower_transposed(l, anchor, layout))
    return;
  lower_kernel(l, anchor, "", vector ? "elementwise" : "gather",
               vector ? "lanes hold one block" : "element by element, from rows into the net's layout");
  Points p;
  points_begin(l, &p, t, layout, !vector);
  LExpr *inside = points_inside(l, &p, t, layout);
  if (inside)
    l_if(l->b, inside);
  if (p.lanes == 1 && reads_past_batch(l, anchor, layout))
    l->sample = l_let(l->b, "i", l_min(l->b, coord_index(l->b, &p.c, AXIS_BATCH), l_addi(l->b, l->n, -1)));
  points_finish(l, anchor, &p.c, p.lanes);
  l->sample = NULL;
  if (inside) {
    l_else(l->b);
    lower_finish_zero(l, anchor, &p.c);
    l_end(l->b);
  }
  points_end(l, &p);
  lower_kernel_end(l, p.items);
}
