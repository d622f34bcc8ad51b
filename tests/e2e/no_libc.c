/* Two training steps of a net without libgradrt, on numbers that this file makes itself; `run`
 * returns a checksum of the state after them, 0 when the memory is too small. For machines that
 * have no libc. */
#include "gradrt.h"

extern const gradrt_net lenet_net;

enum { BYTES = 1 << 25, IMAGE = 28 * 28, CLASSES = 10, STEPS = 2 };
static _Alignas(64) unsigned char memory[BYTES];
static size_t used;

static void *take(size_t bytes)
{
  void *p = memory + used;
  used += (bytes + 63) / 64 * 64;
  return used <= BYTES ? p : NULL;
}

#ifdef __wasm__
/* What the object needs of libgradrt and libc: one worker has nobody to wait for. */
void gradrt_barrier_wait(gradrt_barrier *b, int worker, int nworkers)
{
  (void)b, (void)worker, (void)nworkers;
}

void gradrt_watch(const gradrt_step *s, int call) { (void)s, (void)call; }

void *memset(void *to, int byte, size_t n)
{
  for (size_t i = 0; i < n; i++)
    ((volatile unsigned char *)to)[i] = (unsigned char)byte;
  return to;
}

/* a * b + c, rounded once: the product is exact in double, the sum is rounded to odd. */
float fmaf(float a, float b, float c)
{
  union { double real; uint64_t bits; } sum;
  double product = (double)a * b;
  sum.real = product + c;
  double back = sum.real - product;
  double error = (product - (sum.real - back)) + (c - back);
  if (error != 0 && sum.bits % 2 == 0)
    sum.bits += (error > 0) == (sum.real > 0) ? 1 : -1;
  return (float)sum.real;
}
#endif

static void fill_state(const gradrt_net *net, unsigned char *state)
{
  for (int t = 0; t < net->ntensor; t++) {
    float *at = (float *)(void *)(state + net->tensor[t].offset);
    for (size_t i = 0; net->tensor[t].role == GRADRT_PARAM && i < net->tensor[t].stored; i++)
      at[i] = (float)((int)(i * 7 % 31) - 15) / 128;
  }
}

unsigned run(void)
{
  const gradrt_net *net = &lenet_net;
  size_t n = (size_t)net->batch;
  unsigned char *x = take(n * IMAGE), *y = take(n), *state = take(net->state_bytes);
  uint32_t *ids = take((n + 15) / 16 * 16 * sizeof *ids);
  gradrt_step s = { .state = state, .ids = ids, .n = net->batch, .rows = { x, y } };
  s.arena = take(net->train.arena_bytes);
  s.worker = take(net->train.worker_bytes);
  s.out[0] = take(64);
  if (!s.out[0] || net->train.noutput != 1)
    return 0;
  fill_state(net, state);
  for (size_t i = 0; i < n * IMAGE; i++)
    x[i] = (unsigned char)(i * 37 % 251);
  for (size_t i = 0; i < (n + 15) / 16 * 16; i++) {
    ids[i] = (uint32_t)(i < n ? i : n - 1);
    if (i < n)
      y[i] = (unsigned char)(i * 3 % CLASSES);
  }
  s.args[GRADRT_ARG_LR] = 0.003;
  s.args[GRADRT_ARG_N] = (double)n;
  s.args[GRADRT_ARG_BC1] = 0.1;
  s.args[GRADRT_ARG_BC2] = 0.001;
  for (int i = 0; i < STEPS; i++)
    net->train.fn(&s, 0, 1);
  unsigned sum = 2166136261u;
  for (size_t i = 0; i < net->state_bytes; i++)
    sum = (sum ^ state[i]) * 16777619u;
  return sum;
}

#ifndef __wasm__
#include <stdio.h>

int main(void)
{
  printf("%u\n", run());
  return 0;
}
#endif
