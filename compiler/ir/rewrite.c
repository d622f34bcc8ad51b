/* The one rewrite engine: a graph is rebuilt node by node, in order, while a rule replaces results.
 *
 * The rule sees each node already appended to the new graph. A node that the rule replaced, and
 * that no node appended by the rule uses, is taken out again, so that identifiers stay dense.
 * Linear. */
#include "ir/graph.h"
#include "ir/op.h"

typedef struct {
  Graph *from, *to;
  Value **map;                  /* by old node id: one value per result */
} Rewrite;

static Value mapped(const Rewrite *r, Value v)
{
  if (!v.node)
    return v;
  if (!r->map[v.node->id])
    ice("graph '%s': node %u is used but was dropped or not yet visited", r->from->name,
        v.node->id);
  return r->map[v.node->id][v.result];
}

static Node *copy(Rewrite *r, const Node *n)
{
  Graph *to = r->to;
  Node *m = arena_alloc(to->arena, sizeof *m + n->nin * sizeof m->in[0]);
  *m = *n;
  m->id = to->next_id++;
  for (uint32_t i = 0; i < n->nin; i++)
    m->in[i] = mapped(r, n->in[i]);
  vec_push(to->arena, &to->order, m);
  return m;
}

/* Takes node m at place `at` out of the new graph unless a later one uses it. */
static void drop(Graph *to, const Node *m, uint32_t at)
{
  for (uint32_t i = at + 1; i < to->order.n; i++)
    for (uint32_t k = 0; k < to->order.at[i]->nin; k++)
      if (to->order.at[i]->in[k].node == m)
        return;
  for (uint32_t i = 0; i < to->writes.n; i++)
    if (to->writes.at[i].value.node == m)
      return;
  for (uint32_t i = at + 1; i < to->order.n; i++) {
    to->order.at[i]->id--;
    to->order.at[i - 1] = to->order.at[i];
  }
  to->order.n--;
  to->next_id--;
}

/* Applies the rule to m; true: at least one result was replaced. */
static bool apply(Rewrite *r, Node *m, ReplaceFn rule, void *ctx, Value *out)
{
  uint32_t at = r->to->order.n - 1, kept = 0;
  bool used = false;
  rule(ctx, r->to, m, out);
  for (uint32_t i = 0; i < m->nout; i++) {
    used = used || out[i].node == m;
    if (out[i].node == m && out[i].result == i)
      kept++;
    else if (!type_equal(value_type(out[i]), &m->type[i]))
      ice("a rule replaced %s by a value of another type: %s", m->op->name, out[i].node->op->name);
  }
  if (!used)
    drop(r->to, m, at);
  return kept < m->nout;
}

/* Takes over order, outputs and writes. The rule's own writes come last. */
static void finish(Rewrite *r)
{
  Graph *g = r->from, *to = r->to;
  for (uint32_t i = 0; i < g->outputs.n; i++)
    g->outputs.at[i].value = mapped(r, g->outputs.at[i].value);
  for (uint32_t i = 0; i < g->writes.n; i++)
    g->writes.at[i].value = mapped(r, g->writes.at[i].value);
  for (uint32_t i = 0; i < to->writes.n; i++)
    vec_push(g->arena, &g->writes, to->writes.at[i]);
  g->order.at = to->order.at;
  g->order.n = to->order.n;
  g->order.cap = to->order.cap;
  g->next_id = to->next_id;
}

static bool rebuild(Graph *g, const bool *live, ReplaceFn rule, void *ctx)
{
  Rewrite r = { .from = g, .to = graph_new(g->program, g->name) };
  bool changed = false;
  r.map = ARENA_ARRAY(g->arena, Value *, g->next_id + 1);
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *n = g->order.at[i];
    if (live && !live[n->id]) {
      changed = true;
      continue;
    }
    Value *out = ARENA_ARRAY(g->arena, Value, n->nout + 1);
    Node *m = copy(&r, n);
    for (uint32_t k = 0; k < n->nout; k++)
      out[k] = (Value){ m, k };
    r.map[n->id] = out;
    if (rule && apply(&r, m, rule, ctx, out))
      changed = true;
  }
  finish(&r);
  return changed;
}

bool graph_replace(Graph *g, ReplaceFn rule, void *ctx) { return rebuild(g, NULL, rule, ctx); }
bool graph_keep(Graph *g, const bool *live) { return rebuild(g, live, NULL, NULL); }

typedef struct {
  RewriteFn rule;
  void *ctx;
} NodeRule;

static void replace_node(void *ctx, Graph *to, Node *n, Value *out)
{
  NodeRule *r = ctx;
  Node *m = r->rule(r->ctx, to, n);
  if (m != n && m->nout != n->nout)
    ice("a rule replaced %s by %s with another number of results", n->op->name, m->op->name);
  for (uint32_t i = 0; i < n->nout; i++)
    out[i] = (Value){ m, i };
}

bool graph_rewrite(Graph *g, RewriteFn rule, void *ctx)
{
  return rebuild(g, NULL, replace_node, &(NodeRule){ rule, ctx });
}
