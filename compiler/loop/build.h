/* Constructors of loop IR. Index arithmetic is folded where it is trivial (constants, + 0, * 1). All
 * nodes live in the builder's arena. A Build appends statements to the innermost open body. */
#ifndef GRADC_LOOP_BUILD_H
#define GRADC_LOOP_BUILD_H

#include "loop/loop.h"

typedef enum {
#define S(name, arity, types, form, text, prec) SC_##name,
#include "loop/scalar.def"
#undef S
  SC_COUNT
} ScalarOp;

typedef enum { FORM_IN, FORM_PRE, FORM_FN } ScalarForm;  /* infix, prefix, function call */

typedef struct {
  const char *name;
  int arity;
  const char *types, *text;
  int form, prec;               /* form: ScalarForm */
} ScalarDef;
extern const ScalarDef scalar_defs[SC_COUNT];   /* loop/scalar.c */

typedef struct Build Build;

Build *build_new(Module *m);
Module *build_module(const Build *b);

/* expressions */
LExpr *l_int(Build *b, int64_t i);                      /* i64 */
LExpr *l_u32(Build *b, uint32_t u);
LExpr *l_real(Build *b, double r);                      /* scalar of the module's real type, rounded to it */
LExpr *l_var(Build *b, const LVar *v);
LExpr *l_load(Build *b, Buffer *buf, LExpr *index, int lanes);
LExpr *l_op(Build *b, ScalarOp op, LExpr *x, LExpr *y, LExpr *z);       /* unused operands NULL; splats scalars
                                                                           to the lanes of the other operands */
LExpr *l_add(Build *b, LExpr *x, LExpr *y);             /* l_op with folding of integer constants */
LExpr *l_sub(Build *b, LExpr *x, LExpr *y);
LExpr *l_mul(Build *b, LExpr *x, LExpr *y);
LExpr *l_div(Build *b, LExpr *x, LExpr *y);
LExpr *l_mod(Build *b, LExpr *x, LExpr *y);
LExpr *l_min(Build *b, LExpr *x, LExpr *y);
LExpr *l_max(Build *b, LExpr *x, LExpr *y);
LExpr *l_muli(Build *b, LExpr *x, int64_t k);
LExpr *l_addi(Build *b, LExpr *x, int64_t k);
LExpr *l_fma(Build *b, LExpr *x, LExpr *y, LExpr *z);
LExpr *l_cast(Build *b, LExpr *x, int dtype);
LExpr *l_bits(Build *b, LExpr *x, int dtype);
LExpr *l_splat(Build *b, LExpr *x, int lanes);          /* x itself when it has those lanes */
LExpr *l_iota(Build *b, int lanes);
LExpr *l_reduce(Build *b, ScalarOp op, LExpr *x);
LExpr *l_call(Build *b, const LFunc *f, LExpr *const *arg, int narg);   /* splats scalars to the parameters' lanes */

/* statements */
LVar *l_loop(Build *b, const char *name, LExpr *lo, LExpr *hi, int64_t step, ForKind how);      /* opens a body */
void l_if(Build *b, LExpr *cond);                       /* opens a body */
void l_else(Build *b);
void l_end(Build *b);                                   /* closes the innermost loop or branch */
LExpr *l_let(Build *b, const char *name, LExpr *value); /* returns the local as an expression; constants and
                                                           variables come back as they are */
void l_store(Build *b, Buffer *buf, LExpr *index, LExpr *value);
void l_note(Build *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Result: the call, whose layer and direction may be set. */
LStmt *l_call_kernel(Build *b, const Kernel *k, Buffer *const *arg, LExpr *lo, LExpr *hi);
/* when: NULL, or a condition that is the same for all workers */
void l_barrier(Build *b, LExpr *when);

/* kernels and hosts: open, append statements, close */
Kernel *l_kernel(Build *b, const char *name);           /* opens; makes lo, hi, n */
Buffer *l_formal(Build *b, const Buffer *actual, const char *name, bool written);       /* next argument */
Buffer *l_registers(Build *b, const char *name, int dtype, int lanes, int64_t count);
/* An array of count elements that lives as long as a call of the kernel; at most LOCAL_BYTES_MAX
 * bytes, aligned to 64; holds nothing to begin with. */
Buffer *l_local(Build *b, const char *name, int dtype, int64_t count);
void l_kernel_end(Build *b);                            /* appends it to the module */
Host *l_host(Build *b, HostKind kind);                  /* opens; makes worker, nworkers, n */
void l_host_end(Build *b);
Buffer *l_buffer(Build *b, const char *name, BufRole role, DType dtype, int64_t extent);        /* of the module */

/* Pure functions: open, add parameters and LETs, close with the result. May be opened inside a kernel: its
 * statements go on after l_func_end. Prefer l_math where it has the function. */
LFunc *l_func(Build *b, const char *name, const char *doc);
LExpr *l_param(Build *b, LFunc *f, const char *name, int dtype, int lanes);
void l_func_end(Build *b, LFunc *f, LExpr *result);     /* appends it to the module */

/* Math as pure functions of the module, made on first use for the given lanes: "exp", "log", "log1p", "expm1",
 * "tanh", "sigmoid", "softplus" take and return the real type; "sin" and "cos" are for |x| < 10^4.
 * "philox0" .. "philox3" take u32 (ctr0, ctr1, ctr2, ctr3, key0, key1) and return that word of the block of
 * Philox4x32-10; scalar arguments are the same in every lane. loop/math.c states methods and bounds. */
const LFunc *l_math(Build *b, const char *name, int lanes);

#endif
