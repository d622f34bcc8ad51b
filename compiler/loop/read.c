/* Reader of the text form: recursive descent over ir/scan.h; the first error ends it. What a module
 * must keep beyond the types of its expressions is left to loop_verify. */
#include "loop/read.h"
#include "base/str.h"
#include "loop/text.h"
#include "loop/verify.h"
#include <stdlib.h>
#include <string.h>

/* ---- small pieces ---- */

static bool read_size(Read *r, int64_t *out)
{
  return scan_int(&r->s, out) && (*out >= 0 || read_fail(r, "a size is not negative", NULL));
}

static bool read_name(Read *r, const char **out)
{
  if (!scan_word(&r->s, out))
    return false;
  return !loop_text_reserved(*out) || read_fail(r, "a reserved word cannot be a name:", *out);
}

/* "f32", "u32x16", "bool" */
static bool read_type(Read *r, int *dtype, int *lanes)
{
  const char *word;
  if (!scan_word(&r->s, &word))
    return false;
  const char *x = strchr(word, 'x');
  *lanes = 1;
  if (x) {
    char *end;
    long n = strtol(x + 1, &end, 10);
    if (*end || n < 2 || !lanes_valid(n > LANES_MAX ? 0 : (int)n))
      return read_fail(r, "no type has the lanes of", word);
    *lanes = (int)n;
    word = arena_strndup(r->arena, word, (size_t)(x - word));
  }
  return ltype_parse(word, dtype) || read_fail(r, "no type is called", word);
}

/* " @12:34", optional */
static bool read_span(Read *r, Span *at)
{
  int64_t begin, end;
  *at = (Span){ 0, 0 };
  if (!scan_take(&r->s, "@"))
    return !r->s.error;
  if (!read_size(r, &begin) || !scan_need(&r->s, ":") || !read_size(r, &end))
    return false;
  if (begin > UINT32_MAX || end > UINT32_MAX)
    return read_fail(r, "a place past 2^32", NULL);
  *at = (Span){ (uint32_t)begin, (uint32_t)end };
  return true;
}

static LVar *new_var(Read *r, const char *name, int dtype, int lanes)
{
  LVar *v = ARENA_NEW(r->arena, LVar);
  *v = (LVar){ name, (DType)dtype, lanes, r->m->next_id++ };
  Local l = { name, v };
  vec_push(r->arena, &r->local, l);
  return v;
}

/* ---- statements ---- */

static bool read_body(Read *r, LStmt **tail);

static bool read_for(Read *r, LStmt *s)
{
  const char *name;
  if (!read_name(r, &name) || !scan_need(&r->s, "=") || !read_expr(r, 0, &s->loop.lo) ||
      !scan_need(&r->s, "..") || !read_expr(r, 0, &s->loop.hi))
    return false;
  s->loop.step = 1;
  if (scan_take(&r->s, "step") && !scan_int(&r->s, &s->loop.step))
    return false;
  s->loop.how = scan_take(&r->s, "rolled") ? FOR_ROLLED : FOR_PLAIN;
  if (!read_span(r, &s->at) || !scan_need(&r->s, "{"))
    return false;
  s->loop.var = new_var(r, name, DT_I64, 1);
  return read_body(r, &s->loop.body);
}

static bool read_if(Read *r, LStmt *s)
{
  if (!read_expr(r, 0, &s->branch.cond) || !read_span(r, &s->at) || !scan_need(&r->s, "{") ||
      !read_body(r, &s->branch.then))
    return false;
  return !scan_take(&r->s, "else") || (scan_need(&r->s, "{") && read_body(r, &s->branch.otherwise));
}

static bool read_let(Read *r, LStmt *s)
{
  const char *name;
  if (!read_name(r, &name) || !scan_need(&r->s, "=") || !read_expr(r, 0, &s->let.value))
    return false;
  s->let.var = new_var(r, name, s->let.value->dtype, s->let.value->lanes);
  return read_span(r, &s->at);
}

static bool read_call(Read *r, LStmt *s)
{
  const char *name;
  if (!scan_word(&r->s, &name) || !scan_need(&r->s, "("))
    return false;
  for (uint32_t i = 0; i < r->m->kernels.n; i++)
    if (str_eq(r->m->kernels.at[i]->name, name))
      s->call.kernel = r->m->kernels.at[i];
  if (!s->call.kernel || !r->host)
    return read_fail(r, "no kernel to call is named", name);
  uint32_t n = s->call.kernel->formal.n;
  s->call.arg = ARENA_ARRAY(r->arena, Buffer *, n);
  for (uint32_t i = 0; i < n; i++) {
    if ((i > 0 && !scan_need(&r->s, ",")) || !read_name(r, &name))
      return false;
    s->call.arg[i] = read_find_buffer(r, name);
    if (!s->call.arg[i])
      return read_fail(r, "no buffer is called", name);
  }
  return scan_need(&r->s, ")") && read_expr(r, 0, &s->call.lo) && scan_need(&r->s, "..") &&
         read_expr(r, 0, &s->call.hi) && read_span(r, &s->at);
}

static bool read_store(Read *r, LStmt *s)
{
  const char *name;
  int lanes;
  if (!read_name(r, &name) || !read_element(r, name, &s->store.buf, &s->store.index, &lanes) ||
      !scan_need(&r->s, "=") || !read_expr(r, 0, &s->store.value))
    return false;
  if (s->store.value->lanes != lanes)
    return read_fail(r, "the value's lanes differ from those of the store to", name);
  return read_span(r, &s->at);
}

static bool read_statement(Read *r, LStmt *s)
{
  static const struct {
    const char *word;
    LStmtKind kind;
    bool (*read)(Read *r, LStmt *s);
  } row[] = {
    { "for", LS_FOR, read_for },
    { "if", LS_IF, read_if },
    { "let", LS_LET, read_let },
    { "call", LS_CALL, read_call },
  };
  for (size_t i = 0; i < ARRAY_LEN(row); i++)
    if (scan_take(&r->s, row[i].word)) {
      s->kind = row[i].kind;
      return row[i].read(r, s);
    }
  if (scan_take(&r->s, "barrier")) {
    s->kind = LS_BARRIER;
    return (!scan_take(&r->s, "when") || read_expr(r, 0, &s->barrier.when)) && read_span(r, &s->at);
  }
  if (scan_take(&r->s, "note")) {
    s->kind = LS_NOTE;
    return scan_string(&r->s, &s->note.text) && read_span(r, &s->at);
  }
  s->kind = LS_STORE;
  return read_store(r, s);
}

/* Statements up to the closing brace. Variables of the body leave the scope. */
static bool read_body(Read *r, LStmt **tail)
{
  uint32_t outer = r->local.n;
  if (++r->nest > NEST_MAX)
    return read_fail(r, "bodies nested too deeply", NULL);
  while (!scan_take(&r->s, "}")) {
    LStmt *s = ARENA_NEW(r->arena, LStmt);
    if (!read_statement(r, s))
      return false;
    *tail = s;
    tail = &s->next;
  }
  r->local.n = outer;
  r->nest--;
  return !r->s.error;
}

/* ---- parts of a module ---- */

static bool read_layout(Read *r, const Layout **out)
{
  Layout l = { 0 };
  while (scan_next_is(&r->s, "n") || read_next_digit(r)) {
    int64_t axis = AXIS_BATCH;
    if (l.n == DIGITS_MAX)
      return read_fail(r, "a layout of too many digits", NULL);
    if (!scan_take(&r->s, "n") && !read_size(r, &axis))
      return false;
    Digit *d = &l.digit[l.n++];
    if (axis >= RANK_MAX)
      return read_fail(r, "no type has so many axes", NULL);
    d->axis = (int)axis;
    if (!scan_need(&r->s, "/") || !read_size(r, &d->div) || !scan_need(&r->s, ":") ||
        !read_size(r, &d->extent))
      return false;
  }
  *out = arena_copy(r->arena, &l, sizeof l);
  return true;
}

/* "f32 x[1024] at 64 index 2 : f32[n,64] layout .." */
static Buffer *read_declared(Read *r, BufRole role)
{
  Buffer *b = ARENA_NEW(r->arena, Buffer);
  int dtype;
  int64_t index = 0;
  Type t;
  b->role = role;
  if (!read_type(r, &dtype, &b->lanes) || !read_name(r, &b->name) || !scan_need(&r->s, "[") ||
      !read_size(r, &b->extent) || !scan_need(&r->s, "]"))
    return NULL;
  if (dtype == TY_BOOL || (b->lanes > 1 && role != BUF_REGISTER)) {
    read_fail(r, "no buffer has the type of", b->name);
    return NULL;
  }
  if (read_find_buffer(r, b->name)) {
    read_fail(r, "a second buffer called", b->name);
    return NULL;
  }
  b->dtype = (DType)dtype;
  b->id = r->m->next_id++;
  if (scan_take(&r->s, "at") && !read_size(r, &b->offset))
    return NULL;
  if (scan_take(&r->s, "index") && (!read_size(r, &index) || index > INT32_MAX))
    return NULL;
  b->index = (int)index;
  if (scan_take(&r->s, ":")) {
    if (!scan_type(&r->s, &t))
      return NULL;
    b->type = arena_copy(r->arena, &t, sizeof t);
  }
  if (scan_take(&r->s, "layout") && !read_layout(r, &b->layout))
    return NULL;
  return r->s.error ? NULL : b;
}

static bool read_values(Read *r, Buffer *b)
{
  VEC(double) v = { 0 };
  if (!scan_need(&r->s, "="))
    return false;
  for (int64_t i = 0; i < b->extent; i++) {
    double x;
    if (!scan_real(&r->s, &x))
      return false;
    vec_push(r->arena, &v, x);
  }
  b->values = v.at;
  return true;
}

static bool read_buffer(Read *r, BufRole role)
{
  Buffer *b = read_declared(r, role);
  if (!b || (role == BUF_CONST && !read_values(r, b)))
    return false;
  vec_push(r->arena, &r->m->buffers, b);
  return true;
}

static bool read_func(Read *r)
{
  LFunc *f = ARENA_NEW(r->arena, LFunc);
  LStmt **tail = &f->body;
  r->local.n = 0;
  if (!scan_word(&r->s, &f->name) || !scan_need(&r->s, "("))
    return false;
  while (!scan_take(&r->s, ")")) {
    const char *name;
    int dtype, lanes;
    if (f->nparam == PARAMS_MAX)
      return read_fail(r, "too many parameters of", f->name);
    if ((f->nparam > 0 && !scan_need(&r->s, ",")) || !read_type(r, &dtype, &lanes) ||
        !read_name(r, &name))
      return false;
    f->param[f->nparam++] = new_var(r, name, dtype, lanes);
  }
  if (scan_next_is(&r->s, "\"") && !scan_string(&r->s, &f->doc))
    return false;
  if (!scan_need(&r->s, "{"))
    return false;
  while (!scan_take(&r->s, "return")) {
    LStmt *s = ARENA_NEW(r->arena, LStmt);
    if (!read_statement(r, s))
      return false;
    *tail = s;
    tail = &s->next;
  }
  if (!read_expr(r, 0, &f->result) || !scan_need(&r->s, "}"))
    return false;
  vec_push(r->arena, &r->m->funcs, f);
  return true;
}

static bool read_attributes(Read *r, Kernel *k)
{
  const struct {
    const char *word, **to;
  } row[] = {
    { "layer", &k->layer },
    { "formula", &k->formula },
    { "about", &k->about },
    { "template", &k->template_name },
  };
  for (size_t i = 0; i < ARRAY_LEN(row); i++)
    if (scan_take(&r->s, row[i].word) && !scan_string(&r->s, row[i].to))
      return false;
  return !scan_take(&r->s, "flops") || scan_real(&r->s, &k->flops);
}

static bool read_formals(Read *r, Kernel *k)
{
  for (;;) {
    bool out = scan_take(&r->s, "out");
    if (!out && !scan_take(&r->s, "in"))
      return !r->s.error;
    Buffer *b = read_declared(r, BUF_FORMAL);
    if (!b)
      return false;
    b->written = out;
    b->index = (int)k->formal.n;
    vec_push(r->arena, &k->formal, b);
  }
}

static bool read_kernel(Read *r)
{
  Kernel *k = ARENA_NEW(r->arena, Kernel);
  r->local.n = 0;
  if (!scan_word(&r->s, &k->name) || !read_span(r, &k->at) || !scan_need(&r->s, "{"))
    return false;
  k->lo = new_var(r, "lo", DT_I64, 1);
  k->hi = new_var(r, "hi", DT_I64, 1);
  k->n = new_var(r, "n", DT_I64, 1);
  r->kernel = k;
  if (!read_attributes(r, k) || !read_formals(r, k))
    return false;
  for (;;) {
    bool registers = scan_take(&r->s, "registers");
    if (!registers && !scan_take(&r->s, "local"))
      break;
    Buffer *b = read_declared(r, registers ? BUF_REGISTER : BUF_LOCAL);
    if (!b)
      return false;
    vec_push(r->arena, &k->regs, b);
  }
  if (!read_body(r, &k->body))
    return false;
  r->kernel = NULL;
  vec_push(r->arena, &r->m->kernels, k);
  return true;
}

static bool read_uses(Read *r, Host *h)
{
  while (!scan_next_is(&r->s, "call") && !scan_next_is(&r->s, "barrier") &&
         !scan_next_is(&r->s, "note") && !scan_next_is(&r->s, "let") && !scan_next_is(&r->s, "}")) {
    const char *name;
    if (!read_name(r, &name))
      return false;
    Buffer *b = read_find_buffer(r, name);
    if (!b)
      return read_fail(r, "no buffer is called", name);
    vec_push(r->arena, &h->buffers, b);
  }
  return true;
}

static bool read_host(Read *r)
{
  static const char *const kind[HOST_COUNT] = { "train", "eval", "infer" };
  static const char *const name[HOST_COUNT] = { "train_step", "eval_step", "infer_step" };
  Host *h = ARENA_NEW(r->arena, Host);
  int64_t arena_size, worker_size;
  int which = 0;
  r->local.n = 0;
  while (which < HOST_COUNT && !scan_take(&r->s, kind[which]))
    which++;
  if (which == HOST_COUNT || r->m->host[which])
    return read_fail(r, "train, eval or infer is missing here, or stands twice", NULL);
  if (!scan_need(&r->s, "arena") || !read_size(r, &arena_size) || !scan_need(&r->s, "worker") ||
      !read_size(r, &worker_size) || !scan_need(&r->s, "{"))
    return false;
  h->kind = (HostKind)which;
  h->name = name[which];
  h->arena_bytes = (size_t)arena_size;
  h->worker_bytes = (size_t)worker_size;
  h->worker = new_var(r, "worker", DT_I64, 1);
  h->nworkers = new_var(r, "nworkers", DT_I64, 1);
  h->n = new_var(r, "n", DT_I64, 1);
  r->host = h;
  if ((scan_take(&r->s, "uses") && !read_uses(r, h)) || !read_body(r, &h->body))
    return false;
  r->host = NULL;
  r->m->host[which] = h;
  return true;
}

static bool read_header(Read *r)
{
  int64_t version, state;
  int dtype, lanes;
  Module *m = r->m;
  if (!scan_need(&r->s, "loop") || !scan_int(&r->s, &version))
    return false;
  if (version != 1)
    return read_fail(r, "a version of the loop text that this compiler does not know", NULL);
  if (!scan_need(&r->s, "module") || !scan_string(&r->s, &m->name) ||
      !read_type(r, &dtype, &lanes) || !scan_need(&r->s, "batch") || !read_size(r, &m->batch) ||
      !scan_need(&r->s, "state") || !read_size(r, &state))
    return false;
  if ((dtype != DT_F32 && dtype != DT_F64) || lanes > 1)
    return read_fail(r, "a module computes in f32 or f64", NULL);
  m->real = (DType)dtype;
  m->block = 64 / dtype_bytes(m->real);
  m->state_bytes = (size_t)state;
  return true;
}

static bool read_part(Read *r)
{
  static const struct { const char *word; BufRole role; } row[] = {
    { "state", BUF_STATE }, { "arena", BUF_ARENA }, { "worker", BUF_WORKER }, { "rows", BUF_ROWS },
    { "ids", BUF_IDS }, { "args", BUF_ARGS }, { "out", BUF_OUT }, { "const", BUF_CONST },
  };
  for (size_t i = 0; i < ARRAY_LEN(row); i++)
    if (scan_take(&r->s, row[i].word))
      return read_buffer(r, row[i].role);
  if (scan_take(&r->s, "func"))
    return read_func(r);
  if (scan_take(&r->s, "kernel"))
    return read_kernel(r);
  if (scan_take(&r->s, "host"))
    return read_host(r);
  return read_fail(r, "a buffer, func, kernel or host is missing here", NULL);
}

Module *loop_read(const char *text, uint32_t length, uint32_t base, Arena *a, Diag *d)
{
  Read r = { .s = { .arena = a, .text = text, .n = length },
             .arena = a,
             .m = ARENA_NEW(a, Module) };
  r.m->arena = a;
  bool good = read_header(&r);
  while (good && !scan_end(&r.s))
    good = read_part(&r);
  if (!good || r.s.error) {
    uint32_t at = base + (uint32_t)r.s.error_at;
    diag_error(d, (Span){ at, at + 1 }, "E0901", "%s",
               r.s.error ? r.s.error : "this text is not loop IR");
    return NULL;
  }
  const char *fault = loop_verify(r.m, a);
  if (fault)
    diag_error(d, (Span){ base, base + 1 }, "E0901", "this module is not valid: %s", fault);
  return fault ? NULL : r.m;
}
