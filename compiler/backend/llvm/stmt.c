/* Statements. A loop tests at its head and counts in a phi; its bound is computed once. */
#include "backend/llvm/llvm.h"
#include <string.h>

LLVMBasicBlockRef llvm_block(Llvm *l, const char *name)
{
  return LLVMAppendBasicBlockInContext(l->context, l->function, name);
}

static LLVMMetadataRef metadata_text(const Llvm *l, const char *text)
{
  return LLVMMDStringInContext2(l->context, text, strlen(text));
}

/* The identity of a loop, with the wish that it stays as it is. */
static void keep_rolled(Llvm *l, LLVMValueRef branch)
{
  static const char loop[] = "llvm.loop";
  LLVMMetadataRef wish = metadata_text(l, "llvm.loop.unroll.disable");
  wish = LLVMMDNodeInContext2(l->context, &wish, 1);
  LLVMMetadataRef blank = LLVMTemporaryMDNode(l->context, NULL, 0), part[2] = { blank, wish };
  LLVMMetadataRef self = LLVMMDNodeInContext2(l->context, part, 2);
  LLVMMetadataReplaceAllUsesWith(blank, self);
  LLVMSetMetadata(branch, LLVMGetMDKindIDInContext(l->context, loop, sizeof loop - 1),
                  LLVMMetadataAsValue(l->context, self));
}

static void put_for(Llvm *l, const LStmt *s)
{
  LLVMBuilderRef b = l->builder;
  LLVMValueRef lo = llvm_expr(l, s->loop.lo), hi = llvm_expr(l, s->loop.hi);
  LLVMBasicBlockRef before = LLVMGetInsertBlock(b), head = llvm_block(l, s->loop.var->name);
  LLVMBasicBlockRef body = llvm_block(l, "body"), done = llvm_block(l, "done");
  LLVMBuildBr(b, head);
  LLVMPositionBuilderAtEnd(b, head);
  LLVMValueRef i = LLVMBuildPhi(b, l->word, s->loop.var->name);
  LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntSLT, i, hi, ""), body, done);
  LLVMPositionBuilderAtEnd(b, body);
  l->var[s->loop.var->id] = i;
  llvm_body(l, s->loop.body);
  LLVMValueRef next = LLVMBuildNSWAdd(b, i, llvm_integer(l, s->loop.step), "");
  LLVMValueRef again = LLVMBuildBr(b, head);
  LLVMBasicBlockRef from[] = { before, LLVMGetInsertBlock(b) };
  LLVMValueRef value[] = { lo, next };
  LLVMAddIncoming(i, value, from, 2);
  if (s->loop.how == FOR_ROLLED)
    keep_rolled(l, again);
  LLVMMoveBasicBlockAfter(done, LLVMGetInsertBlock(b));
  LLVMPositionBuilderAtEnd(b, done);
}

static void put_branch(Llvm *l, LLVMBasicBlockRef at, const LStmt *body, LLVMBasicBlockRef done)
{
  LLVMPositionBuilderAtEnd(l->builder, at);
  llvm_body(l, body);
  LLVMBuildBr(l->builder, done);
}

static void put_if(Llvm *l, const LStmt *s)
{
  LLVMValueRef c = llvm_expr(l, s->branch.cond);
  LLVMBasicBlockRef then = llvm_block(l, "then"), done = llvm_block(l, "done");
  LLVMBasicBlockRef otherwise = s->branch.otherwise ? llvm_block(l, "else") : done;
  LLVMBuildCondBr(l->builder, c, then, otherwise);
  put_branch(l, then, s->branch.then, done);
  if (s->branch.otherwise)
    put_branch(l, otherwise, s->branch.otherwise, done);
  LLVMMoveBasicBlockAfter(done, LLVMGetInsertBlock(l->builder));
  LLVMPositionBuilderAtEnd(l->builder, done);
}

static void put_store(Llvm *l, const LStmt *s)
{
  const Buffer *buf = s->store.buf;
  LLVMValueRef value = llvm_expr(l, s->store.value);
  if (buf->role == BUF_REGISTER) {
    LLVMBuildStore(l->builder, value, llvm_slot(l, buf, s->store.index));
    return;
  }
  LLVMValueRef at = llvm_element(l, buf, s->store.index);
  LLVMSetAlignment(LLVMBuildStore(l->builder, value, at), (unsigned)dtype_bytes(buf->dtype));
}

static void put_stmt(Llvm *l, const LStmt *s)
{
  switch (s->kind) {
  case LS_FOR:
    put_for(l, s);
    break;
  case LS_IF:
    put_if(l, s);
    break;
  case LS_LET:
    l->var[s->let.var->id] = llvm_expr(l, s->let.value);
    llvm_name(l->var[s->let.var->id], s->let.var->name);
    break;
  case LS_STORE:
    put_store(l, s);
    break;
  case LS_CALL:
    llvm_call_kernel(l, s);
    break;
  case LS_BARRIER:
    llvm_barrier(l, s);
    break;
  case LS_NOTE:
    break;
  }
}

void llvm_body(Llvm *l, const LStmt *body)
{
  for (const LStmt *s = body; s; s = s->next) {
    llvm_debug_at(l, s->at);
    put_stmt(l, s);
  }
}
