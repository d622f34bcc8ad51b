/* Elementwise kernels whose result has its lanes along one axis while an operand has them along
 * another: from rows of samples into lanes of samples, and back; from planes of an image into
 * blocks of channels, and back. A square of block x block elements is loaded a vector at a time,
 * turned in registers and finished a vector at a time.
 *
 *   r[i] = operand at (sample 16 g + i, x .. x+15)      16 loads
 *   four times: r'[2i] = ziplo(r[i], r[i + 8]), r'[2i+1] = ziphi(r[i], r[i + 8])
 *   r[j] = operand at (samples 16 g .. 16 g + 15, x + j)
 *
 * Zipping halves moves the top bit of the row number to the end of the lane number and the other
 * way round; after log2(block) rounds rows and lanes have changed places. */
#include "base/str.h"
#include "lower/lower.h"
#include "lower/points.h"

typedef struct {
  Lower *l;
  const Node *anchor;
  const Layout *layout;
  int to, from;                 /* axes of the lanes: of the result, of the operands to be turned */
  Coord outer;                  /* where the square lies, without its two axes */
  LExpr *group;                 /* of samples */
  LExpr *to_block, *from_block; /* block on an axis of features */
  LExpr *first;                 /* from_block NULL: the square's first index on `from` */
} Square;

/* Adds the place of line i on an axis of the square, or of all its lines in the lanes. */
static void place(const Square *s, Coord *c, int axis, int i, bool lane)
{
  Build *b = s->l->b;
  int block = s->l->block;
  coord_drop(c, axis);
  if (axis == AXIS_BATCH) {
    coord_add(c, axis, s->group, block, ceil_div(s->l->program->batch, block));
    coord_add(c, axis, lane ? NULL : l_int(b, i), 1, block);
    return;
  }
  int64_t dim = s->anchor->type[0].dim[axis];
  LExpr *at = axis == s->to ? s->to_block : s->from_block;
  if (axis == s->from && !at) {         /* squares overlap at the end of the axis */
    coord_add(c, axis, lane ? s->first : l_addi(b, s->first, i), 1, lane ? dim - block + 1 : dim);
    if (lane)
      coord_add(c, axis, NULL, 1, block);
  } else if (lane || dim % block == 0) {
    coord_add(c, axis, at, block, ceil_div(dim, block));
    coord_add(c, axis, lane ? NULL : l_int(b, i), 1, block);
  } else                                /* padding is made zero when the vector is finished */
    coord_add(c, axis, l_min(b, l_addi(b, l_muli(b, at, block), i), l_int(b, dim - 1)), 1, dim);
}

/* Line i of the square: where an operand is loaded, lanes along `from`, or a result finished. */
static Coord line_coord(const Square *s, int i, bool operand)
{
  Coord c = s->outer;
  place(s, &c, s->to, i, !operand);
  place(s, &c, s->from, i, operand);
  return c;
}

static bool must_turn(Square *s, Value v)
{
  Coord at = line_coord(s, 0, false);
  Coord c = broadcast_coord(&at, value_type(v), &s->anchor->type[0]);
  return lower_access(s->l, v, &c) == ACCESS_STRIDED;
}

static bool can_turn(Square *s, Value v)
{
  Coord at = line_coord(s, 0, true);
  Coord c = broadcast_coord(&at, value_type(v), &s->anchor->type[0]);
  DType t = value_type(v)->dtype;
  int64_t width = s->to >= 0 ? s->anchor->type[0].dim[s->to] : 0;
  if (width % s->l->block && s->l->d->place[v.node->id] == PLACE_INLINE)
    return false;       /* rows of the input have no zeros behind the axis */
  return (t == s->l->program->real || t == DT_U8) && lower_access(s->l, v, &c) == ACCESS_VECTOR;
}

LExpr **lower_turn(Lower *l, LExpr **row)
{
  Build *b = l->b;
  int n = l->block;
  LExpr **next = ARENA_ARRAY(l->arena, LExpr *, n);
  for (int round = 1; round < n; round *= 2) {
    for (int i = 0; i < n / 2; i++) {
      next[2 * i] = l_let(b, "z", l_op(b, SC_ziplo, row[i], row[i + n / 2], NULL));
      next[2 * i + 1] = l_let(b, "z", l_op(b, SC_ziphi, row[i], row[i + n / 2], NULL));
    }
    LExpr **done = row;
    row = next;
    next = done;
  }
  return row;
}

/* The operand's block vectors with their lanes along the result's. */
static LExpr **turn(Square *s, Value v)
{
  Lower *l = s->l;
  Build *b = l->b;
  int n = l->block;
  LExpr **row = ARENA_ARRAY(l->arena, LExpr *, n);
  for (int i = 0; i < n; i++) {
    Coord at = line_coord(s, i, true);
    Coord c = broadcast_coord(&at, value_type(v), &s->anchor->type[0]);
    if (s->to == AXIS_BATCH)    /* past the batch there are no samples one by one */
      l->sample = l_min(b, coord_index(b, &at, AXIS_BATCH), l_addi(b, l->n, -1));
    row[i] = l_let(b, "row", l_cast(b, lower_load(l, v, &c, n), l->program->real));
    l->sample = NULL;
  }
  row = lower_turn(l, row);
  for (int i = 0; i < n && value_type(v)->dtype != l->program->real; i++)
    row[i] = l_cast(b, row[i], value_type(v)->dtype);
  return row;
}

static void finish_square(Square *s)
{
  Lower *l = s->l;
  Build *b = l->b;
  const Node *n = s->anchor;
  LExpr **turned[8] = { NULL };
  for (uint32_t k = 0; k < n->nin; k++)
    if (n->in[k].node && must_turn(s, n->in[k]))
      turned[k] = turn(s, n->in[k]);
  int64_t batch = l->program->batch;
  bool samples = s->from == AXIS_BATCH, partial = samples && batch % l->block;
  for (int j = 0; j < (samples ? min_i64(l->block, batch) : l->block); j++) {
    Coord c = line_coord(s, j, false);
    LExpr *x[8] = { NULL };
    if (partial)
      l_if(b, l_op(b, SC_lt, coord_index(b, &c, AXIS_BATCH), l->n, NULL));
    for (uint32_t k = 0; k < n->nin; k++)
      if (n->in[k].node) {
        Coord inner = broadcast_coord(&c, value_type(n->in[k]), &n->type[0]);
        x[k] = turned[k] ? turned[k][j] : lower_load(l, n->in[k], &inner, l->block);
      }
    LExpr *e = lower_scalar(l, n, x, &c, l->block);
    lower_finish(l, n, &c, &e, l->block);
    if (partial)
      l_end(b);
  }
}

/* Can squares fill the layout along `to` and `from`? */
static bool axes_fit(const Square *s)
{
  const Type *t = &s->anchor->type[0];
  const Layout *lay = s->layout;
  int at = 0;
  for (int i = 0; i < lay->n - 1; i++)
    if (lay->digit[i].axis == s->from) {
      if (lay->digit[i].div != 1)
        return false;
      at++;
    }
  if (at != 1 || s->from == s->to)
    return false;
  if (s->to == AXIS_BATCH || s->from == AXIS_BATCH)
    return t->batched && lay->digit[0].axis == AXIS_BATCH &&
           (s->from == AXIS_BATCH || t->dim[s->from] >= s->l->block);
  if (t->batched)
    return lay->digit[0].axis == AXIS_BATCH && lay->digit[0].div == 1 &&
           t->dim[s->from] >= s->l->block;
  return t->dim[s->from] % s->l->block == 0;
}

/* True when the square can be filled: operands that are not in the result's order can be turned. */
static bool operands_fit(Square *s)
{
  Lower *l = s->l;
  bool any = false;
  for (uint32_t i = 0; i < l->graph->order.n; i++) {
    const Node *m = l->graph->order.at[i];
    if (!points_in_group(l, m, s->anchor))
      continue;
    for (uint32_t k = 0; k < m->nin; k++) {
      if (!m->in[k].node || points_in_group(l, m->in[k].node, s->anchor) ||
          !must_turn(s, m->in[k]))
        continue;
      if (m != s->anchor || !can_turn(s, m->in[k]))
        return false;
      any = true;
    }
  }
  return any;
}

/* Do the squares lie within a sample? */
static bool by_sample(const Square *s)
{
  return s->anchor->type[0].batched && s->to != AXIS_BATCH && s->from != AXIS_BATCH;
}

/* Work items: groups of samples, or samples, times every digit of the layout but those of the
 * square; opens their loop and, where features lie across, one along their axis. */
static LExpr *items_begin(Square *s)
{
  Build *b = s->l->b;
  const Layout *lay = s->layout;
  const Kernel *k = s->l->kernel;
  bool batched = s->anchor->type[0].batched;
  int64_t block = s->l->block, all = 1;
  LExpr *rest = l_var(b, l_loop(b, "item", l_var(b, k->lo), l_var(b, k->hi), 1, FOR_PLAIN));
  coord_clear(&s->outer);
  for (int i = lay->n - 2; i >= 0; i--) {
    const Digit *d = &lay->digit[i];
    if (d->axis == s->from || d->axis == AXIS_BATCH)
      continue;
    LExpr *e = l_int(b, 0);
    if (d->extent > 1) {
      e = l_let(b, "at", l_mod(b, rest, l_int(b, d->extent)));
      rest = l_let(b, "rest", l_div(b, rest, l_int(b, d->extent)));
    }
    all *= d->extent;
    if (d->axis == s->to)
      s->to_block = e;
    else
      coord_add(&s->outer, d->axis, e, d->div, d->extent);
  }
  s->group = rest;
  if (by_sample(s))
    coord_add(&s->outer, AXIS_BATCH, rest, 1, s->l->program->batch);
  if (s->from != AXIS_BATCH) {
    int64_t dim = s->anchor->type[0].dim[s->from];
    bool whole = dim % block == 0;      /* else the last square lies over the one before */
    int64_t end = whole ? dim / block : dim, step = whole ? 1 : block;
    LExpr *x = l_var(b, l_loop(b, "x", l_int(b, 0), l_int(b, end), step, FOR_PLAIN));
    s->from_block = whole ? x : NULL;
    s->first = whole ? NULL : l_let(b, "x0", l_min(b, x, l_int(b, dim - block)));
  }
  if (batched)
    lower_by_samples(s->l, by_sample(s) ? 1 : block);
  LExpr *n = batched ? lower_host_n(s->l) : l_int(b, 1);
  return l_muli(b, batched && !by_sample(s) ? lower_groups(s->l, n) : n, all);
}

/* Coordinates for questions about access, before there are loops. */
static void probe(Square *s)
{
  Build *b = s->l->b;
  coord_clear(&s->outer);
  for (int i = 0; i < s->layout->n - 1; i++) {
    const Digit *d = &s->layout->digit[i];
    if (d->axis != s->from && d->axis != AXIS_BATCH && d->axis != s->to)
      coord_add(&s->outer, d->axis, l_int(b, 0), d->div, d->extent);
  }
  if (by_sample(s))
    coord_add(&s->outer, AXIS_BATCH, l_int(b, 0), 1, s->l->program->batch);
  bool whole = s->from != AXIS_BATCH && s->anchor->type[0].dim[s->from] % s->l->block == 0;
  s->group = s->first = s->to_block = l_int(b, 0);
  s->from_block = whole ? l_int(b, 0) : NULL;
}

bool lower_transposed(Lower *l, const Node *anchor, const Layout *layout)
{
  Square s = { .l = l, .anchor = anchor, .layout = layout,
               .to = layout->digit[layout->n - 1].axis };
  bool found = false;
  for (int from = AXIS_BATCH; from < anchor->type[0].rank && !found; from++) {
    s.from = from;
    if (axes_fit(&s)) {
      probe(&s);
      found = operands_fit(&s);
    }
  }
  if (!found)
    return false;
  const char *rows = s.to == AXIS_BATCH || s.from == AXIS_BATCH ? " samples" : "";
  lower_kernel(l, anchor, "", "transpose",
               arena_printf(l->arena, "squares of %d%s x %d features, turned in registers",
                            l->block, rows, l->block));
  LExpr *items = items_begin(&s);
  finish_square(&s);
  if (s.from != AXIS_BATCH)
    l_end(l->b);
  l_end(l->b);
  lower_kernel_end(l, items);
  return true;
}
