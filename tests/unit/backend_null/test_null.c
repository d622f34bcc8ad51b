/* The null back end accepts a module that keeps the contract and names each seeded breach of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/backend.h"
#include "loop/build.h"
#include <stdio.h>
#include <string.h>

extern const Backend backend_null;

typedef struct {
  Arena *arena;
  Module *module;
  Build *b;
  Kernel *kernel;
  Buffer *x, *y, *scratch, *rows, *args;
  LStmt *call;
  gradrt_net net;
  gradrt_field field;
  gradrt_output output;
  gradrt_tensor tensor;
} Net;

static void build(Net *t)
{
  memset(t, 0, sizeof *t);
  t->arena = arena_new("test");
  t->module = ARENA_NEW(t->arena, Module);
  *t->module = (Module){ .arena = t->arena, .name = "net", .real = DT_F32, .block = 16, .batch = 32,
                         .state_bytes = 4096 };
  Build *b = t->b = build_new(t->module);
  t->x = l_buffer(b, "x", BUF_STATE, DT_F32, 64);
  t->y = l_buffer(b, "y", BUF_STATE, DT_F32, 64);
  t->y->offset = 256;
  t->scratch = l_buffer(b, "scratch", BUF_WORKER, DT_F32, 64);
  t->rows = l_buffer(b, "rows", BUF_ROWS, DT_U8, 0);
  t->args = l_buffer(b, "args", BUF_ARGS, DT_F64, GRADRT_ARG_COUNT);
  Kernel *k = t->kernel = l_kernel(b, "k");
  Buffer *x = l_formal(b, t->x, "x", false), *y = l_formal(b, t->y, "y", true);
  Buffer *s = l_formal(b, t->scratch, "s", true);
  LVar *i = l_loop(b, "i", l_int(b, 0), l_int(b, 64), 1, FOR_PLAIN);
  l_store(b, s, l_var(b, i), l_load(b, x, l_var(b, i), 1));
  l_store(b, y, l_var(b, i), l_load(b, s, l_var(b, i), 1));
  l_end(b);
  l_kernel_end(b);
  Host *h = l_host(b, HOST_TRAIN);
  h->worker_bytes = 256;
  vec_push(t->arena, &h->buffers, t->scratch);
  Buffer *arg[] = { t->x, t->y, t->scratch };
  l_call_kernel(b, k, arg, l_int(b, 0), l_int(b, 1));
  l_host_end(b);
  t->call = h->body;
  t->field = (gradrt_field){ .name = "rows", .dtype = GRADRT_U8 };
  t->output = (gradrt_output){ .name = "loss" };
  t->tensor = (gradrt_tensor){ .name = "x" };
  t->net = (gradrt_net){ .abi = GRADRT_ABI,
                         .name = "net",
                         .real = GRADRT_F32,
                         .batch = 32,
                         .state_bytes = 4096,
                         .nfield = 1,
                         .field = &t->field,
                         .ntensor = 1,
                         .tensor = &t->tensor,
                         .train = { .noutput = 1, .output = &t->output } };
}

typedef struct { char text[4096]; } Heard;

static void hear(void *ctx, const char *text)
{
  Heard *h = ctx;
  size_t used = strlen(h->text);
  snprintf(h->text + used, sizeof h->text - used, "%s", text);
}

static bool emit(Net *t, Heard *heard)
{
  memset(heard, 0, sizeof *heard);
  SourceMap *sources = source_map_new(t->arena);
  Diag *d = diag_new(t->arena, sources, hear, heard);
  EmitArgs args = { .module = t->module,
                    .net = &t->net,
                    .target = target_find("x86-64"),
                    .spec_file = "net.nn",
                    .version = "1",
                    .sources = sources,
                    .arena = t->arena,
                    .diag = d };
  Out *out = out_new(t->arena);
  bool good = backend_null.emit(&args, out);
  diag_flush(d);
  assert_int_equal(out_length(out), 0);
  assert_int_equal(diag_errors(d) > 0, !good);
  return good;
}

/* ---- breaches ---- */

static void alias(Net *t) { t->call->call.arg[1] = t->x; }
static void read_only(Net *t)
{
  t->kernel->formal.at[1]->dtype = DT_F64;
  t->call->call.arg[1] = t->args;
}
static void wrong_type(Net *t) { t->call->call.arg[0] = t->rows; }
static void foreign_argument(Net *t) { t->call->call.arg[0] = t->kernel->formal.at[0]; }
static void odd_offset(Net *t) { t->y->offset = 100; }
static void outside_state(Net *t) { t->y->offset = 4032; }
static void outside_worker(Net *t) { t->module->host[HOST_TRAIN]->worker_bytes = 64; }
static void direct_buffer(Net *t) { t->kernel->body->loop.body->store.buf = t->y; }
static void same_name(Net *t)
{
  Kernel *k = arena_copy(t->arena, t->kernel, sizeof *k);
  vec_push(t->arena, &t->module->kernels, k);
}
static void foreign_kernel(Net *t) { t->module->kernels.n = 0; }
static void host_store(Net *t)
{
  LStmt *s = ARENA_NEW(t->arena, LStmt);
  *s = (LStmt){ .kind = LS_STORE, .store = { t->x, l_int(t->b, 0), l_real(t->b, 1) } };
  t->call->next = s;
}
static void kernel_barrier(Net *t)
{
  LStmt *s = ARENA_NEW(t->arena, LStmt);
  s->kind = LS_BARRIER;
  t->kernel->body->next = s;
}
static void missing_field(Net *t) { t->rows->index = 3; }
static void field_type(Net *t) { t->field.dtype = GRADRT_F32; }
static void args_type(Net *t) { t->args->dtype = DT_F32; }
static void real_type(Net *t) { t->net.real = GRADRT_F64; }
static void state_bytes(Net *t) { t->net.state_bytes = 8192; }
static void abi(Net *t) { t->net.abi = GRADRT_ABI + 1; }
static void tensor_place(Net *t) { t->tensor.offset = 32; }
static void outputs(Net *t) { t->net.train.output = NULL; }
static void formal_number(Net *t) { t->kernel->formal.at[1]->index = 0; }
static void nothing(Net *t) { (void)t; }

static const struct {
  const char *name;
  void (*breach)(Net *);
  const char *message;          /* NULL: fine */
} rows[] = {
  { "nothing", nothing, NULL },
  { "alias", alias, "'x' is passed twice" },
  { "read only", read_only, "'args' is read-only" },
  { "wrong type", wrong_type, "'rows' holds u8 where f32 is expected" },
  { "foreign argument", foreign_argument, "argument 0 is no buffer of the module" },
  { "odd offset", odd_offset, "'y' lies at 100, not at a multiple of 64" },
  { "outside state", outside_state, "'y' ends outside the state block of 4096 bytes" },
  { "outside worker", outside_worker, "'scratch' ends outside the worker block of 64 bytes" },
  { "direct buffer", direct_buffer, "'y' is neither formal, register nor constant" },
  { "same name", same_name, "two kernels have this name" },
  { "foreign kernel", foreign_kernel, "kernel 'k' is not of the module" },
  { "host store", host_store, "a step function writes buffer 'x' itself" },
  { "kernel barrier", kernel_barrier, "a kernel calls a kernel or waits at a barrier" },
  { "missing field", missing_field, "'rows' is bound to field 3 of 1" },
  { "field type", field_type, "'rows' reads rows of another type than u8" },
  { "args type", args_type, "step arguments in 'args' are not f64" },
  { "real type", real_type, "another real type or batch" },
  { "state bytes", state_bytes, "8192 bytes of state, the module 4096" },
  { "abi", abi, "the description is of version 7, the runtime of 6" },
  { "tensor place", tensor_place, "tensor 'x' lies at 32" },
  { "outputs", outputs, "its 1 outputs are not described" },
  { "formal number", formal_number, "formal 1 is not argument 1" },
};

static void test_breaches_are_named(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Net t;
    Heard heard;
    build(&t);
    rows[i].breach(&t);
    bool good = emit(&t, &heard);
    if (good != !rows[i].message || (!good && !strstr(heard.text, rows[i].message)))
      fail_msg("%s: expected '%s', heard:\n%s", rows[i].name,
               rows[i].message ? rows[i].message : "nothing", heard.text);
    arena_free(&t.arena);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_breaches_are_named) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
