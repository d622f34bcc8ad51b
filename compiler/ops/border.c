/* Borders: cells added before and after an axis, made of what the axis holds.
 *
 *   y[i] = x[m(i - before)]   zeros      0 where there is no cell
 *                             reflect    m(p) = |p|, and 2 (size - 1) - p past the end
 *                             replicate  m(p) = the nearest cell
 *                             circular   m(p) = p mod size
 *
 * The gradient of a cell is a gather: the sum over the places that show it. A border of zeros is
 * the gradient of a slice, and the other way round. */
#include "ops/border.h"
#include "kernel/move.h"

#define BORDER(A, op)                                                           \
  A(op, int,  axis,   "!", "which axis of the sample")                          \
  A(op, int,  before, "0", "cells added before it")                             \
  A(op, int,  after,  "0", "cells added behind it")                             \
  A(op, name, mode, "zeros", "what the cells hold, one of: " BORDER_MODES)
ATTRS(border, BORDER)

#define PAD_LAYER(A, op)                                                        \
  A(op, pad,  pad,  "!", "cells around the image: n, [h, w] or [top, bottom, left, right]") \
  A(op, name, mode, "zeros", "what they hold, one of: " BORDER_MODES)
ATTRS(pad, PAD_LAYER)

bool border_is_zeros(const char *mode) { return !mode || str_eq(mode, "zeros"); }

Lines lines_of(const RefTensor *t, int axis)
{
  Lines a = { t->n, t->type.dim[axis], 1 };
  for (int i = 0; i < t->type.rank; i++) {
    a.outer *= i < axis ? t->type.dim[i] : 1;
    a.inner *= i > axis ? t->type.dim[i] : 1;
  }
  return a;
}

bool border_infer(Infer *c, const Node *n, const char *mode, const char *what, int64_t size,
                  int64_t before, int64_t after)
{
  bool reflect = str_eq(mode, "reflect");
  int64_t most = reflect ? size - 1 : size;
  if (border_is_zeros(mode) || str_eq(mode, "replicate") || (before <= most && after <= most))
    return true;
  infer_error(c, n, "E0304", "%s can add at most %lld cells to a %s of %lld, not %lld", mode,
              (long long)most, what, (long long)size, (long long)max_i64(before, after));
  return infer_help(c, reflect ? "mirrored cells begin beside the edge; replicate takes any number"
                               : "replicate takes any number of cells");
}

Value g_border(const GBuild *b, Value x, int axis, int64_t before, int64_t after,
               const char *mode)
{
  border_attrs a = { axis, before, after, mode };
  return before || after ? g_op(b, &op_border, &a, &x, 1) : x;
}

/* ---- border ---- */
static bool check_axis(Infer *c, const Node *n, int64_t axis)
{
  if (!want_operands(c, n, 1) || !want_reals(c, n))
    return false;
  if (axis >= 0 && axis < c->in[0].rank)
    return true;
  return infer_error(c, n, "E0304", "`axis` is %lld, but x is %s", (long long)axis,
                     shape_text(c, &c->in[0]));
}

static bool infer_grown(Infer *c, const Node *n, const border_attrs *a, int64_t sign, Type *out)
{
  if (!check_axis(c, n, a->axis))
    return false;
  int64_t size = c->in[0].dim[a->axis] + (sign < 0 ? -a->before - a->after : 0);
  if (a->before < 0 || a->after < 0 || size < 1)
    return infer_error(c, n, "E0304", "`before` and `after` must be at least 0 and leave cells");
  if (!border_infer(c, n, a->mode, "line", size, a->before, a->after))
    return false;
  *out = c->in[0];
  out->dim[a->axis] = sign < 0 ? size : size + a->before + a->after;
  return want_elems(c, n, out);
}

static bool border_op_infer(Infer *c, const Node *n, Type *out)
{
  return infer_grown(c, n, n->attrs, 1, out);
}

/* The cell that place p of a border shows, -1: none. */
static int64_t shown_cell(const border_attrs *a, int64_t p, int64_t size)
{
  if (p >= 0 && p < size)
    return p;
  if (str_eq(a->mode, "reflect"))
    return p < 0 ? -p : 2 * (size - 1) - p;
  if (str_eq(a->mode, "replicate"))
    return p < 0 ? 0 : size - 1;
  return str_eq(a->mode, "circular") ? (p + size) % size : -1;
}

static void border_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const border_attrs *a = n->attrs;
  Lines x = lines_of(in[0], (int)a->axis), y = lines_of(out[0], (int)a->axis);
  (void)c;
  for (int64_t e = 0; e < ref_elems(out[0]); e++) {
    int64_t o = e / (y.size * y.inner), i = e / y.inner % y.size, k = e % y.inner;
    int64_t from = shown_cell(a, i - a->before, x.size);
    out[0]->v[e] = from < 0 ? 0 : in[0]->v[(o * x.size + from) * x.inner + k];
  }
}

static void border_grad(Grad *g, const Node *n, const Value *dy)
{
  const border_attrs *a = n->attrs;
  GBuild b = g_in_grad(g);
  int64_t size = value_type(n->in[0])->dim[a->axis];
  if (!grad_wanted(g, n, 0))
    return;
  if (border_is_zeros(a->mode))
    grad_add(g, n, 0, g_slice(&b, dy[0], (int)a->axis, a->before, a->before + size));
  else
    grad_add(g, n, 0, g_op(&b, &op_border_dx, a, dy, 1));
}

static void border_plans(Plans *ps, const Node *n)
{
  move_plans(ps, n, ((const border_attrs *)n->attrs)->axis > 0);
}

/* The cell that index p of a border other than zeros shows. */
static LExpr *shown_at(Build *b, const border_attrs *a, LExpr *p, int64_t size)
{
  if (str_eq(a->mode, "circular"))
    return l_mod(b, l_addi(b, p, size), l_int(b, size));
  bool reflect = str_eq(a->mode, "reflect");
  if (a->before)
    p = l_let(b, "p", l_max(b, p, reflect ? l_sub(b, l_int(b, 0), p) : l_int(b, 0)));
  if (a->after)
    p = l_min(b, p, reflect ? l_sub(b, l_int(b, 2 * (size - 1)), p) : l_int(b, size - 1));
  return p;
}

static void border_point(Move *k, void *ctx)
{
  Build *b = k->l->b;
  const border_attrs *a = ctx;
  int axis = (int)a->axis;
  int64_t size = value_type(k->n->in[0])->dim[axis];
  LExpr *p = l_let(b, "p", l_addi(b, move_at(k, axis), -a->before));
  Coord c = k->p.c;
  if (border_is_zeros(a->mode)) {
    move_set(k, 0, l_real(b, 0));
    l_if(b, l_op(b, SC_and, l_op(b, SC_le, l_int(b, 0), p, NULL),
                 l_op(b, SC_lt, p, l_int(b, size), NULL), NULL));
    coord_set(&c, axis, p, size);
    move_set(k, 0, move_load(k, k->n->in[0], &c));
    l_end(b);
    return;
  }
  coord_set(&c, axis, l_let(b, "cell", shown_at(b, a, p, size)), size);
  move_set(k, 0, move_load(k, k->n->in[0], &c));
}

static void border_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  move_lower(l, n, "border", border_point, (void *)(uintptr_t)n->attrs);
}

static double border_flops(const Node *n) { (void)n; return 0; }

const OpDef op_border = {
  .name = "border", .doc = "cells added before and behind an axis",
  .formula = "$y[i] = $x[m(i - before)]", .cls = OP_NEST, .operands = "x", .results = "y",
  .attrs = border_attr_defs, .attrs_size = sizeof(border_attrs), .infer = border_op_infer,
  .grad = border_grad, .ref = border_ref, .flops = border_flops, .plans = border_plans,
  .lower = border_lower,
  .samples = (const OpSample[]){
    { "axis=1, before=2, after=1", "x=f32[n,2,3,4]" },
    { "axis=2, before=3, after=2, mode=reflect", "x=f32[n,17,2,4]" },
    { "axis=0, before=1, after=1, mode=reflect", "x=f32[n,2,3]" },
    { "axis=1, before=3, mode=replicate", "x=f32[n,16,2]" },
    { "axis=0, after=4, mode=replicate", "x=f32[n,1]" },
    { "axis=1, before=2, after=3, mode=circular", "x=f32[n,2,3,2]" },
    { "axis=2, before=1, after=2", "x=f32[2,3,16]" }, { 0 }
  },
};

/* ---- border_dx ---- */
static bool border_dx_infer(Infer *c, const Node *n, Type *out)
{
  return infer_grown(c, n, n->attrs, -1, out);
}

static void border_dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const border_attrs *a = n->attrs;
  Lines y = lines_of(in[0], (int)a->axis), x = lines_of(out[0], (int)a->axis);
  (void)c;
  for (int64_t e = 0; e < ref_elems(out[0]); e++)
    out[0]->v[e] = 0;
  for (int64_t e = 0; e < ref_elems(in[0]); e++) {
    int64_t o = e / (y.size * y.inner), i = e / y.inner % y.size, k = e % y.inner;
    int64_t to = shown_cell(a, i - a->before, x.size);
    if (to >= 0)
      out[0]->v[(o * x.size + to) * x.inner + k] += in[0]->v[e];
  }
}

static void border_dx_grad(Grad *g, const Node *n, const Value *dy)
{
  const border_attrs *a = n->attrs;
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_border(&b, dy[0], (int)a->axis, a->before, a->after, a->mode));
}

/* Adds place i of dy, where `test` holds. */
static void add_place(Move *k, int axis, LExpr *i, LExpr *test)
{
  Build *b = k->l->b;
  Coord c = k->p.c;
  if (test)
    l_if(b, test);
  coord_set(&c, axis, i, value_type(k->n->in[0])->dim[axis]);
  move_set(k, 0, l_add(b, move_get(k, 0), move_load(k, k->n->in[0], &c)));
  if (test)
    l_end(b);
}

/* All places of a run show the cell at j: at an end those of the border beside it too. */
static void replicate_point(Move *k, const border_attrs *a, LExpr *j, int64_t size)
{
  Build *b = k->l->b;
  int axis = (int)a->axis;
  LExpr *own = l_addi(b, j, a->before);
  LExpr *at_start = l_op(b, SC_eq, j, l_int(b, 0), NULL);
  LExpr *at_end = l_op(b, SC_eq, j, l_int(b, size - 1), NULL);
  LExpr *from = l_op(b, SC_select, at_start, l_int(b, 0), own);
  LExpr *to = l_op(b, SC_select, at_end, l_int(b, size + a->before + a->after), l_addi(b, own, 1));
  LExpr *i = l_var(b, l_loop(b, "i", l_let(b, "from", from), l_let(b, "to", to), 1, FOR_ROLLED));
  add_place(k, axis, i, NULL);
  l_end(b);
}

static void border_dx_point(Move *k, void *ctx)
{
  Build *b = k->l->b;
  const border_attrs *a = ctx;
  int axis = (int)a->axis;
  int64_t size = k->n->type[0].dim[axis];
  LExpr *j = move_at(k, axis), *own = l_addi(b, j, a->before);
  move_set(k, 0, l_real(b, 0));
  if (border_is_zeros(a->mode))
    add_place(k, axis, own, NULL);
  else if (str_eq(a->mode, "replicate"))
    replicate_point(k, a, j, size);
  else if (str_eq(a->mode, "circular")) {
    add_place(k, axis, own, NULL);
    if (a->before)
      add_place(k, axis, l_addi(b, own, -size),
                l_op(b, SC_le, l_int(b, size - a->before), j, NULL));
    if (a->after)
      add_place(k, axis, l_addi(b, own, size), l_op(b, SC_lt, j, l_int(b, a->after), NULL));
  } else {
    add_place(k, axis, own, NULL);
    if (a->before) {
      LExpr *beside = l_op(b, SC_le, l_int(b, 1), j, NULL);
      LExpr *seen = l_op(b, SC_le, j, l_int(b, a->before), NULL);
      add_place(k, axis, l_sub(b, l_int(b, a->before), j), l_op(b, SC_and, beside, seen, NULL));
    }
    if (a->after) {
      LExpr *beside = l_op(b, SC_le, j, l_int(b, size - 2), NULL);
      LExpr *seen = l_op(b, SC_le, l_int(b, size - 1 - a->after), j, NULL);
      add_place(k, axis, l_sub(b, l_int(b, a->before + 2 * (size - 1)), j),
                l_op(b, SC_and, beside, seen, NULL));
    }
  }
}

static void border_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  move_lower(l, n, "border_grad", border_dx_point, (void *)(uintptr_t)n->attrs);
}

static double border_dx_flops(const Node *n) { return (double)value_elems(n->in[0]); }

const OpDef op_border_dx = {
  .name = "border_dx", .doc = "gradient of border: each cell gathers from the places that show it",
  .formula = "$dx[j] = sum_{i with m(i - before) = j} $dy[i]", .cls = OP_NEST, .operands = "dy",
  .results = "dx", .attrs = border_attr_defs, .attrs_size = sizeof(border_attrs),
  .infer = border_dx_infer, .grad = border_dx_grad, .ref = border_dx_ref, .flops = border_dx_flops,
  .plans = border_plans, .lower = border_dx_lower,
  .samples = (const OpSample[]){
    { "axis=1, before=2, after=1", "dy=f32[n,2,6,4]" },
    { "axis=2, before=3, after=2, mode=reflect", "dy=f32[n,17,2,9]" },
    { "axis=0, before=1, after=1, mode=reflect", "dy=f32[n,4,3]" },
    { "axis=1, before=3, mode=replicate", "dy=f32[n,16,5]" },
    { "axis=0, after=4, mode=replicate", "dy=f32[n,5]" },
    { "axis=1, before=2, after=3, mode=circular", "dy=f32[n,2,8,2]" }, { 0 }
  },
};

/* ---- pad, the layer: rows first, then columns ---- */
static bool pad_infer(Infer *c, const Node *n, Type *out)
{
  const pad_attrs *a = n->attrs;
  if (!want_operands(c, n, 1) || !want_reals(c, n))
    return false;
  const Type *x = &c->in[0];
  if (a->pad.mode != PAD_EXPLICIT) {
    infer_error(c, n, "E0304", "`pad` must be numbers here: there is no window");
    return infer_help(c, "write n, [height, width] or [top, bottom, left, right]");
  }
  if (x->rank != 3 && x->rank != 2) {
    infer_error(c, n, "E0202", "needs an image [channels, height, width] or a sequence [channels, "
                               "length], but its input is %s", shape_text(c, x));
    return infer_help(c, "use it before `flatten`, or give the vector a shape by `reshape`");
  }
  *out = *x;
  int last = x->rank - 1;
  out->dim[last] += a->pad.left + a->pad.right;
  if (x->rank == 3)
    out->dim[1] += a->pad.top + a->pad.bottom;
  return (x->rank == 2 ||
          border_infer(c, n, a->mode, "column", x->dim[1], a->pad.top, a->pad.bottom)) &&
         border_infer(c, n, a->mode, "row", x->dim[last], a->pad.left, a->pad.right) &&
         want_elems(c, n, out);
}

static bool pad_expand(Expand *e, const Node *n, Value *out)
{
  const pad_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  int last = value_type(n->in[0])->rank - 1;
  out[0] = n->in[0];
  if (last == 2)
    out[0] = g_border(&b, out[0], 1, a->pad.top, a->pad.bottom, a->mode);
  out[0] = g_border(&b, out[0], last, a->pad.left, a->pad.right, a->mode);
  return true;
}

const OpDef op_pad = {
  .name = "pad", .doc = "an image with cells around it",
  .aliases = "ZeroPad2d ZeroPadding2D ReflectionPad2d ReplicationPad2d CircularPad2d Pad",
  .formula = "$y[c,i,j] = $x[c, m(i - top), m(j - left)]", .cls = OP_MACRO, .flags = OP_LAYER,
  .operands = "x", .results = "y", .attrs = pad_attr_defs, .attrs_size = sizeof(pad_attrs),
  .positional = 1, .infer = pad_infer, .expand = pad_expand, .flops = border_flops,
  .samples = (const OpSample[]){
    { "pad=1", "x=f32[n,2,3,4]" }, { "pad=[2, 1, 0, 3], mode=reflect", "x=f32[n,1,3,4]" },
    { "pad=[1, 2], mode=circular", "x=f32[n,2,3]" }, { "pad=3, mode=replicate", "x=f32[n,2,2,2]" },
    { 0 }
  },
};
