/* bench: how long training steps and inferences take on a batch of random samples in memory. No
 * file is read. The first steps from the seed are also a check: programs that differ in speed alone
 * (other compiler, other instruction set, more threads) print the same losses and the same hash. */
#include "data.h"
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { BENCH_CHECK_STEPS = 5, BENCH_STEPS_MIN = 5, BENCH_STEPS_MAX = 100000 };
static const double bench_warm_seconds = 0.2, bench_seconds = 1;

typedef struct { double median, least, p99; int64_t steps; } bench_times;   /* seconds */

typedef struct {
  gradrt_session *s;
  void *rows[GRADRT_FIELDS_MAX];
  double loss[BENCH_CHECK_STEPS];
  char weights[65];             /* SHA-256 of the parameters after the steps of the check */
  double peak;                  /* FLOP/s of all workers; 0: not known */
  bench_times train, infer;     /* steps 0: the net has no such function */
} bench_run;

/* ---- random samples ---- */

/* Reals are normal, labels uniform over their classes, other whole numbers uniform over a byte.
 * With `rng: torch` they are what torch.randn and torch.randint draw after the net was made. */
static void bench_fill(bench_run *b, int field, int64_t n, double *normal)
{
  gradrt_session *s = b->s;
  const gradrt_field *f = &s->net->field[field];
  bool real = f->dtype == GRADRT_F32 || f->dtype == GRADRT_F64;
  bool torch = s->net->training && s->net->training->torch_rng;
  uint32_t range = f->is_label || f->token ? (uint32_t)f->classes : 256;
  gradrt_stream draw;
  gradrt_stream_start(&draw, s->seed, GRADRT_PURPOSE_DATA, gradrt_hash_name(f->name));
  if (real && torch && !f->is_label)
    gradrt_torch_normal(&s->torch, normal, n, 0, 1);
  for (int64_t i = 0; i < n; i++) {
    double v;
    if (real && !f->is_label)
      v = torch ? normal[i] : gradrt_stream_normal(&draw);
    else
      v = (torch ? gradrt_torch_u32(&s->torch) : gradrt_stream_u32(&draw)) % range;
    gradrt_dtype_put(f->dtype, b->rows[field], i, v);
  }
}

static int bench_samples(bench_run *b)
{
  const gradrt_net *net = b->s->net;
  for (int k = 0; k < net->nfield; k++) {
    const gradrt_field *f = &net->field[k];
    size_t n = (size_t)net->batch;
    for (int i = 0; i < f->rank; i++)
      n *= (size_t)f->dim[i];
    double *normal = gradrt_alloc(n * sizeof *normal);
    b->rows[k] = gradrt_alloc(n * gradrt_dtype_size(f->dtype));
    if (!normal || !b->rows[k]) {
      gradrt_free(normal);
      return gradrt_error(GRADRT_LIMIT, "out of memory");
    }
    bench_fill(b, k, (int64_t)n, normal);
    gradrt_free(normal);
  }
  return GRADRT_OK;
}

/* ---- steps ---- */

static void bench_bind(bench_run *b, int fn, gradrt_step *step)
{
  gradrt_session *s = b->s;
  const void *rows[GRADRT_FIELDS_MAX];
  for (int k = 0; k < s->net->nfield; k++)
    rows[k] = b->rows[k];
  gradrt_session_bind(s, fn, rows, step);
  step->n = s->net->batch;
  for (int64_t i = 0; i < step->n; i++)
    s->ids[i] = (uint32_t)i;
  step->args[GRADRT_ARG_LR] = s->net->training ? s->net->training->lr : 0;
  step->args[GRADRT_ARG_GROUP] = (double)s->net->batch;
  step->args[GRADRT_ARG_UPDATE] = step->args[GRADRT_ARG_AVERAGE] = 1;
  step->args[GRADRT_ARG_SEED_LO] = (double)(s->seed & 0xFFFFFFFFu);
  step->args[GRADRT_ARG_SEED_HI] = (double)(s->seed >> 32);
}

/* One run of a step; seconds. */
static double bench_step(bench_run *b, int fn, gradrt_step *step)
{
  const gradrt_train *t = b->s->net->training;
  int64_t next = (int64_t)step->args[GRADRT_ARG_STEP] + 1;
  step->args[GRADRT_ARG_BC1] = t ? 1 - gradrt_power(t->beta1, next) : 1;
  step->args[GRADRT_ARG_BC2] = t ? 1 - gradrt_power(t->beta2, next) : 1;
  double began = gradrt_clock();
  gradrt_session_run(b->s, fn, step);
  double seconds = gradrt_clock() - began;
  step->args[GRADRT_ARG_STEP] = (double)next;
  return seconds;
}

static void bench_check(bench_run *b, gradrt_step *step)
{
  const gradrt_net *net = b->s->net;
  for (int i = 0; i < BENCH_CHECK_STEPS; i++) {
    bench_step(b, GRADRT_FN_TRAIN, step);
    b->loss[i] = gradrt_dtype_get(net->real, step->out[0], 0);
  }
  gradrt_state_sha256(net, b->s->state, b->weights);
}

static int bench_order(const void *x, const void *y)
{
  double a = *(const double *)x, b = *(const double *)y;
  return (a > b) - (a < b);
}

/* Runs a step until cores and caches are warm, then until --steps or --seconds are reached. */
static int bench_time(bench_run *b, int fn, gradrt_step *step, bench_times *out)
{
  const gradrt_options *o = b->s->options;
  double limit = isnan(o->seconds) ? bench_seconds : o->seconds, spent = 0;
  int64_t most = BENCH_STEPS_MAX, least = BENCH_STEPS_MIN;
  if (!isnan(o->steps) && o->steps < BENCH_STEPS_MAX)
    least = most = o->steps < 1 ? 1 : (int64_t)o->steps;
  double *times = gradrt_alloc((size_t)most * sizeof *times);
  if (!times)
    return gradrt_error(GRADRT_LIMIT, "out of memory");
  do
    spent += bench_step(b, fn, step);
  while (spent < bench_warm_seconds && spent < limit);
  gradrt_profile_reset(b->s);
  spent = 0;
  int64_t n = 0;
  while (n < most && (n < least || spent < limit)) {
    times[n] = bench_step(b, fn, step);
    spent += times[n++];
  }
  qsort(times, (size_t)n, sizeof *times, bench_order);
  *out = (bench_times){ times[n / 2], times[0], times[n * 99 / 100], n };
  gradrt_free(times);
  return GRADRT_OK;
}

static int bench_all(bench_run *b)
{
  const gradrt_net *net = b->s->net;
  gradrt_step step;
  int code = bench_samples(b);
  if (!code)
    code = gradrt_peak_measure(b->s, &b->peak);
  if (!code && net->train.fn) {
    bench_bind(b, GRADRT_FN_TRAIN, &step);
    bench_check(b, &step);
    code = bench_time(b, GRADRT_FN_TRAIN, &step, &b->train);
    gradrt_profile_print(b->s, GRADRT_FN_TRAIN, b->peak);
  }
  if (!code && net->infer.fn) {
    bench_bind(b, GRADRT_FN_INFER, &step);
    code = bench_time(b, GRADRT_FN_INFER, &step, &b->infer);
    gradrt_profile_print(b->s, GRADRT_FN_INFER, b->peak);
  }
  return code;
}

/* ---- results ---- */

static double bench_flops(const gradrt_function *f)
{
  double sum = 0;
  for (int i = 0; i < f->ncall; i++)
    sum += f->call[i].flops;
  return sum;
}

/* Bytes this program needed at most. getrusage also counts what ran in the process before it, so
 * the kernel's own line goes first. */
static double bench_memory(void)
{
  char line[256];
  double kib = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && kib == 0 && fgets(line, sizeof line, f))
    if (strncmp(line, "VmHWM:", 6) == 0)
      kib = strtod(line + 6, NULL);
  if (f)
    fclose(f);
  struct rusage use;
  if (kib == 0 && getrusage(RUSAGE_SELF, &use) == 0)
    kib = (double)use.ru_maxrss;
  return kib * 1024;
}

static void bench_json_times(const char *name, const bench_times *t, const gradrt_function *f,
                             const gradrt_net *net)
{
  if (t->steps)
    printf(",\"%s\":{\"median_ns\":%.0f,\"min_ns\":%.0f,\"steps\":%" PRId64 ",\"p99_ns\":%.0f"
           ",\"images_per_s\":%.0f,\"flops\":%.0f,\"arena_bytes\":%zu}",
           name, t->median * 1e9, t->least * 1e9, t->steps, t->p99 * 1e9,
           (double)net->batch / t->median,
           bench_flops(f), f->arena_bytes);
}

static void bench_print_json(const bench_run *b)
{
  const gradrt_net *net = b->s->net;
  fputs("{\"v\":1,\"event\":\"bench\",\"net\":", stdout);
  gradrt_json_string(stdout, net->name);
  printf(",\"cpu\":\"%s\",\"batch\":%" PRId64 ",\"threads\":%d,\"params\":%" PRId64, net->cpu,
         net->batch, gradrt_pool_size(b->s->pool), b->s->params);
  bench_json_times("train", &b->train, &net->train, net);
  bench_json_times("infer", &b->infer, &net->infer, net);
  if (b->train.steps) {
    fputs(",\"loss\":[", stdout);
    for (int i = 0; i < BENCH_CHECK_STEPS; i++) {
      fputs(i ? "," : "", stdout);
      gradrt_json_number(stdout, b->loss[i]);
    }
    printf("],\"weights\":\"%s\"", b->weights);
  }
  printf(",\"peak_flops\":%.0f,\"state_bytes\":%zu,\"peak_rss_bytes\":%.0f}\n", b->peak,
         net->state_bytes, bench_memory());
}

static void bench_line(const char *what, const bench_times *t, const gradrt_function *f,
                       const bench_run *b)
{
  if (t->steps == 0)
    return;
  double rate = bench_flops(f) / t->median;
  printf("%-10s %10.4f ms median, %.4f ms least of %" PRId64 "; %.0f images/s", what,
         t->median * 1e3, t->least * 1e3, t->steps, (double)b->s->net->batch / t->median);
  if (rate > 0)
    printf("; %.1f GFLOP/s", rate / 1e9);
  if (rate > 0 && b->peak > 0)
    printf(", %.0f %% of peak", 100 * rate / b->peak);
  putchar('\n');
}

static void bench_print(const bench_run *b)
{
  const gradrt_net *net = b->s->net;
  char name[GRADRT_NAME_MAX];
  printf("%s, batch %" PRId64 ", %d thread%s, %s", gradrt_text_plain(name, sizeof name, net->name),
         net->batch, gradrt_pool_size(b->s->pool), gradrt_pool_size(b->s->pool) == 1 ? "" : "s",
         net->cpu);
  printf(b->peak > 0 ? ", peak %.1f GFLOP/s\n" : "\n", b->peak / 1e9);
  bench_line("train step", &b->train, &net->train, b);
  bench_line("inference", &b->infer, &net->infer, b);
  if (b->train.steps)
    printf("check      loss %.6f, after %d steps %.6f; weights %.16s\n", b->loss[0],
           BENCH_CHECK_STEPS - 1, b->loss[BENCH_CHECK_STEPS - 1], b->weights);
  printf("memory     %.1f MB at most, %.1f MB of it state\n", bench_memory() / 1e6,
         (double)net->state_bytes / 1e6);
}

int gradrt_bench_main(const gradrt_net *net, const gradrt_options *o)
{
  gradrt_session s;
  bench_run b = { .s = &s };
  int code = gradrt_session_open(&s, net, o);
  if (!code)
    code = bench_all(&b);
  if (!code && o->json)
    bench_print_json(&b);
  else if (!code)
    bench_print(&b);
  for (int k = 0; k < GRADRT_FIELDS_MAX; k++)
    gradrt_free(b.rows[k]);
  gradrt_session_close(&s);
  return code;
}
