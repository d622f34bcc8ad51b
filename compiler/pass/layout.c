/* Layouts: one family for the whole net, chosen by cost, and explicit relayout nodes where a kernel needs
 * an operand differently.
 *
 *   %5 = dense_dw(%dy, %x)        with %x : [n/16][784][n%16]
 * becomes
 *   %4 = relayout(%x)             : [n][784/16][784%16]
 *   %5 = dense_dw(%dy, %4)
 *
 * Before: the graph is final. After: every operand of a kernel has the layout its plan asked for, state
 * variables have the layout their first kernel asked for and keep it for the whole training. Linear. */
#include "ops/ops.h"
#include "pass/kernels.h"
#include <string.h>

typedef struct {
  Program *program;
  const KernelOptions *o;
  Arena *arena;
  int block;
  Family family;
  Layout *state;                /* by state id; n == -1: not decided */
} Choice;

typedef struct {
  Choice *ch;
  const Graph *from;
  Graph *to;
  Value **map;                  /* by old node id: one per result */
  VEC(Layout *) layout;         /* by new node id */
  VEC(Plan *) plan;
  VEC(Node *) relayout;         /* by new node id: the newest relayout of a result of it, or NULL */
  VEC(Node *) older;            /* by new node id of a relayout: the one before it, or NULL */
  bool feasible;
  const Node *refused;          /* the first node that no template of the family computes */
  double cost;
} Rebuild;

static int64_t attr_int_of(const Node *n, const char *name)
{
  for (const AttrDef *a = n->op->attrs; n->op->cls == OP_SOURCE && a && a->name; a++)
    if (a->kind == ATTR_int && !strcmp(a->name, name))
      return *(const int64_t *)((const char *)n->attrs + a->offset);
  return -1;
}

static int64_t state_of(const Node *n) { return attr_int_of(n, "state"); }

/* Sources and what only reshapes or casts them: values without a layout of their own. */
static bool is_source_like(const Node *n)
{
  return n->op->cls == OP_SOURCE || (n->op->cls == OP_VIEW && is_source_like(n->in[0].node) && state_of(n->in[0].node) < 0);
}

static const Layout *layout_of(Rebuild *r, Value v)
{
  int64_t s = state_of(v.node);
  return s >= 0 ? &r->ch->state[s] : &r->layout.at[v.node->id][v.result];
}

static Node *append(Rebuild *r, const Node *like, const OpDef *op, const void *attrs, const Value *in, uint32_t nin,
                    const Type *types, uint32_t nout)
{
  Node *n = graph_append(r->to, op, attrs, in, nin, types, nout, like->name, like->at);
  while (r->layout.n <= n->id) {
    vec_push(r->ch->arena, &r->layout, NULL);
    vec_push(r->ch->arena, &r->plan, NULL);
    vec_push(r->ch->arena, &r->relayout, NULL);
    vec_push(r->ch->arena, &r->older, NULL);
  }
  r->layout.at[n->id] = ARENA_ARRAY(r->ch->arena, Layout, nout + 1);
  return n;
}

/* A relayout node that stores v under layout want. */
static Value stored(Rebuild *r, Value v, const Layout *want)
{
  Node *newest = r->relayout.at[v.node->id];
  for (Node *m = newest; m; m = r->older.at[m->id])
    if (value_equal(m->in[0], v) && layout_equal(&r->layout.at[m->id][0], want))
      return (Value){ m, 0 };
  Node *n = append(r, v.node, &op_relayout, NULL, &v, 1, value_type(v), 1);
  r->layout.at[n->id][0] = *want;
  r->older.at[n->id] = newest;
  r->relayout.at[v.node->id] = n;
  return (Value){ n, 0 };
}

/* The value v under layout want, through a relayout node unless it has it already. */
static Value in_layout(Rebuild *r, Value v, const Layout *want)
{
  bool bare = is_source_like(v.node) && state_of(v.node) < 0;
  return !bare && layout_equal(layout_of(r, v), want) ? v : stored(r, v, want);
}

/* The state variable that v shows, as it is or as a view; -1: it is none. */
static int64_t state_behind(Value v)
{
  while (v.node->op->cls == OP_VIEW)
    v = v.node->in[0];
  return state_of(v.node);
}

static void settle_state(Rebuild *r, Value v, const Layout *want)
{
  int64_t s = state_of(v.node);
  if (s >= 0 && r->ch->state[s].n < 0)
    r->ch->state[s] = want ? *want : layout_row_major(value_type(v));
}

/* A slot is stored like its parameter, so that updates run over both in step. */
static void settle_slots(Rebuild *r, const Node *n)
{
  int64_t s = state_of(n);
  if (s < 0 || r->ch->state[s].n >= 0)
    return;
  const StateVar *v = &r->ch->program->state.at[s];
  if (v->role != STATE_SLOT)
    return;
  const StateVar *p = &r->ch->program->state.at[v->slot_of];
  if (type_same_shape(&p->type, &v->type) && r->ch->state[p->id].n >= 0)
    r->ch->state[s] = r->ch->state[p->id];
}

static Node *rebuild_nest(Rebuild *r, const Node *n, Value *in)
{
  Choice *ch = r->ch;
  Layout current[8];
  for (uint32_t i = 0; i < n->nin; i++) {
    current[i] = (Layout){ 0 };
    if (!in[i].node)
      continue;
    int64_t s = state_of(in[i].node);
    if (s >= 0 ? ch->state[s].n >= 0 : !is_source_like(in[i].node))
      current[i] = *layout_of(r, in[i]);
    else
      current[i] = family_layout(ch->family, value_type(in[i]), ch->block, ch->program->batch);
  }
  Plans ps = { .arena = ch->arena, .program = ch->program, .block = ch->block, .family = ch->family, .in_layout = current,
               .transforms = ch->o->transforms };
  if (n->op->plans)
    n->op->plans(&ps, n);
  if (!ps.found) {
    r->feasible = false;
    r->refused = r->refused ? r->refused : n;
    ps.plan = (Plan){ .family = ch->family };
  }
  r->cost += ps.plan.cost;
  for (uint32_t i = 0; i < n->nin; i++) {
    if (!in[i].node)
      continue;
    const Layout *want = ps.plan.in[i].n ? &ps.plan.in[i] : &current[i];
    settle_state(r, in[i], ps.plan.in[i].n ? want : NULL);
    if (ps.plan.in[i].n || (is_source_like(in[i].node) && state_of(in[i].node) < 0))
      in[i] = in_layout(r, in[i], want);
  }
  Node *m = append(r, n, n->op, n->attrs, in, n->nin, n->type, n->nout);
  r->plan.at[m->id] = arena_copy(ch->arena, &ps.plan, sizeof ps.plan);
  for (uint32_t k = 0; k < n->nout; k++)
    r->layout.at[m->id][k] = ps.plan.out[k].n ? ps.plan.out[k]
                             : family_layout(ch->family, &n->type[k], ch->block, ch->program->batch);
  return m;
}

/* Rows cannot be read a vector at a time: beside values that lie in the net's layout they are stored first. */
static void store_rows(Rebuild *r, const Node *n, Value *in)
{
  bool beside = false;
  const Layout *same = NULL;    /* of an operand that has the result's shape */
  for (uint32_t i = 0; i < n->nin; i++) {
    if (!in[i].node || !value_type(in[i])->batched || is_source_like(in[i].node))
      continue;
    beside = true;
    if (!same && type_same_shape(value_type(in[i]), &n->type[0]))
      same = layout_of(r, in[i]);
  }
  for (uint32_t i = 0; i < n->nin && beside; i++)
    if (in[i].node && value_type(in[i])->batched && is_source_like(in[i].node)) {
      bool alike = same && type_same_shape(value_type(in[i]), &n->type[0]);
      Layout want = alike ? *same : family_layout(r->ch->family, value_type(in[i]), r->ch->block, r->ch->program->batch);
      in[i] = in_layout(r, in[i], &want);
    }
}

static Node *rebuild_ewise(Rebuild *r, const Node *n, Value *in)
{
  store_rows(r, n, in);
  for (uint32_t i = 0; i < n->nin; i++)
    if (in[i].node) {
      settle_slots(r, in[i].node);
      settle_state(r, in[i], NULL);
    }
  Node *m = append(r, n, n->op, n->attrs, in, n->nin, n->type, n->nout);
  Layout *out = &r->layout.at[m->id][0];
  for (uint32_t i = 0; i < n->nin && !out->n; i++)
    if (in[i].node && type_same_shape(value_type(in[i]), &n->type[0]) &&
        (state_of(in[i].node) >= 0 || !is_source_like(in[i].node)))
      *out = *layout_of(r, in[i]);
  if (!out->n)
    *out = family_layout(r->ch->family, &n->type[0], r->ch->block, r->ch->program->batch);
  return m;
}

/* Elements in canonical order: every view of it can be told by a layout. */
static Layout plain_layout(const Choice *ch, const Type *t)
{
  if (ch->family == FAMILY_LANES)
    return family_layout(FAMILY_LANES, t, ch->block, ch->program->batch);
  Layout l = layout_row_major(t);
  if (t->batched)
    l.digit[0].extent = ch->program->batch;
  return l;
}

static Node *rebuild_view(Rebuild *r, const Node *n, Value *in)
{
  Layout out = { 0 };
  if (!is_source_like(in[0].node)) {
    const Layout *from = layout_of(r, in[0]);
    if (!view_layout(from, value_type(in[0]), &n->type[0], &out)) {
      Layout plain = plain_layout(r->ch, value_type(in[0]));
      in[0] = in_layout(r, in[0], &plain);
      if (!view_layout(&plain, value_type(in[0]), &n->type[0], &out))
        ice("no layout for the view '%s'", n->op->name);
    }
  } else
    settle_state(r, in[0], NULL);
  if (state_of(in[0].node) >= 0 && !view_layout(layout_of(r, in[0]), value_type(in[0]), &n->type[0], &out)) {
    Layout plain = layout_row_major(value_type(in[0]));
    in[0] = in_layout(r, in[0], &plain);
    view_layout(&plain, value_type(in[0]), &n->type[0], &out);
  }
  Node *m = append(r, n, n->op, n->attrs, in, n->nin, n->type, n->nout);
  r->layout.at[m->id][0] = out;
  return m;
}

static void rebuild(Rebuild *r)
{
  Arena *a = r->ch->arena;
  r->to = graph_new(r->ch->program, r->from->name);
  r->map = ARENA_ARRAY(a, Value *, r->from->next_id);
  r->feasible = true;
  for (uint32_t i = 0; i < r->from->order.n; i++) {
    const Node *n = r->from->order.at[i];
    Value in[8] = { { NULL, 0 } };
    if (n->nin > 8)
      ice("operation '%s' has more than 8 operands", n->op->name);
    for (uint32_t k = 0; k < n->nin; k++)
      if (n->in[k].node)
        in[k] = r->map[n->in[k].node->id][n->in[k].result];
    Node *m;
    if (n->op->cls == OP_NEST)
      m = rebuild_nest(r, n, in);
    else if (n->op->cls == OP_EWISE)
      m = rebuild_ewise(r, n, in);
    else if (n->op->cls == OP_VIEW)
      m = rebuild_view(r, n, in);
    else
      m = append(r, n, n->op, n->attrs, in, n->nin, n->type, n->nout);
    r->map[n->id] = ARENA_ARRAY(a, Value, n->nout);
    for (uint32_t k = 0; k < n->nout; k++)
      r->map[n->id][k] = (Value){ m, k };
  }
  for (uint32_t i = 0; i < r->from->outputs.n; i++) {
    Output o = r->from->outputs.at[i];
    o.value = r->map[o.value.node->id][o.value.result];
    if (is_source_like(o.value.node) && state_of(o.value.node) < 0) {
      Layout want = family_layout(r->ch->family, value_type(o.value), r->ch->block, r->ch->program->batch);
      o.value = in_layout(r, o.value, &want);
    }
    settle_state(r, o.value, NULL);
    vec_push(r->to->arena, &r->to->outputs, o);
  }
  for (uint32_t i = 0; i < r->from->writes.n; i++) {
    Write w = r->from->writes.at[i];
    w.value = r->map[w.value.node->id][w.value.result];
    Layout *s = &r->ch->state[w.state];
    if (s->n < 0)
      *s = state_of(w.value.node) >= 0 || is_source_like(w.value.node) ? layout_row_major(value_type(w.value))
                                                                      : *layout_of(r, w.value);
    int64_t from = state_behind(w.value);       /* its old value, which must not have changed by then */
    w.value = from >= 0 && from != (int64_t)w.state ? stored(r, w.value, s) : in_layout(r, w.value, s);
    vec_push(r->to->arena, &r->to->writes, w);
  }
}

static Choice start(Program *p, const KernelOptions *o, Arena *a, Family f)
{
  Choice ch = { .program = p, .o = o, .arena = a, .block = 64 / dtype_bytes(p->real), .family = f };
  ch.state = ARENA_ARRAY(a, Layout, p->state.n + 1);
  for (uint32_t i = 0; i < p->state.n; i++)
    ch.state[i].n = -1;
  return ch;
}

const char *family_name(Family f)
{
  static const char *const names[FAMILY_COUNT] = {
    [FAMILY_LANES] = "lanes", [FAMILY_CHANNELS] = "channels"
  };
  return names[f];
}

/* On failure *refused is the node that stands in the way. */
static bool choose_family(Program *p, const Graph *g, const KernelOptions *o, Arena *a, Family *out, const Node **refused)
{
  double best = 0;
  bool found = false;
  for (int f = 0; f < FAMILY_COUNT; f++) {
    if (o->family && strcmp(o->family, family_name((Family)f)))
      continue;
    Choice ch = start(p, o, a, (Family)f);
    Rebuild r = { .ch = &ch, .from = g };
    rebuild(&r);
    if (!r.feasible)
      *refused = r.refused;
    if (r.feasible && (!found || r.cost < best)) {
      best = r.cost;
      *out = (Family)f;
      found = true;
    }
  }
  return found;
}

bool decide_kernels(Program *p, const KernelOptions *o, Arena *a, Diag *d, Decisions *out[HOST_COUNT])
{
  Graph **graph[HOST_COUNT] = { [HOST_TRAIN] = &p->train, [HOST_EVAL] = &p->eval, [HOST_INFER] = &p->infer };
  const Graph *lead = p->train ? p->train : p->eval ? p->eval : p->infer;
  Family f = FAMILY_LANES;
  const Node *refused = NULL;
  if (!lead || !choose_family(p, lead, o, a, &f, &refused)) {
    diag_error(d, refused ? refused->at : (Span){ 0, 0 }, "E0604", "no kernel computes this `%s`%s%s",
               refused ? refused->op->name : p->name, o->family ? " in layout family " : "", o->family ? o->family : "");
    return false;
  }
  Choice ch = start(p, o, a, f);
  for (int h = 0; h < HOST_COUNT; h++) {
    out[h] = NULL;
    if (!*graph[h])
      continue;
    Rebuild r = { .ch = &ch, .from = *graph[h] };
    rebuild(&r);
    *graph[h] = r.to;
    out[h] = ARENA_NEW(a, Decisions);
    *out[h] = (Decisions){ .family = f, .plan = r.plan.at, .layout = r.layout.at, .state = ch.state };
    fuse_nodes(r.to, out[h], o->fuse, a);
  }
  for (uint32_t i = 0; i < p->state.n; i++)
    if (ch.state[i].n < 0)
      ch.state[i] = layout_row_major(&p->state.at[i].type);
  return true;
}
