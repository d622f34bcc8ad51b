/* Narrowing: a module for registers of fewer than 64 bytes. Each value wider than a register
 * becomes parts of a register's width: part p holds lanes p * V .. p * V + V - 1. Every operation
 * stays what it was lane by lane, and sums over lanes keep their tree, so no bit of any result
 * changes.
 *
 *   let v = x[i : 16]                      let v_0 = x[i : 8]
 *   acc[1] = fma(s, v, acc[1])             acc[2] = fma(s, v_0, acc[2])
 *                                          let v_1 = x[i + 8 : 8]
 *                                          acc[3] = fma(s, v_1, acc[3]) */
#ifndef GRADC_LOOP_NARROW_H
#define GRADC_LOOP_NARROW_H

#include "loop/loop.h"

/* A module like m, in m's arena, without values of more than V = vector_bytes / bytes of m's real
 * type lanes; m itself when it has none. vector_bytes: a power of two, at least the real type's
 * size. The result shares m's buffers and the functions that needed no change; m stays as it is. */
Module *narrow(Module *m, int vector_bytes);

/* Lanes of the widest value in kernels and functions; 1: all are scalars. */
int widest_lanes(const Module *m);

#endif
