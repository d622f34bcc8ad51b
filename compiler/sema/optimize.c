/* How training moves the parameters: optimizer, learning-rate schedule, clipping, freezing, and
 * the memory that all of it needs. */
#include "sema/sema.h"

#include <fnmatch.h>
#include <math.h>

static const int64_t memory_limit = (int64_t)64 << 30;

static const Row schedule_rows[] = {
#define SCHEDULE(name, unnamed, doc) { ROW_HEAD, #name, "", unnamed, 0, doc },
#define OPTION(kind, name, dflt, low, high, doc) { ROW_##kind, #name, dflt, low, high, doc },
#include "sema/schedules.def"
#undef SCHEDULE
#undef OPTION
};

/* ---- optimizer ---- */

static const OpDef *find_optimizer(Sema *s, const Ast *callee)
{
  const char *name = callee->kind == AST_NAME ? callee->name.text : NULL;
  const OpDef *op = name ? op_find(s->ops, name) : NULL;
  if (callee->kind == AST_ERROR)
    return NULL;
  if (op && (op->flags & OP_OPTIMIZER))
    return op;
  const char **words = ARENA_ARRAY(s->arena, const char *, s->ops->n + 1);
  int n = 0;
  for (int i = 0; i < s->ops->n; i++)
    if (s->ops->at[i]->flags & OP_OPTIMIZER)
      words[n++] = s->ops->at[i]->name;
  if (!name) {
    diag_error(s->diag, callee->at, "E0404", "an optimizer is needed here: %s",
               sema_join(s, words, n));
    return NULL;
  }
  bool alias = false;
  const OpDef *near = op_suggest(s->ops, name, OP_OPTIMIZER, &alias);
  diag_error(s->diag, callee->at, "E0301", "there is no optimizer called `%s`", name);
  if (near)
    diag_help(s->diag, alias ? "the same thing is called `%s` here" : "did you mean `%s`?",
              near->name);
  diag_note(s->diag, (Span){ 0, 0 }, "optimizers: %s", sema_join(s, words, n));
  return NULL;
}

/* Rates that diverge with near certainty: above 1, or above 0.1 for methods that divide by the
 * gradient's size. */
static void warn_rate(Sema *s, const OpDef *op, double lr, Span at)
{
  double high = sema_has_attr(op, "beta1") ? 0.1 : 1;
  if (lr > high) {
    diag_warn(s->diag, at, "W0402", "%s with lr=%g is likely to diverge", op->name, lr);
    diag_help(s->diag, "rates above %g rarely work; try lr=%g", high, high / 10);
  }
}

void sema_optimizer(Sema *s, const Ast *e, Train *t)
{
  bool call = e->kind == AST_CALL;
  const OpDef *op = find_optimizer(s, call ? e->call.callee : e);
  if (!op)
    return;
  const Ast **args = ARENA_ARRAY(s->arena, const Ast *, ast_length(call ? e->call.args : NULL) + 1);
  int n = 0;
  for (const Ast *arg = call ? e->call.args : NULL; arg; arg = arg->next)
    args[n++] = arg;
  const void *attrs;
  t->optimizer = op;
  t->lr = (Setting){ NAN, NULL };
  if (!sema_attrs(s, op, args, n, e->at, &t->lr, &attrs))
    return;
  if (isnan(t->lr.value)) {
    void *own = arena_copy(s->arena, attrs, op->attrs_size);
    double *lr = sema_attr_at(op, own, "lr", ATTR_real);
    t->lr.value = *lr;
    if (!sema_setting(s, NULL, "lr", 0, INFINITY, false, &t->lr))
      return;
    *lr = t->lr.value;
    attrs = own;
  }
  t->optimizer_attrs = attrs;
  if (sema_rule_fits(s, op, attrs, e->at))
    warn_rate(s, op, t->lr.value, e->at);
}

/* ---- schedule ---- */

static bool piece(Sema *s, const Ast *p, SchedulePiece *out)
{
  const Ast *call = p->piece.call, *amount = p->piece.amount;
  if (!call || call->kind != AST_STAGE)
    return false;
  const Row *row = sema_row(schedule_rows, (int)ARRAY_LEN(schedule_rows), call->stage.callee);
  if (!row) {
    sema_unknown_row(s, schedule_rows, (int)ARRAY_LEN(schedule_rows), call->stage.callee,
                     call->stage.callee_at, "schedule", "E0301");
    return false;
  }
  Options o = { 0 };
  if (!sema_options(s, row, schedule_rows + ARRAY_LEN(schedule_rows), call->stage.args, call->at,
                    &o))
    return false;
  *out = (SchedulePiece){ .kind = row->name };
  out->prop = sema_props(s, &o, &out->nprop);
  if (str_eq(row->name, "plateau") && (amount || p->next)) {
    diag_error(s->diag, p->at, "E0408", "`plateau` goes on to the end of training");
    diag_help(s->diag, "make it the last piece, without `for`: `warmup(..) for 1 epochs then "
              "plateau(..)`");
    return false;
  }
  if (amount && amount->kind == AST_AMOUNT) {
    out->in_epochs = amount->amount.epochs;
    return sema_real(s, amount->amount.value, "the length of a piece", 1e-9, 1e12, &out->span);
  }
  if (!p->next)
    return !amount;
  diag_error(s->diag, p->at, "E0408", "only the last piece of a schedule may go on for ever");
  diag_help(s->diag, "say how long `%s` lasts: `for 1 epochs` or `for 500 steps`", row->name);
  return false;
}

void sema_schedule(Sema *s, const Ast *schedule, Train *t)
{
  if (!str_eq(schedule->schedule.target, "lr")) {
    diag_error(s->diag, schedule->at, "E0408", "a schedule sets lr, not `%s`",
               schedule->schedule.target);
    return;
  }
  t->schedule = ARENA_ARRAY(s->arena, SchedulePiece, ast_length(schedule->schedule.pieces) + 1);
  for (const Ast *p = schedule->schedule.pieces; p; p = p->next)
    if (p->kind == AST_PIECE && piece(s, p, &t->schedule[t->nschedule]))
      t->nschedule++;
}

/* ---- clip: norm(5) ---- */

void sema_clip(Sema *s, const Ast *e, Train *t)
{
  const char *kind = e->kind == AST_CALL ? sema_word(e->call.callee) : NULL;
  const Ast *arg = kind ? e->call.args : NULL;
  bool norm = str_eq(kind, "norm"), value = str_eq(kind, "value");
  if (e->kind == AST_ERROR)
    return;
  if ((!norm && !value) || !arg || arg->next ||
      (arg->kind == AST_ARG && arg->arg.name && !str_eq(arg->arg.name, "max"))) {
    diag_error(s->diag, e->at, "E0413", "gradients are clipped by norm(..) or by value(..)");
    diag_help(s->diag, "write `clip: norm(5);`");
    return;
  }
  t->clip = norm ? CLIP_NORM : CLIP_VALUE;
  sema_real(s, sema_arg_value(arg), "the bound of `clip`", 1e-30, INFINITY, &t->clip_max);
}

/* ---- freeze ---- */

static int freeze_matching(Sema *s, const char *glob)
{
  int n = 0;
  for (uint32_t i = 0; i < s->program->state.n; i++) {
    StateVar *v = &s->program->state.at[i];
    if (v->role == STATE_PARAM && fnmatch(glob, v->name, 0) == 0) {
      v->trainable = false;
      n++;
    }
  }
  return n;
}

void sema_no_parameter(Sema *s, const char *glob, Span at)
{
  const char **words = ARENA_ARRAY(s->arena, const char *, s->program->state.n + 1);
  int n = 0;
  for (uint32_t i = 0; i < s->program->state.n; i++)
    if (s->program->state.at[i].role == STATE_PARAM)
      words[n++] = s->program->state.at[i].name;
  diag_error(s->diag, at, "E0412", "no parameter is called `%s`", glob);
  sema_suggest(s, glob, words, n, "parameters");
  diag_help(s->diag, "a star stands for any letters: \"c1.*\" is everything of c1");
}

void sema_freeze(Sema *s, const Ast *globs, Train *t)
{
  const char **kept = ARENA_ARRAY(s->arena, const char *, ast_length(globs) + 1);
  t->freeze = kept;
  for (const Ast *e = globs; e; e = e->next) {
    const char *glob;
    if (e->kind == AST_ERROR || !sema_text(s, e, "a pattern of `freeze`", &glob))
      continue;
    kept[t->nfreeze++] = glob;
    if (!freeze_matching(s, glob) && !diag_errors(s->diag))
      sema_no_parameter(s, glob, e->at);
  }
}

/* ---- memory ---- */

/* Numbers of optimizer state for each number of a parameter. */
static int64_t slots_per_parameter(Sema *s, const Train *t)
{
  if (!t || !t->optimizer || !t->optimizer->params || !t->optimizer_attrs)
    return 0;
  Program scratch = { .arena = s->arena, .real = s->program->real };
  Type one = type_scalar(s->program->real, false);
  Node *n = arena_alloc(s->arena, sizeof *n);
  *n = (Node){ .op = t->optimizer, .attrs = t->optimizer_attrs };
  Params p = { .program = &scratch, .in = &one, .path = "p" };
  t->optimizer->params(&p, n);
  return scratch.state.n;
}

void sema_check_memory(Sema *s, const Train *t, Span at)
{
  int64_t total = 0, parts = 1 + (t ? 1 + slots_per_parameter(s, t) + (t->accumulate > 1) +
                                         (t->average != AVERAGE_NONE) : 0),
          bytes = dtype_bytes(s->program->real), all;
  const StateVar *largest = NULL;
  for (uint32_t i = 0; i < s->program->state.n; i++) {
    const StateVar *v = &s->program->state.at[i];
    int64_t n = type_elems(&v->type);
    if (n < 0 || !checked_add(total, n, &total)) {
      diag_error(s->diag, v->at, "E0601", "parameter `%s` %s has too many elements to count",
                 v->name, type_user(s->arena, &v->type));
      return;
    }
    if (!largest || n > type_elems(&largest->type))
      largest = v;
  }
  if (checked_mul(total, parts * bytes, &all) && all <= memory_limit)
    return;
  diag_error(
      s->diag, at, "E0601",
      "the parameters need %lld numbers * %lld bytes * %lld = %.1f GiB, the limit is %lld GiB",
      (long long)total, (long long)bytes, (long long)parts,
      (double)total * (double)(parts * bytes) / 1073741824.0, (long long)(memory_limit >> 30));
  if (t)
    diag_note(s->diag, (Span){ 0, 0 },
              "each parameter is held %lld times: itself, its gradient and %lld of the optimizer",
              (long long)parts, (long long)(parts - 2));
  diag_note(s->diag, largest->at, "the largest is `%s` %s", largest->name,
            type_user(s->arena, &largest->type));
  diag_help(s->diag, "use fewer units, or a convolution, which shares its weights");
}
