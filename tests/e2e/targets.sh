#!/bin/sh
# The same bits on every target: LeNet's C for each --cpu, compiled as its first lines say for that
# processor, trains to equal weights; in both layouts, in float and in double. Batch in lanes is
# compiled with both compilers and full optimization, the others are with one and little. What this
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

# runs CPU: this machine can execute code for it
runs() {
  case $(uname -m)/$1 in
    x86_64/x86-64) return 0 ;;
    x86_64/x86-64-v3) wanted='avx2 fma' ;;
    x86_64/x86-64-v4) wanted='avx512f avx512bw avx512cd avx512dq avx512vl' ;;
    aarch64/aarch64) return 0 ;;
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
  run 0 $cc $level $flags -Wall -Wextra -Werror net.c -o net -lm -lpthread || return
  run 0 "$@" ./net train --silent --threads 2 --out "out.$kind.$cpu.$cc" || return
  [ -n "$first" ] || first=out.$kind.$cpu.$cc/last.safetensors
  same "$first" "out.$kind.$cpu.$cc/last.safetensors"
}

for kind in lanes channels double; do
  first=
  level=-O1 compilers=gcc
  [ $kind != lanes ] || level=-O3 compilers='gcc clang'
  case $kind in double) how='--set real=f64' ;; *) how="--layout $kind" ;; esac
  for cpu in x86-64-v4 x86-64-v3 x86-64 aarch64; do
    begin "$kind, $cpu: C comes out"
    run 0 gradc build lenet.nn -q --cpu $cpu $how -o net.c || continue
    case $cpu in aarch64) flags=-march=armv8-a ;; *) flags=-march=$cpu ;; esac
    if runs $cpu; then
      for cc in $compilers; do
        if command -v $cc > /dev/null; then
          try $kind $cpu $cc $flags env
        else
          skip "$kind, $cpu, $cc" "$cc is not installed"
        fi
      done
    elif [ $cpu = aarch64 ] && command -v aarch64-linux-gnu-gcc > /dev/null &&
      command -v qemu-aarch64 > /dev/null; then
      try $kind $cpu aarch64-linux-gnu-gcc $flags qemu-aarch64 -L /usr/aarch64-linux-gnu
    else
      skip "$kind, $cpu" 'this machine does not run it'
    fi
  done
done
finish
