/* Dead code: nodes that no output and no write needs are dropped.
 *
 *   %1 = relu(%0)   %2 = exp(%0)   output "y" = %1        %2 is gone
 *
 * Before: any graph. After: every node is needed; numbers are dense and in order. Linear. */
#include "pass/pass.h"

bool pass_dce(PassCtx *c)
{
  Graph *g = c->graph;
  bool *live = ARENA_ARRAY(c->tmp, bool, g->next_id + 1);
  for (uint32_t i = 0; i < g->outputs.n; i++)
    live[g->outputs.at[i].value.node->id] = true;
  for (uint32_t i = 0; i < g->writes.n; i++)
    live[g->writes.at[i].value.node->id] = true;
  for (uint32_t i = g->order.n; i-- > 0;) {
    const Node *n = g->order.at[i];
    for (uint32_t k = 0; live[n->id] && k < n->nin; k++)
      if (n->in[k].node)
        live[n->in[k].node->id] = true;
  }
  return graph_keep(g, live);
}
