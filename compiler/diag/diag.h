/* Errors, warnings, notes and helps. A message is collected with its notes and rendered when the
 * next one starts or at diag_flush. Nothing here exits; callers go on with poisoned values. */
#ifndef GRADC_DIAG_DIAG_H
#define GRADC_DIAG_DIAG_H

#include "diag/source.h"

typedef struct Diag Diag;
typedef void (*DiagSink)(void *ctx, const char *text);  /* receives whole rendered messages */

enum { DIAG_ERRORS_MAX = 20, DIAG_WARNINGS_MAX = 20 };  /* shown in one run */

Diag *diag_new(Arena *a, const SourceMap *m, DiagSink sink, void *ctx);
/* code: "E0201"; the family decides the exit code: 1 spec, 3 data, 6 limits, 5 tools. */
void diag_error(Diag *d, Span at, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void diag_warn(Diag *d, Span at, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A further place in the same message, with its own caret line; {0,0}: text only. */
void diag_note(Diag *d, Span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_help(Diag *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diag_flush(Diag *d);
int diag_errors(const Diag *d);
int diag_exit_code(const Diag *d);      /* of the first error; 0 without errors */
void diag_use_color(Diag *d, bool on);
void diag_warnings_as_errors(Diag *d, bool on);
Arena *diag_arena(const Diag *d);
const SourceMap *diag_sources(const Diag *d);

#endif
