/* Drawings of the digits 0 to 9, 28 x 28 bytes each: ink 255 on 0. A digit is a few strokes through
 * control points; each sample picks a way of writing it, moves every point a little, bends, slants,
 * turns, scales and shifts the whole, and draws it with a pen of its own width. Sample i shows
 * digit i mod 10 and depends on (seed, number of the source, i) alone. */
#include "data.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
  DIGITS_SIDE = 28,
  DIGITS_PIXELS = DIGITS_SIDE * DIGITS_SIDE,
  DIGITS_POINTS_MAX = 20,
  DIGITS_STEPS = 8
};

/* ---- how digits are written: points in a box of 100 x 100, y downwards ---- */

typedef enum { DIGITS_SMOOTH, DIGITS_CORNER, DIGITS_LIFT } digits_turn; /* LIFT: a stroke's end */
typedef struct { uint8_t x, y, turn; } digits_point;
typedef struct { int digit, n; digits_point point[DIGITS_POINTS_MAX]; } digits_way;

#define S DIGITS_SMOOTH
#define C DIGITS_CORNER
#define L DIGITS_LIFT
static const digits_way digits_ways[] = {
  { 0, 9, { { 58, 2, S }, { 30, 8, S }, { 12, 38, S }, { 14, 72, S }, { 42, 98, S }, { 76, 84, S },
            { 88, 48, S }, { 76, 12, S }, { 52, 2, L } } },
  { 0, 8, { { 46, 6, S }, { 20, 24, S }, { 16, 66, S }, { 46, 97, S }, { 80, 72, S }, { 82, 28, S },
            { 60, 4, S }, { 38, 8, L } } },
  { 1, 2, { { 54, 0, S }, { 48, 100, L } } },
  { 1, 3, { { 32, 20, S }, { 54, 0, C }, { 52, 100, L } } },
  { 1, 5, { { 28, 22, S }, { 52, 0, C }, { 52, 98, L }, { 28, 98, S }, { 76, 97, L } } },
  { 2, 7, { { 16, 24, S }, { 34, 4, S }, { 66, 3, S }, { 80, 24, S }, { 60, 56, S }, { 14, 96, C },
            { 88, 96, L } } },
  { 2, 10, { { 18, 20, S }, { 42, 1, S }, { 74, 12, S }, { 74, 38, S }, { 50, 70, S },
             { 22, 95, S }, { 12, 84, S }, { 28, 76, S }, { 56, 92, S }, { 90, 94, L } } },
  { 3, 9, { { 18, 12, S }, { 46, 0, S }, { 76, 16, S }, { 66, 38, S }, { 40, 46, C }, { 72, 54, S },
            { 84, 76, S }, { 56, 98, S }, { 14, 88, L } } },
  { 3, 7, { { 18, 4, C }, { 78, 4, C }, { 44, 40, C }, { 74, 50, S }, { 84, 74, S }, { 56, 98, S },
            { 14, 90, L } } },
  { 4, 5, { { 28, 4, S }, { 14, 56, C }, { 88, 54, L }, { 68, 10, S }, { 62, 100, L } } },
  { 4, 5, { { 64, 0, C }, { 10, 66, C }, { 92, 66, L }, { 64, 2, S }, { 64, 100, L } } },
  { 4, 5, { { 20, 2, S }, { 22, 46, S }, { 76, 44, L }, { 80, 0, S }, { 74, 100, L } } },
  { 5, 8, { { 26, 4, C }, { 20, 44, C }, { 52, 36, S }, { 82, 60, S }, { 66, 92, S }, { 16, 92, L },
            { 26, 4, S }, { 84, 3, L } } },
  { 5, 8, { { 82, 4, S }, { 34, 6, C }, { 26, 40, S }, { 54, 48, S }, { 76, 66, S }, { 64, 92, S },
            { 36, 100, S }, { 14, 86, L } } },
  { 6, 9, { { 72, 2, S }, { 38, 24, S }, { 16, 62, S }, { 26, 92, S }, { 58, 98, S }, { 82, 78, S },
            { 66, 54, S }, { 36, 58, S }, { 18, 78, L } } },
  { 6, 8, { { 46, 0, S }, { 24, 40, S }, { 20, 80, S }, { 48, 99, S }, { 78, 84, S }, { 72, 62, S },
            { 44, 56, S }, { 22, 74, L } } },
  { 7, 4, { { 12, 6, S }, { 86, 5, C }, { 58, 50, S }, { 42, 100, L } } },
  { 7, 6, { { 14, 6, S }, { 84, 4, C }, { 56, 52, S }, { 40, 100, L }, { 28, 52, S },
            { 78, 49, L } } },
  { 7, 5, { { 14, 22, S }, { 16, 6, C }, { 84, 6, C }, { 62, 44, S }, { 54, 100, L } } },
  { 8, 10, { { 76, 16, S }, { 48, 0, S }, { 22, 20, S }, { 50, 46, S }, { 82, 76, S },
             { 50, 100, S }, { 18, 76, S }, { 46, 48, S }, { 74, 26, S }, { 68, 8, L } } },
  { 8, 12, { { 50, 1, S }, { 24, 20, S }, { 48, 44, S }, { 76, 22, S }, { 52, 1, L }, { 46, 45, S },
             { 18, 70, S }, { 36, 97, S }, { 70, 96, S }, { 84, 70, S }, { 56, 46, S },
             { 46, 45, L } } },
  { 9, 8, { { 78, 20, S }, { 52, 2, S }, { 20, 20, S }, { 30, 48, S }, { 64, 44, S }, { 80, 14, C },
            { 78, 60, S }, { 66, 100, L } } },
  { 9, 9, { { 76, 16, S }, { 46, 0, S }, { 20, 24, S }, { 36, 50, S }, { 66, 42, S }, { 80, 12, S },
            { 78, 64, S }, { 56, 96, S }, { 24, 92, L } } },
};
#undef S
#undef C
#undef L

/* ---- one sample ---- */

typedef struct { double x, y; } digits_spot;

typedef struct {
  float ink[DIGITS_PIXELS];     /* 0 to 1 */
  digits_spot at[DIGITS_POINTS_MAX];    /* control points in pixels */
  double radius, taper;         /* of the pen in pixels; how much thinner or thicker it ends */
} digits_canvas;

static const digits_way *digits_pick(int digit, double u)
{
  int n = 0, total = (int)(sizeof digits_ways / sizeof *digits_ways), first = -1;
  for (int i = 0; i < total; i++)
    if (digits_ways[i].digit == digit) {
      first = first < 0 ? i : first;
      n++;
    }
  return &digits_ways[first + (int)(u * n)];
}

/* Places the control points: jitter and bend in the box, then an affine map to pixels. */
static void digits_place(digits_canvas *c, const digits_way *w, gradrt_stream *s, double noise)
{
  double turn = 0.14 * noise * gradrt_stream_normal(s),
         slant = 0.05 + 0.22 * noise * gradrt_stream_normal(s);
  double height = 19.5 * (1 + 0.08 * noise * gradrt_stream_normal(s));
  double width = 15.5 * (1 + 0.13 * noise * gradrt_stream_normal(s));
  double dx = 13.5 + 1.05 * noise * gradrt_stream_normal(s),
         dy = 13.5 + 0.95 * noise * gradrt_stream_normal(s);
  double bend = 0.11 * noise * gradrt_stream_normal(s),
         top = 0.13 * noise * gradrt_stream_normal(s);
  double shift = 0.06 * noise * gradrt_stream_normal(s);
  height = fmin(fmax(height, 9), 25);
  width = fmin(fmax(width, 5), 24);
  for (int i = 0; i < w->n; i++) {
    double x = w->point[i].x / 100.0 - 0.5 + 0.04 * noise * gradrt_stream_normal(s);
    double y = w->point[i].y / 100.0 - 0.5 + 0.04 * noise * gradrt_stream_normal(s);
    x = x * (1 - top * y) + bend * (4 * y * y - 0.5) - slant * y;
    y += shift * (1 - 4 * y * y);
    x *= width;
    y *= height;
    c->at[i] =
        (digits_spot){ dx + x * cos(turn) - y * sin(turn), dy + x * sin(turn) + y * cos(turn) };
  }
}

/* Draws a piece of a line with round ends; the edge is soft over 1.3 pixels. */
static void digits_line(digits_canvas *c, digits_spot a, digits_spot b, double radius)
{
  double reach = radius + 1, vx = b.x - a.x, vy = b.y - a.y, length = vx * vx + vy * vy;
  int x0 = (int)fmax(0, floor(fmin(a.x, b.x) - reach)),
      x1 = (int)fmin(DIGITS_SIDE - 1, ceil(fmax(a.x, b.x) + reach));
  int y0 = (int)fmax(0, floor(fmin(a.y, b.y) - reach)),
      y1 = (int)fmin(DIGITS_SIDE - 1, ceil(fmax(a.y, b.y) + reach));
  for (int y = y0; y <= y1; y++) {
    for (int x = x0; x <= x1; x++) {
      double px = x - a.x, py = y - a.y, t = length > 0 ? (px * vx + py * vy) / length : 0;
      t = t < 0 ? 0 : t > 1 ? 1 : t;
      double ox = px - t * vx, oy = py - t * vy, apart = ox * ox + oy * oy;
      if (apart >= reach * reach)
        continue;
      double cover = (radius - sqrt(apart)) / 1.3 + 0.5;
      float ink = cover < 0 ? 0 : cover > 1 ? 1 : (float)cover;
      float *at = &c->ink[y * DIGITS_SIDE + x];
      *at = ink > *at ? ink : *at;
    }
  }
}

/* Point t of the Catmull-Rom curve from b to c with neighbours a and d. */
static digits_spot digits_curve(digits_spot a, digits_spot b, digits_spot c, digits_spot d,
                                double t)
{
  double t2 = t * t, t3 = t2 * t;
  double wa = -0.5 * t3 + t2 - 0.5 * t, wb = 1.5 * t3 - 2.5 * t2 + 1,
         wc = -1.5 * t3 + 2 * t2 + 0.5 * t, wd = 0.5 * (t3 - t2);
  return (digits_spot){ wa * a.x + wb * b.x + wc * c.x + wd * d.x,
                        wa * a.y + wb * b.y + wc * c.y + wd * d.y };
}

static void digits_draw(digits_canvas *c, const digits_way *w)
{
  for (int i = 0; i + 1 < w->n; i++) {
    if (w->point[i].turn == DIGITS_LIFT)
      continue;
    bool starts =
        i == 0 || w->point[i - 1].turn == DIGITS_LIFT || w->point[i].turn == DIGITS_CORNER;
    bool ends = i + 2 >= w->n || w->point[i + 1].turn != DIGITS_SMOOTH;
    digits_spot from = c->at[i], to = c->at[i + 1];
    digits_spot before = starts ? from : c->at[i - 1], after = ends ? to : c->at[i + 2],
                last = from;
    for (int k = 1; k <= DIGITS_STEPS; k++) {
      digits_spot next = digits_curve(before, from, to, after, (double)k / DIGITS_STEPS);
      double along = ((double)i + (double)k / DIGITS_STEPS) / w->n - 0.5;
      digits_line(c, last, next, fmax(0.45, c->radius * (1 + c->taper * along)));
      last = next;
    }
  }
}

static void digits_make(digits_canvas *c, int digit, gradrt_stream *s, double noise)
{
  const digits_way *w = digits_pick(digit, gradrt_stream_uniform(s));
  memset(c->ink, 0, sizeof c->ink);
  c->radius = 1.25 + fmin(noise, 1) * (gradrt_stream_uniform(s) - 0.45);
  c->taper = 0.5 * noise * gradrt_stream_normal(s);
  digits_place(c, w, s, noise);
  digits_draw(c, w);
}

/* ---- the source ---- */

static int digits_check(const gradrt_ask *a, int x, int y)
{
  const gradrt_net *net = a->net;
  const gradrt_field *f = x >= 0 ? &net->field[x] : NULL, *labels = y >= 0 ? &net->field[y] : NULL;
  const char *place = a->source->place ? a->source->place : net->file;
  if (!f || gradrt_field_elems(f) != DIGITS_PIXELS)
    return gradrt_error(
        GRADRT_DATA,
        "%s: 'digits' gives 28 x 28 pixels a sample, but field '%s' has %" PRId64 " numbers",
        f && f->place ? f->place : place, f ? f->name : "x", f ? gradrt_field_elems(f) : 0);
  if (labels && labels->is_label && labels->classes < 10)
    return gradrt_error(GRADRT_DATA, "%s: 'digits' has 10 classes, but field '%s' has %" PRId64,
                        labels->place ? labels->place : place, labels->name, labels->classes);
  if (labels && gradrt_field_elems(labels) != 1)
    return gradrt_error(
        GRADRT_DATA,
        "%s: 'digits' gives one label a sample, but field '%s' has %" PRId64 " numbers",
        labels->place ? labels->place : place, labels->name, gradrt_field_elems(labels));
  return GRADRT_OK;
}

int gradrt_read_digits(const gradrt_ask *a, gradrt_rows *out)
{
  int x, y, code = gradrt_fields_pair(a, &x, &y);
  double samples = gradrt_prop_number(a->source, "samples", 1000),
         noise = gradrt_prop_number(a->source, "noise", 1);
  uint64_t seed = (uint64_t)gradrt_prop_number(a->source, "seed", 1);
  code = code == GRADRT_OK ? digits_check(a, x, y) : code;
  if (code != GRADRT_OK)
    return code;
  if (!(samples >= 1 && samples <= 4294967295.0) || !(noise >= 0 && noise <= 10))
    return gradrt_error(GRADRT_DATA, "%s: %.9g digits with noise %.9g cannot be drawn",
                        a->source->place ? a->source->place : a->net->file, samples, noise);
  out->n = (int64_t)samples;
  code = gradrt_rows_alloc(a, out, x);
  code = code == GRADRT_OK && y >= 0 ? gradrt_rows_alloc(a, out, y) : code;
  digits_canvas c;
  for (int64_t i = 0; i < out->n && code == GRADRT_OK; i++) {
    gradrt_stream s;
    gradrt_stream_start(&s, seed, GRADRT_PURPOSE_DATA, gradrt_hash_name("digits"));
    s.ctr[2] = (uint32_t)i;
    s.ctr[3] = (uint32_t)(a->source - a->net->source) + 1;
    digits_make(&c, (int)(i % 10), &s, noise);
    for (int k = 0; k < DIGITS_PIXELS; k++)
      gradrt_dtype_put(a->net->field[x].dtype, out->rows[x], i * DIGITS_PIXELS + k,
                       floor(255.0 * (double)c.ink[k] + 0.5));
    if (y >= 0)
      gradrt_dtype_put(a->net->field[y].dtype, out->rows[y], i, (double)(i % 10));
  }
  return code;
}
