/* The library form in LLVM IR: functions with the net's name that forward to runtime/model.h. They
 * are made before everything else, so that the names that the header declares are theirs. */
#include "backend/llvm/llvm.h"
#include "backend/library.h"

/* Parameters of a function and of what it forwards to: p a pointer, i an int, q an int64_t, d a
 * double; r the rows of the fields that it takes, o its outputs, both as one array of pointers for
 * the callee. */
static const char *const parameters[LIBRARY_COUNT] = {
  [LIBRARY_NEW] = "iq",     [LIBRARY_FREE] = "p",   [LIBRARY_TRAIN] = "prqdp",
  [LIBRARY_INFER] = "prqo", [LIBRARY_GET] = "pppq", [LIBRARY_SET] = "pppq",
  [LIBRARY_LOAD] = "pp",    [LIBRARY_SAVE] = "pp",
};

enum { LIBRARY_PARAMS_MAX = 8 + GRADRT_FIELDS_MAX + GRADRT_OUTPUTS_MAX };

typedef struct {
  LLVMTypeRef own[LIBRARY_PARAMS_MAX], callee[LIBRARY_PARAMS_MAX];
  unsigned nown, ncallee;
} Signature;

static LLVMTypeRef type_of(const Llvm *l, char letter)
{
  switch (letter) {
  case 'i': return l->number;
  case 'q': return l->word;
  case 'd': return LLVMDoubleTypeInContext(l->context);
  }
  return l->pointer;
}

/* Is element k of the array that the letter stands for a parameter? */
static bool is_given(const Llvm *l, LibraryFunction f, char letter, int k)
{
  return letter == 'o' || library_takes(l->m, f, k);
}

static int array_length(const Llvm *l, char letter)
{
  const gradrt_net *net = l->args->net;
  return letter == 'r' ? net->nfield : letter == 'o' ? net->infer.noutput : 0;
}

static void find_signature(const Llvm *l, LibraryFunction f, Signature *s)
{
  if (f == LIBRARY_NEW)
    s->callee[s->ncallee++] = l->pointer;
  for (const char *p = parameters[f]; *p; p++) {
    s->callee[s->ncallee++] = type_of(l, *p);
    if (*p != 'r' && *p != 'o')
      s->own[s->nown++] = type_of(l, *p);
    for (int k = 0; k < array_length(l, *p); k++)
      if (is_given(l, f, *p, k))
        s->own[s->nown++] = l->pointer;
  }
}

/* An array on the stack of the pointers among the parameters from *next on. */
static LLVMValueRef gather(Llvm *l, LibraryFunction f, char letter, unsigned *next)
{
  int n = array_length(l, letter);
  LLVMTypeRef type = LLVMArrayType2(l->pointer, (uint64_t)n + 1);
  LLVMValueRef array = LLVMBuildAlloca(l->builder, type, "");
  for (int k = 0; k < n; k++) {
    LLVMValueRef index = llvm_integer(l, k);
    LLVMValueRef at = LLVMBuildInBoundsGEP2(l->builder, l->pointer, array, &index, 1, "");
    LLVMValueRef given = is_given(l, f, letter, k) ? LLVMGetParam(l->function, (*next)++)
                                                   : LLVMConstNull(l->pointer);
    LLVMBuildStore(l->builder, given, at);
  }
  return array;
}

static void put_function(Llvm *l, LibraryFunction f, LLVMValueRef net)
{
  Signature s = { .nown = 0 };
  LLVMTypeRef result = f == LIBRARY_NEW ? l->pointer : f == LIBRARY_FREE ? l->nothing : l->number;
  LLVMValueRef arg[LIBRARY_PARAMS_MAX];
  unsigned next = 0, n = 0;
  find_signature(l, f, &s);
  LLVMTypeRef type = LLVMFunctionType(result, s.callee, s.ncallee, false);
  LLVMValueRef callee = llvm_runtime(l, library_callee(f), type);
  llvm_begin(l, library_symbol(l->m, f, l->arena),
             LLVMFunctionType(result, s.own, s.nown, false), LLVMExternalLinkage, (Span){ 0, 0 });
  if (f == LIBRARY_NEW)
    arg[n++] = net;
  for (const char *p = parameters[f]; *p; p++)
    arg[n++] = *p == 'r' || *p == 'o' ? gather(l, f, *p, &next)
                                      : LLVMGetParam(l->function, next++);
  LLVMValueRef code = LLVMBuildCall2(l->builder, type, callee, arg, n, "");
  if (f == LIBRARY_FREE)
    LLVMBuildRetVoid(l->builder);
  else
    LLVMBuildRet(l->builder, code);
}

LLVMValueRef llvm_library(Llvm *l)
{
  LLVMTypeRef byte = LLVMInt8TypeInContext(l->context);
  LLVMValueRef net = LLVMAddGlobal(l->module, byte, "");
  for (int f = 0; f < LIBRARY_COUNT; f++)
    if (library_has(l->m, (LibraryFunction)f))
      put_function(l, (LibraryFunction)f, net);
  return net;
}
