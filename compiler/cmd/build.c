/* build: a spec becomes one C file, or any stage of the pipeline as text, or an executable. */
#include "backend/library.h"
#include "base/str.h"
#include "cmd/arrays.h"
#include "cmd/cmd.h"
#include "cmd/llvm.h"
#include "cmd/math.h"
#include "internal.h"
#include "ir/text.h"
#include "loop/text.h"
#include "syntax/ast.h"
#include <stdio.h>
#include <string.h>

/* "examples/lenet.nn" -> "lenet" + suffix, in the current folder */
static const char *default_name(Arena *a, const char *file, const char *suffix)
{
  const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
  const char *dot = strrchr(base, '.');
  int n = (int)(dot && dot != base ? dot - base : (long)strlen(base));
  return arena_printf(a, "%.*s%s", n, base, suffix);
}

static int write_text(const CmdOptions *o, Out *text)
{
  return cmd_write(o->out ? o->out : "-", out_text(text), out_length(text));
}

static int emit_ast(const CmdOptions *o, Compilation *c)
{
  int code = compile_parse(c, &o->driver);
  Out *out = out_new(c->arena);
  if (code)
    return code;
  ast_print(c->ast, out);
  return write_text(o, out);
}

static int emit_graph(const CmdOptions *o, Compilation *c)
{
  int code = compile_graphs(c, &o->driver);
  Out *out = out_new(c->arena);
  if (code)
    return code;
  program_print(c->program, c->sources, out);
  return write_text(o, out);
}

/* Before layouts: the mathematics knows nothing of memory. */
static int emit_grad(const CmdOptions *o, Compilation *c)
{
  DriverOptions d = o->driver;
  d.pass.stop_after = "dce";
  int code = compile_graphs(c, &d);
  Out *out = out_new(c->arena);
  if (code)
    return code;
  math_print(c, out);
  return write_text(o, out);
}

static int emit_loop(const CmdOptions *o, Compilation *c)
{
  int code = compile_module(c, &o->driver);
  Out *out = out_new(c->arena);
  if (code || c->stopped)
    return code;
  loop_print(c->module, out);
  return write_text(o, out);
}

/* Declarations of the library form; the same for every back end and instruction set. */
static int emit_header(const CmdOptions *o, Compilation *c)
{
  int code = compile_module(c, &o->driver);
  Out *out = out_new(c->arena);
  if (code || c->stopped)
    return code;
  EmitArgs args = cmd_emit_args(o, c);
  library_header(&args, out);
  const char *file = o->out ? o->out : default_name(c->arena, o->driver.file, ".h");
  code = cmd_write(file, out_text(out), out_length(out));
  if (!code && !o->quiet && !str_eq(file, "-"))
    fprintf(stderr, "wrote %s\n", file);
  return code;
}

static int emit_c(const CmdOptions *o, Compilation *c, bool exe)
{
  int code = compile_module(c, &o->driver);
  size_t length;
  if (code || c->stopped)
    return code;
  const char *text = cmd_emit_c(o, c, &length);
  if (!text)
    return EXIT_INTERNAL;
  const char *out = o->out ? o->out : default_name(c->arena, o->driver.file, exe ? "" : ".c");
  const char *source = exe ? arena_printf(c->arena, "%s.c", out) : out;
  code = cmd_write(source, text, length);
  if (code || str_eq(out, "-"))
    return code;
  if (exe)
    return cmd_compile_program(o, c, source, out);
  if (!o->quiet) {
    const char *name = default_name(c->arena, out, "");
    if (o->library) {
      fprintf(stderr, "wrote %s\nnext  cc -O3 -march=native -c %s\n", out, out);
      return EXIT_OK;
    }
    fprintf(stderr, "wrote %s\nnext  cc -O3 -march=native %s -o %s -lm -lpthread%s\n", out, out, name,
            library_links(c->net));
  }
  return EXIT_OK;
}

/* The spec's batch is for training: a function of inference takes one sample, unless asked. */
static void take_one_sample(DriverOptions *d, Arena *a)
{
  const char **set = ARENA_ARRAY(a, const char *, d->nset + 1);
  set[0] = "batch=1";
  memcpy(set + 1, d->set, (size_t)d->nset * sizeof *set);
  for (int i = 0; i < d->nset; i++)
    if (!strncmp(d->set[i], "batch=", 6))
      return;
  d->set = set;
  d->nset++;
}

/* "out/net.c" -> "out/net.h" */
static const char *header_beside(Arena *a, const char *file)
{
  const char *slash = strrchr(file, '/');
  return arena_printf(a, "%.*s%s", slash ? (int)(slash - file) + 1 : 0, file,
                      default_name(a, file, ".h"));
}

static int write_infer(const CmdOptions *o, const EmitArgs *args)
{
  const char *file = o->out ? o->out : default_name(args->arena, o->driver.file, "_infer.c");
  const char *header = header_beside(args->arena, file);
  if (str_eq(file, header))
    return gradrt_error(EXIT_USAGE, "-o names the C file, and '%s' would be its header", file);
  Out *out = out_new(args->arena);
  if (!backend_find("c")->emit(args, out))
    return EXIT_INTERNAL;
  int code = cmd_write(file, out_text(out), out_length(out));
  if (code || str_eq(file, "-"))
    return code;
  out = out_new(args->arena);
  library_infer_header(args, out);
  code = cmd_write(header, out_text(out), out_length(out));
  if (!code && !o->quiet)
    fprintf(stderr, "wrote %s  %s\nnext  cc -O3 %s -c %s\n", file, header,
            args->target->c_flags, file);
  return code;
}

/* A function of inference with its weights, without the runtime. */
static int emit_infer(const CmdOptions *o, Compilation *c)
{
  CmdOptions one = *o;
  take_one_sample(&one.driver, c->arena);
  if (o->driver.mc || o->thin || o->library || o->bench || o->profile)
    return gradrt_error(EXIT_USAGE,
                        "--emit infer goes without --mc, --thin, --library, --bench and --profile");
  int code = compile_module(c, &one.driver);
  if (code || c->stopped)
    return code;
  Arrays *w = arrays_new(c->arena, c->net);
  code = w ? arrays_load(w, o) : EXIT_LIMIT;
  if (code)
    return code;
  EmitArgs args = cmd_emit_args(&one, c);
  args.weights = w->state;
  return write_infer(o, &args);
}

typedef struct { const char *name; int (*emit)(const CmdOptions *, Compilation *); } Emit;

static int emit_c_file(const CmdOptions *o, Compilation *c) { return emit_c(o, c, false); }
static int emit_exe(const CmdOptions *o, Compilation *c) { return emit_c(o, c, true); }

static const Emit emits[] = {
  { "c", emit_c_file }, { "exe", emit_exe }, { "ast", emit_ast }, { "graph", emit_graph }, { "loop", emit_loop },
  { "grad", emit_grad }, { "header", emit_header },
  { "infer", emit_infer },
};

static int build_kind(const CmdOptions *o)
{
  const char *kind = o->emit ? o->emit : "c";
  bool llvm = cmd_is_llvm_kind(kind) && (!str_eq(kind, "exe") || str_eq(o->backend, "llvm"));
  if (o->triple && !llvm)
    return gradrt_error(EXIT_USAGE, "--target goes with --emit ll, bc, asm and obj");
  if (o->library && !str_eq(kind, "c") && !str_eq(kind, "infer"))
    return gradrt_error(EXIT_USAGE, "--library goes with --emit c; objects always have its functions");
  if (llvm) {
    Compilation *c = compilation_new();
    const char *out = o->out ? o->out : default_name(c->arena, o->driver.file, "");
    int code = cmd_emit_llvm(o, c, kind, out);
    compilation_free(&c);
    return code;
  }
  for (size_t i = 0; i < ARRAY_LEN(emits); i++)
    if (str_eq(emits[i].name, kind)) {
      Compilation *c = compilation_new();
      int code = emits[i].emit(o, c);
      compilation_free(&c);
      return code;
    }
  return gradrt_error(EXIT_USAGE, "there is no output kind '%s'; one of: c exe header infer ll bc "
                      "asm obj so ast graph loop grad", kind);
}

/* Measured tiles differ from machine to machine, and what is built does not, unless asked. */
int cmd_build(const CmdOptions *o)
{
  CmdOptions one = *o;
  Arena *a = arena_new("tiles");
  one.driver.tiles = o->tuned ? cmd_tiles(o, a) : NULL;
  int code = build_kind(&one);
  arena_free(&a);
  return code;
}
