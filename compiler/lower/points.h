/* Kernels of elementwise groups: what points.c and transpose.c share. */
#ifndef GRADC_LOWER_POINTS_H
#define GRADC_LOWER_POINTS_H

#include "lower/lower.h"

/* True for the anchor and the nodes that its kernel finishes. */
bool points_in_group(Lower *l, const Node *n, const Node *anchor);
/* Builds the kernel of an anchor whose operands have their lanes along another axis than its
 * result; false, and nothing built: the layouts are not of that kind. */
bool lower_transposed(Lower *l, const Node *anchor, const Layout *layout);

#endif
