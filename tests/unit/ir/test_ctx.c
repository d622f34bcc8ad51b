/* What hooks of operations call: broadcasting, messages, parameters, collected gradients. */
#include "ir/ctx.h"
#include "ops/build.h"
#include "unit/ir/net.h"

static Type type_of(const char *text)
{
  Type t;
  if (!type_parse(text, strlen(text), &t))
    fail_msg("'%s' is no type", text);
  return t;
}

static const OpDef toy = { .name = "toy", .operands = "x y", .results = "z" };

static void test_broadcasting(void **state)
{
  (void)state;
  static const struct { const char *x, *y, *z;
  } rows[] = {
    { "f32[n,3]", "f32[n,3]", "f32[n,3]" },
    { "f32[n,3]", "f32[3]", "f32[n,3]" },
    { "f32[3]", "f32[n,3]", "f32[n,3]" },
    { "f32[n,2,3,3]", "f32[2]", "f32[n,2,3,3]" },
    { "f32[2]", "f32[2,5]", "f32[2,5]" },
    { "f32[n,3]", "f32[]", "f32[n,3]" },
    { "f32[n,2]", "f32[n]", "f32[n,2]" },
    { "f32[n]", "f32[]", "f32[n]" },
    { "f32[3]", "f32[n]", "f32[n,3]" },
    { "f32[]", "f32[]", "f32[]" },
    { "f32[n,2,3]", "f32[2,3]", "f32[n,2,3]" },
    { "u8[n]", "u8[n]", "u8[n]" },
    { "f32[n,3]", "f32[4]", NULL },
    { "f32[n,3]", "f32[n,4]", NULL },
    { "f32[n,2,3]", "f32[3]", NULL },
    { "f32[n,2,3]", "f32[n,2]", NULL },
    { "f32[n,2,3]", "f32[2,1]", NULL },
    { "f32[n,3]", "f64[n,3]", NULL },
    { "f32[n,6]", "f32[n,2,3]", NULL },
  };
  Arena *a = arena_new("test");
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Type in[] = { type_of(rows[i].x), type_of(rows[i].y) }, out;
    Infer c = { .arena = a, .real = DT_F32, .in = in, .nin = 2 };
    Node n = { .nin = 2, .nout = 1, .op = &toy };
    bool ok = infer_broadcast(&c, &n, &out);
    if (ok != (rows[i].z != NULL) || (ok && !str_eq(type_text(a, &out), rows[i].z)))
      fail_msg("%s and %s give %s", rows[i].x, rows[i].y, ok ? type_text(a, &out) : "an error");
  }
  arena_free(&a);
}

static void test_messages_name_operation_and_operands(void **state)
{
  (void)state;
  Net t;
  net_open(&t);
  uint32_t base = source_add(t.sources, "a.nn", "h -> toy(w)\n", 12);
  Type in[] = { type_of("f32[n,3]"), type_of("f32[n,4]") }, out;
  Span at[] = { { base, base + 1 }, { base + 9, base + 10 } };
  const char *names[] = { "h", NULL };
  Infer c = { .arena = t.arena,
              .diag = t.diag,
              .real = DT_F32,
              .in = in,
              .nin = 2,
              .in_at = at,
              .in_name = names };
  Node n = { .nin = 2, .nout = 1, .op = &toy, .at = { base + 5, base + 11 } };
  assert_false(infer_broadcast(&c, &n, &out));
  assert_false(infer_help(&c, "make them equal"));
  diag_flush(t.diag);
  const char *text = out_text(t.messages);
  assert_non_null(
      strstr(text, "a.nn:1:6: error: toy: shapes do not match: `h` is f32[3], `y` is f32[4]"));
  assert_non_null(strstr(text, "E0201"));
  assert_non_null(strstr(text, "`h` is f32[3]"));
  assert_non_null(strstr(text, "make them equal"));
  c.diag = NULL;
  assert_false(infer_same_as(&c, &n, 5, &out));
  assert_int_equal(diag_errors(t.diag), 1);
  net_close(&t);
}

static void test_parameters(void **state)
{
  (void)state;
  Net t;
  net_load(&t, "gradc-graph 1 program \"m\" real=f64 batch=4");
  Params p = { .program = t.program, .path = "c1" };
  int64_t dim[] = { 2, 3 };
  param_add(&p, "weight", STATE_PARAM, 2, dim, (Init){ INIT_NORMAL, 0, 1 }, 3, 2, true);
  param_none(&p);
  param_add(&p, "running_mean", STATE_STAT, 1, dim, (Init){ INIT_ZEROS, 0, 0 }, 0, 0, true);
  assert_int_equal(p.made.n, 3);
  assert_true(p.made.at[1] == UINT32_MAX);
  const StateVar *w = program_find_state(t.program, "c1.weight"),
                 *m = program_find_state(t.program, "c1.running_mean");
  assert_string_equal(type_text(t.arena, &w->type), "f64[2,3]");
  assert_true(w->trainable && w->fan_in == 3 && w->fan_out == 2 && !m->trainable);
  const double v[] = { 1, 2, 3, 4, 5, 6 };
  param_add_given(&p, "good", 2, dim, (Literal){ .rank = 2, .dim = { 2, 3 }, .value = v }, true,
                  t.diag);
  assert_int_equal(diag_errors(t.diag), 0);
  assert_int_equal(program_find_state(t.program, "c1.good")->init.kind, INIT_GIVEN);
  param_add_given(&p, "bad", 2, dim, (Literal){ .rank = 2, .dim = { 3, 2 }, .value = v }, true,
                  t.diag);
  diag_flush(t.diag);
  assert_non_null(
      strstr(out_text(t.messages), "the values given for `bad` are [3, 2], but [2, 3] is needed"));
  assert_non_null(strstr(out_text(t.messages), "E0208"));
  net_close(&t);
}

static void test_gradients_are_added_in_order(void **state)
{
  (void)state;
  Net t;
  net_load(&t, "gradc-graph 1 program \"m\" real=f64 batch=4 field \"x\" : f64[n,2]\n"
               "graph train { %0 = input(field=0) : f64[n,2] %1 = exp(%0) : f64[n,2] }");
  Graph *g = t.program->train;
  bool wanted[] = { true, true };
  uint32_t first[] = { 0, 1 };
  Value adjoint[2] = { { NULL, 0 } };
  Grad c = { .graph = g,
             .wanted = wanted,
             .adjoint = adjoint,
             .first_slot = first,
             .ops = ops_table(),
             .add = &op_add };
  const Node *n = g->order.at[1];
  Value a = { g->order.at[0], 0 }, b = { g->order.at[1], 0 };
  grad_add(&c, n, 0, a);
  assert_true(value_equal(adjoint[0], a));
  grad_add(&c, n, 0, b);
  assert_ptr_equal(adjoint[0].node->op, &op_add);
  assert_true(value_equal(adjoint[0].node->in[0], a) && value_equal(adjoint[0].node->in[1], b));
  wanted[0] = false;
  assert_false(grad_wanted(&c, n, 0));
  assert_false(grad_wanted(&c, n, 1));
  net_close(&t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_broadcasting),
    cmocka_unit_test(test_messages_name_operation_and_operands),
    cmocka_unit_test(test_parameters),
    cmocka_unit_test(test_gradients_are_added_in_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
