/* Types: text both ways, counting, comparison. */
#include "unit/ir/net.h"

static void test_text_reads_back(void **state)
{
  (void)state;
  static const struct { const char *text, *user; int64_t elems;
  } rows[] = {
    { "f32[]", "f32", 1 },
    { "f32[n]", "f32", 1 },
    { "u8[n,1,28,28]", "u8[1,28,28]", 784 },
    { "f64[2,3]", "f64[2,3]", 6 },
    { "i32[7]", "i32[7]", 7 },
    { "u32[n,1,2,3,4,5,6]", "u32[1,2,3,4,5,6]", 720 },
    { "i64[3000000000,3000000000]", "i64[3000000000,3000000000]", 9000000000000000000 },
    { "i64[3000000000,3000000000,2]", "i64[3000000000,3000000000,2]", -1 },
  };
  Arena *a = arena_new("test");
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Type t;
    assert_int_equal(type_parse(rows[i].text, strlen(rows[i].text), &t), strlen(rows[i].text));
    assert_string_equal(type_text(a, &t), rows[i].text);
    assert_string_equal(type_user(a, &t), rows[i].user);
    assert_int_equal(type_elems(&t), rows[i].elems);
  }
  arena_free(&a);
}

static void test_bad_text_is_refused(void **state)
{
  (void)state;
  static const char *const rows[] = {
    "",
    "f32",
    "f32[",
    "f32[n",
    "f32[n,",
    "f32[n,]",
    "f32[,3]",
    "f16[3]",
    "f32[3,n]",
    "f32[-1]",
    "f32[1,2,3,4,5,6,7,8,9]",
    "f32[99999999999999999999]",
    "f32[3",
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Type t;
    if (type_parse(rows[i], strlen(rows[i]), &t))
      fail_msg("'%s' was read as a type", rows[i]);
  }
}

static void test_element_types(void **state)
{
  (void)state;
  for (int i = 0; i < DT_COUNT; i++) {
    DType t;
    assert_true(dtype_parse(dtype_text((DType)i), &t));
    assert_int_equal(t, i);
    assert_true(dtype_bytes((DType)i) >= 1);
  }
  DType t;
  assert_false(dtype_parse("float", &t));
  assert_true(dtype_is_real(DT_F32) && dtype_is_real(DT_F64) && !dtype_is_real(DT_U8));
  assert_string_equal(dtype_c(DT_U8), "uint8_t");
}

static void test_comparison(void **state)
{
  (void)state;
  Type x = type_make(DT_F32, true, 2, (int64_t[]){ 2, 3 }), y = x;
  assert_true(type_equal(&x, &y));
  y.dtype = DT_F64;
  assert_true(type_same_shape(&x, &y) && !type_equal(&x, &y));
  y.batched = false;
  assert_false(type_same_shape(&x, &y));
  y = x;
  y.dim[1] = 4;
  assert_false(type_same_shape(&x, &y));
  y = type_scalar(DT_F32, true);
  assert_false(type_same_shape(&x, &y));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_text_reads_back), cmocka_unit_test(test_bad_text_is_refused),
    cmocka_unit_test(test_element_types), cmocka_unit_test(test_comparison),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
