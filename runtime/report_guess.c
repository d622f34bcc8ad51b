/* What a classifier says about single samples: the likeliest class, its probability where the net
 * gives one, and the samples it is most wrong about. For pictures; knows nothing of them. */
#include "run.h"
#include "data.h"

#include <math.h>
#include <string.h>

static double guess_at(const gradrt_net *net, const void *rows, int64_t i)
{
  return net->real == GRADRT_F64 ? ((const double *)rows)[i] : (double)((const float *)rows)[i];
}

bool gradrt_guesser_init(gradrt_guesser *g, gradrt_session *s, const gradrt_metric *metric, int n)
{
  const gradrt_net *net = s->net;
  *g = (gradrt_guesser){ .s = s, .output = -1, .target = -1 };
  for (int i = 0; i < n && net->eval.fn; i++) {
    const gradrt_metric *m = &metric[i];
    bool classes = strcmp(m->kind, "accuracy") == 0 || gradrt_metric_is_table(m);
    if (!classes || m->output < 0 || m->target < 0) {
      continue;
    }
    int64_t width = gradrt_output_elems(&net->eval.output[m->output]);
    int64_t target = gradrt_output_elems(&net->eval.output[m->target]);
    if (target != 1 && target != width) {
      continue;
    }
    g->output = m->output;
    g->target = m->target;
    g->width = width;
    g->ntarget = target;
    g->classes = width == 1 ? 2 : width;
    return g->classes <= 1000;
  }
  return false;
}

static int64_t guess_argmax(const gradrt_guesser *g, const void *rows, int64_t at, int64_t n)
{
  const gradrt_net *net = g->s->net;
  int64_t best = 0;
  for (int64_t c = 1; c < n; c++) {
    best = guess_at(net, rows, at + c) > guess_at(net, rows, at + best) ? c : best;
  }
  return n == 1 ? guess_at(net, rows, at) > 0 : best;
}

/* Probability of a class in row i of an infer output, or NAN when the row is no distribution. */
static double guess_share(const gradrt_guesser *g, const void *rows, int64_t i, int64_t cls)
{
  const gradrt_net *net = g->s->net;
  double sum = 0, v = NAN;
  if (g->width == 1) {
    v = guess_at(net, rows, i);
    return v >= 0 && v <= 1 ? (cls == 1 ? v : 1 - v) : NAN;
  }
  for (int64_t c = 0; c < g->width; c++) {
    double p = guess_at(net, rows, i * g->width + c);
    sum += p >= 0 ? p : NAN;
    v = c == cls ? p : v;
  }
  return fabs(sum - 1) < 1e-3 ? v : NAN;
}

/* The first output of the infer function that is a distribution tells the share. */
static void guess_find_share(const gradrt_guesser *g, const gradrt_step *step, int64_t i,
                             gradrt_guess *out)
{
  const gradrt_function *fn = &g->s->net->infer;
  for (int o = 0; o < fn->noutput && isnan(out->share); o++) {
    if (fn->output[o].batched && gradrt_output_elems(&fn->output[o]) == g->width) {
      out->share = guess_share(g, step->out[o], i, out->guess);
    }
  }
}

/* The class of a sample, -1 when its label is none. */
static int64_t guess_truth(const gradrt_guesser *g, const void *targets, int64_t i)
{
  double v = guess_at(g->s->net, targets, i * g->ntarget);
  if (g->ntarget > 1) {
    return guess_argmax(g, targets, i * g->ntarget, g->ntarget);
  }
  if (g->width == 1) {
    return v > 0;
  }
  return v >= 0 && v < (double)g->classes ? (int64_t)v : -1;
}

void gradrt_guess_batch(gradrt_guesser *g, const void *const *rows, int64_t n, gradrt_guess *out)
{
  gradrt_session *s = g->s;
  gradrt_step step;
  gradrt_session_bind(s, GRADRT_FN_EVAL, rows, &step);
  step.n = n;
  gradrt_carried_put_aside(s->net, s->state, s->aside);
  gradrt_session_run(s, GRADRT_FN_EVAL, &step);
  gradrt_carried_bring_back(s->net, s->state, s->aside);
  for (int64_t i = 0; i < n; i++) {
    out[i] = (gradrt_guess){ .row = s->ids[i], .share = NAN };
    out[i].guess = (int)guess_argmax(g, step.out[g->output], i * g->width, g->width);
    out[i].truth = (int)guess_truth(g, step.out[g->target], i);
  }
  if (!s->net->infer.fn) {
    return;
  }
  gradrt_session_bind(s, GRADRT_FN_INFER, rows, &step);
  step.n = n;
  gradrt_session_run(s, GRADRT_FN_INFER, &step);
  for (int64_t i = 0; i < n; i++) {
    guess_find_share(g, &step, i, &out[i]);
  }
}

/* Keeps the max most certain ones, most certain first; ties: the earlier one first. */
static int guess_keep(gradrt_guess *worst, int n, int max, const gradrt_guess *one)
{
  double mine = isnan(one->share) ? 0 : one->share;
  int at = n < max ? n : max - 1;
  if (n == max && !(mine > (isnan(worst[at].share) ? 0 : worst[at].share))) {
    return n;
  }
  while (at > 0 && mine > (isnan(worst[at - 1].share) ? 0 : worst[at - 1].share)) {
    worst[at] = worst[at - 1];
    at--;
  }
  worst[at] = *one;
  return n < max ? n + 1 : n;
}

int gradrt_worst_guesses(gradrt_guesser *g, const gradrt_set *set, gradrt_guess *worst, int max,
                         int64_t *mistakes)
{
  gradrt_session *s = g->s;
  gradrt_guess *batch = gradrt_alloc((size_t)s->net->batch * sizeof *batch);
  const void *rows[GRADRT_FIELDS_MAX];
  int n = 0;
  *mistakes = 0;
  for (int64_t done = 0, part; batch && done < set->n; done += part) {
    part = set->n - done < s->net->batch ? set->n - done : s->net->batch;
    memcpy(s->ids, set->row + done, (size_t)part * sizeof *s->ids);
    if (gradrt_set_want(set, NULL, done, part, rows) != GRADRT_OK)
      break;
    gradrt_guess_batch(g, rows, part, batch);
    for (int64_t i = 0; i < part; i++) {
      if (batch[i].truth >= 0 && batch[i].truth != batch[i].guess) {
        ++*mistakes;
        n = guess_keep(worst, n, max, &batch[i]);
      }
    }
  }
  gradrt_free(batch);
  return n;
}
