/* What hooks of operations may call while shapes are inferred, parameters declared, gradients
 * collected and macros expanded. Codes: E0201 shapes disagree or an operand is missing, E0207
 * element types, E0208 given values of a wrong shape. */
#include "ir/ctx.h"
#include "base/out.h"

#include <stdarg.h>
#include <stdio.h>

enum { MESSAGE_MAX = 1000 };

/* ---- infer ---- */

static bool is_given(const Infer *c, uint32_t i)
{
  return i < c->nin && c->in[i].dtype != DT_COUNT;
}

static const char *operand_name(const Infer *c, const Node *n, uint32_t i)
{
  return c->in_name && c->in_name[i] ? c->in_name[i] : op_operand_name(n->op, c->arena, i);
}

/* A note for each operand that was made somewhere else; the parameters of the layer itself are left
 * out. */
static void note_operands(Infer *c, const Node *n)
{
  for (uint32_t i = 0; i < c->nin; i++) {
    Span at = c->in_at ? c->in_at[i] : (Span){ 0, 0 };
    if (is_given(c, i) && !(at.end && at.begin == n->at.begin && at.end == n->at.end))
      diag_note(c->diag, at, "`%s` is %s", operand_name(c, n, i), type_user(c->arena, &c->in[i]));
  }
}

bool infer_error(Infer *c, const Node *n, const char *code, const char *fmt, ...)
{
  char text[MESSAGE_MAX];
  va_list ap;
  if (!c->diag)
    return false;
  va_start(ap, fmt);
  if (vsnprintf(text, sizeof text, fmt, ap) < 0)
    ice("infer_error: the format cannot be printed");
  va_end(ap);
  diag_error(c->diag, n->at, code, "%s: %s", n->op->name, text);
  note_operands(c, n);
  return false;
}

bool infer_help(Infer *c, const char *fmt, ...)
{
  char text[MESSAGE_MAX];
  va_list ap;
  if (!c->diag)
    return false;
  va_start(ap, fmt);
  if (vsnprintf(text, sizeof text, fmt, ap) < 0)
    ice("infer_help: the format cannot be printed");
  va_end(ap);
  diag_help(c->diag, "%s", text);
  return false;
}

bool infer_same_as(Infer *c, const Node *n, uint32_t operand, Type *out)
{
  if (!is_given(c, operand))
    return infer_error(c, n, "E0201", "operand `%s` is missing",
                       op_operand_name(n->op, c->arena, operand));
  *out = c->in[operand];
  return true;
}

/* True when t spreads to the dims of `to`: a scalar, equal dims, or one number per channel. */
static bool spreads(const Type *t, const Type *to)
{
  if (t->rank == 0)
    return true;
  if (t->rank == 1 && to->rank > 1)
    return !t->batched && t->dim[0] == to->dim[0];
  Type same = *t;
  same.batched = to->batched;
  return type_same_shape(&same, to);
}

bool infer_broadcast(Infer *c, const Node *n, Type *out)
{
  uint32_t widest = 0;
  bool batched = false;
  for (uint32_t i = 0; i < c->nin; i++) {
    if (!is_given(c, i))
      return infer_error(c, n, "E0201", "operand `%s` is missing",
                         op_operand_name(n->op, c->arena, i));
    batched = batched || c->in[i].batched;
    if (c->in[i].rank > c->in[widest].rank)
      widest = i;
  }
  if (c->nin == 0)
    return infer_error(c, n, "E0201", "has no operands");
  for (uint32_t i = 0; i < c->nin; i++) {
    if (c->in[i].dtype != c->in[0].dtype)
      return infer_error(c, n, "E0207", "element types differ: %s and %s",
                         dtype_text(c->in[0].dtype), dtype_text(c->in[i].dtype));
    const Type *t = &c->in[i], *to = &c->in[widest];
    if (spreads(t, to))
      continue;
    infer_error(c, n, "E0201", "shapes do not match: `%s` is %s, `%s` is %s",
                operand_name(c, n, widest), type_user(c->arena, to), operand_name(c, n, i),
                type_user(c->arena, t));
    if (to->rank == 3 && t->batched && t->rank > 0 && t->dim[0] == to->dim[0] &&
        type_elems(t) == t->dim[0])
      infer_help(c, "one number a channel: reshape([%lld, 1, 1]) -> upsample([%lld, %lld])",
                 (long long)to->dim[0], (long long)to->dim[1], (long long)to->dim[2]);
    return false;
  }
  *out = c->in[widest];
  out->batched = batched;
  return true;
}

/* ---- params ---- */

static StateVar *add(Params *p, const char *suffix, StateRole role, int rank, const int64_t *dim,
                     bool trainable)
{
  Program *prog = p->program;
  StateVar v = {
    .name = arena_printf(prog->arena, "%s.%s", p->path, suffix),
    .type = type_make(prog->real, false, rank, dim),
    .role = role,
    .trainable = trainable && role == STATE_PARAM,
    .at = p->at,
  };
  StateVar *made = program_add_state(prog, v);
  vec_push(prog->arena, &p->made, made->id);
  return made;
}

void param_add(Params *p, const char *suffix, StateRole role, int rank, const int64_t *dim,
               Init init, int64_t fan_in, int64_t fan_out, bool trainable)
{
  StateVar *v = add(p, suffix, role, rank, dim, trainable);
  v->init = init;
  v->fan_in = fan_in;
  v->fan_out = fan_out;
}

static const char *dims_text(Arena *a, int rank, const int64_t *dim)
{
  if (rank == 0)
    return "one number";
  Out *o = out_new(a);
  for (int i = 0; i < rank; i++)
    out_printf(o, "%s%lld", i ? ", " : "[", (long long)dim[i]);
  out_printf(o, "]");
  return out_text(o);
}

void param_add_given(Params *p, const char *suffix, int rank, const int64_t *dim, Literal given,
                     bool trainable, Diag *diag)
{
  Arena *a = p->program->arena;
  StateVar *v = add(p, suffix, STATE_PARAM, rank, dim, trainable);
  bool fits = given.value && given.rank == rank;
  for (int i = 0; fits && i < rank; i++)
    fits = given.dim[i] == dim[i];
  if (fits) {
    v->init = (Init){ INIT_GIVEN, 0, 0 };
    v->given = given;
    return;
  }
  v->init = (Init){ INIT_ZEROS, 0, 0 };
  if (diag)
    diag_error(diag, p->at, "E0208", "%s: the values given for `%s` are %s, but %s is needed",
               p->path, suffix, given.value ? dims_text(a, given.rank, given.dim) : "missing",
               dims_text(a, rank, dim));
}

void param_none(Params *p) { vec_push(p->program->arena, &p->made, UINT32_MAX); }

/* ---- grad ---- */

bool grad_wanted(const Grad *g, const Node *n, uint32_t operand)
{
  return operand < n->nin && n->in[operand].node && g->wanted[n->in[operand].node->id];
}

void grad_add(Grad *g, const Node *n, uint32_t operand, Value d)
{
  if (!grad_wanted(g, n, operand))
    return;
  Value to = n->in[operand];
  if (!type_equal(value_type(d), value_type(to)))
    ice("the gradient of %s towards operand %u is %s, the operand is %s", n->op->name, operand,
        type_text(g->graph->arena, value_type(d)), type_text(g->graph->arena, value_type(to)));
  Value *slot = &g->adjoint[g->first_slot[to.node->id] + to.result];
  if (slot->node)
    d = (Value){ graph_append(g->graph, g->add, NULL, (Value[]){ *slot, d }, 2, value_type(to), 1,
                              to.node->name, to.node->at),
                 0 };
  *slot = d;
}

/* ---- expand ---- */

void expand_write(Expand *e, uint32_t state, Value v)
{
  Graph *g = e->graph;
  if (state >= g->program->state.n || !type_equal(value_type(v), &g->program->state.at[state].type))
    ice("'%s' writes a %s to state variable %u", e->name ? e->name : "?",
        type_text(g->arena, value_type(v)), state);
  for (uint32_t i = 0; i < g->writes.n; i++)
    if (g->writes.at[i].state == state)
      ice("'%s' writes '%s' twice", e->name ? e->name : "?", g->program->state.at[state].name);
  vec_push(g->arena, &g->writes, ((Write){ state, v }));
}
