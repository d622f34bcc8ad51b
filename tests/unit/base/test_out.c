/* The text sink: growth, indentation, columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/out.h"

#include <stdio.h>
#include <string.h>

static void test_lines_and_indentation(void **state)
{
  Arena *a = arena_new("test");
  Out *o = out_new(a);
  (void)state;
  assert_string_equal(out_text(o), "");
  out_line(o, "for (int i = 0; i < %d; i++) {", 3);
  out_indent(o);
  out_begin(o);
  out_printf(o, "a[%c]", 'i');
  assert_int_equal(out_column(o), 6);
  out_bytes(o, " = 0;", 5);
  out_end(o);
  assert_int_equal(out_column(o), 0);
  out_dedent(o);
  out_line(o, "}");
  assert_string_equal(out_text(o), "for (int i = 0; i < 3; i++) {\n  a[i] = 0;\n}\n");
  assert_int_equal(out_length(o), strlen(out_text(o)));
  arena_free(&a);
}

static void test_column_counts_from_the_last_newline(void **state)
{
  Arena *a = arena_new("test");
  Out *o = out_new(a);
  (void)state;
  out_printf(o, "ab\ncd\nefg");
  assert_int_equal(out_column(o), 3);
  out_bytes(o, "h", 1);
  assert_int_equal(out_column(o), 4);
  arena_free(&a);
}

static void test_growth_keeps_text(void **state)
{
  enum { N = 5000 };
  Arena *a = arena_new("test");
  Out *o = out_new(a);
  (void)state;
  for (int i = 0; i < N; i++)
    out_printf(o, "%06d;", i);
  assert_int_equal(out_length(o), 7 * N);
  for (int i = 0; i < N; i++) {
    char want[16];
    snprintf(want, sizeof want, "%06d;", i);
    assert_memory_equal(out_text(o) + 7 * i, want, 7);
  }
  arena_free(&a);
}

static void test_one_write_larger_than_the_buffer(void **state)
{
  Arena *a = arena_new("test");
  Out *o = out_new(a);
  char text[5001];
  (void)state;
  memset(text, 'x', 5000);
  text[5000] = '\0';
  out_printf(o, "%s", text);
  out_printf(o, "%s", text);
  assert_int_equal(out_length(o), 10000);
  assert_int_equal(strspn(out_text(o), "x"), 10000);
  arena_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_lines_and_indentation),
    cmocka_unit_test(test_column_counts_from_the_last_newline),
    cmocka_unit_test(test_growth_keeps_text),
    cmocka_unit_test(test_one_write_larger_than_the_buffer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
