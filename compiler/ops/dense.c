/* Fully connected layer, PyTorch's Linear: y = W x + b, the weight stored as [units, inputs]. A
 * sequence [T, inputs] becomes [T, units], step by step. */
#include "kernel/matmul.h"
#include "ops/family.h"

#define DENSE(A, op)                                                                    \
  A(op, int,     units,       "!",       "numbers in the result")                       \
  A(op, flag,    bias,        "true",    "add one learnt number per unit")              \
  A(op, init,    init,        "default", "how the weight starts")                       \
  A(op, init,    bias_init,   "default", "how the bias starts")                         \
  A(op, literal, weight,      "",        "given weight [units, inputs]")                \
  A(op, literal, bias_values, "",        "given bias [units]")                          \
  A(op, flag,    train,       "true",    "false: weight and bias stay as they start")
ATTRS(dense, DENSE)

/* The last axis: of a sequence [T, features] each step goes through the layer by itself. */
static int64_t features(const Type *t) { return t->dim[t->rank - 1]; }

Value g_dense(const GBuild *b, Value x, Value w, Value bias)
{
  dense_attrs a = { .units = value_type(w)->dim[0], .bias = bias.node != NULL, .train = true };
  return g_op(b, &op_dense, &a, (Value[]){ x, w, bias }, bias.node ? 3 : 2);
}

static bool dense_infer(Infer *c, const Node *n, Type *out)
{
  const dense_attrs *a = n->attrs;
  if (a->units < 1 || a->units > INT32_MAX)
    return infer_error(c, n, "E0304", "`units` must be at least 1, not %lld", (long long)a->units);
  if (!want_operands(c, n, 1) || !want_real(c, n, 0) || !want_batched(c, n, 0))
    return false;
  const Type *x = &c->in[0];
  if (x->rank != 1 && x->rank != 2) {
    infer_error(c, n, "E0202", "needs a vector, but its input is %s", shape_text(c, x));
    if (x->rank)
      return infer_help(c, "insert `flatten`: x -> flatten -> dense(%lld)", (long long)a->units);
    return infer_help(c, "make it a vector of one: x -> reshape([1]) -> dense(%lld)",
                      (long long)a->units);
  }
  *out = *x;
  out->dim[x->rank - 1] = a->units;
  if (!want_elems(c, n, out) || !want_operands(c, n, 2))
    return false;
  Type weight = type_make(x->dtype, false, 2, (int64_t[]){ a->units, features(x) });
  if (!type_equal(&weight, &c->in[1]))
    return infer_error(c, n, "E0201", "the weight is %s, but %s is needed here",
                       shape_text(c, &c->in[1]), shape_text(c, &weight));
  Type bias = type_make(x->dtype, false, 1, &a->units);
  if (c->nin > 2 && c->in[2].dtype != DT_COUNT && !type_equal(&bias, &c->in[2]))
    return infer_error(c, n, "E0201", "the bias is %s, but there are %lld units",
                       shape_text(c, &c->in[2]), (long long)a->units);
  return true;
}

/* Makes nothing for an input or options that infer will refuse. */
static void dense_params(Params *p, const Node *n)
{
  const dense_attrs *a = n->attrs;
  const Type *x = &p->in[0];
  if ((x->rank != 1 && x->rank != 2) || a->units < 1)
    return;
  int64_t dim[] = { a->units, features(x) };
  param_add_weight(p, 2, dim, a->weight, a->init, dim[1], dim[0], a->train);
  if (a->bias)
    param_add_bias(p, a->units, a->bias_values, a->bias_init, dim[1], dim[0], a->train);
  else
    param_none(p);
}

static void dense_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_op(&b, &op_dense_dx, NULL, (Value[]){ dy[0], n->in[1] }, 2));
  if (grad_wanted(g, n, 1))
    grad_add(g, n, 1, g_op(&b, &op_dense_dw, NULL, (Value[]){ dy[0], n->in[0] }, 2));
  if (operand_given(n, 2) && grad_wanted(g, n, 2))
    grad_add(g, n, 2, n->type[0].rank > 1 ? g_op(&b, &op_step_sum, NULL, &dy[0], 1)
                                          : g_channel_sum(&b, dy[0]));
}

/* Rows of features of a value with a batch. */
static int64_t rows(const RefTensor *t) { return ref_elems(t) / features(&t->type); }

static void dense_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t units = features(&out[0]->type), inputs = features(&in[0]->type);
  (void)c;
  for (int64_t s = 0; s < rows(in[0]); s++)
    for (int64_t o = 0; o < units; o++) {
      double sum = n->nin > 2 && in[2] ? in[2]->v[o] : 0;
      for (int64_t i = 0; i < inputs; i++)
        sum += in[1]->v[o * inputs + i] * in[0]->v[s * inputs + i];
      out[0]->v[s * units + o] = sum;
    }
}

/* Behind one_hot no products are needed. */
static Value dense_simplify(Graph *g, Node *n)
{
  GBuild b = g_like(g, n);
  Value y = g_columns(&b, n);
  return y.node ? y : (Value){ n, 0 };
}

static double dense_flops(const Node *n)
{
  const Type *y = &n->type[0];
  double units = (double)features(y), bias = operand_given(n, 2) ? flops_elems(n) : 0;
  return 2 * units * (double)value_elems(n->in[0]) + bias;
}

static void dense_plan(Plans *ps, const Node *n) { dense_plans(ps, n, DENSE_FORWARD, 0, 1); }

static void dense_lower(Lower *l, const Node *n, const Plan *p)
{
  dense_forward(l, n, p, n->in[0], n->in[1], operand_given(n, 2) ? n->in[2] : (Value){ NULL, 0 });
}

const OpDef op_dense = {
  .name = "dense", .doc = "fully connected layer: every unit weighs all inputs, plus bias",
  .aliases = "Dense Linear fully_connected fc linear",
  .formula = "$y[o] = sum_i $w[o,i] * $x[i] + $b[o]", .matrix = "$w $x",
  .cls = OP_NEST, .flags = OP_LAYER,
  .operands = "x w b?", .results = "y", .attrs = dense_attr_defs, .attrs_size = sizeof(dense_attrs),
  .positional = 1, .infer = dense_infer, .params = dense_params, .grad = dense_grad,
  .simplify = dense_simplify, .ref = dense_ref, .flops = dense_flops, .plans = dense_plan,
  .lower = dense_lower,
  .samples = (const OpSample[]){
    { "units=3", "x=f32[n,5]" }, { "units=1, bias=false", "x=f32[n,7]" },
    { "units=3", "x=f32[n,4,5]" }, { "units=17, bias=false", "x=f32[n,1,18]" },
    { "units=33", "x=f32[n,19,20]" }, { 0 }
  },
};

/* ---- dense_dx ---- */
static bool dense_dx_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 2) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  const Type *dy = &c->in[0], *w = &c->in[1];
  if (dy->rank < 1 || dy->rank > 2 || w->rank != 2 || w->dim[0] != features(dy))
    return infer_error(c, n, "E0201", "dy and w do not belong to one dense layer");
  *out = *dy;
  out->dim[dy->rank - 1] = w->dim[1];
  return want_elems(c, n, out);
}

static void dense_dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t units = features(&in[0]->type), inputs = features(&out[0]->type);
  (void)c;
  (void)n;
  for (int64_t s = 0; s < rows(in[0]); s++)
    for (int64_t i = 0; i < inputs; i++) {
      double sum = 0;
      for (int64_t o = 0; o < units; o++)
        sum += in[1]->v[o * inputs + i] * in[0]->v[s * units + o];
      out[0]->v[s * inputs + i] = sum;
    }
}

static double dense_dx_flops(const Node *n)
{
  return 2 * flops_elems(n) * (double)features(value_type(n->in[0]));
}

static void dense_dx_plan(Plans *ps, const Node *n) { dense_plans(ps, n, DENSE_INPUT_GRAD, 0, 1); }

static void dense_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  dense_input_grad(l, n, p, n->in[0], n->in[1]);
}

const OpDef op_dense_dx = {
  .name = "dense_dx", .doc = "gradient of dense towards its input",
  .formula = "$dx[i] = sum_o $w[o,i] * $dy[o]", .matrix = "$w^T $dy",
  .cls = OP_NEST, .operands = "dy w", .results = "dx",
  .infer = dense_dx_infer, .ref = dense_dx_ref, .flops = dense_dx_flops, .plans = dense_dx_plan,
  .lower = dense_dx_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,3], w=f32[3,5]" }, { "", "dy=f32[n,1], w=f32[1,7]" },
    { "", "dy=f32[n,4,3], w=f32[3,5]" }, { "", "dy=f32[n,19,33], w=f32[33,20]" }, { 0 }
  },
};

/* ---- dense_dw ---- */
static bool dense_dw_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 2) || !want_reals(c, n) || !want_batched(c, n, 0) ||
      !want_batched(c, n, 1))
    return false;
  const Type *dy = &c->in[0], *x = &c->in[1];
  if (dy->rank < 1 || dy->rank > 2 || x->rank != dy->rank ||
      (dy->rank == 2 && dy->dim[0] != x->dim[0]))
    return infer_error(c, n, "E0201", "dy and x do not belong to one dense layer");
  *out = type_make(dy->dtype, false, 2, (int64_t[]){ features(dy), features(x) });
  return want_elems(c, n, out);
}

static void dense_dw_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t units = features(&in[0]->type), inputs = features(&in[1]->type);
  (void)c;
  (void)n;
  for (int64_t o = 0; o < units; o++)
    for (int64_t i = 0; i < inputs; i++) {
      double sum = 0;
      for (int64_t s = 0; s < rows(in[0]); s++)
        sum += in[0]->v[s * units + o] * in[1]->v[s * inputs + i];
      out[0]->v[o * inputs + i] = sum;
    }
}

static Value dense_dw_simplify(Graph *g, Node *n)
{
  GBuild b = g_like(g, n);
  Value dw = g_columns_dw(&b, n->in[0], n->in[1]);
  return dw.node ? dw : (Value){ n, 0 };
}

static double dense_dw_flops(const Node *n)
{
  const Type *dy = value_type(n->in[0]);
  return 2 * flops_elems(n) * (double)(dy->rank > 1 ? dy->dim[0] : 1);
}

static void dense_dw_plan(Plans *ps, const Node *n) { dense_plans(ps, n, DENSE_WEIGHT_GRAD, 0, 1); }

static void dense_dw_lower(Lower *l, const Node *n, const Plan *p)
{
  dense_weight_grad(l, n, p, n->in[0], n->in[1]);
}

const OpDef op_dense_dw = {
  .name = "dense_dw", .doc = "gradient of dense towards its weight",
  .formula = "$dw[o,i] = sum_n $dy[n,o] * $x[n,i]", .matrix = "sum_n $dy $x^T",
  .cls = OP_NEST, .operands = "dy x",
  .results = "dw", .infer = dense_dw_infer, .simplify = dense_dw_simplify, .ref = dense_dw_ref,
  .flops = dense_dw_flops,
  .plans = dense_dw_plan, .lower = dense_dw_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,3], x=f32[n,5]" }, { "", "dy=f32[n,1], x=f32[n,7]" },
    { "", "dy=f32[n,4,3], x=f32[n,4,5]" }, { "", "dy=f32[n,2,17], x=f32[n,2,34]" }, { 0 }
  },
};
