/* Accuracy and special values of the math functions: every function is evaluated by the interpreter on many
 * points and compared with libm in long double. */
#include "loop/build.h"
#include "loop/interp.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { CHUNK = 4096 };

static long double sigmoid_ref(long double x) { return 1 / (1 + expl(-x)); }
static long double softplus_ref(long double x) { return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x)); }

/* Ranges of arguments by binary exponent of |x|, both signs when `signs` is 2. */
static const struct {
  const char *name;
  long double (*ref)(long double);
  int low32, high32, low64, high64, signs;
  double ulp32, ulp64;
} functions[] = {
  { "exp", expl, -60, 8, -60, 11, 2, 1, 1 },
  { "expm1", expm1l, -60, 8, -60, 11, 2, 2, 2 },
  { "log", logl, -126, 128, -1022, 1024, 1, 1, 1 },
  { "log1p", log1pl, -60, 128, -60, 1024, 2, 2, 2 },
  { "tanh", tanhl, -60, 6, -60, 6, 2, 2, 2 },
  { "sigmoid", sigmoid_ref, -60, 8, -60, 11, 2, 2, 2 },
  { "softplus", softplus_ref, -60, 8, -60, 11, 2, 2, 2 },
  { "sin", sinl, -60, 13, -60, 13, 2, 2, 2 },
  { "cos", cosl, -60, 13, -60, 13, 2, 2, 2 },
};

static Module *module(Arena *a, DType real)
{
  Module *m = ARENA_NEW(a, Module);
  *m = (Module){ .arena = a, .name = "test", .real = real, .block = real == DT_F32 ? 16 : 8, .batch = 16 };
  return m;
}

/* Distance in units of the last place of the exact value; results below the smallest normal may be zero. */
static double ulps(long double exact, double got, int digits, int min_exp, double tiny)
{
  if (isnan(exact) || isinf(exact))
    return (isnan(exact) && isnan(got)) || (double)exact == got ? 0 : 1e9;
  if (fabsl(exact) < (long double)tiny)
    return got == 0 || fabsl(exact - (long double)got) <= (long double)tiny * 1e-6L ? 0 : 1e9;
  int e = 0;
  frexpl(exact, &e);
  long double unit = ldexpl(1, (e < min_exp ? min_exp : e) - digits);
  return isinf(got) || isnan(got) ? 1e9 : (double)(fabsl((long double)got - exact) / unit);
}

static double worst32(const char *name, long double (*ref)(long double), const float *x, int64_t n, float *at,
                      Arena *a, Module *m, const LFunc *f)
{
  float *y = ARENA_ARRAY(a, float, n);
  const void *arg[1] = { x };
  const char *error = loop_eval_func(m, f, arg, y, n, a);
  if (error)
    fail_msg("%s: %s", name, error);
  double worst = 0;
  for (int64_t i = 0; i < n; i++) {
    long double exact = ref((long double)x[i]);
    if (fabsl(exact) > (long double)FLT_MAX * (1 + 0x1p-25L))
      exact = copysignl(INFINITY, exact);
    double u = ulps(exact, (double)y[i], FLT_MANT_DIG, FLT_MIN_EXP, (double)FLT_MIN);
    if (u > worst) {
      worst = u;
      *at = x[i];
    }
  }
  return worst;
}

static double worst64(const char *name, long double (*ref)(long double), const double *x, int64_t n, double *at,
                      Arena *a, Module *m, const LFunc *f)
{
  double *y = ARENA_ARRAY(a, double, n);
  const void *arg[1] = { x };
  const char *error = loop_eval_func(m, f, arg, y, n, a);
  if (error)
    fail_msg("%s: %s", name, error);
  double worst = 0;
  for (int64_t i = 0; i < n; i++) {
    long double exact = ref((long double)x[i]);
    if (fabsl(exact) > (long double)DBL_MAX * (1 + 0x1p-54L))
      exact = copysignl(INFINITY, exact);
    double u = ulps(exact, y[i], DBL_MANT_DIG, DBL_MIN_EXP, DBL_MIN);
    if (u > worst) {
      worst = u;
      *at = x[i];
    }
  }
  return worst;
}

static uint64_t mix(uint64_t *s)
{
  *s += 0x9E3779B97F4A7C15u;
  uint64_t z = *s;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

/* A random mantissa under an exponent that runs through low .. high. */
static double sample(uint64_t *s, int64_t i, int low, int high, int signs)
{
  uint64_t r = mix(s);
  double mantissa = 1 + (double)(r >> 12) * 0x1p-52;
  double x = ldexp(mantissa, low + (int)(i % (high - low)));
  return signs == 2 && (r & 1) ? -x : x;
}

static void test_f32_within_two_ulp(void **state)
{
  (void)state;
  for (size_t k = 0; k < sizeof functions / sizeof functions[0]; k++) {
    uint64_t seed = k;
    double worst = 0;
    float at = 0;
    for (int chunk = 0; chunk < 100; chunk++) {
      Arena *a = arena_new("test");
      Module *m = module(a, DT_F32);
      const LFunc *f = l_math(build_new(m), functions[k].name, 16);
      float *x = ARENA_ARRAY(a, float, CHUNK), where = 0;
      for (int64_t i = 0; i < CHUNK; i++)
        x[i] = (float)sample(&seed, i, functions[k].low32, functions[k].high32, functions[k].signs);
      double u = worst32(functions[k].name, functions[k].ref, x, CHUNK, &where, a, m, f);
      if (u > worst) {
        worst = u;
        at = where;
      }
      arena_free(&a);
    }
    print_message("%-8s f32 %.3f ulp at %.9g\n", functions[k].name, worst, (double)at);
    if (worst > functions[k].ulp32)
      fail_msg("%s of %.9g: %.3f ulp", functions[k].name, (double)at, worst);
  }
}

static void test_f64_within_two_ulp(void **state)
{
  (void)state;
  for (size_t k = 0; k < sizeof functions / sizeof functions[0]; k++) {
    uint64_t seed = 100 + k;
    double worst = 0, at = 0;
    for (int chunk = 0; chunk < 30; chunk++) {
      Arena *a = arena_new("test");
      Module *m = module(a, DT_F64);
      const LFunc *f = l_math(build_new(m), functions[k].name, 8);
      double *x = ARENA_ARRAY(a, double, CHUNK), where = 0;
      for (int64_t i = 0; i < CHUNK; i++)
        x[i] = sample(&seed, i, functions[k].low64, functions[k].high64, functions[k].signs);
      double u = worst64(functions[k].name, functions[k].ref, x, CHUNK, &where, a, m, f);
      if (u > worst) {
        worst = u;
        at = where;
      }
      arena_free(&a);
    }
    print_message("%-8s f64 %.3f ulp at %.17g\n", functions[k].name, worst, at);
    if (worst > functions[k].ulp64)
      fail_msg("%s of %.17g: %.3f ulp", functions[k].name, at, worst);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_f32_within_two_ulp),
    cmocka_unit_test(test_f64_within_two_ulp),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
