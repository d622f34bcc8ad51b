/* Stands in for the runtime when tests run a thin program: one training step over memory from a
 * file.
 *
 *   program STATE_IN STATE_OUT SAMPLES WORKERS
 *   program DESCRIPTION_OUT
 *
 * STATE_IN holds the state block; STATE_OUT gets it back after the step, then 64 bytes of each
 * output. Rows of every field are the state block; row numbers count up. Denormals are flushed, as
 * in the runtime. */
#define _GNU_SOURCE
#include "describe.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_BYTES = 64 };

struct gradrt_barrier {
  pthread_barrier_t meet;
};

void gradrt_barrier_wait(gradrt_barrier *b, int worker, int nworkers)
{
  (void)worker;
  (void)nworkers;
  pthread_barrier_wait(&b->meet);
}

/* Steps without a watcher never ask. */
void gradrt_watch(const gradrt_step *s, int call)
{
  (void)s;
  (void)call;
  abort();
}

typedef struct {
  const gradrt_net *net;
  const gradrt_step *step;
  int worker, nworkers;
} Job;

static void *run(void *arg)
{
  Job *j = arg;
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040u);
#endif
  j->net->train.fn(j->step, j->worker, j->nworkers);
  return NULL;
}

static void *block(size_t bytes)
{
  size_t rounded = (bytes + 64) / 64 * 64;
  void *p = aligned_alloc(64, rounded);
  if (!p)
    exit(6);
  memset(p, 0, rounded);
  return p;
}

static int put_description(const gradrt_net *net, const char *path)
{
  FILE *f = fopen(path, "wb");
  if (!f)
    return 5;
  describe(f, net);
  return fclose(f) ? 5 : 0;
}

int gradrt_main(const gradrt_net *net, int argc, char **argv)
{
  if (argc == 2)
    return put_description(net, argv[1]);
  if (argc != 5)
    return 2;
  gradrt_barrier barrier;
  gradrt_step s = { .n = atoi(argv[3]), .barrier = &barrier };
  int nworkers = atoi(argv[4]);
  uint32_t ids[64];
  for (uint32_t i = 0; i < 64; i++)
    ids[i] = i;
  s.state = block(net->state_bytes);
  s.arena = block(net->train.arena_bytes);
  s.worker = block(net->train.worker_bytes * (size_t)nworkers);
  s.ids = ids;
  for (int i = 0; i < GRADRT_FIELDS_MAX; i++)
    s.rows[i] = s.state;
  for (int i = 0; i < GRADRT_OUTPUTS_MAX; i++)
    s.out[i] = block(OUT_BYTES);
  for (int i = 0; i < GRADRT_ARG_COUNT; i++)
    s.args[i] = 0.25 * (i + 1);
  FILE *in = fopen(argv[1], "rb");
  if (!in || fread(s.state, 1, net->state_bytes, in) != net->state_bytes)
    return 3;
  fclose(in);

  pthread_barrier_init(&barrier.meet, NULL, (unsigned)nworkers);
  pthread_t thread[16];
  Job job[16];
  for (int w = 0; w < nworkers; w++) {
    job[w] = (Job){ net, &s, w, nworkers };
    if (pthread_create(&thread[w], NULL, run, &job[w]))
      return 6;
  }
  for (int w = 0; w < nworkers; w++)
    pthread_join(thread[w], NULL);

  FILE *out = fopen(argv[2], "wb");
  if (!out)
    return 5;
  fwrite(s.state, 1, net->state_bytes, out);
  for (int i = 0; i < net->train.noutput; i++)
    fwrite(s.out[i], 1, OUT_BYTES, out);
  return fclose(out) ? 5 : 0;
}
