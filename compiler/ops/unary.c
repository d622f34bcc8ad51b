/* Elementwise operations of one operand. Conventions: the gradient of abs at 0 is 0, of sqrt at 0
 * is infinite as in IEEE division; log of 0 is -inf and of a negative number NaN. */
#include "ops/family.h"
#include <math.h>

static Value result(const Node *n) { return (Value){ (Node *)(uintptr_t)n, 0 }; }
static Value unchanged(Node *n) { return (Value){ n, 0 }; }

/* ---- neg ---- */
static void neg_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_neg(&b, dy[0]));
}

static Value neg_simplify(Graph *g, Node *n)
{
  (void)g;
  return n->in[0].node->op == &op_neg ? n->in[0].node->in[0] : unchanged(n);
}

static LExpr *neg_scalar(Scalar *s, const Node *n, LExpr **x) { (void)n; return s_neg(s, x[0]); }
static double neg_ref(const Node *n, const double *x) { (void)n; return -x[0]; }

const OpDef op_neg = {
  .name = "neg", .doc = "-x, element by element", .aliases = "negative", .formula = "$y = -$x",
  .cls = OP_EWISE, .flags = OP_LAYER | OP_ZERO, .operands = "x", .results = "y",
  .infer = infer_like_first, .grad = neg_grad, .simplify = neg_simplify,
  .scalar = neg_scalar, .ref_scalar = neg_ref,
  .flops = flops_elems,
  .samples = (const OpSample[]){ { "", "x=f32[n,3]" }, { "", "x=f32[2,3]" }, { 0 } },
};

/* ---- exp ---- */
static void exp_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_mul(&b, dy[0], result(n)));
}

static LExpr *exp_scalar(Scalar *s, const Node *n, LExpr **x) { (void)n; return s_exp(s, x[0]); }
static double exp_ref(const Node *n, const double *x) { (void)n; return exp(x[0]); }
static double exp_flops(const Node *n) { return 20 * flops_elems(n); }

const OpDef op_exp = {
  .name = "exp", .doc = "e to the power x, element by element", .aliases = "exponential",
  .formula = "$y = exp($x)", .cls = OP_EWISE, .flags = OP_LAYER, .operands = "x", .results = "y",
  .infer = infer_like_first, .grad = exp_grad, .scalar = exp_scalar, .ref_scalar = exp_ref,
  .flops = exp_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,3]" }, { "", "x=f32[n,2,3,1]" }, { 0 } },
};

/* ---- log ---- */
static void log_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_div(&b, dy[0], n->in[0]));
}

static LExpr *log_scalar(Scalar *s, const Node *n, LExpr **x) { (void)n; return s_log(s, x[0]); }
static double log_ref(const Node *n, const double *x) { (void)n; return log(x[0]); }

const OpDef op_log = {
  .name = "log", .doc = "natural logarithm, element by element", .aliases = "ln",
  .formula = "$y = log($x)", .cls = OP_EWISE, .flags = OP_LAYER, .operands = "x", .results = "y",
  .infer = infer_like_first, .grad = log_grad, .scalar = log_scalar, .ref_scalar = log_ref,
  .flops = exp_flops,
  .samples = (const OpSample[]){ { "", "x=f32[n,3]" }, { "", "x=f32[n,2,3,1]" }, { 0 } },
};

/* ---- sqrt ---- */
static void sqrt_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_div(&b, dy[0], g_scale(&b, result(n), 2)));
}

static LExpr *sqrt_scalar(Scalar *s, const Node *n, LExpr **x) { (void)n; return s_sqrt(s, x[0]); }
static double sqrt_ref(const Node *n, const double *x) { (void)n; return sqrt(x[0]); }

const OpDef op_sqrt = {
  .name = "sqrt", .doc = "square root, element by element", .formula = "$y = sqrt($x)",
  .cls = OP_EWISE, .flags = OP_LAYER | OP_ZERO, .operands = "x", .results = "y",
  .infer = infer_like_first, .grad = sqrt_grad, .scalar = sqrt_scalar, .ref_scalar = sqrt_ref,
  .flops = flops_elems,
  .samples = (const OpSample[]){ { "", "x=f32[n,3]" }, { "", "x=f32[]" }, { 0 } },
};

/* ---- abs ---- */
static void abs_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (!grad_wanted(g, n, 0))
    return;
  Value zero = g_const(&b, 0), x = n->in[0];
  Value positive = g_if_lt(&b, zero, x, dy[0], zero);
  grad_add(g, n, 0, g_if_lt(&b, x, zero, g_neg(&b, dy[0]), positive));
}

static LExpr *abs_scalar(Scalar *s, const Node *n, LExpr **x) { (void)n; return s_abs(s, x[0]); }
static double abs_ref(const Node *n, const double *x) { (void)n; return fabs(x[0]); }

const OpDef op_abs = {
  .name = "abs", .doc = "absolute value, element by element; gradient 0 at 0",
  .formula = "$y = |$x|", .cls = OP_EWISE, .flags = OP_LAYER | OP_ZERO, .operands = "x",
  .results = "y", .infer = infer_like_first, .grad = abs_grad, .scalar = abs_scalar,
  .ref_scalar = abs_ref, .flops = flops_elems,
  .samples = (const OpSample[]){ { "", "x=f32[n,3]" }, { "", "x=f32[n,2,3,1]" }, { 0 } },
};

/* ---- square ---- */
static void square_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_mul(&b, dy[0], g_scale(&b, n->in[0], 2)));
}

static LExpr *square_scalar(Scalar *s, const Node *n, LExpr **x)
{
  (void)n;
  return s_mul(s, x[0], x[0]);
}
static double square_ref(const Node *n, const double *x) { (void)n; return x[0] * x[0]; }

const OpDef op_square = {
  .name = "square", .doc = "x * x, element by element", .formula = "$y = $x^2", .cls = OP_EWISE,
  .flags = OP_LAYER | OP_ZERO, .operands = "x", .results = "y", .infer = infer_like_first,
  .grad = square_grad, .scalar = square_scalar, .ref_scalar = square_ref, .flops = flops_elems,
  .samples = (const OpSample[]){ { "", "x=f32[n,3]" }, { "", "x=f32[n,2,3,1]" }, { 0 } },
};

/* ---- cast ---- */
#define CAST(A, op) \
  A(op, name, dtype, "real",                    \
    "element type, real being the program's; one of: real f32 f64 u8 i32 u32 i64")
ATTRS(cast, CAST)

Value g_cast(const GBuild *b, Value x, DType to)
{
  if (value_type(x)->dtype == to)
    return x;
  return g_op(b, &op_cast, &(cast_attrs){ .dtype = dtype_text(to) }, &x, 1);
}

static bool cast_infer(Infer *c, const Node *n, Type *out)
{
  const cast_attrs *a = n->attrs;
  if (!infer_same_as(c, n, 0, out))
    return false;
  out->dtype = c->real;
  if (str_eq(a->dtype, "real") || dtype_parse(a->dtype, &out->dtype))
    return true;
  return infer_error(c, n, "E0304", "`%s` is not an element type", a->dtype);
}

/* Integers are steps: no gradient flows through them. */
static void cast_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  const Type *from = value_type(n->in[0]);
  if (dtype_is_real(from->dtype) && dtype_is_real(n->type[0].dtype) && grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_cast(&b, dy[0], from->dtype));
}

static Value cast_simplify(Graph *g, Node *n)
{
  (void)g;
  return value_type(n->in[0])->dtype == n->type[0].dtype ? n->in[0] : unchanged(n);
}

static LExpr *cast_scalar(Scalar *s, const Node *n, LExpr **x)
{
  return l_cast(s->b, x[0], n->type[0].dtype);
}

static double cast_ref(const Node *n, const double *x)
{
  return dtype_is_real(n->type[0].dtype) ? x[0] : trunc(x[0]);
}

const OpDef op_cast = {
  .name = "cast", .doc = "the same numbers in another element type; real to integer truncates",
  .aliases = "to astype", .formula = "$y = $x", .cls = OP_EWISE, .flags = OP_ZERO, .operands = "x",
  .results = "y", .attrs = cast_attr_defs, .attrs_size = sizeof(cast_attrs), .positional = 1,
  .infer = cast_infer, .grad = cast_grad, .simplify = cast_simplify, .scalar = cast_scalar,
  .ref_scalar = cast_ref, .flops = flops_elems,
  .samples = (const OpSample[]){
    { "", "x=u8[n,1,4,3]" }, { "dtype=i32", "x=f32[n,3]" }, { "", "x=f32[n,3]" }, { 0 }
  },
};

/* ---- spread ---- */
#define SPREAD(A, op)                                                                   \
  A(op, flag, batch, "false", "the result has one tensor per sample")                   \
  A(op, ints, shape, "",      "dims of the result; none: those of x")
ATTRS(spread, SPREAD)

Value g_spread(const GBuild *b, Value x, const Type *to)
{
  const Type *from = value_type(x);
  if (type_same_shape(from, to))
    return x;
  spread_attrs a = { .batch = to->batched, .shape = { .n = to->rank } };
  for (int i = 0; i < to->rank; i++)
    a.shape.at[i] = to->dim[i];
  return g_op(b, &op_spread, &a, &x, 1);
}

static bool spread_infer(Infer *c, const Node *n, Type *out)
{
  const spread_attrs *a = n->attrs;
  if (!want_operands(c, n, 1) || !want_reals(c, n))
    return false;
  const Type *x = &c->in[0];
  *out = a->shape.n ? type_make(x->dtype, a->batch, a->shape.n, a->shape.at) : *x;
  out->batched = a->batch;
  bool dims = x->rank == 0 || (x->rank == 1 && out->rank > 0 && x->dim[0] == out->dim[0]);
  if (!dims && x->rank == out->rank) {
    dims = true;
    for (int i = 0; i < x->rank; i++)
      dims = dims && x->dim[i] == out->dim[i];
  }
  if (!dims || (x->batched && !a->batch))
    return infer_error(c, n, "E0201", "%s does not spread to %s", shape_text(c, x),
                       shape_text(c, out));
  return true;
}

static void spread_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_reduce_to(&b, dy[0], value_type(n->in[0])));
}

static LExpr *spread_scalar(Scalar *s, const Node *n, LExpr **x) { (void)s; (void)n; return x[0]; }
static double spread_ref(const Node *n, const double *x) { (void)n; return x[0]; }
static double spread_flops(const Node *n) { (void)n; return 0; }

const OpDef op_spread = {
  .name = "spread", .doc = "the same numbers for every sample, channel position or element",
  .formula = "$y = $x", .cls = OP_EWISE, .flags = OP_ZERO, .operands = "x", .results = "y",
  .attrs = spread_attr_defs, .attrs_size = sizeof(spread_attrs), .infer = spread_infer,
  .grad = spread_grad, .scalar = spread_scalar, .ref_scalar = spread_ref, .flops = spread_flops,
  .samples = (const OpSample[]){
    { "batch=true", "x=f32[]" }, { "batch=true, shape=[2, 3, 2]", "x=f32[2]" },
    { "batch=true, shape=[2, 3]", "x=f32[n]" }, { "batch=true", "x=f32[2,2]" }, { 0 }
  },
};
