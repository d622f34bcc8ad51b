/* doctor: what this machine and this gradc have, and what to install where something is missing. */
#include "backend/llvm/llvm_backend.h"
#include "base/str.h"
#include "cmd/cmd.h"
#include "internal.h"
#include "pictures.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_row(const char *what, bool good, const char *value, const char *help)
{
  printf("%-14s %-4s %s%s%s\n", what, good ? "yes" : "no", value, good || !help ? "" : "; ",
         good || !help ? "" : help);
}

/* The file that a command's name stands for; NULL: none on PATH. */
static const char *find_program(Arena *a, const char *name)
{
  if (strchr(name, '/'))
    return access(name, X_OK) == 0 ? name : NULL;
  for (const char *dir = getenv("PATH"); dir && *dir;) {
    size_t n = strcspn(dir, ":");
    const char *path = arena_printf(a, "%.*s/%s", (int)n, dir, name);
    if (access(path, X_OK) == 0)
      return path;
    dir += n + (dir[n] == ':');
  }
  return NULL;
}

static void print_cpu(Arena *a)
{
  const Target *t = target_host();
  print_row("processor", t,
            t ? arena_printf(a, "%s: %s", t->name, t->doc) : "not one that gradc knows",
            "build with --cpu and run elsewhere");
}

static bool print_compiler(Arena *a, const CmdOptions *o)
{
  const char *name = cmd_compiler(o), *path = find_program(a, name);
  print_row("C compiler", path, path ? path : str_escape(a, name, 200),
            "Debian: apt-get install gcc");
  return path;
}

static bool print_llvm(void)
{
  print_row("LLVM", llvm_present(),
            llvm_present() ? llvm_version() : "this gradc was built without it",
            "Debian: apt-get install llvm-19-dev, then build gradc again");
  return llvm_present();
}

static void print_pictures(void)
{
  const char *have = gradrt_picture_libraries();
  print_row("images", *have, *have ? have + 1 : "this gradc was built without libpng and libjpeg",
            "Debian: apt-get install libpng-dev libjpeg-dev, then build gradc again");
}

static void print_cache(Arena *a)
{
  const char *dir = cmd_cache_dir(a, "doctor");
  print_row("cache", dir, dir ? cmd_spec_dir(a, str_escape(a, dir, 300)) : "cannot be made",
            "name a folder in XDG_CACHE_HOME");
  if (dir)
    rmdir(dir);
}

static bool print_folder(void)
{
  bool good = access(".", W_OK) == 0;
  print_row("this folder", good, good ? "results can be written" : "results cannot be written",
            "go to another folder, or say --out");
  return good;
}

int cmd_doctor(const CmdOptions *o)
{
  Arena *a = arena_new("doctor");
  printf("gradc %s\n\n", GRADC_VERSION);
  print_cpu(a);
  int threads = gradrt_default_threads();
  print_row("threads", true, arena_printf(a, "%d", threads), NULL);
  bool compiler = print_compiler(a, o), llvm = print_llvm();
  print_pictures();
  print_cache(a);
  bool folder = print_folder();
  bool runs = (compiler || llvm) && folder;
  printf("\n%s\n", runs ? "gradc can train here." : "gradc cannot train here.");
  arena_free(&a);
  return runs ? EXIT_OK : EXIT_IO;
}
