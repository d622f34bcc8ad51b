/* Every operation with a kernel or a scalar hook, by itself: each of its samples, and shapes around the block
 * of 16, in both layout families, for full and partial batches, with sources as operands and
 * with operands and results of other kernels, fused and not. In double it must agree with the
 * naive reference to rounding; in float on small integers bit for bit wherever the arithmetic is
 * exact. */
#include "unit/ops/bench.h"
#include "unit/driver/by_llvm.h"

#include "ir/verify.h"
#include "loop/verify.h"
#include "pass/kernels.h"
#include "target/target.h"

typedef struct { const char *op, *attrs, *shapes; } Extra;

/* Shapes around the block of 16 (8 in double), single pixels and units, windows larger than the
 * image. */
static const Extra extras[] = {
  { "add", "", "x=f32[n,16], y=f32[16]" }, { "add", "", "x=f32[n,17,2,16], y=f32[17]" },
  { "add", "", "x=f32[n,3,2,16], y=f32[3]" }, { "add", "", "x=f32[n,2,8], y=f32[n,2,8]" },
  { "add", "", "x=f32[n,16], y=f32[n]" }, { "sub", "", "x=f32[n,33], y=f32[n,33]" },
  { "mul", "", "x=f32[16], y=f32[16]" }, { "mul", "", "x=f32[17,3], y=f32[17,3]" },
  { "mul", "", "x=f32[n,1], y=f32[n,1]" }, { "mul", "", "x=f32[n], y=f32[n]" },
  { "div", "", "x=f32[n,17], y=f32[17]" }, { "div", "", "x=f32[33], y=f32[]" },
  { "exp", "", "x=f32[n,17]" }, { "exp", "", "x=f32[5]" }, { "exp", "",
      "x=f32[n,3,1,16]" }, { "exp", "", "x=f32[n]" },
  { "affine", "scale=2, offset=3", "x=f32[n,17]" }, { "affine", "scale=2, offset=3",
                                                      "x=f32[n,18,1,3]" },
  { "affine", "scale=2, offset=3", "x=f32[2,3,8]" }, { "affine", "scale=2, offset=3", "x=f32[n]" },
  { "if_lt", "", "p=f32[n,17], q=f32[n,17], x=f32[n,17], y=f32[n,17]" },
  { "cast", "", "x=u8[n,17,2,2]" }, { "cast", "", "x=u8[n,3,2,16]" }, { "cast", "", "x=u8[n,16]" },
  { "gelu", "", "x=f32[n,17]" }, { "pow", "exponent=0.3", "x=f32[n,3,2,16]" },
  { "heaviside", "", "x=f32[n,17,2,1]" },
  { "relu", "", "x=f32[n,17]" }, { "sigmoid", "", "x=f32[n,17]" }, { "sigmoid", "",
                                                                     "x=f32[n,16,3,1]" },
  { "relayout", "", "x=f32[n,17,3,16]" }, { "relayout", "", "x=u8[n,3]" },
  { "spread", "batch=true, shape=[16]", "x=f32[]" }, { "spread", "batch=true, shape=[17, 2, 2]",
                                                       "x=f32[17]" },
  { "spread", "batch=true, shape=[17]", "x=f32[n]" }, { "spread", "shape=[5, 16]", "x=f32[]" },
  { "spread", "shape=[17, 3]", "x=f32[17]" },
  { "normalize", "", "x=f32[n,17,2,2], mean=f32[17], std=f32[17]" }, { "normalize", "",
      "x=f32[n,16], mean=f32[16], std=f32[16]" },
  { "dense", "units=17", "x=f32[n,33]" }, { "dense", "units=1", "x=f32[n,1]" }, { "dense",
      "units=16", "x=f32[n,16]" },
  { "dense", "units=40", "x=f32[n,15]" }, { "dense", "units=8, bias=false", "x=f32[n,8]" },
  { "dense_dx", "", "dy=f32[n,17], w=f32[17,33]" }, { "dense_dx", "", "dy=f32[n,1], w=f32[1,1]" },
  { "dense_dx", "", "dy=f32[n,33], w=f32[33,16]" }, { "dense_dw", "", "dy=f32[n,17], x=f32[n,33]" },
  { "dense_dw", "", "dy=f32[n,19,70], x=f32[n,19,40]" },
  { "dense_dw", "", "dy=f32[n,1,1100], x=f32[n,1,64]" },
  { "token_columns_dw", "tokens=5000", "dy=f32[n,2,3], x=i32[n,2]" },
  { "dense_dw", "", "dy=f32[n,1], x=f32[n,1]" }, { "dense_dw", "", "dy=f32[n,33], x=f32[n,16]" },
  { "conv", "filters=17, kernel=3, pad=1", "x=f32[n,16,4,5]" }, { "conv", "filters=16, kernel=1",
                                                                  "x=f32[n,17,1,1]" },
  { "conv", "filters=9, kernel=[1, 2], stride=[3, 4]", "x=f32[n,1,7,9]" },
  { "conv", "filters=3, kernel=5, pad=4", "x=f32[n,2,2,2]" }, { "conv",
      "filters=2, kernel=3, pad=1", "x=f32[n,1,3,16]" },
  { "conv", "filters=32, kernel=3, groups=2, pad=1", "x=f32[n,32,3,2]" },
  { "conv", "filters=6, kernel=3, groups=3, pad=1", "x=f32[n,3,4,4]" },
  { "conv", "filters=2, kernel=[1, 25], pad=[0, 0, 12, 12]", "x=f32[n,1,1,9]" },
  { "conv", "filters=17, kernel=3, groups=17, pad=1", "x=f32[n,17,5,4]" },
  { "conv", "filters=16, kernel=[4, 3], stride=2, pad=[2, 0, 1, 3], groups=16",
    "x=f32[n,16,7,6]" },
  { "conv", "filters=9, kernel=2, groups=9, dilation=[1, 2], bias=false", "x=f32[n,9,3,19]" },
  { "conv", "filters=34, kernel=2, groups=17", "x=f32[n,17,3,3]" },
  { "conv", "filters=72, kernel=[1, 2], groups=3", "x=f32[n,48,1,3]" },
  { "conv", "filters=3, kernel=[2, 28], pad=[0, 0, 3, 2]", "x=f32[n,2,3,30]" },
  { "conv_dx", "kernel=[3, 3], pad=[1, 1, 1, 1], image=[4, 5]",
    "dy=f32[n,17,4,5], w=f32[17,16,3,3]" },
  { "conv_dx", "kernel=[1, 1], image=[1, 1]", "dy=f32[n,16,1,1], w=f32[16,17,1,1]" },
  { "conv_dx", "kernel=[1, 2], stride=[3, 4], image=[7, 9]", "dy=f32[n,9,3,2], w=f32[9,1,1,2]" },
  { "conv_dx", "kernel=[5, 5], pad=[4, 4, 4, 4], image=[2, 2]", "dy=f32[n,3,6,6], w=f32[3,2,5,5]" },
  { "conv_dx", "kernel=[2, 2], stride=[2, 3], dilation=[3, 2], image=[6, 8]",
    "dy=f32[n,2,2,2], w=f32[2,1,2,2]" },
  { "conv_dx", "kernel=[3, 3], pad=[1, 1, 1, 1], groups=2, image=[3, 2]",
    "dy=f32[n,32,3,2], w=f32[32,16,3,3]" },
  { "conv_dx", "kernel=[3, 3], pad=[1, 1, 1, 1], groups=17, image=[5, 4]",
    "dy=f32[n,17,5,4], w=f32[17,1,3,3]" },
  { "conv_dx", "kernel=[4, 3], stride=[2, 2], pad=[2, 0, 1, 3], groups=16, image=[7, 6]",
    "dy=f32[n,16,3,4], w=f32[16,1,4,3]" },
  { "conv_dx", "kernel=[2, 2], groups=17, image=[3, 3]", "dy=f32[n,34,2,2], w=f32[34,1,2,2]" },
  { "conv_dx", "kernel=[1, 2], groups=3, image=[1, 3]", "dy=f32[n,72,1,2], w=f32[72,16,1,2]" },
  { "conv_dx", "kernel=[2, 28], pad=[0, 0, 3, 2], image=[3, 30]",
    "dy=f32[n,3,2,8], w=f32[3,2,2,28]" },
  { "conv_dw", "kernel=[3, 3], pad=[1, 1, 1, 1], image=[4, 5]",
    "dy=f32[n,17,4,5], x=f32[n,16,4,5]" },
  { "conv_dw", "kernel=[1, 1], image=[1, 1]", "dy=f32[n,16,1,1], x=f32[n,17,1,1]" },
  { "conv_dw", "kernel=[1, 2], stride=[3, 4], image=[7, 9]", "dy=f32[n,9,3,2], x=f32[n,1,7,9]" },
  { "conv_dw", "kernel=[5, 5], pad=[4, 4, 4, 4], image=[2, 2]", "dy=f32[n,3,6,6], x=f32[n,2,2,2]" },
  { "conv_dw", "kernel=[2, 2], stride=[2, 3], dilation=[3, 2], image=[6, 8]",
    "dy=f32[n,2,2,2], x=f32[n,1,6,8]" },
  { "conv_dw", "kernel=[3, 3], pad=[1, 1, 1, 1], groups=2, image=[3, 2]",
    "dy=f32[n,32,3,2], x=f32[n,32,3,2]" },
  { "conv_dw", "kernel=[1, 24], pad=[0, 0, 11, 12], image=[2, 3]",
    "dy=f32[n,2,2,3], x=f32[n,2,2,3]" },
  { "conv_dw", "kernel=[3, 3], pad=[1, 1, 1, 1], groups=17, image=[5, 4]",
    "dy=f32[n,17,5,4], x=f32[n,17,5,4]" },
  { "conv_dw", "kernel=[3, 3], pad=[0, 2, 0, 1], groups=8, image=[9, 19]",
    "dy=f32[n,8,9,18], x=f32[n,8,9,19]" },
  { "conv_dw", "kernel=[4, 3], stride=[2, 2], pad=[2, 0, 1, 3], groups=16, image=[7, 6]",
    "dy=f32[n,16,3,4], x=f32[n,16,7,6]" },
  { "conv_dw", "kernel=[6, 5], pad=[1, 1, 1, 1], groups=9, image=[7, 6]",
    "dy=f32[n,9,4,4], x=f32[n,9,7,6]" },
  { "conv_dw", "kernel=[2, 2], groups=17, image=[3, 3]", "dy=f32[n,34,2,2], x=f32[n,17,3,3]" },
  { "conv_dw", "kernel=[1, 2], groups=3, image=[1, 3]", "dy=f32[n,72,1,2], x=f32[n,48,1,3]" },
  { "conv_dw", "kernel=[2, 28], pad=[0, 0, 3, 2], image=[3, 30]",
    "dy=f32[n,3,2,8], x=f32[n,2,3,30]" },
  { "conv_dw", "kernel=[1, 60], image=[1, 61]", "dy=f32[n,17,1,2], x=f32[n,1,1,61]" },
  { "maxpool", "kernel=2", "x=f32[n,2,2,16]" }, { "maxpool", "kernel=2", "x=f32[n,1,2,32]" },
  { "maxpool", "kernel=1", "x=f32[n,1,1,1]" }, { "maxpool", "kernel=3, stride=4, pad=1",
                                                 "x=f32[n,17,9,6]" },
  { "maxpool", "kernel=3, stride=1, pad=1", "x=f32[n,16,1,2]" },
  { "maxpool_dx", "kernel=[2, 2], stride=[2, 2], image=[2, 16]",
    "dy=f32[n,2,1,8], idx=u8[n,2,1,8]" },
  { "maxpool_dx", "kernel=[2, 2], stride=[2, 2], image=[2, 32]",
    "dy=f32[n,1,1,16], idx=u8[n,1,1,16]" },
  { "maxpool_dx", "kernel=[3, 3], stride=[4, 4], pad=[1, 1, 1, 1], image=[9, 6]",
    "dy=f32[n,17,3,2], idx=u8[n,17,3,2]" },
  { "maxpool_dx", "kernel=[2, 2], stride=[2, 2], image=[3, 5]",
    "dy=f32[n,17,1,2], idx=u8[n,17,1,2]" },
  { "maxpool_dx", "kernel=[3, 2], stride=[3, 2], image=[8, 7]",
    "dy=f32[n,2,2,3], idx=u8[n,2,2,3]" },
  { "maxpool_dx", "kernel=[3, 3], stride=[3, 3], image=[5, 5]",
    "dy=f32[n,16,1,1], idx=u8[n,16,1,1]" },
  { "avgpool", "kernel=2", "x=f32[n,2,2,16]" }, { "avgpool", "kernel=2", "x=f32[n,1,2,32]" },
  { "avgpool", "kernel=1", "x=f32[n,1,1,1]" }, { "avgpool", "kernel=3, stride=4, pad=1",
                                                 "x=f32[n,17,9,6]" },
  { "avgpool_dx", "kernel=[2, 2], stride=[2, 2], image=[2, 16]", "dy=f32[n,2,1,8]" },
  { "avgpool_dx", "kernel=[2, 2], stride=[2, 2], image=[2, 32]", "dy=f32[n,1,1,16]" },
  { "avgpool_dx", "kernel=[2, 3], stride=[2, 3], image=[5, 8]", "dy=f32[n,17,2,2]" },
  { "avgpool_dx", "kernel=[2, 2], stride=[2, 2], image=[3, 33]", "dy=f32[n,2,1,16]" },
  { "avgpool_dx", "kernel=[3, 3], stride=[4, 4], pad=[1, 1, 1, 1], image=[9, 6]",
    "dy=f32[n,17,3,2]" },
  { "softmax", "", "x=f32[n,16]" }, { "softmax", "", "x=f32[n,17]" }, { "softmax_dx", "",
      "dy=f32[n,17], y=f32[n,17]" },
  { "softmax_xent", "", "x=f32[n,17], y=u8[n]" }, { "softmax_xent", "",
                                                    "x=f32[n,16], y=f32[n,16]" },
  { "softmax_xent_dx", "", "dy=f32[n], x=f32[n,17], y=u8[n]" }, { "softmax_xent_dx", "",
      "dy=f32[n], x=f32[n,16], y=f32[n,16]" },
  { "softmax_xent_dx", "smoothing=0.1", "dy=f32[n], x=f32[n,17], y=u8[n]" },
  { "softmax_xent_dt", "", "dy=f32[n], x=f32[n,17]" },
  { "bce_logits", "", "x=f32[n,17], y=f32[n,17]" }, { "bce_logits_dx", "",
                                                      "dy=f32[n], x=f32[n,17], y=f32[n,17]" },
  { "mse", "", "x=f32[n,16], y=f32[n,16]" }, { "mse", "", "x=f32[n,17,2,1], y=f32[n,17,2,1]" },
  { "mse_dx", "", "dy=f32[n], x=f32[n,17], y=f32[n,17]" }, { "mse_dx", "",
      "dy=f32[n], x=f32[n,17,1,2], y=f32[n,17,1,2]" },
  { "l1", "", "x=f32[n,17], y=f32[n,17]" }, { "l1_dx", "", "dy=f32[n], x=f32[n,17], y=f32[n,17]" },
  { "huber", "", "x=f32[n,17], y=f32[n,17]" }, { "huber_dx", "",
                                                 "dy=f32[n], x=f32[n,17], y=f32[n,17]" },
  { "dropout_mask", "key=3", "x=f32[n,17]" }, { "dropout_mask", "key=3", "x=f32[n,16,1,2]" },
  { "dropout_mask", "key=3", "x=f32[n,17,2,6]" }, { "dropout_mask", "key=3", "x=f32[n,18,5,5]" },
  { "dropout_mask", "key=3", "x=f32[n,2,1,16]" }, { "dropout_mask", "key=3", "x=f32[n,16]" },
  { "bn_stats", "", "x=f32[n,17,2,3]" }, { "bn_stats", "", "x=f32[n,3,1,16]" }, { "bn_stats", "",
                                                                                  "x=f32[n,16]" },
  { "bn_apply", "", "x=f32[n,17,2,1], mean=f32[17], istd=f32[17], w=f32[17], b=f32[17]" },
  { "bn_apply", "", "x=f32[n,16], mean=f32[16], istd=f32[16], w=f32[16], b=f32[16]" },
  { "bn_stats", "width=6", "x=f32[n,17,2,1], m2=f32[n,17,2,1]" },
  { "bn_stats", "width=16", "x=f32[n,3,16], m2=f32[n,3,16]" },
  { "bn_row_stats", "", "x=f32[n,17,2,7]" }, { "bn_row_stats", "", "x=f32[n,3,2,16]" },
  { "bn_row_stats", "", "x=f32[n,3,16,5]" }, { "bn_row_stats", "", "x=f32[n,16,33]" },
  { "bn_row_grads", "", "dy=f32[n,17,2,7], x=f32[n,17,2,7], mean=f32[17]" },
  { "bn_row_grads", "", "dy=f32[n,3,1,16], x=f32[n,3,1,16], mean=f32[3]" },
  { "bn_row_grads", "", "dy=f32[n,3,16,4], x=f32[n,3,16,4], mean=f32[3]" },
  { "row_sum", "", "x=f32[n,17,2,7]" }, { "row_sum", "", "x=f32[n,3,1,16]" },
  { "row_sum", "", "x=f32[n,3,16,4]" }, { "row_sum", "", "x=f32[n,16,3]" },
  { "bn_grad_stats", "", "dy=f32[n,17,2,1], dot=f32[n,17,2,1], istd=f32[17]" },
  { "bn_grad_stats", "", "dy=f32[n,3,1,16], dot=f32[n,3,1,16], istd=f32[3]" },
  { "bn_dx", "", "dy=f32[n,17,1,2], x=f32[n,17,1,2], mean=f32[17], istd=f32[17], scale=f32[17], db_m=f32[17], dw_m=f32[17]" },
  { "channel_sum", "", "x=f32[n,17,2,1]" }, { "channel_sum", "",
      "x=f32[n,3,1,16]" }, { "channel_sum", "", "x=f32[16,3]" },
  { "channel_sum", "", "x=f32[3,16]" }, { "channel_sum", "", "x=f32[n,16]" },
  { "batch_sum", "", "x=f32[n,16]" }, { "batch_sum", "", "x=f32[n,17,1,2]" }, { "batch_mean", "",
                                                                                "x=f32[n,17]" },
  { "sum", "", "x=f32[n,17]" }, { "sum", "", "x=f32[n,3,1,16]" }, { "sum", "",
      "x=f32[33]" }, { "sum", "", "x=f32[n]" },
  { "sumsq", "", "x=f32[16]" }, { "sumsq", "", "x=f32[17,2]" },
};

/* Convolutions that tiles of 4x4 can compute: part of a tile, zeros on some sides only, more columns than a strip
 * holds, channels around the block. */
static const Extra transformed[] = {
  { "conv", "filters=3, kernel=3", "x=f32[n,2,5,4]" },
  { "conv", "filters=17, kernel=3, pad=1", "x=f32[n,16,4,5]" },
  { "conv", "filters=8, kernel=3, pad=[0, 1, 2, 0], bias=false", "x=f32[n,17,9,6]" },
  { "conv", "filters=33, kernel=3, pad=2", "x=f32[n,9,1,1]" },
  { "conv", "filters=2, kernel=3, pad=1", "x=f32[n,1,2,50]" },
  { "conv_dx", "kernel=[3, 3], image=[5, 4]", "dy=f32[n,3,3,2], w=f32[3,2,3,3]" },
  { "conv_dx", "kernel=[3, 3], pad=[1, 1, 1, 1], image=[4, 5]",
    "dy=f32[n,17,4,5], w=f32[17,16,3,3]" },
  { "conv_dx", "kernel=[3, 3], pad=[0, 1, 2, 0], image=[9, 6]",
    "dy=f32[n,8,8,6], w=f32[8,17,3,3]" },
  { "conv_dx", "kernel=[3, 3], pad=[2, 2, 2, 2], image=[1, 1]",
    "dy=f32[n,33,3,3], w=f32[33,9,3,3]" },
  { "conv_dx", "kernel=[3, 3], pad=[1, 1, 1, 1], image=[2, 50]",
    "dy=f32[n,2,2,50], w=f32[2,1,3,3]" },
  { "conv_dw", "kernel=[3, 3], image=[5, 4]", "dy=f32[n,3,3,2], x=f32[n,2,5,4]" },
  { "conv_dw", "kernel=[3, 3], pad=[1, 1, 1, 1], image=[4, 5]",
    "dy=f32[n,17,4,5], x=f32[n,16,4,5]" },
  { "conv_dw", "kernel=[3, 3], pad=[0, 1, 2, 0], image=[9, 6]",
    "dy=f32[n,8,8,6], x=f32[n,17,9,6]" },
  { "conv_dw", "kernel=[3, 3], pad=[2, 2, 2, 2], image=[1, 1]",
    "dy=f32[n,33,3,3], x=f32[n,9,1,1]" },
  { "conv_dw", "kernel=[3, 3], pad=[1, 1, 1, 1], image=[2, 50]",
    "dy=f32[n,2,2,50], x=f32[n,1,2,50]" },
};

/* Exact on small integers in float; `once`: one rounding at the end, so exact unless more
 * follows. */
static const char exact_ops[] = " add sub mul fma min max if_lt if_eq neg abs square cast spread relayout relu relu_dx conv conv_dx"
                                " conv_dw dense dense_dx dense_dw maxpool maxpool_dx row_sum channel_sum batch_sum sum sumsq affine"
                                " dropout_mask ";
static const char once_ops[] = " div avgpool batch_mean mse l1 ";

static bool listed(const char *list, const char *op)
{
  char word[40];
  snprintf(word, sizeof word, " %s ", op);
  return strstr(list, word) != NULL;
}

typedef enum { BARE, DRESSED, DRESSED_INNER, DRESSED_APART, DRESS_COUNT } Dress;
static const char *const dress_text[] = { "bare", "dressed", "dressed, result not stored",
                                          "dressed, unfused" };

typedef struct {
  Bench b;
  const OpDef *op;
  const char *attrs, *shapes, *family;
  Transforms transforms;
  int64_t batch;
  DType real;
  Dress dress;
  Value in[OPERANDS];
  char name[OPERANDS][24];
  uint32_t nin;
  bool special;                 /* NaN and -inf among the numbers */
  bool llvm;                    /* also through LLVM, which gives the interpreter's bits */
} Trial;

static const char *label(const Trial *t)
{
  static char text[512];
  snprintf(text, sizeof text, "%s{%s}(%s), %s, %s, n %d of %d, %s", t->op->name, t->attrs,
           t->shapes, t->family,
           dtype_text(t->real), (int)t->b.ctx.n, (int)t->batch, dress_text[t->dress]);
  return text;
}

/* ---- numbers ---- */

typedef struct { const char *op, *operand; double lo, hi; } Domain;
static const Domain domains[] = {
  { "log", "x", 0.4, 3 }, { "sqrt", "x", 0.4, 3 }, { "div", "y", 0.6, 2 },
  { "pow", "x", 0.4, 3 }, { "normalize", "std",
                                                                             0.6, 2 },
  { "bn_apply", "istd", 0.5, 2 }, { "softmax_xent", "y", 0, 1 }, { "bce_logits", "y", 0, 1 },
};

static void fill(Trial *t, uint32_t k, const Type *type, double *v)
{
  int64_t count = bench_count(&t->b, type);
  double lo = -2, hi = 2;
  for (size_t i = 0; i < ARRAY_LEN(domains); i++)
    if (str_eq(domains[i].op, t->op->name) && str_eq(domains[i].operand, t->name[k])) {
      lo = domains[i].lo;
      hi = domains[i].hi;
    }
  if (!dtype_is_real(type->dtype)) {
    for (int64_t i = 0; i < count; i++)
      v[i] = strstr(t->op->name, "bce") ? (double)(i % 2) : (double)((i * 2 + 1) % 3);
    return;
  }
  bench_fill(v, count, lo, hi, 3 * k + 1);
  for (int64_t i = 0; i < count && t->special; i++)
    v[i] = i % 5 == 0 || i % 23 < 7 ? NAN : i % 3 ? v[i] : -INFINITY;
  for (int64_t i = 0; i < count && t->real == DT_F32; i++) {
    if (listed(exact_ops, t->op->name) || listed(once_ops, t->op->name))
      v[i] = lo > 0 ? ceil(v[i]) : rint(v[i] * 1.6);
    v[i] = (float)v[i];
  }
}

static void add_operand(Trial *t, const char *name, Type type)
{
  uint32_t k = t->nin++;
  if (type.dtype == DT_F64)
    type.dtype = t->real;
  snprintf(t->name[k], sizeof t->name[k], "%.23s", name);
  double *v = ARENA_ARRAY(t->b.arena, double, bench_count(&t->b, &type) + 1);
  fill(t, k, &type, v);
  t->in[k] = bench_value(&t->b, &type, v);
}

/* Weights that the layer owns become operands. */
static void add_params(Trial *t, const void *attrs)
{
  Type types[OPERANDS];
  Node *probe = arena_alloc(t->b.arena, sizeof *probe + t->nin * sizeof probe->in[0]);
  *probe = (Node){ .nin = t->nin, .op = t->op, .attrs = attrs, .name = "layer" };
  for (uint32_t k = 0; k < t->nin; k++) {
    probe->in[k] = t->in[k];
    types[k] = *value_type(t->in[k]);
  }
  Params p = { .program = t->b.program, .in = types, .path = "layer" };
  t->op->params(&p, probe);
  GBuild at = bench_at(&t->b);
  for (uint32_t i = 0; i < p.made.n; i++) {
    uint32_t k = t->nin++, id = p.made.at[i];
    t->in[k] = (Value){ NULL, 0 };
    if (id == UINT32_MAX)
      continue;
    Type type = t->b.program->state.at[id].type;
    snprintf(t->name[k], sizeof t->name[k], "%.23s", op_operand_name(t->op, t->b.arena, k));
    t->b.state[id] = ARENA_ARRAY(t->b.arena, double, type_elems(&type) + 1);
    fill(t, k, &type, t->b.state[id]);
    t->in[k] = g_read(&at, id);
  }
}

/* ---- the program ---- */

static const OpDef *op_named(const char *name) { return op_find(ops_table(), name); }

static void add_output(Trial *t, const char *name, Value v)
{
  Output o = { name, v };
  vec_push(t->b.arena, &t->b.graph->outputs, o);
}

/* x + 1 through a kernel of its own, or one that may be fused. */
static Value plus_one(Trial *t, Value x)
{
  return bench_call(&t->b, "affine", "scale=1, offset=1", &x, 1);
}

/* A gradient as every gradient is: it starts from one number for all samples, and is zero behind
 * the batch. */
static Value as_gradient(Trial *t, Value dy)
{
  GBuild at = bench_at(&t->b);
  Type samples = type_scalar(t->real, true);
  Value one = g_spread(&at, g_const(&at, 1), &samples);
  return g_mul(&at, dy, one);
}

static void build(Trial *t)
{
  Type types[OPERANDS];
  char names[OPERANDS][24];
  int count = bench_shapes(t->shapes, names, types);
  if (count < 0)
    fail_msg("%s: the shapes '%s' are not well formed", t->op->name, t->shapes);
  for (int k = 0; k < count; k++)
    add_operand(t, names[k], types[k]);
  void *attrs = t->op->attrs_size ? arena_alloc(t->b.arena, t->op->attrs_size) : NULL;
  if (t->op->attrs && !bench_attrs(t->b.arena, t->op, t->attrs, attrs))
    fail_msg("%s: the attributes '%s' are not well formed", t->op->name, t->attrs);
  if (t->op->params)
    add_params(t, attrs);
  for (uint32_t k = 0; k < t->nin && t->dress != BARE; k++)
    if (t->in[k].node && dtype_is_real(value_type(t->in[k])->dtype))
      t->in[k] = plus_one(t, t->in[k]);
  for (uint32_t k = 0; k < t->nin; k++)
    if (str_eq(t->name[k], "dy") && value_type(t->in[k])->batched)
      t->in[k] = as_gradient(t, t->in[k]);
  GBuild at = bench_at(&t->b);
  Node *n = g_node(&at, t->op, attrs, t->in, t->nin);
  for (uint32_t r = 0; r < n->nout && t->dress != DRESSED_INNER; r++)
    add_output(t, "y", (Value){ n, r });
  if (t->dress == BARE || !dtype_is_real(n->type[0].dtype))
    return;
  Value post = plus_one(t, (Value){ n, 0 });
  add_output(t, "post", post);
  if (n->type[0].batched)
    add_output(t, "batch_sum", g_batch_sum(&at, post));
  if (n->type[0].rank > 0)
    add_output(t, "channel_sum", g_channel_sum(&at, post));
}

static void ignore(void *ctx, const char *text)
{
  (void)ctx;
  (void)text;
}

/* NULL: the family does not offer the operation. */
static Module *lower_trial(Trial *t, Decisions **d)
{
  Arena *a = t->b.arena;
  SourceMap *sources = source_map_new(a);
  Diag *diag = diag_new(a, sources, ignore, NULL);
  KernelOptions k = { .fuse = t->dress != DRESSED_APART, .family = t->family,
                      .transforms = t->transforms };
  Decisions *all[HOST_COUNT];
  t->b.program->train = t->b.graph;
  const char *fault = graph_verify(t->b.graph, a);
  if (fault)
    fail_msg("%s: %s", label(t), fault);
  if (!decide_kernels(t->b.program, &k, a, diag, all))
    return NULL;
  fault = graph_verify(t->b.program->train, a);
  if (fault)
    fail_msg("%s: %s", label(t), fault);
  LowerArgs args = { .program = t->b.program, .ops = ops_table(),
                     .target = target_find("x86-64-v4"), .sources = sources,
                     .arena = a, .diag = diag, .decisions = { all[0], all[1], all[2] } };
  *d = all[HOST_TRAIN];
  bool tiles = false;           /* does a kernel work by tiles? */
  for (uint32_t i = 0; i < t->b.program->train->order.n; i++) {
    const Plan *plan = (*d)->plan[t->b.program->train->order.at[i]->id];
    tiles = tiles || (plan && plan->grid);
  }
  if (tiles != (t->transforms == TRANSFORM_ALWAYS))
    fail_msg("%s: %s", label(t), tiles ? "transforms" : "does not transform");
  Module *m = lower_program(&args);
  fault = m ? loop_verify(m, a) : "not lowered";
  if (fault)
    fail_msg("%s: %s", label(t), fault);
  return m;
}

static void **make_rows(Trial *t, const uint32_t *ids)
{
  Program *p = t->b.program;
  void **rows = ARENA_ARRAY(t->b.arena, void *, p->fields.n + 1);
  for (uint32_t f = 0; f < p->fields.n; f++) {
    const Type *type = &p->fields.at[f].type;
    int64_t elems = type_elems(type);
    size_t bytes = (size_t)(elems * LOWERED_ROWS * dtype_bytes(type->dtype));
    rows[f] = arena_alloc(t->b.arena, bytes);
    if (dtype_is_real(type->dtype))
      lowered_poison(rows[f], type->dtype, bytes);
    for (int64_t i = 0; i < t->b.ctx.n; i++)
      for (int64_t j = 0; j < elems; j++)
        lowered_put(rows[f], type->dtype, ids[i] * elems + j, t->b.field[f][i * elems + j]);
  }
  return rows;
}

static void compare(Trial *t, const RefTensor *want, const char *name, const void *got)
{
  int64_t count = ref_elems(want);
  bool exact = t->real == DT_F32 && t->transforms == TRANSFORM_NEVER && (listed(exact_ops,
                                                                                t->op->name) ||
                                     (t->dress == BARE && listed(once_ops, t->op->name)));
  double tolerance = (t->real == DT_F32 ? 2e-5 : 1e-11) * lowered_scale(want->v, count);
  for (int64_t i = 0; i < count; i++) {
    double g = lowered_get(got, t->real, i), w = want->v[i];
    bool same = g == (t->real == DT_F32 ? (double)(float)w : w) || (isnan(g) && isnan(w));
    if (!same && (exact || !(fabs(g - w) <= tolerance) || isinf(w)))
      fail_msg("%s: %s[%d]: reference %.17g, code %.17g", label(t), name, (int)i, w, g);
  }
}

static void check_padding(const Trial *t, const Module *m, const char *arena)
{
  const Host *h = m->host[HOST_TRAIN];
  for (uint32_t i = 0; i < h->buffers.n; i++) {
    const Buffer *b = h->buffers.at[i];
    int64_t bad = b->role == BUF_ARENA ? lowered_bad_padding(b, arena, t->b.ctx.n) : -1;
    if (bad >= 0)
      fail_msg("%s: padding of '%s' %s holds %g at %d", label(t), b->name, layout_text(t->b.arena,
                                                                                       b->layout),
               lowered_get(arena + b->offset, b->dtype, bad), (int)bad);
  }
}

/* Runs the program and compares its outputs; returns the state block. */
static char *run(Trial *t, Module *m, const Decisions *d, RefTensor **want)
{
  Arena *a = t->b.arena;
  const Graph *g = t->b.program->train;
  char *state = arena_alloc(a, m->state_bytes + 64);
  for (uint32_t i = 0; i < t->b.program->state.n; i++) {
    const Type *type = &t->b.program->state.at[i].type;
    const Buffer *buf = lowered_state(m, i);
    for (int64_t j = 0; j < type_elems(type); j++)
      lowered_put(state + buf->offset, type->dtype, lowered_place(&d->state[i], type, j),
                  t->b.state[i][j]);
  }
  size_t bytes = lowered_spread_buffers(m, HOST_TRAIN);
  char *arena = arena_alloc(a, bytes + 64);
  lowered_poison(arena, t->real, bytes);
  void **out = ARENA_ARRAY(a, void *, g->outputs.n + 1);
  size_t *out_bytes = ARENA_ARRAY(a, size_t, g->outputs.n + 1);
  for (uint32_t i = 0; i < g->outputs.n; i++) {
    out_bytes[i] = (size_t)(ref_elems(want[i]) * dtype_bytes(t->real));
    out[i] = arena_alloc(a, out_bytes[i]);
    lowered_poison(out[i], t->real, out_bytes[i]);
  }
  int workers = 1 + (int)(t->b.ctx.n % 3);
  size_t scratch = m->host[HOST_TRAIN]->worker_bytes * (size_t)workers;
  void *worker = arena_alloc(a, scratch + 64);
  lowered_poison(worker, t->real, scratch);
  LoopRun r = { .state = state, .arena = arena, .worker = worker,
                .rows = (const void *const *)make_rows(t,
                    t->b.sample), .ids = t->b.sample, .args = t->b.args, .out = out,
                .n = t->b.ctx.n, .nworkers = workers };
  const void *before = arena_copy(a, state, m->state_bytes);
  const char *fault = loop_run(m, HOST_TRAIN, &r, a);
  if (!fault && t->llvm)
    fault = by_llvm_compare(m, HOST_TRAIN, &r, before, out_bytes, (int)g->outputs.n, a);
  if (fault)
    fail_msg("%s: %s", label(t), fault);
  for (uint32_t i = 0; i < g->outputs.n; i++)
    compare(t, want[i], g->outputs.at[i].name, out[i]);
  check_padding(t, m, arena);
  return state;
}

/* Compiles and runs one trial. */
static void try_one(Trial t, int64_t n)
{
  bench_open(&t.b, n);
  t.b.program->real = t.real;
  t.b.program->batch = t.batch;
  lowered_ids(t.b.sample, n);
  build(&t);
  RefTensor **want = ARENA_ARRAY(t.b.arena, RefTensor *, t.b.graph->outputs.n + 1);
  ref_run(&t.b.ctx, t.b.graph, want);
  Decisions *d;
  Module *m = lower_trial(&t, &d);
  if (!m)
    fail_msg("%s: no kernel", label(&t));
  run(&t, m, d, want);
  bench_close(&t.b);
}

/* LLVM, whose compilations take long, runs one trial in so many as well: at least one of the 72 of a
 * sample in each family, and in turn every dress, both reals, full batches and others, since the
 * two numbers have no common divisor. */
enum { LLVM_EVERY = 61 };

/* Returns how many trials there were. */
static int try_sample(const OpDef *op, const Extra *x, const char *family, Transforms transforms)
{
  static const int batches[] = { 1, 3, 16, 17, 33 };
  static int trials;            /* of all samples */
  int tried = 0;
  for (size_t i = 0; i < ARRAY_LEN(batches); i++)
    for (int64_t n = batches[i]; n >= 1 && n >= batches[i] - 1; n--)
      for (int real = 0; real < 2; real++)
        for (int dress = 0; dress < DRESS_COUNT; dress++) {
          Trial t = { .op = op, .attrs = x->attrs, .shapes = x->shapes, .family = family,
                      .batch = batches[i],
                      .transforms = transforms, .real = real ? DT_F32 : DT_F64, .dress = (Dress)dress };
          t.llvm = llvm_present() && trials++ % LLVM_EVERY == 0;
          try_one(t, n);
          tried++;
        }
  return tried;
}

static void test_every_operation_in_every_family(void **unused)
{
  static const char *const families[] = { "lanes", "channels" };
  const OpTable *t = ops_table();
  const char *only = getenv("GRADC_TEST_OP");   /* narrows a search for a fault */
  (void)unused;
  for (int i = 0; i < t->n; i++) {
    const OpDef *op = t->at[i];
    int tried[2] = { 0, 0 };
    if ((op->cls != OP_NEST && op->cls != OP_EWISE) || (only && !str_eq(only, op->name)))
      continue;
    for (int f = 0; f < 2; f++) {
      for (const OpSample *s = op->samples; s->attrs; s++)
        tried[f] += try_sample(op, &(Extra){ op->name, s->attrs, s->shapes }, families[f],
                               TRANSFORM_NEVER);
      for (size_t x = 0; x < ARRAY_LEN(extras); x++)
        if (str_eq(extras[x].op, op->name))
          tried[f] += try_sample(op, &extras[x], families[f], TRANSFORM_NEVER);
      if (!tried[f])
        fail_msg("%s is never computed in family %s", op->name, families[f]);
    }
    print_message("%-16s lanes %4d   channels %4d\n", op->name, tried[0], tried[1]);
  }
}

/* `numerics: fast` wherever it can, whatever it costs. */
static void test_transformed_tiles(void **unused)
{
  const char *only = getenv("GRADC_TEST_OP");
  (void)unused;
  for (size_t x = 0; x < ARRAY_LEN(transformed); x++) {
    if (only && !str_eq(only, transformed[x].op))
      continue;
    try_sample(op_named(transformed[x].op), &transformed[x], "channels", TRANSFORM_ALWAYS);
  }
}

/* ---- particular cases ---- */

/* NaN wins in windows, also when nothing else is there; -inf is a number like others. */
static void test_windows_without_numbers(void **unused)
{
  static const char *const attrs[] = { "kernel=2", "kernel=3, stride=2, pad=1",
                                       "kernel=[2, 3], stride=[3, 1], pad=[0, 1, 2, 0]" };
  static const char *const shapes[] = { "x=f32[n,2,6,6]", "x=f32[n,17,5,4]", "x=f32[n,1,2,16]" };
  (void)unused;
  for (size_t i = 0; i < ARRAY_LEN(attrs) * ARRAY_LEN(shapes) * 4; i++) {
    Trial t = { .op = op_named("maxpool"), .attrs = attrs[i % 3], .shapes = shapes[i / 3 % 3],
                .batch = 9, .special = true, .llvm = llvm_present(),
                .family = i / 9 % 2 ? "lanes" : "channels", .real = i / 18 ? DT_F32 : DT_F64 };
    try_one(t, 8);
  }
}

/* s := s + 1, and b = new + old in the same kernel, an output of the old value, a second
 * variable := old. */
static void test_old_state_is_read_before_it_changes(void **unused)
{
  (void)unused;
  for (int dress = 0; dress < 4; dress++)
    for (int64_t size = 1; size <= 40; size += 13) {
      Trial t = { .op = op_named("add"), .attrs = "", .shapes = "", .batch = 4,
                  .family = dress % 2 ? "lanes" : "channels",
                  .real = DT_F64, .dress = dress / 2 ? DRESSED_APART : BARE,
                  .llvm = llvm_present() };
      bench_open(&t.b, 3);
      t.b.program->batch = 4;
      lowered_ids(t.b.sample, 3);
      Type type = type_make(DT_F64, false, size > 1 ? 1 : 0, &size);
      double v[2][40];
      for (int i = 0; i < 40; i++)
        v[0][i] = v[1][i] = i + 1;
      Value old = bench_value(&t.b, &type, v[0]), other = bench_value(&t.b, &type, v[1]);
      GBuild at = bench_at(&t.b);
      Value new = plus_one(&t, old), both = g_add(&at, new, old), far = g_mul(&at, g_sum(&at,
          both), old);
      Write w[] = { { 0, new }, { 1, old } };
      vec_push(t.b.arena, &t.b.graph->writes, w[0]);
      vec_push(t.b.arena, &t.b.graph->writes, w[1]);
      add_output(&t, "both", both);
      add_output(&t, "far", far);
      add_output(&t, "old", old);
      add_output(&t, "other", g_add(&at, other, old));
      RefTensor **want = ARENA_ARRAY(t.b.arena, RefTensor *, 5);
      double first[2][40];
      memcpy(first, v, sizeof v);
      ref_run(&t.b.ctx, t.b.graph, want);
      memcpy(v, first, sizeof v);
      Decisions *d;
      Module *m = lower_trial(&t, &d);
      assert_non_null(m);
      char *state = run(&t, m, d, want);
      for (int64_t i = 0; i < size; i++) {
        assert_true(((double *)(void *)(state + lowered_state(m,
                                                              0)->offset))[i] == first[0][i] + 1);
        assert_true(((double *)(void *)(state + lowered_state(m, 1)->offset))[i] == first[0][i]);
      }
      bench_close(&t.b);
    }
}

static void test_extra_shapes_name_operations(void **unused)
{
  (void)unused;
  for (size_t x = 0; x < ARRAY_LEN(extras); x++)
    if (!op_named(extras[x].op))
      fail_msg("there is no operation '%s'", extras[x].op);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_extra_shapes_name_operations),
    cmocka_unit_test(test_windows_without_numbers),
    cmocka_unit_test(test_old_state_is_read_before_it_changes),
    cmocka_unit_test(test_every_operation_in_every_family), cmocka_unit_test(test_transformed_tiles),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
