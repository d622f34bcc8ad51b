/* Pooling that takes its window from the image, and enlarging, its opposite: macros.
 *
 *   global_avgpool, global_maxpool  one number for each channel
 *   adaptive_avgpool                a result of a given size, which must divide the image's
 *   upsample                        every pixel becomes factor x factor equal ones */
#include "ops/window.h"

#define ADAPTIVE(A, op) A(op, ints, size, "!", "of the result, one number or [height, width]")
ATTRS(adaptive, ADAPTIVE)

#define UPSAMPLE(A, op) A(op, ints, factor, "2", "one number or [vertical, horizontal]")
ATTRS(upsample, UPSAMPLE)

enum { SIDE_MAX = 255 };        /* a cell's number in a window of maxpool fits a byte */
enum { FACTOR_MAX = 64 };

static int64_t along(Ints v, int axis) { return v.at[v.n > axis ? axis : 0]; }

/* Operand 0 is a batch of images [C,H,W], or of sequences [C,L] where those will do. */
static bool check_image(Infer *c, const Node *n, int least_rank)
{
  if (!want_operands(c, n, 1) || !want_real(c, n, 0) || !want_batched(c, n, 0))
    return false;
  if (c->in[0].rank >= least_rank && c->in[0].rank <= 3)
    return true;
  infer_error(c, n, "E0202", "needs an image [channels, height, width], but its input is %s",
              shape_text(c, &c->in[0]));
  return infer_help(c, "use it before `flatten`, or give it a shape by `reshape`");
}

static Type of_rank(const Type *x, int rank, int64_t h, int64_t w)
{
  return type_make(x->dtype, true, rank, (int64_t[]){ x->dim[0], h, w });
}

static Window apart(int64_t kh, int64_t kw, int64_t ih, int64_t iw)
{
  Ints k = { .n = 2, .at = { kh, kw } };
  return window_make(k, k, (Ints){ 0 }, (Pad){ PAD_VALID, 0, 0, 0, 0 }, ih, iw);
}

static double operand_flops(const Node *n) { return (double)value_elems(n->in[0]); }

/* ---- global pooling ---- */
static bool global_infer(Infer *c, const Node *n, Type *out)
{
  if (!check_image(c, n, 2))
    return false;
  const Type *x = &c->in[0];
  for (int i = 1; i < x->rank && n->op == &op_global_maxpool; i++)
    if (x->dim[i] > SIDE_MAX)
      return infer_error(c, n, "E0304", "the image %s is larger than %d on a side",
                         shape_text(c, x), SIDE_MAX);
  *out = of_rank(x, 1, 1, 1);
  return true;
}

static bool global_avgpool_expand(Expand *e, const Node *n, Value *out)
{
  GBuild b = g_in_expand(e);
  const Type *x = value_type(n->in[0]);
  int64_t area = type_elems(x) / x->dim[0];
  Type rows = of_rank(x, 2, area, 1);
  Value sum = g_row_sum(&b, g_reshape(&b, n->in[0], &rows));
  out[0] = g_scale(&b, g_reshape(&b, sum, &n->type[0]), 1 / (double)area);
  return true;
}

/* Rows first, then the column of their results: ties still go to the first in row-major order. */
static bool global_maxpool_expand(Expand *e, const Node *n, Value *out)
{
  GBuild b = g_in_expand(e);
  const Type *x = value_type(n->in[0]);
  int64_t h = x->rank == 3 ? x->dim[1] : 1, w = x->dim[x->rank - 1];
  Type image = of_rank(x, 3, h, w);
  Window row = apart(1, w, h, w), column = apart(h, 1, h, 1);
  Value v = g_maxpool(&b, g_reshape(&b, n->in[0], &image), &row);
  if (h > 1)
    v = g_maxpool(&b, v, &column);
  out[0] = g_reshape(&b, v, &n->type[0]);
  return true;
}

const OpDef op_global_avgpool = {
  .name = "global_avgpool", .doc = "mean of each channel",
  .aliases = "GlobalAveragePooling2D GlobalAveragePooling1D GlobalAvgPool2D global_avg_pool",
  .formula = "$y[c] = mean_{i,j} $x[c,i,j]", .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x",
  .results = "y", .infer = global_infer, .expand = global_avgpool_expand, .flops = operand_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,2,3,4]" }, { "", "x=f32[n,3,5]" }, { 0 } },
};

const OpDef op_global_maxpool = {
  .name = "global_maxpool", .doc = "maximum of each channel",
  .aliases = "GlobalMaxPooling2D GlobalMaxPooling1D GlobalMaxPool2D AdaptiveMaxPool2d",
  .formula = "$y[c] = max_{i,j} $x[c,i,j]", .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x",
  .results = "y", .infer = global_infer, .expand = global_maxpool_expand, .flops = operand_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,2,3,4]" }, { "", "x=f32[n,3,5]" }, { 0 } },
};

/* ---- adaptive_avgpool ---- */
static bool adaptive_infer(Infer *c, const Node *n, Type *out)
{
  const adaptive_attrs *a = n->attrs;
  if (!check_image(c, n, 3))
    return false;
  for (int i = 0; i < 2; i++) {
    int64_t size = along(a->size, i), all = c->in[0].dim[1 + i];
    if (a->size.n <= 2 && size >= 1 && all % size == 0)
      continue;
    infer_error(c, n, "E0304", "`size` must divide the image %s", shape_text(c, &c->in[0]));
    return infer_help(c, "`avgpool` takes any window; `global_avgpool` is size 1 as a vector");
  }
  *out = of_rank(&c->in[0], 3, along(a->size, 0), along(a->size, 1));
  return true;
}

static bool adaptive_expand(Expand *e, const Node *n, Value *out)
{
  const adaptive_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  const Type *x = value_type(n->in[0]);
  Window w = apart(x->dim[1] / along(a->size, 0), x->dim[2] / along(a->size, 1), x->dim[1],
                   x->dim[2]);
  out[0] = g_avgpool(&b, n->in[0], &w);
  return true;
}

const OpDef op_adaptive_avgpool = {
  .name = "adaptive_avgpool", .doc = "mean of equal parts of the image, as many as asked for",
  .aliases = "AdaptiveAvgPool2d adaptive_avg_pool2d",
  .formula = "$y[c,i,j] = mean of part i,j of $x",
  .cls = OP_MACRO, .flags = OP_LAYER, .operands = "x", .results = "y",
  .attrs = adaptive_attr_defs, .attrs_size = sizeof(adaptive_attrs), .positional = 1,
  .infer = adaptive_infer, .expand = adaptive_expand, .flops = operand_flops,
  .samples = (const OpSample[]){
    { "size=2", "x=f32[n,2,4,6]" }, { "size=[3, 1]", "x=f32[n,1,3,5]" }, { 0 }
  },
};

/* ---- upsample: the gradient of a mean over windows that do not meet, times their cells ---- */
static bool upsample_infer(Infer *c, const Node *n, Type *out)
{
  const upsample_attrs *a = n->attrs;
  if (!check_image(c, n, 3))
    return false;
  for (int i = 0; i < 2; i++)
    if (a->factor.n > 2 || along(a->factor, i) < 1 || along(a->factor, i) > FACTOR_MAX)
      return infer_error(c, n, "E0304", "`factor` must be between 1 and %d", FACTOR_MAX);
  *out = of_rank(&c->in[0], 3, c->in[0].dim[1] * along(a->factor, 0),
                 c->in[0].dim[2] * along(a->factor, 1));
  return want_elems(c, n, out);
}

static bool upsample_expand(Expand *e, const Node *n, Value *out)
{
  const upsample_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  int64_t kh = along(a->factor, 0), kw = along(a->factor, 1);
  Window w = apart(kh, kw, n->type[0].dim[1], n->type[0].dim[2]);
  out[0] = g_avgpool_dx(&b, g_scale(&b, n->in[0], (double)(kh * kw)), &w);
  return true;
}

static double result_flops(const Node *n) { return flops_elems(n); }

const OpDef op_upsample = {
  .name = "upsample", .doc = "every pixel several times, the nearest one for each new place",
  .aliases = "Upsample UpSampling2D UpsamplingNearest2d interpolate",
  .formula = "$y[c,i,j] = $x[c, i / factor, j / factor]", .cls = OP_MACRO, .flags = OP_LAYER,
  .operands = "x", .results = "y", .attrs = upsample_attr_defs,
  .attrs_size = sizeof(upsample_attrs), .positional = 1, .infer = upsample_infer,
  .expand = upsample_expand, .flops = result_flops,
  .samples = (const OpSample[]){
    { "factor=3", "x=f32[n,2,3,2]" }, { "factor=[1, 2]", "x=f32[n,1,2,3]" }, { 0 }
  },
};
