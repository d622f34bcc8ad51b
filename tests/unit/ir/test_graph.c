/* Graphs: uses, rewriting, dropping nodes. */
#include "ops/build.h"
#include "unit/ir/net.h"

static const char head[] = "gradc-graph 1 program \"m\" real=f32 batch=4 field \"x\" : f32[n,2]\n";

static Graph *load(Net *t, const char *graph)
{
  net_open(t);
  const char *text = arena_printf(t->arena, "%s%s", head, graph);
  if (!net_read(t, text, strlen(text)))
    fail_msg("%s", out_text(t->messages));
  return t->program->train;
}

static void test_uses_count_outputs_and_writes(void **state)
{
  (void)state;
  Net t;
  net_load(&t, "gradc-graph 1 program \"m\" real=f32 batch=4 state \"w\" : f32[] param init=zeros\n"
               "graph train { %0 = read(state=0) : f32[] %1 = mul(%0, %0) : f32[]\n"
               "write \"w\" = %1 output \"y\" = %1 output \"z\" = %0 }");
  uint32_t *uses = graph_use_counts(t.program->train, t.arena);
  assert_int_equal(uses[0], 3);
  assert_int_equal(uses[1], 2);
  net_close(&t);
}

/* neg(x) becomes sub(0, x); exp becomes its operand; everything else stays. */
static Node *rule(void *ctx, Graph *to, Node *n)
{
  (*(int *)ctx)++;
  if (n->op == &op_neg) {
    GBuild b = g_like(to, n);
    return g_sub(&b, g_const(&b, 0), n->in[0]).node;
  }
  return n->op == &op_exp ? n->in[0].node : n;
}

static void test_rewrite_replaces_and_renumbers(void **state)
{
  (void)state;
  Net t;
  int seen = 0;
  Graph *g = load(
      &t, "graph train { %0 = input(field=0) : f32[n,2] %1 = neg(%0) : f32[n,2] \"layer\"\n"
          "%2 = exp(%1) : f32[n,2] %3 = relu(%2) : f32[n,2] output \"y\" = %3 output \"e\" = %2 }");
  assert_true(graph_rewrite(g, rule, &seen));
  assert_int_equal(seen, 4);
  net_expect("rewritten", net_graph_text(&t, g),
             "graph train {\n"
             "  %0 = input(field=0) : f32[n,2]  # x\n"
             "  %1 = const(value=0) : f32[] \"layer\"\n"
             "  %2 = sub(%1, %0) : f32[n,2] \"layer\"\n"
             "  %3 = relu(%2) : f32[n,2]\n"
             "  output \"y\" = %3\n"
             "  output \"e\" = %2\n"
             "}\n");
  assert_null(graph_verify(g, t.arena));
  assert_false(graph_rewrite(g, rule, &seen));
  net_close(&t);
}

/* square(x) becomes mul(square(x), 1): the rule keeps the node it was given. */
static void wrap(void *ctx, Graph *to, Node *n, Value *out)
{
  (void)ctx;
  if (n->op == &op_square) {
    GBuild b = g_like(to, n);
    out[0] = g_op(&b, &op_exp, NULL, (Value[]){ { n, 0 } }, 1);
  }
}

static void test_rule_may_keep_its_node(void **state)
{
  (void)state;
  Net t;
  Graph *g = load(&t, "graph train { %0 = input(field=0) : f32[n,2] %1 = square(%0) : f32[n,2] "
                      "output \"y\" = %1 }");
  assert_true(graph_replace(g, wrap, NULL));
  net_expect("wrapped", net_graph_text(&t, g),
             "graph train {\n"
             "  %0 = input(field=0) : f32[n,2]  # x\n"
             "  %1 = square(%0) : f32[n,2]\n"
             "  %2 = exp(%1) : f32[n,2]\n"
             "  output \"y\" = %2\n"
             "}\n");
  net_close(&t);
}

/* Every result 1 becomes result 0. */
static void first_result(void *ctx, Graph *to, Node *n, Value *out)
{
  (void)ctx;
  (void)to;
  if (n->nout == 2)
    out[1] = out[0];
}

static void test_single_results_are_replaced(void **state)
{
  (void)state;
  Net t;
  Graph *g =
      load(&t, "graph train { %0 = input(field=0) : f32[n,2] %1 = bn_stats(%0) : f32[2], f32[2]\n"
               "%2 = sub(%1, %1.1) : f32[2] output \"y\" = %2 }");
  assert_true(graph_replace(g, first_result, NULL));
  assert_true(value_equal(g->order.at[2]->in[0], g->order.at[2]->in[1]));
  assert_int_equal(g->order.n, 3);
  net_close(&t);
}

static void test_keep_drops_the_rest(void **state)
{
  (void)state;
  Net t;
  Graph *g = load(&t, "graph train { %0 = input(field=0) : f32[n,2] %1 = exp(%0) : f32[n,2]\n"
                      "%2 = relu(%0) : f32[n,2] output \"y\" = %2 }");
  assert_true(graph_keep(g, (const bool[]){ true, false, true }));
  assert_int_equal(g->order.n, 2);
  assert_int_equal(g->outputs.at[0].value.node->id, 1);
  assert_false(graph_keep(g, (const bool[]){ true, true }));
  net_close(&t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_uses_count_outputs_and_writes),
    cmocka_unit_test(test_rewrite_replaces_and_renumbers),
    cmocka_unit_test(test_rule_may_keep_its_node),
    cmocka_unit_test(test_single_results_are_replaced),
    cmocka_unit_test(test_keep_drops_the_rest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
