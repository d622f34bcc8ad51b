/* Formulas of values, and the derivatives of ops: an op's nodes are copied into a graph of their
 * own, differentiated as training does it, and its elementwise parts are put together. Sums and
 * maxima over indices keep lines of their own, with the indices of their gathers. */
#include "cmd/derive.h"
#include "base/str.h"
#include "ops/build.h"
#include "pass/autodiff.h"

#include <string.h>

/* ---- values as formulas ---- */

typedef struct { Derivation *d; const Node *n; } Operands;

static const Formula *operand(void *ctx, const char *word, bool marked)
{
  const Operands *p = ctx;
  Derivation *d = p->d;
  int i = op_word_index(p->n->op->operands, word, strlen(word));
  if (marked)
    return i >= 0 && (uint32_t)i < p->n->nin && p->n->in[i].node ? derive_value(d, p->n->in[i])
                                                                  : NULL;
  for (const AttrDef *a = p->n->op->attrs; a && a->name; a++)
    if (a->kind == ATTR_real && str_eq(a->name, word))
      return formula_number(d->arena, *(const double *)((const char *)p->n->attrs + a->offset));
  return NULL;
}

/* What stands right of the first "=", without the index that both sides have everywhere. */
static const char *right_side(Arena *a, const Node *n)
{
  const char *f = n->op->written ? n->op->written(a, n) : n->op->formula ? n->op->formula : "";
  const char *equal = strstr(f, " = "), *open = strchr(f, '[');
  char *text = equal ? arena_strdup(a, equal + 3) : arena_strdup(a, f);
  const char *index = open && equal && open < equal ? arena_strndup(a, open, (size_t)(equal - open))
                                                    : NULL;
  for (char *at = text; index && (at = strstr(at, index));)
    memmove(at, at + strlen(index), strlen(at + strlen(index)) + 1);
  return text;
}

static const Formula *constant_of(Derivation *d, Value v)
{
  double x;
  return value_is_const(v, &x) ? formula_number(d->arena, x) : NULL;
}

const Formula *derive_value(Derivation *d, Value v)
{
  const Node *n = v.node;
  if (n->id < d->nsymbol && d->symbol[n->id] && v.result == 0)
    return str_eq(d->symbol[n->id], "1") ? formula_number(d->arena, 1)
                                         : formula_symbol(d->arena, d->symbol[n->id]);
  const Formula *f = constant_of(d, v);
  if (!f && n->op->cls == OP_VIEW)
    return derive_value(d, n->in[0]);
  if (!f && n->op->cls != OP_SOURCE && v.result == 0) {
    Operands p = { d, n };
    f = formula_parse(d->arena, right_side(d->arena, n), operand, &p);
  }
  return f ? f : formula_symbol(d->arena, d->name(d->ctx, v));
}

const char *derive_text(Derivation *d, const Node *n, const char *text, const char *result)
{
  const char *s = "";
  for (const char *p = text; *p;) {
    if (*p != '$') {
      size_t n_plain = strcspn(p, "$");
      s = arena_printf(d->arena, "%s%.*s", s, (int)n_plain, p);
      p += n_plain;
      continue;
    }
    size_t len = strspn(p + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
    const char *word = arena_strndup(d->arena, p + 1, len);
    int i = op_word_index(n->op->operands, word, len);
    bool given = i >= 0 && (uint32_t)i < n->nin && n->in[i].node;
    const char *what = given ? formula_text(d->arena, derive_value(d, n->in[i])) : result;
    s = arena_printf(d->arena, "%s%s", s, what);
    p += len + 1;
  }
  return s;
}

/* ---- one op ---- */

enum { SHORT = 24 };            /* characters of a formula that may stand for its name */

typedef struct {
  Derivation d;
  const OpUse *use;
  Program *program;
  Graph *g;
  Value *copy;                  /* by id of the model's graph: result 0 here; or node NULL */
  uint32_t forward;             /* nodes of the op itself; behind them those of its gradient */
  bool sums;                    /* there are sums or maxima */
  int ntemp;
  Out *out;
} OpMath;

static Value state_named(OpMath *m, const char *name, const Type *like, bool trainable)
{
  Type t = type_make(m->program->real, false, like->rank, like->dim);
  StateVar *v = program_add_state(m->program, (StateVar){ .name = name, .type = t,
                                                          .role = STATE_PARAM,
                                                          .trainable = trainable });
  GBuild b = g_in_graph(m->g, name, (Span){ 0, 0 });
  return g_read(&b, v->id);
}

static const Literal *literal_of(const Node *n)
{
  for (const AttrDef *d = n->op->cls == OP_SOURCE ? n->op->attrs : NULL; d && d->name; d++)
    if (d->kind == ATTR_literal)
      return (const Literal *)((const char *)n->attrs + d->offset);
  return NULL;
}

static void copy_nodes(OpMath *m, const Graph *from)
{
  for (int i = 0; i < m->use->nin; i++) {
    Value v = m->use->in[i].value;
    m->copy[v.node->id] = state_named(m, m->use->in[i].name, value_type(v), true);
  }
  for (uint32_t i = 0; i < from->order.n; i++) {
    const Node *n = from->order.at[i];
    Value in[8];
    bool all = n->nin <= ARRAY_LEN(in) && !m->copy[n->id].node;
    for (uint32_t k = 0; all && k < n->nin; k++) {
      in[k] = n->in[k].node ? m->copy[n->in[k].node->id] : (Value){ NULL, 0 };
      all = in[k].node && n->in[k].result == 0;
    }
    bool own = n->name && !strncmp(n->name, m->use->path, strlen(m->use->path));
    if (!all || !(n->nin ? own : literal_of(n) != NULL))
      continue;
    GBuild b = g_in_graph(m->g, n->name, n->at);
    m->copy[n->id] = (Value){ g_node(&b, n->op, n->attrs, in, n->nin), 0 };
    m->sums = m->sums || n->op->cls == OP_NEST;
  }
}

/* "s" of the node "h.lrn.s.pow". */
static const char *statement_of(OpMath *m, const Node *n)
{
  const char *p = n->name ? n->name + strlen(m->use->path) : "";
  p += *p == '.';
  return arena_strndup(m->d.arena, p, strcspn(p, "."));
}

static bool is_input(const OpMath *m, const Node *n)
{
  (void)m;
  return n->op->cls == OP_SOURCE;
}

static void print_value(OpMath *m, Node *n, const char *name);

/* Operands of sums and maxima are symbols: others get lines of their own. */
static void name_operands(OpMath *m, const Node *n)
{
  for (uint32_t k = 0; k < n->nin; k++) {
    Node *from = n->in[k].node;
    if (!from || is_input(m, from) || m->d.symbol[from->id] || n->in[k].result)
      continue;
    while (from->op->cls == OP_VIEW)
      from = from->in[0].node;
    if (!m->d.symbol[from->id] && !is_input(m, from))
      print_value(m, from, NULL);
  }
}

/* Sums and maxima below an elementwise value come first. */
static void print_sums(OpMath *m, Node *n)
{
  if (!n || m->d.symbol[n->id] || n->op->cls == OP_SOURCE)
    return;
  if (n->op->cls == OP_NEST) {
    print_value(m, n, NULL);
    return;
  }
  for (uint32_t k = 0; k < n->nin; k++)
    print_sums(m, n->in[k].node);
}

static const char *fresh(OpMath *m, const char *name)
{
  return name ? name : arena_printf(m->d.arena, "t%d", ++m->ntemp);
}

/* A line for the value, after lines for what it needs; name NULL: t1, t2 .., or no line where the
 * value is a symbol anyway. */
static void print_value(OpMath *m, Node *n, const char *name)
{
  Arena *a = m->d.arena;
  if (n->op->cls == OP_NEST) {
    name_operands(m, n);
    name = fresh(m, name);
    const char *text = n->op->written ? n->op->written(a, n) : n->op->formula;
    out_printf(m->out, "  %s\n", derive_text(&m->d, n, text, name));
  } else {
    for (uint32_t k = 0; k < n->nin; k++)
      print_sums(m, n->in[k].node);
    const char *text = formula_text(a, derive_value(&m->d, (Value){ n, 0 }));
    bool line = name || strpbrk(text, " -^(");
    name = line ? fresh(m, name) : text;
    if (line)
      out_printf(m->out, "  %s = %s\n", name, text);
  }
  m->d.symbol[n->id] = name;
}

/* Values of statements, but not what only its own statement reads. */
static bool ends_statement(OpMath *m, const Node *n)
{
  for (uint32_t i = 0; i < m->forward; i++) {
    const Node *user = m->g->order.at[i];
    for (uint32_t k = 0; k < user->nin; k++)
      if (user->in[k].node == n && !str_eq(statement_of(m, user), statement_of(m, n)))
        return true;
  }
  for (int i = 0; i < m->use->nout; i++)
    if (m->copy[m->use->out[i].value.node->id].node == n)
      return true;
  return false;
}

static void print_forward(OpMath *m)
{
  for (uint32_t i = 0; i < m->forward; i++) {
    Node *n = m->g->order.at[i];
    if (!is_input(m, n) && ends_statement(m, n))
      print_value(m, n, statement_of(m, n));
  }
}

/* "dz/dx = 1 / x" where everything is elementwise, else "dx[m] = sum_{i} .." with dz as given. */
static void print_gradients(OpMath *m, const Value *of)
{
  Arena *a = m->d.arena;
  Node *y = m->copy[m->use->out[0].value.node->id].node;
  const char *result = m->d.symbol[y->id];
  m->d.symbol[y->id] = NULL;    /* a short result stands as it is in its derivative */
  if (m->sums || strlen(formula_text(a, derive_value(&m->d, (Value){ y, 0 }))) > SHORT)
    m->d.symbol[y->id] = result;
  for (int i = 0; i < m->use->nin; i++) {
    uint32_t s;
    const char *name = m->use->in[i].name;
    if (!value_state(m->copy[m->use->in[i].value.node->id], &s) || !of[s].node)
      continue;
    if (!m->sums)
      name = arena_printf(a, "d%s/d%s", m->use->out[0].name, name);
    else
      name = arena_printf(a, "d%s", name);
    Node *n = of[s].node;
    while (n->op->cls == OP_VIEW)
      n = n->in[0].node;
    if (m->d.symbol[n->id])
      out_printf(m->out, "  %s = %s\n", name, m->d.symbol[n->id]);
    else
      print_value(m, n, name);
    if (!m->sums && n->id >= m->forward)
      m->d.symbol[n->id] = NULL;
  }
}

/* The second result of a maximum: where it is; the numbers of a constant. */
static const char *nameless(void *ctx, Value v)
{
  const OpMath *m = ctx;
  const char *name = m->d.symbol[v.node->id], *text = "(";
  const Literal *l = literal_of(v.node);
  for (int64_t i = 0; l && i < l->dim[0]; i++)
    if (i < 3 || i == l->dim[0] - 1)
      text = arena_printf(m->d.arena, "%s%s%s%.6g", text, i ? ", " : "",
                          i > 2 && l->dim[0] > 4 ? ".., " : "", l->value[i]);
  if (l)
    return arena_printf(m->d.arena, "%s)", text);
  return v.result && name ? arena_printf(m->d.arena, "argmax_%s", name) : v.node->op->name;
}

static void print_head(OpMath *m, const Compilation *c)
{
  const char *at = source_at(c->sources, m->d.arena, m->use->at), *slash = strrchr(at, '/');
  out_printf(m->out, "\n# op %s(", m->use->name);
  for (int i = 0; i < m->use->nin; i++)
    out_printf(m->out, "%s%s", i ? ", " : "", m->use->in[i].name);
  out_printf(m->out, ")  %s\n", slash ? slash + 1 : at);
}

/* A gradient for each result comes from behind: 1 where that leaves the derivative itself. */
static Value loss_of(OpMath *m)
{
  GBuild b = g_in_graph(m->g, "loss", (Span){ 0, 0 });
  Value loss = { NULL, 0 };
  for (int i = 0; i < m->use->nout; i++) {
    Value y = m->copy[m->use->out[i].value.node->id];
    const char *name = arena_printf(m->d.arena, "d%s", m->use->out[i].name);
    Value dy = m->sums || m->use->nout > 1 ? state_named(m, name, value_type(y), false)
                                           : g_const(&b, 1);
    Value sum = g_sum(&b, g_mul(&b, y, dy));
    loss = loss.node ? g_add(&b, loss, sum) : sum;
  }
  return loss;
}

static void derive_op(const Compilation *c, const OpUse *use, Out *o)
{
  Arena *a = c->arena;
  OpMath m = { .d = { .arena = a, .name = nameless }, .use = use, .out = o };
  m.d.ctx = &m;
  m.program = ARENA_NEW(a, Program);
  *m.program = (Program){ .arena = a, .name = use->name, .real = c->program->real, .batch = 1 };
  m.g = graph_new(m.program, "op");
  m.copy = ARENA_ARRAY(a, Value, c->model->forward->next_id + 1);
  copy_nodes(&m, c->model->forward);
  for (int i = 0; i < use->nout; i++)
    if (!m.copy[use->out[i].value.node->id].node)
      return;                   /* a result that is an input: nothing to derive */
  m.forward = m.g->order.n;
  m.sums = m.sums || use->nout > 1;
  Value loss = loss_of(&m);
  Value *of = autodiff(m.g, loss, ops_table(), c->diag);
  m.d.nsymbol = m.g->next_id;
  m.d.symbol = ARENA_ARRAY(a, const char *, m.g->next_id + 1);
  for (uint32_t i = 0; i < m.g->order.n; i++) {
    uint32_t s;
    if (value_state((Value){ m.g->order.at[i], 0 }, &s))
      m.d.symbol[i] = m.program->state.at[s].name;
  }
  print_head(&m, c);
  print_forward(&m);
  print_gradients(&m, of);
}

void derive_ops(const Compilation *c, Out *o)
{
  for (int i = 0; i < c->model->nop; i++)
    derive_op(c, &c->model->op[i], o);
}
