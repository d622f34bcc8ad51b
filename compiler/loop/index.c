/* Index arithmetic with folding. Indices are kept as base + constant: sums and products collect
 * their integer constants on the right, so that the elements of a tile differ in one constant.
 * Nothing is reordered but constants; real arithmetic is never folded. */
#include "loop/expr.h"

static bool is_scalar_int(const LExpr *e) { return e->dtype == DT_I64 && e->lanes == 1; }

static bool sum_fits(int64_t a, int64_t b, int64_t *out)
{
  if ((b > 0 && a > INT64_MAX - b) || (b < 0 && a < INT64_MIN - b))
    return false;
  *out = a + b;
  return true;
}

static bool product_fits(int64_t a, int64_t b, int64_t *out)
{
  enum { SMALL = 1 << 30 };
  if (a < -SMALL || a > SMALL || b < -SMALL || b > SMALL)
    return false;
  *out = a * b;
  return true;
}

/* e = base + k; base is NULL for a constant. */
typedef struct { LExpr *base; int64_t k; } Sum;

static Sum as_sum(LExpr *e)
{
  int64_t k;
  if (lexpr_is_int(e, &k))
    return (Sum){ NULL, k };
  bool minus = e->kind == LE_OP && e->op.op == SC_sub;
  if (e->kind == LE_OP && (e->op.op == SC_add || minus) && lexpr_is_int(e->op.arg[1], &k) &&
      k != INT64_MIN)
    return (Sum){ e->op.arg[0], minus ? -k : k };
  return (Sum){ e, 0 };
}

static LExpr *from_sum(Build *b, LExpr *base, int64_t k)
{
  if (!base || k == INT64_MIN)
    return base ? l_op(b, SC_add, base, l_int(b, k), NULL) : l_int(b, k);
  if (k == 0)
    return base;
  return k > 0 ? l_op(b, SC_add, base, l_int(b, k), NULL)
               : l_op(b, SC_sub, base, l_int(b, -k), NULL);
}

static bool same(const LExpr *x, const LExpr *y)
{
  return x == y || (x->kind == LE_VAR && y->kind == LE_VAR && x->var == y->var);
}

LExpr *l_add(Build *b, LExpr *x, LExpr *y)
{
  int64_t k;
  if (!is_scalar_int(x) || !is_scalar_int(y))
    return l_op(b, SC_add, x, y, NULL);
  Sum s = as_sum(x), t = as_sum(y);
  if (!sum_fits(s.k, t.k, &k))
    return l_op(b, SC_add, x, y, NULL);
  LExpr *base = !s.base ? t.base : !t.base ? s.base : l_op(b, SC_add, s.base, t.base, NULL);
  return from_sum(b, base, k);
}

LExpr *l_sub(Build *b, LExpr *x, LExpr *y)
{
  int64_t k;
  if (!is_scalar_int(x) || !is_scalar_int(y))
    return l_op(b, SC_sub, x, y, NULL);
  Sum s = as_sum(x), t = as_sum(y);
  if (t.k == INT64_MIN || !sum_fits(s.k, -t.k, &k))
    return l_op(b, SC_sub, x, y, NULL);
  if (s.base && t.base && same(s.base, t.base))
    return l_int(b, k);
  if (!t.base)
    return from_sum(b, s.base, k);
  if (!s.base)
    return l_op(b, SC_sub, l_int(b, k), t.base, NULL);
  return from_sum(b, l_op(b, SC_sub, s.base, t.base, NULL), k);
}

/* (x * c) by a constant k, or base * k with an added constant on the right. */
static LExpr *scale(Build *b, LExpr *x, int64_t k)
{
  int64_t c, offset;
  Sum s = as_sum(x);
  if (k == 0)
    return l_int(b, 0);
  if (k == 1)
    return x;
  if (!product_fits(s.k, k, &offset))
    return l_op(b, SC_mul, x, l_int(b, k), NULL);
  if (!s.base)
    return l_int(b, offset);
  LExpr *base = s.base;
  if (base->kind == LE_OP && base->op.op == SC_mul && lexpr_is_int(base->op.arg[1], &c) &&
      product_fits(c, k, &c)) {
    base = base->op.arg[0];
    k = c;
  }
  return from_sum(b, l_op(b, SC_mul, base, l_int(b, k), NULL), offset);
}

LExpr *l_mul(Build *b, LExpr *x, LExpr *y)
{
  int64_t k;
  if (!is_scalar_int(x) || !is_scalar_int(y))
    return l_op(b, SC_mul, x, y, NULL);
  if (lexpr_is_int(y, &k))
    return scale(b, x, k);
  if (lexpr_is_int(x, &k))
    return scale(b, y, k);
  return l_op(b, SC_mul, x, y, NULL);
}

LExpr *l_div(Build *b, LExpr *x, LExpr *y)
{
  int64_t i, k, c;
  if (!is_scalar_int(x) || !is_scalar_int(y) || !lexpr_is_int(y, &k) || k <= 0)
    return l_op(b, SC_div, x, y, NULL);
  if (lexpr_is_int(x, &i))
    return l_int(b, i / k);
  if (k == 1)
    return x;
  if (x->kind == LE_OP && x->op.op == SC_mul && lexpr_is_int(x->op.arg[1], &c) && c % k == 0)
    return scale(b, x->op.arg[0], c / k);
  return l_op(b, SC_div, x, y, NULL);
}

LExpr *l_mod(Build *b, LExpr *x, LExpr *y)
{
  int64_t i, k, c;
  if (!is_scalar_int(x) || !is_scalar_int(y) || !lexpr_is_int(y, &k) || k <= 0)
    return l_op(b, SC_mod, x, y, NULL);
  if (lexpr_is_int(x, &i))
    return l_int(b, i % k);
  if (k == 1)
    return l_int(b, 0);
  if (x->kind == LE_OP && x->op.op == SC_mul && lexpr_is_int(x->op.arg[1], &c) && c % k == 0)
    return l_int(b, 0);
  return l_op(b, SC_mod, x, y, NULL);
}

/* The smaller (op min) or larger of the two; known when they differ by a constant. */
static LExpr *extreme(Build *b, ScalarOp op, LExpr *x, LExpr *y)
{
  if (!is_scalar_int(x) || !is_scalar_int(y))
    return l_op(b, op, x, y, NULL);
  Sum s = as_sum(x), t = as_sum(y);
  bool comparable = s.base && t.base ? same(s.base, t.base) : !s.base && !t.base;
  if (comparable)
    return (s.k < t.k) == (op == SC_min) ? x : y;
  return l_op(b, op, x, y, NULL);
}

LExpr *l_min(Build *b, LExpr *x, LExpr *y) { return extreme(b, SC_min, x, y); }
LExpr *l_max(Build *b, LExpr *x, LExpr *y) { return extreme(b, SC_max, x, y); }
LExpr *l_muli(Build *b, LExpr *x, int64_t k) { return l_mul(b, x, l_int(b, k)); }
LExpr *l_addi(Build *b, LExpr *x, int64_t k) { return l_add(b, x, l_int(b, k)); }
