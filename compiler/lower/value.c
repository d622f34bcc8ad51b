/* Operands and results of kernels: the prologue that loads or recomputes values at a point, and the
 * epilogue that runs fused elementwise nodes and stores what other kernels need. */
#include "base/str.h"
#include "loop/scalar.h"
#include "lower/lower.h"
#include "lower/source.h"
#include <string.h>

/* ---- the scalar hook's context ---- */
typedef struct {
  Scalar base;
  Lower *l;
  const Coord *c;
} Point;

static LExpr *point_arg(Scalar *s, StepArg a)
{
  Lower *l = ((Point *)s)->l;
  Buffer *args = lower_formal(l, l->args, false);
  return l_cast(l->b, l_load(l->b, args, l_int(l->b, a), 1), l->program->real);
}

static LExpr *point_arg_u32(Scalar *s, StepArg a)
{
  Lower *l = ((Point *)s)->l;
  Buffer *args = lower_formal(l, l->args, false);
  return l_cast(l->b, l_load(l->b, args, l_int(l->b, a), 1), DT_U32);
}

/* Row-major number of the element (of lane 0) in its sample; *step: from lane to lane, 0 where they
 * hold samples or there are none. */
static LExpr *element_number(const Point *p, const Type *t, int64_t *step)
{
  Build *b = p->l->b;
  LExpr *element = l_int(b, 0);
  int lane = coord_lane_axis(p->c);
  *step = 0;
  for (int a = 0; a < t->rank; a++) {
    element = l_add(b, l_muli(b, element, t->dim[a]), coord_index(b, p->c, a));
    *step *= t->dim[a];
    for (int i = 0; a == lane && p->base.lanes > 1 && i < p->c->n[a + 1]; i++)
      if (!p->c->part[a + 1][i].e)
        *step = p->c->part[a + 1][i].div;
  }
  return element;
}

/* u32: first / 4 for each lane, and *word := first % 4 as a real, where first grows by step. */
static LExpr *lane_blocks(const Point *p, LExpr *first, int64_t step, LExpr **word)
{
  Build *b = p->l->b;
  LExpr *four = l_int(b, 4), *lane = l_let(b, "lane", l_cast(b, l_iota(b, p->base.lanes), DT_U32));
  LExpr *fine = l_op(b, SC_mul, lane, l_u32(b, (uint32_t)(step % 4)), NULL);
  LExpr *coarse = l_op(b, SC_mul, lane, l_u32(b, (uint32_t)(step / 4)), NULL);
  fine = l_let(b, "fine", l_op(b, SC_add, fine, l_cast(b, l_mod(b, first, four), DT_U32), NULL));
  *word = l_let(b, "word", l_cast(b, l_op(b, SC_and, fine, l_u32(b, 3), NULL), p->l->program->real));
  coarse = l_op(b, SC_add, coarse, l_cast(b, l_div(b, first, four), DT_U32), NULL);
  return l_let(b, "block", l_op(b, SC_add, coarse, l_op(b, SC_shr, fine, l_u32(b, 2), NULL), NULL));
}

static RandomPlace point_random(Scalar *s, const Node *n)
{
  Point *p = (Point *)s;
  Lower *l = p->l;
  RandomPlace at = { NULL, NULL, NULL };
  int64_t step;
  if (l->drawn && l->drawn[n->id])
    return (RandomPlace){ NULL, l_int(l->b, l->drawn_word), l->drawn[n->id] };
  LExpr *element = element_number(p, &n->type[0], &step);
  if (step)
    at.block = lane_blocks(p, element, step, &at.word);
  else {
    at.word = l_mod(l->b, element, l_int(l->b, 4));
    at.block = l_cast(l->b, l_div(l->b, element, l_int(l->b, 4)), DT_U32);
  }
  if (l->drawn) {
    at.drawn = l->drawn[n->id] = ARENA_ARRAY(l->arena, LExpr *, 4);
    at.word = l_int(l->b, l->drawn_word);
  }
  return at;
}

static LExpr *point_sample_id(Scalar *s)
{
  Point *p = (Point *)s;
  Lower *l = p->l;
  Buffer *ids = lower_formal(l, l->ids, false);
  int lanes = coord_lane_axis(p->c) == AXIS_BATCH ? s->lanes : 1;
  return l_load(l->b, ids, coord_index(l->b, p->c, AXIS_BATCH), lanes);
}

LExpr *lower_scalar(Lower *l, const Node *n, LExpr **x, const Coord *c, int lanes)
{
  Point p = { .base = { .b = l->b, .lanes = lanes, .arg = point_arg, .arg_u32 = point_arg_u32, .random = point_random,
                        .sample_id = point_sample_id, .real = l->program->real },
              .l = l, .c = c };
  return n->op->scalar(&p.base, n, x);
}

/* ---- loading ---- */
const Layout *lower_layout(Lower *l, Value v) { return &l->d->layout[v.node->id][v.result]; }

bool lower_is_real(Value v) { return dtype_is_real(value_type(v)->dtype); }

bool lower_is_stored(const Lower *l, Value v)
{
  return l->buffer[v.node->id] && l->buffer[v.node->id][v.result];
}

static Buffer *buffer_of(Lower *l, Value v)
{
  int64_t state = source_attr(v.node, "state");
  if (state >= 0)
    return l->state[state];
  return l->buffer[v.node->id] ? l->buffer[v.node->id][v.result] : NULL;
}

static const Layout *layout_of(Lower *l, Value v)
{
  int64_t state = source_attr(v.node, "state");
  return state >= 0 ? &l->d->state[state] : lower_layout(l, v);
}

Coord broadcast_coord(const Coord *c, const Type *from, const Type *to)
{
  Coord r = *c;
  if (!from->batched)
    coord_drop(&r, AXIS_BATCH);
  if (from->rank < to->rank) {
    for (int a = from->rank == 1 && from->dim[0] == to->dim[0] ? 1 : 0; a < RANK_MAX; a++)
      coord_drop(&r, a);
  }
  for (int a = 0; a < from->rank && from->rank == to->rank; a++)
    if (from->dim[a] == 1 && to->dim[a] != 1)
      coord_drop(&r, a);
  return r;
}

/* Coordinates in the operand of a view: the parts keep their place in the row-major order. */
static Coord view_coord(Lower *l, const Coord *c, const Type *from, const Type *to)
{
  Coord r;
  coord_clear(&r);
  for (int i = 0; i < c->n[0]; i++)
    coord_add(&r, AXIS_BATCH, c->part[0][i].e, c->part[0][i].div, c->part[0][i].extent);
  LExpr *flat = l_int(l->b, 0);
  int64_t tail = 1;
  for (int a = to->rank - 1; a >= 0; a--) {
    flat = l_add(l->b, l_muli(l->b, coord_index(l->b, c, a), tail), flat);
    tail *= to->dim[a];
  }
  tail = 1;
  for (int a = from->rank - 1; a >= 0; a--) {
    LExpr *e = tail > 1 ? l_div(l->b, flat, l_int(l->b, tail)) : flat;
    tail *= from->dim[a];
    if (a > 0 && tail < type_elems(from))
      e = l_mod(l->b, e, l_int(l->b, from->dim[a]));
    coord_set(&r, a, e, from->dim[a]);
  }
  return r;
}

/* Rows of field n lie row-major: lanes along the last axis that stay inside it are neighbours.
 * Numbers wider than the net's own fit no vector of it and are read one by one. */
static Access rows_access(const Lower *l, const Node *n, const Type *t, const Coord *c)
{
  int axis = coord_lane_axis(c);
  int64_t last = 0;
  if (axis == RANK_MAX)
    return ACCESS_SAME;
  if (dtype_bytes(n->type[0].dtype) > dtype_bytes(l->program->real))
    return ACCESS_STRIDED;
  for (int i = 0; axis >= 0 && i < c->n[axis + 1]; i++)
    last += c->part[axis + 1][i].div * (c->part[axis + 1][i].extent - 1);
  return axis >= 0 && axis == t->rank - 1 && last < t->dim[axis] ? ACCESS_VECTOR : ACCESS_STRIDED;
}

/* The field behind a value that shows rows as they are or under another shape; NULL: none. */
static const Node *field_behind(const Node *n)
{
  while (n->op->cls == OP_VIEW)
    n = n->in[0].node;
  return source_attr(n, "field") >= 0 ? n : NULL;
}

/* Sample by row number, element row-major; t: the shape that c speaks of. */
static LExpr *load_rows(Lower *l, const Node *n, const Type *t, const Coord *c, int lanes)
{
  Build *b = l->b;
  Buffer *rows = lower_formal(l, l->rows[source_attr(n, "field")], false);
  Buffer *ids = lower_formal(l, l->ids, false);
  LExpr *id = l_cast(b, l_load(b, ids, coord_index(b, c, AXIS_BATCH), 1), DT_I64);
  LExpr *index = l_muli(b, id, type_elems(t));
  int64_t tail = type_elems(t);
  for (int a = 0; a < t->rank; a++) {
    tail /= t->dim[a];
    index = l_add(b, index, l_muli(b, coord_index(b, c, a), tail));
  }
  return l_load(b, rows, index, rows_access(l, n, t, c) == ACCESS_VECTOR ? lanes : 1);
}

/* The index of v's element at c. Lanes past the batch have no place where samples are rows of their own: there
 * the last sample is read again, as it is from padded row numbers. */
static LExpr *operand_index(Lower *l, Value v, const Coord *c, Access *how)
{
  const Layout *layout = layout_of(l, v);
  Coord inside = *c;
  if (l->sample && value_type(v)->batched && layout->n > 0 && layout->digit[0].axis == AXIS_BATCH &&
      layout->digit[0].div == 1)
    coord_set(&inside, AXIS_BATCH, l->sample, l->program->batch);
  return layout_index(l->b, layout, &inside, how);
}

static bool is_inline(Lower *l, const Node *n)
{
  return l->d->place[n->id] == PLACE_INLINE && source_attr(n, "state") < 0;
}

LExpr *lower_load(Lower *l, Value v, const Coord *c, int lanes)
{
  Build *b = l->b;
  if (!is_inline(l, v.node)) {
    Buffer *actual = buffer_of(l, v);
    if (!actual)
      ice("value of '%s' (node %u) is read but was never stored", v.node->op->name, v.node->id);
    Buffer *buf = lower_formal(l, actual, false);
    if (l->flat && type_elems(value_type(v)) * (value_type(v)->batched ? 2 : 1) > 1)
      return l_load(b, buf, l->flat, lanes);
    Access how;
    LExpr *index = operand_index(l, v, c, &how);
    if (how == ACCESS_STRIDED)
      ice("strided vector load of '%s' (node %u)", v.node->op->name, v.node->id);
    return l_load(b, buf, index, how == ACCESS_VECTOR ? lanes : 1);
  }
  const Node *n = v.node;
  if (field_behind(n))
    return load_rows(l, field_behind(n), &n->type[0], c, lanes);
  if (source_attr(n, "which") >= 0) {
    Point p = { .base = { .b = b, .lanes = 1, .real = l->program->real }, .l = l, .c = c };
    return point_arg(&p.base, (StepArg)source_attr(n, "which"));
  }
  if (n->op->cls == OP_VIEW) {
    Coord inner = view_coord(l, c, value_type(n->in[0]), &n->type[0]);
    return lower_load(l, n->in[0], &inner, lanes);
  }
  if (n->op->cls == OP_SOURCE)
    return source_constant(l, n, c);
  if (n->op->elsewhere) {
    Coord inner = *c;
    n->op->elsewhere(l, n, &inner);
    return lower_load(l, n->in[0], &inner, lanes);
  }
  LExpr *x[8] = { NULL };
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node) {
      Coord inner = broadcast_coord(c, value_type(n->in[i]), &n->type[v.result]);
      x[i] = lower_load(l, n->in[i], &inner, lanes);
    }
  return lower_scalar(l, n, x, c, lanes);
}

LExpr *lower_load_scalar(Lower *l, Value v, const Coord *c)
{
  Access how;
  if (is_inline(l, v.node))
    return lower_load(l, v, c, 1);
  LExpr *index = operand_index(l, v, c, &how);
  return l_load(l->b, lower_formal(l, buffer_of(l, v), false), index, 1);
}

/* What lanes past the end of their axis find in a buffer. */
typedef enum { PAST_ZERO, PAST_ANYTHING, PAST_OTHERS /* elements that follow in the buffer, or none */ } Past;

static Past past_end(Lower *l, Value v, const Coord *c)
{
  const Layout *layout = layout_of(l, v);
  int axis = coord_lane_axis(c);
  int64_t room = 1;
  if (axis < 0 || axis == RANK_MAX || value_type(v)->dim[axis] % l->block == 0)
    return PAST_ZERO;
  for (int i = 0; i < layout->n; i++)
    room *= layout->digit[i].axis == axis ? layout->digit[i].extent : 1;
  if (room >= align_up(value_type(v)->dim[axis], l->block))
    return PAST_ZERO;
  if (layout_extent(layout) != room)
    return PAST_OTHERS;
  return source_attr(v.node, "state") >= 0 ? PAST_ZERO : PAST_ANYTHING; /* buffers end with a whole block */
}

Access lower_access(Lower *l, Value v, const Coord *c)
{
  Access how;
  if (!is_inline(l, v.node)) {
    layout_index(l->b, layout_of(l, v), c, &how);
    return how == ACCESS_VECTOR && past_end(l, v, c) == PAST_OTHERS ? ACCESS_STRIDED : how;
  }
  const Node *n = v.node;
  if (field_behind(n))
    return rows_access(l, field_behind(n), &n->type[0], c);
  if (n->op->cls == OP_SOURCE)
    return type_elems(&n->type[0]) == 1 || coord_lane_axis(c) >= RANK_MAX ? ACCESS_SAME : ACCESS_STRIDED;
  if (n->op->cls == OP_VIEW)
    return coord_lane_axis(c) == RANK_MAX ? ACCESS_SAME : ACCESS_STRIDED;
  if (n->op->elsewhere) {
    Coord inner = *c;
    n->op->elsewhere(l, n, &inner);
    return lower_access(l, n->in[0], &inner);
  }
  Access worst = ACCESS_SAME;
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node) {
      Coord inner = broadcast_coord(c, value_type(n->in[i]), &n->type[v.result]);
      Access a = lower_access(l, n->in[i], &inner);
      worst = a > worst ? a : worst;
    }
  return worst;
}

/* ---- finishing ---- */
void lower_store(Lower *l, Value v, const Coord *c, LExpr *value)
{
  Buffer *buf = lower_formal(l, l->buffer[v.node->id][v.result], true);
  LExpr *index = l->flat;
  Access how = ACCESS_VECTOR;
  if (!index)
    index = layout_index(l->b, lower_layout(l, v), c, &how);
  if (how == ACCESS_VECTOR)     /* a value that is the same in every lane */
    value = l_splat(l->b, value, l->block);
  if (value->dtype != (int)buf->dtype)
    value = l_cast(l->b, value, buf->dtype);
  l_store(l->b, buf, index, value);
}

/* True when padding stays zero by itself: a zero in every operand that has the lanes' axis gives a zero, whatever
 * those operands hold that are the same in all lanes. Tried out with numbers of both signs. */
static bool keeps_zero(Lower *l, const Node *n, const Coord *c)
{
  static const double trial[] = { 0.375, -1.25 };
  double x[8] = { 0 };
  uint32_t same[8];
  int nsame = 0;
  if (!n->op->ref_scalar)
    return true;
  for (uint32_t i = 0; i < n->nin; i++) {
    const Node *m = n->in[i].node;
    if (!m || l->have[m->id])   /* made in this kernel: its padding is zero */
      continue;
    Coord inner = broadcast_coord(c, value_type(n->in[i]), &n->type[0]);
    if (lower_access(l, n->in[i], &inner) == ACCESS_SAME)
      same[nsame++] = i;
    else if (!is_inline(l, m) && past_end(l, n->in[i], &inner) != PAST_ZERO)
      return false;
  }
  for (int t = 0; t < 1 << nsame; t++) {
    for (int i = 0; i < nsame; i++)
      x[same[i]] = trial[t >> i & 1];
    if (n->op->ref_scalar(n, x) != 0)
      return false;
  }
  return true;
}

/* Zeroes the lanes of the last block that lie past the axis; integers count nothing there. */
static LExpr *mask_padding(Lower *l, const Node *n, const Coord *c, int lanes, LExpr *value)
{
  Build *b = l->b;
  LExpr *inside;
  if (!dtype_is_real((DType)value->dtype))
    return value;
  if (l->flat && l->flat_limit) {
    LExpr *left = l_sub(b, l_int(b, l->flat_limit), l->flat);
    inside = l_op(b, SC_lt, l_iota(b, lanes), l_cast(b, left, l->program->real), NULL);
  } else {
    int axis = coord_lane_axis(c);
    if (lanes == 1 || axis < 0 || axis == RANK_MAX || n->type[0].dim[axis] % lanes == 0 || keeps_zero(l, n, c))
      return value;
    LExpr *left = l_sub(b, l_int(b, n->type[0].dim[axis]), coord_index(b, c, axis));
    inside = l_op(b, SC_lt, l_iota(b, lanes), l_cast(b, left, l->program->real), NULL);
  }
  return l_op(b, SC_select, inside, l_splat(b, value, lanes), l_real(b, 0));
}

bool lower_starts_batch(const Node *n)
{
  if (n->op->flags & OP_MASKED)
    return true;
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node && value_type(n->in[i])->batched)
      return false;
  return n->op->cls != OP_SOURCE && n->type[0].batched;
}

/* Lanes past the batch are zero where a batch begins, so that gradients there stay zero by linearity. */
static LExpr *mask_batch(Lower *l, const Node *n, const Coord *c, int lanes, LExpr *value)
{
  LExpr *mask = lower_starts_batch(n) ? lower_batch_mask(l, c, lanes) : NULL;
  return mask ? l_op(l->b, SC_select, mask, l_splat(l->b, value, lanes), l_real(l->b, 0)) : value;
}

static int uses_in_group(Lower *l, const Node *n)
{
  int uses = 0;
  for (uint32_t i = 0; i < l->graph->order.n; i++) {
    const Node *m = l->graph->order.at[i];
    if (l->d->anchor[m->id] != l->anchor->id)
      continue;
    for (uint32_t k = 0; k < m->nin; k++)
      uses += m->in[k].node == n;
  }
  return uses;
}

static const char *local_name(Lower *l, const Node *n)
{
  const char *dot = n->name ? strrchr(n->name, '.') : NULL;
  (void)l;
  return dot ? dot + 1 : n->op->name;
}

static void finish_node(Lower *l, const Node *m, const Coord *c, int lanes)
{
  LExpr *x[8] = { NULL };
  for (uint32_t k = 0; k < m->nin; k++) {
    Value v = m->in[k];
    if (!v.node)
      continue;
    LExpr **have = l->have[v.node->id];
    if (have && have[v.result]) {
      x[k] = have[v.result];
      continue;
    }
    Coord inner = broadcast_coord(c, value_type(v), &m->type[0]);
    x[k] = lower_load(l, v, &inner, lanes);
  }
  LExpr *e = mask_batch(l, m, c, lanes, mask_padding(l, m, c, lanes, lower_scalar(l, m, x, c, lanes)));
  bool stored = l->buffer[m->id] && l->buffer[m->id][0];
  if (e->kind != LE_VAR && uses_in_group(l, m) + (stored ? 1 : 0) > 1)
    e = l_let(l->b, local_name(l, m), e);
  l->have[m->id] = ARENA_ARRAY(l->arena, LExpr *, m->nout);
  l->have[m->id][0] = e;
  if (stored)
    lower_store(l, (Value){ (Node *)(uintptr_t)m, 0 }, c, e);
}

/* Is m computed at the points of n, in the same kernel? */
static bool follows(const Lower *l, const Node *m, const Node *n)
{
  return m != n && l->d->place[m->id] == PLACE_EPILOGUE && l->d->head[m->id] == n->id;
}

const Node *lower_window(const Lower *l, const Node *n)
{
  for (uint32_t i = 0; i < l->graph->order.n; i++) {
    const Node *m = l->graph->order.at[i];
    if (l->d->place[m->id] == PLACE_WINDOW && l->d->anchor[m->id] == n->id)
      return m;
  }
  return NULL;
}

LExpr *lower_finish(Lower *l, const Node *n, const Coord *c, LExpr *const *result, int lanes)
{
  bool fused = false;
  for (uint32_t i = 0; i < l->graph->order.n; i++) {
    const Node *m = l->graph->order.at[i];
    fused |= follows(l, m, n);
  }
  l->have[n->id] = ARENA_ARRAY(l->arena, LExpr *, n->nout);
  for (uint32_t r = 0; r < n->nout; r++) {
    LExpr *e = result[r];
    if (e && n->op->cls == OP_EWISE)
      e = mask_batch(l, n, c, lanes, mask_padding(l, n, c, lanes, e));
    bool stored = l->buffer[n->id] && l->buffer[n->id][r];
    if (e && fused && r == 0 && e->kind != LE_VAR && e->kind != LE_LOAD && uses_in_group(l, n) + stored > 1)
      e = l_let(l->b, local_name(l, n), e);
    l->have[n->id][r] = e;
    if (e && stored)
      lower_store(l, (Value){ (Node *)(uintptr_t)n, r }, c, e);
  }
  for (uint32_t i = 0; i < l->graph->order.n && fused; i++) {
    const Node *m = l->graph->order.at[i];
    if (follows(l, m, n))
      finish_node(l, m, c, lanes);
  }
  const Node *window = lower_window(l, n);
  LExpr *kept = window ? l->have[window->in[0].node->id][0] : NULL;
  for (uint32_t i = 0; i < l->graph->next_id; i++)
    l->have[i] = NULL;
  return kept;
}

bool lower_has_rows(const Lower *l, const Node *n)
{
  for (uint32_t i = 0; i < l->graph->order.n; i++) {
    const Node *m = l->graph->order.at[i];
    if (l->d->place[m->id] == PLACE_ROWS && l->d->anchor[m->id] == n->id)
      return true;
  }
  return false;
}

void lower_rows(Lower *l, const Node *n, const Coord *c)
{
  for (uint32_t i = 0; i < l->graph->order.n; i++) {
    const Node *m = l->graph->order.at[i];
    if (l->d->place[m->id] == PLACE_ROWS && l->d->anchor[m->id] == n->id)
      m->op->row(l, m, c);
  }
}

void lower_finish_zero(Lower *l, const Node *n, const Coord *c)
{
  for (uint32_t i = 0; i < l->graph->order.n; i++) {
    Node *m = l->graph->order.at[i];
    if (l->d->anchor[m->id] != n->id || !l->buffer[m->id])
      continue;
    for (uint32_t r = 0; r < m->nout; r++)
      if (l->buffer[m->id][r])
        lower_store(l, (Value){ m, r }, c, l_cast(l->b, l_real(l->b, 0), l->buffer[m->id][r]->dtype));
  }
}
