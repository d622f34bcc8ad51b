/* The nets of nets/NAME.nn made of oneDNN's primitives, timed as torch_peer.py times itself.
 *
 * usage: onednn_peer NET BATCH THREADS SECONDS START     one JSON object on standard output
 *
 * START is what `torch_peer.py --start NET BATCH START` wrote: parameters, samples, labels. Each
 * primitive chooses its layouts; values stay in them, weights in those of the forward pass, and
 * ReLU is fused behind convolutions and matrix products, as oneDNN's documentation advises. */
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>
#include <omp.h>
#include <sys/resource.h>
#include <oneapi/dnnl/dnnl.hpp>

using namespace dnnl;
using Dims = memory::dims;
using tag = memory::format_tag;
static const auto f32 = memory::data_type::f32;
static const float RATE = 0.01f, MOMENTUM = 0.9f;

static engine cpu(engine::kind::cpu, 0);
static stream queue(cpu);

static FILE *start_file;

static void read_floats(float *to, size_t n)
{
  if (fread(to, sizeof(float), n, start_file) != n) {
    fprintf(stderr, "onednn_peer: the start file ends early\n");
    exit(2);
  }
}

static memory::desc plain(const Dims &dims)
{
  static const tag tags[] = { tag::undef, tag::a, tag::ab, tag::abc, tag::abcd, tag::abcde };
  return memory::desc(dims, f32, tags[dims.size()]);
}

static memory::desc any(const Dims &dims) { return memory::desc(dims, f32, tag::any); }

typedef std::vector<std::function<void()>> Steps;

static void run(Steps &steps)
{
  for (auto &s : steps)
    s();
  queue.wait();
}

/* A value of the net, in the layout of whoever makes it, and its gradient. */
struct Value {
  memory data, diff;
  Dims dims;
  bool has_diff = false;        /* a user's gradient is there already: the next one is added */
  bool wants_diff = true;
};

struct Parameter { memory data, diff, slot; };

struct Net {
  Steps forward, backward, update, infer;
  std::vector<std::function<void()>> make_backward;
  std::vector<std::unique_ptr<Value>> values;
  std::vector<std::unique_ptr<Parameter>> parameters;
  std::vector<memory> kept;
};

static void call(Steps &steps, const primitive &p, const std::unordered_map<int, memory> &args)
{
  steps.push_back([=] { p.execute(queue, args); });
}

/* In the forward pass of training and in inference. */
static void call_forward(Net &net, const primitive &p, const std::unordered_map<int, memory> &args)
{
  call(net.forward, p, args);
  call(net.infer, p, args);
}

/* m in the layout of want; a copy is made in each step where they differ. */
static memory in_layout(Steps &steps, memory m, const memory::desc &want)
{
  if (m.get_desc() == want)
    return m;
  memory copy(want, cpu);
  call(steps, reorder(m, copy), { { DNNL_ARG_FROM, m }, { DNNL_ARG_TO, copy } });
  return copy;
}

static memory in_layout_forward(Net &net, memory m, const memory::desc &want)
{
  size_t before = net.forward.size();
  memory there = in_layout(net.forward, m, want);
  net.infer.insert(net.infer.end(), net.forward.begin() + before, net.forward.end());
  return there;
}

/* Where a gradient of the layout want goes: the value's diff, or beside it to be added. */
static void take_diff(Net &net, Value *v, memory made)
{
  if (!v->has_diff) {
    v->diff = made;
    v->has_diff = true;
    return;
  }
  memory other = in_layout(net.backward, made, v->diff.get_desc());
  sum::primitive_desc pd({ 1.f, 1.f }, { v->diff.get_desc(), other.get_desc() }, cpu);
  memory both(pd.dst_desc(), cpu);
  call(net.backward, sum(pd), { { DNNL_ARG_MULTIPLE_SRC, v->diff },
       { DNNL_ARG_MULTIPLE_SRC + 1, other }, { DNNL_ARG_DST, both } });
  v->diff = both;
}

static Value *value(Net &net, memory data, const Dims &dims)
{
  net.values.emplace_back(new Value);
  net.values.back()->data = data;
  net.values.back()->dims = dims;
  return net.values.back().get();
}

/* Reads a parameter's start values (given: in the file) into the layout that its user wants. */
static Parameter *parameter(Net &net, const memory::desc &own, const memory::desc &want,
  bool given = true)
{
  net.parameters.emplace_back(new Parameter);
  Parameter *p = net.parameters.back().get();
  memory row(own, cpu);
  float *at = (float *)row.get_data_handle();
  size_t n = own.get_size() / sizeof(float);
  std::fill(at, at + n, 0.f);
  if (given)
    read_floats(at, n);
  p->data = memory(want, cpu);
  p->diff = memory(want, cpu);
  p->slot = memory(want, cpu);
  memset(p->slot.get_data_handle(), 0, want.get_size());
  memset(p->data.get_data_handle(), 0, want.get_size());
  reorder(row, p->data).execute(queue, row, p->data);
  queue.wait();
  net.update.push_back([p] {
    float *w = (float *)p->data.get_data_handle(), *v = (float *)p->slot.get_data_handle();
    const float *g = (const float *)p->diff.get_data_handle();
    int64_t count = (int64_t)(p->data.get_desc().get_size() / sizeof(float));
#pragma omp parallel for simd if (count > 20000)
    for (int64_t i = 0; i < count; i++) {
      v[i] = MOMENTUM * v[i] + g[i];
      w[i] -= RATE * v[i];
    }
  });
  return p;
}

/* dy before the ReLU that was fused behind y. */
static memory through_relu(Net &net, Value *y)
{
  memory::desc layout = y->data.get_desc();
  memory dy = in_layout(net.backward, y->diff, layout);
  eltwise_forward::primitive_desc f({ prop_kind::forward_training,
    algorithm::eltwise_relu_use_dst_for_bwd, layout, 0.f }, cpu);
  eltwise_backward::primitive_desc b({ algorithm::eltwise_relu_use_dst_for_bwd, layout, layout,
    0.f }, cpu, f);
  memory dx(layout, cpu);
  call(net.backward, eltwise_backward(b), { { DNNL_ARG_DST, y->data }, { DNNL_ARG_DIFF_DST, dy },
       { DNNL_ARG_DIFF_SRC, dx } });
  return dx;
}

static primitive_attr fused_relu(bool wanted)
{
  primitive_attr attr;
  post_ops after;
  if (wanted)
    after.append_eltwise(1.f, algorithm::eltwise_relu, 0.f, 0.f);
  attr.set_post_ops(after);
  return attr;
}

static Value *conv(Net &net, Value *x, int filters, int kernel, int pad, int stride, bool bias,
  bool relu)
{
  Dims wd = { filters, x->dims[1], kernel, kernel }, bd = { filters };
  Dims s = { stride, stride }, p = { pad, pad };
  Dims yd = { x->dims[0], filters, (x->dims[2] + 2 * pad - kernel) / stride + 1,
    (x->dims[3] + 2 * pad - kernel) / stride + 1 };
  auto how = algorithm::convolution_direct;
  convolution_forward::desc fd = bias
    ? convolution_forward::desc(prop_kind::forward_training, how, any(x->dims), any(wd), plain(bd),
        any(yd), s, p, p)
    : convolution_forward::desc(prop_kind::forward_training, how, any(x->dims), any(wd), any(yd), s,
        p, p);
  convolution_forward::primitive_desc pd(fd, fused_relu(relu), cpu);
  Parameter *w = parameter(net, plain(wd), pd.weights_desc());
  Parameter *b = bias ? parameter(net, plain(bd), plain(bd)) : nullptr;
  memory src = in_layout_forward(net, x->data, pd.src_desc());
  Value *y = value(net, memory(pd.dst_desc(), cpu), yd);
  std::unordered_map<int, memory> args = { { DNNL_ARG_SRC, src }, { DNNL_ARG_WEIGHTS, w->data },
    { DNNL_ARG_DST, y->data } };
  if (bias)
    args[DNNL_ARG_BIAS] = b->data;
  call_forward(net, convolution_forward(pd), args);
  net.make_backward.push_back([=, &net] {
    memory dy = relu ? through_relu(net, y) : y->diff;
    convolution_backward_weights::desc wb = bias
      ? convolution_backward_weights::desc(how, any(x->dims), any(wd), plain(bd), any(yd), s, p, p)
      : convolution_backward_weights::desc(how, any(x->dims), any(wd), any(yd), s, p, p);
    convolution_backward_weights::primitive_desc wpd(wb, cpu, pd);
    memory dy_w = in_layout(net.backward, dy, wpd.diff_dst_desc());
    memory src_w = in_layout(net.backward, src, wpd.src_desc());
    bool same = wpd.diff_weights_desc() == w->diff.get_desc();
    memory dw = same ? w->diff : memory(wpd.diff_weights_desc(), cpu);
    std::unordered_map<int, memory> wargs = { { DNNL_ARG_SRC, src_w }, { DNNL_ARG_DIFF_DST, dy_w },
      { DNNL_ARG_DIFF_WEIGHTS, dw } };
    if (bias)
      wargs[DNNL_ARG_DIFF_BIAS] = b->diff;
    call(net.backward, convolution_backward_weights(wpd), wargs);
    if (!same)
      call(net.backward, reorder(dw, w->diff), { { DNNL_ARG_FROM, dw }, { DNNL_ARG_TO, w->diff } });
    if (!x->wants_diff)
      return;
    convolution_backward_data::primitive_desc dpd({ how, any(x->dims), any(wd), any(yd), s, p, p },
      cpu, pd);
    memory dy_d = in_layout(net.backward, dy, dpd.diff_dst_desc());
    memory w_d = in_layout(net.backward, w->data, dpd.weights_desc());
    memory dx(dpd.diff_src_desc(), cpu);
    call(net.backward, convolution_backward_data(dpd), { { DNNL_ARG_DIFF_DST, dy_d },
         { DNNL_ARG_WEIGHTS, w_d }, { DNNL_ARG_DIFF_SRC, dx } });
    take_diff(net, x, dx);
  });
  return y;
}

static Value *dense(Net &net, Value *x, int units, bool relu)
{
  Dims wd = x->dims, bd = { units }, yd = { x->dims[0], units };
  wd[0] = units;
  inner_product_forward::primitive_desc pd({ prop_kind::forward_training, any(x->dims), any(wd),
    plain(bd), any(yd) }, fused_relu(relu), cpu);
  Parameter *w = parameter(net, plain(wd), pd.weights_desc());
  Parameter *b = parameter(net, plain(bd), plain(bd));
  memory src = in_layout_forward(net, x->data, pd.src_desc());
  Value *y = value(net, memory(pd.dst_desc(), cpu), yd);
  call_forward(net, inner_product_forward(pd), { { DNNL_ARG_SRC, src },
       { DNNL_ARG_WEIGHTS, w->data }, { DNNL_ARG_BIAS, b->data }, { DNNL_ARG_DST, y->data } });
  net.make_backward.push_back([=, &net] {
    memory dy = relu ? through_relu(net, y) : y->diff;
    inner_product_backward_weights::primitive_desc wpd({ any(x->dims), any(wd), plain(bd),
      any(yd) }, cpu, pd);
    memory dy_w = in_layout(net.backward, dy, wpd.diff_dst_desc());
    memory src_w = in_layout(net.backward, src, wpd.src_desc());
    bool same = wpd.diff_weights_desc() == w->diff.get_desc();
    memory dw = same ? w->diff : memory(wpd.diff_weights_desc(), cpu);
    call(net.backward, inner_product_backward_weights(wpd), { { DNNL_ARG_SRC, src_w },
         { DNNL_ARG_DIFF_DST, dy_w }, { DNNL_ARG_DIFF_WEIGHTS, dw },
         { DNNL_ARG_DIFF_BIAS, b->diff } });
    if (!same)
      call(net.backward, reorder(dw, w->diff), { { DNNL_ARG_FROM, dw }, { DNNL_ARG_TO, w->diff } });
    if (!x->wants_diff)
      return;
    inner_product_backward_data::primitive_desc dpd({ any(x->dims), any(wd), any(yd) }, cpu, pd);
    memory dy_d = in_layout(net.backward, dy, dpd.diff_dst_desc());
    memory w_d = in_layout(net.backward, w->data, dpd.weights_desc());
    memory dx(dpd.diff_src_desc(), cpu);
    call(net.backward, inner_product_backward_data(dpd), { { DNNL_ARG_DIFF_DST, dy_d },
         { DNNL_ARG_WEIGHTS, w_d }, { DNNL_ARG_DIFF_SRC, dx } });
    take_diff(net, x, dx);
  });
  return y;
}

static Value *pool(Net &net, Value *x, int kernel, bool average)
{
  auto how = average ? algorithm::pooling_avg_exclude_padding : algorithm::pooling_max;
  Dims k = { kernel, kernel }, none = { 0, 0 };
  Dims yd = { x->dims[0], x->dims[1], x->dims[2] / kernel, x->dims[3] / kernel };
  memory::desc layout = x->data.get_desc();
  pooling_forward::primitive_desc pd({ prop_kind::forward_training, how, layout, any(yd), k, k,
    none, none }, cpu);
  Value *y = value(net, memory(pd.dst_desc(), cpu), yd);
  memory where = average ? memory() : memory(pd.workspace_desc(), cpu);
  std::unordered_map<int, memory> args = { { DNNL_ARG_SRC, x->data }, { DNNL_ARG_DST, y->data } };
  if (!average)
    args[DNNL_ARG_WORKSPACE] = where;
  call_forward(net, pooling_forward(pd), args);
  net.make_backward.push_back([=, &net] {
    pooling_backward::primitive_desc bpd({ how, layout, y->data.get_desc(), k, k, none, none }, cpu,
      pd);
    memory dy = in_layout(net.backward, y->diff, bpd.diff_dst_desc());
    memory dx(bpd.diff_src_desc(), cpu);
    std::unordered_map<int, memory> back = { { DNNL_ARG_DIFF_DST, dy }, { DNNL_ARG_DIFF_SRC, dx } };
    if (!average)
      back[DNNL_ARG_WORKSPACE] = where;
    call(net.backward, pooling_backward(bpd), back);
    take_diff(net, x, dx);
  });
  return y;
}

static Value *batch_norm(Net &net, Value *x, bool relu)
{
  auto flags = normalization_flags::use_scale_shift;
  if (relu)
    flags = flags | normalization_flags::fuse_norm_relu;
  memory::desc layout = x->data.get_desc();
  Dims c = { x->dims[1] }, pair = { 2, x->dims[1] };
  batch_normalization_forward::primitive_desc pd({ prop_kind::forward_training, layout, 1e-5f,
    flags }, cpu);
  Parameter *affine = parameter(net, plain(pair), plain(pair), false);
  float *scale = (float *)affine->data.get_data_handle();
  std::fill(scale, scale + c[0], 1.f);
  memory mean(plain(c), cpu), variance(plain(c), cpu);
  Value *y = value(net, memory(layout, cpu), x->dims);
  memory kept = relu ? memory(pd.workspace_desc(), cpu) : memory();
  std::unordered_map<int, memory> args = { { DNNL_ARG_SRC, x->data }, { DNNL_ARG_DST, y->data },
    { DNNL_ARG_MEAN, mean }, { DNNL_ARG_VARIANCE, variance },
    { DNNL_ARG_SCALE_SHIFT, affine->data } };
  if (relu)
    args[DNNL_ARG_WORKSPACE] = kept;
  call(net.forward, batch_normalization_forward(pd), args);
  batch_normalization_forward::primitive_desc still({ prop_kind::forward_inference, layout, 1e-5f,
    flags | normalization_flags::use_global_stats }, cpu);
  call(net.infer, batch_normalization_forward(still), args);
  net.make_backward.push_back([=, &net] {
    batch_normalization_backward::primitive_desc bpd({ prop_kind::backward, layout, layout, 1e-5f,
      flags }, cpu, pd);
    memory dy = in_layout(net.backward, y->diff, bpd.diff_dst_desc());
    memory dx(bpd.diff_src_desc(), cpu);
    std::unordered_map<int, memory> back = { { DNNL_ARG_SRC, x->data }, { DNNL_ARG_DIFF_DST, dy },
      { DNNL_ARG_MEAN, mean }, { DNNL_ARG_VARIANCE, variance },
      { DNNL_ARG_SCALE_SHIFT, affine->data }, { DNNL_ARG_DIFF_SRC, dx },
      { DNNL_ARG_DIFF_SCALE_SHIFT, affine->diff } };
    if (relu)
      back[DNNL_ARG_WORKSPACE] = kept;
    call(net.backward, batch_normalization_backward(bpd), back);
    take_diff(net, x, dx);
  });
  return y;
}

/* relu(a + b) */
static Value *add_relu(Net &net, Value *a, Value *b)
{
  memory::desc layout = a->data.get_desc();
  memory other = in_layout_forward(net, b->data, layout);
  binary::primitive_desc pd({ algorithm::binary_add, layout, layout, layout }, fused_relu(true),
    cpu);
  Value *y = value(net, memory(layout, cpu), a->dims);
  call_forward(net, binary(pd), { { DNNL_ARG_SRC_0, a->data }, { DNNL_ARG_SRC_1, other },
       { DNNL_ARG_DST, y->data } });
  net.make_backward.push_back([=, &net] {
    memory dy = through_relu(net, y);
    take_diff(net, a, dy);
    take_diff(net, b, dy);
  });
  return y;
}

static Value *conv_norm(Net &net, Value *x, int filters, int kernel, int stride, bool relu)
{
  return batch_norm(net, conv(net, x, filters, kernel, kernel / 2, stride, false, false), relu);
}

static Value *resnet20(Net &net, Value *x)
{
  Value *y = conv_norm(net, x, 16, 3, 1, true);
  for (int filters = 16; filters <= 64; filters *= 2)
    for (int block = 0; block < 3; block++) {
      int stride = block == 0 && filters > 16 ? 2 : 1;
      Value *inner = conv_norm(net, y, filters, 3, stride, true);
      inner = conv_norm(net, inner, filters, 3, 1, false);
      Value *direct = stride == 1 ? y : conv_norm(net, y, filters, 1, stride, false);
      y = add_relu(net, inner, direct);
    }
  return dense(net, pool(net, y, 8, true), 10, false);
}

static Value *vgg_small(Net &net, Value *x)
{
  Value *y = x;
  for (int filters = 64; filters <= 256; filters *= 2) {
    y = conv(net, y, filters, 3, 1, 1, true, true);
    y = pool(net, conv(net, y, filters, 3, 1, 1, true, true), 2, false);
  }
  return dense(net, dense(net, y, 256, true), 10, false);
}

static Value *lenet5(Net &net, Value *x)
{
  Value *y = pool(net, conv(net, x, 6, 5, 2, 1, true, true), 2, false);
  y = pool(net, conv(net, y, 16, 5, 0, 1, true, true), 2, false);
  return dense(net, dense(net, dense(net, y, 120, true), 84, true), 10, false);
}

static Value *course_cnn(Net &net, Value *x)
{
  Value *y = x;
  for (int filters = 2; filters <= 8; filters *= 2)
    y = pool(net, conv(net, y, filters, 2, 1, 1, true, true), 2, false);
  return dense(net, dense(net, y, 32, true), 10, false);
}

static Value *mlp(Net &net, Value *x)
{
  return dense(net, dense(net, dense(net, x, 512, true), 256, true), 10, false);
}

static Value *softmax(Net &net, Value *x) { return dense(net, x, 10, false); }

/* Mean cross-entropy of n rows of 10 logits; d: its gradient. */
static double cross_entropy(const float *z, const float *label, int64_t n, float *d)
{
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    const float *row = z + i * 10;
    float most = *std::max_element(row, row + 10), total = 0;
    for (int c = 0; c < 10; c++)
      total += expf(row[c] - most);
    int right = (int)label[i];
    sum -= row[right] - most - logf(total);
    for (int c = 0; c < 10; c++)
      d[i * 10 + c] = (expf(row[c] - most) / total - (c == right)) / (float)n;
  }
  return sum / (double)n;
}

static double now(void)
{
  auto t = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(t).count();
}

/* Warms up, then runs for so long; at least 5 runs. */
static void times(const char *what, const std::function<void()> &step, double seconds)
{
  double spent = 0;
  std::vector<double> took;
  while (spent < std::min(0.2, seconds)) {
    double t = now();
    step();
    spent += now() - t;
  }
  for (spent = 0; took.size() < 5 || spent < seconds; spent += took.back()) {
    double t = now();
    step();
    took.push_back(now() - t);
  }
  std::sort(took.begin(), took.end());
  printf("\"%s\": {\"median_ns\": %.0f, \"min_ns\": %.0f, \"steps\": %zu}, ", what,
    took[took.size() / 2] * 1e9, took[0] * 1e9, took.size());
}

typedef Value *(*Make)(Net &, Value *);

static const struct { const char *name; Dims shape; Make make; } nets[] = {
  { "softmax", { 1, 28, 28 }, softmax },
  { "mlp", { 1, 28, 28 }, mlp },
  { "course_cnn", { 1, 32, 32 }, course_cnn },
  { "lenet5", { 1, 28, 28 }, lenet5 },
  { "vgg_small", { 3, 32, 32 }, vgg_small },
  { "vgg_small_fast", { 3, 32, 32 }, vgg_small },
  { "resnet20", { 3, 32, 32 }, resnet20 },
};

static void bench(const char *name, const Dims &shape, Make make, int64_t batch, int threads,
  double seconds)
{
  Net net;
  Dims xd = { batch, shape[0], shape[1], shape[2] };
  Value *x = value(net, memory(plain(xd), cpu), xd);
  x->wants_diff = false;
  Value *z = make(net, x);
  std::vector<float> label(batch);
  read_floats((float *)x->data.get_data_handle(), plain(xd).get_size() / sizeof(float));
  read_floats(label.data(), label.size());
  memory logits = in_layout_forward(net, z->data, plain(z->dims));
  z->diff = memory(plain(z->dims), cpu);
  z->has_diff = true;
  for (size_t i = net.make_backward.size(); i-- > 0;)
    net.make_backward[i]();
  double loss = 0;
  auto step = [&] {
    run(net.forward);
    loss = cross_entropy((float *)logits.get_data_handle(), label.data(), batch,
      (float *)z->diff.get_data_handle());
    run(net.backward);
    run(net.update);
  };
  printf("{\"net\": \"%s\", \"batch\": %lld, \"threads\": %d, \"loss\": [", name, (long long)batch,
    threads);
  for (int i = 0; i < 5; i++) {
    step();
    printf("%s%.9g", i ? ", " : "", loss);
  }
  printf("], ");
  times("train", step, seconds);
  times("infer", [&] { run(net.infer); }, seconds);
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  printf("\"peak_rss_bytes\": %lld}\n", (long long)use.ru_maxrss * 1024);
}

int main(int argc, char **argv)
{
  if (argc != 6 || !(start_file = fopen(argv[5], "rb"))) {
    fprintf(stderr, "usage: onednn_peer NET BATCH THREADS SECONDS START\n");
    return 2;
  }
  omp_set_num_threads(atoi(argv[3]));
  for (const auto &n : nets)
    if (!strcmp(n.name, argv[1])) {
      bench(n.name, n.shape, n.make, atoi(argv[2]), atoi(argv[3]), atof(argv[4]));
      return 0;
    }
  fprintf(stderr, "onednn_peer: no net %s\n", argv[1]);
  return 2;
}
