/* What tests of lowered code share: where elements lie, numbers, comparison with the float64 reference. */
#ifndef GRADC_TESTS_DRIVER_LOWERED_H
#define GRADC_TESTS_DRIVER_LOWERED_H

#include "loop/interp.h"
#include "lower/lower.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LOWERED_ROWS = 40, LOWERED_IDS = 64 };

/* Where row-major element `flat` of a tensor without a batch lies under a layout. */
static inline int64_t lowered_place(const Layout *l, const Type *t, int64_t flat)
{
  int64_t index[RANK_MAX] = { 0 }, place = 0;
  for (int a = t->rank - 1; a >= 0; a--) {
    index[a] = flat % t->dim[a];
    flat /= t->dim[a];
  }
  for (int i = 0; i < l->n; i++)
    place = place * l->digit[i].extent + index[l->digit[i].axis] / l->digit[i].div % l->digit[i].extent;
  return place;
}

static inline void lowered_put(void *block, DType t, int64_t i, double v)
{
  switch (t) {
  case DT_F32: ((float *)block)[i] = (float)v; break;
  case DT_F64: ((double *)block)[i] = v; break;
  case DT_U8: ((uint8_t *)block)[i] = (uint8_t)v; break;
  case DT_I32: ((int32_t *)block)[i] = (int32_t)v; break;
  case DT_U32: ((uint32_t *)block)[i] = (uint32_t)v; break;
  case DT_I64: ((int64_t *)block)[i] = (int64_t)v; break;
  case DT_COUNT: break;
  }
}

static inline double lowered_get(const void *block, DType real, int64_t i)
{
  return real == DT_F32 ? (double)((const float *)block)[i] : ((const double *)block)[i];
}

/* NaN in every element: whoever reads what was never written is found out. */
static inline void lowered_poison(void *block, DType real, size_t bytes)
{
  for (size_t i = 0; i < bytes / (size_t)dtype_bytes(real); i++)
    lowered_put(block, real, (int64_t)i, NAN);
}

/* The state variable's buffer of a module. */
static inline const Buffer *lowered_state(const Module *m, uint32_t state)
{
  for (uint32_t i = 0; i < m->buffers.n; i++)
    if (m->buffers.at[i]->role == BUF_STATE && m->buffers.at[i]->index == (int)state)
      return m->buffers.at[i];
  return NULL;
}

/* Row numbers of a batch of n: all different, the last one repeated behind the batch. */
static inline void lowered_ids(uint32_t *ids, int64_t n)
{
  for (int i = 0; i < LOWERED_IDS; i++)
    ids[i] = (uint32_t)((i < n ? i : n - 1) * 3 + 1) % LOWERED_ROWS;
}

/* The largest magnitude among count numbers, at least 1: what a tolerance is relative to. */
static inline double lowered_scale(const double *v, int64_t count)
{
  double top = 1;
  for (int64_t i = 0; i < count; i++)
    top = fabs(v[i]) > top ? fabs(v[i]) : top;
  return top;
}

#endif
