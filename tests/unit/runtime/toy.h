/* A net written by hand for the runtime's tests: softmax regression with momentum on three blobs
 * in the plane, in plain C. It counts what the trainer asks of it and can misbehave on demand. */
#ifndef GRADRT_TEST_TOY_H
#define GRADRT_TEST_TOY_H

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

enum {
  TOY_CLASSES = 3,
  TOY_BATCH = 32,
  TOY_TRAIN = 200,
  TOY_VALID = 50,
  TOY_TEST = 90,
  TOY_STEPS = 7
};

/* What the step function saw, and what it shall do. Tests are single runs in one process. */
typedef struct {
  long steps, evals;
  long last_n, samples;
  int seen[TOY_TRAIN + TOY_VALID];      /* how often each row was trained on */
  int order[64];                /* the first rows, in order */
  double rate;
  double bc1;
  long nan_at, signal_at, worsen_after, nan_weight_at;  /* steps, counted from 1; 0: never */
  long signal_at_eval;          /* evaluated batches, counted from 1 */
  int signal;
} Toy;

static Toy toy;

enum { TOY_W = 0, TOY_B = 64, TOY_MW = 128, TOY_MB = 192, TOY_STATE = 256 };

static void toy_logits(const float *w, const float *b, const float *x, float *out)
{
  for (int c = 0; c < TOY_CLASSES; c++) {
    out[c] = b[c] + w[2 * c] * x[0] + w[2 * c + 1] * x[1];
  }
}

/* Log of the softmax's denominator, shifted by the largest logit. */
static float toy_softmax(const float *logit, float *p)
{
  float top = logit[0], sum = 0;
  for (int c = 1; c < TOY_CLASSES; c++) {
    top = logit[c] > top ? logit[c] : top;
  }
  for (int c = 0; c < TOY_CLASSES; c++) {
    p[c] = expf(logit[c] - top);
    sum += p[c];
  }
  for (int c = 0; c < TOY_CLASSES; c++) {
    p[c] /= sum;
  }
  return top + logf(sum);
}

static void toy_note_step(const gradrt_step *s)
{
  toy.steps++;
  toy.last_n = (long)s->n;
  toy.rate = s->args[GRADRT_ARG_LR];
  toy.bc1 = s->args[GRADRT_ARG_BC1];
  for (int64_t i = 0; i < s->n; i++) {
    toy.seen[s->ids[i]]++;
    if (toy.samples < 64) {
      toy.order[toy.samples] = (int)s->ids[i];
    }
    toy.samples++;
  }
}

/* The update also depends on the step and epoch arguments, so that a wrong resume shows. */
static void toy_update(const gradrt_step *s, const float *gw, const float *gb)
{
  char *state = s->state;
  float *w = (float *)(void *)(state + TOY_W), *b = (float *)(void *)(state + TOY_B);
  float *mw = (float *)(void *)(state + TOY_MW), *mb = (float *)(void *)(state + TOY_MB);
  float lr = (float)(s->args[GRADRT_ARG_LR] / s->args[GRADRT_ARG_BC1]);
  float nudge = 1e-4f * (float)(s->args[GRADRT_ARG_STEP] + 10 * s->args[GRADRT_ARG_EPOCH]);
  for (int i = 0; i < 2 * TOY_CLASSES; i++) {
    mw[i] = 0.9f * mw[i] + gw[i] + nudge * w[i];
    w[i] -= lr * mw[i];
  }
  for (int c = 0; c < TOY_CLASSES; c++) {
    mb[c] = 0.9f * mb[c] + gb[c];
    b[c] -= lr * mb[c];
  }
  if (toy.worsen_after && toy.steps > toy.worsen_after) {
    w[0] -= 0.5f;
  }
  if (toy.nan_weight_at == toy.steps) {
    w[1] = NAN;
  }
}

static void toy_train(const gradrt_step *s, int worker, int nworkers)
{
  gradrt_barrier_wait(s->barrier, worker, nworkers);
  if (worker != 0) {
    return;
  }
  const float *x = s->rows[0], *w = (const float *)(const void *)((char *)s->state + TOY_W);
  const float *b = (const float *)(const void *)((char *)s->state + TOY_B);
  const int32_t *y = s->rows[1];
  float *loss = s->out[0], *logits = s->out[1], *target = s->out[2];
  float gw[2 * TOY_CLASSES] = { 0 }, gb[TOY_CLASSES] = { 0 }, total = 0, n = (float)s->n;
  toy_note_step(s);
  for (int64_t i = 0; i < s->n; i++) {
    float p[TOY_CLASSES], *z = logits + i * TOY_CLASSES;
    const float *row = x + 2 * (size_t)s->ids[i];
    int label = y[s->ids[i]];
    toy_logits(w, b, row, z);
    total += toy_softmax(z, p) - z[label];
    target[i] = (float)label;
    for (int c = 0; c < TOY_CLASSES; c++) {
      float d = (p[c] - (c == label)) / n;
      gw[2 * c] += d * row[0];
      gw[2 * c + 1] += d * row[1];
      gb[c] += d;
    }
  }
  toy_update(s, gw, gb);
  *loss = toy.nan_at == toy.steps ? NAN : total / n;
  if (toy.signal_at == toy.steps) {
    raise(toy.signal);
  }
}

static void toy_eval(const gradrt_step *s, int worker, int nworkers)
{
  (void)nworkers;
  if (worker != 0) {
    return;
  }
  const float *w = (const float *)(const void *)((char *)s->state + TOY_W);
  const float *b = (const float *)(const void *)((char *)s->state + TOY_B), *x = s->rows[0];
  const int32_t *y = s->rows[1];
  float *loss = s->out[0], *logits = s->out[1], *target = s->out[2];
  toy.evals++;
  if (toy.signal_at_eval == toy.evals) {
    raise(toy.signal);
  }
  for (int64_t i = 0; i < s->n; i++) {
    float p[TOY_CLASSES], *z = logits + i * TOY_CLASSES;
    toy_logits(w, b, x + 2 * (size_t)s->ids[i], z);
    target[i] = (float)y[s->ids[i]];
    loss[i] = toy_softmax(z, p) - z[y[s->ids[i]]];
  }
}

static void toy_infer(const gradrt_step *s, int worker, int nworkers)
{
  (void)nworkers;
  if (worker != 0) {
    return;
  }
  const float *w = (const float *)(const void *)((char *)s->state + TOY_W);
  const float *b = (const float *)(const void *)((char *)s->state + TOY_B), *x = s->rows[0];
  float *prob = s->out[0];
  for (int64_t i = 0; i < s->n; i++) {
    float z[TOY_CLASSES];
    toy_logits(w, b, x + 2 * (size_t)s->ids[i], z);
    toy_softmax(z, prob + i * TOY_CLASSES);
  }
}

/* ---- the description ---- */

#define TOY_MATRIX(n, r, t, at)                                                                    \
  {                                                                                                \
    .name = n, .role = r, .trainable = t, .rank = 2, .dim = { 3, 2 }, .ndigit = 2,                 \
    .digit = { { 0, 1, 3 }, { 1, 1, 2 } }, .offset = at, .stored = 6                               \
  }
#define TOY_VECTOR(n, r, t, at)                                                                    \
  {                                                                                                \
    .name = n, .role = r, .trainable = t, .rank = 1, .dim = { 3 }, .ndigit = 1,                    \
    .digit = { { 0, 1, 3 } }, .offset = at, .stored = 3                                            \
  }

static gradrt_tensor toy_tensor[] = {
  TOY_MATRIX("f1.weight", GRADRT_PARAM, true, TOY_W),
  TOY_VECTOR("f1.bias", GRADRT_PARAM, true, TOY_B),
  TOY_MATRIX("momentum.f1.weight", GRADRT_SLOT, false, TOY_MW),
  TOY_VECTOR("momentum.f1.bias", GRADRT_SLOT, false, TOY_MB),
};

static const gradrt_prop toy_train_csv[] = { { "path", 0, "train.csv" } };
static const gradrt_prop toy_test_csv[] = { { "path", 0, "test.csv" } };
static const gradrt_source toy_source[] = { { "csv", 1, toy_train_csv, "toy.nn:3" },
                                            { "csv", 1, toy_test_csv, "toy.nn:4" } };
static const gradrt_split toy_split[] = { { "train", 0, GRADRT_SPLIT_ALL, 0 },
                                          { "valid", 0, GRADRT_SPLIT_COUNT, TOY_VALID },
                                          { "test", 1, GRADRT_SPLIT_ALL, 0 } };
static const char *const toy_class[] = { "east", "north <west>", "south" };
static const gradrt_field toy_field[] = {
  { .name = "x",
    .dtype = GRADRT_F32,
    .rank = 1,
    .dim = { 2 },
    .columns = "x0,x1",
    .place = "toy.nn:5" },
  { .name = "y",
    .dtype = GRADRT_I32,
    .columns = "y",
    .is_label = true,
    .classes = 3,
    .class_name = toy_class,
    .place = "toy.nn:6" },
};
static const gradrt_output toy_train_out[] = {
  { "loss", false, 0, { 0 } }, { "logits", true, 1, { 3 } }, { "y", true, 0, { 0 } }
};
static const gradrt_output toy_eval_out[] = {
  { "loss", true, 0, { 0 } }, { "logits", true, 1, { 3 } }, { "y", true, 0, { 0 } }
};
static const gradrt_output toy_infer_out[] = { { "prob", true, 1, { 3 } } };
static const gradrt_metric toy_metric[] = { { "accuracy", "accuracy", 1, 2, 0 },
                                            { "topk", "top2", 1, 2, 2 } };
static const gradrt_prop toy_rate[] = { { "rate", 0.9, NULL } };
static const gradrt_piece toy_piece[] = { { "exp", 1, toy_rate, 0, true } };
static const gradrt_param toy_param[] = { { "rate", "lr", 0.05, true },
                                          { "width", NULL, 3, false } };
static const gradrt_layer toy_layer[] = { { "f1", "dense", "f32[3]", 9, 12, "toy.nn:9" } };

/* Fresh descriptions that a test may change. */
static gradrt_train toy_training(void)
{
  return (gradrt_train){ .lr = 0.05,
                         .epochs = 4,
                         .seed = 1,
                         .beta1 = 0.9,
                         .shuffle = true,
                         .train_split = 0,
                         .npiece = 1,
                         .piece = toy_piece,
                         .nmetric = 2,
                         .metric = toy_metric,
                         .best_split = 1,
                         .best_metric = -1,
                         .best_low = true };
}

static gradrt_net toy_net(const gradrt_train *training)
{
  for (int i = 0; i < 2; i++) {
    toy_tensor[i].init = GRADRT_INIT_UNIFORM;
    toy_tensor[i].a = -0.7;
    toy_tensor[i].b = 0.7;
  }
  return (gradrt_net){ .abi = GRADRT_ABI,
                       .name = "toy",
                       .file = "toy.nn",
                       .version = "0.1.0",
                       .cpu = "x86-64",
                       .real = GRADRT_F32,
                       .fingerprint =
                           "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                       .batch = TOY_BATCH,
                       .ntensor = 4,
                       .tensor = toy_tensor,
                       .state_bytes = TOY_STATE,
                       .nsource = 2,
                       .source = toy_source,
                       .nsplit = 3,
                       .split = toy_split,
                       .nfield = 2,
                       .field = toy_field,
                       .train = { toy_train, 3, toy_train_out, 64, 64 },
                       .eval = { toy_eval, 3, toy_eval_out, 64, 64 },
                       .infer = { toy_infer, 1, toy_infer_out, 64, 64 },
                       .training = training,
                       .nparam = 2,
                       .param = toy_param,
                       .nlayer = 1,
                       .layer = toy_layer,
                       .spec = "net 1;\n# <toy> & \"quotes\"\n" };
}

/* Three overlapping blobs from a plain generator: the same file on every machine. */
static void toy_write_csv(const char *path, int n, uint32_t seed)
{
  static const double cx[3] = { 2, -1, -1 }, cy[3] = { 0, 1.7, -1.7 };
  FILE *f = fopen(path, "w");
  uint32_t r = seed;
  fprintf(f, "x0,x1,y\n");
  for (int i = 0; i < n; i++) {
    double at[2] = { cx[i % 3], cy[i % 3] };
    for (int k = 0; k < 2; k++) {
      for (int j = 0; j < 4; j++) {
        r = r * 1664525u + 1013904223u;
        at[k] += (r >> 8) * 0x1p-24 * 1.2 - 0.6;
      }
    }
    fprintf(f, "%.6f,%.6f,%d\n", at[0], at[1], i % 3);
  }
  fclose(f);
}

#endif
