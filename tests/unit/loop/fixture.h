/* Small modules that several loop tests share. */
#ifndef GRADC_TESTS_LOOP_FIXTURE_H
#define GRADC_TESTS_LOOP_FIXTURE_H

#include "ir/graph.h"
#include "loop/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
  Arena *arena;
  Module *m;
  Build *b;
} Fix;

static inline Fix fix_new(DType real)
{
  Arena *a = arena_new("test");
  Module *m = ARENA_NEW(a, Module);
  *m = (Module){
    .arena = a, .name = "test", .real = real, .block = real == DT_F32 ? 16 : 8, .batch = 32
  };
  return (Fix){ a, m, build_new(m) };
}

/* What the matrix kernel of fix_net is made of, for tests that break it. */
typedef struct {
  Fix f;
  Buffer *w, *h, *rows, *ids, *y, *table;       /* of the module */
  Buffer *in, *weight, *out, *acc;              /* of the kernel */
  Kernel *gather, *matmul;
  Host *host;
} Net;

/* rows of 3 features -> lanes of 16 samples -> h = tanh(x w), w f32[3,2]; h: 2 blocks of 2 x 16. */
static inline Net fix_net(DType real)
{
  Net t = { .f = fix_new(real) };
  Build *b = t.f.b;
  int block = t.f.m->block;
  static const double table[4] = { 0.5, -1, 0x1p-30, 4 };
  int64_t groups = 32 / block;
  Type *type = ARENA_NEW(t.f.arena, Type), *row = ARENA_NEW(t.f.arena, Type);
  *type = (Type){ .dtype = real, .batched = true, .rank = 1, .dim = { 2 } };
  *row = (Type){ .dtype = DT_U8, .batched = true, .rank = 1, .dim = { 3 } };
  Layout *layout = ARENA_NEW(t.f.arena, Layout);
  *layout = (Layout){ 3, { { AXIS_BATCH, block, groups }, { 0, 1, 2 }, { AXIS_BATCH, 1, block } } };

  t.w = l_buffer(b, "w", BUF_STATE, real, 16);
  t.f.m->state_bytes = 128;
  t.rows = l_buffer(b, "x", BUF_ROWS, DT_U8, 0);
  t.rows->type = row;
  t.ids = l_buffer(b, "ids", BUF_IDS, DT_U32, 0);
  t.h = l_buffer(b, "x", BUF_ARENA, real, 3 * 32);
  t.y = l_buffer(b, "h", BUF_ARENA, real, 2 * 32);
  t.y->offset = 3 * 32 * 8;
  t.y->type = type;
  t.y->layout = layout;
  t.table = l_buffer(b, "table", BUF_CONST, real, 4);
  t.table->values = table;

  t.gather = l_kernel(b, "gather");
  t.gather->about = "one \"row\" at a time";
  Buffer *from = l_formal(b, t.rows, "x", false), *ids = l_formal(b, t.ids, "ids", false);
  Buffer *to = l_formal(b, t.h, "x", true);
  LExpr *i = l_var(b, l_loop(b, "i", l_var(b, t.gather->lo), l_var(b, t.gather->hi), 1, FOR_PLAIN));
  l_if(b, l_op(b, SC_lt, i, l_var(b, t.gather->n), NULL));
  LExpr *row_at = l_let(b, "row", l_muli(b, l_cast(b, l_load(b, ids, i, 1), DT_I64), 3));
  LExpr *c = l_var(b, l_loop(b, "c", l_int(b, 0), l_int(b, 3), 1, FOR_PLAIN));
  LExpr *at = l_add(b, l_muli(b, l_div(b, i, l_int(b, block)), 3 * block),
                    l_add(b, l_muli(b, c, block), l_mod(b, i, l_int(b, block))));
  l_store(b, to, at, l_op(b, SC_mul, l_cast(b, l_load(b, from, l_add(b, row_at, c), 1), (int)real),
                          l_real(b, 1.0 / 255), NULL));
  l_end(b);
  l_else(b);
  l_note(b, "samples past the batch # keep their \"zero\"");
  l_end(b);
  l_end(b);
  l_kernel_end(b);

  t.matmul = l_kernel(b, "add");
  t.matmul->layer = "fc1";
  t.matmul->template_name = "matmul";
  t.matmul->flops = 12 * 32;
  t.matmul->at = (Span){ 10, 20 };
  t.in = l_formal(b, t.h, "x", false);
  t.weight = l_formal(b, t.w, "w", false);
  t.out = l_formal(b, t.y, "y", true);
  t.acc = l_registers(b, "acc", (int)real, block, 2);
  LExpr *g = l_var(b, l_loop(b, "g", l_var(b, t.matmul->lo), l_var(b, t.matmul->hi), 1, FOR_PLAIN));
  for (int j = 0; j < 2; j++)
    l_store(b, t.acc, l_int(b, j), l_splat(b, l_real(b, 0), block));
  LExpr *k = l_var(b, l_loop(b, "k", l_int(b, 0), l_int(b, 3), 1, FOR_ROLLED));
  LExpr *v =
      l_let(b, "v", l_load(b, t.in, l_add(b, l_muli(b, g, 3 * block), l_muli(b, k, block)), block));
  for (int j = 0; j < 2; j++) {
    LExpr *s =
        l_let(b, "s", l_splat(b, l_load(b, t.weight, l_addi(b, l_muli(b, k, 2), j), 1), block));
    l_store(b, t.acc, l_int(b, j), l_fma(b, s, v, l_load(b, t.acc, l_int(b, j), block)));
  }
  l_end(b);
  const LFunc *tanh_of = l_math(b, "tanh", block);
  for (int j = 0; j < 2; j++) {
    LExpr *sum = l_load(b, t.acc, l_int(b, j), block);
    l_store(b, t.out, l_addi(b, l_muli(b, g, 2 * block), (int64_t)j * block),
            l_call(b, tanh_of, &sum, 1));
  }
  l_end(b);
  l_kernel_end(b);

  t.host = l_host(b, HOST_TRAIN);
  t.host->arena_bytes = 5 * 32 * 8;
  vec_push(t.f.arena, &t.host->buffers, t.h);
  vec_push(t.f.arena, &t.host->buffers, t.y);
  LExpr *w = l_var(b, t.host->worker), *all = l_var(b, t.host->nworkers), *n = l_int(b, 32);
  Buffer *first[] = { t.rows, t.ids, t.h }, *second[] = { t.h, t.w, t.y };
  l_call_kernel(b, t.gather, first, l_div(b, l_mul(b, n, w), all),
                l_div(b, l_mul(b, n, l_addi(b, w, 1)), all));
  l_barrier(b, NULL);
  n = l_div(b, l_addi(b, l_var(b, t.host->n), block - 1), l_int(b, block));
  l_call_kernel(b, t.matmul, second, l_div(b, l_mul(b, n, w), all),
                l_div(b, l_mul(b, n, l_addi(b, w, 1)), all));
  l_host_end(b);
  return t;
}

#endif
