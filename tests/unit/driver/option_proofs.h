/* For every option of the language a pair of specs that differ in nothing else and must train
 * differently: the first one works, the second one gives other numbers or is refused. */
#ifndef GRADC_TESTS_DRIVER_OPTION_PROOFS_H
#define GRADC_TESTS_DRIVER_OPTION_PROOFS_H

#define TRAIN(loss)                                                                                \
  "train m on d { loss: " loss "; optimizer: sgd(lr=0.05); epochs: 2; batch: 4; }\n"
#define CLASSES(k, units)                                                                          \
  "field x: f32[2]; field y: label(" k "); }\n"                                                    \
  "model m(x: f32[2]) -> z: f32[" units "] { z = x -> dense(" units "); }\n"                       \
  TRAIN("softmax_xent(z, y)")
#define NUMBERS(in)                                                                                \
  "field x: f32[" in "]; field y: f32[1]; }\n"                                                     \
  "model m(x: f32[" in "]) -> z: f32[1] { z = x -> dense(1); }\n" TRAIN("mse(z, y)")
#define IMAGES(type, size, k)                                                                      \
  "field x: " type "; field y: u8 as label(" k "); }\n"                                            \
  "model m(x: f32[" size "]) -> z: f32[" k "] { z = x -> flatten -> dense(" k "); }\n"             \
  TRAIN("softmax_xent(z, y)")
#define CLOUDS "data d { train: blobs(samples=20, noise=2); test: blobs(samples=9, seed=2);\n"
#define POINTS CLOUDS "field x: f32[2]; field y: label(3); }\n"
#define LINEAR "model m(x: f32[2]) -> z: f32[3] { z = x -> dense(3); }\n"

/* Specs with one gap, written @. */
typedef enum {
  IN_THREE, IN_TWO, IN_ONE, IN_SUM, IN_BYTES, IN_DIGITS, IN_CIFAR, IN_RAW, IN_COLUMNS, IN_PIPE,
  IN_SPLIT, IN_LAYER, IN_DENSE, IN_LOSS, IN_TRAIN, IN_METRIC, IN_BLOCK, IN_WIDE,
  IN_COUNT
} Gap;

static const char *const gap_spec[IN_COUNT] = {
  [IN_THREE] = "net 1;\ndata d { train: @;\n" CLASSES("3", "3"),
  [IN_TWO] = "net 1;\ndata d { train: @;\n" CLASSES("2", "2"),
  [IN_ONE] = "net 1;\ndata d { train: @;\n" NUMBERS("1"),
  [IN_SUM] = "net 1;\ndata d { train: @;\n" NUMBERS("2"),
  [IN_BYTES] = "net 1;\ndata d { train: @;\n" IMAGES("u8[2,2] as f32[2,2] -> div(255)", "2,2", "3"),
  [IN_DIGITS] = "net 1;\ndata d { train: @;\n"
                IMAGES("u8[28,28] as f32[28,28] -> div(255)", "28,28", "10"),
  [IN_CIFAR] = "net 1;\ndata d { train: @;\n"
               IMAGES("u8[3,32,32] as f32[3,32,32] -> div(255)", "3,32,32", "10"),
  [IN_RAW] = "net 1;\ndata d { train: @;\n" NUMBERS("1"),
  [IN_COLUMNS] = "net 1;\ndata d { train: csv(\"a.csv\");\n@"
                 "model m(x: f32[2]) -> z: f32[3] { z = x -> dense(3); }\n"
                 TRAIN("softmax_xent(z, y)"),
  [IN_PIPE] = "net 1;\n" CLOUDS "field x: f32[2] -> @; field y: label(3); }\n" LINEAR
              TRAIN("softmax_xent(z, y)"),
  [IN_SPLIT] = "net 1;\ndata d { @ field x: f32[2]; field y: label(3); }\n" LINEAR
               TRAIN("softmax_xent(z, y)"),
  [IN_LAYER] = "net 1;\n" CLOUDS "field x: f32[72] as f32[2,6,6]; field y: label(3); }\n"
               "model m(x: f32[2,6,6]) -> z: f32[3] { z = x -> @ -> flatten -> dense(3); }\n"
               TRAIN("softmax_xent(z, y)"),
  [IN_DENSE] = "net 1;\n" POINTS
               "model m(x: f32[2]) -> z: f32[3] { z = @ -> dense(3); }\n"
               TRAIN("softmax_xent(z, y)"),
  [IN_LOSS] = "net 1;\n" CLOUDS "field x: f32[3]; field y: label(3); }\n"
              "model m(x: f32[3]) -> z: f32[3] { z = x -> dense(3); }\n" TRAIN("@"),
  [IN_TRAIN] = "net 1;\n" POINTS LINEAR
               "train m on d { @ }\n"
               "eval m on d.test { report accuracy(z, y); }\n",
  [IN_METRIC] = "net 1;\n" POINTS
                "model m(x: f32[2]) -> z: f32[3] { z = x -> dense(3); flipped = -z; }\n"
                TRAIN("softmax_xent(z, y)") "eval m on d.test { report @; }\n",
  [IN_BLOCK] = "net 1;\n" POINTS LINEAR TRAIN("softmax_xent(z, y)") "@\n",
  [IN_WIDE] = "net 1;\ndata d { train: blobs(samples=4, noise=2);\n"
              "field x: f32[512] as f32[32,4,4]; field y: label(3); }\n"
              "model m(x: f32[32,4,4]) -> z: f32[3] "
              "{ z = x -> conv(32, 3, pad=1) -> flatten -> dense(3); }\n"
              TRAIN("softmax_xent(z, y)") "@\n",
};

typedef struct { const char *option; Gap gap; const char *one, *other; } Proof;

#define SOME "optimizer: sgd(lr=0.1); "
#define LONG "epochs: 2; batch: 8; "
#define CLASS "loss: softmax_xent(z, y); "
#define RATE CLASS SOME "batch: 4; epochs: 3; schedule: lr = "
#define BY(rule) CLASS "optimizer: " rule "; " LONG
#define START(init) "x -> dense(4, init=" init ")"

static const Proof proofs[] = {
  /* sources */
  { "idx.images", IN_BYTES, "idx(\"a.idx\", \"l.idx\")", "idx(\"b.idx\", \"l.idx\")" },
  { "idx.labels", IN_BYTES, "idx(\"a.idx\", \"l.idx\")", "idx(\"a.idx\", \"k.idx\")" },
  { "csv.path", IN_THREE, "csv(\"a.csv\")", "csv(\"b.csv\")" },
  { "csv.header", IN_THREE, "csv(\"a.csv\")", "csv(\"a.csv\", header=false)" },
  { "csv.separator", IN_THREE, "csv(\"semi.csv\", separator=\";\")", "csv(\"semi.csv\")" },
  { "csv.missing", IN_THREE, "csv(\"gap.csv\", missing=mean)", "csv(\"gap.csv\", missing=skip)" },
  { "csv.missing", IN_THREE, "csv(\"gap.csv\", missing=mean)", "csv(\"gap.csv\", missing=error)" },
  { "cifar.path", IN_CIFAR, "cifar(\"a.bin\")", "cifar(\"a.bin,b.bin\")" },
  { "cifar.classes", IN_CIFAR, "cifar(\"a.bin\")", "cifar(\"a.bin\", classes=100)" },
  { "raw.path", IN_RAW, "raw(\"a.raw\")", "raw(\"b.raw\")" },
  { "raw.real", IN_RAW, "raw(\"a.raw\")", "raw(\"a.raw\", real=f64)" },
  { "npy.images", IN_BYTES, "npy(\"a.npy\", \"l.npy\")", "npy(\"b.npy\", \"l.npy\")" },
  { "npy.labels", IN_BYTES, "npy(\"a.npy\", \"l.npy\")", "npy(\"a.npy\", \"k.npy\")" },
  { "blobs.samples", IN_THREE, "blobs(samples=8)", "blobs(samples=12)" },
  { "blobs.classes", IN_THREE, "blobs(samples=8)", "blobs(samples=8, classes=2)" },
  { "blobs.noise", IN_THREE, "blobs(samples=8)", "blobs(samples=8, noise=1)" },
  { "blobs.seed", IN_THREE, "blobs(samples=8)", "blobs(samples=8, seed=5)" },
  { "moons.samples", IN_TWO, "moons(samples=8)", "moons(samples=12)" },
  { "moons.noise", IN_TWO, "moons(samples=8)", "moons(samples=8, noise=1)" },
  { "moons.seed", IN_TWO, "moons(samples=8)", "moons(samples=8, seed=5)" },
  { "circles.samples", IN_TWO, "circles(samples=8)", "circles(samples=12)" },
  { "circles.noise", IN_TWO, "circles(samples=8)", "circles(samples=8, noise=1)" },
  { "circles.seed", IN_TWO, "circles(samples=8)", "circles(samples=8, seed=5)" },
  { "spirals.samples", IN_THREE, "spirals(samples=8)", "spirals(samples=12)" },
  { "spirals.classes", IN_THREE, "spirals(samples=8)", "spirals(samples=8, classes=2)" },
  { "spirals.noise", IN_THREE, "spirals(samples=8)", "spirals(samples=8, noise=1)" },
  { "spirals.turns", IN_THREE, "spirals(samples=8)", "spirals(samples=8, turns=2)" },
  { "spirals.seed", IN_THREE, "spirals(samples=8)", "spirals(samples=8, seed=5)" },
  { "xor.samples", IN_TWO, "xor(samples=8)", "xor(samples=12)" },
  { "xor.noise", IN_TWO, "xor(samples=8)", "xor(samples=8, noise=1)" },
  { "xor.seed", IN_TWO, "xor(samples=8, noise=1)", "xor(samples=8, noise=1, seed=5)" },
  { "sine.samples", IN_ONE, "sine(samples=8)", "sine(samples=12)" },
  { "sine.noise", IN_ONE, "sine(samples=8)", "sine(samples=8, noise=1)" },
  { "sine.seed", IN_ONE, "sine(samples=8)", "sine(samples=8, seed=5)" },
  { "line.samples", IN_ONE, "line(samples=8)", "line(samples=12)" },
  { "line.noise", IN_ONE, "line(samples=8)", "line(samples=8, noise=1)" },
  { "line.seed", IN_ONE, "line(samples=8)", "line(samples=8, seed=5)" },
  { "addition.samples", IN_SUM, "addition(samples=8)", "addition(samples=12)" },
  { "addition.noise", IN_SUM, "addition(samples=8)", "addition(samples=8, noise=1)" },
  { "addition.seed", IN_SUM, "addition(samples=8)", "addition(samples=8, seed=5)" },
  { "digits.samples", IN_DIGITS, "digits(samples=4)", "digits(samples=8)" },
  { "digits.noise", IN_DIGITS, "digits(samples=4)", "digits(samples=4, noise=2)" },
  { "digits.seed", IN_DIGITS, "digits(samples=4)", "digits(samples=4, seed=5)" },
  /* fields and splits */
  { "data.from", IN_COLUMNS, "field x: f32[2] from \"u,v\"; field y: label(3) from \"y\"; }",
    "field x: f32[2] from \"v,u\"; field y: label(3) from \"y\"; }" },
  { "data.split", IN_SPLIT, "source: blobs(samples=20); split: train = 80%, valid = 20%;",
    "source: blobs(samples=20); split: train = 50%, valid = 50%;" },
  { "data.split", IN_SPLIT, "train: blobs(samples=20); split: valid = 4 of train;",
    "train: blobs(samples=20); split: valid = 8 of train;" },
  /* conversions */
  { "div.by", IN_PIPE, "div(2)", "div(3)" },
  { "mul.by", IN_PIPE, "mul(2)", "mul(3)" },
  { "add.by", IN_PIPE, "add(2)", "add(3)" },
  { "sub.by", IN_PIPE, "sub(2)", "sub(3)" },
  { "standardize.mean", IN_PIPE, "standardize(mean=0.5, std=2)", "standardize(mean=0.1, std=2)" },
  { "standardize.std", IN_PIPE, "standardize(mean=0.5, std=2)", "standardize(mean=0.5, std=3)" },
  { "standardize.fit", IN_PIPE, "standardize(fit=train)", "standardize(mean=0, std=1)" },
  /* layers */
  { "conv.filters", IN_LAYER, "conv(2, 3)", "conv(3, 3)" },
  { "conv.kernel", IN_LAYER, "conv(2, 3)", "conv(2, [3, 2])" },
  { "conv.stride", IN_LAYER, "conv(2, 3)", "conv(2, 3, stride=[2, 1])" },
  { "conv.pad", IN_LAYER, "conv(2, 3)", "conv(2, 3, pad=1)" },
  { "conv.dilation", IN_LAYER, "conv(2, 3)", "conv(2, 3, dilation=2)" },
  { "conv.groups", IN_LAYER, "conv(2, 3)", "conv(2, 3, groups=2)" },
  { "conv.bias", IN_LAYER, "conv(2, 3)", "conv(2, 3, bias=false)" },
  { "conv.init", IN_LAYER, "conv(2, 3)", "conv(2, 3, init=normal)" },
  { "conv.bias_init", IN_LAYER, "conv(2, 3)", "conv(2, 3, bias_init=ones)" },
  { "conv.weight", IN_LAYER, "conv(1, 1)", "conv(1, 1, weight=[[[[1]], [[2]]]])" },
  { "conv.bias_values", IN_LAYER, "conv(1, 1, bias=[1])", "conv(1, 1, bias=[2])" },
  { "conv.train", IN_LAYER, "conv(2, 3)", "conv(2, 3, train=false)" },
  { "maxpool.kernel", IN_LAYER, "maxpool(2)", "maxpool([2, 3])" },
  { "maxpool.stride", IN_LAYER, "maxpool(2)", "maxpool(2, stride=1)" },
  { "maxpool.pad", IN_LAYER, "maxpool(2)", "maxpool(2, pad=1)" },
  { "avgpool.kernel", IN_LAYER, "avgpool(2)", "avgpool([2, 3])" },
  { "avgpool.stride", IN_LAYER, "avgpool(2)", "avgpool(2, stride=1)" },
  { "avgpool.pad", IN_LAYER, "avgpool(2)", "avgpool(2, pad=1)" },
  { "avgpool.count_include_pad", IN_LAYER, "avgpool(2, pad=1)",
    "avgpool(2, pad=1, count_include_pad=false)" },
  { "batchnorm.eps", IN_LAYER, "batchnorm", "batchnorm(eps=0.5)" },
  { "batchnorm.momentum", IN_LAYER, "batchnorm", "batchnorm(momentum=0.9)" },
  { "batchnorm.train", IN_LAYER, "batchnorm", "batchnorm(train=false)" },
  { "dropout.p", IN_LAYER, "dropout(0.2)", "dropout(0.6)" },
  { "elu.alpha", IN_LAYER, "elu", "elu(0.5)" },
  { "gelu.form", IN_LAYER, "gelu", "gelu(form=tanh)" },
  { "hardtanh.min", IN_LAYER, "hardtanh", "hardtanh(min=-0.5)" },
  { "hardtanh.max", IN_LAYER, "hardtanh", "hardtanh(max=0.5)" },
  { "heaviside.at_zero", IN_LAYER, "relu -> heaviside", "relu -> heaviside(at_zero=0.5)" },
  { "pow.exponent", IN_LAYER, "pow(2)", "pow(3)" },
  { "layernorm.eps", IN_LAYER, "layernorm", "layernorm(eps=0.5)" },
  { "layernorm.train", IN_LAYER, "layernorm", "layernorm(train=false)" },
  { "groupnorm.groups", IN_LAYER, "groupnorm(1)", "groupnorm(2)" },
  { "groupnorm.eps", IN_LAYER, "groupnorm(2)", "groupnorm(2, eps=0.5)" },
  { "groupnorm.train", IN_LAYER, "groupnorm(2)", "groupnorm(2, train=false)" },
  { "adaptive_avgpool.size", IN_LAYER, "adaptive_avgpool(3)", "adaptive_avgpool([3, 2])" },
  { "upsample.factor", IN_LAYER, "upsample", "upsample(3)" },
  { "conv1d.filters", IN_LAYER, "reshape([2, 36]) -> conv1d(2, 3)",
    "reshape([2, 36]) -> conv1d(3, 3)" },
  { "conv_transpose.filters", IN_LAYER, "conv_transpose(2, 3)", "conv_transpose(3, 3)" },
  { "conv1d.kernel", IN_LAYER, "reshape([2, 36]) -> conv1d(2, 3)",
    "reshape([2, 36]) -> conv1d(2, 4)" },
  { "conv_transpose.kernel", IN_LAYER, "conv_transpose(2, 3)", "conv_transpose(2, [3, 2])" },
  { "conv1d.stride", IN_LAYER, "reshape([2, 36]) -> conv1d(2, 3)",
    "reshape([2, 36]) -> conv1d(2, 3, stride=2)" },
  { "conv_transpose.stride", IN_LAYER, "conv_transpose(2, 3)", "conv_transpose(2, 3, stride=2)" },
  { "conv1d.pad", IN_LAYER, "reshape([2, 36]) -> conv1d(2, 3)",
    "reshape([2, 36]) -> conv1d(2, 3, pad=1)" },
  { "conv_transpose.pad", IN_LAYER, "conv_transpose(2, 3)", "conv_transpose(2, 3, pad=1)" },
  { "conv1d.dilation", IN_LAYER, "reshape([2, 36]) -> conv1d(2, 3)",
    "reshape([2, 36]) -> conv1d(2, 3, dilation=2)" },
  { "conv_transpose.dilation", IN_LAYER, "conv_transpose(2, 3)",
    "conv_transpose(2, 3, dilation=2)" },
  { "conv1d.groups", IN_LAYER, "reshape([2, 36]) -> conv1d(2, 3)",
    "reshape([2, 36]) -> conv1d(2, 3, groups=2)" },
  { "conv_transpose.groups", IN_LAYER, "conv_transpose(2, 3)", "conv_transpose(2, 3, groups=2)" },
  { "conv1d.bias", IN_LAYER, "reshape([2, 36]) -> conv1d(2, 3)",
    "reshape([2, 36]) -> conv1d(2, 3, bias=false)" },
  { "conv_transpose.bias", IN_LAYER, "conv_transpose(2, 3)", "conv_transpose(2, 3, bias=false)" },
  { "conv1d.init", IN_LAYER, "reshape([2, 36]) -> conv1d(2, 3)",
    "reshape([2, 36]) -> conv1d(2, 3, init=normal)" },
  { "conv_transpose.init", IN_LAYER, "conv_transpose(2, 3)", "conv_transpose(2, 3, init=normal)" },
  { "conv1d.bias_init", IN_LAYER, "reshape([2, 36]) -> conv1d(2, 3)",
    "reshape([2, 36]) -> conv1d(2, 3, bias_init=ones)" },
  { "conv_transpose.bias_init", IN_LAYER, "conv_transpose(2, 3)",
    "conv_transpose(2, 3, bias_init=ones)" },
  { "conv1d.weight", IN_LAYER, "reshape([2, 36]) -> conv1d(1, 1)",
    "reshape([2, 36]) -> conv1d(1, 1, weight=[[[[1]], [[2]]]])" },
  { "conv_transpose.weight", IN_LAYER, "conv_transpose(1, 1)",
    "conv_transpose(1, 1, weight=[[[[1]]], [[[2]]]])" },
  { "conv1d.bias_values", IN_LAYER, "reshape([2, 36]) -> conv1d(1, 1, bias=[1])",
    "reshape([2, 36]) -> conv1d(1, 1, bias=[2])" },
  { "conv_transpose.bias_values", IN_LAYER, "conv_transpose(1, 1, bias=[1])",
    "conv_transpose(1, 1, bias=[2])" },
  { "conv1d.train", IN_LAYER, "reshape([2, 36]) -> conv1d(2, 3)",
    "reshape([2, 36]) -> conv1d(2, 3, train=false)" },
  { "conv_transpose.train", IN_LAYER, "conv_transpose(2, 3)", "conv_transpose(2, 3, train=false)" },
  { "conv_transpose.output_pad", IN_LAYER, "conv_transpose(2, 3, stride=2)",
    "conv_transpose(2, 3, stride=2, output_pad=1)" },
  { "leaky_relu.slope", IN_LAYER, "leaky_relu(0.1)", "leaky_relu(0.3)" },
  { "reshape.shape", IN_LAYER, "reshape([2, 6, 6]) -> conv(1, 2)",
    "reshape([6, 2, 6]) -> conv(1, 2)" },
  { "dense.units", IN_DENSE, "x -> dense(3)", "x -> dense(4)" },
  { "dense.bias", IN_DENSE, "x -> dense(3)", "x -> dense(3, bias=false)" },
  { "dense.init", IN_DENSE, "x -> dense(3)", "x -> dense(3, init=normal)" },
  { "dense.bias_init", IN_DENSE, "x -> dense(3)", "x -> dense(3, bias_init=ones)" },
  { "dense.weight", IN_DENSE, "x -> dense(1)", "x -> dense(1, weight=[[1, 2]])" },
  { "dense.bias_values", IN_DENSE, "x -> dense(1, bias=[1])", "x -> dense(1, bias=[2])" },
  { "dense.train", IN_DENSE, "x -> dense(3)", "x -> dense(3, train=false)" },
  /* operators */
  { "operator.+", IN_DENSE, "(x + 2 * x)", "(x - 2 * x)" },
  { "operator.-", IN_DENSE, "(x - 2)", "(2 - x)" },
  { "operator.*", IN_DENSE, "(x * x)", "x" },
  { "operator./", IN_DENSE, "(x / 2)", "(x / 3)" },
  { "operator.negative", IN_DENSE, "(-x) -> relu", "x -> relu" },
  /* initial values */
  { "init.default", IN_DENSE, START("default"), START("zeros") },
  { "init.zeros", IN_DENSE, START("zeros"), START("ones") },
  { "init.ones", IN_DENSE, START("ones"), START("constant(2)") },
  { "init.constant", IN_DENSE, START("constant(2)"), START("constant(3)") },
  { "init.uniform", IN_DENSE, START("uniform(0, 1)"), START("uniform(0, 2)") },
  { "init.uniform", IN_DENSE, START("uniform(0, 1)"), START("uniform(0.5, 1)") },
  { "init.normal", IN_DENSE, START("normal(0, 1)"), START("normal(1, 1)") },
  { "init.normal", IN_DENSE, START("normal(0, 1)"), START("normal(std=2)") },
  { "init.xavier_uniform", IN_DENSE, START("xavier_uniform"), START("xavier_uniform(gain=2)") },
  { "init.xavier_normal", IN_DENSE, START("xavier_normal"), START("xavier_normal(gain=2)") },
  { "init.kaiming_uniform", IN_DENSE, START("kaiming_uniform"), START("kaiming_uniform(slope=2)") },
  { "init.kaiming_normal", IN_DENSE, START("kaiming_normal"), START("kaiming_normal(slope=2)") },
  { "init.xavier_uniform", IN_DENSE, START("xavier_uniform"), START("kaiming_uniform") },
  { "init.xavier_normal", IN_DENSE, START("xavier_normal"), START("kaiming_normal") },
  { "init.given", IN_DENSE, "x -> dense(1, weight=[[1, 3]])", "x -> dense(1, weight=[[1, 2]])" },
  /* losses */
  { "softmax_xent.smoothing", IN_LOSS, "softmax_xent(z, y)", "softmax_xent(z, y, smoothing=0.2)" },
  { "nll.weight", IN_LOSS, "nll(z, y)", "nll(z, y, weight=[1, 2, 3])" },
  { "nll.ignore", IN_LOSS, "nll(z, y)", "nll(z, y, ignore=1)" },
  { "weighted_xent.weight", IN_LOSS, "weighted_xent(z, y)",
    "weighted_xent(z, y, weight=[1, 2, 3])" },
  { "weighted_xent.ignore", IN_LOSS, "weighted_xent(z, y)", "weighted_xent(z, y, ignore=1)" },
  { "one_hot.classes", IN_LOSS, "mse(z, one_hot(y, 3))", "mse(z, one_hot(y, 4))" },
  { "huber.delta", IN_LOSS, "huber(z, x)", "huber(z, x, delta=0.1)" },
  { "loss.sum", IN_LOSS, "softmax_xent(z, y)", "softmax_xent(z, y) -> sum" },
  /* optimizers */
  { "sgd.lr", IN_TRAIN, BY("sgd(lr=0.1)"), BY("sgd(lr=0.2)") },
  { "sgd.momentum", IN_TRAIN, BY("sgd(lr=0.1)"), BY("sgd(lr=0.1, momentum=0.9)") },
  { "sgd.dampening", IN_TRAIN, BY("sgd(lr=0.1, momentum=0.9)"),
    BY("sgd(lr=0.1, momentum=0.9, dampening=0.5)") },
  { "sgd.nesterov", IN_TRAIN, BY("sgd(lr=0.1, momentum=0.9)"),
    BY("sgd(lr=0.1, momentum=0.9, nesterov=true)") },
  { "sgd.weight_decay", IN_TRAIN, BY("sgd(lr=0.1)"), BY("sgd(lr=0.1, weight_decay=0.5)") },
  { "adam.lr", IN_TRAIN, BY("adam(lr=0.01)"), BY("adam(lr=0.02)") },
  { "adam.beta1", IN_TRAIN, BY("adam"), BY("adam(beta1=0.5)") },
  { "adam.beta2", IN_TRAIN, BY("adam"), BY("adam(beta2=0.5)") },
  { "adam.eps", IN_TRAIN, BY("adam"), BY("adam(eps=0.5)") },
  { "adam.weight_decay", IN_TRAIN, BY("adam"), BY("adam(weight_decay=0.5)") },
  { "adamw.lr", IN_TRAIN, BY("adamw(lr=0.01)"), BY("adamw(lr=0.02)") },
  { "adamw.beta1", IN_TRAIN, BY("adamw"), BY("adamw(beta1=0.5)") },
  { "adamw.beta2", IN_TRAIN, BY("adamw"), BY("adamw(beta2=0.5)") },
  { "adamw.eps", IN_TRAIN, BY("adamw"), BY("adamw(eps=0.5)") },
  { "adamw.weight_decay", IN_TRAIN, BY("adamw"), BY("adamw(weight_decay=0.5)") },
  { "rmsprop.lr", IN_TRAIN, BY("rmsprop(lr=0.01)"), BY("rmsprop(lr=0.02)") },
  { "rmsprop.alpha", IN_TRAIN, BY("rmsprop"), BY("rmsprop(alpha=0.5)") },
  { "rmsprop.eps", IN_TRAIN, BY("rmsprop"), BY("rmsprop(eps=0.5)") },
  { "rmsprop.momentum", IN_TRAIN, BY("rmsprop"), BY("rmsprop(momentum=0.5)") },
  { "rmsprop.centered", IN_TRAIN, BY("rmsprop"), BY("rmsprop(centered=true)") },
  { "rmsprop.weight_decay", IN_TRAIN, BY("rmsprop"), BY("rmsprop(weight_decay=0.5)") },
  { "adagrad.lr", IN_TRAIN, BY("adagrad(lr=0.01)"), BY("adagrad(lr=0.02)") },
  { "adagrad.lr_decay", IN_TRAIN, BY("adagrad"), BY("adagrad(lr_decay=0.5)") },
  { "adagrad.eps", IN_TRAIN, BY("adagrad"), BY("adagrad(eps=0.5)") },
  { "adagrad.initial", IN_TRAIN, BY("adagrad"), BY("adagrad(initial=0.5)") },
  { "adagrad.weight_decay", IN_TRAIN, BY("adagrad"), BY("adagrad(weight_decay=0.5)") },
  { "adadelta.lr", IN_TRAIN, BY("adadelta(lr=0.01)"), BY("adadelta(lr=0.02)") },
  { "adadelta.rho", IN_TRAIN, BY("adadelta"), BY("adadelta(rho=0.5)") },
  { "adadelta.eps", IN_TRAIN, BY("adadelta"), BY("adadelta(eps=0.5)") },
  { "adadelta.weight_decay", IN_TRAIN, BY("adadelta"), BY("adadelta(weight_decay=0.5)") },
  /* schedules */
  { "constant", IN_TRAIN, RATE "constant;", RATE "constant for 1 epochs then exp(0.5);" },
  { "step.every", IN_TRAIN, RATE "step(every=1);", RATE "step(every=2);" },
  { "step.gamma", IN_TRAIN, RATE "step(every=1);", RATE "step(every=1, gamma=0.5);" },
  { "exp.rate", IN_TRAIN, RATE "exp(0.9);", RATE "exp(0.8);" },
  { "cosine.to", IN_TRAIN, RATE "cosine(to=0);", RATE "cosine(to=0.05);" },
  { "warmup.from", IN_TRAIN, RATE "warmup(from=0) for 2 epochs then constant;",
    RATE "warmup(from=0.05) for 2 epochs then constant;" },
  { "linear.to", IN_TRAIN, RATE "linear(to=0);", RATE "linear(to=0.05);" },
  { "poly.power", IN_TRAIN, RATE "poly;", RATE "poly(2);" },
  { "poly.to", IN_TRAIN, RATE "poly;", RATE "poly(to=0.05);" },
  { "restarts.every", IN_TRAIN, RATE "restarts(2);", RATE "restarts(3);" },
  { "restarts.factor", IN_TRAIN, RATE "restarts(1);", RATE "restarts(1, factor=3);" },
  { "restarts.to", IN_TRAIN, RATE "restarts(3);", RATE "restarts(3, to=0.05);" },
  { "onecycle.rise", IN_TRAIN, RATE "onecycle;", RATE "onecycle(0.6);" },
  { "onecycle.start", IN_TRAIN, RATE "onecycle;", RATE "onecycle(start=4);" },
  { "onecycle.end", IN_TRAIN, RATE "onecycle;", RATE "onecycle(end=4);" },
  { "schedule.span", IN_TRAIN, RATE "constant for 1 epochs then exp(0.5);",
    RATE "constant for 2 epochs then exp(0.5);" },
  { "schedule.span", IN_TRAIN, RATE "constant for 1 epochs then exp(0.5);",
    RATE "constant for 1 steps then exp(0.5);" },
  /* lines of the train block */
  { "train.loss", IN_TRAIN, CLASS SOME LONG, "loss: softmax_xent(-z, y); " SOME LONG },
  { "train.optimizer", IN_TRAIN, CLASS SOME LONG, CLASS "optimizer: adam(lr=0.1); " LONG },
  { "train.epochs", IN_TRAIN, CLASS SOME LONG, CLASS SOME "epochs: 3; batch: 8;" },
  { "train.batch", IN_TRAIN, CLASS SOME LONG, CLASS SOME "epochs: 2; batch: 5;" },
  { "train.batch", IN_TRAIN, CLASS SOME LONG, CLASS SOME "epochs: 2; batch: all;" },
  { "train.seed", IN_TRAIN, CLASS SOME LONG, CLASS SOME LONG "seed: 9;" },
  { "train.shuffle", IN_TRAIN, CLASS SOME LONG, CLASS SOME LONG "shuffle: false;" },
  { "train.metrics", IN_TRAIN, CLASS SOME LONG, CLASS SOME LONG "metrics: topk(z, y, k=2);" },
  { "train.freeze", IN_TRAIN, CLASS SOME LONG, CLASS SOME LONG "freeze: \"*.bias\";" },
  { "train.clip", IN_TRAIN, CLASS SOME LONG, CLASS SOME LONG "clip: norm(0.01);" },
  { "train.clip", IN_TRAIN, CLASS SOME LONG "clip: value(0.01);",
    CLASS SOME LONG "clip: norm(0.01);" },
  { "train.clip", IN_TRAIN, CLASS SOME LONG "clip: value(0.01);",
    CLASS SOME LONG "clip: value(0.02);" },
  { "train.rng", IN_TRAIN, CLASS SOME LONG, CLASS SOME LONG "rng: torch;" },
  { "train.real", IN_TRAIN, CLASS SOME LONG, CLASS SOME LONG "real: f64;" },
  { "train.schedule", IN_TRAIN, CLASS SOME LONG, CLASS SOME LONG "schedule: lr = exp(0.5);" },
  { "train.stop when", IN_TRAIN, CLASS SOME "epochs: 6; batch: 8;",
    CLASS SOME "epochs: 6; batch: 8; stop when test.loss <= 1000;" },
  { "train.stop when", IN_TRAIN, CLASS "optimizer: sgd(lr=0); epochs: 6; batch: 8;",
    CLASS "optimizer: sgd(lr=0); epochs: 6; batch: 8; stop when stalled(test.loss, 2 epochs);" },
  { "train.stop when", IN_TRAIN,
    CLASS "optimizer: sgd(lr=0); epochs: 6; batch: 8; stop when stalled(test.loss, 3 epochs);",
    CLASS "optimizer: sgd(lr=0); epochs: 6; batch: 8; stop when stalled(test.loss, 2 epochs);" },
  /* metrics: on these predictions and on their opposites */
  { "accuracy", IN_METRIC, "accuracy(z, y)", "accuracy(flipped, y)" },
  { "topk", IN_METRIC, "topk(z, y, k=2)", "topk(flipped, y, k=2)" },
  { "topk.k", IN_METRIC, "topk(z, y, k=2)", "topk(z, y, k=3)" },
  { "multilabel", IN_METRIC, "multilabel(z, flipped)", "multilabel(z, z)" },
  { "confusion", IN_METRIC, "confusion(z, y)", "confusion(flipped, y)" },
  { "prf", IN_METRIC, "prf(z, y)", "prf(flipped, y)" },
  { "mse", IN_METRIC, "mse(z, flipped)", "mse(z, z)" },
  { "mae", IN_METRIC, "mae(z, flipped)", "mae(z, z)" },
  { "r2", IN_METRIC, "r2(z, flipped)", "r2(z, z)" },
  { "loss", IN_METRIC, "loss", "accuracy(z, y)" },
  /* the small blocks */
  { "eval.on", IN_BLOCK, "eval m on d.test { report accuracy(z, y); }",
    "eval m on d.train { report accuracy(z, y); }" },
  { "eval.report", IN_BLOCK, "eval m on d.test { report accuracy(z, y); }",
    "eval m on d.test { report accuracy(z, y), confusion(z, y); }" },
  { "infer.output", IN_BLOCK, "infer m { output: z; }", "infer m { output: softmax(z) as z; }" },
  { "infer.as", IN_BLOCK, "infer m { output: z as a; }", "infer m { output: z as b; }" },
  { "build.threads", IN_BLOCK, "build { threads: 1; }", "build { threads: 3; }" },
  { "build.cpu", IN_BLOCK, "build { cpu: \"x86-64-v4\"; }", "build { cpu: \"aarch64\"; }" },
  { "build.numerics", IN_WIDE, "build { numerics: reproducible; }", "build { numerics: fast; }" },
  { "build.memory", IN_BLOCK, "build { memory: 1MB; }", "build { memory: 100; }" },
  { "build.real", IN_BLOCK, "build { real: f32; }", "build { real: f64; }" },
};

#endif
