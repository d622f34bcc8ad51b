/* Expressions of an `op`'s statements: numbers, indices as numbers, elements of tensors, operators
 * and functions of elements. */
#include "sema/op.h"

enum { COUNTED_MAX = 1 << 20 };  /* values of an index that is used as a number */

/* ---- expressions ---- */

bool op_mentions_tensor(Indices *x, const Ast *e)
{
  Ast *child[CHILDREN_MAX];
  if (e->kind == AST_INDEX || e->kind == AST_CALL)
    return true;
  if (e->kind == AST_NAME)
    return indices_find(x, e->name.text) >= 0 || sema_find(x->s, e->name.text, NAME_VALUE);
  int n = ast_children(e, child);
  for (int i = 0; i < n; i++)
    for (const Ast *c = child[i]; c; c = c->next)
      if (op_mentions_tensor(x, c))
        return true;
  return false;
}

static bool number(Indices *x, const Ast *e, Term *out)
{
  double v;
  *out = (Term){ .rank = 0 };
  if (!sema_number(x->s, e, &v))
    return false;
  out->v = term_number(x, v, e->at);
  return out->v.node != NULL;
}

/* An index as a number: the tensor 0, 1, 2 .. read at it, which the program holds. */
static bool counter(Indices *x, int t, Span at, Term *out)
{
  int64_t n = x->index[t].extent;
  if (n > COUNTED_MAX) {
    diag_error(x->s->diag, at, "E0602", "this index is used as a number and has %lld values; the "
               "limit is %d", (long long)n, COUNTED_MAX);
    return false;
  }
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
  if (!op_eval(x, left, &term[0]) || (right && !op_eval(x, right, &term[1])))
    return false;
  return term_apply(x, op, NULL, term, right ? 2 : 1, e->at, out);
}

static bool power(Indices *x, const Ast *e, Term *out)
{
  const OpDef *op = sema_known(x->s, "power");
  if (op_mentions_tensor(x, e->binary.y)) {
    diag_error(x->s->diag, e->binary.y->at, "E0307", "the power must be a number");
    diag_help(x->s->diag, "x ** y with a tensor y is exp(y * log(x))");
    return false;
  }
  void *a = sema_attrs_new(x->s, op);
  if (!sema_number(x->s, e->binary.y, sema_attr_at(op, a, "exponent", ATTR_real)) ||
      !op_eval(x, e->binary.x, out))
    return false;
  return term_apply(x, op, a, out, 1, e->at, out);
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
    else if (!op_eval(x, sema_arg_value(arg), &term[n++]))
      return false;
  }
  if (n < want || (noption && !op->attrs)) {
    diag_error(x->s->diag, e->at, "E0308", "`%s` takes %d value%s here", name, want,
               want == 1 ? "" : "s");
    return false;
  }
  const void *attrs = NULL;
  return sema_attrs(x->s, op, option, noption, e->at, NULL, &attrs) &&
         term_apply(x, op, attrs, term, n, e->at, out);
}

bool op_eval(Indices *x, const Ast *e, Term *out)
{
  if (e->kind == AST_ERROR)
    return false;
  if (!op_mentions_tensor(x, e) && e->kind != AST_NAME)
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
