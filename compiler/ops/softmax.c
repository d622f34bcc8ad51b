/* softmax over the classes of a vector, or over the last axis of several; the largest logit is
 * subtracted, so that nothing overflows. */
#include "kernel/rowwise.h"
#include "ops/family.h"
#include <math.h>

static bool softmax_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 1) || !want_real(c, n, 0) || !want_batched(c, n, 0))
    return false;
  if (c->in[0].rank == 1 || c->in[0].rank == 2)
    return infer_same_as(c, n, 0, out);
  infer_error(c, n, "E0202", "needs a vector of classes, but its input is %s",
              shape_text(c, &c->in[0]));
  return c->in[0].rank ? infer_help(c, "insert `flatten` before it") : false;
}

static void softmax_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value y = { (Node *)(uintptr_t)n, 0 };
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_op(&b, &op_softmax_dx, NULL, (Value[]){ dy[0], y }, 2));
}

static void softmax_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t k = in[0]->type.dim[in[0]->type.rank - 1];
  (void)c;
  (void)n;
  for (int64_t s = 0; s < in[0]->n * (in[0]->elems / k); s++) {
    const double *x = in[0]->v + s * k;
    double *y = out[0]->v + s * k, top = x[0], sum = 0;
    for (int64_t i = 1; i < k; i++)
      top = x[i] > top ? x[i] : top;
    for (int64_t i = 0; i < k; i++)
      sum += y[i] = exp(x[i] - top);
    for (int64_t i = 0; i < k; i++)
      y[i] /= sum;
  }
}

static double softmax_flops(const Node *n) { return 23 * flops_elems(n); }

static void softmax_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  row_softmax(l, n, n->in[0]);
}

const OpDef op_softmax = {
  .name = "softmax", .doc = "exp(x) divided by its sum: probabilities of the classes",
  .aliases = "Softmax", .formula = "$y[k] = exp($x[k]) / sum_j exp($x[j])", .cls = OP_NEST,
  .flags = OP_LAYER, .operands = "x", .results = "y", .infer = softmax_infer, .grad = softmax_grad,
  .ref = softmax_ref, .flops = softmax_flops, .plans = row_plans, .lower = softmax_lower,
  .samples = (const OpSample[]){ { "", "x=f32[n,5]" }, { "", "x=f32[n,1]" },
                                { "", "x=f32[n,19,3]" }, { "", "x=f32[n,2,17]" }, { 0 } },
};

static bool softmax_dx_infer(Infer *c, const Node *n, Type *out)
{
  return want_batched(c, n, 0) && infer_like_first(c, n, out);
}

static void softmax_dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t k = in[0]->type.dim[in[0]->type.rank - 1];
  (void)c;
  (void)n;
  for (int64_t s = 0; s < in[0]->n * (in[0]->elems / k); s++) {
    const double *dy = in[0]->v + s * k, *y = in[1]->v + s * k;
    double dot = 0;
    for (int64_t i = 0; i < k; i++)
      dot += dy[i] * y[i];
    for (int64_t i = 0; i < k; i++)
      out[0]->v[s * k + i] = y[i] * (dy[i] - dot);
  }
}

static double softmax_dx_flops(const Node *n) { return 4 * flops_elems(n); }

static void softmax_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  row_softmax_grad(l, n, n->in[0], n->in[1]);
}

const OpDef op_softmax_dx = {
  .name = "softmax_dx", .doc = "gradient of softmax from its result",
  .formula = "$dx[k] = $y[k] * ($dy[k] - sum_j $dy[j] * $y[j])", .cls = OP_NEST, .operands = "dy y",
  .results = "dx", .infer = softmax_dx_infer, .ref = softmax_dx_ref, .flops = softmax_dx_flops,
  .plans = row_plans, .lower = softmax_dx_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,5], y=f32[n,5]" }, { "", "dy=f32[n,1], y=f32[n,1]" },
    { "", "dy=f32[n,19,3], y=f32[n,19,3]" }, { 0 }
  },
};
