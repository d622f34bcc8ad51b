#!/bin/sh
# Examples of a course that end in pictures: the pictures are read back and compared with what the
# nets say, the gradient of logistic regression with its formula.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
cp -r "$SOURCE/examples" examples
course=examples/course

for name in blobs separator inside landscape; do
  begin "$name prints what its first comment shows"
  run 0 gradc check $course/$name.nn
  shown $course/$name.nn
done

# Arrays of an .npz file by name, as lists of rows.
cat > arrays.py << 'PY'
import ast, struct, zipfile
def arrays(path):
    out = {}
    with zipfile.ZipFile(path) as z:
        for name in z.namelist():
            b = z.read(name)
            n = struct.unpack('<H', b[8:10])[0]
            head = ast.literal_eval(b[10:10 + n].decode())
            form = {'<f8': 'd', '<f4': 'f'}[head['descr']]
            raw = b[10 + n:]
            form = '<%d%s' % (len(raw) // struct.calcsize(form), form)
            out[name[:-4]] = list(struct.unpack(form, raw))
    return out
PY

begin 'blobs: the compiled gradient is sum_n (y_l - t_nl) phi_n, in double'
python3 - > clouds.csv << 'PY'
import random
random.seed(5)
print('a,b,class')
for n in range(150):
    c = n % 3
    print('%.6f,%.6f,%d' % (random.gauss([0, 2, -1][c], 1), random.gauss([0, 1, 2][c], 1), c))
PY
sed -e 's/train: blobs.*/train: csv("clouds.csv");/' -e '/test: blobs/d' \
  -e 's/on clouds.test/on clouds.train/' -e 's/batch: all/batch: 150/' \
  $course/blobs.nn > logistic.nn
set -- --set real=f64 --set epochs=1 --set lr=1
run 0 gradc export logistic.nn --untrained -o before.npz -q --set real=f64
run 0 gradc train logistic.nn "$@" --out runs/one -q
run 0 gradc export logistic.nn --weights runs/one -o after.npz -q --set real=f64
python3 - << 'PY' || bad 'the step is not the gradient'
import csv, math, sys
sys.path.insert(0, '.')
from arrays import arrays
w0, w1 = arrays('before.npz'), arrays('after.npz')
rows = [[float(v) for v in r] for r in list(csv.reader(open('clouds.csv')))[1:]]
sums = [[0.0] * 3 for _ in range(3)]
for a, b, c in rows:
    phi = [a, b, 1.0]
    z = [sum(p * w for p, w in zip(phi, w0['a.weight'][2 * l:2 * l + 2] + [w0['a.bias'][l]]))
         for l in range(3)]
    e = [math.exp(v - max(z)) for v in z]
    for l in range(3):
        for i in range(3):
            sums[l][i] += (e[l] / sum(e) - (l == int(c))) * phi[i]
worst = 0
for l in range(3):
    step = [w0['a.weight'][2 * l + i] - w1['a.weight'][2 * l + i] for i in range(2)]
    step.append(w0['a.bias'][l] - w1['a.bias'][l])
    for i in range(3):
        worst = max(worst, abs(step[i] * len(rows) - sums[l][i]))
scale = max(abs(v) for row in sums for v in row)
# Rows are stored as 32-bit numbers.
assert scale > 10 and worst < 1e-6 * scale, (worst, scale)
PY

# The classes of the cells of a page's decision boundary, by row from the top: areas PAGE.
cat > areas.py << 'PY'
import re
def areas(path):
    page = open(path).read()
    svg = re.search(r'<svg[^>]*>\s*<title>Predicted classes.*?</svg>', page, re.S).group(0)
    cell = [[None] * 120 for _ in range(120)]
    form = r'<path data-class="(\d+)" fill="[^"]*" fill-opacity="[^"]*" d="([^"]*)"'
    for cls, path in re.findall(form, svg):
        for x, y, w in re.findall(r'M(\d+) (\d+)h(\d+)v1', path):
            for k in range(int(w)):
                cell[int(y)][int(x) + k] = int(cls)
    points = {int(c): d.count('M') for c, d in
              re.findall(r'<path class="point" data-class="(\d+)" fill="[^"]*" d="([^"]*)"', svg)}
    return cell, points
def changes(line):
    return sum(a != b for a, b in zip(line, line[1:]))
PY

begin 'blobs: three classes meet at straight lines'
python3 - << 'PY' || bad 'the areas are not those of linear functions'
import sys
sys.path.insert(0, '.')
from areas import areas, changes
cell, points = areas('runs/logistic/report.html')
assert {c for row in cell for c in row} == {0, 1, 2} and sum(points.values()) == 300
# Every line of the grid crosses the convex area of a class at most once.
for line in cell + [list(col) for col in zip(*cell)]:
    for c in range(3):
        assert changes([v == c for v in line]) <= 2, line
PY

begin 'separator: one neuron draws a line, ten and ten follow both moons'
python3 - << 'PY' || bad 'the separators are not those of their nets'
import sys
sys.path.insert(0, '.')
from areas import areas, changes
def bends(cell):
    lines = cell + [list(col) for col in zip(*cell)]
    return max(changes(line) for line in lines)
one, few, many = [areas('runs/%s/report.html' % n)[0] for n in ('1', '5', '21')]
assert bends(one) == 1 and bends(many) >= 2, (bends(one), bends(few), bends(many))
PY

begin 'inside: filters and the maps of all layers are there, and not empty'
for layer in c1.conv c1.relu c1.maxpool c2.conv c2.relu c2.maxpool logits.dense infer.softmax; do
  grep -q "<h4>$layer <span" inside.html || bad "no $layer"
done
[ "$(grep -o 'alt="c1.conv, channel [0-9]*"' inside.html | sort -u | wc -l)" -eq 8 ] ||
  bad 'not 8 maps of c1.conv'
[ "$(grep -o 'alt="filter [0-9]*, input channel 0"' inside.html | sort -u | wc -l)" -eq 8 ] ||
  bad 'not 8 filters'
[ "$(grep -o 'alt="c2.relu, channel [0-9]*" src="[^"]*"' inside.html | sed 's/.*src=//' |
  sort -u | wc -l)" -gt 8 ] || bad 'the maps of c2.relu are the same'

begin 'landscape: training ended in a valley, and the contours are closed or leave the picture'
awk '/<pre class="landscape">/ { on = 1; next } /<\/pre>/ { on = 0 } on' landscape.html > plane.tsv
awk -F '\t' '{ for (i = 1; i <= NF; i++) { v[NR, i] = $i; n++; if ($i > high) high = $i } }
  END {
    for (k in v) if (v[k] < v[13, 13] - 0.02) lower++
    rim = (v[1, 1] < v[1, 25] ? v[1, 1] : v[1, 25])
    exit !(n == 625 && NR == 25 && lower <= 6 && rim > 10 * v[13, 13] && high > 1)
  }' plane.tsv || bad "the middle is not the bottom: $(sed -n 13p plane.tsv | cut -f 11-15)"
[ "$(grep -c '<path class="contour" d="M' landscape.html)" -ge 7 ] || bad 'no contours'
finish
