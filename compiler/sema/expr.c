/* Numbers known when compiling: params, consts, arithmetic, and the checks of their ranges. A
 * param used here is fixed in the compiled program, unless it is written alone where a run-time
 * setting is expected. */
#include "sema/sema.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

const Ast *sema_arg_value(const Ast *arg)
{
  return arg->kind == AST_ARG ? arg->arg.value : arg;
}

const char *sema_word(const Ast *e)
{
  if (e->kind == AST_NAME)
    return e->name.text;
  return e->kind == AST_STRING ? e->string.text : NULL;
}

/* ---- evaluation ---- */

static bool number_result(Sema *s, const Ast *e, double r, Const *out)
{
  *out = (Const){ CONST_NUMBER, r, NULL };
  if (isfinite(r))
    return true;
  diag_error(s->diag, e->at, "E0311", "the result of this calculation is not a finite number");
  return false;
}

static bool divide(Sema *s, const Ast *e, double x, double y, Const *out)
{
  if (y == 0) {
    diag_error(s->diag, e->binary.y->at, "E0311", "division by zero");
    return false;
  }
  return number_result(s, e, str_eq(e->binary.op, "/") ? x / y : x - y * floor(x / y), out);
}

static bool arithmetic(Sema *s, const Ast *e, double x, double y, Const *out)
{
  const char *op = e->binary.op;
  if (str_eq(op, "+"))
    return number_result(s, e, x + y, out);
  if (str_eq(op, "-"))
    return number_result(s, e, x - y, out);
  if (str_eq(op, "*"))
    return number_result(s, e, x * y, out);
  if (str_eq(op, "**"))
    return number_result(s, e, pow(x, y), out);
  if (str_eq(op, "/") || str_eq(op, "%"))
    return divide(s, e, x, y, out);
  bool truth = str_eq(op, "<") ? x < y : str_eq(op, ">") ? x > y : str_eq(op, "<=") ? x <= y :
               str_eq(op, ">=") ? x >= y : str_eq(op, "==") ? x == y : x != y;
  *out = (Const){ CONST_BOOL, truth, NULL };
  return true;
}

static bool want_kind(Sema *s, const Ast *e, const Const *c, ConstKind kind)
{
  static const char *const text[] = { "a number", "true or false", "a text" };
  if (c->kind == kind)
    return true;
  diag_error(s->diag, e->at, "E0307", "%s is needed here, not %s", text[kind], text[c->kind]);
  return false;
}

static bool binary(Sema *s, const Ast *e, Const *out)
{
  Const x, y;
  bool ok = sema_const(s, e->binary.x, &x);
  if (!sema_const(s, e->binary.y, &y) || !ok)
    return false;
  bool logic = str_eq(e->binary.op, "and") || str_eq(e->binary.op, "or");
  ConstKind kind = logic ? CONST_BOOL : CONST_NUMBER;
  if (!want_kind(s, e->binary.x, &x, kind) || !want_kind(s, e->binary.y, &y, kind))
    return false;
  if (!logic)
    return arithmetic(s, e, x.number, y.number, out);
  bool truth = str_eq(e->binary.op, "and") ? x.number && y.number : x.number || y.number;
  *out = (Const){ CONST_BOOL, truth, NULL };
  return true;
}

static bool unary(Sema *s, const Ast *e, Const *out)
{
  bool negate = str_eq(e->unary.op, "not");
  if (!sema_const(s, e->unary.x, out) ||
      !want_kind(s, e->unary.x, out, negate ? CONST_BOOL : CONST_NUMBER))
    return false;
  out->number = negate ? !out->number : -out->number;
  return true;
}

static bool named(Sema *s, const Ast *e, Const *out)
{
  Name *n = sema_find(s, e->name.text, NAME_NUMBER);
  if (!n) {
    sema_unknown_name(s, e->at, e->name.text, NAME_NUMBER);
    return false;
  }
  n->used = true;
  if (n->kind == NAME_PARAM)
    s->params.at[n->index].reaches_shape = true;
  *out = n->constant;
  return !n->poisoned;
}

bool sema_const(Sema *s, const Ast *e, Const *out)
{
  *out = (Const){ CONST_NUMBER, 0, NULL };
  if (e->kind == AST_ERROR)
    return false;
  if (e->kind == AST_NUMBER)
    return number_result(s, e, e->number.value, out);
  if (e->kind == AST_BOOL) {
    *out = (Const){ CONST_BOOL, e->boolean.value, NULL };
    return true;
  }
  if (e->kind == AST_STRING) {
    *out = (Const){ CONST_TEXT, 0, e->string.text };
    return true;
  }
  if (e->kind == AST_NAME)
    return named(s, e, out);
  if (e->kind == AST_UNARY)
    return unary(s, e, out);
  if (e->kind == AST_BINARY)
    return binary(s, e, out);
  if (e->kind == AST_FIELD_OF)
    return sema_member(s, e, &out->number);
  diag_error(s->diag, e->at, "E0307", "a number is needed here");
  diag_help(s->diag, "numbers may be calculated from other numbers, params and consts");
  return false;
}

bool sema_number(Sema *s, const Ast *e, double *out)
{
  Const c;
  bool ok = sema_const(s, e, &c) && want_kind(s, e, &c, CONST_NUMBER);
  *out = c.number;
  return ok;
}

/* ---- ranges ---- */

static bool in_range(Sema *s, Span at, const char *what, double low, double high, double v)
{
  if (v >= low && v <= high)
    return true;
  if (high == INFINITY)
    diag_error(s->diag, at, "E0304", "%s must be at least %.15g, not %.15g", what, low, v);
  else if (low == -INFINITY)
    diag_error(s->diag, at, "E0304", "%s must be at most %.15g, not %.15g", what, high, v);
  else
    diag_error(s->diag, at, "E0304", "%s must be from %.15g to %.15g, not %.15g", what, low, high,
               v);
  return false;
}

static bool whole(Sema *s, Span at, const char *what, double v)
{
  if (v == floor(v) && fabs(v) <= 9007199254740992.0)
    return true;
  diag_error(s->diag, at, "E0304", "%s must be a whole number, not %.15g", what, v);
  return false;
}

bool sema_real(Sema *s, const Ast *e, const char *what, double low, double high, double *out)
{
  return sema_number(s, e, out) && in_range(s, e->at, what, low, high, *out);
}

bool sema_int(Sema *s, const Ast *e, const char *what, int64_t low, int64_t high, int64_t *out)
{
  double v;
  *out = low;
  if (!sema_number(s, e, &v) || !whole(s, e->at, what, v))
    return false;
  if (!in_range(s, e->at, what, low == INT64_MIN ? -INFINITY : (double)low,
                high == INT64_MAX ? INFINITY : (double)high, v))
    return false;
  *out = (int64_t)v;
  return true;
}

bool sema_flag(Sema *s, const Ast *e, const char *what, bool *out)
{
  Const c;
  *out = false;
  if (!sema_const(s, e, &c))
    return false;
  *out = c.number != 0;
  if (c.kind == CONST_BOOL || (c.kind == CONST_NUMBER && (c.number == 0 || c.number == 1)))
    return true;
  diag_error(s->diag, e->at, "E0304", "%s must be true or false", what);
  return false;
}

bool sema_text(Sema *s, const Ast *e, const char *what, const char **out)
{
  Const c;
  *out = "";
  if (e->kind == AST_NAME && !sema_find(s, e->name.text, NAME_NUMBER)) {
    diag_error(s->diag, e->at, "E0304", "%s must be a text in quotes", what);
    diag_help(s->diag, "write \"%s\"", e->name.text);
    return false;
  }
  if (!sema_const(s, e, &c))
    return false;
  if (c.kind != CONST_TEXT) {
    diag_error(s->diag, e->at, "E0304", "%s must be a text in quotes", what);
    return false;
  }
  *out = c.text;
  return true;
}

/* ---- settings and overrides ---- */

static bool parse_number(const char *text, double *out)
{
  char *end;
  *out = strtod(text, &end);
  return end != text && !*end && isfinite(*out);
}

bool sema_setting(Sema *s, const Ast *e, const char *key, double low, double high, bool integer,
                  Setting *out)
{
  Override *over = sema_override(s, key);
  Name *param = e && e->kind == AST_NAME ? sema_find(s, e->name.text, NAME_PARAM) : NULL;
  out->param = NULL;
  if (param) {
    param->used = true;
    *out = (Setting){ param->constant.number, param->text };
    if (param->poisoned)
      return false;
  } else if (e && !sema_number(s, e, &out->value)) {
    return false;
  }
  Span at = e ? e->at : (Span){ 0, 0 };
  if (over && !(param && str_eq(param->text, key))) {
    if (!parse_number(over->value, &out->value)) {
      diag_error(s->diag, (Span){ 0, 0 }, "E0310", "--set %s: `%s` is not a number", key,
                 over->value);
      return false;
    }
    out->param = NULL;
    at = (Span){ 0, 0 };
  }
  const char *what = arena_printf(s->arena, "`%s`", key);
  return (!integer || whole(s, at, what, out->value)) &&
         in_range(s, at, what, low, high, out->value);
}

void sema_set_overrides(Sema *s, const CheckOptions *o)
{
  for (int i = 0; o && i < o->nset; i++) {
    const char *text = o->set[i];
    size_t n = 0;
    while (text[n] && text[n] != '=')
      n++;
    if (!n || !text[n] || !text[n + 1]) {
      diag_error(s->diag, (Span){ 0, 0 }, "E0310", "--set `%s` does not read name=value", text);
      continue;
    }
    Override v = { arena_strndup(s->arena, text, n), arena_strdup(s->arena, text + n + 1), false };
    vec_push(s->arena, &s->overrides, v);
  }
}

Override *sema_override(Sema *s, const char *name)
{
  Override *last = NULL;
  for (uint32_t i = 0; i < s->overrides.n; i++)
    if (str_eq(s->overrides.at[i].name, name)) {
      s->overrides.at[i].used = true;
      last = &s->overrides.at[i];
    }
  return last;
}

void sema_unused_overrides(Sema *s)
{
  static const char *const settings[] = { "epochs", "lr", "batch", "seed", "real" };
  const char **words = ARENA_ARRAY(s->arena, const char *, s->params.n + ARRAY_LEN(settings));
  int n = 0;
  for (uint32_t i = 0; i < s->params.n; i++)
    words[n++] = s->params.at[i].name;
  for (size_t i = 0; i < ARRAY_LEN(settings); i++)
    words[n++] = settings[i];
  for (uint32_t i = 0; i < s->overrides.n; i++) {
    const Override *v = &s->overrides.at[i];
    if (v->used)
      continue;
    bool known = str_in_words(v->name, "epochs lr batch seed real");
    diag_error(s->diag, (Span){ 0, 0 }, "E0310",
               known ? "--set %s: the spec has no train block that uses it"
                     : "--set %s: the spec has no param of that name",
               v->name);
    if (!known)
      sema_suggest(s, v->name, words, n, "can be set");
  }
}

void sema_declare_param(Sema *s, const Ast *decl)
{
  bool is_param = decl->kind == AST_PARAM;
  Name n = { .text = decl->param.name,
             .kind = is_param ? NAME_PARAM : NAME_CONST,
             .at = decl->param.name_at };
  n.poisoned = !sema_const(s, decl->param.value, &n.constant);
  if (is_param && !n.poisoned && n.constant.kind != CONST_NUMBER) {
    diag_error(s->diag, decl->param.value->at, "E0307", "param `%s` must be a number", n.text);
    diag_help(s->diag, "use `const` for texts and for true or false");
    n.poisoned = true;
  }
  Override *over = is_param ? sema_override(s, n.text) : NULL;
  if (over && !parse_number(over->value, &n.constant.number)) {
    diag_error(s->diag, (Span){ 0, 0 }, "E0310", "--set %s: `%s` is not a number", n.text,
               over->value);
    n.poisoned = true;
  }
  n.index = (int)s->params.n;
  if (sema_define(s, n) && is_param) {
    ParamSpec p = { n.text, n.constant.number, false };
    vec_push(s->arena, &s->params, p);
  }
}
