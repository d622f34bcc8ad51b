/* The command line, results on standard output, progress and the report, with the toy net. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "toy_run.h"

/* ---- command line ---- */

typedef struct { const char *line; int code; const char *message; } LineCase;

static const LineCase lines[] = {
  { "trian", GRADRT_USAGE, "did you mean train?" },
  { "--epoch 3", GRADRT_USAGE, "did you mean --epochs?" },
  { "train --lrr=3", GRADRT_USAGE, "did you mean --lr?" },
  { "--epochs", GRADRT_USAGE, "--epochs needs a value" },
  { "--epochs 1.5", GRADRT_USAGE, "whole number" },
  { "--epochs 0", GRADRT_USAGE, "from 1" },
  { "--lr nan", GRADRT_USAGE, "--lr takes a number" },
  { "--lr 1e-3x", GRADRT_USAGE, "--lr takes a number" },
  { "--threads 257", GRADRT_USAGE, "from 1 to 256" },
  { "--batch 64", GRADRT_USAGE, "cannot change in a built program" },
  { "--width=5", GRADRT_USAGE, "gradc build toy.nn --set width=5" },
  { "--progress fast", GRADRT_USAGE, "auto, bar, log, none" },
  { "eval --lr 3", GRADRT_USAGE, "eval has no option --lr" },
  { "eval --split nothing", GRADRT_USAGE, "no split called 'nothing'" },
  { "--require accuracy", GRADRT_USAGE, "--require takes" },
  { "--require accuracy=>0.5", GRADRT_USAGE, "--require takes" },
  { "--require recall>=0.5", GRADRT_USAGE, "reports no 'recall'" },
  { "--quiet=1", GRADRT_USAGE, "takes no value" },
  { "-x", GRADRT_USAGE, "unknown option" },
  { "train more", GRADRT_USAGE, "takes no files" },
  { "predict", GRADRT_USAGE, "needs a file" },
  { "eval", GRADRT_CHECKPOINT, "train first" },
  { "eval --weights nothing.safetensors", GRADRT_CHECKPOINT, "no weights at nothing.safetensors" },
  { "--data nowhere --quiet", GRADRT_DATA, "" },
  { "--out train.csv --quiet", GRADRT_IO, "a file of that name is in the way" },
  { "--require accuracy>=0.999 --require valid.accuracy>=20% --quiet", GRADRT_QUALITY,
    "accuracy>=0.999 is not met" },
  { "--require val_accuracy>=0.5 --rate 0.01 --quiet", GRADRT_OK, "" },
  { "--fast-dev-run --quiet --out c", GRADRT_OK, "" },
  { "eval --untrained --quiet", GRADRT_OK, "" },
};

static void test_command_lines_and_exit_codes(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    clean(NULL);
    expect(&net, lines[i].line, lines[i].code);
    assert_contains(slurp("err.txt", text), lines[i].message);
  }
  assert_int_not_equal(access("c", F_OK), 0);
}

static void test_param_named_otherwise_sets_the_rate(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  expect(&net, "--rate 0.0125 --steps 1 --silent", GRADRT_OK);
  assert_float_equal(toy.rate, 0.0125, 1e-15);
}

static void test_help_shows_an_example_first(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  static const char *const asks[] = { "--help", "help", "train -h", "help eval", "predict --help" };
  for (int i = 0; i < 5; i++) {
    expect(&net, asks[i], GRADRT_OK);
    assert_int_equal(strncmp(slurp("out.txt", text), "  ./toy", 7), 0);
  }
  assert_contains(text, "--top K");
  expect(&net, "info", GRADRT_OK);
  slurp("out.txt", text);
  assert_contains(text, "momentum.f1.weight");
  assert_contains(text, "--rate 0.05 (lr)");
  assert_contains(text, "width = 3");
}

static void test_a_net_without_training_refuses_to_train(void **state)
{
  (void)state;
  gradrt_net net = toy_net(NULL);
  expect(&net, "", GRADRT_USAGE);
}

/* ---- results ---- */

static void test_untrained_eval_is_near_chance(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  toy_tensor[0].init = toy_tensor[1].init = GRADRT_INIT_ZEROS;
  expect(&net, "eval --untrained --json --require accuracy<0.34 --require accuracy>0.33",
         GRADRT_OK);
  slurp("out.txt", text);
  assert_contains(text, "\"split\":\"test\"");
  assert_contains(text, "\"n\":90,\"loss\":1.0986");
  assert_contains(text, "\"confusion\":[[30,0,0],[30,0,0],[30,0,0]]");
}

static void test_eval_blocks_and_splits(void **state)
{
  (void)state;
  static const gradrt_metric metric[] = { { "accuracy", "hits", 1, 2, 0 } };
  static const gradrt_eval block[] = { { 2, 1, metric }, { 1, 1, metric } };
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  net.neval = 2;
  net.evals = block;
  expect(&net, "--require test.hits>=0.5 --require hits>=0.5 --quiet", GRADRT_OK);
  expect(&net, "eval --json", GRADRT_OK);
  slurp("out.txt", text);
  assert_contains(text, "\"split\":\"test\"");
  assert_contains(text, "\"split\":\"valid\"");
  assert_true(strstr(text, "confusion") == NULL);
  expect(&net, "eval --json --split train --weights runs/toy/last.safetensors", GRADRT_OK);
  slurp("out.txt", text);
  assert_contains(text, "\"split\":\"train\"");
  assert_contains(text, "\"n\":200");
}

static void test_predict_prints_classes(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  FILE *f = fopen("inputs.csv", "w");
  fputs("x0,x1\n2,0\n-1,1.7\n-1,-1.7\n", f);
  fclose(f);
  expect(&net, "--quiet", GRADRT_OK);
  expect(&net, "predict inputs.csv --top 1 --quiet", GRADRT_OK);
  slurp("out.txt", text);
  assert_contains(text, "inputs.csv[0]  east ");
  assert_contains(text, "inputs.csv[1]  north <west> ");
  assert_contains(text, "inputs.csv[2]  south ");
  expect(&net, "predict inputs.csv --json", GRADRT_OK);
  assert_contains(slurp("out.txt", text),
                  "\"row\":1,\"class\":1,\"name\":\"north <west>\",\"outputs\":{\"prob\":[");
  expect(&net, "predict inputs.csv --out classes.csv --quiet", GRADRT_OK);
  slurp("classes.csv", text);
  assert_contains(text, "input,row,class,name,prob_0,prob_1,prob_2\n\"inputs.csv\",0,0,\"east\",");
}

static void test_report_is_self_contained_and_escaped(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  expect(&net, "--quiet --threads 1", GRADRT_OK);
  slurp("runs/toy/report.html", text);
  assert_contains(text, "north &lt;west&gt;");
  assert_contains(text, "# &lt;toy&gt; &amp; &quot;quotes&quot;");
  assert_contains(text, "prefers-color-scheme:dark");
  assert_contains(text, "--seed 1 --threads 1");
  assert_contains(text, "<svg");
  assert_contains(text, "toy.nn:9");
  static const char *const never[] = { "<script", "http:",   "https:", "<west>",
                                       "nan ",    "@import", "url(" };
  for (int i = 0; i < 7; i++) {
    if (strstr(text, never[i])) {
      fail_msg("'%s' is in the report", never[i]);
    }
  }
}

static void test_json_lines_only_on_stdout(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  expect(&net, "--json --epochs 2", GRADRT_OK);
  FILE *f = fopen("out.txt", "r");
  char line[8192];
  int events = 0;
  while (fgets(line, sizeof line, f)) {
    assert_int_equal(strncmp(line, "{\"v\":1,\"event\":\"", 16), 0);
    assert_string_equal(line + strlen(line) - 2, "}\n");
    events++;
  }
  fclose(f);
  assert_true(events >= 8);
  assert_contains(slurp("out.txt", text),
                  "\"event\":\"run_end\",\"status\":\"ok\",\"exit\":0,\"epochs\":2");
  assert_string_equal(slurp("err.txt", text), "");
}

static void test_log_lines_are_key_value(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  expect(&net, "--epochs 2 --progress log", GRADRT_OK);
  slurp("err.txt", text);
  assert_contains(text, "net=toy params=9 train_n=200 valid_n=50 batch=32 steps_per_epoch=7 ");
  assert_contains(text, "\nepoch=1/2 step=1/7 loss=");
  assert_contains(text, "\nepoch=2/2 done train_loss=");
  assert_true(strchr(text, '\r') == NULL && strchr(text, '\033') == NULL);
}

static void test_bar_fits_the_width_and_keeps_rows(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  setenv("COLUMNS", "48", 1);
  setenv("LC_ALL", "C", 1);
  expect(&net, "--epochs 2 --progress bar --color never", GRADRT_OK);
  unsetenv("COLUMNS");
  slurp("err.txt", text);
  assert_contains(
      text,
      "toy: 9 parameters, 200 training / 50 valid samples, batch 32 (7 steps/epoch, last has 8)");
  assert_contains(text, " epoch  train_loss  valid_loss  valid_accuracy");
  for (char *p = strchr(text, '\r'); p; p = strchr(p + 1, '\r')) {
    size_t n = strcspn(p + 1, "\r\n\033");
    assert_true(n < 48);
  }
}

#define TEST(f) cmocka_unit_test_setup(f, clean)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_command_lines_and_exit_codes),
    TEST(test_param_named_otherwise_sets_the_rate),
    TEST(test_help_shows_an_example_first),
    TEST(test_a_net_without_training_refuses_to_train),
    TEST(test_untrained_eval_is_near_chance),
    TEST(test_eval_blocks_and_splits),
    TEST(test_predict_prints_classes),
    TEST(test_report_is_self_contained_and_escaped),
    TEST(test_json_lines_only_on_stdout),
    TEST(test_log_lines_are_key_value),
    TEST(test_bar_fits_the_width_and_keeps_rows),
  };
  return cmocka_run_group_tests(tests, enter, leave);
}
