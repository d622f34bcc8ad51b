/* Loop IR: what back ends see. Explicit loops over flat buffers, vector values, register tiles.
 *
 * Values are scalars or vectors of `lanes` elements. Code is written with the block of 64 bytes as its
 * vector (16 f32 or 8 f64): that is the virtual width of every layout and reduction; for a target with
 * narrower registers loop/narrow splits each such value into equal parts.
 * Index arithmetic is i64; division truncates. There is no pointer arithmetic, no goto, no while and no
 * implicit conversion. Text that a NOTE or a kernel's comment carries is a comment, nothing else. */
#ifndef GRADC_LOOP_LOOP_H
#define GRADC_LOOP_LOOP_H

#include "base/util.h"
#include "base/vec.h"
#include "ir/type.h"

typedef struct LExpr LExpr;
typedef struct LStmt LStmt;
typedef struct Buffer Buffer;
typedef struct LFunc LFunc;

typedef enum { TY_BOOL = DT_COUNT } ExtraType;  /* results of comparisons; as wide as the real type */

/* ---- layouts ---- */
enum { DIGITS_MAX = RANK_MAX + 2 };     /* samples and one more axis may be cut in two */

/* One digit of a layout: the element with logical index i on `axis` has digit (i / div) % extent; its
 * position is the row-major number of the digits, outermost first. Axis AXIS_BATCH is the sample. A
 * digit's extent may pass the axis (padding): such positions hold zero. All layouts are such lists:
 * row-major, permuted, channel blocks (last digit: channels, div 1, extent 16), batch in lanes (first
 * digit: samples, div 16; last digit: samples, div 1, extent 16). */
enum { AXIS_BATCH = -1 };
typedef struct { int axis; int64_t div, extent; } Digit;
typedef struct {
  int n;
  Digit digit[DIGITS_MAX];
} Layout;

/* ---- buffers ---- */
typedef enum {
  BUF_STATE,            /* a state variable at `offset` bytes of the state block */
  BUF_ARENA,            /* a value of the step at `offset` bytes of the shared arena */
  BUF_WORKER,           /* scratch at `offset` bytes of each worker's block */
  BUF_ROWS,             /* rows of field `index`: indexed by row number * elems + element */
  BUF_IDS,              /* u32 row numbers of the batch, n of them */
  BUF_ARGS,             /* the StepArgs record: f64[ARG_COUNT] */
  BUF_OUT,              /* output `index` of the function: canonical rows in the real type */
  BUF_CONST,            /* values[] known when compiling */
  BUF_FORMAL,           /* parameter of a kernel: bound to another buffer by the call */
  BUF_REGISTER,         /* local to a kernel: only constant indices; elements are named locals */
  BUF_LOCAL             /* an array local to a kernel, in the nearest cache: any indices, lanes 1 */
} BufRole;

struct Buffer {
  uint32_t id;                  /* unique in the module */
  const char *name;             /* readable, not unique: "c1_weight" */
  BufRole role;
  DType dtype;
  int lanes;                    /* REGISTER: lanes of each element; else 1 */
  int64_t extent;               /* elements, padding included; 0: depends on n (ROWS, IDS, OUT) */
  int64_t offset;               /* STATE, ARENA, WORKER: bytes; multiple of 64 */
  int index;                    /* ROWS: field; OUT: output; FORMAL: argument number */
  bool written;                 /* FORMAL: the kernel stores into it (else it is const) */
  const Type *type;             /* shape for comments; may be NULL */
  const Layout *layout;         /* may be NULL */
  const double *values;         /* CONST */
  const char *layer;            /* ARENA, WORKER: for messages: which layer's value; may be NULL */
  Span at;                      /* and where that stands in the spec */
};

/* ---- expressions ---- */
enum { LANES_MAX = 16, PARAMS_MAX = 8 };
enum { LOCAL_BYTES_MAX = 1 << 18 };     /* of one LOCAL array: they live on a stack */

typedef struct {
  const char *name;             /* readable; printers make it unique in its kernel */
  DType dtype;                  /* DT_I64 for loop variables; or a real, u32, TY_BOOL for locals */
  int lanes;
  uint32_t id;                  /* unique in the module */
} LVar;

typedef enum {
  LE_INT,       /* dtype I64 (or U32, I32): i */
  LE_REAL,      /* dtype real: r, exact in that type; may be infinite or NaN */
  LE_VAR,
  LE_LOAD,      /* lanes consecutive elements of buf from index; REGISTER: element index (constant) */
  LE_OP,        /* a row of scalar.def applied lane by lane; operands have equal lanes and dtype as the row says */
  LE_CAST,      /* to dtype, lane by lane: real <-> integer (truncating), u8 -> real .. */
  LE_BITS,      /* same bits as another type of equal width: real <-> u32 (f32) or i64 (f64) */
  LE_SPLAT,     /* a scalar in every lane */
  LE_IOTA,      /* real 0, 1, .. lanes-1 */
  LE_REDUCE,    /* op (add, max, min) over the lanes by halving: lane l takes l + lanes/2 until one is left */
  LE_CALL       /* a pure function of the module */
} LExprKind;

struct LExpr {
  LExprKind kind;
  int dtype;                    /* DType or TY_BOOL */
  int lanes;
  union {
    int64_t i;
    double r;
    const LVar *var;
    struct { Buffer *buf; LExpr *index; } load;
    struct { int op; LExpr *arg[3]; } op;       /* op: ScalarOp, loop/scalar.h */
    LExpr *from;                                /* CAST, BITS, SPLAT */
    struct { int op; LExpr *from; } reduce;
    struct { const LFunc *fn; LExpr *arg[PARAMS_MAX]; int narg; } call;
  };
};

/* ---- statements ---- */
typedef enum {
  LS_FOR,       /* for (var = lo; var < hi; var += step) */
  LS_IF,
  LS_LET,       /* a local that is never assigned again */
  LS_STORE,     /* value's lanes to consecutive elements; REGISTER: assignment to element index (constant) */
  LS_CALL,      /* host functions only: run a kernel over items [lo, hi) */
  LS_BARRIER,   /* host functions only: all workers meet */
  LS_NOTE       /* comment */
} LStmtKind;

typedef enum { FOR_PLAIN, FOR_ROLLED /* a reduction loop that must not be unrolled */ } ForKind;

typedef struct Kernel Kernel;

/* Which part of a step a call belongs to. */
typedef enum { DIRECTION_FORWARD, DIRECTION_BACKWARD, DIRECTION_UPDATE } Direction;

struct LStmt {
  LStmtKind kind;
  LStmt *next;
  Span at;
  union {
    struct { LVar *var; LExpr *lo, *hi; int64_t step; ForKind how; LStmt *body; } loop;
    struct { LExpr *cond; LStmt *then, *otherwise; } branch;
    struct { LVar *var; LExpr *value; } let;
    struct { Buffer *buf; LExpr *index, *value; } store;
    struct {
      const Kernel *kernel;
      Buffer **arg;
      LExpr *lo, *hi;
      const char *layer;        /* for measurements, not in the text: whose work; may be NULL */
      Direction direction;
    } call;
    struct { LExpr *when; } barrier;    /* a condition, the same for all workers; NULL: always */
    struct { const char *text; } note;
  };
};

/* A pure function over values: math such as exp. Body: LETs; then the result. It may call functions that
 * stand before it in the module. */
struct LFunc {
  const char *name;             /* unique in the module: "exp" on scalars, "exp_16" on 16 lanes */
  const char *doc;              /* method, error bound */
  LVar *param[PARAMS_MAX];
  int nparam;
  LStmt *body;
  LExpr *result;
};

/* Does items [lo, hi) of its work; different items write different memory, so any split over workers
 * gives the same bits. */
struct Kernel {
  const char *name;             /* "c1_conv", "c1_conv_dw": unique in the module */
  const char *layer;            /* the user's layer path, or NULL */
  const char *formula;          /* mathematics for the comment; may be NULL */
  const char *about;            /* template, tile, layouts: "lanes hold 16 samples; tile 6 filters x 4 pixels" */
  const char *template_name;    /* "stencil", "outer", "matmul" .. or "generic": what summary and tests read */
  Span at;
  double flops;                 /* for a full batch */
  VEC(Buffer *) formal;
  VEC(Buffer *) regs;           /* REGISTER and LOCAL buffers */
  LVar *lo, *hi, *n;            /* items to do; samples in the batch */
  LStmt *body;
};

typedef enum { HOST_TRAIN, HOST_EVAL, HOST_INFER, HOST_COUNT } HostKind;

/* A step function: SPMD over workers; a list of CALLs (each worker its share of the items) and BARRIERs. */
typedef struct {
  HostKind kind;
  const char *name;             /* "train_step" */
  LVar *worker, *nworkers, *n;
  LStmt *body;
  size_t arena_bytes, worker_bytes;
  VEC(Buffer *) buffers;        /* the ARENA and WORKER buffers it uses, in order of first use */
} Host;

typedef struct {
  Arena *arena;
  const char *name;             /* of the net: prefix of every symbol */
  DType real;
  int block;                    /* lanes of a block: 16 (f32) or 8 (f64) */
  int64_t batch;
  VEC(Buffer *) buffers;        /* all but FORMAL and REGISTER */
  VEC(LFunc *) funcs;
  VEC(Kernel *) kernels;
  Host *host[HOST_COUNT];       /* NULL: not there */
  size_t state_bytes;
  uint32_t next_id;             /* of buffers and variables */
} Module;

/* ---- layouts ---- */
Layout layout_row_major(const Type *t);                  /* a batch digit has extent 1: the caller sets it */
int64_t layout_extent(const Layout *l);                         /* stored elements */
bool layout_equal(const Layout *a, const Layout *b);             /* every element at the same place */
bool layout_has_padding(const Layout *l, const Type *t, int64_t batch);
const char *layout_text(Arena *a, const Layout *l);             /* "[n/16][6][28][28][n%16]" */

#endif
