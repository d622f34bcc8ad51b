/* Results on whole splits: which ones, with which metrics, how they are printed, the --require
 * gates, and the command `eval`. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { EVAL_SPLITS_MAX = 64, EVAL_CLASSES_MAX = 1000 };

void gradrt_wilson(double share, double n, double *low, double *high)
{
  const double z = 1.959963984540054;
  if (!(n > 0)) {
    *low = 0;
    *high = 1;
    return;
  }
  double scale = 1 + z * z / n, middle = share + z * z / (2 * n);
  double half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  *low = (middle - half) / scale;
  *high = (middle + half) / scale;
}

/* ---- which splits and metrics ---- */

static bool eval_wants_tables(const gradrt_net *net, const gradrt_train *t,
                              const gradrt_metric **of)
{
  *of = NULL;
  for (int i = 0; i < t->nmetric; i++) {
    const gradrt_metric *m = &t->metric[i];
    if (gradrt_metric_is_table(m)) {
      return false;
    }
    bool one = m->output >= 0 && m->target >= 0 && strcmp(m->kind, "accuracy") == 0 &&
               gradrt_output_elems(&net->eval.output[m->target]) == 1 &&
               gradrt_output_elems(&net->eval.output[m->output]) <= EVAL_CLASSES_MAX;
    *of = one && !*of ? m : *of;
  }
  return *of != NULL;
}

/* The metrics of training, and a confusion matrix with its scores when it classifies. */
static int eval_default_metrics(const gradrt_net *net, gradrt_score *s)
{
  const gradrt_train *t = net->training;
  const gradrt_metric *of = NULL;
  s->metric = gradrt_alloc(((size_t)(t ? t->nmetric : 0) + 3) * sizeof *s->metric);
  if (!s->metric) {
    return gradrt_error(GRADRT_LIMIT, "out of memory for the metrics");
  }
  for (int i = 0; t && i < t->nmetric; i++) {
    s->metric[s->nmetric++] = t->metric[i];
  }
  if (t && eval_wants_tables(net, t, &of)) {
    s->metric[s->nmetric] = *of;
    s->metric[s->nmetric].kind = s->metric[s->nmetric].name = "confusion";
    s->metric[s->nmetric + 1] = *of;
    s->metric[s->nmetric + 1].kind = s->metric[s->nmetric + 1].name = "prf";
    s->nmetric += 2;
  }
  return GRADRT_OK;
}

static int eval_prepare_one(const gradrt_net *net, int split, const gradrt_eval *block,
                            gradrt_score *s)
{
  *s = (gradrt_score){ .split = split, .loss = NAN };
  int code = GRADRT_OK;
  if (block) {
    s->metric = gradrt_alloc(((size_t)block->nmetric + 1) * sizeof *s->metric);
    if (!s->metric) {
      return gradrt_error(GRADRT_LIMIT, "out of memory for the metrics");
    }
    for (int i = 0; i < block->nmetric; i++) {
      s->metric[s->nmetric++] = block->metric[i];
    }
  } else {
    code = eval_default_metrics(net, s);
  }
  s->meter = code == GRADRT_OK ? gradrt_meter_new(net, s->metric, s->nmetric, &net->eval) : NULL;
  if (code == GRADRT_OK && !s->meter) {
    code = gradrt_error(GRADRT_LIMIT, "out of memory for the metrics");
  }
  return code;
}

static int eval_fallback_split(const gradrt_net *net, int split)
{
  int test = gradrt_split_find(net, "test");
  if (test >= 0) {
    return test;
  }
  int monitor = gradrt_monitor_split(net);
  if (monitor >= 0 || split != GRADRT_SPLIT_ANY) {
    return monitor;
  }
  return net->training ? net->training->train_split : net->nsplit > 0 ? 0 : -1;
}

int gradrt_scores_prepare(const gradrt_net *net, int split, gradrt_score **out, int *nscore)
{
  *nscore = 0;
  *out = gradrt_alloc(((size_t)net->neval + 1) * sizeof **out);
  if (!*out) {
    return gradrt_error(GRADRT_LIMIT, "out of memory for the results");
  }
  int code = GRADRT_OK;
  for (int i = 0; net->eval.fn && i < net->neval && code == GRADRT_OK; i++) {
    if (split < 0 || net->evals[i].split == split) {
      code = eval_prepare_one(net, net->evals[i].split, &net->evals[i], &(*out)[(*nscore)++]);
    }
  }
  if (code != GRADRT_OK || *nscore > 0 || !net->eval.fn) {
    return code;
  }
  int fallback = split >= 0 ? split : eval_fallback_split(net, split);
  return fallback >= 0 ? eval_prepare_one(net, fallback, NULL, &(*out)[(*nscore)++]) : GRADRT_OK;
}

int gradrt_scores_run(gradrt_session *s, gradrt_score *score, int n)
{
  int code = GRADRT_OK;
  for (int i = 0; i < n && code == GRADRT_OK; i++) {
    gradrt_meter_reset(score[i].meter);
    code =
        gradrt_session_evaluate(s, score[i].split, score[i].meter, 0, &score[i].loss, &score[i].n);
    if (code == GRADRT_OK && !gradrt_evaluation_finite(score[i].meter, score[i].loss, score[i].n)) {
      code = gradrt_evaluation_blame(s, score[i].split, score[i].meter, score[i].loss);
    }
  }
  return code;
}

void gradrt_scores_free(gradrt_score *score, int n)
{
  for (int i = 0; score && i < n; i++) {
    gradrt_meter_free(score[i].meter);
    gradrt_free(score[i].metric);
  }
  gradrt_free(score);
}

/* ---- printing ---- */

static void eval_print_text(const gradrt_net *net, const gradrt_score *s, bool tables)
{
  char name[GRADRT_NAME_MAX], text[40], count[32];
  printf("%s: loss %s", gradrt_text_plain(name, sizeof name, net->split[s->split].name),
         gradrt_text_value(text, sizeof text, s->loss, false));
  double low = NAN, high = NAN;
  for (int i = 0; i < s->nmetric; i++) {
    const gradrt_metric *m = &s->metric[i];
    double v = gradrt_meter_value(s->meter, i);
    bool share = gradrt_metric_is_share(m);
    if (isnan(v) || strcmp(m->kind, "loss") == 0) {
      continue;
    }
    printf(", %s %s", gradrt_text_plain(name, sizeof name, m->name ? m->name : m->kind),
           gradrt_text_value(text, sizeof text, v, share));
    if (share && isnan(low)) {
      gradrt_wilson(v, (double)gradrt_meter_seen(s->meter, i), &low, &high);
      printf(" (95 %% interval %.2f - %.2f)", 100 * low, 100 * high);
    }
  }
  printf(", n = %s\n", gradrt_text_count(count, sizeof count, s->n));
  if (tables) {
    gradrt_meter_print_tables(s->meter);
  }
}

static void eval_print_json(const gradrt_net *net, const gradrt_score *s, const char *weights)
{
  fputs("{\"v\":1,\"event\":\"eval\",\"split\":", stdout);
  gradrt_json_string(stdout, net->split[s->split].name);
  if (weights) {
    fputs(",\"weights\":", stdout);
    gradrt_json_string(stdout, weights);
  }
  printf(",\"n\":%" PRId64 ",\"loss\":", s->n);
  gradrt_json_number(stdout, s->loss);
  for (int i = 0; i < s->nmetric; i++) {
    const gradrt_metric *m = &s->metric[i];
    if (!gradrt_metric_is_table(m) && strcmp(m->kind, "loss") != 0) {
      fputc(',', stdout);
      gradrt_json_string(stdout, m->name ? m->name : m->kind);
      fputc(':', stdout);
      gradrt_json_number(stdout, gradrt_meter_value(s->meter, i));
    }
  }
  gradrt_meter_json_tables(s->meter, stdout);
  fputs("}\n", stdout);
  fflush(stdout);
}

void gradrt_scores_print(const gradrt_session *s, const gradrt_score *score, int n,
                         const char *weights)
{
  const gradrt_options *o = s->options;
  for (int i = 0; i < n; i++) {
    if (o->json) {
      eval_print_json(s->net, &score[i], weights);
    } else if (!o->silent) {
      eval_print_text(s->net, &score[i], !o->quiet);
    }
  }
  fflush(stdout);
}

/* ---- gates ---- */

/* Value of a metric of one score by its bare name. */
static bool eval_score_value(const gradrt_score *s, const char *name, double *out)
{
  if (strcmp(name, "loss") == 0) {
    *out = s->loss;
    return true;
  }
  for (int i = 0; i < s->nmetric; i++) {
    const gradrt_metric *m = &s->metric[i];
    if (!gradrt_metric_is_table(m) && strcmp(name, m->name ? m->name : m->kind) == 0) {
      *out = gradrt_meter_value(s->meter, i);
      return true;
    }
  }
  return false;
}

/* Strips "<split>_" from a name. NULL: it has another prefix. */
static const char *eval_without(const char *name, const char *split)
{
  size_t n = strlen(split);
  return strncmp(name, split, n) == 0 && name[n] == '_' ? name + n + 1 : NULL;
}

static bool eval_column(const gradrt_history *h, int64_t row, const char *split, const char *name,
                        double *out)
{
  char full[2 * GRADRT_NAME_MAX];
  snprintf(full, sizeof full, "%s_%s", split, name);
  int c = h ? gradrt_history_column(h, full) : -1;
  *out = c >= 0 ? gradrt_history_at(h, row, c) : NAN;
  return c >= 0;
}

/* "test_accuracy" or "accuracy": of the scores first, then of the row; val_ means the monitored
 * split. */
static bool eval_gate_value(const gradrt_gate *g, const gradrt_score *score, int n,
                            const gradrt_net *net, const gradrt_history *h, int64_t row,
                            double *out)
{
  int monitor = gradrt_monitor_split(net);
  for (int i = 0; i < n; i++) {
    const char *split = net->split[score[i].split].name, *bare = eval_without(g->name, split);
    if (!bare && score[i].split == monitor) {
      bare = eval_without(g->name, "val");
    }
    if ((bare && eval_score_value(&score[i], bare, out)) ||
        eval_score_value(&score[i], g->name, out)) {
      return true;
    }
  }
  const char *watched = monitor >= 0 ? net->split[monitor].name : "train";
  const char *bare = eval_without(g->name, "val");
  int c = h ? gradrt_history_column(h, g->name) : -1;
  if (c >= 0) {
    *out = gradrt_history_at(h, row, c);
    return true;
  }
  return (bare && eval_column(h, row, watched, bare, out)) ||
         eval_column(h, row, watched, g->name, out) || eval_column(h, row, "train", g->name, out);
}

int gradrt_gates_verify(const gradrt_options *o, const gradrt_score *score, int n,
                        const gradrt_net *net, const gradrt_history *h)
{
  for (int i = 0; i < o->ngate; i++) {
    double v;
    char plain[GRADRT_NAME_MAX];
    if (eval_gate_value(&o->gate[i], score, n, net, h, -1, &v)) {
      continue;
    }
    int code = gradrt_error(GRADRT_USAGE, "--require: this net reports no '%s'",
                            gradrt_text_plain(plain, sizeof plain, o->gate[i].name));
    for (int k = 0; k < n; k++) {
      for (int m = 0; m < score[k].nmetric; m++) {
        const gradrt_metric *metric = &score[k].metric[m];
        if (!gradrt_metric_is_table(metric)) {
          gradrt_note("there is %s_%s", net->split[score[k].split].name,
                      metric->name ? metric->name : metric->kind);
        }
      }
      gradrt_note("there is %s_loss", net->split[score[k].split].name);
    }
    return code;
  }
  return GRADRT_OK;
}

static bool eval_gate_holds(const gradrt_gate *g, double v)
{
  bool more = g->op[0] == '>', equal = g->op[1] == '=';
  return more ? v > g->bound || (equal && v == g->bound) : v < g->bound || (equal && v == g->bound);
}

int gradrt_gates_check(const gradrt_options *o, const gradrt_score *score, int n,
                       const gradrt_net *net, const gradrt_history *h, int64_t row)
{
  int code = GRADRT_OK;
  for (int i = 0; i < o->ngate; i++) {
    double v = NAN;
    char plain[GRADRT_NAME_MAX];
    eval_gate_value(&o->gate[i], score, n, net, h, row, &v);
    if (!eval_gate_holds(&o->gate[i], v)) {
      code =
          gradrt_error(GRADRT_QUALITY, "--require %s is not met: %s is %.9g",
                       gradrt_text_plain(plain, sizeof plain, o->gate[i].text), o->gate[i].name, v);
    }
  }
  return code;
}

/* ---- the command ---- */

static int eval_load(gradrt_session *s, const gradrt_score *score, int n)
{
  int splits[EVAL_SPLITS_MAX], count = 0;
  const gradrt_options *o = s->options;
  bool fit = o->untrained && s->net->nfit > 0 && s->net->training;
  for (int i = 0; i < n && count < EVAL_SPLITS_MAX - 1; i++) {
    splits[count++] = score[i].split;
  }
  if (fit) {
    splits[count++] = s->net->training->train_split;
  }
  return gradrt_session_load(s, splits, count, fit);
}

static int eval_split_option(const gradrt_net *net, const char *name, int *split)
{
  char plain[GRADRT_NAME_MAX];
  *split = name ? gradrt_split_find(net, name) : GRADRT_SPLIT_ANY;
  if (!name || *split >= 0) {
    return GRADRT_OK;
  }
  int code = gradrt_error(GRADRT_USAGE, "%s has no split called '%s'", net->name,
                          gradrt_text_plain(plain, sizeof plain, name));
  for (int i = 0; i < net->nsplit; i++) {
    gradrt_note("there is %s", net->split[i].name);
  }
  return code;
}

static int eval_run(gradrt_session *s, gradrt_score *score, int n)
{
  const gradrt_options *o = s->options;
  char path[GRADRT_PATH_MAX];
  int code = gradrt_gates_verify(o, score, n, s->net, NULL);
  if (code == GRADRT_OK) {
    code = gradrt_session_weights(s, path);
  }
  if (code == GRADRT_OK) {
    code = eval_load(s, score, n);
  }
  if (code == GRADRT_OK) {
    code = gradrt_scores_run(s, score, n);
  }
  if (code != GRADRT_OK) {
    return code;
  }
  char plain[GRADRT_PATH_MAX];
  if (!o->json && !o->quiet && !o->silent) {
    fprintf(stderr, "weights: %s\n", gradrt_text_plain(plain, sizeof plain, path));
  }
  gradrt_scores_print(s, score, n, path);
  return gradrt_gates_check(o, score, n, s->net, NULL, -1);
}

int gradrt_eval_main(const gradrt_net *net, const gradrt_options *o)
{
  int split;
  int code = eval_split_option(net, o->split, &split);
  if (code != GRADRT_OK) {
    return code;
  }
  gradrt_score *score;
  int n;
  code = gradrt_scores_prepare(net, split, &score, &n);
  if (code == GRADRT_OK && n == 0) {
    code =
        gradrt_error(GRADRT_USAGE, "%s has nothing to evaluate: the spec has no data", net->name);
  }
  if (code == GRADRT_OK) {
    gradrt_session s;
    code = gradrt_session_open(&s, net, o);
    code = code == GRADRT_OK ? eval_run(&s, score, n) : code;
    gradrt_session_close(&s);
  }
  gradrt_scores_free(score, n);
  return code;
}
