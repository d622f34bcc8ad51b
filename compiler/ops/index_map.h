/* Index maps as attributes, their gradients, and their text. A nest (kernel/nest.h) travels in the
 * attributes of the operations of index.c as numbers: extents of the indices, and for each row its
 * coefficients, offset, divisor and extent. */
#ifndef GRADC_OPS_INDEX_MAP_H
#define GRADC_OPS_INDEX_MAP_H

#include "kernel/nest.h"
#include "ops/family.h"

#define INDEX(A, op)                                                                    \
  A(op, int,     rank,   "0",     "how many indices are those of the result")           \
  A(op, literal, extent, "",      "values of each index, those of the result first")    \
  A(op, literal, rows,   "",                                                            \
    "for each axis of each operand and each condition: coefficients, offset, divisor, extent") \
  A(op, name,    names,  "",      "what the indices are called")                        \
  A(op, flag,    total,  "false", "summed over samples too")
ATTRS(index, INDEX)

/* The map of a node whose operands have these types. False: the numbers do not fit together. */
bool index_nest(const index_attrs *a, const Type *in, uint32_t nin, Nest *out);
index_attrs index_attrs_of(Arena *a, const Nest *nest, const char *names, bool total);
/* The name of index t; a letter when names has none for it. */
const char *index_name(Arena *a, const char *names, int t);

/* The gradient towards factor k as a gather: for each place of x, the sum over all terms that read
 * it. Factors are the result's gradient, then the others in order; indices are the axes of x, named
 * after what they count, then those that the place leaves open. code: NULL, or a row over the old
 * indices that becomes the last condition. */
void index_inverse(Arena *a, const Nest *nest, const char *names, int k, const NestRow *code,
                   Nest *out, const char **out_names);

/* The sum n of this map as a layer: a convolution or a dense layer, with the views and transposed
 * axes around it. False: it is none, and nothing was made. */
bool index_layer(const GBuild *b, const Node *n, const Nest *nest, Value *out);

/* "c,2*i+j-1": the places of rows [from, to). */
const char *index_places(Arena *a, const Nest *nest, const char *names, int from, int to);
/* " where 0 <= m-c+2 <= 4": the conditions behind the operands' rows and before row `to`. */
const char *index_conditions(Arena *a, const Nest *nest, const char *names, int to);

#endif
