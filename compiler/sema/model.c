/* The model block: inputs take the fields of the same name, and the signature's results become the
 * first outputs. Without data, every input is a field of its own. */
#include "sema/sema.h"

static const Value none = { NULL, 0 };

/* ---- inputs ---- */

/* An input as the signature says it, so that the model is checked although its field is wrong or
 * missing. */
static Value stand_in(Sema *s, const Ast *formal, const Type *type)
{
  Field f = { formal->formal.name, *type, formal->formal.name_at, 0 };
  if (s->data && sema_is_token(formal->formal.type))
    f.classes = s->data->vocab;
  f.type.dtype = dtype_is_real(type->dtype) ? s->program->real : type->dtype;
  vec_push(s->arena, &s->program->fields, f);
  return sema_input(s, (int)s->program->fields.n - 1, formal->formal.name_at);
}

static Value field_without_data(Sema *s, const Ast *formal, const Type *type)
{
  Value v = stand_in(s, formal, type);
  Name n = { .text = formal->formal.name,
             .kind = NAME_FIELD,
             .at = formal->formal.name_at,
             .value = v,
             .index = -1 };
  sema_define(s, n);
  return v;
}

static void unknown_field(Sema *s, const Ast *formal)
{
  const char **words = ARENA_ARRAY(s->arena, const char *, s->data->nfield + 1);
  for (int i = 0; i < s->data->nfield; i++)
    words[i] = s->data->field[i].name;
  diag_error(s->diag, formal->formal.name_at, "E0305", "data `%s` has no field called `%s`",
             s->data->name, formal->formal.name);
  diag_note(s->diag, s->data->at, "inputs of a model take the fields of the same name");
  sema_suggest(s, formal->formal.name, words, s->data->nfield, "fields");
}

static void input_differs(Sema *s, const Ast *formal, const Name *field, const Type *want)
{
  const Type *have = value_type(field->value);
  diag_error(s->diag, formal->formal.type->at, "E0210",
             "the model wants `%s` as %s, but the data gives %s", field->text,
             sema_written(s, s->data, want), sema_written(s, s->data, have));
  diag_note(s->diag, field->at, "field `%s` is declared here", field->text);
  if (type_elems(have) != type_elems(want))
    diag_help(s->diag, "write %s: %s in the model's signature", field->text,
              sema_written(s, s->data, have));
  else
    diag_help(s->diag, "add `as %s` to the field", type_user(s->arena, want));
}

static void input(Sema *s, const Ast *formal)
{
  if (formal->kind != AST_FORMAL)
    return;
  Type want = type_scalar(DT_F32, true);
  const Ast *type = formal->formal.type;
  if (formal->formal.dflt) {
    diag_error(s->diag, formal->formal.dflt->at, "E0309", "an input of a model has no default");
    diag_help(s->diag, "numbers that a model is made with are `param` or `const`");
  }
  const Name *known = s->data ? sema_find(s, formal->formal.name, NAME_FIELD) : NULL;
  if (known && type && !sema_bind_dims(s, formal, known->value))
    type = NULL;
  bool typed = type && sema_type(s, type, &want), ok = typed || !type;
  Value v = none;
  const Name *field = sema_find(s, formal->formal.name, NAME_FIELD);
  if (!type && formal->formal.type) {
    v = none;
  } else if (s->data && !field) {
    unknown_field(s, formal);
    v = typed ? stand_in(s, formal, &want) : none;
  } else if (s->data) {
    v = ok ? field->value : none;
    if (!v.node && typed)
      v = stand_in(s, formal, &want);
    if (v.node && typed && !sema_same_kind(&want, value_type(v))) {
      input_differs(s, formal, field, &want);
      v = none;
    }
  } else if (!type) {
    diag_error(s->diag, formal->formal.name_at, "E0303",
               "input `%s` needs a type, as there is no data to take it from", formal->formal.name);
    diag_help(s->diag, "write %s: f32[..]", formal->formal.name);
  } else if (ok && !field) {
    v = field_without_data(s, formal, &want);
  }
  Name n = {
    .text = formal->formal.name, .kind = NAME_VALUE, .at = formal->formal.name_at, .value = v
  };
  sema_define(s, n);
}

/* ---- what is never used ---- */

/* A statement of a block or of `repeat` makes several values: one that is used is enough. */
static bool used_elsewhere(const Sema *s, uint32_t value)
{
  for (uint32_t i = 0; i < s->names.n; i++)
    if (i != value && s->names.at[i].at.begin == s->names.at[value].at.begin &&
        s->names.at[i].kind == NAME_VALUE && (s->names.at[i].used || i < value))
      return true;
  return false;
}

void sema_warn_unused(Sema *s)
{
  for (uint32_t i = 0; i < s->names.n; i++) {
    const Name *n = &s->names.at[i];
    if (n->kind != NAME_VALUE || n->used || n->named_result || !n->value.node ||
        used_elsewhere(s, i))
      continue;
    bool is_input = sema_find(s, n->text, NAME_FIELD) != NULL && !n->closed;
    diag_warn(s->diag, n->at, "W0301", "%s `%s` is never used", is_input ? "input" : "value",
              n->text);
  }
}

void sema_model(Sema *s, const Ast *model)
{
  const Ast *sig = model->model.signature;
  Value out[RESULTS_MAX];
  int i = 0, n = 0;
  if (!sig || sig->kind != AST_SIGNATURE)
    return;
  const Ast *results = sig->signature.results;
  n = ast_length(results);
  if (n > RESULTS_MAX) {
    diag_error(s->diag, sig->at, "E0308", "the model has more than %d results", RESULTS_MAX);
    return;
  }
  s->visible = NAME_VALUE;
  s->in_model = true;
  for (const Ast *f = sig->signature.formals; f; f = f->next)
    input(s, f);
  sema_body(s, model->model.body, results, out);
  for (const Ast *r = results; r; r = r->next, i++)
    if (out[i].node)
      sema_output(s, sema_result_name(s, r, i, n), out[i]);
  s->model->nmodel_output = (int)s->outputs.n;
  s->in_model = false;
}
