/* Accuracy and special values of the math functions: every function is evaluated by the interpreter
 * on many points and compared with libm in long double. */
#include "fixture.h"
#include "loop/interp.h"

#include <float.h>
#include <math.h>

enum { CHUNK = 4096 };

static long double sigmoid_ref(long double x) { return 1 / (1 + expl(-x)); }
static long double softplus_ref(long double x)
{
  return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x));
}

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
  { "erf", erfl, -60, 6, -60, 6, 2, 2, 2 },
  { "sin", sinl, -60, 13, -60, 13, 2, 2, 2 },
  { "cos", cosl, -60, 13, -60, 13, 2, 2, 2 },
};

/* Distance in units of the last place of the exact value; results below the smallest normal may be
 * zero. */
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

static double worst32(const char *name, long double (*ref)(long double), const float *x, int64_t n,
                      float *at, const Fix *fix, const LFunc *f)
{
  float *y = ARENA_ARRAY(fix->arena, float, n);
  const void *arg[1] = { x };
  const char *error = loop_eval_func(fix->m, f, arg, y, n, fix->arena);
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

static double worst64(const char *name, long double (*ref)(long double), const double *x, int64_t n,
                      double *at, const Fix *fix, const LFunc *f)
{
  double *y = ARENA_ARRAY(fix->arena, double, n);
  const void *arg[1] = { x };
  const char *error = loop_eval_func(fix->m, f, arg, y, n, fix->arena);
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
      Fix fix = fix_new(DT_F32);
      const LFunc *f = l_math(fix.b, functions[k].name, 16);
      float *x = ARENA_ARRAY(fix.arena, float, CHUNK), where = 0;
      for (int64_t i = 0; i < CHUNK; i++)
        x[i] = (float)sample(&seed, i, functions[k].low32, functions[k].high32, functions[k].signs);
      double u = worst32(functions[k].name, functions[k].ref, x, CHUNK, &where, &fix, f);
      if (u > worst) {
        worst = u;
        at = where;
      }
      arena_free(&fix.arena);
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
      Fix fix = fix_new(DT_F64);
      const LFunc *f = l_math(fix.b, functions[k].name, 8);
      double *x = ARENA_ARRAY(fix.arena, double, CHUNK), where = 0;
      for (int64_t i = 0; i < CHUNK; i++)
        x[i] = sample(&seed, i, functions[k].low64, functions[k].high64, functions[k].signs);
      double u = worst64(functions[k].name, functions[k].ref, x, CHUNK, &where, &fix, f);
      if (u > worst) {
        worst = u;
        at = where;
      }
      arena_free(&fix.arena);
    }
    print_message("%-8s f64 %.3f ulp at %.17g\n", functions[k].name, worst, at);
    if (worst > functions[k].ulp64)
      fail_msg("%s of %.17g: %.3f ulp", functions[k].name, at, worst);
  }
}

/* ---- special values ---- */

static double value_of(DType real, const char *name, int lanes, double x)
{
  Fix f = fix_new(real);
  const LFunc *fn = l_math(f.b, name, lanes);
  double y64[16], x64[16];
  float y32[16], x32[16];
  for (int i = 0; i < lanes; i++) {
    x64[i] = x;
    x32[i] = (float)x;
  }
  const void *arg[1] = { real == DT_F32 ? (const void *)x32 : x64 };
  const char *error =
      loop_eval_func(f.m, fn, arg, real == DT_F32 ? (void *)y32 : y64, lanes, f.arena);
  if (error)
    fail_msg("%s of %g: %s", name, x, error);
  arena_free(&f.arena);
  return real == DT_F32 ? (double)y32[lanes - 1] : y64[lanes - 1];
}

static const struct { const char *name; double x, y;
} special[] = {
  { "exp", 0, 1 },
  { "exp", -0.0, 1 },
  { "exp", INFINITY, INFINITY },
  { "exp", -INFINITY, 0 },
  { "exp", NAN, NAN },
  { "exp", 1e5, INFINITY },
  { "exp", -1e5, 0 },
  { "exp", 1e30, INFINITY },
  { "exp", -1e30, 0 },
  { "exp", 1e-30, 1 },
  { "expm1", 0, 0 },
  { "expm1", -0.0, -0.0 },
  { "expm1", INFINITY, INFINITY },
  { "expm1", -INFINITY, -1 },
  { "expm1", NAN, NAN },
  { "expm1", -1e30, -1 },
  { "expm1", 1e30, INFINITY },
  { "expm1", 1e-30, (double)1e-30f },
  { "log", 1, 0 },
  { "log", 0, -INFINITY },
  { "log", -0.0, -INFINITY },
  { "log", INFINITY, INFINITY },
  { "log", -INFINITY, NAN },
  { "log", -1, NAN },
  { "log", NAN, NAN },
  { "log", -1e-30, NAN },
  { "log1p", 0, 0 },
  { "log1p", -0.0, -0.0 },
  { "log1p", -1, -INFINITY },
  { "log1p", -2, NAN },
  { "log1p", INFINITY, INFINITY },
  { "log1p", -INFINITY, NAN },
  { "log1p", NAN, NAN },
  { "tanh", 0, 0 },
  { "tanh", -0.0, -0.0 },
  { "tanh", INFINITY, 1 },
  { "tanh", -INFINITY, -1 },
  { "tanh", NAN, NAN },
  { "tanh", 1e30, 1 },
  { "tanh", -50, -1 },
  { "sigmoid", 0, 0.5 },
  { "sigmoid", -0.0, 0.5 },
  { "sigmoid", INFINITY, 1 },
  { "sigmoid", -INFINITY, 0 },
  { "sigmoid", NAN, NAN },
  { "sigmoid", 1e30, 1 },
  { "sigmoid", -1e30, 0 },
  { "sigmoid", 800, 1 },
  { "sigmoid", -800, 0 },
  { "softplus", -INFINITY, 0 },
  { "softplus", INFINITY, INFINITY },
  { "softplus", NAN, NAN },
  { "softplus", 1e30, (double)1e30f },
  { "softplus", -1e30, 0 },
  { "erf", 0, 0 },
  { "erf", -0.0, -0.0 },
  { "erf", INFINITY, 1 },
  { "erf", -INFINITY, -1 },
  { "erf", NAN, NAN },
  { "erf", 1e30, 1 },
  { "sin", 0, 0 },
  { "sin", -0.0, -0.0 },
  { "sin", INFINITY, NAN },
  { "sin", NAN, NAN },
  { "cos", 0, 1 },
  { "cos", -0.0, 1 },
  { "cos", -INFINITY, NAN },
  { "cos", NAN, NAN },
};

static void test_special_values(void **state)
{
  (void)state;
  for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
    for (int real = DT_F32; real <= DT_F64; real++) {
      double x = fabs(special[i].x) == 1e30 || fabs(special[i].x) == 1e-30
                     ? (double)(float)special[i].x
                     : special[i].x;
      double got = value_of((DType)real, special[i].name, real == DT_F32 ? 16 : 8, x),
             want = special[i].y;
      bool same = isnan(want) ? isnan(got) : got == want && !signbit(got) == !signbit(want);
      if (!same)
        fail_msg("%s(%g) in %s is %.17g, not %.17g", special[i].name, special[i].x,
                 real == DT_F32 ? "f32" : "f64", got, want);
    }
}

/* Arguments on both sides of where a result overflows or falls below the smallest normal number. */
static void test_edges_of_the_range(void **state)
{
  (void)state;
  const float top = 88.722831726074219f, bottom = -87.336540222167969f;
  assert_true(isfinite(value_of(DT_F32, "exp", 16, (double)top)));
  assert_true(isinf(value_of(DT_F32, "exp", 16, (double)nextafterf(top, 100))));
  assert_true(value_of(DT_F32, "exp", 16, (double)bottom) >= (double)FLT_MIN);
  assert_true(value_of(DT_F32, "exp", 16, (double)nextafterf(bottom, -100)) == 0);
  const double top64 = 709.78271289338397, bottom64 = -708.39641853226408;
  assert_true(isfinite(value_of(DT_F64, "exp", 8, top64)));
  assert_true(isinf(value_of(DT_F64, "exp", 8, nextafter(top64, 1e3))));
  assert_true(value_of(DT_F64, "exp", 8, bottom64) >= DBL_MIN);
  assert_true(value_of(DT_F64, "exp", 8, nextafter(bottom64, -1e3)) == 0);
  assert_true(isinf(value_of(DT_F32, "log", 16, (double)FLT_TRUE_MIN)));
  assert_true(isinf(value_of(DT_F32, "log", 16, -(double)FLT_TRUE_MIN)));
  assert_true(fabs(value_of(DT_F32, "log", 16, (double)FLT_MIN) - log((double)FLT_MIN)) < 1e-5);
  assert_true(fabs(value_of(DT_F64, "log", 8, DBL_MIN) - log(DBL_MIN)) < 1e-12);
}

/* NaN of any payload must not disturb the arithmetic on bits. */
static void test_every_nan_stays(void **state)
{
  static const uint64_t bits[] = { 0x7FF8000000000000, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF,
                                   0x7FF8000000000FFF };
  (void)state;
  for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
    for (size_t k = 0; k < sizeof functions / sizeof functions[0]; k++) {
      double x;
      memcpy(&x, &bits[i], sizeof x);
      assert_true(isnan(value_of(DT_F64, functions[k].name, 8, x)));
      assert_true(isnan(value_of(DT_F32, functions[k].name, 16, x)));
    }
}

static void test_lanes_do_not_matter(void **state)
{
  (void)state;
  for (size_t k = 0; k < sizeof functions / sizeof functions[0]; k++)
    for (double x = 0.01; x < 30; x *= 1.7)
      for (int lanes = 1; lanes <= 8; lanes *= 2) {
        assert_true(value_of(DT_F32, functions[k].name, lanes, x) ==
                    value_of(DT_F32, functions[k].name, 16, x));
        assert_true(value_of(DT_F64, functions[k].name, lanes, x) ==
                    value_of(DT_F64, functions[k].name, 8, x));
      }
}

/* ---- philox ---- */

/* Known answers of Random123's kat_vectors for philox4x32-10. */
static const struct { uint32_t in[6], out[4]; } blocks[] = {
  { { 0, 0, 0, 0, 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
  { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
    { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
  { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0 },
    { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
};

static void test_philox_known_answers(void **state)
{
  static const char *const name[4] = { "philox0", "philox1", "philox2", "philox3" };
  (void)state;
  for (int real = DT_F32; real <= DT_F64; real++)
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
      for (int w = 0; w < 4; w++)
        for (int lanes = 1; lanes <= 8; lanes += 7) {
          Fix f = fix_new((DType)real);
          uint32_t in[6][8], out[8];
          const void *arg[6];
          for (int p = 0; p < 6; p++) {
            arg[p] = in[p];
            for (int l = 0; l < 8; l++)
              in[p][l] = blocks[i].in[p];
          }
          assert_null(loop_eval_func(f.m, l_math(f.b, name[w], lanes), arg, out, lanes, f.arena));
          assert_int_equal(out[lanes - 1], blocks[i].out[w]);
          arena_free(&f.arena);
        }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_f32_within_two_ulp),
    cmocka_unit_test(test_f64_within_two_ulp),
    cmocka_unit_test(test_special_values),
    cmocka_unit_test(test_edges_of_the_range),
    cmocka_unit_test(test_every_nan_stays),
    cmocka_unit_test(test_lanes_do_not_matter),
    cmocka_unit_test(test_philox_known_answers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
