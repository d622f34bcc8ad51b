/* Sums of products that are layers in other words: index notation becomes dense or convolution,
 * whose templates know registers, caches and layouts.
 *
 *   y[o,i,j] = sum_{c,u,v} x[c, s*i+d*u-p, ..] * w[o,c,u,v]   conv, of 1 or 2 axes, with groups
 *   y[t,o]   = sum_k x[t,k] * w[o,k]                          dense, step by step
 *
 * x has the batch, w has none. Each index plays one role, by who reads it:
 *
 *   role     x    w    y
 *   GROUP    yes  yes  yes  alone in its axis of x
 *   CHANNEL  yes  yes  no   alone in its axis of x; what a dense layer sums over
 *   TAP      yes  yes  no   beside a place: where in the window, which may be turned round
 *   FILTER   no   yes  yes
 *   PLACE    yes  no   yes  in the image, or a step of a sequence
 *
 * Any number of axes may play a role that has no window; axes in another order are transposed, of
 * x as seldom as can be. The layers' sums run in an order of their own, so that the last bits
 * differ from those of the plain loops. */
#include "ops/border.h"
#include "ops/index_map.h"
#include "ops/window.h"
#include <stdlib.h>

typedef enum { GROUP, CHANNEL, TAP, FILTER, PLACE } Role;

enum { X, W, Y, TENSORS, IMAGE_AXES = 2, AXES_MAX = 4 /* that a layer's tensor can have */ };

/* The axes of a tensor in the order that the layer wants. */
typedef struct { int axis[RANK_MAX], n; } Order;

typedef struct {
  const Nest *nest;
  int operand[2];               /* which operand is X, which W */
  Value in[2];
  Role role[NEST_INDICES];
  int at[TENSORS][NEST_INDICES];        /* the axis of each tensor with the index; -1: none */
  int place[RANK_MAX], tap[RANK_MAX];   /* indices of an axis of x, tap -1: none; in x's order */
  int nplace;
  bool windows;                 /* some place has a tap, a step or a border */
} Layer;

/* ---- roles ---- */

static const NestRow *row_of(const Layer *f, int k, int axis)
{
  return &f->nest->row[f->nest->first[f->operand[k]] + axis];
}

static int rank_of(const Layer *f, int k) { return value_type(f->in[k])->rank; }

/* Is the row index t alone, over its whole range? */
static bool is_plain(const Layer *f, const NestRow *row, int t)
{
  return row->c[t] == 1 && row->offset == 0 && row->extent == f->nest->extent[t];
}

/* Which axis of each tensor has which index; no index twice, no quotients. */
static bool find_axes(Layer *f)
{
  const Nest *nest = f->nest;
  for (int t = 0; t < nest->nindex; t++) {
    f->at[X][t] = f->at[W][t] = -1;
    f->at[Y][t] = t < nest->rank ? t : -1;
  }
  for (int k = X; k <= W; k++)
    for (int a = 0; a < rank_of(f, k); a++)
      for (int t = 0; t < nest->nindex; t++) {
        if (!row_of(f, k, a)->c[t])
          continue;
        if (f->at[k][t] >= 0 || row_of(f, k, a)->divisor != 1)
          return false;
        f->at[k][t] = a;
      }
  return true;
}

/* How many indices share the axis of x with index t. */
static int beside(const Layer *f, int t)
{
  int n = 0;
  for (int i = 0; i < f->nest->nindex; i++)
    n += i != t && f->at[X][i] == f->at[X][t];
  return n;
}

static bool find_roles(Layer *f)
{
  for (int t = 0; t < f->nest->nindex; t++) {
    bool x = f->at[X][t] >= 0, w = f->at[W][t] >= 0, y = f->at[Y][t] >= 0;
    if (x + w + y < 2)
      return false;
    f->role[t] = !x ? FILTER : !w ? PLACE : y ? GROUP : beside(f, t) ? TAP : CHANNEL;
    if (w && !is_plain(f, row_of(f, W, f->at[W][t]), t))
      return false;
  }
  return true;
}

/* The lowest cell that the first window reads. */
static int64_t first_cell(const Layer *f, const NestRow *row, int tap)
{
  return row->offset + (tap < 0 ? 0 : min_i64(row->c[tap] * (f->nest->extent[tap] - 1), 0));
}

/* An axis of x is an index, or a place with or without a tap. */
static bool find_place(Layer *f, int axis)
{
  const NestRow *row = row_of(f, X, axis);
  int place = -1, tap = -1, plain = 0, n = 0;
  for (int t = 0; t < f->nest->nindex; t++) {
    if (f->at[X][t] != axis)
      continue;
    place = f->role[t] == PLACE ? t : place;
    tap = f->role[t] == TAP ? t : tap;
    plain += is_plain(f, row, t);
    n++;
  }
  if (place < 0)
    return n == 1 && plain == 1;
  if (n != 1 + (tap >= 0) || row->c[place] < 1 || first_cell(f, row, tap) > 0)
    return false;
  f->place[f->nplace] = place;
  f->tap[f->nplace++] = tap;
  f->windows = f->windows || tap >= 0 || !plain;
  return true;
}

static bool find_layer(const Node *n, const Nest *nest, Layer *f)
{
  if (nest->nfactor != 2 || nest->nrow != nest->first[2] || !n->type[0].batched)
    return false;
  int x = value_type(n->in[0])->batched ? 0 : 1;
  *f = (Layer){ .nest = nest, .operand = { x, 1 - x }, .in = { n->in[x], n->in[1 - x] } };
  if (value_type(f->in[W])->batched || rank_of(f, X) > AXES_MAX || rank_of(f, W) > AXES_MAX ||
      nest->rank > AXES_MAX || !find_axes(f) || !find_roles(f))
    return false;
  for (int a = 0; a < rank_of(f, X); a++)
    if (!find_place(f, a))
      return false;
  for (int a = 0; a < rank_of(f, W); a++) {
    int indices = 0;
    for (int t = 0; t < nest->nindex; t++)
      indices += f->at[W][t] == a;
    if (indices != 1)
      return false;
  }
  return true;
}

/* ---- axes ---- */

static int64_t count_of(const Layer *f, Role role)
{
  int64_t n = 1;
  for (int t = 0; t < f->nest->nindex; t++)
    n *= f->role[t] == role ? f->nest->extent[t] : 1;
  return n;
}

static int axes_of(const Layer *f, Role role)
{
  int n = 0;
  for (int t = 0; t < f->nest->nindex; t++)
    n += f->role[t] == role;
  return n;
}

/* Adds the axes of tensor `of` that play the role, in the order in which tensor `by` has them. */
static void add_axes(const Layer *f, Order *o, int of, Role role, int by)
{
  int last = -1;
  for (;;) {
    int next = -1;
    for (int t = 0; t < f->nest->nindex; t++)
      if (f->role[t] == role && f->at[by][t] > last &&
          (next < 0 || f->at[by][t] < f->at[by][next]))
        next = t;
    if (next < 0)
      return;
    last = f->at[by][next];
    o->axis[o->n++] = f->at[of][next];
  }
}

/* Taps of w in the order of the places that they stand beside. */
static void add_taps(const Layer *f, Order *o)
{
  for (int i = 0; i < f->nplace; i++)
    if (f->tap[i] >= 0)
      o->axis[o->n++] = f->at[W][f->tap[i]];
}

static bool is_straight(const Order *o)
{
  for (int i = 0; i < o->n; i++)
    if (o->axis[i] != i)
      return false;
  return true;
}

typedef struct { Order of[TENSORS]; } Orders;

static Orders conv_orders(const Layer *f)
{
  Orders o = { 0 };
  for (int k = X; k < TENSORS; k++) {
    add_axes(f, &o.of[k], k, GROUP, X);
    if (k != X)
      add_axes(f, &o.of[k], k, FILTER, Y);
    if (k != Y)
      add_axes(f, &o.of[k], k, CHANNEL, X);
    if (k != W)
      add_axes(f, &o.of[k], k, PLACE, X);
  }
  add_taps(f, &o.of[W]);
  return o;
}

static Orders dense_orders(const Layer *f)
{
  Orders o = { 0 };
  add_axes(f, &o.of[X], X, PLACE, X);
  add_axes(f, &o.of[X], X, CHANNEL, X);
  add_axes(f, &o.of[W], W, FILTER, Y);
  add_axes(f, &o.of[W], W, CHANNEL, X);
  add_axes(f, &o.of[Y], Y, PLACE, X);
  add_axes(f, &o.of[Y], Y, FILTER, Y);
  return o;
}

/* How many values of the batch are transposed. */
static int turns_of(const Orders *o) { return !is_straight(&o->of[X]) + !is_straight(&o->of[Y]); }

/* ---- nodes ---- */

static Value turned(const GBuild *b, Value v, const Order *o)
{
  Ints order = { .n = o->n };
  for (int i = 0; i < o->n; i++)
    order.at[i] = o->axis[i];
  return is_straight(o) ? v : g_transpose(b, v, order);
}

static Value shaped(const GBuild *b, Value v, int rank, const int64_t *dim)
{
  const Type *t = value_type(v);
  Type want = type_make(t->dtype, t->batched, rank, dim);
  return g_reshape(b, v, &want);
}

/* The layer's result under the axes of y, which the order names. */
static Value result(const GBuild *b, Value v, const Order *o, const Type *y)
{
  int64_t dim[RANK_MAX];
  Order back = { .n = o->n };
  for (int i = 0; i < o->n; i++) {
    dim[i] = y->dim[o->axis[i]];
    back.axis[o->axis[i]] = i;
  }
  return turned(b, shaped(b, v, o->n, dim), &back);
}

static Value make_dense(const GBuild *b, const Layer *f, const Orders *o, const Type *y)
{
  int64_t features = count_of(f, CHANNEL), units = count_of(f, FILTER);
  int64_t xdim[] = { count_of(f, PLACE), features }, wdim[] = { units, features };
  int skip = f->nplace ? 0 : 1;
  Value x = shaped(b, turned(b, f->in[X], &o->of[X]), 2 - skip, xdim + skip);
  Value w = shaped(b, turned(b, f->in[W], &o->of[W]), 2, wdim);
  return result(b, g_dense(b, x, w, (Value){ NULL, 0 }), &o->of[Y], y);
}

/* One axis of the image and the window on it; before, after: cells of border. */
typedef struct { int64_t in, out, taps, step, apart, before, after; } ImageAxis;

static ImageAxis image_axis(const Layer *f, int i)
{
  int place = f->place[i], tap = f->tap[i];
  const NestRow *row = row_of(f, X, f->at[X][place]);
  ImageAxis a = { .in = row->extent, .out = f->nest->extent[place], .taps = 1, .apart = 1,
                  .step = row->c[place], .before = -first_cell(f, row, tap) };
  if (tap >= 0) {
    a.taps = f->nest->extent[tap];
    a.apart = llabs(row->c[tap]);
  }
  int64_t end = (a.out - 1) * a.step + (a.taps - 1) * a.apart + 1;
  a.after = max_i64(end - a.before - a.in, 0);
  return a;
}

/* The window of the convolution; false: more of the image is left out than a window leaves. */
static bool image_window(const Layer *f, Window *w)
{
  ImageAxis a[IMAGE_AXES] = { { 1, 1, 1, 1, 1, 0, 0 }, { 1, 1, 1, 1, 1, 0, 0 } };
  if (!f->windows)
    a[1].in = a[1].out = count_of(f, PLACE);
  else if (f->nplace > IMAGE_AXES)
    return false;
  for (int i = 0; f->windows && i < f->nplace; i++)
    a[IMAGE_AXES - f->nplace + i] = image_axis(f, i);
  *w = window_make((Ints){ .n = 2, .at = { a[0].taps, a[1].taps } },
                   (Ints){ .n = 2, .at = { a[0].step, a[1].step } },
                   (Ints){ .n = 2, .at = { a[0].apart, a[1].apart } },
                   (Pad){ PAD_EXPLICIT, a[0].before, a[0].after, a[1].before, a[1].after },
                   a[0].in, a[1].in);
  return w->oh == a[0].out && w->ow == a[1].out;
}

/* The weight with the axes reversed along which the window is turned round. */
static Value upright(const GBuild *b, const Layer *f)
{
  Ints axes = { 0 };
  for (int i = 0; i < f->nplace; i++)
    if (f->tap[i] >= 0 && row_of(f, X, f->at[X][f->place[i]])->c[f->tap[i]] < 0)
      axes.at[axes.n++] = f->at[W][f->tap[i]];
  return axes.n ? g_reverse(b, f->in[W], axes) : f->in[W];
}

static Value make_conv(const GBuild *b, const Layer *f, const Orders *o, const Window *w,
                       const Type *y)
{
  int64_t groups = count_of(f, GROUP), channels = count_of(f, CHANNEL);
  int64_t xdim[] = { groups * channels, w->ih, w->iw };
  int64_t wdim[] = { groups * count_of(f, FILTER), channels, w->kh, w->kw };
  Value x = shaped(b, turned(b, f->in[X], &o->of[X]), 3, xdim);
  Value weight = shaped(b, turned(b, upright(b, f), &o->of[W]), 4, wdim);
  return result(b, g_conv(b, x, weight, (Value){ NULL, 0 }, w, groups), &o->of[Y], y);
}

bool index_layer(const GBuild *b, const Node *n, const Nest *nest, Value *out)
{
  Layer f;
  Window w;
  if (!find_layer(n, nest, &f))
    return false;
  Orders as_conv = conv_orders(&f), as_dense = dense_orders(&f);
  bool sums = axes_of(&f, CHANNEL) > 0, simple = !f.windows && !axes_of(&f, GROUP);
  bool dense = sums && simple && axes_of(&f, FILTER) > 0;
  bool conv = (sums || f.windows) && f.nplace > 0 && image_window(&f, &w);
  if (dense && !f.nplace && axes_of(&f, CHANNEL) == 1 && axes_of(&f, FILTER) == 1)
    return false;               /* a dense layer as it is: see product_of */
  if (dense && conv)
    conv = turns_of(&as_conv) < turns_of(&as_dense);
  if (conv)
    out[0] = make_conv(b, &f, &as_conv, &w, &n->type[0]);
  else if (dense)
    out[0] = make_dense(b, &f, &as_dense, &n->type[0]);
  return conv || dense;
}
