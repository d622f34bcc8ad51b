/* Splitting wide values. The module is built anew, statement by statement. Assignments that follow one
 * another form a run: first come its scalars and what is the same in every part, then all of part 0,
 * then all of part 1 .., so that few values are alive at a time. A run ends where parts would meet: at a
 * sum over lanes, and at memory that one statement writes and another reads at some other place.
 *
 * Functions that work lane by lane are written again in fewer lanes ("exp_16" becomes "exp_8"); any
 * other one that holds wide values is put in place of its calls. */
#include "loop/narrow.h"
#include "base/str.h"
#include "loop/expr.h"
#include <string.h>

typedef enum { FUNC_KEPT, FUNC_LANEWISE, FUNC_INLINED } FuncHow;

typedef struct {
  const LFunc *from;
  FuncHow how;
  const LFunc *to;              /* INLINED: NULL */
} Func;

/* An expression that the parts of a statement share. */
typedef struct {
  const LExpr *from;
  const LStmt *in;
  LExpr **to;                   /* by part */
} Shared;

/* Memory that a statement of the run touches. */
typedef struct {
  const Buffer *buf;
  const LExpr *index;
  int lanes;
  bool store;
} Touch;

typedef LExpr *Parts[LANES_MAX];
typedef VEC(const LStmt *) Run;
typedef VEC(Touch) Touches;
typedef VEC(Shared) SharedList;

typedef struct {
  const Module *m;
  Build *b;
  Arena *arena;
  int lanes;                    /* of a part */
  Parts *var;                   /* by id of m's variables: their values now */
  Buffer **buf;                 /* by id of m's buffers: formals and registers now */
  VEC(Func) funcs;
  bool *uniform;                /* by id: all parts of the variable are the same */
  SharedList shared;            /* of the current run */
  const LStmt *now;             /* statement being split */
} Narrow;

static void body(Narrow *n, const LStmt *first);

static bool wide(const Narrow *n, int lanes) { return lanes > n->lanes; }

static int parts(const Narrow *n, int lanes) { return wide(n, lanes) ? lanes / n->lanes : 1; }

static int part_lanes(const Narrow *n, int lanes) { return wide(n, lanes) ? n->lanes : lanes; }

static const Func *func_of(const Narrow *n, const LFunc *f)
{
  for (uint32_t i = 0; i < n->funcs.n; i++)
    if (n->funcs.at[i].from == f)
      return &n->funcs.at[i];
  ice("narrow: function '%s' is called before it stands", f->name);
}

/* ---- questions about expressions ---- */

typedef bool (*Test)(const Narrow *n, const LExpr *e);
typedef struct { const Narrow *n; Test test; bool found; } Search;

static void search(void *ctx, const LExpr *e)
{
  Search *s = ctx;
  s->found = s->found || s->test(s->n, e);
  if (!s->found)
    lexpr_each(e, search, s);
}

/* Does the test hold for e or something in it? */
static bool any(const Narrow *n, const LExpr *e, Test test)
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

/* Needs all parts of a value at once. */
static bool is_meeting(const Narrow *n, const LExpr *e)
{
  return (e->kind == LE_REDUCE && wide(n, e->reduce.from->lanes)) ||
         (e->kind == LE_CALL && func_of(n, e->call.fn)->how == FUNC_INLINED);
}

static bool is_changed(const Narrow *n, const LExpr *e)
{
  return wide(n, e->lanes) || is_meeting(n, e);
}

/* Not the same function of its operands in every lane. */
static bool is_mixing(const Narrow *n, const LExpr *e)
{
  return is_meeting(n, e) || (e->kind == LE_IOTA && wide(n, e->lanes));
}

static bool is_leaf(const LExpr *e)
{
  return e->kind == LE_INT || e->kind == LE_REAL || e->kind == LE_VAR;
}

/* Are all parts of e the same expression? */
static bool uniform(const Narrow *n, const LExpr *e)
{
  bool all = true;
  if (!wide(n, e->lanes))
    return true;
  switch (e->kind) {
  case LE_VAR: return n->uniform[e->var->id];
  case LE_OP:
    for (int i = 0; i < scalar_defs[e->op.op].arity; i++)
      all = all && uniform(n, e->op.arg[i]);
    return all;
  case LE_CAST: case LE_BITS: return uniform(n, e->from);
  case LE_CALL:
    all = func_of(n, e->call.fn)->how == FUNC_LANEWISE;
    for (int i = 0; i < e->call.narg; i++)
      all = all && uniform(n, e->call.arg[i]);
    return all;
  case LE_SPLAT: return true;
  case LE_INT: case LE_REAL: case LE_LOAD: case LE_IOTA: case LE_REDUCE: break;
  }
  return false;
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

/* ---- expressions ---- */

static LExpr *part(Narrow *n, LExpr *e, int p);

static Shared *find_shared(Narrow *n, const LExpr *e)
{
  for (uint32_t i = 0; i < n->shared.n; i++)
    if (n->shared.at[i].from == e && n->shared.at[i].in == n->now)
      return &n->shared.at[i];
  return NULL;
}

/* A value that is the same in every part, computed once. */
static LExpr *once(Narrow *n, LExpr *e)
{
  if (is_leaf(e))
    return part(n, e, 0);
  Shared *have = find_shared(n, e);
  if (have)
    return have->to[0];
  LExpr *value = e->kind == LE_SPLAT
                     ? l_splat(n->b, part(n, e->from, 0), part_lanes(n, e->lanes))
                     : part(n, e, 0);
  Shared made = { e, n->now, ARENA_ARRAY(n->arena, LExpr *, 1) };
  made.to[0] = l_let(n->b, e->dtype == DT_I64 && e->lanes == 1 ? "at" : "s", value);
  vec_push(n->arena, &n->shared, made);
  return made.to[0];
}

static LExpr *splat(Narrow *n, LExpr *e)
{
  int lanes = part_lanes(n, e->lanes);
  if (!wide(n, e->lanes) || is_leaf(e->from))
    return l_splat(n->b, part(n, e->from, 0), lanes);
  return once(n, e);
}

/* The place of part p of an access in `lanes` lanes. */
static LExpr *place(Narrow *n, const Buffer *buf, LExpr *index, int lanes, int p)
{
  int64_t i;
  if (buf->role == BUF_REGISTER) {
    if (!lexpr_is_int(index, &i))
      ice("narrow: register '%s' has no constant index", buf->name);
    return l_int(n->b, i * parts(n, lanes) + p);
  }
  bool fixed = !wide(n, lanes) || !any(n, index, is_load);
  LExpr *at = fixed ? part(n, index, 0) : once(n, index);
  return wide(n, lanes) ? l_addi(n->b, at, (int64_t)p * n->lanes) : at;
}

/* Lane l takes l + lanes / 2 until one is left: whole parts first, then inside the last one. */
static LExpr *reduce(Narrow *n, const LExpr *e)
{
  int lanes = e->reduce.from->lanes, count = parts(n, lanes);
  ScalarOp op = (ScalarOp)e->reduce.op;
  Parts x;
  for (int p = 0; p < count; p++)
    x[p] = part(n, e->reduce.from, p);
  for (int half = count / 2; half > 0; half /= 2)
    for (int p = 0; p < half; p++)
      x[p] = l_op(n->b, op, x[p], x[p + half], NULL);
  return x[0]->lanes > 1 ? l_reduce(n->b, op, x[0]) : x[0];
}

static void bind(Narrow *n, const LVar *v, LExpr *const *value, bool same)
{
  for (int p = 0; p < parts(n, v->lanes); p++)
    n->var[v->id][p] = value[same ? 0 : p];
  n->uniform[v->id] = same;
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
      arg[i][q] = l_let(n->b, f->param[i]->name, part(n, e->call.arg[i], q));
  for (int i = 0; i < f->nparam; i++)
    bind(n, f->param[i], arg[i], false);
  SharedList outer = n->shared, none = { 0 };
  const LStmt *now = n->now;
  n->shared = none;
  body(n, f->body);
  LExpr **result = ARENA_ARRAY(n->arena, LExpr *, LANES_MAX);
  n->shared.n = 0;
  n->now = NULL;
  for (int q = 0; q < parts(n, e->lanes); q++)
    result[q] = l_let(n->b, "y", part(n, f->result, q));
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
    arg[i] = wide(n, e->lanes) && !wide(n, x->lanes) ? once(n, x) : part(n, x, p);
  }
  return l_call(n->b, f->to, arg, e->call.narg);
}

static LExpr *op(Narrow *n, const LExpr *e, int p)
{
  LExpr *arg[3] = { NULL };
  for (int i = 0; i < scalar_defs[e->op.op].arity; i++)
    arg[i] = part(n, e->op.arg[i], p);
  return l_op(n->b, (ScalarOp)e->op.op, arg[0], arg[1], arg[2]);
}

static LExpr *load(Narrow *n, const LExpr *e, int p)
{
  Buffer *buf = n->buf[e->load.buf->id];
  LExpr *index = place(n, e->load.buf, e->load.index, e->lanes, p);
  return l_load(n->b, buf, index, part_lanes(n, e->lanes));
}

/* Part p of e; e itself, rebuilt, when it is not wide. */
static LExpr *part(Narrow *n, LExpr *e, int p)
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
  case LE_CAST: return l_cast(b, part(n, e->from, p), e->dtype);
  case LE_BITS: return l_bits(b, part(n, e->from, p), e->dtype);
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
  return any(n, value_of(s), is_meeting) || (s->kind == LS_STORE && any(n, s->store.index, is_meeting));
}

/* Scalars, and values that are the same in every part, open a run. */
static bool opens(const Narrow *n, const LStmt *s)
{
  if (s->kind == LS_NOTE)
    return false;
  return !wide(n, value_of(s)->lanes) || (s->kind == LS_LET && uniform(n, s->let.value));
}

static void split_let(Narrow *n, const LStmt *s, int p)
{
  LExpr *value = s->let.value;
  const LVar *v = s->let.var;
  int count = parts(n, v->lanes);
  if (count > 1 && !uniform(n, value)) {
    const char *name = arena_printf(n->arena, "%s_%d", v->name, p);
    n->var[v->id][p] = l_let(n->b, name, part(n, value, p));
    return;
  }
  LExpr *made = value->kind == LE_SPLAT
                    ? l_splat(n->b, part(n, value->from, 0), part_lanes(n, value->lanes))
                    : part(n, value, 0);
  made = l_let(n->b, v->name, made);
  bind(n, v, &made, true);
}

static void split_store(Narrow *n, const LStmt *s, int p, LExpr *value)
{
  LExpr *index = place(n, s->store.buf, s->store.index, s->store.value->lanes, p);
  l_store(n->b, n->buf[s->store.buf->id], index, value);
}

/* How many times the run goes over a statement. */
static int rounds(const Narrow *n, const LStmt *s)
{
  if (s->kind == LS_NOTE)
    return 1;
  return s->kind == LS_LET && uniform(n, s->let.value) ? 1 : parts(n, value_of(s)->lanes);
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
      if (p >= count[i])
        continue;
      if (s->kind == LS_LET)
        split_let(n, s, p);
      else if (s->kind == LS_STORE)
        split_store(n, s, p, part(n, s->store.value, p));
      else
        l_note(n->b, "%s", s->note.text);
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
    value[p] = part(n, s->store.value, p);
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
      n->uniform[s->let.var->id] = uniform(n, s->let.value);
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
  LExpr *lo = part(n, s->loop.lo, 0), *hi = part(n, s->loop.hi, 0);
  const LVar *v = s->loop.var;
  n->var[v->id][0] = l_var(n->b, l_loop(n->b, v->name, lo, hi, s->loop.step, s->loop.how));
  body(n, s->loop.body);
  l_end(n->b);
}

static void split_if(Narrow *n, const LStmt *s)
{
  l_if(n->b, part(n, s->branch.cond, 0));
  body(n, s->branch.then);
  if (s->branch.otherwise) {
    l_else(n->b);
    body(n, s->branch.otherwise);
  }
  l_end(n->b);
}

static void split_call(Narrow *n, const LStmt *s)
{
  const Module *to = build_module(n->b);
  for (uint32_t i = 0; i < n->m->kernels.n; i++)
    if (n->m->kernels.at[i] == s->call.kernel) {
      l_call_kernel(n->b, to->kernels.at[i], s->call.arg, part(n, s->call.lo, 0),
                    part(n, s->call.hi, 0));
      return;
    }
  ice("narrow: a call of kernel '%s', which is not of the module", s->call.kernel->name);
}

static void body(Narrow *n, const LStmt *first)
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
    case LS_BARRIER: l_barrier(n->b); break;
    case LS_LET: case LS_STORE: case LS_NOTE: break;
    }
    s = s->next;
  }
}

/* ---- functions, kernels, step functions ---- */

static bool func_any(const Narrow *n, const LFunc *f, Test test)
{
  bool found = any(n, f->result, test);
  for (const LStmt *s = f->body; s && !found; s = s->next)
    found = s->kind == LS_LET && any(n, s->let.value, test);
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
    bind(n, v, &x, true);
  }
  body(n, f->body);
  n->now = NULL;
  n->shared.n = 0;
  l_func_end(n->b, to, part(n, f->result, 0));
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
    n->buf[r->id] = l_registers(n->b, r->name, (int)r->dtype, part_lanes(n, r->lanes),
                                r->extent * parts(n, r->lanes));
  }
  n->var[k->lo->id][0] = l_var(n->b, to->lo);
  n->var[k->hi->id][0] = l_var(n->b, to->hi);
  n->var[k->n->id][0] = l_var(n->b, to->n);
  body(n, k->body);
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
  body(n, h->body);
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
  Narrow n = { .m = m, .b = build_new(to), .arena = a, .lanes = lanes,
               .var = ARENA_ARRAY(a, Parts, m->next_id), .buf = ARENA_ARRAY(a, Buffer *, m->next_id),
               .uniform = ARENA_ARRAY(a, bool, m->next_id) };
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
