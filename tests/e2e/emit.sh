#!/bin/sh
# The C that every example becomes: the same bytes twice, no warnings from gcc and clang, every
# --cpu and both layouts.
. "$(dirname "$0")/lib.sh"
for spec in "$SOURCE"/examples/*.nn; do
  name=$(basename "$spec" .nn)
  begin "$name: two emissions are the same bytes"
  run 0 gradc build "$spec" -q -o "$name.c" || continue
  run 0 gradc build "$spec" -q -o again.c
  same "$name.c" again.c
  grep -q "$SOURCE" "$name.c" && bad 'the text holds the path of this machine'
  for cc in gcc clang; do
    command -v $cc > /dev/null || { skip "$name: $cc" "$cc is not installed"; continue; }
    begin "$name: $cc has nothing to complain about"
    depth=-fsyntax-only
    case $name in digits | housing) depth='-c -o object.o' ;; esac
    $cc -std=c11 -Wall -Wextra -O3 -march=native $depth "$name.c" 2> err || bad "$cc fails"
    [ ! -s err ] || { bad "$cc warns"; head -n 10 err; }
  done
done
small_spec > small.nn
for cpu in x86-64 x86-64-v3 x86-64-v4 aarch64 riscv64 wasm32; do
  for layout in lanes channels; do
    begin "cpu $cpu, layout $layout: C comes out"
    run 0 gradc build small.nn -q --cpu $cpu --layout $layout -o cpu.c
    [ -s cpu.c ] || bad 'nothing was written'
  done
done
begin 'both layouts and the plain instruction set train alike'
run 0 gradc train small.nn --layout lanes --out lanes
run 0 gradc train small.nn --layout channels --out channels
run 0 gradc train small.nn --layout lanes --cpu x86-64-v3 --out narrow
same lanes/last.safetensors narrow/last.safetensors
for run in lanes channels; do
  sed -n '$p' $run/metrics.csv | cut -d , -f 4 > $run.loss
done
awk 'NR == FNR { a = $1; next } { d = a - $1; if (d < 0) d = -d; exit d > 0.02 * a }' lanes.loss channels.loss ||
  bad "the losses differ: $(cat lanes.loss channels.loss)"
finish
