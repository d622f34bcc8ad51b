/* Parts of expressions. What parts have in common is computed once, in a local before the
 * statement. */
#include "loop/narrow_expr.h"

static const Func *func_of(const Narrow *n, const LFunc *f)
{
  for (uint32_t i = 0; i < n->funcs.n; i++)
    if (n->funcs.at[i].from == f)
      return &n->funcs.at[i];
  ice("narrow: function '%s' is called before it stands", f->name);
}

/* ---- questions about expressions ---- */

typedef struct { const Narrow *n; Test test; bool found; } Search;

static void search(void *ctx, const LExpr *e)
{
  Search *s = ctx;
  s->found = s->found || s->test(s->n, e);
  if (!s->found)
    lexpr_each(e, search, s);
}

bool narrow_any(const Narrow *n, const LExpr *e, Test test)
{
  Search s = { n, test, false };
  search(&s, e);
  return s.found;
}

static bool is_load(const Narrow *n, const LExpr *e)
{
  (void)n;
  return e->kind == LE_LOAD;
}

static bool zips(const LExpr *e)
{
  return e->kind == LE_OP && (e->op.op == SC_ziplo || e->op.op == SC_ziphi);
}

bool narrow_meets(const Narrow *n, const LExpr *e)
{
  return (zips(e) && wide(n, e->lanes)) ||
         (e->kind == LE_REDUCE && wide(n, e->reduce.from->lanes)) ||
         (e->kind == LE_CALL && func_of(n, e->call.fn)->how == FUNC_INLINED);
}

static bool is_leaf(const LExpr *e)
{
  return e->kind == LE_INT || e->kind == LE_REAL || e->kind == LE_VAR;
}

bool narrow_uniform(const Narrow *n, const LExpr *e)
{
  bool all = true;
  if (!wide(n, e->lanes))
    return true;
  switch (e->kind) {
  case LE_VAR: return n->uniform[e->var->id];
  case LE_OP:
    all = !zips(e);
    for (int i = 0; i < scalar_defs[e->op.op].arity; i++)
      all = all && narrow_uniform(n, e->op.arg[i]);
    return all;
  case LE_CAST: case LE_BITS: return narrow_uniform(n, e->from);
  case LE_CALL:
    all = func_of(n, e->call.fn)->how == FUNC_LANEWISE;
    for (int i = 0; i < e->call.narg; i++)
      all = all && narrow_uniform(n, e->call.arg[i]);
    return all;
  case LE_SPLAT: return true;
  case LE_INT: case LE_REAL: case LE_LOAD: case LE_IOTA: case LE_REDUCE: break;
  }
  return false;
}

/* ---- expressions ---- */

static Shared *find_shared(Narrow *n, const LExpr *e)
{
  for (uint32_t i = 0; i < n->shared.n; i++)
    if (n->shared.at[i].from == e && n->shared.at[i].in == n->now)
      return &n->shared.at[i];
  return NULL;
}

LExpr *narrow_same(Narrow *n, LExpr *e)
{
  if (e->kind != LE_SPLAT)
    return narrow_part(n, e, 0);
  return l_splat(n->b, narrow_part(n, e->from, 0), part_lanes(n, e->lanes));
}

/* A value that is the same in every part, computed once. */
static LExpr *once(Narrow *n, LExpr *e)
{
  if (is_leaf(e))
    return narrow_part(n, e, 0);
  Shared *have = find_shared(n, e);
  if (have)
    return have->to[0];
  LExpr *value = narrow_same(n, e);
  Shared made = { e, n->now, ARENA_ARRAY(n->arena, LExpr *, 1) };
  made.to[0] = l_let(n->b, e->dtype == DT_I64 && e->lanes == 1 ? "at" : "s", value);
  vec_push(n->arena, &n->shared, made);
  return made.to[0];
}

static LExpr *splat(Narrow *n, LExpr *e)
{
  return wide(n, e->lanes) && !is_leaf(e->from) ? once(n, e) : narrow_same(n, e);
}

LExpr *narrow_index(Narrow *n, const Buffer *buf, LExpr *index, int lanes, int p)
{
  int64_t i;
  if (buf->role == BUF_REGISTER) {
    if (!lexpr_is_int(index, &i))
      ice("narrow: register '%s' has no constant index", buf->name);
    return l_int(n->b, i * parts(n, lanes) + p);
  }
  bool fixed = !wide(n, lanes) || !narrow_any(n, index, is_load);
  LExpr *at = fixed ? narrow_part(n, index, 0) : once(n, index);
  return wide(n, lanes) ? l_addi(n->b, at, (int64_t)p * n->lanes) : at;
}

/* Lane l takes l + lanes / 2 until one is left: whole parts first, then inside the last one. */
static LExpr *reduce(Narrow *n, const LExpr *e)
{
  int lanes = e->reduce.from->lanes, count = parts(n, lanes);
  ScalarOp op = (ScalarOp)e->reduce.op;
  Parts x;
  for (int p = 0; p < count; p++)
    x[p] = narrow_part(n, e->reduce.from, p);
  for (int half = count / 2; half > 0; half /= 2)
    for (int p = 0; p < half; p++)
      x[p] = l_op(n->b, op, x[p], x[p + half], NULL);
  return x[0]->lanes > 1 ? l_reduce(n->b, op, x[0]) : x[0];
}

void narrow_bind(Narrow *n, const LVar *v, LExpr *const *value, PartsHow how)
{
  for (int p = 0; p < parts(n, v->lanes); p++)
    n->var[v->id][p] = value[how == PARTS_SAME ? 0 : p];
  n->uniform[v->id] = how == PARTS_SAME;
}

/* Part p of the call of a function that is put in place: all parts are made at once. */
static LExpr *inline_call(Narrow *n, LExpr *e, int p)
{
  const LFunc *f = e->call.fn;
  Shared *have = find_shared(n, e);
  if (have)
    return have->to[p];
  Parts *arg = ARENA_ARRAY(n->arena, Parts, f->nparam + 1);
  for (int i = 0; i < f->nparam; i++)
    for (int q = 0; q < parts(n, f->param[i]->lanes); q++)
      arg[i][q] = l_let(n->b, f->param[i]->name, narrow_part(n, e->call.arg[i], q));
  for (int i = 0; i < f->nparam; i++)
    narrow_bind(n, f->param[i], arg[i], PARTS_DIFFER);
  SharedList outer = n->shared, none = { 0 };
  const LStmt *now = n->now;
  n->shared = none;
  narrow_body(n, f->body);
  LExpr **result = ARENA_ARRAY(n->arena, LExpr *, LANES_MAX);
  n->shared.n = 0;
  n->now = NULL;
  for (int q = 0; q < parts(n, e->lanes); q++)
    result[q] = l_let(n->b, "y", narrow_part(n, f->result, q));
  n->shared = outer;
  n->now = now;
  Shared made = { e, now, result };
  vec_push(n->arena, &n->shared, made);
  return result[p];
}

static LExpr *call(Narrow *n, LExpr *e, int p)
{
  const Func *f = func_of(n, e->call.fn);
  Parts arg;
  if (f->how == FUNC_INLINED)
    return inline_call(n, e, p);
  for (int i = 0; i < e->call.narg; i++) {
    LExpr *x = e->call.arg[i];
    arg[i] = wide(n, e->lanes) && !wide(n, x->lanes) ? once(n, x) : narrow_part(n, x, p);
  }
  return l_call(n->b, f->to, arg, e->call.narg);
}

/* Zipped whole, parts i of both operands make parts 2i and 2i + 1. */
static LExpr *zip(Narrow *n, const LExpr *e, int p)
{
  int count = parts(n, e->lanes), at = e->op.op == SC_ziphi ? count + p : p;
  if (!wide(n, e->lanes))
    at = e->op.op == SC_ziphi;
  LExpr *x = narrow_part(n, e->op.arg[0], at / 2), *y = narrow_part(n, e->op.arg[1], at / 2);
  if (x->lanes == 1)
    return at % 2 ? y : x;
  return l_op(n->b, at % 2 ? SC_ziphi : SC_ziplo, x, y, NULL);
}

static LExpr *op(Narrow *n, const LExpr *e, int p)
{
  LExpr *arg[3] = { NULL };
  if (zips(e))
    return zip(n, e, p);
  for (int i = 0; i < scalar_defs[e->op.op].arity; i++)
    arg[i] = narrow_part(n, e->op.arg[i], p);
  return l_op(n->b, (ScalarOp)e->op.op, arg[0], arg[1], arg[2]);
}

static LExpr *load(Narrow *n, const LExpr *e, int p)
{
  Buffer *buf = n->buf[e->load.buf->id];
  LExpr *index = narrow_index(n, e->load.buf, e->load.index, e->lanes, p);
  return l_load(n->b, buf, index, part_lanes(n, e->lanes));
}

LExpr *narrow_part(Narrow *n, LExpr *e, int p)
{
  Build *b = n->b;
  switch (e->kind) {
  case LE_INT: case LE_REAL: return e;
  case LE_VAR:
    if (!n->var[e->var->id][wide(n, e->lanes) ? p : 0])
      ice("narrow: variable '%s' has no value", e->var->name);
    return n->var[e->var->id][wide(n, e->lanes) ? p : 0];
  case LE_LOAD: return load(n, e, p);
  case LE_OP: return op(n, e, p);
  case LE_CAST: return l_cast(b, narrow_part(n, e->from, p), e->dtype);
  case LE_BITS: return l_bits(b, narrow_part(n, e->from, p), e->dtype);
  case LE_SPLAT: return splat(n, e);
  case LE_IOTA: {
    LExpr *first = l_iota(b, part_lanes(n, e->lanes));
    return p ? l_op(b, SC_add, first, l_real(b, (double)p * n->lanes), NULL) : first;
  }
  case LE_REDUCE: return reduce(n, e);
  case LE_CALL: return call(n, e, p);
  }
  ice("narrow: expression of kind %d", (int)e->kind);
}

