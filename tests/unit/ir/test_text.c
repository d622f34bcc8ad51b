/* The text form: reading what was printed prints the same; damaged text gives messages, never
 * crashes. */
#include "unit/ir/net.h"

static const char whole[] =
    "gradc-graph 1\n"
    "program \"lenet \\\"5\\\"\" real=f32 batch=128\n"
    "source \"lenet.nn\"\n"
    "field \"x\" : u8[n,1,6,6] @3:5\n"
    "field \"y\" : u8[n] @4:5\n"
    "state \"c1.weight\" : f32[2,1,3,3] param init=kaiming_uniform(2.23606797749979) fan_in=9 "
    "fan_out=18 @9:8\n"
    "state \"c1.bias\" : f32[2] param frozen init=uniform(-0.3333333333333333, 0.3333333333333333) "
    "@9:8\n"
    "state \"f1.weight\" : f32[3,2] param init=given given=[[1, 2], [3, -4.5], [0, 1e-30]]\n"
    "state \"bn.running_mean\" : f32[2] stat init=zeros\n"
    "state \"l.carried_h_l0\" : f32[4,2] carried init=zeros\n"
    "state \"sgd.momentum.c1.weight\" : f32[2,1,3,3] slot of \"c1.weight\" init=zeros @9:8\n"
    "graph train {\n"
    "  %0 = input(field=0) : u8[n,1,6,6] \"x\" @3:5  # x\n"
    "  %1 = cast(%0) : f32[n,1,6,6]\n"
    "  %2 = read(state=0) : f32[2,1,3,3] \"c1.conv\" @9:8  # c1.weight\n"
    "  %3 = conv(%1, %2, none, filters=2, kernel=[3, 3], bias=false) : f32[n,2,4,4] \"c1.conv\" "
    "@9:8\n"
    "  %4 = bn_stats(%3) : f32[2], f32[2] \"c1.bn\" @100:12\n"
    "  %5 = add(%4, %4.1) : f32[2]\n"
    "  %6 = channel_sum(%3) : f32[2]\n"
    "  %7 = arg(which=0) : f32[]  # lr\n"
    "  %8 = mul(%6, %7) : f32[2]\n"
    "  write \"bn.running_mean\" = %4\n"
    "  output \"loss\" = %7\n"
    "  output \"sum\" = %8\n"
    "}\n"
    "graph eval {\n"
    "  %0 = input(field=1) : u8[n] \"y\" @4:5  # y\n"
    "  output \"y\" = %0\n"
    "}\n";

static void test_printing_what_was_read(void **state)
{
  (void)state;
  Net t;
  net_load(&t, whole);
  Out *o = out_new(t.arena);
  program_print(t.program, t.sources, o);
  net_expect("first print", out_text(o), whole);
  Net again;
  net_load(&again, out_text(o));
  Out *second = out_new(again.arena);
  program_print(again.program, again.sources, second);
  net_expect("second print", out_text(second), whole);
  assert_int_equal(t.program->batch, 128);
  assert_false(t.program->state.at[1].trainable);
  assert_int_equal(t.program->state.at[4].slot_of, 0);
  Place place;
  assert_true(source_place(t.sources, t.program->train->order.at[3]->at.begin, &place));
  assert_string_equal(place.file, "lenet.nn");
  assert_true(place.line == 9 && place.col == 8);
  net_close(&again);
  net_close(&t);
}

static void test_places_can_be_left_out(void **state)
{
  (void)state;
  Net t;
  net_load(&t, whole);
  Out *o = out_new(t.arena);
  program_print(t.program, NULL, o);
  assert_null(strstr(out_text(o), "@"));
  assert_null(strstr(out_text(o), "source"));
  Net again;
  net_load(&again, out_text(o));
  net_close(&again);
  net_close(&t);
}

static void test_mistakes(void **state)
{
  (void)state;
#define HEAD "gradc-graph 1 program \"m\" real=f32 batch=4\n"
#define WITH_X HEAD "field \"x\" : f32[n,2]\n"
#define BODY WITH_X "graph train {\n%0 = input(field=0) : f32[n,2]\n"
  static const struct { const char *text, *message;
  } rows[] = {
    { "", "'gradc-graph' is missing here" },
    { "gradc-graph 2", "version 1 is needed" },
    { "gradc-graph 1 program \"m\" real=f16 batch=4", "'f16' is not a real type" },
    { "gradc-graph 1 program \"m\" real=u8 batch=4", "'u8' is not a real type" },
    { "gradc-graph 1 program \"m\" real=f32 batch=0", "the batch is out of range" },
    { HEAD "field \"x\" : f32[2]", "field 0 has no name or the wrong type" },
    { HEAD "field \"x\" : f32[n,0]", "a dimension is below 1" },
    { HEAD "field \"x\" : f32[n,9223372036854775807,2]", "too many elements" },
    { HEAD "field \"x\" : f32[n] @1:2", "a place needs a source line above" },
    { HEAD "state \"w\" : f32[2] slot of \"v\" init=zeros", "there is no state variable 'v'" },
    { HEAD "state \"w\" : f32[2] weight init=zeros", "'slot' is missing here" },
    { HEAD "state \"w\" : f64[2] param init=zeros", "state variable 'w' has the wrong type" },
    { HEAD "state \"w\" : f32[2] param init=given given=[1]",
      "the values given for 'w' have another shape" },
    { HEAD "state \"w\" : f32[2] param init=zeros state \"w\" : f32[2] stat init=zeros",
      "two state variables" },
    { HEAD "graph other {} graph more {}", "there is a graph of this kind already" },
    { HEAD "graph train {} graph train {}", "there is a graph of this kind already" },
    { BODY "%0 = exp(%0) : f32[n,2] }", "node %0 is defined twice" },
    { BODY "%1 = exp(%2) : f32[n,2] }", "node %2 is used before it is defined" },
    { BODY "%1 = exp(%0.1) : f32[n,2] }", "node %0 has no result 1" },
    { BODY "%1 = expp(%0) : f32[n,2] }", "there is no operation 'expp'" },
    { BODY "%1 = exp(%0, a=1) : f32[n,2] }", "there is no attribute 'a'" },
    { BODY "%1 = exp(%0 : f32[n,2] }", "')' is missing here" },
    { BODY "%1 = exp(%0) : f32[n,3] }", "result 0 is f32[n,3] but should be f32[n,2]" },
    { BODY "%1 = exp(%0) }", "':' is missing here" },
    { BODY "%1 = exp(none) : f32[n,2] }", "operand 0 is missing" },
    { BODY "%1 = exp() : f32[n,2] }", "operand 0 is missing" },
    { BODY "%1 = exp(%0, %0) : f32[n,2] }", "has 2 operands" },
    { BODY "%1 = exp(%0) : f32[n,2], f32[n,2] }", "has 2 results" },
    { BODY "%1 = input(field=1) : f32[n,2] }", "does not take these operands" },
    { BODY "%1 = sgd(%0, %0) : f32[n,2] }", "an update rule is not a tensor operation" },
    { BODY "%1000000000 = exp(%0) : f32[n,2] }", "this node's number is out of range" },
    { BODY "write \"w\" = %0 }", "there is no state variable 'w'" },
    { BODY "output \"y\" = none }", "an output needs a value" },
    { BODY "output \"y\" = %0", "'}' is missing here" },
    { BODY "} junk", "a graph or the end is missing here" },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Net t;
    net_open(&t);
    if (net_read(&t, rows[i].text, strlen(rows[i].text)))
      fail_msg("this was accepted: %s", rows[i].text);
    if (!strstr(out_text(t.messages), rows[i].message) || !strstr(out_text(t.messages), "E0901"))
      fail_msg("%s\ngave %sinstead of: %s", rows[i].text, out_text(t.messages), rows[i].message);
    assert_int_equal(diag_errors(t.diag), 1);
    net_close(&t);
  }
}

/* Cuts the text after every byte, and changes every byte in several ways. What is still accepted
 * must verify. */
static void test_damaged_text_never_crashes(void **state)
{
  (void)state;
  static const char change[] = "0z%\"[-\n{";
  char text[sizeof whole];
  size_t accepted = 0;
  for (size_t i = 0; i < sizeof whole - 1; i++) {
    Net t;
    net_open(&t);
    net_read(&t, whole, i);
    net_close(&t);
    memcpy(text, whole, sizeof whole);
    for (const char *c = change; *c; c++) {
      text[i] = *c;
      net_open(&t);
      accepted += net_read(&t, text, sizeof whole - 1) != NULL;
      net_close(&t);
    }
  }
  assert_true(accepted > 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_printing_what_was_read), cmocka_unit_test(test_places_can_be_left_out),
    cmocka_unit_test(test_mistakes), cmocka_unit_test(test_damaged_text_never_crashes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
