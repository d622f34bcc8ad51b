/* IDX files, plain and gzipped: what they hold, and every way in which they can lie about it. */
#include "fixture.h"

#include <zlib.h>

enum { BUFFER = 1 << 16 };

typedef struct { unsigned char at[BUFFER]; size_t n; } Bytes;

static void put32(Bytes *b, uint32_t v)
{
  for (int i = 3; i >= 0; i--)
    b->at[b->n++] = (unsigned char)(v >> 8 * i);
}

/* A header: type code, then dimensions ended by -1. */
static Bytes *header(Bytes *b, int type, const int64_t *dims)
{
  int rank = 0;
  while (dims[rank] >= 0)
    rank++;
  b->n = 0;
  put32(b, (uint32_t)(type << 8 | rank));
  for (int i = 0; i < rank; i++)
    put32(b, (uint32_t)dims[i]);
  return b;
}

static Bytes *counting(Bytes *b, size_t n)
{
  for (size_t i = 0; i < n; i++)
    b->at[b->n++] = (unsigned char)i;
  return b;
}

#define DIMS(...) (const int64_t[]){ __VA_ARGS__, -1 }
#define SHAPE(...) (const int64_t[]){ __VA_ARGS__, 0 }

static void save(const Fixture *f, const char *name, const Bytes *b)
{
  fixture_file(f, name, b->at, b->n);
}

static void save_gz(const Fixture *f, const char *name, const unsigned char *bytes, size_t n,
                    const char *mode)
{
  char path[128];
  snprintf(path, sizeof path, "%s/%s", f->dir, name);
  gzFile g = gzopen(path, mode);
  assert_non_null(g);
  assert_int_equal(gzwrite(g, bytes, (unsigned)n), (int)n);
  assert_int_equal(gzclose(g), Z_OK);
}

/* Three images of 2 x 2 pixels and their labels 0 1 2. */
static void start(Fixture *f, Bytes *images, Bytes *labels)
{
  fixture_start(f, "idx");
  fixture_text(f, 0, "images", "images");
  fixture_text(f, 0, "labels", "labels");
  fixture_field(f, "x", GRADRT_U8, 0, NULL, SHAPE(2, 2));
  fixture_field(f, "y", GRADRT_I32, 3, NULL, NULL);
  save(f, "images", counting(header(images, 8, DIMS(3, 2, 2)), 12));
  save(f, "labels", counting(header(labels, 8, DIMS(3)), 3));
}

static void test_bytes_stay_bytes(void **state)
{
  (void)state;
  Fixture f;
  Bytes b, c;
  start(&f, &b, &c);
  fixture_loads(&f);
  const gradrt_set *s = gradrt_data_set(f.data, 0);
  assert_int_equal(s->n, 3);
  for (int i = 0; i < 12; i++)
    assert_int_equal(((const uint8_t *)s->rows[0])[i], i);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(s->row[i], i);
    assert_int_equal(((const int32_t *)s->rows[1])[i], i);
  }
  f.field[0].dtype = GRADRT_F32;
  fixture_loads(&f);
  assert_true(fixture_at(&f, 0, 0, 11) == 11);
  fixture_end(&f);
}

static void test_every_element_type_is_read(void **state)
{
  (void)state;
  static const struct { int type; unsigned char bytes[8]; int n; double want; } rows[] = {
    { 0x08, { 200 }, 1, 200 },
    { 0x09, { 0xFE }, 1, -2 },
    { 0x0B, { 0xFF, 0x00 }, 2, -256 },
    { 0x0C, { 0x80, 0, 0, 0 }, 4, -2147483648.0 },
    { 0x0D, { 0xBF, 0xC0, 0, 0 }, 4, -1.5 },
    { 0x0E, { 0x40, 0x09, 0x21, 0xFB, 0x54, 0x44, 0x2D, 0x18 }, 8, 3.141592653589793 },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Fixture f;
    Bytes b;
    fixture_start(&f, "idx");
    fixture_text(&f, 0, "images", "v");
    fixture_field(&f, "x", GRADRT_F64, 0, NULL, NULL);
    header(&b, rows[i].type, DIMS(1));
    memcpy(b.at + b.n, rows[i].bytes, (size_t)rows[i].n);
    b.n += (size_t)rows[i].n;
    save(&f, "v", &b);
    fixture_loads(&f);
    assert_true(fixture_at(&f, 0, 0, 0) == rows[i].want);
    fixture_end(&f);
  }
}

static void test_gzip_is_read_by_content(void **state)
{
  (void)state;
  Fixture f;
  Bytes b, c;
  start(&f, &b, &c);
  save_gz(&f, "images", b.at, b.n, "wb9");
  save_gz(&f, "labels", c.at, 5, "wb");         /* two members, cut inside the header */
  save_gz(&f, "labels", c.at + 5, c.n - 5, "ab");
  fixture_loads(&f);
  assert_true(fixture_at(&f, 0, 0, 11) == 11 && fixture_at(&f, 0, 1, 2) == 2);
  fixture_end(&f);
}

typedef struct {
  const char *name;
  int type;
  int64_t dims[6];              /* ended by -1 */
  int payload;
  int code;
  const char *said;
} Lie;

static void test_lies_about_size_are_refused_before_allocating(void **state)
{
  (void)state;
  static const Lie lies[] = {
    { "cut short", 8, { 3, 2, 2, -1 }, 11, GRADRT_DATA, "makes 28 (the file is cut short)" },
    { "too long", 8, { 3, 2, 2, -1 }, 13, GRADRT_DATA, "makes 28 (the file is too long)" },
    { "65536 x 65536",
      8,
      { 65536, 65536, -1 },
      0,
      GRADRT_DATA,
      "promises [65536, 65536] elements of 1 byte" },
    { "count of 2^32-1", 8, { 4294967295, 2, 2, -1 }, 4, GRADRT_DATA, "the file is cut short" },
    { "product of 2^64",
      8,
      { 4294967295, 4294967295, 4294967295, -1 },
      0,
      GRADRT_DATA,
      "more than any file holds" },
    { "zero and huge",
      8,
      { 1, 0, 4294967295, 4294967295, 4294967295, -1 },
      0,
      GRADRT_DATA,
      "a sample has 0 elements" },
    { "no samples", 8, { 0, 2, 2, -1 }, 0, GRADRT_DATA, "holds no samples" },
    { "shape",
      8,
      { 3, 4, 4, -1 },
      48,
      GRADRT_DATA,
      "a sample has 16 elements [4, 4], but field 'x' has 4 [2, 2]" },
    { "shape of as many",
      8,
      { 3, 1, 4, -1 },
      12,
      GRADRT_DATA,
      "a sample has the shape [1, 4], but field 'x' has [2, 2]" },
    { "huge before zero",
      8,
      { 1, 4294967295, 4294967295, 0, -1 },
      0,
      GRADRT_DATA,
      "more than any file holds" },
    { "type", 7, { 3, 2, 2, -1 }, 12, GRADRT_DATA, "not an IDX file: it begins with 00 00 07 03" },
    { "rank 0", 8, { -1 }, 1, GRADRT_DATA, "not an IDX file" },
    { "count", 8, { 2, 2, 2, -1 }, 8, GRADRT_DATA, "images has 2 samples, but" },
  };
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    Fixture f;
    Bytes b, c;
    start(&f, &b, &c);
    header(&b, lies[i].type, lies[i].dims);
    save(&f, "images", counting(&b, (size_t)lies[i].payload));
    fixture_refused(&f, lies[i].code, lies[i].said);
    fixture_end(&f);
  }
}

static void test_other_formats_are_named(void **state)
{
  (void)state;
  static const struct { const char *bytes; const char *said; } rows[] = {
    { "\x89PNG\r\n\x1a\n....", "it looks like a PNG image" },
    { "<html>..........", "a web page" },
    { "PK\3\4............", "a zip archive" },
    { "\x93NUMPY\1..........", "use npy(..)" },
    { "ab", "it has only 2 bytes" },
    { "", "it has only 0 bytes" },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Fixture f;
    Bytes b, c;
    start(&f, &b, &c);
    fixture_write(&f, "images", rows[i].bytes);
    fixture_refused(&f, GRADRT_DATA, rows[i].said);
    fixture_end(&f);
  }
}

static void test_labels_must_be_classes(void **state)
{
  (void)state;
  Fixture f;
  Bytes b, c;
  start(&f, &b, &c);
  c.at[c.n - 2] = 255;
  c.at[c.n - 1] = 3;
  save(&f, "labels", &c);
  fixture_refused(&f, GRADRT_DATA, "labels: label 255 of sample 1 is outside 0..2");
  assert_non_null(strstr(f.said, "2 of 3 labels"));
  assert_non_null(strstr(f.said, "a.nn:3 has 3 classes"));
  fixture_end(&f);
}

static void test_numbers_must_fit_the_field(void **state)
{
  (void)state;
  Fixture f;
  Bytes b, c;
  start(&f, &b, &c);
  header(&b, 0x0D, DIMS(3, 2, 2));
  for (int i = 0; i < 12; i++)
    put32(&b, i == 7 ? 0x7F800000u : 0);        /* infinity */
  save(&f, "images", &b);
  f.field[0].dtype = GRADRT_F32;
  fixture_refused(&f, GRADRT_DATA,
                  "sample 1, element 3 is inf, which field 'x' (f32) must not hold");
  b.at[b.n - 4 * 5] = 0x3F;                     /* 1.5 into bytes */
  b.at[b.n - 4 * 5 + 1] = 0xC0;
  save(&f, "images", &b);
  f.field[0].dtype = GRADRT_U8;
  fixture_refused(&f, GRADRT_DATA, "is 1.5, which field 'x' (u8) cannot hold");
  fixture_end(&f);
}

static void test_gzip_attacks(void **state)
{
  (void)state;
  Fixture f;
  Bytes b, c, z;
  start(&f, &b, &c);
  save_gz(&f, "images", b.at, b.n - 1, "wb");
  fixture_refused(&f, GRADRT_DATA, "the data ends in sample 2 of 3");
  b.at[b.n++] = 0;
  save_gz(&f, "images", b.at, b.n, "wb");
  fixture_refused(&f, GRADRT_DATA, "holds more than the 12 elements");
  header(&z, 8, DIMS(4294967295, 2, 2));        /* a bomb that claims 16 GiB of 60 bytes */
  save_gz(&f, "images", counting(&z, 20)->at, z.n, "wb");
  fixture_refused(&f, GRADRT_DATA, "which cannot come from");
  char path[128];
  snprintf(path, sizeof path, "%s/images", f.dir);
  save_gz(&f, "images", b.at, b.n, "wb");
  assert_int_equal(truncate(path, 30), 0);
  fixture_refused(&f, GRADRT_DATA, "damaged gzip data near byte 30: the file is cut short");
  fixture_end(&f);
}

static void test_flipped_bits_of_gzip_never_pass(void **state)
{
  (void)state;
  Fixture f;
  Bytes b, c, z = { .n = 0 };
  start(&f, &b, &c);
  save_gz(&f, "images", b.at, b.n, "wb");
  char path[128];
  snprintf(path, sizeof path, "%s/images", f.dir);
  FILE *h = fopen(path, "rb");
  z.n = fread(z.at, 1, BUFFER, h);
  fclose(h);
  for (size_t i = 10; i < z.n; i++) {           /* the first ten bytes hold a time and flags */
    z.at[i] ^= 1;
    save(&f, "images", &z);
    int code = fixture_load(&f);
    assert_int_equal(code, GRADRT_DATA);
    z.at[i] ^= 1;
  }
  fixture_end(&f);
}

static void test_missing_files_are_explained(void **state)
{
  (void)state;
  Fixture f;
  Bytes b, c;
  start(&f, &b, &c);
  f.prop[0][0].text = "imagse";
  fixture_refused(&f, GRADRT_DATA, "a.nn:2: cannot read \"imagse\": No such file or directory");
  assert_non_null(strstr(f.said, "looked for /tmp/gradrt-test-"));
  assert_non_null(strstr(f.said, "there is \"images\" in that folder"));
  f.prop[0][0].text = "images.gz";
  fixture_refused(&f, GRADRT_DATA, "there is \"images\" in that folder");
  f.prop[0][0].text = "nowhere/images";
  fixture_refused(&f, GRADRT_DATA, "there is no folder ");
  f.prop[0][0].text = ".";
  fixture_refused(&f, GRADRT_DATA, "cannot read \".\": it is a folder");
  char path[128];
  snprintf(path, sizeof path, "%s/pipe", f.dir);
  assert_int_equal(mkfifo(path, 0600), 0);
  f.prop[0][0].text = "pipe";
  fixture_refused(&f, GRADRT_DATA, "it is not a regular file");
  f.prop[0][0].text = "";
  fixture_refused(&f, GRADRT_DATA, "needs the path of the images");
  fixture_end(&f);
}

/* A spec reads below its own folder; another one must be allowed by name. */
static void test_paths_stay_in_their_folder(void **state)
{
  (void)state;
  static const char *const names[] = { "/etc/passwd", "link", "folder/../../../etc/passwd",
                                       "up/passwd", "/dev/zero" };
  Fixture f;
  Bytes b, c;
  char path[128], inside[128];
  start(&f, &b, &c);
  snprintf(path, sizeof path, "%s/link", f.dir);
  assert_int_equal(symlink("/etc/passwd", path), 0);
  snprintf(path, sizeof path, "%s/up", f.dir);
  assert_int_equal(symlink("/etc", path), 0);
  snprintf(path, sizeof path, "%s/folder", f.dir);
  assert_int_equal(mkdir(path, 0777), 0);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    f.prop[0][0].text = names[i];
    f.root = NULL;
    fixture_refused(&f, GRADRT_DATA, "it lies outside of the folder of the data");
    assert_non_null(strstr(f.said, "--data-root DIR"));
    f.root = "/etc/nowhere";
    fixture_refused(&f, GRADRT_DATA, "it lies outside of the folder of the data");
    f.root = "/";
    fixture_refused(&f, GRADRT_DATA, i < 4 ? "not an IDX file" : "it is not a regular file");
  }
  f.root = NULL;
  snprintf(path, sizeof path, "%s/folder/../images", f.dir);
  snprintf(inside, sizeof inside, "%s/near", f.dir);
  assert_int_equal(symlink("images", inside), 0);
  const char *const good[] = { path, "folder/../images", "./images", "near" };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    f.prop[0][0].text = good[i];
    fixture_loads(&f);
  }
  fixture_end(&f);
}

/* Random damage to plain files: an error or a clean load, never more. */
static void test_mutations_never_crash(void **state)
{
  (void)state;
  Fixture f;
  Bytes b, c;
  gradrt_stream s;
  start(&f, &b, &c);
  gradrt_stream_start(&s, 1, 99, 0);
  for (int i = 0; i < 2000; i++) {
    Bytes damaged = b;
    for (int k = 0; k < 3; k++)
      damaged.at[gradrt_stream_u32(&s) % 16] = (unsigned char)(1u << gradrt_stream_u32(&s) % 9);
    damaged.n -= gradrt_stream_u32(&s) % 4;
    save(&f, "images", &damaged);
    int code = fixture_load(&f);
    assert_true(code == GRADRT_OK || code == GRADRT_DATA || code == GRADRT_LIMIT);
  }
  fixture_end(&f);
}

static void test_mnist(void **state)
{
  (void)state;
  static const char *const names[4] = { "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
                                        "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz" };
  const char *real = getenv("GRADC_TEST_DATA");
  if (!real)
    skip();
  Fixture f;
  fixture_start(&f, "idx");
  f.root = real;
  char path[4][512];
  for (int i = 0; i < 4; i++)
    snprintf(path[i], sizeof path[i], "%s/mnist/%s", real, names[i]);
  f.source[1] = (gradrt_source){ .kind = "idx", .prop = f.prop[1], .place = "a.nn:3" };
  for (int i = 0; i < 4; i++)
    fixture_text(&f, i / 2, i % 2 ? "labels" : "images", path[i]);
  fixture_field(&f, "x", GRADRT_U8, 0, NULL, SHAPE(28, 28));
  fixture_field(&f, "y", GRADRT_U8, 10, NULL, NULL);
  f.net.nsource = 2;
  f.net.nsplit = 3;
  f.split[1] = (gradrt_split){ "valid", 0, GRADRT_SPLIT_COUNT, 5000 };
  f.split[2] = (gradrt_split){ "test", 1, GRADRT_SPLIT_ALL, 0 };
  fixture_loads(&f);
  assert_int_equal(gradrt_data_set(f.data, 0)->n, 55000);
  assert_int_equal(gradrt_data_set(f.data, 1)->n, 5000);
  assert_int_equal(gradrt_data_set(f.data, 2)->n, 10000);
  static const int first[10] = { 5, 0, 4, 1, 9, 2, 1, 3, 1, 4 };
  for (int i = 0; i < 10; i++)
    assert_int_equal((int)fixture_at(&f, 0, 1, i), first[i]);
  gradrt_tensor tensor[2] = { { .name = "mean", .rank = 1, .dim = { 1 } },
                              { .name = "std", .rank = 1, .dim = { 1 } } };
  gradrt_fit fit = { 0, 0, 1, 1.0 / 255, 0 };
  f.net.ntensor = 2;
  f.net.tensor = tensor;
  f.net.nfit = 1;
  f.net.fit = &fit;
  gradrt_data_free(f.data);
  f.data = NULL;
  f.net.nsplit = 1;
  fixture_loads(&f);
  double mean, std;
  assert_int_equal(gradrt_data_fit(&f.net, f.data, 0, 0, &mean, &std), GRADRT_OK);
  assert_true(mean > 0.13065 && mean < 0.13067 && std > 0.30810 && std < 0.30812);
  fixture_end(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_bytes_stay_bytes),
    cmocka_unit_test(test_every_element_type_is_read),
    cmocka_unit_test(test_gzip_is_read_by_content),
    cmocka_unit_test(test_lies_about_size_are_refused_before_allocating),
    cmocka_unit_test(test_other_formats_are_named),
    cmocka_unit_test(test_labels_must_be_classes),
    cmocka_unit_test(test_numbers_must_fit_the_field),
    cmocka_unit_test(test_gzip_attacks),
    cmocka_unit_test(test_flipped_bits_of_gzip_never_pass),
    cmocka_unit_test(test_missing_files_are_explained),
    cmocka_unit_test(test_paths_stay_in_their_folder),
    cmocka_unit_test(test_mutations_never_crash),
    cmocka_unit_test(test_mnist),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
