/* Tables of text: what cells mean, which columns feed a field, and what is said about cells that
 * cannot be used. */
#include "fixture.h"

#include <math.h>

#define SHAPE(...) (const int64_t[]){ __VA_ARGS__, 0 }

/* A table "t.csv" with these bytes; the fields come from the caller. */
static void start(Fixture *f, const char *text)
{
  fixture_start(f, "csv");
  fixture_text(f, 0, "path", "t.csv");
  fixture_write(f, "t.csv", text);
}

static void start_numbers(Fixture *f, const char *text, int64_t columns)
{
  start(f, text);
  fixture_field(f, "x", GRADRT_F64, 0, NULL, SHAPE(columns));
}

typedef struct { const char *name, *text; double want[6]; int64_t rows; } Good;

static void test_spellings_of_a_table(void **state)
{
  (void)state;
  static const Good cases[] = {
    { "plain", "a,b\n1,2\n3,4\n", { 1, 2, 3, 4 }, 2 },
    { "no last newline", "a,b\n1,2\n3,4", { 1, 2, 3, 4 }, 2 },
    { "CR LF", "a,b\r\n1,2\r\n3,4\r\n", { 1, 2, 3, 4 }, 2 },
    { "CR at the end", "a,b\n1,2\n3,4\r", { 1, 2, 3, 4 }, 2 },
    { "quotes and CR at the end", "a,b\n1,2\n3,\"4\"\r", { 1, 2, 3, 4 }, 2 },
    { "byte order mark",
      "\xEF\xBB\xBF"
      "a,b\n1,2\n",
      { 1, 2 },
      1 },
    { "empty lines", "\n\na,b\n\n1,2\r\n\n3,4\n\n\n", { 1, 2, 3, 4 }, 2 },
    { "quotes", "\"a\",\"b\"\n\"1\",\"2\"\n3,\"4\"\n", { 1, 2, 3, 4 }, 2 },
    { "quoted header over lines", "\"a\n\"\"x\"\"\",b\n1,2\n", { 1, 2 }, 1 },
    { "blanks", " a , b \n 1 ,\t2 \n\"3\" , \"4\"\n", { 1, 2, 3, 4 }, 2 },
    { "signs and powers", "a,b\n-1.5e3,+.25\n1e-3,5.\n", { -1500, 0.25, 0.001, 5 }, 2 },
    { "long numbers",
      "a,b\n0.1000000000000000055511151231257827,123456789012345678901234567890\n1e22,1e-22\n",
      { 0.1, 123456789012345678901234567890.0, 1e22, 1e-22 },
      2 },
    { "hard rounding",
      "a,b\n2.2250738585072011e-308,9007199254740993\n",
      { 2.2250738585072011e-308, 9007199254740992.0 },
      1 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    start_numbers(&f, cases[i].text, 2);
    fixture_loads(&f);
    assert_int_equal(gradrt_data_set(f.data, 0)->n, cases[i].rows);
    for (int64_t k = 0; k < 2 * cases[i].rows; k++)
      if (fixture_at(&f, 0, 0, k) != cases[i].want[k])
        fail_msg("%s: element %d is %.17g", cases[i].name, (int)k, fixture_at(&f, 0, 0, k));
    fixture_end(&f);
  }
}

static void test_cells_are_data_not_formulas(void **state)
{
  (void)state;
  Fixture f;
  start(&f, "a,b\n=cmd(),1\n@x,2\n");
  fixture_field(&f, "x", GRADRT_F32, 0, "b", SHAPE(1));
  fixture_field(&f, "y", GRADRT_I32, 2, "a", NULL);
  fixture_loads(&f);
  assert_true(fixture_at(&f, 0, 1, 0) == 0 && fixture_at(&f, 0, 1, 1) == 1);
  fixture_end(&f);
}

static void test_other_separators(void **state)
{
  (void)state;
  static const struct { const char *separator, *text;
  } cases[] = { { ";", "a;b\n1;2\n" },
                { "tab", "a\tb\n1\t2\n" },
                { "\\t", "a\tb\n1\t2\n" },
                { "|", "a|b\n1|2\n" },
                { " ", "a b\n1 2\n" } };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    start_numbers(&f, cases[i].text, 2);
    fixture_text(&f, 0, "separator", cases[i].separator);
    fixture_loads(&f);
    assert_true(fixture_at(&f, 0, 0, 0) == 1 && fixture_at(&f, 0, 0, 1) == 2);
    fixture_end(&f);
  }
  Fixture f;
  start_numbers(&f, "a,b\n1,2\n", 2);
  fixture_text(&f, 0, "separator", "::");
  fixture_refused(&f, GRADRT_DATA, "a separator is one character");
  fixture_end(&f);
}

typedef struct { const char *columns; int64_t n; double want[4]; } Choice;

static void test_columns_by_name_number_and_range(void **state)
{
  (void)state;
  static const Choice cases[] = {
    { "b", 1, { 2 } },           { "3", 1, { 4 } },       { "a..c", 3, { 1, 2, 3 } },
    { "1..2", 2, { 2, 3 } },     { "d, a", 2, { 4, 1 } }, { "a .. b , d", 3, { 1, 2, 4 } },
    { NULL, 4, { 1, 2, 3, 4 } },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    start(&f, "a,b,c,d\n1,2,3,4\n");
    fixture_field(&f, "x", GRADRT_F32, 0, cases[i].columns, SHAPE(cases[i].n));
    fixture_loads(&f);
    for (int k = 0; k < cases[i].n; k++)
      assert_true(fixture_at(&f, 0, 0, k) == cases[i].want[k]);
    fixture_end(&f);
  }
}

static void test_fields_without_columns_take_the_next_ones(void **state)
{
  (void)state;
  Fixture f;
  start(&f, "5,6,1\n7,8,0\n");
  fixture_number(&f, 0, "header", 0);
  fixture_field(&f, "x", GRADRT_F32, 0, NULL, SHAPE(2));
  fixture_field(&f, "y", GRADRT_I32, 2, NULL, NULL);
  fixture_loads(&f);
  assert_true(fixture_at(&f, 0, 0, 3) == 8 && fixture_at(&f, 0, 1, 0) == 1);
  fixture_end(&f);
  start(&f, "y,p,q\n1,5,6\n0,7,8\n");           /* a column of the field's own name goes first */
  fixture_field(&f, "x", GRADRT_F32, 0, "p..q", SHAPE(2));
  fixture_field(&f, "y", GRADRT_I32, 2, NULL, NULL);
  fixture_loads(&f);
  assert_true(fixture_at(&f, 0, 0, 3) == 8 && fixture_at(&f, 0, 1, 0) == 1);
  fixture_end(&f);
}

static void test_words_become_ones(void **state)
{
  (void)state;
  static const char table[] = "w,n\nred,1\ngreen,2\nred,3\n\"a, b\",4\n";
  static const double sorted[] = { 0, 0, 1, 1, 0, 1, 0, 2, 0, 0, 1, 3, 1, 0, 0, 4 };
  static const double given[] = { 1, 0, 0, 1, 0, 1, 0, 2, 1, 0, 0, 3, 0, 0, 1, 4 };
  for (int k = 0; k < 2; k++) {
    Fixture f;
    start(&f, table);
    fixture_field(&f, "x", GRADRT_F32, 0, k ? "w:onehot(red|green|a, b), n" : "w:onehot,n",
                  SHAPE(4));
    fixture_loads(&f);
    for (int i = 0; i < 16; i++)
      assert_true(fixture_at(&f, 0, 0, i) == (k ? given : sorted)[i]);
    fixture_end(&f);
  }
}

static void test_labels_by_number_word_and_name(void **state)
{
  (void)state;
  static const char *const names[] = { "no", "yes", "maybe" };
  static const char *const digits[] = { "1", "2", "3" };
  static const struct {
    const char *text;
    int64_t classes;
    const char *const *names;
    int want[3];
  } cases[] = {
    { "y\n2\n0\n1.0\n", 3, NULL, { 2, 0, 1 } },
    { "y\nyes\nmaybe\nno\n", 3, NULL, { 2, 0, 1 } },
    { "y\nyes\nmaybe\nno\n", 3, names, { 1, 2, 0 } },
    { "y\nyes\nno\nyes\n", 3, names, { 1, 0, 1 } },
    { "y\n3\n1\n2\n", 3, digits, { 2, 0, 1 } },
    { "y\n2\n0\n1\n", 3, names, { 2, 0, 1 } },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    start(&f, cases[i].text);
    fixture_field(&f, "y", GRADRT_U8, cases[i].classes, "y", NULL)->class_name = cases[i].names;
    fixture_loads(&f);
    for (int k = 0; k < 3; k++)
      assert_int_equal((int)fixture_at(&f, 0, 0, k), cases[i].want[k]);
    fixture_end(&f);
  }
}

static void test_missing_cells(void **state)
{
  (void)state;
  static const char table[] = "a,b\n1,2\n,4\n5,NA\nnan,?\n9,6\n";
  Fixture f;
  start_numbers(&f, table, 2);
  fixture_refused(&f, GRADRT_DATA, "t.csv:3:1: a missing value (\"\") in column \"a\", record 2");
  assert_non_null(strstr(f.said, "2 records have this problem: lines 3 and 5"));
  assert_non_null(strstr(f.said, "missing=mean fills"));
  fixture_text(&f, 0, "missing", "mean");
  fixture_loads(&f);
  assert_int_equal(gradrt_data_set(f.data, 0)->n, 5);
  assert_true(fixture_at(&f, 0, 0, 2) == 5 && fixture_at(&f, 0, 0, 5) == 4 &&
              fixture_at(&f, 0, 0, 7) == 4);
  f.prop[0][1].text = "skip";
  fixture_loads(&f);
  assert_int_equal(gradrt_data_set(f.data, 0)->n, 2);
  assert_true(fixture_at(&f, 0, 0, 2) == 9 && fixture_at(&f, 0, 0, 3) == 6);
  f.prop[0][1].text = "guess";
  fixture_refused(&f, GRADRT_DATA, "missing is error, mean or skip");
  fixture_end(&f);
  start_numbers(&f, "a\n1\n\n3\n\n\n",
                1); /* in one column an empty line is an empty cell, but not at the end */
  fixture_text(&f, 0, "missing", "mean");
  fixture_loads(&f);
  assert_int_equal(gradrt_data_set(f.data, 0)->n, 3);
  assert_true(fixture_at(&f, 0, 0, 1) == 2);
  fixture_end(&f);
}

typedef struct { const char *name, *text, *said, *note; } Bad;

static void test_bad_tables_are_explained(void **state)
{
  (void)state;
  static const Bad cases[] = {
    { "ragged", "a,b\n1,2\n3,4,5\n6,7\n8\n",
      "t.csv:3:1: record 2 has 3 cells, but the header has 2", "lines 3 and 5" },
    { "open quote", "a,b\n1,2\n3,\"4\n5,6\n",
      "t.csv:3:3: the quote that opens here is never closed", "" },
    { "text after quote", "a,b\n\"1\"2,3\n", "t.csv:2:4: text follows a closing quote", "" },
    { "word", "a,b\n1,2\n3,four\n", "t.csv:3:3: \"four\" is not a number: column \"b\", record 2",
      ":onehot" },
    { "decimal comma", "a,b\n1,\"2,5\"\n", "t.csv:2:3: \"2,5\" is not a number", "1.5, not 1,5" },
    { "hexadecimal", "a,b\n1,0x10\n", "\"0x10\" is not a number", "" },
    { "infinity", "a,b\n1,inf\n", "\"inf\" is not a number", "" },
    { "overflow", "a,b\n1,1e999\n", "\"1e999\" is not a number", "" },
    { "two points", "a,b\n1,1.2.3\n", "\"1.2.3\" is not a number", "" },
    { "lone sign", "a,b\n1,-\n", "\"-\" is not a number", "" },
    { "half a power", "a,b\n1,1e\n", "\"1e\" is not a number", "" },
    { "empty", "", "the file is empty", "" },
    { "only a header", "a,b\n", "there are no rows", "" },
    { "line in a quote", "a,b\n\"1\n\",2\nx,3\n", "t.csv:2:1: \"1?\" is not a number", "" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    start_numbers(&f, cases[i].text, 2);
    fixture_refused(&f, GRADRT_DATA, cases[i].said);
    if (!strstr(f.said, cases[i].note))
      fail_msg("%s: no \"%s\" in:\n%s", cases[i].name, cases[i].note, f.said);
    fixture_end(&f);
  }
}

static void test_bad_columns_are_explained(void **state)
{
  (void)state;
  static const struct { const char *text, *columns, *said, *note;
  } cases[] = {
    { "age,height\n1,2\n", "age, heigth", "a.nn:3: field 'x': ", "did you mean \"height\"?" },
    { "age,height\n1,2\n", "age, 7", "has no column \"7\"", "its columns are: age, height" },
    { "age;height\n1;2\n", "age, height", "has no column \"age\"", "write separator=\";\"" },
    { "1,2\n3,4\n", "age, height", "has no column \"age\"", "write header=false" },
    { "a,a\n1,2\n", "a, 1", "has more than one column \"a\"", "use their numbers" },
    { "a,b\n1,2\n", "b..a", "the range ends before it begins", "" },
    { "a,b\n1,2\n", "a,,b", "a name is missing", "" },
    { "a,b\n1,2\n", "a", "field 'x' has 2 numbers, but its columns give 1", "" },
    { "a,b\nu,2\nv,3\nw,4\n", "a:onehot", "field 'x' has 2 numbers, but its columns give 3",
      "gives 3: u, v, w" },
    { "a,b\nu,2\nv,3\nw,4\n", "a:onehot(u|v)", "t.csv:4:1: \"w\" is none of the known categories",
      "the categories are: u, v" },
    { "a,b\nu,2\n", "a:onehot(", "after a column stands :onehot", "" },
    { "a\n1\n", NULL, "needs 2 columns from number 0 on", "" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    start(&f, cases[i].text);
    fixture_field(&f, "x", GRADRT_F32, 0, cases[i].columns, SHAPE(2));
    fixture_refused(&f, GRADRT_DATA, cases[i].said);
    if (!strstr(f.said, cases[i].note))
      fail_msg("no \"%s\" in:\n%s", cases[i].note, f.said);
    fixture_end(&f);
  }
}

static void test_bad_labels_are_explained(void **state)
{
  (void)state;
  static const char *const names[] = { "no", "yes" };
  static const struct {
    const char *text;
    int64_t classes;
    const char *const *names;
    const char *said, *note;
  } cases[] = {
    { "id,quality\n0,1\n1,10\n2,-1\n3,9\n", 10, NULL,
      "t.csv:3:3: label 10 is outside 0..9: column \"quality\", record 2",
      "2 records have this problem: lines 3 and 4" },
    { "id,quality\n0,1.5\n", 10, NULL, "t.csv:2:3: label 1.5 is outside 0..9", "\"quality\"" },
    { "id,quality\n0,yes\n0,perhaps\n", 2, names,
      "t.csv:3:3: \"perhaps\" is none of the known categories", "the categories are: no, yes" },
    { "id,quality\n0,a\n0,b\n0,c\n", 2, NULL, "has 2 classes, but column \"quality\" of",
      "they are: a, b, c" },
    { "id,quality\n0,a\n0,b\n", 3, NULL, "has 2 different values", "names=\"a,b,c\" of label" },
    { "id,quality\n0,\n", 3, NULL, "a missing value", "" },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Fixture f;
    start(&f, cases[i].text);
    fixture_field(&f, "y", GRADRT_I32, cases[i].classes, "quality", NULL)->class_name =
        cases[i].names;
    fixture_refused(&f, GRADRT_DATA, cases[i].said);
    if (!strstr(f.said, cases[i].note))
      fail_msg("no \"%s\" in:\n%s", cases[i].note, f.said);
    fixture_end(&f);
  }
}

static void test_bytes_that_are_no_text(void **state)
{
  (void)state;
  Fixture f;
  start_numbers(&f, "", 2);
  fixture_file(&f, "t.csv", "a,b\n1,\0002\n", 9);
  fixture_refused(&f, GRADRT_DATA, "t.csv:2:3: a NUL byte: this is not a text table");
  fixture_file(&f, "t.csv", "\xFF\xFE" "a\0,\0b\0\n", 9);
  fixture_refused(&f, GRADRT_DATA, "it is UTF-16 text");
  fixture_file(&f, "t.csv", "\x1F\x8B\x08\0", 4);
  fixture_refused(&f, GRADRT_DATA, "unpack it with gunzip");
  fixture_end(&f);
}

/* 2^20 cells in one record, and a cell of 2 MiB: counted or refused, never stored. */
static void test_huge_records(void **state)
{
  (void)state;
  enum { CELLS = 1 << 20 };
  Fixture f;
  char *text = malloc(2 * CELLS + 32);
  size_t n = (size_t)sprintf(text, "a,b\n1,2\n");
  memset(text + n, ',', CELLS - 1);
  memcpy(text + n + CELLS - 1, "\n3,4\n", 6);
  start_numbers(&f, text, 2);
  fixture_refused(&f, GRADRT_DATA, "t.csv:3:1: record 2 has 1048576 cells, but the header has 2");
  n = (size_t)sprintf(text, "a,b\n\"");
  memset(text + n, '1', 2 * CELLS);
  text[n + 2 * CELLS] = 0;
  fixture_write(&f, "t.csv", text);
  fixture_refused(&f, GRADRT_DATA, "longer than 1 MiB");
  text[4] = '1';
  fixture_write(&f, "t.csv", text);
  fixture_refused(&f, GRADRT_DATA, "longer than 1 MiB");
  free(text);
  fixture_end(&f);
}

/* A second table uses the words and means of the training table. */
static void test_other_tables_follow_the_training_table(void **state)
{
  (void)state;
  Fixture f;
  gradrt_train train = { .train_split = 1 };
  start(&f, "n,w\n,c\n8,a\n");
  f.net.training = &train;
  fixture_text(&f, 0, "missing", "mean");
  f.source[1] = (gradrt_source){ .kind = "csv", .prop = f.prop[1], .place = "a.nn:4" };
  fixture_text(&f, 1, "path", "train.csv");
  fixture_write(&f, "train.csv", "w,n\na,1\nb,2\nc,3\n");
  f.split[1] = (gradrt_split){ "train", 1, GRADRT_SPLIT_ALL, 0 };
  f.net.nsource = f.net.nsplit = 2;
  fixture_field(&f, "x", GRADRT_F32, 0, "n, w:onehot", SHAPE(4));
  fixture_field(&f, "y", GRADRT_I32, 3, "w", NULL);
  fixture_loads(&f);
  static const double want[] = { 2, 0, 0, 1, 8, 1, 0, 0 };
  for (int i = 0; i < 8; i++)
    assert_true(fixture_at(&f, 0, 0, i) == want[i]);
  assert_true(fixture_at(&f, 0, 1, 0) == 2 && fixture_at(&f, 0, 1, 1) == 0);
  fixture_write(&f, "t.csv", "n,w\n1,a\n2,d\n");
  fixture_refused(&f, GRADRT_DATA, "t.csv:3:3: \"d\" is none of the known categories");
  assert_non_null(strstr(f.said, "the categories are: a, b, c"));
  fixture_end(&f);
}

static void test_damaged_tables_never_crash(void **state)
{
  (void)state;
  static const char table[] = "a,\"b\"\"c\",w\r\n1,2.5e3,red\n\"3\", -4 ,\"gr\"\"een\"\n,5,red\n";
  static const char bytes[] = ",\"\n\r.e-;0 \t\xFF\x80xN";
  gradrt_stream s;
  Fixture f;
  gradrt_stream_start(&s, 2, 99, 0);
  start(&f, table);
  fixture_text(&f, 0, "missing", "mean");
  fixture_field(&f, "x", GRADRT_F32, 0, "0..1, w:onehot", SHAPE(4));
  fixture_loads(&f);
  for (int i = 0; i < 5000; i++) {
    char damaged[sizeof table];
    memcpy(damaged, table, sizeof table);
    for (uint32_t k = gradrt_stream_u32(&s) % 4; k < 4; k++)
      damaged[gradrt_stream_u32(&s) % (sizeof table - 1)] =
          bytes[gradrt_stream_u32(&s) % (sizeof bytes - 1)];
    fixture_file(&f, "t.csv", damaged, sizeof table - 1 - gradrt_stream_u32(&s) % 3);
    int code = fixture_load(&f);
    if (code != GRADRT_OK && (code != GRADRT_DATA || !strstr(f.said, "error: ")))
      fail_msg("code %d and:\n%s", code, f.said);
  }
  fixture_end(&f);
}

static void test_housing(void **state)
{
  (void)state;
  const char *real = getenv("GRADC_TEST_DATA");
  if (!real)
    skip();
  char path[512];
  snprintf(path, sizeof path, "%s/housing/housing.csv", real);
  Fixture f;
  fixture_start(&f, "csv");
  f.root = real;
  fixture_text(&f, 0, "path", path);
  fixture_field(&f, "x", GRADRT_F32, 0, "longitude..median_income, ocean_proximity:onehot",
                SHAPE(13));
  fixture_field(&f, "y", GRADRT_F32, 0, "median_house_value", SHAPE(1));
  fixture_refused(
      &f, GRADRT_DATA,
      "housing.csv:292:27: a missing value (\"\") in column \"total_bedrooms\", record 291");
  assert_non_null(strstr(f.said, "207 records have this problem: lines 292, 343, 540, .."));
  fixture_text(&f, 0, "missing", "skip");
  fixture_loads(&f);
  assert_int_equal(gradrt_data_set(f.data, 0)->n, 20640 - 207);
  f.prop[0][1].text = "mean";
  fixture_loads(&f);
  assert_int_equal(gradrt_data_set(f.data, 0)->n, 20640);
  assert_true(fabs(fixture_at(&f, 0, 0, 0) + 122.23) < 1e-5 && fixture_at(&f, 0, 1, 0) == 452600);
  assert_true(fixture_at(&f, 0, 0, 11) == 1);   /* NEAR BAY is the fourth of five */
  assert_true(fabs(fixture_at(&f, 0, 0, 290 * 13 + 4) - 537.8705525) < 1e-3);
  fixture_end(&f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_spellings_of_a_table),
    cmocka_unit_test(test_cells_are_data_not_formulas),
    cmocka_unit_test(test_other_separators),
    cmocka_unit_test(test_columns_by_name_number_and_range),
    cmocka_unit_test(test_fields_without_columns_take_the_next_ones),
    cmocka_unit_test(test_words_become_ones),
    cmocka_unit_test(test_labels_by_number_word_and_name),
    cmocka_unit_test(test_missing_cells),
    cmocka_unit_test(test_bad_tables_are_explained),
    cmocka_unit_test(test_bad_columns_are_explained),
    cmocka_unit_test(test_bad_labels_are_explained),
    cmocka_unit_test(test_bytes_that_are_no_text),
    cmocka_unit_test(test_huge_records),
    cmocka_unit_test(test_other_tables_follow_the_training_table),
    cmocka_unit_test(test_damaged_tables_never_crash),
    cmocka_unit_test(test_housing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
