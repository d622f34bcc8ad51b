/* Test bench of operations: small graphs in f64 whose operands are fields (batched) and state variables
 * (unbatched), evaluated by the reference interpreter, and a tape that calls grad hooks. */
#ifndef GRADC_TESTS_OPS_BENCH_H
#define GRADC_TESTS_OPS_BENCH_H

#include "base/str.h"
#include "ir/attr_text.h"
#include "ir/ctx.h"
#include "ir/ref.h"
#include "ops/build.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { BENCH_N = 3, SLOTS = 64, OPERANDS = 16 };

typedef struct {
  Arena *arena;
  Program *program;
  Graph *graph;
  RefCtx ctx;
  double *state[SLOTS], *field[SLOTS];
  double args[ARG_COUNT];
  uint32_t sample[SLOTS];
} Bench;

static inline void bench_open(Bench *b, int64_t n)
{
  memset(b, 0, sizeof *b);
  b->arena = arena_new("bench");
  b->program = ARENA_NEW(b->arena, Program);
  b->program->arena = b->arena;
  b->program->name = "bench";
  b->program->real = DT_F64;
  b->program->batch = n;
  b->graph = graph_new(b->program, "train");
  for (int i = 0; i < SLOTS; i++)
    b->sample[i] = (uint32_t)(7 + 5 * i);
  b->args[ARG_N] = (double)n;
  b->args[ARG_LR] = 0.1;
  b->args[ARG_BC1] = b->args[ARG_BC2] = 1;
  b->args[ARG_SEED_LO] = 4000000001.0;
  b->args[ARG_SEED_HI] = 12;
  b->args[ARG_EPOCH] = 3;
  b->ctx = (RefCtx){ .arena = b->arena, .n = n, .args = b->args, .sample = b->sample, .state = b->state,
                     .field = b->field };
}

/* Attributes from a sample's text, defaults filled in; false: not well formed. */
static inline bool bench_attrs(Arena *a, const OpDef *op, const char *text, void *out)
{
  const char *problem = attrs_parse(a, op->attrs, text, out);
  if (problem)
    print_message("%s{%s}: %s\n", op->name, text, problem);
  return !problem;
}

static inline void bench_close(Bench *b) { arena_free(&b->arena); }

static inline GBuild bench_at(Bench *b) { return g_in_graph(b->graph, "layer", (Span){ 0, 0 }); }

/* A source of type t holding v; v has n times the elements when t is batched. */
static inline Value bench_value(Bench *b, const Type *t, double *v)
{
  GBuild at = bench_at(b);
  if (t->batched) {
    Field f = { .name = "x", .type = *t };
    uint32_t id = b->program->fields.n;
    vec_push(b->arena, &b->program->fields, f);
    b->field[id] = v;
    return g_input(&at, id);
  }
  StateVar s = { .name = "w", .type = *t, .role = STATE_PARAM, .trainable = true };
  uint32_t id = program_add_state(b->program, s)->id;
  b->state[id] = v;
  return g_read(&at, id);
}

static inline int64_t bench_count(const Bench *b, const Type *t)
{
  return type_elems(t) * (t->batched ? b->ctx.n : 1);
}

/* One type of a sample, "f32[n,3,8]"; f32 stands for the program's real type. */
static inline bool bench_type(const char *text, size_t length, Type *out)
{
  char word[8];
  const char *end = text + length, *bracket = memchr(text, '[', length);
  size_t k = bracket ? (size_t)(bracket - text) : 0;
  if (!bracket || k == 0 || k >= sizeof word || end[-1] != ']')
    return false;
  memcpy(word, text, k);
  word[k] = 0;
  *out = (Type){ 0 };
  if (!dtype_parse(word, &out->dtype))
    return false;
  if (out->dtype == DT_F32)
    out->dtype = DT_F64;
  for (const char *s = bracket + 1; s < end - 1;) {
    size_t w = strcspn(s, ",]");
    if (w == 1 && *s == 'n')
      out->batched = true;
    else
      out->dim[out->rank++] = strtoll(s, NULL, 10);
    s += w + 1;
  }
  return true;
}

/* Splits "x=f32[n,3], y=f32[3]" into names and types; -1: not well formed. */
static inline int bench_shapes(const char *text, char names[][24], Type *types)
{
  int count = 0;
  for (const char *s = text; *s; count++) {
    size_t name = strcspn(s, "="), length = strcspn(s, "]") + 1;
    if (count == OPERANDS || name >= 24 || s[name] != '=' || length < name + 2)
      return -1;
    memcpy(names[count], s, name);
    names[count][name] = 0;
    if (!bench_type(s + name + 1, length - name - 1, &types[count]))
      return -1;
    s += length;
    s += strspn(s, ", ");
  }
  return count;
}

/* Pseudo-random numbers between lo and hi that keep their distance from each other and from 0. */
static inline void bench_fill(double *v, int64_t count, double lo, double hi, unsigned seed)
{
  int64_t step = 1;
  for (int64_t k = count * 5 / 8; k < count; k++) {
    int64_t a = count, c = k;
    while (c) {
      int64_t r = a % c;
      a = c;
      c = r;
    }
    if (a == 1) {
      step = k;
      break;
    }
  }
  for (int64_t i = 0; i < count; i++) {
    double u = ((double)((i + (int64_t)seed) * step % count) + 0.37 + 0.11 * (seed % 5)) / (double)count;
    v[i] = lo + (hi - lo) * u;
    if (fabs(v[i]) < 1e-3)
      v[i] += 2e-3;
  }
}

/* Calls grad hooks from the last node back to the first. dy: gradient of each result of `last`.
 * Returns the adjoints by value, see bench_adjoint; nodes up to `last` only. */
typedef struct { Grad grad; uint32_t nodes; } Tape;

static inline Tape bench_backward(Bench *b, const Value *y, const Value *dy, int ny)
{
  Tape t = { .nodes = b->graph->next_id };
  uint32_t *first = ARENA_ARRAY(b->arena, uint32_t, t.nodes + 1), slots = 0, count = b->graph->order.n;
  bool *wanted = ARENA_ARRAY(b->arena, bool, t.nodes + 1);
  for (uint32_t i = 0; i < count; i++) {
    const Node *n = b->graph->order.at[i];
    first[n->id] = slots;
    slots += n->nout;
    wanted[n->id] = n->op->cls != OP_SOURCE || str_eq(n->op->name, "input") || str_eq(n->op->name, "read");
    for (uint32_t k = 0; k < n->nin; k++)
      wanted[n->id] = wanted[n->id] || (n->in[k].node && wanted[n->in[k].node->id]);
    wanted[n->id] = wanted[n->id] && dtype_is_real(n->type[0].dtype);
  }
  t.grad = (Grad){ .graph = b->graph, .wanted = wanted, .adjoint = ARENA_ARRAY(b->arena, Value, slots + 1),
                   .first_slot = first, .ops = ops_table(), .add = &op_add, .name = "layer" };
  for (int i = 0; i < ny; i++)
    t.grad.adjoint[first[y[i].node->id] + y[i].result] = dy[i];
  for (uint32_t i = count; i-- > 0;) {
    const Node *n = b->graph->order.at[i];
    const Value *d = &t.grad.adjoint[first[n->id]];
    bool any = false;
    for (uint32_t r = 0; r < n->nout; r++)
      any = any || d[r].node;
    if (any && n->op->grad)
      n->op->grad(&t.grad, n, d);
  }
  return t;
}

static inline Value bench_adjoint(const Tape *t, Value v)
{
  return t->grad.adjoint[t->grad.first_slot[v.node->id] + v.result];
}

static inline const RefTensor *bench_get(RefTensor ***all, Value v) { return all[v.node->id][v.result]; }

/* Runs an operation of the table over given values; result r of it. */
static inline Value bench_call(Bench *b, const char *op, const char *attrs, const Value *in, uint32_t nin)
{
  GBuild at = bench_at(b);
  const OpDef *def = op_find(ops_table(), op);
  assert_non_null(def);
  void *a = def->attrs_size ? arena_alloc(b->arena, def->attrs_size) : NULL;
  if (def->attrs)
    assert_true(bench_attrs(b->arena, def, attrs, a));
  return g_op(&at, def, a, in, nin);
}

#endif
