/* The library form in C: functions with the net's name that forward to runtime/model.c. In a
 * standalone file that and what it stands on is all of the runtime there is. */
#include "backend/c/c.h"
#include "backend/library.h"
#include <string.h>

/* No kernel or table may take the name of a function that the header declares. */
void c_take_library_names(C *c)
{
  Out *header = out_new(c->arena);
  library_header(c->args, header);
  names_take_text(c->names, out_text(header), out_length(header), TAKE_FOR_FILE);
}

/* The rows of all fields as an array; NULL for those that the function does not take. */
static void put_rows(C *c, LibraryFunction f)
{
  const gradrt_net *net = c->args->net;
  c_begin(c);
  out_printf(c->line, "const void *rows[] = {");
  for (int i = 0; i < net->nfield; i++)
    out_printf(c->line, "%s%s", i ? ", " : "",
               library_takes(c->m, f, i) ? library_rows_name(&net->field[i], c->arena) : "NULL");
  out_printf(c->line, "%s};", net->nfield ? "" : "NULL");
  c_end(c);
}

static void put_outputs(C *c)
{
  const gradrt_function *f = &c->args->net->infer;
  c_begin(c);
  out_printf(c->line, "void *out[] = {");
  for (int i = 0; i < f->noutput; i++)
    out_printf(c->line, "%s%s", i ? ", " : "", library_out_name(&f->output[i], c->arena));
  out_printf(c->line, "};");
  c_end(c);
}

static void put_function(C *c, LibraryFunction f, const char *net)
{
  static const char *const arguments[LIBRARY_COUNT] = {
    [LIBRARY_FREE] = "m",
    [LIBRARY_TRAIN] = "m, rows, n, lr, loss",
    [LIBRARY_INFER] = "m, rows, n, out",
    [LIBRARY_GET] = "m, name, values, n",
    [LIBRARY_SET] = "m, name, values, n",
    [LIBRARY_LOAD] = "m, path",
    [LIBRARY_SAVE] = "m, path",
  };
  c_line(c, "%s", library_prototype(c->args, f));
  c_line(c, "{");
  out_indent(c->out);
  if (f == LIBRARY_TRAIN || f == LIBRARY_INFER)
    put_rows(c, f);
  if (f == LIBRARY_INFER)
    put_outputs(c);
  if (f == LIBRARY_NEW)
    c_line(c, "return gradrt_model_new(&%s, threads, seed);", net);
  else
    c_line(c, "%s%s(%s);", f == LIBRARY_FREE ? "" : "return ", library_callee(f), arguments[f]);
  out_dedent(c->out);
  c_line(c, "}");
  c_blank(c);
}

void c_library(C *c, const char *net)
{
  Out *header = out_new(c->arena);
  library_header(c->args, header);
  out_bytes(c->out, out_text(header), out_length(header));
  c_blank(c);
  for (int f = 0; f < LIBRARY_COUNT; f++)
    if (library_has(c->m, (LibraryFunction)f))
      put_function(c, (LibraryFunction)f, net);
}
