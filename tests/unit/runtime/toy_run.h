/* Running the toy net's command line in a folder of its own, with its output caught in files. */
#ifndef GRADRT_TEST_TOY_RUN_H
#define GRADRT_TEST_TOY_RUN_H

#include <unistd.h>

#include "caught.h"
#include "toy.h"

static char home[] = "/tmp/gradrt-train-XXXXXX";
static char text[TEXT_MAX];

static void assert_contains(const char *where, const char *what)
{
  if (!strstr(where, what)) {
    fail_msg("'%s' is not in:\n%s", what, where);
  }
}

/* Runs the toy with these words, separated by blanks. */
static int run(const gradrt_net *net, const char *line)
{
  char words[1024];
  snprintf(words, sizeof words, "./toy %s", line);
  return run_caught(net, words);
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
