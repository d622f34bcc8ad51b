/* What the recurrent parts of rnn, lstm and gru share: from x, the inputs' share of all steps, to
 * the states y. w [G H, H] and b [G H] make the state's share, G numbers for each of H units; h is
 * the state before:
 *
 *   rnn    h' = act(x + w h + b)                           act: tanh or relu
 *   lstm   i, f, o = sigmoid(x + w h + b), g = tanh(..), gates in the order i f g o
 *          c' = f c + i g, h' = o tanh(c')
 *   gru    r, z = sigmoid(x + w h + b), n = tanh(x + r (w h + b)), gates in the order r z n
 *          h' = (1 - z) n + z h
 *
 * The first state is zero or given. Gradients walk back to it and no further; relu has none at 0
 * and below. */
#include "ops/recur.h"
#include <math.h>
#include <string.h>

LExpr *recur_math(Lower *l, const char *name, LExpr *x)
{
  return l_let(l->b, name, l_call(l->b, l_math(l->b, name, l->block), &x, 1));
}

int recur_states(int gates) { return gates == 4 ? 2 : 1; }

bool want_scan(Infer *c, const Node *n, int gates)
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
  int states = recur_states(gates);
  if (c->nin > (uint32_t)(RECUR_FIRST + states))
    return infer_error(c, n, "E0201", "has %d states, not more", states);
  for (uint32_t i = RECUR_FIRST; i < c->nin; i++)
    if (c->in[i].dtype != DT_COUNT && !want_state_rows(c, n, i, w->dim[1]))
      return false;
  return true;
}

Type recur_end_type(const Type *x, int64_t units) { return type_make(x->dtype, true, 1, &units); }

Type recur_type(const Type *x, int64_t width)
{
  return type_make(x->dtype, true, 2, (int64_t[]){ x->dim[0], width });
}

static Recur recur_of(const Node *n, uint32_t w, int gates)
{
  const Type *t = value_type(n->in[w]);
  return (Recur){ .node = n, .units = t->dim[1], .steps = n->type[0].dim[0], .gates = gates,
                  .w = n->in[w] };
}

void recur_lower(Lower *l, const Node *n, int gates, LExpr *(*cell)(RecurPoint *, LExpr **))
{
  Recur r = recur_of(n, RECUR_W, gates);
  r.bias = operand_given(n, RECUR_BIAS) ? n->in[RECUR_BIAS] : (Value){ NULL, 0 };
  r.second = recur_states(gates) > 1;
  for (int i = 0; i < recur_states(gates); i++) {
    uint32_t from = RECUR_FIRST + (uint32_t)i;
    r.first[i] = operand_given(n, from) ? n->in[from] : (Value){ NULL, 0 };
    r.end[i] = n->nout - (uint32_t)(recur_states(gates) - i);
  }
  r.forward = cell;
  recur_forward(l, &r);
}

double recur_flops(const Node *n, uint32_t w)
{
  return (2 * (double)value_elems(n->in[w]) + 30 * (double)value_type(n->in[w])->dim[1]) *
         (double)n->type[0].dim[0];
}

double recur_forward_flops(const Node *n) { return recur_flops(n, RECUR_W); }

void recur_grad(Grad *g, const Node *n, Value dx, Value dsum)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, RECUR_X))
    grad_add(g, n, RECUR_X, dx);
  if (grad_wanted(g, n, RECUR_W))
    grad_add(g, n, RECUR_W,
             g_op(&b, &op_dense_dw, NULL, (Value[]){ dsum, { (Node *)(uintptr_t)n, 1 } }, 2));
  if (operand_given(n, RECUR_BIAS) && grad_wanted(g, n, RECUR_BIAS))
    grad_add(g, n, RECUR_BIAS, g_op(&b, &op_step_sum, NULL, &dsum, 1));
}

Value recur_result(const Node *n, uint32_t r) { return (Value){ (Node *)(uintptr_t)n, r }; }

static const double *ref_rows(const Node *n, RefTensor *const *in, uint32_t i)
{
  return i < n->nin && in[i] ? in[i]->v : NULL;
}

/* sum[q] := b + w h for the gates of one unit. */
static void ref_sums(const Node *n, RefTensor *const *in, const double *h, int64_t unit,
                     double *sum)
{
  int64_t units = in[RECUR_W]->type.dim[1], rows = in[RECUR_W]->type.dim[0];
  for (int64_t q = 0; q * units < rows; q++) {
    int64_t o = q * units + unit;
    sum[q] = n->nin > RECUR_BIAS && in[RECUR_BIAS] ? in[RECUR_BIAS]->v[o] : 0;
    for (int64_t k = 0; k < units; k++)
      sum[q] += in[RECUR_W]->v[o * units + k] * h[k];
  }
}

double recur_ref_back(const RefTensor *w, const double *dsum, int64_t k)
{
  int64_t rows = w->type.dim[0], units = w->type.dim[1];
  double dh = 0;
  for (int64_t o = 0; o < rows; o++)
    dh += w->v[o * units + k] * dsum[o];
  return dh;
}

double recur_ref_sigmoid(double x) { return 1 / (1 + exp(-x)); }

void recur_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out,
               RecurRefCell cell)
{
  int64_t steps = out[0]->type.dim[0], units = out[0]->type.dim[1], count = in[0]->n * units;
  int64_t gates = in[RECUR_W]->type.dim[0] / units;
  int states = recur_states((int)gates);
  double *h = ARENA_ARRAY(c->arena, double, count + 1);
  double *next = ARENA_ARRAY(c->arena, double, units);
  double *second = ARENA_ARRAY(c->arena, double, count + 1);
  for (int64_t i = 0; i < count; i++) {
    h[i] = ref_rows(n, in, RECUR_FIRST) ? ref_rows(n, in, RECUR_FIRST)[i] : 0;
    second[i] = ref_rows(n, in, RECUR_FIRST + 1) ? ref_rows(n, in, RECUR_FIRST + 1)[i] : 0;
  }
  for (int64_t s = 0; s < in[0]->n; s++)
    for (int64_t t = 0; t < steps; t++) {
      for (int64_t u = 0; u < units; u++) {
        int64_t at = (s * steps + t) * units + u;
        double x[RECUR_GATES], sum[RECUR_GATES], *own = h + s * units;
        ref_sums(n, in, own, u, sum);
        for (int64_t q = 0; q < gates; q++)
          x[q] = in[RECUR_X]->v[(s * steps + t) * gates * units + q * units + u];
        out[1]->v[at] = own[u];
        out[0]->v[at] = next[u] = cell(out, at, x, sum, own[u], &second[s * units + u]);
      }
      memcpy(h + s * units, next, (size_t)units * sizeof *next);
    }
  memcpy(out[n->nout - (uint32_t)states]->v, h, (size_t)count * sizeof *h);
  if (states > 1)
    memcpy(out[n->nout - 1]->v, second, (size_t)count * sizeof *second);
}

double *recur_gate(const RefTensor *t, int64_t units, int64_t at, int q)
{
  int64_t width = t->type.dim[1];
  return t->v + at / units * width + q * units + at % units;
}

bool want_scan_back(Infer *c, const Node *n, uint32_t w, int gates, Type *out)
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
  *out = recur_type(&c->in[0], t->dim[0]);
  return true;
}

void recur_lower_back(Lower *l, const Node *n, uint32_t w, int gates,
                      void (*cell)(RecurPoint *, LExpr *, LExpr **))
{
  Recur r = recur_of(n, w, gates);
  r.second = gates > 1;
  r.adds = gates == 3;
  r.backward = cell;
  recur_backward(l, &r);
}

LExpr *recur_slope(Build *b, LExpr *s) { return l_mul(b, s, l_sub(b, l_real(b, 1), s)); }

LExpr *recur_tanh_slope(Build *b, LExpr *y)
{
  return l_sub(b, l_real(b, 1), l_mul(b, y, y));
}
