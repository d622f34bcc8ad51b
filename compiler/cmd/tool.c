/* What commands share: writing files, the C compiler, the cache. No shell is ever involved. */
#include "base/str.h"
#include "cmd/cmd.h"
#include "internal.h"
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int complain(int code, const char *what, const char *path)
{
  fprintf(stderr, "gradc: error: %s '%s': %s\n", what, path, strerror(errno));
  return code;
}

int cmd_write(const char *path, const char *text, size_t length)
{
  if (str_eq(path, "-")) {
    bool ok = fwrite(text, 1, length, stdout) == length;
    return fflush(stdout) == 0 && ok ? EXIT_OK : complain(EXIT_IO, "cannot write to", "standard output");
  }
  gradrt_writer *w = gradrt_writer_open(path);
  if (!w)
    return EXIT_IO;
  gradrt_writer_put(w, text, length);
  return gradrt_writer_commit(w) ? EXIT_IO : EXIT_OK;
}

const char *cmd_emit_c(const CmdOptions *o, Compilation *c, size_t *length)
{
  const Backend *backend = backend_find("c");
  Out *out = out_new(c->arena);
  EmitArgs args = { .module = c->module, .net = c->net, .target = c->target, .spec_file = c->model->file,
                    .version = GRADC_VERSION, .sources = c->sources, .thin = o->thin, .arena = c->arena, .diag = c->diag };
  if (!backend->emit(&args, out)) {
    diag_flush(c->diag);
    return NULL;
  }
  *length = out_length(out);
  return out_text(out);
}

static int run(char *const *argv)
{
  pid_t pid;
  int status = 0;
  int failed = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
  if (failed) {
    fprintf(stderr, "gradc: error: cannot run '%s': %s\n", argv[0], strerror(failed));
    if (failed == ENOENT)
      fprintf(stderr, "help: install a C compiler (sudo apt install gcc) or set CC\n");
    return EXIT_IO;
  }
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      return EXIT_IO;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool cmd_needs_zlib(const gradrt_net *net)
{
  for (int i = 0; i < net->nsource; i++)
    for (int k = 0; k < net->source[i].nprop; k++) {
      const char *text = net->source[i].prop[k].text;
      size_t n = text ? strlen(text) : 0;
      if (n > 3 && !strcmp(text + n - 3, ".gz"))
        return true;
    }
  return false;
}

int cmd_cc(const CmdOptions *o, const Compilation *c, const char *source, const char *target, const char *kind)
{
  const char *cc = getenv("CC");
  char *argv[24];
  int n = 0;
  bool host = c->target == target_host();
  argv[n++] = arena_strdup(c->arena, cc && cc[0] ? cc : "cc");
  argv[n++] = arena_strdup(c->arena, "-std=c11");
  argv[n++] = arena_strdup(c->arena, "-O3");
  char flags[128];
  snprintf(flags, sizeof flags, "%s", host ? "-march=native" : c->target->c_flags);
  for (char *word = strtok(flags, " "); word && n < 16; word = strtok(NULL, " "))
    argv[n++] = word;
  if (str_eq(kind, "so")) {
    argv[n++] = arena_strdup(c->arena, "-shared");
    argv[n++] = arena_strdup(c->arena, "-fPIC");
  }
  argv[n++] = arena_strdup(c->arena, source);
  argv[n++] = arena_strdup(c->arena, "-o");
  argv[n++] = arena_strdup(c->arena, target);
  argv[n++] = arena_strdup(c->arena, "-lm");
  argv[n++] = arena_strdup(c->arena, "-lpthread");
  if (cmd_needs_zlib(c->net))
    argv[n++] = arena_strdup(c->arena, "-lz");
  argv[n] = NULL;
  if (o->verbose) {
    for (int i = 0; i < n; i++)
      fprintf(stderr, "%s%s", argv[i], i + 1 < n ? " " : "\n");
  }
  int code = run(argv);
  if (code == 0)
    return EXIT_OK;
  if (code != EXIT_IO)
    fprintf(stderr, "gradc: error: the C compiler '%s' failed on '%s' (exit %d)\n", argv[0], source, code);
  return EXIT_IO;
}

static bool make_dir(const char *path) { return mkdir(path, 0777) == 0 || errno == EEXIST; }

const char *cmd_cache_dir(Arena *a, const char *key)
{
  const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  char *dir;
  if (base && base[0] == '/')
    dir = arena_strdup(a, base);
  else if (home && home[0] == '/')
    dir = arena_printf(a, "%s/.cache", home);
  else
    dir = arena_strdup(a, "/tmp");
  bool ok = make_dir(dir);
  dir = arena_printf(a, "%s/gradc", dir);
  ok = make_dir(dir) && ok;
  dir = arena_printf(a, "%s/%s", dir, key);
  ok = make_dir(dir);
  if (!ok) {
    complain(EXIT_IO, "cannot make the cache folder", dir);
    return NULL;
  }
  return dir;
}
