/* Macro expansion: an operation of class MACRO becomes the operations it stands for.
 *
 *   %1 = dropout(%0, p=0.2)       training:    %1 = dropout_mask(%0, p=0.2, key=..)
 *                                 evaluation:  uses of %1 read %0
 *
 * A nest that expands does so for options that its own loops lack, before its gradient is made.
 *
 * Before: any graph. After pass_specialize: no macro is left that depends on the mode; after
 * expand_all: none at all. Expansions may hold macros again; DEPTH_MAX rounds must settle them.
 * Linear a round. */
#include "pass/expand.h"

enum { DEPTH_MAX = 16 };

typedef struct {
  Mode mode;
  const OpTable *ops;
  bool all;                     /* also macros that autodiff can handle as they are */
} Expansion;

static bool is_due(const Expansion *x, const OpDef *op)
{
  if (op->cls == OP_NEST)
    return op->expand != NULL;
  if (op->surrogate && !x->all) /* autodiff refuses it where a gradient comes to it */
    return false;
  return op->cls == OP_MACRO && op->expand && (x->all || (op->flags & OP_MODAL) || !op->grad);
}

static void expand_node(void *ctx, Graph *to, Node *n, Value *out)
{
  const Expansion *x = ctx;
  if (!is_due(x, n->op))
    return;
  Expand e = { .graph = to, .mode = x->mode, .ops = x->ops, .name = n->name, .at = n->at };
  Value *made = ARENA_ARRAY(to->arena, Value, n->nout + 1);
  if (!n->op->expand(&e, n, made))
    return;
  for (uint32_t i = 0; i < n->nout; i++)
    out[i] = made[i];
}

static bool expand(Graph *g, const Expansion *x)
{
  bool changed = false;
  for (int round = 0; graph_replace(g, expand_node, (void *)(uintptr_t)x); round++) {
    if (round == DEPTH_MAX)
      ice("graph '%s': macros are still there after %d rounds", g->name, DEPTH_MAX);
    changed = true;
  }
  return changed;
}

bool expand_all(Graph *g, Mode mode, const OpTable *ops)
{
  return expand(g, &(Expansion){ mode, ops, true });
}

/* Marks what the values need; operands stand before their uses. */
static bool *needed(const Graph *g, const Value *values, int n, Arena *a)
{
  bool *live = ARENA_ARRAY(a, bool, g->next_id + 1);
  for (int i = 0; i < n; i++)
    live[values[i].node->id] = true;
  for (uint32_t i = g->order.n; i-- > 0;) {
    const Node *m = g->order.at[i];
    for (uint32_t k = 0; live[m->id] && k < m->nin; k++)
      if (m->in[k].node)
        live[m->in[k].node->id] = true;
  }
  return live;
}

/* A graph of the same nodes whose outputs are the values, so that a rewrite carries them along. */
static Graph *view_of(Program *p, const Graph *forward, const char *name, const Value *values,
                      int n)
{
  Graph *g = graph_new(p, name);
  g->next_id = forward->next_id;
  for (uint32_t i = 0; i < forward->order.n; i++)
    vec_push(g->arena, &g->order, forward->order.at[i]);
  for (int i = 0; i < n; i++)
    vec_push(g->arena, &g->outputs, ((Output){ "value", values[i] }));
  return g;
}

Graph *pass_specialize(Program *p, const Graph *forward, Mode mode, const OpTable *ops,
                       const char *name, Value *values, int n)
{
  Graph *g = view_of(p, forward, name, values, n);
  graph_keep(g, needed(forward, values, n, p->arena));
  expand(g, &(Expansion){ mode, ops, mode != MODE_TRAIN });
  pick_before_clamp(g);
  for (int i = 0; i < n; i++)
    values[i] = g->outputs.at[i].value;
  g->outputs.n = 0;
  return g;
}

static Graph *outputs_graph(Program *p, const Graph *forward, Mode mode, const Value *out,
                            const char *const *out_name, int nout, const OpTable *ops)
{
  Value *v = arena_copy(p->arena, out, (size_t)nout * sizeof *out);
  Graph *g = pass_specialize(p, forward, mode, ops, "eval", v, nout);
  for (int i = 0; i < nout; i++)
    vec_push(g->arena, &g->outputs, ((Output){ out_name[i], v[i] }));
  return g;
}

Graph *eval_graph(Program *p, const Graph *forward, const Value *out, const char *const *out_name,
                  int nout, const OpTable *ops)
{
  return outputs_graph(p, forward, MODE_EVAL, out, out_name, nout, ops);
}

Graph *infer_graph(Program *p, const Graph *forward, const Value *out, const char *const *out_name,
                   int nout, const OpTable *ops)
{
  return outputs_graph(p, forward, MODE_INFER, out, out_name, nout, ops);
}

Graph *sample_graph(Program *p, const Graph *forward, const Value *out,
                    const char *const *out_name, int nout, const OpTable *ops)
{
  return outputs_graph(p, forward, MODE_SAMPLE, out, out_name, nout, ops);
}
