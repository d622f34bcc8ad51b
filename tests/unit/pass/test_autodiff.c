/* Reverse-mode gradients of small nets against central differences in double, both through the
 * reference interpreter; and what is not made: work for frozen parameters and for values the loss
 * does not need. */
#include "pass/pass.h"
#include "pass/train.h"
#include "unit/ir/net.h"

enum { N = 3 };

#define HEAD "gradc-graph 1 program \"m\" real=f64 batch=4\n" \
             "field \"x\" : f64[n,3] field \"t\" : f64[n,2] field \"i\" : f64[n,1,4,4]\n"
#define W "state \"w\" : f64[2,3] param init=zeros state \"b\" : f64[2] param init=zeros\n"
#define FORWARD "graph forward { %0 = input(field=0) : f64[n,3] %1 = input(field=1) : f64[n,2]\n"
#define DENSE                                                                                      \
  "%2 = read(state=0) : f64[2,3] %3 = read(state=1) : f64[2] %4 = dense(%0, %2, %3, units=2) : "   \
  "f64[n,2]\n"

static const struct { const char *name, *text;
} nets[] = {
  { "dense and mse", HEAD W FORWARD DENSE "%5 = mse(%4, %1) : f64[n] output \"loss\" = %5 }" },
  { "fan-out: one value used three times",
    HEAD W FORWARD DENSE "%5 = tanh(%4) : f64[n,2] %6 = mul(%5, %4) : f64[n,2] %7 = add(%6, %5) : "
                         "f64[n,2] %8 = mse(%7, %1) : f64[n]\n"
                         "output \"loss\" = %8 }" },
  { "the same operand twice",
    HEAD W FORWARD DENSE "%5 = mul(%4, %4) : f64[n,2] %6 = add(%5, %5) : f64[n,2] %7 = mse(%6, %1) "
                         ": f64[n] output \"loss\" = %7 }" },
  { "shared weights, read twice",
    HEAD W FORWARD DENSE "%5 = read(state=1) : f64[2] %6 = mul(%4, %5) : f64[n,2] %7 = "
                         "read(state=1) : f64[2] %8 = sub(%6, %7) : f64[n,2]\n"
                         "%9 = mse(%8, %1) : f64[n] output \"loss\" = %9 }" },
  { "an output that is not used", HEAD W FORWARD DENSE
    "%5 = exp(%4) : f64[n,2] %6 = mse(%4, %1) : f64[n] output \"loss\" = %6 output \"e\" = %5 }" },
  { "a parameter the loss does not need",
    HEAD W "state \"c\" : f64[2] param init=zeros\n" FORWARD DENSE
           "%5 = mse(%4, %1) : f64[n] %6 = read(state=2) : f64[2] output \"loss\" = %5 output "
           "\"c\" = %6 }" },
  { "broadcast scalar, view, sigmoid, bce",
    HEAD W "state \"k\" : f64[] param init=zeros\n" FORWARD DENSE
           "%5 = read(state=2) : f64[] %6 = mul(%4, %5) : f64[n,2] %7 = sigmoid(%6) : f64[n,2]\n"
           "%8 = reshape(%7, shape=[1, 2]) : f64[n,1,2] %9 = flatten(%8) : f64[n,2] %10 = mse(%9, "
           "%1) : f64[n]\n"
           "output \"loss\" = %10 }" },
  { "convolution, pooling, batch norm, softmax", HEAD
    "state \"k\" : f64[2,1,3,3] param init=zeros state \"g\" : f64[2] param init=zeros\n"
    "state \"h\" : f64[2] param init=zeros state \"m\" : f64[2] stat init=zeros state \"v\" : "
    "f64[2] stat init=ones\n"
    "state \"c\" : f64[] stat init=zeros\n"
    "graph forward { %0 = input(field=2) : f64[n,1,4,4] %1 = input(field=1) : f64[n,2]\n"
    "%2 = read(state=0) : f64[2,1,3,3] %3 = conv(%0, %2, none, filters=2, kernel=[3, 3], "
    "bias=false) : f64[n,2,2,2]\n"
    "%4 = read(state=1) : f64[2] %5 = read(state=2) : f64[2] %6 = read(state=3) : f64[2] %7 = "
    "read(state=4) : f64[2]\n"
    "%8 = read(state=5) : f64[] %9 = batchnorm(%3, %4, %5, %6, %7, %8) : f64[n,2,2,2] \"bn\"\n"
    "%10 = avgpool(%9, kernel=[2, 2]) : f64[n,2,1,1] %11 = flatten(%10) : f64[n,2]\n"
    "%12 = softmax(%11) : f64[n,2] %13 = softmax_xent(%11, %12) : f64[n] output \"loss\" = %13 }" },
  { "dropout draws the same mask again", HEAD W FORWARD DENSE
    "%5 = dropout(%4, p=0.5) : f64[n,2] \"d\" %6 = mse(%5, %1) : f64[n] output \"loss\" = %6 }" },
};

static Graph *gradient_graph(Net *t, bool sum)
{
  const Graph *f = t->forward;
  TrainSpec s = { .loss = f->outputs.at[0].value, .loss_sum = sum, .gradients_only = true };
  Graph *g = train_graph(t->program, f, &s, ops_table(), t->diag);
  diag_flush(t->diag);
  if (!g || diag_errors(t->diag))
    fail_msg("%s", out_text(t->messages));
  t->program->train = g;
  const char *fault = program_verify(t->program, t->arena);
  if (fault)
    fail_msg("%s", fault);
  return g;
}

/* The loss of g with number k of parameter `state` moved by h; writes go to a copy of the state. */
static double loss_at(Net *t, const NetRun *r, const Graph *g, uint32_t state, int64_t k, double h)
{
  const Program *p = t->program;
  NetRun moved = *r;
  moved.state = ARENA_ARRAY(t->arena, double *, p->state.n + 1);
  for (uint32_t i = 0; i < p->state.n; i++)
    moved.state[i] = arena_copy(t->arena, r->state[i],
                                (size_t)type_elems(&p->state.at[i].type) * sizeof(double));
  moved.state[state][k] += h;
  moved.ctx.state = moved.state;
  moved.ctx.args = moved.args;
  return net_output(t, &moved, g, 0);
}

static void check_net(const char *name, const char *text, bool sum, bool optimized)
{
  const double h = 1e-3;
  Net t;
  NetRun r;
  net_load(&t, text);
  Graph *g = gradient_graph(&t, sum);
  if (optimized)
    passes_run(t.program, ops_table(), NULL, t.arena, out_new(t.arena));
  net_start(&t, &r, N, 77);
  uint32_t before = t.program->state.n;
  for (uint32_t i = 0; i < before; i++) {
    const StateVar v = t.program->state.at[i];
    if (v.role != STATE_PARAM || !v.trainable)
      continue;
    NetRun once = r;
    loss_at(&t, &once, g, i, 0, 0);
    double *kept = arena_copy(t.arena, r.state[i], (size_t)type_elems(&v.type) * sizeof(double));
    net_output(&t, &r, g, 0);
    const double *grad = net_state(&t, &r, arena_printf(t.arena, "grad.%s", v.name));
    for (int64_t k = 0; k < type_elems(&v.type); k++) {
      assert_true(r.state[i][k] == kept[k]);
      double far = loss_at(&t, &r, g, i, k, 2 * h) - loss_at(&t, &r, g, i, k, -2 * h);
      double near = loss_at(&t, &r, g, i, k, h) - loss_at(&t, &r, g, i, k, -h);
      double want = (8 * near - far) / (12 * h);
      if (!(fabs(grad[k] - want) <= 1e-8 * (1 + fabs(want))))
        fail_msg("%s: %s[%lld]: gradient %.12g, differences %.12g", name, v.name, (long long)k,
                 grad[k], want);
    }
  }
  net_close(&t);
}

static void test_gradients_agree_with_differences(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(nets); i++)
    for (int how = 0; how < 4; how++)
      check_net(nets[i].name, nets[i].text, how & 1, how & 2);
}

/* ---- pruning ---- */

static bool has_op(const Graph *g, const char *name)
{
  for (uint32_t i = 0; i < g->order.n; i++)
    if (str_eq(g->order.at[i]->op->name, name))
      return true;
  return false;
}

static void test_frozen_parameters_have_no_backward_work(void **state)
{
  (void)state;
  static const char two_layers[] = HEAD
      "state \"w\" : f64[2,3] param %s init=zeros state \"v\" : f64[2,2] param %s "
      "init=zeros\n" FORWARD "%%2 = read(state=0) : f64[2,3] %%3 = dense(%%0, %%2, none, units=2, "
                             "bias=false) : f64[n,2] %%4 = tanh(%%3) : f64[n,2]\n"
      "%%5 = read(state=1) : f64[2,2] %%6 = dense(%%4, %%5, none, units=2, bias=false) : f64[n,2]\n"
      "%%7 = mse(%%6, %%1) : f64[n] output \"loss\" = %%7 }";
  static const struct {
    const char *w, *v;
    bool tanh_dx, dense_dx, dense_dw, grad_w, grad_v;
  } rows[] = {
    { "", "", true, true, true, true, true },
    { "frozen", "", false, false, true, false, true },
    { "", "frozen", true, true, true, true, false },
    { "frozen", "frozen", false, false, false, false, false },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Net t;
    net_open(&t);
    static const char first[] = "gradc";
    assert_memory_equal(two_layers, first, sizeof first - 1);
    char text[2048];
    const char *at = two_layers;
    size_t n = 0;
    for (int k = 0; *at; at++)
      if (at[0] == '%' && at[1] == 's') {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s", k++ ? rows[i].v : rows[i].w);
        at++;
      } else if (at[0] != '%' || at[1] != '%')
        text[n++] = *at;
    assert_non_null(net_read(&t, text, n));
    Graph *g = gradient_graph(&t, false);
    assert_int_equal(has_op(g, "tanh_dx"), rows[i].tanh_dx);
    assert_int_equal(has_op(g, "dense_dx"), rows[i].dense_dx);
    assert_int_equal(has_op(g, "dense_dw"), rows[i].dense_dw);
    assert_int_equal(program_find_state(t.program, "grad.w") != NULL, rows[i].grad_w);
    assert_int_equal(program_find_state(t.program, "grad.v") != NULL, rows[i].grad_v);
    assert_int_equal(strstr(out_text(t.messages), "W0404") != NULL,
                     !rows[i].grad_w && !rows[i].grad_v);
    net_close(&t);
  }
}

static void test_only_what_is_asked_for_is_copied(void **state)
{
  (void)state;
  Net t;
  net_load(&t, nets[4].text);
  Graph *g = gradient_graph(&t, false);
  assert_false(has_op(g, "exp"));
  assert_int_equal(g->outputs.n, 1);
  assert_true(has_op(t.forward, "exp"));
  net_close(&t);
}

static void test_missing_gradient_is_an_error(void **state)
{
  (void)state;
  Net t;
  net_load(&t, HEAD W FORWARD DENSE
           "%5 = relu_dx(%4, %4) : f64[n,2] %6 = mse(%5, %1) : f64[n] output \"loss\" = %6 }");
  TrainSpec s = { .loss = t.forward->outputs.at[0].value, .gradients_only = true };
  assert_null(train_graph(t.program, t.forward, &s, ops_table(), t.diag));
  diag_flush(t.diag);
  assert_non_null(strstr(out_text(t.messages), "`relu_dx` has no gradient"));
  net_close(&t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_gradients_agree_with_differences),
    cmocka_unit_test(test_frozen_parameters_have_no_backward_work),
    cmocka_unit_test(test_only_what_is_asked_for_is_copied),
    cmocka_unit_test(test_missing_gradient_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
