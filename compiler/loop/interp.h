/* Interpreter of the loop IR: element types are computed as declared (f32 in float, fma once
 * rounded, denormal operands and results of real arithmetic flushed to zero), so its results equal
 * compiled code bit for bit. The oracle of back-end tests. */
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
  bool last_first;              /* in which order: the last worker first */
} LoopRun;

/* Runs a host function. Returns NULL, or a message: index out of range, division by zero, integer
 * overflow, a cast that does not fit, read of a register before its first assignment. Rows are
 * checked against the largest number in ids. */
const char *loop_run(const Module *m, HostKind host, const LoopRun *run, Arena *a);

/* Runs one kernel on items [lo, hi) with n samples; block[i] is the memory of formal i. */
const char *loop_run_kernel(const Module *m, const Kernel *k, void *const *block, int64_t lo,
                            int64_t hi, int64_t n, Arena *a);

/* Evaluates f for `count` elements, lanes at a time: arg[i] and result are arrays of the
 * parameter's and the result's type. count is a multiple of the lanes. Returns NULL or a message as
 * above. */
const char *loop_eval_func(const Module *m, const LFunc *f, const void *const *arg, void *result,
                           int64_t count, Arena *a);

#endif
