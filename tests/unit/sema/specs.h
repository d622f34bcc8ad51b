/* Two right specs; wrong ones differ from them in one place. */
#ifndef GRADC_TESTS_SEMA_SPECS_H
#define GRADC_TESTS_SEMA_SPECS_H

static const char lenet[] =
  "net 1;\n"                                                                            /* 1 */
  "param rate = 0.1;\n"
  "param classes = 10;\n"
  "data digits28 {\n"
  "  train: digits(samples=500);\n"                                                     /* 5 */
  "  test: digits(samples=100, seed=2);\n"
  "  split: valid = 10% of train;\n"
  "  field x: u8[28,28] as f32[1,28,28] -> div(255) -> standardize(mean=0.1307, std=0.3081);\n"
  "  field y: u8 as label(classes);\n"
  "}\n"                                                                                 /* 10 */
  "model lenet(x: f32[1,28,28]) -> logits: f32[classes] {\n"
  "  c1 = x -> conv(6, 5, pad=2) -> relu -> maxpool(2);\n"
  "  c2 = c1 -> conv(16, 5) -> relu -> maxpool(2);\n"
  "  h = c2 -> flatten -> dense(120) -> relu -> dense(84) as f2 -> relu;\n"
  "  logits = h -> dense(classes);\n"                                                   /* 15 */
  "}\n"
  "train lenet on digits28 {\n"
  "  loss: softmax_xent(logits, y);\n"
  "  optimizer: sgd(lr=rate, momentum=0.9);\n"
  "  schedule: lr = warmup(from=0.005) for 1 epochs then cosine(to=1e-4);\n"            /* 20 */
  "  epochs: 3;\n"
  "  batch: 64;\n"
  "  metrics: accuracy(logits, y), topk(logits, y, k=3);\n"
  "  clip: norm(5);\n"
  "  freeze: \"c1.*\";\n"                                                               /* 25 */
  "  stop when valid.accuracy >= 99% or stalled(valid.loss, 4 epochs);\n"
  "}\n"
  "eval lenet on digits28.test { report accuracy(logits, y), mean(loss), confusion(logits, y); }\n"
  "infer lenet { output: softmax(logits) as prob, logits; }\n"
  "build { threads: auto; numerics: reproducible; }\n";                                 /* 30 */

static const char table[] =
  "net 1;\n"                                                                            /* 1 */
  "data homes {\n"
  "  source: csv(\"homes.csv\", missing=mean);\n"
  "  split: train = 80%, valid = 20%;\n"
  "  field x: f32[8] from \"longitude..income\" -> standardize(fit=train);\n"           /* 5 */
  "  field y: f32 from \"value\" -> div(100000);\n"
  "}\n"
  "model homes_net(x: f32[8]) -> price: f32[1] {\n"
  "  h = x -> dense(16) -> tanh;\n"
  "  s = h -> dense(16, init=normal(std=0.01), bias=false);\n"                          /* 10 */
  "  price = 0.5 * s + h -> relu -> dense(1);\n"
  "}\n"
  "train homes_net on homes {\n"
  "  loss: mse(price, y) -> mean;\n"
  "  optimizer: adam;\n"                                                                /* 15 */
  "  epochs: 20;\n"
  "  metrics: mae(price, y), r2(price, y), loss;\n"
  "}\n";

static const char speech[] =
  "net 1;\n"                                                                            /* 1 */
  "data talk {\n"
  "  source: text(\"a.txt\");\n"
  "  window: 8;\n"
  "  field x: token[8];\n"                                                              /* 5 */
  "  field y: token = next(x);\n"
  "  split: train = 90%, valid = 10%;\n"
  "}\n"
  "model m(x: token[8]) -> z: f32[2] { z = x -> embedding(4) -> flatten -> dense(talk.vocab); }\n"
  "train m on talk { loss: softmax_xent(z, y); optimizer: adam; epochs: 2; }\n";        /* 10 */

#endif
