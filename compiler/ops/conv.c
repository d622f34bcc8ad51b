/* Convolution as neural networks mean it: cross-correlation plus bias, PyTorch's Conv2d.
 *
 *   y[o,i,j] = b[o] + sum over c of the group, u, v of
 *              w[o,c,u,v] * x[c, i*s + u*d - top, j*s + v*d - left]
 *
 * Cells outside the image count as 0, or as pad_mode says; then, and where flip turns the window
 * round (the convolution of mathematics, of the weight as it is stored), it becomes a border and a
 * reversed weight before a plain convolution. The weight is [filters, channels/groups, kh, kw].
 * Both gradients are gathers: dx sums over the windows that see a cell, dw over samples and
 * positions.
 */
#include "kernel/conv.h"
#include "ops/border.h"
#include "ops/window.h"
#include <math.h>

#define CONV(A, op)                                                                             \
  A(op, int,     filters,     "!",       "output channels")                                     \
  A(op, ints,    kernel,      "!",       "window, one number or [height, width]")               \
  A(op, ints,    stride,      "1",       "step between windows")                                \
  A(op, pad,     pad,         "0",       \
    "cells around the image: n, [h, w], [top, bottom, left, right], same or valid")             \
  A(op, name,    pad_mode,    "zeros",   "what they hold, one of: " BORDER_MODES)               \
  A(op, flag,    flip,        "false",   "turn the window round: true convolution")             \
  A(op, ints,    dilation,    "1",       "distance of the window's cells")                      \
  A(op, int,     groups,      "1",       "groups of channels that are convolved apart")         \
  A(op, flag,    bias,        "true",    "add one learnt number per filter")                    \
  A(op, init,    init,        "default", "how the weight starts")                               \
  A(op, init,    bias_init,   "default", "how the bias starts")                                 \
  A(op, literal, weight,      "",        "given weight [filters, channels/groups, kh, kw]")     \
  A(op, literal, bias_values, "",        "given bias [filters]")                                \
  A(op, flag,    train,       "true",    "false: weight and bias stay as they start")
ATTRS(conv, CONV)

#define CONV_BACK(A, op) WINDOW_BACK(A, op) A(op, int, groups, "1", "groups of channels")
ATTRS(conv_back, CONV_BACK)

static Window forward_window(const Node *n)
{
  const conv_attrs *a = n->attrs;
  const Type *x = value_type(n->in[0]);
  return window_make(a->kernel, a->stride, a->dilation, a->pad, x->dim[1], x->dim[2]);
}

static Window back_window(const Node *n)
{
  const conv_back_attrs *a = n->attrs;
  return window_make(a->kernel, a->stride, a->dilation, a->pad, a->image.at[0], a->image.at[1]);
}

static conv_back_attrs back_attrs(const Window *w, int64_t groups)
{
  return (conv_back_attrs){
    .kernel = window_kernel(w), .stride = window_stride(w), .dilation = window_dilation(w),
    .pad = window_pad(w), .image = window_image(w), .groups = groups,
  };
}

Value g_conv(const GBuild *b, Value x, Value weight, Value bias, const Window *w, int64_t groups)
{
  conv_attrs a = {
    .filters = value_type(weight)->dim[0], .kernel = window_kernel(w), .stride = window_stride(w),
    .pad = window_pad(w), .pad_mode = "zeros", .dilation = window_dilation(w), .groups = groups,
    .bias = bias.node != NULL, .train = true,
  };
  return g_op(b, &op_conv, &a, (Value[]){ x, weight, bias }, bias.node ? 3 : 2);
}

Value g_conv_dx(const GBuild *b, Value dy, Value weight, const Window *w, int64_t groups)
{
  conv_back_attrs a = back_attrs(w, groups);
  return g_op(b, &op_conv_dx, &a, (Value[]){ dy, weight }, 2);
}

/* ---- conv ---- */

static bool conv_infer(Infer *c, const Node *n, Type *out)
{
  const conv_attrs *a = n->attrs;
  Window w;
  if (a->filters < 1 || a->filters > INT32_MAX)
    return infer_error(c, n, "E0304", "`filters` must be at least 1, not %lld",
                       (long long)a->filters);
  if (!window_infer(c, n, a->kernel, a->stride, a->dilation, a->pad, &w) ||
      !border_infer(c, n, a->pad_mode, "column", w.ih, w.top, w.bottom) ||
      !border_infer(c, n, a->pad_mode, "row", w.iw, w.left, w.right))
    return false;
  int64_t channels = c->in[0].dim[0];
  if (a->groups < 1 || channels % a->groups != 0 || a->filters % a->groups != 0) {
    infer_error(c, n, "E0205", "groups=%lld must divide both %lld input channels and %lld filters",
                (long long)a->groups, (long long)channels, (long long)a->filters);
    return infer_help(c, "groups=1 lets every filter see all channels; groups=%lld is depthwise",
                      (long long)channels);
  }
  *out = type_make(c->in[0].dtype, true, 3, (int64_t[]){ a->filters, w.oh, w.ow });
  if (!want_operands(c, n, 2) || !want_elems(c, n, out))
    return false;
  Type weight = type_make(c->in[0].dtype, false, 4,
                          (int64_t[]){ a->filters, channels / a->groups, w.kh, w.kw });
  if (!type_equal(&weight, &c->in[1]))
    return infer_error(c, n, "E0201", "the weight is %s, but %s is needed here",
                       shape_text(c, &c->in[1]), shape_text(c, &weight));
  Type bias = type_make(c->in[0].dtype, false, 1, &a->filters);
  if (c->nin > 2 && c->in[2].dtype != DT_COUNT && !type_equal(&bias, &c->in[2]))
    return infer_error(c, n, "E0201", "the bias is %s, but there are %lld filters",
                       shape_text(c, &c->in[2]), (long long)a->filters);
  return true;
}

/* Makes nothing for an input or options that infer will refuse. */
static void conv_params(Params *p, const Node *n)
{
  const conv_attrs *a = n->attrs;
  const Type *x = &p->in[0];
  Window w = window_make(a->kernel, a->stride, a->dilation, a->pad, 1, 1);
  if (x->rank != 3 || a->groups < 1 || a->filters < 1 || x->dim[0] % a->groups != 0 || w.kh < 1 ||
      w.kw < 1)
    return;
  int64_t dim[] = { a->filters, x->dim[0] / a->groups, w.kh, w.kw }, area, fan_in, fan_out;
  if (!checked_mul(w.kh, w.kw, &area) || !checked_mul(dim[1], area, &fan_in) ||
      !checked_mul(a->filters, area, &fan_out))
    fan_in = fan_out = INT64_MAX;
  param_add_weight(p, 4, dim, a->weight, a->init, fan_in, fan_out, a->train);
  if (a->bias)
    param_add_bias(p, a->filters, a->bias_values, a->bias_init, fan_in, fan_out, a->train);
  else
    param_none(p);
}

/* What the kernels do not do themselves: other borders than zeros, turned windows. */
static bool conv_expand(Expand *e, const Node *n, Value *out)
{
  const conv_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  Window w = forward_window(n);
  Value x = n->in[0], weight = n->in[1];
  if (border_is_zeros(a->pad_mode) && !a->flip)
    return false;
  if (!border_is_zeros(a->pad_mode)) {
    x = g_border(&b, x, 1, w.top, w.bottom, a->pad_mode);
    x = g_border(&b, x, 2, w.left, w.right, a->pad_mode);
    w = window_make(a->kernel, a->stride, a->dilation, (Pad){ PAD_VALID, 0, 0, 0, 0 },
                    value_type(x)->dim[1], value_type(x)->dim[2]);
  }
  if (a->flip)
    weight = g_reverse(&b, weight, (Ints){ .n = 2, .at = { 2, 3 } });
  Value bias = operand_given(n, 2) ? n->in[2] : (Value){ NULL, 0 };
  out[0] = g_conv(&b, x, weight, bias, &w, a->groups);
  return true;
}

static void conv_grad(Grad *g, const Node *n, const Value *dy)
{
  const conv_attrs *a = n->attrs;
  GBuild b = g_in_grad(g);
  Window w = forward_window(n);
  conv_back_attrs back = back_attrs(&w, a->groups);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_op(&b, &op_conv_dx, &back, (Value[]){ dy[0], n->in[1] }, 2));
  if (grad_wanted(g, n, 1))
    grad_add(g, n, 1, g_op(&b, &op_conv_dw, &back, (Value[]){ dy[0], n->in[0] }, 2));
  if (operand_given(n, 2) && grad_wanted(g, n, 2))
    grad_add(g, n, 2, g_channel_sum(&b, dy[0]));
}

/* Calls f for every product of one sample's convolution: flat indices into y, w and x. */
typedef void (*EachProduct)(void *ctx, int64_t y, int64_t w, int64_t x);

static void each_product(const Window *w, int64_t filters, int64_t channels, int64_t groups,
                         EachProduct f, void *ctx)
{
  int64_t cg = channels / groups, fg = filters / groups;
  for (int64_t o = 0; o < filters; o++)
    for (int64_t i = 0; i < w->oh; i++)
      for (int64_t j = 0; j < w->ow; j++)
        for (int64_t k = 0; k < cg * w->kh * w->kw; k++) {
          int64_t c = k / (w->kh * w->kw), u = k / w->kw % w->kh, v = k % w->kw;
          int64_t row = window_row(w, i, u), col = window_col(w, j, v);
          if (row >= 0 && col >= 0)
            f(ctx, (o * w->oh + i) * w->ow + j, o * cg * w->kh * w->kw + k,
              ((o / fg * cg + c) * w->ih + row) * w->iw + col);
        }
}

typedef struct { double *to; const double *p, *q; } Products;

static void product_y(void *ctx, int64_t y, int64_t w, int64_t x)
{
  Products *r = ctx;
  r->to[y] += r->p[w] * r->q[x];
}

static void product_dx(void *ctx, int64_t y, int64_t w, int64_t x)
{
  Products *r = ctx;
  r->to[x] += r->p[y] * r->q[w];
}

static void product_dw(void *ctx, int64_t y, int64_t w, int64_t x)
{
  Products *r = ctx;
  r->to[w] += r->p[y] * r->q[x];
}

static void conv_ref(RefCtx *ctx, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const conv_attrs *a = n->attrs;
  const RefTensor *x = in[0], *b = n->nin > 2 ? in[2] : NULL;
  Window w = forward_window(n);
  (void)ctx;
  for (int64_t s = 0; s < x->n; s++) {
    double *y = out[0]->v + s * out[0]->elems;
    for (int64_t k = 0; k < out[0]->elems; k++)
      y[k] = b ? b->v[k / (w.oh * w.ow)] : 0;
    Products r = { y, in[1]->v, x->v + s * x->elems };
    each_product(&w, a->filters, x->type.dim[0], a->groups, product_y, &r);
  }
}

/* Multiply-adds of one sample: every filter at every position. */
static double products(const Window *w, int64_t filters, int64_t channels, int64_t groups)
{
  return 2.0 * (double)filters * (double)(w->oh * w->ow) * (double)(channels / groups) *
         (double)(w->kh * w->kw);
}

static double conv_flops(const Node *n)
{
  const conv_attrs *a = n->attrs;
  Window w = forward_window(n);
  return products(&w, a->filters, value_type(n->in[0])->dim[0], a->groups) +
         (operand_given(n, 2) ? flops_elems(n) : 0);
}

static ConvShape kernel_shape(const Window *w, int64_t ic, int64_t oc, int64_t groups)
{
  return (ConvShape){ .ic = ic, .oc = oc, .groups = groups, .k = { w->kh, w->kw }, .stride = { w->sh, w->sw },
                      .dilation = { w->dh, w->dw }, .pad = { w->top, w->left }, .in = { w->ih, w->iw },
                      .out = { w->oh, w->ow } };
}

static ConvShape forward_shape(const Node *n)
{
  const conv_attrs *a = n->attrs;
  Window w = forward_window(n);
  return kernel_shape(&w, value_type(n->in[0])->dim[0], a->filters, a->groups);
}

static void conv_plan(Plans *ps, const Node *n)
{
  ConvShape s = forward_shape(n);
  conv_plans(ps, n, &s, CONV_FORWARD, 0, 1);
}

static void conv_lower(Lower *l, const Node *n, const Plan *p)
{
  ConvShape s = forward_shape(n);
  conv_forward(l, n, p, &s, n->in[0], n->in[1],
               operand_given(n, 2) ? n->in[2] : (Value){ NULL, 0 });
}

const OpDef op_conv = {
  .name = "conv",
  .doc = "convolution of an image with learnt filters, plus bias (cross-correlation, as in "
         "PyTorch)", .aliases = "Conv2D Conv2d convolution conv2d",
  .formula = "$y[o,i,j] = sum_{c,u,v} $w[o,c,u,v] * $x[c, i*s+u*d-p, j*s+v*d-p] + $b[o]",
  .cls = OP_NEST, .flags = OP_LAYER, .operands = "x w b?", .results = "y", .attrs = conv_attr_defs,
  .attrs_size = sizeof(conv_attrs), .positional = 2, .infer = conv_infer, .params = conv_params,
  .expand = conv_expand, .grad = conv_grad, .ref = conv_ref, .flops = conv_flops,
  .plans = conv_plan, .lower = conv_lower,
  .samples = (const OpSample[]){
    { "filters=3, kernel=3", "x=f32[n,2,5,4]" },
    { "filters=2, kernel=[2, 3], stride=[2, 1], pad=[1, 0, 2, 1], bias=false", "x=f32[n,3,5,4]" },
    { "filters=4, kernel=3, stride=2, pad=same, groups=2", "x=f32[n,2,6,5]" },
    { "filters=2, kernel=2, dilation=[2, 3], pad=1", "x=f32[n,1,5,6]" },
    { "filters=2, kernel=1, stride=2, pad=valid", "x=f32[n,3,4,5]" },
    { "filters=2, kernel=[3, 2], pad=[2, 1, 0, 3], pad_mode=reflect, flip=true",
      "x=f32[n,1,3,4]" }, { 0 }
  },
};

/* ---- conv_dx, conv_dw ---- */

static bool conv_dx_infer(Infer *c, const Node *n, Type *out)
{
  const conv_back_attrs *a = n->attrs;
  if (!want_operands(c, n, 2) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  if (c->in[0].rank != 3 || c->in[1].rank != 4 || c->in[0].dim[0] != c->in[1].dim[0] ||
      a->image.n != 2)
    return infer_error(c, n, "E0201", "dy and w do not belong to one convolution");
  *out = type_make(c->in[0].dtype, true, 3,
                   (int64_t[]){ c->in[1].dim[1] * a->groups, a->image.at[0], a->image.at[1] });
  return true;
}

/* conv_dx is linear in dy and in w: the other way round it is the convolution itself. */
static void conv_dx_grad(Grad *g, const Node *n, const Value *dy)
{
  const conv_back_attrs *a = n->attrs;
  GBuild b = g_in_grad(g);
  Window w = back_window(n);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_conv(&b, dy[0], n->in[1], (Value){ NULL, 0 }, &w, a->groups));
  if (grad_wanted(g, n, 1))
    grad_add(g, n, 1, g_op(&b, &op_conv_dw, a, (Value[]){ n->in[0], dy[0] }, 2));
}

static void conv_dx_ref(RefCtx *ctx, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const conv_back_attrs *a = n->attrs;
  Window w = back_window(n);
  (void)ctx;
  for (int64_t s = 0; s < in[0]->n; s++) {
    double *dx = out[0]->v + s * out[0]->elems;
    for (int64_t k = 0; k < out[0]->elems; k++)
      dx[k] = 0;
    Products r = { dx, in[0]->v + s * in[0]->elems, in[1]->v };
    each_product(&w, in[0]->type.dim[0], out[0]->type.dim[0], a->groups, product_dx, &r);
  }
}

static double conv_dx_flops(const Node *n)
{
  const conv_back_attrs *a = n->attrs;
  Window w = back_window(n);
  return products(&w, value_type(n->in[0])->dim[0], n->type[0].dim[0], a->groups);
}

static ConvShape dx_shape(const Node *n)
{
  const conv_back_attrs *a = n->attrs;
  Window w = back_window(n);
  return kernel_shape(&w, n->type[0].dim[0], value_type(n->in[0])->dim[0], a->groups);
}

static void conv_dx_plan(Plans *ps, const Node *n)
{
  ConvShape s = dx_shape(n);
  conv_plans(ps, n, &s, CONV_INPUT_GRAD, 0, 1);
}

static void conv_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  ConvShape s = dx_shape(n);
  conv_input_grad(l, n, p, &s, n->in[0], n->in[1]);
}

const OpDef op_conv_dx = {
  .name = "conv_dx", .doc = "gradient of conv towards its input",
  .formula = "$dx[c,y,x] = sum_{o,u,v} $w[o,c,u,v] * $dy[o, (y+p-u*d)/s, (x+p-v*d)/s]",
  .cls = OP_NEST, .operands = "dy w", .results = "dx", .attrs = conv_back_attr_defs,
  .attrs_size = sizeof(conv_back_attrs), .infer = conv_dx_infer, .grad = conv_dx_grad,
  .ref = conv_dx_ref,
  .flops = conv_dx_flops, .plans = conv_dx_plan, .lower = conv_dx_lower,
  .samples = (const OpSample[]){
    { "kernel=[3, 3], image=[5, 4]", "dy=f32[n,3,3,2], w=f32[3,2,3,3]" },
    { "kernel=[2, 3], stride=[2, 1], pad=[1, 0, 2, 1], image=[5, 4]",
      "dy=f32[n,2,3,5], w=f32[2,3,2,3]" },
    { "kernel=[3, 3], stride=[2, 2], pad=[0, 1, 1, 1], image=[6, 5], groups=2",
      "dy=f32[n,4,3,3], w=f32[4,1,3,3]" },
    { "kernel=[2, 2], dilation=[2, 3], image=[6, 7]", "dy=f32[n,2,4,4], w=f32[2,1,2,2]" }, { 0 }
  },
};

static bool conv_dw_infer(Infer *c, const Node *n, Type *out)
{
  const conv_back_attrs *a = n->attrs;
  if (!want_operands(c, n, 2) || !want_reals(c, n) || !want_batched(c, n, 0) ||
      !want_batched(c, n, 1))
    return false;
  if (c->in[0].rank != 3 || c->in[1].rank != 3 || a->groups < 1 || a->kernel.n != 2 ||
      a->image.n != 2)
    return infer_error(c, n, "E0201", "dy and x do not belong to one convolution");
  *out = type_make(c->in[0].dtype, false, 4,
                   (int64_t[]){ c->in[0].dim[0], c->in[1].dim[0] / a->groups, a->kernel.at[0],
                                a->kernel.at[1] });
  return true;
}

static void conv_dw_ref(RefCtx *ctx, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const conv_back_attrs *a = n->attrs;
  Window w = back_window(n);
  (void)ctx;
  for (int64_t k = 0; k < out[0]->elems; k++)
    out[0]->v[k] = 0;
  for (int64_t s = 0; s < in[0]->n; s++) {
    Products r = { out[0]->v, in[0]->v + s * in[0]->elems, in[1]->v + s * in[1]->elems };
    each_product(&w, in[0]->type.dim[0], in[1]->type.dim[0], a->groups, product_dw, &r);
  }
}

static double conv_dw_flops(const Node *n)
{
  const conv_back_attrs *a = n->attrs;
  Window w = back_window(n);
  return products(&w, value_type(n->in[0])->dim[0], value_type(n->in[1])->dim[0], a->groups);
}

static ConvShape dw_shape(const Node *n)
{
  const conv_back_attrs *a = n->attrs;
  Window w = back_window(n);
  return kernel_shape(&w, value_type(n->in[1])->dim[0], value_type(n->in[0])->dim[0], a->groups);
}

static void conv_dw_plan(Plans *ps, const Node *n)
{
  ConvShape s = dw_shape(n);
  conv_plans(ps, n, &s, CONV_WEIGHT_GRAD, 0, 1);
}

static void conv_dw_lower(Lower *l, const Node *n, const Plan *p)
{
  ConvShape s = dw_shape(n);
  conv_weight_grad(l, n, p, &s, n->in[0], n->in[1]);
}

const OpDef op_conv_dw = {
  .name = "conv_dw", .doc = "gradient of conv towards its weight",
  .formula = "$dw[o,c,u,v] = sum_{n,i,j} $dy[n,o,i,j] * $x[n, c, i*s+u*d-p, j*s+v*d-p]",
  .cls = OP_NEST, .operands = "dy x", .results = "dw", .attrs = conv_back_attr_defs,
  .attrs_size = sizeof(conv_back_attrs), .infer = conv_dw_infer, .ref = conv_dw_ref,
  .flops = conv_dw_flops, .plans = conv_dw_plan, .lower = conv_dw_lower,
  .samples = (const OpSample[]){
    { "kernel=[3, 3], image=[5, 4]", "dy=f32[n,3,3,2], x=f32[n,2,5,4]" },
    { "kernel=[2, 3], stride=[2, 1], pad=[1, 0, 2, 1], image=[5, 4]",
      "dy=f32[n,2,3,5], x=f32[n,3,5,4]" },
    { "kernel=[3, 3], stride=[2, 2], pad=[0, 1, 1, 1], image=[6, 5], groups=2",
      "dy=f32[n,4,3,3], x=f32[n,2,6,5]" },
    { "kernel=[2, 2], dilation=[2, 3], image=[6, 7]", "dy=f32[n,2,4,4], x=f32[n,1,6,7]" }, { 0 }
  },
};
