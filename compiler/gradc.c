/* The compiler as a library: the pipeline of driver.h, with texts in the place of files. */
#include "gradc.h"

#include "backend/library.h"
#include "base/str.h"
#include "cmd/math.h"
#include "driver.h"
#include "ir/text.h"
#include "loop/text.h"
#include "syntax/ast.h"

struct gradc {
  Compilation *c;
  Out *messages, *output;
  int status;
};

static void keep_message(void *ctx, const char *text)
{
  gradc *g = ctx;
  out_printf(g->messages, "%s", text);
}

static int fail(gradc *g, int code, const char *text)
{
  out_printf(g->messages, "gradc: error: %s\n", text);
  return code;
}

/* How far the pipeline goes for a form, and what it prints. */
static int compile_text(gradc *g, DriverOptions *d, gradc_form form)
{
  Compilation *c = g->c;
  if (form == GRADC_AST) {
    int code = compile_parse(c, d);
    if (!code)
      ast_print(c->ast, g->output);
    return code;
  }
  if (form == GRADC_GRAD)
    d->pass.stop_after = "dce";
  int code = form == GRADC_CHECK || form == GRADC_LOOP ? compile_module(c, d)
                                                       : compile_graphs(c, d);
  if (code)
    return code;
  if (form == GRADC_GRAPH)
    program_print(c->program, c->sources, g->output);
  else if (form == GRADC_GRAD)
    math_print(c, g->output);
  else if (form == GRADC_LOOP)
    loop_print(c->module, g->output);
  return 0;
}

static int compile_c(gradc *g, const DriverOptions *d, gradc_form form)
{
  Compilation *c = g->c;
  int code = compile_module(c, d);
  if (code)
    return code;
  EmitArgs args = { .module = c->module, .net = c->net, .target = c->target,
                    .spec_file = c->model->file, .version = GRADC_VERSION, .sources = c->sources,
                    .library = form == GRADC_C_LIBRARY, .arena = c->arena, .diag = c->diag };
  if (form == GRADC_HEADER)
    library_header(&args, g->output);
  else if (!backend_find("c")->emit(&args, g->output)) {
    diag_flush(c->diag);
    return EXIT_INTERNAL;
  }
  return 0;
}

gradc *gradc_compile(const gradc_options *o, gradc_form form)
{
  Compilation *c = compilation_new();
  gradc *g = ARENA_NEW(c->arena, gradc);
  *g = (gradc){ .c = c, .messages = out_new(c->arena), .output = out_new(c->arena) };
  compilation_tell(c, keep_message, g);
  DriverOptions d = { .file = o->file ? o->file : "net.nn", .text = o->text, .set = o->set,
                      .nset = o->nset, .train = o->train, .data_dir = o->data,
                      .target = o->cpu ? target_find(o->cpu) : NULL };
  if (o->cpu && !d.target && !str_eq(o->cpu, "native"))
    g->status = fail(g, EXIT_USAGE, arena_printf(c->arena, "there is no cpu '%s'; one of: %s",
                                                 str_escape(c->arena, o->cpu, 40),
                                                 target_words(c->arena)));
  else if (form >= GRADC_CHECK && form <= GRADC_LOOP)
    g->status = compile_text(g, &d, form);
  else if (form <= GRADC_HEADER)
    g->status = compile_c(g, &d, form);
  else
    g->status = fail(g, EXIT_USAGE, "there is no such form of output");
  return g;
}

int gradc_status(const gradc *g) { return g->status; }
const char *gradc_messages(const gradc *g) { return out_text(g->messages); }

const char *gradc_output(const gradc *g, size_t *length)
{
  if (length)
    *length = g->status ? 0 : out_length(g->output);
  return g->status ? "" : out_text(g->output);
}

void gradc_free(gradc *g)
{
  Compilation *c = g ? g->c : NULL;
  compilation_free(&c);
}
