/* How a message looks: headline, source line, caret. Private to diag. */
#ifndef GRADC_DIAG_RENDER_H
#define GRADC_DIAG_RENDER_H

#include "base/out.h"
#include "diag/source.h"

typedef enum { PART_ERROR, PART_WARNING, PART_NOTE, PART_HELP, PART_COUNT } PartKind;

/* One headline of a message with its place; code is NULL for notes and helps. */
typedef struct {
  PartKind kind;
  Span at;
  const char *code, *text;
} Part;

/* Writes "file:line:col: error: text [code]", then the source line with a caret under `at`. */
void render_part(const SourceMap *m, const Part *p, bool color, Out *o);

#endif
