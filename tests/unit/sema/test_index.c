/* Mistakes in index notation: each wrong op gives one message with its place, and right ones none.
 * What ops compute is compared with layers in tests/e2e/user_ops.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "ops/ops.h"
#include "sema/check.h"
#include "syntax/ast.h"
#include "syntax/parse.h"

#include <stdio.h>
#include <string.h>

typedef struct { const char *call, *op, *message; } Wrong;

/* The message: its first line, without the file. */
static const Wrong wrong[] = {
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i+1] = x[i]; }",
    "2:34: error: the left side has plain indices [E0331]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n,n] { y[i,i] = x[i]; }",
    "2:38: error: index `i` stands twice on the left [E0331]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = x[i,i]; }",
    "2:39: error: `x` has 1 dimension, but 2 places are given [E0331]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i,j] = x[i] * x[j]; }",
    "2:32: error: `y` has 1 dimension, but 2 indices are given [E0331]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = x[i * i]; }",
    "2:41: error: a place is a sum of indices, which numbers may multiply [E0331]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = x[i / 2]; }",
    "2:41: error: a place is a sum of indices, which numbers may multiply [E0331]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] += x[i + j] where j in 3; }",
    "2:60: error: an index runs from one number to another [E0331]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] += x[i + j] where j in 2..1; }",
    "2:63: error: the last value of an index must be from 2 to 2147483647, not 1 [E0304]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] += x[i + j] where j in 0..1, j in 0..2; }",
    "2:66: error: index `j` has two ranges [E0306]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = x[i + 1]; }",
    "2:41: error: this place runs from 1 to 6, but `x` has the places 0 to 5 here [E0333]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = x[*i]; }",
    "2:41: error: `*i` does not stand on the left [E0331]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { t[i] += x[2 * j - i]; y[i] = t[i]; }",
    "2:34: error: the range of index `i` is not known [E0332]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { t[*i] = 1; y[i] = t[i]; }",
    "2:34: error: how many indices `*i` stands for is not known [E0332]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = x[i] * x[j]; }",
    "2:48: error: index `j` does not stand on the left [E0334]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] += x[i]; }",
    "2:37: error: `+=` has no index to run over: all stand on the left [E0334]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] += x[i] where j in 0..2; }",
    "2:51: error: index `j` is not used [E0334]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = y[i] + x[i]; }",
    "2:39: error: `y` is used in its own definition [E0317]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = v[i] + x[i]; }",
    "2:39: error: there is no value called `v` [E0305]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = x + 1; }",
    "2:39: error: `x` is a tensor f32[6]: say which element [E0331]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = dense(x[i]); }",
    "2:39: error: `dense` is a layer, but an op calculates with single elements [E0334]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = f(x[i]); }",
    "2:39: error: `f` is a layer, but an op calculates with single elements [E0334]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = expo(x[i]); }",
    "2:39: error: there is no function called `expo` [E0301]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = max(x[i]); }",
    "2:39: error: `max` takes 2 values here [E0308]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = x[i] ** x[i]; }",
    "2:47: error: the power must be a number [E0307]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = x[i] % 2; }",
    "2:39: error: operator `%` is not available between tensors [E0301]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = 1; }",
    "2:32: error: `y` is the same for every sample [E0331]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { z[i] = x[i]; }",
    "2:20: error: the result `y` is never given a value [E0309]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = x[i]; y[i] = x[i]; }",
    "2:45: error: `y` is already the name of a value [E0306]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { x[i] = 2; y[i] = x[i]; }",
    "2:32: error: `x` is already the name of a value [E0306]" },
  { "x -> f",
    "op f(x: f32[n], w: param f32[u,n]) -> y: f32[u] { y[i] += w[i,j] * x[j]; }",
    "3:44: error: op `f` needs its `u` [E0303]" },
  { "x -> f(6, 7)",
    "op f(x: f32[n], w: param f32[u,n]) -> y: f32[u] { y[i] += w[i,j] * x[j]; }",
    "3:49: error: op `f` takes 2 values, and this is one more [E0308]" },
  { "x -> f(6, w=zeroes)",
    "op f(x: f32[n], w: param f32[u,n]) -> y: f32[u] { y[i] += w[i,j] * x[j]; }",
    "3:51: error: there is no initialiser called `zeroes` [E0304]" },
  { "x -> f(u=2, v=3)",
    "op f(x: f32[n], w: param f32[u,n]) -> y: f32[u] { y[i] += w[i,j] * x[j]; }",
    "3:51: error: op `f` has no parameter `v` [E0302]" },
  { "x -> f",
    "block f(x: f32[n], w: param f32[n]) -> f32[n] { return x; }",
    "2:20: error: only an `op` declares `param` tensors of its own [E0313]" },
  { "x -> f",
    "op f(x: f32[a,b]) -> y: f32[a,b] { y[i,j] = x[i,j]; }",
    "2:9: error: `x` is wanted with 2 dimensions, but it is f32[6] [E0210]" },
  { "x -> f",
    "op f(x: f32[*s,a,b]) -> y: f32[a,b] { y[i,j] = x[i,j]; }",
    "2:9: error: `x` is wanted with at least 2 dimensions, but it is f32[6] [E0210]" },
  { "x -> f",
    "op f(x: f32[*s,*t]) -> y: f32[*s] { y[*i] = x[*i]; }",
    "2:13: error: a type leaves dimensions open once: `*s` [E0331]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n + 1] { t[i] = x[i]; y[i] = t[i]; }",
    "2:58: error: this place runs from 0 to 6, but `t` has the places 0 to 5 here [E0333]" },
  { "x -> f",
    "op f(x: f32[n]) -> f32[n] { y[i] = x[i]; } op f(x: f32[n]) -> f32[n] { y[i] = x[i]; }",
    "2:47: error: there are two ops called `f` [E0306]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] += x[a] * x[b] * x[c] * x[d] * x[e] * x[g] * x[h]; }",
    "2:82: error: a product has at most 6 factors [E0602]" },
  { "x -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] += exp(x[a] + x[b] + x[c] + x[d] + x[e] + x[g] + "
    "x[h] + x[j] + x[k]); }",
    "2:44: error: this expression depends on 9 indices at once; the limit is 8 [E0602]" },
  { "x -> f",
    "op f(x: f32[n], m = 2000000000) -> y: f32[m] { y[i] += x[k] * i where k in 0..n - 1; }",
    "2:63: error: this index is used as a number and has 2000000000 values; the limit is "
    "1048576 [E0602]" },
  { "x[0] -> f",
    "op f(x: f32[n]) -> y: f32[n] { y[i] = x[i]; }",
    "3:39: error: a tensor is needed here [E0307]" },
};

typedef struct {
  Arena *arena;
  Model *model;
  char first[4096];             /* the first line of every message, without the file */
  char help[128];               /* the last one */
} Result;

static void collect(void *ctx, const char *text)
{
  Result *r = ctx;
  size_t have = strlen(r->first), n = strcspn(text, "\n");
  const char *colon = strchr(text, ':');
  if (strncmp(text, "t.nn:", 5) == 0 && colon && have + n + 2 < sizeof r->first)
    snprintf(r->first + have, sizeof r->first - have, "%.*s\n", (int)(n - 5), text + 5);
  const char *help = strstr(text, "help: ");
  if (help)
    snprintf(r->help, sizeof r->help, "%.*s", (int)strcspn(help + 6, "\n"), help + 6);
}

static void run(Result *r, const char *call, const char *op)
{
  memset(r, 0, sizeof *r);
  r->arena = arena_new("test");
  const char *text = arena_printf(
      r->arena, "net 1;\n%s\nmodel m(x: f32[6]) -> y: f32[6] { y = %s; }\n", op, call);
  SourceMap *m = source_map_new(r->arena);
  uint32_t length = (uint32_t)strlen(text), base = source_add(m, "t.nn", text, length);
  Diag *d = diag_new(r->arena, m, collect, r);
  CheckOptions o = { 0 };
  r->model = check(parse(text, length, base, r->arena, d), "t.nn", &o, ops_table(), r->arena, d);
  diag_flush(d);
}

static void test_wrong_ops_give_one_message(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
    Result r;
    run(&r, wrong[i].call, wrong[i].op);
    size_t n = strcspn(r.first, "\n");
    if (strlen(wrong[i].message) != n || strncmp(r.first, wrong[i].message, n) || r.first[n + 1])
      fail_msg("%s\nsays\n%sinstead of\n%s", wrong[i].op, r.first, wrong[i].message);
    arena_free(&r.arena);
  }
}

/* The range that is proposed ends with the last place of what the index reads. */
static void test_a_proposed_range_fits(void **state)
{
  Result r;
  (void)state;
  run(&r, "x -> f",
      "op f(x: f32[n]) -> y: f32[n] { t[i] += x[i + d] where d in -1..1; y[i] = t[i]; }");
  assert_string_equal(r.help, "write it behind the statement, both ends counted: where i in 0..5");
  arena_free(&r.arena);
}

typedef struct { const char *call, *op, *nodes; } Right;

/* The operations of the graph behind the input, in order. */
static const Right right[] = {
  { "x -> f", "op f(x: f32[*s]) -> f32[*s] { y[*i] = 2 * x[*i]; }", "affine" },
  { "x -> f", "op f(x: f32[n]) -> y: f32[n] { y[i] = -x[i] ** 2; }", "pow neg" },
  { "x -> f", "op f(x: f32[n], k = 2) -> y: f32[n] { t[i] = x[i] * x[i] / k; y[j] = t[j]; }",
    "mul const div" },
  { "x -> f", "op f(x: f32[n]) -> y: f32[n] { y[i] = max(x[i], 0); }", "const max" },
  { "x -> f", "op f(x: f32[n]) -> y: f32[n] { y[i] = leaky_relu(x[i], slope=0.2); }",
    "leaky_relu" },
  { "x -> f", "op f(x: f32[n]) -> y: f32[n] { s += x[i]; y[i] = x[i] / s; }", "index_sum div" },
  { "x -> f", "op f(x: f32[n]) -> y: f32[n] { y[i] = x[n - 1 - i]; }", "index_sum" },
  { "x -> f", "op f(x: f32[n]) -> y: f32[n] { y[i] minof= x[j] where j in 0..2; }",
    "neg index_max neg" },
  { "x -> f", "op f(x: f32[n]) -> y: f32[n] { y[i] += (x[i] - x[j]) ** 2; }",
    "index_sum index_sum sub pow index_sum" },
  { "x -> f", "op f(x: f32[n], w: param f32[n,n]) -> y: f32[n] { y[i] += w[i,j] * x[j]; }",
    "read index_sum" },
};

static void test_right_ops_become_few_nodes(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(right); i++) {
    Result r;
    run(&r, right[i].call, right[i].op);
    assert_string_equal(r.first, "");
    const Graph *g = r.model->forward;
    const char *nodes = "";
    for (uint32_t k = 1; k < g->order.n; k++)
      nodes = arena_printf(r.arena, "%s%s%s", nodes, *nodes ? " " : "", g->order.at[k]->op->name);
    if (!str_eq(nodes, right[i].nodes))
      fail_msg("%s\nbecomes %s", right[i].op, nodes);
    arena_free(&r.arena);
  }
}

/* Tensors that an op owns: names, shapes and how they start. */
static void test_param_tensors(void **state)
{
  Result r;
  (void)state;
  run(&r, "x -> f(3, w=normal(std=0.5))",
      "op f(x: f32[n], w: param f32[u,n], v: param f32[n,u], b: param f32[n], s: param f32 = ones)"
      " -> y: f32[n] { h[i] += w[i,j] * x[j]; t[i] += v[i,j] * h[j]; y[i] = s * t[i] + b[i]; }");
  assert_string_equal(r.first, "");
  const Program *p = r.model->program;
  assert_int_equal(p->state.n, 4);
  assert_string_equal(p->state.at[0].name, "y.w");
  assert_int_equal(p->state.at[0].init.kind, INIT_NORMAL);
  assert_int_equal(p->state.at[0].type.dim[0], 3);
  assert_int_equal(p->state.at[0].type.dim[1], 6);
  assert_int_equal(p->state.at[1].init.kind, INIT_KAIMING_UNIFORM);
  assert_int_equal(p->state.at[1].fan_in, 3);
  assert_int_equal(p->state.at[2].init.kind, INIT_ZEROS);
  assert_int_equal(p->state.at[3].init.kind, INIT_ONES);
  assert_int_equal(p->state.at[3].type.rank, 0);
  for (int i = 0; i < 4; i++)
    assert_true(p->state.at[i].trainable);
  arena_free(&r.arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_wrong_ops_give_one_message),
    cmocka_unit_test(test_a_proposed_range_fits),
    cmocka_unit_test(test_right_ops_become_few_nodes),
    cmocka_unit_test(test_param_tensors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
