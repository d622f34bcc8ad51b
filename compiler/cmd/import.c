/* import: weights that other programs made, with PyTorch's names, as a run of a net. */
#include "base/str.h"
#include "cmd/arrays.h"
#include "run.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_below(const char *name, const char *prefix, size_t n)
{
  return !strncmp(name, prefix, n) && (name[n] == '.' || name[n] == '\0');
}

/* One THEIRS=OURS: tensors whose names begin with OURS get the names of the file. */
static int rename_one(const Arrays *w, gradrt_tensor *tensor, const char *rule, size_t n)
{
  const char *equals = memchr(rule, '=', n);
  if (!equals || equals == rule || equals + 1 == rule + n)
    return gradrt_error(EXIT_USAGE, "--rename takes THEIRS=OURS, not '%.*s'", (int)n, rule);
  size_t theirs = (size_t)(equals - rule), ours = n - theirs - 1;
  bool found = false;
  for (int i = 0; i < w->net->ntensor; i++) {
    const char *name = w->net->tensor[i].name;
    if (!is_below(name, equals + 1, ours))
      continue;
    tensor[i].name = arena_printf(w->arena, "%.*s%s", (int)theirs, rule, name + ours);
    found = true;
  }
  if (found)
    return EXIT_OK;
  const char **names = ARENA_ARRAY(w->arena, const char *, w->narray);
  for (int i = 0; i < w->narray; i++)
    names[i] = arena_strndup(w->arena, w->array[i].name,
                             (size_t)(strrchr(w->array[i].name, '.') - w->array[i].name));
  const char *word = arena_strndup(w->arena, equals + 1, ours);
  const char *near = str_closest(word, names, w->narray);
  return gradrt_error(EXIT_USAGE, "--rename: this net has no weights '%s'%s%s%s", word,
                      near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* The net with the names of the file. */
static int rename_all(const Arrays *w, const char *rules, gradrt_net *net)
{
  gradrt_tensor *tensor = arena_copy(w->arena, net->tensor,
                                     sizeof *tensor * (size_t)net->ntensor);
  net->tensor = tensor;
  while (rules && *rules) {
    size_t n = strcspn(rules, ",");
    int code = rename_one(w, tensor, rules, n);
    if (code)
      return code;
    rules += n + (rules[n] == ',');
  }
  return EXIT_OK;
}

/* Into the state. A .npz file goes through a safetensors file in the cache. */
static int read_weights(const CmdOptions *o, Arrays *w)
{
  gradrt_net named = *w->net;
  int code = rename_all(w, o->rename, &named);
  if (code)
    return code;
  size_t n = strlen(o->weights);
  if (n < 4 || !str_eq(o->weights + n - 4, ".npz"))
    return gradrt_weights_read(&named, o->weights, w->state);
  const char *dir = cmd_cache_dir(w->arena, "import");
  if (!dir)
    return EXIT_IO;
  const char *path = arena_printf(w->arena, "%s/%ld.safetensors", dir, (long)getpid());
  code = arrays_npz_to_safetensors(w->arena, o->weights, path);
  if (!code) {
    code = gradrt_weights_read_as(&named, path, o->weights, w->state);
    unlink(path);
  }
  return code;
}

/* A checkpoint before the first step. */
static int save(Arrays *w, const char *dir)
{
  char *path = arena_alloc(w->arena, GRADRT_PATH_MAX);
  gradrt_position *at = ARENA_NEW(w->arena, gradrt_position);
  at->best = NAN;
  at->seed = w->net->training ? (uint64_t)w->net->training->seed : 0;
  int code = gradrt_path_make(dir);
  code = code ? code : gradrt_path_join(path, dir, "last.safetensors");
  if (!code && gradrt_path_exists(path))
    return gradrt_error(EXIT_IO, "'%s' is there already; -o names another folder", path);
  return code ? code : gradrt_checkpoint_write(w->net, path, w->state, at);
}

static int read_and_save(const CmdOptions *o, const Compilation *c)
{
  const char *dir = o->out ? o->out : arena_printf(c->arena, "runs/%s", c->model->name);
  if (!o->weights)
    return gradrt_error(EXIT_USAGE, "'import' needs --weights FILE.npz or FILE.safetensors");
  Arrays *w = arrays_new(c->arena, c->net);
  int code = w ? read_weights(o, w) : EXIT_LIMIT;
  code = code ? code : save(w, dir);
  if (!code && !o->quiet)
    printf("wrote  %s/last.safetensors  (%d arrays)\nnext   gradc eval %s --weights %s\n", dir,
           w->narray, o->driver.file, dir);
  return code;
}

int cmd_import(const CmdOptions *o)
{
  Compilation *c = compilation_new();
  int code = compile_module(c, &o->driver);
  code = code ? code : read_and_save(o, c);
  compilation_free(&c);
  return code;
}
