/* The loss over a plane through the trained weights, spanned by two random directions whose filters
 * have the norms of the weights' filters (Li et al. 2018); biases and statistics stay. */
#include "cmd/report.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 420, LEFT = 46, TOP = 12, BAR = 16, LEVELS = 9, SAMPLES_MAX = 512, SAMPLES_MIN = 32 };

typedef struct {
  ReportPage *p;
  int split;
  int64_t n, batches;           /* points a side; batches of the split that are measured */
  double *loss;                 /* n * n, the second direction from the bottom to the top */
  double low, high;             /* finite ones */
} Landscape;

/* ---- directions ---- */

static bool is_moved(const gradrt_tensor *t) { return t->role == GRADRT_PARAM && t->rank >= 2; }

/* One direction in a tensor: normal numbers, each filter scaled to the norm of the weight's. */
static void fill_direction(const gradrt_tensor *t, const double *weight, uint32_t which, double *d)
{
  gradrt_stream stream;
  int64_t count = t->dim[0], size = gradrt_tensor_elems(t) / count;
  gradrt_stream_start(&stream, which, GRADRT_PURPOSE_INIT, gradrt_hash_name(t->name));
  for (int64_t f = 0; f < count; f++) {
    double norm = 0, wanted = 0;
    for (int64_t i = f * size; i < (f + 1) * size; i++) {
      d[i] = gradrt_stream_normal(&stream);
      norm += d[i] * d[i];
      wanted += weight[i] * weight[i];
    }
    for (int64_t i = f * size; i < (f + 1) * size; i++)
      d[i] *= norm > 0 ? sqrt(wanted / norm) : 0;
  }
}

typedef struct { double *weight, *d[2], *at; } Directions;

/* By tensor; those that do not move have none. */
static Directions *directions_of(ReportPage *p)
{
  Arena *a = p->c->arena;
  Directions *all = ARENA_ARRAY(a, Directions, p->net->ntensor + 1);
  for (int i = 0; i < p->net->ntensor; i++) {
    const gradrt_tensor *t = &p->net->tensor[i];
    int64_t n = gradrt_tensor_elems(t);
    if (!is_moved(t))
      continue;
    all[i] = (Directions){ ARENA_ARRAY(a, double, n), { ARENA_ARRAY(a, double, n),
                           ARENA_ARRAY(a, double, n) }, ARENA_ARRAY(a, double, n) };
    gradrt_tensor_load(p->net, t, p->s.state, all[i].weight);
    fill_direction(t, all[i].weight, 1, all[i].d[0]);
    fill_direction(t, all[i].weight, 2, all[i].d[1]);
  }
  return all;
}

static void move(ReportPage *p, const Directions *all, double x, double y)
{
  for (int i = 0; i < p->net->ntensor; i++) {
    const gradrt_tensor *t = &p->net->tensor[i];
    for (int64_t k = 0; all[i].at && k < gradrt_tensor_elems(t); k++)
      all[i].at[k] = all[i].weight[k] + x * all[i].d[0][k] + y * all[i].d[1][k];
    if (all[i].at)
      gradrt_tensor_store(p->net, t, p->s.state, all[i].at);
  }
}

/* -1 to 1; the middle one of an odd number is 0. */
static double coordinate(const Landscape *l, int64_t i)
{
  return l->n > 1 ? 2.0 * (double)i / (double)(l->n - 1) - 1 : 0;
}

static int measure(Landscape *l)
{
  ReportPage *p = l->p;
  Directions *all = directions_of(p);
  int code = EXIT_OK;
  l->low = INFINITY;
  l->high = -INFINITY;
  for (int64_t i = 0; i < l->n * l->n && !code; i++) {
    int64_t seen;
    move(p, all, coordinate(l, i % l->n), coordinate(l, i / l->n));
    code = gradrt_session_evaluate(&p->s, l->split, NULL, l->batches, &l->loss[i], &seen);
    if (gradrt_is_finite(l->loss[i])) {
      l->low = l->loss[i] < l->low ? l->loss[i] : l->low;
      l->high = l->loss[i] > l->high ? l->loss[i] : l->high;
    }
  }
  move(p, all, 0, 0);
  return code;
}

/* ---- the picture ---- */

/* Heights grow as the logarithm of what lies above the least loss. */
static double height_of(const Landscape *l, double loss)
{
  double span = l->high - l->low, least = 0.01 * span;
  return span > 0 ? log((loss - l->low + least) / least) / log((span + least) / least) : 0;
}

static double level_of(const Landscape *l, double height)
{
  double span = l->high - l->low, least = 0.01 * span;
  return l->low - least + least * pow((span + least) / least, height);
}

/* Between the points, so that areas are smooth. */
static double height_at(const Landscape *l, double x, double y)
{
  int64_t i = (int64_t)x, k = (int64_t)y;
  i = i > l->n - 2 ? l->n - 2 : i;
  k = k > l->n - 2 ? l->n - 2 : k;
  double fx = x - (double)i, fy = y - (double)k;
  const double *v = l->loss + k * l->n + i;
  return (1 - fy) * ((1 - fx) * height_of(l, v[0]) + fx * height_of(l, v[1])) +
         fy * ((1 - fx) * height_of(l, v[l->n]) + fx * height_of(l, v[l->n + 1]));
}

static void put_areas(const Landscape *l)
{
  enum { PIXELS = 140 };
  gradrt_image image;
  gradrt_writer *w = l->p->w;
  if (!gradrt_image_new(&image, PIXELS, PIXELS, 3))
    return;
  for (int i = 0; i < PIXELS * PIXELS; i++) {
    double x = (i % PIXELS + 0.5) / PIXELS * (double)(l->n - 1);
    double y = (PIXELS - 1 - i / PIXELS + 0.5) / PIXELS * (double)(l->n - 1);
    double h = height_at(l, x, y);
    if (gradrt_is_finite(h))
      gradrt_color_viridis(h, image.pixel + 3 * (ptrdiff_t)i);
    else
      memset(image.pixel + 3 * (ptrdiff_t)i, 0x90, 3);
  }
  gradrt_writer_printf(w, "<image x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
                          "preserveAspectRatio=\"none\" href=\"", LEFT, TOP, SIDE, SIDE);
  gradrt_image_address(w, &image);
  gradrt_writer_printf(w, "\"/>\n");
  gradrt_image_free(&image);
}

typedef struct { double x, y; } Spot;

/* Where a level crosses the side from corner a to corner b of a cell. */
static bool crossing(const Landscape *l, int64_t a, int64_t b, double level, Spot *out)
{
  double ha = height_of(l, l->loss[a]), hb = height_of(l, l->loss[b]);
  if (!((ha < level) != (hb < level)) || !gradrt_is_finite(ha) || !gradrt_is_finite(hb))
    return false;
  double t = (level - ha) / (hb - ha), cell = SIDE / (double)(l->n - 1);
  double ax = (double)(a % l->n), ay = (double)(a / l->n);
  double bx = (double)(b % l->n), by = (double)(b / l->n);
  *out = (Spot){ LEFT + cell * (ax + t * (bx - ax)), TOP + SIDE - cell * (ay + t * (by - ay)) };
  return true;
}

/* Marching squares: the pieces of one contour line. */
static void put_contour(const Landscape *l, double level)
{
  gradrt_writer *w = l->p->w;
  gradrt_writer_printf(w, "<path class=\"contour\" d=\"");
  for (int64_t k = 0; k + 1 < l->n; k++)
    for (int64_t i = 0; i + 1 < l->n; i++) {
      int64_t at = k * l->n + i, corner[5] = { at, at + 1, at + l->n + 1, at + l->n, at };
      Spot place[4];
      int n = 0;
      for (int side = 0; side < 4; side++)
        n += crossing(l, corner[side], corner[side + 1], level, &place[n]);
      for (int m = 0; m + 1 < n; m += 2)
        gradrt_writer_printf(w, "M%.1f %.1fL%.1f %.1f", place[m].x, place[m].y, place[m + 1].x,
                             place[m + 1].y);
    }
  gradrt_writer_printf(w, "\"/>\n");
}

static void put_bar(const Landscape *l)
{
  gradrt_writer *w = l->p->w;
  int x = LEFT + SIDE + 20;
  for (int i = 0; i < 60; i++) {
    unsigned char rgb[3];
    gradrt_color_viridis((i + 0.5) / 60, rgb);
    gradrt_writer_printf(w, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\" "
                            "fill=\"#%02x%02x%02x\"/>\n",
                         x, TOP + SIDE - (i + 1) * SIDE / 60.0, BAR, SIDE / 60.0 + 0.5, rgb[0],
                         rgb[1], rgb[2]);
  }
  for (int i = 0; i <= 4; i++)
    gradrt_writer_printf(w, "<text class=\"tick\" x=\"%d\" y=\"%.1f\">%.3g</text>\n", x + BAR + 6,
                         TOP + SIDE - i * SIDE / 4.0 + 4, level_of(l, i / 4.0));
}

static void put_axes(const Landscape *l)
{
  gradrt_writer *w = l->p->w;
  for (int i = -2; i <= 2; i++) {
    double at = SIDE * (i / 4.0 + 0.5);
    gradrt_writer_printf(w, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g"
                            "</text><text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g"
                            "</text>\n",
                         LEFT + at, TOP + SIDE + 18, i / 2.0, LEFT - 8, TOP + SIDE - at + 4,
                         i / 2.0);
  }
  double middle = SIDE / 2.0;
  gradrt_writer_printf(w, "<path class=\"here\" d=\"M%.1f %.1fh16m-8-8v16\"><title>the trained "
                          "weights</title></path>\n", LEFT + middle - 8, TOP + middle);
}

static void put_numbers(const Landscape *l)
{
  gradrt_writer *w = l->p->w;
  gradrt_writer_printf(w, "<details><summary>Numbers</summary><pre class=\"landscape\">\n");
  for (int64_t k = l->n - 1; k >= 0; k--)
    for (int64_t i = 0; i < l->n; i++)
      gradrt_writer_printf(w, "%.5g%c", l->loss[k * l->n + i], i + 1 < l->n ? '\t' : '\n');
  gradrt_writer_printf(w, "</pre></details>\n");
}

static void put_picture(const Landscape *l, int64_t seen)
{
  gradrt_writer *w = l->p->w;
  int width = LEFT + SIDE + 90, height = TOP + SIDE + 30;
  gradrt_writer_printf(w, "<h2>Loss landscape</h2>\n<figure class=\"plane\"><svg viewBox=\"0 0 %d "
                          "%d\" style=\"max-width:%dpx\" role=\"img\"><title>Loss over a plane "
                          "through the weights</title><desc>at the weights %.6g, smallest %.6g, "
                          "largest %.6g</desc>\n",
                       width, height, width, l->loss[l->n * l->n / 2], l->low, l->high);
  put_areas(l);
  for (int i = 1; i <= LEVELS; i++)
    put_contour(l, i / (LEVELS + 1.0));
  gradrt_writer_printf(w, "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
                       LEFT, TOP, SIDE, SIDE);
  put_axes(l);
  put_bar(l);
  gradrt_writer_printf(w, "</svg><figcaption>Loss on %" PRId64 " samples of ", seen);
  gradrt_report_text(w, l->p->net->split[l->split].name);
  gradrt_writer_printf(w, ". Two random directions; 1 moves every filter by its own norm. The "
                          "cross is where training ended; colours grow with the logarithm."
                          "</figcaption></figure>\n");
  put_numbers(l);
}

static double forward_flops(const gradrt_net *net)
{
  double sum = 1;
  for (int i = 0; i < net->nlayer; i++)
    sum += net->layer[i].flops;
  return sum;
}

int report_landscape(ReportPage *p)
{
  const gradrt_net *net = p->net;
  if (p->grid == 0 || !net->training || !net->eval.fn)
    return EXIT_OK;
  Landscape l = { .p = p, .split = net->training->train_split, .n = p->grid };
  const gradrt_set *set = gradrt_data_set(p->s.data, l.split);
  double samples = 4e11 / (forward_flops(net) * (double)(l.n * l.n));
  samples = samples < SAMPLES_MIN ? SAMPLES_MIN : samples > SAMPLES_MAX ? SAMPLES_MAX : samples;
  l.batches = (int64_t)ceil(samples / (double)net->batch);
  l.loss = ARENA_ARRAY(p->c->arena, double, l.n * l.n);
  int code = measure(&l);
  if (code || !(l.low <= l.high))
    return code;
  int64_t seen = l.batches * net->batch;
  put_picture(&l, seen < set->n ? seen : set->n);
  return EXIT_OK;
}
