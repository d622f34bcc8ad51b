/* Capabilities of the machine that code is generated for, as data. */
#ifndef GRADC_TARGET_TARGET_H
#define GRADC_TARGET_TARGET_H

#include "base/arena.h"

#include <stdbool.h>

typedef struct {
  const char *name;             /* "x86-64-v4" .. "wasm32": the values of --cpu */
  const char *doc;
  int vector_bytes;             /* 64, 32, 16 */
  int registers;                /* vector registers: 32, 16 */
  int pointer_bytes;            /* 8, 4 */
  bool fma;
  const char *c_test;           /* preprocessor condition that must hold when the C is compiled */
  const char *c_flags;          /* flags for the C compiler */
  const char *arch;             /* as triples start: "x86_64" .. "wasm32" */
  const char *llvm_cpu;         /* LLVM's name of the processor */
  const char *llvm_features;    /* what it has besides: "+m,+a", or "" */
  const char *system;           /* the rest of a triple, where none is given */
} Target;

const Target *target_find(const char *name);            /* NULL: unknown */
const Target *target_host(void);                        /* best one this machine runs; NULL: none of them */
const Target *const *target_all(int *n);
const char *target_words(Arena *a);     /* what --cpu takes: "native, x86-64-v4, .." */

#endif
