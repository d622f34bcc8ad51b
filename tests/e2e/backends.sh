#!/bin/sh
# The LLVM back end: the same weights as through C for every example, any number of threads, narrow
# vectors and both layouts; objects, programs and libraries that it writes; other machines; errors
# that are messages. Where gradc was built without LLVM, it says so.
. "$(dirname "$0")/lib.sh"
small_spec > small.nn
if ! "$GRADC" build small.nn --emit ll -q -o small.ll 2> err; then
  begin 'without LLVM, --backend llvm says what is missing'
  for command in 'build small.nn --emit obj' 'build small.nn --backend llvm --emit exe' \
    'train small.nn --backend llvm' 'gradcheck small.nn --backend llvm'; do
    # shellcheck disable=SC2086
    run 5 "$GRADC" $command && says_once 'E0701' && says 'llvm-19-dev'
  done
  run 0 "$GRADC" train small.nn --backend c --silent --steps 1 --out trained
  skip 'everything that needs LLVM' 'gradc was built without it'
  finish
fi

# alike NAME SPEC [OPTION..]: 200 steps through C on one thread, in memory on one, two and three
alike() {
  name=$1
  spec=$2
  shift 2
  begin "$name: the weights after 200 steps"
  run 0 "$GRADC" train "$spec" --backend c --silent --steps 200 --threads 1 --out "c.$name" "$@"
  for threads in 1 2 3; do
    run 0 "$GRADC" train "$spec" --backend llvm --silent --steps 200 --threads $threads \
      --out "llvm.$name.$threads" "$@" || break
    same "c.$name/last.safetensors" "llvm.$name.$threads/last.safetensors"
    same "c.$name/metrics.csv" "llvm.$name.$threads/metrics.csv"
  done
}

cp -r "$SOURCE/examples" examples
for set in mnist housing; do
  [ ! -d "${GRADC_TEST_DATA:-/nowhere}/$set" ] || cp -r "$GRADC_TEST_DATA/$set" examples/
done
for spec in examples/*.nn; do
  name=$(basename "$spec" .nn)
  case $name in
    xor) continue ;;            # trains nothing
    mnist_*) needs=mnist ;;
    housing) needs=housing ;;
    *) needs=. ;;
  esac
  if [ -d "examples/$needs" ]; then
    alike "$name" "$spec" --epochs 100
  else
    skip "$name: the weights after 200 steps" "there is no GRADC_TEST_DATA/$needs"
  fi
done
for layout in lanes channels; do
  for cpu in x86-64-v3 x86-64; do
    alike "small.$layout.$cpu" small.nn --layout $layout --cpu $cpu --steps 20
  done
done
alike small.f64 small.nn --set real=f64 --steps 20
grouped_spec > grouped.nn
for layout in lanes channels; do
  alike "grouped.$layout" grouped.nn --layout $layout --steps 20
done
alike grouped.v3 grouped.nn --layout channels --cpu x86-64-v3 --steps 20
alike grouped.f64 grouped.nn --layout channels --set real=f64 --steps 20

begin 'given weights predict the same'
printf '0,0\n0,1\n1,0\n1,1\n' > corners.csv
for backend in c llvm; do
  run 0 "$GRADC" predict examples/xor.nn --backend $backend --untrained corners.csv
  cp out "xor.$backend"
done
same xor.c xor.llvm

begin 'pictures are read from tables of pixels, too'
awk 'BEGIN { for (r = 0; r < 3; r++) for (i = 1; i <= 784; i++)
  printf "%d%s", (i * i + 7 * r) % 256, i < 784 ? "," : "\n" }' > pixels.csv
for backend in c llvm; do
  run 0 "$GRADC" predict small.nn --backend $backend --untrained pixels.csv
  cp out "pixels.$backend"
done
same pixels.c pixels.llvm
[ "$(wc -l < pixels.c)" -eq 3 ] || bad "these are not three rows: $(cat pixels.c)"

begin 'gradcheck and eval run in memory'
for backend in c llvm; do
  run 0 "$GRADC" gradcheck examples/moons.nn --backend $backend
  cp out "gradcheck.$backend"
  run 0 "$GRADC" eval small.nn --backend $backend --weights c.small.f64 --set real=f64
  cp out "eval.$backend"
done
same gradcheck.c gradcheck.llvm
same eval.c eval.llvm

XDG_CACHE_HOME=$work/empty
mkdir empty
cached() {                      # cached [OPTION..]: 3 steps of small.nn through the cache
  run 0 "$GRADC" train small.nn --backend llvm --silent --steps 3 --out from.cache "$@"
}
folders() { find empty -name steps-0.o | wc -l; }
begin 'compiled objects are kept in the cache and taken from there'
cached
cp from.cache/last.safetensors made.safetensors
[ "$(folders)" -eq 1 ] || bad 'not one net is in the cache'
object=$(find empty -name steps-0.o)
before=$(ls -i "$object")       # a file that is written anew has another number
cached
same made.safetensors from.cache/last.safetensors
[ "$(ls -i "$object")" = "$before" ] || bad 'the object was made again'

begin 'damaged objects in the cache are made again'
cp "$object" whole.o
for damage in empty cut flipped longer; do
  case $damage in
    empty) : > "$object" ;;
    cut) head -c 1000 whole.o > "$object" ;;
    flipped) { head -c 2000 whole.o; printf '\252\125'; tail -c +2003 whole.o; } > "$object" ;;
    longer) { cat whole.o; echo; } > "$object" ;;
  esac
  cmp -s whole.o "$object" && bad "$damage: nothing is damaged"
  cached
  same made.safetensors from.cache/last.safetensors
  same whole.o "$object"
done
rm "$object"
cached
same whole.o "$object"

begin 'the cache tells specs, instruction sets and options apart'
cached --cpu x86-64
[ "$(folders)" -eq 2 ] || bad '--cpu took the object of another instruction set'
cached --layout channels
[ "$(folders)" -eq 3 ] || bad '--layout took the object of another layout'
cached --set batch=16
[ "$(folders)" -eq 4 ] || bad '--set took the object of another batch'
cached --profile
[ "$(folders)" -eq 5 ] || bad '--profile took an object without clocks'
cached --lr 0.1
[ "$(folders)" -eq 5 ] || bad 'a setting of the run made an object of its own'
XDG_CACHE_HOME=$work/cache

begin 'what LLVM writes is the same bytes twice'
for kind in ll bc asm obj; do
  run 0 "$GRADC" build small.nn --emit $kind -q -o "small.$kind"
  run 0 "$GRADC" build small.nn --emit $kind -q -o again
  same "small.$kind" again
  grep -q "$work" "small.$kind" && bad "$kind holds the path of this machine"
done
grep -q '^define .*@small_train_step' small.ll || bad 'the step has no name'
grep -q '= .*llvm\.fma' small.ll || bad 'there is no fma'
grep -qE 'f(add|mul|sub|div) (fast|reassoc|contract|nnan)' small.ll && bad 'fast-math flags'
grep -q 'DISubprogram(name: "small_c_conv.*line: 9' small.ll || bad 'a kernel has no line'
grep -qE '\.file.*"small\.nn"' small.asm || bad 'the assembly does not name the spec'

begin 'an object links with libgradrt by hand and trains alike'
run 0 "$GRADC" build small.nn --emit obj -q -o small.o
run 0 "$GRADC" train small.nn --backend c --silent --steps 20 --out by_c
links=$(thin_links small.nn)
if run 0 cc small.o "$runtime" -o small $links; then
  run 0 ./small train --silent --steps 20 --out by_hand
  same by_c/last.safetensors by_hand/last.safetensors
fi

begin 'an object gives its net to a program with a main of its own'
cat > own.c << 'PROGRAM'
#include "gradrt.h"
#include <stdio.h>
extern const gradrt_net small_net;
int main(void)
{
  printf("%s has %d tensors, batch %d\n", small_net.name, small_net.ntensor, (int)small_net.batch);
  return small_net.train.fn && small_net.abi == GRADRT_ABI ? 0 : 1;
}
PROGRAM
run 0 cc -I "$SOURCE/runtime" own.c small.o "$runtime" -o own $links
run 0 ./own
says '^small has [0-9]+ tensors, batch 32$'

begin 'programs and libraries'
run 0 "$GRADC" build small.nn --emit exe --backend llvm -q -o linked
run 0 ./linked train --silent --steps 20 --out by_link
same by_c/last.safetensors by_link/last.safetensors
run 0 "$GRADC" build small.nn --emit so -q -o libsmall.so
if command -v python3 > /dev/null; then
  cat > call.py << 'PYTHON'
import ctypes, sys
lib = ctypes.CDLL("./libsmall.so")
words = [b"small", b"train", b"--silent", b"--steps", b"20", b"--out", b"by_python"]
argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
net = ctypes.c_char.in_dll(lib, "small_net")
sys.exit(lib.gradrt_main(ctypes.byref(net), len(words), argv))
PYTHON
  run 0 python3 call.py
  same by_c/last.safetensors by_python/last.safetensors
fi
run 0 "$GRADC" build small.nn --emit exe --backend llvm --bench -q -o timed
run 0 ./timed bench --json --steps 3
says '"peak_flops":[1-9]'
run 0 "$GRADC" train small.nn --backend llvm --profile --steps 3 --out profiled
says 'waiting at barriers'

begin 'objects for other machines'
for cpu in x86-64 x86-64-v3 x86-64-v4 aarch64 riscv64 wasm32; do
  for layout in lanes channels; do
    run 0 "$GRADC" build small.nn --emit obj -q --cpu $cpu --layout $layout -o cpu.o
    [ -s cpu.o ] || bad 'nothing was written'
  done
done
for machine in aarch64:AArch64 riscv64:RISC-V; do
  run 0 "$GRADC" build small.nn --emit obj -q --target ${machine%:*}-linux-gnu -o there.o
  command -v readelf > /dev/null || continue
  readelf -h there.o | grep -q "Machine:.*${machine#*:}" || bad "that is no object for $machine"
done
run 0 "$GRADC" build small.nn --emit obj -q --target wasm32-wasi -o there.o
[ "$(head -c 4 there.o | tail -c 3)" = asm ] || bad 'that is no WebAssembly'

begin 'what cannot be is one message'
run 2 "$GRADC" build small.nn --emit obj --target sparc-sun-solaris -o no.o
says_once "no code for 'sparc-sun-solaris'"
run 2 "$GRADC" build small.nn --emit obj --target aarch64-linux-gnu --cpu x86-64 -o no.o
says_once 'does not belong'
run 2 "$GRADC" build small.nn --emit c --target aarch64-linux-gnu -o no.c
says_once '--target goes with'
run 2 "$GRADC" build small.nn --emit so -o -
says_once 'cannot go to standard output'
run 2 "$GRADC" train small.nn --backend fortran
says_once "no back end 'fortran'"
case $(uname -m) in
  x86_64) other=aarch64 ;;
  *) other=x86-64 ;;
esac
run 2 "$GRADC" train small.nn --backend llvm --cpu $other
says_once 'does not run code'
run 5 "$GRADC" build small.nn --emit obj -q -o no/where.o
says_once 'error'
finish
