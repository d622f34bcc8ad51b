/* Texts that specs name: their vocabulary is made while compiling, by the runtime's own reader. */
#ifndef GRADC_TEXT_FILE_H
#define GRADC_TEXT_FILE_H

#include "diag/diag.h"
#include "sema/check.h"

typedef struct {
  Texts texts;                  /* first: what check() is given */
  const char *dir, *root;       /* where paths start; a further folder they may lead to, or NULL */
  const char *file;             /* base name of the spec, for messages */
  const SourceMap *sources;
  DiagSink tell;                /* gets messages about a file */
  void *tell_ctx;
  int *code;                    /* exit code of the first text that cannot be used; 0: none */
} TextFiles;

/* spec: its path. dir: where paths start, NULL: in its folder. tell: gets messages. code: becomes
 * the exit code of the first text that cannot be used. */
TextFiles text_files(Arena *a, const char *spec, const char *dir, const char *root,
                     const SourceMap *sources, DiagSink tell, void *ctx, int *code);

#endif
