/* Checked arithmetic on sizes, and the voice of internal errors. */
#include "base/util.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

bool checked_mul(int64_t a, int64_t b, int64_t *out)
{
  if (a < 0 || b < 0 || (a > 0 && b > INT64_MAX / a))
    return false;
  *out = a * b;
  return true;
}

bool checked_add(int64_t a, int64_t b, int64_t *out)
{
  if (b > 0 ? a > INT64_MAX - b : a < INT64_MIN - b)
    return false;
  *out = a + b;
  return true;
}

_Noreturn void ice(const char *fmt, ...)
{
  va_list ap;
  fflush(stdout);
  fputs("gradc: internal error: ", stderr);
  va_start(ap, fmt);
  vfprintf(stderr, fmt, ap);
  va_end(ap);
  fputc('\n', stderr);
  exit(EXIT_INTERNAL);
}
