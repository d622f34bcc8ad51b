/* The text form: printing is a fixed point of reading, and bad text is refused with a message. */
#include "fixture.h"
#include "loop/text.h"
#include "loop/verify.h"

#include <stdio.h>
#include <stdlib.h>

static void collect(void *ctx, const char *text)
{
  char *message = ctx;
  snprintf(message, 1024, "%s", text);
}

static Module *read_text(Arena *a, const char *text, char *message)
{
  SourceMap *sources = source_map_new(a);
  uint32_t base = source_add(sources, "test.loop", text, (uint32_t)strlen(text));
  Diag *d = diag_new(a, sources, collect, message);
  Module *m = loop_read(text, (uint32_t)strlen(text), base, a, d);
  diag_flush(d);
  return m;
}

static const char *print_text(const Module *m, Arena *a)
{
  Out *o = out_new(a);
  loop_print(m, o);
  return out_text(o);
}

static void assert_fixpoint(const char *text, Arena *a)
{
  char message[1024] = "";
  Module *back = read_text(a, text, message);
  if (!back)
    fail_msg("%s\n%s", message, text);
  assert_string_equal(print_text(back, a), text);
}

static void test_print_read_print_is_stable(void **state)
{
  (void)state;
  for (int real = DT_F32; real <= DT_F64; real++) {
    Net t = fix_net((DType)real);
    assert_null(loop_verify(t.f.m, t.f.arena));
    assert_fixpoint(print_text(t.f.m, t.f.arena), t.f.arena);
    arena_free(&t.f.arena);
  }
}

static void test_all_math_survives_reading(void **state)
{
  static const char *const names[] = { "exp",     "expm1",    "log",    "log1p", "tanh",
                                       "sigmoid", "softplus", "sin",    "cos",   "philox0",
                                       "philox1", "philox2",  "philox3" };
  (void)state;
  for (int real = DT_F32; real <= DT_F64; real++)
    for (int scalar = 0; scalar < 2; scalar++) {
      Fix f = fix_new((DType)real);
      for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        l_math(f.b, names[i], scalar ? 1 : f.m->block);
      const char *fault = loop_verify(f.m, f.arena);
      if (fault)
        fail_msg("%s", fault);
      assert_fixpoint(print_text(f.m, f.arena), f.arena);
      arena_free(&f.arena);
    }
}

/* Everything that the fixture lacks, in the printer's own form. */
static void test_every_kind_is_stable(void **state)
{
  static const char text[] =
    "loop 1\n"
    "module \"a\\\"b\" f32 batch 4 state 64\n"
    "state i32 t[16] at 0 index 3 : i32[16]\n"
    "args f64 args[8]\n"
    "out f32 y[0] index 1 : f32[n]\n"
    "const f32 c[3]\n"
    "  = 0.5 -inf 1e-30\n"
    "\n"
    "func twice_4(f32x4 x, u32 k) {\n"
    "  let y = x + x\n"
    "  return select(x < y & not(y == x), splat(-1.5, 4), -x) * splat(f32(k), 4)\n"
    "}\n"
    "\n"
    "kernel k @7:9 {\n"
    "  layer \"l\"\n"
    "  formula \"y = x\"\n"
    "  about \"a\"\n"
    "  template \"t\"\n"
    "  flops 2.5\n"
    "  in f64 args[8]\n"
    "  out f32 y[0] : f32[n]\n"
    "  in f32 c[3]\n"
    "  registers u32x4 r[2]\n"
    "  for i = lo .. hi step 4 rolled @1:2 {\n"
    "    let a = f32(args[1])\n"
    "    let b = iota(4) - splat(a - (a - -2.0), 4)\n"
    "    if a <= nan | i % 2 != 0 @3:4 {\n"
    "      r[0] = bits_u32(b) << splat(3u, 4) ^ splat(4294967295u, 4)\n"
    "    } else {\n"
    "      r[0] = mulhi(splat(7u, 4), splat(u32(i), 4))\n"
    "    }\n"
    "    y[(i - -3) * 2 / 5] = reduce_max(twice_4(b, 2u)) @5:6\n"
    "    y[i : 4] = round(bits_f32(r[0]))\n"
    "    y[-i + min(i, 9223372036854775807)] = -(1.0) + -(-c[2])\n"
    "    note \"x\\001\\ny\"\n"
    "  }\n"
    "}\n"
    "\n"
    "host infer arena 0 worker 64 {\n"
    "  let half = n / 2\n"
    "  call k(args, y, c) half .. n\n"
    "  barrier\n"
    "  call k(args, y, c) 0 .. half\n"
    "  barrier when n != 4 | 2 % nworkers != 0 @7:8\n"
    "  call k(args, y, c) half .. n\n"
    "}\n";
  (void)state;
  Arena *a = arena_new("test");
  assert_fixpoint(text, a);
  arena_free(&a);
}

#define HEAD "loop 1\nmodule \"m\" f32 batch 4 state 64\nstate f32 w[16] at 0\n"
#define BODY(s) HEAD "kernel k {\n  out f32 y[16]\n  registers f32x16 r[1]\n  " s "\n}\n"

static const struct {
  const char *name, *text, *message;
} bad[] = {
  { "empty", "", "'loop' is missing" },
  { "version", "loop 2\n", "version" },
  { "real", "loop 1\nmodule \"m\" u8 batch 4 state 0", "f32 or f64" },
  { "garbage", HEAD "what", "is missing here" },
  { "twice", HEAD "state f32 w[16] at 64", "second buffer" },
  { "past state", HEAD "state f32 v[16] at 64", "past the state block" },
  { "lanes", HEAD "state f32x3 v[16] at 64", "no type has the lanes" },
  { "unknown variable", BODY("y[q] = 0.0"), "no variable is called 'q'" },
  { "unknown buffer", BODY("y[0] = z[0]"), "no buffer is called 'z'" },
  { "unknown function", BODY("y[0] = foo(1.0)"), "no function is called 'foo'" },
  { "mixed types", BODY("y[0] = 1.0 + 1"), "operands of these types" },
  { "mixed lanes", BODY("r[0] = iota(16) + 1.0"), "different lanes" },
  { "store lanes", BODY("y[0 : 8] = iota(16)"), "lanes differ" },
  { "register index", BODY("r[1] = iota(16)"), "register" },
  { "past the end", BODY("y[1 : 16] = iota(16)"), "16 elements" },
  { "host store", HEAD "host train arena 0 worker 0 {\n  w[0] = 1.0\n}", "no buffer" },
  { "unknown kernel", HEAD "host train arena 0 worker 0 {\n  call k() 0 .. 1\n}",
    "no kernel to call" },
  { "unclosed", BODY("for i = lo .. hi {"), "a word is missing" },
  { "number", BODY("y[99999999999999999999] = 0.0"), "64 bits" },
  { "reserved", BODY("let for = 1.0"), "reserved word" },
  { "bare minus", BODY("y[0] = -"), "missing" },
};

static void test_bad_text_is_refused(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    char message[1024] = "";
    Arena *a = arena_new("test");
    if (read_text(a, bad[i].text, message))
      fail_msg("%s: was accepted", bad[i].name);
    if (!strstr(message, bad[i].message))
      fail_msg("%s: '%s' lacks '%s'", bad[i].name, message, bad[i].message);
    arena_free(&a);
  }
}

/* Every prefix and every single changed byte of a module either reads or gives a message. */
static void test_damaged_text_never_crashes(void **state)
{
  (void)state;
  Net t = fix_net(DT_F32);
  const char *text = print_text(t.f.m, t.f.arena);
  size_t n = strlen(text);
  for (size_t i = 0; i < n; i += 7) {
    static const char with[] = { '(', '-', '9', 'x', '"', '\n', '[' };
    char message[1024] = "";
    Arena *a = arena_new("test");
    char *copy = arena_strndup(a, text, i);
    if (read_text(a, copy, message) == NULL)
      assert_string_not_equal(message, "");
    message[0] = '\0';
    copy = arena_strdup(a, text);
    copy[i] = with[i / 7 % sizeof with];
    if (read_text(a, copy, message) == NULL)
      assert_string_not_equal(message, "");
    arena_free(&a);
  }
  arena_free(&t.f.arena);
}

static void test_deep_nesting_is_refused(void **state)
{
  (void)state;
  char message[1024] = "";
  Arena *a = arena_new("test");
  size_t depth = 100000, at = 0;
  char *text = arena_alloc(a, 2 * depth + 200);
  at += (size_t)sprintf(text, "%s", HEAD "kernel k {\n  out f32 y[16]\n  y[0] = ");
  memset(text + at, '(', depth);
  assert_null(read_text(a, text, message));
  assert_non_null(strstr(message, "nested too deeply"));
  arena_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_print_read_print_is_stable),
    cmocka_unit_test(test_all_math_survives_reading),
    cmocka_unit_test(test_every_kind_is_stable),
    cmocka_unit_test(test_bad_text_is_refused),
    cmocka_unit_test(test_damaged_text_never_crashes),
    cmocka_unit_test(test_deep_nesting_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
