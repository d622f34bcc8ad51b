/* Stored layouts against their definition, and the values a run starts from. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define TEST(f) cmocka_unit_test(f)

typedef struct {
  const char *name;
  gradrt_tensor t;
} LayoutCase;

static const LayoutCase layouts[] = {
  { "scalar", { .rank = 0, .stored = 16 } },
  { "vector", { .rank = 1, .dim = { 10 }, .ndigit = 1, .digit = { { 0, 1, 10 } }, .stored = 10 } },
  { "padded vector",
    { .rank = 1,
      .dim = { 10 },
      .ndigit = 2,
      .digit = { { 0, 16, 1 }, { 0, 1, 16 } },
      .stored = 16 } },
  { "transposed matrix",
    { .rank = 2,
      .dim = { 5, 3 },
      .ndigit = 2,
      .digit = { { 1, 1, 3 }, { 0, 1, 5 } },
      .stored = 15 } },
  { "dense weight in panels of 16 outputs",
    { .rank = 2,
      .dim = { 20, 7 },
      .ndigit = 3,
      .digit = { { 0, 16, 2 }, { 1, 1, 7 }, { 0, 1, 16 } },
      .stored = 2 * 7 * 16 } },
  { "convolution weight, output channels innermost",
    { .rank = 4,
      .dim = { 20, 3, 3, 2 },
      .ndigit = 5,
      .digit = { { 0, 16, 2 }, { 1, 1, 3 }, { 2, 1, 3 }, { 3, 1, 2 }, { 0, 1, 16 } },
      .stored = 2 * 3 * 3 * 2 * 16 } },
  { "convolution weight, both channels in blocks",
    { .rank = 4,
      .dim = { 18, 17, 2, 3 },
      .ndigit = 6,
      .digit = { { 0, 16, 2 }, { 1, 16, 2 }, { 2, 1, 2 }, { 3, 1, 3 }, { 1, 1, 16 }, { 0, 1, 16 } },
      .stored = 2 * 2 * 2 * 3 * 16 * 16 } },
  { "long last axis in blocks",
    { .rank = 2,
      .dim = { 3, 2100 },
      .ndigit = 3,
      .digit = { { 1, 16, 132 }, { 0, 1, 3 }, { 1, 1, 16 } },
      .stored = 132 * 3 * 16 } },
};

enum { LAYOUTS = sizeof layouts / sizeof *layouts, OFFSET = 64, GUARD = 64 };

/* The definition: the row-major number of all digits of the element's index. */
static size_t place_of(const gradrt_tensor *t, int64_t element)
{
  int64_t index[GRADRT_RANK_MAX];
  size_t place = 0;
  for (int a = t->rank - 1; a >= 0; a--) {
    index[a] = element % t->dim[a];
    element /= t->dim[a];
  }
  for (int k = 0; k < t->ndigit; k++) {
    const gradrt_digit *d = &t->digit[k];
    place = place * (size_t)d->extent + (size_t)(index[d->axis] / d->div % d->extent);
  }
  return place;
}

static double value_of(int64_t i)
{
  static const double odd[] = { -0.0, 0x1p-140, -0x1.fffffep127, 1, 0x1p-149 };
  return i % 7 == 3 ? odd[i / 7 % 5] : (double)(i + 1);
}

static double *values(int64_t n)
{
  double *v = malloc((size_t)(n + 1) * sizeof *v);
  for (int64_t i = 0; i < n; i++) {
    v[i] = value_of(i);
  }
  return v;
}

static double at_place(const gradrt_net *net, const void *base, size_t place)
{
  return net->real == GRADRT_F64 ? ((const double *)base)[place]
                                 : (double)((const float *)base)[place];
}

static void one_layout(const LayoutCase *c, gradrt_dtype real)
{
  size_t size = real == GRADRT_F64 ? 8 : 4;
  gradrt_tensor t = c->t;
  t.offset = OFFSET;
  gradrt_net net = { .real = real, .ntensor = 1, .tensor = &t };
  int64_t n = gradrt_tensor_elems(&t);
  double *v = values(n), *back = calloc((size_t)n + 1, sizeof *back);
  size_t bytes = OFFSET + t.stored * size + GUARD;
  unsigned char *state = malloc(bytes), *used = calloc(t.stored, 1);
  memset(state, 0xA5, bytes);
  gradrt_tensor_store(&net, &t, state, v);
  for (int64_t i = 0; i < n; i++) {
    size_t place = place_of(&t, i);
    double got = at_place(&net, state + OFFSET, place);
    if (place >= t.stored || memcmp(&got, &v[i], sizeof got) != 0) {
      fail_msg("%s: element %d is %g at %zu, not %g", c->name, (int)i, got, place, v[i]);
    }
    assert_int_equal(used[place], 0);
    used[place] = 1;
  }
  for (size_t p = 0; p < t.stored; p++) {
    double got = at_place(&net, state + OFFSET, p);
    if (!used[p] && (got != 0 || signbit(got))) {
      fail_msg("%s: pad %zu is %g", c->name, p, got);
    }
  }
  for (size_t i = 0; i < OFFSET + GUARD; i++) {
    assert_int_equal(state[i < OFFSET ? i : bytes - 1 - (i - OFFSET)], 0xA5);
  }
  gradrt_tensor_load(&net, &t, state, back);
  assert_memory_equal(back, v, (size_t)n * sizeof *v);
  free(v);
  free(back);
  free(state);
  free(used);
}

static void test_layouts_place_every_element_and_clear_pads(void **state)
{
  (void)state;
  for (int i = 0; i < LAYOUTS; i++) {
    one_layout(&layouts[i], GRADRT_F32);
    one_layout(&layouts[i], GRADRT_F64);
  }
}

/* Pieces of any size from anywhere make the same whole. */
static void test_pieces_make_the_whole(void **state)
{
  (void)state;
  static const int64_t pieces[] = { 1, 2, 5, 64, 1000, 5000 };
  for (int i = 0; i < LAYOUTS; i++) {
    const gradrt_tensor *t = &layouts[i].t;
    gradrt_net net = { .real = GRADRT_F32 };
    int64_t n = gradrt_tensor_elems(t);
    double *v = values(n), *back = calloc((size_t)n + 1, sizeof *back);
    float *whole = calloc(t->stored, sizeof *whole), *block = calloc(t->stored, sizeof *block);
    gradrt_tensor_store(&net, t, whole, v);
    for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
      memset(block, 0, t->stored * sizeof *block);
      memset(back, 0, (size_t)n * sizeof *back);
      for (int64_t at = 0; at < n; at += pieces[k]) {
        int64_t take = n - at < pieces[k] ? n - at : pieces[k];
        gradrt_tensor_put(&net, t, block, at, take, v + at);
        gradrt_tensor_get(&net, t, whole, at, take, back + at);
      }
      assert_memory_equal(block, whole, t->stored * sizeof *block);
      assert_memory_equal(back, v, (size_t)n * sizeof *back);
    }
    free(v);
    free(back);
    free(whole);
    free(block);
  }
}

/* ---- initial values ---- */

static gradrt_tensor vector(const char *name, gradrt_init init, double a, double b, int64_t n,
                            size_t offset)
{
  return (gradrt_tensor){ .name = name,
                          .init = init,
                          .a = a,
                          .b = b,
                          .rank = 1,
                          .dim = { n },
                          .ndigit = 1,
                          .digit = { { 0, 1, n } },
                          .stored = (size_t)n,
                          .offset = offset };
}

/* torch.manual_seed(1); torch.nn.Linear(5, 3), printed by PyTorch with eight digits. */
static void test_torch_initialises_linear_like_pytorch(void **state)
{
  (void)state;
  static const double weight[] = { .2304327, -.19739035, -.08669749, .20990817 };
  static const double bias[] = { -.04026145, .06482091, -.00178654 };
  double bound = sqrt(3) * sqrt(2 / (1 + 5.0)) / sqrt(5);
  gradrt_tensor t[2] = { vector("weight", GRADRT_INIT_UNIFORM, -bound, bound, 15, 0),
                         vector("bias", GRADRT_INIT_UNIFORM, -bound, bound, 3, 64) };
  t[0].rank = t[0].ndigit = 2;
  t[0].dim[0] = 3;
  t[0].dim[1] = 5;
  t[0].digit[0] = (gradrt_digit){ 1, 1, 5 };   /* a layout does not change the draws */
  t[0].digit[1] = (gradrt_digit){ 0, 1, 3 };
  gradrt_net net = { .real = GRADRT_F32, .ntensor = 2, .tensor = t, .state_bytes = 128 };
  float block[32];
  double got[15];
  gradrt_torch g;
  assert_int_equal(gradrt_state_init(&net, block, 1, true, &g), GRADRT_OK);
  gradrt_tensor_load(&net, &t[0], block, got);
  for (int i = 0; i < 4; i++) {
    assert_true(fabs(got[i] - weight[i]) < 1e-8);
  }
  gradrt_tensor_load(&net, &t[1], block, got);
  for (int i = 0; i < 3; i++) {
    assert_true(fabs(got[i] - bias[i]) < 1e-8);
  }
  assert_int_equal(g.at, 18);
}

/* torch.manual_seed(3); torch.empty(16).normal_(): PyTorch's logarithm is a vector one. */
static void test_torch_normal_like_pytorch(void **state)
{
  (void)state;
  static const double want[] = { -.07664429, .35988152, -.7820168, .07152773 };
  gradrt_tensor t = vector("x", GRADRT_INIT_NORMAL, 0, 1, 16, 0);
  gradrt_net net = { .real = GRADRT_F32, .ntensor = 1, .tensor = &t, .state_bytes = 64 };
  float block[16];
  gradrt_torch g;
  assert_int_equal(gradrt_state_init(&net, block, 3, true, &g), GRADRT_OK);
  for (int i = 0; i < 4; i++) {
    assert_true(fabs((double)block[i] - want[i]) < 1e-6);
  }
}

enum { DRAWS = 20000 };

static void draw(const char *name, gradrt_init init, double a, double b, uint64_t seed, float *out)
{
  gradrt_tensor t = vector(name, init, a, b, DRAWS, 0);
  gradrt_net net = { .real = GRADRT_F32, .ntensor = 1, .tensor = &t };
  assert_int_equal(gradrt_state_init(&net, out, seed, false, NULL), GRADRT_OK);
}

static void test_draws_have_their_distribution(void **state)
{
  (void)state;
  static float x[DRAWS];
  static const struct { gradrt_init init; double a, b, mean, std; } cases[] = {
    { GRADRT_INIT_UNIFORM, -1, 3, 1, 1.1547 }, { GRADRT_INIT_NORMAL, .5, 2, .5, 2 },
    { GRADRT_INIT_CONSTANT, .25, 0, .25, 0 }, { GRADRT_INIT_ZEROS, 7, 7, 0, 0 },
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    double sum = 0, squares = 0;
    draw("w", cases[k].init, cases[k].a, cases[k].b, 1, x);
    for (int i = 0; i < DRAWS; i++) {
      sum += (double)x[i];
      squares += (double)x[i] * (double)x[i];
      assert_false(cases[k].init == GRADRT_INIT_UNIFORM && (x[i] < -1 || x[i] >= 3));
    }
    double mean = sum / DRAWS, std = sqrt(fmax(squares / DRAWS - mean * mean, 0));
    assert_true(fabs(mean - cases[k].mean) < .05 * (1 + cases[k].std));
    assert_true(fabs(std - cases[k].std) < .03 * (cases[k].std + .01));
  }
}

static void test_draws_depend_on_name_and_seed_only(void **state)
{
  (void)state;
  static float a[DRAWS], b[DRAWS];
  draw("c1.weight", GRADRT_INIT_UNIFORM, -1, 1, 1, a);
  draw("c1.weight", GRADRT_INIT_UNIFORM, -1, 1, 1, b);
  assert_memory_equal(a, b, sizeof a);
  draw("c2.weight", GRADRT_INIT_UNIFORM, -1, 1, 1, b);
  assert_memory_not_equal(a, b, sizeof a);
  draw("c1.weight", GRADRT_INIT_UNIFORM, -1, 1, 2, b);
  assert_memory_not_equal(a, b, sizeof a);
  draw("c1.weight", GRADRT_INIT_UNIFORM, -1, 1, UINT64_C(1) << 40 | 1, b);
  assert_memory_not_equal(a, b, sizeof a);
}

static void test_given_values_are_stored(void **state)
{
  (void)state;
  static const double given[] = { 1, -2, 3.5 };
  gradrt_tensor t = vector("w", GRADRT_INIT_GIVEN, 0, 0, 3, 0);
  t.given = given;
  gradrt_net net = { .real = GRADRT_F32, .ntensor = 1, .tensor = &t };
  float block[3];
  assert_int_equal(gradrt_state_init(&net, block, 1, false, NULL), GRADRT_OK);
  for (int i = 0; i < 3; i++) {
    assert_true((double)block[i] == given[i]);
  }
}

/* ---- the hash of the weights ---- */

static void test_hash_sees_parameters_not_layouts(void **state)
{
  (void)state;
  static const double v[6] = { 1, 2, 3, 4, 5, 6 };
  char first[65], other[65];
  float block[64] = { 0 };
  gradrt_tensor t[2] = { vector("w", GRADRT_INIT_ZEROS, 0, 0, 6, 0),
                         vector("momentum.w", GRADRT_INIT_ZEROS, 0, 0, 6, 128) };
  gradrt_net net = { .real = GRADRT_F32, .ntensor = 2, .tensor = t, .state_bytes = 256 };
  t[0].rank = t[0].ndigit = 2;
  t[0].dim[0] = 2;
  t[0].dim[1] = 3;
  t[0].digit[0] = (gradrt_digit){ 0, 1, 2 };
  t[0].digit[1] = (gradrt_digit){ 1, 1, 3 };
  t[1].role = GRADRT_SLOT;
  gradrt_tensor_store(&net, &t[0], block, v);
  assert_non_null(gradrt_state_sha256(&net, block, first));
  assert_int_equal(strspn(first, "0123456789abcdef"), 64);
  block[32] = 9;                /* a slot */
  assert_string_equal(gradrt_state_sha256(&net, block, other), first);
  t[0].digit[0] = (gradrt_digit){ 1, 1, 3 };
  t[0].digit[1] = (gradrt_digit){ 0, 1, 16 };
  t[0].stored = 48;
  t[1].offset = 192;
  gradrt_tensor_store(&net, &t[0], block, v);
  assert_string_equal(gradrt_state_sha256(&net, block, other), first);
  block[0] = 2;
  assert_string_not_equal(gradrt_state_sha256(&net, block, other), first);
  block[0] = 1;
  t[0].name = "v";
  assert_string_not_equal(gradrt_state_sha256(&net, block, other), first);
}

int main(void)
{
  static const struct CMUnitTest tests[] = {
    TEST(test_layouts_place_every_element_and_clear_pads),
    TEST(test_pieces_make_the_whole),
    TEST(test_torch_initialises_linear_like_pytorch),
    TEST(test_torch_normal_like_pytorch),
    TEST(test_draws_have_their_distribution),
    TEST(test_draws_depend_on_name_and_seed_only),
    TEST(test_given_values_are_stored),
    TEST(test_hash_sees_parameters_not_layouts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
