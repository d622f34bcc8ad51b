/* relayout: the same values under another layout. The layout pass inserts it where a kernel needs an operand
 * differently from how it is stored, or where values that are recomputed at each use must be stored once. */
#include "ops/family.h"

static LExpr *relayout_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)s;
  (void)n;
  return x[0];
}

static double relayout_ref(const Node *n, const double *x)
{
  (void)n;
  return x[0];
}

/* Any element type, labels too. */
static bool relayout_infer(Infer *c, const Node *n, Type *out)
{
  return want_operands(c, n, 1) && infer_same_as(c, n, 0, out);
}

static double no_flops(const Node *n)
{
  (void)n;
  return 0;
}

const OpDef op_relayout = {
  .name = "relayout", .doc = "the same values in another memory layout", .formula = "$y = $x",
  .cls = OP_EWISE, .flags = OP_ZERO, .operands = "x", .results = "y", .infer = relayout_infer,
  .scalar = relayout_scalar, .ref_scalar = relayout_ref, .flops = no_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,3]" }, { "", "x=f32[2,3,5]" }, { 0 } },
};
