/* Normalisation of each sample by itself, PyTorch's LayerNorm over all axes and GroupNorm: macros.
 *
 *   mean = sum x / m, var = sum (x - mean)^2 / m over the m numbers of the sample or of a group of
 *   its channels;  y = (x - mean) / sqrt(var + eps) * weight + bias
 *
 * layernorm has a weight and a bias for each number of a sample, groupnorm for each channel. */
#include "ops/family.h"

#define LAYERNORM(A, op)                                        \
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

/* ---- layernorm ---- */
static bool layernorm_infer(Infer *c, const Node *n, Type *out)
{
  return check(c, n, ((const layernorm_attrs *)n->attrs)->eps, out);
}

static void layernorm_params(Params *p, const Node *n)
{
  const Type *x = &p->in[0];
  if (x->rank > 0)
    affine_params(p, x->rank, x->dim, ((const layernorm_attrs *)n->attrs)->train);
}

/* Over the sample as one vector, so that weights lie as the numbers do in every layout. */
static bool layernorm_expand(Expand *e, const Node *n, Value *out)
{
  GBuild b = g_in_expand(e);
  int64_t elems = value_elems(n->in[0]);
  Type flat = type_make(n->type[0].dtype, true, 1, &elems);
  Value x = g_reshape(&b, n->in[0], &flat), w = g_reshape(&b, n->in[1], &flat);
  double share = 1 / (double)elems;
  Value centered = g_sub(&b, x, g_scale(&b, g_sum(&b, x), share));
  Value var = g_scale(&b, g_sum(&b, g_square(&b, centered)), share);
  Value std = g_sqrt(&b, g_affine(&b, var, 1, ((const layernorm_attrs *)n->attrs)->eps));
  Value normal = g_mul(&b, centered, g_div(&b, g_const(&b, 1), std));
  out[0] = g_reshape(&b, g_fma(&b, normal, w, g_reshape(&b, n->in[2], &flat)), &n->type[0]);
  return true;
}

static double norm_flops(const Node *n) { return 8 * flops_elems(n); }

const OpDef op_layernorm = {
  .name = "layernorm", .doc = "normalises the numbers of each sample",
  .aliases = "LayerNorm LayerNormalization layer_norm layer_normalization",
  .formula = "$y = ($x - mean) / sqrt(var + eps) * $weight + $bias", .cls = OP_MACRO,
  .flags = OP_LAYER, .operands = "x weight bias", .results = "y", .attrs = layernorm_attr_defs,
  .attrs_size = sizeof(layernorm_attrs), .positional = 0, .infer = layernorm_infer,
  .params = layernorm_params, .expand = layernorm_expand, .flops = norm_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,5]" }, { "eps=0.1", "x=f32[n,2,3,2]" }, { 0 } },
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

/* The mean of each group of `width` numbers, spread over the group. */
static Value group_mean(const GBuild *b, Value x)
{
  const Type *t = value_type(x);
  Type column = type_make(t->dtype, true, 1, t->dim);
  Value sum = g_reshape(b, g_row_sum(b, x), &column);
  return g_spread(b, g_scale(b, sum, 1 / (double)t->dim[1]), t);
}

static bool groupnorm_expand(Expand *e, const Node *n, Value *out)
{
  const groupnorm_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  const Type *t = value_type(n->in[0]);
  int64_t dim[] = { a->groups, type_elems(t) / a->groups };
  Type rows = type_make(t->dtype, true, 2, dim);
  Value x = g_reshape(&b, n->in[0], &rows);
  Value centered = g_sub(&b, x, group_mean(&b, x));
  Value var = group_mean(&b, g_square(&b, centered));
  Value normal = g_div(&b, centered, g_sqrt(&b, g_affine(&b, var, 1, a->eps)));
  out[0] = g_fma(&b, g_reshape(&b, normal, t), n->in[1], n->in[2]);
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
