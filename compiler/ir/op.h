/* OpDef: the one place for everything the compiler knows about an operation. Hooks take opaque
 * contexts (ir/ctx.h, loop/, lower/), so this header needs no other stage. */
#ifndef GRADC_IR_OP_H
#define GRADC_IR_OP_H

#include "ir/graph.h"

typedef struct Infer Infer;             /* ir/ctx.h */
typedef struct Params Params;           /* ir/ctx.h */
typedef struct Grad Grad;               /* ir/ctx.h */
typedef struct Expand Expand;           /* ir/ctx.h */
typedef struct RefTensor RefTensor;     /* ir/ref.h: float64 tensors of the reference interpreter */
typedef struct RefCtx RefCtx;
typedef struct Scalar Scalar;           /* loop/scalar.h */
typedef struct LExpr LExpr;             /* loop/loop.h */
typedef struct Coord Coord;             /* lower/lower.h */
typedef struct Lower Lower;             /* lower/lower.h */
typedef struct Plans Plans;             /* lower/plan.h */
typedef struct Plan Plan;

typedef enum {
  OP_SOURCE,    /* no operands: input, read, const, step argument */
  OP_EWISE,     /* one result element from the operands' elements at the same place, with broadcasting */
  OP_VIEW,      /* the same elements in the same order under another shape */
  OP_NEST,      /* its own loop nest: lower() */
  OP_MACRO,     /* expand() into other operations before differentiation or after it */
  OP_RULE       /* not a tensor operation: an optimizer's update rule, expanded when the train graph is made */
} OpClass;

enum {
  OP_LAYER = 1,         /* callable in a model: x -> name(...) */
  OP_LOSS = 2,          /* callable in `loss:`; operands (prediction, target); result: one value per sample */
  OP_OPTIMIZER = 4,     /* callable in `optimizer:` */
  OP_COMMUTES = 8,
  OP_RANDOM = 16,       /* draws random numbers: never merged with an equal node */
  OP_MODAL = 32,        /* expand() differs between training and evaluation: must expand before autodiff */
  OP_MASKED = 128,      /* EWISE gradient that is not zero where dy is: made zero past the batch */
  OP_ZERO = 64,         /* EWISE with f(0,..,0) == 0: keeps the zero pad lanes of a layout */
  OP_CLAMPS = 256,      /* EWISE of x that never falls: x itself, or flat with a gradient of 0 */
  OP_PICKS = 512,       /* result 0 is the largest of some elements, which gets its gradient */
  OP_RECORDS = 2048,    /* results after the first are for its gradient alone: none flows to them */
  OP_SPREADS = 1024     /* in training divides by the spread of each channel of operand 0 */
};

typedef struct { const char *attrs, *shapes; } OpSample;        /* "filters=4, kernel=[3,3]", "x=f32[n,3,8,8]" */

struct OpDef {
  const char *name, *doc;
  const char *aliases;          /* words of Keras and PyTorch that mean this, for suggestions; or NULL */
  const char *formula;          /* "$y[o] = sum_i $w[o,i] * $x[i] + $b[o]": $ marks operands and results */
  const char *link;             /* OP_LOSS: the operation that makes probabilities of its predictions; or NULL */
  const char *surrogate;        /* layers without a gradient: what to train with instead */
  const char *average;          /* of optimizers: their slot with the average of the weights */
  OpClass cls;
  unsigned flags;
  const char *operands;         /* "x w b?": names; '?' optional, trailing '*' any number */
  const char *results;          /* "y" or "y mean var" */
  const AttrDef *attrs;         /* from ATTRS(); ends with a NULL name; NULL: no attributes */
  size_t attrs_size;
  int positional;               /* how many leading attributes may be given without their name */
  bool   (*infer)(Infer *, const Node *, Type *out);            /* result types, or a diagnostic */
  void   (*params)(Params *, const Node *);                     /* tensors this layer or rule owns; they become operands */
  void   (*grad)(Grad *, const Node *, const Value *dy);        /* dy per result, node NULL: no gradient flows */
  bool   (*expand)(Expand *, const Node *, Value *out);         /* MACRO, RULE; NEST: for options its loops lack; false: keep the node */
  Value  (*simplify)(Graph *, Node *);                          /* algebraic rule beside its operation; {n,0}: no change */
  LExpr *(*scalar)(Scalar *, const Node *, LExpr **x);          /* EWISE: one result element */
  double (*ref_scalar)(const Node *, const double *x);          /* EWISE: the same in plain C doubles */
  void   (*ref)(RefCtx *, const Node *, RefTensor *const *in, RefTensor *const *out); /* others: naive loops */
  void   (*plans)(Plans *, const Node *);                       /* NEST: operand layouts and cost of each way to do it */
  void   (*lower)(Lower *, const Node *, const Plan *);         /* NEST: builds loop IR, usually through kernel/ */
  /* NEST: each result comes from its own k[0] x k[1] cells of the only operand; else false */
  bool   (*windows)(const Node *, int64_t k[2]);
  /* with windows: the results of one of them from its cells, row-major */
  void   (*combine)(Lower *, const Node *, LExpr *const *cell, LExpr **result);
  /* NEST: result 0 at *c is the element of operand 0 at another place, which replaces *c. */
  void   (*elsewhere)(Lower *, const Node *, Coord *c);
  /* NEST: each result comes from one row of the operands, their last axis: computes it at the row's
   * place, which leaves that axis open. */
  void   (*row)(Lower *, const Node *, const Coord *);
  /* the formula with this node's own indices, `$` marks as in formula; NULL: the formula is all */
  const char *(*written)(Arena *, const Node *);
  const char *matrix;           /* the result as a product of matrices, without bias; or NULL */
  double (*flops)(const Node *);                                /* per sample for batched results; multiply-add = 2 */
  const OpSample *samples;
};

/* The table of operations travels as an argument; only ops/ and pass/ name `op_x` symbols. */
typedef struct { const OpDef *const *at; int n; } OpTable;
const OpDef *op_find(const OpTable *t, const char *name);       /* exact name, or NULL */
/* The nearest operation with all of flags for a misspelt or foreign name; *alias: found by alias. */
const OpDef *op_suggest(const OpTable *t, const char *name, unsigned flags, bool *alias);
int op_operand_count(const OpDef *op);          /* without optional ones counted out: all names in `operands` */
const char *op_operand_name(const OpDef *op, Arena *a, uint32_t i);
int op_result_count(const OpDef *op);
/* Index of a word of n letters in a list such as "x w b?"; -1: not there. */
int op_word_index(const char *words, const char *word, size_t n);

#endif
