/* Batch normalisation, PyTorch's BatchNorm1d and 2d. Per channel, over m = n * h * w numbers:
 *
 *   training   mean = sum x / m, var = sum (x - mean)^2 / m (biased), istd = 1 / sqrt(var + eps)
 *              y = (x - mean) * istd * w + b
 *              running_mean := (1 - momentum) * running_mean + momentum * mean
 *              running_var  := (1 - momentum) * running_var + momentum * var * m / (m - 1)
 *   prediction the running statistics in place of mean and var
 *   gradient   db = sum dy, dw = sum dy * (x - mean) * istd, through the statistics:
 *              dx = w * istd * (dy - db / m - (x - mean) * istd * dw / m)
 *
 * Sums over images go by rows, x's last axis: they are made where x is, and leave little to add up.
 *
 * With m = 1 the variance is 0 and the correction m / max(m - 1, 1) leaves it so. */
#include "kernel/norm.h"
#include "kernel/reduce.h"
#include "ops/family.h"
#include <math.h>

#define BATCHNORM(A, op)                                                        \
  A(op, real, eps,      "0.00001", "added to the variance")                     \
  A(op, real, momentum, "0.1",     "share of the newest batch in the running statistics") \
  A(op, flag, train,    "true",    "false: weight and bias stay as they start")
ATTRS(batchnorm, BATCHNORM)

/* Channels of operand i; 0 when it has none. */
static int64_t channels(const Infer *c, uint32_t i)
{
  return i < c->nin && c->in[i].dtype != DT_COUNT && c->in[i].rank > 0 ? c->in[i].dim[0] : 0;
}

/* Operand 0 is a batch with channels; the operands from `first` up to count are [C]. */
static bool check(Infer *c, const Node *n, uint32_t first, uint32_t count)
{
  if (!want_operands(c, n, 1) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  if (channels(c, 0) < 1) {
    infer_error(c, n, "E0202", "needs channels, but its input is %s", shape_text(c, &c->in[0]));
    return infer_help(c, "make it a vector of one: reshape([1])");
  }
  if (!want_operands(c, n, count))
    return false;
  for (uint32_t i = first; i < count; i++)
    if (c->in[i].batched || c->in[i].rank != 1 || c->in[i].dim[0] != channels(c, 0))
      return infer_error(c, n, "E0201", "`%s` is %s, but there are %lld channels",
                         op_operand_name(n->op, c->arena, i), shape_text(c, &c->in[i]),
                         (long long)channels(c, 0));
  return true;
}

static double per_element(const Node *n, double k) { return k * (double)value_elems(n->in[0]); }

/* ---- batchnorm ---- */
enum { BN_X, BN_WEIGHT, BN_BIAS, BN_MEAN, BN_VAR, BN_COUNT };

static bool batchnorm_infer(Infer *c, const Node *n, Type *out)
{
  const batchnorm_attrs *a = n->attrs;
  if (!(a->eps > 0))
    return infer_error(c, n, "E0304", "`eps` must be above 0, not %g", a->eps);
  if (!(a->momentum >= 0 && a->momentum <= 1))
    return infer_error(c, n, "E0304", "`momentum` must be between 0 and 1, not %g", a->momentum);
  return check(c, n, BN_WEIGHT, BN_COUNT) && want_operands(c, n, BN_COUNT + 1) &&
         infer_same_as(c, n, 0, out);
}

static void batchnorm_params(Params *p, const Node *n)
{
  const batchnorm_attrs *a = n->attrs;
  const Type *x = &p->in[0];
  if (x->rank < 1)
    return;
  Init zeros = { INIT_ZEROS, 0, 0 }, ones = { INIT_ONES, 0, 0 };
  param_add(p, "weight", STATE_PARAM, 1, x->dim, ones, 0, 0, a->train);
  param_add(p, "bias", STATE_PARAM, 1, x->dim, zeros, 0, 0, a->train);
  param_add(p, "running_mean", STATE_STAT, 1, x->dim, zeros, 0, 0, false);
  param_add(p, "running_var", STATE_STAT, 1, x->dim, ones, 0, 0, false);
  param_add(p, "num_batches_tracked", STATE_STAT, 0, NULL, zeros, 0, 0, false);
}

/* Values of one channel's normalisation per channel: n * h * w of the run-time n. */
static Value cell_count(const GBuild *b, Value x)
{
  return g_scale(b, g_arg(b, ARG_N), (double)(value_elems(x) / value_type(x)->dim[0]));
}

static uint32_t state_of(const Node *n, uint32_t i)
{
  uint32_t state = 0;
  if (!value_state(n->in[i], &state))
    ice("operand %u of %s does not read a state variable", i, n->op->name);
  return state;
}

/* state := (1 - momentum) * state + momentum * now */
static void track(Expand *e, const GBuild *b, const Node *n, uint32_t i, Value now)
{
  const batchnorm_attrs *a = n->attrs;
  Value kept = g_scale(b, n->in[i], 1 - a->momentum);
  expand_write(e, state_of(n, i), g_fma(b, now, g_const(b, a->momentum), kept));
}

static Value apply(const GBuild *b, const Node *n, Value mean, Value var, bool batch);
static Node *batch_stats(const GBuild *b, Value x);

static bool batchnorm_expand(Expand *e, const Node *n, Value *out)
{
  GBuild b = g_in_expand(e);
  if (e->mode != MODE_TRAIN) {
    out[0] = apply(&b, n, n->in[BN_MEAN], n->in[BN_VAR], false);
    return true;
  }
  Node *stats = batch_stats(&b, n->in[BN_X]);
  Value mean = { stats, 0 }, var = { stats, 1 };
  out[0] = apply(&b, n, mean, var, true);
  Value m = cell_count(&b, n->in[BN_X]), one = g_const(&b, 1);
  Value unbias = g_div(&b, m, g_max(&b, g_sub(&b, m, one), one));
  track(e, &b, n, BN_MEAN, mean);
  track(e, &b, n, BN_VAR, g_mul(&b, var, unbias));
  expand_write(e, state_of(n, BN_COUNT), g_add(&b, n->in[BN_COUNT], one));
  return true;
}

const OpDef op_batchnorm = {
  .name = "batchnorm",
  .doc = "normalises each channel over the batch (in training) or by running statistics",
  .aliases = "BatchNormalization BatchNorm2d BatchNorm1d batch_norm batch_normalization BatchNorm",
  .formula = "$y = ($x - mean) / sqrt(var + eps) * $weight + $bias", .cls = OP_MACRO,
  .flags = OP_LAYER | OP_MODAL | OP_SPREADS,
  .operands = "x weight bias running_mean running_var num_batches_tracked", .results = "y",
  .attrs = batchnorm_attr_defs, .attrs_size = sizeof(batchnorm_attrs), .positional = 0,
  .infer = batchnorm_infer, .params = batchnorm_params, .expand = batchnorm_expand,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3]" }, { "eps=0.001, momentum=0.5", "x=f32[n,2,3,5]" }, { 0 }
  },
};

/* ---- bn_row_stats ---- */
static bool has_rows(const Type *t) { return t->rank > 1 && t->dim[t->rank - 1] > 1; }

static int64_t width_of(Value x) { return value_type(x)->dim[value_type(x)->rank - 1]; }

/* Two results like operand 0, but one number for each row. */
static bool row_infer(Infer *c, const Node *n, Type *out)
{
  if (c->in[0].rank < 2)
    return infer_error(c, n, "E0202", "needs rows, but its input is %s", shape_text(c, &c->in[0]));
  out[0] = c->in[0];
  out[0].dim[out[0].rank - 1] = 1;
  out[1] = out[0];
  return true;
}

static bool row_stats_infer(Infer *c, const Node *n, Type *out)
{
  return check(c, n, 1, 1) && row_infer(c, n, out);
}

static void row_stats_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t width = width_of(n->in[0]);
  (void)c;
  for (int64_t r = 0; r < in[0]->n * out[0]->elems; r++) {
    const double *x = in[0]->v + r * width;
    double sum = 0, m2 = 0;
    for (int64_t i = 0; i < width; i++)
      sum += x[i];
    for (int64_t i = 0; i < width; i++)
      m2 += (x[i] - sum / (double)width) * (x[i] - sum / (double)width);
    out[0]->v[r] = sum;
    out[1]->v[r] = m2;
  }
}

static double stats_flops(const Node *n) { return per_element(n, 4); }

static void rows_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  reduce_rows(l, n);
}

const OpDef op_bn_row_stats = {
  .name = "bn_row_stats",
  .doc = "sum of each row, and sum of squares around the row's mean",
  .formula = "$sum[n,c,i] = sum_j $x[n,c,i,j], $m2[n,c,i] = sum_j ($x[n,c,i,j] - "
             "$sum[n,c,i] / w)^2",
  .cls = OP_NEST, .operands = "x", .results = "sum m2", .infer = row_stats_infer,
  .ref = row_stats_ref, .flops = stats_flops, .plans = row_sum_plans,
  .lower = rows_lower, .row = norm_row_stats,
  .samples = (const OpSample[]){ { "", "x=f32[n,3,2]" }, { "", "x=f32[n,2,3,5]" }, { 0 } },
};

/* ---- bn_stats ---- */
#define BN_STATS(A, op) A(op, int, width, "1", "numbers that each x is the sum of")
ATTRS(bn_stats, BN_STATS)

static Node *batch_stats(const GBuild *b, Value x)
{
  if (!has_rows(value_type(x)))
    return g_node(b, &op_bn_stats, &(bn_stats_attrs){ 1 }, &x, 1);
  Node *rows = g_node(b, &op_bn_row_stats, NULL, &x, 1);
  Value in[] = { { rows, 0 }, { rows, 1 } };
  return g_node(b, &op_bn_stats, &(bn_stats_attrs){ width_of(x) }, in, 2);
}

static Value row_squares(const Node *n) { return n->nin > 1 ? n->in[1] : (Value){ NULL, 0 }; }

static int64_t row_width(const Node *n) { return ((const bn_stats_attrs *)n->attrs)->width; }

static bool stats_infer(Infer *c, const Node *n, Type *out)
{
  if (row_width(n) < 1)
    return infer_error(c, n, "E0304", "`width` must be at least 1, not %lld",
                       (long long)row_width(n));
  if (!check(c, n, 1, 1) || (row_squares(n).node && !want_same(c, n, 0, 1)))
    return false;
  out[0] = out[1] = type_make(c->in[0].dtype, false, 1, c->in[0].dim);
  return true;
}

/* Walks the values of channel k: sum of x, or of (x * scale - shift)^2. */
static double channel_total(const RefTensor *x, int64_t k, double scale, double shift, bool squared)
{
  int64_t count = x->type.dim[0], space = x->elems / count;
  double sum = 0;
  for (int64_t s = 0; s < x->n; s++)
    for (int64_t j = 0; j < space; j++) {
      int64_t at = (s * count + k) * space + j;
      double d = x->v[at] * scale - shift;
      sum += squared ? d * d : d;
    }
  return sum;
}

static void stats_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  double w = (double)row_width(n), m = (double)(in[0]->n * in[0]->elems / out[0]->elems) * w;
  (void)c;
  for (int64_t k = 0; k < out[0]->elems; k++) {
    double mean = channel_total(in[0], k, 1, 0, false) / m;
    double squares = w * channel_total(in[0], k, 1 / w, mean, true);
    if (row_squares(n).node)
      squares += channel_total(in[1], k, 1, 0, false);
    out[0]->v[k] = mean;
    out[1]->v[k] = squares / m;
  }
}

static void stats_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  norm_stats(l, n, n->in[0], row_squares(n), row_width(n));
}

const OpDef op_bn_stats = {
  .name = "bn_stats",
  .doc = "mean and biased variance of each channel over the n samples of the batch and space, of "
         "numbers or of sums of `width` numbers whose squares around their own mean sum up to m2",
  .formula = "$mean[c] = (sum_{n,i} $x[n,c,i]) / m, $var[c] = (sum_{n,i} ($m2[n,c,i] + w * "
             "($x[n,c,i] / w - $mean[c])^2)) / m", .cls = OP_NEST, .operands = "x m2?",
  .results = "mean var", .attrs = bn_stats_attr_defs, .attrs_size = sizeof(bn_stats_attrs),
  .infer = stats_infer, .ref = stats_ref, .flops = stats_flops,
  .plans = channel_plans, .lower = stats_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3]" }, { "", "x=f32[n,2,3,5]" },
    { "width=4", "x=f32[n,2,3,1], m2=f32[n,2,3,1]" }, { 0 }
  },
};

/* ---- bn_apply ---- */
#define BN_APPLY(A, op) \
  A(op, flag, batch, "false", "mean and istd are those of x: the gradient goes through them to x")
ATTRS(bn_apply, BN_APPLY)

static Value apply(const GBuild *b, const Node *n, Value mean, Value var, bool batch)
{
  const batchnorm_attrs *a = n->attrs;
  Value istd = g_div(b, g_const(b, 1), g_sqrt(b, g_affine(b, var, 1, a->eps)));
  Value in[] = { n->in[BN_X], mean, istd, n->in[BN_WEIGHT], n->in[BN_BIAS] };
  return g_op(b, &op_bn_apply, &(bn_apply_attrs){ batch }, in, 5);
}

static bool apply_infer(Infer *c, const Node *n, Type *out)
{
  return check(c, n, 1, 5) && infer_same_as(c, n, 0, out);
}

/* Sums of dy and dy * (x - mean) for each channel, the latter times istd. */
static Node *grad_stats(const GBuild *b, Value dy, Value x, Value mean, Value istd)
{
  if (!has_rows(value_type(x))) {
    Value in[] = { dy, g_mul(b, dy, g_sub(b, x, mean)), istd };
    return g_node(b, &op_bn_grad_stats, NULL, in, 3);
  }
  Node *rows = g_node(b, &op_bn_row_grads, NULL, (Value[]){ dy, x, mean }, 3);
  Value in[] = { { rows, 0 }, { rows, 1 }, istd };
  return g_node(b, &op_bn_grad_stats, NULL, in, 3);
}

static void apply_grad(Grad *g, const Node *n, const Value *dy)
{
  const bn_apply_attrs *a = n->attrs;
  GBuild b = g_in_grad(g);
  Value x = n->in[0], mean = n->in[1], istd = n->in[2], w = n->in[3];
  bool want_x = grad_wanted(g, n, 0), sums = want_x && a->batch;
  Value scale = g_mul(&b, w, istd);
  if (sums || grad_wanted(g, n, 3) || grad_wanted(g, n, 4)) {
    Node *stats = grad_stats(&b, dy[0], x, mean, istd);
    Value db = { stats, 0 }, dw = { stats, 1 };
    if (grad_wanted(g, n, 3))
      grad_add(g, n, 3, dw);
    if (grad_wanted(g, n, 4))
      grad_add(g, n, 4, db);
    if (sums) {
      Value m = cell_count(&b, x);
      Value in[] = { dy[0], x, mean, istd, scale, g_div(&b, db, m), g_div(&b, dw, m) };
      grad_add(g, n, 0, g_op(&b, &op_bn_dx, NULL, in, 7));
    }
  }
  if (a->batch)
    return;
  if (want_x)
    grad_add(g, n, 0, g_mul(&b, dy[0], scale));
  if (grad_wanted(g, n, 1))
    grad_add(g, n, 1, g_neg(&b, g_channel_sum(&b, g_mul(&b, dy[0], scale))));
  if (grad_wanted(g, n, 2)) {
    Value d = g_mul(&b, g_mul(&b, dy[0], g_sub(&b, x, mean)), w);
    grad_add(g, n, 2, g_channel_sum(&b, d));
  }
}

static LExpr *apply_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_fma(s, s_sub(s, x[0], x[1]), s_mul(s, x[2], x[3]), x[4]);
}

static double apply_ref(const Node *n, const double *x)
{
  (void)n;
  return (x[0] - x[1]) * x[2] * x[3] + x[4];
}
static double apply_flops(const Node *n) { return per_element(n, 4); }

const OpDef op_bn_apply = {
  .name = "bn_apply",
  .doc = "normalises x by mean and 1/standard deviation, then scales and shifts each channel",
  .formula = "$y = ($x - $mean) * $istd * $w + $b", .cls = OP_EWISE, .operands = "x mean istd w b",
  .results = "y", .attrs = bn_apply_attr_defs, .attrs_size = sizeof(bn_apply_attrs),
  .infer = apply_infer, .grad = apply_grad, .scalar = apply_scalar, .ref_scalar = apply_ref,
  .flops = apply_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], mean=f32[3], istd=f32[3], w=f32[3], b=f32[3]" },
    { "", "x=f32[n,2,3,5], mean=f32[2], istd=f32[2], w=f32[2], b=f32[2]" }, { 0 }
  },
};

/* ---- bn_row_grads ---- */
static bool row_grads_infer(Infer *c, const Node *n, Type *out)
{
  return want_operands(c, n, 3) && want_same(c, n, 0, 1) && check(c, n, 2, 3) &&
         row_infer(c, n, out);
}

static void row_grads_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t width = width_of(n->in[0]), rows = out[0]->elems / in[2]->elems;
  (void)c;
  for (int64_t r = 0; r < in[0]->n * out[0]->elems; r++) {
    double mean = in[2]->v[r / rows % in[2]->elems];
    out[0]->v[r] = out[1]->v[r] = 0;
    for (int64_t i = r * width; i < (r + 1) * width; i++) {
      out[0]->v[r] += in[0]->v[i];
      out[1]->v[r] += in[0]->v[i] * (in[1]->v[i] - mean);
    }
  }
}

const OpDef op_bn_row_grads = {
  .name = "bn_row_grads", .doc = "sums of each row for the gradients of batchnorm",
  .formula = "$sum[n,c,i] = sum_j $dy[n,c,i,j], $dot[n,c,i] = sum_j $dy[n,c,i,j] * "
             "($x[n,c,i,j] - $mean[c])",
  .cls = OP_NEST, .operands = "dy x mean", .results = "sum dot", .infer = row_grads_infer,
  .ref = row_grads_ref, .flops = stats_flops, .plans = row_sum_plans, .lower = rows_lower,
  .row = norm_row_grads,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,3,2], x=f32[n,3,2], mean=f32[3]" },
    { "", "dy=f32[n,2,3,5], x=f32[n,2,3,5], mean=f32[2]" }, { 0 }
  },
};

/* ---- bn_grad_stats ---- */
static bool grad_stats_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 3) || !want_same(c, n, 0, 1) || !check(c, n, 2, 3))
    return false;
  out[0] = out[1] = type_make(c->in[0].dtype, false, 1, c->in[0].dim);
  return true;
}

static void grad_stats_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  (void)c;
  (void)n;
  for (int64_t k = 0; k < out[0]->elems; k++) {
    out[0]->v[k] = channel_total(in[0], k, 1, 0, false);
    out[1]->v[k] = channel_total(in[1], k, 1, 0, false) * in[2]->v[k];
  }
}

static double grad_stats_flops(const Node *n) { return per_element(n, 2); }

static void grad_stats_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  norm_grad_stats(l, n, n->in[0], n->in[1], n->in[2]);
}

const OpDef op_bn_grad_stats = {
  .name = "bn_grad_stats", .doc = "gradients of batchnorm towards bias and weight",
  .formula = "$db[c] = sum_{n,i} $dy[n,c,i], $dw[c] = $istd[c] * sum_{n,i} $dot[n,c,i]",
  .cls = OP_NEST, .operands = "dy dot istd", .results = "db dw", .infer = grad_stats_infer,
  .ref = grad_stats_ref, .flops = grad_stats_flops,
  .plans = channel_plans, .lower = grad_stats_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,3], dot=f32[n,3], istd=f32[3]" },
    { "", "dy=f32[n,2,3,5], dot=f32[n,2,3,5], istd=f32[2]" }, { 0 }
  },
};

/* ---- bn_dx ---- */
static bool bn_dx_infer(Infer *c, const Node *n, Type *out)
{
  return want_operands(c, n, 7) && want_same(c, n, 0, 1) && check(c, n, 2, 7) &&
         infer_same_as(c, n, 0, out);
}

static LExpr *bn_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  LExpr *normal = s_mul(s, s_sub(s, x[1], x[2]), x[3]);
  LExpr *rest = s_fma(s, s_neg(s, normal), x[6], s_sub(s, x[0], x[5]));
  return s_mul(s, x[4], rest);
}

static double bn_dx_ref(const Node *n, const double *x)
{
  (void)n;
  return x[4] * (x[0] - x[5] - (x[1] - x[2]) * x[3] * x[6]);
}

static double bn_dx_flops(const Node *n) { return per_element(n, 6); }

const OpDef op_bn_dx = {
  .name = "bn_dx", .doc = "gradient of batchnorm towards its input, through the batch's statistics",
  .formula = "$dx = $scale * ($dy - $db_m - ($x - $mean) * $istd * $dw_m)",
  .cls = OP_EWISE, .flags = OP_MASKED,
  .operands = "dy x mean istd scale db_m dw_m", .results = "dx", .infer = bn_dx_infer,
  .scalar = bn_dx_scalar, .ref_scalar = bn_dx_ref, .flops = bn_dx_flops,
  .samples = (const OpSample[]){
    { "",
      "dy=f32[n,3], x=f32[n,3], mean=f32[3], istd=f32[3], scale=f32[3], db_m=f32[3], dw_m=f32[3]" },
    { "", "dy=f32[n,2,3,1], x=f32[n,2,3,1], mean=f32[2], istd=f32[2], scale=f32[2], db_m=f32[2], "
          "dw_m=f32[2]" },
    { 0 }
  },
};
