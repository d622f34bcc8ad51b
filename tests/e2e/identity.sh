#!/bin/sh
# The same bits for any number of threads and from gcc and clang, with the compile command of
# README; batches that fill vectors and batches that do not, each with a partial last batch.
. "$(dirname "$0")/lib.sh"
small_spec > small.nn
compilers=
for cc in gcc clang; do
  command -v $cc > /dev/null && compilers="$compilers $cc"
done
for batch in 7 50 100 128; do
  run 0 gradc build small.nn -q --set batch=$batch -o small.c || continue
  for cc in $compilers; do
    begin "batch $batch, $cc: 1, 2, 3, 7 and 16 threads"
    compile small $cc || { bad "$cc does not compile small.c"; continue; }
    for threads in 1 2 3 7 16; do
      run 0 ./small train --silent --epochs 2 --threads $threads --out "$batch.$cc.$threads" || break
      same "$batch.gcc.1/last.safetensors" "$batch.$cc.$threads/last.safetensors"
      same "$batch.gcc.1/metrics.csv" "$batch.$cc.$threads/metrics.csv"
    done
  done
  case $compilers in *clang*) ;; *) skip "batch $batch, clang" 'clang is not installed' ;; esac
done
finish
