/* The table of targets and the choice for this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "target/target.h"

static void test_names_find_their_rows(void **state)
{
  static const struct {
    const char *name;
    int vector_bytes, registers;
    bool fma;
  } rows[] = {{"x86-64-v4", 64, 32, true}, {"x86-64-v3", 32, 16, true},
              {"x86-64", 16, 16, false},   {"aarch64", 16, 32, true},
              {"riscv64", 16, 32, true},   {"wasm32", 16, 16, false}};
  int n = 0;
  (void)state;
  const Target *const *all = target_all(&n);
  assert_int_equal(n, (int)(sizeof rows / sizeof *rows));
  for (int i = 0; i < n; i++) {
    const Target *t = target_find(rows[i].name);
    assert_ptr_equal(t, all[i]);
    assert_int_equal(t->vector_bytes, rows[i].vector_bytes);
    assert_int_equal(t->registers, rows[i].registers);
    assert_int_equal(t->fma, rows[i].fma);
    assert_true(t->c_test[0] && t->c_flags[0] && t->doc[0]);
    assert_true(t->arch[0] && t->llvm_cpu[0] && t->llvm_features && t->system[0]);
  }
  assert_null(target_find("x86"));
  assert_null(target_find(""));
}

static void test_host_is_a_row(void **state)
{
  const Target *host = target_host();
  (void)state;
  if (!host)
    skip();
  assert_ptr_equal(host, target_find(host->name));
#if defined(__x86_64__)
  assert_true(str_in_words(host->name, "x86-64-v4 x86-64-v3 x86-64"));
  assert_int_equal(host->vector_bytes > 16, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
#elif defined(__aarch64__)
  assert_string_equal(host->name, "aarch64");
#elif defined(__riscv)
  assert_string_equal(host->name, "riscv64");
#endif
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_names_find_their_rows),
    cmocka_unit_test(test_host_is_a_row),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
