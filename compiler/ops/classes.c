/* What compares class numbers with the numbers of the classes: y == k for every class k, with the
 * list 0, 1, .. as a constant, so that it is elementwise and fuses.
 *
 *   one_hot        y[k] = 1 where k is the class, else 0
 *   nll            -weight[y] * x[y] for log-probabilities x
 *   weighted_xent  weight[y] * softmax_xent(x, y)
 *
 * Without `weight` all weights are 1; a sample of class `ignore`, or of none, counts 0. Losses are
 * averaged over all samples: the weights do not divide. */
#include "ops/family.h"

#define ONE_HOT(A, op) A(op, int, classes, "!", "how many classes there are")
ATTRS(one_hot, ONE_HOT)

#define WEIGHTED(A, op)                                                 \
  A(op, literal, weight, "",   "a factor for each class")               \
  A(op, int,     ignore, "-1", "a class whose samples count nothing; -1: none")
ATTRS(weighted, WEIGHTED)

enum { CLASSES_MAX = 1 << 16 };

/* ---- shared ---- */
static bool is_class_number(Infer *c, const Node *n, uint32_t i)
{
  if (!want_operands(c, n, i + 1) || !want_batched(c, n, i))
    return false;
  if (c->in[i].rank == 0)
    return true;
  infer_error(c, n, "E0202", "`%s` must be one class number a sample, but is %s",
              op_operand_name(n->op, c->arena, i), shape_text(c, &c->in[i]));
  return infer_help(c, "declare the field as a label: 'field y: u8 as label(10)'");
}

/* y == k ? x : 0 for every class k. */
static Value at_class(const GBuild *b, Value y, int64_t classes, Value x)
{
  double *number = ARENA_ARRAY(b->graph->arena, double, classes);
  for (int64_t k = 0; k < classes; k++)
    number[k] = (double)k;
  Value numbers = g_literal(b, (Literal){ .rank = 1, .dim = { classes }, .value = number });
  Value real = g_cast(b, y, b->graph->program->real);
  return g_if_eq(b, real, numbers, x, g_const(b, 0));
}

/* ---- one_hot ---- */
static bool one_hot_infer(Infer *c, const Node *n, Type *out)
{
  int64_t classes = ((const one_hot_attrs *)n->attrs)->classes;
  if (classes < 1 || classes > CLASSES_MAX)
    return infer_error(c, n, "E0304", "`classes` must be between 1 and %d, not %lld", CLASSES_MAX,
                       (long long)classes);
  *out = type_make(c->real, true, 1, &classes);
  return is_class_number(c, n, 0);
}

static bool one_hot_expand(Expand *e, const Node *n, Value *out)
{
  GBuild b = g_in_expand(e);
  int64_t classes = ((const one_hot_attrs *)n->attrs)->classes;
  out[0] = at_class(&b, n->in[0], classes, g_const(&b, 1));
  return true;
}

const OpDef op_one_hot = {
  .name = "one_hot", .doc = "1 at the place of the class, 0 elsewhere",
  .aliases = "OneHot onehot to_categorical", .formula = "$y[k] = $x == k ? 1 : 0",
  .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x", .results = "y",
  .attrs = one_hot_attr_defs, .attrs_size = sizeof(one_hot_attrs), .positional = 1,
  .infer = one_hot_infer, .expand = one_hot_expand,
  .samples = (const OpSample[]){
    { "classes=5", "x=u8[n]" }, { "classes=18", "x=i32[n]" }, { 0 }
  },
};

/* ---- nll, weighted_xent ---- */
static bool weighted_infer(Infer *c, const Node *n, Type *out)
{
  const weighted_attrs *a = n->attrs;
  if (!want_operands(c, n, 2) || !want_real(c, n, 0) || !want_batched(c, n, 0) ||
      !is_class_number(c, n, 1))
    return false;
  if (c->in[0].rank != 1)
    return infer_error(c, n, "E0202", "needs a vector of classes, but the prediction is %s",
                       shape_text(c, &c->in[0]));
  int64_t classes = c->in[0].dim[0];
  if (classes > CLASSES_MAX)
    return infer_error(c, n, "E0304", "there are more than %d classes", CLASSES_MAX);
  if (a->weight.value && (a->weight.rank != 1 || a->weight.dim[0] != classes))
    return infer_error(c, n, "E0208", "`weight` needs one number for each of the %lld classes",
                       (long long)classes);
  *out = type_scalar(c->in[0].dtype, true);
  return true;
}

static Value weights_of(const GBuild *b, const Node *n)
{
  const weighted_attrs *a = n->attrs;
  int64_t classes = value_type(n->in[0])->dim[0];
  double *w = ARENA_ARRAY(b->graph->arena, double, classes);
  for (int64_t k = 0; k < classes; k++)
    w[k] = k == a->ignore ? 0 : a->weight.value ? a->weight.value[k] : 1;
  return g_literal(b, (Literal){ .rank = 1, .dim = { classes }, .value = w });
}

static bool nll_expand(Expand *e, const Node *n, Value *out)
{
  const weighted_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  Value x = n->in[0];
  if (a->weight.value || a->ignore >= 0)
    x = g_mul(&b, x, weights_of(&b, n));
  out[0] = g_neg(&b, g_sum(&b, at_class(&b, n->in[1], value_type(x)->dim[0], x)));
  return true;
}

static bool weighted_xent_expand(Expand *e, const Node *n, Value *out)
{
  GBuild b = g_in_expand(e);
  int64_t classes = value_type(n->in[0])->dim[0];
  Value weight = g_sum(&b, at_class(&b, n->in[1], classes, weights_of(&b, n)));
  out[0] = g_mul(&b, g_op(&b, &op_softmax_xent, NULL, n->in, 2), weight);
  return true;
}

static double nll_flops(const Node *n) { return 3 * (double)value_elems(n->in[0]); }
static double weighted_xent_flops(const Node *n) { return 26 * (double)value_elems(n->in[0]); }

const OpDef op_nll = {
  .name = "nll", .doc = "negative log-likelihood of the class, from log-probabilities",
  .aliases = "NLLLoss nll_loss", .formula = "$l = -weight[$y] * $x[$y]", .cls = OP_MACRO,
  .flags = OP_LOSS, .operands = "x y", .results = "l", .attrs = weighted_attr_defs,
  .attrs_size = sizeof(weighted_attrs), .positional = 0, .infer = weighted_infer,
  .expand = nll_expand, .flops = nll_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=u8[n]" },
    { "weight=[0.5, 2, 1, 3, 1], ignore=2", "x=f32[n,5], y=i32[n]" },
    { "ignore=1", "x=f32[n,3], y=u8[n]" }, { 0 }
  },
};

const OpDef op_weighted_xent = {
  .name = "weighted_xent", .link = "softmax",
  .doc = "cross-entropy of softmax(logits) with class numbers, each class with a weight",
  .aliases = "weighted_cross_entropy class_weight",
  .formula = "$l = -weight[$y] * log(softmax($x)[$y])", .cls = OP_MACRO, .flags = OP_LOSS,
  .operands = "x y", .results = "l", .attrs = weighted_attr_defs,
  .attrs_size = sizeof(weighted_attrs), .positional = 0, .infer = weighted_infer,
  .expand = weighted_xent_expand, .flops = weighted_xent_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=u8[n]" },
    { "weight=[0.5, 2, 1, 3, 1], ignore=2", "x=f32[n,5], y=i32[n]" },
    { "ignore=1", "x=f32[n,3], y=u8[n]" }, { 0 }
  },
};
