/* fmt: the canonical form of a spec, in place; --check only says whether it has it. */
#include "base/str.h"
#include "cmd/cmd.h"
#include "syntax/ast.h"
#include <stdio.h>
#include <string.h>

int cmd_fmt(const CmdOptions *o)
{
  Compilation *c = compilation_new();
  int code = compile_parse(c, &o->driver);
  if (!code) {
    Out *out = out_new(c->arena);
    ast_format(c->ast, out);
    bool same = out_length(out) == c->length && !memcmp(out_text(out), c->text, c->length);
    if (o->check) {
      if (!same)
        fprintf(stderr, "%s: not in canonical form; 'gradc fmt %s' writes it\n", o->driver.file, o->driver.file);
      code = same ? EXIT_OK : EXIT_SPEC;
    } else if (o->out || !same)
      code = cmd_write(o->out ? o->out : o->driver.file, out_text(out), out_length(out));
  }
  compilation_free(&c);
  return code;
}
