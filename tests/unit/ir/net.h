/* Programs for tests, written in the graph's text form. */
#ifndef GRADC_TESTS_IR_NET_H
#define GRADC_TESTS_IR_NET_H

#include "base/str.h"
#include "ir/ref.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ops/ops.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct {
  Arena *arena;
  SourceMap *sources;
  Diag *diag;
  Out *messages;                /* everything diag said */
  Program *program;
  Graph *forward;               /* the graph that is not train, eval or infer; NULL: none */
} Net;

static inline void net_message(void *ctx, const char *text) { out_printf(ctx, "%s", text); }

static inline void net_open(Net *t)
{
  memset(t, 0, sizeof *t);
  t->arena = arena_new("test");
  t->sources = source_map_new(t->arena);
  t->messages = out_new(t->arena);
  t->diag = diag_new(t->arena, t->sources, net_message, t->messages);
}

static inline void net_close(Net *t) { arena_free(&t->arena); }

/* NULL program: look at messages. The text is copied without a terminator, so that overruns show.
 */
static inline Program *net_read(Net *t, const char *text, size_t length)
{
  char *copy = malloc(length ? length : 1);
  memcpy(copy, text, length);
  uint32_t base = source_add(t->sources, "dump", text, (uint32_t)length);
  t->program = program_read(copy, (uint32_t)length, base, t->sources, ops_table(), t->arena,
                            t->diag, &t->forward);
  diag_flush(t->diag);
  free(copy);
  return t->program;
}

static inline void net_load(Net *t, const char *text)
{
  net_open(t);
  if (!net_read(t, text, strlen(text)))
    fail_msg("the program cannot be read: %s", out_text(t->messages));
}

static inline const char *net_graph_text(Net *t, const Graph *g)
{
  Out *o = out_new(t->arena);
  graph_print(g, NULL, o);
  return out_text(o);
}

static inline void net_expect(const char *what, const char *got, const char *want)
{
  if (strcmp(got, want) != 0)
    fail_msg("%s:\n--- got\n%s--- expected\n%s", what, got, want);
}

/* ---- running ---- */

typedef struct {
  RefCtx ctx;
  double **state, **field, args[ARG_COUNT];
  uint32_t sample[64];
} NetRun;

/* A repeatable number in (-1, 1). */
static inline double net_number(uint32_t *seed)
{
  *seed = *seed * 1664525u + 1013904223u;
  return ((double)(*seed >> 8) + 0.5) / 8388608.0 - 1.0;
}

/* Fills fields and state with numbers; integer fields with 0, 1, 2, 0, .. */
static inline void net_start(Net *t, NetRun *r, int64_t n, uint32_t seed)
{
  const Program *p = t->program;
  memset(r, 0, sizeof *r);
  r->state = ARENA_ARRAY(t->arena, double *, p->state.n + 64);
  r->field = ARENA_ARRAY(t->arena, double *, p->fields.n + 1);
  for (uint32_t i = 0; i < p->state.n; i++) {
    int64_t elems = type_elems(&p->state.at[i].type);
    r->state[i] = ARENA_ARRAY(t->arena, double, elems);
    for (int64_t k = 0; k < elems; k++)
      r->state[i][k] = p->state.at[i].role == STATE_PARAM ? net_number(&seed) : 0;
  }
  for (uint32_t i = 0; i < p->fields.n; i++) {
    int64_t elems = n * type_elems(&p->fields.at[i].type);
    r->field[i] = ARENA_ARRAY(t->arena, double, elems);
    for (int64_t k = 0; k < elems; k++)
      r->field[i][k] =
          dtype_is_real(p->fields.at[i].type.dtype) ? net_number(&seed) : (double)(k % 3);
  }
  r->args[ARG_LR] = 0.1;
  r->args[ARG_N] = (double)n;
  r->args[ARG_BC1] = 0.1;
  r->args[ARG_BC2] = 0.001;
  for (uint32_t i = 0; i < 64; i++)
    r->sample[i] = 3 * i + 1;
  r->ctx = (RefCtx){ .arena = t->arena,
                     .n = n,
                     .args = r->args,
                     .sample = r->sample,
                     .state = r->state,
                     .field = r->field };
}

/* State that was added after net_start begins at zero. */
static inline void net_grow(Net *t, NetRun *r)
{
  for (uint32_t i = 0; i < t->program->state.n; i++)
    if (!r->state[i])
      r->state[i] = ARENA_ARRAY(t->arena, double, type_elems(&t->program->state.at[i].type));
}

static inline double net_output(Net *t, NetRun *r, const Graph *g, uint32_t i)
{
  RefTensor **out = ARENA_ARRAY(t->arena, RefTensor *, g->outputs.n + 1);
  ref_run(&r->ctx, g, out);
  return out[i]->v[0];
}

static inline double *net_state(Net *t, NetRun *r, const char *name)
{
  const StateVar *v = program_find_state(t->program, name);
  if (!v)
    fail_msg("there is no state variable '%s'", name);
  return r->state[v->id];
}

#endif
