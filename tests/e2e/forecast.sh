#!/bin/sh
# A series that goes on with its own predictions: `predict --ahead`, by gradc and by the program it
# builds, in the units of the data; and nets that cannot.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
cp -r "$SOURCE/examples" examples
course=examples/course

begin 'series prints what its first comment shows'
shown $course/series.nn

begin 'what lies ahead is what predict tells of windows that end with its own predictions'
cp $course/series.nn forecast.nn
program forecast
run 0 ./forecast predict wave.csv --ahead 5 --out ahead.csv --quiet
cp wave.csv longer.csv
echo 'input,ahead,ahead_0' > want.csv
for row in 1 2 3 4 5; do
  run 0 ./forecast predict longer.csv --out each.csv --quiet
  value=$(tail -n 1 each.csv | sed 's/.*,//')
  echo "$value" >> longer.csv
  echo "\"wave.csv\",$row,$value" >> want.csv
done
same want.csv ahead.csv
run 0 gradc predict forecast.nn wave.csv --ahead 5 --out gradc.csv --threads 3
same ahead.csv gradc.csv
says '^wave.csv\[\+5\]  ahead '
run 0 ./forecast predict wave.csv --ahead 2 --json
says '"input":"wave.csv","ahead":2,"outputs":\{"ahead":\['

begin 'a period ahead the signal is still itself'
run 0 ./forecast predict wave.csv --ahead 40 --out period.csv --quiet
awk -F , 'NR > 1 { d = $3 - sin(6.283185307 * (49 + $2) / 40); n++; if (d > 0.1 || d < -0.1) e++ }
  END { exit n != 40 || e > 0 }' period.csv || bad "it is not: $(cat period.csv)"

begin 'two columns, one row for each place of the window, another loss beside: units come back'
awk 'BEGIN { print "day,up,down"
  for (i = 0; i < 400; i++) printf "%d,%g,%g\n", i, 100 + i / 10, 50 - i / 10 }' > lines.csv
cat > lines.nn << 'SPEC'
net 1;
data table {
  source: csv("lines.csv");
  split: train = 80%, valid = 20%;
  window: 8, stride=1;
  field x: f32[8,2] from "up, down" -> standardize(fit=train);
  field y: f32[8,2] = next(x);
}
model walk(x: f32[8,2]) -> z: f32[8,2] {
  z = x + (x -> dense(2, init=zeros, bias_init=zeros));
}
train walk on table {
  loss: mse(z, y) + 0.1 * l1(z, y);
  optimizer: adam(lr=0.02);
  schedule: lr = cosine(to=1e-5);
  epochs: 30;
  batch: 16;
  real: f64;
}
infer walk { output: z as more, x * 2 as twice; }
SPEC
run 0 gradc train lines.nn --quiet --out run2
run 0 gradc predict lines.nn lines.csv --weights run2 --ahead 20 --out two.csv --quiet
[ "$(head -n 1 two.csv)" = input,ahead,more_0,more_1 ] || bad "the columns are $(head -n 1 two.csv)"
awk -F , 'NR > 1 { d = $3 - 139.9 - $2 / 10; e = $4 - 10.1 + $2 / 10; n++
    if (d > 0.2 || d < -0.2 || e > 0.2 || e < -0.2) wrong++ }
  END { exit n != 20 || wrong > 0 }' two.csv || bad "they go on as $(cat two.csv)"

begin 'each column of a window has its own mean and deviation, and gradc data its own line'
run 0 gradc data lines.nn
says '^  up  *train  *100  *131.8  *115.9 '
says '^  down  *train  *18.2  *50  *34.1 '
run 0 gradc export lines.nn --weights run2 -o lines.safetensors -q
python3 - << 'PY' || bad 'they are other ones'
import json, struct
raw = open('lines.safetensors', 'rb').read()
size = struct.unpack('<Q', raw[:8])[0]
head = json.loads(raw[8:8 + size])
def read(name):
    at = head[name]['data_offsets']
    assert head[name]['shape'] == [2], head[name]
    return struct.unpack('<2d', raw[8 + size + at[0]:8 + size + at[1]])
# Windows begin at rows 0 to 311 of the 320, so that rows at both ends count less.
rows = [w + i for w in range(312) for i in range(8)]
mean = sum(rows) / len(rows) / 10
spread = (sum((r / 10 - mean) ** 2 for r in rows) / len(rows)) ** 0.5
for name, want in (('x.mean', (100 + mean, 50 - mean)), ('x.std', (spread, spread))):
    assert all(abs(a - b) < 1e-5 for a, b in zip(read(name), want)), (name, read(name), want)
PY
sed 's/f32\[8,2\]/f32[8]/g; s/"up, down"/"up"/; s/dense(2/dense(8/' lines.nn > one.nn
run 0 gradc data one.nn
says '^  up  *train  *100  *131.8  *115.9 '
says '^  up  *train  *100.1  *131.9  *116 '
grep -q '^  \[1\]' out && bad 'rows of a window of one column stand for columns'
sed 's/standardize(fit=train)/standardize(mean=[116, 34], std=[9, 8])/' lines.nn > given.nn
run 0 gradc train given.nn --epochs 1 --quiet --out given
run 0 gradc predict given.nn lines.csv --weights given --ahead 1
says '^lines.csv\[\+1\]  more 1[0-9][0-9]'
sed 's/mean=\[116, 34\]/mean=[116, 34, 1]/' given.nn > three.nn
run 1 gradc check three.nn
says_once '3 numbers for f64\[8,2\], which has 2 features'

begin 'the file: a window is enough, a row less is not, and its cells are numbers'
tail -n 16 wave.csv > window.csv
run 0 ./forecast predict window.csv --ahead 5 --out short.csv --quiet
sed 's/^"wave/"window/' ahead.csv > want.csv
same want.csv short.csv
tail -n 15 wave.csv > window.csv
run 3 ./forecast predict window.csv --ahead 5 --out none.csv
says_once '15 rows are too few for a window of 16'
[ -f none.csv ] && bad 'a file is left behind'
{ cat wave.csv; echo nan; } > window.csv
run 3 ./forecast predict window.csv --ahead 5
says_once 'window.csv:51:1'
: > window.csv
run 3 ./forecast predict window.csv --ahead 5
says_once 'the file is empty'

begin '--ahead is a count'
for n in 0 -1 1.5 1e10 nan; do
  run 2 ./forecast predict wave.csv --ahead $n
  says_once '--ahead takes a'
done
run 2 ./forecast train --ahead 3
says_once 'train has no option --ahead'

begin 'what runs away is stopped'
sed 's/-> flatten.*/-> flatten -> dense(1, weight=[[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1e20]],\
      bias=[0]);/' $course/series.nn > away.nn
run 7 gradc predict away.nn wave.csv --untrained --ahead 50
says_once 'row [23] ahead: the prediction is not finite'

begin 'windows are not dealt out to folds'
run 2 gradc train $course/series.nn --folds 3 --out folds
says_once '--folds deals single rows'

refused() {                     # refused MESSAGE SPEC [OPTION..]: of a net that cannot go on
  begin "refused: $1"
  what=$1
  shift
  run 2 gradc predict "$@" wave.csv --untrained --ahead 3
  says_once "$what"
  says '^  note: '
}
refused 'its samples are no windows' examples/spirals.nn
sed -e 's/output: ahead;/output: ahead * 2 as twice;/' $course/series.nn > twice.nn
refused 'no output of infer is a prediction of its next row' twice.nn
sed 's/-> tanh/-> tanh -> dropout(0.1)/' $course/series.nn > mc.nn
refused 'the spread of passes with dropout is not fed back' mc.nn --mc 5
sed -e 's/up, down/up/; s/f32\[8,2\]/f32[8,1]/g; s/dense(2/dense(1/; s/real: f64;//' \
  -e 's/  field y/  field w: f32[8,1] from "down";\n&/; s/(x: /(w: f32[8,1], x: /' \
  -e 's/z = x/z = x + w/' lines.nn > beside.nn
refused "the field 'w' would have to go on as well" beside.nn
finish
