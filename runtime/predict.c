/* The command `predict`: rows of the given files through the infer function, one line per row
 * with the likeliest classes or the plain outputs, as text, JSON lines or a CSV file; or one row
 * whose output is a picture as that picture. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { PREDICT_SHOWN_MAX = 16 };

/* What is being written, row by row. */
typedef struct {
  gradrt_session *s;
  gradrt_writer *csv;           /* NULL: no --out */
  int output;                   /* the output that holds one score per class; -1: none */
  int64_t classes;
  int top;
  int shown;                    /* the output that is written as a picture; -1: none */
  int64_t ahead;                /* rows to go on with; 0: the samples of the files are predicted */
  int64_t rows;                 /* predicted so far */
  double *value[GRADRT_OUTPUTS_MAX];    /* one row of each output */
  /* Passes with dropout: mean of a batch of rows, sum of squared distances from it; and the
   * standard deviations of one row. */
  double *mean[GRADRT_OUTPUTS_MAX], *squares[GRADRT_OUTPUTS_MAX], *spread[GRADRT_OUTPUTS_MAX];
} predict_job;

static double predict_at(const gradrt_net *net, const void *rows, int64_t i)
{
  return net->real == GRADRT_F64 ? ((const double *)rows)[i] : (double)((const float *)rows)[i];
}

/* Numbers of an output that are shown for a row: a series goes on with one row of one output. */
static int64_t predict_elems(const predict_job *j, int o)
{
#ifndef GRADRT_WITHOUT_FORECAST
  if (j->ahead)
    return o == j->s->net->next_output - 1 ? gradrt_forecast_elems(j->s->net) : 0;
#endif
  return gradrt_output_elems(&j->s->net->infer.output[o]);
}

/* The first output with as many elements as a label field has classes; one logit stands for two. */
static void predict_find_classes(predict_job *j)
{
  const gradrt_net *net = j->s->net;
  j->output = -1;
  for (int o = 0; o < net->infer.noutput && j->output < 0 && !j->ahead; o++) {
    int64_t elems = gradrt_output_elems(&net->infer.output[o]);
    for (int f = 0; f < net->nfield && j->output < 0; f++) {
      if (net->field[f].is_label && net->field[f].classes == elems && elems > 1 &&
          net->infer.output[o].batched) {
        j->output = o;
        j->classes = elems;
      }
    }
  }
}

/* Classes of the row by falling score; ties lowest class first. Returns how many (at most max). */
static int predict_rank(const predict_job *j, const double *score, int *order, int max)
{
  int n = 0;
  for (int c = 0; c < (int)j->classes; c++) {
    if (n == max && !(score[c] > score[order[n - 1]])) {
      continue;
    }
    int at = n < max ? n++ : n - 1;
    while (at > 0 && score[c] > score[order[at - 1]]) {
      order[at] = order[at - 1];
      at--;
    }
    order[at] = c;
  }
  return n;
}

/* True when the row is a distribution: then scores are printed in percent. */
static bool predict_sums_to_one(const double *score, int64_t n)
{
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    if (!(score[i] >= 0)) {
      return false;
    }
    sum += score[i];
  }
  return fabs(sum - 1) < 1e-3;
}

static const char *predict_class(const predict_job *j, int cls, char *buf, size_t size)
{
  return gradrt_class_name(j->s->net, NULL, j->classes, cls, buf, size);
}

static void predict_text_classes(const predict_job *j, const double *score)
{
  int order[1000];
  char name[GRADRT_NAME_MAX], text[40];
  int n = predict_rank(j, score, order, j->top);
  bool share = predict_sums_to_one(score, j->classes);
  for (int i = 0; i < n; i++) {
    printf("%s%s %s", i ? "   " : "", predict_class(j, order[i], name, sizeof name),
           gradrt_text_value(text, sizeof text, score[order[i]], share));
    if (j->s->net->passes > 0) {
      double spread = j->spread[j->output][order[i]];
      printf(" +- %s", gradrt_text_value(text, sizeof text, spread, share));
    }
  }
}

static void predict_text_values(const predict_job *j, int o, const double *value, int64_t elems)
{
  char name[GRADRT_NAME_MAX];
  printf("%s", gradrt_text_plain(name, sizeof name, j->s->net->infer.output[o].name));
  for (int64_t i = 0; i < elems && i < PREDICT_SHOWN_MAX; i++) {
    printf(" %.6g", value[i]);
    if (j->s->net->passes > 0) {
      printf(" +- %.3g", j->spread[o][i]);
    }
  }
  if (elems > PREDICT_SHOWN_MAX) {
    printf(" .. (%" PRId64 " values; --json or --out gives all)", elems);
  }
}

static void predict_text(const predict_job *j, const char *path, int64_t row, double *const *value)
{
  char plain[GRADRT_PATH_MAX];
  const gradrt_function *fn = &j->s->net->infer;
  printf("%s[%s%" PRId64 "]  ", gradrt_text_plain(plain, sizeof plain, path), j->ahead ? "+" : "",
         row);
  const char *gap = "";
  if (j->output >= 0) {
    predict_text_classes(j, value[j->output]);
    gap = "   ";
  }
  for (int o = 0; o < fn->noutput; o++) {
    if (o != j->output && predict_elems(j, o) > 0) {
      printf("%s", gap);
      predict_text_values(j, o, value[o], predict_elems(j, o));
      gap = "   ";
    }
  }
  putchar('\n');
}

static void predict_json_rows(const predict_job *j, double *const *value)
{
  const gradrt_function *fn = &j->s->net->infer;
  const char *comma = "";
  for (int o = 0; o < fn->noutput; o++) {
    int64_t elems = predict_elems(j, o);
    if (elems == 0 && j->ahead) {
      continue;
    }
    fputs(comma, stdout);
    comma = ",";
    gradrt_json_string(stdout, fn->output[o].name);
    for (int64_t i = 0; i < elems; i++) {
      fputs(i ? "," : ":[", stdout);
      gradrt_json_number(stdout, value[o][i]);
    }
    fputc(']', stdout);
  }
}

static void predict_json(const predict_job *j, const char *path, int64_t row, double *const *value)
{
  char name[GRADRT_NAME_MAX];
  fputs("{\"v\":1,\"event\":\"prediction\",\"input\":", stdout);
  gradrt_json_string(stdout, path);
  printf(",\"%s\":%" PRId64, j->ahead ? "ahead" : "row", row);
  if (j->output >= 0) {
    int best;
    predict_rank(j, value[j->output], &best, 1);
    printf(",\"class\":%d,\"name\":", best);
    gradrt_json_string(stdout, predict_class(j, best, name, sizeof name));
  }
  fputs(",\"outputs\":{", stdout);
  predict_json_rows(j, value);
  if (j->s->net->passes > 0) {
    printf("},\"passes\":%d,\"spread\":{", j->s->net->passes);
    predict_json_rows(j, j->spread);
  }
  fputs("}}\n", stdout);
}

/* A CSV cell: quoted, quotes doubled, and no leading character that a spreadsheet would run. A
 * failed write is remembered by the writer and reported when it commits. */
static void predict_csv_cell(gradrt_writer *w, const char *s)
{
  char plain[GRADRT_PATH_MAX];
  gradrt_text_plain(plain, sizeof plain, s);
  gradrt_writer_put(w, "\"'", *plain && strchr("=+-@", *plain) ? 2 : 1);
  for (const char *p = plain; *p; p++) {
    gradrt_writer_put(w, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
  }
  gradrt_writer_put(w, "\"", 1);
}

static void predict_csv_header(const predict_job *j)
{
  const gradrt_function *fn = &j->s->net->infer;
  gradrt_writer_printf(j->csv, "input,%s%s", j->ahead ? "ahead" : "row",
                       j->output >= 0 ? ",class,name" : "");
  for (int o = 0; o < fn->noutput; o++) {
    int64_t elems = predict_elems(j, o);
    for (int64_t i = 0; i < elems; i++) {
      gradrt_writer_printf(j->csv, ",%s_%" PRId64, fn->output[o].name, i);
    }
    for (int64_t i = 0; j->s->net->passes > 0 && i < elems; i++) {
      gradrt_writer_printf(j->csv, ",%s_%" PRId64 "_spread", fn->output[o].name, i);
    }
  }
  gradrt_writer_put(j->csv, "\n", 1);
}

static void predict_csv(const predict_job *j, const char *path, int64_t row, double *const *value)
{
  const gradrt_function *fn = &j->s->net->infer;
  char name[GRADRT_NAME_MAX];
  predict_csv_cell(j->csv, path);
  gradrt_writer_printf(j->csv, ",%" PRId64, row);
  if (j->output >= 0) {
    int best;
    predict_rank(j, value[j->output], &best, 1);
    gradrt_writer_printf(j->csv, ",%d,", best);
    predict_csv_cell(j->csv, predict_class(j, best, name, sizeof name));
  }
  for (int o = 0; o < fn->noutput; o++) {
    int64_t elems = predict_elems(j, o);
    for (int64_t i = 0; i < elems; i++) {
      gradrt_writer_printf(j->csv, ",%.9g", value[o][i]);
    }
    for (int64_t i = 0; j->s->net->passes > 0 && i < elems; i++) {
      gradrt_writer_printf(j->csv, ",%.9g", j->spread[o][i]);
    }
  }
  gradrt_writer_put(j->csv, "\n", 1);
}

static void predict_row(const predict_job *j, const char *path, int64_t row, double *const *value)
{
  const gradrt_options *o = j->s->options;
  if (j->shown >= 0) {
    return;
  }
  if (o->json) {
    predict_json(j, path, row, value);
  } else if (!o->silent && !(j->csv && o->quiet)) {
    predict_text(j, path, row, value);
  }
  if (j->csv) {
    predict_csv(j, path, row, value);
  }
}

/* Adds a pass to the means and squares of a batch (Welford). */
static void predict_add_pass(predict_job *j, const gradrt_step *step, int pass)
{
  const gradrt_net *net = j->s->net;
  for (int o = 0; o < net->infer.noutput; o++) {
    int64_t rows = net->infer.output[o].batched ? step->n : 1;
    int64_t n = rows * gradrt_output_elems(&net->infer.output[o]);
    for (int64_t i = 0; i < n; i++) {
      double v = predict_at(net, step->out[o], i), before = v - j->mean[o][i];
      j->mean[o][i] += before / (pass + 1);
      j->squares[o][i] += before * (v - j->mean[o][i]);
    }
  }
}

/* All passes of a batch: dropout is drawn by seed, pass and row. */
static void predict_passes(predict_job *j, gradrt_step *step)
{
  const gradrt_net *net = j->s->net;
  for (int o = 0; o < net->infer.noutput; o++) {
    size_t n = (size_t)net->batch * (size_t)gradrt_output_elems(&net->infer.output[o]);
    memset(j->mean[o], 0, n * sizeof *j->mean[o]);
    memset(j->squares[o], 0, n * sizeof *j->squares[o]);
  }
  step->args[GRADRT_ARG_SEED_LO] = (double)(j->s->seed & 0xFFFFFFFFu);
  step->args[GRADRT_ARG_SEED_HI] = (double)(j->s->seed >> 32);
  for (int pass = 0; pass < net->passes; pass++) {
    step->args[GRADRT_ARG_EPOCH] = pass;
    gradrt_session_run(j->s, GRADRT_FN_INFER, step);
    predict_add_pass(j, step, pass);
  }
}

/* Row i of a batch, widened to double for the printers. */
static void predict_take(predict_job *j, const gradrt_step *step, int64_t i)
{
  const gradrt_net *net = j->s->net;
  for (int o = 0; o < net->infer.noutput; o++) {
    int64_t elems = gradrt_output_elems(&net->infer.output[o]);
    int64_t at = net->infer.output[o].batched ? i * elems : 0;
    for (int64_t k = 0; k < elems; k++) {
      j->value[o][k] =
          net->passes > 0 ? j->mean[o][at + k] : predict_at(net, step->out[o], at + k);
      if (net->passes > 0) {
        j->spread[o][k] = sqrt(j->squares[o][at + k] / net->passes);
      }
    }
  }
}

static void predict_batch(predict_job *j, const char *path, int64_t first, gradrt_step *step)
{
  for (int64_t i = 0; i < step->n; i++) {
    j->s->ids[i] = (uint32_t)(first + i);
  }
  if (j->s->net->passes > 0) {
    predict_passes(j, step);
  } else {
    gradrt_session_run(j->s, GRADRT_FN_INFER, step);
  }
  for (int64_t i = 0; i < step->n; i++) {
    predict_take(j, step, i);
    predict_row(j, path, first + i, j->value);
    j->rows++;
  }
}

#ifndef GRADRT_WITHOUT_FORECAST
/* Goes on with the last window of a file: rows 1, 2, .. behind it. */
static int predict_ahead(predict_job *j, const char *path, void *const *rows, int64_t last,
                         gradrt_step *step)
{
  const gradrt_net *net = j->s->net;
  int o = net->next_output - 1, code = GRADRT_OK;
  int64_t elems = gradrt_forecast_elems(net);
  int64_t given = gradrt_output_elems(&net->infer.output[o]);
  step->n = 1;
  for (int64_t row = 1; row <= j->ahead && code == GRADRT_OK; row++) {
    j->s->ids[0] = (uint32_t)last;
    gradrt_session_run(j->s, GRADRT_FN_INFER, step);
    predict_take(j, step, 0);
    memmove(j->value[o], j->value[o] + given - elems, (size_t)elems * sizeof *j->value[o]);
    code = gradrt_forecast_feed(net, rows[net->next_field - 1], last, j->value[o], row);
    if (code == GRADRT_OK) {
      predict_row(j, path, row, j->value);
      j->rows++;
    }
  }
  return code;
}
#endif

static int predict_file(void *ctx, const char *path)
{
  predict_job *j = ctx;
  const gradrt_net *net = j->s->net;
  void *rows[GRADRT_FIELDS_MAX] = { 0 };
  int64_t n;
  gradrt_data_options o = { .dir = j->s->options->data, .root = j->s->options->data_root,
                            .ending = j->ahead > 0 };
  int code = gradrt_data_read_inputs(net, &o, path, &n, rows);
  if (code != GRADRT_OK) {
    return code;
  }
  gradrt_step step;
  const void *shown[GRADRT_FIELDS_MAX];
  for (int f = 0; f < GRADRT_FIELDS_MAX; f++) {
    shown[f] = rows[f];
  }
  gradrt_session_bind(j->s, GRADRT_FN_INFER, shown, &step);
#ifndef GRADRT_WITHOUT_FORECAST
  if (j->ahead) {
    code = predict_ahead(j, path, rows, n - 1, &step);
  }
#endif
  for (int64_t first = 0; first < n && !j->ahead; first += net->batch) {
    step.n = n - first < net->batch ? n - first : net->batch;
    predict_batch(j, path, first, &step);
  }
  for (int f = 0; f < GRADRT_FIELDS_MAX; f++) {
    gradrt_free(rows[f]);
  }
  return code;
}

static int predict_input(predict_job *j, const char *path)
{
#ifndef GRADRT_WITHOUT_IMAGES
  if (gradrt_path_is_dir(path)) {
    return gradrt_predict_folder(path, predict_file, j);
  }
#endif
  return predict_file(j, path);
}

/* Numbers of one output: a row, and with dropout its spread and two of a batch. */
static bool predict_room(predict_job *j, int o)
{
  const gradrt_net *net = j->s->net;
  size_t row = (size_t)gradrt_output_elems(&net->infer.output[o]), rows = (size_t)net->batch;
  j->value[o] = gradrt_alloc(row * sizeof(double));
  if (net->passes > 0) {
    j->spread[o] = gradrt_alloc(row * sizeof(double));
    j->mean[o] = gradrt_alloc(rows * row * sizeof(double));
    j->squares[o] = gradrt_alloc(rows * row * sizeof(double));
  }
  return j->value[o] && (net->passes == 0 || (j->spread[o] && j->mean[o] && j->squares[o]));
}

static int predict_files(predict_job *j)
{
  const gradrt_net *net = j->s->net;
  const gradrt_options *o = j->s->options;
  int code = GRADRT_OK;
  for (int k = 0; k < net->infer.noutput && code == GRADRT_OK; k++) {
    code = predict_room(j, k) ? GRADRT_OK
                              : gradrt_error(GRADRT_LIMIT, "out of memory for the predictions");
  }
  if (code == GRADRT_OK && j->csv) {
    predict_csv_header(j);
  }
  for (int i = 0; i < o->ninput && code == GRADRT_OK; i++) {
    code = predict_input(j, o->input[i]);
  }
  if (o->image && code == GRADRT_OK) {
    code = predict_input(j, o->image);
  }
  return code;
}

/* Which output --out FILE.png asks for. */
static int predict_find_picture(predict_job *j)
{
  const gradrt_options *o = j->s->options;
  j->shown = -1;
#ifndef GRADRT_WITHOUT_IMAGES
  if (!gradrt_predict_wants_picture(o->out)) {
    return GRADRT_OK;
  }
  j->shown = gradrt_predict_picture_output(j->s->net);
  if (j->shown >= 0) {
    return GRADRT_OK;
  }
  int code = gradrt_error(GRADRT_USAGE, "%s: no output of %s is a picture", o->out,
                          j->s->net->name);
  gradrt_note("a picture is [height, width], [1, height, width] or [3, height, width]; 0 is black, "
              "255 white");
  return code;
#else
  (void)o;
  return GRADRT_OK;
#endif
}

/* After the last row. */
static int predict_write_picture(const predict_job *j)
{
#ifndef GRADRT_WITHOUT_IMAGES
  const gradrt_options *o = j->s->options;
  if (j->rows != 1) {
    return gradrt_error(GRADRT_USAGE, "%s would hold one picture, but there are %" PRId64 " inputs",
                        o->out, j->rows);
  }
  int code = gradrt_predict_write_picture(&j->s->net->infer.output[j->shown], j->value[j->shown],
                                          o->out);
  if (code == GRADRT_OK && !o->json && !o->quiet && !o->silent) {
    fprintf(stderr, "wrote %s\n", o->out);
  }
  return code;
#else
  return j->shown >= 0 ? GRADRT_INTERNAL : GRADRT_OK;
#endif
}

static int predict_run(gradrt_session *s)
{
  const gradrt_options *o = s->options;
  char path[GRADRT_PATH_MAX], plain[GRADRT_PATH_MAX];
  int code = gradrt_session_weights(s, path);
  if (code == GRADRT_OK && o->untrained && s->net->nfit > 0 && s->net->training) {
    code = gradrt_session_load(s, &s->net->training->train_split, 1, true);
  }
  if (code != GRADRT_OK) {
    return code;
  }
  if (!o->json && !o->quiet && !o->silent) {
    fprintf(stderr, "weights: %s\n", gradrt_text_plain(plain, sizeof plain, path));
  }
  predict_job j = { .s = s, .top = isnan(o->top) ? 3 : (int)o->top,
                    .ahead = isnan(o->ahead) ? 0 : (int64_t)o->ahead };
  predict_find_classes(&j);
  code = predict_find_picture(&j);
  if (code != GRADRT_OK) {
    return code;
  }
  if (o->out && j.shown < 0) {
    j.csv = gradrt_writer_open(o->out);
    if (!j.csv) {
      return GRADRT_IO;
    }
  }
  code = predict_files(&j);
  if (code == GRADRT_OK && j.shown >= 0) {
    code = predict_write_picture(&j);
  }
  for (int k = 0; k < s->net->infer.noutput; k++) {
    gradrt_free(j.value[k]);
    gradrt_free(j.spread[k]);
    gradrt_free(j.mean[k]);
    gradrt_free(j.squares[k]);
  }
  fflush(stdout);
  if (!j.csv) {
    return code;
  }
  if (code != GRADRT_OK) {
    gradrt_writer_abort(j.csv);
    return code;
  }
  return gradrt_writer_commit(j.csv);
}

/* Whether the net can do what --ahead asks for, if it is there. */
static int predict_verify_ahead(const gradrt_net *net, const gradrt_options *o)
{
  if (isnan(o->ahead)) {
    return GRADRT_OK;
  }
#ifndef GRADRT_WITHOUT_FORECAST
  if (net->window > 0) {
    return gradrt_forecast_verify(net);
  }
#endif
  int code = gradrt_error(GRADRT_USAGE,
                          "%s cannot go on with a series: its samples are no windows", net->name);
  gradrt_note("windows of a series are read by `window: 16;` in the data block");
  return code;
}

int gradrt_predict_main(const gradrt_net *net, const gradrt_options *o)
{
  if (!net->infer.fn) {
    return gradrt_error(GRADRT_USAGE, "%s was built without an infer function", net->name);
  }
  int code = predict_verify_ahead(net, o);
  if (code != GRADRT_OK) {
    return code;
  }
  if (o->ninput == 0 && !o->image) {
    code = gradrt_error(GRADRT_USAGE, "predict needs a file with inputs");
    char predict[GRADRT_PATH_MAX + 64];
    gradrt_note("for example: %s %s", gradrt_options_call(o, "predict", predict, sizeof predict),
                gradrt_options_inputs(net));
    return code;
  }
  gradrt_session s;
  code = gradrt_session_open(&s, net, o);
  code = code == GRADRT_OK ? predict_run(&s) : code;
  gradrt_session_close(&s);
  return code;
}
