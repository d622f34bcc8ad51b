/* What training does every so many steps or epochs: print, evaluate, save, write a text. */
#include "sema/sema.h"

#include <string.h>

enum {
  EVERY_MAX = 8,                /* blocks; the runtime keeps two numbers of each */
  BEST_MAX = 16,                /* `save best` actions; one number of each */
  PRINTED_MAX = 256             /* elements of a parameter that is printed */
};

typedef struct {
  Sema *s;
  Train *t;
  Span best;                    /* the `save best` that decides best.safetensors */
  int nbest;
} Everies;

/* ---- print ---- */

/* A parameter by its name in quotes; false: reported. */
static bool parameter(Everies *v, const Ast *e, const char **name)
{
  Sema *s = v->s;
  if (!sema_text(s, e, "a parameter to print", name))
    return false;
  const StateVar *p = program_find_state(s->program, *name);
  if (!p || p->role != STATE_PARAM) {
    sema_no_parameter(s, *name, e->at);
    return false;
  }
  if (type_elems(&p->type) <= PRINTED_MAX)
    return true;
  diag_error(s->diag, e->at, "E0432", "`%s` has %lld numbers, too many to print", *name,
             (long long)type_elems(&p->type));
  diag_help(s->diag, "up to %d are printed; `gradc picture` shows larger ones", PRINTED_MAX);
  return false;
}

static bool gradient(Everies *v, const Ast *e, PrintSpec *out)
{
  const Ast *arg = e->call.args;
  Sema *s = v->s;
  if (!str_eq(sema_word(e->call.callee), "grad") || !arg || arg->next)
    return false;
  out->how = PRINT_GRADIENT;
  if (!parameter(v, sema_arg_value(arg), &out->name))
    return true;
  if (!program_find_state(s->program, out->name)->trainable)
    diag_error(s->diag, e->at, "E0432", "`%s` is frozen: it has no gradient", out->name);
  return true;
}

static void printed(Everies *v, const Ast *e, ActionSpec *a)
{
  static const struct { const char *word; PrintHow how; } words[] = {
    { "loss", PRINT_LOSS }, { "lr", PRINT_LR }, { "grad_norm", PRINT_NORM },
  };
  PrintSpec *p = &a->print[a->nprint];
  const char *word = e->kind == AST_NAME ? sema_word(e) : NULL;
  if (e->kind == AST_ERROR)
    return;
  a->nprint++;
  if (e->kind == AST_STRING) {
    p->how = PRINT_VALUE;
    parameter(v, e, &p->name);
    return;
  }
  if (e->kind == AST_CALL && gradient(v, e, p))
    return;
  for (size_t i = 0; word && i < ARRAY_LEN(words); i++)
    if (str_eq(words[i].word, word)) {
      p->how = words[i].how;
      return;
    }
  diag_error(v->s->diag, e->at, "E0432", "this cannot be printed");
  diag_help(v->s->diag, "it is one of: loss, lr, grad_norm, a parameter in quotes as in "
            "\"fc.weight\", grad(\"fc.weight\")");
}

static void print(Everies *v, const Ast *n, ActionSpec *a)
{
  a->print = ARENA_ARRAY(v->s->arena, PrintSpec, ast_length(n->action.values) + 1);
  for (const Ast *e = n->action.values; e; e = e->next)
    printed(v, e, a);
}

/* ---- eval, save ---- */

static bool split_of(Everies *v, const Ast *e, const char **split)
{
  const char *name = sema_word(e);
  if (e->kind == AST_ERROR || !v->s->data)
    return false;
  if (!name || sema_find_split(v->s->data, name) < 0)
    sema_unknown_split(v->s, e->at, v->s->data, name ? name : "");
  *split = name;
  return name != NULL;
}

/* A file of the run directory that is nobody else's. */
static bool file_name(Everies *v, const Ast *e, const char **name)
{
  static const char reserved[] = "last.safetensors last.safetensors.prev best.safetensors "
                                 "best.safetensors.prev metrics.csv report.html";
  Sema *s = v->s;
  if (!sema_text(s, e, "the file of `save`", name))
    return false;
  if (!**name || **name == '.' || strchr(*name, '/') || strlen(*name) > 100) {
    diag_error(s->diag, e->at, "E0432", "`save` takes the name of a file in the run directory");
    diag_help(s->diag, "for example \"middle.safetensors\"");
    return false;
  }
  if (!str_in_words(*name, reserved))
    return true;
  diag_error(s->diag, e->at, "E0432", "the run itself writes %s", *name);
  diag_help(s->diag, "choose another name");
  return false;
}

/* best.safetensors is written by the run itself: the action says what chooses it. */
static void choose(Everies *v, const Ast *n, const ActionSpec *a)
{
  Train *t = v->t;
  for (int i = 0; i < t->nstop; i++)
    if (t->stop[i].how == STOP_STALLED &&
        (!str_eq(t->stop[i].split, a->split) || t->stop[i].metric != a->metric)) {
      diag_error(v->s->diag, n->at, "E0432", "`stop when stalled(..)` chooses best.safetensors by "
                 "another metric");
      diag_help(v->s->diag, "name another file, or wait for the same metric");
      return;
    }
  if (!sema_once(v->s, &v->best, n->at, "`save best` to best.safetensors"))
    return;
  t->best_split = a->split;
  t->best_metric = a->metric;
}

/* False: there is nothing left to do for the runtime. */
static bool save_best(Everies *v, const Ast *n, ActionSpec *a)
{
  Sema *s = v->s;
  const Ast *file = n->action.values;
  a->how = ACTION_SAVE_BEST;
  if (!str_eq(n->action.verb, "save") || !str_eq(n->action.what, "best") ||
      !str_eq(n->action.joint, "by")) {
    diag_error(s->diag, n->at, "E0432", "this is nothing that training can do");
    diag_help(s->diag, "write `save best by valid.loss \"name.safetensors\";`");
    return false;
  }
  if (!sema_watched(s, n->action.by, v->t, &a->split, &a->metric))
    return false;
  a->want_low = a->metric < 0 || sema_metric_is_low(v->t->metric[a->metric].kind);
  if (str_eq(sema_word(file), "best.safetensors")) {
    choose(v, n, a);
    return false;
  }
  if (++v->nbest > BEST_MAX)
    diag_error(s->diag, n->at, "E0432", "at most %d times `save best`", BEST_MAX);
  return file_name(v, file, &a->file);
}

static void unknown_action(Everies *v, const Ast *n)
{
  static const char *const words[] = { "print", "eval", "save", "sample" };
  diag_error(v->s->diag, n->action.verb_at, "E0432", "training cannot `%s` every so often",
             n->action.verb);
  sema_suggest(v->s, n->action.verb, words, (int)ARRAY_LEN(words), "it can");
}

/* Adds what one statement asks for. */
static void action(Everies *v, const Ast *n, EverySpec *out)
{
  const char *verb = n->action.verb;
  ActionSpec *a = &out->action[out->naction];
  if (n->action.what) {
    out->naction += save_best(v, n, a);
  } else if (str_eq(verb, "print")) {
    a->how = ACTION_PRINT;
    print(v, n, a);
    out->naction++;
  } else if (str_eq(verb, "eval")) {
    for (const Ast *e = n->action.values; e; e = e->next)
      if (split_of(v, e, &out->action[out->naction].split))
        out->action[out->naction++].how = ACTION_EVAL;
  } else if (str_eq(verb, "save")) {
    for (const Ast *e = n->action.values; e; e = e->next)
      if (file_name(v, e, &out->action[out->naction].file))
        out->action[out->naction++].how = ACTION_SAVE;
  } else if (str_eq(verb, "sample")) {
    for (const Ast *e = n->action.values; e; e = e->next)
      if (sema_sample(v->s, e, &out->action[out->naction].sample))
        out->action[out->naction++].how = ACTION_SAMPLE;
  } else {
    unknown_action(v, n);
  }
}

static void every(Everies *v, const Ast *n, EverySpec *out)
{
  Sema *s = v->s;
  const Ast *amount = n->every.amount;
  int64_t count = 1;
  int most = 0;
  if (amount->kind == AST_AMOUNT && sema_int(s, amount->amount.value, "the number after `every`",
                                             1, INT64_C(1000000000000), &count))
    *out = (EverySpec){ .count = (double)count, .in_epochs = amount->amount.epochs };
  for (const Ast *a = n->every.actions; a; a = a->next)
    most += a->kind == AST_ACTION ? ast_length(a->action.values) : 0;
  out->action = ARENA_ARRAY(s->arena, ActionSpec, most + 1);
  for (const Ast *a = n->every.actions; a; a = a->next)
    if (a->kind == AST_ACTION)
      action(v, a, out);
  if (v->t->nevery > EVERY_MAX)
    diag_error(s->diag, n->at, "E0432", "a train block has at most %d `every` blocks", EVERY_MAX);
}

void sema_everies(Sema *s, const Ast *train, Train *t)
{
  Everies v = { .s = s, .t = t };
  t->every = ARENA_ARRAY(s->arena, EverySpec, ast_length(train->train.items) + 1);
  for (const Ast *item = train->train.items; item; item = item->next)
    if (item->kind == AST_EVERY)
      every(&v, item, &t->every[t->nevery++]);
}
