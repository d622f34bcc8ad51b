/* Normalisation of each sample by itself, PyTorch's LayerNorm over all axes and GroupNorm.
 *
 *   mean = sum x / m, var = sum (x - mean)^2 / m over the m numbers of the sample or of a group of
 *   its channels;  istd = 1 / sqrt(var + eps), y = (x - mean) * istd * weight + bias
 *   gradient, with z = (x - mean) * istd and e = dy * weight:
 *              dx = istd * (e - sum e / m - z * sum (e * z) / m)
 *              dweight = sum dy * z, dbias = sum dy over samples and what shares the weight
 *
 * layernorm has a weight and a bias for each number of a sample, groupnorm for each channel. Both
 * are macros over `samplenorm`, which takes either kind. layernorm(axes=k) normalises the last k
 * axes for each place of the others, as LayerNorm does with a shape of k sides: of a sequence
 * [T, C] with axes=1 each step by itself. These places are the groups then, and the weight, one
 * number for each place of the last axes, follows as a product. */
#include "kernel/samplenorm.h"
#include "ops/border.h"
#include "ops/family.h"
#include <math.h>

#define LAYERNORM(A, op)                                        \
  A(op, int,  axes,  "0",       "how many of the last axes are normalised together; 0: all") \
  A(op, real, eps,   "0.00001", "added to the variance")        \
  A(op, flag, train, "true",    "false: weight and bias stay as they start")
ATTRS(layernorm, LAYERNORM)

#define GROUPNORM(A, op)                                        \
  A(op, int,  groups, "!",      "groups of channels, each normalised by itself") \
  A(op, real, eps,   "0.00001", "added to the variance")        \
  A(op, flag, train, "true",    "false: weight and bias stay as they start")
ATTRS(groupnorm, GROUPNORM)

static bool check(Infer *c, const Node *n, double eps, Type *out)
{
  if (!(eps > 0))
    return infer_error(c, n, "E0304", "`eps` must be above 0, not %g", eps);
  if (!want_operands(c, n, 1) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  if (c->in[0].rank < 1) {
    infer_error(c, n, "E0202", "needs a vector or an image, but its input is a number");
    return infer_help(c, "make it a vector of one: reshape([1])");
  }
  return want_operands(c, n, 3) && infer_same_as(c, n, 0, out);
}

static void affine_params(Params *p, int rank, const int64_t *dim, bool train)
{
  param_add(p, "weight", STATE_PARAM, rank, dim, (Init){ INIT_ONES, 0, 0 }, 0, 0, train);
  param_add(p, "bias", STATE_PARAM, rank, dim, (Init){ INIT_ZEROS, 0, 0 }, 0, 0, train);
}

/* in: x weight bias */
static Value normalise(const GBuild *b, const Value *in, int64_t groups, double eps);

/* ---- layernorm ---- */

/* The shape of what is normalised together: the last axes of x, or all. */
static Type last_axes(const Type *x, int64_t axes)
{
  int n = axes > 0 && axes < x->rank ? (int)axes : x->rank;
  return type_make(x->dtype, false, n, x->dim + x->rank - n);
}

static bool layernorm_infer(Infer *c, const Node *n, Type *out)
{
  const layernorm_attrs *a = n->attrs;
  if (c->nin > 0 && c->in[0].rank > 0 && (a->axes < 0 || a->axes > c->in[0].rank)) {
    infer_error(c, n, "E0304", "`axes` must be from 0 to %d, the number of axes of %s, not %lld",
                c->in[0].rank, shape_text(c, &c->in[0]), (long long)a->axes);
    return infer_help(c, "it counts from the end: axes=1 is the last axis, axes=0 all of them");
  }
  return check(c, n, a->eps, out);
}

static void layernorm_params(Params *p, const Node *n)
{
  const layernorm_attrs *a = n->attrs;
  const Type *x = &p->in[0];
  if (x->rank < 1 || a->axes < 0 || a->axes > x->rank)
    return;
  Type weight = last_axes(x, a->axes);
  affine_params(p, weight.rank, weight.dim, a->train);
}

/* w, a number for each place of the last axes, at all `rows` places before them: [rows, places]. */
static Value for_each_row(const GBuild *b, Value w, int64_t rows)
{
  int64_t places = type_elems(value_type(w)), side[] = { places, rows };
  Type flat = type_make(value_type(w)->dtype, false, 1, &places);
  Type columns = type_make(flat.dtype, false, 2, side);
  return g_transpose(b, g_spread(b, g_reshape(b, w, &flat), &columns), (Ints){ 2, { 1, 0 } });
}

static bool layernorm_expand(Expand *e, const Node *n, Value *out)
{
  const layernorm_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  const Type *x = value_type(n->in[0]);
  int64_t places = type_elems(value_type(n->in[1])), rows = type_elems(x) / places;
  if (rows == 1) {
    Type one = *value_type(n->in[1]);
    one.batched = true;
    Value whole[] = { g_reshape(&b, n->in[0], &one), n->in[1], n->in[2] };
    out[0] = g_reshape(&b, normalise(&b, whole, 1, a->eps), x);
    return true;
  }
  Type matrix = type_make(x->dtype, true, 2, (int64_t[]){ rows, places });
  Type each = type_make(x->dtype, false, 1, &rows);
  Value in[] = { g_reshape(&b, n->in[0], &matrix), g_spread(&b, g_const(&b, 1), &each),
                 g_spread(&b, g_const(&b, 0), &each) };
  Value z = g_mul(&b, normalise(&b, in, rows, a->eps), for_each_row(&b, n->in[1], rows));
  out[0] = g_reshape(&b, g_add(&b, z, for_each_row(&b, n->in[2], rows)), x);
  return true;
}

static double norm_flops(const Node *n) { return 8 * flops_elems(n); }

const OpDef op_layernorm = {
  .name = "layernorm", .doc = "normalises the numbers of each sample, or of its last axes",
  .aliases = "LayerNorm LayerNormalization layer_norm layer_normalization",
  .formula = "$y = ($x - mean) / sqrt(var + eps) * $weight + $bias", .cls = OP_MACRO,
  .flags = OP_LAYER, .operands = "x weight bias", .results = "y", .attrs = layernorm_attr_defs,
  .attrs_size = sizeof(layernorm_attrs), .positional = 0, .infer = layernorm_infer,
  .params = layernorm_params, .expand = layernorm_expand, .flops = norm_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,5]" }, { "eps=0.1", "x=f32[n,2,3,2]" }, { "axes=1", "x=f32[n,3,5]" },
    { "axes=2, eps=0.1", "x=f32[n,4,2,3]" }, { "axes=1", "x=f32[n,1,2,16]" },
    { "axes=1", "x=f32[n,1,5]" }, { 0 }
  },
};

/* ---- groupnorm ---- */
static bool groupnorm_infer(Infer *c, const Node *n, Type *out)
{
  const groupnorm_attrs *a = n->attrs;
  if (c->nin > 0 && c->in[0].rank > 0 && (a->groups < 1 || c->in[0].dim[0] % a->groups != 0)) {
    infer_error(c, n, "E0205", "groups=%lld does not divide the %lld channels",
                (long long)a->groups, (long long)c->in[0].dim[0]);
    return infer_help(c, "groups=1 normalises all channels together, groups=%lld each by itself",
                      (long long)c->in[0].dim[0]);
  }
  return check(c, n, a->eps, out);
}

static void groupnorm_params(Params *p, const Node *n)
{
  const groupnorm_attrs *a = n->attrs;
  const Type *x = &p->in[0];
  if (x->rank > 0 && a->groups > 0 && x->dim[0] % a->groups == 0)
    affine_params(p, 1, x->dim, a->train);
}

static bool groupnorm_expand(Expand *e, const Node *n, Value *out)
{
  const groupnorm_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  out[0] = normalise(&b, n->in, a->groups, a->eps);
  return true;
}

const OpDef op_groupnorm = {
  .name = "groupnorm", .doc = "normalises groups of channels of each sample",
  .aliases = "GroupNorm GroupNormalization group_norm InstanceNorm2d instance_norm",
  .formula = "$y = ($x - mean) / sqrt(var + eps) * $weight + $bias", .cls = OP_MACRO,
  .flags = OP_LAYER, .operands = "x weight bias", .results = "y", .attrs = groupnorm_attr_defs,
  .attrs_size = sizeof(groupnorm_attrs), .positional = 1, .infer = groupnorm_infer,
  .params = groupnorm_params, .expand = groupnorm_expand, .flops = norm_flops,
  .samples = (const OpSample[]){
    { "groups=2", "x=f32[n,4,3,2]" }, { "groups=3, eps=0.1", "x=f32[n,6]" }, { 0 }
  },
};

/* ---- samplenorm ---- */
#define SAMPLENORM(A, op)                                              \
  A(op, int,  groups, "1",       "groups of channels, each normalised by itself") \
  A(op, real, eps,    "0.00001", "added to the variance")
ATTRS(samplenorm, SAMPLENORM)

#define SAMPLENORM_DX(A, op) \
  A(op, int, groups, "1", "groups of channels, each normalised by itself")
ATTRS(samplenorm_dx, SAMPLENORM_DX)

static Value normalise(const GBuild *b, const Value *in, int64_t groups, double eps)
{
  return g_op(b, &op_samplenorm, &(samplenorm_attrs){ groups, eps }, in, 3);
}

/* Operand i is one number a channel of x or, with one group, like one sample of it. */
static bool want_weight(Infer *c, const Node *n, uint32_t i, const Type *x, int64_t groups)
{
  const Type *w = &c->in[i];
  Type one = *x;
  one.batched = false;
  if ((groups == 1 && type_same_shape(w, &one)) ||
      (!w->batched && w->rank == 1 && w->dim[0] == x->dim[0]))
    return true;
  return infer_error(c, n, "E0201", "`%s` is %s, but x is %s",
                     op_operand_name(n->op, c->arena, i), shape_text(c, w), shape_text(c, x));
}

/* Operand `at` is a batch x of channels that `groups` divides; *stat: one number a group. */
static bool want_groups(Infer *c, const Node *n, uint32_t at, int64_t groups, Type *stat)
{
  if (!want_operands(c, n, at + 1) || !want_reals(c, n) || !want_batched(c, n, at))
    return false;
  const Type *x = &c->in[at];
  if (x->rank < 1 || groups < 1 || x->dim[0] % groups)
    return infer_error(c, n, "E0205", "groups=%lld does not divide the channels of %s",
                       (long long)groups, shape_text(c, x));
  *stat = type_make(x->dtype, true, 1, &groups);
  return true;
}

static bool samplenorm_infer(Infer *c, const Node *n, Type *out)
{
  const samplenorm_attrs *a = n->attrs;
  if (!want_operands(c, n, 3) || !want_groups(c, n, 0, a->groups, &out[1]) ||
      !want_weight(c, n, 1, &c->in[0], a->groups) || !want_same(c, n, 1, 2))
    return false;
  out[2] = out[1];
  return infer_same_as(c, n, 0, out);
}

static void samplenorm_grad(Grad *g, const Node *n, const Value *dy)
{
  const samplenorm_attrs *a = n->attrs;
  GBuild b = g_in_grad(g);
  Value self[] = { { (Node *)(uintptr_t)n, 1 }, { (Node *)(uintptr_t)n, 2 } };
  const Type *x = value_type(n->in[0]);
  bool each = samplenorm_has_each(value_type(n->in[1]), x, a->groups);
  bool weights = grad_wanted(g, n, 1) || grad_wanted(g, n, 2);
  Value sum[2] = { { NULL, 0 }, { NULL, 0 } };  /* towards weight, bias */
  if (grad_wanted(g, n, 0) || (weights && !each)) {
    Value in[] = { dy[0], n->in[0], self[0], self[1], n->in[1] };
    Node *m = g_node(&b, &op_samplenorm_dx, &(samplenorm_dx_attrs){ a->groups }, in, 5);
    if (grad_wanted(g, n, 0))
      grad_add(g, n, 0, (Value){ m, 0 });
    for (uint32_t i = 0; i < 2 && !each; i++)
      if (grad_wanted(g, n, 1 + i))
        sum[i] = g_channel_sum(&b, (Value){ m, 2 - i });
  }
  if (weights && each) {
    Value in[] = { dy[0], n->in[0], self[0], self[1] };
    Node *m = g_node(&b, &op_samplenorm_dw, NULL, in, 4);
    for (uint32_t i = 0; i < 2; i++)
      sum[i] = (Value){ m, i };
  }
  for (uint32_t i = 0; i < 2; i++)
    if (grad_wanted(g, n, 1 + i))
      grad_add(g, n, 1 + i, sum[i]);
}

static void samplenorm_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const samplenorm_attrs *a = n->attrs;
  int64_t elems = in[0]->elems, count = elems / a->groups, share = elems / in[1]->elems;
  (void)c;
  for (int64_t r = 0; r < in[0]->n * a->groups; r++) {
    const double *x = in[0]->v + r * count;
    double mean = 0, var = 0;
    for (int64_t i = 0; i < count; i++)
      mean += x[i] / (double)count;
    for (int64_t i = 0; i < count; i++)
      var += (x[i] - mean) * (x[i] - mean) / (double)count;
    out[1]->v[r] = mean;
    out[2]->v[r] = 1 / sqrt(var + a->eps);
    for (int64_t i = 0; i < count; i++) {
      int64_t w = (r * count + i) % elems / share;
      out[0]->v[r * count + i] = (x[i] - mean) * out[2]->v[r] * in[1]->v[w] + in[2]->v[w];
    }
  }
}

static void samplenorm_lower(Lower *l, const Node *n, const Plan *p)
{
  const samplenorm_attrs *a = n->attrs;
  (void)p;
  samplenorm(l, n, a->groups, a->eps);
}

const OpDef op_samplenorm = {
  .name = "samplenorm", .doc = "normalises each sample, or groups of its channels, then scales",
  .formula = "$y = ($x - $mean) * $istd * $weight + $bias, $istd = 1 / sqrt(var + eps)",
  .cls = OP_NEST, .flags = OP_RECORDS, .operands = "x weight bias", .results = "y mean istd",
  .attrs = samplenorm_attr_defs, .attrs_size = sizeof(samplenorm_attrs),
  .infer = samplenorm_infer, .grad = samplenorm_grad, .ref = samplenorm_ref, .flops = norm_flops,
  .plans = samplenorm_plans, .lower = samplenorm_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,5], weight=f32[5], bias=f32[5]" },
    { "eps=0.1", "x=f32[n,19,3,2], weight=f32[19,3,2], bias=f32[19,3,2]" },
    { "", "x=f32[n,2,3,16], weight=f32[2,3,16], bias=f32[2,3,16]" },
    { "groups=6", "x=f32[n,18,2,4], weight=f32[18], bias=f32[18]" },
    { "groups=2", "x=f32[n,4,2,16], weight=f32[4], bias=f32[4]" },
    { "groups=5", "x=f32[n,20], weight=f32[20], bias=f32[20]" }, { 0 }
  },
};

/* ---- samplenorm_dx ---- */
static bool want_stats(Infer *c, const Node *n, const Type *stat)
{
  for (uint32_t i = 2; i < 4; i++)
    if (!type_equal(&c->in[i], stat))
      return infer_error(c, n, "E0201", "`%s` is %s, not one number a group",
                         op_operand_name(n->op, c->arena, i), shape_text(c, &c->in[i]));
  return true;
}

static bool dx_infer(Infer *c, const Node *n, Type *out)
{
  int64_t groups = ((const samplenorm_dx_attrs *)n->attrs)->groups;
  Type stat;
  if (!want_operands(c, n, 5) || !want_groups(c, n, 1, groups, &stat) || !want_same(c, n, 0, 1) ||
      !want_stats(c, n, &stat) || !want_weight(c, n, 4, &c->in[1], groups))
    return false;
  out[1] = out[2] = type_make(c->in[1].dtype, true, 1, c->in[1].dim);
  return infer_same_as(c, n, 1, out);
}

static void dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t groups = ((const samplenorm_dx_attrs *)n->attrs)->groups, elems = in[0]->elems;
  int64_t count = elems / groups, share = elems / in[4]->elems, image = elems / out[1]->elems;
  bool each = samplenorm_has_each(value_type(n->in[4]), value_type(n->in[1]), groups);
  (void)c;
  for (int64_t k = 0; k < out[1]->n * out[1]->elems; k++)
    out[1]->v[k] = out[2]->v[k] = 0;
  for (int64_t r = 0; r < in[0]->n * groups; r++) {
    double mean = in[2]->v[r], istd = in[3]->v[r], sum = 0, dot = 0;
    for (int64_t i = r * count; i < (r + 1) * count; i++) {
      double w = in[4]->v[i % elems / share], e = in[0]->v[i] * w, z = (in[1]->v[i] - mean) * istd;
      sum += e / (double)count;
      dot += e * z / (double)count;
      out[1]->v[i / image] += each ? e : in[0]->v[i];
      out[2]->v[i / image] += (each ? e : in[0]->v[i]) * z;
    }
    for (int64_t i = r * count; i < (r + 1) * count; i++) {
      double e = in[0]->v[i] * in[4]->v[i % elems / share], z = (in[1]->v[i] - mean) * istd;
      out[0]->v[i] = istd * (e - sum - z * dot);
    }
  }
}

static double dx_flops(const Node *n) { return 12 * flops_elems(n); }

static void dx_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  samplenorm_dx(l, n, ((const samplenorm_dx_attrs *)n->attrs)->groups);
}

const OpDef op_samplenorm_dx = {
  .name = "samplenorm_dx",
  .doc = "gradient of samplenorm towards x, and sums of each channel of e and of "
         "e * (x - mean) * istd, where e is dy, times the weight if each number has its own",
  .formula = "$dx = $istd * ($dy * $weight - mean($dy * $weight) - z * mean($dy * $weight * z)), "
             "z = ($x - $mean) * $istd",
  .cls = OP_NEST, .flags = OP_RECORDS, .operands = "dy x mean istd weight",
  .results = "dx sum dot", .attrs = samplenorm_dx_attr_defs,
  .attrs_size = sizeof(samplenorm_dx_attrs), .infer = dx_infer, .ref = dx_ref, .flops = dx_flops,
  .plans = samplenorm_dx_plans, .lower = dx_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,5], x=f32[n,5], mean=f32[n,1], istd=f32[n,1], weight=f32[5]" },
    { "", "dy=f32[n,19,3,2], x=f32[n,19,3,2], mean=f32[n,1], istd=f32[n,1], weight=f32[19,3,2]" },
    { "groups=6",
      "dy=f32[n,18,2,4], x=f32[n,18,2,4], mean=f32[n,6], istd=f32[n,6], weight=f32[18]" },
    { "groups=2", "dy=f32[n,4,16], x=f32[n,4,16], mean=f32[n,2], istd=f32[n,2], weight=f32[4]" },
    { 0 }
  },
};

/* ---- samplenorm_dw ---- */
static bool dw_infer(Infer *c, const Node *n, Type *out)
{
  Type stat;
  if (!want_operands(c, n, 4) || !want_groups(c, n, 1, 1, &stat) || !want_same(c, n, 0, 1) ||
      !want_stats(c, n, &stat))
    return false;
  out[0] = c->in[1];
  out[0].batched = false;
  out[1] = out[0];
  return true;
}

static void dw_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  (void)c;
  (void)n;
  for (int64_t j = 0; j < out[0]->elems; j++) {
    out[0]->v[j] = out[1]->v[j] = 0;
    for (int64_t s = 0; s < in[0]->n; s++) {
      int64_t i = s * in[0]->elems + j;
      out[0]->v[j] += in[0]->v[i] * (in[1]->v[i] - in[2]->v[s]) * in[3]->v[s];
      out[1]->v[j] += in[0]->v[i];
    }
  }
}

static double dw_flops(const Node *n) { return 4 * (double)value_elems(n->in[0]); }

static void dw_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  samplenorm_dw(l, n);
}

const OpDef op_samplenorm_dw = {
  .name = "samplenorm_dw",
  .doc = "gradients of samplenorm towards a weight and bias of each number",
  .formula = "$dw = sum_n $dy * ($x - $mean) * $istd, $db = sum_n $dy", .cls = OP_NEST,
  .operands = "dy x mean istd", .results = "dw db", .infer = dw_infer, .ref = dw_ref,
  .flops = dw_flops, .plans = samplenorm_dw_plans, .lower = dw_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,5], x=f32[n,5], mean=f32[n,1], istd=f32[n,1]" },
    { "", "dy=f32[n,19,3,4], x=f32[n,19,3,4], mean=f32[n,1], istd=f32[n,1]" },
    { "", "dy=f32[n,2,2,16], x=f32[n,2,2,16], mean=f32[n,1], istd=f32[n,1]" }, { 0 }
  },
};
