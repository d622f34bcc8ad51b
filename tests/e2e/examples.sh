#!/bin/sh
# The examples on generated data print what their first comments show; the others are checked.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
cp -r "$SOURCE/examples" examples
begin 'gradc fmt leaves the examples as they are'
for spec in examples/*.nn examples/*/*.nn; do
  run 0 gradc fmt --check "$spec"
done
for spec in examples/*.nn; do
  begin "$spec has no mistakes and says how to run it"
  run 0 gradc check "$spec"
  head -n 12 "$spec" | grep -qE "^# +\\\$ gradc [a-z]+ $spec" || bad 'the first comment has no command'
  grep -q '^# \$.* DIR' "$spec" && continue
  begin "$spec prints what its first comment shows"
  shown "$spec"
done
begin 'digits: the untrained net guesses, its confusion matrix is printed'
run 0 gradc eval examples/digits.nn --untrained --require 'accuracy<=0.3'
says 'confusion matrix'
begin 'xor: given weights give 0, 1, 1, 0'
printf '0,0\n0,1\n1,0\n1,1\n' > corners.csv
run 0 gradc predict examples/xor.nn --untrained corners.csv
[ "$(sed 's/.* out //' out | tr '\n' ' ')" = '0 1 1 0 ' ] || bad "got $(cat out)"
finish
