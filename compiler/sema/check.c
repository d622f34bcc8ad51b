/* The order of the checks, and the programs of a spec: one for each train block. Params first,
 * since sizes depend on them; then the data that the program reads, the model on its fields, and
 * the blocks that use both. Each step goes on after mistakes of the one before. */
#include "sema/sema.h"

/* The blocks that one program is made of. */
typedef struct {
  const Ast *model, *train, *infer, *build, *data;
  const Ast *eval;              /* the first one */
  int neval;
} Items;

/* ---- which blocks there are ---- */

static const char *model_name(const Ast *model)
{
  const Ast *sig = model->model.signature;
  return sig && sig->kind == AST_SIGNATURE ? sig->signature.name : "";
}

/* A train block is called as it says, else after its model. */
static const char *train_name(const Ast *train)
{
  return train->train.as ? train->train.as : train->train.model;
}

/* What an item is called among those of its kind, or NULL: there may be several. */
static const char *item_name(const Ast *item, Span *at, const char **what)
{
  if (item->kind == AST_DATA) {
    *at = item->data.name_at;
    *what = "data blocks";
    return item->data.name;
  }
  if (item->kind == AST_MODEL) {
    *at = item->at;
    *what = "models";
    return model_name(item);
  }
  if (item->kind == AST_TRAIN) {
    *at = item->train.as ? item->train.as_at : item->train.model_at;
    *what = "train blocks";
    return train_name(item);
  }
  *at = item->at;
  *what = "infer blocks";
  return item->kind == AST_INFER ? item->infer.model : NULL;
}

static void check_names(Sema *s, const Ast *file)
{
  Span at, first_at;
  const char *what;
  for (const Ast *a = file->file.items; a; a = a->next) {
    const char *name = item_name(a, &first_at, &what);
    for (const Ast *b = name ? a->next : NULL; b; b = b->next) {
      if (b->kind != a->kind || !str_eq(item_name(b, &at, &what), name))
        continue;
      diag_error(s->diag, at, "E0306", "there are two %s called `%s`", what, name);
      diag_note(s->diag, first_at, "the first one is here");
      if (a->kind == AST_TRAIN)
        diag_help(s->diag, "name one of them: `train %s on %s as other { .. }`",
                  b->train.model, b->train.on);
      break;
    }
  }
}

static void declare(Sema *s, const Ast *file, Items *out)
{
  for (const Ast *item = file->file.items; item; item = item->next) {
    if (item->kind == AST_PARAM || item->kind == AST_CONST)
      sema_declare_param(s, item);
    else if (item->kind == AST_BLOCK || item->kind == AST_OP)
      sema_declare_block(s, item);
    if (item->kind != AST_BUILD)
      continue;
    if (out->build) {
      diag_error(s->diag, item->at, "E0313", "a spec has one build block");
      diag_note(s->diag, out->build->at, "the first one is here");
    } else {
      out->build = item;
    }
  }
  s->nglobal = s->names.n;
}

/* The first item of a kind; name NULL: whatever it is called. */
static const Ast *find_item(const Ast *file, AstKind kind, const char *name)
{
  Span at;
  const char *what;
  for (const Ast *item = file->file.items; item; item = item->next)
    if (item->kind == kind && (!name || str_eq(item_name(item, &at, &what), name)))
      return item;
  return NULL;
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

/* An eval block of the program's model on its data; one that fits no program is reported here. */
static bool is_ours(const Ast *file, const Items *items, const Ast *eval)
{
  const char *model = eval->eval.model, *on = eval->eval.on;
  if (!find_item(file, AST_MODEL, model))
    return true;
  if (!str_eq(model, model_name(items->model)))
    return false;
  if (!items->data || str_eq(on, items->data->data.name))
    return true;
  for (const Ast *t = file->file.items; t; t = t->next)
    if (t->kind == AST_TRAIN && str_eq(t->train.model, model) && str_eq(t->train.on, on))
      return false;
  return true;
}

/* The model of a spec that trains none: what its blocks speak of, else the first one. */
static const Ast *untrained_model(const Ast *file)
{
  for (const Ast *item = file->file.items; item; item = item->next) {
    const char *name = item->kind == AST_EVAL    ? item->eval.model
                       : item->kind == AST_INFER ? item->infer.model
                                                 : NULL;
    const Ast *model = name ? find_item(file, AST_MODEL, name) : NULL;
    if (model)
      return model;
  }
  return find_item(file, AST_MODEL, NULL);
}

/* The data that the program reads: what training names, else what the first eval of its model
 * names, else the only one. */
static void choose_data(Sema *s, const Ast *file, Items *items)
{
  const Ast *eval = NULL;
  for (const Ast *e = file->file.items; e && !eval; e = e->next)
    eval = e->kind == AST_EVAL && items->model && str_eq(e->eval.model, model_name(items->model))
               ? e
               : NULL;
  if (items->train)
    items->data = find_data(s, file, items->train->train.on, items->train->train.on_at);
  else if (eval)
    items->data = find_data(s, file, eval->eval.on, eval->eval.on_at);
  else
    items->data = only_data(file);
}

/* The rest of a program whose train block or, without one, model is chosen. */
static void choose_rest(Sema *s, const Ast *file, Items *items)
{
  if (items->train)
    items->model = find_item(file, AST_MODEL, items->train->train.model);
  if (!items->model)
    items->model = untrained_model(file);
  choose_data(s, file, items);
  if (!items->model)
    return;
  items->infer = find_item(file, AST_INFER, model_name(items->model));
  for (const Ast *item = file->file.items; item; item = item->next) {
    if (item->kind == AST_EVAL && is_ours(file, items, item) && items->neval++ == 0)
      items->eval = item;
    if (item->kind == AST_INFER && !items->infer && !find_item(file, AST_MODEL, item->infer.model))
      items->infer = item;
  }
}

/* The first train block of a model; NULL: none trains it. */
static const Ast *trains_model(const Ast *file, const char *model)
{
  for (const Ast *item = file->file.items; item; item = item->next)
    if (item->kind == AST_TRAIN && str_eq(item->train.model, model))
      return item;
  return NULL;
}

/* The program that the command line asks for: a train block by its name, or a model that none
 * trains; else the first train block. */
static void choose(Sema *s, const Ast *file, const char *name, Items *items)
{
  items->train = find_item(file, AST_TRAIN, name);
  const Ast *trained = items->train || !name ? NULL : trains_model(file, name);
  if (!items->train && name && !trained)
    items->model = find_item(file, AST_MODEL, name);
  if (!items->train && !items->model && name) {
    diag_error(s->diag, (Span){ 0, 0 }, "E0310", "--train %s: the spec has no train block of that "
               "name", name);
    if (trained)
      diag_help(s->diag, "the model `%s` is trained by --train %s", name, train_name(trained));
    else
      sema_suggest(s, name, s->model->programs, s->model->nprogram, "train blocks");
    items->train = find_item(file, AST_TRAIN, NULL);
  }
  choose_rest(s, file, items);
}

static void list_programs(Sema *s, const Ast *file)
{
  const char **names = ARENA_ARRAY(s->arena, const char *, ast_length(file->file.items) + 1);
  Model *m = s->model;
  for (const Ast *item = file->file.items; item; item = item->next)
    if (item->kind == AST_TRAIN)
      names[m->nprogram++] = train_name(item);
  m->programs = names;
}

/* Data that no train and no eval block names. */
static bool is_unused(const Ast *file, const Items *items, const Ast *data)
{
  const char *name = data->data.name;
  for (const Ast *item = file->file.items; item; item = item->next)
    if ((item->kind == AST_TRAIN && str_eq(item->train.on, name)) ||
        (item->kind == AST_EVAL && str_eq(item->eval.on, name)))
      return false;
  return data != items->data;
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
  aside.names.n = aside.names.cap = aside.nslot = aside.nglobal = 0;
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
  s->model_name = sig->signature.name;
  s->model->name = items->train && items->train->train.as ? items->train->train.as
                                                           : s->model_name;
  s->program->name = s->model->name;
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
    if (item->kind == AST_EVAL && is_ours(file, items, item))
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
  if (loss && m->counted && loss->op == op_find(s->ops, sema_operator("/", 2)))
    loss = loss->in[0].node;    /* the division by the share of targets that count */
  const OpDef *link = loss && loss->op->link ? op_find(s->ops, loss->op->link) : NULL;
  for (int i = 0; link && i < m->ninfer; i++)
    if (value_equal(m->infer[i].value, loss->in[0])) {
      m->infer[i] = (NamedValue){ "prob", sema_node(s, link, NULL, &loss->in[0], 1, "prob", loss->at) };
      return;
    }
}

/* Those of the spec itself: files that it uses also serve others. */
static void warn_unused_params(Sema *s, const Ast *file)
{
  for (uint32_t i = 0; i < s->names.n; i++) {
    const Name *n = &s->names.at[i];
    bool own = n->at.begin >= file->at.begin && n->at.begin < file->at.end;
    if ((n->kind & NAME_NUMBER) && own && !n->used)
      diag_warn(s->diag, n->at, "W0302", "%s `%s` is never used",
                n->kind == NAME_PARAM ? "param" : "const", n->text);
  }
}

static void finish(Sema *s, const Items *items)
{
  Model *m = s->model;
  if (!items->infer)
    default_infer(s);
  for (int i = 0; i < m->ninfer && s->data && !diag_errors(s->diag); i++) {
    int next = m->next_field ? 0 : sema_next_field(s, m->infer[i].value);
    m->next_output = next ? i + 1 : m->next_output;
    m->next_field = next ? next : m->next_field;
    m->infer[i].value = sema_undone(s, m->infer[i].value, items->model->at);
  }
  sema_check_carried(s);
  if (!diag_errors(s->diag))
    sema_check_memory(s, m->train, items->model->at);
  m->output = s->outputs.at;
  m->noutput = (int)s->outputs.n;
  for (uint32_t i = 0; i < s->outputs.n; i++) {
    Output o = { s->outputs.at[i].name, s->outputs.at[i].value };
    vec_push(s->arena, &s->forward->outputs, o);
  }
  m->op = s->ops_used.at;
  m->nop = (int)s->ops_used.n;
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
               .scope = { .suffix = "" },
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

static void check_program(Sema *s, const Ast *file, const Items *items)
{
  sema_real_type(s, items->train, items->build);
  if (items->data) {
    Data *data = ARENA_NEW(s->arena, Data);
    s->data = s->model->data = data;
    sema_data(s, items->data, data);
  }
  if (!items->model)
    return;
  check_model(s, items);
  if (items->infer)
    sema_infer(s, items->infer);
  check_train(s, items);
  check_evals(s, file, items);
  if (items->build)
    sema_build(s, items->build);
  finish(s, items);
}

/* ---- the programs of a spec ---- */

typedef struct {
  Sema sema;
  Items items;
} Part;

/* What one program uses counts as used in the others: names are told apart by their places. */
static void share_uses(Sema *s, const Sema *other)
{
  for (uint32_t i = 0; i < s->names.n; i++)
    for (uint32_t k = 0; k < other->names.n && !s->names.at[i].used; k++)
      s->names.at[i].used = other->names.at[k].used &&
                            other->names.at[k].at.begin == s->names.at[i].at.begin &&
                            other->names.at[k].kind == s->names.at[i].kind;
  for (uint32_t i = 0; i < s->blocks.n; i++)
    s->blocks.at[i].used = s->blocks.at[i].used || other->blocks.at[i].used;
}

static void warn_unused(Part *parts, int n, const Ast *file)
{
  for (int i = 0; i < n; i++)
    for (int k = 0; k < n; k++)
      if (i != k)
        share_uses(&parts[i].sema, &parts[k].sema);
  for (int i = 0; i < n; i++) {
    bool known = false;
    for (int k = 0; k < i; k++)
      known = known || parts[k].items.model == parts[i].items.model;
    if (!known)
      sema_warn_unused(&parts[i].sema);
  }
  warn_unused_params(&parts[0].sema, file);
  sema_warn_unused_blocks(&parts[0].sema, file);
}

/* The programs that were not chosen: their mistakes are found too. One for each train block, and
 * for each model that none trains. */
static int check_others(Part *parts, const Ast *file, const char *file_name)
{
  const Sema *s = &parts[0].sema;
  int n = 1;
  for (const Ast *item = file->file.items; item; item = item->next) {
    bool model = item->kind == AST_MODEL && item != parts[0].items.model;
    for (const Ast *t = file->file.items; t && model; t = t->next)
      model = t->kind != AST_TRAIN || !str_eq(t->train.model, model_name(item));
    if (!model && (item->kind != AST_TRAIN || item == parts[0].items.train))
      continue;
    Part *p = &parts[n++];
    p->items = (Items){ .train = model ? NULL : item, .model = model ? item : NULL };
    start(&p->sema, file_name, s->ops, s->arena, s->diag);
    p->sema.texts = s->texts;
    declare(&p->sema, file, &p->items);
    choose_rest(&p->sema, file, &p->items);
    check_program(&p->sema, file, &p->items);
  }
  return n;
}

Model *check(const Ast *file, const char *file_name, const CheckOptions *o, const OpTable *ops,
             Arena *a, Diag *d)
{
  Part *parts = ARENA_ARRAY(a, Part, ast_length(file->file.items) + 1);
  Sema *s = &parts[0].sema;
  Items *items = &parts[0].items;
  start(s, file_name, ops, a, d);
  s->texts = o ? o->texts : NULL;
  sema_set_overrides(s, o);
  declare(s, file, items);
  check_names(s, file);
  list_programs(s, file);
  choose(s, file, o ? o->train : NULL, items);
  check_program(s, file, items);
  for (const Ast *item = file->file.items; item; item = item->next)
    if (item->kind == AST_DATA && is_unused(file, items, item))
      check_unused_data(s, item);
  if (items->model) {
    sema_unused_overrides(s);
  } else if (!diag_errors(d) && !(o && o->data_alone)) {
    diag_error(d, (Span){ 0, 0 }, "E0313", "%s has no model", s->model->file);
    diag_help(d, "add `model net(x: f32[2]) -> y: f32[1] { .. }`");
  }
  if (!diag_errors(d)) {
    int n = check_others(parts, file, file_name);
    if (!diag_errors(d))
      warn_unused(parts, n, file);
  }
  return diag_errors(d) ? NULL : s->model;
}
