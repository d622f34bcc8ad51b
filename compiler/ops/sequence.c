/* Sequences, [T, C] per sample, time first: their last step and sums over their steps.
 *
 *   last       y[c] = x[T-1, c]
 *   step_sum   y[c] = sum_{n,t} x[n,t,c]: the gradient of a bias
 *
 * and the states that recurrent layers keep from one batch to the next, [R, C] without a batch:
 *
 *   keep_rows  y[i, c] = x[i, c] of sample i; rows past the batch stay as they are */
#include "kernel/recur.h"
#include "ops/family.h"

static double one_flop(const Node *n) { return flops_elems(n); }

static void plan_lanes(Plans *ps, const Node *n, const char *algorithm)
{
  int64_t batch = ps->program->batch;
  Plan p = { .family = ps->family, .algorithm = algorithm, .sample_lanes = true };
  if (value_type(n->in[0])->batched)
    p.in[0] = family_layout(FAMILY_LANES, value_type(n->in[0]), ps->block, batch);
  if (n->type[0].batched)
    p.out[0] = family_layout(FAMILY_LANES, &n->type[0], ps->block, batch);
  plans_offer(ps, &p);
}

static void copy_plans(Plans *ps, const Node *n) { plan_lanes(ps, n, "a step"); }

/* Moves what c says of one axis to another. */
static void move_axis(Coord *c, int from, int to)
{
  c->n[to + 1] = c->n[from + 1];
  for (int i = 0; i < c->n[from + 1]; i++)
    c->part[to + 1][i] = c->part[from + 1][i];
  coord_drop(c, from);
}

/* ---- last ---- */
static bool last_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 1) || !want_real(c, n, 0) || !want_batched(c, n, 0))
    return false;
  const Type *x = &c->in[0];
  if (x->rank == 2) {
    *out = type_make(x->dtype, true, 1, &x->dim[1]);
    return true;
  }
  infer_error(c, n, "E0202", "needs a sequence [steps, numbers], but its input is %s",
              shape_text(c, x));
  return infer_help(c, "it takes the last step of rnn, lstm or gru: h -> lstm(64) -> last");
}

static void last_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_last_dx(&b, dy[0], value_type(n->in[0])->dim[0]));
}

static void last_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t width = out[0]->elems;
  (void)c;
  (void)n;
  for (int64_t i = 0; i < ref_elems(out[0]); i++)
    out[0]->v[i] = in[0]->v[(i / width + 1) * in[0]->elems - width + i % width];
}

static void last_lower(Lower *l, const Node *n, const Plan *plan)
{
  const Type *x = value_type(n->in[0]);
  (void)plan;
  lower_kernel(l, n, "", "last", "the last step");
  Points p;
  points_begin(l, &p, &n->type[0], lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 }), false);
  Coord c = p.c;
  move_axis(&c, 0, 1);
  coord_set(&c, 0, l_int(l->b, x->dim[0] - 1), x->dim[0]);
  LExpr *e = lower_load(l, n->in[0], &c, p.lanes);
  lower_finish(l, n, &p.c, &e, p.lanes);
  points_end(l, &p);
  lower_kernel_end(l, p.items);
}

const OpDef op_last = {
  .name = "last", .doc = "the last step of a sequence", .formula = "$y[c] = $x[T-1,c]",
  .cls = OP_NEST, .flags = OP_LAYER, .operands = "x", .results = "y", .infer = last_infer,
  .grad = last_grad, .ref = last_ref, .flops = one_flop, .plans = copy_plans,
  .lower = last_lower,
  .samples = (const OpSample[]){ { "", "x=f32[n,3,5]" }, { "", "x=f32[n,1,17]" }, { 0 } },
};

/* ---- last_dx ---- */
#define LAST_DX(A, op) A(op, int, steps, "!", "steps of the sequence")
ATTRS(last_dx, LAST_DX)

static int64_t steps_of(const Node *n) { return ((const last_dx_attrs *)n->attrs)->steps; }

Value g_last_dx(const GBuild *b, Value dy, int64_t steps)
{
  return g_op(b, &op_last_dx, &(last_dx_attrs){ steps }, &dy, 1);
}

static bool last_dx_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 1) || !want_real(c, n, 0) || !want_batched(c, n, 0))
    return false;
  if (c->in[0].rank != 1 || steps_of(n) < 1)
    return infer_error(c, n, "E0202", "needs a vector and at least one step");
  *out = type_make(c->in[0].dtype, true, 2, (int64_t[]){ steps_of(n), c->in[0].dim[0] });
  return want_elems(c, n, out);
}

static void last_dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t width = in[0]->elems, steps = steps_of(n);
  (void)c;
  for (int64_t i = 0; i < ref_elems(out[0]); i++) {
    bool last = i / width % steps == steps - 1;
    out[0]->v[i] = last ? in[0]->v[i / (steps * width) * width + i % width] : 0;
  }
}

static void last_dx_lower(Lower *l, const Node *n, const Plan *plan)
{
  Build *b = l->b;
  (void)plan;
  lower_kernel(l, n, "", "last", "zero before the last step");
  Points p;
  points_begin(l, &p, &n->type[0], lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 }), false);
  Coord c = p.c;
  LExpr *t = coord_index(b, &p.c, 0), *zero = l_splat(b, l_real(b, 0), p.lanes);
  move_axis(&c, 1, 0);
  LExpr *e = lower_load(l, n->in[0], &c, p.lanes);
  l_if(b, l_op(b, SC_lt, t, l_int(b, steps_of(n) - 1), NULL));
  lower_finish(l, n, &p.c, &zero, p.lanes);
  l_else(b);
  lower_finish(l, n, &p.c, &e, p.lanes);
  l_end(b);
  points_end(l, &p);
  lower_kernel_end(l, p.items);
}

const OpDef op_last_dx = {
  .name = "last_dx", .doc = "gradient of last: zero before the last step",
  .formula = "$dx[t,c] = t = T-1 ? $dy[c] : 0", .cls = OP_NEST, .operands = "dy", .results = "dx",
  .attrs = last_dx_attr_defs, .attrs_size = sizeof(last_dx_attrs), .infer = last_dx_infer,
  .ref = last_dx_ref, .flops = one_flop, .plans = copy_plans, .lower = last_dx_lower,
  .samples = (const OpSample[]){
    { "steps=3", "dy=f32[n,5]" }, { "steps=1", "dy=f32[n,17]" }, { 0 }
  },
};

/* ---- step_sum ---- */
static bool step_sum_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 1) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  if (c->in[0].rank != 2)
    return infer_error(c, n, "E0202", "needs a sequence, but x is %s", shape_text(c, &c->in[0]));
  *out = type_make(c->in[0].dtype, false, 1, &c->in[0].dim[1]);
  return true;
}

static void step_sum_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  (void)c;
  (void)n;
  for (int64_t k = 0; k < out[0]->elems; k++) {
    double sum = 0;
    for (int64_t i = k; i < ref_elems(in[0]); i += out[0]->elems)
      sum += in[0]->v[i];
    out[0]->v[k] = sum;
  }
}

static double sum_flops(const Node *n) { return (double)value_elems(n->in[0]); }
static void sum_plans(Plans *ps, const Node *n) { plan_lanes(ps, n, "sums over steps"); }

static void step_sum_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  recur_sum(l, n, n->in[0]);
}

const OpDef op_step_sum = {
  .name = "step_sum", .doc = "sum over samples and steps, one number per column",
  .formula = "$y[c] = sum_{n,t} $x[n,t,c]", .cls = OP_NEST, .operands = "x", .results = "y",
  .infer = step_sum_infer, .ref = step_sum_ref, .flops = sum_flops, .plans = sum_plans,
  .lower = step_sum_lower,
  .samples = (const OpSample[]){ { "", "x=f32[n,3,5]" }, { "", "x=f32[n,2,24]" }, { 0 } },
};

/* ---- keep_rows ---- */
static bool keep_rows_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_operands(c, n, 2) || !want_reals(c, n) || !want_batched(c, n, 1))
    return false;
  if (c->in[1].rank != 1)
    return infer_error(c, n, "E0202", "needs a vector, but x is %s", shape_text(c, &c->in[1]));
  *out = c->in[0];
  return want_state_rows(c, n, 0, c->in[1].dim[0]);
}

static void keep_rows_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  (void)c;
  (void)n;
  for (int64_t i = 0; i < out[0]->elems; i++)
    out[0]->v[i] = i < ref_elems(in[1]) ? in[1]->v[i] : in[0]->v[i];
}

static void keep_rows_plans(Plans *ps, const Node *n)
{
  int64_t batch = ps->program->batch;
  Plan p = { .family = ps->family, .algorithm = "rows of the batch" };
  p.in[0] = p.out[0] = blocked_layout(&n->type[0], ps->block, batch);
  p.in[1] = family_layout(FAMILY_LANES, value_type(n->in[1]), ps->block, batch);
  plans_offer(ps, &p);
}

static void keep_rows_lower(Lower *l, const Node *n, const Plan *plan)
{
  Build *b = l->b;
  (void)plan;
  lower_kernel(l, n, "", "rows", "lanes hold rows; those of the batch are new");
  Points p;
  points_begin(l, &p, &n->type[0], lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 }), false);
  Coord c = p.c;
  move_axis(&c, 0, AXIS_BATCH);
  move_axis(&c, 1, 0);
  LExpr *old = l_let(b, "old", lower_load(l, n->in[0], &p.c, p.lanes));
  l_if(b, l_op(b, SC_lt, coord_index(b, &p.c, 0), l->n, NULL));
  LExpr *mask = lower_batch_mask(l, &c, p.lanes), *x = lower_load(l, n->in[1], &c, p.lanes);
  LExpr *new = l_op(b, SC_select, mask, x, old);
  lower_finish(l, n, &p.c, &new, p.lanes);
  l_else(b);
  lower_finish(l, n, &p.c, &old, p.lanes);
  l_end(b);
  points_end(l, &p);
  lower_kernel_end(l, p.items);
}

const OpDef op_keep_rows = {
  .name = "keep_rows", .doc = "states by row, with those of the batch in place of older ones",
  .formula = "$y[i,c] = i < n ? $x[i,c] : $old[i,c]", .cls = OP_NEST, .operands = "old x",
  .results = "y", .infer = keep_rows_infer, .ref = keep_rows_ref, .flops = one_flop,
  .plans = keep_rows_plans, .lower = keep_rows_lower,
  .samples = (const OpSample[]){
    { "", "old=f32[40,5], x=f32[n,5]" }, { "", "old=f32[33,17], x=f32[n,17]" }, { 0 }
  },
};
