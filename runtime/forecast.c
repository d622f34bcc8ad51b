/* A series that goes on with what a net predicts of it (`predict --ahead`): the prediction of the
 * row behind a window becomes the window's last row, and the first one leaves it.
 *
 * The net says which of its outputs predicts the rows one later of which field; the output is in
 * the units of the field's rows. Where it has a row for each place of the window, the last one is
 * the row behind it. */
#include "data.h"
#include "run.h"

#include <inttypes.h>
#include <string.h>

static const gradrt_field *forecast_field(const gradrt_net *net)
{
  return &net->field[net->next_field - 1];
}

int64_t gradrt_forecast_elems(const gradrt_net *net)
{
  return gradrt_field_elems(forecast_field(net)) / net->window;
}

static int forecast_refuse(const gradrt_net *net, const char *what, const char *fix)
{
  int code = gradrt_error(GRADRT_USAGE, "%s cannot go on with a series: %s", net->name, what);
  gradrt_note("%s", fix);
  return code;
}

/* Everything that infer may read has to go on. */
static int forecast_alone(const gradrt_net *net)
{
  char what[2 * GRADRT_NAME_MAX], plain[GRADRT_NAME_MAX];
  for (int i = 0; i < net->nfield; i++) {
    const gradrt_field *f = &net->field[i];
    if (f->next_of || f->is_label || i == net->next_field - 1)
      continue;
    snprintf(what, sizeof what,
             "the field '%s' would have to go on as well, and nothing predicts it",
             gradrt_text_plain(plain, sizeof plain, f->name));
    return forecast_refuse(net, what, "one field can hold several columns, all of which are "
                                      "predicted: field x: f32[16,2] from \"a, b\"");
  }
  return GRADRT_OK;
}

int gradrt_forecast_verify(const gradrt_net *net)
{
  for (int i = 0; i < net->nfield; i++)
    if (net->field[i].token)
      return forecast_refuse(net, "it reads tokens", "`generate` goes on with a text");
  if (!net->next_field)
    return forecast_refuse(net, "no output of infer is a prediction of its next row",
                           "the target has to be `field y: .. = next(x);`, and infer has to give "
                           "what the loss compares with it");
  gradrt_dtype stored = forecast_field(net)->dtype;
  if (stored != GRADRT_F32 && stored != GRADRT_F64)
    return forecast_refuse(net, "its rows are whole numbers, and predictions are not",
                           "let the field hold f32");
  if (net->passes > 0)
    return forecast_refuse(net, "the spread of passes with dropout is not fed back",
                           "leave --mc out");
  return forecast_alone(net);
}

int gradrt_forecast_feed(const gradrt_net *net, void *rows, int64_t sample, const double *value,
                         int64_t step)
{
  const gradrt_field *f = forecast_field(net);
  int64_t elems = gradrt_forecast_elems(net), kept = (net->window - 1) * elems;
  size_t size = gradrt_dtype_size(f->dtype);
  char *window = (char *)rows + (size_t)(sample * net->window * elems) * size;
  char plain[GRADRT_NAME_MAX];
  memmove(window, window + (size_t)elems * size, (size_t)kept * size);
  for (int64_t i = 0; i < elems; i++) {
    if (gradrt_is_finite(value[i]) && gradrt_dtype_put(f->dtype, window, kept + i, value[i]))
      continue;
    int code = gradrt_error(GRADRT_NONFINITE, "row %" PRId64 " ahead: the prediction is not finite",
                            step);
    gradrt_note("what is fed back to the field '%s' leaves what the net has learned; train it "
                "longer, or look less far ahead",
                gradrt_text_plain(plain, sizeof plain, f->name));
    return code;
  }
  return GRADRT_OK;
}
