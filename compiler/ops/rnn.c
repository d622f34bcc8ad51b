/* rnn: h' = act(x + w h + b), act: tanh or relu; and its gradient, which walks back. */
#include "ops/recur.h"
#include <math.h>

#define RNN_SCAN(A, op) A(op, flag, relu, "false", "relu in place of tanh")
ATTRS(rnn_scan, RNN_SCAN)
typedef rnn_scan_attrs rnn_scan_dx_attrs;

Value g_rnn_scan(const GBuild *b, const Value *in, uint32_t nin, bool relu)
{
  return g_op(b, &op_rnn_scan, &(rnn_scan_attrs){ relu }, in, nin);
}

static bool is_relu(const Node *n) { return ((const rnn_scan_attrs *)n->attrs)->relu; }

static bool rnn_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_scan(c, n, 1))
    return false;
  out[0] = out[1] = recur_type(&c->in[0], c->in[1].dim[1]);
  out[2] = recur_end_type(&c->in[0], c->in[1].dim[1]);
  return true;
}

static LExpr *rnn_cell(RecurPoint *p, LExpr **sum)
{
  Lower *l = p->l;
  LExpr *z = l_add(l->b, recur_load(p, p->r->node->in[RECUR_X], 0), sum[0]);
  LExpr *zero = l_splat(l->b, l_real(l->b, 0), l->block);
  LExpr *h = is_relu(p->r->node) ? l_let(l->b, "y", l_max(l->b, z, zero))
                                 : recur_math(l, "tanh", z);
  recur_store(p, 1, 0, p->old_h);
  recur_finish(p, h);
  return h;
}

static double rnn_ref_tanh(RefTensor *const *out, int64_t at, const double *x, const double *sum,
                           double h, double *second)
{
  (void)out; (void)at; (void)h; (void)second;
  return tanh(x[0] + sum[0]);
}

static double rnn_ref_relu(RefTensor *const *out, int64_t at, const double *x, const double *sum,
                           double h, double *second)
{
  (void)out; (void)at; (void)h; (void)second;
  return x[0] + sum[0] > 0 ? x[0] + sum[0] : 0;
}

static void rnn_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  recur_ref(c, n, in, out, is_relu(n) ? rnn_ref_relu : rnn_ref_tanh);
}

static void rnn_plans(Plans *ps, const Node *n) { recur_plans(ps, n, RECUR_W, "all steps of rnn"); }

static void rnn_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  recur_lower(l, n, 1, rnn_cell);
}

static void rnn_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value in[] = { dy[0], recur_result(n, 0), n->in[RECUR_W] };
  if (!dy[0].node)
    return;
  Value dx = g_op(&b, &op_rnn_scan_dx, n->attrs, in, 3);
  recur_grad(g, n, dx, dx);
}

const OpDef op_rnn_scan = {
  .name = "rnn_scan",
  .doc = "states of a simple recurrent layer, the state before each step and after the last",
  .formula = "$y[t] = act($x[t] + $w $y[t-1] + $b), $before[t] = $y[t-1], $h = $y[T-1], "
             "$y[-1] = $first or 0",
  .cls = OP_NEST, .flags = OP_RECORDS, .operands = "x w b? first?",
  .results = "y before h", .attrs = rnn_scan_attr_defs, .attrs_size = sizeof(rnn_scan_attrs),
  .infer = rnn_infer, .grad = rnn_grad, .ref = rnn_ref, .flops = recur_forward_flops,
  .plans = rnn_plans, .lower = rnn_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3,5], w=f32[5,5], b=f32[5]" },
    { "relu=true", "x=f32[n,1,2], w=f32[2,2]" },
    { "", "x=f32[n,2,17], w=f32[17,17], b=f32[17]" },
    { "", "x=f32[n,2,3], w=f32[3,3], b=f32[3], first=f32[40,3]" }, { 0 }
  },
};

static bool rnn_dx_infer(Infer *c, const Node *n, Type *out)
{
  return want_scan_back(c, n, 2, 1, out);
}

static void rnn_dx_cell(RecurPoint *p, LExpr *dh, LExpr **dsum)
{
  Lower *l = p->l;
  Build *b = l->b;
  const Node *n = p->r->node;
  LExpr *y = l_let(b, "y", recur_load(p, n->in[1], 0)), *one = l_real(b, 1), *zero = l_real(b, 0);
  dh = l_add(b, dh, recur_load(p, n->in[0], 0));
  if (is_relu(n))
    dh = l_op(b, SC_select, l_op(b, SC_lt, zero, y, NULL), dh, zero);
  else
    dh = l_mul(b, dh, l_sub(b, one, l_mul(b, y, y)));
  dsum[0] = l_let(b, "dx", dh);
  Coord c = recur_coord(p, p->step, 0);
  lower_finish(l, n, &c, dsum, l->block);
}

static void rnn_dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t steps = out[0]->type.dim[0], units = in[2]->type.dim[1];
  (void)c;
  for (int64_t s = 0; s < in[0]->n; s++)
    for (int64_t t = steps; t-- > 0;)
      for (int64_t u = 0; u < units; u++) {
        int64_t at = (s * steps + t) * units + u;
        double y = in[1]->v[at], dh = in[0]->v[at];
        if (t + 1 < steps)
          dh += recur_ref_back(in[2], out[0]->v + (s * steps + t + 1) * units, u);
        out[0]->v[at] = is_relu(n) ? (y > 0 ? dh : 0) : dh * (1 - y * y);
      }
}

static void rnn_dx_plans(Plans *ps, const Node *n) { recur_plans(ps, n, 2, "all steps back"); }
static double rnn_dx_flops(const Node *n) { return recur_flops(n, 2); }

static void rnn_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  recur_lower_back(l, n, 2, 1, rnn_dx_cell);
}

const OpDef op_rnn_scan_dx = {
  .name = "rnn_scan_dx", .doc = "gradient of rnn_scan towards x, all steps of it",
  .formula = "$dx[t] = act'($y[t]) * ($dy[t] + $w^T $dx[t+1])", .cls = OP_NEST,
  .operands = "dy y w", .results = "dx", .attrs = rnn_scan_attr_defs,
  .attrs_size = sizeof(rnn_scan_dx_attrs),
  .infer = rnn_dx_infer, .ref = rnn_dx_ref, .flops = rnn_dx_flops, .plans = rnn_dx_plans,
  .lower = rnn_dx_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,3,5], y=f32[n,3,5], w=f32[5,5]" },
    { "relu=true", "dy=f32[n,2,17], y=f32[n,2,17], w=f32[17,17]" }, { 0 }
  },
};
