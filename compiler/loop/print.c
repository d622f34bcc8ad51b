/* Printer of the text form. Variables and buffers get names that are unique in their kernel,
 * function or module; names that are unique already stay, which makes printing a fixed point of
 * reading. */
#include "base/str.h"
#include "loop/expr.h"
#include "loop/text.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BUCKETS = 256, PREC_ANY = 0, PREC_OPERAND = 15 };

typedef struct Used Used;
struct Used {
  Used *next;
  const char *name;
  int count;                    /* last number that was tried after it */
};

typedef struct {
  const Module *m;
  Arena *arena;
  Out *o;
  Used *used[BUCKETS];          /* names of the current kernel, function or the module */
  const char **name;            /* by id of variables and buffers */
} Print;

/* ---- names ---- */

static const char words[] = "layer formula about template flops in out registers uses for rolled "
                            "step if else let note call barrier return inf nan";

bool loop_text_reserved(const char *word) { return str_in_words(word, words); }

bool loop_text_builtin(const char *word)
{
  int dtype;
  for (int i = 0; i < SC_COUNT; i++)
    if (str_eq(scalar_defs[i].name, word))
      return true;
  return ltype_parse(word, &dtype) || str_in_words(word, "splat iota") ||
         !strncmp(word, "reduce_", 7) || !strncmp(word, "bits_", 5);
}

static Used **slot(Print *p, const char *name)
{
  unsigned h = 5381;
  for (const char *s = name; *s; s++)
    h = 33 * h + (unsigned char)*s;
  Used **u = &p->used[h % BUCKETS];
  while (*u && !str_eq((*u)->name, name))
    u = &(*u)->next;
  return u;
}

static Used *take(Print *p, Used **at, const char *name)
{
  *at = ARENA_NEW(p->arena, Used);
  **at = (Used){ NULL, name, 1 };
  return *at;
}

/* A word from any name. */
static const char *as_word(Print *p, const char *name)
{
  char *s = arena_strdup(p->arena, name && *name ? name : "_");
  for (char *c = s; *c; c++)
    if (!(*c == '_' || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
          (*c >= 'A' && *c <= 'Z')))
      *c = '_';
  return *s >= '0' && *s <= '9' ? arena_printf(p->arena, "_%s", s) : s;
}

static const char *unique(Print *p, const char *want)
{
  const char *name = as_word(p, want);
  Used **at = slot(p, name), *first = *at;
  if (!first && !loop_text_reserved(name))
    return take(p, at, name)->name;
  if (!first)
    first = take(p, at, name);
  for (;;) {
    const char *next = arena_printf(p->arena, "%s_%d", name, ++first->count);
    at = slot(p, next);
    if (!*at)
      return take(p, at, next)->name;
  }
}

static void name_var(Print *p, const LVar *v) { p->name[v->id] = unique(p, v->name); }
static void forget(Print *p) { memset(p->used, 0, sizeof p->used); }

/* A variable whose name the text form fixes. */
static void name_fixed(Print *p, const LVar *v, const char *name)
{
  p->name[v->id] = name;
  take(p, slot(p, name), name);
}

/* ---- constants and types ---- */

/* The shortest decimal that reads back as r, with a point or exponent. */
static const char *real_text(Print *p, double r, int dtype)
{
  char text[40];
  if (isnan(r))
    return "nan";
  if (isinf(r))
    return r > 0 ? "inf" : "-inf";
  for (int digits = 1; digits <= 17; digits++) {
    double back;
    snprintf(text, sizeof text, "%.*g", digits, r);
    if (sscanf(text, "%lf", &back) == 1 && (dtype == DT_F32 ? (double)(float)back : back) == r)
      break;
  }
  if (!strpbrk(text, ".e"))
    strcat(text, ".0");
  return arena_strdup(p->arena, text);
}

static const char *vector_text(Print *p, int dtype, int lanes)
{
  return lanes == 1 ? ltype_text(dtype) : arena_printf(p->arena, "%sx%d", ltype_text(dtype), lanes);
}

/* ---- expressions ---- */

static void expr(Print *p, const LExpr *e, int outer);

static void arguments(Print *p, const char *fn, LExpr *const *arg, int n)
{
  out_printf(p->o, "%s(", fn);
  for (int i = 0; i < n; i++) {
    if (i > 0)
      out_printf(p->o, ", ");
    expr(p, arg[i], PREC_ANY);
  }
  out_printf(p->o, ")");
}

static void operation(Print *p, const LExpr *e, int outer)
{
  const ScalarDef *def = &scalar_defs[e->op.op];
  if (def->form == FORM_FN) {
    arguments(p, def->name, e->op.arg, def->arity);
    return;
  }
  bool parens = def->prec < outer;
  out_printf(p->o, "%s", parens ? "(" : "");
  if (def->form == FORM_PRE) {
    const LExpr *x = e->op.arg[0];
    bool constant = x->kind == LE_INT || x->kind == LE_REAL;
    out_printf(p->o, constant ? "%s(" : "%s", def->text);
    expr(p, x, constant ? PREC_ANY : PREC_OPERAND);
    out_printf(p->o, "%s", constant ? ")" : "");
  } else {
    expr(p, e->op.arg[0], def->prec);
    out_printf(p->o, "%s", def->text);
    expr(p, e->op.arg[1], def->prec + 1);
  }
  out_printf(p->o, "%s", parens ? ")" : "");
}

static void element(Print *p, const Buffer *buf, const LExpr *index, int lanes)
{
  out_printf(p->o, "%s[", p->name[buf->id]);
  expr(p, index, PREC_ANY);
  if (lanes > 1 && buf->role != BUF_REGISTER)
    out_printf(p->o, " : %d", lanes);
  out_printf(p->o, "]");
}

static void expr(Print *p, const LExpr *e, int outer)
{
  switch (e->kind) {
  case LE_INT:
    out_printf(p->o, "%lld%s", (long long)e->i,
               e->dtype == DT_U32   ? "u"
               : e->dtype == DT_I32 ? "s"
                                    : "");
    return;
  case LE_REAL: out_printf(p->o, "%s", real_text(p, e->r, e->dtype)); return;
  case LE_VAR: out_printf(p->o, "%s", p->name[e->var->id]); return;
  case LE_LOAD: element(p, e->load.buf, e->load.index, e->lanes); return;
  case LE_OP: operation(p, e, outer); return;
  case LE_CAST: arguments(p, ltype_text(e->dtype), &e->from, 1); return;
  case LE_BITS:
    arguments(p, arena_printf(p->arena, "bits_%s", ltype_text(e->dtype)), &e->from, 1);
    return;
  case LE_SPLAT:
    out_printf(p->o, "splat(");
    expr(p, e->from, PREC_ANY);
    out_printf(p->o, ", %d)", e->lanes);
    return;
  case LE_IOTA: out_printf(p->o, "iota(%d)", e->lanes); return;
  case LE_REDUCE:
    arguments(p, arena_printf(p->arena, "reduce_%s", scalar_defs[e->reduce.op].name),
              &e->reduce.from, 1);
    return;
  case LE_CALL: arguments(p, e->call.fn->name, e->call.arg, e->call.narg); return;
  }
}

/* ---- statements ---- */

static void body(Print *p, const LStmt *s);

static void span(Print *p, Span at)
{
  if (at.begin || at.end)
    out_printf(p->o, " @%u:%u", at.begin, at.end);
}

static void open_block(Print *p)
{
  out_printf(p->o, " {");
  out_end(p->o);
  out_indent(p->o);
}

static void close_block(Print *p)
{
  out_dedent(p->o);
  out_line(p->o, "}");
}

static void print_for(Print *p, const LStmt *s)
{
  name_var(p, s->loop.var);
  out_printf(p->o, "for %s = ", p->name[s->loop.var->id]);
  expr(p, s->loop.lo, PREC_ANY);
  out_printf(p->o, " .. ");
  expr(p, s->loop.hi, PREC_ANY);
  if (s->loop.step != 1)
    out_printf(p->o, " step %lld", (long long)s->loop.step);
  if (s->loop.how == FOR_ROLLED)
    out_printf(p->o, " rolled");
  span(p, s->at);
  open_block(p);
  body(p, s->loop.body);
  close_block(p);
}

static void print_if(Print *p, const LStmt *s)
{
  out_printf(p->o, "if ");
  expr(p, s->branch.cond, PREC_ANY);
  span(p, s->at);
  open_block(p);
  body(p, s->branch.then);
  if (s->branch.otherwise) {
    out_dedent(p->o);
    out_line(p->o, "} else {");
    out_indent(p->o);
    body(p, s->branch.otherwise);
  }
  close_block(p);
}

static void print_let(Print *p, const LStmt *s)
{
  const char *name = unique(p, s->let.var->name);
  out_printf(p->o, "let %s = ", name);
  expr(p, s->let.value, PREC_ANY);
  p->name[s->let.var->id] = name;
}

static void print_call(Print *p, const LStmt *s)
{
  out_printf(p->o, "call %s(", s->call.kernel->name);
  for (uint32_t i = 0; i < s->call.kernel->formal.n; i++)
    out_printf(p->o, "%s%s", i ? ", " : "", p->name[s->call.arg[i]->id]);
  out_printf(p->o, ") ");
  expr(p, s->call.lo, PREC_ANY);
  out_printf(p->o, " .. ");
  expr(p, s->call.hi, PREC_ANY);
}

static void body(Print *p, const LStmt *s)
{
  for (; s; s = s->next) {
    out_begin(p->o);
    switch (s->kind) {
    case LS_FOR: print_for(p, s); continue;
    case LS_IF: print_if(p, s); continue;
    case LS_LET: print_let(p, s); break;
    case LS_STORE:
      element(p, s->store.buf, s->store.index, s->store.value->lanes);
      out_printf(p->o, " = ");
      expr(p, s->store.value, PREC_ANY);
      break;
    case LS_CALL: print_call(p, s); break;
    case LS_BARRIER:
      out_printf(p->o, s->barrier.when ? "barrier when " : "barrier");
      if (s->barrier.when)
        expr(p, s->barrier.when, PREC_ANY);
      break;
    case LS_NOTE:
      out_printf(p->o, "note \"%s\"", str_escape(p->arena, s->note.text, SIZE_MAX));
      break;
    }
    span(p, s->at);
    out_end(p->o);
  }
}

/* ---- parts of a module ---- */

static void print_layout(Print *p, const Layout *l)
{
  out_printf(p->o, " layout");
  for (int i = 0; i < l->n; i++) {
    const Digit *d = &l->digit[i];
    if (d->axis == AXIS_BATCH)
      out_printf(p->o, " n/%lld:%lld", (long long)d->div, (long long)d->extent);
    else
      out_printf(p->o, " %d/%lld:%lld", d->axis, (long long)d->div, (long long)d->extent);
  }
}

/* "f32 x[1024] : f32[n,64] layout .." */
static void declare(Print *p, const Buffer *b)
{
  out_printf(p->o, "%s %s[%lld]", vector_text(p, (int)b->dtype, b->lanes), p->name[b->id],
             (long long)b->extent);
  if (b->role == BUF_STATE || b->role == BUF_ARENA || b->role == BUF_WORKER)
    out_printf(p->o, " at %lld", (long long)b->offset);
  if (b->role != BUF_FORMAL && b->index != 0)
    out_printf(p->o, " index %d", b->index);
  if (b->type)
    out_printf(p->o, " : %s", type_text(p->arena, b->type));
  if (b->layout)
    print_layout(p, b->layout);
  if (b->layout && b->layout->n)
    out_printf(p->o, " # %s", layout_text(p->arena, b->layout));
}

static void print_buffer(Print *p, const Buffer *b)
{
  static const char *const role[] = { "state", "arena", "worker", "rows",
                                      "ids",   "args",  "out",    "const" };
  p->name[b->id] = unique(p, b->name);
  out_begin(p->o);
  out_printf(p->o, "%s ", role[b->role]);
  declare(p, b);
  out_end(p->o);
  if (b->role != BUF_CONST)
    return;
  out_begin(p->o);
  out_printf(p->o, "  =");
  for (int64_t i = 0; i < b->extent; i++)
    out_printf(p->o, " %s", real_text(p, b->values[i], DT_F64));
  out_end(p->o);
}

static void print_func(Print *p, const LFunc *f)
{
  forget(p);
  out_printf(p->o, "\nfunc %s(", f->name);
  for (int i = 0; i < f->nparam; i++) {
    name_var(p, f->param[i]);
    out_printf(p->o, "%s%s %s", i ? ", " : "",
               vector_text(p, (int)f->param[i]->dtype, f->param[i]->lanes),
               p->name[f->param[i]->id]);
  }
  out_printf(p->o, ")");
  if (f->doc)
    out_printf(p->o, " \"%s\"", str_escape(p->arena, f->doc, SIZE_MAX));
  open_block(p);
  body(p, f->body);
  out_begin(p->o);
  out_printf(p->o, "return ");
  expr(p, f->result, PREC_ANY);
  out_end(p->o);
  close_block(p);
}

static void attribute(Print *p, const char *name, const char *value)
{
  if (value)
    out_line(p->o, "%s \"%s\"", name, str_escape(p->arena, value, SIZE_MAX));
}

static void print_kernel(Print *p, const Kernel *k)
{
  forget(p);
  name_fixed(p, k->lo, "lo");
  name_fixed(p, k->hi, "hi");
  name_fixed(p, k->n, "n");
  out_printf(p->o, "\nkernel %s", k->name);
  span(p, k->at);
  open_block(p);
  attribute(p, "layer", k->layer);
  attribute(p, "formula", k->formula);
  attribute(p, "about", k->about);
  attribute(p, "template", k->template_name);
  if (k->flops != 0)
    out_line(p->o, "flops %s", real_text(p, k->flops, DT_F64));
  for (uint32_t i = 0; i < k->formal.n; i++) {
    const Buffer *b = k->formal.at[i];
    p->name[b->id] = unique(p, b->name);
    out_begin(p->o);
    out_printf(p->o, "%s ", b->written ? "out" : "in");
    declare(p, b);
    out_end(p->o);
  }
  for (uint32_t i = 0; i < k->regs.n; i++) {
    p->name[k->regs.at[i]->id] = unique(p, k->regs.at[i]->name);
    out_begin(p->o);
    out_printf(p->o, k->regs.at[i]->role == BUF_LOCAL ? "local " : "registers ");
    declare(p, k->regs.at[i]);
    out_end(p->o);
  }
  body(p, k->body);
  close_block(p);
}

static void print_host(Print *p, const Host *h)
{
  static const char *const kind[HOST_COUNT] = { "train", "eval", "infer" };
  forget(p);
  name_fixed(p, h->worker, "worker");
  name_fixed(p, h->nworkers, "nworkers");
  name_fixed(p, h->n, "n");
  out_printf(p->o, "\nhost %s arena %zu worker %zu", kind[h->kind], h->arena_bytes,
             h->worker_bytes);
  open_block(p);
  if (h->buffers.n) {
    out_begin(p->o);
    out_printf(p->o, "uses");
    for (uint32_t i = 0; i < h->buffers.n; i++)
      out_printf(p->o, " %s", p->name[h->buffers.at[i]->id]);
    out_end(p->o);
  }
  body(p, h->body);
  close_block(p);
}

static Print *print_new(const Module *m, Out *o)
{
  Print *p = ARENA_NEW(m->arena, Print);
  *p = (Print){ .m = m, .arena = m->arena, .o = o };
  p->name = ARENA_ARRAY(m->arena, const char *, m->next_id + 1);
  return p;
}

void loop_print(const Module *m, Out *o)
{
  Print *p = print_new(m, o);
  out_line(o, "loop 1");
  out_line(o, "module \"%s\" %s batch %lld state %zu", str_escape(p->arena, m->name, SIZE_MAX),
           ltype_text((int)m->real), (long long)m->batch, m->state_bytes);
  for (uint32_t i = 0; i < m->buffers.n; i++)
    print_buffer(p, m->buffers.at[i]);
  for (uint32_t i = 0; i < m->funcs.n; i++)
    print_func(p, m->funcs.at[i]);
  for (uint32_t i = 0; i < m->kernels.n; i++)
    print_kernel(p, m->kernels.at[i]);
  for (int h = 0; h < HOST_COUNT; h++)
    if (m->host[h])
      print_host(p, m->host[h]);
}

void loop_print_kernel(const Module *m, const Kernel *k, Out *o)
{
  print_kernel(print_new(m, o), k);
}
