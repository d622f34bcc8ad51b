/* Interpreter of the loop IR: element types are computed as declared (f32 in float, fma once rounded), so
 * its results equal compiled code bit for bit. The oracle of back-end tests. */
#ifndef GRADC_LOOP_INTERP_H
#define GRADC_LOOP_INTERP_H

#include "loop/loop.h"

typedef struct {
  void *state, *arena, *worker; /* blocks; worker: nworkers * worker_bytes */
  const void *const *rows;      /* by field */
  const uint32_t *ids;
  const double *args;
  void *const *out;             /* by output */
  int64_t n;
  int nworkers;                 /* run one after the other between barriers */
} LoopRun;

/* Runs a host function. Returns NULL, or a message: index out of range, division by zero, read of a
 * register before its first assignment. */
const char *loop_run(const Module *m, HostKind host, const LoopRun *run, Arena *a);

#endif
