/* Every back end is found by its name, once, and describes itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/backend.h"

static void test_back_ends_are_found(void **state)
{
  (void)state;
  int n;
  const Backend *const *all = backend_all(&n);
  assert_true(n >= 2);
  for (int i = 0; i < n; i++) {
    assert_ptr_equal(backend_find(all[i]->name), all[i]);
    assert_non_null(all[i]->emit);
    assert_non_null(all[i]->suffix);
    assert_true(all[i]->doc[0] != '\0');
  }
  assert_non_null(backend_find("c"));
  assert_non_null(backend_find("null"));
  assert_null(backend_find("fortran"));
  assert_null(backend_find(""));
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_back_ends_are_found) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
