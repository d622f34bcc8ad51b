/* Optimizers and learning-rate schedules through generated code against PyTorch's numbers.
 *
 *   golden_optim GRADC WORK optimizers|schedules
 *
 * The programs are thin ones: CC must be cc.sh of this folder's parent, or empty for LLVM. Nothing
 * in WORK may be left from an earlier build.
 *
 * optimizers: one weight that starts at 1 and loss w^2 (dense(1) on input 1 towards target 0 with
 * mse); the weight after each of 4 steps, as float32 and float64, within 1e-6 of PyTorch 1.13's.
 * schedules: the rate of every step as --log-steps has it, and the rate of the epochs' last steps
 * as metrics.csv has it, within 1e-8 of PyTorch's schedulers at base rate 1. */
#include "../tool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 4, RATES_MAX = 16 };

typedef struct {
  const char *name, *rule;
  double w[STEPS];              /* after each step */
} Optimizer;

static const Optimizer optimizers[] = {
  { "sgd", "sgd(lr=0.1)", { .800000012, .639999986, .511999965, .409599960 } },
  { "momentum", "sgd(lr=0.1, momentum=0.9)", { .800000012, .460000008, .061999999, -.308600008 } },
  { "dampening", "sgd(lr=0.1, momentum=0.9, dampening=0.5)",
    { .800000012, .540000021, .252000034, -.032399956 } },
  { "nesterov", "sgd(lr=0.1, momentum=0.9, nesterov=true)",
    { .620000005, .222400010, -.108351983, -.324823022 } },
  { "decay", "sgd(lr=0.1, momentum=0.9, weight_decay=0.01)",
    { .799000025, .457501024, .058194220, -.312878937 } },
  { "adam", "adam(lr=0.1)", { .900000036, .800412238, .701586306, .603939116 } },
  { "adamw", "adamw(lr=0.1, weight_decay=0.01)",
    { .899000049, .798519075, .698911250, .600598633 } },
};

typedef struct {
  const char *name, *schedule;
  int rows, epochs;             /* a step a row */
  int n;
  double rate[RATES_MAX];       /* of the steps */
} Schedule;

static const Schedule schedules[] = {
  { "step", "step(3, gamma=0.1)", 1, 8, 8, { 1, 1, 1, .1, .1, .1, .01, .01 } },
  { "step_of_epochs", "step(1, gamma=0.5)", 3, 3, 9,
    { 1, 1, 1, .5, .5, .5, .25, .25, .25 } },
  { "exp", "exp(0.5)", 1, 4, 4, { 1, .5, .25, .125 } },
  { "cosine_span", "cosine for 4 epochs", 1, 9, 9,
    { 1, .85355339059327373, .5, .14644660940672627, 0, .14644660940672627, .5,
      .85355339059327373, 1 } },
  { "cosine_to", "cosine(to=0.2) for 4 steps", 2, 3, 6,
    { 1, .88284271247461899, .6, .31715728752538099, .2, .31715728752538099 } },
  { "warmup", "warmup(from=0.25) for 3 steps", 1, 5, 5, { .25, .5, .75, 1, 1 } },
  { "linear", "linear(to=0) for 4 epochs", 1, 6, 6, { 1, .75, .5, .25, 0, 0 } },
  { "poly", "poly(2) for 4 epochs", 1, 6, 6, { 1, .5625, .25, .0625, 0, 0 } },
  { "poly_to", "poly(power=1, to=0.5)", 1, 4, 4, { 1, .875, .75, .625 } },
  { "restarts", "restarts(3, factor=2, to=0.1)", 1, 10, 10,
    { 1, .775, .325, 1, .93971143170299742, .775, .55, .325, .16028856829700258, 1 } },
  { "restarts_of_steps", "restarts(every=2) for 6 steps", 3, 2, 6, { 1, .5, 1, .5, 1, .5 } },
  { "onecycle", "onecycle", 2, 5, 10,
    { .04, .52, 1, .95048463201347366, .81174565394976306, .61126202193628931,
      .38874197806371075, .18825834605023697, .049519367986526286, 4e-6 } },
  { "onecycle_half", "onecycle(rise=0.5, start=10, end=100)", 1, 8, 8,
    { .1, .325, .775, 1, .8536998372026805, .5005, .14730016279731956, .001 } },
  { "warmup_then_cosine", "warmup(from=0) for 2 epochs then cosine", 1, 6, 6,
    { 0, .5, 1, .85355339059327373, .5, .14644660940672627 } },
};

typedef struct { const char *gradc, *work; } Tools;

static void write_spec(const Tools *t, const char *file, const char *rule, const char *schedule)
{
  FILE *f = golden_open(t->work, file, "w");
  fprintf(f, "net 1;\n\ndata one {\n  source: csv(\"one.csv\");\n  split: train = 100%%;\n"
             "  field x: f32[1] from \"x\";\n  field y: f32[1] from \"y\";\n}\n\n"
             "model line(x: f32[1]) -> p: f32[1] {\n"
             "  p = x -> dense(1, weight=[[1]], bias=false);\n}\n\n"
             "train line on one {\n  loss: mse(p, y);\n  optimizer: %s;\n%s%s%s"
             "  epochs: 1;\n  batch: 1;\n}\n",
          rule, schedule ? "  schedule: lr = " : "", schedule ? schedule : "",
          schedule ? ";\n" : "");
  if (fclose(f) != 0)
    golden_fail("cannot write", file);
}

/* y = 0 gives the loss w^2; y = 1 is met by the weight it starts with. */
static void write_data(const Tools *t, int rows, int y)
{
  FILE *f = golden_open(t->work, "one.csv", "w");
  fprintf(f, "x,y\n");
  for (int i = 0; i < rows; i++)
    fprintf(f, "1,%d\n", y);
  if (fclose(f) != 0)
    golden_fail("cannot write", "one.csv");
}

static void train(const Tools *t, const char *file, const char *real, int epochs)
{
  char spec[GOLDEN_PATH], out[GOLDEN_PATH], log[GOLDEN_PATH], set[16], count[16];
  golden_path(spec, t->work, file);
  golden_path(out, t->work, "run");
  golden_path(log, t->work, "steps.csv");
  snprintf(set, sizeof set, "real=%s", real);
  snprintf(count, sizeof count, "%d", epochs);
  const char *words[] = { t->gradc, "train", spec, "--thin", "--set", set, "--epochs",
                          count, "--out", out, "--log-steps", log, "--silent", NULL };
  if (golden_run(words, t->work) != 0)
    golden_fail("gradc train failed on", spec);
}

static bool close_to(const char *name, const char *what, int at, double ours, double theirs,
                     double bound, double *worst)
{
  double d = fabs(ours - theirs);
  *worst = d > *worst || isnan(d) ? d : *worst;
  if (d <= bound)
    return true;
  printf("%s: %s %d is %.9g, PyTorch has %.9g\n", name, what, at, ours, theirs);
  return false;
}

static bool check_optimizer(const Tools *t, const Optimizer *o, const char *real)
{
  char file[64];
  bool ok = true;
  double worst = 0, w, size;
  snprintf(file, sizeof file, "%s.nn", o->name);
  write_data(t, 1, 0);
  write_spec(t, file, o->rule, NULL);
  for (int k = 1; k <= STEPS; k++) {
    train(t, file, real, k);
    golden_tensor(t->work, "run/last.safetensors", "p.weight", &w, &size);
    ok = close_to(o->name, "the weight after step", k, w, o->w[k - 1], 1e-6, &worst) && ok;
  }
  printf("%s %s: worst deviation %.1e\n", o->name, real, worst);
  return ok;
}

static bool check_schedule(const Tools *t, const Schedule *s)
{
  char file[64];
  double rate[RATES_MAX + 1], last[RATES_MAX + 1], worst = 0;
  bool ok = true;
  snprintf(file, sizeof file, "%s.nn", s->name);
  write_data(t, s->rows, 1);
  write_spec(t, file, "sgd(lr=1)", s->schedule);
  train(t, file, "f32", s->epochs);
  int steps = golden_column(t->work, "steps.csv", "lr", rate, RATES_MAX + 1);
  int epochs = golden_column(t->work, "run/metrics.csv", "lr", last, RATES_MAX + 1);
  if (steps != s->n || epochs != s->epochs || s->n != s->rows * s->epochs)
    golden_fail("another number of steps or epochs", s->name);
  for (int i = 0; i < steps; i++)
    ok = close_to(s->name, "the rate of step", i + 1, rate[i], s->rate[i], 1e-12, &worst) && ok;
  for (int e = 0; e < epochs; e++)
    ok = close_to(s->name, "metrics.csv's rate of epoch", e + 1, last[e],
                  s->rate[(e + 1) * s->rows - 1], 1e-8, &worst) && ok;
  printf("%s: worst deviation %.1e over %d steps\n", s->name, worst, steps);
  return ok;
}

int main(int argc, char **argv)
{
  bool ok = true;
  if (argc != 4)
    golden_fail("usage: golden_optim GRADC WORK optimizers|schedules", "");
  Tools t = { argv[1], argv[2] };
  golden_make_dir(t.work);
  if (!strcmp(argv[3], "optimizers")) {
    for (size_t i = 0; i < sizeof optimizers / sizeof *optimizers; i++) {
      ok = check_optimizer(&t, &optimizers[i], "f32") && ok;
      ok = check_optimizer(&t, &optimizers[i], "f64") && ok;
    }
  } else if (!strcmp(argv[3], "schedules")) {
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++)
      ok = check_schedule(&t, &schedules[i]) && ok;
  } else {
    golden_fail("unknown part", argv[3]);
  }
  return ok ? 0 : GOLDEN_DIFFERS;
}
