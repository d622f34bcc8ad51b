/* new: a commented spec that works, to begin with. Never writes over a file. */
#include "base/str.h"
#include "cmd/cmd.h"
#include "internal.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct { const char *name, *doc, *spec, *ending, *data; } Template;

static const Template templates[] = {
#define TEMPLATE(name, doc, spec, ending, data) { #name, doc, spec, ending, data },
#include "cmd/new.def"
#undef TEMPLATE
};

static const Template *find_template(const char *name)
{
  const char *names[ARRAY_LEN(templates)];
  for (size_t i = 0; i < ARRAY_LEN(templates); i++) {
    names[i] = templates[i].name;
    if (str_eq(name, names[i]))
      return &templates[i];
  }
  const char *near = str_closest(name, names, (int)ARRAY_LEN(templates));
  gradrt_error(EXIT_USAGE, "there is no template '%s'%s%s%s", name, near ? "; did you mean '" : "",
               near ? near : "", near ? "'?" : "");
  for (size_t i = 0; i < ARRAY_LEN(templates); i++)
    gradrt_note("%s: %s", templates[i].name, templates[i].doc);
  return NULL;
}

/* Can name stand in a spec as part of a word, and in it as the name of a file? */
static bool is_name(const char *name)
{
  bool ok = islower((unsigned char)name[0]);
  for (const char *p = name; *p && ok; p++)
    ok = islower((unsigned char)*p) || isdigit((unsigned char)*p) || *p == '_';
  return ok && strlen(name) <= 40;
}

static const char *fill(Arena *a, const char *text, const char *name)
{
  Out *out = out_new(a);
  for (const char *at; (at = strchr(text, '@')) != NULL; text = at + 1)
    out_printf(out, "%.*s%s", (int)(at - text), text, name);
  out_printf(out, "%s", text);
  return out_text(out);
}

/* Writes a file that must not exist. */
static int create(const char *path, const char *text)
{
  FILE *f = fopen(path, "wx");
  int why = errno;
  if (!f && why == EEXIST)
    return gradrt_error(EXIT_IO, "'%s' is there already, and new writes over nothing", path);
  bool ok = f && fputs(text, f) >= 0;
  if (f && fclose(f) != 0)
    ok = false;
  if (!ok)
    return gradrt_error(EXIT_IO, "cannot write '%s': %s", path, strerror(f ? errno : why));
  printf("wrote  %s\n", path);
  return EXIT_OK;
}

static int write_files(Arena *a, const Template *t, const char *stem, const char *name)
{
  const char *spec = arena_printf(a, "%s.nn", stem);
  if (t->data && access(spec, F_OK) != 0) {     /* the data first: a spec without them is no use */
    int code = create(arena_printf(a, "%s.%s", stem, t->ending), t->data);
    if (code)
      return code;
  }
  int code = create(spec, fill(a, t->spec, name));
  if (!code)
    printf("next   gradc train %s\n", spec);
  return code;
}

int cmd_new(const CmdOptions *o)
{
  const Template *t = find_template(o->template ? o->template : templates[0].name);
  if (!t)
    return EXIT_USAGE;
  const char *path = o->driver.file;
  if (!path)
    return gradrt_error(EXIT_USAGE, "'new' needs a name: gradc new NAME [--template %s]", t->name);
  size_t n = strlen(path);
  n -= n > 3 && str_eq(path + n - 3, ".nn") ? 3 : 0;
  Arena *a = arena_new("new");
  const char *stem = arena_strndup(a, path, n), *slash = strrchr(stem, '/');
  const char *name = slash ? slash + 1 : stem;
  int code = EXIT_OK;
  if (is_name(name))
    code = write_files(a, t, stem, name);
  else
    code = gradrt_error(EXIT_USAGE, "'%s' is no name for a net: small letters, digits and _, a "
                        "letter first", str_escape(a, name, 60));
  arena_free(&a);
  return code;
}
