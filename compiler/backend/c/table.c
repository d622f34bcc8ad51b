/* The description of the net as constant tables: readable, complete, exact. Fields that are zero
 * are left out. Everything a spec says in words passes through c_string. */
#include "backend/c/c.h"
#include <inttypes.h>
#include <string.h>

/* ---- rows: one initialiser a line, fields by name ---- */

static void row_begin(C *c)
{
  c_begin(c);
  out_printf(c->line, "{");
}

static void row_sep(C *c)
{
  const char *text = out_text(c->line);
  size_t n = out_length(c->line);
  out_printf(c->line, n > 0 && text[n - 1] == '{' ? "" : ", ");
}

static void row_text(C *c, const char *field, const char *text)
{
  row_sep(c);
  out_printf(c->line, ".%s = %s", field, text);
}

static void row_string(C *c, const char *field, const char *s)
{
  if (s)
    row_text(c, field, c_string(c->arena, s));
}

static void row_int(C *c, const char *field, int64_t i)
{
  if (i != 0)
    row_text(c, field, c_integer(c->arena, i));
}

static void row_bytes(C *c, const char *field, size_t n)
{
  if (n != 0)
    row_text(c, field, arena_printf(c->arena, "%zu", n));
}

static void row_real(C *c, const char *field, double r)
{
  if (r != 0)
    row_text(c, field, c_real(c->arena, r, DT_F64));
}

static void row_bool(C *c, const char *field, bool b)
{
  if (b)
    row_text(c, field, "true");
}

static void row_dims(C *c, int rank, const int64_t *dim)
{
  if (rank == 0)
    return;
  row_int(c, "rank", rank);
  Out *o = out_new(c->arena);
  for (int i = 0; i < rank; i++)
    out_printf(o, "%s%" PRId64, i ? ", " : "{", dim[i]);
  row_text(c, "dim", arena_printf(c->arena, "%s}", out_text(o)));
}

/* Count and address of a table, where it has rows. */
static void row_table(C *c, const char *count, int n, const char *field, const char *name)
{
  if (n == 0)
    return;
  row_int(c, count, n);
  row_text(c, field, name);
}

static void row_end(C *c)
{
  out_printf(c->line, "},");
  c_end(c);
}

static const char *table_begin(C *c, const char *type, const char *what)
{
  const char *name = names_global(c->names, arena_printf(c->arena, "%s_%s", c->prefix, what));
  c_line(c, "static const %s %s[] = {", type, name);
  out_indent(c->out);
  return name;
}

static void table_end(C *c)
{
  out_dedent(c->out);
  c_line(c, "};");
  c_blank(c);
}

void c_put_values(C *c, const double *value, int64_t n, DType t)
{
  Out *o = NULL;
  for (int64_t i = 0; i < n; i++) {
    bool integer = t != DT_F32 && t != DT_F64;
    const char *text =
        integer ? c_integer(c->arena, (int64_t)value[i]) : c_real(c->arena, value[i], t);
    if (o && out_length(o) + strlen(text) + 4 > COLUMNS - 2) {
      c_line(c, "%s", out_text(o));
      o = NULL;
    }
    if (!o)
      o = out_new(c->arena);
    out_printf(o, "%s%s,", out_length(o) ? " " : "", text);
  }
  if (o)
    c_line(c, "%s", out_text(o));
}

void c_constants(C *c)
{
  for (uint32_t i = 0; i < c->m->buffers.n; i++) {
    const Buffer *buf = c->m->buffers.at[i];
    if (buf->role != BUF_CONST || !c_needs_buffer(c, buf))
      continue;
    c->name[buf->id] = table_begin(c, dtype_c(buf->dtype), buf->name);
    c_put_values(c, buf->values, buf->extent, buf->dtype);
    table_end(c);
  }
}

/* ---- the parts of the description ---- */

static const char *const role_name[] = {
  "GRADRT_PARAM", "GRADRT_SLOT", "GRADRT_STAT", "GRADRT_CARRIED"
};
static const char *const init_name[] = {
  "GRADRT_INIT_ZEROS", "GRADRT_INIT_CONSTANT", "GRADRT_INIT_UNIFORM", "GRADRT_INIT_NORMAL",
  "GRADRT_INIT_GIVEN"
};
static const char *const dtype_name[] = {
  "GRADRT_F32", "GRADRT_F64", "GRADRT_U8", "GRADRT_I32", "GRADRT_U32", "GRADRT_I64"
};
static const char *const split_name[] = { "GRADRT_SPLIT_ALL", "GRADRT_SPLIT_COUNT",
                                          "GRADRT_SPLIT_FRACTION" };
static const char *const stop_name[] = { "GRADRT_STOP_STALLED", "GRADRT_STOP_REACHED" };

static const char *const print_name[] = { "GRADRT_PRINT_LOSS", "GRADRT_PRINT_LR",
                                          "GRADRT_PRINT_TENSOR" };
static const char *const action_name[] = { "GRADRT_ACTION_PRINT", "GRADRT_ACTION_EVAL",
                                           "GRADRT_ACTION_SAVE", "GRADRT_ACTION_SAVE_BEST",
                                           "GRADRT_ACTION_SAMPLE" };
static const char *const average_name[] = { "GRADRT_AVERAGE_NONE", "GRADRT_AVERAGE_POLYAK",
                                            "GRADRT_AVERAGE_EMA", "GRADRT_AVERAGE_OWN" };

static const char *given_values(C *c, const gradrt_tensor *t, int i)
{
  int64_t n = 1;
  for (int d = 0; d < t->rank; d++)
    if (!checked_mul(n, t->dim[d], &n))
      ice("backend c: tensor '%s' is too large", t->name);
  const char *name = table_begin(c, "double", arena_printf(c->arena, "given_%d", i));
  c_put_values(c, t->given, n, DT_F64);
  table_end(c);
  return name;
}

static void put_tensor(C *c, const gradrt_tensor *t, const char *given)
{
  row_begin(c);
  row_string(c, "name", t->name);
  row_text(c, "role", role_name[t->role]);
  row_bool(c, "trainable", t->trainable);
  row_dims(c, t->rank, t->dim);
  row_int(c, "ndigit", t->ndigit);
  Out *o = out_new(c->arena);
  for (int i = 0; i < t->ndigit; i++)
    out_printf(o, "%s{%d, %" PRId64 ", %" PRId64 "}", i ? ", " : "{", t->digit[i].axis,
               t->digit[i].div, t->digit[i].extent);
  if (t->ndigit > 0)
    row_text(c, "digit", arena_printf(c->arena, "%s}", out_text(o)));
  row_bytes(c, "offset", t->offset);
  row_bytes(c, "stored", t->stored);
  row_text(c, "init", init_name[t->init]);
  row_real(c, "a", t->a);
  row_real(c, "b", t->b);
  if (given)
    row_text(c, "given", given);
  row_end(c);
}

static const char *put_tensors(C *c, const gradrt_net *net)
{
  if (net->ntensor == 0)
    return NULL;
  const char **given = ARENA_ARRAY(c->arena, const char *, net->ntensor);
  for (int i = 0; i < net->ntensor; i++)
    if (net->tensor[i].given)
      given[i] = given_values(c, &net->tensor[i], i);
  const char *name = table_begin(c, "gradrt_tensor", "tensors");
  for (int i = 0; i < net->ntensor; i++)
    put_tensor(c, &net->tensor[i], given[i]);
  table_end(c);
  return name;
}

static const char *put_props(C *c, const gradrt_prop *prop, int n, const char *what)
{
  if (n == 0)
    return NULL;
  const char *name = table_begin(c, "gradrt_prop", what);
  for (int i = 0; i < n; i++) {
    row_begin(c);
    row_string(c, "name", prop[i].name);
    row_real(c, "number", prop[i].number);
    row_string(c, "text", prop[i].text);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_sources(C *c, const gradrt_net *net)
{
  if (net->nsource == 0)
    return NULL;
  const char **props = ARENA_ARRAY(c->arena, const char *, net->nsource);
  for (int i = 0; i < net->nsource; i++)
    props[i] = put_props(c, net->source[i].prop, net->source[i].nprop,
                         arena_printf(c->arena, "source_%d_options", i));
  const char *name = table_begin(c, "gradrt_source", "sources");
  for (int i = 0; i < net->nsource; i++) {
    const gradrt_source *s = &net->source[i];
    row_begin(c);
    row_string(c, "kind", s->kind);
    row_table(c, "nprop", s->nprop, "prop", props[i]);
    row_string(c, "place", s->place);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_splits(C *c, const gradrt_net *net)
{
  if (net->nsplit == 0)
    return NULL;
  const char *name = table_begin(c, "gradrt_split", "splits");
  for (int i = 0; i < net->nsplit; i++) {
    const gradrt_split *s = &net->split[i];
    row_begin(c);
    row_string(c, "name", s->name);
    row_int(c, "source", s->source);
    row_text(c, "how", split_name[s->how]);
    row_real(c, "amount", s->amount);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_classes(C *c, const gradrt_field *f, int i)
{
  if (!f->class_name || f->classes <= 0)
    return NULL;
  const char *name = table_begin(c, "char *const", arena_printf(c->arena, "field_%d_classes", i));
  for (int64_t k = 0; k < f->classes; k++)
    c_line(c, "%s,", c_string(c->arena, f->class_name[k]));
  table_end(c);
  return name;
}

static const char *put_augments(C *c, const gradrt_field *f, int field)
{
  if (f->naugment == 0)
    return NULL;
  const char **props = ARENA_ARRAY(c->arena, const char *, f->naugment);
  for (int i = 0; i < f->naugment; i++)
    props[i] = put_props(c, f->augment[i].prop, f->augment[i].nprop,
                         arena_printf(c->arena, "augment_%d_%d_options", field, i));
  const char *name =
      table_begin(c, "gradrt_augment", arena_printf(c->arena, "field_%d_augments", field));
  for (int i = 0; i < f->naugment; i++) {
    row_begin(c);
    row_string(c, "kind", f->augment[i].kind);
    row_table(c, "nprop", f->augment[i].nprop, "prop", props[i]);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_fields(C *c, const gradrt_net *net)
{
  if (net->nfield == 0)
    return NULL;
  const char **classes = ARENA_ARRAY(c->arena, const char *, net->nfield);
  const char **augments = ARENA_ARRAY(c->arena, const char *, net->nfield);
  for (int i = 0; i < net->nfield; i++) {
    classes[i] = put_classes(c, &net->field[i], i);
    augments[i] = put_augments(c, &net->field[i], i);
  }
  const char *name = table_begin(c, "gradrt_field", "fields");
  for (int i = 0; i < net->nfield; i++) {
    const gradrt_field *f = &net->field[i];
    row_begin(c);
    row_string(c, "name", f->name);
    row_text(c, "dtype", dtype_name[f->dtype]);
    row_dims(c, f->rank, f->dim);
    row_string(c, "columns", f->columns);
    row_bool(c, "is_label", f->is_label);
    if (f->stratify)
      row_bool(c, "stratify", f->stratify);
    row_int(c, "classes", f->classes);
    if (classes[i])
      row_text(c, "class_name", classes[i]);
    row_string(c, "place", f->place);
    if (augments[i]) {
      row_int(c, "height", f->height);
      row_int(c, "width", f->width);
      row_table(c, "naugment", f->naugment, "augment", augments[i]);
    }
    row_bool(c, "token", f->token);
    row_int(c, "next_of", f->next_of);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_fits(C *c, const gradrt_net *net)
{
  if (net->nfit == 0)
    return NULL;
  const char *name = table_begin(c, "gradrt_fit", "fits");
  for (int i = 0; i < net->nfit; i++) {
    const gradrt_fit *f = &net->fit[i];
    row_begin(c);
    row_int(c, "field", f->field);
    row_int(c, "mean", f->mean);
    row_int(c, "std", f->std);
    row_real(c, "scale", f->scale);
    row_real(c, "offset", f->offset);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_outputs(C *c, const gradrt_function *f, const char *what)
{
  if (f->noutput == 0)
    return NULL;
  const char *name = table_begin(c, "gradrt_output", arena_printf(c->arena, "%s_outputs", what));
  for (int i = 0; i < f->noutput; i++) {
    row_begin(c);
    row_string(c, "name", f->output[i].name);
    row_bool(c, "batched", f->output[i].batched);
    row_dims(c, f->output[i].rank, f->output[i].dim);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_metrics(C *c, const gradrt_metric *metric, int n, const char *what)
{
  if (n == 0)
    return NULL;
  const char *name = table_begin(c, "gradrt_metric", what);
  for (int i = 0; i < n; i++) {
    row_begin(c);
    row_string(c, "kind", metric[i].kind);
    row_string(c, "name", metric[i].name);
    row_int(c, "output", metric[i].output);
    row_int(c, "target", metric[i].target);
    row_int(c, "k", metric[i].k);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_schedule(C *c, const gradrt_train *t)
{
  if (t->npiece == 0)
    return NULL;
  const char **props = ARENA_ARRAY(c->arena, const char *, t->npiece);
  for (int i = 0; i < t->npiece; i++)
    props[i] = put_props(c, t->piece[i].prop, t->piece[i].nprop,
                         arena_printf(c->arena, "schedule_%d_options", i));
  const char *name = table_begin(c, "gradrt_piece", "schedule");
  for (int i = 0; i < t->npiece; i++) {
    const gradrt_piece *p = &t->piece[i];
    row_begin(c);
    row_string(c, "kind", p->kind);
    row_table(c, "nprop", p->nprop, "prop", props[i]);
    row_real(c, "span", p->span);
    row_bool(c, "in_epochs", p->in_epochs);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_stops(C *c, const gradrt_train *t)
{
  if (t->nstop == 0)
    return NULL;
  const char *name = table_begin(c, "gradrt_stop", "stops");
  for (int i = 0; i < t->nstop; i++) {
    const gradrt_stop *s = &t->stop[i];
    row_begin(c);
    row_text(c, "how", stop_name[s->how]);
    row_int(c, "split", s->split);
    row_int(c, "metric", s->metric);
    row_bool(c, "want_low", s->want_low);
    row_real(c, "patience", s->patience);
    row_real(c, "threshold", s->threshold);
    row_end(c);
  }
  table_end(c);
  return name;
}

/* A single record: each line one field of the next level. */
static const char *record_begin(C *c, const char *type, const char *what)
{
  const char *name = names_global(c->names, arena_printf(c->arena, "%s_%s", c->prefix, what));
  c_line(c, "static const %s %s = {", type, name);
  out_indent(c->out);
  c_begin(c);
  return name;
}

/* Fields go on a line until the next call; the separators of rows do not show at its start. */
static void record_break(C *c)
{
  if (out_length(c->line) > c->mark) {
    out_printf(c->line, ",");
    c_end(c);
  }
  out_printf(c->line, "{");
  c_begin(c);
}

static const char *put_sample(C *c, const gradrt_generation *g, const char *what)
{
  const char *name = table_begin(c, "gradrt_generation", what);
  row_begin(c);
  row_string(c, "prompt", g->prompt);
  row_int(c, "length", g->length);
  row_real(c, "temperature", g->temperature);
  row_int(c, "top", g->top);
  row_int(c, "seed", (int64_t)g->seed);
  row_end(c);
  table_end(c);
  return name;
}

static const char *put_actions(C *c, const gradrt_every *e, int number)
{
  const char **sample = ARENA_ARRAY(c->arena, const char *, e->naction + 1);
  for (int i = 0; i < e->naction; i++)
    if (e->action[i].nsample)
      sample[i] = put_sample(c, e->action[i].sample,
                             arena_printf(c->arena, "sample_%d_%d", number, i));
  const char **print = ARENA_ARRAY(c->arena, const char *, e->naction + 1);
  for (int i = 0; i < e->naction; i++) {
    const gradrt_action *a = &e->action[i];
    if (a->nprint == 0)
      continue;
    print[i] = table_begin(c, "gradrt_printed", arena_printf(c->arena, "print_%d_%d", number, i));
    for (int k = 0; k < a->nprint; k++) {
      row_begin(c);
      row_text(c, "how", print_name[a->print[k].how]);
      row_string(c, "name", a->print[k].name);
      row_int(c, "tensor", a->print[k].tensor);
      row_end(c);
    }
    table_end(c);
  }
  const char *name = table_begin(c, "gradrt_action", arena_printf(c->arena, "actions_%d", number));
  for (int i = 0; i < e->naction; i++) {
    const gradrt_action *a = &e->action[i];
    row_begin(c);
    row_text(c, "how", action_name[a->how]);
    row_table(c, "nprint", a->nprint, "print", print[i]);
    row_int(c, "split", a->split);
    row_int(c, "metric", a->metric);
    row_bool(c, "want_low", a->want_low);
    row_int(c, "best", a->best);
    row_string(c, "file", a->file);
    row_table(c, "nsample", a->nsample, "sample", sample[i]);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_every(C *c, const gradrt_train *t)
{
  if (t->nevery == 0)
    return NULL;
  const char **actions = ARENA_ARRAY(c->arena, const char *, t->nevery);
  for (int i = 0; i < t->nevery; i++)
    actions[i] = t->every[i].naction ? put_actions(c, &t->every[i], i) : NULL;
  const char *name = table_begin(c, "gradrt_every", "every");
  for (int i = 0; i < t->nevery; i++) {
    row_begin(c);
    row_text(c, "count", c_real(c->arena, t->every[i].count, DT_F64));
    row_bool(c, "in_epochs", t->every[i].in_epochs);
    row_table(c, "naction", t->every[i].naction, "action", actions[i]);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_training(C *c, const gradrt_net *net)
{
  const gradrt_train *t = net->training;
  if (!t)
    return NULL;
  const char *every = put_every(c, t);
  const char *schedule = put_schedule(c, t), *stops = put_stops(c, t);
  const char *metrics = put_metrics(c, t->metric, t->nmetric, "metrics");
  const char *name = record_begin(c, "gradrt_train", "training");
  record_break(c);
  row_text(c, "lr", c_real(c->arena, t->lr, DT_F64));
  row_text(c, "epochs", c_real(c->arena, t->epochs, DT_F64));
  row_text(c, "seed", c_real(c->arena, t->seed, DT_F64));
  row_real(c, "beta1", t->beta1);
  row_real(c, "beta2", t->beta2);
  record_break(c);
  row_bool(c, "shuffle", t->shuffle);
  row_bool(c, "torch_rng", t->torch_rng);
  row_bool(c, "loss_sum", t->loss_sum);
  row_int(c, "counted", t->counted);
  row_int(c, "train_split", t->train_split);
  record_break(c);
  row_table(c, "npiece", t->npiece, "piece", schedule);
  row_table(c, "nmetric", t->nmetric, "metric", metrics);
  row_table(c, "nstop", t->nstop, "stop", stops);
  record_break(c);
  row_int(c, "best_split", t->best_split);
  row_int(c, "best_metric", t->best_metric);
  row_bool(c, "best_low", t->best_low);
  record_break(c);
  if (t->accumulate > 1)
    row_int(c, "accumulate", t->accumulate);
  if (t->average != GRADRT_AVERAGE_NONE)
    row_text(c, "average", average_name[t->average]);
  row_string(c, "average_slot", t->average_slot);
  row_real(c, "average_keep", t->average_keep);
  if (t->average != GRADRT_AVERAGE_NONE)
    row_real(c, "average_from", t->average_from);
  row_table(c, "nevery", t->nevery, "every", every);
  row_string(c, "spreads", t->spreads);
  row_string(c, "init", t->init);
  record_break(c);
  table_end(c);
  return name;
}

static const char *put_evals(C *c, const gradrt_net *net)
{
  if (net->neval == 0)
    return NULL;
  const char **metrics = ARENA_ARRAY(c->arena, const char *, net->neval);
  for (int i = 0; i < net->neval; i++)
    metrics[i] = put_metrics(c, net->evals[i].metric, net->evals[i].nmetric,
                             arena_printf(c->arena, "eval_%d_metrics", i));
  const char *name = table_begin(c, "gradrt_eval", "evals");
  for (int i = 0; i < net->neval; i++) {
    row_begin(c);
    row_text(c, "split", c_integer(c->arena, net->evals[i].split));
    row_table(c, "nmetric", net->evals[i].nmetric, "metric", metrics[i]);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_params(C *c, const gradrt_net *net)
{
  if (net->nparam == 0)
    return NULL;
  const char *name = table_begin(c, "gradrt_param", "params");
  for (int i = 0; i < net->nparam; i++) {
    const gradrt_param *p = &net->param[i];
    row_begin(c);
    row_string(c, "name", p->name);
    row_string(c, "setting", p->setting);
    row_real(c, "value", p->value);
    row_bool(c, "run_time", p->run_time);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_layers(C *c, const gradrt_net *net)
{
  if (net->nlayer == 0)
    return NULL;
  const char *name = table_begin(c, "gradrt_layer", "layers");
  for (int i = 0; i < net->nlayer; i++) {
    const gradrt_layer *l = &net->layer[i];
    row_begin(c);
    row_string(c, "name", l->name);
    row_string(c, "type", l->type);
    row_string(c, "shape", l->shape);
    row_int(c, "params", l->params);
    row_real(c, "flops", l->flops);
    row_string(c, "place", l->place);
    row_end(c);
  }
  table_end(c);
  return name;
}

static const char *put_spec(C *c, const gradrt_net *net)
{
  if (!net->spec)
    return NULL;
  const char *name = names_global(c->names, arena_printf(c->arena, "%s_spec", c->prefix));
  const char *text = c_string(c->arena, net->spec);
  out_printf(c->out, "static const char %s[] =%s", name, text[0] == '\n' ? "" : " ");
  out_bytes(c->out, text, strlen(text));
  out_printf(c->out, ";\n\n");
  return name;
}

/* ---- the whole ---- */

static void put_function(C *c, HostKind kind, const gradrt_function *f, const char *field,
                         const char *outputs, const char *calls)
{
  const Host *h = c->m->host[kind];
  if (!h)
    return;
  record_break(c);
  row_sep(c);
  out_printf(c->line, ".%s = {", field);
  row_text(c, "fn", c_host_name(c, kind));
  row_table(c, "noutput", f->noutput, "output", outputs);
  row_bytes(c, "arena_bytes", h->arena_bytes);
  row_bytes(c, "worker_bytes", h->worker_bytes);
  row_table(c, "ncall", (int)c->calls[kind].n, "call", calls);
  row_table(c, "nmade", kind == HOST_TRAIN ? c->nmade : 0, "made", c->made);
  out_printf(c->line, "}");
}

typedef struct {
  const char *tensors, *sources, *splits, *fields, *fits, *train, *eval, *infer, *training, *evals,
      *params, *layers, *spec, *calls[HOST_COUNT];
} Parts;

static void put_net(C *c, const gradrt_net *net, const Parts *p)
{
  record_break(c);
  row_text(c, "abi", "GRADRT_ABI");
  row_string(c, "name", net->name);
  row_string(c, "file", net->file);
  row_string(c, "version", net->version);
  record_break(c);
  row_string(c, "fingerprint", net->fingerprint);
  record_break(c);
  row_string(c, "cpu", net->cpu);
  row_text(c, "real", dtype_name[net->real]);
  row_int(c, "batch", net->batch);
  if (net->threads)
    row_int(c, "threads", net->threads);
  record_break(c);
  row_table(c, "ntensor", net->ntensor, "tensor", p->tensors);
  row_bytes(c, "state_bytes", net->state_bytes);
  record_break(c);
  row_table(c, "nsource", net->nsource, "source", p->sources);
  row_table(c, "nsplit", net->nsplit, "split", p->splits);
  record_break(c);
  row_table(c, "nfield", net->nfield, "field", p->fields);
  row_table(c, "nfit", net->nfit, "fit", p->fits);
  row_int(c, "window", net->window);
  row_int(c, "stride", net->stride);
  row_bool(c, "streams", net->streams);
  row_int(c, "next_output", net->next_output);
  row_int(c, "next_field", net->next_field);
  put_function(c, HOST_TRAIN, &net->train, "train", p->train, p->calls[HOST_TRAIN]);
  put_function(c, HOST_EVAL, &net->eval, "eval", p->eval, p->calls[HOST_EVAL]);
  put_function(c, HOST_INFER, &net->infer, "infer", p->infer, p->calls[HOST_INFER]);
  record_break(c);
  if (p->training)
    row_text(c, "training", arena_printf(c->arena, "&%s", p->training));
  row_table(c, "neval", net->neval, "evals", p->evals);
  record_break(c);
  row_table(c, "nparam", net->nparam, "param", p->params);
  row_table(c, "nlayer", net->nlayer, "layer", p->layers);
  if (p->spec)
    row_text(c, "spec", p->spec);
  if (c->peak)
    row_text(c, "peak", c->peak);
  row_real(c, "peak_flops", c->peak_flops);
  row_int(c, "passes", net->passes);
  row_int(c, "eval_passes", net->eval_passes);
  row_bool(c, "profiled", c->args->measure == MEASURE_KERNELS);
  record_break(c);
}

const char *c_tables(C *c)
{
  const gradrt_net *net = c->args->net;
  Parts p = { 0 };
  p.tensors = put_tensors(c, net);
  p.sources = put_sources(c, net);
  p.splits = put_splits(c, net);
  p.fields = put_fields(c, net);
  p.fits = put_fits(c, net);
  p.train = c->m->host[HOST_TRAIN] ? put_outputs(c, &net->train, "train") : NULL;
  p.eval = c->m->host[HOST_EVAL] ? put_outputs(c, &net->eval, "eval") : NULL;
  p.infer = c->m->host[HOST_INFER] ? put_outputs(c, &net->infer, "infer") : NULL;
  p.training = put_training(c, net);
  p.evals = put_evals(c, net);
  p.params = put_params(c, net);
  p.layers = put_layers(c, net);
  p.spec = put_spec(c, net);
  for (int h = 0; h < HOST_COUNT; h++)
    p.calls[h] = c_measure_table(c, (HostKind)h);
  c_watch_table(c);
  const char *name = record_begin(c, "gradrt_net", "net");
  put_net(c, net, &p);
  table_end(c);
  return name;
}
