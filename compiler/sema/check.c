/* The order of the checks. Params first, since sizes depend on them; then the data that the
 * program reads, the model on its fields, and the blocks that use both. Each step goes on after
 * mistakes of the one before. */
#include "sema/sema.h"

typedef struct {
  const Ast *model, *train, *infer, *build, *data;
  const Ast *eval;              /* the first one */
  int neval;
} Items;

/* ---- which blocks there are ---- */

static void take(Sema *s, const Ast **slot, const Ast *item, const char *what)
{
  if (!*slot) {
    *slot = item;
    return;
  }
  diag_error(s->diag, item->at, "E0313", "a spec has one %s", what);
  diag_note(s->diag, (*slot)->at, "the first one is here");
}

static void sort_items(Sema *s, const Ast *file, Items *out)
{
  for (const Ast *item = file->file.items; item; item = item->next) {
    if (item->kind == AST_PARAM || item->kind == AST_CONST)
      sema_declare_param(s, item);
    else if (item->kind == AST_MODEL)
      take(s, &out->model, item, "model");
    else if (item->kind == AST_TRAIN)
      take(s, &out->train, item, "train block");
    else if (item->kind == AST_INFER)
      take(s, &out->infer, item, "infer block");
    else if (item->kind == AST_BUILD)
      take(s, &out->build, item, "build block");
    else if (item->kind == AST_EVAL && out->neval++ == 0)
      out->eval = item;
  }
}

static const Ast *find_data(Sema *s, const Ast *file, const char *name, Span at)
{
  const char **words = ARENA_ARRAY(s->arena, const char *, ast_length(file->file.items) + 1);
  int n = 0;
  for (const Ast *item = file->file.items; item; item = item->next)
    if (item->kind == AST_DATA) {
      if (str_eq(item->data.name, name))
        return item;
      words[n++] = item->data.name;
    }
  diag_error(s->diag, at, "E0305", "there is no data block called `%s`", name);
  sema_suggest(s, name, words, n, "data");
  return NULL;
}

static const Ast *only_data(const Ast *file)
{
  const Ast *found = NULL;
  for (const Ast *item = file->file.items; item; item = item->next)
    if (item->kind == AST_DATA) {
      if (found)
        return NULL;
      found = item;
    }
  return found;
}

/* The data that the program reads: what training names, else what the first eval names, else the
 * only one. */
static void choose_data(Sema *s, const Ast *file, Items *items)
{
  if (items->train)
    items->data = find_data(s, file, items->train->train.on, items->train->train.on_at);
  else if (items->eval)
    items->data = find_data(s, file, items->eval->eval.on, items->eval->eval.on_at);
  else
    items->data = only_data(file);
}

static void check_data_names(Sema *s, const Ast *file)
{
  for (const Ast *a = file->file.items; a; a = a->next)
    for (const Ast *b = a->next; b && a->kind == AST_DATA; b = b->next)
      if (b->kind == AST_DATA && str_eq(a->data.name, b->data.name)) {
        diag_error(s->diag, b->data.name_at, "E0306", "there are two data blocks called `%s`",
                   b->data.name);
        diag_note(s->diag, a->data.name_at, "the first one is here");
      }
}

/* Data that nothing reads is checked apart, so that its mistakes are found too. */
static void check_unused_data(Sema *s, const Ast *item)
{
  Sema aside = *s;
  Program program = { .arena = s->arena, .name = "unused", .real = s->program->real };
  Data data;
  aside.program = &program;
  aside.forward = graph_new(&program, "unused");
  aside.names.at = NULL;
  aside.names.n = aside.names.cap = aside.nslot = 0;
  for (uint32_t i = 0; i < s->names.n; i++)
    if (s->names.at[i].kind & NAME_NUMBER)
      sema_define(&aside, s->names.at[i]);
  sema_data(&aside, item, &data);
  for (uint32_t i = 0; i < aside.names.n; i++) {
    Name *n = sema_find(s, aside.names.at[i].text, NAME_NUMBER);
    if (n && aside.names.at[i].used)
      n->used = true;
  }
  if (!diag_errors(s->diag))
    diag_warn(s->diag, item->data.name_at, "W0303", "data `%s` is never used", item->data.name);
}

/* ---- the parts ---- */

static void check_model(Sema *s, const Items *items)
{
  const Ast *sig = items->model->model.signature;
  if (!sig || sig->kind != AST_SIGNATURE)
    return;
  s->model->name = s->program->name = sig->signature.name;
  s->visible = NAME_VALUE;
  sema_model(s, items->model);
}

static void check_train(Sema *s, const Items *items)
{
  const Ast *train = items->train;
  if (!train || !items->data)
    return;
  if (!sema_reads_block(s, train->train.model, train->train.model_at, NULL, (Span){ 0, 0 }))
    return;
  s->model->train = ARENA_NEW(s->arena, Train);
  sema_train(s, train, s->model->train);
}

static void check_evals(Sema *s, const Ast *file, const Items *items)
{
  Model *m = s->model;
  m->eval = ARENA_ARRAY(s->arena, Eval, items->neval + 1);
  if (!items->data && items->neval)
    return;
  for (const Ast *item = file->file.items; item; item = item->next)
    if (item->kind == AST_EVAL)
      sema_eval(s, item, &m->eval[m->neval++]);
}

/* Without an infer block: the model's results, those that the loss takes as logits as probabilities. */
static void default_infer(Sema *s)
{
  Model *m = s->model;
  m->infer = ARENA_ARRAY(s->arena, NamedValue, m->nmodel_output + 1);
  for (m->ninfer = 0; m->ninfer < m->nmodel_output; m->ninfer++)
    m->infer[m->ninfer] = s->outputs.at[m->ninfer];
  const Node *loss = m->train ? m->train->loss.node : NULL;
  const OpDef *link = loss && loss->op->link ? op_find(s->ops, loss->op->link) : NULL;
  for (int i = 0; link && i < m->ninfer; i++)
    if (value_equal(m->infer[i].value, loss->in[0])) {
      m->infer[i] = (NamedValue){ "prob", sema_node(s, link, NULL, &loss->in[0], 1, "prob", loss->at) };
      return;
    }
}

static void warn_unused_params(Sema *s)
{
  for (uint32_t i = 0; i < s->names.n; i++) {
    const Name *n = &s->names.at[i];
    if ((n->kind & NAME_NUMBER) && !n->used)
      diag_warn(s->diag, n->at, "W0302", "%s `%s` is never used",
                n->kind == NAME_PARAM ? "param" : "const", n->text);
  }
}

static void finish(Sema *s, const Items *items)
{
  Model *m = s->model;
  if (!items->infer)
    default_infer(s);
  if (!diag_errors(s->diag))
    sema_check_memory(s, m->train, items->model->at);
  sema_unused_overrides(s);
  if (!diag_errors(s->diag)) {
    sema_warn_unused(s);
    warn_unused_params(s);
  }
  m->output = s->outputs.at;
  m->noutput = (int)s->outputs.n;
  for (uint32_t i = 0; i < s->outputs.n; i++) {
    Output o = { s->outputs.at[i].name, s->outputs.at[i].value };
    vec_push(s->arena, &s->forward->outputs, o);
  }
  m->param = s->params.at;
  m->nparam = (int)s->params.n;
}

static const char *base_name(const char *path)
{
  const char *base = path;
  for (const char *p = path; *p; p++)
    if (*p == '/' || *p == '\\')
      base = p + 1;
  return base;
}

static void start(Sema *s, const char *file_name, const OpTable *ops, Arena *a, Diag *d)
{
  *s = (Sema){ .arena = a,
               .diag = d,
               .ops = ops,
               .model = ARENA_NEW(a, Model),
               .program = ARENA_NEW(a, Program) };
  *s->program = (Program){ .arena = a, .name = "net", .real = DT_F32, .batch = 32 };
  s->forward = graph_new(s->program, "forward");
  *s->model = (Model){ .name = "net",
                       .file = base_name(file_name),
                       .program = s->program,
                       .forward = s->forward };
}

Model *check(const Ast *file, const char *file_name, const CheckOptions *o, const OpTable *ops,
             Arena *a, Diag *d)
{
  Sema s;
  Items items = { 0 };
  start(&s, file_name, ops, a, d);
  sema_set_overrides(&s, o);
  sort_items(&s, file, &items);
  check_data_names(&s, file);
  choose_data(&s, file, &items);
  sema_real_type(&s, items.train, items.build);
  if (items.data) {
    Data *data = ARENA_NEW(a, Data);
    s.data = s.model->data = data;
    sema_data(&s, items.data, data);
  }
  for (const Ast *item = file->file.items; item; item = item->next)
    if (item->kind == AST_DATA && item != items.data)
      check_unused_data(&s, item);
  if (items.model) {
    check_model(&s, &items);
    if (items.infer)
      sema_infer(&s, items.infer);
    check_train(&s, &items);
    check_evals(&s, file, &items);
    if (items.build)
      sema_build(&s, items.build);
    finish(&s, &items);
  } else if (!diag_errors(d)) {
    diag_error(d, (Span){ 0, 0 }, "E0313", "%s has no model", s.model->file);
    diag_help(d, "add `model net(x: f32[2]) -> y: f32[1] { .. }`");
  }
  return diag_errors(d) ? NULL : s.model;
}
