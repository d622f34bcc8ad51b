/* In the place of the LLVM back end when gradc is built without LLVM: says what is missing. */
#include "backend/llvm/llvm_backend.h"

bool llvm_present(void) { return false; }

const char *llvm_version(void) { return ""; }

static bool complain(const EmitArgs *args)
{
  diag_error(args->diag, (Span){ 0, 0 }, "E0701", "this gradc was built without LLVM");
  diag_help(args->diag, "install LLVM 16 or newer (Debian 12: sudo apt install llvm-19-dev) and "
                        "build gradc again, or use --backend c");
  return false;
}

const char *llvm_default_triple(const Target *t, Arena *a)
{
  return arena_printf(a, "%s-unknown-linux-gnu", t->arch);
}

bool llvm_emit(const EmitArgs *args, LlvmKind kind, const char *triple, Out *out)
{
  (void)kind;
  (void)triple;
  (void)out;
  return complain(args);
}

bool llvm_emit_steps(const EmitArgs *args, Out *object[LLVM_PARTS])
{
  (void)object;
  return complain(args);
}

const gradrt_net *llvm_load(const EmitArgs *args, Out *const object[LLVM_PARTS], LlvmCode **code)
{
  (void)object;
  *code = NULL;
  complain(args);
  return NULL;
}

void llvm_unload(LlvmCode **code) { *code = NULL; }

static bool emit(const EmitArgs *args, Out *out)
{
  (void)out;
  return complain(args);
}

const Backend backend_llvm = {
  .name = "llvm",
  .doc = "not in this build: needs LLVM 16 or newer",
  .suffix = ".ll",
  .emit = emit,
};
