/* Pictures of samples: images of each class beside each other, or points in the plane. As one page
 * that needs nothing else, as SVG, or (images only) as PNG. */
#include "augment.h"
#include "base/str.h"
#include "cmd/dataview.h"
#include "cmd/page.h"
#include "cmd/picture.h"
#include "data.h"
#include "run.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
  SAMPLES_MAX = 120, PER_CLASS = 8, CLASSES_MAX = 15, SIDE_MAX = 1024, SIDE_SHOWN = 64, GAP = 4,
  CAPTION = 16, POINTS_MAX = 2000, PLANE = 480
};

/* What is drawn: rows of the training split, grouped by class where there is a label. */
typedef struct {
  const DataView *v;
  const gradrt_set *set;
  int field, label;             /* of the pictures; of their classes, or -1 */
  int height, width, planes;    /* of an image; height 0: no image */
  int zoom;
  double low, high;             /* black and white */
  uint32_t row[SAMPLES_MAX];
  int n;
} Sheet;

static const char *const colors[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
                                      "#56b4e9", "#7f7f7f", "#b8a800" };

/* ---- which samples ---- */

/* Sides of a field that holds images, as the model sees it: [h, w], [1, h, w] or [3, h, w]. */
static void find_sides(Sheet *s, const FieldSpec *f, const gradrt_field *stored)
{
  const Type *t = f->value.node ? value_type(f->value) : NULL;
  int rank = t && t->rank == 3 ? 3 : stored->rank;
  const int64_t *dim = t && t->rank == 3 ? t->dim : stored->dim;
  bool planes = rank == 3 && (dim[0] == 1 || dim[0] == 3);
  if ((rank != 2 && !planes) || dim[rank - 1] > SIDE_MAX || dim[rank - 2] > SIDE_MAX)
    return;
  s->height = (int)dim[rank - 2];
  s->width = (int)dim[rank - 1];
  s->planes = planes ? (int)dim[0] : 1;
}

static void pick_samples(Sheet *s)
{
  const gradrt_field *f = s->label >= 0 ? &s->v->net->field[s->label] : NULL;
  int64_t classes = f ? min_i64(f->classes, CLASSES_MAX) : 0;
  for (int64_t c = 0; c < classes; c++)
    for (int64_t i = 0, found = 0; i < s->set->n && found < PER_CLASS; i++)
      if (gradrt_dtype_get(f->dtype, s->set->rows[s->label], s->set->row[i]) == (double)c) {
        s->row[s->n++] = s->set->row[i];
        found++;
      }
  for (int64_t i = 0; !f && i < s->set->n && s->n < 5 * PER_CLASS; i++)
    s->row[s->n++] = s->set->row[i];
}

static Sheet sheet_of(const DataView *v)
{
  Sheet s = { .v = v, .field = -1, .label = -1 };
  s.set = gradrt_data_set(v->rows, data_train_split(v));
  for (int i = v->data->nfield - 1; i >= 0; i--)
    if (v->data->field[i].is_label)
      s.label = v->data->field[i].field;
  for (int i = 0; i < v->data->nfield && !s.height; i++) {
    int field = v->data->field[i].field;
    if (v->data->field[i].is_label)
      continue;
    s.field = s.field < 0 ? field : s.field;
    find_sides(&s, &v->data->field[i], &v->net->field[field]);
    s.field = s.height ? field : s.field;
  }
  pick_samples(&s);
  if (s.height) {
    const gradrt_field *f = &v->net->field[s.field];
    DataRange r = data_range(f, s.set, s.field, (DataPart){ 0, 1, gradrt_field_elems(f) });
    bool bytes = f->dtype == GRADRT_U8 && r.high > 1;
    s.low = bytes ? 0 : r.low;
    s.high = bytes ? 255 : r.high > r.low ? r.high : r.low + 1;
    s.zoom = (int)max_i64(1, SIDE_SHOWN / max_i64(s.height, s.width));
  }
  return s;
}

/* ---- images ---- */

/* sample: numbers of the field, in its type. */
static Picture image_of(const Sheet *s, const void *sample)
{
  const gradrt_field *f = &s->v->net->field[s->field];
  Picture p = picture_new(s->v->arena, s->width, s->height, s->planes);
  int64_t pixels = (int64_t)s->width * s->height;
  for (int64_t i = 0; i < pixels; i++)
    for (int c = 0; c < s->planes; c++) {
      double v = gradrt_dtype_get(f->dtype, sample, c * pixels + i);
      v = 255 * (v - s->low) / (s->high - s->low);
      p.pixel[i * s->planes + c] = (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
    }
  return p;
}

static Picture image_at(const Sheet *s, uint32_t row)
{
  return image_of(s, data_sample(s->v, s->set, s->field, row));
}

static const char *class_of(const Sheet *s, uint32_t row)
{
  const gradrt_field *f = s->label >= 0 ? &s->v->net->field[s->label] : NULL;
  char name[64];
  if (!f)
    return arena_printf(s->v->arena, "row %" PRIu32, row);
  int64_t c = (int64_t)gradrt_dtype_get(f->dtype, s->set->rows[s->label], row);
  gradrt_class_name(s->v->net, f->name, f->classes, c, name, sizeof name);
  return arena_strdup(s->v->arena, name);
}

static int sheet_rows(const Sheet *s) { return (s->n + PER_CLASS - 1) / PER_CLASS; }

static void sheet_png(Out *o, const Sheet *s)
{
  int w = s->width * s->zoom + GAP, h = s->height * s->zoom + GAP;
  Picture all = picture_new(s->v->arena, PER_CLASS * w + GAP, sheet_rows(s) * h + GAP, 3);
  memset(all.pixel, 0xE0, (size_t)all.width * (size_t)all.height * 3);
  for (int i = 0; i < s->n; i++) {
    Picture p = image_at(s, s->row[i]);
    picture_paste(&all, &p, GAP + i % PER_CLASS * w, GAP + i / PER_CLASS * h, s->zoom);
  }
  picture_png(o, s->v->arena, &all);
}

/* ---- text in pages ---- */

static void svg_text(Out *o, int x, int y, const char *text)
{
  out_printf(o, "<text x=\"%d\" y=\"%d\">", x, y);
  page_text(o, text);
  out_printf(o, "</text>\n");
}

static void svg_open(Out *o, int width, int height)
{
  out_printf(o,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
             "height=\"%d\" font-family=\"system-ui,sans-serif\" font-size=\"11\" fill=\"#888\" "
             "image-rendering=\"pixelated\">\n",
             width, height, width, height);
}

static void sheet_svg(Out *o, const Sheet *s)
{
  int w = (int)max_i64(s->width * s->zoom, SIDE_SHOWN) + GAP, h = s->height * s->zoom + CAPTION;
  svg_open(o, PER_CLASS * w + GAP, sheet_rows(s) * h + GAP);
  for (int i = 0; i < s->n; i++) {
    int x = GAP + i % PER_CLASS * w, y = i / PER_CLASS * h;
    Picture p = image_at(s, s->row[i]);
    picture_svg(o, s->v->arena, &p, x, y + CAPTION, s->zoom);
    svg_text(o, x, y + CAPTION - 4, class_of(s, s->row[i]));
  }
  out_printf(o, "</svg>\n");
}

/* ---- points ---- */

typedef struct { int field; int64_t element; DataRange range; } Axis;

static double axis_value(const Sheet *s, const Axis *a, uint32_t row)
{
  const gradrt_field *f = &s->v->net->field[a->field];
  return gradrt_dtype_get(f->dtype, data_sample(s->v, s->set, a->field, row), a->element);
}

static double axis_place(const Axis *a, double v)
{
  double span = a->range.high - a->range.low;
  return span > 0 ? (v - a->range.low) / span : 0.5;
}

/* The first two numbers of a sample, over the fields that are no labels. false: there are fewer. */
static bool find_axes(const Sheet *s, Axis axis[2])
{
  int n = 0;
  for (int f = 0; f < s->v->net->nfield && n < 2; f++) {
    const gradrt_field *field = &s->v->net->field[f];
    for (int64_t k = 0; k < gradrt_field_elems(field) && n < 2 && !field->is_label; k++)
      axis[n++] = (Axis){ f, k, data_range(field, s->set, f, (DataPart){ k, 1, 1 }) };
  }
  return n == 2;
}

static void points_svg(Out *o, const Sheet *s, const Axis axis[2])
{
  const gradrt_field *label = s->label >= 0 ? &s->v->net->field[s->label] : NULL;
  svg_open(o, PLANE + 40, PLANE + 40);
  for (int64_t i = 0; i < s->set->n && i < POINTS_MAX; i++) {
    uint32_t row = s->set->row[i];
    double x = 30 + PLANE * axis_place(&axis[0], axis_value(s, &axis[0], row));
    double y = 10 + PLANE * (1 - axis_place(&axis[1], axis_value(s, &axis[1], row)));
    size_t c = label ? (size_t)gradrt_dtype_get(label->dtype, s->set->rows[s->label], row) : 0;
    out_printf(o, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"/>\n", x, y,
               colors[c % ARRAY_LEN(colors)]);
  }
  for (int k = 0; k < 2; k++) {
    const char *name = data_group_name(s->v, axis[k].field, axis[k].element);
    svg_text(o, k ? 2 : PLANE - 200, k ? 10 : PLANE + 32,
             arena_printf(s->v->arena, "%s%s: %.4g to %.4g", s->v->net->field[axis[k].field].name,
                          name[0] == '[' ? name : *name ? "." : "", axis[k].range.low,
                          axis[k].range.high));
  }
  out_printf(o, "</svg>\n");
}

/* ---- the page ---- */

static const char page_style[] =
    ":root{color-scheme:light dark}body{margin:24px auto;max-width:1000px;padding:0 16px;"
    "font:15px/1.5 system-ui,sans-serif}h2{font-size:18px;margin-top:32px}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:3px 14px 3px 0;text-align:right;border-bottom:1px solid #8884}"
    "th:first-child,td:first-child{text-align:left}figure{display:inline-block;margin:4px}"
    "figcaption{font-size:12px;color:#888}img,svg{image-rendering:pixelated;max-width:100%}"
    "@media print{body{max-width:none}figure,tr{break-inside:avoid}}";

static void page_heading(Out *o, const char *text)
{
  out_printf(o, "<h2>");
  page_text(o, text);
  out_printf(o, "</h2>\n");
}

static void page_cell(Out *o, const char *text)
{
  out_printf(o, "<td>");
  page_text(o, text);
  out_printf(o, "</td>");
}

static void page_classes(Out *o, const Sheet *s, int field)
{
  const gradrt_net *net = s->v->net;
  const gradrt_field *f = &net->field[field];
  int64_t **count = ARENA_ARRAY(s->v->arena, int64_t *, net->nsplit);
  char name[64];
  out_printf(o, "<table><tr><th>class</th>");
  for (int k = 0; k < net->nsplit; k++) {
    count[k] = data_classes(s->v, gradrt_data_set(s->v->rows, k), field);
    out_printf(o, "<th>%s</th>", net->split[k].name);
  }
  out_printf(o, "</tr>\n");
  for (int64_t c = 0; c < f->classes; c++) {
    out_printf(o, "<tr>");
    page_cell(o, gradrt_class_name(net, f->name, f->classes, c, name, sizeof name));
    for (int k = 0; k < net->nsplit; k++)
      out_printf(o, "<td>%" PRId64 "</td>", count[k][c]);
    out_printf(o, "</tr>\n");
  }
  out_printf(o, "</table>\n");
}

static void page_numbers(Out *o, const Sheet *s, int field)
{
  const gradrt_net *net = s->v->net;
  const gradrt_field *f = &net->field[field];
  int64_t groups = data_groups(s->v, field);
  bool table = data_missing(s->v, data_train_split(s->v), field, 0) >= 0;
  out_printf(o, "<table><tr><th></th><th>split</th><th>min</th><th>max</th><th>mean</th>"
                "<th>std</th>%s</tr>\n",
             table ? "<th>missing</th>" : "");
  for (int64_t g = 0; g < groups; g++)
    for (int k = 0; k < net->nsplit; k++) {
      DataPart part = data_part(s->v, field, g);
      DataRange r = data_range(f, gradrt_data_set(s->v->rows, k), field, part);
      out_printf(o, "<tr>");
      page_cell(o, data_group_name(s->v, field, g));
      page_cell(o, net->split[k].name);
      out_printf(o, "<td>%.6g</td><td>%.6g</td><td>%.6g</td><td>%.6g</td>", r.low, r.high, r.mean,
                 r.std);
      if (table)
        out_printf(o, "<td>%" PRId64 "</td>", data_missing(s->v, k, field, g));
      out_printf(o, "</tr>\n");
    }
  out_printf(o, "</table>\n");
}

static void page_images(Out *o, const Sheet *s)
{
  const char *files = data_sides(s->v, data_train_split(s->v));
  page_heading(o, "samples of the training split");
  out_printf(o, "<p>%d x %d pixels", s->height, s->width);
  if (files)
    out_printf(o, "; files of %s", files);
  out_printf(o, "</p>\n");
  for (int i = 0; i < s->n; i++) {
    Picture p = image_at(s, s->row[i]);
    out_printf(o, "<figure>");
    picture_html(o, s->v->arena, &p, s->zoom);
    out_printf(o, "<figcaption>");
    page_text(o, class_of(s, s->row[i]));
    out_printf(o, "</figcaption></figure>\n");
  }
}

/* One sample as it is and as training would see it in the first epochs. */
static void page_changes(Out *o, const Sheet *s, uint32_t row)
{
  const gradrt_net *net = s->v->net;
  const gradrt_field *f = &net->field[s->field];
  size_t elems = (size_t)gradrt_field_elems(f), size = gradrt_dtype_size(f->dtype);
  float *scratch = ARENA_ARRAY(s->v->arena, float, gradrt_augment_scratch(f));
  char *changed = ARENA_ARRAY(s->v->arena, char, elems * size);
  Picture p = image_at(s, row);
  out_printf(o, "<figure>");
  picture_html(o, s->v->arena, &p, s->zoom);
  out_printf(o, "<figcaption>as it is</figcaption></figure>\n");
  for (uint32_t epoch = 0; epoch + 1 < PER_CLASS; epoch++) {
    gradrt_draw draw = { net->training ? (uint64_t)net->training->seed : 1, epoch, row };
    gradrt_augment_sample(f, &draw, data_sample(s->v, s->set, s->field, row), changed, scratch);
    p = image_of(s, changed);
    out_printf(o, "<figure>");
    picture_html(o, s->v->arena, &p, s->zoom);
    out_printf(o, "<figcaption>epoch %" PRIu32 "</figcaption></figure>\n", epoch + 1);
  }
  out_printf(o, "<br>\n");
}

static void page_augments(Out *o, const Sheet *s)
{
  const gradrt_field *f = &s->v->net->field[s->field];
  if (f->naugment == 0)
    return;
  page_heading(o, "augmented samples");
  out_printf(o, "<p>");
  for (int i = 0; i < f->naugment; i++)
    out_printf(o, "%s%s", i ? ", " : "", f->augment[i].kind);
  out_printf(o, "; training sees other ones in every epoch</p>\n");
  for (int i = 0; i < s->n; i += PER_CLASS)
    page_changes(o, s, s->row[i]);
}

static void page(Out *o, const Sheet *s, const Axis *axis)
{
  const gradrt_net *net = s->v->net;
  out_printf(o, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
  page_text(o, net->file);
  out_printf(o, ": data</title><style>%s</style></head><body>\n<h1>", page_style);
  page_text(o, s->v->data->name);
  out_printf(o, "</h1>\n<p>");
  for (int k = 0; k < net->nsplit; k++)
    out_printf(o, "%s%s: %" PRId64 " rows", k ? ", " : "", net->split[k].name,
               gradrt_data_set(s->v->rows, k)->n);
  out_printf(o, "</p>\n");
  for (int f = 0; f < net->nfield; f++) {
    page_heading(o, net->field[f].name);
    if (net->field[f].is_label)
      page_classes(o, s, f);
    else
      page_numbers(o, s, f);
  }
  if (s->height) {
    page_images(o, s);
    page_augments(o, s);
  } else if (axis) {
    page_heading(o, "samples of the training split");
    points_svg(o, s, axis);
  }
  out_printf(o, "</body></html>\n");
}

static bool ends_in(const char *path, const char *end)
{
  size_t n = strlen(path), m = strlen(end);
  return n >= m && str_eq(path + n - m, end);
}

int data_write_page(const DataView *v, const char *path)
{
  Sheet s = sheet_of(v);
  Out *o = out_new(v->arena);
  Axis axis[2];
  bool plane = !s.height && find_axes(&s, axis);
  bool html = ends_in(path, ".html"), svg = ends_in(path, ".svg"), png = ends_in(path, ".png");
  if (!html && !svg && !png)
    return gradrt_error(EXIT_USAGE, "--out takes a file .html, .svg or .png, not '%s'",
                        str_escape(v->arena, path, 200));
  if (!html && !s.height && (png || !plane))
    return gradrt_error(EXIT_USAGE, "'%s': no field holds images%s",
                        str_escape(v->arena, path, 200),
                        plane ? "; write .svg or .html" : "; write .html");
  if (html)
    page(o, &s, plane ? axis : NULL);
  else if (png)
    sheet_png(o, &s);
  else if (s.height)
    sheet_svg(o, &s);
  else
    points_svg(o, &s, axis);
  return cmd_write(path, out_text(o), out_length(o));
}
