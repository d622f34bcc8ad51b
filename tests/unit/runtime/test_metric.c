/* Metrics against values worked out by hand (and scikit-learn's conventions for the tables). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

/* One function with a loss, predictions and targets of the shapes of a case. */
typedef struct {
  const char *name, *kind;
  int64_t k;
  int rank, target_rank;
  int64_t dim[2], target_dim[2];
  int n;
  float out[24], target[24];
  double want;
} MetricCase;

static const MetricCase cases[] = {
  { "argmax ties take the lowest class",
    "accuracy",
    0,
    1,
    0,
    { 3 },
    { 0 },
    2,
    { 1, 3, 3, 2, 2, 2 },
    { 1, 0 },
    1 },
  { "half of the rows are right",
    "accuracy",
    0,
    1,
    0,
    { 2 },
    { 0 },
    4,
    { 1, 0, 1, 0, 0, 1, 0, 1 },
    { 0, 1, 1, 0 },
    .5 },
  { "one logit against labels 0/1",
    "accuracy",
    0,
    1,
    0,
    { 1 },
    { 0 },
    4,
    { -1, 2, .1f, 0 },
    { 0, 1, 0, 0 },
    .75 },
  { "one logit against labels -1/+1",
    "accuracy",
    0,
    0,
    0,
    { 0 },
    { 0 },
    2,
    { -3, 3 },
    { -1, 1 },
    1 },
  { "one-hot targets",
    "accuracy",
    0,
    1,
    1,
    { 3 },
    { 3 },
    2,
    { 0, 5, 1, 9, 0, 0 },
    { 0, 1, 0, 0, 0, 1 },
    .5 },
  { "two positions, class axis last",
    "accuracy",
    0,
    2,
    1,
    { 2, 3 },
    { 2 },
    1,
    { 0, 0, 1, 1, 0, 0 },
    { 2, 1 },
    .5 },
  { "two positions, class axis first",
    "accuracy",
    0,
    2,
    1,
    { 3, 2 },
    { 2 },
    1,
    { 0, 1, 0, 0, 1, 0 },
    { 2, 0 },
    1 },
  { "several labels per sample",
    "multilabel",
    0,
    1,
    1,
    { 3 },
    { 3 },
    2,
    { 1, -1, 1, -1, -1, 2 },
    { 1, 0, 0, 0, 1, 1 },
    4.0 / 6 },
  { "top 2: equal scores count by class number",
    "topk",
    2,
    1,
    0,
    { 4 },
    { 0 },
    3,
    { 1, 1, 1, 0, 4, 3, 2, 1, 0, 1, 2, 3 },
    { 2, 1, 2 },
    2.0 / 3 },
  { "top 1 is accuracy", "topk", 1, 1, 0, { 3 }, { 0 }, 2, { 1, 3, 3, 2, 2, 2 }, { 1, 0 }, 1 },
  { "mse over all elements",
    "mse",
    0,
    1,
    1,
    { 2 },
    { 2 },
    2,
    { 1, 2, 3, 4 },
    { 1, 0, 0, 4 },
    13.0 / 4 },
  { "mae over all elements",
    "mae",
    0,
    1,
    1,
    { 2 },
    { 2 },
    2,
    { 1, 2, 3, 4 },
    { 1, 0, 0, 4 },
    5.0 / 4 },
  { "r2 of scikit-learn's example",
    "r2",
    0,
    1,
    1,
    { 1 },
    { 1 },
    4,
    { 2.5f, 0, 2, 8 },
    { 3, -.5f, 2, 7 },
    0.9486081370449679 },
  { "r2 averages its columns",
    "r2",
    0,
    1,
    1,
    { 2 },
    { 2 },
    3,
    { 0, 2, -1, 2, 8, -5 },
    { .5f, 1, -1, 1, 7, -6 },
    0.9368005266622779 },
  { "a label outside the classes is never right",
    "accuracy",
    0,
    1,
    0,
    { 2 },
    { 0 },
    2,
    { 1, 0, 0, 1 },
    { 7, 1 },
    .5 },
};

static gradrt_output output_of(const char *name, int rank, const int64_t *dim)
{
  gradrt_output o = { .name = name, .batched = true, .rank = rank };
  memcpy(o.dim, dim, 2 * sizeof *dim);
  return o;
}

/* Adds the rows in two batches, so that accumulation is part of the test. */
static double metric_of(const MetricCase *c)
{
  int64_t none[2] = { 0, 0 };
  gradrt_output out[3] = { output_of("loss", 0, none), output_of("logits", c->rank, c->dim),
                           output_of("y", c->target_rank, c->target_dim) };
  gradrt_function fn = { .noutput = 3, .output = out };
  gradrt_net net = { .real = GRADRT_F32 };
  gradrt_metric metric = { c->kind, c->kind, 1, 2, c->k };
  gradrt_meter *m = gradrt_meter_new(&net, &metric, 1, &fn);
  assert_non_null(m);
  float loss[24] = { 0 }, y[24], t[24];
  int64_t wide = gradrt_output_elems(&out[1]), narrow = gradrt_output_elems(&out[2]);
  memcpy(y, c->out, sizeof y);
  memcpy(t, c->target, sizeof t);
  void *first[3] = { loss, y, t }, *rest[3] = { loss, y + wide, t + narrow };
  gradrt_meter_add(m, first, 1, 1);
  gradrt_meter_add(m, rest, c->n - 1, (double)(c->n - 1));
  double v = gradrt_meter_value(m, 0), kept[64];
  int used = gradrt_meter_save(m, kept, 64);
  gradrt_meter_reset(m);
  assert_true(used <= 64);
  gradrt_meter_restore(m, kept);
  assert_true(gradrt_meter_value(m, 0) == v);
  gradrt_meter_free(m);
  return v;
}

static void test_values_match_hand_computation(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double got = metric_of(&cases[i]);
    if (!(fabs(got - cases[i].want) < 1e-12)) {
      fail_msg("%s: %.17g, not %.17g", cases[i].name, got, cases[i].want);
    }
  }
}

static gradrt_meter *three_classes(const gradrt_net *net, const gradrt_metric *metric, int n,
                                   gradrt_function *fn)
{
  static const float truth[6] = { 2, 0, 2, 2, 0, 1 }, guess[6] = { 0, 0, 2, 2, 0, 2 };
  gradrt_meter *m = gradrt_meter_new(net, metric, n, fn);
  assert_non_null(m);
  for (int i = 0; i < 6; i++) {
    float loss = 0, score[3] = { 0, 0, 0 }, t = truth[i];
    score[(int)guess[i]] = 1;
    void *out[3] = { &loss, score, &t };
    gradrt_meter_add(m, out, 1, 1);
  }
  return m;
}

/* scikit-learn: confusion_matrix([2,0,2,2,0,1], [0,0,2,2,0,2]) = [[2,0,0],[0,0,1],[1,0,2]]. */
static void test_confusion_rows_are_true_classes(void **state)
{
  (void)state;
  static const int64_t want[9] = { 2, 0, 0, 0, 0, 1, 1, 0, 2 }, three[2] = { 3, 0 },
                       none[2] = { 0, 0 };
  gradrt_output out[3] = { output_of("loss", 0, none), output_of("logits", 1, three),
                           output_of("y", 0, none) };
  gradrt_function fn = { .noutput = 3, .output = out };
  gradrt_net net = { .real = GRADRT_F32 };
  gradrt_metric metric = { "confusion", "confusion", 1, 2, 0 };
  gradrt_meter *m = three_classes(&net, &metric, 1, &fn);
  int classes;
  const int64_t *table = gradrt_meter_confusion(m, 0, &classes);
  assert_int_equal(classes, 3);
  assert_memory_equal(table, want, sizeof want);
  assert_true(isnan(gradrt_meter_value(m, 0)));
  gradrt_class_score s[5];
  assert_float_equal(gradrt_class_scores(table, 3, s), 4.0 / 6, 1e-15);
  assert_float_equal(s[0].precision, 2.0 / 3, 1e-15);
  assert_float_equal(s[0].recall, 1, 1e-15);
  assert_float_equal(s[0].f1, 0.8, 1e-15);
  assert_float_equal(s[1].f1, 0, 1e-15);
  assert_float_equal(s[2].precision, 2.0 / 3, 1e-15);
  assert_float_equal(s[2].recall, 2.0 / 3, 1e-15);
  assert_float_equal(s[3].f1, (0.8 + 2.0 / 3) / 3, 1e-15);
  assert_float_equal(s[4].f1, (2 * 0.8 + 3 * 2.0 / 3) / 6, 1e-15);
  assert_int_equal(s[4].support, 6);
  gradrt_mistake worst[1];
  assert_int_equal(gradrt_worst_mistakes(table, 3, worst, 1), 1);
  assert_int_equal(worst[0].truth, 1);
  assert_int_equal(worst[0].guess, 2);
  gradrt_meter_free(m);
}

static void test_tables_print_in_scikit_learn_layout(void **state)
{
  (void)state;
  static const int64_t three[2] = { 3, 0 }, none[2] = { 0, 0 };
  static const char *const names[] = { "cat", "d\xc3\xb6g", "\x1b[31m" };
  static const char want[] =
    "\nconfusion matrix (rows: true, columns: predicted)\n"
    "          cat   d\xc3\xb6g ?[31m\n"
    "    cat     2     0     0\n"
    "    d\xc3\xb6g     0     0     1\n"
    "  ?[31m     1     0     2\n"
    "\n"
    "              precision    recall  f1-score   support\n"
    "\n"
    "         cat     0.6667    1.0000    0.8000         2\n"
    "         d\xc3\xb6g     0.0000    0.0000    0.0000         1\n"
    "       ?[31m     0.6667    0.6667    0.6667         3\n"
    "\n"
    "    accuracy                         0.6667         6\n"
    "   macro avg     0.4444    0.5556    0.4889         6\n"
    "weighted avg     0.5556    0.6667    0.6000         6\n";
  gradrt_output out[3] = { output_of("loss", 0, none), output_of("logits", 1, three),
                           output_of("y", 0, none) };
  gradrt_function fn = { .noutput = 3, .output = out };
  gradrt_field field = { .name = "y", .is_label = true, .classes = 3, .class_name = names };
  gradrt_net net = { .real = GRADRT_F32, .nfield = 1, .field = &field };
  gradrt_metric metric[2] = { { "confusion", "confusion", 1, 2, 0 }, { "prf", "prf", 1, 2, 0 } };
  gradrt_meter *m = three_classes(&net, metric, 2, &fn);
  char got[2048];
  FILE *f = tmpfile();
  fflush(stdout);
  int kept = dup(STDOUT_FILENO);
  dup2(fileno(f), STDOUT_FILENO);
  gradrt_meter_print_tables(m);
  fflush(stdout);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  rewind(f);
  got[fread(got, 1, sizeof got - 1, f)] = 0;
  fclose(f);
  gradrt_meter_free(m);
  assert_string_equal(got, want);
}

/* Wilson (1927): p = 0.9879, n = 10,000 gives 98.56 - 98.99 %; the ends never leave [0,1]. */
static void test_wilson_interval(void **state)
{
  (void)state;
  double low, high;
  gradrt_wilson(0.9879, 10000, &low, &high);
  assert_float_equal(low, 0.98557, 5e-5);
  assert_float_equal(high, 0.98986, 5e-5);
  gradrt_wilson(1, 10, &low, &high);
  assert_true(low > 0.7 && low < 0.73 && high <= 1 + 1e-15);
  gradrt_wilson(0, 0, &low, &high);
  assert_true(low >= 0 && high <= 1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_values_match_hand_computation),
    cmocka_unit_test(test_confusion_rows_are_true_classes),
    cmocka_unit_test(test_tables_print_in_scikit_learn_layout),
    cmocka_unit_test(test_wilson_interval),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
