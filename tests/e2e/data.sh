#!/bin/sh
# gradc data shows what is in the files of a spec; augmentation changes training samples alone, and
# the bits do not depend on threads, on preparing samples ahead or on a stop in between.
. "$(dirname "$0")/lib.sh"
small_spec > small.nn

begin 'rows, ranges and classes as text'
run 0 gradc data small.nn
says '^train +310 +digits, small.nn:3$'
says '^test +70 +digits, small.nn:4$'
says '^field x: u8\[28, 28\]$'
says '^ +train +0 +255 '
says '^field y: label\(10\)$'
says '^  9 +31 +7$'
says '^  row 0: +x = 0 0 0 0 0 0 0 0 \.\.  y = 0$'

begin 'the same as JSON'
run 0 gradc data small.nn --json
says '"splits":\[\{"name":"train","rows":310,'
says '"counts":\{"train":\[31,31,31,31,31,31,31,31,31,31\],"test":\[7,7,7,7,7,7,7,7,7,7\]\}'

cat > table.nn << 'SPEC'
net 1;
data rows {
  source: csv("table.csv");
  split: train = 50%, valid = 50%;
  field x: f32[4] from "a..b, kind:onehot";
  field y: label(2) from "c";
}
model m(x: f32[4]) -> z: f32[2] { z = x -> dense(2); }
train m on rows { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 2; }
SPEC
printf 'a,b,kind,c\n1,2,up,0\n3,,down,1\n5,6,up,0\n,8,up,1\n,10,down,1\n9,12,down,0\n' > table.csv

begin 'missing cells are counted, with what training would do'
run 0 gradc data table.nn
says '^  a +train .* 2$'
says '^  b +train .* 1$'
says '^  kind=down +train .* 0$'
says 'training refuses missing cells: missing=mean in table.nn:3'
run 3 gradc train table.nn --out table

begin 'rows left out are counted'
sed 's/csv("table.csv")/csv("table.csv", missing=skip)/' table.nn > skip.nn
run 0 gradc data skip.nn
says '; 3 rows with missing cells left out$'

begin 'a cell that is no number is an error with its place'
printf 'a,b,kind,c\n1,2,up,0\n3,x,down,1\n' > table.csv
run 3 gradc data table.nn
says_once 'table.csv:3:3: "x" is not a number'

begin 'files that many people lack are said to be somewhere'
run 3 gradc data "$SOURCE/examples/mnist_lenet.nn" --data "$work"
says_once 'cannot read "mnist/train-images-idx3-ubyte.gz": No such file'
says '  note: MNIST is at https://'

begin 'pictures as page, SVG and PNG'
run 0 gradc data small.nn --out page.html
grep -q '<h2>samples of the training split</h2>' page.html || bad 'no samples in the page'
[ "$(grep -c '<figure>' page.html)" -eq 80 ] || bad 'not 80 pictures'
grep -q 'http' page.html && bad 'the page is not alone'
run 0 gradc data small.nn --out page.svg
[ "$(grep -c '<image ' page.svg)" -eq 80 ] || bad 'not 80 images in the SVG'
run 0 gradc data small.nn --out page.png
[ "$(head -c 8 page.png | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || bad 'no PNG'
run 2 gradc data small.nn --out page.gif
says_once '\.html, \.svg or \.png'

begin 'points are drawn in the plane'
cat > points.nn << 'SPEC'
net 1;
data p { train: moons(samples=60); field x: f32[2]; field y: label(2); }
model m(x: f32[2]) -> z: f32[2] { z = x -> dense(2); }
train m on p { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 8; }
SPEC
run 0 gradc data points.nn --out points.svg
[ "$(grep -c '<circle ' points.svg)" -eq 60 ] || bad 'not 60 points'
run 2 gradc data points.nn --out points.png
says_once 'no field holds images'

begin 'a stratified split has the same share of each class'
sed 's/^  test: .*/  split: valid = 20% of train, few = 10 of train;/
  s/^  field y: .*/&\n  stratify: y;/' small.nn | sed '/^eval/d' > shares.nn
run 0 gradc data shares.nn --json
says '"valid":\[(6,|7,){9}[67]\]'
says '"few":\[1,1,1,1,1,1,1,1,1,1\]'
run 0 gradc train shares.nn --out shares --epochs 1

# ---- augmentation ----

steps='rotate(15) -> crop(2) -> cutout(6) -> noise(20)'
sed "s/^  field y: .*/&\\n  augment: x -> $steps;/" small.nn > augmented.nn

begin 'augmented samples are shown beside their originals'
run 0 gradc data augmented.nn --out page.html
[ "$(grep -c '<figcaption>epoch 7</figcaption>' page.html)" -eq 10 ] || bad 'not 10 rows of changes'

begin 'training sees changed samples, evaluation does not'
run 0 gradc train small.nn --out plain --epochs 1
run 0 gradc train augmented.nn --out ahead --epochs 2
cmp -s plain/last.safetensors ahead/last.safetensors && bad 'nothing was changed'
run 0 gradc eval augmented.nn --weights plain
sed 's/^.*test: //' out > augmented.txt
run 0 gradc eval small.nn --weights plain
sed 's/^.*test: //' out > plain.txt
same plain.txt augmented.txt

begin 'the same bits for any threads, with and without a thread of their own, and after a stop'
run 0 gradc train augmented.nn --out one --epochs 2 --threads 1
run 0 gradc train augmented.nn --out three --epochs 2 --threads 3
run 0 gradc train augmented.nn --out between --epochs 2 --no-prefetch
run 0 gradc train augmented.nn --out parts --epochs 2 --steps 7
run 0 gradc train augmented.nn --out parts --epochs 2 --resume
same ahead/last.safetensors one/last.safetensors three/last.safetensors \
  between/last.safetensors parts/last.safetensors

begin 'a run does not go on with other augmentation'
sed 's/noise(20)/noise(21)/' augmented.nn > other.nn
run 0 gradc train augmented.nn --out other --epochs 2 --steps 7
run 4 gradc train other.nn --out other --epochs 2 --resume
finish
