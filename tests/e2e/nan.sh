#!/bin/sh
# A value that is not finite is named: step, layer, line, direction and tensor, from the beginning
# of a run and from its checkpoints, whatever the number of threads.
. "$(dirname "$0")/lib.sh"

# spec NAME TYPE MODEL [TRAIN]: a regression on points of a line; the model stands in line 8.
spec() {
  cat > "$1.nn" << SPEC
net 1;
data points {
  train: line(samples=200);
  field x: f32[1];
  field y: f32[1];
}
model $1(x: f32[1]) -> out: f32[1] {
  $3
}
train $1 on points {
  loss: mse(out, y);
  optimizer: sgd(lr=0.01, momentum=0.9);
  epochs: 3;
  batch: 32;
  real: $2;
  ${4:-}
}
SPEC
}

# names NAME STEP LAYER DIRECTION TENSOR VALUE: with 1, 2 and 3 threads the same.
names() {
  program "$1" || bad "$1 does not compile"
  for threads in 1 2 3; do
    run 7 "./$1" --threads $threads --quiet --out "run_$1"
    says "first bad value: layer '$3' \($1.nn:[0-9]+\), $4, tensor $5[ ,].*: $6\$"
    says "arises in step $2 "
    [ $threads -eq 1 ] && cp err first
    same first err
  done
}

for real in f32 f64; do
  begin "logarithm of negative numbers, $real"
  spec log_$real $real 'out = x -> dense(5) -> log -> dense(1);'
  names log_$real 1 out.log forward out_log nan

  begin "gradient of the square root at zero, $real"
  spec root_$real $real 'h = x -> dense(5, init=zeros, bias=false) -> sqrt; out = h -> dense(1);'
  names root_$real 1 h.sqrt backward h_sqrt_div inf

  begin "overflow of the exponential, $real"
  spec exp_$real $real 'h = x * 10000 -> dense(5) -> exp; out = h -> dense(1);'
  names exp_$real 1 h.exp forward h_exp inf
done

begin 'the page of a run tells that it failed, also in the place of an earlier one'
spec later f32 'out = x -> dense(5) -> dense(1);'
run 0 gradc train later.nn --epochs 1 --out run_later -q
grep -q 'Training finished' run_later/report.html || bad 'no report'
run 7 gradc train later.nn --lr 1e30 --out run_later -q
grep -q 'No results</strong> after 0 epochs' run_later/report.html || bad 'there are results'
grep -q 'Training ended after step [0-9]*: a number was not finite' run_later/report.html ||
  bad 'the failure is not told'

begin 'variance of values that are too large, under clipping'
spec norm f32 'h = x * 1e25 -> dense(5) -> batchnorm; out = h -> dense(1);' 'clip: norm(1);'
names norm 1 h.batchnorm forward 'h_batchnorm_bn_stats_1' inf

begin 'values too large for the gradient, fused to its update'
spec huge f32 'h = x * 1e30 -> dense(5, init=constant(1e-30)); out = h * 1e18 -> dense(1);'
names huge 1 h.dense 'backward and update' sgd.momentum.h.weight inf

small_spec | sed 's/adam(lr=0.003)/sgd(lr=0.1)/' > small.nn
begin 'a learning rate far too large, from the beginning'
run 7 gradc train small.nn --lr 1e30 --out wild --threads 2
says '(small|gradc): error: the loss is (nan|inf) at step 2 \(epoch 1, batch 2\), lr 1e\+30'
says 'replaying 2 steps from the beginning to find the source'
says "first bad value: layer '[a-z0-9.]+' \(small.nn:[0-9]+\), (forward|backward), tensor "
says 'help: a smaller learning rate'

begin 'and from the checkpoint that a run goes on from'
run 0 gradc train small.nn --out good --steps 13
run 7 gradc train small.nn --out good --resume --lr 1e30 --threads 1
says 'replaying [12] steps? from good/last.safetensors'
grep 'note: first bad' err > one
run 7 gradc train small.nn --out elsewhere --resume good --lr 1e30 --threads 2
says 'replaying [12] steps? from good/last.safetensors'
grep 'note: first bad' err | cmp -s - one || bad 'another run directory finds another place'

begin 'an event of JSON carries the place'
run 7 gradc train small.nn --out good --resume --lr 1e30 --json --threads 2
says '"event":"nonfinite","step":1[45],.*"layer":"[a-z0-9.]+","place":"small.nn:[0-9]+"'
says '"event":"run_end","status":"failed","exit":7'

# Training rows are above 0, the third row of the split that is watched is not.
printf 'x,y\n1,0\n2,1\n3,1\n4,2\n' > above.csv
printf 'x,y\n1,0\n2,1\n-3,1\n' > below.csv
spec watched f32 'out = x -> log -> dense(1);' 'metrics: mae(out, y);'
sed 's/train: line(samples=200);/train: csv("above.csv"); valid: csv("below.csv");/
  s/\(field \(.\): f32\[1\]\)/\1 from "\2"/; s/  epochs: 3;/  epochs: EPOCHS;/' \
  watched.nn > splits.nn
sed 's/EPOCHS/3/' splits.nn > watched.nn

begin 'an evaluation that is not finite ends the run'
program watched
for how in './watched train' 'gradc train watched.nn'; do
  run 7 $how --out bad --threads 2
  says_once "error: the loss on 'valid' is nan\$"
  says "sample 2 of 'valid' is the first \(row 2 of the data\)"
  says "first bad value: layer 'out.log' \(watched.nn:[0-9]+\), forward, tensor .*: nan\$"
  says 'this is after step 1 \(epoch 1\)'
done
run 7 gradc train watched.nn --json --out bad
says '"event":"nonfinite","split":"valid","sample":2,"layer":"out.log","place":"watched.nn:8"'
says '"event":"run_end","status":"failed","exit":7'

begin 'the checkpoint before it stays, and its evaluation fails as well'
three='s/valid: csv/valid: csv("above.csv"); test: csv/'
sed "$three; s/EPOCHS/2/" splits.nn > watched.nn
run 7 gradc train watched.nn --out kept
says_once "the loss on 'test' is nan"
[ -s kept/last.safetensors ] || bad 'the weights are lost'
run 7 gradc eval watched.nn --weights kept
says_once "the loss on 'test' is nan"
sed "$three; s/EPOCHS;/4; every 2 steps { eval test; }/" splits.nn > watched.nn
run 7 gradc train watched.nn --out every
says 'last good checkpoint: every/last.safetensors \(step 1\)'
[ -s every/last.safetensors ] || bad 'the checkpoint before it is lost'

begin 'a state that an evaluation carries on until it is not finite'
printf abababab > train.txt
awk 'BEGIN { while (n++ < 400) printf "ab" }' > valid.txt
cat > carried.nn << 'SPEC'
net 1;
data letters {
  train: text("train.txt");
  valid: text("valid.txt");
  window: 4;
  streams: true;
  field x: token[4];
  field y: token[4] = next(x);
}
model carried(x: token[4]) -> z: f32[4,letters.vocab] {
  h = x -> one_hot -> rnn(3, activation=relu, carry=true, init=constant(1));
  z = h -> dense(letters.vocab);
}
train carried on letters {
  loss: softmax_xent(z, y);
  optimizer: sgd(lr=1e-9);
  epochs: 1;
  batch: 2;
}
SPEC
for threads in 1 2; do
  run 7 gradc train carried.nn --threads $threads --out carried
  says_once "error: the loss on 'valid' is nan\$"
  says "sample 40 of 'valid' is the first \(row 20 of the data\)"
  says "first bad value: layer 'h.rnn' \(carried.nn:11\), forward, tensor .*: inf\$"
done

begin 'data that is not finite is refused before the first step'
printf 'x,y\n1,2\nnan,3\n4,1e999\n' > points.csv
sed 's/line(samples=200)/csv("points.csv")/; s/\(field \(.\): f32\[1\]\)/\1 from "\2"/' \
  log_f32.nn > table.nn
run 3 gradc train table.nn --out table
says 'points.csv.*(nan|1e999)'

finish
