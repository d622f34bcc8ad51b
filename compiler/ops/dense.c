/* Fully connected layer, PyTorch's Linear: y = W x + b, the weight stored as [units, inputs]. */
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

static bool dense_infer(Infer *c, const Node *n, Type *out)
{
  const dense_attrs *a = n->attrs;
  if (a->units < 1 || a->units > INT32_MAX)
    return infer_error(c, n, "E0304", "`units` must be at least 1, not %lld", (long long)a->units);
  if (!want_operands(c, n, 1) || !want_real(c, n, 0) || !want_batched(c, n, 0))
    return false;
  const Type *x = &c->in[0];
  if (x->rank != 1) {
    infer_error(c, n, "E0202", "needs a vector, but its input is %s", shape_text(c, x));
    if (x->rank)
      return infer_help(c, "insert `flatten`: x -> flatten -> dense(%lld)", (long long)a->units);
    return infer_help(c, "make it a vector of one: x -> reshape([1]) -> dense(%lld)",
                      (long long)a->units);
  }
  *out = type_make(x->dtype, true, 1, &a->units);
  if (!want_operands(c, n, 2))
    return false;
  Type weight = type_make(x->dtype, false, 2, (int64_t[]){ a->units, x->dim[0] });
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
  if (x->rank != 1 || a->units < 1)
    return;
  int64_t dim[] = { a->units, x->dim[0] };
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
    grad_add(g, n, 2, g_channel_sum(&b, dy[0]));
}

static void dense_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t units = out[0]->elems, inputs = in[0]->elems;
  (void)c;
  for (int64_t s = 0; s < in[0]->n; s++)
    for (int64_t o = 0; o < units; o++) {
      double sum = n->nin > 2 && in[2] ? in[2]->v[o] : 0;
      for (int64_t i = 0; i < inputs; i++)
        sum += in[1]->v[o * inputs + i] * in[0]->v[s * inputs + i];
      out[0]->v[s * units + o] = sum;
    }
}

static double dense_flops(const Node *n)
{
  double units = (double)n->type[0].dim[0];
  return 2 * units * (double)value_elems(n->in[0]) + (operand_given(n, 2) ? units : 0);
}

static void dense_plan(Plans *ps, const Node *n) { dense_plans(ps, n, DENSE_FORWARD, 0, 1); }

static void dense_lower(Lower *l, const Node *n, const Plan *p)
{
  dense_forward(l, n, p, n->in[0], n->in[1], operand_given(n, 2) ? n->in[2] : (Value){ NULL, 0 });
}

const OpDef op_dense = {
  .name = "dense", .doc = "fully connected layer: every unit weighs all inputs, plus bias",
  .aliases = "Dense Linear fully_connected fc linear",
  .formula = "$y[o] = sum_i $w[o,i] * $x[i] + $b[o]", .cls = OP_NEST, .flags = OP_LAYER,
  .operands = "x w b?", .results = "y", .attrs = dense_attr_defs, .attrs_size = sizeof(dense_attrs),
  .positional = 1, .infer = dense_infer, .params = dense_params, .grad = dense_grad,
  .ref = dense_ref, .flops = dense_flops, .plans = dense_plan, .lower = dense_lower,
  .samples = (const OpSample[]){
    { "units=3", "x=f32[n,5]" }, { "units=1, bias=false", "x=f32[n,7]" }, { 0 }
  },
};

/* ---- dense_dx ---- */
static bool dense_dx_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 2) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  if (c->in[0].rank != 1 || c->in[1].rank != 2 || c->in[1].dim[0] != c->in[0].dim[0])
    return infer_error(c, n, "E0201", "dy and w do not belong to one dense layer");
  *out = type_make(c->in[0].dtype, true, 1, &c->in[1].dim[1]);
  return true;
}

static void dense_dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t units = in[0]->elems, inputs = out[0]->elems;
  (void)c;
  (void)n;
  for (int64_t s = 0; s < in[0]->n; s++)
    for (int64_t i = 0; i < inputs; i++) {
      double sum = 0;
      for (int64_t o = 0; o < units; o++)
        sum += in[1]->v[o * inputs + i] * in[0]->v[s * units + o];
      out[0]->v[s * inputs + i] = sum;
    }
}

static double dense_dx_flops(const Node *n) { return 2 * (double)value_elems(n->in[1]); }

static void dense_dx_plan(Plans *ps, const Node *n) { dense_plans(ps, n, DENSE_INPUT_GRAD, 0, 1); }

static void dense_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  dense_input_grad(l, n, p, n->in[0], n->in[1]);
}

const OpDef op_dense_dx = {
  .name = "dense_dx", .doc = "gradient of dense towards its input",
  .formula = "$dx[i] = sum_o $w[o,i] * $dy[o]", .cls = OP_NEST, .operands = "dy w", .results = "dx",
  .infer = dense_dx_infer, .ref = dense_dx_ref, .flops = dense_dx_flops, .plans = dense_dx_plan,
  .lower = dense_dx_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,3], w=f32[3,5]" }, { "", "dy=f32[n,1], w=f32[1,7]" }, { 0 }
  },
};

/* ---- dense_dw ---- */
static bool dense_dw_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 2) || !want_reals(c, n) || !want_batched(c, n, 0) ||
      !want_batched(c, n, 1))
    return false;
  if (c->in[0].rank != 1 || c->in[1].rank != 1)
    return infer_error(c, n, "E0201", "dy and x do not belong to one dense layer");
  *out = type_make(c->in[0].dtype, false, 2, (int64_t[]){ c->in[0].dim[0], c->in[1].dim[0] });
  return want_elems(c, n, out);
}

static void dense_dw_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t units = in[0]->elems, inputs = in[1]->elems;
  (void)c;
  (void)n;
  for (int64_t o = 0; o < units; o++)
    for (int64_t i = 0; i < inputs; i++) {
      double sum = 0;
      for (int64_t s = 0; s < in[0]->n; s++)
        sum += in[0]->v[s * units + o] * in[1]->v[s * inputs + i];
      out[0]->v[o * inputs + i] = sum;
    }
}

static double dense_dw_flops(const Node *n) { return 2 * flops_elems(n); }

static void dense_dw_plan(Plans *ps, const Node *n) { dense_plans(ps, n, DENSE_WEIGHT_GRAD, 0, 1); }

static void dense_dw_lower(Lower *l, const Node *n, const Plan *p)
{
  dense_weight_grad(l, n, p, n->in[0], n->in[1]);
}

const OpDef op_dense_dw = {
  .name = "dense_dw", .doc = "gradient of dense towards its weight",
  .formula = "$dw[o,i] = sum_n $dy[n,o] * $x[n,i]", .cls = OP_NEST, .operands = "dy x",
  .results = "dw", .infer = dense_dw_infer, .ref = dense_dw_ref, .flops = dense_dw_flops,
  .plans = dense_dw_plan, .lower = dense_dw_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,3], x=f32[n,5]" }, { "", "dy=f32[n,1], x=f32[n,7]" }, { 0 }
  },
};
