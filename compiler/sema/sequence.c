/* Texts and series: samples that are windows of the rows of a source, tokens and their vocabulary,
 * and fields that are what comes next. */
#include "sema/sema.h"

#include <string.h>

enum { WINDOW_MAX = 1 << 20 };

bool sema_is_token(const Ast *type)
{
  return type && type->kind == AST_TYPE && str_eq(type->type.name, "token");
}

static bool is_text(const SourceSpec *source) { return str_eq(source->kind, "text"); }

static double prop_number(const SourceSpec *source, const char *name)
{
  for (int i = 0; i < source->nprop; i++)
    if (str_eq(source->prop[i].name, name))
      return source->prop[i].number;
  return 0;
}

/* ---- window, streams ---- */

/* `window: 64, stride=32;` */
static void read_window(Sema *s, const Ast *item, Data *data)
{
  const Ast *size = item->property.values, *more = size ? size->next : NULL;
  if (!size || !sema_once(s, &data->window_at, item->property.name_at, "`window`"))
    return;
  if (size->kind == AST_ARG ||
      (more && (more->kind != AST_ARG || !str_eq(more->arg.name, "stride") || more->next))) {
    diag_error(s->diag, item->at, "E0520", "`window` needs a number of rows");
    diag_help(s->diag, "write `window: 64;` or `window: 64, stride=16;`");
    return;
  }
  if (!sema_int(s, size, "`window`", 1, WINDOW_MAX, &data->window))
    data->window = 0;
  if (more && !sema_int(s, more->arg.value, "`stride`", 1, WINDOW_MAX, &data->stride))
    data->stride = 1;
}

static void read_streams(Sema *s, const Ast *item, Data *data)
{
  const Ast *value = item->property.values;
  if (value && value->next) {
    diag_error(s->diag, value->next->at, "E0308", "`streams` takes one value");
    return;
  }
  if (value && sema_flag(s, value, "`streams`", &data->streams) && data->streams &&
      !data->window_at.end) {
    diag_error(s->diag, item->at, "E0520", "`streams` needs `window`");
    diag_help(s->diag, "add `window: 64;`");
  } else if (data->streams && data->stride && data->stride != data->window) {
    diag_error(s->diag, item->at, "E0520",
               "windows of streams follow one another: the stride must be that of the window, %lld",
               (long long)data->window);
    diag_help(s->diag, "leave `stride` out");
  } else if (data->streams && data->lines) {
    diag_error(s->diag, item->at, "E0520", "lines that are documents of their own are no streams");
    diag_help(s->diag, "leave out `streams` or `lines=true`");
  }
}

static bool says(const Ast *item, const char *name)
{
  return item->kind == AST_PROPERTY && str_eq(item->property.name, name);
}

static void check_text_window(Sema *s, const SourceSpec *source, const Data *data)
{
  if (data->window_at.end)
    return;
  diag_error(s->diag, source->at, "E0520", "a text is read in windows, but there is no `window`");
  diag_help(s->diag, "add `window: 64;`");
}

/* The vocabulary of the first text; others are read with it. */
static void read_vocabulary(Sema *s, const SourceSpec *source, Data *data)
{
  data->vocab = 2;
  if (s->texts && !s->texts->vocabulary(s->texts, source, s->arena, &data->vocabulary,
                                        &data->vocab))
    data->vocab = 2;
}

void sema_sequence(Sema *s, const Ast *items, const SourceSpec *source, int nsource, Data *data)
{
  for (int i = 0; i < nsource; i++)
    data->lines = data->lines || (is_text(&source[i]) && prop_number(&source[i], "lines") != 0);
  for (const Ast *item = items; item; item = item->next)
    if (says(item, "window"))
      read_window(s, item, data);
  for (const Ast *item = items; item; item = item->next)
    if (says(item, "streams"))
      read_streams(s, item, data);
  for (int i = 0; i < nsource && !data->vocab; i++)
    if (is_text(&source[i])) {
      check_text_window(s, &source[i], data);
      read_vocabulary(s, &source[i], data);
    }
}

/* ---- fields ---- */

/* The field that `= next(x)` names; NULL: reported. */
static const FieldSpec *next_source(Sema *s, const Ast *e, const Data *data, int *index)
{
  const Ast *args = e->kind == AST_CALL ? e->call.args : NULL;
  const char *of = args && !args->next ? sema_word(sema_arg_value(args)) : NULL;
  if (e->kind == AST_ERROR)
    return NULL;
  if (e->kind != AST_CALL || !str_eq(sema_word(e->call.callee), "next") || !of) {
    diag_error(s->diag, e->at, "E0521", "a field is read from the source, or is `next` of another");
    diag_help(s->diag, "write `= next(x)`");
    return NULL;
  }
  const char **words = ARENA_ARRAY(s->arena, const char *, data->nfield + 1);
  for (int i = 0; i < data->nfield; i++) {
    words[i] = data->field[i].name;
    if (str_eq(words[i], of) && !data->field[i].next_of) {
      *index = i;
      return &data->field[i];
    }
  }
  diag_error(s->diag, e->at, "E0521", "no field `%s` is read before this one", of);
  sema_suggest(s, of, words, data->nfield, "fields");
  return NULL;
}

const char *sema_written(const Sema *s, const Data *d, const Type *t)
{
  const char *text = type_user(s->arena, t), *dims = strchr(text, '[');
  bool token = d && d->vocab && t->dtype == DT_I32;
  return token ? arena_printf(s->arena, "token%s", dims ? dims : "") : text;
}

/* The target has the window's shape, or that of one of its rows. */
static bool next_fits(Sema *s, const Ast *item, const Data *d, const Type *from, const Type *to)
{
  Type row = type_make(from->dtype, from->batched, from->rank - 1, from->dim + 1);
  if (from->dtype == to->dtype && (type_same_shape(from, to) || type_same_shape(&row, to)))
    return true;
  diag_error(s->diag, item->field.type->at, "E0521",
             "what comes next is %s for each row of the window, or %s behind it, not %s",
             sema_written(s, d, from), sema_written(s, d, &row), sema_written(s, d, to));
  return false;
}

static bool read_next(Sema *s, const Ast *item, const Data *data, FieldSpec *f, const Type *stored)
{
  int index = 0;
  if (!data->window) {
    if (!data->window_at.end && !data->vocab) {     /* else reported at the source */
      diag_error(s->diag, item->field.value->at, "E0521", "`next` needs samples that are windows");
      diag_help(s->diag, "add `window: 16;` to the data block");
    }
    return false;
  }
  const FieldSpec *x = next_source(s, item->field.value, data, &index);
  if (!x || !x->value.node ||
      !next_fits(s, item, data, &s->program->fields.at[x->field].type, stored))
    return false;
  if (x->token != f->token) {
    diag_error(s->diag, item->field.type->at, "E0521", "`%s` is %stokens, `%s` is %s", x->name,
               x->token ? "" : "not ", f->name, f->token ? "tokens" : "not");
    return false;
  }
  f->next_of = index + 1;
  f->is_label = f->token;
  return true;
}

bool sema_sequence_field(Sema *s, const Ast *item, const Data *data, FieldSpec *f,
                         const Type *stored)
{
  f->token = sema_is_token(item->field.type);
  if (f->token && !data->vocab) {
    diag_error(s->diag, item->field.type->at, "E0520",
               "field `%s`: only a source of text gives tokens", f->name);
    diag_help(s->diag, "write `source: text(\"input.txt\");`");
    return false;
  }
  if (!f->token && data->vocab) {
    diag_error(s->diag, item->field.type->at, "E0520",
               "field `%s`: a text gives tokens, not %s", f->name, type_user(s->arena, stored));
    diag_help(s->diag, "write `field %s: token[%lld];`", f->name,
              (long long)max_i64(data->window, 1));
    return false;
  }
  f->classes = f->token ? data->vocab : f->classes;
  f->class_name = f->token ? data->vocabulary : f->class_name;
  if (item->field.value)
    return read_next(s, item, data, f, stored);
  if (!data->window || (stored->rank && stored->dim[0] == data->window))
    return true;
  diag_error(s->diag, item->field.type->at, "E0520",
             "field `%s`: a window has %lld rows, so the first dimension must be %lld, not %s",
             f->name, (long long)data->window, (long long)data->window,
             sema_written(s, data, stored));
  return false;
}

/* ---- numbers of a text ---- */

bool sema_member(Sema *s, const Ast *e, double *out)
{
  const char *of = e->field_of.of->kind == AST_NAME ? e->field_of.of->name.text : NULL;
  const Data *d = s->data;
  *out = d ? (double)d->vocab : 0;
  if (of && str_eq(e->field_of.name, "vocab") && d && str_eq(of, d->name)) {
    if (d->vocab)
      return true;
    diag_error(s->diag, e->at, "E0307", "data `%s` has no text, and so no vocabulary", of);
    return false;
  }
  diag_error(s->diag, e->at, "E0307", "a number is needed here");
  if (d && d->vocab)
    diag_help(s->diag, "`%s.vocab` is the number of tokens of the text", d->name);
  else
    diag_help(s->diag, "numbers may be calculated from other numbers, params and consts");
  return false;
}

/* ---- carried states ---- */

static bool carries(const Node *n)
{
  for (const AttrDef *a = n->op->attrs; a && a->name; a++)
    if (a->kind == ATTR_flag && str_eq(a->name, "carry"))
      return *(const bool *)((const char *)n->attrs + a->offset);
  return false;
}

void sema_check_carried(Sema *s)
{
  const Graph *g = s->model->forward;
  for (uint32_t i = 0; g && s->data && !s->data->streams && i < g->order.n; i++) {
    if (!carries(g->order.at[i]))
      continue;
    diag_error(s->diag, g->order.at[i]->at, "E0520",
               "`carry` goes on where the batch before ended, but `%s` is not read in streams",
               s->data->name);
    diag_help(s->diag, "add `streams: true;` beside its `window`, or leave `carry` out");
    return;
  }
}

/* ---- padding ---- */

Value sema_counted(Sema *s, Value loss, Value target, Span at)
{
  const Data *d = s->data;
  for (int i = 0; d && d->lines && i < d->nfield; i++) {
    const FieldSpec *f = &d->field[i];
    if (!f->next_of || !value_equal(f->value, target) || value_type(target)->rank == 0)
      continue;
    s->model->counted = f->field + 1;
    Value in[] = { loss, sema_arg(s, ARG_SHARE, at) };
    const OpDef *op = op_find(s->ops, sema_operator("/", 2));
    return sema_node(s, op, sema_attrs_new(s, op), in, 2, "loss", at);
  }
  return loss;
}

/* ---- predictions in the units of the data ---- */

/* The field of numbers that a loss, or a part of a sum of losses, compares v with, or NULL.
 * seen: by node id. */
static const FieldSpec *compared(const Sema *s, const Node *loss, Value v, bool *seen)
{
  const FieldSpec *found = NULL;
  if (seen[loss->id])
    return NULL;
  seen[loss->id] = true;
  for (int i = 0; loss->nin > 1 && i < s->data->nfield && !found; i++) {
    const FieldSpec *f = &s->data->field[i];
    if (f->next_of && !f->token && value_equal(loss->in[1], f->value) &&
        value_equal(loss->in[0], v))
      found = f;
  }
  for (uint32_t i = 0; i < loss->nin && !found; i++)
    if (loss->in[i].node && value_type(loss->in[i])->rank == 0)
      found = compared(s, loss->in[i].node, v, seen);
  return found;
}

/* The field of numbers that training compares v with, or NULL. */
static const FieldSpec *target_of(const Sema *s, Value v)
{
  const Train *t = s->model->train;
  const Node *loss = t ? t->loss.node : NULL;
  return loss ? compared(s, loss, v, ARENA_ARRAY(s->arena, bool, s->forward->next_id)) : NULL;
}

int sema_next_field(const Sema *s, Value v)
{
  const FieldSpec *f = target_of(s, v);
  return f ? f->next_of : 0;
}

static Value apply(Sema *s, const char *operator, Value x, Value y, Span at)
{
  const OpDef *op = op_find(s->ops, sema_operator(operator, 2));
  Value in[] = { x, y };
  return sema_node(s, op, sema_attrs_new(s, op), in, 2, "prediction", at);
}

static Value undo_affine(Sema *s, const Node *n, Value v, Span at)
{
  void *attrs = sema_attrs_new(s, n->op);
  double scale = *(double *)sema_attr_at(n->op, (void *)(uintptr_t)n->attrs, "scale", ATTR_real);
  double offset = *(double *)sema_attr_at(n->op, (void *)(uintptr_t)n->attrs, "offset", ATTR_real);
  *(double *)sema_attr_at(n->op, attrs, "scale", ATTR_real) = 1 / scale;
  *(double *)sema_attr_at(n->op, attrs, "offset", ATTR_real) = -offset / scale;
  return sema_node(s, n->op, attrs, &v, 1, "prediction", at);
}

static Value undo_normalize(Sema *s, const Node *n, Value v, Span at)
{
  bool turn = sema_by_column(v, n->in[1]) || sema_by_column(v, n->in[2]);
  Value x = turn ? sema_turned(s, v, "prediction", at) : v;
  x = apply(s, "+", apply(s, "*", x, n->in[2], at), n->in[1], at);
  return turn ? sema_turned(s, x, "prediction", at) : x;
}

Value sema_undone(Sema *s, Value v, Span at)
{
  const FieldSpec *f = target_of(s, v);
  const Node *n = f ? f->value.node : NULL;
  for (; n && n->nin && v.node; n = n->in[0].node) {
    if (n->op == sema_known(s, "affine"))
      v = undo_affine(s, n, v, at);
    else if (n->op == sema_known(s, "normalize"))
      v = undo_normalize(s, n, v, at);
  }
  return v;
}
