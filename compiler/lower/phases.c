/* Phases of a step: which calls run between two barriers, and where.
 *
 * Calls that touch the same memory are apart by a barrier, unless both deal out the batch: then a
 * worker that has the same samples in both needs nobody else's results. Shares are equal when the
 * samples that one deals out together divide evenly among the workers, so that such a barrier
 * stands under a condition on n and on the number of workers.
 *
 * A step whose values are small goes further: whatever can run in a phase does, weight gradients
 * of several layers in one, and no value lies where another worker's values were, for lines that
 * change hands cost more there than memory. */
#include "lower/schedule.h"

/* Bytes of all values of a step below which it is small; and of what a phase makes and uses before
 * those that wait for all workers have their turn, while it is in the caches. */
enum { SMALL_BYTES = 16 << 20, PHASE_BYTES = 1 << 20 };

typedef enum { APART_NOT, APART_BY_SAMPLES, APART } Apart;

typedef struct {
  const Lower *l;
  bool *done;                   /* by call */
  Slots *slots;
  uint32_t phase, segment;      /* first slots since the last barrier for all, since any */
} Phases;

static bool writes(const Call *c, uint32_t i) { return c->kernel->formal.at[i]->written; }

static bool is_of_samples(const Buffer *b)
{
  return b->type && b->type->batched && b->layout && b->layout->n > 0;
}

static int64_t common_multiple(int64_t a, int64_t b)
{
  int64_t x = a, y = b;
  while (y) {
    int64_t rest = x % y;
    x = y;
    y = rest;
  }
  return a / x * b;
}

/* How two calls that follow each other must be kept apart: may a worker begin b when others are in
 * a? */
static Apart apart(const Call *a, const Call *b)
{
  Apart how = APART_NOT;
  for (uint32_t i = 0; i < a->arg.n; i++)
    for (uint32_t j = 0; j < b->arg.n; j++) {
      if (a->arg.at[i] != b->arg.at[j] || (!writes(a, i) && !writes(b, j)))
        continue;
      if (!a->span || !b->span || !is_of_samples(a->arg.at[i]))
        return APART;
      how = APART_BY_SAMPLES;
    }
  return how;
}

/* Against all calls of the phase; span: samples that must be dealt out together to do without a
 * barrier. */
static Apart apart_from_phase(const Phases *p, uint32_t from, const Call *c, int64_t *span)
{
  Apart most = APART_NOT;
  *span = 1;
  for (uint32_t i = from; i < p->slots->n && most != APART; i++) {
    const Call *other = p->slots->at[i].call;
    Apart how = apart(other, c);
    most = how > most ? how : most;
    if (how == APART_BY_SAMPLES)
      *span = common_multiple(*span, common_multiple(other->span, c->span));
  }
  return p->l->program->batch % *span ? APART : most;
}

/* Of the values that a call makes, and of the parameters it uses. */
static int64_t bytes_of(const Call *c, bool parameters)
{
  int64_t sum = 0;
  for (uint32_t i = 0; i < c->arg.n; i++) {
    const Buffer *b = c->arg.at[i];
    if ((b->role == BUF_ARENA && writes(c, i)) || (b->role == BUF_STATE && parameters))
      sum += b->extent * dtype_bytes(b->dtype);
  }
  return sum;
}

static bool is_small(const Lower *l)
{
  int64_t sum = 0;
  for (uint32_t i = 0; i < l->calls.n; i++)
    sum += bytes_of(l->calls.at[i], false);
  return sum <= SMALL_BYTES;
}

static void put(Phases *p, uint32_t call, int phase)
{
  Slot slot = { .call = p->l->calls.at[call], .phase = phase };
  vec_push(p->l->arena, p->slots, slot);
  p->done[call] = true;
}

/* The barrier that parts the newest slot from what came before in its phase: the last one, or a
 * new one. */
static void part_by_samples(Phases *p, int64_t span)
{
  uint32_t at = p->slots->n - 1;
  int64_t in_segment;
  Call *c = p->slots->at[at].call;
  p->slots->n--;
  Apart near = apart_from_phase(p, p->segment, c, &in_segment);
  p->slots->n++;
  if (near != APART_NOT)
    p->segment = at;
  Slot *first = &p->slots->at[p->segment];
  first->span = first->span ? common_multiple(first->span, span) : span;
}

/* Nothing that comes before call i in the program, and meets it, is left to do. */
static bool is_ready(const Phases *p, uint32_t i)
{
  for (uint32_t k = 0; k < i; k++)
    if (!p->done[k] && apart(p->l->calls.at[k], p->l->calls.at[i]) != APART_NOT)
      return false;
  return true;
}

/* One phase of a small step: all that can run. Returns the number of calls. */
static uint32_t fill_phase(Phases *p, int phase)
{
  const Lower *l = p->l;
  bool waiting = false;
  int64_t bytes = 0, span;
  p->phase = p->segment = p->slots->n;
  for (uint32_t i = 0; i < l->calls.n; i++) {
    if (p->done[i] || !is_ready(p, i))
      continue;
    Apart how = apart_from_phase(p, p->phase, l->calls.at[i], &span);
    if (how == APART || (how == APART_BY_SAMPLES && waiting && bytes > PHASE_BYTES)) {
      waiting = true;
      continue;
    }
    put(p, i, phase);
    bytes += bytes_of(l->calls.at[i], true);
    if (how == APART_BY_SAMPLES)
      part_by_samples(p, span);
  }
  return p->slots->n - p->phase;
}

/* In the order of the program, a barrier wherever calls meet. */
static void keep_order(Phases *p)
{
  const Lower *l = p->l;
  int phase = 0;
  int64_t span;
  for (uint32_t i = 0; i < l->calls.n; i++) {
    if (apart_from_phase(p, p->phase, l->calls.at[i], &span) != APART_NOT) {
      phase++;
      p->phase = p->slots->n;
    }
    put(p, i, phase);
  }
}

bool schedule_phases(const Lower *l, Slots *slots)
{
  Phases p = { .l = l, .done = ARENA_ARRAY(l->arena, bool, l->calls.n + 1), .slots = slots };
  bool small = !l->compact && is_small(l);
  if (!small)
    keep_order(&p);
  for (int phase = 0; slots->n < l->calls.n; phase++)
    if (fill_phase(&p, phase) == 0)
      ice("no kernel of a step can be next");
  return small;
}
