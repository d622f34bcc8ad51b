#!/bin/sh
# Figures that published recipes reach: the nets of tests/gates on MNIST, Tiny Shakespeare and
# California housing from the folder in GRADC_TEST_DATA print what their first comments show. Those
# that train for minutes do so nightly.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
mkdir tests
cp -r "$SOURCE/tests/gates" tests/gates
data=${GRADC_TEST_DATA:-}

reach() {                       # reach NAME DIR: a net of tests/gates with data from DIR
  begin "$1 reaches what its first comment says"
  run 0 gradc fmt --check "tests/gates/$1.nn"
  shown "tests/gates/$1.nn" "$2"
}

if [ -n "$data" ] && [ -d "$data/mnist" ]; then
  for name in mlp_32 cnn_8_16_32; do reach $name "$data"; done
  if [ -n "${GRADC_NIGHTLY:-}" ]; then
    for name in mlp_500 mlp_dropout cnn_8_16 cnn_strong cnn_adadelta; do
      reach $name "$data"
    done
  fi
else
  skip 'nets on MNIST' 'no mnist below GRADC_TEST_DATA'
fi

if [ -z "$data" ] || [ ! -f "$data/text/tinyshakespeare.txt" ]; then
  skip 'character models' 'no text/tinyshakespeare.txt below GRADC_TEST_DATA'
elif [ -n "${GRADC_NIGHTLY:-}" ]; then
  for name in char_rnn char_lstm char_lstm2; do reach $name "$data"; done
fi

if [ -z "$data" ] || [ ! -d "$data/housing" ]; then
  skip 'nets on California housing' 'no housing below GRADC_TEST_DATA'
  finish
fi
# The eight classical features; rows with a missing cell are left out.
awk -F , -v OFS=, '
  NR == 1 { print "MedInc,HouseAge,AveRooms,AveBedrms,Population,AveOccup,Latitude,Longitude",
    "value" }
  NR > 1 && $5 != "" { print $8, $3, $4 / $7, $5 / $7, $6, $6 / $7, $2, $1, $9 / 100000 }' \
  CONVFMT=%.9g OFMT=%.9g "$data/housing/housing.csv" > housing.csv
awk 'NR == 1 { print > "housing_train.csv"; print > "housing_test.csv"; next }
  { print > (NR % 5 ? "housing_train.csv" : "housing_test.csv") }' housing.csv
awk 'NR == 1 { print > "housing_part.csv"; print > "housing_valid.csv"; next }
  NR % 4 { print > (++k % 4 ? "housing_part.csv" : "housing_valid.csv") }' housing.csv
reach housing_mlp "$work"
reach housing_linear "$work"

begin 'housing_linear: descent ends within 0.01 of the closed form'
# Normal equations of the standardised training rows, solved by elimination; error of the others.
awk -F , '
  FNR == 1 { file++; next }
  file == 1 { for (i = 1; i <= 8; i++) { s[i] += $i; q[i] += $i * $i } n++; next }
  file == 2 && !m { m = 1
    for (i = 1; i <= 8; i++) { mean[i] = s[i] / n; sd[i] = sqrt(q[i] / n - mean[i] * mean[i]) } }
  { x[9] = 1; for (i = 1; i <= 8; i++) x[i] = ($i - mean[i]) / sd[i] }
  file == 2 { for (i = 1; i <= 9; i++) { for (j = 1; j <= 9; j++) a[i, j] += x[i] * x[j]
                                         a[i, 10] += x[i] * $9 } next }
  !solved { solved = 1
    for (k = 1; k <= 9; k++) for (i = 1; i <= 9; i++) if (i != k) {
      f = a[i, k] / a[k, k]
      for (j = k; j <= 10; j++) a[i, j] -= f * a[k, j]
    } }
  { y = -$9; for (i = 1; i <= 9; i++) y += x[i] * a[i, 10] / a[i, i]; e += y * y; t++ }
  END { print sqrt(e / t) }' housing_train.csv housing_train.csv housing_test.csv > closed
grep -q '^0\.7' closed || bad "the closed form has an error of $(cat closed)"
run 0 gradc eval tests/gates/housing_linear.nn --data .
sed -n 's/^test: loss \([0-9.]*\),.*/\1/p' out | awk -v want="$(cat closed)" '
  { d = sqrt($1) - want; ok = d < 0.01 && d > -0.01 } END { exit !ok }' ||
  bad "descent has $(grep '^test' out), the closed form an RMSE of $(cat closed)"
finish
