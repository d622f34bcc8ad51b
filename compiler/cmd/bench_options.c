/* gradc bench: its options, and the variants that make sense on this machine. */
#include "backend/llvm/llvm_backend.h"
#include "base/str.h"
#include "cmd/bench.h"
#include "internal.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beyond this many FLOPs a step, an instruction set without fma takes too long unasked. */
static const double slow_flops = 2e8;

static int bad_value(const char *option, const char *value, const char *wants)
{
  fprintf(stderr, "gradc: error: --%s takes %s, not '%s'\n", option, wants, value);
  return EXIT_USAGE;
}

/* "1,2,4" */
static int read_threads(BenchOptions *b, const char *value)
{
  static const char wants[] = "numbers of threads from 1 to 256, such as 1,2";
  b->nthread = 0;
  for (const char *p = value; *p;) {
    char *end;
    long n = strtol(p, &end, 10);
    if (end == p || (*end != ',' && *end) || n < 1 || n > 256 || b->nthread == BENCH_THREADS_MAX)
      return bad_value("threads", value, wants);
    b->thread[b->nthread++] = (int)n;
    p = end + (*end == ',');
  }
  return b->nthread ? EXIT_OK : bad_value("threads", value, wants);
}

/* Names separated by commas become words. */
static int read_variants(Arena *a, BenchOptions *b, const char *value)
{
  char *words = arena_strdup(a, value), *rest = NULL;
  for (char *p = words; *p; p++)
    *p = *p == ',' ? ' ' : *p;
  b->variants = arena_strdup(a, words);
  for (char *w = strtok_r(words, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
    if (!str_in_words(w, "fused unfused naive scalar gcc clang llvm") && !target_find(w))
      return bad_value("variants", w,
                       "some of fused, unfused, naive, scalar, gcc, clang, llvm, x86-64-v3");
  return EXIT_OK;
}

static int set_option(Arena *a, BenchOptions *b, const char *name, const char *value)
{
  static const char *const format[] = { "md", "csv", "json" };
  char *end;
  if (str_eq(name, "threads"))
    return read_threads(b, value);
  if (str_eq(name, "rounds")) {
    long n = strtol(value, &end, 10);
    b->rounds = (int)n;
    return end != value && !*end && n >= 1 && n <= BENCH_ROUNDS_MAX
               ? EXIT_OK : bad_value(name, value, "a number from 1 to 99");
  }
  if (str_eq(name, "seconds")) {
    double x = strtod(value, &end);
    b->seconds = value;
    return end != value && !*end && x >= 0 && x <= 1e6
               ? EXIT_OK : bad_value(name, value, "a number of seconds");
  }
  if (str_eq(name, "format")) {
    for (int i = 0; i < (int)ARRAY_LEN(format); i++)
      if (str_eq(value, format[i])) {
        b->format = (BenchFormat)i;
        return EXIT_OK;
      }
    return bad_value(name, value, "one of md, csv, json");
  }
  return read_variants(a, b, value);
}

static void default_threads(BenchOptions *b)
{
  int most = gradrt_default_threads();
  for (int n = 1; n <= most && b->nthread < BENCH_THREADS_MAX; n *= 2)
    b->thread[b->nthread++] = n;
}

static const char usage[] =
    "gradc bench FILE.nn [options]: speed of variants of a net, on random samples\n\n"
    "  --threads 1,2          numbers of threads (default: 1, 2, 4 .. up to the CPUs)\n"
    "  --variants A,B         unfused, naive (not tiled either), scalar (nor in vectors), gcc,\n"
    "                         clang, llvm, x86-64-v3 ..,\n"
    "                         beside the net as it is\n"
    "  --rounds N             runs of each, in turn; medians count (default 5)\n"
    "  --seconds X            of timed steps in each run (default 0.2)\n"
    "  --format md|csv|json   of the table (default md)\n";

int bench_options(const CmdOptions *o, Arena *a, BenchOptions *out)
{
  static const char *const names[] = { "threads", "rounds", "seconds", "format", "variants" };
  *out = (BenchOptions){ .rounds = 5, .seconds = "0.2", .format = o->json ? BENCH_JSON : BENCH_MD };
  for (int i = 0; i < o->nrest; i++) {
    const char *word = o->rest[i], *name = NULL;
    size_t n = strcspn(word, "=");
    for (size_t k = 0; k < ARRAY_LEN(names); k++)
      if (str_eq(arena_strndup(a, word, n), arena_printf(a, "--%s", names[k])))
        name = names[k];
    if (str_eq(word, "-h") || str_eq(word, "--help")) {
      fputs(usage, stdout);
      out->rounds = 0;
      return EXIT_OK;
    }
    if (!name || (!word[n] && i + 1 == o->nrest)) {
      fprintf(stderr,
              "gradc: error: bench %s '%s'\n  note: 'gradc bench %s --help' lists its options\n",
              name ? "needs a value after" : "does not know", word, o->driver.file);
      return EXIT_USAGE;
    }
    int code = set_option(a, out, name, word[n] ? word + n + 1 : o->rest[++i]);
    if (code)
      return code;
  }
  if (!out->nthread)
    default_threads(out);
  return EXIT_OK;
}

/* ---- variants ---- */

/* The file at the end of a chain of links. */
static const char *follow_links(Arena *a, const char *path)
{
  char to[PATH_MAX];
  for (int i = 0; i < 16; i++) {
    ssize_t n = readlink(path, to, sizeof to - 1);
    if (n <= 0)
      break;
    to[n] = '\0';
    const char *slash = strrchr(path, '/');
    if (to[0] != '/' && slash)
      path = arena_printf(a, "%.*s/%s", (int)(slash - path), path, to);
    else
      path = arena_strdup(a, to);
  }
  return path;
}

/* Path of a program that PATH or the word itself leads to, links followed; NULL: there is none. */
static const char *find_program(Arena *a, const char *word)
{
  char path[PATH_MAX];
  const char *dirs = strchr(word, '/') ? "" : getenv("PATH");
  for (const char *p = dirs ? dirs : "/usr/bin:/bin";; p++) {
    size_t n = strcspn(p, ":");
    int length = n ? snprintf(path, sizeof path, "%.*s/%s", (int)n, p, word)
                   : snprintf(path, sizeof path, "%s", word);
    if (length > 0 && length < PATH_MAX && access(path, X_OK) == 0)
      return follow_links(a, arena_strdup(a, path));
    p += n;
    if (!*p)
      return NULL;
  }
}

/* "/usr/bin/x86_64-linux-gnu-gcc-12" -> "gcc-12" */
static const char *compiler_name(const char *path)
{
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
  const char *gcc = strstr(base, "gcc"), *clang = strstr(base, "clang");
  return gcc ? gcc : clang ? clang : base;
}

static bool wanted(const BenchOptions *b, const char *name)
{
  return !b->variants || str_in_words(name, b->variants);
}

static bool same_family(const Target *a, const Target *b)
{
  return !strncmp(a->name, b->name, 6);
}

/* Instruction sets below this machine's own; targets stand in the order best first. */
static void add_targets(const BenchOptions *b, const BenchVariant *base, double flops,
                        BenchVariant *out, int *n)
{
  int count, at = 0;
  const Target *const *all = target_all(&count);
  while (at < count && all[at] != base->target)
    at++;
  for (int i = at + 1; i < count; i++) {
    if (!same_family(all[i], base->target) || !wanted(b, all[i]->name))
      continue;
    if (!all[i]->fma && flops > slow_flops && !b->variants) {
      fprintf(stderr, "bench: without %s, whose fma is a function call: --variants %s runs it\n",
              all[i]->name, all[i]->name);
      continue;
    }
    out[*n] = *base;
    out[*n].name = all[i]->name;
    out[(*n)++].target = all[i];
  }
}

static void add_compilers(Arena *a, const BenchOptions *b, const BenchVariant *base,
                          BenchVariant *out, int *n)
{
  static const char *const compilers[] = { "gcc", "clang" };
  for (size_t i = 0; i < ARRAY_LEN(compilers); i++) {
    const char *path = find_program(a, compilers[i]);
    if (!path || str_eq(path, base->cc) || !wanted(b, compilers[i]))
      continue;
    out[*n] = *base;
    out[*n].name = compilers[i];
    out[*n].cc = path;
    out[(*n)++].compiler = compiler_name(path);
  }
}

static void add_llvm(Arena *a, const BenchOptions *b, const BenchVariant *base, BenchVariant *out,
                     int *n)
{
  if (!llvm_present() || !wanted(b, "llvm"))
    return;
  out[*n] = *base;
  out[*n].name = out[*n].backend = "llvm";
  out[(*n)++].compiler = arena_printf(a, "LLVM %s", llvm_version());
}

/* The naive variant one element at a time: a machine of the same kind without vectors. */
static void add_scalar(Arena *a, const BenchVariant *base, int real_bytes, BenchVariant *out,
                       int *n)
{
  Target *plain = arena_copy(a, base->target, sizeof *plain);
  plain->vector_bytes = real_bytes;
  plain->c_flags = arena_printf(a, "%s -fno-tree-vectorize -fno-tree-slp-vectorize",
                                base->target->c_flags);
  out[*n] = *base;
  out[*n].name = "scalar";
  out[*n].target = plain;
  out[*n].unfused = true;
  out[(*n)++].untiled = true;
}

BenchVariant *bench_variants(Arena *a, const BenchOptions *b, double step_flops, int real_bytes,
                             int *n)
{
  BenchVariant *out = ARENA_ARRAY(a, BenchVariant, 16);
  const char *word = getenv("CC"), *cc = find_program(a, word && word[0] ? word : "cc");
  cc = !cc && word && strchr(word, ' ') ? word : cc;    /* "ccache gcc" */
  BenchVariant base = { .name = "fused", .target = target_host(), .cc = cc, .backend = "c" };
  *n = 0;
  if (!cc || !base.target) {
    fprintf(stderr, "gradc: error: bench needs a C compiler and an instruction set that it knows\n"
                    "help: install a C compiler (sudo apt install gcc) or set CC\n");
    return NULL;
  }
  base.compiler = compiler_name(cc);
  out[(*n)++] = base;
  if (wanted(b, "unfused")) {
    out[*n] = base;
    out[*n].name = "unfused";
    out[(*n)++].unfused = true;
  }
  if (wanted(b, "naive")) {
    out[*n] = base;
    out[*n].name = "naive";
    out[*n].unfused = true;
    out[(*n)++].untiled = true;
  }
  if (step_flops > slow_flops && !b->variants)
    fprintf(stderr, "bench: without scalar, which takes long: --variants scalar runs it\n");
  else if (wanted(b, "scalar"))
    add_scalar(a, &base, real_bytes, out, n);
  add_compilers(a, b, &base, out, n);
  add_llvm(a, b, &base, out, n);
  add_targets(b, &base, step_flops, out, n);
  return out;
}
