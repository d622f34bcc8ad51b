/* Worker threads that run step functions SPMD.
 *
 * Workers live as long as the pool. A run is published by bumping a generation; every worker calls the step
 * function and meets the others at barriers inside it and once at its end. Waiting spins for about 20 us,
 * then blocks, so idle programs burn nothing. Denormals are flushed in every worker; the caller's own
 * floating-point control is restored after each run.
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

enum { THREADS_SPIN = 4000, THREADS_LINE = 64 };

/* ---- floating-point control ---- */

#if defined(__x86_64__) || defined(__i386__)
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

/* ---- barrier ---- */

/* Each worker owns a line with the number of barriers it has reached; waiting looks at the others' lines. */
typedef struct {
  _Alignas(64) atomic_uint_fast64_t reached;
  char pad[THREADS_LINE - sizeof(atomic_uint_fast64_t)];
} threads_flag;

struct gradrt_barrier {
  threads_flag *flag;
  atomic_int sleepers;
  pthread_mutex_t mutex;
  pthread_cond_t cond;
};

static void barrier_wake(gradrt_barrier *b)
{
  if (atomic_load(&b->sleepers) == 0)
    return;
  pthread_mutex_lock(&b->mutex);
  pthread_cond_broadcast(&b->cond);
  pthread_mutex_unlock(&b->mutex);
}

static void barrier_await(gradrt_barrier *b, int other, uint_fast64_t turn)
{
  for (int spin = 0; spin < THREADS_SPIN; spin++) {
    if (atomic_load_explicit(&b->flag[other].reached, memory_order_acquire) >= turn)
      return;
    threads_pause();
  }
  pthread_mutex_lock(&b->mutex);
  atomic_fetch_add(&b->sleepers, 1);
  while (atomic_load(&b->flag[other].reached) < turn)
    pthread_cond_wait(&b->cond, &b->mutex);
  atomic_fetch_sub(&b->sleepers, 1);
  pthread_mutex_unlock(&b->mutex);
}

void gradrt_barrier_wait(gradrt_barrier *b, int worker, int nworkers)
{
  if (nworkers == 1)
    return;
  uint_fast64_t turn = atomic_load_explicit(&b->flag[worker].reached, memory_order_relaxed) + 1;
  atomic_store(&b->flag[worker].reached, turn);
  barrier_wake(b);
  for (int other = 0; other < nworkers; other++)
    if (other != worker)
      barrier_await(b, other, turn);
}

/* ---- pool ---- */

struct gradrt_pool {
  int n;
  gradrt_barrier barrier;
  atomic_uint_fast64_t generation;      /* runs started; the last one with stop set ends the workers */
  atomic_int sleepers;
  pthread_mutex_t mutex;
  pthread_cond_t cond;
  bool stop;
  gradrt_step_fn fn;
  gradrt_step *step;
  pthread_t *thread;
  struct threads_seat *seat;
};

struct threads_seat { gradrt_pool *pool; int worker; };

static void pool_await(gradrt_pool *p, uint_fast64_t generation)
{
  for (int spin = 0; spin < THREADS_SPIN; spin++) {
    if (atomic_load_explicit(&p->generation, memory_order_acquire) >= generation)
      return;
    threads_pause();
  }
  pthread_mutex_lock(&p->mutex);
  atomic_fetch_add(&p->sleepers, 1);
  while (atomic_load(&p->generation) < generation)
    pthread_cond_wait(&p->cond, &p->mutex);
  atomic_fetch_sub(&p->sleepers, 1);
  pthread_mutex_unlock(&p->mutex);
}

static void pool_publish(gradrt_pool *p)
{
  atomic_fetch_add(&p->generation, 1);
  if (atomic_load(&p->sleepers) == 0)
    return;
  pthread_mutex_lock(&p->mutex);
  pthread_cond_broadcast(&p->cond);
  pthread_mutex_unlock(&p->mutex);
}

static void *pool_worker(void *arg)
{
  struct threads_seat *seat = arg;
  gradrt_pool *p = seat->pool;
  threads_fp_flush();
  for (uint_fast64_t generation = 1;; generation++) {
    pool_await(p, generation);
    if (p->stop)
      return NULL;
    p->fn(p->step, seat->worker, p->n);
    gradrt_barrier_wait(&p->barrier, seat->worker, p->n);
  }
}

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

static int threads_allowed(int *cpu, int max)
{
  cpu_set_t set;
  int n = 0;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0)
    return 0;
  for (int i = 0; i < CPU_SETSIZE; i++)
    if (CPU_ISSET(i, &set)) {
      if (n < max)
        cpu[n] = i;
      n++;
    }
  return n;
}

static void threads_pin(pthread_t thread, int cpu)
{
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(thread, sizeof set, &set);     /* a refusal only costs speed */
}

gradrt_pool *gradrt_pool_start(int nworkers)
{
  enum { CPUS = 1024 };
  int cpu[CPUS], allowed = threads_allowed(cpu, CPUS);
  gradrt_pool *p = gradrt_alloc(sizeof *p);
  if (!p)
    return NULL;
  p->n = nworkers;
  p->barrier.flag = gradrt_alloc(sizeof(threads_flag) * (size_t)nworkers);
  p->thread = gradrt_alloc(sizeof(pthread_t) * (size_t)nworkers);
  p->seat = gradrt_alloc(sizeof(struct threads_seat) * (size_t)nworkers);
  if (!p->barrier.flag || !p->thread || !p->seat)
    return NULL;
  pthread_mutex_init(&p->barrier.mutex, NULL);
  pthread_cond_init(&p->barrier.cond, NULL);
  pthread_mutex_init(&p->mutex, NULL);
  pthread_cond_init(&p->cond, NULL);
  for (int i = 1; i < nworkers; i++) {
    p->seat[i] = (struct threads_seat){ p, i };
    if (pthread_create(&p->thread[i], NULL, pool_worker, &p->seat[i]) != 0) {
      p->n = i;
      gradrt_pool_stop(p);
      return NULL;
    }
    if (nworkers <= allowed && i < CPUS)
      threads_pin(p->thread[i], cpu[i]);
  }
  if (nworkers > 1 && nworkers <= allowed)
    threads_pin(pthread_self(), cpu[0]);
  return p;
}

void gradrt_pool_stop(gradrt_pool *p)
{
  if (!p)
    return;
  p->stop = true;
  pool_publish(p);
  for (int i = 1; i < p->n; i++)
    pthread_join(p->thread[i], NULL);
  pthread_mutex_destroy(&p->barrier.mutex);
  pthread_cond_destroy(&p->barrier.cond);
  pthread_mutex_destroy(&p->mutex);
  pthread_cond_destroy(&p->cond);
  gradrt_free(p->barrier.flag);
  gradrt_free(p->thread);
  gradrt_free(p->seat);
  gradrt_free(p);
}

/* ---- how many ---- */

/* CPUs that the cgroup's quota amounts to, rounded up; 0: no limit known. */
static int threads_quota(void)
{
  double quota = 0, period = 0;
  char word[32] = "";
  FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
  if (f) {
    int got = fscanf(f, "%31s %lf", word, &period);
    fclose(f);
    if (got == 2 && strcmp(word, "max") != 0)
      quota = strtod(word, NULL);
  } else {
    FILE *q = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r"), *p = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r");
    if (!q || !p || fscanf(q, "%lf", &quota) != 1 || fscanf(p, "%lf", &period) != 1)
      quota = 0;
    if (q)
      fclose(q);
    if (p)
      fclose(p);
  }
  if (quota <= 0 || period <= 0)
    return 0;
  int cpus = (int)((quota + period - 1) / period);
  return cpus < 1 ? 1 : cpus;
}

int gradrt_default_threads(void)
{
  int cpu[1], n = threads_allowed(cpu, 1), quota = threads_quota();
  if (n < 1)
    n = (int)sysconf(_SC_NPROCESSORS_ONLN);
  if (quota > 0 && quota < n)
    n = quota;
  return n < 1 ? 1 : n > 256 ? 256 : n;
}
