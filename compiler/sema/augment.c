/* What a data block says about fields that it has declared: augment: x -> rotate(15) -> flip(0.5);
 * and stratify: y; */
#include "sema/sema.h"

static const Row augment_rows[] = {
#define AUGMENT(name, unnamed, moves, doc) { ROW_HEAD, #name, "", unnamed, 0, doc },
#define OPTION(kind, name, dflt, low, high, doc) { ROW_##kind, #name, dflt, low, high, doc },
#include "sema/augments.def"
#undef AUGMENT
#undef OPTION
};

typedef struct { const char *name; bool moves; } AugmentFact;

static const AugmentFact augment_facts[] = {
#define AUGMENT(name, unnamed, moves, doc) { #name, moves },
#define OPTION(kind, name, dflt, low, high, doc)
#include "sema/augments.def"
#undef AUGMENT
#undef OPTION
};

static bool moves_pixels(const char *name)
{
  for (size_t i = 0; i < ARRAY_LEN(augment_facts); i++)
    if (str_eq(augment_facts[i].name, name))
      return augment_facts[i].moves;
  ice("no facts about augmentation `%s`", name);
}

/* The field that the chain begins with, or NULL. */
static FieldSpec *target(Sema *s, const Ast *chain, Data *data)
{
  const Ast *head = chain->kind == AST_CHAIN ? chain->chain.head : chain;
  const char *name = sema_word(head);
  const char **words = ARENA_ARRAY(s->arena, const char *, data->nfield + 1);
  int n = 0;
  for (int i = 0; i < data->nfield; i++) {
    if (name && str_eq(data->field[i].name, name))
      return &data->field[i];
    words[n++] = data->field[i].name;
  }
  diag_error(s->diag, head->at, "E0516", "augmentation begins with the name of a field");
  if (name)
    sema_suggest(s, name, words, n, "fields");
  else
    diag_help(s->diag, "write `augment: x -> rotate(15);`");
  return NULL;
}

/* One step of the chain. false: reported. */
static bool step(Sema *s, const Ast *st, const FieldSpec *f, AugmentSpec *out)
{
  const Type *t = value_type(f->value);
  int n = (int)ARRAY_LEN(augment_rows);
  Options o = { 0 };
  if (st->kind != AST_STAGE)
    return false;
  const Row *row = sema_row(augment_rows, n, st->stage.callee);
  if (!row) {
    sema_unknown_row(s, augment_rows, n, st->stage.callee, st->stage.callee_at, "augmentation",
                     "E0516");
    return false;
  }
  if (!sema_options(s, row, augment_rows + n, st->stage.args, st->at, &o))
    return false;
  if (moves_pixels(row->name) && t->rank < 2) {
    diag_error(s->diag, st->at, "E0516", "`%s` moves pixels, but field `%s` is %s, no image",
               row->name, f->name, type_user(s->arena, t));
    diag_help(s->diag, "images have at least two dimensions, as in `field %s: u8[28,28]`; noise, "
                       "brightness, contrast and invert take any numbers", f->name);
    return false;
  }
  *out = (AugmentSpec){ .kind = row->name };
  out->prop = sema_props(s, &o, &out->nprop);
  return true;
}

void sema_augment(Sema *s, const Ast *chain, Data *data)
{
  FieldSpec *f = chain->kind == AST_ERROR ? NULL : target(s, chain, data);
  if (!f || !f->value.node)
    return;
  if (f->is_label || f->token) {
    diag_error(s->diag, chain->at, "E0516",
               f->is_label ? "field `%s` is a label: only inputs are augmented"
                           : "field `%s` holds tokens, which are names and not amounts", f->name);
    return;
  }
  const Ast *first = chain->kind == AST_CHAIN ? chain->chain.stages : NULL;
  int n = 0;
  for (const Ast *st = first; st; st = st->next)
    n++;
  if (f->naugment || n == 0) {
    diag_error(s->diag, chain->at, f->naugment ? "E0306" : "E0516",
               f->naugment ? "field `%s` is augmented twice" : "field `%s` has no step here",
               f->name);
    diag_help(s->diag, "write all steps in one chain: `augment: %s -> rotate(15) -> crop(2);`",
              f->name);
    return;
  }
  f->augment = ARENA_ARRAY(s->arena, AugmentSpec, n);
  for (const Ast *st = first; st; st = st->next)
    f->naugment += step(s, st, f, &f->augment[f->naugment]);
}

void sema_stratify(Sema *s, const Ast *values, Data *data)
{
  const char *name = sema_word(values);
  const char **words = ARENA_ARRAY(s->arena, const char *, data->nfield + 1);
  int n = 0;
  if (values->kind == AST_ERROR)
    return;
  for (int i = 0; i < data->nfield; i++) {
    FieldSpec *f = &data->field[i];
    if (!f->is_label)
      continue;
    if (name && !values->next && str_eq(f->name, name)) {
      f->stratify = true;
      return;
    }
    words[n++] = f->name;
  }
  diag_error(s->diag, values->at, "E0512", "`stratify` needs one field that is a label");
  sema_suggest(s, name ? name : "", words, n, "labels");
}
