/* A step of a module through LLVM, in memory, held against what the loop interpreter made of it. */
#ifndef GRADC_TESTS_DRIVER_BY_LLVM_H
#define GRADC_TESTS_DRIVER_BY_LLVM_H

#include "backend/llvm/llvm_backend.h"
#include "internal.h"
#include "loop/interp.h"
#include "unit/driver/lowered.h"

/* Memory as the runtime gives it, which steps may rely on; given back by by_llvm_free. */
typedef struct {
  gradrt_step step;
  int nout;
  Out *messages;
} ByLlvm;

static inline void by_llvm_collect(void *ctx, const char *text)
{
  out_printf(ctx, "%s", text);
}

static inline void by_llvm_free(ByLlvm *b)
{
  gradrt_free(b->step.state);
  gradrt_free(b->step.arena);
  gradrt_free(b->step.worker);
  for (int i = 0; i < b->nout; i++)
    gradrt_free(b->step.out[i]);
}

/* False: no memory. */
static inline bool by_llvm_alloc(ByLlvm *b, const Module *m, const Host *h, const LoopRun *run,
                                 const void *before, const size_t *out_bytes)
{
  gradrt_step *s = &b->step;
  size_t workers = (size_t)run->nworkers * h->worker_bytes;
  s->state = gradrt_alloc(m->state_bytes + 64);
  s->arena = gradrt_alloc(h->arena_bytes + 64);
  s->worker = gradrt_alloc(workers + 64);
  bool ok = s->state && s->arena && s->worker;
  for (int i = 0; i < b->nout; i++) {
    s->out[i] = gradrt_alloc(out_bytes[i] + 64);
    ok = ok && s->out[i];
  }
  if (!ok)
    return false;
  memcpy(s->state, before, m->state_bytes);
  lowered_poison(s->arena, m->real, h->arena_bytes);
  lowered_poison(s->worker, m->real, workers);
  return true;
}

/* Compiles the module and runs the step; false: the messages say why. */
static inline bool by_llvm_step(ByLlvm *b, Module *m, HostKind host, const LoopRun *run, Arena *a)
{
  SourceMap *sources = source_map_new(a);
  gradrt_net about = { .abi = GRADRT_ABI, .name = m->name, .file = "t.nn", .version = "1",
                       .fingerprint = "0", .cpu = "x", .batch = m->batch,
                       .real = m->real == DT_F32 ? GRADRT_F32 : GRADRT_F64,
                       .state_bytes = m->state_bytes };
  EmitArgs args = { .module = m, .net = &about, .target = target_host(), .spec_file = "t.nn",
                    .version = "1", .sources = sources, .arena = a,
                    .diag = diag_new(a, sources, by_llvm_collect, b->messages) };
  Out *object[LLVM_PARTS];
  LlvmCode *code;
  const gradrt_net *net =
      llvm_emit_steps(&args, object) ? llvm_load(&args, object, &code) : NULL;
  diag_flush(args.diag);
  if (!net)
    return false;
  const gradrt_function *f[] = { &net->train, &net->eval, &net->infer };
  gradrt_pool *pool = gradrt_pool_start(run->nworkers);
  if (pool) {
    gradrt_pool_run(pool, f[host]->fn, &b->step);
    gradrt_pool_stop(pool);
  }
  llvm_unload(&code);
  return pool != NULL;
}

/* The first element of two blocks that differs in its bits, and not as one NaN from another; -1:
 * none. */
static inline int64_t by_llvm_differs(const void *a, const void *b, DType real, size_t bytes)
{
  size_t size = (size_t)dtype_bytes(real);
  for (size_t i = 0; i < bytes / size; i++)
    if (memcmp((const char *)a + i * size, (const char *)b + i * size, size) &&
        !(isnan(lowered_get(a, real, (int64_t)i)) && isnan(lowered_get(b, real, (int64_t)i))))
      return (int64_t)i;
  return -1;
}

/* Runs the step that `run` was, from the state `before` it, through LLVM. NULL: state and outputs
 * are those that the interpreter left in run; else what differs, in a. out_bytes: of nout
 * outputs. */
static inline const char *by_llvm_compare(Module *m, HostKind host, const LoopRun *run,
                                          const void *before, const size_t *out_bytes, int nout,
                                          Arena *a)
{
  ByLlvm b = { .nout = nout, .messages = out_new(a) };
  const char *fault = NULL;
  b.step.ids = run->ids;
  b.step.n = run->n;
  for (uint32_t i = 0; i < m->buffers.n; i++) {
    const Buffer *buf = m->buffers.at[i];
    if (buf->role == BUF_ROWS)
      b.step.rows[buf->index] = run->rows[buf->index];
  }
  for (int i = 0; i < GRADRT_ARG_COUNT; i++)
    b.step.args[i] = run->args[i];
  if (!by_llvm_alloc(&b, m, m->host[host], run, before, out_bytes))
    fault = "LLVM: no memory";
  else if (!by_llvm_step(&b, m, host, run, a))
    fault = arena_printf(a, "LLVM: %s", out_text(b.messages));
  for (int i = -1; i < nout && !fault; i++) {
    const void *want = i < 0 ? run->state : run->out[i];
    const void *got = i < 0 ? b.step.state : b.step.out[i];
    int64_t at = by_llvm_differs(want, got, m->real, i < 0 ? m->state_bytes : out_bytes[i]);
    if (at >= 0)
      fault = arena_printf(a, "%s %d, element %d: interpreter %.17g, LLVM %.17g",
                           i < 0 ? "state" : "output", i, (int)at, lowered_get(want, m->real, at),
                           lowered_get(got, m->real, at));
  }
  by_llvm_free(&b);
  return fault;
}

#endif
