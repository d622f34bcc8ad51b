/* What programs built for measuring carry besides: a function of nothing but fused multiply-adds,
 * which finds the machine's peak; the calls of every step with their layer, direction and FLOPs
 * (every program has those of the training step: watch.c counts them); and, for profiles, marks of
 * a clock beside the calls. */
#include "backend/c/c.h"

/* ---- the peak ---- */

/* Independent chains hide the latency of an fma; with their constants they fit the registers. */
void c_peak(C *c)
{
  if (c->args->measure == MEASURE_NOTHING)
    return;
  const Target *t = c->args->target;
  DType real = c->m->real;
  int lanes = c_register_bytes(c) / dtype_bytes(real), chains = t->registers - 4;
  const char *type = c_type(c, (int)real, lanes), *fma = c_helper(c, H_FMA, (int)real, lanes);
  const char *splat = c_helper(c, H_SPLAT, (int)real, lanes);
  c->peak = names_global(c->names, arena_printf(c->arena, "%s_peak", c->prefix));
  c->peak_flops = 2.0 * lanes * chains;
  const char *text = arena_printf(c->arena, "The peak of a worker: %d chains of %d lanes.", chains,
                                  lanes);
  c_comment(c, &text, 1);
  c_line(c, "static KERNEL void %s(const gradrt_step *s, int worker, int nworkers)", c->peak);
  c_line(c, "{");
  out_indent(c->out);
  c_line(c, "(void)nworkers;");
  c_line(c, "const %s p = %s(%s), q = %s(%s);", type, splat, c_real(c->arena, 0.5, real), splat,
         c_real(c->arena, 0.25, real));
  for (int i = 0; i < chains; i++)
    c_line(c, "%s a%d = %s(%s);", type, i, splat, c_real(c->arena, i, real));
  c_line(c, "for (idx i = 0; i < s->n; i++) {");
  out_indent(c->out);
  for (int i = 0; i < chains; i++)
    c_line(c, "a%d = %s(a%d, p, q);", i, fma, i);
  out_dedent(c->out);
  c_line(c, "}");
  for (int i = 1; i < chains; i++)
    c_line(c, "a0 += a%d;", i);
  c_line(c, "((double *)s->out[0])[8 * worker] = (double)a0[0];");
  out_dedent(c->out);
  c_line(c, "}");
  c_blank(c);
}

/* ---- calls ---- */

static void put_mark(C *c, const char *what)
{
  if (c->args->measure == MEASURE_KERNELS)
    c_line(c, "gradrt_profile_mark(s, worker, %s);", what);
}

void c_measure_begin(C *c, const Host *h)
{
  c->host = h->kind;
  put_mark(c, "GRADRT_BEGINS");
}

void c_measure_call(C *c, const LStmt *call)
{
  if (c->args->measure == MEASURE_NOTHING && c->host != HOST_TRAIN)
    return;
  put_mark(c, arena_printf(c->arena, "%u", c->calls[c->host].n));
  vec_push(c->arena, &c->calls[c->host], call);
}

void c_measure_wait(C *c)
{
  put_mark(c, "GRADRT_WAITS");
}

const char *c_measure_table(C *c, HostKind kind)
{
  static const char *const direction[] = {
    [DIRECTION_FORWARD] = "GRADRT_FORWARD", [DIRECTION_BACKWARD] = "GRADRT_BACKWARD",
    [DIRECTION_UPDATE] = "GRADRT_UPDATE"
  };
  if (c->calls[kind].n == 0)
    return NULL;
  const char *what = arena_printf(c->arena, "%s_calls", c_host_name(c, kind));
  const char *name = names_global(c->names, what);
  c_line(c, "static const gradrt_call %s[] = {", name);
  out_indent(c->out);
  for (uint32_t i = 0; i < c->calls[kind].n; i++) {
    const LStmt *s = c->calls[kind].at[i];
    const Kernel *k = s->call.kernel;
    const char *layer = c_string(c->arena, s->call.layer ? s->call.layer : k->name);
    c_line(c, "{%s, %s, %s, %s, %s},", c_string(c->arena, k->name), layer,
           direction[s->call.direction], c_real(c->arena, k->flops, DT_F64),
           c_string(c->arena, c_place(c, s->at)));
  }
  out_dedent(c->out);
  c_line(c, "};");
  c_blank(c);
  return name;
}
