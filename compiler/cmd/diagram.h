/* A net as a diagram: boxes of layers from top to bottom, and what flows between them. Made from
 * the checked model, drawn as SVG or written for Graphviz. */
#ifndef GRADC_CMD_DIAGRAM_H
#define GRADC_CMD_DIAGRAM_H

#include "base/out.h"
#include "base/vec.h"
#include "sema/model.h"

typedef enum { BOX_INPUT, BOX_LAYERS, BOX_LOSS, BOX_OUTPUT } BoxKind;

typedef struct { const char *what, *how; } DiagramLine;       /* "conv", "filters=6, kernel=[5]" */

/* Layers of one statement, each the only reader of the one before. */
typedef struct {
  BoxKind kind;
  const char *name;             /* "c1", "h0_1.a" */
  VEC(DiagramLine) line;
  int64_t params;
  const char *shape;            /* of what it gives: "6x14x14" */
  int group;                    /* index of a group of boxes, or -1 */
  int rank;                     /* row from the top */
  double x, y, width, height;   /* centre of the upper edge, and size; of the drawing */
} DiagramBox;

/* lane: x of its way past rows; 0: there are none between; of the drawing */
typedef struct { int from, to; double lane; } DiagramEdge;

/* Boxes whose names begin alike: what one call of a block made. */
typedef struct { const char *name; int boxes; } DiagramGroup;

typedef struct {
  Arena *arena;
  const char *name, *file;
  int64_t params;
  VEC(DiagramBox) box;
  VEC(DiagramEdge) edge;
  VEC(DiagramGroup) group;
  int rows;
} Diagram;

Diagram *diagram_new(const Model *m, Arena *a);
/* A standalone <svg>, or one for a page; light and dark by itself, text as text. */
void diagram_svg(Out *o, Diagram *d);
void diagram_dot(Out *o, const Diagram *d);     /* for Graphviz */

#endif
