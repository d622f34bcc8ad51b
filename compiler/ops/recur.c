/* The recurrent part of rnn, lstm and gru: from x, the inputs' share of all steps, to the states y.
 * w [G H, H] and b [G H] make the state's share, G numbers for each of H units; h is the state
 * before:
 *
 *   rnn    h' = act(x + w h + b)                           act: tanh or relu
 *   lstm   i, f, o = sigmoid(x + w h + b), g = tanh(..), gates in the order i f g o
 *          c' = f c + i g, h' = o tanh(c')
 *   gru    r, z = sigmoid(x + w h + b), n = tanh(x + r (w h + b)), gates in the order r z n
 *          h' = (1 - z) n + z h
 *
 * The first state is zero. Gradients walk back; relu has none at 0 and below. */
#include "kernel/recur.h"
#include "ops/family.h"
#include <math.h>

static LExpr *math_of(Lower *l, const char *name, LExpr *x)
{
  return l_let(l->b, name, l_call(l->b, l_math(l->b, name, l->block), &x, 1));
}

/* ---- what all three share ---- */

/* x [T, gates * H], w [gates * H, H] and, if given, the bias [gates * H] belong together. */
static bool want_scan(Infer *c, const Node *n, int gates)
{
  if (!want_operands(c, n, 2) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  const Type *x = &c->in[0], *w = &c->in[1], *bias = c->nin > 2 ? &c->in[2] : NULL;
  if (x->rank != 2 || w->rank != 2 || w->dim[0] != gates * w->dim[1] || x->dim[1] != w->dim[0])
    return infer_error(c, n, "E0201", "x is %s and w is %s: they do not belong together",
                       shape_text(c, x), shape_text(c, w));
  if (bias && bias->dtype != DT_COUNT && (bias->rank != 1 || bias->dim[0] != w->dim[0]))
    return infer_error(c, n, "E0201", "the bias is %s, but must be [%lld]", shape_text(c, bias),
                       (long long)w->dim[0]);
  return true;
}

static Type steps_of(const Type *x, int64_t width)
{
  return type_make(x->dtype, true, 2, (int64_t[]){ x->dim[0], width });
}

enum { IN_X, IN_W, IN_B };

static Recur scan_of(const Node *n, uint32_t w, int gates)
{
  const Type *t = value_type(n->in[w]);
  return (Recur){ .node = n, .units = t->dim[1], .steps = n->type[0].dim[0], .gates = gates,
                  .w = n->in[w] };
}

static void scan_lower(Lower *l, const Node *n, int gates, LExpr *(*cell)(RecurPoint *, LExpr **))
{
  Recur r = scan_of(n, IN_W, gates);
  r.bias = operand_given(n, IN_B) ? n->in[IN_B] : (Value){ NULL, 0 };
  r.second = gates == 4;
  r.forward = cell;
  recur_forward(l, &r);
}

static double scan_flops(const Node *n, uint32_t w)
{
  return (2 * (double)value_elems(n->in[w]) + 30 * (double)value_type(n->in[w])->dim[1]) *
         (double)n->type[0].dim[0];
}

static double forward_flops(const Node *n) { return scan_flops(n, IN_W); }

/* Gradients of the weight and the bias from those of the state's products, dsum; dx: that of x. */
static void scan_grad(Grad *g, const Node *n, Value dx, Value dsum)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, IN_X))
    grad_add(g, n, IN_X, dx);
  if (grad_wanted(g, n, IN_W))
    grad_add(g, n, IN_W,
             g_op(&b, &op_dense_dw, NULL, (Value[]){ dsum, { (Node *)(uintptr_t)n, 1 } }, 2));
  if (operand_given(n, IN_B) && grad_wanted(g, n, IN_B))
    grad_add(g, n, IN_B, g_op(&b, &op_step_sum, NULL, &dsum, 1));
}

static Value result(const Node *n, uint32_t r) { return (Value){ (Node *)(uintptr_t)n, r }; }

/* sum[q] := b + w h for the gates of one unit. */
static void ref_sums(const Node *n, RefTensor *const *in, const double *h, int64_t unit,
                     double *sum)
{
  int64_t units = in[IN_W]->type.dim[1], rows = in[IN_W]->type.dim[0];
  for (int64_t q = 0; q * units < rows; q++) {
    int64_t o = q * units + unit;
    sum[q] = n->nin > IN_B && in[IN_B] ? in[IN_B]->v[o] : 0;
    for (int64_t k = 0; k < units; k++)
      sum[q] += in[IN_W]->v[o * units + k] * h[k];
  }
}

/* dh[k] of one unit: sum_o w[o, k] dsum[o]. */
static double ref_back(const RefTensor *w, const double *dsum, int64_t k)
{
  int64_t rows = w->type.dim[0], units = w->type.dim[1];
  double dh = 0;
  for (int64_t o = 0; o < rows; o++)
    dh += w->v[o * units + k] * dsum[o];
  return dh;
}

static double ref_sigmoid(double x) { return 1 / (1 + exp(-x)); }

typedef double (*RefCell)(RefTensor *const *out, int64_t at, const double *x, const double *sum,
                          double h, double *second);

/* Runs a cell for every sample, step and unit; at: the step's number among all, times H, plus the
 * unit. */
static void ref_scan(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out,
                     RefCell cell)
{
  int64_t steps = out[0]->type.dim[0], units = out[0]->type.dim[1];
  int64_t gates = in[IN_W]->type.dim[0] / units;
  const double *zero = ARENA_ARRAY(c->arena, double, units);
  double *second = ARENA_ARRAY(c->arena, double, in[0]->n * units);
  for (int64_t s = 0; s < in[0]->n; s++)
    for (int64_t t = 0; t < steps; t++)
      for (int64_t u = 0; u < units; u++) {
        int64_t at = (s * steps + t) * units + u;
        const double *h = t ? out[0]->v + (s * steps + t - 1) * units : zero;
        double x[RECUR_GATES], sum[RECUR_GATES];
        ref_sums(n, in, h, u, sum);
        for (int64_t q = 0; q < gates; q++)
          x[q] = in[IN_X]->v[(s * steps + t) * gates * units + q * units + u];
        out[1]->v[at] = h[u];
        out[0]->v[at] = cell(out, at, x, sum, h[u], &second[s * units + u]);
      }
}

/* Where gate q of the unit at `at` lies in a tensor [T, count * H]. */
static double *gate_at(const RefTensor *t, int64_t units, int64_t at, int q)
{
  int64_t width = t->type.dim[1];
  return t->v + at / units * width + q * units + at % units;
}

/* ---- rnn ---- */
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
  out[0] = out[1] = steps_of(&c->in[0], c->in[1].dim[1]);
  return true;
}

static LExpr *rnn_cell(RecurPoint *p, LExpr **sum)
{
  Lower *l = p->l;
  LExpr *z = l_add(l->b, recur_load(p, p->r->node->in[IN_X], 0), sum[0]);
  LExpr *zero = l_splat(l->b, l_real(l->b, 0), l->block);
  LExpr *h = is_relu(p->r->node) ? l_let(l->b, "y", l_max(l->b, z, zero)) : math_of(l, "tanh", z);
  recur_store(p, 1, 0, p->old_h);
  Coord c = recur_coord(p, p->step, 0);
  lower_finish(l, p->r->node, &c, (LExpr *[]){ h, NULL }, l->block);
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
  ref_scan(c, n, in, out, is_relu(n) ? rnn_ref_relu : rnn_ref_tanh);
}

static void rnn_plans(Plans *ps, const Node *n) { recur_plans(ps, n, IN_W, "all steps of rnn"); }

static void rnn_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  scan_lower(l, n, 1, rnn_cell);
}

static void rnn_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value in[] = { dy[0], result(n, 0), n->in[IN_W] };
  if (!dy[0].node)
    return;
  Value dx = g_op(&b, &op_rnn_scan_dx, n->attrs, in, 3);
  scan_grad(g, n, dx, dx);
}

const OpDef op_rnn_scan = {
  .name = "rnn_scan", .doc = "states of a simple recurrent layer, and the state before each step",
  .formula = "$y[t] = act($x[t] + $w $y[t-1] + $b), $before[t] = $y[t-1]", .cls = OP_NEST,
  .flags = OP_RECORDS, .operands = "x w b?",
  .results = "y before", .attrs = rnn_scan_attr_defs, .attrs_size = sizeof(rnn_scan_attrs),
  .infer = rnn_infer, .grad = rnn_grad, .ref = rnn_ref, .flops = forward_flops,
  .plans = rnn_plans, .lower = rnn_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3,5], w=f32[5,5], b=f32[5]" },
    { "relu=true", "x=f32[n,1,2], w=f32[2,2]" },
    { "", "x=f32[n,2,17], w=f32[17,17], b=f32[17]" }, { 0 }
  },
};

/* Operands dy and others [T, H] or [T, count * H], and w; results [T, gates * H]. */
static bool want_back(Infer *c, const Node *n, uint32_t w, int gates, Type *out)
{
  if (!want_operands(c, n, w + 1) || !want_reals(c, n) || !want_batched(c, n, 0))
    return false;
  const Type *t = &c->in[w];
  if (t->rank != 2 || t->dim[0] != gates * t->dim[1] || c->in[0].rank != 2 ||
      c->in[0].dim[1] != t->dim[1])
    return infer_error(c, n, "E0201", "dy and w do not belong to one recurrent layer");
  for (uint32_t i = 1; i < w; i++)
    if (!c->in[i].batched || c->in[i].rank != 2 || c->in[i].dim[0] != c->in[0].dim[0])
      return infer_error(c, n, "E0201", "operands do not belong to one recurrent layer");
  *out = steps_of(&c->in[0], t->dim[0]);
  return true;
}

static bool rnn_dx_infer(Infer *c, const Node *n, Type *out) { return want_back(c, n, 2, 1, out); }

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
          dh += ref_back(in[2], out[0]->v + (s * steps + t + 1) * units, u);
        out[0]->v[at] = is_relu(n) ? (y > 0 ? dh : 0) : dh * (1 - y * y);
      }
}

static void back_lower(Lower *l, const Node *n, uint32_t w, int gates,
                       void (*cell)(RecurPoint *, LExpr *, LExpr **))
{
  Recur r = scan_of(n, w, gates);
  r.second = gates > 1;
  r.adds = gates == 3;
  r.backward = cell;
  recur_backward(l, &r);
}

static void rnn_dx_plans(Plans *ps, const Node *n) { recur_plans(ps, n, 2, "all steps back"); }
static double rnn_dx_flops(const Node *n) { return scan_flops(n, 2); }

static void rnn_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  back_lower(l, n, 2, 1, rnn_dx_cell);
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

/* ---- lstm ---- */
enum { LSTM_I, LSTM_F, LSTM_G, LSTM_O };

static bool lstm_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_scan(c, n, 4))
    return false;
  out[0] = out[1] = out[3] = steps_of(&c->in[0], c->in[1].dim[1]);
  out[2] = c->in[0];
  return true;
}

static LExpr *lstm_cell(RecurPoint *p, LExpr **sum)
{
  Lower *l = p->l;
  Build *b = l->b;
  LExpr *gate[4];
  for (int q = 0; q < 4; q++) {
    LExpr *z = l_add(b, recur_load(p, p->r->node->in[IN_X], q), sum[q]);
    gate[q] = math_of(l, q == LSTM_G ? "tanh" : "sigmoid", z);
    recur_store(p, 2, q, gate[q]);
  }
  p->pass = l_let(b, "c", l_fma(b, gate[LSTM_F], p->carried, l_mul(b, gate[LSTM_I], gate[LSTM_G])));
  recur_store(p, 1, 0, p->old_h);
  recur_store(p, 3, 0, p->carried);
  LExpr *h = l_let(b, "y", l_mul(b, gate[LSTM_O], math_of(l, "tanh", p->pass)));
  Coord c = recur_coord(p, p->step, 0);
  lower_finish(l, p->r->node, &c, (LExpr *[]){ h, NULL, NULL, NULL }, l->block);
  return h;
}

static double lstm_ref_cell(RefTensor *const *out, int64_t at, const double *x, const double *sum,
                            double h, double *second)
{
  int64_t units = out[0]->type.dim[1];
  double gate[4];
  (void)h;
  for (int q = 0; q < 4; q++) {
    gate[q] = q == LSTM_G ? tanh(x[q] + sum[q]) : ref_sigmoid(x[q] + sum[q]);
    *gate_at(out[2], units, at, q) = gate[q];
  }
  out[3]->v[at] = *second;
  *second = gate[LSTM_F] * *second + gate[LSTM_I] * gate[LSTM_G];
  return gate[LSTM_O] * tanh(*second);
}

static void lstm_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  ref_scan(c, n, in, out, lstm_ref_cell);
}

static void lstm_plans(Plans *ps, const Node *n) { recur_plans(ps, n, IN_W, "all steps of lstm"); }

static void lstm_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  scan_lower(l, n, 4, lstm_cell);
}

static void lstm_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value in[] = { dy[0], result(n, 2), result(n, 3), n->in[IN_W] };
  if (!dy[0].node)
    return;
  Value dx = g_op(&b, &op_lstm_scan_dx, NULL, in, 4);
  scan_grad(g, n, dx, dx);
}

const OpDef op_lstm_scan = {
  .name = "lstm_scan",
  .doc = "states of an lstm layer, both states before each step, and the gates i f g o",
  .formula = "c[t] = f c[t-1] + i g, $y[t] = o tanh(c[t]); $before[t] = $y[t-1], "
             "$past[t] = c[t-1], $gates[t] = i f g o of $x[t] + $w $y[t-1] + $b",
  .cls = OP_NEST, .flags = OP_RECORDS,
  .operands = "x w b?", .results = "y before gates past", .infer = lstm_infer,
  .grad = lstm_grad, .ref = lstm_ref, .flops = forward_flops, .plans = lstm_plans,
  .lower = lstm_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3,12], w=f32[12,3], b=f32[12]" },
    { "", "x=f32[n,2,68], w=f32[68,17], b=f32[68]" },
    { "", "x=f32[n,1,4], w=f32[4,1]" }, { 0 }
  },
};

static bool lstm_dx_infer(Infer *c, const Node *n, Type *out) { return want_back(c, n, 3, 4, out); }

static LExpr *slope(Build *b, LExpr *s) { return l_mul(b, s, l_sub(b, l_real(b, 1), s)); }
static LExpr *tanh_slope(Build *b, LExpr *y) { return l_sub(b, l_real(b, 1), l_mul(b, y, y)); }

static void lstm_dx_cell(RecurPoint *p, LExpr *dh, LExpr **dsum)
{
  Lower *l = p->l;
  Build *b = l->b;
  const Node *n = p->r->node;
  LExpr *gate[4], *past = l_let(b, "past", recur_load(p, n->in[2], 0));
  for (int q = 0; q < 4; q++)
    gate[q] = l_let(b, "gate", recur_load(p, n->in[1], q));
  LExpr *i = gate[LSTM_I], *f = gate[LSTM_F], *g = gate[LSTM_G], *o = gate[LSTM_O];
  LExpr *tc = math_of(l, "tanh", l_fma(b, f, past, l_mul(b, i, g)));
  dh = l_let(b, "dh", l_add(b, dh, recur_load(p, n->in[0], 0)));
  LExpr *dc = l_fma(b, l_mul(b, dh, o), tanh_slope(b, tc), p->carried);
  dc = l_let(b, "dc", dc);
  dsum[LSTM_I] = l_mul(b, l_mul(b, dc, g), slope(b, i));
  dsum[LSTM_F] = l_mul(b, l_mul(b, dc, past), slope(b, f));
  dsum[LSTM_G] = l_mul(b, l_mul(b, dc, i), tanh_slope(b, g));
  dsum[LSTM_O] = l_mul(b, l_mul(b, dh, tc), slope(b, o));
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
        double i = *gate_at(in[1], units, at, LSTM_I), f = *gate_at(in[1], units, at, LSTM_F);
        double g = *gate_at(in[1], units, at, LSTM_G), o = *gate_at(in[1], units, at, LSTM_O);
        double past = in[2]->v[at], tc = tanh(f * past + i * g), dh = in[0]->v[at];
        if (t + 1 < steps)
          dh += ref_back(in[3], out[0]->v + (s * steps + t + 1) * 4 * units, u);
        double dc = carried[s * units + u] + dh * o * (1 - tc * tc);
        *gate_at(out[0], units, at, LSTM_I) = dc * g * i * (1 - i);
        *gate_at(out[0], units, at, LSTM_F) = dc * past * f * (1 - f);
        *gate_at(out[0], units, at, LSTM_G) = dc * i * (1 - g * g);
        *gate_at(out[0], units, at, LSTM_O) = dh * tc * o * (1 - o);
        carried[s * units + u] = dc * f;
      }
}

static void lstm_dx_plans(Plans *ps, const Node *n) { recur_plans(ps, n, 3, "all steps back"); }
static double lstm_dx_flops(const Node *n) { return scan_flops(n, 3); }

static void lstm_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  back_lower(l, n, 3, 4, lstm_dx_cell);
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

/* ---- gru ---- */
enum { GRU_R, GRU_Z, GRU_N, GRU_M };    /* GRU_M: w h + b of n, before r */

static bool gru_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_scan(c, n, 3))
    return false;
  int64_t units = c->in[1].dim[1];
  out[0] = out[1] = steps_of(&c->in[0], units);
  out[2] = steps_of(&c->in[0], 4 * units);
  return true;
}

static LExpr *gru_cell(RecurPoint *p, LExpr **sum)
{
  Lower *l = p->l;
  Build *b = l->b;
  LExpr *x[3], *gate[4];
  for (int q = 0; q < 3; q++)
    x[q] = recur_load(p, p->r->node->in[IN_X], q);
  gate[GRU_R] = math_of(l, "sigmoid", l_add(b, x[GRU_R], sum[GRU_R]));
  gate[GRU_Z] = math_of(l, "sigmoid", l_add(b, x[GRU_Z], sum[GRU_Z]));
  gate[GRU_M] = sum[GRU_N];
  gate[GRU_N] = math_of(l, "tanh", l_fma(b, gate[GRU_R], gate[GRU_M], x[GRU_N]));
  for (int q = 0; q < 4; q++)
    recur_store(p, 2, q, gate[q]);
  recur_store(p, 1, 0, p->old_h);
  LExpr *h = l_fma(b, gate[GRU_Z], l_sub(b, p->old_h, gate[GRU_N]), gate[GRU_N]);
  h = l_let(b, "y", h);
  Coord c = recur_coord(p, p->step, 0);
  lower_finish(l, p->r->node, &c, (LExpr *[]){ h, NULL, NULL }, l->block);
  return h;
}

static double gru_ref_cell(RefTensor *const *out, int64_t at, const double *x, const double *sum,
                           double h, double *second)
{
  int64_t units = out[0]->type.dim[1];
  double r = ref_sigmoid(x[GRU_R] + sum[GRU_R]), z = ref_sigmoid(x[GRU_Z] + sum[GRU_Z]);
  double m = sum[GRU_N], new = tanh(x[GRU_N] + r * m);
  (void)second;
  *gate_at(out[2], units, at, GRU_R) = r;
  *gate_at(out[2], units, at, GRU_Z) = z;
  *gate_at(out[2], units, at, GRU_N) = new;
  *gate_at(out[2], units, at, GRU_M) = m;
  return (1 - z) * new + z * h;
}

static void gru_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  ref_scan(c, n, in, out, gru_ref_cell);
}

static void gru_plans(Plans *ps, const Node *n) { recur_plans(ps, n, IN_W, "all steps of gru"); }

static void gru_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  scan_lower(l, n, 3, gru_cell);
}

static void gru_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  Value in[] = { dy[0], result(n, 2), result(n, 1), n->in[IN_W] };
  if (!dy[0].node)
    return;
  Node *back = g_node(&b, &op_gru_scan_dx, NULL, in, 4);
  scan_grad(g, n, result(back, 0), result(back, 1));
}

const OpDef op_gru_scan = {
  .name = "gru_scan",
  .doc = "states of a gru layer, the state before each step, and r z n and n's share of the state",
  .formula = "$y[t] = (1 - z) n + z $y[t-1], $before[t] = $y[t-1], $gates[t] = r z n of $x[t] and "
             "$w $y[t-1] + $b", .cls = OP_NEST, .flags = OP_RECORDS, .operands = "x w b?",
  .results = "y before gates", .infer = gru_infer, .grad = gru_grad, .ref = gru_ref,
  .flops = forward_flops, .plans = gru_plans, .lower = gru_lower,
  .samples = (const OpSample[]){
    { "", "x=f32[n,3,9], w=f32[9,3], b=f32[9]" },
    { "", "x=f32[n,2,51], w=f32[51,17], b=f32[51]" },
    { "", "x=f32[n,1,3], w=f32[3,1]" }, { 0 }
  },
};

static bool gru_dx_infer(Infer *c, const Node *n, Type *out)
{
  if (!want_back(c, n, 3, 3, out))
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
  LExpr *dn = l_mul(b, l_mul(b, dh, l_sub(b, l_real(b, 1), z)), tanh_slope(b, new));
  dn = l_let(b, "dn", dn);
  LExpr *dx[3], *dz = l_mul(b, dh, l_sub(b, old, new));
  dx[GRU_Z] = l_let(b, "dx", l_mul(b, dz, slope(b, z)));
  dx[GRU_R] = l_let(b, "dx", l_mul(b, l_mul(b, dn, gate[GRU_M]), slope(b, r)));
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
        double r = *gate_at(in[1], units, at, GRU_R), z = *gate_at(in[1], units, at, GRU_Z);
        double new = *gate_at(in[1], units, at, GRU_N), m = *gate_at(in[1], units, at, GRU_M);
        double dh = in[0]->v[at] + carried[s * units + u];
        if (t + 1 < steps)
          dh += ref_back(in[3], out[1]->v + (s * steps + t + 1) * 3 * units, u);
        double dn = dh * (1 - z) * (1 - new * new);
        double dz = dh * (in[2]->v[at] - new) * z * (1 - z), dr = dn * m * r * (1 - r);
        double dx[] = { dr, dz, dn }, dsum[] = { dr, dz, dn * r };
        for (int q = 0; q < 3; q++) {
          *gate_at(out[0], units, at, q) = dx[q];
          *gate_at(out[1], units, at, q) = dsum[q];
        }
        carried[s * units + u] = dh * z;
      }
}

static void gru_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  (void)p;
  back_lower(l, n, 3, 3, gru_dx_cell);
}

const OpDef op_gru_scan_dx = {
  .name = "gru_scan_dx", .doc = "gradient of gru_scan towards x, and towards the state's products",
  .formula = "dh = $dy[t] + z dh[t+1] + $w^T $dsum[t+1], $dx[t] = dh through $gates[t] and "
             "$before[t]", .cls = OP_NEST,
  .operands = "dy gates before w", .results = "dx dsum", .infer = gru_dx_infer, .ref = gru_dx_ref,
  .flops = lstm_dx_flops, .plans = lstm_dx_plans, .lower = gru_dx_lower,
  .samples = (const OpSample[]){
    { "", "dy=f32[n,3,3], gates=f32[n,3,12], before=f32[n,3,3], w=f32[9,3]" },
    { "", "dy=f32[n,2,17], gates=f32[n,2,68], before=f32[n,2,17], w=f32[51,17]" }, { 0 }
  },
};
