/* Locally connected layer: a convolution whose every position has weights of its own.
 *
 *   y[o,i,j] = b[o,i,j] + sum_{c,u,v} w[i,j,o,c,u,v] * x[c, i*s+u-top, j*s+v-left]
 *
 * The weight is [height, width, filters, channels, kh, kw] of the positions, the bias [filters,
 * height, width]; cells outside the image count as 0. A macro over a sum with indices: the weights
 * of a position lie together and meet the samples in the lanes. */
#include "ops/index_map.h"
#include "ops/window.h"
#include <math.h>

#define LOCAL(A, op)                                                                            \
  A(op, int,     filters,     "!",       "results at each position")                            \
  A(op, ints,    kernel,      "!",       "window, one number or [height, width]")               \
  A(op, ints,    stride,      "1",       "step between windows")                                \
  A(op, pad,     pad,         "0",       \
    "zeros around the image: n, [h, w], [top, bottom, left, right], same or valid")             \
  A(op, flag,    bias,        "true",    "add one learnt number for each result")               \
  A(op, init,    init,        "default", "how the weight starts")                               \
  A(op, init,    bias_init,   "default", "how the bias starts")                                 \
  A(op, literal, weight,      "", "given weight [height, width, filters, channels, kh, kw]")    \
  A(op, flag,    train,       "true",    "false: weight and bias stay as they start")
ATTRS(local2d, LOCAL)

static Window positions(const local2d_attrs *a, const Type *x)
{
  return window_make(a->kernel, a->stride, (Ints){ 0 }, a->pad, x->dim[1], x->dim[2]);
}

static bool local_infer(Infer *c, const Node *n, Type *out)
{
  const local2d_attrs *a = n->attrs;
  Window w;
  if (a->filters < 1 || a->filters > INT32_MAX)
    return infer_error(c, n, "E0304", "`filters` must be at least 1, not %lld",
                       (long long)a->filters);
  if (!window_infer(c, n, a->kernel, a->stride, (Ints){ 0 }, a->pad, &w))
    return false;
  *out = type_make(c->in[0].dtype, true, 3, (int64_t[]){ a->filters, w.oh, w.ow });
  if (!want_operands(c, n, 2) || !want_elems(c, n, out))
    return false;
  Type weight = type_make(c->in[0].dtype, false, 6,
                          (int64_t[]){ w.oh, w.ow, a->filters, c->in[0].dim[0], w.kh, w.kw });
  if (!want_elems(c, n, &weight))
    return false;
  if (!type_equal(&weight, &c->in[1]))
    return infer_error(c, n, "E0201", "the weight is %s, but %s is needed here",
                       shape_text(c, &c->in[1]), shape_text(c, &weight));
  return true;
}

/* Makes nothing for an input or options that infer will refuse. */
static void local_params(Params *p, const Node *n)
{
  const local2d_attrs *a = n->attrs;
  const Type *x = &p->in[0];
  if (x->rank != 3 || a->filters < 1)
    return;
  Window w = positions(a, x);
  if (w.oh < 1 || w.ow < 1 || w.kh < 1 || w.kw < 1)
    return;
  int64_t dim[] = { w.oh, w.ow, a->filters, x->dim[0], w.kh, w.kw }, area, fan_in, fan_out;
  if (!checked_mul(w.kh, w.kw, &area) || !checked_mul(x->dim[0], area, &fan_in) ||
      !checked_mul(a->filters, area, &fan_out))
    fan_in = fan_out = INT64_MAX;
  param_add_weight(p, 6, dim, a->weight, a->init, fan_in, fan_out, a->train);
  if (!a->bias) {
    param_none(p);
    return;
  }
  double bound = 1 / sqrt((double)fan_in);
  Init start = a->bias_init.kind == INIT_DEFAULT ? (Init){ INIT_UNIFORM, -bound, bound }
                                                 : a->bias_init;
  param_add(p, "bias", STATE_PARAM, 3, (int64_t[]){ a->filters, w.oh, w.ow }, start, fan_in,
            fan_out, a->train);
}

/* Places of an axis: step * position + cell - before, in an axis of `extent`. */
static NestRow place(int position, int64_t step, int cell, int64_t before, int64_t extent)
{
  NestRow r = { .offset = -before, .divisor = 1, .extent = extent };
  r.c[position] = step;
  r.c[cell] = 1;
  return r;
}

static NestRow index_itself(int t, int64_t extent)
{
  NestRow r = { .divisor = 1, .extent = extent };
  r.c[t] = 1;
  return r;
}

static bool local_expand(Expand *e, const Node *n, Value *out)
{
  enum { O, I, J, C, U, V };
  const local2d_attrs *a = n->attrs;
  const Type *x = value_type(n->in[0]);
  GBuild b = g_in_expand(e);
  Window w = positions(a, x);
  Nest nest = { .nindex = 6, .rank = 3, .nfactor = 2, .first = { 0, 6, 9 }, .nrow = 9,
                .extent = { a->filters, w.oh, w.ow, x->dim[0], w.kh, w.kw } };
  static const int weight[] = { I, J, O, C, U, V };
  for (int i = 0; i < 6; i++)
    nest.row[i] = index_itself(weight[i], nest.extent[weight[i]]);
  nest.row[6] = index_itself(C, x->dim[0]);
  nest.row[7] = place(I, w.sh, U, w.top, w.ih);
  nest.row[8] = place(J, w.sw, V, w.left, w.iw);
  index_attrs s = index_attrs_of(b.graph->arena, &nest, "o i j c u v", false);
  out[0] = g_op(&b, &op_index_sum, &s, (Value[]){ n->in[1], n->in[0] }, 2);
  if (operand_given(n, 2))
    out[0] = g_add(&b, out[0], n->in[2]);
  return true;
}

static double local_flops(const Node *n)
{
  return 2 * (double)value_elems(n->in[1]) + (operand_given(n, 2) ? flops_elems(n) : 0);
}

const OpDef op_local2d = {
  .name = "local2d", .doc = "windows of an image, each with weights of its own: locally connected",
  .aliases = "LocallyConnected2D locally_connected local LocallyConnected",
  .formula = "$y[o,i,j] = sum_{c,u,v} $w[i,j,o,c,u,v] * $x[c, i*s+u-p, j*s+v-p] + $b[o,i,j]",
  .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x w b?", .results = "y",
  .attrs = local2d_attr_defs, .attrs_size = sizeof(local2d_attrs), .positional = 2,
  .infer = local_infer, .params = local_params, .expand = local_expand, .flops = local_flops,
  .samples = (const OpSample[]){
    { "filters=2, kernel=2", "x=f32[n,2,3,4]" },
    { "filters=1, kernel=[2, 3], stride=[1, 2], pad=[1, 0, 2, 1], bias=false", "x=f32[n,1,3,4]" },
    { 0 }
  },
};
