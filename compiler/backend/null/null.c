/* The back end that prints nothing and checks everything: what back ends may rely on, clause by
 * clause. A module that passes here holds loop/verify.h and, beyond it:
 *
 *  1. kernels, functions and step functions have names, kernels unique ones;
 *  2. a kernel touches nothing but its formals, its registers and constants; a step function
 * touches buffers only by passing them;
 *  3. a call passes what the kernel's formals ask for: as many buffers, of the same element type,
 * none that is read-only where the kernel writes, none twice where one is written (formals do not
 * alias);
 *  4. state buffers lie at 64-byte offsets inside the state block, arena and worker buffers inside
 * theirs;
 *  5. buffers for rows, outputs and step arguments have the type of what they are bound to;
 *  6. a step function calls kernels of the module only;
 *  7. the description names the same real type, batch and state size as the module, and describes
 * the outputs of every step function there is. */
#include "backend/backend.h"
#include "base/str.h"
#include "loop/build.h"
#include "loop/verify.h"
#include <inttypes.h>

typedef struct {
  const EmitArgs *args;
  const Module *m;
  const char *where;            /* kernel or step function being checked */
  bool good;
} Check;

static void fault(Check *k, const char *text)
{
  const char *where = k->where ? arena_printf(k->args->arena, "%s: ", k->where) : "";
  diag_error(k->args->diag, (Span){ 0, 0 }, "E9001", "loop IR breaks the back ends' contract: %s%s",
             where, text);
  k->good = false;
}

#define FAULT(k, ...) fault((k), arena_printf((k)->args->arena, __VA_ARGS__))

/* ---- kernels ---- */

typedef struct { Check *k; const Kernel *kernel; } InKernel;

static void check_reach(const InKernel *in, const Buffer *buf)
{
  bool found = buf->role == BUF_CONST;
  for (uint32_t i = 0; i < in->kernel->formal.n; i++)
    found |= in->kernel->formal.at[i] == buf;
  for (uint32_t i = 0; i < in->kernel->regs.n; i++)
    found |= in->kernel->regs.at[i] == buf;
  if (!found)
    FAULT(in->k, "buffer '%s' is neither formal, register nor constant", buf->name);
}

static void check_expr(const InKernel *in, const LExpr *e)
{
  if (!e)
    return;
  switch (e->kind) {
  case LE_INT: case LE_REAL: case LE_VAR: case LE_IOTA:
    break;
  case LE_LOAD:
    check_reach(in, e->load.buf);
    check_expr(in, e->load.index);
    break;
  case LE_OP:
    for (int i = 0; i < scalar_defs[e->op.op].arity; i++)
      check_expr(in, e->op.arg[i]);
    break;
  case LE_CAST: case LE_BITS: case LE_SPLAT:
    check_expr(in, e->from);
    break;
  case LE_REDUCE:
    check_expr(in, e->reduce.from);
    break;
  case LE_CALL:
    for (int i = 0; i < e->call.narg; i++)
      check_expr(in, e->call.arg[i]);
    break;
  }
}

static void check_body(const InKernel *in, const LStmt *body)
{
  for (const LStmt *s = body; s; s = s->next)
    switch (s->kind) {
    case LS_FOR:
      check_expr(in, s->loop.lo);
      check_expr(in, s->loop.hi);
      check_body(in, s->loop.body);
      break;
    case LS_IF:
      check_expr(in, s->branch.cond);
      check_body(in, s->branch.then);
      check_body(in, s->branch.otherwise);
      break;
    case LS_LET:
      check_expr(in, s->let.value);
      break;
    case LS_STORE:
      check_reach(in, s->store.buf);
      check_expr(in, s->store.index);
      check_expr(in, s->store.value);
      break;
    case LS_CALL: case LS_BARRIER:
      FAULT(in->k, "a kernel calls a kernel or waits at a barrier");
      break;
    case LS_NOTE:
      break;
    }
}

static void check_kernels(Check *k)
{
  for (uint32_t i = 0; i < k->m->kernels.n; i++) {
    const Kernel *kernel = k->m->kernels.at[i];
    k->where = kernel->name;
    if (!kernel->name || !kernel->name[0])
      FAULT(k, "kernel %u has no name", i);
    for (uint32_t j = 0; j < i; j++)
      if (str_eq(k->m->kernels.at[j]->name, kernel->name))
        FAULT(k, "two kernels have this name");
    for (uint32_t j = 0; j < kernel->formal.n; j++)
      if (kernel->formal.at[j]->role != BUF_FORMAL || kernel->formal.at[j]->index != (int)j)
        FAULT(k, "formal %u is not argument %u", j, j);
    InKernel in = { k, kernel };
    check_body(&in, kernel->body);
  }
  k->where = NULL;
}

/* ---- step functions ---- */

static bool read_only(const Buffer *buf)
{
  return buf->role == BUF_ROWS || buf->role == BUF_IDS || buf->role == BUF_ARGS ||
         buf->role == BUF_CONST;
}

static void check_args(Check *k, const LStmt *s)
{
  const Kernel *kernel = s->call.kernel;
  for (uint32_t i = 0; i < kernel->formal.n; i++) {
    const Buffer *formal = kernel->formal.at[i], *arg = s->call.arg[i];
    if (!arg || arg->role == BUF_FORMAL || arg->role == BUF_REGISTER ||
        arg->role == BUF_LOCAL) {
      FAULT(k, "call of %s: argument %u is no buffer of the module", kernel->name, i);
      return;
    }
    if (arg->dtype != formal->dtype)
      FAULT(k, "call of %s: '%s' holds %s where %s is expected", kernel->name, arg->name,
            dtype_text(arg->dtype), dtype_text(formal->dtype));
    if (formal->written && read_only(arg))
      FAULT(k, "call of %s: '%s' is read-only, and the kernel writes it", kernel->name, arg->name);
    for (uint32_t j = 0; j < i; j++)
      if (s->call.arg[j] == arg && (formal->written || kernel->formal.at[j]->written))
        FAULT(k, "call of %s: '%s' is passed twice, and the kernel writes it", kernel->name,
              arg->name);
  }
}

static void check_host_expr(Check *k, const LExpr *e)
{
  if (!e)
    return;
  if (e->kind == LE_LOAD)
    FAULT(k, "a step function reads buffer '%s' itself", e->load.buf->name);
  if (e->kind == LE_OP)
    for (int i = 0; i < scalar_defs[e->op.op].arity; i++)
      check_host_expr(k, e->op.arg[i]);
  if (e->kind == LE_CAST || e->kind == LE_BITS || e->kind == LE_SPLAT)
    check_host_expr(k, e->from);
}

static void check_call(Check *k, const LStmt *s)
{
  bool found = false;
  for (uint32_t i = 0; i < k->m->kernels.n; i++)
    found |= k->m->kernels.at[i] == s->call.kernel;
  if (!found) {
    FAULT(k, "kernel '%s' is not of the module", s->call.kernel->name);
    return;
  }
  check_args(k, s);
  check_host_expr(k, s->call.lo);
  check_host_expr(k, s->call.hi);
}

static void check_host_body(Check *k, const LStmt *body)
{
  for (const LStmt *s = body; s; s = s->next)
    switch (s->kind) {
    case LS_FOR:
      check_host_expr(k, s->loop.lo);
      check_host_expr(k, s->loop.hi);
      check_host_body(k, s->loop.body);
      break;
    case LS_IF:
      check_host_expr(k, s->branch.cond);
      check_host_body(k, s->branch.then);
      check_host_body(k, s->branch.otherwise);
      break;
    case LS_LET:
      check_host_expr(k, s->let.value);
      break;
    case LS_STORE:
      FAULT(k, "a step function writes buffer '%s' itself", s->store.buf->name);
      break;
    case LS_CALL:
      check_call(k, s);
      break;
    case LS_BARRIER:
      if (s->barrier.when)
        check_host_expr(k, s->barrier.when);
      break;
    case LS_NOTE:
      break;
    }
}

/* ---- buffers ---- */

static void check_block(Check *k, const Buffer *buf, const char *block, size_t bytes)
{
  int64_t size, end;
  if (buf->offset < 0 || buf->offset % 64 != 0)
    FAULT(k, "buffer '%s' lies at %" PRId64 ", not at a multiple of 64", buf->name, buf->offset);
  else if (!checked_mul(buf->extent, dtype_bytes(buf->dtype), &size) ||
           !checked_add(buf->offset, size, &end) || (uint64_t)end > bytes)
    FAULT(k, "buffer '%s' ends outside the %s block of %zu bytes", buf->name, block, bytes);
}

static DType dtype_of(gradrt_dtype t)
{
  static const DType of[] = { DT_F32, DT_F64, DT_U8, DT_I32, DT_U32, DT_I64 };
  return of[t];
}

static void check_buffer(Check *k, const Buffer *buf)
{
  const gradrt_net *net = k->args->net;
  switch (buf->role) {
  case BUF_STATE:
    check_block(k, buf, "state", k->m->state_bytes);
    break;
  case BUF_ROWS:
    if (buf->index < 0 || buf->index >= net->nfield)
      FAULT(k, "buffer '%s' is bound to field %d of %d", buf->name, buf->index, net->nfield);
    else if (dtype_of(net->field[buf->index].dtype) != buf->dtype)
      FAULT(k, "buffer '%s' reads rows of another type than %s", buf->name, dtype_text(buf->dtype));
    break;
  case BUF_IDS:
    if (buf->dtype != DT_U32)
      FAULT(k, "row numbers in '%s' are not u32", buf->name);
    break;
  case BUF_ARGS:
    if (buf->dtype != DT_F64)
      FAULT(k, "step arguments in '%s' are not f64", buf->name);
    break;
  case BUF_OUT:
    if (buf->dtype != k->m->real || buf->index < 0 || buf->index >= GRADRT_OUTPUTS_MAX)
      FAULT(k, "output '%s' is not of the real type, or its number %d is out of range", buf->name,
            buf->index);
    break;
  case BUF_CONST:
    if (!buf->values || buf->extent <= 0)
      FAULT(k, "constant '%s' has no values", buf->name);
    break;
  case BUF_ARENA: case BUF_WORKER:
    break;
  case BUF_FORMAL: case BUF_REGISTER: case BUF_LOCAL:
    FAULT(k, "'%s' is listed as a buffer of the module", buf->name);
    break;
  }
}

static void check_hosts(Check *k)
{
  const gradrt_function *f[HOST_COUNT] = { &k->args->net->train, &k->args->net->eval,
                                           &k->args->net->infer };
  for (int h = 0; h < HOST_COUNT; h++) {
    const Host *host = k->m->host[h];
    if (!host)
      continue;
    k->where = host->name;
    if ((int)host->kind != h)
      FAULT(k, "stands in the place of step function %d", h);
    for (uint32_t i = 0; i < host->buffers.n; i++) {
      const Buffer *buf = host->buffers.at[i];
      if (buf->role == BUF_ARENA)
        check_block(k, buf, "arena", host->arena_bytes);
      else if (buf->role == BUF_WORKER)
        check_block(k, buf, "worker", host->worker_bytes);
    }
    if (f[h]->noutput < 0 || f[h]->noutput > GRADRT_OUTPUTS_MAX ||
        (f[h]->noutput > 0 && !f[h]->output))
      FAULT(k, "its %d outputs are not described", f[h]->noutput);
    check_host_body(k, host->body);
  }
  k->where = NULL;
}

static void check_net(Check *k)
{
  const gradrt_net *net = k->args->net;
  if (net->abi != GRADRT_ABI)
    FAULT(k, "the description is of version %d, the runtime of %d", net->abi, GRADRT_ABI);
  if (dtype_of(net->real) != k->m->real || net->batch != k->m->batch)
    FAULT(k, "the description has another real type or batch than the module");
  if (net->state_bytes != k->m->state_bytes)
    FAULT(k, "the description has %zu bytes of state, the module %zu", net->state_bytes,
          k->m->state_bytes);
  for (int i = 0; i < net->ntensor; i++)
    if (net->tensor[i].offset % 64 != 0 || net->tensor[i].offset > net->state_bytes)
      FAULT(k, "tensor '%s' lies at %zu of %zu bytes of state", net->tensor[i].name,
            net->tensor[i].offset, net->state_bytes);
  if (!k->m->name || !k->m->name[0])
    FAULT(k, "the net has no name");
}

static bool emit(const EmitArgs *args, Out *out)
{
  Check k = { .args = args, .m = args->module, .good = true };
  (void)out;
  const char *bad = loop_verify(args->module, args->arena);
  if (bad)
    fault(&k, bad);
  check_net(&k);
  for (uint32_t i = 0; i < args->module->buffers.n; i++)
    check_buffer(&k, args->module->buffers.at[i]);
  check_kernels(&k);
  check_hosts(&k);
  return k.good;
}

const Backend backend_null = {
  .name = "null",
  .doc = "no output: checks that the loop IR keeps the contract of back ends",
  .suffix = "",
  .emit = emit,
};
