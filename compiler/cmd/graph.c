/* graph: the network of a spec as a diagram, in SVG, in a page, or for Graphviz. */
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/diagram.h"
#include "cmd/page.h"
#include "internal.h"
#include <stdio.h>

static void put_page(Out *o, Diagram *d)
{
  out_printf(o, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta "
                "name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
  page_text(o, d->file);
  out_printf(o, "</title><style>:root{color-scheme:light dark}body{margin:0;padding:16px}"
                "@media(prefers-color-scheme:dark){body{background:#15171b}}"
                "svg{display:block;margin:0 auto}@page{size:A4;margin:12mm}"
                "@media print{body{background:#fff;padding:0}svg{max-height:270mm}}</style></head>"
                "<body>\n");
  diagram_svg(o, d);
  out_printf(o, "</body></html>\n");
}

int cmd_graph(const CmdOptions *o)
{
  Compilation *c = compilation_new();
  int code = compile_check(c, &o->driver);
  const char *suffix = o->dot ? ".dot" : o->html ? ".html" : ".svg";
  if (!code && o->dot && o->html)
    code = gradrt_error(EXIT_USAGE, "choose one of --dot and --html");
  if (!code) {
    const char *path = o->out ? o->out : arena_printf(c->arena, "%s%s", c->model->name, suffix);
    Diagram *d = diagram_new(c->model, c->arena);
    Out *out = out_new(c->arena);
    if (o->dot)
      diagram_dot(out, d);
    else if (o->html)
      put_page(out, d);
    else
      diagram_svg(out, d);
    code = cmd_write(path, out_text(out), out_length(out));
    if (!code && !o->quiet && !str_eq(path, "-"))
      fprintf(stderr, "wrote %s\n", str_escape(c->arena, path, 200));
  }
  compilation_free(&c);
  return code;
}
