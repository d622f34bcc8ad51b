/* A sample of an operation on the bench: operands filled, parameters made, the node built. */
#ifndef GRADC_TESTS_OPS_SAMPLE_H
#define GRADC_TESTS_OPS_SAMPLE_H

#include "unit/ops/bench.h"

typedef struct {
  Bench b;
  const OpDef *op;
  const OpSample *sample;
  Node *node;                   /* the operation over `in` */
  Value in[OPERANDS];
  char name[OPERANDS][24];
  double *data[OPERANDS];
  uint32_t nin;
} Case;

/* Ranges that keep operands inside the domain of their operation and off its kinks. */
typedef struct { const char *op, *operand; double lo, hi; } Domain;
static const Domain domains[] = {
  { "log", "x", 0.4, 3 }, { "sqrt", "x", 0.4, 3 }, { "div", "y", 0.6, 2 },
  { "normalize", "std", 0.6, 2 },
  { "pow", "x", 0.4, 3 },
  { "bn_apply", "istd", 0.5, 2 }, { "batchnorm", "running_var", 0.5, 2 },
  { "adam", "exp_avg_sq", 0.5, 2 }, { "adamw", "exp_avg_sq", 0.5, 2 },
  { "rmsprop", "square_avg", 0.5, 2 }, { "rmsprop", "grad_avg", 0, 0.5 },
  { "adagrad", "sum", 0.5, 2 }, { "adadelta", "square_avg", 0.5, 2 },
  { "adadelta", "acc_delta", 0.5, 2 },
  { "softmax_xent", "y", 0, 1 }, { "bce_logits", "y", 0, 1 }, { "kl", "y", 0.1, 1 },
};

/* Losses whose integer targets are 0 or 1. */
static const char two_classes[] = "bce_logits bce_logits_dx hinge perceptron";

static inline void fill_operand(Case *c, int k, const Type *t)
{
  int64_t count = bench_count(&c->b, t);
  double lo = -2, hi = 2;
  for (size_t i = 0; i < ARRAY_LEN(domains); i++)
    if (str_eq(domains[i].op, c->op->name) && str_eq(domains[i].operand, c->name[k])) {
      lo = domains[i].lo;
      hi = domains[i].hi;
    }
  c->data[k] = ARENA_ARRAY(c->b.arena, double, count + 1);
  if (dtype_is_real(t->dtype))
    bench_fill(c->data[k], count, lo, hi, (unsigned)(3 * k + 1));
  else
    for (int64_t i = 0; i < count; i++)
      c->data[k][i] = (double)(str_in_words(c->op->name, two_classes) ? i % 2 : (i * 2 + 1) % 3);
}

static inline void add_operand(Case *c, const char *name, const Type *t)
{
  uint32_t k = c->nin++;
  snprintf(c->name[k], sizeof c->name[k], "%.23s", name);
  fill_operand(c, (int)k, t);
  c->in[k] = bench_value(&c->b, t, c->data[k]);
}

/* Parameters of layers and slots of rules become operands too. */
static inline void add_params(Case *c, const void *attrs)
{
  Type types[OPERANDS];
  Node *probe = arena_alloc(c->b.arena, sizeof *probe + c->nin * sizeof probe->in[0]);
  *probe = (Node){ .nin = c->nin, .op = c->op, .attrs = attrs, .name = "layer" };
  for (uint32_t k = 0; k < c->nin; k++) {
    probe->in[k] = c->in[k];
    types[k] = *value_type(c->in[k]);
  }
  Params p = { .program = c->b.program, .in = types, .path = "layer" };
  c->op->params(&p, probe);
  GBuild at = bench_at(&c->b);
  for (uint32_t i = 0; i < p.made.n; i++) {
    uint32_t k = c->nin++, id = p.made.at[i];
    c->in[k] = (Value){ NULL, 0 };
    if (id == UINT32_MAX)
      continue;
    Type t = c->b.program->state.at[id].type;
    snprintf(c->name[k], sizeof c->name[k], "%.23s", op_operand_name(c->op, c->b.arena, k));
    fill_operand(c, (int)k, &t);
    c->b.state[id] = c->data[k];
    c->in[k] = g_read(&at, id);
  }
}

/* The operation takes these attributes and operands; nothing is reported. */
static inline bool accepts(Case *c, const void *attrs)
{
  Type types[OPERANDS], out[OPERANDS] = { { 0 } };
  Node *probe = arena_alloc(c->b.arena, sizeof *probe + c->nin * sizeof probe->in[0]);
  *probe = (Node){ .nin = c->nin, .nout = (uint32_t)op_result_count(c->op), .op = c->op,
                   .attrs = attrs };
  for (uint32_t k = 0; k < c->nin; k++) {
    probe->in[k] = c->in[k];
    types[k] = c->in[k].node ? *value_type(c->in[k]) : (Type){ .dtype = DT_COUNT };
  }
  Infer infer = { .arena = c->b.arena, .real = DT_F64, .in = types, .nin = c->nin,
                  .program = c->b.program };
  return c->op->infer(&infer, probe, out);
}

/* False: the operation does not take the sample. To be closed either way. */
static inline bool open_case(Case *c, const OpDef *op, const OpSample *sample, int64_t n)
{
  Type types[OPERANDS];
  char names[OPERANDS][24];
  memset(c, 0, sizeof *c);
  bench_open(&c->b, n);
  c->op = op;
  c->sample = sample;
  int count = bench_shapes(sample->shapes, names, types);
  if (count < 0)
    fail_msg("%s: the shapes '%s' are not well formed", op->name, sample->shapes);
  for (int i = 0; i < 2 && op->cls == OP_SOURCE; i++) {
    Type t = i ? type_make(DT_F64, true, 1, (int64_t[]){ 3 })
               : type_make(DT_F64, true, 3, (int64_t[]){ 2, 3, 2 });
    double *v = ARENA_ARRAY(c->b.arena, double, bench_count(&c->b, &t));
    bench_value(&c->b, &t, v);
    t.batched = false;
    bench_value(&c->b, &t, v);
  }
  for (int k = 0; k < count; k++) {
    if (!str_eq(names[k], op_operand_name(op, c->b.arena, (uint32_t)k)))
      fail_msg("%s: operand %d is '%s' in a sample", op->name, k, names[k]);
    add_operand(c, names[k], &types[k]);
  }
  void *attrs = op->attrs_size ? arena_alloc(c->b.arena, op->attrs_size) : NULL;
  if (op->attrs && !bench_attrs(c->b.arena, op, sample->attrs, attrs))
    fail_msg("%s: the attributes '%s' are not well formed", op->name, sample->attrs);
  if (op->params)
    add_params(c, attrs);
  GBuild at = bench_at(&c->b);
  if (!accepts(c, attrs))
    return false;
  if (op->expand && op->cls != OP_NEST) /* only what it expands to is evaluated */
    at.graph = graph_new(c->b.program, "aside");
  c->node = g_node(&at, op, attrs, c->in, c->nin);
  return true;
}

static inline void close_case(Case *c) { bench_close(&c->b); }

/* The values to differentiate: the node's own, or what it expands to. */
static inline int results_of(Case *c, Mode mode, Value *out)
{
  Expand e = { .graph = c->b.graph, .mode = mode, .ops = ops_table(), .name = "layer" };
  if (c->op->expand && c->op->expand(&e, c->node, out))
    return (int)c->node->nout;
  assert_true(!c->op->expand || c->op->cls == OP_NEST);
  for (uint32_t r = 0; r < c->node->nout; r++)
    out[r] = (Value){ c->node, r };
  return (int)c->node->nout;
}

#endif
