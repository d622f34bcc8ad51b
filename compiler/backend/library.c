/* Names, prototypes and the header of a net's library form. */
#include "backend/library.h"
#include "base/str.h"
#include <inttypes.h>
#include <string.h>

static const char *const verbs[LIBRARY_COUNT] = {
  [LIBRARY_NEW] = "new",   [LIBRARY_FREE] = "free", [LIBRARY_TRAIN] = "train",
  [LIBRARY_INFER] = "infer", [LIBRARY_GET] = "get", [LIBRARY_SET] = "set",
  [LIBRARY_LOAD] = "load", [LIBRARY_SAVE] = "save",
};

static const char *const callees[LIBRARY_COUNT] = {
  [LIBRARY_NEW] = "gradrt_model_new",     [LIBRARY_FREE] = "gradrt_model_free",
  [LIBRARY_TRAIN] = "gradrt_model_train", [LIBRARY_INFER] = "gradrt_model_infer",
  [LIBRARY_GET] = "gradrt_model_get",     [LIBRARY_SET] = "gradrt_model_set",
  [LIBRARY_LOAD] = "gradrt_model_load",   [LIBRARY_SAVE] = "gradrt_model_save",
};

const char *library_callee(LibraryFunction f) { return callees[f]; }

/* ---- libraries ---- */

static bool ends_in_gz(const char *s)
{
  size_t n = s ? strlen(s) : 0;
  return n >= 3 && !strcmp(s + n - 3, ".gz");
}

bool library_needs_zlib(const gradrt_net *net)
{
  for (int i = 0; i < net->nsource; i++)
    for (int k = 0; k < net->source[i].nprop; k++)
      if (ends_in_gz(net->source[i].prop[k].text))
        return true;
  return false;
}

bool library_needs_pictures(const gradrt_net *net)
{
  for (int i = 0; i < net->nsource; i++)
    if (str_eq(net->source[i].kind, "images"))
      return true;
  return false;
}

const char *library_links(const gradrt_net *net)
{
  static const char *const links[2][2] = { { "", " -lpng -ljpeg" },
                                           { " -lz", " -lz -lpng -ljpeg" } };
  return links[library_needs_zlib(net)][library_needs_pictures(net)];
}

/* ---- names ---- */

/* Letters, digits and bars of a name. What follows it keeps it from being a word of C. */
static const char *plain(Arena *a, const char *name)
{
  char *s = arena_strdup(a, name);
  for (char *p = s; *p; p++)
    if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9')))
      *p = '_';
  bool ours = !strncmp(s, "gradrt", 6) || s[0] == '_' || (s[0] >= '0' && s[0] <= '9');
  return ours ? arena_printf(a, "net_%s", s) : s;
}

const char *library_symbol(const Module *m, LibraryFunction f, Arena *a)
{
  return arena_printf(a, "%s_%s", plain(a, m->name), verbs[f]);
}

const char *library_rows_name(const gradrt_field *f, Arena *a)
{
  return arena_printf(a, "%s_rows", plain(a, f->name));
}

const char *library_out_name(const gradrt_output *o, Arena *a)
{
  return arena_printf(a, "%s_out", plain(a, o->name));
}

static const char *upper(Arena *a, const char *name)
{
  char *s = arena_strdup(a, plain(a, name));
  for (char *p = s; *p; p++)
    if (*p >= 'a' && *p <= 'z')
      *p = (char)(*p - 'a' + 'A');
  return s;
}

/* ---- what a net has ---- */

static const Host *host_of(const Module *m, LibraryFunction f)
{
  return f == LIBRARY_TRAIN ? m->host[HOST_TRAIN] : f == LIBRARY_INFER ? m->host[HOST_INFER] : NULL;
}

bool library_has(const Module *m, LibraryFunction f)
{
  return (f != LIBRARY_TRAIN && f != LIBRARY_INFER) || host_of(m, f);
}

static bool reads(const LStmt *body, int field)
{
  for (const LStmt *s = body; s; s = s->next) {
    if (s->kind == LS_FOR && reads(s->loop.body, field))
      return true;
    if (s->kind == LS_IF &&
        (reads(s->branch.then, field) || reads(s->branch.otherwise, field)))
      return true;
    for (uint32_t i = 0; s->kind == LS_CALL && i < s->call.kernel->formal.n; i++)
      if (s->call.arg[i]->role == BUF_ROWS && s->call.arg[i]->index == field)
        return true;
  }
  return false;
}

bool library_takes(const Module *m, LibraryFunction f, int field)
{
  const Host *h = host_of(m, f);
  return h && reads(h->body, field);
}

/* ---- prototypes ---- */

static const char *const c_type[] = {
  [GRADRT_F32] = "float",   [GRADRT_F64] = "double",   [GRADRT_U8] = "uint8_t",
  [GRADRT_I32] = "int32_t", [GRADRT_U32] = "uint32_t", [GRADRT_I64] = "int64_t",
};

static void put_rows(const EmitArgs *e, LibraryFunction f, Out *o)
{
  for (int i = 0; i < e->net->nfield; i++)
    if (library_takes(e->module, f, i))
      out_printf(o, "const %s *%s, ", c_type[e->net->field[i].dtype],
                 library_rows_name(&e->net->field[i], e->arena));
}

static void put_params(const EmitArgs *e, LibraryFunction f, Out *o)
{
  const char *real = c_type[e->net->real], *model = plain(e->arena, e->module->name);
  bool reads_only = f == LIBRARY_GET || f == LIBRARY_SAVE;
  if (f == LIBRARY_NEW) {
    out_printf(o, "int threads, uint64_t seed");
    return;
  }
  out_printf(o, "%s%s_model *m", reads_only ? "const " : "", model);
  if (f == LIBRARY_LOAD || f == LIBRARY_SAVE)
    out_printf(o, ", const char *path");
  if (f == LIBRARY_GET || f == LIBRARY_SET)
    out_printf(o, ", const char *name, %s%s *values, int64_t n", f == LIBRARY_SET ? "const " : "",
               real);
  if (f != LIBRARY_TRAIN && f != LIBRARY_INFER)
    return;
  out_printf(o, ", ");
  put_rows(e, f, o);
  out_printf(o, "int64_t n");
  if (f == LIBRARY_TRAIN)
    out_printf(o, ", double lr, double *loss");
  for (int i = 0; f == LIBRARY_INFER && i < e->net->infer.noutput; i++)
    out_printf(o, ", %s *%s", real, library_out_name(&e->net->infer.output[i], e->arena));
}

const char *library_prototype(const EmitArgs *args, LibraryFunction f)
{
  Arena *a = args->arena;
  Out *o = out_new(a);
  if (f == LIBRARY_NEW)
    out_printf(o, "%s_model *", plain(a, args->module->name));
  else
    out_printf(o, f == LIBRARY_FREE ? "void " : "int ");
  out_printf(o, "%s(", library_symbol(args->module, f, a));
  put_params(args, f, o);
  out_printf(o, ")");
  return out_text(o);
}

/* ---- the header ---- */

/* " [28][28]": a shape, or nothing for a scalar */
static const char *shape_text(Arena *a, int rank, const int64_t *dim)
{
  Out *o = out_new(a);
  for (int d = 0; d < rank; d++)
    out_printf(o, "%s[%" PRId64 "]", d ? "" : " ", dim[d]);
  return out_text(o);
}

/* A name as a comment may hold it. */
static const char *quiet(Arena *a, const char *s)
{
  char *text = arena_strdup(a, s ? s : "");
  for (char *p = text; *p; p++)
    if (*p < ' ' || *p > '~' || *p == '*' || *p == '\\' || *p == '?')
      *p = '_';
  return text;
}

/* ", each in 0 .. 9": what the elements of a field may be. */
static const char *range_text(const EmitArgs *e, int field)
{
  const gradrt_field *x = &e->net->field[field];
  bool skips = e->net->training && e->net->training->counted == field + 1;
  return !x->is_label ? "" : arena_printf(e->arena, ", each in 0 .. %" PRId64 "%s", x->classes - 1,
                                          skips ? ", or -1: does not count" : "");
}

static void put_fields(const EmitArgs *e, LibraryFunction f, Out *o)
{
  for (int i = 0; i < e->net->nfield; i++) {
    const gradrt_field *x = &e->net->field[i];
    if (!library_takes(e->module, f, i))
      continue;
    out_line(o, " *   %s: n samples of %s%s%s", library_rows_name(x, e->arena), c_type[x->dtype],
             shape_text(e->arena, x->rank, x->dim), range_text(e, i));
  }
}

static void put_tensors(const EmitArgs *e, Out *o)
{
  static const char *const role[] = {
    [GRADRT_PARAM] = "parameter", [GRADRT_SLOT] = "optimizer", [GRADRT_STAT] = "statistic",
    [GRADRT_CARRIED] = "carried"
  };
  for (int i = 0; i < e->net->ntensor; i++) {
    const gradrt_tensor *t = &e->net->tensor[i];
    out_line(o, " *   \"%s\"%s %s", quiet(e->arena, t->name),
             shape_text(e->arena, t->rank, t->dim), role[t->role]);
  }
}

enum { COLUMNS = 100, INDENT = 4 };

/* A prototype, broken behind commas. */
static void put_prototype(const EmitArgs *e, LibraryFunction f, Out *o)
{
  const char *p = library_prototype(e, f);
  out_begin(o);
  while (*p) {
    size_t blanks = strspn(p, " "), comma = strcspn(p, ","), n = comma + (p[comma] == ',');
    if (out_column(o) + n + 1 > COLUMNS) {
      out_end(o);
      out_begin(o);
      out_printf(o, "%*s", INDENT, "");
      p += blanks;
      n -= blanks;
    }
    out_bytes(o, p, n);
    p += n;
  }
  out_printf(o, ";");
  out_end(o);
  out_line(o, "%s", "");
}

static void put_text(Out *o, const char *text) { out_bytes(o, text, strlen(text)); }

static void put_life(const EmitArgs *e, Out *o)
{
  put_text(o, "/* A model with initial values from the seed. threads: 1 to 256, the caller's\n"
              " * among them, or 0: as many as there are CPUs; no result depends on it. NULL: no\n"
              " * memory. The caller frees it. A model may be used by one thread at a time.");
  if (e->net->nfit > 0)
    put_text(o, "\n * The statistics by which inputs are scaled come with a file, or by set.");
  put_text(o, " */\n");
  put_prototype(e, LIBRARY_NEW, o);
  put_text(o, "/* Frees a model and ends its threads; NULL is fine. */\n");
  put_prototype(e, LIBRARY_FREE, o);
}

static void put_steps(const EmitArgs *e, Out *o)
{
  const gradrt_net *net = e->net;
  if (library_has(e->module, LIBRARY_TRAIN)) {
    out_line(o, "/* One step of the optimizer on n samples, 1 <= n <= %s_BATCH:",
             upper(e->arena, e->module->name));
    put_fields(e, LIBRARY_TRAIN, o);
    put_text(o, " *   lr: learning rate of this step; *loss: receives the loss, unless NULL.\n"
                " * Rows are read where they lie and need no alignment. 3: a label is out of\n"
                " * range, 7: the loss is not finite. */\n");
    put_prototype(e, LIBRARY_TRAIN, o);
  }
  if (library_has(e->module, LIBRARY_INFER)) {
    out_line(o, "/* Outputs for any number n >= 1 of samples:");
    put_fields(e, LIBRARY_INFER, o);
    for (int i = 0; i < net->infer.noutput; i++) {
      const gradrt_output *x = &net->infer.output[i];
      out_line(o, " *   %s: receives %s%s%s", library_out_name(x, e->arena),
               x->batched ? "n rows of " : "", c_type[net->real],
               shape_text(e->arena, x->rank, x->dim));
    }
    out_line(o, " */");
    put_prototype(e, LIBRARY_INFER, o);
  }
}

static void put_storage(const EmitArgs *e, Out *o)
{
  put_text(o, "/* All n values of a tensor by its name, row-major. 2: there is none with n.\n");
  put_tensors(e, o);
  out_line(o, " */");
  put_prototype(e, LIBRARY_GET, o);
  put_prototype(e, LIBRARY_SET, o);
  put_text(o, "/* Parameters and statistics from a safetensors file; the optimizer's state\n"
              " * stays. 4: it does not fit or is damaged; the model is then as before. */\n");
  put_prototype(e, LIBRARY_LOAD, o);
  put_text(o, "/* Everything to a safetensors file, whole or not at all. 5: it cannot be\n"
              " * written. */\n");
  put_prototype(e, LIBRARY_SAVE, o);
}

void library_header(const EmitArgs *args, Out *out)
{
  Arena *a = args->arena;
  const char *name = plain(a, args->module->name), *big = upper(a, args->module->name);
  const gradrt_net *net = args->net;
  out_line(out, "/* The net '%s' of %s as a library. Generated by gradc %s: do not edit.",
           quiet(a, args->module->name), quiet(a, args->spec_file ? args->spec_file : "a spec"),
           args->version);
  put_text(out, " *\n"
                " * Functions that return an int return 0, or an error after one message on\n"
                " * standard error. Only pointers, integers and doubles are passed, so that other\n"
                " * languages can call them too. */\n");
  out_line(out, "#ifndef GRADC_LIBRARY_%s_H", big);
  out_line(out, "#define GRADC_LIBRARY_%s_H", big);
  put_text(out, "#include <stdint.h>\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
  out_line(out, "#define %s_BATCH %" PRId64, big, net->batch);
  if (net->training)
    out_line(out, "#define %s_LR %.17g", big, net->training->lr);
  out_line(out, "%s", "");
  out_line(out, "typedef struct gradrt_model %s_model;", name);
  out_line(out, "%s", "");
  put_life(args, out);
  put_steps(args, out);
  put_storage(args, out);
  put_text(out, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
}
