/* Picking before clamping: what picks the largest of each window runs before what keeps order.
 *
 *   %1 = relu(%0)   %2 = maxpool(%1)
 * becomes
 *   %1 = maxpool(%0)   %2 = relu(%1.0)
 *
 * so that the clamp, and later its gradient, run on one value a window, and the windows are read
 * where they are made. Values and gradients are exact: where the clamp is the identity the same
 * cell is picked, ties included; elsewhere its gradient is zero whichever cell is picked.
 * Before: a forward graph, not differentiated. After: no picking node reads a clamp that nothing
 * else reads. Linear a round; every round moves a clamp behind a picking node, never back. */
#include "pass/expand.h"
#include "ops/build.h"

typedef struct {
  const bool *due;              /* by place in the old order */
  uint32_t at;                  /* place of the node that is visited */
} Pick;

static bool is_clamp(const Node *n)
{
  return n->op->cls == OP_EWISE && (n->op->flags & OP_CLAMPS) && n->nin == 1;
}

static void swap_node(void *ctx, Graph *to, Node *n, Value *out)
{
  Pick *p = ctx;
  if (!p->due[p->at++])
    return;
  const Node *clamp = n->in[0].node;
  GBuild near = g_like(to, n), behind = g_like(to, clamp);
  Node *picked = g_node(&near, n->op, n->attrs, clamp->in, 1);
  for (uint32_t r = 1; r < n->nout; r++)
    out[r] = (Value){ picked, r };
  out[0] = g_op(&behind, clamp->op, clamp->attrs, (Value[]){ { picked, 0 } }, 1);
}

/* Clamps that were moved away are read by nobody. */
static void drop_moved(Graph *g)
{
  uint32_t *uses = graph_use_counts(g, g->arena);
  bool *live = ARENA_ARRAY(g->arena, bool, g->next_id + 1);
  for (uint32_t i = 0; i < g->order.n; i++)
    live[g->order.at[i]->id] = uses[g->order.at[i]->id] > 0 || !is_clamp(g->order.at[i]);
  graph_keep(g, live);
}

bool pick_before_clamp(Graph *g)
{
  bool changed = false;
  for (bool again = true; again; changed = changed || again) {
    uint32_t *uses = graph_use_counts(g, g->arena);
    bool *due = ARENA_ARRAY(g->arena, bool, g->order.n + 1);
    again = false;
    for (uint32_t i = 0; i < g->order.n; i++) {
      const Node *n = g->order.at[i];
      due[i] = (n->op->flags & OP_PICKS) && n->nin == 1 && is_clamp(n->in[0].node) &&
               uses[n->in[0].node->id] == 1;
      again = again || due[i];
    }
    if (!again)
      continue;
    graph_replace(g, swap_node, &(Pick){ due, 0 });
    drop_moved(g);
  }
  return changed;
}
