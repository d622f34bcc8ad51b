/* Constant folding: an operation whose operands are all constants becomes a constant.
 *
 *   %0 = const(value=2)  %1 = const(value=3)  %2 = mul(%0, %1)        %2 = const(value=6)
 *
 * Values come from the reference interpreter. Operands and results are rounded to the program's
 * real type, so that sums, products, quotients and square roots are what the program itself would
 * compute. Step arguments and random operations are never folded, nor results with a batch or more
 * than ELEMS_MAX elements. Linear. */
#include "ir/ref.h"
#include "ops/build.h"
#include "pass/pass.h"

enum { ELEMS_MAX = 1024, OPERANDS_MAX = 16 };

static double rounded(DType real, double v) { return real == DT_F32 ? (double)(float)v : v; }

static const Literal *literal_of(const Node *n)
{
  for (const AttrDef *d = n->op == &op_const ? n->op->attrs : NULL; d && d->name; d++)
    if (d->kind == ATTR_literal)
      return (const Literal *)(const void *)((const char *)n->attrs + d->offset);
  return NULL;
}

static bool can_fold(const Node *n)
{
  if (n->op->cls == OP_SOURCE || n->op->cls == OP_MACRO || (n->op->flags & OP_RANDOM) ||
      n->nout != 1 || n->nin == 0 || n->nin > OPERANDS_MAX)
    return false;
  if (!n->op->ref && !n->op->ref_scalar && n->op->cls != OP_VIEW)
    return false;
  if (n->type[0].batched || !dtype_is_real(n->type[0].dtype) || type_elems(&n->type[0]) > ELEMS_MAX)
    return false;
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node &&
        (!literal_of(n->in[i].node) || type_elems(value_type(n->in[i])) > ELEMS_MAX))
      return false;
  return true;
}

static RefTensor *operand(Arena *a, Value v, DType real)
{
  const Literal *l = literal_of(v.node);
  RefTensor *t = ARENA_NEW(a, RefTensor);
  *t = (RefTensor){ .type = *value_type(v), .n = 1, .elems = type_elems(value_type(v)) };
  t->v = ARENA_ARRAY(a, double, t->elems);
  for (int64_t i = 0; i < t->elems; i++)
    t->v[i] = rounded(real, l->value[i]);
  return t;
}

static void fold(void *ctx, Graph *to, Node *n, Value *out)
{
  PassCtx *c = ctx;
  DType real = to->program->real;
  if (!can_fold(n))
    return;
  RefTensor *in[OPERANDS_MAX] = { NULL }, *result;
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node)
      in[i] = operand(c->tmp, n->in[i], real);
  RefCtx ref = { .arena = c->tmp, .n = 1 };
  ref_node(&ref, n, in, &result);
  double *v = ARENA_ARRAY(to->arena, double, result->elems);
  for (int64_t i = 0; i < result->elems; i++)
    v[i] = rounded(real, result->v[i]);
  Literal l = { .rank = n->type[0].rank, .value = v };
  for (int i = 0; i < l.rank; i++)
    l.dim[i] = n->type[0].dim[i];
  GBuild b = g_like(to, n);
  out[0] = g_literal(&b, l);
}

bool pass_fold(PassCtx *c) { return graph_replace(c->graph, fold, c); }
