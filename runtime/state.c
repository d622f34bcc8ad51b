/* The state block: between row-major tensors, as files and users see them, and the layouts that kernels
 * keep during training; and the initial values. */
#include "internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t gradrt_tensor_elems(const gradrt_tensor *t)
{
  int64_t n = 1;
  for (int i = 0; i < t->rank; i++)
    n *= t->dim[i];
  return n;
}

/* Stored position of a logical element. */
static int64_t state_place(const gradrt_tensor *t, const int64_t *index)
{
  int64_t place = 0;
  for (int i = 0; i < t->ndigit; i++) {
    const gradrt_digit *d = &t->digit[i];
    place = place * d->extent + index[d->axis] / d->div % d->extent;
  }
  return place;
}

static bool state_next(const gradrt_tensor *t, int64_t *index)
{
  for (int a = t->rank - 1; a >= 0; a--) {
    if (++index[a] < t->dim[a])
      return true;
    index[a] = 0;
  }
  return false;
}

void gradrt_tensor_store(const gradrt_net *net, const gradrt_tensor *t, void *state, const double *canonical)
{
  int64_t index[GRADRT_RANK_MAX] = { 0 }, n = gradrt_tensor_elems(t);
  char *base = (char *)state + t->offset;
  memset(base, 0, t->stored * (net->real == GRADRT_F64 ? sizeof(double) : sizeof(float)));
  for (int64_t i = 0; i < n; i++) {
    int64_t place = state_place(t, index);
    if (net->real == GRADRT_F64)
      ((double *)(void *)base)[place] = canonical[i];
    else
      ((float *)(void *)base)[place] = (float)canonical[i];
    state_next(t, index);
  }
}

void gradrt_tensor_load(const gradrt_net *net, const gradrt_tensor *t, const void *state, double *canonical)
{
  int64_t index[GRADRT_RANK_MAX] = { 0 }, n = gradrt_tensor_elems(t);
  const char *base = (const char *)state + t->offset;
  for (int64_t i = 0; i < n; i++) {
    int64_t place = state_place(t, index);
    canonical[i] = net->real == GRADRT_F64 ? ((const double *)(const void *)base)[place]
                                           : (double)((const float *)(const void *)base)[place];
    state_next(t, index);
  }
}

/* ---- initial values ---- */

static void state_draw(const gradrt_tensor *t, uint64_t seed, gradrt_torch *torch, double *v, int64_t n)
{
  gradrt_stream s;
  gradrt_stream_start(&s, seed, GRADRT_PURPOSE_INIT, gradrt_hash_name(t->name));
  switch (t->init) {
  case GRADRT_INIT_ZEROS: break;
  case GRADRT_INIT_CONSTANT:
    for (int64_t i = 0; i < n; i++)
      v[i] = t->a;
    break;
  case GRADRT_INIT_UNIFORM:
    if (torch)
      gradrt_torch_uniform(torch, v, n, t->a, t->b);
    for (int64_t i = 0; !torch && i < n; i++)
      v[i] = t->a + (t->b - t->a) * gradrt_stream_uniform(&s);
    break;
  case GRADRT_INIT_NORMAL:
    if (torch)
      gradrt_torch_normal(torch, v, n, t->a, t->b);
    for (int64_t i = 0; !torch && i < n; i++)
      v[i] = t->a + t->b * gradrt_stream_normal(&s);
    break;
  case GRADRT_INIT_GIVEN:
    memcpy(v, t->given, (size_t)n * sizeof *v);
    break;
  }
}

int gradrt_state_init(const gradrt_net *net, void *state, uint64_t seed, bool torch_rng, gradrt_torch *torch)
{
  if (torch_rng)
    gradrt_torch_seed(torch, seed);
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    int64_t n = gradrt_tensor_elems(t);
    double *v = calloc((size_t)n, sizeof *v);
    if (!v)
      return gradrt_error(GRADRT_LIMIT, "out of memory for the initial values of '%s'", t->name);
    state_draw(t, seed, torch_rng ? torch : NULL, v, n);
    gradrt_tensor_store(net, t, state, v);
    free(v);
  }
  return GRADRT_OK;
}

/* The bytes that are hashed: each parameter's name, then its values row-major in the net's real type. */
const char *gradrt_state_sha256(const gradrt_net *net, const void *state, char hex[65])
{
  size_t size = net->real == GRADRT_F64 ? sizeof(double) : sizeof(float), total = 0;
  for (int i = 0; i < net->ntensor; i++)
    if (net->tensor[i].role == GRADRT_PARAM)
      total += strlen(net->tensor[i].name) + 1 + (size_t)gradrt_tensor_elems(&net->tensor[i]) * size;
  unsigned char *bytes = malloc(total + 1), *at = bytes, out[32];
  if (!bytes)
    return NULL;
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    if (t->role != GRADRT_PARAM)
      continue;
    int64_t index[GRADRT_RANK_MAX] = { 0 }, n = gradrt_tensor_elems(t);
    memcpy(at, t->name, strlen(t->name) + 1);
    at += strlen(t->name) + 1;
    for (int64_t k = 0; k < n; k++) {
      memcpy(at, (const char *)state + t->offset + (size_t)state_place(t, index) * size, size);
      at += size;
      state_next(t, index);
    }
  }
  gradrt_sha256(bytes, total, out);
  free(bytes);
  for (int i = 0; i < 32; i++) {
    hex[2 * i] = "0123456789abcdef"[out[i] >> 4];
    hex[2 * i + 1] = "0123456789abcdef"[out[i] & 15];
  }
  hex[64] = '\0';
  return hex;
}
