/* Compares training in generated code with PyTorch, step by step.
 *
 *   golden <gradc> <folder of specs and goldens> <work folder> <net> <f32|f64>
 *
 * Writes the data that make_goldens.py computed on (same formula, checked against its checksum), runs
 * `gradc train` on <net>.nn and compares the loss of every step, the loss on the test rows after every epoch
 * and the sums over every tensor of the final checkpoint with <net>.<real>.txt. A float run is also held
 * against PyTorch's losses in double, more tightly: on bn_cnn PyTorch's own float run leaves its double run by
 * 1.6e-3 within 20 steps (rounding decides a maximum), which is what the bounds on its floats allow for.
 * Prints the worst deviation of each kind; exits with 1 when one is too large. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, TRAIN = 300, TEST = 100, PATH = 4096, EPOCHS_MAX = 64 };

extern char **environ;

typedef struct {
  const char *gradc, *folder, *work, *net, *real;
  double step_bound, end_bound;                 /* relative: losses of steps; test losses and sums */
  double worst_step, worst_epoch, worst_tensor;
  int steps, epochs, tensors;
} Golden;

static void fail(const char *what, const char *which)
{
  fprintf(stderr, "golden: %s%s%s\n", what, *which ? ": " : "", which);
  exit(1);
}

static void path_in(char *out, const char *dir, const char *name)
{
  if (snprintf(out, PATH, "%s/%s", dir, name) >= PATH)
    fail("path too long", name);
}

/* ---- data ---- */

static uint32_t mix(uint32_t v)
{
  v *= 0x9E3779B1u;
  return v ^ v >> 15;
}

static int label_of(int i) { return (i * 7 + i / 10) % 10; }

static unsigned char pixel_of(int i, int r, int c)
{
  uint32_t block = (uint32_t)(label_of(i) * 997 + r / 4 * 31 + c / 4 + 1);
  uint32_t cell = (uint32_t)(i * PIXELS + r * SIDE + c + 1);
  return (unsigned char)((mix(block) >> 24) / 2 + (mix(mix(cell)) >> 25));
}

/* One .npy file of bytes: version 1.0, header padded to 128 bytes. */
static void write_npy(const char *path, const char *shape, const unsigned char *bytes, size_t n)
{
  char head[128];
  memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
  int used = snprintf(head + 10, sizeof head - 10,
                      "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }", shape);
  memset(head + 10 + used, ' ', sizeof head - 11 - (size_t)used);
  head[sizeof head - 1] = '\n';
  FILE *f = fopen(path, "wb");
  bool ok = f && fwrite(head, 1, sizeof head, f) == sizeof head && fwrite(bytes, 1, n, f) == n;
  if (!f || fclose(f) != 0 || !ok)
    fail("cannot write", path);
}

/* Writes samples first .. first + n - 1 as <name>-x.npy and <name>-y.npy; returns their checksum. */
static uint32_t write_rows(const char *dir, const char *name, int first, int n)
{
  char path[PATH], file[32], shape[32];
  size_t size = (size_t)n * PIXELS;
  unsigned char *all = malloc(size + (size_t)n), *label = all + size;
  if (!all)
    fail("out of memory", "");
  for (int i = 0; i < n; i++) {
    label[i] = (unsigned char)label_of(first + i);
    for (int k = 0; k < PIXELS; k++)
      all[i * PIXELS + k] = pixel_of(first + i, k / SIDE, k % SIDE);
  }
  snprintf(file, sizeof file, "%s-x.npy", name);
  snprintf(shape, sizeof shape, "(%d, %d, %d)", n, SIDE, SIDE);
  path_in(path, dir, file);
  write_npy(path, shape, all, size);
  snprintf(file, sizeof file, "%s-y.npy", name);
  snprintf(shape, sizeof shape, "(%d,)", n);
  path_in(path, dir, file);
  write_npy(path, shape, label, (size_t)n);
  uint32_t h = 0x811C9DC5u;
  for (size_t i = 0; i < size + (size_t)n; i++)
    h = (h ^ all[i]) * 0x01000193u;
  free(all);
  return h;
}

/* ---- the run ---- */

static void make_dir(const char *path)
{
  if (mkdir(path, 0777) != 0 && errno != EEXIST)
    fail("cannot make the folder", path);
}

static void train(const Golden *g, const char *epochs)
{
  char spec[PATH], name[64], real[16], log[PATH], out[PATH];
  snprintf(name, sizeof name, "%s.nn", g->net);
  snprintf(real, sizeof real, "real=%s", g->real);
  path_in(spec, g->folder, name);
  path_in(log, g->work, "steps.csv");
  path_in(out, g->work, "run");
  const char *argv[] = { g->gradc, "train", spec, "--set", real, "--epochs", epochs, "--data", g->work, "--out", out,
                         "--log-steps", log, "--silent", NULL };
  char *words[sizeof argv / sizeof *argv];
  memcpy(words, argv, sizeof argv);
  pid_t pid;
  int status = 0;
  setenv("XDG_CACHE_HOME", g->work, 1);
  int failed = posix_spawn(&pid, g->gradc, NULL, NULL, words, environ);
  if (failed)
    fail("cannot run gradc", strerror(failed));
  if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail("gradc train failed on", spec);
}

/* ---- reading results ---- */

static FILE *open_file(const char *dir, const char *name)
{
  char path[PATH];
  path_in(path, dir, name);
  FILE *f = fopen(path, "rb");
  if (!f)
    fail("cannot open", path);
  return f;
}

static double relative(double ours, double theirs)
{
  double d = fabs(ours - theirs) / fmax(fabs(theirs), 1e-30);
  return isfinite(ours) ? d : INFINITY;
}

/* The next row of steps.csv must be this step. */
static double next_step(FILE *log, int step)
{
  char line[256];
  int number;
  double loss;
  if (!fgets(line, sizeof line, log) || sscanf(line, "%d,%lf", &number, &loss) != 2 || number != step)
    fail("steps.csv lacks a step", "");
  return loss;
}

/* Column test_loss of metrics.csv, a value for each epoch; returns how many. */
static int read_epochs(const Golden *g, double *out)
{
  char line[4096];
  int column = -1, n = 0;
  FILE *f = open_file(g->work, "run/metrics.csv");
  while (fgets(line, sizeof line, f) && n < EPOCHS_MAX) {
    int c = 0;
    for (char *cell = strtok(line, ",\n"); cell; cell = strtok(NULL, ",\n"), c++) {
      if (column < 0 && !strcmp(cell, "test_loss"))
        column = c + 1000;
      else if (c == column)
        out[n++] = strtod(cell, NULL);
    }
    if (column < 0)
      fail("metrics.csv has no column test_loss", "");
    column = column >= 1000 ? column - 1000 : column;
  }
  fclose(f);
  return n;
}

typedef struct { char *bytes, *head, *values; } Weights;

static Weights read_weights(const Golden *g)
{
  FILE *f = open_file(g->work, "run/last.safetensors");
  fseek(f, 0, SEEK_END);
  long n = ftell(f);
  rewind(f);
  Weights w = { .bytes = malloc((size_t)n + 1) };
  uint64_t head;
  if (!w.bytes || n < 8 || fread(w.bytes, 1, (size_t)n, f) != (size_t)n)
    fail("cannot read last.safetensors", "");
  fclose(f);
  memcpy(&head, w.bytes, 8);
  if (head > (uint64_t)n - 8)
    fail("last.safetensors is cut off", "");
  w.head = w.bytes + 8;
  w.values = w.head + head;
  return w;
}

/* Sum and sum of magnitudes of a tensor; the header ends before the values, which end the file. */
static void sum_tensor(const Weights *w, const char *name, bool wide, double *sum, double *size)
{
  char key[300];
  unsigned long long from, to;
  snprintf(key, sizeof key, "\"%s\":", name);
  const char *at = strstr(w->head, key), *offsets = at ? strstr(at, "\"data_offsets\":[") : NULL;
  if (!offsets || sscanf(offsets + 16, "%llu,%llu", &from, &to) != 2)
    fail("the checkpoint lacks the tensor", name);
  *sum = *size = 0;
  for (size_t i = from; i < to; i += wide ? 8 : 4) {
    double d;
    float s;
    memcpy(&d, w->values + i, wide ? 8 : 4);
    memcpy(&s, w->values + i, 4);
    double v = wide ? d : (double)s;
    *sum += v;
    *size += fabs(v);
  }
}

/* ---- comparing ---- */

static void worst(double *of, double d) { *of = d > *of || isnan(d) ? d : *of; }

static void compare(Golden *g, FILE *golden)
{
  char line[512], name[256];
  double epochs[EPOCHS_MAX], theirs, their_size;
  int number, n = read_epochs(g, epochs);
  FILE *log = open_file(g->work, "steps.csv");
  Weights w = read_weights(g);
  if (!fgets(line, sizeof line, log))
    fail("steps.csv is empty", "");
  while (fgets(line, sizeof line, golden)) {
    if (sscanf(line, "step %d %lf", &number, &theirs) == 2) {
      double d = relative(next_step(log, number), theirs);
      if (d > g->step_bound)
        printf("  step %d: PyTorch %.17g, relative deviation %.2e\n", number, theirs, d);
      worst(&g->worst_step, d);
      g->steps++;
    } else if (sscanf(line, "epoch %d %lf", &number, &theirs) == 2) {
      if (number != g->epochs + 1 || number > n)
        fail("metrics.csv lacks an epoch", "");
      worst(&g->worst_epoch, relative(epochs[g->epochs++], theirs));
    } else if (sscanf(line, "tensor %255s %lf %lf", name, &theirs, &their_size) == 3) {
      double sum, size;
      sum_tensor(&w, name, !strcmp(g->real, "f64"), &sum, &size);
      double d = fmax(fabs(sum - theirs), fabs(size - their_size)) / fmax(their_size, 1e-30);
      if (!(d <= g->end_bound))
        printf("  %s: sum %.17g, PyTorch %.17g; magnitudes %.17g, PyTorch %.17g\n", name, sum, theirs, size, their_size);
      worst(&g->worst_tensor, d);
      g->tensors++;
    }
  }
  free(w.bytes);
  fclose(log);
}

/* Losses of a float run against PyTorch's in double, as far as the run goes; the worst relative deviation. */
static double against_double(const Golden *g)
{
  char line[512], name[64];
  double theirs, found = 0;
  int number;
  snprintf(name, sizeof name, "%s.f64.txt", g->net);
  FILE *golden = open_file(g->folder, name), *log = open_file(g->work, "steps.csv");
  if (!fgets(line, sizeof line, log))
    fail("steps.csv is empty", "");
  while (fgets(line, sizeof line, golden))
    if (sscanf(line, "step %d %lf", &number, &theirs) == 2 && number <= g->steps)
      worst(&found, relative(next_step(log, number), theirs));
  fclose(golden);
  fclose(log);
  return found;
}

/* "# .." and "data <train> <test>" start every golden file. */
static void check_data(FILE *golden, uint32_t train_sum, uint32_t test_sum)
{
  char line[512];
  uint32_t train = 0, test = 0;
  if (!fgets(line, sizeof line, golden) || line[0] != '#' || !fgets(line, sizeof line, golden) ||
      sscanf(line, "data %" SCNx32 " %" SCNx32, &train, &test) != 2)
    fail("the golden file has no checksum of its data", "");
  if (train != train_sum || test != test_sum)
    fail("the golden file was made on other data", "");
}

int main(int argc, char **argv)
{
  if (argc != 6)
    fail("usage: golden GRADC FOLDER WORK NET f32|f64", "");
  bool wide = !strcmp(argv[5], "f64");
  Golden g = { .gradc = argv[1], .folder = argv[2], .work = argv[3], .net = argv[4], .real = argv[5],
               .step_bound = wide ? 1e-8 : 1e-4, .end_bound = wide ? 1e-8 : 2e-3 };
  char name[64];
  make_dir(g.work);
  uint32_t train_sum = write_rows(g.work, "train", 0, TRAIN), test_sum = write_rows(g.work, "test", TRAIN, TEST);
  snprintf(name, sizeof name, "%s.%s.txt", g.net, g.real);
  FILE *golden = open_file(g.folder, name);
  check_data(golden, train_sum, test_sum);
  train(&g, wide ? "10" : "2");
  compare(&g, golden);
  fclose(golden);
  printf("%s %s: worst relative deviation %.2e over %d steps, %.2e over %d epochs on the test rows, %.2e over %d tensors\n",
         g.net, g.real, g.worst_step, g.steps, g.worst_epoch, g.epochs, g.worst_tensor, g.tensors);
  bool counted = g.steps == (wide ? 100 : 20) && g.epochs == (wide ? 10 : 2) && g.tensors > 1;
  bool close = g.worst_step <= g.step_bound && g.worst_epoch <= g.end_bound && g.worst_tensor <= g.end_bound;
  if (!counted)
    fail("the golden file is not whole", name);
  if (!wide) {
    double d = against_double(&g);
    printf("%s f32: worst relative deviation %.2e from PyTorch in double\n", g.net, d);
    close = close && d <= 2e-6;
  }
  return close ? 0 : 1;
}
