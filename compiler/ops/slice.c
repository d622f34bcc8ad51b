/* Whole elements that change their place: parts of an axis, values side by side, axes in another
 * order. All are linear and give NaN and infinities on as they are.
 *
 *   slice      y[i] = x[from + i]; negative numbers count from the end, to=0 is the end
 *   concat     x0, x1, .. one after the other along an axis, at most 8
 *   transpose  axis a of the result is axis order[a] of x; without an order the last two swap
 *   reverse    y[i] = x[size - 1 - i] along the given axes */
#include "ops/border.h"
#include "kernel/move.h"

enum { CONCAT_MAX = 8 };        /* operands that a kernel can have */

#define SLICE(A, op)                                                    \
  A(op, int, axis, "!", "which axis of the sample, the first is 0")     \
  A(op, int, from, "0", "its first cell; negative: counted from the end") \
  A(op, int, to,   "0", "the cell behind its last; 0 or less: counted from the end")
ATTRS(slice, SLICE)

#define CONCAT(A, op) A(op, int, axis, "0", "which axis of the sample, the first is 0")
ATTRS(concat, CONCAT)

#define TRANSPOSE(A, op) A(op, ints, order, "", "which axis comes where; [1, 0] turns a matrix")
ATTRS(transpose, TRANSPOSE)

#define REVERSE(A, op) A(op, ints, axes, "!", "axes that are turned round")
ATTRS(reverse, REVERSE)

static double no_flops(const Node *n) { (void)n; return 0; }

static bool check_axis(Infer *c, const Node *n, const char *what, int64_t axis)
{
  if (axis >= 0 && axis < c->in[0].rank)
    return true;
  infer_error(c, n, "E0304", "`%s` is %lld, but x is %s", what, (long long)axis,
              shape_text(c, &c->in[0]));
  return infer_help(c, "axes are counted from 0 and without the batch");
}

/* ---- slice ---- */
typedef struct { int axis; int64_t from, to, size; } Cells;

static Cells part_of(const slice_attrs *a, const Type *x)
{
  int64_t size = x->dim[a->axis];
  return (Cells){ (int)a->axis, a->from < 0 ? size + a->from : a->from,
                  a->to <= 0 ? size + a->to : a->to, size };
}

Value g_slice(const GBuild *b, Value x, int axis, int64_t from, int64_t to)
{
  slice_attrs a = { axis, from, to };
  return from == 0 && to == value_type(x)->dim[axis] ? x : g_op(b, &op_slice, &a, &x, 1);
}

static bool slice_infer(Infer *c, const Node *n, Type *out)
{
  const slice_attrs *a = n->attrs;
  if (!want_operands(c, n, 1) || !want_reals(c, n) || !check_axis(c, n, "axis", a->axis))
    return false;
  Cells p = part_of(a, &c->in[0]);
  if (p.from < 0 || p.to > p.size || p.from >= p.to) {
    infer_error(c, n, "E0304", "the cells from %lld to %lld are not within axis %d of %s",
                (long long)a->from, (long long)a->to, p.axis, shape_text(c, &c->in[0]));
    return infer_help(c, "`to` is the cell behind the last one: slice(axis=%d, from=0, to=%lld) "
                         "takes all", p.axis, (long long)p.size);
  }
  *out = c->in[0];
  out->dim[p.axis] = p.to - p.from;
  return true;
}

static void slice_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Cells p = part_of(n->attrs, value_type(n->in[0]));
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_border(&b, dy[0], p.axis, p.from, p.size - p.to, "zeros"));
}

static void slice_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  Cells p = part_of(n->attrs, &in[0]->type);
  Lines y = lines_of(out[0], p.axis);
  (void)c;
  for (int64_t e = 0; e < ref_elems(out[0]); e++) {
    int64_t o = e / (y.size * y.inner), i = e / y.inner % y.size, k = e % y.inner;
    out[0]->v[e] = in[0]->v[(o * p.size + p.from + i) * y.inner + k];
  }
}

static void slice_plans(Plans *ps, const Node *n)
{
  Cells p = part_of(n->attrs, value_type(n->in[0]));
  move_plans(ps, n, p.axis > 0 || (p.from % ps->block == 0 && p.to % ps->block == 0));
}

static void slice_elsewhere(Lower *l, const Node *n, Coord *c)
{
  Cells p = part_of(n->attrs, value_type(n->in[0]));
  move_shift(l, c, p.axis, -p.from, p.size);
}

static void slice_point(Move *k, void *ctx)
{
  Coord c = k->p.c;
  (void)ctx;
  slice_elsewhere(k->l, k->n, &c);
  move_set(k, 0, move_load(k, k->n->in[0], &c));
}

static void slice_lower(Lower *l, const Node *n, const Plan *plan)
{
  (void)plan;
  move_lower(l, n, "slice", slice_point, NULL);
}

const OpDef op_slice = {
  .name = "slice", .doc = "some cells of an axis",
  .aliases = "narrow Slice strided_slice Cropping2D Cropping1D crop split",
  .formula = "$y[i] = $x[from + i]", .cls = OP_NEST, .flags = OP_LAYER, .operands = "x",
  .results = "y", .attrs = slice_attr_defs, .attrs_size = sizeof(slice_attrs), .positional = 3,
  .infer = slice_infer, .grad = slice_grad, .ref = slice_ref, .flops = no_flops,
  .plans = slice_plans, .lower = slice_lower, .elsewhere = slice_elsewhere,
  .samples = (const OpSample[]){
    { "axis=1, from=1, to=3", "x=f32[n,2,3,4]" }, { "axis=0, from=-2", "x=f32[n,5]" },
    { "axis=2, to=-1", "x=f32[n,17,2,3]" }, { "axis=0, from=16, to=32", "x=f32[n,33,2]" },
    { "axis=0, from=1, to=2", "x=f32[3,16]" },
    { "axis=6, from=1, to=3", "x=f32[n,2,1,3,1,2,1,4,2]" }, { 0 }
  },
};

/* ---- concat ---- */
static bool concat_infer(Infer *c, const Node *n, Type *out)
{
  const concat_attrs *a = n->attrs;
  if (!want_operands(c, n, 1) || !want_reals(c, n) || !check_axis(c, n, "axis", a->axis))
    return false;
  if (c->nin > CONCAT_MAX) {
    infer_error(c, n, "E0308", "takes at most %d values, not %u", CONCAT_MAX, c->nin);
    return infer_help(c, "join some of them first: concat(concat(a, b), c)");
  }
  *out = c->in[0];
  for (uint32_t i = 1; i < c->nin; i++) {
    Type t = c->in[i];
    int64_t size = t.rank == out->rank ? t.dim[a->axis] : 0;
    t.dim[a->axis] = c->in[0].dim[a->axis];
    if (!type_equal(&t, &c->in[0])) {
      infer_error(c, n, "E0201", "values side by side differ in axis %lld alone, but they are %s "
                  "and %s", (long long)a->axis, shape_text(c, &c->in[0]),
                  shape_text(c, &c->in[i]));
      return infer_help(c, "`slice` and `pad` change the size of other axes, `reshape` their "
                           "number");
    }
    if (!checked_add(out->dim[a->axis], size, &out->dim[a->axis]))
      return infer_error(c, n, "E0602", "the result has too many elements to count");
  }
  return want_elems(c, n, out);
}

static void concat_grad(Grad *g, const Node *n, const Value *dy)
{
  int axis = (int)((const concat_attrs *)n->attrs)->axis;
  GBuild b = g_in_grad(g);
  int64_t at = 0;
  for (uint32_t i = 0; i < n->nin; i++) {
    int64_t size = value_type(n->in[i])->dim[axis];
    if (grad_wanted(g, n, i))
      grad_add(g, n, i, g_slice(&b, dy[0], axis, at, at + size));
    at += size;
  }
}

static void concat_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int axis = (int)((const concat_attrs *)n->attrs)->axis;
  Lines y = lines_of(out[0], axis);
  int64_t at = 0;
  (void)c;
  for (uint32_t j = 0; j < n->nin; j++) {
    Lines x = lines_of(in[j], axis);
    for (int64_t e = 0; e < ref_elems(in[j]); e++) {
      int64_t o = e / (x.size * x.inner), i = e / x.inner % x.size, k = e % x.inner;
      out[0]->v[(o * y.size + at + i) * y.inner + k] = in[j]->v[e];
    }
    at += x.size;
  }
}

static void concat_plans(Plans *ps, const Node *n)
{
  const concat_attrs *a = n->attrs;
  bool stay = a->axis > 0;
  for (uint32_t i = 0; i + 1 < n->nin && a->axis == 0; i++)
    stay = (i == 0 || stay) && value_type(n->in[i])->dim[0] % ps->block == 0;
  move_plans(ps, n, stay);
}

/* One branch for each operand, by where the point lies on the axis. */
static void concat_point(Move *k, void *ctx)
{
  Build *b = k->l->b;
  const Node *n = k->n;
  int axis = *(const int *)ctx;
  LExpr *at = move_at(k, axis);
  int64_t from = 0;
  for (uint32_t i = 0; i < n->nin; i++) {
    int64_t size = value_type(n->in[i])->dim[axis];
    Coord c = k->p.c;
    if (i + 1 < n->nin)
      l_if(b, l_op(b, SC_lt, at, l_int(b, from + size), NULL));
    move_shift(k->l, &c, axis, from, size);
    move_set(k, 0, move_load(k, n->in[i], &c));
    if (i + 1 < n->nin)
      l_else(b);
    from += size;
  }
  for (uint32_t i = 1; i < n->nin; i++)
    l_end(b);
}

static void concat_lower(Lower *l, const Node *n, const Plan *plan)
{
  int axis = (int)((const concat_attrs *)n->attrs)->axis;
  (void)plan;
  move_lower(l, n, "concat", concat_point, &axis);
}

const OpDef op_concat = {
  .name = "concat", .doc = "values side by side, joined along an axis",
  .aliases = "cat concatenate Concatenate Concat stack hstack vstack",
  .formula = "$y = [$x, $x2, ..]", .cls = OP_NEST, .flags = OP_LAYER, .operands = "x*",
  .results = "y", .attrs = concat_attr_defs, .attrs_size = sizeof(concat_attrs), .positional = 0,
  .infer = concat_infer, .grad = concat_grad, .ref = concat_ref, .flops = no_flops,
  .plans = concat_plans, .lower = concat_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,2], x2=f32[n,3]" }, { "axis=1", "x=f32[n,2,1,3], x2=f32[n,2,2,3]" },
    { "axis=2", "x=f32[n,17,2,1], x2=f32[n,17,2,3], x3=f32[n,17,2,2]" },
    { "", "x=f32[n,16,2], x2=f32[n,17,2]" }, { "axis=1", "x=f32[2,3], x2=f32[2,16]" },
    { "axis=7", "x=f32[n,2,1,3,1,2,1,2,2], x2=f32[n,2,1,3,1,2,1,2,3]" }, { 0 }
  },
};

/* ---- transpose ---- */
static Ints order_of(const transpose_attrs *a, int rank)
{
  if (a->order.n)
    return a->order;
  Ints o = { .n = rank };
  for (int i = 0; i < rank; i++)
    o.at[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
  return o;
}

Value g_transpose(const GBuild *b, Value x, Ints order)
{
  transpose_attrs a = { order };
  bool moves = false;
  for (int i = 0; i < order.n; i++)
    moves = moves || order.at[i] != i;
  return moves ? g_op(b, &op_transpose, &a, &x, 1) : x;
}

static bool transpose_infer(Infer *c, const Node *n, Type *out)
{
  const transpose_attrs *a = n->attrs;
  if (!want_operands(c, n, 1) || !want_reals(c, n))
    return false;
  const Type *x = &c->in[0];
  if (x->rank < 2) {
    infer_error(c, n, "E0202", "needs at least 2 axes, but its input is %s", shape_text(c, x));
    return infer_help(c, "`reshape` makes axes");
  }
  Ints o = order_of(a, x->rank);
  unsigned seen = 0;
  for (int i = 0; i < o.n; i++)
    seen |= o.at[i] >= 0 && o.at[i] < x->rank ? 1u << o.at[i] : 0;
  if (o.n != x->rank || seen != (1u << x->rank) - 1) {
    infer_error(c, n, "E0304", "`order` must name each of the %d axes of %s once", x->rank,
                shape_text(c, x));
    return infer_help(c, x->rank == 2 ? "transpose([1, 0]) makes rows of columns"
                                      : "transpose([1, 2, 0]) brings the first axis to the end");
  }
  *out = *x;
  for (int i = 0; i < o.n; i++)
    out->dim[i] = x->dim[o.at[i]];
  return true;
}

static void transpose_grad(Grad *g, const Node *n, const Value *dy)
{
  Ints o = order_of(n->attrs, n->type[0].rank), back = { .n = o.n };
  GBuild b = g_in_grad(g);
  for (int i = 0; i < o.n; i++)
    back.at[o.at[i]] = i;
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_transpose(&b, dy[0], back));
}

static void transpose_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const Type *x = &in[0]->type, *y = &n->type[0];
  Ints o = order_of(n->attrs, y->rank);
  (void)c;
  for (int64_t e = 0; e < ref_elems(out[0]); e++) {
    int64_t index[RANK_MAX] = { 0 }, rest = e % out[0]->elems, from = 0;
    for (int i = y->rank - 1; i >= 0; i--) {
      index[o.at[i]] = rest % y->dim[i];
      rest /= y->dim[i];
    }
    for (int i = 0; i < x->rank; i++)
      from = from * x->dim[i] + index[i];
    out[0]->v[e] = in[0]->v[e / out[0]->elems * out[0]->elems + from];
  }
}

static void transpose_plans(Plans *ps, const Node *n)
{
  move_plans(ps, n, order_of(n->attrs, n->type[0].rank).at[0] == 0);
}

static void transpose_point(Move *k, void *ctx)
{
  const Ints *o = ctx;
  Coord c = k->p.c;
  for (int i = 0; i < o->n; i++)
    if (o->at[i] != i)
      coord_set(&c, (int)o->at[i], move_at(k, i), k->n->type[0].dim[i]);
  move_set(k, 0, move_load(k, k->n->in[0], &c));
}

static void transpose_lower(Lower *l, const Node *n, const Plan *plan)
{
  Ints o = order_of(n->attrs, n->type[0].rank);
  (void)plan;
  move_lower(l, n, "transpose", transpose_point, &o);
}

const OpDef op_transpose = {
  .name = "transpose", .doc = "the axes of a sample in another order",
  .aliases = "permute Permute movedim swapaxes Transpose", .formula = "$y[j,i] = $x[i,j]",
  .cls = OP_NEST, .flags = OP_LAYER, .operands = "x", .results = "y",
  .attrs = transpose_attr_defs, .attrs_size = sizeof(transpose_attrs), .positional = 1,
  .infer = transpose_infer, .grad = transpose_grad, .ref = transpose_ref, .flops = no_flops,
  .plans = transpose_plans, .lower = transpose_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,2,3]" }, { "order=[1, 2, 0]", "x=f32[n,2,3,4]" },
    { "order=[0, 2, 1]", "x=f32[n,17,2,3]" }, { "order=[1, 0]", "x=f32[n,16,3]" },
    { "order=[2, 0, 3, 1]", "x=f32[2,3,1,4]" },
    { "order=[3, 1, 4, 0, 2]", "x=f32[n,3,2,2,17,2]" },
    { "order=[7, 1, 6, 0, 5, 3, 4, 2]", "x=f32[n,2,3,1,2,1,2,2,2]" }, { 0 }
  },
};

/* ---- reverse ---- */
Value g_reverse(const GBuild *b, Value x, Ints axes)
{
  reverse_attrs a = { axes };
  return g_op(b, &op_reverse, &a, &x, 1);
}

static bool turns(const reverse_attrs *a, int axis)
{
  for (int i = 0; i < a->axes.n; i++)
    if (a->axes.at[i] == axis)
      return true;
  return false;
}

static bool reverse_infer(Infer *c, const Node *n, Type *out)
{
  const reverse_attrs *a = n->attrs;
  if (!want_operands(c, n, 1) || !want_reals(c, n))
    return false;
  for (int i = 0; i < a->axes.n; i++)
    if (!check_axis(c, n, "axes", a->axes.at[i]))
      return false;
  return infer_same_as(c, n, 0, out);
}

static void reverse_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_reverse(&b, dy[0], ((const reverse_attrs *)n->attrs)->axes));
}

static void reverse_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const Type *t = &n->type[0];
  (void)c;
  for (int64_t e = 0; e < ref_elems(out[0]); e++) {
    int64_t rest = e, from = 0, step = 1;
    for (int a = t->rank - 1; a >= 0; a--) {
      int64_t i = rest % t->dim[a];
      from += step * (turns(n->attrs, a) ? t->dim[a] - 1 - i : i);
      rest /= t->dim[a];
      step *= t->dim[a];
    }
    out[0]->v[e] = in[0]->v[rest * step + from];
  }
}

static void reverse_plans(Plans *ps, const Node *n) { move_plans(ps, n, !turns(n->attrs, 0)); }

static void reverse_point(Move *k, void *ctx)
{
  Build *b = k->l->b;
  const Type *t = &k->n->type[0];
  Coord c = k->p.c;
  for (int a = 0; a < t->rank; a++)
    if (turns(ctx, a))
      coord_set(&c, a, l_sub(b, l_int(b, t->dim[a] - 1), move_at(k, a)), t->dim[a]);
  move_set(k, 0, move_load(k, k->n->in[0], &c));
}

static void reverse_lower(Lower *l, const Node *n, const Plan *plan)
{
  (void)plan;
  move_lower(l, n, "reverse", reverse_point, (void *)(uintptr_t)n->attrs);
}

const OpDef op_reverse = {
  .name = "reverse", .doc = "the cells of some axes from the last to the first",
  .aliases = "flip fliplr flipud Reverse", .formula = "$y[i] = $x[size - 1 - i]", .cls = OP_NEST,
  .flags = OP_LAYER, .operands = "x", .results = "y", .attrs = reverse_attr_defs,
  .attrs_size = sizeof(reverse_attrs), .positional = 1, .infer = reverse_infer,
  .grad = reverse_grad, .ref = reverse_ref, .flops = no_flops, .plans = reverse_plans,
  .lower = reverse_lower,
  .samples = (const OpSample[]){
    { "axes=[1, 2]", "x=f32[n,2,3,4]" }, { "axes=0", "x=f32[n,5]" },
    { "axes=2", "x=f32[n,17,2,3]" }, { "axes=[2, 3]", "x=f32[2,3,2,3]" },
    { "axes=[0, 1, 4, 6, 7]", "x=f32[n,2,3,1,2,2,1,2,3]" }, { 0 }
  },
};
