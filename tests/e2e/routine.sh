#!/bin/sh
# What training can do beside steps: sums of batches, groups of parameters, averages, what happens
# every so often, weights from other nets, cross-validation, a test of rates.
. "$(dirname "$0")/lib.sh"

spec() {                        # spec OPTIMIZER LINES: on 37 samples in double
  cat << SPEC
net 1;
data d {
  train: moons(samples=37, noise=0.1);
  valid: moons(samples=21, noise=0.1, seed=3);
  field x: f32[2];
  field y: label(2);
}
model m(x: f32[2]) -> z: f32[2] { z = x -> dense(5) -> tanh -> dense(2) as fc; }
train m on d {
  loss: softmax_xent(z, y);
  optimizer: $1;
  epochs: 3;
  seed: 4;
  real: f64;
  metrics: accuracy(z, y);
  $2
}
SPEC
}

train() {                       # train OUT WORD..: of the spec in m.nn
  out=$1
  shift
  run 0 gradc train m.nn --progress none --out "$out" "$@"
}

near() {                        # near FILE FILE: numbers differ by rounding alone
  awk 'NR == FNR { line[NR] = $0; n = NR; next }
    { split(line[FNR], a, /[^-+.e0-9]+/); m = split($0, b, /[^-+.e0-9]+/)
      for (i = 1; i <= m; i++) { d = a[i] - b[i]; if (d > 1e-11 || d < -1e-11) bad++ } }
    END { exit !(!bad && FNR == n && n > 0) }' "$1" "$2" || bad "$1 and $2 differ"
}

watch='every 1 steps { print loss, grad_norm, "fc.bias", grad("fc.weight"); }'
begin 'accumulate: four batches of 2 are one of 8, the last ones too'
for optimizer in 'sgd(lr=0.3, momentum=0.9)' 'adam(lr=0.05)'; do
  spec "$optimizer" "batch: 8; clip: norm(0.3); $watch" > m.nn
  train whole
  grep '^step' out > whole.steps
  spec "$optimizer" "batch: 2; accumulate: 4; clip: norm(0.3); $watch" > m.nn
  train parts --threads 1
  grep '^step' out > parts.steps
  [ "$(wc -l < parts.steps)" -eq 15 ] || bad 'a step is not four batches'
  near whole.steps parts.steps
done
train three --threads 3
same parts/last.safetensors three/last.safetensors
sed 's/-> sum//; s/softmax_xent(z, y)/& -> sum/; s/batch: 2; accumulate: 4/batch: 8/' m.nn > sum.nn
sed 's/softmax_xent(z, y)/& -> sum/' m.nn > parts.nn
run 0 gradc train sum.nn --progress none --out sum
grep '^step' out > whole.steps
run 0 gradc train parts.nn --progress none --out sum
grep '^step' out > parts.steps
near whole.steps parts.steps

begin 'batch: all of a table is one step, with the bits of its parts for any number of threads'
python3 - > all.csv << 'PY'
import random
random.seed(3)
print('a,b,c')
for i in range(700):
    a, b = random.gauss(0, 1), random.gauss(0, 1)
    print('%.4f,%.4f,%d' % (a, b, a > b))
PY
spec 'adam(lr=0.05)' "batch: all; clip: norm(0.3); $watch" |
  sed 's/train: .*/source: csv("all.csv"); split: train = 630, valid = 70;/; /valid: moons/d
       s/f32\[2\];/f32[2] from "a, b";/; s/label(2);/label(2) from "c";/' > m.nn
train whole
grep '^step' out > whole.steps
[ "$(wc -l < whole.steps)" -eq 3 ] || bad 'an epoch is not one step'
train three --threads 3
same whole/last.safetensors three/last.safetensors
train stopped --steps 1
train stopped --resume
same whole/last.safetensors stopped/last.safetensors
train once --set batch=630
grep '^step' out > once.steps
near whole.steps once.steps
sed 's/csv("all.csv")/csv("all.csv", missing=skip)/; s/batch: all/batch: 32/' m.nn > skip.nn
run 0 gradc train skip.nn --set batch=all --progress none --out skipped
same whole/metrics.csv skipped/metrics.csv

begin 'group: a rate of its own, no decay of its own, the first one wins'
spec 'sgd(lr=0.2, weight_decay=0.1)' "batch: 8; $watch" > m.nn
train plain
grep '^step 1:' out > plain.step
spec 'sgd(lr=0.1, weight_decay=0.1)' \
  "batch: 8; group \"fc.*\" { lr_scale: 2; } group \"*\" { lr_scale: 1e-9; } $watch" > m.nn
train group
grep '^step 1:' out > group.step
near plain.step group.step
spec 'sgd(lr=0.2)' "batch: 8; $watch" > m.nn
train free
spec 'sgd(lr=0.2, weight_decay=0.1)' "batch: 8; group \"*\" { weight_decay: 0; } $watch" > m.nn
cp out free.out
train freed
near free.out out

begin 'average: resumed and stopped anywhere, the bits are those of a run never stopped'
for average in polyak 'ema(0.9, from=2)'; do
  spec 'adam(lr=0.05)' "batch: 4; accumulate: 2; average: $average; $watch
    every 7 steps { print loss; eval valid; save best by valid.loss \"b.safetensors\"; }" > m.nn
  rm -rf straight resumed
  train straight
  grep '^step' out > straight.out
  train resumed --steps 6
  grep '^step' out > resumed.out
  train resumed --resume
  grep '^step' out >> resumed.out
  same straight.out resumed.out
  same straight/last.safetensors resumed/last.safetensors
  same straight/b.safetensors resumed/b.safetensors
done
grep -a -q unaveraged.fc.weight straight/last.safetensors || bad 'the moving weights are not saved'
begin 'average: what is saved is what was evaluated'
train straight --json
last=$(sed -n 's/.*"event":"run_end".*"valid_loss":\([^,]*\).*/\1/p' out)
run 0 gradc eval m.nn --weights straight/last.safetensors --split valid --json
says "\"loss\":$last[,}]"

begin 'plateau: the rate falls when the validation loss does not, also after a resume'
spec 'sgd(lr=0.001)' 'batch: 8; schedule: lr = plateau(0.5, patience=1, threshold=0.9);' > m.nn
train straight --epochs 9
cut -d , -f 3 straight/metrics.csv | tail -n 9 | tr '\n' ' ' > out
grep -q '^0.001 0.001 0.001 0.0005 0.0005 0.00025 0.00025 0.000125 0.000125 $' out ||
  bad "rates $(cat out)"
rm -rf resumed
train resumed --epochs 4
train resumed --epochs 9 --resume
same straight/last.safetensors resumed/last.safetensors

begin '--init: what the file has and the pattern names; other shapes are listed together'
spec 'sgd(lr=0)' "batch: 8; every 1 steps { print \"fc.weight\", \"fc.bias\"; }" > m.nn
train old --seed 9
grep '^step 15' out | sed 's/.*fc.weight/fc.weight/; s/, fc.bias.*//' > want
train new --init old:fc.weight
says '1 of 4 tensors from old/'
grep '^step 1:' out | sed 's/.*fc.weight/fc.weight/; s/, fc.bias.*//' > got
same want got
sed 's/dense(5)/dense(6)/' m.nn > wide.nn
run 4 gradc train wide.nn --init old
says "does not fit this net: 'z.weight' is \[5,2\], here \[6,2\]; .*'fc.weight' is \[2,5\]"
run 0 gradc train wide.nn --init 'old:fc.bias' --progress none
run 4 gradc train wide.nn --init 'old:c9.*'
says "no tensor of this net that 'c9.\\*' names"

begin 'init: the spec names weights to start from, as --init does'
run 0 gradc train wide.nn --init 'old:fc.bias' --progress none --out asked
cp old/last.safetensors start.safetensors
sed 's/  seed: 4;/&\n  init: "start.safetensors:fc.bias";/' wide.nn > init.nn
run 0 gradc train init.nn --progress none --out named
says '^1 of 4 tensors from \./start.safetensors'
same asked/metrics.csv named/metrics.csv
run 0 gradc train init.nn --progress none --out again --init asked
says '^4 of 4 tensors from asked/'
rm start.safetensors
run 4 gradc train init.nn --progress none --out named

begin 'a range of rates: a table, a proposal, and no files'
rm -rf runs
run 0 gradc train m.nn --lr-range 1e-4..10 --steps 50
says '^try --lr 0\.[0-9]+: there the loss falls fastest'
[ ! -e runs ] || bad 'files are left'
run 0 gradc train m.nn --lr-range 1e-4..10 --steps 50 --out range
pick=$(sed -n 's/^try --lr \([0-9.]*\):.*/\1/p' out)
grep -q "falls fastest: $pick</text>" range/lr_range.html || bad 'the page lacks the rate'
grep -q '>0.01</text>.*' range/lr_range.html || bad 'the rates are not along the picture'
run 2 gradc train m.nn --lr-range 1..0.1
says 'takes two rates such as 1e-6..1'

begin 'folds: figures of each, their mean, and what cannot be'
sed 's/^  valid.*//' m.nn > f.nn
printf 'eval m on d.train { report confusion(z, y); }\n' >> f.nn
run 0 gradc train f.nn --folds 4 --out folds
[ "$(grep -c '^fold [1-4] of 4: valid_loss' out)" -eq 4 ] || bad 'there are not four folds'
says '^mean of 4 folds: valid_loss .* \+- .*, valid_accuracy .* % \+- '
run 2 gradc train f.nn --folds 4 --resume
run 3 gradc train f.nn --folds 40
says 'there are only 37 rows to deal'
run 8 gradc train f.nn --folds 2 --require 'valid.accuracy>=2'

begin 'folds: a split `valid` with samples of its own stands aside'
sed 's/samples=21/samples=500/' m.nn > aside.nn
for name in f aside; do
  run 0 gradc train $name.nn --folds 3 --out $name.folds --silent
done
for k in 1 2 3; do same f.folds/fold$k/metrics.csv aside.folds/fold$k/metrics.csv; done

begin 'folds of a stratified split: each has all classes, also where these are equally many'
cat > s.nn << 'SPEC'
net 1;
data d {
  source: blobs(samples=90, classes=3, noise=0.2);
  split: train = 80%, valid = 20%;
  field x: f32[2] -> standardize(fit=train);
  field y: label(3);
  stratify: y;
}
model m(x: f32[2]) -> z: f32[3] { z = x -> dense(8) -> tanh -> dense(3); }
train m on d {
  loss: softmax_xent(z, y);
  optimizer: adam(lr=0.05);
  epochs: 20;
  batch: 8;
  metrics: accuracy(z, y);
  every 1 epochs { print grad_norm; }
}
SPEC
run 0 gradc train s.nn --folds 3 --progress none --out strata --require 'valid.accuracy>=0.9'
run 0 gradc train s.nn --epochs 1 --progress none --out strata
says '^epoch 1: grad_norm '

begin 'dropout in predictions: only where there is some'
printf '1,2\n' > in.csv
run 2 gradc predict m.nn in.csv --untrained --mc 10
says 'no dropout'
run 2 gradc predict m.nn in.csv --untrained --mc 0
says 'whole number from 1'

begin 'dropout in evaluations: the mean of passes, the same every time'
sed 's/-> tanh -> dense/-> tanh -> dropout(0.5) -> dense/' m.nn > drop.nn
run 0 gradc train drop.nn --progress none --out drop
for passes in 1 40; do
  run 0 gradc eval drop.nn --weights drop --split valid --json --mc $passes
  cp out mc.$passes
  run 0 gradc eval drop.nn --weights drop --split valid --json --mc $passes --threads 3
  same mc.$passes out
done
cmp -s mc.1 mc.40 && bad 'passes change nothing'
run 2 gradc eval m.nn --untrained --mc 10
says 'what eval computes has no dropout'

begin 'text from a net that knows no tokens'
run 2 gradc generate m.nn --prompt x
says 'this net writes no text'

finish
