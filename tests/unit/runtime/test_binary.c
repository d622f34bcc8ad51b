/* CIFAR, raw and npy files, and the files that predict reads. */
#include "fixture.h"

#include <math.h>

#define SHAPE(...) (const int64_t[]){ __VA_ARGS__, 0 }

/* ---- CIFAR ---- */

enum { PIXELS = 3072 };

static void cifar_file(const Fixture *f, const char *name, int head, int n, int first_label)
{
  unsigned char *bytes = malloc((size_t)n * (PIXELS + 2));
  size_t at = 0;
  for (int i = 0; i < n; i++) {
    if (head == 2)
      bytes[at++] = 9;                          /* coarse */
    bytes[at++] = (unsigned char)(first_label + i);
    memset(bytes + at, 10 * i + 1, PIXELS);
    at += PIXELS;
  }
  fixture_file(f, name, bytes, at);
  free(bytes);
}

static void cifar_start(Fixture *f, int classes)
{
  fixture_start(f, "cifar");
  fixture_text(f, 0, "path", "a.bin, b.bin");
  fixture_number(f, 0, "classes", classes);
  fixture_field(f, "x", GRADRT_U8, 0, NULL, SHAPE(3, 32, 32));
  fixture_field(f, "y", GRADRT_I32, classes, NULL, NULL);
}

static void test_cifar_files_follow_one_another(void **state)
{
  (void)state;
  for (int head = 1; head <= 2; head++) {
    Fixture f;
    cifar_start(&f, head == 1 ? 10 : 100);
    cifar_file(&f, "a.bin", head, 3, 0);
    cifar_file(&f, "b.bin", head, 2, 7);
    fixture_loads(&f);
    assert_int_equal(gradrt_data_set(f.data, 0)->n, 5);
    assert_true(fixture_at(&f, 0, 1, 2) == 2 && fixture_at(&f, 0, 1, 4) == 8);
    assert_true(fixture_at(&f, 0, 0, 0) == 1 && fixture_at(&f, 0, 0, 5 * PIXELS - 1) == 11);
    fixture_end(&f);
  }
}

static void test_cifar_files_may_be_numbered(void **state)
{
  (void)state;
  Fixture f;
  cifar_start(&f, 10);
  cifar_file(&f, "batch_2.bin", 1, 2, 0);
  cifar_file(&f, "batch_3.bin", 1, 3, 2);
  cifar_file(&f, "batch_4.bin", 1, 1, 5);
  f.prop[0][0].text = "batch_2..3.bin,batch_4.bin";
  fixture_loads(&f);
  assert_int_equal(gradrt_data_set(f.data, 0)->n, 6);
  for (int i = 0; i < 6; i++)
    assert_true(fixture_at(&f, 0, 1, i) == i);
  f.prop[0][0].text = "batch_4..2.bin";
  fixture_refused(&f, GRADRT_DATA, "needs the path of a file");
  fixture_end(&f);
}

static void test_cifar_refuses(void **state)
{
  (void)state;
  Fixture f;
  cifar_start(&f, 10);
  cifar_file(&f, "a.bin", 1, 2, 0);
  cifar_file(&f, "b.bin", 1, 3, 8);
  fixture_refused(&f, GRADRT_DATA, "b.bin: label 10 of record 2 is outside 0..9");
  cifar_file(&f, "b.bin", 2, 1, 0);
  fixture_refused(&f, GRADRT_DATA,
                  "b.bin: 3074 bytes are not a whole number of CIFAR-10 records of 3073 bytes");
  assert_non_null(strstr(f.said, "write classes=100"));
  char path[128];
  snprintf(path, sizeof path, "%s/b.bin", f.dir);
  cifar_file(&f, "b.bin", 1, 2, 0);
  assert_int_equal(truncate(path, 2 * 3073 - 1), 0);
  fixture_refused(&f, GRADRT_DATA, "b.bin: 6145 bytes are not a whole number");
  assert_non_null(strstr(f.said, "1 records and 3072 bytes more: the file seems cut short"));
  f.prop[0][0].text = " , ";
  fixture_refused(&f, GRADRT_DATA, "needs the path of a file");
  f.prop[0][0].text = "a.bin";
  f.field[0].dim[0] = 1;
  fixture_refused(&f, GRADRT_DATA, "CIFAR gives 3072 numbers for field 'x', which has 1024");
  fixture_end(&f);
}

/* ---- raw ---- */

static void test_raw_samples_hold_their_fields_in_turn(void **state)
{
  (void)state;
  static const unsigned char bytes[] = { 1, 2, 0x00, 0x00, 0xC0, 0x3F, 2, 0, 0, 0,
                                         3, 4, 0x00, 0x00, 0x00, 0xBF, 0, 0, 0, 0 };
  Fixture f;
  fixture_start(&f, "raw");
  fixture_text(&f, 0, "path", "r");
  fixture_field(&f, "a", GRADRT_U8, 0, NULL, SHAPE(2));
  fixture_field(&f, "b", GRADRT_F64, 0, NULL, NULL);
  fixture_field(&f, "y", GRADRT_I32, 3, NULL, NULL);
  fixture_file(&f, "r", bytes, sizeof bytes);
  fixture_loads(&f);
  assert_int_equal(gradrt_data_set(f.data, 0)->n, 2);
  assert_true(fixture_at(&f, 0, 0, 3) == 4 && fixture_at(&f, 0, 1, 0) == 1.5 &&
              fixture_at(&f, 0, 1, 1) == -0.5);
  assert_true(fixture_at(&f, 0, 2, 0) == 2 && fixture_at(&f, 0, 2, 1) == 0);
  fixture_file(&f, "r", bytes, sizeof bytes - 1);
  fixture_refused(
      &f, GRADRT_DATA,
      "19 bytes are not a whole number of samples of 10 bytes (a: 2 x u8, b: 1 x f32, y: 1 x i32)");
  fixture_file(&f, "r", bytes, 0);
  fixture_refused(&f, GRADRT_DATA, "0 bytes are not a whole number");
  fixture_text(&f, 0, "real", "f64");
  fixture_file(&f, "r", bytes, sizeof bytes);
  fixture_refused(&f, GRADRT_DATA, "samples of 14 bytes (a: 2 x u8, b: 1 x f64, y: 1 x i32)");
  fixture_end(&f);
}

/* ---- npy ---- */

/* Writes an array; returns the file's size. */
static size_t npy(const Fixture *f, const char *name, const char *dict, const void *bytes, size_t n)
{
  unsigned char file[1024];
  size_t header = strlen(dict);
  memcpy(file, "\x93NUMPY\1\0", 8);
  file[8] = (unsigned char)header;
  file[9] = (unsigned char)(header >> 8);
  memcpy(file + 10, dict, header);
  memcpy(file + 10 + header, bytes, n);
  fixture_file(f, name, file, 10 + header + n);
  return 10 + header + n;
}

static void npy_start(Fixture *f)
{
  static const int64_t labels[] = { 1, 0 };
  static const float images[] = { 1, 2, 3, 4, 5, 6 };
  fixture_start(f, "npy");
  fixture_text(f, 0, "images", "x.npy");
  fixture_text(f, 0, "labels", "y.npy");
  fixture_field(f, "x", GRADRT_F32, 0, NULL, SHAPE(3));
  fixture_field(f, "y", GRADRT_I32, 2, NULL, NULL);
  npy(f, "x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", images,
      sizeof images);
  npy(f, "y.npy", "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n", labels,
      sizeof labels);
}

static void test_npy_arrays(void **state)
{
  (void)state;
  Fixture f;
  npy_start(&f);
  fixture_loads(&f);
  assert_true(fixture_at(&f, 0, 0, 5) == 6 && fixture_at(&f, 0, 1, 0) == 1 &&
              fixture_at(&f, 0, 1, 1) == 0);
  npy(&f, "x.npy", "{\"shape\":(2,1,3),\"descr\":\">u2\",\"fortran_order\":False}",
      "\1\0\0\2\0\3\0\4\0\5\0\6", 12);
  fixture_loads(&f);
  assert_true(fixture_at(&f, 0, 0, 0) == 256 && fixture_at(&f, 0, 0, 5) == 6);
  npy(&f, "x.npy", "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 3)}", "\1\0\1\0\1\0", 6);
  fixture_loads(&f);
  assert_true(fixture_at(&f, 0, 0, 4) == 1 && fixture_at(&f, 0, 0, 5) == 0);
  fixture_end(&f);
}

#define HUGE_DIM "9223372036854775807"
#define THREE_HUGE HUGE_DIM ", " HUGE_DIM ", " HUGE_DIM
#define NINE_HUGE THREE_HUGE ", " THREE_HUGE ", " THREE_HUGE

static void test_npy_refuses(void **state)
{
  (void)state;
  static const struct { const char *dict; int n; const char *said;
  } cases[] = {
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", 23,
      "23 bytes follow the header, which promises [2, 3]" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", 25, "25 bytes follow" },
    { "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", 24, "stored by columns" },
    { "{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3)}", 48, "elements of type '<c8'" },
    { "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}", 48, "are not supported" },
    { "{'fortran_order': False, 'shape': (2, 3)}", 24, "elements of type (none)" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", 4, "its shape is not a list" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3)}", 24, "its shape is not a list" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3", 24, "its shape is not a list" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 3)}", 24,
      "24 bytes follow" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (" NINE_HUGE ")}", 24,
      "promises [" NINE_HUGE "] elements" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 1, 1, 1, 1, 1, 1, 1, 1)}", 24,
      "a list of at most 9 numbers" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3)}", 0, "holds no samples" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)}", 24,
      "a sample has 2 elements [2], but field 'x' has 3 [3]" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3)}", 12,
      "x.npy has 1 samples, but " },
  };
  char zeros[64] = { 0 };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    npy_start(&f);
    npy(&f, "x.npy", cases[i].dict, zeros, (size_t)cases[i].n);
    fixture_refused(&f, GRADRT_DATA, cases[i].said);
    fixture_end(&f);
  }
  Fixture f;
  npy_start(&f);
  npy(&f, "x.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
      "\0\0\xC0\x7F\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24);
  fixture_refused(&f, GRADRT_DATA,
                  "sample 0, element 0 is nan, which field 'x' (f32) must not hold");
  fixture_file(&f, "x.npy", "\x93NUMPY\1\0\xFF\xFF{'descr'", 18);
  fixture_refused(&f, GRADRT_DATA, "its header is longer than the file");
  fixture_write(&f, "x.npy", "PK\3\4 an archive");
  fixture_refused(&f, GRADRT_DATA, "it does not begin with \\x93NUMPY");
  fixture_end(&f);
}

/* ---- predict's files ---- */

static int inputs(Fixture *f, const char *name, int64_t *n, void *rows[GRADRT_FIELDS_MAX])
{
  char path[128];
  snprintf(path, sizeof path, "%s/%s", f->dir, name);
  for (int i = 0; i < GRADRT_FIELDS_MAX; i++)
    rows[i] = NULL;
  int kept = fixture_listen(f);
  gradrt_data_options o = { .dir = f->dir };
  int code = gradrt_data_read_inputs(&f->net, &o, path, n, rows);
  fixture_hear(f, kept);
  return code;
}

static void release(void *rows[GRADRT_FIELDS_MAX])
{
  for (int i = 0; i < GRADRT_FIELDS_MAX; i++)
    gradrt_free(rows[i]);
}

static void images_start(Fixture *f)
{
  fixture_start(f, "digits");
  fixture_field(f, "x", GRADRT_U8, 0, NULL, SHAPE(2, 3));
  fixture_field(f, "y", GRADRT_I32, 10, NULL, NULL);
}

static void test_inputs_of_every_format(void **state)
{
  (void)state;
  static const struct { const char *name; const char *bytes; size_t n; int64_t rows; } cases[] = {
    { "P5", "P5\n# a comment\n3 2\n255\n\1\2\3\4\5\6", 29, 1 },
    { "P5 twice", "P5 3 2 255\n\1\2\3\4\5\6P5 3 2 255\n\1\2\3\4\5\6", 34, 2 },
    { "P2", "P2 3 2 255 1 2 3 # four\n4 5 6\n", 30, 1 },
    { "P5 of 16 bits", "P5 3 2 65535\n\1\1\2\2\3\3\4\4\5\5\6\6", 25, 1 },
    { "IDX", "\0\0\x08\3\0\0\0\1\0\0\0\2\0\0\0\3\1\2\3\4\5\6", 22, 1 },
    { "CSV", "1,2,3,4,5,6\n1,2,3,4,5,6\n", 24, 2 },
    { "CSV with header", "a,b,c,d,e,f\n1,2,3,4,5,6\n", 24, 1 },
    { "raw", "\1\2\3\4\5\6\1\2\3\4\5\6", 12, 2 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    int64_t n = 0;
    void *rows[GRADRT_FIELDS_MAX];
    images_start(&f);
    fixture_file(&f, "in", cases[i].bytes, cases[i].n);
    int code = inputs(&f, "in", &n, rows);
    if (code != GRADRT_OK || n != cases[i].rows)
      fail_msg("%s: %d, %d rows\n%s", cases[i].name, code, (int)n, f.said);
    for (int64_t k = 0; k < 6 * n; k++)
      assert_int_equal(((uint8_t *)rows[0])[k], k % 6 + 1);
    assert_int_equal(((int32_t *)rows[1])[n - 1], 0);
    release(rows);
    fixture_end(&f);
  }
}

static void test_colour_pictures_become_planes(void **state)
{
  (void)state;
  Fixture f;
  int64_t n;
  void *rows[GRADRT_FIELDS_MAX];
  fixture_start(&f, "cifar");
  fixture_field(&f, "x", GRADRT_F32, 0, NULL, SHAPE(3, 1, 2));
  fixture_write(&f, "in.ppm", "P3 2 1 15\n15 0 3  1 2 0\n");
  assert_int_equal(inputs(&f, "in.ppm", &n, rows), GRADRT_OK);
  static const float want[6] = { 255, 17, 0, 34, 51, 0 };
  assert_memory_equal(rows[0], want, sizeof want);
  release(rows);
  fixture_end(&f);
}

static void test_bad_pictures(void **state)
{
  (void)state;
  static const struct { const char *bytes; size_t n; const char *said; } cases[] = {
    { "P5 3 2 255\n\1\2\3\4\5", 16, "picture 0 is cut short" },
    { "P5 2 3 255\n\1\2\3\4\5\6", 17, "2 x 3 pixels in grey does not fit field 'x' [2, 3]" },
    { "P6 3 2 255\n", 11, "in colour does not fit" },
    { "P5 99999999999999999999 2 255\n", 30, "sides are not between 1 and 32768" },
    { "P5 0 0 255\n", 11, "sides are not between" },
    { "P5 3 2 70000\n", 13, "largest value" },
    { "P2 3 2 15\n1 2 3 4 5 16\n", 24, "or a value is above 15" },
    { "P5 3 2 255\n\1\2\3\4\5\6junk", 21, "does not begin with P2" },
    { "\x89PNG\r\n\x1a\n", 8, "in: cannot decode this PNG picture: " },
    { "GIF89a", 6, "this kind of file cannot be read here" },
    { "", 0, "the file is empty" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    int64_t n;
    void *rows[GRADRT_FIELDS_MAX];
    images_start(&f);
    fixture_file(&f, "in", cases[i].bytes, cases[i].n);
    int code = inputs(&f, "in", &n, rows);
    if (code != GRADRT_DATA || !strstr(f.said, cases[i].said))
      fail_msg("expected \"%s\", got %d and:\n%s", cases[i].said, code, f.said);
    fixture_end(&f);
  }
}

/* A table for predict: the options of the spec's table, its categories, and no targets. */
static void test_tables_for_predict(void **state)
{
  (void)state;
  Fixture f;
  int64_t n;
  void *rows[GRADRT_FIELDS_MAX];
  char train[128];
  fixture_start(&f, "csv");
  snprintf(train, sizeof train, "%s/train.csv", f.dir);
  fixture_text(&f, 0, "path", train);
  fixture_text(&f, 0, "separator", ";");
  fixture_write(&f, "train.csv", "w;a;t;y\nu;1;5;0\nv;2;6;1\nw;3;7;1\n");
  fixture_field(&f, "x", GRADRT_F32, 0, "a, w:onehot", SHAPE(4));
  fixture_field(&f, "y", GRADRT_I32, 2, "y", NULL);
  fixture_field(&f, "t", GRADRT_F32, 0, "t", SHAPE(1));
  fixture_write(&f, "in.csv", "a;w\n7;w\n8;u\n");
  assert_int_equal(inputs(&f, "in.csv", &n, rows), GRADRT_OK);
  static const float want[8] = { 7, 0, 0, 1, 8, 1, 0, 0 }, none[2] = { 0, 0 };
  assert_int_equal(n, 2);
  assert_memory_equal(rows[0], want, sizeof want);
  assert_memory_equal(rows[1], none, sizeof none);
  assert_memory_equal(rows[2], none, sizeof none);
  assert_non_null(strstr(f.said, "has no column for field 't', which is taken as 0"));
  release(rows);
  fixture_write(&f, "in.csv", "a;z\n7;w\n");
  assert_int_equal(inputs(&f, "in.csv", &n, rows), GRADRT_DATA);
  assert_non_null(strstr(f.said, "in.csv has no column \"w\""));
  fixture_write(&f, "in.csv", "a;w\n7;x\n");
  assert_int_equal(inputs(&f, "in.csv", &n, rows), GRADRT_DATA);
  assert_non_null(strstr(f.said, "in.csv:2:3: \"x\" is none of the known categories"));
  assert_int_equal(inputs(&f, "in.cvs", &n, rows), GRADRT_DATA);
  assert_non_null(strstr(f.said, "there is \"in.csv\" in that folder"));
  fixture_end(&f);
}

static void test_damaged_inputs_never_crash(void **state)
{
  (void)state;
  static const char *const seeds[] = { "P2 3 2 255 1 2 3 4 5 6\n", "1,2,3,4,5,6\n",
                                       "P5 3 2 255\nabcdef" };
  gradrt_stream s;
  Fixture f;
  gradrt_stream_start(&s, 3, 99, 0);
  images_start(&f);
  for (int i = 0; i < 3000; i++) {
    char bytes[64];
    size_t n = strlen(seeds[i % 3]);
    memcpy(bytes, seeds[i % 3], n);
    for (int k = 0; k < 3; k++)
      bytes[gradrt_stream_u32(&s) % n] =
          (char)(gradrt_stream_u32(&s) % 2 ? gradrt_stream_u32(&s)
                                           : '0' + gradrt_stream_u32(&s) % 10);
    fixture_file(&f, "in", bytes, n - gradrt_stream_u32(&s) % 4);
    int64_t rows_read;
    void *rows[GRADRT_FIELDS_MAX];
    int code = inputs(&f, "in", &rows_read, rows);
    assert_true(code == GRADRT_OK || (code == GRADRT_DATA && strstr(f.said, "error: ")));
    if (code == GRADRT_OK)
      release(rows);
  }
  fixture_end(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_cifar_files_follow_one_another),
    cmocka_unit_test(test_cifar_files_may_be_numbered),
    cmocka_unit_test(test_cifar_refuses),
    cmocka_unit_test(test_raw_samples_hold_their_fields_in_turn),
    cmocka_unit_test(test_npy_arrays),
    cmocka_unit_test(test_npy_refuses),
    cmocka_unit_test(test_inputs_of_every_format),
    cmocka_unit_test(test_colour_pictures_become_planes),
    cmocka_unit_test(test_bad_pictures),
    cmocka_unit_test(test_tables_for_predict),
    cmocka_unit_test(test_damaged_inputs_never_crash),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
