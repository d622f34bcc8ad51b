/* Metrics of one split, gathered batch by batch in double, in row order: the same bits for any
 * number of threads.
 *
 * Class metrics read a prediction row as one score per class (the class axis first or last when
 * a sample has several positions) and a target row as class indices, or as scores of the same
 * shape (one-hot), whose largest is the class. One score per position is a logit: class 1 when
 * it is above 0, and the target is class 1 when it is above 0 (labels 0/1 or -1/+1). Ties go to
 * the lowest class. */
#include "run.h"

#include <math.h>
#include <string.h>

enum { METRIC_COLUMNS_MAX = 1 << 24, METRIC_CLASSES_MAX = 4096 };

typedef enum {
  METRIC_ACCURACY,
  METRIC_TOPK,
  METRIC_MULTILABEL,
  METRIC_CONFUSION,
  METRIC_PRF,
  METRIC_MSE,
  METRIC_MAE,
  METRIC_R2,
  METRIC_LOSS,
  METRIC_PERPLEXITY,
  METRIC_BITS,
  METRIC_UNKNOWN
} metric_kind;

static const char *const metric_kind_name[METRIC_UNKNOWN] = {
  "accuracy", "topk", "multilabel", "confusion", "prf", "mse", "mae", "r2", "loss",
  "perplexity", "bits_per_char"
};

/* How the classes of one sample lie in its prediction row. */
typedef struct {
  int64_t places, width;        /* positions per sample, scores per position */
  int64_t place_stride, class_stride;
  bool same_shape;              /* the target holds scores too */
} metric_axes;

typedef struct {
  metric_kind kind;
  const gradrt_metric *metric;
  int64_t outputs, targets;     /* elements per sample */
  metric_axes axes;
  int ncounter;
  double *counter;              /* what gradrt_meter_save keeps; NULL for the tables */
  int64_t *table;               /* confusion: true x predicted */
  gradrt_label_count *label;    /* multilabel: of each output; not kept by gradrt_meter_save */
  int classes;
} metric_entry;

struct gradrt_meter {
  const gradrt_net *net;
  const gradrt_function *fn;
  const gradrt_metric *metric;
  int nentry;
  metric_entry *entry;
};

/* Metrics of the loss alone. */
static bool metric_of_loss(metric_kind k)
{
  return k == METRIC_LOSS || k == METRIC_PERPLEXITY || k == METRIC_BITS;
}

static metric_kind metric_kind_of(const char *text)
{
  int k = 0;
  while (k < METRIC_UNKNOWN && strcmp(text, metric_kind_name[k]) != 0) {
    k++;
  }
  return (metric_kind)k;
}

int64_t gradrt_output_elems(const gradrt_output *o)
{
  int64_t n = 1;
  for (int i = 0; i < o->rank; i++) {
    n *= o->dim[i];
  }
  return n;
}

static double metric_at(const gradrt_meter *m, const void *rows, int64_t i)
{
  return m->net->real == GRADRT_F64 ? ((const double *)rows)[i] : (double)((const float *)rows)[i];
}

static bool metric_dims_equal(const int64_t *a, const int64_t *b, int n)
{
  for (int i = 0; i < n; i++) {
    if (a[i] != b[i]) {
      return false;
    }
  }
  return true;
}

static metric_axes metric_axes_of(const gradrt_output *out, const gradrt_output *target,
                                  metric_kind kind)
{
  int64_t p = gradrt_output_elems(out), t = gradrt_output_elems(target);
  if (kind == METRIC_MULTILABEL || p == 1) {
    return (metric_axes){
      .places = p, .width = 1, .place_stride = 1, .class_stride = 1, .same_shape = true
    };
  }
  if (p == t) {
    int64_t width = out->dim[out->rank - 1];
    return (metric_axes){ .places = p / width,
                          .width = width,
                          .place_stride = width,
                          .class_stride = 1,
                          .same_shape = true };
  }
  int64_t width = p / t;
  bool class_first = out->rank == target->rank + 1 && out->rank > 1 &&
                     !metric_dims_equal(out->dim, target->dim, target->rank) &&
                     metric_dims_equal(out->dim + 1, target->dim, target->rank);
  return (metric_axes){ .places = t, .width = width, .place_stride = class_first ? 1 : width,
                        .class_stride = class_first ? t : 1, .same_shape = false };
}

/* Shapes that the formulas below can read; the compiler refuses others, a hand-written net may
 * not. */
static bool metric_fits(const metric_entry *e)
{
  if (e->outputs < 1 || e->targets < 1 || metric_of_loss(e->kind)) {
    return metric_of_loss(e->kind);
  }
  if (e->kind == METRIC_MSE || e->kind == METRIC_MAE || e->kind == METRIC_R2 ||
      e->kind == METRIC_MULTILABEL) {
    return e->outputs == e->targets && e->outputs <= METRIC_COLUMNS_MAX;
  }
  return e->outputs % e->targets == 0;
}

static int metric_counters(const metric_entry *e)
{
  switch (e->kind) {
  case METRIC_ACCURACY: case METRIC_TOPK: case METRIC_MULTILABEL:       /* right, seen */
  case METRIC_MSE: case METRIC_MAE: case METRIC_LOSS:                   /* sum, seen */
  case METRIC_PERPLEXITY: case METRIC_BITS:
    return 2;
  case METRIC_R2: /* seen, then mean, squared deviations and squared errors of each column */
    return 1 + 3 * (int)e->outputs;
  case METRIC_CONFUSION: case METRIC_PRF: case METRIC_UNKNOWN:
    return 0;
  }
  return 0;
}

static bool metric_is_table(metric_kind k)
{
  return k == METRIC_CONFUSION || k == METRIC_PRF;
}

static bool metric_entry_init(const gradrt_meter *m, metric_entry *e, const gradrt_metric *metric)
{
  const gradrt_function *fn = m->fn;
  e->metric = metric;
  e->kind = metric_kind_of(metric->kind);
  e->outputs = e->targets = 1;
  bool operands = metric->output >= 0 && metric->output < fn->noutput && metric->target >= 0 &&
                  metric->target < fn->noutput;
  if (!operands && !metric_of_loss(e->kind)) {
    e->kind = METRIC_UNKNOWN;
  }
  if (operands) {
    e->outputs = gradrt_output_elems(&fn->output[metric->output]);
    e->targets = gradrt_output_elems(&fn->output[metric->target]);
    if (metric_fits(e)) {
      e->axes = metric_axes_of(&fn->output[metric->output], &fn->output[metric->target], e->kind);
    } else {
      e->kind = METRIC_UNKNOWN;
    }
  }
  e->ncounter = metric_counters(e);
  if (e->ncounter > 0) {
    bool labels = e->kind == METRIC_MULTILABEL;
    e->counter = gradrt_alloc((size_t)e->ncounter * sizeof *e->counter);
    e->label = labels ? gradrt_alloc((size_t)e->outputs * sizeof *e->label) : NULL;
    return e->counter != NULL && (!labels || e->label);
  }
  if (!metric_is_table(e->kind)) {
    return true;
  }
  if (e->axes.width > METRIC_CLASSES_MAX) {
    e->kind = METRIC_UNKNOWN;
    return true;
  }
  e->classes = e->axes.width == 1 ? 2 : (int)e->axes.width;
  e->table = gradrt_alloc((size_t)e->classes * (size_t)e->classes * sizeof *e->table);
  return e->table != NULL;
}

gradrt_meter *gradrt_meter_new(const gradrt_net *net, const gradrt_metric *metric, int nmetric,
                               const gradrt_function *fn)
{
  gradrt_meter *m = gradrt_alloc(sizeof *m);
  if (!m) {
    return NULL;
  }
  *m = (gradrt_meter){ .net = net, .fn = fn, .metric = metric, .nentry = nmetric };
  m->entry = gradrt_alloc(((size_t)nmetric + 1) * sizeof *m->entry);
  bool ok = m->entry != NULL;
  for (int i = 0; ok && i < nmetric; i++) {
    ok = metric_entry_init(m, &m->entry[i], &metric[i]);
  }
  if (!ok) {
    gradrt_meter_free(m);
    return NULL;
  }
  return m;
}

void gradrt_meter_free(gradrt_meter *m)
{
  if (!m) {
    return;
  }
  for (int i = 0; m->entry && i < m->nentry; i++) {
    gradrt_free(m->entry[i].counter);
    gradrt_free(m->entry[i].table);
    gradrt_free(m->entry[i].label);
  }
  gradrt_free(m->entry);
  gradrt_free(m);
}

void gradrt_meter_reset(gradrt_meter *m)
{
  for (int i = 0; i < m->nentry; i++) {
    metric_entry *e = &m->entry[i];
    if (e->counter) {
      memset(e->counter, 0, (size_t)e->ncounter * sizeof *e->counter);
    }
    if (e->label) {
      memset(e->label, 0, (size_t)e->outputs * sizeof *e->label);
    }
    if (e->table) {
      memset(e->table, 0, (size_t)e->classes * (size_t)e->classes * sizeof *e->table);
    }
  }
}

/* ---- one batch ---- */

static int64_t metric_argmax(const gradrt_meter *m, const void *rows, int64_t at,
                             const metric_axes *a)
{
  if (a->width == 1) {
    return metric_at(m, rows, at) > 0 ? 1 : 0;
  }
  int64_t best = 0;
  double top = metric_at(m, rows, at);
  for (int64_t c = 1; c < a->width; c++) {
    double v = metric_at(m, rows, at + c * a->class_stride);
    if (v > top) {
      top = v;
      best = c;
    }
  }
  return best;
}

/* A position whose target is -1, as behind the end of a text, counts nowhere. */
static bool metric_counts(const gradrt_meter *m, const metric_entry *e, const void *targets,
                          int64_t row, int64_t place)
{
  return e->axes.same_shape || metric_at(m, targets, row * e->targets + place) != -1;
}

/* Class in a target row at a position, or -1 for a value that is no class (never counted as
 * right). */
static int64_t metric_truth(const gradrt_meter *m, const metric_entry *e, const void *targets,
                            int64_t row, int64_t place)
{
  const metric_axes *a = &e->axes;
  if (a->same_shape) {
    return metric_argmax(m, targets, row * e->targets + place * a->place_stride, a);
  }
  double v = metric_at(m, targets, row * e->targets + place);
  return v >= 0 && v < (double)a->width ? (int64_t)v : -1;
}

static bool metric_in_top(const gradrt_meter *m, const metric_entry *e, const void *outs,
                          int64_t at, int64_t truth)
{
  const metric_axes *a = &e->axes;
  double mine = metric_at(m, outs, at + truth * a->class_stride);
  int64_t above = 0;
  for (int64_t c = 0; c < a->width; c++) {
    double v = metric_at(m, outs, at + c * a->class_stride);
    if (v > mine || (v == mine && c < truth)) {
      above++;
    }
  }
  return above < e->metric->k && !isnan(mine);
}

static void metric_add_classes(const gradrt_meter *m, metric_entry *e, void *const *out, int64_t n)
{
  const void *outs = out[e->metric->output], *targets = out[e->metric->target];
  for (int64_t r = 0; r < n; r++) {
    for (int64_t p = 0; p < e->axes.places; p++) {
      int64_t at = r * e->outputs + p * e->axes.place_stride;
      int64_t truth = metric_truth(m, e, targets, r, p);
      if (!metric_counts(m, e, targets, r, p)) {
        continue;
      }
      if (metric_is_table(e->kind)) {
        int64_t guess = metric_argmax(m, outs, at, &e->axes);
        if (truth >= 0 && truth < e->classes && guess < e->classes) {
          e->table[truth * e->classes + guess]++;
        }
        continue;
      }
      bool top = e->kind == METRIC_TOPK && e->axes.width > 1;
      int64_t guess = top ? -1 : metric_argmax(m, outs, at, &e->axes);
      bool right = truth >= 0 && (top ? metric_in_top(m, e, outs, at, truth) : guess == truth);
      if (e->label) {
        e->label[p].right += right;
        e->label[p].present += truth == 1;
        e->label[p].guessed += guess == 1;
        e->label[p].found += truth == 1 && guess == 1;
      }
      e->counter[0] += right;
      e->counter[1] += 1;
    }
  }
}

static void metric_add_errors(const gradrt_meter *m, metric_entry *e, void *const *out, int64_t n)
{
  const void *outs = out[e->metric->output], *targets = out[e->metric->target];
  int64_t elems = e->outputs < e->targets ? e->outputs : e->targets;
  for (int64_t i = 0; i < n * elems; i++) {
    double d = metric_at(m, outs, i) - metric_at(m, targets, i);
    e->counter[0] += e->kind == METRIC_MSE ? d * d : fabs(d);
    e->counter[1] += 1;
  }
}

/* Welford's running mean and squared deviations of each target column, and its squared errors. */
static void metric_add_r2(const gradrt_meter *m, metric_entry *e, void *const *out, int64_t n)
{
  const void *outs = out[e->metric->output], *targets = out[e->metric->target];
  int64_t columns = (e->ncounter - 1) / 3;
  for (int64_t r = 0; r < n; r++) {
    e->counter[0] += 1;
    for (int64_t c = 0; c < columns; c++) {
      double *mean = &e->counter[1 + 3 * c], *deviation = mean + 1, *error = mean + 2;
      double t = metric_at(m, targets, r * e->targets + c % e->targets);
      double y = metric_at(m, outs, r * e->outputs + c);
      double before = t - *mean;
      *mean += before / e->counter[0];
      *deviation += before * (t - *mean);
      *error += (t - y) * (t - y);
    }
  }
}

static void metric_add_loss(const gradrt_meter *m, metric_entry *e, void *const *out, int64_t n,
                            double losses)
{
  if (m->fn->output[0].batched) {
    for (int64_t i = 0; i < n; i++) {
      e->counter[0] += metric_at(m, out[0], i);
    }
  } else {
    bool sum = m->net->training && m->net->training->loss_sum;
    e->counter[0] += metric_at(m, out[0], 0) * (sum ? 1 : (double)n);
  }
  e->counter[1] += losses;
}

void gradrt_meter_add(gradrt_meter *m, void *const *out, int64_t n, double losses)
{
  for (int i = 0; i < m->nentry; i++) {
    metric_entry *e = &m->entry[i];
    switch (e->kind) {
    case METRIC_ACCURACY:
    case METRIC_TOPK:
    case METRIC_MULTILABEL:
    case METRIC_CONFUSION:
    case METRIC_PRF:
      metric_add_classes(m, e, out, n);
      break;
    case METRIC_MSE: case METRIC_MAE:
      metric_add_errors(m, e, out, n);
      break;
    case METRIC_R2:
      metric_add_r2(m, e, out, n);
      break;
    case METRIC_LOSS: case METRIC_PERPLEXITY: case METRIC_BITS:
      metric_add_loss(m, e, out, n, losses);
      break;
    case METRIC_UNKNOWN:
      break;
    }
  }
}

/* ---- results ---- */

/* 1 - squared errors / squared deviations, averaged over the columns; scikit-learn's convention
 * for a constant column: 1 when it is met exactly, else 0. */
static double metric_r2_value(const metric_entry *e)
{
  int columns = (e->ncounter - 1) / 3;
  double sum = 0;
  for (int c = 0; c < columns; c++) {
    const double *column = &e->counter[1 + 3 * c];
    double deviation = column[1], error = column[2];
    sum += deviation > 0 ? 1 - error / deviation : error > 0 ? 0 : 1;
  }
  return columns > 0 && e->counter[0] >= 2 ? sum / columns : NAN;
}

double gradrt_meter_value(const gradrt_meter *m, int metric)
{
  const metric_entry *e = &m->entry[metric];
  switch (e->kind) {
  case METRIC_LOSS:
    if (m->net->training && m->net->training->loss_sum) {
      return e->counter[0];
    }
    return e->counter[1] > 0 ? e->counter[0] / e->counter[1] : NAN;
  case METRIC_PERPLEXITY:
    return e->counter[1] > 0 ? exp(e->counter[0] / e->counter[1]) : NAN;
  case METRIC_BITS:
    return e->counter[1] > 0 ? e->counter[0] / e->counter[1] / log(2) : NAN;
  case METRIC_ACCURACY: case METRIC_TOPK: case METRIC_MULTILABEL: case METRIC_MSE: case METRIC_MAE:
    return e->counter[1] > 0 ? e->counter[0] / e->counter[1] : NAN;
  case METRIC_R2:
    return metric_r2_value(e);
  case METRIC_CONFUSION: case METRIC_PRF: case METRIC_UNKNOWN:
    return NAN;
  }
  return NAN;
}

int64_t gradrt_meter_seen(const gradrt_meter *m, int metric)
{
  const metric_entry *e = &m->entry[metric];
  if (!e->counter) {
    return 0;
  }
  return (int64_t)e->counter[e->kind == METRIC_R2 ? 0 : 1];
}

int gradrt_meter_nonfinite(const gradrt_meter *m)
{
  for (int i = 0; i < m->nentry; i++) {
    const metric_entry *e = &m->entry[i];
    double v = gradrt_meter_value(m, i);
    bool bad = e->kind != METRIC_PERPLEXITY && !gradrt_is_finite(v) && !isnan(v);
    for (int k = 0; k < e->ncounter; k++) {
      bad = bad || !gradrt_is_finite(e->counter[k]);
    }
    if (bad) {
      return i;
    }
  }
  return -1;
}

const gradrt_metric *gradrt_meter_metrics(const gradrt_meter *m, int *n)
{
  *n = m->nentry;
  return m->metric;
}

const int64_t *gradrt_meter_confusion(const gradrt_meter *m, int metric, int *classes)
{
  *classes = m->entry[metric].classes;
  return m->entry[metric].table;
}

const gradrt_label_count *gradrt_meter_labels(const gradrt_meter *m, int metric, int *labels)
{
  *labels = m->entry[metric].label ? (int)m->entry[metric].outputs : 0;
  return m->entry[metric].label;
}

const gradrt_field *gradrt_meter_target(const gradrt_meter *m, int metric)
{
  const char *target = m->fn->output[m->entry[metric].metric->target].name;
  for (int i = 0; i < m->net->nfield; i++) {
    if (strcmp(m->net->field[i].name, target) == 0) {
      return &m->net->field[i];
    }
  }
  return NULL;
}

int gradrt_meter_save(const gradrt_meter *m, double *counters, int max)
{
  int n = 0;
  for (int i = 0; i < m->nentry; i++) {
    const metric_entry *e = &m->entry[i];
    for (int k = 0; k < e->ncounter; k++, n++) {
      if (n < max) {
        counters[n] = e->counter[k];
      }
    }
  }
  return n;
}

void gradrt_meter_restore(gradrt_meter *m, const double *counters)
{
  for (int i = 0; i < m->nentry; i++) {
    metric_entry *e = &m->entry[i];
    for (int k = 0; k < e->ncounter; k++) {
      e->counter[k] = *counters++;
    }
  }
}

bool gradrt_metric_is_table(const gradrt_metric *metric)
{
  return metric_is_table(metric_kind_of(metric->kind));
}

bool gradrt_metric_is_share(const gradrt_metric *metric)
{
  metric_kind k = metric_kind_of(metric->kind);
  return k == METRIC_ACCURACY || k == METRIC_TOPK || k == METRIC_MULTILABEL;
}

const char *gradrt_meter_class_name(const gradrt_meter *m, int metric, int cls, char *buf,
                                    size_t size)
{
  const metric_entry *e = &m->entry[metric];
  const char *target = m->fn->output[e->metric->target].name;
  return gradrt_class_name(m->net, target, e->classes, cls, buf, size);
}
