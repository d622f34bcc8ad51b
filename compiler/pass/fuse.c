/* Fusion: which nodes share a kernel.
 *
 *   %3 = conv(%x, %w, %b)   %4 = relu(%3)        one kernel, %3 never stored when nothing else reads it
 *
 * An elementwise node joins the kernel of an operand when shape and layout are the same and no path leads
 * from that kernel through another one back into it. Sources and cheap scalars are recomputed where they
 * are read. The arithmetic is the same fused or not, so the bits are too. */
#include "pass/kernels.h"
#include <string.h>

typedef struct {
  const Graph *g;
  Decisions *d;
  Arena *arena;
  bool *seen;                   /* by anchor: visited by reaches() */
} Fuse;

/* A vector of one is no scalar: in lanes of channels it has padding. */
static bool is_scalar(const Type *t) { return !t->batched && t->rank == 0; }

static bool is_result(const Graph *g, const Node *n)
{
  for (uint32_t i = 0; i < g->outputs.n; i++)
    if (g->outputs.at[i].value.node == n)
      return true;
  for (uint32_t i = 0; i < g->writes.n; i++)
    if (g->writes.at[i].value.node == n)
      return true;
  return false;
}

static bool is_state(const Node *n)
{
  for (const AttrDef *a = n->op->attrs; n->op->cls == OP_SOURCE && a && a->name; a++)
    if (!strcmp(a->name, "state"))
      return true;
  return false;
}

static Placement base_place(Fuse *f, const Node *n)
{
  if (n->op->cls == OP_SOURCE)
    return PLACE_INLINE;
  bool inline_operands = true, any_rows = false;
  for (uint32_t i = 0; i < n->nin; i++) {
    const Node *m = n->in[i].node;
    if (!m)
      continue;
    inline_operands = inline_operands && f->d->place[m->id] == PLACE_INLINE;
    any_rows = any_rows || (m->type[0].batched && !is_state(m));
  }
  if (n->op->cls == OP_VIEW)
    return inline_operands && any_rows ? PLACE_INLINE : PLACE_VIEW;
  if (n->op->cls == OP_EWISE && inline_operands && !is_result(f->g, n) && is_scalar(&n->type[0]))
    return PLACE_INLINE;
  return PLACE_KERNEL;
}

static const Node *resolve(const Fuse *f, const Node *n)
{
  while (f->d->place[n->id] == PLACE_VIEW)
    n = n->in[0].node;
  return n;
}

/* True when kernel `from` needs, directly or not, what kernel `target` computes. */
static bool reaches(Fuse *f, uint32_t from, uint32_t target)
{
  if (from == target)
    return true;
  if (f->seen[from])
    return false;
  f->seen[from] = true;
  for (uint32_t i = 0; i < f->g->order.n; i++) {
    const Node *m = f->g->order.at[i];
    if (f->d->anchor[m->id] != from)
      continue;
    for (uint32_t k = 0; k < m->nin; k++)
      if (m->in[k].node) {
        const Node *o = resolve(f, m->in[k].node);
        uint32_t a = f->d->anchor[o->id];
        if (a != from && reaches(f, a, target))
          return true;
      }
  }
  return false;
}

static bool takes_epilogue(const Node *anchor)
{
  return anchor->op->cls == OP_EWISE || (anchor->op->cls == OP_NEST && anchor->type[0].batched);
}

/* Random numbers belong to elements: a template can draw them where its lanes hold samples, as one element
 * number serves all lanes then. Elsewhere a kernel of its own, which visits element by element, draws them. */
static bool may_draw(const Fuse *f, const Node *n, const Node *anchor)
{
  const Layout *layout = &f->d->layout[anchor->id][0];
  return !(n->op->flags & OP_RANDOM) || anchor->op->cls == OP_EWISE ||
         (layout->n > 1 && layout->digit[layout->n - 1].axis == AXIS_BATCH);
}

/* May n be finished inside the kernel that makes its operand? */
static bool may_join(Fuse *f, const Node *n, const Node *operand)
{
  if (f->d->place[operand->id] == PLACE_INLINE || f->d->place[operand->id] == PLACE_VIEW)
    return false;
  uint32_t a = f->d->anchor[operand->id];
  const Node *anchor = NULL;
  for (uint32_t i = 0; i < f->g->order.n; i++)
    if (f->g->order.at[i]->id == a)
      anchor = f->g->order.at[i];
  if (!anchor || !takes_epilogue(anchor) || !may_draw(f, n, anchor) || !type_same_shape(&anchor->type[0], &n->type[0]) ||
      !layout_equal(&f->d->layout[a][0], &f->d->layout[n->id][0]))
    return false;
  for (uint32_t k = 0; k < n->nin; k++) {
    if (!n->in[k].node)
      continue;
    const Node *o = resolve(f, n->in[k].node);
    if (f->d->anchor[o->id] == a) {
      if (o == anchor && n->in[k].result != 0)
        return false;
      if (f->d->place[n->in[k].node->id] == PLACE_VIEW)
        return false;
      continue;
    }
    memset(f->seen, 0, f->g->next_id * sizeof *f->seen);
    if (f->d->place[o->id] != PLACE_INLINE && reaches(f, f->d->anchor[o->id], a))
      return false;
  }
  return true;
}

void fuse_nodes(const Graph *g, Decisions *d, bool fuse, Arena *a)
{
  Fuse f = { .g = g, .d = d, .arena = a, .seen = ARENA_ARRAY(a, bool, g->next_id + 1) };
  d->place = ARENA_ARRAY(a, Placement, g->next_id + 1);
  d->anchor = ARENA_ARRAY(a, uint32_t, g->next_id + 1);
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *n = g->order.at[i];
    d->anchor[n->id] = n->id;
    d->place[n->id] = base_place(&f, n);
    if (!fuse || d->place[n->id] != PLACE_KERNEL || n->op->cls != OP_EWISE)
      continue;
    uint32_t best = 0;
    bool found = false;
    for (uint32_t k = 0; k < n->nin; k++) {
      const Node *o = n->in[k].node;
      if (o && may_join(&f, n, o) && (!found || d->anchor[o->id] > best)) {
        best = d->anchor[o->id];
        found = true;
      }
    }
    if (found) {
      d->place[n->id] = PLACE_EPILOGUE;
      d->anchor[n->id] = best;
    }
  }
}
