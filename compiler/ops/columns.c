/* A dense layer behind one_hot: its product with a vector of zeros and a one is a column of the
 * weight. `dense` and `dense_dw` become these operations by their rules.
 *
 *   token_columns      y[t,o] = w[o, x[t]] + b[o]
 *   token_columns_dw   dw[o,v] = sum of dy[t,o] over the places of the batch with x[t] = v
 *
 * A number that w has no column for adds nothing, as a row of zeros would. The bits are those of
 * the products: x * 1 is exact, adding x * 0 changes nothing, and sums keep their order. Three
 * things differ: an infinite or undefined weight shows where its token is, not everywhere; so does
 * such a gradient; and -0 plus a bias of -0 is -0. */
#include "kernel/columns.h"
#include "ops/family.h"

#define TOKEN_COLUMNS_DW(A, op) A(op, int, tokens, "!", "how many tokens there are")
ATTRS(token_columns_dw, TOKEN_COLUMNS_DW)

/* The numbers that x [T, tokens] is one_hot of; node NULL: it is not. */
static Value numbers_behind(Value x)
{
  const Node *n = x.node;
  bool hot = n->op == &op_one_hot_rows && n->type[0].rank == 2;
  return hot && !dtype_is_real(value_type(n->in[0])->dtype) ? n->in[0] : (Value){ NULL, 0 };
}

Value g_columns(const GBuild *b, const Node *dense)
{
  Value in[] = { numbers_behind(dense->in[0]), dense->in[1], { NULL, 0 } };
  if (operand_given(dense, 2))
    in[2] = dense->in[2];
  return in[0].node ? g_op(b, &op_token_columns, NULL, in, in[2].node ? 3 : 2) : in[0];
}

Value g_columns_dw(const GBuild *b, Value dy, Value x)
{
  Value in[] = { dy, numbers_behind(x) };
  token_columns_dw_attrs a = { .tokens = value_type(x)->dim[value_type(x)->rank - 1] };
  return in[1].node ? g_op(b, &op_token_columns_dw, &a, in, 2) : in[1];
}

/* ---- columns ---- */
static bool want_numbers(Infer *c, const Node *n, uint32_t i)
{
  if (!want_batched(c, n, i))
    return false;
  if (c->in[i].rank == 1 && !dtype_is_real(c->in[i].dtype))
    return true;
  return infer_error(c, n, "E0202", "`x` must be numbers of tokens, but is %s",
                     shape_text(c, &c->in[i]));
}

static bool columns_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 2) || !want_numbers(c, n, 0) || !want_real(c, n, 1))
    return false;
  const Type *w = &c->in[1], *bias = c->nin > 2 ? &c->in[2] : NULL;
  if (w->rank != 2 || w->batched)
    return infer_error(c, n, "E0201", "w is %s: it is no matrix", shape_text(c, w));
  if (bias && bias->dtype != DT_COUNT && (bias->rank != 1 || bias->dim[0] != w->dim[0]))
    return infer_error(c, n, "E0201", "the bias is %s, but there are %lld units",
                       shape_text(c, bias), (long long)w->dim[0]);
  *out = type_make(w->dtype, true, 2, (int64_t[]){ c->in[0].dim[0], w->dim[0] });
  return want_elems(c, n, out);
}

static bool has_column(double number, int64_t columns)
{
  return number >= 0 && number < (double)columns;
}

static void columns_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t units = in[1]->type.dim[0], columns = in[1]->type.dim[1];
  (void)c;
  for (int64_t i = 0; i < ref_elems(out[0]); i++) {
    double number = in[0]->v[i / units], sum = n->nin > 2 && in[2] ? in[2]->v[i % units] : 0;
    if (has_column(number, columns))
      sum += in[1]->v[i % units * columns + (int64_t)number];
    out[0]->v[i] = sum;
  }
}

static void columns_plan(Plans *ps, const Node *n) { columns_plans(ps, n, 1); }

static void columns_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  columns_read(l, n, n->in[0], n->in[1], operand_given(n, 2) ? n->in[2] : (Value){ NULL, 0 });
}

const OpDef op_token_columns = {
  .name = "token_columns", .doc = "dense behind one_hot: a column of the weight for each token",
  .formula = "$y[t,o] = $w[o,$x[t]] + $b[o]", .cls = OP_NEST, .operands = "x w b?",
  .results = "y", .infer = columns_infer, .ref = columns_ref, .flops = flops_elems,
  .plans = columns_plan, .lower = columns_lower,
  .samples = (const OpSample[]){
    { "", "x=i32[n,4], w=f32[3,5], b=f32[3]" }, { "", "x=u8[n,17], w=f32[34,7]" },
    { "", "x=i32[n,1], w=f32[16,1], b=f32[16]" }, { 0 }
  },
};

/* ---- columns_dw ---- */
static bool columns_dw_infer(Infer *c, const Node *n, Type *out)
{
  const token_columns_dw_attrs *a = n->attrs;
  if (!want_operands(c, n, 2) || !want_real(c, n, 0) || !want_batched(c, n, 0) ||
      !want_numbers(c, n, 1))
    return false;
  const Type *dy = &c->in[0];
  if (a->tokens < 1 || dy->rank != 2 || dy->dim[0] != c->in[1].dim[0])
    return infer_error(c, n, "E0201", "dy and x do not belong to one layer");
  *out = type_make(dy->dtype, false, 2, (int64_t[]){ dy->dim[1], a->tokens });
  return want_elems(c, n, out);
}

static void columns_dw_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t tokens = ((const token_columns_dw_attrs *)n->attrs)->tokens, units = out[0]->type.dim[0];
  (void)c;
  for (int64_t i = 0; i < ref_elems(out[0]); i++)
    out[0]->v[i] = 0;
  for (int64_t i = 0; i < ref_elems(in[0]); i++) {
    double number = in[1]->v[i / units];
    if (has_column(number, tokens))
      out[0]->v[i % units * tokens + (int64_t)number] += in[0]->v[i];
  }
}

static double columns_dw_flops(const Node *n) { return (double)value_elems(n->in[0]); }

static void columns_dw_plan(Plans *ps, const Node *n) { columns_plans(ps, n, -1); }

static void columns_dw_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  columns_add(l, n, n->in[0], n->in[1]);
}

const OpDef op_token_columns_dw = {
  .name = "token_columns_dw", .doc = "gradient of token_columns towards its weight",
  .formula = "$dw[o,v] = sum over t with $x[t] = v of $dy[t,o]", .cls = OP_NEST,
  .operands = "dy x", .results = "dw", .attrs = token_columns_dw_attr_defs,
  .attrs_size = sizeof(token_columns_dw_attrs), .infer = columns_dw_infer, .ref = columns_dw_ref,
  .flops = columns_dw_flops, .plans = columns_dw_plan, .lower = columns_dw_lower,
  .samples = (const OpSample[]){
    { "tokens=5", "dy=f32[n,4,3], x=i32[n,4]" }, { "tokens=7", "dy=f32[n,17,34], x=u8[n,17]" },
    { "tokens=1", "dy=f32[n,1,16], x=i32[n,1]" }, { 0 }
  },
};
