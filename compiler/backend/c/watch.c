/* How a training step is searched for the first value that is not finite: beside every kernel call
 * stands a call of the runtime, made only when the step is run for that search; a table says where
 * what each kernel writes lies, and how it is stored. Nothing of it costs a normal step more than a
 * test of a pointer a call. */
#include "backend/c/c.h"
#include "base/str.h"
#include <inttypes.h>

/* Tensors of the net's real type; the others hold indices, which are always finite. A library
 * replays nothing. */
static bool is_watched(const C *c, const LStmt *call, uint32_t i)
{
  return !c->args->library && call->call.kernel->formal.at[i]->written &&
         call->call.arg[i]->dtype == c->m->real;
}

void c_watch_call(C *c, const LStmt *call)
{
  bool any = false;
  for (uint32_t i = 0; i < call->call.kernel->formal.n; i++)
    any |= is_watched(c, call, i);
  if (c->host == HOST_TRAIN && any)
    c_line(c, "if (s->watch) gradrt_watch(s, %u);", c->calls[HOST_TRAIN].n);
}

/* Bytes, elements, layout and origin of a block of the arena or of a worker. */
static void put_stored(C *c, const LStmt *call, const Buffer *buf)
{
  static const Layout scalar = { 0 };
  const char *layer = call->call.layer;
  bool fused = buf->layer && !str_eq(layer, buf->layer);
  const Layout *l = buf->layout ? buf->layout : &scalar;
  out_printf(c->line, ", %s, %" PRId64 ", %" PRId64 ", %d, {", c_string(c->arena, buf->name),
             buf->offset, buf->extent, l->n);
  for (int i = 0; i < l->n; i++)
    out_printf(c->line, "%s{%d, %" PRId64 ", %" PRId64 "}", i ? ", " : "", l->digit[i].axis,
               l->digit[i].div, l->digit[i].extent);
  out_printf(c->line, "%s}, %s, %s", l->n ? "" : "{0, 0, 0}",
             c_string(c->arena, fused ? buf->layer : NULL),
             c_string(c->arena, fused ? c_place(c, buf->at) : NULL));
}

static void put_made(C *c, uint32_t number, const LStmt *call, const Buffer *buf)
{
  static const char *const where[] = {
    [BUF_ARENA] = "ARENA", [BUF_WORKER] = "WORKER", [BUF_STATE] = "STATE", [BUF_OUT] = "OUT"
  };
  c_begin(c);
  if (buf->role == BUF_STATE || buf->role == BUF_OUT) {
    out_printf(c->line, "{.call = %u, .where = GRADRT_IN_%s, .index = %d", number, where[buf->role],
               buf->index);
  } else {
    out_printf(c->line, "{%u, GRADRT_IN_%s, 0", number, where[buf->role]);
    put_stored(c, call, buf);
  }
  out_printf(c->line, "},");
  c_end(c);
}

void c_watch_table(C *c)
{
  for (uint32_t k = 0; k < c->calls[HOST_TRAIN].n; k++) {
    const LStmt *call = c->calls[HOST_TRAIN].at[k];
    for (uint32_t i = 0; i < call->call.kernel->formal.n; i++) {
      if (!is_watched(c, call, i))
        continue;
      if (!c->made) {
        c->made = names_global(c->names, arena_printf(c->arena, "%s_made", c->prefix));
        c_line(c, "static const gradrt_made %s[] = {", c->made);
        out_indent(c->out);
      }
      put_made(c, k, call, call->call.arg[i]);
      c->nmade++;
    }
  }
  if (!c->made)
    return;
  out_dedent(c->out);
  c_line(c, "};");
  c_blank(c);
}
