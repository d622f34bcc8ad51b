/* Recomputation: values of the forward pass that the backward pass makes again instead of keeping.
 *
 *   %3 = conv(%1, %w)   %4 = relu(%3)   ..   %9 = conv_dw(%8, %4)
 * becomes, with %3 kept and %4 given up,
 *   %3 = conv(%1, %w)   ..   %9 = recall(%3)   %10 = relu(%9)   %11 = conv_dw(%8, %10)
 *
 * Kept are sources, values without a batch (statistics, scalars) and what the caller says. `recall`
 * keeps the second computation out of the kernel that made its operand, in the forward pass or for
 * an earlier reader. A node is computed again once, for all its readers, right before the first of
 * them, so that it lives no longer than they need it; with RECOMPUTE_CHEAP_OFTEN y = relu(x) and
 * its like for each reader, so that of a long part of the net only the x live. Views cost nothing.
 *
 * Before: a training graph after the graph passes, whose ids are places in the order. After: the
 * same outputs and writes. Linear for every backward node that needs something anew. */
#include "pass/recompute.h"
#include "ops/ops.h"

#include <stdlib.h>

enum { SMALL_SHARE = 100 };     /* a value below a hundredth of the largest is no choice */

/* ---- properties ---- */

/* Rows of the data set and what only reshapes them: nothing has to be stored for them. */
static bool is_source_like(const Node *n)
{
  while (n->op->cls == OP_VIEW)
    n = n->in[0].node;
  return n->op->cls == OP_SOURCE;
}

static const Node *behind_views(const Node *n)
{
  while (n->op->cls == OP_VIEW)
    n = n->in[0].node;
  return n;
}

/* Has it bytes for each sample that may be given up? */
static bool is_batched(const Node *n) { return n->type[0].batched && !is_source_like(n); }

static bool is_remade(const Saved *s, const bool *keep, const Node *n)
{
  return n->id < s->nforward && is_batched(n) && (n->op->cls == OP_VIEW || !keep[n->id]);
}

static double flops_of(const Graph *g, const Node *n)
{
  double one = n->op->flops ? n->op->flops(n) : (double)type_elems(&n->type[0]);
  return one * (double)g->program->batch;
}

/* ---- what is saved ---- */

/* One more than the place of the last node that an output needs. */
static uint32_t count_forward(const Graph *g)
{
  uint32_t n = 0;
  for (uint32_t i = 0; i < g->outputs.n; i++)
    n = g->outputs.at[i].value.node->id >= n ? g->outputs.at[i].value.node->id + 1 : n;
  return n;
}

static void find_saved(Saved *s)
{
  const Graph *g = s->graph;
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *n = g->order.at[i];
    for (uint32_t r = 0; r < n->nout; r++)
      s->bytes[i] += type_elems(&n->type[r]) * dtype_bytes(n->type[r].dtype) * g->program->batch;
    for (uint32_t k = 0; i >= s->nforward && k < n->nin; k++) {
      const Node *o = n->in[k].node ? behind_views(n->in[k].node) : NULL;
      if (o && o->id < s->nforward && is_batched(o))
        s->saved[o->id] = true;
    }
  }
}

/* By id: the last forward node that reads it; its own id when none does. Views count as what they
 * show. */
static uint32_t *last_readers(const Saved *s)
{
  const Graph *g = s->graph;
  uint32_t *last = ARENA_ARRAY(s->arena, uint32_t, s->nforward + 1);
  for (uint32_t i = 0; i < s->nforward; i++) {
    const Node *n = g->order.at[i];
    last[i] = i;
    for (uint32_t k = 0; n->type[0].batched && k < n->nin; k++)
      if (n->in[k].node)
        last[behind_views(n->in[k].node)->id] = i;
  }
  return last;
}

/* A cut: at some place of the forward pass a value is the only one that later nodes read. The sum
 * of the ids of one value that is left is its id. */
static void find_cuts(Saved *s)
{
  const uint32_t *last = last_readers(s);
  uint64_t sum = 0;
  uint32_t count = 0, *ends = ARENA_ARRAY(s->arena, uint32_t, s->nforward + 1);
  uint64_t *ending = ARENA_ARRAY(s->arena, uint64_t, s->nforward + 1);
  for (uint32_t i = 0; i < s->nforward; i++) {
    const Node *n = s->graph->order.at[i];
    count -= ends[i];
    sum -= ending[i];
    if (is_batched(n) && n->op->cls != OP_VIEW && last[i] > i) {
      count++;
      sum += i;
      ends[last[i]]++;
      ending[last[i]] += i;
    }
    if (count == 1)
      s->cut[sum] = s->saved[sum];
  }
}

/* ---- choices ---- */

typedef struct { uint32_t id; double worth; } Choice;

static int by_worth(const void *x, const void *y)
{
  const Choice *a = x, *b = y;
  if (a->worth != b->worth)
    return a->worth < b->worth ? 1 : -1;
  return a->id < b->id ? -1 : 1;
}

/* FLOPs of node id and of what it needs that is not saved either. */
static double cost_of(const Saved *s, uint32_t id, bool *want)
{
  double flops = 0;
  want[id] = true;
  for (uint32_t i = id + 1; i-- > 0;) {
    const Node *n = s->graph->order.at[i];
    if (!want[i])
      continue;
    want[i] = false;
    flops += flops_of(s->graph, n);
    for (uint32_t k = 0; k < n->nin; k++)
      if (n->in[k].node && is_remade(s, s->saved, n->in[k].node))
        want[n->in[k].node->id] = true;
  }
  return flops;
}

static bool is_output(const Graph *g, const Node *n)
{
  for (uint32_t i = 0; i < g->outputs.n; i++)
    if (behind_views(g->outputs.at[i].value.node) == n)
      return true;
  return false;
}

static void rank_choices(Saved *s)
{
  int64_t largest = 0;
  bool *want = ARENA_ARRAY(s->arena, bool, s->nforward + 1);
  Choice *all = ARENA_ARRAY(s->arena, Choice, s->nforward + 1);
  for (uint32_t i = 0; i < s->nforward; i++)
    largest = s->saved[i] ? max_i64(largest, s->bytes[i]) : largest;
  for (uint32_t i = 0; i < s->nforward; i++)
    if (s->saved[i] && s->bytes[i] > largest / SMALL_SHARE &&
        !is_output(s->graph, s->graph->order.at[i]))
      all[s->nchoice++] = (Choice){ i, (double)s->bytes[i] / (1 + cost_of(s, i, want)) };
  if (s->nchoice)
    qsort(all, s->nchoice, sizeof *all, by_worth);
  s->choice = ARENA_ARRAY(s->arena, uint32_t, s->nchoice + 1);
  for (uint32_t i = 0; i < s->nchoice; i++)
    s->choice[i] = all[i].id;
}

Saved *recompute_find(const Graph *g, Arena *a)
{
  Saved *s = ARENA_NEW(a, Saved);
  *s = (Saved){ .graph = g, .arena = a, .nforward = count_forward(g) };
  s->saved = ARENA_ARRAY(a, bool, s->nforward + 1);
  s->cut = ARENA_ARRAY(a, bool, s->nforward + 1);
  s->bytes = ARENA_ARRAY(a, int64_t, g->order.n + 1);
  find_saved(s);
  find_cuts(s);
  rank_choices(s);
  return s;
}

void recompute_keep_but(const Saved *s, uint32_t n, bool *keep)
{
  for (uint32_t i = 0; i < s->nforward; i++)
    keep[i] = s->saved[i];
  for (uint32_t i = 0; i < n; i++)
    keep[s->choice[i]] = false;
}

int64_t recompute_keep_cuts(const Saved *s, int64_t parts, bool *keep)
{
  bool *is_choice = ARENA_ARRAY(s->arena, bool, s->nforward + 1);
  int64_t all = 0, part = 0, made = 1;
  uint32_t rest = 0;
  recompute_keep_but(s, s->nchoice, keep);
  for (uint32_t i = 0; i < s->nchoice; i++) {
    is_choice[s->choice[i]] = true;
    all += s->bytes[s->choice[i]];
  }
  for (uint32_t i = 0; i < s->nforward; i++) {
    part += is_choice[i] ? s->bytes[i] : 0;
    if (!is_choice[i] || !s->cut[i] || part < all / parts)
      continue;
    keep[i] = true;
    part = 0;
    made++;
    rest = i;
  }
  for (uint32_t i = rest; i < s->nforward; i++)
    keep[i] = s->saved[i];
  return made;
}

/* ---- the graph ---- */

typedef struct {
  const Saved *s;
  const bool *keep;
  RecomputeHow how;
  Graph *to;
  Node **map;                   /* by id: the node in `to` */
  Node **again;                 /* by id: the same computed a second time */
  uint32_t *born;               /* by id: for which reader that was */
  uint32_t reader;              /* id of the backward node at hand */
  uint32_t *passing;            /* ids of nodes that were computed again for one reader only */
  uint32_t npassing;
  Value *recalled;              /* by id: of result 0 .. nout - 1, as first_recall says */
  uint32_t *first_recall;
  bool *want;                   /* by id: to be computed again for the node at hand */
  Recomputed what;
} Remake;

static Remake *remake_open(const Saved *s, const bool *keep, RecomputeHow how, Program *p)
{
  Arena *a = p->arena;
  Remake *r = ARENA_NEW(a, Remake);
  uint32_t results = 0, n = s->graph->order.n;
  *r = (Remake){ .s = s, .keep = keep, .how = how, .to = graph_new(p, s->graph->name) };
  r->map = ARENA_ARRAY(a, Node *, n + 1);
  r->again = ARENA_ARRAY(a, Node *, n + 1);
  r->born = ARENA_ARRAY(a, uint32_t, n + 1);
  r->want = ARENA_ARRAY(a, bool, n + 1);
  r->passing = ARENA_ARRAY(a, uint32_t, n + 1);
  r->first_recall = ARENA_ARRAY(a, uint32_t, n + 1);
  for (uint32_t i = 0; i < n; i++) {
    r->first_recall[i] = results;
    results += s->graph->order.at[i]->nout;
  }
  r->recalled = ARENA_ARRAY(a, Value, results + 1);
  return r;
}

static Node *append_like(Remake *r, const Node *n, const Value *in)
{
  return graph_append(r->to, n->op, n->attrs, in, n->nin, n->type, n->nout, n->name, n->at);
}

/* What a node that is computed again reads in place of v. */
static Value late_operand(Remake *r, Value v)
{
  if (!v.node)
    return v;
  bool remade = is_remade(r->s, r->keep, v.node);
  Value first = { remade ? r->again[v.node->id] : r->map[v.node->id], v.result };
  if (!is_batched(v.node) || (remade && r->born[v.node->id] == r->reader))
    return first;
  Value *late = &r->recalled[r->first_recall[v.node->id] + v.result];
  if (!late->node)
    late->node = graph_append(r->to, &op_recall, NULL, &first, 1, value_type(first), 1,
                              v.node->name, v.node->at);
  return *late;
}

static bool want_operands(Remake *r, const Node *n)
{
  bool any = false;
  for (uint32_t k = 0; k < n->nin; k++) {
    const Node *o = n->in[k].node;
    if (!o || !is_remade(r->s, r->keep, o) || r->again[o->id])
      continue;
    r->want[o->id] = any = true;
  }
  return any;
}

/* A view, or elementwise, of one value with a batch: with two, sums along a chain of them would be
 * made again and again from the chain's start. */
static bool is_cheap(const Node *n)
{
  int batched = 0;
  for (uint32_t k = 0; k < n->nin; k++)
    batched += n->in[k].node && n->in[k].node->type[0].batched;
  return n->op->cls == OP_VIEW || (n->op->cls == OP_EWISE && batched <= 1);
}

static void forget_passing(Remake *r)
{
  while (r->npassing)
    r->again[r->passing[--r->npassing]] = NULL;
}

/* Computes again, in the order of the graph, what backward node n reads and is not kept. */
static void remake_for(Remake *r, const Node *n)
{
  if (!want_operands(r, n))
    return;
  r->reader = n->id;
  for (uint32_t i = r->s->nforward; i-- > 0;)
    if (r->want[i])
      want_operands(r, r->s->graph->order.at[i]);
  for (uint32_t i = 0; i < r->s->nforward; i++) {
    const Node *m = r->s->graph->order.at[i];
    if (!r->want[i])
      continue;
    Value *in = ARENA_ARRAY(r->to->arena, Value, m->nin + 1);
    for (uint32_t k = 0; k < m->nin; k++)
      in[k] = late_operand(r, m->in[k]);
    r->want[i] = false;
    r->again[i] = append_like(r, m, in);
    r->born[i] = n->id;
    if (r->how == RECOMPUTE_CHEAP_OFTEN && is_cheap(m))
      r->passing[r->npassing++] = i;
    if (m->op->cls == OP_VIEW)
      continue;
    vec_push(r->to->arena, &r->what.nodes, r->again[i]);
    r->what.flops += flops_of(r->s->graph, m);
  }
}

static Value now(const Remake *r, Value v)
{
  return v.node ? (Value){ r->map[v.node->id], v.result } : v;
}

static void copy_node(Remake *r, const Node *n)
{
  Value *in = ARENA_ARRAY(r->to->arena, Value, n->nin + 1);
  bool backward = n->id >= r->s->nforward;
  if (backward)
    remake_for(r, n);
  for (uint32_t k = 0; k < n->nin; k++) {
    Node *again = n->in[k].node ? r->again[n->in[k].node->id] : NULL;
    in[k] = backward && again ? (Value){ again, n->in[k].result } : now(r, n->in[k]);
  }
  r->map[n->id] = append_like(r, n, in);
  forget_passing(r);
}

Graph *recompute_graph(const Saved *s, const bool *keep, RecomputeHow how, Program *p,
                       Recomputed *what)
{
  const Graph *g = s->graph;
  Remake *r = remake_open(s, keep, how, p);
  for (uint32_t i = 0; i < g->order.n; i++)
    copy_node(r, g->order.at[i]);
  for (uint32_t i = 0; i < g->outputs.n; i++) {
    Output o = { g->outputs.at[i].name, now(r, g->outputs.at[i].value) };
    vec_push(r->to->arena, &r->to->outputs, o);
  }
  for (uint32_t i = 0; i < g->writes.n; i++) {
    Write w = { g->writes.at[i].state, now(r, g->writes.at[i].value) };
    vec_push(r->to->arena, &r->to->writes, w);
  }
  if (what)
    *what = r->what;
  return r->to;
}
