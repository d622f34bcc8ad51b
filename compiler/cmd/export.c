/* export: the weights of a run for other programs, and a description of them as JSON. */
#include "base/str.h"
#include "cmd/arrays.h"
#include "run.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool ends(const char *path, const char *tail)
{
  size_t n = strlen(path), m = strlen(tail);
  return n > m && str_eq(path + n - m, tail);
}

static void print_shape(FILE *f, const int64_t *dim, int rank)
{
  fprintf(f, ",\"shape\":[");
  for (int k = 0; k < rank; k++)
    fprintf(f, "%s%lld", k ? "," : "", (long long)dim[k]);
  fprintf(f, "]");
}

static void print_pair(FILE *f, const char *key, const char *value)
{
  fprintf(f, "\"%s\":", key);
  gradrt_json_string(f, value);
}

static void print_inputs(FILE *f, const gradrt_net *net)
{
  static const char *const dtypes[] = { "F32", "F64", "U8", "I32", "U32", "I64" };
  fprintf(f, ",\n \"fields\":[");
  for (int i = 0; i < net->nfield; i++) {
    const gradrt_field *x = &net->field[i];
    fprintf(f, "%s\n  {", i ? "," : "");
    print_pair(f, "name", x->name);
    fprintf(f, ",\"dtype\":\"%s\"", dtypes[x->dtype]);
    print_shape(f, x->dim, x->rank);
    if (x->is_label)
      fprintf(f, ",\"classes\":%lld", (long long)x->classes);
    fprintf(f, "}");
  }
  fprintf(f, "],\n \"outputs\":[");
  for (int i = 0; i < net->infer.noutput; i++) {
    const gradrt_output *x = &net->infer.output[i];
    fprintf(f, "%s\n  {", i ? "," : "");
    print_pair(f, "name", x->name);
    print_shape(f, x->dim, x->rank);
    fprintf(f, "}");
  }
}

/* What the arrays are and where in the file each one's values lie, row-major and little-endian. */
static void print_arrays(FILE *f, const Arrays *w)
{
  fprintf(f, "],\n \"arrays\":[");
  for (int i = 0; i < w->narray; i++) {
    const Array *x = &w->array[i];
    fprintf(f, "%s\n  {", i ? "," : "");
    print_pair(f, "name", x->name);
    fprintf(f, ",\"dtype\":\"%s\"", x->dtype);
    print_shape(f, x->dim, x->rank);
    fprintf(f, ",\"offset\":%lld,\"bytes\":%lld}", (long long)x->at, (long long)x->bytes);
  }
  fprintf(f, "]");
}

static int write_description(const Arrays *w, const char *weights, const char *path)
{
  const gradrt_net *net = w->net;
  const char *slash = strrchr(weights, '/');
  FILE *f = fopen(path, "w");
  if (!f)
    return gradrt_error(EXIT_IO, "cannot write '%s': %s", path, strerror(errno));
  fprintf(f, "{");
  print_pair(f, "net", net->name);
  fprintf(f, ",");
  print_pair(f, "spec", net->file);
  fprintf(f, ",");
  print_pair(f, "gradc", net->version);
  fprintf(f, ",");
  print_pair(f, "file", slash ? slash + 1 : weights);
  print_inputs(f, net);
  print_arrays(f, w);
  fprintf(f, ",\n ");
  print_pair(f, "text", net->spec ? net->spec : "");
  fprintf(f, "}\n");
  bool ok = !ferror(f);
  ok = fclose(f) == 0 && ok;
  return ok ? EXIT_OK : gradrt_error(EXIT_IO, "cannot write '%s'", path);
}

static int write(const CmdOptions *o, const Compilation *c)
{
  const char *path = o->out ? o->out : arena_printf(c->arena, "%s.npz", c->model->name);
  bool npz = ends(path, ".npz");
  if (!npz && !ends(path, ".safetensors"))
    return gradrt_error(EXIT_USAGE, "'%s' ends neither in .npz nor in .safetensors", path);
  Arrays *w = arrays_new(c->arena, c->net);
  int code = w ? arrays_load(w, o) : EXIT_LIMIT;
  if (!code)
    code = npz ? arrays_write_npz(w, path) : arrays_write_safetensors(w, path);
  const char *json = arena_printf(c->arena, "%.*s.json",
                                  (int)(strrchr(path, '.') - path), path);
  code = code ? code : write_description(w, path, json);
  if (!code && !o->quiet)
    printf("wrote  %s  %s  (%d arrays)\n", path, json, w->narray);
  return code;
}

int cmd_export(const CmdOptions *o)
{
  Compilation *c = compilation_new();
  int code = compile_module(c, &o->driver);
  code = code ? code : write(o, c);
  compilation_free(&c);
  return code;
}
