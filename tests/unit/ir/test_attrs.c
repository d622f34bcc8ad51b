/* Attributes by table: defaults, text both ways, comparison. */
#include "ir/attr_text.h"
#include "unit/ir/net.h"

#define EVERY(A, op)                                            \
  A(op, int,     count, "!",       "must be given")             \
  A(op, real,    rate,  "1e-8",    "a number")                  \
  A(op, flag,    bias,  "true",    "a flag")                    \
  A(op, name,    act,   "none",    "one of: none relu tanh")    \
  A(op, ints,    size,  "1",       "up to eight numbers")       \
  A(op, pad,     pad,   "0",       "padding")                   \
  A(op, literal, value, "",        "given values")              \
  A(op, init,    init,  "default", "how it starts")             \
  A(op, name,    path,  "",        "any text")
ATTRS(every, EVERY)

static Arena *arena;

static int setup(void **state)
{
  (void)state;
  arena = arena_new("test");
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  arena_free(&arena);
  return 0;
}

static void read_ok(const char *text, every_attrs *out)
{
  const char *fault = attrs_parse(arena, every_attr_defs, text, out);
  if (fault)
    fail_msg("'%s': %s", text, fault);
}

static void test_defaults(void **state)
{
  (void)state;
  every_attrs a;
  attrs_default(arena, every_attr_defs, &a);
  assert_int_equal(a.count, 0);
  assert_true(a.rate == 1e-8 && a.bias && !a.act && a.size.n == 1 && a.size.at[0] == 1);
  assert_true(a.pad.mode == PAD_EXPLICIT && a.pad.top == 0 && !a.value.value &&
              a.init.kind == INIT_DEFAULT);
  assert_null(a.path);
  assert_int_equal(attrs_count(every_attr_defs), 9);
  assert_int_equal(attrs_count(NULL), 0);
}

static void test_text_reads_back(void **state)
{
  (void)state;
  static const struct { const char *text, *printed;
  } rows[] = {
    { "count=3", "count=3" },
    { "count=-3, rate=0.1, bias=false", "count=-3, rate=0.1, bias=false" },
    { "count=0,rate=1e-8,bias=true", "count=0" },
    { "count=1, rate=0.30000000000000004", "count=1, rate=0.30000000000000004" },
    { "count=1, rate=-inf", "count=1, rate=-inf" },
    { "count=1, rate=nan", "count=1, rate=nan" },
    { "count=1, rate=-0", "count=1, rate=-0" },
    { "count=1, act=relu, size=[1, 2, 3]", "count=1, act=relu, size=[1, 2, 3]" },
    { "count=1, size=2", "count=1, size=[2]" },
    { "count=1, size=[]", "count=1, size=[]" },
    { "count=1, pad=same", "count=1, pad=same" },
    { "count=1, pad=valid", "count=1, pad=valid" },
    { "count=1, pad=2", "count=1, pad=[2, 2, 2, 2]" },
    { "count=1, pad=[1, 2]", "count=1, pad=[1, 1, 2, 2]" },
    { "count=1, pad=[0, 1, 2, 3]", "count=1, pad=[0, 1, 2, 3]" },
    { "count=1, value=[[1, 2.5], [-3, 4]]", "count=1, value=[[1, 2.5], [-3, 4]]" },
    { "count=1, value=7", "count=1, value=7" },
    { "count=1, value=none", "count=1" },
    { "count=1, init=normal(0, 0.01)", "count=1, init=normal(0, 0.01)" },
    { "count=1, init=zeros", "count=1, init=zeros" },
    { "count=1, init=kaiming_uniform(2.5)", "count=1, init=kaiming_uniform(2.5)" },
    { "count=1, path=\"a b\\n\\\"\\001\"", "count=1, path=\"a b\\n\\\"\\001\"" },
    { "count=1, path=\"none\"", "count=1, path=\"none\"" },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    every_attrs a, b;
    Out *o = out_new(arena);
    read_ok(rows[i].text, &a);
    assert_true(attrs_print(every_attr_defs, &a, arena, o));
    assert_string_equal(out_text(o), rows[i].printed);
    read_ok(out_text(o), &b);
    assert_true(attrs_equal(every_attr_defs, &a, &b));
    assert_true(attrs_hash(every_attr_defs, &a) == attrs_hash(every_attr_defs, &b));
  }
}

static void test_mistakes(void **state)
{
  (void)state;
  static const struct { const char *text, *message;
  } rows[] = {
    { "", "attribute 'count' is missing" },
    { "rate=1", "attribute 'count' is missing" },
    { "count=1, count=2", "attribute 'count' is given twice" },
    { "depth=1", "there is no attribute 'depth'" },
    { "count=x", "a whole number is missing here" },
    { "count=1.5", "a whole number is missing here" },
    { "count=99999999999999999999", "a whole number is missing here" },
    { "count=1, bias=1", "true or false is missing here" },
    { "count=1 rate=2", "',' is missing here" },
    { "count=1, act=gelu", "attribute 'act' cannot be 'gelu'" },
    { "count=1, size=[1, 2, 3, 4, 5, 6, 7, 8, 9]", "a list has more than 8 numbers" },
    { "count=1, pad=[1, 2, 3]", "padding takes 1, 2 or 4 numbers" },
    { "count=1, pad=[1, 2, 3, 4, 5]", "padding takes 1, 2 or 4 numbers" },
    { "count=1, value=[[1], [2, 3]]", "lists of one axis have 1 and 2 entries" },
    { "count=1, value=[1, [2]]", "a list mixes numbers and lists" },
    { "count=1, value=[[1], 2]", "a list mixes numbers and lists" },
    { "count=1, value=[[[[[[[[[1]]]]]]]]]", "lists are nested too deeply" },
    { "count=1, value=[]", "a number is missing here" },
    { "count=1, rate=0x10", "a number is missing here" },
    { "count=1, init=he", "there is no initialiser 'he'" },
    { "count=1, init=normal(1)", "',' is missing here" },
    { "count=1, path=\"a", "this string has no end" },
    { "count=1, path=\"\\q\"", "this string has an unknown escape" },
    { "count=1, ", "a word is missing here" },
    { "count=1)", "attributes end early" },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    every_attrs a;
    const char *fault = attrs_parse(arena, every_attr_defs, rows[i].text, &a);
    if (!fault)
      fail_msg("'%s' was accepted", rows[i].text);
    assert_string_equal(fault, rows[i].message);
  }
}

static void test_comparison_sees_every_field(void **state)
{
  (void)state;
  static const char *const rows[] = {
    "count=1",
    "count=2",
    "count=1, rate=2",
    "count=1, bias=false",
    "count=1, act=relu",
    "count=1, size=[2]",
    "count=1, size=[1, 1]",
    "count=1, pad=1",
    "count=1, pad=same",
    "count=1, value=1",
    "count=1, value=[1]",
    "count=1, value=2",
    "count=1, init=ones",
    "count=1, init=constant(1)",
    "count=1, init=constant(2)",
    "count=1, path=\"x\"",
    "count=1, rate=0",
    "count=1, rate=-0",
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
      every_attrs a, b;
      read_ok(rows[i], &a);
      read_ok(rows[k], &b);
      if (attrs_equal(every_attr_defs, &a, &b) != (i == k))
        fail_msg("'%s' and '%s'", rows[i], rows[k]);
    }
}

static void test_real_text_is_shortest(void **state)
{
  (void)state;
  static const struct { double v; const char *text;
  } rows[] = {
    { 0.1, "0.1" }, { 1e300, "1e+300" },  { 1.0 / 3, "0.3333333333333333" },
    { 100, "100" }, { -0.0, "-0" },       { 1e15, "1e+15" },
    { 123, "123" }, { 5e-324, "5e-324" },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    assert_string_equal(attr_real_text(arena, rows[i].v), rows[i].text);
    assert_true(strtod(attr_real_text(arena, rows[i].v), NULL) == rows[i].v);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_defaults),
    cmocka_unit_test(test_text_reads_back),
    cmocka_unit_test(test_mistakes),
    cmocka_unit_test(test_comparison_sees_every_field),
    cmocka_unit_test(test_real_text_is_shortest),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
