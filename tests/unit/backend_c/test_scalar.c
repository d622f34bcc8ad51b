/* Every function of scalar.def, every cast and reduction, compiled by each compiler and by LLVM for
 * each target this machine runs, against values computed here: exact bits, NaN, infinities and
 * signed zeros included. */
#include "emit_test.h"
#include "backend/llvm/llvm_backend.h"
#include "internal.h"
#include <float.h>
#include <math.h>

enum { COUNT = 256, SPECIAL = 16, CASES_MAX = 512 };

/* Memory: arrays of COUNT elements of up to 8 bytes, inputs first, then a result for each case. */
enum { ARRAY = COUNT * 8, INPUTS = 9 };
typedef enum { IN_A, IN_B, IN_C, IN_ROUND, IN_SMALL, IN_U, IN_V, IN_I, IN_J } Input;

typedef struct {
  char name[64];
  ScalarOp op;
  char sig[8];                  /* "rrr" */
  int lanes;
  enum { DO_OP, DO_REDUCE, DO_CAST, DO_BITS, DO_SPLAT, DO_IOTA, DO_PHILOX } how;
  int from, to;                 /* CAST and BITS */
  Buffer *out;
} Row;

typedef struct {
  Case t;
  DType real;
  Buffer *in[INPUTS];
  Row row[CASES_MAX];
  int nrow;
  unsigned char *state;
} Matrix;

static const double special[SPECIAL] = { 0.0,   -0.0,       1.0,      -1.0,      0.5, -2.75,
                                         3.5e4, -1e-3,      INFINITY, -INFINITY, NAN, 1e30,
                                         -7e29, 16777217.0, 1.0 / 3,  2.0 };
static const double roundable[SPECIAL] = { 0.0,  -0.0, 0.5,  -0.5,      1.5,        2.5,
                                           -2.5, 0.3,  -0.3, 4194303.0, -4194302.5, 0.49999997,
                                           1e6,  -1.7, NAN,  3.0 };

static int bytes_of(DType t) { return dtype_bytes(t); }

static void put(Matrix *m, Input in, int i, double r)
{
  unsigned char *at = m->state + in * ARRAY;
  switch (m->in[in]->dtype) {
  case DT_F32: ((float *)(void *)at)[i] = (float)r; break;
  case DT_F64: ((double *)(void *)at)[i] = r; break;
  case DT_U32: ((uint32_t *)(void *)at)[i] = (uint32_t)r; break;
  case DT_I64: ((int64_t *)(void *)at)[i] = (int64_t)r; break;
  case DT_U8: case DT_I32: case DT_COUNT: fail();
  }
}

static double get_real(const Matrix *m, const unsigned char *at, int i)
{
  return m->real == DT_F32 ? (double)((const float *)(const void *)at)[i]
                           : ((const double *)(const void *)at)[i];
}

static double real_in(const Matrix *m, Input in, int i)
{
  return get_real(m, m->state + in * ARRAY, i);
}
static uint32_t u32_in(const Matrix *m, Input in, int i)
{
  return ((const uint32_t *)(const void *)(m->state + in * ARRAY))[i];
}
static int64_t i64_in(const Matrix *m, Input in, int i)
{
  return ((const int64_t *)(const void *)(m->state + in * ARRAY))[i];
}

/* ---- the module ---- */

static void make_inputs(Matrix *m)
{
  static const char *const names[] = { "a", "b", "c", "nearby", "small", "u", "v", "i", "j" };
  for (int k = 0; k < INPUTS; k++) {
    DType t = k <= IN_SMALL ? m->real : k <= IN_V ? DT_U32 : DT_I64;
    m->in[k] = l_buffer(m->t.b, names[k], BUF_STATE, t, COUNT);
    m->in[k]->offset = k * ARRAY;
  }
  m->state = arena_alloc(m->t.arena, (INPUTS + CASES_MAX) * ARRAY);
  for (int k = 0; k < COUNT; k++) {
    put(m, IN_A, k, special[k / SPECIAL]);
    put(m, IN_B, k, special[k % SPECIAL]);
    put(m, IN_C, k, special[(7 * k + k / SPECIAL) % SPECIAL]);
    put(m, IN_ROUND, k, roundable[k % SPECIAL] + (k % SPECIAL == 7 ? k : 0));
    put(m, IN_SMALL, k, k % 200 + 0.75);
    put(m, IN_U, k, (double)((uint32_t)k * 2654435761u));
    put(m, IN_V, k, (double)(k % 32));
    put(m, IN_I, k, (k - 128) * 16777259.0);
    put(m, IN_J, k, k % 31 + 1);
  }
}

/* The input that operand i of a signature reads. */
static Input input_of(const Row *r, int i)
{
  if (r->sig[i] == 'r')
    return r->op == SC_round ? IN_ROUND : (Input)(IN_A + i - (r->op == SC_select));
  if (r->sig[i] == 'u') {
    bool shift = r->op == SC_shl || r->op == SC_shr || r->op == SC_mod;
    return i == 0 ? IN_U : shift ? IN_V : IN_U;
  }
  bool word = r->op == SC_shl || r->op == SC_shr;
  return i == 0 && !word ? IN_I : IN_J;
}

static LExpr *operand(Matrix *m, const Row *r, Buffer **formal, int i, LExpr *at)
{
  Build *b = m->t.b;
  LExpr *other = l_add(b, l_muli(b, at, 1), l_int(b, 0));
  if (r->sig[i] != 'b')
    return l_load(b, formal[i], other, r->lanes);
  LExpr *x = l_load(b, formal[i], at, r->lanes);
  return l_op(b, i == 0 ? SC_lt : SC_ne, x, l_real(b, i == 0 ? 0.75 : 1.0), NULL);
}

static Buffer *source_of(Matrix *m, const Row *r, int i)
{
  return r->sig[i] == 'b' ? m->in[i == 0 ? IN_A : IN_B] : m->in[input_of(r, i)];
}

static DType result_type(const Matrix *m, const Row *r)
{
  if (r->how == DO_CAST || r->how == DO_BITS)
    return (DType)r->to;
  if (r->how == DO_PHILOX)
    return DT_U32;
  if (r->how != DO_OP)
    return m->real;
  char c = r->sig[strlen(r->sig) - 1];
  return c == 'u' ? DT_U32 : c == 'i' ? DT_I64 : m->real;
}

static LExpr *op_value(Matrix *m, const Row *r, Buffer **formal, LExpr *at)
{
  Build *b = m->t.b;
  LExpr *x[3] = { NULL, NULL, NULL };
  int arity = scalar_defs[r->op].arity;
  for (int i = 0; i < arity; i++) {
    x[i] = operand(m, r, formal, i, at);
    if ((r->op == SC_mod || r->op == SC_shl || r->op == SC_shr) && r->sig[i] == 'u' && i == 1 &&
        r->op == SC_mod)
      x[i] = l_op(b, SC_add, x[i], l_u32(b, 1), NULL);
  }
  LExpr *v = l_op(b, r->op, x[0], x[1], x[2]);
  if (r->sig[arity] == 'b')
    v = l_op(b, SC_select, v, l_real(b, 1), l_real(b, 0));
  return v;
}

static LExpr *value(Matrix *m, const Row *r, Buffer **formal, LExpr *at)
{
  Build *b = m->t.b;
  switch (r->how) {
  case DO_OP: return op_value(m, r, formal, at);
  case DO_REDUCE: return l_reduce(b, r->op, l_load(b, formal[0], at, r->lanes));
  case DO_CAST: return l_cast(b, l_load(b, formal[0], at, r->lanes), r->to);
  case DO_BITS: return l_bits(b, l_load(b, formal[0], at, r->lanes), r->to);
  case DO_SPLAT: return l_splat(b, l_load(b, formal[0], at, 1), r->lanes);
  case DO_IOTA:
    return l_op(b, SC_add, l_iota(b, r->lanes), l_load(b, formal[0], at, r->lanes), NULL);
  case DO_PHILOX: {
    LExpr *u = l_load(b, formal[0], at, r->lanes);
    LExpr *arg[] = { u, l_u32(b, 1), l_u32(b, 2), u, l_u32(b, 0xdeadbeef), l_u32(b, 7) };
    return l_call(b, l_math(b, "philox2", r->lanes), arg, 6);
  }
  }
  return NULL;
}

static Input cast_input(int from)
{
  return from == DT_U32 ? IN_U : from == DT_I64 ? IN_I : IN_SMALL;
}

static void make_row(Matrix *m, const Row *made)
{
  assert_true(m->nrow < CASES_MAX);
  Row *r = &m->row[m->nrow];
  *r = *made;
  Build *b = m->t.b;
  int arity = r->how == DO_OP ? scalar_defs[r->op].arity : 1;
  Buffer *formal[3] = { NULL, NULL, NULL }, *arg[4];
  r->out = l_buffer(b, r->name, BUF_STATE, result_type(m, r), COUNT);
  r->out->offset = (INPUTS + m->nrow) * ARRAY;
  Kernel *k = l_kernel(b, arena_strdup(m->t.arena, r->name));
  int n = 0;
  for (int i = 0; i < arity; i++) {
    Input in = r->how == DO_CAST     ? cast_input(r->from)
               : r->how == DO_BITS   ? (r->from == (int)m->real ? IN_A : cast_input(r->from))
               : r->how == DO_PHILOX ? IN_U
               : r->how == DO_IOTA   ? IN_SMALL
                                     : IN_A;
    Buffer *source = r->how == DO_OP ? source_of(m, r, i) : m->in[in];
    int j = 0;
    while (j < n && arg[j] != source)
      j++;
    if (j == n) {
      arg[n] = source;
      formal[i] = l_formal(b, source, source->name, false);
      n++;
    } else {
      formal[i] = k->formal.at[j];
    }
  }
  arg[n++] = r->out;
  Buffer *out = l_formal(b, r->out, "result", true);
  LExpr *at = l_var(b, l_loop(b, "at", l_int(b, 0), l_int(b, COUNT), r->lanes, FOR_PLAIN));
  l_store(b, out, at, value(m, r, formal, at));
  l_end(b);
  l_kernel_end(b);
  /* the call is added to the host once all kernels are there */
  r->out->index = n;
  Buffer **kept = arena_copy(m->t.arena, arg, sizeof arg);
  r->out->values = (const double *)(const void *)kept;
  m->nrow++;
}

static void make_ops(Matrix *m, int lanes)
{
  for (int o = 0; o < SC_COUNT; o++) {
    const ScalarDef *def = &scalar_defs[o];
    for (const char *sig = def->types; *sig; sig += strspn(sig, " ")) {
      Row r = { .op = (ScalarOp)o, .lanes = lanes, .how = DO_OP };
      memcpy(r.sig, sig, (size_t)def->arity + 1);
      sig += def->arity + 1;
      bool integers = strchr(r.sig, 'i') != NULL;
      if (integers && lanes > 1 && m->real == DT_F32)
        continue;               /* 16 lanes of i64 are twice a block */
      if (integers && lanes > 1 && (o == SC_div || o == SC_mod))
        continue;               /* index arithmetic is scalar */
      if (lanes == 1 && (o == SC_ziplo || o == SC_ziphi))
        continue;               /* of vectors only */
      snprintf(r.name, sizeof r.name, "%s_%s_%d", def->name, r.sig, lanes);
      make_row(m, &r);
    }
  }
}

static void make_others(Matrix *m, int lanes)
{
  static const int reduce[] = { SC_add, SC_min, SC_max };
  for (size_t i = 0; i < ARRAY_LEN(reduce) && lanes > 1; i++) {
    Row r = { .op = (ScalarOp)reduce[i], .lanes = lanes, .how = DO_REDUCE };
    snprintf(r.name, sizeof r.name, "reduce_%s_%d", scalar_defs[reduce[i]].name, lanes);
    make_row(m, &r);
  }
  static const int type[] = { DT_F32, DT_F64, DT_U8, DT_I32, DT_U32, DT_I64 };
  for (size_t i = 0; i < ARRAY_LEN(type); i++)
    for (int back = 0; back < 2; back++) {
      if (type[i] == (int)m->real || (dtype_is_real((DType)type[i]) && lanes > 1) ||
          (back && dtype_is_real((DType)type[i])))
        continue;
      if (lanes * bytes_of((DType)type[i]) > 64)
        continue;
      Row r = { .lanes = lanes, .how = DO_CAST, .from = back ? type[i] : (int)m->real,
                .to = back ? (int)m->real : type[i] };
      if (back && type[i] != DT_U32 && type[i] != DT_I64)
        continue; /* those are only stored; the read back is the cast of a load below */
      snprintf(r.name, sizeof r.name, "cast_%s_%s_%d", dtype_text((DType)r.from),
               dtype_text((DType)r.to), lanes);
      make_row(m, &r);
    }
  int word = m->real == DT_F32 ? DT_U32 : DT_I64;
  for (int back = 0; back < 2; back++) {
    Row r = { .lanes = lanes,
              .how = DO_BITS,
              .from = back ? word : (int)m->real,
              .to = back ? (int)m->real : word };
    snprintf(r.name, sizeof r.name, "bits_%d_%d", back, lanes);
    make_row(m, &r);
  }
  if (lanes == 1)
    return;
  Row splat = { .lanes = lanes, .how = DO_SPLAT, .name = "splat" },
      iota = { .lanes = lanes, .how = DO_IOTA, .name = "iota" };
  make_row(m, &splat);
  make_row(m, &iota);
  Row philox = { .lanes = lanes, .how = DO_PHILOX, .name = "philox" };
  make_row(m, &philox);
}

static void make_matrix(Matrix *m, DType real)
{
  memset(m, 0, sizeof *m);
  m->real = real;
  m->t = case_begin("scalar", real, (INPUTS + CASES_MAX) * ARRAY);
  make_inputs(m);
  static const int f32_lanes[] = { 1, 4, 8, 16 }, f64_lanes[] = { 1, 2, 4, 8 };
  for (int i = 0; i < 4; i++) {
    make_ops(m, real == DT_F32 ? f32_lanes[i] : f64_lanes[i]);
    if (i == 0 || i == 3)
      make_others(m, real == DT_F32 ? f32_lanes[i] : f64_lanes[i]);
  }
  l_host(m->t.b, HOST_TRAIN);
  for (int i = 0; i < m->nrow; i++)
    case_call(&m->t, m->t.module->kernels.at[i],
              (Buffer *const *)(const void *)m->row[i].out->values, 1);
  l_host_end(m->t.b);
}

/* ---- what must come out ---- */

static float flush_f32(float x) { return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x; }
static double flush_f64(double x) { return fpclassify(x) == FP_SUBNORMAL ? copysign(0, x) : x; }

#define ARITHMETIC(T, suffix)                                                                      \
  static double op_##suffix(ScalarOp op, double xd, double yd, double zd)                          \
  {                                                                                                \
    volatile T x = (T)xd, y = (T)yd, z = (T)zd, r = 0;                                             \
    switch ((int)op) {                                                                             \
    case SC_add: r = x + y; break;                                                                 \
    case SC_sub: r = x - y; break;                                                                 \
    case SC_mul: r = x * y; break;                                                                 \
    case SC_div: r = x / y; break;                                                                 \
    case SC_neg: return -x;                                                                        \
    case SC_min: return x < y ? x : y;                                                             \
    case SC_max: return x < y ? y : x;                                                             \
    case SC_abs: return signbit(x) ? -x : x;                                                       \
    case SC_lt: return x < y;                                                                      \
    case SC_le: return x <= y;                                                                     \
    case SC_eq: return x == y;                                                                     \
    case SC_ne: return x != y;                                                                     \
    case SC_fma:                                                                                   \
      r = sizeof(T) == 4 ? (T)fmaf((float)x, (float)y, (float)z) : (T)fma(x, y, z);                \
      break;                                                                                       \
    case SC_sqrt: r = sizeof(T) == 4 ? (T)sqrtf((float)x) : (T)sqrt(x); break;                     \
    case SC_round: r = sizeof(T) == 4 ? (T)rintf((float)x) : (T)rint(x); break;                    \
    default: fail_msg("no expectation for %s", scalar_defs[op].name);                              \
    }                                                                                              \
    return flush_##suffix(r);                                                                      \
  }
ARITHMETIC(float, f32)
ARITHMETIC(double, f64)

static bool bool_in(const Matrix *m, int operand_no, int i)
{
  return operand_no == 0 ? real_in(m, IN_A, i) < 0.75 : real_in(m, IN_B, i) != 1.0;
}

/* Lane i of the zipped vector that element i belongs to. */
static double want_zip(const Matrix *m, const Row *r, int i)
{
  int lane = i % r->lanes, first = i - lane + (r->op == SC_ziphi ? r->lanes / 2 : 0);
  return real_in(m, input_of(r, lane % 2), first + lane / 2);
}

static double want_real(const Matrix *m, const Row *r, int i)
{
  double x[3] = { 0, 0, 0 };
  if (r->op == SC_ziplo || r->op == SC_ziphi)
    return want_zip(m, r, i);
  if (r->op == SC_select)
    return bool_in(m, 0, i) ? real_in(m, input_of(r, 1), i) : real_in(m, input_of(r, 2), i);
  for (int k = 0; k < scalar_defs[r->op].arity; k++)
    if (r->sig[k] == 'r')
      x[k] = real_in(m, input_of(r, k), i);
    else if (r->sig[k] == 'b')
      x[k] = bool_in(m, k, i);
    else
      x[k] = (double)i64_in(m, input_of(r, k), i);
  if (r->op == SC_and)
    return x[0] != 0 && x[1] != 0;
  if (r->op == SC_or)
    return x[0] != 0 || x[1] != 0;
  if (r->op == SC_not)
    return x[0] == 0;
  if (r->sig[0] == 'i')
    return op_f64(r->op, x[0], x[1], 0);
  return m->real == DT_F32 ? op_f32(r->op, x[0], x[1], x[2]) : op_f64(r->op, x[0], x[1], x[2]);
}

static int64_t want_int(const Matrix *m, const Row *r, int i)
{
  int64_t x = 0, y = 0;
  if (r->op == SC_select)
    return bool_in(m, 0, i) ? i64_in(m, input_of(r, 1), i) : i64_in(m, input_of(r, 2), i);
  if (r->sig[0] == 'u') {
    uint32_t u = u32_in(m, input_of(r, 0), i),
             v = scalar_defs[r->op].arity > 1 ? u32_in(m, input_of(r, 1), i) : 0;
    if (r->op == SC_mod)
      v++;
    switch ((int)r->op) {
    case SC_add: return u + v;
    case SC_sub: return u - v;
    case SC_mul: return (uint32_t)(u * v);
    case SC_mod: return u % v;
    case SC_and: return u & v;
    case SC_or: return u | v;
    case SC_xor: return u ^ v;
    case SC_shl: return (uint32_t)(u << v);
    case SC_shr: return u >> v;
    case SC_mulhi: return (int64_t)((uint64_t)u * v >> 32);
    default: fail_msg("no expectation for %s", r->name);
    }
  }
  x = i64_in(m, input_of(r, 0), i);
  y = scalar_defs[r->op].arity > 1 ? i64_in(m, input_of(r, 1), i) : 0;
  switch ((int)r->op) {
  case SC_add: return x + y;
  case SC_sub: return x - y;
  case SC_mul: return x * y;
  case SC_div: return x / y;
  case SC_mod: return x % y;
  case SC_neg: return -x;
  case SC_min: return x < y ? x : y;
  case SC_max: return x < y ? y : x;
  case SC_and: return x & y;
  case SC_or: return x | y;
  case SC_xor: return x ^ y;
  case SC_shl: return (int64_t)((uint64_t)x << y);
  case SC_shr: return x >> y;
  default: fail_msg("no expectation for %s", r->name);
  }
  return 0;
}

static double want_reduce(const Matrix *m, const Row *r, int i)
{
  double x[16];
  for (int l = 0; l < r->lanes; l++)
    x[l] = real_in(m, IN_A, i + l);
  for (int half = r->lanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; l++)
      x[l] = m->real == DT_F32 ? op_f32(r->op, x[l], x[l + half], 0)
                               : op_f64(r->op, x[l], x[l + half], 0);
  return x[0];
}

static void want_philox(const uint32_t key[2], uint32_t ctr[4])
{
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++, k0 += 0x9e3779b9u, k1 += 0xbb67ae85u) {
    uint64_t a = (uint64_t)ctr[0] * 0xd2511f53u, b = (uint64_t)ctr[2] * 0xcd9e8d57u;
    uint32_t next[4] = { (uint32_t)(b >> 32) ^ ctr[1] ^ k0, (uint32_t)b,
                         (uint32_t)(a >> 32) ^ ctr[3] ^ k1, (uint32_t)a };
    memcpy(ctr, next, sizeof next);
  }
}

/* Do the bits of a real result match? Results of arithmetic may be any NaN; choices keep theirs. */
static bool same_real(const Matrix *m, const unsigned char *at, int i, double want, bool any_nan)
{
  double got = get_real(m, at, i);
  if (isnan(want) && isnan(got))
    return any_nan || signbit(want) == signbit(got);
  return got == want && signbit(got) == signbit(want);
}

static bool same_cast(const Matrix *m, const Row *r, const unsigned char *at, int i)
{
  double x = r->from == DT_U32 ? u32_in(m, IN_U, i) : r->from == DT_I64 ? (double)i64_in(m, IN_I, i)
                                                                         : real_in(m, IN_SMALL, i);
  switch (r->to) {
  case DT_F32:
    return ((const float *)(const void *)at)[i] ==
           (r->from == DT_I64 ? (float)i64_in(m, IN_I, i) : (float)x);
  case DT_F64: return ((const double *)(const void *)at)[i] == x;
  case DT_U8: return at[i] == (uint8_t)x;
  case DT_I32: return ((const int32_t *)(const void *)at)[i] == (int32_t)x;
  case DT_U32: return ((const uint32_t *)(const void *)at)[i] == (uint32_t)x;
  case DT_I64: return ((const int64_t *)(const void *)at)[i] == (int64_t)x;
  }
  return false;
}

static bool same(const Matrix *m, const Row *r, const unsigned char *at, int i)
{
  int size = bytes_of(r->out->dtype);
  switch (r->how) {
  case DO_OP:
    if (r->out->dtype == m->real) {
      bool choice = r->op == SC_neg || r->op == SC_abs || r->op == SC_min || r->op == SC_max ||
                    r->op == SC_select || r->op == SC_ziplo || r->op == SC_ziphi;
      return same_real(m, at, i, want_real(m, r, i), !choice);
    }
    if (r->out->dtype == DT_U32)
      return ((const uint32_t *)(const void *)at)[i] == (uint32_t)want_int(m, r, i);
    return ((const int64_t *)(const void *)at)[i] == want_int(m, r, i);
  case DO_REDUCE:
    return i % r->lanes != 0 || same_real(m, at, i, want_reduce(m, r, i), true);
  case DO_CAST:
    return same_cast(m, r, at, i);
  case DO_BITS:
    return !memcmp(at + i * size,
                   m->state + (r->from == (int)m->real ? IN_A : cast_input(r->from)) * ARRAY +
                       i * size,
                   (size_t)size);
  case DO_SPLAT:
    return same_real(m, at, i, real_in(m, IN_A, i / r->lanes * r->lanes), false);
  case DO_IOTA:
    return same_real(m, at, i, real_in(m, IN_SMALL, i) + i % r->lanes, true);
  case DO_PHILOX: {
    uint32_t u = u32_in(m, IN_U, i), ctr[4] = { u, 1, 2, u }, key[2] = { 0xdeadbeef, 7 };
    want_philox(key, ctr);
    return ((const uint32_t *)(const void *)at)[i] == ctr[2];
  }
  }
  return false;
}

static int check(const Matrix *m, const unsigned char *after, const char *compiler,
                 const char *target)
{
  int bad = 0;
  for (int k = 0; k < m->nrow; k++)
    for (int i = 0; i < COUNT; i++)
      if (!same(m, &m->row[k], after + m->row[k].out->offset, i)) {
        print_error("%s, %s, %s: element %d is wrong\n", compiler, target, m->row[k].name, i);
        bad++;
        break;
      }
  return bad;
}

/* ---- runs ---- */

static void run_matrix(DType real)
{
  static const struct { const char *target, *flags; } rows[] = {
    { "x86-64-v4", "-O3 -march=native" }, { "x86-64-v3", "-O2 -march=x86-64-v3 -Wno-psabi" },
    { "x86-64", "-O1 -march=x86-64 -Wno-psabi" }, { "aarch64", "-O3 -march=native" },
    { "riscv64", "-O2 -march=rv64gc" },
  };
  Matrix *m = malloc(sizeof *m);
  assert_non_null(m);
  make_matrix(m, real);
  int n, runs = 0;
  const Target *const *all = target_all(&n);
  int host = 0;
  while (host < n && all[host] != target_host())
    host++;
  for (int t = host; t < n; t++)
    for (size_t row = 0; row < ARRAY_LEN(rows); row++)
      for (size_t c = 0; c < ARRAY_LEN(compilers); c++) {
        bool foreign = !str_eq(all[t]->arch, target_host()->arch);
        if (foreign || !str_eq(rows[row].target, all[t]->name) || !have(compilers[c]))
          continue;
        const char *text = case_emit_for(&m->t, all[t], true, "t.nn");
        const unsigned char *after =
            case_run(&m->t, text, compilers[c], rows[row].flags, m->state, 1, 1);
        assert_int_equal(check(m, after, compilers[c], all[t]->name), 0);
        runs++;
      }
  case_end(&m->t);
  free(m);
  assert_true(runs > 0);
}

/* The state after the step, compiled in memory; lives in the case's arena. */
static const unsigned char *run_in_memory(Matrix *m, const Target *target)
{
  Case *t = &m->t;
  size_t bytes = t->net.state_bytes;
  EmitArgs args = { .module = t->module, .net = &t->net, .target = target, .spec_file = "t.nn",
                    .version = "1", .sources = t->sources, .arena = t->arena, .diag = t->diag };
  Out *object[LLVM_PARTS];
  LlvmCode *code;
  assert_true(llvm_emit_steps(&args, object));
  const gradrt_net *net = llvm_load(&args, object, &code);
  assert_non_null(net);
  gradrt_step step = { .state = gradrt_alloc(bytes), .n = 1 };
  gradrt_pool *pool = gradrt_pool_start(1);
  assert_true(step.state && pool);
  memcpy(step.state, m->state, bytes);
  gradrt_pool_run(pool, net->train.fn, &step);
  gradrt_pool_stop(pool);
  const unsigned char *after = arena_copy(t->arena, step.state, bytes);
  gradrt_free(step.state);
  llvm_unload(&code);
  return after;
}

static void run_matrix_in_memory(DType real)
{
  if (!llvm_present())
    skip();
  Matrix *m = malloc(sizeof *m);
  assert_non_null(m);
  make_matrix(m, real);
  int n, host = 0;
  const Target *const *all = target_all(&n);
  while (host < n && all[host] != target_host())
    host++;
  assert_true(host < n);
  for (int t = host; t < n && str_eq(all[t]->arch, all[host]->arch); t++)
    assert_int_equal(check(m, run_in_memory(m, all[t]), "LLVM", all[t]->name), 0);
  case_end(&m->t);
  free(m);
}

static void test_f32_in_memory(void **state)
{
  (void)state;
  run_matrix_in_memory(DT_F32);
}

static void test_f64_in_memory(void **state)
{
  (void)state;
  run_matrix_in_memory(DT_F64);
}

static void test_f32(void **state)
{
  (void)state;
  run_matrix(DT_F32);
}

static void test_f64(void **state)
{
  (void)state;
  run_matrix(DT_F64);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_f32), cmocka_unit_test(test_f64), cmocka_unit_test(test_f32_in_memory),
    cmocka_unit_test(test_f64_in_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
