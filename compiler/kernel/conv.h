/* Convolution templates: forward, input gradient (a gather, never a scatter) and weight gradient, for
 * batch in lanes and for channel blocks. Cross-correlation as in PyTorch; x [ic, h, w], w [oc, ic/groups,
 * kh, kw], y [oc, oh, ow]. */
#ifndef GRADC_KERNEL_CONV_H
#define GRADC_KERNEL_CONV_H

#include "lower/lower.h"

typedef struct {
  int64_t ic, oc, groups;
  int64_t k[2], stride[2], dilation[2];         /* [0]: rows, [1]: columns */
  int64_t pad[2];                               /* zeros before the first row and column */
  int64_t in[2], out[2];
} ConvShape;

typedef enum { CONV_FORWARD, CONV_INPUT_GRAD, CONV_WEIGHT_GRAD } ConvPass;

/* One filter a channel: y has x's channels, and each its own window of weights. */
bool conv_is_depthwise(const ConvShape *s);

/* Operand order: FORWARD x w b?; INPUT_GRAD dy w; WEIGHT_GRAD dy x. */
void conv_plans(Plans *ps, const Node *n, const ConvShape *s, ConvPass pass, int dy_operand, int other_operand);
void conv_forward(Lower *l, const Node *n, const Plan *p, const ConvShape *s, Value x, Value w, Value bias);
void conv_input_grad(Lower *l, const Node *n, const Plan *p, const ConvShape *s, Value dy, Value w);
void conv_weight_grad(Lower *l, const Node *n, const Plan *p, const ConvShape *s, Value dy, Value x);

#endif
