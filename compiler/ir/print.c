/* Graphs to text; see text.h for the form. */
#include "base/str.h"
#include "ir/attr_text.h"
#include "ir/text.h"

enum { NAME_MAX = 4096 };

typedef struct {
  Out *o;
  Arena *tmp;
  const SourceMap *sources;
  const char *file;             /* the one whose places are printed; NULL: none */
} Printer;

static const char *quoted(Printer *p, const char *s) { return str_escape(p->tmp, s, NAME_MAX); }

/* ---- places ---- */

static const char *file_of(const SourceMap *m, Span at)
{
  Place place;
  return at.end && m && source_place(m, at.begin, &place) ? place.file : NULL;
}

static const char *file_of_graph(const SourceMap *m, const Graph *g)
{
  const char *file = NULL;
  for (uint32_t i = 0; g && !file && i < g->order.n; i++)
    file = file_of(m, g->order.at[i]->at);
  return file;
}

/* The file of the first place, fields and state first. */
static const char *first_file(const Program *p, const SourceMap *m)
{
  const char *file = NULL;
  for (uint32_t i = 0; !file && i < p->fields.n; i++)
    file = file_of(m, p->fields.at[i].at);
  for (uint32_t i = 0; !file && i < p->state.n; i++)
    file = file_of(m, p->state.at[i].at);
  const Graph *const graphs[] = { p->train, p->eval, p->infer };
  for (size_t i = 0; !file && i < ARRAY_LEN(graphs); i++)
    file = file_of_graph(m, graphs[i]);
  return file;
}

static void print_place(Printer *p, Span at)
{
  Place place;
  if (p->file && at.end && source_place(p->sources, at.begin, &place) &&
      str_eq(place.file, p->file))
    out_printf(p->o, " @%d:%d", place.line, place.col);
}

static Printer printer(const Program *prog, const SourceMap *m, Out *o)
{
  const char *file = m ? first_file(prog, m) : NULL;
  return (Printer){ .o = o, .tmp = prog->arena, .sources = m, .file = file };
}

/* ---- program ---- */

static void print_field(Printer *p, const Field *f)
{
  out_begin(p->o);
  out_printf(p->o, "field \"%s\" : %s", quoted(p, f->name), type_text(p->tmp, &f->type));
  if (f->classes)
    out_printf(p->o, " classes=%lld", (long long)f->classes);
  print_place(p, f->at);
  out_end(p->o);
}

static void print_role(Printer *p, const Program *prog, const StateVar *v)
{
  switch (v->role) {
  case STATE_PARAM: out_printf(p->o, v->trainable ? " param" : " param frozen"); return;
  case STATE_SLOT:
    out_printf(p->o, " slot of \"%s\"", quoted(p, prog->state.at[v->slot_of].name));
    return;
  case STATE_STAT: out_printf(p->o, " stat"); return;
  case STATE_CARRIED: out_printf(p->o, " carried"); return;
  }
  ice("state variable '%s' has no role", v->name);
}

static void print_state(Printer *p, const Program *prog, const StateVar *v)
{
  out_begin(p->o);
  out_printf(p->o, "state \"%s\" : %s", quoted(p, v->name), type_text(p->tmp, &v->type));
  print_role(p, prog, v);
  out_printf(p->o, " init=");
  init_print(&v->init, p->tmp, p->o);
  if (v->fan_in || v->fan_out)
    out_printf(p->o, " fan_in=%lld fan_out=%lld", (long long)v->fan_in, (long long)v->fan_out);
  if (v->given.value) {
    out_printf(p->o, " given=");
    literal_print(&v->given, p->tmp, p->o);
  }
  print_place(p, v->at);
  out_end(p->o);
}

void program_print_header(const Program *prog, const SourceMap *m, Out *o)
{
  Printer p = printer(prog, m, o);
  out_line(o, "gradc-graph %d", GRAPH_TEXT_VERSION);
  out_line(o, "program \"%s\" real=%s batch=%lld", quoted(&p, prog->name ? prog->name : ""),
           dtype_text(prog->real), (long long)prog->batch);
  if (p.file)
    out_line(o, "source \"%s\"", quoted(&p, p.file));
  for (uint32_t i = 0; i < prog->fields.n; i++)
    print_field(&p, &prog->fields.at[i]);
  for (uint32_t i = 0; i < prog->state.n; i++)
    print_state(&p, prog, &prog->state.at[i]);
}

/* ---- graphs ---- */

static void print_value(Printer *p, Value v)
{
  if (!v.node)
    out_printf(p->o, "none");
  else if (v.result)
    out_printf(p->o, "%%%u.%u", v.node->id, v.result);
  else
    out_printf(p->o, "%%%u", v.node->id);
}

/* What a source stands for: sources are told apart by their attribute. */
static void print_source(Printer *p, const Program *prog, const Node *n)
{
  static const char *const args[] = {
#define X(k, text, doc) text,
    STEP_ARGS(X)
#undef X
  };
  const AttrDef *d = n->op->cls == OP_SOURCE && attrs_count(n->op->attrs) ? &n->op->attrs[0] : NULL;
  if (!d || d->kind != ATTR_int)
    return;
  int64_t i = *(const int64_t *)((const char *)n->attrs + d->offset);
  const char *name = NULL;
  if (str_eq(d->name, "field") && i >= 0 && i < prog->fields.n)
    name = prog->fields.at[i].name;
  else if (str_eq(d->name, "state") && i >= 0 && i < prog->state.n)
    name = prog->state.at[i].name;
  else if (str_eq(d->name, "which") && i >= 0 && i < ARG_COUNT)
    name = args[i];
  if (name)
    out_printf(p->o, "  # %s", quoted(p, name));
}

static void print_node(Printer *p, const Program *prog, const Node *n)
{
  Out *o = p->o, *attrs = out_new(p->tmp);
  out_begin(o);
  out_printf(o, "%%%u = %s(", n->id, n->op->name);
  for (uint32_t i = 0; i < n->nin; i++) {
    if (i)
      out_printf(o, ", ");
    print_value(p, n->in[i]);
  }
  if (attrs_print(n->op->attrs, n->attrs, p->tmp, attrs))
    out_printf(o, "%s%s", n->nin ? ", " : "", out_text(attrs));
  out_printf(o, ")");
  for (uint32_t i = 0; i < n->nout; i++)
    out_printf(o, "%s%s", i ? ", " : " : ", type_text(p->tmp, &n->type[i]));
  if (n->name)
    out_printf(o, " \"%s\"", quoted(p, n->name));
  print_place(p, n->at);
  print_source(p, prog, n);
  out_end(o);
}

static void print_graph(Printer *p, const Graph *g)
{
  out_line(p->o, "graph %s {", g->name);
  out_indent(p->o);
  for (uint32_t i = 0; i < g->order.n; i++)
    print_node(p, g->program, g->order.at[i]);
  for (uint32_t i = 0; i < g->writes.n; i++) {
    out_begin(p->o);
    const char *name = g->program->state.at[g->writes.at[i].state].name;
    out_printf(p->o, "write \"%s\" = ", quoted(p, name));
    print_value(p, g->writes.at[i].value);
    out_end(p->o);
  }
  for (uint32_t i = 0; i < g->outputs.n; i++) {
    out_begin(p->o);
    out_printf(p->o, "output \"%s\" = ", quoted(p, g->outputs.at[i].name));
    print_value(p, g->outputs.at[i].value);
    out_end(p->o);
  }
  out_dedent(p->o);
  out_line(p->o, "}");
}

void graph_print(const Graph *g, const SourceMap *m, Out *o)
{
  Printer p = printer(g->program, m, o);
  print_graph(&p, g);
}

void program_print(const Program *prog, const SourceMap *m, Out *o)
{
  const Graph *const graphs[] = { prog->train, prog->eval, prog->infer };
  program_print_header(prog, m, o);
  for (size_t i = 0; i < ARRAY_LEN(graphs); i++)
    if (graphs[i])
      graph_print(graphs[i], m, o);
}
