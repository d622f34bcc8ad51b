#!/bin/sh
# Several models, data and train blocks in one spec: each train block is a program of its own.
. "$(dirname "$0")/lib.sh"

cat > several.nn << 'SPEC'
net 1;
param wide = 8;
param rate = 0.1;
data rings { train: circles(samples=200, noise=0.1); test: circles(samples=80, seed=3);
  field x: f32[2]; field y: label(2); }
data halves { train: moons(samples=150, noise=0.1); test: moons(samples=90, seed=3);
  field x: f32[2]; field y: label(2); }
block body(x: f32[n], units) -> f32[units] { return x -> dense(units) -> tanh; }
model small(x: f32[2]) -> z: f32[2] { z = x -> dense(2); }
model large(x: f32[2]) -> z: f32[2] { z = x -> body(wide) -> dense(2); }
train large on rings { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 2; batch: 20; }
train large on halves as fine { loss: softmax_xent(z, y); optimizer: sgd(lr=rate); epochs: 3;
  batch: 50; }
train small on halves { loss: softmax_xent(z, y); optimizer: adam(lr=rate); epochs: 1; batch: 10; }
eval large on rings.test { report accuracy(z, y); }
eval large on halves.test { report topk(z, y, k=2); }
eval small on halves.test { report mean(loss); }
infer large { output: softmax(z) as prob; }
infer small { output: z; }
SPEC

begin 'all programs are checked, and what one of them uses is used'
run 0 gradc check several.nn
[ "$(cat out err)" = 'several.nn: no mistakes found' ] || { bad 'check says more'; cat out err; }

begin 'the first train block is the default, and is named'
run 0 gradc train several.nn --out first --log-steps first.csv
says '^several\.nn: train block .large.; --train chooses another: fine small$'
[ "$(wc -l < first.csv)" -eq 21 ] || bad 'not 2 epochs of 10 steps'
says '^test: loss .*, accuracy'

begin '--train chooses'
run 0 gradc train several.nn --train fine --out fine --log-steps fine.csv
[ "$(wc -l < fine.csv)" -eq 10 ] || bad 'not 3 epochs of 3 steps'
says '^test: loss .*, top2'
says 'next +gradc eval several\.nn --train fine'
run 0 gradc train several.nn --train=small --out small --log-steps small.csv
[ "$(wc -l < small.csv)" -eq 16 ] || bad 'not 1 epoch of 15 steps'

begin 'a program starts from the weights of another of the same model'
run 0 gradc train several.nn --train fine --weights first --out tuned --log-steps tuned.csv
cmp -s tuned.csv fine.csv && bad 'the weights are not read'
run 0 gradc eval several.nn --train fine --weights tuned

begin 'a name that is none'
run 1 gradc train several.nn --train fin
says_once '--train fin: the spec has no train block of that name \[E0310\]'
says 'did you mean .fine.'
cat > named.nn << 'SPEC'
net 1;
data d { train: moons(samples=20); field x: f32[2]; field y: label(2); }
model m(x: f32[2]) -> z: f32[2] { z = x -> dense(2); }
train m on d as short { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 5; }
SPEC
run 1 gradc eval named.nn --train m
says_once '--train m: the spec has no train block of that name \[E0310\]'
says 'the model .m. is trained by --train short'

begin 'mistakes in programs that are not chosen are found'
sed 's/adam(lr=rate)/adam(lr=-1)/' several.nn > wrong.nn
run 1 gradc check wrong.nn
says_once '^wrong\.nn:14:70: error: .lr. must be at least 0, not -1 \[E0304\]'
sed 's/on halves as fine/on halves/' several.nn > twice.nn
run 1 gradc check twice.nn
says_once '^twice\.nn:12:7: error: there are two train blocks called .large. \[E0306\]'
sed 's/model small/model large/' several.nn > models.nn
run 1 gradc check models.nn
says 'there are two models called .large. \[E0306\]'
sed 's/eval small on halves/eval small on rings/' several.nn > other.nn
run 1 gradc check other.nn
says_once '^other\.nn:17:15: error: this block reads the data .rings., but .* .halves. \[E0411\]'

begin 'a remark on what programs share is made once'
sed 's/model large(x: f32\[2\]) -> z: f32\[2\] {/& u = x -> relu;/' several.nn > remark.nn
run 0 gradc check remark.nn
[ "$(grep -c W0301 err)" -eq 1 ] || bad 'not one remark'
finish
