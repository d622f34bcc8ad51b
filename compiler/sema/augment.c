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

/* Pixels are set to what the field can store, and something of the image is left. */
static bool options_fit(Sema *s, const Row *row, const Options *o, const FieldSpec *f)
{
  const Type *t = value_type(f->value), *stored = &s->program->fields.at[f->field].type;
  const Option *side = sema_option(o, "pixels");
  static const char *const set[] = { "fill", "white" };
  for (size_t i = 0; i < ARRAY_LEN(set); i++) {
    const Option *v = sema_option(o, set[i]);
    if (!v || stored->dtype != DT_U8 || (v->prop.number >= 0 && v->prop.number <= 255))
      continue;
    diag_error(s->diag, v->prop.at, "E0516", "option `%s` of %s: field `%s` holds bytes, from 0 to "
               "255, not %.6g", set[i], row->name, f->name, v->prop.number);
    return false;
  }
  if (!str_eq(row->name, "cutout") || !side || t->rank < 2 ||
      side->prop.number < (double)max_i64(t->dim[t->rank - 1], t->dim[t->rank - 2]))
    return true;
  diag_error(s->diag, side->prop.at, "E0516", "a square of %.0f pixels may hide all of field `%s`, "
             "%s", side->prop.number, f->name, type_user(s->arena, t));
  return false;
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
  if (!options_fit(s, row, &o, f))
    return false;
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
