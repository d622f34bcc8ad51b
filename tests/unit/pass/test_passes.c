/* Passes before and after, as text; and the runner: order, dumps, skipping, stopping, names of
 * passes. */
#include "pass/expand.h"
#include "pass/pass.h"
#include "unit/ir/net.h"

static const char head[] =
  "gradc-graph 1 program \"m\" real=f32 batch=4\n"
  "field \"x\" : f32[n,2,3]\n"
  "field \"t\" : i32[n,3]\n"
  "state \"w\" : f32[2] param init=zeros\n"
  "state \"m\" : f32[2,5] param init=zeros\n"
  "graph train {\n";

typedef struct { const char *what, *before, *after; } Row;

static void check_rows(bool (*pass)(PassCtx *), const Row *rows, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    Net t;
    net_open(&t);
    const char *text = arena_printf(t.arena, "%s%s}\n", head, rows[i].before);
    if (!net_read(&t, text, strlen(text)))
      fail_msg("%s: %s", rows[i].what, out_text(t.messages));
    PassCtx c = {
      .graph = t.program->train, .mode = MODE_TRAIN, .ops = ops_table(), .tmp = t.arena
    };
    bool changed = pass(&c);
    const char *got = net_graph_text(&t, t.program->train);
    net_expect(rows[i].what, got, arena_printf(t.arena, "graph train {\n%s}\n", rows[i].after));
    assert_null(program_verify(t.program, t.arena));
    if (changed == !strcmp(rows[i].before, rows[i].after))
      fail_msg("%s: reports that it changed %s", rows[i].what, changed ? "something" : "nothing");
    assert_false(pass(&c));
    net_close(&t);
  }
}

#define X "  %0 = input(field=0) : f32[n,2,3]  # x\n"
/* Numbers and a matrix. */
#define T "  %0 = input(field=1) : i32[n,3]  # t\n  %1 = read(state=1) : f32[2,5]  # m\n"

static void test_simplify(void **state)
{
  (void)state;
  static const Row rows[] = {
    { "x + 0",
      X "  %1 = const(value=0) : f32[]\n  %2 = add(%0, %1) : f32[n,2,3]\n  %3 = exp(%2) : "
        "f32[n,2,3]\n"
        "  output \"y\" = %3\n",
      X "  %1 = const(value=0) : f32[]\n  %2 = exp(%0) : f32[n,2,3]\n  output \"y\" = %2\n" },
    { "chain of views",
      X "  %1 = reshape(%0, shape=[6]) : f32[n,6]\n  %2 = reshape(%1, shape=[3, 2]) : f32[n,3,2]\n"
        "  output \"y\" = %2\n",
      X "  %1 = reshape(%0, shape=[6]) : f32[n,6]\n  %2 = reshape(%0, shape=[3, 2]) : f32[n,3,2]\n"
        "  output \"y\" = %2\n" },
    { "neg neg in two rounds",
      X "  %1 = neg(%0) : f32[n,2,3]\n  %2 = neg(%1) : f32[n,2,3]\n  %3 = neg(%2) : f32[n,2,3]\n"
        "  %4 = neg(%3) : f32[n,2,3]\n  output \"y\" = %4\n",
      X "  %1 = neg(%0) : f32[n,2,3]\n  %2 = neg(%0) : f32[n,2,3]\n  output \"y\" = %0\n" },
    { "dense behind one_hot reads columns",
      T "  %2 = one_hot_rows(%0, classes=5) : f32[n,3,5]\n"
        "  %3 = dense(%2, %1, units=2, bias=false) : f32[n,3,2]\n  output \"y\" = %3\n",
      T "  %2 = one_hot_rows(%0, classes=5) : f32[n,3,5]\n"
        "  %3 = token_columns(%0, %1) : f32[n,3,2]\n  output \"y\" = %3\n" },
    { "and its weight gradient adds to them",
      T "  %2 = one_hot_rows(%0, classes=5) : f32[n,3,5]\n"
        "  %3 = dense_dw(%2, %2) : f32[5,5]\n  output \"y\" = %3\n",
      T "  %2 = one_hot_rows(%0, classes=5) : f32[n,3,5]\n"
        "  %3 = token_columns_dw(%2, %0, tokens=5) : f32[5,5]\n  output \"y\" = %3\n" },
    { "nothing to do", X "  %1 = exp(%0) : f32[n,2,3]\n  output \"y\" = %1\n",
      X "  %1 = exp(%0) : f32[n,2,3]\n  output \"y\" = %1\n" },
  };
  check_rows(pass_simplify, rows, ARRAY_LEN(rows));
}

static bool pick(PassCtx *c) { return pick_before_clamp(c->graph); }

/* x as an image, and the types of windows that leave one value of it */
#define IMAGE \
  "  %0 = input(field=0) : f32[n,2,3]  # x\n  %1 = reshape(%0, shape=[1, 2, 3]) : f32[n,1,2,3]\n"
#define ONE " : f32[n,1,1,1]\n"
#define BOTH " : f32[n,1,1,1], u8[n,1,1,1]\n"
#define COLUMN " : f32[n,1,2,1], u8[n,1,2,1]\n"
#define SAME " : f32[n,1,2,3]\n"

static void test_pick(void **state)
{
  (void)state;
  static const Row rows[] = {
    { "a clamp goes behind",
      IMAGE "  %2 = relu(%1)" SAME "  %3 = maxpool(%2, kernel=[2])" BOTH
            "  output \"y\" = %3\n  output \"i\" = %3.1\n",
      IMAGE "  %2 = maxpool(%1, kernel=[2])" BOTH "  %3 = relu(%2)" ONE
            "  output \"y\" = %3\n  output \"i\" = %2.1\n" },
    { "through two",
      IMAGE "  %2 = relu(%1)" SAME "  %3 = maxpool(%2, kernel=[1, 2])" COLUMN
            "  %4 = maxpool(%3, kernel=[2, 1])" BOTH "  output \"y\" = %4\n",
      IMAGE "  %2 = maxpool(%1, kernel=[1, 2])" COLUMN "  %3 = maxpool(%2, kernel=[2, 1])" BOTH
            "  %4 = relu(%3)" ONE "  output \"y\" = %4\n" },
    { "read elsewhere",
      IMAGE "  %2 = relu(%1)" SAME "  %3 = maxpool(%2, kernel=[2])" BOTH
            "  output \"y\" = %3\n  output \"z\" = %2\n",
      IMAGE "  %2 = relu(%1)" SAME "  %3 = maxpool(%2, kernel=[2])" BOTH
            "  output \"y\" = %3\n  output \"z\" = %2\n" },
    { "no clamp",
      IMAGE "  %2 = tanh(%1)" SAME "  %3 = maxpool(%2, kernel=[2])" BOTH "  output \"y\" = %3\n",
      IMAGE "  %2 = tanh(%1)" SAME "  %3 = maxpool(%2, kernel=[2])" BOTH "  output \"y\" = %3\n" },
    { "a mean does not pick",
      IMAGE "  %2 = relu(%1)" SAME "  %3 = avgpool(%2, kernel=[2])" ONE "  output \"y\" = %3\n",
      IMAGE "  %2 = relu(%1)" SAME "  %3 = avgpool(%2, kernel=[2])" ONE "  output \"y\" = %3\n" },
  };
  check_rows(pick, rows, ARRAY_LEN(rows));
}

static void test_fold(void **state)
{
  (void)state;
  static const Row rows[] = {
    { "a chain of scalars",
      "  %0 = const(value=2) : f32[]\n  %1 = const(value=3) : f32[]\n  %2 = mul(%0, %1) : f32[]\n"
      "  %3 = sqrt(%2) : f32[]\n  output \"y\" = %3\n",
      "  %0 = const(value=2) : f32[]\n  %1 = const(value=3) : f32[]\n  %2 = const(value=6) : "
      "f32[]\n"
      "  %3 = const(value=2.4494898319244385) : f32[]\n  output \"y\" = %3\n" },
    { "operands are rounded first",
      "  %0 = const(value=0.1) : f32[]\n  %1 = const(value=1) : f32[]\n  %2 = mul(%0, %1) : "
      "f32[]\n  output \"y\" = %2\n",
      "  %0 = const(value=0.1) : f32[]\n  %1 = const(value=1) : f32[]\n  %2 = "
      "const(value=0.10000000149011612) : f32[]\n"
      "  output \"y\" = %2\n" },
    { "channels",
      "  %0 = const(value=[1, 2]) : f32[2]\n  %1 = const(value=[[1, 1], [1, 1]]) : f32[2,2]\n"
      "  %2 = add(%0, %1) : f32[2,2]\n  output \"y\" = %2\n",
      "  %0 = const(value=[1, 2]) : f32[2]\n  %1 = const(value=[[1, 1], [1, 1]]) : f32[2,2]\n"
      "  %2 = const(value=[[2, 2], [3, 3]]) : f32[2,2]\n  output \"y\" = %2\n" },
    { "views",
      "  %0 = const(value=[1, 2]) : f32[2]\n  %1 = reshape(%0, shape=[1, 2]) : f32[1,2]\n  output "
      "\"y\" = %1\n",
      "  %0 = const(value=[1, 2]) : f32[2]\n  %1 = const(value=[[1, 2]]) : f32[1,2]\n  output "
      "\"y\" = %1\n" },
    { "step arguments stay",
      "  %0 = arg(which=0) : f32[]  # lr\n  %1 = neg(%0) : f32[]\n  output \"y\" = %1\n",
      "  %0 = arg(which=0) : f32[]  # lr\n  %1 = neg(%0) : f32[]\n  output \"y\" = %1\n" },
    { "batches stay",
      "  %0 = const(value=1) : f32[]\n  %1 = spread(%0, batch=true) : f32[n]\n  output \"y\" = "
      "%1\n",
      "  %0 = const(value=1) : f32[]\n  %1 = spread(%0, batch=true) : f32[n]\n  output \"y\" = "
      "%1\n" },
  };
  check_rows(pass_fold, rows, ARRAY_LEN(rows));
}

static void test_cse(void **state)
{
  (void)state;
  static const Row rows[] = {
    { "in either order",
      X "  %1 = read(state=0) : f32[2]  # w\n  %2 = read(state=0) : f32[2]  # w\n"
        "  %3 = mul(%0, %1) : f32[n,2,3]\n  %4 = mul(%2, %0) : f32[n,2,3]\n"
        "  %5 = add(%3, %4) : f32[n,2,3]\n  output \"y\" = %5\n",
      X "  %1 = read(state=0) : f32[2]  # w\n  %2 = mul(%0, %1) : f32[n,2,3]\n  %3 = add(%2, %2) : "
        "f32[n,2,3]\n"
        "  output \"y\" = %3\n" },
    { "sub does not commute",
      X "  %1 = read(state=0) : f32[2]  # w\n  %2 = sub(%0, %1) : f32[n,2,3]\n"
        "  %3 = sub(%1, %0) : f32[n,2,3]\n  output \"y\" = %2\n  output \"z\" = %3\n",
      X "  %1 = read(state=0) : f32[2]  # w\n  %2 = sub(%0, %1) : f32[n,2,3]\n"
        "  %3 = sub(%1, %0) : f32[n,2,3]\n  output \"y\" = %2\n  output \"z\" = %3\n" },
    { "attributes count",
      X "  %1 = affine(%0, scale=2) : f32[n,2,3]\n  %2 = affine(%0, scale=3) : f32[n,2,3]\n"
        "  %3 = affine(%0, scale=2) : f32[n,2,3]\n  %4 = fma(%1, %2, %3) : f32[n,2,3]\n  output "
        "\"y\" = %4\n",
      X "  %1 = affine(%0, scale=2) : f32[n,2,3]\n  %2 = affine(%0, scale=3) : f32[n,2,3]\n"
        "  %3 = fma(%1, %2, %1) : f32[n,2,3]\n  output \"y\" = %3\n" },
    { "random ones stay",
      X "  %1 = dropout_mask(%0) : f32[n,2,3]\n  %2 = dropout_mask(%0) : f32[n,2,3]\n"
        "  output \"y\" = %1\n  output \"z\" = %2\n",
      X "  %1 = dropout_mask(%0) : f32[n,2,3]\n  %2 = dropout_mask(%0) : f32[n,2,3]\n"
        "  output \"y\" = %1\n  output \"z\" = %2\n" },
    { "several results",
      X "  %1 = bn_stats(%0) : f32[2], f32[2]\n  %2 = bn_stats(%0) : f32[2], f32[2]\n"
        "  %3 = sub(%1, %2.1) : f32[2]\n  output \"y\" = %3\n",
      X "  %1 = bn_stats(%0) : f32[2], f32[2]\n  %2 = sub(%1, %1.1) : f32[2]\n  output \"y\" = "
        "%2\n" },
  };
  check_rows(pass_cse, rows, ARRAY_LEN(rows));
}

static void test_dce(void **state)
{
  (void)state;
  static const Row rows[] = {
    { "unused nodes",
      X "  %1 = relu(%0) : f32[n,2,3]\n  %2 = exp(%0) : f32[n,2,3]\n  %3 = exp(%2) : f32[n,2,3]\n"
        "  output \"y\" = %1\n",
      X "  %1 = relu(%0) : f32[n,2,3]\n  output \"y\" = %1\n" },
    { "writes are uses",
      "  %0 = read(state=0) : f32[2]  # w\n  %1 = neg(%0) : f32[2]\n  %2 = exp(%0) : f32[2]\n"
      "  write \"w\" = %1\n",
      "  %0 = read(state=0) : f32[2]  # w\n  %1 = neg(%0) : f32[2]\n  write \"w\" = %1\n" },
    { "one of two results", X "  %1 = bn_stats(%0) : f32[2], f32[2]\n  output \"y\" = %1.1\n",
      X "  %1 = bn_stats(%0) : f32[2], f32[2]\n  output \"y\" = %1.1\n" },
  };
  check_rows(pass_dce, rows, ARRAY_LEN(rows));
}

static void test_expand(void **state)
{
  (void)state;
  static const Row rows[] = {
    { "dropout in training",
      X "  %1 = dropout(%0, p=0.25) : f32[n,2,3] \"d\"\n  output \"y\" = %1\n",
      X
      "  %1 = dropout_mask(%0, p=0.25, key=3775669363) : f32[n,2,3] \"d\"\n  output \"y\" = %1\n" },
    { "dropout of nothing", X "  %1 = dropout(%0, p=0) : f32[n,2,3] \"d\"\n  output \"y\" = %1\n",
      X "  output \"y\" = %0\n" },
  };
  check_rows(pass_expand, rows, ARRAY_LEN(rows));
}

/* ---- runner ---- */

static const char wasteful[] =
  "gradc-graph 1 program \"m\" real=f32 batch=4 field \"x\" : f32[n,2]\n"
  "graph train { %0 = input(field=0) : f32[n,2] %1 = exp(%0) : f32[n,2] %2 = exp(%0) : f32[n,2]\n"
  "%3 = const(value=0) : f32[] %4 = add(%2, %3) : f32[n,2] output \"y\" = %4 }\n"
  "graph infer { %0 = input(field=0) : f32[n,2] output \"y\" = %0 }";

static const char *run(Net *t, const PassOptions *o, bool *finished)
{
  net_load(t, wasteful);
  Out *out = out_new(t->arena);
  *finished = passes_run(t->program, ops_table(), o, t->arena, out);
  return out_text(out);
}

static void test_runner_runs_everything(void **state)
{
  (void)state;
  Net t;
  bool finished;
  const char *dump = run(&t, NULL, &finished);
  assert_true(finished);
  assert_string_equal(dump, "");
  net_expect("train", net_graph_text(&t, t.program->train),
             "graph train {\n  %0 = input(field=0) : f32[n,2]  # x\n  %1 = exp(%0) : f32[n,2]\n  "
             "output \"y\" = %1\n}\n");
  net_close(&t);
}

static void test_runner_skips(void **state)
{
  (void)state;
  Net t;
  bool finished;
  run(&t, &(PassOptions){ .skip = "cse,dce" }, &finished);
  assert_int_equal(t.program->train->order.n, 4);
  assert_true(pass_skipped(&(PassOptions){ .skip = "cse,fuse" }, "fuse"));
  assert_false(pass_skipped(&(PassOptions){ .skip = "cse,fuse" }, "fus"));
  net_close(&t);
}

static void test_runner_stops_and_prints(void **state)
{
  (void)state;
  Net t;
  bool finished;
  const char *dump =
      run(&t, &(PassOptions){ .print_after = "simplify", .stop_after = "simplify" }, &finished);
  assert_false(finished);
  assert_int_equal(t.program->train->order.n, 4);
  assert_ptr_equal(strstr(dump, "# after simplify\ngradc-graph 1\n"), dump);
  Net again;
  net_load(&again, dump);
  assert_int_equal(again.program->train->order.n, 4);
  net_close(&again);
  net_close(&t);
}

static void test_runner_prints_what_changed(void **state)
{
  (void)state;
  Net t;
  bool finished;
  const char *dump = run(&t, &(PassOptions){ .print_changed = true }, &finished);
  assert_non_null(strstr(dump, "# after expand: graph train (unchanged)\n"));
  assert_non_null(strstr(dump, "# after cse: graph train changed\ngraph train {\n"));
  assert_non_null(strstr(dump, "# after cse: graph infer (unchanged)\n"));
  net_close(&t);
}

static void test_runner_times(void **state)
{
  (void)state;
  Net t;
  bool finished;
  const char *dump = run(&t, &(PassOptions){ .time_passes = true, .skip = "fold" }, &finished);
  assert_non_null(strstr(dump, " ms\n"));
  assert_non_null(strstr(dump, " ms (skipped)\n"));
  net_close(&t);
}

static void test_names_of_passes(void **state)
{
  (void)state;
  static const struct { PassOptions o; const char *message;
  } rows[] = {
    { { .skip = NULL }, NULL },
    { { .print_after = "all" }, NULL },
    { { .print_after = "cse,dce,fuse,train" }, NULL },
    { { .skip = "layout,fuse" }, NULL },
    { { .stop_after = "dce" }, NULL },
    { { .skip = "cs" }, "--skip: there is no pass 'cs'; did you mean 'cse'?" },
    { { .stop_after = "all" }, "--stop-after: there is no pass 'all'; see --list-passes" },
    { { .print_after = "cse,inline" },
      "--print-after: there is no pass 'inline'; see --list-passes" },
    { { .skip = "train" }, "--skip: 'train' cannot be skipped" },
  };
  Arena *a = arena_new("test");
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    const char *fault = passes_check(&rows[i].o, a);
    if (!str_eq(fault, rows[i].message))
      fail_msg("row %zu: %s", i, fault ? fault : "no message");
  }
  Out *o = out_new(a);
  passes_list(o);
  assert_non_null(strstr(out_text(o), "graph   cse       equal operations"));
  assert_non_null(strstr(out_text(o), "kernel  fuse"));
  arena_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_simplify),
    cmocka_unit_test(test_pick),
    cmocka_unit_test(test_fold),
    cmocka_unit_test(test_cse),
    cmocka_unit_test(test_dce),
    cmocka_unit_test(test_expand),
    cmocka_unit_test(test_runner_runs_everything),
    cmocka_unit_test(test_runner_skips),
    cmocka_unit_test(test_runner_stops_and_prints),
    cmocka_unit_test(test_runner_prints_what_changed),
    cmocka_unit_test(test_runner_times),
    cmocka_unit_test(test_names_of_passes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
