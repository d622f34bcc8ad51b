/* A folder of its own for tests that write files, with standard error caught in a file there. */
#ifndef GRADRT_TEST_FILES_H
#define GRADRT_TEST_FILES_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES_MAX = 1 << 20 };

static char files_home[] = "/tmp/gradrt-test-XXXXXX";
static unsigned char files_text[FILES_MAX];

static int files_enter(void **state)
{
  (void)state;
  return !mkdtemp(files_home) || chdir(files_home) != 0;
}

static int files_leave(void **state)
{
  char line[64];
  (void)state;
  snprintf(line, sizeof line, "rm -rf %s", files_home);
  return chdir("/") != 0 || system(line) != 0;
}

/* Removes what a test left. */
static int files_clean(void **state)
{
  (void)state;
  return system("rm -rf ./* ./.[a-z]*");
}

/* Sends standard error to the file "err" from now on; returns what files_loud needs. */
static int files_quiet(void)
{
  fflush(stderr);
  int kept = dup(STDERR_FILENO), fd = open("err", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0666);
  dup2(fd, STDERR_FILENO);
  close(fd);
  return kept;
}

static void files_loud(int kept)
{
  fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
}

/* Whole file; NUL after it. */
static const char *files_read(const char *path, size_t *n)
{
  FILE *f = fopen(path, "rb");
  *n = f ? fread(files_text, 1, FILES_MAX - 1, f) : 0;
  files_text[*n] = 0;
  if (f) {
    fclose(f);
  }
  return f ? (const char *)files_text : NULL;
}

static void files_write(const char *path, const void *bytes, size_t n)
{
  FILE *f = fopen(path, "wb");
  bool good = f && fwrite(bytes, 1, n, f) == n;
  if (!f || fclose(f) != 0 || !good) {
    abort();
  }
}

static bool files_exists(const char *path) { return access(path, F_OK) == 0; }

#endif
