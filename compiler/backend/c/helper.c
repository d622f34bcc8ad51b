/* What a program defines for itself: vector types and small functions over them. Only those that
 * the program uses are printed. Each means exactly what its row of loop/scalar.def says, on every
 * target: an intrinsic stands where it does just that, plain C over the vector elsewhere.
 *
 * Names: v16 is a vector of 16 reals, m16 the result of comparing two of them (all bits set or
 * clear), u32x16 and the like vectors of integers. Functions over reals carry the lanes alone:
 * fma16, max16. */
#include "backend/c/c.h"
#include <string.h>

static const char *const words[H_COUNT] = {
  [H_TYPE] = "", [H_LOAD] = "load", [H_STORE] = "store", [H_SPLAT] = "splat", [H_IOTA] = "iota",
  [H_BITS] = "bits", [H_FMA] = "fma", [H_MIN] = "min", [H_MAX] = "max", [H_SQRT] = "sqrt",
  [H_ABS] = "abs", [H_ROUND] = "round", [H_SELECT] = "select", [H_SHL] = "shl", [H_SHR] = "shr",
  [H_MULHI] = "mulhi", [H_ZIPLO] = "ziplo", [H_ZIPHI] = "ziphi",
  [H_WIDEN] = "widen", [H_BYTES] = "bytes", [H_SUM] = "sum", [H_LEAST] = "least",
  [H_GREATEST] = "greatest"
};

static int lanes_log(int lanes)
{
  int log = 0;
  while (1 << log < lanes)
    log++;
  if (lanes < 1 || 1 << log != lanes || log >= LANES_LOG)
    ice("backend c: a vector of %d lanes", lanes);
  return log;
}

int c_type_bytes(const C *c, int dtype)
{
  return dtype == TY_BOOL ? dtype_bytes(c->m->real) : dtype_bytes((DType)dtype);
}

static bool is_real(const C *c, int dtype)
{
  return dtype == (int)c->m->real;
}

static const char *type_name(const C *c, int dtype, int lanes)
{
  if (lanes == 1)
    return dtype == TY_BOOL ? "bool" : dtype == DT_I64 ? "idx" : dtype_c((DType)dtype);
  if (dtype == TY_BOOL)
    return arena_printf(c->arena, "m%d", lanes);
  if (is_real(c, dtype))
    return arena_printf(c->arena, "v%d", lanes);
  return arena_printf(c->arena, "%sx%d", dtype_text((DType)dtype), lanes);
}

static const char *helper_name(const C *c, Helper h, int dtype, int lanes)
{
  if (h == H_TYPE)
    return type_name(c, dtype, lanes);
  if (lanes == 1)
    return arena_printf(c->arena, "%s_%s", words[h],
                        dtype == TY_BOOL ? "bool" : dtype_text((DType)dtype));
  if (is_real(c, dtype))
    return arena_printf(c->arena, "%s%d", words[h], lanes);
  return arena_printf(c->arena, "%s_%s", words[h], type_name(c, dtype, lanes));
}

void c_take_helper_names(C *c)
{
  for (int h = 0; h < H_COUNT; h++)
    for (int t = 0; t < TYPES; t++)
      for (int log = 0; log < LANES_LOG; log++) {
        const char *name = helper_name(c, (Helper)h, t, 1 << log);
        names_take_text(c->names, name, strlen(name), TAKE_FOR_ALL);
      }
  static const char others[] = "idx at";
  names_take_text(c->names, others, strlen(others), TAKE_FOR_ALL);
}

/* What else a helper's text mentions. */
static void require(C *c, Helper h, int t, int lanes)
{
  if (h != H_TYPE && lanes > 1)
    c_type(c, t, lanes);
  bool logic = h == H_SELECT || h == H_ABS || h == H_ROUND || h == H_MIN || h == H_MAX ||
               h == H_ZIPLO || h == H_ZIPHI;
  if (logic && lanes > 1)
    c_type(c, TY_BOOL, lanes);
  if (h == H_WIDEN || h == H_BYTES)
    c_type(c, DT_U8, lanes);
  bool reduce = h == H_SUM || h == H_LEAST || h == H_GREATEST;
  if (!reduce)
    return;
  if (lanes > 4) {
    c_helper(c, h, t, lanes / 2);
    c_type(c, t, lanes / 2);
  }
  if (h != H_SUM)
    c_helper(c, h == H_LEAST ? H_MIN : H_MAX, t, lanes > 4 ? lanes / 2 : 1);
}

const char *c_helper(C *c, Helper h, int dtype, int lanes)
{
  bool *used = &c->helper[h][dtype][lanes_log(lanes)];
  if (!*used) {
    *used = true;
    require(c, h, dtype, lanes);
  }
  return helper_name(c, h, dtype, lanes);
}

const char *c_type(C *c, int dtype, int lanes)
{
  return lanes == 1 ? type_name(c, dtype, 1) : c_helper(c, H_TYPE, dtype, lanes);
}

/* ---- printing ---- */

/* One helper being printed. */
typedef struct {
  C *c;
  Out *out;
  const char *name, *type, *mask;       /* v16, m16 */
  const char *scalar;                   /* C name of an element in memory: float, uint8_t */
  Helper h;
  int dtype, lanes, bytes;
  bool f32;
} Put;

static void open_body(const Put *p, const char *result, const char *params)
{
  out_line(p->out, "static INLINE %s %s(%s)", result, p->name, params);
  out_line(p->out, "{");
  out_indent(p->out);
}

static void close_body(const Put *p)
{
  out_dedent(p->out);
  out_line(p->out, "}");
  out_bytes(p->out, "\n", 1);
}

static void put_type(const Put *p)
{
  const char *element =
      p->dtype == TY_BOOL ? (p->bytes / p->lanes == 8 ? "int64_t" : "int32_t") : p->scalar;
  out_line(p->out, "typedef %s %s __attribute__((vector_size(%d)));", element, p->type, p->bytes);
}

static void put_load(const Put *p)
{
  open_body(p, p->type, arena_printf(p->c->arena, "const %s *p", p->scalar));
  out_line(p->out, "typedef %s unaligned __attribute__((aligned(%d), may_alias));", p->type,
           p->bytes / p->lanes);
  out_line(p->out, "return *(const unaligned *)p;");
  close_body(p);
}

static void put_store(const Put *p)
{
  open_body(p, "void", arena_printf(p->c->arena, "%s *p, %s x", p->scalar, p->type));
  out_line(p->out, "typedef %s unaligned __attribute__((aligned(%d), may_alias));", p->type,
           p->bytes / p->lanes);
  out_line(p->out, "*(unaligned *)p = x;");
  close_body(p);
}

/* "(v4){s, s, s, s}", or the lane numbers where element is NULL */
static const char *lanes_list(const Put *p, const char *element)
{
  Out *o = out_new(p->c->arena);
  out_printf(o, "return (%s){", p->type);
  for (int i = 0; i < p->lanes; i++) {
    const char *sep = i ? ", " : "";
    if (element)
      out_printf(o, "%s%s", sep, element);
    else
      out_printf(o, "%s%d", sep, i);
  }
  out_printf(o, "};");
  return out_text(o);
}

static void put_splat(const Put *p)
{
  bool mask = p->dtype == TY_BOOL;
  open_body(p, p->type, arena_printf(p->c->arena, "%s s", mask ? "bool" : p->scalar));
  out_line(p->out, "%s", lanes_list(p, mask ? "-s" : "s"));
  close_body(p);
}

static void put_iota(const Put *p)
{
  open_body(p, p->type, "void");
  out_line(p->out, "%s", lanes_list(p, NULL));
  close_body(p);
}

/* Same bits as another type of equal width; the helper is named after what it gives. */
static void put_bits(const Put *p)
{
  const char *from = dtype_is_real((DType)p->dtype) ? (p->bytes == 8 ? "int64_t" : "uint32_t")
                                                    : (p->bytes == 8 ? "double" : "float");
  open_body(p, p->scalar, arena_printf(p->c->arena, "%s x", from));
  out_line(p->out, "union {");
  out_line(p->out, "  %s from;", from);
  out_line(p->out, "  %s to;", p->scalar);
  out_line(p->out, "} u = {x};");
  out_line(p->out, "return u.to;");
  close_body(p);
}

int c_register_bytes(const C *c)
{
  return c->args->target->vector_bytes < 16 ? 16 : c->args->target->vector_bytes;
}

/* Bytes of the widest hardware vector that divides the value; 0: there is no such operation. */
static int native_bytes(const Put *p)
{
  int registers = c_register_bytes(p->c);
  bool real = p->dtype == DT_F32 || p->dtype == DT_F64;
  if (!real || p->lanes == 1 || p->c->isa == ISA_PLAIN || p->bytes < 16)
    return 0;
  return p->bytes < registers ? p->bytes : registers;
}

/* The intrinsic over operands named by x, y, z, or NULL. */
static const char *intrinsic(const Put *p, int bytes, const char *x, const char *y, const char *z)
{
  Arena *a = p->c->arena;
  const Target *t = p->c->args->target;
  if (p->c->isa == ISA_NEON) {
    const char *f = p->f32 ? "f32" : "f64", *v = p->f32 ? "float32x4_t" : "float64x2_t";
    if (p->h == H_FMA)
      return arena_printf(a, "vfmaq_%s((%s)%s, (%s)%s, (%s)%s)", f, v, z, v, x, v, y);
    if (p->h == H_SQRT || p->h == H_ROUND)
      return arena_printf(a, "%s_%s((%s)%s)", p->h == H_SQRT ? "vsqrtq" : "vrndnq", f, v, x);
    return NULL;
  }
  const char *mm = bytes == 64   ? "_mm512"
                   : bytes == 32 ? "_mm256"
                                 : "_mm",
             *s = p->f32 ? "ps" : "pd";
  if (p->h == H_FMA)
    return t->fma ? arena_printf(a, "%s_fmadd_%s(%s, %s, %s)", mm, s, x, y, z) : NULL;
  if (p->h == H_MIN)
    return arena_printf(a, "%s_min_%s(%s, %s)", mm, s, x, y);
  if (p->h == H_MAX)
    return arena_printf(a, "%s_max_%s(%s, %s)", mm, s, y, x);
  if (p->h == H_SQRT)
    return arena_printf(a, "%s_sqrt_%s(%s)", mm, s, x);
  const char *round = bytes == 64 ? "roundscale" : "round";
  if (p->h == H_ROUND && t->fma)
    return arena_printf(a, "%s_%s_%s(%s, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)", mm, round,
                        s, x);
  return NULL;
}

/* Prints the operation as an intrinsic, piece by piece where the value is wider than a register. */
static bool put_native(const Put *p, int arity)
{
  static const char *const operand[] = { "a", "b", "c" };
  int bytes = native_bytes(p);
  if (!bytes || !intrinsic(p, bytes, "a", "b", "c"))
    return false;
  Out *params = out_new(p->c->arena);
  for (int i = 0; i < arity; i++)
    out_printf(params, "%s%s %s", i ? ", " : "", p->type, operand[i]);
  open_body(p, p->type, out_text(params));
  if (bytes == p->bytes) {
    const char *cast = p->c->isa == ISA_NEON ? arena_printf(p->c->arena, "(%s)", p->type) : "";
    out_line(p->out, "return %s%s;", cast, intrinsic(p, bytes, "a", "b", "c"));
    close_body(p);
    return true;
  }
  int parts = p->bytes / bytes;
  out_line(p->out, "typedef %s piece __attribute__((vector_size(%d)));", p->scalar, bytes);
  out_line(p->out, "union {");
  out_line(p->out, "  %s whole;", p->type);
  out_line(p->out, "  piece part[%d];", parts);
  out_line(p->out, "} x = {a}%s%s;", arity > 1 ? ", y = {b}" : "", arity > 2 ? ", z = {c}" : "");
  out_line(p->out, "for (int i = 0; i < %d; i++)", parts);
  out_line(p->out, "  x.part[i] = %s%s;", p->c->isa == ISA_NEON ? "(piece)" : "",
           intrinsic(p, bytes, "x.part[i]", "y.part[i]", "z.part[i]"));
  out_line(p->out, "return x.whole;");
  close_body(p);
  return true;
}

static void put_by_lanes(const Put *p, int arity, const char *function)
{
  Arena *a = p->c->arena;
  const char *call = arena_printf(a, "%s%s(a[i]%s)", function, p->f32 ? "f" : "",
                                  arity == 3 ? ", b[i], c[i]" : "");
  open_body(p, p->type, arity == 3 ? arena_printf(a, "%s a, %s b, %s c", p->type, p->type, p->type)
                                   : arena_printf(a, "%s a", p->type));
  out_line(p->out, "for (int i = 0; i < %d; i++)", p->lanes);
  out_line(p->out, "  a[i] = %s;", call);
  out_line(p->out, "return a;");
  close_body(p);
}

static void put_fma(const Put *p)
{
  if (!put_native(p, 3))
    put_by_lanes(p, 3, "fma");
}

static void put_sqrt(const Put *p)
{
  if (!put_native(p, 1))
    put_by_lanes(p, 1, "sqrt");
}

/* min is a < b ? a : b, max is a < b ? b : a; x86 has exactly these. */
static void put_min_max(const Put *p)
{
  const char *t = p->type, *m = p->mask;
  bool min = p->h == H_MIN;
  if (p->lanes > 1 && put_native(p, 2))
    return;
  open_body(p, t, arena_printf(p->c->arena, "%s a, %s b", t, t));
  if (p->lanes == 1) {
    out_line(p->out, "return a < b ? %s;", min ? "a : b" : "b : a");
  } else {
    out_line(p->out, "%s less = (%s)(a < b);", m, m);
    out_line(p->out, "return (%s)((less & (%s)%s) | (~less & (%s)%s));", t, m, min ? "a" : "b", m,
             min ? "b" : "a");
  }
  close_body(p);
}

static void put_abs(const Put *p)
{
  open_body(p, p->type, arena_printf(p->c->arena, "%s x", p->type));
  out_line(p->out, "return (%s)((%s)x & %s);", p->type, p->mask,
           p->f32 ? "INT32_MAX" : "INT64_MAX");
  close_body(p);
}

/* Adding 2^23 (2^52) to |x| leaves no room for a fraction; the sign comes back by its bit. */
static void put_round(const Put *p)
{
  if (put_native(p, 1))
    return;
  const char *big = p->f32 ? "8388608.0f" : "4503599627370496.0";
  const char *m = p->mask, *rest = p->f32 ? "INT32_MAX" : "INT64_MAX";
  open_body(p, p->type, arena_printf(p->c->arena, "%s x", p->type));
  out_line(p->out, "%s sign = (%s)x & ~%s;", m, m, rest);
  out_line(p->out, "%s r = (%s)((%s)x & %s) + %s - %s;", p->type, p->type, m, rest, big, big);
  out_line(p->out, "return (%s)((%s)r | sign);", p->type, m);
  close_body(p);
}

static void put_select(const Put *p)
{
  const char *t = p->type, *m = p->mask;
  open_body(p, t, arena_printf(p->c->arena, "%s m, %s a, %s b", m, t, t));
  out_line(p->out, "return (%s)((m & (%s)a) | (~m & (%s)b));", t, m, m);
  close_body(p);
}

/* Shifts of signed integers, by their bits: the vacated places are zero. */
static void put_shift(const Put *p)
{
  const char *t = p->type, *word = p->bytes / p->lanes == 8 ? "uint64_t" : "uint32_t";
  const char *sign = p->h == H_SHL ? "<<" : ">>";
  open_body(p, t, arena_printf(p->c->arena, "%s a, %s b", t, t));
  if (p->lanes == 1) {
    out_line(p->out, "return (%s)((%s)a %s b);", t, word, sign);
  } else {
    out_line(p->out, "typedef %s wide __attribute__((vector_size(%d)));", word, p->bytes);
    out_line(p->out, "return (%s)((wide)a %s (wide)b);", t, sign);
  }
  close_body(p);
}

static void put_mulhi(const Put *p)
{
  const char *t = p->type;
  open_body(p, t, arena_printf(p->c->arena, "%s a, %s b", t, t));
  if (p->lanes == 1) {
    out_line(p->out, "return (uint32_t)((uint64_t)a * b >> 32);");
    close_body(p);
    return;
  }
  int registers = c_register_bytes(p->c);
  bool native = p->c->isa == ISA_X86 && p->bytes >= 16 && p->bytes <= registers;
  out_line(p->out, "typedef uint64_t wide __attribute__((vector_size(%d)));", p->bytes);
  if (native) {
    const char *mm = p->bytes == 64 ? "_mm512" : p->bytes == 32 ? "_mm256" : "_mm";
    const char *v = p->bytes == 64 ? "__m512i" : p->bytes == 32 ? "__m256i" : "__m128i";
    out_line(p->out, "wide even = (wide)%s_mul_epu32((%s)a, (%s)b);", mm, v, v);
    out_line(p->out, "wide odd = (wide)%s_mul_epu32((%s)((wide)a >> 32), (%s)((wide)b >> 32));", mm,
             v, v);
  } else {
    out_line(p->out, "wide even = ((wide)a & 0xffffffffu) * ((wide)b & 0xffffffffu);");
    out_line(p->out, "wide odd = ((wide)a >> 32) * ((wide)b >> 32);");
  }
  out_line(p->out, "return (%s)((even >> 32) | (odd & 0xffffffff00000000u));", t);
  close_body(p);
}

/* Lanes of both operands in turn, from their lower or upper halves. */
static void put_zip(const Put *p)
{
  Out *o = out_new(p->c->arena);
  for (int i = 0, first = p->h == H_ZIPHI ? p->lanes / 2 : 0; i < p->lanes / 2; i++)
    out_printf(o, "%s%d, %d", i ? ", " : "", first + i, first + i + p->lanes);
  open_body(p, p->type, arena_printf(p->c->arena, "%s a, %s b", p->type, p->type));
  out_bytes(p->out, "#ifdef __clang__\n", 17);
  out_line(p->out, "return __builtin_shufflevector(a, b, %s);", out_text(o));
  out_bytes(p->out, "#else\n", 6);
  out_line(p->out, "return __builtin_shuffle(a, b, (%s){%s});", p->mask, out_text(o));
  out_bytes(p->out, "#endif\n", 7);
  close_body(p);
}

/* A type on the way between bytes and reals: the whole way at once, compilers go lane by lane. */
static void put_step(const Put *p, const char *name, const char *element, int bytes)
{
  out_line(p->out, "typedef %s %s __attribute__((vector_size(%d)));", element, name,
           bytes * p->lanes);
}

static bool has_byte_lanes(const Put *p)
{
  return p->c->isa == ISA_X86 && p->c->args->target->vector_bytes == 64 && p->lanes == 16;
}

/* Bytes as reals. */
static void put_widen(const Put *p)
{
  open_body(p, p->type, arena_printf(p->c->arena, "%s x", type_name(p->c, DT_U8, p->lanes)));
  put_step(p, "word", "int32_t", 4);
  if (has_byte_lanes(p)) {
    out_line(p->out, "word w = (word)_mm512_cvtepu8_epi32((__m128i)x);");
  } else {
    put_step(p, "half", "uint16_t", 2);
    out_line(p->out, "word w = __builtin_convertvector(__builtin_convertvector(x, half), word);");
  }
  out_line(p->out, "return __builtin_convertvector(w, %s);", p->type);
  close_body(p);
}

/* Reals from 0 to 255 as bytes. */
static void put_bytes(const Put *p)
{
  const char *u8 = type_name(p->c, DT_U8, p->lanes);
  open_body(p, u8, arena_printf(p->c->arena, "%s x", p->type));
  put_step(p, "word", "int32_t", 4);
  out_line(p->out, "word w = __builtin_convertvector(x, word);");
  if (has_byte_lanes(p)) {
    out_line(p->out, "return (%s)_mm512_cvtepi32_epi8((__m512i)w);", u8);
  } else {
    put_step(p, "half", "uint16_t", 2);
    out_line(p->out, "return __builtin_convertvector(__builtin_convertvector(w, half), %s);", u8);
  }
  close_body(p);
}

/* Over all lanes by halving: lane l takes l + lanes/2 until one is left. */
static void put_reduce(const Put *p)
{
  C *c = p->c;
  Helper op = p->h == H_LEAST ? H_MIN : H_MAX;
  bool sum = p->h == H_SUM;
  open_body(p, p->dtype == DT_I64 ? "idx" : p->scalar, arena_printf(c->arena, "%s x", p->type));
  if (p->lanes > 4) {
    out_line(p->out, "union {");
    out_line(p->out, "  %s whole;", p->type);
    out_line(p->out, "  %s half[2];", c_type(c, p->dtype, p->lanes / 2));
    out_line(p->out, "} u = {x};");
    const char *next = c_helper(c, p->h, p->dtype, p->lanes / 2);
    if (sum)
      out_line(p->out, "return %s(u.half[0] + u.half[1]);", next);
    else
      out_line(p->out, "return %s(%s(u.half[0], u.half[1]));", next,
               c_helper(c, op, p->dtype, p->lanes / 2));
  } else if (sum) {
    out_line(p->out,
             p->lanes == 4 ? "return (x[0] + x[2]) + (x[1] + x[3]);" : "return x[0] + x[1];");
  } else {
    const char *f = c_helper(c, op, p->dtype, 1);
    if (p->lanes == 4)
      out_line(p->out, "return %s(%s(x[0], x[2]), %s(x[1], x[3]));", f, f, f);
    else
      out_line(p->out, "return %s(x[0], x[1]);", f);
  }
  close_body(p);
}

static void (*const put[H_COUNT])(const Put *) = {
  [H_TYPE] = put_type, [H_LOAD] = put_load, [H_STORE] = put_store, [H_SPLAT] = put_splat,
  [H_IOTA] = put_iota, [H_BITS] = put_bits, [H_FMA] = put_fma, [H_MIN] = put_min_max,
  [H_MAX] = put_min_max, [H_SQRT] = put_sqrt, [H_ABS] = put_abs, [H_ROUND] = put_round,
  [H_SELECT] = put_select, [H_SHL] = put_shift, [H_SHR] = put_shift, [H_MULHI] = put_mulhi,
  [H_ZIPLO] = put_zip, [H_ZIPHI] = put_zip,
  [H_WIDEN] = put_widen, [H_BYTES] = put_bytes, [H_SUM] = put_reduce, [H_LEAST] = put_reduce,
  [H_GREATEST] = put_reduce
};

void c_put_helpers(C *c)
{
  for (int h = 0; h < H_COUNT; h++) {
    bool any = false;
    for (int log = 0; log < LANES_LOG; log++)
      for (int t = 0; t < TYPES; t++) {
        if (!c->helper[h][t][log])
          continue;
        int lanes = 1 << log, bytes = lanes * c_type_bytes(c, t);
        Put p = { .c = c, .out = c->out, .name = helper_name(c, (Helper)h, t, lanes),
                  .type = type_name(c, t, lanes), .mask = type_name(c, TY_BOOL, lanes),
                  .scalar = t == TY_BOOL ? "bool" : dtype_c((DType)t), .h = (Helper)h, .dtype = t,
                  .lanes = lanes, .bytes = bytes, .f32 = t == DT_F32 };
        put[h](&p);
        any = true;
      }
    if (any && h == H_TYPE)
      out_bytes(c->out, "\n", 1);
  }
}
