/* What compares class numbers with the numbers of the classes: y == k for every class k, with the
 * list 0, 1, .. as a constant, so that it is elementwise and fuses.
 *
 *   one_hot        y[k] = 1 where k is the class, else 0
 *   nll            -weight[y] * x[y] for log-probabilities x
 *   weighted_xent  weight[y] * softmax_xent(x, y)
 *
 * Without `weight` all weights are 1; a sample of class `ignore`, or of none, counts 0. Losses are
 * averaged over all samples: the weights do not divide.
 *
 * Class numbers of several positions, [T], give one row each: [T, classes]; nll then takes the mean
 * over the positions. */
#include "kernel/rowwise.h"
#include "ops/family.h"

#define ONE_HOT(A, op) A(op, int, classes, "0", "how many classes there are; 0: as many as x has")
ATTRS(one_hot, ONE_HOT)

/* The fields of a data set know how many classes, or tokens, their numbers stand for. */
int64_t classes_of_input(const Program *p, Value v)
{
  const Node *n = v.node;
  while (n && n->op->cls == OP_VIEW)
    n = n->in[0].node;
  int64_t field = p && n ? input_field(n) : -1;
  return field >= 0 && field < p->fields.n ? p->fields.at[field].classes : 0;
}

#define WEIGHTED(A, op)                                                 \
  A(op, literal, weight, "",   "a factor for each class")               \
  A(op, int,     ignore, "-1", "a class whose samples add nothing to the sum; -1: none")
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
  if (!want_operands(c, n, 1) || !want_batched(c, n, 0))
    return false;
  classes = classes ? classes : classes_of_input(c->program, n->in[0]);
  if (classes < 1 || classes > CLASSES_MAX)
    return infer_error(c, n, "E0304", "`classes` must be between 1 and %d, not %lld", CLASSES_MAX,
                       (long long)classes);
  *out = c->in[0];
  if (out->rank == RANK_MAX - 1)
    return infer_error(c, n, "E0202", "`x` has too many dimensions: %s", shape_text(c, out));
  out->dtype = c->real;
  out->dim[out->rank++] = classes;
  return want_elems(c, n, out);
}

static bool one_hot_expand(Expand *e, const Node *n, Value *out)
{
  GBuild b = g_in_expand(e);
  const Type *t = &n->type[0];
  one_hot_attrs a = { .classes = t->dim[t->rank - 1] };
  out[0] = t->rank == 1 ? at_class(&b, n->in[0], a.classes, g_const(&b, 1))
                        : g_op(&b, &op_one_hot_rows, &a, n->in, 1);
  return true;
}

static void one_hot_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t classes = n->type[0].dim[n->type[0].rank - 1];
  (void)c;
  for (int64_t i = 0; i < ref_elems(out[0]); i++)
    out[0]->v[i] = in[0]->v[i / classes] == (double)(i % classes);
}

static void one_hot_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  row_one_hot(l, n, n->in[0]);
}

static double one_hot_flops(const Node *n) { return flops_elems(n); }

const OpDef op_one_hot_rows = {
  .name = "one_hot_rows", .doc = "one_hot of the class numbers of several positions",
  .formula = "$y[t,k] = $x[t] == k ? 1 : 0", .cls = OP_NEST, .operands = "x", .results = "y",
  .attrs = one_hot_attr_defs, .attrs_size = sizeof(one_hot_attrs), .infer = one_hot_infer,
  .ref = one_hot_ref, .flops = one_hot_flops, .plans = row_plans, .lower = one_hot_lower,
  .samples = (const OpSample[]){
    { "classes=5", "x=u8[n,3]" }, { "classes=4", "x=i32[n,18]" }, { 0 }
  },
};

const OpDef op_one_hot = {
  .name = "one_hot", .doc = "1 at the place of the class, or of the token, 0 elsewhere",
  .aliases = "OneHot onehot to_categorical", .formula = "$y[k] = $x == k ? 1 : 0",
  .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x", .results = "y",
  .attrs = one_hot_attr_defs, .attrs_size = sizeof(one_hot_attrs), .positional = 1,
  .infer = one_hot_infer, .expand = one_hot_expand,
  .samples = (const OpSample[]){
    { "classes=5", "x=u8[n]" }, { "classes=18", "x=i32[n]" }, { "classes=5", "x=i32[n,17]" },
    { 0 }
  },
};

/* ---- nll, weighted_xent ---- */
static bool weights_fit(Infer *c, const Node *n, Type *out)
{
  const weighted_attrs *a = n->attrs;
  int64_t classes = c->in[0].dim[c->in[0].rank - 1];
  if (classes > CLASSES_MAX)
    return infer_error(c, n, "E0304", "there are more than %d classes", CLASSES_MAX);
  if (a->weight.value && (a->weight.rank != 1 || a->weight.dim[0] != classes))
    return infer_error(c, n, "E0208", "`weight` needs one number for each of the %lld classes",
                       (long long)classes);
  if (a->ignore < -1 || a->ignore >= classes)
    return infer_error(c, n, "E0304",
                       "`ignore` is a class from 0 to %lld, or -1 for none, not %lld",
                       (long long)classes - 1, (long long)a->ignore);
  *out = type_scalar(c->in[0].dtype, true);
  return true;
}

static bool weighted_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 2) || !want_real(c, n, 0) || !want_batched(c, n, 0) ||
      !is_class_number(c, n, 1))
    return false;
  if (c->in[0].rank != 1)
    return infer_error(c, n, "E0202", "needs a vector of classes, but the prediction is %s",
                       shape_text(c, &c->in[0]));
  return weights_fit(c, n, out);
}

/* As weighted, and [T, classes] with class numbers [T]. */
static bool nll_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 2) || !want_real(c, n, 0) || !want_batched(c, n, 0) ||
      c->in[0].rank < 2)
    return weighted_infer(c, n, out);
  Type rows = type_make(c->in[1].dtype, true, c->in[0].rank - 1, c->in[0].dim);
  if (dtype_is_real(c->in[1].dtype) || !type_equal(&rows, &c->in[1]))
    return infer_error(c, n, "E0209", "the target is %s, the prediction is %s",
                       shape_text(c, &c->in[1]), shape_text(c, &c->in[0]));
  return weights_fit(c, n, out);
}
/* A weight for each class, for every row of x. */
static Value weights_of(const GBuild *b, const Node *n)
{
  const weighted_attrs *a = n->attrs;
  const Type *t = value_type(n->in[0]);
  int64_t classes = t->dim[t->rank - 1], elems = type_elems(t);
  double *w = ARENA_ARRAY(b->graph->arena, double, elems);
  for (int64_t i = 0; i < elems; i++)
    w[i] = i % classes == a->ignore ? 0 : a->weight.value ? a->weight.value[i % classes] : 1;
  Literal l = { .rank = t->rank, .value = w };
  for (int i = 0; i < t->rank; i++)
    l.dim[i] = t->dim[i];
  return g_literal(b, l);
}

static bool nll_expand(Expand *e, const Node *n, Value *out)
{
  const weighted_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  Value x = n->in[0];
  const Type *t = value_type(x);
  int64_t classes = t->dim[t->rank - 1];
  if (a->weight.value || a->ignore >= 0)
    x = g_mul(&b, x, weights_of(&b, n));
  if (t->rank == 1) {
    out[0] = g_neg(&b, g_sum(&b, at_class(&b, n->in[1], classes, x)));
    return true;
  }
  one_hot_attrs hot = { .classes = classes };
  Value mine = g_op(&b, &op_one_hot_rows, &hot, &n->in[1], 1);
  Value picked = g_if_eq(&b, mine, g_const(&b, 1), x, g_const(&b, 0));
  out[0] = g_scale(&b, g_sum(&b, picked), -(double)classes / (double)type_elems(t));
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
  .attrs_size = sizeof(weighted_attrs), .positional = 0, .infer = nll_infer,
  .expand = nll_expand, .flops = nll_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=u8[n]" },
    { "weight=[0.5, 2, 1, 3, 1], ignore=2", "x=f32[n,5], y=i32[n]" },
    { "ignore=1", "x=f32[n,3], y=u8[n]" }, { "weight=[0.5, 2, 1]", "x=f32[n,17,3], y=i32[n,17]" },
    { 0 }
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
