/* Checks programs and graphs. Run after every pass and on every text that was read, so it assumes
 * nothing: it must find each fault before anything that would crash on it. Linear but for names of
 * state. */
#include "ir/verify.h"
#include "base/str.h"
#include "ir/attr_text.h"
#include "ir/ctx.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 400, OPERANDS_MAX = 256 };

typedef struct {
  const Graph *g;
  Arena *arena;
  const Node **defined;         /* by node id; NULL: not yet met */
} Check;

static const char *fault(const Check *c, const Node *n, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static const char *fault(const Check *c, const Node *n, const char *fmt, ...)
{
  char text[MESSAGE_MAX];
  va_list ap;
  va_start(ap, fmt);
  if (vsnprintf(text, sizeof text, fmt, ap) < 0)
    ice("verify: the format cannot be printed");
  va_end(ap);
  if (!n)
    return arena_printf(c->arena, "graph '%s': %s", c->g->name, text);
  return arena_printf(c->arena, "graph '%s', node %%%u = %s: %s", c->g->name, n->id,
                      n->op ? n->op->name : "?", text);
}

/* ---- types ---- */

static const char *type_fault(const Type *t)
{
  if ((int)t->dtype < 0 || t->dtype >= DT_COUNT)
    return "has no element type";
  if (t->rank < 0 || t->rank > RANK_MAX)
    return "has an impossible rank";
  for (int i = 0; i < t->rank; i++)
    if (t->dim[i] < 1)
      return "has a dimension below 1";
  return type_elems(t) < 0 ? "has too many elements" : NULL;
}

/* ---- nodes ---- */

static bool is_optional(const OpDef *op, uint32_t i)
{
  const char *s = op->operands ? op->operands : "";
  uint32_t k = 0;
  while (*s) {
    while (*s == ' ')
      s++;
    const char *end = s;
    while (*end && *end != ' ')
      end++;
    if (end > s && (end[-1] == '*' || (k == i && end[-1] == '?')))
      return k <= i;
    k++;
    s = end;
  }
  return false;
}

static bool takes_any(const OpDef *op) { return is_optional(op, UINT32_MAX); }

static const char *check_operands(const Check *c, const Node *n)
{
  uint32_t names = (uint32_t)op_operand_count(n->op);
  if (n->nin > OPERANDS_MAX || (n->nin > names && !takes_any(n->op)))
    return fault(c, n, "has %u operands", n->nin);
  for (uint32_t i = 0; i < n->nin; i++) {
    const Node *from = n->in[i].node;
    if (!from && !is_optional(n->op, i))
      return fault(c, n, "operand %u is missing", i);
    if (!from)
      continue;
    if (from->id >= c->g->next_id || c->defined[from->id] != from)
      return fault(c, n, "operand %u is used before it is defined", i);
    if (n->in[i].result >= from->nout)
      return fault(c, n, "operand %u is a result that does not exist", i);
  }
  for (uint32_t i = n->nin; i < names; i++)
    if (!is_optional(n->op, i))
      return fault(c, n, "operand %u is missing", i);
  return NULL;
}

static const char *check_types(const Check *c, const Node *n)
{
  Arena *a = c->arena;
  Type *in = ARENA_ARRAY(a, Type, n->nin + 1), *out = ARENA_ARRAY(a, Type, n->nout + 1);
  for (uint32_t i = 0; i < n->nout; i++) {
    const char *what = type_fault(&n->type[i]);
    if (what)
      return fault(c, n, "result %u %s", i, what);
  }
  for (uint32_t i = 0; i < n->nin; i++)
    in[i] = n->in[i].node ? *value_type(n->in[i]) : (Type){ .dtype = DT_COUNT };
  Infer infer = {
    .arena = a, .real = c->g->program->real, .in = in, .nin = n->nin, .program = c->g->program
  };
  if (!n->op->infer(&infer, n, out))
    return fault(c, n, "does not take these operands");
  for (uint32_t i = 0; i < n->nout; i++)
    if (!type_equal(&out[i], &n->type[i]))
      return fault(c, n, "result %u is %s but should be %s", i, type_text(a, &n->type[i]),
                   type_text(a, &out[i]));
  return NULL;
}

static const char *check_node(const Check *c, const Node *n)
{
  if (!n->op)
    return fault(c, n, "has no operation");
  if (n->id >= c->g->next_id || c->defined[n->id])
    return fault(c, n, "its number is taken or too large");
  if (n->op->cls == OP_RULE)
    return fault(c, n, "an update rule is not a tensor operation");
  if (!n->attrs && n->op->attrs_size)
    return fault(c, n, "has no attributes");
  if (n->nout != (uint32_t)op_result_count(n->op))
    return fault(c, n, "has %u results", n->nout);
  if (!n->op->infer)
    return fault(c, n, "cannot be inferred");
  const char *what = check_operands(c, n);
  return what ? what : check_types(c, n);
}

/* ---- graphs ---- */

static bool is_defined(const Check *c, Value v)
{
  return v.node && v.node->id < c->g->next_id && c->defined[v.node->id] == v.node &&
         v.result < v.node->nout;
}

static const char *check_writes(const Check *c)
{
  const Graph *g = c->g;
  const Program *p = g->program;
  bool *written = ARENA_ARRAY(c->arena, bool, p->state.n + 1);
  for (uint32_t i = 0; i < g->writes.n; i++) {
    const Write *w = &g->writes.at[i];
    if (w->state >= p->state.n)
      return fault(c, NULL, "write %u goes to no state variable", i);
    const StateVar *v = &p->state.at[w->state];
    if (written[w->state])
      return fault(c, NULL, "'%s' is written twice", v->name);
    written[w->state] = true;
    if (!is_defined(c, w->value))
      return fault(c, NULL, "the value written to '%s' is not in the graph", v->name);
    if (!type_equal(value_type(w->value), &v->type))
      return fault(c, NULL, "'%s' is %s but %s is written", v->name, type_text(c->arena, &v->type),
                   type_text(c->arena, value_type(w->value)));
  }
  return NULL;
}

static const char *check_outputs(const Check *c)
{
  const Graph *g = c->g;
  for (uint32_t i = 0; i < g->outputs.n; i++) {
    const Output *o = &g->outputs.at[i];
    if (!o->name)
      return fault(c, NULL, "output %u has no name", i);
    if (!is_defined(c, o->value))
      return fault(c, NULL, "output '%s' is not in the graph", o->name);
  }
  return NULL;
}

const char *graph_verify(const Graph *g, Arena *a)
{
  if (!g->name || !g->program)
    return "a graph has no name or no program";
  Check c = { .g = g, .arena = a, .defined = ARENA_ARRAY(a, const Node *, g->next_id + 1) };
  for (uint32_t i = 0; i < g->order.n; i++) {
    const char *what = check_node(&c, g->order.at[i]);
    if (what)
      return what;
    c.defined[g->order.at[i]->id] = g->order.at[i];
  }
  const char *what = check_writes(&c);
  return what ? what : check_outputs(&c);
}

/* ---- programs ---- */

static int compare_names(const void *x, const void *y)
{
  const StateVar *const *a = x, *const *b = y;
  return strcmp((*a)->name, (*b)->name);
}

static const char *check_state(const Program *p, const StateVar *v, uint32_t i, Arena *a)
{
  if (!v->name || v->id != i)
    return arena_printf(a, "state variable %u has no name or another number", i);
  if (v->type.batched || type_fault(&v->type) || v->type.dtype != p->real)
    return arena_printf(a, "state variable '%s' has the wrong type", v->name);
  if ((int)v->init.kind < 0 || v->init.kind >= INIT_COUNT)
    return arena_printf(a, "state variable '%s' has no initialiser", v->name);
  if (v->trainable && v->role != STATE_PARAM)
    return arena_printf(a, "state variable '%s' is trainable but no parameter", v->name);
  if (v->role == STATE_SLOT &&
      (v->slot_of >= p->state.n || p->state.at[v->slot_of].role != STATE_PARAM))
    return arena_printf(a, "slot '%s' belongs to no parameter", v->name);
  if (v->init.kind != INIT_GIVEN)
    return NULL;
  Type given = v->type;
  given.rank = v->given.rank;
  for (int k = 0; v->given.value && given.rank >= 0 && given.rank <= RANK_MAX && k < given.rank;
       k++)
    given.dim[k] = v->given.dim[k];
  if (!v->given.value || !type_equal(&given, &v->type))
    return arena_printf(a, "the values given for '%s' have another shape", v->name);
  return NULL;
}

static const char *check_states(const Program *p, Arena *a)
{
  const StateVar **sorted = ARENA_ARRAY(a, const StateVar *, p->state.n + 1);
  for (uint32_t i = 0; i < p->state.n; i++) {
    const char *what = check_state(p, &p->state.at[i], i, a);
    if (what)
      return what;
    sorted[i] = &p->state.at[i];
  }
  qsort(sorted, p->state.n, sizeof *sorted, compare_names);
  for (uint32_t i = 1; i < p->state.n; i++)
    if (str_eq(sorted[i - 1]->name, sorted[i]->name))
      return arena_printf(a, "two state variables are called '%s'", sorted[i]->name);
  return NULL;
}

const char *program_verify(const Program *p, Arena *a)
{
  const Graph *const graphs[] = { p->train, p->eval, p->infer };
  if (!dtype_is_real(p->real) || p->batch < 1)
    return "the program has no real type or no batch";
  for (uint32_t i = 0; i < p->fields.n; i++)
    if (!p->fields.at[i].name || !p->fields.at[i].type.batched || type_fault(&p->fields.at[i].type))
      return arena_printf(a, "field %u has no name or the wrong type", i);
  const char *what = check_states(p, a);
  for (size_t i = 0; !what && i < ARRAY_LEN(graphs); i++)
    if (graphs[i])
      what = graphs[i]->program == p ? graph_verify(graphs[i], a)
                                     : "a graph belongs to another program";
  return what;
}
