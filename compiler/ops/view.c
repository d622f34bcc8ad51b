/* Views: the same elements in the same order under another shape. Images flatten channel by
 * channel, as in PyTorch. A view of a view is one view; a view to the own shape is none. */
#include "ops/family.h"

#define RESHAPE(A, op)                                                                  \
  A(op, ints, shape, "!", "dims of the result, without the batch; -1: what is left")
ATTRS(reshape, RESHAPE)

Value g_reshape(const GBuild *b, Value x, const Type *like)
{
  if (value_type(x)->rank == like->rank) {
    bool same = true;
    for (int i = 0; i < like->rank; i++)
      same = same && value_type(x)->dim[i] == like->dim[i];
    if (same)
      return x;
  }
  reshape_attrs a = { .shape = { .n = like->rank } };
  for (int i = 0; i < like->rank; i++)
    a.shape.at[i] = like->dim[i];
  return g_op(b, &op_reshape, &a, &x, 1);
}

static void view_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_reshape(&b, dy[0], value_type(n->in[0])));
}

static Value view_simplify(Graph *g, Node *n)
{
  Value x = n->in[0];
  if (type_equal(value_type(x), &n->type[0]))
    return x;
  if (x.node->op->cls != OP_VIEW)
    return (Value){ n, 0 };
  GBuild b = g_like(g, n);
  return g_reshape(&b, x.node->in[0], &n->type[0]);
}

static double view_flops(const Node *n) { (void)n; return 0; }

/* ---- flatten ---- */
static bool flatten_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 1))
    return false;
  int64_t elems = type_elems(&c->in[0]);
  *out = type_make(c->in[0].dtype, c->in[0].batched, 1, &elems);
  return elems >= 0 || want_elems(c, n, &c->in[0]);
}

const OpDef op_flatten = {
  .name = "flatten", .doc = "an image or any tensor as one vector, channel by channel, row by row",
  .aliases = "Flatten ravel", .formula = "$y = $x", .cls = OP_VIEW, .flags = OP_LAYER,
  .operands = "x", .results = "y", .infer = flatten_infer, .grad = view_grad,
  .simplify = view_simplify, .flops = view_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,2,3,5]" }, { "", "x=f32[n,7]" }, { "", "x=f32[n]" },
    { "", "x=f32[n,2,3,1,2,2]" }, { "", "x=f32[n,17,1,2,1,3,1,2,2]" }, { 0 }
  },
};

/* ---- reshape ---- */
/* Puts what is left of x's numbers in the place of a dimension of -1. false: reported. */
static bool fill_shape(Infer *c, const Node *n, Ints *shape)
{
  int open = -1;
  for (int i = 0; i < shape->n; i++) {
    if (shape->at[i] < 1 && (shape->at[i] != -1 || open >= 0))
      return infer_error(c, n, "E0304", "a dimension must be at least 1, or one of them -1 for "
                         "what is left, not %lld", (long long)shape->at[i]);
    open = shape->at[i] == -1 ? i : open;
  }
  if (open < 0)
    return true;
  shape->at[open] = 1;
  Type rest = type_make(c->in[0].dtype, false, shape->n, shape->at);
  int64_t from = type_elems(&c->in[0]), each = type_elems(&rest);
  if (from < 0 || each < 0)
    return want_elems(c, n, from < 0 ? &c->in[0] : &rest);
  if (from % each)
    return infer_error(c, n, "E0206", "%s holds %lld numbers, no multiple of the other dimensions' "
                       "%lld", shape_text(c, &c->in[0]), (long long)from, (long long)each);
  shape->at[open] = from / each;
  return true;
}

static bool reshape_infer(Infer *c, const Node *n, Type *out)
{
  Ints shape = ((const reshape_attrs *)n->attrs)->shape;
  if (!want_operands(c, n, 1) || !fill_shape(c, n, &shape))
    return false;
  *out = type_make(c->in[0].dtype, c->in[0].batched, shape.n, shape.at);
  int64_t from = type_elems(&c->in[0]), to = type_elems(out);
  if (from == to && from >= 0)
    return true;
  return infer_error(c, n, "E0206", "%s holds %lld numbers, %s holds %lld",
                     shape_text(c, &c->in[0]), (long long)from, shape_text(c, out), (long long)to);
}

const OpDef op_reshape = {
  .name = "reshape", .doc = "the same numbers in the same order under another shape",
  .aliases = "Reshape view Unflatten", .formula = "$y = $x", .cls = OP_VIEW, .flags = OP_LAYER,
  .operands = "x", .results = "y", .attrs = reshape_attr_defs, .attrs_size = sizeof(reshape_attrs),
  .positional = 1, .infer = reshape_infer, .grad = view_grad, .simplify = view_simplify,
  .flops = view_flops,
  .samples = (const OpSample[]){
    { "shape=[3, 2, 5]", "x=f32[n,2,3,5]" }, { "shape=[6]", "x=f32[n,2,3]" },
    { "shape=[17, 2, 3, 1, 2]", "x=f32[n,3,34,2]" }, { "shape=[3, -1]", "x=f32[n,2,3,5]" },
    { "shape=[2, 1, 3, 2, 1, 2, 1, 5]", "x=f32[n,4,3,2,1,5]" }, { 0 }
  },
};

/* ---- recall ---- */
static bool recall_infer(Infer *c, const Node *n, Type *out)
{
  return want_operands(c, n, 1) && infer_same_as(c, n, 0, out);
}

const OpDef op_recall = {
  .name = "recall", .doc = "what an earlier kernel stored: what reads it joins a later kernel",
  .formula = "$y = $x", .cls = OP_VIEW, .operands = "x", .results = "y", .infer = recall_infer,
  .grad = view_grad, .flops = view_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,2,3]" }, { "", "x=f32[n,5]" }, { 0 } },
};
