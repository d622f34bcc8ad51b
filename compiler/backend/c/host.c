/* The step functions: which buffers a step works on, and the calls of its kernels. */
#include "backend/c/c.h"
#include <inttypes.h>
#include <string.h>

const char *c_host_name(C *c, HostKind kind)
{
  return arena_printf(c->arena, "%s_%s", c->prefix, c->m->host[kind]->name);
}

static const KernelName *kernel_name(const C *c, const Kernel *k)
{
  for (uint32_t i = 0; i < c->kernel_names.n; i++)
    if (c->kernel_names.at[i].kernel == k)
      return &c->kernel_names.at[i];
  ice("backend c: kernel '%s' is not of the module", k->name);
}

static void put_arg(C *c, const char *text, bool *any)
{
  out_printf(c->line, "%s%s", *any ? ", " : "", text);
  *any = true;
}

static void put_arg_expr(C *c, const LExpr *e, bool *any)
{
  put_arg(c, "", any);
  c_expr(c, e, PREC_NONE);
}

/* The host function that is being printed has its variables named; the others have not. */
static const char *samples(const C *c)
{
  for (int h = 0; h < HOST_COUNT; h++)
    if (c->m->host[h] && c->name[c->m->host[h]->n->id])
      return c->name[c->m->host[h]->n->id];
  ice("backend c: a kernel is called outside a step function");
}

void c_call(C *c, const LStmt *s)
{
  const KernelName *k = kernel_name(c, s->call.kernel);
  bool any = false;
  c_begin(c);
  out_printf(c->line, "%s(", k->name);
  for (uint32_t i = 0; i < s->call.kernel->formal.n; i++)
    if (k->formal[i])
      put_arg(c, c->name[s->call.arg[i]->id], &any);
  if (k->lo)
    put_arg_expr(c, s->call.lo, &any);
  if (k->hi)
    put_arg_expr(c, s->call.hi, &any);
  if (k->n)
    put_arg(c, samples(c), &any);
  out_printf(c->line, ");");
  c_end(c);
  c_watch_call(c, s);
  c_measure_call(c, s);
}

/* ---- buffers ---- */

typedef struct { Buffer *buf; bool written; } Used;
typedef VEC(Used) UsedList;

static void add_used(C *c, UsedList *list, Buffer *buf, bool written)
{
  for (uint32_t i = 0; i < list->n; i++)
    if (list->at[i].buf == buf) {
      list->at[i].written |= written;
      return;
    }
  Used made = { buf, written };
  vec_push(c->arena, list, made);
}

static void find_buffers(C *c, const LStmt *body, UsedList *list)
{
  for (const LStmt *s = body; s; s = s->next) {
    if (s->kind == LS_FOR)
      find_buffers(c, s->loop.body, list);
    if (s->kind == LS_IF) {
      find_buffers(c, s->branch.then, list);
      find_buffers(c, s->branch.otherwise, list);
    }
    if (s->kind != LS_CALL)
      continue;
    const KernelName *k = kernel_name(c, s->call.kernel);
    for (uint32_t i = 0; i < s->call.kernel->formal.n; i++)
      if (k->formal[i])
        add_used(c, list, s->call.arg[i], s->call.kernel->formal.at[i]->written);
  }
}

/* Where a buffer lies, as a C expression over the step record. */
static const char *address(C *c, const Host *h, const Buffer *buf)
{
  Arena *a = c->arena;
  if (c->args->weights)
    return c_infer_address(c, buf);
  switch (buf->role) {
  case BUF_STATE:
    c->at = true;
    return arena_printf(a, "at(s->state, %" PRId64 ")", buf->offset);
  case BUF_ARENA:
    c->at = true;
    return arena_printf(a, "at(s->arena, %" PRId64 ")", buf->offset);
  case BUF_WORKER:
    c->at = true;
    return arena_printf(a, "at(s->worker, (size_t)worker * %zu + %" PRId64 ")", h->worker_bytes,
                        buf->offset);
  case BUF_ROWS:
    return arena_printf(a, "s->rows[%d]", buf->index);
  case BUF_IDS:
    return "s->ids";
  case BUF_ARGS:
    return "s->args";
  case BUF_OUT:
    return arena_printf(a, "s->out[%d]", buf->index);
  case BUF_CONST: case BUF_FORMAL: case BUF_REGISTER: case BUF_LOCAL:
    break;
  }
  ice("backend c: buffer '%s' has no place in a step", buf->name);
}

static void put_buffer(C *c, const Host *h, const Used *u)
{
  const Buffer *buf = u->buf;
  if (buf->role == BUF_CONST)
    return;
  c->name[buf->id] = names_local(c->names, buf->name);
  c_begin(c);
  out_printf(c->line, "%s%s *%s = %s;", u->written ? "" : "const ", dtype_c(buf->dtype),
             c->name[buf->id], address(c, h, buf));
  size_t used = out_length(c->line) - c->mark;
  if (buf->type) {
    const char *shape = type_text(c->arena, buf->type);
    const char *layout = buf->layout && buf->layout->n ? layout_text(c->arena, buf->layout) : "";
    const char *note = c_comment_text(c->arena, arena_printf(c->arena, "%s%s%s", shape,
                                                             layout[0] ? " stored " : "", layout));
    int pad = used < 44 ? (int)(44 - used) : 1;
    const char *comment = arena_printf(c->arena, "%*s/* %s */", pad, "", note);
    if (used + strlen(comment) + 2 <= COLUMNS)
      out_printf(c->line, "%s", comment);
  }
  c_end(c);
}

static bool has_barrier(const LStmt *body)
{
  for (const LStmt *s = body; s; s = s->next) {
    if (s->kind == LS_BARRIER)
      return true;
    if (s->kind == LS_FOR && has_barrier(s->loop.body))
      return true;
    if (s->kind == LS_IF && (has_barrier(s->branch.then) || has_barrier(s->branch.otherwise)))
      return true;
  }
  return false;
}

/* Parameters that the step has no use for. */
static void put_unused(C *c, const Host *h, const UsedList *buffers)
{
  bool meets = has_barrier(h->body), scratch = false, step = c->uses[h->n->id] > 0;
  for (uint32_t i = 0; i < buffers->n; i++) {
    scratch |= buffers->at[i].buf->role == BUF_WORKER;
    step |= buffers->at[i].buf->role != BUF_CONST;
  }
  if (!meets && !step)
    c_line(c, "(void)s;");
  if (!meets && !scratch && !c->uses[h->worker->id])
    c_line(c, "(void)worker;");
  if (!meets && !c->uses[h->nworkers->id])
    c_line(c, "(void)nworkers;");
}

static const char *host_doc(HostKind kind)
{
  switch (kind) {
  case HOST_TRAIN: return "One training step: forward, backward and update.";
  case HOST_EVAL: return "One batch of evaluation: losses and the operands of the metrics.";
  case HOST_INFER: return "One batch of inference.";
  case HOST_COUNT: break;
  }
  ice("backend c: step function %d", (int)kind);
}

static void open_step(C *c, const Host *h)
{
  static const char *const doc =
      " Every worker calls it with its number and does its share between barriers.";
  const char *text = arena_printf(c->arena, "%s%s", host_doc(h->kind), doc);
  c_comment(c, &text, 1);
  c_line(c, "static void %s(const gradrt_step *s, int worker, int nworkers)",
         c_host_name(c, h->kind));
  c_line(c, "{");
  out_indent(c->out);
  names_local(c->names, "s");
}

void c_host(C *c, const Host *h)
{
  live_host(c, h);
  uint32_t hidden = names_hide(c->names);
  if (c->args->weights)
    c_infer_open(c, h);
  else
    open_step(c, h);
  const LVar *const var[] = { h->worker, h->nworkers, h->n };
  static const char *const fixed[] = { "worker", "nworkers", "n" };
  for (int i = 0; i < 3; i++)
    c->name[var[i]->id] = names_local(c->names, fixed[i]);
  UsedList buffers = { 0 };
  find_buffers(c, h->body, &buffers);
  if (!c->args->weights)
    put_unused(c, h, &buffers);
  if (!c->args->weights && c->uses[h->n->id])
    c_line(c, "const idx n = s->n;");
  for (uint32_t i = 0; i < buffers.n; i++)
    put_buffer(c, h, &buffers.at[i]);
  if (buffers.n > 0)
    c_blank(c);
  c_measure_begin(c, h);
  c_body(c, h->body);
  out_dedent(c->out);
  c_line(c, "}");
  c_blank(c);
  for (int i = 0; i < 3; i++)
    c->name[var[i]->id] = NULL;
  names_show(c->names, hidden);
}
