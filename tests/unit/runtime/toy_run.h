/* Running the toy net's command line in a folder of its own, with its output caught in files. */
#ifndef GRADRT_TEST_TOY_RUN_H
#define GRADRT_TEST_TOY_RUN_H

#include <fcntl.h>
#include <unistd.h>

#include "toy.h"

enum { ARGS_MAX = 24, TEXT_MAX = 1 << 18 };

static char home[] = "/tmp/gradrt-train-XXXXXX";
static char text[TEXT_MAX];

/* Whole file as text. */
static const char *slurp(const char *path, char *buf)
{
  FILE *f = fopen(path, "rb");
  size_t n = f ? fread(buf, 1, TEXT_MAX - 1, f) : 0;
  if (f) {
    fclose(f);
  }
  buf[n] = 0;
  return buf;
}

static void assert_contains(const char *where, const char *what)
{
  if (!strstr(where, what)) {
    fail_msg("'%s' is not in:\n%s", what, where);
  }
}

/* Runs the command line (words separated by blanks) with stdout in out.txt and stderr in
 * err.txt. */
static int run(const gradrt_net *net, const char *line)
{
  char words[1024], *argv[ARGS_MAX];
  int argc = 0;
  snprintf(words, sizeof words, "./toy %s", line);
  for (char *w = strtok(words, " "); w; w = strtok(NULL, " ")) {
    argv[argc++] = w;
  }
  argv[argc] = NULL;
  int out = open("out.txt", O_WRONLY | O_CREAT | O_TRUNC, 0666),
      err = open("err.txt", O_WRONLY | O_CREAT | O_TRUNC, 0666);
  fflush(stdout);
  fflush(stderr);
  int kept[2] = { dup(STDOUT_FILENO), dup(STDERR_FILENO) };
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  int code = gradrt_main(net, argc, argv);
  fflush(stdout);
  fflush(stderr);
  dup2(kept[0], STDOUT_FILENO);
  dup2(kept[1], STDERR_FILENO);
  close(kept[0]);
  close(kept[1]);
  close(out);
  close(err);
  return code;
}

static void expect(const gradrt_net *net, const char *line, int code)
{
  int got = run(net, line);
  if (got != code) {
    fail_msg("'%s' gives %d, not %d:\n%s", line, got, code, slurp("err.txt", text));
  }
}

static int clean(void **state)
{
  (void)state;
  memset(&toy, 0, sizeof toy);
  return system("rm -rf runs a b c out.txt err.txt");
}

static int enter(void **state)
{
  (void)state;
  if (!mkdtemp(home) || chdir(home) != 0) {
    return -1;
  }
  unsetenv("GRADC_PROGRESS");
  unsetenv("GRADC_DATA");
  toy_write_csv("train.csv", TOY_TRAIN + TOY_VALID, 7);
  toy_write_csv("test.csv", TOY_TEST, 8);
  return 0;
}

static int leave(void **state)
{
  (void)state;
  char line[64];
  snprintf(line, sizeof line, "rm -rf %s", home);
  return chdir("/") == 0 ? system(line) : -1;
}

#endif
