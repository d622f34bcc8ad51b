/* `train --lr-range LOW..HIGH`: a learning-rate range test. Steps of training whose rate grows by
 * the same factor from one to the next, a table with a picture of the smoothed loss, and a rate to
 * begin with. Only --out DIR leaves a file, DIR/lr_range.html. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RANGE_STEPS = 100, RANGE_ROWS = 25, RANGE_BAR = 40 };

/* What was seen of each step. */
typedef struct {
  double low, high;
  int64_t n, cap;               /* steps done; asked for */
  double *rate, *loss;          /* loss: smoothed */
} range_test;

int gradrt_lr_range_parse(const char *text, double *low, double *high)
{
  char first[64], plain[64];
  const char *dots = strstr(text, "..");
  size_t n = dots ? (size_t)(dots - text) : sizeof first;
  if (n < sizeof first) {
    memcpy(first, text, n);
    first[n] = 0;
    if (gradrt_text_number(first, low) && gradrt_text_number(dots + 2, high) && *low > 0 &&
        *low < *high && gradrt_is_finite(*high / *low)) {
      return GRADRT_OK;
    }
  }
  return gradrt_error(GRADRT_USAGE, "--lr-range takes two rates such as 1e-6..1, not '%s'",
                      gradrt_text_plain(plain, sizeof plain, text));
}

/* All batches of one step at this rate; *out NAN: the loss is not finite. */
static int range_step(gradrt_training *r, gradrt_step *step, double rate, double *out)
{
  int64_t parts = gradrt_training_parts(r);
  double sum = 0, n = 0;
  *out = NAN;
  for (int64_t part = 0; part < parts; part++) {
    int code = gradrt_training_batch(r, part, step);
    if (code != GRADRT_OK) {
      return code;
    }
    step->args[GRADRT_ARG_LR] = rate;
    gradrt_session_run(&r->s, GRADRT_FN_TRAIN, step);
    double loss = gradrt_session_loss(r->s.net, step);
    if (!gradrt_is_finite(loss)) {
      return GRADRT_OK;
    }
    sum += r->t->loss_sum ? loss : loss * (double)step->n;
    n += (double)step->n;
  }
  *out = sum / n;
  return GRADRT_OK;
}

/* Steps until the loss is far above the least one; what follows tells nothing. */
static int range_run(gradrt_training *r, range_test *t)
{
  const double keep = 0.9, far = 4;
  gradrt_step step;
  double mean = 0, weight = 0, best = INFINITY;
  gradrt_session_bind(&r->s, GRADRT_FN_TRAIN, r->set->rows, &step);
  gradrt_training_order(r);
  gradrt_training_work(r);
  while (t->n < t->cap && !gradrt_interrupted()) {
    double share = t->cap > 1 ? (double)t->n / (double)(t->cap - 1) : 0;
    double rate = t->low * pow(t->high / t->low, share), loss;
    int code = range_step(r, &step, rate, &loss);
    if (code != GRADRT_OK || isnan(loss)) {
      return code;
    }
    mean = keep * mean + (1 - keep) * loss;
    weight = keep * weight + (1 - keep);
    t->rate[t->n] = rate;
    t->loss[t->n++] = mean / weight;
    best = mean / weight < best ? mean / weight : best;
    if (loss > far * best && t->n > 1) {
      return GRADRT_OK;
    }
    r->at.step++;
    if (++r->at.batch_in_epoch == r->steps_per_epoch) {
      r->at.batch_in_epoch = 0;
      r->at.epoch++;
      gradrt_training_order(r);
    }
  }
  return GRADRT_OK;
}

/* The step behind which the loss falls fastest against the logarithm of the rate: over a tenth of
 * the steps. -1: it falls nowhere. */
static int64_t range_steepest(const range_test *t)
{
  int64_t span = t->cap / 10 > 1 ? t->cap / 10 : 1, best = -1;
  double most = 0;
  for (int64_t i = 0; i + span < t->n; i++) {
    double fall = t->loss[i] - t->loss[i + span];
    if (fall > most) {
      most = fall;
      best = i + span / 2;
    }
  }
  return best;
}

static void range_print_json(const range_test *t, int64_t pick)
{
  for (int64_t i = 0; i < t->n; i++) {
    printf("{\"v\":1,\"event\":\"lr_range\",\"step\":%" PRId64 ",\"lr\":%.9g,\"loss\":", i + 1,
           t->rate[i]);
    gradrt_json_number(stdout, t->loss[i]);
    puts("}");
  }
  if (pick >= 0) {
    printf("{\"v\":1,\"event\":\"lr_suggestion\",\"lr\":%.3g}\n", t->rate[pick]);
  }
}

static void range_print(const range_test *t, int64_t pick)
{
  double low = INFINITY, high = -INFINITY;
  int64_t every = (t->n + RANGE_ROWS - 1) / RANGE_ROWS;
  for (int64_t i = 0; i < t->n; i++) {
    low = t->loss[i] < low ? t->loss[i] : low;
    high = t->loss[i] > high ? t->loss[i] : high;
  }
  puts("        lr        loss");
  for (int64_t i = 0; i < t->n; i += every) {
    double share = high > low ? (t->loss[i] - low) / (high - low) : 0;
    printf("%10.3g  %10.5g  ", t->rate[i], t->loss[i]);
    for (int k = 0; k < 1 + (int)(share * (RANGE_BAR - 1)); k++) {
      putchar('#');
    }
    puts(pick >= i && pick < i + every ? "  <- falls fastest" : "");
  }
  if (pick >= 0) {
    printf("try --lr %.2g: there the loss falls fastest\n", t->rate[pick]);
  } else {
    puts("the loss falls nowhere: try other bounds or more --steps");
  }
}

/* The curve as a page in the run directory. */
static int range_write(const gradrt_session *s, const range_test *t, int64_t pick)
{
  char path[GRADRT_PATH_MAX], title[GRADRT_NAME_MAX];
  double *value = gradrt_alloc(2 * (size_t)t->n * sizeof *value);
  gradrt_history h = { .ncolumn = 2, .nrow = t->n, .value = value };
  for (int64_t i = 0; value && i < t->n; i++) {
    value[2 * i] = t->rate[i];
    value[2 * i + 1] = t->loss[i];
  }
  int code = value ? gradrt_path_make(s->dir) : gradrt_error(GRADRT_LIMIT, "out of memory");
  code = code == GRADRT_OK ? gradrt_path_join(path, s->dir, "lr_range.html") : code;
  gradrt_writer *w = code == GRADRT_OK ? gradrt_writer_open(path) : NULL;
  if (w) {
    snprintf(title, sizeof title, "%.90s: a range of learning rates", s->net->name);
    gradrt_report_begin(w, title);
    gradrt_writer_printf(w, "<h1>");
    gradrt_report_text(w, title);
    gradrt_writer_printf(w, "</h1>\n<div class=\"row\">\n");
    gradrt_report_rates(w, &h, pick >= 0 ? t->rate[pick] : 0);
    gradrt_writer_printf(w, "</div>\n");
    gradrt_report_spec(w, s->net);
    gradrt_writer_printf(w, "</main></body></html>\n");
    code = gradrt_writer_commit(w);
  } else if (code == GRADRT_OK) {
    code = GRADRT_IO;
  }
  gradrt_free(value);
  return code;
}

int gradrt_lr_range_run(gradrt_training *r)
{
  const gradrt_options *o = r->s.options;
  range_test t = { .cap = isnan(o->steps) ? RANGE_STEPS : (int64_t)o->steps };
  int code = gradrt_lr_range_parse(o->lr_range, &t.low, &t.high);
  if (code == GRADRT_OK && (t.cap < 2 || t.cap > 1000000)) {
    code = gradrt_error(GRADRT_USAGE, "--lr-range takes 2 to 1000000 --steps");
  }
  r->at.seed = r->s.seed;
  r->at.torch = r->s.torch;
  code = code == GRADRT_OK ? gradrt_training_weights(r, true) : code;
  if (code != GRADRT_OK) {
    return code;
  }
  t.rate = gradrt_alloc(2 * (size_t)t.cap * sizeof *t.rate);
  if (!t.rate) {
    return gradrt_error(GRADRT_LIMIT, "out of memory for %" PRId64 " steps", t.cap);
  }
  t.loss = t.rate + t.cap;
  code = range_run(r, &t);
  if (code != GRADRT_OK) {
    gradrt_free(t.rate);
    return code;
  }
  if (t.n == 0) {
    code = gradrt_error(GRADRT_NONFINITE, "the loss is not finite at the first step");
  } else if (o->json) {
    range_print_json(&t, range_steepest(&t));
  } else {
    range_print(&t, range_steepest(&t));
  }
  if (code == GRADRT_OK && o->out) {
    code = range_write(&r->s, &t, range_steepest(&t));
  }
  gradrt_free(t.rate);
  return code == GRADRT_OK ? gradrt_interrupted() : code;
}
