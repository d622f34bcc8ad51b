/* The runtime's text in a standalone program: its header near the top, and after the net the
 * sources that modules.def calls for, each once, in the order of that list. Their #include "..."
 * lines are followed here. */
#include "backend/c/c.h"
#include "backend/library.h"
#include "base/str.h"
#include <string.h>

typedef struct { const char *name, *needs, *libs; } RuntimeModule;

static const RuntimeModule modules[] = {
#define MODULE(file, needs, libs) { #file, needs, libs },
#include "modules.def"
};

typedef struct { const char *module, *macro, *kinds; } Reader;

static const Reader readers[] = {
#define READER(file, macro, kinds) { #file, #macro, kinds },
#include "modules.def"
};

enum { MODULES = ARRAY_LEN(modules) };

static const Embedded *find_text(const char *name)
{
  for (int i = 0; i < embedded_count; i++)
    if (str_eq(embedded[i].name, name))
      return &embedded[i];
  ice("backend c: the runtime's file '%s' is not embedded", name);
}

static void need(const char *name, bool *needed)
{
  int i = 0;
  while (i < MODULES && !str_eq(modules[i].name, name))
    i++;
  if (i == MODULES)
    ice("backend c: modules.def has no row '%s'", name);
  if (needed[i])
    return;
  needed[i] = true;
  for (const char *p = modules[i].needs; *p; p += strspn(p, " ")) {
    size_t n = strcspn(p, " ");
    char word[64];
    if (n >= sizeof word)
      ice("backend c: modules.def: '%s'", p);
    memcpy(word, p, n);
    word[n] = '\0';
    need(word, needed);
    p += n;
  }
}

typedef VEC(const char *) Seen;

static void put_file(C *c, const char *name, Seen *seen);

/* Follows `#include "name"`; returns false for any other line. */
static bool follow(C *c, const char *line, size_t length, Seen *seen)
{
  static const char include[] = "#include \"";
  size_t n = sizeof include - 1;
  if (length < n || strncmp(line, include, n) != 0)
    return false;
  const char *end = memchr(line + n, '"', length - n);
  if (!end)
    ice("backend c: the runtime has a broken include");
  put_file(c, arena_strndup(c->arena, line + n, (size_t)(end - line) - n), seen);
  return true;
}

static void put_file(C *c, const char *name, Seen *seen)
{
  for (uint32_t i = 0; i < seen->n; i++)
    if (str_eq(seen->at[i], name))
      return;
  vec_push(c->arena, seen, name);
  const Embedded *e = find_text(name);
  const char *end = e->text + e->length;
  for (const char *line = e->text; line < end;) {
    const char *next = memchr(line, '\n', (size_t)(end - line));
    next = next ? next + 1 : end;
    if (!follow(c, line, (size_t)(next - line), seen))
      out_bytes(c->out, line, (size_t)(next - line));
    line = next;
  }
  c_blank(c);
}

static bool reads(const gradrt_net *net, const Reader *r)
{
  for (int i = 0; i < net->nsource; i++)
    if (str_in_words(net->source[i].kind, r->kinds))
      return true;
  for (int i = 0; i < net->nfield && str_in_words("augment", r->kinds); i++)
    if (net->field[i].naugment > 0)
      return true;
  for (int i = 0; i < net->nsource && str_in_words("classes", r->kinds); i++)
    for (int k = 0; k < net->source[i].nprop; k++)
      if (str_eq(net->source[i].prop[k].name, "only"))
        return true;
  if (net->window > 0 && str_in_words("window", r->kinds))
    return true;
  /* predict takes tables of numbers for any net that is fed by numbers, pixels among them */
  bool numbers = false;
  for (int i = 0; i < net->nfield; i++)
    numbers = numbers || (!net->field[i].is_label && !net->field[i].token);
  return numbers && str_in_words("csv", r->kinds);
}

void c_runtime_settings(C *c)
{
  if (library_needs_zlib(c->args->net))
    out_line(c->out, "#define GRADRT_ZLIB 1");
  if (library_needs_pictures(c->args->net)) {
    out_line(c->out, "#define GRADRT_PNG 1");
    out_line(c->out, "#define GRADRT_JPEG 1");
  }
  if (c->args->measure == MEASURE_NOTHING)
    out_line(c->out, "#define GRADRT_WITHOUT_BENCH 1");
  for (size_t i = 0; i < ARRAY_LEN(readers); i++)
    if (!reads(c->args->net, &readers[i]))
      out_line(c->out, "#define GRADRT_WITHOUT_%s 1", readers[i].macro);
}

void c_runtime_header(C *c)
{
  Seen seen = { 0 };
  put_file(c, "gradrt.h", &seen);
}

/* The runtime has no hot loops: told so, compilers are done in half the time. */
void c_runtime(C *c)
{
  bool needed[MODULES] = { false };
  Seen seen = { 0 };
  vec_push(c->arena, &seen, "gradrt.h");
  need(c->args->library ? "model" : "main", needed);
  need("threads", needed);
  if (c->args->measure != MEASURE_NOTHING)
    need("bench", needed);
  for (size_t i = 0; i < ARRAY_LEN(readers); i++)
    if (!c->args->library && reads(c->args->net, &readers[i]))
      need(readers[i].module, needed);
  out_line(c->out, "#pragma GCC diagnostic ignored \"-Wunused-function\"");
  out_line(c->out, "#if defined(__clang__)");
  out_line(c->out, "#pragma clang attribute push(__attribute__((minsize)), apply_to = function)");
  out_line(c->out, "#else");
  out_line(c->out, "#pragma GCC optimize(\"O1\", \"fp-contract=off\")");
  out_line(c->out, "#endif");
  c_blank(c);
  for (int i = 0; i < MODULES; i++)
    if (needed[i])
      put_file(c, arena_printf(c->arena, "%s.c", modules[i].name), &seen);
  out_line(c->out, "#if defined(__clang__)");
  out_line(c->out, "#pragma clang attribute pop");
  out_line(c->out, "#endif");
  c_blank(c);
}

void c_take_runtime_names(Names *n)
{
  for (int i = 0; i < embedded_count; i++)
    names_take_text(n, embedded[i].text, embedded[i].length, TAKE_FOR_FILE);
}
