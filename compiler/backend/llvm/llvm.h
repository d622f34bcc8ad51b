/* Private to the LLVM back end: the context of a module under construction and what its files offer
 * each other. Values are SSA; a register of the loop IR is a stack slot that LLVM's first passes
 * turn into SSA values, a block of a step is an address made at the function's start. */
#ifndef GRADC_BACKEND_LLVM_LLVM_H
#define GRADC_BACKEND_LLVM_LLVM_H

#include "backend/llvm/llvm_backend.h"
#include "loop/build.h"
#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/TargetMachine.h>

typedef VEC(const LStmt *) CallList;

enum { WHOLE = -1 };

typedef struct {
  const EmitArgs *args;
  const Module *m;
  Arena *arena;
  LLVMContextRef context;
  LLVMModuleRef module;
  LLVMBuilderRef builder;
  LLVMTypeRef pointer, word, number, nothing;   /* ptr, i64, i32, void */
  LLVMValueRef function;        /* that is being filled */
  LLVMValueRef *var;            /* by variable id: its value */
  LLVMValueRef *buf;            /* by buffer id: its address */
  LLVMValueRef **reg;           /* by buffer id: a slot for each register */
  LLVMValueRef *func;           /* by place in m->funcs */
  LLVMValueRef *kernel;         /* by place in m->kernels */
  LLVMValueRef host[HOST_COUNT], peak;
  int part;                     /* of LLVM_PARTS; WHOLE: a program */
  LLVMValueRef step, worker, nworkers;  /* parameters of a step function */
  LLVMValueRef n;               /* samples of the step */
  HostKind kind;                /* of the step function being filled */
  int ncall;                    /* calls in it so far */
  LLVMDIBuilderRef debug;       /* NULL: none wanted */
  LLVMMetadataRef unit, file, scope, routine;
} Llvm;

/* ---- type.c ---- */
LLVMTypeRef llvm_scalar_type(const Llvm *l, int dtype);
LLVMTypeRef llvm_type(const Llvm *l, int dtype, int lanes);
LLVMValueRef llvm_integer(const Llvm *l, int64_t i);                    /* an i64 */
LLVMValueRef llvm_constant(const Llvm *l, double r, int dtype);   /* a real or an integer */
/* n values side by side in memory. */
LLVMValueRef llvm_array(const Llvm *l, LLVMValueRef *value, int64_t n);
LLVMValueRef llvm_splat(const Llvm *l, LLVMValueRef scalar, int lanes);
/* Names a value for readers of the text. */
void llvm_name(LLVMValueRef v, const char *name);

/* ---- expr.c ---- */
LLVMValueRef llvm_expr(Llvm *l, const LExpr *e);
/* Address of an element of a buffer that is no register. */
LLVMValueRef llvm_element(Llvm *l, const Buffer *buf, const LExpr *index);
LLVMValueRef llvm_slot(Llvm *l, const Buffer *buf, const LExpr *index); /* of a register */
/* Calls an intrinsic that is overloaded on the type of its operands: "llvm.fma". */
LLVMValueRef llvm_intrinsic(Llvm *l, const char *name, LLVMValueRef *arg, unsigned narg);

/* ---- op.c: rows of scalar.def ---- */
LLVMValueRef llvm_op(Llvm *l, const LExpr *e, LLVMValueRef *arg);
LLVMValueRef llvm_halving(Llvm *l, const LExpr *e, LLVMValueRef v);     /* LE_REDUCE of v */
LLVMValueRef llvm_cast(Llvm *l, const LExpr *e, LLVMValueRef v);        /* LE_CAST of v */

/* ---- stmt.c ---- */
void llvm_body(Llvm *l, const LStmt *body);
LLVMBasicBlockRef llvm_block(Llvm *l, const char *name);        /* a new one in the function */

/* ---- func.c ---- */
/* Opens a function with an entry block and the attributes that all have. */
LLVMValueRef llvm_begin(Llvm *l, const char *name, LLVMTypeRef type, LLVMLinkage linkage, Span at);
LLVMLinkage llvm_linkage(const Llvm *l);        /* of kernels and step functions */
LLVMValueRef llvm_func(const Llvm *l, const LFunc *f);
LLVMValueRef llvm_kernel(const Llvm *l, const Kernel *k);
void llvm_funcs(Llvm *l);               /* all math functions */
int llvm_parts(const Module *m);        /* how many a module is worth, 1 to LLVM_PARTS */
void llvm_kernels(Llvm *l);             /* those of the part; the others are declared */
void llvm_constants(Llvm *l);           /* CONST buffers */

/* ---- host.c ---- */
void llvm_hosts(Llvm *l);          /* all step functions */
void llvm_call_kernel(Llvm *l, const LStmt *s);
void llvm_barrier(Llvm *l, const LStmt *s);
LLVMTypeRef llvm_step_type(const Llvm *l);      /* of gradrt_step_fn */
/* A function of the runtime, declared on first use. */
LLVMValueRef llvm_runtime(Llvm *l, const char *name, LLVMTypeRef type);

/* ---- peak.c ---- */
void llvm_peak(Llvm *l);   /* in programs built for measuring: l->peak */
double llvm_peak_flops(const EmitArgs *args);   /* of one round; 0: there is no such function */

/* ---- calls.c: tables of what a step calls and what that writes ---- */
/* Does a call write a tensor of the net's real type through argument i? */
bool llvm_is_watched(const Module *m, const LStmt *call, uint32_t i);
/* A copy of args->net, in args->arena, with its tables of calls. */
gradrt_net *llvm_complete_net(const EmitArgs *args);
/* Symbols: "lenet_train_step", "lenet_peak". */
const char *llvm_symbol(const EmitArgs *args, const char *what);

/* ---- library.c ---- */
/* Makes the functions of backend/library.h. Returns what stands for the description in them: to be
 * replaced by it, then deleted. */
LLVMValueRef llvm_library(Llvm *l);

/* ---- table.c ---- */
LLVMValueRef llvm_table(Llvm *l, const gradrt_net *net);        /* the description as a constant */
/* Where a member of gradrt_step that lies at this offset here lies on the target. */
size_t llvm_step_member(const Llvm *l, size_t offset);

/* ---- debug.c: lines of the spec ---- */
void llvm_debug_begin(Llvm *l);
void llvm_debug_function(Llvm *l, const char *name, Span at);    /* l->function */
void llvm_debug_at(Llvm *l, Span at);
void llvm_debug_end(Llvm *l);

/* ---- machine.c: target machines, passes, output ---- */
/* A machine for the target; NULL: reported. triple: NULL for the target's own. */
LLVMTargetMachineRef llvm_machine(const EmitArgs *args, const char *triple);
bool llvm_optimise(Llvm *l, LLVMTargetMachineRef machine);
bool llvm_write(const Llvm *l, LLVMTargetMachineRef machine, LlvmKind kind, Out *out);
void llvm_start(void);                  /* before anything else; errors of LLVM become messages */
bool llvm_complain(const EmitArgs *args, const char *what, const char *why);    /* false */

#endif
