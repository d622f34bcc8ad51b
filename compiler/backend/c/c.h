/* Private to the C back end: the printer's context and what its files offer each other.
 *
 * Text grows in two sinks: `line` collects one statement, `out` the program. A statement is begun
 * with c_begin, filled by out_printf and the expression printer, and put by c_end, which breaks it
 * at 100 columns. User text passes through c_comment_text, c_string or names_*, nothing else
 * prints it. */
#ifndef GRADC_BACKEND_C_C_H
#define GRADC_BACKEND_C_C_H

#include "backend/backend.h"
#include "loop/build.h"

enum { COLUMNS = 100, LANES_LOG = 8, TYPES = DT_COUNT + 1 };

/* ---- names.c ---- */
typedef struct Names Names;

Names *names_new(Arena *a);
/* Makes all identifiers of a text unavailable at file scope, and for locals too where they would
 * hide something that is used. */
typedef enum { TAKE_FOR_FILE, TAKE_FOR_ALL } TakeHow;
void names_take_text(Names *n, const char *text, size_t length, TakeHow how);
/* A C identifier from any text, unique among everything visible: lower-case letters, digits and _,
 * at most 40 characters and a number; never a keyword or a macro of a header. Global names stay. */
const char *names_global(Names *n, const char *want);
const char *names_local(Names *n, const char *want);    /* visible until names_leave */
uint32_t names_enter(Names *n);                         /* opens a scope; result: for names_leave */
void names_leave(Names *n, uint32_t mark);
uint32_t names_hide(Names *n);                          /* a new function: hides all locals */
void names_show(Names *n, uint32_t hidden);
/* The word that starts every symbol of the net: its name as an identifier, changed where system
 * headers or the runtime own such names. */
const char *names_prefix(Arena *a, const char *net);

/* ---- text.c ---- */
/* s as text of a comment: printable ASCII that cannot end or nest it, nor continue a line. */
const char *c_comment_text(Arena *a, const char *s);
/* s as a C string literal with quotes, or "NULL" for NULL; each line of a text is a literal. */
const char *c_string(Arena *a, const char *s);
/* The shortest literal that reads back as exactly r, a float for DT_F32; NaN and infinities too. */
const char *c_real(Arena *a, double r, DType t);
const char *c_integer(Arena *a, int64_t i);
/* A line broken at 100 columns where nesting is least, continued four blanks deeper. */
void c_put_wrapped(Out *to, const char *line, size_t length);

/* ---- the context ---- */
typedef enum { ISA_X86, ISA_NEON, ISA_PLAIN } Isa;

/* Types and functions over values that a program defines for itself, in the order of printing. */
typedef enum {
  H_TYPE, H_LOAD, H_STORE, H_SPLAT, H_IOTA, H_BITS, H_FMA, H_MIN, H_MAX, H_SQRT, H_ABS, H_ROUND,
  H_SELECT, H_SHL, H_SHR, H_MULHI, H_ZIPLO, H_ZIPHI, H_WIDEN, H_BYTES,
  H_SUM, H_LEAST, H_GREATEST, H_COUNT
} Helper;

/* One element of a REGISTER buffer as a local of C. */
typedef struct {
  const char *name;             /* NULL until declared */
  bool loaded;                  /* somewhere: else its stores are not printed */
  const LStmt *init;            /* the store that declares it; NULL: the function's start does */
  const struct Scope *scope;    /* live.c: innermost body that holds all its uses */
  const LStmt *first;           /* live.c: the first statement of that body with a use */
} Reg;

typedef struct {
  const LFunc *func;
  const char *name;
} FuncName;

typedef struct {
  const Kernel *kernel;
  const char *name;
  bool lo, hi, n;               /* which of them the body uses */
  const bool *formal;           /* which formals it uses: the others are no parameters */
} KernelName;

typedef struct {
  const EmitArgs *args;
  const Module *m;
  Arena *arena;
  Isa isa;
  Names *names;
  const char *prefix;           /* "lenet" */
  Out *out, *line;
  size_t mark;                  /* where the current line starts in `line` */
  Out *funcs;                   /* math functions, printed when first called */
  bool helper[H_COUNT][TYPES][LANES_LOG];
  bool at;                      /* the host functions' address helper is used */
  bool rolled;                  /* a loop that must not be unrolled was printed */
  uint32_t *uses;               /* by variable and buffer id: live uses in the current function */
  const char **name;            /* by variable and buffer id: the C name */
  Reg **reg;                    /* by buffer id: the current kernel's registers */
  bool *is_args;                /* by buffer id: formals bound to the step arguments */
  HostKind host;                /* the step function being printed */
  VEC(const LStmt *) calls[HOST_COUNT];         /* measure.c: as printed */
  const char *made;             /* watch.c: the table of what they write; NULL: nothing */
  int nmade;
  const char **block;           /* infer.c: by buffer id: the array that holds a state variable */
  const char *arena_block, *worker_block;       /* infer.c: the arrays of scratch */
  const char *peak;             /* measure.c: the function that measures the peak; NULL: none */
  double peak_flops;
  VEC(FuncName) func_names;
  VEC(KernelName) kernel_names;
} C;

Out *c_begin(C *c);                             /* starts a line and returns where it is written */
void c_end(C *c);                               /* puts it */
void c_line(C *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A comment of n paragraphs, each made harmless and broken at 100 columns. */
void c_comment(C *c, const char *const *text, int n);
void c_blank(C *c);

/* ---- helper.c: what programs define for themselves ---- */
const char *c_type(C *c, int dtype, int lanes);         /* "float" "idx" "v16" "m16" "u32x16" */
const char *c_helper(C *c, Helper h, int dtype, int lanes);     /* its name; it will be printed */
void c_put_helpers(C *c);                               /* prints all that were asked for */
int c_type_bytes(const C *c, int dtype);                /* of one lane */
/* Of a vector register: kernels of single elements leave those that the machine has unused. */
int c_register_bytes(const C *c);
void c_take_helper_names(C *c);                         /* before any other name is made */

/* ---- expr.c ---- */
void c_expr(C *c, const LExpr *e, int outer);           /* as an operand of strength `outer` */
enum { PREC_NONE = 0, PREC_UNARY = 14, PREC_POSTFIX = 16 };

/* ---- live.c: what is used, and where registers are declared ---- */
/* The register an access names; its index must be a constant. */
Reg *c_reg(const C *c, const Buffer *buf, const LExpr *index);
void live_kernel(C *c, const Kernel *k);                /* fills c->uses and c->reg */
void live_func(C *c, const LFunc *f);
void live_host(C *c, const Host *h);

/* ---- stmt.c ---- */
void c_body(C *c, const LStmt *body);
const char *c_func(C *c, const LFunc *f);               /* prints it once into c->funcs */
void c_kernel(C *c, const Kernel *k);
/* "lenet.nn:12" without the folders before it: the text must not depend on where the spec lies. */
const char *c_place(const C *c, Span at);

/* ---- host.c ---- */
void c_host(C *c, const Host *h);
const char *c_host_name(C *c, HostKind kind);
void c_call(C *c, const LStmt *s);

/* ---- measure.c: what programs built for measuring carry besides ---- */
void c_peak(C *c);                                      /* a function that finds the peak */
void c_measure_begin(C *c, const Host *h);              /* at the start of a step function */
void c_measure_call(C *c, const LStmt *call);           /* after a call */
void c_measure_wait(C *c);                              /* after a barrier */
const char *c_measure_table(C *c, HostKind kind);       /* the step's calls; returns its name */

/* ---- watch.c: how a training step is searched for the first value that is not finite ---- */
/* After a call, before c_measure_call counts it. */
void c_watch_call(C *c, const LStmt *call);
void c_watch_table(C *c);               /* what the calls write: c->made, c->nmade */

/* ---- infer.c: inference alone ---- */
/* True of all where the program is more than inference, else of what inference calls and reads. */
bool c_needs_kernel(const C *c, const Kernel *k);
bool c_needs_buffer(const C *c, const Buffer *buf);
void c_infer_take_names(C *c);
void c_infer_blocks(C *c);              /* weights and scratch: fills c->block and its neighbours */
void c_infer_open(C *c, const Host *h); /* the function up to the names of its samples */
const char *c_infer_address(C *c, const Buffer *buf);   /* as a C expression in the function */

/* ---- table.c ---- */
/* Plain values, as many on a line as fit. */
void c_put_values(C *c, const double *value, int64_t n, DType t);
const char *c_tables(C *c);                             /* the description; returns its name */
void c_constants(C *c);                                 /* CONST buffers */

/* ---- runtime.c ---- */
typedef struct { const char *name; const char *text; size_t length; } Embedded;
extern const Embedded embedded[];                       /* generated: runtime headers and sources */
extern const int embedded_count;
void c_runtime_settings(C *c);           /* macros that the runtime's text looks at */
void c_runtime_header(C *c);                            /* gradrt.h */
void c_runtime(C *c);                                   /* the sources that the net needs */
void c_take_runtime_names(Names *n);

/* ---- library.c ---- */
void c_library(C *c, const char *net);  /* the functions that the net's header declares */
void c_take_library_names(C *c);

#endif
