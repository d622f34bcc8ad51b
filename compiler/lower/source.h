/* Sources of a graph, told apart by their attribute: input has `field`, read has `state`, a step argument
 * has `which`; any other source is a constant with a literal `value`. */
#ifndef GRADC_LOWER_SOURCE_H
#define GRADC_LOWER_SOURCE_H

#include "lower/lower.h"

/* The integer attribute of a source node, or -1 when its operation has none of that name. */
int64_t source_attr(const Node *n, const char *attr);
LExpr *source_constant(Lower *l, const Node *n, const Coord *c);        /* element of a constant at c */

#endif
