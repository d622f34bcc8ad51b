/* The text sink: a buffer that doubles in an arena. Old buffers stay in the arena. */
#include "base/out.h"
#include "base/util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FIRST = 1024 };

struct Out {
  Arena *arena;
  char *text;                   /* always NUL-terminated */
  size_t n, cap;                /* cap counts the NUL */
  size_t line;                  /* offset of the current line */
  int depth;                    /* levels of two blanks */
};

static void reserve(Out *o, size_t more)
{
  if (more > PTRDIFF_MAX / 4 || o->n > PTRDIFF_MAX / 4)
    ice("out: text of more than %zu bytes", (size_t)PTRDIFF_MAX / 4);
  if (o->n + more + 1 <= o->cap)
    return;
  size_t cap = o->cap;
  while (cap < o->n + more + 1)
    cap *= 2;
  char *wider = arena_alloc(o->arena, cap);
  memcpy(wider, o->text, o->n + 1);
  o->text = wider;
  o->cap = cap;
}

static void moved(Out *o, size_t from)
{
  for (size_t i = o->n; i > from; i--)
    if (o->text[i - 1] == '\n') {
      o->line = i;
      return;
    }
}

Out *out_new(Arena *a)
{
  Out *o = ARENA_NEW(a, Out);
  o->arena = a;
  o->cap = FIRST;
  o->text = arena_alloc(a, FIRST);
  return o;
}

void out_bytes(Out *o, const char *s, size_t n)
{
  size_t from = o->n;
  reserve(o, n);
  if (n)
    memcpy(o->text + o->n, s, n);
  o->n += n;
  o->text[o->n] = '\0';
  moved(o, from);
}

static void print(Out *o, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void print(Out *o, const char *fmt, va_list ap)
{
  va_list again;
  va_copy(again, ap);
  size_t from = o->n;
  int n = vsnprintf(o->text + o->n, o->cap - o->n, fmt, ap);
  if (n < 0)
    ice("out_printf: the format cannot be printed");
  if ((size_t)n >= o->cap - o->n) {
    o->text[o->n] = '\0';
    reserve(o, (size_t)n);
    vsnprintf(o->text + o->n, o->cap - o->n, fmt, again);
  }
  va_end(again);
  o->n += (size_t)n;
  moved(o, from);
}

void out_printf(Out *o, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  print(o, fmt, ap);
  va_end(ap);
}

void out_begin(Out *o)
{
  for (int i = 0; i < o->depth; i++)
    out_bytes(o, "  ", 2);
}

void out_end(Out *o)
{
  out_bytes(o, "\n", 1);
}

void out_line(Out *o, const char *fmt, ...)
{
  va_list ap;
  out_begin(o);
  va_start(ap, fmt);
  print(o, fmt, ap);
  va_end(ap);
  out_end(o);
}

void out_indent(Out *o)
{
  o->depth++;
}

void out_dedent(Out *o)
{
  if (o->depth == 0)
    ice("out_dedent: not indented");
  o->depth--;
}

size_t out_column(const Out *o)
{
  return o->n - o->line;
}

const char *out_text(const Out *o)
{
  return o->text;
}

size_t out_length(const Out *o)
{
  return o->n;
}
