/* Sums. The order of additions is part of the contract and the same for every machine and thread
 * count: over samples, 16 virtual lanes hold the samples whose number mod 16 is the lane, groups of
 * 16 are added ascending, then the lanes by halving; elements are added in canonical order. The
 * reference adds naively. */
#include "kernel/reduce.h"
#include "kernel/rowwise.h"
#include "ops/family.h"

static double operand_flops(const Node *n) { return (double)value_elems(n->in[0]); }

/* ---- row_sum ---- */
static bool row_sum_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 1) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  if (c->in[0].rank < 2)
    return infer_error(c, n, "E0202", "needs rows, but x is %s", shape_text(c, &c->in[0]));
  *out = c->in[0];
  out->dim[out->rank - 1] = 1;
  return true;
}

static void row_sum_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t rows = in[0]->n * out[0]->elems, width = in[0]->elems / out[0]->elems;
  (void)c;
  (void)n;
  for (int64_t r = 0; r < rows; r++) {
    out[0]->v[r] = 0;
    for (int64_t j = 0; j < width; j++)
      out[0]->v[r] += in[0]->v[r * width + j];
  }
}

/* Each number of a row gets the gradient of its sum. */
static void row_sum_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  const Type *x = value_type(n->in[0]);
  if (!grad_wanted(g, n, 0))
    return;
  int64_t rows = type_elems(&n->type[0]), dim[] = { rows, type_elems(x) / rows };
  Type column = type_make(x->dtype, true, 1, dim), matrix = type_make(x->dtype, true, 2, dim);
  Value each = g_spread(&b, g_reshape(&b, dy[0], &column), &matrix);
  grad_add(g, n, 0, g_reshape(&b, each, x));
}

static void row_sum_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  reduce_rows(l, n);
}

const OpDef op_row_sum = {
  .name = "row_sum", .doc = "sum over the last axis", .formula = "$y[n,c,i] = sum_j $x[n,c,i,j]",
  .cls = OP_NEST, .operands = "x", .results = "y", .infer = row_sum_infer, .grad = row_sum_grad,
  .ref = row_sum_ref, .flops = operand_flops, .plans = row_sum_plans, .lower = row_sum_lower,
  .row = reduce_row,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3,2]" }, { "", "x=f32[n,2,3,5]" }, { "", "x=f32[n,2,3,1]" }, { 0 }
  },
};

/* ---- channel_sum: the gradient of a bias ---- */
static bool channel_sum_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 1) || !want_reals(c, n))
    return false;
  if (c->in[0].rank < 1)
    return infer_error(c, n, "E0202", "needs channels, but x is a number");
  *out = type_make(c->in[0].dtype, false, 1, c->in[0].dim);
  return true;
}

static void spread_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_spread(&b, dy[0], value_type(n->in[0])));
}

static void channel_sum_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t channels = out[0]->elems, space = in[0]->elems / channels;
  (void)c;
  (void)n;
  for (int64_t k = 0; k < channels; k++) {
    double sum = 0;
    for (int64_t i = 0; i < in[0]->n; i++)
      for (int64_t j = 0; j < space; j++)
        sum += in[0]->v[(i * channels + k) * space + j];
    out[0]->v[k] = sum;
  }
}

static void channel_sum_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  reduce_channels(l, n, n->in[0]);
}

const OpDef op_channel_sum = {
  .name = "channel_sum", .doc = "sum over samples and space, one number per channel",
  .formula = "$y[c] = sum_{n,i,j} $x[n,c,i,j]", .matrix = "sum_n $x",
  .cls = OP_NEST, .operands = "x", .results = "y",
  .infer = channel_sum_infer, .grad = spread_grad, .ref = channel_sum_ref, .flops = operand_flops,
  .plans = channel_plans, .lower = channel_sum_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3]" }, { "", "x=f32[n,2,3,5]" }, { "", "x=f32[2,3]" }, { 0 }
  },
};

/* ---- batch_sum, batch_mean ---- */
static bool batch_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 1) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  *out = c->in[0];
  out->batched = false;
  return true;
}

static void batch_sum_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  (void)c;
  for (int64_t j = 0; j < out[0]->elems; j++) {
    double sum = 0;
    for (int64_t i = 0; i < in[0]->n; i++)
      sum += in[0]->v[i * in[0]->elems + j];
    out[0]->v[j] = n->op == &op_batch_mean ? sum / (double)in[0]->n : sum;
  }
}

static void batch_mean_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_spread(&b, g_div(&b, dy[0], g_arg(&b, ARG_N)), value_type(n->in[0])));
}

static void batch_sum_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  reduce_batch(l, n, n->in[0], n->op == &op_batch_mean);
}

const OpDef op_batch_sum = {
  .name = "batch_sum", .doc = "sum over the samples of the batch", .formula = "$y = sum_n $x[n]",
  .cls = OP_NEST, .operands = "x", .results = "y", .infer = batch_infer, .grad = spread_grad,
  .ref = batch_sum_ref, .flops = operand_flops, .plans = batch_plans, .lower = batch_sum_lower,
  .samples = (const OpSample[]){ { "", "x=f32[n]" }, { "", "x=f32[n,2,3]" }, { 0 } },
};

const OpDef op_batch_mean = {
  .name = "batch_mean", .doc = "mean over the n samples of the batch, the last partial one too",
  .formula = "$y = (sum_n $x[n]) / n", .cls = OP_NEST, .operands = "x", .results = "y",
  .infer = batch_infer, .grad = batch_mean_grad, .ref = batch_sum_ref, .flops = operand_flops,
  .plans = batch_plans, .lower = batch_sum_lower,
  .samples = (const OpSample[]){ { "", "x=f32[n]" }, { "", "x=f32[n,2,3]" }, { 0 } },
};

/* ---- sum ---- */
static bool sum_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 1) || !want_reals(c, n))
    return false;
  *out = type_scalar(c->in[0].dtype, c->in[0].batched);
  return true;
}

static void sum_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  (void)c;
  (void)n;
  for (int64_t i = 0; i < out[0]->n; i++) {
    double sum = 0;
    for (int64_t j = 0; j < in[0]->elems; j++)
      sum += in[0]->v[i * in[0]->elems + j];
    out[0]->v[i] = sum;
  }
}

static void sum_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  reduce_elements(l, n, n->in[0], n->op == &op_sumsq);
}

const OpDef op_sum = {
  .name = "sum", .doc = "sum of a tensor's elements, for each sample when there is a batch",
  .formula = "$y = sum_j $x[j]", .cls = OP_NEST, .operands = "x", .results = "y",
  .infer = sum_infer, .grad = spread_grad, .ref = sum_ref, .flops = operand_flops,
  .plans = row_plans, .lower = sum_lower,
  .samples = (const OpSample[]){ { "", "x=f32[n,2,3]" }, { "", "x=f32[5]" }, { 0 } },
};

/* ---- sumsq ---- */
static bool sumsq_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 1) || !want_reals(c, n))
    return false;
  if (c->in[0].batched)
    return infer_error(c, n, "E0202", "needs a tensor without a batch");
  *out = type_scalar(c->in[0].dtype, false);
  return true;
}

static void sumsq_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_mul(&b, g_scale(&b, n->in[0], 2), dy[0]));
}

static void sumsq_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  double sum = 0;
  (void)c;
  (void)n;
  for (int64_t j = 0; j < in[0]->elems; j++)
    sum += in[0]->v[j] * in[0]->v[j];
  out[0]->v[0] = sum;
}

static double sumsq_flops(const Node *n) { return 2 * operand_flops(n); }

const OpDef op_sumsq = {
  .name = "sumsq", .doc = "sum of the squares of a tensor's elements, for gradient clipping",
  .formula = "$y = sum_j $x[j]^2", .cls = OP_NEST, .operands = "x", .results = "y",
  .infer = sumsq_infer, .grad = sumsq_grad, .ref = sumsq_ref, .flops = sumsq_flops,
  .plans = channel_plans, .lower = sum_lower,
  .samples = (const OpSample[]){ { "", "x=f32[2,3]" }, { "", "x=f32[7]" }, { 0 } },
};
