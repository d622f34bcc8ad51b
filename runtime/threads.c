/* Worker threads that run step functions SPMD.
 *
 * Workers live as long as the pool. A run is published by bumping a generation; every worker calls
 * the step function and meets the others at barriers inside it and once at its end. Waiting spins
 * for about 20 us, then blocks, so idle programs burn nothing; where workers outnumber CPUs it
 * blocks at once. Denormals are flushed in every worker; the caller's own floating-point control is
 * restored after each run.
 *
 * This file asks for the allowed CPUs and pins threads, so it needs _GNU_SOURCE. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "internal.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_SPIN_NS = 20000, THREADS_LINE = 64, THREADS_CPUS = 1024 };

/* ---- floating-point control ---- */

#if defined(__SSE__)
static unsigned threads_fp_flush(void)
{
  unsigned old = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(old | 0x8040u);        /* flush to zero, denormals are zero */
  return old;
}
static void threads_fp_restore(unsigned old) { __builtin_ia32_ldmxcsr(old); }
static void threads_pause(void) { __builtin_ia32_pause(); }
#elif defined(__aarch64__)
static unsigned threads_fp_flush(void)
{
  unsigned long old;
  __asm__ volatile("mrs %0, fpcr" : "=r"(old));
  __asm__ volatile("msr fpcr, %0" : : "r"(old | (1ul << 24)));
  return (unsigned)old;
}
static void threads_fp_restore(unsigned old)
{
  unsigned long v = old;
  __asm__ volatile("msr fpcr, %0" : : "r"(v));
}
static void threads_pause(void) { __asm__ volatile("yield"); }
#else
static unsigned threads_fp_flush(void) { return 0; }
static void threads_fp_restore(unsigned old) { (void)old; }
static void threads_pause(void) {}
#endif

/* ---- waiting ---- */

typedef struct {
  pthread_mutex_t mutex;
  pthread_cond_t cond;
  atomic_int sleepers;
  bool spins;                   /* a CPU for every worker */
} threads_bed;

static int64_t threads_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Returns once *counter >= turn. Everything written before the counter was raised is visible then.
 *
 * No wake-up is missed: the waker raises the counter and then reads `sleepers`, the sleeper raises
 * `sleepers` and then reads the counter, all sequentially consistent, so at least one of them sees
 * the other; and a waker that saw the sleeper gets the mutex only when the sleeper waits or is past
 * its last look. */
static void threads_await(threads_bed *b, atomic_uint_fast64_t *counter, uint_fast64_t turn)
{
  int64_t end = 0;
  for (int spin = 0; b->spins; spin++) {
    if (atomic_load_explicit(counter, memory_order_acquire) >= turn)
      return;
    threads_pause();
    if (spin % 32 != 31)
      continue;
    int64_t now = threads_now();
    end = end ? end : now + THREADS_SPIN_NS;
    if (now >= end)
      break;
  }
  if (atomic_load_explicit(counter, memory_order_acquire) >= turn)
    return;
  pthread_mutex_lock(&b->mutex);
  atomic_fetch_add(&b->sleepers, 1);
  while (atomic_load(counter) < turn)
    pthread_cond_wait(&b->cond, &b->mutex);
  atomic_fetch_sub(&b->sleepers, 1);
  pthread_mutex_unlock(&b->mutex);
}

static void threads_raise(threads_bed *b, atomic_uint_fast64_t *counter, uint_fast64_t turn)
{
  atomic_store(counter, turn);
  if (atomic_load(&b->sleepers) == 0)
    return;
  pthread_mutex_lock(&b->mutex);
  pthread_cond_broadcast(&b->cond);
  pthread_mutex_unlock(&b->mutex);
}

/* ---- barrier ---- */

/* Each worker owns a line with the number of barriers it has reached; waiting looks at the others'
 * lines. */
typedef struct {
  _Alignas(THREADS_LINE) atomic_uint_fast64_t reached;
  char pad[THREADS_LINE - sizeof(atomic_uint_fast64_t)];
} threads_flag;

struct gradrt_barrier {
  threads_flag *flag;
  threads_bed bed;
};

void gradrt_barrier_wait(gradrt_barrier *b, int worker, int nworkers)
{
  if (nworkers == 1)
    return;
  uint_fast64_t turn =
      atomic_load_explicit(&b->flag[worker].reached, memory_order_relaxed) + 1;
  threads_raise(&b->bed, &b->flag[worker].reached, turn);
  for (int other = 0; other < nworkers; other++)
    if (other != worker)
      threads_await(&b->bed, &b->flag[other].reached, turn);
}

/* ---- pool ---- */

struct threads_seat { gradrt_pool *pool; int worker; };

struct gradrt_pool {
  int n;
  bool has_beds, pinned;
  cpu_set_t caller;             /* where the caller was allowed to run before it was pinned */
  gradrt_barrier barrier;
  threads_bed bed;              /* of workers between two runs */
  atomic_uint_fast64_t generation; /* runs started; the last one with stop set ends the workers */
  /* Written by the caller before it raises generation, read by workers after they saw that. */
  bool stop;
  gradrt_step_fn fn;
  gradrt_step *step;
  pthread_t *thread;
  struct threads_seat *seat;
};

static void pool_publish(gradrt_pool *p)
{
  threads_raise(&p->bed, &p->generation,
                atomic_load_explicit(&p->generation, memory_order_relaxed) + 1);
}

static void *pool_worker(void *arg)
{
  struct threads_seat *seat = arg;
  gradrt_pool *p = seat->pool;
  threads_fp_flush();
  for (uint_fast64_t generation = 1;; generation++) {
    threads_await(&p->bed, &p->generation, generation);
    if (p->stop)
      return NULL;
    p->fn(p->step, seat->worker, p->n);
    gradrt_barrier_wait(&p->barrier, seat->worker, p->n);
  }
}

/* The last barrier also keeps the caller from writing fn and step while a worker may still read
 * them. */
void gradrt_pool_run(gradrt_pool *p, gradrt_step_fn fn, gradrt_step *s)
{
  unsigned control = threads_fp_flush();
  s->barrier = &p->barrier;
  if (p->n > 1) {
    p->fn = fn;
    p->step = s;
    pool_publish(p);
  }
  fn(s, 0, p->n);
  gradrt_barrier_wait(&p->barrier, 0, p->n);
  threads_fp_restore(control);
}

int gradrt_pool_size(const gradrt_pool *p) { return p->n; }

/* ---- start and stop ---- */

/* Numbers of the CPUs that this thread may use; returns how many there are, 0: not known. */
static int threads_allowed(cpu_set_t *set, int *cpu, int max)
{
  int n = 0;
  CPU_ZERO(set);
  if (sched_getaffinity(0, sizeof *set, set) != 0)
    return 0;
  for (int i = 0; i < CPU_SETSIZE; i++)
    if (CPU_ISSET(i, set)) {
      if (n < max)
        cpu[n] = i;
      n++;
    }
  return n;
}

static bool threads_pin(pthread_t thread, int cpu)
{
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return pthread_setaffinity_np(thread, sizeof set, &set) == 0; /* a refusal only costs speed */
}

static bool bed_init(threads_bed *b, bool spins)
{
  b->spins = spins;
  if (pthread_mutex_init(&b->mutex, NULL) != 0)
    return false;
  if (pthread_cond_init(&b->cond, NULL) == 0)
    return true;
  pthread_mutex_destroy(&b->mutex);
  return false;
}

static void bed_destroy(threads_bed *b)
{
  pthread_mutex_destroy(&b->mutex);
  pthread_cond_destroy(&b->cond);
}

static bool pool_prepare(gradrt_pool *p, int nworkers, bool spins)
{
  size_t n = (size_t)nworkers;
  p->barrier.flag = gradrt_alloc(sizeof(threads_flag) * n);
  p->thread = gradrt_alloc(sizeof(pthread_t) * n);
  p->seat = gradrt_alloc(sizeof(struct threads_seat) * n);
  if (!p->barrier.flag || !p->thread || !p->seat || !bed_init(&p->bed, spins))
    return false;
  p->has_beds = bed_init(&p->barrier.bed, spins);
  if (!p->has_beds)
    bed_destroy(&p->bed);
  return p->has_beds;
}

/* Threads that share all allowed CPUs evenly gain from staying where their caches are. Fewer
 * threads are not pinned: two programs would choose the same CPUs and leave the others idle. */
static void pool_pin(gradrt_pool *p, const int *cpu)
{
  for (int i = 1; i < p->n; i++)
    threads_pin(p->thread[i], cpu[i]);
  p->pinned = threads_pin(pthread_self(), cpu[0]);
}

gradrt_pool *gradrt_pool_start(int nworkers)
{
  int cpu[THREADS_CPUS], want = nworkers < 1 ? 1 : nworkers;
  gradrt_pool *p = gradrt_alloc(sizeof *p);
  if (!p)
    return NULL;
  int allowed = threads_allowed(&p->caller, cpu, THREADS_CPUS);
  p->n = 1;                     /* threads that run, for a stop half-way */
  if (!pool_prepare(p, want, want <= allowed && want <= gradrt_default_threads())) {
    gradrt_pool_stop(p);
    return NULL;
  }
  for (int i = 1; i < want; i++) {
    p->seat[i] = (struct threads_seat){ p, i };
    if (pthread_create(&p->thread[i], NULL, pool_worker, &p->seat[i]) != 0) {
      gradrt_pool_stop(p);
      return NULL;
    }
    p->n = i + 1;
  }
  if (want > 1 && want == allowed && want <= THREADS_CPUS)
    pool_pin(p, cpu);
  return p;
}

void gradrt_pool_stop(gradrt_pool *p)
{
  if (!p)
    return;
  p->stop = true;
  if (p->has_beds)
    pool_publish(p);
  for (int i = 1; i < p->n; i++)
    pthread_join(p->thread[i], NULL);
  if (p->pinned)
    pthread_setaffinity_np(pthread_self(), sizeof p->caller, &p->caller);
  if (p->has_beds) {
    bed_destroy(&p->bed);
    bed_destroy(&p->barrier.bed);
  }
  gradrt_free(p->barrier.flag);
  gradrt_free(p->thread);
  gradrt_free(p->seat);
  gradrt_free(p);
}

/* ---- how many ---- */

/* CPUs that a quota file of cgroup 2 grants ("200000 100000"); 0: no limit. */
static double threads_quota_file(const char *path)
{
  char word[32] = "";
  double period = 0;
  FILE *f = fopen(path, "re");
  int got = f ? fscanf(f, "%31s %lf", word, &period) : 0;
  if (f)
    fclose(f);
  double quota = got == 2 && strcmp(word, "max") != 0 ? strtod(word, NULL) : 0;
  return quota > 0 && period > 0 ? quota / period : 0;
}

/* cgroup 1: two files. */
static double threads_quota_old(void)
{
  double quota = 0, period = 0;
  FILE *q = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re");
  FILE *p = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re");
  bool known = q && p && fscanf(q, "%lf", &quota) == 1 && fscanf(p, "%lf", &period) == 1;
  if (q)
    fclose(q);
  if (p)
    fclose(p);
  return known && quota > 0 && period > 0 ? quota / period : 0;
}

/* The group of this process in cgroup 2, as a path; "" when not known. */
static void threads_group(char *group, size_t size)
{
  char line[512];
  FILE *f = fopen("/proc/self/cgroup", "re");
  *group = '\0';
  while (f && fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "0::/", 4) == 0 && strlen(line + 3) < size)
      strcpy(group, line + 3);
  }
  if (f)
    fclose(f);
}

/* CPUs that the quotas of this process's group and those above it amount to, rounded up; 0: no
 * limit. */
static int threads_quota(void)
{
  char group[512], path[600];
  double least = threads_quota_old();
  threads_group(group, sizeof group);
  for (;;) {
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", strcmp(group, "/") == 0 ? "" : group);
    double here = threads_quota_file(path);
    least = here > 0 && (least <= 0 || here < least) ? here : least;
    char *slash = strrchr(group, '/');
    if (!slash)
      break;
    *slash = '\0';
  }
  int whole = least < 1e6 ? (int)least : 0;
  return whole + (whole < least && least < 1e6);
}

int gradrt_default_threads(void)
{
  cpu_set_t set;
  int cpu[1], n = threads_allowed(&set, cpu, 1), quota = threads_quota();
  if (n < 1)
    n = (int)sysconf(_SC_NPROCESSORS_ONLN);
  if (quota > 0 && quota < n)
    n = quota;
  return n < 1 ? 1 : n > 256 ? 256 : n;
}
