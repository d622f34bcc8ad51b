/* Generated samples: reproducible, balanced, of the shapes they promise; splits that neither lose
 * nor double a row; statistics of standardisation. */
#include "fixture.h"

#include <math.h>

#define SHAPE(...) (const int64_t[]){ __VA_ARGS__, 0 }

static void start(Fixture *f, const char *kind, int64_t inputs, int64_t classes)
{
  fixture_start(f, kind);
  fixture_field(f, "x", GRADRT_F64, 0, NULL, SHAPE(inputs));
  if (classes)
    fixture_field(f, "y", GRADRT_I32, classes, NULL, NULL);
  else
    fixture_field(f, "y", GRADRT_F64, 0, NULL, SHAPE(1));
}

static double x_at(const Fixture *f, int64_t i) { return fixture_at(f, 0, 0, i); }
static double y_at(const Fixture *f, int64_t i) { return fixture_at(f, 0, 1, i); }

static void test_formulas_without_noise(void **state)
{
  (void)state;
  static const struct { const char *kind; int64_t inputs, classes;
  } cases[] = { { "line", 1, 0 },    { "sine", 1, 0 },  { "addition", 3, 0 }, { "xor", 2, 2 },
                { "circles", 2, 2 }, { "moons", 2, 2 }, { "spirals", 2, 4 } };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    Fixture f;
    start(&f, cases[k].kind, cases[k].inputs, cases[k].classes);
    fixture_number(&f, 0, "samples", 400);
    fixture_number(&f, 0, "noise", 0);
    fixture_number(&f, 0, "classes", 4);
    fixture_loads(&f);
    assert_int_equal(gradrt_data_set(f.data, 0)->n, 400);
    for (int64_t i = 0; i < 400; i++) {
      double a = x_at(&f, cases[k].inputs * i),
             b = cases[k].inputs > 1 ? x_at(&f, cases[k].inputs * i + 1) : 0, y = y_at(&f, i);
      double r = sqrt(a * a + b * b), turn = atan2(b, a) / 6.283185307179586 - 0.75 * r / 2 - y / 4;
      switch (k) {
      case 0: assert_true(y == 2 * a - 1 && a >= -1 && a < 1); break;
      case 1: assert_true(y == sin(a) && fabs(a) <= 3.1416); break;
      case 2: assert_true(y == a + b + x_at(&f, 3 * i + 2)); break;
      case 3: assert_true(y == (a != b) && (a == 0 || a == 1)); break;
      case 4: assert_true(fabs(r - (y > 0 ? 0.5 : 1)) < 1e-12); break;
      case 5:
        assert_true(fabs((y > 0 ? (a - 1) * (a - 1) + (b - 0.5) * (b - 0.5) : r * r) - 1) < 1e-12);
        break;
      default: assert_true(fabs(turn - floor(turn + 0.5)) < 1e-9 && r >= 0.1 && r < 2); break;
      }
    }
    fixture_end(&f);
  }
}

static void test_blobs_have_their_centres(void **state)
{
  (void)state;
  Fixture f;
  start(&f, "blobs", 5, 3);
  fixture_number(&f, 0, "samples", 3000);
  fixture_number(&f, 0, "classes", 3);
  fixture_loads(&f);
  double sum[3][2] = { { 0 } };
  int count[3] = { 0 };
  for (int64_t i = 0; i < 3000; i++) {
    int c = (int)y_at(&f, i);
    count[c]++;
    sum[c][0] += x_at(&f, 5 * i) / 1000;
    sum[c][1] += x_at(&f, 5 * i + 1) / 1000;
  }
  for (int c = 0; c < 3; c++) {
    assert_int_equal(count[c], 1000);
    assert_true(fabs(sum[c][0] - 2 * cos(c * 2.0943951)) < 0.06 &&
                fabs(sum[c][1] - 2 * sin(c * 2.0943951)) < 0.06);
  }
  fixture_end(&f);
}

/* Same options, same numbers; a longer set begins with the shorter; another seed or source differs.
 */
static void test_samples_depend_on_seed_source_and_number(void **state)
{
  (void)state;
  static const char *const kinds[] = { "blobs", "moons", "spirals", "sine" };
  for (int k = 0; k < 4; k++) {
    double kept[20];
    Fixture f;
    start(&f, kinds[k], k == 3 ? 1 : 2, k == 3 ? 0 : 3);
    fixture_number(&f, 0, "samples", 10);
    fixture_number(&f, 0, "seed", 5);
    fixture_loads(&f);
    int n = k == 3 ? 10 : 20, same = 0;
    for (int i = 0; i < n; i++)
      kept[i] = x_at(&f, i);
    f.prop[0][0].number = 50;
    fixture_loads(&f);
    for (int i = 0; i < n; i++)
      assert_true(x_at(&f, i) == kept[i]);
    f.prop[0][1].number = 6;
    fixture_loads(&f);
    for (int i = 0; i < n; i++)
      same += x_at(&f, i) == kept[i];
    f.prop[0][1].number = 5;
    gradrt_data_free(f.data);
    f.data = NULL;
    f.source[1] = f.source[0];
    f.split[0].source = 1;
    f.net.nsource = 2;
    fixture_loads(&f);
    for (int i = 0; i < n; i++)
      same += x_at(&f, i) == kept[i];
    assert_int_equal(same, 0);
    fixture_end(&f);
  }
}

static void test_targets_may_be_numbers_or_ones(void **state)
{
  (void)state;
  Fixture f;
  fixture_start(&f, "xor");
  fixture_field(&f, "x", GRADRT_U8, 0, NULL, SHAPE(2));
  fixture_field(&f, "y", GRADRT_F32, 0, NULL, SHAPE(1));
  fixture_loads(&f);
  assert_int_equal(gradrt_data_set(f.data, 0)->n, 4);
  for (int i = 0; i < 4; i++)
    assert_true(y_at(&f, i) == (i == 1 || i == 2));
  f.field[1].dim[0] = 2;
  fixture_loads(&f);
  assert_true(y_at(&f, 0) == 1 && y_at(&f, 1) == 0 && y_at(&f, 2) == 0 && y_at(&f, 3) == 1);
  fixture_end(&f);
}

static void test_wrong_fields_are_explained(void **state)
{
  (void)state;
  static const struct {
    const char *kind;
    int64_t inputs, classes;
    gradrt_dtype dtype;
    int code;
    const char *said;
  } cases[] = {
    { "moons", 3, 2, GRADRT_F32, GRADRT_DATA,
      "'moons' gives 2 numbers a sample, but field 'x' has 3" },
    { "line", 1, 2, GRADRT_F32, GRADRT_DATA, "'line' gives a number to predict, not a class" },
    { "blobs", 2, 2, GRADRT_F32, GRADRT_DATA, "'blobs' has 3 classes, but field 'y' has 2" },
    { "moons", 2, 2, GRADRT_U8, GRADRT_DATA, "numbers that its fields cannot hold" },
    { "digits", 100, 10, GRADRT_U8, GRADRT_DATA,
      "28 x 28 pixels a sample, but field 'x' has 100 numbers" },
    { "digits", 784, 9, GRADRT_U8, GRADRT_DATA, "'digits' has 10 classes, but field 'y' has 9" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    start(&f, cases[i].kind, cases[i].inputs, cases[i].classes);
    f.field[0].dtype = cases[i].dtype;
    fixture_refused(&f, cases[i].code, cases[i].said);
    fixture_end(&f);
  }
}

static void test_too_much_memory_is_a_limit(void **state)
{
  (void)state;
  Fixture f;
  start(&f, "digits", 784, 10);
  fixture_number(&f, 0, "samples", 4e9);
  fixture_refused(&f, GRADRT_LIMIT, "4000000000 samples of field 'x' need 2.34e+04 GiB of memory");
  fixture_end(&f);
}

/* Ink, not a blank page, not a full one; every drawing its own; classes in turn. */
static void test_digits_are_drawn(void **state)
{
  (void)state;
  Fixture f;
  fixture_start(&f, "digits");
  fixture_field(&f, "x", GRADRT_U8, 0, NULL, SHAPE(28, 28));
  fixture_field(&f, "y", GRADRT_U8, 10, NULL, NULL);
  fixture_number(&f, 0, "samples", 300);
  fixture_loads(&f);
  const uint8_t *x = gradrt_data_set(f.data, 0)->rows[0];
  for (int i = 0; i < 300; i++) {
    int ink = 0, most = 0, border = 0;
    for (int k = 0; k < 784; k++) {
      ink += x[784 * i + k];
      most = x[784 * i + k] > most ? x[784 * i + k] : most;
      border += k % 28 == 0 || k % 28 == 27 || k < 28 || k >= 756 ? x[784 * i + k] : 0;
    }
    assert_true(ink > 255 * 8 && ink < 255 * 300 && most > 150);
    assert_true(border < ink / 4);
    assert_int_equal((int)y_at(&f, i), i % 10);
    for (int k = 0; k < i; k++)
      assert_true(memcmp(x + 784 * i, x + 784 * k, 784) != 0);
  }
  fixture_end(&f);
}

/* Nearest mean drawing of 2000, on 500 others: far better than chance, far from perfect. */
static void test_digits_are_neither_noise_nor_trivial(void **state)
{
  (void)state;
  static double mean[10][784];
  Fixture f;
  fixture_start(&f, "digits");
  fixture_field(&f, "x", GRADRT_U8, 0, NULL, SHAPE(28, 28));
  fixture_field(&f, "y", GRADRT_U8, 10, NULL, NULL);
  fixture_number(&f, 0, "samples", 2500);
  fixture_loads(&f);
  const uint8_t *x = gradrt_data_set(f.data, 0)->rows[0];
  for (int i = 0; i < 2000; i++)
    for (int k = 0; k < 784; k++)
      mean[i % 10][k] += x[784 * i + k] / 200.0;
  int right = 0;
  for (int i = 2000; i < 2500; i++) {
    int best = 0;
    double least = INFINITY;
    for (int c = 0; c < 10; c++) {
      double d = 0;
      for (int k = 0; k < 784; k++)
        d += (mean[c][k] - x[784 * i + k]) * (mean[c][k] - x[784 * i + k]);
      best = d < least ? c : best;
      least = d < least ? d : least;
    }
    right += best == i % 10;
  }
  assert_true(right > 300 && right < 460);
  fixture_end(&f);
}

typedef struct {
  const char *name;
  gradrt_split split[4];
  int nsplit;
  int64_t want[4];
  const char *said;
} Deal;

static void test_splits_share_out_every_row_once(void **state)
{
  (void)state;
  static const Deal cases[] = {
    { "rest",
      { { "train", 0, GRADRT_SPLIT_ALL, 0 },
        { "valid", 0, GRADRT_SPLIT_COUNT, 13 },
        { "test", 0, GRADRT_SPLIT_FRACTION, 0.1 } },
      3,
      { 77, 13, 10 },
      NULL },
    { "rounded",
      { { "a", 0, GRADRT_SPLIT_FRACTION, 0.333 }, { "b", 0, GRADRT_SPLIT_FRACTION, 0.666 } },
      2,
      { 33, 67 },
      NULL },
    { "too many",
      { { "a", 0, GRADRT_SPLIT_COUNT, 60 }, { "b", 0, GRADRT_SPLIT_COUNT, 41 } },
      2,
      { 0 },
      "split 'b' needs 41 rows, but only 40 of 100 are left" },
    { "no rest",
      { { "a", 0, GRADRT_SPLIT_ALL, 0 }, { "b", 0, GRADRT_SPLIT_COUNT, 100 } },
      2,
      { 0 },
      "split 'a' gets none of the 100 rows" },
    { "rounds to none",
      { { "a", 0, GRADRT_SPLIT_ALL, 0 }, { "b", 0, GRADRT_SPLIT_FRACTION, 0.004 } },
      2,
      { 0 },
      "split 'b' gets none of the 100 rows" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    int owners[100] = { 0 };
    start(&f, "moons", 2, 2);
    fixture_number(&f, 0, "samples", 100);
    memcpy(f.split, cases[i].split, sizeof cases[i].split);
    f.net.nsplit = cases[i].nsplit;
    if (cases[i].said) {
      fixture_refused(&f, GRADRT_DATA, cases[i].said);
      fixture_end(&f);
      continue;
    }
    fixture_loads(&f);
    for (int k = 0; k < cases[i].nsplit; k++) {
      const gradrt_set *s = gradrt_data_set(f.data, k);
      assert_int_equal(s->n, cases[i].want[k]);
      for (int64_t r = 0; r < s->n; r++) {
        owners[s->row[r]]++;
        assert_true(r == 0 || s->row[r - 1] < s->row[r]);
      }
    }
    for (int r = 0; r < 100; r++)
      assert_int_equal(owners[r], 1);
    fixture_end(&f);
  }
}

static void test_only_wanted_sources_are_loaded(void **state)
{
  (void)state;
  static const char *const only[] = { "test" };
  Fixture f;
  start(&f, "moons", 2, 2);
  f.source[0] =
      (gradrt_source){ .kind = "idx", .place = "a.nn:2" }; /* cannot be read: it has no files */
  f.source[1] = (gradrt_source){ .kind = "moons", .place = "a.nn:3" };
  f.split[1] = (gradrt_split){ "test", 1, GRADRT_SPLIT_ALL, 0 };
  f.net.nsource = f.net.nsplit = 2;
  gradrt_data_options o = { .dir = ".", .only = only, .nonly = 1 };
  assert_int_equal(gradrt_data_load(&f.net, &o, &f.data), GRADRT_OK);
  assert_null(gradrt_data_set(f.data, 0));
  assert_null(gradrt_data_set(f.data, 2));
  assert_int_equal(gradrt_data_set(f.data, 1)->n, 1000);
  fixture_end(&f);
}

static void test_fingerprint_tells_data_apart(void **state)
{
  (void)state;
  char kept[2][9];
  Fixture f;
  start(&f, "moons", 2, 2);
  fixture_number(&f, 0, "samples", 50);
  fixture_number(&f, 0, "seed", 1);
  fixture_loads(&f);
  strcpy(kept[0], gradrt_data_fingerprint(f.data));
  assert_int_equal(strspn(kept[0], "0123456789abcdef"), 8);
  fixture_loads(&f);
  assert_string_equal(gradrt_data_fingerprint(f.data), kept[0]);
  f.prop[0][1].number = 2;
  fixture_loads(&f);
  strcpy(kept[1], gradrt_data_fingerprint(f.data));
  assert_string_not_equal(kept[1], kept[0]);
  f.prop[0][1].number = 1;
  gradrt_data_free(f.data);
  f.data = NULL;
  f.net.nsplit = 2;
  f.split[1] = (gradrt_split){ "valid", 0, GRADRT_SPLIT_COUNT, 5 };
  fixture_loads(&f);
  assert_string_not_equal(gradrt_data_fingerprint(f.data), kept[0]);
  fixture_end(&f);
}

/* Groups of channels, bytes and floats, constant columns, and the stages before standardize. */
static void test_fit_is_mean_and_population_deviation(void **state)
{
  (void)state;
  static const gradrt_dtype types[] = { GRADRT_F32, GRADRT_U8, GRADRT_F64 };
  for (int k = 0; k < 3; k++) {
    Fixture f;
    fixture_start(&f, "csv");
    fixture_text(&f, 0, "path", "t.csv");
    fixture_number(&f, 0, "header", 0);
    fixture_write(&f, "t.csv", "1,3,7,7\n5,7,7,7\n");
    fixture_field(&f, "x", types[k], 0, NULL, SHAPE(2, 2));
    gradrt_tensor tensor[2] = { { .name = "mean", .rank = 2, .dim = { 2, 1 } },
                                { .name = "std", .rank = 2, .dim = { 2, 1 } } };
    gradrt_fit fit = { 0, 0, 1, -0.5, 1 };
    f.net.ntensor = 2;
    f.net.tensor = tensor;
    f.net.nfit = 1;
    f.net.fit = &fit;
    fixture_loads(&f);
    double mean[2], std[2];
    assert_int_equal(gradrt_data_fit(&f.net, f.data, 0, 0, mean, std), GRADRT_OK);
    assert_true(mean[0] == -1 && fabs(std[0] - 0.5 * sqrt(5)) < 1e-15);
    assert_true(mean[1] == -2.5 && std[1] == 1);
    fixture_end(&f);
  }
}

/* Each of more columns of bytes than are counted at once. */
static void test_fit_of_many_columns(void **state)
{
  enum { COLUMNS = 40000, RECORDS = 2 };
  static unsigned char bytes[RECORDS * COLUMNS];
  static double mean[COLUMNS], std[COLUMNS];
  (void)state;
  Fixture f;
  fixture_start(&f, "raw");
  fixture_text(&f, 0, "path", "t.raw");
  fixture_field(&f, "x", GRADRT_U8, 0, NULL, SHAPE(COLUMNS));
  for (int i = 0; i < COLUMNS; i++) {
    bytes[i] = (unsigned char)(i % 100);
    bytes[COLUMNS + i] = (unsigned char)(i % 100 + 2 * (i % 7));
  }
  fixture_file(&f, "t.raw", bytes, sizeof bytes);
  gradrt_tensor tensor[2] = { { .name = "mean", .rank = 1, .dim = { COLUMNS } },
                              { .name = "std", .rank = 1, .dim = { COLUMNS } } };
  gradrt_fit fit = { 0, 0, 1, 1, 0 };
  f.net.ntensor = 2;
  f.net.tensor = tensor;
  f.net.nfit = 1;
  f.net.fit = &fit;
  fixture_loads(&f);
  assert_int_equal(gradrt_data_fit(&f.net, f.data, 0, 0, mean, std), GRADRT_OK);
  for (int i = 0; i < COLUMNS; i++) {
    double apart = i % 7;
    if (mean[i] != i % 100 + apart || std[i] != (apart > 0 ? apart : 1))
      fail_msg("column %d: mean %g, deviation %g", i, mean[i], std[i]);
  }
  fixture_end(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_formulas_without_noise),
    cmocka_unit_test(test_blobs_have_their_centres),
    cmocka_unit_test(test_samples_depend_on_seed_source_and_number),
    cmocka_unit_test(test_targets_may_be_numbers_or_ones),
    cmocka_unit_test(test_wrong_fields_are_explained),
    cmocka_unit_test(test_too_much_memory_is_a_limit),
    cmocka_unit_test(test_digits_are_drawn),
    cmocka_unit_test(test_digits_are_neither_noise_nor_trivial),
    cmocka_unit_test(test_splits_share_out_every_row_once),
    cmocka_unit_test(test_only_wanted_sources_are_loaded),
    cmocka_unit_test(test_fingerprint_tells_data_apart),
    cmocka_unit_test(test_fit_is_mean_and_population_deviation),
    cmocka_unit_test(test_fit_of_many_columns),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
