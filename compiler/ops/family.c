/* Shared checks of infer hooks. Codes: E0201 shapes disagree, E0202 wrong rank, E0207 element type.
 */
#include "ops/family.h"
#include <math.h>

bool want_operands(Infer *c, const Node *n, uint32_t count)
{
  for (uint32_t i = 0; i < count; i++)
    if (i >= c->nin || c->in[i].dtype == DT_COUNT)
      return infer_error(c, n, "E0201", "operand `%s` is missing",
                         op_operand_name(n->op, c->arena, i));
  return true;
}

bool want_real(Infer *c, const Node *n, uint32_t i)
{
  if (!want_operands(c, n, 1))
    return false;
  if (i >= c->nin || c->in[i].dtype == DT_COUNT || dtype_is_real(c->in[i].dtype))
    return true;
  infer_error(c, n, "E0207", "needs real numbers, but `%s` holds %s integers",
              op_operand_name(n->op, c->arena, i), dtype_text(c->in[i].dtype));
  if (classes_of_input(c->program, n->in[i]) > 0)
    return infer_help(c, "these are numbers of tokens or classes: `embedding(dim)` or `one_hot` "
                         "makes vectors of them");
  return infer_help(c, "convert where the field is declared: 'as %s[..]'", dtype_text(c->real));
}

bool want_reals(Infer *c, const Node *n)
{
  for (uint32_t i = 0; i < c->nin; i++)
    if (!want_real(c, n, i))
      return false;
  return true;
}

bool want_batched(Infer *c, const Node *n, uint32_t i)
{
  if (!want_operands(c, n, i + 1))
    return false;
  if (c->in[i].batched)
    return true;
  return infer_error(c, n, "E0202", "`%s` needs one tensor per sample",
                     op_operand_name(n->op, c->arena, i));
}

bool want_state_rows(Infer *c, const Node *n, uint32_t i, int64_t width)
{
  const Type *t = &c->in[i];
  if (!t->batched && t->rank == 2 && t->dim[1] == width && t->dim[0] >= c->program->batch)
    return true;
  return infer_error(c, n, "E0201", "`%s` is %s, but must have rows of %lld for %lld samples",
                     op_operand_name(n->op, c->arena, i), shape_text(c, t), (long long)width,
                     (long long)c->program->batch);
}

bool want_same(Infer *c, const Node *n, uint32_t i, uint32_t j)
{
  if (!want_operands(c, n, (i > j ? i : j) + 1))
    return false;
  if (type_equal(&c->in[i], &c->in[j]))
    return true;
  return infer_error(c, n, "E0201", "`%s` is %s but `%s` is %s",
                     op_operand_name(n->op, c->arena, i), shape_text(c, &c->in[i]),
                     op_operand_name(n->op, c->arena, j), shape_text(c, &c->in[j]));
}

bool want_fraction(Infer *c, const Node *n, const char *what, double v)
{
  if (v >= 0 && v < 1)
    return true;
  return infer_error(c, n, "E0304", "%s must be at least 0 and below 1, not %g", what, v);
}

bool want_prediction(Infer *c, const Node *n, uint32_t first, bool labels)
{
  if (!want_operands(c, n, first + 2) || !want_real(c, n, first) || !want_batched(c, n, first) ||
      !want_batched(c, n, first + 1))
    return false;
  const Type *x = &c->in[first], *y = &c->in[first + 1];
  if (!(labels && type_elems(y) == 1) && !want_real(c, n, first + 1))
    return false;
  if (type_same_shape(x, y) || (type_elems(x) == 1 && type_elems(y) == 1))
    return true;
  return infer_error(c, n, "E0209", "the prediction is %s but the target is %s", shape_text(c, x),
                     shape_text(c, y));
}

bool want_elems(Infer *c, const Node *n, const Type *out)
{
  if (type_elems(out) >= 0)
    return true;
  return infer_error(c, n, "E0602", "the result has too many elements to count");
}

const char *shape_text(Infer *c, const Type *t)
{
  if (t->rank == 0)
    return "a number";
  const char *s = arena_printf(c->arena, "[%lld", (long long)t->dim[0]);
  for (int i = 1; i < t->rank; i++)
    s = arena_printf(c->arena, "%s, %lld", s, (long long)t->dim[i]);
  return arena_printf(c->arena, "%s]", s);
}

bool infer_broadcast_reals(Infer *c, const Node *n, Type *out)
{
  return want_reals(c, n) && infer_broadcast(c, n, out);
}

bool infer_like_first(Infer *c, const Node *n, Type *out)
{
  if (!want_reals(c, n))
    return false;
  for (uint32_t i = 1; i < c->nin; i++)
    if (!want_same(c, n, 0, i))
      return false;
  return infer_same_as(c, n, 0, out);
}

double flops_elems(const Node *n) { return (double)type_elems(&n->type[0]); }

int64_t value_elems(Value v) { return type_elems(value_type(v)); }

void param_add_weight(Params *p, int rank, const int64_t *dim, Literal given, Init init,
                      int64_t fan_in, int64_t fan_out, bool trainable)
{
  if (given.value) {
    param_add_given(p, "weight", rank, dim, given, trainable, p->diag);
    return;
  }
  if (init.kind == INIT_DEFAULT)
    init = (Init){ INIT_KAIMING_UNIFORM, sqrt(5), 0 };
  param_add(p, "weight", STATE_PARAM, rank, dim, init, fan_in, fan_out, trainable);
}

void param_add_bias(Params *p, int64_t dim, Literal given, Init init, int64_t fan_in,
                    int64_t fan_out, bool trainable)
{
  if (given.value) {
    param_add_given(p, "bias", 1, &dim, given, trainable, p->diag);
    return;
  }
  double bound = 1 / sqrt((double)fan_in);
  if (init.kind == INIT_DEFAULT)
    init = (Init){ INIT_UNIFORM, -bound, bound };
  param_add(p, "bias", STATE_PARAM, 1, &dim, init, fan_in, fan_out, trainable);
}
