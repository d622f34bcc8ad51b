/* Operations, losses and optimizers against PyTorch in double: results, gradients towards every
 * real operand and parameter, and ten steps of each optimizer, within 1e-9. The reference computes
 * them; other tests hold generated code to the reference. */
#include "unit/ops/sample.h"

static const double TOLERANCE = 1e-9;
enum { SAMPLES = 3, STEPS = 10, WEIGHTS = 3 };

/* The values of an operand: given, or a sine between low and high. */
typedef struct { double k, low, high; const double *given; } TorchValues;

/* in: of each operand; dx: gradients towards the real ones for dy[i] = cos(i + 1), one after the
 * other; samples: 0 stands for SAMPLES. */
typedef struct {
  const char *op, *attrs, *shapes;
  TorchValues in[OPERANDS];
  const double *y, *dx;
  int ny, samples;
} TorchRow;

/* w: after each step, from 1, -0.7 and 0.4, where the gradient is 2, 0.7 and 1.3 times w. */
typedef struct {
  const char *op, *attrs;
  double lr;
  const double *w;
} TorchSteps;

#include "golden/torch/ops.txt"

static void assert_near(const TorchRow *r, const char *what, const double *got, const double *want,
                        int64_t count)
{
  for (int64_t i = 0; i < count; i++)
    if (!(fabs(got[i] - want[i]) <= TOLERANCE * fmax(1, fabs(want[i]))))
      fail_msg("%s{%s}: %s[%lld] is %.17g, not %.17g", r->op, r->attrs, what, (long long)i, got[i],
               want[i]);
}

/* As `values` of make_op_goldens.py makes them. */
static double made_value(const TorchValues *v, int64_t i)
{
  double middle = (v->low + v->high) / 2, half = (v->high - v->low) / 2;
  return v->given ? v->given[i] : middle + half * sin(1.7 * (double)i + 0.9 * v->k + 0.3);
}

static void check_row(const TorchRow *r)
{
  Case c;
  OpSample sample = { r->attrs, r->shapes };
  if (!open_case(&c, op_find(ops_table(), r->op), &sample, r->samples ? r->samples : SAMPLES))
    fail_msg("%s{%s} is refused", r->op, r->attrs);
  const TorchValues *in = r->in;
  for (uint32_t k = 0; k < c.nin; k++) {
    if (!c.in[k].node)
      continue;
    int64_t count = bench_count(&c.b, value_type(c.in[k]));
    for (int64_t i = 0; i < count; i++)
      c.data[k][i] = made_value(in, i);
    in++;
  }
  Value y[OPERANDS];
  results_of(&c, MODE_TRAIN, y);
  double dy[512];
  assert_true(r->ny <= (int)ARRAY_LEN(dy));
  assert_int_equal(bench_count(&c.b, value_type(y[0])), r->ny);
  for (int i = 0; i < r->ny; i++)
    dy[i] = cos(i + 1);
  Value seed = bench_value(&c.b, value_type(y[0]), dy);
  bool trains = c.op->grad || (c.op->expand && !c.op->surrogate);
  Tape tape = { 0 };
  if (trains)
    tape = bench_backward(&c.b, y, &seed, 1);
  RefTensor ***all = ref_run_all(&c.b.ctx, c.b.graph);
  assert_near(r, "y", bench_get(all, y[0])->v, r->y, r->ny);
  const double *dx = r->dx;
  for (uint32_t k = 0; k < c.nin && trains; k++) {
    if (!c.in[k].node || !dtype_is_real(value_type(c.in[k])->dtype))
      continue;
    int64_t count = bench_count(&c.b, value_type(c.in[k]));
    Value d = bench_adjoint(&tape, c.in[k]);
    if (!d.node)
      fail_msg("%s{%s}: no gradient reaches %s", r->op, r->attrs, c.name[k]);
    assert_near(r, c.name[k], bench_get(all, d)->v, dx, count);
    dx += count;
  }
  close_case(&c);
}

static void test_operations_and_losses_agree_with_pytorch(void **unused)
{
  (void)unused;
  for (size_t i = 0; i < ARRAY_LEN(torch_rows); i++)
    check_row(&torch_rows[i]);
}

static void check_steps(const TorchSteps *r)
{
  static const double start[WEIGHTS] = { 1, -0.7, 0.4 }, slope[WEIGHTS] = { 2, 0.7, 1.3 };
  TorchRow row = { .op = r->op, .attrs = r->attrs };
  OpSample sample = { r->attrs, "w=f32[3], g=f32[3]" };
  Case c;
  if (!open_case(&c, op_find(ops_table(), r->op), &sample, 1))
    fail_msg("%s{%s} is refused", r->op, r->attrs);
  for (uint32_t k = 2; k < c.nin; k++) {
    uint32_t state;
    if (!c.in[k].node || !value_state(c.in[k], &state))
      continue;
    const StateVar *slot = &c.b.program->state.at[state];
    for (int i = 0; i < WEIGHTS; i++)
      c.data[k][i] = slot->init.kind == INIT_CONSTANT ? slot->init.a : 0;
  }
  Value next[OPERANDS];
  uint32_t w;
  results_of(&c, MODE_TRAIN, next);
  Expand e = { .graph = c.b.graph, .mode = MODE_TRAIN, .ops = ops_table() };
  assert_true(value_state(c.in[0], &w));
  expand_write(&e, w, next[0]);
  memcpy(c.data[0], start, sizeof start);
  for (int step = 0; step < STEPS; step++) {
    for (int i = 0; i < WEIGHTS; i++)
      c.data[1][i] = slope[i] * c.data[0][i];
    c.b.args[ARG_LR] = r->lr;
    c.b.args[ARG_STEP] = step;
    c.b.args[ARG_BC1] = 1 - pow(0.9, step + 1);
    c.b.args[ARG_BC2] = 1 - pow(0.999, step + 1);
    ref_run(&c.b.ctx, c.b.graph, NULL);
    assert_near(&row, "w", c.data[0], r->w + step * WEIGHTS, WEIGHTS);
  }
  close_case(&c);
}

static void test_optimizers_step_as_pytorch(void **unused)
{
  (void)unused;
  for (size_t i = 0; i < ARRAY_LEN(torch_steps); i++)
    check_steps(&torch_steps[i]);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_operations_and_losses_agree_with_pytorch),
    cmocka_unit_test(test_optimizers_step_as_pytorch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
