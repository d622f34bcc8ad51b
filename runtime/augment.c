/* One augmented sample. All random numbers come from a Philox stream keyed by seed and field whose
 * counter holds epoch and row, so that they depend neither on threads nor on the order of batches.
 * Steps run on floats in the units of the stored field; neighbouring steps that move pixels become
 * one map, so that an image is interpolated once. */
#include "augment.h"
#include "data.h"

#include <math.h>
#include <string.h>

/* A place of the new image -> a place of the old one, both as column x, row y. */
typedef struct { double xx, xy, x, yx, yy, y; } augment_map;

typedef struct {
  const gradrt_field *field;
  const gradrt_augment *step;   /* the one that runs */
  gradrt_stream random;
  float *now, *next;            /* the sample; scratch */
  int64_t elems, planes, height, width;
  augment_map map;
  bool moved;                   /* map is not applied yet */
  double fill;                  /* of places outside the old image */
} augment_job;

static double augment_option(const augment_job *j, const char *name, double missing)
{
  for (int i = 0; i < j->step->nprop; i++)
    if (strcmp(j->step->prop[i].name, name) == 0)
      return j->step->prop[i].number;
  return missing;
}

/* Uniform in [-by, by). */
static double augment_around(augment_job *j, double by)
{
  return by * (2 * gradrt_stream_uniform(&j->random) - 1);
}

/* ---- moving pixels ---- */

static const augment_map augment_still = { 1, 0, 0, 0, 1, 0 };

/* Zero weights read no pixel, so that whole shifts and flips are exact. */
static float augment_interpolate(const augment_job *j, const float *plane, double x, double y)
{
  double left = floor(x), top = floor(y), sum = 0;
  for (int k = 0; k < 4; k++) {
    double dx = k & 1 ? x - left : 1 - (x - left), dy = k & 2 ? y - top : 1 - (y - top);
    double px = left + (k & 1), py = top + (k >> 1);
    if (dx * dy == 0)
      continue;
    bool inside = px >= 0 && py >= 0 && px < (double)j->width && py < (double)j->height;
    sum += dx * dy * (inside ? (double)plane[(int64_t)py * j->width + (int64_t)px] : j->fill);
  }
  return (float)sum;
}

static void augment_flush(augment_job *j)
{
  const augment_map *m = &j->map;
  int64_t pixels = j->height * j->width;
  for (int64_t p = 0; p < j->planes && j->moved; p++)
    for (int64_t y = 0; y < j->height; y++)
      for (int64_t x = 0; x < j->width; x++)
        j->next[p * pixels + y * j->width + x] = augment_interpolate(
            j, j->now + p * pixels, m->xx * (double)x + m->xy * (double)y + m->x,
            m->yx * (double)x + m->yy * (double)y + m->y);
  if (j->moved) {
    float *old = j->now;
    j->now = j->next;
    j->next = old;
  }
  j->map = augment_still;
  j->moved = false;
}

/* Puts a further map behind: places of the newest image go through it first. */
static void augment_move(augment_job *j, augment_map m)
{
  double fill = augment_option(j, "fill", 0);
  if (j->moved && fill != j->fill)
    augment_flush(j);
  augment_map a = j->map;
  j->fill = fill;
  j->moved = true;
  j->map = (augment_map){ a.xx * m.xx + a.xy * m.yx, a.xx * m.xy + a.xy * m.yy,
                          a.xx * m.x + a.xy * m.y + a.x,
                          a.yx * m.xx + a.yy * m.yx, a.yx * m.xy + a.yy * m.yy,
                          a.yx * m.x + a.yy * m.y + a.y };
}

/* The linear part, about the middle of the image. */
static void augment_turn(augment_job *j, double xx, double xy, double yx, double yy)
{
  double cx = (double)(j->width - 1) / 2, cy = (double)(j->height - 1) / 2;
  augment_move(j, (augment_map){ xx, xy, cx - xx * cx - xy * cy, yx, yy, cy - yx * cx - yy * cy });
}

static void augment_rotate(augment_job *j)
{
  double a = augment_around(j, augment_option(j, "degrees", 0)) * (3.141592653589793 / 180);
  augment_turn(j, cos(a), -sin(a), sin(a), cos(a));
}

static void augment_scale(augment_job *j)
{
  double by = 1 / (1 + augment_around(j, augment_option(j, "by", 0)));
  augment_turn(j, by, 0, 0, by);
}

static void augment_shift(augment_job *j)
{
  double by = augment_option(j, "pixels", 0), x = augment_around(j, by);
  augment_move(j, (augment_map){ 1, 0, x, 0, 1, augment_around(j, by) });
}

/* Whole pixels: a window of the padded image, as large as the image. */
static void augment_crop(augment_job *j)
{
  double pad = augment_option(j, "pad", 0), places = 2 * pad + 1;
  double x = floor(places * gradrt_stream_uniform(&j->random)) - pad;
  double y = floor(places * gradrt_stream_uniform(&j->random)) - pad;
  augment_move(j, (augment_map){ 1, 0, x, 0, 1, y });
}

static void augment_flip(augment_job *j)
{
  bool upright = augment_option(j, "vertical", 0) != 0;
  if (gradrt_stream_uniform(&j->random) < augment_option(j, "p", 0.5))
    augment_turn(j, upright ? 1 : -1, 0, 0, upright ? -1 : 1);
}

/* ---- changing values ---- */

static void augment_cutout(augment_job *j)
{
  int64_t side = (int64_t)augment_option(j, "pixels", 0), pixels = j->height * j->width;
  int64_t x = (int64_t)(gradrt_stream_uniform(&j->random) * (double)j->width) - side / 2;
  int64_t y = (int64_t)(gradrt_stream_uniform(&j->random) * (double)j->height) - side / 2;
  float fill = (float)augment_option(j, "fill", 0);
  for (int64_t p = 0; p < j->planes; p++)
    for (int64_t i = y < 0 ? 0 : y; i < y + side && i < j->height; i++)
      for (int64_t k = x < 0 ? 0 : x; k < x + side && k < j->width; k++)
        j->now[p * pixels + i * j->width + k] = fill;
}

static void augment_noise(augment_job *j)
{
  double std = augment_option(j, "std", 0);
  for (int64_t i = 0; i < j->elems; i++)
    j->now[i] = (float)((double)j->now[i] + std * gradrt_stream_normal(&j->random));
}

static void augment_brightness(augment_job *j)
{
  float by = (float)(1 + augment_around(j, augment_option(j, "by", 0)));
  for (int64_t i = 0; i < j->elems; i++)
    j->now[i] *= by;
}

static void augment_contrast(augment_job *j)
{
  double by = 1 + augment_around(j, augment_option(j, "by", 0)), mean = 0;
  for (int64_t i = 0; i < j->elems; i++)
    mean += (double)j->now[i];
  mean /= (double)j->elems;
  for (int64_t i = 0; i < j->elems; i++)
    j->now[i] = (float)(mean + ((double)j->now[i] - mean) * by);
}

static void augment_invert(augment_job *j)
{
  float white = (float)augment_option(j, "white", j->field->dtype == GRADRT_U8 ? 255 : 1);
  if (gradrt_stream_uniform(&j->random) >= augment_option(j, "p", 0.5))
    return;
  for (int64_t i = 0; i < j->elems; i++)
    j->now[i] = white - j->now[i];
}

/* ---- a sample ---- */

typedef struct { const char *kind; void (*run)(augment_job *j); bool moves; } augment_kind;

static const augment_kind augment_kinds[] = {
  { "rotate", augment_rotate, true },         { "scale", augment_scale, true },
  { "shift", augment_shift, true },           { "crop", augment_crop, true },
  { "flip", augment_flip, true },             { "cutout", augment_cutout, false },
  { "noise", augment_noise, false },          { "brightness", augment_brightness, false },
  { "contrast", augment_contrast, false },    { "invert", augment_invert, false },
};

static void augment_run(augment_job *j, const gradrt_augment *step)
{
  j->step = step;
  for (size_t i = 0; i < sizeof augment_kinds / sizeof *augment_kinds; i++) {
    if (strcmp(augment_kinds[i].kind, step->kind) != 0)
      continue;
    if (!augment_kinds[i].moves)
      augment_flush(j);
    augment_kinds[i].run(j);
  }
}

/* Whole numbers are rounded and kept within what bytes hold. */
static void augment_store(const augment_job *j, void *to)
{
  for (int64_t i = 0; i < j->elems; i++) {
    double v = (double)j->now[i];
    if (j->field->dtype == GRADRT_U8)
      v = v <= 0 ? 0 : v >= 255 ? 255 : floor(v + 0.5);
    gradrt_dtype_put(j->field->dtype, to, i, v);
  }
}

bool gradrt_augment_wanted(const gradrt_net *net)
{
  for (int i = 0; i < net->nfield; i++)
    if (net->field[i].naugment > 0)
      return true;
  return false;
}

size_t gradrt_augment_scratch(const gradrt_field *f) { return 2 * (size_t)gradrt_field_elems(f); }

void gradrt_augment_sample(const gradrt_field *f, const gradrt_draw *d, const void *from, void *to,
                           float *scratch)
{
  augment_job j = { .field = f, .now = scratch, .elems = gradrt_field_elems(f),
                    .height = f->height, .width = f->width, .map = augment_still };
  j.next = scratch + j.elems;
  j.planes = f->height > 0 ? j.elems / (f->height * f->width) : 0;
  gradrt_stream_start(&j.random, d->seed, GRADRT_PURPOSE_AUGMENT, gradrt_hash_name(f->name));
  j.random.ctr[2] = d->row;
  j.random.ctr[3] = d->epoch;
  for (int64_t i = 0; i < j.elems; i++)
    j.now[i] = (float)gradrt_dtype_get(f->dtype, from, i);
  for (int i = 0; i < f->naugment; i++)
    augment_run(&j, &f->augment[i]);
  augment_flush(&j);
  augment_store(&j, to);
}
