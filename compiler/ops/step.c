/* Functions with flat parts. hardtanh's gradient is 0 at and beyond its bounds, as in PyTorch; sign
 * and heaviside have none: their descriptors name what to train with in their place. NaN goes
 * through all three, zeros go through sign with theirs. */
#include "ops/family.h"

/* ---- hardtanh ---- */
#define HARDTANH(A, op)                         \
  A(op, real, min, "-1", "the lower bound")     \
  A(op, real, max, "1",  "the upper bound")
ATTRS(hardtanh, HARDTANH)

static double cheap_flops(const Node *n) { return 2 * flops_elems(n); }

static bool hardtanh_infer(Infer *c, const Node *n, Type *out)
{
  const hardtanh_attrs *a = n->attrs;
  if (!(a->min < a->max))
    return infer_error(c, n, "E0304", "`min` must be below `max`, but they are %g and %g", a->min,
                       a->max);
  return infer_like_first(c, n, out);
}

static void hardtanh_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_op(&b, &op_hardtanh_dx, n->attrs, (Value[]){ dy[0], n->in[0] }, 2));
}

static LExpr *hardtanh_scalar(Scalar *s, const Node *n, LExpr **x)
{
  const hardtanh_attrs *a = n->attrs;
  return s_min(s, s_const(s, a->max), s_max(s, x[0], s_const(s, a->min)));
}

static double hardtanh_ref(const Node *n, const double *x)
{
  const hardtanh_attrs *a = n->attrs;
  return x[0] < a->min ? a->min : x[0] > a->max ? a->max : x[0];
}

const OpDef op_hardtanh = {
  .name = "hardtanh", .doc = "x between two bounds, the bounds beyond them",
  .aliases = "Hardtanh clamp clip ReLU6 relu6", .formula = "$y = min(max($x, min), max)",
  .cls = OP_EWISE, .flags = OP_LAYER, .operands = "x", .results = "y", .attrs = hardtanh_attr_defs,
  .attrs_size = sizeof(hardtanh_attrs), .positional = 2, .infer = hardtanh_infer,
  .grad = hardtanh_grad, .scalar = hardtanh_scalar, .ref_scalar = hardtanh_ref,
  .flops = cheap_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,7]" }, { "min=0.25, max=0.75", "x=f32[n,2,3,5]" }, { 0 }
  },
};

static LExpr *hardtanh_dx_scalar(Scalar *s, const Node *n, LExpr **x)
{
  const hardtanh_attrs *a = n->attrs;
  LExpr *zero = s_const(s, 0);
  LExpr *below_max = s_select(s, s_lt(s, x[1], s_const(s, a->max)), x[0], zero);
  return s_select(s, s_lt(s, s_const(s, a->min), x[1]), below_max, zero);
}

static double hardtanh_dx_ref(const Node *n, const double *x)
{
  const hardtanh_attrs *a = n->attrs;
  return x[1] > a->min && x[1] < a->max ? x[0] : 0;
}

const OpDef op_hardtanh_dx = {
  .name = "hardtanh_dx", .doc = "gradient of hardtanh",
  .formula = "$dx = min < $x && $x < max ? $dy : 0", .cls = OP_EWISE, .flags = OP_ZERO,
  .operands = "dy x", .results = "dx", .attrs = hardtanh_attr_defs,
  .attrs_size = sizeof(hardtanh_attrs), .infer = infer_like_first, .scalar = hardtanh_dx_scalar,
  .ref_scalar = hardtanh_dx_ref, .flops = cheap_flops,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,7], x=f32[n,7]" }, { "min=-0.5, max=0.5", "dy=f32[n,2,3,5], x=f32[n,2,3,5]" },
    { 0 }
  },
};

/* ---- sign ---- */
static LExpr *sign_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  LExpr *zero = s_const(s, 0);
  LExpr *below = s_select(s, s_lt(s, x[0], zero), s_const(s, -1), x[0]);
  return s_select(s, s_lt(s, zero, x[0]), s_const(s, 1), below);
}

static double sign_ref(const Node *n, const double *x)
{
  (void)n;
  return x[0] > 0 ? 1 : x[0] < 0 ? -1 : x[0];
}

const OpDef op_sign = {
  .name = "sign", .doc = "1 above 0, -1 below, 0 at 0; not to be trained through",
  .aliases = "sgn", .surrogate = "tanh", .formula = "$y = $x > 0 ? 1 : $x < 0 ? -1 : 0",
  .cls = OP_EWISE, .flags = OP_LAYER | OP_ZERO, .operands = "x", .results = "y",
  .infer = infer_like_first, .scalar = sign_scalar, .ref_scalar = sign_ref, .flops = cheap_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,7]" }, { "", "x=f32[n,2,3,5]" }, { 0 } },
};

/* ---- heaviside ---- */
#define HEAVISIDE(A, op) A(op, real, at_zero, "1", "the value at 0")
ATTRS(heaviside, HEAVISIDE)

static LExpr *heaviside_scalar(Scalar *s, const Node *n, LExpr **x)
{
  const heaviside_attrs *a = n->attrs;
  LExpr *zero = s_const(s, 0);
  LExpr *rest = s_select(s, s_eq(s, x[0], zero), s_const(s, a->at_zero), x[0]);
  LExpr *below = s_select(s, s_lt(s, x[0], zero), zero, rest);
  return s_select(s, s_lt(s, zero, x[0]), s_const(s, 1), below);
}

static double heaviside_ref(const Node *n, const double *x)
{
  const heaviside_attrs *a = n->attrs;
  return x[0] > 0 ? 1 : x[0] < 0 ? 0 : x[0] == 0 ? a->at_zero : x[0];
}

const OpDef op_heaviside = {
  .name = "heaviside", .doc = "1 above 0, 0 below; not to be trained through",
  .aliases = "Heaviside threshold unit_step", .surrogate = "sigmoid",
  .formula = "$y = $x > 0 ? 1 : $x < 0 ? 0 : at_zero", .cls = OP_EWISE, .flags = OP_LAYER,
  .operands = "x", .results = "y", .attrs = heaviside_attr_defs,
  .attrs_size = sizeof(heaviside_attrs), .positional = 0, .infer = infer_like_first,
  .scalar = heaviside_scalar, .ref_scalar = heaviside_ref, .flops = cheap_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,7]" }, { "at_zero=0.5", "x=f32[n,2,3,5]" }, { "at_zero=0.5", "x=f32[n,18]" },
    { 0 }
  },
};
