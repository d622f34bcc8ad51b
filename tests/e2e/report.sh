#!/bin/sh
# gradc report and the pictures of a run's own report: what is drawn is compared with what eval,
# predict and summary say.
. "$(dirname "$0")/lib.sh"
back=${GRADC_BACKEND:+--backend $GRADC_BACKEND}

plane_spec() {                  # plane_spec LAYERS OUTPUTS LOSS LINK
  cat << SPEC
net 1;
data points {
  train: blobs(samples=300, classes=2);
  test: blobs(samples=200, classes=2, seed=2);
  field x: f32[2];
  field y: label(2);
}
model plane(x: f32[2]) -> z: f32[$2] { z = x -> $1dense($2); }
train plane on points {
  loss: $3(z, y); optimizer: sgd(lr=0.1); epochs: 8; batch: 32; metrics: accuracy(z, y);
}
eval plane on points.test { report accuracy(z, y), confusion(z, y); }
infer plane { output: $4(z) as prob; }
SPEC
}

# The class that a page's areas show where the points of stdin lie: "x y" a line, a class a line.
cat > areas.py << 'PY'
import re, sys
page = open(sys.argv[1]).read()
svg = re.search(r'<svg[^>]*>\s*<title>Predicted classes.*?</svg>', page, re.S).group(0)
span = re.search(r'from (\S+) to (\S+), vertically from (\S+) to (\S+)<', svg)
box = [float(v) for v in span.groups()]
area = r'<path data-class="(\d+)" fill="[^"]*" fill-opacity="[^"]*" d="([^"]*)"'
cell = {}
for cls, path in re.findall(area, svg):
    for x, y, w in re.findall(r'M(\d+) (\d+)h(\d+)v1', path):
        for k in range(int(w)):
            assert (int(x) + k, int(y)) not in cell, 'areas overlap'
            cell[int(x) + k, int(y)] = int(cls)
assert len(cell) == 120 * 120, 'areas leave gaps'
for line in sys.stdin:
    x, y = map(float, line.split()[:2])
    i = int((x - box[0]) / (box[1] - box[0]) * 120)
    k = 119 - int((y - box[2]) / (box[3] - box[2]) * 120)
    print(cell[i, k])
PY

# Points of a grid inside the picture, and the classes that predict says for them.
python3 -c 'for i in range(9):
  for k in range(9): print("%g,%g" % (-2 + i * 0.5, -2 + k * 0.5))' > grid.csv
{ echo x0,x1; cat grid.csv; } > points.csv

for kind in softmax sigmoid; do
  begin "the decision boundary of a $kind net is where predict says"
  if [ $kind = softmax ]; then plane_spec "dense(6) -> tanh -> " 2 softmax_xent softmax
  else plane_spec "dense(6) -> tanh -> " 1 bce_logits sigmoid; fi > plane.nn
  run 0 gradc train plane.nn --out runs/$kind -q
  grep -q '<h3>Decision boundary</h3>' runs/$kind/report.html || bad "no boundary in the report"
  run 0 gradc predict plane.nn points.csv --weights runs/$kind --out said.csv -q
  # Points nearly undecided may lie on either side of a cell's middle.
  python3 - runs/$kind/report.html $kind << 'PY' || bad "areas and predict disagree"
import csv, subprocess, sys
said = list(csv.reader(open('said.csv')))
head = said[0]
at = [i for i, n in enumerate(head) if n.startswith('prob')]
grid = [l.split(',') for l in open('grid.csv').read().split()]
want = []
for row in said[1:]:
    p = [float(row[i]) for i in at]
    p = p if len(p) == 2 else [1 - p[0], p[0]]
    want.append((int(p[1] > p[0]), abs(p[1] - p[0])))
page = open(sys.argv[1]).read()
import re
span = re.search(r'from (\S+) to (\S+), vertically from (\S+) to (\S+)<', page)
box = [float(v) for v in span.groups()]
keep = [i for i, g in enumerate(grid)
        if box[0] < float(g[0]) < box[1] and box[2] < float(g[1]) < box[3]]
text = '\n'.join(' '.join(grid[i]) for i in keep)
shown = subprocess.run([sys.executable, 'areas.py', sys.argv[1]], input=text, text=True,
                       capture_output=True, check=True).stdout.split()
assert len(keep) >= 15 and len(shown) == len(keep), (len(keep), box)
for i, cls in zip(keep, shown):
    assert want[i][1] < 0.3 or want[i][0] == int(cls), (grid[i], want[i], cls)
PY
done

begin "the page of gradc report: curves, boundary, inner values, landscape, diagram and layers"
run 0 gradc report plane.nn --weights runs/sigmoid --landscape 5 --out a.html -q $back
for what in '<h2>Curves' '<h3>Decision boundary' '<h3>Most confident mistakes' \
  '<h2>Inside the network' '<h2>Loss landscape' 'class="net"' '<h2>Layers' '<h2>Spec'; do
  grep -q "$what" a.html || bad "no $what"
done
for layer in z.dense1 z.tanh z.dense2 infer.sigmoid; do
  grep -q "<h4>$layer <span" a.html || bad "no values of $layer"
done
[ "$(awk '/<pre class="landscape">/ { on = 1; next } /<\/pre>/ { on = 0 } on' a.html | wc -w)" \
  -eq 25 ] || bad "not 5 x 5 losses"

begin "the landscape's middle is the loss of the weights on those samples, and all is finite"
run 0 gradc eval plane.nn --weights runs/sigmoid --split train --json
loss=$(sed -n 's/.*"loss":\([0-9.e-]*\).*/\1/p' "$work/out" | head -n 1)
middle=$(awk '/<pre class="landscape">/ { on = 1; next } /<\/pre>/ { on = 0 } on' a.html |
  sed -n 3p | cut -f 3)
awk -v a="$loss" -v b="$middle" 'BEGIN { d = a - b; exit !(a > 0 && d * d < 1e-8 * a * a) }' ||
  bad "$middle is not $loss"

begin "the page does not depend on the number of threads, nor on the run of the command"
for n in 1 3; do
  run 0 gradc report plane.nn --weights runs/sigmoid --landscape 5 --out t$n.html -q \
    --threads $n $back
  same a.html t$n.html
done

begin "maps of an image net: every layer, every channel; mistakes and filters as PNG"
small_spec > small.nn
run 0 gradc train small.nn --epochs 1 --out runs/small -q
run 0 gradc report small.nn --weights runs/small --sample 7 --landscape 0 --out small.html -q $back
python3 - small.html << 'PY' || bad "the pictures are not those of the net"
import base64, re, struct, sys, zlib
page = open(sys.argv[1]).read()
def sides(data):
    raw = base64.b64decode(data)
    assert raw[:8] == b'\x89PNG\r\n\x1a\n'
    at, seen, packed = 8, [], b''
    while at < len(raw):
        n, = struct.unpack('>I', raw[at:at + 4])
        name, body = raw[at + 4:at + 8], raw[at + 8:at + 8 + n]
        assert struct.unpack('>I', raw[at + 8 + n:at + 12 + n])[0] == zlib.crc32(name + body)
        seen.append(name)
        packed += body if name == b'IDAT' else b''
        at += 12 + n
    w, h = struct.unpack('>II', raw[16:24])
    planes = 3 if raw[25] == 2 else 1
    assert seen == [b'IHDR', b'IDAT', b'IEND']
    assert len(zlib.decompress(packed)) == h * (w * planes + 1)
    return w, h
image = re.findall(r'<img width="\d+" height="\d+" alt="([^"]*)" '
                   r'src="data:image/png;base64,([^"]*)"', page)
size = {}
for alt, data in image:
    size.setdefault(alt, []).append(sides(data))
for i in range(3):
    assert size['c.conv, channel %d' % i] == [(12, 12)], size
    assert size['c.maxpool, channel %d' % i] == [(6, 6)]
    assert size['filter %d, input channel 0' % i] == [(5, 5)]
assert size['x'] == [(28, 28)]
assert size['logits.dense1, values from 0'] == [(19, 1)]
mistakes = re.search(r'(\d+) of (\S+) mistakes on', page)
assert len([a for a in size if a.startswith('row ')]) == int(mistakes.group(1)) > 0
assert 'Loss landscape' not in page
PY
run 0 gradc eval small.nn --weights runs/small --json
wrong=$(python3 -c 'import json
e = json.loads(open("out").readline()); print(round(e["n"] * (1 - e["accuracy"])))')
grep -q "of $wrong mistakes on 70 samples" small.html || bad "not $wrong mistakes"

begin "a net for tokens shows what it writes, one that knows its text by heart writes it"
mkdir -p text && echo Thiscourseisaboutdeeplearning > text/course.txt
run 0 gradc train "$SOURCE/examples/course/next_char.nn" --data . --out runs/chars -q
run 0 gradc report "$SOURCE/examples/course/next_char.nn" --data . --weights runs/chars \
  --landscape 0 --out chars.html -q $back
[ "$(grep -c '<pre class="text">' chars.html)" -eq 2 ] || bad "not two texts"
grep -A 99 '<pre class="text">' chars.html | grep -q 'courseisaboutdeeplearning' ||
  bad "the text is another one"

begin "on paper: light, and no heading without what it heads"
style=$(sed -n '/^<style>/,/^<\/style>/p' runs/small/report.html | tr -d '\n')
for rule in '@media print{:root{color-scheme:light;--bg:#fff' 'h4+p,summary{break-after:avoid}' \
  '.scroll,pre{overflow:visible}'; do
  case $style in *"$rule"*) ;; *) bad "the style lacks $rule" ;; esac
done

begin "values inside: of layers with much work, and of more layers than a step has outputs"
cat > heavy.nn << 'SPEC'
net 1;
data d {
  train: digits(samples=4);
  field x: u8[28,28] as f32[1,28,28] -> div(255);
  field y: u8 as label(10);
}
model m(x: f32[1,28,28]) -> z: f32[10] {
  z = x -> dropout(0.5) -> conv(4, 3, pad=1) as light -> upsample(16) -> conv(40, 9) as heavy
    -> global_avgpool -> dense(10);
}
train m on d { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 4; }
SPEC
python3 - > deep.nn << 'PY'
block = 'a%d = h%d -> dense(8) -> tanh; h%d = h%d + a%d;'
steps = ' '.join(block % (i, i, i + 1, i, i) for i in range(12))
print("""net 1;
data d { train: moons(samples=40); field x: f32[2]; field y: label(2); }
model m(x: f32[2]) -> z: f32[2] { h0 = x -> dense(8); %s z = h12 -> dense(2); }
train m on d { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 4; real: f64; }
infer m { output: z, a3 as middle; }""" % steps)
PY
for net in heavy deep; do
  run 0 gradc train $net.nn --out runs/$net -q
  run 0 gradc report $net.nn --weights runs/$net --landscape 0 --out $net.html -q $back
done
for layer in z.dropout light z.upsample heavy z.global_avgpool z.dense; do
  grep -q "<h4>$layer <" heavy.html || bad "$layer is missing"
done
[ "$(grep -c '<h4>a[0-9]*.tanh <' deep.html)" -eq 12 ] || bad 'layers of the deep net are missing'
run 0 gradc data deep.nn --json
point=$(sed -n 's/.*"first":\[{"row":0,"x":\[\([^]]*\)\].*/\1/p' out)
echo "$point" > point.csv
run 0 gradc predict deep.nn point.csv --weights runs/deep --out deep.csv -q
python3 - << 'PY' || bad 'the values are not those of predict'
import csv, re
head, row = list(csv.reader(open('deep.csv')))
want = [float(v) for h, v in zip(head, row) if h.startswith('middle')]
page = open('deep.html').read()
low, high = map(float, re.search(r'<h4>a3.tanh <[^,]*, from (\S+) to ([^<]+)<', page).groups())
assert len(want) == 8
for is_, shown in ((min(want), low), (max(want), high)):
    assert abs(is_ - shown) < 1e-3 * abs(shown), (want, low, high)
PY

begin "many classes with long names: all in the matrix, in the plane, and told apart"
python3 - > many.csv << 'PY'
import random
random.seed(2)
print('width,height,kind')
for i in range(900):
    c = i % 60
    print('%.4f,%.4f,kind of animal no %03d of the list' % (c % 10 + random.gauss(0, 0.1),
                                                          c // 10 + random.gauss(0, 0.1), c))
PY
cat > many.nn << 'SPEC'
net 1;
data d {
  source: csv("many.csv");
  split: train = 600, test = 300;
  field x: f32[2] from "width, height";
  field y: label(60) from "kind";
}
model m(x: f32[2]) -> z: f32[60] { z = x -> dense(60); }
train m on d { loss: softmax_xent(z, y); optimizer: adam(lr=0.05); epochs: 2; batch: 32; }
eval m on d.test { report accuracy(z, y), confusion(z, y); }
SPEC
run 0 gradc data many.nn
says '^  kind of animal no 059 of the list  *10 '
run 0 gradc train many.nn --out runs/many -q
python3 - << 'PY' || bad 'classes are missing'
import re
page = open('runs/many/report.html').read()
matrix = re.search(r'<svg class="matrix".*?</svg>', page, re.S).group(0)
cells = [tuple(map(int, c)) for c in
         re.findall(r'<title>true (\d+), predicted (\d+): (\d+) \(', matrix)]
assert sum(c[2] for c in cells) == 300 and max(c[0] for c in cells) > 50
assert '>kind of..e list<' in matrix and matrix.count('<text class="tick"') == 12
plane = re.search(r'<svg[^>]*>\s*<title>Predicted classes.*?</svg>', page, re.S).group(0)
assert '>width</text>' in plane and '>height</text>' in plane
assert '>kind of animal ..000 of the list<' in plane and '>and 37 more<' in plane
assert max(map(int, re.findall(r'data-class="(\d+)" fill="[^"]*" fill-opacity', plane))) > 50
PY
head -n 5 many.csv > five.csv
sed 's/many.csv/five.csv/; s/label(60)/label(4)/; s/= 600, test = 300/= 2, test = 2/; s/60/4/g' \
  many.nn > five.nn
sed -i '2,5s/no 00\([0-9]\) of the list/nr \1; the end/' five.csv
run 0 gradc train five.nn --out runs/five
says '^ *kind of..he end '

begin "several runs in one picture, each with its own look in all of them"
run 0 gradc report runs/softmax runs/sigmoid runs/small --out runs.html -q
[ "$(grep -c '<figure>' runs.html)" -eq 4 ] || bad "not 4 measures"
[ "$(grep -c 'class="line c" d=' runs.html)" -eq 4 ] || bad "not 4 curves of the third run"
grep -q '>sigmoid</text>' runs.html || bad "no name"

begin "a cross-validation stands for its runs, and runs of one name are told apart"
sed '/^  test: blobs/a split: valid = 20% of train;' plane.nn > folds.nn
run 0 gradc train folds.nn --folds 3 --epochs 2 --out runs/folds -q
run 0 gradc report runs/folds runs/softmax --out folds.html -q
for name in fold1 fold2 fold3 softmax; do
  grep -q ">$name</text>" folds.html || bad "no $name"
done
run 0 gradc train folds.nn --folds 2 --epochs 2 --out runs/folds -q
run 0 gradc report runs/folds --out folds.html -q
grep -q '>fold2</text>' folds.html || bad 'no second fold of two'
grep -q '>fold3</text>' folds.html && bad 'there is a third fold of two'
head -n 1 runs/folds/fold2/metrics.csv > head.csv
cp head.csv runs/folds/fold2/metrics.csv
run 0 gradc report runs/folds --out folds.html -q
grep -q '>fold1</text>' folds.html || bad 'a fold without epochs takes the others along'
mkdir -p other && cp -r runs/softmax other
run 0 gradc report runs/softmax other/softmax --out twins.html -q
grep -q '>runs/softmax</text>' twins.html || bad 'which one is which?'
grep -q '>other/softmax</text>' twins.html || bad 'which one is which?'

begin "--profile adds times of every layer"
run 0 gradc report plane.nn --weights runs/sigmoid --landscape 0 --profile --out p.html -q $back
grep -q '<th class="n">backward ms</th>' p.html || bad "no times"

begin "what a report cannot show is refused, and nothing is written"
run 2 gradc report plane.nn --weights runs/sigmoid --landscape 4 --out no.html
says_once 'an odd number'
run 2 gradc report plane.nn --weights runs/sigmoid --sample 200 --out no.html
says_once 'has 200 samples'
run 2 gradc report plane.nn --weights runs/sigmoid --sample x --out no.html
says_once 'a whole number'
run 4 gradc report plane.nn --weights nowhere --out no.html
mkdir empty
run 3 gradc report runs/softmax empty --out no.html
says_once 'no metrics.csv'
printf 'epoch,step\n1,x\n' > empty/metrics.csv
run 3 gradc report empty --out no.html
says_once 'no epochs'
run 2 gradc report "$SOURCE/examples/xor.nn" --out no.html
says_once 'no train or eval block'
run 2 gradc report plane.nn runs/softmax
says_once 'one spec or several'
[ ! -e no.html ] || bad "no.html is there"
finish
