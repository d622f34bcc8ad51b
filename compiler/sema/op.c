/* Statements of an `op`, in index notation, as graph nodes. What reads all its tensors at the same
 * places becomes elementwise nodes on whole tensors; products, shifted places and sums become one
 * node of an index map; anything else is first spread over the indices that it mentions. */
#include "sema/index.h"

enum { FACTORS_MAX = 6, OPERANDS_MAX = 8 };

/* A value read at places: an element for each tuple of indices. */
typedef struct {
  Value v;
  int rank;                     /* of v */
  AxisPlace place[RANK_MAX];
  int nguard;                   /* conditions beside the places, from what was spread */
  AxisPlace guard[GUARDS_MAX];
} Term;

typedef struct {
  Term at[FACTORS_MAX];
  int n;
  double scale;
} Product;

static bool eval(Indices *x, const Ast *e, Term *out);

/* ---- nodes ---- */

/* "h.mish.y.exp", and "h.mish.y.exp2" for the second one of the statement. */
static const char *node_path(Indices *x, const OpDef *op)
{
  Sema *s = x->s;
  uint32_t i = 0;
  while (i < s->calls.n && !str_eq(s->calls.at[i].op, op->name))
    i++;
  if (i == s->calls.n)
    vec_push(s->arena, &s->calls, ((CallCount){ op->name, 1, 0 }));
  if (++s->calls.at[i].seen == 1)
    return arena_printf(s->arena, "%s.%s", s->statement, op->name);
  return arena_printf(s->arena, "%s.%s%d", s->statement, op->name, s->calls.at[i].seen);
}

static bool node(Indices *x, const OpDef *op, const void *attrs, const Value *in, int n, Span at,
                 Value *out)
{
  *out = sema_node(x->s, op, attrs ? attrs : sema_attrs_new(x->s, op), in, (uint32_t)n,
                   node_path(x, op), at);
  return out->node != NULL;
}

static Value number_value(Indices *x, double v, Span at)
{
  double *p = arena_alloc(x->s->arena, sizeof *p);
  *p = v;
  return sema_constant(x->s, (Literal){ .rank = 0, .value = p }, at);
}

static bool same_place(const AxisPlace *a, const AxisPlace *b)
{
  bool same = a->offset == b->offset && a->extent == b->extent;
  for (int t = 0; t < INDICES_MAX; t++)
    same = same && a->c[t] == b->c[t];
  return same;
}

/* Adds the conditions under which a term counts. */
static bool add_guard(Indices *x, AxisPlace *list, int *n, const AxisPlace *p)
{
  for (int i = 0; i < *n; i++)
    if (same_place(&list[i], p))
      return true;
  if (*n == GUARDS_MAX) {
    diag_error(x->s->diag, x->st->at, "E0602", "a statement has more than %d places that may lie "
               "outside", GUARDS_MAX);
    return false;
  }
  list[(*n)++] = *p;
  return true;
}

static bool guards_of(Indices *x, const Term *t, AxisPlace *list, int *n)
{
  bool ok = true;
  for (int i = 0; i < t->rank; i++)
    if (place_may_miss(x, &t->place[i]))
      ok = ok && add_guard(x, list, n, &t->place[i]);
  for (int i = 0; i < t->nguard; i++)
    ok = ok && add_guard(x, list, n, &t->guard[i]);
  return ok;
}

/* ---- index maps ---- */

/* Which indices a node runs over, in its own order: those of its result first. */
typedef struct { int at[INDICES_MAX], n, rank; } Space;

static void put_row(const Space *space, const AxisPlace *p, double *row)
{
  for (int i = 0; i < space->n; i++)
    row[i] = (double)p->c[space->at[i]];
  row[space->n] = (double)p->offset;
  row[space->n + 1] = 1;
  row[space->n + 2] = (double)p->extent;
}

static const void *map_attrs(Indices *x, const OpDef *op, const Space *space, const Term *term,
                             int nterm, const AxisPlace *guard, int nguard)
{
  Sema *s = x->s;
  int width = space->n + 3, rows = nguard, r = 0;
  const char *names = "";
  for (int k = 0; k < nterm; k++)
    rows += term[k].rank;
  double *v = ARENA_ARRAY(s->arena, double, rows * width + 1);
  double *extent = ARENA_ARRAY(s->arena, double, space->n + 1);
  for (int k = 0; k < nterm; k++)
    for (int i = 0; i < term[k].rank; i++)
      put_row(space, &term[k].place[i], v + r++ * width);
  for (int i = 0; i < nguard; i++)
    put_row(space, &guard[i], v + r++ * width);
  for (int i = 0; i < space->n; i++) {
    extent[i] = (double)x->index[space->at[i]].extent;
    names = arena_printf(s->arena, "%s%s%s", names, i ? " " : "", x->index[space->at[i]].name);
  }
  void *a = sema_attrs_new(s, op);
  *(int64_t *)sema_attr_at(op, a, "rank", ATTR_int) = space->rank;
  *(const char **)sema_attr_at(op, a, "names", ATTR_name) = space->n ? names : NULL;
  if (space->n)
    *(Literal *)sema_attr_at(op, a, "extent", ATTR_literal) =
        (Literal){ .rank = 1, .dim = { space->n }, .value = extent };
  if (rows)
    *(Literal *)sema_attr_at(op, a, "rows", ATTR_literal) =
        (Literal){ .rank = 2, .dim = { rows, width }, .value = v };
  return a;
}

static bool map_node(Indices *x, const char *role, const Space *space, const Term *term, int nterm,
                     const AxisPlace *guard, int nguard, Value *out)
{
  const OpDef *op = sema_known(x->s, role);
  Value in[FACTORS_MAX];
  for (int k = 0; k < nterm; k++)
    in[k] = term[k].v;
  const void *attrs = map_attrs(x, op, space, term, nterm, guard, nguard);
  return node(x, op, attrs, in, nterm, x->st->at, out);
}

/* True when the term is its tensor itself over the space. */
static bool is_whole(const Indices *x, const Term *t, const Space *space)
{
  if (t->nguard || t->rank != space->rank)
    return false;
  for (int i = 0; i < t->rank; i++) {
    AxisPlace plain = { .extent = x->index[space->at[i]].extent };
    plain.c[space->at[i]] = 1;
    if (!same_place(&plain, &t->place[i]))
      return false;
  }
  return true;
}

static void mention(const Indices *x, const AxisPlace *p, bool *seen)
{
  for (int t = 0; t < x->n; t++)
    seen[t] = seen[t] || p->c[t];
}

/* Spreads terms over all indices that they and their conditions mention. */
static bool spread(Indices *x, Term *term, int n, Span at)
{
  bool seen[INDICES_MAX] = { false };
  AxisPlace guard[GUARDS_MAX];
  int nguard = 0;
  for (int k = 0; k < n; k++) {
    if (!guards_of(x, &term[k], guard, &nguard))
      return false;
    for (int i = 0; i < term[k].rank; i++)
      mention(x, &term[k].place[i], seen);
  }
  for (int i = 0; i < nguard; i++)
    mention(x, &guard[i], seen);
  Space space = { .n = 0 };
  for (int t = 0; t < x->n; t++)
    if (seen[t])
      space.at[space.n++] = t;
  space.rank = space.n;
  if (space.n > RANK_MAX) {
    diag_error(x->s->diag, at, "E0602", "this expression depends on %d indices at once; the limit "
               "is %d", space.n, RANK_MAX);
    diag_help(x->s->diag, "make a part of it a statement of its own");
    return false;
  }
  for (int k = 0; k < n; k++) {
    if (term[k].rank == 0 || (!nguard && is_whole(x, &term[k], &space)))
      continue;
    Value v;
    if (!map_node(x, "index sum", &space, &term[k], 1, guard, nguard, &v))
      return false;
    term[k] = (Term){ .v = v, .rank = space.rank, .nguard = nguard };
    for (int i = 0; i < space.rank; i++) {
      term[k].place[i] = (AxisPlace){ .extent = x->index[space.at[i]].extent };
      term[k].place[i].c[space.at[i]] = 1;
    }
    for (int i = 0; i < nguard; i++)
      term[k].guard[i] = guard[i];
  }
  return true;
}

/* ---- elementwise ---- */

static bool alike(const Term *a, const Term *b)
{
  bool same = a->rank == b->rank && a->nguard == b->nguard;
  for (int i = 0; same && i < a->rank; i++)
    same = same_place(&a->place[i], &b->place[i]);
  for (int i = 0; same && i < a->nguard; i++)
    same = same_place(&a->guard[i], &b->guard[i]);
  return same;
}

/* op of terms, element by element; out may be one of them. */
static bool apply(Indices *x, const OpDef *op, const void *attrs, Term *term, int n, Span at,
                  Term *out)
{
  const Term *main = NULL;
  bool same = true;
  for (int k = 0; k < n; k++) {
    if (term[k].rank && main)
      same = same && alike(main, &term[k]);
    main = term[k].rank && !main ? &term[k] : main;
  }
  if (!same && !spread(x, term, n, at))
    return false;
  Value in[OPERANDS_MAX];
  for (int k = 0; k < n; k++)
    in[k] = term[k].v;
  Term result = main ? *main : term[0];
  if (!node(x, op, attrs, in, n, at, &result.v))
    return false;
  *out = result;
  return true;
}

/* ---- expressions ---- */

static bool mentions_tensor(Indices *x, const Ast *e)
{
  Ast *child[CHILDREN_MAX];
  if (e->kind == AST_INDEX || e->kind == AST_CALL)
    return true;
  if (e->kind == AST_NAME)
    return indices_find(x, e->name.text) >= 0 || sema_find(x->s, e->name.text, NAME_VALUE);
  int n = ast_children(e, child);
  for (int i = 0; i < n; i++)
    for (const Ast *c = child[i]; c; c = c->next)
      if (mentions_tensor(x, c))
        return true;
  return false;
}

static bool number(Indices *x, const Ast *e, Term *out)
{
  double v;
  *out = (Term){ .rank = 0 };
  if (!sema_number(x->s, e, &v))
    return false;
  out->v = number_value(x, v, e->at);
  return out->v.node != NULL;
}

/* An index as a number: the tensor 0, 1, 2 .. read at it. */
static bool counter(Indices *x, int t, Span at, Term *out)
{
  int64_t n = x->index[t].extent;
  double *v = ARENA_ARRAY(x->s->arena, double, n);
  for (int64_t i = 0; i < n; i++)
    v[i] = (double)(x->index[t].low + i);
  *out = (Term){ .rank = 1 };
  out->v = sema_constant(x->s, (Literal){ .rank = 1, .dim = { n }, .value = v }, at);
  out->place[0] = (AxisPlace){ .extent = n };
  out->place[0].c[t] = 1;
  x->index[t].used = true;
  return out->v.node != NULL;
}

static bool own_name(Indices *x, const char *name, Span at)
{
  if (!str_eq(name, x->st->assign.name))
    return false;
  diag_error(x->s->diag, at, "E0317", "`%s` is used in its own definition", name);
  diag_help(x->s->diag, "an op has no recursion: give the part another name");
  return true;
}

static Name *tensor_named(Indices *x, const char *name, Span at)
{
  Name *n = sema_find(x->s, name, NAME_VALUE);
  if (!n && !own_name(x, name, at))
    sema_unknown_name(x->s, at, name, NAME_VALUE);
  if (n)
    n->used = true;
  return n && n->value.node ? n : NULL;
}

static bool named(Indices *x, const Ast *e, Term *out)
{
  int t = indices_find(x, e->name.text);
  if (t >= 0)
    return counter(x, t, e->at, out);
  if (!sema_find(x->s, e->name.text, NAME_VALUE) && sema_find(x->s, e->name.text, NAME_NUMBER))
    return number(x, e, out);
  Name *n = tensor_named(x, e->name.text, e->at);
  if (!n)
    return false;
  *out = (Term){ .v = n->value };
  if (value_type(n->value)->rank == 0)
    return true;
  diag_error(x->s->diag, e->at, "E0331", "`%s` is a tensor %s: say which element", e->name.text,
             type_user(x->s->arena, value_type(n->value)));
  diag_help(x->s->diag, "for example %s[%s]", e->name.text,
            value_type(n->value)->rank == 1 ? "i" : "i,j");
  return false;
}

static bool element(Indices *x, const Ast *e, Term *out)
{
  Name *n = tensor_named(x, e->index.of, e->index.of_at);
  if (!n)
    return false;
  *out = (Term){ .v = n->value, .rank = value_type(n->value)->rank };
  return indices_places(x, e, value_type(n->value), out->place);
}

static bool operation(Indices *x, const Ast *e, const char *text, const Ast *left,
                      const Ast *right, Term *out)
{
  const char *name = sema_operator(text, right ? 2 : 1);
  const OpDef *op = name ? op_find(x->s->ops, name) : NULL;
  Term term[2];
  if (!op) {
    diag_error(x->s->diag, e->at, "E0301", "operator `%s` is not available between tensors", text);
    return false;
  }
  if (!eval(x, left, &term[0]) || (right && !eval(x, right, &term[1])))
    return false;
  return apply(x, op, NULL, term, right ? 2 : 1, e->at, out);
}

static bool power(Indices *x, const Ast *e, Term *out)
{
  const OpDef *op = sema_known(x->s, "power");
  if (mentions_tensor(x, e->binary.y)) {
    diag_error(x->s->diag, e->binary.y->at, "E0307", "the power must be a number");
    diag_help(x->s->diag, "x ** y with a tensor y is exp(y * log(x))");
    return false;
  }
  void *a = sema_attrs_new(x->s, op);
  if (!sema_number(x->s, e->binary.y, sema_attr_at(op, a, "exponent", ATTR_real)) ||
      !eval(x, e->binary.x, out))
    return false;
  return apply(x, op, a, out, 1, e->at, out);
}

/* ---- functions ---- */

static bool is_function(const OpDef *op)
{
  return op->cls == OP_EWISE && (op->flags & OP_LAYER);
}

static void unknown_function(Indices *x, const char *name, Span at)
{
  Sema *s = x->s;
  const char **words = ARENA_ARRAY(s->arena, const char *, s->ops->n + 1);
  int n = 0;
  for (int i = 0; i < s->ops->n; i++)
    if (is_function(s->ops->at[i]))
      words[n++] = s->ops->at[i]->name;
  const OpDef *op = op_find(s->ops, name);
  if (sema_find_block(s, name) || (op && (op->flags & OP_LAYER)))
    diag_error(s->diag, at, "E0334", "`%s` is a layer, but an op calculates with single elements",
               name);
  else
    diag_error(s->diag, at, "E0301", "there is no function called `%s`", name);
  const char *near = str_closest(name, words, n);
  if (near && !op)
    diag_help(s->diag, "did you mean `%s`?", near);
  diag_note(s->diag, (Span){ 0, 0 }, "functions of elements: %s", sema_join(s, words, n));
}

static bool call(Indices *x, const Ast *e, Term *out)
{
  const char *name = e->call.callee->kind == AST_NAME ? e->call.callee->name.text : "";
  const OpDef *op = op_find(x->s->ops, name);
  if (!op || !is_function(op)) {
    unknown_function(x, name, e->call.callee->at);
    return false;
  }
  int want = op_operand_count(op), n = 0, noption = 0;
  const Ast **option = ARENA_ARRAY(x->s->arena, const Ast *, ast_length(e->call.args) + 1);
  Term term[OPERANDS_MAX];
  for (const Ast *arg = e->call.args; arg; arg = arg->next) {
    bool plain = arg->kind != AST_ARG || !arg->arg.name;
    if (!plain || n == want)
      option[noption++] = arg;
    else if (!eval(x, sema_arg_value(arg), &term[n++]))
      return false;
  }
  if (n < want || (noption && !op->attrs)) {
    diag_error(x->s->diag, e->at, "E0308", "`%s` takes %d value%s here", name, want,
               want == 1 ? "" : "s");
    return false;
  }
  const void *attrs = NULL;
  return sema_attrs(x->s, op, option, noption, e->at, NULL, &attrs) &&
         apply(x, op, attrs, term, n, e->at, out);
}

static bool eval(Indices *x, const Ast *e, Term *out)
{
  if (e->kind == AST_ERROR)
    return false;
  if (!mentions_tensor(x, e) && e->kind != AST_NAME)
    return number(x, e, out);
  if (e->kind == AST_NAME)
    return named(x, e, out);
  if (e->kind == AST_INDEX)
    return element(x, e, out);
  if (e->kind == AST_CALL)
    return call(x, e, out);
  if (e->kind == AST_UNARY)
    return operation(x, e, e->unary.op, e->unary.x, NULL, out);
  if (e->kind == AST_BINARY && str_eq(e->binary.op, "**"))
    return power(x, e, out);
  if (e->kind == AST_BINARY)
    return operation(x, e, e->binary.op, e->binary.x, e->binary.y, out);
  diag_error(x->s->diag, e->at, "E0307", "a number or an element of a tensor is needed here");
  return false;
}

/* ---- statements ---- */

/* The factors of a product; numbers among them are one. */
static bool factors(Indices *x, const Ast *e, Product *p)
{
  bool times = e->kind == AST_BINARY && str_eq(e->binary.op, "*");
  bool by = e->kind == AST_BINARY && str_eq(e->binary.op, "/") && !mentions_tensor(x, e->binary.y);
  double v;
  if (e->kind == AST_ERROR)
    return false;
  if (times)
    return factors(x, e->binary.x, p) && factors(x, e->binary.y, p);
  if (!mentions_tensor(x, e)) {
    if (!sema_number(x->s, e, &v))
      return false;
    p->scale *= v;
    return true;
  }
  if (by) {
    if (!sema_number(x->s, e->binary.y, &v) || !factors(x, e->binary.x, p))
      return false;
    p->scale /= v;
    return true;
  }
  if (p->n == FACTORS_MAX) {
    diag_error(x->s->diag, e->at, "E0602", "a product has at most %d factors", FACTORS_MAX);
    diag_help(x->s->diag, "make a part of it a statement of its own");
    return false;
  }
  return eval(x, e, &p->at[p->n++]);
}

static bool scaled(Indices *x, Value *v, double scale)
{
  if (scale == 1)
    return true;
  const OpDef *op = sema_known(x->s, "affine");
  void *a = sema_attrs_new(x->s, op);
  *(double *)sema_attr_at(op, a, "scale", ATTR_real) = scale;
  return node(x, op, a, v, 1, x->st->at, v);
}

static Space space_of(const Indices *x, int n)
{
  Space s = { .n = n, .rank = x->nleft };
  for (int t = 0; t < n; t++)
    s.at[t] = t;
  return s;
}

static bool all_alike(const Product *p)
{
  bool same = true;
  for (int k = 1; k < p->n; k++)
    same = same && alike(&p->at[0], &p->at[k]);
  return same;
}

/* y[..] = value: no index but those of the left side. */
static bool assign_plain(Indices *x, const Ast *e, Value *out)
{
  Space space = space_of(x, x->nleft);
  Product p = { .n = 0, .scale = 1 };
  AxisPlace guard[GUARDS_MAX];
  int nguard = 0;
  bool product = e->kind == AST_BINARY && str_eq(e->binary.op, "*");
  Term t;
  if (product && (!factors(x, e, &p) || p.n == 0))
    return p.n == 0 && eval(x, e, &t) && map_node(x, "index sum", &space, &t, 1, NULL, 0, out);
  if (p.n > 1 && !all_alike(&p)) {
    for (int k = 0; k < p.n; k++)
      if (!guards_of(x, &p.at[k], guard, &nguard))
        return false;
    return map_node(x, "index sum", &space, p.at, p.n, guard, nguard, out) &&
           scaled(x, out, p.scale);
  }
  if (!product && !eval(x, e, &t))
    return false;
  if (product)
    t = p.at[0];
  const OpDef *times = op_find(x->s->ops, sema_operator("*", 2));
  for (int k = 1; k < p.n; k++)
    if (!apply(x, times, NULL, (Term[]){ t, p.at[k] }, 2, e->at, &t))
      return false;
  *out = t.v;
  if (!is_whole(x, &t, &space) && !map_node(x, "index sum", &space, &t, 1, t.guard, t.nguard, out))
    return false;
  return scaled(x, out, p.scale);
}

static bool assign_sum(Indices *x, const Ast *e, Value *out)
{
  Space space = space_of(x, x->n);
  Product p = { .n = 0, .scale = 1 };
  AxisPlace guard[GUARDS_MAX];
  int nguard = 0;
  if (!factors(x, e, &p))
    return false;
  for (int k = 0; k < p.n; k++)
    for (int i = 0; i < p.at[k].nguard; i++)
      if (!add_guard(x, guard, &nguard, &p.at[k].guard[i]))
        return false;
  if (p.n == 0)
    p.at[p.n++] = (Term){ .v = number_value(x, 1, e->at) };
  return map_node(x, "index sum", &space, p.at, p.n, guard, nguard, out) && scaled(x, out, p.scale);
}

static bool assign_extreme(Indices *x, const Ast *e, bool largest, Value *out)
{
  Space space = space_of(x, x->n);
  const OpDef *minus = op_find(x->s->ops, sema_operator("-", 1));
  Term t;
  if (!eval(x, e, &t) || (!largest && !apply(x, minus, NULL, &t, 1, e->at, &t)))
    return false;
  return map_node(x, "index max", &space, &t, 1, t.guard, t.nguard, out) &&
         (largest || node(x, minus, NULL, out, 1, e->at, out));
}

static bool reduces_rightly(Indices *x, bool plain)
{
  Sema *s = x->s;
  const Ast *st = x->st;
  if (plain && x->n > x->nleft) {
    const IndexVar *v = &x->index[x->nleft];
    diag_error(s->diag, v->at, "E0334", "index `%s` does not stand on the left", v->name);
    diag_help(s->diag, "`+=` sums over it, `maxof=` takes the largest, `minof=` the smallest");
    return false;
  }
  if (!plain && x->n == x->nleft) {
    diag_error(s->diag, st->assign.op_at, "E0334",
               "`%s` has no index to run over: all stand on the left", st->assign.op);
    diag_help(s->diag, "write `=`");
    return false;
  }
  return true;
}

static bool all_used(Indices *x)
{
  for (int t = 0; t < x->n; t++)
    if (x->index[t].where && !x->index[t].used && t >= x->nleft) {
      diag_error(x->s->diag, x->index[t].at, "E0334", "index `%s` is not used", x->index[t].name);
      diag_help(x->s->diag, "read a tensor at it, or leave it out of `where`");
      return false;
    }
  return true;
}

static bool assign(Sema *s, const Ast *st, const Type *want, Value *out)
{
  Indices x;
  const char *op = st->assign.op;
  const Ast *e = st->assign.value;
  bool plain = str_eq(op, "=");
  if (!indices_read(&x, s, st, want) || !reduces_rightly(&x, plain))
    return false;
  bool ok = plain               ? assign_plain(&x, e, out)
            : str_eq(op, "+=") ? assign_sum(&x, e, out)
                               : assign_extreme(&x, e, str_eq(op, "maxof="), out);
  return ok && all_used(&x);
}

/* ---- the whole op ---- */

/* The result that a statement gives, by its name or, without one, because it is the last. */
static const Ast *result_of(const Ast *results, const Ast *st)
{
  for (const Ast *r = results; r; r = r->next)
    if (r->kind == AST_FORMAL &&
        (r->formal.name ? str_eq(r->formal.name, st->assign.name) : !st->next))
      return r;
  return NULL;
}

static void define(Sema *s, const Ast *st, Value v, bool used)
{
  Name n = { .text = st->assign.name, .kind = NAME_VALUE, .at = st->assign.name_at, .value = v,
             .used = used };
  sema_define(s, n);
}

bool sema_op_body(Sema *s, const Ast *body, const Ast *results, Value *out)
{
  for (int i = 0; i < RESULTS_MAX; i++)
    out[i] = (Value){ NULL, 0 };
  for (const Ast *st = body; st; st = st->next) {
    Type want;
    Value v;
    if (st->kind != AST_ASSIGN)
      return false;
    const Ast *r = result_of(results, st);
    if (sema_find(s, st->assign.name, NAME_NUMBER | NAME_VALUE)) {
      define(s, st, (Value){ NULL, 0 }, true);
      return false;
    }
    if (r && !sema_type(s, r->formal.type, &want))
      return false;
    sema_statement(s, st->assign.name, st->assign.value);
    if (!assign(s, st, r ? &want : NULL, &v))
      return false;
    if (r && !value_type(v)->batched) {
      diag_error(s->diag, st->assign.name_at, "E0331", "`%s` is the same for every sample",
                 st->assign.name);
      diag_help(s->diag, "a result must depend on a tensor that the op is applied to");
      return false;
    }
    define(s, st, v, r && !r->formal.name);
    if (r && !r->formal.name)
      out[0] = v;
  }
  sema_results(s, results, out);
  return true;
}
