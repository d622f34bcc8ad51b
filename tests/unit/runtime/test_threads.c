/* Workers that meet at barriers: nobody runs ahead, nothing written before is unseen after. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

#define TEST(f) cmocka_unit_test(f)

enum { WORKERS_MAX = 16, ROUNDS = 400, RUNS = 300 };

static const int counts[] = { 1, 2, 3, WORKERS_MAX };

enum { COUNTS = sizeof counts / sizeof *counts };

/* Plain memory on purpose: only the barriers order it. */
typedef struct {
  long slot[WORKERS_MAX * 16];
  long total, shift;
  atomic_long wrong;
} Shared;

static atomic_uint sink;

/* Work of very different length, so that waiting both spins and sleeps. */
static void dawdle(int worker, long round)
{
  unsigned x = (unsigned)(worker * 7919 + round * 104729), n = x % 97 == 0 ? 60000 : x % 50;
  for (unsigned i = 0; i < n; i++) {
    x = x * 1664525u + 1013904223u;
  }
  atomic_store_explicit(&sink, x, memory_order_relaxed);
}

static void meet(const gradrt_step *s, int worker, int nworkers)
{
  Shared *sh = s->state;
  for (long round = 1; round <= ROUNDS; round++) {
    dawdle(worker, round);
    sh->slot[worker * 16] = sh->shift + round;
    gradrt_barrier_wait(s->barrier, worker, nworkers);
    for (int i = 0; i < nworkers; i++) {
      if (sh->slot[i * 16] != sh->shift + round) {
        atomic_fetch_add(&sh->wrong, 1);
      }
    }
    gradrt_barrier_wait(s->barrier, worker, nworkers);
  }
}

static void test_nobody_passes_a_barrier_before_all_have_come(void **state)
{
  (void)state;
  for (int k = 0; k < COUNTS; k++) {
    static Shared sh;
    memset(&sh, 0, sizeof sh);
    gradrt_pool *p = gradrt_pool_start(counts[k]);
    gradrt_step s = { .state = &sh };
    assert_non_null(p);
    assert_int_equal(gradrt_pool_size(p), counts[k]);
    for (int run = 0; run < 3; run++) {
      sh.shift = run * 1000L;
      gradrt_pool_run(p, meet, &s);
    }
    gradrt_pool_stop(p);
    assert_int_equal(atomic_load(&sh.wrong), 0);
  }
}

/* Every worker once, no barrier inside: the end of the run is one. */
static void add(const gradrt_step *s, int worker, int nworkers)
{
  Shared *sh = s->state;
  dawdle(worker, sh->total);
  sh->slot[worker * 16] += nworkers;
}

static void subtract(const gradrt_step *s, int worker, int nworkers)
{
  Shared *sh = s->state;
  sh->slot[worker * 16] -= nworkers - 1;
}

static void test_a_run_ends_when_all_workers_are_done(void **state)
{
  (void)state;
  for (int k = 0; k < COUNTS; k++) {
    static Shared sh;
    memset(&sh, 0, sizeof sh);
    gradrt_pool *p = gradrt_pool_start(counts[k]);
    gradrt_step a = { .state = &sh }, b = { .state = &sh };
    for (long run = 1; run <= RUNS; run++) {
      sh.total = run;
      gradrt_pool_run(p, add, &a);
      gradrt_pool_run(p, subtract, &b);
      for (int i = 0; i < counts[k]; i++) {
        assert_int_equal(sh.slot[i * 16], run);
      }
    }
    gradrt_pool_stop(p);
  }
}

static void test_pools_start_and_stop(void **state)
{
  (void)state;
  for (int i = 0; i < 100; i++) {
    gradrt_pool *p = gradrt_pool_start(1 + i % 5);
    assert_non_null(p);
    gradrt_pool_stop(p);
  }
  gradrt_pool *p = gradrt_pool_start(0);
  assert_int_equal(gradrt_pool_size(p), 1);
  gradrt_pool_stop(p);
  gradrt_pool_stop(NULL);
}

/* ---- what the caller keeps ---- */

static volatile float tiny = 0x1p-126f;

static void halve(const gradrt_step *s, int worker, int nworkers)
{
  (void)nworkers;
  float *out = s->state;
  out[worker] = tiny * 0.5f;
}

static void test_denormals_are_flushed_in_workers_only(void **state)
{
  (void)state;
#if defined(__SSE__) || defined(__aarch64__)
  float out[3] = { 1, 1, 1 };
  gradrt_pool *p = gradrt_pool_start(3);
  gradrt_step s = { .state = out };
  gradrt_pool_run(p, halve, &s);
  volatile float here = tiny * 0.5f;
  gradrt_pool_stop(p);
  assert_true(here > 0);
  for (int i = 0; i < 3; i++) {
    assert_true(out[i] == 0);
  }
#else
  (void)halve;
  skip();
#endif
}

static void test_the_callers_cpus_are_given_back(void **state)
{
  (void)state;
  cpu_set_t before, after;
  CPU_ZERO(&before);
  CPU_ZERO(&after);
  assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
  int threads = gradrt_default_threads();
  gradrt_pool *p = gradrt_pool_start(CPU_COUNT(&before));
  gradrt_pool_stop(p);
  assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
  assert_true(CPU_EQUAL(&before, &after));
  assert_int_equal(gradrt_default_threads(), threads);
  assert_true(threads >= 1 && threads <= CPU_COUNT(&before));
}

/* Starting fails after some threads run: all of them end, and the answer is NULL. */
static void test_a_start_that_fails_half_way_leaves_nothing(void **state)
{
  (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip();
#else
  pid_t child = fork();
  if (child == 0) {
    struct rlimit r = { 400u << 20, 400u << 20 };       /* stacks of 8 MB each */
    setrlimit(RLIMIT_AS, &r);
    bool refused = gradrt_pool_start(250) == NULL;
    gradrt_pool *p = gradrt_pool_start(2);
    _exit(refused && p ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
#endif
}

int main(void)
{
  static const struct CMUnitTest tests[] = {
    TEST(test_nobody_passes_a_barrier_before_all_have_come),
    TEST(test_a_run_ends_when_all_workers_are_done),
    TEST(test_pools_start_and_stop),
    TEST(test_denormals_are_flushed_in_workers_only),
    TEST(test_the_callers_cpus_are_given_back),
    TEST(test_a_start_that_fails_half_way_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
