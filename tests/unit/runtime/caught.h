/* Running the command line of a net in this process, with its output caught in files of the
 * folder where we are. */
#ifndef GRADRT_TEST_CAUGHT_H
#define GRADRT_TEST_CAUGHT_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gradrt.h"

enum { ARGS_MAX = 24, TEXT_MAX = 1 << 18 };

/* The beginning of a file, at most TEXT_MAX - 1 bytes, as text; "" without one. */
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

/* Runs the command line (a program's name and words, separated by blanks) with stdout in out.txt
 * and stderr in err.txt. */
static int run_caught(const gradrt_net *net, const char *line)
{
  char words[1024], *argv[ARGS_MAX];
  int argc = 0;
  snprintf(words, sizeof words, "%s", line);
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

#endif
