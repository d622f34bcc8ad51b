#!/bin/sh
# `numerics: fast`: the template of all three passes of 3x3 convolutions, bits that depend neither
# on threads nor on the compiler or the target, losses near those of `reproducible`, which stays as
# it is.
. "$(dirname "$0")/lib.sh"
spec() {                        # spec NUMERICS BATCH
  cat << SPEC
net 1;
data drawings {
  train: digits(samples=100);
  field x: u8[28,28] as f32[1,28,28] -> div(255);
  field y: u8 as label(10);
}
model drawn(x: f32[1,28,28]) -> logits: f32[10] {
  a = x -> conv(32, 3, stride=2, pad=1) -> relu;
  b = a -> conv(32, 3, pad=1) -> relu -> conv(40, 3) -> relu -> maxpool(2);
  logits = b -> flatten -> dense(10);
}
train drawn on drawings {
  loss: softmax_xent(logits, y);
  optimizer: sgd(lr=0.02, momentum=0.9);
  epochs: 2;
  batch: $2;
}
$1
SPEC
}
spec 'build { numerics: fast; }' 32 > fast.nn
spec 'build { numerics: reproducible; }' 32 > reproducible.nn

begin 'summary names the template of every pass'
run 0 gradc summary fast.nn --cpu x86-64-v4
for kernel in b_conv1 b_conv1_dx b_conv1_dw_part b_conv2 b_conv2_dx b_conv2_dw_part; do
  says "^$kernel +winograd +[0-9]"
done
says '^a_conv +stencil.channels '

begin 'reproducible, the default, has no part in it'
spec '' 32 > net.nn
run 0 gradc build net.nn -q --emit loop -o default.loop
cp reproducible.nn net.nn
run 0 gradc build net.nn -q --emit loop -o reproducible.loop
same default.loop reproducible.loop
if grep -q winograd reproducible.loop; then bad 'reproducible has kernels of fast'; fi

begin 'losses stay near those of reproducible'
for mode in fast reproducible; do
  run 0 gradc train $mode.nn --silent --threads 1 --log-steps $mode.log --out $mode
done
paste -d, fast.log reproducible.log | awk -F, '
  $1 + 0 > 0 { d = $2 - $5; if (d < 0) d = -d; if (d > 1e-5 * $5) wrong = 1; n++ }
  END { exit !(n == 8 && !wrong) }' || bad "$(paste -d, fast.log reproducible.log)"
cmp -s fast/last.safetensors reproducible/last.safetensors && bad 'the weights are the same'

runs() {                        # runs CPU: this machine can execute code for it
  case $1 in
    native) return 0 ;;
    x86-64-v3) words='avx2 fma' ;;
  esac
  for word in $words; do
    grep -qw "$word" /proc/cpuinfo || return 1
  done
}

compilers='gcc clang'
[ "${GRADC_BACKEND:-}" != llvm ] || compilers='gcc llvm'
for batch in 7 32; do
  pilot=
  spec 'build { numerics: fast; }' $batch > net.nn
  for cpu in native x86-64-v3; do
    runs $cpu || { skip "batch $batch, $cpu" 'this machine cannot run it'; continue; }
    form=$thin
    [ $batch != 7 ] || form=
    run 0 gradc build net.nn -q $form --cpu $cpu -o net.c || continue
    for cc in $compilers; do
      if [ $cc != llvm ] && ! command -v $cc > /dev/null; then
        skip "batch $batch, $cpu, $cc" "$cc is not installed"
        continue
      fi
      # The C back end's run of this script compares gcc's code for the other target.
      [ "${GRADC_BACKEND:-} $cpu $cc" != 'llvm x86-64-v3 gcc' ] || continue
      begin "batch $batch, $cpu, $cc: 1, 3 and 16 threads"
      case $cc in
        llvm) run 0 gradc build net.nn -q --cpu $cpu --emit exe -o net || continue ;;
        *) run 0 compile net $cc -O3 -march=$cpu || continue ;;
      esac
      for threads in 1 3 16; do
        run 0 ./net train --silent --threads $threads --out "out.$batch.$cpu.$cc.$threads" || break
        [ -n "$pilot" ] || pilot=out.$batch.$cpu.$cc.$threads
        same "$pilot/last.safetensors" "out.$batch.$cpu.$cc.$threads/last.safetensors"
        same "$pilot/metrics.csv" "out.$batch.$cpu.$cc.$threads/metrics.csv"
      done
    done
  done
done
finish
