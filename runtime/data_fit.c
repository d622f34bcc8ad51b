/* Statistics of standardisation: mean and deviation of a field's numbers over the rows of a split.
 * Rows are walked once, twice for numbers that are no bytes, whatever there are groups, because
 * pictures may have to be decoded for each walk. */
#include "data.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { FIT_VALUES = 256, FIT_CHUNK = 64, FIT_COUNTERS = 1 << 23 };

/* One standardised field: element i of group g of a sample is element g * apart + i * step, i <
 * width. Channels lie together; columns of a window are in each of its rows. Groups first .. first
 * + n - 1 are summed up at once, over chunks of the set, in the order of its rows. */
typedef struct {
  const gradrt_set *set;
  int field;
  gradrt_dtype dtype;
  int64_t elems, width, apart, step, first, n, lanes;
  int64_t *count;               /* bytes: per group, lane and value; lanes: 1 or 4 */
  double *sum, *squares, *begin;        /* per group; begin: its first number */
  bool *varies;                 /* per group: not all numbers are the first one */
} fit_job;

/* Takes the next sample of the set into account; begins: it is the first one. */
typedef void (*fit_visit)(const fit_job *f, const void *sample, bool begins);

/* Bytes: how often each value occurs says everything, exactly. Counters take turns, as equal
 * neighbours would wait for one another. */
static void fit_count(const fit_job *f, const void *sample, bool begins)
{
  (void)begins;
  for (int64_t g = 0; g < f->n; g++) {
    const uint8_t *x = (const uint8_t *)sample + (f->first + g) * f->apart;
    int64_t *count = f->count + g * f->lanes * FIT_VALUES;
    for (int64_t e = 0; e < f->width; e++)
      count[(e & (f->lanes - 1)) * FIT_VALUES + x[e * f->step]]++;
  }
}

static void fit_add(const fit_job *f, const void *sample, bool begins)
{
  for (int64_t g = 0; g < f->n; g++) {
    int64_t at = (f->first + g) * f->apart;
    double sum = begins ? 0 : f->sum[g];
    f->begin[g] = begins ? gradrt_dtype_get(f->dtype, sample, at) : f->begin[g];
    for (int64_t e = 0; e < f->width; e++) {
      double v = gradrt_dtype_get(f->dtype, sample, at + e * f->step);
      f->varies[g] = f->varies[g] || v != f->begin[g];
      sum += v;
    }
    f->sum[g] = sum;
  }
}

/* Squared distances from the mean, which stands in place of the sum. */
static void fit_add_squares(const fit_job *f, const void *sample, bool begins)
{
  for (int64_t g = 0; g < f->n; g++) {
    int64_t at = (f->first + g) * f->apart;
    double sum = begins ? 0 : f->squares[g];
    for (int64_t e = 0; e < f->width; e++) {
      double v = gradrt_dtype_get(f->dtype, sample, at + e * f->step) - f->sum[g];
      sum += v * v;
    }
    f->squares[g] = sum;
  }
}
static int fit_walk(const fit_job *f, fit_visit visit)
{
  size_t bytes = (size_t)f->elems * gradrt_dtype_size(f->dtype);
  int code = GRADRT_OK;
  for (int64_t at = 0, n; at < f->set->n && code == GRADRT_OK; at += n) {
    const void *rows[GRADRT_FIELDS_MAX];
    n = f->set->n - at < FIT_CHUNK ? f->set->n - at : FIT_CHUNK;
    memcpy(rows, f->set->rows, sizeof rows);
    if (!rows[f->field])
      code = gradrt_set_want(f->set, NULL, at, n, rows);
    for (int64_t i = at; i < at + n && code == GRADRT_OK; i++)
      visit(f, (const char *)rows[f->field] + f->set->row[i] * bytes, i == 0);
  }
  return code;
}

static void fit_finish_counts(const fit_job *f, double *mean, double *std)
{
  double n = (double)f->set->n * (double)f->width;
  for (int64_t g = 0; g < f->n; g++) {
    int64_t *count = f->count + g * f->lanes * FIT_VALUES;
    double sum = 0, squares = 0;
    for (int v = 0; v < FIT_VALUES; v++) {
      for (int64_t k = 1; k < f->lanes; k++)
        count[v] += count[k * FIT_VALUES + v];
      sum += (double)v * (double)count[v];
    }
    mean[g] = sum / n;
    for (int v = 0; v < FIT_VALUES; v++)
      squares += (double)count[v] * ((double)v - mean[g]) * ((double)v - mean[g]);
    std[g] = sqrt(squares / n);
  }
}

/* Mean and deviation of the groups, as they are stored. */
static int fit_groups(const fit_job *f, double *mean, double *std)
{
  double n = (double)f->set->n * (double)f->width;
  if (f->dtype == GRADRT_U8) {
    int code = fit_walk(f, fit_count);
    if (code == GRADRT_OK)
      fit_finish_counts(f, mean, std);
    return code;
  }
  int code = fit_walk(f, fit_add);
  for (int64_t g = 0; g < f->n; g++)
    f->sum[g] /= n;
  code = code == GRADRT_OK ? fit_walk(f, fit_add_squares) : code;
  for (int64_t g = 0; g < f->n; g++) {
    mean[g] = f->varies[g] ? f->sum[g] : f->begin[g];
    std[g] = f->varies[g] ? sqrt(f->squares[g] / n) : 0;
  }
  return code;
}

/* As many groups at once as there is room to count. */
static int fit_all(fit_job *f, int64_t groups, double *mean, double *std)
{
  bool bytes = f->dtype == GRADRT_U8;
  int64_t each = f->lanes * FIT_VALUES, most = FIT_COUNTERS / each;
  most = most < groups ? most : groups;
  size_t counts = bytes ? (size_t)(most * each) * sizeof *f->count : 0, n = (size_t)most;
  f->count = gradrt_alloc(counts);
  f->sum = gradrt_alloc(3 * n * sizeof *f->sum);
  f->varies = gradrt_alloc(n * sizeof *f->varies);
  int code = f->count && f->sum && f->varies ? GRADRT_OK
                                             : gradrt_error(GRADRT_LIMIT, "out of memory");
  for (f->first = 0; f->first < groups && code == GRADRT_OK; f->first += f->n) {
    f->n = groups - f->first < most ? groups - f->first : most;
    f->squares = f->sum + n;
    f->begin = f->squares + n;
    memset(f->count, 0, counts);
    memset(f->varies, 0, n * sizeof *f->varies);
    code = fit_groups(f, mean + f->first, std + f->first);
  }
  gradrt_free(f->count);
  gradrt_free(f->sum);
  gradrt_free(f->varies);
  return code;
}

int gradrt_data_fit(const gradrt_net *net, const gradrt_data *d, int train_split, int fit,
                    double *mean, double *std)
{
  const gradrt_fit *want = &net->fit[fit];
  const gradrt_field *field = &net->field[want->field];
  const gradrt_set *set = gradrt_data_set(d, train_split);
  int64_t elems = gradrt_field_elems(field), groups = 1;
  for (int i = 0; i < net->tensor[want->mean].rank; i++)
    groups *= net->tensor[want->mean].dim[i];
  if (!set)
    return gradrt_error(GRADRT_INTERNAL,
                        "the training split that field '%s' is fitted on was not loaded",
                        field->name);
  if (groups < 1 || elems % groups != 0)
    return gradrt_error(GRADRT_INTERNAL,
                        "field '%s' has %" PRId64 " elements but %" PRId64 " means", field->name,
                        elems, groups);
  bool columns = net->window > 0;
  fit_job f = { .set = set, .field = want->field, .dtype = field->dtype, .elems = elems,
                .width = elems / groups, .apart = columns ? 1 : elems / groups,
                .step = columns ? groups : 1 };
  f.lanes = f.width < 4 ? 1 : 4;
  int code = fit_all(&f, groups, mean, std);
  for (int64_t g = 0; g < groups && code == GRADRT_OK; g++) {
    mean[g] = mean[g] * want->scale + want->offset;
    std[g] = std[g] * fabs(want->scale);
    if (!(std[g] > 0))
      std[g] = 1;
  }
  return code;
}
