/* Messages on standard error, or to who hears them. Text from specs and data files passes through
 * here, so bytes that could steer a terminal or reorder a line (control characters, bidirectional
 * overrides, broken UTF-8) become '?'. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FAIL_TEXT_MAX = 8192, FAIL_PATH_MAX = 1024 };

/* Length of the UTF-8 sequence at s when it is well formed and harmless to print, else 0. */
static int fail_printable(const unsigned char *s)
{
  if (s[0] < 0x80)
    return s[0] >= 0x20 && s[0] != 0x7F;
  int n = s[0] >= 0xC2 && s[0] < 0xE0   ? 2
          : (s[0] & 0xF0) == 0xE0       ? 3
          : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                        : 0;
  uint32_t c = n == 2 ? s[0] & 0x1Fu : n == 3 ? s[0] & 0x0Fu : s[0] & 0x07u;
  for (int i = 1; i < n; i++) {
    if ((s[i] & 0xC0) != 0x80)
      return 0;
    c = c << 6 | (s[i] & 0x3Fu);
  }
  bool wrong = (n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10FFFF)) ||
               (c >= 0xD800 && c < 0xE000);
  bool steers = c < 0xA0 || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
                (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
  return wrong || steers ? 0 : n;
}

static void fail_clean(char *text)
{
  unsigned char *p = (unsigned char *)text;
  while (*p) {
    int n = fail_printable(p);
    if (n == 0)
      *p = '?';
    p += n ? n : 1;
  }
}

/* Name of the running program's file, where the system tells; else "". */
static const char *fail_program(char *path)
{
  ssize_t n = readlink("/proc/self/exe", path, FAIL_PATH_MAX - 1);
  path[n > 0 ? n : 0] = 0;
  fail_clean(path);
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static _Thread_local gradrt_hear *fail_hear;
static _Thread_local void *fail_hear_ctx;

void gradrt_hear_errors(gradrt_hear *hear, void *ctx)
{
  fail_hear = hear;
  fail_hear_ctx = ctx;
}

int gradrt_error(int code, const char *fmt, ...)
{
  char text[FAIL_TEXT_MAX], path[FAIL_PATH_MAX];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  fail_clean(text);
  if (fail_hear) {
    fail_hear(fail_hear_ctx, false, text);
    return code;
  }
  const char *program = fail_program(path);
  fflush(stdout);
  fprintf(stderr, "%s%serror: %s\n", program, *program ? ": " : "", text);
  return code;
}

void gradrt_note(const char *fmt, ...)
{
  char text[FAIL_TEXT_MAX];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  fail_clean(text);
  if (fail_hear)
    fail_hear(fail_hear_ctx, true, text);
  else
    fprintf(stderr, "  note: %s\n", text);
}
