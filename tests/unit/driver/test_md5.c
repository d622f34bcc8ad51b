/* MD5 of the strings of RFC 1321, in one piece and byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/md5.h"
#include <string.h>

static void test_strings_of_the_rfc(void **state)
{
  (void)state;
  static const char *const rows[][2] = {
    { "", "d41d8cd98f00b204e9800998ecf8427e" },
    { "a", "0cc175b9c0f1b6a831c399e269772661" },
    { "abc", "900150983cd24fb0d6963f7d28e17f72" },
    { "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
    { "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b" },
    { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
      "d174ab98d277d9f5a5611c2c9f419d9f" },
    { "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
      "57edf4a22be3c955ac49da2e2107b67a" },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char whole[33], parts[33];
    Md5 m;
    md5_start(&m);
    md5_add(&m, rows[i][0], strlen(rows[i][0]));
    md5_finish(&m, whole);
    md5_start(&m);
    for (const char *p = rows[i][0]; *p; p++)
      md5_add(&m, p, 1);
    md5_finish(&m, parts);
    assert_string_equal(whole, parts);
    assert_string_equal(whole, rows[i][1]);
  }
}

/* Every length around a block, against the sum of the parts cut elsewhere. */
static void test_every_cut(void **state)
{
  (void)state;
  unsigned char bytes[200];
  for (int i = 0; i < 200; i++)
    bytes[i] = (unsigned char)(i * 7);
  for (size_t n = 0; n <= 200; n++) {
    char whole[33], parts[33];
    Md5 m;
    md5_start(&m);
    md5_add(&m, bytes, n);
    md5_finish(&m, whole);
    md5_start(&m);
    md5_add(&m, bytes, n / 3);
    md5_add(&m, bytes + n / 3, n - n / 3);
    md5_finish(&m, parts);
    assert_string_equal(whole, parts);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_strings_of_the_rfc),
    cmocka_unit_test(test_every_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
