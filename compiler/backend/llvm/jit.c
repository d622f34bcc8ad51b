/* Step functions in memory: objects are linked into the process, the net's description completed
 * with the addresses of its functions. */
#include "backend/llvm/llvm.h"
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <string.h>

struct LlvmCode { LLVMOrcLLJITRef jit; };

static bool check(const EmitArgs *args, LLVMErrorRef error, const char *what)
{
  if (!error)
    return true;
  char *message = LLVMGetErrorMessage(error);
  llvm_complain(args, what, message);
  LLVMDisposeErrorMessage(message);
  return false;
}

/* What step functions call of the runtime, which is linked into gradc and exports nothing. */
static bool define_runtime(const EmitArgs *args, LLVMOrcLLJITRef jit, LLVMOrcJITDylibRef main)
{
  const struct { const char *name; LLVMOrcExecutorAddress at; } symbol[] = {
    { "gradrt_barrier_wait", (uintptr_t)gradrt_barrier_wait },
    { "gradrt_profile_mark", (uintptr_t)gradrt_profile_mark },
    { "gradrt_watch", (uintptr_t)gradrt_watch },
  };
  LLVMOrcCSymbolMapPair pair[ARRAY_LEN(symbol)];
  for (size_t i = 0; i < ARRAY_LEN(symbol); i++)
    pair[i] = (LLVMOrcCSymbolMapPair){
      LLVMOrcLLJITMangleAndIntern(jit, symbol[i].name),
      { symbol[i].at, { LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable, 0 } }
    };
  LLVMErrorRef error = LLVMOrcJITDylibDefine(main, LLVMOrcAbsoluteSymbols(pair, ARRAY_LEN(pair)));
  return check(args, error, "the runtime's functions");
}

/* memcpy, fmaf and the like come from the process. */
static bool define_libc(const EmitArgs *args, LLVMOrcLLJITRef jit, LLVMOrcJITDylibRef main)
{
  LLVMOrcDefinitionGeneratorRef process = NULL;
  LLVMErrorRef error = LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
      &process, LLVMOrcLLJITGetGlobalPrefix(jit), NULL, NULL);
  if (!check(args, error, "the functions of libc"))
    return false;
  LLVMOrcJITDylibAddGenerator(main, process);
  return true;
}

static bool find_step(const EmitArgs *args, LLVMOrcLLJITRef jit, const char *what,
                      gradrt_step_fn *fn)
{
  LLVMOrcExecutorAddress at = 0;
  const char *name = llvm_symbol(args, what);
  if (!check(args, LLVMOrcLLJITLookup(jit, &at, name), "the object does not load"))
    return false;
  uintptr_t address = (uintptr_t)at;
  memcpy(fn, &address, sizeof *fn);
  return true;
}

static bool find_steps(const EmitArgs *args, LLVMOrcLLJITRef jit, gradrt_net *net)
{
  gradrt_step_fn *fn[] = { &net->train.fn, &net->eval.fn, &net->infer.fn };
  for (int h = 0; h < HOST_COUNT; h++) {
    const Host *host = args->module->host[h];
    if (host && !find_step(args, jit, host->name, fn[h]))
      return false;
  }
  return net->peak_flops <= 0 || find_step(args, jit, "peak", &net->peak);
}

static bool link_parts(const EmitArgs *args, LLVMOrcLLJITRef jit, Out *const object[LLVM_PARTS])
{
  LLVMOrcJITDylibRef main = LLVMOrcLLJITGetMainJITDylib(jit);
  if (!define_runtime(args, jit, main) || !define_libc(args, jit, main))
    return false;
  for (int i = 0; i < LLVM_PARTS && out_length(object[i]) > 0; i++) {
    LLVMMemoryBufferRef part = LLVMCreateMemoryBufferWithMemoryRangeCopy(
        out_text(object[i]), out_length(object[i]),
        arena_printf(args->arena, "%s.%d", args->module->name, i));
    if (!check(args, LLVMOrcLLJITAddObjectFile(jit, main, part), "the object does not load"))
      return false;
  }
  return true;
}

const gradrt_net *llvm_load(const EmitArgs *args, Out *const object[LLVM_PARTS], LlvmCode **code)
{
  LLVMOrcLLJITRef jit;
  *code = NULL;
  llvm_start();
  if (!check(args, LLVMOrcCreateLLJIT(&jit, NULL), "no code in memory"))
    return NULL;
  gradrt_net *net = llvm_complete_net(args);
  *code = ARENA_NEW(args->arena, LlvmCode);
  (*code)->jit = jit;
  if (link_parts(args, jit, object) && find_steps(args, jit, net))
    return net;
  llvm_unload(code);
  return NULL;
}

void llvm_unload(LlvmCode **code)
{
  if (*code)
    LLVMConsumeError(LLVMOrcDisposeLLJIT((*code)->jit));
  *code = NULL;
}
