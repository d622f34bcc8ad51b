/* The LLVM back end: a module of LLVM IR with the same functions as the C file, which links
 * libgradrt. Its bytes depend on the net, the target, gradc's and LLVM's version alone. */
#include "backend/llvm/llvm.h"
#include <pthread.h>
#include <string.h>

bool llvm_present(void) { return true; }

static const char version_text[] = LLVM_VERSION_TEXT;

const char *llvm_version(void) { return version_text; }

/* ---- a module ---- */

static void report(LLVMDiagnosticInfoRef info, void *ctx)
{
  const EmitArgs *args = ctx;
  char *text = LLVMGetDiagInfoDescription(info);
  if (LLVMGetDiagInfoSeverity(info) == LLVMDSError)
    llvm_complain(args, "error", text);
  LLVMDisposeMessage(text);
}

static void start(Llvm *l, const EmitArgs *args)
{
  Arena *a = args->arena;
  const Module *m = args->module;
  const char *file = args->spec_file ? args->spec_file : "net";
  *l = (Llvm){ .args = args, .m = m, .arena = a };
  l->context = LLVMContextCreate();
  LLVMContextSetDiagnosticHandler(l->context, report, (void *)(uintptr_t)args);
  l->module = LLVMModuleCreateWithNameInContext(m->name, l->context);
  LLVMSetSourceFileName(l->module, file, strlen(file));
  l->builder = LLVMCreateBuilderInContext(l->context);
  l->pointer = LLVMPointerTypeInContext(l->context, 0);
  l->word = LLVMInt64TypeInContext(l->context);
  l->number = LLVMInt32TypeInContext(l->context);
  l->nothing = LLVMVoidTypeInContext(l->context);
  l->var = ARENA_ARRAY(a, LLVMValueRef, m->next_id + 1);
  l->buf = ARENA_ARRAY(a, LLVMValueRef, m->next_id + 1);
  l->reg = ARENA_ARRAY(a, LLVMValueRef *, m->next_id + 1);
}

static void end(Llvm *l)
{
  LLVMDisposeBuilder(l->builder);
  LLVMDisposeModule(l->module);
  LLVMContextDispose(l->context);
}

/* int main(int argc, char **argv) { return gradrt_main(&net, argc, argv); }, weak, so that the
 * object also fits programs with a main of their own. */
static void put_main(Llvm *l, LLVMValueRef net)
{
  LLVMTypeRef param[] = { l->pointer, l->number, l->pointer };
  LLVMTypeRef type = LLVMFunctionType(l->number, param + 1, 2, false);
  LLVMTypeRef callee = LLVMFunctionType(l->number, param, 3, false);
  LLVMValueRef f = llvm_begin(l, "main", type, LLVMWeakAnyLinkage, (Span){ 0, 0 });
  LLVMValueRef arg[] = { net, LLVMGetParam(f, 0), LLVMGetParam(f, 1) };
  LLVMValueRef code = LLVMBuildCall2(l->builder, callee, llvm_runtime(l, "gradrt_main", callee),
                                     arg, 3, "");
  LLVMBuildRet(l->builder, code);
}

static void fill(Llvm *l)
{
  LLVMValueRef net = NULL;
  if (l->part == WHOLE) {
    llvm_debug_begin(l);
    net = llvm_library(l);
  }
  llvm_constants(l);
  llvm_funcs(l);
  llvm_kernels(l);
  if (l->part <= 0) {
    llvm_hosts(l);
    llvm_peak(l);
  }
  if (l->part == WHOLE) {
    LLVMValueRef table = llvm_table(l, llvm_complete_net(l->args));
    LLVMReplaceAllUsesWith(net, table);
    LLVMDeleteGlobal(net);
    put_main(l, table);
  }
  llvm_debug_end(l);
}

typedef struct {
  LlvmKind kind;
  const char *triple;
  int part;
} Wish;

static bool build(const EmitArgs *args, const Wish *wish, Out *out)
{
  Llvm l;
  LLVMTargetMachineRef machine = llvm_machine(args, wish->triple);
  if (!machine)
    return false;
  start(&l, args);
  l.part = wish->part;
  fill(&l);
  bool ok = llvm_optimise(&l, machine) && llvm_write(&l, machine, wish->kind, out);
  ok = ok && diag_errors(args->diag) == 0;
  end(&l);
  LLVMDisposeTargetMachine(machine);
  return ok;
}

bool llvm_emit(const EmitArgs *args, LlvmKind kind, const char *triple, Out *out)
{
  llvm_start();
  return build(args, &(Wish){ kind, triple, WHOLE }, out);
}

/* ---- parts ---- */

/* A part with an arena and messages of its own: threads share nothing that changes. */
typedef struct {
  EmitArgs args;
  int part;
  pthread_t thread;
  bool started, ok;
  Out *object, *messages;
} Part;

static void keep_message(void *ctx, const char *text)
{
  out_bytes(ctx, text, strlen(text));
}

static void *make_part(void *ctx)
{
  Part *p = ctx;
  p->ok = build(&p->args, &(Wish){ LLVM_OBJECT, NULL, p->part }, p->object);
  diag_flush(p->args.diag);
  return NULL;
}

static void start_part(Part *p, const EmitArgs *args, int part)
{
  *p = (Part){ .args = *args, .part = part };
  Arena *a = p->args.arena = arena_new("LLVM part");
  p->object = out_new(a);
  p->messages = out_new(a);
  p->args.diag = diag_new(a, args->sources, keep_message, p->messages);
  p->started = pthread_create(&p->thread, NULL, make_part, p) == 0;
}

/* Waits for the part and takes its object. */
static bool end_part(Part *p, const EmitArgs *args, Out *object)
{
  if (p->started)
    pthread_join(p->thread, NULL);
  else
    make_part(p);
  out_bytes(object, out_text(p->object), out_length(p->object));
  bool ok = p->ok;
  if (!ok)
    llvm_complain(args, "a part of the steps failed", out_text(p->messages));
  arena_free(&p->args.arena);
  return ok;
}

bool llvm_emit_steps(const EmitArgs *args, Out *object[LLVM_PARTS])
{
  Part part[LLVM_PARTS];
  int parts = llvm_parts(args->module);
  bool ok = true;
  llvm_start();
  for (int i = 0; i < parts; i++)
    start_part(&part[i], args, i);
  for (int i = 0; i < LLVM_PARTS; i++) {
    object[i] = out_new(args->arena);
    ok = (i >= parts || end_part(&part[i], args, object[i])) && ok;
  }
  return ok;
}

static bool emit(const EmitArgs *args, Out *out)
{
  return llvm_emit(args, LLVM_TEXT, NULL, out);
}

const Backend backend_llvm = {
  .name = "llvm",
  .doc = "LLVM IR, assembly and objects for libgradrt, and code in memory",
  .suffix = ".ll",
  .emit = emit,
};
