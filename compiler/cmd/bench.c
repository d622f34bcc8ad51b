/* bench: builds the net in variants that must not differ in a bit, checks that they do not, and
 * compares their speed. Programs run in turn, round after round, so that a change of the machine's
 * clock meets them all; what counts is the median. */
#include "base/str.h"
#include "cmd/bench.h"
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { LINE_MAX_BYTES = 4096 };

/* ---- running a program ---- */

static int read_all(int fd, char *text, size_t size)
{
  size_t n = 0;
  for (;;) {
    ssize_t got = read(fd, text + n, size - 1 - n);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0 || n + 1 >= size)
      break;
    n += (size_t)got;
  }
  text[n] = '\0';
  return (int)n;
}

int bench_run(char *const *argv, char *text, size_t size)
{
  int fd[2], status = 0;
  pid_t pid;
  posix_spawn_file_actions_t actions;
  if (pipe(fd) != 0)
    return EXIT_IO;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fd[1], 1);
  posix_spawn_file_actions_addclose(&actions, fd[0]);
  int failed = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(fd[1]);
  if (!failed)
    read_all(fd[0], text, size);
  close(fd[0]);
  while (!failed && waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      return EXIT_IO;
  return failed ? EXIT_IO : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

double bench_number(const char *json, const char *in, const char *key)
{
  char quoted[64];
  const char *p = json;
  if (in) {
    snprintf(quoted, sizeof quoted, "\"%s\":{", in);
    p = strstr(json, quoted);
  }
  snprintf(quoted, sizeof quoted, "\"%s\":", key);
  p = p ? strstr(p, quoted) : NULL;
  return p ? strtod(p + strlen(quoted), NULL) : 0;
}

void bench_weights(const char *json, char out[65])
{
  const char *p = strstr(json, "\"weights\":\"");
  size_t n = p ? strspn(p + 11, "0123456789abcdef") : 0;
  out[0] = '\0';
  if (p && n == 64)
    snprintf(out, 65, "%.64s", p + 11);
}

static int measure(BenchRow *r, const BenchOptions *b, int round)
{
  char threads[16], line[LINE_MAX_BYTES];
  snprintf(threads, sizeof threads, "%d", r->threads);
  const char *const words[] = { r->exe, "bench", "--json", "--threads", threads, "--seconds",
                                b->seconds };
  char *argv[ARRAY_LEN(words) + 1] = { NULL };
  for (size_t i = 0; i < ARRAY_LEN(words); i++)
    argv[i] = (char *)(uintptr_t)words[i];
  int code = bench_run(argv, line, sizeof line);
  if (code) {
    fprintf(stderr, "gradc: error: '%s' failed (exit %d)\n", r->exe, code);
    return EXIT_IO;
  }
  r->train[round] = bench_number(line, "train", "median_ns") / 1e9;
  r->infer[round] = bench_number(line, "infer", "median_ns") / 1e9;
  r->train_flops = bench_number(line, "train", "flops");
  r->infer_flops = bench_number(line, "infer", "flops");
  double peak = bench_number(line, NULL, "peak_flops");
  r->peak = peak > r->peak ? peak : r->peak;
  r->memory = bench_number(line, NULL, "peak_rss_bytes");
  bench_weights(line, r->weights);
  return EXIT_OK;
}

/* ---- building ---- */

static void say_nothing(void *ctx, const char *text)
{
  (void)ctx;
  (void)text;
}

/* Builds one variant; the spec's warnings have been shown before. */
static int build(const CmdOptions *o, const BenchVariant *v, Arena *a, const char **exe)
{
  CmdOptions one = *o;
  one.bench = true;
  one.profile = false;
  one.cc = v->cc;
  one.backend = v->backend;
  one.driver.target = v->target;
  if (v->unfused)
    one.driver.pass.skip = "fuse";
  Compilation *c = compilation_new();
  c->diag = diag_new(c->arena, c->sources, say_nothing, NULL);
  one.driver.tiles = v->untiled ? tiles_new(c->arena) : cmd_tiles(&one, c->arena);
  if (v->untiled)
    one.driver.tiles->smallest = true;
  int code = compile_module(c, &one.driver);
  const char *path = code ? NULL : cmd_build_cached(&one, c, &code);
  *exe = path ? arena_strdup(a, path) : NULL;
  compilation_free(&c);
  return code;
}

static double step_flops(const Module *m)
{
  double sum = 0;
  const Host *h = m->host[HOST_TRAIN] ? m->host[HOST_TRAIN] : m->host[HOST_INFER];
  for (const LStmt *s = h ? h->body : NULL; s; s = s->next)
    sum += s->kind == LS_CALL ? s->call.kernel->flops : 0;
  return sum;
}

/* The reference with every number of threads, the others with the smallest. */
static int make_rows(const CmdOptions *o, BenchTable *t, const BenchVariant *v, int nv, Arena *a)
{
  const BenchOptions *b = t->options;
  t->row = ARENA_ARRAY(a, BenchRow, nv + b->nthread);
  for (int i = 0; i < nv; i++) {
    const char *exe;
    int code = build(o, &v[i], a, &exe);
    if (code)
      return code;
    for (int k = 0; k < (i ? 1 : b->nthread); k++) {
      BenchRow *r = &t->row[t->nrow++];
      r->variant = &v[i];
      r->exe = exe;
      r->threads = b->thread[k];
    }
  }
  return EXIT_OK;
}

/* ---- the command ---- */

static int compare_weights(const BenchTable *t)
{
  int differ = 0;
  for (int i = 1; i < t->nrow; i++)
    if (!str_eq(t->row[i].weights, t->row[0].weights)) {
      fprintf(stderr, "gradc: error: the weights of '%s' on %d threads differ from those of '%s'\n",
              t->row[i].variant->name, t->row[i].threads, t->row[0].variant->name);
      differ++;
    }
  if (!differ && t->row[0].weights[0])
    fprintf(stderr, "bench: the weights of all %d rows are equal, bit for bit (sha256 %.16s)\n",
            t->nrow, t->row[0].weights);
  return differ ? EXIT_QUALITY : EXIT_OK;
}

static int run_rounds(const CmdOptions *o, BenchTable *t)
{
  for (int round = 0; round < t->options->rounds; round++) {
    for (int i = 0; i < t->nrow; i++) {
      int code = measure(&t->row[i], t->options, round);
      if (code)
        return code;
      double peak = t->row[i].peak / t->row[i].threads;
      t->peak = peak > t->peak ? peak : t->peak;
    }
    if (!o->quiet)
      fprintf(stderr, "bench: round %d of %d done\n", round + 1, t->options->rounds);
  }
  return EXIT_OK;
}

int cmd_bench(const CmdOptions *o)
{
  Compilation *c = compilation_new();
  BenchOptions options;
  BenchTable table = { .options = &options };
  int nv = 0, code = bench_options(o, c->arena, &options);
  bool runs = !code && options.rounds > 0;
  if (runs)
    code = compile_module(c, &o->driver);
  if (runs && !code && !c->stopped) {
    table.net = c->net;
    BenchVariant *v = bench_variants(c->arena, &options, step_flops(c->module),
                                     dtype_bytes(c->module->real), &nv);
    code = v ? make_rows(o, &table, v, nv, c->arena) : EXIT_IO;
    if (!code)
      code = run_rounds(o, &table);
    if (!code) {
      bench_print(&table);
      code = compare_weights(&table);
    }
  }
  compilation_free(&c);
  return code;
}
