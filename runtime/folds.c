/* `train --folds K`: k-fold cross-validation. The rows of the training split, and of the split
 * `valid` when it comes from the same source, are dealt into K parts; each part in turn validates a
 * net that was trained from its beginning on the others. Other splits are left alone. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { FOLDS_PATH_ROOM = 16 };

/* The figures of all folds so far: sums, for mean and deviation. */
typedef struct {
  gradrt_figures last;
  double mean[GRADRT_FIGURES_MAX], squares[GRADRT_FIGURES_MAX];
  int n;
} folds_sum;

/* The net with a split `valid` that its training watches. */
typedef struct {
  gradrt_net net;
  gradrt_train training;
  gradrt_split split[GRADRT_SPLITS_MAX];
} folds_net;

static int folds_prepare(const gradrt_net *net, folds_net *f)
{
  int valid = gradrt_split_find(net, "valid"), train = net->training->train_split;
  if (net->window > 0) {
    int code = gradrt_error(GRADRT_USAGE, "--folds deals single rows, but the samples of %s are "
                            "windows of rows that follow one another", net->name);
    gradrt_note("split the source in stretches: split: train = 80%%, valid = 20%%;");
    return code;
  }
  if (net->nsplit + 1 > GRADRT_SPLITS_MAX) {
    return gradrt_error(GRADRT_LIMIT, "--folds: %s has more than %d splits", net->file,
                        GRADRT_SPLITS_MAX - 1);
  }
  f->net = *net;
  f->training = *net->training;
  memcpy(f->split, net->split, (size_t)net->nsplit * sizeof *net->split);
  if (valid < 0) {
    valid = f->net.nsplit++;
    f->split[valid] = (gradrt_split){ .name = "valid", .source = -1 };
  }
  if (f->split[valid].source != net->split[train].source) {    /* its own samples stand aside */
    f->split[valid].source = net->split[train].source;
    f->split[valid].how = GRADRT_SPLIT_FOLD;
  }
  if (f->training.best_split < 0) {
    f->training.best_metric = -1;
  }
  f->training.best_split = valid;
  f->net.split = f->split;
  f->net.training = &f->training;
  return GRADRT_OK;
}

static void folds_add(folds_sum *sum)
{
  sum->n++;
  for (int i = 0; i < sum->last.n; i++) {
    double before = sum->last.value[i] - sum->mean[i];
    sum->mean[i] += before / sum->n;
    sum->squares[i] += before * (sum->last.value[i] - sum->mean[i]);
  }
}

/* Of a sample: divided by n - 1. */
static double folds_deviation(const folds_sum *sum, int i)
{
  return sqrt(sum->squares[i] / (sum->n - 1));
}

static void folds_print(const gradrt_options *o, const folds_sum *sum, int fold)
{
  char text[40];
  if (o->silent || o->json) {
    return;
  }
  printf("fold %d of %.0f:", fold, o->folds);
  for (int i = 0; i < sum->last.n; i++) {
    printf("%s %s %s", i ? "," : "", sum->last.name[i],
           gradrt_text_value(text, sizeof text, sum->last.value[i], sum->last.share[i]));
  }
  putchar('\n');
  fflush(stdout);
}

static void folds_print_mean(const gradrt_options *o, const folds_sum *sum)
{
  char mean[40], spread[40];
  if (o->json) {
    printf("{\"v\":1,\"event\":\"folds\",\"folds\":%d", sum->n);
    for (int i = 0; i < sum->last.n; i++) {
      printf(",\"%s\":", sum->last.name[i]);
      gradrt_json_number(stdout, sum->mean[i]);
      printf(",\"%s_std\":", sum->last.name[i]);
      gradrt_json_number(stdout, folds_deviation(sum, i));
    }
    puts("}");
    return;
  }
  if (o->silent) {
    return;
  }
  printf("mean of %d folds:", sum->n);
  for (int i = 0; i < sum->last.n; i++) {
    bool share = sum->last.share[i];
    printf("%s %s %s +- %s", i ? "," : "", sum->last.name[i],
           gradrt_text_value(mean, sizeof mean, sum->mean[i], share),
           gradrt_text_value(spread, sizeof spread, folds_deviation(sum, i), share));
  }
  putchar('\n');
}

/* --require holds for the means. */
static int folds_gates(const gradrt_options *o, const folds_sum *sum)
{
  int code = GRADRT_OK;
  for (int g = 0; g < o->ngate; g++) {
    const gradrt_gate *gate = &o->gate[g];
    int i = 0;
    while (i < sum->last.n && strcmp(sum->last.name[i], gate->name) != 0) {
      i++;
    }
    if (i == sum->last.n) {
      return gradrt_error(GRADRT_USAGE, "--require: folds have no figure '%s'", gate->name);
    }
    double v = sum->mean[i], bound = gate->bound;
    bool equal = gate->op[1] == '=' && v == bound;
    if (!(equal || (gate->op[0] == '>' ? v > bound : v < bound))) {
      code = gradrt_error(GRADRT_QUALITY, "%s is %.9g in the mean of the folds", gate->text, v);
    }
  }
  return code;
}

/* Curves of further folds, of an earlier cross-validation, are none of this one. */
static void folds_forget(const char *dir, int fold)
{
  char path[GRADRT_PATH_MAX + 2 * FOLDS_PATH_ROOM];
  do {
    snprintf(path, sizeof path, "%s/fold%d/metrics.csv", dir, ++fold);
  } while (unlink(path) == 0);
}

/* One fold after the other, each in a run directory of its own: DIR/fold1 .. */
static int folds_run(const gradrt_net *net, const gradrt_options *o, const char *dir,
                     folds_sum *sum)
{
  char out[GRADRT_PATH_MAX + FOLDS_PATH_ROOM];
  int code = GRADRT_OK;
  for (int fold = 1; fold <= (int)o->folds && code == GRADRT_OK; fold++) {
    gradrt_options one = *o;
    snprintf(out, sizeof out, "%s/fold%d", dir, fold);
    one.out = out;
    one.fold = fold;
    one.ngate = 0;
    one.quiet = one.figures_only = true;
    one.json = false;
    code = gradrt_train_once(net, &one, &sum->last);
    if (fold == 1 && (code == GRADRT_OK || code == GRADRT_NONFINITE)) {
      folds_forget(dir, fold);
    }
    if (code == GRADRT_OK) {
      folds_add(sum);
      folds_print(o, sum, fold);
    }
  }
  return code;
}

int gradrt_folds_main(const gradrt_net *net, const gradrt_options *o)
{
  char dir[GRADRT_PATH_MAX];
  folds_net f;
  folds_sum sum = { .n = 0 };
  const char *other = o->resume         ? "--resume"
                      : o->fast_dev_run ? "--fast-dev-run"
                      : o->log_steps    ? "--log-steps"
                      : o->lr_range     ? "--lr-range"
                                        : NULL;
  if (other) {
    return gradrt_error(GRADRT_USAGE, "--folds and %s exclude each other", other);
  }
  int code = gradrt_run_directory(net, o, dir);
  code = code == GRADRT_OK ? folds_prepare(net, &f) : code;
  code = code == GRADRT_OK ? folds_run(&f.net, o, dir, &sum) : code;
  if (code != GRADRT_OK) {
    return code;
  }
  folds_print_mean(o, &sum);
  return folds_gates(o, &sum);
}
