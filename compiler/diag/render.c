/* Rendering of one headline and its snippet. Everything that comes from a file is shown harmless:
 * control and bidirectional characters, and bytes that are not UTF-8, are written as escapes.
 * Lines longer than LINE_MAX columns are cut to a window around the caret. */
#include "diag/render.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { LINE_MAX = 100, BEFORE_CARET = 60, CELL_MAX = 12 };

/* One character of a source line as it is shown. */
typedef struct {
  char text[CELL_MAX];
  int bytes;                    /* of the source */
  int columns;                  /* on a terminal */
} Cell;

typedef struct {
  uint32_t first, last;
} Range;

static bool in_ranges(uint32_t c, const Range *r, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (c >= r[i].first && c <= r[i].last)
      return true;
  return false;
}

/* Control characters, direction marks and other characters that change what a reader sees. */
static bool is_hidden(uint32_t c)
{
  static const Range hidden[] = {{0x00, 0x1F},     {0x7F, 0x9F},     {0xAD, 0xAD},
                                 {0x61C, 0x61C},   {0x200B, 0x200F}, {0x2028, 0x202E},
                                 {0x2060, 0x206F}, {0xFEFF, 0xFEFF}, {0xE0000, 0xE007F}};
  return in_ranges(c, hidden, ARRAY_LEN(hidden));
}

static int columns_of(uint32_t c)
{
  static const Range none[] = {{0x300, 0x36F}, {0x1AB0, 0x1AFF}, {0x20D0, 0x20FF},
                               {0xFE00, 0xFE0F}};
  static const Range two[] = {{0x1100, 0x115F}, {0x2E80, 0xA4CF},   {0xAC00, 0xD7A3},
                              {0xF900, 0xFAFF}, {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
                              {0xFFE0, 0xFFE6}, {0x1F300, 0x1FAFF}, {0x20000, 0x3FFFD}};
  return in_ranges(c, none, ARRAY_LEN(none)) ? 0 : in_ranges(c, two, ARRAY_LEN(two)) ? 2 : 1;
}

static Cell cell_at(const char *s, int n)
{
  Cell cell = {.bytes = 1};
  uint32_t c = 0;
  int length = str_utf8(s, (size_t)n, &c);
  if (!length) {
    cell.columns = snprintf(cell.text, sizeof cell.text, "\\x%02X", (unsigned)(unsigned char)s[0]);
  } else if (c == '\t') {
    cell.columns = snprintf(cell.text, sizeof cell.text, " ");
  } else if (is_hidden(c)) {
    cell.bytes = length;
    cell.columns = c < 0x80 ? snprintf(cell.text, sizeof cell.text, "\\x%02X", (unsigned)c)
                            : snprintf(cell.text, sizeof cell.text, "<U+%04X>", (unsigned)c);
  } else {
    cell.bytes = length;
    memcpy(cell.text, s, (size_t)length);
    cell.columns = columns_of(c);
  }
  return cell;
}

static void write_safe(Out *o, const char *s)
{
  int n = (int)strlen(s);
  for (int i = 0; i < n;) {
    Cell cell = cell_at(s + i, n - i);
    out_printf(o, "%s", cell.text);
    i += cell.bytes;
  }
}

/* A part of a line, in bytes. */
typedef struct {
  int begin, end;
} Window;

static int end_after(const char *s, int n, int from, int columns)
{
  int used = 0;
  while (from < n) {
    Cell cell = cell_at(s + from, n - from);
    used += cell.columns;
    if (used > columns)
      break;
    from += cell.bytes;
  }
  return from;
}

static int step_back(const char *s, int at)
{
  do
    at--;
  while (at > 0 && ((unsigned char)s[at] & 0xC0) == 0x80);
  return at;
}

static Window window_of(const char *s, int n, int caret)
{
  if (end_after(s, n, 0, LINE_MAX) == n)
    return (Window){0, n};
  int begin = caret, used = 0;
  while (begin > 0 && used < BEFORE_CARET) {
    begin = step_back(s, begin);
    used += cell_at(s + begin, n - begin).columns;
  }
  return (Window){begin, end_after(s, n, begin, LINE_MAX)};
}

typedef struct {
  const char *head[PART_COUNT]; /* before the word error, warning, note, help */
  const char *place, *caret, *off;
} Style;

static const Style *style_of(bool color)
{
  static const Style plain = {{"", "", "", ""}, "", "", ""};
  static const Style ansi = {{"\033[1;31m", "\033[1;35m", "\033[1;36m", "\033[1;32m"},
                             "\033[1m", "\033[1;32m", "\033[0m"};
  return color ? &ansi : &plain;
}

/* The caret line: blanks as wide as the text before the caret, ^ and ~ as wide as the marked
 * text. */
static void write_caret(Out *o, const char *s, Window w, Window mark, const Style *style)
{
  int before = 0, marked = 0;
  for (int i = w.begin; i < mark.begin;) {
    Cell cell = cell_at(s + i, w.end - i);
    before += cell.columns;
    i += cell.bytes;
  }
  for (int i = mark.begin; i < mark.end && i < w.end;) {
    Cell cell = cell_at(s + i, w.end - i);
    marked += cell.columns;
    i += cell.bytes;
  }
  for (int i = 0; i < before; i++)
    out_bytes(o, " ", 1);
  out_printf(o, "%s^", style->caret);
  for (int i = 1; i < marked; i++)
    out_bytes(o, "~", 1);
  out_printf(o, "%s\n", style->off);
}

static void write_snippet(const Place *p, Window mark, const Style *style, Out *o)
{
  Window w = window_of(p->text, p->length, mark.begin);
  const char *left = w.begin > 0 ? "..." : "", *right = w.end < p->length ? "..." : "";
  out_printf(o, "%5d | %s", p->line, left);
  for (int i = w.begin; i < w.end;) {
    Cell cell = cell_at(p->text + i, p->length - i);
    out_printf(o, "%s", cell.text);
    i += cell.bytes;
  }
  out_printf(o, "%s\n      | %*s", right, (int)strlen(left), "");
  write_caret(o, p->text, w, mark, style);
}

/* Byte position of the place within its line. */
static int position(const Place *p)
{
  int at = 0;
  for (int col = 1; col < p->col && at < p->length; col++) {
    at++;
    while (at < p->length && ((unsigned char)p->text[at] & 0xC0) == 0x80)
      at++;
  }
  return at;
}

/* Text of a help may have several lines; those after the first are shown like source. */
static void write_text(Out *o, const char *text)
{
  for (const char *line = text; *line;) {
    size_t n = strcspn(line, "\n");
    for (size_t i = 0; i < n;) {
      Cell cell = cell_at(line + i, (int)(n - i));
      out_printf(o, "%s", cell.text);
      i += (size_t)cell.bytes;
    }
    line += n;
    if (*line) {
      out_printf(o, "\n      | ");
      line++;
    }
  }
}

void render_part(const SourceMap *m, const Part *p, bool color, Out *o)
{
  static const char *const word[PART_COUNT] = {"error", "warning", "note", "help"};
  const Style *style = style_of(color);
  Place place;
  bool placed = source_place(m, p->at.begin, &place);
  out_printf(o, "%s", style->place);
  if (placed) {
    write_safe(o, place.file);
    out_printf(o, ":%d:%d: ", place.line, place.col);
  } else if (p->kind == PART_ERROR || p->kind == PART_WARNING) {
    out_printf(o, "gradc: ");
  }
  out_printf(o, "%s%s%s:%s ", style->off, style->head[p->kind], word[p->kind], style->off);
  write_text(o, p->text);
  if (p->code)
    out_printf(o, " [%s]", p->code);
  out_end(o);
  if (placed) {
    int caret = position(&place);
    uint32_t marked = p->at.end > p->at.begin ? p->at.end - p->at.begin : 0;
    int room = place.length - caret;
    int length = marked > (uint32_t)(room > 0 ? room : 0) ? room : (int)marked;
    write_snippet(&place, (Window){caret, caret + length}, style, o);
  }
}
