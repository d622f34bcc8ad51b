/* Windows that slide over an image: the geometry shared by convolution and pooling.
 *
 * Output cell (oy, ox) sees input rows oy * sh + u * dh - top for 0 <= u < kh, and columns alike.
 * Sizes are floor((h + top + bottom - dh * (kh - 1) - 1) / sh) + 1, as in PyTorch. pad=same follows
 * TensorFlow for every stride: ceil(h / sh) results, the odd cell of padding at the bottom and the
 * right; pad=valid adds none. */
#ifndef GRADC_OPS_WINDOW_H
#define GRADC_OPS_WINDOW_H

#include "ops/family.h"

typedef struct {
  int64_t ih, iw;               /* input */
  int64_t kh, kw, sh, sw, dh, dw;       /* window, step, dilation */
  int64_t top, bottom, left, right;     /* padding after same and valid are resolved */
  int64_t oh, ow;               /* output; below 1: the window does not fit */
} Window;

/* Attributes of the backward operations: everything resolved. */
#define WINDOW_BACK(A, op)                                              \
  A(op, ints, kernel,   "!", "window [height, width]")                  \
  A(op, ints, stride,   "1", "step between windows [vertical, horizontal]") \
  A(op, ints, dilation, "1", "distance of the window's cells")          \
  A(op, pad,  pad,      "0", "cells added [top, bottom, left, right]")  \
  A(op, ints, image,    "!", "[height, width] of the forward operand")

/* One number stands for both axes; none for 1. Attributes must have passed window_infer. */
Window window_make(Ints kernel, Ints stride, Ints dilation, Pad pad, int64_t ih, int64_t iw);
Ints window_kernel(const Window *w);
Ints window_stride(const Window *w);
Ints window_dilation(const Window *w);
Pad window_pad(const Window *w);
Ints window_image(const Window *w);
/* What infer hooks check: operand 0 is a batch of real images, options are in range, a window fits.
 * Reports E0202, E0203 or E0304. */
bool window_infer(Infer *c, const Node *n, Ints kernel, Ints stride, Ints dilation, Pad pad,
                  Window *out);
/* Its two halves: what holds before there is a window, and that w has results. */
bool window_check(Infer *c, const Node *n, Ints kernel, Ints stride, Ints dilation, Pad pad);
bool window_fits(Infer *c, const Node *n, const Window *w);
/* Results for what is left at the end too, as PyTorch's ceil_mode: sizes are rounded up, but no
 * window begins behind the image and its padding before it. The padding stays as it is. */
void window_round_up(Window *w);
/* Warns (W0203) when the last rows or columns reach no window. */
void window_warn_dropped(Infer *c, const Node *n, const Window *w);
/* Input row of window row u at output row oy, or -1 in the padding; and the same for columns. */
int64_t window_row(const Window *w, int64_t oy, int64_t u);
int64_t window_col(const Window *w, int64_t ox, int64_t v);

/* Constructors over a window whose image is that of x (conv, maxpool, avgpool) or of the result
 * (conv_dx, avgpool_dx). bias: node NULL for none. Padding counts in the divisor of means. */
Value g_conv(const GBuild *b, Value x, Value weight, Value bias, const Window *w, int64_t groups);
Value g_conv_dx(const GBuild *b, Value dy, Value weight, const Window *w, int64_t groups);
Value g_maxpool(const GBuild *b, Value x, const Window *w);
Value g_avgpool(const GBuild *b, Value x, const Window *w);
Value g_avgpool_dx(const GBuild *b, Value dy, const Window *w);

#endif
