/* Philox against the known answers of Random123, PyTorch's generator against numbers PyTorch
 * printed, and the permutation's being one. */
#include "fixture.h"

#include <math.h>

typedef struct { uint32_t ctr[4], key[2], out[4]; } Known;

static void test_philox_gives_the_known_answers(void **state)
{
  (void)state;
  static const Known known[] = {
    { { 0, 0, 0, 0 }, { 0, 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
    { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff }, { 0xffffffff, 0xffffffff },
      { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
    { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, { 0xa4093822, 0x299f31d0 },
      { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    uint32_t out[4];
    gradrt_philox(known[i].ctr, known[i].key, out);
    assert_memory_equal(out, known[i].out, sizeof out);
  }
}

static void test_hash_is_fnv1a(void **state)
{
  (void)state;
  assert_int_equal(gradrt_hash_name(""), 0x811c9dc5);
  assert_int_equal(gradrt_hash_name("a"), 0xe40c292c);
  assert_int_equal(gradrt_hash_name("foobar"), 0xbf9cf968);
}

static void test_streams_are_uniform_normal_and_apart(void **state)
{
  (void)state;
  gradrt_stream a, b;
  double sum = 0, squares = 0, uniform = 0;
  int same = 0, n = 100000;
  gradrt_stream_start(&a, 7, GRADRT_PURPOSE_INIT, gradrt_hash_name("w"));
  gradrt_stream_start(&b, 7, GRADRT_PURPOSE_INIT, gradrt_hash_name("v"));
  for (int i = 0; i < n; i++) {
    double v = gradrt_stream_normal(&a), u = gradrt_stream_uniform(&b);
    assert_true(u >= 0 && u < 1);
    assert_true(fabs(v) < 7);
    uniform += u;
    sum += v;
    squares += v * v;
  }
  assert_true(fabs(sum / n) < 0.015 && fabs(squares / n - 1) < 0.02 &&
              fabs(uniform / n - 0.5) < 0.005);
  gradrt_stream_start(&a, 7, GRADRT_PURPOSE_INIT, 1);
  gradrt_stream_start(&b, 7, GRADRT_PURPOSE_DATA, 1);
  for (int i = 0; i < 1000; i++)
    same += gradrt_stream_u32(&a) == gradrt_stream_u32(&b);
  assert_int_equal(same, 0);
}

static void test_permutation_is_a_bijection(void **state)
{
  (void)state;
  static const uint64_t sizes[] = { 1,  2,   3,   4,   5,    16,   17,   63,   64,
                                    65, 255, 256, 257, 1000, 4096, 4097, 60000 };
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    uint64_t n = sizes[k], fixed = 0;
    unsigned char *seen = calloc(n, 1);
    for (uint64_t i = 0; i < n; i++) {
      uint64_t to = gradrt_permute(i, n, 42, GRADRT_PURPOSE_SHUFFLE, 3);
      assert_true(to < n && !seen[to]);
      seen[to] = 1;
      fixed += to == i;
    }
    assert_true(n < 1000 || fixed < 8);
    free(seen);
  }
}

static void test_permutation_depends_on_every_part_of_its_key(void **state)
{
  (void)state;
  int same[3] = { 0 };
  for (uint64_t i = 0; i < 1000; i++) {
    uint64_t to = gradrt_permute(i, 1000, 1, GRADRT_PURPOSE_SHUFFLE, 0);
    same[0] += to == gradrt_permute(i, 1000, 2, GRADRT_PURPOSE_SHUFFLE, 0);
    same[1] += to == gradrt_permute(i, 1000, 1, GRADRT_PURPOSE_SPLIT, 0);
    same[2] += to == gradrt_permute(i, 1000, 1, GRADRT_PURPOSE_SHUFFLE, 1);
  }
  for (int k = 0; k < 3; k++)
    assert_true(same[k] < 10);
  assert_true(gradrt_permute(5, UINT64_C(1) << 40, 1, GRADRT_PURPOSE_SHUFFLE, 0) < UINT64_C(1)
                                                                                       << 40);
}

/* Where position 0 goes over many epochs: every place about equally often. */
static void test_permutation_spreads_evenly(void **state)
{
  (void)state;
  int count[10] = { 0 };
  for (uint32_t epoch = 0; epoch < 10000; epoch++)
    count[gradrt_permute(0, 10, 9, GRADRT_PURPOSE_SHUFFLE, epoch)]++;
  for (int i = 0; i < 10; i++)
    assert_true(count[i] > 850 && count[i] < 1150);
}

/* mt19937's first and 10000th number for the reference seed (C++ standard, [rand.predef]). */
static void test_torch_engine_is_mt19937(void **state)
{
  (void)state;
  gradrt_torch t;
  gradrt_torch_seed(&t, 5489);
  uint32_t v = gradrt_torch_u32(&t);
  assert_int_equal(v, 3499211612u);
  for (int i = 1; i < 10000; i++)
    v = gradrt_torch_u32(&t);
  assert_int_equal(v, 4123659995u);
  gradrt_torch other;
  gradrt_torch_seed(&t, 1);
  gradrt_torch_seed(&other, (UINT64_C(3) << 32) | 1);
  assert_int_equal(gradrt_torch_u64(&t), gradrt_torch_u64(&other));
}

/* manual_seed(1); Linear(5, 3): weight, then bias, uniform within 1/sqrt(5). */
static void test_torch_uniform_is_linears_initialisation(void **state)
{
  (void)state;
  static const double weight[4] = { 0.2304327, -0.19739035, -0.08669749, 0.20990817 };
  static const double bias[3] = { -0.04026145, 0.06482091, -0.00178654 };
  gradrt_torch t;
  double w[15], b[3], bound = 1 / sqrt(5);
  gradrt_torch_seed(&t, 1);
  gradrt_torch_uniform(&t, w, 15, -bound, bound);
  gradrt_torch_uniform(&t, b, 3, -bound, bound);
  for (int i = 0; i < 4; i++)
    assert_true(fabs(w[i] - weight[i]) < 2e-8);
  for (int i = 0; i < 3; i++)
    assert_true(fabs(b[i] - bias[i]) < 2e-8);
}

/* manual_seed(3); empty(16).normal_() */
static void test_torch_normal_in_blocks(void **state)
{
  (void)state;
  static const double want[4] = { -0.07664429, 0.35988152, -0.7820168, 0.07152773 };
  gradrt_torch t;
  double v[20], again[20];
  gradrt_torch_seed(&t, 3);
  gradrt_torch_normal(&t, v, 16, 0, 1);
  for (int i = 0; i < 4; i++)
    assert_true(fabs(v[i] - want[i]) < 3e-7);
  gradrt_torch_seed(&t, 3);
  gradrt_torch_normal(&t, again, 20, 1, 2);
  for (int i = 0; i < 4; i++)
    assert_true(fabs(again[i] - (1 + 2 * v[i])) < 1e-5);
  assert_true(again[19] != 0 && isfinite(again[19]));
}

/* Below 16 elements numbers come in pairs, and the second of a pair waits for the next call. */
static void test_torch_normal_keeps_half_a_pair(void **state)
{
  (void)state;
  gradrt_torch a, b;
  double all[8], parts[8];
  gradrt_torch_seed(&a, 3);
  gradrt_torch_seed(&b, 3);
  gradrt_torch_normal(&a, all, 8, 0, 1);
  gradrt_torch_normal(&b, parts, 3, 0, 1);
  gradrt_torch_normal(&b, parts + 3, 5, 0, 1);
  for (int i = 0; i < 8; i++)
    assert_true(all[i] == parts[i]);
}

static void test_torch_randperm(void **state)
{
  (void)state;
  static const uint32_t five[] = { 0, 1, 3, 2, 4 }, many[] = { 21615, 50166, 37383, 3791, 38823 };
  gradrt_torch t;
  uint32_t small[5], *large = malloc(60000 * sizeof *large);
  gradrt_torch_seed(&t, 7);
  gradrt_torch_randperm(&t, small, 5);
  assert_memory_equal(small, five, sizeof five);
  gradrt_torch_seed(&t, 7);
  gradrt_torch_randperm(&t, large, 60000);
  assert_memory_equal(large, many, sizeof many);
  free(large);
}

/* manual_seed(11); DataLoader(range(10), shuffle=True), two epochs. */
static void test_torch_loader_order(void **state)
{
  (void)state;
  static const uint32_t want[2][10] = { { 4, 3, 2, 6, 7, 9, 8, 5, 1, 0 },
                                        { 3, 2, 7, 1, 8, 4, 0, 6, 5, 9 } };
  gradrt_torch t, sampler;
  gradrt_torch_seed(&t, 11);
  for (int epoch = 0; epoch < 2; epoch++) {
    uint32_t order[10];
    gradrt_torch_u64(&t);
    gradrt_torch_seed(&sampler, gradrt_torch_u64(&t) & INT64_MAX);
    gradrt_torch_randperm(&sampler, order, 10);
    assert_memory_equal(order, want[epoch], sizeof order);
  }
}

static void test_memory_is_zeroed_and_aligned(void **state)
{
  (void)state;
  static const size_t sizes[] = { 0, 1, 63, 64, 65, 4096, 1000003 };
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    unsigned char *p = gradrt_alloc(sizes[k]);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (size_t i = 0; i < sizes[k]; i++)
      assert_int_equal(p[i], 0);
    memset(p, 0xA5, sizes[k]);
    gradrt_free(p);
  }
  gradrt_free(NULL);
  assert_null(gradrt_alloc(SIZE_MAX));
  size_t out;
  assert_true(gradrt_mul_size(1u << 16, 1u << 15, &out) && out == UINT64_C(1) << 31);
  assert_false(gradrt_mul_size(SIZE_MAX / 2, 3, &out));
  assert_true(gradrt_mul_size(0, SIZE_MAX, &out) && out == 0);
}

static void test_messages_cannot_steer_a_terminal(void **state)
{
  (void)state;
  Fixture f;
  fixture_start(&f, "csv");
  int kept = fixture_listen(&f);
  assert_int_equal(gradrt_error(GRADRT_DATA, "%s",
                                "a\x1b[31m\nb\xff \xe2\x80\xae \xc3\xa9 \xed\xa0\x80 \xc2\x9b"),
                   GRADRT_DATA);
  gradrt_note("%s", "ok\r");
  fixture_hear(&f, kept);
  assert_non_null(strstr(f.said, "error: a?[31m?b? ??? \xc3\xa9 ??? ??\n  note: ok?\n"));
  fixture_end(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_philox_gives_the_known_answers),
    cmocka_unit_test(test_hash_is_fnv1a),
    cmocka_unit_test(test_streams_are_uniform_normal_and_apart),
    cmocka_unit_test(test_permutation_is_a_bijection),
    cmocka_unit_test(test_permutation_depends_on_every_part_of_its_key),
    cmocka_unit_test(test_permutation_spreads_evenly),
    cmocka_unit_test(test_torch_engine_is_mt19937),
    cmocka_unit_test(test_torch_uniform_is_linears_initialisation),
    cmocka_unit_test(test_torch_normal_in_blocks),
    cmocka_unit_test(test_torch_normal_keeps_half_a_pair),
    cmocka_unit_test(test_torch_randperm),
    cmocka_unit_test(test_torch_loader_order),
    cmocka_unit_test(test_memory_is_zeroed_and_aligned),
    cmocka_unit_test(test_messages_cannot_steer_a_terminal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
