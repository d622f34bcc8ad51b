/* From AST to checked model: names, parameters, shapes, data, training. Finds all user errors of
 * the text. */
#ifndef GRADC_SEMA_CHECK_H
#define GRADC_SEMA_CHECK_H

#include "diag/diag.h"
#include "sema/model.h"

typedef struct Ast Ast;

/* Reads the text that a source names. Returns false when it cannot be used, which was reported.
 * *n tokens in the arena; *entry NULL: they are bytes. */
typedef struct Texts {
  bool (*vocabulary)(const struct Texts *t, const SourceSpec *source, Arena *a,
                     const char *const **entry, int64_t *n);
} Texts;

typedef struct {
  /* overrides "name=value" of params and of epochs, lr, batch, seed, real */
  const char *const *set;
  int nset;
  const char *train;            /* name of the train block to compile; NULL: the first */
  const Texts *texts;           /* NULL: texts cannot be read, and have two tokens */
  bool data_alone;              /* a spec without a model is no mistake */
} CheckOptions;

/* Returns NULL when the spec has errors (all of them are in diag, at most DIAG_ERRORS_MAX). */
Model *check(const Ast *file, const char *file_name, const CheckOptions *o, const OpTable *ops,
             Arena *a, Diag *d);

#endif
