/* LLVM's side of the work: targets, machines, passes, output, and its errors as diagnostics. */
#include "backend/llvm/llvm.h"
#include "base/str.h"
#include <llvm-c/Analysis.h>
#include <llvm-c/BitWriter.h>
#include <llvm-c/ErrorHandling.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ---- */

/* LLVM ends the process after this. */
static void end_on_error(const char *reason)
{
  fprintf(stderr, "gradc: error[E0702]: LLVM %s gave up: %s\n", llvm_version(), reason);
  fflush(stderr);
  _Exit(EXIT_IO);
}

void llvm_start(void)
{
  LLVMResetFatalErrorHandler();
  LLVMInstallFatalErrorHandler(end_on_error);
  LLVMInitializeAllTargetInfos();
  LLVMInitializeAllTargets();
  LLVMInitializeAllTargetMCs();
  LLVMInitializeAllAsmPrinters();
}

bool llvm_complain(const EmitArgs *args, const char *what, const char *why)
{
  diag_error(args->diag, (Span){ 0, 0 }, "E0702", "LLVM %s: %s%s%s", llvm_version(), what,
             why ? ": " : "", why ? str_escape(args->arena, why, 1000) : "");
  return false;
}

static bool complain_message(const EmitArgs *args, const char *what, char *message)
{
  llvm_complain(args, what, message);
  LLVMDisposeMessage(message);
  return false;
}

/* ---- machines ---- */

/* "x86_64-pc-linux-gnu" -> "x86_64" */
static bool names_arch(const char *triple, const char *arch)
{
  size_t n = strcspn(triple, "-");
  return n == strlen(arch) && !strncmp(triple, arch, n);
}

const char *llvm_default_triple(const Target *t, Arena *a)
{
  char *host = LLVMGetDefaultTargetTriple();
  const char *triple = names_arch(host, t->arch) ? arena_strdup(a, host)
                                                 : arena_printf(a, "%s-%s", t->arch, t->system);
  LLVMDisposeMessage(host);
  return triple;
}

/* WebAssembly has no dynamic linker: its objects are linked once, by wasm-ld. */
static LLVMRelocMode relocation(const Target *t)
{
  return str_eq(t->arch, "wasm32") ? LLVMRelocStatic : LLVMRelocPIC;
}

LLVMTargetMachineRef llvm_machine(const EmitArgs *args, const char *triple)
{
  LLVMTargetRef target;
  char *message = NULL, *normal;
  if (!triple)
    triple = llvm_default_triple(args->target, args->arena);
  if (!names_arch(triple, args->target->arch)) {
    llvm_complain(args, arena_printf(args->arena, "'%s' is no triple of %s: it starts with %s-",
                                     str_escape(args->arena, triple, 100), args->target->name,
                                     args->target->arch), NULL);
    return NULL;
  }
  normal = LLVMNormalizeTargetTriple(triple);
  LLVMTargetMachineRef machine = NULL;
  if (LLVMGetTargetFromTriple(normal, &target, &message))
    complain_message(args, "no such target", message);
  else
    machine = LLVMCreateTargetMachine(target, normal, args->target->llvm_cpu,
                                      args->target->llvm_features, LLVMCodeGenLevelDefault,
                                      relocation(args->target), LLVMCodeModelDefault);
  LLVMDisposeMessage(normal);
  if (!machine && !message)
    llvm_complain(args, "cannot make code for", triple);
  return machine;
}

/* table.c lays descriptions out by pointer_bytes and copies numbers as they lie in memory here. */
static bool same_layout(const Llvm *l, LLVMTargetMachineRef machine)
{
  const uint16_t one = 1;
  LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
  bool little = *(const unsigned char *)&one == 1;
  bool same = LLVMPointerSize(layout) == (unsigned)l->args->target->pointer_bytes &&
              (LLVMByteOrder(layout) == LLVMLittleEndian) == little &&
              LLVMABISizeOfType(layout, l->word) == sizeof(int64_t);
  LLVMSetModuleDataLayout(l->module, layout);
  LLVMDisposeTargetData(layout);
  return same || llvm_complain(l->args, "a target of another pointer size or byte order", NULL);
}

/* ---- passes ---- */

static bool verify(const Llvm *l, const char *when)
{
  char *message = NULL;
  if (!LLVMVerifyModule(l->module, LLVMReturnStatusAction, &message)) {
    LLVMDisposeMessage(message);
    return true;
  }
  return complain_message(l->args, when, message);
}

/* Kernels are explicit vectors and chosen tiles: no pass may vectorise, unroll or interleave. What
 * is left to do takes these passes a quarter of the time of default<O2>, with equally fast code.
 * From version 18 on, instcombine by itself ends the process where one round is not enough. */
static const char *passes(Arena *a)
{
  unsigned major, minor, patch;
  LLVMGetVersion(&major, &minor, &patch);
  return arena_printf(a, "always-inline,globaldce,function(sroa<modify-cfg>,early-cse<memssa>,"
                         "simplifycfg,loop(loop-rotate),loop-mssa(licm<allowspeculation>),"
                         "instcombine%s,early-cse<memssa>,loop-mssa(licm<allowspeculation>),"
                         "instsimplify,adce,simplifycfg)",
                      major >= 18 ? "<no-verify-fixpoint>" : "");
}

bool llvm_optimise(Llvm *l, LLVMTargetMachineRef machine)
{
  char *triple = LLVMGetTargetMachineTriple(machine);
  LLVMSetTarget(l->module, triple);
  LLVMDisposeMessage(triple);
  if (!same_layout(l, machine) || !verify(l, "invalid code before the passes"))
    return false;
  LLVMPassBuilderOptionsRef o = LLVMCreatePassBuilderOptions();
  LLVMErrorRef error = LLVMRunPasses(l->module, passes(l->arena), machine, o);
  LLVMDisposePassBuilderOptions(o);
  if (error) {
    char *message = LLVMGetErrorMessage(error);
    llvm_complain(l->args, "the passes failed", message);
    LLVMDisposeErrorMessage(message);
    return false;
  }
  return verify(l, "invalid code after the passes");
}

/* ---- output ---- */

static void take_buffer(Out *out, LLVMMemoryBufferRef buffer)
{
  out_bytes(out, LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
  LLVMDisposeMemoryBuffer(buffer);
}

bool llvm_write(const Llvm *l, LLVMTargetMachineRef machine, LlvmKind kind, Out *out)
{
  LLVMMemoryBufferRef buffer;
  char *message = NULL;
  if (kind == LLVM_TEXT) {
    char *text = LLVMPrintModuleToString(l->module);
    out_bytes(out, text, strlen(text));
    LLVMDisposeMessage(text);
    return true;
  }
  if (kind == LLVM_BITCODE) {
    take_buffer(out, LLVMWriteBitcodeToMemoryBuffer(l->module));
    return true;
  }
  LLVMCodeGenFileType type = kind == LLVM_ASSEMBLY ? LLVMAssemblyFile : LLVMObjectFile;
  if (LLVMTargetMachineEmitToMemoryBuffer(machine, l->module, type, &message, &buffer))
    return complain_message(l->args, "no machine code", message);
  take_buffer(out, buffer);
  return true;
}
