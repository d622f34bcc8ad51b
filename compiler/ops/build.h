/* Constructors of graph nodes: types are inferred, trivial algebra is applied (x + 0, x * 1, - - x).
 * A constructor that cannot infer its type is a bug of the caller and ends in ice(). Operands of
 * g_add and its kin broadcast as infer_broadcast says. Nodes land in b->graph and its arena. */
#ifndef GRADC_OPS_BUILD_H
#define GRADC_OPS_BUILD_H

#include "ir/ctx.h"
#include "ops/ops.h"

/* Where nodes go and what they are called. */
typedef struct {
  Graph *graph;
  const char *name;             /* the user's layer that new nodes belong to; may be NULL */
  Span at;
} GBuild;

GBuild g_in_graph(Graph *g, const char *name, Span at);
GBuild g_in_grad(const Grad *g);                /* inside a grad hook */
GBuild g_in_expand(const Expand *e);            /* inside an expand hook */
GBuild g_like(Graph *g, const Node *n);         /* beside n, as simplify hooks want it */

/* Appends a node with inferred types. attrs are copied; NULL: none, or all zero. */
Node *g_node(const GBuild *b, const OpDef *op, const void *attrs, const Value *in, uint32_t nin);
/* The same for result 0. */
Value g_op(const GBuild *b, const OpDef *op, const void *attrs, const Value *in, uint32_t nin);

/* sources */
Value g_const(const GBuild *b, double value);                   /* real scalar, unbatched */
Value g_literal(const GBuild *b, Literal value);        /* real tensor; values are not copied */
Value g_arg(const GBuild *b, StepArg which);                    /* real scalar, unbatched */
Value g_input(const GBuild *b, uint32_t field);
Value g_read(const GBuild *b, uint32_t state);
bool value_is_const(Value v, double *value);                    /* a constant of one element */
bool value_state(Value v, uint32_t *state);             /* the state variable that v reads */

/* elementwise */
Value g_add(const GBuild *b, Value x, Value y);
Value g_sub(const GBuild *b, Value x, Value y);
Value g_mul(const GBuild *b, Value x, Value y);
Value g_div(const GBuild *b, Value x, Value y);
Value g_fma(const GBuild *b, Value x, Value y, Value z);        /* x * y + z, rounded once */
Value g_min(const GBuild *b, Value x, Value y);
Value g_max(const GBuild *b, Value x, Value y);
Value g_if_lt(const GBuild *b, Value p, Value q, Value x, Value y);     /* p < q ? x : y */
Value g_if_eq(const GBuild *b, Value p, Value q, Value x, Value y);     /* p == q ? x : y */
Value g_neg(const GBuild *b, Value x);
Value g_exp(const GBuild *b, Value x);
Value g_log(const GBuild *b, Value x);
Value g_sqrt(const GBuild *b, Value x);
Value g_abs(const GBuild *b, Value x);
Value g_square(const GBuild *b, Value x);
Value g_power(const GBuild *b, Value x, double exponent);        /* x^exponent */
/* x * scale + offset, rounded once */
Value g_affine(const GBuild *b, Value x, double scale, double offset);
Value g_scale(const GBuild *b, Value x, double k);
Value g_cast(const GBuild *b, Value x, DType to);
Value g_spread(const GBuild *b, Value x, const Type *to);       /* to the shape of `to` */

/* layers */
Value g_dense(const GBuild *b, Value x, Value w, Value bias);   /* bias.node NULL: none */
Value g_dropout(const GBuild *b, Value x, double p);            /* keyed by the builder's name */
Value g_rnn_scan(const GBuild *b, const Value *in, uint32_t nin, bool relu);   /* x w b? first? */
Value g_last_dx(const GBuild *b, Value dy, int64_t steps);      /* [C] -> [steps, C] */
/* A dense layer, or dense_dw(dy, x), whose x [T, tokens] is one_hot; no node: it is not. */
Value g_columns(const GBuild *b, const Node *dense);
Value g_columns_dw(const GBuild *b, Value dy, Value x);

/* views and reductions */
Value g_reshape(const GBuild *b, Value x, const Type *like);    /* to the dims of `like` */
Value g_row_sum(const GBuild *b, Value x);      /* [n,..,W] -> [n,..,1] */
Value g_channel_sum(const GBuild *b, Value x);  /* [n,C,..] -> [C]: over samples and space */
Value g_batch_sum(const GBuild *b, Value x);    /* [n,..] -> [..] */
Value g_batch_mean(const GBuild *b, Value x);   /* [n,..] -> [..]: sum divided by the run-time n */
Value g_sum(const GBuild *b, Value x);          /* [n,..] -> [n]; without a batch [..] -> [] */
Value g_sumsq(const GBuild *b, Value x);        /* unbatched [..] -> [] */
/* The gradient d of a broadcast result summed down to the type of one operand. */
Value g_reduce_to(const GBuild *b, Value d, const Type *to);

#endif
