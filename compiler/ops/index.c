/* Index notation: what operations written by the user are made of, beside elementwise ones.
 *
 *   index_sum   y[f,i] = sum_{c,j} x[c,i+j] * w[f,c,j]
 *   index_max   y[c,i] = max_j x[c,2*i+j], and which j it is
 *   index_pick  dx[c,m] = sum_i dy[c,i] where the maximum of i was x[c,m]
 *
 * Terms that read outside of a tensor are left out; a maximum of nothing is 0. The first of equal
 * maxima takes the gradient. Gradients are gathers: each place of an operand sums the terms that
 * read it. */
#include "kernel/matmul.h"
#include "ops/index_map.h"

static Nest nest_of(const Node *n)
{
  Type in[NEST_FACTORS];
  Nest nest;
  for (uint32_t i = 0; i < n->nin; i++)
    in[i] = *value_type(n->in[i]);
  if (!index_nest(n->attrs, in, n->nin, &nest))
    ice("node %u: its index map does not fit its operands", n->id);
  return nest;
}

static bool index_infer(Infer *c, const Node *n, Type *out)
{
  const index_attrs *a = n->attrs;
  Nest nest;
  bool batched = false;
  if (!want_operands(c, n, 1) || !want_reals(c, n))
    return false;
  for (uint32_t i = 0; i < c->nin; i++)
    if (!want_operands(c, n, i + 1))
      return false;
  if (!index_nest(a, c->in, c->nin, &nest))
    return infer_error(c, n, "E0304", "its index map does not fit its operands");
  for (uint32_t i = 0; i < c->nin; i++)
    batched = batched || c->in[i].batched;
  *out = type_make(c->in[0].dtype, batched && !a->total, nest.rank, nest.extent);
  return want_elems(c, n, out);
}

static double index_flops(const Node *n)
{
  Nest nest = nest_of(n);
  double terms = nest.nfactor > 1 ? nest.nfactor : 1;
  for (int t = 0; t < nest.nindex; t++)
    terms *= (double)nest.extent[t];
  return terms;
}

static void index_plans(Plans *ps, const Node *n)
{
  Nest nest = nest_of(n);
  nest_plans(ps, n, &nest);
}

/* ---- sums that a template computes ---- */

/* A pass of a dense layer; main and other are operands as dense_plans counts them. */
typedef struct { bool found; DensePass pass; int main, other; } Product;

/* The places of operand k are indices s and t, each over its whole range; t < 0: only s. */
static bool reads(const Nest *nest, int k, int s, int t)
{
  int want[] = { s, t }, rank = t < 0 ? 1 : 2;
  bool same = nest->first[k + 1] - nest->first[k] == rank;
  for (int i = 0; same && i < rank; i++) {
    const NestRow *row = &nest->row[nest->first[k] + i];
    same = row->offset == 0 && row->divisor == 1 && row->extent == nest->extent[want[i]];
    for (int j = 0; j < nest->nindex; j++)
      same = same && row->c[j] == (j == want[i]);
  }
  return same;
}

static Product product_of(const Node *n, const Nest *nest)
{
  Product p = { .found = false };
  if (nest->nfactor != 2 || nest->nindex != 2 || nest->nrow != nest->first[2])
    return p;
  for (int k = 0; k < 2 && !p.found; k++) {
    bool both = value_type(n->in[1 - k])->batched;
    p = (Product){ .main = k, .other = 1 - k };
    if (!value_type(n->in[k])->batched)
      continue;
    if (nest->rank == 2 && !n->type[0].batched && both) {
      p.found = reads(nest, k, 0, -1) && reads(nest, 1 - k, 1, -1);
      p.pass = DENSE_WEIGHT_GRAD;
    } else if (nest->rank == 1 && !both && reads(nest, k, 1, -1)) {
      p.pass = reads(nest, 1 - k, 0, 1) ? DENSE_FORWARD : DENSE_INPUT_GRAD;
      p.found = p.pass == DENSE_FORWARD || reads(nest, 1 - k, 1, 0);
    }
  }
  return p;
}

static bool index_sum_expand(Expand *e, const Node *n, Value *out)
{
  GBuild b = g_in_expand(e);
  Nest nest = nest_of(n);
  return index_layer(&b, n, &nest, out);
}

static void index_sum_plans(Plans *ps, const Node *n)
{
  Nest nest = nest_of(n);
  Product p = product_of(n, &nest);
  if (p.found)
    dense_plans(ps, n, p.pass, p.main, p.other);
  else
    nest_plans(ps, n, &nest);
}

static void index_sum_lower(Lower *l, const Node *n, const Plan *plan)
{
  Nest nest = nest_of(n);
  Product p = product_of(n, &nest);
  Value main = n->in[p.found ? p.main : 0], other = n->in[p.found ? p.other : 0];
  if (!p.found)
    nest_sum(l, n, &nest);
  else if (p.pass == DENSE_FORWARD)
    dense_forward(l, n, plan, main, other, (Value){ NULL, 0 });
  else if (p.pass == DENSE_INPUT_GRAD)
    dense_input_grad(l, n, plan, main, other);
  else
    dense_weight_grad(l, n, plan, main, other);
}

/* ---- the reference ---- */

static bool place_of(const Nest *nest, const NestRow *row, const int64_t *index, int64_t *out)
{
  int64_t e = row->offset;
  for (int t = 0; t < nest->nindex; t++)
    e += row->c[t] * index[t];
  *out = e / row->divisor;
  return e >= 0 && e % row->divisor == 0 && *out < row->extent;
}

/* Where each operand is read, and the place of the last row; false: the term is left out. */
static bool places_of(const Nest *nest, RefTensor *const *in, const int64_t *index, int64_t *at,
                      int64_t *last)
{
  for (int k = 0; k < nest->nfactor; k++)
    at[k] = 0;
  *last = 0;
  for (int r = 0, k = 0; r < nest->nrow; r++) {
    if (!place_of(nest, &nest->row[r], index, last))
      return false;
    while (k < nest->nfactor && r >= nest->first[k + 1])
      k++;
    if (k < nest->nfactor)
      at[k] = at[k] * in[k]->type.dim[r - nest->first[k]] + *last;
  }
  return true;
}

static bool next_index(const Nest *nest, int64_t *index)
{
  for (int t = nest->nindex; t-- > 0;) {
    if (++index[t] < nest->extent[t])
      return true;
    index[t] = 0;
  }
  return false;
}

/* The row-major number of the indices [from, to). */
static int64_t number_of(const Nest *nest, const int64_t *index, int from, int to)
{
  int64_t k = 0;
  for (int t = from; t < to; t++)
    k = k * nest->extent[t] + index[t];
  return k;
}

static double element(const RefTensor *x, int64_t sample, int64_t at)
{
  return x->v[(x->n > 1 ? sample : 0) * x->elems + at];
}

static void index_sum_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  Nest nest = nest_of(n);
  bool picks = n->op == &op_index_pick;
  int64_t samples = 1, index[NEST_INDICES] = { 0 }, at[NEST_FACTORS], last;
  (void)c;
  for (uint32_t k = 0; k < n->nin; k++)
    samples = max_i64(samples, in[k]->n);
  for (int64_t i = 0; i < ref_elems(out[0]); i++)
    out[0]->v[i] = 0;
  do {
    if (!places_of(&nest, in, index, at, &last))
      continue;
    int64_t to = number_of(&nest, index, 0, nest.rank);
    for (int64_t s = 0; s < samples; s++) {
      double term = 1;
      int factors = nest.nfactor - picks;
      for (int k = 0; k < factors; k++)
        term *= element(in[k], s, at[k]);
      if (!picks || element(in[factors], s, at[factors]) == (double)last)
        out[0]->v[(out[0]->n > 1 ? s : 0) * out[0]->elems + to] += term;
    }
  } while (next_index(&nest, index));
}

static void index_max_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  Nest nest = nest_of(n);
  int64_t index[NEST_INDICES] = { 0 }, at[NEST_FACTORS], last;
  (void)c;
  for (int64_t i = 0; i < ref_elems(out[0]); i++) {
    out[0]->v[i] = 0;
    out[1]->v[i] = -1;
  }
  do {
    if (!places_of(&nest, in, index, at, &last))
      continue;
    int64_t to = number_of(&nest, index, 0, nest.rank);
    for (int64_t s = 0; s < out[0]->n; s++) {
      double v = element(in[0], s, at[0]), *best = &out[0]->v[s * out[0]->elems + to],
             *first = &out[1]->v[s * out[1]->elems + to];
      if (*first < 0 || v > *best || v != v) {
        *best = v;
        *first = (double)number_of(&nest, index, nest.rank, nest.nindex);
      }
    }
  } while (next_index(&nest, index));
}

/* ---- index_sum ---- */

/* dy times the other factors, gathered where they meet operand k. */
static void index_sum_grad(Grad *g, const Node *n, const Value *dy)
{
  const index_attrs *a = n->attrs;
  GBuild b = g_in_grad(g);
  Nest nest = nest_of(n), inverse;
  for (uint32_t k = 0; k < n->nin; k++) {
    if (!grad_wanted(g, n, k))
      continue;
    Value in[NEST_FACTORS] = { dy[0] };
    const char *names;
    bool batched = value_type(dy[0])->batched;
    uint32_t count = 1;
    for (uint32_t i = 0; i < n->nin; i++)
      if (i != k) {
        batched = batched || value_type(n->in[i])->batched;
        in[count++] = n->in[i];
      }
    index_inverse(g->graph->arena, &nest, a->names, (int)k, NULL, &inverse, &names);
    const Type *x = value_type(n->in[k]);
    index_attrs d = index_attrs_of(g->graph->arena, &inverse, names, batched && !x->batched);
    grad_add(g, n, k, g_spread(&b, g_op(&b, &op_index_sum, &d, in, count), x));
  }
}

/* "sum_{c,j} $x[c,i+j] * $y[f,c,j]", with `skip` operands left out at the end. */
static const char *terms_text(Arena *a, const Node *n, const Nest *nest, const char *names,
                              int skip)
{
  const char *s = "", *over = ((const index_attrs *)n->attrs)->total ? "n" : "";
  for (int t = nest->rank; t < nest->nindex; t++)
    over = arena_printf(a, "%s%s%s", over, *over ? "," : "", index_name(a, names, t));
  if (*over)
    s = arena_printf(a, "sum_{%s} ", over);
  for (int k = 0; k < nest->nfactor - skip; k++) {
    const char *at = index_places(a, nest, names, nest->first[k], nest->first[k + 1]);
    s = arena_printf(a, *at ? "%s%s$%s[%s]" : "%s%s$%s", s, k ? " * " : "",
                     op_operand_name(n->op, a, (uint32_t)k), at);
  }
  return s;
}

static const char *left_text(Arena *a, const Nest *nest, const char *names, const char *result)
{
  const char *s = "";
  for (int t = 0; t < nest->rank; t++)
    s = arena_printf(a, "%s%s%s", s, t ? "," : "", index_name(a, names, t));
  return arena_printf(a, *s ? "$%s[%s]" : "$%s", result, s);
}

static const char *index_sum_written(Arena *a, const Node *n)
{
  Nest nest = nest_of(n);
  const char *names = ((const index_attrs *)n->attrs)->names;
  return arena_printf(a, "%s = %s%s", left_text(a, &nest, names, "r"),
                      terms_text(a, n, &nest, names, 0),
                      index_conditions(a, &nest, names, nest.nrow));
}

const OpDef op_index_sum = {
  .name = "index_sum", .doc = "sum of products of elements whose places are affine in indices",
  .formula = "$r[i] = sum_j $x[..] * $y[..] * $z[..] * $u[..] * $v[..] * $w[..]", .cls = OP_NEST,
  .operands = "x y? z? u? v? w?", .results = "r", .attrs = index_attr_defs,
  .attrs_size = sizeof(index_attrs), .infer = index_infer, .expand = index_sum_expand,
  .grad = index_sum_grad, .ref = index_sum_ref, .flops = index_flops, .plans = index_sum_plans,
  .lower = index_sum_lower, .written = index_sum_written,
  .samples = (const OpSample[]){
    /* y[f,i] = sum x[c,i+j] * w[f,c,j] */
    { "rank=2, extent=[3, 4, 2, 3], rows=[[0, 0, 1, 0, 0, 1, 2], [0, 1, 0, 1, 0, 1, 6], "
      "[1, 0, 0, 0, 0, 1, 3], [0, 0, 1, 0, 0, 1, 2], [0, 0, 0, 1, 0, 1, 3]]",
      "x=f32[n,2,6], y=f32[3,2,3]" },
    /* strided, with a border: y[i] = sum x[2*i+j-1] */
    { "rank=1, extent=[3, 3], rows=[[2, 1, -1, 1, 5]]", "x=f32[n,5]" },
    /* matrix product of two batches, a number, a diagonal, a sum over samples */
    { "rank=2, extent=[2, 3, 4], rows=[[1, 0, 0, 0, 1, 2], [0, 0, 1, 0, 1, 4], "
      "[0, 0, 1, 0, 1, 4], [0, 1, 0, 0, 1, 3]]", "x=f32[n,2,4], y=f32[n,4,3]" },
    { "extent=[3], rows=[[1, 0, 1, 3], [1, 0, 1, 3]]", "x=f32[n,3,3], y=f32[n]" },
    { "rank=1, extent=[2, 3], rows=[[1, 0, 0, 1, 2], [0, 1, 0, 1, 3], [0, 1, 0, 1, 3]], "
      "total=true", "x=f32[n,2,3], y=f32[n,3]" },
    /* quotients and a condition: y[i] = sum x[(i-j)/2] where i + j <= 3 */
    { "rank=1, extent=[5, 3], rows=[[1, -1, 0, 2, 3], [1, 1, 0, 1, 4]]", "x=f32[n,3]" },
    { "rank=2, extent=[3, 2, 4], rows=[[1, 0, 0, 0, 1, 3], [0, 0, 1, 0, 1, 4], "
      "[0, 1, 0, 0, 1, 2], [0, 0, 1, 0, 1, 4]]", "x=f32[3,4], y=f32[2,4]" },
    /* the three passes of a dense layer */
    { "rank=1, extent=[5, 3], rows=[[1, 0, 0, 1, 5], [0, 1, 0, 1, 3], [0, 1, 0, 1, 3]]",
      "x=f32[5,3], y=f32[n,3]" },
    { "rank=1, extent=[3, 5], rows=[[0, 1, 0, 1, 5], [0, 1, 0, 1, 5], [1, 0, 0, 1, 3]]",
      "x=f32[n,5], y=f32[5,3]" },
    { "rank=2, extent=[5, 3], rows=[[1, 0, 0, 1, 5], [0, 1, 0, 1, 3]], total=true",
      "x=f32[n,5], y=f32[n,3]" },
    /* convolutions: y[f,i,j] = sum x[c,2*i+u-1,j+2*v] * w[f,c,u,v],
     * y[i,c] = sum x[i+u,c] * w[u,c] */
    { "rank=3, extent=[3, 3, 4, 2, 2, 2], rows=[[0, 0, 0, 1, 0, 0, 0, 1, 2], "
      "[0, 2, 0, 0, 1, 0, -1, 1, 5], [0, 0, 1, 0, 0, 2, 0, 1, 6], [1, 0, 0, 0, 0, 0, 0, 1, 3], "
      "[0, 0, 0, 1, 0, 0, 0, 1, 2], [0, 0, 0, 0, 1, 0, 0, 1, 2], [0, 0, 0, 0, 0, 1, 0, 1, 2]]",
      "x=f32[n,2,5,6], y=f32[3,2,2,2]" },
    { "rank=2, extent=[4, 3, 2], rows=[[1, 0, 1, 0, 1, 5], [0, 1, 0, 0, 1, 3], "
      "[0, 0, 1, 0, 1, 2], [0, 1, 0, 0, 1, 3]]", "x=f32[n,5,3], y=f32[2,3]" },
    /* dense: y[o,t] = sum w[i,j,o] * x[t,i,j]; windows that differ from sample to sample */
    { "rank=2, extent=[4, 3, 2, 2], rows=[[0, 0, 1, 0, 0, 1, 2], [0, 0, 0, 1, 0, 1, 2], "
      "[1, 0, 0, 0, 0, 1, 4], [0, 1, 0, 0, 0, 1, 3], [0, 0, 1, 0, 0, 1, 2], "
      "[0, 0, 0, 1, 0, 1, 2]]",
      "x=f32[2,2,4], y=f32[n,3,2,2]" },
    { "rank=2, extent=[3, 4, 2, 3], rows=[[0, 0, 1, 0, 0, 1, 2], [0, 1, 0, 1, 0, 1, 6], "
      "[1, 0, 0, 0, 0, 1, 3], [0, 0, 1, 0, 0, 1, 2], [0, 0, 0, 1, 0, 1, 3]]",
      "x=f32[n,2,6], y=f32[n,3,2,3]" }, { 0 }
  },
};

/* ---- index_max ---- */

static bool index_max_infer(Infer *c, const Node *n, Type *out)
{
  if (!index_infer(c, n, out))
    return false;
  out[1] = out[0];
  return true;
}

/* The row-major number of the indices that the maximum runs over. */
static NestRow number_row(const Nest *nest)
{
  NestRow row = { .divisor = 1, .extent = 1 };
  for (int t = nest->nindex; t-- > nest->rank;) {
    row.c[t] = row.extent;
    row.extent *= nest->extent[t];
  }
  return row;
}

static void index_max_grad(Grad *g, const Node *n, const Value *dy)
{
  const index_attrs *a = n->attrs;
  GBuild b = g_in_grad(g);
  if (!dy[0].node || !grad_wanted(g, n, 0))
    return;
  Nest nest = nest_of(n), inverse;
  NestRow code = number_row(&nest);
  const char *names;
  index_inverse(g->graph->arena, &nest, a->names, 0, &code, &inverse, &names);
  Value in[2] = { dy[0], { (Node *)(uintptr_t)n, 1 } };
  int rows = inverse.first[1];  /* `at` is read where dy is: its rows come before the conditions */
  if (inverse.nrow + rows > NEST_ROWS)
    ice("an index map has more than %d rows", NEST_ROWS);
  for (int r = inverse.nrow; r-- > rows;)
    inverse.row[r + rows] = inverse.row[r];
  for (int r = 0; r < rows; r++)
    inverse.row[rows + r] = inverse.row[r];
  inverse.nrow += rows;
  index_attrs d = index_attrs_of(g->graph->arena, &inverse, names, false);
  grad_add(g, n, 0, g_op(&b, &op_index_pick, &d, in, 2));
}

static void index_max_lower(Lower *l, const Node *n, const Plan *p)
{
  Nest nest = nest_of(n);
  (void)p;
  nest_max(l, n, &nest);
}

static const char *index_max_written(Arena *a, const Node *n)
{
  Nest nest = nest_of(n);
  const char *names = ((const index_attrs *)n->attrs)->names, *over = "";
  for (int t = nest.rank; t < nest.nindex; t++)
    over = arena_printf(a, "%s%s%s", over, *over ? "," : "", index_name(a, names, t));
  const char *at = index_places(a, &nest, names, 0, nest.first[1]);
  return arena_printf(a, "%s = max_{%s} $x[%s]%s", left_text(a, &nest, names, "y"), over, at,
                      index_conditions(a, &nest, names, nest.nrow));
}

const OpDef op_index_max = {
  .name = "index_max", .doc = "largest element of a window whose places are affine in indices",
  .formula = "$y[i] = max_j $x[..], $at[i] = its j", .cls = OP_NEST, .operands = "x",
  .results = "y at", .attrs = index_attr_defs, .attrs_size = sizeof(index_attrs),
  .infer = index_max_infer, .grad = index_max_grad, .ref = index_max_ref, .flops = index_flops,
  .plans = index_plans, .lower = index_max_lower, .written = index_max_written,
  .samples = (const OpSample[]){
    { "rank=2, extent=[2, 3, 3], rows=[[1, 0, 0, 0, 1, 2], [0, 2, 1, 0, 1, 7]]", "x=f32[n,2,7]" },
    { "rank=1, extent=[4, 2, 3], rows=[[0, 1, 0, 0, 1, 2], [1, 0, 1, -1, 1, 4]]", "x=f32[n,2,4]" },
    { "extent=[5], rows=[[1, 0, 1, 5]]", "x=f32[5]" }, { 0 }
  },
};

/* ---- index_pick ---- */

static void index_pick_lower(Lower *l, const Node *n, const Plan *p)
{
  Nest nest = nest_of(n);
  (void)p;
  nest_pick(l, n, &nest);
}

static const char *index_pick_written(Arena *a, const Node *n)
{
  Nest nest = nest_of(n);
  const char *names = ((const index_attrs *)n->attrs)->names;
  const char *at = index_places(a, &nest, names, nest.first[1], nest.first[2]);
  return arena_printf(a, *at ? "%s = %s where $at[%s] = %s" : "%s = %s where $at%s = %s",
                      left_text(a, &nest, names, "dx"), terms_text(a, n, &nest, names, 1), at,
                      index_places(a, &nest, names, nest.nrow - 1, nest.nrow));
}

const OpDef op_index_pick = {
  .name = "index_pick",
  .doc = "gradient of index_max: each place sums the results it was taken for",
  .formula = "$dx[m] = sum_{i where $at[i] points to m} $dy[i]", .cls = OP_NEST,
  .operands = "dy at", .results = "dx", .attrs = index_attr_defs,
  .attrs_size = sizeof(index_attrs), .infer = index_infer, .ref = index_sum_ref,
  .flops = index_flops, .plans = index_plans, .lower = index_pick_lower,
  .written = index_pick_written,
  .samples = (const OpSample[]){
    { "rank=1, extent=[7, 3], rows=[[0, 1, 0, 1, 3], [0, 1, 0, 1, 3], [1, -2, 0, 1, 3]]",
      "dy=f32[n,3], at=f32[n,3]" },
    { "rank=1, extent=[5], rows=[[1, 0, 1, 5]]", "dy=f32[n], at=f32[n]" }, { 0 }
  },
};
