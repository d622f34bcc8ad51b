/* The plane of a classifier with two input numbers: which class it says where, as areas of colour
 * that are paler where it is less certain, with samples on them. */
#include "run.h"
#include "data.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
  PLANE_GRID = 120, PLANE_SIDE = 480, PLANE_LEFT = 52, PLANE_TOP = 14, PLANE_POINTS = 600,
  PLANE_LEVELS = 4, PLANE_CLASSES = 1000, PLANE_LEGEND = 24, PLANE_NAME_MAX = 32
};

/* One of the two numbers, and the interval of the picture. */
typedef struct { int field; int64_t element; double low, high; } plane_axis;

typedef struct {
  gradrt_guesser g;
  const gradrt_set *set;
  plane_axis axis[2];
  uint16_t *cell;               /* PLANE_GRID rows from the top: class * PLANE_LEVELS + level */
} plane_map;

/* The net's inputs must be exactly two numbers, and no pictures. */
static bool plane_axes(const gradrt_net *net, const gradrt_set *set, plane_axis axis[2])
{
  int n = 0;
  for (int f = 0; f < net->nfield; f++) {
    int64_t elems = net->field[f].is_label ? 0 : gradrt_field_elems(&net->field[f]);
    bool real = net->field[f].dtype == GRADRT_F32 || net->field[f].dtype == GRADRT_F64;
    if (elems > 2 - n || (elems > 0 && (!real || !set->rows[f]))) {
      return false;
    }
    for (int64_t k = 0; k < elems; k++) {
      axis[n++] = (plane_axis){ .field = f, .element = k };
    }
  }
  return n == 2;
}

static double plane_value(const gradrt_net *net, const gradrt_set *set, const plane_axis *a,
                          uint32_t row)
{
  const gradrt_field *f = &net->field[a->field];
  return gradrt_dtype_get(f->dtype, set->rows[a->field],
                          (int64_t)row * gradrt_field_elems(f) + a->element);
}

/* The samples with a margin of 8 %. */
static void plane_spread(const gradrt_net *net, const gradrt_set *set, plane_axis *a)
{
  a->low = INFINITY;
  a->high = -INFINITY;
  for (int64_t i = 0; i < set->n; i++) {
    double v = plane_value(net, set, a, set->row[i]);
    a->low = v < a->low ? v : a->low;
    a->high = v > a->high ? v : a->high;
  }
  double pad = a->high > a->low ? 0.08 * (a->high - a->low) : 1;
  a->low -= pad;
  a->high += pad;
}

/* 0 (as good as undecided) to PLANE_LEVELS - 1. */
static int plane_level(const gradrt_guess *one, int64_t classes)
{
  double least = 1 / (double)classes, t = (one->share - least) / (1 - least);
  int level = isnan(t) ? PLANE_LEVELS - 1 : (int)(t * PLANE_LEVELS);
  return level < 0 ? 0 : level >= PLANE_LEVELS ? PLANE_LEVELS - 1 : level;
}

/* Rows of the grid's points for every field, labels 0; false: no memory. */
static bool plane_rows(const plane_map *m, void *rows[GRADRT_FIELDS_MAX])
{
  const gradrt_net *net = m->g.s->net;
  int64_t n = (int64_t)PLANE_GRID * PLANE_GRID;
  for (int f = 0; f < net->nfield; f++) {
    const gradrt_field *field = &net->field[f];
    rows[f] = gradrt_alloc((size_t)(n * gradrt_field_elems(field)) *
                           gradrt_dtype_size(field->dtype));
    if (!rows[f]) {
      return false;
    }
  }
  for (int k = 0; k < 2; k++) {
    const plane_axis *a = &m->axis[k];
    const gradrt_field *field = &net->field[a->field];
    for (int64_t i = 0; i < n; i++) {
      int64_t at = k == 0 ? i % PLANE_GRID : PLANE_GRID - 1 - i / PLANE_GRID;
      double v = a->low + (a->high - a->low) * ((double)at + 0.5) / PLANE_GRID;
      gradrt_dtype_put(field->dtype, rows[a->field],
                       i * gradrt_field_elems(field) + a->element, (double)(float)v);
    }
  }
  return true;
}

static bool plane_fill(plane_map *m)
{
  gradrt_session *s = m->g.s;
  int64_t n = (int64_t)PLANE_GRID * PLANE_GRID, batch = s->net->batch;
  void *rows[GRADRT_FIELDS_MAX] = { 0 };
  gradrt_guess *guess = gradrt_alloc((size_t)batch * sizeof *guess);
  m->cell = gradrt_alloc((size_t)n * sizeof *m->cell);
  bool ok = guess && m->cell && plane_rows(m, rows);
  for (int64_t first = 0; ok && first < n; first += batch) {
    int64_t part = n - first < batch ? n - first : batch;
    for (int64_t i = 0; i < part; i++) {
      s->ids[i] = (uint32_t)(first + i);
    }
    gradrt_guess_batch(&m->g, (const void *const *)rows, part, guess);
    for (int64_t i = 0; i < part; i++) {
      int level = plane_level(&guess[i], m->g.classes);
      m->cell[first + i] = (uint16_t)(guess[i].guess * PLANE_LEVELS + level);
    }
  }
  for (int f = 0; f < s->net->nfield; f++) {
    gradrt_free(rows[f]);
  }
  gradrt_free(guess);
  return ok;
}

/* One path for each class and level: its runs of cells as rectangles of the grid. */
static void plane_areas(gradrt_writer *w, const plane_map *m)
{
  gradrt_writer_printf(w,
                       "<g class=\"areas\" transform=\"translate(%d %d) scale(%g)\" "
                       "shape-rendering=\"crispEdges\">\n",
                       PLANE_LEFT, PLANE_TOP, (double)PLANE_SIDE / PLANE_GRID);
  for (int kind = 0; kind < (int)m->g.classes * PLANE_LEVELS; kind++) {
    bool any = false;
    for (int y = 0; y < PLANE_GRID; y++) {
      const uint16_t *row = m->cell + (ptrdiff_t)y * PLANE_GRID;
      for (int x = 0, end; x < PLANE_GRID; x = end) {
        for (end = x + 1; end < PLANE_GRID && row[end] == row[x]; end++) {
        }
        if (row[x] != kind) {
          continue;
        }
        if (!any) {
          gradrt_writer_printf(w, "<path data-class=\"%d\" fill=\"%s\" fill-opacity=\"%.2f\" d=\"",
                               kind / PLANE_LEVELS, gradrt_class_color(kind / PLANE_LEVELS),
                               0.10 + 0.12 * (kind % PLANE_LEVELS));
        }
        any = true;
        gradrt_writer_printf(w, "M%d %dh%dv1h-%dz", x, y, end - x, end - x);
      }
    }
    gradrt_writer_printf(w, "%s", any ? "\"/>\n" : "");
  }
  gradrt_writer_printf(w, "</g>\n");
}

/* A disc, square, triangle or diamond, so that classes differ without colour. */
static void plane_mark(gradrt_writer *w, int cls, double x, double y)
{
  static const char *const shape[] = { "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
                                       "m-2.7-2.7h5.4v5.4h-5.4z", "m0-3.6l3.4 6h-6.8z",
                                       "m0-3.8l3.8 3.8l-3.8 3.8l-3.8-3.8z" };
  gradrt_writer_printf(w, "M%.1f %.1f%s", x, y, shape[cls % 4]);
}

static double plane_place(const plane_axis *a, double v)
{
  return PLANE_SIDE * (v - a->low) / (a->high - a->low);
}

static void plane_points(gradrt_writer *w, const plane_map *m)
{
  const gradrt_net *net = m->g.s->net;
  gradrt_session *s = m->g.s;
  int64_t n = m->set->n < PLANE_POINTS ? m->set->n : PLANE_POINTS, batch = net->batch;
  gradrt_guess *guess = gradrt_alloc((size_t)(n + batch) * sizeof *guess);
  gradrt_guesser g = m->g;
  for (int64_t first = 0; guess && first < n; first += batch) {
    int64_t part = n - first < batch ? n - first : batch;
    memcpy(s->ids, m->set->row + first, (size_t)part * sizeof *s->ids);
    gradrt_guess_batch(&g, m->set->rows, part, guess + first);
  }
  for (int cls = 0; guess && cls < (int)m->g.classes; cls++) {
    gradrt_writer_printf(w, "<path class=\"point\" data-class=\"%d\" fill=\"%s\" d=\"", cls,
                         gradrt_class_color(cls));
    for (int64_t i = 0; i < n; i++) {
      if (guess[i].truth == cls) {
        plane_mark(w, cls,
                   PLANE_LEFT + plane_place(&m->axis[0],
                                            plane_value(net, m->set, &m->axis[0], guess[i].row)),
                   PLANE_TOP + PLANE_SIDE -
                       plane_place(&m->axis[1],
                                   plane_value(net, m->set, &m->axis[1], guess[i].row)));
      }
    }
    gradrt_writer_printf(w, "\"/>\n");
  }
  gradrt_free(guess);
}

/* Ticks and name of an axis; across: the horizontal one. */
static void plane_ruler(gradrt_writer *w, const gradrt_net *net, const plane_axis *a, int across)
{
  const gradrt_field *f = &net->field[a->field];
  double step = gradrt_plot_step(a->high - a->low, 6);
  for (double i = ceil(a->low / step); i * step <= a->high; i++) {
    double at = plane_place(a, i * step), v = i == 0 ? 0 : i * step;
    if (across) {
      gradrt_writer_printf(w, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">"
                              "%.4g</text>\n", PLANE_LEFT + at, PLANE_TOP + PLANE_SIDE + 18, v);
    } else {
      gradrt_writer_printf(w, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">"
                              "%.4g</text>\n", PLANE_LEFT - 8, PLANE_TOP + PLANE_SIDE - at + 4, v);
    }
  }
  gradrt_writer_printf(w, "<text class=\"key\" text-anchor=\"middle\" transform=\"translate(%d %d)"
                          "%s\">", across ? PLANE_LEFT + PLANE_SIDE / 2 : 14,
                       PLANE_TOP + (across ? PLANE_SIDE + 36 : PLANE_SIDE / 2),
                       across ? "" : " rotate(-90)");
  char name[GRADRT_NAME_MAX];
  if (gradrt_field_column(f, (int)a->element, name, sizeof name)) {
    gradrt_report_text(w, name);
  } else {
    gradrt_report_text(w, f->name);
    if (gradrt_field_elems(f) > 1) {
      gradrt_writer_printf(w, "[%d]", (int)a->element);
    }
  }
  gradrt_writer_printf(w, "</text>\n");
}

static const char *plane_name(const plane_map *m, int cls, char *buf)
{
  char name[GRADRT_NAME_MAX];
  return gradrt_text_short(buf, PLANE_NAME_MAX,
                           gradrt_class_name(m->g.s->net, NULL, m->g.classes, cls, name,
                                             sizeof name));
}

/* Pixels that the names of the legend take. */
static int plane_legend_width(const plane_map *m)
{
  char name[4 * PLANE_NAME_MAX + 1];
  int longest = 8;              /* "and N more" */
  for (int cls = 0; cls < (int)m->g.classes && cls < PLANE_LEGEND; cls++) {
    int n = gradrt_text_points(plane_name(m, cls, name));
    longest = n > longest ? n : longest;
  }
  return 40 + 8 * longest;
}

static void plane_legend(gradrt_writer *w, const plane_map *m)
{
  char name[4 * PLANE_NAME_MAX + 1];
  int x = PLANE_LEFT + PLANE_SIDE + 18, shown = (int)m->g.classes;
  if (shown > PLANE_LEGEND) {
    shown = PLANE_LEGEND - 1;
    gradrt_writer_printf(w, "<text class=\"key\" x=\"%d\" y=\"%d\">and %d more</text>\n", x + 12,
                         PLANE_TOP + 16 + 20 * shown, (int)m->g.classes - shown);
  }
  for (int cls = 0; cls < shown; cls++) {
    int y = PLANE_TOP + 12 + 20 * cls;
    gradrt_writer_printf(w, "<path class=\"point\" fill=\"%s\" d=\"", gradrt_class_color(cls));
    plane_mark(w, cls, x, y);
    gradrt_writer_printf(w, "\"/><text class=\"key\" x=\"%d\" y=\"%d\">", x + 12, y + 4);
    gradrt_report_text(w, plane_name(m, cls, name));
    gradrt_writer_printf(w, "</text>\n");
  }
}

static void plane_figure(gradrt_writer *w, const plane_map *m)
{
  const gradrt_net *net = m->g.s->net;
  int width = PLANE_LEFT + PLANE_SIDE + plane_legend_width(m), height = PLANE_TOP + PLANE_SIDE + 46;
  gradrt_writer_printf(w,
                       "<h3>Decision boundary</h3>\n<figure class=\"plane\"><svg viewBox=\"0 0 %d "
                       "%d\" style=\"max-width:%dpx\" role=\"img\"><title>Predicted classes over "
                       "the plane of the inputs</title><desc>horizontally from %.6g to %.6g, "
                       "vertically from %.6g to %.6g</desc>\n",
                       width, height, width, m->axis[0].low, m->axis[0].high, m->axis[1].low,
                       m->axis[1].high);
  plane_areas(w, m);
  gradrt_writer_printf(w, "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
                       PLANE_LEFT, PLANE_TOP, PLANE_SIDE, PLANE_SIDE);
  plane_points(w, m);
  plane_ruler(w, net, &m->axis[0], 1);
  plane_ruler(w, net, &m->axis[1], 0);
  plane_legend(w, m);
  gradrt_writer_printf(w, "</svg><figcaption>Areas: the predicted class, paler where it is less "
                          "certain. Marks: samples with their true class.</figcaption></figure>\n");
}

void gradrt_report_plane(gradrt_writer *w, gradrt_session *s, const gradrt_score *score)
{
  plane_map m = { .set = gradrt_data_set(s->data, score->split) };
  if (!m.set || m.set->n == 0 || !plane_axes(s->net, m.set, m.axis) ||
      !gradrt_guesser_init(&m.g, s, score->metric, score->nmetric) ||
      m.g.classes > PLANE_CLASSES) {
    return;
  }
  plane_spread(s->net, m.set, &m.axis[0]);
  plane_spread(s->net, m.set, &m.axis[1]);
  if (plane_fill(&m)) {
    plane_figure(w, &m);
  }
  gradrt_free(m.cell);
}
