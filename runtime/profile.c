/* Where a step's time goes: programs built with --profile read a clock after every kernel and every
 * barrier, on every worker. A table shows time, share and arithmetic of each layer and direction;
 * waiting is what workers lose at barriers. */
#include "run.h"

#include <inttypes.h>
#include <string.h>

/* One function's clocks. Worker w's row: the time of its last mark, seconds of waiting, then
 * seconds by call. Rows are padded so that workers share no cache line. */
struct gradrt_profile {
  size_t stride;
  double *row;
};

enum { PROFILE_LINE = 8 /* doubles of a cache line */ };

void gradrt_profile_mark(const gradrt_step *s, int worker, int call)
{
  if (!s->profile)
    return;
  double *row = s->profile->row + (size_t)worker * s->profile->stride, now = gradrt_clock();
  if (call != GRADRT_BEGINS)
    row[2 + call] += now - row[0];
  row[0] = now;
}

static const gradrt_function *profile_function(const gradrt_net *net, int fn)
{
  return fn == GRADRT_FN_TRAIN ? &net->train : fn == GRADRT_FN_EVAL ? &net->eval : &net->infer;
}

int gradrt_profile_open(gradrt_session *s)
{
  for (int fn = 0; fn < 3 && s->net->profiled; fn++) {
    const gradrt_function *f = profile_function(s->net, fn);
    size_t stride = ((size_t)f->ncall + 2 + PROFILE_LINE - 1) / PROFILE_LINE * PROFILE_LINE;
    gradrt_profile *p = s->profile[fn] = gradrt_alloc(sizeof *p);
    if (p) {
      *p = (gradrt_profile){ stride, NULL };
      p->row = gradrt_alloc((size_t)gradrt_pool_size(s->pool) * stride * sizeof *p->row);
    }
    if (!p || !p->row)
      return gradrt_error(GRADRT_LIMIT, "out of memory");
  }
  return GRADRT_OK;
}

void gradrt_profile_close(gradrt_session *s)
{
  for (int fn = 0; fn < 3; fn++) {
    if (s->profile[fn])
      gradrt_free(s->profile[fn]->row);
    gradrt_free(s->profile[fn]);
    s->profile[fn] = NULL;
  }
}

void gradrt_profile_reset(gradrt_session *s)
{
  for (int fn = 0; fn < 3; fn++) {
    gradrt_profile *p = s->profile[fn];
    s->steps[fn] = 0;
    if (p)
      memset(p->row, 0, (size_t)gradrt_pool_size(s->pool) * p->stride * sizeof *p->row);
  }
}

/* Seconds of a call, or of waiting, a step and worker. */
static double profile_seconds(const gradrt_session *s, int fn, int call)
{
  const gradrt_profile *p = s->profile[fn];
  double sum = 0;
  int n = gradrt_pool_size(s->pool);
  for (int w = 0; w < n; w++)
    sum += p->row[(size_t)w * p->stride + (size_t)(2 + call)];
  return sum / n / (double)s->steps[fn];
}

double gradrt_profile_layer(const gradrt_session *s, int fn, const char *layer,
                            gradrt_direction direction)
{
  const gradrt_function *f = profile_function(s->net, fn);
  double sum = 0;
  for (int i = 0; s->profile[fn] && i < f->ncall; i++)
    if (f->call[i].direction == direction && strcmp(f->call[i].layer, layer) == 0)
      sum += profile_seconds(s, fn, i);
  return sum;
}

static const char *const profile_direction[] = { "forward", "backward", "update" };

typedef struct {
  const char *layer, *direction;
  int calls;
  double seconds, flops;
} profile_row;

static bool profile_same(const gradrt_call *a, const gradrt_call *b)
{
  return a->direction == b->direction && strcmp(a->layer, b->layer) == 0;
}

/* All calls of the layer and direction of call `at`; false: an earlier call has shown them. */
static bool profile_collect(const gradrt_session *s, int fn, int at, profile_row *row)
{
  const gradrt_function *f = profile_function(s->net, fn);
  const gradrt_call *first = &f->call[at];
  *row = (profile_row){ first->layer, profile_direction[first->direction], 0, 0, 0 };
  for (int i = 0; i < f->ncall; i++)
    if (profile_same(&f->call[i], first)) {
      if (i < at)
        return false;
      row->calls++;
      row->seconds += profile_seconds(s, fn, i);
      row->flops += f->call[i].flops;
    }
  return true;
}

static void profile_print_row(const profile_row *row, double total, double peak)
{
  char layer[GRADRT_NAME_MAX];
  double rate = row->seconds > 0 ? row->flops / row->seconds : 0;
  printf("%-28s %-9s %7d %12.3f %7.1f", gradrt_text_plain(layer, sizeof layer, row->layer),
         row->direction, row->calls, row->seconds * 1e6, 100 * row->seconds / total);
  if (rate > 0)
    printf(" %10.2f", rate / 1e9);
  if (rate > 0 && peak > 0)
    printf(" %7.1f", 100 * rate / peak);
  putchar('\n');
}

/* A line for each call; the last one is waiting, with an empty kernel. */
static void profile_print_json(const gradrt_session *s, int fn, double peak)
{
  static const char *const name[] = { "train", "eval", "infer" };
  const gradrt_function *f = profile_function(s->net, fn);
  for (int i = 0; i <= f->ncall; i++) {
    const gradrt_call wait = { "", "", GRADRT_FORWARD, 0, "" };
    const gradrt_call *c = i < f->ncall ? &f->call[i] : &wait;
    printf("{\"v\":1,\"event\":\"profile\",\"function\":\"%s\",\"kernel\":", name[fn]);
    gradrt_json_string(stdout, c->kernel);
    fputs(",\"layer\":", stdout);
    gradrt_json_string(stdout, c->layer);
    printf(",\"direction\":\"%s\",\"ns\":%.1f,\"flops\":%.0f,\"peak_flops\":%.0f}\n",
           profile_direction[c->direction],
           1e9 * profile_seconds(s, fn, i < f->ncall ? i : GRADRT_WAITS), c->flops, peak);
  }
}

void gradrt_profile_print(const gradrt_session *s, int fn, double peak)
{
  static const char *const what[] = { "training step", "evaluation", "inference" };
  const gradrt_function *f = profile_function(s->net, fn);
  if (!s->profile[fn] || s->steps[fn] == 0)
    return;
  if (s->options->json) {
    profile_print_json(s, fn, peak);
    return;
  }
  profile_row row, sum = { "all", "", f->ncall, 0, 0 };
  for (int i = GRADRT_WAITS; i < f->ncall; i++) {
    sum.seconds += profile_seconds(s, fn, i);
    sum.flops += i >= 0 ? f->call[i].flops : 0;
  }
  int workers = gradrt_pool_size(s->pool);
  printf("\n%s, mean of %" PRId64 " on %d thread%s; peak %.1f GFLOP/s\n", what[fn], s->steps[fn],
         workers, workers == 1 ? "" : "s", peak / 1e9);
  printf("%-28s %-9s %7s %12s %7s %10s %7s\n", "layer", "direction", "kernels", "us", "% time",
         "GFLOP/s", "% peak");
  for (int i = 0; i < f->ncall; i++)
    if (profile_collect(s, fn, i, &row))
      profile_print_row(&row, sum.seconds, peak);
  row = (profile_row){ "waiting at barriers", "", 0, profile_seconds(s, fn, GRADRT_WAITS), 0 };
  profile_print_row(&row, sum.seconds, peak);
  profile_print_row(&sum, sum.seconds, peak);
}
