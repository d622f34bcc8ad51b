/* What the commands ask of the LLVM back end besides its row in the registry. A gradc that was
 * built without LLVM has the same functions; those that would need it report what is missing. */
#ifndef GRADC_BACKEND_LLVM_LLVM_BACKEND_H
#define GRADC_BACKEND_LLVM_LLVM_BACKEND_H

#include "backend/backend.h"

typedef enum { LLVM_TEXT, LLVM_BITCODE, LLVM_ASSEMBLY, LLVM_OBJECT } LlvmKind;

bool llvm_present(void);                /* was gradc built with LLVM? */
const char *llvm_version(void);         /* "19.1.7"; "" without LLVM */

/* The triple that code is made for when none is given; lives in a. */
const char *llvm_default_triple(const Target *t, Arena *a);

/* Appends the optimised program to out as text, bitcode, assembly or an object file: the net's
 * description as `<name>_net`, and a weak main that runs its command line, for libgradrt. Debug
 * information leads to lines of the spec. triple: NULL for the target's own. False: a diagnostic of
 * the E07 family says why. */
bool llvm_emit(const EmitArgs *args, LlvmKind kind, const char *triple, Out *out);

/* The step functions alone, as objects for llvm_load, each with a part of the kernels; a thread
 * makes each. Small nets have fewer parts: the last objects are empty then. The bytes do not depend
 * on the number of CPUs. */
enum { LLVM_PARTS = 4 };
bool llvm_emit_steps(const EmitArgs *args, Out *object[LLVM_PARTS]);

typedef struct LlvmCode LlvmCode;

/* Loads what llvm_emit_steps made from the same args on this machine into the process. The result
 * is args->net with its functions and tables of calls, in args->arena, valid until llvm_unload.
 * NULL: a diagnostic says why. */
const gradrt_net *llvm_load(const EmitArgs *args, Out *const object[LLVM_PARTS], LlvmCode **code);
void llvm_unload(LlvmCode **code);

#endif
