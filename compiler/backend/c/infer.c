/* Inference alone, for programs that have neither files nor threads nor a heap: the weights as
 * constant arrays, scratch as static ones, and one function. Nothing of the runtime is in the file;
 * what it calls is of libm, or a memcpy or memset that the C compiler put there. */
#include "backend/c/c.h"
#include "backend/library.h"
#include <inttypes.h>
#include <string.h>

/* ---- what inference needs of the module ---- */

typedef bool (*CallTest)(const LStmt *call, const void *what);

static bool any_call(const LStmt *body, CallTest test, const void *what)
{
  for (const LStmt *s = body; s; s = s->next)
    if ((s->kind == LS_FOR && any_call(s->loop.body, test, what)) ||
        (s->kind == LS_IF && (any_call(s->branch.then, test, what) ||
                              any_call(s->branch.otherwise, test, what))) ||
        (s->kind == LS_CALL && test(s, what)))
      return true;
  return false;
}

static bool is_of(const LStmt *call, const void *kernel) { return call->call.kernel == kernel; }

static bool is_given(const LStmt *call, const void *buffer)
{
  bool given = false;
  for (uint32_t i = 0; i < call->call.kernel->formal.n; i++)
    given |= call->call.arg[i] == buffer;
  return given;
}

bool c_needs_kernel(const C *c, const Kernel *k)
{
  return !c->args->weights || any_call(c->m->host[HOST_INFER]->body, is_of, k);
}

bool c_needs_buffer(const C *c, const Buffer *buf)
{
  return !c->args->weights || any_call(c->m->host[HOST_INFER]->body, is_given, buf);
}

/* Does inference change the state variable? */
static bool writes(const LStmt *call, const void *buffer)
{
  bool written = false;
  for (uint32_t i = 0; i < call->call.kernel->formal.n; i++)
    written |= call->call.arg[i] == buffer && call->call.kernel->formal.at[i]->written;
  return written;
}

/* ---- weights and scratch ---- */

/* Values of a state variable as they lie in the block of weights. */
static double *stored_values(C *c, const Buffer *buf)
{
  const unsigned char *at = (const unsigned char *)c->args->weights + buf->offset;
  double *value = ARENA_ARRAY(c->arena, double, buf->extent);
  for (int64_t i = 0; i < buf->extent; i++) {
    float narrow;
    if (buf->dtype == DT_F64) {
      memcpy(&value[i], at + i * 8, 8);
      continue;
    }
    memcpy(&narrow, at + i * 4, 4);
    value[i] = (double)narrow;
  }
  return value;
}

static const char *scratch(C *c, const char *what, size_t bytes)
{
  const char *name = names_global(c->names, arena_printf(c->arena, "%s_%s", c->prefix, what));
  DType t = c->m->real;
  size_t n = ((bytes ? bytes : 1) + (size_t)dtype_bytes(t) - 1) / (size_t)dtype_bytes(t);
  c_line(c, "static %s %s[%zu] __attribute__((aligned(64)));", dtype_c(t), name, n);
  return name;
}

void c_infer_blocks(C *c)
{
  const Host *h = c->m->host[HOST_INFER];
  for (uint32_t i = 0; i < c->m->buffers.n; i++) {
    Buffer *buf = c->m->buffers.at[i];
    if (buf->role != BUF_STATE || !c_needs_buffer(c, buf))
      continue;
    const gradrt_tensor *t = &c->args->net->tensor[buf->index];
    const char *shape = type_text(c->arena, buf->type);
    const char *note = arena_printf(c->arena, "%s %s stored %s", t->name, shape,
                                    buf->layout && buf->layout->n
                                        ? layout_text(c->arena, buf->layout) : "[1]");
    c_comment(c, &note, 1);
    const char *own = arena_printf(c->arena, "%s_%s", c->prefix, buf->name);
    const char *name = names_global(c->names, own);
    c_line(c, "static %s%s %s[%" PRId64 "] __attribute__((aligned(64))) = {",
           any_call(h->body, writes, buf) ? "" : "const ", dtype_c(buf->dtype), name, buf->extent);
    out_indent(c->out);
    c_put_values(c, stored_values(c, buf), buf->extent, buf->dtype);
    out_dedent(c->out);
    c->block[buf->id] = name;
    c_line(c, "};");
    c_blank(c);
  }
  c->arena_block = h->arena_bytes ? scratch(c, "values", h->arena_bytes) : NULL;
  c->worker_block = h->worker_bytes ? scratch(c, "scratch", h->worker_bytes) : NULL;
  if (c->arena_block || c->worker_block)
    c_blank(c);
}

/* ---- the function ---- */

static int64_t elements(int rank, const int64_t *dim)
{
  int64_t n = 1;
  for (int i = 0; i < rank; i++)
    n *= dim[i];
  return n;
}

static const char *const c_type_of[] = {
  [GRADRT_F32] = "float",   [GRADRT_F64] = "double",   [GRADRT_U8] = "uint8_t",
  [GRADRT_I32] = "int32_t", [GRADRT_U32] = "uint32_t", [GRADRT_I64] = "int64_t",
};

/* "x[784]" of one sample, "*x" of several */
static void put_param(C *c, Out *o, const char *type, const char *name, int64_t n)
{
  bool first = out_text(o)[out_length(o) - 1] == '(';
  if (c->m->batch == 1)
    out_printf(o, "%s%s %s[%" PRId64 "]", first ? "" : ", ", type, name, n);
  else
    out_printf(o, "%s%s *%s", first ? "" : ", ", type, name);
}

/* "void lenet_infer(const uint8_t x[784], float prob[10])" */
static const char *prototype(C *c)
{
  const gradrt_net *net = c->args->net;
  Out *o = out_new(c->arena);
  out_printf(o, "void %s(", library_symbol(c->m, LIBRARY_INFER, c->arena));
  for (int i = 0; i < net->nfield; i++) {
    const gradrt_field *f = &net->field[i];
    if (library_takes(c->m, LIBRARY_INFER, i))
      put_param(c, o, arena_printf(c->arena, "const %s", c_type_of[f->dtype]),
                library_rows_name(f, c->arena), elements(f->rank, f->dim));
  }
  for (int i = 0; i < net->infer.noutput; i++) {
    const gradrt_output *x = &net->infer.output[i];
    put_param(c, o, c_type_of[net->real], library_out_name(x, c->arena), elements(x->rank, x->dim));
  }
  if (c->m->batch > 1)
    out_printf(o, ", int n");
  out_printf(o, ")");
  return out_text(o);
}

void c_infer_take_names(C *c)
{
  const char *text = prototype(c);
  names_take_text(c->names, text, strlen(text), TAKE_FOR_FILE);
  names_take_text(c->names, "row", 3, TAKE_FOR_FILE);
  c->block = ARENA_ARRAY(c->arena, const char *, c->m->next_id + 1);
}

/* " [28][28]", or nothing for one number */
static const char *shape_of(C *c, int rank, const int64_t *dim)
{
  Out *o = out_new(c->arena);
  for (int i = 0; i < rank; i++)
    out_printf(o, "%s[%" PRId64 "]", i ? "" : " ", dim[i]);
  return out_text(o);
}

static void put_doc(C *c)
{
  const gradrt_net *net = c->args->net;
  Arena *a = c->arena;
  const Host *h = c->m->host[HOST_INFER];
  const char *many = c->m->batch > 1 ? "n times " : "";
  VEC(const char *) text = { 0 };
  const char *first = "Outputs for one sample.";
  if (c->m->batch > 1)
    first = arena_printf(a, "Outputs for n samples, 1 <= n <= %" PRId64 ".", c->m->batch);
  vec_push(a, &text, first);
  for (int i = 0; i < net->nfield; i++) {
    const gradrt_field *f = &net->field[i];
    if (library_takes(c->m, LIBRARY_INFER, i))
      vec_push(a, &text, arena_printf(a, "  %s: %s%s%s, before any conversion of the spec",
                                      library_rows_name(f, a), many, c_type_of[f->dtype],
                                      shape_of(c, f->rank, f->dim)));
  }
  for (int i = 0; i < net->infer.noutput; i++) {
    const gradrt_output *x = &net->infer.output[i];
    vec_push(a, &text, arena_printf(a, "  %s: receives %s%s%s", library_out_name(x, a), many,
                                    c_type_of[net->real], shape_of(c, x->rank, x->dim)));
  }
  vec_push(a, &text, arena_printf(a, "It works in %zu bytes of static memory: one call at a time."
                                  " No heap, no files, no threads.",
                                  h->arena_bytes + h->worker_bytes));
  c_comment(c, text.at, (int)text.n);
}

/* The numbers of the samples, and of the one worker. */
static void put_samples(C *c, const Host *h)
{
  int64_t batch = c->m->batch, rows = align_up(batch, 16);
  if (batch == 1) {
    c_line(c, "static const uint32_t row[%" PRId64 "] = {0};", rows);
    if (c->uses[h->n->id])
      c_line(c, "const idx n = 1;");
  } else {
    c_line(c, "uint32_t row[%" PRId64 "];", rows);
    c_line(c, "for (int i = 0; i < %" PRId64 "; i++)", rows);
    c_line(c, "  row[i] = (uint32_t)(i < n ? i : n - 1);");
  }
  if (c->uses[h->worker->id])
    c_line(c, "const idx worker = 0;");
  if (c->uses[h->nworkers->id])
    c_line(c, "const idx nworkers = 1;");
}

void c_infer_open(C *c, const Host *h)
{
  put_doc(c);
  c_line(c, "%s;", prototype(c));
  c_line(c, "%s", prototype(c));
  c_line(c, "{");
  out_indent(c->out);
  const gradrt_net *net = c->args->net;
  for (int i = 0; i < net->nfield; i++)
    if (library_takes(c->m, LIBRARY_INFER, i))
      names_local(c->names, library_rows_name(&net->field[i], c->arena));
  for (int i = 0; i < net->infer.noutput; i++)
    names_local(c->names, library_out_name(&net->infer.output[i], c->arena));
  names_local(c->names, "row");
  put_samples(c, h);
}

const char *c_infer_address(C *c, const Buffer *buf)
{
  Arena *a = c->arena;
  const gradrt_net *net = c->args->net;
  switch (buf->role) {
  case BUF_STATE:
    return c->block[buf->id];
  case BUF_ARENA: case BUF_WORKER:
    c->at = true;
    return arena_printf(a, "at(%s, %" PRId64 ")",
                        buf->role == BUF_ARENA ? c->arena_block : c->worker_block, buf->offset);
  case BUF_ROWS:
    return library_rows_name(&net->field[buf->index], a);
  case BUF_OUT:
    return library_out_name(&net->infer.output[buf->index], a);
  case BUF_IDS:
    return "row";
  case BUF_ARGS: case BUF_CONST: case BUF_FORMAL: case BUF_REGISTER: case BUF_LOCAL:
    break;
  }
  ice("backend c: buffer '%s' has no place in a function of inference", buf->name);
}

void library_infer_header(const EmitArgs *args, Out *out)
{
  C c = { .args = args, .m = args->module, .arena = args->arena, .out = out };
  c.line = out_new(args->arena);
  char *guard = arena_strdup(args->arena, library_symbol(args->module, LIBRARY_INFER, args->arena));
  for (char *p = guard; *p; p++)
    *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
  const char *top = arena_printf(args->arena, "Generated by gradc %s from %s: do not edit.",
                                 args->version, args->spec_file ? args->spec_file : "a net");
  c_comment(&c, &top, 1);
  out_line(out, "#ifndef GRADC_%s_H", guard);
  out_line(out, "#define GRADC_%s_H", guard);
  out_line(out, "#include <stdint.h>");
  out_line(out, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
  put_doc(&c);
  c_line(&c, "%s;", prototype(&c));
  out_line(out, "\n#ifdef __cplusplus\n}\n#endif\n#endif");
}
