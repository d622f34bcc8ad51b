/* Statements of models and blocks: names for values, `repeat`, `if`, and the results of a
 * signature. A round of `repeat` may give a new value to a name from outside; names that it makes
 * itself end with it. Only the branch of an `if` that holds is read. */
#include "sema/sema.h"

static const Value none = { NULL, 0 };

enum { ROUNDS_MAX = 16384 };    /* of all `repeat` of a file together */

/* What the statements of one body have come to. */
typedef struct {
  const Ast *ret;               /* `return`, or NULL */
  bool complete;                /* the parser refused no statement */
  bool stopped;                 /* a mistake that the following statements would repeat */
} Flow;

/* ---- names ---- */

static void let(Sema *s, const Ast *st)
{
  const Ast *names = st->let.names;
  s->ntuple = 0;
  sema_statement(s, names->kind == AST_NAME ? names->name.text : "layer", st->let.value);
  Value v = sema_value(s, st->let.value, OP_LAYER);
  bool tuple = v.node && s->ntuple > 1 && value_equal(s->tuple[0], v);
  int n = ast_length(names), have = tuple ? s->ntuple : v.node ? (int)v.node->nout : n, i = 0;
  if (n > 1 && n != have) {
    diag_error(s->diag, st->at, "E0308", "%d names for %d result%s of `%s`", n, have,
               have == 1 ? "" : "s", tuple ? "the block" : v.node->op->name);
    v = none;
  }
  for (const Ast *name = names; name; name = name->next, i++) {
    if (name->kind != AST_NAME)
      continue;
    Name entry = { .text = name->name.text, .kind = NAME_VALUE, .at = name->at, .value = v };
    if (tuple && v.node)
      entry.value = s->tuple[i];
    sema_define(s, entry);
    v.result += v.node != NULL;
  }
}

/* ---- repeat ---- */

static void statements(Sema *s, const Ast *list, Flow *flow);

/* New values of names from outside outlive their round. */
static void end_round(Sema *s)
{
  for (uint32_t i = s->scope.round; i < s->names.n; i++) {
    Name *inner = &s->names.at[i];
    bool of_block = inner->closed;
    inner->closed = true;
    Name *outer = of_block || inner->kind != NAME_VALUE ? NULL
                                                        : sema_find(s, inner->text, NAME_VALUE);
    if (!outer)
      continue;
    outer->value = inner->value;
    outer->at = inner->at;
    inner->used = true;
  }
}

static bool bounds(Sema *s, const Ast *range, int64_t *from, int64_t *to)
{
  if (range->kind == AST_ERROR)
    return false;
  if (range->kind != AST_RANGE) {
    diag_error(s->diag, range->at, "E0316", "`repeat` counts from one number to another");
    diag_help(s->diag, "write `repeat i in 1..3 { .. }`");
    return false;
  }
  bool ok = sema_int(s, range->range.from, "the first number of `repeat`", INT32_MIN, INT32_MAX,
                     from);
  return sema_int(s, range->range.to, "the last number of `repeat`", INT32_MIN, INT32_MAX, to) &&
         ok;
}

static void repeat(Sema *s, const Ast *st, Flow *flow)
{
  int64_t from = 0, to = -1;
  int errors = diag_errors(s->diag);
  if (!bounds(s, st->repeat.range, &from, &to))
    return;
  Scope outer = s->scope;
  for (int64_t i = from; i <= to && diag_errors(s->diag) == errors; i++) {
    if (++s->rounds > ROUNDS_MAX) {
      diag_error(s->diag, st->repeat.range->at, "E0602", "`repeat` makes more than %d rounds",
                 ROUNDS_MAX);
      break;
    }
    s->scope.round = s->names.n;
    s->scope.suffix = arena_printf(s->arena, *outer.suffix ? "%s_%lld" : "%s%lld", outer.suffix,
                                   (long long)i);
    Name var = { .text = st->repeat.var,
                 .kind = NAME_CONST,
                 .at = st->repeat.var_at,
                 .constant = { CONST_NUMBER, (double)i, NULL },
                 .used = true };
    sema_define(s, var);
    statements(s, st->repeat.body, flow);
    end_round(s);
    s->scope = outer;
  }
  flow->stopped = flow->stopped || diag_errors(s->diag) > errors;
}

/* ---- if ---- */

/* What the branch that is not read would use counts as used. */
static void mark_used(Sema *s, const Ast *list)
{
  for (; list; list = list->next) {
    Ast *child[CHILDREN_MAX];
    int n = ast_children(list, child);
    Name *name = list->kind == AST_NAME ? sema_find(s, list->name.text, NAME_NUMBER | NAME_VALUE)
                                        : NULL;
    if (name)
      name->used = true;
    for (int i = 0; i < n; i++)
      mark_used(s, child[i]);
  }
}

static void branch(Sema *s, const Ast *st, Flow *flow)
{
  Const c;
  int errors = diag_errors(s->diag);
  const Ast *cond = st->branch.cond;
  if (cond->kind != AST_ERROR && sema_is_tensor(s, cond)) {
    diag_error(s->diag, cond->at, "E0316", "`if` is decided when compiling, but this is a tensor");
    diag_help(s->diag, "compare params, consts and dimensions: `if c != f { .. }`");
  } else if (sema_const(s, cond, &c) && c.kind != CONST_BOOL) {
    diag_error(s->diag, cond->at, "E0316", "`if` needs a comparison, not %s",
               c.kind == CONST_NUMBER ? "a number" : "a text");
    diag_help(s->diag, "for example `if n > 0 { .. }`");
  } else if (diag_errors(s->diag) == errors) {
    statements(s, c.number ? st->branch.then : st->branch.otherwise, flow);
    mark_used(s, c.number ? st->branch.otherwise : st->branch.then);
    return;
  }
  flow->stopped = true;
}

static void statements(Sema *s, const Ast *list, Flow *flow)
{
  for (const Ast *st = list; st && !flow->stopped; st = st->next) {
    flow->complete = flow->complete && st->kind != AST_ERROR;
    if (flow->ret && st->kind != AST_ERROR) {
      diag_error(s->diag, st->at, "E0309", "nothing may follow `return`");
      diag_note(s->diag, flow->ret->at, "the %s ends here", s->scope.prefix ? "block" : "model");
      flow->stopped = true;
    } else if (st->kind == AST_LET) {
      let(s, st);
    } else if (st->kind == AST_RETURN && s->scope.round) {
      diag_error(s->diag, st->at, "E0309", "`return` cannot stand in `repeat`");
      diag_help(s->diag, "give the value a name before `repeat`, and return that behind it");
      flow->stopped = true;
    } else if (st->kind == AST_RETURN) {
      flow->ret = st;
    } else if (st->kind == AST_REPEAT) {
      repeat(s, st, flow);
    } else if (st->kind == AST_IF) {
      branch(s, st, flow);
    }
  }
}

/* ---- results ---- */

bool sema_same_kind(const Type *a, const Type *b)
{
  bool dtype = a->dtype == b->dtype || (dtype_is_real(a->dtype) && dtype_is_real(b->dtype));
  return dtype && type_same_shape(a, b);
}

static bool is_new(Sema *s, const Ast *dim)
{
  return dim->kind == AST_NAME && !sema_find(s, dim->name.text, NAME_NUMBER);
}

/* `*s` takes `width` dimensions from axis `first` on, unless it has some already. */
static void bind_pack(Sema *s, const Ast *d, const Type *have, int first, int width)
{
  if (sema_find(s, d->name.text, NAME_PACK))
    return;
  Name pack = { .text = d->name.text, .kind = NAME_PACK, .at = d->at, .used = true };
  pack.pack = type_make(have->dtype, true, width, have->dim + first);
  sema_define(s, pack);
}

bool sema_bind_dims(Sema *s, const Ast *formal, Value v)
{
  const Ast *type = formal->formal.type;
  if (!v.node || type->kind != AST_TYPE || !type->type.has_dims)
    return true;
  Type have = *value_type(v);
  int n = 0, packs = 0, i = 0;
  for (const Ast *d = type->type.dims; d; d = d->next) {
    packs += d->kind == AST_PACK;
    n += d->kind != AST_PACK;
  }
  for (const Ast *d = type->type.dims; d; d = d->next, i++) {
    if (packs > 1) {
      diag_error(s->diag, d->at, "E0331", "a type leaves dimensions open once: `*s`");
      return false;
    }
    if (d->kind == AST_PACK && n <= have.rank) {
      bind_pack(s, d, &have, i, have.rank - n);
      i += have.rank - n - 1;
      continue;
    }
    if (!is_new(s, d) && d->kind != AST_PACK)
      continue;
    if (packs ? n > have.rank : n != have.rank) {
      diag_error(s->diag, type->at, "E0210", "`%s` is wanted with %s%d dimension%s, but it is %s",
                 formal->formal.name, packs ? "at least " : "", n, n == 1 ? "" : "s",
                 type_user(s->arena, &have));
      return false;
    }
    Name dim = { .text = d->name.text,
                 .kind = NAME_CONST,
                 .at = d->at,
                 .constant = { CONST_NUMBER, (double)have.dim[i], NULL },
                 .is_dim = true,
                 .used = true };
    sema_define(s, dim);
  }
  return true;
}

static bool check_result(Sema *s, const Ast *formal, const char *name, Value v)
{
  Type want;
  if (!formal->formal.type || !sema_type(s, formal->formal.type, &want) || !v.node)
    return false;
  if (sema_same_kind(&want, value_type(v)))
    return true;
  diag_error(s->diag, formal->formal.type->at, "E0212",
             "the result %s%s%sis %s, but the signature says %s", *name ? "`" : "", name,
             *name ? "` " : "", type_user(s->arena, value_type(v)), type_user(s->arena, &want));
  diag_note(s->diag, v.node->at, "the value is made here");
  sema_trace(s, v);
  return false;
}

const char *sema_result_name(Sema *s, const Ast *formal, int index, int count)
{
  if (formal->formal.name)
    return formal->formal.name;
  if (s->scope.prefix)
    return "";
  return count == 1 ? "output" : arena_printf(s->arena, "output%d", index + 1);
}

static Value add_result(Sema *s, const Ast *formal, const char *name, Value v)
{
  bool good = check_result(s, formal, name, v);
  Name *known = sema_find(s, name, NAME_VALUE);
  if (known) {
    known->named_result = true;
    if (!good)
      known->value = none;
  } else if (*name) {
    Name n = { .text = name,
               .kind = NAME_VALUE,
               .at = formal->at,
               .value = good ? v : none,
               .named_result = true };
    sema_define(s, n);
  }
  return good ? v : none;
}

/* `return a, b;`: the results in order. Layers of a returned expression are named after the
 * result. */
static void returned(Sema *s, const Ast *ret, const Ast *results, Value *out)
{
  int want = ast_length(results), have = ast_length(ret->ret.values), i = 0;
  if (have != want) {
    diag_error(s->diag, ret->at, "E0309",
               "the %s returns %d value%s, but its signature has %d result%s",
               s->scope.prefix ? "block" : "model", have, have == 1 ? "" : "s", want,
               want == 1 ? "" : "s");
    return;
  }
  const Ast *e = ret->ret.values;
  for (const Ast *r = results; r; r = r->next, e = e->next, i++) {
    if (r->kind != AST_FORMAL)
      continue;
    const char *name = sema_result_name(s, r, i, want);
    sema_statement(s, name, e);
    out[i] = add_result(s, r, name, sema_value(s, e, OP_LAYER));
  }
}

static void missing_result(Sema *s, const Ast *formal)
{
  const char *what = s->scope.prefix ? "block" : "model";
  if (!formal->formal.name) {
    diag_error(s->diag, formal->at, "E0309", "the %s returns nothing", what);
    diag_help(s->diag, "end it with `return x;`, or name the result: -> y: f32[..]");
    return;
  }
  const char **words = ARENA_ARRAY(s->arena, const char *, s->names.n + 1);
  int n = 0;
  for (uint32_t i = 0; i < s->names.n; i++)
    if (s->names.at[i].kind == NAME_VALUE && sema_in_scope(s, i))
      words[n++] = s->names.at[i].text;
  diag_error(s->diag, formal->formal.name_at, "E0309", "the result `%s` is never given a value",
             formal->formal.name);
  sema_suggest(s, formal->formal.name, words, n, arena_printf(s->arena, "values of the %s", what));
}

void sema_results(Sema *s, const Ast *results, Value *out)
{
  int i = 0;
  for (const Ast *r = results; r; r = r->next, i++) {
    if (r->kind != AST_FORMAL)
      continue;
    Name *n = r->formal.name ? sema_find(s, r->formal.name, NAME_VALUE) : NULL;
    if (n || out[i].node)
      out[i] = add_result(s, r, n ? n->text : "", n ? n->value : out[i]);
    else
      missing_result(s, r);
  }
}

/* Not complete: statements were left out after a mistake. What they would have made is known by
 * its name and has no value, so that those who read it repeat no error. */
static void results_by_name(Sema *s, const Ast *results, bool complete, Value *out)
{
  int i = 0;
  for (const Ast *r = results; r; r = r->next, i++) {
    Name *n =
        r->kind == AST_FORMAL && r->formal.name ? sema_find(s, r->formal.name, NAME_VALUE) : NULL;
    if (n)
      out[i] = add_result(s, r, n->text, n->value);
    else if (r->kind == AST_FORMAL && complete)
      missing_result(s, r);
    else if (r->kind == AST_FORMAL && r->formal.name)
      sema_define(s, (Name){ .text = r->formal.name, .kind = NAME_VALUE, .at = r->at,
                             .value = none, .used = true });
  }
}

void sema_body(Sema *s, const Ast *body, const Ast *results, Value *out)
{
  Flow flow = { .complete = true };
  for (int i = 0; i < RESULTS_MAX; i++)
    out[i] = none;
  statements(s, body, &flow);
  if (flow.ret)
    returned(s, flow.ret, results, out);
  else
    results_by_name(s, results, flow.complete && !flow.stopped, out);
}
