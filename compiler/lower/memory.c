/* Memory of a step. Two values may share bytes only when no phase uses both. Placement is best fit,
 * largest first (Pisarchyk and Lee 2020, greedy by size).
 *
 * In a small step they must besides belong to the same workers, byte by byte: both are dealt out by
 * samples, as large and at the same place. */
#include "lower/schedule.h"
#include <stdlib.h>

typedef struct { Buffer *buf; int first, last; int64_t bytes; } Life;
typedef VEC(Life) Lives;

static int by_size(const void *x, const void *y)
{
  const Life *a = x, *b = y;
  if (a->bytes != b->bytes)
    return a->bytes < b->bytes ? 1 : -1;
  return a->buf->id < b->buf->id ? -1 : 1;
}

static void find_lives(const Lower *l, const Slots *slots, Lives *lives)
{
  for (uint32_t i = 0; i < slots->n; i++)
    for (uint32_t k = 0; k < slots->at[i].call->arg.n; k++) {
      Buffer *buf = slots->at[i].call->arg.at[k];
      if (buf->role != BUF_ARENA)
        continue;
      uint32_t at = 0;
      while (at < lives->n && lives->at[at].buf != buf)
        at++;
      if (at == lives->n) {
        int64_t bytes = align_up(buf->extent * dtype_bytes(buf->dtype), 64);
        Life life = { buf, slots->at[i].phase, slots->at[i].phase, bytes };
        vec_push(l->arena, lives, life);
      }
      lives->at[at].last = slots->at[i].phase;
    }
}

/* Are the bytes of both dealt out to the workers alike when they lie at the same place? */
static bool same_shares(const Life *x, const Life *y)
{
  const Layout *a = x->buf->layout, *b = y->buf->layout;
  return a && b && a->n > 0 && b->n > 0 && a->digit[0].axis == AXIS_BATCH &&
         b->digit[0].axis == AXIS_BATCH && x->bytes == y->bytes;
}

static int64_t place_lives(Lives *lives, bool small)
{
  int64_t peak = 0;
  qsort(lives->at, lives->n, sizeof(Life), by_size);
  for (uint32_t i = 0; i < lives->n; i++) {
    Life *x = &lives->at[i];
    int64_t at = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (uint32_t k = 0; k < i; k++) {
        const Life *y = &lives->at[k];
        bool apart = (x->first > y->last || y->first > x->last) &&
                     (!small || (at == y->buf->offset && same_shares(x, y)));
        if (!apart && at < y->buf->offset + y->bytes && y->buf->offset < at + x->bytes) {
          at = y->buf->offset + y->bytes;
          moved = true;
        }
      }
    }
    x->buf->offset = at;
    peak = max_i64(peak, at + x->bytes);
  }
  return peak;
}

int64_t schedule_memory(const Lower *l, const Slots *slots, bool small)
{
  Lives lives = { 0 };
  find_lives(l, slots, &lives);
  return lives.n ? place_lives(&lives, small) : 0;
}

/* Scratch of a kernel is used up when it returns: each begins at the front of a worker's block. */
int64_t schedule_scratch(const Lower *l)
{
  int64_t most = 0;
  for (uint32_t i = 0; i < l->calls.n; i++) {
    int64_t at = 0;
    for (uint32_t k = 0; k < l->calls.at[i]->arg.n; k++) {
      Buffer *buf = l->calls.at[i]->arg.at[k];
      if (buf->role != BUF_WORKER)
        continue;
      buf->offset = at;
      at = align_up(at + buf->extent * dtype_bytes(buf->dtype), 64);
    }
    most = max_i64(most, at);
  }
  return most;
}
