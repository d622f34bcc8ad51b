/* Specs that the syntax tests share: each parses without a message. */
#ifndef GRADC_TESTS_UNIT_SYNTAX_SPECS_H
#define GRADC_TESTS_UNIT_SYNTAX_SPECS_H

static const char spec_lenet[] =
  "# LeNet on MNIST\n"
  "net 1;\n"
  "param classes = 10;  # digits\n"
  "const T = 64K;\n"
  "data mnist {\n"
  "  train: idx(\"data/train-images\", \"data/train-labels\");\n"
  "  test: digits(samples=500);\n"
  "  split: valid = 5000 of train, probe = 10%;  # both\n"
  "  field x: u8[28,28] as f32[1,28,28] -> div(255) -> standardize(mean=0.13, std=0.3);\n"
  "  field y: u8 as label(classes, names=\"a,b,c\");\n"
  "  /* over\n     two lines */\n"
  "  field w: f32[8] from \"longitude..median_income\" -> standardize(fit=train);\n"
  "}\n"
  "model lenet(x: f32[1,28,28], z) -> logits: f32[classes] {\n"
  "  c1 = x -> conv(6, 5, pad=[2,2,1,1]) -> relu as r1 -> maxpool(2);\n"
  "  c2 = c1 -> conv(16, 5) -> relu -> maxpool(2) -> flatten -> dense(120) -> relu -> dense(84) -> relu -> dense(10);\n"
  "  (a, b) = c2 -> lstm(4, carry=true,) as r;\n"
  "  data = (a -> relu) * -(2 + b) ** -3 ** 2 - (1 - (2 - 3)) / (4 / 5) % 6;\n"
  "  logits = c2 + data -> dense(classes, weight=[[.2,-1],[0,3]], bias=[1,2], train=false, pad=same);\n"
  "  return logits;\n"
  "}\n"
  "train lenet on mnist {\n"
  "  loss: softmax_xent(logits, y) -> sum; optimizer: sgd(lr=0.1, momentum=0.9);\n"
  "  schedule: lr = warmup(from=0.005) for 1 epochs then cosine(to=1e-4);\n"
  "  epochs: 12; batch: 64; seed: 1; clip: norm(5);\n"
  "  metrics: accuracy(logits, y), topk(logits, y, k=5); freeze: \"c1.*\", \"c2.*\";\n"
  "  stop when stalled(valid.loss, 4 epochs) or not valid.accuracy < 99.3%;\n"
  "  rng: torch; real: f64; average: ema(0.9, from=2); accumulate: 4;\n"
  "  group \"*.bias\", \"a.*\" { weight_decay: 0; lr_scale: 1e-1; }  # theirs\n"
  "  # often\n"
  "  every 2000 steps { print loss, lr, \"c1.bias\", grad(\"c1.bias\"); /* in */ }\n"
  "  every 2 * 1 epochs { eval valid, test; save \"a.st\";\n"
  "    save best by valid.loss \"b.st\"; # last\n  }\n"
  "}\n"
  "eval lenet on mnist.test { report accuracy(logits, y), confusion(logits, y); }\n"
  "infer lenet { output: softmax(logits) as prob, logits -> relu as q, (logits -> relu) as r; }\n"
  "build { threads: 2; cpu: \"x86-64-v3\"; numerics: fast; memory: 32MB; }\n"
  "# the end\n";

static const char spec_small[] =
  "net 1;\n"
  "param lr = 1e-3; param path = \"q\\n\\t\\\\\\\"\\x07\\xFF\xC3\xA9\";\n"
  "data d { train: line(noise=0.1); field x: f32[2]; field y: f32[1]; }\n"
  "model m(x: f32[2]) -> (a: f32[1], b: f32) { return x -> dense(1), (x); }\n"
  "model n(x: f32[2]) -> f32[1] { y = x -> f(1..3, 4 steps, a.b.c(2), (1 -> g)); return y; }\n"
  "train m on d { loss: mse(a, y); optimizer: sgd; schedule: lr = constant for 100 steps then exp(rate=0.95); }\n";

static const char spec_words[] =
  "net 1; model data(train: f32[1]) -> eval: f32[1] {\n"
  "  field = train -> split -> report(output=stop, schedule=of) as steps;\n"
  "  model = epochs + from * infer.build; loss = metrics; batch = block(seq, token, group);\n"
  "  return model; }\n"
  "train data on train as as_of { build: 1; of: 2; train: from; epochs: steps; }\n"
  "infer output { output: output as output; }\n";

static const char spec_blocks[] =
  "net 1;\n"
  "use \"layers.nn\"; use \"more/heads.nn\";  # both\n"
  "block residual(x: f32[c,h,w], f, stride = 1, wide = 2 * f) -> f32[f, h / stride, w / stride] {\n"
  "  a = x -> conv(f, 3, stride=stride) -> relu;  # first\n"
  "  if c != f or stride != 1 { b = x -> conv(f, 1); } else { b = x; }\n"
  "  # then\n"
  "  if c == 1 { } else if c > 2 { d = x; /* in */ } else { d = a; }\n"
  "  if not true { e = a; }\n"
  "  return a + b;\n"
  "}\n"
  "model block(x) -> (y: f32, z: f32) {\n"
  "  h = x;\n"
  "  repeat i in 1..2 * depth - 1 { h = h -> residual(i, stride=2) as block;\n"
  "    repeat k in 0..i { h = k; } }\n"
  "  y = h; z = h;\n"
  "}\n";

static const char spec_ops[] =
  "net 1;\n"
  "op mish(x: f32[*s]) -> f32[*s] { y[*i] = x[*i] * tanh(log(1 + exp(x[*i]))); }  # smooth\n"
  "op corr1d(x: f32[c,n], w: param f32[f,c,k], b: param f32[f] = normal(std=0.1), steps = 2)\n"
  "  -> (y: f32[f, n-k+1], top: f32) {\n"
  "  /* a sum */ s[f,i] += x[c, i+j] * w[f,c,j];\n"
  "  y[f,i] = s[f,i] + b[f];  # and a bias\n"
  "  top maxof= y[f,steps*i] where i in 0..2, f in -k..(k - 1);\n"
  "  low minof= -x[c, n - 1 - i] ** 2;\n"
  "}\n";

#endif
