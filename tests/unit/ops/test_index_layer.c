/* Which sums of index notation become layers, how many transposed axes that takes, and that the
 * layer computes the sum. Their gradients are in test_ops, generated code in test_ops_lowered. */
#include "unit/ops/sample.h"

/* layer: the operation that computes it; NULL: the plain loops do. turns: transposed values. */
typedef struct { const char *what, *layer; int turns; const char *attrs, *shapes; } Row;

static const Row rows[] = {
  { "steps", "dense", 0, "rank=2, extent=[3, 4, 5], rows=[[1, 0, 0, 0, 1, 3], [0, 0, 1, 0, 1, 5], "
    "[0, 1, 0, 0, 1, 4], [0, 0, 1, 0, 1, 5]]", "x=f32[n,3,5], y=f32[4,5]" },
  { "the weight first", "dense", 0, "rank=2, extent=[3, 4, 5], rows=[[0, 1, 0, 0, 1, 4], "
    "[0, 0, 1, 0, 1, 5], [1, 0, 0, 0, 1, 3], [0, 0, 1, 0, 1, 5]]", "x=f32[4,5], y=f32[n,3,5]" },
  { "a weight of other order", "dense", 1, "rank=2, extent=[3, 4, 5], rows=[[1, 0, 0, 0, 1, 3], "
    "[0, 0, 1, 0, 1, 5], [0, 0, 1, 0, 1, 5], [0, 1, 0, 0, 1, 4]]", "x=f32[n,3,5], y=f32[5,4]" },
  { "all axes", "dense", 0, "rank=1, extent=[4, 2, 3], rows=[[0, 1, 0, 0, 1, 2], "
    "[0, 0, 1, 0, 1, 3], [1, 0, 0, 0, 1, 4], [0, 1, 0, 0, 1, 2], [0, 0, 1, 0, 1, 3]]",
    "x=f32[n,2,3], y=f32[4,2,3]" },
  { "pixels of a kind", "conv", 0, "rank=3, extent=[4, 2, 3, 5], rows=[[0, 0, 0, 1, 0, 1, 5], "
    "[0, 1, 0, 0, 0, 1, 2], [0, 0, 1, 0, 0, 1, 3], [1, 0, 0, 0, 0, 1, 4], [0, 0, 0, 1, 0, 1, 5]]",
    "x=f32[n,5,2,3], y=f32[4,5]" },
  { "a window on a line", "conv", 0, "rank=2, extent=[3, 4, 2, 3], rows=[[0, 0, 1, 0, 0, 1, 2], "
    "[0, 1, 0, 1, 0, 1, 6], [1, 0, 0, 0, 0, 1, 3], [0, 0, 1, 0, 0, 1, 2], [0, 0, 0, 1, 0, 1, 3]]",
    "x=f32[n,2,6], y=f32[3,2,3]" },
  { "steps, distances, a border", "conv", 0, "rank=1, extent=[4, 3], rows=[[2, 3, -4, 1, 7], "
    "[0, 1, 0, 1, 3]]", "x=f32[n,7], y=f32[3]" },
  { "a window for each channel", "conv", 0, "rank=2, extent=[2, 4, 3], rows=[[1, 0, 0, 0, 1, 2], "
    "[0, 1, 1, 0, 1, 6], [1, 0, 0, 0, 1, 2], [0, 0, 1, 0, 1, 3]]", "x=f32[n,2,6], y=f32[2,3]" },
  { "groups", "conv", 0, "rank=3, extent=[2, 3, 4, 5, 2], rows=[[1, 0, 0, 0, 0, 0, 1, 2], "
    "[0, 0, 0, 1, 0, 0, 1, 5], [0, 0, 1, 0, 1, 0, 1, 5], [1, 0, 0, 0, 0, 0, 1, 2], "
    "[0, 1, 0, 0, 0, 0, 1, 3], [0, 0, 0, 1, 0, 0, 1, 5], [0, 0, 0, 0, 1, 0, 1, 2]]",
    "x=f32[n,2,5,5], y=f32[2,3,5,2]" },
  { "channels last", "conv", 3, "rank=2, extent=[4, 3, 2, 2], rows=[[1, 0, 1, 0, 0, 1, 5], "
    "[0, 0, 0, 1, 0, 1, 2], [0, 0, 1, 0, 0, 1, 2], [0, 0, 0, 1, 0, 1, 2], [0, 1, 0, 0, 0, 1, 3]]",
    "x=f32[n,5,2], y=f32[2,2,3]" },
  { "a learnt matrix and its result", NULL, 0, "rank=1, extent=[5, 3], rows=[[1, 0, 0, 1, 5], "
    "[0, 1, 0, 1, 3], [0, 1, 0, 1, 3]]", "x=f32[5,3], y=f32[n,3]" },
  { "two values of the batch", NULL, 0, "rank=2, extent=[2, 3, 4], rows=[[1, 0, 0, 0, 1, 2], "
    "[0, 0, 1, 0, 1, 4], [0, 0, 1, 0, 1, 4], [0, 1, 0, 0, 1, 3]]", "x=f32[n,2,4], y=f32[n,4,3]" },
  { "two weights", NULL, 0, "rank=2, extent=[3, 2, 4], rows=[[1, 0, 0, 0, 1, 3], "
    "[0, 0, 1, 0, 1, 4], [0, 1, 0, 0, 1, 2], [0, 0, 1, 0, 1, 4]]", "x=f32[3,4], y=f32[2,4]" },
  { "weights of each position", NULL, 0, "rank=1, extent=[4, 3], rows=[[1, 1, 0, 1, 6], "
    "[1, 0, 0, 1, 4], [0, 1, 0, 1, 3]]", "x=f32[n,6], y=f32[4,3]" },
  { "a part of the window", NULL, 0, "rank=1, extent=[4, 2], rows=[[1, 1, 0, 1, 5], "
    "[0, 1, 1, 1, 3]]", "x=f32[n,5], y=f32[3]" },
  { "a part of the image", NULL, 0, "rank=1, extent=[4, 2], rows=[[1, 1, 1, 1, 6], "
    "[0, 1, 0, 1, 2]]", "x=f32[n,6], y=f32[2]" },
  { "fewer results than windows", NULL, 0, "rank=1, extent=[3, 2], rows=[[1, 1, 0, 1, 6], "
    "[0, 1, 0, 1, 2]]", "x=f32[n,6], y=f32[2]" },
  { "a turned window", "reverse", 0, "rank=1, extent=[4, 2], rows=[[1, -1, 1, 1, 5], "
    "[0, 1, 0, 1, 2]]", "x=f32[n,5], y=f32[2]" },
  { "a window turned on one axis", "reverse", 0, "rank=2, extent=[5, 4, 2, 3], "
    "rows=[[1, 0, -2, 0, 1, 1, 5], [0, 1, 0, 1, -1, 1, 4], [0, 0, 1, 0, 0, 1, 2], "
    "[0, 0, 0, 1, 0, 1, 3]]", "x=f32[n,5,4], y=f32[2,3]" },
  { "a place that falls", NULL, 0, "rank=1, extent=[4, 2], rows=[[-1, 1, 3, 1, 5], "
    "[0, 1, 0, 1, 2]]", "x=f32[n,5], y=f32[2]" },
  { "a diagonal", NULL, 0, "rank=1, extent=[4, 3], rows=[[0, 1, 0, 1, 3], [0, 1, 0, 1, 3], "
    "[1, 0, 0, 1, 4], [0, 1, 0, 1, 3]]", "x=f32[n,3,3], y=f32[4,3]" },
  { "a condition", NULL, 0, "rank=2, extent=[3, 4, 5], rows=[[1, 0, 0, 0, 1, 3], "
    "[0, 0, 1, 0, 1, 5], [0, 1, 0, 0, 1, 4], [0, 0, 1, 0, 1, 5], [1, 0, 1, 0, 1, 6]]",
    "x=f32[n,3,5], y=f32[4,5]" },
  { "factors", NULL, 0, "rank=2, extent=[3, 4], rows=[[1, 0, 0, 1, 3], [0, 1, 0, 1, 4]]",
    "x=f32[n,3], y=f32[4]" },
  { "factors of channels", NULL, 0, "rank=2, extent=[3, 4], rows=[[1, 0, 0, 1, 3], "
    "[0, 1, 0, 1, 4], [1, 0, 0, 1, 3]]", "x=f32[n,3,4], y=f32[3]" },
};

/* The nodes behind the sum's own in the graph that bear this name. */
static int count_nodes(const Case *c, const char *name)
{
  int n = 0;
  for (uint32_t i = 0; i < c->b.graph->order.n; i++)
    n += str_eq(c->b.graph->order.at[i]->op->name, name);
  return n;
}

static void check_row(const Row *r)
{
  Case c;
  OpSample sample = { r->attrs, r->shapes };
  Value out[OPERANDS];
  if (!open_case(&c, &op_index_sum, &sample, BENCH_N))
    fail_msg("%s: is refused", r->what);
  results_of(&c, MODE_TRAIN, out);
  if ((out[0].node != c.node) != (r->layer != NULL) || (r->layer && !count_nodes(&c, r->layer)))
    fail_msg("%s: %s", r->what, r->layer ? r->layer : "plain loops");
  if (count_nodes(&c, "transpose") != r->turns)
    fail_msg("%s: %d values are transposed", r->what, count_nodes(&c, "transpose"));
  if (!type_equal(value_type(out[0]), &c.node->type[0]))
    fail_msg("%s: the layer's result has another type", r->what);
  RefTensor ***all = ref_run_all(&c.b.ctx, c.b.graph);
  const RefTensor *sum = bench_get(all, (Value){ c.node, 0 }), *y = bench_get(all, out[0]);
  for (int64_t i = 0; i < ref_elems(sum); i++)
    if (!(fabs(sum->v[i] - y->v[i]) <= 1e-12))
      fail_msg("%s: result %lld is %.17g, not %.17g", r->what, (long long)i, y->v[i], sum->v[i]);
  close_case(&c);
}

static void test_sums_become_layers(void **unused)
{
  (void)unused;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    check_row(&rows[i]);
}

int main(void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_sums_become_layers) };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
