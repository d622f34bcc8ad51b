/* The order in which the kernels of a step are made, and the host function that calls them. */
#include "lower/schedule.h"
#include "lower/source.h"
#include <string.h>

/* ---- order ---- */

/* Marks the anchors whose kernels node n needs, through inlined nodes and views. */
static void mark_needs(const Lower *l, const Node *n, uint32_t self, bool *needs)
{
  for (uint32_t i = 0; i < n->nin; i++) {
    const Node *m = n->in[i].node;
    if (!m)
      continue;
    Placement p = l->d->place[m->id];
    if (p == PLACE_INLINE || p == PLACE_VIEW)
      mark_needs(l, m, self, needs);
    else if (l->d->anchor[m->id] != self)
      needs[l->d->anchor[m->id]] = true;
  }
}

/* Marks the state variables that node n reads, through inlined nodes and views. */
static void mark_reads(const Lower *l, const Node *n, bool *reads)
{
  for (uint32_t i = 0; i < n->nin; i++) {
    const Node *m = n->in[i].node;
    if (!m)
      continue;
    Placement p = l->d->place[m->id];
    if (source_attr(m, "state") >= 0)
      reads[source_attr(m, "state")] = true;
    else if (p == PLACE_INLINE || p == PLACE_VIEW)
      mark_reads(l, m, reads);
  }
}

/* True when kernel `from` needs, directly or not, what kernel `target` makes. */
static bool comes_after(bool *const *needs, uint32_t n, uint32_t from, uint32_t target, bool *seen)
{
  if (from == target)
    return true;
  if (seen[from])
    return false;
  seen[from] = true;
  for (uint32_t x = 0; x < n; x++)
    if (needs[from][x] && comes_after(needs, n, x, target, seen))
      return true;
  return false;
}

/* Who makes new state waits for those who read the old one, so that it may be written in place; not
 * where these need, in turn, what it makes. */
static void wait_for_readers(const Lower *l, bool *const *needs)
{
  const Graph *g = l->graph;
  uint32_t n = g->next_id;
  bool **reads = ARENA_ARRAY(l->arena, bool *, n), *seen = ARENA_ARRAY(l->arena, bool, n);
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *m = g->order.at[i];
    Placement p = l->d->place[m->id];
    uint32_t a = l->d->anchor[m->id];
    if (p == PLACE_INLINE || p == PLACE_VIEW)
      continue;
    if (!reads[a])
      reads[a] = ARENA_ARRAY(l->arena, bool, l->program->state.n + 1);
    mark_reads(l, m, reads[a]);
  }
  for (uint32_t i = 0; i < g->writes.n; i++) {
    uint32_t w = l->d->anchor[g->writes.at[i].value.node->id];
    for (uint32_t a = 0; needs[w] && a < n; a++) {
      if (a == w || !reads[a] || !reads[a][g->writes.at[i].state] || needs[w][a])
        continue;
      memset(seen, 0, n * sizeof *seen);
      needs[w][a] = !comes_after(needs, n, a, w, seen);
    }
  }
}

static bool is_ready(const bool *needs, const bool *done, uint32_t n)
{
  for (uint32_t x = 0; x < n; x++)
    if (needs[x] && !done[x])
      return false;
  return true;
}

/* Always the first kernel of the graph that is ready: what a layer's kernels share is still in the
 * caches, and gradients die early. */
uint32_t *schedule_order(const Lower *l, uint32_t *count)
{
  const Graph *g = l->graph;
  uint32_t n = g->next_id;
  bool **needs = ARENA_ARRAY(l->arena, bool *, n), *done = ARENA_ARRAY(l->arena, bool, n);
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *m = g->order.at[i];
    Placement p = l->d->place[m->id];
    if (p == PLACE_INLINE || p == PLACE_VIEW)
      continue;
    uint32_t a = l->d->anchor[m->id];
    if (!needs[a])
      needs[a] = ARENA_ARRAY(l->arena, bool, n);
    mark_needs(l, m, a, needs[a]);
  }
  wait_for_readers(l, needs);
  uint32_t *order = ARENA_ARRAY(l->arena, uint32_t, n + 1);
  *count = 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (uint32_t i = 0; i < g->order.n && !changed; i++) {
      uint32_t a = g->order.at[i]->id;
      if (!needs[a] || done[a] || !is_ready(needs[a], done, n))
        continue;
      done[a] = changed = true;
      order[(*count)++] = a;
    }
  }
  for (uint32_t a = 0; a < n; a++)
    if (needs[a] && !done[a])
      ice("kernels depend on each other in a circle (node %u)", a);
  return order;
}

/* ---- directions ---- */

/* By node id: is it needed for an output (the loss, the operands of metrics)? */
static bool *find_forward(const Lower *l)
{
  const Graph *g = l->graph;
  bool *forward = ARENA_ARRAY(l->arena, bool, g->next_id);
  for (uint32_t i = 0; i < g->outputs.n; i++)
    forward[g->outputs.at[i].value.node->id] = true;
  for (uint32_t i = g->order.n; i-- > 0;) {
    const Node *n = g->order.at[i];
    for (uint32_t k = 0; forward[n->id] && k < n->nin; k++)
      if (n->in[k].node)
        forward[n->in[k].node->id] = true;
  }
  return forward;
}

/* Forward: the kernel makes something an output needs. Update: elementwise, makes new state. */
static Direction direction_of(const Lower *l, const bool *forward, const Node *anchor)
{
  const Graph *g = l->graph;
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *n = g->order.at[i];
    Placement p = l->d->place[n->id];
    bool of_kernel = (p == PLACE_KERNEL || p == PLACE_EPILOGUE) &&
                     l->d->anchor[n->id] == anchor->id;
    if (forward[n->id] && (of_kernel || n == anchor))
      return DIRECTION_FORWARD;
  }
  for (uint32_t i = 0; i < g->writes.n && anchor->op->cls == OP_EWISE; i++)
    if (l->d->anchor[g->writes.at[i].value.node->id] == anchor->id)
      return DIRECTION_UPDATE;
  return DIRECTION_BACKWARD;
}

/* ---- the host function ---- */

/* False once nobody else has what a worker still needs: all samples are there, dealt out evenly. */
static LExpr *must_meet(Lower *l, const Host *h, int64_t span)
{
  Build *b = l->b;
  int64_t batch = l->program->batch;
  if (span == 0 || batch % span)
    return NULL;
  LExpr *rest = l_mod(b, l_int(b, batch / span), l_var(b, h->nworkers));
  LExpr *part = l_op(b, SC_ne, l_var(b, h->n), l_int(b, batch), NULL);
  return l_op(b, SC_or, part, l_op(b, SC_ne, rest, l_int(b, 0), NULL), NULL);
}

void schedule_host(Lower *l, LVar *host_n)
{
  Build *b = l->b;
  Slots slots = { 0 };
  bool small = schedule_phases(l, &slots);
  Host *h = l_host(b, l->host);
  h->n = host_n;
  h->arena_bytes = (size_t)schedule_memory(l, &slots, small);
  h->worker_bytes = (size_t)schedule_scratch(l);
  const bool *forward = find_forward(l);
  for (uint32_t i = 0; i < slots.n; i++) {
    const Slot *slot = &slots.at[i];
    Call *c = slot->call;
    bool meet = i > 0 && slot->phase != slots.at[i - 1].phase;
    if (meet || slot->span)
      l_barrier(b, meet ? NULL : must_meet(l, h, slot->span));
    for (uint32_t k = 0; k < c->arg.n; k++) {
      Buffer *buf = c->arg.at[k];
      bool seen = buf->role != BUF_ARENA && buf->role != BUF_WORKER;
      for (uint32_t j = 0; j < h->buffers.n; j++)
        seen |= h->buffers.at[j] == buf;
      if (!seen)
        vec_push(l->arena, &h->buffers, buf);
    }
    LExpr *worker = l_var(b, h->worker), *workers = l_var(b, h->nworkers);
    LExpr *lo = l_div(b, l_mul(b, c->items, worker), workers);
    LExpr *hi = l_div(b, l_mul(b, c->items, l_addi(b, worker, 1)), workers);
    LStmt *call = l_call_kernel(b, c->kernel, c->arg.at, lo, hi);
    call->at = c->node->at;     /* the kernel may be that of an equal layer */
    call->call.layer = c->node->name;
    call->call.direction = direction_of(l, forward, c->node);
  }
  l_host_end(b);
}
