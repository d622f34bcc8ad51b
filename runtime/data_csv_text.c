/* Comma-separated text (RFC 4180, and what people make of it): records, quotes, cells and numbers.
 * The file's bytes stay where they are; cells point into them. Lines end in LF or CR LF; a record
 * with quotes may span several. */
#include "data_csv.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CSV_CELL_MAX = 1 << 20, CSV_COLUMNS_MAX = 1 << 20, CSV_NUMBER_MAX = 400 };

/* ---- cells ---- */

const char *gradrt_cell_text(const gradrt_cell *c, char *buf, size_t size)
{
  size_t n = 0, i = 0;
  for (; i < c->n && n + 1 < size; i++) {
    buf[n++] = c->at[i];
    i += c->quoted && c->at[i] == '"';
  }
  if (i < c->n && size > 4)
    memcpy(buf + size - 4, "...", 3);
  buf[n] = 0;
  return buf;
}

/* Compares without unquoting unless there is something to unquote. */
bool gradrt_cell_is(const gradrt_cell *c, const char *word)
{
  size_t n = 0;
  for (size_t i = 0; i < c->n; i++, n++) {
    if (word[n] != c->at[i])
      return false;
    i += c->quoted && c->at[i] == '"';
  }
  return word[n] == 0;
}

bool gradrt_cell_missing(const gradrt_cell *c)
{
  static const char *const words[] = { "NA", "N/A", "NAN", "NULL", "NONE", "?" };
  if (c->n == 0 || c->n > 4)
    return c->n == 0;
  for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
    size_t i = strlen(words[k]) == c->n ? 0 : c->n + 1;
    while (i < c->n && (c->at[i] == words[k][i] || (c->at[i] ^ 0x20) == words[k][i]))
      i++;
    if (i == c->n)
      return true;
  }
  return false;
}

/* ---- numbers ---- */

/* A decimal number's digits: value = whole * 10^power when exact. */
typedef struct { uint64_t whole; int digits, power; bool negative, exact; } csv_decimal;

static bool csv_digits(const char **p, const char *end, csv_decimal *d, int step)
{
  const char *start = *p;
  for (; *p < end && **p >= '0' && **p <= '9'; ++*p) {
    if (d->whole || **p != '0')
      d->digits++;
    d->exact = d->exact && d->digits <= 18;
    d->whole = d->exact ? 10 * d->whole + (uint64_t)(**p - '0') : d->whole;
    d->power += step;
  }
  return *p > start;
}

/* Reads [+-]digits[.digits][e[+-]digits] to the end of the cell. */
static bool csv_scan(const char *p, const char *end, csv_decimal *d)
{
  *d = (csv_decimal){ .exact = true };
  if (p < end && (*p == '+' || *p == '-'))
    d->negative = *p++ == '-';
  bool some = csv_digits(&p, end, d, 0);
  if (p < end && *p == '.') {
    p++;
    some = csv_digits(&p, end, d, -1) || some;
  }
  if (!some)
    return false;
  if (p < end && (*p == 'e' || *p == 'E')) {
    bool down = ++p < end && *p == '-';
    p += p < end && (*p == '+' || *p == '-');
    int e = 0;
    const char *start = p;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
      e = e < 100000 ? 10 * e + (*p - '0') : e;
    d->power += down ? -e : e;
    if (p == start)
      return false;
  }
  return p == end;
}

/* Correct rounding by the C library; its decimal point is that of the host program's locale. */
static double csv_slow_number(const gradrt_cell *c)
{
  char buf[CSV_NUMBER_MAX + 16];
  const char *point = localeconv()->decimal_point;
  size_t n = 0, npoint = strlen(point);
  for (size_t i = 0; i < c->n && npoint < 8; i++) {
    if (c->at[i] == '.') {
      memcpy(buf + n, point, npoint);
      n += npoint;
    } else {
      buf[n++] = c->at[i];
    }
  }
  buf[n] = 0;
  return strtod(buf, NULL);
}

bool gradrt_cell_number(const gradrt_cell *c, double *v)
{
  static const double ten[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
  csv_decimal d;
  if (c->n > CSV_NUMBER_MAX || !csv_scan(c->at, c->at + c->n, &d))
    return false;
  /* both operands and so the one rounding are exact (Clinger 1990) */
  if (d.exact && d.whole <= UINT64_C(1) << 53 && d.power >= -22 && d.power <= 22) {
    *v = d.power < 0 ? (double)d.whole / ten[-d.power] : (double)d.whole * ten[d.power];
    *v = d.negative ? -*v : *v;
    return true;
  }
  *v = csv_slow_number(c);
  return isfinite(*v);
}

/* ---- records ---- */

void gradrt_table_place(const gradrt_table *t, const gradrt_cell *c, int64_t *line, int64_t *column)
{
  const char *from = t->text, *first = c->at - c->quoted;
  *line = 1;
  for (const char *p = t->text; p < first; p++)
    if (*p == '\n') {
      ++*line;
      from = p + 1;
    }
  *column = first - from + 1;
}

static int csv_cell_error(const gradrt_table *t, const char *at, const char *what)
{
  int64_t line, column;
  gradrt_table_place(t, &(gradrt_cell){ .at = at }, &line, &column);
  return gradrt_error(GRADRT_DATA, "%s:%" PRId64 ":%" PRId64 ": %s", t->path, line, column, what);
}

/* A blank that is not the separator. */
static bool csv_blank(const gradrt_table *t, char c)
{
  return (c == ' ' || c == '\t') && c != t->separator;
}

/* A quoted cell; t->at stands on the opening quote and ends behind the closing one. */
static int csv_quoted(gradrt_table *t, gradrt_cell *c)
{
  const char *open = t->text + t->at, *end = t->text + t->size, *p = open + 1;
  for (; p < end && !(*p == '"' && (p + 1 == end || p[1] != '"')); p++) {
    t->next_line += *p == '\n';
    p += *p == '"';
    if (p - open > CSV_CELL_MAX)
      break;
  }
  if (p >= end)
    return csv_cell_error(t, open, "the quote that opens here is never closed");
  if (p - open > CSV_CELL_MAX)
    return csv_cell_error(
        t, open,
        "the quoted cell that begins here is longer than 1 MiB; a closing quote may be missing");
  *c = (gradrt_cell){ open + 1, (size_t)(p - open - 1), true };
  t->at = (size_t)(p + 1 - t->text);
  while (t->at < t->size && csv_blank(t, t->text[t->at]))
    t->at++;
  char next = t->at < t->size ? t->text[t->at] : '\n';
  bool ends = next == t->separator || next == '\n';
  ends = ends || (next == '\r' && (t->at + 1 == t->size || t->text[t->at + 1] == '\n'));
  return ends ? GRADRT_OK
              : csv_cell_error(t, t->text + t->at,
                               "text follows a closing quote; a quote inside a cell is "
                               "written twice");
}

/* A cell without quotes: up to the separator or the end of the line, without blanks around it. */
static int csv_plain(gradrt_table *t, gradrt_cell *c)
{
  const char *from = t->text + t->at, *end = t->text + t->size, *p = from;
  while (p < end && *p != t->separator && *p != '\n')
    p++;
  t->at = (size_t)(p - t->text);
  if (p > from && p < end && *p == '\n' && p[-1] == '\r')
    p--;
  if (p == end && p > from && p[-1] == '\r')
    p--;
  if (p - from > CSV_CELL_MAX)
    return csv_cell_error(t, from, "the cell that begins here is longer than 1 MiB");
  while (p > from && csv_blank(t, p[-1]))
    p--;
  *c = (gradrt_cell){ from, (size_t)(p - from), false };
  return GRADRT_OK;
}

/* Reads one cell; t->at ends on the separator or line end behind it. */
static int csv_cell(gradrt_table *t, gradrt_cell *c)
{
  while (t->at < t->size && csv_blank(t, t->text[t->at]))
    t->at++;
  return t->at < t->size && t->text[t->at] == '"' ? csv_quoted(t, c) : csv_plain(t, c);
}

/* Empty lines are no records, except in a table of one column, where one is an empty cell unless
 * only empty lines follow. */
static void csv_skip_empty(gradrt_table *t)
{
  size_t at = t->at;
  int64_t lines = 0;
  while (at < t->size &&
         (t->text[at] == '\n' || (t->text[at] == '\r' && t->text[at + 1] == '\n'))) {
    at += t->text[at] == '\r' ? 2 : 1;
    lines++;
  }
  if (t->ncolumn == 1 && at < t->size)
    return;
  t->at = at;
  t->next_line += lines;
}

int gradrt_table_next(gradrt_table *t, bool *more)
{
  csv_skip_empty(t);
  *more = t->at < t->size;
  if (!*more)
    return GRADRT_OK;
  t->line = t->next_line;
  t->record++;
  for (t->ncell = 0;;) {
    gradrt_cell c;
    int code = csv_cell(t, &c);
    if (code != GRADRT_OK)
      return code;
    if (t->ncell < t->ncolumn)
      t->cell[t->ncell] = c;
    t->ncell++;
    if (t->at < t->size && t->text[t->at] == t->separator) {
      t->at++;
      continue;
    }
    t->at += t->at < t->size && t->text[t->at] == '\r';
    t->at += t->at < t->size;
    t->next_line++;
    return GRADRT_OK;
  }
}

void gradrt_table_rewind(gradrt_table *t)
{
  t->at = t->start;
  t->record = 0;
  t->next_line = 1;
  for (size_t i = 0; i < t->start; i++)
    t->next_line += t->text[i] == '\n';
}

/* ---- opening ---- */

static int csv_separator(const gradrt_ask *a, char *separator)
{
  const char *s = gradrt_prop_text(a->source, "separator", ",");
  bool tab = strcmp(s, "\\t") == 0 || strcmp(s, "tab") == 0;
  *separator = tab ? '\t' : s[0];
  if (tab || (s[1] == 0 && !strchr("\"\r\n.+-0123456789", s[0])))
    return GRADRT_OK;
  return gradrt_error(GRADRT_DATA,
                      "%s: a separator is one character such as ',' ';' or tab, not \"%s\"",
                      a->source->place ? a->source->place : a->net->file, s);
}

/* Refuses what is no text at all. */
static int csv_check_bytes(const gradrt_table *t)
{
  const unsigned char *b = (const unsigned char *)t->text;
  if (t->size >= 2 && b[0] == 0x1F && b[1] == 0x8B)
    return gradrt_error(GRADRT_DATA, "%s: the file is compressed; unpack it with gunzip", t->path);
  const char *nul = memchr(t->text, 0, t->size);
  if (!nul)
    return GRADRT_OK;
  int code = csv_cell_error(t, nul, "a NUL byte: this is not a text table");
  if ((b[0] == 0xFF && b[1] == 0xFE) || (b[0] == 0xFE && b[1] == 0xFF))
    gradrt_note("it is UTF-16 text; save it as UTF-8");
  return code;
}

static bool csv_room(gradrt_table *t, int n)
{
  gradrt_free(t->cell);
  t->ncolumn = n;
  t->cell = gradrt_alloc((size_t)n * sizeof *t->cell);
  return t->cell;
}

/* Counts the columns of the first record, keeps it as names when it is the header. */
static int csv_header(gradrt_table *t)
{
  bool more;
  csv_skip_empty(t);
  t->start = t->at;
  int code = gradrt_table_next(t, &more);
  if (code != GRADRT_OK)
    return code;
  if (!more)
    return gradrt_error(GRADRT_DATA, "%s: the file is empty", t->path);
  if (t->ncell > CSV_COLUMNS_MAX)
    return gradrt_error(GRADRT_LIMIT, "%s: %" PRId64 " columns are more than %d", t->path, t->ncell,
                        CSV_COLUMNS_MAX);
  size_t after = t->at;
  gradrt_table_rewind(t);
  if (!csv_room(t, (int)t->ncell))
    return gradrt_error(GRADRT_LIMIT, "%s: out of memory", t->path);
  if (!t->has_header)
    return GRADRT_OK;
  code = gradrt_table_next(t, &more);
  t->name = t->cell;
  t->cell = NULL;
  t->start = after;
  return code == GRADRT_OK && !csv_room(t, t->ncolumn)
             ? gradrt_error(GRADRT_LIMIT, "%s: out of memory", t->path)
             : code;
}

int gradrt_table_open(gradrt_table *t, const gradrt_ask *a, const char *name)
{
  *t = (gradrt_table){ .has_header = gradrt_prop_number(a->source, "header", 1) > 0 };
  int code = csv_separator(a, &t->separator);
  code = code == GRADRT_OK ? gradrt_file_slurp(a, name, &t->text, &t->size, t->path) : code;
  code = code == GRADRT_OK ? csv_check_bytes(t) : code;
  if (code != GRADRT_OK)
    return code;
  t->start = t->size >= 3 && memcmp(t->text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  gradrt_table_rewind(t);
  code = csv_header(t);
  gradrt_table_rewind(t);
  return code;
}

void gradrt_table_close(gradrt_table *t)
{
  gradrt_free(t->text);
  gradrt_free(t->name);
  gradrt_free(t->cell);
  *t = (gradrt_table){ 0 };
}
