/* Checked sizes, rounding, growable arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "base/vec.h"

static void test_checked_multiplication(void **state)
{
  static const struct {
    int64_t a, b;
    bool good;
    int64_t want;
  } rows[] = {{0, INT64_MAX, true, 0},
              {INT64_MAX, 1, true, INT64_MAX},
              {INT64_MAX, 2, false, 0},
              {INT64_C(1) << 32, INT64_C(1) << 31, false, 0},
              {INT64_C(1) << 31, INT64_C(1) << 31, true, INT64_C(1) << 62},
              {3037000500, 3037000500, false, 0},
              {3037000499, 3037000499, true, INT64_C(9223372030926249001)},
              {-1, 1, false, 0},
              {1, -1, false, 0}};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    int64_t got = -7;
    assert_int_equal(checked_mul(rows[i].a, rows[i].b, &got), rows[i].good);
    assert_true(got == (rows[i].good ? rows[i].want : -7));
  }
}

static void test_checked_addition(void **state)
{
  static const struct {
    int64_t a, b;
    bool good;
  } rows[] = {{1, 2, true},           {INT64_MAX, 0, true},  {INT64_MAX, 1, false},
              {INT64_MIN, -1, false}, {INT64_MIN, 0, true},  {INT64_MAX, INT64_MIN, true},
              {INT64_MAX - 5, 5, true}, {INT64_MAX - 5, 6, false}};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    int64_t got = 0;
    assert_int_equal(checked_add(rows[i].a, rows[i].b, &got), rows[i].good);
    if (rows[i].good)
      assert_true(got == rows[i].a + rows[i].b);
  }
}

static void test_rounding(void **state)
{
  (void)state;
  assert_int_equal(align_up(0, 64), 0);
  assert_int_equal(align_up(1, 64), 64);
  assert_int_equal(align_up(64, 64), 64);
  assert_int_equal(ceil_div(7, 2), 4);
  assert_int_equal(ceil_div(8, 2), 4);
  assert_int_equal(min_i64(-1, 2), -1);
  assert_int_equal(max_i64(-1, 2), 2);
}

static void test_vector_grows_and_keeps_items(void **state)
{
  enum { N = 10000 };
  Arena *a = arena_new("test");
  VEC(int) v = {0};
  (void)state;
  for (int i = 0; i < N; i++)
    vec_push(a, &v, i * 3);
  assert_int_equal(v.n, N);
  assert_true(v.cap >= v.n);
  for (int i = 0; i < N; i++)
    assert_int_equal(v.at[i], i * 3);
  arena_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_checked_multiplication),
    cmocka_unit_test(test_checked_addition),
    cmocka_unit_test(test_rounding),
    cmocka_unit_test(test_vector_grows_and_keeps_items),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
