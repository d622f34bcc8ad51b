/* Lanes that move and arrays local to a kernel: a square of 16 x 16 turned by zips, through a local
 * array, alike in text, in the interpreter and split for narrow targets. */
#include "base/out.h"
#include "fixture.h"
#include "loop/interp.h"
#include "loop/narrow.h"
#include "loop/text.h"
#include "loop/verify.h"

enum { SIDE = 16 };

/* arena y[i][j] := arena x[j][i]; the rows go through a local array, last row first. */
static Fix turning_module(void)
{
  Fix f = fix_new(DT_F32);
  Build *b = f.b;
  Buffer *x = l_buffer(b, "x", BUF_STATE, DT_F32, SIDE * SIDE);
  Buffer *y = l_buffer(b, "y", BUF_STATE, DT_F32, SIDE * SIDE);
  y->offset = SIDE * SIDE * 4;
  f.m->state_bytes = 2 * SIDE * SIDE * 4;
  Kernel *k = l_kernel(b, "turn");
  Buffer *from = l_formal(b, x, "x", false), *to = l_formal(b, y, "y", true);
  Buffer *rows = l_local(b, "rows", DT_F32, SIDE * SIDE);
  LExpr *item = l_var(b, l_loop(b, "i", l_var(b, k->lo), l_var(b, k->hi), 1, FOR_PLAIN));
  LExpr *at = l_var(b, l_loop(b, "at", l_int(b, 0), l_int(b, SIDE), 1, FOR_PLAIN));
  LExpr *back = l_muli(b, l_sub(b, l_int(b, SIDE - 1), at), SIDE);
  l_store(b, rows, back, l_load(b, from, l_add(b, back, l_muli(b, item, SIDE * SIDE)), SIDE));
  l_end(b);
  LExpr *row[SIDE], *next[SIDE];
  for (int i = 0; i < SIDE; i++)
    row[i] = l_let(b, "row", l_load(b, rows, l_int(b, i * SIDE), SIDE));
  for (int round = 1; round < SIDE; round *= 2) {
    for (int i = 0; i < SIDE / 2; i++) {
      next[2 * i] = l_let(b, "z", l_op(b, SC_ziplo, row[i], row[i + SIDE / 2], NULL));
      next[2 * i + 1] = l_let(b, "z", l_op(b, SC_ziphi, row[i], row[i + SIDE / 2], NULL));
    }
    memcpy(row, next, sizeof row);
  }
  for (int i = 0; i < SIDE; i++)
    l_store(b, to, l_addi(b, l_muli(b, item, SIDE * SIDE), i * SIDE), row[i]);
  l_end(b);
  l_kernel_end(b);
  l_host(b, HOST_TRAIN);
  l_call_kernel(b, k, (Buffer *[]){ x, y }, l_int(b, 0), l_int(b, 1));
  l_host_end(b);
  return f;
}

static void assert_turns(Module *m)
{
  float state[2 * SIDE * SIDE] = { 0 };
  Arena *a = arena_new("test");
  for (int i = 0; i < SIDE * SIDE; i++)
    state[i] = (float)i;
  LoopRun run = { .state = (char *)state, .n = 1, .nworkers = 1 };
  const char *error = loop_run(m, HOST_TRAIN, &run, a);
  if (error)
    fail_msg("%s", error);
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++)
      assert_true(state[SIDE * SIDE + i * SIDE + j] == (float)(j * SIDE + i));
  arena_free(&a);
}

static void test_zips_turn_a_square(void **state)
{
  (void)state;
  Fix f = turning_module();
  assert_null(loop_verify(f.m, f.arena));
  assert_turns(f.m);
  arena_free(&f.arena);
}

static void test_narrow_parts_turn_it_too(void **state)
{
  (void)state;
  for (int bytes = 4; bytes <= 32; bytes *= 2) {
    Fix f = turning_module();
    Module *parts = narrow(f.m, bytes);
    assert_null(loop_verify(parts, f.arena));
    assert_turns(parts);
    arena_free(&f.arena);
  }
}

static void ignore(void *ctx, const char *message)
{
  (void)ctx;
  (void)message;
}

static const char *text_of(const Module *m, Arena *a)
{
  Out *o = out_new(a);
  loop_print(m, o);
  return out_text(o);
}

static void test_text_keeps_arrays_and_zips(void **state)
{
  (void)state;
  Fix f = turning_module();
  const char *text = text_of(f.m, f.arena);
  assert_non_null(strstr(text, "local f32 rows[256]"));
  assert_non_null(strstr(text, "ziplo("));
  SourceMap *sources = source_map_new(f.arena);
  uint32_t base = source_add(sources, "turn.loop", text, (uint32_t)strlen(text));
  Diag *d = diag_new(f.arena, sources, ignore, NULL);
  Module *again = loop_read(text, (uint32_t)strlen(text), base, f.arena, d);
  assert_non_null(again);
  assert_string_equal(text_of(again, f.arena), text);
  assert_turns(again);
  arena_free(&f.arena);
}

static void test_verifier_knows_their_limits(void **state)
{
  (void)state;
  Fix f = turning_module();
  Buffer *rows = f.m->kernels.at[0]->regs.at[0];
  rows->extent = LOCAL_BYTES_MAX / 4 + 1;
  assert_non_null(strstr(loop_verify(f.m, f.arena), "array 'rows'"));
  rows->extent = SIDE * SIDE - 1;       /* the last row does not fit */
  assert_non_null(strstr(loop_verify(f.m, f.arena), "'rows'"));
  arena_free(&f.arena);
}

static void test_what_was_not_stored_does_not_pass_for_a_number(void **state)
{
  (void)state;
  Fix f = turning_module();
  LStmt *loop = f.m->kernels.at[0]->body->loop.body;
  loop->loop.lo = l_int(f.b, SIDE - 1); /* fills row 0 alone */
  float block[2 * SIDE * SIDE] = { 0 };
  LoopRun run = { .state = (char *)block, .n = 1, .nworkers = 1 };
  assert_null(loop_run(f.m, HOST_TRAIN, &run, f.arena));
  assert_true(block[SIDE * SIDE] == 0);
  assert_true(block[SIDE * SIDE + 1] != block[SIDE * SIDE + 1]);        /* a NaN */
  arena_free(&f.arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_zips_turn_a_square),
    cmocka_unit_test(test_narrow_parts_turn_it_too),
    cmocka_unit_test(test_text_keeps_arrays_and_zips),
    cmocka_unit_test(test_verifier_knows_their_limits),
    cmocka_unit_test(test_what_was_not_stored_does_not_pass_for_a_number),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
