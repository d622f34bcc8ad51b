/* Arenas: alignment, zeroing, growth, copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

#include <string.h>

static void test_blocks_are_zero_aligned_and_apart(void **state)
{
  static const size_t sizes[] = {0, 1, 15, 16, 17, 100, 1000, 5000, 100000, 3, 2000000, 7};
  Arena *a = arena_new("test");
  unsigned char *blocks[sizeof sizes / sizeof *sizes];
  (void)state;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    blocks[i] = arena_alloc(a, sizes[i]);
    assert_int_equal((uintptr_t)blocks[i] % 16, 0);
    for (size_t k = 0; k < sizes[i]; k++)
      assert_int_equal(blocks[i][k], 0);
    memset(blocks[i], (int)i + 1, sizes[i]);
  }
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    for (size_t k = 0; k < sizes[i]; k++)
      assert_int_equal(blocks[i][k], i + 1);
  arena_free(&a);
  assert_null(a);
}

static void test_empty_blocks_have_addresses_of_their_own(void **state)
{
  Arena *a = arena_new("test");
  (void)state;
  assert_ptr_not_equal(arena_alloc(a, 0), arena_alloc(a, 0));
  arena_free(&a);
}

static void test_many_small_blocks_keep_their_values(void **state)
{
  enum { N = 20000 };
  Arena *a = arena_new("test");
  int **p = ARENA_ARRAY(a, int *, N);
  (void)state;
  for (int i = 0; i < N; i++) {
    p[i] = ARENA_NEW(a, int);
    *p[i] = i;
  }
  for (int i = 0; i < N; i++)
    assert_int_equal(*p[i], i);
  assert_true(arena_bytes(a) >= N * sizeof(int));
  arena_free(&a);
}

static void test_copies_of_text(void **state)
{
  Arena *a = arena_new("test");
  (void)state;
  assert_string_equal(arena_strdup(a, "conv"), "conv");
  assert_string_equal(arena_strndup(a, "convolution", 4), "conv");
  assert_string_equal(arena_strndup(a, "", 0), "");
  assert_string_equal(arena_printf(a, "%s[%d]", "f32", 10), "f32[10]");
  assert_memory_equal(arena_copy(a, "a\0b", 3), "a\0b", 3);
  arena_free(&a);
}

static void test_free_of_nothing(void **state)
{
  Arena *none = NULL;
  (void)state;
  arena_free(&none);
  arena_free(NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_blocks_are_zero_aligned_and_apart),
    cmocka_unit_test(test_empty_blocks_have_addresses_of_their_own),
    cmocka_unit_test(test_many_small_blocks_keep_their_values),
    cmocka_unit_test(test_copies_of_text),
    cmocka_unit_test(test_free_of_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
