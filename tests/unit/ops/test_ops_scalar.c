/* The scalar hooks of elementwise operations, built into a kernel of the loop IR and interpreted, against
 * the double reference of the same operation: ordinary numbers, zeros of both signs, infinities and NaN. */
#include "loop/interp.h"
#include "loop/scalar.h"
#include "unit/ops/bench.h"

enum { COUNT = 64, BLOCK = 8 };

typedef struct {
  Scalar base;
  LExpr *element, *sample;      /* of dropout masks */
  const double *args;
} Point;

static LExpr *point_arg(Scalar *s, StepArg a) { return l_real(s->b, ((Point *)s)->args[a]); }
static LExpr *point_arg_u32(Scalar *s, StepArg a) { return l_u32(s->b, (uint32_t)((Point *)s)->args[a]); }
static RandomPlace point_random(Scalar *s, const Node *n)
{
  LExpr *element = ((Point *)s)->element, *four = l_int(s->b, 4);
  (void)n;
  LExpr *block = l_cast(s->b, l_div(s->b, element, four), DT_U32);
  return (RandomPlace){ block, l_mod(s->b, element, four), NULL };
}
static LExpr *point_sample(Scalar *s) { return ((Point *)s)->sample; }

static Module *module_new(Arena *a)
{
  Module *m = ARENA_NEW(a, Module);
  *m = (Module){ .arena = a, .name = "t", .real = DT_F64, .block = BLOCK, .batch = COUNT };
  return m;
}

/* out[i] = hook(in[0][i], in[1][i], ..) for COUNT elements, `lanes` at a time. */
static void run_hook(Arena *a, const Node *n, void *const *in, int lanes, double *out)
{
  Module *m = module_new(a);
  Build *b = build_new(m);
  Buffer *actual[OPERANDS + 1], *formal[OPERANDS + 1];
  for (uint32_t k = 0; k < n->nin; k++)
    actual[k] = l_buffer(b, "x", BUF_ARENA, value_type(n->in[k])->dtype, COUNT);
  actual[n->nin] = l_buffer(b, "y", BUF_ARENA, n->type[0].dtype, COUNT);
  Kernel *kernel = l_kernel(b, "k");
  for (uint32_t k = 0; k <= n->nin; k++)
    formal[k] = l_formal(b, actual[k], k < n->nin ? "x" : "y", k == n->nin);
  LExpr *i = l_var(b, l_loop(b, "i", l_var(b, kernel->lo), l_var(b, kernel->hi), 1, FOR_PLAIN));
  LExpr *at = l_muli(b, i, lanes), *x[OPERANDS];
  for (uint32_t k = 0; k < n->nin; k++)
    x[k] = l_load(b, formal[k], at, lanes);
  Point p = { .base = { .b = b, .lanes = lanes, .arg = point_arg, .arg_u32 = point_arg_u32,
                        .random = point_random, .sample_id = point_sample, .real = DT_F64 } };
  l_store(b, formal[n->nin], at, n->op->scalar(&p.base, n, x));
  l_end(b);
  l_kernel_end(b);
  void *block[OPERANDS + 1];
  int32_t ints[COUNT];
  for (uint32_t k = 0; k < n->nin; k++)
    block[k] = in[k];
  block[n->nin] = n->type[0].dtype == DT_I32 ? (void *)ints : out;
  const char *problem = loop_run_kernel(m, kernel, block, 0, COUNT / lanes, COUNT, a);
  if (problem)
    fail_msg("%s: %s", n->op->name, problem);
  for (int k = 0; k < COUNT && n->type[0].dtype == DT_I32; k++)
    out[k] = ints[k];
}

/* One element of operand k for element i; special values come first when asked for. */
static double operand_value(const Node *n, uint32_t k, int i, bool special)
{
  static const double odd[] = { NAN, INFINITY, -INFINITY, 0.0, -0.0, 1.0, -1.0 };
  DType t = value_type(n->in[k])->dtype;
  if (!dtype_is_real(t))
    return (i * 37 + 11) % 251;
  if (special)
    return odd[(k % 2 ? i / 7 : i) % 7];
  double v = ((i * 29 + 13 * (int)k) % COUNT - 31.3) / 9;
  if (str_eq(n->op->name, "log") || str_eq(n->op->name, "sqrt"))
    v = fabs(v);
  return v;
}

static bool agrees(double want, double got)
{
  if (isnan(want) || isnan(got))
    return isnan(want) && isnan(got);
  return want == got || fabs(want - got) <= 1e-13 * fmax(1, fabs(want));
}

static void compare(Arena *a, const Node *n, bool special, const char *label)
{
  void *in[OPERANDS];
  double x[OPERANDS][COUNT], y[COUNT];
  uint8_t bytes[OPERANDS][COUNT];
  for (uint32_t k = 0; k < n->nin; k++)
    for (int i = 0; i < COUNT; i++) {
      x[k][i] = operand_value(n, k, i, special);
      bytes[k][i] = (uint8_t)(isfinite(x[k][i]) && x[k][i] > 0 ? x[k][i] : 0);
      in[k] = value_type(n->in[k])->dtype == DT_U8 ? (void *)bytes[k] : (void *)x[k];
    }
  for (int lanes = 1; lanes <= BLOCK; lanes += BLOCK - 1) {
    run_hook(a, n, in, lanes, y);
    for (int i = 0; i < COUNT; i++) {
      double element[OPERANDS];
      for (uint32_t k = 0; k < n->nin; k++)
        element[k] = x[k][i];
      double want = n->op->ref_scalar(n, element);
      if (!agrees(want, y[i]))
        fail_msg("%s: element %d (%g, %g ..) is %.17g on %d lanes, the reference gives %.17g", label, i, element[0],
                 n->nin > 1 ? element[1] : 0, y[i], lanes, want);
    }
  }
}

static void test_scalar_hooks_compute_what_the_reference_does(void **unused)
{
  (void)unused;
  const OpTable *t = ops_table();
  int checked = 0;
  for (int o = 0; o < t->n; o++)
    for (const OpSample *s = t->at[o]->samples; s->attrs && t->at[o]->cls == OP_EWISE; s++) {
      const OpDef *op = t->at[o];
      if (!op->ref_scalar)
        continue;
      Bench b;
      bench_open(&b, 2);
      Type types[OPERANDS];
      char names[OPERANDS][24], label[256];
      int count = bench_shapes(s->shapes, names, types);
      Value in[OPERANDS];
      for (int k = 0; k < count; k++)
        in[k] = bench_value(&b, &types[k], NULL);
      Node *n = bench_call(&b, op->name, s->attrs, in, (uint32_t)count).node;
      snprintf(label, sizeof label, "%s{%s}(%s)", op->name, s->attrs, s->shapes);
      compare(b.arena, n, false, label);
      if (n->type[0].dtype == DT_F64)   /* integers have no place for NaN */
        compare(b.arena, n, true, label);
      checked++;
      bench_close(&b);
    }
  assert_true(checked > 60);
}

static void test_dropout_mask_hook_draws_the_reference_mask(void **unused)
{
  (void)unused;
  enum { ELEMENTS = 13 };
  Bench b;
  bench_open(&b, BLOCK);
  Type type = type_make(DT_F64, true, 1, (int64_t[]){ ELEMENTS });
  double x[BLOCK * ELEMENTS], y[BLOCK * ELEMENTS];
  for (int i = 0; i < BLOCK * ELEMENTS; i++)
    x[i] = 1 + i;
  Value v = bench_value(&b, &type, x), r = bench_call(&b, "dropout_mask", "p=0.4, key=77", &v, 1);
  Module *m = module_new(b.arena);
  Build *l = build_new(m);
  Buffer *ids = l_buffer(l, "ids", BUF_IDS, DT_U32, 0);
  Buffer *from = l_buffer(l, "x", BUF_ARENA, DT_F64, BLOCK * ELEMENTS);
  Buffer *to = l_buffer(l, "y", BUF_ARENA, DT_F64, BLOCK * ELEMENTS);
  Kernel *kernel = l_kernel(l, "k");
  ids = l_formal(l, ids, "ids", false);
  from = l_formal(l, from, "x", false);
  to = l_formal(l, to, "y", true);
  LExpr *e = l_var(l, l_loop(l, "e", l_var(l, kernel->lo), l_var(l, kernel->hi), 1, FOR_PLAIN));
  Point p = { .base = { .b = l, .lanes = BLOCK, .arg = point_arg, .arg_u32 = point_arg_u32, .random = point_random,
                        .sample_id = point_sample, .real = DT_F64 },
              .element = e, .sample = l_load(l, ids, l_int(l, 0), BLOCK), .args = b.args };
  LExpr *operand = l_load(l, from, l_muli(l, e, BLOCK), BLOCK);
  l_store(l, to, l_muli(l, e, BLOCK), r.node->op->scalar(&p.base, r.node, &operand));
  l_end(l);
  l_kernel_end(l);
  double lanes_first[BLOCK * ELEMENTS];
  for (int i = 0; i < BLOCK * ELEMENTS; i++)
    lanes_first[i / ELEMENTS + i % ELEMENTS * BLOCK] = x[i];
  const char *problem =
      loop_run_kernel(m, kernel, (void *[]){ b.sample, lanes_first, y }, 0, ELEMENTS, BLOCK, b.arena);
  if (problem)
    fail_msg("%s", problem);
  RefTensor ***all = ref_run_all(&b.ctx, b.graph);
  for (int i = 0; i < BLOCK * ELEMENTS; i++)
    assert_float_equal(bench_get(all, r)->v[i], y[i / ELEMENTS + i % ELEMENTS * BLOCK], 1e-12);
  bench_close(&b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_scalar_hooks_compute_what_the_reference_does),
    cmocka_unit_test(test_dropout_mask_hook_draws_the_reference_mask),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
