#!/bin/sh
# Recurrent layers: the examples, other layers in their place, and bits that do not depend on
# threads or on where a run was stopped; states that go on from batch to batch.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
cp -r "$SOURCE/examples" examples
course=examples/course

begin 'recurrent prints what its first comment shows'
run 0 gradc check $course/recurrent.nn
shown $course/recurrent.nn

for layer in 'rnn(16)' 'gru(16)'; do
  begin "$layer learns the sum, too"
  sed "s/lstm(16)/$layer/" $course/recurrent.nn > other.nn
  run 0 gradc train other.nn --quiet --require 'r2>=0.99'
done

begin 'layers with dropout: the same bits for 1, 3 and 5 threads, with a short last batch'
sed 's/lstm(16)/lstm(17, layers=2, dropout=0.2)/' $course/recurrent.nn > deep.nn
for threads in 1 3 5; do
  run 0 gradc train deep.nn --epochs 2 --batch 70 --threads $threads --silent --out t$threads
done
same t1/last.safetensors t3/last.safetensors
same t1/last.safetensors t5/last.safetensors

begin 'a stopped run goes on to the same bits'
run 0 gradc train deep.nn --epochs 2 --batch 70 --steps 31 --silent --out half
run 0 gradc train deep.nn --epochs 2 --batch 70 --resume half --silent --out half
same t1/last.safetensors half/last.safetensors

begin 'both families of layouts, a batch of one'
for family in lanes channels; do
  run 0 gradc train deep.nn --epochs 1 --steps 20 --batch 1 --layout $family --silent --out $family
done
tail -c 4000 lanes/last.safetensors > lanes.weights
tail -c 4000 channels/last.safetensors > channels.weights
same lanes.weights channels.weights

begin 'the same answers from batches that fill vectors and batches that do not'
awk 'BEGIN {
  for (r = 0; r < 19; r++)
    for (k = 0; k < 6; k++)
      printf "%.3f%s", (r * 7 + k * 13) % 17 / 17, k < 5 ? "," : "\n"
}' > rows.csv
for batch in 16 1 3 8; do
  run 0 gradc predict deep.nn rows.csv --weights t1 --batch $batch --quiet --out by$batch.csv
  same by16.csv by$batch.csv
done

begin 'carry counts further than its windows reach'
shown $course/carry.nn
sed 's/, carry=true//' $course/carry.nn > blind.nn
run 0 gradc train blind.nn --data . --quiet --out blind
[ "$(sed -n 's/^valid: .*accuracy \(9[0-9]\).*/\1/p' out)" = 95 ] || bad "blind: $(cat out)"

# 20 streams of 48 characters: windows of 48 need no carried state and say what is right.
awk 'BEGIN {
  while (n++ < 961) {
    s = (s * 137 + 71) % 1009
    printf "%s", substr("abcdefg", 1 + s % 7, 1)
  }
}' > clock.txt
change() {                      # change LAYER: the spec on standard output, in double precision
  sed -e "s/lstm(24, carry=true)/$1/" -e 's/const T/param T/' -e '/schedule/d' \
    -e 's/  split: .*/  split: train = 100%;/' -e 's/clock.valid/clock.train/' \
    -e 's/batch: 16;/batch: 20; real: f64;/' -e 's/epochs: 10/epochs: 2/' $course/carry.nn
}
loss_of() {                     # loss_of SPEC T: of the weights in carried/
  run 0 gradc eval "$1" --set T="$2" --data . --weights carried --json
  sed -n 's/.*"loss":\([0-9.e-]*\).*/\1/p' out
}
for layer in 'rnn(9, ' 'lstm(17, layers=2, ' 'gru(5, bias=false, '; do
  begin "$layer..): six windows of 8 are one of 48"
  change "${layer}carry=true)" > carried.nn
  change "${layer}init=default)" > cut.nn
  run 0 gradc train carried.nn --data . --quiet --out carried
  want=$(loss_of cut.nn 48)
  for window in 8 16 48; do
    [ "$(loss_of carried.nn $window)" = "$want" ] || bad "windows of $window: $(cat out), not $want"
  done
  [ "$(loss_of cut.nn 8)" != "$want" ] || bad 'a state that is cut gives the same loss'
  run 0 gradc gradcheck carried.nn --data .
done

begin 'an epoch begins with zeros, and evaluations in between change nothing'
change 'gru(9, carry=true)' > carried.nn
sed 's/  epochs: /  every 2 steps { eval train; }\n  epochs: /' carried.nn > between.nn
run 0 gradc train carried.nn --data . --lr 0 --epochs 2 --silent --out still --log-steps still.csv
[ "$(sed -n 2,7p still.csv | cut -d, -f2)" = "$(sed -n 8,13p still.csv | cut -d, -f2)" ] ||
  bad 'two epochs of the same weights differ'
[ "$(cut -d, -f2 still.csv | sort -u | wc -l)" -eq 7 ] || bad 'windows repeat'
run 0 gradc train carried.nn --data . --silent --out one --log-steps one.csv
run 0 gradc train between.nn --data . --silent --out two --log-steps two.csv
same one.csv two.csv

begin 'carry: the same bits for 1, 2 and 3 threads and both back ends, with a short last batch'
change 'lstm(17, layers=2, dropout=0.2, carry=true)' | sed 's/batch: 20/batch: 18/' > carried.nn
run 0 gradc train carried.nn --data . --threads 1 --silent --out c1
run 0 gradc train carried.nn --data . --threads 2 --silent --out c2
run 0 gradc build carried.nn --data . -q --emit exe -o program
run 0 ./program train --threads 3 --silent --out c3
./program info | grep -q 'h_l0 .*carried' || bad 'info does not tell the states'
same c1/last.safetensors c2/last.safetensors
same c1/last.safetensors c3/last.safetensors

begin 'carry: killed inside of an epoch, resumed to the same bits'
run 0 ./program train --epochs 40 --silent --out c4
rm -rf c5
./program train --epochs 40 --silent --out c5 --save-every 1 > /dev/null 2>&1 &
pid=$!
until [ -f c5/last.safetensors.prev ] || ! kill -0 $pid 2> /dev/null; do :; done
kill -9 $pid 2> /dev/null
wait $pid 2> /dev/null
run 0 ./program train --epochs 40 --silent --out c5 --resume
same c4/last.safetensors c5/last.safetensors
run 0 gradc train carried.nn --data . --epochs 2 --steps 5 --silent --out c6
run 0 gradc train carried.nn --data . --epochs 2 --silent --out c6 --resume
same c1/last.safetensors c6/last.safetensors

begin 'carried states are no weights: another batch, predictions, exports'
run 0 gradc eval carried.nn --data . --weights c1 --batch 5
run 0 gradc generate carried.nn --data . --weights c1 --prompt abc --length 5
run 0 gradc export carried.nn --data . --weights c1 -o c1.npz
grep -q weight_hh_l1 c1.json || bad 'the export has no weights'
grep -q carried_h_l0 c1.json && bad 'the export has states'
run 2 gradc eval carried.nn --data . --weights c1 --mc 3
grep -q 'carry=true hands its state' err || bad "it says $(cat err)"
finish
