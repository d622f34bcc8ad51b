/* A spec compiled in this process, as a program of the real runtime: its step functions run in the
 * loop interpreter, on the first worker. One at a time. */
#ifndef GRADC_TESTS_DRIVER_INTERPRETED_H
#define GRADC_TESTS_DRIVER_INTERPRETED_H

#include "driver.h"
#include "loop/interp.h"
#include "unit/runtime/caught.h"

static char messages[1 << 14];  /* diagnostics of the last compilation */
static const Compilation *running;      /* whose module the step functions interpret */
static int most_workers;        /* that a step has had; to be set to 0 before a run */

static void interpret(const gradrt_step *s, HostKind host, int worker, int nworkers)
{
  if (worker != 0)
    return;
  most_workers = nworkers > most_workers ? nworkers : most_workers;
  LoopRun run = { .state = s->state, .arena = s->arena, .worker = s->worker, .rows = s->rows,
                  .ids = s->ids, .args = s->args, .out = s->out, .n = s->n, .nworkers = 1 };
  Arena *a = arena_new("step");
  const char *fault = loop_run(running->module, host, &run, a);
  if (fault)
    fail_msg("%s", fault);
  arena_free(&a);
}

static void step_train(const gradrt_step *s, int w, int n) { interpret(s, HOST_TRAIN, w, n); }
static void step_eval(const gradrt_step *s, int w, int n) { interpret(s, HOST_EVAL, w, n); }
static void step_infer(const gradrt_step *s, int w, int n) { interpret(s, HOST_INFER, w, n); }

/* The description with step functions; good while c lives and no other is made. */
static gradrt_net program(const Compilation *c)
{
  gradrt_net net = *c->net;
  running = c;
  net.train.fn = c->module->host[HOST_TRAIN] ? step_train : NULL;
  net.eval.fn = c->module->host[HOST_EVAL] ? step_eval : NULL;
  net.infer.fn = c->module->host[HOST_INFER] ? step_infer : NULL;
  return net;
}

static void collect(void *ctx, const char *line)
{
  (void)ctx;
  size_t at = strlen(messages);
  snprintf(messages + at, sizeof messages - at, "%s", line);
}

/* Compiles the text with these options, but for the file; *code: as of gradc. Diagnostics are left
 * in messages. */
static Compilation *compile_text(const char *what, DriverOptions o, int *code)
{
  FILE *f = fopen("m.nn", "w");
  assert_non_null(f);
  fputs(what, f);
  fclose(f);
  messages[0] = 0;
  Compilation *c = compilation_new();
  c->diag = diag_new(c->arena, c->sources, collect, NULL);
  o.file = "m.nn";
  *code = compile_module(c, &o);
  return c;
}

#endif
