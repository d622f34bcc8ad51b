/* Pieces of C text: comments, strings, numbers, and the breaking of long lines. */
#include "backend/c/c.h"
#include <float.h>
#include <math.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *c_comment_text(Arena *a, const char *s)
{
  Out *o = out_new(a);
  char last = 0;
  for (const char *p = s ? s : ""; *p; p++) {
    char ch = *p >= ' ' && *p <= '~' && *p != '\\' ? *p : '_';
    if ((last == '*' && ch == '/') || (last == '/' && ch == '*') || (last == '?' && ch == '?'))
      out_bytes(o, " ", 1);
    out_bytes(o, &ch, 1);
    last = ch;
  }
  return out_text(o);
}

/* One literal of at most n bytes. Octal escapes always have three digits. */
static void literal(Out *o, const char *s, size_t n)
{
  out_bytes(o, "\"", 1);
  for (size_t i = 0; i < n; i++) {
    unsigned char ch = (unsigned char)s[i];
    bool plain = ch >= ' ' && ch <= '~' && ch != '"' && ch != '\\' && ch != '?';
    if (ch == '\n')
      out_bytes(o, "\\n", 2);
    else if (plain)
      out_bytes(o, &s[i], 1);
    else
      out_printf(o, "\\%03o", ch);
  }
  out_bytes(o, "\"", 1);
}

const char *c_string(Arena *a, const char *s)
{
  if (!s)
    return "NULL";
  Out *o = out_new(a);
  const char *end = strchr(s, '\n');
  if (!end || !end[1]) {
    literal(o, s, strlen(s));
    return out_text(o);
  }
  while (*s) {
    end = strchr(s, '\n');
    size_t n = end ? (size_t)(end - s) + 1 : strlen(s);
    out_bytes(o, "\n  ", 3);
    literal(o, s, n);
    s += n;
  }
  return out_text(o);
}

static bool reads_back(const char *text, double r, DType t)
{
  return t == DT_F32 ? strtof(text, NULL) == (float)r : strtod(text, NULL) == r;
}

const char *c_real(Arena *a, double r, DType t)
{
  const char *suffix = t == DT_F32 ? "f" : "";
  if (t == DT_F32)
    r = (float)r;
  if (isnan(r))
    return t == DT_F32 ? "NAN" : "(double)NAN";
  if (isinf(r))
    return arena_printf(a, "%s%s", r < 0 ? "-" : "", t == DT_F32 ? "INFINITY" : "(double)INFINITY");
  char text[64];
  int digits = 1;
  for (; digits <= DBL_DECIMAL_DIG; digits++) {
    snprintf(text, sizeof text, "%.*e", digits - 1, r);
    if (reads_back(text, r, t))
      break;
  }
  int exponent = atoi(strchr(text, 'e') + 1), decimals = digits - 1 - exponent;
  if (exponent < -5 || exponent > 15) {
    snprintf(text, sizeof text, "%.*g", digits, r);
    return arena_printf(a, "%s%s", text, suffix);
  }
  return arena_printf(a, "%.*f%s", decimals > 0 ? decimals : 1, r, suffix);
}

const char *c_integer(Arena *a, int64_t i)
{
  if (i == INT64_MIN)
    return "INT64_MIN";
  return arena_printf(a, "%" PRId64, i);
}

/* ---- long lines ---- */

typedef struct { size_t at; int rank; } Break;

/* Steps over a literal that starts at i; returns the offset behind it. */
static size_t skip_literal(const char *s, size_t i, size_t n)
{
  for (size_t k = i + 1; k < n; k++) {
    if (s[k] == '\\')
      k++;
    else if (s[k] == '"')
      return k + 1;
  }
  return n;
}

/* The best place to break s[0..n) so that the first part has at most `width` bytes; at 0: none.
 * Lower rank is better: least nesting, then commas before operators; behind `=` rather than deep in
 * a nest; then the last one. Where none is in reach, the first behind it. */
static Break find_break(const char *s, size_t n, size_t width)
{
  Break best = { 0, 1 << 20 };
  int depth = 0;
  for (size_t i = 0; i < n && (i <= width || best.at == 0);) {
    if (s[i] == '"') {
      i = skip_literal(s, i, n);
      continue;
    }
    depth += s[i] == '(' || s[i] == '[' || s[i] == '{';
    depth -= s[i] == ')' || s[i] == ']' || s[i] == '}';
    bool after_comma = i > 0 && s[i] == ' ' && s[i - 1] == ',';
    bool before_operator = i > 0 && s[i] == ' ' && i + 2 < n && strchr("+-*/%<>&|^?:", s[i + 1]) &&
                           strchr(" =<>&|", s[i + 2]) && s[i - 1] != ',';
    bool between_literals = i > 0 && s[i] == ' ' && s[i - 1] == '"' && i + 1 < n && s[i + 1] == '"';
    bool after_equals = i > 1 && s[i] == ' ' && s[i - 1] == '=' && s[i - 2] == ' ' && depth == 0;
    int rank = after_equals ? 3 : 2 * depth + !after_comma;
    bool here = after_comma || before_operator || between_literals || after_equals;
    if (here && rank <= best.rank)
      best = (Break){ i, rank };
    i++;
  }
  return best;
}

void c_put_wrapped(Out *to, const char *line, size_t length)
{
  out_begin(to);
  size_t column = out_column(to), indent = column + 4;
  while (column + length > COLUMNS) {
    Break b = find_break(line, length, COLUMNS - column);
    if (b.at == 0)
      break;
    out_bytes(to, line, b.at);
    out_end(to);
    line += b.at + 1;
    length -= b.at + 1;
    for (column = 0; column < indent; column++)
      out_bytes(to, " ", 1);
  }
  out_bytes(to, line, length);
  out_end(to);
}
