/* lstm: i, f, o = sigmoid(x + w h + b), g = tanh(..); c' = f c + i g, h' = o tanh(c'); and its
 * gradient, which walks back. */
#include "ops/recur.h"
#include <math.h>

enum { LSTM_I, LSTM_F, LSTM_G, LSTM_O };

static bool lstm_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_scan(c, n, 4))
    return false;
  out[0] = out[1] = out[3] = recur_type(&c->in[0], c->in[1].dim[1]);
  out[2] = c->in[0];
  out[4] = out[5] = recur_end_type(&c->in[0], c->in[1].dim[1]);
  return true;
}

static LExpr *lstm_cell(RecurPoint *p, LExpr **sum)
{
  Lower *l = p->l;
  Build *b = l->b;
  LExpr *gate[4];
  for (int q = 0; q < 4; q++) {
    LExpr *z = l_add(b, recur_load(p, p->r->node->in[RECUR_X], q), sum[q]);
    gate[q] = recur_math(l, q == LSTM_G ? "tanh" : "sigmoid", z);
    recur_store(p, 2, q, gate[q]);
  }
  p->pass = l_let(b, "c", l_fma(b, gate[LSTM_F], p->carried, l_mul(b, gate[LSTM_I], gate[LSTM_G])));
  recur_store(p, 1, 0, p->old_h);
  recur_store(p, 3, 0, p->carried);
  LExpr *h = l_let(b, "y", l_mul(b, gate[LSTM_O], recur_math(l, "tanh", p->pass)));
  recur_finish(p, h);
  return h;
}

static double lstm_ref_cell(RefTensor *const *out, int64_t at, const double *x, const double *sum,
                            double h, double *second)
{
  int64_t units = out[0]->type.dim[1];
  double gate[4];
  (void)h;
  for (int q = 0; q < 4; q++) {
    gate[q] = q == LSTM_G ? tanh(x[q] + sum[q]) : recur_ref_sigmoid(x[q] + sum[q]);
    *recur_gate(out[2], units, at, q) = gate[q];
  }
  out[3]->v[at] = *second;
  *second = gate[LSTM_F] * *second + gate[LSTM_I] * gate[LSTM_G];
  return gate[LSTM_O] * tanh(*second);
}

static void lstm_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  recur_ref(c, n, in, out, lstm_ref_cell);
}

static void lstm_plans(Plans *ps, const Node *n)
{
  recur_plans(ps, n, RECUR_W, "all steps of lstm");
}

static void lstm_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  recur_lower(l, n, 4, lstm_cell);
}

static void lstm_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value in[] = { dy[0], recur_result(n, 2), recur_result(n, 3), n->in[RECUR_W] };
  if (!dy[0].node)
    return;
  Value dx = g_op(&b, &op_lstm_scan_dx, NULL, in, 4);
  recur_grad(g, n, dx, dx);
}

const OpDef op_lstm_scan = {
  .name = "lstm_scan",
  .doc = "states of an lstm layer, both before each step and after the last, and the gates i f g o",
  .formula = "c[t] = f c[t-1] + i g, $y[t] = o tanh(c[t]); $before[t] = $y[t-1], "
             "$past[t] = c[t-1], $gates[t] = i f g o of $x[t] + $w $y[t-1] + $b, $h = $y[T-1], "
             "$c = c[T-1]; $y[-1] = $first or 0, c[-1] = $second or 0",
  .cls = OP_NEST, .flags = OP_RECORDS,
  .operands = "x w b? first? second?", .results = "y before gates past h c",
  .infer = lstm_infer,
  .grad = lstm_grad, .ref = lstm_ref, .flops = recur_forward_flops, .plans = lstm_plans,
  .lower = lstm_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3,12], w=f32[12,3], b=f32[12]" },
    { "", "x=f32[n,2,68], w=f32[68,17], b=f32[68]" },
    { "", "x=f32[n,1,4], w=f32[4,1]" },
    { "", "x=f32[n,3,12], w=f32[12,3], b=f32[12], first=f32[40,3], second=f32[40,3]" },
    { "", "x=f32[n,2,68], w=f32[68,17], b=f32[68], first=f32[40,17], second=f32[40,17]" }, { 0 }
  },
};

static bool lstm_dx_infer(Infer *c, const Node *n, Type *out)
{
  return want_scan_back(c, n, 3, 4, out);
}

static void lstm_dx_cell(RecurPoint *p, LExpr *dh, LExpr **dsum)
{
  Lower *l = p->l;
  Build *b = l->b;
  const Node *n = p->r->node;
  LExpr *gate[4], *past = l_let(b, "past", recur_load(p, n->in[2], 0));
  for (int q = 0; q < 4; q++)
    gate[q] = l_let(b, "gate", recur_load(p, n->in[1], q));
  LExpr *i = gate[LSTM_I], *f = gate[LSTM_F], *g = gate[LSTM_G], *o = gate[LSTM_O];
  LExpr *tc = recur_math(l, "tanh", l_fma(b, f, past, l_mul(b, i, g)));
  dh = l_let(b, "dh", l_add(b, dh, recur_load(p, n->in[0], 0)));
  LExpr *dc = l_fma(b, l_mul(b, dh, o), recur_tanh_slope(b, tc), p->carried);
  dc = l_let(b, "dc", dc);
  dsum[LSTM_I] = l_mul(b, l_mul(b, dc, g), recur_slope(b, i));
  dsum[LSTM_F] = l_mul(b, l_mul(b, dc, past), recur_slope(b, f));
  dsum[LSTM_G] = l_mul(b, l_mul(b, dc, i), recur_tanh_slope(b, g));
  dsum[LSTM_O] = l_mul(b, l_mul(b, dh, tc), recur_slope(b, o));
  p->pass = l_mul(b, dc, f);
  for (int q = 0; q < 4; q++) {
    dsum[q] = l_let(b, "dx", dsum[q]);
    Coord c = recur_coord(p, p->step, q);
    lower_finish(l, n, &c, &dsum[q], l->block);
  }
}

static void lstm_dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t steps = out[0]->type.dim[0], units = in[3]->type.dim[1];
  (void)n;
  double *carried = ARENA_ARRAY(c->arena, double, in[0]->n * units);
  for (int64_t s = 0; s < in[0]->n; s++)
    for (int64_t t = steps; t-- > 0;)
      for (int64_t u = 0; u < units; u++) {
        int64_t at = (s * steps + t) * units + u;
        double i = *recur_gate(in[1], units, at, LSTM_I), f = *recur_gate(in[1], units, at, LSTM_F);
        double g = *recur_gate(in[1], units, at, LSTM_G), o = *recur_gate(in[1], units, at, LSTM_O);
        double past = in[2]->v[at], tc = tanh(f * past + i * g), dh = in[0]->v[at];
        if (t + 1 < steps)
          dh += recur_ref_back(in[3], out[0]->v + (s * steps + t + 1) * 4 * units, u);
        double dc = carried[s * units + u] + dh * o * (1 - tc * tc);
        *recur_gate(out[0], units, at, LSTM_I) = dc * g * i * (1 - i);
        *recur_gate(out[0], units, at, LSTM_F) = dc * past * f * (1 - f);
        *recur_gate(out[0], units, at, LSTM_G) = dc * i * (1 - g * g);
        *recur_gate(out[0], units, at, LSTM_O) = dh * tc * o * (1 - o);
        carried[s * units + u] = dc * f;
      }
}

static void lstm_dx_plans(Plans *ps, const Node *n) { recur_plans(ps, n, 3, "all steps back"); }
static double lstm_dx_flops(const Node *n) { return recur_flops(n, 3); }

static void lstm_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  recur_lower_back(l, n, 3, 4, lstm_dx_cell);
}

const OpDef op_lstm_scan_dx = {
  .name = "lstm_scan_dx", .doc = "gradient of lstm_scan towards x, all steps of it",
  .formula = "dh = $dy[t] + $w^T $dx[t+1], dc = o tanh'(c[t]) dh + f dc[t+1], "
             "$dx[t] = dc, dh through $gates[t] and $past[t]", .cls = OP_NEST,
  .operands = "dy gates past w", .results = "dx", .infer = lstm_dx_infer, .ref = lstm_dx_ref,
  .flops = lstm_dx_flops, .plans = lstm_dx_plans, .lower = lstm_dx_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,3,3], gates=f32[n,3,12], past=f32[n,3,3], w=f32[12,3]" },
    { "", "dy=f32[n,2,17], gates=f32[n,2,68], past=f32[n,2,17], w=f32[68,17]" }, { 0 }
  },
};
