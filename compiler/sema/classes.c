/* `classes: 0, 1, 7;` or `classes: cat, dog;` of a data block: the only classes of its sources that
 * are read. They get the numbers 0, 1, .. in this order. */
#include "sema/sema.h"

#include <string.h>

/* Labels of these sources may be words. */
static const char word_sources[] = "csv images";

static FieldSpec *only_label(Sema *s, Span at, Data *data)
{
  FieldSpec *label = NULL;
  int n = 0;
  for (int i = 0; i < data->nfield; i++)
    if (data->field[i].is_label) {
      label = &data->field[i];
      n++;
    }
  if (n == 1)
    return label;
  diag_error(s->diag, at, "E0517", n ? "`classes` needs a single label, but data `%s` has %d"
                                     : "data `%s` has no label whose classes could be chosen",
             data->name, n);
  if (!n)
    diag_help(s->diag, "declare one: `field y: label(2);`");
  return NULL;
}

/* A class by its number or word; NULL: reported. */
static const char *class_text(Sema *s, const Ast *e, bool *number)
{
  const char *word = sema_word(e);
  int64_t v = 0;
  *number = !word;
  if (word && !strchr(word, '\n') && word[strspn(word, "0123456789")])
    return word;
  if (word) {
    diag_error(s->diag, e->at, "E0517", "`%s` cannot be the name of a class",
               str_escape(s->arena, word, 40));
    if (*word)
      diag_help(s->diag, "numbers stand without quotes");
    return NULL;
  }
  bool good = sema_int(s, e, "a class", 0, INT32_MAX - 1, &v);
  return good ? arena_printf(s->arena, "%lld", (long long)v) : NULL;
}

static bool fits_sources(Sema *s, Span at, const SourceSpec *source, int n)
{
  for (int i = 0; i < n; i++)
    if (!str_in_words(source[i].kind, word_sources)) {
      diag_error(s->diag, at, "E0517", "classes of `%s` are numbers", source[i].kind);
      diag_help(s->diag, "write their numbers, as in `classes: 0, 1, 7;`");
      return false;
    }
  return true;
}

/* Names that the label has as well must be these. */
static bool fits_label(Sema *s, Span at, FieldSpec *label, const char *const *name, int n,
                       bool words)
{
  if (label->classes != n) {
    diag_error(s->diag, at, "E0517", "%d class%s of label `%s`, which has %lld", n,
               n == 1 ? " is kept" : "es are kept", label->name, (long long)label->classes);
    diag_help(s->diag, "write label(%d)", n);
    return false;
  }
  for (int i = 0; i < n && words && label->class_name; i++)
    if (!str_eq(label->class_name[i], name[i])) {
      diag_error(s->diag, at, "E0517", "class %d is called `%s` here and `%s` in label `%s`", i,
                 name[i], label->class_name[i], label->name);
      return false;
    }
  if (words)
    label->class_name = name;
  return true;
}

static void add_option(Sema *s, SourceSpec *source, const char *only, Span at)
{
  Prop *p = ARENA_ARRAY(s->arena, Prop, source->nprop + 1);
  for (int i = 0; i < source->nprop; i++)
    p[i] = source->prop[i];
  p[source->nprop++] = (Prop){ .name = "only", .text = only, .at = at };
  source->prop = p;
}

void sema_classes(Sema *s, const Ast *values, Data *data, SourceSpec *source, int nsource)
{
  FieldSpec *label = only_label(s, values->at, data);
  int n = ast_length(values), i = 0, words = 0;
  const char **name = ARENA_ARRAY(s->arena, const char *, n + 1), *only = "";
  if (!label)
    return;
  for (const Ast *e = values; e; e = e->next, i++) {
    bool number = false;
    name[i] = e->kind == AST_ERROR ? NULL : class_text(s, e, &number);
    if (!name[i])
      return;
    words += !number;
    for (int k = 0; k < i; k++)
      if (str_eq(name[k], name[i])) {
        diag_error(s->diag, e->at, "E0306", "class `%s` stands twice in `classes`", name[i]);
        return;
      }
    only = i ? arena_printf(s->arena, "%s\n%s", only, name[i]) : name[i];
  }
  if (words && words < n) {
    diag_error(s->diag, values->at, "E0517", "classes are all numbers or all names");
    return;
  }
  if ((words && !fits_sources(s, values->at, source, nsource)) ||
      !fits_label(s, values->at, label, name, n, words > 0))
    return;
  for (int k = 0; k < nsource; k++)
    add_option(s, &source[k], only, values->at);
}
