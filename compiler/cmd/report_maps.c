/* Inside a net: the values of every layer for one sample, and augmented samples. */
#include "augment.h"
#include "cmd/report.h"
#include "data.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAPS_MAX = 32, MAP_SIDE = 56, MAP_SIDE_MAX = 512, STRIP = 64, STRIP_MAX = 4096, EPOCHS = 7 };

/* ---- pictures ---- */

static void value_range(const double *v, int64_t n, double *low, double *high)
{
  *low = INFINITY;
  *high = -INFINITY;
  for (int64_t i = 0; i < n; i++) {
    *low = v[i] < *low ? v[i] : *low;
    *high = v[i] > *high ? v[i] : *high;
  }
}

/* width x height values as one image; the range is the layer's. */
static void put_map(gradrt_writer *w, const double *v, int width, int height, const double range[2],
                    const char *alt)
{
  gradrt_image image;
  if (!gradrt_image_new(&image, width, height, 3))
    return;
  double span = range[1] > range[0] ? range[1] - range[0] : 1;
  for (int64_t i = 0; i < (int64_t)width * height; i++)
    gradrt_color_viridis((v[i] - range[0]) / span, image.pixel + 3 * i);
  int longest = width > height ? width : height;
  gradrt_report_image(w, &image, longest < MAP_SIDE ? MAP_SIDE / longest : 1, alt);
  gradrt_image_free(&image);
}

/* [c, h, w]: an image a channel; [h, w]: one; anything else: a strip of STRIP columns. */
static void put_maps(gradrt_writer *w, const InnerValue *t)
{
  const Type *type = &t->type;
  bool planes = type->rank >= 2 && type->rank <= 3 && type->dim[type->rank - 1] <= MAP_SIDE_MAX &&
                type->dim[type->rank - 2] <= MAP_SIDE_MAX &&
                type->dim[type->rank - 1] * type->dim[type->rank - 2] > 1;
  double range[2];
  char alt[160];
  value_range(t->v, type_elems(&t->type), &range[0], &range[1]);
  gradrt_writer_printf(w, "<div class=\"sheet maps\">");
  if (planes) {
    int height = (int)type->dim[type->rank - 2], width = (int)type->dim[type->rank - 1];
    int64_t n = type->rank == 3 ? type->dim[0] : 1;
    for (int64_t i = 0; i < n && i < MAPS_MAX; i++) {
      snprintf(alt, sizeof alt, "%.100s, channel %d", t->name, (int)i);
      put_map(w, t->v + i * height * width, width, height, range, alt);
    }
    if (n > MAPS_MAX)
      gradrt_writer_printf(w, "<span class=\"soft\">and %" PRId64 " more</span>", n - MAPS_MAX);
  } else {
    int64_t n = type_elems(type) < STRIP_MAX ? type_elems(type) : STRIP_MAX;
    for (int64_t first = 0; first < n; first += STRIP) {
      snprintf(alt, sizeof alt, "%.100s, values from %d", t->name, (int)first);
      int width = (int)(n - first < STRIP ? n - first : STRIP);
      gradrt_image image;
      if (!gradrt_image_new(&image, width, 1, 3))
        continue;
      for (int i = 0; i < width; i++)
        gradrt_color_viridis((t->v[first + i] - range[0]) /
                                 (range[1] > range[0] ? range[1] - range[0] : 1),
                             image.pixel + 3 * i);
      gradrt_report_image(w, &image, 12, alt);
      gradrt_image_free(&image);
    }
  }
  gradrt_writer_printf(w, "</div>\n");
}

static void put_layer(ReportPage *p, const InnerValue *t)
{
  double low, high;
  value_range(t->v, type_elems(&t->type), &low, &high);
  gradrt_writer_printf(p->w, "<h4>");
  gradrt_report_text(p->w, t->name);
  gradrt_writer_printf(p->w, " <span class=\"soft\">%s, from %.4g to %.4g</span></h4>\n",
                       type_user(p->c->arena, &t->type), low, high);
  put_maps(p->w, t);
}

static void put_inputs(ReportPage *p, const gradrt_set *set, uint32_t row)
{
  for (int f = 0; f < p->net->nfield; f++) {
    const void *sample = gradrt_set_row(p->net, set, f, row);
    gradrt_image image;
    if (!sample || !gradrt_sample_image(&p->net->field[f], sample, 0, &image))
      continue;
    int longest = image.width > image.height ? image.width : image.height;
    gradrt_report_image(p->w, &image, longest < 112 ? 112 / longest : 1, p->net->field[f].name);
    gradrt_image_free(&image);
  }
}

int report_maps(ReportPage *p)
{
  const gradrt_set *set = gradrt_data_set(p->s.data, p->score[0].split);
  if (!set || p->sample >= set->n)
    return EXIT_OK;
  uint32_t row = set->row[p->sample];
  InnerValue *value;
  int n, code = report_inner(p, set, row, &value, &n);
  if (code || n == 0)
    return code;
  gradrt_writer_printf(p->w, "<h2>Inside the network</h2>\n<p class=\"soft\">What every layer "
                             "makes of row %" PRIu32 " of ", row);
  gradrt_report_text(p->w, p->net->split[p->score[0].split].name);
  gradrt_writer_printf(p->w, ": dark is the layer's least value, yellow its largest.</p>\n");
  put_inputs(p, set, row);
  for (int i = 0; i < n; i++)
    put_layer(p, &value[i]);
  return EXIT_OK;
}

/* ---- augmented samples ---- */

static void put_sample(ReportPage *p, const gradrt_field *f, const void *sample,
                       const char *caption)
{
  gradrt_image image;
  if (!gradrt_sample_image(f, sample, 0, &image))
    return;
  int longest = image.width > image.height ? image.width : image.height;
  gradrt_writer_printf(p->w, "<figure>");
  gradrt_report_image(p->w, &image, longest < 72 ? 72 / longest : 1, caption);
  gradrt_writer_printf(p->w, "<figcaption>%s</figcaption></figure>\n", caption);
  gradrt_image_free(&image);
}

static void put_changes(ReportPage *p, int field, const gradrt_set *set, uint32_t row)
{
  const gradrt_field *f = &p->net->field[field];
  size_t bytes = (size_t)gradrt_field_elems(f) * gradrt_dtype_size(f->dtype);
  float *scratch = ARENA_ARRAY(p->c->arena, float, gradrt_augment_scratch(f));
  char *changed = arena_alloc(p->c->arena, bytes);
  const void *sample = gradrt_set_row(p->net, set, field, row);
  if (!sample)
    return;
  gradrt_writer_printf(p->w, "<div class=\"sheet\">\n");
  put_sample(p, f, sample, "as it is");
  for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
    gradrt_draw draw = { p->s.seed, epoch, row };
    gradrt_augment_sample(f, &draw, sample, changed, scratch);
    put_sample(p, f, changed, arena_printf(p->c->arena, "epoch %" PRIu32, epoch + 1));
  }
  gradrt_writer_printf(p->w, "</div>\n");
}

void report_augments(ReportPage *p)
{
  const gradrt_set *set =
      p->net->training ? gradrt_data_set(p->s.data, p->net->training->train_split) : NULL;
  int height, width, planes;
  for (int f = 0; set && f < p->net->nfield; f++) {
    const gradrt_field *field = &p->net->field[f];
    if (!field->naugment || !gradrt_field_image(field, &height, &width, &planes))
      continue;
    gradrt_writer_printf(p->w, "<h2>Augmented samples</h2>\n<p class=\"soft\">");
    for (int i = 0; i < field->naugment; i++)
      gradrt_writer_printf(p->w, "%s%s", i ? ", " : "", field->augment[i].kind);
    gradrt_writer_printf(p->w, ": other ones in every epoch.</p>\n");
    for (int64_t i = 0; i < 4 && i < set->n; i++)
      put_changes(p, f, set, set->row[i]);
  }
}
