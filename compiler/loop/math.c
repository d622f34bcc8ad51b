/* Math as functions of the loop IR, built from operations that every back end specifies exactly, so
 * that their results have the same bits everywhere. Bounds are in units of the last place of the
 * result over the whole range; tests/unit/loop/test_loop_math.c measures them.
 *
 *   exp       1  x = n ln2 + r, |r| <= ln2 / 2; e^r = 1 + r + r^2 Q(r); n is added to the exponent
 *   expm1     2  the same r; 2^n (e^r - 1) + (2^n - 1)
 *   log       1  x = 2^k m, sqrt(1/2) <= m < sqrt 2; f32: f + f^2 Q(f) with f = m - 1;
 *                f64: the series of log((1 + s) / (1 - s)), s = f / (2 + f)
 *   log1p     2  log of 1 + x with its rounding error added to f
 *   tanh      2  |x| < 9/16: x + x^3 P(x^2); else E / (E + 2) with E = expm1(2 |x|)
 *   sigmoid   2  1 / (1 + e), left of zero e / (1 + e), with e = e^-|x|
 *   softplus  2  max(x, 0) + log1p(exp(-|x|))
 *   erf       2  |x| < 1: x + x P(x^2); else 1 - e^(-x^2) R(s), s = (|x| - 2) / (|x| + 2)
 *   sin, cos  2  x = n pi/2 + r with pi/2 in three parts; |x| <= 10000
 *
 * The polynomials are minimax fits (Remez) on the reduced interval. Results below the smallest
 * normal number are zero, as are denormal arguments. NaN goes through; exp, log and log1p give the
 * limits of the real function at infinities and poles, NaN outside the domain.
 *
 * Philox4x32-10: Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3; 2011. */
#include "loop/expr.h"
#include "base/str.h"
#include <float.h>
#include <math.h>

/* A function while it is built. */
typedef struct {
  Build *b;
  LFunc *f;
  int lanes, bits;              /* bits: the integer type that holds a real's bits */
  int mantissa;                 /* 23 or 52 */
  int64_t bias;                 /* 127 or 1023 */
  bool f64;
} Fn;

/* ---- shorthands ---- */

static LExpr *let(Fn *f, const char *name, LExpr *e) { return l_let(f->b, name, e); }
static LExpr *real(Fn *f, double r) { return l_real(f->b, r); }
static LExpr *either(Fn *f, double f32, double f64) { return l_real(f->b, f->f64 ? f64 : f32); }
static LExpr *add(Fn *f, LExpr *x, LExpr *y) { return l_op(f->b, SC_add, x, y, NULL); }
static LExpr *sub(Fn *f, LExpr *x, LExpr *y) { return l_op(f->b, SC_sub, x, y, NULL); }
static LExpr *mul(Fn *f, LExpr *x, LExpr *y) { return l_op(f->b, SC_mul, x, y, NULL); }
static LExpr *quotient(Fn *f, LExpr *x, LExpr *y) { return l_op(f->b, SC_div, x, y, NULL); }
static LExpr *mad(Fn *f, LExpr *x, LExpr *y, LExpr *z) { return l_fma(f->b, x, y, z); }
static LExpr *magnitude(Fn *f, LExpr *x) { return l_op(f->b, SC_abs, x, NULL, NULL); }
static LExpr *negative(Fn *f, LExpr *x) { return l_op(f->b, SC_neg, x, NULL, NULL); }
static LExpr *less(Fn *f, LExpr *x, LExpr *y) { return l_op(f->b, SC_lt, x, y, NULL); }
static LExpr *at_most(Fn *f, LExpr *x, LExpr *y) { return l_op(f->b, SC_le, x, y, NULL); }

static LExpr *choose(Fn *f, LExpr *c, LExpr *x, LExpr *y) { return l_op(f->b, SC_select, c, x, y); }

static LExpr *to_bits(Fn *f, LExpr *x) { return l_bits(f->b, x, f->bits); }
static LExpr *to_real(Fn *f, LExpr *x) { return l_bits(f->b, x, f->f64 ? DT_F64 : DT_F32); }

static LExpr *word(Fn *f, int64_t k) { return f->f64 ? l_int(f->b, k) : l_u32(f->b, (uint32_t)k); }

/* Bits shifted up to where the exponent stands. */
static LExpr *to_exponent(Fn *f, LExpr *bits)
{
  return l_op(f->b, SC_shl, bits, word(f, f->mantissa), NULL);
}

static LExpr *smallest(Fn *f) { return either(f, FLT_MIN, DBL_MIN); }

/* c[0] + c[1] x + .. by Horner's rule; c: n coefficients. */
static LExpr *poly(Fn *f, LExpr *x, const double *c, int n)
{
  LExpr *p = real(f, c[n - 1]);
  for (int i = n - 2; i >= 0; i--) {
    p = mad(f, p, x, real(f, c[i]));
    if (i % 2 == 0)
      p = let(f, "p", p);
  }
  return p;
}

#define POLY(f, x, f32, f64_)                                                                      \
  ((f)->f64 ? poly((f), (x), (f64_), (int)ARRAY_LEN(f64_))                                         \
            : poly((f), (x), (f32), (int)ARRAY_LEN(f32)))

/* ---- exp, expm1 ---- */

typedef struct {
  LExpr *t;                     /* n + 1.5 * 2^mantissa: n is in the low bits */
  LExpr *q;                     /* e^r - 1 */
} Reduced;

/* (e^r - 1 - r) / r^2 on |r| <= ln2 / 2 */
static const double exp_f32[] = { 0.5, 0.166665182, 0.041666206, 0.00836891774, 0.00139505346 };
static const double exp_f64[] = { 0.50000000000000133,    0.16666666666666699,
                                  0.041666666666514925,   0.0083333333333071337,
                                  0.0013888888947157052,  0.00019841269917541586,
                                  2.4801489784890151e-05, 2.7557216154527966e-06,
                                  2.7631340024277273e-07, 2.5117909045348216e-08 };

static const double ln2_f32[2] = { 0.69314718246459961, -1.90465421e-09 };
static const double ln2_f64[2] = { 0.69314718055994529, 2.3190468138462996e-17 };

static LExpr *round_magic(Fn *f) { return either(f, 12582912, 6755399441055744); }

/* r = high + low, where high is exact. */
static Reduced reduce(Fn *f, LExpr *x)
{
  Reduced e;
  e.t = let(f, "t", mad(f, x, real(f, 1.4426950408889634), round_magic(f)));
  LExpr *n = let(f, "n", sub(f, e.t, round_magic(f)));
  LExpr *high = let(f, "high", mad(f, n, either(f, -ln2_f32[0], -ln2_f64[0]), x));
  LExpr *low = let(f, "low", mul(f, n, either(f, -ln2_f32[1], -ln2_f64[1])));
  LExpr *r = let(f, "r", add(f, high, low));
  LExpr *p = POLY(f, r, exp_f32, exp_f64);
  e.q = let(f, "q", add(f, high, mad(f, mul(f, r, r), p, low)));
  return e;
}

/* x where the reduction makes sense, else 0: keeps sums of i64 bits in range. u32 may wrap. */
static LExpr *reducible(Fn *f, LExpr *x)
{
  if (!f->f64)
    return x;
  return let(f, "inside", choose(f, at_most(f, magnitude(f, x), real(f, 709.79)), x, real(f, 0)));
}

/* value for x up to the last one whose exponential is finite; then infinity, and NaN for NaN. */
static LExpr *with_overflow(Fn *f, LExpr *x, LExpr *value)
{
  LExpr *top = either(f, 88.722831726074219, 709.78271289338397);
  return choose(f, at_most(f, x, top), value, add(f, x, real(f, (double)INFINITY)));
}

static LExpr *build_exp(Fn *f, LExpr *const *arg)
{
  LExpr *x = arg[0];
  Reduced e = reduce(f, reducible(f, x));
  LExpr *power = let(f, "power", add(f, e.q, real(f, 1)));
  LExpr *scaled = to_real(f, add(f, to_bits(f, power), to_exponent(f, to_bits(f, e.t))));
  LExpr *y = let(f, "y", with_overflow(f, x, let(f, "scaled", scaled)));
  LExpr *bottom = either(f, -87.336540222167969, -708.39641853226408);
  return choose(f, less(f, x, bottom), real(f, 0), y);
}

static LExpr *small_is(Fn *f, LExpr *x, double f32, double f64, LExpr *y)
{
  return choose(f, less(f, magnitude(f, x), either(f, f32, f64)), x, y);
}

static LExpr *build_expm1(Fn *f, LExpr *const *arg)
{
  LExpr *x = arg[0];
  LExpr *low = let(f, "low", l_op(f->b, SC_max, x, either(f, -20, -40), NULL));
  Reduced e = reduce(f, reducible(f, low));
  LExpr *half_bits = word(f, (f->bias - 1) << f->mantissa);
  LExpr *half = let(f, "half", to_real(f, add(f, to_exponent(f, to_bits(f, e.t)), half_bits)));
  LExpr *y = let(f, "y", mad(f, half, e.q, sub(f, half, real(f, 0.5))));
  y = let(f, "y", with_overflow(f, x, add(f, y, y)));
  return small_is(f, x, 0x1p-25, 0x1p-54, y);
}

/* ---- log, log1p ---- */

/* x = 2^k m */
typedef struct {
  LExpr *k, *m;
  LExpr *shift;                 /* k + bias, where the exponent stands */
} Split;

static Split split(Fn *f, LExpr *x)
{
  Split s;
  /* 1.0 - sqrt(1/2) as bits: carries into the exponent just when the mantissa is >= sqrt 2 */
  LExpr *bits = let(f, "bits", to_bits(f, x));
  LExpr *up = add(f, bits, word(f, f->f64 ? 0x00095F619980C433 : 0x004AFB0D));
  LExpr *e = let(f, "e", l_op(f->b, SC_shr, up, word(f, f->mantissa), NULL));
  s.shift = let(f, "shift", to_exponent(f, e));
  s.m = let(f, "m", to_real(f, add(f, sub(f, bits, s.shift), word(f, f->bias << f->mantissa))));
  /* e as the low bits of 2^mantissa + e, a real */
  LExpr *whole = l_op(f->b, SC_or, e, word(f, (f->bias + f->mantissa) << f->mantissa), NULL);
  double base = (f->f64 ? 0x1p52 : 0x1p23) + (double)f->bias;
  s.k = let(f, "k", sub(f, to_real(f, whole), real(f, base)));
  return s;
}

/* (log(1 + f) - f) / f^2, and (log((1 + s) / (1 - s)) - 2 s) / s^3 in s^2 */
static const double log_f32[] = { -0.499999881, 0.333333254,  -0.250015825,
                                  0.200019747,  -0.166090816, 0.141818151,
                                  -0.132429913, 0.12904498,   -0.0762184933 };
static const double log_f64[] = { 0.6666666666666734,  0.39999999999414337, 0.28571428742472477,
                                  0.22222198563643669, 0.18183564861760801, 0.15314035898408324,
                                  0.14796105287459915 };

/* log(1 + x) + k ln2 for x of a reduced mantissa. */
static LExpr *log_sum(Fn *f, LExpr *x, LExpr *k)
{
  LExpr *tail = mul(f, k, either(f, ln2_f32[1], ln2_f64[1]));
  LExpr *sum;
  if (f->f64) {
    LExpr *s = let(f, "s", quotient(f, x, add(f, x, real(f, 2))));
    LExpr *z = let(f, "z", mul(f, s, s));
    LExpr *p = poly(f, z, log_f64, (int)ARRAY_LEN(log_f64));
    LExpr *half = let(f, "half", mul(f, mul(f, x, real(f, 0.5)), x));
    LExpr *more = mad(f, s, mad(f, z, p, half), tail);
    sum = sub(f, x, sub(f, half, more));
  } else {
    LExpr *p = poly(f, x, log_f32, (int)ARRAY_LEN(log_f32));
    sum = add(f, x, mad(f, mul(f, x, x), p, tail));
  }
  return mad(f, k, either(f, ln2_f32[0], ln2_f64[0]), let(f, "sum", sum));
}

static LExpr *normal_or_one(Fn *f, LExpr *x)
{
  if (!f->f64)
    return x;
  LExpr *normal =
      l_op(f->b, SC_and, at_most(f, smallest(f), x), at_most(f, x, real(f, DBL_MAX)), NULL);
  return let(f, "normal", choose(f, normal, x, real(f, 1)));
}

/* value where the argument x and u, whose logarithm it is, are ordinary; else limits and NaN. */
static LExpr *with_poles(Fn *f, LExpr *x, LExpr *u, LExpr *value)
{
  LExpr *y = let(f, "y", choose(f, less(f, x, real(f, (double)INFINITY)), value, x));
  LExpr *below = choose(f, at_most(f, u, negative(f, smallest(f))), real(f, (double)NAN),
                        real(f, -(double)INFINITY));
  return choose(f, less(f, u, smallest(f)), below, y);
}

static LExpr *build_log(Fn *f, LExpr *const *arg)
{
  LExpr *x = arg[0];
  Split s = split(f, normal_or_one(f, x));
  LExpr *rest = let(f, "f", sub(f, s.m, real(f, 1)));
  return with_poles(f, x, x, let(f, "y", log_sum(f, rest, s.k)));
}

static LExpr *build_log1p(Fn *f, LExpr *const *arg)
{
  LExpr *x = arg[0], *one = real(f, 1);
  LExpr *u = let(f, "u", add(f, one, x));
  LExpr *part = let(f, "part", sub(f, u, one));
  LExpr *lost = add(f, sub(f, one, sub(f, u, part)), sub(f, x, part));
  lost = let(f, "lost", lost);
  Split s = split(f, normal_or_one(f, u));
  LExpr *scale = to_real(f, sub(f, word(f, (2 * f->bias) << f->mantissa), s.shift));
  scale = let(f, "scale", choose(f, less(f, x, real(f, 0x1p60)), scale, real(f, 0)));
  lost = choose(f, less(f, x, real(f, 0x1p60)), lost, real(f, 0));
  LExpr *rest = let(f, "f", mad(f, lost, scale, sub(f, s.m, one)));
  LExpr *y = let(f, "y", with_poles(f, x, u, let(f, "y", log_sum(f, rest, s.k))));
  return small_is(f, x, 0x1p-25, 0x1p-54, y);
}

/* ---- functions of exp and log ---- */

static LExpr *call(Fn *f, const char *name, LExpr *x)
{
  return l_call(f->b, l_math(f->b, name, f->lanes), &x, 1);
}

/* (tanh(x) - x) / x^3 in x^2 for |x| <= 0.5625 */
static const double tanh_f32[] = { -0.333333135, 0.133324698, -0.0538391247, 0.0210137591,
                                   -0.00618788833 };
static const double tanh_f64[] = {
  -0.33333333333333282,    0.13333333333323436,    -0.053968253961884281,  0.021869488331444014,
  -0.0088632316996133335,  0.0035920828283327669,  -0.0014554830656368679, 0.00058819662911333004,
  -0.00023274671172512966, 8.2401348774216755e-05, -1.8927073389464441e-05
};

static LExpr *build_tanh(Fn *f, LExpr *const *arg)
{
  LExpr *x = arg[0];
  LExpr *size = let(f, "size", l_op(f->b, SC_min, either(f, 10, 20), magnitude(f, x), NULL));
  LExpr *e = let(f, "e", call(f, "expm1", add(f, size, size)));
  LExpr *y = let(f, "y", quotient(f, e, add(f, e, real(f, 2))));
  y = let(f, "y", choose(f, less(f, x, real(f, 0)), negative(f, y), y));
  LExpr *z = let(f, "z", mul(f, x, x));
  LExpr *small = let(f, "small", mad(f, mul(f, x, z), POLY(f, z, tanh_f32, tanh_f64), x));
  y = let(f, "y", choose(f, less(f, size, real(f, 0.5625)), small, y));
  return small_is(f, x, 0x1p-13, 0x1p-28, y);
}

/* e = 2^n (1 + q) for e^-|x|. Right of zero 1 / (1 + e); left of it w = e / (1 + e); for x < -1,
 * where the roundings of e and w weigh most, e (1 - w) = 2^n (1 + g) instead. */
static LExpr *build_sigmoid(Fn *f, LExpr *const *arg)
{
  LExpr *x = arg[0], *one = real(f, 1),
        *bottom = either(f, -87.336540222167969, -708.39641853226408);
  LExpr *size = let(f, "size", l_op(f->b, SC_min, negative(f, bottom), magnitude(f, x), NULL));
  Reduced r = reduce(f, reducible(f, let(f, "low", negative(f, size))));
  LExpr *n = let(f, "shift", to_exponent(f, to_bits(f, r.t)));
  LExpr *scale = let(f, "scale", to_real(f, add(f, n, word(f, f->bias << f->mantissa))));
  LExpr *e = let(f, "e", to_real(f, add(f, to_bits(f, add(f, r.q, one)), n)));
  LExpr *left = let(f, "left", less(f, x, real(f, 0)));
  LExpr *w = let(f, "w", quotient(f, choose(f, left, e, one), add(f, one, e)));
  LExpr *g = let(f, "g", mad(f, negative(f, r.q), w, sub(f, r.q, w)));
  LExpr *y = let(f, "y", choose(f, less(f, x, real(f, -1)), mad(f, scale, g, scale), w));
  LExpr *rest = choose(f, less(f, x, bottom), real(f, 0), x);
  return choose(f, at_most(f, bottom, x), y, rest);
}

static LExpr *build_softplus(Fn *f, LExpr *const *arg)
{
  LExpr *x = arg[0];
  LExpr *e = let(f, "e", call(f, "exp", negative(f, magnitude(f, x))));
  return add(f, l_op(f->b, SC_max, x, real(f, 0), NULL), call(f, "log1p", e));
}

/* erf(x) / x - 1 in x^2 for |x| <= 1 */
static const double erf_f32[] = { 0.1283791658483509, -0.37612626666720334, 0.11283594715160218,
                                  -0.026854212010626412, 0.005189087423433974,
                                  -0.000801686428716587, 7.875875062685488e-05 };
static const double erf_f64[] = {
  0.1283791670955126,     -0.37612638903183543,    0.11283791670945006,   -0.02686617064323777,
  0.0052239776071164225,  -0.0008548325975389692,  0.00012055294904839707, -1.492473690741966e-05,
  1.6447424703317362e-06, -1.6208483801871705e-07, 1.3720064546777686e-08, -7.795898827002142e-10
};
/* e^(x^2) (1 - erf(x)) in s = (x - 2) / (x + 2), for x from 1 to 4 (f32) or 6 */
static const double erfc_f32[] = { 0.25539567625190335,   -0.42718584761434303,
                                   0.24165821109072444,   -0.07897852327253349,
                                   0.0037321413513030097, 0.006994855413599958,
                                   -0.0008365899736486057, -0.0009441596340872735 };
static const double erfc_f64[] = {
  0.25539567631050575,    -0.4271858474139584,     0.24165819424246632,    -0.07897858101573253,
  0.0037328924043494834,  0.006997461739228476,    -0.0008471432522752253, -0.0009819770269162648,
  4.3555644272098927e-05, 0.00017436114311543651,  2.752476736316505e-05,  -2.757901311902191e-05,
  -1.396149006742397e-05, 1.380584247725399e-06,   3.7601677167193133e-06, 1.2559897861345693e-06,
  -5.060915438693048e-07, -6.144477167995066e-07,  1.3408848717362396e-07
};

static LExpr *build_erf(Fn *f, LExpr *const *arg)
{
  LExpr *x = arg[0], *two = real(f, 2);
  LExpr *size = let(f, "size", l_op(f->b, SC_min, either(f, 4, 6), magnitude(f, x), NULL));
  LExpr *z = let(f, "z", mul(f, size, size));
  LExpr *s = let(f, "s", quotient(f, sub(f, size, two), add(f, size, two)));
  LExpr *e = let(f, "e", call(f, "exp", negative(f, z)));
  LExpr *r = let(f, "r", POLY(f, s, erfc_f32, erfc_f64));
  LExpr *y = let(f, "y", mad(f, negative(f, e), r, real(f, 1)));
  y = let(f, "y", choose(f, less(f, x, real(f, 0)), negative(f, y), y));
  LExpr *small = let(f, "small", mad(f, x, POLY(f, z, erf_f32, erf_f64), x));
  return choose(f, less(f, size, real(f, 1)), small, y);
}

/* ---- sin, cos ---- */

static const double sin_f32[] = { -0.166666672, 0.00833332911, -0.000198393303, 2.71827457e-06 };
static const double sin_f64[] = {
  -0.16666666666666632, 0.0083333333333223698, -0.00019841269829771097, 2.7557313678647987e-06,
  -2.5050755959308599e-08, 1.5896666411296703e-10
};
static const double cos_f32[] = { 0.0416666679, -0.00138888834, 2.47995158e-05, -2.7209893e-07 };
static const double cos_f64[] = {
  0.041666666666666602, -0.0013888888888874064, 2.4801587289443543e-05, -2.7557314340677814e-07,
  2.0875721626217735e-09, -1.1359559456330398e-11
};
static const double quarter_f32[3] = { 1.57079637, -4.37113883e-08, -1.71512451e-15 };
static const double quarter_f64[3] = { 1.5707963267948966, 6.123233995736766e-17,
                                       -1.4973849048591698e-33 };

/* Bit `from` of the quadrant's number, alone at the sign (place 0) or just below it (place 1). */
static LExpr *quadrant_bit(Fn *f, LExpr *bits, int from, int place)
{
  LExpr *one = l_op(f->b, SC_and, bits, word(f, 1 << from), NULL);
  return l_op(f->b, SC_shl, one, word(f, (f->f64 ? 63 : 31) - from - place), NULL);
}

/* sin(x + turn pi/2) */
static LExpr *sine(Fn *f, LExpr *x, int turn)
{
  LExpr *t = let(f, "t", mad(f, x, real(f, 0.63661977236758138), round_magic(f)));
  LExpr *n = let(f, "n", sub(f, t, round_magic(f))), *r = x;
  for (int i = 0; i < 3; i++)
    r = let(f, "r", mad(f, n, either(f, -quarter_f32[i], -quarter_f64[i]), r));
  LExpr *z = let(f, "z", mul(f, r, r));
  LExpr *s = let(f, "s", mad(f, mul(f, r, z), POLY(f, z, sin_f32, sin_f64), r));
  LExpr *c =
      mad(f, mul(f, z, z), POLY(f, z, cos_f32, cos_f64), mad(f, z, real(f, -0.5), real(f, 1)));
  c = let(f, "c", c);
  LExpr *q = let(f, "q", to_bits(f, t));
  if (turn)
    q = let(f, "q", add(f, l_op(f->b, SC_and, q, word(f, 3), NULL), word(f, turn)));
  LExpr *odd = to_real(f, quadrant_bit(f, q, 0, 1));
  LExpr *y = let(f, "y", choose(f, less(f, real(f, 0), odd), c, s));
  return to_real(f, l_op(f->b, SC_xor, to_bits(f, y), quadrant_bit(f, q, 1, 0), NULL));
}

static LExpr *build_sin(Fn *f, LExpr *const *arg)
{
  LExpr *x = arg[0];
  return small_is(f, x, 0x1p-13, 0x1p-27, let(f, "y", sine(f, x, 0)));
}

static LExpr *build_cos(Fn *f, LExpr *const *arg) { return sine(f, arg[0], 1); }

/* ---- philox ---- */

enum { PHILOX_ROUNDS = 10 };

static LExpr *philox_half(Fn *f, LExpr *x, LExpr *y, LExpr *key)
{
  return l_op(f->b, SC_xor, l_op(f->b, SC_xor, x, y, NULL), key, NULL);
}

/* Word w of the block with the counter arg[0..3] and the key arg[4..5]. */
static LExpr *philox(Fn *f, LExpr *const *arg, int w)
{
  static const uint32_t factor[2] = { 0xD2511F53, 0xCD9E8D57 },
                        bump[2] = { 0x9E3779B9, 0xBB67AE85 };
  LExpr *c[4] = { arg[0], arg[1], arg[2], arg[3] };
  for (int round = 0; round < PHILOX_ROUNDS; round++) {
    bool last = round == PHILOX_ROUNDS - 1;
    LExpr *next[4] = { NULL };
    for (int i = 0; i < 2; i++) {
      /* c[2 i] times its factor: the low word goes to 3 - 2 i, the high word to 2 - 2 i */
      LExpr *m = l_u32(f->b, factor[i]), *x = c[2 * i];
      LExpr *key = arg[4 + (1 - i)];
      if (round > 0)
        key = add(f, key, l_u32(f->b, bump[1 - i] * (uint32_t)round));
      if (!last || w == 3 - 2 * i)
        next[3 - 2 * i] = mul(f, x, m);
      if (!last || w == 2 - 2 * i)
        next[2 - 2 * i] = philox_half(f, l_op(f->b, SC_mulhi, x, m, NULL), c[3 - 2 * i], key);
    }
    for (int i = 0; i < 4 && !last; i++)
      next[i] = let(f, "c", next[i]);
    for (int i = 0; i < 4; i++)
      c[i] = next[i];
  }
  return c[w];
}

static LExpr *build_philox0(Fn *f, LExpr *const *arg) { return philox(f, arg, 0); }
static LExpr *build_philox1(Fn *f, LExpr *const *arg) { return philox(f, arg, 1); }
static LExpr *build_philox2(Fn *f, LExpr *const *arg) { return philox(f, arg, 2); }
static LExpr *build_philox3(Fn *f, LExpr *const *arg) { return philox(f, arg, 3); }

/* ---- the table ---- */

static const struct {
  const char *name, *params;
  LExpr *(*build)(Fn *f, LExpr *const *arg);
  const char *doc;
} math[] = {
  { "exp", "x", build_exp, "e^x = 2^n e^r, polynomial in r; at most 1 ulp" },
  { "expm1", "x", build_expm1, "e^x - 1 = 2^n (e^r - 1) + (2^n - 1); at most 2 ulp" },
  { "log", "x", build_log, "log x = k ln2 + log m, m in [sqrt 1/2, sqrt 2); at most 1 ulp" },
  { "log1p", "x", build_log1p, "log(1 + x), with what the sum lost; at most 2 ulp" },
  { "tanh", "x", build_tanh,
    "x + x^3 P(x^2) near 0, else E / (E + 2) with E = e^(2 |x|) - 1; at most 2 ulp" },
  { "sigmoid", "x", build_sigmoid, "1 / (1 + e^-x), from e^-|x|; at most 2 ulp" },
  { "softplus", "x", build_softplus, "log(1 + e^x) = max(x, 0) + log1p(e^-|x|); at most 2 ulp" },
  { "erf", "x", build_erf,
    "x + x P(x^2) near 0, else 1 - e^(-x^2) R((|x| - 2) / (|x| + 2)); at most 2 ulp" },
  { "sin", "x", build_sin, "sin of x = n pi/2 + r for |x| <= 10000; at most 2 ulp" },
  { "cos", "x", build_cos, "cos of x = n pi/2 + r for |x| <= 10000; at most 2 ulp" },
  { "philox0", "c0 c1 c2 c3 k0 k1", build_philox0,
    "first word of the Philox4x32-10 block of counter c, key k" },
  { "philox1", "c0 c1 c2 c3 k0 k1", build_philox1,
    "second word of the Philox4x32-10 block of counter c, key k" },
  { "philox2", "c0 c1 c2 c3 k0 k1", build_philox2,
    "third word of the Philox4x32-10 block of counter c, key k" },
  { "philox3", "c0 c1 c2 c3 k0 k1", build_philox3,
    "fourth word of the Philox4x32-10 block of counter c, key k" },
};

static const LFunc *build_function(Build *b, size_t which, const char *name, int lanes)
{
  Module *m = build_module(b);
  bool f64 = m->real == DT_F64, ints = str_in_words("c0", math[which].params);
  Fn f = { .b = b, .lanes = lanes, .bits = f64 ? DT_I64 : DT_U32, .mantissa = f64 ? 52 : 23,
           .bias = f64 ? 1023 : 127, .f64 = f64 };
  LExpr *arg[PARAMS_MAX];
  f.f = l_func(b, name, math[which].doc);
  for (const char *p = math[which].params; *p;) {
    size_t n = 0;
    while (p[n] && p[n] != ' ')
      n++;
    const char *param = arena_strndup(m->arena, p, n);
    int i = f.f->nparam;
    arg[i] = l_param(b, f.f, param, ints ? DT_U32 : (int)m->real, lanes);
    p += n + (p[n] == ' ');
  }
  l_func_end(b, f.f, math[which].build(&f, arg));
  return f.f;
}

const LFunc *l_math(Build *b, const char *name, int lanes)
{
  Module *m = build_module(b);
  const char *full = lanes == 1 ? name : arena_printf(m->arena, "%s_%d", name, lanes);
  for (uint32_t i = 0; i < m->funcs.n; i++)
    if (str_eq(m->funcs.at[i]->name, full))
      return m->funcs.at[i];
  for (size_t i = 0; i < ARRAY_LEN(math); i++)
    if (str_eq(math[i].name, name))
      return build_function(b, i, full, lanes);
  ice("no math function '%s'", name);
}
