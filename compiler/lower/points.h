/* Kernels of elementwise groups: what points.c, draw.c and transpose.c share. */
#ifndef GRADC_LOWER_POINTS_H
#define GRADC_LOWER_POINTS_H

#include "lower/lower.h"

/* True for the anchor and the nodes that its kernel finishes. */
bool points_in_group(Lower *l, const Node *n, const Node *anchor);
/* Is digit i of the layout a block of lanes? */
bool points_is_lane(const Lower *l, const Layout *layout, int i);
/* Can all operands of the anchor's group be read a block at a time in the layout's lanes? */
bool points_lanes_fit(Lower *l, const Node *anchor, const Layout *layout);
/* Computes the anchor's element at c, `lanes` wide, and what is fused to it. */
void points_finish(Lower *l, const Node *anchor, const Coord *c, int lanes);
/* Builds the kernel of an anchor whose group draws random numbers, if four elements can share each
 * draw; false, and nothing built: they cannot, or nothing is drawn. */
bool lower_quads(Lower *l, const Node *anchor, const Layout *layout);
/* Builds the kernel of an anchor whose operands have their lanes along another axis than its
 * result; false, and nothing built: the layouts are not of that kind. */
bool lower_transposed(Lower *l, const Node *anchor, const Layout *layout);

#endif
