/* Compares training in generated code with PyTorch, step by step.
 *
 *   golden_torch GRADC FOLDER WORK NET f32|f64 [option of the trained program ..]
 *   golden_torch data WORK
 *
 * Writes the data that make_goldens.py computed on (same formula, checked against its checksum),
 * runs `gradc train` on FOLDER/NET.nn and compares the loss of every step, the loss on the test
 * rows after every epoch and the sums over every tensor of the final checkpoint with
 * NET.<real>.txt. A float run is also held against PyTorch's losses in double, more tightly: on
 * bn_cnn PyTorch's own float run leaves its double run by 6e-4 within 20 steps (rounding decides a
 * maximum), which is what the bounds on its floats allow for. Prints the worst deviations. */
#include "../tool.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, TRAIN = 300, TEST = 100 };
enum { EPOCHS_MAX = 64, STEPS_MAX = 1000 };
enum { TABLE_ROWS = 21, TABLE_COLUMNS = 320 };

typedef struct {
  const char *gradc, *folder, *work, *net, *real;
  double step_bound, end_bound; /* relative: losses of steps; test losses and sums */
  double worst_step, worst_epoch, worst_tensor;
  int steps, epochs, tensors;   /* compared */
  double loss[STEPS_MAX];       /* ours, by step */
  int nloss;
} Golden;

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
static void write_npy(const char *dir, const char *name, const char *shape,
                      const unsigned char *bytes, size_t n)
{
  char head[128];
  memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
  int used = snprintf(head + 10, sizeof head - 10,
                      "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }", shape);
  memset(head + 10 + used, ' ', sizeof head - 11 - (size_t)used);
  head[sizeof head - 1] = '\n';
  FILE *f = golden_open(dir, name, "wb");
  bool ok = fwrite(head, 1, sizeof head, f) == sizeof head && fwrite(bytes, 1, n, f) == n;
  if (fclose(f) != 0 || !ok)
    golden_fail("cannot write", name);
}

/* Writes samples first .. first + n - 1 as <name>-x.npy and <name>-y.npy; returns a checksum. */
static uint32_t write_rows(const char *dir, const char *name, int first, int n)
{
  char file[32], shape[32];
  size_t size = (size_t)n * PIXELS;
  unsigned char *all = malloc(size + (size_t)n), *label = all + size;
  if (!all)
    golden_fail("out of memory", "");
  for (int i = 0; i < n; i++) {
    label[i] = (unsigned char)label_of(first + i);
    for (int k = 0; k < PIXELS; k++)
      all[i * PIXELS + k] = pixel_of(first + i, k / SIDE, k % SIDE);
  }
  snprintf(file, sizeof file, "%s-x.npy", name);
  snprintf(shape, sizeof shape, "(%d, %d, %d)", n, SIDE, SIDE);
  write_npy(dir, file, shape, all, size);
  snprintf(file, sizeof file, "%s-y.npy", name);
  snprintf(shape, sizeof shape, "(%d,)", n);
  write_npy(dir, file, shape, label, (size_t)n);
  uint32_t h = 0x811C9DC5u;
  for (size_t i = 0; i < size + (size_t)n; i++)
    h = (h ^ all[i]) * 0x01000193u;
  free(all);
  return h;
}

/* Numbers in (-1, 1) with five decimals in columns v0 .., then labels k of 5 and b of 2 classes. */
static void write_table(const char *dir)
{
  FILE *f = golden_open(dir, "table.csv", "w");
  for (int i = 0; i < TABLE_COLUMNS; i++)
    fprintf(f, "v%d,", i);
  fprintf(f, "k,b\n");
  for (int r = 0; r < TABLE_ROWS; r++) {
    for (int i = 0; i < TABLE_COLUMNS; i++) {
      uint32_t h = mix(mix((uint32_t)(r * TABLE_COLUMNS + i + 1)));
      fprintf(f, "%.5f,", (double)(h >> 8) * 0x1p-23 - 1);
    }
    fprintf(f, "%d,%d\n", r % 5, r % 2);
  }
  if (fclose(f) != 0)
    golden_fail("cannot write", "table.csv");
}

/* ---- the run ---- */

static void train(Golden *g, const char *epochs, char **more)
{
  char spec[GOLDEN_PATH], name[64], real[16], log[GOLDEN_PATH], out[GOLDEN_PATH];
  snprintf(name, sizeof name, "%s.nn", g->net);
  snprintf(real, sizeof real, "real=%s", g->real);
  golden_path(spec, g->folder, name);
  golden_path(log, g->work, "steps.csv");
  golden_path(out, g->work, "run");
  const char *words[32] = { g->gradc, "train", spec, "--set", real, "--epochs", epochs, "--data",
                            g->work, "--out", out, "--log-steps", log, "--silent" };
  for (int n = 14; *more && n < 31; n++)
    words[n] = *more++;
  if (golden_run(words, g->work) != 0)
    golden_fail("gradc train failed on", spec);
  g->nloss = golden_column(g->work, "steps.csv", "loss", g->loss, STEPS_MAX);
}

/* ---- comparing ---- */

static void worst(double *of, double d) { *of = d > *of || isnan(d) ? d : *of; }

static double step_loss(const Golden *g, int step)
{
  if (step < 1 || step > g->nloss)
    golden_fail("steps.csv lacks a step", "");
  return g->loss[step - 1];
}

static void compare_tensor(Golden *g, const char *name, double theirs, double their_size)
{
  double sum, size;
  golden_tensor(g->work, "run/last.safetensors", name, &sum, &size);
  double d = fmax(fabs(sum - theirs), fabs(size - their_size)) / fmax(their_size, 1e-30);
  if (!(d <= g->end_bound))
    printf("  %s: sum %.17g, PyTorch %.17g; magnitudes %.17g, PyTorch %.17g\n", name, sum, theirs,
           size, their_size);
  worst(&g->worst_tensor, d);
  g->tensors++;
}

static void compare(Golden *g, FILE *golden)
{
  char line[512], name[256];
  double epochs[EPOCHS_MAX], theirs, their_size;
  int number, n = golden_column(g->work, "run/metrics.csv", "test_loss", epochs, EPOCHS_MAX);
  while (fgets(line, sizeof line, golden)) {
    if (sscanf(line, "step %d %lf", &number, &theirs) == 2) {
      double d = golden_relative(step_loss(g, number), theirs);
      if (!(d <= g->step_bound))
        printf("  step %d: PyTorch %.17g, relative deviation %.2e\n", number, theirs, d);
      worst(&g->worst_step, d);
      g->steps++;
    } else if (sscanf(line, "epoch %d %lf", &number, &theirs) == 2) {
      if (number != g->epochs + 1 || number > n)
        golden_fail("metrics.csv lacks an epoch", "");
      worst(&g->worst_epoch, golden_relative(epochs[g->epochs++], theirs));
    } else if (sscanf(line, "tensor %255s %lf %lf", name, &theirs, &their_size) == 3) {
      compare_tensor(g, name, theirs, their_size);
    }
  }
}

/* Losses of a float run against PyTorch's in double; the worst relative deviation. */
static double against_double(const Golden *g)
{
  char line[512], name[64];
  double theirs, found = 0;
  int number;
  snprintf(name, sizeof name, "%s.f64.txt", g->net);
  FILE *golden = golden_open(g->folder, name, "r");
  while (fgets(line, sizeof line, golden))
    if (sscanf(line, "step %d %lf", &number, &theirs) == 2 && number <= g->steps)
      worst(&found, golden_relative(step_loss(g, number), theirs));
  fclose(golden);
  return found;
}

/* "# .." and "data <train> <test>" start every golden file. */
static void check_data(FILE *golden, uint32_t train_sum, uint32_t test_sum)
{
  char line[512];
  uint32_t train = 0, test = 0;
  if (!fgets(line, sizeof line, golden) || line[0] != '#' || !fgets(line, sizeof line, golden) ||
      sscanf(line, "data %" SCNx32 " %" SCNx32, &train, &test) != 2)
    golden_fail("the golden file has no checksum of its data", "");
  if (train != train_sum || test != test_sum)
    golden_fail("the golden file was made on other data", "");
}

static int run(Golden *g, bool wide, char **more)
{
  char name[64];
  golden_make_dir(g->work);
  uint32_t train_sum = write_rows(g->work, "train", 0, TRAIN);
  uint32_t test_sum = write_rows(g->work, "test", TRAIN, TEST);
  snprintf(name, sizeof name, "%s.%s.txt", g->net, g->real);
  FILE *golden = golden_open(g->folder, name, "r");
  check_data(golden, train_sum, test_sum);
  train(g, wide ? "10" : "2", more);
  compare(g, golden);
  fclose(golden);
  printf("%s %s: worst relative deviation %.2e over %d steps, %.2e over %d epochs on the test "
         "rows, %.2e over %d tensors\n",
         g->net, g->real, g->worst_step, g->steps, g->worst_epoch, g->epochs, g->worst_tensor,
         g->tensors);
  if (g->steps != (wide ? 100 : 20) || g->epochs != (wide ? 10 : 2) || g->tensors < 2)
    golden_fail("the golden file is not whole", name);
  bool close = g->worst_step <= g->step_bound && g->worst_epoch <= g->end_bound &&
               g->worst_tensor <= g->end_bound;
  if (!wide) {
    double d = against_double(g);
    printf("%s f32: worst relative deviation %.2e from PyTorch in double\n", g->net, d);
    close = close && d <= 2e-6;
  }
  return close ? 0 : GOLDEN_DIFFERS;
}

int main(int argc, char **argv)
{
  if (argc == 3 && !strcmp(argv[1], "data")) {
    golden_make_dir(argv[2]);
    write_rows(argv[2], "train", 0, TRAIN);
    write_rows(argv[2], "test", TRAIN, TEST);
    write_table(argv[2]);
    return 0;
  }
  if (argc < 6)
    golden_fail("usage: golden_torch GRADC FOLDER WORK NET f32|f64 [OPTION ..]", "");
  static Golden g;
  bool wide = !strcmp(argv[5], "f64");
  g = (Golden){ .gradc = argv[1], .folder = argv[2], .work = argv[3], .net = argv[4],
                .real = argv[5], .step_bound = wide ? 1e-8 : 1e-4,
                .end_bound = wide ? 1e-8 : 2e-3 };
  return run(&g, wide, argv + 6);
}
