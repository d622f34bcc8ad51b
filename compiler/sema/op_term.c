/* Terms of an `op`'s statements as graph nodes. What reads all its tensors at the same places
 * becomes elementwise nodes on whole tensors; products, shifted places and sums become one node of
 * an index map; anything else is first spread over the indices that it mentions. */
#include "sema/op.h"

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

bool term_node(Indices *x, const OpDef *op, const void *attrs, const Value *in, int n, Span at,
               Value *out)
{
  *out = sema_node(x->s, op, attrs ? attrs : sema_attrs_new(x->s, op), in, (uint32_t)n,
                   node_path(x, op), at);
  return out->node != NULL;
}

Value term_number(Indices *x, double v, Span at)
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

bool term_add_guard(Indices *x, AxisPlace *list, int *n, const AxisPlace *p)
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

bool term_guards(Indices *x, const Term *t, AxisPlace *list, int *n)
{
  bool ok = true;
  for (int i = 0; i < t->rank; i++)
    if (place_may_miss(x, &t->place[i]))
      ok = ok && term_add_guard(x, list, n, &t->place[i]);
  for (int i = 0; i < t->nguard; i++)
    ok = ok && term_add_guard(x, list, n, &t->guard[i]);
  return ok;
}

/* ---- index maps ---- */

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

bool term_map(Indices *x, const char *role, const Space *space, const Term *term, int nterm,
              const AxisPlace *guard, int nguard, Value *out)
{
  const OpDef *op = sema_known(x->s, role);
  Value in[FACTORS_MAX];
  for (int k = 0; k < nterm; k++)
    in[k] = term[k].v;
  const void *attrs = map_attrs(x, op, space, term, nterm, guard, nguard);
  return term_node(x, op, attrs, in, nterm, x->st->at, out);
}

bool term_is_whole(const Indices *x, const Term *t, const Space *space)
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
    if (!term_guards(x, &term[k], guard, &nguard))
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
    if (term[k].rank == 0 || (!nguard && term_is_whole(x, &term[k], &space)))
      continue;
    Value v;
    if (!term_map(x, "index sum", &space, &term[k], 1, guard, nguard, &v))
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

bool term_alike(const Term *a, const Term *b)
{
  bool same = a->rank == b->rank && a->nguard == b->nguard;
  for (int i = 0; same && i < a->rank; i++)
    same = same_place(&a->place[i], &b->place[i]);
  for (int i = 0; same && i < a->nguard; i++)
    same = same_place(&a->guard[i], &b->guard[i]);
  return same;
}

bool term_apply(Indices *x, const OpDef *op, const void *attrs, Term *term, int n, Span at,
                Term *out)
{
  const Term *main = NULL;
  bool same = true;
  for (int k = 0; k < n; k++) {
    if (term[k].rank && main)
      same = same && term_alike(main, &term[k]);
    main = term[k].rank && !main ? &term[k] : main;
  }
  if (!same && !spread(x, term, n, at))
    return false;
  Value in[OPERANDS_MAX];
  for (int k = 0; k < n; k++)
    in[k] = term[k].v;
  Term result = main ? *main : term[0];
  if (!term_node(x, op, attrs, in, n, at, &result.v))
    return false;
  *out = result;
  return true;
}
