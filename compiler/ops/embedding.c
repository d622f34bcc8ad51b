/* A learnt vector for each token, PyTorch's Embedding: y[t] = w[x[t]], the weight stored as
 * [tokens, dim] and drawn from the normal distribution of mean 0 and standard deviation 1.
 *
 * dw[v] is the sum of dy[t] over all places of the batch with x[t] = v, in the order of samples
 * and then of places. A token outside of the vocabulary, -1 for none, has no row: its y is that of
 * token 0 and adds nothing to dw. */
#include "kernel/gather.h"
#include "ops/family.h"

#define EMBEDDING(A, op)                                                                     \
  A(op, int,     dim,    "!",       "numbers for each token")                                \
  A(op, int,     tokens, "0",       "how many tokens there are; 0: as many as the text has") \
  A(op, init,    init,   "default", "how the weight starts; default: normal(0, 1)")          \
  A(op, literal, weight, "",        "given weight [tokens, dim]")                            \
  A(op, flag,    train,  "true",    "false: the weight stays as it starts")
ATTRS(embedding, EMBEDDING)

#define EMBEDDING_DW(A, op)                              \
  A(op, int, dim,    "!", "numbers for each token")      \
  A(op, int, tokens, "!", "how many tokens there are")
ATTRS(embedding_dw, EMBEDDING_DW)

enum { TOKENS_MAX = 1 << 16, DIM_MAX = 1 << 16 };

static int64_t tokens_of(const Program *p, const Node *n)
{
  const embedding_attrs *a = n->attrs;
  return a->tokens ? a->tokens : n->nin ? classes_of_input(p, n->in[0]) : 0;
}

static bool check_tokens(Infer *c, const Node *n, uint32_t i)
{
  const Type *x = &c->in[i];
  if (!want_batched(c, n, i))
    return false;
  if (dtype_is_real(x->dtype)) {
    infer_error(c, n, "E0207", "needs numbers of tokens, but `%s` holds real numbers",
                op_operand_name(n->op, c->arena, i));
    return infer_help(c, "read them from a text: 'field x: token[8];'");
  }
  return x->rank < RANK_MAX - 1 ||
         infer_error(c, n, "E0202", "`x` has too many dimensions: %s", shape_text(c, x));
}

static bool embedding_infer(Infer *c, const Node *n, Type *out)
{
  const embedding_attrs *a = n->attrs;
  if (a->dim < 1 || a->dim > DIM_MAX)
    return infer_error(c, n, "E0304", "`dim` must be between 1 and %d, not %lld", DIM_MAX,
                       (long long)a->dim);
  if (!want_operands(c, n, 1) || !check_tokens(c, n, 0))
    return false;
  int64_t tokens = tokens_of(c->program, n);
  if (tokens < 1 || tokens > TOKENS_MAX) {
    infer_error(c, n, "E0304", "`tokens` must be between 1 and %d, not %lld", TOKENS_MAX,
                (long long)tokens);
    return tokens ? false : infer_help(c, "write embedding(%lld, tokens=100)", (long long)a->dim);
  }
  *out = c->in[0];
  out->dtype = c->real;
  out->dim[out->rank++] = a->dim;
  if (!want_elems(c, n, out) || !want_operands(c, n, 2))
    return false;
  Type weight = type_make(c->real, false, 2, (int64_t[]){ tokens, a->dim });
  return type_equal(&weight, &c->in[1]) ||
         infer_error(c, n, "E0201", "the weight is %s, but %s is needed here",
                     shape_text(c, &c->in[1]), shape_text(c, &weight));
}

static void embedding_params(Params *p, const Node *n)
{
  const embedding_attrs *a = n->attrs;
  int64_t dim[] = { tokens_of(p->program, n), a->dim };
  if (dim[0] < 1 || dim[0] > TOKENS_MAX || dim[1] < 1 || dim[1] > DIM_MAX)
    return;                     /* infer says so */
  if (a->weight.value) {
    param_add_given(p, "weight", 2, dim, a->weight, a->train, p->diag);
    return;
  }
  Init init = a->init.kind == INIT_DEFAULT ? (Init){ INIT_NORMAL, 0, 1 } : a->init;
  param_add(p, "weight", STATE_PARAM, 2, dim, init, dim[1], dim[0], a->train);
}

static void embedding_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  const Type *w = value_type(n->in[1]);
  embedding_dw_attrs a = { .dim = w->dim[1], .tokens = w->dim[0] };
  if (grad_wanted(g, n, 1))
    grad_add(g, n, 1, g_op(&b, &op_embedding_dw, &a, (Value[]){ dy[0], n->in[0] }, 2));
}

static void embedding_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t dim = n->type[0].dim[n->type[0].rank - 1], tokens = in[1]->type.dim[0];
  (void)c;
  for (int64_t i = 0; i < ref_elems(out[0]); i++) {
    double token = in[0]->v[i / dim];
    out[0]->v[i] = in[1]->v[(token >= 0 && token < (double)tokens ? (int64_t)token : 0) * dim +
                            i % dim];
  }
}

static double embedding_flops(const Node *n) { (void)n; return 0; }

static void embedding_plan(Plans *ps, const Node *n) { gather_plans(ps, n); }

static void embedding_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  gather_rows(l, n, n->in[0], n->in[1]);
}

const OpDef op_embedding = {
  .name = "embedding", .doc = "a learnt vector for each token",
  .aliases = "Embedding embed nn.Embedding", .formula = "$y[t,d] = $w[$x[t],d]", .cls = OP_NEST,
  .flags = OP_LAYER, .operands = "x w", .results = "y", .attrs = embedding_attr_defs,
  .attrs_size = sizeof(embedding_attrs), .positional = 1, .infer = embedding_infer,
  .params = embedding_params, .grad = embedding_grad, .ref = embedding_ref,
  .flops = embedding_flops, .plans = embedding_plan, .lower = embedding_lower,
  .samples = (const OpSample[]){
    { "dim=3, tokens=5", "x=i32[n,4]" }, { "dim=16, tokens=7", "x=u8[n,17]" },
    { "dim=5, tokens=4", "x=i32[n]" }, { 0 }
  },
};

/* ---- embedding_dw ---- */
static bool embedding_dw_infer(Infer *c, const Node *n, Type *out)
{
  const embedding_dw_attrs *a = n->attrs;
  if (!want_operands(c, n, 2) || !want_real(c, n, 0) || !want_batched(c, n, 0) ||
      !check_tokens(c, n, 1))
    return false;
  const Type *dy = &c->in[0], *x = &c->in[1];
  if (a->tokens < 1 || a->tokens > TOKENS_MAX || dy->rank != x->rank + 1 ||
      dy->dim[x->rank] != a->dim || type_elems(dy) != type_elems(x) * a->dim)
    return infer_error(c, n, "E0201", "dy and x do not belong to one embedding");
  *out = type_make(dy->dtype, false, 2, (int64_t[]){ a->tokens, a->dim });
  return true;
}

static void embedding_dw_ref(RefCtx *c, const Node *n, RefTensor *const *in,
                             RefTensor *const *out)
{
  const embedding_dw_attrs *a = n->attrs;
  (void)c;
  for (int64_t i = 0; i < ref_elems(out[0]); i++)
    out[0]->v[i] = 0;
  for (int64_t i = 0; i < ref_elems(in[0]); i++) {
    double token = in[1]->v[i / a->dim];
    if (token >= 0 && token < (double)a->tokens)
      out[0]->v[(int64_t)token * a->dim + i % a->dim] += in[0]->v[i];
  }
}

static double embedding_dw_flops(const Node *n) { return (double)value_elems(n->in[0]); }

static void embedding_dw_plan(Plans *ps, const Node *n) { gather_plans(ps, n); }

static void embedding_dw_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  scatter_rows(l, n, n->in[0], n->in[1]);
}

const OpDef op_embedding_dw = {
  .name = "embedding_dw", .doc = "gradient of embedding towards its weight",
  .formula = "$dw[v,d] = sum over t with $x[t] = v of $dy[t,d]", .cls = OP_NEST,
  .operands = "dy x", .results = "dw", .attrs = embedding_dw_attr_defs,
  .attrs_size = sizeof(embedding_dw_attrs), .infer = embedding_dw_infer, .ref = embedding_dw_ref,
  .flops = embedding_dw_flops, .plans = embedding_dw_plan, .lower = embedding_dw_lower,
  .samples = (const OpSample[]){
    { "dim=3, tokens=5", "dy=f32[n,4,3], x=i32[n,4]" },
    { "dim=16, tokens=7", "dy=f32[n,17,16], x=u8[n,17]" },
    { "dim=5, tokens=4", "dy=f32[n,5], x=i32[n]" }, { 0 }
  },
};
