/* Trains a net inside a program that knows nothing of command lines or data files: the points are
 * made here, the loop stands here. The net is rings.nn, as one of
 *
 *   gradc build rings.nn --emit header                  rings.h, for both
 *   gradc build rings.nn --library                      rings.c, standalone:
 *     cc -O3 -march=native -c rings.c && cc -O2 main.c rings.o -o rings -lm -lpthread
 *   gradc build rings.nn --emit obj                     rings.o, with LLVM, for libgradrt:
 *     cc -O2 main.c rings.o -L ../../build/runtime -lgradrt -lm -lpthread -lz -o rings
 *
 * ./rings [THREADS] prints losses and accuracy and leaves points.csv, rings.safetensors and
 * prob.csv. `gradc train rings.nn` on that points.csv ends with the same weights, bit for bit,
 * whatever made rings.o and with any number of threads, and `gradc predict` gives the same
 * numbers. */
#include "rings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { POINTS = 600, INPUTS = 2, CLASSES = 3, EPOCHS = 40 };

typedef struct {
  float x[POINTS][INPUTS];
  int32_t ring[POINTS];
} Points;

/* A number in [0, 1). */
static double noise(uint32_t *seed)
{
  *seed = *seed * 1664525u + 1013904223u;
  return (double)(*seed >> 8) / (1 << 24);
}

/* Three rings around the origin with radii of about 1, 2 and 3. */
static void make_points(Points *p)
{
  uint32_t seed = 7;
  for (int i = 0; i < POINTS; i++) {
    p->ring[i] = i % CLASSES;
    double radius = 1 + p->ring[i] + 0.6 * (noise(&seed) - 0.5), angle = 6.2831853 * noise(&seed);
    p->x[i][0] = (float)(radius * cos(angle));
    p->x[i][1] = (float)(radius * sin(angle));
  }
}

static int write_points(const Points *p, const char *path)
{
  FILE *f = fopen(path, "w");
  if (!f)
    return 5;
  fprintf(f, "a,b,ring\n");
  for (int i = 0; i < POINTS; i++)
    fprintf(f, "%.9g,%.9g,%d\n", (double)p->x[i][0], (double)p->x[i][1], (int)p->ring[i]);
  return fclose(f) ? 5 : 0;
}

/* Batches in order; the last one is smaller. */
static int train(rings_model *m, const Points *p)
{
  for (int epoch = 1; epoch <= EPOCHS; epoch++) {
    double sum = 0, loss;
    for (int first = 0; first < POINTS; first += RINGS_BATCH) {
      int n = POINTS - first < RINGS_BATCH ? POINTS - first : RINGS_BATCH;
      int code = rings_train(m, p->x[first], &p->ring[first], n, RINGS_LR, &loss);
      if (code)
        return code;
      sum += loss * n;
    }
    if (epoch % 10 == 0)
      printf("epoch %d: loss %.4f\n", epoch, sum / POINTS);
  }
  return 0;
}

/* Asks the net about all points; leaves its answers in a file. */
static int test(rings_model *m, const Points *p, const char *path)
{
  static float prob[POINTS][CLASSES];
  int hits = 0, code = rings_infer(m, p->x[0], POINTS, prob[0]);
  FILE *f = code ? NULL : fopen(path, "w");
  if (!f)
    return code ? code : 5;
  for (int i = 0; i < POINTS; i++) {
    int best = 0;
    for (int c = 0; c < CLASSES; c++) {
      best = prob[i][c] > prob[i][best] ? c : best;
      fprintf(f, "%.9g%s", (double)prob[i][c], c + 1 < CLASSES ? "," : "\n");
    }
    hits += best == p->ring[i];
  }
  printf("accuracy %.1f %%\n", 100.0 * hits / POINTS);
  return fclose(f) ? 5 : 0;
}

/* Writes the weights, and moves them into another model in both of the ways there are. */
static int copy(rings_model *from, rings_model *to)
{
  float bias[CLASSES] = { 0 };
  int code = rings_save(from, "rings.safetensors");
  code = code ? code : rings_load(to, "rings.safetensors");
  code = code ? code : rings_get(from, "logits.bias", bias, CLASSES);
  return code ? code : rings_set(to, "logits.bias", bias, CLASSES);
}

int main(int argc, char **argv)
{
  static Points p;
  int threads = argc > 1 ? atoi(argv[1]) : 0;
  rings_model *m = rings_new(threads, 1), *other = rings_new(1, 2);
  int code = m && other ? 0 : 6;
  make_points(&p);
  code = code ? code : write_points(&p, "points.csv");
  code = code ? code : train(m, &p);
  code = code ? code : copy(m, other);
  code = code ? code : test(other, &p, "prob.csv");
  rings_free(other);
  rings_free(m);
  return code;
}
