/* The tables of a net that follow from its step functions: which kernels a step calls, for whose
 * work, and where what they write lies. */
#include "backend/llvm/llvm.h"
#include "base/str.h"
#include <string.h>

const char *llvm_symbol(const EmitArgs *args, const char *what)
{
  return arena_printf(args->arena, "%s_%s", args->module->name, what);
}

bool llvm_is_watched(const Module *m, const LStmt *call, uint32_t i)
{
  return call->call.kernel->formal.at[i]->written && call->call.arg[i]->dtype == m->real;
}

static void find_calls(Arena *a, const LStmt *body, CallList *list)
{
  for (const LStmt *s = body; s; s = s->next) {
    if (s->kind == LS_FOR)
      find_calls(a, s->loop.body, list);
    if (s->kind == LS_IF) {
      find_calls(a, s->branch.then, list);
      find_calls(a, s->branch.otherwise, list);
    }
    if (s->kind == LS_CALL)
      vec_push(a, list, s);
  }
}

/* "lenet.nn:12" without the folders before it. */
static const char *place_of(const EmitArgs *args, Span at)
{
  const char *place = source_at(args->sources, args->arena, at), *slash = strrchr(place, '/');
  return slash ? slash + 1 : place;
}

static gradrt_call describe_call(const EmitArgs *args, const LStmt *s)
{
  static const gradrt_direction direction[] = {
    [DIRECTION_FORWARD] = GRADRT_FORWARD, [DIRECTION_BACKWARD] = GRADRT_BACKWARD,
    [DIRECTION_UPDATE] = GRADRT_UPDATE
  };
  const Kernel *k = s->call.kernel;
  return (gradrt_call){ .kernel = k->name, .layer = s->call.layer ? s->call.layer : k->name,
                        .direction = direction[s->call.direction], .flops = k->flops,
                        .place = place_of(args, s->at) };
}

static gradrt_where where_of(BufRole role)
{
  return role == BUF_ARENA    ? GRADRT_IN_ARENA
         : role == BUF_WORKER ? GRADRT_IN_WORKER
         : role == BUF_STATE  ? GRADRT_IN_STATE : GRADRT_IN_OUT;
}

static gradrt_made describe_made(const EmitArgs *args, int number, const LStmt *call,
                                 const Buffer *buf)
{
  gradrt_made made = { .call = number, .where = where_of(buf->role) };
  if (made.where == GRADRT_IN_STATE || made.where == GRADRT_IN_OUT) {
    made.index = buf->index;
    return made;
  }
  made.name = buf->name;
  made.offset = (size_t)buf->offset;
  made.stored = (size_t)buf->extent;
  if (buf->layer && !str_eq(call->call.layer, buf->layer)) {
    made.layer = buf->layer;
    made.place = place_of(args, buf->at);
  }
  made.ndigit = buf->layout ? buf->layout->n : 0;
  for (int i = 0; i < made.ndigit; i++) {
    const Digit *d = &buf->layout->digit[i];
    made.digit[i] = (gradrt_digit){ d->axis, d->div, d->extent };
  }
  return made;
}

static void list_made(const EmitArgs *args, const CallList *calls, gradrt_function *f)
{
  VEC(gradrt_made) made = { 0 };
  for (uint32_t k = 0; k < calls->n; k++) {
    const LStmt *call = calls->at[k];
    for (uint32_t i = 0; i < call->call.kernel->formal.n; i++)
      if (llvm_is_watched(args->module, call, i))
        vec_push(args->arena, &made, describe_made(args, (int)k, call, call->call.arg[i]));
  }
  f->nmade = (int)made.n;
  f->made = made.at;
}

static void complete(const EmitArgs *args, const Host *h, gradrt_function *f)
{
  CallList calls = { 0 };
  if (!h)
    return;
  f->arena_bytes = h->arena_bytes;
  f->worker_bytes = h->worker_bytes;
  if (args->measure == MEASURE_NOTHING && h->kind != HOST_TRAIN)
    return;
  find_calls(args->arena, h->body, &calls);
  gradrt_call *call = ARENA_ARRAY(args->arena, gradrt_call, calls.n + 1);
  for (uint32_t i = 0; i < calls.n; i++)
    call[i] = describe_call(args, calls.at[i]);
  f->ncall = (int)calls.n;
  f->call = call;
  if (h->kind == HOST_TRAIN)
    list_made(args, &calls, f);
}

gradrt_net *llvm_complete_net(const EmitArgs *args)
{
  const Module *m = args->module;
  gradrt_net *net = arena_copy(args->arena, args->net, sizeof *net);
  complete(args, m->host[HOST_TRAIN], &net->train);
  complete(args, m->host[HOST_EVAL], &net->eval);
  complete(args, m->host[HOST_INFER], &net->infer);
  net->peak_flops = llvm_peak_flops(args);
  net->profiled = args->measure == MEASURE_KERNELS;
  return net;
}
