/* Constructors of loop IR. Misuse (wrong types, unbalanced bodies) is a bug of the caller and ends
 * in ice(). Folding of index arithmetic stands in index.c. */
#include "loop/expr.h"
#include "base/str.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

/* A body that takes statements. */
typedef struct {
  LStmt *owner;                 /* FOR or IF; NULL: body of a kernel, host or function */
  LStmt **tail;
} Open;

struct Build {
  Module *m;
  Kernel *kernel;               /* open one, or NULL */
  Host *host;
  Open open[DEPTH_MAX];
  int depth;
};

Build *build_new(Module *m)
{
  Build *b = ARENA_NEW(m->arena, Build);
  b->m = m;
  return b;
}

Module *build_module(const Build *b) { return b->m; }

static const char *place(const Build *b)
{
  return b->kernel ? b->kernel->name : b->host ? b->host->name : "module";
}

static LExpr *expr(Build *b, LExprKind kind, int dtype, int lanes)
{
  LExpr *e = ARENA_NEW(b->m->arena, LExpr);
  e->kind = kind;
  e->dtype = dtype;
  e->lanes = lanes;
  return e;
}

static LVar *var(Build *b, const char *name, int dtype, int lanes)
{
  LVar *v = ARENA_NEW(b->m->arena, LVar);
  *v = (LVar){ arena_strdup(b->m->arena, name), (DType)dtype, lanes, b->m->next_id++ };
  return v;
}

static bool is_scalar_int(const LExpr *e) { return e->dtype == DT_I64 && e->lanes == 1; }

/* ---- leaves ---- */

LExpr *l_int(Build *b, int64_t i)
{
  LExpr *e = expr(b, LE_INT, DT_I64, 1);
  e->i = i;
  return e;
}

LExpr *l_u32(Build *b, uint32_t u)
{
  LExpr *e = expr(b, LE_INT, DT_U32, 1);
  e->i = u;
  return e;
}

LExpr *l_real(Build *b, double r)
{
  LExpr *e = expr(b, LE_REAL, (int)b->m->real, 1);
  e->r = b->m->real == DT_F32 ? (double)(float)r : r;
  return e;
}

LExpr *l_var(Build *b, const LVar *v)
{
  LExpr *e = expr(b, LE_VAR, (int)v->dtype, v->lanes);
  e->var = v;
  return e;
}

LExpr *l_load(Build *b, Buffer *buf, LExpr *index, int lanes)
{
  int64_t i;
  if (!is_scalar_int(index))
    ice("%s: load of '%s': the index is %s of %d lanes", place(b), buf->name,
        ltype_text(index->dtype), index->lanes);
  if (!lanes_valid(lanes))
    ice("%s: load of '%s': %d lanes", place(b), buf->name, lanes);
  if (buf->role == BUF_REGISTER &&
      (!lexpr_is_int(index, &i) || i < 0 || i >= buf->extent || lanes != buf->lanes))
    ice("%s: load of '%s': registers take constant indices below %lld and %d lanes", place(b),
        buf->name, (long long)buf->extent, buf->lanes);
  LExpr *e = expr(b, LE_LOAD, (int)buf->dtype, lanes);
  e->load.buf = buf;
  e->load.index = index;
  return e;
}

LExpr *l_iota(Build *b, int lanes)
{
  if (!lanes_valid(lanes))
    ice("%s: iota of %d lanes", place(b), lanes);
  return expr(b, LE_IOTA, (int)b->m->real, lanes);
}

/* ---- operations ---- */

LExpr *l_splat(Build *b, LExpr *x, int lanes)
{
  if (x->lanes == lanes)
    return x;
  if (x->lanes != 1 || !lanes_valid(lanes))
    ice("%s: splat of %d lanes to %d", place(b), x->lanes, lanes);
  LExpr *e = expr(b, LE_SPLAT, x->dtype, lanes);
  e->from = x;
  return e;
}

LExpr *l_op(Build *b, ScalarOp op, LExpr *x, LExpr *y, LExpr *z)
{
  const ScalarDef *def = &scalar_defs[op];
  LExpr *arg[3] = { x, y, z };
  int type[3], result, lanes = 1;
  for (int i = 0; i < 3; i++) {
    if ((arg[i] != NULL) != (i < def->arity))
      ice("%s: %s takes %d operands", place(b), def->name, def->arity);
    if (arg[i]) {
      type[i] = arg[i]->dtype;
      lanes = arg[i]->lanes > lanes ? arg[i]->lanes : lanes;
    }
  }
  if (!scalar_result(op, type, b->m->real, &result))
    ice("%s: %s of %s%s%s%s%s", place(b), def->name, ltype_text(type[0]), y ? ", " : "",
        y ? ltype_text(type[1]) : "", z ? ", " : "", z ? ltype_text(type[2]) : "");
  LExpr *e = expr(b, LE_OP, result, lanes);
  e->op.op = op;
  for (int i = 0; i < def->arity; i++)
    e->op.arg[i] = l_splat(b, arg[i], lanes);
  return e;
}

LExpr *l_fma(Build *b, LExpr *x, LExpr *y, LExpr *z) { return l_op(b, SC_fma, x, y, z); }

LExpr *l_cast(Build *b, LExpr *x, int dtype)
{
  if (x->dtype == dtype)
    return x;
  if (!cast_valid(x->dtype, dtype))
    ice("%s: cast of %s to %s", place(b), ltype_text(x->dtype), ltype_text(dtype));
  if (x->kind == LE_INT && dtype == (int)b->m->real && x->i >= -(1 << 24) && x->i <= 1 << 24)
    return l_real(b, (double)x->i);
  if (x->kind == LE_INT && dtype == DT_U32 && x->i >= 0 && x->i <= UINT32_MAX)
    return l_u32(b, (uint32_t)x->i);
  if (x->kind == LE_INT && dtype == DT_I64)
    return l_int(b, x->i);
  LExpr *e = expr(b, LE_CAST, dtype, x->lanes);
  e->from = x;
  return e;
}

LExpr *l_bits(Build *b, LExpr *x, int dtype)
{
  if (!bits_valid(x->dtype, dtype))
    ice("%s: bits of %s as %s", place(b), ltype_text(x->dtype), ltype_text(dtype));
  LExpr *e = expr(b, LE_BITS, dtype, x->lanes);
  e->from = x;
  return e;
}

LExpr *l_reduce(Build *b, ScalarOp op, LExpr *x)
{
  if (!reduce_valid(op, x->dtype, x->lanes))
    ice("%s: reduction by %s of %s in %d lanes", place(b), scalar_defs[op].name,
        ltype_text(x->dtype), x->lanes);
  LExpr *e = expr(b, LE_REDUCE, x->dtype, 1);
  e->reduce.op = op;
  e->reduce.from = x;
  return e;
}

LExpr *l_call(Build *b, const LFunc *f, LExpr *const *arg, int narg)
{
  if (narg != f->nparam)
    ice("%s: %s takes %d arguments, not %d", place(b), f->name, f->nparam, narg);
  LExpr *e = expr(b, LE_CALL, f->result->dtype, f->result->lanes);
  e->call.fn = f;
  e->call.narg = narg;
  for (int i = 0; i < narg; i++) {
    if (arg[i]->dtype != (int)f->param[i]->dtype)
      ice("%s: argument %d of %s is %s", place(b), i + 1, f->name, ltype_text(arg[i]->dtype));
    e->call.arg[i] = l_splat(b, arg[i], f->param[i]->lanes);
  }
  return e;
}

/* ---- statements ---- */

static void push(Build *b, LStmt *owner, LStmt **tail)
{
  if (b->depth == DEPTH_MAX)
    ice("%s: more than %d nested bodies", place(b), DEPTH_MAX);
  b->open[b->depth++] = (Open){ owner, tail };
}

static LStmt *append(Build *b, LStmtKind kind)
{
  if (b->depth == 0)
    ice("a statement outside of kernels and host functions");
  LStmt *s = ARENA_NEW(b->m->arena, LStmt);
  s->kind = kind;
  Open *o = &b->open[b->depth - 1];
  *o->tail = s;
  o->tail = &s->next;
  return s;
}

LVar *l_loop(Build *b, const char *name, LExpr *lo, LExpr *hi, int64_t step, ForKind how)
{
  if (!is_scalar_int(lo) || !is_scalar_int(hi) || step <= 0)
    ice("%s: loop '%s' needs i64 bounds and a positive step", place(b), name);
  LStmt *s = append(b, LS_FOR);
  s->loop.var = var(b, name, DT_I64, 1);
  s->loop.lo = lo;
  s->loop.hi = hi;
  s->loop.step = step;
  s->loop.how = how;
  push(b, s, &s->loop.body);
  return s->loop.var;
}

void l_if(Build *b, LExpr *cond)
{
  if (cond->dtype != TY_BOOL || cond->lanes != 1)
    ice("%s: condition is %s of %d lanes", place(b), ltype_text(cond->dtype), cond->lanes);
  LStmt *s = append(b, LS_IF);
  s->branch.cond = cond;
  push(b, s, &s->branch.then);
}

void l_else(Build *b)
{
  Open *o = b->depth ? &b->open[b->depth - 1] : NULL;
  if (!o || !o->owner || o->owner->kind != LS_IF || o->owner->branch.otherwise)
    ice("%s: else without if", place(b));
  o->tail = &o->owner->branch.otherwise;
}

void l_end(Build *b)
{
  if (b->depth == 0 || !b->open[b->depth - 1].owner)
    ice("%s: nothing to end", place(b));
  b->depth--;
}

LExpr *l_let(Build *b, const char *name, LExpr *value)
{
  if (value->kind == LE_VAR || value->kind == LE_INT)
    return value;
  LStmt *s = append(b, LS_LET);
  s->let.var = var(b, name, value->dtype, value->lanes);
  s->let.value = value;
  return l_var(b, s->let.var);
}

void l_store(Build *b, Buffer *buf, LExpr *index, LExpr *value)
{
  int64_t i;
  if (!is_scalar_int(index))
    ice("%s: store to '%s': the index is %s", place(b), buf->name, ltype_text(index->dtype));
  if (value->dtype != (int)buf->dtype)
    ice("%s: store of %s to '%s'", place(b), ltype_text(value->dtype), buf->name);
  if (buf->role == BUF_FORMAL && !buf->written)
    ice("%s: store to '%s', which the kernel only reads", place(b), buf->name);
  if (buf->role == BUF_REGISTER &&
      (!lexpr_is_int(index, &i) || i < 0 || i >= buf->extent || value->lanes != buf->lanes))
    ice("%s: store to '%s': registers take constant indices below %lld and %d lanes", place(b),
        buf->name, (long long)buf->extent, buf->lanes);
  LStmt *s = append(b, LS_STORE);
  s->store.buf = buf;
  s->store.index = index;
  s->store.value = value;
}

void l_note(Build *b, const char *fmt, ...)
{
  char text[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  append(b, LS_NOTE)->note.text = arena_strdup(b->m->arena, text);
}

LStmt *l_call_kernel(Build *b, const Kernel *k, Buffer *const *arg, LExpr *lo, LExpr *hi)
{
  if (!b->host || b->depth != 1)
    ice("call of kernel '%s' outside of host functions", k->name);
  if (!is_scalar_int(lo) || !is_scalar_int(hi))
    ice("call of kernel '%s': the share of items is not i64", k->name);
  LStmt *s = append(b, LS_CALL);
  s->at = k->at;
  s->call.kernel = k;
  s->call.arg = ARENA_ARRAY(b->m->arena, Buffer *, k->formal.n);
  for (uint32_t i = 0; i < k->formal.n; i++)
    s->call.arg[i] = arg[i];
  s->call.lo = lo;
  s->call.hi = hi;
  return s;
}

void l_barrier(Build *b, LExpr *when)
{
  if (!b->host || b->depth != 1)
    ice("barrier outside of host functions");
  append(b, LS_BARRIER)->barrier.when = when;
}

/* ---- kernels, hosts, buffers ---- */

static void open_body(Build *b, const char *what, LStmt **body)
{
  if (b->kernel || b->host || b->depth)
    ice("%s: opened while '%s' is open", what, place(b));
  push(b, NULL, body);
}

static void close_body(Build *b)
{
  if (b->depth != 1)
    ice("%s: %d bodies are still open", place(b), b->depth - 1);
  b->depth = 0;
}

Kernel *l_kernel(Build *b, const char *name)
{
  Kernel *k = ARENA_NEW(b->m->arena, Kernel);
  open_body(b, name, &k->body);
  k->name = arena_strdup(b->m->arena, name);
  k->lo = var(b, "lo", DT_I64, 1);
  k->hi = var(b, "hi", DT_I64, 1);
  k->n = var(b, "n", DT_I64, 1);
  b->kernel = k;
  return k;
}

void l_kernel_end(Build *b)
{
  if (!b->kernel)
    ice("no kernel is open");
  close_body(b);
  vec_push(b->m->arena, &b->m->kernels, b->kernel);
  b->kernel = NULL;
}

static Buffer *buffer(Build *b, const char *name, BufRole role, DType dtype, int64_t extent)
{
  Buffer *buf = ARENA_NEW(b->m->arena, Buffer);
  buf->id = b->m->next_id++;
  buf->name = arena_strdup(b->m->arena, name);
  buf->role = role;
  buf->dtype = dtype;
  buf->lanes = 1;
  buf->extent = extent;
  return buf;
}

Buffer *l_formal(Build *b, const Buffer *actual, const char *name, bool written)
{
  Kernel *k = b->kernel;
  if (!k)
    ice("formal '%s' outside of kernels", name);
  Buffer *f = buffer(b, name, BUF_FORMAL, actual->dtype, actual->extent);
  f->index = (int)k->formal.n;
  f->written = written;
  f->type = actual->type;
  f->layout = actual->layout;
  vec_push(b->m->arena, &k->formal, f);
  return f;
}

Buffer *l_registers(Build *b, const char *name, int dtype, int lanes, int64_t count)
{
  if (!b->kernel || !lanes_valid(lanes) || count < 1 || dtype < 0 || dtype >= DT_COUNT)
    ice("%s: registers '%s': %lld of %s in %d lanes", place(b), name, (long long)count,
        ltype_text(dtype), lanes);
  Buffer *r = buffer(b, name, BUF_REGISTER, (DType)dtype, count);
  r->lanes = lanes;
  vec_push(b->m->arena, &b->kernel->regs, r);
  return r;
}

Buffer *l_local(Build *b, const char *name, int dtype, int64_t count)
{
  if (!b->kernel || count < 1 || dtype < 0 || dtype >= DT_COUNT ||
      count > LOCAL_BYTES_MAX / dtype_bytes((DType)dtype))
    ice("%s: array '%s': %lld of %s", place(b), name, (long long)count, ltype_text(dtype));
  Buffer *a = buffer(b, name, BUF_LOCAL, (DType)dtype, count);
  vec_push(b->m->arena, &b->kernel->regs, a);
  return a;
}

Host *l_host(Build *b, HostKind kind)
{
  static const char *const name[HOST_COUNT] = { "train_step", "eval_step", "infer_step" };
  Host *h = ARENA_NEW(b->m->arena, Host);
  open_body(b, name[kind], &h->body);
  if (b->m->host[kind])
    ice("host function '%s' twice", name[kind]);
  h->kind = kind;
  h->name = name[kind];
  h->worker = var(b, "worker", DT_I64, 1);
  h->nworkers = var(b, "nworkers", DT_I64, 1);
  h->n = var(b, "n", DT_I64, 1);
  b->host = h;
  return h;
}

void l_host_end(Build *b)
{
  if (!b->host)
    ice("no host function is open");
  close_body(b);
  b->m->host[b->host->kind] = b->host;
  b->host = NULL;
}

Buffer *l_buffer(Build *b, const char *name, BufRole role, DType dtype, int64_t extent)
{
  if (role == BUF_FORMAL || role == BUF_REGISTER || role == BUF_LOCAL)
    ice("buffer '%s': formals, registers and local arrays belong to kernels", name);
  Buffer *buf = buffer(b, name, role, dtype, extent);
  vec_push(b->m->arena, &b->m->buffers, buf);
  return buf;
}

/* ---- functions ---- */

LFunc *l_func(Build *b, const char *name, const char *doc)
{
  LFunc *f = ARENA_NEW(b->m->arena, LFunc);
  f->name = arena_strdup(b->m->arena, name);
  f->doc = doc;
  push(b, NULL, &f->body);
  return f;
}

LExpr *l_param(Build *b, LFunc *f, const char *name, int dtype, int lanes)
{
  if (f->nparam == PARAMS_MAX)
    ice("function '%s' has more than %d parameters", f->name, PARAMS_MAX);
  f->param[f->nparam] = var(b, name, dtype, lanes);
  return l_var(b, f->param[f->nparam++]);
}

void l_func_end(Build *b, LFunc *f, LExpr *result)
{
  if (b->depth == 0 || b->open[b->depth - 1].owner)
    ice("function '%s': bodies are still open", f->name);
  b->depth--;
  f->result = result;
  vec_push(b->m->arena, &b->m->funcs, f);
}
