/* Names: parameters, constants, fields and values of the model, with suggestions for misspelt
 * ones. A name is given once; values and fields may share one only when they are the same tensor
 * (a model's input). */
#include "sema/sema.h"

#include <string.h>

static const char *kind_text(unsigned kind)
{
  switch (kind) {
  case NAME_PARAM: return "param";
  case NAME_CONST: return "const";
  case NAME_FIELD: return "field";
  case NAME_PACK: return "pack of dimensions";
  case NAME_LAYER: return "layer";
  default: return "value";
  }
}

/* FNV-1a. */
static uint32_t hash(const char *text)
{
  uint32_t h = 2166136261u;
  for (const char *p = text; *p; p++)
    h = (h ^ (unsigned char)*p) * 16777619u;
  return h;
}

static void enter(Sema *s, uint32_t i)
{
  uint32_t *slot = &s->slot[hash(s->names.at[i].text) & (s->nslot - 1)];
  s->names.at[i].older = *slot;
  *slot = i + 1;
}

static void add_name(Sema *s, Name n)
{
  vec_push(s->arena, &s->names, n);
  if (s->names.n <= s->nslot) {
    enter(s, s->names.n - 1);
    return;
  }
  s->nslot = s->nslot ? 2 * s->nslot : 64;
  s->slot = ARENA_ARRAY(s->arena, uint32_t, s->nslot);
  for (uint32_t i = 0; i < s->names.n; i++)
    enter(s, i);
}

bool sema_in_scope(const Sema *s, uint32_t name)
{
  const Name *n = &s->names.at[name];
  return n->kind == NAME_LAYER ||
         (!n->closed && (name >= s->scope.first || name < s->nglobal));
}

Name *sema_find(Sema *s, const char *text, unsigned kinds)
{
  uint32_t i = s->nslot ? s->slot[hash(text) & (s->nslot - 1)] : 0;
  while (i && !((s->names.at[i - 1].kind & kinds) && str_eq(s->names.at[i - 1].text, text) &&
                sema_in_scope(s, i - 1)))
    i = s->names.at[i - 1].older;
  return i ? &s->names.at[i - 1] : NULL;
}

void sema_close(Sema *s, uint32_t from)
{
  for (uint32_t i = from; i < s->names.n; i++)
    s->names.at[i].closed = true;
}

/* The statement that makes the layer gives its value a name that is taken: sema_define says so. */
static bool will_be_refused(Sema *s, const char *path)
{
  const char *own = s->scope.prefix && strlen(path) > strlen(s->scope.prefix)
                        ? path + strlen(s->scope.prefix) + 1
                        : path;
  const char *name = arena_strndup(s->arena, own, strcspn(own, "."));
  return !*s->scope.suffix && sema_find(s, name, NAME_VALUE);
}

bool sema_claim_path(Sema *s, const char *path, Span at)
{
  const Name *old = sema_find(s, path, NAME_LAYER);
  if (old && will_be_refused(s, path))
    return false;
  if (old) {
    diag_error(s->diag, at, "E0306", "there are two layers called `%s`", path);
    diag_note(s->diag, old->at, "the first one is here");
    diag_help(s->diag, "name one of them: `-> .. as other`");
    return false;
  }
  add_name(s, (Name){ .text = path, .kind = NAME_LAYER, .at = at, .used = true });
  return true;
}

const char *sema_path(Sema *s, const char *name)
{
  const Scope *c = &s->scope;
  const char *own = *name ? arena_printf(s->arena, "%s%s", name, c->suffix) : "";
  if (!c->prefix)
    return own;
  return *own ? arena_printf(s->arena, "%s.%s", c->prefix, own) : c->prefix;
}

/* What a new name may stand beside: names outside of the block, and values that a round of
 * `repeat` replaces. */
static bool may_hide(const Sema *s, const Name *n, const Name *old)
{
  uint32_t i = (uint32_t)(old - s->names.at);
  return i < s->scope.first || (i < s->scope.round && n->kind == NAME_VALUE &&
                                old->kind == NAME_VALUE);
}

Name *sema_define(Sema *s, Name n)
{
  unsigned rivals = n.kind == NAME_FIELD ? (unsigned)(NAME_NUMBER | NAME_FIELD)
                                         : (unsigned)(NAME_NUMBER | NAME_VALUE);
  Name *old = sema_find(s, n.text, rivals);
  if (old && !may_hide(s, &n, old)) {
    diag_error(s->diag, n.at, "E0306", "`%s` is already the name of a %s", n.text,
               kind_text(old->kind));
    diag_note(s->diag, old->at, "`%s` is declared here", n.text);
    diag_help(s->diag, "choose another name: every name stands for one thing");
    return NULL;
  }
  add_name(s, n);
  return &s->names.at[s->names.n - 1];
}

void sema_unknown_name(Sema *s, Span at, const char *text, unsigned kinds)
{
  for (uint32_t i = 0; i < s->unknown.n; i++)
    if (str_eq(s->unknown.at[i], text))
      return;
  vec_push(s->arena, &s->unknown, text);
  const char **words = ARENA_ARRAY(s->arena, const char *, s->names.n + 1);
  int n = 0;
  for (uint32_t i = 0; i < s->names.n; i++)
    if ((s->names.at[i].kind & kinds) && sema_in_scope(s, i))
      words[n++] = s->names.at[i].text;
  const char *what = kinds == NAME_NUMBER  ? "param or const"
                     : kinds & NAME_NUMBER ? "name"
                                           : "value";
  diag_error(s->diag, at, "E0305", "there is no %s called `%s`", what, text);
  const Name *other = sema_find(s, text, NAME_NUMBER | NAME_TENSOR);
  if (other)
    diag_note(s->diag, other->at, "`%s` is a %s, which cannot be used here", text,
              kind_text(other->kind));
  else
    sema_suggest(s, text, words, n, "names here");
}

const char *sema_value_name(const Sema *s, Value v)
{
  for (uint32_t i = s->names.n; i-- > 0;) {
    const Name *n = &s->names.at[i];
    if ((n->kind & NAME_TENSOR) && sema_in_scope(s, i) && v.node && value_equal(n->value, v))
      return n->text;
  }
  return NULL;
}

const char *sema_join(Sema *s, const char *const *words, int n)
{
  const char *text = n ? words[0] : "";
  for (int i = 1; i < n; i++)
    text = arena_printf(s->arena, "%s, %s", text, words[i]);
  return text;
}

void sema_suggest(Sema *s, const char *word, const char *const *words, int n, const char *what)
{
  const char *best = str_closest(word, words, n);
  if (best)
    diag_help(s->diag, "did you mean `%s`?", best);
  if (n > 0 && n <= 24)
    diag_note(s->diag, (Span){ 0, 0 }, "%s: %s", what, sema_join(s, words, n));
}

bool sema_once(Sema *s, Span *first, Span at, const char *what)
{
  if (first->end) {
    diag_error(s->diag, at, "E0306", "%s is given twice", what);
    diag_note(s->diag, *first, "the first one is here");
    return false;
  }
  *first = at;
  return true;
}
