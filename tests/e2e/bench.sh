#!/bin/sh
# The measuring tools work; how fast anything is, is not tested here. Programs built for measuring
# time themselves on random samples without files, give the same weights for any number of threads,
# and keep clocks beside kernels only when asked to; gradc bench builds variants and compares them.
. "$(dirname "$0")/lib.sh"
bench=$SOURCE/tests/bench
nets=$bench/nets

# hash: the weights that the last run printed
hash() { sed -n 's/.*"weights":"\([0-9a-f]*\)".*/\1/p' "$work/out"; }

begin "the nets to compare have no mistakes"
for spec in "$nets"/*.nn; do
  run 0 "$GRADC" check "$spec"
  run 0 "$GRADC" fmt --check "$spec"
done

begin "a program without --bench has no command bench and no clocks"
run 0 "$GRADC" build "$nets/softmax.nn" --set batch=8 -q -o plain.c
run 0 "$GRADC" build "$nets/softmax.nn" --set batch=8 -q --bench -o timed.c
run 0 "$GRADC" build "$nets/softmax.nn" --set batch=8 -q --profile -o profiled.c
grep -q 'bench_samples\|softmax_peak' plain.c && bad "a plain program carries the bench"
grep -q '  gradrt_profile_mark(s, worker' plain.c && bad "a plain program marks its calls"
grep -q '  gradrt_profile_mark(s, worker' timed.c && bad "--bench alone marks calls"
grep -q '  gradrt_profile_mark(s, worker, GRADRT_WAITS)' profiled.c || bad "no clock at barriers"
if compile plain && compile timed && compile profiled; then
  run 2 ./plain bench
  says_once "unknown command 'bench'"
else
  bad "the C does not compile"
fi

begin "bench times steps on random samples, with the same weights for any number of threads"
run 0 ./timed bench --json --seconds 0 --threads 1
says '"event":"bench","net":"softmax".*"batch":8,"threads":1,"params":7850'
says '"train":\{"median_ns":[1-9][0-9]*,"min_ns":[1-9][0-9]*,"steps":5'
says '"infer":\{"median_ns":[1-9]'
says '"peak_flops":[1-9][0-9]*,.*"peak_rss_bytes":[1-9]'
one=$(hash)
run 0 ./timed bench --json --steps 3 --threads 3
says '"steps":3'
[ -n "$one" ] && [ "$(hash)" = "$one" ] || bad "threads changed the weights"
run 0 ./profiled bench --json --steps 3 --threads 2
[ "$(hash)" = "$one" ] || bad "clocks changed the weights"
run 0 ./timed bench --json --steps 3 --seed 5
[ "$(hash)" != "$one" ] || bad "the seed is not used"
run 2 ./timed bench --epochs 3
run 0 ./timed bench --seconds 0
says '^train step .* ms median'

begin "a profile tells layers, directions and waiting"
run 0 ./profiled bench --seconds 0 --threads 2
says '^training step, mean of 5 on 2 threads; peak [0-9.]+ GFLOP/s$'
says '^logits\.dense +forward '
says '^logits\.dense +backward '
says '^waiting at barriers '
says '^inference, mean of 5 on 2 threads'
run 0 ./profiled bench --json --seconds 0
says '"event":"profile","function":"train","kernel":"logits_dense","layer":"logits.dense"'

begin "training with --profile ends with the table"
small_spec > small.nn
run 0 "$GRADC" train small.nn --profile --epochs 1 --threads 1 --silent
says '^training step, mean of 10 on 1 thread;'
says '^c\.conv +backward '

begin "gradc bench compares variants"
run 0 "$GRADC" bench "$nets/softmax.nn" --set batch=8 --rounds 1 --seconds 0 --threads 1,2 \
  --variants unfused,naive,scalar --format csv
says '^softmax,8,fused,[^,]*,[^,]*,1,[0-9.]+,'
says '^softmax,8,fused,[^,]*,[^,]*,2,'
says '^softmax,8,unfused,'
says '^softmax,8,naive,'
says '^softmax,8,scalar,'
says 'the weights of all 5 rows are equal, bit for bit'
run 0 "$GRADC" bench "$nets/softmax.nn" --set batch=8 --rounds 1 --seconds 0 --variants fused
says '^\| fused \| '
run 2 "$GRADC" bench "$nets/softmax.nn" --variants fast
says_once "'fast'"
run 2 "$GRADC" bench "$nets/softmax.nn" --rounds 0
run 1 "$GRADC" bench /dev/null
run 0 "$GRADC" bench "$nets/softmax.nn" --help
says '  --rounds N '

if "$GRADC" build "$nets/softmax.nn" --emit ll -q -o softmax.ll 2> err; then
  begin "gradc bench compares both back ends"
  run 0 "$GRADC" bench "$nets/softmax.nn" --set batch=8 --rounds 1 --seconds 0 --threads 1 \
    --variants llvm --format csv
  says '^softmax,8,fused,'
  says '^softmax,8,llvm,[^,]*,LLVM [0-9.]+,1,[0-9.]+,'
  says 'the weights of all 2 rows are equal, bit for bit'
else
  skip "gradc bench compares both back ends" 'gradc was built without LLVM'
fi

begin "the scripts for templates, latency, sweeps, awkward sizes and spills work"
run 0 sh "$bench/micro.sh" -s 0 dense-10
says '^\| dense-10 \| channels \| backward \| tested_dense_dw \| outer\.features \| '
run 0 sh "$bench/latency.sh" -n softmax -r 1 -s 0
says '^\| softmax \| [0-9.]+ \| [0-9.]+ \| '
run 0 sh "$bench/sweep.sh" -b 1,2,4 -c 4,8 -t 1 -r 1 -s 0 -o plot.svg
says '^\| conv \| batch \| 1 \| [-0-9.e+]+ \+ [-0-9.e+]+ \* size \| [0-9.]+ \|$'
says '^\| mlp \| channels \| 1 \| 8 \| [0-9.]+ \| '
head -n 1 plot.svg | grep -q '^<svg xmlns=' || bad "no plot"
[ "$(tail -n 1 plot.svg)" = '</svg>' ] || bad "half a plot"
[ "$(grep -c '<polyline' plot.svg)" -eq 4 ] || bad "not a line for each row of fits"
sh "$bench/awkward.sh" -r 1 -s 0 dense-17-50 > out 2> err   # its exit code is about speed
says '^\| dense-17-50 \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \|$'
run 2 sh "$bench/awkward.sh" no-such-row
if command -v clang > /dev/null && [ "$(uname -m)" = x86_64 ]; then
  run 0 sh "$bench/spills.sh" -a softmax
  says '^softmax +gcc +x86-64-v4 +softmax_logits_dense '
  says '^softmax +clang +x86-64-v3 +[0-9]+ spills$'
  run 1 sh "$bench/spills.sh" -m -1 softmax
fi
finish
