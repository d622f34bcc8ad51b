/* The training step as one graph: forward, loss, gradients, clipping, update. */
#ifndef GRADC_PASS_TRAIN_H
#define GRADC_PASS_TRAIN_H

#include "ir/ctx.h"

typedef enum { TRAIN_CLIP_NONE, TRAIN_CLIP_NORM, TRAIN_CLIP_VALUE } TrainClip;

/* Options of the rule that some parameters have for themselves. */
typedef struct { const void *attrs; double lr_scale; } TrainGroup;

typedef struct {
  Value loss;                   /* in forward: one value per sample */
  bool loss_sum;                /* sum over the batch instead of the mean */
  const OpDef *rule;            /* the optimizer, an OP_RULE */
  const void *rule_attrs;
  const TrainGroup *group;
  const int *group_of;          /* by state id, of forward's states; -1: no group; NULL: none has */
  bool accumulates;             /* gradients add up; only steps with ARG_UPDATE 1 change weights */
  bool averages;                /* the average of the weights is kept */
  const char *const *keep;      /* parameters whose gradients are stored in slots; nkeep of them */
  int nkeep;
  bool keep_norm;               /* so is the norm of all gradients, before clipping */
  int clip;                     /* TrainClip */
  double clip_max;
  const Value *out;             /* further outputs, in forward */
  const char *const *out_name;
  int nout;
  bool gradients_only;          /* for gradcheck and tests: neither clipped nor used by a rule, but
                                 * stored, slot "grad.<parameter>" := gradient */
} TrainSpec;

/* Outputs: "loss" (a scalar: mean over the n samples, or sum), then out. Writes, by state id:
 * parameters, slots and statistics. Slots ("sgd.momentum.c1.weight") are added to p once; a second
 * call finds them again. A parameter that is frozen, or that the loss does not depend on, is not
 * written. Clipping is PyTorch's: by norm, gradients times min(1, clip_max / (norm + 1e-6)); by
 * value, each number to +-clip_max.
 *
 * accumulates: slot "accumulated.<parameter>" holds the sum since the last update; with a mean loss
 * each batch counts n / ARG_GROUP. averages: slot "unaveraged.<parameter>" := (1 - a) * slot + a *
 * new weights, a being ARG_AVERAGE. keep: slots "gradient.<parameter>", of the loss; keep_norm:
 * slot "gradient_norm". NULL: errors in d. */
Graph *train_graph(Program *p, const Graph *forward, const TrainSpec *spec, const OpTable *ops,
                   Diag *d);

#endif
