/* Generated points: small problems whose answers are known. Sample i depends on (seed, kind, number
 * of the source, i) alone, so a longer set begins with the shorter one, and a test source differs
 * from the training source although both have the same seed. Classes come in turn: sample i is of
 * class i mod classes.
 *
 *   blobs     class c around (2 cos a, 2 sin a), a = 2 pi c / classes, wider from 9 classes on;
 *             further coordinates around fixed normal numbers of the class; a single coordinate
 *             around 2 c - classes + 1
 *   moons     (cos t, sin t) and (1 - cos t, 0.5 - sin t), t in [0, pi)
 *   circles   radius 1 and 0.5
 *   spirals   radius r in [0.1, 2), angle 2 pi (turns r / 2 + c / classes)
 *   xor       (a, b) = corners of the unit square in turn, class a xor b
 *   sine      x in [-pi, pi), y = sin x
 *   line      x in [-1, 1), y = 2 x - 1
 *   wave      sin(2 pi i / period) for sample i: a signal over time
 *   addition  each input in [0, 1), or a digit 0..9 in a field of whole numbers; y is their sum
 *
 * `noise` is the standard deviation of normal numbers added to the coordinates, to y in sine, line
 * and addition. */
#include "data.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define GEN_PI 3.14159265358979323846

typedef struct {
  int64_t i, classes, inputs;
  double noise, turns, period;
  bool whole;                   /* the inputs are whole numbers */
  uint32_t seed_of_kind;
  gradrt_stream s;
} gen_point;

typedef struct {
  const char *kind;
  int64_t inputs;               /* 0: any */
  int64_t classes;              /* 0: y is a number; -1: as the option says */
  double samples, noise;        /* defaults */
  /* Fills x[0..inputs); returns the class or y. */
  double (*make)(gen_point *p, double *x);
} gen_kind;

/* ---- problems ---- */

static double gen_blobs(gen_point *p, double *x)
{
  int64_t c = p->i % p->classes;
  double angle = 2 * GEN_PI * (double)c / (double)p->classes,
         radius = p->classes > 8 ? (double)p->classes / 4 : 2;
  gradrt_stream centre;
  gradrt_stream_start(&centre, 0, GRADRT_PURPOSE_DATA, p->seed_of_kind);
  centre.ctr[2] = (uint32_t)c;
  for (int64_t k = 0; k < p->inputs; k++) {
    double at = k > 1 ? gradrt_stream_normal(&centre) : radius * (k ? sin(angle) : cos(angle));
    x[k] = p->inputs == 1 ? 2 * (double)c - (double)p->classes + 1 : at;
  }
  for (int64_t k = 0; k < p->inputs; k++)
    x[k] += p->noise * gradrt_stream_normal(&p->s);
  return (double)c;
}

static void gen_add_noise(gen_point *p, double *x)
{
  double first = gradrt_stream_normal(&p->s), second = gradrt_stream_normal(&p->s);
  x[0] += p->noise * first;
  x[1] += p->noise * second;
}

static double gen_moons(gen_point *p, double *x)
{
  double t = GEN_PI * gradrt_stream_uniform(&p->s);
  bool inner = p->i % 2;
  x[0] = inner ? 1 - cos(t) : cos(t);
  x[1] = inner ? 0.5 - sin(t) : sin(t);
  gen_add_noise(p, x);
  return inner;
}

static double gen_circles(gen_point *p, double *x)
{
  double t = 2 * GEN_PI * gradrt_stream_uniform(&p->s), radius = p->i % 2 ? 0.5 : 1;
  x[0] = radius * cos(t);
  x[1] = radius * sin(t);
  gen_add_noise(p, x);
  return (double)(p->i % 2);
}

static double gen_spirals(gen_point *p, double *x)
{
  int64_t c = p->i % p->classes;
  double r = 0.1 + 1.9 * gradrt_stream_uniform(&p->s);
  double angle = 2 * GEN_PI * (p->turns * r / 2 + (double)c / (double)p->classes);
  x[0] = r * cos(angle);
  x[1] = r * sin(angle);
  gen_add_noise(p, x);
  return (double)c;
}

static double gen_xor(gen_point *p, double *x)
{
  int a = p->i / 2 % 2 != 0, b = p->i % 2 != 0;
  x[0] = a;
  x[1] = b;
  gen_add_noise(p, x);
  return a ^ b;
}

static double gen_sine(gen_point *p, double *x)
{
  x[0] = GEN_PI * (2 * gradrt_stream_uniform(&p->s) - 1);
  return sin(x[0]) + p->noise * gradrt_stream_normal(&p->s);
}

static double gen_line(gen_point *p, double *x)
{
  x[0] = 2 * gradrt_stream_uniform(&p->s) - 1;
  return 2 * x[0] - 1 + p->noise * gradrt_stream_normal(&p->s);
}

static double gen_wave(gen_point *p, double *x)
{
  x[0] = sin(2 * GEN_PI * fmod((double)p->i, p->period) / p->period);
  x[0] += p->noise * gradrt_stream_normal(&p->s);
  return x[0];
}

static double gen_addition(gen_point *p, double *x)
{
  double sum = 0;
  for (int64_t k = 0; k < p->inputs; k++) {
    x[k] = gradrt_stream_uniform(&p->s);
    x[k] = p->whole ? floor(10 * x[k]) : x[k];
    sum += x[k];
  }
  return sum + p->noise * gradrt_stream_normal(&p->s);
}

static const gen_kind gen_kinds[] = {
  { "blobs", 0, -1, 1000, 0.5, gen_blobs },     { "moons", 2, 2, 1000, 0.1, gen_moons },
  { "circles", 2, 2, 1000, 0.05, gen_circles }, { "spirals", 2, -1, 1000, 0.1, gen_spirals },
  { "xor", 2, 2, 4, 0, gen_xor },               { "sine", 1, 0, 1000, 0.1, gen_sine },
  { "line", 1, 0, 100, 0.1, gen_line },         { "addition", 0, 0, 1000, 0, gen_addition },
  { "wave", 1, 0, 1000, 0, gen_wave }
};

/* ---- fields ---- */

typedef struct {
  const gradrt_ask *ask;
  const gen_kind *kind;
  int x, y;                     /* fields; -1: none */
  gen_point p;
  double *input;                /* p.inputs */
} gen_job;

static int gen_check(const gen_job *j)
{
  const gradrt_net *net = j->ask->net;
  const gradrt_field *x = &net->field[j->x], *y = j->y >= 0 ? &net->field[j->y] : NULL;
  int64_t inputs = gradrt_field_elems(x), targets = y ? gradrt_field_elems(y) : 1;
  if (j->kind->inputs && inputs != j->kind->inputs)
    return gradrt_error(GRADRT_DATA,
                        "%s: '%s' gives %" PRId64 " number%s a sample, but field '%s' has %" PRId64,
                        x->place ? x->place : net->file, j->kind->kind, j->kind->inputs,
                        j->kind->inputs == 1 ? "" : "s", x->name, inputs);
  if (!y)
    return GRADRT_OK;
  if (y->is_label && j->kind->classes == 0)
    return gradrt_error(
        GRADRT_DATA,
        "%s: '%s' gives a number to predict, not a class: declare field '%s' as f32[1]",
        y->place ? y->place : net->file, j->kind->kind, y->name);
  if (y->is_label && y->classes < j->p.classes)
    return gradrt_error(
        GRADRT_DATA, "%s: '%s' has %" PRId64 " classes, but field '%s' has %" PRId64,
        y->place ? y->place : net->file, j->kind->kind, j->p.classes, y->name, y->classes);
  if (targets != 1 && (j->kind->classes == 0 || targets != j->p.classes))
    return gradrt_error(
        GRADRT_DATA, "%s: '%s' gives one target a sample, but field '%s' has %" PRId64 " numbers",
        y->place ? y->place : net->file, j->kind->kind, y->name, targets);
  return GRADRT_OK;
}

/* Stores the target: a number, or one 0 or 1 per class. */
static bool gen_put_target(const gen_job *j, gradrt_rows *out, double v)
{
  const gradrt_field *y = &j->ask->net->field[j->y];
  int64_t n = gradrt_field_elems(y);
  if (n == 1)
    return gradrt_dtype_put(y->dtype, out->rows[j->y], j->p.i, v);
  return gradrt_dtype_put(y->dtype, out->rows[j->y], j->p.i * n + (int64_t)v, 1);
}

static int gen_fill(gen_job *j, gradrt_rows *out)
{
  const gradrt_source *s = j->ask->source;
  const gradrt_field *x = &j->ask->net->field[j->x];
  uint64_t seed = (uint64_t)gradrt_prop_number(s, "seed", 1);
  uint32_t source = (uint32_t)(s - j->ask->net->source);
  for (int64_t i = 0; i < out->n; i++) {
    j->p.i = i;
    gradrt_stream_start(&j->p.s, seed, GRADRT_PURPOSE_DATA, j->p.seed_of_kind);
    j->p.s.ctr[2] = (uint32_t)i;
    j->p.s.ctr[3] = source + 1;
    double v = j->kind->make(&j->p, j->input);
    bool fits = true;
    for (int64_t k = 0; k < j->p.inputs; k++)
      fits = gradrt_dtype_put(x->dtype, out->rows[j->x], i * j->p.inputs + k, j->input[k]) && fits;
    if (!fits || (j->y >= 0 && !gen_put_target(j, out, v)))
      return gradrt_error(GRADRT_DATA,
                          "%s: '%s' gives numbers that its fields cannot hold: declare them as f32",
                          s->place ? s->place : j->ask->net->file, s->kind);
  }
  return GRADRT_OK;
}

static const gen_kind *gen_find(const char *kind)
{
  for (size_t i = 0; i < sizeof gen_kinds / sizeof *gen_kinds; i++)
    if (strcmp(gen_kinds[i].kind, kind) == 0)
      return &gen_kinds[i];
  return NULL;
}

int gradrt_read_points(const gradrt_ask *a, gradrt_rows *out)
{
  const gradrt_source *s = a->source;
  gen_job j = { .ask = a, .kind = gen_find(s->kind) };
  int code = gradrt_fields_pair(a, &j.x, &j.y);
  if (code != GRADRT_OK)
    return code;
  if (!j.kind || j.x < 0)
    return gradrt_error(GRADRT_DATA, "%s: '%s' needs a field for its numbers",
                        s->place ? s->place : a->net->file, s->kind);
  double samples = gradrt_prop_number(s, "samples", j.kind->samples);
  double classes = gradrt_prop_number(s, "classes", 3);
  if (!(samples >= 1 && samples <= 4294967295.0) || !(classes >= 2 && classes <= 1e6))
    return gradrt_error(GRADRT_DATA, "%s: %.9g samples of %.9g classes cannot be made",
                        s->place ? s->place : a->net->file, samples, classes);
  gradrt_dtype type = a->net->field[j.x].dtype;
  j.p = (gen_point){ .noise = gradrt_prop_number(s, "noise", j.kind->noise),
                     .turns = gradrt_prop_number(s, "turns", 0.75),
                     .period = gradrt_prop_number(s, "period", 25),
                     .classes = j.kind->classes < 0 ? (int64_t)classes : j.kind->classes,
                     .inputs = gradrt_field_elems(&a->net->field[j.x]),
                     .whole = type != GRADRT_F32 && type != GRADRT_F64,
                     .seed_of_kind = gradrt_hash_name(s->kind) };
  out->n = (int64_t)samples;
  code = gen_check(&j);
  code = code == GRADRT_OK ? gradrt_rows_alloc(a, out, j.x) : code;
  code = code == GRADRT_OK && j.y >= 0 ? gradrt_rows_alloc(a, out, j.y) : code;
  j.input = gradrt_alloc((size_t)j.p.inputs * sizeof *j.input);
  if (code == GRADRT_OK)
    code = j.input ? gen_fill(&j, out) : gradrt_error(GRADRT_LIMIT, "out of memory");
  gradrt_free(j.input);
  return code;
}
