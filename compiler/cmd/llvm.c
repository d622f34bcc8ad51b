/* The LLVM back end's side of the commands: build --emit ll, bc, asm, obj, so and exe; and train,
 * eval and predict in memory, with compiled objects kept in the cache. */
#include "backend/llvm/llvm_backend.h"
#include "base/str.h"
#include "cmd/llvm.h"
#include "internal.h"
#include "loop/text.h"
#include "pictures.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool cmd_uses_llvm(const CmdOptions *o)
{
  const char *cc = getenv("CC");
  if (o->backend)
    return str_eq(o->backend, "llvm");
  return llvm_present() && !(cc && cc[0]);
}

/* ---- build ---- */

static const struct { const char *name, *suffix; LlvmKind kind; } kinds[] = {
  { "ll", ".ll", LLVM_TEXT }, { "bc", ".bc", LLVM_BITCODE }, { "asm", ".s", LLVM_ASSEMBLY },
  { "obj", ".o", LLVM_OBJECT }, { "so", ".so", LLVM_OBJECT }, { "exe", "", LLVM_OBJECT },
};

/* Shows what there is to say; the exit code after a step that worked or not. */
static int settle(const Compilation *c, bool worked)
{
  int code = diag_exit_code(c->diag);
  diag_flush(c->diag);
  return worked ? EXIT_OK : code ? code : EXIT_INTERNAL;
}

static int link_object(const CmdOptions *o, Compilation *c, const char *object, const char *out,
                       bool shared)
{
  const char *runtime = cmd_runtime_library(c->arena), *argv[16];
  int n = 0;
  if (!runtime)
    return gradrt_error(EXIT_IO, "libgradrt.a is neither beside gradc nor in ../lib; link '%s' "
                        "with it yourself", object);
  argv[n++] = cmd_compiler(o);
  if (shared)
    argv[n++] = "-shared";
  argv[n++] = "-o";
  argv[n++] = out;
  argv[n++] = object;
  if (shared)
    argv[n++] = "-Wl,--whole-archive";
  argv[n++] = runtime;
  if (shared)
    argv[n++] = "-Wl,--no-whole-archive";
  argv[n++] = "-lm";
  argv[n++] = "-lpthread";
  argv[n++] = "-lz";
  for (const char *p = gradrt_picture_libraries(); *p; p += strcspn(p, " ")) {
    p += strspn(p, " ");
    argv[n++] = arena_strndup(c->arena, p, strcspn(p, " "));
  }
  argv[n] = NULL;
  return cmd_run_tool(o, c->arena, argv);
}

int cmd_link_llvm(const CmdOptions *o, Compilation *c, Out *object, const char *out, bool shared)
{
  const char *path = arena_printf(c->arena, "%s.o", out);
  int code = cmd_write(path, out_text(object), out_length(object));
  if (!code)
    code = link_object(o, c, path, out, shared);
  unlink(path);
  return code;
}

int cmd_emit_llvm(const CmdOptions *o, Compilation *c, const char *kind, const char *out)
{
  size_t k = 0;
  while (!str_eq(kinds[k].name, kind))
    k++;
  int code = compile_module(c, &o->driver);
  if (code || c->stopped)
    return code;
  EmitArgs args = cmd_emit_args(o, c);
  Out *text = out_new(c->arena);
  code = settle(c, llvm_emit(&args, kinds[k].kind, o->triple, text));
  if (code)
    return code;
  bool linked = str_eq(kind, "exe") || str_eq(kind, "so");
  out = arena_printf(c->arena, "%s%s", out, o->out ? "" : kinds[k].suffix);
  if (linked && !cmd_same_machine(c->target))
    code = gradrt_error(EXIT_USAGE, "link for %s there: --emit obj", c->target->arch);
  else if (linked)
    code = str_eq(out, "-") ? gradrt_error(EXIT_USAGE, "a linked file cannot go to standard output")
                            : cmd_link_llvm(o, c, text, out, str_eq(kind, "so"));
  else
    code = cmd_write(out, out_text(text), out_length(text));
  if (!code && !o->quiet && !str_eq(out, "-"))
    fprintf(stderr, "wrote %s\n", out);
  return code;
}

bool cmd_is_llvm_kind(const char *kind)
{
  for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
    if (str_eq(kinds[k].name, kind))
      return true;
  return false;
}

/* ---- targets ---- */

/* "aarch64-linux-gnu": starts with the name of the architecture. */
static bool of_arch(const Target *t, const char *triple)
{
  size_t n = strlen(t->arch);
  return !strncmp(triple, t->arch, n) && (triple[n] == '-' || !triple[n]);
}

/* How triples may start: "x86_64-, aarch64-, riscv64-". */
static const char *known_archs(char *text, size_t size)
{
  int n;
  const Target *const *all = target_all(&n);
  text[0] = '\0';
  for (int i = 0; i < n; i++)
    if (i == 0 || !str_eq(all[i]->arch, all[i - 1]->arch))
      snprintf(text + strlen(text), size - strlen(text), "%s%s-", i ? ", " : "", all[i]->arch);
  return text;
}

int cmd_choose_target(CmdOptions *o)
{
  int n;
  const Target *const *all = target_all(&n), *host = target_host(), *chosen = NULL;
  char archs[128];
  if (!o->triple)
    return EXIT_OK;
  for (int i = 0; i < n; i++)
    if (of_arch(all[i], o->triple))
      chosen = all[i];
  if (!chosen)
    return gradrt_error(EXIT_USAGE, "there is no code for '%s': triples start with one of %s",
                        o->triple, known_archs(archs, sizeof archs));
  if (o->driver.target && !of_arch(o->driver.target, o->triple))
    return gradrt_error(EXIT_USAGE, "--cpu %s does not belong to --target %s",
                        o->driver.target->name, o->triple);
  if (!o->driver.target)
    o->driver.target = host && of_arch(host, o->triple) ? host : chosen;
  return EXIT_OK;
}

/* Targets of an architecture stand in the order best first. */
static bool runs_here(const Target *t)
{
  int n, want = 0, have = 0;
  const Target *const *all = target_all(&n), *host = target_host();
  while (want < n && all[want] != t)
    want++;
  while (have < n && all[have] != host)
    have++;
  return cmd_same_machine(t) && have <= want;
}

/* ---- in memory ---- */

/* Everything that decides the bytes of an object of step functions. */
static const char *object_key(Compilation *c, const EmitArgs *args)
{
  Out *text = out_new(c->arena);
  out_printf(text, "gradc %s, LLVM %s, %s, measure %d\n", GRADC_VERSION, llvm_version(),
             args->target->name, (int)args->measure);
  loop_print(args->module, text);
  return arena_printf(c->arena, "%s-%s-llvm", c->model->name,
                      cmd_hash(c->arena, out_text(text), out_length(text)));
}

/* A cached object begins with the SHA-256 of what follows. */
enum { SUM_BYTES = 32 };

/* The object of a cached file; NULL: there is none, or its bytes are not those once written. */
static Out *read_object(Arena *a, const char *path)
{
  char part[1 << 14];
  unsigned char sum[SUM_BYTES], want[SUM_BYTES];
  Out *object = out_new(a);
  FILE *f = fopen(path, "rb");
  if (!f)
    return NULL;
  bool ok = fread(want, 1, SUM_BYTES, f) == SUM_BYTES;
  for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
    out_bytes(object, part, n);
  ok = !ferror(f) && ok;
  fclose(f);
  gradrt_sha256(out_text(object), out_length(object), sum);
  return ok && !memcmp(sum, want, SUM_BYTES) ? object : NULL;
}

static int write_object(Arena *a, const char *path, const Out *object)
{
  unsigned char sum[SUM_BYTES];
  Out *file = out_new(a);
  gradrt_sha256(out_text(object), out_length(object), sum);
  out_bytes(file, (const char *)sum, SUM_BYTES);
  out_bytes(file, out_text(object), out_length(object));
  return cmd_write(path, out_text(file), out_length(file));
}

/* The objects of the step functions: from the cache, or made and put there, also in the place of
 * damaged ones. */
static int get_objects(Compilation *c, const EmitArgs *args, Out *object[LLVM_PARTS])
{
  const char *dir = cmd_cache_dir(c->arena, object_key(c, args)), *path[LLVM_PARTS];
  bool found = dir != NULL;
  if (!found)
    return EXIT_IO;
  for (int i = 0; i < LLVM_PARTS; i++) {
    path[i] = arena_printf(c->arena, "%s/steps-%d.o", dir, i);
    object[i] = read_object(c->arena, path[i]);
    found = found && object[i];
  }
  int code = found ? EXIT_OK : settle(c, llvm_emit_steps(args, object));
  for (int i = 0; i < LLVM_PARTS && !code && !found; i++)
    code = write_object(c->arena, path[i], object[i]);
  return code;
}

int cmd_load_llvm(const CmdOptions *o, Compilation *c, const gradrt_net **net, LlvmCode **loaded)
{
  EmitArgs args = cmd_emit_args(o, c);
  Out *object[LLVM_PARTS];
  *loaded = NULL;
  if (llvm_present() && !runs_here(c->target))
    return gradrt_error(EXIT_USAGE, "this machine does not run code for %s", c->target->name);
  int code = get_objects(c, &args, object);
  if (code)
    return code;
  *net = llvm_load(&args, object, loaded);
  return settle(c, *net != NULL);
}

int cmd_run_llvm(const CmdOptions *o, Compilation *c, int argc, char **argv)
{
  LlvmCode *loaded;
  const gradrt_net *net = NULL;
  int code = cmd_load_llvm(o, c, &net, &loaded);
  if (code)
    return code;
  code = gradrt_main(net, argc, argv);
  llvm_unload(&loaded);
  return code;
}

const char *cmd_build_cached_llvm(const CmdOptions *o, Compilation *c, int *code)
{
  EmitArgs args = cmd_emit_args(o, c);
  Out *object = out_new(c->arena);
  *code = settle(c, llvm_emit(&args, LLVM_OBJECT, NULL, object));
  if (*code)
    return NULL;
  const char *key = cmd_hash(c->arena, out_text(object), out_length(object));
  const char *dir =
      cmd_cache_dir(c->arena, arena_printf(c->arena, "%s-%s-llvm", c->model->name, key));
  if (!dir) {
    *code = EXIT_IO;
    return NULL;
  }
  const char *exe = arena_printf(c->arena, "%s/%s", dir, c->model->name);
  if (access(exe, X_OK) == 0)
    return exe;
  const char *made = arena_printf(c->arena, "%s.%ld", exe, (long)getpid());
  *code = cmd_link_llvm(o, c, object, made, false);
  if (!*code && rename(made, exe) != 0)
    *code = gradrt_error(EXIT_IO, "cannot write '%s': %s", exe, strerror(errno));
  return *code ? NULL : exe;
}
