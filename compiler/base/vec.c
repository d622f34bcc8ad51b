/* The growth step behind vec_push. */
#include "base/vec.h"
#include "base/util.h"

#include <string.h>

enum { FIRST = 8 };

void *vec_grow(Arena *a, void *at, uint32_t n, uint32_t *cap, size_t item)
{
  if (*cap > UINT32_MAX / 2)
    ice("vec_grow: more than %u items", UINT32_MAX / 2);
  uint32_t wider = *cap ? 2 * *cap : FIRST;
  int64_t bytes = 0;
  if (!checked_mul(wider, (int64_t)item, &bytes))
    ice("vec_grow: %u items of %zu bytes", wider, item);
  void *p = arena_alloc(a, (size_t)bytes);
  if (n)
    memcpy(p, at, n * item);
  *cap = wider;
  return p;
}
