/* What programs built for measuring carry besides: a function of nothing but fused multiply-adds,
 * which finds the machine's peak. Independent chains hide the latency of an fma; with their
 * constants they fit the registers. */
#include "backend/llvm/llvm.h"

enum { CHAINS_MAX = 32 };

static int chains_of(const Target *t) { return t->registers - 4; }

static int lanes_of(const EmitArgs *args)
{
  return args->target->vector_bytes / dtype_bytes(args->module->real);
}

double llvm_peak_flops(const EmitArgs *args)
{
  return args->measure == MEASURE_NOTHING ? 0 : 2.0 * lanes_of(args) * chains_of(args->target);
}

static LLVMValueRef splat_real(const Llvm *l, double r, int lanes)
{
  return llvm_splat(l, llvm_constant(l, r, (int)l->m->real), lanes);
}

static LLVMValueRef sum(Llvm *l, const LLVMValueRef *chain, int n)
{
  LLVMValueRef all = chain[0];
  for (int i = 1; i < n; i++)
    all = LLVMBuildFAdd(l->builder, all, chain[i], "");
  LLVMValueRef first = LLVMConstInt(l->number, 0, false);
  LLVMValueRef v = LLVMBuildExtractElement(l->builder, all, first, "");
  LLVMTypeRef real = LLVMDoubleTypeInContext(l->context);
  return l->m->real == DT_F64 ? v : LLVMBuildFPExt(l->builder, v, real, "");
}

/* double out[0][8 * worker] = v */
static void put_result(Llvm *l, LLVMValueRef f, LLVMValueRef v)
{
  LLVMBuilderRef b = l->builder;
  LLVMTypeRef byte = LLVMInt8TypeInContext(l->context);
  LLVMValueRef skip = llvm_integer(l, (int64_t)llvm_step_member(l, offsetof(gradrt_step, out)));
  LLVMValueRef out = LLVMBuildInBoundsGEP2(b, byte, LLVMGetParam(f, 0), &skip, 1, "");
  LLVMValueRef worker = LLVMBuildSExt(b, LLVMGetParam(f, 1), l->word, "");
  LLVMValueRef at = LLVMBuildNSWMul(b, worker, llvm_integer(l, 8), "");
  out = LLVMBuildLoad2(b, l->pointer, out, "");
  out = LLVMBuildInBoundsGEP2(b, LLVMDoubleTypeInContext(l->context), out, &at, 1, "");
  LLVMBuildStore(b, v, out);
}

void llvm_peak(Llvm *l)
{
  if (l->args->measure == MEASURE_NOTHING)
    return;
  LLVMBuilderRef b = l->builder;
  int lanes = lanes_of(l->args), chains = chains_of(l->args->target);
  LLVMValueRef chain[CHAINS_MAX] = { NULL };
  LLVMValueRef f = llvm_begin(l, llvm_symbol(l->args, "peak"), llvm_step_type(l),
                              llvm_linkage(l), (Span){ 0, 0 });
  LLVMValueRef p = splat_real(l, 0.5, lanes), q = splat_real(l, 0.25, lanes);
  LLVMValueRef skip = llvm_integer(l, (int64_t)llvm_step_member(l, offsetof(gradrt_step, n)));
  LLVMValueRef n = LLVMBuildInBoundsGEP2(b, LLVMInt8TypeInContext(l->context), LLVMGetParam(f, 0),
                                         &skip, 1, "");
  n = LLVMBuildLoad2(b, l->word, n, "");
  LLVMBasicBlockRef before = LLVMGetInsertBlock(b), head = llvm_block(l, "rounds");
  LLVMBasicBlockRef body = llvm_block(l, "body"), done = llvm_block(l, "done");
  LLVMBuildBr(b, head);
  LLVMPositionBuilderAtEnd(b, head);
  LLVMValueRef i = LLVMBuildPhi(b, l->word, "i"), zero = llvm_integer(l, 0);
  for (int k = 0; k < chains; k++)
    chain[k] = LLVMBuildPhi(b, LLVMTypeOf(p), "");
  LLVMBuildCondBr(b, LLVMBuildICmp(b, LLVMIntSLT, i, n, ""), body, done);
  LLVMPositionBuilderAtEnd(b, body);
  for (int k = 0; k < chains; k++) {
    LLVMValueRef arg[] = { chain[k], p, q }, start = splat_real(l, k, lanes);
    LLVMValueRef next = llvm_intrinsic(l, "llvm.fma", arg, 3);
    LLVMAddIncoming(chain[k], &start, &before, 1);
    LLVMAddIncoming(chain[k], &next, &body, 1);
  }
  LLVMValueRef next = LLVMBuildNSWAdd(b, i, llvm_integer(l, 1), "");
  LLVMAddIncoming(i, &zero, &before, 1);
  LLVMAddIncoming(i, &next, &body, 1);
  LLVMBuildBr(b, head);
  LLVMPositionBuilderAtEnd(b, done);
  put_result(l, f, sum(l, chain, chains));
  LLVMBuildRetVoid(b);
  l->peak = f;
}
