/* Types and constants. A bool is an i1 in every lane; integers carry no sign. */
#include "backend/llvm/llvm.h"
#include <math.h>
#include <string.h>

LLVMTypeRef llvm_scalar_type(const Llvm *l, int dtype)
{
  switch (dtype) {
  case DT_F32: return LLVMFloatTypeInContext(l->context);
  case DT_F64: return LLVMDoubleTypeInContext(l->context);
  case DT_U8: return LLVMInt8TypeInContext(l->context);
  case DT_I32: case DT_U32: return l->number;
  case DT_I64: return l->word;
  case TY_BOOL: return LLVMInt1TypeInContext(l->context);
  }
  ice("backend llvm: element type %d", dtype);
}

LLVMTypeRef llvm_type(const Llvm *l, int dtype, int lanes)
{
  LLVMTypeRef element = llvm_scalar_type(l, dtype);
  return lanes == 1 ? element : LLVMVectorType(element, (unsigned)lanes);
}

LLVMValueRef llvm_integer(const Llvm *l, int64_t i)
{
  return LLVMConstInt(l->word, (unsigned long long)i, true);
}

LLVMValueRef llvm_constant(const Llvm *l, double r, int dtype)
{
  LLVMTypeRef type = llvm_scalar_type(l, dtype);
  if (dtype == DT_F32 || dtype == DT_F64)
    return LLVMConstReal(type, isnan(r) ? (double)NAN : r);
  return LLVMConstInt(type, (unsigned long long)(int64_t)r, true);
}

/* A struct: constructors of array constants differ between versions of LLVM. */
LLVMValueRef llvm_array(const Llvm *l, LLVMValueRef *value, int64_t n)
{
  return LLVMConstStructInContext(l->context, value, (unsigned)n, false);
}

LLVMValueRef llvm_splat(const Llvm *l, LLVMValueRef scalar, int lanes)
{
  LLVMTypeRef type = LLVMTypeOf(scalar), vector = LLVMVectorType(type, (unsigned)lanes);
  LLVMValueRef none = LLVMGetPoison(vector), zero = LLVMConstInt(l->number, 0, false);
  LLVMValueRef first = LLVMBuildInsertElement(l->builder, none, scalar, zero, "");
  LLVMValueRef mask = LLVMConstNull(LLVMVectorType(l->number, (unsigned)lanes));
  return LLVMBuildShuffleVector(l->builder, first, none, mask, "");
}

void llvm_name(LLVMValueRef v, const char *name)
{
  if (LLVMIsAInstruction(v) && LLVMGetTypeKind(LLVMTypeOf(v)) != LLVMVoidTypeKind)
    LLVMSetValueName2(v, name, strlen(name));
}
