/* Numbers that PyTorch 1.13.1 gives in float32 for layers, losses and optimizers, and worked examples of
 * convolution arithmetic. Ours are computed in double by the reference, hence the tolerance. */
#include "unit/ops/bench.h"

static const double TOLERANCE = 3e-7;

static void assert_near(const char *label, const double *got, const double *want, int count)
{
  for (int i = 0; i < count; i++)
    if (!(fabs(got[i] - want[i]) <= TOLERANCE * fmax(1, fabs(want[i]))))
      fail_msg("%s: element %d is %.9g, not %.9g", label, i, got[i], want[i]);
}

/* One operation on one sample: x of a given shape, an optional second operand, the result expected, and
 * the gradient towards x of the sum of results (or none). */
typedef struct {
  const char *op, *attrs;
  const char *x_type;
  double x[20];
  const char *w_type;           /* NULL: no second operand */
  double w[9];
  int ny;
  double y[42];
  int ndx;                      /* 0: not checked */
  double dx[20];
} Golden;

#define A3 { 1, 2, 3, 4, 5, 6, 7, 8, 9 }
#define B20 { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 }
#define ONES9 { 1, 1, 1, 1, 1, 1, 1, 1, 1 }

static const Golden goldens[] = {
  { "mse", "", "f32[n,3]", { .2, 1.5, -3 }, "f32[n,3]", { 0, 0, 0 }, 1, { 3.7633333 }, 0, { 0 } },
  { "huber", "", "f32[n,3]", { .2, 1.5, -3 }, "f32[n,3]", { 0, 0, 0 }, 1, { 1.1733333 }, 0, { 0 } },
  { "huber", "delta=0.5", "f32[n,3]", { .2, 1.5, -3 }, "f32[n,3]", { 0, 0, 0 }, 1, { .67333335 }, 0, { 0 } },
  { "l1", "", "f32[n,3]", { .2, 1.5, -3 }, "f32[n,3]", { 0, 0, 0 }, 1, { 1.5666666 }, 0, { 0 } },
  { "bce_logits", "", "f32[n,3]", { .2, 1.5, -3 }, "f32[n,3]", { 1, 0, 1 }, 1, { 1.7827133 }, 0, { 0 } },
  { "avgpool", "kernel=2, pad=1", "f32[n,1,3,3]", A3, NULL, { 0 }, 4, { .25, 1.25, 2.75, 7 }, 0, { 0 } },
  { "avgpool", "kernel=2, pad=1, count_include_pad=false", "f32[n,1,3,3]", A3, NULL, { 0 }, 4, { 1, 2.5, 5.5, 7 }, 0,
    { 0 } },
  { "avgpool", "kernel=2", "f32[n,1,3,3]", A3, NULL, { 0 }, 1, { 3 }, 9, { .25, .25, 0, .25, .25, 0, 0, 0, 0 } },
  { "maxpool", "kernel=3, stride=2, pad=1", "f32[n,1,3,3]", { -1, -2, -3, -4, -5, -6, -7, -8, -9 }, NULL, { 0 }, 4,
    { -1, -2, -4, -5 }, 0, { 0 } },
  { "maxpool", "kernel=2", "f32[n,1,2,2]", { 1, 1, 1, 1 }, NULL, { 0 }, 1, { 1 }, 4, { 1, 0, 0, 0 } },
  { "maxpool", "kernel=2, stride=1", "f32[n,1,3,3]", { 0, 0, 0, 0, 5, 0, 0, 0, 0 }, NULL, { 0 }, 4, { 5, 5, 5, 5 }, 9,
    { 0, 0, 0, 0, 4, 0, 0, 0, 0 } },
  { "maxpool", "kernel=2", "f32[n,1,4,5]", B20, NULL, { 0 }, 4, { 6, 8, 16, 18 }, 0, { 0 } },
  { "conv", "filters=1, kernel=2, pad=1, bias=false", "f32[n,1,3,3]", A3, "f32[1,1,2,2]", { 1, 2, 3, 4 }, 16,
    { 4, 11, 18, 9, 18, 37, 47, 21, 36, 67, 77, 33, 14, 23, 26, 9 }, 9, { 10, 10, 10, 10, 10, 10, 10, 10, 10 } },
  { "conv", "filters=1, kernel=2, stride=2, bias=false", "f32[n,1,3,3]", A3, "f32[1,1,2,2]", { 1, 2, 3, 4 }, 1, { 37 },
    9, { 1, 2, 0, 3, 4, 0, 0, 0, 0 } },
  { "conv", "filters=1, kernel=3, bias=false", "f32[n,1,4,5]", B20, "f32[1,1,3,3]", ONES9, 6,
    { 54, 63, 72, 99, 108, 117 }, 0, { 0 } },
  { "conv", "filters=1, kernel=3, pad=1, bias=false", "f32[n,1,4,5]", B20, "f32[1,1,3,3]", ONES9, 20,
    { 12, 21, 27, 33, 24, 33, 54, 63, 72, 51, 63, 99, 108, 117, 81, 52, 81, 87, 93, 64 }, 0, { 0 } },
  { "conv", "filters=1, kernel=3, pad=1, stride=[3, 2], bias=false", "f32[n,1,4,5]", B20, "f32[1,1,3,3]", ONES9, 6,
    { 12, 27, 24, 52, 87, 64 }, 0, { 0 } },
  { "conv", "filters=1, kernel=3, pad=same, bias=false", "f32[n,1,4,5]", B20, "f32[1,1,3,3]", ONES9, 20,
    { 12, 21, 27, 33, 24, 33, 54, 63, 72, 51, 63, 99, 108, 117, 81, 52, 81, 87, 93, 64 }, 0, { 0 } },
  { "conv", "filters=1, kernel=2, pad=same, bias=false", "f32[n,1,3,3]", A3, "f32[1,1,2,2]", { 1, 2, 3, 4 }, 9,
    { 37, 47, 21, 67, 77, 33, 23, 26, 9 }, 0, { 0 } },
  { "conv", "filters=1, kernel=2, pad=[1, 0, 0, 0], bias=false", "f32[n,1,3,3]", A3, "f32[1,1,2,2]", { 1, 2, 3, 4 }, 6,
    { 11, 18, 37, 47, 67, 77 }, 0, { 0 } },
  { "conv", "filters=1, kernel=2, pad=[0, 0, 1, 0], stride=[1, 2], bias=false", "f32[n,1,3,3]", A3, "f32[1,1,2,2]",
    { 1, 2, 3, 4 }, 4, { 18, 47, 36, 77 }, 0, { 0 } },
  { "dense", "units=1, bias=false", "f32[n,7]", { 12.6, 10.6, 14.2, 12.3, 10.2, 9.3, 7.7 }, "f32[1,7]",
    { .2, .2, .2, 0, 0, .2, .2 }, 1, { 10.88 }, 0, { 0 } },
};

static void test_layers_and_losses_give_the_known_numbers(void **unused)
{
  (void)unused;
  for (size_t i = 0; i < ARRAY_LEN(goldens); i++) {
    Golden g = goldens[i];
    char label[128];
    snprintf(label, sizeof label, "%s{%s}", g.op, g.attrs);
    Bench b;
    bench_open(&b, 1);
    Type tx, tw;
    assert_true(bench_type(g.x_type, strlen(g.x_type), &tx));
    Value in[2] = { bench_value(&b, &tx, g.x), { NULL, 0 } };
    if (g.w_type) {
      assert_true(bench_type(g.w_type, strlen(g.w_type), &tw));
      in[1] = bench_value(&b, &tw, g.w);
    }
    Value y = bench_call(&b, g.op, g.attrs, in, g.w_type ? 2 : 1);
    assert_int_equal(type_elems(value_type(y)), g.ny);
    double ones[42];
    for (int k = 0; k < g.ny; k++)
      ones[k] = 1;
    Value dy = bench_value(&b, value_type(y), ones);
    Tape tape = bench_backward(&b, &y, &dy, 1);
    RefTensor ***all = ref_run_all(&b.ctx, b.graph);
    assert_near(label, bench_get(all, y)->v, g.y, g.ny);
    if (g.ndx)
      assert_near(label, bench_get(all, bench_adjoint(&tape, in[0]))->v, g.dx, g.ndx);
    bench_close(&b);
  }
}

/* Output sizes of PyTorch's pooling (floor): input, kernel, stride, padding -> output. */
static void test_pool_sizes(void **unused)
{
  (void)unused;
  static const int rows[][5] = {
    { 28, 2, 2, 0, 14 }, { 29, 2, 2, 0, 14 }, { 13, 3, 2, 0, 6 }, { 14, 3, 2, 0, 6 }, { 14, 3, 2, 1, 7 },
    { 15, 2, 2, 1, 8 }, { 5, 2, 3, 1, 2 },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Bench b;
    bench_open(&b, 1);
    Type t = type_make(DT_F64, true, 3, (int64_t[]){ 1, rows[i][0], rows[i][0] });
    char attrs[64];
    snprintf(attrs, sizeof attrs, "kernel=%d, stride=%d, pad=%d", rows[i][1], rows[i][2], rows[i][3]);
    Value x = bench_value(&b, &t, NULL), y = bench_call(&b, "maxpool", attrs, &x, 1);
    if (value_type(y)->dim[1] != rows[i][4] || value_type(y)->dim[2] != rows[i][4])
      fail_msg("%d with %s gives %lld", rows[i][0], attrs, (long long)value_type(y)->dim[1]);
    bench_close(&b);
  }
}

static void test_cross_entropy(void **unused)
{
  (void)unused;
  Bench b;
  bench_open(&b, 2);
  Type tx = type_make(DT_F64, true, 1, (int64_t[]){ 3 }), ty = type_scalar(DT_U8, true);
  double x[] = { 1, 2, 3, .5, -1, .25 }, y[] = { 2, 0 }, one = 1;
  double hot[] = { 0, 0, 1, 1, 0, 0 };
  GBuild at = bench_at(&b);
  Value logits = bench_value(&b, &tx, x), label = bench_value(&b, &ty, y), probs = bench_value(&b, &tx, hot);
  Value plain = bench_call(&b, "softmax_xent", "", (Value[]){ logits, label }, 2);
  Value loss = g_batch_mean(&at, plain);
  Value smooth = g_batch_mean(&at, bench_call(&b, "softmax_xent", "smoothing=0.1", (Value[]){ logits, label }, 2));
  Value soft = g_batch_mean(&at, bench_call(&b, "softmax_xent", "smoothing=0.1", (Value[]){ logits, probs }, 2));
  Value sum = g_batch_sum(&at, plain), dy = bench_value(&b, value_type(loss), &one);
  Tape tape = bench_backward(&b, &loss, &dy, 1);
  RefTensor ***all = ref_run_all(&b.ctx, b.graph);
  assert_near("mean", bench_get(all, loss)->v, (double[]){ .5508591 }, 1);
  assert_near("sum", bench_get(all, sum)->v, (double[]){ 1.1017182 }, 1);
  assert_near("smoothing", bench_get(all, smooth)->v, (double[]){ .63002574 }, 1);
  assert_near("probabilities", bench_get(all, soft)->v, (double[]){ .63002574 }, 1);
  assert_near("gradient", bench_get(all, bench_adjoint(&tape, logits))->v,
              (double[]){ .04501529, .12236425, -.1673795, -.25024113, .05572873, .1945124 }, 6);
  bench_close(&b);
}

static void test_losses_stay_finite_far_out(void **unused)
{
  (void)unused;
  Bench b;
  bench_open(&b, 1);
  Type t = type_make(DT_F64, true, 1, (int64_t[]){ 3 }), ty = type_scalar(DT_U8, true);
  double x[] = { 1e4, -1e4, 88.8 }, y = 1, bits[] = { 0, 1, 1 };
  Value v = bench_value(&b, &t, x), label = bench_value(&b, &ty, &y), target = bench_value(&b, &t, bits);
  Value xent = bench_call(&b, "softmax_xent", "", (Value[]){ v, label }, 2);
  Value soft = bench_call(&b, "softmax", "", &v, 1);
  Value bce = bench_call(&b, "bce_logits", "", (Value[]){ v, target }, 2);
  RefTensor ***all = ref_run_all(&b.ctx, b.graph);
  assert_near("softmax_xent", bench_get(all, xent)->v, (double[]){ 20000 }, 1);
  assert_near("softmax", bench_get(all, soft)->v, (double[]){ 1, 0, 0 }, 3);
  assert_near("bce_logits", bench_get(all, bce)->v, (double[]){ 20000.0 / 3 }, 1);
  bench_close(&b);
}

/* ---- macros and rules ---- */

/* Declares the parameters of a layer or rule over in[0..nin), reads them and expands it; result 0. */
static Value expand(Bench *b, Mode mode, const char *name, const char *attrs, Value *in, uint32_t nin)
{
  const OpDef *op = op_find(ops_table(), name);
  void *a = arena_alloc(b->arena, op->attrs_size);
  assert_true(bench_attrs(b->arena, op, attrs, a));
  GBuild at = bench_at(b), aside = at;
  aside.graph = graph_new(b->program, "aside");
  Node *probe = arena_alloc(b->arena, sizeof *probe + nin * sizeof probe->in[0]);
  *probe = (Node){ .nin = nin, .op = op, .attrs = a, .name = "layer" };
  Type types[OPERANDS];
  for (uint32_t i = 0; i < nin; i++) {
    probe->in[i] = in[i];
    types[i] = *value_type(in[i]);
  }
  Params p = { .program = b->program, .in = types, .path = "layer" };
  op->params(&p, probe);
  for (uint32_t i = 0; i < p.made.n; i++) {
    uint32_t id = p.made.at[i];
    in[nin++] = id == UINT32_MAX ? (Value){ NULL, 0 } : g_read(&at, id);
    if (id == UINT32_MAX)
      continue;
    StateVar *v = &b->program->state.at[id];
    int64_t count = type_elems(&v->type);
    b->state[id] = ARENA_ARRAY(b->arena, double, count);
    for (int64_t k = 0; k < count; k++)
      b->state[id][k] = v->init.kind == INIT_ONES;
  }
  Value out[OPERANDS] = { { NULL, 0 } };
  Expand e = { .graph = b->graph, .mode = mode, .ops = ops_table(), .name = "layer" };
  assert_true(op->expand(&e, g_node(&aside, op, a, in, nin), out));
  return out[0];
}

static void test_batchnorm(void **unused)
{
  (void)unused;
  Bench b;
  bench_open(&b, 4);
  Type t = type_make(DT_F64, true, 1, (int64_t[]){ 1 });
  double x[] = { 1, 2, 4, 9 };
  Value in[OPERANDS] = { bench_value(&b, &t, x) };
  Value y = expand(&b, MODE_TRAIN, "batchnorm", "", in, 1);
  RefTensor ***all = ref_run_all(&b.ctx, b.graph);
  assert_near("batchnorm", bench_get(all, y)->v, (double[]){ -.97332805, -.64888537, 0, 1.6222134 }, 4);
  ref_run(&b.ctx, b.graph, NULL);
  assert_int_equal(b.graph->writes.n, 3);
  assert_near("running_mean", b.state[program_find_state(b.program, "layer.running_mean")->id], (double[]){ .4 }, 1);
  assert_near("running_var", b.state[program_find_state(b.program, "layer.running_var")->id],
              (double[]){ 2.1666667 }, 1);
  assert_near("batches", b.state[program_find_state(b.program, "layer.num_batches_tracked")->id],
              (double[]){ 1 }, 1);
  bench_close(&b);
}

static void test_batchnorm_of_one_value_keeps_its_statistics_finite(void **unused)
{
  (void)unused;
  Bench b;
  bench_open(&b, 1);
  Type t = type_make(DT_F64, true, 1, (int64_t[]){ 1 });
  double x[] = { 3 };
  Value in[OPERANDS] = { bench_value(&b, &t, x) };
  expand(&b, MODE_TRAIN, "batchnorm", "", in, 1);
  ref_run(&b.ctx, b.graph, NULL);
  assert_near("running_var", b.state[program_find_state(b.program, "layer.running_var")->id], (double[]){ .9 }, 1);
  bench_close(&b);
}

static void test_modal_layers_are_plain_in_evaluation(void **unused)
{
  (void)unused;
  Bench b;
  bench_open(&b, 2);
  Type t = type_make(DT_F64, true, 1, (int64_t[]){ 2 });
  double x[] = { 1, 2, 4, 9 };
  Value in[OPERANDS] = { bench_value(&b, &t, x) };
  Value y = expand(&b, MODE_EVAL, "batchnorm", "eps=0.5", in, 1);
  RefTensor ***all = ref_run_all(&b.ctx, b.graph);
  for (int i = 0; i < 4; i++)
    assert_float_equal(bench_get(all, y)->v[i], x[i] / sqrt(1.5), 1e-12);
  assert_int_equal(b.graph->writes.n, 0);
  Value out[1];
  GBuild at = g_in_graph(graph_new(b.program, "aside"), "drop", (Span){ 0, 0 });
  Node *drop = g_node(&at, &op_dropout, &(double){ 0.5 }, in, 1);
  Expand e = { .graph = b.graph, .mode = MODE_EVAL, .ops = ops_table() };
  assert_true(op_dropout.expand(&e, drop, out));
  assert_ptr_equal(out[0].node, in[0].node);
  e.mode = MODE_TRAIN;
  assert_true(op_dropout.expand(&e, drop, out));
  assert_ptr_equal(out[0].node->op, &op_dropout_mask);
  bench_close(&b);
}

/* w after each of 4 steps on L = w^2 from w = 1, lr 0.1. */
typedef struct { const char *op, *attrs; double w[4]; } Steps;

static void test_optimizers_step_as_pytorch(void **unused)
{
  (void)unused;
  static const Steps rows[] = {
    { "sgd", "", { .8, .64, .512, .4096 } },
    { "sgd", "momentum=0.9", { .8, .46, .062, -.3086 } },
    { "sgd", "momentum=0.9, dampening=0.5", { .8, .54, .252, -.0324 } },
    { "sgd", "momentum=0.9, nesterov=true", { .62, .2224, -.108352, -.32482304 } },
    { "sgd", "momentum=0.9, weight_decay=0.01", { .799, .457501, .0581942, -.31287895 } },
    { "adam", "", { .9, .800412238, .701586306, .603939116 } },
    { "adamw", "weight_decay=0.01", { .899, .798519075, .69891125, .600598633 } },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Bench b;
    bench_open(&b, 1);
    Type t = type_scalar(DT_F64, false);
    double w = 1;
    GBuild at = bench_at(&b);
    Value read = bench_value(&b, &t, &w);
    Value in[OPERANDS] = { read, g_scale(&at, read, 2) };
    Value next = expand(&b, MODE_TRAIN, rows[i].op, rows[i].attrs, in, 2);
    Expand e = { .graph = b.graph, .mode = MODE_TRAIN, .ops = ops_table() };
    expand_write(&e, 0, next);
    for (int step = 0; step < 4; step++) {
      b.args[ARG_STEP] = step;
      b.args[ARG_BC1] = 1 - pow(0.9, step + 1);
      b.args[ARG_BC2] = 1 - pow(0.999, step + 1);
      ref_run(&b.ctx, b.graph, NULL);
      if (!(fabs(w - rows[i].w[step]) <= 2 * TOLERANCE))
        fail_msg("%s{%s}: w is %.9g after step %d, not %.9g", rows[i].op, rows[i].attrs, w, step + 1, rows[i].w[step]);
    }
    bench_close(&b);
  }
}

/* ---- initial values ---- */

static void test_layers_start_as_pytorch(void **unused)
{
  (void)unused;
  static const struct { const char *op, *attrs, *x; int64_t fan_in, fan_out; } rows[] = {
    { "dense", "units=3", "f32[n,5]", 5, 3 },
    { "conv", "filters=6, kernel=[5, 3], groups=2", "f32[n,4,9,9]", 30, 90 },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Bench b;
    bench_open(&b, 1);
    const OpDef *op = op_find(ops_table(), rows[i].op);
    void *a = arena_alloc(b.arena, op->attrs_size);
    assert_true(bench_attrs(b.arena, op, rows[i].attrs, a));
    Type x;
    assert_true(bench_type(rows[i].x, strlen(rows[i].x), &x));
    Node *probe = arena_alloc(b.arena, sizeof *probe + sizeof probe->in[0]);
    *probe = (Node){ .nin = 1, .op = op, .attrs = a };
    Params p = { .program = b.program, .in = &x, .path = "l" };
    op->params(&p, probe);
    assert_int_equal(p.made.n, 2);
    const StateVar *w = &b.program->state.at[p.made.at[0]], *bias = &b.program->state.at[p.made.at[1]];
    assert_string_equal(w->name, "l.weight");
    assert_string_equal(bias->name, "l.bias");
    assert_int_equal(w->init.kind, INIT_KAIMING_UNIFORM);
    assert_float_equal(w->init.a, sqrt(5), 0);
    assert_int_equal(w->fan_in, rows[i].fan_in);
    assert_int_equal(w->fan_out, rows[i].fan_out);
    assert_int_equal(bias->init.kind, INIT_UNIFORM);
    assert_float_equal(bias->init.b, 1 / sqrt((double)rows[i].fan_in), 1e-15);
    assert_float_equal(bias->init.a, -bias->init.b, 0);
    assert_true(w->trainable && bias->trainable);
    bench_close(&b);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_layers_and_losses_give_the_known_numbers),
    cmocka_unit_test(test_pool_sizes),
    cmocka_unit_test(test_cross_entropy),
    cmocka_unit_test(test_losses_stay_finite_far_out),
    cmocka_unit_test(test_batchnorm),
    cmocka_unit_test(test_batchnorm_of_one_value_keeps_its_statistics_finite),
    cmocka_unit_test(test_modal_layers_are_plain_in_evaluation),
    cmocka_unit_test(test_optimizers_step_as_pytorch),
    cmocka_unit_test(test_layers_start_as_pytorch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
