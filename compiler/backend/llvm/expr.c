/* Expressions. */
#include "backend/llvm/llvm.h"
#include <string.h>

LLVMValueRef llvm_intrinsic(Llvm *l, const char *name, LLVMValueRef *arg, unsigned narg)
{
  unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
  LLVMTypeRef type = LLVMTypeOf(arg[0]);
  LLVMValueRef f = LLVMGetIntrinsicDeclaration(l->module, id, &type, 1);
  return LLVMBuildCall2(l->builder, LLVMIntrinsicGetType(l->context, id, &type, 1), f, arg, narg,
                        "");
}

LLVMValueRef llvm_slot(Llvm *l, const Buffer *buf, const LExpr *index)
{
  if (index->kind != LE_INT || index->i < 0 || index->i >= buf->extent || !l->reg[buf->id])
    ice("backend llvm: register '%s' has no constant index in range", buf->name);
  return l->reg[buf->id][index->i];
}

LLVMValueRef llvm_element(Llvm *l, const Buffer *buf, const LExpr *index)
{
  LLVMValueRef base = l->buf[buf->id], i = llvm_expr(l, index);
  if (!base)
    ice("backend llvm: buffer '%s' is out of reach", buf->name);
  return LLVMBuildInBoundsGEP2(l->builder, llvm_scalar_type(l, (int)buf->dtype), base, &i, 1, "");
}

static LLVMValueRef load(Llvm *l, const LExpr *e)
{
  const Buffer *buf = e->load.buf;
  LLVMTypeRef type = llvm_type(l, e->dtype, e->lanes);
  if (buf->role == BUF_REGISTER)
    return LLVMBuildLoad2(l->builder, type, llvm_slot(l, buf, e->load.index), "");
  LLVMValueRef v = LLVMBuildLoad2(l->builder, type, llvm_element(l, buf, e->load.index), "");
  LLVMSetAlignment(v, (unsigned)dtype_bytes(buf->dtype));
  return v;
}

static LLVMValueRef iota(Llvm *l, const LExpr *e)
{
  LLVMValueRef lane[LANES_MAX];
  for (int i = 0; i < e->lanes; i++)
    lane[i] = llvm_constant(l, i, e->dtype);
  return LLVMConstVector(lane, (unsigned)e->lanes);
}

static LLVMValueRef call(Llvm *l, const LExpr *e)
{
  LLVMValueRef arg[PARAMS_MAX], f = llvm_func(l, e->call.fn);
  for (int i = 0; i < e->call.narg; i++)
    arg[i] = llvm_expr(l, e->call.arg[i]);
  return LLVMBuildCall2(l->builder, LLVMGlobalGetValueType(f), f, arg, (unsigned)e->call.narg, "");
}

static LLVMValueRef operation(Llvm *l, const LExpr *e)
{
  LLVMValueRef arg[3] = { NULL };
  for (int i = 0; i < scalar_defs[e->op.op].arity; i++)
    arg[i] = llvm_expr(l, e->op.arg[i]);
  return llvm_op(l, e, arg);
}

static LLVMValueRef integer(const Llvm *l, const LExpr *e)
{
  return LLVMConstInt(llvm_scalar_type(l, e->dtype), (unsigned long long)e->i, true);
}

LLVMValueRef llvm_expr(Llvm *l, const LExpr *e)
{
  switch (e->kind) {
  case LE_INT:
    return integer(l, e);
  case LE_REAL:
    return llvm_constant(l, e->r, e->dtype);
  case LE_VAR:
    if (!l->var[e->var->id])
      ice("backend llvm: variable '%s' is out of scope", e->var->name);
    return l->var[e->var->id];
  case LE_LOAD:
    return load(l, e);
  case LE_OP:
    return operation(l, e);
  case LE_CAST:
    return llvm_cast(l, e, llvm_expr(l, e->from));
  case LE_BITS:
    return LLVMBuildBitCast(l->builder, llvm_expr(l, e->from), llvm_type(l, e->dtype, e->lanes),
                            "");
  case LE_SPLAT:
    return llvm_splat(l, llvm_expr(l, e->from), e->lanes);
  case LE_IOTA:
    return iota(l, e);
  case LE_REDUCE:
    return llvm_halving(l, e, llvm_expr(l, e->reduce.from));
  case LE_CALL:
    return call(l, e);
  }
  ice("backend llvm: expression of kind %d", (int)e->kind);
}
