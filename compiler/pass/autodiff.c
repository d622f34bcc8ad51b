/* Reverse-mode differentiation: from the loss back to the trainable parameters.
 *
 *   %0 = read(state=0)   %2 = mul(%1, %0)   %3 = batch_mean(%2)
 * gains, for parameter 0,
 *   %5 = div(1, n)   %6 = spread(%5)   %8 = batch_sum(mul(%6, %1))
 *
 * Before: a forward graph whose modal macros are expanded. After: the same nodes, then the
 * gradient's. Nodes are visited in reverse order, and several gradients of one value are added in
 * the order in which they arrive, so the result depends on the graph alone. Nothing is made for
 * values below which no trainable parameter lies: freezing a layer removes its backward work.
 * Linear. */
#include "pass/autodiff.h"
#include "ops/build.h"

typedef struct {
  Grad grad;
  uint32_t nodes;               /* of the forward graph */
  Diag *diag;
} Backward;

/* Which nodes have a trainable parameter below them; ids are places in the order. */
static bool *find_wanted(const Graph *g, Arena *a)
{
  bool *wanted = ARENA_ARRAY(a, bool, g->next_id + 1);
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *n = g->order.at[i];
    uint32_t state;
    wanted[n->id] =
        value_state((Value){ g->order.at[i], 0 }, &state) && g->program->state.at[state].trainable;
    for (uint32_t k = 0; k < n->nin; k++)
      wanted[n->id] = wanted[n->id] || (n->in[k].node && wanted[n->in[k].node->id]);
  }
  return wanted;
}

static void start(Backward *b, Graph *g, const OpTable *ops)
{
  uint32_t slots = 0, *first = ARENA_ARRAY(g->arena, uint32_t, g->next_id + 1);
  for (uint32_t i = 0; i < g->order.n; i++) {
    first[g->order.at[i]->id] = slots;
    slots += g->order.at[i]->nout;
  }
  b->nodes = g->order.n;
  b->grad = (Grad){ .graph = g,
                    .wanted = find_wanted(g, g->arena),
                    .first_slot = first,
                    .adjoint = ARENA_ARRAY(g->arena, Value, slots + 1),
                    .ops = ops,
                    .add = &op_add };
}

/* Runs the hook of n when a gradient arrived at one of its results. */
static bool differentiate(Backward *b, const Node *n)
{
  Grad *g = &b->grad;
  const Value *dy = &g->adjoint[g->first_slot[n->id]];
  bool arrived = false;
  for (uint32_t i = 0; i < n->nout; i++)
    arrived = arrived || dy[i].node;
  if (!arrived || !g->wanted[n->id] || n->op->cls == OP_SOURCE)
    return true;
  if (!n->op->grad) {
    diag_error(b->diag, n->at, "E0404",
               "`%s` has no gradient, but trainable parameters lie before it", n->op->name);
    if (n->op->surrogate)
      diag_help(b->diag, "train with `%s` in its place, which is smooth", n->op->surrogate);
    return false;
  }
  g->name = n->name;
  g->at = n->at;
  n->op->grad(g, n, dy);
  return true;
}

Value *autodiff(Graph *g, Value loss, const OpTable *ops, Diag *d)
{
  Backward b = { .diag = d };
  Value *of = ARENA_ARRAY(g->arena, Value, g->program->state.n + 1);
  start(&b, g, ops);
  if (value_type(loss)->batched || value_type(loss)->rank != 0)
    ice("autodiff of a %s", type_text(g->arena, value_type(loss)));
  if (!b.grad.wanted[loss.node->id])
    return of;
  GBuild build = g_in_graph(g, loss.node->name, loss.node->at);
  b.grad.adjoint[b.grad.first_slot[loss.node->id] + loss.result] = g_const(&build, 1);
  for (uint32_t i = b.nodes; i-- > 0;)
    if (!differentiate(&b, g->order.at[i]))
      return of;
  for (uint32_t i = 0; i < b.nodes; i++) {
    Node *n = g->order.at[i];
    uint32_t state;
    Value dy = b.grad.adjoint[b.grad.first_slot[n->id]];
    if (!dy.node || !b.grad.wanted[n->id] || !value_state((Value){ n, 0 }, &state))
      continue;
    build = g_in_graph(g, n->name, n->at);
    of[state] = of[state].node ? g_add(&build, of[state], dy) : dy;
  }
  return of;
}
