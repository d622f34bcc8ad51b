/* gru: r, z = sigmoid(x + w h + b), n = tanh(x + r (w h + b)), h' = (1 - z) n + z h; and its
 * gradient, which walks back. */
#include "ops/recur.h"
#include <math.h>

enum { GRU_R, GRU_Z, GRU_N, GRU_M };    /* GRU_M: w h + b of n, before r */

static bool gru_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_scan(c, n, 3))
    return false;
  int64_t units = c->in[1].dim[1];
  out[0] = out[1] = recur_type(&c->in[0], units);
  out[2] = recur_type(&c->in[0], 4 * units);
  out[3] = recur_end_type(&c->in[0], units);
  return true;
}

static LExpr *gru_cell(RecurPoint *p, LExpr **sum)
{
  Lower *l = p->l;
  Build *b = l->b;
  LExpr *x[3], *gate[4];
  for (int q = 0; q < 3; q++)
    x[q] = recur_load(p, p->r->node->in[RECUR_X], q);
  gate[GRU_R] = recur_math(l, "sigmoid", l_add(b, x[GRU_R], sum[GRU_R]));
  gate[GRU_Z] = recur_math(l, "sigmoid", l_add(b, x[GRU_Z], sum[GRU_Z]));
  gate[GRU_M] = sum[GRU_N];
  gate[GRU_N] = recur_math(l, "tanh", l_fma(b, gate[GRU_R], gate[GRU_M], x[GRU_N]));
  for (int q = 0; q < 4; q++)
    recur_store(p, 2, q, gate[q]);
  recur_store(p, 1, 0, p->old_h);
  LExpr *h = l_fma(b, gate[GRU_Z], l_sub(b, p->old_h, gate[GRU_N]), gate[GRU_N]);
  h = l_let(b, "y", h);
  recur_finish(p, h);
  return h;
}

static double gru_ref_cell(RefTensor *const *out, int64_t at, const double *x, const double *sum,
                           double h, double *second)
{
  int64_t units = out[0]->type.dim[1];
  double r = recur_ref_sigmoid(x[GRU_R] + sum[GRU_R]), z = recur_ref_sigmoid(x[GRU_Z] + sum[GRU_Z]);
  double m = sum[GRU_N], new = tanh(x[GRU_N] + r * m);
  (void)second;
  *recur_gate(out[2], units, at, GRU_R) = r;
  *recur_gate(out[2], units, at, GRU_Z) = z;
  *recur_gate(out[2], units, at, GRU_N) = new;
  *recur_gate(out[2], units, at, GRU_M) = m;
  return (1 - z) * new + z * h;
}

static void gru_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  recur_ref(c, n, in, out, gru_ref_cell);
}

static void gru_plans(Plans *ps, const Node *n) { recur_plans(ps, n, RECUR_W, "all steps of gru"); }

static void gru_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  recur_lower(l, n, 3, gru_cell);
}

static void gru_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value in[] = { dy[0], recur_result(n, 2), recur_result(n, 1), n->in[RECUR_W] };
  if (!dy[0].node)
    return;
  Node *back = g_node(&b, &op_gru_scan_dx, NULL, in, 4);
  recur_grad(g, n, recur_result(back, 0), recur_result(back, 1));
}

const OpDef op_gru_scan = {
  .name = "gru_scan",
  .doc = "states of a gru layer, the state before each step and after the last, r z n and n's "
         "share of the state",
  .formula = "$y[t] = (1 - z) n + z $y[t-1], $before[t] = $y[t-1], $gates[t] = r z n of $x[t] and "
             "$w $y[t-1] + $b, $h = $y[T-1], $y[-1] = $first or 0", .cls = OP_NEST,
  .flags = OP_RECORDS,
  .operands = "x w b? first?", .results = "y before gates h", .infer = gru_infer,
  .grad = gru_grad, .ref = gru_ref,
  .flops = recur_forward_flops, .plans = gru_plans, .lower = gru_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3,9], w=f32[9,3], b=f32[9]" },
    { "", "x=f32[n,2,51], w=f32[51,17], b=f32[51]" },
    { "", "x=f32[n,1,3], w=f32[3,1]" },
    { "", "x=f32[n,3,9], w=f32[9,3], b=f32[9], first=f32[40,3]" }, { 0 }
  },
};

static bool gru_dx_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_scan_back(c, n, 3, 3, out))
    return false;
  out[1] = out[0];
  return true;
}

static void gru_dx_cell(RecurPoint *p, LExpr *dh, LExpr **dsum)
{
  Lower *l = p->l;
  Build *b = l->b;
  const Node *n = p->r->node;
  LExpr *gate[4], *old = recur_load(p, n->in[2], 0);
  for (int q = 0; q < 4; q++)
    gate[q] = l_let(b, "gate", recur_load(p, n->in[1], q));
  LExpr *r = gate[GRU_R], *z = gate[GRU_Z], *new = gate[GRU_N];
  dh = l_let(b, "dh", l_add(b, dh, recur_load(p, n->in[0], 0)));
  LExpr *dn = l_mul(b, l_mul(b, dh, l_sub(b, l_real(b, 1), z)), recur_tanh_slope(b, new));
  dn = l_let(b, "dn", dn);
  LExpr *dx[3], *dz = l_mul(b, dh, l_sub(b, old, new));
  dx[GRU_Z] = l_let(b, "dx", l_mul(b, dz, recur_slope(b, z)));
  dx[GRU_R] = l_let(b, "dx", l_mul(b, l_mul(b, dn, gate[GRU_M]), recur_slope(b, r)));
  dx[GRU_N] = dn;
  p->pass = l_mul(b, dh, z);
  for (int q = 0; q < 3; q++) {
    dsum[q] = q == GRU_N ? l_let(b, "dm", l_mul(b, dn, r)) : dx[q];
    Coord c = recur_coord(p, p->step, q);
    lower_finish(l, n, &c, (LExpr *[]){ dx[q], dsum[q] }, l->block);
  }
}

static void gru_dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  int64_t steps = out[0]->type.dim[0], units = in[3]->type.dim[1];
  (void)n;
  double *carried = ARENA_ARRAY(c->arena, double, in[0]->n * units);
  for (int64_t s = 0; s < in[0]->n; s++)
    for (int64_t t = steps; t-- > 0;)
      for (int64_t u = 0; u < units; u++) {
        int64_t at = (s * steps + t) * units + u;
        double r = *recur_gate(in[1], units, at, GRU_R), z = *recur_gate(in[1], units, at, GRU_Z);
        double new = *recur_gate(in[1], units, at, GRU_N), m = *recur_gate(in[1], units, at, GRU_M);
        double dh = in[0]->v[at] + carried[s * units + u];
        if (t + 1 < steps)
          dh += recur_ref_back(in[3], out[1]->v + (s * steps + t + 1) * 3 * units, u);
        double dn = dh * (1 - z) * (1 - new * new);
        double dz = dh * (in[2]->v[at] - new) * z * (1 - z), dr = dn * m * r * (1 - r);
        double dx[] = { dr, dz, dn }, dsum[] = { dr, dz, dn * r };
        for (int q = 0; q < 3; q++) {
          *recur_gate(out[0], units, at, q) = dx[q];
          *recur_gate(out[1], units, at, q) = dsum[q];
        }
        carried[s * units + u] = dh * z;
      }
}

static void gru_dx_plans(Plans *ps, const Node *n) { recur_plans(ps, n, 3, "all steps back"); }
static double gru_dx_flops(const Node *n) { return recur_flops(n, 3); }

static void gru_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  recur_lower_back(l, n, 3, 3, gru_dx_cell);
}

const OpDef op_gru_scan_dx = {
  .name = "gru_scan_dx", .doc = "gradient of gru_scan towards x, and towards the state's products",
  .formula = "dh = $dy[t] + z dh[t+1] + $w^T $dsum[t+1], $dx[t] = dh through $gates[t] and "
             "$before[t]", .cls = OP_NEST,
  .operands = "dy gates before w", .results = "dx dsum", .infer = gru_dx_infer, .ref = gru_dx_ref,
  .flops = gru_dx_flops, .plans = gru_dx_plans, .lower = gru_dx_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,3,3], gates=f32[n,3,12], before=f32[n,3,3], w=f32[9,3]" },
    { "", "dy=f32[n,2,17], gates=f32[n,2,68], before=f32[n,2,17], w=f32[51,17]" }, { 0 }
  },
};
