#!/bin/sh
# The same bits on every target: LeNet's C for each --cpu, compiled as its first lines say for that
# processor, trains to equal weights; in both layouts, in float and in double. Batch in lanes is
# compiled with both compilers and full optimization, the others are with one and little, and for
# this machine from thin C. Programs for other machines come through a cross compiler, and as LLVM's
# objects linked with a libgradrt of that machine, and run in an emulator; WebAssembly runs in node,
# without a runtime. The cross compiler of riscv64 takes its time and gets one kind alone. What this
# machine cannot run is skipped.
. "$(dirname "$0")/lib.sh"
cat > lenet.nn << 'SPEC'
net 1;
data drawings {
  train: digits(samples=100);
  field x: u8[28,28] as f32[1,28,28] -> div(255);
  field y: u8 as label(10);
}
model lenet(x: f32[1,28,28]) -> logits: f32[10] {
  c1 = x -> conv(6, 5, pad=2) -> relu -> maxpool(2);
  c2 = c1 -> conv(16, 5) -> tanh -> maxpool(2);
  h = c2 -> flatten -> dense(60) -> relu -> dropout(0.3) -> dense(24) -> sigmoid;
  logits = h -> dense(10);
}
train lenet on drawings {
  loss: softmax_xent(logits, y);
  optimizer: adam(lr=0.003);
  epochs: 1;
  batch: 40;
}
infer lenet { output: softmax(logits) as prob; }
SPEC

# emulated CPU: this machine can build programs for it and run them in an emulator
emulated() {
  case $1 in aarch64 | riscv64) ;; *) return 1 ;; esac
  command -v "$1-linux-gnu-gcc" > /dev/null && command -v "qemu-$1" > /dev/null
}

# runs CPU: this machine can execute code for it
runs() {
  case $(uname -m)/$1 in
    x86_64/x86-64) return 0 ;;
    x86_64/x86-64-v3) wanted='avx2 fma' ;;
    x86_64/x86-64-v4) wanted='avx512f avx512bw avx512cd avx512dq avx512vl' ;;
    aarch64/aarch64 | riscv64/riscv64) return 0 ;;
    *) return 1 ;;
  esac
  for word in $wanted; do
    grep -qw "$word" /proc/cpuinfo || return 1
  done
}

# try KIND CPU CC FLAGS RUNNER..: builds net.c for CPU, trains it, compares the weights with the
# first ones of the kind
try() {
  kind=$1 cpu=$2 cc=$3 flags=$4
  shift 4
  begin "$kind, $cpu, $cc"
  run 0 compile net $cc $level $flags -Wall -Wextra -Werror || return
  run 0 "$@" ./net train --silent --threads 2 --out "out.$kind.$cpu.$cc" || return
  [ -n "$first" ] || first=out.$kind.$cpu.$cc/last.safetensors
  same "$first" "out.$kind.$cpu.$cc/last.safetensors"
}

# cross_runtime CPU: runtime.CPU/libgradrt.a for it, without zlib
cross_runtime() {
  mkdir "runtime.$1" && cd "runtime.$1" || return 1
  "$1-linux-gnu-gcc" -c -O1 -std=c11 -D_POSIX_C_SOURCE=200809L -ffp-contract=off \
    "$SOURCE"/runtime/*.c && "$1-linux-gnu-ar" rcs libgradrt.a ./*.o
  code=$?
  cd .. && return $code
}

# try_object KIND CPU: what LLVM makes for CPU, linked for it and run in an emulator
try_object() {
  kind=$1 cpu=$2
  begin "$kind, $cpu, LLVM"
  run 0 gradc build lenet.nn -q --emit obj --target "$cpu-linux-gnu" $how -o net.o || return
  [ -f "runtime.$cpu/libgradrt.a" ] || run 0 cross_runtime "$cpu" || return
  run 0 "$cpu-linux-gnu-gcc" net.o "runtime.$cpu/libgradrt.a" -o net -lm -lpthread || return
  run 0 "qemu-$cpu" -L "/usr/$cpu-linux-gnu" ./net train --silent --threads 2 \
    --out "out.$kind.$cpu.llvm" || return
  [ -n "$first" ] || first=out.$kind.$cpu.llvm/last.safetensors
  same "$first" "out.$kind.$cpu.llvm/last.safetensors"
}

gradc build lenet.nn -q --emit ll -o net.ll 2> err && has_llvm=yes || has_llvm=
for kind in lanes channels double; do
  first=
  level=-O1 compilers=gcc
  [ $kind != lanes ] || level=-O3 compilers='gcc clang'
  case $kind in double) how='--set real=f64' ;; *) how="--layout $kind" ;; esac
  for cpu in x86-64-v4 x86-64-v3 x86-64 aarch64 riscv64; do
    begin "$kind, $cpu: C comes out"
    form=
    ! runs $cpu || [ $kind = lanes ] || form=$thin
    run 0 gradc build lenet.nn -q $form --cpu $cpu $how -o net.c || continue
    case $cpu in
      aarch64) flags=-march=armv8-a ;;
      riscv64) flags='-march=rv64gc -mabi=lp64d' level=-O1 ;;
      *) flags=-march=$cpu ;;
    esac
    if runs $cpu; then
      for cc in $compilers; do
        if command -v $cc > /dev/null; then
          try $kind $cpu $cc $flags env
        else
          skip "$kind, $cpu, $cc" "$cc is not installed"
        fi
      done
    elif emulated $cpu; then
      [ $cpu/$kind = riscv64/channels ] || [ $cpu/$kind = riscv64/double ] ||
        try $kind $cpu $cpu-linux-gnu-gcc "$flags" qemu-$cpu -L /usr/$cpu-linux-gnu
      [ -z "$has_llvm" ] || try_object $kind $cpu
    else
      skip "$kind, $cpu" 'this machine does not run it'
    fi
  done
done

# no_libc COMMAND..: builds no_libc.c with net.o
no_libc() {
  run 0 "$@" -Wall -Wextra -Werror -ffp-contract=off -O1 -I "$SOURCE/runtime"
}

cat > run.js << 'NODE'
const code = new WebAssembly.Module(require("fs").readFileSync("net.wasm"));
console.log(new WebAssembly.Instance(code, {}).exports.run() >>> 0);
NODE
for tool in node wasm-ld clang; do
  command -v $tool > /dev/null || has_llvm=
done
for layout in lanes channels; do
  if [ -z "$has_llvm" ]; then
    skip "$layout, wasm32, LLVM" 'LLVM, clang, wasm-ld or node is missing'
    continue
  fi
  begin "$layout, wasm32, LLVM"
  run 0 gradc build lenet.nn -q --layout $layout --emit obj --cpu wasm32 -o net.o || continue
  no_libc clang --target=wasm32 -nostdlib -Wl,--no-entry,--export=run \
    "$SOURCE/tests/e2e/no_libc.c" net.o -o net.wasm || continue
  run 0 node run.js
  cp out wasm.sum
  grep -qx 0 wasm.sum && bad 'the steps did not run'
  run 0 gradc build lenet.nn -q --layout $layout --emit obj -o net.o || continue
  no_libc cc "$SOURCE/tests/e2e/no_libc.c" net.o "$(dirname "$GRADC")/runtime/libgradrt.a" \
    -o net $(thin_links lenet.nn) || continue
  run 0 ./net
  same out wasm.sum
done
finish
