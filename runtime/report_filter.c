/* The first layer's weights as pictures: the kernels of a convolution, or the rows of a matrix that
 * multiplies an image. Red is positive, blue negative, white zero, with one scale for all. */
#include "run.h"

#include <math.h>

enum { FILTER_SHOWN = 64, FILTER_PLANES = 4, FILTER_SIDE = 56, FILTER_SIDE_MAX = 256 };

/* The weights [count][planes][height][width] of one tensor. */
typedef struct {
  const gradrt_tensor *tensor;
  int64_t count, planes, height, width;
} filter_bank;

/* A matrix whose columns are the pixels of an image field. */
static bool filter_matrix(const gradrt_net *net, const gradrt_tensor *t, filter_bank *b)
{
  int height, width, planes;
  for (int f = 0; t->rank == 2 && f < net->nfield; f++) {
    if (gradrt_field_image(&net->field[f], &height, &width, &planes) &&
        t->dim[1] == (int64_t)height * width * planes) {
      *b = (filter_bank){ t, t->dim[0], planes, height, width };
      return true;
    }
  }
  return false;
}

/* The first tensor of weights decides: there are pictures only when it stands at an image. */
static bool filter_find(const gradrt_net *net, filter_bank *b)
{
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    if (t->role != GRADRT_PARAM || t->rank < 2) {
      continue;
    }
    if (t->rank == 4) {
      *b = (filter_bank){ t, t->dim[0], t->dim[1], t->dim[2], t->dim[3] };
      return b->height > 1 && b->width > 1 && b->height <= FILTER_SIDE_MAX &&
             b->width <= FILTER_SIDE_MAX;
    }
    return filter_matrix(net, t, b);
  }
  return false;
}

/* One plane of a filter; scale: the magnitude that is pure red or blue. */
static void filter_image(gradrt_writer *w, const filter_bank *b, const double *v, double scale,
                         const char *alt)
{
  gradrt_image p;
  if (!gradrt_image_new(&p, (int)b->width, (int)b->height, 3)) {
    return;
  }
  for (int64_t i = 0; i < b->width * b->height; i++) {
    gradrt_color_signed(v[i] / scale, p.pixel + 3 * i);
  }
  int longest = p.width > p.height ? p.width : p.height;
  gradrt_report_image(w, &p, longest < FILTER_SIDE ? FILTER_SIDE / longest : 1, alt);
  gradrt_image_free(&p);
}

static void filter_sheet(gradrt_writer *w, const filter_bank *b, const double *v, const char *when)
{
  int64_t size = b->height * b->width, n = b->count < FILTER_SHOWN ? b->count : FILTER_SHOWN;
  int64_t planes = b->planes < FILTER_PLANES ? b->planes : FILTER_PLANES;
  double scale = 1e-30;
  char alt[96];
  for (int64_t i = 0; i < b->count * b->planes * size; i++) {
    scale = fabs(v[i]) > scale ? fabs(v[i]) : scale;
  }
  gradrt_writer_printf(w, "<h4>%s: white is 0, deep colour %.3g</h4>\n<div class=\"sheet\">\n",
                       when, scale);
  for (int64_t i = 0; i < n; i++) {
    gradrt_writer_printf(w, "<figure class=\"filter\">");
    for (int64_t c = 0; c < planes; c++) {
      snprintf(alt, sizeof alt, "filter %d, input channel %d", (int)i, (int)c);
      filter_image(w, b, v + (i * b->planes + c) * size, scale, alt);
    }
    gradrt_writer_printf(w, "<figcaption>%d</figcaption></figure>\n", (int)i);
  }
  gradrt_writer_printf(w, "</div>\n");
}

void gradrt_report_filters(gradrt_writer *w, const gradrt_net *net, const void *state,
                           const void *before)
{
  filter_bank b;
  if (!filter_find(net, &b)) {
    return;
  }
  double *v = gradrt_alloc((size_t)gradrt_tensor_elems(b.tensor) * sizeof *v);
  if (!v) {
    return;
  }
  gradrt_writer_printf(w, "<h2>First-layer filters</h2>\n<p class=\"soft\"><code>");
  gradrt_report_text(w, b.tensor->name);
  gradrt_writer_printf(w, "</code>: red adds, blue subtracts.%s%s</p>\n",
                       b.count > FILTER_SHOWN ? " The first 64 are shown." : "",
                       b.planes > FILTER_PLANES ? " Four input channels of each are shown." : "");
  gradrt_tensor_load(net, b.tensor, state, v);
  filter_sheet(w, &b, v, before ? "After training" : "Weights");
  if (before) {
    gradrt_tensor_load(net, b.tensor, before, v);
    filter_sheet(w, &b, v, "Before training");
  }
  gradrt_free(v);
}
