/* What every layer makes of one sample, by compiled code: the net is compiled again, a part of its
 * layers at a time, with their values as the results of its inference. */
#include "base/str.h"
#include "cmd/report.h"
#include "data.h"
#include <string.h>

/* Outputs hold 16 samples: so many elements a sample are 256 MB of f32. */
enum { PART_ELEMENTS = 1 << 22 };

/* Which of the values a compilation has as results. */
typedef struct { int first, count; } InnerPart;

static bool is_shown(const Program *p, const Node *n)
{
  for (uint32_t i = 0; i < p->fields.n; i++)
    if (str_eq(n->name, p->fields.at[i].name))
      return false;
  bool layer = n->name && ((n->op->flags & OP_LAYER) || n->op->written);
  return layer && n->op->cls != OP_VIEW && n->op->cls != OP_SOURCE && n->type[0].batched;
}

/* The layers' values in the order of the spec, of neighbours with one name the last; they and their
 * number are the same in every compilation of it. */
static NamedValue *list_values(const Compilation *c, int *n)
{
  const Graph *f = c->model->forward;
  NamedValue *all = ARENA_ARRAY(c->arena, NamedValue, f->order.n + 1);
  *n = 0;
  for (uint32_t i = 0; i < f->order.n; i++) {
    Node *node = f->order.at[i];
    if (!is_shown(c->model->program, node))
      continue;
    *n -= *n && str_eq(all[*n - 1].name, node->name);
    all[(*n)++] = (NamedValue){ node->name, { node, 0 } };
  }
  return all;
}

/* Nothing is trained; infer gives the values of the part, of one sample. */
static void keep_part(Compilation *c, const void *ctx)
{
  const InnerPart *part = ctx;
  Model *m = c->model;
  int n;
  NamedValue *all = list_values(c, &n);
  m->infer = all + part->first;
  m->ninfer = part->count;
  for (int i = 0; i < part->count; i++)
    m->infer[i].name = arena_printf(c->arena, "value%d", i);
  m->train = NULL;
  m->neval = m->next_output = m->next_field = 0;
  m->build.memory = 0;
  c->program->batch = 1;
}

/* What there is to say was said when the net was compiled first. */
static void say_nothing(void *ctx, const char *text)
{
  (void)ctx;
  (void)text;
}

/* The weights and statistics of `from` where `to` has them, whatever their layouts. */
static void copy_weights(const ReportPage *from, gradrt_session *to)
{
  for (int i = 0; i < to->net->ntensor; i++) {
    const gradrt_tensor *t = &to->net->tensor[i];
    for (int k = 0; k < from->net->ntensor; k++) {
      const gradrt_tensor *have = &from->net->tensor[k];
      if (!str_eq(have->name, t->name) || have->role != t->role)
        continue;
      double *v = ARENA_ARRAY(from->c->arena, double, gradrt_tensor_elems(t) + 1);
      gradrt_tensor_load(from->net, have, from->s.state, v);
      gradrt_tensor_store(to->net, t, to->state, v);
    }
  }
}

static void take_values(const gradrt_session *s, Arena *a, InnerValue *out)
{
  for (int i = 0; i < s->net->infer.noutput; i++) {
    int64_t n = type_elems(&out[i].type);
    const void *rows = s->out[GRADRT_FN_INFER][i];
    out[i].v = ARENA_ARRAY(a, double, n + 1);
    for (int64_t k = 0; k < n; k++)
      out[i].v[k] = gradrt_dtype_get(s->net->real, rows, k);
  }
}

static int run_part(ReportPage *p, const gradrt_net *net, const gradrt_set *set, uint32_t row,
                    InnerValue *out)
{
  gradrt_session s;
  int code = gradrt_session_open(&s, net, p->s.options);
  if (!code) {
    gradrt_step step;
    copy_weights(p, &s);
    gradrt_session_bind(&s, GRADRT_FN_INFER, set->rows, &step);
    step.n = 1;
    s.ids[0] = row;
    code = gradrt_set_want(set, NULL, p->sample, 1, step.rows);
    if (!code) {
      gradrt_session_run(&s, GRADRT_FN_INFER, &step);
      take_values(&s, p->c->arena, out);
    }
  }
  gradrt_session_close(&s);
  return code;
}

static int compute_part(ReportPage *p, const InnerPart *part, const gradrt_set *set, uint32_t row,
                        InnerValue *out)
{
  DriverOptions driver = p->options->driver;
  LoadedNet loaded = { 0 };
  Compilation *c = compilation_new();
  c->diag = diag_new(c->arena, c->sources, say_nothing, NULL);
  driver.edit = keep_part;
  driver.edit_ctx = part;
  driver.memory = NULL;
  int code = compile_module(c, &driver);
  code = code ? code : load_net(p->options, c, &loaded);
  code = code ? code : run_part(p, loaded.net, set, row, out);
  load_free(&loaded);
  compilation_free(&c);
  return code;
}

int report_inner(ReportPage *p, const gradrt_set *set, uint32_t row, InnerValue **out, int *n)
{
  NamedValue *all = list_values(p->c, n);
  int code = EXIT_OK;
  *out = ARENA_ARRAY(p->c->arena, InnerValue, *n + 1);
  for (int i = 0; i < *n; i++)
    (*out)[i] = (InnerValue){ all[i].name, *value_type(all[i].value), NULL };
  for (InnerPart part = { 0, 0 }; part.first < *n && !code; part.first += part.count) {
    int64_t elems = type_elems(&(*out)[part.first].type);
    part.count = 1;
    while (part.first + part.count < *n && part.count < GRADRT_OUTPUTS_MAX &&
           (elems += type_elems(&(*out)[part.first + part.count].type)) <= PART_ELEMENTS)
      part.count++;
    code = compute_part(p, &part, set, row, *out + part.first);
  }
  return code;
}
