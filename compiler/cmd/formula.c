/* A formula is a sum of terms, each a number times powers of bases; a base is an atom, a call or a
 * sum in brackets. Constructors keep that form, and two bases are the same when their texts are. */
#include "cmd/formula.h"
#include "base/str.h"
#include "base/util.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TERMS_MAX = 24, FACTORS_MAX = 16, ARGS_MAX = 4 };

typedef struct {
  const char *text;             /* as it stands in a product */
  const Formula *sum;           /* of a sum in brackets, else NULL */
  double power;
} Factor;

typedef struct {
  double scale;
  int n;
  Factor at[FACTORS_MAX];
} Term;

struct Formula {
  int n;                        /* no terms: 0 */
  Term at[TERMS_MAX];
};

static const char *number_text(Arena *a, double v) { return arena_printf(a, "%.6g", v); }

const Formula *formula_number(Arena *a, double v)
{
  Formula *f = ARENA_NEW(a, Formula);
  f->n = v != 0;
  f->at[0] = (Term){ .scale = v };
  return f;
}

static const Formula *atom(Arena *a, const char *text, const Formula *sum, double power)
{
  Formula *f = ARENA_NEW(a, Formula);
  f->n = 1;
  f->at[0] = (Term){ .scale = 1, .n = 1, .at = { { text, sum, power } } };
  return f;
}

const Formula *formula_symbol(Arena *a, const char *text) { return atom(a, text, NULL, 1); }

/* ---- sums ---- */

static bool same_factors(const Term *x, const Term *y)
{
  if (x->n != y->n)
    return false;
  for (int i = 0; i < x->n; i++) {
    bool found = false;
    for (int k = 0; k < y->n; k++)
      found = found || (x->at[i].power == y->at[k].power && str_eq(x->at[i].text, y->at[k].text));
    if (!found)
      return false;
  }
  return true;
}

const Formula *formula_add(Arena *a, const Formula *x, const Formula *y)
{
  Formula *f = arena_copy(a, x, sizeof *x);
  for (int i = 0; i < y->n; i++) {
    int k = 0;
    while (k < f->n && !same_factors(&f->at[k], &y->at[i]))
      k++;
    if (k == TERMS_MAX)
      return formula_add(a, formula_symbol(a, arena_printf(a, "(%s)", formula_text(a, x))),
                         formula_symbol(a, arena_printf(a, "(%s)", formula_text(a, y))));
    if (k == f->n)
      f->at[f->n++] = y->at[i];
    else
      f->at[k].scale += y->at[i].scale;
    if (f->at[k].scale == 0) {
      memmove(&f->at[k], &f->at[k + 1], (size_t)(f->n - k - 1) * sizeof f->at[0]);
      f->n--;
    }
  }
  return f;
}

/* ---- products ---- */

static void put_factor(Term *t, Factor x)
{
  for (int i = 0; i < t->n; i++)
    if (str_eq(t->at[i].text, x.text)) {
      t->at[i].power += x.power;
      if (t->at[i].power == 0) {
        memmove(&t->at[i], &t->at[i + 1], (size_t)(t->n - i - 1) * sizeof t->at[0]);
        t->n--;
      }
      return;
    }
  if (t->n == FACTORS_MAX)
    ice("a formula has more than %d factors", FACTORS_MAX);
  t->at[t->n++] = x;
}

/* The formula as one term: a sum becomes a base, without what all its terms are multiplied by. */
static Term as_term(Arena *a, const Formula *f)
{
  if (f->n == 1)
    return f->at[0];
  const char *text = arena_printf(a, "(%s)", formula_text(a, f));
  return (Term){ .scale = 1, .n = 1, .at = { { text, f, 1 } } };
}

const Formula *formula_multiply(Arena *a, const Formula *x, const Formula *y)
{
  Formula *f = ARENA_NEW(a, Formula);
  if (x->n == 0 || y->n == 0)
    return f;
  Term s = as_term(a, x), t = as_term(a, y);
  s.scale *= t.scale;
  for (int i = 0; i < t.n; i++)
    put_factor(&s, t.at[i]);
  if (s.n == 1 && s.at[0].sum && s.at[0].power == 1 && s.scale == 1)
    return s.at[0].sum;
  f->n = 1;
  f->at[0] = s;
  return f;
}

const Formula *formula_power(Arena *a, const Formula *x, double p)
{
  if (p == 1)
    return x;
  if (p == 0)
    return formula_number(a, 1);
  if (x->n == 0)
    return p > 0 ? x : formula_symbol(a, "(1 / 0)");
  Formula *f = ARENA_NEW(a, Formula);
  f->n = 1;
  f->at[0] = as_term(a, x);
  f->at[0].scale = pow(f->at[0].scale, p);
  for (int i = 0; i < f->at[0].n; i++)
    f->at[0].at[i].power *= p;
  if (isfinite(f->at[0].scale))
    return f;
  return atom(a, arena_printf(a, "(%s)", formula_text(a, x)), NULL, p);
}

/* ---- text ---- */

static const char *factor_text(Arena *a, const Factor *x)
{
  double p = fabs(x->power);
  if (p == 0.5)
    return arena_printf(a, "sqrt(%s)", x->sum ? formula_text(a, x->sum) : x->text);
  bool bare = p == 1 || !strpbrk(x->text, " *+-/") || x->text[strlen(x->text) - 1] == ')';
  const char *text = bare ? x->text : arena_printf(a, "(%s)", x->text);
  return p == 1 ? text : arena_printf(a, "%s^%s", text, number_text(a, p));
}

/* The term without its sign. */
static const char *term_text(Arena *a, const Term *t)
{
  double scale = fabs(t->scale), inverse = 1 / scale;
  bool divides = scale < 1 && inverse == floor(inverse) && inverse < 1e6;
  const char *above = scale == 1 || divides ? "" : number_text(a, scale);
  const char *below = divides ? number_text(a, inverse) : "";
  int nbelow = divides;
  for (int i = 0; i < t->n; i++) {
    const char *text = factor_text(a, &t->at[i]);
    if (t->at[i].power > 0) {
      above = arena_printf(a, "%s%s%s", above, *above ? " * " : "", text);
    } else {
      below = arena_printf(a, "%s%s%s", below, *below ? " * " : "", text);
      nbelow++;
    }
  }
  if (!*above)
    above = "1";
  return nbelow == 0 ? above : arena_printf(a, nbelow > 1 ? "%s / (%s)" : "%s / %s", above, below);
}

const char *formula_text(Arena *a, const Formula *f)
{
  const char *s = "";
  for (int sign = 1; sign >= -1; sign -= 2)     /* what is added first */
    for (int i = 0; i < f->n; i++) {
      if ((f->at[i].scale > 0) != (sign > 0))
        continue;
      const char *mark = sign > 0 ? *s ? " + " : "" : *s ? " - " : "-";
      s = arena_printf(a, "%s%s%s", s, mark, term_text(a, &f->at[i]));
    }
  return *s ? s : "0";
}

/* ---- reading ---- */

typedef struct {
  Arena *arena;
  const char *at;
  Meaning meaning;
  void *ctx;
  int depth;
} Reader;

enum { DEPTH_MAX = 64 };

static const Formula *read_choice(Reader *r);

static bool take(Reader *r, const char *text)
{
  r->at += strspn(r->at, " ");
  size_t n = strlen(text);
  if (strncmp(r->at, text, n))
    return false;
  r->at += n;
  return true;
}

static const Formula *read_call(Reader *r, const char *name)
{
  const char *text = "";
  for (int i = 0; i < ARGS_MAX; i++) {
    const Formula *x = read_choice(r);
    if (!x)
      return NULL;
    text = arena_printf(r->arena, "%s%s%s", text, i ? ", " : "", formula_text(r->arena, x));
    if (i == 0 && str_eq(name, "sqrt") && take(r, ")"))
      return formula_power(r->arena, x, 0.5);
    if (take(r, ")"))
      return formula_symbol(r->arena, arena_printf(r->arena, "%s(%s)", name, text));
    if (!take(r, ","))
      return NULL;
  }
  return NULL;
}

static const Formula *read_atom(Reader *r)
{
  Arena *a = r->arena;
  r->at += strspn(r->at, " ");
  if (isdigit((unsigned char)*r->at)) {
    char *end;
    double v = strtod(r->at, &end);
    r->at = end;
    return formula_number(a, v);
  }
  if (take(r, "(")) {
    const Formula *x = read_choice(r);
    return x && take(r, ")") ? x : NULL;
  }
  if (take(r, "|")) {
    const Formula *x = read_choice(r);
    return x && take(r, "|")
               ? formula_symbol(a, arena_printf(a, "|%s|", formula_text(a, x))) : NULL;
  }
  bool marked = take(r, "$");
  size_t n = strspn(r->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
  const char *word = arena_strndup(a, r->at, n);
  if (n == 0)
    return NULL;
  r->at += n;
  if (!marked && *r->at == '(') {
    r->at++;
    return read_call(r, word);
  }
  const Formula *x = r->meaning(r->ctx, word, marked);
  return x || marked ? x : formula_symbol(a, word);
}

static const Formula *read_power(Reader *r)
{
  const Formula *x = read_atom(r);
  if (!x || !take(r, "^"))
    return x;
  bool minus = take(r, "-");
  const Formula *p = read_atom(r);
  if (!p || p->n > 1 || (p->n == 1 && p->at[0].n))
    return NULL;
  double v = p->n ? p->at[0].scale : 0;
  return formula_power(r->arena, x, minus ? -v : v);
}

static const Formula *read_signed(Reader *r)
{
  if (!take(r, "-"))
    return read_power(r);
  const Formula *x = ++r->depth > DEPTH_MAX ? NULL : read_signed(r);
  r->depth--;
  return x ? formula_multiply(r->arena, formula_number(r->arena, -1), x) : NULL;
}

static const Formula *read_product(Reader *r)
{
  const Formula *x = read_signed(r);
  while (x) {
    bool by = !take(r, "*");
    if (by && !take(r, "/"))
      break;
    const Formula *y = read_signed(r);
    x = y ? formula_multiply(r->arena, x, by ? formula_power(r->arena, y, -1) : y) : NULL;
  }
  return x;
}

static const Formula *read_sum(Reader *r)
{
  const Formula *x = read_product(r);
  while (x) {
    bool minus = !take(r, "+");
    if (minus && !take(r, "-"))
      break;
    const Formula *y = read_product(r);
    if (y && minus)
      y = formula_multiply(r->arena, formula_number(r->arena, -1), y);
    x = y ? formula_add(r->arena, x, y) : NULL;
  }
  return x;
}

/* x < y, x == y ..: the text of a condition; other sums are returned as they are. */
static const Formula *read_condition(Reader *r, const char **text)
{
  static const char *const marks[] = { "<=", ">=", "==", "!=", "<", ">" };
  const Formula *x = read_sum(r);
  *text = NULL;
  for (size_t i = 0; x && i < ARRAY_LEN(marks); i++)
    if (take(r, marks[i])) {
      const Formula *y = read_sum(r);
      if (y)
        *text = arena_printf(r->arena, "%s %s %s", formula_text(r->arena, x), marks[i],
                             formula_text(r->arena, y));
      break;
    }
  return x;
}

static const Formula *read_choice(Reader *r)
{
  const char *text, *more;
  if (++r->depth > DEPTH_MAX)
    return NULL;
  const Formula *x = read_condition(r, &text);
  while (x && text && take(r, "&&")) {
    x = read_condition(r, &more);
    text = x && more ? arena_printf(r->arena, "%s && %s", text, more) : NULL;
  }
  if (x && text) {
    const Formula *yes = take(r, "?") ? read_choice(r) : NULL;
    const Formula *no = yes && take(r, ":") ? read_choice(r) : NULL;
    x = no ? formula_symbol(r->arena, arena_printf(r->arena, "(%s ? %s : %s)", text,
                                                   formula_text(r->arena, yes),
                                                   formula_text(r->arena, no)))
           : NULL;
  }
  r->depth--;
  return x;
}

const Formula *formula_parse(Arena *a, const char *text, Meaning meaning, void *ctx)
{
  Reader r = { .arena = a, .at = text, .meaning = meaning, .ctx = ctx };
  const Formula *f = read_choice(&r);
  r.at += strspn(r.at, " ");
  return *r.at ? NULL : f;
}
