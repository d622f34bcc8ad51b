/* Comparison, suggestions and quoting of short texts such as names. */
#include "base/str.h"
#include "base/util.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 64 };         /* longer words are never suggestions */

bool str_eq(const char *a, const char *b)
{
  return a && b ? strcmp(a, b) == 0 : a == b;
}

static int lower(char c)
{
  return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (unsigned char)c;
}

static int least(int a, int b, int c)
{
  int ab = a < b ? a : b;
  return ab < c ? ab : c;
}

/* Distance in half steps: 2 for a different letter, 1 for a different case. */
static int half_steps(const char *a, size_t na, const char *b, size_t nb)
{
  int rows[3][WORD_MAX + 1];
  int *before = rows[0], *prev = rows[1], *row = rows[2];
  for (size_t j = 0; j <= nb; j++)
    prev[j] = (int)(2 * j);
  for (size_t i = 1; i <= na; i++) {
    row[0] = (int)(2 * i);
    for (size_t j = 1; j <= nb; j++) {
      int change = a[i - 1] == b[j - 1] ? 0 : lower(a[i - 1]) == lower(b[j - 1]) ? 1 : 2;
      row[j] = least(prev[j] + 2, row[j - 1] + 2, prev[j - 1] + change);
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
          before[j - 2] + 2 < row[j])
        row[j] = before[j - 2] + 2;
    }
    int *oldest = before;
    before = prev;
    prev = row;
    row = oldest;
  }
  return prev[nb];
}

static int distance(const char *a, const char *b)
{
  size_t na = strlen(a), nb = strlen(b);
  if (na > WORD_MAX || nb > WORD_MAX)
    return strcmp(a, b) == 0 ? 0 : INT_MAX - 1;
  return half_steps(a, na, b, nb);
}

int str_distance(const char *a, const char *b)
{
  return (distance(a, b) + 1) / 2;
}

const char *str_closest(const char *word, const char *const *names, int n)
{
  size_t length = strlen(word);
  int limit = 2 * (int)((length > 3 ? length : 3) / 3);
  const char *best = NULL;
  for (int i = 0; i < n; i++) {
    int d = distance(word, names[i]);
    if (d <= limit) {
      best = names[i];
      limit = d - 1;
    }
  }
  return best;
}

bool str_in_words(const char *word, const char *words)
{
  size_t n = strlen(word);
  for (const char *p = words; n && *p;) {
    size_t length = strcspn(p, " ");
    if (length == n && memcmp(p, word, n) == 0)
      return true;
    p += length;
    p += strspn(p, " ");
  }
  return false;
}

/* Writes one byte escaped as in C; returns the number of characters. Octal always has three digits,
 * so that a digit may follow. */
static size_t escape_byte(char *to, unsigned char c)
{
  static const char plain[] = "\"\\\n\t\r", letter[] = "\"\\ntr";
  const char *at = c ? strchr(plain, c) : NULL;
  if (at) {
    to[0] = '\\';
    to[1] = letter[at - plain];
    return 2;
  }
  if (c < 0x20 || c == 0x7f) {
    to[0] = '\\';
    to[1] = (char)('0' + (c >> 6));
    to[2] = (char)('0' + (c >> 3 & 7));
    to[3] = (char)('0' + (c & 7));
    return 4;
  }
  to[0] = (char)c;
  return 1;
}

const char *str_escape(Arena *a, const char *s, size_t max)
{
  size_t length = strlen(s), n = 0;
  if (length > max)
    length = max;
  char *text = arena_alloc(a, 4 * length + 1);
  for (size_t i = 0; i < length; i++)
    n += escape_byte(text + n, (unsigned char)s[i]);
  text[n] = '\0';
  return text;
}

const char *str_bytes(char buf[32], double bytes)
{
  if (bytes >= 1 << 20)
    snprintf(buf, 32, "%.1f MiB", bytes / (1 << 20));
  else if (bytes >= 1 << 10)
    snprintf(buf, 32, "%.1f KiB", bytes / (1 << 10));
  else
    snprintf(buf, 32, "%.0f B", bytes);
  return buf;
}

int64_t str_to_bytes(const char *text)
{
  static const struct {
    const char *name;
    double bytes;
  } units[] = { { "", 1 }, { "KB", 1 << 10 }, { "MB", 1 << 20 }, { "GB", 1 << 30 } };
  static const double most = 9007199254740992.0;        /* 2^53 */
  char *end;
  if (text[0] < '0' || text[0] > '9')
    return 0;
  double number = strtod(text, &end);
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (str_eq(end, units[i].name) && number * units[i].bytes <= most)
      return (int64_t)(number * units[i].bytes);
  return 0;
}

int str_utf8(const char *s, size_t n, uint32_t *code)
{
  const unsigned char *u = (const unsigned char *)s;
  if (n == 0)
    return 0;
  int length = u[0] < 0x80 ? 1
             : u[0] < 0xC2 ? 0
             : u[0] < 0xE0 ? 2
             : u[0] < 0xF0 ? 3
             : u[0] < 0xF5 ? 4 : 0;
  if (length == 0 || (size_t)length > n)
    return 0;
  uint32_t c = length == 1 ? u[0] : u[0] & (0xFFu >> (length + 1));
  for (int i = 1; i < length; i++) {
    if ((u[i] & 0xC0) != 0x80)
      return 0;
    c = c << 6 | (u[i] & 0x3F);
  }
  bool overlong = (length == 3 && c < 0x800) || (length == 4 && c < 0x10000);
  bool surrogate = c >= 0xD800 && c <= 0xDFFF;
  if (overlong || surrogate || c > 0x10FFFF)
    return 0;
  *code = c;
  return length;
}
