/* Learning-rate schedules: pieces one after the other, each a formula of its own steps or
 * epochs.
 *
 * The formulas are PyTorch's (StepLR, ExponentialLR, CosineAnnealingLR, LinearLR). Those of
 * step, exp and cosine move once an epoch, as a scheduler stepped after each epoch does; warmup
 * and linear move every step. A cosine whose span is written in steps moves every step. Each
 * piece starts from the base rate again; the last one goes on to the end of training. */
#include "run.h"

#include <math.h>
#include <string.h>

/* Where a step stands inside its piece. */
typedef struct {
  double step, steps;           /* steps since the piece began; its whole length in steps */
  double epoch, epochs;         /* whole epochs since then; its length in epochs */
  bool by_step;                 /* the span is written in steps */
} schedule_clock;

static double schedule_prop(const gradrt_piece *p, const char *name, double otherwise)
{
  for (int i = 0; i < p->nprop; i++) {
    if (p->prop[i].name && strcmp(p->prop[i].name, name) == 0) {
      return p->prop[i].number;
    }
  }
  return otherwise;
}

double gradrt_power(double base, int64_t n)
{
  double result = 1;
  for (; n > 0; n >>= 1) {
    result = n & 1 ? result * base : result;
    base = base * base;
  }
  return result;
}

/* Sum of a series t0 - t0 y^2/(k(k+1)) + ..: the cosine for (1, 1), the sine for (y, 2); |y| <
 * 0.8. */
static double schedule_series(double first, int k, double y)
{
  double term = first, sum = first;
  for (; k < 22; k += 2) {
    term = -term * y * y / (k * (k + 1));
    sum += term;
  }
  return sum;
}

/* cos(pi x) for x >= 0, by plain arithmetic: libm's cosine differs between machines in the last
 * bit. */
static double schedule_cos_pi(double x)
{
  const double pi = 3.14159265358979323846;
  x -= 2 * floor(x / 2);
  x = x > 1 ? 2 - x : x;
  double sign = x > 0.5 ? -1 : 1;
  x = x > 0.5 ? 1 - x : x;
  return sign * (x <= 0.25 ? schedule_series(1, 1, pi * x)
                           : schedule_series(pi * (0.5 - x), 2, pi * (0.5 - x)));
}

static double schedule_cosine(double base, double to, double at, double length)
{
  if (length <= 0) {
    return to;
  }
  return to + (base - to) * (1 + schedule_cos_pi(at / length)) / 2;
}

static double schedule_line(double from, double to, double at, double length)
{
  double share = length > 0 && at < length ? at / length : 1;
  return from + (to - from) * share;
}

static double schedule_piece(const gradrt_piece *p, double base, const schedule_clock *c)
{
  if (strcmp(p->kind, "step") == 0) {
    double every = schedule_prop(p, "every", 1);
    double drops = floor(c->epoch / (every > 0 ? every : 1));
    return base * gradrt_power(schedule_prop(p, "gamma", 0.1), (int64_t)drops);
  }
  if (strcmp(p->kind, "exp") == 0) {
    return base * gradrt_power(schedule_prop(p, "rate", 0.95), (int64_t)c->epoch);
  }
  if (strcmp(p->kind, "cosine") == 0) {
    double to = schedule_prop(p, "to", 0);
    return c->by_step ? schedule_cosine(base, to, c->step, c->steps)
                      : schedule_cosine(base, to, c->epoch, c->epochs);
  }
  if (strcmp(p->kind, "warmup") == 0) {
    return schedule_line(schedule_prop(p, "from", 0), base, c->step, c->steps);
  }
  if (strcmp(p->kind, "linear") == 0) {
    return schedule_line(base, schedule_prop(p, "to", 0), c->step, c->steps);
  }
  return base;
}

double gradrt_schedule_lr(const gradrt_train *t, double base, int64_t step, int64_t steps_per_epoch,
                          double epochs)
{
  double per_epoch = steps_per_epoch > 0 ? (double)steps_per_epoch : 1;
  double begin = 0;
  for (int i = 0; i < t->npiece; i++) {
    const gradrt_piece *p = &t->piece[i];
    bool open = p->span <= 0;
    double length = p->in_epochs ? p->span * per_epoch : p->span;
    if (open) {
      length = epochs * per_epoch - begin;
    }
    if (!open && i + 1 < t->npiece && (double)step >= begin + length) {
      begin += length;
      continue;
    }
    schedule_clock c = {
      .step = (double)step - begin, .steps = length, .by_step = !open && !p->in_epochs,
      .epoch = floor((double)step / per_epoch) - floor(begin / per_epoch),
    };
    c.epochs = open ? epochs - floor(begin / per_epoch) : length / per_epoch;
    return schedule_piece(p, base, &c);
  }
  return base;
}
