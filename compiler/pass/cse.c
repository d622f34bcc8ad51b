/* Common subexpressions: nodes with the same operation, attributes and operands become one.
 *
 *   %3 = mul(%1, %2)   %4 = mul(%2, %1)   %5 = add(%3, %4)        %4 = add(%3, %3)
 *
 * Before: any graph. After: no two such nodes. Operands of commuting operations are compared in
 * either order. Random operations are never merged. Reads of one state variable are one node:
 * writes take effect after the step. A hash table over the nodes kept; the first one of equal nodes
 * stays. Linear. */
#include "ir/attr_text.h"
#include "pass/pass.h"

typedef struct {
  Node **slot;
  uint32_t cap;                 /* a power of two, more than twice the nodes */
} Table;

static uint64_t mix(uint64_t h, uint64_t v) { return (h ^ v) * 1099511628211u; }

/* Ids are dense; an operand that was not given counts as a number of its own. */
static uint64_t operand_key(Value v)
{
  return v.node ? ((uint64_t)v.node->id << 8 | v.result) + 1 : 0;
}

static bool commutes(const Node *n) { return (n->op->flags & OP_COMMUTES) && n->nin == 2; }

static uint64_t hash(const Node *n)
{
  uint64_t h = attrs_hash(n->op->attrs, n->attrs);
  for (const char *s = n->op->name; *s; s++)
    h = mix(h, (unsigned char)*s);
  if (commutes(n)) {
    uint64_t x = operand_key(n->in[0]), y = operand_key(n->in[1]);
    return mix(mix(h, x < y ? x : y), x < y ? y : x);
  }
  for (uint32_t i = 0; i < n->nin; i++)
    h = mix(h, operand_key(n->in[i]));
  return h;
}

static bool same(const Node *x, const Node *y)
{
  if (x->op != y->op || x->nin != y->nin || x->nout != y->nout ||
      !attrs_equal(x->op->attrs, x->attrs, y->attrs))
    return false;
  for (uint32_t i = 0; i < x->nout; i++)
    if (!type_equal(&x->type[i], &y->type[i]))
      return false;
  bool equal = true;
  for (uint32_t i = 0; i < x->nin; i++)
    equal = equal && value_equal(x->in[i], y->in[i]);
  return equal ||
         (commutes(x) && value_equal(x->in[0], y->in[1]) && value_equal(x->in[1], y->in[0]));
}

static Node *merge(void *ctx, Graph *to, Node *n)
{
  Table *t = ctx;
  (void)to;
  if (n->op->flags & OP_RANDOM)
    return n;
  uint64_t h = hash(n);
  uint32_t at = (uint32_t)(h ^ h >> 32) & (t->cap - 1);
  for (; t->slot[at]; at = (at + 1) & (t->cap - 1))
    if (same(t->slot[at], n))
      return t->slot[at];
  t->slot[at] = n;
  return n;
}

bool pass_cse(PassCtx *c)
{
  Table t = { .cap = 16 };
  while (t.cap <= 2 * c->graph->order.n)
    t.cap *= 2;
  t.slot = ARENA_ARRAY(c->tmp, Node *, t.cap);
  return graph_rewrite(c->graph, merge, &t);
}
