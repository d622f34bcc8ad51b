/* Look-up of operations, names of operands, suggestions. */
#include "unit/ir/net.h"

static void test_lists_of_names(void **state)
{
  (void)state;
  static const struct { const char *operands; int count; const char *name[4];
  } rows[] = {
    { "x w b?", 3, { "x", "w", "b", "operand 4" } },
    { "", 0, { "operand 1", "operand 2", "operand 3", "operand 4" } },
    { "x y*", 2, { "x", "y", "y2", "y3" } },
    { " x ", 1, { "x", "operand 2", "operand 3", "operand 4" } },
  };
  Arena *a = arena_new("test");
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    OpDef op = { .name = "toy", .operands = rows[i].operands, .results = "y mean var" };
    assert_int_equal(op_operand_count(&op), rows[i].count);
    assert_int_equal(op_result_count(&op), 3);
    for (uint32_t k = 0; k < 4; k++)
      assert_string_equal(op_operand_name(&op, a, k), rows[i].name[k]);
  }
  arena_free(&a);
}

static void test_every_operation_is_found(void **state)
{
  (void)state;
  const OpTable *t = ops_table();
  for (int i = 0; i < t->n; i++)
    assert_ptr_equal(op_find(t, t->at[i]->name), t->at[i]);
  assert_null(op_find(t, "Conv2d"));
  assert_null(op_find(t, ""));
}

static void test_suggestions(void **state)
{
  (void)state;
  static const struct { const char *word; unsigned flags; const char *name; bool alias;
  } rows[] = {
    { "Conv2d", OP_LAYER, "conv", true },
    { "LINEAR", OP_LAYER, "dense", true },
    { "denes", OP_LAYER, "dense", false },
    { "SGD", OP_OPTIMIZER, "sgd", true },
    { "adan", OP_OPTIMIZER, "adam", false },
    { "CrossEntropyLoss", OP_LOSS, "softmax_xent", true },
    { "CrossEntropyLos", OP_LOSS, "softmax_xent", true },
    { "rmsprop", OP_LAYER, NULL, false },
    { "transformer", OP_LAYER, NULL, false },
    { "", OP_LAYER, NULL, false },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    bool alias;
    const OpDef *op = op_suggest(ops_table(), rows[i].word, rows[i].flags, &alias);
    if (!str_eq(op ? op->name : NULL, rows[i].name) || alias != rows[i].alias)
      fail_msg("'%s' suggests '%s'", rows[i].word, op ? op->name : "nothing");
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_lists_of_names), cmocka_unit_test(test_every_operation_is_found),
    cmocka_unit_test(test_suggestions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
