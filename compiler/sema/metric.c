/* Metrics, what they compare, and the conditions that stop training. Whatever a metric reads
 * becomes an output of the program, once. */
#include "sema/sema.h"

#include <math.h>

enum { OUTPUTS_MAX = 15 };      /* the runtime's 16, less the loss */

typedef enum { TARGET_CLASS, TARGET_NUMBER } TargetKind;
typedef struct {
  const char *name;
  int values;
  bool low;
  TargetKind target;
  bool table;
  const char *doc;
} MetricRow;

static const MetricRow metric_rows[] = {
#define METRIC(name, values, low, target, table, doc)                                              \
  { #name, values, low, TARGET_##target, table, doc },
#include "sema/metrics.def"
#undef METRIC
};

static const MetricRow *find_row(const char *name)
{
  for (size_t i = 0; name && i < ARRAY_LEN(metric_rows); i++)
    if (str_eq(metric_rows[i].name, name))
      return &metric_rows[i];
  return NULL;
}

bool sema_metric_is_low(const char *kind) { return find_row(kind)->low; }

static void unknown_metric(Sema *s, const char *name, Span at)
{
  const char *words[ARRAY_LEN(metric_rows)];
  s->metrics_broken = true;
  for (size_t i = 0; i < ARRAY_LEN(metric_rows); i++)
    words[i] = metric_rows[i].name;
  diag_error(s->diag, at, "E0301", "there is no metric called `%s`", name);
  sema_suggest(s, name, words, (int)ARRAY_LEN(words), "metrics");
}

/* ---- outputs ---- */

int sema_output(Sema *s, const char *name, Value v)
{
  for (uint32_t i = 0; i < s->outputs.n; i++)
    if (value_equal(s->outputs.at[i].value, v))
      return (int)i;
  if (s->outputs.n == OUTPUTS_MAX) {
    diag_error(s->diag, v.node->at, "E0602",
               "results, metrics and infer outputs name more than %d tensors", OUTPUTS_MAX);
    return -1;
  }
  NamedValue n = { name, v };
  vec_push(s->arena, &s->outputs, n);
  return (int)s->outputs.n - 1;
}

/* Outputs are real numbers: labels are converted. */
static int output_of(Sema *s, Value v, const char *fallback)
{
  const char *name = sema_value_name(s, v);
  Value real = dtype_is_real(value_type(v)->dtype) ? v : (Value){ NULL, 0 };
  for (uint32_t i = 0; i < s->outputs.n && !real.node; i++) {
    Value have = s->outputs.at[i].value;
    if (have.node->op == sema_known(s, "cast") && value_equal(have.node->in[0], v))
      real = have;
  }
  if (!real.node)
    real = sema_cast(s, v, s->program->real, name ? name : fallback, v.node->at);
  return real.node ? sema_output(s, name ? name : fallback, real) : -1;
}

/* ---- one metric ---- */

static bool comparable(Sema *s, const MetricRow *row, Value p, Value t, Span at)
{
  const Type *tp = value_type(p), *tt = value_type(t);
  const FieldSpec *label = sema_label_of(s, t);
  int64_t np = type_elems(tp), nt = type_elems(tt);
  if (!tp->batched || !tt->batched || !dtype_is_real(tp->dtype)) {
    diag_error(s->diag, at, "E0406", "%s compares a prediction and a target of each sample",
               row->name);
    diag_help(s->diag, "write %s(prediction, target)", row->name);
    return false;
  }
  if (row->target == TARGET_CLASS && label)
    return sema_classes_agree(s, row->name, p, label, at);
  if (np == nt)
    return true;
  if (sema_refused(s, p, t))
    return false;
  diag_error(s->diag, at, "E0406", "%s: the prediction is %s, but the target is %s", row->name,
             type_user(s->arena, tp), type_user(s->arena, tt));
  if (row->target == TARGET_CLASS)
    diag_help(s->diag,
              "the target is a label field, or has one number for each of the prediction's");
  return false;
}

static const char *metric_name(Sema *s, const MetricSpec *before, int n, const char *kind,
                               int64_t k)
{
  const char *base = str_eq(kind, "topk") ? arena_printf(s->arena, "top%lld", (long long)k) : kind,
             *name = base;
  for (int serial = 2, i = 0; i < n; i++)
    if (str_eq(before[i].name, name)) {
      name = arena_printf(s->arena, "%s_%d", base, serial++);
      i = -1;
    }
  return name;
}

typedef struct { const Ast *value[2]; int nvalue; int64_t k; bool has_k, ok; } MetricArgs;

static MetricArgs metric_args(Sema *s, const MetricRow *row, const Ast *args, Span at)
{
  MetricArgs r = { .k = 5, .ok = true };
  bool topk = str_eq(row->name, "topk");
  for (const Ast *arg = args; arg; arg = arg->next) {
    const char *name = arg->kind == AST_ARG ? arg->arg.name : NULL;
    const Ast *e = sema_arg_value(arg);
    if (e->kind == AST_ERROR) {
      r.ok = false;
    } else if (topk && (str_eq(name, "k") || (!name && r.nvalue == 2 && !r.has_k))) {
      r.ok = sema_int(s, e, "option `k` of topk", 1, 1000000, &r.k) && r.ok;
      r.has_k = true;
    } else if (name) {
      diag_error(s->diag, arg->arg.name_at, "E0302", "`%s` has no option `%s`", row->name, name);
      if (topk)
        diag_help(s->diag, "it has one: k");
      r.ok = false;
    } else if (r.nvalue < row->values) {
      r.value[r.nvalue++] = e;
    } else {
      r.nvalue++;
    }
  }
  if (r.ok && r.nvalue != row->values) {
    diag_error(s->diag, at, "E0308", "`%s` compares %d tensors, but %d %s given", row->name,
               row->values, r.nvalue, r.nvalue == 1 ? "is" : "are");
    diag_help(s->diag, "write %s(prediction, target)", row->name);
    r.ok = false;
  }
  return r;
}

static Value metric_value(Sema *s, const Ast *e)
{
  sema_statement(s, "metrics", e);
  return sema_value(s, e, OP_LAYER);
}

/* `loss`, `mean(loss)`, `accuracy(logits, y)`, `topk(logits, y, k=5)`. */
static bool metric(Sema *s, const Ast *e, const MetricSpec *before, int n, MetricSpec *out)
{
  const Ast *callee = e->kind == AST_CALL ? e->call.callee : e;
  const char *name = callee->kind == AST_NAME ? callee->name.text : NULL;
  const Ast *args = e->kind == AST_CALL ? e->call.args : NULL;
  if (e->kind == AST_ERROR || callee->kind == AST_ERROR)
    return false;
  if (str_eq(name, "mean") && args && !args->next &&
      str_eq(sema_word(sema_arg_value(args)), "loss")) {
    name = "loss";
    args = NULL;
  }
  if (!name) {
    diag_error(s->diag, e->at, "E0406", "a metric is needed here");
    diag_help(s->diag, "for example accuracy(logits, y)");
    return false;
  }
  const MetricRow *row = find_row(name);
  if (!row) {
    unknown_metric(s, name, callee->at);
    return false;
  }
  MetricArgs a = metric_args(s, row, args, e->at);
  *out = (MetricSpec){ .kind = row->name, .output = -1, .target = -1, .k = a.k, .at = e->at };
  out->name = metric_name(s, before, n, row->name, a.k);
  if (!a.ok)
    return false;
  if (!row->values && !s->model->train && !diag_errors(s->diag)) {
    diag_error(s->diag, e->at, "E0406", "there is no loss: the spec has no train block");
    return false;
  }
  if (!row->values)
    return true;
  Value p = metric_value(s, a.value[0]), t = metric_value(s, a.value[1]);
  if (!p.node || !t.node || !comparable(s, row, p, t, e->at))
    return false;
  if (str_eq(row->name, "topk") && a.k > type_elems(value_type(p))) {
    diag_error(s->diag, e->at, "E0406", "topk: k=%lld, but the prediction has %lld numbers",
               (long long)a.k, (long long)type_elems(value_type(p)));
    return false;
  }
  out->output = output_of(s, p, arena_printf(s->arena, "%s.prediction", out->name));
  out->target = output_of(s, t, arena_printf(s->arena, "%s.target", out->name));
  return out->output >= 0 && out->target >= 0;
}

MetricSpec *sema_metrics(Sema *s, const Ast *list, int *n)
{
  MetricSpec *m = ARENA_ARRAY(s->arena, MetricSpec, ast_length(list) + 1);
  *n = 0;
  for (const Ast *e = list; e; e = e->next)
    if (metric(s, e, m, *n, &m[*n]) || m[*n].name)
      ++*n;                     /* a bad one still has its name, so that `stop when` knows it */
  return m;
}

/* ---- stop when ---- */

bool sema_watched(Sema *s, const Ast *e, const Train *t, const char **split, int *which)
{
  if (e->kind == AST_ERROR || !s->data)
    return false;
  if (e->kind != AST_FIELD_OF || e->field_of.of->kind != AST_NAME) {
    diag_error(s->diag, e->at, "E0407", "a metric of a split is needed here");
    diag_help(s->diag, "for example valid.loss or valid.accuracy");
    return false;
  }
  *split = e->field_of.of->name.text;
  *which = -1;
  if (sema_find_split(s->data, *split) < 0) {
    sema_unknown_split(s, e->field_of.of->at, s->data, *split);
    return false;
  }
  if (str_eq(e->field_of.name, "loss"))
    return true;
  const char **words = ARENA_ARRAY(s->arena, const char *, t->nmetric + 1);
  for (int i = 0; i < t->nmetric; i++) {
    words[i] = t->metric[i].name;
    if (str_eq(e->field_of.name, words[i])) {
      *which = i;
      if (!find_row(t->metric[i].kind)->table)
        return true;
      diag_error(s->diag, e->at, "E0407", "`%s` is a table, not a number", words[i]);
      return false;
    }
  }
  if (s->metrics_broken)
    return false;
  words[t->nmetric] = "loss";
  diag_error(s->diag, e->at, "E0407", "`%s` is not among the metrics of the train block",
             e->field_of.name);
  sema_suggest(s, e->field_of.name, words, t->nmetric + 1, "known");
  if (find_row(e->field_of.name))
    diag_help(s->diag, "add it: `metrics: %s(..);`", e->field_of.name);
  return false;
}

static bool stalled(Sema *s, const Ast *e, const Train *t, StopSpec *out)
{
  const Ast *args = e->call.args, *amount = args ? args->next : NULL;
  if (!args || !amount || amount->next || sema_arg_value(amount)->kind != AST_AMOUNT) {
    diag_error(s->diag, e->at, "E0407", "`stalled` needs a metric and how long it may stall");
    diag_help(s->diag, "write stalled(valid.loss, 4 epochs)");
    return false;
  }
  const Ast *value = sema_arg_value(amount);
  out->how = STOP_STALLED;
  if (!sema_watched(s, sema_arg_value(args), t, &out->split, &out->metric))
    return false;
  if (!value->amount.epochs) {
    diag_error(s->diag, value->at, "E0407", "`stalled` counts epochs, not steps");
    return false;
  }
  int64_t epochs;
  if (!sema_int(s, value->amount.value, "the patience of `stalled`", 1, 1000000000, &epochs))
    return false;
  out->patience = (double)epochs;
  out->want_low = out->metric < 0 || find_row(t->metric[out->metric].kind)->low;
  return true;
}

static bool reached(Sema *s, const Ast *e, const Train *t, StopSpec *out)
{
  const char *op = e->binary.op;
  if (!str_in_words(op, ">= > <= <")) {
    diag_error(s->diag, e->at, "E0407", "training stops when a metric is >= or <= a number, not %s",
               op);
    if (str_eq(op, "and"))
      diag_help(s->diag, "conditions are joined by `or`: the first that holds ends the training");
    return false;
  }
  out->how = STOP_REACHED;
  out->want_low = op[0] == '<';
  return sema_watched(s, e->binary.x, t, &out->split, &out->metric) &&
         sema_real(s, e->binary.y, "the bound of `stop when`", -INFINITY, INFINITY,
                   &out->threshold);
}

void sema_stop(Sema *s, const Ast *cond, const Train *t, Stops *out)
{
  StopSpec stop = { 0 };
  bool ok = false;
  if (cond->kind == AST_ERROR)
    return;
  if (cond->kind == AST_BINARY && str_eq(cond->binary.op, "or")) {
    sema_stop(s, cond->binary.x, t, out);
    sema_stop(s, cond->binary.y, t, out);
    return;
  }
  if (cond->kind == AST_CALL && str_eq(sema_word(cond->call.callee), "stalled")) {
    ok = stalled(s, cond, t, &stop);
  } else if (cond->kind == AST_BINARY) {
    ok = reached(s, cond, t, &stop);
  } else {
    diag_error(s->diag, cond->at, "E0407", "this is no condition to stop at");
    diag_help(s->diag, "write `stalled(valid.loss, 4 epochs)` or `valid.accuracy >= 99%%`");
  }
  if (ok)
    vec_push(s->arena, out, stop);
}
