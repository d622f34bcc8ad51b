/* The verifier: sound modules pass, and each seeded fault is found and named. */
#include "fixture.h"
#include "loop/verify.h"

static void test_sound_modules_pass(void **state)
{
  (void)state;
  for (int real = DT_F32; real <= DT_F64; real++) {
    Net t = fix_net((DType)real);
    const char *fault = loop_verify(t.f.m, t.f.arena);
    if (fault)
      fail_msg("%s", fault);
    arena_free(&t.f.arena);
  }
}

/* ---- faults ---- */

static LStmt *last_of(LStmt *s)
{
  while (s->next)
    s = s->next;
  return s;
}

static LStmt *item_body(Net *t) { return t->matmul->body->loop.body; }
static LStmt *reduce_body(Net *t)
{
  LStmt *s = item_body(t);
  while (s->kind != LS_FOR)
    s = s->next;
  return s->loop.body;
}
static LStmt *first_call(Net *t) { return t->host->body; }
static LStmt *second_call(Net *t) { return t->host->body->next->next; }

static LStmt *statement(Net *t, LStmtKind kind)
{
  LStmt *s = ARENA_NEW(t->f.arena, LStmt);
  s->kind = kind;
  last_of(item_body(t))->next = s;
  return s;
}

static void mixed_types(Net *t)
{
  LExpr *e = l_op(t->f.b, SC_add, l_real(t->f.b, 1), l_real(t->f.b, 2), NULL);
  e->op.arg[1] = l_int(t->f.b, 2);
  last_of(item_body(t))->store.value = l_splat(t->f.b, e, t->f.m->block);
}
static void mixed_lanes(Net *t)
{
  last_of(reduce_body(t))->store.value->op.arg[0] = l_real(t->f.b, 1);
}
static void wrong_result(Net *t) { last_of(reduce_body(t))->store.value->dtype = DT_U32; }
static void unknown_op(Net *t) { last_of(reduce_body(t))->store.value->op.op = 99; }
static void missing_operand(Net *t) { last_of(reduce_body(t))->store.value->op.arg[2] = NULL; }
static void out_of_scope(Net *t)
{
  const LVar *v = reduce_body(t)->let.var;
  LStmt *s = statement(t, LS_STORE);
  s->store.buf = t->out;
  s->store.index = l_int(t->f.b, 0);
  s->store.value = l_var(t->f.b, v);
}
static void defined_twice(Net *t) { reduce_body(t)->let.var->id = t->matmul->lo->id; }
static void loop_var_type(Net *t) { item_body(t)->next->next->loop.var->dtype = t->f.m->real; }
static void moving_register(Net *t) { item_body(t)->store.index = l_var(t->f.b, t->matmul->n); }
static void register_past_end(Net *t) { item_body(t)->store.index = l_int(t->f.b, 2); }
static void register_lanes(Net *t) { t->acc->lanes = 4; }
static void load_past_end(Net *t)
{
  t->in->extent = 32;
  reduce_body(t)->let.value->load.index = l_int(t->f.b, 32);
}
static void weight_past_end(Net *t) { t->weight->extent = 5; }
static void negative_index(Net *t) { reduce_body(t)->let.value->load.index = l_int(t->f.b, -1); }
static void const_store(Net *t) { t->out->written = false; }
static void foreign_buffer(Net *t) { reduce_body(t)->let.value->load.buf = t->h; }
static void store_type(Net *t) { t->out->dtype = DT_I32; }
static void zero_step(Net *t) { t->matmul->body->loop.step = 0; }
static void bad_condition(Net *t)
{
  LStmt *s = statement(t, LS_IF);
  s->branch.cond = l_int(t->f.b, 1);
}
static void barrier_in_kernel(Net *t) { statement(t, LS_BARRIER); }
static LStmt *first_barrier(Net *t) { return first_call(t)->next; }
static void barrier_on_number(Net *t)
{
  first_barrier(t)->barrier.when = l_var(t->f.b, t->host->n);
}
static void barrier_by_worker(Net *t)
{
  first_barrier(t)->barrier.when =
      l_op(t->f.b, SC_ne, l_var(t->f.b, t->host->worker), l_int(t->f.b, 0), NULL);
}
static void call_in_kernel(Net *t) { statement(t, LS_CALL)->call.kernel = t->gather; }
static void store_in_host(Net *t) { first_call(t)->kind = LS_STORE; }
static void unknown_kernel(Net *t)
{
  Kernel *k = ARENA_NEW(t->f.arena, Kernel);
  *k = *t->matmul;
  second_call(t)->call.kernel = k;
}
static void unknown_buffer(Net *t)
{
  Buffer *b = ARENA_NEW(t->f.arena, Buffer);
  *b = *t->h;
  second_call(t)->call.arg[0] = b;
}
static void argument_type(Net *t) { first_call(t)->call.arg[2] = t->ids; }
static void argument_short(Net *t) { second_call(t)->call.arg[0] = t->w; }
static void argument_constant(Net *t)
{
  t->out->extent = 4;
  second_call(t)->call.arg[2] = t->table;
}
static void argument_alias(Net *t) { t->y->offset = 64; }
static void same_argument(Net *t)
{
  second_call(t)->call.arg[0] = second_call(t)->call.arg[2] = t->h;
}
static void arena_too_small(Net *t) { t->host->arena_bytes = 128; }
static void state_too_small(Net *t) { t->f.m->state_bytes = 32; }
static void odd_offset(Net *t) { t->y->offset += 4; }
static void state_overlap(Net *t) { l_buffer(t->f.b, "v", BUF_STATE, DT_F32, 4); }
static void no_extent(Net *t) { t->h->extent = 0; }
static void formal_number(Net *t) { t->out->index = 1; }
static void same_kernel_name(Net *t) { t->matmul->name = "gather"; }
static void kernel_name(Net *t) { t->matmul->name = "a b"; }
static void func_order(Net *t)
{
  LFunc *last = t->f.m->funcs.at[t->f.m->funcs.n - 1];
  t->f.m->funcs.at[t->f.m->funcs.n - 1] = t->f.m->funcs.at[0];
  t->f.m->funcs.at[0] = last;
}
static void func_arguments(Net *t) { last_of(item_body(t))->store.value->call.narg = 0; }
static void func_loads(Net *t)
{
  LFunc *f = t->f.m->funcs.at[0];
  f->result = l_load(t->f.b, t->in, l_int(t->f.b, 0), f->result->lanes);
}
static void inexact_constant(Net *t)
{
  LExpr *e = l_real(t->f.b, 1);
  e->r = 0.1;
  item_body(t)->store.value = l_splat(t->f.b, e, t->f.m->block);
}
static void wide_lanes(Net *t)
{
  LExpr *e = l_iota(t->f.b, 16);
  e->lanes = 32;
  item_body(t)->store.value = e;
}
static void wide_i64(Net *t)
{
  LExpr *e = l_splat(t->f.b, l_int(t->f.b, 1), 8);
  last_of(item_body(t))->store.value = l_cast(t->f.b, e, DT_F32);
}
static void shift_too_far(Net *t)
{
  LExpr *e = l_op(t->f.b, SC_shl, l_u32(t->f.b, 1), l_u32(t->f.b, 32), NULL);
  item_body(t)->store.value = l_splat(t->f.b, l_cast(t->f.b, e, DT_F32), t->f.m->block);
}
static void division_by_zero(Net *t)
{
  LExpr *e = l_div(t->f.b, l_var(t->f.b, t->matmul->n), l_int(t->f.b, 0));
  item_body(t)->store.value = l_splat(t->f.b, l_cast(t->f.b, e, DT_F32), t->f.m->block);
}
static void bits_width(Net *t)
{
  LExpr *e = l_bits(t->f.b, l_real(t->f.b, 1), DT_U32);
  e->dtype = DT_I64;
  item_body(t)->store.value = l_splat(t->f.b, l_cast(t->f.b, e, DT_F32), t->f.m->block);
}
static void empty_expression(Net *t) { item_body(t)->store.value = NULL; }
static void wrong_block(Net *t) { t->f.m->block = 8; }

static const struct {
  const char *name;
  void (*seed)(Net *t);
  const char *message;
} faults[] = {
  { "mixed types", mixed_types, "does not take" },
  { "mixed lanes", mixed_lanes, "has an operand of 1" },
  { "wrong result", wrong_result, "gives f32" },
  { "unknown operation", unknown_op, "not in the table" },
  { "missing operand", missing_operand, "lacks operand 3" },
  { "out of scope", out_of_scope, "'v' is not in scope" },
  { "defined twice", defined_twice, "is taken" },
  { "type of a loop variable", loop_var_type, "must be an i64" },
  { "moving register index", moving_register, "not constant" },
  { "register past its end", register_past_end, "at 2 of 2" },
  { "register lanes", register_lanes, "in 16 lanes: it has 4" },
  { "load past the end", load_past_end, "it has 32 elements" },
  { "weight past the end", weight_past_end, "at 1 .. 5 in 1 lanes: it has 5" },
  { "negative index", negative_index, "at -1 .. -1" },
  { "store to const", const_store, "only read" },
  { "foreign buffer", foreign_buffer, "neither an argument nor a register" },
  { "type of a store", store_type, "'y' of i32" },
  { "zero step", zero_step, "step 0" },
  { "condition", bad_condition, "a condition is i64" },
  { "barrier in a kernel", barrier_in_kernel, "barrier outside" },
  { "condition of a barrier", barrier_on_number, "the condition of a barrier is i64" },
  { "barrier for some workers", barrier_by_worker, "not the same for all workers" },
  { "call in a kernel", call_in_kernel, "call of a kernel outside" },
  { "store in a host function", store_in_host, "cannot stand in a host" },
  { "unknown kernel", unknown_kernel, "not in the module" },
  { "unknown buffer", unknown_buffer, "no buffer of the module" },
  { "type of an argument", argument_type, "is u32, not f32" },
  { "argument too short", argument_short, "has 16 elements, not 96" },
  { "argument is constant", argument_constant, "constant memory" },
  { "arguments share memory", argument_alias, "shares memory" },
  { "same argument twice", same_argument, "shares memory" },
  { "arena too small", arena_too_small, "past the block of 128" },
  { "state too small", state_too_small, "past the state block" },
  { "offset", odd_offset, "no multiple of 64" },
  { "overlapping states", state_overlap, "shares memory with 'w'" },
  { "no extent", no_extent, "extent 0" },
  { "number of a formal", formal_number, "is number 1, not 2" },
  { "kernel name twice", same_kernel_name, "name is taken" },
  { "kernel name", kernel_name, "not named by a word" },
  { "order of functions", func_order, "does not stand before" },
  { "arguments of a function", func_arguments, "takes 1 arguments" },
  { "function with memory", func_loads, "neither an argument nor a register" },
  { "inexact constant", inexact_constant, "not exact in f32" },
  { "lanes", wide_lanes, "in 32 lanes" },
  { "vector of i64", wide_i64, "in an f32 module" },
  { "shift", shift_too_far, "by 32" },
  { "division by zero", division_by_zero, "div by zero" },
  { "bits", bits_width, "bits of f32 to i64" },
  { "empty expression", empty_expression, "is missing" },
  { "block", wrong_block, "blocks of 8 lanes" },
};

static void test_seeded_faults_are_found(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
    Net t = fix_net(DT_F32);
    faults[i].seed(&t);
    const char *fault = loop_verify(t.f.m, t.f.arena);
    if (!fault)
      fail_msg("%s: not found", faults[i].name);
    else if (!strstr(fault, faults[i].message))
      fail_msg("%s: '%s' lacks '%s'", faults[i].name, fault, faults[i].message);
    arena_free(&t.f.arena);
  }
}

/* Indices that a run-time bound or a condition keeps inside are not refused. */
static void test_guarded_indices_pass(void **state)
{
  (void)state;
  Fix f = fix_new(DT_F32);
  Build *b = f.b;
  Buffer *w = l_buffer(b, "w", BUF_STATE, DT_F32, 16);
  f.m->state_bytes = 64;
  Kernel *k = l_kernel(b, "k");
  Buffer *y = l_formal(b, w, "w", true);
  LExpr *i = l_var(b, l_loop(b, "i", l_int(b, 0), l_int(b, 40), 1, FOR_PLAIN));
  l_if(b, l_op(b, SC_lt, i, l_int(b, 16), NULL));
  l_store(b, y, i, l_real(b, 1));
  l_end(b);
  LExpr *j = l_var(b, l_loop(b, "j", l_var(b, k->lo), l_var(b, k->n), 1, FOR_PLAIN));
  l_store(b, y, l_add(b, i, j), l_real(b, 1));
  l_end(b);
  l_store(b, y, l_mod(b, i, l_int(b, 16)), l_real(b, 1));
  l_end(b);
  LExpr *never = l_var(b, l_loop(b, "e", l_int(b, 5), l_int(b, 5), 1, FOR_PLAIN));
  l_store(b, y, l_addi(b, never, 16), l_real(b, 1));
  l_end(b);
  l_kernel_end(b);
  const char *fault = loop_verify(f.m, f.arena);
  if (fault)
    fail_msg("%s", fault);
  arena_free(&f.arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_sound_modules_pass),
    cmocka_unit_test(test_seeded_faults_are_found),
    cmocka_unit_test(test_guarded_indices_pass),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
