/* A folder of its own for tests that write files, with standard error caught. */
#ifndef GRADRT_TEST_FILES_H
#define GRADRT_TEST_FILES_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES_MAX = 1 << 20 };

static char files_home[] = "/tmp/gradrt-files-XXXXXX";
static unsigned char files_text[FILES_MAX];
static int files_err = -1;      /* an unnamed file */
static char files_said[1 << 16];

static inline int files_enter(void **state)
{
  (void)state;
  char name[] = "/tmp/gradrt-files-XXXXXX";
  files_err = mkstemp(name);
  unlink(name);
  return files_err < 0 || fcntl(files_err, F_SETFL, O_APPEND) != 0 || !mkdtemp(files_home) ||
         chdir(files_home) != 0;
}

static inline int files_leave(void **state)
{
  char line[64];
  (void)state;
  snprintf(line, sizeof line, "rm -rf %s", files_home);
  close(files_err);
  return chdir("/") != 0 || system(line) != 0;
}

/* Removes what a test left. */
static inline int files_clean(void **state)
{
  (void)state;
  return system("rm -rf ./* ./.[a-z]*");
}

/* Catches standard error from now on; returns what files_loud needs. */
static inline int files_quiet(void)
{
  fflush(stderr);
  if (ftruncate(files_err, 0) != 0) {
    abort();
  }
  int kept = dup(STDERR_FILENO);
  dup2(files_err, STDERR_FILENO);
  return kept;
}

/* Ends files_quiet; what was caught is in files_said. */
static inline void files_loud(int kept)
{
  fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  ssize_t n = pread(files_err, files_said, sizeof files_said - 1, 0);
  files_said[n > 0 ? n : 0] = 0;
}

/* Whole file; NUL after it. */
static inline const char *files_read(const char *path, size_t *n)
{
  FILE *f = fopen(path, "rb");
  *n = f ? fread(files_text, 1, FILES_MAX - 1, f) : 0;
  files_text[*n] = 0;
  if (f) {
    fclose(f);
  }
  return f ? (const char *)files_text : NULL;
}

static inline void files_write(const char *path, const void *bytes, size_t n)
{
  FILE *f = fopen(path, "wb");
  bool good = f && fwrite(bytes, 1, n, f) == n;
  if (!f || fclose(f) != 0 || !good) {
    abort();
  }
}

static inline bool files_exists(const char *path) { return access(path, F_OK) == 0; }

#endif
