#!/bin/sh
# One spec through every command, and the files that a run leaves behind.
. "$(dirname "$0")/lib.sh"
small_spec > small.nn

begin 'check finds no mistakes'
run 0 gradc check small.nn
says 'no mistakes found'

begin 'summary lists layers, parameters and kernels'
run 0 gradc summary small.nn
says '^c\.conv +conv +f32\[3,12,12\] +78 '
says '^parameters +2,349 '

begin 'summary tells the bytes that backward needs of forward'
run 0 gradc summary small.nn    # 32 samples: 3x6x6 numbers behind relu, as many places of maxima
says '^c\.conv .* 0 B  small'
says '^c\.relu .* 13\.5 KiB  small'
says '^c\.maxpool .* 3\.4 KiB  small'
says '^logits\.relu .* 2\.4 KiB  small'
says '^saved +120\.9 KiB .*; 98\.0 KiB of them of inputs'
run 0 gradc summary small.nn --set batch=64
says '^c\.relu .* 27\.0 KiB  small'
run 0 gradc summary small.nn --json
says '"name":"c.relu","type":"relu".*"saved":13824\}'
says '\],"saved":[0-9]+,"kernels"'

begin 'summary lists the kernels'
run 0 gradc summary small.nn
says 'kernels of train_step'
run 0 gradc summary small.nn --json
says '^\{"v":1,"net":"small","batch":32,'

begin 'training writes its files and reports on the test split'
run 0 gradc train small.nn --out run
says '^test: loss [0-9.]+, accuracy [0-9.]+ %'
says 'confusion matrix'
for file in last.safetensors best.safetensors metrics.csv metrics.jsonl report.html; do
  [ -s "run/$file" ] || bad "run/$file is missing"
done
[ "$(wc -l < run/metrics.csv)" -eq 4 ] || bad 'metrics.csv has not one line an epoch'
grep -q '<svg' run/report.html || bad 'the report has no picture'
grep -qE 'https?://' run/report.html && bad 'the report refers to the network'
trained=$(grep '^test:' out)

begin 'eval of the saved weights prints what training printed'
run 0 gradc eval small.nn --weights run
[ "$(grep '^test:' out)" = "$trained" ] || bad "training said '$trained', eval $(grep '^test:' out)"

begin 'an untrained net guesses'
run 0 gradc eval small.nn --untrained --require 'accuracy<=0.35'

begin 'training with the same seed twice gives the same bytes, with another one others'
run 0 gradc train small.nn --out again
same run/last.safetensors again/last.safetensors
same run/metrics.csv again/metrics.csv
run 0 gradc train small.nn --out other --seed 2
cmp -s run/last.safetensors other/last.safetensors && bad 'seeds 1 and 2 gave the same weights'

begin 'a quality gate decides the exit code'
run 8 gradc train small.nn --out gate --epochs 1 --require 'accuracy>=0.999'
says 'accuracy>=0.999 is not met'
run 0 gradc train small.nn --out gate --require 'loss<=3'

begin 'options of the command line reach the program'
run 0 gradc train small.nn --out options --epochs 2 --lr 0 --threads 1
[ "$(wc -l < options/metrics.csv)" -eq 3 ] || bad '--epochs 2 did not train two epochs'
run 0 gradc train small.nn --out set --set epochs=1 --set batch=10
says 'batch=10'
run 0 gradc train small.nn --out batch --epochs 1 --batch 10
same set/last.safetensors batch/last.safetensors
sed 's/^data/param wide = 19; data/; s/dense(19)/dense(wide)/' small.nn > wide.nn
run 2 gradc train wide.nn --wide 20
says_once "'wide' decides the generated code"
says 'write --set wide=20'

begin 'a gradient check passes'
sed 's/relu/tanh/; s/maxpool/avgpool/' small.nn > smooth.nn
run 0 gradc gradcheck smooth.nn

begin 'the emitted C is the same text every time'
run 0 gradc build small.nn -o one.c
run 0 gradc build small.nn -o two.c
same one.c two.c
run 0 gradc build small.nn -o - -q
same one.c out

begin 'unfused code gives the same bits'
run 0 gradc train small.nn --out unfused --skip fuse
same run/metrics.csv unfused/metrics.csv

begin 'wrong words get a proposal'
run 2 gradc trian small.nn
says "did you mean 'train'"
run 2 gradc build small.nn --emti c
says "did you mean '--emit'"
run 2 gradc train small.nn --epoch 3
says 'did you mean --epochs'
run 2 gradc
run 0 gradc help
run 0 gradc --version

finish
