/* Lowered code against the float64 reference: every net here is compiled with its gradients kept, in double,
 * for both layout families, fused and not, and run by the loop interpreter for full and partial batches and
 * several workers; outputs and gradients must agree with the naive reference to rounding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "driver.h"
#include "ir/ref.h"
#include "loop/interp.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 40, CLASSES = 5 };

typedef struct { const char *name, *input, *body; } Net;

/* body makes `out` of f32[5] from x */
static const Net nets[] = {
  { "dense", "f32[7]", "out = x -> dense(5);" },
  { "mlp", "f32[33]", "h = x -> dense(21) -> relu; out = h -> dense(18) -> tanh -> dense(5);" },
  { "lenet", "f32[1,12,12]", "c1 = x -> conv(6, 5, pad=2) -> relu -> maxpool(2); c2 = c1 -> conv(16, 3) -> relu -> maxpool(2);"
                             " out = c2 -> flatten -> dense(11) -> relu -> dense(5);" },
  { "channels17", "f32[17,6,5]", "c = x -> conv(19, 3, pad=1) -> relu; d = c -> conv(33, 3, stride=2, pad=1) -> relu;"
                                 " out = d -> flatten -> dense(5);" },
  { "stride", "f32[3,9,8]", "c = x -> conv(4, [3,2], stride=[2,3], pad=[1,0,2,1]) -> sigmoid; e = c -> conv(5, 2, stride=2, pad=1);"
                            " out = e -> flatten -> dense(5);" },
  { "dilation", "f32[2,11,10]", "c = x -> conv(4, 3, dilation=2, pad=2) -> leaky_relu; d = c -> conv(3, [2,3], dilation=[3,2]);"
                                " out = d -> flatten -> dense(5);" },
  { "groups", "f32[6,7,7]", "c = x -> conv(12, 3, groups=3, pad=1, bias=false) -> softplus; d = c -> conv(12, 3, groups=12, stride=2);"
                            " out = d -> flatten -> dense(5);" },
  { "same", "f32[3,8,7]", "c = x -> conv(8, 3, stride=2, pad=same) -> relu; out = c -> flatten -> dense(5);" },
  { "one_by_one", "f32[20,4,4]", "c = x -> conv(24, 1) -> relu; d = c -> conv(7, 1, stride=2); out = d -> flatten -> dense(5);" },
  { "pools", "f32[2,10,9]", "a = x -> conv(3, 3, pad=1) -> maxpool(3, stride=2, pad=1) -> conv(4, 2) -> avgpool(2, pad=1);"
                            " out = a -> flatten -> dense(5);" },
  { "windows", "f32[2,11,10]", "c = x -> conv(5, 3, pad=1) -> relu -> maxpool(2) -> conv(4, 2);"
                               " out = c -> avgpool([2, 3]) -> tanh -> flatten -> dense(5);" },
  { "windows17", "f32[17,8,7]", "c = x -> conv(33, [3, 2], pad=1, stride=[1, 2]);"
                                " d = c -> maxpool([3, 2]) -> relu -> conv(18, 1);"
                                " out = d -> relu -> avgpool(2) -> flatten -> dense(5);" },
  { "windows_kept", "f32[3,6,7]", "a = x -> conv(4, 3, pad=1) -> relu; b = a -> maxpool(2);"
                                  " c = a -> conv(4, 2, stride=2); d = c + b;"
                                  " out = d -> flatten -> dense(5);" },
  { "overlap", "f32[3,9,9]", "a = x -> conv(18, 3) -> maxpool(3, stride=2) -> conv(17, 2, pad=1) -> avgpool(3, stride=2,"
                             " count_include_pad=false, pad=1); out = a -> flatten -> dense(5);" },
  { "residual", "f32[16,5,5]", "a = x -> conv(16, 3, pad=1) -> relu; b = a + x; c = b -> conv(16, 3, pad=1); d = c + b -> relu;"
                               " out = d -> flatten -> dense(5);" },
  { "batchnorm", "f32[3,6,6]", "a = x -> conv(18, 3, pad=1, bias=false) -> batchnorm -> relu; b = a -> conv(6, 3) -> batchnorm;"
                               " out = b -> flatten -> dense(9) -> batchnorm -> relu -> dense(5);" },
  { "skips", "f32[16,5,4]", "a = x -> conv(16, 3, pad=1) -> tanh; b = a -> conv(16, 1);"
                            " c = concat(a, b, a) -> conv(4, 2);"
                            " out = c -> flatten -> dense(5);" },
  { "parts", "f32[3,5,4]", "a = x -> conv(5, 2) -> sigmoid; b = concat(a, a, axis=1) -> conv(3, 2);"
                           " c = a -> slice(0, 1, 4) -> slice(2, 0, 2); d = b -> slice(1, 2, 6);"
                           " e = c * d -> tanh; out = e -> flatten -> dense(5);" },
};

static const char *const losses[] = { "softmax_xent(out, y)", "mse(out, t)", "l1(out, t)", "huber(out, t, delta=0.3)",
                                      "bce_logits(out, u)" };

static char spec_path[64];

static void write_spec(const Net *net, const char *loss, int batch)
{
  FILE *f = fopen(spec_path, "w");
  assert_non_null(f);
  fprintf(f, "net 1;\ndata d { train: raw(\"none\"); field x: %s; field y: label(%d); field t: f32[5]; field u: f32[5]; }\n"
             "model m(x: %s) -> out: f32[5] { %s }\n"
             "train m on d { loss: %s; optimizer: sgd(lr=0.1, momentum=0.9); epochs: 1; batch: %d; clip: norm(0.5); }\n",
          net->input, CLASSES, net->input, net->body, loss, batch);
  fclose(f);
}

/* Reproducible numbers away from the kinks of relu and max. */
static double noise(uint64_t *s)
{
  *s = *s * 6364136223846793005u + 1442695040888963407u;
  return ((double)(*s >> 40) / (double)(1 << 24) - 0.5) * 2;
}

typedef struct {
  Compilation *c;
  int64_t n;
  uint32_t ids[64];
  double *field[8];             /* by field: ROWS rows as doubles */
  void *rows[8];                /* the same in the field's element type */
  double **state;               /* canonical, by state id */
  double args[ARG_COUNT];
} Case;

static int64_t index_of(const gradrt_tensor *t, int64_t flat)
{
  int64_t index[GRADRT_RANK_MAX], place = 0;
  for (int a = t->rank - 1; a >= 0; a--) {
    index[a] = flat % t->dim[a];
    flat /= t->dim[a];
  }
  for (int i = 0; i < t->ndigit; i++)
    place = place * t->digit[i].extent + index[t->digit[i].axis] / t->digit[i].div % t->digit[i].extent;
  return place;
}

static int64_t elems_of(const gradrt_tensor *t)
{
  int64_t n = 1;
  for (int a = 0; a < t->rank; a++)
    n *= t->dim[a];
  return n;
}

static void make_case(Case *k, Compilation *c, int64_t n)
{
  Arena *a = c->arena;
  Program *p = c->program;
  uint64_t seed = 7;
  *k = (Case){ .c = c, .n = n };
  for (uint32_t f = 0; f < p->fields.n; f++) {
    const Type *t = &p->fields.at[f].type;
    int64_t elems = type_elems(t) * ROWS;
    k->field[f] = ARENA_ARRAY(a, double, elems);
    k->rows[f] = arena_alloc(a, (size_t)elems * 8);
    for (int64_t i = 0; i < elems; i++) {
      bool label = !dtype_is_real(t->dtype);
      double v = label ? (double)(i * 7 % CLASSES) : noise(&seed);
      k->field[f][i] = v;
      switch (t->dtype) {
      case DT_F64: ((double *)k->rows[f])[i] = v; break;
      case DT_F32: ((float *)k->rows[f])[i] = (float)v; k->field[f][i] = (float)v; break;
      case DT_I32: ((int32_t *)k->rows[f])[i] = (int32_t)v; break;
      case DT_U8: ((uint8_t *)k->rows[f])[i] = (uint8_t)v; break;
      default: fail_msg("element type");
      }
    }
  }
  for (int i = 0; i < 64; i++)
    k->ids[i] = (uint32_t)((i < n ? i : n - 1) * 3 % ROWS);
  k->state = ARENA_ARRAY(a, double *, p->state.n + 1);
  for (uint32_t i = 0; i < p->state.n; i++) {
    int64_t elems = type_elems(&p->state.at[i].type);
    k->state[i] = ARENA_ARRAY(a, double, elems);
    for (int64_t j = 0; j < elems; j++)
      k->state[i][j] = p->state.at[i].role == STATE_STAT ? 1 : 0.4 * noise(&seed);
  }
  k->args[ARG_N] = (double)n;
  k->args[ARG_LR] = 0.1;
  k->args[ARG_BC1] = k->args[ARG_BC2] = 1;
}

/* Reference: rows gathered for the batch. */
static RefTensor **reference(Case *k, const Graph *g, double **state)
{
  Arena *a = k->c->arena;
  Program *p = k->c->program;
  RefCtx ctx = { .arena = a, .n = k->n, .args = k->args, .sample = k->ids, .state = state };
  ctx.field = ARENA_ARRAY(a, double *, p->fields.n + 1);
  for (uint32_t f = 0; f < p->fields.n; f++) {
    int64_t elems = type_elems(&p->fields.at[f].type);
    ctx.field[f] = ARENA_ARRAY(a, double, elems * k->n);
    for (int64_t i = 0; i < k->n; i++)
      memcpy(ctx.field[f] + i * elems, k->field[f] + k->ids[i] * elems, (size_t)elems * sizeof(double));
  }
  RefTensor **out = ARENA_ARRAY(a, RefTensor *, g->outputs.n + 1);
  ref_run(&ctx, g, out);
  return out;
}

static bool close_to(double a, double b) { return fabs(a - b) <= 1e-10 * (1 + fabs(a) + fabs(b)); }

static void compare(Case *k, HostKind host, const Graph *g, int workers, const char *what)
{
  Arena *a = k->c->arena;
  Program *p = k->c->program;
  const gradrt_net *net = k->c->net;
  Module *m = k->c->module;
  double **want = ARENA_ARRAY(a, double *, p->state.n + 1);
  for (uint32_t i = 0; i < p->state.n; i++)
    want[i] = arena_copy(a, k->state[i], (size_t)type_elems(&p->state.at[i].type) * sizeof(double));
  RefTensor **ref = reference(k, g, want);
  double *state = arena_alloc(a, m->state_bytes + 64);
  for (int i = 0; i < net->ntensor; i++)
    for (int64_t j = 0; j < elems_of(&net->tensor[i]); j++)
      state[net->tensor[i].offset / 8 + (size_t)index_of(&net->tensor[i], j)] = k->state[i][j];
  void *out[GRADRT_OUTPUTS_MAX] = { NULL };
  for (uint32_t i = 0; i < g->outputs.n; i++)
    out[i] = arena_alloc(a, (size_t)(type_elems(value_type(g->outputs.at[i].value)) * 64 * 8));
  /* junk in the arena: nothing may depend on what was there */
  double *arena = arena_alloc(a, m->host[host]->arena_bytes + 64);
  for (size_t i = 0; i < m->host[host]->arena_bytes / 8; i++)
    arena[i] = 1e30;
  LoopRun run = { .state = state, .arena = arena, .worker = arena_alloc(a, 64), .rows = (const void *const *)k->rows,
                  .ids = k->ids, .args = k->args, .out = out, .n = k->n, .nworkers = workers,
                  .last_first = workers % 2 == 0 };
  const char *fault = loop_run(m, host, &run, a);
  if (fault)
    fail_msg("%s: %s", what, fault);
  for (uint32_t i = 0; i < g->outputs.n; i++)
    for (int64_t j = 0; j < ref_elems(ref[i]); j++)
      if (!close_to(ref[i]->v[j], ((double *)out[i])[j]))
        fail_msg("%s: output %s[%d]: reference %.17g, code %.17g", what, g->outputs.at[i].name, (int)j, ref[i]->v[j],
                 ((double *)out[i])[j]);
  for (int i = 0; i < net->ntensor; i++)
    for (int64_t j = 0; j < elems_of(&net->tensor[i]); j++) {
      double got = state[net->tensor[i].offset / 8 + (size_t)index_of(&net->tensor[i], j)];
      if (!close_to(want[i][j], got))
        fail_msg("%s: %s[%d]: reference %.17g, code %.17g", what, net->tensor[i].name, (int)j, want[i][j], got);
    }
}

static void check_net(const Net *net, const char *loss, int batch, const char *family, bool fuse, bool gradients)
{
  char what[256];
  write_spec(net, loss, batch);
  Compilation *c = compilation_new();
  DriverOptions o = { .file = spec_path, .pass = { .skip = fuse ? NULL : "fuse" }, .family = family, .gradients = gradients, .f64 = true,
                      .target = target_find("x86-64-v4") };
  assert_int_equal(compile_module(c, &o), 0);
  int64_t sizes[] = { batch, batch - 1, 1 };
  for (int s = 0; s < 3; s++) {
    if (sizes[s] < 1 || (sizes[s] == 1 && strstr(net->body, "batchnorm")))
      continue;
    Case k;
    make_case(&k, c, sizes[s]);
    snprintf(what, sizeof what, "%s, %s, %s, batch %d of %d%s%s", net->name, loss, family, (int)sizes[s], batch,
             fuse ? "" : ", unfused", gradients ? "" : ", update");
    compare(&k, HOST_TRAIN, c->program->train, s + 1, what);
    compare(&k, HOST_EVAL, c->program->eval, 1, what);
    compare(&k, HOST_INFER, c->program->infer, 2, what);
  }
  compilation_free(&c);
}

/* Runs the train function of net in f32 and returns its state followed by the loss; *bytes receives the size. */
static unsigned char *train_bits(const Net *net, int batch, const char *family, const char *skip, Compilation **keep,
                                 size_t *bytes)
{
  write_spec(net, losses[0], batch);
  Compilation *c = *keep = compilation_new();
  DriverOptions o = { .file = spec_path, .pass = { .skip = skip }, .family = family, .target = target_find("x86-64-v4") };
  assert_int_equal(compile_module(c, &o), 0);
  Case k;
  make_case(&k, c, batch - 1);
  const gradrt_net *n = c->net;
  Module *m = c->module;
  unsigned char *state = arena_alloc(c->arena, m->state_bytes + 64);
  for (int i = 0; i < n->ntensor; i++)
    for (int64_t j = 0; j < elems_of(&n->tensor[i]); j++)
      ((float *)(void *)(state + n->tensor[i].offset))[index_of(&n->tensor[i], j)] = (float)k.state[i][j];
  void *out[GRADRT_OUTPUTS_MAX] = { state + m->state_bytes };
  LoopRun run = { .state = state, .arena = arena_alloc(c->arena, m->host[HOST_TRAIN]->arena_bytes + 64),
                  .worker = arena_alloc(c->arena, 64), .rows = (const void *const *)k.rows, .ids = k.ids,
                  .args = k.args, .out = out, .n = k.n, .nworkers = 2 };
  const char *fault = loop_run(m, HOST_TRAIN, &run, c->arena);
  if (fault)
    fail_msg("%s: %s", net->name, fault);
  *bytes = m->state_bytes + sizeof(float);
  return state;
}

static void test_fusion_changes_no_bit(void **s)
{
  static const char *const families[] = { "lanes", "channels" };
  (void)s;
  for (size_t i = 0; i < ARRAY_LEN(nets); i++)
    for (int f = 0; f < 2; f++) {
      Compilation *a, *b;
      size_t na, nb;
      unsigned char *fused = train_bits(&nets[i], 18, families[f], NULL, &a, &na);
      unsigned char *apart = train_bits(&nets[i], 18, families[f], "fuse", &b, &nb);
      assert_int_equal(na, nb);
      for (size_t k = 0; k < na; k += 4)
        if (memcmp(fused + k, apart + k, 4))
          fail_msg("%s, %s: fused and unfused code differ at byte %zu of %zu: %.9g and %.9g", nets[i].name, families[f], k,
                   na, (double)*(float *)(void *)(fused + k), (double)*(float *)(void *)(apart + k));
      compilation_free(&a);
      compilation_free(&b);
    }
}

/* Kernels of the training step that one template makes. */
static int count_kernels(const char *net, const char *skip, const char *template_name)
{
  int n = 0;
  for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
    if (strcmp(nets[i].name, net) != 0)
      continue;
    write_spec(&nets[i], losses[0], 18);
    Compilation *c = compilation_new();
    DriverOptions o = { .file = spec_path, .pass = { .skip = skip },
                        .target = target_find("x86-64-v4") };
    assert_int_equal(compile_module(c, &o), 0);
    const Module *m = c->module;
    for (uint32_t k = 0; k < m->kernels.n; k++)
      n += !strcmp(m->kernels.at[k]->template_name, template_name);
    compilation_free(&c);
  }
  return n;
}

static void test_elements_elsewhere_take_no_kernel(void **s)
{
  (void)s;
  assert_int_equal(count_kernels("skips", "fuse", "slice"), 3);
  assert_int_equal(count_kernels("skips", NULL, "slice"), 2);
}

static void test_lanes_agree_with_the_reference(void **s)
{
  (void)s;
  for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
    check_net(&nets[i], losses[0], 19, "lanes", true, true);
    check_net(&nets[i], losses[0], 19, "lanes", false, true);
  }
}

static void test_channels_agree_with_the_reference(void **s)
{
  (void)s;
  for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
    check_net(&nets[i], losses[0], 5, "channels", true, true);
    check_net(&nets[i], losses[0], 5, "channels", false, true);
  }
}

static void test_losses_and_updates_agree_with_the_reference(void **s)
{
  (void)s;
  for (size_t i = 0; i < ARRAY_LEN(losses); i++) {
    check_net(&nets[1], losses[i], 21, "lanes", true, false);
    check_net(&nets[1], losses[i], 3, "channels", true, false);
  }
}

static void test_small_batches_agree_in_lanes(void **s)
{
  (void)s;
  check_net(&nets[2], losses[0], 1, "lanes", true, true);
  check_net(&nets[2], losses[0], 1, "channels", true, true);
  check_net(&nets[2], losses[0], 33, "lanes", true, true);
}

int main(void)
{
  snprintf(spec_path, sizeof spec_path, "/tmp/gradc-test-lowering-%ld.nn", (long)getpid());
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_lanes_agree_with_the_reference),
    cmocka_unit_test(test_channels_agree_with_the_reference),
    cmocka_unit_test(test_losses_and_updates_agree_with_the_reference),
    cmocka_unit_test(test_small_batches_agree_in_lanes),
    cmocka_unit_test(test_fusion_changes_no_bit),
    cmocka_unit_test(test_elements_elsewhere_take_no_kernel),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(spec_path);
  return failed;
}
