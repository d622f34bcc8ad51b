/* fmt: the canonical form of specs, in place; --check only says whether they have it. */
#include "base/str.h"
#include "cmd/cmd.h"
#include "internal.h"
#include "syntax/ast.h"
#include <stdio.h>
#include <string.h>

static int format(const CmdOptions *o, const char *file)
{
  DriverOptions driver = o->driver;
  Compilation *c = compilation_new();
  driver.file = file;
  int code = compile_parse(c, &driver);
  if (!code) {
    Out *out = out_new(c->arena);
    ast_format(c->ast, out);
    bool same = out_length(out) == c->length && !memcmp(out_text(out), c->text, c->length);
    if (o->check) {
      if (!same)
        fprintf(stderr, "%s: not in canonical form; 'gradc fmt %s' writes it\n", file, file);
      code = same ? EXIT_OK : EXIT_SPEC;
    } else if (o->out || !same) {
      code = cmd_write(o->out ? o->out : file, out_text(out), out_length(out));
    }
  }
  compilation_free(&c);
  return code;
}

/* The exit code is that of the first file that has one. */
int cmd_fmt(const CmdOptions *o)
{
  if (o->out && o->nrest)
    return gradrt_error(EXIT_USAGE, "-o is for one spec; here are %d", o->nrest + 1);
  int code = format(o, o->driver.file);
  for (int i = 0; i < o->nrest; i++) {
    int other = format(o, o->rest[i]);
    code = code ? code : other;
  }
  return code;
}
