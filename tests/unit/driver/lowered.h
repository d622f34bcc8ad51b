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

/* Gives every value of a step memory of its own, so that all can be looked at afterwards; returns the bytes. */
static inline size_t lowered_spread_buffers(Module *m, HostKind host)
{
  int64_t at = 0;
  Host *h = m->host[host];
  for (uint32_t i = 0; i < h->buffers.n; i++)
    if (h->buffers.at[i]->role == BUF_ARENA) {
      h->buffers.at[i]->offset = at;
      at += align_up(h->buffers.at[i]->extent * dtype_bytes(h->buffers.at[i]->dtype), 64);
    }
  h->arena_bytes = (size_t)at;
  return (size_t)at;
}

/* The first element of a buffer that is padding of samples below n and not zero; -1: there is none. State
 * variables are padded behind their last element too. */
static inline int64_t lowered_bad_padding(const Buffer *b, const void *arena, int64_t n)
{
  if (!b->layout || !b->type || !dtype_is_real(b->dtype))
    return -1;
  for (int64_t i = 0; i < layout_extent(b->layout); i++) {
    int64_t index[RANK_MAX + 1] = { 0 }, rest = i;
    for (int d = b->layout->n - 1; d >= 0; d--) {
      const Digit *g = &b->layout->digit[d];
      index[g->axis + 1] += rest % g->extent * g->div;
      rest /= g->extent;
    }
    bool pad = false;
    for (int a = 0; a < b->type->rank; a++)
      pad = pad || index[a + 1] >= b->type->dim[a];
    if (pad && index[0] < n && lowered_get((const char *)arena + b->offset, b->dtype, i) != 0)
      return i;
  }
  for (int64_t i = layout_extent(b->layout); b->role == BUF_STATE && i < b->extent; i++)
    if (lowered_get((const char *)arena + b->offset, b->dtype, i) != 0)
      return i;
  return -1;
}

/* Row numbers of a batch of n: all different, the last one repeated behind the batch. */
static inline void lowered_ids(uint32_t *ids, int64_t n)
{
  for (int i = 0; i < LOWERED_IDS; i++)
    ids[i] = (uint32_t)((i < n ? i : n - 1) * 3 + 1) % LOWERED_ROWS;
}

/* The largest finite magnitude among count numbers, at least 1: what a tolerance is relative to. */
static inline double lowered_scale(const double *v, int64_t count)
{
  double top = 1;
  for (int64_t i = 0; i < count; i++)
    top = fabs(v[i]) > top && isfinite(v[i]) ? fabs(v[i]) : top;
  return top;
}

#endif
