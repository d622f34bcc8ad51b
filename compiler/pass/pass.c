/* The runner of passes; the only code that knows about order, dumps, verification and time.
 *
 *   model -> train_graph, eval_graph -> [ passes.def: GRAPH rows ] -> decide_kernels
 *
 * After this pass the following holds, and stays so:
 *   train      every trainable parameter that the loss depends on is written
 *   expand     no macro is left; nothing depends on the mode
 *   fold       no cheap operation has only constant operands
 *   cse        no two equal operations have equal operands, random ones apart
 *   dce        every node is needed by an output or a write; numbers are dense, in order
 *   layout     operands have the layouts that kernels ask for */
#include "pass/pass.h"
#include "base/str.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "pass/expand.h"

#include <string.h>
#include <time.h>

typedef enum { STAGE_MADE, STAGE_GRAPH, STAGE_KERNEL } Stage;

typedef bool (*PassFn)(PassCtx *c);

typedef struct {
  Stage stage;
  const char *name, *doc;
} Row;

static const Row rows[] = {
#define PASS(stage, name, doc) { STAGE_##stage, #name, doc },
#include "pass/passes.def"
#undef PASS
};

/* ---- names ---- */

/* True when `name` is one of the words of `list`, which are separated by commas. */
static bool in_list(const char *list, const char *name)
{
  size_t n = strlen(name);
  for (const char *at = list; at && *at;) {
    size_t length = strcspn(at, ",");
    if (length == n && memcmp(at, name, n) == 0)
      return true;
    at += length + (at[length] == ',');
  }
  return false;
}

static bool is_pass(const char *name)
{
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    if (str_eq(rows[i].name, name))
      return true;
  return false;
}

static const char *check_word(const char *option, const char *word, Arena *a)
{
  const char *names[ARRAY_LEN(rows)];
  if (is_pass(word) || (str_eq(option, "--print-after") && str_eq(word, "all")))
    return NULL;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    names[i] = rows[i].name;
  const char *near = str_closest(word, names, (int)ARRAY_LEN(rows));
  return arena_printf(a, "%s: there is no pass '%s'; %s%s%s", option, str_escape(a, word, 40),
                      near ? "did you mean '" : "see --list-passes", near ? near : "",
                      near ? "'?" : "");
}

static const char *check_list(const char *option, const char *list, Arena *a)
{
  const char *fault = NULL;
  for (const char *at = list; at && *at && !fault;) {
    size_t length = strcspn(at, ",");
    fault = check_word(option, arena_strndup(a, at, length), a);
    at += length + (at[length] == ',');
  }
  return fault;
}

const char *passes_check(const PassOptions *o, Arena *a)
{
  const char *fault = check_list("--print-after", o->print_after, a);
  if (!fault && o->stop_after)
    fault = check_word("--stop-after", o->stop_after, a);
  if (!fault)
    fault = check_list("--skip", o->skip, a);
  for (size_t i = 0; !fault && i < ARRAY_LEN(rows); i++)
    if (rows[i].stage == STAGE_MADE && in_list(o->skip, rows[i].name))
      fault = arena_printf(a, "--skip: '%s' cannot be skipped", rows[i].name);
  return fault;
}

bool pass_skipped(const PassOptions *o, const char *name) { return o && in_list(o->skip, name); }

void passes_list(Out *out)
{
  static const char *const stages[] = {
    [STAGE_MADE] = "made", [STAGE_GRAPH] = "graph", [STAGE_KERNEL] = "kernel"
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    out_line(out, "%-6s  %-8s  %s", stages[rows[i].stage], rows[i].name, rows[i].doc);
}

static PassFn function_of(const char *name)
{
  static const struct {
    const char *name;
    PassFn run;
  } all[] = {
    { "expand", pass_expand }, { "simplify", pass_simplify }, { "fold", pass_fold },
    { "cse", pass_cse },       { "dce", pass_dce },
  };
  for (size_t i = 0; i < ARRAY_LEN(all); i++)
    if (str_eq(all[i].name, name))
      return all[i].run;
  ice("pass '%s' has no function", name);
}

/* ---- running ---- */

typedef struct {
  Program *program;
  const OpTable *ops;
  const PassOptions *o;
  Arena *tmp;
  Out *out;
  double ms[ARRAY_LEN(rows)];
} Run;

enum { GRAPH_KINDS = 3 };

static Graph *graph_of(const Program *p, int i)
{
  Graph *const graphs[GRAPH_KINDS] = { p->train, p->eval, p->infer };
  return graphs[i];
}

static double now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void verify(const Program *p, const char *pass, Arena *tmp)
{
  const char *fault = program_verify(p, tmp);
  if (fault)
    ice("pass '%s' produced an invalid program: %s", pass, fault);
}

bool passes_after(const Program *p, const char *name, const PassOptions *o, Out *out)
{
  if (o && (in_list(o->print_after, name) || in_list(o->print_after, "all"))) {
    out_line(out, "# after %s", name);
    program_print(p, o->sources, out);
  }
  return !o || !str_eq(o->stop_after, name);
}

static void print_changed(Run *r, const char *name, const Graph *g, bool changed)
{
  out_line(r->out, "# after %s: graph %s %s", name, g->name, changed ? "changed" : "(unchanged)");
  if (changed)
    graph_print(g, r->o->sources, r->out);
}

static void run_row(Run *r, size_t row)
{
  const char *name = rows[row].name;
  PassFn run = function_of(name);
  double start = now_ms();
  for (int i = 0; i < GRAPH_KINDS; i++) {
    Graph *g = graph_of(r->program, i);
    if (!g)
      continue;
    PassCtx c = { .graph = g,
                  .mode = g == r->program->train ? MODE_TRAIN : MODE_EVAL,
                  .ops = r->ops,
                  .tmp = r->tmp };
    bool changed = run(&c);
    if (r->o && r->o->print_changed)
      print_changed(r, name, g, changed);
  }
  r->ms[row] = now_ms() - start;
}

static void print_times(const Run *r)
{
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    if (rows[i].stage == STAGE_GRAPH)
      out_line(r->out, "# %-8s %8.3f ms%s", rows[i].name, r->ms[i],
               pass_skipped(r->o, rows[i].name) ? " (skipped)" : "");
}

bool passes_run(Program *p, const OpTable *ops, const PassOptions *o, Arena *tmp, Out *out)
{
  Run r = { .program = p, .ops = ops, .o = o, .tmp = tmp, .out = out };
  bool on = true;
  for (size_t i = 0; on && i < ARRAY_LEN(rows) && rows[i].stage != STAGE_KERNEL; i++) {
    bool skip = rows[i].stage == STAGE_GRAPH && pass_skipped(o, rows[i].name);
    if (rows[i].stage == STAGE_GRAPH && !skip)
      run_row(&r, i);
    verify(p, rows[i].name, tmp);
    on = skip || passes_after(p, rows[i].name, o, out);
  }
  if (o && o->time_passes)
    print_times(&r);
  return on;
}

bool pass_expand(PassCtx *c) { return expand_all(c->graph, c->mode, c->ops); }
