/* The rule of backpropagation for the user's own dense layers: layer k gives
 * a_k = W_k h_(k-1) + b_k, what follows makes h_k = g(a_k) of it, and delta_k is the gradient of
 * the loss towards a_k. Which operations are products of matrices, and which of them are gradients,
 * says their `matrix` text and their operand `dy`. */
#include "base/str.h"
#include "cmd/derive.h"
#include "ops/build.h"

#include <string.h>

enum { LAYERS_MAX = 200 };

typedef struct {
  const Node *node;             /* the product of layer k = index + 1 */
  Value delta;                  /* node NULL: the layer is frozen and nothing before it learns */
  const Node *back, *dw, *db;   /* what its delta goes into; or NULL */
} LayerMath;

typedef struct {
  Derivation d;
  const Compilation *c;
  const Graph *g;
  LayerMath layer[LAYERS_MAX];
  int n;
  Out *out;
} Backprop;

static int operand_named(const Node *n, const char *name, Arena *a)
{
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node && str_eq(op_operand_name(n->op, a, i), name))
      return (int)i;
  return -1;
}

static LayerMath *layer_called(Backprop *b, const char *name)
{
  for (int i = 0; i < b->n; i++)
    if (name && str_eq(b->layer[i].node->name, name))
      return &b->layer[i];
  return NULL;
}

static void find_layers(Backprop *b)
{
  Arena *a = b->d.arena;
  for (uint32_t i = 0; i < b->g->order.n; i++) {
    const Node *n = b->g->order.at[i];
    LayerMath *l = layer_called(b, n->name);
    int dy = operand_named(n, "dy", a);
    if (!n->op->matrix)
      continue;
    if (!l && n->op->params && b->n < LAYERS_MAX)
      b->layer[b->n++] = (LayerMath){ .node = n };
    else if (l && dy >= 0)
      l->delta = n->in[dy];
    if (l && dy >= 0 && n->type[0].batched)
      l->back = n;
    else if (l && dy >= 0)
      l->dw = n;
    else if (l && n != l->node && n->nin == 1 && value_equal(n->in[0], l->delta))
      l->db = n;
  }
}

static void set_symbol(Backprop *b, const Node *n, const char *text)
{
  b->d.symbol[n->id] = text;
}

/* The layer whose product the value is made from, element by element; 0: none or several. */
static int layer_behind(Backprop *b, Value v)
{
  for (int i = 0; i < b->n; i++)
    if (b->layer[i].node == v.node)
      return i + 1;
  if (v.node->op->cls == OP_VIEW)
    return layer_behind(b, v.node->in[0]);
  int found = 0;
  for (uint32_t k = 0; v.node->op->cls == OP_EWISE && k < v.node->nin; k++) {
    int i = layer_behind(b, v.node->in[k]);
    if (i && found && i != found)
      return 0;
    found = i ? i : found;
  }
  return found;
}

static void name_values(Backprop *b)
{
  Arena *a = b->d.arena;
  for (int k = 0; k < b->n; k++) {
    const Node *n = b->layer[k].node;
    int w = operand_named(n, "w", a), bias = operand_named(n, "b", a);
    set_symbol(b, n, arena_printf(a, "a_%d", k + 1));
    if (w >= 0)
      set_symbol(b, n->in[w].node, arena_printf(a, "W_%d", k + 1));
    if (bias >= 0)
      set_symbol(b, n->in[bias].node, arena_printf(a, "b_%d", k + 1));
  }
}

static const char *place(Backprop *b, const Node *n)
{
  const char *at = source_at(b->c->sources, b->d.arena, n->at), *slash = strrchr(at, '/');
  return slash ? slash + 1 : at;
}

static void line(Backprop *b, const char *text, const Node *n)
{
  out_printf(b->out, "  %-58s  # %s  %s\n", text, n->name ? n->name : n->op->name, place(b, n));
}

static void print_forward(Backprop *b)
{
  Arena *a = b->d.arena;
  for (int k = 0; k < b->n; k++) {
    const Node *n = b->layer[k].node;
    Value x = n->in[0];
    int before = layer_behind(b, x);
    bool made = x.node->op->cls != OP_SOURCE && x.node->op->cls != OP_VIEW;
    if (made && !b->d.symbol[x.node->id]) {
      const char *h = arena_printf(a, "h_%d", before ? before : k);
      line(b, arena_printf(a, "%s = %s", h, formula_text(a, derive_value(&b->d, x))), x.node);
      set_symbol(b, x.node, h);
    }
    int bias = operand_named(n, "b", a);
    line(b, arena_printf(a, "a_%d = %s%s", k + 1, derive_text(&b->d, n, n->op->matrix, ""),
                         bias >= 0 ? arena_printf(a, " + b_%d", k + 1) : ""), n);
  }
}

/* The gradient that goes back from another layer, when the delta is that times a factor. */
static LayerMath *source_of(Backprop *b, Value v)
{
  LayerMath *found = NULL;
  for (int i = 0; i < b->n; i++)
    if (b->layer[i].back && b->layer[i].back == v.node)
      return &b->layer[i];
  for (uint32_t k = 0; v.node->op->cls != OP_NEST && k < v.node->nin; k++) {
    LayerMath *l = v.node->in[k].node && !b->d.symbol[v.node->in[k].node->id]
                       ? source_of(b, v.node->in[k]) : NULL;
    if (l && found && l != found)
      return NULL;
    found = l ? l : found;
  }
  return found;
}

static void print_delta(Backprop *b, int k)
{
  Arena *a = b->d.arena;
  LayerMath *l = &b->layer[k], *next = source_of(b, l->delta);
  const char *text;
  if (next) {
    set_symbol(b, next->back, "1");
    const char *slope = formula_text(a, derive_value(&b->d, l->delta));
    const char *product = derive_text(&b->d, next->back, next->back->op->matrix, "");
    set_symbol(b, next->back, product);
    text = str_eq(slope, "1") ? arena_printf(a, "delta_%d = %s", k + 1, product)
                              : arena_printf(a, "delta_%d = g'(a_%d) * %s,  g'(a_%d) = %s", k + 1,
                                             k + 1, product, k + 1, slope);
  } else {
    text = arena_printf(a, "delta_%d = %s", k + 1, formula_text(a, derive_value(&b->d, l->delta)));
  }
  line(b, text, l->delta.node);
  set_symbol(b, l->delta.node, arena_printf(a, "delta_%d", k + 1));
}

/* What the parameter behind operand `name` becomes; nothing where that is no short formula. */
static void print_update(Backprop *b, int k, const Node *made, const char *name, const char *letter)
{
  Arena *a = b->d.arena;
  const Node *n = b->layer[k].node;
  int at = operand_named(n, name, a);
  uint32_t s;
  if (!made || at < 0 || !value_state(n->in[at], &s))
    return;
  line(b, arena_printf(a, "d%s_%d = %s", letter, k + 1,
                       derive_text(&b->d, made, made->op->matrix, "")), made);
  set_symbol(b, made, arena_printf(a, "d%s_%d", letter, k + 1));
  for (uint32_t i = 0; i < b->g->writes.n; i++) {
    const Write *w = &b->g->writes.at[i];
    if (w->state != s)
      continue;
    const char *text = formula_text(a, derive_value(&b->d, w->value));
    if (strlen(text) < 60)
      line(b, arena_printf(a, "%s_%d' = %s", letter, k + 1, text), w->value.node);
  }
}

void derive_layers(const Compilation *c, const char *(*name)(void *ctx, Value v), Out *o)
{
  const Graph *g = c->program->train;
  Backprop b = { .d = { .arena = c->arena, .name = name, .ctx = (void *)(uintptr_t)c }, .c = c,
                 .g = g, .out = o };
  if (!g)
    return;
  b.d.nsymbol = g->next_id;
  b.d.symbol = ARENA_ARRAY(c->arena, const char *, g->next_id + 1);
  find_layers(&b);
  if (b.n == 0 || !b.layer[b.n - 1].delta.node)
    return;
  name_values(&b);
  out_printf(o, "\n# Backpropagation: delta_k, the gradient towards a_k, is g'(a_k) * W_(k+1)^T "
             "delta_(k+1)\n");
  print_forward(&b);
  for (int k = b.n; k-- > 0 && b.layer[k].delta.node;) {
    print_delta(&b, k);
    print_update(&b, k, b.layer[k].dw, "w", "W");
    print_update(&b, k, b.layer[k].db, "b", "b");
  }
}
