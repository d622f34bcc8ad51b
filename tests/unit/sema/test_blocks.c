/* Blocks, repeat, if and symbolic dimensions: a spec that uses them is the graph that it stands
 * for, and wrong ones give one message with its place. */
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

typedef struct {
  Arena *arena;
  Diag *diag;
  Model *model;
  char first[4096];             /* the first line of every message, without file and line */
} Result;

static void collect(void *ctx, const char *text)
{
  Result *r = ctx;
  size_t have = strlen(r->first), n = strcspn(text, "\n");
  if (have + n + 2 < sizeof r->first)
    snprintf(r->first + have, sizeof r->first - have, "%.*s\n", (int)n, text);
}

static void run(Result *r, const char *text)
{
  memset(r, 0, sizeof *r);
  r->arena = arena_new("test");
  SourceMap *m = source_map_new(r->arena);
  uint32_t length = (uint32_t)strlen(text), base = source_add(m, "t.nn", text, length);
  r->diag = diag_new(r->arena, m, collect, r);
  CheckOptions o = { .set = NULL };
  Ast *file = parse(text, length, base, r->arena, r->diag);
  r->model = check(file, "t.nn", &o, ops_table(), r->arena, r->diag);
  diag_flush(r->diag);
}

static const char *model_spec(Arena *a, const char *declarations, const char *body)
{
  return arena_printf(a, "net 1; %s model m(x: f32[4,6,6]) -> y: f32[3] { %s }", declarations,
                      body);
}

/* ---- the same graph ---- */

static void same_states(const Program *p, const Program *q)
{
  assert_int_equal(p->state.n, q->state.n);
  for (uint32_t i = 0; i < p->state.n; i++) {
    assert_true(type_equal(&p->state.at[i].type, &q->state.at[i].type));
    assert_int_equal(p->state.at[i].init.kind, q->state.at[i].init.kind);
    assert_int_equal(p->state.at[i].fan_in, q->state.at[i].fan_in);
  }
}

static void same_graphs(const Graph *g, const Graph *h)
{
  assert_int_equal(g->order.n, h->order.n);
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *a = g->order.at[i], *b = h->order.at[i];
    assert_string_equal(a->op->name, b->op->name);
    assert_int_equal(a->nin, b->nin);
    for (uint32_t k = 0; k < a->nin; k++) {
      assert_int_equal(a->in[k].node ? a->in[k].node->id : 0,
                       b->in[k].node ? b->in[k].node->id : 0);
      assert_int_equal(a->in[k].result, b->in[k].result);
    }
    assert_int_equal(a->nout, b->nout);
    for (uint32_t k = 0; k < a->nout; k++)
      assert_true(type_equal(&a->type[k], &b->type[k]));
  }
}

static const char residual[] =
  "block residual(x: f32[c,h,w], f, stride = 1) -> f32[f, h / stride, w / stride] {"
  "  a = x -> conv(f, 3, stride=stride, pad=1, bias=false) -> batchnorm -> relu"
  "        -> conv(f, 3, pad=1, bias=false) -> batchnorm;"
  "  if c != f or stride != 1 { b = x -> conv(f, 1, stride=stride, bias=false) -> batchnorm; }"
  "  else { b = x; }"
  "  return a + b -> relu; }";

#define PLAIN(x, f, stride)                                                                  \
  x " -> conv(" f ", 3, stride=" stride ", pad=1, bias=false) -> batchnorm -> relu"          \
    " -> conv(" f ", 3, pad=1, bias=false) -> batchnorm; "
#define HEAD "y = r -> flatten -> dense(3);"

typedef struct { const char *declarations, *body, *flat; } Pair;

static const Pair pairs[] = {
  { residual, "r = x -> residual(4);" HEAD, "a = " PLAIN("x", "4", "1") "r = a + x -> relu;" HEAD },
  { residual, "r = residual(x, stride=2, f=8);" HEAD,
    "a = " PLAIN("x", "8", "2") "b = x -> conv(8, 1, stride=2, bias=false) -> batchnorm;"
    "r = a + b -> relu;" HEAD },
  { residual, "r = x; repeat i in 1..3 { r = r -> residual(4) as step; }" HEAD,
    "a = " PLAIN("x", "4", "1") "p = a + x -> relu; b = " PLAIN("p", "4", "1")
    "q = b + p -> relu; c = " PLAIN("q", "4", "1") "r = c + q -> relu;" HEAD },
  { "", "h = x -> flatten; repeat i in 1..2 { repeat k in 1..i { h = h -> dense(10 * i + k); } }"
    "y = h -> dense(3);",
    "y = x -> flatten -> dense(11) -> dense(21) -> dense(22) -> dense(3);" },
  { "", "h = x -> flatten; repeat i in 1..0 { h = h -> dense(i); } y = h -> dense(3);",
    "y = x -> flatten -> dense(3);" },
  { "const deep = true; const n = 3;",
    "h = x -> flatten; if not deep { h2 = h; } else if n == 3 and deep { h2 = h -> relu; }"
    "else { h2 = h -> tanh; } y = h2 -> dense(n);",
    "y = x -> flatten -> relu -> dense(3);" },
  { "block head(v: f32[n], hidden = n / 12, out = 3) -> f32[out] {"
    "  return v -> dense(hidden) -> tanh -> dense(out); }",
    "y = x -> flatten -> head;", "y = x -> flatten -> dense(12) -> tanh -> dense(3);" },
  { "block inner(v: f32[n]) -> f32[n] { return v -> dense(n) -> relu; }"
    "block outer(v: f32[n], n2) -> f32[n2] {"
    "  h = v -> inner; w = h -> dense(n2); return w -> inner; }",
    "y = x -> flatten -> outer(3);",
    "y = x -> flatten -> dense(144) -> relu -> dense(3) -> dense(3) -> relu;" },
  { "block parts(v: f32[n]) -> (low: f32[2], high: f32[3]) {"
    "  low = v -> dense(2); high = v -> dense(3); }",
    "f = x -> flatten; (a, b) = f -> parts; y = (a -> dense(3)) + b;",
    "f = x -> flatten; a = f -> dense(2); b = f -> dense(3); y = (a -> dense(3)) + b;" },
  { "block either(v) -> f32[3] { return v -> flatten -> dense(3); }", "y = either(x);",
    "y = x -> flatten -> dense(3);" },
  { "block mix(a: f32[n], b: f32[n], scale = 1) -> f32[n] { return a + scale * b; }",
    "f = x -> flatten; g = f -> dense(3); y = g -> mix(f -> dense(3), scale=0.5);",
    "f = x -> flatten; g = f -> dense(3); k = f -> dense(3); y = g + 0.5 * k;" },
};

static void test_blocks_are_what_they_stand_for(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
    Arena *a = arena_new("pair");
    Result r, flat;
    run(&r, model_spec(a, pairs[i].declarations, pairs[i].body));
    run(&flat, model_spec(a, "", pairs[i].flat));
    if (!r.model || !flat.model)
      fail_msg("%s\n%s%s", pairs[i].body, r.first, flat.first);
    assert_string_equal(r.first, "");
    same_states(r.model->program, flat.model->program);
    same_graphs(r.model->forward, flat.model->forward);
    arena_free(&r.arena);
    arena_free(&flat.arena);
    arena_free(&a);
  }
}

/* ---- names ---- */

static void test_layers_are_called_after_their_calls(void **state)
{
  static const char *const want[] = {
    "first.a.conv1.weight", "first.a.conv2.weight", "h1_1.weight", "h2_1.weight", "h2_2.weight",
    "top.weight", "side1.weight", "y.dense.weight" };
  Arena *a = arena_new("names");
  Result r;
  (void)state;
  run(&r, model_spec(a, "block two(x: f32[c,h,w]) -> f32[c,h,w] {"
                        "  a = x -> conv(c, 1, bias=false) -> conv(c, 1, bias=false); return a; }"
                        "block top(v: f32[n]) -> f32[3] { return v -> dense(3, bias=false); }",
                     "h = x -> two as first -> flatten;"
                     "repeat i in 1..2 { repeat k in 1..i { h = h -> dense(5, bias=false); } }"
                     "t = h -> top as top;"
                     "repeat i in 1..1 { t = t -> relu -> dense(3, bias=false) as side; }"
                     "y = t -> dense(3, bias=false) -> top;"));
  assert_string_equal(r.first, "");
  const Program *p = r.model->program;
  uint32_t n = 0;
  for (size_t i = 0; i < ARRAY_LEN(want); i++) {
    while (n < p->state.n && strcmp(p->state.at[n].name, want[i]) != 0)
      n++;
    if (n == p->state.n)
      fail_msg("no parameter is called %s", want[i]);
  }
  assert_string_equal(p->state.at[p->state.n - 1].name, "y.top.weight");
  arena_free(&r.arena);
  arena_free(&a);
}

/* ---- mistakes ---- */

typedef struct { const char *declarations, *body, *want; } Wrong;

static const Wrong wrong[] = {
  { "block b(v: f32[n], k) -> f32[k] { return v -> dense(k); }", "y = x -> b(3);",
    "`v` is wanted with 1 dimension, but it is f32[4,6,6] [E0210]" },
  { "block b(v: f32[n,n,n]) -> f32[3] { return v -> flatten -> dense(3); }", "y = x -> b;",
    "`v` is wanted as f32[4,4,4], but it is f32[4,6,6] [E0210]" },
  { "block b(v: f32[5,h,w]) -> f32[3] { return v -> flatten -> dense(3); }", "y = x -> b;",
    "`v` is wanted as f32[5,6,6], but it is f32[4,6,6] [E0210]" },
  { "block b(v: f32[c,h,w]) -> f32[c] { return v -> flatten -> dense(3); }", "y = x -> b;",
    "the result is f32[3], but the signature says f32[4] [E0212]" },
  { "block b(v: f32[c,h,w]) -> z: f32[3] { return v -> flatten -> dense(7); }", "y = x -> b;",
    "the result `z` is f32[7], but the signature says f32[3] [E0212]" },
  { "block b(v, k) -> f32[k] { return v -> flatten -> dense(k); }", "y = x -> b;",
    "block `b` needs its `k` [E0303]" },
  { "block b(v: f32[c,h,w], k) -> f32[k] { return v -> flatten -> dense(k); }", "y = b(k=3);",
    "block `b` needs its `v` [E0303]" },
  { "block b(v, k) -> f32[k] { return v -> flatten -> dense(k); }", "y = x -> b(3, 4);",
    "block `b` takes 2 values, and this is one more [E0308]" },
  { "block b(v, k) -> f32[k] { return v -> flatten -> dense(k); }", "y = x -> b(units=3);",
    "block `b` has no parameter `units` [E0302]" },
  { "block b(v, k) -> f32[k] { return v -> flatten -> dense(k); }", "y = x -> b(3, k=4);",
    "`k` of block `b` is given twice [E0306]" },
  { "block b(v) -> f32[3] { return v -> flatten -> dense(3); }", "y = x -> bb;",
    "there is no layer called `bb` [E0301]" },
  { "block b(v) -> f32[3] { h = v -> flatten; }", "y = x -> b;",
    "the block returns nothing [E0309]" },
  { "block b(v) -> z: f32[3] { h = v -> flatten; }", "y = x -> b;",
    "the result `z` is never given a value [E0309]" },
  { "block b(v) -> f32[3] { return v -> flatten -> dense(3), v; }", "y = x -> b;",
    "the block returns 2 values, but its signature has 1 result [E0309]" },
  { "block b(v) -> f32[3] { return v -> flatten -> b; }", "y = x -> b;",
    "block `b` calls itself [E0317]" },
  { "block p(v) -> f32[3] { return q(v); } block q(v) -> f32[3] { return p(v); }", "y = x -> p;",
    "block `p` calls itself [E0317]" },
  { "block conv(v) -> f32[3] { return v -> flatten; }", "y = x -> flatten -> dense(3);",
    "`conv` is already the name of a layer [E0306]" },
  { "block b(v) -> f32[3] { return v; } block b(v) -> f32[3] { return v; }",
    "y = x -> flatten -> dense(3);", "there are two blocks called `b` [E0306]" },
  { "block b(v) -> f32[3] { return v -> flatten -> dense(n); }", "n = x; y = x -> b;",
    "there is no param or const called `n` [E0305]" },
  { "block b(v) -> f32[3] { return v -> covn(3) -> flatten -> dense(3); }",
    "a = x -> b; c = x -> b; y = a + c;", "there is no layer called `covn` [E0301]" },
  { "block b(v) -> (p: f32[3], q: f32[3]) { p = v -> flatten -> dense(3); q = p; }",
    "(a, b2, c) = x -> b; y = a;", "3 names for 2 results of `the block` [E0308]" },
  { "", "h = x -> flatten; repeat i in 3 { h = h -> relu; } y = h -> dense(3);",
    "`repeat` counts from one number to another [E0316]" },
  { "", "h = x -> flatten; repeat i in 1..1.5 { h = h -> relu; } y = h -> dense(3);",
    "the last number of `repeat` must be a whole number, not 1.5 [E0304]" },
  { "", "h = x -> flatten; repeat i in 1..1000000 { g = h; } y = h -> dense(3);",
    "`repeat` makes more than 16384 rounds [E0602]" },
  { "", "h = x -> flatten; repeat i in 1..2 { g = h -> relu; } y = g -> dense(3);",
    "there is no value called `g` [E0305]" },
  { "", "h = x -> flatten; repeat i in 1..2 { h = h -> relu; h = h -> tanh; } y = h -> dense(3);",
    "`h` is already the name of a value [E0306]" },
  { "", "h = x -> flatten; repeat i in 1..9 { h = h -> dens(3); } y = h -> dense(3);",
    "there is no layer called `dens` [E0301]" },
  { "", "h = x -> flatten; repeat i in 1..2 { return h; }",
    "`return` cannot stand in `repeat` [E0309]" },
  { "", "h = x -> flatten; h1 = h -> dense(3); repeat i in 1..1 { h = h -> dense(3); } y = h + h1;",
    "there are two layers called `h1` [E0306]" },
  { "", "h = x -> flatten; if h == 3 { h2 = h; } y = h -> dense(3);",
    "`if` is decided when compiling, but this is a tensor [E0316]" },
  { "const n = 3;", "h = x -> flatten; if n { h2 = h; } y = h -> dense(3);",
    "`if` needs a comparison, not a number [E0316]" },
  { "const n = 3;", "h = x -> flatten; if n > k { h2 = h; } y = h -> dense(3);",
    "there is no param or const called `k` [E0305]" },
  { "const n = 3;", "h = x -> flatten; if n > 2 { return h -> dense(n); } y = h -> dense(3);",
    "nothing may follow `return` [E0309]" },
};

static void test_mistakes(void **state)
{
  int bad = 0;
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
    Arena *a = arena_new("wrong");
    Result r;
    run(&r, model_spec(a, wrong[i].declarations, wrong[i].body));
    const char *got = strstr(r.first, "error: ");
    const char *want = arena_printf(a, "error: %s\n", wrong[i].want);
    if (!got || strcmp(got, want) != 0) {
      print_error("%s | %s\n  got      %s  expected %s", wrong[i].declarations, wrong[i].body,
                  r.first, want);
      bad++;
    }
    arena_free(&r.arena);
    arena_free(&a);
  }
  assert_int_equal(bad, 0);
}

/* What is not read is no mistake, but a block that nobody calls is worth a remark. */
static void test_remarks(void **state)
{
  Arena *a = arena_new("remarks");
  Result r;
  (void)state;
  run(&r, model_spec(a, "param p = 0.2; const n = 3; block b(v) -> f32[3] { return v -> oops; }",
                     "h = x -> flatten; u = h -> relu; if n > 5 { k = u -> dropout(p); }"
                     "y = h -> dense(n);"));
  assert_non_null(r.model);
  assert_string_equal(r.first,
                      "t.nn:1:42: warning: block `b` is never used, and so not checked [W0304]\n");
  arena_free(&r.arena);
  arena_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_blocks_are_what_they_stand_for),
    cmocka_unit_test(test_layers_are_called_after_their_calls),
    cmocka_unit_test(test_mistakes),
    cmocka_unit_test(test_remarks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
