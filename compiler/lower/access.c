/* Coordinates and layouts: where the element at a logical place lies in a buffer.
 *
 * A coordinate gives each axis as a mixed-radix sum of parts; a layout asks for digits of each axis. When
 * parts and digits agree the index is a plain sum of products; when they straddle, the digit is taken from
 * the whole index by division. */
#include "lower/lower.h"

void coord_clear(Coord *c)
{
  for (int i = 0; i <= RANK_MAX; i++)
    c->n[i] = 0;
}

void coord_drop(Coord *c, int axis) { c->n[axis + 1] = 0; }

void coord_add(Coord *c, int axis, LExpr *e, int64_t div, int64_t extent)
{
  int a = axis + 1;
  if (c->n[a] == PARTS_MAX)
    ice("coordinate of axis %d has too many parts", axis);
  c->part[a][c->n[a]++] = (Part){ e, div, extent };
}

void coord_set(Coord *c, int axis, LExpr *e, int64_t extent)
{
  coord_drop(c, axis);
  coord_add(c, axis, e, 1, extent);
}

LExpr *coord_index(Build *b, const Coord *c, int axis)
{
  LExpr *sum = l_int(b, 0);
  for (int i = 0; i < c->n[axis + 1]; i++) {
    const Part *p = &c->part[axis + 1][i];
    if (p->e)
      sum = l_add(b, sum, l_muli(b, p->e, p->div));
  }
  return sum;
}

int coord_lane_axis(const Coord *c)
{
  for (int a = 0; a <= RANK_MAX; a++)
    for (int i = 0; i < c->n[a]; i++)
      if (!c->part[a][i].e)
        return a - 1;
  return RANK_MAX;
}

static int64_t axis_range(const Coord *c, int axis)
{
  int64_t range = 1;
  for (int i = 0; i < c->n[axis + 1]; i++)
    range = max_i64(range, c->part[axis + 1][i].div * c->part[axis + 1][i].extent);
  return range;
}

/* Do parts carry into one another, as when lanes start anywhere? */
static bool parts_overlap(const Coord *c, int axis)
{
  int n = c->n[axis + 1];
  const Part *p = c->part[axis + 1];
  for (int i = 0; i < n; i++)
    for (int k = 0; k < n; k++)
      if (i != k && p[i].extent > 1 && p[k].extent > 1 && p[i].div <= p[k].div &&
          p[i].div * p[i].extent > p[k].div)
        return true;
  return false;
}

/* One digit of the layout at c; outermost: its index may run into the padding behind the buffer's last
 * element. *lane receives by how much the digit grows from lane to lane; -1 when the
 * lanes do not advance evenly. */
static LExpr *digit_at(Build *b, const Digit *d, bool outermost, const Coord *c, int64_t *lane)
{
  *lane = 0;
  LExpr *sum = l_int(b, 0);
  int64_t top = outermost ? INT64_MAX : d->div * d->extent;
  bool straddles = (d->div > 1 || !outermost) && parts_overlap(c, d->axis);
  for (int i = 0; i < c->n[d->axis + 1]; i++) {
    const Part *p = &c->part[d->axis + 1][i];
    if (p->extent == 1 || p->div * p->extent <= d->div || (p->div >= top && p->div % top == 0))
      continue;
    if (p->div < d->div || p->div % d->div != 0 || p->div * p->extent > top) {
      straddles = true;
      if (!p->e)
        *lane = -1;
      continue;
    }
    if (p->e)
      sum = l_add(b, sum, l_muli(b, p->e, p->div / d->div));
    else
      *lane = p->div / d->div;
  }
  if (!straddles)
    return sum;
  if (coord_lane_axis(c) == d->axis)    /* the lanes may carry into the next digit */
    *lane = -1;
  LExpr *whole = coord_index(b, c, d->axis);
  if (d->div > 1)
    whole = l_div(b, whole, l_int(b, d->div));
  return axis_range(c, d->axis) <= top ? whole : l_mod(b, whole, l_int(b, d->extent));
}

/* Joins neighbouring digits that together are one run of an axis, so that plain indices stay plain. */
static int merge_digits(const Layout *l, Digit *d, int64_t *stride)
{
  int n = 0;
  int64_t s = 1;
  for (int i = l->n - 1; i >= 0; i--) {
    const Digit *x = &l->digit[i];
    Digit *last = n ? &d[n - 1] : NULL;
    if (last && last->axis == x->axis && x->div == last->div * last->extent)
      last->extent *= x->extent;
    else {
      d[n] = *x;
      stride[n++] = s;
    }
    s *= x->extent;
  }
  return n;
}

LExpr *layout_index(Build *b, const Layout *l, const Coord *c, Access *how)
{
  Digit d[DIGITS_MAX];
  int64_t stride[DIGITS_MAX];
  int n = merge_digits(l, d, stride);
  LExpr *index = l_int(b, 0);
  int64_t lane_stride = 0;
  bool uneven = false;
  for (int i = n - 1; i >= 0; i--) {
    bool lanes_here = i == n - 1 && d[i].axis >= 0 && coord_lane_axis(c) == d[i].axis;
    if (d[i].extent == 1 && !lanes_here)        /* lanes: the first of them, then the padding behind the buffer */
      continue;
    int64_t lane = 0;
    LExpr *e = digit_at(b, &d[i], i == n - 1, c, &lane);
    index = l_add(b, index, l_muli(b, e, stride[i]));
    if (lane < 0)
      uneven = true;
    else
      lane_stride += lane * stride[i];
  }
  *how = uneven ? ACCESS_STRIDED : lane_stride == 0 ? ACCESS_SAME
         : lane_stride == 1 ? ACCESS_VECTOR : ACCESS_STRIDED;
  return index;
}

/* ---- families and views ---- */

Layout blocked_layout(const Type *t, int block, int64_t batch)
{
  Layout l = { 0 };
  if (t->batched)
    l.digit[l.n++] = (Digit){ AXIS_BATCH, 1, batch };
  l.digit[l.n++] = (Digit){ 0, block, ceil_div(t->dim[0], block) };
  for (int i = 1; i < t->rank; i++)
    l.digit[l.n++] = (Digit){ i, 1, t->dim[i] };
  l.digit[l.n++] = (Digit){ 0, 1, block };
  return l;
}

Layout family_layout(Family f, const Type *t, int block, int64_t batch)
{
  Layout l = { 0 };
  if (!t->batched)
    return layout_row_major(t);
  if (f == FAMILY_LANES) {
    l.digit[l.n++] = (Digit){ AXIS_BATCH, block, ceil_div(batch, block) };
    for (int i = 0; i < t->rank; i++)
      l.digit[l.n++] = (Digit){ i, 1, t->dim[i] };
    l.digit[l.n++] = (Digit){ AXIS_BATCH, 1, block };
    return l;
  }
  if (t->rank > 0 && t->dim[0] >= block)
    return blocked_layout(t, block, batch);
  l.digit[l.n++] = (Digit){ AXIS_BATCH, 1, batch };
  for (int i = 0; i < t->rank; i++)
    l.digit[l.n++] = (Digit){ i, 1, t->dim[i] };
  return l;
}

/* Splits a digit of the flat row-major index, stride s and extent e, along the axes of t; outermost first. */
static bool split_flat(int64_t s, int64_t e, const Type *t, Layout *to)
{
  Digit piece[RANK_MAX];
  int n = 0;
  int64_t tail = 1;
  for (int a = t->rank - 1; a >= 0 && e > 1; a--) {
    int64_t top = tail * t->dim[a];
    if (s < top && t->dim[a] > 1) {
      if (s % tail != 0)
        return false;
      int64_t room = a == 0 ? e : top / s;
      int64_t take = min_i64(e, room);
      if (e % take != 0 || (take < e && top % s != 0))
        return false;
      piece[n++] = (Digit){ a, s / tail, take };
      s *= take;
      e /= take;
    }
    tail = top;
  }
  if (e > 1 || to->n + n > DIGITS_MAX)
    return false;
  while (n > 0)
    to->digit[to->n++] = piece[--n];
  return true;
}

/* By how much the row-major number of an element grows with the digit. */
static int64_t flat_stride(const Digit *d, const Type *t)
{
  int64_t stride = d->div;
  for (int a = d->axis + 1; a < t->rank; a++)
    stride *= t->dim[a];
  return stride;
}

bool view_layout(const Layout *from, const Type *from_type, const Type *to_type, Layout *to)
{
  Layout l = { 0 };
  for (int i = 0; i < from->n; i++) {
    const Digit *d = &from->digit[i];
    if (d->axis == AXIS_BATCH) {
      l.digit[l.n++] = *d;
      continue;
    }
    int64_t stride = flat_stride(d, from_type), extent = d->extent;
    for (; i + 1 < from->n && d[1].axis != AXIS_BATCH; i++, d++) {     /* digits that count on are one */
      if (flat_stride(&d[1], from_type) * d[1].extent != stride)
        break;
      stride = flat_stride(&d[1], from_type);
      extent *= d[1].extent;
    }
    if (extent > 1 && !split_flat(stride, extent, to_type, &l))
      return false;
    if (l.n == DIGITS_MAX && i + 1 < from->n)
      return false;
  }
  *to = l;
  return true;
}

void plans_offer(Plans *ps, const Plan *p)
{
  if (p->family != ps->family || ps->found)
    return;
  ps->plan = *p;
  ps->found = true;
}
