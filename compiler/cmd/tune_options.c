/* gradc tune: its options. */
#include "base/str.h"
#include "cmd/tune.h"
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "gradc tune FILE.nn [options]: measures register tiles in the net's own steps and keeps those\n"
    "that win clearly; weights stay the same, bit for bit\n\n"
    "  --batch N              samples of a step (default: the spec's)\n"
    "  --threads N            threads of the timed steps (default 1)\n"
    "  --seconds X            of timed steps in each run (default 0.2)\n"
    "  --rounds N             runs of each program, in turn; medians count (default 5)\n";

static int bad_value(const char *option, const char *value, const char *wants)
{
  return gradrt_error(EXIT_USAGE, "--%s takes %s, not '%s'", option, wants, value);
}

static bool read_count(const char *value, long most, int *out)
{
  char *end;
  long n = strtol(value, &end, 10);
  *out = (int)n;
  return end != value && !*end && n >= 1 && n <= most;
}

static int set_option(Arena *a, TuneOptions *t, const char *name, const char *value)
{
  int n;
  char *end;
  if (str_eq(name, "threads"))
    return read_count(value, 256, &t->threads) ? EXIT_OK
                                               : bad_value(name, value, "a number from 1 to 256");
  if (str_eq(name, "rounds"))
    return read_count(value, TUNE_ROUNDS_MAX, &t->rounds)
               ? EXIT_OK : bad_value(name, value, "a number from 1 to 99");
  if (str_eq(name, "batch")) {
    t->batch = arena_printf(a, "batch=%s", value);
    return read_count(value, 1 << 20, &n) ? EXIT_OK
                                          : bad_value(name, value, "a number of samples");
  }
  double x = strtod(value, &end);
  t->seconds = value;
  return end != value && !*end && x >= 0 && x <= 1e6
             ? EXIT_OK : bad_value(name, value, "a number of seconds");
}

int tune_options(const CmdOptions *o, Arena *a, TuneOptions *out)
{
  static const char *const names[] = { "batch", "threads", "seconds", "rounds" };
  *out = (TuneOptions){ .rounds = 5, .threads = 1, .seconds = "0.2" };
  for (int i = 0; i < o->nrest; i++) {
    const char *word = o->rest[i], *name = NULL;
    size_t n = strcspn(word, "=");
    if (str_eq(word, "-h") || str_eq(word, "--help")) {
      fputs(usage, stdout);
      out->help = true;
      return EXIT_OK;
    }
    for (size_t k = 0; k < ARRAY_LEN(names); k++)
      if (str_eq(arena_strndup(a, word, n), arena_printf(a, "--%s", names[k])))
        name = names[k];
    if (!name || (!word[n] && i + 1 == o->nrest)) {
      gradrt_error(EXIT_USAGE, "tune %s '%s'", name ? "needs a value after" : "does not know",
                   word);
      gradrt_note("'gradc tune %s --help' lists its options", o->driver.file);
      return EXIT_USAGE;
    }
    int code = set_option(a, out, name, word[n] ? word + n + 1 : o->rest[++i]);
    if (code)
      return code;
  }
  return EXIT_OK;
}
