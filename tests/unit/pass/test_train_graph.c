/* The assembled training step: loss, clipping, updates and slots against formulas worked out by
 * hand, and the evaluation graph. */
#include "pass/expand.h"
#include "pass/pass.h"
#include "pass/train.h"
#include "ir/attr_text.h"
#include "unit/ir/net.h"

enum { N = 3 };

/* y = w * x with per-sample loss (y - t)^2 / 2 summed by hand: mse of one number is (y - t)^2. */
static const char line[] =
    "gradc-graph 1 program \"m\" real=f64 batch=4 field \"x\" : f64[n,2] field \"t\" : f64[n,2]\n"
    "state \"l.w\" : f64[2] param init=zeros state \"l.b\" : f64[2] param init=zeros\n"
    "graph forward { %0 = input(field=0) : f64[n,2] %1 = input(field=1) : f64[n,2] %2 = "
    "read(state=0) : f64[2]\n"
    "%3 = read(state=1) : f64[2] %4 = mul(%0, %2) : f64[n,2] %5 = add(%4, %3) : f64[n,2] %6 = "
    "mse(%5, %1) : f64[n]\n"
    "output \"loss\" = %6 output \"y\" = %5 }";

typedef struct {
  Net net;
  NetRun run;
  TrainSpec spec;
  Graph *graph;
} Step;

static void open_step(Step *s, const char *rule, const char *attrs)
{
  memset(s, 0, sizeof *s);
  net_load(&s->net, line);
  const OpDef *op = op_find(ops_table(), rule);
  void *a = arena_alloc(s->net.arena, op->attrs_size);
  const char *fault = attrs_parse(s->net.arena, op->attrs, attrs, a);
  if (fault)
    fail_msg("%s", fault);
  s->spec = (TrainSpec){ .loss = s->net.forward->outputs.at[0].value, .rule = op, .rule_attrs = a };
}

static void build_step(Step *s)
{
  Net *t = &s->net;
  s->graph = t->program->train =
      train_graph(t->program, t->forward, &s->spec, ops_table(), t->diag);
  diag_flush(t->diag);
  if (!s->graph)
    fail_msg("%s", out_text(t->messages));
  assert_true(passes_run(t->program, ops_table(), NULL, t->arena, out_new(t->arena)));
  net_start(t, &s->run, N, 11);
}

/* Gradients of the batch mean (or sum) towards w (0, 1) and b (2, 3) at the current state. */
static void gradient(const Step *s, bool sum, double g[4])
{
  const double *w = s->run.state[0], *b = s->run.state[1], *x = s->run.field[0],
               *t = s->run.field[1];
  for (int k = 0; k < 4; k++)
    g[k] = 0;
  for (int i = 0; i < N; i++)
    for (int k = 0; k < 2; k++) {
      double e = x[2 * i + k] * w[k] + b[k] - t[2 * i + k], scale = sum ? 1 : 1.0 / N;
      g[k] += scale * e * x[2 * i + k];
      g[2 + k] += scale * e;
    }
}

static double *weight(Step *s, int k) { return &s->run.state[k / 2][k % 2]; }

static void near(const char *what, double got, double want)
{
  if (!(fabs(got - want) <= 1e-12 * (1 + fabs(want))))
    fail_msg("%s: %.17g, not %.17g", what, got, want);
}

static void run_step(Step *s) { net_output(&s->net, &s->run, s->graph, 0); }

static void test_plain_sgd(void **state)
{
  (void)state;
  for (int sum = 0; sum < 2; sum++) {
    Step s;
    double g[4], w[4];
    open_step(&s, "sgd", "lr=9");
    s.spec.loss_sum = sum;
    build_step(&s);
    assert_int_equal(s.net.program->state.n, 2);
    assert_int_equal(s.graph->writes.n, 2);
    gradient(&s, sum, g);
    for (int k = 0; k < 4; k++)
      w[k] = *weight(&s, k);
    run_step(&s);
    for (int k = 0; k < 4; k++)
      near("w - lr g", *weight(&s, k), w[k] - s.run.args[ARG_LR] * g[k]);
    net_close(&s.net);
  }
}

static void test_momentum_slots(void **state)
{
  (void)state;
  Step s;
  double g[4], w[4], buf[4] = { 0 };
  open_step(&s, "sgd", "momentum=0.9, weight_decay=0.01");
  build_step(&s);
  const Program *p = s.net.program;
  assert_int_equal(p->state.n, 4);
  assert_string_equal(p->state.at[2].name, "sgd.momentum.l.w");
  assert_string_equal(p->state.at[3].name, "sgd.momentum.l.b");
  assert_true(p->state.at[3].role == STATE_SLOT && p->state.at[3].slot_of == 1);
  for (uint32_t i = 0; i < 4; i++)
    assert_int_equal(s.graph->writes.at[i].state, i);
  for (int k = 0; k < 4; k++)
    w[k] = *weight(&s, k);
  for (int step = 0; step < 3; step++) {
    s.run.args[ARG_STEP] = step;
    gradient(&s, false, g);
    run_step(&s);
    for (int k = 0; k < 4; k++) {
      buf[k] = 0.9 * buf[k] + g[k] + 0.01 * w[k];
      w[k] -= s.run.args[ARG_LR] * buf[k];
      near("w", *weight(&s, k), w[k]);
      near("momentum", s.run.state[2 + k / 2][k % 2], buf[k]);
    }
  }
  net_close(&s.net);
}

static void test_adam(void **state)
{
  (void)state;
  Step s;
  double g[4], w[4], m[4] = { 0 }, v[4] = { 0 };
  open_step(&s, "adam", "eps=0.001");
  build_step(&s);
  assert_string_equal(s.net.program->state.at[2].name, "adam.exp_avg.l.w");
  assert_string_equal(s.net.program->state.at[5].name, "adam.exp_avg_sq.l.b");
  for (int k = 0; k < 4; k++)
    w[k] = *weight(&s, k);
  for (int step = 1; step <= 3; step++) {
    s.run.args[ARG_BC1] = 1 - pow(0.9, step);
    s.run.args[ARG_BC2] = 1 - pow(0.999, step);
    gradient(&s, false, g);
    run_step(&s);
    for (int k = 0; k < 4; k++) {
      m[k] = 0.9 * m[k] + 0.1 * g[k];
      v[k] = 0.999 * v[k] + 0.001 * g[k] * g[k];
      w[k] -= s.run.args[ARG_LR] / s.run.args[ARG_BC1] * m[k] /
              (sqrt(v[k]) / sqrt(s.run.args[ARG_BC2]) + 0.001);
      near("w", *weight(&s, k), w[k]);
    }
  }
  net_close(&s.net);
}

static void test_clipping(void **state)
{
  (void)state;
  static const struct { TrainClip how; double max;
  } rows[] = {
    { TRAIN_CLIP_NORM, 0.05 }, { TRAIN_CLIP_NORM, 1e6 }, { TRAIN_CLIP_VALUE, 0.02 },
    { TRAIN_CLIP_VALUE, 1e6 }, { TRAIN_CLIP_NORM, 0 },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Step s;
    double g[4], w[4], norm = 0;
    open_step(&s, "sgd", "");
    s.spec.clip = (int)rows[i].how;
    s.spec.clip_max = rows[i].max;
    build_step(&s);
    gradient(&s, false, g);
    for (int k = 0; k < 4; k++) {
      norm += g[k] * g[k];
      w[k] = *weight(&s, k);
    }
    double factor = rows[i].max / (sqrt(norm) + 1e-6);
    run_step(&s);
    for (int k = 0; k < 4; k++) {
      double clipped = rows[i].how == TRAIN_CLIP_NORM ? g[k] * (factor < 1 ? factor : 1)
                       : g[k] > rows[i].max           ? rows[i].max
                       : g[k] < -rows[i].max          ? -rows[i].max
                                                      : g[k];
      near("clipped step", *weight(&s, k), w[k] - s.run.args[ARG_LR] * clipped);
    }
    net_close(&s.net);
  }
}

static void test_outputs(void **state)
{
  (void)state;
  Step s;
  open_step(&s, "sgd", "");
  static const char *const names[] = { "prediction" };
  s.spec.out = &s.net.forward->outputs.at[1].value;
  s.spec.out_name = names;
  s.spec.nout = 1;
  build_step(&s);
  assert_int_equal(s.graph->outputs.n, 2);
  assert_string_equal(s.graph->outputs.at[0].name, "loss");
  assert_string_equal(s.graph->outputs.at[1].name, "prediction");
  assert_string_equal(type_text(s.net.arena, value_type(s.graph->outputs.at[0].value)), "f64[]");
  double want = 0;
  for (int i = 0; i < 2 * N; i++)
    want +=
        pow(s.run.field[0][i] * s.run.state[0][i % 2] + s.run.state[1][i % 2] - s.run.field[1][i],
            2) /
        2 / N;
  near("loss", net_output(&s.net, &s.run, s.graph, 0), want);
  net_close(&s.net);
}

static void test_frozen_parameters_are_not_written(void **state)
{
  (void)state;
  Step s;
  open_step(&s, "sgd", "momentum=0.9, weight_decay=0.1");
  s.net.program->state.at[1].trainable = false;
  build_step(&s);
  assert_int_equal(s.graph->writes.n, 2);
  assert_null(program_find_state(s.net.program, "sgd.momentum.l.b"));
  double before = *weight(&s, 2);
  run_step(&s);
  assert_true(*weight(&s, 2) == before);
  net_close(&s.net);
}

static void test_slots_are_made_once(void **state)
{
  (void)state;
  Step s;
  open_step(&s, "adam", "");
  build_step(&s);
  uint32_t n = s.net.program->state.n;
  build_step(&s);
  assert_int_equal(s.net.program->state.n, n);
  net_close(&s.net);
}

/* ---- evaluation ---- */

static const char modal[] =
    "gradc-graph 1 program \"m\" real=f64 batch=4 field \"x\" : f64[n,2] field \"t\" : f64[n,2]\n"
    "state \"g\" : f64[2] param init=zeros state \"h\" : f64[2] param init=zeros state \"m\" : "
    "f64[2] stat init=zeros\n"
    "state \"v\" : f64[2] stat init=ones state \"c\" : f64[] stat init=zeros\n"
    "graph forward { %0 = input(field=0) : f64[n,2] %1 = input(field=1) : f64[n,2] %2 = "
    "read(state=0) : f64[2]\n"
    "%3 = read(state=1) : f64[2] %4 = read(state=2) : f64[2] %5 = read(state=3) : f64[2] %6 = "
    "read(state=4) : f64[]\n"
    "%7 = batchnorm(%0, %2, %3, %4, %5, %6) : f64[n,2] \"bn\" %8 = dropout(%7) : f64[n,2] \"d\" %9 "
    "= mse(%8, %1) : f64[n]\n"
    "%10 = tanh(%7) : f64[n,2] output \"loss\" = %9 output \"y\" = %8 output \"z\" = %10 }";

static uint32_t count(const Graph *g, const char *op)
{
  uint32_t n = 0;
  for (uint32_t i = 0; i < g->order.n; i++)
    n += str_eq(g->order.at[i]->op->name, op);
  return n;
}

static void test_modes_differ(void **state)
{
  (void)state;
  Net t;
  net_load(&t, modal);
  const Graph *f = t.forward;
  uint32_t nodes = f->order.n;
  Value out[] = { f->outputs.at[0].value, f->outputs.at[1].value };
  static const char *const names[] = { "loss", "y" };
  TrainSpec spec = { .loss = out[0], .rule = op_find(ops_table(), "sgd") };
  spec.rule_attrs = arena_alloc(t.arena, spec.rule->attrs_size);
  Graph *train = train_graph(t.program, f, &spec, ops_table(), t.diag);
  Graph *eval = eval_graph(t.program, f, out, names, 2, ops_table());
  t.program->train = train;
  t.program->eval = eval;
  assert_null(program_verify(t.program, t.arena));
  assert_int_equal(f->order.n, nodes);
  assert_int_equal(count(train, "dropout_mask"), 2);    /* forward, and drawn again backward */
  assert_int_equal(count(eval, "dropout_mask") + count(eval, "dropout") + count(eval, "batchnorm"),
                   0);
  assert_int_equal(count(train, "bn_stats"), 1);
  assert_int_equal(count(eval, "bn_stats"), 0);
  assert_int_equal(count(eval, "tanh"), 0);
  assert_int_equal(train->writes.n, 5);
  assert_int_equal(eval->writes.n, 0);
  assert_string_equal(type_text(t.arena, value_type(eval->outputs.at[0].value)), "f64[n]");
  NetRun r;
  net_start(&t, &r, N, 3);
  net_output(&t, &r, train, 0);
  double mean = (r.field[0][0] + r.field[0][2] + r.field[0][4]) / N;
  near("running mean", r.state[2][0], 0.1 * mean);
  near("batches", r.state[4][0], 1);
  net_close(&t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_plain_sgd),
    cmocka_unit_test(test_momentum_slots),
    cmocka_unit_test(test_adam),
    cmocka_unit_test(test_clipping),
    cmocka_unit_test(test_outputs),
    cmocka_unit_test(test_frozen_parameters_are_not_written),
    cmocka_unit_test(test_slots_are_made_once),
    cmocka_unit_test(test_modes_differ),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
