/* Text helpers: distances, suggestions, quoting, UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "base/util.h"

static void test_equal_texts(void **state)
{
  (void)state;
  assert_true(str_eq("a", "a"));
  assert_false(str_eq("a", "b"));
  assert_true(str_eq(NULL, NULL));
  assert_false(str_eq(NULL, ""));
}

static void test_distance(void **state)
{
  static const struct {
    const char *a, *b;
    int want;
  } rows[] = {{"", "", 0},         {"conv", "conv", 0}, {"covn", "conv", 1},   {"con", "conv", 1},
              {"dense", "Dense", 1}, {"", "abc", 3},    {"relu", "gelu", 1},   {"abcd", "dcba", 3},
              {"DENSE", "dense", 3}, {"momentun", "momentum", 1}};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    if (str_distance(rows[i].a, rows[i].b) != rows[i].want)
      print_error("row %s %s: %d\n", rows[i].a, rows[i].b, str_distance(rows[i].a, rows[i].b));
    assert_int_equal(str_distance(rows[i].a, rows[i].b), rows[i].want);
    assert_int_equal(str_distance(rows[i].b, rows[i].a), rows[i].want);
  }
}

static void test_closest_name(void **state)
{
  static const char *const names[] = {"conv", "dense", "relu", "maxpool", "momentum"};
  static const struct {
    const char *word, *want;
  } rows[] = {{"covn", "conv"},     {"Dense", "dense"}, {"MaxPool", "maxpool"}, {"maxpol", "maxpool"},
              {"softmax", NULL},    {"x", NULL},        {"momentun", "momentum"}, {"rel", "relu"},
              {"", NULL}};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    const char *got = str_closest(rows[i].word, names, (int)ARRAY_LEN(names));
    if (!str_eq(got, rows[i].want))
      print_error("row %s: %s\n", rows[i].word, got ? got : "(none)");
    assert_true(str_eq(got, rows[i].want));
  }
  assert_null(str_closest("a", names, 0));
}

static void test_long_words_are_no_suggestions(void **state)
{
  static const char a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
  static const char *const names[] = {"conv", a};
  (void)state;
  assert_null(str_closest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", names, 2));
  assert_string_equal(str_closest(a, names, 2), a);
}

static void test_words(void **state)
{
  (void)state;
  assert_true(str_in_words("same", "same valid"));
  assert_true(str_in_words("valid", "same valid"));
  assert_false(str_in_words("val", "same valid"));
  assert_false(str_in_words("", "same valid"));
  assert_false(str_in_words("same", ""));
}

static void test_escape(void **state)
{
  Arena *a = arena_new("test");
  (void)state;
  assert_string_equal(str_escape(a, "a\"b\\c\n\t\r", 100), "a\\\"b\\\\c\\n\\t\\r");
  assert_string_equal(str_escape(a, "\x01" "1\x7f", 100), "\\0011\\177");
  assert_string_equal(str_escape(a, "abcdef", 3), "abc");
  assert_string_equal(str_escape(a, "", 3), "");
  arena_free(&a);
}

static void test_utf8(void **state)
{
  static const struct {
    const char *bytes;
    size_t n;
    int length;
    uint32_t code;
  } rows[] = {{"a", 1, 1, 'a'},
              {"\xC3\xA9", 2, 2, 0xE9},
              {"\xE2\x82\xAC", 3, 3, 0x20AC},
              {"\xF0\x9F\x98\x80", 4, 4, 0x1F600},
              {"\xC3", 1, 0, 0},                        /* cut */
              {"\xC0\x80", 2, 0, 0},                    /* overlong */
              {"\xE0\x80\x80", 3, 0, 0},                /* overlong */
              {"\xED\xA0\x80", 3, 0, 0},                /* surrogate */
              {"\xF4\x90\x80\x80", 4, 0, 0},            /* beyond U+10FFFF */
              {"\x80", 1, 0, 0},
              {"\xFF", 1, 0, 0},
              {"", 0, 0, 0}};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    uint32_t code = 0;
    assert_int_equal(str_utf8(rows[i].bytes, rows[i].n, &code), rows[i].length);
    assert_int_equal(code, rows[i].code);
  }
}

static void test_bytes(void **unused)
{
  (void)unused;
  static const struct { const char *text; int64_t bytes; const char *shown; } rows[] = {
    { "40", 40, "40 B" }, { "1KB", 1024, "1.0 KiB" }, { "2.5MB", 5 << 19, "2.5 MiB" },
    { "3GB", (int64_t)3 << 30, "3072.0 MiB" }, { "", 0, "0 B" }, { "MB", 0, "0 B" },
    { "8mb", 0, "0 B" }, { "-1KB", 0, "0 B" }, { "8MB ", 0, "0 B" }, { "1e300", 0, "0 B" },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char shown[32];
    if (str_to_bytes(rows[i].text) != rows[i].bytes)
      fail_msg("'%s' is %lld bytes", rows[i].text, (long long)str_to_bytes(rows[i].text));
    assert_string_equal(str_bytes(shown, (double)rows[i].bytes), rows[i].shown);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_equal_texts), cmocka_unit_test(test_distance),
    cmocka_unit_test(test_closest_name), cmocka_unit_test(test_long_words_are_no_suggestions),
    cmocka_unit_test(test_words),       cmocka_unit_test(test_escape),
    cmocka_unit_test(test_utf8),        cmocka_unit_test(test_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
