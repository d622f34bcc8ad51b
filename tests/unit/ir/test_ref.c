/* The reference interpreter's driver: broadcasting, views, batches of any size, writes after the
 * step. */
#include "unit/ir/net.h"

static void test_broadcasting_values(void **state)
{
  (void)state;
  Net t;
  NetRun r;
  net_load(
      &t,
      "gradc-graph 1 program \"m\" real=f64 batch=4 field \"x\" : f64[n,2,2] field \"s\" : f64[n]\n"
      "state \"c\" : f64[2] param init=zeros state \"k\" : f64[] param init=zeros\n"
      "graph eval { %0 = input(field=0) : f64[n,2,2] %1 = input(field=1) : f64[n] %2 = "
      "read(state=0) : f64[2]\n"
      "%3 = read(state=1) : f64[] %4 = add(%0, %2) : f64[n,2,2] %5 = mul(%4, %1) : f64[n,2,2]\n"
      "%6 = sub(%3, %5) : f64[n,2,2] %7 = flatten(%6) : f64[n,4] output \"y\" = %7 }");
  net_start(&t, &r, 3, 5);
  RefTensor *out;
  ref_run(&r.ctx, t.program->eval, &out);
  assert_int_equal(ref_elems(out), 12);
  for (int s = 0; s < 3; s++)
    for (int e = 0; e < 4; e++) {
      double want = r.state[1][0] - (r.field[0][s * 4 + e] + r.state[0][e / 2]) * r.field[1][s];
      assert_true(fabs(out->v[s * 4 + e] - want) < 1e-15);
    }
  net_close(&t);
}

static void test_writes_come_after_the_step(void **state)
{
  (void)state;
  Net t;
  NetRun r;
  net_load(&t, "gradc-graph 1 program \"m\" real=f64 batch=4\n"
               "state \"a\" : f64[] param init=zeros state \"b\" : f64[] param init=zeros\n"
               "graph train { %0 = read(state=0) : f64[] %1 = read(state=1) : f64[]\n"
               "write \"a\" = %1 write \"b\" = %0 output \"a\" = %0 }");
  net_start(&t, &r, 1, 5);
  double a = r.state[0][0], b = r.state[1][0];
  assert_true(a != b);
  assert_true(net_output(&t, &r, t.program->train, 0) == a);
  assert_true(r.state[0][0] == b && r.state[1][0] == a);
  net_close(&t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_broadcasting_values), cmocka_unit_test(test_writes_come_after_the_step),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
