/* Growable arrays in an arena. Growth abandons the old block to the arena. */
#ifndef GRADC_BASE_VEC_H
#define GRADC_BASE_VEC_H

#include "base/arena.h"

#define VEC(T)       \
  struct {           \
    T *at;           \
    uint32_t n, cap; \
  }

void *vec_grow(Arena *a, void *at, uint32_t n, uint32_t *cap, size_t item);

#define vec_push(a, v, x)                                                               \
  ((v)->n == (v)->cap                                                                   \
       ? (void)((v)->at = vec_grow((a), (v)->at, (v)->n, &(v)->cap, sizeof *(v)->at))   \
       : (void)0,                                                                       \
   (v)->at[(v)->n++] = (x))

#endif
