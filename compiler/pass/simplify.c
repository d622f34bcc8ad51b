/* Algebraic rules: every operation brings its own, this pass applies them until none fires.
 *
 *   %2 = add(%0, %1)  where %1 = const 0        uses of %2 read %0
 *   %4 = flatten(%3)  where %3 = reshape(%2)    %4 = reshape(%2)
 *
 * Before: any graph. After: no rule applies, or ROUNDS_MAX rounds are done. Rules must not change a
 * bit of any result. Linear a round. */
#include "pass/pass.h"

enum { ROUNDS_MAX = 8 };

static void simplify(void *ctx, Graph *to, Node *n, Value *out)
{
  (void)ctx;
  if (n->op->simplify && n->nout == 1)
    out[0] = n->op->simplify(to, n);
}

bool pass_simplify(PassCtx *c)
{
  int rounds = 0;
  while (rounds < ROUNDS_MAX && graph_replace(c->graph, simplify, NULL))
    rounds++;
  return rounds > 0;
}
