#!/bin/sh
# A memory budget: the arena is below it, and no bit of the weights differs from those of a net that
# keeps everything.
. "$(dirname "$0")/lib.sh"

# net NAME: model on standard input; 50 steps of 20 samples.
net() {
  cat > "$1.nn" << SPEC
net 1;
data drawings {
  train: digits(samples=200);
  field x: u8[28,28] as f32[1,28,28] -> div(255);
  field y: u8 as label(10);
}
$(cat)
train m on drawings {
  loss: softmax_xent(logits, y); optimizer: adam(lr=0.003); epochs: 5; batch: 20;
}
infer m { output: logits; }
SPEC
}

net lenet << 'MODEL'
model m(x: f32[1,28,28]) -> logits: f32[10] {
  c1 = x -> conv(6, 5, pad=2) -> relu -> maxpool(2);
  c2 = c1 -> conv(16, 5) -> relu -> maxpool(2);
  logits = c2 -> flatten -> dense(120) -> relu -> dense(84) -> relu -> dense(10);
}
MODEL
net residual << 'MODEL'
model m(x: f32[1,28,28]) -> logits: f32[10] {
  a = x -> conv(8, 3, pad=1, stride=2, bias=false) -> batchnorm -> relu;
  b = a -> conv(8, 3, pad=1, bias=false) -> batchnorm -> relu -> conv(8, 3, pad=1) -> batchnorm;
  c = b + a -> relu;
  d = c -> conv(8, 3, pad=1, bias=false) -> batchnorm -> relu -> conv(8, 3, pad=1) -> batchnorm;
  e = d + c -> relu;
  logits = e -> maxpool(2) -> flatten -> dense(10);
}
MODEL
net dropped << 'MODEL'
model m(x: f32[1,28,28]) -> logits: f32[10] {
  a = x -> conv(5, 3, pad=1, stride=2) -> tanh -> dropout(0.2);
  b = a -> conv(9, 3, pad=1) -> sigmoid -> dropout(0.3);
  c = b -> conv(9, 3, pad=1) -> relu -> dropout(0.1) -> avgpool(2);
  logits = c -> flatten -> dense(40) -> tanh -> dropout(0.5) -> dense(10);
}
MODEL

arena_of() {                    # arena_of NET WORD..: bytes, as summary tells them
  spec=$1
  shift
  gradc summary "$spec.nn" --json "$@" | sed -n 's/.*"arena":\([0-9]*\).*/\1/p'
}

tightest() {                    # tightest NET LAYOUT: the budget that the refusal of 1 KB offers
  gradc summary "$1.nn" --layout "$2" --memory 1KB 2>&1 |
    sed -n 's/.*a budget of \([0-9]*[KM]B\).*/\1/p'
}

for layout in lanes channels; do
  for net in lenet residual dropped; do
    all=$(arena_of $net --layout $layout)
    least=$(tightest $net $layout)
    begin "$net, $layout: the weights of 50 steps are the same in $least and in $all bytes"
    run 0 gradc train $net.nn --layout $layout --out kept -q
    for memory in $((all * 3 / 4)) "$least"; do
      run 0 gradc summary $net.nn --layout $layout --memory $memory --json
      mv out summary
      bytes=$(sed -n 's/.*"arena":\([0-9]*\).*"bytes":\([0-9]*\).*/\1/p' summary)
      limit=$(sed -n 's/.*"arena":\([0-9]*\).*"bytes":\([0-9]*\).*/\2/p' summary)
      [ "$bytes" -le "$limit" ] || bad "$bytes bytes are more than $limit"
      run 0 gradc build $net.nn --layout $layout --memory $memory -q -o tight.c
      grep -q "arena_bytes = $bytes\$*[^0-9]" tight.c || bad "the program does not say $bytes"
      run 0 gradc train $net.nn --layout $layout --memory $memory --out tight -q
      same kept/last.safetensors tight/last.safetensors
    done
    [ $net = lenet ] || grep -qE '"layers":\[[^]]*"[a-e]\.' summary ||
      bad 'nothing is computed again'
  done
done

begin 'one thread and three compute the same again'
memory=$(tightest residual channels)
run 0 gradc train residual.nn --layout channels --memory $memory --threads 3 --out three -q
run 0 gradc train residual.nn --layout channels --memory $memory --threads 1 --out one -q
same three/last.safetensors one/last.safetensors

begin 'a budget that is large enough changes nothing'
run 0 gradc build residual.nn -q -o plain.c
run 0 gradc build residual.nn -q --memory 1GB -o roomy.c
same plain.c roomy.c
run 0 gradc summary residual.nn --memory 1GB
says '^budget +1024\.0 MiB; nothing has to be computed again'

begin 'summary says what is computed again and what it saves'
run 0 gradc summary residual.nn --layout channels --memory $memory
says '^budget +[0-9.]+ [KM]iB; [0-9.]+ [KM]iB a step, instead of [0-9.]+ [KM]iB$'
says '^recomputed +[0-9.]+ MFLOP a step: .*\<[a-e]\.'

begin 'the spec sets the budget, the command line another one'
sed 's/^infer/build { memory: 8KB; }\ninfer/' residual.nn > small.nn
run 6 gradc check small.nn
says_once 'small.nn:.*: error: a training step does not fit into 8\.0 KiB.* \[E0605\]'
run 0 gradc check small.nn --memory 1GB
run 2 gradc check small.nn --memory little
says 'takes a size such as 64MB'

begin 'a budget that is too small names the largest tensors and what is enough'
run 6 gradc check residual.nn --layout channels --memory 64KB
says '^gradc: error: a training step does not fit into 64\.0 KiB, the memory budget: it needs '
says '^note: the largest tensors: `[a-e]\.[a-z0-9]+` f32\[n,8,14,14\] 245\.0 KiB, `.*, `'
says '^help: a smaller `batch`, fewer channels, or a budget of [0-9]+[KM]B$'

begin 'a checkpoint goes on with another budget'
run 0 gradc train residual.nn --layout channels --epochs 3 --out half -q
run 0 gradc train residual.nn --layout channels --memory $memory --resume --out half -q
run 0 gradc train residual.nn --layout channels --out whole -q
same half/last.safetensors whole/last.safetensors
have=$(awk '/^MemTotal/ { print $2 }' /proc/meminfo 2> /dev/null)
if [ "${have:-99999999}" -lt 62000000 ]; then
  begin 'more memory than the machine has: a warning with figures, and no training'
  cat > vast.nn << 'SPEC'
net 1;
data photos { train: raw("photos.raw"); field x: f32[40000]; field t: f32[1]; }
model vast(x: f32[40000]) -> y: f32[1] { y = x -> dense(200000, bias=false) -> relu -> dense(1); }
train vast on photos { loss: mse(y, t); optimizer: sgd(lr=0.1); epochs: 1; batch: 1; }
SPEC
  run 0 gradc summary vast.nn
  says 'vast.nn:4:7: warning: the program needs (59|60)\.[0-9]+ GiB of memory, this machine has'
  says 'W0601'
  says 'note: parameters and the optimizer: 320[0-9]{8} bytes, and a copy of them'
  run 6 gradc train vast.nn
  says_once 'vast needs (59|60)\.[0-9]+ GiB of memory, this machine has'
else
  skip 'more memory than the machine has' 'it has enough'
fi

finish
