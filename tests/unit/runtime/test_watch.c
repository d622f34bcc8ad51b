/* The search for the first value that is not finite, through gradrt_main: a net whose step computes
 * a = x, b = a * w, l = b * b with momentum on w, and spoils a value of its choice at a step of its
 * choice; what is said about it must be right whichever it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "toy_run.h"

/* The stored layouts are odd on purpose: `a` has its samples in lanes of 16 and a stale tail. */
enum { A_ELEMS = 2 * 2 * 16, A_AT = 0, B_AT = 1024, L_AT = 2048, ARENA = 4096 };

typedef enum { SPOIL_NOTHING, SPOIL_A, SPOIL_STALE, SPOIL_B, SPOIL_WEIGHT, SPOIL_LOSS } Spoiled;

static struct {
  Spoiled what;
  double at;                    /* step, from 0 */
  float value;
  bool usual;                   /* infinities in `b` at every step, which do no harm */
  bool once;                    /* only when met first: a replay does not meet it */
  const char *removes;          /* a file that vanishes at that step; or NULL */
  int watched, workers;         /* steps with a watcher; the largest number of workers in them */
} spoil;

static float *watch_floats(void *block, size_t offset)
{
  return (float *)(void *)((char *)block + offset);
}

static bool watch_spoils(const gradrt_step *s, Spoiled what)
{
  return spoil.what == what && s->args[GRADRT_ARG_STEP] == spoil.at;
}

static void watch_call(const gradrt_step *s, int call)
{
  if (s->watch) {
    gradrt_watch(s, call);
  }
}

/* a[c] of a sample: [n/16][2][n%16]. */
static float *watch_at(float *a, int64_t sample, int c)
{
  return &a[sample / 16 * 32 + c * 16 + sample % 16];
}

static void watch_forward(const gradrt_step *s)
{
  const float *x = s->rows[0], *w = watch_floats(s->state, TOY_W);
  float *a = watch_floats(s->arena, A_AT), *b = watch_floats(s->arena, B_AT);
  for (int64_t i = 0; i < s->n; i++) {
    for (int c = 0; c < 2; c++) {
      *watch_at(a, i, c) = x[2 * (size_t)s->ids[i] + (size_t)c];
    }
  }
  if (watch_spoils(s, SPOIL_A)) {
    *watch_at(a, 5, 1) = spoil.value;
  }
  if (watch_spoils(s, SPOIL_STALE) && s->n < 32) {
    *watch_at(a, 31, 0) = spoil.value;
  }
  watch_call(s, 0);
  for (int64_t i = 0; i < s->n; i++) {
    b[i] = *watch_at(a, i, 0) * w[0] + *watch_at(a, i, 1) * w[1];
  }
  b[0] = spoil.usual ? -INFINITY : b[0];
  if (watch_spoils(s, SPOIL_B)) {
    b[2] = spoil.value;
  }
  if (watch_spoils(s, SPOIL_B) && spoil.removes) {
    unlink(spoil.removes);
  }
  watch_call(s, 1);
}

static void watch_update(const gradrt_step *s)
{
  float *w = watch_floats(s->state, TOY_W), *m = watch_floats(s->state, TOY_MW);
  for (int i = 0; i < 6; i++) {
    m[i] = 0.5f * m[i] + w[i];
    w[i] -= (float)s->args[GRADRT_ARG_LR] * m[i];
  }
  if (watch_spoils(s, SPOIL_WEIGHT)) {
    w[3] = spoil.value;
  }
  watch_call(s, 2);
}

static void watch_train(const gradrt_step *s, int worker, int nworkers)
{
  gradrt_barrier_wait(s->barrier, worker, nworkers);
  if (s->watch && worker == 0) {
    spoil.watched++;
    spoil.workers = nworkers > spoil.workers ? nworkers : spoil.workers;
  }
  if (worker != 0) {
    return;
  }
  float *b = watch_floats(s->arena, B_AT), *loss = s->out[0], total = 0;
  watch_forward(s);
  for (int64_t i = spoil.usual ? 1 : 0; i < s->n; i++) {
    total += b[i] * b[i];
  }
  watch_update(s);
  if (watch_spoils(s, SPOIL_LOSS)) {
    total = spoil.value;
    spoil.what = spoil.once ? SPOIL_NOTHING : SPOIL_LOSS;
  }
  if (watch_spoils(s, SPOIL_A)) {
    total += *watch_at(watch_floats(s->arena, A_AT), 5, 1);
  }
  *loss = total;
}

static const gradrt_call calls[] = {
  { "take", "x", GRADRT_FORWARD, 0, "toy.nn:5" },
  { "mul", "f1.mul", GRADRT_FORWARD, 0, "toy.nn:9" },
  { "mul_dw", "f1.mul", GRADRT_BACKWARD, 0, "toy.nn:9" },
};
static const gradrt_made mades[] = {
  { 0, GRADRT_IN_ARENA, 0, "a", A_AT, A_ELEMS, 3, { { -1, 16, 2 }, { 0, 1, 2 }, { -1, 1, 16 } },
    NULL, NULL },
  { 1, GRADRT_IN_ARENA, 0, "b", B_AT, 32, 1, { { -1, 1, 32 } }, "f1.tail", "toy.nn:10" },
  { .call = 2, .where = GRADRT_IN_STATE, .index = 2 },
  { .call = 2, .where = GRADRT_IN_STATE, .index = 0 },
};
static const gradrt_output outputs[] = { { "loss", false, 0, { 0 } } };

static gradrt_net watch_net(gradrt_train *t)
{
  *t = toy_training();
  t->nmetric = 0;
  t->best_split = -1;
  t->lr = 0.01;
  t->npiece = 0;
  gradrt_net net = toy_net(t);
  net.nsplit = 1;
  net.train = (gradrt_function){ watch_train, 1, outputs, ARENA, 64, 3, calls, 4, mades };
  net.eval = net.infer = (gradrt_function){ .fn = NULL };
  return net;
}

static int fresh(void **state)
{
  memset(&spoil, 0, sizeof spoil);
  return clean(state);
}

/* ---- what is said ---- */

/* 250 samples: 8 steps an epoch, the last one of 26. */
static const struct {
  const char *name;
  Spoiled what;
  double at;
  float value;
  const char *error, *says, *place;
} finds[] = {
  { "first step", SPOIL_A, 0, INFINITY, "the loss is inf at step 1 (epoch 1, batch 1)",
    "layer 'x' (toy.nn:5), forward, tensor a, sample 5 of the batch (row ",
    "arises in step 1 (epoch 1, batch 1)" },
  { "last of an epoch", SPOIL_A, 15, NAN, "the loss is nan at step 16 (epoch 2, batch 8)",
    "layer 'x' (toy.nn:5), forward, tensor a, sample 5 of the batch (row ",
    "arises in step 16 (epoch 2, batch 8)" },
  { "fused layer", SPOIL_B, 9, -INFINITY, "the loss is inf at step 10 (epoch 2, batch 2)",
    "layer 'f1.tail' (toy.nn:10), forward, tensor b, sample 2 of the batch (row ",
    "arises in step 10 (epoch 2, batch 2), lr 0.01, in one kernel with 'f1.mul'\n" },
  { "weight, seen at a checkpoint", SPOIL_WEIGHT, 7, NAN, "f1.weight is not finite after step ",
    "layer 'f1.mul' (toy.nn:9), backward and update, tensor f1.weight, element [1, 1]: nan",
    "arises in step 8 (epoch 1, batch 8)" },
  { "no stored tensor", SPOIL_LOSS, 11, -INFINITY, "the loss is -inf at step 12",
    "arises in step 12 (epoch 2, batch 4), in no tensor that the step stores", "" },
};

static void expect_find(const gradrt_net *net, size_t row, const char *line)
{
  print_message("%s: %s\n", finds[row].name, line);
  expect(net, line, GRADRT_NONFINITE);
  slurp("err.txt", text);
  assert_contains(text, finds[row].error);
  assert_contains(text, finds[row].says);
  assert_contains(text, finds[row].place);
  assert_int_equal(spoil.workers, 1);
}

static void test_every_place_is_named_from_the_beginning(void **state)
{
  for (size_t i = 0; i < sizeof finds / sizeof *finds; i++) {
    for (int threads = 1; threads <= 2; threads++) {
      gradrt_train t;
      gradrt_net net = watch_net(&t);
      fresh(state);
      spoil.what = finds[i].what;
      spoil.at = finds[i].at;
      spoil.value = finds[i].value;
      expect_find(&net, i, threads == 1 ? "--quiet --threads 1" : "--quiet --threads 2");
    }
  }
}

static void test_every_place_is_named_from_a_checkpoint(void **state)
{
  static const char *const lines[] = { "--quiet --out a --save-every 3", "--quiet --out a --resume",
                                       "--quiet --out b --resume a" };
  for (size_t i = 0; i < sizeof finds / sizeof *finds; i++) {
    for (int line = 0; line < 3; line++) {
      gradrt_train t;
      gradrt_net net = watch_net(&t);
      fresh(state);
      bool resumes = line > 0;
      if (resumes && finds[i].at < 5) {
        continue;
      }
      if (resumes) {
        expect(&net, "--quiet --out a --steps 5", GRADRT_OK);
      }
      spoil.what = finds[i].what;
      spoil.at = finds[i].at;
      spoil.value = finds[i].value;
      expect_find(&net, i, lines[line]);
      assert_true(resumes || finds[i].at < 3 || strstr(text, "from a/last.safetensors"));
    }
  }
}

/* PyTorch's generator is a state, not a counter: the replay must find each epoch's order again. */
static void test_torch_order_is_replayed(void **state)
{
  gradrt_train t;
  gradrt_net net = watch_net(&t);
  t.torch_rng = true;
  fresh(state);
  spoil.what = SPOIL_A;
  spoil.at = 18;
  spoil.value = NAN;
  expect(&net, "--quiet --steps 12 --out a", GRADRT_OK);
  expect(&net, "--quiet --out a --resume", GRADRT_NONFINITE);
  char row[64];
  const char *at = strstr(slurp("err.txt", text), "(row ");
  assert_non_null(at);
  snprintf(row, sizeof row, "%.20s", at);
  clean(state);
  expect(&net, "--quiet --out b", GRADRT_NONFINITE);
  assert_contains(slurp("err.txt", text), row);
}

/* ---- what is not said ---- */

static void test_usual_infinities_are_passed_over(void **state)
{
  gradrt_train t;
  gradrt_net net = watch_net(&t);
  fresh(state);
  spoil.usual = true;
  spoil.what = SPOIL_WEIGHT;
  spoil.at = 12;
  spoil.value = INFINITY;
  expect(&net, "--quiet", GRADRT_NONFINITE);
  assert_contains(slurp("err.txt", text), "tensor f1.weight, element [1, 1]: inf");
  fresh(state);
  spoil.usual = true;
  expect(&net, "--quiet --epochs 1", GRADRT_OK);
}

static void test_what_lies_past_the_batch_is_not_looked_at(void **state)
{
  gradrt_train t;
  gradrt_net net = watch_net(&t);
  fresh(state);
  spoil.what = SPOIL_STALE;
  spoil.at = 7;
  spoil.value = NAN;
  expect(&net, "--quiet --epochs 1", GRADRT_OK);
  gradrt_watcher *w = gradrt_watcher_new(&net, &net.train);
  char *memory = gradrt_alloc(ARENA);
  gradrt_step step = { .arena = memory, .state = gradrt_alloc(TOY_STATE), .n = 26, .watch = w };
  gradrt_watcher_begin(w);
  *watch_at(watch_floats(memory, A_AT), 26, 1) = NAN;
  gradrt_watch(&step, 0);
  assert_null(gradrt_watcher_found(w));
  *watch_at(watch_floats(memory, A_AT), 25, 1) = -3e5f;
  *watch_at(watch_floats(memory, A_AT), 17, 1) = INFINITY;
  gradrt_watch(&step, 0);
  const gradrt_find *f = gradrt_watcher_found(w);
  assert_non_null(f);
  assert_int_equal(f->sample, 17);
  assert_int_equal(f->index[0], 1);
  assert_true(f->value > 0 && f->largest == 0);
  gradrt_watcher_begin(w);
  *watch_at(watch_floats(memory, A_AT), 17, 1) = 0;
  watch_floats(memory, B_AT)[3] = NAN;
  gradrt_watch(&step, 0);
  gradrt_watch(&step, 1);
  assert_true(f->largest == 3e5);
  assert_string_equal(f->largest_in, "a");
  assert_string_equal(f->tensor, "b");
  gradrt_free(step.state);
  gradrt_free(memory);
  gradrt_watcher_free(w);
}

static void test_what_a_replay_does_not_meet_is_not_guessed(void **state)
{
  gradrt_train t;
  gradrt_net net = watch_net(&t);
  fresh(state);
  spoil.what = SPOIL_LOSS;
  spoil.once = true;
  spoil.at = 3;
  spoil.value = NAN;
  expect(&net, "--quiet --out a", GRADRT_NONFINITE);
  slurp("err.txt", text);
  assert_contains(text, "the replay stayed finite, so the source is not known");
  assert_null(strstr(text, "first bad value"));
  fresh(state);
  expect(&net, "--quiet --out a --steps 5", GRADRT_OK);
  spoil.what = SPOIL_LOSS;
  spoil.at = 6;
  spoil.value = NAN;
  spoil.once = true;
  expect(&net, "--quiet --out a --resume --json", GRADRT_NONFINITE);
  assert_null(strstr(slurp("out.txt", text), "\"nonfinite\""));
}

static void test_a_lost_checkpoint_is_said(void **state)
{
  gradrt_train t;
  gradrt_net net = watch_net(&t);
  fresh(state);
  expect(&net, "--quiet --out a --steps 5", GRADRT_OK);
  spoil.what = SPOIL_B;
  spoil.at = 6;
  spoil.value = NAN;
  spoil.removes = "a/last.safetensors";
  expect(&net, "--quiet --out a --resume", GRADRT_NONFINITE);
  slurp("err.txt", text);
  assert_contains(text, "the loss is nan at step 7");
  assert_contains(text, "without it the source of the value cannot be found");
}

static void test_json_names_the_place(void **state)
{
  gradrt_train t;
  gradrt_net net = watch_net(&t);
  fresh(state);
  spoil.what = SPOIL_B;
  spoil.at = 2;
  spoil.value = NAN;
  expect(&net, "--json", GRADRT_NONFINITE);
  slurp("out.txt", text);
  assert_contains(text, "{\"v\":1,\"event\":\"nonfinite\",\"step\":3,\"epoch\":1,\"batch\":3,"
                        "\"layer\":\"f1.tail\",\"place\":\"toy.nn:10\",\"direction\":\"forward\","
                        "\"tensor\":\"b\",\"value\":\"nan\"}");
  assert_contains(text, "\"exit\":7");
  assert_contains(text, "\"steps\":2");
}

static void test_normal_runs_are_not_watched(void **state)
{
  gradrt_train t;
  gradrt_net net = watch_net(&t);
  fresh(state);
  expect(&net, "--quiet --epochs 2", GRADRT_OK);
  assert_int_equal(spoil.watched, 0);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(test_every_place_is_named_from_the_beginning),
    TEST(test_every_place_is_named_from_a_checkpoint),
    TEST(test_torch_order_is_replayed),
    TEST(test_usual_infinities_are_passed_over),
    TEST(test_what_lies_past_the_batch_is_not_looked_at),
    TEST(test_what_a_replay_does_not_meet_is_not_guessed),
    TEST(test_a_lost_checkpoint_is_said),
    TEST(test_json_names_the_place),
    TEST(test_normal_runs_are_not_watched),
  };
  return cmocka_run_group_tests(tests, enter, leave);
}
