/* The pages of `gradc explain`: in a whole spec the right example makes no message, the wrong one
 * the code of its page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/explain.h"
#include "driver.h"
#include "unit/sema/specs.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char spec_path[64];

static void collect(void *ctx, const char *text)
{
  char *all = ctx;
  size_t have = strlen(all);
  snprintf(all + have, 8192 - have, "%s", text);
}

static void write_spec(const char *text, const char *from, const char *to)
{
  const char *at = strstr(text, from);
  FILE *f = fopen(spec_path, "w");
  assert_non_null(f);
  fprintf(f, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
  fclose(f);
}

/* Messages about the spec at spec_path. */
static void check_spec(char *messages)
{
  Compilation *c = compilation_new();
  DriverOptions o = { .file = spec_path, .target = target_find("x86-64-v4") };
  messages[0] = 0;
  c->diag = diag_new(c->arena, c->sources, collect, messages);
  compile_graphs(c, &o);
  diag_flush(c->diag);
  compilation_free(&c);
}

static void test_examples_give_their_code(void **state)
{
  static const char *const specs[] = { lenet, table };
  int count, bad = 0, examples = 0;
  const Page *page = explain_pages(&count);
  char messages[8192], code[16];
  (void)state;
  for (int i = 0; i < count; i++) {
    if (!page[i].right)
      continue;
    const char *spec = strstr(specs[0], page[i].right) ? specs[0] : specs[1];
    examples++;
    if (!strstr(spec, page[i].right)) {
      print_error("%s: the right example is in no spec\n", page[i].code);
      bad++;
      continue;
    }
    write_spec(spec, page[i].right, page[i].right);
    check_spec(messages);
    if (messages[0]) {
      print_error("%s: the right example: %s\n", page[i].code, messages);
      bad++;
    }
    write_spec(spec, page[i].right, page[i].wrong);
    check_spec(messages);
    snprintf(code, sizeof code, "[%s]", page[i].code);
    if (!strstr(messages, code)) {
      print_error("%s: the wrong example: %s\n", page[i].code,
                  messages[0] ? messages : "no message");
      bad++;
    }
  }
  assert_true(examples > 40);
  assert_int_equal(bad, 0);
}

static void test_pages_are_in_order(void **state)
{
  int count;
  const Page *page = explain_pages(&count);
  (void)state;
  for (int i = 1; i < count; i++)
    assert_true(strcmp(page[i - 1].code, page[i].code) < 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_examples_give_their_code),
    cmocka_unit_test(test_pages_are_in_order),
  };
  snprintf(spec_path, sizeof spec_path, "/tmp/gradc-test-explain-%ld.nn", (long)getpid());
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(spec_path);
  return failed;
}
