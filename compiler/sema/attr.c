/* Options of operations: from the arguments of a call to the operation's typed attributes, driven
 * by its AttrDef table. Unnamed arguments come first, in the table's order; absent options take
 * their defaults. */
#include "sema/sema.h"

#include "ir/attr_text.h"

#include <math.h>
#include <string.h>

enum { DIM_MAX = 2147483647 };

const char *sema_alias(const char *word)
{
  static const char *const pairs[][2] = {
#define ALIAS(theirs, ours) { theirs, ours },
#include "sema/aliases.def"
#undef ALIAS
  };
  for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
    if (str_eq(pairs[i][0], word))
      return pairs[i][1];
  return NULL;
}

static int count_defs(const OpDef *op)
{
  int n = 0;
  while (op->attrs && op->attrs[n].name)
    n++;
  return n;
}

static int find_def(const OpDef *op, const char *name)
{
  for (int i = 0; i < count_defs(op); i++)
    if (str_eq(op->attrs[i].name, name))
      return i;
  return -1;
}

bool sema_has_attr(const OpDef *op, const char *name) { return find_def(op, name) >= 0; }

void *sema_attr_at(const OpDef *op, void *attrs, const char *name, AttrKind kind)
{
  int i = find_def(op, name);
  if (i < 0 || op->attrs[i].kind != kind)
    ice("operation `%s` has no attribute `%s` of kind %d", op->name, name, (int)kind);
  return (char *)attrs + op->attrs[i].offset;
}

void *sema_attrs_new(Sema *s, const OpDef *op)
{
  if (!op->attrs_size)
    return NULL;
  void *attrs = arena_alloc(s->arena, op->attrs_size);
  attrs_default(s->arena, op->attrs, attrs);
  return attrs;
}

/* ---- values ---- */

/* One number, or a list of up to `most`, each at least `low`. */
static bool read_ints(Sema *s, const Ast *e, const char *what, int64_t low, int most, Ints *out)
{
  *out = (Ints){ 0 };
  if (e->kind != AST_LIST) {
    out->n = 1;
    return sema_int(s, e, what, low, DIM_MAX, &out->at[0]);
  }
  int n = ast_length(e->list.items);
  if (n < 1 || n > most) {
    diag_error(s->diag, e->at, "E0304", "%s takes 1 to %d numbers, not %d", what, most, n);
    return false;
  }
  for (const Ast *x = e->list.items; x; x = x->next)
    if (!sema_int(s, x, what, low, DIM_MAX, &out->at[out->n++]))
      return false;
  return true;
}

static bool read_pad(Sema *s, const Ast *e, const char *what, Pad *out)
{
  *out = (Pad){ .mode = PAD_EXPLICIT };
  const char *word = e->kind == AST_NAME || e->kind == AST_STRING ? sema_word(e) : NULL;
  if (str_eq(word, "same") || str_eq(word, "valid")) {
    out->mode = str_eq(word, "same") ? PAD_SAME : PAD_VALID;
    return true;
  }
  if (word && !sema_find(s, word, NAME_NUMBER)) {
    diag_error(s->diag, e->at, "E0304", "%s cannot be `%s`", what, word);
    diag_help(s->diag,
              "it is a number, [height, width], [top, bottom, left, right], same or valid");
    return false;
  }
  Ints p;
  if (!read_ints(s, e, what, 0, 4, &p))
    return false;
  if (p.n == 3) {
    diag_error(s->diag, e->at, "E0304", "%s takes 1, 2 or 4 numbers, not 3", what);
    diag_help(s->diag, "write [height, width] or [top, bottom, left, right]");
    return false;
  }
  if (p.n == 4)
    *out = (Pad){ PAD_EXPLICIT, p.at[0], p.at[1], p.at[2], p.at[3] };
  else
    *out = (Pad){ PAD_EXPLICIT, p.at[0], p.at[0], p.at[p.n - 1], p.at[p.n - 1] };
  return true;
}

static bool read_name(Sema *s, const Ast *e, const AttrDef *def, const char *what, const char **out)
{
  const char *words = strstr(def->doc, "one of: "), *word = sema_word(e);
  Const c;
  if (e->kind == AST_ERROR)
    return false;
  if (!word)
    word = sema_const(s, e, &c) && c.kind == CONST_TEXT ? c.text : NULL;
  if (word && (!words || str_in_words(word, words + sizeof "one of: " - 1))) {
    *out = arena_strdup(s->arena, word);
    return true;
  }
  diag_error(s->diag, e->at, "E0304", word ? "%s cannot be `%s`" : "%s must be a word", what, word);
  if (words)
    diag_help(s->diag, "it is one of: %s", words + sizeof "one of: " - 1);
  return false;
}

/* Shape of nested lists, first elements deciding; the values follow in read_elements. */
static bool list_shape(Sema *s, const Ast *e, const char *what, Literal *out)
{
  int64_t total = 1;
  for (out->rank = 0; e->kind == AST_LIST; e = e->list.items) {
    int n = ast_length(e->list.items);
    if (!n || out->rank == RANK_MAX) {
      diag_error(s->diag, e->at, "E0304",
                 n ? "%s has lists nested too deeply" : "%s has an empty list", what);
      return false;
    }
    out->dim[out->rank++] = n;
    if (!checked_mul(total, n, &total) || total > DIM_MAX) {
      diag_error(s->diag, e->at, "E0602", "%s has too many numbers", what);
      return false;
    }
  }
  return true;
}

static bool read_elements(Sema *s, const Ast *e, const char *what, const Literal *shape, int axis,
                          double **next)
{
  if (axis == shape->rank) {
    if (e->kind == AST_LIST) {
      diag_error(s->diag, e->at, "E0304", "%s mixes numbers and lists", what);
      return false;
    }
    return sema_number(s, e, (*next)++);
  }
  int n = e->kind == AST_LIST ? ast_length(e->list.items) : 0;
  if (e->kind == AST_ERROR)
    return false;
  if (n != shape->dim[axis]) {
    if (n)
      diag_error(s->diag, e->at, "E0304", "%s: this list has %d entries, the first one has %lld",
                 what, n, (long long)shape->dim[axis]);
    else
      diag_error(s->diag, e->at, "E0304", "%s mixes numbers and lists", what);
    return false;
  }
  for (const Ast *x = e->list.items; x; x = x->next)
    if (!read_elements(s, x, what, shape, axis + 1, next))
      return false;
  return true;
}

bool sema_literal(Sema *s, const Ast *e, const char *what, Literal *out)
{
  *out = (Literal){ 0 };
  if (e->kind == AST_ERROR || !list_shape(s, e, what, out))
    return false;
  int64_t n = 1;
  for (int i = 0; i < out->rank; i++)
    n *= out->dim[i];
  double *value = ARENA_ARRAY(s->arena, double, n), *next = value;
  if (!read_elements(s, e, what, out, 0, &next))
    return false;
  out->value = value;
  return true;
}

/* ---- initialisers ---- */

typedef struct {
  const char *name, *first, *second;
  InitKind kind;
  double a, b;
  bool needed;
} InitRow;

static const InitRow init_rows[] = {
  { "default", NULL, NULL, INIT_DEFAULT, 0, 0, false },
  { "zeros", NULL, NULL, INIT_ZEROS, 0, 0, false },
  { "ones", NULL, NULL, INIT_ONES, 0, 0, false },
  { "constant", "value", NULL, INIT_CONSTANT, 0, 0, true },
  { "uniform", "low", "high", INIT_UNIFORM, 0, 1, false },
  { "normal", "mean", "std", INIT_NORMAL, 0, 1, false },
  { "xavier_uniform", "gain", NULL, INIT_XAVIER_UNIFORM, 1, 0, false },
  { "xavier_normal", "gain", NULL, INIT_XAVIER_NORMAL, 1, 0, false },
  { "kaiming_uniform", "slope", NULL, INIT_KAIMING_UNIFORM, 0, 0, false },
  { "kaiming_normal", "slope", NULL, INIT_KAIMING_NORMAL, 0, 0, false },
};

static const InitRow *find_init(Sema *s, const char *word, Span at)
{
  const char *words[ARRAY_LEN(init_rows)];
  for (size_t i = 0; i < ARRAY_LEN(init_rows); i++) {
    words[i] = init_rows[i].name;
    if (str_eq(word, words[i]))
      return &init_rows[i];
  }
  diag_error(s->diag, at, "E0304", "there is no initialiser called `%s`", word);
  if (str_in_words(word, "xavier glorot glorot_uniform"))
    diag_help(s->diag, "did you mean `xavier_uniform`?");
  else if (str_in_words(word, "glorot_normal"))
    diag_help(s->diag, "did you mean `xavier_normal`?");
  else if (str_in_words(word, "he he_normal kaiming"))
    diag_help(s->diag, "did you mean `kaiming_normal`?");
  else if (str_in_words(word, "he_uniform"))
    diag_help(s->diag, "did you mean `kaiming_uniform`?");
  else
    sema_suggest(s, word, words, (int)ARRAY_LEN(words), "initialisers");
  return NULL;
}

static bool init_argument(Sema *s, const InitRow *row, const Ast *arg, int *next, bool *given,
                          double v[2])
{
  const char *name = arg->kind == AST_ARG ? arg->arg.name : NULL;
  int known = row->second ? 2 : row->first ? 1 : 0;
  int i = !name ? (*next)++ : str_eq(name, row->first) ? 0 : str_eq(name, row->second) ? 1 : known;
  if (arg->kind == AST_ERROR)
    return false;
  if (i >= known) {
    diag_error(s->diag, arg->at, "E0302", "initialiser `%s` has no such option", row->name);
    if (row->first)
      diag_help(s->diag, "it takes: %s%s%s", row->first, row->second ? ", " : "",
                row->second ? row->second : "");
    return false;
  }
  if (given[i]) {
    diag_error(s->diag, arg->at, "E0306", "this option of `%s` is given twice", row->name);
    return false;
  }
  given[i] = true;
  return sema_number(s, sema_arg_value(arg), &v[i]);
}

bool sema_init(Sema *s, const Ast *e, const char *what, Init *out)
{
  bool call = e->kind == AST_CALL;
  const char *word = call ? sema_word(e->call.callee) : sema_word(e);
  if (e->kind == AST_ERROR)
    return false;
  if (!word) {
    diag_error(s->diag, e->at, "E0304", "%s must be an initialiser", what);
    diag_help(s->diag, "for example zeros, normal(std=0.01) or xavier_uniform");
    return false;
  }
  const InitRow *row = find_init(s, word, e->at);
  if (!row)
    return false;
  double v[2] = { row->a, row->b };
  bool given[2] = { false, false }, ok = true;
  int next = 0;
  for (const Ast *arg = call ? e->call.args : NULL; arg; arg = arg->next)
    ok = init_argument(s, row, arg, &next, given, v) && ok;
  if (ok && row->needed && !given[0]) {
    diag_error(s->diag, e->at, "E0303", "initialiser `%s` needs its value", row->name);
    return false;
  }
  if (ok &&
      ((row->kind == INIT_UNIFORM && v[0] > v[1]) || (row->kind == INIT_NORMAL && v[1] < 0))) {
    diag_error(s->diag, e->at, "E0304",
               row->kind == INIT_UNIFORM ? "uniform needs low <= high: %g and %g"
                                         : "normal needs std >= 0: mean %g, std %g",
               v[0], v[1]);
    return false;
  }
  *out = (Init){ row->kind, v[0], v[1] };
  return ok;
}

/* ---- arguments ---- */

/* bias=[1, 2] gives values to what bias=true only asks for: the literal called bias_values. */
static const AttrDef *values_of(const OpDef *op, const AttrDef *flag)
{
  for (const AttrDef *d = op->attrs; d->name; d++) {
    size_t n = strlen(flag->name);
    if (d->kind == ATTR_literal && strncmp(d->name, flag->name, n) == 0 &&
        str_eq(d->name + n, "_values"))
      return d;
  }
  return NULL;
}

static bool read_attr(Sema *s, const OpDef *op, const AttrDef *def, const Ast *e, Setting *lr,
                      void *at)
{
  const char *what = arena_printf(s->arena, "option `%s` of %s", def->name, op->name);
  switch (def->kind) {
  case ATTR_int: return sema_int(s, e, what, INT64_MIN, DIM_MAX, at);
  case ATTR_real:
    if (!lr || !str_eq(def->name, "lr"))
      return sema_real(s, e, what, -INFINITY, INFINITY, at);
    if (!sema_setting(s, e, "lr", 0, INFINITY, false, lr))
      return false;
    *(double *)at = lr->value;
    return true;
  case ATTR_flag:
    if (e->kind == AST_LIST && values_of(op, def))
      return sema_literal(s, e, what,
                          (Literal *)((char *)at - def->offset + values_of(op, def)->offset));
    return sema_flag(s, e, what, at);
  case ATTR_name: return read_name(s, e, def, what, at);
  case ATTR_ints: return read_ints(s, e, what, INT64_MIN, RANK_MAX, at);
  case ATTR_pad: return read_pad(s, e, what, at);
  case ATTR_literal: return sema_literal(s, e, what, at);
  case ATTR_init: return sema_init(s, e, what, at);
  }
  ice("attribute `%s` of unknown kind", def->name);
}

/* Another loss of the same kind of predictions that has an option of this name or of `alias`, which
 * may be NULL. */
static void help_other_loss(Sema *s, const OpDef *op, const char *name, const char *alias)
{
  for (int i = 0; op->link && i < s->ops->n; i++) {
    const OpDef *other = s->ops->at[i];
    const char *has = find_def(other, name) >= 0 ? name : alias;
    if (!other->link || !str_eq(other->link, op->link) || !has || find_def(other, has) < 0)
      continue;
    diag_help(s->diag, "the loss `%s` has an option `%s`", other->name, has);
    return;
  }
}

static void unknown_option(Sema *s, const OpDef *op, const char *name, Span at)
{
  int n = count_defs(op);
  const char **words = ARENA_ARRAY(s->arena, const char *, n + 1);
  for (int i = 0; i < n; i++)
    words[i] = op->attrs[i].name;
  const char *alias = sema_alias(name);
  diag_error(s->diag, at, "E0302", "`%s` has no option `%s`", op->name, name);
  help_other_loss(s, op, name, alias);
  if (!n) {
    diag_help(s->diag, "`%s` takes no options", op->name);
  } else if (alias && find_def(op, alias) >= 0) {
    diag_help(s->diag, "the same option is called `%s` here", alias);
    diag_note(s->diag, (Span){ 0, 0 }, "options of %s: %s", op->name, sema_join(s, words, n));
  } else {
    sema_suggest(s, name, words, n, arena_printf(s->arena, "options of %s", op->name));
  }
}

static int attr_of(Sema *s, const OpDef *op, const Ast *arg, int *next)
{
  if (arg->kind == AST_ERROR)
    return -1;
  if (arg->kind == AST_ARG && arg->arg.name) {
    int i = find_def(op, arg->arg.name);
    if (i < 0)
      unknown_option(s, op, arg->arg.name, arg->arg.name_at);
    return i;
  }
  if (*next < op->positional)
    return (*next)++;
  if (op->positional)
    diag_error(s->diag, arg->at, "E0302", "`%s` takes only %d option%s without a name", op->name,
               op->positional, op->positional == 1 ? "" : "s");
  else
    diag_error(s->diag, arg->at, "E0302", "`%s` takes no option without a name", op->name);
  if (count_defs(op) > op->positional)
    diag_help(s->diag, "write name=value, as in `%s=..`", op->attrs[op->positional].name);
  return -1;
}

static bool all_given(Sema *s, const OpDef *op, const Span *given, Span at)
{
  bool ok = true;
  for (int i = 0; i < count_defs(op); i++)
    if (!given[i].end && str_eq(op->attrs[i].dflt, "!")) {
      diag_error(s->diag, at, "E0303", "`%s` needs its option `%s`", op->name, op->attrs[i].name);
      diag_help(s->diag, "%s: %s", op->attrs[i].name, op->attrs[i].doc);
      ok = false;
    }
  return ok;
}

bool sema_attrs(Sema *s, const OpDef *op, const Ast *const *args, int nargs, Span at, Setting *lr,
                const void **out)
{
  char *attrs = sema_attrs_new(s, op);
  Span *given = ARENA_ARRAY(s->arena, Span, count_defs(op) + 1);
  int next = 0;
  bool ok = true;
  *out = attrs;
  for (int k = 0; k < nargs; k++) {
    int i = attr_of(s, op, args[k], &next);
    if (i < 0) {
      ok = false;
      continue;
    }
    const char *what = arena_printf(s->arena, "option `%s` of %s", op->attrs[i].name, op->name);
    if (!sema_once(s, &given[i], args[k]->at, what)) {
      ok = false;
      continue;
    }
    ok =
        read_attr(s, op, &op->attrs[i], sema_arg_value(args[k]), lr, attrs + op->attrs[i].offset) &&
        ok;
  }
  return ok && all_given(s, op, given, at);
}

bool sema_attr_set(Sema *s, const OpDef *op, const char *name, Span name_at, const Ast *value,
                   void *attrs)
{
  int i = find_def(op, name);
  if (i < 0)
    unknown_option(s, op, name, name_at);
  return i >= 0 && read_attr(s, op, &op->attrs[i], value, NULL,
                             (char *)attrs + op->attrs[i].offset);
}
