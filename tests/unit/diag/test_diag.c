/* Messages as the user sees them, whole; positions; limits; exit codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/out.h"
#include "base/str.h"
#include "diag/diag.h"

#include <stdio.h>
#include <string.h>

typedef struct {
  Arena *arena;
  SourceMap *map;
  Diag *diag;
  Out *out;
  uint32_t base;
  int messages;
} Fixture;

static void collect(void *ctx, const char *text)
{
  Fixture *f = ctx;
  f->messages++;
  out_printf(f->out, "%s", text);
}

static Fixture start(const char *file, const char *text)
{
  Fixture f = {.arena = arena_new("test")};
  f.map = source_map_new(f.arena);
  f.out = out_new(f.arena);
  f.base = source_add(f.map, file, text, (uint32_t)strlen(text));
  return f;
}

/* The collector keeps a pointer to the fixture, so it is made where the fixture lives. */
static void listen(Fixture *f)
{
  f->diag = diag_new(f->arena, f->map, collect, f);
}

static Span span(const Fixture *f, int begin, int end)
{
  return (Span){f->base + (uint32_t)begin, f->base + (uint32_t)end};
}

static void expect(Fixture *f, const char *want)
{
  diag_flush(f->diag);
  assert_string_equal(out_text(f->out), want);
  arena_free(&f->arena);
}

static const char lenet[] = "net 1;\nmodel m(x: f32[4]) -> y: f32[2] {\n  y = x -> covn(3);\n}\n";

static void test_error_with_note_and_help(void **state)
{
  Fixture f = start("lenet.nn", lenet);
  (void)state;
  listen(&f);
  diag_error(f.diag, span(&f, 52, 56), "E0301", "there is no layer called `%s`", "covn");
  diag_note(f.diag, span(&f, 15, 16), "x is %s here", "f32[4]");
  diag_note(f.diag, (Span){0, 0}, "layers are functions");
  diag_help(f.diag, "did you mean `conv`?");
  expect(&f, "lenet.nn:3:12: error: there is no layer called `covn` [E0301]\n"
             "    3 |   y = x -> covn(3);\n"
             "      |            ^~~~\n"
             "lenet.nn:2:9: note: x is f32[4] here\n"
             "    2 | model m(x: f32[4]) -> y: f32[2] {\n"
             "      |         ^\n"
             "note: layers are functions\n"
             "help: did you mean `conv`?\n");
}

static void test_help_with_code(void **state)
{
  Fixture f = start("a.nn", lenet);
  (void)state;
  listen(&f);
  diag_error(f.diag, span(&f, 0, 3), "E0201", "shapes differ");
  diag_help(f.diag, "insert `flatten`:\ny = x -> flatten -> dense(3);");
  expect(&f, "a.nn:1:1: error: shapes differ [E0201]\n"
             "    1 | net 1;\n"
             "      | ^~~\n"
             "help: insert `flatten`:\n"
             "      | y = x -> flatten -> dense(3);\n");
}

static void test_error_without_place(void **state)
{
  Fixture f = start("a.nn", lenet);
  (void)state;
  listen(&f);
  diag_error(f.diag, (Span){0, 0}, "E0501", "cannot open \"x.csv\"");
  expect(&f, "gradc: error: cannot open \"x.csv\" [E0501]\n");
}

static void test_tabs_and_utf8_count_as_one_column(void **state)
{
  Fixture f = start("a.nn", "\t\xC3\xA9 = x;\n");
  (void)state;
  listen(&f);
  diag_warn(f.diag, span(&f, 6, 7), "W0301", "never used");
  expect(&f, "a.nn:1:6: warning: never used [W0301]\n"
             "    1 |  \xC3\xA9 = x;\n"
             "      |      ^\n");
}

static void test_wide_characters_keep_the_caret_below(void **state)
{
  Fixture f = start("a.nn", "# \xE5\xB1\xA4 x\n");
  (void)state;
  listen(&f);
  diag_error(f.diag, span(&f, 6, 7), "E0101", "here");
  expect(&f, "a.nn:1:5: error: here [E0101]\n"
             "    1 | # \xE5\xB1\xA4 x\n"
             "      |      ^\n");
}

static void test_dangerous_characters_are_escaped(void **state)
{
  Fixture f = start("a\x1B.nn", "a\x1B[2J \xE2\x80\xAE\xFF b\r\n");
  (void)state;
  listen(&f);
  diag_error(f.diag, span(&f, 11, 12), "E0103", "evil \x07 \xE2\x80\xAE text");
  expect(&f, "a\\x1B.nn:1:10: error: evil \\x07 <U+202E> text [E0103]\n"
             "    1 | a\\x1B[2J <U+202E>\\xFF b\n"
             "      |                       ^\n");
}

static void test_span_over_lines_marks_the_first(void **state)
{
  Fixture f = start("a.nn", "ab (c\nd) e\n");
  (void)state;
  listen(&f);
  diag_error(f.diag, span(&f, 3, 8), "E0101", "here");
  expect(&f, "a.nn:1:4: error: here [E0101]\n"
             "    1 | ab (c\n"
             "      |    ^~\n");
}

static void test_end_of_line_and_of_file_are_places(void **state)
{
  Fixture f = start("a.nn", "ab\ncd");
  (void)state;
  listen(&f);
  diag_error(f.diag, span(&f, 2, 2), "E0102", "`;` is missing");
  diag_error(f.diag, span(&f, 5, 5), "E0101", "the file ends here");
  expect(&f, "a.nn:1:3: error: `;` is missing [E0102]\n"
             "    1 | ab\n"
             "      |   ^\n"
             "a.nn:2:3: error: the file ends here [E0101]\n"
             "    2 | cd\n"
             "      |   ^\n");
}

static void test_byte_order_mark_is_no_column(void **state)
{
  Fixture f = start("a.nn", "\xEF\xBB\xBFnet 1;\n");
  (void)state;
  listen(&f);
  diag_error(f.diag, span(&f, 7, 8), "E0101", "here");
  expect(&f, "a.nn:1:5: error: here [E0101]\n"
             "    1 | net 1;\n"
             "      |     ^\n");
}

static void test_long_lines_are_windowed(void **state)
{
  char text[1001], want[600];
  (void)state;
  for (int i = 0; i < 1000; i++)
    text[i] = (char)('a' + i % 26);
  text[1000] = '\0';
  Fixture f = start("a.nn", text);
  listen(&f);
  diag_error(f.diag, span(&f, 500, 503), "E0101", "here");
  int n = snprintf(want, sizeof want, "a.nn:1:501: error: here [E0101]\n    1 | ...%.100s...\n      |    ", text + 440);
  n += snprintf(want + n, sizeof want - (size_t)n, "%60s^~~\n", "");
  expect(&f, want);
}

static void test_long_messages_are_cut(void **state)
{
  char text[6001];
  Fixture f = start("a.nn", "x\n");
  (void)state;
  listen(&f);
  memset(text, 'y', 6000);
  text[6000] = '\0';
  diag_error(f.diag, span(&f, 0, 1), "E0101", "%s", text);
  diag_flush(f.diag);
  assert_true(out_length(f.out) < 2000);
  assert_non_null(strstr(out_text(f.out), "y... [E0101]\n"));
  arena_free(&f.arena);
}

static void test_colour(void **state)
{
  Fixture f = start("a.nn", "x y\n");
  (void)state;
  listen(&f);
  diag_use_color(f.diag, true);
  diag_error(f.diag, span(&f, 2, 3), "E0101", "here");
  expect(&f, "\033[1ma.nn:1:3: \033[0m\033[1;31merror:\033[0m here [E0101]\n"
             "    1 | x y\n"
             "      |   \033[1;32m^\033[0m\n");
}

static void test_errors_stop_after_twenty(void **state)
{
  Fixture f = start("a.nn", "x\n");
  (void)state;
  listen(&f);
  for (int i = 0; i < 30; i++) {
    diag_error(f.diag, (Span){0, 0}, "E0101", "mistake %d", i);
    diag_note(f.diag, (Span){0, 0}, "note %d", i);
  }
  diag_flush(f.diag);
  assert_non_null(strstr(out_text(f.out), "mistake 19 [E0101]\nnote: note 19\n"));
  assert_null(strstr(out_text(f.out), "mistake 20"));
  assert_null(strstr(out_text(f.out), "note 20"));
  assert_non_null(strstr(out_text(f.out), "too many errors"));
  assert_int_equal(f.messages, DIAG_ERRORS_MAX + 1);
  assert_int_equal(diag_errors(f.diag), 30);
  arena_free(&f.arena);
}

/* Warnings have a limit of their own: errors after it are still shown. */
static void test_limit_of_warnings(void **state)
{
  Fixture f = start("a.nn", "x y\n");
  (void)state;
  listen(&f);
  for (int i = 0; i < 1000; i++) {
    diag_warn(f.diag, span(&f, 0, 3), "W0302", "remark %d", i);
    diag_help(f.diag, "help %d", i);
  }
  diag_error(f.diag, span(&f, 0, 3), "E0101", "a mistake");
  diag_flush(f.diag);
  assert_non_null(strstr(out_text(f.out), "remark 19 [W0302]"));
  assert_null(strstr(out_text(f.out), "remark 20"));
  assert_null(strstr(out_text(f.out), "help 20"));
  assert_non_null(strstr(out_text(f.out), "too many warnings"));
  assert_non_null(strstr(out_text(f.out), "a mistake [E0101]"));
  assert_int_equal(f.messages, DIAG_WARNINGS_MAX + 2);
  assert_int_equal(diag_errors(f.diag), 1);
  arena_free(&f.arena);
}

static void test_exit_code_of_the_first_error(void **state)
{
  static const struct {
    const char *first;
    int want;
  } rows[] = {{"E0101", 1}, {"E0201", 1}, {"E0301", 1}, {"E0401", 1}, {"E0501", 3},
              {"E0512", 1}, {"E0602", 6}};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Fixture f = start("a.nn", "x\n");
    listen(&f);
    assert_int_equal(diag_exit_code(f.diag), 0);
    diag_warn(f.diag, (Span){0, 0}, "W0301", "odd");
    assert_int_equal(diag_exit_code(f.diag), 0);
    diag_error(f.diag, (Span){0, 0}, rows[i].first, "first");
    diag_error(f.diag, (Span){0, 0}, "E0699", "second");
    assert_int_equal(diag_exit_code(f.diag), rows[i].want);
    assert_int_equal(diag_errors(f.diag), 2);
    arena_free(&f.arena);
  }
}

static void test_warnings_can_be_errors(void **state)
{
  Fixture f = start("a.nn", "x\n");
  (void)state;
  listen(&f);
  diag_warnings_as_errors(f.diag, true);
  diag_warn(f.diag, (Span){0, 0}, "W0301", "odd");
  assert_int_equal(diag_exit_code(f.diag), 1);
  expect(&f, "gradc: error: odd [W0301]\n");
}

static void test_places_in_several_sources(void **state)
{
  Arena *a = arena_new("test");
  SourceMap *m = source_map_new(a);
  uint32_t first = source_add(m, "a.nn", "one\ntwo\n", 8), empty = source_add(m, "b.nn", "", 0);
  uint32_t last = source_add(m, "c.nn", "\n\nx", 3);
  static const struct {
    int which, offset, line, col;
  } rows[] = {{0, 0, 1, 1}, {0, 3, 1, 4}, {0, 4, 2, 1}, {0, 8, 3, 1}, {1, 0, 1, 1}, {2, 1, 2, 1}, {2, 2, 3, 1}, {2, 3, 3, 2}};
  static const char *const file[] = {"a.nn", "b.nn", "c.nn"};
  const uint32_t base[] = {first, empty, last};
  Place p;
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    assert_true(source_place(m, base[rows[i].which] + (uint32_t)rows[i].offset, &p));
    assert_string_equal(p.file, file[rows[i].which]);
    assert_int_equal(p.line, rows[i].line);
    assert_int_equal(p.col, rows[i].col);
  }
  assert_false(source_place(m, 0, &p));
  assert_false(source_place(m, last + 4, &p));
  assert_string_equal(source_at(m, a, (Span){first + 4, first + 7}), "a.nn:2");
  assert_string_equal(source_at(m, a, (Span){0, 0}), "");
  arena_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_error_with_note_and_help),
    cmocka_unit_test(test_help_with_code),
    cmocka_unit_test(test_error_without_place),
    cmocka_unit_test(test_tabs_and_utf8_count_as_one_column),
    cmocka_unit_test(test_wide_characters_keep_the_caret_below),
    cmocka_unit_test(test_dangerous_characters_are_escaped),
    cmocka_unit_test(test_span_over_lines_marks_the_first),
    cmocka_unit_test(test_end_of_line_and_of_file_are_places),
    cmocka_unit_test(test_byte_order_mark_is_no_column),
    cmocka_unit_test(test_long_lines_are_windowed),
    cmocka_unit_test(test_long_messages_are_cut),
    cmocka_unit_test(test_colour),
    cmocka_unit_test(test_errors_stop_after_twenty),
    cmocka_unit_test(test_limit_of_warnings),
    cmocka_unit_test(test_exit_code_of_the_first_error),
    cmocka_unit_test(test_warnings_can_be_errors),
    cmocka_unit_test(test_places_in_several_sources),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
