/* Source nodes: what their attributes say. */
#include "lower/source.h"
#include "base/str.h"

static const AttrDef *find_attr(const OpDef *op, const char *attr)
{
  for (const AttrDef *a = op->attrs; a && a->name; a++)
    if (str_eq(a->name, attr))
      return a;
  return NULL;
}

int64_t source_attr(const Node *n, const char *attr)
{
  if (n->op->cls != OP_SOURCE)
    return -1;
  const AttrDef *a = find_attr(n->op, attr);
  return a && a->kind == ATTR_int ? *(const int64_t *)((const char *)n->attrs + a->offset) : -1;
}

/* Constants are read by whole tensors of one value or by constant coordinates only. */
LExpr *source_constant(Lower *l, const Node *n, const Coord *c)
{
  const AttrDef *a = find_attr(n->op, "value");
  if (!a || a->kind != ATTR_literal)
    ice("source '%s' has no value", n->op->name);
  const Literal *lit = (const Literal *)((const char *)n->attrs + a->offset);
  int64_t elems = 1;
  for (int i = 0; i < lit->rank; i++)
    elems *= lit->dim[i];
  if (elems == 1)
    return l_cast(l->b, l_real(l->b, lit->value[0]), n->type[0].dtype);
  Buffer *buf = NULL;
  for (uint32_t i = 0; i < l->module->buffers.n; i++)
    if (l->module->buffers.at[i]->values == lit->value)
      buf = l->module->buffers.at[i];
  if (!buf) {
    buf = l_buffer(l->b, n->name ? n->name : "constant", BUF_CONST, n->type[0].dtype, elems);
    buf->values = lit->value;
    buf->type = &n->type[0];
  }
  Layout row = layout_row_major(&n->type[0]);
  Access how;
  LExpr *index = layout_index(l->b, &row, c, &how);
  return l_load(l->b, lower_formal(l, buf, false), index, 1);
}
