/* Numbers of whole axes, and products of matrices: macros over sums and maxima with indices.
 *
 *   axis_sum, axis_mean, axis_max, axis_min   y[i] = sum_j x[i,j] over the axes given, or all
 *   argmax     the number j of the first largest element along one axis, as a real; no gradient
 *   matmul     y[i,j] = sum_k x[i,k] y[k,j], for each sample
 *
 * The first of equal maxima takes the gradient. A spec writes sum, mean, max, min with `axis`. */
#include "ops/index_map.h"

#define AXIS(A, op)                                                     \
  A(op, ints, axis, "",      "axes of the sample, the first is 0; without: all") \
  A(op, flag, keep, "false", "they stay, with one number")
ATTRS(axis, AXIS)

#define ARGMAX(A, op) A(op, int, axis, "0", "axis of the sample, the first is 0")
ATTRS(argmax, ARGMAX)

static bool is_reduced(const Ints *axis, int a)
{
  for (int i = 0; i < axis->n; i++)
    if (axis->at[i] == a)
      return true;
  return axis->n == 0;
}

/* The dims of x without the axes, or with 1 in their place. */
static Type reduced_type(const Type *x, const Ints *axis, bool keep)
{
  Type t = *x;
  t.rank = 0;
  for (int a = 0; a < x->rank; a++)
    if (keep || !is_reduced(axis, a))
      t.dim[t.rank++] = is_reduced(axis, a) ? 1 : x->dim[a];
  return type_make(t.dtype, t.batched, t.rank, t.dim);
}

static bool check_axes(Infer *c, const Node *n, const Ints *axis)
{
  if (!want_operands(c, n, 1) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  const Type *x = &c->in[0];
  if (x->rank < 1) {
    infer_error(c, n, "E0202", "needs an axis, but its input is a number");
    return infer_help(c, "leave it out: a number is its own sum");
  }
  for (int i = 0; i < axis->n; i++) {
    if (axis->at[i] >= 0 && axis->at[i] < x->rank)
      continue;
    infer_error(c, n, "E0304", "`axis` is %lld, but x is %s", (long long)axis->at[i],
                shape_text(c, x));
    return infer_help(c, "axes are counted from 0 and without the batch");
  }
  return true;
}

static bool axis_infer(Infer *c, const Node *n, Type *out)
{
  const axis_attrs *a = n->attrs;
  if (!check_axes(c, n, &a->axis))
    return false;
  *out = reduced_type(&c->in[0], &a->axis, a->keep);
  return true;
}

/* Adds an operand whose axes are the indices at[0], at[1], .. of the nest. */
static void add_factor(Nest *nest, const Type *x, const int *at)
{
  for (int a = 0; a < x->rank; a++) {
    NestRow *row = &nest->row[nest->nrow++];
    *row = (NestRow){ .divisor = 1, .extent = x->dim[a] };
    row->c[at[a]] = 1;
  }
  nest->first[++nest->nfactor] = nest->nrow;
}

/* Indices: the axes that are left, then those that the sum or maximum runs over. */
static Nest reduction(const Type *x, const Ints *axis)
{
  Nest nest = { 0 };
  int at[RANK_MAX];
  for (int kept = 1; kept >= 0; kept--)
    for (int a = 0; a < x->rank; a++)
      if (is_reduced(axis, a) != kept) {
        at[a] = nest.nindex;
        nest.extent[nest.nindex++] = x->dim[a];
        nest.rank += kept;
      }
  add_factor(&nest, x, at);
  return nest;
}

static Value reduce(const GBuild *b, const OpDef *op, Value x, const Ints *axis, uint32_t result)
{
  Nest nest = reduction(value_type(x), axis);
  index_attrs a = index_attrs_of(b->graph->arena, &nest, "", false);
  return (Value){ g_node(b, op, &a, &x, 1), result };
}

static double operand_flops(const Node *n) { return (double)value_elems(n->in[0]); }

/* ---- sum, mean ---- */
static Value axes_sum(const GBuild *b, const Node *n, const Ints *axis)
{
  Type all = reduced_type(value_type(n->in[0]), axis, false);
  Value sum = all.rank ? reduce(b, &op_index_sum, n->in[0], axis, 0) : g_sum(b, n->in[0]);
  return g_reshape(b, sum, &n->type[0]);
}

static bool axis_sum_expand(Expand *e, const Node *n, Value *out)
{
  const axis_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  out[0] = axes_sum(&b, n, &a->axis);
  return true;
}

static bool axis_mean_expand(Expand *e, const Node *n, Value *out)
{
  const axis_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  double count = (double)value_elems(n->in[0]) / (double)type_elems(&n->type[0]);
  out[0] = g_scale(&b, axes_sum(&b, n, &a->axis), 1 / count);
  return true;
}

const OpDef op_axis_sum = {
  .name = "axis_sum", .doc = "sum over axes, of each sample", .aliases = "reduce_sum ReduceSum",
  .formula = "$y[i] = sum_j $x[i,j]", .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x",
  .results = "y", .attrs = axis_attr_defs, .attrs_size = sizeof(axis_attrs), .positional = 0,
  .infer = axis_infer, .expand = axis_sum_expand, .flops = operand_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,2,3]" }, { "axis=1", "x=f32[n,2,3,4]" },
    { "axis=[0, 2], keep=true", "x=f32[n,2,3,4]" },
    { "axis=[1, 6, 7], keep=true", "x=f32[n,2,3,1,2,2,1,2,3]" }, { 0 }
  },
};

const OpDef op_axis_mean = {
  .name = "axis_mean", .doc = "mean over axes, of each sample", .aliases = "reduce_mean ReduceMean",
  .formula = "$y[i] = mean_j $x[i,j]", .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x",
  .results = "y", .attrs = axis_attr_defs, .attrs_size = sizeof(axis_attrs), .positional = 0,
  .infer = axis_infer, .expand = axis_mean_expand, .flops = operand_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,2,3]" }, { "axis=0, keep=true", "x=f32[n,2,3]" },
    { "axis=[1, 2]", "x=f32[n,2,3,4]" }, { 0 }
  },
};

/* ---- max, min ---- */
static bool axis_max_expand(Expand *e, const Node *n, Value *out)
{
  const axis_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  out[0] = g_reshape(&b, reduce(&b, &op_index_max, n->in[0], &a->axis, 0), &n->type[0]);
  return true;
}

static bool axis_min_expand(Expand *e, const Node *n, Value *out)
{
  const axis_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  Value top = reduce(&b, &op_index_max, g_neg(&b, n->in[0]), &a->axis, 0);
  out[0] = g_reshape(&b, g_neg(&b, top), &n->type[0]);
  return true;
}

const OpDef op_axis_max = {
  .name = "axis_max", .doc = "largest number along axes, of each sample",
  .aliases = "amax reduce_max ReduceMax", .formula = "$y[i] = max_j $x[i,j]", .cls = OP_MACRO,
  .flags = OP_LAYER, .operands = "x", .results = "y", .attrs = axis_attr_defs,
  .attrs_size = sizeof(axis_attrs), .positional = 0, .infer = axis_infer,
  .expand = axis_max_expand, .flops = operand_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,5]" }, { "axis=1, keep=true", "x=f32[n,2,3]" },
    { "axis=[0, 2]", "x=f32[n,2,3,2]" }, { "axis=[0, 4]", "x=f32[n,2,3,2,1,3]" }, { 0 }
  },
};

const OpDef op_axis_min = {
  .name = "axis_min", .doc = "smallest number along axes, of each sample",
  .aliases = "amin reduce_min ReduceMin", .formula = "$y[i] = min_j $x[i,j]", .cls = OP_MACRO,
  .flags = OP_LAYER, .operands = "x", .results = "y", .attrs = axis_attr_defs,
  .attrs_size = sizeof(axis_attrs), .positional = 0, .infer = axis_infer,
  .expand = axis_min_expand, .flops = operand_flops,
  .samples = (const OpSample[]){
    { "keep=true", "x=f32[n,5]" }, { "axis=0", "x=f32[n,2,3]" }, { 0 }
  },
};

/* ---- argmax ---- */
static bool argmax_infer(Infer *c, const Node *n, Type *out)
{
  Ints axis = { .n = 1, .at = { ((const argmax_attrs *)n->attrs)->axis } };
  if (!check_axes(c, n, &axis))
    return false;
  *out = reduced_type(&c->in[0], &axis, false);
  return true;
}

static bool argmax_expand(Expand *e, const Node *n, Value *out)
{
  Ints axis = { .n = 1, .at = { ((const argmax_attrs *)n->attrs)->axis } };
  GBuild b = g_in_expand(e);
  out[0] = reduce(&b, &op_index_max, n->in[0], &axis, 1);
  return true;
}

const OpDef op_argmax = {
  .name = "argmax", .doc = "number of the largest element of an axis; the first one on ties",
  .aliases = "ArgMax arg_max", .formula = "$y[i] = argmax_j $x[i,j]", .surrogate = "softmax",
  .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x", .results = "y", .attrs = argmax_attr_defs,
  .attrs_size = sizeof(argmax_attrs), .positional = 1, .infer = argmax_infer,
  .expand = argmax_expand, .flops = operand_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,5]" }, { "axis=1", "x=f32[n,2,3]" }, { 0 } },
};

/* ---- matmul ---- */
static bool matmul_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 2) || !want_reals(c, n))
    return false;
  const Type *x = &c->in[0], *w = &c->in[1];
  if (x->rank != 2 || w->rank != 2 || !(x->batched || w->batched)) {
    infer_error(c, n, "E0202", "needs two matrices, but the operands are %s and %s",
                shape_text(c, x), shape_text(c, w));
    return infer_help(c, "`reshape` makes a matrix; `dense` multiplies by learnt numbers");
  }
  if (x->dim[1] != w->dim[0]) {
    infer_error(c, n, "E0201", "the columns of %s are not the rows of %s", shape_text(c, x),
                shape_text(c, w));
    return infer_help(c, "`transpose` makes columns of rows: x -> transpose");
  }
  *out = type_make(x->dtype, true, 2, (int64_t[]){ x->dim[0], w->dim[1] });
  return want_elems(c, n, out);
}

static bool matmul_expand(Expand *e, const Node *n, Value *out)
{
  const Type *x = value_type(n->in[0]), *w = value_type(n->in[1]);
  GBuild b = g_in_expand(e);
  Nest nest = { .nindex = 3, .rank = 2, .extent = { x->dim[0], w->dim[1], x->dim[1] } };
  add_factor(&nest, x, (int[]){ 0, 2 });
  add_factor(&nest, w, (int[]){ 2, 1 });
  index_attrs a = index_attrs_of(b.graph->arena, &nest, "i j k", false);
  out[0] = g_op(&b, &op_index_sum, &a, n->in, 2);
  return true;
}

static double matmul_flops(const Node *n)
{
  return 2 * flops_elems(n) * (double)value_type(n->in[0])->dim[1];
}

const OpDef op_matmul = {
  .name = "matmul", .doc = "product of two matrices, of each sample",
  .aliases = "bmm mm dot MatMul einsum", .formula = "$r[i,j] = sum_k $x[i,k] * $y[k,j]",
  .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x y", .results = "r", .infer = matmul_infer,
  .expand = matmul_expand, .flops = matmul_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,2,3], y=f32[n,3,4]" }, { "", "x=f32[n,1,5], y=f32[n,5,1]" }, { 0 }
  },
};
