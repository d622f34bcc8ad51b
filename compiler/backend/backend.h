/* A back end turns a module into text or objects. It receives loop IR and the net description, never a
 * graph. Contract of what arrives: loop/verify.h holds; see backend/null for the clauses it adds. */
#ifndef GRADC_BACKEND_BACKEND_H
#define GRADC_BACKEND_BACKEND_H

#include "base/out.h"
#include "diag/diag.h"
#include "gradrt.h"
#include "loop/loop.h"
#include "target/target.h"

/* What a program can tell of its speed: nothing, the time of steps, also that of each kernel. */
typedef enum { MEASURE_NOTHING, MEASURE_STEPS, MEASURE_KERNELS } Measure;

typedef struct {
  const Module *module;
  const gradrt_net *net;        /* descriptions to print as constant tables; its function pointers are NULL */
  const Target *target;
  const char *spec_file;        /* base name for the banner: "lenet.nn" */
  const char *version;
  const SourceMap *sources;     /* for "lenet.nn:12" in comments */
  bool thin;                    /* include gradrt.h and link libgradrt instead of carrying the runtime's text */
  bool linked;                  /* C: carries gradrt.h alone: linked with gradc's libgradrt */
  bool library;                 /* C: the functions of backend/library.h in the place of main */
  bool loaded;                  /* C: gradrt_loaded_net in the place of main; it returns the net */
  /* C: nothing but inference, with these weights (a state block of the net); NULL: all of it */
  const void *weights;
  Measure measure;
  const char *runtime_links;    /* thin: the libraries of libgradrt, " -lz -lpng"; NULL: " -lz" */
  Arena *arena;
  Diag *diag;
} EmitArgs;

typedef struct {
  const char *name, *doc, *suffix;
  bool (*emit)(const EmitArgs *, Out *);
} Backend;

const Backend *backend_find(const char *name);
const Backend *const *backend_all(int *n);

#endif
