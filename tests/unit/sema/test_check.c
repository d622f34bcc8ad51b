/* Wrong specs give exactly one message each, at the right place; right ones give the right shapes,
 * parameters, settings and defaults. */
#include "base/str.h"
#include "diag/diag.h"
#include "ir/attr_text.h"
#include "ops/ops.h"
#include "sema/check.h"
#include "specs.h"
#include "syntax/ast.h"
#include "syntax/parse.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
  Arena *arena;
  Diag *diag;
  Model *model;
  char first[8192];             /* the first line of every message */
  char help[128];               /* the first one */
} Result;

static void collect(void *ctx, const char *text)
{
  Result *r = ctx;
  size_t have = strlen(r->first), n = strcspn(text, "\n");
  if (have + n + 2 < sizeof r->first)
    snprintf(r->first + have, sizeof r->first - have, "%.*s\n", (int)n, text);
  const char *help = strstr(text, "help: ");
  if (help && !*r->help)
    snprintf(r->help, sizeof r->help, "%.*s", (int)strcspn(help + 6, "\n"), help + 6);
}

static void run(Result *r, const char *text, const char *const *set, int nset)
{
  memset(r, 0, sizeof *r);
  r->arena = arena_new("test");
  SourceMap *m = source_map_new(r->arena);
  uint32_t length = (uint32_t)strlen(text), base = source_add(m, "t.nn", text, length);
  r->diag = diag_new(r->arena, m, collect, r);
  Ast *file = parse(text, length, base, r->arena, r->diag);
  CheckOptions o = { .set = set, .nset = nset };
  r->model = check(file, "specs/t.nn", &o, ops_table(), r->arena, r->diag);
  diag_flush(r->diag);
}

static void done(Result *r) { arena_free(&r->arena); }

/* spec with the first occurrence of `from` replaced; fails when there is none. */
static const char *edit(Arena *a, const char *spec, const char *from, const char *to)
{
  const char *at = strstr(spec, from);
  if (!at)
    fail_msg("the spec has no '%s'", from);
  return arena_printf(a, "%.*s%s%s", (int)(at - spec), spec, to, at + strlen(from));
}

/* ---- wrong specs ---- */

/* A star in `want` stands for any text: the wording of operations is theirs. */
static bool matches(const char *want, const char *got)
{
  const char *star = strchr(want, '*');
  if (!star)
    return strcmp(want, got) == 0;
  size_t head = (size_t)(star - want), tail = strlen(star + 1), n = strlen(got);
  return n >= head + tail && strncmp(want, got, head) == 0 && strcmp(star + 1, got + n - tail) == 0;
}

typedef struct { const char *spec, *from, *to, *expect; } Wrong;

static const Wrong wrong[] = {
#include "wrong_specs.h"
};

static void test_one_mistake_one_message(void **state)
{
  int bad = 0;
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    Arena *a = arena_new("edit");
    Result r;
    run(&r, edit(a, wrong[i].spec, wrong[i].from, wrong[i].to), NULL, 0);
    char want[1024];
    snprintf(want, sizeof want, "%s\n", wrong[i].expect);
    if (!matches(want, r.first) || diag_errors(r.diag) != 1 || r.model) {
      print_error("%s -> %s\n  got:      %s\n  expected: %s\n", wrong[i].from, wrong[i].to, r.first, wrong[i].expect);
      bad++;
    }
    done(&r);
    arena_free(&a);
  }
  assert_int_equal(bad, 0);
}

/* Several mistakes, several messages, in one run; follow-ups stay silent. */
static void test_several_mistakes(void **state)
{
  Arena *a = arena_new("edit");
  Result r;
  (void)state;
  const char *text = edit(a, lenet, "conv(6, 5", "covn(6, 5");
  text = edit(a, text, "momentum=0.9", "momentun=0.9");
  text = edit(a, text, "  epochs: 3;\n", "");
  text = edit(a, text, "label(classes)", "label(klasses)");
  text = edit(a, text, "norm(5)", "norm(-5)");
  run(&r, text, NULL, 0);
  assert_string_equal(r.first,
                      "t.nn:9:24: error: there is no param or const called `klasses` [E0305]\n"
                      "t.nn:12:13: error: there is no layer called `covn` [E0301]\n"
                      "t.nn:19:27: error: `sgd` has no option `momentun` [E0302]\n"
                      "t.nn:23:14: error: the bound of `clip` must be at least 1e-30, not -5 [E0304]\n"
                      "t.nn:17:7: error: the train block does not say how many epochs to train [E0401]\n");
  assert_int_equal(diag_exit_code(r.diag), 1);
  done(&r);
  arena_free(&a);
}

/* An option that only another loss of the same predictions has. */
static void test_help_names_the_other_loss(void **state)
{
  Arena *a = arena_new("edit");
  Result r;
  (void)state;
  run(&r, edit(a, lenet, "softmax_xent(logits, y)", "softmax_xent(logits, y, ignore_index=3)"),
      NULL, 0);
  assert_string_equal(r.help, "the loss `weighted_xent` has an option `ignore`");
  done(&r);
  arena_free(&a);
}

typedef struct { const char *spec, *from, *to; int exit_code; } Exit;

static void test_exit_codes(void **state)
{
  static const Exit rows[] = {
    { lenet, "pad=2", "padd=2", EXIT_SPEC },
    { lenet, "10% of train", "500 of train", EXIT_SPEC },
    { lenet, "dense(120)", "dense(2000000000)", EXIT_LIMIT },
  };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Arena *a = arena_new("edit");
    Result r;
    run(&r, edit(a, rows[i].spec, rows[i].from, rows[i].to), NULL, 0);
    if (diag_exit_code(r.diag) != rows[i].exit_code)
      fail_msg("%s: exit %d, not %d", rows[i].to, diag_exit_code(r.diag), rows[i].exit_code);
    done(&r);
    arena_free(&a);
  }
}

/* ---- warnings ---- */

static void test_warnings(void **state)
{
  static const Wrong rows[] = {
    { lenet, "param rate", "param idle = 3;\nparam rate", "t.nn:2:7: warning: param `idle` is never used [W0302]" },
    { lenet, "  logits = ", "  idle = h -> dense(3);\n  logits = ",
      "t.nn:15:3: warning: value `idle` is never used [W0301]" },
    { lenet, " -> div(255) -> standardize(mean=0.1307, std=0.3081)", "",
      "t.nn:8:3: warning: field `x` enters the model with values from 0 to 255 [W0401]" },
    { lenet, "lr=rate", "lr=3", "t.nn:19:14: warning: sgd with lr=3 is likely to diverge [W0402]\n"
                                "t.nn:2:7: warning: param `rate` is never used [W0302]" },
    { lenet, "h -> dense(classes)", "h -> dense(classes) -> softmax",
      "t.nn:18:9: warning: `softmax_xent` of a `softmax` applies it twice [W0205]" },
    { lenet, "batch: 64", "batch: 500", "t.nn:17:7: warning: a batch of 500 samples is more than the 450 that train [W0403]" },
    { table, "model homes_net", "data other { train: line; field x: f32; }\nmodel homes_net",
      "t.nn:8:6: warning: data `other` is never used [W0303]" },
  };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Arena *a = arena_new("edit");
    Result r;
    run(&r, edit(a, rows[i].spec, rows[i].from, rows[i].to), NULL, 0);
    char want[1024];
    snprintf(want, sizeof want, "%s\n", rows[i].expect);
    assert_string_equal(r.first, want);
    assert_non_null(r.model);
    done(&r);
    arena_free(&a);
  }
}

/* ---- right specs ---- */

static int64_t parameters(const Model *m)
{
  int64_t n = 0;
  for (uint32_t i = 0; i < m->program->state.n; i++)
    if (m->program->state.at[i].role == STATE_PARAM)
      n += type_elems(&m->program->state.at[i].type);
  return n;
}

static const StateVar *variable(const Model *m, const char *name)
{
  const StateVar *v = program_find_state(m->program, name);
  if (!v)
    fail_msg("there is no variable %s", name);
  return v;
}

static const Node *layer(const Model *m, const char *path, const char *op)
{
  for (uint32_t i = 0; i < m->forward->order.n; i++) {
    const Node *n = m->forward->order.at[i];
    if (str_eq(n->op->name, op) && str_eq(n->name, path))
      return n;
  }
  fail_msg("there is no %s called %s", op, path);
  return NULL;
}

static void assert_type(Result *r, const Type *t, const char *want)
{
  assert_string_equal(type_text(r->arena, t), want);
}

static void test_lenet(void **state)
{
  Result r;
  (void)state;
  run(&r, lenet, NULL, 0);
  assert_string_equal(r.first, "");
  assert_non_null(r.model);
  const Model *m = r.model;
  assert_int_equal(parameters(m), 61706);
  assert_string_equal(m->name, "lenet");
  assert_string_equal(m->file, "t.nn");
  assert_int_equal(m->program->batch, 64);
  assert_type(&r, &variable(m, "c2.weight")->type, "f32[16,6,5,5]");
  assert_type(&r, &variable(m, "f2.bias")->type, "f32[84]");
  assert_false(variable(m, "c1.weight")->trainable);
  assert_true(variable(m, "c2.weight")->trainable);
  assert_type(&r, layer(m, "c1.maxpool", "maxpool")->type, "f32[n,6,14,14]");
  assert_type(&r, layer(m, "h.relu2", "relu")->type, "f32[n,84]");
  assert_int_equal(m->noutput, 3);
  assert_int_equal(m->nmodel_output, 1);
  assert_string_equal(m->output[0].name, "logits");
  assert_string_equal(m->output[1].name, "prob");
  assert_string_equal(m->output[2].name, "y");
  assert_int_equal(m->ninfer, 2);
  assert_int_equal(m->train->nmetric, 2);
  assert_string_equal(m->train->metric[1].name, "top3");
  assert_int_equal(m->train->metric[1].output, 0);
  assert_int_equal(m->train->metric[1].target, 2);
  assert_int_equal(m->eval[0].nmetric, 3);
  done(&r);
}

static void test_lenet_training(void **state)
{
  Result r;
  (void)state;
  run(&r, lenet, NULL, 0);
  assert_non_null(r.model);
  const Train *t = r.model->train;
  assert_string_equal(t->optimizer->name, "sgd");
  assert_string_equal(t->lr.param, "rate");
  assert_true(t->lr.value == 0.1 && t->epochs.value == 3 && t->seed.value == 1);
  assert_true(t->shuffle && !t->loss_sum);
  assert_int_equal(t->nschedule, 2);
  assert_string_equal(t->schedule[0].kind, "warmup");
  assert_true(t->schedule[0].span == 1 && t->schedule[0].in_epochs && t->schedule[1].span == 0);
  assert_int_equal(t->nstop, 2);
  assert_int_equal(t->stop[0].how, STOP_REACHED);
  assert_true(t->stop[0].threshold == 0.99 && !t->stop[0].want_low && t->stop[0].metric == 0);
  assert_int_equal(t->stop[1].how, STOP_STALLED);
  assert_true(t->stop[1].want_low && t->stop[1].patience == 4 && t->stop[1].metric == -1);
  assert_string_equal(t->best_split, "valid");
  assert_int_equal(t->best_metric, -1);
  assert_int_equal(t->clip, CLIP_NORM);
  assert_int_equal(r.model->nparam, 2);
  assert_false(r.model->param[0].reaches_shape);
  assert_true(r.model->param[1].reaches_shape);
  done(&r);
}

static void test_fields(void **state)
{
  Result r;
  (void)state;
  run(&r, lenet, NULL, 0);
  assert_non_null(r.model);
  const Data *d = r.model->data;
  assert_int_equal(d->nfield, 2);
  assert_int_equal(d->field[1].classes, 10);
  assert_type(&r, &r.model->program->fields.at[0].type, "u8[n,28,28]");
  assert_type(&r, value_type(d->field[0].value), "f32[n,1,28,28]");
  assert_int_equal(d->nsplit, 3);
  assert_int_equal(d->split[2].how, SPLIT_FRACTION);
  /* div(255) and standardize fold into one scale and offset */
  Out *o = out_new(r.arena);
  const Node *n = d->field[0].value.node;
  attrs_print(n->op->attrs, n->attrs, r.arena, o);
  char want[128];
  snprintf(want, sizeof want, "scale=%s, offset=%s", attr_real_text(r.arena, 1.0 / 255 / 0.3081),
           attr_real_text(r.arena, -0.1307 / 0.3081));
  assert_string_equal(out_text(o), want);
  done(&r);
}

static void test_table(void **state)
{
  Result r;
  (void)state;
  run(&r, table, NULL, 0);
  assert_string_equal(r.first, "");
  const Model *m = r.model;
  assert_non_null(m);
  assert_int_equal(parameters(m), 8 * 16 + 16 + 16 * 16 + 16 + 1);
  assert_int_equal(m->data->nfit, 1);
  assert_type(&r, &m->program->state.at[m->data->fit[0].mean].type, "f32[8]");
  assert_string_equal(m->program->state.at[m->data->fit[0].std].name, "x.std");
  assert_string_equal(m->data->field[0].columns, "longitude..income");
  /* shares that add up to everything: the largest takes the rest */
  assert_int_equal(m->data->split[0].how, SPLIT_ALL);
  assert_int_equal(m->data->split[1].how, SPLIT_FRACTION);
  assert_int_equal(m->program->batch, 32);
  assert_true(m->train->lr.value == 0.001);
  assert_string_equal(m->train->metric[2].kind, "loss");
  assert_int_equal(variable(m, "s.weight")->init.kind, INIT_NORMAL);
  assert_int_equal(m->ninfer, 1);
  done(&r);
}

static void test_course_cnn(void **state)
{
  static const char text[] =
    "net 1;\n"
    "model course(x: f32[1,32,32]) -> y: f32[10] {\n"
    "  c1 = x -> conv(2, 2, pad=1) -> relu -> maxpool(2);\n"
    "  c2 = c1 -> conv(4, 2, pad=1) -> relu -> maxpool(2);\n"
    "  c3 = c2 -> conv(8, 2, pad=1) -> relu -> maxpool(2);\n"
    "  return c3 -> flatten -> dense(32) -> relu -> dense(10);\n"
    "}\n";
  Result r;
  (void)state;
  run(&r, text, NULL, 0);
  assert_non_null(r.model);
  assert_int_equal(parameters(r.model), 4640);
  assert_int_equal(r.model->program->fields.n, 1);
  assert_type(&r, &variable(r.model, "y.dense1.weight")->type, "f32[32,128]");
  assert_type(&r, &variable(r.model, "y.dense2.weight")->type, "f32[10,32]");
  done(&r);
}

static void test_given_weights_in_f64(void **state)
{
  static const char text[] =
    "net 1;\n"
    "model xor(x: f32[2]) -> y: f32[1] {\n"
    "  h = x -> dense(2, weight=[[1,-1],[-1,1]], bias=[0, 0.5], train=false) -> relu;\n"
    "  y = h -> dense(1, weight=[[1,1]], bias=false);\n"
    "}\n"
    "build { real: f64; threads: 2; cpu: \"x86-64-v3\"; numerics: reproducible; }\n"
    "infer xor { output: y; }\n";
  Result r;
  (void)state;
  run(&r, text, NULL, 0);
  assert_string_equal(r.first, "");
  assert_non_null(r.model);
  const StateVar *w = variable(r.model, "h.weight"), *b = variable(r.model, "h.bias");
  assert_type(&r, &w->type, "f64[2,2]");
  assert_int_equal(w->init.kind, INIT_GIVEN);
  assert_true(w->given.value[1] == -1 && w->given.value[2] == -1 && b->given.value[1] == 0.5 && !w->trainable);
  assert_null(program_find_state(r.model->program, "y.bias"));
  assert_int_equal(r.model->build.threads, 2);
  assert_string_equal(r.model->build.cpu, "x86-64-v3");
  assert_null(r.model->train);
  assert_null(r.model->data);
  done(&r);
}

/* ---- options of every kind ---- */

typedef struct { const char *call, *path, *op, *attrs; } AttrCase;

static void test_attributes(void **state)
{
  static const AttrCase rows[] = {
    { "conv(4, 3)", "c.conv", "conv", "filters=4, kernel=[3]" },
    { "conv(4, kernel=[3, 5], stride=2)", "c.conv", "conv", "filters=4, kernel=[3, 5], stride=[2]" },
    { "conv(kernel=n, filters=n * 2)", "c.conv", "conv", "filters=6, kernel=[3]" },
    { "conv(4, 3, pad=same)", "c.conv", "conv", "filters=4, kernel=[3], pad=same" },
    { "conv(4, 3, pad=[1, 2, 0, 1], bias=false)", "c.conv", "conv",
      "filters=4, kernel=[3], pad=[1, 2, 0, 1], bias=false" },
    { "conv(4, 3, pad=[1, 2])", "c.conv", "conv", "filters=4, kernel=[3], pad=[1, 1, 2, 2]" },
    { "conv(4, 3, init=xavier_uniform(gain=2))", "c.conv", "conv", "filters=4, kernel=[3], init=xavier_uniform(2)" },
    { "conv(4, 3, init=uniform(-0.5, high=0.5))", "c.conv", "conv",
      "filters=4, kernel=[3], init=uniform(-0.5, 0.5)" },
    { "conv(1, 1, weight=[[[[0.5]]]])", "c.conv", "conv", "filters=1, kernel=[1], weight=[[[[0.5]]]]" },
    { "leaky_relu(0.25)", "c.leaky_relu", "leaky_relu", "slope=0.25" },
    { "dropout(p=10%)", "c.dropout", "dropout", "p=0.1" },
  };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Arena *a = arena_new("spec");
    Result r;
    const char *text = arena_printf(a, "net 1; param n = 3; model m(x: f32[1,8,8]) -> z: f32[1,8,8] {\n"
                                       "  c = x -> %s;\n  z = x; }", rows[i].call);
    run(&r, text, NULL, 0);
    if (!r.model)
      fail_msg("%s: %s", rows[i].call, r.first);
    const Node *n = layer(r.model, rows[i].path, rows[i].op);
    Out *o = out_new(r.arena);
    attrs_print(n->op->attrs, n->attrs, r.arena, o);
    assert_string_equal(out_text(o), rows[i].attrs);
    done(&r);
    arena_free(&a);
  }
}

/* ---- overrides ---- */

static void test_overrides(void **state)
{
  static const char *const set[] = { "classes=12", "epochs=7", "batch=8", "seed=5", "real=f64", "rate=0.25" };
  Result r;
  (void)state;
  run(&r, lenet, set, (int)ARRAY_LEN(set));
  assert_string_equal(r.first, "");
  assert_non_null(r.model);
  assert_int_equal(r.model->data->field[1].classes, 12);
  assert_int_equal(r.model->program->batch, 8);
  assert_int_equal(r.model->program->real, DT_F64);
  assert_true(r.model->train->epochs.value == 7 && r.model->train->seed.value == 5);
  assert_true(r.model->train->lr.value == 0.25);
  assert_string_equal(r.model->train->lr.param, "rate");
  assert_type(&r, value_type(r.model->output[0].value), "f64[n,12]");
  done(&r);

  run(&r, lenet, (const char *const[]){ "lr=0.5" }, 1);
  assert_non_null(r.model);
  assert_true(r.model->train->lr.value == 0.5 && !r.model->train->lr.param);
  done(&r);
}

static void test_wrong_overrides(void **state)
{
  static const struct { const char *set, *expect; } rows[] = {
    { "clases=12", "gradc: error: --set clases: the spec has no param of that name [E0310]\n" },
    { "rate=fast", "gradc: error: --set rate: `fast` is not a number [E0310]\n" },
    { "rate", "gradc: error: --set `rate` does not read name=value [E0310]\n" },
    { "epochs=-1", "gradc: error: `epochs` must be from 1 to 1000000000, not -1 [E0304]\n" },
    { "real=f16", "gradc: error: --set real: `f16` is neither f32 nor f64 [E0310]\n" },
  };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Result r;
    run(&r, lenet, &rows[i].set, 1);
    assert_string_equal(r.first, rows[i].expect);
    assert_null(r.model);
    done(&r);
  }
}

/* A param is compile-time as soon as anything but a plain setting uses it. */
static void test_params_that_reach_shapes(void **state)
{
  Arena *a = arena_new("edit");
  Result r;
  (void)state;
  run(&r, edit(a, lenet, "lr=rate", "lr=rate * 2"), NULL, 0);
  assert_non_null(r.model);
  assert_null(r.model->train->lr.param);
  assert_true(r.model->train->lr.value == 0.2);
  assert_true(r.model->param[0].reaches_shape);
  done(&r);
  arena_free(&a);
}

static void test_batch_all(void **state)
{
  Arena *a = arena_new("edit");
  Result r;
  (void)state;
  run(&r, edit(a, lenet, "batch: 64", "batch: all"), NULL, 0);
  assert_non_null(r.model);
  assert_int_equal(r.model->program->batch, 450);
  assert_int_equal(r.model->train->accumulate, 1);
  done(&r);
  run(&r, edit(a, table, "epochs: 20;", "epochs: 20; batch: all; accumulate: 2;"), NULL, 0);
  assert_non_null(r.model);
  assert_int_equal(r.model->program->batch, 256);
  assert_int_equal(r.model->train->accumulate, WHOLE_EPOCH);
  done(&r);
  arena_free(&a);
}

/* Targets adapt to the prediction's shape; labels of two classes fit one output. */
static void test_binary_labels(void **state)
{
  static const char text[] =
    "net 1;\n"
    "data d { train: moons(samples=200); field x: f32[2]; field y: label(2, names=\"left,right\"); }\n"
    "model m(x: f32[2]) -> z: f32[1] { z = x -> dense(8) -> tanh -> dense(1); }\n"
    "train m on d { loss: bce_logits(z, y); optimizer: sgd(0.1); epochs: 2; metrics: accuracy(z, y); }\n";
  Result r;
  (void)state;
  run(&r, text, NULL, 0);
  assert_string_equal(r.first, "");
  assert_non_null(r.model);
  assert_string_equal(r.model->data->field[1].class_name[1], "right");
  assert_type(&r, value_type(r.model->train->loss), "f32[n]");
  assert_null(r.model->train->best_split);
  done(&r);
}

/* Channel statistics given as lists become a normalize with constants. */
static void test_per_channel_statistics(void **state)
{
  static const char text[] =
    "net 1;\n"
    "data d { train: cifar(\"a.bin\");\n"
    "  field x: u8[3,32,32] as f32[3,32,32] -> div(255) -> standardize(mean=[.4914,.4822,.4465], std=[.2470,.2435,.2616]);\n"
    "  field y: u8 as label(10); }\n"
    "model m(x) -> z: f32[10] { z = x -> flatten -> dense(10); }\n"
    "train m on d { loss: softmax_xent(z, y); optimizer: adam; epochs: 1; }\n";
  Result r;
  (void)state;
  run(&r, text, NULL, 0);
  assert_string_equal(r.first, "");
  assert_non_null(r.model);
  const Node *n = r.model->data->field[0].value.node;
  assert_type(&r, &n->type[0], "f32[n,3,32,32]");
  assert_type(&r, value_type(n->in[2]), "f32[3]");
  done(&r);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_one_mistake_one_message),
    cmocka_unit_test(test_several_mistakes),
    cmocka_unit_test(test_help_names_the_other_loss),
    cmocka_unit_test(test_exit_codes),
    cmocka_unit_test(test_warnings),
    cmocka_unit_test(test_lenet),
    cmocka_unit_test(test_lenet_training),
    cmocka_unit_test(test_fields),
    cmocka_unit_test(test_table),
    cmocka_unit_test(test_course_cnn),
    cmocka_unit_test(test_given_weights_in_f64),
    cmocka_unit_test(test_attributes),
    cmocka_unit_test(test_overrides),
    cmocka_unit_test(test_wrong_overrides),
    cmocka_unit_test(test_params_that_reach_shapes),
    cmocka_unit_test(test_batch_all),
    cmocka_unit_test(test_binary_labels),
    cmocka_unit_test(test_per_channel_statistics),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
