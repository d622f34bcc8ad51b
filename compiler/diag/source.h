/* Loaded source files share one global offset space, so a Span of 8 bytes names a place anywhere. */
#ifndef GRADC_DIAG_SOURCE_H
#define GRADC_DIAG_SOURCE_H

#include "base/arena.h"
#include "base/util.h"

typedef struct SourceMap SourceMap;

typedef struct {
  const char *file;             /* as the user named it */
  int line, col;                /* from 1; col counts UTF-8 code points, a tab is one */
  const char *text;             /* start of that line; not NUL-terminated */
  int length;                   /* bytes of that line without its newline */
} Place;

SourceMap *source_map_new(Arena *a);
/* Adds a text and returns the offset of its first byte; offsets start at 1, so Span {0,0} is nowhere. */
uint32_t source_add(SourceMap *m, const char *file, const char *text, uint32_t length);
bool source_place(const SourceMap *m, uint32_t offset, Place *out);     /* false: nowhere */
const char *source_at(const SourceMap *m, Arena *a, Span at);   /* "lenet.nn:12", or "" */

#endif
