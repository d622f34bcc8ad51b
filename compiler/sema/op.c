/* Statements of an `op`, in index notation, as graph nodes: a sum of products, a maximum, or one
 * value for each place of the left side. */
#include "sema/op.h"

typedef struct {
  Term at[FACTORS_MAX];
  int n;
  double scale;
} Product;

/* ---- statements ---- */

/* The factors of a product; numbers among them are one. */
static bool factors(Indices *x, const Ast *e, Product *p)
{
  bool times = e->kind == AST_BINARY && str_eq(e->binary.op, "*");
  bool by = e->kind == AST_BINARY && str_eq(e->binary.op, "/") &&
            !op_mentions_tensor(x, e->binary.y);
  double v;
  if (e->kind == AST_ERROR)
    return false;
  if (times)
    return factors(x, e->binary.x, p) && factors(x, e->binary.y, p);
  if (!op_mentions_tensor(x, e)) {
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
  return op_eval(x, e, &p->at[p->n++]);
}

static bool scaled(Indices *x, Value *v, double scale)
{
  if (scale == 1)
    return true;
  const OpDef *op = sema_known(x->s, "affine");
  void *a = sema_attrs_new(x->s, op);
  *(double *)sema_attr_at(op, a, "scale", ATTR_real) = scale;
  return term_node(x, op, a, v, 1, x->st->at, v);
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
    same = same && term_alike(&p->at[0], &p->at[k]);
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
    return p.n == 0 && op_eval(x, e, &t) && term_map(x, "index sum", &space, &t, 1, NULL, 0, out);
  if (p.n > 1 && !all_alike(&p)) {
    for (int k = 0; k < p.n; k++)
      if (!term_guards(x, &p.at[k], guard, &nguard))
        return false;
    return term_map(x, "index sum", &space, p.at, p.n, guard, nguard, out) &&
           scaled(x, out, p.scale);
  }
  if (!product && !op_eval(x, e, &t))
    return false;
  if (product)
    t = p.at[0];
  const OpDef *times = op_find(x->s->ops, sema_operator("*", 2));
  for (int k = 1; k < p.n; k++)
    if (!term_apply(x, times, NULL, (Term[]){ t, p.at[k] }, 2, e->at, &t))
      return false;
  *out = t.v;
  if (!term_is_whole(x, &t, &space) &&
      !term_map(x, "index sum", &space, &t, 1, t.guard, t.nguard, out))
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
      if (!term_add_guard(x, guard, &nguard, &p.at[k].guard[i]))
        return false;
  if (p.n == 0)
    p.at[p.n++] = (Term){ .v = term_number(x, 1, e->at) };
  return term_map(x, "index sum", &space, p.at, p.n, guard, nguard, out) && scaled(x, out, p.scale);
}

static bool assign_extreme(Indices *x, const Ast *e, bool largest, Value *out)
{
  Space space = space_of(x, x->n);
  const OpDef *minus = op_find(x->s->ops, sema_operator("-", 1));
  Term t;
  if (!op_eval(x, e, &t) || (!largest && !term_apply(x, minus, NULL, &t, 1, e->at, &t)))
    return false;
  return term_map(x, "index max", &space, &t, 1, t.guard, t.nguard, out) &&
         (largest || term_node(x, minus, NULL, out, 1, e->at, out));
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
