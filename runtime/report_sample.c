/* Samples in the report: rows as images, and the mistakes that the net is most certain about. */
#include "run.h"
#include "data.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { SAMPLE_SHOWN = 24, SAMPLE_SIDE = 72, SAMPLE_SIDE_MAX = 512, SAMPLE_VALUES = 8 };

bool gradrt_field_image(const gradrt_field *f, int *height, int *width, int *planes)
{
  bool deep = f->rank == 3 && (f->dim[0] == 1 || f->dim[0] == 3);
  if (f->is_label || (f->rank != 2 && !deep)) {
    return false;
  }
  const int64_t *side = f->dim + (deep ? 1 : 0);
  if (side[0] < 2 || side[1] < 2 || side[0] > SAMPLE_SIDE_MAX || side[1] > SAMPLE_SIDE_MAX) {
    return false;
  }
  *height = (int)side[0];
  *width = (int)side[1];
  *planes = deep ? (int)f->dim[0] : 1;
  return true;
}

/* Black and white of a row: all of a byte's range, else what the row spans. */
static void sample_range(const gradrt_field *f, const void *rows, int64_t first, int64_t n,
                         double *low, double *high)
{
  *low = INFINITY;
  *high = -INFINITY;
  for (int64_t i = 0; i < n; i++) {
    double v = gradrt_dtype_get(f->dtype, rows, first + i);
    *low = v < *low ? v : *low;
    *high = v > *high ? v : *high;
  }
  if (f->dtype == GRADRT_U8 && *high > 1) {
    *low = 0;
    *high = 255;
  }
  *high = *high > *low ? *high : *low + 1;
}

bool gradrt_sample_image(const gradrt_field *f, const void *rows, int64_t row, gradrt_image *out)
{
  int height, width, planes;
  if (!gradrt_field_image(f, &height, &width, &planes) ||
      !gradrt_image_new(out, width, height, planes)) {
    return false;
  }
  int64_t pixels = (int64_t)width * height, first = row * pixels * planes;
  double low, high;
  sample_range(f, rows, first, pixels * planes, &low, &high);
  for (int c = 0; c < planes; c++) {
    for (int64_t i = 0; i < pixels; i++) {
      double v = 255 * (gradrt_dtype_get(f->dtype, rows, first + c * pixels + i) - low) /
                 (high - low);
      out->pixel[i * planes + c] = (unsigned char)(v > 0 ? v < 255 ? v + 0.5 : 255 : 0);
    }
  }
  return true;
}

/* The field that is shown: the first that holds images, else the first that is no label. */
static int sample_field(const gradrt_net *net, bool *image)
{
  int first = -1, height, width, planes;
  *image = false;
  for (int f = 0; f < net->nfield; f++) {
    if (gradrt_field_image(&net->field[f], &height, &width, &planes)) {
      *image = true;
      return f;
    }
    first = first < 0 && !net->field[f].is_label ? f : first;
  }
  return first;
}

static void sample_share(gradrt_writer *w, double share)
{
  if (!isnan(share)) {
    gradrt_writer_printf(w, share >= 0.99995 ? "100 %%" : "%.4g %%", 100 * share);
  }
}

static void sample_class(gradrt_writer *w, const gradrt_guesser *g, int cls)
{
  char name[GRADRT_NAME_MAX];
  gradrt_report_text(w, gradrt_class_name(g->s->net, NULL, g->classes, cls, name, sizeof name));
}

static void sample_figure(gradrt_writer *w, const gradrt_guesser *g, int field,
                          const gradrt_set *set, const gradrt_guess *one)
{
  const gradrt_net *net = g->s->net;
  const void *row = gradrt_set_row(net, set, field, one->row);
  gradrt_image image;
  char alt[64];
  if (!row || !gradrt_sample_image(&net->field[field], row, 0, &image)) {
    return;
  }
  int longest = image.width > image.height ? image.width : image.height;
  snprintf(alt, sizeof alt, "row %" PRIu32, one->row);
  gradrt_writer_printf(w, "<figure>");
  gradrt_report_image(w, &image, longest < SAMPLE_SIDE ? SAMPLE_SIDE / longest : 1, alt);
  gradrt_writer_printf(w, "<figcaption>row %" PRIu32 "<br><b>", one->row);
  sample_class(w, g, one->guess);
  gradrt_writer_printf(w, "</b> ");
  sample_share(w, one->share);
  gradrt_writer_printf(w, "<br>true: <b>");
  sample_class(w, g, one->truth);
  gradrt_writer_printf(w, "</b></figcaption></figure>\n");
  gradrt_image_free(&image);
}

static void sample_table(gradrt_writer *w, const gradrt_guesser *g, int field,
                         const gradrt_set *set, const gradrt_guess *worst, int n)
{
  const gradrt_field *f = &g->s->net->field[field];
  int64_t elems = gradrt_field_elems(f);
  gradrt_writer_printf(w, "<div class=\"scroll\"><table class=\"small\"><thead><tr><th>row</th>"
                          "<th>predicted</th><th class=\"n\">probability</th><th>true</th><th>");
  gradrt_report_text(w, f->name);
  gradrt_writer_printf(w, "</th></tr></thead><tbody>\n");
  for (int i = 0; i < n; i++) {
    gradrt_writer_printf(w, "<tr><td>%" PRIu32 "</td><td>", worst[i].row);
    sample_class(w, g, worst[i].guess);
    gradrt_writer_printf(w, "</td><td class=\"n\">");
    sample_share(w, worst[i].share);
    gradrt_writer_printf(w, "</td><td>");
    sample_class(w, g, worst[i].truth);
    gradrt_writer_printf(w, "</td><td>");
    const void *row = gradrt_set_row(g->s->net, set, field, worst[i].row);
    for (int64_t k = 0; row && k < elems && k < SAMPLE_VALUES; k++) {
      gradrt_writer_printf(w, "%s%.5g", k ? ", " : "", gradrt_dtype_get(f->dtype, row, k));
    }
    gradrt_writer_printf(w, "%s</td></tr>\n", elems > SAMPLE_VALUES ? ", .." : "");
  }
  gradrt_writer_printf(w, "</tbody></table></div>\n");
}

void gradrt_report_mistakes(gradrt_writer *w, gradrt_session *s, const gradrt_score *score)
{
  gradrt_guesser g;
  gradrt_guess worst[SAMPLE_SHOWN];
  const gradrt_set *set = gradrt_data_set(s->data, score->split);
  char count[2][32];
  bool image;
  int field = sample_field(s->net, &image);
  int64_t mistakes;
  if (!set || field < 0 || !gradrt_guesser_init(&g, s, score->metric, score->nmetric)) {
    return;
  }
  int n = gradrt_worst_guesses(&g, set, worst, SAMPLE_SHOWN, &mistakes);
  gradrt_writer_printf(w, "<h3>Most confident mistakes</h3>\n<p class=\"soft\">");
  if (n == 0) {
    gradrt_writer_printf(w, "There are none.</p>\n");
    return;
  }
  gradrt_writer_printf(w, "%d of %s mistakes on %s samples; most certain first.</p>\n", n,
                       gradrt_text_count(count[0], sizeof count[0], mistakes),
                       gradrt_text_count(count[1], sizeof count[1], set->n));
  if (!image) {
    sample_table(w, &g, field, set, worst, n);
    return;
  }
  gradrt_writer_printf(w, "<div class=\"sheet\">\n");
  for (int i = 0; i < n; i++) {
    sample_figure(w, &g, field, set, &worst[i]);
  }
  gradrt_writer_printf(w, "</div>\n");
}
