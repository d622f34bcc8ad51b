/* The history of a run: one row per epoch in metrics.csv and metrics.jsonl, wall time apart in
 * time.csv, so that the first two are byte for byte the same however often a run was killed and
 * resumed. Values in memory are those that the text reads back as; the report sees no others. */
#include "run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HISTORY_COUNTERS_MAX = 64, HISTORY_LINE_MAX = 8192 };

int gradrt_monitor_split(const gradrt_net *net)
{
  const gradrt_train *t = net->training;
  if (!t || !net->eval.fn) {
    return -1;
  }
  if (t->best_split >= 0) {
    return t->best_split;
  }
  int valid = gradrt_split_find(net, "valid");
  return valid >= 0 ? valid : gradrt_split_find(net, "test");
}

/* Metrics that are one number and whose counters fit a checkpoint: those get columns. */
static int history_metrics(gradrt_history *h)
{
  const gradrt_train *t = h->net->training;
  int counters = 0;
  h->metric = gradrt_alloc(((size_t)(t ? t->nmetric : 0) + 1) * sizeof *h->metric);
  if (!h->metric) {
    return gradrt_error(GRADRT_LIMIT, "out of memory for the table of epochs");
  }
  for (int i = 0; t && i < t->nmetric && h->nmetric < GRADRT_COLUMNS_MAX / 2 - 8; i++) {
    if (gradrt_metric_is_table(&t->metric[i]) || strcmp(t->metric[i].kind, "loss") == 0) {
      continue;
    }
    gradrt_meter *m = gradrt_meter_new(h->net, &t->metric[i], 1, &h->net->train);
    double none;
    int need = m ? gradrt_meter_save(m, &none, 0) : 0;
    gradrt_meter_free(m);
    if (need > 0 && counters + need <= HISTORY_COUNTERS_MAX) {
      counters += need;
      h->metric[h->nmetric++] = t->metric[i];
    }
  }
  return GRADRT_OK;
}

static void history_add(gradrt_history *h, const char *prefix, const char *name,
                        const gradrt_metric *of)
{
  char *to = h->column[h->ncolumn];
  snprintf(to, GRADRT_NAME_MAX, "%.60s%s%.60s", prefix, *prefix ? "_" : "", name);
  for (char *p = to; *p; p++) {         /* a plain CSV word, whatever the spec calls its metric */
    bool word = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                *p == '_';
    *p = word ? *p : '_';
  }
  h->of[h->ncolumn++] = of;
}

int gradrt_history_open(gradrt_history *h, const gradrt_net *net, int monitor)
{
  *h = (gradrt_history){ .net = net };
  h->column = gradrt_alloc(GRADRT_COLUMNS_MAX * sizeof *h->column);
  h->of = gradrt_alloc(GRADRT_COLUMNS_MAX * sizeof *h->of);
  int code = h->column && h->of
                 ? history_metrics(h)
                 : gradrt_error(GRADRT_LIMIT, "out of memory for the table of epochs");
  if (code != GRADRT_OK) {
    return code;
  }
  history_add(h, "", "epoch", NULL);
  history_add(h, "", "step", NULL);
  history_add(h, "", "lr", NULL);
  for (int split = 0; split < (monitor >= 0 ? 2 : 1); split++) {
    const char *prefix = split == 0 ? "train" : net->split[monitor].name;
    history_add(h, prefix, "loss", NULL);
    for (int i = 0; i < h->nmetric; i++) {
      const gradrt_metric *metric = &h->metric[i];
      history_add(h, prefix, metric->name ? metric->name : metric->kind, metric);
    }
  }
  history_add(h, "", "best", NULL);
  return GRADRT_OK;
}

/* ---- rows in memory ---- */

static int history_push(gradrt_history *h, const double *row)
{
  size_t width = (size_t)h->ncolumn;
  if (h->nrow == h->cap) {
    size_t cap = h->cap ? (size_t)h->cap * 2 : 64, bytes;
    double *more = gradrt_mul_size(cap, width * sizeof *more, &bytes) ? gradrt_alloc(bytes) : NULL;
    if (!more) {
      return gradrt_error(GRADRT_LIMIT, "out of memory for the table of epochs");
    }
    if (h->nrow) {
      memcpy(more, h->value, (size_t)h->nrow * width * sizeof *more);
    }
    gradrt_free(h->value);
    h->value = more;
    h->cap = (int64_t)cap;
  }
  memcpy(h->value + (size_t)h->nrow++ * width, row, width * sizeof *row);
  return GRADRT_OK;
}

int gradrt_history_column(const gradrt_history *h, const char *name)
{
  for (int i = 0; i < h->ncolumn; i++) {
    if (strcmp(h->column[i], name) == 0) {
      return i;
    }
  }
  return -1;
}

double gradrt_history_at(const gradrt_history *h, int64_t row, int column)
{
  bool inside = row >= 0 && row < h->nrow && column >= 0 && column < h->ncolumn;
  return inside ? h->value[row * h->ncolumn + column] : NAN;
}

double gradrt_history_last(const gradrt_history *h, const char *name)
{
  return gradrt_history_at(h, h->nrow - 1, gradrt_history_column(h, name));
}

int64_t gradrt_history_best(const gradrt_history *h)
{
  int column = gradrt_history_column(h, "best");
  for (int64_t r = h->nrow - 1; r >= 0; r--) {
    if (gradrt_history_at(h, r, column) > 0) {
      return r;
    }
  }
  return -1;
}

/* ---- text of rows ---- */

static void history_header(const gradrt_history *h, char *line, size_t size)
{
  size_t at = 0;
  for (int c = 0; c < h->ncolumn && at < size; c++) {
    at += (size_t)snprintf(line + at, size - at, "%s%s", c ? "," : "", h->column[c]);
  }
}

static void history_csv(const gradrt_history *h, const double *row, char *line, size_t size)
{
  size_t at = 0;
  for (int c = 0; c < h->ncolumn && at < size; c++) {
    const char *comma = c ? "," : "";
    at += (size_t)(isnan(row[c]) ? snprintf(line + at, size - at, "%snan", comma)
                                 : snprintf(line + at, size - at, "%s%.9g", comma, row[c]));
  }
}

static void history_json(const gradrt_history *h, const double *row, char *line, size_t size)
{
  size_t at = (size_t)snprintf(line, size, "{\"v\":1,\"event\":\"epoch\"");
  for (int c = 0; c < h->ncolumn && at < size; c++) {
    const char *name = h->column[c];
    if (strcmp(name, "best") == 0) {
      at += (size_t)snprintf(line + at, size - at, ",\"best\":%s", row[c] > 0 ? "true" : "false");
    } else if (gradrt_is_finite(row[c])) {
      at += (size_t)snprintf(line + at, size - at, ",\"%s\":%.9g", name, row[c]);
    } else {
      const char *text = isnan(row[c]) ? "nan" : row[c] > 0 ? "inf" : "-inf";
      at += (size_t)snprintf(line + at, size - at, ",\"%s\":\"%s\"", name, text);
    }
  }
  if (at < size) {
    snprintf(line + at, size - at, "}");
  }
}

/* Reads as many numbers as there are columns; false: another kind of line. */
static bool history_parse(const gradrt_history *h, const char *line, double *row)
{
  for (int c = 0; c < h->ncolumn; c++) {
    char *end;
    row[c] = strtod(line, &end);
    bool last = c + 1 == h->ncolumn;
    if (end == line || (last ? *end != '\n' && *end != 0 : *end != ',')) {
      return false;
    }
    line = end + 1;
  }
  return true;
}

int gradrt_history_load(gradrt_history *h, const char *dir, int64_t epochs)
{
  char path[GRADRT_PATH_MAX], line[HISTORY_LINE_MAX], header[HISTORY_LINE_MAX];
  double row[GRADRT_COLUMNS_MAX];
  int code = gradrt_path_join(path, dir, "metrics.csv");
  FILE *f = code == GRADRT_OK ? fopen(path, "r") : NULL;
  if (!f) {
    return code;
  }
  history_header(h, header, sizeof header);
  bool ours = fgets(line, sizeof line, f) != NULL;
  line[ours ? strcspn(line, "\r\n") : 0] = 0;
  ours = ours && strcmp(line, header) == 0;
  while (ours && code == GRADRT_OK && fgets(line, sizeof line, f)) {
    if (!strchr(line, '\n') || !history_parse(h, line, row) || row[0] > (double)epochs) {
      break;
    }
    code = history_push(h, row);
  }
  fclose(f);
  return code;
}

/* Takes the words of a header as columns; false: they are not those of a run. */
static bool history_columns(gradrt_history *h, char *line)
{
  line[strcspn(line, "\r\n")] = 0;
  for (char *word = strtok(line, ","); word; word = strtok(NULL, ",")) {
    if (h->ncolumn == GRADRT_COLUMNS_MAX) {
      return false;
    }
    history_add(h, "", word, NULL);
  }
  return gradrt_history_column(h, "epoch") == 0 && gradrt_history_column(h, "train_loss") > 0;
}

int gradrt_history_read(gradrt_history *h, const char *dir)
{
  char path[GRADRT_PATH_MAX], plain[GRADRT_NAME_MAX], line[HISTORY_LINE_MAX];
  double row[GRADRT_COLUMNS_MAX];
  *h = (gradrt_history){ 0 };
  gradrt_text_plain(plain, sizeof plain, dir);
  int code = gradrt_path_join(path, dir, "metrics.csv");
  FILE *f = code == GRADRT_OK ? fopen(path, "r") : NULL;
  if (!f) {
    return code != GRADRT_OK ? code : gradrt_error(GRADRT_DATA, "there is no run in %s: it holds "
                                                   "no metrics.csv", plain);
  }
  h->column = gradrt_alloc(GRADRT_COLUMNS_MAX * sizeof *h->column);
  h->of = gradrt_alloc(GRADRT_COLUMNS_MAX * sizeof *h->of);
  bool ours = h->column && h->of && fgets(line, sizeof line, f) && history_columns(h, line);
  while (ours && code == GRADRT_OK && fgets(line, sizeof line, f) && history_parse(h, line, row)) {
    code = history_push(h, row);
  }
  fclose(f);
  return code == GRADRT_OK && h->nrow == 0
             ? gradrt_error(GRADRT_DATA, "metrics.csv in %s holds no epochs of a run", plain)
             : code;
}

bool gradrt_history_stalled(const gradrt_net *net, const char *dir)
{
  const gradrt_train *t = net->training;
  gradrt_history h;
  double patience = INFINITY;
  for (int i = 0; t && i < t->nstop; i++) {
    if (t->stop[i].how == GRADRT_STOP_STALLED && t->stop[i].patience < patience) {
      patience = t->stop[i].patience;
    }
  }
  bool stalled = false;
  if (isfinite(patience) && gradrt_history_open(&h, net, gradrt_monitor_split(net)) == GRADRT_OK) {
    gradrt_history_load(&h, dir, INT64_MAX);
    int64_t best = gradrt_history_best(&h);
    stalled = best >= 0 && (double)(h.nrow - 1 - best) >= patience;
    gradrt_history_close(&h);
  }
  return stalled;
}

/* ---- files ---- */

static int history_failed(const gradrt_history *h, const char *name)
{
  return gradrt_error(GRADRT_IO, "cannot write %s%s: %s", h->dir, name, strerror(errno));
}

typedef void history_writer(const gradrt_history *h, const double *row, char *line, size_t size);

/* Replaces a file by its header and the rows in memory, then opens it for appending. */
static int history_start(gradrt_history *h, const char *name, const char *header,
                         history_writer *write, FILE **out)
{
  char path[GRADRT_PATH_MAX], line[HISTORY_LINE_MAX];
  int code = gradrt_path_join(path, h->dir, name);
  gradrt_writer *w = code == GRADRT_OK ? gradrt_writer_open(path) : NULL;
  if (!w) {
    return code == GRADRT_OK ? GRADRT_IO : code;
  }
  if (header) {
    gradrt_writer_printf(w, "%s\n", header);
  }
  for (int64_t r = 0; r < h->nrow; r++) {
    write(h, h->value + r * h->ncolumn, line, sizeof line);
    gradrt_writer_printf(w, "%s\n", line);
  }
  code = gradrt_writer_commit(w);       /* reports what the writes before it met */
  if (code != GRADRT_OK) {
    return code;
  }
  *out = fopen(path, "a");
  return *out ? GRADRT_OK : history_failed(h, name);
}

/* Keeps the lines of an earlier time.csv whose epoch is among the rows. */
static int history_times(gradrt_history *h, const char *from)
{
  char path[GRADRT_PATH_MAX], line[256];
  int code = gradrt_path_join(path, from ? from : h->dir, "time.csv");
  FILE *old = code == GRADRT_OK && from ? fopen(path, "r") : NULL;
  if (code == GRADRT_OK) {
    code = gradrt_path_join(path, h->dir, "time.csv");
  }
  gradrt_writer *w = code == GRADRT_OK ? gradrt_writer_open(path) : NULL;
  if (w) {
    gradrt_writer_printf(w, "epoch,seconds,samples_per_second\n");
  }
  while (w && old && fgets(line, sizeof line, old)) {
    double epoch = strtod(line, NULL);
    if (epoch >= 1 && epoch <= (double)h->nrow && strchr(line, '\n')) {
      gradrt_writer_put(w, line, strlen(line));
    }
  }
  if (old) {
    fclose(old);
  }
  code = w ? gradrt_writer_commit(w) : code == GRADRT_OK ? GRADRT_IO : code;
  h->time = code == GRADRT_OK ? fopen(path, "a") : NULL;
  return code != GRADRT_OK ? code : h->time ? GRADRT_OK : history_failed(h, "time.csv");
}

int gradrt_history_create(gradrt_history *h, const char *dir, const char *times_from)
{
  char header[HISTORY_LINE_MAX];
  int code = gradrt_path_join(h->dir, dir, "");
  history_header(h, header, sizeof header);
  if (code == GRADRT_OK) {
    code = history_start(h, "metrics.csv", header, history_csv, &h->csv);
  }
  if (code == GRADRT_OK) {
    code = history_start(h, "metrics.jsonl", NULL, history_json, &h->jsonl);
  }
  return code == GRADRT_OK ? history_times(h, times_from) : code;
}

static bool history_line(FILE *f, const char *line)
{
  return fprintf(f, "%s\n", line) > 0 && fflush(f) == 0;
}

int gradrt_history_sync(gradrt_history *h)
{
  if (h->csv && fsync(fileno(h->csv)) != 0) {
    return history_failed(h, "metrics.csv");
  }
  return h->jsonl && fsync(fileno(h->jsonl)) != 0 ? history_failed(h, "metrics.jsonl") : GRADRT_OK;
}

int gradrt_history_append(gradrt_history *h, const double *row, double seconds, double samples)
{
  char line[HISTORY_LINE_MAX];
  double read_back[GRADRT_COLUMNS_MAX];
  history_csv(h, row, line, sizeof line);
  if (!history_parse(h, line, read_back)) {
    return gradrt_error(GRADRT_INTERNAL, "a row of metrics.csv does not read back");
  }
  if (h->csv && !history_line(h->csv, line)) {
    return history_failed(h, "metrics.csv");
  }
  history_json(h, row, line, sizeof line);
  if (h->jsonl && !history_line(h->jsonl, line)) {
    return history_failed(h, "metrics.jsonl");
  }
  if (h->time) {
    snprintf(line, sizeof line, "%.0f,%.3f,%.1f", row[0], seconds,
             seconds > 0 ? samples / seconds : 0);
    if (!history_line(h->time, line)) {
      return history_failed(h, "time.csv");
    }
  }
  return history_push(h, read_back);
}

void gradrt_history_close(gradrt_history *h)
{
  FILE *file[] = { h->csv, h->jsonl, h->time };
  for (int i = 0; i < 3; i++) {
    if (file[i]) {
      fclose(file[i]);
    }
  }
  gradrt_free(h->column);
  gradrt_free(h->of);
  gradrt_free(h->metric);
  gradrt_free(h->value);
  *h = (gradrt_history){ 0 };
}
