/* tune: measures other register tiles than the cost model's in the net's own training step.
 * Program k has the k-th other tile in every kernel at once, for a profile tells kernels apart;
 * programs run in turn, round after round. What wins is put together, measured once more beside the
 * standard program, and kept where it wins again. Every program must end with the same weights. */
#include "cmd/tune.h"
#include "base/str.h"
#include "cmd/bench.h"
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROFILE_BYTES = 1 << 20 };

typedef struct {
  const char *exe;
  Tiles *tiles;                 /* what it was made with, and the choices */
  char weights[65];
} TuneProgram;

typedef struct {
  const CmdOptions *o;
  const TuneOptions *options;
  Arena *arena;
  TuneProgram program[TUNE_PROGRAMS_MAX];
  int nprogram;
  TuneGroup *group;
  int ngroup;
  char *text;                   /* what the last run printed */
} Tune;

/* ---- building ---- */

static const char **with_batch(const Tune *t)
{
  const DriverOptions *d = &t->o->driver;
  const char **set = ARENA_ARRAY(t->arena, const char *, d->nset + 1);
  for (int i = 0; i < d->nset; i++)
    set[i] = d->set[i];
  set[d->nset] = t->options->batch;
  return set;
}

static void say_nothing(void *ctx, const char *text)
{
  (void)ctx;
  (void)text;
}

/* Builds a program with clocks, with the tiles that p wants; the first one shows warnings. */
static int build(Tune *t, TuneProgram *p, bool first)
{
  CmdOptions one = *t->o;
  one.profile = true;
  one.driver.tiles = p->tiles;
  one.driver.set = with_batch(t);
  one.driver.nset += t->options->batch != NULL;
  Compilation *c = compilation_new();
  if (!first)
    c->diag = diag_new(c->arena, c->sources, say_nothing, NULL);
  int code = compile_module(c, &one.driver);
  if (!code && c->target != target_host())
    code = gradrt_error(EXIT_USAGE, "tune measures on this machine: leave --cpu and cpu: out");
  const char *path = code || c->stopped ? NULL : cmd_build_cached(&one, c, &code);
  p->exe = path ? arena_strdup(t->arena, path) : NULL;
  compilation_free(&c);
  return code;
}

/* Tiles number k - 1 of those that may replace the standard ones. */
static Tiles *other_tiles(const Tune *t, int k)
{
  const Tiles *standard = t->program[0].tiles;
  Tiles *out = tiles_new(t->arena);
  for (uint32_t i = 0; i < standard->made.n; i++) {
    const TileChoice *c = &standard->made.at[i];
    if (k <= c->nother)
      tiles_want(out, c->key, c->other[k - 1], 0);
  }
  return out;
}

static void make_groups(Tune *t)
{
  const Tiles *standard = t->program[0].tiles;
  t->group = ARENA_ARRAY(t->arena, TuneGroup, standard->made.n + 1);
  for (uint32_t i = 0; i < standard->made.n; i++) {
    const TileChoice *c = &standard->made.at[i];
    TuneGroup *g = t->group;
    while (g < t->group + t->ngroup && !str_eq(g->group, c->group))
      g++;
    if (g == t->group + t->ngroup) {
      g->group = c->group;
      t->ngroup++;
    }
    g->candidates = c->nother > g->candidates ? c->nother : g->candidates;
  }
}

static int build_all(Tune *t)
{
  t->program[0].tiles = tiles_new(t->arena);
  int code = build(t, &t->program[0], true), most = 0;
  if (code || !t->program[0].exe)
    return code;
  make_groups(t);
  for (int i = 0; i < t->ngroup; i++)
    most = t->group[i].candidates > most ? t->group[i].candidates : most;
  t->nprogram = most + 1;
  for (int k = 1; k <= most && !code; k++) {
    t->program[k].tiles = other_tiles(t, k);
    code = build(t, &t->program[k], false);
  }
  return code;
}

/* ---- measuring ---- */

static bool in_group(const Tiles *tiles, const char *group, const char *kernel, size_t n)
{
  for (uint32_t i = 0; i < tiles->made.n; i++) {
    const TileChoice *c = &tiles->made.at[i];
    for (uint32_t k = 0; str_eq(c->group, group) && k < c->kernels.n; k++)
      if (strlen(c->kernels.at[k]) == n && !strncmp(c->kernels.at[k], kernel, n))
        return true;
  }
  return false;
}

/* Adds the lines of a profile to the groups; training and inference count. */
static void read_profile(Tune *t, int k, int round)
{
  static const char event[] = "\"event\":\"profile\"", key[] = "\"kernel\":\"";
  for (const char *p = t->text; (p = strstr(p, event)) != NULL; p++) {
    const char *name = strstr(p, key);
    if (!name)
      return;
    name += strlen(key);
    for (int i = 0; i < t->ngroup; i++)
      if (in_group(t->program[k].tiles, t->group[i].group, name, strcspn(name, "\"")))
        t->group[i].time[k][round] += bench_number(p, NULL, "ns") / 1e9;
  }
}

static int measure(Tune *t, int k, int round)
{
  TuneProgram *p = &t->program[k];
  const char *threads = arena_printf(t->arena, "%d", t->options->threads);
  const char *const words[] = { p->exe, "bench", "--json", "--threads", threads, "--seconds",
                                t->options->seconds };
  char *argv[ARRAY_LEN(words) + 1] = { NULL };
  for (size_t i = 0; i < ARRAY_LEN(words); i++)
    argv[i] = (char *)(uintptr_t)words[i];
  int code = bench_run(argv, t->text, PROFILE_BYTES);
  if (code)
    return gradrt_error(EXIT_IO, "'%s' failed (exit %d)", p->exe, code);
  for (int i = 0; i < t->ngroup; i++)
    t->group[i].time[k][round] = 0;
  read_profile(t, k, round);
  bench_weights(t->text, p->weights);
  if (str_eq(p->weights, t->program[0].weights))
    return EXIT_OK;
  return gradrt_error(EXIT_QUALITY, "other tiles change the weights: '%s'", p->exe);
}

/* Every second round goes backwards, so that nobody always comes after the same one. */
static int run_rounds(Tune *t, int rounds)
{
  for (int round = 0; round < rounds; round++)
    for (int i = 0; i < t->nprogram; i++) {
      int code = measure(t, round % 2 ? t->nprogram - 1 - i : i, round);
      if (code)
        return code;
    }
  return EXIT_OK;
}

double tune_gain(const TuneGroup *g, int k, int rounds)
{
  double ratio[2 * TUNE_ROUNDS_MAX];
  int lost = 0;
  for (int r = 0; r < rounds; r++) {
    ratio[r] = g->time[0][r] > 0 ? g->time[k][r] / g->time[0][r] : 1;
    lost += ratio[r] >= 1;
  }
  double gain = 100 * (1 - bench_median(ratio, rounds));
  return gain > 2 && lost <= rounds / 10 ? gain : 0;
}

static void choose(Tune *t)
{
  for (int i = 0; i < t->ngroup; i++) {
    TuneGroup *g = &t->group[i];
    for (int k = 1; k <= g->candidates; k++) {
      double gain = tune_gain(g, k, t->options->rounds);
      if (gain > g->gain) {
        g->gain = gain;
        g->best = k;
      }
    }
  }
}

/* ---- what wins ---- */

static const TuneGroup *group_of(const Tune *t, const TileChoice *c)
{
  const TuneGroup *g = t->group;
  while (!str_eq(g->group, c->group))
    g++;
  return g;
}

/* The best tiles in place of what out wants; the standard ones as tiles with nv 0. */
static void want_best(const Tune *t, Tiles *out)
{
  const Tiles *standard = t->program[0].tiles;
  for (uint32_t i = 0; i < standard->made.n; i++) {
    const TileChoice *c = &standard->made.at[i];
    const TuneGroup *g = group_of(t, c);
    bool wins = g->best && g->best <= c->nother;
    tiles_want(out, c->key, wins ? c->other[g->best - 1] : (Tile){ 0, 0 }, wins ? g->gain : 0);
  }
}

/* The winners together against the standard program once more; who loses keeps standard tiles. */
static int confirm(Tune *t)
{
  bool any = false;
  for (int i = 0; i < t->ngroup; i++)
    any = any || t->group[i].best;
  if (!any)
    return EXIT_OK;
  t->nprogram = 2;
  t->program[1].tiles = tiles_new(t->arena);
  want_best(t, t->program[1].tiles);
  int code = build(t, &t->program[1], false), rounds = 2 * t->options->rounds;
  if (!code)
    code = run_rounds(t, rounds);
  for (int i = 0; i < t->ngroup && !code; i++) {
    TuneGroup *g = &t->group[i];
    g->gain = g->best ? tune_gain(g, 1, rounds) : 0;
    g->best = g->gain > 0 ? g->best : 0;
  }
  return code;
}

void tune_print(const TuneGroup *group, int n, const Tiles *standard)
{
  printf("| kernel | for | standard tile | best tile | gain %% |\n|---|---|---|---|---:|\n");
  for (uint32_t i = 0; i < standard->made.n; i++) {
    const TileChoice *c = &standard->made.at[i];
    const TuneGroup *g = group;
    while (g < group + n - 1 && !str_eq(g->group, c->group))
      g++;
    Tile best = g->best && g->best <= c->nother ? c->other[g->best - 1] : c->standard;
    printf("| %s | %s | %d x %d | %d x %d | %.1f |\n", c->kernels.n ? c->kernels.at[0] : "",
           c->key, c->standard.nv, c->standard.ns, best.nv, best.ns, g->gain);
  }
}

static int keep(Tune *t)
{
  const char *path;
  CmdOptions cached = *t->o;
  cached.no_tune = false;
  Tiles *all = cmd_tiles(&cached, t->arena);
  want_best(t, all);
  int code = tune_write(all, &path), won = 0;
  for (int i = 0; i < t->ngroup; i++)
    won += t->group[i].best > 0;
  if (!code && !t->o->quiet)
    fprintf(stderr, "tune: %d of %d groups of kernels have a better tile; weights are equal, bit "
                    "for bit\nkept in %s\n", won, t->ngroup, path);
  return code;
}

int cmd_tune(const CmdOptions *o)
{
  Arena *a = arena_new("tune");
  TuneOptions options;
  int code = tune_options(o, a, &options);
  if (!code && !options.help) {
    Tune t = { .o = o, .options = &options, .arena = a, .text = arena_alloc(a, PROFILE_BYTES) };
    code = build_all(&t);
    bool made = !code && t.program[0].exe;
    if (made && !o->quiet)
      fprintf(stderr, "tune: %d programs, %d rounds\n", t.nprogram, options.rounds);
    if (made)
      code = run_rounds(&t, options.rounds);
    if (made && !code) {
      choose(&t);
      code = confirm(&t);
    }
    if (made && !code) {
      tune_print(t.group, t.ngroup, t.program[0].tiles);
      code = keep(&t);
    }
  }
  arena_free(&a);
  return code;
}
