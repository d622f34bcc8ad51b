#!/bin/sh
# Examples of a course about shapes: borders, pooling, convolution arithmetic, locally connected
# layers. They print what their first comments show; numbers are computed here a second time.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
cp -r "$SOURCE/examples" examples
course=examples/course

for name in borders pooling conv_arithmetic local; do
  begin "$name prints what its first comment shows"
  run 0 gradc check $course/$name.nn
  run 0 gradc fmt --check $course/$name.nn
  shown $course/$name.nn
done

# numbers SPEC TABLE NAME: an output of the spec's prediction, a blank between numbers.
numbers() {
  run 0 gradc predict "$1" --untrained "$2" --json --set real=f64
  sed -n "s/.*\"$3\":\[\([^]]*\)\].*/\1/p" out | tr , ' '
}

# Kernel 1..9 over image 1..9; m(p) is the cell that a mode shows at place p of three.
begin 'borders: every mode, cell by cell'
for mode in zeros reflect replicate circular; do
  awk -v mode=$mode '
    function m(p) {
      if (p >= 0 && p < 3) return p
      if (mode == "reflect") return p < 0 ? -p : 4 - p
      if (mode == "replicate") return p < 0 ? 0 : 2
      return mode == "circular" ? (p + 3) % 3 : -1
    }
    BEGIN {
      for (i = 0; i < 3; i++) for (j = 0; j < 3; j++) {
        s = 0
        for (u = 0; u < 3; u++) for (v = 0; v < 3; v++) {
          y = m(i + u - 1); x = m(j + v - 1)
          if (y >= 0 && x >= 0) s += (3 * u + v + 1) * (3 * y + x + 1)
        }
        printf "%d%s", s, i + j == 4 ? "\n" : " "
      }
    }' > want
  numbers $course/borders.nn nine.csv $mode > got
  same want got
done

begin 'borders: true convolution of a symmetric kernel is cross-correlation'
sed 's/\[1, 2, 3\], \[4, 5, 6\], \[7, 8, 9\]/[1, 2, 1], [2, 4, 2], [1, 2, 1]/' \
  $course/borders.nn > even.nn
numbers even.nn nine.csv zeros > want
numbers even.nn nine.csv turned > got
same want got

begin 'pooling: sizes and maxima of every window and step'
for z in 1 2 3 4; do
  for s in 1 2 3; do
    for ceil in false true; do
      size=$(awk "BEGIN { w = 6 - $z; n = int(w / $s) + 1
        if (\"$ceil\" == \"true\" && w % $s && n * $s < 6) n++; print n }")
      sed "s/maxpool(3, stride=2, ceil=true)/maxpool($z, stride=$s, ceil=$ceil)/" \
        $course/pooling.nn > windows.nn
      numbers windows.nn square.csv rounded_up > got
      awk -v z="$z" -v s="$s" -v n="$size" 'BEGIN {
        for (i = 0; i < n; i++) for (j = 0; j < n; j++) {
          y = i * s + z - 1; x = j * s + z - 1
          printf "%d%s", 6 * (y > 5 ? 5 : y) + (x > 5 ? 5 : x), i + j == 2 * n - 2 ? "\n" : " "
        }
      }' > want
      cmp -s want got || bad "z=$z s=$s ceil=$ceil: $(cat got) instead of $(cat want)"
    done
  done
done

begin 'local: numbers of weights of layers over an image of 200x200'
for row in every_pixel:1,600,000,000 windows:4,000,000 shared:100 ten:1,000 ten_of_ten:10,000; do
  run 0 gradc summary $course/local.nn --train "${row%%:*}"
  grep -q "^parameters  ${row#*:} (" out || bad "${row%%:*}: $(grep ^parameters out)"
done

begin 'local: a dense layer that no memory holds is refused'
awk 'BEGIN { for (i = 0; i < 40000; i++) printf "0%s", i < 39999 ? "," : "\n" }' > photo.csv
cat > dense.nn << 'SPEC'
net 1;
data photos {
  train: csv("photo.csv", header=false);
  field x: f32[1,200,200];
}
model every_pixel(x: f32[1,200,200]) -> y: f32[40000] {
  y = x -> flatten -> dense(40000, bias=false);
}
train every_pixel on photos {
  loss: mse(y, x);
  optimizer: adam(lr=0.001);
  epochs: 1;
  batch: 1;
}
SPEC
if sh -c 'ulimit -v 8000000; exec gradc check dense.nn' > /dev/null 2>&1; then
  run 6 sh -c 'ulimit -v 8000000; exec gradc train dense.nn --out dense'
  says 'every_pixel needs (35\.[0-9]* GiB of memory, this machine has|19[0-9]*\.[0-9] MB at once)'
else
  skip 'local: a dense layer that no memory holds is refused' 'gradc does not run in 8 GB'
fi

begin 'a slice that begins inside a block is read there, fused or not'
awk 'BEGIN {
  for (c = 0; c < 80; c++) printf "c%d,", c
  print "y"
  for (r = 0; r < 40; r++) { for (c = 0; c < 80; c++) printf "%.3f,", sin(r * 81 + c); print r % 2 }
}' > rows.csv
cat > slice.nn << 'SPEC'
net 1;
data points {
  train: csv("rows.csv");
  field x: f32[48] from "c0..c47";
  field z: f32[32] from "c48..c79";
  field y: label(2) from "y";
}
model sliced(x: f32[48], z: f32[32]) -> o: f32[2] {
  a = x -> tanh;
  b = a -> slice(axis=0, from=3, to=35);
  p = z -> layernorm;
  u = p + b;
  o = u -> dense(2);
}
train sliced on points {
  loss: softmax_xent(o, y);
  optimizer: sgd(lr=0.1);
  epochs: 2;
  batch: 4;
}
SPEC
for layout in lanes channels; do
  for skip in fuse none; do
    skipped_pass=
    [ $skip = none ] || skipped_pass="--skip $skip"
    # shellcheck disable=SC2086
    run 0 gradc train slice.nn --silent --layout $layout $skipped_pass --out "sl.$layout.$skip"
    tail -c 3000 "sl.$layout.$skip/last.safetensors" > "sl.$layout.$skip.end"
  done
  same "sl.$layout.fuse.end" "sl.$layout.none.end"
done

finish
