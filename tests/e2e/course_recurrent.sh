#!/bin/sh
# Recurrent layers: the example, other layers in its place, and bits that do not depend on threads
# or on where a run was stopped.
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
finish
