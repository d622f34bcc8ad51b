/* The model block: inputs take the fields of the same name, statements add layers, and the
 * signature's results become the first outputs. Without data, every input is a field of its own. */
#include "sema/sema.h"

static const Value none = { NULL, 0 };

/* ---- inputs ---- */

/* Real types agree with real types: the signature's f32 means the program's real type. */
static bool same_kind(const Type *a, const Type *b)
{
  bool dtype = a->dtype == b->dtype || (dtype_is_real(a->dtype) && dtype_is_real(b->dtype));
  return dtype && type_same_shape(a, b);
}

/* An input as the signature says it, so that the model is checked although its field is wrong or
 * missing. */
static Value stand_in(Sema *s, const Ast *formal, const Type *type)
{
  Field f = { formal->formal.name, *type, formal->formal.name_at };
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
             type_user(s->arena, want), type_user(s->arena, have));
  diag_note(s->diag, field->at, "field `%s` is declared here", field->text);
  if (type_elems(have) != type_elems(want))
    diag_help(s->diag, "write %s: %s in the model's signature", field->text,
              type_user(s->arena, have));
  else
    diag_help(s->diag, "add `as %s` to the field", type_user(s->arena, want));
}

static void input(Sema *s, const Ast *formal)
{
  if (formal->kind != AST_FORMAL)
    return;
  Type want = type_scalar(DT_F32, true);
  const Ast *type = formal->formal.type;
  bool typed = type && sema_type(s, type, &want), ok = typed || !type;
  Value v = none;
  const Name *field = sema_find(s, formal->formal.name, NAME_FIELD);
  if (s->data && !field) {
    unknown_field(s, formal);
    v = typed ? stand_in(s, formal, &want) : none;
  } else if (s->data) {
    v = ok ? field->value : none;
    if (!v.node && typed)
      v = stand_in(s, formal, &want);
    if (v.node && typed && !same_kind(&want, value_type(v))) {
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

/* ---- statements ---- */

static void let(Sema *s, const Ast *st)
{
  const Ast *names = st->let.names;
  sema_statement(s, names->kind == AST_NAME ? names->name.text : "layer", st->let.value);
  Value v = sema_value(s, st->let.value, OP_LAYER);
  int n = ast_length(names), have = v.node ? (int)v.node->nout : n;
  if (n > 1 && n != have) {
    diag_error(s->diag, st->at, "E0308", "%d names for %d result%s of `%s`", n, have,
               have == 1 ? "" : "s", v.node->op->name);
    v = none;
  }
  for (const Ast *name = names; name; name = name->next) {
    if (name->kind != AST_NAME)
      continue;
    Name entry = { .text = name->name.text, .kind = NAME_VALUE, .at = name->at, .value = v };
    sema_define(s, entry);
    v.result += v.node != NULL;
  }
}

static bool check_result(Sema *s, const Ast *formal, const char *name, Value v)
{
  Type want;
  if (!formal->formal.type || !sema_type(s, formal->formal.type, &want) || !v.node)
    return false;
  if (same_kind(&want, value_type(v)))
    return true;
  diag_error(s->diag, formal->formal.type->at, "E0212",
             "the result `%s` is %s, but the signature says %s", name,
             type_user(s->arena, value_type(v)), type_user(s->arena, &want));
  diag_note(s->diag, v.node->at, "the value is made here");
  sema_trace(s, v);
  return false;
}

static const char *result_name(Sema *s, const Ast *formal, int index, int count)
{
  if (formal->formal.name)
    return formal->formal.name;
  return count == 1 ? "output" : arena_printf(s->arena, "output%d", index + 1);
}

static void add_result(Sema *s, const Ast *formal, const char *name, Value v)
{
  bool good = check_result(s, formal, name, v);
  Name *known = sema_find(s, name, NAME_VALUE);
  if (known) {
    known->named_result = true;
    if (!good)
      known->value = none;
  } else {
    Name n = { .text = name,
               .kind = NAME_VALUE,
               .at = formal->at,
               .value = good ? v : none,
               .named_result = true };
    sema_define(s, n);
  }
  if (good)
    sema_output(s, name, v);
}

/* `return a, b;`: the results in order. Layers of a returned expression are named after the
 * result. */
static void returned(Sema *s, const Ast *ret, const Ast *results)
{
  int want = ast_length(results), have = ast_length(ret->ret.values), i = 0;
  if (have != want) {
    diag_error(s->diag, ret->at, "E0309",
               "the model returns %d value%s, but its signature has %d result%s", have,
               have == 1 ? "" : "s", want, want == 1 ? "" : "s");
    return;
  }
  const Ast *e = ret->ret.values;
  for (const Ast *r = results; r; r = r->next, e = e->next, i++) {
    if (r->kind != AST_FORMAL)
      continue;
    const char *name = result_name(s, r, i, want);
    sema_statement(s, name, e);
    add_result(s, r, name, sema_value(s, e, OP_LAYER));
  }
}

static void missing_result(Sema *s, const Ast *formal)
{
  if (!formal->formal.name) {
    diag_error(s->diag, formal->at, "E0309", "the model returns nothing");
    diag_help(s->diag, "end it with `return x;`, or name the result: -> y: f32[..]");
    return;
  }
  const char **words = ARENA_ARRAY(s->arena, const char *, s->names.n + 1);
  int n = 0;
  for (uint32_t i = 0; i < s->names.n; i++)
    if (s->names.at[i].kind == NAME_VALUE)
      words[n++] = s->names.at[i].text;
  diag_error(s->diag, formal->formal.name_at, "E0309", "the result `%s` is never given a value",
             formal->formal.name);
  sema_suggest(s, formal->formal.name, words, n, "values of the model");
}

static void results_by_name(Sema *s, const Ast *results, bool complete)
{
  for (const Ast *r = results; r; r = r->next) {
    Name *n =
        r->kind == AST_FORMAL && r->formal.name ? sema_find(s, r->formal.name, NAME_VALUE) : NULL;
    if (n)
      add_result(s, r, n->text, n->value);
    else if (r->kind == AST_FORMAL && complete)
      missing_result(s, r);
  }
}

/* ---- what is never used ---- */

void sema_warn_unused(Sema *s)
{
  for (uint32_t i = 0; i < s->names.n; i++) {
    const Name *n = &s->names.at[i];
    if (n->kind != NAME_VALUE || n->used || n->named_result || !n->value.node)
      continue;
    bool is_input = sema_find(s, n->text, NAME_FIELD) != NULL;
    diag_warn(s->diag, n->at, "W0301", "%s `%s` is never used", is_input ? "input" : "value",
              n->text);
  }
}

void sema_model(Sema *s, const Ast *model)
{
  const Ast *sig = model->model.signature, *ret = NULL;
  bool complete = true;
  if (!sig || sig->kind != AST_SIGNATURE)
    return;
  s->visible = NAME_VALUE;
  s->in_model = true;
  for (const Ast *f = sig->signature.formals; f; f = f->next)
    input(s, f);
  for (const Ast *st = model->model.body; st; st = st->next) {
    complete = complete && st->kind != AST_ERROR;
    if (ret && st->kind != AST_ERROR) {
      diag_error(s->diag, st->at, "E0309", "nothing may follow `return`");
      diag_note(s->diag, ret->at, "the model ends here");
      break;
    }
    if (st->kind == AST_LET)
      let(s, st);
    else if (st->kind == AST_RETURN)
      ret = st;
  }
  if (ret)
    returned(s, ret, sig->signature.results);
  else
    results_by_name(s, sig->signature.results, complete);
  s->model->nmodel_output = (int)s->outputs.n;
  s->in_model = false;
}
