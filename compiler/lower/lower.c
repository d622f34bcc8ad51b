/* Lowering of whole programs: buffers for every value that passes between kernels, one kernel per anchor
 * through its operation's lower hook, copies of outputs, then the host function. */
#include "lower/lower.h"
#include "base/out.h"
#include "base/str.h"
#include "ir/attr_text.h"
#include "loop/text.h"
#include "lower/schedule.h"
#include "lower/source.h"
#include <inttypes.h>
#include <string.h>

/* ---- names ---- */

/* "c1.conv" and op "conv_dw" -> "c1_conv_dw"; a node of another operation keeps both words. */
static const char *value_name(Lower *l, const Node *n, const char *suffix)
{
  const char *path = n->name ? n->name : n->op->name;
  const char *dot = strrchr(path, '.');
  const char *last = dot ? dot + 1 : path;
  size_t len = strcspn(last, "0123456789");
  char *s;
  if (!n->name)
    s = arena_strdup(l->arena, n->op->name);
  else if (!strncmp(n->op->name, last, len) && dot)
    s = arena_printf(l->arena, "%.*s.%s%s", (int)(dot - path), path, last,
                     n->op->name + (len < strlen(n->op->name) ? len : strlen(n->op->name)));
  else if (str_eq(n->op->name, last))
    s = arena_strdup(l->arena, path);
  else
    s = arena_printf(l->arena, "%s.%s", path, n->op->name);
  if (suffix[0])
    s = arena_printf(l->arena, "%s.%s", s, suffix);
  for (char *p = s; *p; p++)
    if (*p == '.')
      *p = '_';
  return s;
}

static const char *unique_kernel_name(Lower *l, const char *name)
{
  const char *try = name;
  for (int i = 2;; i++) {
    bool taken = false;
    for (uint32_t k = 0; k < l->module->kernels.n; k++)
      taken |= str_eq(l->module->kernels.at[k]->name, try);
    if (!taken)
      return try;
    try = arena_printf(l->arena, "%s_%d", name, i);
  }
}

/* ---- kernels ---- */

/* What the code calls a value: state variables by their name, views by what they look at. */
static const char *code_name(Lower *l, Value v)
{
  while (v.node && l->d->place[v.node->id] == PLACE_VIEW)
    v = v.node->in[0];
  int64_t state = source_attr(v.node, "state");
  const char *name = state >= 0 ? l->state[state]->name : value_name(l, v.node, "");
  return v.result ? arena_printf(l->arena, "%s_%u", name, v.result) : name;
}

/* The operation's formula with the names of this code: "$y = $x" -> "c1_relu = c1_conv". */
static const char *formula_of(Lower *l, const Node *n)
{
  Out *out = out_new(l->arena);
  const char *f = n->op->written ? n->op->written(l->arena, n) : n->op->formula;
  for (; f && *f; f++) {
    if (*f != '$') {
      out_bytes(out, f, 1);
      continue;
    }
    size_t len = strspn(f + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
    int in = op_word_index(n->op->operands, f + 1, len);
    int r = op_word_index(n->op->results, f + 1, len);
    Value v = { NULL, 0 };
    if (r >= 0)
      v = (Value){ (Node *)(uintptr_t)n, (uint32_t)r };
    else if (in >= 0 && (uint32_t)in < n->nin)
      v = n->in[in];
    const char *name = v.node ? code_name(l, v) : arena_strndup(l->arena, f + 1, len);
    out_bytes(out, name, strlen(name));
    f += len;
  }
  return out_text(out);
}

static const char *host_prefix(HostKind h) { return h == HOST_TRAIN ? "" : h == HOST_EVAL ? "eval_" : "infer_"; }

/* "stencil; lanes hold ..; then maxpool, relu": a template and what is fused behind it. */
static const char *with_fused(Lower *l, const Node *anchor, const char *about)
{
  bool any = false;
  for (uint32_t i = 0; anchor->op->cls == OP_NEST && i < l->graph->order.n; i++) {
    const Node *m = l->graph->order.at[i];
    if (m == anchor || l->d->anchor[m->id] != anchor->id)
      continue;
    about = arena_printf(l->arena, "%s%s%s", about, any ? ", " : "; then ", m->op->name);
    any = true;
  }
  return about;
}

void lower_kernel(Lower *l, const Node *anchor, const char *suffix, const char *template_name, const char *about)
{
  const char *name = arena_printf(l->arena, "%s%s", host_prefix(l->host), value_name(l, anchor, suffix));
  Kernel *k = l_kernel(l->b, unique_kernel_name(l, name));
  k->layer = anchor->name;
  k->formula = anchor->op->formula ? formula_of(l, anchor) : NULL;
  k->about = with_fused(l, anchor, about);
  k->template_name = template_name;
  k->at = anchor->at;
  bool once = anchor->op->cls == OP_EWISE && !anchor->type[0].batched;
  double samples = once ? 1 : (double)l->program->batch;
  k->flops = anchor->op->flops ? anchor->op->flops(anchor) * samples : 0;
  l->anchor = anchor;
  l->kernel = k;
  l->n = l_var(l->b, k->n);
  l->call = ARENA_NEW(l->arena, Call);
  l->call->kernel = k;
  l->call->node = anchor;
}

/* The kernel as text without the names that only readers need: equal texts compute the same. */
static const char *anonymous_text(Lower *l, Kernel *k)
{
  Kernel plain = *k;
  const char **name = ARENA_ARRAY(l->arena, const char *, k->formal.n + 1);
  Out *out = out_new(l->arena);
  plain.name = "kernel";
  plain.layer = NULL;
  plain.formula = NULL;
  plain.at = (Span){ 0, 0 };
  for (uint32_t i = 0; i < k->formal.n; i++) {
    name[i] = k->formal.at[i]->name;
    k->formal.at[i]->name = arena_printf(l->arena, "a%u", i);
  }
  loop_print_kernel(l->module, &plain, out);
  for (uint32_t i = 0; i < k->formal.n; i++)
    k->formal.at[i]->name = name[i];
  return out_text(out);
}

/* One kernel per distinct computation, not per layer: an equal earlier one takes the call. */
static void share_kernel(Lower *l)
{
  Module *m = l->module;
  Kernel *k = m->kernels.at[m->kernels.n - 1];
  const char *text = anonymous_text(l, k);
  for (uint32_t i = 0; i + 1 < m->kernels.n; i++)
    if (str_eq(l->texts.at[i], text)) {
      l->call->kernel = m->kernels.at[i];
      m->kernels.n--;
      return;
    }
  vec_push(l->arena, &l->texts, text);
}

void lower_by_samples(Lower *l, int64_t span) { l->call->span = span; }

void lower_kernel_end(Lower *l, LExpr *items)
{
  l_kernel_end(l->b);
  share_kernel(l);
  l->call->items = items;
  vec_push(l->arena, &l->calls, l->call);
  l->kernel = NULL;
  l->call = NULL;
}

LExpr *lower_groups(Lower *l, LExpr *n)
{
  return l_div(l->b, l_addi(l->b, n, l->block - 1), l_int(l->b, l->block));
}

static LVar *host_n_var(Lower *l)
{
  LVar *v = ARENA_NEW(l->arena, LVar);
  *v = (LVar){ "n", DT_I64, 1, l->module->next_id++ };
  return v;
}

Buffer *lower_formal(Lower *l, Buffer *actual, bool written)
{
  for (uint32_t i = 0; i < l->call->arg.n; i++)
    if (l->call->arg.at[i] == actual) {
      Buffer *formal = l->kernel->formal.at[i];
      formal->written |= written;
      return formal;
    }
  vec_push(l->arena, &l->call->arg, actual);
  return l_formal(l->b, actual, actual->name, written);
}

/* ---- values ---- */

static Value resolve(const Lower *l, Value v)
{
  while (l->d->place[v.node->id] == PLACE_VIEW)
    v = v.node->in[0];
  return v;
}

static void need(Lower *l, Value v, uint32_t from_anchor, bool **needed)
{
  if (!v.node)
    return;
  v = resolve(l, v);
  if (l->d->place[v.node->id] == PLACE_INLINE) {
    for (uint32_t i = 0; i < v.node->nin; i++)
      need(l, v.node->in[i], UINT32_MAX, needed);
    return;
  }
  if (l->d->anchor[v.node->id] == from_anchor)
    return;
  if (!needed[v.node->id])
    needed[v.node->id] = ARENA_ARRAY(l->arena, bool, v.node->nout);
  needed[v.node->id][v.result] = true;
}

static Buffer *arena_buffer(Lower *l, const Node *n, uint32_t r)
{
  const Layout *layout = &l->d->layout[n->id][r];
  const char *name = value_name(l, n, "");
  if (r > 0)
    name = arena_printf(l->arena, "%s_%u", name, r);
  int64_t extent = align_up(layout_extent(layout), l->block);
  Buffer *b = l_buffer(l->b, name, BUF_ARENA, n->type[r].dtype, extent);
  b->type = &n->type[r];
  b->layout = layout;
  b->layer = n->name;
  b->at = n->at;
  return b;
}

/* Does whoever reads v read the state variable? */
static bool reads_state(const Lower *l, Value v, uint32_t state)
{
  if (!v.node)
    return false;
  v = resolve(l, v);
  if (source_attr(v.node, "state") >= 0)
    return source_attr(v.node, "state") == (int64_t)state;
  bool reads = false;
  for (uint32_t i = 0; i < v.node->nin && l->d->place[v.node->id] == PLACE_INLINE; i++)
    reads = reads || reads_state(l, v.node->in[i], state);
  return reads;
}

/* Is the old value of a state variable read after the kernel, or the part of it, that makes the new one? */
static bool read_after(const Lower *l, const Write *w, const uint32_t *order, uint32_t norder)
{
  const Graph *g = l->graph;
  const Node *v = w->value.node;
  bool *later = ARENA_ARRAY(l->arena, bool, g->next_id), behind = false, reads = false;
  for (uint32_t k = norder; k-- > 0 && order[k] != l->d->anchor[v->id];)
    later[order[k]] = true;
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *m = g->order.at[i];
    Placement p = l->d->place[m->id];
    uint32_t anchor = l->d->anchor[m->id];
    if (p != PLACE_INLINE && p != PLACE_VIEW && (later[anchor] || (behind && anchor == l->d->anchor[v->id])))
      for (uint32_t x = 0; x < m->nin; x++)
        reads = reads || reads_state(l, m->in[x], w->state);
    behind = behind || m == v;
  }
  for (uint32_t i = 0; i < g->outputs.n; i++)
    reads = reads || reads_state(l, g->outputs.at[i].value, w->state);
  for (uint32_t i = 0; i < g->writes.n; i++)
    reads = reads || reads_state(l, g->writes.at[i].value, w->state);
  return reads;
}

/* A new state value may go straight into the state's buffer when its kernel goes element by element and nobody
 * reads the old one afterwards. */
static bool may_write_in_place(const Lower *l, const Write *w, const uint32_t *order, uint32_t norder)
{
  const Node *v = w->value.node;
  Placement p = l->d->place[v->id];
  return (p == PLACE_KERNEL || p == PLACE_EPILOGUE) && v->op->cls == OP_EWISE &&
         layout_equal(&l->d->layout[v->id][w->value.result], &l->d->state[w->state]) &&
         !read_after(l, w, order, norder);
}

static void make_buffers(Lower *l, const uint32_t *order, uint32_t norder, bool *copied)
{
  const Graph *g = l->graph;
  bool **needed = ARENA_ARRAY(l->arena, bool *, g->next_id);
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *m = g->order.at[i];
    Placement p = l->d->place[m->id];
    if (p == PLACE_KERNEL || p == PLACE_EPILOGUE || p == PLACE_WINDOW || p == PLACE_ROWS)
      for (uint32_t k = 0; k < m->nin; k++)     /* rows are read from where they were stored */
        need(l, m->in[k], p == PLACE_ROWS ? UINT32_MAX : l->d->anchor[m->id], needed);
  }
  for (uint32_t i = 0; i < g->outputs.n; i++)
    need(l, g->outputs.at[i].value, UINT32_MAX, needed);
  for (uint32_t i = 0; i < g->writes.n; i++)
    need(l, g->writes.at[i].value, UINT32_MAX, needed);
  l->buffer = ARENA_ARRAY(l->arena, Buffer **, g->next_id);
  for (uint32_t i = 0; i < g->order.n; i++)
    l->buffer[g->order.at[i]->id] = ARENA_ARRAY(l->arena, Buffer *, g->order.at[i]->nout);
  for (uint32_t i = 0; i < g->writes.n; i++) {
    const Write *w = &g->writes.at[i];
    Buffer **slot = &l->buffer[w->value.node->id][w->value.result];
    copied[i] = *slot || !may_write_in_place(l, w, order, norder);
    if (!copied[i])
      *slot = l->state[w->state];
  }
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *m = g->order.at[i];
    if (source_attr(m, "state") >= 0)
      l->buffer[m->id][0] = l->state[source_attr(m, "state")];
    else if (l->d->place[m->id] == PLACE_VIEW)
      l->buffer[m->id][0] = l->buffer[m->in[0].node->id][m->in[0].result];
    for (uint32_t r = 0; r < m->nout && needed[m->id]; r++)
      if (needed[m->id][r] && !l->buffer[m->id][r])
        l->buffer[m->id][r] = arena_buffer(l, m, r);
  }
}

/* ---- copies at the end of a step ---- */

static void copy_to_state(Lower *l, const Write *w)
{
  Build *b = l->b;
  const Node *v = resolve(l, w->value).node;
  lower_kernel(l, v, "keep", "copy", "new state value into place");
  l->kernel->flops = 0;
  Buffer *to = lower_formal(l, l->state[w->state], true);
  LExpr *i = l_var(b, l_loop(b, "i", l_var(b, l->kernel->lo), l_var(b, l->kernel->hi), 1, FOR_PLAIN));
  LExpr *at = l_muli(b, i, l->block);
  Buffer *from = lower_formal(l, l->buffer[v->id][w->value.result], false);
  LExpr *value = l_load(b, from, at, l->block);
  int64_t extent = layout_extent(&l->d->state[w->state]);
  if (extent % l->block) {      /* what is kept ends with zeros */
    LExpr *left = l_cast(b, l_sub(b, l_int(b, extent), at), l->program->real);
    LExpr *zero = l_cast(b, l_real(b, 0), value->dtype);
    value = l_op(b, SC_select, l_op(b, SC_lt, l_iota(b, l->block), left, NULL), value, zero);
  }
  l_store(b, to, at, value);
  l_end(b);
  lower_kernel_end(l, l_int(b, to->extent / l->block));
}

static void copy_output(Lower *l, const Output *o, int index)
{
  Build *b = l->b;
  const Type *t = value_type(o->value);
  Type row = type_make(t->dtype, false, t->rank, t->dim);
  int64_t elems = type_elems(&row);
  Buffer *out = l_buffer(b, o->name, BUF_OUT, l->program->real, 0);
  out->index = index;
  out->type = t;
  lower_kernel(l, o->value.node, "rows", "rows", "output in row-major order, one row per sample");
  l->kernel->flops = 0;
  Coord c;
  coord_clear(&c);
  LExpr *at = l_int(b, 0);
  LExpr *i = l_var(b, l_loop(b, "i", l_var(b, l->kernel->lo), l_var(b, l->kernel->hi), 1, FOR_PLAIN));
  if (t->batched) {
    coord_set(&c, AXIS_BATCH, i, l->program->batch);
    at = l_muli(b, i, elems);
  }
  static const char *const axis_name[RANK_MAX] = { "a", "b", "c", "d", "e", "f", "g", "h" };
  int64_t tail = elems;
  for (int a = 0; a < t->rank; a++) {
    tail /= t->dim[a];
    LExpr *e = l_var(b, l_loop(b, axis_name[a], l_int(b, 0), l_int(b, t->dim[a]), 1, FOR_PLAIN));
    coord_set(&c, a, e, t->dim[a]);
    at = l_add(b, at, l_muli(b, e, tail));
  }
  l_store(b, lower_formal(l, out, true), at, l_cast(b, lower_load_scalar(l, o->value, &c), l->program->real));
  for (int a = 0; a < t->rank; a++)
    l_end(b);
  l_end(b);
  if (t->batched)
    lower_by_samples(l, 1);
  lower_kernel_end(l, t->batched ? lower_host_n(l) : l_int(b, 1));
}

/* ---- functions and programs ---- */

LExpr *lower_host_n(Lower *l) { return l_var(l->b, l->host_n); }

/* "conv kernel=5 [1, 28, 28] [6, 1, 5, 5] -> [6, 24, 24]; relu; f32 32 lanes": what the speed of an
 * operation's kernels depends on, as a key of measured tiles. */
static const char *tile_group(Lower *l, const Node *n)
{
  Out *o = out_new(l->arena);
  out_printf(o, "%s ", n->op->name);
  if (n->op->attrs)
    attrs_print(n->op->attrs, n->attrs, l->arena, o);
  for (uint32_t i = 0; i < n->nin + 1; i++) {
    const Type *t = i == n->nin ? &n->type[0] : n->in[i].node ? value_type(n->in[i]) : NULL;
    out_printf(o, "%s[", i == n->nin ? " -> " : " ");
    for (int k = 0; t && k < t->rank; k++)
      out_printf(o, "%s%" PRId64, k ? "x" : "", t->dim[k]);
    out_printf(o, "]");
  }
  out_printf(o, "%s; %s %" PRId64 " %s", with_fused(l, n, ""),
             l->program->real == DT_F64 ? "f64" : "f32", l->program->batch,
             l->d->family == FAMILY_LANES ? "lanes" : "channels");
  return out_text(o);
}

/* Through the hook of the operation; the kernels that it makes belong to the tiles it chooses. */
static void lower_nest(Lower *l, const Node *n)
{
  uint32_t first = l->calls.n;
  if (l->tiles)
    l->tiles->group = tile_group(l, n);
  n->op->lower(l, n, l->d->plan[n->id]);
  for (uint32_t i = first; l->tiles && i < l->calls.n; i++)
    tiles_add_kernel(l->tiles, l->calls.at[i]->kernel->name);
  if (l->tiles)
    l->tiles->group = NULL;
}

static void lower_graph(Lower *l, const Graph *g, const Decisions *d, HostKind host)
{
  l->graph = g;
  l->d = d;
  l->host = host;
  l->host_n = host_n_var(l);
  l->calls.n = 0;
  l->have = ARENA_ARRAY(l->arena, LExpr **, g->next_id);
  uint32_t norder = 0;
  uint32_t *order = schedule_order(l, &norder);
  bool *copied = ARENA_ARRAY(l->arena, bool, g->writes.n + 1);
  make_buffers(l, order, norder, copied);
  Node **by_id = ARENA_ARRAY(l->arena, Node *, g->next_id);
  for (uint32_t i = 0; i < g->order.n; i++)
    by_id[g->order.at[i]->id] = g->order.at[i];
  for (uint32_t i = 0; i < norder; i++) {
    const Node *n = by_id[order[i]];
    if (n->op->lower)
      lower_nest(l, n);
    else if (n->op->cls == OP_EWISE || n->op->cls == OP_SOURCE || n->op->cls == OP_VIEW)
      lower_ewise(l, n);
    else
      ice("operation '%s' cannot be lowered", n->op->name);
  }
  for (uint32_t i = 0; i < g->outputs.n; i++)
    copy_output(l, &g->outputs.at[i], (int)i);
  for (uint32_t i = 0; i < g->writes.n; i++)
    if (copied[i])
      copy_to_state(l, &g->writes.at[i]);
  schedule_host(l, l->host_n);
}

static void make_program_buffers(Lower *l, const Decisions *d)
{
  Program *p = l->program;
  int64_t offset = 0;
  l->state = ARENA_ARRAY(l->arena, Buffer *, p->state.n + 1);
  for (uint32_t i = 0; i < p->state.n; i++) {
    StateVar *v = &p->state.at[i];
    char *name = arena_strdup(l->arena, v->name);
    for (char *s = name; *s; s++)
      if (*s == '.')
        *s = '_';
    DType dtype = v->type.dtype;
    Buffer *b = l_buffer(l->b, name, BUF_STATE, dtype, align_up(layout_extent(&d->state[i]), l->block));
    b->type = &v->type;
    b->layout = &d->state[i];
    b->offset = offset;
    b->index = (int)i;
    offset = align_up(offset + b->extent * dtype_bytes(dtype), 64);
    l->state[i] = b;
  }
  l->module->state_bytes = (size_t)offset;
  l->rows = ARENA_ARRAY(l->arena, Buffer *, p->fields.n + 1);
  for (uint32_t i = 0; i < p->fields.n; i++) {
    l->rows[i] = l_buffer(l->b, p->fields.at[i].name, BUF_ROWS, p->fields.at[i].type.dtype, 0);
    l->rows[i]->index = (int)i;
    l->rows[i]->type = &p->fields.at[i].type;
  }
  l->ids = l_buffer(l->b, "ids", BUF_IDS, DT_U32, 0);
  l->args = l_buffer(l->b, "args", BUF_ARGS, DT_F64, ARG_COUNT);
}

Module *lower_program(const LowerArgs *a)
{
  Program *p = a->program;
  Module *m = ARENA_NEW(a->arena, Module);
  *m = (Module){ .arena = a->arena, .name = p->name, .real = p->real, .block = 64 / dtype_bytes(p->real),
                 .batch = p->batch };
  Lower l = { .arena = a->arena, .diag = a->diag, .sources = a->sources, .ops = a->ops, .target = a->target,
              .program = p, .module = m, .b = build_new(m), .block = m->block,
              .compact = a->compact, .tiles = a->tiles };
  const Graph *graph[HOST_COUNT] = { p->train, p->eval, p->infer };
  bool made = false;
  for (int h = 0; h < HOST_COUNT; h++) {
    if (!graph[h])
      continue;
    if (!made)
      make_program_buffers(&l, a->decisions[h]);
    made = true;
    lower_graph(&l, graph[h], a->decisions[h], (HostKind)h);
  }
  return diag_errors(a->diag) ? NULL : m;
}
