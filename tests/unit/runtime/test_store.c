/* Pictures that are decoded when they are wanted: any order, budget and number of threads gives the
 * same rows, memory stays within the budget, and a damaged file is told to who asks for it. */
#define _GNU_SOURCE             /* mincore */
#include "fixture.h"
#include "pictures.h"

#include <sys/mman.h>

#if defined GRADRT_PNG && defined GRADRT_JPEG

enum { HEIGHT = 72, WIDTH = 96, BYTES = HEIGHT * WIDTH, ROWS = 40, BATCH = 7 };

static unsigned char pixel_of(int row, int x, int y)
{
  return (unsigned char)(row * 7 + x * 3 + y * y);
}

static void write_picture(const Fixture *f, const char *name, int row, int height, int width)
{
  char path[256], reason[GRADRT_REASON];
  gradrt_picture m;
  snprintf(path, sizeof path, "%s/%s", f->dir, name);
  assert_true(gradrt_picture_alloc(&m, width, height, 1, reason));
  for (int i = 0; i < width * height; i++)
    m.pixel[i] = pixel_of(row, i % width, i / width);
  assert_int_equal(gradrt_picture_write(path, &m), GRADRT_OK);
  gradrt_picture_free(&m);
}

static void row_name(char name[32], int row) { snprintf(name, 32, "p/c%d/%02d.png", row % 2, row); }

/* The number of the picture in a row of the data: even ones first. */
static int picture_at(uint32_t row)
{
  return row < ROWS / 2 ? 2 * (int)row : 2 * ((int)row - ROWS / 2) + 1;
}

static void start(Fixture *f)
{
  static const int64_t sides[] = { HEIGHT, WIDTH, 0 };
  char path[128];
  fixture_start(f, "images");
  fixture_text(f, 0, "path", "p");
  fixture_field(f, "x", GRADRT_U8, 0, NULL, sides);
  fixture_field(f, "y", GRADRT_I32, 2, NULL, NULL);
  static const char *const folders[] = { "p", "p/c0", "p/c1" };
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/%s", f->dir, folders[i]);
    assert_int_equal(mkdir(path, 0700), 0);
  }
  for (int row = 0; row < ROWS; row++) {
    char name[32];
    row_name(name, row);
    write_picture(f, name, row, HEIGHT, WIDTH);
  }
}

typedef struct { double memory; int threads; } Setting;

static int load(Fixture *f, const Setting *s)
{
  gradrt_data_options o = { .dir = f->dir, .memory = s->memory, .threads = s->threads,
                            .no_prefetch = s->threads == 0 };
  gradrt_data_free(f->data);
  f->data = NULL;
  int kept = fixture_listen(f);
  int code = gradrt_data_load(&f->net, &o, &f->data);
  fixture_hear(f, kept);
  return code;
}

/* Bytes of the rows' block that are in memory. */
static size_t resident(const gradrt_set *set)
{
  static unsigned char there[1024];
  size_t page = (size_t)sysconf(_SC_PAGESIZE), all = (size_t)ROWS * BYTES, n = 0;
  int field;
  void *at = gradrt_store_rows(set->store, &field);
  assert_true(all / page < sizeof there);
  assert_int_equal(mincore(at, all, there), 0);
  for (size_t i = 0; i * page < all; i++)
    n += there[i] & 1 ? page : 0;
  return n;
}

static uint32_t shuffled(const void *ctx, int64_t epoch, int64_t position)
{
  const gradrt_set *set = ctx;
  return set->row[(position * 11 + epoch * 17) % set->n];
}

static void check_rows(const gradrt_set *set, const gradrt_order *o, int64_t first, int64_t n,
                       const Setting *s)
{
  const void *rows[GRADRT_FIELDS_MAX];
  assert_int_equal(gradrt_set_want(set, o, first, n, rows), GRADRT_OK);
  for (int64_t i = first; i < first + n; i++) {
    uint32_t row = o ? o->row_at(o->ctx, o->epoch, i) : set->row[i];
    const unsigned char *pixel = (const unsigned char *)rows[0] + (size_t)row * BYTES;
    for (int k = 0; k < BYTES; k++)
      if (pixel[k] != pixel_of(picture_at(row), k % WIDTH, k / WIDTH))
        fail_msg("budget %g, %d threads, position %d: element %d", s->memory, s->threads, (int)i,
                 k);
    assert_int_equal(((const int32_t *)rows[1])[row], picture_at(row) % 2);
  }
}

static const Setting settings[] = {
  { 1, 0 }, { 1, 1 }, { 1, 3 }, { 10.0 * BYTES, 0 }, { 10.0 * BYTES, 3 }, { 25.0 * BYTES, 1 },
  { 25.0 * BYTES, 3 }, { 1e9, 0 }, { 1e9, 3 },
};

static void test_any_order_and_budget_gives_the_rows(void **state)
{
  (void)state;
  Fixture f;
  start(&f);
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    const Setting *s = &settings[i];
    size_t cost = (BYTES / 4096 + 2) * (size_t)4096;
    size_t most = s->memory > (double)(BATCH * cost) ? (size_t)s->memory : BATCH * cost;
    assert_int_equal(load(&f, s), GRADRT_OK);
    const gradrt_set *set = gradrt_data_set(f.data, 0);
    assert_null(set->rows[0]);
    for (int epoch = 0; epoch < 3; epoch++) {
      gradrt_order order = { shuffled, set, epoch, set->n };
      for (int64_t at = epoch == 1 ? 9 : 0; at < set->n; at += BATCH) {
        int64_t n = set->n - at < BATCH ? set->n - at : BATCH;
        check_rows(set, &order, at, n, s);
        check_rows(set, &order, at, n, s);      /* the same ones again */
        if (resident(set) > most + (size_t)s->threads * cost)
          fail_msg("budget %g, %d threads: %zu bytes are there, more than %zu", s->memory,
                   s->threads, resident(set), most);
        if (at == 3 * BATCH)    /* an evaluation between */
          check_rows(set, NULL, 5, BATCH, s);
      }
    }
    const unsigned char *one = gradrt_set_row(&f.net, set, 0, 3);
    assert_int_equal(one[5], pixel_of(picture_at(3), 5, 0));
    assert_int_equal(*(const int32_t *)gradrt_set_row(&f.net, set, 1, ROWS - 1), 1);
  }
  fixture_end(&f);
}

static void test_all_rows_stay_while_they_fit(void **state)
{
  static const Setting all = { 1e9, 2 };
  const void *rows[GRADRT_FIELDS_MAX];
  (void)state;
  Fixture f;
  start(&f);
  assert_int_equal(load(&f, &all), GRADRT_OK);
  const gradrt_set *set = gradrt_data_set(f.data, 0);
  assert_int_equal(resident(set), 0);   /* loading decodes nothing */
  assert_int_equal(gradrt_set_want(set, NULL, 0, set->n, rows), GRADRT_OK);
  char command[128];
  snprintf(command, sizeof command, "rm -r '%s/p'", f.dir);
  assert_int_equal(system(command), 0);
  check_rows(set, NULL, 0, set->n, &all);
  fixture_end(&f);
}

/* They could not be dropped one by one. */
static void test_rows_below_a_page_stay(void **state)
{
  static const int64_t sides[] = { 6, 13, 0 };
  static const Setting least = { 1, 2 };
  const void *rows[GRADRT_FIELDS_MAX];
  char command[128];
  (void)state;
  Fixture f;
  fixture_start(&f, "images");
  fixture_text(&f, 0, "path", "p");
  fixture_field(&f, "x", GRADRT_U8, 0, NULL, sides);
  snprintf(command, sizeof command, "mkdir -p '%s/p/c0'", f.dir);
  assert_int_equal(system(command), 0);
  for (int row = 0; row < 5; row++) {
    char name[32];
    snprintf(name, sizeof name, "p/c0/%d.png", row);
    write_picture(&f, name, row, 6, 13);
  }
  assert_int_equal(load(&f, &least), GRADRT_OK);
  const gradrt_set *set = gradrt_data_set(f.data, 0);
  for (int row = 0; row < 5; row++)
    assert_int_equal(gradrt_set_want(set, NULL, row, 1, rows), GRADRT_OK);
  snprintf(command, sizeof command, "rm -r '%s/p'", f.dir);
  assert_int_equal(system(command), 0);
  assert_int_equal(gradrt_set_want(set, NULL, 0, 5, rows), GRADRT_OK);
  for (int i = 0; i < 5 * 6 * 13; i++)
    assert_int_equal(((const unsigned char *)rows[0])[i],
                     pixel_of(i / (6 * 13), i % 13, i / 13 % 6));
  fixture_end(&f);
}

/* Records of other classes are dropped, and the files of those behind them move up. */
static void test_kept_classes_of_a_table_keep_their_pictures(void **state)
{
  static const Setting any = { 10.0 * BYTES, 2 };
  char text[ROWS * 32] = "file,kind\n";
  const void *rows[GRADRT_FIELDS_MAX];
  (void)state;
  Fixture f;
  start(&f);
  for (int row = 0; row < ROWS; row++)
    sprintf(text + strlen(text), "c%d/%02d.png,%d\n", row % 2, row, row % 5);
  fixture_write(&f, "t.csv", text);
  fixture_text(&f, 0, "labels", "t.csv");
  fixture_text(&f, 0, "only", "3\n1");
  f.field[1].columns = "kind";
  if (load(&f, &any) != GRADRT_OK)
    fail_msg("%s", f.said);
  const gradrt_set *set = gradrt_data_set(f.data, 0);
  assert_int_equal(set->n, 2 * ROWS / 5);
  assert_int_equal(gradrt_set_want(set, NULL, 0, set->n, rows), GRADRT_OK);
  for (int i = 0; i < 2 * ROWS / 5; i++) {
    int row = i / 2 * 5 + (i % 2 ? 3 : 1);
    assert_int_equal(((const int32_t *)rows[1])[i], i % 2 ? 0 : 1);
    for (int k = 0; k < BYTES; k++)
      if (((const unsigned char *)rows[0])[i * BYTES + k] != pixel_of(row, k % WIDTH, k / WIDTH))
        fail_msg("row %d is not picture %d", i, row);
  }
  fixture_end(&f);
}

/* Changes a byte in the middle of a file, or brings it back. */
static void damage(const Fixture *f, const char *name)
{
  char path[256];
  struct stat st;
  snprintf(path, sizeof path, "%s/%s", f->dir, name);
  int fd = open(path, O_RDWR), byte = 0;
  assert_true(fd >= 0 && fstat(fd, &st) == 0 && pread(fd, &byte, 1, st.st_size / 2) == 1);
  byte ^= 0x55;
  assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 2), 1);
  close(fd);
}

static void test_a_damaged_picture_is_told_to_who_asks(void **state)
{
  const void *rows[GRADRT_FIELDS_MAX];
  (void)state;
  Fixture f;
  start(&f);
  damage(&f, "p/c0/06.png");    /* row 3 */
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    assert_int_equal(load(&f, &settings[i]), GRADRT_OK);
    const gradrt_set *set = gradrt_data_set(f.data, 0);
    assert_int_equal(gradrt_set_ready(set, NULL, 0, 3, rows), 3);
    assert_int_equal(gradrt_set_ready(set, NULL, 0, 6, rows), 3);
    int kept = fixture_listen(&f);
    int code = gradrt_set_want(set, NULL, 0, 6, rows);
    const void *one = gradrt_set_row(&f.net, set, 0, 3);
    fixture_hear(&f, kept);
    assert_int_equal(code, GRADRT_DATA);
    assert_null(one);
    if (!strstr(f.said, "p/c0/06.png: cannot decode this PNG picture"))
      fail_msg("said: %s", f.said);
    damage(&f, "p/c0/06.png");  /* it is whole again */
    check_rows(set, NULL, 0, 6, &settings[i]);
    damage(&f, "p/c0/06.png");
  }
  fixture_end(&f);
}

static void test_faults_that_ends_show_are_told_when_loading(void **state)
{
  static const Setting any = { 1e9, 2 };
  char path[256], cut[4];
  (void)state;
  Fixture f;
  start(&f);
  write_picture(&f, "p/c1/05.png", 5, HEIGHT, WIDTH + 1);
  assert_int_equal(load(&f, &any), GRADRT_DATA);
  assert_non_null(strstr(f.said, "p/c1/05.png: a picture of 97 x 72 pixels does not fit"));
  write_picture(&f, "p/c1/05.png", 5, HEIGHT, WIDTH);
  snprintf(path, sizeof path, "%s/p/c0/08.png", f.dir);
  struct stat st;
  assert_true(stat(path, &st) == 0 && truncate(path, st.st_size - 4) == 0);
  assert_int_equal(load(&f, &any), GRADRT_DATA);
  assert_non_null(strstr(f.said, "p/c0/08.png: cannot decode this PNG picture"));
  write_picture(&f, "p/c0/08.png", 8, HEIGHT, WIDTH);
  FILE *behind = fopen(path, "ab");     /* bytes behind the end are none of the picture's */
  assert_true(behind && fwrite(memset(cut, 7, 4), 1, 4, behind) == 4 && fclose(behind) == 0);
  assert_int_equal(load(&f, &any), GRADRT_OK);
  check_rows(gradrt_data_set(f.data, 0), NULL, 0, ROWS, &any);
  fixture_end(&f);
}

static void test_names_and_files_are_recognised(void **state)
{
  static const Setting any = { 1e9, 2 };
  char first[16], command[256];
  (void)state;
  Fixture f;
  start(&f);
  assert_int_equal(load(&f, &any), GRADRT_OK);
  strcpy(first, gradrt_data_fingerprint(f.data));
  assert_int_equal(load(&f, &any), GRADRT_OK);
  assert_string_equal(first, gradrt_data_fingerprint(f.data));
  snprintf(command, sizeof command, "mv '%s/p/c0/38.png' '%s/p/c0/39.png'", f.dir, f.dir);
  assert_int_equal(system(command), 0);
  assert_int_equal(load(&f, &any), GRADRT_OK);
  assert_string_not_equal(first, gradrt_data_fingerprint(f.data));
  snprintf(command, sizeof command, "mv '%s/p/c0/39.png' '%s/p/c0/38.png'", f.dir, f.dir);
  assert_int_equal(system(command), 0);
  write_picture(&f, "p/c0/38.png", 37, HEIGHT, WIDTH);
  assert_int_equal(load(&f, &any), GRADRT_OK);
  assert_string_not_equal(first, gradrt_data_fingerprint(f.data));
  fixture_end(&f);
}

#endif

/* ---- blocks ---- */

static void test_a_dropped_row_leaves_its_neighbours(void **state)
{
  (void)state;
  gradrt_block b;
  assert_true(gradrt_block_open(&b, 5, 10000));
  assert_true(gradrt_block_drops(&b));
  for (int row = 0; row < 4; row++) {
    b.state[row] = 1;
    memset(b.at + row * 10000, row + 1, 10000);
  }
  gradrt_block_drop(&b, 1);
  gradrt_block_drop(&b, 3);
  assert_int_equal(b.state[1] + b.state[3], 0);
  for (int i = 0; i < 50000; i++) {
    int row = i / 10000;
    bool whole = row == 0 || row == 2;
    if (whole && b.at[i] != row + 1)
      fail_msg("byte %d of row %d has changed", i % 10000, row);
  }
  assert_int_equal(b.at[15000] + b.at[35000] + b.at[49999], 0);
  gradrt_block_close(&b);
  gradrt_block_close(&b);
  assert_true(gradrt_block_open(&b, 5, 100));
  assert_false(gradrt_block_drops(&b));
  gradrt_block_close(&b);
  assert_false(gradrt_block_open(&b, INT64_MAX, 1 << 20));
  gradrt_block_close(&b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#if defined GRADRT_PNG && defined GRADRT_JPEG
    cmocka_unit_test(test_any_order_and_budget_gives_the_rows),
    cmocka_unit_test(test_all_rows_stay_while_they_fit),
    cmocka_unit_test(test_rows_below_a_page_stay),
    cmocka_unit_test(test_kept_classes_of_a_table_keep_their_pictures),
    cmocka_unit_test(test_a_damaged_picture_is_told_to_who_asks),
    cmocka_unit_test(test_faults_that_ends_show_are_told_when_loading),
    cmocka_unit_test(test_names_and_files_are_recognised),
#endif
    cmocka_unit_test(test_a_dropped_row_leaves_its_neighbours),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
