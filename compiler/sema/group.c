/* Options that some parameters have for themselves, and the average of the weights. */
#include "sema/sema.h"

#include <fnmatch.h>

static const Row average_rows[] = {
  { ROW_HEAD, "polyak", "", 0, 0, "the mean of the weights after all steps" },
  { ROW_COUNT, "from", "1", 1, 1e9, "the first epoch whose weights count" },
  { ROW_HEAD, "ema", "", 1, 0, "a mean in which older weights fade" },
  { ROW_REAL, "keep", "0.999", 0, 0.999999999, "share of the mean that each step keeps" },
  { ROW_COUNT, "from", "1", 1, 1e9, "the first epoch whose weights count" },
};

void sema_average(Sema *s, const Ast *e, Train *t)
{
  const Ast *callee = e->kind == AST_CALL ? e->call.callee : e;
  const char *name = sema_word(callee);
  int n = (int)ARRAY_LEN(average_rows);
  if (e->kind == AST_ERROR)
    return;
  const Row *row = name ? sema_row(average_rows, n, name) : NULL;
  if (!row) {
    diag_error(s->diag, e->at, "E0433", "weights are averaged by polyak or by ema(..)");
    diag_help(s->diag, "write `average: polyak;` or `average: ema(0.999);`");
    return;
  }
  Options o = { 0 };
  if (!sema_options(s, row, average_rows + n, e->kind == AST_CALL ? e->call.args : NULL, e->at,
                    &o))
    return;
  const Option *keep = sema_option(&o, "keep");
  t->average = keep ? AVERAGE_EMA : AVERAGE_POLYAK;
  t->average_keep = keep ? keep->prop.number : 0;
  t->average_from = sema_option(&o, "from")->prop.number;
}

/* ---- groups ---- */

/* Why an option is the same for all parameters, or NULL. */
static const char *shared_option(const char *name)
{
  if (str_in_words(name, "beta1 beta2"))
    return "the bias corrections of a step are computed once, from one pair of betas";
  return NULL;
}

static bool group_line(Sema *s, const Train *t, const Ast *item, GroupSpec *g, void *attrs)
{
  const char *name = item->property.name;
  const Ast *value = item->property.values;
  if (!value || value->next) {
    diag_error(s->diag, item->at, "E0308", "`%s` takes one value", name);
    return false;
  }
  if (str_eq(name, "lr_scale"))
    return sema_real(s, value, "`lr_scale`", 1e-30, 1e30, &g->lr_scale);
  if (str_eq(name, "lr")) {
    diag_error(s->diag, item->property.name_at, "E0431",
               "a group scales the rate, which schedule and command line set for all");
    diag_help(s->diag, "write `lr_scale: 0.1;` for a tenth of it");
    return false;
  }
  const char *why = shared_option(name);
  if (why && sema_has_attr(t->optimizer, name)) {
    diag_error(s->diag, item->property.name_at, "E0431", "`%s` is the same for all parameters",
               name);
    diag_note(s->diag, (Span){ 0, 0 }, "%s", why);
    diag_help(s->diag, "say it in `optimizer: %s(..)`", t->optimizer->name);
    return false;
  }
  return sema_attr_set(s, t->optimizer, name, item->property.name_at, value, attrs);
}

/* Takes the parameters that the glob names and no earlier group has; false: it names none. */
static bool take(Sema *s, const char *glob, int group, int *group_of, int *taken)
{
  bool any = false;
  for (uint32_t i = 0; i < s->program->state.n; i++) {
    const StateVar *v = &s->program->state.at[i];
    if (v->role != STATE_PARAM || fnmatch(glob, v->name, 0) != 0)
      continue;
    any = true;
    if (group_of[i] < 0 || group_of[i] == group) {
      group_of[i] = group;
      ++*taken;
    }
  }
  return any;
}

static void group(Sema *s, const Ast *n, Train *t, int *group_of)
{
  GroupSpec *g = &t->group[t->ngroup];
  void *attrs = arena_copy(s->arena, t->optimizer_attrs, t->optimizer->attrs_size);
  int taken = 0, errors = diag_errors(s->diag);
  *g = (GroupSpec){ attrs, 1 };
  for (const Ast *e = n->group.globs; e; e = e->next) {
    const char *glob;
    if (e->kind != AST_ERROR && sema_text(s, e, "a pattern of `group`", &glob) &&
        !take(s, glob, t->ngroup, group_of, &taken) && !errors)
      sema_no_parameter(s, glob, e->at);
  }
  bool fits = true;
  for (const Ast *item = n->group.items; item; item = item->next)
    fits = item->kind != AST_ERROR && group_line(s, t, item, g, attrs) && fits;
  if (fits)
    sema_rule_fits(s, t->optimizer, attrs, n->at);
  if (!taken && diag_errors(s->diag) == errors && !errors) {
    diag_error(s->diag, n->at, "E0431", "earlier groups have all parameters of this one");
    diag_help(s->diag, "the first group that fits wins: put this one before them");
  }
  t->ngroup++;
}

void sema_groups(Sema *s, const Ast *train, Train *t)
{
  int *group_of = ARENA_ARRAY(s->arena, int, s->program->state.n + 1);
  for (uint32_t i = 0; i < s->program->state.n; i++)
    group_of[i] = -1;
  t->group_of = group_of;
  t->group = ARENA_ARRAY(s->arena, GroupSpec, ast_length(train->train.items) + 1);
  for (const Ast *item = train->train.items; item; item = item->next)
    if (item->kind == AST_GROUP && t->optimizer && t->optimizer_attrs)
      group(s, item, t, group_of);
}
