#!/bin/sh
# Real data: MNIST and California housing from the folder in GRADC_TEST_DATA. The examples print
# what their first comments show; the two that train longest do so through one back end, or nightly.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
cp -r "$SOURCE/examples" examples
data=${GRADC_TEST_DATA:-}

there() {                       # there FOLDER CASE: whether there is data; else the case is skipped
  [ -n "$data" ] && [ -d "$data/$1" ] && return 0
  skip "$2" "no $1 below GRADC_TEST_DATA"
  return 1
}
figures() {                     # figures FOLDER NAME
  there "$1" "$2 prints what its first comment shows" || return 0
  begin "$2 prints what its first comment shows"
  shown "examples/$2.nn" "$data"
}

figures mnist mnist_softmax
figures mnist mnist_course_cnn
figures housing housing
if [ -d runs/homes_net ]; then
  begin 'housing: eval scales its inputs with the statistics stored by training'
  trained=$(grep '^valid:' out)
  run 0 gradc eval examples/housing.nn --data "$data"
  [ "$(grep '^valid:' out)" = "$trained" ] || bad "training said '$trained', eval $(grep '^valid:' out)"
fi
if [ -n "${GRADC_NIGHTLY:-}" ] || [ "${GRADC_BACKEND:-c}" = c ]; then
  figures mnist mnist_mlp
  figures mnist mnist_lenet
fi
if [ -n "${GRADC_NIGHTLY:-}" ] && there mnist 'mnist_course_cnn: five seeds'; then
  begin 'mnist_course_cnn: five seeds'
  for seed in 1 2 3 4 5; do
    run 0 gradc train examples/mnist_course_cnn.nn --data "$data" --seed $seed --quiet
    percent=$(sed -n 's/^test:.* accuracy \([0-9.]*\) %.*/\1/p' out)
    grep -q "^# Seeds 1 to 5 .* $percent" examples/mnist_course_cnn.nn ||
      bad "seed $seed ends at $percent %, which the comment does not say"
  done
fi
finish
