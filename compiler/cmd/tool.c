/* What commands share: writing files, the C compiler, the cache. No shell is ever involved. */
#include "backend/library.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "internal.h"
#include "pictures.h"
#include <errno.h>
#include <fcntl.h>
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
  return gradrt_error(code, "%s '%s': %s", what, path, strerror(errno));
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

/* The libraries of libgradrt. */
static const char *runtime_links(Arena *a)
{
  return arena_printf(a, " -lz%s", gradrt_picture_libraries());
}

EmitArgs cmd_emit_args(const CmdOptions *o, Compilation *c)
{
  EmitArgs args = { .module = c->module, .net = c->net, .target = c->target, .spec_file = c->model->file,
                    .version = GRADC_VERSION, .sources = c->sources, .thin = o->thin,
                    .library = o->library, .arena = c->arena, .diag = c->diag };
  args.runtime_links = runtime_links(c->arena);
  args.measure = o->profile ? MEASURE_KERNELS : o->bench ? MEASURE_STEPS : MEASURE_NOTHING;
  return args;
}

const char *cmd_hash(Arena *a, const char *text, size_t n)
{
  unsigned char h[32];
  char *hex = arena_alloc(a, 33);
  gradrt_sha256(text, n, h);
  for (int i = 0; i < 16; i++)
    snprintf(hex + 2 * i, 3, "%02x", h[i]);
  return hex;
}

const char *cmd_emit_c(const CmdOptions *o, Compilation *c, size_t *length)
{
  const Backend *backend = backend_find("c");
  Out *out = out_new(c->arena);
  EmitArgs args = cmd_emit_args(o, c);
  if (!backend->emit(&args, out)) {
    diag_flush(c->diag);
    return NULL;
  }
  *length = out_length(out);
  return out_text(out);
}

static int spawn(char *const *argv, const posix_spawn_file_actions_t *files)
{
  pid_t pid;
  int status = 0;
  int failed = posix_spawnp(&pid, argv[0], files, NULL, argv, environ);
  if (failed)
    return -failed;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      return EXIT_IO;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int cmd_spawn(char *const *argv) { return spawn(argv, NULL); }

/* As cmd_spawn; what the program says of errors is lost. */
static int spawn_muted(char *const *argv)
{
  posix_spawn_file_actions_t files;
  if (posix_spawn_file_actions_init(&files))
    return EXIT_IO;
  int status = posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  status = status ? EXIT_IO : spawn(argv, &files);
  posix_spawn_file_actions_destroy(&files);
  return status;
}

static int run(char *const *argv)
{
  int status = cmd_spawn(argv);
  if (status >= 0)
    return status;
  gradrt_error(EXIT_IO, "cannot run '%s': %s", argv[0], strerror(-status));
  if (status == -ENOENT)
    gradrt_note("install a C compiler (sudo apt install gcc) or set CC");
  return EXIT_IO;
}

static void show(const CmdOptions *o, char *const *argv)
{
  for (int i = 0; o->verbose && argv[i]; i++)
    fprintf(stderr, "%s%s", argv[i], argv[i + 1] ? " " : "\n");
}

int cmd_run_tool(const CmdOptions *o, Arena *a, const char *const *words)
{
  int n = 0;
  while (words[n])
    n++;
  char **argv = ARENA_ARRAY(a, char *, n + 1);
  for (int i = 0; i < n; i++)
    argv[i] = arena_strdup(a, words[i]);
  show(o, argv);
  int code = run(argv);
  if (code == 0 || code == EXIT_IO)
    return code;
  return gradrt_error(EXIT_IO, "'%s' failed (exit %d)", argv[0], code);
}

const char *cmd_compiler(const CmdOptions *o)
{
  const char *cc = o->cc ? o->cc : getenv("CC");
  return cc && cc[0] ? cc : "cc";
}

enum { COMPILER_WORDS_MAX = 8 };

/* The words of a compiler such as "ccache gcc": one, when a file has the whole as its path. */
static int compiler_words(Arena *a, const char *cc, char **argv)
{
  char *rest = NULL, *words = arena_strdup(a, cc);
  int n = 0;
  if (access(cc, X_OK) == 0)
    argv[n++] = words;
  else
    for (char *w = strtok_r(words, " ", &rest); w && n < COMPILER_WORDS_MAX;
         w = strtok_r(NULL, " ", &rest))
      argv[n++] = w;
  if (n == 0)
    argv[n++] = words;
  return n;
}

/* Appends the words of a text as arguments. */
static void add_words(Arena *a, const char *text, char **argv, int *n)
{
  for (const char *p = text + strspn(text, " "); *p; p += strspn(p, " ")) {
    size_t length = strcspn(p, " ");
    argv[(*n)++] = arena_strndup(a, p, length);
    p += length;
  }
}

bool cmd_same_machine(const Target *t)
{
  const Target *host = target_host();
  return host && str_eq(host->arch, t->arch);
}

/* It stands beside gradc after a build, in ../lib after an installation. */
const char *cmd_runtime_library(Arena *a)
{
  static const char *const places[] = { "runtime/libgradrt.a", "../lib/libgradrt.a" };
  char self[4096];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  char *slash;
  if (n <= 0)
    return NULL;
  self[n] = '\0';
  slash = strrchr(self, '/');
  for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
    const char *path = arena_printf(a, "%.*s/%s", (int)(slash - self), self, places[i]);
    if (access(path, R_OK) == 0)
      return path;
  }
  return NULL;
}

int cmd_cc(const CmdOptions *o, const Compilation *c, const char *source, const char *target, const char *kind)
{
  char *argv[COMPILER_WORDS_MAX + 32];
  int n = compiler_words(c->arena, cmd_compiler(o), argv);
  bool host = c->target == target_host(), linked = str_eq(kind, "linked");
  argv[n++] = arena_strdup(c->arena, "-std=c11");
  argv[n++] = arena_strdup(c->arena, "-O3");
  char flags[128];
  snprintf(flags, sizeof flags, "%s", host ? "-march=native" : c->target->c_flags);
  for (char *word = strtok(flags, " "); word && n < COMPILER_WORDS_MAX + 16; word = strtok(NULL, " "))
    argv[n++] = word;
  if (str_eq(kind, "so")) {
    argv[n++] = arena_strdup(c->arena, "-shared");
    argv[n++] = arena_strdup(c->arena, "-fPIC");
  }
  argv[n++] = arena_strdup(c->arena, source);
  argv[n++] = arena_strdup(c->arena, "-o");
  argv[n++] = arena_strdup(c->arena, target);
  if (linked)
    argv[n++] = arena_strdup(c->arena, cmd_runtime_library(c->arena));
  argv[n++] = arena_strdup(c->arena, "-lm");
  argv[n++] = arena_strdup(c->arena, "-lpthread");
  add_words(c->arena, linked ? runtime_links(c->arena) : library_links(c->net), argv, &n);
  argv[n] = NULL;
  show(o, argv);
  if (linked)
    return spawn_muted(argv) == 0 ? EXIT_OK : EXIT_IO;
  int code = run(argv);
  if (code == 0)
    return EXIT_OK;
  if (code != EXIT_IO)
    gradrt_error(EXIT_IO, "the C compiler '%s' failed on '%s' (exit %d)", argv[0], source, code);
  return EXIT_IO;
}

/* False: nothing was made, as where the C compiler belongs to another libc than the runtime. */
static bool link_program(const CmdOptions *o, Compilation *c, const char *exe)
{
  const char *source = arena_printf(c->arena, "%s.%ld.own.c", exe, (long)getpid());
  EmitArgs args = cmd_emit_args(o, c);
  Out *text = out_new(c->arena);
  args.linked = true;
  bool written = !o->thin && cmd_same_machine(c->target) && cmd_runtime_library(c->arena) &&
                 backend_find("c")->emit(&args, text) &&
                 cmd_write(source, out_text(text), out_length(text)) == EXIT_OK;
  bool ok = written && cmd_cc(o, c, source, exe, "linked") == EXIT_OK;
  if (written)
    unlink(source);
  return ok;
}

int cmd_compile_program(const CmdOptions *o, Compilation *c, const char *source, const char *exe)
{
  return link_program(o, c, exe) ? EXIT_OK : cmd_cc(o, c, source, exe, "exe");
}

static bool make_dir(const char *path) { return mkdir(path, 0777) == 0 || errno == EEXIST; }

/* Where everybody may write, a folder counts only when nobody else can put a program into it. */
static bool make_own_dir(const char *path)
{
  struct stat st;
  if ((mkdir(path, 0700) != 0 && errno != EEXIST) || lstat(path, &st) != 0)
    return false;
  bool own = S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 022) == 0;
  errno = own ? 0 : EPERM;
  return own;
}

/* The user's folder of caches, or NULL: there is none, as for users without a home. */
static const char *cache_base(Arena *a)
{
  const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  struct stat st;
  if (base && base[0] == '/')
    return arena_strdup(a, base);
  bool lives = home && home[0] == '/' && stat(home, &st) == 0 && S_ISDIR(st.st_mode);
  return lives ? arena_printf(a, "%s/.cache", home) : NULL;
}

/* The folder of all keys, which may not exist. */
static const char *cache_root(Arena *a, const char *base)
{
  return base ? arena_printf(a, "%s/gradc", base)
              : arena_printf(a, "/tmp/gradc-%lu", (unsigned long)geteuid());
}

const char *cmd_cache_path(Arena *a, const char *key)
{
  return arena_printf(a, "%s/%s", cache_root(a, cache_base(a)), key);
}

const char *cmd_cache_dir(Arena *a, const char *key)
{
  const char *base = cache_base(a), *dir = base ? base : cache_root(a, NULL);
  bool ok = base ? make_dir(base) : make_own_dir(dir);
  if (base && ok) {
    dir = cache_root(a, base);
    ok = make_dir(dir);
  }
  if (ok) {
    dir = cmd_cache_path(a, key);
    ok = make_dir(dir);
  }
  if (!ok) {
    complain(EXIT_IO, "cannot make the cache folder", dir);
    gradrt_note("XDG_CACHE_HOME names a folder to use instead");
    return NULL;
  }
  return dir;
}
