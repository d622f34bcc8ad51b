/* The verifier finds each fault that is put into a good program. */
#include "unit/ir/net.h"

static const char good[] =
    "gradc-graph 1 program \"m\" real=f32 batch=4\n"
    "field \"x\" : f32[n,2]\n"
    "state \"w\" : f32[3,2] param init=zeros\n"
    "state \"v\" : f32[3,2] slot of \"w\" init=zeros\n"
    "graph train {\n"
    "%0 = input(field=0) : f32[n,2] %1 = read(state=0) : f32[3,2] %2 = dense(%0, %1, none, "
    "units=3, bias=false) : f32[n,3]\n"
    "%3 = bn_stats(%2) : f32[3], f32[3] %4 = read(state=1) : f32[3,2]\n"
    "write \"w\" = %4 write \"v\" = %1 output \"y\" = %2 output \"s\" = %3.1 }\n";

static Node *node(Net *t, uint32_t i) { return t->program->train->order.at[i]; }
static Type *type(Net *t, uint32_t i) { return (Type *)(uintptr_t)node(t, i)->type; }

static void order(Net *t)
{
  Graph *g = t->program->train;
  Node *n = g->order.at[1];
  g->order.at[1] = g->order.at[2];
  g->order.at[2] = n;
}
static void foreign_operand(Net *t)
{
  Node *n = arena_copy(t->arena, node(t, 0), sizeof *n);
  node(t, 2)->in[0].node = n;
}
static void foreign_output(Net *t)
{
  t->program->train->outputs.at[0].value.node = arena_copy(t->arena, node(t, 0), sizeof(Node));
}
static void same_number(Net *t) { node(t, 1)->id = 0; }
static void large_number(Net *t) { node(t, 4)->id = 77; }
static void no_operand(Net *t) { node(t, 2)->in[0].node = NULL; }
static void no_attributes(Net *t) { node(t, 2)->attrs = NULL; }
static void no_operation(Net *t) { node(t, 2)->op = NULL; }
static void result_number(Net *t) { node(t, 3)->in[0].result = 1; }
static void result_count(Net *t) { node(t, 3)->nout = 1; }
static void shape(Net *t) { type(t, 2)->dim[0] = 4; }
static void batch(Net *t) { type(t, 2)->batched = false; }
static void element_type(Net *t) { type(t, 0)->dtype = DT_COUNT; }
static void zero_dimension(Net *t) { type(t, 2)->dim[0] = 0; }
static void huge_rank(Net *t) { type(t, 2)->rank = 99; }
static void write_twice(Net *t) { t->program->train->writes.at[1].state = 0; }
static void write_nowhere(Net *t) { t->program->train->writes.at[1].state = 9; }
static void write_shape(Net *t)
{
  t->program->train->writes.at[0].value = (Value){ node(t, 3), 0 };
}
static void write_nothing(Net *t) { t->program->train->writes.at[0].value.node = NULL; }
static void output_result(Net *t) { t->program->train->outputs.at[1].value.result = 2; }
static void output_name(Net *t) { t->program->train->outputs.at[0].name = NULL; }
static void state_name(Net *t) { t->program->state.at[1].name = "w"; }
static void state_number(Net *t) { t->program->state.at[1].id = 0; }
static void state_type(Net *t) { t->program->state.at[0].type.dtype = DT_F64; }
static void state_batched(Net *t) { t->program->state.at[0].type.batched = true; }
static void slot_of_slot(Net *t) { t->program->state.at[1].slot_of = 1; }
static void trainable_slot(Net *t) { t->program->state.at[1].trainable = true; }
static void given_missing(Net *t) { t->program->state.at[0].init.kind = INIT_GIVEN; }
static void field_unbatched(Net *t) { t->program->fields.at[0].type.batched = false; }
static void no_batch(Net *t) { t->program->batch = 0; }
static void integer_program(Net *t) { t->program->real = DT_I32; }
static void other_program(Net *t)
{
  Program *p = arena_copy(t->arena, t->program, sizeof *p);
  t->program->train->program = p;
}

static void test_seeded_faults(void **state)
{
  (void)state;
  static const struct { void (*seed)(Net *); const char *name, *message;
  } rows[] = {
#define ROW(fault, message) { fault, #fault, message }
    ROW(order, "used before it is defined"),
    ROW(foreign_operand, "used before it is defined"),
    ROW(foreign_output, "output 'y' is not in the graph"),
    ROW(same_number, "number is taken"),
    ROW(large_number, "number is taken or too large"),
    ROW(no_operand, "operand 0 is missing"),
    ROW(no_attributes, "has no attributes"),
    ROW(no_operation, "has no operation"),
    ROW(result_number, "a result that does not exist"),
    ROW(result_count, "has 1 results"),
    ROW(shape, "is f32[n,4] but should be f32[n,3]"),
    ROW(batch, "is f32[3] but should be f32[n,3]"),
    ROW(element_type, "has no element type"),
    ROW(zero_dimension, "a dimension below 1"),
    ROW(huge_rank, "an impossible rank"),
    ROW(write_twice, "'w' is written twice"),
    ROW(write_nowhere, "goes to no state variable"),
    ROW(write_shape, "'w' is f32[3,2] but f32[3] is written"),
    ROW(write_nothing, "is not in the graph"),
    ROW(output_result, "output 's' is not in the graph"),
    ROW(output_name, "output 0 has no name"),
    ROW(state_name, "two state variables are called 'w'"),
    ROW(state_number, "another number"),
    ROW(state_type, "'w' has the wrong type"),
    ROW(state_batched, "'w' has the wrong type"),
    ROW(slot_of_slot, "belongs to no parameter"),
    ROW(trainable_slot, "is trainable but no parameter"),
    ROW(given_missing, "have another shape"),
    ROW(field_unbatched, "field 0 has no name or the wrong type"),
    ROW(no_batch, "no real type or no batch"),
    ROW(integer_program, "no real type or no batch"),
    ROW(other_program, "belongs to another program"),
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Net t;
    net_load(&t, good);
    assert_null(program_verify(t.program, t.arena));
    rows[i].seed(&t);
    const char *fault = program_verify(t.program, t.arena);
    if (!fault || !strstr(fault, rows[i].message))
      fail_msg("%s: %s", rows[i].name, fault ? fault : "was not found");
    net_close(&t);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_seeded_faults) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
