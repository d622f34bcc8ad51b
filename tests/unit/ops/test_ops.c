/* Every operation against its own samples: the descriptor is complete for its class, samples infer, gradients
 * agree with central differences of the reference, simplifications keep values, and the scalar hook computes
 * what the reference does. */
#include "unit/ops/sample.h"

/* ---- the descriptors ---- */

static void assert_words_in(const char *formula, const char *names, const char *op)
{
  char text[128];
  snprintf(text, sizeof text, "%s", names);
  for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
    char marked[32];
    snprintf(marked, sizeof marked, "$%.*s", (int)strcspn(word, "?*"), word);
    if (!strstr(formula, marked))
      fail_msg("%s: the formula does not show %s", op, marked);
  }
}

static void test_classes_have_their_hooks(void **unused)
{
  (void)unused;
  const OpTable *t = ops_table();
  assert_true(t->n > 60);
  for (int i = 0; i < t->n; i++) {
    const OpDef *op = t->at[i];
    bool reference = op->ref || op->ref_scalar;
    bool ok = op->name && op->doc && op->formula && op->operands && op->results && op->infer && op->samples;
    ok = ok && op->samples[0].attrs && op->samples[1].attrs && (op->attrs != NULL) == (op->attrs_size > 0);
    ok = ok && (op->attrs || !op->positional) && op_find(t, op->name) == op;
    switch (op->cls) {
    case OP_SOURCE: ok = ok && op->ref && !op->grad && !*op->operands; break;
    case OP_EWISE: ok = ok && op->scalar && reference && op->flops && op_result_count(op) == 1; break;
    case OP_VIEW: ok = ok && op->grad && op_operand_count(op) == 1; break;
    case OP_NEST: ok = ok && op->ref && op->flops; break;
    case OP_MACRO: ok = ok && op->expand; break;
    case OP_RULE: ok = ok && op->expand && op->params && (op->flags & OP_OPTIMIZER); break;
    }
    if (op->flags & (OP_LAYER | OP_LOSS))
      ok = ok && (op->grad || op->expand || op->surrogate);
    if (op->flags & OP_MODAL)
      ok = ok && op->cls == OP_MACRO;
    if (!ok)
      fail_msg("descriptor of '%s' is incomplete", op->name);
    for (int k = 0; k < i; k++)
      assert_string_not_equal(t->at[k]->name, op->name);
    if (op->cls != OP_RULE && op->cls != OP_MACRO && op->cls != OP_SOURCE)
      assert_words_in(op->formula, op->operands, op->name);
  }
}

static void test_table_keeps_the_zero_flag(void **unused)
{
  (void)unused;
  const OpTable *t = ops_table();
  for (int i = 0; i < t->n; i++) {
    const OpDef *op = t->at[i];
    double zero[OPERANDS] = { 0 };
    if (!(op->flags & OP_ZERO) || !op->ref_scalar || op->attrs_size || strstr(op->name, "_dx"))
      continue;
    Bench b;
    bench_open(&b, 1);
    Type type = type_scalar(DT_F64, false);
    Value in[OPERANDS];
    for (int k = 0; k < op_operand_count(op); k++)
      in[k] = bench_value(&b, &type, zero);
    GBuild at = bench_at(&b);
    Node *n = g_node(&at, op, NULL, in, (uint32_t)op_operand_count(op));
    if (op->ref_scalar(n, zero) != 0)
      fail_msg("%s says f(0) = 0 but gives %g", op->name, op->ref_scalar(n, zero));
    bench_close(&b);
  }
}

/* ---- samples ---- */

typedef void (*EachSample)(Case *c, const char *label);

static void each_sample(EachSample f, int64_t n)
{
  const OpTable *t = ops_table();
  for (int i = 0; i < t->n; i++)
    for (const OpSample *s = t->at[i]->samples; s->attrs; s++) {
      Case c;
      char label[256];
      snprintf(label, sizeof label, "%s{%s}(%s)", t->at[i]->name, s->attrs, s->shapes);
      if (!open_case(&c, t->at[i], s, n))
        fail_msg("%s is refused", label);
      f(&c, label);
      close_case(&c);
    }
}

static void check_types(Case *c, const char *label)
{
  for (uint32_t r = 0; r < c->node->nout; r++)
    if (type_elems(&c->node->type[r]) < 1 || c->node->type[r].dtype >= DT_COUNT)
      fail_msg("%s: result %u has no elements", label, r);
  if (c->op->flops)
    assert_true(c->op->flops(c->node) >= 0);
  Value out[OPERANDS];
  for (Mode mode = MODE_TRAIN; mode <= MODE_EVAL && c->op->expand && c->op->cls == OP_MACRO; mode++) {
    results_of(c, mode, out);
    for (uint32_t r = 0; r < c->node->nout; r++)
      if (!type_equal(value_type(out[r]), &c->node->type[r]))
        fail_msg("%s: expansion changes the type of result %u", label, r);
  }
}

static void test_samples_infer(void **unused)
{
  (void)unused;
  each_sample(check_types, BENCH_N);
}

/* ---- gradients ---- */

typedef struct { Value y[OPERANDS]; double *weight[OPERANDS]; int ny; } Loss;

static double loss_of(Case *c, const Loss *l)
{
  RefTensor ***all = ref_run_all(&c->b.ctx, c->b.graph);
  double sum = 0;
  for (int r = 0; r < l->ny; r++) {
    const RefTensor *y = bench_get(all, l->y[r]);
    for (int64_t i = 0; l->weight[r] && i < ref_elems(y); i++)
      sum += l->weight[r][i] * y->v[i];
  }
  return sum;
}

static void compare_operand(Case *c, const Loss *l, const RefTensor *dx, uint32_t k, const char *label)
{
  int64_t count = bench_count(&c->b, value_type(c->in[k]));
  for (int64_t i = 0; i < count; i++) {
    double x = c->data[k][i], h = 1e-6 * fmax(1, fabs(x));
    c->data[k][i] = x + h;
    double up = loss_of(c, l);
    c->data[k][i] = x - h;
    double down = loss_of(c, l);
    c->data[k][i] = x;
    double want = (up - down) / (2 * h), got = dx ? dx->v[i] : 0;
    if (!(fabs(want - got) <= 1e-6 * fmax(1, fabs(want))))
      fail_msg("%s: d/d%s[%lld] is %.9g, differences give %.9g", label, c->name[k], (long long)i, got, want);
  }
}

/* States of an earlier batch: gradients end there. */
static bool is_cut(const Case *c, uint32_t k)
{
  return str_in_words(c->op->name, "rnn_scan lstm_scan gru_scan") &&
         str_in_words(c->name[k], "first second");
}

static void check_gradient(Case *c, const char *label, Mode mode)
{
  Loss l = { .ny = 0 };
  Value dy[OPERANDS];
  l.ny = results_of(c, mode, l.y);
  int used = 0;
  Value y[OPERANDS];
  for (int r = 0; r < l.ny; r++) {
    const Type *t = value_type(l.y[r]);
    if (!dtype_is_real(t->dtype) || (r > 0 && (c->op->flags & OP_RECORDS)))
      continue;
    int64_t count = bench_count(&c->b, t);
    l.weight[r] = ARENA_ARRAY(c->b.arena, double, count + 1);
    bench_fill(l.weight[r], count, -1.3, 1.7, (unsigned)(11 + r));
    y[used] = l.y[r];
    dy[used++] = bench_value(&c->b, t, l.weight[r]);
  }
  Tape tape = bench_backward(&c->b, y, dy, used);
  RefTensor ***all = ref_run_all(&c->b.ctx, c->b.graph);
  for (uint32_t k = 0; k < c->nin; k++) {
    if (!c->in[k].node || !dtype_is_real(value_type(c->in[k])->dtype))
      continue;
    Value d = bench_adjoint(&tape, c->in[k]);
    if (is_cut(c, k)) {
      if (d.node)
        fail_msg("%s: a gradient goes to %s", label, c->name[k]);
      continue;
    }
    if (d.node && !type_equal(value_type(d), value_type(c->in[k])))
      fail_msg("%s: the gradient towards %s has another type", label, c->name[k]);
    compare_operand(c, &l, d.node ? bench_get(all, d) : NULL, k, label);
  }
}

static bool is_differentiable(const OpDef *op)
{
  return op->cls != OP_SOURCE && op->cls != OP_RULE && (op->grad || op->cls == OP_MACRO);
}

static void check_train_gradient(Case *c, const char *label)
{
  if (is_differentiable(c->op))
    check_gradient(c, label, MODE_TRAIN);
}

static void check_eval_gradient(Case *c, const char *label)
{
  if (is_differentiable(c->op) && c->op->cls == OP_MACRO)
    check_gradient(c, label, MODE_EVAL);
}

static void test_gradients_agree_with_differences(void **unused)
{
  (void)unused;
  each_sample(check_train_gradient, BENCH_N);
  each_sample(check_eval_gradient, BENCH_N);
}

/* ---- random index maps ---- */

static unsigned draw(unsigned *seed, unsigned n)
{
  *seed = *seed * 1664525u + 1013904223u;
  return (*seed >> 16) % n;
}

/* A row of the map, "[2, -1, 0, 3, 1, 5], ": its place lies partly outside now and then. */
static int random_row(unsigned *seed, const int *extent, int n, char *out, size_t size)
{
  int low = 0, high = 0, c[4];
  for (int t = 0; t < n; t++) {
    c[t] = (int)draw(seed, 4) - 1;
    low += c[t] < 0 ? c[t] * (extent[t] - 1) : 0;
    high += c[t] > 0 ? c[t] * (extent[t] - 1) : 0;
  }
  int divisor = 1 + (draw(seed, 5) == 0), offset = (int)draw(seed, 3) - 1 - low;
  int room = (high + offset) / divisor + 1 - (int)draw(seed, 2), used = 0;
  used += snprintf(out, size, "[");
  for (int t = 0; t < n; t++)
    used += snprintf(out + used, size - (size_t)used, "%d, ", c[t]);
  room = room < 1 ? 1 : room;
  snprintf(out + used, size - (size_t)used, "%d, %d, %d], ", offset, divisor, room);
  return room;
}

static void random_map(unsigned *seed, bool largest, char *attrs, char *shapes, size_t size)
{
  static const char *const names[] = { "x", "y", "z" };
  int n = 1 + (int)draw(seed, 4), rank = (int)draw(seed, (unsigned)(n < 3 ? n + 1 : 4)), extent[4];
  int factors = largest ? 1 : 1 + (int)draw(seed, 3), rows = 0;
  bool batched = false;
  char row[80], map[1024] = "";
  shapes[0] = 0;
  snprintf(attrs, size, "rank=%d, extent=[", rank);
  for (int t = 0; t < n; t++) {
    extent[t] = 1 + (int)draw(seed, 4);
    snprintf(attrs + strlen(attrs), size - strlen(attrs), "%s%d", t ? ", " : "", extent[t]);
  }
  for (int k = 0; k < factors; k++) {
    int axes = (int)draw(seed, 4);
    bool each = draw(seed, 2) || k == factors - 1;
    const char *between = "[";
    batched = batched || each;
    snprintf(shapes + strlen(shapes), size - strlen(shapes), "%s%s=f32%s", k ? ", " : "", names[k],
             each ? "[n" : "");
    between = each ? "," : "[";
    for (int i = 0; i < axes; i++, rows++, between = ",") {
      int dim = random_row(seed, extent, n, row, sizeof row);
      snprintf(map + strlen(map), sizeof map - strlen(map), "%s", row);
      snprintf(shapes + strlen(shapes), size - strlen(shapes), "%s%d", between, dim);
    }
    snprintf(shapes + strlen(shapes), size - strlen(shapes), each || axes ? "]" : "[]");
  }
  for (unsigned i = draw(seed, 2); i-- > 0; rows++) {
    random_row(seed, extent, n, row, sizeof row);
    snprintf(map + strlen(map), sizeof map - strlen(map), "%s", row);
  }
  if (rows)
    snprintf(attrs + strlen(attrs), size - strlen(attrs), "], rows=[%.*s]%s",
             (int)strlen(map) - 2, map, batched && !largest && draw(seed, 3) == 0 ? ", total=true"
                                                                                  : "");
  else
    snprintf(attrs + strlen(attrs), size - strlen(attrs), "]");
}

static void test_random_index_maps_have_right_gradients(void **unused)
{
  (void)unused;
  unsigned seed = 1;
  for (int i = 0; i < 200; i++) {
    char attrs[2048], shapes[2048], label[4200];
    const OpDef *op = op_find(ops_table(), i % 4 == 3 ? "index_max" : "index_sum");
    random_map(&seed, i % 4 == 3, attrs, shapes, sizeof shapes);
    Case c;
    OpSample s = { attrs, shapes };
    snprintf(label, sizeof label, "%s{%s}(%s)", op->name, attrs, shapes);
    if (!open_case(&c, op, &s, 3))
      fail_msg("%s is refused", label);
    check_gradient(&c, label, MODE_TRAIN);
    close_case(&c);
  }
}

/* relu(x) + relu'(..)-style conventions at kinks. */
typedef struct { const char *op; double x, y, dx; } Kink;

static void test_kinks_follow_the_conventions(void **unused)
{
  (void)unused;
  static const Kink rows[] = {
    { "relu", -1, 0, 0 }, { "relu", 0, 0, 0 }, { "relu", 1, 1, 1 }, { "abs", 0, 0, 0 }, { "abs", -2, 2, -1 },
    { "leaky_relu", 0, 0, 0.01 }, { "leaky_relu", -1, -0.01, 0.01 }, { "sigmoid", 1e4, 1, 0 },
    { "sigmoid", -1e4, 0, 0 }, { "softplus", 1e4, 1e4, 1 }, { "softplus", -1e4, 0, 0 }, { "tanh", 50, 1, 0 },
    { "elu", 0, 0, 1 }, { "hardtanh", 1, 1, 0 }, { "hardtanh", -1, -1, 0 }, { "selu", -1e4, -1.7580993408473766, 0 },
    { "gelu", 50, 50, 1 }, { "silu", -800, 0, 0 },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Bench b;
    bench_open(&b, 1);
    Type t = type_make(DT_F64, true, 1, (int64_t[]){ 1 });
    double x = rows[i].x, one = 1;
    Value v = bench_value(&b, &t, &x), y = bench_call(&b, rows[i].op, "", &v, 1), dy = bench_value(&b, &t, &one);
    Tape tape = bench_backward(&b, &y, &dy, 1);
    RefTensor ***all = ref_run_all(&b.ctx, b.graph);
    double got = bench_get(all, y)->v[0], slope = bench_get(all, bench_adjoint(&tape, v))->v[0];
    if (!(fabs(got - rows[i].y) <= 1e-12 && fabs(slope - rows[i].dx) <= 1e-12))
      fail_msg("%s(%g) = %g with gradient %g", rows[i].op, rows[i].x, got, slope);
    bench_close(&b);
  }
}

static void test_same_operand_twice_adds_both_gradients(void **unused)
{
  (void)unused;
  Bench b;
  bench_open(&b, 1);
  Type t = type_scalar(DT_F64, false);
  double x = 3, one = 1;
  Value v = bench_value(&b, &t, &x);
  Value y = bench_call(&b, "mul", "", (Value[]){ v, v }, 2), dy = bench_value(&b, &t, &one);
  Tape tape = bench_backward(&b, &y, &dy, 1);
  RefTensor ***all = ref_run_all(&b.ctx, b.graph);
  assert_float_equal(bench_get(all, bench_adjoint(&tape, v))->v[0], 6, 1e-12);
  bench_close(&b);
}

/* ---- simplifications ---- */

static void check_simplify(Case *c, const char *label)
{
  if (!c->op->simplify)
    return;
  Value v = c->op->simplify(c->b.graph, c->node);
  if (!v.node || !type_equal(value_type(v), &c->node->type[0]))
    fail_msg("%s: simplify changes the type", label);
}

static void test_constructors_apply_trivial_algebra(void **unused)
{
  (void)unused;
  Bench b;
  bench_open(&b, 2);
  GBuild at = bench_at(&b);
  Type t = type_make(DT_F64, true, 1, (int64_t[]){ 2 });
  double x[] = { 1, 2, 3, 4 };
  Value v = bench_value(&b, &t, x), zero = g_const(&at, 0), one = g_const(&at, 1);
  assert_ptr_equal(g_add(&at, v, zero).node, v.node);
  assert_ptr_equal(g_add(&at, zero, v).node, v.node);
  assert_ptr_equal(g_sub(&at, v, zero).node, v.node);
  assert_ptr_equal(g_mul(&at, one, v).node, v.node);
  assert_ptr_equal(g_div(&at, v, one).node, v.node);
  assert_ptr_equal(g_neg(&at, g_neg(&at, v)).node, v.node);
  assert_ptr_equal(g_affine(&at, v, 1, 0).node, v.node);
  assert_ptr_equal(g_spread(&at, v, &t).node, v.node);
  assert_ptr_not_equal(g_sub(&at, zero, v).node, v.node);
  Value twice = bench_call(&b, "relu", "", &v, 1), again = bench_call(&b, "relu", "", &twice, 1);
  assert_ptr_equal(op_relu.simplify(b.graph, again.node).node, twice.node);
  Value sum = g_op(&at, &op_add, NULL, (Value[]){ v, zero }, 2);
  assert_ptr_equal(op_add.simplify(b.graph, sum.node).node, v.node);
  each_sample(check_simplify, BENCH_N);
  bench_close(&b);
}

/* ---- random numbers ---- */

static void test_dropout_mask_is_keyed_by_sample(void **unused)
{
  (void)unused;
  Bench b;
  bench_open(&b, 40);
  Type t = type_make(DT_F64, true, 1, (int64_t[]){ 50 });
  double *x = ARENA_ARRAY(b.arena, double, 2000);
  for (int i = 0; i < 2000; i++)
    x[i] = 1;
  Value v = bench_value(&b, &t, x), y = bench_call(&b, "dropout_mask", "p=0.3, key=9", &v, 1);
  Value other = bench_call(&b, "dropout_mask", "p=0.3, key=10", &v, 1);
  RefTensor ***all = ref_run_all(&b.ctx, b.graph);
  const double *first = bench_get(all, y)->v, *second = bench_get(all, other)->v;
  int kept = 0, same = 0;
  for (int i = 0; i < 2000; i++) {
    assert_true(first[i] == 0 || fabs(first[i] - 1 / 0.7) < 1e-15);
    kept += first[i] != 0;
    same += (first[i] != 0) == (second[i] != 0);
  }
  assert_in_range(kept, 1330, 1470);    /* 1400 +- 3.4 sigma */
  assert_in_range(same, 1060, 1260);    /* 0.58 * 2000 */
  uint32_t moved = b.sample[0];         /* the same row elsewhere in the batch keeps its mask */
  b.sample[0] = b.sample[5];
  b.sample[5] = moved;
  RefTensor ***again = ref_run_all(&b.ctx, b.graph);
  for (int i = 0; i < 50; i++)
    assert_true(bench_get(again, y)->v[5 * 50 + i] == first[i]);
  bench_close(&b);
}

/* ---- refusals ---- */

typedef struct { const char *op, *attrs, *shapes; } Refused;

static void test_wrong_operands_and_options_are_refused(void **unused)
{
  (void)unused;
  static const Refused rows[] = {
    { "add", "", "x=f32[n,3], y=f32[n,4]" }, { "add", "", "x=u8[n,3], y=f32[n,3]" },
    { "dense", "units=3", "x=f32[n,2,3,3], w=f32[3,18]" }, { "dense", "units=3", "x=f32[n,4], w=f32[3,5]" },
    { "dense", "units=0", "x=f32[n,4], w=f32[1,4]" }, { "dense", "units=3", "x=f32[n,4]" },
    { "dense", "units=3", "x=f32[n,4], w=f32[3,4], b=f32[4]" },
    { "conv", "filters=2, kernel=5", "x=f32[n,1,4,9], w=f32[2,1,5,5]" },
    { "conv", "filters=2, kernel=3, groups=2", "x=f32[n,3,4,4], w=f32[2,1,3,3]" },
    { "conv", "filters=2, kernel=3, stride=0", "x=f32[n,1,4,4], w=f32[2,1,3,3]" },
    { "conv", "filters=2, kernel=3", "x=f32[n,16], w=f32[2,1,3,3]" },
    { "conv", "filters=2, kernel=3", "x=u8[n,1,4,4], w=f32[2,1,3,3]" },
    { "maxpool", "kernel=4", "x=f32[n,1,3,3]" }, { "maxpool", "kernel=16", "x=f32[n,1,30,30]" },
    { "maxpool", "kernel=2, pad=2", "x=f32[n,1,4,4]" }, { "avgpool", "kernel=0", "x=f32[n,1,4,4]" },
    { "reshape", "shape=[4, 2]", "x=f32[n,3,3]" }, { "softmax", "", "x=f32[n,2,3,3]" },
    { "softmax_xent", "", "x=f32[n,3], y=f32[n,4]" }, { "softmax_xent", "", "x=f32[n,3], y=u8[n,3]" },
    { "softmax_xent", "smoothing=1", "x=f32[n,3], y=u8[n]" }, { "mse", "", "x=f32[n,3], y=f32[n]" },
    { "mse", "", "x=f32[n,3], y=u8[n,3]" }, { "huber", "delta=0", "x=f32[n,3], y=f32[n,3]" },
    { "dropout", "p=1", "x=f32[n,3]" }, { "dropout", "p=-0.1", "x=f32[n,3]" },
    { "sgd", "nesterov=true", "w=f32[3], g=f32[3]" }, { "sgd", "momentum=1", "w=f32[3], g=f32[3]" },
    { "sgd", "momentum=0.9, nesterov=true, dampening=0.5", "w=f32[3], g=f32[3]" },
    { "adam", "beta1=1", "w=f32[3], g=f32[3]" }, { "adam", "", "w=f32[3], g=f32[4]" },
    { "batch_sum", "", "x=f32[3]" }, { "sumsq", "", "x=f32[n,3]" }, { "spread", "", "x=f32[n,3]" },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Bench b;
    bench_open(&b, 2);
    const OpDef *op = op_find(ops_table(), rows[i].op);
    Type types[OPERANDS], out[OPERANDS] = { { 0 } };
    char names[OPERANDS][24];
    int count = bench_shapes(rows[i].shapes, names, types);
    assert_true(count > 0);
    void *attrs = op->attrs_size ? arena_alloc(b.arena, op->attrs_size) : NULL;
    if (op->attrs)
      assert_true(bench_attrs(b.arena, op, rows[i].attrs, attrs));
    Node *n = arena_alloc(b.arena, sizeof *n + (size_t)count * sizeof n->in[0]);
    *n = (Node){ .nin = (uint32_t)count, .nout = 1, .op = op, .attrs = attrs };
    Infer c = { .arena = b.arena, .real = DT_F64, .in = types, .nin = (uint32_t)count, .program = b.program };
    if (op->infer(&c, n, out))
      fail_msg("%s{%s}(%s) was accepted", rows[i].op, rows[i].attrs, rows[i].shapes);
    bench_close(&b);
  }
}

/* ---- messages ---- */

typedef struct { const char *op, *attrs, *shapes, *parts[4]; } Message;

static void collect(void *ctx, const char *text)
{
  char *all = ctx;
  snprintf(all + strlen(all), 2048 - strlen(all), "%s", text);
}

static void test_messages_name_both_shapes_and_a_fix(void **unused)
{
  (void)unused;
  static const Message rows[] = {
    { "dense", "units=3", "x=f32[n,2,3,3], w=f32[3,18]", { "E0202", "[2, 3, 3]", "x -> flatten -> dense(3)" } },
    { "conv", "filters=2, kernel=5", "x=f32[n,1,4,9], w=f32[2,1,5,5]",
      { "E0203", "5x5", "[1, 4, 9]", "height: (4 + 2*0 - 5)/1 + 1 = 0, but at least 1 is needed" } },
    { "conv", "filters=2, kernel=3, groups=2", "x=f32[n,3,4,4], w=f32[2,1,3,3]", { "E0205", "3 input channels" } },
    { "maxpool", "kernel=2", "x=f32[n,16,7,8]",
      { "W0203", "drops the last row of its input [16, 7, 8]", "(7 + 2*0 - 2)/2 + 1 = 3.5, rounded down to 3",
        "pad=[0, 1, 0, 0]" } },
    { "avgpool", "kernel=3, stride=2", "x=f32[n,1,14,14]", { "W0203", "row and column", "pad=[0, 1, 0, 1]" } },
    { "mse", "", "x=f32[n,3], y=f32[n,4]", { "E0209", "[3]", "[4]" } },
    { "softmax_xent", "", "x=f32[n,3], y=u8[n,3]", { "E0209", "label(3)" } },
    { "reshape", "shape=[4, 2]", "x=f32[n,3,3]", { "E0206", "holds 9", "holds 8" } },
    { "relu", "", "x=u8[n,3]", { "E0207", "u8 integers", "as f64[..]" } },
    { "dropout", "p=1", "x=f32[n,3]", { "E0304", "below 1, not 1" } },
    { "maxpool", "kernel=2, stride=3", "x=f32[n,1,6,6]", { "" } },      /* a gap is no loss: silent */
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Bench b;
    bench_open(&b, 2);
    char all[2048] = "", names[OPERANDS][24];
    SourceMap *m = source_map_new(b.arena);
    Diag *d = diag_new(b.arena, m, collect, all);
    const OpDef *op = op_find(ops_table(), rows[i].op);
    Type types[OPERANDS], out[OPERANDS] = { { 0 } };
    int count = bench_shapes(rows[i].shapes, names, types);
    void *attrs = op->attrs_size ? arena_alloc(b.arena, op->attrs_size) : NULL;
    if (op->attrs)
      assert_true(bench_attrs(b.arena, op, rows[i].attrs, attrs));
    Node *n = arena_alloc(b.arena, sizeof *n + (size_t)count * sizeof n->in[0]);
    *n = (Node){ .nin = (uint32_t)count, .nout = 1, .op = op, .attrs = attrs };
    Infer c = { .arena = b.arena, .diag = d, .real = DT_F64, .in = types, .nin = (uint32_t)count };
    op->infer(&c, n, out);
    diag_flush(d);
    if (!*rows[i].parts[0])
      assert_string_equal(all, "");
    for (int k = 0; k < 4 && rows[i].parts[k]; k++)
      if (!strstr(all, rows[i].parts[k]))
        fail_msg("%s{%s}: the message does not say '%s':\n%s", rows[i].op, rows[i].attrs, rows[i].parts[k], all);
    bench_close(&b);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_classes_have_their_hooks),
    cmocka_unit_test(test_table_keeps_the_zero_flag),
    cmocka_unit_test(test_samples_infer),
    cmocka_unit_test(test_gradients_agree_with_differences),
    cmocka_unit_test(test_random_index_maps_have_right_gradients),
    cmocka_unit_test(test_kinks_follow_the_conventions),
    cmocka_unit_test(test_same_operand_twice_adds_both_gradients),
    cmocka_unit_test(test_constructors_apply_trivial_algebra),
    cmocka_unit_test(test_dropout_mask_is_keyed_by_sample),
    cmocka_unit_test(test_wrong_operands_and_options_are_refused),
    cmocka_unit_test(test_messages_name_both_shapes_and_a_fix),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
