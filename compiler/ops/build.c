/* Constructors of nodes without attributes of their own; the others stand beside their operations.
 */
#include "ops/build.h"

GBuild g_in_graph(Graph *g, const char *name, Span at) { return (GBuild){ g, name, at }; }
GBuild g_in_grad(const Grad *g) { return (GBuild){ g->graph, g->name, g->at }; }
GBuild g_in_expand(const Expand *e) { return (GBuild){ e->graph, e->name, e->at }; }
GBuild g_like(Graph *g, const Node *n) { return (GBuild){ g, n->name, n->at }; }

enum { OPERANDS_MAX = 16 };

Node *g_node(const GBuild *b, const OpDef *op, const void *attrs, const Value *in, uint32_t nin)
{
  Arena *a = b->graph->arena;
  Type intype[OPERANDS_MAX], out[OPERANDS_MAX] = { { 0 } };
  int nout = op_result_count(op);
  if (nin > OPERANDS_MAX || nout > OPERANDS_MAX)
    ice("%s: more than %d operands or results", op->name, OPERANDS_MAX);
  void *own = op->attrs_size ? arena_alloc(a, op->attrs_size) : NULL;
  if (own && attrs)
    own = arena_copy(a, attrs, op->attrs_size);
  Node *probe = arena_alloc(a, sizeof *probe + nin * sizeof probe->in[0]);
  *probe = (Node){ .nin = nin, .nout = (uint32_t)nout, .op = op, .attrs = own, .name = b->name,
                   .at = b->at };
  for (uint32_t i = 0; i < nin; i++) {
    probe->in[i] = in[i];
    intype[i] = in[i].node ? *value_type(in[i]) : (Type){ .dtype = DT_COUNT };
  }
  Infer c = { .arena = a, .real = b->graph->program->real, .in = intype, .nin = nin,
              .program = b->graph->program };
  if (!op->infer(&c, probe, out)) {
    const char *types = "";
    for (uint32_t i = 0; i < nin; i++)
      types = arena_printf(a, "%s%s%s", types, i ? ", " : "",
                           in[i].node ? type_text(a, &intype[i]) : "none");
    ice("%s(%s) of '%s' was built with operands it does not take", op->name, types,
        b->name ? b->name : "?");
  }
  return graph_append(b->graph, op, own, in, nin, out, (uint32_t)nout, b->name, b->at);
}

Value g_op(const GBuild *b, const OpDef *op, const void *attrs, const Value *in, uint32_t nin)
{
  return (Value){ g_node(b, op, attrs, in, nin), 0 };
}

static Value unary(const GBuild *b, const OpDef *op, Value x) { return g_op(b, op, NULL, &x, 1); }

static Value binary(const GBuild *b, const OpDef *op, Value x, Value y)
{
  return g_op(b, op, NULL, (Value[]){ x, y }, 2);
}

static bool is_const(Value v, double want)
{
  double value;
  return value_is_const(v, &value) && value == want;
}

/* True when the other operand k, dropped, leaves x with the type that the operation would have. */
static bool keeps_type(Value x, Value k)
{
  const Type *tx = value_type(x), *tk = value_type(k);
  return tk->rank == 0 && !tk->batched && tx->dtype == tk->dtype;
}

Value g_add(const GBuild *b, Value x, Value y)
{
  if (is_const(y, 0) && keeps_type(x, y))
    return x;
  if (is_const(x, 0) && keeps_type(y, x))
    return y;
  return binary(b, &op_add, x, y);
}

Value g_sub(const GBuild *b, Value x, Value y)
{
  return is_const(y, 0) && keeps_type(x, y) ? x : binary(b, &op_sub, x, y);
}

Value g_mul(const GBuild *b, Value x, Value y)
{
  if (is_const(y, 1) && keeps_type(x, y))
    return x;
  if (is_const(x, 1) && keeps_type(y, x))
    return y;
  return binary(b, &op_mul, x, y);
}

Value g_div(const GBuild *b, Value x, Value y)
{
  return is_const(y, 1) && keeps_type(x, y) ? x : binary(b, &op_div, x, y);
}

Value g_fma(const GBuild *b, Value x, Value y, Value z)
{
  return g_op(b, &op_fma, NULL, (Value[]){ x, y, z }, 3);
}

Value g_min(const GBuild *b, Value x, Value y) { return binary(b, &op_min, x, y); }
Value g_max(const GBuild *b, Value x, Value y) { return binary(b, &op_max, x, y); }

Value g_if_lt(const GBuild *b, Value p, Value q, Value x, Value y)
{
  return g_op(b, &op_if_lt, NULL, (Value[]){ p, q, x, y }, 4);
}

Value g_if_eq(const GBuild *b, Value p, Value q, Value x, Value y)
{
  return g_op(b, &op_if_eq, NULL, (Value[]){ p, q, x, y }, 4);
}

Value g_neg(const GBuild *b, Value x)
{
  return x.node->op == &op_neg ? x.node->in[0] : unary(b, &op_neg, x);
}

Value g_exp(const GBuild *b, Value x) { return unary(b, &op_exp, x); }
Value g_log(const GBuild *b, Value x) { return unary(b, &op_log, x); }
Value g_sqrt(const GBuild *b, Value x) { return unary(b, &op_sqrt, x); }
Value g_abs(const GBuild *b, Value x) { return unary(b, &op_abs, x); }
Value g_square(const GBuild *b, Value x) { return unary(b, &op_square, x); }
Value g_scale(const GBuild *b, Value x, double k) { return g_mul(b, x, g_const(b, k)); }

Value g_row_sum(const GBuild *b, Value x) { return unary(b, &op_row_sum, x); }

Value g_channel_sum(const GBuild *b, Value x)
{
  const Type *t = value_type(x);
  if (t->batched && t->rank > 1 && t->dim[t->rank - 1] > 1)     /* by rows, where x is made */
    x = g_row_sum(b, x);
  return unary(b, &op_channel_sum, x);
}

Value g_batch_sum(const GBuild *b, Value x) { return unary(b, &op_batch_sum, x); }
Value g_batch_mean(const GBuild *b, Value x) { return unary(b, &op_batch_mean, x); }
Value g_sum(const GBuild *b, Value x) { return unary(b, &op_sum, x); }
Value g_sumsq(const GBuild *b, Value x) { return unary(b, &op_sumsq, x); }

/* One number for each index of the first axis of every sample: [n,C,..] -> [n,C]. */
static Value plane_sum(const GBuild *b, Value x, const Type *to)
{
  const Type *t = value_type(x);
  int64_t dim[] = { t->dim[0], type_elems(t) / t->dim[0] };
  Type rows = type_make(t->dtype, true, 2, dim);
  return g_reshape(b, g_row_sum(b, g_reshape(b, x, &rows)), to);
}

/* A pure broadcast adds axes; each kind of missing axes has its sum. */
Value g_reduce_to(const GBuild *b, Value d, const Type *to)
{
  const Type *from = value_type(d);
  if (type_same_shape(from, to))
    return d;
  if (to->rank == 0 && from->rank > 0)
    d = g_sum(b, d);
  else if (to->rank == 1 && to->dim[0] == from->dim[0] && !to->batched)
    return g_channel_sum(b, d);
  else if (to->rank == 1 && from->rank > 1 && to->dim[0] == from->dim[0])
    return plane_sum(b, d, to);
  if (!to->batched && value_type(d)->batched)
    d = g_batch_sum(b, d);
  if (!type_same_shape(value_type(d), to))
    ice("no sum takes a gradient %s to %s", type_text(b->graph->arena, from),
        type_text(b->graph->arena, to));
  return d;
}
