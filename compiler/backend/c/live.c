/* What a function's text needs: variables, buffers and registers that some printed statement reads.
 * Dead values are not printed, so that the program compiles without warnings. Then each register
 * finds its place: the innermost body that holds all its uses declares it, with its first
 * assignment where that comes first and without condition; else the function's start does it. */
#include "backend/c/c.h"
#include <string.h>

/* A body of statements within its function. */
typedef struct Scope {
  const struct Scope *parent;
  const LStmt *owner;           /* the statement of the parent that holds this body */
  int depth;
} Scope;

Reg *c_reg(const C *c, const Buffer *buf, const LExpr *index)
{
  if (index->kind != LE_INT || index->i < 0 || index->i >= buf->extent || !c->reg[buf->id])
    ice("backend c: register '%s' has no constant index in range", buf->name);
  return &c->reg[buf->id][index->i];
}

/* ---- expressions ---- */

typedef void (*Visit)(C *c, void *ctx, const LExpr *e);

static void each(C *c, const LExpr *e, Visit visit, void *ctx)
{
  if (!e)
    return;
  visit(c, ctx, e);
  switch (e->kind) {
  case LE_INT: case LE_REAL: case LE_VAR: case LE_IOTA:
    break;
  case LE_LOAD:
    each(c, e->load.index, visit, ctx);
    break;
  case LE_OP:
    for (int i = 0; i < scalar_defs[e->op.op].arity; i++)
      each(c, e->op.arg[i], visit, ctx);
    break;
  case LE_CAST: case LE_BITS: case LE_SPLAT:
    each(c, e->from, visit, ctx);
    break;
  case LE_REDUCE:
    each(c, e->reduce.from, visit, ctx);
    break;
  case LE_CALL:
    for (int i = 0; i < e->call.narg; i++)
      each(c, e->call.arg[i], visit, ctx);
    break;
  }
}

static void use(C *c, void *changed, const LExpr *e)
{
  if (e->kind == LE_VAR)
    c->uses[e->var->id]++;
  if (e->kind != LE_LOAD)
    return;
  c->uses[e->load.buf->id]++;
  if (e->load.buf->role != BUF_REGISTER)
    return;
  Reg *r = c_reg(c, e->load.buf, e->load.index);
  if (!r->loaded)
    *(bool *)changed = true;
  r->loaded = true;
}

/* ---- liveness: backwards over each body ---- */

static void mark_body(C *c, const LStmt *body, bool *changed);

static void mark_call(C *c, const LStmt *s, bool *changed)
{
  const KernelName *k = NULL;
  for (uint32_t i = 0; i < c->kernel_names.n; i++)
    if (c->kernel_names.at[i].kernel == s->call.kernel)
      k = &c->kernel_names.at[i];
  if (!k)
    ice("backend c: a host function calls kernel '%s', which is not of the module",
        s->call.kernel->name);
  for (uint32_t i = 0; i < s->call.kernel->formal.n; i++)
    if (k->formal[i])
      c->uses[s->call.arg[i]->id]++;
  if (k->n)
    for (int h = 0; h < HOST_COUNT; h++)
      if (c->m->host[h])
        c->uses[c->m->host[h]->n->id]++;
  if (k->lo)
    each(c, s->call.lo, use, changed);
  if (k->hi)
    each(c, s->call.hi, use, changed);
}

static void mark_store(C *c, const LStmt *s, bool *changed)
{
  const Buffer *buf = s->store.buf;
  if (buf->role == BUF_REGISTER && !c_reg(c, buf, s->store.index)->loaded)
    return;
  c->uses[buf->id]++;
  each(c, s->store.index, use, changed);
  each(c, s->store.value, use, changed);
}

static void mark(C *c, const LStmt *s, bool *changed)
{
  switch (s->kind) {
  case LS_FOR:
    mark_body(c, s->loop.body, changed);
    each(c, s->loop.lo, use, changed);
    each(c, s->loop.hi, use, changed);
    break;
  case LS_IF:
    mark_body(c, s->branch.then, changed);
    mark_body(c, s->branch.otherwise, changed);
    each(c, s->branch.cond, use, changed);
    break;
  case LS_LET:
    if (c->uses[s->let.var->id])
      each(c, s->let.value, use, changed);
    break;
  case LS_STORE:
    mark_store(c, s, changed);
    break;
  case LS_CALL:
    mark_call(c, s, changed);
    break;
  case LS_BARRIER:
    if (s->barrier.when)
      each(c, s->barrier.when, use, changed);
    break;
  case LS_NOTE:
    break;
  }
}

static void mark_body(C *c, const LStmt *body, bool *changed)
{
  VEC(const LStmt *) all = { 0 };
  for (const LStmt *s = body; s; s = s->next)
    vec_push(c->arena, &all, s);
  for (uint32_t i = all.n; i > 0; i--)
    mark(c, all.at[i - 1], changed);
}

/* ---- places of registers ---- */

typedef struct { const Scope *scope; const LStmt *stmt; } Where;

static void meet(C *c, void *ctx, const Buffer *buf, const LExpr *index)
{
  const Where *w = ctx;
  Reg *r = c_reg(c, buf, index);
  const Scope *a = r->scope, *b = w->scope;
  const LStmt *top = w->stmt;
  if (!a) {
    r->scope = b;
    r->first = top;
    return;
  }
  while (a->depth > b->depth) {
    r->first = a->owner;
    a = a->parent;
  }
  while (b->depth > a->depth)
    b = b->parent;
  while (a != b) {
    r->first = a->owner;
    a = a->parent;
    b = b->parent;
  }
  r->scope = a;
}

static void place_expr(C *c, void *ctx, const LExpr *e)
{
  if (e->kind == LE_LOAD && e->load.buf->role == BUF_REGISTER)
    meet(c, ctx, e->load.buf, e->load.index);
}

static void place_body(C *c, const LStmt *body, const Scope *parent, const LStmt *owner)
{
  Scope *self = ARENA_NEW(c->arena, Scope);
  *self = (Scope){ parent, owner, parent ? parent->depth + 1 : 0 };
  for (const LStmt *s = body; s; s = s->next) {
    Where w = { self, s };
    switch (s->kind) {
    case LS_FOR:
      each(c, s->loop.lo, place_expr, &w);
      each(c, s->loop.hi, place_expr, &w);
      place_body(c, s->loop.body, self, s);
      break;
    case LS_IF:
      each(c, s->branch.cond, place_expr, &w);
      place_body(c, s->branch.then, self, s);
      place_body(c, s->branch.otherwise, self, s);
      break;
    case LS_LET:
      if (c->uses[s->let.var->id])
        each(c, s->let.value, place_expr, &w);
      break;
    case LS_STORE:
      if (s->store.buf->role == BUF_REGISTER && !c_reg(c, s->store.buf, s->store.index)->loaded)
        break;
      each(c, s->store.value, place_expr, &w);
      if (s->store.buf->role == BUF_REGISTER)
        meet(c, &w, s->store.buf, s->store.index);
      else
        each(c, s->store.index, place_expr, &w);
      break;
    case LS_CALL: case LS_BARRIER: case LS_NOTE:
      break;
    }
  }
}

typedef struct { const Reg *reg; bool found; } Self;

static void find_self(C *c, void *ctx, const LExpr *e)
{
  Self *self = ctx;
  if (e->kind == LE_LOAD && e->load.buf->role == BUF_REGISTER)
    self->found |= c_reg(c, e->load.buf, e->load.index) == self->reg;
}

/* The register's first use in its scope declares it when it is an assignment from other values. */
static void choose_init(C *c, Reg *r)
{
  const LStmt *s = r->first;
  if (!s || s->kind != LS_STORE || s->store.buf->role != BUF_REGISTER)
    return;
  Self self = { r, false };
  each(c, s->store.value, find_self, &self);
  if (!self.found && c_reg(c, s->store.buf, s->store.index) == r)
    r->init = s;
}

/* ---- functions ---- */

static void clear(C *c)
{
  memset(c->uses, 0, c->m->next_id * sizeof *c->uses);
}

void live_kernel(C *c, const Kernel *k)
{
  for (uint32_t i = 0; i < k->regs.n; i++)
    if (k->regs.at[i]->role == BUF_REGISTER)
      c->reg[k->regs.at[i]->id] = ARENA_ARRAY(c->arena, Reg, k->regs.at[i]->extent);
  for (bool changed = true; changed;) {
    changed = false;
    clear(c);
    mark_body(c, k->body, &changed);
  }
  place_body(c, k->body, NULL, NULL);
  for (uint32_t i = 0; i < k->regs.n; i++)
    for (int64_t j = 0; k->regs.at[i]->role == BUF_REGISTER && j < k->regs.at[i]->extent; j++)
      choose_init(c, &c->reg[k->regs.at[i]->id][j]);
}

void live_func(C *c, const LFunc *f)
{
  bool changed = false;
  clear(c);
  each(c, f->result, use, &changed);
  mark_body(c, f->body, &changed);
}

void live_host(C *c, const Host *h)
{
  bool changed = false;
  clear(c);
  mark_body(c, h->body, &changed);
}
