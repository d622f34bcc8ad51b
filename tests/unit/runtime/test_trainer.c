/* Training, resuming, stopping and their files, through gradrt_main with the toy net. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toy_run.h"

static char other[TEXT_MAX];

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

/* Trains into b in a child that is killed at a step or an evaluated batch; then resumes to the
 * end, or starts again when nothing was saved yet. */
static void train_through_a_kill(const gradrt_net *net, long step, long eval)
{
  clean(NULL);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    toy.signal = SIGKILL;
    toy.signal_at = step;
    toy.signal_at_eval = eval;
    run(net, "--quiet --out b --save-every 5");
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  bool saved = access("b/last.safetensors", F_OK) == 0;
  expect(net, saved ? "--quiet --out b --resume" : "--quiet --out b", GRADRT_OK);
}

static void test_killed_anywhere_and_resumed_gives_the_same_bits(void **state)
{
  (void)state;
  gradrt_train t = toy_training();
  gradrt_net net = toy_net(&t);
  expect(&net, "--quiet --out kept", GRADRT_OK);
  for (long at = 1; at <= 28 + 8; at++) {
    train_through_a_kill(&net, at <= 28 ? at : 0, at <= 28 ? 0 : at - 28);
    assert_same_file("kept/metrics.csv", "b/metrics.csv");
    assert_same_file("kept/metrics.jsonl", "b/metrics.jsonl");
    assert_same_file("kept/last.safetensors", "b/last.safetensors");
    assert_same_file("kept/best.safetensors", "b/best.safetensors");
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
    TEST(test_killed_anywhere_and_resumed_gives_the_same_bits),
    TEST(test_resume_refusals),
    TEST(test_damaged_checkpoint_falls_back_to_the_one_before),
    TEST(test_stalled_restores_the_best_weights),
    TEST(test_reached_stops_at_the_goal),
    TEST(test_nonfinite_loss_stops_before_saving),
  };
  return cmocka_run_group_tests(tests, enter, leave);
}
