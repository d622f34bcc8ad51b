/* Builder: folding of index arithmetic, splats, types, and the layout functions. */
#include "fixture.h"
#include "base/out.h"
#include "loop/text.h"
#include "loop/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- folding ---- */

static LExpr *x_plus(Build *b, LExpr *x, LExpr *y, int64_t k) { (void)y; return l_addi(b, x, k); }
static LExpr *collect(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_addi(b, l_addi(b, x, 5), k);
}
static LExpr *left(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_add(b, l_int(b, k), x);
}
static LExpr *both(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  return l_add(b, l_addi(b, x, k), l_addi(b, y, 1));
}
static LExpr *times(Build *b, LExpr *x, LExpr *y, int64_t k) { (void)y; return l_muli(b, x, k); }
static LExpr *times_left(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_mul(b, l_int(b, k), x);
}
static LExpr *chain(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_muli(b, l_muli(b, x, 3), k);
}
static LExpr *spread(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_muli(b, l_addi(b, x, 2), k);
}
static LExpr *minus(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_sub(b, l_addi(b, x, k), x);
}
static LExpr *below(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  return l_sub(b, x, l_addi(b, y, k));
}
static LExpr *from(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_sub(b, l_int(b, k), l_addi(b, x, 1));
}
static LExpr *divide(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_div(b, x, l_int(b, k));
}
static LExpr *cancel(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_div(b, l_muli(b, x, 12), l_int(b, k));
}
static LExpr *rest(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_mod(b, l_muli(b, x, 12), l_int(b, k));
}
static LExpr *known(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)x, (void)y;
  return l_add(b, l_div(b, l_int(b, k), l_int(b, 3)), l_mod(b, l_int(b, k), l_int(b, 3)));
}
static LExpr *least(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_min(b, l_addi(b, x, 1), l_addi(b, x, k));
}
static LExpr *most(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)x, (void)y;
  return l_max(b, l_int(b, k), l_int(b, 0));
}
static LExpr *open_min(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  return l_min(b, x, l_addi(b, y, k));
}
static LExpr *huge(Build *b, LExpr *x, LExpr *y, int64_t k)
{
  (void)y;
  return l_addi(b, l_addi(b, x, k), k);
}

static const struct {
  const char *name;
  LExpr *(*make)(Build *b, LExpr *x, LExpr *y, int64_t k);
  int64_t k;
  const char *text;
} folds[] = {
  { "x + 0", x_plus, 0, "x" },
  { "x + k", x_plus, 4, "x + 4" },
  { "x - k", x_plus, -4, "x - 4" },
  { "(x + 5) + k", collect, 6, "x + 11" },
  { "(x + 5) - 5", collect, -5, "x" },
  { "(x + 5) - 9", collect, -9, "x - 4" },
  { "k + x", left, 3, "x + 3" },
  { "(x + k) + (y + 1)", both, 2, "x + y + 3" },
  { "(x - 1) + (y + 1)", both, -1, "x + y" },
  { "x * 0", times, 0, "0" },
  { "x * 1", times, 1, "x" },
  { "k * x", times_left, 7, "x * 7" },
  { "x * 3 * k", chain, 4, "x * 12" },
  { "(x + 2) * k", spread, 16, "x * 16 + 32" },
  { "(x + 2) * 0", spread, 0, "0" },
  { "(x + k) - x", minus, 9, "9" },
  { "x - (y + k)", below, 2, "x - y - 2" },
  { "k - (x + 1)", from, 8, "7 - x" },
  { "x / 1", divide, 1, "x" },
  { "x / k", divide, 2, "x / 2" },
  { "x / 0 stays", divide, 0, "x / 0" },
  { "x * 12 / 4", cancel, 4, "x * 3" },
  { "x * 12 / 12", cancel, 12, "x" },
  { "x * 12 / 5", cancel, 5, "x * 12 / 5" },
  { "x * 12 % 4", rest, 4, "0" },
  { "x * 12 % 1", rest, 1, "0" },
  { "x * 12 % 5", rest, 5, "x * 12 % 5" },
  { "7 / 3 + 7 % 3", known, 7, "3" },
  { "-7 / 3 truncates", known, -7, "-3" },
  { "min(x + 1, x + 5)", least, 5, "x + 1" },
  { "min(x + 1, x - 2)", least, -2, "x - 2" },
  { "max(k, 0)", most, 3, "3" },
  { "min(x, y + k)", open_min, 1, "min(x, y + 1)" },
  { "no overflow", huge, INT64_MAX, "x + 9223372036854775807 + 9223372036854775807" },
};

/* What the kernel's local `value` is, as text. */
static const char *value_text(Fix *f, Kernel *k)
{
  static const char let[] = "let value = ";
  Out *o = out_new(f->arena);
  loop_print_kernel(f->m, k, o);
  const char *at = strstr(out_text(o), let);
  if (!at)
    return "nothing";
  at += strlen(let);
  return arena_strndup(f->arena, at, strcspn(at, "\n"));
}

static void test_folding(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof folds / sizeof folds[0]; i++) {
    Fix f = fix_new(DT_F32);
    Kernel *k = l_kernel(f.b, "k");
    LExpr *x = l_var(f.b, l_loop(f.b, "x", l_int(f.b, 0), l_int(f.b, 9), 1, FOR_PLAIN));
    LExpr *y = l_var(f.b, l_loop(f.b, "y", l_int(f.b, 0), l_int(f.b, 9), 1, FOR_PLAIN));
    LExpr *e = folds[i].make(f.b, x, y, folds[i].k);
    /* a cast around constants and variables: they get no local of their own */
    l_let(f.b, "value", e->kind == LE_OP ? e : l_cast(f.b, e, DT_I32));
    l_end(f.b);
    l_end(f.b);
    l_kernel_end(f.b);
    const char *text = value_text(&f, k);
    const char *want =
        e->kind == LE_OP ? folds[i].text : arena_printf(f.arena, "i32(%s)", folds[i].text);
    if (strcmp(text, want) != 0)
      fail_msg("%s: got '%s', not '%s'", folds[i].name, text, want);
    arena_free(&f.arena);
  }
}

static void test_reals_are_not_folded(void **state)
{
  (void)state;
  Fix f = fix_new(DT_F32);
  LExpr *x = l_real(f.b, 2);
  assert_int_equal(l_add(f.b, x, l_real(f.b, 0))->kind, LE_OP);
  assert_int_equal(l_mul(f.b, x, l_real(f.b, 1))->kind, LE_OP);
  assert_true(l_real(f.b, 0.1)->r == (double)0.1f);
  arena_free(&f.arena);
}

static void test_operations_splat_scalars(void **state)
{
  (void)state;
  Fix f = fix_new(DT_F32);
  LExpr *v = l_iota(f.b, 16), *s = l_real(f.b, 1);
  LExpr *e = l_fma(f.b, s, v, s);
  assert_int_equal(e->lanes, 16);
  assert_int_equal(e->op.arg[0]->kind, LE_SPLAT);
  assert_ptr_equal(e->op.arg[1], v);
  e = l_op(f.b, SC_select, l_op(f.b, SC_lt, v, s, NULL), s, s);
  assert_int_equal(e->lanes, 16);
  assert_int_equal(e->op.arg[0]->dtype, TY_BOOL);
  assert_ptr_equal(l_splat(f.b, v, 16), v);
  assert_int_equal(l_reduce(f.b, SC_add, v)->lanes, 1);
  arena_free(&f.arena);
}

static void test_casts_of_constants(void **state)
{
  (void)state;
  Fix f = fix_new(DT_F32);
  assert_int_equal(l_cast(f.b, l_int(f.b, 5), DT_F32)->kind, LE_REAL);
  assert_int_equal(l_cast(f.b, l_int(f.b, 5), DT_U32)->kind, LE_INT);
  assert_int_equal(l_cast(f.b, l_int(f.b, -5), DT_U32)->kind, LE_CAST);
  LExpr *x = l_real(f.b, 1);
  assert_ptr_equal(l_cast(f.b, x, DT_F32), x);
  arena_free(&f.arena);
}

static void test_lets_of_names_are_names(void **state)
{
  (void)state;
  Fix f = fix_new(DT_F32);
  Kernel *k = l_kernel(f.b, "k");
  LExpr *n = l_var(f.b, k->n), *five = l_int(f.b, 5);
  assert_ptr_equal(l_let(f.b, "a", n), n);
  assert_ptr_equal(l_let(f.b, "b", five), five);
  assert_null(k->body);
  assert_int_equal(l_let(f.b, "c", l_addi(f.b, n, 1))->kind, LE_VAR);
  assert_int_equal(k->body->kind, LS_LET);
  l_kernel_end(f.b);
  arena_free(&f.arena);
}

static void test_functions_open_inside_kernels(void **state)
{
  (void)state;
  Fix f = fix_new(DT_F32);
  Kernel *k = l_kernel(f.b, "k");
  l_note(f.b, "before");
  const LFunc *fn = l_math(f.b, "softplus", 16);
  assert_ptr_equal(l_math(f.b, "softplus", 16), fn);
  assert_string_equal(l_math(f.b, "exp", 1)->name, "exp");
  l_note(f.b, "after");
  l_kernel_end(f.b);
  assert_string_equal(fn->name, "softplus_16");
  assert_string_equal(k->body->next->note.text, "after");
  assert_null(k->body->next->next);
  assert_null(loop_verify(f.m, f.arena));
  arena_free(&f.arena);
}

/* ---- misuse ends in an internal error ---- */

static void wrong_types(Build *b) { l_op(b, SC_add, l_real(b, 1), l_int(b, 1), NULL); }
static void wrong_arity(Build *b) { l_op(b, SC_neg, l_real(b, 1), l_real(b, 1), NULL); }
static void wrong_lanes(Build *b) { l_op(b, SC_add, l_iota(b, 16), l_iota(b, 8), NULL); }
static void three_lanes(Build *b) { l_iota(b, 3); }
static void stray_store(Build *b) { l_note(b, "nowhere"); }
static void else_alone(Build *b) { l_kernel(b, "k"); l_else(b); }
static void end_alone(Build *b) { l_kernel(b, "k"); l_end(b); }
static void left_open(Build *b)
{
  l_kernel(b, "k");
  l_loop(b, "i", l_int(b, 0), l_int(b, 1), 1, FOR_PLAIN);
  l_kernel_end(b);
}
static void bad_step(Build *b)
{
  l_kernel(b, "k");
  l_loop(b, "i", l_int(b, 0), l_int(b, 1), 0, FOR_PLAIN);
}
static void unknown_math(Build *b) { l_math(b, "gamma", 16); }
static void moving_register(Build *b)
{
  Kernel *k = l_kernel(b, "k");
  Buffer *r = l_registers(b, "acc", DT_F32, 16, 2);
  l_load(b, r, l_var(b, k->n), 16);
}
static void const_store(Build *b)
{
  Buffer *w = l_buffer(b, "w", BUF_STATE, DT_F32, 16);
  l_kernel(b, "k");
  l_store(b, l_formal(b, w, "w", false), l_int(b, 0), l_real(b, 1));
}

static void test_misuse_is_an_internal_error(void **state)
{
  static const struct {
    const char *name;
    void (*run)(Build *b);
  } row[] = {
    { "types", wrong_types },
    { "arity", wrong_arity },
    { "lanes", wrong_lanes },
    { "three lanes", three_lanes },
    { "stray statement", stray_store },
    { "else", else_alone },
    { "end", end_alone },
    { "open", left_open },
    { "step", bad_step },
    { "math", unknown_math },
    { "register", moving_register },
    { "const", const_store },
  };
  (void)state;
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
      if (!freopen("/dev/null", "w", stderr))
        _exit(1);
      Fix f = fix_new(DT_F32);
      row[i].run(f.b);
      _exit(0);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_INTERNAL)
      fail_msg("%s: status %d", row[i].name, status);
  }
}

/* ---- layouts ---- */

static void test_layouts(void **state)
{
  static const struct {
    Layout l;
    int64_t extent;
    bool padding;               /* for f32[n,20,28], batch 40 */
    const char *text;
  } row[] = {
    { { 3, { { -1, 1, 40 }, { 0, 1, 20 }, { 1, 1, 28 } } }, 40 * 20 * 28, false, "[n][20][28]" },
    { { 4, { { -1, 16, 3 }, { 0, 1, 20 }, { 1, 1, 28 }, { -1, 1, 16 } } },
      48 * 20 * 28,
      true,
      "[n/16][20][28][n%16]" },
    { { 4, { { -1, 1, 40 }, { 0, 16, 2 }, { 1, 1, 28 }, { 0, 1, 16 } } },
      40 * 32 * 28,
      true,
      "[n][c/16][28][c%16]" },
    { { 5, { { -1, 1, 40 }, { 0, 10, 2 }, { 1, 1, 28 }, { 0, 5, 2 }, { 0, 1, 5 } } },
      40 * 20 * 28,
      false,
      "[n][c/10][28][c/5%2][c%5]" },
  };
  (void)state;
  Arena *a = arena_new("test");
  Type t = { .dtype = DT_F32, .batched = true, .rank = 2, .dim = { 20, 28 } };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    assert_int_equal(layout_extent(&row[i].l), row[i].extent);
    assert_int_equal(layout_has_padding(&row[i].l, &t, 40), row[i].padding);
    assert_string_equal(layout_text(a, &row[i].l), row[i].text);
    for (size_t k = 0; k < sizeof row / sizeof row[0]; k++)
      assert_int_equal(layout_equal(&row[i].l, &row[k].l), i == k);
  }
  t.batched = false;
  Layout plain = layout_row_major(&t);
  assert_int_equal(plain.n, 2);
  assert_int_equal(layout_extent(&plain), 560);
  assert_string_equal(layout_text(a, &plain), "[20][28]");
  Layout deep = { 4, { { 6, 4, 2 }, { 7, 4, 3 }, { 6, 1, 4 }, { 7, 1, 4 } } };
  assert_string_equal(layout_text(a, &deep), "[u/4][t/4][u%4][t%4]");
  t.rank = 0;
  plain = layout_row_major(&t);
  assert_int_equal(layout_extent(&plain), 1);
  arena_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_folding),
    cmocka_unit_test(test_reals_are_not_folded),
    cmocka_unit_test(test_operations_splat_scalars),
    cmocka_unit_test(test_casts_of_constants),
    cmocka_unit_test(test_lets_of_names_are_names),
    cmocka_unit_test(test_functions_open_inside_kernels),
    cmocka_unit_test(test_misuse_is_an_internal_error),
    cmocka_unit_test(test_layouts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
