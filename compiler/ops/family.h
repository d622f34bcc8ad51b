/* What the files of operations share: checks for infer hooks, access to operands, costs. */
#ifndef GRADC_OPS_FAMILY_H
#define GRADC_OPS_FAMILY_H

#include "base/str.h"
#include "ir/ctx.h"
#include "ir/ref.h"
#include "loop/scalar.h"
#include "ops/build.h"

/* True when operand i is there: given by the user or made by the params hook. */
static inline bool operand_given(const Node *n, uint32_t i) { return i < n->nin && n->in[i].node; }

/* The checks of infer hooks report and return false. */
bool want_operands(Infer *c, const Node *n, uint32_t count);    /* at least that many, all given */
bool want_real(Infer *c, const Node *n, uint32_t i);            /* operand i, if given, is real */
bool want_reals(Infer *c, const Node *n);                       /* all given operands */
bool want_batched(Infer *c, const Node *n, uint32_t i);
bool want_same(Infer *c, const Node *n, uint32_t i, uint32_t j);        /* equal types */
bool want_fraction(Infer *c, const Node *n, const char *what, double v);        /* 0 <= v < 1 */
/* Operands from `first` are a prediction and a real target of its shape, or of one element each;
 * labels: a target of one element may be an integer. E0209. */
bool want_prediction(Infer *c, const Node *n, uint32_t first, bool labels);
/* Operand i, which is given, is [R, width] without a batch: a row for each sample, R >= batch. */
bool want_state_rows(Infer *c, const Node *n, uint32_t i, int64_t width);
bool want_elems(Infer *c, const Node *n, const Type *out);      /* its size does not overflow */
const char *shape_text(Infer *c, const Type *t);        /* "[6, 28, 28]"; "a number" for rank 0 */

/* Infer hooks of many operations. */
bool infer_broadcast_reals(Infer *c, const Node *n, Type *out);
bool infer_like_first(Infer *c, const Node *n, Type *out);      /* all of one real type */

/* Parameters of dense and conv. Starts as PyTorch: the weight kaiming_uniform with slope sqrt 5,
 * the bias uniform within +- 1 / sqrt(fan_in), unless values or another start are given. */
void param_add_weight(Params *p, int rank, const int64_t *dim, Literal given, Init init,
                      int64_t fan_in, int64_t fan_out, bool trainable);
void param_add_bias(Params *p, int64_t dim, Literal given, Init init, int64_t fan_in,
                    int64_t fan_out, bool trainable);

int64_t input_field(const Node *n);             /* number of the field that n reads, or -1 */
/* How many classes the numbers of a field stand for that v is, or is a view of; 0: nobody knows. */
int64_t classes_of_input(const Program *p, Value v);

double flops_elems(const Node *n);              /* one per element of result 0 */
int64_t value_elems(Value v);                   /* per sample */

#endif
