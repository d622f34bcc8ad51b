/* Running gradc and reading results, for the golden programs. */
#include "tool.h"

#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { WORDS_MAX = 32, LINE = 8192 };

extern char **environ;

_Noreturn void golden_fail(const char *what, const char *which)
{
  fprintf(stderr, "golden: %s%s%s\n", what, *which ? ": " : "", which);
  exit(GOLDEN_BROKEN);
}

void golden_path(char out[GOLDEN_PATH], const char *dir, const char *name)
{
  if (snprintf(out, GOLDEN_PATH, "%s/%s", dir, name) >= GOLDEN_PATH)
    golden_fail("path too long", name);
}

void golden_make_dir(const char *path)
{
  if (mkdir(path, 0777) != 0 && errno != EEXIST)
    golden_fail("cannot make the folder", path);
}

FILE *golden_open(const char *dir, const char *name, const char *mode)
{
  char path[GOLDEN_PATH];
  golden_path(path, dir, name);
  FILE *f = fopen(path, mode);
  if (!f)
    golden_fail("cannot open", path);
  return f;
}

int golden_run(const char *const *words, const char *work)
{
  char *argv[WORDS_MAX + 1];
  int n = 0, status = 0;
  pid_t pid;
  for (; words[n]; n++) {
    if (n == WORDS_MAX)
      golden_fail("too many words", words[0]);
    argv[n] = malloc(strlen(words[n]) + 1);
    if (!argv[n])
      golden_fail("out of memory", "");
    strcpy(argv[n], words[n]);
  }
  argv[n] = NULL;
  setenv("XDG_CACHE_HOME", work, 1);
  int failed = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
  if (failed)
    golden_fail("cannot run gradc", strerror(failed));
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      golden_fail("waitpid", strerror(errno));
  for (int i = 0; i < n; i++)
    free(argv[i]);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

double golden_relative(double ours, double theirs)
{
  return isfinite(ours) ? fabs(ours - theirs) / fmax(fabs(theirs), 1e-30) : INFINITY;
}

int golden_column(const char *dir, const char *file, const char *name, double *out, int max)
{
  char line[LINE];
  int column = -1, n = 0, c = 0;
  FILE *f = golden_open(dir, file, "r");
  if (!fgets(line, sizeof line, f))
    golden_fail("empty file", file);
  for (char *cell = strtok(line, ",\n"); cell; cell = strtok(NULL, ",\n"), c++)
    if (!strcmp(cell, name))
      column = c;
  if (column < 0)
    golden_fail("the file lacks the column", name);
  while (n < max && fgets(line, sizeof line, f)) {
    char *cell = strtok(line, ",\n");
    for (c = 0; cell && c < column; c++)
      cell = strtok(NULL, ",\n");
    if (!cell)
      golden_fail("a row is too short", file);
    out[n++] = strtod(cell, NULL);
  }
  fclose(f);
  return n;
}

/* The whole file, its 8-byte length of the header first; the caller frees it. */
static char *read_file(const char *dir, const char *file, size_t *size)
{
  FILE *f = golden_open(dir, file, "rb");
  fseek(f, 0, SEEK_END);
  long n = ftell(f);
  rewind(f);
  char *bytes = n >= 8 ? malloc((size_t)n) : NULL;
  if (!bytes || fread(bytes, 1, (size_t)n, f) != (size_t)n)
    golden_fail("cannot read", file);
  fclose(f);
  *size = (size_t)n;
  return bytes;
}

void golden_tensor(const char *dir, const char *file, const char *tensor, double *sum, double *size)
{
  size_t bytes, from, to;
  uint64_t head;
  char key[300], *all = read_file(dir, file, &bytes);
  memcpy(&head, all, 8);
  if (head > bytes - 8)
    golden_fail("the file is cut off", file);
  char *text = calloc(1, (size_t)head + 1), *values = all + 8 + head;
  if (!text)
    golden_fail("out of memory", "");
  memcpy(text, all + 8, (size_t)head);
  snprintf(key, sizeof key, "\"%s\":", tensor);
  const char *at = strstr(text, key), *offsets = at ? strstr(at, "\"data_offsets\":[") : NULL;
  const char *type = at ? strstr(at, "\"dtype\":\"F") : NULL;
  if (!offsets || !type || sscanf(offsets + 16, "%zu,%zu", &from, &to) != 2 || from > to ||
      to > bytes - 8 - head)
    golden_fail("the checkpoint lacks the tensor", tensor);
  bool wide = !strncmp(type + 10, "64", 2);
  *sum = *size = 0;
  for (size_t i = from; i < to; i += wide ? 8 : 4) {
    double d = 0;
    float s = 0;
    if (wide)
      memcpy(&d, values + i, 8);
    else
      memcpy(&s, values + i, 4);
    double v = wide ? d : (double)s;
    *sum += v;
    *size += fabs(v);
  }
  free(text);
  free(all);
}
