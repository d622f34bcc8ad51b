#!/bin/sh
# `build --emit infer`: one C file with a function, its weights and nothing else. It answers with
# the bits of `gradc predict`, for one sample and for several at a time, on other machines too.
. "$(dirname "$0")/lib.sh"
cp "$SOURCE/examples/embed/rings.nn" .
awk 'BEGIN { print "a,b,ring"; for (i = 0; i < 40; i++) printf "%.3f,%.3f,%d\n",
  sin(i) * (1 + i % 3), cos(i * 1.7) * (1 + i % 3), i % 3 }' > points.csv
cat > images.nn << 'SPEC'
net 1;
data drawings {
  train: digits(samples=310);
  field x: u8[28,28] as f32[1,28,28] -> div(255) -> standardize(fit=train);
  field y: u8 as label(10);
}
model images(x: f32[1,28,28]) -> logits: f32[10] {
  c = x -> conv(6, 5, stride=2, bias=false) -> batchnorm -> relu -> maxpool(2);
  logits = c -> flatten -> dense(19) -> tanh -> dropout(0.2) -> dense(10);
}
train images on drawings {
  loss: softmax_xent(logits, y);
  optimizer: adam(lr=0.003);
  epochs: 2;
  batch: 32;
}
infer images { output: softmax(logits) as prob; }
SPEC
{
  printf '\000\000\010\003\000\000\000\050\000\000\000\034\000\000\000\034'
  head -c $((40 * 784)) "$GRADC"
} > images.idx

# Reads samples of one field from standard input, BATCH at a time, and prints the outputs.
cat > ask.c << 'PROGRAM'
#include HEADER
#include <stdio.h>
int main(void)
{
  static TYPE x[BATCH * IN];
  static REAL y[BATCH * OUT];
  size_t n;
  while ((n = fread(x, sizeof *x * IN, BATCH, stdin)) > 0) {
#if BATCH > 1
    ASK(x, y, (int)n);
#else
    ASK(x, y);
#endif
    for (size_t i = 0; i < n * OUT; i++)
      printf("%.9g%s", (double)y[i], (i + 1) % OUT ? "," : "\n");
  }
  return 0;
}
PROGRAM

# ask NET BATCH TYPE IN OUT [CC..]: builds NET_infer.c as a program that asks it
ask() {
  net=$1 batch=$2 type=$3 in=$4 out_n=$5
  shift 5
  "$@" -std=c11 -Wall -Wextra -Wconversion -Wcast-qual -Wmissing-prototypes -Werror -O3 \
    -c "${net}_infer.c" -o alone.o &&
    "$@" -O2 "-DHEADER=\"${net}_infer.h\"" "-DASK=${net}_infer" "-DBATCH=$batch" "-DTYPE=$type" \
      "-DREAL=${real:-float}" "-DIN=$in" "-DOUT=$out_n" ask.c alone.o -o ask -lm
}

cat > pack.c << 'PROGRAM'
#include <stdio.h>
int main(void)
{
  double x;
  while (scanf("%lf%*[,\n]", &x) == 1) {
    TYPE value = (TYPE)x;
    fwrite(&value, sizeof value, 1, stdout);
  }
  return 0;
}
PROGRAM
numbers() {                     # numbers TYPE: the points in this machine's bytes
  cc "-DTYPE=$1" pack.c -o pack && sed 1d points.csv | cut -d , -f 1,2 | ./pack
}

run 0 gradc train rings.nn --silent --epochs 3
run 0 gradc train images.nn --silent
numbers float > points.raw
numbers double > points.wide
tail -c +17 images.idx > images.raw
answers() {                     # answers BATCH: of gradc predict, for a step of so many samples
  run 0 gradc predict rings.nn points.csv --batch "$1" --out answers.csv
  sed 1d answers.csv | cut -d , -f 5-7 > rings.want
  run 0 gradc predict images.nn images.idx --batch "$1" --out answers.csv
  sed 1d answers.csv | cut -d , -f 5-14 > images.want
}

for batch in 1 3 40; do
  begin "$batch samples a call: the answers of gradc predict"
  answers $batch
  run 0 gradc build rings.nn --emit infer --batch $batch -q -o rings_infer.c
  run 0 ask rings $batch float 2 3 cc -march=native
  ./ask < points.raw > got
  same rings.want got
  run 0 gradc build images.nn --emit infer --batch $batch -q
  run 0 ask images $batch uint8_t 784 10 cc -march=native
  ./ask < images.raw > got
  same images.want got
  [ "$(wc -l < got)" -eq 40 ] || bad 'not 40 answers'
done

begin 'it needs no library but libm, and keeps no names but its own'
run 0 gradc build images.nn --emit infer -q
run 0 ask images 1 uint8_t 784 10 cc -march=native
nm -g --defined-only alone.o | awk '{ print $3 }' > names
[ "$(cat names)" = images_infer ] || bad "public: $(cat names)"
nm -u alone.o | grep -vE ' (memcpy|memset|[a-z]+f?)$' && bad 'it calls more than libm'
grep -qE 'malloc|fopen|pthread|gradrt' images_infer.c && bad 'the runtime is in it'

if command -v aarch64-linux-gnu-gcc > /dev/null && command -v qemu-aarch64 > /dev/null; then
  begin 'aarch64: the same answers'
  answers 1
  run 0 gradc build images.nn --emit infer -q --cpu aarch64
  run 0 ask images 1 uint8_t 784 10 aarch64-linux-gnu-gcc
  qemu-aarch64 -L /usr/aarch64-linux-gnu ./ask < images.raw > got
  same images.want got
else
  skip 'aarch64: the same answers' 'no cross compiler or no qemu'
fi

begin 'double precision'
run 0 gradc train rings.nn --silent --epochs 1 --set real=f64 --out wide
run 0 gradc build rings.nn --emit infer -q -o rings_infer.c --set real=f64 --weights wide
real=double
run 0 ask rings 1 double 2 3 cc -march=native
real=float
./ask < points.wide > got
run 0 gradc predict rings.nn points.csv --set real=f64 --weights wide --batch 1 --out answers.csv
sed 1d answers.csv | cut -d , -f 5-7 > want
same want got

begin 'what cannot be is said'
run 2 gradc build rings.nn --emit infer --library
says_once 'emit infer goes without'
run 2 gradc build rings.nn --emit infer --mc 5
says_once 'emit infer goes without'
rm -r runs
run 4 gradc build rings.nn --emit infer
says_once 'error: '
run 5 gradc build rings.nn --emit infer --untrained -o no/where.c
run 2 gradc build rings.nn --emit infer --untrained -o rings.h
says_once 'would be its header'
[ ! -e rings.h ] || bad 'it is written all the same'
cp rings.nn "a net's \"own\" copy.nn"
run 0 gradc build "a net's \"own\" copy.nn" --emit infer --untrained -q
run 0 cc -std=c11 -Wall -Wextra -Werror -march=native -c "a net's \"own\" copy_infer.c"
run 0 gradc build rings.nn --emit infer --untrained -q -o -
grep -q 'void rings_infer(const float' out || bad 'not on standard output'

finish
