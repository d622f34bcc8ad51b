/* The collector of messages. Exit codes by family of the first error: E050x files of data (3),
 * E06xx limits and target (6), E07xx tools (5), every other code spec (1), also for what its data
 * block says (E051x). */
#include "diag/diag.h"
#include "base/vec.h"
#include "diag/render.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 1500 };       /* bytes of one headline; longer ones are cut */

struct Diag {
  Arena *arena;
  const SourceMap *sources;
  DiagSink sink;
  void *ctx;
  VEC(Part) parts;              /* of the message being collected; empty: none */
  VEC(Part) warned;             /* warnings so far */
  bool dropping;                /* the current message is beyond the limit: its notes go too */
  bool color, strict;
  int errors, warnings, exit_code;
};

Diag *diag_new(Arena *a, const SourceMap *m, DiagSink sink, void *ctx)
{
  Diag *d = ARENA_NEW(a, Diag);
  d->arena = a;
  d->sources = m;
  d->sink = sink;
  d->ctx = ctx;
  return d;
}

static const char *format(Diag *d, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static const char *format(Diag *d, const char *fmt, va_list ap)
{
  char text[TEXT_MAX + 1];
  if (d->errors > DIAG_ERRORS_MAX)
    return "";                  /* nothing is shown any more */
  int n = vsnprintf(text, sizeof text, fmt, ap);
  if (n < 0)
    ice("diag: the format cannot be printed");
  if (n <= TEXT_MAX)
    return arena_strndup(d->arena, text, (size_t)n);
  size_t end = TEXT_MAX - 3;
  while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80)
    end--;
  return arena_printf(d->arena, "%.*s...", (int)end, text);
}

static void check_code(const char *code, char family)
{
  bool good = code && code[0] == family && strlen(code) == 5;
  for (int i = 1; good && i < 5; i++)
    good = isdigit((unsigned char)code[i]) != 0;
  if (!good)
    ice("diag: '%s' is not a code of the form %cnnnn", code ? code : "(null)", family);
}

static int family_exit(const char *code)
{
  bool is_data = strncmp(code, "E050", 4) == 0, is_limit = strncmp(code, "E06", 3) == 0;
  bool is_tool = strncmp(code, "E07", 3) == 0;
  return is_data ? EXIT_DATA : is_limit ? EXIT_LIMIT : is_tool ? EXIT_IO : EXIT_SPEC;
}

static void say_limit(Diag *d, const char *what, int shown)
{
  d->sink(d->ctx,
          arena_printf(d->arena, "gradc: too many %s: the first %d are shown\n", what, shown));
}

static void begin(Diag *d, Part p)
{
  diag_flush(d);
  d->dropping = d->errors >= DIAG_ERRORS_MAX;
  if (p.kind == PART_ERROR) {
    if (d->errors == 0)
      d->exit_code = family_exit(p.code);
    if (d->errors == DIAG_ERRORS_MAX)
      say_limit(d, "errors", DIAG_ERRORS_MAX);
    d->errors++;
  } else {
    if (d->warnings == DIAG_WARNINGS_MAX && !d->dropping)
      say_limit(d, "warnings", DIAG_WARNINGS_MAX);
    d->dropping = d->dropping || d->warnings >= DIAG_WARNINGS_MAX;
    d->warnings++;
  }
  if (!d->dropping)
    vec_push(d->arena, &d->parts, p);
}

void diag_error(Diag *d, Span at, const char *code, const char *fmt, ...)
{
  check_code(code, 'E');
  va_list ap;
  va_start(ap, fmt);
  const char *text = format(d, fmt, ap);
  va_end(ap);
  begin(d, (Part){PART_ERROR, at, code, text});
}

/* The programs of one spec share blocks: the same remark on the same place is news once. */
static bool warned_before(Diag *d, Part p)
{
  for (uint32_t i = 0; i < d->warned.n; i++) {
    const Part *w = &d->warned.at[i];
    if (p.at.end && w->at.begin == p.at.begin && w->at.end == p.at.end &&
        strcmp(w->code, p.code) == 0 && strcmp(w->text, p.text) == 0)
      return true;
  }
  if (d->warned.n < DIAG_WARNINGS_MAX)
    vec_push(d->arena, &d->warned, p);
  return false;
}

void diag_warn(Diag *d, Span at, const char *code, const char *fmt, ...)
{
  check_code(code, 'W');
  va_list ap;
  va_start(ap, fmt);
  const char *text = format(d, fmt, ap);
  va_end(ap);
  if (warned_before(d, (Part){PART_WARNING, at, code, text})) {
    diag_flush(d);
    d->dropping = true;
    return;
  }
  begin(d, (Part){d->strict ? PART_ERROR : PART_WARNING, at, code, text});
}

static void attach(Diag *d, Part p)
{
  if (d->dropping)
    return;
  if (d->parts.n == 0)
    ice("diag: a note without an error or warning: %s", p.text);
  vec_push(d->arena, &d->parts, p);
}

void diag_note(Diag *d, Span at, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  const char *text = format(d, fmt, ap);
  va_end(ap);
  attach(d, (Part){PART_NOTE, at, NULL, text});
}

void diag_help(Diag *d, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  const char *text = format(d, fmt, ap);
  va_end(ap);
  attach(d, (Part){PART_HELP, {0, 0}, NULL, text});
}

void diag_flush(Diag *d)
{
  if (d->parts.n == 0)
    return;
  Out *o = out_new(d->arena);
  for (uint32_t i = 0; i < d->parts.n; i++)
    render_part(d->sources, &d->parts.at[i], d->color, o);
  d->parts.n = 0;
  d->sink(d->ctx, out_text(o));
}

int diag_errors(const Diag *d)
{
  return d->errors;
}

int diag_exit_code(const Diag *d)
{
  return d->errors ? d->exit_code : EXIT_OK;
}

void diag_use_color(Diag *d, bool on)
{
  d->color = on;
}

void diag_warnings_as_errors(Diag *d, bool on)
{
  d->strict = on;
}

Arena *diag_arena(const Diag *d)
{
  return d->arena;
}

const SourceMap *diag_sources(const Diag *d)
{
  return d->sources;
}
