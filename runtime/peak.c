/* The arithmetic peak of the machine, measured: generated code brings a function of nothing but
 * fused multiply-adds on independent registers; all workers run it at once. */
#include "run.h"

enum { PEAK_TRIES = 5, PEAK_LINE = 64 };
static const double peak_seconds = 4e-3;        /* of one try: longer than any start-up of a core */

static double peak_time(gradrt_session *s, gradrt_step *step)
{
  double began = gradrt_clock();
  gradrt_pool_run(s->pool, s->net->peak, step);
  return gradrt_clock() - began;
}

int gradrt_peak_measure(gradrt_session *s, double *flops)
{
  *flops = 0;
  if (!s->net->peak)
    return GRADRT_OK;
  double workers = gradrt_pool_size(s->pool), best = 0;
  void *sink = gradrt_alloc((size_t)workers * PEAK_LINE);
  if (!sink)
    return gradrt_error(GRADRT_LIMIT, "out of memory");
  gradrt_step step = { .n = 1000, .out = { sink } };
  while (peak_time(s, &step) < peak_seconds && step.n < INT64_MAX / 4)
    step.n *= 2;
  for (int i = 0; i < PEAK_TRIES; i++) {
    double rate = (double)step.n * workers * s->net->peak_flops / peak_time(s, &step);
    best = rate > best ? rate : best;
  }
  gradrt_free(sink);
  *flops = best;
  return GRADRT_OK;
}
