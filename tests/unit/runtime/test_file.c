/* Files that are written whole or not at all, and the checksums, against published vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "internal.h"

#define TEST(f) cmocka_unit_test_teardown(f, files_clean)

/* ---- checksums ---- */

static void test_sha256_vectors(void **state)
{
  (void)state;
  /* FIPS 180-4 examples and NIST's long message */
  static const struct { const char *text; int times; const char *hex; } cases[] = {
    { "", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    { "a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    size_t n = strlen(cases[k].text), total = n * (size_t)cases[k].times;
    char *bytes = malloc(total + 1), hex[65] = "";
    unsigned char out[32];
    for (int i = 0; i < cases[k].times; i++) {
      memcpy(bytes + (size_t)i * n, cases[k].text, n);
    }
    gradrt_sha256(bytes, total, out);
    for (int i = 0; i < 32; i++) {
      snprintf(hex + 2 * i, 3, "%02x", out[i]);
    }
    assert_string_equal(hex, cases[k].hex);
    free(bytes);
  }
}

static void test_crc32c_vectors(void **state)
{
  (void)state;
  unsigned char b[32];          /* RFC 3720, B.4 */
  assert_int_equal(gradrt_crc32c(0, "", 0), 0);
  assert_int_equal(gradrt_crc32c(0, "123456789", 9), 0xE3069283);
  memset(b, 0, sizeof b);
  assert_int_equal(gradrt_crc32c(0, b, 32), 0x8A9136AA);
  memset(b, 0xFF, sizeof b);
  assert_int_equal(gradrt_crc32c(0, b, 32), 0x62A8AB43);
  for (int i = 0; i < 32; i++) {
    b[i] = (unsigned char)i;
  }
  assert_int_equal(gradrt_crc32c(0, b, 32), 0x46DD794E);
}

/* Long blocks go another way than short ones; cut anywhere, the sum is the same. */
static void test_crc32c_of_pieces(void **state)
{
  (void)state;
  enum { N = 40003 };
  static unsigned char b[N];
  uint32_t r = 1, slow = 0;
  for (int i = 0; i < N; i++) {
    r = r * 1664525u + 1013904223u;
    b[i] = (unsigned char)(r >> 24);
    slow = gradrt_crc32c(slow, b + i, 1);
  }
  assert_int_equal(gradrt_crc32c(0, b, N), slow);
  for (size_t cut = 0; cut < N; cut += 1237) {
    assert_int_equal(gradrt_crc32c(gradrt_crc32c(0, b, cut), b + cut, N - cut), slow);
  }
}

/* ---- writing ---- */

static int entries(void)
{
  FILE *f = popen("ls -A | wc -l", "r");
  int n = -1;
  if (fscanf(f, "%d", &n) != 1) {
    n = -1;
  }
  pclose(f);
  return n;
}

static void assert_file(const char *path, const char *want)
{
  size_t n;
  const char *have = files_read(path, &n);
  assert_non_null(have);
  assert_string_equal(have, want);
}

static void test_commit_replaces_whole(void **state)
{
  (void)state;
  files_write("a", "old", 3);
  gradrt_writer *w = gradrt_writer_open("a");
  assert_non_null(w);
  assert_int_equal(gradrt_writer_put(w, "ne", 2), GRADRT_OK);
  assert_int_equal(gradrt_writer_printf(w, "%c%d", 'w', 42), GRADRT_OK);
  assert_file("a", "old");
  assert_int_equal(gradrt_writer_sync(w), GRADRT_OK);
  assert_file("a", "old");
  assert_int_equal(gradrt_writer_put(w, "!", 1), GRADRT_OK);
  assert_int_equal(gradrt_writer_commit(w), GRADRT_OK);
  assert_file("a", "new42!");
  assert_int_equal(entries(), 1);
}

static void test_abort_leaves_the_old_file(void **state)
{
  (void)state;
  files_write("a", "old", 3);
  gradrt_writer *w = gradrt_writer_open("a");
  gradrt_writer_put(w, "new", 3);
  gradrt_writer_abort(w);
  gradrt_writer_abort(NULL);
  assert_file("a", "old");
  assert_int_equal(entries(), 1);
}

/* More than the buffer, and one line longer than printf's. */
static void test_long_content(void **state)
{
  (void)state;
  enum { N = 300001 };
  char *long_text = malloc(N + 1);
  memset(long_text, 'x', N);
  long_text[N] = 0;
  gradrt_writer *w = gradrt_writer_open("./a");
  gradrt_writer_put(w, "<", 1);
  gradrt_writer_printf(w, "%s>", long_text);
  gradrt_writer_put(w, long_text, N);
  assert_int_equal(gradrt_writer_commit(w), GRADRT_OK);
  size_t n;
  const char *have = files_read("a", &n);
  assert_int_equal(n, 2 * N + 2);
  assert_int_equal(have[0], '<');
  assert_int_equal(have[N + 1], '>');
  free(long_text);
}

static void assert_said(const char *what)
{
  const char *err = files_said;
  if (!strstr(err, what) || strchr(err, '\n') != strrchr(err, '\n')) {
    fail_msg("'%s' is not the one message:\n%s", what, err);
  }
}

static void test_full_disk_is_one_error(void **state)
{
  (void)state;
  if (access("/dev/full", W_OK) != 0) {
    skip();
  }
  int kept = files_quiet();
  gradrt_writer *w = gradrt_writer_open("/dev/full");
  int put = w ? gradrt_writer_put(w, "x", 1) : -1;
  int code = w ? gradrt_writer_commit(w) : -1;
  files_loud(kept);
  assert_int_equal(put, GRADRT_OK);
  assert_int_equal(code, GRADRT_IO);
  assert_said("cannot write '/dev/full'");
  struct stat st;
  assert_int_equal(stat("/dev/full", &st), 0);
  assert_true(S_ISCHR(st.st_mode));
}

/* The file grows past a limit: the write fails in the middle, as on a full disk. */
static void test_failed_write_keeps_the_old_file(void **state)
{
  (void)state;
  files_write("a", "old", 3);
  pid_t child = fork();
  if (child == 0) {
    struct rlimit r = { 100000, 100000 };
    int kept = files_quiet(), code = -1;
    static char block[70000];
    gradrt_limits_are_errors();
    setrlimit(RLIMIT_FSIZE, &r);
    gradrt_writer *w = gradrt_writer_open("a");
    bool failed = false;
    for (int i = 0; w && i < 4; i++) {
      failed = gradrt_writer_put(w, block, sizeof block) == GRADRT_IO || failed;
    }
    code = w ? gradrt_writer_commit(w) : -1;
    files_loud(kept);
    bool told = strstr(files_said, "cannot write 'a': File too large") != NULL;
    _exit(code == GRADRT_IO && failed && told ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  assert_int_equal(status, 0);
  assert_file("a", "old");
  assert_int_equal(entries(), 1);
}

static void test_places_that_cannot_be_written(void **state)
{
  (void)state;
  static const char *const paths[] = { "nowhere/a", "folder", "file/a", "" };
  assert_int_equal(mkdir("folder", 0777), 0);
  files_write("file", "", 0);
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    int kept = files_quiet();
    gradrt_writer *w = gradrt_writer_open(paths[i]);
    int code = w ? gradrt_writer_commit(w) : GRADRT_IO;
    files_loud(kept);
    assert_int_equal(code, GRADRT_IO);
    assert_said("cannot write '");
  }
}

/* Writes "new" to folder/a of this mode as a user whom permissions bind, which root is not. Returns
 * what became of it, or -1. */
static int write_unprivileged(mode_t mode)
{
  assert_int_equal(chmod("folder", mode), 0);
  pid_t child = fork();
  if (child == 0) {
    bool bound = chdir("folder") == 0;
    bound = bound && (geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0));
    int kept = files_quiet(), code = GRADRT_IO;
    gradrt_writer *w = bound ? gradrt_writer_open("a") : NULL;
    if (w) {
      gradrt_writer_put(w, "new", 3);
      code = gradrt_writer_commit(w);
    }
    files_loud(kept);
    bool told = strstr(files_said, "cannot write 'a': Permission denied") != NULL;
    _exit(bound && told == (code != GRADRT_OK) ? code : 255);
  }
  int status = -1;
  waitpid(child, &status, 0);
  chmod("folder", 0777);
  return WIFEXITED(status) && WEXITSTATUS(status) != 255 ? WEXITSTATUS(status) : -1;
}

static void test_read_only_folder(void **state)
{
  (void)state;
  assert_int_equal(mkdir("folder", 0777), 0);
  files_write("folder/a", "old", 3);
  assert_int_equal(write_unprivileged(0555), GRADRT_IO);
  assert_file("folder/a", "old");
  assert_int_equal(write_unprivileged(0777), GRADRT_OK);
  assert_file("folder/a", "new");
}

/* A symbolic link at the temporary file's name leads nowhere. */
static void test_planted_link_is_not_followed(void **state)
{
  (void)state;
  char temp[64];
  files_write("victim", "safe", 4);
  snprintf(temp, sizeof temp, "a.tmp.%ld", (long)getpid());
  assert_int_equal(symlink("victim", temp), 0);
  gradrt_writer *w = gradrt_writer_open("a");
  assert_non_null(w);
  gradrt_writer_put(w, "new", 3);
  assert_int_equal(gradrt_writer_commit(w), GRADRT_OK);
  assert_file("victim", "safe");
  assert_file("a", "new");
}

static void test_orphans_of_dead_processes_go(void **state)
{
  (void)state;
  char dead[64], dead_prev[64], alive[64];
  static const char *const others[] = { "a.tmp.x", "a.tmp.",   "a.tmp.12x",
                                        "b.tmp.1", "aa.tmp.1", "a.prev" };
  pid_t child = fork();
  if (child == 0) {
    _exit(0);
  }
  waitpid(child, NULL, 0);
  snprintf(dead, sizeof dead, "a.tmp.%ld", (long)child);
  snprintf(dead_prev, sizeof dead_prev, "a.tmp.%ld.prev", (long)child);
  snprintf(alive, sizeof alive, "a.tmp.%ld", (long)getppid());
  files_write(dead, "", 0);
  files_write(dead_prev, "", 0);
  files_write(alive, "", 0);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    files_write(others[i], "", 0);
  }
  gradrt_writer *w = gradrt_writer_open("a");
  assert_int_equal(gradrt_writer_commit(w), GRADRT_OK);
  assert_false(files_exists(dead));
  assert_false(files_exists(dead_prev));
  assert_true(files_exists(alive));
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    assert_true(files_exists(others[i]));
  }
}

/* Standard streams closed by the parent: no file may become one of them. */
static void test_closed_standard_streams(void **state)
{
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    close(0);
    close(1);
    close(2);
    gradrt_writer *w = gradrt_writer_open("a");
    bool free_still = w && fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0;
    printf("stray");
    fflush(stdout);
    _exit(free_still && gradrt_writer_commit(w) == GRADRT_OK ? 0 : 1);
  }
  int status = 1;
  waitpid(child, &status, 0);
  assert_int_equal(status, 0);
  assert_file("a", "");
}

int main(void)
{
  static const struct CMUnitTest tests[] = {
    TEST(test_sha256_vectors),
    TEST(test_crc32c_vectors),
    TEST(test_crc32c_of_pieces),
    TEST(test_commit_replaces_whole),
    TEST(test_abort_leaves_the_old_file),
    TEST(test_long_content),
    TEST(test_full_disk_is_one_error),
    TEST(test_failed_write_keeps_the_old_file),
    TEST(test_places_that_cannot_be_written),
    TEST(test_read_only_folder),
    TEST(test_planted_link_is_not_followed),
    TEST(test_orphans_of_dead_processes_go),
    TEST(test_closed_standard_streams),
  };
  return cmocka_run_group_tests(tests, files_enter, files_leave);
}
