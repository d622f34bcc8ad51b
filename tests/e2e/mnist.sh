#!/bin/sh
# Accuracy on real data: MNIST and California housing from the folder in GRADC_TEST_DATA.
. "$(dirname "$0")/lib.sh"
data=${GRADC_TEST_DATA:-}
gate() {                        # gate FOLDER NAME GATE [OPTION..]
  folder=$1 name=$2 want=$3
  shift 3
  if [ -z "$data" ] || [ ! -d "$data/$folder" ]; then
    skip "$name: $want" "no $folder below GRADC_TEST_DATA"
    return
  fi
  begin "$name: $want"
  run 0 gradc train "$SOURCE/examples/$name.nn" --data "$data" --out "run.$name" --quiet \
    --require "$want" "$@"
}
gate mnist mnist_softmax 'accuracy>=0.918'
gate mnist mnist_lenet 'accuracy>=0.98' --epochs 3
gate housing housing 'loss<=0.32'
if [ -d run.housing ]; then
  begin 'housing: eval scales its inputs with the statistics stored by training'
  trained=$(grep '^valid:' out)
  run 0 gradc eval "$SOURCE/examples/housing.nn" --data "$data" --weights run.housing
  [ "$(grep '^valid:' out)" = "$trained" ] || bad "training said '$trained', eval $(grep '^valid:' out)"
fi
if [ -n "${GRADC_NIGHTLY:-}" ]; then
  gate mnist mnist_mlp 'accuracy>=0.976'
  gate mnist mnist_course_cnn 'accuracy>=0.96'
  gate mnist mnist_lenet 'accuracy>=0.988'
fi
finish
