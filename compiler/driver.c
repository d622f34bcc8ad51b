/* The pipeline: text, AST, model, graphs, layouts and kernels, loop IR, description. */
#include "driver.h"
#include "base/str.h"
#include "internal.h"
#include "ir/text.h"
#include "loop/narrow.h"
#include "loop/verify.h"
#include "lower/lower.h"
#include "ops/ops.h"
#include "pass/expand.h"
#include "pass/train.h"
#include "spec_file.h"
#include "syntax/ast.h"
#include "syntax/parse.h"
#include "text_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PASSES_MAX = 1000000 };

static void print_diagnostic(void *ctx, const char *text)
{
  (void)ctx;
  fputs(text, stderr);
}

Compilation *compilation_new(void)
{
  Arena *a = arena_new("compilation");
  Compilation *c = ARENA_NEW(a, Compilation);
  c->arena = a;
  c->sources = source_map_new(a);
  compilation_tell(c, print_diagnostic, NULL);
  return c;
}

void compilation_tell(Compilation *c, DiagSink sink, void *ctx)
{
  c->tell = sink;
  c->tell_ctx = ctx;
  c->diag = diag_new(c->arena, c->sources, sink, ctx);
}

void compilation_free(Compilation **c)
{
  Arena *a = *c ? (*c)->arena : NULL;
  *c = NULL;
  arena_free(&a);
}

static int finish(Compilation *c)
{
  diag_flush(c->diag);
  return diag_errors(c->diag) ? diag_exit_code(c->diag) : EXIT_OK;
}

static int read_spec(Compilation *c, const DriverOptions *o)
{
  const char *what, *why, *path = str_escape(c->arena, o->file, 200);
  int code = o->text ? spec_take(c->arena, o->text, &c->text, &c->length, &what, &why)
                     : spec_read(c->arena, o->file, &c->text, &c->length, &what, &why);
  if (code)
    c->tell(c->tell_ctx, arena_printf(c->arena, "gradc: error: cannot %s '%s': %s\n", what, path,
                                      why));
  if (code && !o->text && access(arena_printf(c->arena, "%s.nn", o->file), F_OK) == 0)
    c->tell(c->tell_ctx, arena_printf(c->arena, "  note: there is '%s.nn'\n", path));
  if (!code)
    c->base = source_add(c->sources, o->file, c->text, c->length);
  return code;
}

int compile_parse(Compilation *c, const DriverOptions *o)
{
  diag_use_color(c->diag, o->color);
  int code = read_spec(c, o);
  if (code)
    return code;
  c->ast = parse(c->text, c->length, c->base, c->arena, c->diag);
  return finish(c);
}

static const char *base_name(const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

int compile_check(Compilation *c, const DriverOptions *o)
{
  int code = compile_parse(c, o);
  if (code)
    return code;
  spec_use(c->ast, o->file, c->arena, c->sources, c->diag);
  if (diag_errors(c->diag))
    return finish(c);
  const char **set = ARENA_ARRAY(c->arena, const char *, o->nset + 1);
  int n = o->nset;
  if (n)
    memcpy(set, o->set, (size_t)n * sizeof *set);
  if (o->f64)
    set[n++] = "real=f64";
  int unread = EXIT_OK;
  TextFiles files = text_files(c->arena, o->file, o->data_dir, o->data_root, c->sources, c->tell,
                               c->tell_ctx, &unread);
  CheckOptions check_options = { set, n, o->train, &files.texts, o->data_alone };
  c->model = check(c->ast, base_name(o->file), &check_options, ops_table(), c->arena, c->diag);
  code = finish(c);
  return unread ? unread : code;
}

/* ---- graphs ---- */

/* What training keeps beside the weights: groups, sums, averages, gradients that are printed. */
static void keep_more(Compilation *c, const Train *t, TrainSpec *spec)
{
  TrainGroup *group = ARENA_ARRAY(c->arena, TrainGroup, t->ngroup + 1);
  for (int i = 0; i < t->ngroup; i++)
    group[i] = (TrainGroup){ t->group[i].attrs, t->group[i].lr_scale };
  int n = 0;
  for (int e = 0; e < t->nevery; e++)
    for (int i = 0; i < t->every[e].naction; i++)
      n += t->every[e].action[i].nprint;
  const char **keep = ARENA_ARRAY(c->arena, const char *, n + 1);
  for (int e = 0; e < t->nevery; e++)
    for (int i = 0; i < t->every[e].naction; i++)
      for (int k = 0; k < t->every[e].action[i].nprint; k++) {
        const PrintSpec *p = &t->every[e].action[i].print[k];
        spec->keep_norm = spec->keep_norm || p->how == PRINT_NORM;
        if (p->how == PRINT_GRADIENT)
          keep[spec->nkeep++] = p->name;
      }
  spec->keep = keep;
  spec->group = group;
  spec->group_of = t->group_of;
  spec->accumulates = t->accumulate > 1;
  spec->averages = t->average != AVERAGE_NONE;
}

static void make_train(Compilation *c, const DriverOptions *o)
{
  const Model *m = c->model;
  int index[GRADRT_OUTPUTS_MAX], n = describe_outputs(m, index, c->arena);
  Value *out = ARENA_ARRAY(c->arena, Value, n + 1);
  const char **name = ARENA_ARRAY(c->arena, const char *, n + 1);
  for (int i = 0; i < n; i++) {
    out[i] = m->output[index[i]].value;
    name[i] = m->output[index[i]].name;
  }
  TrainSpec spec = {
    .loss = m->train->loss, .loss_sum = m->train->loss_sum, .rule = m->train->optimizer,
    .rule_attrs = m->train->optimizer_attrs, .clip = (int)m->train->clip, .clip_max = m->train->clip_max,
    .out = out, .out_name = name, .nout = n, .gradients_only = o->gradients,
  };
  if (!o->gradients)
    keep_more(c, m->train, &spec);
  c->program->train = train_graph(c->program, m->forward, &spec, ops_table(), c->diag);
}

static void make_eval(Compilation *c)
{
  const Model *m = c->model;
  int index[GRADRT_OUTPUTS_MAX], n = describe_outputs(m, index, c->arena);
  Value *out = ARENA_ARRAY(c->arena, Value, n + 2);
  const char **name = ARENA_ARRAY(c->arena, const char *, n + 2);
  out[0] = m->train->loss;
  name[0] = "loss";
  for (int i = 0; i < n; i++) {
    out[i + 1] = m->output[index[i]].value;
    name[i + 1] = m->output[index[i]].name;
  }
  c->program->eval =
      c->eval_passes ? sample_graph(c->program, m->forward, out, name, n + 1, ops_table())
                     : eval_graph(c->program, m->forward, out, name, n + 1, ops_table());
}

static bool draws(const Graph *g)
{
  for (uint32_t i = 0; i < g->order.n; i++)
    if (g->order.at[i]->op->flags & OP_RANDOM)
      return true;
  return false;
}

static bool carries(const Program *p)
{
  for (uint32_t i = 0; i < p->state.n; i++)
    if (p->state.at[i].role == STATE_CARRIED)
      return true;
  return false;
}

static void make_infer(Compilation *c)
{
  const Model *m = c->model;
  Value *out = ARENA_ARRAY(c->arena, Value, m->ninfer + 1);
  const char **name = ARENA_ARRAY(c->arena, const char *, m->ninfer + 1);
  for (int i = 0; i < m->ninfer; i++) {
    out[i] = m->infer[i].value;
    name[i] = m->infer[i].name;
  }
  c->program->infer =
      c->passes ? sample_graph(c->program, m->forward, out, name, m->ninfer, ops_table())
                : infer_graph(c->program, m->forward, out, name, m->ninfer, ops_table());
  c->program->infer->name = "infer";
}

static const char *fingerprint(Compilation *c)
{
  Out *o = out_new(c->arena);
  out_printf(o, "gradc %s\n", GRADC_VERSION);
  if (c->model->build.fast)
    out_printf(o, "numerics fast\n");
  program_print(c->program, NULL, o);
  unsigned char hash[32];
  char *hex = arena_alloc(c->arena, 65);
  gradrt_sha256(out_text(o), out_length(o), hash);
  for (int i = 0; i < 32; i++)
    snprintf(hex + 2 * i, 3, "%02x", hash[i]);
  return hex;
}

static LowerArgs lower_args(const Compilation *c)
{
  LowerArgs args = { .program = c->program, .ops = ops_table(), .target = c->target,
                     .sources = c->sources, .arena = c->arena, .diag = c->diag };
  for (int h = 0; h < HOST_COUNT; h++)
    args.decisions[h] = c->decisions[h];
  args.compact = c->budget && c->budget->compact;
  return args;
}

/* Bytes that the arena may have; 0: any number; -1: reported. gradcheck computes in double what
 * the budget was given for, and so may have twice as much. */
static int64_t budget_bytes(const Compilation *c, const DriverOptions *o)
{
  int64_t bytes = o->memory ? str_to_bytes(o->memory) : c->model->build.memory;
  if (bytes || !o->memory)
    return o->gradients ? 2 * bytes : bytes;
  fprintf(stderr, "gradc: error: --memory takes a size such as 64MB, not '%s'\n",
          str_escape(c->arena, o->memory, 40));
  return -1;
}

/* --mc N; false: reported. */
static bool read_passes(Compilation *c, const DriverOptions *o)
{
  char *end;
  if (!o->mc)
    return true;
  long n = strtol(o->mc, &end, 10);
  if (*o->mc && !*end && n >= 1 && n <= PASSES_MAX) {
    *(o->mc_eval ? &c->eval_passes : &c->passes) = (int)n;
    return true;
  }
  fprintf(stderr, "gradc: error: --mc takes a whole number from 1 to %d, not '%s'\n", PASSES_MAX,
          str_escape(c->arena, o->mc, 40));
  return false;
}

static void decide(Compilation *c, const DriverOptions *o, const PassOptions *pass, int64_t bytes)
{
  Program graphs = *c->program;
  KernelOptions k = { .fuse = !pass_skipped(pass, "fuse"), .family = o->family,
                      .transforms = o->transforms          ? TRANSFORM_ALWAYS
                                    : c->model->build.fast ? TRANSFORM_BY_COST
                                                           : TRANSFORM_NEVER };
  if (!decide_kernels(c->program, &k, c->arena, c->diag, c->decisions))
    return;
  c->fingerprint = fingerprint(c);
  if (!bytes || !c->program->train)
    return;
  LowerArgs lower = lower_args(c);
  Budget *b = ARENA_NEW(c->arena, Budget);
  *b = (Budget){ .limit = bytes, .at = o->memory ? (Span){ 0, 0 } : c->model->build.memory_at };
  c->budget = b;
  budget_meet(&(BudgetArgs){ &lower, &graphs, &k }, b, c->decisions);
}

int compile_graphs(Compilation *c, const DriverOptions *o)
{
  int code = compile_check(c, o);
  if (code)
    return code;
  c->program = c->model->program;
  if (o->edit)
    o->edit(c, o->edit_ctx);
  int64_t bytes = budget_bytes(c, o);
  if (bytes < 0 || !read_passes(c, o))
    return EXIT_USAGE;
  c->target = o->target ? o->target : c->model->build.cpu ? target_find(c->model->build.cpu) : target_host();
  if (!c->target && c->model->build.cpu) {
    diag_error(c->diag, c->model->build.cpu_at, "E0603", "there is no instruction set `%s`", c->model->build.cpu);
    diag_help(c->diag, "one of: %s", target_words(c->arena));
    return finish(c);
  }
  if (!c->target)
    c->target = target_find("x86-64");
  if (c->model->train) {
    make_train(c, o);
    make_eval(c);
  }
  if (c->model->ninfer)
    make_infer(c);
  const Graph *sampled = o->mc_eval ? c->program->eval : c->program->infer;
  if ((c->passes || c->eval_passes) && !(sampled && draws(sampled))) {
    fprintf(stderr, "gradc: error: --mc: what %s computes has no dropout, so that all passes "
                    "would be the same\n", o->mc_eval ? "eval" : "predict");
    return EXIT_USAGE;
  }
  if (c->eval_passes && carries(c->program)) {
    fprintf(stderr, "gradc: error: --mc: a layer with carry=true hands its state from one batch to "
                    "the next, but each pass draws another\n");
    return EXIT_USAGE;
  }
  if (diag_errors(c->diag))
    return finish(c);
  PassOptions pass = o->pass;
  pass.sources = c->sources;
  c->dump = out_new(c->arena);
  c->stopped = !passes_run(c->program, ops_table(), &pass, c->arena, c->dump);
  if (!c->stopped) {
    decide(c, o, &pass, bytes);
    c->stopped = !passes_after(c->program, "layout", &pass, c->dump) || !passes_after(c->program, "fuse", &pass, c->dump);
  }
  fwrite(out_text(c->dump), 1, out_length(c->dump), stdout);
  return finish(c);
}

/* ---- module ---- */

/* What the program reserves at once, against what this machine has; another one may have more. */
static void warn_memory(Compilation *c)
{
  double state = (double)c->module->state_bytes, arena = 0, have = gradrt_memory();
  for (int h = 0; h < HOST_COUNT; h++)
    if (c->module->host[h] && (double)c->module->host[h]->arena_bytes > arena)
      arena = (double)c->module->host[h]->arena_bytes;
  if (2 * state + arena <= have || c->target != target_host())
    return;
  diag_warn(c->diag, c->model->train ? c->model->train->at : (Span){ 0, 0 }, "W0601",
            "the program needs %.2f GiB of memory, this machine has %.2f",
            (2 * state + arena) / 0x1p30, have / 0x1p30);
  diag_note(c->diag, (Span){ 0, 0 }, "parameters and the optimizer: %.0f bytes, and a copy of them; "
            "values of a batch of %lld: %.0f bytes", state, (long long)c->program->batch, arena);
  diag_help(c->diag, "use fewer units, or a convolution, which shares its weights, or a smaller batch");
}

int compile_module(Compilation *c, const DriverOptions *o)
{
  int code = compile_graphs(c, o);
  if (code || c->stopped)
    return code;
  LowerArgs args = lower_args(c);
  args.tiles = c->target == target_host() ? o->tiles : NULL;
  c->module = lower_program(&args);
  if (!c->module)
    return finish(c);
  c->module = narrow(c->module, c->target->vector_bytes);
  const char *fault = loop_verify(c->module, c->arena);
  if (fault)
    ice("lowering made invalid loop IR: %s", fault);
  const Decisions *d = c->decisions[HOST_TRAIN] ? c->decisions[HOST_TRAIN] : c->decisions[HOST_EVAL]
                       ? c->decisions[HOST_EVAL] : c->decisions[HOST_INFER];
  DescribeArgs describe_args = {
    .model = c->model, .module = c->module, .state = d->state, .target = c->target, .sources = c->sources,
    .version = GRADC_VERSION, .fingerprint = c->fingerprint, .spec = c->text, .arena = c->arena,
    .passes = c->passes, .eval_passes = c->eval_passes,
  };
  c->net = describe(&describe_args);
  warn_memory(c);
  return finish(c);
}
