/* Training, resuming, stopping, evaluating and predicting through gradrt_main, with the toy net. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toy.h"

enum { ARGS_MAX = 24, TEXT_MAX = 1 << 18 };

static char home[] = "/tmp/gradrt-train-XXXXXX";
static char text[TEXT_MAX], other[TEXT_MAX];

/* Whole file as text. */
static const char *slurp(const char *path, char *buf)
{
  FILE *f = fopen(path, "rb");
  size_t n = f ? fread(buf, 1, TEXT_MAX - 1, f) : 0;
  if (f) {
    fclose(f);
  }
  buf[n] = 0;
  return buf;
}

static void assert_same_file(const char *a, const char *b)
{
  FILE *f = fopen(a, "rb"), *g = fopen(b, "rb");
  if (!f || !g) {
    fail_msg("%s or %s is missing", a, b);
  }
  for (long at = 0;; at++) {
    int x = fgetc(f), y = fgetc(g);
    if (x != y) {
      fail_msg("%s and %s differ at byte %ld", a, b, at);
    }
    if (x == EOF) {
      break;
    }
  }
  fclose(f);
  fclose(g);
}

static void assert_contains(const char *where, const char *what)
{
  if (!strstr(where, what)) {
    fail_msg("'%s' is not in:\n%s", what, where);
  }
}

/* Runs the command line (words separated by blanks) with stdout in out.txt and stderr in
 * err.txt. */
static int run(const gradrt_net *net, const char *line)
{
  char words[1024], *argv[ARGS_MAX];
  int argc = 0;
  snprintf(words, sizeof words, "./toy %s", line);
  for (char *w = strtok(words, " "); w; w = strtok(NULL, " ")) {
    argv[argc++] = w;
  }
  argv[argc] = NULL;
  int out = open("out.txt", O_WRONLY | O_CREAT | O_TRUNC, 0666),
      err = open("err.txt", O_WRONLY | O_CREAT | O_TRUNC, 0666);
  fflush(stdout);
  fflush(stderr);
  int kept[2] = { dup(STDOUT_FILENO), dup(STDERR_FILENO) };
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  int code = gradrt_main(net, argc, argv);
  fflush(stdout);
  fflush(stderr);
  dup2(kept[0], STDOUT_FILENO);
  dup2(kept[1], STDERR_FILENO);
  close(kept[0]);
  close(kept[1]);
  close(out);
  close(err);
  return code;
}

static void expect(const gradrt_net *net, const char *line, int code)
{
  int got = run(net, line);
  if (got != code) {
    fail_msg("'%s' gives %d, not %d:\n%s", line, got, code, slurp("err.txt", text));
  }
}

static int clean(void **state)
{
  (void)state;
  memset(&toy, 0, sizeof toy);
  return system("rm -rf runs a b c out.txt err.txt");
}

/* ---- learning ---- */

static void test_learns_and_writes_the_run(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  expect(&net, "--threads 2", GRADRT_OK);
  slurp("out.txt", text);
  assert_contains(text, "best epoch ");
  assert_contains(text, "95 % interval");
  assert_contains(text, "runs/toy/report.html");
  assert_contains(text, "confusion matrix (rows: true, columns: predicted)");
  assert_contains(text, "weighted avg");
  slurp("runs/toy/metrics.csv", text);
  assert_contains(text, "epoch,step,lr,train_loss,train_accuracy,train_top2,valid_loss,valid_"
                        "accuracy,valid_top2,best\n1,7,0.05,");
  assert_contains(text, "\n4,28,0.03645,");
  assert_int_equal(toy.steps, 4 * TOY_STEPS);
  assert_float_equal(toy.rate, 0.05 * 0.9 * 0.9 * 0.9, 1e-12);
  assert_float_equal(toy.bc1, 1 - pow(0.9, 28), 1e-12);
  expect(&net, "eval --require accuracy>=0.9 --require test.loss<=0.5", GRADRT_OK);
  const char *files[] = { "last.safetensors", "last.safetensors.prev",
                          "best.safetensors", "metrics.jsonl",
                          "time.csv",         "report.html" };
  for (int i = 0; i < 6; i++) {
    char path[64];
    snprintf(path, sizeof path, "runs/toy/%s", files[i]);
    assert_int_equal(access(path, R_OK), 0);
  }
}

static void test_every_sample_once_an_epoch_and_the_last_batch_is_partial(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  expect(&net, "--epochs 3 --silent", GRADRT_OK);
  assert_int_equal(toy.last_n, TOY_TRAIN % TOY_BATCH);
  assert_int_equal(toy.samples, 3 * TOY_TRAIN);
  int rows = 0;
  for (int i = 0; i < TOY_TRAIN + TOY_VALID; i++) {
    assert_true(toy.seen[i] == 0 || toy.seen[i] == 3);
    rows += toy.seen[i] > 0;
  }
  assert_int_equal(rows, TOY_TRAIN);
  assert_string_equal(slurp("out.txt", text), "");
  assert_string_equal(slurp("err.txt", text), "");
}

static void test_order_without_shuffle_and_with_other_seeds(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  int first[64];
  expect(&net, "--steps 2 --silent --out a", GRADRT_OK);
  memcpy(first, toy.order, sizeof first);
  clean(NULL);
  expect(&net, "--steps 2 --silent --out a --seed 1", GRADRT_OK);
  assert_memory_equal(first, toy.order, sizeof first);
  clean(NULL);
  expect(&net, "--steps 2 --silent --out a --seed 2", GRADRT_OK);
  assert_memory_not_equal(first, toy.order, sizeof first);
  clean(NULL);
  t.shuffle = false;
  expect(&net, "--steps 2 --silent --out a", GRADRT_OK);
  for (int i = 1; i < 64; i++) {
    assert_true(toy.order[i] > toy.order[i - 1]);
  }
}

/* trainers 6.1: an epoch draws a base seed, then the sampler's seed, then a permutation of its
 * own. */
static void test_torch_order_follows_the_data_loader(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  t.torch_rng = true;
  t.shuffle = false;
  expect(&net, "--steps 2 --silent --out a", GRADRT_OK);
  int plain[64];
  memcpy(plain, toy.order, sizeof plain);
  clean(NULL);
  t.shuffle = true;
  expect(&net, "--steps 2 --silent --out a", GRADRT_OK);
  gradrt_torch g, sampler;
  unsigned char block[TOY_STATE];
  static uint32_t order[TOY_TRAIN];
  assert_int_equal(gradrt_state_init(&net, block, 1, true, &g), GRADRT_OK);
  gradrt_torch_u64(&g);
  gradrt_torch_seed(&sampler, gradrt_torch_u64(&g) & UINT64_C(0x7FFFFFFFFFFFFFFF));
  gradrt_torch_randperm(&sampler, order, TOY_TRAIN);
  for (int i = 0; i < 64; i++) {
    if (order[i] < 64) {
      assert_int_equal(toy.order[i], plain[order[i]]);
    }
  }
}

/* ---- resuming ---- */

typedef struct { const char *name; bool torch, sum; const char *parts[5]; } ResumeCase;

static const ResumeCase resumes[] = {
  { "inside epochs",
    false,
    false,
    { "--steps 3", "--resume --steps 10", "--resume --steps 11", "--resume" } },
  { "at the ends of epochs", false, false, { "--steps 7", "--resume --steps 14", "--resume" } },
  { "with other thread counts",
    false,
    false,
    { "--steps 5 --threads 3", "--resume --threads 1 --steps 16", "--resume" } },
  { "with torch's generator",
    true,
    false,
    { "--steps 9", "--resume b/last.safetensors --steps 20", "--resume b" } },
  { "with summed losses", false, true, { "--steps 9", "--resume" } },
  { "after the end", false, false, { "", "--resume" } },
};

static void test_resumed_runs_equal_uninterrupted_ones(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof resumes / sizeof *resumes; i++) {
    const ResumeCase *c = &resumes[i];
    gradrt_train t = toy_training();
    gradrt_net net = toy_net(&t);
    t.torch_rng = c->torch;
    t.loss_sum = c->sum;
    clean(NULL);
    expect(&net, "--quiet --out a", GRADRT_OK);
    for (int k = 0; k < 5 && c->parts[k]; k++) {
      char line[128];
      snprintf(line, sizeof line, "--quiet --out b %s", c->parts[k]);
      expect(&net, line, GRADRT_OK);
    }
    static const char *const files[] = { "metrics.csv", "metrics.jsonl", "last.safetensors",
                                         "best.safetensors" };
    for (int k = 0; k < 4; k++) {
      char a[64], b[64];
      snprintf(a, sizeof a, "a/%s", files[k]);
      snprintf(b, sizeof b, "b/%s", files[k]);
      assert_same_file(a, b);
    }
    slurp("a/report.html", text);
    assert_string_equal(text, slurp("b/report.html", other));
  }
}

/* A row and best weights of an epoch whose checkpoint was never written (kill -9 in between). */
static void test_rows_after_the_checkpoint_are_dropped(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  expect(&net, "--quiet --out a", GRADRT_OK);
  expect(&net, "--quiet --out b --steps 14", GRADRT_OK);
  FILE *f = fopen("b/metrics.csv", "a");
  fputs("3,21,0.04,9,9,9,9,9,9,1\n4,28,0.0", f);
  fclose(f);
  f = fopen("b/metrics.jsonl", "a");
  fputs("{\"v\":1,\"eve", f);
  fclose(f);
  expect(&net, "--quiet --out b --resume", GRADRT_OK);
  assert_same_file("a/metrics.csv", "b/metrics.csv");
  assert_same_file("a/metrics.jsonl", "b/metrics.jsonl");
  slurp("b/time.csv", text);
  assert_contains(text, "\n4,");
}

static void test_signals_save_and_resume(void **state)
{
  (void)state;
  static const struct { int signal, code; long at; } cases[] = {
    { SIGINT, GRADRT_SIGINT, 3 }, { SIGTERM, GRADRT_SIGTERM, 14 }, { SIGTERM, GRADRT_SIGTERM, 28 }
  };
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  for (int i = 0; i < 3; i++) {
    clean(NULL);
    expect(&net, "--quiet --out a", GRADRT_OK);
    memset(&toy, 0, sizeof toy);
    toy.signal = cases[i].signal;
    toy.signal_at = cases[i].at;
    expect(&net, "--quiet --out b", cases[i].code);
    assert_int_equal(toy.steps, cases[i].at);
    assert_contains(slurp("err.txt", text), "train --resume b");
    toy.signal_at = 0;
    expect(&net, "--quiet --out b --resume", GRADRT_OK);
    assert_same_file("a/metrics.csv", "b/metrics.csv");
    assert_same_file("a/last.safetensors", "b/last.safetensors");
  }
}

static void test_resume_refusals(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  expect(&net, "--resume --out a --quiet", GRADRT_CHECKPOINT);
  expect(&net, "--resume nowhere --quiet", GRADRT_CHECKPOINT);
  expect(&net, "--quiet --out a --steps 3", GRADRT_OK);
  expect(&net, "--quiet --out a --resume --seed 5", GRADRT_USAGE);
  expect(&net, "--quiet --out a --resume --weights a", GRADRT_USAGE);
  toy_write_csv("train.csv", TOY_TRAIN + TOY_VALID, 99);
  int code = run(&net, "--quiet --out a --resume");
  toy_write_csv("train.csv", TOY_TRAIN + TOY_VALID, 7);
  assert_int_equal(code, GRADRT_CHECKPOINT);
}

static void test_damaged_checkpoint_falls_back_to_the_one_before(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  expect(&net, "--quiet --out a", GRADRT_OK);
  expect(&net, "--quiet --out b --steps 14", GRADRT_OK);
  assert_int_equal(truncate("b/last.safetensors", 100), 0);
  expect(&net, "--quiet --out b --resume", GRADRT_OK);
  assert_contains(slurp("err.txt", text), "last.safetensors.prev");
  assert_same_file("a/metrics.csv", "b/metrics.csv");
  assert_same_file("a/last.safetensors", "b/last.safetensors");
}

/* ---- stopping ---- */

static void test_stalled_restores_the_best_weights(void **state)
{
  (void)state;
  static const gradrt_stop stop = { GRADRT_STOP_STALLED, 1, -1, true, 3, 0 };
  gradrt_train t = toy_training();
  t.nstop = 1;
  t.stop = &stop;
  gradrt_net net = toy_net(&t);
  toy.worsen_after = 14;
  expect(&net, "--epochs 50 --json", GRADRT_OK);
  assert_int_equal(toy.steps, 5 * TOY_STEPS);
  slurp("out.txt", text);
  assert_contains(text, "\"status\":\"stalled\"");
  assert_contains(text, "\"best_epoch\":2");
  assert_contains(text, "\"weights\":\"runs/toy/best.safetensors\"");
  expect(&net, "eval --json", GRADRT_OK);
  assert_contains(slurp("out.txt", text), "\"weights\":\"runs/toy/best.safetensors\"");
  expect(&net, "--epochs 50 --json --resume", GRADRT_OK);
  assert_int_equal(toy.steps, 5 * TOY_STEPS);
}

static void test_reached_stops_at_the_goal(void **state)
{
  (void)state;
  static const gradrt_stop goals[] = { { GRADRT_STOP_REACHED, 1, 0, false, 0, 0.8 },
                                       { GRADRT_STOP_REACHED, 2, -1, true, 0, 10 },
                                       { GRADRT_STOP_REACHED, 0, 0, false, 0, 0.2 } };
  for (int i = 0; i < 3; i++) {
    gradrt_train t = toy_training();
    t.nstop = 1;
    t.stop = &goals[i];
    gradrt_net net = toy_net(&t);
    clean(NULL);
    expect(&net, "--epochs 50 --json", GRADRT_OK);
    assert_true(toy.steps < 10 * TOY_STEPS);
    assert_contains(slurp("out.txt", text), "\"status\":\"reached\"");
  }
}

static void test_nonfinite_loss_stops_before_saving(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  expect(&net, "--quiet --out a --steps 14", GRADRT_OK);
  clean(NULL);
  expect(&net, "--quiet --out a --steps 14", GRADRT_OK);
  slurp("a/last.safetensors", text);
  struct stat before, after;
  stat("a/last.safetensors", &before);
  memset(&toy, 0, sizeof toy);
  toy.nan_at = 4;
  expect(&net, "--quiet --out a --resume", GRADRT_NONFINITE);
  stat("a/last.safetensors", &after);
  assert_true(before.st_ino == after.st_ino);
  slurp("err.txt", text);
  assert_contains(text, "the loss is nan at step 18 (epoch 3, batch 4)");
  assert_contains(text, "last good checkpoint: a/last.safetensors");
  memset(&toy, 0, sizeof toy);
  toy.nan_weight_at = 7;
  expect(&net, "--quiet --out a --resume --epochs 3", GRADRT_NONFINITE);
  assert_contains(slurp("err.txt", text), "f1.weight is not finite after step 21");
  stat("a/last.safetensors", &after);
  assert_true(before.st_ino == after.st_ino);
}

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

static int enter(void **state)
{
  (void)state;
  if (!mkdtemp(home) || chdir(home) != 0) {
    return -1;
  }
  unsetenv("GRADC_PROGRESS");
  unsetenv("GRADC_DATA");
  toy_write_csv("train.csv", TOY_TRAIN + TOY_VALID, 7);
  toy_write_csv("test.csv", TOY_TEST, 8);
  return 0;
}

static int leave(void **state)
{
  (void)state;
  char line[64];
  snprintf(line, sizeof line, "rm -rf %s", home);
  return chdir("/") == 0 ? system(line) : -1;
}

#define TEST(f) cmocka_unit_test_setup(f, clean)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_learns_and_writes_the_run),
    TEST(test_every_sample_once_an_epoch_and_the_last_batch_is_partial),
    TEST(test_order_without_shuffle_and_with_other_seeds),
    TEST(test_torch_order_follows_the_data_loader),
    TEST(test_resumed_runs_equal_uninterrupted_ones),
    TEST(test_rows_after_the_checkpoint_are_dropped),
    TEST(test_signals_save_and_resume),
    TEST(test_resume_refusals),
    TEST(test_damaged_checkpoint_falls_back_to_the_one_before),
    TEST(test_stalled_restores_the_best_weights),
    TEST(test_reached_stops_at_the_goal),
    TEST(test_nonfinite_loss_stops_before_saving),
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
