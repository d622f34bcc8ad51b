/* check, train, eval, predict. The last three build the program into the cache, keyed by everything that
 * decides its code, and then become it; with LLVM they run its steps in this process. */
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/llvm.h"
#include "internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cmd_check(const CmdOptions *o)
{
  Compilation *c = compilation_new();
  int code = compile_graphs(c, &o->driver);
  if (!code && !o->quiet)
    fprintf(stderr, "%s: no mistakes found\n", str_escape(c->arena, o->driver.file, 200));
  compilation_free(&c);
  return code;
}

const char *cmd_spec_dir(Arena *a, const char *file)
{
  const char *slash = strrchr(file, '/');
  return slash ? arena_strndup(a, file, slash == file ? 1 : (size_t)(slash - file)) : ".";
}

/* The key is a hash of the whole program, so that it tells runtimes apart too. */
const char *cmd_build_cached(const CmdOptions *o, Compilation *c, int *code)
{
  if (cmd_uses_llvm(o))
    return cmd_build_cached_llvm(o, c, code);
  size_t length;
  const char *text = cmd_emit_c(o, c, &length);
  const char *cc = cmd_compiler(o);
  *code = EXIT_INTERNAL;
  if (!text)
    return NULL;
  const char *key = cmd_hash(c->arena, text, length);
  key = arena_printf(c->arena, "%s-%s-%s", c->model->name, key, cmd_hash(c->arena, cc, strlen(cc)));
  const char *dir = cmd_cache_dir(c->arena, key);
  *code = EXIT_IO;
  if (!dir)
    return NULL;
  const char *exe = arena_printf(c->arena, "%s/%s", dir, c->model->name);
  *code = EXIT_OK;
  if (access(exe, X_OK) == 0)
    return exe;
  const char *source = arena_printf(c->arena, "%s.c", exe), *temp = arena_printf(c->arena, "%s.%ld", exe, (long)getpid());
  *code = cmd_write(source, text, length);
  if (!*code)
    *code = cmd_compile_program(o, c, source, temp);
  if (!*code && rename(temp, exe) != 0) {
    *code = gradrt_error(EXIT_IO, "cannot write '%s': %s", exe, strerror(errno));
  }
  if (*code)
    unlink(temp);
  return *code ? NULL : exe;
}

/* Says which of several train blocks runs, and how the others are reached. */
static void say_train(const CmdOptions *o, const Compilation *c)
{
  const Model *m = c->model;
  if (m->nprogram < 2 || o->driver.train || o->quiet)
    return;
  fprintf(stderr, "%s: train block `%s`; --train chooses another:", o->driver.file, m->name);
  for (int i = 0; i < m->nprogram; i++)
    if (!str_eq(m->programs[i], m->name))
      fprintf(stderr, " %s", m->programs[i]);
  fprintf(stderr, "\n");
}

/* How the user names the program: the spec, and which of its train blocks. */
static const char *called(const CmdOptions *o, Arena *a)
{
  const DriverOptions *d = &o->driver;
  return d->train ? arena_printf(a, "%s --train %s", d->file, d->train) : d->file;
}

int cmd_run(const CmdOptions *o, const char *verb)
{
  Compilation *c = compilation_new();
  DriverOptions driver = o->driver;
  driver.tiles = cmd_tiles(o, c->arena);
  driver.mc_eval = str_eq(verb, "eval");
  int code = compile_module(c, &driver);
  bool memory = cmd_uses_llvm(o);
  const char *exe = NULL;
  if (!code && !c->stopped)
    exe = memory ? c->model->name : cmd_build_cached(o, c, &code);
  if (!exe) {
    compilation_free(&c);
    return code;
  }
  say_train(o, c);
  char **argv = ARENA_ARRAY(c->arena, char *, o->nrest + 10);
  int n = 0;
  argv[n++] = arena_strdup(c->arena, exe);
  argv[n++] = arena_strdup(c->arena, verb);
  argv[n++] = arena_strdup(c->arena, "--data");
  argv[n++] = arena_strdup(c->arena, cmd_spec_dir(c->arena, o->driver.file));
  argv[n++] = arena_strdup(c->arena, "--called");
  argv[n++] = arena_strdup(c->arena, called(o, c->arena));
  if (o->quiet)
    argv[n++] = arena_strdup(c->arena, "--quiet");
  if (o->json)
    argv[n++] = arena_strdup(c->arena, "--json");
  for (int i = 0; i < o->nrest; i++)
    argv[n++] = o->rest[i];
  argv[n] = NULL;
  if (memory) {
    code = cmd_run_llvm(o, c, n, argv);
  } else {
    execv(exe, argv);
    code = gradrt_error(EXIT_IO, "cannot run '%s': %s", exe, strerror(errno));
  }
  compilation_free(&c);
  return code;
}
