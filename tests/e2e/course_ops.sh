#!/bin/sh
# Examples of a course about operations of one's own and about backpropagation: they print what
# their first comments show, and the formulas that they show are what is computed.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
cp -r "$SOURCE/examples" examples
course=examples/course

for name in own_op backprop; do
  begin "$name prints what its first comment shows"
  run 0 gradc check $course/$name.nn
  run 0 gradc fmt --check $course/$name.nn
  shown $course/$name.nn
done

begin 'own_op: other numbers have the gradients 1/x and 1/y too'
for numbers in '0.5 3' '8 0.25' '1 1.25'; do
  set -- $numbers
  sed "s/constant(2)/constant($1)/; s/constant(4)/constant($2)/" $course/own_op.nn > \
    $course/other.nn
  run 0 gradc train $course/other.nn --set real=f64 -q --out other
  run 0 gradc predict $course/other.nn $course/zero.csv --set real=f64 --weights other
  awk -v x="$1" -v y="$2" '
    function off(a, b) { a -= b; return !(a < 1e-5 && a > -1e-5) }
    { s = log(x * y) < 0 ? -1 : 1; if (off($3, x - s / x) || off($5, y - s / y)) print }' out > off
  [ ! -s off ] || bad "$numbers: $(cat off)"
done

begin 'derivatives are simplified, and sums keep their indices'
cat > shown.nn << 'SPEC'
net 1;
data d { train: blobs(samples=8, classes=2); field x: f32[2]; field y: label(2); }
op root(x: f32[*s]) -> y: f32[*s] { y[*i] = sqrt(x[*i] ** 4); }
op ratio(x: f32[n], w: param f32[n] = ones) -> y: f32[n] { y[i] = x[i] / w[i]; }
op slope(x: f32[n]) -> y: f32[n] { y[i] = 3 * x[i] + exp(-2 * x[i]) + x[i]; }
op window(x: f32[n], w: param f32[k]) -> y: f32[n - k + 1] { y[i] += x[i + j] * w[j]; }
op stretch(x: f32[n]) -> y: f32[4] { y[i] = x[0] + i * x[n - 1]; }
op top(x: f32[n]) -> y: f32[n - 1] { y[i] maxof= x[i + j] where j in 0..1; }
model m(x: f32[2]) -> z: f32[2] {
  z = x -> root -> ratio -> slope -> stretch -> window(k=2, w=uniform(0.5, 1)) -> top -> dense(2);
}
train m on d { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 4; }
SPEC
run 0 gradc build shown.nn --emit grad -o -
prints '  y = x^2'
prints '  dy/dx = 2 * x'
prints '  dy/dx = 1 / w'
prints '  dy/dw = -x / w^2'
prints '  y = 4 * x + exp(-2 * x)'
prints '  dy/dx = 4 - 2 * exp(-2 * x)'
prints '  dx[m] = sum_{j} dy[m-j] * w[j]'
prints '  dw[j] = sum_{i} dy[i] * x[j+i]'
prints '  dx[m] = sum_{j} dy[m-j] where argmax_y[m-j] = j'
run 0 gradc gradcheck shown.nn
says 'all within 1e-06'
finish
