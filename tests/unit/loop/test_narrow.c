/* Narrowing: modules in parts of fewer lanes are well formed, hold nothing wider, survive printing
 * and reading, and give the same bits as the module they were made from. */
#include "fixture.h"
#include "loop/interp.h"
#include "loop/narrow.h"
#include "loop/text.h"
#include "loop/verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ELEMENTS = 96 };

/* ---- modules from text ---- */

/* A kernel that reads x, b and u and changes y. In it $ stands for the lanes of a block, ~ for the
 * real type. */
typedef struct { const char *name, *body; } Case;

static const char functions[] =
  "func twice_$(~x$ x) {\n let y = x + x\n return y * splat(0.75, $)\n}\n"
  "func half_$(~x$ x, ~ by) {\n return twice_$(x) * splat(by, $)\n}\n"
  "func ramp_$(~x$ x) {\n let s = reduce_add(x)\n let r = twice_$(x) * iota($)\n"
  " return r + splat(s, $)\n}\n"
  "func steps_$(~x$ x) {\n return x * iota($)\n}\n"
  "func total(~ s, i64 k) {\n let v = splat(s, $) * iota($)\n"
  " return reduce_max(v + splat(~(k), $))\n}\n"
  "func scalar(~ x) {\n return x * x\n}\n"
  "func chain_$(~x$ x) {\n return ramp_$(x) + splat(scalar(total(reduce_min(x), 3)), $)\n}\n";

static const Case cases[] = {
  { "one product", "let v = x[5 : $]\n y[$ : $] = v * v + splat(x[0], $)\n" },
  { "a store over its own operand", "y[1 : $] = y[0 : $] + splat(1.5, $)\n" },
  { "a store over its own operand, downwards", "y[0 : $] = y[3 : $] * splat(2.0, $)\n" },
  { "a splat of what is overwritten", "y[0 : $] = y[0 : $] * splat(y[2], $)\n" },
  { "reductions", "y[0] = reduce_add(x[1 : $])\n y[1] = reduce_max(x[2 : $] * iota($))\n"
                  " y[2] = reduce_min(x[3 : $]) + reduce_add(x[4 : 4]) + reduce_add(x[2 : 2])\n" },
  { "a register and its sum", "acc[0] = x[0 : $]\n acc[1] = x[7 : $]\n"
                              "acc[0] = acc[0] * splat(reduce_add(acc[0] + acc[1]), $)\n"
                              "acc[1] = acc[0] - splat(reduce_max(acc[1]), $)\n"
                              "y[0 : $] = acc[0]\n y[$ : $] = acc[1]\n" },
  { "registers change places",
    "acc[0] = x[0 : $]\n acc[1] = x[7 : $]\n let a = acc[0]\n acc[0] = acc[1]\n acc[1] = a\n"
    "y[0 : $] = acc[0]\n y[$ : $] = acc[1]\n" },
  { "a register is read, then cleared",
    "acc[0] = x[0 : $]\n let a = acc[0]\n acc[0] = splat(0.0, $)\n acc[1] = a + acc[0]\n"
    "y[0 : $] = acc[0]\n y[$ : $] = acc[1]\n" },
  { "memory is read, then cleared",
    "let a = y[0 : $]\n y[0 : $] = splat(2.0, $)\n y[$ : $] = a\n y[0 : $] = y[0 : $] + a\n" },
  { "one element among stores of all",
    "y[0 : $] = x[0 : $]\n y[3] = 7.5\n y[0 : $] = y[0 : $] + splat(y[1], $)\n"
    "y[5] = y[5] * y[3]\n" },
  { "bytes and words", "y[0 : $] = ~(b[3 : $]) + ~(u[5 : $])\n let k = u[0 : $] & splat(3u, $)\n"
                       "let h = mulhi(k * splat(4000000007u, $), u[1 : $])\n"
                       "y[$ : $] = ~(h ^ (k << splat(5u, $)))\n" },
  { "a scalar register in between",
    "s[0] = x[1]\n let a = splat(s[0], $) * x[0 : $]\n s[0] = x[2]\n y[0 : $] = a\n"
    "y[$ : $] = splat(s[0], $) - a\n s[0] = s[0] * s[0]\n y[40] = s[0]\n" },
  { "places from memory",
    "let v = x[i64(u[1] % 16u) : $]\n"
    "y[i64(u[0] % 8u) : $] = v * x[i64(u[2] % 16u) * 2 + 1 : $]\n" },
  { "a place that the store overwrites", "y[2] = 1.0\n y[i64(y[2] * 2.0) : $] = x[0 : $]\n" },
  { "a function that counts lanes", "y[0 : $] = steps_$(x[0 : $]) + steps_$(splat(x[1], $))\n" },
  { "functions by lanes", "y[0 : $] = twice_$(x[0 : $])\n"
                          "y[$ : $] = half_$(x[1 : $], x[2] * x[3])\n"
                          "let w = splat(x[0], $)\n let v = half_$(twice_$(w), x[1])\n"
                          "acc[0] = v * x[0 : $]\n y[40 : $] = acc[0]\n" },
  { "functions across lanes", "y[0 : $] = ramp_$(ramp_$(x[0 : $])) + ramp_$(x[3 : $])\n"
                              "y[40] = total(x[0], 2) + total(total(x[1], 1), 5)\n"
                              "y[$ : $] = chain_$(x[5 : $]) * splat(scalar(x[0]), $)\n" },
  { "branches on a sum",
    "for j = 0 .. i64(reduce_max(abs(x[0 : $]))) + 3 {\n"
    " if reduce_add(x[j : $]) < 0.0 {\n  y[j : $] = -x[j : $]\n } else {\n"
    "  y[j] = reduce_min(x[j : $])\n }\n}\n" },
  { "masks", "let m = x[0 : $] < x[1 : $] & not(x[2 : $] <= splat(0.0, $))\n"
             "y[0 : $] = select(m | x[3 : $] == x[4 : $], x[0 : $], -x[5 : $])\n"
             "y[$ : $] = max(min(x[0 : $], splat(0.25, $)), splat(-0.25, $))\n" },
  { "several widths", "let q = x[0 : 4] * x[4 : 4]\n let v = x[0 : $] + iota($)\n y[0 : 4] = q\n"
                      "y[8 : $] = v\n y[40 : 2] = x[0 : 2] / x[2 : 2]\n"
                      "y[44 : 8] = x[0 : 8] + x[8 : 8]\n" },
  { "in place", "y[0 : $] = fma(splat(-0.5, $), x[0 : $], y[0 : $])\n"
                "y[0 : $] = y[0 : $] * splat(2.0, $)\n" },
  { "a tile",
    "acc[0] = splat(x[0], $)\n acc[1] = splat(0.0, $)\n"
    "for k = 0 .. 5 rolled {\n let v = x[k * 3 : $]\n let p = splat(x[k], $)\n"
    " acc[0] = fma(p, v, acc[0])\n let q = splat(x[k + 9], $)\n acc[1] = fma(q, v, acc[1])\n}\n"
    "note \"finish\"\n y[0 : $] = acc[0]\n y[$ : $] = max(acc[1], splat(0.0, $))\n" },
};

/* from with $ and ~ replaced, at the end of to */
static void substitute(char *to, size_t room, const char *from, DType real)
{
  size_t n = strlen(to);
  for (; *from && n + 4 < room; from++)
    if (*from == '$' || *from == '~')
      n += (size_t)snprintf(to + n, room - n, "%s",
                            *from == '$' ? (real == DT_F32 ? "16" : "8")
                                         : (real == DT_F32 ? "f32" : "f64"));
    else
      to[n++] = *from;
  to[n] = '\0';
}

static void collect(void *ctx, const char *text) { snprintf(ctx, 1024, "%s", text); }

static Module *read_module(const char *text, Arena *a)
{
  char message[1024] = "";
  SourceMap *sources = source_map_new(a);
  uint32_t base = source_add(sources, "test.loop", text, (uint32_t)strlen(text));
  Diag *d = diag_new(a, sources, collect, message);
  Module *m = loop_read(text, (uint32_t)strlen(text), base, a, d);
  diag_flush(d);
  if (!m)
    fail_msg("%s\n%s", message, text);
  return m;
}

static Module *case_module(const Case *c, DType real, Arena *a)
{
  char text[8192] = "";
  substitute(text, sizeof text, "loop 1\nmodule \"m\" ~ batch 32 state 0\n", real);
  substitute(text, sizeof text, functions, real);
  substitute(text, sizeof text,
             "kernel k {\n in ~ x[96]\n out ~ y[96]\n in u8 b[96]\n in u32 u[96]\n"
             " registers ~x$ acc[2]\n registers ~ s[1]\n for i = lo .. hi {\n", real);
  substitute(text, sizeof text, c->body, real);
  substitute(text, sizeof text, " }\n}\n", real);
  return read_module(text, a);
}

static const char *print_text(const Module *m, Arena *a)
{
  Out *o = out_new(a);
  loop_print(m, o);
  return out_text(o);
}

/* What every narrowed module must be. */
static void assert_narrow(const Module *m, int bytes, const char *name, Arena *a)
{
  const char *fault = loop_verify(m, a), *text = print_text(m, a);
  if (fault)
    fail_msg("%s in %d bytes: %s\n%s", name, bytes, fault, text);
  if (widest_lanes(m) * dtype_bytes(m->real) > bytes)
    fail_msg("%s: %d lanes in %d bytes\n%s", name, widest_lanes(m), bytes, text);
  assert_string_equal(print_text(read_module(text, a), a), text);
}

static void fill(DType real, void *x, void *y, uint8_t *b, uint32_t *u)
{
  uint32_t seed = 5;
  for (int i = 0; i < ELEMENTS; i++) {
    double v[2];
    for (int k = 0; k < 2; k++) {
      seed = seed * 1664525u + 1013904223u;
      v[k] = (double)seed / 0x1p30 - 2;
    }
    if (real == DT_F32) {
      ((float *)x)[i] = (float)v[0];
      ((float *)y)[i] = (float)v[1];
    } else {
      ((double *)x)[i] = v[0];
      ((double *)y)[i] = v[1];
    }
    b[i] = (uint8_t)(seed >> 13);
    u[i] = seed >> 3;
  }
}

static void run_case(const Module *m, double *y, const char *name, Arena *a)
{
  double x[ELEMENTS];
  uint8_t b[ELEMENTS];
  uint32_t u[ELEMENTS];
  memset(y, 0, ELEMENTS * sizeof *y);
  fill(m->real, x, y, b, u);
  void *block[] = { x, y, b, u };
  const char *fault = loop_run_kernel(m, m->kernels.at[0], block, 0, 1, 1, a);
  if (fault)
    fail_msg("%s: %s\n%s", name, fault, print_text(m, a));
}

static void test_parts_give_the_same_bits(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    for (int real = DT_F32; real <= DT_F64; real++)
      for (int bytes = 32; bytes >= dtype_bytes((DType)real); bytes /= 2) {
        double want[ELEMENTS], got[ELEMENTS];
        Arena *a = arena_new("narrow");
        Module *m = case_module(&cases[i], (DType)real, a);
        const char *before = print_text(m, a);
        Module *parts = narrow(m, bytes);
        assert_ptr_not_equal(parts, m);
        assert_string_equal(print_text(m, a), before);
        assert_narrow(parts, bytes, cases[i].name, a);
        run_case(m, want, cases[i].name, a);
        run_case(parts, got, cases[i].name, a);
        if (memcmp(want, got, sizeof want))
          fail_msg("%s in %d bytes: other bits\n%s", cases[i].name, bytes, print_text(parts, a));
        arena_free(&a);
      }
}

/* ---- a module with rows, host function and math ---- */

enum { ROWS = 40, N = 29 };

static void run_net(const Net *t, const Module *m, void *y)
{
  uint8_t rows[ROWS * 3];
  uint32_t ids[32];
  bool f32 = m->real == DT_F32;
  for (int i = 0; i < ROWS * 3; i++)
    rows[i] = (uint8_t)(i * 37);
  for (int i = 0; i < 32; i++)
    ids[i] = (uint32_t)((i < N ? i : N - 1) * 11 % ROWS);
  char *state = ARENA_ARRAY(t->f.arena, char, m->state_bytes);
  for (int i = 0; i < 6; i++)
    if (f32)
      ((float *)(void *)state)[i] = (float)(i - 2) * 0.3f;
    else
      ((double *)(void *)state)[i] = (i - 2) * 0.3;
  char *block = ARENA_ARRAY(t->f.arena, char, t->host->arena_bytes);
  LoopRun run = { .state = state, .arena = block, .rows = (const void *const[]){ rows }, .ids = ids,
                  .n = N, .nworkers = 2 };
  const char *error = loop_run(m, HOST_TRAIN, &run, t->f.arena);
  if (error)
    fail_msg("%s", error);
  memcpy(y, block + t->y->offset, 64 * (f32 ? 4 : 8));
}

static void test_steps_give_the_same_bits(void **state)
{
  (void)state;
  for (int real = DT_F32; real <= DT_F64; real++)
    for (int bytes = 32; bytes >= dtype_bytes((DType)real); bytes /= 2) {
      double want[64] = { 0 }, got[64] = { 0 };
      Net t = fix_net((DType)real);
      Module *parts = narrow(t.f.m, bytes);
      assert_narrow(parts, bytes, "net", t.f.arena);
      assert_int_equal(parts->kernels.n, 2);
      assert_string_equal(parts->kernels.at[1]->layer, "fc1");
      assert_string_equal(parts->kernels.at[0]->about, "one \"row\" at a time");
      assert_true(parts->kernels.at[1]->flops == t.matmul->flops);
      assert_int_equal(parts->host[HOST_TRAIN]->arena_bytes, t.host->arena_bytes);
      assert_int_equal(parts->host[HOST_TRAIN]->buffers.n, 2);
      run_net(&t, t.f.m, want);
      run_net(&t, parts, got);
      assert_memory_equal(want, got, sizeof want);
      arena_free(&t.f.arena);
    }
}

static int lets(const LFunc *f)
{
  int n = 0;
  for (const LStmt *s = f->body; s; s = s->next)
    n += s->kind == LS_LET;
  return n;
}

static void test_math_is_written_in_fewer_lanes(void **state)
{
  static const char *const names[] = { "exp",  "expm1",    "log", "log1p", "tanh",    "sigmoid",
                                       "sin",  "softplus", "cos", "philox0", "philox3" };
  (void)state;
  for (int real = DT_F32; real <= DT_F64; real++) {
    Fix f = fix_new((DType)real);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
      l_math(f.b, names[i], f.m->block);
    Module *parts = narrow(f.m, 16);
    assert_narrow(parts, 16, "math", f.arena);
    assert_int_equal(parts->funcs.n, f.m->funcs.n);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
      char name[32];
      const LFunc *found = NULL;
      snprintf(name, sizeof name, "%s_%d", names[i], real == DT_F32 ? 4 : 2);
      for (uint32_t k = 0; k < parts->funcs.n; k++)
        if (!strcmp(parts->funcs.at[k]->name, name))
          found = parts->funcs.at[k];
      if (!found)
        fail_msg("there is no %s", name);
      /* once, not for each part; a splat of an expression may take a local */
      assert_in_range(lets(found), 0, lets(l_math(f.b, names[i], f.m->block)) + 1);
    }
    arena_free(&f.arena);
  }
}

/* ---- form ---- */

static void test_the_example_of_the_header(void **state)
{
  static const char text[] =
    "loop 1\nmodule \"m\" f32 batch 32 state 0\n"
    "kernel k {\n in f32 x[64]\n in f32 w[4]\n out f32 y[64]\n"
    " registers f32x16 acc[2]\n acc[1] = splat(0.0, 16)\n for i = 0 .. 4 rolled {\n"
    "  let s = splat(w[i], 16)\n  let v = x[i : 16]\n  acc[1] = fma(s, v, acc[1])\n }\n"
    " y[0] = reduce_add(acc[1])\n}\n";
  static const char *const want[] = {
    "registers f32x8 acc[4]\n", "let s = splat(w[i], 8)\n    let v_0 = x[i : 8]\n"
    "    acc[2] = fma(s, v_0, acc[2])\n    let v_1 = x[i + 8 : 8]\n"
    "    acc[3] = fma(s, v_1, acc[3])\n", "y[0] = reduce_add(acc[2] + acc[3])\n", " rolled {\n"
  };
  (void)state;
  Arena *a = arena_new("narrow");
  const char *got = print_text(narrow(read_module(text, a), 32), a);
  for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
    if (!strstr(got, want[i]))
      fail_msg("it lacks\n%s:\n%s", want[i], got);
  arena_free(&a);
}

static void test_what_fits_stays(void **state)
{
  (void)state;
  for (int real = DT_F32; real <= DT_F64; real++) {
    Net t = fix_net((DType)real);
    assert_int_equal(widest_lanes(t.f.m), t.f.m->block);
    assert_ptr_equal(narrow(t.f.m, 64), t.f.m);
    Module *parts = narrow(t.f.m, 32);
    assert_int_equal(widest_lanes(parts), t.f.m->block / 2);
    assert_ptr_equal(narrow(parts, 32), parts);
    arena_free(&t.f.arena);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_parts_give_the_same_bits),
    cmocka_unit_test(test_steps_give_the_same_bits),
    cmocka_unit_test(test_math_is_written_in_fewer_lanes),
    cmocka_unit_test(test_the_example_of_the_header),
    cmocka_unit_test(test_what_fits_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
