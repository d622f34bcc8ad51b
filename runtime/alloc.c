/* Memory of the runtime: zeroed blocks aligned for vector loads. Large blocks come from calloc, so
 * that pages nobody touches cost nothing. */
#include "internal.h"

#include <stdlib.h>

enum { ALLOC_ALIGN = 64 };

/* The block calloc gave starts at `base`; the user's part follows at the next multiple of
 * ALLOC_ALIGN that leaves room for this header. */
typedef struct { void *base; } alloc_head;

void *gradrt_alloc(size_t bytes)
{
  if (bytes > SIZE_MAX - 2 * ALLOC_ALIGN)
    return NULL;
  char *base = calloc(1, bytes + 2 * ALLOC_ALIGN);
  if (!base)
    return NULL;
  size_t past = (size_t)((uintptr_t)base % ALLOC_ALIGN);
  char *user = base + (past == 0 ? ALLOC_ALIGN : 2 * ALLOC_ALIGN - past);
  ((alloc_head *)(void *)user)[-1].base = base;
  return user;
}

void gradrt_free(void *p)
{
  if (p)
    free(((alloc_head *)p)[-1].base);
}

bool gradrt_mul_size(size_t a, size_t b, size_t *out)
{
  *out = 0;
  if (b && a > SIZE_MAX / b)
    return false;
  *out = a * b;
  return true;
}
