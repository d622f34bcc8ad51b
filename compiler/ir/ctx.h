/* What the hooks of an OpDef may call. Storage and bookkeeping only; policy stays in ops/ and pass/. */
#ifndef GRADC_IR_CTX_H
#define GRADC_IR_CTX_H

#include "diag/diag.h"
#include "ir/op.h"

/* ---- infer ---- */
struct Infer {
  Arena *arena;
  Diag *diag;                   /* NULL: speculative; infer_error then only returns false */
  DType real;
  const Type *in;               /* operand types; dtype DT_COUNT: operand not given */
  uint32_t nin;
  const Span *in_at;            /* where each operand was made; may be NULL */
  const char *const *in_name;   /* how the user names each operand; may be NULL */
  const Program *program;       /* sources take their types from its fields and state; NULL: sources cannot be inferred */
};
/* Reports at the node: "<op>: <message>", with the operand types as notes. Always returns false. */
bool infer_error(Infer *c, const Node *n, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool infer_help(Infer *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));  /* returns false */
bool infer_same_as(Infer *c, const Node *n, uint32_t operand, Type *out);
/* Broadcasts all operands: equal shapes; a scalar; an unbatched tensor against a batched one of equal
 * dims; or [C] against [C,H,W..] when attribute-free channel broadcasting applies. */
bool infer_broadcast(Infer *c, const Node *n, Type *out);

/* ---- params ---- */
/* Declares a tensor owned by the layer; it becomes the next operand. suffix: "weight". */
struct Params {
  Program *program;
  const Type *in;               /* types of the operands given by the user */
  const char *path;             /* "c1.conv"; the variable is named path + "." + suffix */
  Span at;
  VEC(uint32_t) made;           /* state ids in order */
  Diag *diag;                   /* for given values of a wrong shape; NULL: silent */
};
void param_add(Params *p, const char *suffix, StateRole role, int rank, const int64_t *dim, Init init,
               int64_t fan_in, int64_t fan_out, bool trainable);
/* With given values: checks the literal's shape against dim and reports E0208 to diag. */
void param_add_given(Params *p, const char *suffix, int rank, const int64_t *dim, Literal given, bool trainable,
                     Diag *diag);
void param_none(Params *p);     /* the next operand (an optional one) is absent */

/* ---- grad ---- */
struct Grad {
  Graph *graph;                 /* where gradient nodes are appended */
  const bool *wanted;           /* by node id: some trainable parameter lies below it */
  Value *adjoint;               /* by node id and result, see grad_slot */
  uint32_t *first_slot;
  const OpTable *ops;
  const OpDef *add;             /* sums two gradients of one value */
  const char *name;             /* of the node being differentiated: gradient nodes carry it */
  Span at;
};
bool grad_wanted(const Grad *g, const Node *n, uint32_t operand);       /* false: skip the work, nobody needs it */
void grad_add(Grad *g, const Node *n, uint32_t operand, Value d);       /* adds d to the operand's adjoint */

/* ---- expand ---- */
/* INFER: evaluation of samples by themselves, without what batches hand on. SAMPLE: the same, but
 * dropout drops. */
typedef enum { MODE_TRAIN, MODE_EVAL, MODE_INFER, MODE_SAMPLE } Mode;
struct Expand {
  Graph *graph;
  Mode mode;
  const OpTable *ops;
  const char *name;
  Span at;
  double lr_scale;              /* of update rules: times the rate of each step; 0 is 1 */
};
void expand_write(Expand *e, uint32_t state, Value v);  /* state := v when the step ends (running statistics, slots) */

#endif
