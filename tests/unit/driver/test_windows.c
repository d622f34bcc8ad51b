/* Windows and rows finished inside the kernel that makes their cells: which are, what is then
 * stored, and what others do. test_lowering and test_netfuzz show that the numbers are right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "driver.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char spec_path[64];

static Compilation *compile(const char *input, const char *body, const char *family)
{
  FILE *f = fopen(spec_path, "w");
  assert_non_null(f);
  fprintf(f,
          "net 1;\ndata d { train: raw(\"none\"); field x: f32[%s]; field y: label(5); }\n"
          "model m(x: f32[%s]) -> out: f32[5] { %s }\n"
          "train m on d { loss: softmax_xent(out, y); optimizer: sgd(lr=0.1); epochs: 1; "
          "batch: 32; }\n",
          input, input, body);
  fclose(f);
  Compilation *c = compilation_new();
  DriverOptions o = { .file = spec_path, .family = family, .target = target_find("x86-64-v4") };
  assert_int_equal(compile_module(c, &o), 0);
  return c;
}

/* What the kernel of layer c.conv says about itself; functions share kernels that are equal. */
static const char *about(const Compilation *c, HostKind host)
{
  for (const LStmt *s = c->module->host[host]->body; s; s = s->next)
    if (s->kind == LS_CALL && (!strcmp(s->call.kernel->name, "c_conv") ||
                               !strcmp(s->call.kernel->name, "eval_c_conv")))
      return s->call.kernel->about;
  fail_msg("there is no kernel of the convolution");
  return NULL;
}

/* then: what the kernel of layer c.conv does behind the convolution in training; NULL: nothing */
typedef struct { const char *what, *input, *body, *then, *then_eval; } Row;

#define TAIL " out = c -> flatten -> dense(5);"

static const Row rows[] = {
  { "maximum", "1,8,8", "c = x -> conv(6, 3) -> maxpool(2);" TAIL, "; then maxpool",
    "; then maxpool" },
  { "clamped", "1,8,8", "c = x -> conv(6, 3) -> relu -> maxpool(3);" TAIL, "; then maxpool, relu",
    "; then maxpool, relu" },
  { "mean", "1,8,8", "c = x -> conv(6, 3) -> avgpool([2, 3]);" TAIL, "; then avgpool",
    "; then avgpool" },
  { "cut off", "1,8,8", "c = x -> conv(6, 2) -> maxpool(2) -> tanh;" TAIL, "; then maxpool, tanh",
    "; then maxpool, tanh" },
  { "kept for its gradient", "1,8,8", "c = x -> conv(6, 2) -> tanh -> maxpool(2);" TAIL,
    "; then tanh", "; then tanh, maxpool" },
  { "read elsewhere", "1,8,8",
    "c = x -> conv(6, 2); d = c -> maxpool(2) -> flatten -> dense(5); "
    "e = c -> flatten -> dense(5); out = d + e;", NULL, NULL },
  { "overlapping", "1,8,8", "c = x -> conv(6, 3) -> maxpool(3, stride=2);" TAIL, NULL, NULL },
  { "apart with gaps", "1,8,8", "c = x -> conv(6, 3) -> maxpool(2, stride=3);" TAIL, NULL, NULL },
  { "padded", "1,8,8", "c = x -> conv(6, 3) -> maxpool(2, pad=1);" TAIL, NULL, NULL },
  { "of more cells than are named", "1,20,20", "c = x -> conv(2, 3) -> avgpool(9);" TAIL, NULL,
    NULL },
  { "of whole rows", "1,8,8", "c = x -> conv(6, 3) -> batchnorm -> relu;" TAIL,
    "; then bn_row_stats", "; then bn_apply, relu" },
  { "of rows of one", "1,8,3", "c = x -> conv(6, 3) -> batchnorm;" TAIL, NULL,
    "; then bn_apply" },
};

static void expect(const Row *r, const char *family, const char *got, const char *then)
{
  const char *at = strstr(got, "; then ");
  if (then ? !at || strcmp(at, then) : at != NULL)
    fail_msg("%s, %s: the kernel does '%s' instead of '%s'", r->what, family, at ? at : "",
             then ? then : "");
}

static void test_which_windows_are_fused(void **state)
{
  static const char *const families[] = { "lanes", "channels" };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
      Compilation *c = compile(rows[i].input, rows[i].body, families[f]);
      expect(&rows[i], families[f], about(c, HOST_TRAIN), rows[i].then);
      expect(&rows[i], families[f], about(c, HOST_EVAL), rows[i].then_eval);
      compilation_free(&c);
    }
}

/* ---- what is stored ---- */

static bool is_shape(const Buffer *b, int64_t channels, int64_t rows_, int64_t cols)
{
  const Type *t = b->type;
  return t && t->rank == 3 && t->dim[0] == channels && t->dim[1] == rows_ && t->dim[2] == cols;
}

/* LeNet-5: the results of its convolutions are 6x28x28 and 16x10x10. */
static void test_no_result_before_the_windows_is_stored(void **state)
{
  (void)state;
  Compilation *c = compile("1,28,28",
                           "c1 = x -> conv(6, 5, pad=2) -> relu -> maxpool(2); "
                           "c2 = c1 -> conv(16, 5) -> relu -> maxpool(2); "
                           "h = c2 -> flatten -> dense(120) -> relu -> dense(84) -> relu; "
                           "out = h -> dense(5);",
                           NULL);
  for (int h = 0; h < HOST_COUNT; h++) {
    const Host *host = c->module->host[h];
    int pooled = 0;
    for (uint32_t i = 0; host && i < host->buffers.n; i++) {
      const Buffer *b = host->buffers.at[i];
      bool whole = is_shape(b, 6, 28, 28) || is_shape(b, 16, 10, 10);
      if (whole && (h != HOST_TRAIN || !strstr(b->name, "_dx")))
        fail_msg("%s stores %s", host->name, b->name);
      pooled += is_shape(b, 6, 14, 14) || is_shape(b, 16, 5, 5);
    }
    assert_true(!host || pooled >= 2);
  }
  for (uint32_t i = 0; i < c->module->kernels.n; i++)
    assert_string_not_equal(c->module->kernels.at[i]->template_name, "pool.max");
  compilation_free(&c);
}

int main(void)
{
  snprintf(spec_path, sizeof spec_path, "/tmp/gradc-test-windows-%ld.nn", (long)getpid());
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_which_windows_are_fused),
    cmocka_unit_test(test_no_result_before_the_windows_is_stored),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(spec_path);
  return failed;
}
