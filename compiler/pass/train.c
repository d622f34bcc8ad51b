/* Assembles the training step. Everything runs in the order of state ids, so the sum of squares
 * behind the norm, and with it every bit, depends on the model alone. */
#include "pass/train.h"
#include "ops/build.h"
#include "pass/autodiff.h"
#include "pass/expand.h"

#include <stdlib.h>

typedef struct {
  Program *program;
  Graph *graph;
  const TrainSpec *spec;
  const OpTable *ops;
  Value *gradient;              /* by state id; node NULL: none */
  uint32_t nstate;              /* state variables before slots were added */
} Train;

static const StateVar *state_var(const Train *t, uint32_t i) { return &t->program->state.at[i]; }

/* ---- clipping ---- */

static void clip_value(Train *t)
{
  for (uint32_t i = 0; i < t->nstate; i++) {
    if (!t->gradient[i].node)
      continue;
    GBuild b = g_in_graph(t->graph, state_var(t, i)->name, state_var(t, i)->at);
    Value low = g_const(&b, -t->spec->clip_max), high = g_const(&b, t->spec->clip_max);
    t->gradient[i] = g_min(&b, g_max(&b, t->gradient[i], low), high);
  }
}

/* The sum of the squares of all gradients; node NULL: there are none. */
static Value sum_squares(Train *t, const GBuild *b)
{
  Value sum = { NULL, 0 };
  for (uint32_t i = 0; i < t->nstate; i++)
    if (t->gradient[i].node) {
      Value part = g_sumsq(b, t->gradient[i]);
      sum = sum.node ? g_add(b, sum, part) : part;
    }
  return sum;
}

static void clip_norm(Train *t)
{
  static const double eps = 1e-6;       /* torch.nn.utils.clip_grad_norm_ */
  GBuild b = g_in_graph(t->graph, "clip", (Span){ 0, 0 });
  Value sum = sum_squares(t, &b);
  if (!sum.node)
    return;
  Value norm = g_affine(&b, g_sqrt(&b, sum), 1, eps);
  Value factor = g_min(&b, g_div(&b, g_const(&b, t->spec->clip_max), norm), g_const(&b, 1));
  for (uint32_t i = 0; i < t->nstate; i++)
    if (t->gradient[i].node) {
      GBuild own = g_in_graph(t->graph, state_var(t, i)->name, state_var(t, i)->at);
      t->gradient[i] = g_mul(&own, t->gradient[i], factor);
    }
}

static void clip(Train *t)
{
  if (t->spec->clip == TRAIN_CLIP_NORM)
    clip_norm(t);
  else if (t->spec->clip == TRAIN_CLIP_VALUE)
    clip_value(t);
}

/* ---- update ---- */

static void write_state(Train *t, uint32_t state, Value v)
{
  Expand e = {
    .graph = t->graph, .mode = MODE_TRAIN, .ops = t->ops, .name = state_var(t, state)->name
  };
  expand_write(&e, state, v);
}

/* Adds v under its name, or finds the variable that an earlier call added. */
static uint32_t slot(Train *t, StateVar v)
{
  const StateVar *known = program_find_state(t->program, v.name);
  return known ? known->id : program_add_state(t->program, v)->id;
}

/* The slots of the rule for parameter i: "<rule>.<suffix>.<parameter>". Ids in made; UINT32_MAX:
 * not given. */
static void make_slots(Train *t, const Node *rule, uint32_t i, const Type *in, Params *made)
{
  Program *p = t->program;
  const char *name = state_var(t, i)->name;
  *made = (Params){ .program = p, .in = in, .path = rule->op->name, .at = state_var(t, i)->at };
  uint32_t before = p->state.n;
  if (!rule->op->params)
    return;
  rule->op->params(made, rule);
  uint32_t n = p->state.n - before;
  StateVar *fresh = arena_copy(p->arena, p->state.at + before, n * sizeof *fresh);
  p->state.n = before;
  for (uint32_t k = 0; k < made->made.n; k++)
    if (made->made.at[k] != UINT32_MAX) {
      StateVar v = fresh[made->made.at[k] - before];
      v.name = arena_printf(p->arena, "%s.%s", v.name, name);
      v.role = STATE_SLOT;
      v.slot_of = i;
      made->made.at[k] = slot(t, v);
    }
}

/* A slot of parameter i, "<prefix>.<parameter>", that begins with zeros. */
static uint32_t slot_of(Train *t, uint32_t i, const char *prefix)
{
  const StateVar *v = state_var(t, i);
  return slot(t, (StateVar){ .name = arena_printf(t->program->arena, "%s.%s", prefix, v->name),
                             .type = v->type,
                             .role = STATE_SLOT,
                             .init = { INIT_ZEROS, 0, 0 },
                             .slot_of = i,
                             .at = v->at });
}

/* average := (1 - a) * average + a * w. Between steps the run exchanges the two, so that the
 * parameter holds the average and the slot, as its name says, the weights that training moves. */
static void average(Train *t, uint32_t i, Value w)
{
  GBuild b = g_in_graph(t->graph, state_var(t, i)->name, state_var(t, i)->at);
  uint32_t mean = slot_of(t, i, "unaveraged");
  Value share = g_arg(&b, ARG_AVERAGE), kept = g_affine(&b, share, -1, 1);
  write_state(t, mean, g_fma(&b, g_read(&b, mean), kept, g_mul(&b, w, share)));
}

static TrainGroup group_of(const Train *t, uint32_t i)
{
  const TrainSpec *s = t->spec;
  int g = s->group_of ? s->group_of[i] : -1;
  return g < 0 ? (TrainGroup){ s->rule_attrs, 1 } : s->group[g];
}

/* Expands the rule for parameter w with gradient g, both of one type. */
static void update(Train *t, uint32_t i, Value w, Value g)
{
  const OpDef *op = t->spec->rule;
  TrainGroup group = group_of(t, i);
  Arena *a = t->program->arena;
  uint32_t most = (uint32_t)op_operand_count(op) + 2, nin = 2;
  Node *rule = arena_alloc(a, sizeof *rule + most * sizeof rule->in[0]);
  *rule = (Node){ .nin = 2,
                  .nout = 1,
                  .op = op,
                  .attrs = group.attrs,
                  .name = state_var(t, i)->name,
                  .at = state_var(t, i)->at,
                  .type = value_type(w) };
  rule->in[0] = w;
  rule->in[1] = g;
  Params made;
  make_slots(t, rule, i, value_type(w), &made);
  GBuild b = g_in_graph(t->graph, rule->name, rule->at);
  for (uint32_t k = 0; k < made.made.n && nin < most; k++)
    rule->in[nin++] =
        made.made.at[k] == UINT32_MAX ? (Value){ NULL, 0 } : g_read(&b, made.made.at[k]);
  rule->nin = nin;
  Expand e = {
    .graph = t->graph, .mode = MODE_TRAIN, .ops = t->ops, .name = rule->name, .at = rule->at,
    .lr_scale = group.lr_scale
  };
  Value out = { NULL, 0 };
  if (op->cls != OP_RULE || !op->expand || !op->expand(&e, rule, &out))
    ice("'%s' is not an update rule", op->name);
  write_state(t, i, out);
  if (t->spec->averages)
    average(t, i, out);
}

/* Writes from `first` on happen in the last batch of an update only. */
static void write_in_updates(Train *t, uint32_t first)
{
  for (uint32_t i = first; i < t->graph->writes.n; i++) {
    Write *w = &t->graph->writes.at[i];
    const StateVar *v = state_var(t, w->state);
    GBuild b = g_in_graph(t->graph, v->name, v->at);
    w->value = g_if_eq(&b, g_arg(&b, ARG_UPDATE), g_const(&b, 1), w->value, g_read(&b, w->state));
  }
}

static void update_all(Train *t)
{
  uint32_t first = t->graph->writes.n;
  for (uint32_t i = 0; i < t->nstate; i++)
    if (t->gradient[i].node) {
      GBuild b = g_in_graph(t->graph, state_var(t, i)->name, state_var(t, i)->at);
      update(t, i, g_read(&b, i), t->gradient[i]);
    }
  if (t->spec->accumulates)
    write_in_updates(t, first);
}

/* Each gradient becomes the sum since the last update. */
static void accumulate(Train *t)
{
  for (uint32_t i = 0; i < t->nstate; i++) {
    if (!t->gradient[i].node)
      continue;
    GBuild b = g_in_graph(t->graph, state_var(t, i)->name, state_var(t, i)->at);
    uint32_t sum = slot_of(t, i, "accumulated");
    Value total = g_add(&b, g_read(&b, sum), t->gradient[i]), one = g_const(&b, 1);
    t->gradient[i] = total;
    write_state(t, sum, g_if_eq(&b, g_arg(&b, ARG_UPDATE), one, g_const(&b, 0), total));
  }
}

/* Gradients of the loss that the run prints. */
static void keep_gradients(Train *t)
{
  const TrainSpec *s = t->spec;
  GBuild b = g_in_graph(t->graph, "gradient_norm", (Span){ 0, 0 });
  for (int k = 0; k < s->nkeep; k++) {
    uint32_t i = program_find_state(t->program, s->keep[k])->id;
    const Type *type = &state_var(t, i)->type;
    Value g = t->gradient[i].node ? t->gradient[i] : g_spread(&b, g_const(&b, 0), type);
    write_state(t, slot_of(t, i, "gradient"), g);
  }
  Value sum = s->keep_norm ? sum_squares(t, &b) : (Value){ NULL, 0 };
  if (!sum.node)
    return;
  uint32_t first = 0;                   /* the slot's owner; statistics may come before it */
  while (!t->gradient[first].node)
    first++;
  StateVar norm = { .name = "gradient_norm",
                    .type = *value_type(sum),
                    .role = STATE_SLOT,
                    .init = { INIT_ZEROS, 0, 0 },
                    .slot_of = first };
  write_state(t, slot(t, norm), g_sqrt(&b, sum));
}

/* For gradcheck: every trainable parameter's gradient, before clipping; zero where the loss does
 * not need it. */
static void store_gradients(Train *t)
{
  for (uint32_t i = 0; i < t->nstate; i++) {
    StateVar v = *state_var(t, i);
    if (v.role != STATE_PARAM || !v.trainable)
      continue;
    GBuild b = g_in_graph(t->graph, v.name, v.at);
    Value g = t->gradient[i].node ? t->gradient[i] : g_spread(&b, g_const(&b, 0), &v.type);
    StateVar s = { .name = arena_printf(t->program->arena, "grad.%s", v.name),
                   .type = v.type,
                   .role = STATE_SLOT,
                   .init = { INIT_ZEROS, 0, 0 },
                   .slot_of = i,
                   .at = v.at };
    write_state(t, slot(t, s), g);
  }
}

/* ---- the whole step ---- */

static int by_state(const void *x, const void *y)
{
  const Write *a = x, *b = y;
  return a->state < b->state ? -1 : a->state > b->state;
}

static Value batch_loss(Train *t, Value each)
{
  GBuild b = g_in_graph(t->graph, each.node->name, each.node->at);
  if (value_type(each)->rank != 0)
    ice("the loss is %s, not one value per sample", type_text(t->graph->arena, value_type(each)));
  if (!value_type(each)->batched)
    return each;
  return t->spec->loss_sum ? g_batch_sum(&b, each) : g_batch_mean(&b, each);
}

/* What is differentiated: with a mean loss the batch's share of the mean over the whole group. */
static Value share_of_group(Train *t, Value loss)
{
  GBuild b = g_in_graph(t->graph, loss.node->name, loss.node->at);
  if (!t->spec->accumulates || t->spec->loss_sum)
    return loss;
  return g_mul(&b, loss, g_div(&b, g_arg(&b, ARG_N), g_arg(&b, ARG_GROUP)));
}

static bool any_gradient(const Train *t)
{
  for (uint32_t i = 0; i < t->nstate; i++)
    if (t->gradient[i].node)
      return true;
  return false;
}

Graph *train_graph(Program *p, const Graph *forward, const TrainSpec *spec, const OpTable *ops,
                   Diag *d)
{
  int errors = diag_errors(d);
  Value *v = ARENA_ARRAY(p->arena, Value, spec->nout + 1);
  v[0] = spec->loss;
  for (int i = 0; i < spec->nout; i++)
    v[i + 1] = spec->out[i];
  Graph *g = pass_specialize(p, forward, MODE_TRAIN, ops, "train", v, spec->nout + 1);
  Train t = { .program = p, .graph = g, .spec = spec, .ops = ops, .nstate = p->state.n };
  Value loss = batch_loss(&t, v[0]);
  t.gradient = autodiff(g, share_of_group(&t, loss), ops, d);
  if (diag_errors(d) > errors)
    return NULL;
  if (!any_gradient(&t))
    diag_warn(d, spec->loss.node->at, "W0404",
              "nothing is trained: the loss depends on no trainable parameter");
  if (spec->accumulates)
    accumulate(&t);
  keep_gradients(&t);
  if (spec->gradients_only) {
    store_gradients(&t);
  } else {
    clip(&t);
    update_all(&t);
  }
  vec_push(g->arena, &g->outputs, ((Output){ "loss", loss }));
  for (int i = 0; i < spec->nout; i++)
    vec_push(g->arena, &g->outputs, ((Output){ spec->out_name[i], v[i + 1] }));
  if (g->writes.n)
    qsort(g->writes.at, g->writes.n, sizeof *g->writes.at, by_state);
  return g;
}
