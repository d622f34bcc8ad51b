/* Options of everything that a table of rows describes: data sources, schedules, pipeline stages.
 * The first options may be given by position, the others by name; defaults come from the table. */
#include "sema/sema.h"

#include <math.h>
#include <stdlib.h>

const Row *sema_row(const Row *rows, int n, const char *name)
{
  for (int i = 0; i < n; i++)
    if (rows[i].kind == ROW_HEAD && str_eq(rows[i].name, name))
      return &rows[i];
  return NULL;
}

static int heads(Sema *s, const Row *rows, int n, const char ***out)
{
  *out = ARENA_ARRAY(s->arena, const char *, n + 1);
  int count = 0;
  for (int i = 0; i < n; i++)
    if (rows[i].kind == ROW_HEAD)
      (*out)[count++] = rows[i].name;
  return count;
}

const char *sema_row_names(Sema *s, const Row *rows, int n)
{
  const char **words;
  int count = heads(s, rows, n, &words);
  return sema_join(s, words, count);
}

void sema_unknown_row(Sema *s, const Row *rows, int n, const char *name, Span at, const char *what,
                      const char *code)
{
  const char **words;
  int count = heads(s, rows, n, &words);
  diag_error(s->diag, at, code, "there is no %s called `%s`", what, name);
  sema_suggest(s, name, words, count, arena_printf(s->arena, "there is"));
}

static int option_count(const Row *head, const Row *end)
{
  int n = 0;
  while (head + 1 + n < end && head[1 + n].kind != ROW_HEAD)
    n++;
  return n;
}

static int find_row(const Row *head, int n, const char *name)
{
  for (int i = 0; i < n; i++)
    if (str_eq(head[1 + i].name, name))
      return i;
  return -1;
}

static void unknown_option(Sema *s, const Row *head, int n, const char *name, Span at)
{
  const char **words = ARENA_ARRAY(s->arena, const char *, n + 1);
  for (int i = 0; i < n; i++)
    words[i] = head[1 + i].name;
  const char *alias = sema_alias(name);
  diag_error(s->diag, at, "E0302", "`%s` has no option `%s`", head->name, name);
  if (!n) {
    diag_help(s->diag, "`%s` takes no options", head->name);
  } else if (alias && find_row(head, n, alias) >= 0) {
    diag_help(s->diag, "the same option is called `%s` here", alias);
    diag_note(s->diag, (Span){ 0, 0 }, "options of %s: %s", head->name, sema_join(s, words, n));
  } else {
    sema_suggest(s, name, words, n, arena_printf(s->arena, "options of %s", head->name));
  }
}

static bool read_list(Sema *s, const Ast *e, const Row *r, const char *what, Option *out)
{
  bool many = e->kind == AST_LIST;
  int n = many ? ast_length(e->list.items) : 1, i = 0;
  double *v = ARENA_ARRAY(s->arena, double, n + 1);
  if (!n) {
    diag_error(s->diag, e->at, "E0304", "%s is an empty list", what);
    return false;
  }
  for (const Ast *x = many ? e->list.items : e; x && i < n; x = x->next)
    if (!sema_real(s, x, what, r->low, r->high, &v[i++]))
      return false;
  out->list = v;
  out->nlist = n;
  out->prop.number = v[0];
  return true;
}

static bool read_word(Sema *s, const Ast *e, const Row *r, const char *what, Option *out)
{
  const char *word = sema_word(e), *words = r->doc + sizeof "one of: " - 1;
  if (e->kind == AST_ERROR)
    return false;
  if (word && str_in_words(word, words)) {
    out->prop.text = word;
    return true;
  }
  diag_error(s->diag, e->at, "E0304", word ? "%s cannot be `%s`" : "%s must be one of some words",
             what, word);
  diag_help(s->diag, "it is one of: %s", words);
  return false;
}

static bool read_option(Sema *s, const Ast *e, const Row *head, const Row *r, Option *out)
{
  const char *what = arena_printf(s->arena, "option `%s` of %s", r->name, head->name);
  int64_t count = 0;
  bool flag = false, ok = true;
  switch (r->kind) {
  case ROW_HEAD: ice("a head among the options of `%s`", head->name);
  case ROW_TEXT: return sema_text(s, e, what, &out->prop.text);
  case ROW_WORD: return read_word(s, e, r, what, out);
  case ROW_COUNT:
    ok = sema_int(s, e, what, (int64_t)r->low, (int64_t)r->high, &count);
    out->prop.number = (double)count;
    return ok;
  case ROW_REAL: return sema_real(s, e, what, r->low, r->high, &out->prop.number);
  case ROW_FLAG:
    ok = sema_flag(s, e, what, &flag);
    out->prop.number = flag;
    return ok;
  case ROW_LIST: return read_list(s, e, r, what, out);
  }
  ice("an option `%s` of unknown kind", r->name);
}

static bool defaults(Sema *s, const Row *head, int n, const Option *have, Span at, bool complain,
                     Options *out)
{
  bool ok = true;
  for (int i = 0; i < n; i++) {
    const Row *r = &head[1 + i];
    Option o = have[i];
    if (!o.given && str_eq(r->dflt, "!") && complain) {
      diag_error(s->diag, at, "E0303", "`%s` needs its option `%s`", head->name, r->name);
      diag_help(s->diag, "%s: %s", r->name, r->doc);
      ok = false;
    }
    if (!o.given && (!*r->dflt || str_eq(r->dflt, "!")))
      continue;
    if (!o.given) {
      bool text = r->kind == ROW_TEXT || r->kind == ROW_WORD;
      o.prop = (Prop){ .number = text ? 0 : strtod(r->dflt, NULL),
                       .text = text ? r->dflt : NULL,
                       .at = at };
      if (r->kind == ROW_LIST) {
        o.list = arena_copy(s->arena, &o.prop.number, sizeof o.prop.number);
        o.nlist = 1;
      }
    }
    o.prop.name = r->name;
    vec_push(s->arena, out, o);
  }
  return ok;
}

/* The option that an argument means: by name, or the next unnamed one; -1: reported. */
static int option_of(Sema *s, const Row *head, int n, const Ast *arg, int *next)
{
  if (arg->kind == AST_ARG && arg->arg.name) {
    int i = find_row(head, n, arg->arg.name);
    if (i < 0)
      unknown_option(s, head, n, arg->arg.name, arg->arg.name_at);
    return i;
  }
  if (*next < (int)head->low && *next < n)
    return (*next)++;
  diag_error(s->diag, arg->at, "E0302", "`%s` takes %s%d option%s without a name", head->name,
             head->low ? "only " : "", (int)head->low, head->low == 1 ? "" : "s");
  if (n)
    diag_help(s->diag, "write name=value, as in `%s(%s=..)`", head->name, head[n].name);
  return -1;
}

bool sema_options(Sema *s, const Row *head, const Row *end, const Ast *args, Span at, Options *out)
{
  int n = option_count(head, end), next = 0;
  Option *have = ARENA_ARRAY(s->arena, Option, n + 1);
  bool ok = true;
  for (const Ast *arg = args; arg; arg = arg->next) {
    if (arg->kind == AST_ERROR) {
      ok = false;
      continue;
    }
    int i = option_of(s, head, n, arg, &next);
    if (i < 0) {
      ok = false;
      continue;
    }
    if (have[i].given) {
      diag_error(s->diag, arg->at, "E0306", "option `%s` of %s is given twice", head[1 + i].name,
                 head->name);
      diag_note(s->diag, have[i].prop.at, "the first one is here");
      ok = false;
      continue;
    }
    have[i].given = true;
    have[i].prop.at = arg->at;
    ok = read_option(s, sema_arg_value(arg), head, &head[1 + i], &have[i]) && ok;
  }
  return defaults(s, head, n, have, at, ok, out) && ok;
}

const Option *sema_option(const Options *o, const char *name)
{
  for (uint32_t i = 0; i < o->n; i++)
    if (str_eq(o->at[i].prop.name, name))
      return &o->at[i];
  return NULL;
}

Prop *sema_props(Sema *s, const Options *o, int *n)
{
  Prop *p = ARENA_ARRAY(s->arena, Prop, o->n + 1);
  for (uint32_t i = 0; i < o->n; i++)
    p[i] = o->at[i].prop;
  *n = (int)o->n;
  return p;
}
