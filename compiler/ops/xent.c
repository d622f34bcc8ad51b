/* Cross-entropy between softmax(logits) and a target, from the logits: log(softmax) is never
 * formed.
 *
 * The target y is a class number, or a probability for each class. With q = y as probabilities
 * (one-hot for a number), smoothed to q' = (1 - e) q + e/K: loss = lse * sum_k q'[k] - sum_k q'[k]
 * * x[k],   lse = log sum_k exp(x[k]), the maximum taken out dx[k] = dy * (softmax(x)[k] * sum_j
 * q'[j] - q'[k]) One value per sample, as PyTorch's cross_entropy with reduction='none'.
 *
 * Logits of several positions, [T, K] with class numbers [T], give the mean over the T positions;
 * one whose class number is negative adds 0 to it. */
#include "kernel/rowwise.h"
#include "ops/family.h"
#include <math.h>

#define XENT(A, op) A(op, real, smoothing, "0", "share of the target spread over all classes")
ATTRS(softmax_xent, XENT)

/* Operands logits and y from position `first`. */
static bool check(Infer *c, const Node *n, uint32_t first)
{
  const softmax_xent_attrs *a = n->attrs;
  if (!want_operands(c, n, first + 2) || !want_real(c, n, first) || !want_batched(c, n, first) ||
      !want_batched(c, n, first + 1) || !want_fraction(c, n, "`smoothing`", a->smoothing))
    return false;
  const Type *x = &c->in[first], *y = &c->in[first + 1];
  if (x->rank < 1) {
    infer_error(c, n, "E0202", "needs a vector of logits, but gets %s", shape_text(c, x));
    return infer_help(c, "insert `flatten` and a dense layer with one unit per class");
  }
  Type rows = type_make(y->dtype, true, x->rank - 1, x->dim);
  if (dtype_is_real(y->dtype) ? type_equal(x, y) : type_equal(&rows, y))
    return true;
  if (x->rank > 1 && y->rank == 0) {
    infer_error(c, n, "E0202", "needs a vector of logits, but gets %s", shape_text(c, x));
    return infer_help(c, "insert `flatten` and a dense layer with one unit per class");
  }
  infer_error(c, n, "E0209", "the target is %s of %s, the logits are %s", shape_text(c, y),
              dtype_text(y->dtype), shape_text(c, x));
  return infer_help(c, "the target is a class number ('as label(%lld)') or %lld probabilities",
                    (long long)x->dim[x->rank - 1], (long long)x->dim[x->rank - 1]);
}

static bool xent_infer(Infer *c, const Node *n, Type *out)
{
  if (!check(c, n, 0))
    return false;
  *out = type_scalar(c->in[0].dtype, true);
  return true;
}

static void xent_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value in[] = { dy[0], n->in[0], n->in[1] };
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_op(&b, &op_softmax_xent_dx, n->attrs, in, 3));
  if (dtype_is_real(value_type(n->in[1])->dtype) && grad_wanted(g, n, 1))
    grad_add(g, n, 1, g_op(&b, &op_softmax_xent_dt, n->attrs, in, 2));
}

/* Classes of a row, rows of a sample. */
static int64_t classes_of(const RefTensor *x) { return x->type.dim[x->type.rank - 1]; }

static int64_t rows_of(const RefTensor *x) { return x->elems / classes_of(x); }

/* Whether row s counts. */
static bool counts(const RefTensor *x, const RefTensor *y, int64_t s)
{
  return x->type.rank == 1 || dtype_is_real(y->type.dtype) || y->v[s] >= 0;
}

/* q' of class k for row s. */
static double target(const softmax_xent_attrs *a, const RefTensor *y, int64_t s, int64_t k,
                     int64_t classes)
{
  double q = dtype_is_real(y->type.dtype) ? y->v[s * classes + k] : y->v[s] == (double)k ? 1 : 0;
  return (1 - a->smoothing) * q + a->smoothing / (double)classes;
}

static double log_sum_exp(const double *x, int64_t k)
{
  double top = x[0], sum = 0;
  for (int64_t i = 1; i < k; i++)
    top = x[i] > top ? x[i] : top;
  for (int64_t i = 0; i < k; i++)
    sum += exp(x[i] - top);
  return top + log(sum);
}

static void xent_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t classes = classes_of(in[0]), rows = rows_of(in[0]);
  (void)c;
  for (int64_t s = 0; s < in[0]->n * rows; s++) {
    const double *x = in[0]->v + s * classes;
    double lse = log_sum_exp(x, classes), loss = 0;
    for (int64_t k = 0; k < classes; k++)
      loss += target(n->attrs, in[1], s, k, classes) * (lse - x[k]);
    double *sum = &out[0]->v[s / rows], before = s % rows ? *sum : 0;
    *sum = before + (counts(in[0], in[1], s) ? loss / (double)rows : 0);
  }
}

static double xent_flops(const Node *n) { return 23 * (double)value_elems(n->in[0]); }

static void softmax_xent_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  row_xent(l, n, n->in[0], n->in[1], ((const softmax_xent_attrs *)n->attrs)->smoothing);
}

const OpDef op_softmax_xent = {
  .name = "softmax_xent", .link = "softmax",
  .doc = "cross-entropy of softmax(logits) with class numbers or probabilities, per sample",
  .aliases = "CrossEntropyLoss cross_entropy sparse_categorical_crossentropy "
             "categorical_crossentropy softmax_cross_entropy crossentropy",
  .formula = "$l = -sum_k $y[k] * log(softmax($x)[k])", .cls = OP_NEST, .flags = OP_LOSS,
  .operands = "x y", .results = "l", .attrs = softmax_xent_attr_defs,
  .attrs_size = sizeof(softmax_xent_attrs), .infer = xent_infer, .grad = xent_grad, .ref = xent_ref,
  .flops = xent_flops, .plans = row_plans, .lower = softmax_xent_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=u8[n]" }, { "smoothing=0.1", "x=f32[n,5], y=i32[n]" },
    { "", "x=f32[n,3], y=f32[n,3]" }, { "smoothing=0.2", "x=f32[n,4], y=f32[n,4]" },
    { "", "x=f32[n,7,5], y=i32[n,7]" }, { "smoothing=0.1", "x=f32[n,18,3], y=u8[n,18]" },
    { "smoothing=0.2", "x=f32[n,2,4], y=f32[n,2,4]" }, { 0 }
  },
};

/* ---- softmax_xent_dx ---- */
static bool xent_dx_infer(Infer *c, const Node *n, Type *out)
{
  return want_real(c, n, 0) && check(c, n, 1) && infer_same_as(c, n, 1, out);
}

static void xent_dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t classes = classes_of(in[1]), rows = rows_of(in[1]);
  (void)c;
  for (int64_t s = 0; s < in[1]->n * rows; s++) {
    const double *x = in[1]->v + s * classes;
    double lse = log_sum_exp(x, classes), weight = 0;
    double dy = counts(in[1], in[2], s) ? in[0]->v[s / rows] / (double)rows : 0;
    for (int64_t k = 0; k < classes; k++)
      weight += target(n->attrs, in[2], s, k, classes);
    for (int64_t k = 0; k < classes; k++)
      out[0]->v[s * classes + k] =
          dy * (exp(x[k] - lse) * weight - target(n->attrs, in[2], s, k, classes));
  }
}

static double xent_dx_flops(const Node *n) { return 26 * flops_elems(n); }

static void softmax_xent_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  row_xent_grad(l, n, n->in[0], n->in[1], n->in[2],
                ((const softmax_xent_attrs *)n->attrs)->smoothing);
}

const OpDef op_softmax_xent_dx = {
  .name = "softmax_xent_dx", .doc = "gradient of softmax_xent towards the logits",
  .formula = "$dx[k] = $dy * (softmax($x)[k] - $y[k])", .cls = OP_NEST, .operands = "dy x y",
  .results = "dx", .attrs = softmax_xent_attr_defs, .attrs_size = sizeof(softmax_xent_attrs),
  .infer = xent_dx_infer, .ref = xent_dx_ref, .flops = xent_dx_flops, .plans = row_plans,
  .lower = softmax_xent_dx_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n], x=f32[n,3], y=u8[n]" },
    { "smoothing=0.1", "dy=f32[n], x=f32[n,4], y=f32[n,4]" },
    { "smoothing=0.1", "dy=f32[n], x=f32[n,7,5], y=i32[n,7]" },
    { "", "dy=f32[n], x=f32[n,18,3], y=u8[n,18]" }, { 0 }
  },
};

/* ---- softmax_xent_dt ---- */
static bool xent_dt_infer(Infer *c, const Node *n, Type *out)
{
  return want_operands(c, n, 2) && want_reals(c, n) && want_batched(c, n, 1) &&
         infer_same_as(c, n, 1, out);
}

static void xent_dt_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const softmax_xent_attrs *a = n->attrs;
  int64_t classes = classes_of(in[1]), rows = rows_of(in[1]);
  (void)c;
  for (int64_t s = 0; s < in[1]->n * rows; s++) {
    const double *x = in[1]->v + s * classes;
    double lse = log_sum_exp(x, classes), dy = in[0]->v[s / rows] / (double)rows;
    for (int64_t k = 0; k < classes; k++)
      out[0]->v[s * classes + k] = dy * (1 - a->smoothing) * (lse - x[k]);
  }
}

static void softmax_xent_dt_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  row_xent_target_grad(l, n, n->in[0], n->in[1], ((const softmax_xent_attrs *)n->attrs)->smoothing);
}

const OpDef op_softmax_xent_dt = {
  .name = "softmax_xent_dt", .doc = "gradient of softmax_xent towards target probabilities",
  .formula = "$dt[k] = -$dy * log(softmax($x)[k])", .cls = OP_NEST, .operands = "dy x",
  .results = "dt", .attrs = softmax_xent_attr_defs, .attrs_size = sizeof(softmax_xent_attrs),
  .infer = xent_dt_infer, .ref = xent_dt_ref, .flops = xent_dx_flops, .plans = row_plans,
  .lower = softmax_xent_dt_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n], x=f32[n,3]" }, { "smoothing=0.1", "dy=f32[n], x=f32[n,4]" },
    { "", "dy=f32[n], x=f32[n,17,2]" }, { 0 }
  },
};
