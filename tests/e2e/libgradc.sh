#!/bin/sh
# What is installed: the command finds its runtime, and a program that is built with libgradc.a as
# pkg-config says compiles specs, from files and from memory, to what the command makes.
. "$(dirname "$0")/lib.sh"
if nm "$GRADC" 2> /dev/null | grep -q __asan_; then
  skip 'what is installed' 'gradc was built with sanitizers'
  finish
fi
nets=$SOURCE/examples
PKG_CONFIG_PATH=$work/there/lib/pkgconfig
export PKG_CONFIG_PATH

begin 'cmake --install: the command, moved elsewhere, trains'
run 0 cmake --install "$(dirname "$GRADC")" --prefix "$work/first"
mv first there
run 0 "$work/there/bin/gradc" train "$nets/spirals.nn" --epochs 1 --backend c --out one
run 0 gradc train "$nets/spirals.nn" --epochs 1 --backend c --out two
same one/last.safetensors two/last.safetensors

begin 'a program is built as pkg-config says; the header is C++, too'
run 0 pkg-config --cflags --libs gradc
# shellcheck disable=SC2046
run 0 cc -std=c11 -Wall -Wextra -Werror "$SOURCE/tests/e2e/compile.c" \
  $(pkg-config --cflags --libs gradc) -o compile
if command -v c++ > /dev/null; then
  run 0 c++ -Wall -Wextra -pedantic -Werror -fsyntax-only -x c++ there/include/gradc.h
fi

begin 'every form is what the command makes'
for form in ast graph grad loop c header; do
  run 0 gradc build "$nets/moons.nn" --emit $form -o want
  run 0 ./compile $form "$nets/moons.nn"
  same want out
done
run 0 gradc build "$nets/moons.nn" --library -o want
run 0 ./compile library "$nets/moons.nn"
same want out
run 0 gradc build "$nets/moons.nn" --set batch=7 --set lr=0.5 -o want
run 0 ./compile c "$nets/moons.nn" batch=7 lr=0.5
same want out
run 0 gradc build "$nets/moons.nn" --cpu x86-64-v3 -o want
run 0 ./compile c "$nets/moons.nn" cpu=x86-64-v3
same want out
run 0 gradc build "$nets/moons.nn" --cpu native -o want
run 0 ./compile c "$nets/moons.nn" cpu=native
same want out

begin 'a spec in memory, and its mistakes'
cp "$nets/moons.nn" memory.nn
run 0 gradc build memory.nn -o want
run 0 ./compile c - < "$nets/moons.nn"
same want out
sed 's/relu/rleu/; s/dense(/dens(/' "$nets/moons.nn" > memory.nn
run 1 gradc check memory.nn
cp err want
run 1 ./compile check - < memory.nn
same want err
[ ! -s out ] || bad 'there is output beside mistakes'

begin 'what cannot be compiled: one message and the exit code'
run 5 ./compile check nowhere.nn
says_once "cannot open 'nowhere.nn'"
run 2 ./compile c "$nets/moons.nn" cpu=z80
says_once "there is no cpu 'z80'; one of: native, x86-64-v4,"
cp "$nets/course/carry.nn" lost.nn
run 3 gradc check lost.nn
cp err want
run 3 ./compile check lost.nn
same want err
head -c 17000000 /dev/zero | tr '\0' ' ' > large
run 6 ./compile check - < large
says_once 'at most 16 MiB'
finish
