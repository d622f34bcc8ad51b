/* Learning-rate schedules: pieces one after the other, each a formula of its own steps or
 * epochs.
 *
 * The formulas are PyTorch's (StepLR, ExponentialLR, CosineAnnealingLR, LinearLR, PolynomialLR,
 * CosineAnnealingWarmRestarts, OneCycleLR). Those of step, exp, cosine, poly and restarts move once
 * an epoch, as a scheduler stepped after each epoch does; warmup, linear and onecycle move every
 * step. cosine, poly and restarts whose span is written in steps move every step. Each piece starts
 * from the base rate again; the last one goes on to the end of training. */
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

typedef double (*schedule_fn)(const gradrt_piece *p, double base, const schedule_clock *c);

static double schedule_constant(const gradrt_piece *p, double base, const schedule_clock *c)
{
  (void)p;
  (void)c;
  return base;
}

static double schedule_step(const gradrt_piece *p, double base, const schedule_clock *c)
{
  double every = schedule_prop(p, "every", 1);
  double drops = floor(c->epoch / (every > 0 ? every : 1));
  return base * gradrt_power(schedule_prop(p, "gamma", 0.1), (int64_t)drops);
}

static double schedule_exp(const gradrt_piece *p, double base, const schedule_clock *c)
{
  return base * gradrt_power(schedule_prop(p, "rate", 0.95), (int64_t)c->epoch);
}

static double schedule_half_cosine(const gradrt_piece *p, double base, const schedule_clock *c)
{
  double to = schedule_prop(p, "to", 0);
  return c->by_step ? schedule_cosine(base, to, c->step, c->steps)
                    : schedule_cosine(base, to, c->epoch, c->epochs);
}

static double schedule_warmup(const gradrt_piece *p, double base, const schedule_clock *c)
{
  return schedule_line(schedule_prop(p, "from", 0), base, c->step, c->steps);
}

static double schedule_linear(const gradrt_piece *p, double base, const schedule_clock *c)
{
  return schedule_line(base, schedule_prop(p, "to", 0), c->step, c->steps);
}

/* to + (base - to) (1 - t / T)^power */
static double schedule_poly(const gradrt_piece *p, double base, const schedule_clock *c)
{
  double to = schedule_prop(p, "to", 0);
  double at = c->by_step ? c->step : c->epoch, length = c->by_step ? c->steps : c->epochs;
  double left = at < length ? 1 - at / length : 0;
  return to + (base - to) * gradrt_power(left, (int64_t)schedule_prop(p, "power", 1));
}

/* Half cosines one after the other, each `factor` times as long as the one before it. */
static double schedule_restarts(const gradrt_piece *p, double base, const schedule_clock *c)
{
  double at = c->by_step ? c->step : c->epoch, length = schedule_prop(p, "every", 1);
  double factor = schedule_prop(p, "factor", 1);
  if (factor == 1) {
    at -= floor(at / length) * length;
  }
  for (; at >= length; length *= factor) {
    at -= length;
  }
  return schedule_cosine(base, schedule_prop(p, "to", 0), at, length);
}

/* A half cosine up to the rate until step rise * T - 1, then one down until step T - 1. */
static double schedule_onecycle(const gradrt_piece *p, double base, const schedule_clock *c)
{
  double first = base / schedule_prop(p, "start", 25);
  double last = first / schedule_prop(p, "end", 10000);
  double top = schedule_prop(p, "rise", 0.3) * c->steps - 1, end = c->steps - 1;
  if (c->step <= top) {
    return schedule_cosine(first, base, c->step, top);
  }
  return c->step < end ? schedule_cosine(base, last, c->step - top, end - top) : last;
}

static const struct { const char *kind; schedule_fn rate; } schedule_kinds[] = {
  { "constant", schedule_constant }, { "step", schedule_step },
  { "exp", schedule_exp },           { "cosine", schedule_half_cosine },
  { "warmup", schedule_warmup },     { "linear", schedule_linear },
  { "poly", schedule_poly },         { "restarts", schedule_restarts },
  { "onecycle", schedule_onecycle }, { "plateau", schedule_constant },
};

static double schedule_piece(const gradrt_piece *p, double base, const schedule_clock *c)
{
  for (size_t i = 0; i < sizeof schedule_kinds / sizeof schedule_kinds[0]; i++) {
    if (strcmp(p->kind, schedule_kinds[i].kind) == 0) {
      return schedule_kinds[i].rate(p, base, c);
    }
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

/* The plateau piece, when the schedule has reached it; else NULL. It is the last one. */
static const gradrt_piece *schedule_plateau(const gradrt_train *t, int64_t step,
                                            int64_t steps_per_epoch)
{
  double begin = 0;
  if (t->npiece == 0 || strcmp(t->piece[t->npiece - 1].kind, "plateau") != 0) {
    return NULL;
  }
  for (int i = 0; i + 1 < t->npiece; i++) {
    begin += t->piece[i].in_epochs ? t->piece[i].span * (double)steps_per_epoch : t->piece[i].span;
  }
  return (double)step >= begin ? &t->piece[t->npiece - 1] : NULL;
}

void gradrt_plateau_epoch(const gradrt_train *t, double base, int64_t step,
                          int64_t steps_per_epoch, double loss, gradrt_plateau *p)
{
  const double least_change = 1e-8;
  const gradrt_piece *piece = schedule_plateau(t, step, steps_per_epoch);
  if (!piece) {
    return;
  }
  bool first = !(p->scale > 0);
  p->scale = first ? 1 : p->scale;
  if (first || loss < p->best * (1 - schedule_prop(piece, "threshold", 1e-4))) {
    p->best = loss;
    p->bad = 0;
  } else {
    p->bad++;
  }
  if (p->cooldown > 0) {
    p->cooldown--;
    p->bad = 0;
  }
  if (p->bad <= schedule_prop(piece, "patience", 10)) {
    return;
  }
  double min = schedule_prop(piece, "min", 0), rate = base * p->scale;
  double next = rate * schedule_prop(piece, "factor", 0.1);
  next = next < min ? min : next;
  p->scale = rate - next > least_change ? next / base : p->scale;
  p->cooldown = schedule_prop(piece, "cooldown", 0);
  p->bad = 0;
}
