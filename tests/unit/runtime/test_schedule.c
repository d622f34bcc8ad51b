/* Learning-rate schedules against PyTorch 1.13.1's tables (base rate 1, one step per epoch
 * unless said). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "run.h"

enum { STEPS_MAX = 16 };

typedef struct {
  const char *name;
  gradrt_piece piece[3];
  int npiece;
  int64_t steps_per_epoch;
  double epochs;
  int n;
  double want[STEPS_MAX];
} ScheduleCase;

static const gradrt_prop step3[] = { { "every", 3, NULL }, { "gamma", 0.1, NULL } };
static const gradrt_prop exp_half[] = { { "rate", 0.5, NULL } };
static const gradrt_prop from_third[] = { { "from", 1.0 / 3, NULL } };
static const gradrt_prop from_zero[] = { { "from", 0, NULL } };
static const gradrt_prop to_tenth[] = { { "to", 0.1, NULL } };

static const ScheduleCase cases[] = {
  { "no pieces", { { 0 } }, 0, 2, 2, 4, { 1, 1, 1, 1 } },
  { "constant", { { "constant", 0, NULL, 0, true } }, 1, 1, 4, 4, { 1, 1, 1, 1 } },
  { "StepLR(3)", { { "step", 2, step3, 0, true } }, 1, 1, 8, 8, { 1, 1, 1, .1, .1, .1, .01, .01 } },
  { "ExponentialLR(.5)", { { "exp", 1, exp_half, 0, true } }, 1, 1, 4, 4, { 1, .5, .25, .125 } },
  { "CosineAnnealingLR(4) goes up again",
    { { "cosine", 0, NULL, 4, true } },
    1,
    1,
    9,
    9,
    { 1, .853553391, .5, .146446609, 0, .146446609, .5, .853553391, 1 } },
  { "cosine over all epochs, two steps each",
    { { "cosine", 0, NULL, 0, true } },
    1,
    2,
    4,
    8,
    { 1, 1, .853553391, .853553391, .5, .5, .146446609, .146446609 } },
  { "cosine to 0.1", { { "cosine", 1, to_tenth, 2, true } }, 1, 1, 2, 3, { 1, .55, .1 } },
  { "cosine over steps moves every step",
    { { "cosine", 0, NULL, 4, false } },
    1,
    100,
    1,
    5,
    { 1, .853553391, .5, .146446609, 0 } },
  { "LinearLR(1/3, 5)",
    { { "warmup", 1, from_third, 5, true } },
    1,
    1,
    7,
    7,
    { .333333333, .466666667, .6, .733333333, .866666667, 1, 1 } },
  { "warmup per step, then exp per epoch",
    { { "warmup", 1, from_zero, 1, true }, { "exp", 1, exp_half, 0, true } },
    2,
    4,
    3,
    12,
    { 0, .25, .5, .75, 1, 1, 1, 1, .5, .5, .5, .5 } },
  { "warmup in steps, then cosine keeps to epoch borders",
    { { "warmup", 1, from_zero, 2, false }, { "cosine", 0, NULL, 0, true } },
    2,
    3,
    2,
    6,
    { 0, .5, 1, .5, .5, .5 } },
  { "linear to 0.1 per step",
    { { "linear", 1, to_tenth, 3, false } },
    1,
    10,
    1,
    5,
    { 1, .7, .4, .1, .1 } },
  { "constant, then step from its own beginning",
    { { "constant", 0, NULL, 2, true }, { "step", 2, step3, 0, true } },
    2,
    1,
    6,
    6,
    { 1, 1, 1, 1, 1, .1 } },
};

static void test_schedules_match_pytorch(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const ScheduleCase *c = &cases[i];
    gradrt_train t = { .npiece = c->npiece, .piece = c->piece };
    for (int s = 0; s < c->n; s++) {
      double lr = gradrt_schedule_lr(&t, 1, s, c->steps_per_epoch, c->epochs);
      if (!(fabs(lr - c->want[s]) < 1e-9)) {
        fail_msg("%s: step %d gives %.12g, not %.12g", c->name, s, lr, c->want[s]);
      }
    }
  }
}

static void test_base_rate_scales_factors_but_not_ends(void **state)
{
  (void)state;
  gradrt_piece cosine = { "cosine", 1, to_tenth, 2, true }, step = { "step", 2, step3, 0, true };
  gradrt_train t = { .npiece = 1, .piece = &cosine };
  assert_float_equal(gradrt_schedule_lr(&t, 4, 1, 1, 2), 2.05, 1e-12);
  t.piece = &step;
  assert_float_equal(gradrt_schedule_lr(&t, 4, 3, 1, 6), 0.4, 1e-12);
}

static void test_own_cosine_and_power_are_accurate(void **state)
{
  (void)state;
  gradrt_piece cosine = { "cosine", 0, NULL, 1000, true };
  gradrt_train t = { .npiece = 1, .piece = &cosine };
  for (int e = 0; e < 4000; e++) {
    double want = (1 + cos(3.14159265358979323846 * e / 1000)) / 2;
    assert_true(fabs(gradrt_schedule_lr(&t, 1, e, 1, 4000) - want) < 1e-14);
  }
  for (int n = 0; n < 3000; n += 7) {
    assert_true(fabs(gradrt_power(0.999, n) / pow(0.999, n) - 1) < 1e-12);
  }
}

/* ReduceLROnPlateau of PyTorch 1.13 on these losses. */
typedef struct {
  const char *name;
  gradrt_prop prop[4];
  int nprop;
  double want[STEPS_MAX];
} PlateauCase;

static const double plateau_loss[STEPS_MAX] = { 1,  .9, .95,   .9, .91, .89995, .5, .6,
                                                .6, .6, .4999, .7, .7,  .7,     .7, .7 };
static const PlateauCase plateau_cases[] = {
  { "patience", { { "factor", .1, NULL }, { "patience", 1, NULL } }, 2,
    { 1, 1, 1, .1, .1, .01, .01, .01, 1e-3, 1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5 } },
  { "cooldown",
    { { "factor", .5, NULL }, { "patience", 0, NULL }, { "cooldown", 2, NULL } },
    3,
    { 1, 1, .5, .5, .5, .25, .25, .25, .125, .125, .125, .0625, .0625, .0625, .03125, .03125 } },
  { "threshold and least rate",
    { { "factor", .5, NULL }, { "patience", 1, NULL }, { "threshold", .3, NULL },
      { "min", .2, NULL } },
    4,
    { 1, 1, .5, .5, .25, .25, .25, .25, .2, .2, .2, .2, .2, .2, .2, .2 } },
};

/* Epochs of an earlier piece are not counted. */
static void test_plateau_matches_pytorch(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof plateau_cases / sizeof *plateau_cases; i++) {
    const PlateauCase *c = &plateau_cases[i];
    const gradrt_piece pieces[] = { { "constant", 0, NULL, 2, true },
                                    { "plateau", c->nprop, c->prop, 0, true } };
    const gradrt_train t = { .npiece = 2, .piece = pieces };
    gradrt_plateau p = { 0 };
    gradrt_plateau_epoch(&t, 1, 5, 3, 0.1, &p);
    assert_true(p.scale == 0);
    for (int e = 0; e < STEPS_MAX; e++) {
      gradrt_plateau_epoch(&t, 1, 3 * (e + 2) + 2, 3, plateau_loss[e], &p);
      if (!(fabs(p.scale - c->want[e]) < 1e-12)) {
        fail_msg("%s: epoch %d gives %.12g, not %.12g", c->name, e, p.scale, c->want[e]);
      }
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_schedules_match_pytorch),
    cmocka_unit_test(test_own_cosine_and_power_are_accurate),
    cmocka_unit_test(test_base_rate_scales_factors_but_not_ends),
    cmocka_unit_test(test_plateau_matches_pytorch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
