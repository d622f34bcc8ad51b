#!/bin/sh
# A run that is killed at any moment and resumed ends with the bytes of one that was left alone.
. "$(dirname "$0")/lib.sh"
small_spec > small.nn
program small || exit 1
options='--silent --save-every 3 --epochs 60'

begin 'a run that is left alone'
run 0 ./small train $options --out whole
sum=$(sha256sum < whole/last.safetensors)

kills=4
[ -z "${GRADC_NIGHTLY:-}" ] || kills=25
begin "kill -9 up to $kills times, resume each time: the same weights and metrics"
rm -rf cut
resume=
times=0
while [ $times -lt $kills ]; do
  ./small train $options --out cut $resume > /dev/null 2> err &
  pid=$!
  # Long enough for a checkpoint inside an epoch, another moment each time.
  sleep "0.$((times % 4 + 1))$((times * 7 % 10))"
  kill -9 $pid 2> /dev/null || { wait $pid; break; }
  wait $pid 2> /dev/null
  times=$((times + 1))
  [ ! -f cut/last.safetensors ] || resume=--resume
done
[ $times -gt 0 ] || bad 'the run ended before it could be killed'
run 0 ./small train $options --out cut $resume
[ "$(sha256sum < cut/last.safetensors)" = "$sum" ] || bad 'the weights differ'
same whole/last.safetensors cut/last.safetensors
same whole/best.safetensors cut/best.safetensors
same whole/metrics.csv cut/metrics.csv

begin 'resuming with another number of threads gives the same bytes'
run 0 ./small train $options --out threads --steps 100 --threads 3
run 0 ./small train $options --out threads --resume --threads 1
same whole/last.safetensors threads/last.safetensors
same whole/metrics.csv threads/metrics.csv

begin 'a run stopped by SIGTERM saves, says 143 and can be resumed'
./small train $options --out term > /dev/null 2>&1 &
pid=$!
sleep 0.2
kill -TERM $pid 2> /dev/null && { wait $pid; code=$?; [ $code -eq 143 ] || [ $code -eq 0 ] || bad "exit $code instead of 143"; }
[ -f term/last.safetensors ] && run 0 ./small train $options --out term --resume
same whole/last.safetensors term/last.safetensors

begin 'more epochs later are the same as more epochs at once'
run 0 ./small train --silent --epochs 2 --out more
run 0 ./small train --silent --epochs 4 --out more --resume
run 0 ./small train --silent --epochs 4 --out once
same more/metrics.csv once/metrics.csv

finish
