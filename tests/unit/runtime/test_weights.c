/* Weights from files that others wrote, and files that lie about their sizes or are no files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>

#include "checkpoint_net.h"

#define TEST(f) cmocka_unit_test_teardown(f, files_clean)

/* ---- other people's files ---- */

typedef struct {
  const char *name, *header;
  int data;                     /* bytes of zeros */
  int code;
  const char *message;
} ForeignCase;

#define C "\"c1.weight\":{\"dtype\":\"F32\",\"shape\":[3,2,2],\"data_offsets\":[0,48]}"
#define B "\"c1.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[48,60]}"
#define F "\"f.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[60,84]}"
#define M "\"bn.running_mean\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[84,96]}"
#define N "\"bn.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[96,104]}"
#define BIG "9007199254740992"

static const ForeignCase foreign[] = {
  { "all there", "{" C "," B "," F "," M "," N "}", 104, 0, "" },
  { "blanks", " {" C "," B "," F "," M "," N "}", 104, 4, "expected '{'" },
  { "blanks inside and behind", "{\n\t" C " , " B "," F "," M "," N "\r\n}   ", 104, 0, "" },
  { "a line break behind", "{" C "," B "," F "," M "," N "}\n", 104, 4, "something after its end" },
  { "order of members", "{" N "," M "," F "," C "," B "}", 104, 0, "" },
  { "old PyTorch, no counter", "{" C "," B "," F "," M "}", 96, 0, "" },
  { "metadata",
    "{\"__metadata__\":{\"format\":\"pt\",\"x\":\"\\u00e9\\ud83d\\ude00\\n\"}," C "," B "," F "," M
    "}",
    96, 0, "" },
  { "extra tensor",
    "{" C "," B "," F "," M
    ",\"head\":{\"dtype\":\"U8\",\"shape\":[2,1],\"data_offsets\":[96,98]}}",
    98, 0, "not used: 'head' [2,1]" },
  { "missing", "{" C "}", 48, 4,
    "no 'c1.bias' of shape [3]; no 'f.weight' of shape [2,3]; no 'bn.running_mean' of shape [3]" },
  { "empty", "{}", 0, 4, "no 'c1.weight'" },
  { "no JSON", "", 0, 4, "expected '{'" },
  { "cut", "{" C "," B, 60, 4, "expected '}'" },
  { "list", "[]", 0, 4, "expected '{'" },
  { "duplicate", "{" C "," C "}", 48, 4, "listed twice" },
  { "two metadata", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, 4, "__metadata__ given twice" },
  { "metadata not text", "{\"__metadata__\":{\"a\":1}}", 0, 4, "expected '\"'" },
  { "metadata a list", "{\"__metadata__\":[]}", 0, 4, "expected '{'" },
  { "metadata twice the key", "{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0, 4,
    "'a' is listed twice" },
  { "half a surrogate", "{\"__metadata__\":{\"a\":\"\\ud83d\"}}", 0, 4, "a wrong escape" },
  { "low surrogate", "{\"__metadata__\":{\"a\":\"\\ude00\"}}", 0, 4, "a wrong escape" },
  { "NUL", "{\"__metadata__\":{\"a\":\"\\u0000\"}}", 0, 4, "a wrong escape" },
  { "raw control character", "{\"__metadata__\":{\"a\":\"\t\"}}", 0, 4, "a control character" },
  { "not UTF-8", "{\"__metadata__\":{\"a\":\"\xC3(\"}}", 0, 4, "not UTF-8" },
  { "overlong UTF-8", "{\"__metadata__\":{\"a\":\"\xC0\xAF\"}}", 0, 4, "not UTF-8" },
  { "some of our keys", "{\"__metadata__\":{\"gradc.format\":\"1\"}," C "}", 48, 4,
    "it lacks 'gradc.version'" },
  { "trailing comma", "{" C ",}", 48, 4, "expected '\"'" },
  { "unknown member",
    "{\"c1.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12],\"x\":1}}", 12, 4,
    "an unknown member" },
  { "member twice", "{\"c1.bias\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"data_offsets\":[0,12]}}",
    12, 4, "a member given twice" },
  { "member missing", "{\"c1.bias\":{\"dtype\":\"F32\",\"data_offsets\":[0,12]}}", 12, 4,
    "lacks its type, shape or place" },
  { "negative", "{\"c1.bias\":{\"dtype\":\"F32\",\"shape\":[-3],\"data_offsets\":[0,12]}}", 12, 4,
    "expected a whole number" },
  { "fraction", "{\"c1.bias\":{\"dtype\":\"F32\",\"shape\":[3.0],\"data_offsets\":[0,12]}}", 12, 4,
    "expected ']'" },
  { "exponent", "{\"c1.bias\":{\"dtype\":\"F32\",\"shape\":[3e0],\"data_offsets\":[0,12]}}", 12, 4,
    "expected ']'" },
  { "leading zero", "{\"c1.bias\":{\"dtype\":\"F32\",\"shape\":[03],\"data_offsets\":[0,12]}}", 12,
    4, "expected a whole number" },
  { "nested", "{\"c1.bias\":{\"dtype\":\"F32\",\"shape\":[[3]],\"data_offsets\":[0,12]}}", 12, 4,
    "expected a whole number" },
  { "nine dimensions",
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1, 4,
    "more than 8" },
  { "hole", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}", 2, 4,
    "expected it at 0" },
  { "overlap",
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
    "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
    3, 4, "expected it at 2" },
  { "same place",
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
    "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
    2, 4, "expected it at 2" },
  { "reversed", "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,0]}}", 2, 4,
    "expected it at 0" },
  { "data left over", "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 3, 4,
    "but it has 3" },
  { "data missing", "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 1, 4,
    "but it has 1" },
  { "empty tensor",
    "{\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[0,0]}," C "," B "," F "," M "}",
    96, 0, "'e' [0,7]" },
  { "empty tensor at a wrong place",
    "{\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[8,8]}," C "}", 48, 4,
    "'e' lies at" },
  { "zero times huge",
    "{\"e\":{\"dtype\":\"F32\",\"shape\":[0," BIG "," BIG "],\"data_offsets\":[0,0]}," C "}", 48, 4,
    "no 'c1.bias'" },
  { "2^53 + 1", "{\"e\":{\"dtype\":\"F32\",\"shape\":[9007199254740993],\"data_offsets\":[0,0]}}",
    0, 4, "too large" },
  { "2^63", "{\"e\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,0]}}", 0,
    4, "too large" },
  { "product of 2^64",
    "{\"e\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, 4,
    "0 bytes, which" },
  { "product times size",
    "{\"e\":{\"dtype\":\"F64\",\"shape\":[2305843009213693],\"data_offsets\":[0,8]}}", 8, 4,
    "8 bytes, which" },
  { "integers", "{\"c1.bias\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[0,24]}}", 24, 4,
    "'c1.bias' has type I64" },
};

static void test_foreign_files(void **state)
{
  (void)state;
  static const unsigned char zeros[256];
  gradrt_net net = small_net(GRADRT_F32, own);
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
    const ForeignCase *c = &foreign[i];
    forge(c->name, c->header, zeros, (size_t)c->data);
    expect(&net, c->name, WEIGHTS, c->code, c->message);
    if (c->code == 0) {
      expect(&net, c->name, RUN, GRADRT_CHECKPOINT, "without a run's position");
    }
  }
}

/* The values of one tensor of three, in all types that are read. */
static void test_types_are_converted(void **state)
{
  (void)state;
  static const struct {
    const char *dtype;
    int size;
    unsigned char bytes[24];
    float want[3];
  } cases[] = {
    { "F32", 4, { 0, 0, 128, 63, 0, 0, 0, 128, 1, 0, 0, 0 }, { 1, -0.0f, 0x1p-149f } },
    { "F64",
      8,
      { 0, 0, 0, 0, 0, 0, 248, 63, 0, 0, 0, 0, 0, 0, 0, 192, 1, 0, 0, 0, 0, 0, 240, 63 },
      { 1.5f, -2, 1 } },
    { "F16", 2, { 0, 0x3C, 1, 0, 0xFF, 0xFB }, { 1, 0x1p-24f, -65504 } },
    { "BF16", 2, { 0x80, 0x3F, 0, 0xC0, 0x80, 0 }, { 1, -2, 0x1p-126f } },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    gradrt_net net = small_net(GRADRT_F32, own);
    char header[256];
    net.tensor = &own[1];
    net.ntensor = 1;
    snprintf(header, sizeof header,
             "{\"c1.bias\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]}}",
             cases[i].dtype, 3 * cases[i].size);
    forge("a", header, cases[i].bytes, 3 * (size_t)cases[i].size);
    expect(&net, "a", WEIGHTS, GRADRT_OK, i ? "converted to F32" : "");
    assert_memory_equal(block + own[1].offset, cases[i].want, sizeof cases[i].want);
  }
  gradrt_net net = small_net(GRADRT_F32, own);
  net.tensor = &own[1];
  net.ntensor = 1;
  static const unsigned char large[24] = { 0, 0, 0, 0, 0, 0, 0, 0x7F };        /* 2^1009 as F64 */
  forge("a", "{\"c1.bias\":{\"dtype\":\"F64\",\"shape\":[3],\"data_offsets\":[0,24]}}", large, 24);
  expect(&net, "a", WEIGHTS, GRADRT_CHECKPOINT, "not a finite f32");
  static const unsigned char half[6] = { 0, 0x7C };
  forge("a", "{\"c1.bias\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]}}", half, 6);
  expect(&net, "a", WEIGHTS, GRADRT_CHECKPOINT, "holds inf at [0]");
}

/* ---- lies about sizes ---- */

static void test_header_lengths_that_lie(void **state)
{
  (void)state;
  static const uint64_t lies[] = { UINT64_MAX, UINT64_C(1) << 63, INT64_MAX,
                                   100000001,  100000000,         1000,
                                   93 };
  gradrt_net net = small_net(GRADRT_F32, own);
  unsigned char file[100] = "........{}";
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    for (int k = 0; k < 8; k++) {
      file[k] = (unsigned char)(lies[i] >> (8 * k));
    }
    files_write("a", file, sizeof file);
    expect(&net, "a", RUN, GRADRT_CHECKPOINT, "not a safetensors file");
  }
  memcpy(file, "PK\3\4....", 8);
  files_write("a.pt", file, sizeof file);
  expect(&net, "a.pt", WEIGHTS, GRADRT_CHECKPOINT, "PyTorch pickle");
  expect(&net, "a.pt", WEIGHTS, GRADRT_CHECKPOINT, "'gradc import' takes a .npz");
}

/* Many of everything: refused for what is wrong with them, soon. */
static void test_large_headers(void **state)
{
  (void)state;
  enum { LARGE = 900000 };
  gradrt_net net = small_net(GRADRT_F32, own);
  char *header = malloc(LARGE + 64), *at = header;
  memset(header, ' ', LARGE);
  header[0] = '{';
  strcpy(header + LARGE, "}");
  forge("a", header, "", 0);
  expect(&net, "a", WEIGHTS, GRADRT_CHECKPOINT, "no 'c1.weight'");
  memset(header, '{', LARGE);
  forge("a", header, "", 0);
  expect(&net, "a", WEIGHTS, GRADRT_CHECKPOINT, "expected '\"'");
  *at++ = '{';
  for (int i = 0; at - header < LARGE - 100; i++) {
    at += sprintf(at, "\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},", i);
  }
  strcpy(at - 1, "}");
  forge("a", header, "", 0);
  expect(&net, "a", WEIGHTS, GRADRT_CHECKPOINT, "no 'c1.weight'");
  at = header + sprintf(header, "{\"__metadata__\":{");
  for (int i = 0; i < 70000; i++) {
    at += sprintf(at, "\"%d\":\"\",", i);
  }
  strcpy(at - 1, "}}");
  forge("a", header, "", 0);
  expect(&net, "a", WEIGHTS, GRADRT_LIMIT, "too many entries");
  char *name = header + sprintf(header, "{\"");
  memset(name, 'x', 257);
  strcpy(name + 257, "\":{}}");
  forge("a", header, "", 0);
  expect(&net, "a", WEIGHTS, GRADRT_CHECKPOINT, "a name of more than 256 bytes");
  free(header);
}

static void test_what_is_no_file(void **state)
{
  (void)state;
  gradrt_net net = small_net(GRADRT_F32, own);
  assert_int_equal(mkdir("folder", 0777), 0);
  assert_int_equal(mkfifo("fifo", 0666), 0);
  assert_int_equal(symlink("loop", "loop"), 0);
  files_write("empty", "", 0);
  files_write("seven", "1234567", 7);
  expect(&net, "folder", RUN, GRADRT_CHECKPOINT, "it is a folder");
  expect(&net, "fifo", RUN, GRADRT_CHECKPOINT, "not a regular file");
  expect(&net, "/dev/zero", RUN, GRADRT_CHECKPOINT, "not a regular file");
  expect(&net, "empty", RUN, GRADRT_CHECKPOINT, "only 0 bytes");
  expect(&net, "seven", RUN, GRADRT_CHECKPOINT, "only 7 bytes");
  expect(&net, "loop", WEIGHTS, GRADRT_IO, strerror(ELOOP));
  expect(&net, "nothing", RUN, GRADRT_IO, strerror(ENOENT));
}

int main(void)
{
  static const struct CMUnitTest tests[] = {
    TEST(test_foreign_files),
    TEST(test_types_are_converted),
    TEST(test_header_lengths_that_lie),
    TEST(test_large_headers),
    TEST(test_what_is_no_file),
  };
  return cmocka_run_group_tests(tests, files_enter, files_leave);
}
