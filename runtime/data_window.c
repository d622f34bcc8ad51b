/* Samples that are windows of a sequence: `length` rows of a source that follow one another, and
 * targets that are the rows one later, or the row behind the window.
 *
 * The source's reader reads single rows, as if there were no windows, and may say where documents
 * begin. Without documents a split is a stretch of the source, in the order of the spec, and its
 * windows begin every `stride` rows; what is too short for another window is left out. With
 * documents a split has whole documents, chosen as rows are, and every row of a document is a
 * target: windows that reach over the end, or the beginning, repeat its first row there, and their
 * targets behind the end are -1, which counts nowhere. */
#include "data.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* One field of the windows and where its rows come from. */
typedef struct {
  int field, base;              /* in the net and among the fields that were read */
  bool next;                    /* the rows one later */
  bool last;                    /* only the row behind the window */
  size_t bytes;                 /* of a row of the source */
} window_field;

typedef struct {
  const gradrt_ask *ask;
  gradrt_net net;               /* as the source's reader sees it: single rows */
  gradrt_field read[GRADRT_FIELDS_MAX];
  window_field field[GRADRT_FIELDS_MAX];
  int64_t length, stride;
  int64_t after;                /* rows behind the window that its targets need */
  bool last;                    /* every target is only the row behind the window */
  gradrt_rows rows;             /* what was read */
  uint8_t *part;                /* by document, or NULL: as gradrt_rows.owner */
} window_job;

/* A stretch of rows that windows do not leave. */
typedef struct { int64_t begin, end; uint8_t owner; } window_run;

/* ---- what is read ---- */

static void window_fields(window_job *j)
{
  const gradrt_net *net = j->ask->net;
  int base[GRADRT_FIELDS_MAX] = { 0 };
  j->net = *net;
  j->net.nfield = 0;
  j->last = true;
  for (int i = 0; i < net->nfield; i++) {
    gradrt_field f = net->field[i];
    bool windowed = !f.next_of;
    if (windowed) {
      memmove(f.dim, f.dim + 1, (GRADRT_RANK_MAX - 1) * sizeof f.dim[0]);
      f.rank -= f.rank > 0;
      base[i] = j->net.nfield;
      j->read[j->net.nfield++] = f;
    }
  }
  j->net.field = j->read;
  for (int i = 0; i < net->nfield; i++) {
    const gradrt_field *f = &net->field[i];
    int from = f->next_of ? base[f->next_of - 1] : base[i];
    const gradrt_field *r = &j->read[from];
    j->field[i] = (window_field){
      .field = i, .base = from, .next = f->next_of > 0,
      .last = f->next_of > 0 && f->rank == r->rank,
      .bytes = (size_t)gradrt_field_elems(r) * gradrt_dtype_size(r->dtype)
    };
    j->after = f->next_of && !j->ask->inputs ? 1 : j->after;
    j->last = j->last && (!f->next_of || j->field[i].last);
  }
  j->last = j->last && j->after;
}

/* ---- splits ---- */

static int64_t window_wanted(const gradrt_split *s, int64_t n)
{
  double wanted = s->how == GRADRT_SPLIT_FRACTION ? floor(s->amount * (double)n + 0.5) : s->amount;
  return wanted < 9e15 ? (int64_t)wanted : INT64_MAX;
}

static int window_split_error(const window_job *j, const gradrt_split *s, int64_t wanted,
                              int64_t left)
{
  const char *place = j->ask->source->place;
  return gradrt_error(GRADRT_DATA, "%s: split '%s' needs %" PRId64 " %s, but only %" PRId64
                      " are left", place ? place : j->net.file, s->name, wanted,
                      j->rows.document ? "documents" : "rows", left);
}

static int window_source(const window_job *j)
{
  return (int)(j->ask->source - j->ask->net->source);
}

/* Rows, or documents, that no split with a number of its own takes; -1: reported. */
static int64_t window_rest(const window_job *j, int64_t n)
{
  int64_t left = n;
  for (int k = 0; k < j->net.nsplit; k++) {
    const gradrt_split *s = &j->net.split[k];
    int64_t wanted = window_wanted(s, n);
    if (s->source != window_source(j) || s->how == GRADRT_SPLIT_ALL)
      continue;
    if (wanted < 1 || wanted > left) {
      window_split_error(j, s, wanted, left);
      return -1;
    }
    left -= wanted;
  }
  return left;
}

/* One run a split, in the order of the spec. */
static int window_stretches(const window_job *j, window_run *run, int *n)
{
  int64_t at = 0, rest = window_rest(j, j->rows.n);
  *n = 0;
  if (rest < 0)
    return GRADRT_DATA;
  for (int k = 0; k < j->net.nsplit; k++) {
    const gradrt_split *s = &j->net.split[k];
    if (s->source != window_source(j))
      continue;
    bool all = s->how == GRADRT_SPLIT_ALL;
    int64_t take = all ? rest : window_wanted(s, j->rows.n);
    run[(*n)++] = (window_run){ at, at + take, all ? 0 : (uint8_t)(k + 1) };
    at += take;
  }
  return GRADRT_OK;
}

static int window_deal_documents(window_job *j)
{
  uint64_t n = (uint64_t)j->rows.ndocument, at = 0;
  j->part = gradrt_alloc(n);
  if (!j->part)
    return gradrt_error(GRADRT_LIMIT, "out of memory for the splits of %" PRIu64 " documents", n);
  if (window_rest(j, (int64_t)n) < 0)
    return GRADRT_DATA;
  for (int k = 0; k < j->net.nsplit; k++) {
    const gradrt_split *s = &j->net.split[k];
    if (s->source != window_source(j) || s->how == GRADRT_SPLIT_ALL)
      continue;
    for (uint64_t end = at + (uint64_t)window_wanted(s, (int64_t)n); at < end; at++)
      j->part[gradrt_permute(at, n, 0, GRADRT_PURPOSE_SPLIT, 0)] = (uint8_t)(k + 1);
  }
  return GRADRT_OK;
}

/* ---- windows ---- */

static int64_t window_count(const window_job *j, int64_t rows)
{
  if (j->ask->ending)
    return rows >= j->length;
  if (!j->rows.document)
    return rows < j->length + j->after ? 0 : (rows - j->length - j->after) / j->stride + 1;
  int64_t targets = rows - j->after;
  if (j->last)
    return (targets + j->stride - 1) / j->stride;
  int64_t more = targets - j->length, most = (targets - 1) / j->stride + 1;
  int64_t n = 1 + (more > 0 ? (more + j->stride - 1) / j->stride : 0);
  return n < most ? n : most;   /* each window has a target */
}

/* First row of the window; before the run's first where a document begins inside of it. */
static int64_t window_begin(const window_job *j, const window_run *run, int64_t k)
{
  bool ends_at_target = j->rows.document && j->last;
  if (j->ask->ending)
    return run->end - j->length;
  return run->begin + k * j->stride - (ends_at_target ? j->length - 1 : 0);
}

/* Copies row `from` of the source to row `to`; outside of the run: its first row, or -1. */
static void window_copy(const window_job *j, const window_field *w, const window_run *run,
                        int64_t from, char *to)
{
  const char *rows = j->rows.rows[w->base];
  const gradrt_field *f = &j->read[w->base];
  bool inside = from >= run->begin && from < run->end;
  if (inside || !w->next) {
    memcpy(to, rows + (size_t)(inside ? from : run->begin) * w->bytes, w->bytes);
    return;
  }
  for (int64_t i = 0; i < gradrt_field_elems(f); i++)
    gradrt_dtype_put(f->dtype, to, i, -1);
}

static void window_fill(const window_job *j, const window_field *w, const window_run *run,
                        int64_t first, char *to)
{
  if (w->last) {
    window_copy(j, w, run, first + j->length, to);
    return;
  }
  int64_t from = first + w->next;
  if (from >= run->begin && from + j->length <= run->end) {
    memcpy(to, (const char *)j->rows.rows[w->base] + (size_t)from * w->bytes,
           (size_t)j->length * w->bytes);
    return;
  }
  for (int64_t i = 0; i < j->length; i++)
    window_copy(j, w, run, from + i, to + (size_t)i * w->bytes);
}

static window_run window_run_at(const window_job *j, const window_run *stretch, int64_t i)
{
  if (!j->rows.document)
    return stretch[i];
  return (window_run){ j->rows.document[i], j->rows.document[i + 1], j->part ? j->part[i] : 0 };
}

static int window_none(const window_job *j, const window_run *run)
{
  const gradrt_source *s = j->ask->source;
  char behind[48] = "";
  if (j->after)
    snprintf(behind, sizeof behind, " and the one behind it");
  if (j->ask->inputs)
    return gradrt_error(GRADRT_DATA, "%s: %" PRId64 " rows are too few for a window of %" PRId64,
                        gradrt_prop_text(s, "path", ""), run->end - run->begin, j->length);
  return gradrt_error(GRADRT_DATA,
                      "%s: split '%s' has %" PRId64 " rows, too few for a window of %" PRId64 "%s",
                      s->place ? s->place : j->net.file,
                      run->owner ? j->net.split[run->owner - 1].name : "train",
                      run->end - run->begin, j->length, behind);
}

static int window_make(const window_job *j, const window_run *stretch, int64_t nrun,
                       gradrt_rows *out)
{
  int code = GRADRT_OK;
  int64_t at = 0;
  for (int64_t i = 0; i < nrun; i++) {
    window_run run = window_run_at(j, stretch, i);
    int64_t n = window_count(j, run.end - run.begin);
    if (n == 0)
      return window_none(j, &run);
    out->n += n;
  }
  for (int f = 0; f < j->ask->net->nfield && code == GRADRT_OK; f++)
    code = gradrt_rows_alloc(j->ask, out, f);
  out->owner = gradrt_alloc((size_t)out->n + 1);
  if (code == GRADRT_OK && !out->owner)
    code = gradrt_error(GRADRT_LIMIT, "out of memory for %" PRId64 " windows", out->n);
  for (int64_t i = 0; i < nrun && code == GRADRT_OK; i++) {
    window_run run = window_run_at(j, stretch, i);
    int64_t n = window_count(j, run.end - run.begin);
    for (int64_t k = 0; k < n; k++, at++) {
      out->owner[at] = run.owner;
      for (int f = 0; f < j->ask->net->nfield; f++) {
        const window_field *w = &j->field[f];
        size_t bytes = w->bytes * (size_t)(w->last ? 1 : j->length);
        if (!w->next || !j->ask->inputs)
          window_fill(j, w, &run, window_begin(j, &run, k),
                      (char *)out->rows[f] + (size_t)at * bytes);
      }
    }
  }
  return code;
}

static int window_deal(window_job *j, window_run *stretch, int64_t *nrun)
{
  int n = 1, code = GRADRT_OK;
  if (j->rows.document) {
    *nrun = j->rows.ndocument;
    return j->ask->inputs ? GRADRT_OK : window_deal_documents(j);
  }
  if (j->ask->inputs)
    stretch[0] = (window_run){ 0, j->rows.n, 0 };
  else
    code = window_stretches(j, stretch, &n);
  *nrun = n;
  return code;
}

/* The columns of the rows are those of the windows; out owns them. */
static void window_columns(window_job *j, gradrt_rows *out)
{
  int back[GRADRT_FIELDS_MAX] = { 0 };
  for (int i = 0; i < j->ask->net->nfield; i++)
    if (!j->field[i].next)
      back[j->field[i].base] = i;
  out->column = j->rows.column;
  out->ncolumn = j->rows.ncolumn;
  out->skipped = j->rows.skipped;
  j->rows.column = NULL;
  j->rows.ncolumn = 0;
  for (int i = 0; i < out->ncolumn; i++)
    out->column[i].field = back[out->column[i].field];
}

int gradrt_read_windows(const gradrt_ask *a, gradrt_reader read, gradrt_rows *out)
{
  window_job *j = gradrt_alloc(sizeof *j);
  window_run *stretch = gradrt_alloc(((size_t)a->net->nsplit + 1) * sizeof *stretch);
  int64_t nrun = 0;
  int code = GRADRT_OK;
  if (!j || !stretch) {
    code = gradrt_error(GRADRT_LIMIT, "out of memory");
  } else {
    j->ask = a;
    j->length = a->net->window;
    j->stride = a->net->stride;
    window_fields(j);
    gradrt_ask single = *a;
    single.net = &j->net;
    code = read(&single, &j->rows);
#ifndef GRADRT_WITHOUT_IMAGES
    if (code == GRADRT_OK && j->rows.store)
      code = gradrt_store_unpack(&single, &j->rows);
#endif
    code = code == GRADRT_OK ? window_deal(j, stretch, &nrun) : code;
    code = code == GRADRT_OK ? window_make(j, stretch, nrun, out) : code;
    window_columns(j, out);
    gradrt_rows_free(&j->rows);
    gradrt_free(j->part);
  }
  gradrt_free(stretch);
  gradrt_free(j);
  return code;
}

/* ---- streams ---- */

void gradrt_order_streams(uint32_t *row, int64_t n, int64_t streams)
{
  uint32_t first = n ? row[0] : 0;
  int64_t each = n / streams, longer = n % streams;
  for (int64_t at = 0; at < n; at++) {
    int64_t step = at / streams, stream = at % streams;
    row[at] = first + (uint32_t)(stream * each + (stream < longer ? stream : longer) + step);
  }
}
