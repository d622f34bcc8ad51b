#!/bin/sh
# The same bits for any number of threads and from gcc and clang, with the compile command of
# README, and for most batches from thin C with this build's runtime; batches that fill vectors and
# batches that do not, each with a partial last batch. Grouped convolutions and dropout of images
# among channel blocks too, and for narrower vectors.
. "$(dirname "$0")/lib.sh"
small_spec > small.nn
compilers=
for cc in gcc clang; do
  command -v $cc > /dev/null && compilers="$compilers $cc"
done
for batch in 7 50 100 128; do
  form=$thin
  [ $batch != 7 ] || form=
  run 0 gradc build small.nn -q $form --set batch=$batch -o small.c || continue
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
grouped_spec > grouped.nn
for cpu in native x86-64-v3; do
  [ $cpu = native ] || grep -qs avx2 /proc/cpuinfo || continue
  form=$thin
  [ $cpu != native ] || form=
  run 0 gradc build grouped.nn -q $form --layout channels --cpu $cpu -o grouped.c || continue
  for cc in $compilers; do
    begin "grouped, $cpu, $cc: 1, 3 and 16 threads"
    compile grouped $cc || { bad "$cc does not compile grouped.c"; continue; }
    for threads in 1 3 16; do
      run 0 ./grouped train --silent --epochs 2 --threads $threads --out "$cpu.$cc.$threads" ||
        break
      same native.gcc.1/last.safetensors "$cpu.$cc.$threads/last.safetensors"
      same native.gcc.1/metrics.csv "$cpu.$cc.$threads/metrics.csv"
    done
  done
done
finish
