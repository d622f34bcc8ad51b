/* Structural rules of a module. What needs values (register reads before assignment, indices that
 * depend on run-time bounds) is left to the interpreter; indices that are sums of multiples of loop
 * variables with constant bounds are checked exactly in range.c. */
#include "loop/verify.h"
#include "base/str.h"
#include "ir/graph.h"
#include "loop/expr.h"
#include "loop/range.h"
#include "loop/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REGISTERS_MAX = 4096 };

typedef struct {
  const Module *m;
  Arena *arena;
  const char *error;            /* first one */
  const char *kind, *where;     /* "kernel", "c1_conv" */
  int line;                     /* statement in it, counted from 1 in print order */
  const LVar **scope;           /* by id: the variable in scope, or NULL */
  bool *defined;                /* by id: was in scope somewhere */
  const Kernel *kernel;
  const LFunc *func;
  const Host *host;
  Range *range;
  bool certain;                 /* the statement runs whenever the kernel has an item */
} Check;

static void fail(Check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void fail(Check *c, const char *fmt, ...)
{
  char text[256];
  if (c->error)
    return;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  if (c->line)
    c->error =
        arena_printf(c->arena, "%s '%s', statement %d: %s", c->kind, c->where, c->line, text);
  else
    c->error = arena_printf(c->arena, "%s '%s': %s", c->kind, c->where, text);
}

static bool is_word(const char *s)
{
  if (!s || !*s || (*s >= '0' && *s <= '9'))
    return false;
  for (; *s; s++)
    if (!(*s == '_' || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
          (*s >= 'A' && *s <= 'Z')))
      return false;
  return true;
}

/* ---- variables ---- */

static void define(Check *c, const LVar *v)
{
  if (!v || !v->name) {
    fail(c, "a variable is missing");
    return;
  }
  if (v->id >= c->m->next_id)
    fail(c, "variable '%s' has id %u, past the module's %u", v->name, v->id, c->m->next_id);
  else if (c->defined[v->id])
    fail(c, "variable '%s': id %u is taken", v->name, v->id);
  else if (!lanes_valid(v->lanes) || (int)v->dtype < 0 || (int)v->dtype > TY_BOOL)
    fail(c, "variable '%s' has no type", v->name);
  else {
    c->defined[v->id] = true;
    c->scope[v->id] = v;
  }
}

static void define_int(Check *c, const LVar *v)
{
  define(c, v);
  if (!c->error && (v->dtype != DT_I64 || v->lanes != 1))
    fail(c, "variable '%s' must be an i64 scalar", v->name);
}

static void undefine(Check *c, const LVar *v)
{
  if (v && v->id < c->m->next_id)
    c->scope[v->id] = NULL;
}

/* ---- expressions ---- */

static void check_expr(Check *c, const LExpr *e);

static void check_operand(void *ctx, const LExpr *e) { check_expr(ctx, e); }

static void check_type(Check *c, const LExpr *e, int dtype, int lanes, const char *what)
{
  if (!c->error && (e->dtype != dtype || e->lanes != lanes))
    fail(c, "%s is %s in %d lanes, not %s in %d", what, ltype_text(e->dtype), e->lanes,
         ltype_text(dtype), lanes);
}

static bool owns(const Kernel *k, const Buffer *buf)
{
  for (uint32_t i = 0; k && i < k->formal.n; i++)
    if (k->formal.at[i] == buf)
      return true;
  for (uint32_t i = 0; k && i < k->regs.n; i++)
    if (k->regs.at[i] == buf)
      return true;
  return false;
}

static void check_access(Check *c, const Buffer *buf, const LExpr *index, int lanes,
                         const char *verb)
{
  int64_t i;
  check_type(c, index, DT_I64, 1, "an index");
  if (c->error)
    return;
  if (!owns(c->kernel, buf)) {
    fail(c, "%s of '%s', which is neither an argument nor a register", verb, buf->name);
    return;
  }
  if (buf->role == BUF_REGISTER) {
    if (!lexpr_is_int(index, &i))
      fail(c, "%s of register '%s' with an index that is not constant", verb, buf->name);
    else if (i < 0 || i >= buf->extent)
      fail(c, "%s of register '%s' at %lld of %lld", verb, buf->name, (long long)i,
           (long long)buf->extent);
    else if (lanes != buf->lanes)
      fail(c, "%s of register '%s' in %d lanes: it has %d", verb, buf->name, lanes, buf->lanes);
    return;
  }
  int64_t low, high;
  if (!range_of(c->range, index, &low, &high) || (!c->certain && !lexpr_is_int(index, &i)))
    return;
  if (low < 0 || (buf->extent > 0 && high > buf->extent - lanes))
    fail(c, "%s of '%s' at %lld .. %lld in %d lanes: it has %lld elements", verb, buf->name,
         (long long)low, (long long)high, lanes, (long long)buf->extent);
}

static void check_op(Check *c, const LExpr *e)
{
  int type[3] = { 0 }, result;
  int64_t amount;
  if (e->op.op < 0 || e->op.op >= SC_COUNT) {
    fail(c, "operation %d is not in the table", e->op.op);
    return;
  }
  const ScalarDef *def = &scalar_defs[e->op.op];
  for (int i = 0; i < def->arity; i++) {
    if (!e->op.arg[i]) {
      fail(c, "%s lacks operand %d", def->name, i + 1);
      return;
    }
    check_expr(c, e->op.arg[i]);
    if (c->error)
      return;
    type[i] = e->op.arg[i]->dtype;
    if (e->op.arg[i]->lanes != e->lanes)
      fail(c, "%s in %d lanes has an operand of %d", def->name, e->lanes, e->op.arg[i]->lanes);
  }
  if (e->lanes == 1 && (e->op.op == SC_ziplo || e->op.op == SC_ziphi))
    fail(c, "%s of scalars", def->name);
  if (!scalar_result((ScalarOp)e->op.op, type, c->m->real, &result))
    fail(c, "%s does not take %s%s%s", def->name, ltype_text(type[0]), def->arity > 1 ? ", " : "",
         def->arity > 1 ? ltype_text(type[1]) : "");
  else if (result != e->dtype)
    fail(c, "%s gives %s, not %s", def->name, ltype_text(result), ltype_text(e->dtype));
  const LExpr *by = e->op.arg[1];
  if (e->op.op == SC_shl || e->op.op == SC_shr) {
    if (by->kind == LE_SPLAT)
      by = by->from;
    amount = by->kind == LE_INT ? by->i : 0;
    if (amount < 0 || amount >= (e->dtype == DT_U32 ? 32 : 64))
      fail(c, "%s of %s by %lld", def->name, ltype_text(e->dtype), (long long)amount);
  }
  if ((e->op.op == SC_div || e->op.op == SC_mod) && e->dtype == DT_I64 &&
      lexpr_is_int(by, &amount) && amount == 0)
    fail(c, "%s by zero", def->name);
}

static void check_call_expr(Check *c, const LExpr *e)
{
  const LFunc *f = e->call.fn;
  bool known = false;
  for (uint32_t i = 0; i < c->m->funcs.n && c->m->funcs.at[i] != c->func; i++)
    known |= c->m->funcs.at[i] == f;
  if (!known) {
    fail(c, "call of %s, which does not stand before", f ? f->name : "nothing");
    return;
  }
  if (e->call.narg != f->nparam) {
    fail(c, "%s takes %d arguments, not %d", f->name, f->nparam, e->call.narg);
    return;
  }
  for (int i = 0; i < f->nparam && !c->error; i++) {
    check_expr(c, e->call.arg[i]);
    check_type(c, e->call.arg[i], (int)f->param[i]->dtype, f->param[i]->lanes, "an argument");
  }
  check_type(c, e, f->result->dtype, f->result->lanes, "a call");
}

static void check_leaf(Check *c, const LExpr *e)
{
  if (e->kind == LE_VAR) {
    if (!e->var || e->var->id >= c->m->next_id || c->scope[e->var->id] != e->var)
      fail(c, "variable '%s' is not in scope", e->var ? e->var->name : "?");
    else
      check_type(c, e, (int)e->var->dtype, e->var->lanes, e->var->name);
  } else if (e->kind == LE_INT) {
    int64_t top = e->dtype == DT_U32 ? UINT32_MAX : e->dtype == DT_I32 ? INT32_MAX : INT64_MAX;
    int64_t low = e->dtype == DT_U32 ? 0 : e->dtype == DT_I32 ? INT32_MIN : INT64_MIN;
    if ((e->dtype != DT_I64 && e->dtype != DT_U32 && e->dtype != DT_I32) || e->lanes != 1 ||
        e->i < low || e->i > top)
      fail(c, "integer %lld is no %s in %d lanes", (long long)e->i, ltype_text(e->dtype), e->lanes);
  } else if (e->dtype != (int)c->m->real || (e->kind == LE_REAL && e->lanes != 1))
    fail(c, "a constant of %s in %d lanes", ltype_text(e->dtype), e->lanes);
  else if (e->kind == LE_REAL && e->dtype == DT_F32 && e->r == e->r && e->r != (double)(float)e->r)
    fail(c, "constant %.17g is not exact in f32", e->r);
}

static void check_vector(Check *c, const LExpr *e)
{
  if (e->dtype < 0 || e->dtype > TY_BOOL || !lanes_valid(e->lanes))
    fail(c, "an expression of type %s in %d lanes", ltype_text(e->dtype), e->lanes);
  else if (e->lanes > 1 && e->dtype == DT_F64 && c->m->real == DT_F32)
    fail(c, "f64 in %d lanes in an f32 module", e->lanes);
  else if (e->lanes > 1 && e->dtype == DT_I64 && c->m->real == DT_F32)
    fail(c, "i64 in %d lanes in an f32 module", e->lanes);
  else if (e->lanes > c->m->block)
    fail(c, "%d lanes in a module of %d", e->lanes, c->m->block);
}

static void check_expr(Check *c, const LExpr *e)
{
  if (c->error)
    return;
  if (!e) {
    fail(c, "an expression is missing");
    return;
  }
  check_vector(c, e);
  if (c->error)
    return;
  switch (e->kind) {
  case LE_INT: case LE_REAL: case LE_VAR: case LE_IOTA: check_leaf(c, e); return;
  case LE_OP: check_op(c, e); return;
  case LE_CALL: check_call_expr(c, e); return;
  case LE_LOAD: case LE_CAST: case LE_BITS: case LE_SPLAT: case LE_REDUCE: break;
  }
  lexpr_each(e, check_operand, c);
  if (c->error)
    return;
  if (e->kind == LE_LOAD) {
    check_access(c, e->load.buf, e->load.index, e->lanes, "load");
    if (!c->error && e->dtype != (int)e->load.buf->dtype)
      fail(c, "load of '%s' as %s", e->load.buf->name, ltype_text(e->dtype));
  } else if (e->kind == LE_SPLAT)
    check_type(c, e->from, e->dtype, 1, "a splat");
  else if (e->kind == LE_REDUCE) {
    if (!reduce_valid((ScalarOp)e->reduce.op, e->dtype, e->reduce.from->lanes) || e->lanes != 1 ||
        e->reduce.from->dtype != e->dtype)
      fail(c, "reduction of %s in %d lanes", ltype_text(e->reduce.from->dtype),
           e->reduce.from->lanes);
  } else if (e->from->lanes != e->lanes)
    fail(c, "a cast from %d lanes to %d", e->from->lanes, e->lanes);
  else if (!(e->kind == LE_CAST ? cast_valid : bits_valid)(e->from->dtype, e->dtype))
    fail(c, "%s of %s to %s", e->kind == LE_CAST ? "cast" : "bits", ltype_text(e->from->dtype),
         ltype_text(e->dtype));
}

/* ---- statements ---- */

static void check_body(Check *c, const LStmt *s);

static void check_for(Check *c, const LStmt *s)
{
  check_expr(c, s->loop.lo);
  check_expr(c, s->loop.hi);
  if (c->error)
    return;
  check_type(c, s->loop.lo, DT_I64, 1, "a loop bound");
  check_type(c, s->loop.hi, DT_I64, 1, "a loop bound");
  if (s->loop.step <= 0)
    fail(c, "loop '%s' has step %lld", s->loop.var->name, (long long)s->loop.step);
  define_int(c, s->loop.var);
  if (c->error)
    return;
  bool was = c->certain;
  bool items = s->loop.lo->kind == LE_VAR && s->loop.hi->kind == LE_VAR &&
               s->loop.lo->var == c->kernel->lo && s->loop.hi->var == c->kernel->hi;
  bool runs = range_loop(c->range, s->loop.var, s->loop.lo, s->loop.hi, s->loop.step);
  c->certain = was && (items || runs);
  check_body(c, s->loop.body);
  c->certain = was;
  undefine(c, s->loop.var);
}

static void check_if(Check *c, const LStmt *s)
{
  check_expr(c, s->branch.cond);
  if (!c->error)
    check_type(c, s->branch.cond, TY_BOOL, 1, "a condition");
  bool was = c->certain;
  c->certain = false;
  check_body(c, s->branch.then);
  check_body(c, s->branch.otherwise);
  c->certain = was;
}

static void check_let(Check *c, const LStmt *s)
{
  check_expr(c, s->let.value);
  define(c, s->let.var);
  if (c->error)
    return;
  check_type(c, s->let.value, (int)s->let.var->dtype, s->let.var->lanes, s->let.var->name);
  range_let(c->range, s->let.var, s->let.value);
}

static void check_store(Check *c, const LStmt *s)
{
  Buffer *buf = s->store.buf;
  check_expr(c, s->store.value);
  check_expr(c, s->store.index);
  if (c->error)
    return;
  check_access(c, buf, s->store.index, s->store.value->lanes, "store");
  if (!c->error && s->store.value->dtype != (int)buf->dtype)
    fail(c, "store of %s to '%s' of %s", ltype_text(s->store.value->dtype), buf->name,
         ltype_text((int)buf->dtype));
  if (!c->error && buf->role == BUF_FORMAL && !buf->written)
    fail(c, "store to '%s', which is only read", buf->name);
}

static bool is_constant_memory(const Buffer *b)
{
  return b->role == BUF_ROWS || b->role == BUF_IDS || b->role == BUF_ARGS || b->role == BUF_CONST;
}

/* True when the two buffers share memory. */
static bool overlap(const Buffer *a, const Buffer *b)
{
  if (a->role != b->role)
    return false;
  if (a->role == BUF_OUT)
    return a->index == b->index;
  if (a->role != BUF_STATE && a->role != BUF_ARENA && a->role != BUF_WORKER)
    return a == b;
  return a->offset < b->offset + b->extent * dtype_bytes(b->dtype) &&
         b->offset < a->offset + a->extent * dtype_bytes(a->dtype);
}

static void check_argument(Check *c, const LStmt *s, uint32_t i)
{
  const Kernel *k = s->call.kernel;
  const Buffer *formal = k->formal.at[i], *actual = s->call.arg[i];
  bool known = false;
  for (uint32_t j = 0; j < c->m->buffers.n; j++)
    known |= c->m->buffers.at[j] == actual;
  if (!known)
    fail(c, "argument %u of '%s' is no buffer of the module", i + 1, k->name);
  else if (actual->dtype != formal->dtype)
    fail(c, "argument '%s' of '%s' is %s, not %s", actual->name, k->name,
         ltype_text((int)actual->dtype), ltype_text((int)formal->dtype));
  else if (formal->extent > 0 && actual->extent > 0 && actual->extent < formal->extent)
    fail(c, "argument '%s' of '%s' has %lld elements, not %lld", actual->name, k->name,
         (long long)actual->extent, (long long)formal->extent);
  else if (formal->written && is_constant_memory(actual))
    fail(c, "'%s' of '%s' is written but bound to constant memory", actual->name, k->name);
  if (c->error)
    return;
  if ((actual->role == BUF_ARENA || actual->role == BUF_WORKER)) {
    size_t room = actual->role == BUF_ARENA ? c->host->arena_bytes : c->host->worker_bytes;
    if ((size_t)(actual->offset + actual->extent * dtype_bytes(actual->dtype)) > room)
      fail(c, "'%s' ends past the block of %zu bytes", actual->name, room);
  }
  for (uint32_t j = 0; j < k->formal.n && !c->error; j++)
    if (j != i && formal->written && overlap(actual, s->call.arg[j]))
      fail(c, "'%s' is written by '%s' and shares memory with its argument '%s'", actual->name,
           k->name, s->call.arg[j]->name);
}

static void check_call(Check *c, const LStmt *s)
{
  bool known = false;
  if (!c->host) {
    fail(c, "call of a kernel outside of host functions");
    return;
  }
  for (uint32_t i = 0; i < c->m->kernels.n; i++)
    known |= c->m->kernels.at[i] == s->call.kernel;
  if (!known) {
    fail(c, "call of a kernel that is not in the module");
    return;
  }
  check_expr(c, s->call.lo);
  check_expr(c, s->call.hi);
  if (c->error)
    return;
  check_type(c, s->call.lo, DT_I64, 1, "a share");
  check_type(c, s->call.hi, DT_I64, 1, "a share");
  for (uint32_t i = 0; i < s->call.kernel->formal.n && !c->error; i++)
    check_argument(c, s, i);
}

static bool reads_var(const LExpr *e, const LVar *v)
{
  return e && (e->kind == LE_OP ? reads_var(e->op.arg[0], v) || reads_var(e->op.arg[1], v) ||
                                      reads_var(e->op.arg[2], v)
                                : e->kind == LE_VAR && e->var == v);
}

static void check_barrier(Check *c, const LStmt *s)
{
  const LExpr *when = s->barrier.when;
  if (!c->host) {
    fail(c, "barrier outside of host functions");
    return;
  }
  if (!when)
    return;
  check_expr(c, when);
  if (!c->error)
    check_type(c, when, TY_BOOL, 1, "the condition of a barrier");
  if (!c->error && (when->kind != LE_OP || reads_var(when, c->host->worker)))
    fail(c, "the condition of a barrier is not the same for all workers");
}

static void check_body(Check *c, const LStmt *first)
{
  for (const LStmt *s = first; s && !c->error; s = s->next) {
    c->line++;
    if ((c->host && s->kind <= LS_IF) || (c->func && s->kind != LS_LET && s->kind != LS_NOTE) ||
        (c->host && s->kind == LS_STORE)) {
      fail(c, "this kind of statement cannot stand in a %s", c->kind);
      return;
    }
    switch (s->kind) {
    case LS_FOR: check_for(c, s); break;
    case LS_IF: check_if(c, s); break;
    case LS_LET: check_let(c, s); break;
    case LS_STORE: check_store(c, s); break;
    case LS_CALL: check_call(c, s); break;
    case LS_BARRIER: check_barrier(c, s); break;
    case LS_NOTE:
      if (!s->note.text)
        fail(c, "note without text");
      break;
    }
  }
  for (const LStmt *s = first; s && !c->error; s = s->next)
    if (s->kind == LS_LET)
      undefine(c, s->let.var);
}

/* ---- parts of a module ---- */

static void enter(Check *c, const char *kind, const char *name)
{
  c->kind = kind;
  c->where = name ? name : "?";
  c->line = 0;
  c->func = NULL;
  c->kernel = NULL;
  c->host = NULL;
  c->certain = true;
}

static void check_buffer(Check *c, const Buffer *b)
{
  int64_t bytes, end;
  enter(c, "buffer", b->name);
  if (!b->name || b->id >= c->m->next_id || c->defined[b->id]) {
    fail(c, "no name, or id %u is taken", b->id);
    return;
  }
  c->defined[b->id] = true;
  if (b->role == BUF_FORMAL || b->role == BUF_REGISTER || b->role == BUF_LOCAL)
    fail(c, "formals, registers and local arrays belong to kernels");
  else if (b->extent < 0 ||
           (b->extent == 0 && b->role != BUF_ROWS && b->role != BUF_IDS && b->role != BUF_OUT))
    fail(c, "extent %lld", (long long)b->extent);
  else if (!checked_mul(b->extent, dtype_bytes(b->dtype), &bytes) || b->offset < 0 ||
           !checked_add(b->offset, bytes, &end))
    fail(c, "more than 2^63 bytes");
  else if (b->offset % 64 != 0)
    fail(c, "offset %lld is no multiple of 64", (long long)b->offset);
  else if (b->role == BUF_STATE && (size_t)end > c->m->state_bytes)
    fail(c, "it ends at %lld, past the state block of %zu bytes", (long long)end,
         c->m->state_bytes);
  else if (b->role == BUF_CONST && !b->values)
    fail(c, "a constant without values");
  else if ((b->role == BUF_ROWS || b->role == BUF_OUT) && b->index < 0)
    fail(c, "index %d", b->index);
}

static void check_state_overlap(Check *c)
{
  const Module *m = c->m;
  for (uint32_t i = 0; i < m->buffers.n && !c->error; i++)
    for (uint32_t j = 0; j < i && !c->error; j++)
      if (m->buffers.at[i]->role == BUF_STATE && overlap(m->buffers.at[i], m->buffers.at[j])) {
        enter(c, "buffer", m->buffers.at[i]->name);
        fail(c, "it shares memory with '%s'", m->buffers.at[j]->name);
      }
}

static void check_func(Check *c, const LFunc *f)
{
  enter(c, "function", f->name);
  c->func = f;
  for (uint32_t i = 0; i < c->m->funcs.n && c->m->funcs.at[i] != f; i++)
    if (str_eq(c->m->funcs.at[i]->name, f->name))
      fail(c, "the name is taken");
  if (!is_word(f->name) || loop_text_builtin(f->name) || f->nparam < 0 || f->nparam > PARAMS_MAX)
    fail(c, "no word as its name, or %d parameters", f->nparam);
  for (int i = 0; i < f->nparam && !c->error; i++)
    define(c, f->param[i]);
  for (const LStmt *s = f->body; s && !c->error; s = s->next) {
    c->line++;
    if (s->kind == LS_LET)
      check_let(c, s);
    else if (s->kind != LS_NOTE)
      fail(c, "this kind of statement cannot stand in a function");
  }
  check_expr(c, f->result);
  for (int i = 0; i < f->nparam; i++)
    undefine(c, f->param[i]);
  for (const LStmt *s = f->body; s; s = s->next)
    if (s->kind == LS_LET)
      undefine(c, s->let.var);
}

static void check_own_buffer(Check *c, const Buffer *b, BufRole role, int index)
{
  if (!b->name || b->id >= c->m->next_id || c->defined[b->id]) {
    fail(c, "buffer '%s': id %u is taken", b->name ? b->name : "?", b->id);
    return;
  }
  c->defined[b->id] = true;
  if (b->role != role)
    fail(c, "buffer '%s' has the wrong role", b->name);
  else if (role == BUF_FORMAL && b->index != index)
    fail(c, "argument '%s' is number %d, not %d", b->name, b->index, index);
  else if (role == BUF_REGISTER && (b->extent < 1 || b->extent > REGISTERS_MAX ||
                                    !lanes_valid(b->lanes) || b->lanes > c->m->block))
    fail(c, "registers '%s': %lld of %d lanes", b->name, (long long)b->extent, b->lanes);
  else if (role == BUF_LOCAL && (b->extent < 1 || b->lanes != 1 ||
                                 b->extent > LOCAL_BYTES_MAX / dtype_bytes(b->dtype)))
    fail(c, "array '%s': %lld elements of %d lanes", b->name, (long long)b->extent, b->lanes);
}

static void check_kernel(Check *c, const Kernel *k)
{
  enter(c, "kernel", k->name);
  c->kernel = k;
  for (uint32_t i = 0; i < c->m->kernels.n && c->m->kernels.at[i] != k; i++)
    if (str_eq(c->m->kernels.at[i]->name, k->name))
      fail(c, "the name is taken");
  if (!is_word(k->name))
    fail(c, "it is not named by a word");
  for (uint32_t i = 0; i < k->formal.n && !c->error; i++)
    check_own_buffer(c, k->formal.at[i], BUF_FORMAL, (int)i);
  for (uint32_t i = 0; i < k->regs.n && !c->error; i++)
    check_own_buffer(c, k->regs.at[i], k->regs.at[i]->role == BUF_LOCAL ? BUF_LOCAL : BUF_REGISTER,
                     0);
  define_int(c, k->lo);
  define_int(c, k->hi);
  define_int(c, k->n);
  c->range = range_new(c->arena, c->m->next_id);
  check_body(c, k->body);
  undefine(c, k->lo);
  undefine(c, k->hi);
  undefine(c, k->n);
}

static void check_host(Check *c, const Host *h)
{
  enter(c, "host function", h->name);
  c->host = h;
  define_int(c, h->worker);
  define_int(c, h->nworkers);
  define_int(c, h->n);
  check_body(c, h->body);
  c->line = 0;
  for (uint32_t i = 0; i < h->buffers.n && !c->error; i++)
    if (h->buffers.at[i]->role != BUF_ARENA && h->buffers.at[i]->role != BUF_WORKER)
      fail(c, "'%s' is listed but lies neither in the arena nor at a worker",
           h->buffers.at[i]->name);
}

const char *loop_verify(const Module *m, Arena *a)
{
  Check c = { .m = m, .arena = a, .scope = ARENA_ARRAY(a, const LVar *, m->next_id + 1),
              .defined = ARENA_ARRAY(a, bool, m->next_id + 1), .range = range_new(a, m->next_id) };
  enter(&c, "module", m->name);
  if ((m->real != DT_F32 && m->real != DT_F64) || m->block != 64 / dtype_bytes(m->real))
    fail(&c, "real %s with blocks of %d lanes", ltype_text((int)m->real), m->block);
  for (uint32_t i = 0; i < m->buffers.n && !c.error; i++)
    check_buffer(&c, m->buffers.at[i]);
  if (!c.error)
    check_state_overlap(&c);
  for (uint32_t i = 0; i < m->funcs.n && !c.error; i++)
    check_func(&c, m->funcs.at[i]);
  for (uint32_t i = 0; i < m->kernels.n && !c.error; i++)
    check_kernel(&c, m->kernels.at[i]);
  for (int h = 0; h < HOST_COUNT && !c.error; h++)
    if (m->host[h])
      check_host(&c, m->host[h]);
  return c.error;
}
