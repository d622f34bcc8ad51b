/* Expressions, lane by lane. Every operation is the one that the table specifies: float arithmetic
 * in float, one rounding in fma, unsigned integers that wrap, signed ones that must not overflow.
 * Denormal operands and results of real arithmetic count as zero; moves, negation and bit patterns
 * keep them. */
#include "loop/eval.h"
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void eval_fail(Eval *v, const char *fmt, ...)
{
  char text[256];
  if (v->error)
    return;
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  v->error = arena_printf(v->arena, "%s: %s", v->where, text);
}

bool eval_inside(Eval *v, const Buffer *buf, int64_t index, int lanes, const char *verb)
{
  int64_t extent = v->block[buf->id].extent;
  if (!v->block[buf->id].at)
    eval_fail(v, "%s of '%s', which has no memory", verb, buf->name);
  else if (index < 0 || (extent > 0 && index > extent - lanes))
    eval_fail(v, "%s of '%s' at %lld, %d lanes: it has %lld elements", verb, buf->name,
              (long long)index, lanes, (long long)extent);
  else
    return true;
  return false;
}

static float flush32(float x) { return fabsf(x) < FLT_MIN ? copysignf(0, x) : x; }
static double flush64(double x) { return fabs(x) < DBL_MIN ? copysign(0, x) : x; }

/* ---- operations ---- */

static bool compare(ScalarOp op, double a, double b)
{
  return op == SC_lt ? a < b : op == SC_le ? a <= b : op == SC_eq ? a == b : a != b;
}

/* Operands are flushed; so are results. */
static void arith32(ScalarOp op, float (*x)[LANES_MAX], int n, float *to)
{
  const float *a = x[0], *b = x[1], *c = x[2];
  if (op == SC_add)
    for (int i = 0; i < n; i++) to[i] = a[i] + b[i];
  else if (op == SC_sub)
    for (int i = 0; i < n; i++) to[i] = a[i] - b[i];
  else if (op == SC_mul)
    for (int i = 0; i < n; i++) to[i] = a[i] * b[i];
  else if (op == SC_div)
    for (int i = 0; i < n; i++) to[i] = a[i] / b[i];
  else if (op == SC_fma)
    for (int i = 0; i < n; i++) to[i] = fmaf(a[i], b[i], c[i]);
  else if (op == SC_sqrt)
    for (int i = 0; i < n; i++) to[i] = sqrtf(a[i]);
  else if (op == SC_round)
    for (int i = 0; i < n; i++) to[i] = rintf(a[i]);
  else
    ice("%s has no meaning for f32", scalar_defs[op].name);
  for (int i = 0; i < n; i++)
    to[i] = flush32(to[i]);
}

/* Operands are flushed; so are results. */
static void arith64(ScalarOp op, double (*x)[LANES_MAX], int n, double *to)
{
  const double *a = x[0], *b = x[1], *c = x[2];
  if (op == SC_add)
    for (int i = 0; i < n; i++) to[i] = a[i] + b[i];
  else if (op == SC_sub)
    for (int i = 0; i < n; i++) to[i] = a[i] - b[i];
  else if (op == SC_mul)
    for (int i = 0; i < n; i++) to[i] = a[i] * b[i];
  else if (op == SC_div)
    for (int i = 0; i < n; i++) to[i] = a[i] / b[i];
  else if (op == SC_fma)
    for (int i = 0; i < n; i++) to[i] = fma(a[i], b[i], c[i]);
  else if (op == SC_sqrt)
    for (int i = 0; i < n; i++) to[i] = sqrt(a[i]);
  else if (op == SC_round)
    for (int i = 0; i < n; i++) to[i] = rint(a[i]);
  else
    ice("%s has no meaning for f64", scalar_defs[op].name);
  for (int i = 0; i < n; i++)
    to[i] = flush64(to[i]);
}

/* x: operands; absent ones repeat the first. to may be one of them. */
static void op_f32(ScalarOp op, const Val *const *x, int n, Val *to)
{
  float operand[3][LANES_MAX];
  int arity = scalar_defs[op].arity;
  if (op == SC_neg || op == SC_abs) {
    for (int i = 0; i < n; i++)
      to->f32[i] = op == SC_neg ? -x[0]->f32[i] : fabsf(x[0]->f32[i]);
    return;
  }
  for (int k = 0; k < arity; k++)
    for (int i = 0; i < n; i++)
      operand[k][i] = flush32(x[k]->f32[i]);
  if (op == SC_min || op == SC_max)
    for (int i = 0; i < n; i++)
      to->f32[i] = x[(operand[0][i] < operand[1][i]) == (op == SC_min) ? 0 : 1]->f32[i];
  else
    arith32(op, operand, n, to->f32);
}

static void op_f64(ScalarOp op, const Val *const *x, int n, Val *to)
{
  double operand[3][LANES_MAX];
  int arity = scalar_defs[op].arity;
  if (op == SC_neg || op == SC_abs) {
    for (int i = 0; i < n; i++)
      to->f64[i] = op == SC_neg ? -x[0]->f64[i] : fabs(x[0]->f64[i]);
    return;
  }
  for (int k = 0; k < arity; k++)
    for (int i = 0; i < n; i++)
      operand[k][i] = flush64(x[k]->f64[i]);
  if (op == SC_min || op == SC_max)
    for (int i = 0; i < n; i++)
      to->f64[i] = x[(operand[0][i] < operand[1][i]) == (op == SC_min) ? 0 : 1]->f64[i];
  else
    arith64(op, operand, n, to->f64);
}

static uint32_t arith_u32(Eval *v, ScalarOp op, uint32_t a, uint32_t b)
{
  if ((op == SC_shl || op == SC_shr) && b > 31) {
    eval_fail(v, "shift of u32 by %u", b);
    return 0;
  }
  if (op == SC_mod && b == 0) {
    eval_fail(v, "division by zero");
    return 0;
  }
  if (op == SC_add) return a + b;
  if (op == SC_sub) return a - b;
  if (op == SC_mul) return a * b;
  if (op == SC_mod) return a % b;
  if (op == SC_and) return a & b;
  if (op == SC_or) return a | b;
  if (op == SC_xor) return a ^ b;
  if (op == SC_shl) return a << b;
  if (op == SC_shr) return a >> b;
  if (op == SC_mulhi) return (uint32_t)((uint64_t)a * b >> 32);
  ice("%s has no meaning for u32", scalar_defs[op].name);
}

/* The low 64 bits of a sum, difference or product, with a failure when that is not its value. */
static int64_t checked_i64(Eval *v, ScalarOp op, int64_t a, int64_t b)
{
  bool fits;
  if (op == SC_add)
    fits = b > 0 ? a <= INT64_MAX - b : a >= INT64_MIN - b;
  else if (op == SC_sub)
    fits = b > 0 ? a >= INT64_MIN + b : a <= INT64_MAX + b;
  else
    fits = a == 0 || b == 0 || fabs((double)a) * fabs((double)b) < 9.2e18;
  if (!fits) {
    eval_fail(v, "%s of %lld and %lld overflows", scalar_defs[op].name, (long long)a, (long long)b);
    return 0;
  }
  return op == SC_add ? a + b : op == SC_sub ? a - b : a * b;
}

static int64_t divide_i64(Eval *v, ScalarOp op, int64_t a, int64_t b)
{
  if (b == 0 || (a == INT64_MIN && b == -1)) {
    eval_fail(v, b ? "division of -2^63 by -1" : "division by zero");
    return 0;
  }
  return op == SC_div ? a / b : a % b;
}

static int64_t shift_i64(Eval *v, ScalarOp op, int64_t a, int64_t b)
{
  if (b < 0 || b > 63 || (op == SC_shr && a < 0)) {
    eval_fail(v, "shift of %lld by %lld", (long long)a, (long long)b);
    return 0;
  }
  if (op == SC_shr)
    return a >> b;
  uint64_t bits = (uint64_t)a << b;
  memcpy(&a, &bits, sizeof a);
  return a;
}

static int64_t arith_i64(Eval *v, ScalarOp op, int64_t a, int64_t b)
{
  if (op == SC_add || op == SC_sub || op == SC_mul) return checked_i64(v, op, a, b);
  if (op == SC_neg) return checked_i64(v, SC_sub, 0, a);
  if (op == SC_div || op == SC_mod) return divide_i64(v, op, a, b);
  if (op == SC_shl || op == SC_shr) return shift_i64(v, op, a, b);
  if (op == SC_min) return a < b ? a : b;
  if (op == SC_max) return a < b ? b : a;
  if (op == SC_and) return a & b;
  if (op == SC_or) return a | b;
  if (op == SC_xor) return a ^ b;
  ice("%s has no meaning for i64", scalar_defs[op].name);
}

static void op_compare(ScalarOp op, int dtype, const Val *const *x, int n, Val *to)
{
  for (int i = 0; i < n; i++)
    if (dtype == DT_F32)
      to->b[i] = compare(op, (double)flush32(x[0]->f32[i]), (double)flush32(x[1]->f32[i]));
    else if (dtype == DT_F64)
      to->b[i] = compare(op, flush64(x[0]->f64[i]), flush64(x[1]->f64[i]));
    else {
      int64_t a = x[0]->i64[i], b = x[1]->i64[i];
      to->b[i] = op == SC_lt ? a < b : op == SC_le ? a <= b : op == SC_eq ? a == b : a != b;
    }
}

static void op_bool(ScalarOp op, const Val *const *x, int n, Val *to)
{
  for (int i = 0; i < n; i++) {
    bool a = x[0]->b[i], b = x[1]->b[i];
    to->b[i] = op == SC_not ? !a : op == SC_and ? a && b : a || b;
  }
}

static void op_select(const LExpr *e, const Val *const *x, size_t bytes, Val *to)
{
  for (int i = 0; i < e->lanes; i++)
    memcpy((char *)to + (size_t)i * bytes,
           (const char *)(x[0]->b[i] ? x[1] : x[2]) + (size_t)i * bytes, bytes);
}

static void op_zip(const LExpr *e, const Val *const *x, size_t bytes, Val *to)
{
  size_t half = (size_t)e->lanes / 2, first = e->op.op == SC_ziphi ? half : 0;
  for (size_t i = 0; i < half; i++)
    for (size_t k = 0; k < 2; k++)
      memcpy((char *)to + (2 * i + k) * bytes, (const char *)x[k] + (first + i) * bytes, bytes);
}

int64_t eval_index(Eval *v, const LExpr *e)
{
  if (e->kind == LE_INT)
    return e->i;
  if (e->kind == LE_VAR)
    return v->var[e->var->id].i64[0];
  if (e->kind == LE_OP && scalar_defs[e->op.op].arity == 2) {
    int64_t a = eval_index(v, e->op.arg[0]), b = eval_index(v, e->op.arg[1]);
    return v->error ? 0 : arith_i64(v, (ScalarOp)e->op.op, a, b);
  }
  Val x;
  eval(v, e, &x);
  return x.i64[0];
}

static void eval_op(Eval *v, const LExpr *e, Val *to)
{
  ScalarOp op = (ScalarOp)e->op.op;
  Val arg[3];
  const Val *x[3] = { &arg[0], &arg[0], &arg[0] };
  if (e->dtype == DT_I64 && e->lanes == 1 && scalar_defs[op].arity == 2) {
    to->i64[0] = eval_index(v, e);
    return;
  }
  for (int i = 0; i < scalar_defs[op].arity; i++) {
    eval(v, e->op.arg[i], &arg[i]);
    x[i] = &arg[i];
  }
  if (v->error)
    return;
  int from = e->op.arg[0]->dtype;
  if (op == SC_ziplo || op == SC_ziphi)
    op_zip(e, x, (size_t)dtype_bytes((DType)e->dtype), to);
  else if (op == SC_select)
    op_select(e, x, (size_t)dtype_bytes((DType)e->dtype), to);
  else if (from == TY_BOOL)
    op_bool(op, x, e->lanes, to);
  else if (e->dtype == TY_BOOL)
    op_compare(op, from, x, e->lanes, to);
  else if (from == DT_F32)
    op_f32(op, x, e->lanes, to);
  else if (from == DT_F64)
    op_f64(op, x, e->lanes, to);
  else
    for (int i = 0; i < e->lanes; i++)
      if (from == DT_U32)
        to->u32[i] = arith_u32(v, op, x[0]->u32[i], x[1]->u32[i]);
      else
        to->i64[i] = arith_i64(v, op, x[0]->i64[i], x[1]->i64[i]);
}

/* ---- casts ---- */

static bool is_real(int dtype) { return dtype == DT_F32 || dtype == DT_F64; }

/* Bounds of the integers of a type, as exact doubles: low <= x < high. */
static bool fits(int dtype, double x)
{
  switch (dtype) {
  case DT_U8: return x > -1 && x < 256;
  case DT_I32: return x > -2147483649.0 && x < 2147483648.0;
  case DT_U32: return x > -1 && x < 4294967296.0;
  case DT_I64: return x >= -9223372036854775808.0 && x < 9223372036854775808.0;
  }
  return true;
}

static int64_t integer_at(const Val *x, int dtype, int i)
{
  switch (dtype) {
  case DT_U8: return x->u8[i];
  case DT_I32: return x->i32[i];
  case DT_U32: return x->u32[i];
  }
  return x->i64[i];
}

static void set_integer(Val *to, int dtype, int i, int64_t k)
{
  switch (dtype) {
  case DT_U8: to->u8[i] = (uint8_t)k; return;
  case DT_I32: to->i32[i] = (int32_t)k; return;
  case DT_U32: to->u32[i] = (uint32_t)k; return;
  }
  to->i64[i] = k;
}

static bool integer_fits(int dtype, int64_t k)
{
  switch (dtype) {
  case DT_U8: return k >= 0 && k <= UINT8_MAX;
  case DT_I32: return k >= INT32_MIN && k <= INT32_MAX;
  case DT_U32: return k >= 0 && k <= UINT32_MAX;
  }
  return true;
}

static void cast_real(Eval *v, double r, int to_type, int i, Val *to)
{
  if (to_type == DT_F64)
    to->f64[i] = r;
  else if (to_type == DT_F32)
    to->f32[i] = flush32((float)r);
  else if (!fits(to_type, r))
    eval_fail(v, "cast of %g to %s", r, ltype_text(to_type));
  else
    set_integer(to, to_type, i, (int64_t)r);
}

static void cast_integer(Eval *v, int64_t k, int to_type, int i, Val *to)
{
  if (to_type == DT_F64)
    to->f64[i] = (double)k;
  else if (to_type == DT_F32)
    to->f32[i] = (float)k;
  else if (!integer_fits(to_type, k))
    eval_fail(v, "cast of %lld to %s", (long long)k, ltype_text(to_type));
  else
    set_integer(to, to_type, i, k);
}

static void eval_cast(Eval *v, const LExpr *e, Val *to)
{
  Val x;
  int from = e->from->dtype;
  eval(v, e->from, &x);
  for (int i = 0; i < e->lanes && !v->error; i++)
    if (is_real(from))
      cast_real(v, from == DT_F32 ? (double)flush32(x.f32[i]) : flush64(x.f64[i]), e->dtype, i, to);
    else
      cast_integer(v, integer_at(&x, from, i), e->dtype, i, to);
}

void eval_from_double(Eval *v, double x, int dtype, Val *to) { cast_real(v, x, dtype, 0, to); }

/* ---- the other kinds ---- */

static void eval_load(Eval *v, const LExpr *e, Val *to)
{
  const Buffer *buf = e->load.buf;
  int64_t index = eval_index(v, e->load.index);
  if (v->error)
    return;
  size_t bytes = (size_t)dtype_bytes(buf->dtype);
  if (buf->role == BUF_REGISTER) {
    const Reg *r = &v->reg[buf->id];
    if (!r->assigned[index])
      eval_fail(v, "'%s' element %lld is read before it is assigned", buf->name,
                (long long)index);
    *to = r->value[index];
    return;
  }
  if (eval_inside(v, buf, index, e->lanes, "load"))
    memcpy(to, v->block[buf->id].at + (size_t)index * bytes, bytes * (size_t)e->lanes);
}

static void eval_splat(Eval *v, const LExpr *e, Val *to)
{
  Val x;
  size_t bytes = e->dtype == TY_BOOL ? sizeof(bool) : (size_t)dtype_bytes((DType)e->dtype);
  eval(v, e->from, &x);
  for (int i = 0; i < e->lanes && !v->error; i++)
    memcpy((char *)to + (size_t)i * bytes, &x, bytes);
}

static void eval_reduce(Eval *v, const LExpr *e, Val *to)
{
  Val low, high;
  eval(v, e->reduce.from, &low);
  for (int half = e->reduce.from->lanes / 2; half > 0 && !v->error; half /= 2) {
    const Val *x[3] = { &low, &high, &low };
    size_t bytes = (size_t)dtype_bytes((DType)e->dtype) * (size_t)half;
    memcpy(&high, (const char *)&low + bytes, bytes);
    if (e->dtype == DT_F32)
      op_f32((ScalarOp)e->reduce.op, x, half, &low);
    else
      op_f64((ScalarOp)e->reduce.op, x, half, &low);
  }
  *to = low;
}

void eval_func(Eval *v, const LFunc *f, Val *to)
{
  for (const LStmt *s = f->body; s && !v->error; s = s->next)
    if (s->kind == LS_LET)
      eval(v, s->let.value, &v->var[s->let.var->id]);
  eval(v, f->result, to);
}

static void eval_call(Eval *v, const LExpr *e, Val *to)
{
  const char *where = v->where;
  Val arg[PARAMS_MAX];
  for (int i = 0; i < e->call.narg; i++)
    eval(v, e->call.arg[i], &arg[i]);
  for (int i = 0; i < e->call.narg && !v->error; i++)
    v->var[e->call.fn->param[i]->id] = arg[i];
  eval_func(v, e->call.fn, to);
  v->where = where;
}

void eval(Eval *v, const LExpr *e, Val *to)
{
  if (v->error) {
    memset(to, 0, sizeof *to);
    return;
  }
  switch (e->kind) {
  case LE_INT: set_integer(to, e->dtype, 0, e->i); return;
  case LE_REAL: eval_from_double(v, e->r, e->dtype, to); return;
  case LE_VAR:
    if (e->lanes == 1)
      to->i64[0] = v->var[e->var->id].i64[0];   /* as wide as any scalar */
    else
      *to = v->var[e->var->id];
    return;
  case LE_LOAD: eval_load(v, e, to); return;
  case LE_OP: eval_op(v, e, to); return;
  case LE_CAST: eval_cast(v, e, to); return;
  case LE_BITS: eval(v, e->from, to); return;
  case LE_SPLAT: eval_splat(v, e, to); return;
  case LE_IOTA:
    for (int i = 0; i < e->lanes; i++)
      cast_integer(v, i, e->dtype, i, to);
    return;
  case LE_REDUCE: eval_reduce(v, e, to); return;
  case LE_CALL: eval_call(v, e, to); return;
  }
}
