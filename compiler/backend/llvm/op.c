/* The functions of scalar.def, lane by lane, as instructions and intrinsics that mean exactly what
 * their rows say: nothing carries a fast-math flag; products and sums are fused by fma alone. */
#include "backend/llvm/llvm.h"

static bool is_real(const LExpr *e)
{
  return e->dtype == DT_F32 || e->dtype == DT_F64;
}

/* Index arithmetic does not overflow; u32 wraps, and lanes of i64 are bits. */
static bool never_wraps(const LExpr *e)
{
  return e->dtype == DT_I64 && e->lanes == 1;
}

static LLVMValueRef arithmetic(Llvm *l, const LExpr *e, LLVMValueRef x, LLVMValueRef y)
{
  LLVMBuilderRef b = l->builder;
  bool real = is_real(e), exact = never_wraps(e);
  switch (e->op.op) {
  case SC_add:
    return real    ? LLVMBuildFAdd(b, x, y, "")
           : exact ? LLVMBuildNSWAdd(b, x, y, "") : LLVMBuildAdd(b, x, y, "");
  case SC_sub:
    return real    ? LLVMBuildFSub(b, x, y, "")
           : exact ? LLVMBuildNSWSub(b, x, y, "") : LLVMBuildSub(b, x, y, "");
  case SC_mul:
    return real    ? LLVMBuildFMul(b, x, y, "")
           : exact ? LLVMBuildNSWMul(b, x, y, "") : LLVMBuildMul(b, x, y, "");
  case SC_div:
    return real ? LLVMBuildFDiv(b, x, y, "") : LLVMBuildSDiv(b, x, y, "");
  case SC_mod:
    return e->dtype == DT_U32 ? LLVMBuildURem(b, x, y, "") : LLVMBuildSRem(b, x, y, "");
  }
  ice("backend llvm: '%s' is no arithmetic", scalar_defs[e->op.op].name);
}

static LLVMValueRef compare(Llvm *l, const LExpr *e, LLVMValueRef x, LLVMValueRef y)
{
  LLVMRealPredicate real;
  LLVMIntPredicate integer;
  switch (e->op.op) {
  case SC_lt: real = LLVMRealOLT; integer = LLVMIntSLT; break;
  case SC_le: real = LLVMRealOLE; integer = LLVMIntSLE; break;
  case SC_eq: real = LLVMRealOEQ; integer = LLVMIntEQ; break;
  case SC_ne: real = LLVMRealUNE; integer = LLVMIntNE; break;
  default: ice("backend llvm: '%s' compares nothing", scalar_defs[e->op.op].name);
  }
  return is_real(e->op.arg[0]) ? LLVMBuildFCmp(l->builder, real, x, y, "")
                               : LLVMBuildICmp(l->builder, integer, x, y, "");
}

static LLVMValueRef less(Llvm *l, bool real, LLVMValueRef x, LLVMValueRef y)
{
  return real ? LLVMBuildFCmp(l->builder, LLVMRealOLT, x, y, "")
              : LLVMBuildICmp(l->builder, LLVMIntSLT, x, y, "");
}

/* a < b ? a : b and a < b ? b : a: x86 has exactly these. */
static LLVMValueRef extreme(Llvm *l, int op, bool real, LLVMValueRef x, LLVMValueRef y)
{
  LLVMValueRef c = less(l, real, x, y);
  return op == SC_min ? LLVMBuildSelect(l->builder, c, x, y, "")
                      : LLVMBuildSelect(l->builder, c, y, x, "");
}

static LLVMValueRef word_splat(Llvm *l, uint64_t bits, int lanes)
{
  LLVMValueRef value[LANES_MAX];
  for (int i = 0; i < lanes; i++)
    value[i] = LLVMConstInt(l->word, bits, false);
  return LLVMConstVector(value, (unsigned)lanes);
}

/* High halves of 64-bit products: of the even lanes and of the odd ones, each in place. */
static LLVMValueRef high_product(Llvm *l, int lanes, LLVMValueRef x, LLVMValueRef y)
{
  LLVMBuilderRef b = l->builder;
  if (lanes == 1) {
    LLVMValueRef wide = LLVMBuildMul(b, LLVMBuildZExt(b, x, l->word, ""),
                                     LLVMBuildZExt(b, y, l->word, ""), "");
    return LLVMBuildTrunc(b, LLVMBuildLShr(b, wide, llvm_integer(l, 32), ""), l->number, "");
  }
  int half = lanes / 2;
  LLVMTypeRef wide = LLVMVectorType(l->word, (unsigned)half);
  LLVMValueRef low = word_splat(l, 0xffffffffu, half), by = word_splat(l, 32, half);
  LLVMValueRef high = word_splat(l, 0xffffffff00000000u, half);
  LLVMValueRef p = LLVMBuildBitCast(b, x, wide, ""), q = LLVMBuildBitCast(b, y, wide, "");
  LLVMValueRef even = LLVMBuildMul(b, LLVMBuildAnd(b, p, low, ""), LLVMBuildAnd(b, q, low, ""), "");
  LLVMValueRef odd = LLVMBuildMul(b, LLVMBuildLShr(b, p, by, ""), LLVMBuildLShr(b, q, by, ""), "");
  LLVMValueRef both = LLVMBuildOr(b, LLVMBuildLShr(b, even, by, ""),
                                  LLVMBuildAnd(b, odd, high, ""), "");
  return LLVMBuildBitCast(b, both, LLVMTypeOf(x), "");
}

/* The given n lanes of x and y side by side. */
static LLVMValueRef shuffle(Llvm *l, LLVMValueRef x, LLVMValueRef y, const int *lane, int n)
{
  LLVMValueRef mask[LANES_MAX];
  for (int i = 0; i < n; i++)
    mask[i] = LLVMConstInt(l->number, (unsigned long long)lane[i], false);
  return LLVMBuildShuffleVector(l->builder, x, y, LLVMConstVector(mask, (unsigned)n), "");
}

static LLVMValueRef zip(Llvm *l, const LExpr *e, LLVMValueRef x, LLVMValueRef y)
{
  int lane[LANES_MAX], first = e->op.op == SC_ziphi ? e->lanes / 2 : 0;
  for (int i = 0; i < e->lanes / 2; i++) {
    lane[2 * i] = first + i;
    lane[2 * i + 1] = first + i + e->lanes;
  }
  return shuffle(l, x, y, lane, e->lanes);
}

LLVMValueRef llvm_op(Llvm *l, const LExpr *e, LLVMValueRef *arg)
{
  LLVMBuilderRef b = l->builder;
  switch ((ScalarOp)e->op.op) {
  case SC_add: case SC_sub: case SC_mul: case SC_div: case SC_mod:
    return arithmetic(l, e, arg[0], arg[1]);
  case SC_lt: case SC_le: case SC_eq: case SC_ne:
    return compare(l, e, arg[0], arg[1]);
  case SC_min: case SC_max:
    return extreme(l, e->op.op, is_real(e), arg[0], arg[1]);
  case SC_neg:
    return is_real(e) ? LLVMBuildFNeg(b, arg[0], "") : LLVMBuildNeg(b, arg[0], "");
  case SC_fma: return llvm_intrinsic(l, "llvm.fma", arg, 3);
  case SC_sqrt: return llvm_intrinsic(l, "llvm.sqrt", arg, 1);
  case SC_abs: return llvm_intrinsic(l, "llvm.fabs", arg, 1);
  case SC_round: return llvm_intrinsic(l, "llvm.rint", arg, 1);
  case SC_and: return LLVMBuildAnd(b, arg[0], arg[1], "");
  case SC_or: return LLVMBuildOr(b, arg[0], arg[1], "");
  case SC_xor: return LLVMBuildXor(b, arg[0], arg[1], "");
  case SC_not: return LLVMBuildNot(b, arg[0], "");
  case SC_shl: return LLVMBuildShl(b, arg[0], arg[1], "");
  case SC_shr: return LLVMBuildLShr(b, arg[0], arg[1], "");
  case SC_mulhi: return high_product(l, e->lanes, arg[0], arg[1]);
  case SC_select: return LLVMBuildSelect(b, arg[0], arg[1], arg[2], "");
  case SC_ziplo: case SC_ziphi: return zip(l, e, arg[0], arg[1]);
  case SC_COUNT: break;
  }
  ice("backend llvm: operation %d", e->op.op);
}

/* Lane l takes l + lanes/2 until one is left. */
LLVMValueRef llvm_halving(Llvm *l, const LExpr *e, LLVMValueRef v)
{
  bool real = is_real(e);
  for (int half = e->reduce.from->lanes / 2; half > 0; half /= 2) {
    int lane[2][LANES_MAX];
    for (int i = 0; i < half; i++) {
      lane[0][i] = i;
      lane[1][i] = i + half;
    }
    LLVMValueRef x = shuffle(l, v, v, lane[0], half), y = shuffle(l, v, v, lane[1], half);
    if (e->reduce.op != SC_add)
      v = extreme(l, e->reduce.op, real, x, y);
    else
      v = real ? LLVMBuildFAdd(l->builder, x, y, "") : LLVMBuildAdd(l->builder, x, y, "");
  }
  return LLVMBuildExtractElement(l->builder, v, LLVMConstInt(l->number, 0, false), "");
}

static bool is_signed(int dtype)
{
  return dtype == DT_I32 || dtype == DT_I64;
}

static LLVMValueRef real_from(Llvm *l, const LExpr *e, LLVMValueRef v, LLVMTypeRef type)
{
  LLVMBuilderRef b = l->builder;
  int from = e->from->dtype;
  if (from == DT_F32 || from == DT_F64)
    return from == e->dtype      ? v
           : e->dtype == DT_F64 ? LLVMBuildFPExt(b, v, type, "") : LLVMBuildFPTrunc(b, v, type, "");
  return is_signed(from) ? LLVMBuildSIToFP(b, v, type, "") : LLVMBuildUIToFP(b, v, type, "");
}

LLVMValueRef llvm_cast(Llvm *l, const LExpr *e, LLVMValueRef v)
{
  LLVMBuilderRef b = l->builder;
  LLVMTypeRef type = llvm_type(l, e->dtype, e->lanes);
  int from = e->from->dtype;
  if (is_real(e))
    return real_from(l, e, v, type);
  if (from == DT_F32 || from == DT_F64)
    return is_signed(e->dtype) ? LLVMBuildFPToSI(b, v, type, "") : LLVMBuildFPToUI(b, v, type, "");
  return LLVMBuildIntCast2(b, v, type, is_signed(from), "");
}
