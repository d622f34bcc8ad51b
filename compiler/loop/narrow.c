/* Splitting wide values. The module is built anew, statement by statement. Assignments that follow
 * one another form a run: first come its scalars and what is the same in every part, then all of
 * part 0, then all of part 1 .., so that few values are alive at a time. A run ends where parts
 * would meet: at a sum over lanes, and at memory that one statement writes and another reads at
 * some other place.
 *
 * Functions that work lane by lane are written again in fewer lanes ("exp_16" becomes "exp_8"); any
 * other one that holds wide values is put in place of its calls. */
#include "loop/narrow.h"
#include "base/str.h"
#include "loop/narrow_expr.h"
#include <string.h>

/* Memory that a statement of the run touches. */
typedef struct {
  const Buffer *buf;
  const LExpr *index;
  int lanes;
  bool store;
} Touch;

typedef VEC(const LStmt *) Run;
typedef VEC(Touch) Touches;

/* ---- runs of assignments ---- */

static void touch_expr(Narrow *n, const LExpr *e, Touches *t);

typedef struct { Narrow *n; Touches *t; } TouchCtx;

static void touch_operand(void *ctx, const LExpr *e)
{
  const TouchCtx *c = ctx;
  touch_expr(c->n, e, c->t);
}

static void touch_expr(Narrow *n, const LExpr *e, Touches *t)
{
  TouchCtx c = { n, t };
  if (e->kind == LE_LOAD && e->load.buf->role != BUF_REGISTER) {
    Touch made = { e->load.buf, e->load.index, e->lanes, false };
    vec_push(n->arena, t, made);
  }
  lexpr_each(e, touch_operand, &c);
}

static void touch_stmt(Narrow *n, const LStmt *s, Touches *t)
{
  if (s->kind == LS_LET)
    touch_expr(n, s->let.value, t);
  if (s->kind != LS_STORE)
    return;
  touch_expr(n, s->store.value, t);
  touch_expr(n, s->store.index, t);
  if (s->store.buf->role != BUF_REGISTER) {
    Touch made = { s->store.buf, s->store.index, s->store.value->lanes, true };
    vec_push(n->arena, t, made);
  }
}

/* Surely the same number: indices made of the same steps, without loads. */
static bool same_index(const LExpr *x, const LExpr *y)
{
  if (x->kind != y->kind || x->dtype != y->dtype || x->lanes != y->lanes)
    return false;
  switch (x->kind) {
  case LE_INT: return x->i == y->i;
  case LE_VAR: return x->var == y->var;
  case LE_CAST: return same_index(x->from, y->from);
  case LE_OP:
    if (x->op.op != y->op.op)
      return false;
    for (int i = 0; i < scalar_defs[x->op.op].arity; i++)
      if (!same_index(x->op.arg[i], y->op.arg[i]))
        return false;
    return true;
  case LE_REAL: case LE_LOAD: case LE_BITS: case LE_SPLAT: case LE_IOTA: case LE_REDUCE:
  case LE_CALL:
    break;
  }
  return false;
}

/* May the parts of these two accesses be reordered wrongly? Parts of one place never meet. */
static bool clash(const Narrow *n, const Touch *a, const Touch *b)
{
  if (a->buf != b->buf || (!a->store && !b->store))
    return false;
  return a->lanes != b->lanes || !wide(n, a->lanes) || !same_index(a->index, b->index);
}

static bool clashes(const Narrow *n, const Touches *t, uint32_t from)
{
  for (uint32_t i = from; i < t->n; i++)
    for (uint32_t j = 0; j < i; j++)
      if (clash(n, &t->at[i], &t->at[j]))
        return true;
  return false;
}

static bool is_assignment(const LStmt *s)
{
  return s->kind == LS_LET || s->kind == LS_STORE || s->kind == LS_NOTE;
}

static const LExpr *value_of(const LStmt *s)
{
  return s->kind == LS_LET ? s->let.value : s->store.value;
}

static bool meets(const Narrow *n, const LStmt *s)
{
  if (s->kind == LS_NOTE)
    return false;
  return narrow_any(n, value_of(s), narrow_meets) ||
         (s->kind == LS_STORE && narrow_any(n, s->store.index, narrow_meets));
}

/* Scalars, and values that are the same in every part, open a run: only their like stand before
 * them. */
static bool opens(const Narrow *n, const LStmt *s)
{
  if (s->kind == LS_NOTE)
    return false;
  return narrow_uniform(n, value_of(s));
}

static void split_let(Narrow *n, const LStmt *s, int p)
{
  LExpr *value = s->let.value;
  const LVar *v = s->let.var;
  int count = parts(n, v->lanes);
  if (count > 1 && !narrow_uniform(n, value)) {
    const char *name = arena_printf(n->arena, "%s_%d", v->name, p);
    n->var[v->id][p] = l_let(n->b, name, narrow_part(n, value, p));
    return;
  }
  LExpr *made = l_let(n->b, v->name, narrow_same(n, value));
  narrow_bind(n, v, &made, PARTS_SAME);
}

static void split_store(Narrow *n, const LStmt *s, int p, LExpr *value)
{
  LExpr *index = narrow_index(n, s->store.buf, s->store.index, s->store.value->lanes, p);
  l_store(n->b, n->buf[s->store.buf->id], index, value);
}

/* How many times the run goes over a statement. */
static int rounds(const Narrow *n, const LStmt *s)
{
  return s->kind == LS_NOTE || opens(n, s) ? 1 : parts(n, value_of(s)->lanes);
}

static void split(Narrow *n, const LStmt *s, int p)
{
  if (s->kind == LS_NOTE)
    l_note(n->b, "%s", s->note.text);
  else if (s->kind == LS_LET)
    split_let(n, s, p);
  else if (!opens(n, s))
    split_store(n, s, p, narrow_part(n, s->store.value, p));
  else
    for (int q = 0; q < parts(n, s->store.value->lanes); q++)
      split_store(n, s, q, narrow_part(n, s->store.value, q));
}

static void split_run(Narrow *n, const Run *run)
{
  int most = 1, *count = ARENA_ARRAY(n->arena, int, run->n);
  n->shared.n = 0;
  for (int p = 0; p < most; p++)
    for (uint32_t i = 0; i < run->n; i++) {
      const LStmt *s = n->now = run->at[i];
      if (p == 0) {
        count[i] = rounds(n, s);
        most = count[i] > most ? count[i] : most;
      }
      if (p < count[i])
        split(n, s, p);
    }
}

/* A statement whose parts depend on one another: all values come before the first store. */
static void split_alone(Narrow *n, const LStmt *s)
{
  n->shared.n = 0;
  n->now = s;
  if (s->kind == LS_LET) {
    for (int p = 0, count = rounds(n, s); p < count; p++)
      split_let(n, s, p);
    return;
  }
  Parts value;
  int count = parts(n, s->store.value->lanes);
  for (int p = 0; p < count; p++) {
    value[p] = narrow_part(n, s->store.value, p);
    if (count > 1)
      value[p] = l_let(n->b, s->store.buf->name, value[p]);
  }
  for (int p = 0; p < count; p++)
    split_store(n, s, p, value[p]);
}

/* Splits the run that starts at s; returns what follows it. */
static const LStmt *split_from(Narrow *n, const LStmt *s)
{
  Run run = { 0 };
  Touches t = { 0 };
  bool opening = true;
  for (; s && is_assignment(s); s = s->next) {
    uint32_t before = t.n;
    touch_stmt(n, s, &t);
    if (s->kind == LS_LET)
      n->uniform[s->let.var->id] = narrow_uniform(n, s->let.value);
    bool clash_found = clashes(n, &t, before), meet = meets(n, s);
    if (run.n == 0 && (clash_found || meet)) {
      split_alone(n, s);
      return s->next;
    }
    if (clash_found || meet || (!opening && opens(n, s)))
      break;
    opening = opening && (s->kind == LS_NOTE || opens(n, s));
    vec_push(n->arena, &run, s);
  }
  split_run(n, &run);
  return s;
}

/* ---- statements ---- */

static void split_for(Narrow *n, const LStmt *s)
{
  LExpr *lo = narrow_part(n, s->loop.lo, 0), *hi = narrow_part(n, s->loop.hi, 0);
  const LVar *v = s->loop.var;
  n->var[v->id][0] = l_var(n->b, l_loop(n->b, v->name, lo, hi, s->loop.step, s->loop.how));
  narrow_body(n, s->loop.body);
  l_end(n->b);
}

static void split_if(Narrow *n, const LStmt *s)
{
  l_if(n->b, narrow_part(n, s->branch.cond, 0));
  narrow_body(n, s->branch.then);
  if (s->branch.otherwise) {
    l_else(n->b);
    narrow_body(n, s->branch.otherwise);
  }
  l_end(n->b);
}

static void split_call(Narrow *n, const LStmt *s)
{
  const Module *to = build_module(n->b);
  for (uint32_t i = 0; i < n->m->kernels.n; i++)
    if (n->m->kernels.at[i] == s->call.kernel) {
      LStmt *call = l_call_kernel(n->b, to->kernels.at[i], s->call.arg,
                                  narrow_part(n, s->call.lo, 0), narrow_part(n, s->call.hi, 0));
      call->call.layer = s->call.layer;
      call->call.direction = s->call.direction;
      return;
    }
  ice("narrow: a call of kernel '%s', which is not of the module", s->call.kernel->name);
}

static void split_barrier(Narrow *n, const LStmt *s)
{
  l_barrier(n->b, s->barrier.when ? narrow_part(n, s->barrier.when, 0) : NULL);
}

void narrow_body(Narrow *n, const LStmt *first)
{
  for (const LStmt *s = first; s;) {
    if (is_assignment(s)) {
      s = split_from(n, s);
      continue;
    }
    n->now = s;
    n->shared.n = 0;
    switch (s->kind) {
    case LS_FOR: split_for(n, s); break;
    case LS_IF: split_if(n, s); break;
    case LS_CALL: split_call(n, s); break;
    case LS_BARRIER: split_barrier(n, s); break;
    case LS_LET: case LS_STORE: case LS_NOTE: break;
    }
    s = s->next;
  }
}

/* ---- functions, kernels, step functions ---- */

static bool is_changed(const Narrow *n, const LExpr *e)
{
  return wide(n, e->lanes) || narrow_meets(n, e);
}

/* Not the same function of its operands in every lane. */
static bool is_mixing(const Narrow *n, const LExpr *e)
{
  return narrow_meets(n, e) || (e->kind == LE_IOTA && wide(n, e->lanes));
}

static bool func_any(const Narrow *n, const LFunc *f, Test test)
{
  bool found = narrow_any(n, f->result, test);
  for (const LStmt *s = f->body; s && !found; s = s->next)
    found = s->kind == LS_LET && narrow_any(n, s->let.value, test);
  return found;
}

static FuncHow func_how(const Narrow *n, const LFunc *f)
{
  int lanes = f->result->lanes;
  bool changed = func_any(n, f, is_changed), mixing = func_any(n, f, is_mixing);
  for (int i = 0; i < f->nparam; i++) {
    bool large = wide(n, f->param[i]->lanes);
    changed |= large;
    mixing |= large && f->param[i]->lanes != lanes;
  }
  if (!changed)
    return FUNC_KEPT;
  return wide(n, lanes) && !mixing ? FUNC_LANEWISE : FUNC_INLINED;
}

static bool name_taken(const Narrow *n, const char *name)
{
  bool taken = false;
  const Module *to = build_module(n->b);
  for (uint32_t i = 0; i < n->m->funcs.n; i++)
    taken |= str_eq(n->m->funcs.at[i]->name, name);
  for (uint32_t i = 0; i < to->funcs.n; i++)
    taken |= str_eq(to->funcs.at[i]->name, name);
  return taken;
}

/* "exp_16" becomes "exp_8". */
static const char *func_name(const Narrow *n, const LFunc *f)
{
  Arena *a = n->arena;
  const char *suffix = arena_printf(a, "_%d", f->result->lanes);
  size_t length = strlen(f->name), tail = strlen(suffix);
  if (length > tail && str_eq(f->name + length - tail, suffix))
    length -= tail;
  const char *stem = arena_strndup(a, f->name, length);
  const char *name = n->lanes == 1 ? stem : arena_printf(a, "%s_%d", stem, n->lanes);
  for (int i = 2; name_taken(n, name); i++)
    name = arena_printf(a, "%s_%d_%d", stem, n->lanes, i);
  return name;
}

/* In a function that works lane by lane, each parameter stands for any of its parts. */
static const LFunc *copy_func(Narrow *n, const LFunc *f)
{
  LFunc *to = l_func(n->b, func_name(n, f), f->doc);
  for (int i = 0; i < f->nparam; i++) {
    const LVar *v = f->param[i];
    LExpr *x = l_param(n->b, to, v->name, (int)v->dtype, part_lanes(n, v->lanes));
    narrow_bind(n, v, &x, PARTS_SAME);
  }
  narrow_body(n, f->body);
  n->now = NULL;
  n->shared.n = 0;
  l_func_end(n->b, to, narrow_part(n, f->result, 0));
  return to;
}

static void split_func(Narrow *n, LFunc *f)
{
  Func made = { f, func_how(n, f), f };
  Module *to = build_module(n->b);
  if (made.how == FUNC_KEPT)
    vec_push(to->arena, &to->funcs, f);
  else
    made.to = made.how == FUNC_LANEWISE ? copy_func(n, f) : NULL;
  vec_push(n->arena, &n->funcs, made);
}

static void split_kernel(Narrow *n, const Kernel *k)
{
  Kernel *to = l_kernel(n->b, k->name);
  to->layer = k->layer;
  to->formula = k->formula;
  to->about = k->about;
  to->template_name = k->template_name;
  to->at = k->at;
  to->flops = k->flops;
  for (uint32_t i = 0; i < k->formal.n; i++) {
    const Buffer *f = k->formal.at[i];
    n->buf[f->id] = l_formal(n->b, f, f->name, f->written);
  }
  for (uint32_t i = 0; i < k->regs.n; i++) {
    const Buffer *r = k->regs.at[i];
    n->buf[r->id] = r->role == BUF_LOCAL
                        ? l_local(n->b, r->name, (int)r->dtype, r->extent)
                        : l_registers(n->b, r->name, (int)r->dtype, part_lanes(n, r->lanes),
                                      r->extent * parts(n, r->lanes));
  }
  n->var[k->lo->id][0] = l_var(n->b, to->lo);
  n->var[k->hi->id][0] = l_var(n->b, to->hi);
  n->var[k->n->id][0] = l_var(n->b, to->n);
  narrow_body(n, k->body);
  l_kernel_end(n->b);
}

static void split_host(Narrow *n, const Host *h)
{
  Host *to = l_host(n->b, h->kind);
  to->arena_bytes = h->arena_bytes;
  to->worker_bytes = h->worker_bytes;
  to->buffers.at = h->buffers.at;
  to->buffers.n = to->buffers.cap = h->buffers.n;
  n->var[h->worker->id][0] = l_var(n->b, to->worker);
  n->var[h->nworkers->id][0] = l_var(n->b, to->nworkers);
  n->var[h->n->id][0] = l_var(n->b, to->n);
  narrow_body(n, h->body);
  l_host_end(n->b);
}

/* ---- the widest value ---- */

static void widest_expr(void *ctx, const LExpr *e)
{
  int *most = ctx;
  if (e->lanes > *most)
    *most = e->lanes;
  lexpr_each(e, widest_expr, ctx);
}

static void widest_body(const LStmt *first, int *most)
{
  for (const LStmt *s = first; s; s = s->next)
    switch (s->kind) {
    case LS_FOR:
      widest_expr(most, s->loop.lo);
      widest_expr(most, s->loop.hi);
      widest_body(s->loop.body, most);
      break;
    case LS_IF:
      widest_expr(most, s->branch.cond);
      widest_body(s->branch.then, most);
      widest_body(s->branch.otherwise, most);
      break;
    case LS_LET: widest_expr(most, s->let.value); break;
    case LS_STORE:
      widest_expr(most, s->store.index);
      widest_expr(most, s->store.value);
      break;
    case LS_CALL: case LS_BARRIER: case LS_NOTE: break;
    }
}

int widest_lanes(const Module *m)
{
  int most = 1;
  for (uint32_t i = 0; i < m->funcs.n; i++) {
    const LFunc *f = m->funcs.at[i];
    for (int p = 0; p < f->nparam; p++)
      most = f->param[p]->lanes > most ? f->param[p]->lanes : most;
    widest_body(f->body, &most);
    widest_expr(&most, f->result);
  }
  for (uint32_t i = 0; i < m->kernels.n; i++) {
    const Kernel *k = m->kernels.at[i];
    for (uint32_t r = 0; r < k->regs.n; r++)
      most = k->regs.at[r]->lanes > most ? k->regs.at[r]->lanes : most;
    widest_body(k->body, &most);
  }
  return most;
}

Module *narrow(Module *m, int vector_bytes)
{
  int lanes = vector_bytes / dtype_bytes(m->real);
  if (lanes < 1 || (lanes & (lanes - 1)) != 0)
    ice("narrow: no part has %d bytes", vector_bytes);
  if (widest_lanes(m) <= lanes)
    return m;
  Arena *a = m->arena;
  Module *to = ARENA_NEW(a, Module);
  *to = *m;
  to->funcs.at = NULL;
  to->funcs.n = to->funcs.cap = 0;
  to->kernels.at = NULL;
  to->kernels.n = to->kernels.cap = 0;
  for (int h = 0; h < HOST_COUNT; h++)
    to->host[h] = NULL;
  Narrow n = { .m = m, .b = build_new(to), .arena = a, .lanes = lanes };
  n.var = ARENA_ARRAY(a, Parts, m->next_id);
  n.buf = ARENA_ARRAY(a, Buffer *, m->next_id);
  n.uniform = ARENA_ARRAY(a, bool, m->next_id);
  for (uint32_t i = 0; i < m->buffers.n; i++)
    n.buf[m->buffers.at[i]->id] = m->buffers.at[i];
  for (uint32_t i = 0; i < m->funcs.n; i++)
    split_func(&n, m->funcs.at[i]);
  for (uint32_t i = 0; i < m->kernels.n; i++)
    split_kernel(&n, m->kernels.at[i]);
  for (int h = 0; h < HOST_COUNT; h++)
    if (m->host[h])
      split_host(&n, m->host[h]);
  return to;
}
