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

begin 'given weights predict the same'
printf '0,0\n0,1\n1,0\n1,1\n' > corners.csv
for backend in c llvm; do
  run 0 "$GRADC" predict examples/xor.nn --backend $backend --untrained corners.csv
  cp out "xor.$backend"
done
same xor.c xor.llvm

begin 'gradcheck and eval run in memory'
for backend in c llvm; do
  run 0 "$GRADC" gradcheck examples/moons.nn --backend $backend
  cp out "gradcheck.$backend"
  run 0 "$GRADC" eval small.nn --backend $backend --weights c.small.f64 --set real=f64
  cp out "eval.$backend"
done
same gradcheck.c gradcheck.llvm
same eval.c eval.llvm

begin 'compiled objects are taken from the cache'
XDG_CACHE_HOME=$work/empty
mkdir empty
run 0 "$GRADC" train small.nn --backend llvm --silent --steps 1 --out out1
object=$(find empty -name steps-0.o)
[ -s "$object" ] || bad 'nothing is in the cache'
: > "$object"
run 5 "$GRADC" train small.nn --backend llvm --silent --steps 1 --out out1
says_once 'E0702'
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
runtime=$(dirname "$GRADC")/runtime/libgradrt.a
run 0 "$GRADC" build small.nn --emit obj -q -o small.o
run 0 "$GRADC" train small.nn --backend c --silent --steps 20 --out by_c
if run 0 cc small.o "$runtime" -o small -lm -lpthread -lz; then
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
run 0 cc -I "$SOURCE/runtime" own.c small.o "$runtime" -o own -lm -lpthread -lz
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
for cpu in x86-64 x86-64-v3 x86-64-v4 aarch64; do
  for layout in lanes channels; do
    run 0 "$GRADC" build small.nn --emit obj -q --cpu $cpu --layout $layout -o cpu.o
    [ -s cpu.o ] || bad 'nothing was written'
  done
done
run 0 "$GRADC" build small.nn --emit obj -q --target aarch64-linux-gnu -o arm.o
if command -v readelf > /dev/null; then
  readelf -h arm.o | grep -q 'Machine:.*AArch64' || bad 'that is no AArch64 object'
fi

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
