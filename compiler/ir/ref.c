/* The float64 reference interpreter's driver: element by element, in plain C doubles, naively.
 * Everything is kept; a run needs memory for every value of the graph. */
#include "ir/ref.h"

int64_t ref_elems(const RefTensor *t) { return t->n * t->elems; }

static RefTensor *tensor(RefCtx *c, const Type *t)
{
  int64_t total;
  RefTensor *r = ARENA_NEW(c->arena, RefTensor);
  r->type = *t;
  r->n = t->batched ? c->n : 1;
  r->elems = type_elems(t);
  if (r->elems < 0 || !checked_mul(r->n, r->elems, &total) ||
      !checked_mul(total, (int64_t)sizeof(double), &total))
    ice("the reference interpreter cannot hold a %s", type_text(c->arena, t));
  r->v = arena_alloc(c->arena, (size_t)total);
  return r;
}

/* Place in t of element e of sample s of a result of type out, by the rules of infer_broadcast. */
static int64_t place(const RefTensor *t, const Type *out, int64_t elems, int64_t s, int64_t e)
{
  int64_t base = t->type.batched ? s * t->elems : 0;
  if (t->type.rank == 0)
    return base;
  if (t->type.rank == 1 && out->rank > 1)
    return base + e / (elems / out->dim[0]);
  return base + e;
}

enum { OPERANDS_MAX = 16 };

static void elementwise(const Node *n, RefTensor *const *in, RefTensor *out)
{
  double x[OPERANDS_MAX] = { 0 };
  if (n->nin > OPERANDS_MAX)
    ice("%s has more than %d operands", n->op->name, OPERANDS_MAX);
  for (int64_t s = 0; s < out->n; s++)
    for (int64_t e = 0; e < out->elems; e++) {
      for (uint32_t i = 0; i < n->nin; i++)
        if (in[i])
          x[i] = in[i]->v[place(in[i], &out->type, out->elems, s, e)];
      out->v[s * out->elems + e] = n->op->ref_scalar(n, x);
    }
}

void ref_node(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor **out)
{
  for (uint32_t i = 0; i < n->nout; i++)
    out[i] = tensor(c, &n->type[i]);
  if (n->op->ref)
    n->op->ref(c, n, in, out);
  else if (n->op->cls == OP_EWISE && n->op->ref_scalar)
    elementwise(n, in, out[0]);
  else if (n->op->cls == OP_VIEW)
    for (int64_t i = 0; i < ref_elems(out[0]); i++)
      out[0]->v[i] = in[0]->v[i];
  else
    ice("the reference interpreter cannot run %s: it must be expanded first", n->op->name);
}

RefTensor ***ref_run_all(RefCtx *c, const Graph *g)
{
  RefTensor ***value = ARENA_ARRAY(c->arena, RefTensor **, g->next_id + 1);
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *n = g->order.at[i];
    RefTensor **in = ARENA_ARRAY(c->arena, RefTensor *, n->nin + 1);
    value[n->id] = ARENA_ARRAY(c->arena, RefTensor *, n->nout + 1);
    for (uint32_t k = 0; k < n->nin; k++)
      in[k] = n->in[k].node ? value[n->in[k].node->id][n->in[k].result] : NULL;
    ref_node(c, n, in, value[n->id]);
  }
  return value;
}

void ref_run(RefCtx *c, const Graph *g, RefTensor **out)
{
  RefTensor ***value = ref_run_all(c, g);
  for (uint32_t i = 0; i < g->outputs.n; i++) {
    Value v = g->outputs.at[i].value;
    out[i] = value[v.node->id][v.result];
  }
  for (uint32_t i = 0; i < g->writes.n; i++) {
    const Write *w = &g->writes.at[i];
    const RefTensor *t = value[w->value.node->id][w->value.result];
    for (int64_t k = 0; k < t->elems; k++)
      c->state[w->state][k] = t->v[k];
  }
}
