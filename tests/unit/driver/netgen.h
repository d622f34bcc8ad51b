/* Random nets as specs, each from one seed: boundary-heavy sizes, every layer that has kernels, values with
 * second consumers and residual sums beside those that fuse. What is made is always right: a refusal is a fault. */
#ifndef GRADC_TESTS_DRIVER_NETGEN_H
#define GRADC_TESTS_DRIVER_NETGEN_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { GEN_VALUES = 48, GEN_TEXT = 8192, GEN_ELEMS = 1500, GEN_LAYERS = 12 };

typedef struct { int rank, dim[3]; } GenShape;

typedef struct {
  uint64_t rng;
  char text[GEN_TEXT], body[GEN_TEXT / 2], freeze[16];
  int batch, least;             /* largest and smallest batch that make sense */
  bool trains;                  /* something to train, not frozen */
  int nvalue;                   /* v0 .. of these shapes; v0 is the input */
  GenShape shape[GEN_VALUES];
  int work;                     /* multiply-adds of a sample so far, bounded by work_max */
  int work_max;
} Gen;

static inline uint64_t gen_bits(Gen *g)
{
  uint64_t z = g->rng += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static inline int gen_below(Gen *g, int n) { return (int)(gen_bits(g) % (uint64_t)n); }
static inline bool gen_chance(Gen *g, int percent) { return gen_below(g, 100) < percent; }

#define GEN_PICK(g, ...) ((const int[]){ __VA_ARGS__ })[gen_below(g, (int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)))]

static inline int gen_channels(Gen *g) { return GEN_PICK(g, 1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 16, 17, 18, 31, 32, 33); }
static inline int gen_side(Gen *g) { return GEN_PICK(g, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 18); }

static inline void gen_body(Gen *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void gen_body(Gen *g, const char *fmt, ...)
{
  va_list ap;
  size_t at = strlen(g->body);
  va_start(ap, fmt);
  vsnprintf(g->body + at, sizeof g->body - at, fmt, ap);
  va_end(ap);
}

static inline int gen_elems(const GenShape *s)
{
  int n = 1;
  for (int i = 0; i < s->rank; i++)
    n *= s->dim[i];
  return n;
}

static inline bool gen_same(const GenShape *a, const GenShape *b)
{
  return a->rank == b->rank && !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]);
}

/* The name of value i: the input is x. */
static inline const char *gen_name(int i)
{
  static char name[4][8];
  static int at;
  at = (at + 1) % 4;
  if (i == 0)
    return "x";
  snprintf(name[at], sizeof name[at], "v%d", i);
  return name[at];
}

static inline int gen_value(Gen *g, GenShape s)
{
  g->shape[g->nvalue] = s;
  return g->nvalue++;
}

static inline void gen_activation(Gen *g, int percent)
{
  static const char *const words[] = { "relu", "relu", "relu", "tanh", "sigmoid", "softplus", "leaky_relu" };
  if (gen_chance(g, percent))
    gen_body(g, " -> %s", words[gen_below(g, 7)]);
}

static inline int gen_out(int in, int k, int s, int d, int before, int after)
{
  int room = in + before + after - d * (k - 1) - 1;
  return room < 0 ? 0 : room / s + 1;
}

typedef struct { int k[2], s[2], d[2], p[4], out[2]; } GenWindow;      /* p: top, bottom, left, right */

/* A window with at least one place on the image; false: this draw has none. */
static inline bool gen_window(Gen *g, const GenShape *x, bool conv, GenWindow *w)
{
  for (int a = 0; a < 2; a++) {
    w->k[a] = a && gen_chance(g, 70) ? w->k[0] : GEN_PICK(g, 1, 2, 2, 3, 3, 3, 4, 5);
    w->d[a] = conv && gen_chance(g, 15) ? 1 + gen_below(g, 3) : 1;
    w->s[a] = a && gen_chance(g, 80) ? w->s[0] : conv ? GEN_PICK(g, 1, 1, 1, 1, 2, 3, 5) : GEN_PICK(g, 1, 2, 2, 2, 3, 4);
    int most = conv ? w->k[a] + 1 : w->k[a] - 1;
    w->p[2 * a] = most > 0 && gen_chance(g, 50) ? gen_below(g, most + 1) : 0;
    w->p[2 * a + 1] = gen_chance(g, 70) ? w->p[2 * a] : most > 0 ? gen_below(g, most + 1) : 0;
    w->out[a] = gen_out(x->dim[1 + a], w->k[a], w->s[a], w->d[a], w->p[2 * a], w->p[2 * a + 1]);
    if (w->out[a] < 1 || w->out[a] > 24)
      return false;
  }
  return true;
}

static inline void gen_window_text(Gen *g, const GenWindow *w, bool conv)
{
  gen_body(g, "[%d, %d], stride=[%d, %d], pad=[%d, %d, %d, %d]", w->k[0], w->k[1], w->s[0], w->s[1], w->p[0], w->p[1],
           w->p[2], w->p[3]);
  if (conv && (w->d[0] > 1 || w->d[1] > 1))
    gen_body(g, ", dilation=[%d, %d]", w->d[0], w->d[1]);
}

/* Now and then windows side by side over what was just made, which nobody else sees then. */
static inline void gen_windows(Gen *g, GenShape *y, int percent)
{
  int k[2];
  if (!gen_chance(g, percent))
    return;
  for (int a = 0; a < 2; a++) {
    k[a] = a && gen_chance(g, 70) ? k[0] : GEN_PICK(g, 1, 2, 2, 2, 3, 4);
    k[a] = k[a] < y->dim[1 + a] ? k[a] : y->dim[1 + a];
    y->dim[1 + a] /= k[a];
  }
  gen_body(g, " -> %s([%d, %d])", gen_chance(g, 60) ? "maxpool" : "avgpool", k[0], k[1]);
  gen_activation(g, 40);
}

static inline int gen_conv(Gen *g, int from)
{
  const GenShape *x = &g->shape[from];
  GenWindow w;
  int filters = gen_channels(g), groups = 1;
  if (!gen_window(g, x, true, &w))
    return from;
  if (gen_chance(g, 25)) {
    groups = gen_chance(g, 50) ? x->dim[0] : 2;
    if (x->dim[0] % groups)
      groups = 1;
    filters = groups * (1 + gen_below(g, 3));
  }
  long work = (long)filters * (x->dim[0] / groups) * w.k[0] * w.k[1] * w.out[0] * w.out[1];
  GenShape y = { 3, { filters, w.out[0], w.out[1] } };
  if (g->work + work > g->work_max || gen_elems(&y) > GEN_ELEMS)
    return from;
  g->work += (int)work;
  int to = gen_value(g, y);
  gen_body(g, "  v%d = %s -> conv(%d, ", to, gen_name(from), filters);
  gen_window_text(g, &w, true);
  bool fixed = gen_chance(g, 10);
  gen_body(g, "%s%s", gen_chance(g, 20) ? ", bias=false" : "", fixed ? ", train=false" : "");
  if (groups > 1)
    gen_body(g, ", groups=%d", groups);
  gen_body(g, ")");
  gen_activation(g, 50);
  gen_windows(g, &g->shape[to], 30);
  gen_body(g, ";\n");
  if (!*g->freeze && gen_chance(g, 8))
    snprintf(g->freeze, sizeof g->freeze, "v%d.*", to);
  else
    g->trains |= !fixed;
  return to;
}

static inline int gen_pool(Gen *g, int from)
{
  const GenShape *x = &g->shape[from];
  GenWindow w;
  bool most = gen_chance(g, 60);
  if (!gen_window(g, x, false, &w))
    return from;
  if (gen_chance(g, 40))        /* the plain case: windows side by side */
    for (int a = 0; a < 2; a++) {
      w.k[a] = w.s[a] = x->dim[1 + a] >= 2 ? 2 : 1;
      w.p[2 * a] = w.p[2 * a + 1] = 0;
      w.out[a] = x->dim[1 + a] / w.k[a];
    }
  int to = gen_value(g, (GenShape){ 3, { x->dim[0], w.out[0], w.out[1] } });
  gen_body(g, "  v%d = %s -> %s(", to, gen_name(from), most ? "maxpool" : "avgpool");
  gen_window_text(g, &w, false);
  gen_body(g, "%s)", !most && gen_chance(g, 40) ? ", count_include_pad=false" : "");
  gen_activation(g, 20);
  gen_body(g, ";\n");
  return to;
}

static inline int gen_dense(Gen *g, int from, int units)
{
  const GenShape *x = &g->shape[from];
  if (g->work + x->dim[0] * units > g->work_max)
    units = 1 + gen_below(g, 3);
  g->work += x->dim[0] * units;
  int to = gen_value(g, (GenShape){ 1, { units } });
  bool fixed = gen_chance(g, 8);
  g->trains |= !fixed;
  gen_body(g, "  v%d = %s -> dense(%d%s%s)", to, gen_name(from), units, gen_chance(g, 20) ? ", bias=false" : "",
           fixed ? ", train=false" : "");
  gen_activation(g, 50);
  gen_body(g, ";\n");
  return to;
}

static inline int gen_flatten(Gen *g, int from)
{
  int to = gen_value(g, (GenShape){ 1, { gen_elems(&g->shape[from]) } });
  gen_body(g, "  v%d = %s -> flatten;\n", to, gen_name(from));
  return to;
}

/* A view of another rank or with dims in another place. */
static inline int gen_reshape(Gen *g, int from)
{
  const GenShape *x = &g->shape[from];
  int n = gen_elems(x), a = 1, b = 1;
  for (int i = 0; i < 4; i++) {
    int try = GEN_PICK(g, 2, 3, 4, 5, 8, 16);
    if (n % (a * try) == 0 && (n / (a * try)) % b == 0)
      a *= try;
    try = GEN_PICK(g, 2, 3, 4, 5, 8, 16);
    if (n % (a * b * try) == 0)
      b *= try;
  }
  GenShape y = { 3, { n / (a * b), a, b } };
  if (y.dim[0] * a * b != n || a > 20 || b > 20)
    y = (GenShape){ 3, { n, 1, 1 } };
  int to = gen_value(g, y);
  gen_body(g, "  v%d = %s -> reshape([%d, %d, %d]);\n", to, gen_name(from), y.dim[0], y.dim[1], y.dim[2]);
  return to;
}

/* A sum, difference or product with an earlier value of the same shape, with itself, or with a number. */
static inline int gen_arithmetic(Gen *g, int from)
{
  int other = from;
  for (int i = 0; i < 6 && other == from; i++) {
    int try = gen_below(g, g->nvalue);
    if (gen_same(&g->shape[try], &g->shape[from]))
      other = try;
  }
  int to = gen_value(g, g->shape[from]);
  switch (gen_below(g, 6)) {
  case 0: gen_body(g, "  v%d = 0.5 * %s + %s;\n", to, gen_name(from), gen_name(other)); break;
  case 1: gen_body(g, "  v%d = %s - %s;\n", to, gen_name(other), gen_name(from)); break;
  case 2: gen_body(g, "  v%d = %s * %s;\n", to, gen_name(from), gen_name(other)); break;
  case 3: gen_body(g, "  v%d = 1 - %s;\n", to, gen_name(from)); break;
  default:
    gen_body(g, "  v%d = %s + %s", to, gen_name(from), gen_name(other));
    gen_activation(g, 60);
    gen_body(g, ";\n");
  }
  return to;
}

static inline int gen_pointwise(Gen *g, int from)
{
  const GenShape *x = &g->shape[from];
  int to = gen_value(g, *x), what = gen_below(g, 10);
  gen_body(g, "  v%d = %s", to, gen_name(from));
  if (what < 4) {
    gen_body(g, " -> batchnorm%s", gen_chance(g, 15) ? "(train=false)" : "");
    g->least = g->least > 6 ? g->least : 6;
    gen_activation(g, 50);
  } else if (what < 6) {
    gen_body(g, " -> dropout(%s)", gen_chance(g, 50) ? "0.5" : "0.2");
  } else if (what < 7 && x->rank == 1)
    gen_body(g, " -> softmax");
  else
    gen_activation(g, 100);
  gen_body(g, ";\n");
  return to;
}

static inline int gen_layer(Gen *g, int at)
{
  int dice = gen_below(g, 100);
  if (g->shape[at].rank == 1)
    return dice < 45 ? gen_dense(g, at, gen_channels(g)) : dice < 70 ? gen_pointwise(g, at)
           : dice < 92 ? gen_arithmetic(g, at) : gen_reshape(g, at);
  return dice < 42 ? gen_conv(g, at) : dice < 58 ? gen_pool(g, at) : dice < 74 ? gen_pointwise(g, at)
         : dice < 93 ? gen_arithmetic(g, at) : dice < 96 ? gen_reshape(g, at) : gen_flatten(g, at);
}

typedef struct { const char *field, *loss; } GenLoss;

static inline void gen_train(Gen *g, int classes)
{
  static const char *const optimizers[] = {
    "sgd(lr=0.1)", "sgd(lr=0.1, momentum=0.9)", "sgd(lr=0.1, momentum=0.9, nesterov=true, weight_decay=0.01)",
    "sgd(lr=0.1, momentum=0.5, dampening=0.2)", "adam(lr=0.01)", "adam(lr=0.01, weight_decay=0.1)", "adamw(lr=0.01)",
  };
  static const char *const clips[] = { "", "", " clip: norm(0.5);", " clip: value(0.01);" };
  static const char *const losses[] = {
    "softmax_xent(out, y)", "softmax_xent(out, y, smoothing=0.1)", "softmax_xent(out, p)", "mse(out, t)", "l1(out, t)",
    "huber(out, t, delta=0.3)", "bce_logits(out, p)", "mse(out, s)", "huber(out, s)",
  };
  const char *loss = losses[gen_below(g, classes > 1 ? 7 : 9)];
  if (classes == 1 && !strncmp(loss, "softmax_xent(out, y", 19))
    loss = "l1(out, s)";
  size_t at = strlen(g->text);
  snprintf(g->text + at, sizeof g->text - at,
           "train m on d { loss: %s%s; optimizer: %s; epochs: 1; batch: %d;%s", loss, gen_chance(g, 20) ? " -> sum" : "",
           optimizers[gen_below(g, 7)], g->batch, clips[gen_below(g, 4)]);
  at = strlen(g->text);
  snprintf(g->text + at, sizeof g->text - at, "%s%s%s }\n", *g->freeze ? " freeze: \"" : "", g->freeze,
           *g->freeze ? "\";" : "");
}

/* The model's output: mostly a dense layer, else what is there, which may be a view of something used elsewhere. */
static inline void gen_out_value(Gen *g, int at, int *classes)
{
  static const char *const tails[] = { "", " -> flatten", " -> tanh", " -> relu -> flatten", " -> dropout(0.2)" };
  if (g->trains && g->shape[at].dim[0] <= 33 && gen_chance(g, 30)) {
    *classes = g->shape[at].dim[0];
    gen_body(g, "  out = %s%s;\n", gen_name(at), tails[gen_below(g, 5)]);
  } else
    gen_body(g, "  out = %s -> dense(%d);\n", gen_name(at), *classes);
}

/* Makes net number `seed`; work_max bounds what an interpreter has to do. */
static inline void gen_net(Gen *g, uint64_t seed, int work_max)
{
  *g = (Gen){ .rng = seed * 0x2545f4914f6cdd1du + 1, .least = 1, .work_max = work_max };
  char in[64], z[64] = "", zin[64] = "";
  bool image = gen_chance(g, 70), bytes = false;
  GenShape x = { 1, { gen_channels(g) } };
  if (image) {
    x = (GenShape){ 3, { gen_chance(g, 50) ? 1 + gen_below(g, 3) : gen_channels(g), gen_side(g), gen_side(g) } };
    while (gen_elems(&x) > GEN_ELEMS / 2)
      x.dim[1] = (x.dim[1] + 1) / 2;
    bytes = gen_chance(g, 20);
    snprintf(in, sizeof in, "[%d, %d, %d]", x.dim[0], x.dim[1], x.dim[2]);
  } else
    snprintf(in, sizeof in, "[%d]", x.dim[0]);
  int at = gen_value(g, x), layers = 1 + gen_below(g, GEN_LAYERS);
  for (int i = 0; i < layers && g->nvalue < GEN_VALUES - 8; i++) {
    int next = gen_layer(g, at);
    at = gen_chance(g, 5) && gen_same(&g->shape[at], &g->shape[next]) ? at : next;
  }
  if (g->shape[at].rank > 1)
    at = gen_flatten(g, at);
  int classes = GEN_PICK(g, 1, 2, 5, 8, 16, 17);
  if (gen_chance(g, 15)) {
    int k = gen_channels(g), units = gen_channels(g);
    at = gen_dense(g, at, units);
    units = g->shape[at].dim[0];
    snprintf(z, sizeof z, " field z: f32[%d];", k);
    snprintf(zin, sizeof zin, ", z: f32[%d]", k);
    int side = gen_value(g, (GenShape){ 1, { units } }), sum = gen_value(g, (GenShape){ 1, { units } });
    gen_body(g, "  v%d = z -> dense(%d);\n  v%d = v%d + v%d;\n", side, units, sum, at, side);
    at = sum;
  }
  gen_out_value(g, at, &classes);
  g->batch = GEN_PICK(g, 1, 2, 3, 7, 8, 9, 15, 16, 17, 18, 31, 33);
  while (g->batch <= g->least && g->least > 1)
    g->batch += 8;
  snprintf(g->text, sizeof g->text,
           "net 1;\ndata d { train: raw(\"none\"); field x: %s%s%s%s;%s field y: label(%d); field t: f32[%d]; field p: f32[%d];"
           " field s: f32; }\nmodel m(x: f32%s%s) -> out: f32[%d] {\n%s}\n",
           bytes ? "u8" : "f32", in, bytes ? " as f32" : "", bytes ? in : "", z, classes > 1 ? classes : 2, classes, classes,
           in, zin, classes, g->body);
  if (bytes) {
    char *end = strstr(g->text, " as f32"), tail[GEN_TEXT];
    end = strchr(end, ';');
    snprintf(tail, sizeof tail, "%s", end);
    snprintf(end, sizeof g->text - (size_t)(end - g->text), " -> div(255)%s", tail);
  }
  gen_train(g, classes);
  if (gen_chance(g, 30))
    strcat(g->text, gen_chance(g, 50) ? "infer m { output: softmax(out) as prob, out; }\n" : "infer m { output: out, v1; }\n");
}

#endif
