/* The small blocks: eval, infer and build. */
#include "sema/sema.h"

enum { THREADS_MAX = 256, INFER_BATCH_MAX = 1 << 20 };

static const int64_t memory_max = (int64_t)1 << 53;

static void unknown_line(Sema *s, const Ast *item, const char *block, const char *const *words,
                         int n)
{
  diag_error(s->diag, item->property.name_at, "E0302", "the %s block has no line `%s`", block,
             item->property.name);
  sema_suggest(s, item->property.name, words, n, "lines");
}

static const Ast *one_value(Sema *s, const Ast *item)
{
  const Ast *e = item->property.values;
  if (!e || e->kind == AST_ERROR)
    return NULL;
  if (!e->next)
    return e;
  diag_error(s->diag, e->next->at, "E0308", "`%s` takes one value", item->property.name);
  return NULL;
}

/* ---- real: f64 ---- */

static void read_real(Sema *s, const Ast *items, Span *first)
{
  for (const Ast *item = items; item; item = item->next) {
    if (item->kind != AST_PROPERTY || !str_eq(item->property.name, "real"))
      continue;
    const Ast *e = one_value(s, item);
    const char *word = e ? sema_word(e) : NULL;
    if (!e)
      continue;
    if (!word || !str_in_words(word, "f32 f64")) {
      diag_error(s->diag, e->at, "E0304", "`real` is f32 or f64");
      continue;
    }
    DType t = str_eq(word, "f64") ? DT_F64 : DT_F32;
    if (first->end && t != s->program->real) {
      diag_error(s->diag, e->at, "E0306", "`real` is given twice, and differently");
      diag_note(s->diag, *first, "the first one is here");
    }
    *first = e->at;
    s->program->real = t;
  }
}

void sema_real_type(Sema *s, const Ast *train, const Ast *build)
{
  Span first = { 0, 0 };
  s->program->real = DT_F32;
  if (train)
    read_real(s, train->train.items, &first);
  if (build)
    read_real(s, build->build.items, &first);
  Override *over = sema_override(s, "real");
  if (over && str_in_words(over->value, "f32 f64"))
    s->program->real = str_eq(over->value, "f64") ? DT_F64 : DT_F32;
  else if (over)
    diag_error(s->diag, (Span){ 0, 0 }, "E0310", "--set real: `%s` is neither f32 nor f64",
               over->value);
}

/* ---- eval ---- */

bool sema_reads_block(Sema *s, const char *model, Span model_at, const char *on, Span on_at)
{
  bool ok = true;
  if (!str_eq(model, s->model_name)) {
    diag_error(s->diag, model_at, "E0305", "there is no model called `%s`", model);
    diag_help(s->diag, "the model is called `%s`", s->model_name);
    ok = false;
  }
  if (on && s->data && !str_eq(on, s->data->name)) {
    diag_error(s->diag, on_at, "E0411",
               "this block reads the data `%s`, but the program reads `%s`", on, s->data->name);
    diag_note(s->diag, s->data->at, "a program reads one data block");
    diag_help(s->diag, "declare both files as splits of one data block");
    ok = false;
  }
  return ok && (!on || s->data);
}

void sema_eval(Sema *s, const Ast *eval, Eval *out)
{
  *out = (Eval){ .split = eval->eval.split, .at = eval->eval.split_at };
  if (!sema_reads_block(s, eval->eval.model, eval->eval.model_at, eval->eval.on, eval->eval.on_at))
    return;
  if (sema_find_split(s->data, out->split) < 0)
    sema_unknown_split(s, eval->eval.split_at, s->data, out->split);
  s->visible = NAME_TENSOR;
  Ast *all = NULL, **end = &all;
  for (const Ast *item = eval->eval.items; item; item = item->next) {
    if (item->kind == AST_PROPERTY) {
      diag_error(s->diag, item->property.name_at, "E0302", "the eval block has no line `%s`",
                 item->property.name);
      diag_help(s->diag, "it has `report accuracy(..), confusion(..);`");
    }
    for (const Ast *e = item->kind == AST_REPORT ? item->report.values : NULL; e; e = e->next) {
      *end = arena_copy(s->arena, e, sizeof *e);
      (*end)->next = NULL;
      end = &(*end)->next;
    }
  }
  out->metric = sema_metrics(s, all, &out->nmetric);
}

/* ---- infer ---- */

static const char *infer_name(const Ast *item, const char *value_name, Value v)
{
  const Ast *e = item->output_item.value, *last = e->kind == AST_CHAIN ? e->chain.stages : NULL;
  while (last && last->next)
    last = last->next;
  if (item->output_item.as)
    return item->output_item.as;
  if (last && last->kind == AST_STAGE && last->stage.as)
    return last->stage.as;
  return value_name ? value_name : v.node->op->name;
}

/* Inference has the model's inputs only. */
static bool can_infer(Sema *s, Value v, Span at)
{
  if (!value_type(v)->batched) {
    diag_error(s->diag, at, "E0414", "this output does not depend on the input");
    return false;
  }
  for (int i = 0; s->data && i < s->data->nfield; i++) {
    const Name *input = sema_find(s, s->data->field[i].name, NAME_VALUE);
    if ((input && value_equal(input->value, s->data->field[i].value)) ||
        !sema_reads_field(s, v, s->data->field[i].field))
      continue;
    diag_error(s->diag, at, "E0414", "an output of `infer` cannot use the field `%s`",
               s->data->field[i].name);
    diag_help(s->diag, "predictions start from the inputs of the model alone");
    return false;
  }
  return true;
}

static void infer_output(Sema *s, const Ast *item)
{
  sema_statement(s, "infer", item->output_item.value);
  Value v = sema_value(s, item->output_item.value, OP_LAYER);
  if (!v.node || !can_infer(s, v, item->at))
    return;
  NamedValue n = { infer_name(item, sema_value_name(s, v), v), v };
  for (int i = 0; i < s->model->ninfer; i++)
    if (str_eq(s->model->infer[i].name, n.name)) {
      diag_error(s->diag, item->at, "E0306", "there are two outputs called `%s`", n.name);
      diag_help(s->diag, "name one of them: `.. as other`");
      return;
    }
  if (!dtype_is_real(value_type(v)->dtype))
    n.value = sema_cast(s, v, s->program->real, n.name, item->at);
  s->model->infer[s->model->ninfer++] = n;
  sema_output(s, n.name, n.value);
}

void sema_infer(Sema *s, const Ast *infer)
{
  static const char *const words[] = { "output" };
  sema_reads_block(s, infer->infer.model, infer->infer.model_at, NULL, (Span){ 0, 0 });
  s->visible = NAME_TENSOR;
  s->model->infer = ARENA_ARRAY(s->arena, NamedValue, ast_length(infer->infer.items) + 1);
  s->model->ninfer = 0;
  for (const Ast *item = infer->infer.items; item; item = item->next) {
    if (item->kind == AST_OUTPUT_ITEM) {
      infer_output(s, item);
    } else if (item->kind == AST_PROPERTY) {
      unknown_line(s, item, "infer", words, (int)ARRAY_LEN(words));
    }
  }
}

/* ---- build ---- */

static void build_line(Sema *s, const char *name, const Ast *e)
{
  BuildSpec *b = &s->model->build;
  const char *word = sema_word(e);
  if (str_eq(name, "threads")) {
    if (!str_eq(word, "auto"))
      sema_int(s, e, "`threads`", 1, THREADS_MAX, &b->threads);
  } else if (str_eq(name, "cpu")) {
    if (!word)
      diag_error(s->diag, e->at, "E0304",
                 "`cpu` is the name of an instruction set, such as \"x86-64-v3\"");
    b->cpu = str_eq(word, "native") ? NULL : word;
    b->cpu_at = e->at;
  } else if (str_eq(name, "memory")) {
    b->memory_at = e->at;
    sema_int(s, e, "`memory`", 1, memory_max, &b->memory);
  } else if (str_eq(name, "numerics")) {
    b->fast = str_eq(word, "fast");
    if (!b->fast && !str_eq(word, "reproducible"))
      diag_error(s->diag, e->at, "E0304", "`numerics` is reproducible or fast");
  }
}

void sema_build(Sema *s, const Ast *build)
{
  static const char *const words[] = { "threads", "cpu", "numerics", "real", "memory" };
  Span seen[ARRAY_LEN(words)] = { { 0, 0 } };
  for (const Ast *item = build->build.items; item; item = item->next) {
    size_t i = 0;
    if (item->kind != AST_PROPERTY)
      continue;
    while (i < ARRAY_LEN(words) && !str_eq(words[i], item->property.name))
      i++;
    if (i == ARRAY_LEN(words)) {
      unknown_line(s, item, "build", words, (int)ARRAY_LEN(words));
      continue;
    }
    const char *what = arena_printf(s->arena, "`%s`", words[i]);
    const Ast *e = sema_once(s, &seen[i], item->property.name_at, what) ? one_value(s, item) : NULL;
    if (e)
      build_line(s, words[i], e);
  }
}
