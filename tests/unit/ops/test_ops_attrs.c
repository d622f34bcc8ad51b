/* Every attribute of every operation does something: one of the operation's samples means something
 * else without it. What the samples mean is held against the generated code elsewhere. */
#include "unit/ops/sample.h"

/* Numbers that a sample computes in both modes, its result types, what it writes, and the
 * parameters it owns: equal sums mean equal meaning. */
static double meaning(Case *c)
{
  double sum = 0;
  Value y[OPERANDS];
  c->b.args[ARG_STEP] = 3;      /* the first step of an optimizer forgets */
  for (uint32_t i = 0; i < c->b.program->state.n; i++) {
    const StateVar *v = &c->b.program->state.at[i];
    sum += 1e3 * (double)type_elems(&v->type);
  }
  Mode last = c->op->cls == OP_MACRO ? MODE_EVAL : MODE_TRAIN;
  for (Mode mode = MODE_TRAIN; mode <= last; mode++) {
    int n = results_of(c, mode, y);
    RefTensor ***all = ref_run_all(&c->b.ctx, c->b.graph);
    for (uint32_t i = 0; mode == MODE_TRAIN && i < c->b.graph->writes.n; i++) {
      const RefTensor *w = bench_get(all, c->b.graph->writes.at[i].value);
      for (int64_t k = 0; k < ref_elems(w); k++)
        sum += (double)(k % 89 + 2) * w->v[k];
    }
    for (int r = 0; r < n; r++) {
      const Type *t = value_type(y[r]);
      sum += 1e7 * (double)t->dtype + 1e8 * t->batched;
      for (int a = 0; a < t->rank; a++)
        sum += 1e6 * (a + 2) * (double)t->dim[a];
      for (int64_t i = 0; i < ref_elems(bench_get(all, y[r])); i++)
        sum += (double)(i % 97 + 1) * bench_get(all, y[r])->v[i];
    }
  }
  return sum;
}

/* `text` with another value of an attribute, or without it: value NULL. False: it is not there. */
static bool change_attr(const char *text, const char *name, const char *value, char *out,
                        size_t size)
{
  size_t n = strlen(name);
  for (const char *s = text; *s;) {
    int depth = 0;
    const char *end = s;
    while (*end && (depth || strncmp(end, ", ", 2))) {
      depth += strchr("[(", *end) ? 1 : strchr("])", *end) ? -1 : 0;
      end++;
    }
    const char *next = *end ? end + 2 : end;
    if (!strncmp(s, name, n) && s[n] == '=') {
      const char *tail = value || s != text ? end : next;
      size_t head = (size_t)(s - text) - (value || s == text ? 0 : 2);
      snprintf(out, size, "%.*s%s%s%s%s", (int)head, text, value ? name : "", value ? "=" : "",
               value ? value : "", tail);
      return true;
    }
    s = next;
  }
  return false;
}

/* Some sample means something else, or nothing, without its value of the attribute. */
static bool attr_matters(const OpDef *op, const AttrDef *attr)
{
  static const char *const needed[][2] = {
    { "filters", "3" }, { "kernel", "1" }, { "units", "5" }, { "shape", "[1]" }, { "field", "1" },
    { "state", "1" }, { "which", "1" }, { "value", "7" },
    { "exponent", "5" }, { "classes", "9" }, { "size", "1" }, { "groups", "1" },
    { "image", "[9, 9]" }, { "dim", "4" }, { "tokens", "3" }, { "axis", "0" },
    { "pad", "2" }, { "order", "[0]" }, { "from", "0" }, { "axes", "[0]" }, { "steps", "9" },
  };
  const char *value = NULL;
  for (size_t i = 0; i < ARRAY_LEN(needed); i++)
    value = str_eq(attr->dflt, "!") && str_eq(needed[i][0], attr->name) ? needed[i][1] : value;
  bool matters = false;
  for (const OpSample *s = op->samples; s->attrs && !matters; s++) {
    char text[256];
    OpSample changed = { text, s->shapes };
    if (!change_attr(s->attrs, attr->name, value, text, sizeof text))
      continue;
    Case before, after;
    assert_true(open_case(&before, op, s, BENCH_N));
    bool taken = open_case(&after, op, &changed, BENCH_N);
    double is = meaning(&before), other = taken ? meaning(&after) : 0;
    if (!isfinite(is) || !isfinite(other))
      fail_msg("%s{%s}(%s) is not finite", op->name, s->attrs, s->shapes);
    matters = !taken || is != other;
    close_case(&before);
    close_case(&after);
  }
  return matters;
}

/* Not seen in a sample's numbers: how parameters start and whether they train, and the rate of an
 * optimizer, an argument of the step, are proved where the language is; `batch` of bn_apply only
 * steers its gradient, which the samples of batchnorm hold; pooling windows of the language have no
 * gaps; dropout between layers is a layer of its own; carry needs an earlier batch; names of
 * indices are for readers, and only sums run over samples; what adagrad starts with and heaviside
 * at 0 are PyTorch's in test_ops_torch.c. */
static bool is_seen_elsewhere(const OpDef *op, const AttrDef *a)
{
  static const char *const rows[][2] = {
    { "bn_apply", "batch" }, { "maxpool_dx", "dilation" }, { "avgpool_dx", "dilation" },
    { "adagrad", "initial" }, { "heaviside", "at_zero" },
    { "rnn", "dropout" }, { "lstm", "dropout" }, { "gru", "dropout" }, { "avgpool_dx", "ceil" },
    { "rnn", "carry" }, { "lstm", "carry" }, { "gru", "carry" },
    { "index_sum", "names" }, { "index_max", "names" }, { "index_pick", "names" },
    { "index_max", "total" }, { "index_pick", "total" },
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    if (str_eq(op->name, rows[i][0]) && str_eq(a->name, rows[i][1]))
      return true;
  return a->kind == ATTR_init || (a->kind == ATTR_literal && *a->dflt == '\0') ||
         (str_eq(a->name, "train") && (op->flags & OP_LAYER)) ||
         (str_eq(a->name, "lr") && op->cls == OP_RULE);
}

static void test_samples_show_what_every_attribute_does(void **unused)
{
  (void)unused;
  const OpTable *t = ops_table();
  int silent = 0;
  for (int i = 0; i < t->n; i++)
    for (const AttrDef *a = t->at[i]->attrs; a && a->name; a++) {
      if (is_seen_elsewhere(t->at[i], a) || attr_matters(t->at[i], a))
        continue;
      print_message("no sample of %s shows what %s does\n", t->at[i]->name, a->name);
      silent++;
    }
  assert_int_equal(silent, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_samples_show_what_every_attribute_does),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
