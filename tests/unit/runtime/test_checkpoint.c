/* Checkpoints: what is written comes back bit for bit; what is damaged, forged or foreign is
 * refused before it changes anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "checkpoint_net.h"
#include "data.h"
#include "run.h"

#define TEST(f) cmocka_unit_test_teardown(f, files_clean)

/* ---- round trips ---- */

static void assert_position(const gradrt_position *a, const gradrt_position *b)
{
  assert_int_equal(a->epoch, b->epoch);
  assert_int_equal(a->step, b->step);
  assert_int_equal(a->batch_in_epoch, b->batch_in_epoch);
  assert_memory_equal(&a->best, &b->best, sizeof a->best);
  assert_int_equal(a->best_epoch, b->best_epoch);
  assert_int_equal(a->stalled, b->stalled);
  assert_true(a->seed == b->seed);
  assert_memory_equal(&a->loss_sum, &b->loss_sum, sizeof a->loss_sum);
  assert_memory_equal(&a->seen, &b->seen, sizeof a->seen);
  assert_string_equal(a->data_fingerprint, b->data_fingerprint);
  assert_memory_equal(a->torch.mt, b->torch.mt, sizeof a->torch.mt);
  assert_int_equal(a->torch.at, b->torch.at);
  assert_int_equal(a->torch.has_normal, b->torch.has_normal);
  assert_memory_equal(&a->torch.next_normal, &b->torch.next_normal, sizeof(double));
  assert_memory_equal(a->counters, b->counters, sizeof a->counters);
}

static void round_trip(gradrt_dtype real, const gradrt_position *p)
{
  gradrt_net net = small_net(real, own);
  gradrt_position back;
  fill_state(&net, block, 1);
  assert_int_equal(gradrt_checkpoint_write(&net, "a", block, p), GRADRT_OK);
  memset(&back, 0x5A, sizeof back);
  memcpy(before, block, NET_BYTES);
  fill_state(&net, block, 7);
  assert_int_equal(gradrt_checkpoint_read(&net, "a", block, &back), GRADRT_OK);
  assert_memory_equal(block, before, NET_BYTES);
  assert_position(&back, p);
}

static void test_everything_comes_back(void **state)
{
  (void)state;
  gradrt_position p = some_position();
  round_trip(GRADRT_F32, &p);
  round_trip(GRADRT_F64, &p);
  p.best = INFINITY;
  p.loss_sum = -0x1.fffffffffffffp+1023;
  p.data_fingerprint = "";
  p.torch.has_normal = false;
  p.torch.at = 624;
  p.seed = 0;
  round_trip(GRADRT_F32, &p);
  p.best = -INFINITY;
  p.loss_sum = -0.0;
  p.seen = 0x1p-1074;
  p.best_epoch = -1;
  round_trip(GRADRT_F64, &p);
}

/* Writes names of classes, and reads them for a label that has none; whether they are there. */
static bool names_come_back(const char *const *name, int64_t n, int64_t wanted, gradrt_named *to)
{
  gradrt_net net = small_net(GRADRT_F32, own), bare;
  gradrt_field field = { .name = "y", .is_label = true, .classes = n, .class_name = name };
  gradrt_position p = some_position();
  net.nfield = 1;
  net.field = &field;
  fill_state(&net, block, 1);
  assert_int_equal(gradrt_checkpoint_write(&net, "a", block, &p), GRADRT_OK);
  assert_int_equal(gradrt_weights_read(&net, "a", block), GRADRT_OK);
  field.class_name = NULL;
  field.classes = wanted;
  bare = *gradrt_net_with_names(to, &net, ".", NULL);
  gradrt_class_names_meet(to, &bare, "a");
  return to->field[0].class_name != NULL;
}

static void test_names_of_classes_come_back(void **state)
{
  static const char *const odd[] = { "cat", "do\"g", "a\\b", "line\nend\t\x7F",
                                     "\xC3\xA9\xF0\x9F\xA6\x8A", "", "[1,2]:{}" };
  static const char *const broken[] = { "cat", "\xC3(", "\xED\xA0\x80" };
  gradrt_named *to = gradrt_alloc(sizeof *to);
  (void)state;
  assert_true(names_come_back(odd, 7, 7, to));
  for (int i = 0; i < 7; i++)
    assert_string_equal(to->field[0].class_name[i], odd[i]);
  gradrt_net_forget_names(to);
  assert_false(names_come_back(odd, 7, 6, to));
  gradrt_net_forget_names(to);
  assert_false(names_come_back(broken, 3, 3, to)); /* no text: the file does without */
  gradrt_net_forget_names(to);
  gradrt_free(to);
}

static void test_best_may_be_unknown(void **state)
{
  (void)state;
  gradrt_position p = some_position(), back;
  gradrt_net net = small_net(GRADRT_F32, own);
  p.best = -NAN;
  fill_state(&net, block, 1);
  assert_int_equal(gradrt_checkpoint_write(&net, "a", block, &p), GRADRT_OK);
  assert_int_equal(gradrt_checkpoint_read(&net, "a", block, &back), GRADRT_OK);
  assert_true(isnan(back.best));
}

/* A real's text is C's %a, and only that. */
static void test_reals_have_one_spelling(void **state)
{
  (void)state;
  static const double v[] = { 0,
                              -0.0,
                              1,
                              -1.5,
                              0.1,
                              1e308,
                              0x1p-1022,
                              0x1p-1074,
                              -0x1.8p-1060,
                              3e-310,
                              0x1.fffffffffffffp+1023,
                              123456789,
                              INFINITY,
                              -INFINITY,
                              NAN };
  for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
    char want[64], text[CHECKPOINT_REAL_TEXT];
    snprintf(want, sizeof want, "%a", v[i]);
    assert_string_equal(gradrt_checkpoint_real_text(text, v[i]), want);
  }
}

/* What PyTorch and others expect: aligned data, the counter an I64 scalar; equal states give equal
 * files. */
static void test_file_is_plain_safetensors(void **state)
{
  (void)state;
  gradrt_net net = small_net(GRADRT_F32, own);
  size_t n, m;
  save(&net, "a", 1);
  save(&net, "b", 1);
  unsigned char *a = copy_of("a", &n), *b = copy_of("b", &m);
  assert_int_equal(n, m);
  assert_memory_equal(a, b, n);
  uint64_t header = header_length(a);
  assert_int_equal(header % 8, 0);
  assert_int_equal(a[8], '{');
  const char *counter =
      "\"bn.num_batches_tracked\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}";
  const char *weight =
      "\"c1.weight\":{\"dtype\":\"F32\",\"shape\":[3,2,2],\"data_offsets\":[8,56]}";
  assert_non_null(strstr((char *)a + 8, counter));
  assert_non_null(strstr((char *)a + 8, weight));
  int64_t batches;
  float first[2];
  memcpy(&batches, a + 8 + header, 8);
  memcpy(first, a + 8 + header + 8, sizeof first);
  assert_int_equal(batches, 123458);
  fill_state(&net, block, 1);
  double v[12];
  gradrt_tensor_load(&net, &own[0], block, v);
  assert_true((double)first[0] == v[0] && (double)first[1] == v[1]);
  free(a);
  free(b);
}

static void test_weights_leave_slots_alone(void **state)
{
  (void)state;
  gradrt_net net = small_net(GRADRT_F32, own);
  save(&net, "a", 1);
  assert_int_equal(load(&net, "a", WEIGHTS), GRADRT_OK);
  assert_string_equal(files_said, "");
  _Alignas(64) unsigned char want[NET_BYTES];
  fill_state(&net, want, 1);
  assert_memory_equal(block, want, own[5].offset);
  assert_memory_equal(block + own[5].offset, before + own[5].offset, NET_BYTES - own[5].offset);
}

/* ---- the corruption matrix ---- */

static void flip_all(const gradrt_net *net, Purpose purpose, int step)
{
  size_t n;
  unsigned char *good = copy_of("a", &n);
  int fd = open("a", O_RDWR);
  for (size_t i = 0; i < n; i++) {
    for (int bit = (int)(i % (unsigned)step); bit < 8; bit += step) {
      unsigned char bad = good[i] ^ (unsigned char)(1 << bit);
      assert_int_equal(pwrite(fd, &bad, 1, (off_t)i), 1);
      int code = load(net, "a", purpose);
      if (code != GRADRT_CHECKPOINT) {
        fail_msg("bit %d of byte %zu ('%c') flipped: %d", bit, i, good[i], code);
      }
    }
    assert_int_equal(pwrite(fd, good + i, 1, (off_t)i), 1);
  }
  close(fd);
  free(good);
  assert_int_equal(load(net, "a", purpose), GRADRT_OK);
}

static void test_every_flipped_bit_is_refused(void **state)
{
  (void)state;
  gradrt_net net = small_net(GRADRT_F32, own);
  save(&net, "a", 1);
  flip_all(&net, RUN, 1);
}

static void test_flipped_bits_are_refused_as_weights(void **state)
{
  (void)state;
  gradrt_net net = small_net(GRADRT_F32, own);
  save(&net, "a", 1);
  flip_all(&net, WEIGHTS, 8);
}

static void test_every_truncation_and_extension_is_refused(void **state)
{
  (void)state;
  gradrt_net net = small_net(GRADRT_F32, own);
  size_t n;
  save(&net, "a", 1);
  unsigned char *good = copy_of("a", &n), *longer = malloc(2 * n);
  for (size_t i = 1; i <= 64; i++) {
    assert_int_equal(truncate("a", (off_t)(n + i)), 0);
    assert_int_equal(load(&net, "a", RUN), GRADRT_CHECKPOINT);
  }
  for (size_t i = n; i-- > 0;) {
    assert_int_equal(truncate("a", (off_t)i), 0);
    assert_int_equal(load(&net, "a", i % 2 ? RUN : WEIGHTS), GRADRT_CHECKPOINT);
  }
  memcpy(longer, good, n);
  memcpy(longer + n, good, n);
  files_write("b", longer, 2 * n);
  expect(&net, "b", RUN, GRADRT_CHECKPOINT, "its tensors need");
  free(good);
  free(longer);
}

static void test_sectors_zeroed_swapped_or_old_are_refused(void **state)
{
  (void)state;
  gradrt_net net = small_net(GRADRT_F32, own);
  size_t n, m;
  save(&net, "a", 1);
  save(&net, "c", 2);
  unsigned char *good = copy_of("a", &n), *old = copy_of("c", &m), *bad = malloc(n);
  assert_int_equal(n, m);
  for (size_t at = 0; at < n; at += 512) {
    size_t take = n - at < 512 ? n - at : 512;
    memcpy(bad, good, n);
    memset(bad + at, 0, take);
    files_write("b", bad, n);
    assert_int_equal(load(&net, "b", RUN), GRADRT_CHECKPOINT);
    memcpy(bad, good, n);
    memcpy(bad + at, old + at, take);
    files_write("b", bad, n);
    bool same = memcmp(bad, good, n) == 0;
    assert_int_equal(load(&net, "b", RUN), same ? GRADRT_OK : GRADRT_CHECKPOINT);
    if (at + 1024 <= n) {
      memcpy(bad, good, n);
      memcpy(bad + at, good + at + 512, 512);
      memcpy(bad + at + 512, good + at, 512);
      files_write("b", bad, n);
      assert_int_equal(load(&net, "b", RUN), GRADRT_CHECKPOINT);
    }
  }
  size_t header = 8 + (size_t)header_length(good);      /* header of one step, data of another */
  memcpy(bad, good, header);
  memcpy(bad + header, old + header, n - header);
  files_write("b", bad, n);
  expect(&net, "b", RUN, GRADRT_CHECKPOINT, "its data are damaged");
  free(good);
  free(old);
  free(bad);
}

/* ---- files that are whole but wrong ---- */

/* Metadata that says something impossible, with a checksum that fits. */
static void test_impossible_metadata(void **state)
{
  (void)state;
  static const struct { const char *from, *to, *message;
  } cases[] = {
    { "gradc.epoch\":\"3\"", "gradc.epoch\":\"-\"", "'gradc.epoch' has the wrong form" },
    { "gradc.step\":\"1234567890123\"", "gradc.step\":\"-234567890123\"", "'gradc.step'" },
    { "gradc.step\":\"1234567890123\"", "gradc.step\":\"0034567890123\"", "'gradc.step'" },
    { "gradc.step\":\"1234567890123\"", "gradc.step\":\"1234567890.23\"", "'gradc.step'" },
    { "gradc.step\":\"1234567890123\"", "gradc.step\":\"        1e308\"", "'gradc.step'" },
    { "gradc.seed\":\"18446744073709551610\"", "gradc.seed\":\"99446744073709551610\"",
      "'gradc.seed'" },
    { "gradc.seed\":\"18446744073709551610\"", "gradc.seed\":\"-8446744073709551610\"",
      "'gradc.seed'" },
    { "gradc.data\":\"89abcdef\"", "gradc.data\":\"89ABCDEF\"", "'gradc.data'" },
    { "gradc.seen\":\"0x1.1p+9\"", "gradc.seen\":\"-0x1.1p+\"", "'gradc.seen'" },
    { "gradc.seen\":\"0x1.1p+9\"", "gradc.seen\":\"0X1.1p+9\"", "'gradc.seen'" },
    { "gradc.seen\":\"0x1.1p+9\"", "gradc.seen\":\"0x1.1P+9\"", "'gradc.seen'" },
    { "gradc.seen\":\"0x1.1p+9\"", "gradc.seen\":\" 0x11p+5\"", "'gradc.seen'" },
    { "gradc.seen\":\"0x1.1p+9\"", "gradc.seen\":\"544.0000\"", "'gradc.seen'" },
    { "gradc.seen\":\"0x1.1p+9\"", "gradc.seen\":\"infinity\"", "'gradc.seen'" },
    { "gradc.counters\":\"0x0p+0 ", "gradc.counters\":\"0x0p+0_", "'gradc.counters'" },
    { " 1 1 -0x1.8p-70\"", " 1 2 -0x1.8p-70\"", "'gradc.torch'" },
    { " 1 1 -0x1.8p-70\"", " 1 1 -0x1.8p+\\n\"", "'gradc.torch'" },
    { "gradc.format\":\"1\"", "gradc.format\":\"2\"", "this program reads 1" },
    { "gradc.best\"", "gradc.bes_\"", "it lacks 'gradc.best'" },
    { "\"format\":\"pt\"", "\"format\":\"\\u\"", "a wrong escape" },
    { "\"format\":\"pt\"", "\"format\":[\"\"]", "expected '\"'" },
    { "\"c1.weight\"", "\"f.weight\" ", "listed twice" },
    { "\"c1.weight\"", "\"c1.w\\\\ght\"", "no 'c1.weight'" },
    { "\"c1.weight\"", "\"c1.\\neght\"", "a control character in a name" },
    { "\"F32\",\"shape\":[3,2,2]", "\"I32\",\"shape\":[3,2,2]", "'c1.weight' has type I32" },
    { "\"F32\",\"shape\":[3,2,2]", "\"F32\",\"shape\":[2,3,2]",
      "'c1.weight' is [2,3,2], here [3,2,2]" },
    { "\"F32\",\"shape\":[3,2,2]", "\"F32\",\"shape\":[12   ]",
      "'c1.weight' is [12], here [3,2,2]" },
    { "\"F32\",\"shape\":[3,2,2]", "\"F32\",\"shape\":[3,2,3]", "48 bytes, which its shape" },
    { "\"F32\",\"shape\":[3,2,2]", "\"F3\\\\\",\"shape\":[3,2 ]", "unknown type" },
    { "\"shape\":[2,3]", "\"shape\":[3,2]", "'f.weight' is [3,2], here [2,3] (transposed" },
  };
  gradrt_net net = small_net(GRADRT_F32, own);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    save(&net, "a", 1);
    reseal("a", cases[i].from, cases[i].to);
    expect(&net, "a", RUN, GRADRT_CHECKPOINT, cases[i].message);
  }
  save(&net, "a", 1);
  reseal("a", "gradc.seen\":\"0x1.1p+9\"",
         "gradc.seen\":\"0x1.1p+0\""); /* the forger's seal is right */
  expect(&net, "a", RUN, GRADRT_OK, "");
}

static void test_another_net(void **state)
{
  (void)state;
  gradrt_tensor theirs[NET_TENSORS];
  gradrt_net net = small_net(GRADRT_F32, own), other = small_net(GRADRT_F32, theirs);
  other.fingerprint = "ffff";
  other.name = "other";
  save(&other, "a", 1);
  expect(&net, "a", RUN, GRADRT_CHECKPOINT,
         "another spec (net 'other', gradc 0.1.0, fingerprint ffff..");
  assert_non_null(strstr(files_said, "--weights"));
  expect(&net, "a", WEIGHTS, GRADRT_OK, "");
  net.fingerprint = "";
  expect(&net, "a", RUN, GRADRT_OK, "");
  theirs[0].name = "c2.weight";
  save(&other, "a", 1);
  expect(&net, "a", RUN, GRADRT_CHECKPOINT,
         "no 'c1.weight' of shape [3,2,2]; not used: 'c2.weight' [3,2,2]");
  theirs[0].name = "c1.weight";
  other.ntensor = 5;            /* no slot */
  save(&other, "a", 1);
  expect(&net, "a", RUN, GRADRT_CHECKPOINT, "no 'momentum.c1.bias' of shape [3]");
  expect(&net, "a", WEIGHTS, GRADRT_OK, "");
  other.ntensor = NET_TENSORS;
  net.ntensor = 5;
  save(&other, "a", 1);
  expect(&net, "a", RUN, GRADRT_CHECKPOINT, "not used: 'momentum.c1.bias' [3]");
  expect(&net, "a", WEIGHTS, GRADRT_OK, "");
  gradrt_tensor wide[NET_TENSORS];
  gradrt_net f64 = small_net(GRADRT_F64, wide);
  save(&f64, "a", 1);
  net = small_net(GRADRT_F32, own);
  expect(&net, "a", RUN, GRADRT_CHECKPOINT, "'c1.weight' has type F64");
  expect(&net, "a", WEIGHTS, GRADRT_OK, "4 tensors converted to F32");
}

static void test_values_must_be_finite(void **state)
{
  (void)state;
  gradrt_net net = small_net(GRADRT_F32, own);
  gradrt_position p = some_position();
  static const double bad[] = { NAN, INFINITY, -INFINITY };
  for (int i = 0; i < 3; i++) {
    double v[12] = { 1, 2, 3, 4, 5, 6, bad[i] };
    fill_state(&net, block, 1);
    gradrt_tensor_store(&net, &own[0], block, v);
    assert_int_equal(gradrt_checkpoint_write(&net, "a", block, &p), GRADRT_OK);
    expect(&net, "a", RUN, GRADRT_CHECKPOINT, "tensor 'c1.weight' holds ");
    assert_non_null(strstr(files_said, "at [1,1,0]"));
    expect(&net, "a", WEIGHTS, GRADRT_CHECKPOINT, "which is not a finite f32");
  }
}

/* ---- two files ---- */

static void test_the_one_before_is_kept_and_named(void **state)
{
  (void)state;
  gradrt_net net = small_net(GRADRT_F32, own);
  save(&net, "a", 1);
  assert_false(files_exists("a.prev"));
  size_t n, m;
  unsigned char *first = copy_of("a", &n);
  save(&net, "a", 2);
  unsigned char *prev = copy_of("a.prev", &m);
  assert_int_equal(n, m);
  assert_memory_equal(first, prev, n);
  assert_int_equal(truncate("a", 100), 0);
  expect(&net, "a", RUN, GRADRT_CHECKPOINT,
         "the checkpoint before it is intact: 'a.prev' (epoch 3, step 1234567890123)");
  assert_int_equal(truncate("a.prev", 50), 0);
  expect(&net, "a", RUN, GRADRT_CHECKPOINT,
         "the checkpoint before it, 'a.prev', cannot be used either: ");
  assert_int_equal(unlink("a.prev"), 0);
  expect(&net, "a", RUN, GRADRT_CHECKPOINT, "there is no intact checkpoint 'a.prev'");
  free(first);
  free(prev);
}

/* Killed between the link and the rename: prev is path. The next save still keeps two files. */
static void test_prev_that_is_the_same_file(void **state)
{
  (void)state;
  gradrt_net net = small_net(GRADRT_F32, own);
  save(&net, "a", 1);
  assert_int_equal(link("a", "a.prev"), 0);
  save(&net, "a", 2);
  struct stat a, prev;
  assert_int_equal(stat("a", &a), 0);
  assert_int_equal(stat("a.prev", &prev), 0);
  assert_true(a.st_ino != prev.st_ino);
  expect(&net, "a", RUN, GRADRT_OK, "");
  expect(&net, "a.prev", RUN, GRADRT_OK, "");
  char temp[64];
  snprintf(temp, sizeof temp, "a.tmp.%ld.prev", (long)getpid());
  assert_false(files_exists(temp));
}

/* ---- writing fails ---- */

static void test_failed_save_keeps_both_files(void **state)
{
  (void)state;
  gradrt_net net = small_net(GRADRT_F32, own);
  size_t n, m;
  save(&net, "a", 1);
  save(&net, "a", 2);
  unsigned char *a = copy_of("a", &n), *prev = copy_of("a.prev", &m);
  pid_t child = fork();
  if (child == 0) {
    struct rlimit r = { 3000, 3000 };
    gradrt_position p = some_position();
    signal(SIGXFSZ, SIG_IGN);
    fill_state(&net, block, 3);
    int kept = files_quiet();
    setrlimit(RLIMIT_FSIZE, &r);
    int code = gradrt_checkpoint_write(&net, "a", block, &p);
    files_loud(kept);
    bool one = strstr(files_said, "cannot write 'a': ") &&
               strchr(files_said, '\n') == strrchr(files_said, '\n');
    _exit(one ? code : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), GRADRT_IO);
  size_t k;
  files_read("a", &k);
  assert_int_equal(k, n);
  assert_memory_equal(files_text, a, n);
  files_read("a.prev", &k);
  assert_int_equal(k, m);
  assert_memory_equal(files_text, prev, m);
  free(a);
  free(prev);
}

static void test_places_that_cannot_be_saved_to(void **state)
{
  (void)state;
  static const char *const paths[] = { "nowhere/a", "folder", "/dev/full" };
  gradrt_net net = small_net(GRADRT_F32, own);
  gradrt_position p = some_position();
  assert_int_equal(mkdir("folder", 0777), 0);
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    if (*paths[i] == '/' && access(paths[i], W_OK) != 0) {
      continue;
    }
    int kept = files_quiet();
    int code = gradrt_checkpoint_write(&net, paths[i], block, &p);
    files_loud(kept);
    const char *err = files_said;
    assert_int_equal(code, GRADRT_IO);
    assert_non_null(strstr(err, "cannot write '"));
    assert_ptr_equal(strchr(err, '\n'), strrchr(err, '\n'));
  }
}

int main(void)
{
  static const struct CMUnitTest tests[] = {
    TEST(test_everything_comes_back),
    TEST(test_names_of_classes_come_back),
    TEST(test_best_may_be_unknown),
    TEST(test_reals_have_one_spelling),
    TEST(test_file_is_plain_safetensors),
    TEST(test_weights_leave_slots_alone),
    TEST(test_every_flipped_bit_is_refused),
    TEST(test_flipped_bits_are_refused_as_weights),
    TEST(test_every_truncation_and_extension_is_refused),
    TEST(test_sectors_zeroed_swapped_or_old_are_refused),
    TEST(test_impossible_metadata),
    TEST(test_another_net),
    TEST(test_values_must_be_finite),
    TEST(test_the_one_before_is_kept_and_named),
    TEST(test_prev_that_is_the_same_file),
    TEST(test_failed_save_keeps_both_files),
    TEST(test_places_that_cannot_be_saved_to),
  };
  return cmocka_run_group_tests(tests, files_enter, files_leave);
}
