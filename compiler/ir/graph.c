/* Storage of graphs and programs: append, compare, count uses, look up state. Immutable nodes; see
 * rewrite.c for the one way to change a graph. */
#include "ir/graph.h"
#include "base/str.h"
#include "ir/op.h"

Graph *graph_new(Program *p, const char *name)
{
  Graph *g = ARENA_NEW(p->arena, Graph);
  g->program = p;
  g->arena = p->arena;
  g->name = name;
  return g;
}

Node *graph_append(Graph *g, const OpDef *op, const void *attrs, const Value *in, uint32_t nin,
                   const Type *types, uint32_t nout, const char *name, Span at)
{
  Node *n = arena_alloc(g->arena, sizeof *n + nin * sizeof n->in[0]);
  *n = (Node){
    .id = g->next_id++, .nin = nin, .nout = nout, .op = op, .attrs = attrs, .name = name, .at = at
  };
  for (uint32_t i = 0; i < nin; i++) {
    if (in[i].node && in[i].result >= in[i].node->nout)
      ice("operand %u of %s is result %u of %s", i, op->name, in[i].result, in[i].node->op->name);
    n->in[i] = in[i];
  }
  n->type = arena_copy(g->arena, types, nout * sizeof *types);
  vec_push(g->arena, &g->order, n);
  return n;
}

const Type *value_type(Value v)
{
  if (!v.node || v.result >= v.node->nout)
    ice("a value without a type is used");
  return &v.node->type[v.result];
}

bool value_equal(Value a, Value b) { return a.node == b.node && a.result == b.result; }

uint32_t *graph_use_counts(const Graph *g, Arena *a)
{
  uint32_t *uses = ARENA_ARRAY(a, uint32_t, g->next_id + 1);
  for (uint32_t i = 0; i < g->order.n; i++)
    for (uint32_t k = 0; k < g->order.at[i]->nin; k++)
      if (g->order.at[i]->in[k].node)
        uses[g->order.at[i]->in[k].node->id]++;
  for (uint32_t i = 0; i < g->outputs.n; i++)
    uses[g->outputs.at[i].value.node->id]++;
  for (uint32_t i = 0; i < g->writes.n; i++)
    uses[g->writes.at[i].value.node->id]++;
  return uses;
}

StateVar *program_add_state(Program *p, StateVar v)
{
  v.id = p->state.n;
  vec_push(p->arena, &p->state, v);
  return &p->state.at[v.id];
}

StateVar *program_find_state(Program *p, const char *name)
{
  for (uint32_t i = 0; i < p->state.n; i++)
    if (str_eq(p->state.at[i].name, name))
      return &p->state.at[i];
  return NULL;
}
