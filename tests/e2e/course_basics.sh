#!/bin/sh
# Examples of a course that need one feature each: they print what their first comments show, and
# what they teach is computed here a second time.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
cp -r "$SOURCE/examples" examples
data=${GRADC_TEST_DATA:-}
course=examples/course

for name in untrained xor_learnt least_squares multiclass activations marks batch_norm \
  augmentation resnet20; do
  begin "$name prints what its first comment shows"
  run 0 gradc check $course/$name.nn
  shown $course/$name.nn
done
if [ -n "$data" ] && [ -d "$data/housing" ]; then
  begin 'housing_losses prints what its first comment shows'
  shown $course/housing_losses.nn "$data"
else
  skip 'housing_losses prints what its first comment shows' 'no housing below GRADC_TEST_DATA'
fi

begin 'untrained: a hundred samples a row, and the diagonal is the accuracy'
run 0 gradc eval $course/untrained.nn --untrained
awk '/accuracy/ { sub(/.*accuracy /, ""); percent = $1 }
  /^ +[0-9] / && NF == 11 {
    sum = 0
    for (i = 2; i <= 11; i++) sum += $i
    rows += sum == 100; right += $($1 + 2)
  }
  END { exit !(rows == 10 && right / 10 == percent && percent > 2 && percent < 25) }' out ||
  bad 'rows, diagonal and accuracy do not agree'

begin 'least_squares: a sum with a smaller step learns what the mean learns, to the bit'
for name in by_mean by_sum; do tail -c 484 runs/$name/last.safetensors > $name.weights; done
same by_mean.weights by_sum.weights

begin 'activations: tanh(a / 2) = 2 logistic(a) - 1, in double and in float'
awk 'BEGIN { for (a = -6; a <= 6; a += 0.25) print a }' > numbers.csv
for real in f64 f32; do
  run 0 gradc predict $course/activations.nn numbers.csv --set real=$real --out functions.csv
  awk -F , -v real=$real '
    function off(x, y) { x -= y; return x < 0 ? -x : x }
    NR > 1 {
      a = $3; e = real == "f64" ? 1e-8 : 5e-7
      if (off($14, $15) > e || off($14, 1 - 2 / (1 + exp(a))) > e) print "tanh(a/2), a = " a
      if (off($6, 1 - 2 / (1 + exp(2 * a))) > e || off($7, 1 / (1 + exp(-a))) > e) print "tanh " a
      if ($4 != (a > 0) - (a < 0) || $5 != (a >= 0) || $8 != (a > 0 ? a : 0)) print "steps " a
      if (off($9, log(1 + exp(a))) > 4 * e || off($10, a > 0 ? a : a / 100) > e) print "relus " a
      if (off($11, a > 0 ? a : exp(a) - 1) > e) print "elu " a
      if (off($13, a / (1 + exp(-a))) > 4 * e) print "silu " a
      n++
    }
    END { if (n != 49) print n " rows" }' functions.csv > out
  [ ! -s out ] || bad "$real: $(head -n 3 out)"
done
for step in sign heaviside; do
  sed "s/-> tanh ->/-> $step ->/" $course/multiclass.nn > steps.nn
  run 1 gradc check steps.nn
  says "\`$step\` has no gradient, but trainable parameters lie before it \[E0404\]"
  says '^help: train with `[a-z]*` in its place'
done

begin 'marks: relu(W x + b) of the table, computed here'
awk -F , 'NR > 1 {
  a = ($2 + $3 + $4 + $7 + $8) / 5 - 10; b = ($5 + $6) / 2 - 10
  printf "%.6g %.6g\n", (a > 1e-9 ? a : 0), (b > 1e-9 ? b : 0) }' $course/marks.csv > want
run 0 gradc predict $course/marks.nn $course/marks.csv
sed 's/.* passed //' out > got
same want got

begin 'batch_norm: training uses the batch, prediction does not'
run 1 gradc train $course/batch_norm.nn --set batch=1
says 'training needs more than one value a channel, but a batch of 1 gives one \[E0415\]'
run 1 gradc check $course/batch_norm.nn --set batch=1999
says 'the last batch of 2000 samples in batches of 1999 has one \[E0415\]'
printf 'x,y\n1,1\n2,3\n3,2\n4,5\n5,4\n' > five.csv
cat > five.nn << 'SPEC'
net 1;
data five { train: csv("five.csv"); field x: f32[1] from "x"; field y: f32[1] from "y"; }
model m(x: f32[1]) -> out: f32[1] { out = x -> dense(4) -> batchnorm as norm -> dense(1); }
train m on five { loss: mse(out, y); optimizer: sgd(lr=0.01); epochs: 2; batch: 4; }
SPEC
run 3 gradc train five.nn
says_once 'norm cannot train: the last batch of 5 samples in batches of 4 has one'
run 0 gradc train five.nn --batch 3
images() { printf '\000\000\010\003\000\000\000'"\\$1"'\000\000\000\034\000\000\000\034'; }
LC_ALL=C awk 'BEGIN { for (i = 0; i < 40 * 784; i++) printf "%c", 1 + i * i * 7919 % 127 }' > pixels
{ images 050; cat pixels; } > many.idx
{ images 001; tail -c +4705 pixels | head -c 784; } > one.idx      # the seventh
run 0 gradc predict $course/batch_norm.nn many.idx --weights runs/normed --out many.out
run 0 gradc predict $course/batch_norm.nn one.idx --weights runs/normed --out one.out
[ "$(wc -l < many.out)" -eq 41 ] || bad 'not a row for each image'
sed -n 8p many.out | cut -d , -f 3- > a
sed -n 2p one.out | cut -d , -f 3- > b
[ -s a ] && same a b
for net in normed bare; do      # with a step of 0 only the mode can make a difference
  run 0 gradc train $course/batch_norm.nn --train $net --weights runs/$net --out still --lr 0 \
    --epochs 1
  trained=$(sed -n 's/.*done train_loss=\([0-9.]*\).*/\1/p' err)
  run 0 gradc eval $course/batch_norm.nn --train $net --weights runs/$net --split train
  difference=$(sed -n 's/^train: loss \([0-9.]*\),.*/\1/p' out | awk -v t="$trained" '
    { d = $1 - t; d = d < 0 ? -d : d; print (d > 1e-4 ? "different" : "equal") }')
  case $net-$difference in
    normed-different | bare-equal) ;;
    *) bad "$net: training and prediction give $difference losses" ;;
  esac
done

begin 'a table: predict scales by what training stored, not by the rows at hand'
run 0 gradc new rents --template table
run 0 gradc train rents.nn --epochs 5
run 0 gradc predict rents.nn rents.csv
sed -n 's/^rents.csv.8.  //p' out > want
sed -n '1p;10p' rents.csv > one.csv
run 0 gradc predict rents.nn one.csv
sed -n 's/^one.csv.0.  //p' out > got
[ -s want ] && same want got

begin 'augmentation: evaluation sees samples as they are'
run 0 gradc eval $course/augmentation.nn --train as_they_are --weights runs/as_they_are
grep '^test:' out > want
run 0 gradc eval $course/augmentation.nn --train changed --weights runs/as_they_are
grep '^test:' out > got
same want got
finish
