/* The pipeline as a straight list of calls; owns every arena. Commands are built on it. */
#ifndef GRADC_DRIVER_H
#define GRADC_DRIVER_H

#include "backend/backend.h"
#include "budget.h"
#include "describe/describe.h"
#include "lower/tiles.h"
#include "pass/kernels.h"
#include "pass/pass.h"
#include "sema/check.h"

#define GRADC_VERSION "0.1.0"

struct Compilation;

typedef struct {
  const char *file;             /* path of the spec */
  const char *text;             /* the spec itself; NULL: what the file holds */
  const char *const *set;       /* "name=value" overrides */
  int nset;
  const char *train;            /* name of the train block; NULL: the first */
  const Target *target;         /* NULL: this machine */
  const char *family;           /* layout family; NULL: by cost */
  PassOptions pass;             /* what passes print, skip and stop after */
  /* the train function stores gradients instead of updating (gradcheck) */
  bool gradients;
  bool f64;                     /* compute in double whatever the spec says */
  /* transform tiles wherever that can be, whatever it costs (tests) */
  bool transforms;
  bool data_alone;              /* the spec needs no model */
  bool color;
  /* measured register tiles, and what was chosen; lives as long as the compilations; or NULL */
  Tiles *tiles;
  const char *mc;               /* passes with dropout of predict; NULL: none, it is left out */
  bool mc_eval;                 /* they are passes of eval */
  const char *data_dir, *data_root;     /* of data; NULL: the spec's folder, none */
  const char *memory;           /* budget of a step, as str_to_bytes reads it; NULL: the spec's */
  /* changes the checked model before its graphs are made; NULL: it stays as the spec says */
  void (*edit)(struct Compilation *c, const void *ctx);
  const void *edit_ctx;
} DriverOptions;

/* Everything a compilation made; lives until compilation_free. */
typedef struct Compilation {
  Arena *arena;
  SourceMap *sources;
  Diag *diag;
  DiagSink tell;                /* gets messages, of a diagnostic or about a file */
  void *tell_ctx;
  const char *text;
  uint32_t length, base;
  struct Ast *ast;
  Model *model;
  Program *program;             /* train, eval and infer graphs, final */
  Decisions *decisions[HOST_COUNT];
  Module *module;
  const Target *target;
  const gradrt_net *net;
  const char *fingerprint;      /* of the mathematics: recomputation does not change it */
  const Budget *budget;         /* NULL: none was given */
  int passes, eval_passes;      /* of predict, of eval, with dropout; 0: without */
  Out *dump;                    /* what passes printed */
  bool stopped;                 /* a pass was the last one asked for: there is no module */
} Compilation;

Compilation *compilation_new(void);
/* Messages go to the sink, not to stderr; before anything is compiled. */
void compilation_tell(Compilation *c, DiagSink sink, void *ctx);
void compilation_free(Compilation **c);
/* Each returns an exit code, 0 for success, and tells diagnostics. Each does what the ones before
 * do. */
int compile_parse(Compilation *c, const DriverOptions *o);
/* names, shapes, training: all user errors */
int compile_check(Compilation *c, const DriverOptions *o);
/* autodiff, optimizer, layouts, kernels */
int compile_graphs(Compilation *c, const DriverOptions *o);
/* loop IR and the net's description */
int compile_module(Compilation *c, const DriverOptions *o);

#endif
