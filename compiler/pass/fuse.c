/* Fusion: which nodes share a kernel.
 *
 *   %3 = conv(%x, %w, %b)   %4 = relu(%3)        one kernel, %3 never stored when nothing else reads it
 *   %3 = conv(%x, %w)   %4 = maxpool(%3)   %5 = relu(%4)       one kernel, %3 never stored
 *
 * A node that combines windows which neither overlap nor leave the image joins the kernel that
 * makes its operand when nobody else reads what lies before it; elementwise nodes behind it follow.
 * A node that reduces rows joins the kernel that makes its first operand row by row.
 * An elementwise node joins the kernel of an operand when shape and layout are the same and no path leads
 * from that kernel through another one back into it. Sources and cheap scalars are recomputed where they
 * are read; a node that only shows elements of its operand elsewhere is, too, where a single
 * elementwise node reads it. The arithmetic is the same fused or not, so the bits are too. */
#include "pass/kernels.h"
#include <string.h>

typedef struct {
  const Graph *g;
  Decisions *d;
  Arena *arena;
  bool *seen;                   /* by anchor: visited by reaches() */
  const Node **node;            /* by id */
  const Node **newest;          /* by anchor: the last node of its kernel so far; NULL: none */
  const Node **before;          /* by id: the node of its kernel before it; NULL: it is the first */
} Fuse;

enum { CELLS_MAX = 64 };        /* of a fused window: its code names each */

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

/* The state variable that n reads; -1: none. */
static int64_t state_of(const Node *n)
{
  for (const AttrDef *a = n->op->attrs; n->op->cls == OP_SOURCE && a && a->name; a++)
    if (!strcmp(a->name, "state"))
      return *(const int64_t *)((const char *)n->attrs + a->offset);
  return -1;
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
    any_rows = any_rows || (m->type[0].batched && state_of(m) < 0);
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
  for (const Node *m = f->newest[from]; m; m = f->before[m->id])
    for (uint32_t k = 0; k < m->nin; k++)
      if (m->in[k].node) {
        const Node *o = resolve(f, m->in[k].node);
        uint32_t a = f->d->anchor[o->id];
        if (a != from && reaches(f, a, target))
          return true;
      }
  return false;
}

static bool takes_epilogue(const Node *anchor)
{
  return anchor->op->cls == OP_EWISE ||
         (anchor->op->cls == OP_NEST && (anchor->type[0].batched || anchor->type[0].rank > 0));
}

/* A draw gives numbers for four elements: kernels that go through elements alone share it, which pays
 * for going through memory once more. */
static bool may_draw(const Node *n, const Node *anchor)
{
  return !(n->op->flags & OP_RANDOM) || anchor->op->cls == OP_EWISE;
}

/* An operand of the result's shape must lie as the result does: templates walk in the order of the
 * result. Others are broadcast, or recomputed where they are read. */
static bool lies_like(const Fuse *f, Value v, const Type *t, const Layout *layout)
{
  int64_t state = state_of(v.node);
  if (!type_same_shape(value_type(v), t) || (state < 0 && f->d->place[v.node->id] == PLACE_INLINE))
    return true;
  return layout_equal(state >= 0 ? &f->d->state[state] : &f->d->layout[v.node->id][v.result], layout);
}

/* Gradients of parameters have no padding but in their lanes: only there a finish masks it. */
static bool pads_lanes_only(const Type *t, const Layout *layout)
{
  for (int a = 0; !t->batched && a < t->rank; a++) {
    int64_t stored = 1;
    for (int i = 0; i < layout->n; i++)
      stored *= layout->digit[i].axis == a ? layout->digit[i].extent : 1;
    if (stored != t->dim[a] && layout->digit[layout->n - 1].axis != a)
      return false;
  }
  return true;
}

/* Templates read what other kernels made a vector at a time, at the place of the result: as one
 * number, as one number a channel, or from rows of the result's shape. */
static bool reads_in_step(Value v, const Node *head)
{
  const Type *t = value_type(v);
  return t->batched ? type_same_shape(t, &head->type[0]) : t->rank <= 1;
}

/* May n be finished inside the kernel that makes its operand? */
static bool may_join(Fuse *f, const Node *n, const Node *operand)
{
  if (f->d->place[operand->id] == PLACE_INLINE || f->d->place[operand->id] == PLACE_VIEW)
    return false;
  uint32_t a = f->d->anchor[operand->id], h = f->d->head[operand->id];
  const Node *anchor = f->node[a], *head = f->node[h];
  if (!anchor || !takes_epilogue(anchor) || !may_draw(n, anchor) ||
      !type_same_shape(&head->type[0], &n->type[0]) ||
      !layout_equal(&f->d->layout[h][0], &f->d->layout[n->id][0]) ||
      !pads_lanes_only(&n->type[0], &f->d->layout[h][0]))
    return false;
  for (uint32_t k = 0; k < n->nin; k++) {
    if (!n->in[k].node)
      continue;
    const Node *o = resolve(f, n->in[k].node);
    if (f->d->anchor[o->id] == a) {
      if (f->d->head[o->id] != h || (o == head && n->in[k].result != 0))
        return false;
      if (f->d->place[n->in[k].node->id] == PLACE_VIEW)
        return false;
      continue;
    }
    if (!lies_like(f, n->in[k], &n->type[0], &f->d->layout[h][0]))
      return false;
    if (f->d->place[o->id] == PLACE_INLINE)
      continue;
    memset(f->seen, 0, f->g->next_id * sizeof *f->seen);
    if (reaches(f, f->d->anchor[o->id], a) ||
        (anchor->op->cls != OP_EWISE && !reads_in_step(n->in[k], head)))
      return false;
  }
  return true;
}

/* Is what kernel a computes read by itself and by n alone? */
static bool read_by(const Fuse *f, uint32_t a, const Node *n)
{
  for (uint32_t i = 0; i < f->g->order.n; i++) {
    const Node *m = f->g->order.at[i];
    if (f->d->anchor[m->id] == a) {
      if (is_result(f->g, m))
        return false;
      continue;
    }
    for (uint32_t k = 0; m != n && k < m->nin; k++)
      if (m->in[k].node && f->d->anchor[m->in[k].node->id] == a)
        return false;
  }
  return true;
}

static bool kernel_has(const Fuse *f, uint32_t a, Placement p)
{
  for (uint32_t i = 0; i < f->g->order.n; i++) {
    const Node *m = f->g->order.at[i];
    if (f->d->anchor[m->id] == a && f->d->place[m->id] == p)
      return true;
  }
  return false;
}

/* May n, which combines windows, be finished inside the kernel that makes its operand? */
static bool may_close(const Fuse *f, const Node *n)
{
  int64_t k[2];
  const Node *o = n->in[0].node;
  Placement p = f->d->place[o->id];
  if (!n->op->windows || !n->op->windows(n, k) || n->in[0].result != 0 ||
      (p != PLACE_KERNEL && p != PLACE_EPILOGUE))
    return false;
  uint32_t a = f->d->anchor[o->id];
  const Plan *plan = f->d->plan[a];
  return plan && f->d->head[o->id] == a && k[0] * k[1] <= CELLS_MAX &&
         k[0] * k[1] * n->type[0].dim[2] <= plan->windows && read_by(f, a, n) &&
         (!plan->grid || (plan->grid % k[0] == 0 && plan->grid % k[1] == 0)) &&
         !kernel_has(f, a, PLACE_ROWS);
}

static bool try_window(Fuse *f, const Node *n)
{
  if (n->op->cls != OP_NEST || n->nin != 1 || !may_close(f, n))
    return false;
  f->d->place[n->id] = PLACE_WINDOW;
  f->d->anchor[n->id] = f->d->anchor[n->in[0].node->id];
  return true;
}

/* May n, which reduces rows, be computed inside kernel a, which makes its operand 0 row by row? */
static bool may_follow(Fuse *f, const Node *n, uint32_t a)
{
  const Plan *plan = f->d->plan[a];
  if (!plan || !plan->rows || kernel_has(f, a, PLACE_WINDOW))
    return false;
  const Type *t = value_type(n->in[0]);
  const Layout *layout = &f->d->layout[n->in[0].node->id][n->in[0].result];
  for (uint32_t k = 1; k < n->nin; k++) {
    const Node *o = resolve(f, n->in[k].node);
    bool like = type_same_shape(value_type(n->in[k]), t);
    if (f->d->anchor[o->id] == a || !lies_like(f, n->in[k], t, layout) ||
        (!like && (value_type(n->in[k])->batched || value_type(n->in[k])->rank > 1)))
      return false;
    if (f->d->place[o->id] == PLACE_INLINE)
      continue;
    memset(f->seen, 0, f->g->next_id * sizeof *f->seen);
    if (reaches(f, f->d->anchor[o->id], a))
      return false;
  }
  return true;
}

static bool try_rows(Fuse *f, const Node *n)
{
  const Node *o = n->op->row ? n->in[0].node : NULL;
  if (!o || n->in[0].result != 0 ||
      (f->d->place[o->id] != PLACE_KERNEL && f->d->place[o->id] != PLACE_EPILOGUE))
    return false;
  uint32_t a = f->d->anchor[o->id];
  if (f->d->head[o->id] != a || !may_follow(f, n, a))
    return false;
  f->d->place[n->id] = PLACE_ROWS;
  f->d->anchor[n->id] = a;
  return true;
}

static bool try_epilogue(Fuse *f, const Node *n)
{
  const Node *best = NULL;
  for (uint32_t k = 0; n->op->cls == OP_EWISE && k < n->nin; k++) {
    const Node *o = n->in[k].node;
    if (o && may_join(f, n, o) && (!best || f->d->anchor[o->id] > f->d->anchor[best->id]))
      best = o;
  }
  if (!best)
    return false;
  f->d->place[n->id] = PLACE_EPILOGUE;
  f->d->anchor[n->id] = f->d->anchor[best->id];
  f->d->head[n->id] = f->d->head[best->id];
  return true;
}

/* ---- elements elsewhere ---- */

/* The only node that reads n; NULL: none or several. */
static const Node *reader_of(const Graph *g, const Node *n)
{
  const Node *reader = NULL;
  for (uint32_t i = 0; i < g->order.n; i++)
    for (uint32_t k = 0; k < g->order.at[i]->nin; k++) {
      if (g->order.at[i]->in[k].node != n)
        continue;
      if (reader && reader != g->order.at[i])
        return NULL;
      reader = g->order.at[i];
    }
  return is_result(g, n) ? NULL : reader;
}

/* Is n alone in its kernel, and kernel a free of draws, which go through elements in fours? */
static bool may_dissolve(const Fuse *f, const Node *n, uint32_t a)
{
  for (uint32_t i = 0; i < f->g->order.n; i++) {
    const Node *m = f->g->order.at[i];
    if ((m != n && f->d->anchor[m->id] == n->id) ||
        (f->d->anchor[m->id] == a && (m->op->flags & OP_RANDOM)))
      return false;
  }
  return true;
}

/* Lanes hold samples or whole blocks of an axis: what lies in them stays there when elements move. */
static bool has_blocks(const Layout *l)
{
  const Digit *lane = l->n ? &l->digit[l->n - 1] : NULL;
  for (int i = 0; i + 1 < l->n; i++)
    if (l->digit[i].axis == lane->axis && lane->div == 1 && l->digit[i].div == lane->extent)
      return true;
  return false;
}

/* Shall the reader of n read n's operand instead? Its kernel needs that one either way. */
static bool is_shown(const Fuse *f, const Node *n)
{
  if (!n->op->elsewhere || f->d->place[n->id] != PLACE_KERNEL ||
      f->d->place[n->in[0].node->id] == PLACE_INLINE)
    return false;
  const Node *u = reader_of(f->g, n);
  return u && u->op->cls == OP_EWISE && type_same_shape(&u->type[0], &n->type[0]) &&
         (f->d->place[u->id] == PLACE_KERNEL || f->d->place[u->id] == PLACE_EPILOGUE) &&
         f->d->anchor[u->id] != n->id &&
         layout_equal(&f->d->layout[u->id][0], &f->d->layout[n->id][0]) &&
         has_blocks(&f->d->layout[n->id][0]) && may_dissolve(f, n, f->d->anchor[u->id]);
}

/* Puts n into the kernel that was found for it, or into one of its own. */
static void place(Fuse *f, const Node *n, bool fuse)
{
  Placement own = base_place(f, n);
  f->d->head[n->id] = n->id;
  f->d->place[n->id] = own;
  f->node[n->id] = n;
  if (!fuse || own != PLACE_KERNEL ||
      (!try_window(f, n) && !try_rows(f, n) && !try_epilogue(f, n)))
    f->d->anchor[n->id] = n->id;
  uint32_t a = f->d->anchor[n->id];
  f->before[n->id] = f->newest[a];
  f->newest[a] = n;
}

void fuse_nodes(const Graph *g, Decisions *d, bool fuse, Arena *a)
{
  Fuse f = { .g = g, .d = d, .arena = a, .seen = ARENA_ARRAY(a, bool, g->next_id + 1) };
  f.node = ARENA_ARRAY(a, const Node *, g->next_id + 1);
  f.newest = ARENA_ARRAY(a, const Node *, g->next_id + 1);
  f.before = ARENA_ARRAY(a, const Node *, g->next_id + 1);
  d->place = ARENA_ARRAY(a, Placement, g->next_id + 1);
  d->anchor = ARENA_ARRAY(a, uint32_t, g->next_id + 1);
  d->head = ARENA_ARRAY(a, uint32_t, g->next_id + 1);
  for (uint32_t i = 0; i <= g->next_id; i++)
    d->anchor[i] = UINT32_MAX;  /* not visited yet: in no kernel */
  for (uint32_t i = 0; i < g->order.n; i++)
    place(&f, g->order.at[i], fuse);
  for (uint32_t i = 0; fuse && i < g->order.n; i++)
    if (is_shown(&f, g->order.at[i]))
      d->place[g->order.at[i]->id] = PLACE_INLINE;
}
