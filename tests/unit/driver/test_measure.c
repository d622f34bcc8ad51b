/* What measurements are told of a step: the layer, direction and FLOPs of every call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/str.h"
#include "driver.h"

static const char spec[] = GRADC_TESTS_DIR "/bench/nets/lenet5.nn";

static Compilation *compiled(const char *batch, const char *target)
{
  Compilation *c = compilation_new();
  const char *const set[] = { batch };
  DriverOptions o = { .file = spec, .set = set, .nset = 1, .target = target_find(target),
                      .pass = { .skip = "fuse" } };
  assert_int_equal(compile_module(c, &o), 0);
  return c;
}

typedef struct { int calls; double flops; } Sum;

/* Of the calls of a layer and direction. */
static Sum sum_of(const Host *h, const char *layer, Direction d)
{
  Sum sum = { 0, 0 };
  for (const LStmt *s = h->body; s; s = s->next)
    if (s->kind == LS_CALL && s->call.direction == d && str_eq(s->call.layer, layer)) {
      sum.calls++;
      sum.flops += s->call.kernel->flops;
    }
  return sum;
}

static void check_directions(const Module *m)
{
  static const struct { const char *layer; Direction direction; bool there; } rows[] = {
    { "c1.conv", DIRECTION_FORWARD, true }, { "c1.conv", DIRECTION_BACKWARD, true },
    { "c1.conv", DIRECTION_UPDATE, false }, { "c2.maxpool", DIRECTION_FORWARD, true },
    { "c2.maxpool", DIRECTION_BACKWARD, true }, { "logits.dense1", DIRECTION_BACKWARD, true },
    { "loss.softmax_xent", DIRECTION_FORWARD, true },
    { "loss.softmax_xent", DIRECTION_BACKWARD, true },
    { "c1.weight", DIRECTION_UPDATE, true }, { "logits.dense1.weight", DIRECTION_FORWARD, false },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    bool there = sum_of(m->host[HOST_TRAIN], rows[i].layer, rows[i].direction).calls > 0;
    if (there != rows[i].there)
      fail_msg("%s, direction %d: %s", rows[i].layer, (int)rows[i].direction,
               there ? "found" : "not found");
  }
  for (const LStmt *s = m->host[HOST_INFER]->body; s; s = s->next)
    if (s->kind == LS_CALL)
      assert_int_equal(s->call.direction, DIRECTION_FORWARD);
}

/* Directions and layers survive the splitting of vectors for narrow registers. */
static void test_calls_tell_layer_and_direction(void **state)
{
  static const char *const targets[] = { "x86-64-v4", "x86-64-v3", "x86-64" };
  (void)state;
  for (int i = 0; i < 3; i++) {
    Compilation *c = compiled("batch=32", targets[i]);
    check_directions(c->module);
    compilation_free(&c);
  }
}

/* dense1 is 400 x 120 without its bias; a weight's update does not depend on the batch; copies into
 * rows compute nothing. */
static void test_flops_count_a_full_batch_once(void **state)
{
  (void)state;
  Compilation *small = compiled("batch=16", "x86-64-v4");
  Compilation *large = compiled("batch=64", "x86-64-v4");
  const Host *a = small->module->host[HOST_TRAIN], *b = large->module->host[HOST_TRAIN];
  double forward = sum_of(a, "logits.dense1", DIRECTION_FORWARD).flops;
  assert_true(forward >= 16 * 2.0 * 400 * 120 && forward <= 16 * (2.0 * 400 * 120 + 120));
  assert_true(sum_of(b, "logits.dense1", DIRECTION_FORWARD).flops == 4 * forward);
  double update = sum_of(a, "c1.weight", DIRECTION_UPDATE).flops;
  assert_true(update > 0 && sum_of(b, "c1.weight", DIRECTION_UPDATE).flops == update);
  for (uint32_t i = 0; i < small->module->kernels.n; i++)
    if (str_eq(small->module->kernels.at[i]->template_name, "rows"))
      assert_true(small->module->kernels.at[i]->flops == 0);
  compilation_free(&small);
  compilation_free(&large);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_calls_tell_layer_and_direction),
    cmocka_unit_test(test_flops_count_a_full_batch_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
