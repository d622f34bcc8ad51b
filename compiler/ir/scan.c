/* Tokens of the graph's text form. */
#include "ir/scan.h"
#include "base/util.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 64, ERROR_MAX = 400 };

bool scan_fail(Scan *s, const char *fmt, ...)
{
  char text[ERROR_MAX];
  va_list ap;
  if (s->error)
    return false;
  va_start(ap, fmt);
  if (vsnprintf(text, sizeof text, fmt, ap) < 0)
    ice("scan_fail: the format cannot be printed");
  va_end(ap);
  s->error = arena_strdup(s->arena, text);
  s->error_at = s->at;
  return false;
}

static void skip(Scan *s)
{
  while (s->at < s->n) {
    char c = s->text[s->at];
    if (c == '#')
      while (s->at < s->n && s->text[s->at] != '\n')
        s->at++;
    else if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
      s->at++;
    else
      return;
  }
}

static bool is_letter(char c)
{
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool scan_end(Scan *s)
{
  skip(s);
  return s->at == s->n;
}

bool scan_next_is(Scan *s, const char *token)
{
  size_t length = strlen(token);
  skip(s);
  if (s->error || s->n - s->at < length || memcmp(s->text + s->at, token, length) != 0)
    return false;
  char after = s->at + length < s->n ? s->text[s->at + length] : ' ';
  return !(is_letter(token[length - 1]) && (is_letter(after) || is_digit(after)));
}

bool scan_take(Scan *s, const char *token)
{
  bool is = scan_next_is(s, token);
  if (is)
    s->at += strlen(token);
  return is;
}

bool scan_need(Scan *s, const char *token)
{
  return scan_take(s, token) || scan_fail(s, "'%s' is missing here", token);
}

bool scan_word(Scan *s, const char **out)
{
  skip(s);
  size_t from = s->at, to = from;
  if (s->error || from == s->n || !is_letter(s->text[from]))
    return scan_fail(s, "a word is missing here");
  while (to < s->n && (is_letter(s->text[to]) || is_digit(s->text[to])))
    to++;
  *out = arena_strndup(s->arena, s->text + from, to - from);
  s->at = to;
  return true;
}

/* Copies the characters of a number, so that strtod and strtoll see a terminated text. */
static size_t number_text(Scan *s, char *copy)
{
  size_t n = 0;
  skip(s);
  while (s->at + n < s->n && n < NUMBER_MAX - 1) {
    char c = s->text[s->at + n];
    if (!is_digit(c) && !is_letter(c) && !strchr("+-.", c))
      break;
    copy[n++] = c;
  }
  copy[n] = '\0';
  return n;
}

bool scan_int(Scan *s, int64_t *out)
{
  char copy[NUMBER_MAX], *end;
  size_t n = number_text(s, copy);
  errno = 0;
  long long v = strtoll(copy, &end, 10);
  if (s->error || n == 0 || *end || errno)
    return scan_fail(s, "a whole number is missing here");
  *out = v;
  s->at += n;
  return true;
}

bool scan_real(Scan *s, double *out)
{
  char copy[NUMBER_MAX], *end;
  size_t n = number_text(s, copy);
  double v = strtod(copy, &end);
  if (s->error || n == 0 || *end || memchr(copy, 'x', n) || memchr(copy, 'X', n))
    return scan_fail(s, "a number is missing here");
  *out = v;
  s->at += n;
  return true;
}

/* Decodes one escape after its backslash; returns the characters read, 0 if there is none. */
static size_t escape(const char *text, size_t n, char *out)
{
  static const char letter[] = "ntr\\\"", plain[] = "\n\t\r\\\"";
  const char *at = n && text[0] ? strchr(letter, text[0]) : NULL;
  if (at) {
    *out = plain[at - letter];
    return 1;
  }
  if (n < 3)
    return 0;
  int value = 0;
  for (int i = 0; i < 3; i++) {
    if (text[i] < '0' || text[i] > '7')
      return 0;
    value = 8 * value + (text[i] - '0');
  }
  *out = (char)value;
  return value > 0 && value < 256 ? 3 : 0;
}

bool scan_string(Scan *s, const char **out)
{
  if (!scan_need(s, "\""))
    return false;
  size_t from = s->at, length = 0;
  while (s->at < s->n && s->text[s->at] != '"' && s->text[s->at] != '\n')
    s->at += s->text[s->at] == '\\' && s->at + 1 < s->n ? 2 : 1;
  if (s->at >= s->n || s->text[s->at] != '"')
    return scan_fail(s, "this string has no end");
  char *copy = arena_alloc(s->arena, s->at - from + 1);
  for (size_t i = from; i < s->at; i++) {
    copy[length] = s->text[i];
    if (s->text[i] == '\\') {
      size_t taken = escape(s->text + i + 1, s->at - i - 1, &copy[length]);
      if (!taken)
        return scan_fail(s, "this string has an unknown escape");
      i += taken;
    }
    if (!copy[length++])
      return scan_fail(s, "this string holds a zero byte");
  }
  s->at++;
  *out = copy;
  return true;
}

bool scan_type(Scan *s, Type *out)
{
  skip(s);
  size_t n = s->error ? 0 : type_parse(s->text + s->at, s->n - s->at, out);
  if (n == 0)
    return scan_fail(s, "a type is missing here");
  for (int i = 0; i < out->rank; i++)
    if (out->dim[i] < 1)
      return scan_fail(s, "a dimension is below 1");
  if (type_elems(out) < 0)
    return scan_fail(s, "a tensor has too many elements");
  s->at += n;
  return true;
}
