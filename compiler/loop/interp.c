/* Interpreter of the loop IR: runs statements over typed memory, lane by lane in eval.c. Workers of
 * a host function run one after the other between barriers. */
#include "loop/interp.h"
#include "ir/graph.h"
#include "loop/eval.h"
#include <string.h>

static Eval *eval_new(const Module *m, Arena *a)
{
  Eval *v = ARENA_NEW(a, Eval);
  v->m = m;
  v->arena = a;
  v->var = ARENA_ARRAY(a, Val, m->next_id + 1);
  v->block = ARENA_ARRAY(a, Block, m->next_id + 1);
  v->reg = ARENA_ARRAY(a, Reg, m->next_id + 1);
  return v;
}

static void set_int(Eval *v, const LVar *var, int64_t i) { v->var[var->id].i64[0] = i; }

/* ---- statements ---- */

static void run_body(Eval *v, const LStmt *s);

static void run_for(Eval *v, const LStmt *s)
{
  int64_t lo = eval_index(v, s->loop.lo), hi = eval_index(v, s->loop.hi);
  for (int64_t i = lo; i < hi && !v->error; i += s->loop.step) {
    set_int(v, s->loop.var, i);
    run_body(v, s->loop.body);
    if (i > INT64_MAX - s->loop.step)
      return;
  }
}

static void run_if(Eval *v, const LStmt *s)
{
  Val c;
  eval(v, s->branch.cond, &c);
  run_body(v, c.b[0] ? s->branch.then : s->branch.otherwise);
}

static void run_store(Eval *v, const LStmt *s)
{
  const Buffer *buf = s->store.buf;
  Val value;
  eval(v, s->store.value, &value);
  int64_t index = eval_index(v, s->store.index);
  if (v->error)
    return;
  size_t bytes = (size_t)dtype_bytes(buf->dtype);
  if (buf->role == BUF_REGISTER) {
    Reg *r = &v->reg[buf->id];
    r->value[index] = value;
    r->assigned[index] = true;
    return;
  }
  int lanes = s->store.value->lanes;
  if (eval_inside(v, buf, index, lanes, "store"))
    memcpy(v->block[buf->id].at + (size_t)index * bytes, &value, bytes * (size_t)lanes);
}

static void run_body(Eval *v, const LStmt *s)
{
  for (; s && !v->error; s = s->next)
    switch (s->kind) {
    case LS_FOR: run_for(v, s); break;
    case LS_IF: run_if(v, s); break;
    case LS_LET: eval(v, s->let.value, &v->var[s->let.var->id]); break;
    case LS_STORE: run_store(v, s); break;
    case LS_NOTE: break;
    case LS_CALL: case LS_BARRIER: ice("kernel '%s': call or barrier in a kernel", v->where);
    }
}

/* What is read before it is stored must not look like a result. */
static void open_local(Eval *v, const Buffer *buf)
{
  size_t bytes = (size_t)dtype_bytes(buf->dtype) * (size_t)buf->extent;
  if (!v->block[buf->id].at) {
    v->block[buf->id].at = ARENA_ARRAY(v->arena, char, bytes);
    v->block[buf->id].extent = buf->extent;
  }
  memset(v->block[buf->id].at, 0xff, bytes);
}

static void open_registers(Eval *v, const Kernel *k)
{
  for (uint32_t i = 0; i < k->regs.n; i++) {
    const Buffer *buf = k->regs.at[i];
    Reg *r = &v->reg[buf->id];
    size_t count = (size_t)buf->extent;
    if (buf->role == BUF_LOCAL) {
      open_local(v, buf);
      continue;
    }
    if (!r->value) {
      r->value = ARENA_ARRAY(v->arena, Val, count);
      r->assigned = ARENA_ARRAY(v->arena, bool, count);
    }
    memset(r->assigned, 0, count);
  }
}

static void run_kernel(Eval *v, const Kernel *k, int64_t lo, int64_t hi, int64_t n)
{
  v->where = k->name;
  open_registers(v, k);
  set_int(v, k->lo, lo);
  set_int(v, k->hi, hi);
  set_int(v, k->n, n);
  run_body(v, k->body);
}

/* ---- host functions ---- */

static int64_t known_extent(const Module *m, const Buffer *buf, const LoopRun *run)
{
  int64_t elems = buf->type ? type_elems(buf->type) : 0, extent = 0;
  switch (buf->role) {
  case BUF_IDS: return align_up(m->batch, 16);  /* row numbers behind the batch too */
  case BUF_ARGS: return ARG_COUNT;
  case BUF_OUT: return buf->type && buf->type->batched ? elems * run->n : elems;
  case BUF_ROWS:
    for (int64_t i = 0; i < run->n && run->ids; i++)
      extent = max_i64(extent, run->ids[i] + (int64_t)1);
    return extent * elems;
  case BUF_STATE:
  case BUF_ARENA:
  case BUF_WORKER:
  case BUF_CONST:
  case BUF_FORMAL:
  case BUF_REGISTER:
  case BUF_LOCAL:
    return buf->extent;
  }
  return 0;
}

static char *constant_block(Eval *v, const Buffer *buf)
{
  size_t bytes = (size_t)dtype_bytes(buf->dtype);
  char *at = ARENA_ARRAY(v->arena, char, bytes * (size_t)buf->extent);
  for (int64_t i = 0; i < buf->extent; i++) {
    Val x;
    eval_from_double(v, buf->values[i], (int)buf->dtype, &x);
    memcpy(at + (size_t)i * bytes, &x, bytes);
  }
  return at;
}

/* Memory that a call binds; what is only read loses its const, and the kernel's formals keep it. */
static char *block_of(Eval *v, const Buffer *buf, const LoopRun *run, size_t worker)
{
  switch (buf->role) {
  case BUF_STATE: return (char *)run->state + buf->offset;
  case BUF_ARENA: return (char *)run->arena + buf->offset;
  case BUF_WORKER: return (char *)run->worker + worker + buf->offset;
  case BUF_ROWS: return (char *)(uintptr_t)run->rows[buf->index];
  case BUF_IDS: return (char *)(uintptr_t)run->ids;
  case BUF_ARGS: return (char *)(uintptr_t)run->args;
  case BUF_OUT: return run->out[buf->index];
  case BUF_CONST: return v->block[buf->id].at ? v->block[buf->id].at : constant_block(v, buf);
  case BUF_FORMAL: case BUF_REGISTER: case BUF_LOCAL: break;
  }
  ice("call of '%s' binds '%s', which belongs to a kernel", v->where, buf->name);
}

static void run_call(Eval *v, const LStmt *s, const LoopRun *run, const Host *h, int worker)
{
  const Kernel *k = s->call.kernel;
  Val lo, hi;
  v->where = h->name;
  eval(v, s->call.lo, &lo);
  eval(v, s->call.hi, &hi);
  if (v->error)
    return;
  v->where = k->name;
  for (uint32_t i = 0; i < k->formal.n; i++) {
    const Buffer *actual = s->call.arg[i];
    Block b = { block_of(v, actual, run, (size_t)worker * h->worker_bytes),
                known_extent(v->m, actual, run) };
    v->block[k->formal.at[i]->id] = b;
    if (actual->role == BUF_CONST)
      v->block[actual->id] = b;
  }
  run_kernel(v, k, lo.i64[0], hi.i64[0], run->n);
}

static bool meets_at(Eval *v, const LStmt *s)
{
  Val when = { 0 };
  if (s->kind != LS_BARRIER || !s->barrier.when)
    return s->kind == LS_BARRIER;
  eval(v, s->barrier.when, &when);
  return when.b[0];
}

/* A worker runs as far as barriers let it before the next one begins. */
const char *loop_run(const Module *m, HostKind host, const LoopRun *run, Arena *a)
{
  const Host *h = m->host[host];
  if (!h)
    ice("module '%s' has no host function %d", m->name, (int)host);
  Eval *v = eval_new(m, a);
  for (const LStmt *from = h->body; from && !v->error;) {
    const LStmt *s = from;
    for (int w = 0; w < run->nworkers; w++) {
      v->where = h->name;
      int worker = run->last_first ? run->nworkers - 1 - w : w;
      set_int(v, h->worker, worker);
      set_int(v, h->nworkers, run->nworkers);
      set_int(v, h->n, run->n);
      for (s = from; s && !meets_at(v, s) && !v->error; s = s->next)
        if (s->kind == LS_CALL)
          run_call(v, s, run, h, worker);
        else if (s->kind == LS_LET)
          eval(v, s->let.value, &v->var[s->let.var->id]);
    }
    from = s ? s->next : NULL;
  }
  return v->error;
}

const char *loop_run_kernel(const Module *m, const Kernel *k, void *const *block, int64_t lo,
                            int64_t hi, int64_t n, Arena *a)
{
  Eval *v = eval_new(m, a);
  for (uint32_t i = 0; i < k->formal.n; i++)
    v->block[k->formal.at[i]->id] = (Block){ block[i], k->formal.at[i]->extent };
  run_kernel(v, k, lo, hi, n);
  return v->error;
}

const char *loop_eval_func(const Module *m, const LFunc *f, const void *const *arg, void *result,
                           int64_t count, Arena *a)
{
  Eval *v = eval_new(m, a);
  v->where = f->name;
  int lanes = f->result->lanes;
  size_t out = (size_t)ltype_bytes(f->result->dtype, m->real);
  for (int64_t i = 0; i < count && !v->error; i += lanes) {
    for (int p = 0; p < f->nparam; p++) {
      size_t bytes = (size_t)dtype_bytes(f->param[p]->dtype);
      memcpy(&v->var[f->param[p]->id], (const char *)arg[p] + (size_t)i * bytes,
             bytes * (size_t)lanes);
    }
    Val r;
    eval_func(v, f, &r);
    memcpy((char *)result + (size_t)i * out, &r, out * (size_t)lanes);
  }
  return v->error;
}
