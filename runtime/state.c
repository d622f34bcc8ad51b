/* The state block: between row-major tensors, as files and users see them, and the layouts that
 * kernels keep during training; and the initial values. */
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

bool gradrt_tensor_is_weight(const gradrt_tensor *t)
{
  return t->role == GRADRT_PARAM || t->role == GRADRT_STAT;
}

/* Walks the elements of a tensor in row-major order and knows their stored positions. A digit
 * belongs to one axis, so a position is a sum of one term for each axis; only the last axis changes
 * from step to step. */
enum { STATE_ROW = 1024 };

typedef struct {
  const gradrt_tensor *t;
  int64_t index[GRADRT_RANK_MAX];
  int64_t width;                /* of the last axis */
  int64_t outer;                /* part of the position that the other axes give */
  int nrow;                     /* entries of row that are known */
  int64_t row[STATE_ROW];       /* part that the last axis gives, for its first elements */
} state_walk;

/* The part of the position that index i of this axis gives. */
static int64_t state_term(const gradrt_tensor *t, int axis, int64_t i)
{
  int64_t place = 0;
  for (int k = 0; k < t->ndigit; k++) {
    const gradrt_digit *d = &t->digit[k];
    place = place * d->extent + (d->axis == axis ? i / d->div % d->extent : 0);
  }
  return place;
}

static void state_walk_outer(state_walk *w)
{
  w->outer = 0;
  for (int a = 0; a < w->t->rank - 1; a++)
    w->outer += state_term(w->t, a, w->index[a]);
}

static void state_walk_start(state_walk *w, const gradrt_tensor *t, int64_t first)
{
  w->t = t;
  w->width = t->rank ? t->dim[t->rank - 1] : 1;
  w->nrow = w->width < STATE_ROW ? (int)w->width : STATE_ROW;
  for (int a = t->rank - 1; a >= 0; a--) {
    w->index[a] = first % t->dim[a];
    first /= t->dim[a];
  }
  if (t->rank == 0)
    w->index[0] = 0;
  for (int i = 0; i < w->nrow; i++)
    w->row[i] = t->rank ? state_term(t, t->rank - 1, i) : 0;
  state_walk_outer(w);
}

/* Stored position of the current element; moves on to the next one. */
static int64_t state_walk_next(state_walk *w)
{
  int last = w->t->rank ? w->t->rank - 1 : 0;
  int64_t i = w->index[last]++;
  int64_t place = w->outer + (i < w->nrow ? w->row[i] : state_term(w->t, last, i));
  if (w->index[last] == w->width) {
    w->index[last] = 0;
    for (int a = last - 1; a >= 0; a--) {
      if (++w->index[a] < w->t->dim[a])
        break;
      w->index[a] = 0;
    }
    state_walk_outer(w);
  }
  return place;
}

static size_t state_real(const gradrt_net *net)
{
  return net->real == GRADRT_F64 ? sizeof(double) : sizeof(float);
}

void gradrt_tensor_put(const gradrt_net *net, const gradrt_tensor *t, void *state, int64_t first,
                       int64_t n, const double *canonical)
{
  void *base = (char *)state + t->offset;
  state_walk w;
  if (n <= 0)
    return;
  state_walk_start(&w, t, first);
  if (net->real == GRADRT_F64)
    for (int64_t i = 0; i < n; i++)
      ((double *)base)[state_walk_next(&w)] = canonical[i];
  else
    for (int64_t i = 0; i < n; i++)
      ((float *)base)[state_walk_next(&w)] = (float)canonical[i];
}

void gradrt_tensor_get(const gradrt_net *net, const gradrt_tensor *t, const void *state,
                       int64_t first, int64_t n, double *canonical)
{
  const void *base = (const char *)state + t->offset;
  state_walk w;
  if (n <= 0)
    return;
  state_walk_start(&w, t, first);
  if (net->real == GRADRT_F64)
    for (int64_t i = 0; i < n; i++)
      canonical[i] = ((const double *)base)[state_walk_next(&w)];
  else
    for (int64_t i = 0; i < n; i++)
      canonical[i] = (double)((const float *)base)[state_walk_next(&w)];
}

void gradrt_tensor_store(const gradrt_net *net, const gradrt_tensor *t, void *state,
                         const double *canonical)
{
  memset((char *)state + t->offset, 0, t->stored * state_real(net));
  gradrt_tensor_put(net, t, state, 0, gradrt_tensor_elems(t), canonical);
}

void gradrt_tensor_load(const gradrt_net *net, const gradrt_tensor *t, const void *state,
                        double *canonical)
{
  gradrt_tensor_get(net, t, state, 0, gradrt_tensor_elems(t), canonical);
}

/* ---- initial values ---- */

static void state_draw(const gradrt_tensor *t, uint64_t seed, gradrt_torch *torch, double *v,
                       int64_t n)
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

int gradrt_state_init(const gradrt_net *net, void *state, uint64_t seed, bool torch_rng,
                      gradrt_torch *torch)
{
  if (torch_rng)
    gradrt_torch_seed(torch, seed);
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    int64_t n = gradrt_tensor_elems(t);
    double *v = calloc((size_t)n + 1, sizeof *v);
    if (!v)
      return gradrt_error(GRADRT_LIMIT, "out of memory for the initial values of '%s'", t->name);
    state_draw(t, seed, torch_rng ? torch : NULL, v, n);
    gradrt_tensor_store(net, t, state, v);
    free(v);
  }
  return GRADRT_OK;
}

/* The bytes that are hashed: each parameter's name, then its values row-major in the net's real
 * type. */
const char *gradrt_state_sha256(const gradrt_net *net, const void *state, char hex[65])
{
  size_t size = state_real(net), total = 0;
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    if (t->role == GRADRT_PARAM)
      total += strlen(t->name) + 1 + (size_t)gradrt_tensor_elems(t) * size;
  }
  unsigned char *bytes = malloc(total + 1), *at = bytes, out[32];
  if (!bytes)
    return NULL;
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    int64_t n = gradrt_tensor_elems(t);
    if (t->role != GRADRT_PARAM)
      continue;
    memcpy(at, t->name, strlen(t->name) + 1);
    at += strlen(t->name) + 1;
    state_walk w;
    if (n > 0)
      state_walk_start(&w, t, 0);
    for (int64_t k = 0; k < n; k++, at += size)
      memcpy(at, (const char *)state + t->offset + (size_t)state_walk_next(&w) * size, size);
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
