#!/bin/sh
# The examples on generated data reach what their first lines promise; the others are checked.
. "$(dirname "$0")/lib.sh"
cp -r "$SOURCE/examples" examples
for spec in examples/*.nn; do
  begin "$spec has no mistakes and says how to run it"
  run 0 gradc check "$spec"
  head -n 12 "$spec" | grep -qE "^# +\\\$ gradc [a-z]+ $spec" || bad 'the first comment has no command'
done
gate() {                        # gate NAME GATE [OPTION..]
  spec=examples/$1.nn
  begin "$1: $2"
  want=$2
  shift 2
  run 0 gradc train "$spec" --out "run" --require "$want" "$@"
}
gate digits 'accuracy>=0.985'
begin 'digits: the untrained net guesses, its confusion matrix is printed'
run 0 gradc eval examples/digits.nn --untrained --require 'accuracy<=0.3'
says 'confusion matrix'
gate moons 'accuracy>=0.97'
gate spirals 'accuracy>=0.97'
begin 'xor: given weights give 0, 1, 1, 0'
printf '0,0\n0,1\n1,0\n1,1\n' > corners.csv
run 0 gradc predict examples/xor.nn --untrained corners.csv
[ "$(sed 's/.* out //' out | tr '\n' ' ')" = '0 1 1 0 ' ] || bad "got $(cat out)"
finish
