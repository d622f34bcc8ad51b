/* The interpreter: values of every operation, whole host functions for several numbers of workers,
 * and the messages about what a program must not do. */
#include "fixture.h"
#include "loop/interp.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

static bool same_bits(float x, float y) { return memcmp(&x, &y, sizeof x) == 0; }

/* ---- a whole host function ---- */

enum { ROWS = 40, N = 29 };

static void run_net(DType real, int nworkers, void *y)
{
  Net t = fix_net(real);
  size_t bytes = real == DT_F32 ? 4 : 8;
  uint8_t rows[ROWS * 3];
  uint32_t ids[N];
  for (int i = 0; i < ROWS * 3; i++)
    rows[i] = (uint8_t)(i * 37);
  for (int i = 0; i < N; i++)
    ids[i] = (uint32_t)(i * 11 % ROWS);
  char *state = ARENA_ARRAY(t.f.arena, char, t.f.m->state_bytes);
  for (int i = 0; i < 6; i++)
    if (real == DT_F32)
      ((float *)(void *)state)[i] = (float)(i - 2) * 0.3f;
    else
      ((double *)(void *)state)[i] = (i - 2) * 0.3;
  char *block = ARENA_ARRAY(t.f.arena, char, t.host->arena_bytes);
  LoopRun run = { .state = state,
                  .arena = block,
                  .rows = (const void *const[]){ rows },
                  .ids = ids,
                  .n = N,
                  .nworkers = nworkers };
  const char *error = loop_run(t.f.m, HOST_TRAIN, &run, t.f.arena);
  if (error)
    fail_msg("%s", error);
  memcpy(y, block + t.y->offset, 64 * bytes);
  arena_free(&t.f.arena);
}

static void test_network_by_hand(void **state)
{
  (void)state;
  double y[64];
  run_net(DT_F64, 1, y);
  for (int i = 0; i < N; i++)
    for (int j = 0; j < 2; j++) {
      double sum = 0;
      for (int c = 0; c < 3; c++)
        sum = fma((2 * c + j - 2) * 0.3,
                  (double)(uint8_t)((i * 11 % ROWS * 3 + c) * 37) * (1.0 / 255), sum);
      double got = y[i / 8 * 16 + j * 8 + i % 8];
      if (fabs(got - tanh(sum)) > 1e-15)
        fail_msg("sample %d, unit %d: %.17g, not %.17g", i, j, got, tanh(sum));
    }
}

static void test_any_number_of_workers_gives_the_same_bits(void **state)
{
  (void)state;
  float one[64], many[64];
  run_net(DT_F32, 1, one);
  for (int workers = 2; workers <= 5; workers++) {
    run_net(DT_F32, workers, many);
    assert_memory_equal(one, many, sizeof one);
  }
}

/* ---- single operations: a kernel stores one vector of 16 results ---- */

typedef LExpr *Make(Build *b, LExpr *x, LExpr *y);

static const char *run_op(Make *make, const void *x, const void *y, DType in, void *z, DType out)
{
  Fix f = fix_new(DT_F32);
  Build *b = f.b;
  Buffer ax = { .name = "x", .dtype = in, .extent = 16 },
         az = { .name = "z", .dtype = out, .extent = 16 };
  Kernel *k = l_kernel(b, "k");
  Buffer *bx = l_formal(b, &ax, "x", false), *by = l_formal(b, &ax, "y", false),
         *bz = l_formal(b, &az, "z", true);
  LExpr *e = make(b, l_load(b, bx, l_int(b, 0), 16), l_load(b, by, l_int(b, 0), 16));
  l_store(b, bz, l_int(b, 0), e);
  l_kernel_end(b);
  void *block[] = { (void *)(uintptr_t)x, (void *)(uintptr_t)y, z };
  static char message[256];
  const char *error = loop_run_kernel(f.m, k, block, 0, 1, 1, f.arena);
  snprintf(message, sizeof message, "%s", error ? error : "");
  arena_free(&f.arena);
  return error ? message : NULL;
}

#define OP2(name) \
  static LExpr *make_##name(Build *b, LExpr *x, LExpr *y) { return l_op(b, SC_##name, x, y, NULL); }
OP2(add)
OP2(sub)
OP2(mul)
OP2(div)
OP2(min)
OP2(max)
OP2(mulhi)
OP2(shl)
OP2(shr)
OP2(xor)
OP2(mod)

static LExpr *make_round(Build *b, LExpr *x, LExpr *y)
{
  (void)y;
  return l_op(b, SC_round, x, NULL, NULL);
}
static LExpr *make_abs(Build *b, LExpr *x, LExpr *y)
{
  (void)y;
  return l_op(b, SC_abs, x, NULL, NULL);
}
static LExpr *make_sqrt(Build *b, LExpr *x, LExpr *y)
{
  (void)y;
  return l_op(b, SC_sqrt, x, NULL, NULL);
}
static LExpr *make_fma(Build *b, LExpr *x, LExpr *y) { return l_fma(b, x, x, y); }
static LExpr *make_sum(Build *b, LExpr *x, LExpr *y)
{
  (void)y;
  return l_splat(b, l_reduce(b, SC_add, x), 16);
}
static LExpr *make_top(Build *b, LExpr *x, LExpr *y)
{
  (void)y;
  return l_splat(b, l_reduce(b, SC_max, x), 16);
}
static LExpr *make_lt(Build *b, LExpr *x, LExpr *y)
{
  return l_op(b, SC_select, l_op(b, SC_lt, x, y, NULL), l_real(b, 1), l_real(b, 0));
}
static LExpr *make_ne(Build *b, LExpr *x, LExpr *y)
{
  LExpr *eq = l_op(b, SC_not, l_op(b, SC_ne, x, y, NULL), NULL, NULL);
  return l_op(b, SC_select, eq, l_real(b, 1), l_iota(b, 16));
}
static LExpr *make_bytes(Build *b, LExpr *x, LExpr *y) { (void)y; return l_cast(b, x, DT_U8); }
static LExpr *make_ints(Build *b, LExpr *x, LExpr *y) { (void)y; return l_cast(b, x, DT_I32); }

static void test_real_operations(void **state)
{
  static const struct { const char *name; Make *make; float x, y, z; } row[] = {
    { "add", make_add, 1, 0x1p-24f, 1 },
    { "sub", make_sub, 1, 0x1p-24f, 1 - 0x1p-24f },
    { "mul", make_mul, 1 + 0x1p-23f, 1 + 0x1p-23f, 1 + 0x1p-22f },
    { "div", make_div, 1, 3, 0x1.555556p-2f },
    { "fma once rounded", make_fma, 1 + 0x1p-12f, -1 - 0x1p-11f, 0x1p-24f },
    { "min", make_min, 2, 1, 1 }, { "min keeps b for NaN in a", make_min, NAN, 1, 1 },
    { "min of equal zeros is b", make_min, 0.0f, -0.0f, -0.0f },
    { "max", make_max, 2, 1, 2 }, { "max keeps NaN of a", make_max, NAN, 1, NAN },
    { "max of equal zeros is a", make_max, -0.0f, 0.0f, -0.0f },
    { "round half to even", make_round, 2.5f, 0, 2 }, { "round down", make_round, -3.5f, 0, -4 },
    { "abs", make_abs, -0.0f, 0, 0.0f }, { "sqrt", make_sqrt, 2, 0, 0x1.6a09e6p+0f },
    { "lt", make_lt, 1, 2, 1 }, { "lt NaN", make_lt, NAN, 2, 0 }, { "ne", make_ne, 3, 3, 1 },
    { "denormal operand is zero", make_mul, 0x1p-130f, 0x1p20f, 0 },
    { "denormal result is zero", make_mul, 0x1p-70f, -0x1p-70f, -0.0f },
    { "denormal in a comparison", make_lt, 0, 0x1p-140f, 0 },
    { "negation keeps denormals", make_abs, -0x1p-140f, 0, 0x1p-140f },
  };
  (void)state;
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    float x[16], y[16], z[16];
    for (int l = 0; l < 16; l++) {
      x[l] = row[i].x;
      y[l] = row[i].y;
    }
    const char *error = run_op(row[i].make, x, y, DT_F32, z, DT_F32);
    if (error)
      fail_msg("%s: %s", row[i].name, error);
    if (!same_bits(z[0], row[i].z) && !(isnan(z[0]) && isnan(row[i].z)))
      fail_msg("%s: %.9g, not %.9g", row[i].name, (double)z[0], (double)row[i].z);
  }
}

static void test_reductions_halve(void **state)
{
  (void)state;
  float x[16], z[16];
  for (int i = 0; i < 16; i++)
    x[i] = 1.0f / (float)(i + 3);
  float s[16];
  memcpy(s, x, sizeof s);
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++)
      s[i] += s[i + half];
  assert_null(run_op(make_sum, x, x, DT_F32, z, DT_F32));
  assert_true(same_bits(z[0], s[0]) && same_bits(z[15], s[0]));
  x[11] = 7;
  assert_null(run_op(make_top, x, x, DT_F32, z, DT_F32));
  assert_true(same_bits(z[3], 7));
}

static void test_unsigned_operations_wrap(void **state)
{
  static const struct {
    const char *name;
    Make *make;
    uint32_t x, y, z;
  } row[] = {
    { "add", make_add, 0xFFFFFFFF, 2, 1 },
    { "sub", make_sub, 1, 2, 0xFFFFFFFF },
    { "mul", make_mul, 0x80000001, 2, 2 },
    { "mulhi", make_mulhi, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE },
    { "shl", make_shl, 0x80000001, 4, 0x10 },
    { "shr", make_shr, 0x80000001, 4, 0x08000000 },
    { "xor", make_xor, 0xF0F0F0F0, 0xFFFFFFFF, 0x0F0F0F0F },
    { "mod", make_mod, 0xFFFFFFFF, 10, 5 },
  };
  (void)state;
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    uint32_t x[16], y[16], z[16];
    for (int l = 0; l < 16; l++) {
      x[l] = row[i].x;
      y[l] = row[i].y;
    }
    assert_null(run_op(row[i].make, x, y, DT_U32, z, DT_U32));
    if (z[9] != row[i].z)
      fail_msg("%s: %x, not %x", row[i].name, z[9], row[i].z);
  }
}

static void test_casts_truncate(void **state)
{
  (void)state;
  float x[16] = { 0, 0.99f, 1.5f, 254.9f, 255, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 255.99f };
  uint8_t bytes[16];
  assert_null(run_op(make_bytes, x, x, DT_F32, bytes, DT_U8));
  assert_int_equal(bytes[1], 0);
  assert_int_equal(bytes[3], 254);
  assert_int_equal(bytes[15], 255);
  x[0] = -2.9f;
  int32_t ints[16];
  assert_null(run_op(make_ints, x, x, DT_F32, ints, DT_I32));
  assert_int_equal(ints[0], -2);
}

/* ---- faults ---- */

static LExpr *item(Build *b, Kernel *k)
{
  return l_var(b, l_loop(b, "i", l_var(b, k->lo), l_var(b, k->hi), 1, FOR_PLAIN));
}

static void store_at(Build *b, Kernel *k, Buffer *y, LExpr *index)
{
  (void)k;
  l_store(b, y, index, l_real(b, 1));
}

static void past_end(Build *b, Kernel *k, Buffer *y)
{
  store_at(b, k, y, l_addi(b, item(b, k), 10));
  l_end(b);
}
static void before_start(Build *b, Kernel *k, Buffer *y)
{
  store_at(b, k, y, l_addi(b, item(b, k), -1));
  l_end(b);
}
static void by_zero(Build *b, Kernel *k, Buffer *y)
{
  LExpr *zero = l_sub(b, l_var(b, k->n), l_var(b, k->hi));
  store_at(b, k, y, l_div(b, l_int(b, 1), zero));
}
static void overflow(Build *b, Kernel *k, Buffer *y)
{
  store_at(b, k, y, l_mul(b, l_var(b, k->n), l_addi(b, l_var(b, k->n), INT64_MAX / 2)));
}
static void bad_cast(Build *b, Kernel *k, Buffer *y)
{
  LExpr *x = l_cast(b, l_var(b, k->n), DT_F32);
  store_at(b, k, y, l_cast(b, l_cast(b, l_op(b, SC_mul, x, l_real(b, 100), NULL), DT_U8), DT_I64));
}
static void unset_register(Build *b, Kernel *k, Buffer *y)
{
  (void)k;
  Buffer *r = l_registers(b, "acc", DT_F32, 1, 2);
  l_store(b, r, l_int(b, 0), l_real(b, 1));
  l_store(b, y, l_int(b, 0), l_load(b, r, l_int(b, 1), 1));
}
static void vector_past_end(Build *b, Kernel *k, Buffer *y)
{
  l_store(b, y, l_var(b, k->lo), l_load(b, y, l_addi(b, l_var(b, k->n), -2), 8));
}
static void wide_shift(Build *b, Kernel *k, Buffer *y)
{
  LExpr *by = l_cast(b, l_muli(b, l_var(b, k->n), 8), DT_U32);
  store_at(b, k, y, l_cast(b, l_op(b, SC_shl, l_u32(b, 1), by, NULL), DT_I64));
}

static void test_faults_are_reported(void **state)
{
  static const struct {
    const char *name;
    void (*make)(Build *b, Kernel *k, Buffer *y);
    const char *message;
  } row[] = {
    { "past the end", past_end, "store of 'y' at 12, 1 lanes: it has 12 elements" },
    { "before the start", before_start, "store of 'y' at -1" },
    { "division by zero", by_zero, "division by zero" },
    { "overflow", overflow, "overflows" },
    { "cast", bad_cast, "cast of 400 to u8" },
    { "register", unset_register, "'acc' element 1 is read before it is assigned" },
    { "vector", vector_past_end, "at 2, 8 lanes" },
    { "shift", wide_shift, "shift of u32 by 32" },
  };
  (void)state;
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    Fix f = fix_new(DT_F32);
    float y[12] = { 0 };
    Buffer actual = { .name = "y",
                      .dtype = DT_F32,
                      .extent = strcmp(row[i].name, "vector") ? 12 : 9 };
    Kernel *k = l_kernel(f.b, "broken");
    row[i].make(f.b, k, l_formal(f.b, &actual, "y", true));
    l_kernel_end(f.b);
    void *block[] = { y };
    const char *error = loop_run_kernel(f.m, k, block, 0, 4, 4, f.arena);
    if (!error || strncmp(error, "broken: ", 8) != 0 || !strstr(error, row[i].message))
      fail_msg("%s: '%s' lacks '%s'", row[i].name, error ? error : "no error", row[i].message);
    arena_free(&f.arena);
  }
}

/* Rows are bounded by the largest row number of the batch. */
static void test_rows_are_bounded_by_ids(void **state)
{
  (void)state;
  Net t = fix_net(DT_F32);
  uint8_t rows[3] = { 0 };
  uint32_t ids[2] = { 0, 0 };
  char *block = ARENA_ARRAY(t.f.arena, char, t.host->arena_bytes);
  char *weights = ARENA_ARRAY(t.f.arena, char, t.f.m->state_bytes);
  LoopRun run = { .state = weights,
                  .arena = block,
                  .rows = (const void *const[]){ rows },
                  .ids = ids,
                  .n = 2,
                  .nworkers = 1 };
  assert_null(loop_run(t.f.m, HOST_TRAIN, &run, t.f.arena));
  t.rows->type = ARENA_NEW(t.f.arena, Type);
  *(Type *)(uintptr_t)t.rows->type =
      (Type){ .dtype = DT_U8, .batched = true, .rank = 1, .dim = { 2 } };
  const char *error = loop_run(t.f.m, HOST_TRAIN, &run, t.f.arena);
  assert_non_null(error);
  assert_non_null(strstr(error, "gather: load of 'x' at 2"));
  arena_free(&t.f.arena);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_network_by_hand),
    cmocka_unit_test(test_any_number_of_workers_gives_the_same_bits),
    cmocka_unit_test(test_real_operations),
    cmocka_unit_test(test_reductions_halve),
    cmocka_unit_test(test_unsigned_operations_wrap),
    cmocka_unit_test(test_casts_truncate),
    cmocka_unit_test(test_faults_are_reported),
    cmocka_unit_test(test_rows_are_bounded_by_ids),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
