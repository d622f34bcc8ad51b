/* Loading steps: through LLVM in memory; through the C back end as a library in the cache. */
#include "cmd/load.h"
#include "internal.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef const gradrt_net *(*NetFunction)(void);

static int open_library(const char *path, LoadedNet *out)
{
  NetFunction get = NULL;
  out->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  void *symbol = out->library ? dlsym(out->library, "gradrt_loaded_net") : NULL;
  if (!symbol)
    return gradrt_error(EXIT_IO, "cannot load '%s': %s", path, dlerror());
  memcpy(&get, &symbol, sizeof get);
  out->net = get();
  return EXIT_OK;
}

static int load_c(const CmdOptions *o, Compilation *c, LoadedNet *out)
{
  EmitArgs args = cmd_emit_args(o, c);
  Out *text = out_new(c->arena);
  args.loaded = true;
  if (!backend_find("c")->emit(&args, text)) {
    diag_flush(c->diag);
    return EXIT_INTERNAL;
  }
  const char *cc = cmd_compiler(o), *key = cmd_hash(c->arena, out_text(text), out_length(text));
  const char *dir = cmd_cache_dir(c->arena, arena_printf(c->arena, "%s-%s-%s-so", c->model->name,
                                                         key, cmd_hash(c->arena, cc, strlen(cc))));
  if (!dir)
    return EXIT_IO;
  const char *path = arena_printf(c->arena, "%s/%s.so", dir, c->model->name);
  const char *source = arena_printf(c->arena, "%s/%s.c", dir, c->model->name);
  const char *made = arena_printf(c->arena, "%s.%ld", path, (long)getpid());
  if (access(path, R_OK) == 0)
    return open_library(path, out);
  int code = cmd_write(source, out_text(text), out_length(text));
  code = code ? code : cmd_cc(o, c, source, made, "so");
  if (!code && rename(made, path) != 0)
    code = gradrt_error(EXIT_IO, "cannot write '%s': %s", path, strerror(errno));
  return code ? code : open_library(path, out);
}

int load_net(const CmdOptions *o, Compilation *c, LoadedNet *out)
{
  *out = (LoadedNet){ 0 };
  return cmd_uses_llvm(o) ? cmd_load_llvm(o, c, &out->net, &out->code) : load_c(o, c, out);
}

void load_free(LoadedNet *n)
{
  if (n->code)
    llvm_unload(&n->code);
  if (n->library)
    dlclose(n->library);
  *n = (LoadedNet){ 0 };
}
