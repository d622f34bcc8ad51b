/* Elementwise operations of two and more operands. Operands broadcast (infer_broadcast); gradients
 * are summed back down by g_reduce_to. Conventions: min and max give a tie to the first operand and
 * let NaN through from either side; comparisons with NaN are false; if_* evaluate both branches. */
#include "ops/family.h"
#include <math.h>

/* Adds d, the gradient in the shape of the result, to operand i in that operand's shape. */
static void give(Grad *g, const GBuild *b, const Node *n, uint32_t i, Value d)
{
  grad_add(g, n, i, g_reduce_to(b, d, value_type(n->in[i])));
}

static bool is_const(Value v, double want)
{
  double value;
  return value_is_const(v, &value) && value == want;
}

/* v when it already has the type of n, else no value. */
static Value stand_in(const Node *n, Value v)
{
  return type_equal(value_type(v), &n->type[0]) ? v : (Value){ (Node *)(uintptr_t)n, 0 };
}

static Value unchanged(Node *n) { return (Value){ n, 0 }; }

/* ---- add ---- */
static void add_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  for (uint32_t i = 0; i < 2; i++)
    if (grad_wanted(g, n, i))
      give(g, &b, n, i, dy[0]);
}

static Value add_simplify(Graph *g, Node *n)
{
  (void)g;
  if (is_const(n->in[1], 0))
    return stand_in(n, n->in[0]);
  return is_const(n->in[0], 0) ? stand_in(n, n->in[1]) : unchanged(n);
}

static LExpr *add_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_add(s, x[0], x[1]);
}
static double add_ref(const Node *n, const double *x) { (void)n; return x[0] + x[1]; }

const OpDef op_add = {
  .name = "add", .doc = "sum of two tensors, element by element", .aliases = "Add plus residual",
  .formula = "$z = $x + $y", .cls = OP_EWISE,
  .flags = OP_LAYER | OP_COMMUTES | OP_ZERO, .operands = "x y",
  .results = "z", .infer = infer_broadcast_reals, .grad = add_grad, .simplify = add_simplify,
  .scalar = add_scalar, .ref_scalar = add_ref, .flops = flops_elems,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,2,3,3], y=f32[2]" },
    { "", "x=f32[n,3], y=f32[3]" }, { "", "x=f32[n,3], y=f32[]" }, { "", "x=f32[n,2], y=f32[n]" },
    { 0 }
  },
};

/* ---- sub ---- */
static void sub_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    give(g, &b, n, 0, dy[0]);
  if (grad_wanted(g, n, 1))
    grad_add(g, n, 1, g_neg(&b, g_reduce_to(&b, dy[0], value_type(n->in[1]))));
}

static Value sub_simplify(Graph *g, Node *n)
{
  (void)g;
  return is_const(n->in[1], 0) ? stand_in(n, n->in[0]) : unchanged(n);
}

static LExpr *sub_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_sub(s, x[0], x[1]);
}
static double sub_ref(const Node *n, const double *x) { (void)n; return x[0] - x[1]; }

const OpDef op_sub = {
  .name = "sub", .doc = "difference of two tensors, element by element",
  .aliases = "Subtract minus", .formula = "$z = $x - $y", .cls = OP_EWISE,
  .flags = OP_LAYER | OP_ZERO,
  .operands = "x y", .results = "z", .infer = infer_broadcast_reals, .grad = sub_grad,
  .simplify = sub_simplify, .scalar = sub_scalar, .ref_scalar = sub_ref, .flops = flops_elems,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[3], y=f32[n,3]" }, { 0 }
  },
};

/* ---- mul ---- */
static void mul_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  for (uint32_t i = 0; i < 2; i++)
    if (grad_wanted(g, n, i))
      give(g, &b, n, i, g_mul(&b, dy[0], n->in[1 - i]));
}

static Value mul_simplify(Graph *g, Node *n)
{
  (void)g;
  if (is_const(n->in[1], 1))
    return stand_in(n, n->in[0]);
  return is_const(n->in[0], 1) ? stand_in(n, n->in[1]) : unchanged(n);
}

static LExpr *mul_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_mul(s, x[0], x[1]);
}
static double mul_ref(const Node *n, const double *x) { (void)n; return x[0] * x[1]; }

const OpDef op_mul = {
  .name = "mul", .doc = "product of two tensors, element by element", .aliases = "Multiply times",
  .formula = "$z = $x * $y", .cls = OP_EWISE,
  .flags = OP_LAYER | OP_COMMUTES | OP_ZERO, .operands = "x y",
  .results = "z", .infer = infer_broadcast_reals, .grad = mul_grad, .simplify = mul_simplify,
  .scalar = mul_scalar, .ref_scalar = mul_ref, .flops = flops_elems,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,2,3,1], y=f32[2]" },
    { "", "x=f32[n], y=f32[n,2,3]" },
    { "", "x=f32[2,3], y=f32[]" }, { 0 }
  },
};

/* ---- div ---- */
static void div_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value q = g_div(&b, dy[0], n->in[1]);
  if (grad_wanted(g, n, 0))
    give(g, &b, n, 0, q);
  if (grad_wanted(g, n, 1))
    give(g, &b, n, 1, g_neg(&b, g_mul(&b, q, (Value){ (Node *)(uintptr_t)n, 0 })));
}

static Value div_simplify(Graph *g, Node *n)
{
  (void)g;
  return is_const(n->in[1], 1) ? stand_in(n, n->in[0]) : unchanged(n);
}

static LExpr *div_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_div(s, x[0], x[1]);
}
static double div_ref(const Node *n, const double *x) { (void)n; return x[0] / x[1]; }

const OpDef op_div = {
  .name = "div", .doc = "quotient of two tensors, element by element", .aliases = "divide",
  .formula = "$z = $x / $y", .cls = OP_EWISE, .flags = OP_LAYER, .operands = "x y", .results = "z",
  .infer = infer_broadcast_reals, .grad = div_grad, .simplify = div_simplify, .scalar = div_scalar,
  .ref_scalar = div_ref, .flops = flops_elems,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,2,2], y=f32[2]" }, { "", "x=f32[], y=f32[3]" },
    { 0 }
  },
};

/* ---- fma ---- */
static void fma_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  for (uint32_t i = 0; i < 2; i++)
    if (grad_wanted(g, n, i))
      give(g, &b, n, i, g_mul(&b, dy[0], n->in[1 - i]));
  if (grad_wanted(g, n, 2))
    give(g, &b, n, 2, dy[0]);
}

static LExpr *fma_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_fma(s, x[0], x[1], x[2]);
}
static double fma_ref(const Node *n, const double *x) { (void)n; return fma(x[0], x[1], x[2]); }
static double fma_flops(const Node *n) { return 2 * flops_elems(n); }

const OpDef op_fma = {
  .name = "fma", .doc = "product plus sum, rounded once", .formula = "$r = $x * $y + $z",
  .cls = OP_EWISE, .flags = OP_ZERO, .operands = "x y z", .results = "r",
  .infer = infer_broadcast_reals, .grad = fma_grad, .scalar = fma_scalar, .ref_scalar = fma_ref,
  .flops = fma_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3], z=f32[n,3]" }, { "", "x=f32[], y=f32[n,2,2], z=f32[2]" }, { 0 }
  },
};

/* ---- min, max ---- */
static void extreme_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  bool is_max = n->op == &op_max;
  Value zero = g_const(&b, 0), x = n->in[0], y = n->in[1];
  Value low = is_max ? x : y, high = is_max ? y : x;    /* y is taken when low < high */
  if (grad_wanted(g, n, 0))
    give(g, &b, n, 0, g_if_lt(&b, low, high, zero, dy[0]));
  if (grad_wanted(g, n, 1))
    give(g, &b, n, 1, g_if_lt(&b, low, high, dy[0], zero));
}

/* The table's min and max keep a NaN of x only; one of y is taken by hand, unless y is constant. */
static LExpr *keep_nan(Scalar *s, const Node *n, LExpr **x, LExpr *r)
{
  double value;
  return value_is_const(n->in[1], &value) ? r : s_select(s, s_eq(s, x[1], x[1]), r, x[1]);
}

/* min(y, x) of the table is y < x ? y : x. */
static LExpr *min_scalar(Scalar *s, const Node *n, LExpr **x)
{
  return keep_nan(s, n, x, s_min(s, x[1], x[0]));
}
static LExpr *max_scalar(Scalar *s, const Node *n, LExpr **x)
{
  return keep_nan(s, n, x, s_max(s, x[0], x[1]));
}
static double min_ref(const Node *n, const double *x)
{
  (void)n;
  return x[1] < x[0] || x[1] != x[1] ? x[1] : x[0];
}
static double max_ref(const Node *n, const double *x)
{
  (void)n;
  return x[0] < x[1] || x[1] != x[1] ? x[1] : x[0];
}

const OpDef op_min = {
  .name = "min", .doc = "the smaller of two, element by element; a tie gives the gradient to x",
  .aliases = "minimum", .formula = "$z = min($x, $y)", .cls = OP_EWISE, .flags = OP_LAYER | OP_ZERO,
  .operands = "x y", .results = "z", .infer = infer_broadcast_reals, .grad = extreme_grad,
  .scalar = min_scalar, .ref_scalar = min_ref, .flops = flops_elems,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,3], y=f32[]" }, { 0 }
  },
};

const OpDef op_max = {
  .name = "max", .doc = "the larger of two, element by element; a tie gives the gradient to x",
  .aliases = "maximum", .formula = "$z = max($x, $y)", .cls = OP_EWISE, .flags = OP_LAYER | OP_ZERO,
  .operands = "x y", .results = "z", .infer = infer_broadcast_reals, .grad = extreme_grad,
  .scalar = max_scalar, .ref_scalar = max_ref, .flops = flops_elems,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], y=f32[n,3]" }, { "", "x=f32[n,2,2], y=f32[2]" }, { 0 }
  },
};

/* ---- if_lt, if_eq ---- */
static void if_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value zero = g_const(&b, 0);
  Value (*choose)(const GBuild *, Value, Value, Value, Value) =
      n->op == &op_if_lt ? g_if_lt : g_if_eq;
  if (grad_wanted(g, n, 2))
    give(g, &b, n, 2, choose(&b, n->in[0], n->in[1], dy[0], zero));
  if (grad_wanted(g, n, 3))
    give(g, &b, n, 3, choose(&b, n->in[0], n->in[1], zero, dy[0]));
}

static LExpr *if_lt_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_select(s, s_lt(s, x[0], x[1]), x[2], x[3]);
}

static LExpr *if_eq_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_select(s, s_eq(s, x[0], x[1]), x[2], x[3]);
}

static double if_lt_ref(const Node *n, const double *x)
{
  (void)n;
  return x[0] < x[1] ? x[2] : x[3];
}
static double if_eq_ref(const Node *n, const double *x)
{
  (void)n;
  return x[0] == x[1] ? x[2] : x[3];
}

const OpDef op_if_lt = {
  .name = "if_lt", .doc = "x where p < q, else y", .formula = "$r = $p < $q ? $x : $y",
  .cls = OP_EWISE, .flags = OP_ZERO, .operands = "p q x y", .results = "r",
  .infer = infer_broadcast_reals, .grad = if_grad, .scalar = if_lt_scalar, .ref_scalar = if_lt_ref,
  .flops = flops_elems,
  .samples = (const OpSample[]){
    { "", "p=f32[n,3], q=f32[n,3], x=f32[n,3], y=f32[n,3]" },
    { "", "p=f32[n,3], q=f32[], x=f32[3], y=f32[n]" }, { 0 }
  },
};

const OpDef op_if_eq = {
  .name = "if_eq", .doc = "x where p equals q, else y", .formula = "$r = $p == $q ? $x : $y",
  .cls = OP_EWISE, .flags = OP_ZERO, .operands = "p q x y", .results = "r",
  .infer = infer_broadcast_reals, .grad = if_grad, .scalar = if_eq_scalar, .ref_scalar = if_eq_ref,
  .flops = flops_elems,
  .samples = (const OpSample[]){
    { "", "p=f32[n,3], q=f32[n,3], x=f32[n,3], y=f32[n,3]" },
    { "", "p=f32[], q=f32[], x=f32[], y=f32[]" }, { 0 }
  },
};

/* ---- affine ---- */
#define AFFINE(A, op)                                   \
  A(op, real, scale,  "1", "factor")                    \
  A(op, real, offset, "0", "what is added")
ATTRS(affine, AFFINE)

Value g_affine(const GBuild *b, Value x, double scale, double offset)
{
  return scale == 1 && offset == 0 ? x
                                   : g_op(b, &op_affine, &(affine_attrs){ scale, offset }, &x, 1);
}

static void affine_grad(Grad *g, const Node *n, const Value *dy)
{
  const affine_attrs *a = n->attrs;
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_scale(&b, dy[0], a->scale));
}

static Value affine_simplify(Graph *g, Node *n)
{
  const affine_attrs *a = n->attrs;
  (void)g;
  return a->scale == 1 && a->offset == 0 ? n->in[0] : unchanged(n);
}

static LExpr *affine_scalar(Scalar *s, const Node *n, LExpr **x)
{
  const affine_attrs *a = n->attrs;
  return s_fma(s, x[0], s_const(s, a->scale), s_const(s, a->offset));
}

static double affine_ref(const Node *n, const double *x)
{
  const affine_attrs *a = n->attrs;
  return fma(x[0], a->scale, a->offset);
}

const OpDef op_affine = {
  .name = "affine", .doc = "x * scale + offset with fixed numbers, rounded once",
  .aliases = "Rescaling", .formula = "$y = $x * scale + offset", .cls = OP_EWISE, .operands = "x",
  .results = "y", .attrs = affine_attr_defs, .attrs_size = sizeof(affine_attrs), .positional = 2,
  .infer = infer_like_first, .grad = affine_grad, .simplify = affine_simplify,
  .scalar = affine_scalar, .ref_scalar = affine_ref, .flops = fma_flops,
  .samples = (const OpSample[]){
    { "scale=0.5, offset=-1", "x=f32[n,2,3]" }, { "scale=-3", "x=f32[5]" }, { 0 }
  },
};

/* ---- normalize ---- */
static void normalize_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value q = g_div(&b, dy[0], n->in[2]);
  if (grad_wanted(g, n, 0))
    give(g, &b, n, 0, q);
  if (grad_wanted(g, n, 1))
    grad_add(g, n, 1, g_neg(&b, g_reduce_to(&b, q, value_type(n->in[1]))));
  if (grad_wanted(g, n, 2))
    give(g, &b, n, 2, g_neg(&b, g_mul(&b, q, (Value){ (Node *)(uintptr_t)n, 0 })));
}

static LExpr *normalize_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_div(s, s_sub(s, x[0], x[1]), x[2]);
}

static double normalize_ref(const Node *n, const double *x)
{
  (void)n;
  return (x[0] - x[1]) / x[2];
}
static double normalize_flops(const Node *n) { return 2 * flops_elems(n); }

const OpDef op_normalize = {
  .name = "normalize",
  .doc = "(x - mean) / std, per feature of a vector or per channel of an image",
  .aliases = "Normalization", .formula = "$y = ($x - $mean) / $std", .cls = OP_EWISE,
  .operands = "x mean std", .results = "y", .infer = infer_broadcast_reals, .grad = normalize_grad,
  .scalar = normalize_scalar, .ref_scalar = normalize_ref, .flops = normalize_flops,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3], mean=f32[3], std=f32[3]" },
    { "", "x=f32[n,2,3,2], mean=f32[2], std=f32[2]" }, { "", "x=f32[n,4], mean=f32[], std=f32[]" },
    { 0 }
  },
};
