/* Types of loop expressions: what build.c insists on, read.c reports and verify.c checks. */
#ifndef GRADC_LOOP_EXPR_H
#define GRADC_LOOP_EXPR_H

#include "loop/build.h"

const char *ltype_text(int dtype);                      /* "f32" .. "bool" */
bool ltype_parse(const char *text, int *dtype);         /* false: no such type */
int ltype_bytes(int dtype, DType real);                 /* of one lane; a bool is as wide as real */
bool lanes_valid(int lanes);                            /* 1, 2, 4, 8, 16 */
/* False when operands of these types (as many as op's arity) do not fit any signature of op. */
bool scalar_result(ScalarOp op, const int *dtype, DType real, int *result);
bool cast_valid(int from, int to);
bool bits_valid(int from, int to);
bool reduce_valid(ScalarOp op, int dtype, int lanes);
bool lexpr_is_int(const LExpr *e, int64_t *i);          /* an i64 constant */
/* Calls fn for every direct operand of e. */
void lexpr_each(const LExpr *e, void (*fn)(void *ctx, const LExpr *operand), void *ctx);

#endif
