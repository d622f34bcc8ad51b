#!/bin/sh
# Examples of a course that show how nets are trained: they reach what their first comments say, and
# what they teach is computed here a second time.
. "$(dirname "$0")/lib.sh"
cp -r "$SOURCE/examples/course" course

train() {                       # train NAME [WORD..]: leaves what it prints in out
  name=$1
  shift
  run 0 gradc train "course/$name.nn" --progress none --threads 1 --out "runs/$name" "$@"
}

figure() {                      # figure NAME: the last number behind this word in the output
  awk -v name="$1" '{ for (i = 1; i < NF; i++) if ($i == name) v = $(i + 1) }
    END { sub(/,$/, "", v); print v }' out
}

holds() {                       # holds 'EXPRESSION' WHAT: in awk
  awk "BEGIN { exit !($1) }" || bad "$2: $1"
}

begin 'last_layer: only the last layer has code for gradients'
backward() { grep 'GRADRT_BACKWARD' net.c | grep -c '"c[12]'; }
run 0 gradc build course/last_layer.nn --thin -q -o net.c
[ "$(backward)" -eq 0 ] || bad 'a frozen layer has a backward kernel'
grep -q 'GRADRT_BACKWARD' net.c || bad 'no layer has a backward kernel'
sed '/freeze/d' course/last_layer.nn > thawed.nn
run 0 gradc build thawed.nn --thin -q -o net.c
[ "$(backward)" -ge 2 ] || bad 'the test does not see backward kernels'
begin 'last_layer: reaches 92 % with random convolutions'
train last_layer --quiet
holds "$(figure accuracy) >= 92" accuracy

begin 'batches: the number of samples of a step is the only difference'
for block in one_by_one mini whole decaying; do
  train batches --train $block --quiet
  eval "$block=$(figure loss)"
done
holds "$mini < 0.16 && $whole < 0.16 && $mini - $whole < 0.005" 'mini-batches and all'
holds "$one_by_one > $mini + 0.01" 'a constant step on single samples wanders'
holds "$decaying < $one_by_one - 0.01" 'a decaying step does not'

begin 'averaged: the mean is better than the last weights, and asgd has the same'
for block in averaged last asgd; do
  train averaged --train $block --quiet
  eval "$block=$(figure loss)"
done
holds "$averaged < 0.15 && $last > 0.2 && $asgd - $averaged < 1e-3 && $averaged - $asgd < 1e-3" loss
begin 'averaged: the recursion W_n = n/(n+1) W_(n-1) + W_n/(n+1) gives the weights that are saved'
often='every 1 steps { print "logits.weight"; }'
sed "s/epochs: 10/epochs: 1/; s/(from=2)//; s/clouds as averaged {/& real: f64; $often/" \
  course/averaged.nn > steps.nn
run 0 gradc train steps.nn --train averaged --progress none --threads 1 --out runs/steps
awk -F '[][ ]+' '
  /^step/ { n++; for (i = 0; i < 3; i++) w[i] = n / (n + 1) * w[i] + $(4 + i) / (n + 1) }
  END { printf "%.9f %.9f %.9f %d\n", w[0], w[1], w[2], n }' out > want
sed 's/average: polyak;//; s/sgd(lr=0.5)/sgd(lr=0)/' steps.nn > still.nn
run 0 gradc train still.nn --train averaged --progress none --threads 1 --out runs/still \
  --weights runs/steps --steps 1
awk -F '[][ ]+' '/^step 1:/ { printf "%.9f %.9f %.9f 300\n", $4, $5, $6 }' out > got
same want got

begin 'perceptron: weights move by d x on mistakes and not at all otherwise'
train perceptron --json
awk -F '[][,:]+' '/"event":"print"/ {
    sub(/.*"loss":/, ""); split($0, part, /[][,:]+/)
    loss = part[1]; for (i = 0; i < 3; i++) { g[i] = part[3 + i]; w[i] = part[7 + i] }
    moved = 0
    for (i = 0; i < 3; i++) {
      if (steps && (w[i] - before[i] + g[i]) ^ 2 > 1e-9) wrong++
      if (g[i] != 0) moved = 1
      before[i] = w[i]
    }
    if (moved != (loss > 0)) wrong++
    mistakes += moved; steps++
  }
  END { exit !(steps > 60 && steps % 60 == 0 && mistakes > 0 && mistakes < 60 && !wrong) }' out ||
  bad 'an update is not that of the perceptron'
says '"status":"reached"'
run 0 gradc predict course/perceptron.nn course/separable.csv --weights runs/perceptron \
  --out classes.csv
paste -d , course/separable.csv classes.csv | awk -F , 'NR > 1 && $4 != $7 { n++ }
  END { exit !(NR == 61 && n == 0) }' || bad 'the classes are not separated'

begin 'regression_steps: the worked numbers, in float and in double'
run 0 gradc predict course/regression_steps.nn course/notes.csv --untrained
[ "$(sed 's/.*p //' out | tr '\n' ' ')" = '13.5 7 12.5 11 ' ] || bad 'other predictions'
for real in f32 f64; do
  train regression_steps --set real=$real
  says '^step 1: loss 0.125, grad w.bias \[0\], grad w.weight \[0.25 -0.75 1\], w.bias \[0\], '
  says ', w.weight \[0.49975 0.50075 -0.001\]$'
done
# The same descent in awk, on the table itself.
awk -F , 'NR > 1 { n++; x[n, 0] = 1; for (i = 1; i < 4; i++) x[n, i] = $i; y[n] = $4 }
  END {
    w[1] = w[2] = 0.5; w[0] = w[3] = 0
    for (s = 1; s <= 100; s++) {
      loss = 0; for (i = 0; i < 4; i++) g[i] = 0
      for (k = 1; k <= n; k++) {
        e = -y[k]; for (i = 0; i < 4; i++) e += w[i] * x[k, i]
        loss += e * e / n; for (i = 0; i < 4; i++) g[i] += 2 * e * x[k, i] / n
      }
      for (i = 0; i < 4; i++) w[i] -= 0.001 * g[i]
    }
    printf "%.9f %.9f %.9f %.9f\n", loss, w[1], w[2], w[3]
  }' course/notes.csv > want
awk -F '[][ ,]+' '/^step 100:/ { printf "%.9f %.9f %.9f %.9f\n", $4, $16, $17, $18 }' out > got
same want got

begin 'kfold: five folds, and the mean and deviation of their figures'
train kfold --folds 5
awk '/^fold/ { n++; sub(/.*accuracy /, ""); a[n] = $1; m += $1 / 5 }
  /^mean of 5 folds/ { sub(/.*accuracy /, ""); mean = $1; spread = $4 }
  END {
    for (i = 1; i <= n; i++) s += (a[i] - m) ^ 2 / 4
    d = sqrt(s) - spread
    exit !(n == 5 && m - mean < 0.01 && mean - m < 0.01 && d < 0.01 && d > -0.01 && m > 79)
  }' out || bad 'mean and deviation are not those of the folds'
for fold in 1 2 3 4 5; do
  [ -s runs/kfold/fold$fold/last.safetensors ] || bad "fold $fold leaves no weights"
done

begin 'regularise: stopped early, the best weights are back, and the loss stays low'
train regularise --train regular
says '^stopped early: no improvement, best weights restored'
regular=$(figure loss)
best=$(awk '/^best epoch/ { sub(/,/, "", $5); print $5 }' out)
holds "$regular == $best" 'the weights at the end'
run 0 gradc eval course/regularise.nn --train regular --weights runs/regularise
holds "$(figure loss) == $regular" 'gradc eval'
train regularise --train free
holds "$(figure loss) > 3 * $regular && $regular < 0.3" 'without regularisation'

begin 'mc_dropout: sure inside a moon, unsure at the border; the same for the same seed'
train mc_dropout --quiet
printf '0,0.9\n0.5,0.25\n' > points.csv
mc() {
  run 0 gradc predict course/mc_dropout.nn points.csv --weights runs/mc_dropout --mc 100 "$@"
}
mc --threads 1
cp out first
awk '{ sub(/.*\+- /, ""); spread[NR] = $1 }
  END { exit !(NR == 2 && spread[1] * 1.3 < spread[2]) }' out ||
  bad 'the spread does not show the border'
mc --threads 3
same first out
mc --seed 5
cmp -s first out && bad 'another seed draws the same'
run 0 gradc predict course/mc_dropout.nn points.csv --weights runs/mc_dropout
grep -q '+-' out && bad 'a plain prediction has a spread'

begin 'line: slope 2 and intercept -1 to 1e-3'
train line
awk -F '[][ ]+' '/^epoch 50:/ { a = $6 - 2; b = $9 + 1 }
  END { exit !(a * a < 1e-6 && b * b < 1e-6) }' out ||
  bad 'another line'
grep -q '^epoch 50:' out || bad 'nothing is printed'

finish
