#!/bin/sh
# Operations that the spec writes itself: they learn what the layers learn that do the same, in
# every layout, for any number of threads and partial batches, and what has no layer agrees with
# its formula.
. "$(dirname "$0")/lib.sh"

ops() {
  cat << 'SPEC'
op lin(x: f32[k], w: param f32[u,k]) -> y: f32[u] { y[i] += w[i,j] * x[j]; }
op corr1d(x: f32[c,n], w: param f32[f,c,k]) -> y: f32[f, n - k + 1] {
  y[f,i] += x[c, i + j] * w[f,c,j];
}
op corr(x: f32[c,h,w], k: param f32[f,c,a,b], stride = 1)
  -> y: f32[f, (h - a) / stride + 1, (w - b) / stride + 1] {
  y[f,i,j] += x[c, stride * i + u, stride * j + v] * k[f,c,u,v];
}
op padded(x: f32[c,h,w], k: param f32[f,c,3,3]) -> y: f32[f,h,w] {
  y[f,i,j] += x[c, i + u, j + v] * k[f,c,u + 1,v + 1] where u in -1..1, v in -1..1;
}
op mish(x: f32[*s]) -> f32[*s] { y[*i] = x[*i] * tanh(log(1 + exp(x[*i]))); }
op soft(x: f32[n]) -> y: f32[n] {
  m maxof= x[i];
  e[i] = exp(x[i] - m);
  s += e[i];
  y[i] = e[i] / s;
}
op largest(x: f32[c,h,w], r = 2) -> y: f32[c, h / r, w / r] {
  y[c,i,j] maxof= x[c, r * i + u, r * j + v] where u in 0..r - 1, v in 0..r - 1;
}
op mean(x: f32[c,h,w]) -> y: f32[c] { s[c] += x[c,i,j]; y[c] = s[c] / (h * w); }
SPEC
}

# pair NAME 'statements with ops' 'statements with layers': equal losses in double.
pair() {
  begin "$1: the op learns what the layers learn"
  for side in op layer; do
    {
      echo 'net 1; data d { train: blobs(samples=21, classes=3, noise=2);'
      echo 'field x: f32[72]; field y: label(3); }'
      [ $side = layer ] || ops
      if [ $side = op ]; then body=$2; else body=$3; fi
      echo "model m(x: f32[72]) -> z: f32[3] { i = x -> reshape([2, 6, 6]); $body }"
      echo 'train m on d { loss: softmax_xent(z, y); optimizer: sgd(lr=0.05, momentum=0.5);'
      echo '  epochs: 2; batch: 8; rng: torch; real: f64; }'
    } > $side.nn
    for layout in lanes channels; do
      [ $side.$layout != layer.channels ] || continue
      run 0 gradc train $side.nn --layout $layout --log-steps $side.$layout.csv -q --out $side
    done
  done
  for layout in lanes channels; do
    paste -d , op.$layout.csv layer.lanes.csv | awk -F , '
      NR > 1 { e = $2 - $5; if (e < 0) e = -e; if (!(e <= 1e-12)) print; n++ }
      END { if (n != 6) print n " steps" }' > off
    [ ! -s off ] || bad "$layout: $(head -n 2 off)"
  done
}

pair dense 'z = x -> lin(7) -> tanh -> lin(3);' \
  'z = x -> dense(7, bias=false) -> tanh -> dense(3, bias=false);'
pair conv1d 's = x -> reshape([4, 18]) -> corr1d(f=5, k=3) -> tanh;
  t = s -> corr1d(2, 2); z = t -> flatten -> dense(3);' \
  's = x -> reshape([4, 18]) -> conv1d(5, 3, bias=false) -> tanh;
  t = s -> conv1d(2, 2, bias=false); z = t -> flatten -> dense(3);'
pair conv 's = i -> corr(stride=2, f=5, a=2, b=2) -> tanh;
  t = s -> corr(f=2, a=2, b=1); z = t -> flatten -> dense(3);' \
  's = i -> conv(5, 2, stride=2, bias=false) -> tanh;
  t = s -> conv(2, [2, 1], bias=false); z = t -> flatten -> dense(3);'
pair padding 'z = i -> conv(4, 1) -> padded(f=3) -> flatten -> dense(3);' \
  'z = i -> conv(4, 1) -> conv(3, 3, pad=1, bias=false) -> flatten -> dense(3);'
pair mish 'z = x -> dense(6) -> mish -> dense(3);' \
  'h = x -> dense(6); g = h -> softplus -> tanh; z = h * g -> dense(3);'
pair softmax 'z = x -> dense(6) -> soft -> dense(3);' 'z = x -> dense(6) -> softmax -> dense(3);'
pair maxpool 'z = i -> conv(3, 3, pad=1) -> largest -> flatten -> dense(3);' \
  'z = i -> conv(3, 3, pad=1) -> maxpool(2) -> flatten -> dense(3);'
pair mean 'z = i -> conv(3, 3) -> mean -> dense(3);' \
  'z = i -> conv(3, 3) -> global_avgpool -> dense(3);'
begin 'lrn, a matrix product and shifts agree with their formulas'
cat > formulas.nn << 'SPEC'
net 1;
data d { train: sine(samples=8); field x: f32[1]; field y: f32[1]; }
op lrn(x: f32[c,w], a = 0.5, b = 0.75, r = 2) -> y: f32[c,w] {
  s[c,w] += x[c + d,w] ** 2 where d in -r..r;
  y[c,w] = x[c,w] / (1 + a * s[c,w]) ** b;
}
op product(a: f32[m,k], b: f32[k,n]) -> y: f32[m,n] { y[m,n] += a[m,k] * b[k,n]; }
op ramp(x: f32[u], n = 6) -> y: f32[n] { y[i] = x[0] * (i + 1) - 2; }
op back(x: f32[n]) -> y: f32[n] { y[i] = x[n - 1 - i]; }
op next(x: f32[n]) -> y: f32[n] { y[i] = x[i + 1] where i in 0..n - 1; }
op least(x: f32[n]) -> y: f32 { y minof= (x[i] - i) ** 2; }
model m(x: f32[1]) -> (v: f32[6], l: f32[6], p: f32[4], r: f32[6], t: f32[6], s: f32) {
  v = x -> ramp;
  l = v -> reshape([6, 1]) -> lrn -> flatten;
  a = v -> reshape([2, 3]);
  b = v -> reshape([3, 2]);
  p = product(a, b) -> flatten;
  r = v -> back;
  t = v -> next;
  s = v -> least;
  other = x -> dense(1);
}
train m on d { loss: mse(other, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 4; real: f64; }
SPEC
printf '0.5\n-1.25\n3\n' > points.csv
run 0 gradc train formulas.nn -q
run 0 gradc predict formulas.nn points.csv --out formulas.csv
awk -F , '
  function off(what, x, y) { x -= y; if (!(x < 1e-6 && x > -1e-6)) print what, $0 }
  NR > 1 {
    for (i = 0; i < 6; i++) v[i] = $(3 + i)
    off("ramp", v[5] - v[0], 5 * (v[0] + 2))
    least = v[0] ^ 2
    for (i = 0; i < 6; i++) {
      s = 0
      for (k = i - 2; k <= i + 2; k++) s += k >= 0 && k < 6 ? v[k] ^ 2 : 0
      off("lrn", $(9 + i), v[i] / (1 + 0.5 * s) ^ 0.75)
      off("back", $(19 + i), v[5 - i])
      off("next", $(25 + i), i < 5 ? v[i + 1] : 0)
      if ((v[i] - i) ^ 2 < least) least = (v[i] - i) ^ 2
    }
    for (i = 0; i < 4; i++) {
      s = 0
      for (k = 0; k < 3; k++) s += v[3 * int(i / 2) + k] * v[2 * k + i % 2]
      off("product", $(15 + i), s)
    }
    off("least", $31, least)
    n++
  }
  END { if (n != 3) print n " rows" }' formulas.csv > off
[ ! -s off ] || bad "$(head -n 3 off)"

begin 'gradients of ops agree with differences, and bits with any number of threads'
{
  echo 'net 1; data d { train: blobs(samples=21, classes=3, noise=1);'
  echo 'field x: f32[20]; field y: label(3); }'
  ops
  cat << 'SPEC'
op lrn(x: f32[c,h,w], a = 0.5, b = 0.75, r = 1) -> y: f32[c,h,w] {
  s[c,h,w] += x[c + d,h,w] ** 2 where d in -r..r;
  y[c,h,w] = x[c,h,w] / (1 + a * s[c,h,w]) ** b;
}
op attend(q: f32[n,d], w: param f32[d,d]) -> y: f32[n,d] {
  k[j,e] += q[j,u] * w[u,e];
  a[i,j] += q[i,e] * k[j,e] / d;
  top[i] maxof= a[i,j];
  e[i,j] = exp(a[i,j] - top[i]);
  s[i] += e[i,j];
  y[i,u] += e[i,j] * q[j,u] / s[i];
}
op apart(x: f32[n], centre: param f32[k,n] = normal(std=1)) -> y: f32[k] {
  y[k] += (x[i] - centre[k,i]) ** 2;
}
op diagonal(x: f32[n,n], t: param f32 = ones) -> y: f32[n] { y[i] = t * x[i,i] + i; }
op middle(x: f32[*s,w]) -> y: f32[*s, w - 2] {
  y[*i,j] minof= x[*i,j + k] * (k + 1) where k in 0..2;
}
model m(x: f32[20]) -> z: f32[3] {
  h = x -> reshape([5, 2, 2]) -> lrn -> mish -> padded(f=4) -> largest -> flatten;
  g = x -> reshape([5, 4]) -> attend -> middle -> flatten -> dense(16) -> tanh;
  f = g -> apart(k=4) as near -> softplus;
  e = g -> reshape([4, 4]) -> diagonal;
  z = h + e - f -> soft -> lin(3);
}
train m on d {
  loss: softmax_xent(z, y);
  optimizer: sgd(lr=0.1);
  epochs: 2;
  batch: 8;
}
SPEC
} > all.nn
for layout in lanes channels; do
  run 0 gradc gradcheck all.nn --layout $layout
  says 'all within 1e-06'
done
for threads in 1 2 3 5; do
  run 0 gradc train all.nn --threads $threads -q --out by$threads
  [ $threads -eq 1 ] || same by1/last.safetensors by$threads/last.safetensors
done
run 0 gradc train all.nn --backend c -q --out by_c
same by1/last.safetensors by_c/last.safetensors
sed 's/batch: 8/batch: 1/' all.nn > single.nn
run 0 gradc train single.nn --epochs 1 -q --out single
# deep DIM..: a net of tensors with these dims, 48 numbers each
deep() {
  dims=$(echo "$*" | tr ' ' ,)
  back=$(printf '%s\n' "$@" | awk '{ s = $1 (NR > 1 ? "," s : "") } END { print s }')
  last=$(($# - 1)) end=$((1 + ${dims##*,}))
  cat << SPEC
net 1;
data d { train: blobs(samples=21, classes=3, noise=1); field x: f32[20]; field y: label(3); }
op scaled(x: f32[$dims], w: param f32[$dims] = normal(std=0.5)) -> y: f32[$dims] {
  y[$(echo a,b,c,d,e,g,h,k | cut -d , -f "1-$#")] = $(
    echo a,b,c,d,e,g,h,k | cut -d , -f "1-$#" | sed 's/.*/x[&] * w[&]/');
}
op spin(x: f32[*s,m], w: param f32[m,m] = normal(std=0.5)) -> y: f32[*s,m] {
  y[*i,u] += x[*i,v] * w[u,v];
}
op below(x: f32[*s,m]) -> y: f32[*s,m] { t[*i] maxof= x[*i,j]; y[*i,j] = x[*i,j] - t[*i]; }
model deep(x: f32[20]) -> (z: f32[3], b: f32[$back]) {
  i = x -> dense(48) -> tanh -> reshape([$dims]);
  a = i -> scaled -> below -> spin;
  b = a -> transpose([$(seq -s , $last -1 0)]) -> reverse([0, $last]);
  c = concat(a, i, axis=$last) -> slice(axis=$last, from=1, to=$end);
  s = sum(a, axis=[0, $last]) -> flatten;
  v = max(c, axis=2, keep=true) -> flatten;
  t = ((c - i) * a -> flatten) + (b -> flatten);
  z = (t -> dense(8)) + (s -> dense(8)) + (v -> dense(8)) + (b -> relu -> flatten -> dense(8))
    -> tanh -> dense(3);
}
train deep on d { loss: softmax_xent(z, y); optimizer: adam(lr=0.01); epochs: 2; batch: 8; }
infer deep { output: z, b; }
SPEC
}

for dims in '2 3 2 2 2' '2 3 1 2 2 2' '2 1 3 1 2 2 2' '2 1 3 1 2 1 2 2' '16 1 1 1 1 1 1 3'; do
  begin "tensors of dimensions $dims"
  # shellcheck disable=SC2086
  deep $dims > deep.nn
  for layout in lanes channels; do
    run 0 gradc gradcheck deep.nn --layout $layout
    says 'all within 1e-06'
    run 0 gradc train deep.nn --layout $layout --threads 1 --silent --out $layout.1
    run 0 gradc train deep.nn --layout $layout --threads 3 --backend c --silent --out $layout.3
    same $layout.1/last.safetensors $layout.3/last.safetensors
  done
  # Weights that went to NumPy and back give the same outputs, other layouts nearly the same.
  awk 'BEGIN { for (r = 0; r < 5; r++) for (k = 0; k < 20; k++)
    printf "%.3f%s", (r * 7 + k * 13) % 17 / 17, k < 19 ? "," : "\n" }' > rows.csv
  rm -rf back
  run 0 gradc export deep.nn --weights lanes.1 -o w.npz
  run 0 gradc import deep.nn --weights w.npz -o back
  for layout in lanes channels; do
    run 0 gradc predict deep.nn rows.csv --weights lanes.1 --layout $layout --out $layout.csv
    run 0 gradc predict deep.nn rows.csv --weights back --layout $layout --out again.csv
    same $layout.csv again.csv
  done
  paste -d , lanes.csv channels.csv | awk -F , '
    NR > 1 {
      for (i = 5; i <= 55; i++) { e = $i - $(i + NF / 2); if (!(e * e < 1e-10)) print i, e }
    }
    END { if (NR != 6 || NF != 110) print NR " lines of " NF }' > off
  [ ! -s off ] || bad "the layouts differ: $(head -n 2 off)"
done

begin 'more dimensions are one clear error'
sed 's/field x: f32\[20\]/field x: f32[2,1,1,1,1,1,1,1,10]/' deep.nn > more.nn
run 6 gradc check more.nn
says_once 'a tensor has at most 8 dimensions \[E0602\]'
sed 's/reshape(\[/reshape([1,/' deep.nn > more.nn
run 1 gradc check more.nn
says_once 'option `shape` of reshape takes 1 to 8 numbers, not 9 \[E0304\]'

begin 'random ops are refused or have right gradients'
cat > random.awk << 'AWK'
function one(list, n, item) { n = split(list, item, ";"); return item[int(rand() * n) + 1] }
BEGIN {
  srand(seed)
  where = one(";where u in 0..2;where u in -1..1;where u in -2..0, v in 0..1")
  left = one("i;i,j")
  a = "x[" one("i;i;3 - i") "," one("j;j + u;j - u;2 * j + u;5 - j") "]"
  b = one("w[i,j];w[j,i];w[i,i];b[j];b[i];x[i,j];1.5;i")
  if (rand() < 0.5) a = one("tanh;sigmoid;softplus;square") "(" a ")"
  print "net 1; data d { train: blobs(samples=9, classes=3, noise=0.5);"
  print "field x: f32[24]; field y: label(3); }"
  print "op f(x: f32[n,m], w: param f32[6,6] = normal(std=0.7), b: param f32[6] = normal)"
  print "-> y: f32[" (left == "i" ? "4" : "4,6") "] {"
  print "t[" left "] " one("+=;+=;maxof=;minof=") " " a " " one("*;+;-") " " b one(";* b[j];- b[i]")
  print where "; y[" left "] = tanh(t[" left "]); }"
  print "model m(x: f32[24]) -> z: f32[3] { h = x -> dense(24) -> tanh -> reshape([4, 6]);"
  print "z = h -> f -> flatten -> dense(3); }"
  print "train m on d { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 5; }"
}
AWK
right=0
for seed in $(seq 60); do
  awk -v seed="$seed" -f random.awk > random.nn
  [ $right -lt 8 ] || break
  gradc check random.nn > out 2> err
  code=$?
  [ $code -le 1 ] || bad "seed $seed: exit $code"
  [ $code -eq 0 ] || continue
  right=$((right + 1))
  layout=lanes
  [ $((right % 2)) -eq 0 ] || layout=channels
  run 0 gradc gradcheck random.nn --layout $layout
done
[ $right -ge 3 ] || bad "only $right of the ops are right"
finish
