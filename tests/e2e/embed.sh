#!/bin/sh
# The net as a library: examples/embed, a hand-written program, with every form in which gradc makes
# the net, trains to the bits of `gradc train` and answers as `gradc predict`; Python calls the same
# functions; wrong calls are errors, not crashes.
. "$(dirname "$0")/lib.sh"
cp "$SOURCE"/examples/embed/* .
forms=standalone
[ ! -f "$runtime" ] || forms="$forms thin"
if "$GRADC" build rings.nn --emit obj -q -o net.o 2> err; then
  forms="$forms llvm"
else
  skip 'objects of LLVM' 'gradc was built without it'
fi

# made FORM [NAME]: net.o of that form, of NAME.nn; links says what else its programs need
made() {
  spec=${2:-rings}.nn
  links='-lm -lpthread'
  case $1 in
    standalone) run 0 gradc build "$spec" --library -q -o net.c &&
      run 0 cc -O3 -march=native -Wall -Wextra -Werror -fPIC -c net.c -o net.o ;;
    thin) links="$runtime $(thin_links "$spec")"
      run 0 gradc build "$spec" --library --thin -q -o net.c &&
        run 0 cc -O3 -march=native -Wall -Wextra -Werror -I "$SOURCE/runtime" -c net.c -o net.o ;;
    llvm) links="$runtime $(thin_links "$spec")"
      run 0 gradc build "$spec" --emit obj -q -o net.o ;;
  esac
}

body() {                        # body FILE: the tensors of a safetensors file
  tail -c +$(($(od -An -tu8 -N8 "$1") + 9)) "$1"
}

begin 'the header is the same whatever makes the object, and plain C and C++'
run 0 gradc build rings.nn --emit header -q
run 0 gradc build rings.nn --emit header -q --cpu aarch64 --layout channels -o other.h
same rings.h other.h
run 0 cc -std=c11 -Wall -Wextra -pedantic -Werror -c main.c -o main.o
if command -v c++ > /dev/null; then
  run 0 c++ -Wall -Wextra -pedantic -Werror -fsyntax-only -x c++ rings.h
fi

pilot=
for form in $forms; do
  begin "$form: the program of examples/embed trains and answers"
  made "$form" || continue
  # shellcheck disable=SC2086
  run 0 cc main.o net.o $links -o rings || continue
  for threads in 1 3; do
    run 0 ./rings $threads
    says '^accuracy (9[89]|100)\.[0-9] %$'
    pilot=${pilot:-$form}
    [ "$pilot.$threads" != "$form.1" ] || cp rings.safetensors first.safetensors
    same first.safetensors rings.safetensors
    mv prob.csv "prob.$form.$threads"
    same "prob.$pilot.1" "prob.$form.$threads"
  done
  nm -g --defined-only net.o | awk '{ print $3 }' | grep -v '^rings_' | grep -qvx main &&
    bad 'names without the prefix of the net are public'
done

begin 'gradc train ends with the same weights, gradc predict with the same answers'
body first.safetensors > ours
for threads in 1 2; do
  run 0 gradc train rings.nn --silent --threads $threads --out by_gradc
  body by_gradc/last.safetensors > theirs
  same ours theirs
done
run 0 gradc predict rings.nn points.csv --weights first.safetensors --out answers.csv
sed 1d answers.csv | cut -d , -f 5-7 > answers
same answers "prob.$pilot.1"

cat > wrong.c << 'PROGRAM'
#include "rings.h"
#include <math.h>
#include <stdio.h>
int main(void)
{
  static float x[40][2], w[48], prob[40][3];
  static int32_t y[40];
  double loss = 0;
  rings_model *m = rings_new(1, 1);
  if (!m || rings_new(257, 1) || rings_new(-1, 1))
    return 1;
  printf("%d", rings_train(m, x[0], y, 0, 0.1, &loss));
  printf(" %d", rings_train(m, x[0], y, RINGS_BATCH + 1, 0.1, &loss));
  y[3] = 3;
  printf(" %d", rings_train(m, x[0], y, 4, 0.1, &loss));
  y[3] = -1;
  printf(" %d", rings_train(m, x[0], y, 4, 0.1, &loss));
  printf(" %d", rings_get(m, "h.dense1.weight", w, 47));
  printf(" %d", rings_set(m, "h.dense9.weight", w, 48));
  printf(" %d", rings_infer(m, x[0], 0, prob[0]));
  printf(" %d", rings_load(m, "wrong.c"));
  printf(" %d", rings_save(m, "no/where.safetensors"));
  printf(" %d", rings_get(m, "h.dense1.weight", w, 48));
  printf(" %d", rings_train(m, x[0], y, 3, 0.1, NULL));
  x[0][0] = NAN;
  printf(" %d\n", rings_train(m, x[0], y, 3, 0.1, &loss));
  rings_free(m);
  rings_free(NULL);
  return 0;
}
PROGRAM
for form in $forms; do
  begin "$form: wrong calls return errors"
  made "$form" || continue
  # shellcheck disable=SC2086
  run 0 cc wrong.c net.o $links -o wrong || continue
  run 0 ./wrong
  [ "$(cat out)" = '2 2 3 3 2 2 2 4 5 0 0 7' ] || bad "got $(cat out)"
  [ "$(grep -c 'error: ' err)" -eq 12 ] || { bad 'not one message an error'; cat err; }
done

cat > call.py << 'PYTHON'
import ctypes, struct, sys

lib = ctypes.CDLL("./librings.so")
lib.rings_new.restype = ctypes.c_void_p
lib.rings_new.argtypes = [ctypes.c_int, ctypes.c_uint64]
lib.rings_free.argtypes = [ctypes.c_void_p]
lib.rings_train.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64,
                            ctypes.c_double, ctypes.POINTER(ctypes.c_double)]
lib.rings_infer.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
lib.rings_save.argtypes = [ctypes.c_void_p, ctypes.c_char_p]

rows = [line.split(",") for line in open("points.csv").read().split("\n")[1:-1]]
n, batch = len(rows), 32
x = (ctypes.c_float * (2 * n))(*(float(v) for r in rows for v in r[:2]))
y = (ctypes.c_int32 * n)(*(int(r[2]) for r in rows))
model = lib.rings_new(2, 1)
loss = ctypes.c_double()
for epoch in range(40):
    for first in range(0, n, batch):
        code = lib.rings_train(model, ctypes.byref(x, 8 * first), ctypes.byref(y, 4 * first),
                               min(batch, n - first), 0.01, ctypes.byref(loss))
        if code:
            sys.exit(code)
prob = (ctypes.c_float * (3 * n))()
code = lib.rings_infer(model, x, n, prob) or lib.rings_save(model, b"python.safetensors")
with open("prob.python", "w") as f:
    for i in range(n):
        f.write(",".join("%.9g" % v for v in prob[3 * i:3 * i + 3]) + "\n")
lib.rings_free(model)
sys.exit(code)
PYTHON
for form in $forms; do
  case $form in
    thin) continue ;;
    llvm) make='gradc build rings.nn --emit so -q -o librings.so' ;;
    *) make='cc -shared net.o -o librings.so -lm -lpthread' ;;
  esac
  if ! command -v python3 > /dev/null; then
    skip "$form: Python trains the same net" 'python3 is not installed'
    continue
  fi
  begin "$form: Python trains the same net"
  made "$form" || continue
  # shellcheck disable=SC2086
  run 0 $make
  run 0 python3 call.py
  same first.safetensors python.safetensors
  same "prob.$pilot.1" prob.python
done
# Windows of 8 over lines, each between two line ends; what lies behind them is -1.
printf 'abc\nde\nfghijabcdefg\na\nbadge\n' > course.txt
cat > names.nn << 'SPEC'
net 1;
data names {
  train: text("course.txt", lines=true);
  window: 8;
  field x: token[8];
  field y: token[8] = next(x);
}
model names(x: token[8]) -> logits: f32[8,names.vocab] {
  logits = x -> embedding(names.vocab);
}
train names on names {
  loss: softmax_xent(logits, y);
  optimizer: adam(lr=0.1);
  epochs: 3;
  batch: 4;
  shuffle: false;
}
SPEC
cat > names.c << 'PROGRAM'
#include "names.h"
#include <stdio.h>
#include <string.h>
static int token(const char *line, int i)       /* of "\n" line "\n", 0 being the line end */
{
  return i == 0 || i == (int)strlen(line) + 1 ? 0 : line[i - 1] - 'a' + 1;
}
int main(void)
{
  static const char *const line[] = { "abc", "de", "fghijabcdefg", "a", "badge" };
  static int32_t x[6][8], y[6][8];
  double loss;
  int n = 0;
  for (int k = 0; k < 5; k++)
    for (int from = 0; from <= (int)strlen(line[k]); from += 8, n++)
      for (int i = 0; i < 8; i++) {
        int inside = from + i <= (int)strlen(line[k]);
        x[n][i] = inside ? token(line[k], from + i) : 0;
        y[n][i] = inside ? token(line[k], from + i + 1) : -1;
      }
  names_model *m = names_new(2, 0);
  if (!m)
    return 1;
  for (int epoch = 0; epoch < 3; epoch++)
    for (int first = 0; first < n; first += 4) {
      int part = n - first < 4 ? n - first : 4;
      if (names_train(m, x[first], y[first], part, 0.1, &loss))
        return 1;
      printf("%.17g\n", loss);
    }
  y[0][0] = -2;
  int wrong = names_train(m, x[0], y[0], 1, 0.1, &loss);
  int code = n == 6 && wrong == 3 ? names_save(m, "ours.safetensors") : 1;
  names_free(m);
  return code;
}
PROGRAM
run 0 gradc build names.nn --emit header -q
run 0 gradc train names.nn --seed 0 --silent --out names --log-steps losses
sed 1d losses | cut -d , -f 2 > want
body names/last.safetensors > theirs
for form in $forms; do
  begin "$form: targets of -1 count nowhere, as in a padded line of the program"
  made "$form" names || continue
  # shellcheck disable=SC2086
  run 0 cc names.c net.o $links -o names_ours || continue
  run 0 ./names_ours
  same want out
  body ours.safetensors > ours
  same theirs ours
done
finish
