/* Files of specs: reading one, and putting those that it uses into its place. */
#ifndef GRADC_SPEC_FILE_H
#define GRADC_SPEC_FILE_H

#include "diag/diag.h"
#include "syntax/ast.h"

/* Reads a spec of at most 16 MiB; text ends with NUL. EXIT_IO or EXIT_LIMIT: it could not be, and
 * *what ("open", "read") and *why say so. Does not wait for a pipe that nobody writes. */
int spec_read(Arena *a, const char *path, const char **text, uint32_t *length, const char **what,
              const char **why);

/* The same for a spec in memory, which ends with NUL: a copy of it. */
int spec_take(Arena *a, const char *spec, const char **text, uint32_t *length, const char **what,
              const char **why);

/* Replaces every `use` among the items of a file by the items of the file it names, once each.
 * path: of the file; used ones lie in its folder or below. Mistakes go to d. */
void spec_use(Ast *file, const char *path, Arena *a, SourceMap *sources, Diag *d);

#endif
