/* From the model's graph to boxes and edges. Layers of one statement that follow each other without
 * a branch share a box; views, casts and input pipelines belong to what they come from. */
#include "cmd/diagram.h"
#include "base/str.h"
#include "ir/attr_text.h"
#include <string.h>

/* What each node stands in: its box, or for nodes that are none the boxes that feed it. */
typedef struct {
  Diagram *d;
  const Model *m;
  VEC(int) *from;               /* by node id: boxes whose values it holds */
  uint32_t *uses;               /* by node id: operands of other nodes */
  int *last;                    /* by box: id of the node that its last line shows */
} Build;

/* Nodes of input pipelines carry the name of their field. */
static bool is_layer(const Program *p, const Node *n)
{
  for (uint32_t i = 0; i < p->fields.n; i++)
    if (str_eq(n->name, p->fields.at[i].name))
      return false;
  return n->name && ((n->op->flags & (OP_LAYER | OP_LOSS)) || n->op->written);
}

/* "h0_1.a" of "h0_1.a.conv1"; NULL: the layer has a name of its own, `as norm`. */
static const char *scope_of(Arena *a, const char *name)
{
  const char *dot = strrchr(name, '.');
  return dot ? arena_strndup(a, name, (size_t)(dot - name)) : NULL;
}

static const char *shape_of(Arena *a, const Type *t)
{
  Out *o = out_new(a);
  for (int i = 0; i < t->rank; i++)
    out_printf(o, "%s%lld", i ? "\xc3\x97" : "", (long long)t->dim[i]);
  return t->rank ? out_text(o) : "1";
}

static int64_t params_of(const Program *p, const Node *n)
{
  int64_t sum = 0;
  for (uint32_t i = 0; i < n->nin; i++) {
    const Node *m = n->in[i].node;
    const AttrDef *a = m && m->op->cls == OP_SOURCE ? attrs_find(m->op->attrs, "state") : NULL;
    if (!a)
      continue;
    const StateVar *v = &p->state.at[*(const int64_t *)((const char *)m->attrs + a->offset)];
    sum += v->role == STATE_PARAM ? type_elems(&v->type) : 0;
  }
  return sum;
}

static int add_box(Build *b, BoxKind kind, const char *name, const char *shape)
{
  DiagramBox box = { .kind = kind, .name = name, .shape = shape, .group = -1 };
  vec_push(b->d->arena, &b->d->box, box);
  return (int)b->d->box.n - 1;
}

static void add_edge(Build *b, int from, int to)
{
  for (uint32_t i = 0; i < b->d->edge.n; i++)
    if (b->d->edge.at[i].from == from && b->d->edge.at[i].to == to)
      return;
  DiagramEdge e = { from, to, 0 };
  vec_push(b->d->arena, &b->d->edge, e);
}

static void come_from(Build *b, uint32_t id, int box)
{
  for (uint32_t i = 0; i < b->from[id].n; i++)
    if (b->from[id].at[i] == box)
      return;
  vec_push(b->d->arena, &b->from[id], box);
}

/* ---- inputs ---- */

static const FieldSpec *field_of(const Model *m, int64_t field)
{
  for (int i = 0; m->data && i < m->data->nfield; i++)
    if (m->data->field[i].field == field)
      return &m->data->field[i];
  return NULL;
}

static void add_input(Build *b, const Node *n)
{
  const AttrDef *def = attrs_find(n->op->attrs, "field");
  if (!def)
    return;
  int64_t field = *(const int64_t *)((const char *)n->attrs + def->offset);
  const FieldSpec *f = field_of(b->m, field);
  const Type *t = f && f->value.node ? value_type(f->value) : &n->type[0];
  int box = add_box(b, BOX_INPUT, b->m->program->fields.at[field].name,
                    shape_of(b->d->arena, t));
  DiagramLine line = { f && f->is_label ? "label" : "input", type_user(b->d->arena, t) };
  vec_push(b->d->arena, &b->d->box.at[box].line, line);
  come_from(b, n->id, box);
}

/* ---- layers ---- */

/* The box that a layer continues: its only feeder's, when that is of the same statement (scope
 * NULL: of any) and nobody else reads what it gives; or -1. */
static int continued(const Build *b, const Node *n, const char *scope)
{
  int feeder = -1;
  for (uint32_t i = 0; i < n->nin; i++) {
    const Node *m = n->in[i].node;
    if (!m || b->from[m->id].n == 0)
      continue;
    if (feeder >= 0 || b->from[m->id].n > 1)
      return -1;
    feeder = b->from[m->id].at[0];
    while (m->id != (uint32_t)b->last[feeder] && m->nin == 1 && b->uses[m->id] == 1)
      m = m->in[0].node;
    if (m->id != (uint32_t)b->last[feeder] || b->uses[m->id] != 1)
      return -1;
  }
  if (feeder < 0)
    return -1;
  const DiagramBox *box = &b->d->box.at[feeder];
  bool same = !scope || str_eq(box->name, scope);
  return box->kind == BOX_LAYERS && same ? feeder : -1;
}

/* Lists whose items are all the same are written as one: "pad=[2, 2, 2, 2]" is "pad=2". */
static const char *compact(Arena *a, const char *s)
{
  Out *o = out_new(a);
  while (*s) {
    size_t inside = *s == '[' ? strcspn(s + 1, "[]") : 0, item = inside ? strcspn(s + 1, ",]") : 0;
    const char *list = s + 1, *end = list + inside, *p = list;
    while (inside && p < end && !strncmp(p, list, item) && (p[item] == ',' || p + item == end))
      p += p + item == end ? item : item + strspn(p + item, ", ");
    if (inside && *end == ']' && p == end) {
      out_bytes(o, list, item);
      s = end + 1;
    } else {
      out_bytes(o, s++, 1);
    }
  }
  return out_text(o);
}

static void add_layer(Build *b, const Node *n)
{
  Arena *a = b->d->arena;
  const char *scope = scope_of(a, n->name);
  bool loss = (n->op->flags & OP_LOSS) != 0;
  int box = loss ? -1 : continued(b, n, scope);
  if (box < 0) {
    box = add_box(b, loss ? BOX_LOSS : BOX_LAYERS, scope ? scope : n->name, "");
    for (uint32_t i = 0; i < n->nin; i++)
      for (uint32_t k = 0; n->in[i].node && k < b->from[n->in[i].node->id].n; k++)
        add_edge(b, b->from[n->in[i].node->id].at[k], box);
  }
  Out *how = out_new(a);
  if (n->attrs)
    attrs_print(n->op->attrs, n->attrs, a, how);
  if (!scope)
    out_printf(how, "%sas %s", out_length(how) ? ", " : "", n->name);
  DiagramLine line = { n->op->name, compact(a, out_text(how)) };
  DiagramBox *to = &b->d->box.at[box];
  vec_push(a, &to->line, line);
  to->params += params_of(b->m->program, n);
  to->shape = shape_of(a, &n->type[0]);
  b->last[box] = (int)n->id;
  come_from(b, n->id, box);
}

static void add_node(Build *b, const Node *n)
{
  if (n->op->cls == OP_SOURCE) {
    add_input(b, n);
  } else if (is_layer(b->m->program, n)) {
    add_layer(b, n);
  } else {
    for (uint32_t i = 0; i < n->nin; i++)
      for (uint32_t k = 0; n->in[i].node && k < b->from[n->in[i].node->id].n; k++)
        come_from(b, n->id, b->from[n->in[i].node->id].at[k]);
  }
}

static void add_outputs(Build *b)
{
  for (int i = 0; i < b->m->ninfer; i++) {
    const NamedValue *v = &b->m->infer[i];
    int box = add_box(b, BOX_OUTPUT, v->name, shape_of(b->d->arena, value_type(v->value)));
    DiagramLine line = { "output", type_user(b->d->arena, value_type(v->value)) };
    vec_push(b->d->arena, &b->d->box.at[box].line, line);
    for (uint32_t k = 0; k < b->from[v->value.node->id].n; k++)
      add_edge(b, b->from[v->value.node->id].at[k], box);
  }
}

/* Takes out the boxes that nobody reads and that read nothing: fields of metrics alone. */
static void drop_idle(Diagram *d)
{
  int *place = ARENA_ARRAY(d->arena, int, d->box.n + 1);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < d->box.n; i++) {
    bool used = d->box.at[i].kind != BOX_INPUT;
    for (uint32_t k = 0; k < d->edge.n; k++)
      used = used || d->edge.at[k].from == (int)i;
    place[i] = (int)kept;
    if (used)
      d->box.at[kept++] = d->box.at[i];
  }
  d->box.n = kept;
  for (uint32_t k = 0; k < d->edge.n; k++) {
    d->edge.at[k].from = place[d->edge.at[k].from];
    d->edge.at[k].to = place[d->edge.at[k].to];
  }
}

/* ---- groups and rows ---- */

static const char *first_word(Arena *a, const char *name)
{
  return arena_strndup(a, name, strcspn(name, "."));
}

/* Boxes of one call of a block: those with the same first word, when one has more than it. */
static void find_groups(Diagram *d)
{
  for (uint32_t i = 0; i < d->box.n; i++) {
    if (d->box.at[i].kind != BOX_LAYERS)
      continue;
    const char *word = first_word(d->arena, d->box.at[i].name);
    int boxes = 0;
    bool inside = false;
    for (uint32_t k = 0; k < d->box.n; k++)
      if (d->box.at[k].kind == BOX_LAYERS &&
          str_eq(first_word(d->arena, d->box.at[k].name), word)) {
        boxes++;
        inside = inside || strchr(d->box.at[k].name, '.');
      }
    if (boxes < 2 || !inside || d->box.at[i].group >= 0)
      continue;
    DiagramGroup g = { word, boxes };
    vec_push(d->arena, &d->group, g);
    for (uint32_t k = 0; k < d->box.n; k++)
      if (d->box.at[k].kind == BOX_LAYERS && str_eq(first_word(d->arena, d->box.at[k].name), word))
        d->box.at[k].group = (int)d->group.n - 1;
  }
}

/* A box stands below all that it reads; boxes are in an order that readers follow. An input stands
 * right above its first reader. */
static void find_rows(Diagram *d)
{
  for (uint32_t i = 0; i < d->box.n; i++)
    for (uint32_t k = 0; k < d->edge.n; k++) {
      const DiagramEdge *e = &d->edge.at[k];
      if (e->to == (int)i && d->box.at[e->from].rank >= d->box.at[i].rank)
        d->box.at[i].rank = d->box.at[e->from].rank + 1;
    }
  for (uint32_t i = 0; i < d->box.n; i++) {
    int first = -1;
    for (uint32_t k = 0; k < d->edge.n; k++)
      if (d->edge.at[k].from == (int)i &&
          (first < 0 || d->box.at[d->edge.at[k].to].rank < first))
        first = d->box.at[d->edge.at[k].to].rank;
    if (d->box.at[i].kind == BOX_INPUT && first > 0)
      d->box.at[i].rank = first - 1;
    d->rows = d->box.at[i].rank >= d->rows ? d->box.at[i].rank + 1 : d->rows;
  }
}

Diagram *diagram_new(const Model *m, Arena *a)
{
  Diagram *d = ARENA_NEW(a, Diagram);
  const Graph *g = m->forward;
  *d = (Diagram){ .arena = a, .name = m->program->name, .file = m->file };
  Build b = { .d = d, .m = m, .uses = graph_use_counts(g, a) };
  b.from = arena_alloc(a, sizeof *b.from * (g->next_id + 1));
  b.last = ARENA_ARRAY(a, int, g->next_id + (uint32_t)m->ninfer + 1);
  for (uint32_t i = 0; i < g->order.n; i++)
    add_node(&b, g->order.at[i]);
  add_outputs(&b);
  drop_idle(d);
  find_groups(d);
  find_rows(d);
  for (uint32_t i = 0; i < d->box.n; i++)
    d->params += d->box.at[i].params;
  return d;
}
