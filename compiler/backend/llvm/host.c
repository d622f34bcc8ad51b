/* The step functions: addresses of the blocks that a step works on, made once at its start, and the
 * calls of its kernels. */
#include "backend/llvm/llvm.h"
#include <string.h>

LLVMTypeRef llvm_step_type(const Llvm *l)
{
  LLVMTypeRef param[] = { l->pointer, l->number, l->number };
  return LLVMFunctionType(l->nothing, param, 3, false);
}

LLVMValueRef llvm_runtime(Llvm *l, const char *name, LLVMTypeRef type)
{
  LLVMValueRef f = LLVMGetNamedFunction(l->module, name);
  return f ? f : LLVMAddFunction(l->module, name, type);
}

static LLVMValueRef number(const Llvm *l, int64_t i)
{
  return LLVMConstInt(l->number, (unsigned long long)i, true);
}

static LLVMValueRef beyond(Llvm *l, LLVMValueRef base, LLVMValueRef bytes)
{
  LLVMTypeRef byte = LLVMInt8TypeInContext(l->context);
  return LLVMBuildInBoundsGEP2(l->builder, byte, base, &bytes, 1, "");
}

/* A member of the step record, by its offset here. */
static LLVMValueRef member(Llvm *l, LLVMTypeRef type, size_t offset)
{
  LLVMValueRef at = beyond(l, l->step, llvm_integer(l, (int64_t)llvm_step_member(l, offset)));
  return LLVMBuildLoad2(l->builder, type, at, "");
}

/* ---- buffers ---- */

static LLVMValueRef place(Llvm *l, const Host *h, const Buffer *buf)
{
  size_t at = (size_t)(buf->index < 0 ? 0 : buf->index) * sizeof(void *);
  switch (buf->role) {
  case BUF_STATE:
    return beyond(l, member(l, l->pointer, offsetof(gradrt_step, state)),
                  llvm_integer(l, buf->offset));
  case BUF_ARENA:
    return beyond(l, member(l, l->pointer, offsetof(gradrt_step, arena)),
                  llvm_integer(l, buf->offset));
  case BUF_WORKER: {
    LLVMValueRef skip = llvm_integer(l, (int64_t)h->worker_bytes);
    LLVMValueRef own = LLVMBuildNSWMul(l->builder, l->var[h->worker->id], skip, "");
    return beyond(l, member(l, l->pointer, offsetof(gradrt_step, worker)),
                  LLVMBuildNSWAdd(l->builder, own, llvm_integer(l, buf->offset), ""));
  }
  case BUF_ROWS:
    return member(l, l->pointer, offsetof(gradrt_step, rows) + at);
  case BUF_IDS:
    return member(l, l->pointer, offsetof(gradrt_step, ids));
  case BUF_ARGS:
    return beyond(l, l->step,
                  llvm_integer(l, (int64_t)llvm_step_member(l, offsetof(gradrt_step, args))));
  case BUF_OUT:
    return member(l, l->pointer, offsetof(gradrt_step, out) + at);
  case BUF_CONST: case BUF_FORMAL: case BUF_REGISTER: case BUF_LOCAL:
    break;
  }
  ice("backend llvm: buffer '%s' has no place in a step", buf->name);
}

static void place_args(Llvm *l, const Host *h, const LStmt *body)
{
  for (const LStmt *s = body; s; s = s->next) {
    if (s->kind == LS_FOR)
      place_args(l, h, s->loop.body);
    if (s->kind == LS_IF) {
      place_args(l, h, s->branch.then);
      place_args(l, h, s->branch.otherwise);
    }
    for (uint32_t i = 0; s->kind == LS_CALL && i < s->call.kernel->formal.n; i++) {
      const Buffer *buf = s->call.arg[i];
      if (l->buf[buf->id])
        continue;
      l->buf[buf->id] = place(l, h, buf);
      llvm_name(l->buf[buf->id], buf->name);
    }
  }
}

static void forget_places(Llvm *l)
{
  for (uint32_t i = 0; i < l->m->buffers.n; i++)
    if (l->m->buffers.at[i]->role != BUF_CONST)
      l->buf[l->m->buffers.at[i]->id] = NULL;
}

/* ---- calls ---- */

static void mark_time(Llvm *l, int64_t what)
{
  if (l->args->measure != MEASURE_KERNELS)
    return;
  LLVMTypeRef param[] = { l->pointer, l->number, l->number };
  LLVMTypeRef type = LLVMFunctionType(l->nothing, param, 3, false);
  LLVMValueRef arg[] = { l->step, l->worker, number(l, what) };
  LLVMBuildCall2(l->builder, type, llvm_runtime(l, "gradrt_profile_mark", type), arg, 3, "");
}

/* The search for values that are not finite looks at what a call wrote. */
static void watch(Llvm *l, const LStmt *call)
{
  bool any = false;
  for (uint32_t i = 0; i < call->call.kernel->formal.n; i++)
    any |= llvm_is_watched(l->m, call, i);
  if (l->kind != HOST_TRAIN || !any)
    return;
  LLVMBuilderRef b = l->builder;
  LLVMBasicBlockRef look = llvm_block(l, "watch"), on = llvm_block(l, "on");
  LLVMValueRef watcher = member(l, l->pointer, offsetof(gradrt_step, watch));
  LLVMBuildCondBr(b, LLVMBuildIsNull(b, watcher, ""), on, look);
  LLVMPositionBuilderAtEnd(b, look);
  LLVMTypeRef param[] = { l->pointer, l->number };
  LLVMTypeRef type = LLVMFunctionType(l->nothing, param, 2, false);
  LLVMValueRef arg[] = { l->step, number(l, l->ncall) };
  LLVMBuildCall2(b, type, llvm_runtime(l, "gradrt_watch", type), arg, 2, "");
  LLVMBuildBr(b, on);
  LLVMPositionBuilderAtEnd(b, on);
}

void llvm_call_kernel(Llvm *l, const LStmt *s)
{
  const Kernel *k = s->call.kernel;
  uint32_t n = k->formal.n;
  LLVMValueRef f = llvm_kernel(l, k), *arg = ARENA_ARRAY(l->arena, LLVMValueRef, n + 3);
  for (uint32_t i = 0; i < n; i++)
    arg[i] = l->buf[s->call.arg[i]->id];
  arg[n] = llvm_expr(l, s->call.lo);
  arg[n + 1] = llvm_expr(l, s->call.hi);
  arg[n + 2] = l->n;
  LLVMBuildCall2(l->builder, LLVMGlobalGetValueType(f), f, arg, n + 3, "");
  watch(l, s);
  mark_time(l, l->ncall);
  l->ncall++;
}

void llvm_barrier(Llvm *l, const LStmt *s)
{
  LLVMBasicBlockRef on = NULL;
  if (s->barrier.when) {
    LLVMBasicBlockRef wait = llvm_block(l, "wait");
    on = llvm_block(l, "on");
    LLVMBuildCondBr(l->builder, llvm_expr(l, s->barrier.when), wait, on);
    LLVMPositionBuilderAtEnd(l->builder, wait);
  }
  LLVMTypeRef type = llvm_step_type(l);
  LLVMValueRef barrier = member(l, l->pointer, offsetof(gradrt_step, barrier));
  LLVMValueRef arg[] = { barrier, l->worker, l->nworkers };
  LLVMBuildCall2(l->builder, type, llvm_runtime(l, "gradrt_barrier_wait", type), arg, 3, "");
  if (on) {
    LLVMBuildBr(l->builder, on);
    LLVMPositionBuilderAtEnd(l->builder, on);
  }
  mark_time(l, GRADRT_WAITS);
}

/* ---- step functions ---- */

static void make_host(Llvm *l, const Host *h)
{
  LLVMValueRef f = llvm_begin(l, llvm_symbol(l->args, h->name), llvm_step_type(l),
                              llvm_linkage(l), (Span){ 0, 0 });
  l->host[h->kind] = f;
  l->kind = h->kind;
  l->ncall = 0;
  l->step = LLVMGetParam(f, 0);
  l->worker = LLVMGetParam(f, 1);
  l->nworkers = LLVMGetParam(f, 2);
  l->var[h->worker->id] = LLVMBuildSExt(l->builder, l->worker, l->word, h->worker->name);
  l->var[h->nworkers->id] = LLVMBuildSExt(l->builder, l->nworkers, l->word, h->nworkers->name);
  l->n = l->var[h->n->id] = member(l, l->word, offsetof(gradrt_step, n));
  forget_places(l);
  place_args(l, h, h->body);
  mark_time(l, GRADRT_BEGINS);
  llvm_body(l, h->body);
  LLVMBuildRetVoid(l->builder);
}

void llvm_hosts(Llvm *l)
{
  for (int h = 0; h < HOST_COUNT; h++)
    if (l->m->host[h])
      make_host(l, l->m->host[h]);
}
