/* Text to graphs: the reader for text.h. It trusts nothing: limits come before allocation, and a
 * program is handed out only after the verifier has passed it. */
#include "base/str.h"
#include "ir/attr_text.h"
#include "ir/scan.h"
#include "ir/text.h"
#include "ir/verify.h"

#include <string.h>

enum {
  NODES_MAX = 1 << 20, OPERANDS_MAX = 64, STATE_MAX = 1 << 20, LINE_MAX = 100000, COL_MAX = 10000,
  BATCH_MAX = 1 << 24
};

/* A place that was read; its offset is known once the blank source has been laid out. */
typedef struct {
  int line, col;
  Span *at;
} Mark;

typedef struct {
  Scan scan;
  Program *program;
  const OpTable *ops;
  VEC(Node *) node;             /* of the current graph, by the text's number; NULL: not defined */
  VEC(Mark) marks;
  const char *file;             /* NULL: no source line */
} Reader;

static bool fail_name(Reader *r, const char *what, const char *name)
{
  return scan_fail(&r->scan, "there is no %s '%s'", what, name);
}

/* ---- places ---- */

/* "@12:7", when there is one. at must stay where it is until the end. */
static bool read_place(Reader *r, Span *at)
{
  int64_t line, col;
  Scan *s = &r->scan;
  *at = (Span){ 0, 0 };
  if (!scan_take(s, "@"))
    return !s->error;
  if (!scan_int(s, &line) || !scan_need(s, ":") || !scan_int(s, &col))
    return false;
  if (line < 1 || line > LINE_MAX || col < 1 || col > COL_MAX || !r->file)
    return scan_fail(s,
                     r->file ? "this place is out of range" : "a place needs a source line above");
  vec_push(s->arena, &r->marks, ((Mark){ (int)line, (int)col, at }));
  return true;
}

/* Adds a blank text with every place that was read, and turns the places into spans. */
static void lay_out_source(Reader *r, SourceMap *m)
{
  Arena *a = r->scan.arena;
  int lines = 0;
  for (uint32_t i = 0; i < r->marks.n; i++)
    lines = r->marks.at[i].line > lines ? r->marks.at[i].line : lines;
  if (!lines)
    return;
  uint32_t *width = ARENA_ARRAY(a, uint32_t, lines + 1),
           *start = ARENA_ARRAY(a, uint32_t, lines + 2);
  for (uint32_t i = 0; i < r->marks.n; i++)
    if ((uint32_t)r->marks.at[i].col > width[r->marks.at[i].line])
      width[r->marks.at[i].line] = (uint32_t)r->marks.at[i].col;
  for (int i = 1; i <= lines; i++)
    start[i + 1] = start[i] + width[i] + 1;
  uint32_t length = start[lines + 1];
  char *text = arena_alloc(a, length + 1);
  memset(text, ' ', length);
  for (int i = 1; i <= lines; i++)
    text[start[i + 1] - 1] = '\n';
  uint32_t base = source_add(m, r->file, text, length);
  for (uint32_t i = 0; i < r->marks.n; i++) {
    const Mark *k = &r->marks.at[i];
    uint32_t at = base + start[k->line] + (uint32_t)k->col - 1;
    *k->at = (Span){ at, at + 1 };
  }
}

/* ---- header ---- */

static bool read_program(Reader *r)
{
  Scan *s = &r->scan;
  const char *real;
  int64_t version;
  if (!scan_need(s, "gradc-graph") || !scan_int(s, &version))
    return false;
  if (version != GRAPH_TEXT_VERSION)
    return scan_fail(s, "this is version %lld of the graph's text form; version %d is needed",
                     (long long)version, GRAPH_TEXT_VERSION);
  if (!scan_need(s, "program") || !scan_string(s, &r->program->name) || !scan_need(s, "real") ||
      !scan_need(s, "=") || !scan_word(s, &real))
    return false;
  if (!dtype_parse(real, &r->program->real) || !dtype_is_real(r->program->real))
    return scan_fail(s, "'%s' is not a real type", real);
  if (!scan_need(s, "batch") || !scan_need(s, "=") || !scan_int(s, &r->program->batch))
    return false;
  if (r->program->batch < 1 || r->program->batch > BATCH_MAX)
    return scan_fail(s, "the batch is out of range");
  return !scan_take(s, "source") || scan_string(s, &r->file);
}

static uint32_t count_keyword(Reader *r, const char *word)
{
  uint32_t n = 0;
  size_t length = strlen(word);
  for (size_t i = 0; i + length < r->scan.n; i++)
    n += memcmp(r->scan.text + i, word, length) == 0;
  return n;
}

static bool read_fields(Reader *r)
{
  Scan *s = &r->scan;
  Program *p = r->program;
  /* Room for all of them first: places are written through pointers. */
  uint32_t most = count_keyword(r, "field ");
  p->fields.at = ARENA_ARRAY(p->arena, Field, most + 1);
  p->fields.cap = most + 1;
  while (scan_take(s, "field")) {
    Field f = { 0 };
    if (!scan_string(s, &f.name) || !scan_need(s, ":") || !scan_type(s, &f.type))
      return false;
    if (scan_take(s, "classes") && !(scan_need(s, "=") && scan_int(s, &f.classes)))
      return false;
    vec_push(p->arena, &p->fields, f);
    if (!read_place(r, &p->fields.at[p->fields.n - 1].at))
      return false;
  }
  return !s->error;
}

static bool read_role(Reader *r, StateVar *v)
{
  Scan *s = &r->scan;
  const char *of;
  if (scan_take(s, "param")) {
    v->role = STATE_PARAM;
    v->trainable = !scan_take(s, "frozen");
    return true;
  }
  if (scan_take(s, "stat")) {
    v->role = STATE_STAT;
    return true;
  }
  if (scan_take(s, "carried")) {
    v->role = STATE_CARRIED;
    return true;
  }
  v->role = STATE_SLOT;
  if (!scan_need(s, "slot") || !scan_need(s, "of") || !scan_string(s, &of))
    return false;
  StateVar *param = program_find_state(r->program, of);
  if (!param)
    return fail_name(r, "state variable", of);
  v->slot_of = param->id;
  return true;
}

static bool read_state(Reader *r)
{
  Scan *s = &r->scan;
  Program *p = r->program;
  StateVar v = { 0 };
  if (p->state.n == STATE_MAX)
    return scan_fail(s, "there are too many state variables");
  if (!scan_string(s, &v.name) || !scan_need(s, ":") || !scan_type(s, &v.type) ||
      !read_role(r, &v) || !scan_need(s, "init") || !scan_need(s, "=") || !init_scan(s, &v.init))
    return false;
  if (scan_take(s, "fan_in") &&
      !(scan_need(s, "=") && scan_int(s, &v.fan_in) && scan_need(s, "fan_out") &&
        scan_need(s, "=") && scan_int(s, &v.fan_out)))
    return false;
  if (scan_take(s, "given") && !(scan_need(s, "=") && literal_scan(s, &v.given)))
    return false;
  return read_place(r, &program_add_state(p, v)->at);
}

static bool read_states(Reader *r)
{
  Program *p = r->program;
  uint32_t most = count_keyword(r, "state ");
  p->state.at = ARENA_ARRAY(p->arena, StateVar, most + 1);
  p->state.cap = most + 1;
  while (scan_take(&r->scan, "state"))
    if (!read_state(r))
      return false;
  return !r->scan.error;
}

/* ---- nodes ---- */

static bool read_number(Reader *r, int64_t *id)
{
  Scan *s = &r->scan;
  if (!scan_need(s, "%") || !scan_int(s, id))
    return false;
  return (*id >= 0 && *id < NODES_MAX) || scan_fail(s, "this node's number is out of range");
}

/* scan_int would take "4.1" apart wrongly, so the result follows its dot by hand. */
static bool read_value(Reader *r, Value *out)
{
  Scan *s = &r->scan;
  int64_t id = 0, result = 0;
  *out = (Value){ NULL, 0 };
  if (scan_take(s, "none"))
    return true;
  if (!scan_need(s, "%"))
    return false;
  size_t from = s->at;
  while (s->at < s->n && s->text[s->at] >= '0' && s->text[s->at] <= '9' && id < NODES_MAX)
    id = 10 * id + (s->text[s->at++] - '0');
  if (s->at == from)
    return scan_fail(s, "a node's number is missing here");
  if (s->at < s->n && s->text[s->at] == '.') {
    s->at++;
    if (!scan_int(s, &result))
      return false;
  }
  if (id >= r->node.n || !r->node.at[id])
    return scan_fail(s, "node %%%lld is used before it is defined", (long long)id);
  if (result < 0 || result >= r->node.at[id]->nout)
    return scan_fail(s, "node %%%lld has no result %lld", (long long)id, (long long)result);
  *out = (Value){ r->node.at[id], (uint32_t)result };
  return true;
}

static bool read_operands(Reader *r, Value *in, uint32_t *nin)
{
  Scan *s = &r->scan;
  *nin = 0;
  while (scan_next_is(s, "%") || scan_next_is(s, "none")) {
    if (*nin == OPERANDS_MAX)
      return scan_fail(s, "a node has at most %d operands", OPERANDS_MAX);
    if (!read_value(r, &in[(*nin)++]))
      return false;
    if (!scan_take(s, ","))
      return scan_next_is(s, ")") || scan_fail(s, "')' is missing here");
  }
  return !s->error;
}

static bool read_types(Reader *r, const OpDef *op, Type *out, uint32_t *nout)
{
  Scan *s = &r->scan;
  *nout = 0;
  if (!scan_need(s, ":"))
    return false;
  do {
    if (*nout == OPERANDS_MAX)
      return scan_fail(s, "%s has at most %d results", op->name, OPERANDS_MAX);
    if (!scan_type(s, &out[(*nout)++]))
      return false;
  } while (scan_take(s, ","));
  return true;
}

static bool read_node(Reader *r, Graph *g)
{
  Scan *s = &r->scan;
  Value in[OPERANDS_MAX];
  Type out[OPERANDS_MAX];
  uint32_t nin, nout;
  int64_t id;
  const char *word, *name = NULL;
  if (!read_number(r, &id) || !scan_need(s, "=") || !scan_word(s, &word) || !scan_need(s, "("))
    return false;
  const OpDef *op = op_find(r->ops, word);
  if (!op)
    return fail_name(r, "operation", word);
  void *attrs = op->attrs_size ? arena_alloc(s->arena, op->attrs_size) : NULL;
  if (!read_operands(r, in, &nin) || !attrs_scan(s, op->attrs, attrs) || !scan_need(s, ")") ||
      !read_types(r, op, out, &nout))
    return false;
  if (scan_next_is(s, "\"") && !scan_string(s, &name))
    return false;
  while (r->node.n <= (uint32_t)id)
    vec_push(s->arena, &r->node, NULL);
  if (r->node.at[id])
    return scan_fail(s, "node %%%lld is defined twice", (long long)id);
  Node *n = graph_append(g, op, attrs, in, nin, out, nout, name, (Span){ 0, 0 });
  n->id = (uint32_t)id;
  g->next_id = r->node.n;
  r->node.at[id] = n;
  return read_place(r, &n->at);
}

/* ---- graphs ---- */

static bool read_write(Reader *r, Graph *g)
{
  Scan *s = &r->scan;
  const char *name;
  Write w;
  if (!scan_string(s, &name) || !scan_need(s, "=") || !read_value(r, &w.value))
    return false;
  const StateVar *v = program_find_state(r->program, name);
  if (!v)
    return fail_name(r, "state variable", name);
  if (!w.value.node)
    return scan_fail(s, "a write needs a value");
  w.state = v->id;
  vec_push(s->arena, &g->writes, w);
  return true;
}

static bool read_output(Reader *r, Graph *g)
{
  Scan *s = &r->scan;
  Output out;
  if (!scan_string(s, &out.name) || !scan_need(s, "=") || !read_value(r, &out.value))
    return false;
  if (!out.value.node)
    return scan_fail(s, "an output needs a value");
  vec_push(s->arena, &g->outputs, out);
  return true;
}

static bool read_graph(Reader *r, Graph **other)
{
  Scan *s = &r->scan;
  Program *p = r->program;
  const char *name;
  if (!scan_word(s, &name) || !scan_need(s, "{"))
    return false;
  Graph **slot = str_eq(name, "train") ? &p->train : str_eq(name, "eval") ? &p->eval
                 : str_eq(name, "infer") ? &p->infer : other;
  if (!slot || *slot)
    return scan_fail(s, slot ? "there is a graph of this kind already"
                             : "a graph is train, eval or infer");
  Graph *g = *slot = graph_new(p, name);
  r->node.n = 0;
  while (scan_next_is(s, "%"))
    if (!read_node(r, g))
      return false;
  while (scan_take(s, "write"))
    if (!read_write(r, g))
      return false;
  while (scan_take(s, "output"))
    if (!read_output(r, g))
      return false;
  return scan_need(s, "}");
}

static bool read_all(Reader *r, Graph **other)
{
  if (!read_program(r) || !read_fields(r) || !read_states(r))
    return false;
  while (scan_take(&r->scan, "graph"))
    if (!read_graph(r, other))
      return false;
  return scan_end(&r->scan) || scan_fail(&r->scan, "a graph or the end is missing here");
}

Program *program_read(const char *text, uint32_t length, uint32_t base, SourceMap *m,
                      const OpTable *ops, Arena *a, Diag *d, Graph **other)
{
  Reader r = { .scan = { .arena = a, .text = text, .n = length }, .ops = ops };
  Graph *extra = NULL;
  r.program = ARENA_NEW(a, Program);
  r.program->arena = a;
  if (!read_all(&r, other ? &extra : NULL)) {
    uint32_t at = base + (uint32_t)r.scan.error_at;
    diag_error(d, (Span){ at, at + 1 }, "E0901", "%s", r.scan.error);
    return NULL;
  }
  lay_out_source(&r, m);
  const char *fault = program_verify(r.program, a);
  if (!fault && extra)
    fault = graph_verify(extra, a);
  if (fault) {
    diag_error(d, (Span){ base, base + 1 }, "E0901", "this graph is not valid: %s", fault);
    return NULL;
  }
  if (other)
    *other = extra;
  return r.program;
}
