/* Statements, math functions and kernels. */
#include "backend/c/c.h"
#include <inttypes.h>
#include <string.h>

/* ---- statements ---- */

static void put_for(C *c, const LStmt *s)
{
  if (s->loop.how == FOR_ROLLED) {
    c->rolled = true;
    c_line(c, "ROLLED");
  }
  uint32_t mark = names_enter(c->names);
  const char *i = names_local(c->names, s->loop.var->name);
  c_begin(c);
  out_printf(c->line, "for (idx %s = ", i);
  c_expr(c, s->loop.lo, PREC_NONE);
  c->name[s->loop.var->id] = i;
  out_printf(c->line, "; %s < ", i);
  c_expr(c, s->loop.hi, scalar_defs[SC_lt].prec + 1);
  if (s->loop.step == 1)
    out_printf(c->line, "; %s++) {", i);
  else
    out_printf(c->line, "; %s += %" PRId64 ") {", i, s->loop.step);
  c_end(c);
  out_indent(c->out);
  c_body(c, s->loop.body);
  out_dedent(c->out);
  c_line(c, "}");
  names_leave(c->names, mark);
}

static void put_branch(C *c, const LStmt *body)
{
  uint32_t mark = names_enter(c->names);
  out_indent(c->out);
  c_body(c, body);
  out_dedent(c->out);
  names_leave(c->names, mark);
}

static void put_if(C *c, const LStmt *s)
{
  c_begin(c);
  out_printf(c->line, "if (");
  c_expr(c, s->branch.cond, PREC_NONE);
  out_printf(c->line, ") {");
  c_end(c);
  put_branch(c, s->branch.then);
  if (s->branch.otherwise) {
    c_line(c, "} else {");
    put_branch(c, s->branch.otherwise);
  }
  c_line(c, "}");
}

static void put_let(C *c, const LStmt *s)
{
  const LVar *v = s->let.var;
  if (!c->uses[v->id])
    return;
  const char *name = names_local(c->names, v->name);
  c_begin(c);
  out_printf(c->line, "%s %s = ", c_type(c, v->dtype, v->lanes), name);
  c_expr(c, s->let.value, PREC_NONE);
  out_printf(c->line, ";");
  c_end(c);
  c->name[v->id] = name;
}

/* A register's name: "acc_3", or "acc" where there is only one. */
static const char *reg_name(C *c, const Buffer *buf, int64_t i)
{
  if (buf->extent == 1)
    return names_local(c->names, buf->name);
  return names_local(c->names, arena_printf(c->arena, "%s_%" PRId64, buf->name, i));
}

static void put_register(C *c, const LStmt *s)
{
  const Buffer *buf = s->store.buf;
  Reg *r = c_reg(c, buf, s->store.index);
  if (!r->loaded)
    return;
  c_begin(c);
  const char *name = r->name;
  if (r->init == s) {
    name = reg_name(c, buf, s->store.index->i);
    out_printf(c->line, "%s ", c_type(c, buf->dtype, buf->lanes));
  }
  out_printf(c->line, "%s = ", name);
  c_expr(c, s->store.value, PREC_NONE);
  out_printf(c->line, ";");
  c_end(c);
  r->name = name;
}

static void put_store(C *c, const LStmt *s)
{
  const Buffer *buf = s->store.buf;
  const LExpr *value = s->store.value;
  if (buf->role == BUF_REGISTER) {
    put_register(c, s);
    return;
  }
  if (!c->name[buf->id])
    ice("backend c: buffer '%s' is out of reach", buf->name);
  c_begin(c);
  bool vector = value->lanes > 1;
  if (vector)
    out_printf(c->line, "%s(&", c_helper(c, H_STORE, value->dtype, value->lanes));
  out_printf(c->line, "%s[", c->name[buf->id]);
  c_expr(c, s->store.index, PREC_NONE);
  out_printf(c->line, vector ? "], " : "] = ");
  c_expr(c, value, PREC_NONE);
  out_printf(c->line, vector ? ");" : ";");
  c_end(c);
}

static void put_barrier(C *c, const LStmt *s)
{
  if (c->args->weights)         /* there is one worker */
    return;
  if (s->barrier.when) {
    c_begin(c);
    out_printf(c->line, "if (");
    c_expr(c, s->barrier.when, PREC_NONE);
    out_printf(c->line, ")");
    c_end(c);
    out_indent(c->out);
  }
  c_line(c, "gradrt_barrier_wait(s->barrier, worker, nworkers);");
  if (s->barrier.when)
    out_dedent(c->out);
  c_measure_wait(c);
}

static void put_stmt(C *c, const LStmt *s)
{
  switch (s->kind) {
  case LS_FOR:
    put_for(c, s);
    break;
  case LS_IF:
    put_if(c, s);
    break;
  case LS_LET:
    put_let(c, s);
    break;
  case LS_STORE:
    put_store(c, s);
    break;
  case LS_CALL:
    c_call(c, s);
    break;
  case LS_BARRIER:
    put_barrier(c, s);
    break;
  case LS_NOTE:
    c_comment(c, &s->note.text, 1);
    break;
  }
}

void c_body(C *c, const LStmt *body)
{
  for (const LStmt *s = body; s; s = s->next)
    put_stmt(c, s);
}

/* ---- functions ---- */

static void put_func(C *c, const LFunc *f, const char *name)
{
  live_func(c, f);
  if (f->doc)
    c_comment(c, &f->doc, 1);
  c_begin(c);
  out_printf(c->line, "static INLINE %s %s(", c_type(c, f->result->dtype, f->result->lanes), name);
  for (int i = 0; i < f->nparam; i++) {
    const LVar *v = f->param[i];
    c->name[v->id] = names_local(c->names, v->name);
    out_printf(c->line, "%s%s %s", i ? ", " : "", c_type(c, v->dtype, v->lanes), c->name[v->id]);
  }
  out_printf(c->line, ")");
  c_end(c);
  c_line(c, "{");
  out_indent(c->out);
  for (int i = 0; i < f->nparam; i++)
    if (!c->uses[f->param[i]->id])
      c_line(c, "(void)%s;", c->name[f->param[i]->id]);
  c_body(c, f->body);
  c_begin(c);
  out_printf(c->line, "return ");
  c_expr(c, f->result, PREC_NONE);
  out_printf(c->line, ";");
  c_end(c);
  out_dedent(c->out);
  c_line(c, "}");
  c_blank(c);
}

const char *c_func(C *c, const LFunc *f)
{
  for (uint32_t i = 0; i < c->func_names.n; i++)
    if (c->func_names.at[i].func == f)
      return c->func_names.at[i].name;
  FuncName made = { f,
                    names_global(c->names, arena_printf(c->arena, "%s_%s", c->prefix, f->name)) };
  vec_push(c->arena, &c->func_names, made);
  C outer = *c;
  uint32_t hidden = names_hide(c->names);
  c->out = out_new(c->arena);
  c->line = out_new(c->arena);
  c->uses = ARENA_ARRAY(c->arena, uint32_t, c->m->next_id);
  put_func(c, f, made.name);
  out_bytes(c->funcs, out_text(c->out), out_length(c->out));
  names_show(c->names, hidden);
  c->out = outer.out;
  c->line = outer.line;
  c->mark = outer.mark;
  c->uses = outer.uses;
  return made.name;
}

/* ---- kernels ---- */

static const char *flops_text(Arena *a, double flops)
{
  static const char *const unit[] = { "", "k", "M", "G", "T", "P" };
  int u = 0;
  for (; flops >= 1000 && u + 1 < (int)ARRAY_LEN(unit); u++)
    flops /= 1000;
  return arena_printf(a, "%.3g %sFLOP in a full batch", flops, unit[u]);
}

const char *c_place(const C *c, Span at)
{
  const char *place = source_at(c->args->sources, c->arena, at), *slash = strrchr(place, '/');
  return slash ? slash + 1 : place;
}

/* Formula and place; what each argument holds; template, tile and work. */
static void kernel_comment(C *c, const Kernel *k, const KernelName *used)
{
  Arena *a = c->arena;
  VEC(const char *) text = { 0 };
  const char *place = c_place(c, k->at);
  const char *what = k->formula ? k->formula : k->layer ? k->layer : k->name;
  if (k->formula && k->layer)
    what = arena_printf(a, "%s: %s", k->layer, k->formula);
  int gap = COLUMNS - 6 - (int)strlen(what) - (int)strlen(place);
  bool beside = place[0] && gap > 1;
  const char *head = beside ? arena_printf(a, "%s%*s%s", what, gap, "", place)
                            : place[0] ? arena_printf(a, "%s (%s)", what, place) : what;
  vec_push(a, &text, head);
  for (uint32_t i = 0; i < k->formal.n; i++) {
    const Buffer *f = k->formal.at[i];
    if (!used->formal[i] || !f->type)
      continue;
    const char *layout = f->layout && f->layout->n ? layout_text(a, f->layout) : NULL;
    const char *line = arena_printf(a, "%s %s%s%s", c->name[f->id], type_text(a, f->type),
                                    layout ? " stored " : "", layout ? layout : "");
    vec_push(a, &text, line);
  }
  const char *about =
      arena_printf(a, "%s%s%s%s%s", k->template_name ? k->template_name : "",
                   k->template_name && k->about ? ": " : "", k->about ? k->about : "",
                   k->flops > 0 && (k->about || k->template_name) ? "; " : "",
                   k->flops > 0 ? flops_text(a, k->flops) : "");
  if (about[0])
    vec_push(a, &text, about);
  c_comment(c, text.at, (int)text.n);
}

static void put_param(C *c, const char *text, bool *any)
{
  out_printf(c->line, "%s%s", *any ? ", " : "", text);
  *any = true;
}

static void kernel_params(C *c, const Kernel *k, const KernelName *used)
{
  bool any = false;
  for (uint32_t i = 0; i < k->formal.n; i++) {
    const Buffer *f = k->formal.at[i];
    if (used->formal[i])
      put_param(c, arena_printf(c->arena, "%s%s *restrict %s", f->written ? "" : "const ",
                                dtype_c(f->dtype), c->name[f->id]), &any);
  }
  const LVar *const var[] = { k->lo, k->hi, k->n };
  const bool is[] = { used->lo, used->hi, used->n };
  for (int i = 0; i < 3; i++)
    if (is[i])
      put_param(c, arena_printf(c->arena, "idx %s", c->name[var[i]->id]), &any);
  if (!any)
    out_printf(c->line, "void");
}

static void declare_names(C *c, const Kernel *k, KernelName *used)
{
  bool *formal = ARENA_ARRAY(c->arena, bool, k->formal.n + 1);
  for (uint32_t i = 0; i < k->formal.n; i++) {
    const Buffer *f = k->formal.at[i];
    formal[i] = c->uses[f->id] > 0;
    if (formal[i])
      c->name[f->id] = names_local(c->names, f->name);
  }
  used->formal = formal;
  used->lo = c->uses[k->lo->id] > 0;
  used->hi = c->uses[k->hi->id] > 0;
  used->n = c->uses[k->n->id] > 0;
  const LVar *const var[] = { k->lo, k->hi, k->n };
  const bool is[] = { used->lo, used->hi, used->n };
  for (int i = 0; i < 3; i++)
    if (is[i])
      c->name[var[i]->id] = names_local(c->names, var[i]->name);
}

/* Registers without a declaring assignment of their own. */
static void declare_registers(C *c, const Kernel *k)
{
  for (uint32_t i = 0; i < k->regs.n; i++) {
    const Buffer *buf = k->regs.at[i];
    if (buf->role == BUF_LOCAL) {
      c->name[buf->id] = names_local(c->names, buf->name);
      c_line(c, "_Alignas(64) %s %s[%" PRId64 "];", dtype_c(buf->dtype), c->name[buf->id],
             buf->extent);
      continue;
    }
    for (int64_t j = 0; j < buf->extent; j++) {
      Reg *r = &c->reg[buf->id][j];
      if (!r->loaded || r->init)
        continue;
      r->name = reg_name(c, buf, j);
      c_line(c, "%s %s = %s;", c_type(c, buf->dtype, buf->lanes), r->name,
             buf->lanes > 1 ? "{0}" : "0");
    }
  }
}

void c_kernel(C *c, const Kernel *k)
{
  live_kernel(c, k);
  KernelName used = { .kernel = k };
  used.name = names_global(c->names, arena_printf(c->arena, "%s_%s", c->prefix, k->name));
  uint32_t hidden = names_hide(c->names);
  declare_names(c, k, &used);
  kernel_comment(c, k, &used);
  c_begin(c);
  out_printf(c->line, "static KERNEL void %s(", used.name);
  kernel_params(c, k, &used);
  out_printf(c->line, ")");
  c_end(c);
  c_line(c, "{");
  out_indent(c->out);
  declare_registers(c, k);
  c_body(c, k->body);
  out_dedent(c->out);
  c_line(c, "}");
  c_blank(c);
  names_show(c->names, hidden);
  vec_push(c->arena, &c->kernel_names, used);
}
