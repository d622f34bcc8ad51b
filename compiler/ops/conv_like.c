/* Layers that are convolutions under another shape or in the other direction: macros.
 *
 *   conv1d          PyTorch's Conv1d: the sequence [C,L] is an image of one row
 *   conv_transpose  PyTorch's ConvTranspose2d: y is what a convolution's gradient towards its image
 *                   would be for x; its size is (h - 1) * stride - pads + dilation * (k - 1) + 1 +
 *                   output_pad. The weight is [channels, filters/groups, kh, kw] */
#include "ops/border.h"
#include "ops/window.h"

#define LEARNT(A, op)                                                                           \
  A(op, int,     groups,      "1",       "groups of channels that are convolved apart")         \
  A(op, flag,    bias,        "true",    "add one learnt number per filter")                    \
  A(op, init,    init,        "default", "how the weight starts")                               \
  A(op, init,    bias_init,   "default", "how the bias starts")                                 \
  A(op, literal, weight,      "",        "given weight")                                        \
  A(op, literal, bias_values, "",        "given bias [filters]")                                \
  A(op, flag,    train,       "true",    "false: weight and bias stay as they start")

#define CONV1D(A, op)                                                           \
  A(op, int, filters,  "!", "output channels")                                  \
  A(op, int, kernel,   "!", "length of the window")                             \
  A(op, int, stride,   "1", "step between windows")                             \
  A(op, pad, pad,      "0", "cells at both ends: n, same or valid")             \
  A(op, name, pad_mode, "zeros", "what they hold, one of: " BORDER_MODES)       \
  A(op, flag, flip, "false", "turn the window round: true convolution")         \
  A(op, int, dilation, "1", "distance of the window's cells")                   \
  LEARNT(A, op)
ATTRS(conv1d, CONV1D)

#define CONV_TRANSPOSE(A, op)                                                   \
  A(op, int,  filters,    "!", "output channels")                               \
  A(op, ints, kernel,     "!", "window, one number or [height, width]")         \
  A(op, ints, stride,     "1", "cells between the windows of neighbours")       \
  A(op, pad,  pad,        "0", "cells cut off: n, [h, w] or [top, bottom, left, right]") \
  A(op, ints, dilation,   "1", "distance of the window's cells")                \
  A(op, ints, output_pad, "",  "rows and columns added at the bottom and the right") \
  LEARNT(A, op)
ATTRS(conv_transpose, CONV_TRANSPOSE)

static bool check_groups(Infer *c, const Node *n, int64_t filters, int64_t groups)
{
  int64_t channels = c->in[0].dim[0];
  if (filters < 1 || filters > INT32_MAX)
    return infer_error(c, n, "E0304", "`filters` must be at least 1, not %lld",
                       (long long)filters);
  if (groups >= 1 && channels % groups == 0 && filters % groups == 0)
    return true;
  return infer_error(c, n, "E0205",
                     "groups=%lld must divide both %lld input channels and %lld filters",
                     (long long)groups, (long long)channels, (long long)filters);
}

static bool check_weight(Infer *c, const Node *n, int rank, const int64_t *dim, int64_t filters)
{
  Type weight = type_make(c->in[0].dtype, false, rank, dim);
  Type bias = type_make(c->in[0].dtype, false, 1, &filters);
  if (!want_operands(c, n, 2))
    return false;
  if (!type_equal(&weight, &c->in[1]))
    return infer_error(c, n, "E0201", "the weight is %s, but %s is needed here",
                       shape_text(c, &c->in[1]), shape_text(c, &weight));
  if (c->nin > 2 && c->in[2].dtype != DT_COUNT && !type_equal(&bias, &c->in[2]))
    return infer_error(c, n, "E0201", "the bias is %s, but there are %lld filters",
                       shape_text(c, &c->in[2]), (long long)filters);
  return true;
}

typedef struct { Literal weight, bias; Init init, bias_init; bool has_bias, train; } Learnt;

/* dim: channels on either side, then the window. */
static void learnt_params(Params *p, int rank, const int64_t *dim, int64_t filters, const Learnt *w)
{
  int64_t area = 1, fan_in, fan_out;
  bool fits = true;
  for (int i = 2; i < rank; i++)
    fits = fits && checked_mul(area, dim[i], &area);
  if (!fits || !checked_mul(dim[1], area, &fan_in) || !checked_mul(dim[0], area, &fan_out))
    fan_in = fan_out = INT64_MAX;
  param_add_weight(p, rank, dim, w->weight, w->init, fan_in, fan_out, w->train);
  if (w->has_bias)
    param_add_bias(p, filters, w->bias, w->bias_init, fan_in, fan_out, w->train);
  else
    param_none(p);
}

/* ---- conv1d ---- */
static Ints across(int64_t v) { return (Ints){ .n = 2, .at = { 1, v } }; }

static Pad at_ends(Pad p)
{
  return p.mode == PAD_EXPLICIT ? (Pad){ PAD_EXPLICIT, 0, 0, p.left, p.right } : p;
}

static Window row_window(const conv1d_attrs *a, int64_t length)
{
  return window_make(across(a->kernel), across(a->stride), across(a->dilation), at_ends(a->pad), 1,
                     length);
}

static bool conv1d_infer(Infer *c, const Node *n, Type *out)
{
  const conv1d_attrs *a = n->attrs;
  Window w;
  if (!want_operands(c, n, 1) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  if (c->in[0].rank != 2) {
    infer_error(c, n, "E0202", "needs a sequence [channels, length], but its input is %s",
                shape_text(c, &c->in[0]));
    return infer_help(c, c->in[0].rank == 3 ? "images are for `conv`"
                                            : "give it such a shape by `reshape`");
  }
  int64_t channels = c->in[0].dim[0];
  if (!check_groups(c, n, a->filters, a->groups))
    return false;
  Type row = type_make(c->in[0].dtype, true, 3, (int64_t[]){ channels, 1, c->in[0].dim[1] });
  Infer image = *c;
  image.in = &row;
  image.nin = 1;
  if (!window_infer(&image, n, across(a->kernel), across(a->stride), across(a->dilation),
                    at_ends(a->pad), &w) ||
      !border_infer(c, n, a->pad_mode, "sequence", w.iw, w.left, w.right))
    return false;
  *out = type_make(row.dtype, true, 2, (int64_t[]){ a->filters, w.ow });
  return want_elems(c, n, out) &&
         check_weight(c, n, 3, (int64_t[]){ a->filters, channels / a->groups, a->kernel },
                      a->filters);
}

static void conv1d_params(Params *p, const Node *n)
{
  const conv1d_attrs *a = n->attrs;
  const Type *x = &p->in[0];
  if (x->rank != 2 || a->groups < 1 || a->filters < 1 || x->dim[0] % a->groups || a->kernel < 1)
    return;
  Learnt w = { a->weight, a->bias_values, a->init, a->bias_init, a->bias, a->train };
  learnt_params(p, 3, (int64_t[]){ a->filters, x->dim[0] / a->groups, a->kernel }, a->filters, &w);
}

static bool conv1d_expand(Expand *e, const Node *n, Value *out)
{
  const conv1d_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  const Type *x = value_type(n->in[0]);
  Window w = row_window(a, x->dim[1]);
  Type row = type_make(x->dtype, true, 3, (int64_t[]){ x->dim[0], 1, x->dim[1] });
  Value bias = operand_given(n, 2) ? n->in[2] : (Value){ NULL, 0 };
  const int64_t *side = value_type(n->in[1])->dim;
  Type window = type_make(x->dtype, false, 4, (int64_t[]){ side[0], side[1], 1, side[2] });
  Value line = g_reshape(&b, n->in[0], &row), weight = g_reshape(&b, n->in[1], &window);
  if (!border_is_zeros(a->pad_mode)) {
    line = g_border(&b, line, 2, w.left, w.right, a->pad_mode);
    w = window_make(across(a->kernel), across(a->stride), across(a->dilation),
                    (Pad){ PAD_VALID, 0, 0, 0, 0 }, 1, value_type(line)->dim[2]);
  }
  if (a->flip)
    weight = g_reverse(&b, weight, (Ints){ .n = 1, .at = { 3 } });
  Value y = g_conv(&b, line, weight, bias, &w, a->groups);
  out[0] = g_reshape(&b, y, &n->type[0]);
  return true;
}

static double weight_flops(const Node *n)
{
  return 2 * (double)value_elems(n->in[1]) * (double)n->type[0].dim[n->type[0].rank - 1];
}

const OpDef op_conv1d = {
  .name = "conv1d", .doc = "convolution of a sequence [channels, length] with learnt filters",
  .aliases = "Conv1d Conv1D",
  .formula = "$y[o,i] = sum_{c,u} $w[o,c,u] * $x[c, i*s+u*d-p] + $b[o]",
  .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x w b?", .results = "y",
  .attrs = conv1d_attr_defs, .attrs_size = sizeof(conv1d_attrs), .positional = 2,
  .infer = conv1d_infer, .params = conv1d_params, .expand = conv1d_expand, .flops = weight_flops,
  .samples = (const OpSample[]){
    { "filters=3, kernel=2, bias=false", "x=f32[n,2,5]" },
    { "filters=4, kernel=3, stride=2, pad=2, dilation=2, groups=2", "x=f32[n,2,6]" },
    { "filters=2, kernel=4, pad=same", "x=f32[n,1,6]" },
    { "filters=2, kernel=3, pad=2, pad_mode=circular, flip=true", "x=f32[n,1,4]" }, { 0 }
  },
};

/* ---- conv_transpose ---- */
static int64_t grown(int64_t in, int64_t step, int64_t cut, int64_t reach, int64_t more)
{
  return (in - 1) * step - cut + reach + more;
}

/* The convolution whose image y would be. */
static Window grown_window(const conv_transpose_attrs *a, int64_t h, int64_t w)
{
  Window k = window_make(a->kernel, a->stride, a->dilation, a->pad, 1, 1);
  int64_t more[2] = { a->output_pad.n > 0 ? a->output_pad.at[0] : 0, 0 };
  more[1] = a->output_pad.n > 1 ? a->output_pad.at[1] : more[0];
  int64_t oh = grown(h, k.sh, k.top + k.bottom, k.dh * (k.kh - 1) + 1, more[0]);
  int64_t ow = grown(w, k.sw, k.left + k.right, k.dw * (k.kw - 1) + 1, more[1]);
  return window_make(a->kernel, a->stride, a->dilation, a->pad, oh, ow);
}

static bool conv_transpose_infer(Infer *c, const Node *n, Type *out)
{
  const conv_transpose_attrs *a = n->attrs;
  Window w;
  Pad none = { PAD_VALID, 0, 0, 0, 0 };
  if (!window_infer(c, n, (Ints){ .n = 1, .at = { 1 } }, (Ints){ 0 }, (Ints){ 0 }, none, &w))
    return false;
  int64_t channels = c->in[0].dim[0], h = c->in[0].dim[1], width = c->in[0].dim[2];
  if (a->pad.mode == PAD_SAME) {
    infer_error(c, n, "E0304", "`pad` is a number of cells to cut off here, not same");
    return infer_help(c, "kernel=4, stride=2, pad=1 doubles the image");
  }
  if (!check_groups(c, n, a->filters, a->groups))
    return false;
  Window step = window_make(a->kernel, a->stride, a->dilation, a->pad, 1, 1);
  for (int i = 0; i < a->output_pad.n; i++)
    if (a->output_pad.at[i] < 0 || a->output_pad.at[i] >= (i ? step.sw : step.sh) ||
        (a->output_pad.n == 1 && a->output_pad.at[i] >= step.sw))
      return infer_error(c, n, "E0304", "`output_pad` must be at least 0 and below the stride");
  w = grown_window(a, h, width);
  Type image = type_make(c->in[0].dtype, true, 3, (int64_t[]){ a->filters, w.ih, w.iw });
  if (w.ih < 1 || w.iw < 1)
    return infer_error(c, n, "E0203", "`pad` cuts off the whole result");
  Infer back = *c;
  back.in = &image;
  back.nin = 1;
  if (!window_infer(&back, n, a->kernel, a->stride, a->dilation, a->pad, &w))
    return false;
  *out = image;
  return want_elems(c, n, out) &&
         check_weight(c, n, 4, (int64_t[]){ channels, a->filters / a->groups, w.kh, w.kw },
                      a->filters);
}

static void conv_transpose_params(Params *p, const Node *n)
{
  const conv_transpose_attrs *a = n->attrs;
  const Type *x = &p->in[0];
  Window k = window_make(a->kernel, a->stride, a->dilation, a->pad, 1, 1);
  if (x->rank != 3 || a->groups < 1 || a->filters < 1 || a->filters % a->groups || k.kh < 1 ||
      k.kw < 1)
    return;
  Learnt w = { a->weight, a->bias_values, a->init, a->bias_init, a->bias, a->train };
  learnt_params(p, 4, (int64_t[]){ x->dim[0], a->filters / a->groups, k.kh, k.kw }, a->filters, &w);
}

static bool conv_transpose_expand(Expand *e, const Node *n, Value *out)
{
  const conv_transpose_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  const Type *x = value_type(n->in[0]);
  Window w = grown_window(a, x->dim[1], x->dim[2]);
  out[0] = g_conv_dx(&b, n->in[0], n->in[1], &w, a->groups);
  if (operand_given(n, 2))
    out[0] = g_add(&b, out[0], n->in[2]);
  return true;
}

static double transpose_flops(const Node *n)
{
  const Type *x = value_type(n->in[0]);
  return 2 * (double)value_elems(n->in[1]) * (double)(x->dim[1] * x->dim[2]);
}

const OpDef op_conv_transpose = {
  .name = "conv_transpose", .doc = "transposed convolution: every pixel adds a learnt window",
  .aliases = "ConvTranspose2d Conv2DTranspose conv_transpose2d deconv Deconvolution",
  .formula = "$y[o, i*s+u*d-p, j*s+v*d-p] = sum_{c,i,j,u,v} $w[c,o,u,v] * $x[c,i,j] + $b[o]",
  .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x w b?", .results = "y",
  .attrs = conv_transpose_attr_defs, .attrs_size = sizeof(conv_transpose_attrs), .positional = 2,
  .infer = conv_transpose_infer, .params = conv_transpose_params, .expand = conv_transpose_expand,
  .flops = transpose_flops,
  .samples = (const OpSample[]){
    { "filters=3, kernel=2, stride=2", "x=f32[n,2,3,2]" },
    { "filters=2, kernel=3, stride=2, pad=1, output_pad=1, bias=false", "x=f32[n,3,2,3]" },
    { "filters=4, kernel=[2, 3], dilation=[1, 2], groups=2", "x=f32[n,2,3,3]" }, { 0 }
  },
};
