#!/bin/sh
# Blocks, repeat, if and use: nets written with them train to the bits of the nets they stand for.
. "$(dirname "$0")/lib.sh"

rest() {
  cat << 'SPEC'
data drawings {
  train: digits(samples=200);
  field x: u8[28,28] as f32[1,28,28] -> div(255);
  field y: u8 as label(10);
}
train resnet on drawings {
  loss: softmax_xent(logits, y);
  optimizer: sgd(lr=0.05, momentum=0.9);
  epochs: 2;
  batch: 32;
  rng: torch;
  metrics: accuracy(logits, y);
}
SPEC
}
block() {
  cat << 'SPEC'
block residual(x: f32[c,h,w], f, stride = 1) -> f32[f, h / stride, w / stride] {
  a = x -> conv(f, 3, stride=stride, pad=1, bias=false) -> batchnorm -> relu -> conv(f, 3, pad=1);
  if c != f or stride != 1 { b = x -> conv(f, 1, stride=stride); } else { b = x; }
  return a + b -> relu;
}
SPEC
}
model() {
  cat << 'SPEC'
param deep = 2;
model resnet(x: f32[1,28,28]) -> logits: f32[10] {
  h = x -> residual(4, stride=2) as down;
  repeat i in 1..deep { h = h -> residual(4); }
  logits = h -> avgpool(7) -> flatten -> dense(10);
}
SPEC
}
{ echo 'net 1;'; rest; block; model; } > net.nn
{
  echo 'net 1;'
  rest
  cat << 'SPEC'
model resnet(x: f32[1,28,28]) -> logits: f32[10] {
  a = x -> conv(4, 3, stride=2, pad=1, bias=false) -> batchnorm -> relu -> conv(4, 3, pad=1);
  b = x -> conv(4, 1, stride=2);
  r = a + b -> relu;
  c = r -> conv(4, 3, pad=1, bias=false) -> batchnorm -> relu -> conv(4, 3, pad=1);
  s = c + r -> relu;
  d = s -> conv(4, 3, pad=1, bias=false) -> batchnorm -> relu -> conv(4, 3, pad=1);
  t = d + s -> relu;
  logits = t -> avgpool(7) -> flatten -> dense(10);
}
SPEC
} > flat.nn

begin 'blocks train as the statements they stand for'
run 0 gradc train net.nn --out blocks --log-steps blocks.csv
run 0 gradc train flat.nn --out flat --log-steps flat.csv
same blocks.csv flat.csv
[ "$(wc -l < blocks.csv)" -eq 15 ] || bad 'blocks.csv has not one line a step'
run 0 gradc summary net.nn
says '^down\.a\.conv1 +conv +f32\[4,14,14\]'
says '^h2\.a\.conv2 '

begin 'every gradient inside blocks is right'
run 0 gradc gradcheck net.nn

begin 'a param decides how often a block is repeated'
run 0 gradc summary net.nn --set deep=3
says '^h3\.a\.conv1 '

begin 'fmt keeps blocks'
cp net.nn tidy.nn
run 0 gradc fmt tidy.nn
run 0 gradc fmt tidy.nn --check
run 0 gradc build net.nn --emit ast -o net.ast
run 0 gradc build tidy.nn --emit ast -o tidy.ast
same net.ast tidy.ast

begin 'used files stand in their place, once, and may lie deeper'
mkdir -p parts/more
{ echo 'net 1;'; echo 'use "more/deep.nn";'; rest; } > parts/rest.nn
{ echo 'net 1;'; block; } > parts/more/deep.nn
{ echo 'net 1;'; echo 'use "parts/rest.nn";'; echo 'use "parts/more/deep.nn";'; model; } > uses.nn
run 0 gradc train uses.nn --out uses --log-steps uses.csv
same uses.csv flat.csv

begin 'what a used file offers need not be used'
{ echo 'net 1;'; echo 'param spare = 3;'; block; } > offers.nn
{ echo 'net 1;'; echo 'use "offers.nn";'; rest; echo 'const idle = 3;'; model; } > takes.nn
run 0 gradc check takes.nn
says '^takes\.nn:[0-9]*:7: warning: const `idle` is never used \[W0302\]'
[ "$(grep -c warning err)" -eq 1 ] || bad "more warnings: $(cat err)"

begin 'mistakes in used files name them'
{ echo 'net 1;'; echo 'block residual(x: f32[c,h,w], f, stride = 1) -> f32[f,h,w] {'
  echo '  return x -> covn(f, 3);'; echo '}'; } > wrong.nn
{ echo 'net 1;'; echo 'use "wrong.nn";'; model; } > uses_wrong.nn
run 1 gradc check uses_wrong.nn
says_once '^wrong\.nn:3:15: error: there is no layer called .covn. \[E0301\]'
says '^uses_wrong\.nn:5:12: note: in the block .residual., called here'

begin 'use stays in the folder, finds circles, and says what is missing'
mkdir sub
{ echo 'net 1;'; echo 'use "../net.nn";'; } > sub/up.nn
run 1 gradc check sub/up.nn
says_once '^sub/up\.nn:2:5: error: `use` cannot leave the folder of the spec: ../net.nn \[E0318\]'
{ echo 'net 1;'; echo "use \"$work/net.nn\";"; } > sub/absolute.nn
run 1 gradc check sub/absolute.nn
says_once 'cannot leave the folder'
ln -s "$work/net.nn" sub/link.nn
{ echo 'net 1;'; echo 'use "link.nn";'; } > sub/linked.nn
run 1 gradc check sub/linked.nn
says_once "error: 'link.nn' is a link that leaves the folder of the spec \[E0318\]"
{ echo 'net 1;'; echo 'use "b.nn";'; } > a.nn
{ echo 'net 1;'; echo 'use "a.nn";'; } > b.nn
run 1 gradc check a.nn
says_once "^b\.nn:2:5: error: 'a.nn' uses itself \[E0318\]"
{ echo 'net 1;'; echo 'use "none.nn";'; } > missing.nn
run 5 gradc check missing.nn
says_once "^missing\.nn:2:5: error: cannot open 'none.nn': No such file or directory \[E0702\]"
{ echo 'block b(x) -> f32 { return x; }'; } > headless.nn
{ echo 'net 1;'; echo 'use "headless.nn";'; model; } > uses_headless.nn
run 1 gradc check uses_headless.nn
says_once '^headless\.nn:1:1: error: a spec starts with .net 1;. \[E0108\]'
# many N BODY: a net of N rounds of the body
many() {
  cat << SPEC
net 1;
data d { train: digits(samples=32); field x: u8[28,28] as f32[784] -> div(255);
  field y: label(10); }
model many(x: f32[784]) -> z: f32[10] {
  h = x -> dense(8);
  repeat i in 1..$1 { h = h -> $2; }
  z = h -> dense(10);
}
train many on d { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 8; }
SPEC
}

begin 'thousands of layers are compiled, a million are one error'
many 3000 'dense(8) -> tanh' > many.nn
run 0 timeout 300 gradc check many.nn
many 10000 'dense(8) -> tanh' > many.nn
run 6 timeout 300 gradc check many.nn
says_once 'the model has more than 16384 operations \[E0603\]'
many 1000000 'tanh' > many.nn
run 6 timeout 300 gradc check many.nn
says_once 'more than 16384 '
finish
