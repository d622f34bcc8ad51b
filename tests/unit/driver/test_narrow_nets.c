/* Lowered nets in narrower registers: a training step, evaluation and inference of real nets,
 * narrowed to 32 and 16 bytes, give the interpreter the same bits as the module they come from; and
 * so does a compilation for each target, whose tiles differ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "driver.h"
#include "loop/interp.h"
#include "loop/narrow.h"
#include "loop/verify.h"
#include "lowered.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 21, N = 19, CLASSES = 5, OUT_BYTES = 4096 };

typedef struct { const char *name, *input, *body, *optimizer; } Net;

static const Net nets[] = {
  { "lenet", "u8[12,12] as f32[1,12,12] -> div(255)",
    "c1 = x -> conv(6, 5, pad=2) -> relu -> maxpool(2);"
    " c2 = c1 -> conv(16, 3) -> tanh -> maxpool(2);"
    " out = c2 -> flatten -> dense(11) -> sigmoid -> dropout(0.3) -> dense(5);",
    "adam(lr=0.01)" },
  { "channels", "f32[17,6,5]",
    "c = x -> conv(19, 3, pad=1) -> batchnorm -> relu;"
    " d = c -> conv(33, 3, stride=2, pad=1) -> softplus;"
    " out = d -> avgpool(3) -> flatten -> dense(5);",
    "sgd(lr=0.1, momentum=0.9)" },
  { "mlp", "f32[40]", "h = x -> dense(37) -> relu; out = h -> dense(18) -> leaky_relu -> dense(5);",
    "adamw(lr=0.01, weight_decay=0.1)" },
  { "doubles", "f64[32] as f32[32] -> mul(2)",
    "h = x -> sigmoid -> dense(16) -> relu; out = h + (x -> slice(0, 3, 19)) -> dense(5);",
    "sgd(lr=0.1)" },
};

static char spec_path[64];

static void write_spec(const Net *net)
{
  const char *as = strstr(net->input, " as "), *end = strstr(net->input, " -> ");
  const char *type = as ? as + 4 : net->input;
  FILE *f = fopen(spec_path, "w");
  assert_non_null(f);
  fprintf(f, "net 1;\ndata d { train: raw(\"none\"); field x: %s; field y: label(%d); }\n"
             "model m(x: %.*s) -> out: f32[5] { %s }\n"
             "train m on d { loss: softmax_xent(out, y); optimizer: %s; epochs: 1; batch: %d; }\n"
             "infer m { output: softmax(out) as prob; }\n",
          net->input, CLASSES, end ? (int)(end - type) : (int)strlen(type), type, net->body,
          net->optimizer, BATCH);
  fclose(f);
}

static Compilation *compiled(const Net *net, const char *family, const char *target, bool f64)
{
  write_spec(net);
  Compilation *c = compilation_new();
  DriverOptions o = { .file = spec_path, .family = family, .f64 = f64,
                      .target = target_find(target) };
  assert_int_equal(compile_module(c, &o), 0);
  return c;
}

static double noise(uint64_t *s)
{
  *s = *s * 6364136223846793005u + 1442695040888963407u;
  return ((double)(*s >> 40) / (double)(1 << 24) - 0.5) * 2;
}

static void *random_rows(const Field *f, uint64_t *seed, Arena *a)
{
  int64_t elems = type_elems(&f->type) * LOWERED_ROWS;
  void *rows = arena_alloc(a, (size_t)elems * 8);
  for (int64_t i = 0; i < elems; i++) {
    bool label = elems == LOWERED_ROWS, real = dtype_is_real(f->type.dtype);
    double v = label ? (double)(i * 7 % CLASSES) : real ? noise(seed) : (double)(i * 37 % 256);
    lowered_put(rows, f->type.dtype, i, v);
  }
  return rows;
}

/* The state followed by the outputs, after one step of m on random numbers. */
static char *run(const Compilation *c, const Module *m, HostKind host, int workers, size_t *bytes)
{
  Arena *a = c->arena;
  uint64_t seed = 7;
  const void **rows = ARENA_ARRAY(a, const void *, c->program->fields.n + 1);
  for (uint32_t i = 0; i < c->program->fields.n; i++)
    rows[i] = random_rows(&c->program->fields.at[i], &seed, a);
  *bytes = m->state_bytes + (size_t)GRADRT_OUTPUTS_MAX * OUT_BYTES;
  char *state = arena_alloc(a, *bytes);
  for (uint32_t i = 0; i < c->program->state.n; i++) {
    const Buffer *b = lowered_state(m, i);
    for (int64_t j = 0; b && j < type_elems(b->type); j++)
      lowered_put(state + b->offset, b->dtype, lowered_place(b->layout, b->type, j),
                  fabs(noise(&seed)) * (j % 3 ? 0.4 : -0.4) + (j % 3 ? 0 : 0.5));
  }
  uint32_t ids[LOWERED_IDS];
  lowered_ids(ids, N);
  double args[ARG_COUNT] = { 0 };
  args[ARG_N] = N;
  args[ARG_LR] = 0.1;
  args[ARG_BC1] = 0.1;
  args[ARG_BC2] = 0.001;
  args[ARG_SEED_LO] = 12345;
  void *out[GRADRT_OUTPUTS_MAX];
  for (int i = 0; i < GRADRT_OUTPUTS_MAX; i++)
    out[i] = state + m->state_bytes + (size_t)i * OUT_BYTES;
  char *arena = arena_alloc(a, m->host[host]->arena_bytes + 64);
  LoopRun r = { .state = state, .arena = arena, .rows = rows, .ids = ids, .args = args, .out = out,
                .worker = arena_alloc(a, m->host[host]->worker_bytes * (size_t)workers + 64),
                .n = N, .nworkers = workers };
  const char *fault = loop_run(m, host, &r, a);
  if (fault)
    fail_msg("%s", fault);
  return state;
}

static void assert_same(const char *want, const char *got, size_t bytes, const char *what)
{
  for (size_t i = 0; i < bytes; i++)
    if (want[i] != got[i])
      fail_msg("%s: other bits at byte %zu of %zu", what, i, bytes);
}

static void check_net(const Net *net, const char *family, bool f64)
{
  char what[128];
  size_t bytes, other;
  const int widths[] = { 32, 16 };
  Compilation *c = compiled(net, family, "x86-64-v4", f64);
  for (int h = 0; h < HOST_COUNT; h++) {
    char *want = run(c, c->module, (HostKind)h, 1, &bytes);
    for (size_t w = 0; w < ARRAY_LEN(widths); w++) {
      snprintf(what, sizeof what, "%s, %s, %s, step %d, %d bytes", net->name, family,
               f64 ? "f64" : "f32", h, widths[w]);
      Module *m = narrow(c->module, widths[w]);
      const char *fault = loop_verify(m, c->arena);
      if (fault)
        fail_msg("%s: %s", what, fault);
      assert_true(widest_lanes(m) * dtype_bytes(m->real) <= widths[w]);
      assert_same(want, run(c, m, (HostKind)h, 2, &other), bytes, what);
    }
  }
  char *want = run(c, c->module, HOST_TRAIN, 1, &bytes);
  int n;
  const Target *const *targets = target_all(&n);
  for (int t = 0; t < n; t++) {
    snprintf(what, sizeof what, "%s, %s, %s, %s", net->name, family, f64 ? "f64" : "f32",
             targets[t]->name);
    Compilation *d = compiled(net, family, targets[t]->name, f64);
    int widest = widest_lanes(d->module) * dtype_bytes(d->module->real);
    assert_int_equal(widest, targets[t]->vector_bytes);
    char *got = run(d, d->module, HOST_TRAIN, 3, &other);
    assert_int_equal(other, bytes);
    assert_same(want, got, bytes, what);
    compilation_free(&d);
  }
  compilation_free(&c);
}

static void test_float_nets_give_the_same_bits(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
    check_net(&nets[i], "lanes", false);
    check_net(&nets[i], "channels", false);
  }
}

static void test_double_nets_give_the_same_bits(void **state)
{
  (void)state;
  check_net(&nets[0], "lanes", true);
  check_net(&nets[1], "channels", true);
  check_net(&nets[2], "channels", true);
}

int main(void)
{
  snprintf(spec_path, sizeof spec_path, "/tmp/gradc-test-narrow-%ld.nn", (long)getpid());
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_float_nets_give_the_same_bits),
    cmocka_unit_test(test_double_nets_give_the_same_bits),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(spec_path);
  return failed;
}
