#!/bin/sh
# gradc export and import: weights go to NumPy and PyTorch and come back with every bit, and what
# does not fit or is damaged is refused.
. "$(dirname "$0")/lib.sh"
PYTHON=${PYTHON:-/usr/bin/python3}
cp -r "$SOURCE/examples" examples
lenet=examples/digits.nn
normed=examples/course/batch_norm.nn
run 0 gradc train $lenet --epochs 1
run 0 gradc train $normed --epochs 1

evaluated() {                   # evaluated SPEC RUN: the figures of the run
  run 0 gradc eval "$1" --weights "$2" --json
  cat out
}

for kind in npz safetensors; do
  begin "$kind: the same weights after export and import"
  for name in lenet normed; do
    eval "spec=\$$name"
    run 0 gradc export "$spec" -o $name.$kind
    says "^wrote  $name.$kind  $name.json  \([0-9]+ arrays\)\$"
    run 0 gradc import "$spec" --weights $name.$kind -o back.$name.$kind
    run 0 gradc export "$spec" --weights back.$name.$kind -o again.$kind
    same $name.$kind again.$kind
    evaluated "$spec" runs/$name > want
    evaluated "$spec" back.$name.$kind > got
    sed 's/"weights":"[^"]*"//' want > a
    sed 's/"weights":"[^"]*"//' got > b
    same a b
  done
done

begin 'safetensors holds parameters and statistics, nothing of the run'
run 0 gradc export $lenet -o plain.safetensors
grep -q 'momentum\|gradc\.' plain.safetensors && bad 'optimizer or run in it'

begin 'the description says where values lie'
run 0 gradc export $lenet -o described.npz
grep -q '"logits.bias","dtype":"F32","shape":\[10\],' described.json || bad 'another bias'
offset() { sed -n 's/.*"logits.bias".*"offset":\([0-9]*\),"bytes":40}.*/\1/p' described.json; }
at=$(offset)
run 0 gradc export $lenet -o described.safetensors
tail -c +$((at + 1)) described.npz | head -c 40 > a
tail -c +$(($(offset) + 1)) described.safetensors | head -c 40 > b
[ "$(wc -c < a)" -eq 40 ] || bad 'not 40 bytes'
same a b

begin '--untrained and --set'
run 0 gradc export $lenet --untrained -o first.npz
run 0 gradc export $lenet --untrained --set seed=2 -o second.npz
cmp -s first.npz second.npz && bad 'the seed changes nothing'
run 0 gradc export $lenet --untrained --set real=f64 -o wide.npz
[ "$(wc -c < wide.npz)" -gt 490000 ] || bad 'not in double precision'

begin 'a filter of conv1d has the sides of Conv1d: filters, channels, window'
cat > sequence.nn << 'SPEC'
net 1;
data drawings {
  train: digits(samples=20);
  field x: u8[28,28] as f32[28,28] -> div(255);
  field y: u8 as label(10);
}
model sequence(x: f32[28,28]) -> z: f32[10] {
  c = x -> conv1d(6, 3, groups=2) -> relu;
  z = c -> flatten -> dense(10);
}
train sequence on drawings {
  loss: softmax_xent(z, y);
  optimizer: sgd(lr=0.1);
  epochs: 1;
  batch: 5;
}
SPEC
run 0 gradc export sequence.nn --untrained -o sequence.npz
grep -q '"c.weight","dtype":"F32","shape":\[6,14,3\],' sequence.json ||
  bad "$(grep c.weight sequence.json)"
run 0 gradc import sequence.nn --weights sequence.npz -o sequence
run 0 gradc train sequence.nn --init sequence --silent --out sequence.trained

begin 'mistakes'
run 4 gradc train sequence.nn --init sequence.npz --out wrong
says_once 'gradc import'
run 2 gradc export $lenet -o weights.onnx
says_once 'ends neither in .npz nor in .safetensors'
run 4 gradc export $lenet --weights nowhere
says_once 'there are no weights at nowhere'
run 5 gradc export $lenet -o no/folder.npz
run 2 gradc import $lenet
says_once "'import' needs --weights"
run 5 gradc import $lenet --weights lenet.npz -o runs/lenet
says_once 'is there already'
run 4 gradc import $normed --weights lenet.npz -o wrong
says_once "it does not fit this net: no 'logits.dense1.weight' of shape \[100,784\]; no 'norm"
says "not used: 'c1.weight' \[6,1,5,5\]; 'c1.bias'"
[ ! -e wrong ] || bad 'a run is left'
run 2 gradc import $lenet --weights lenet.npz --rename c1 -o wrong
says_once "takes THEIRS=OURS, not 'c1'"
run 2 gradc import $lenet --weights lenet.npz --rename a=logit -o wrong
says_once "no weights 'logit'; did you mean 'logits'"
run 5 gradc import $lenet --weights none.npz -o wrong

begin 'damaged .npz files are refused'
head -c 200000 lenet.npz > damaged.npz
run 4 gradc import $lenet --weights damaged.npz -o wrong
says_once "'damaged.npz': it is no .npz file, or its end is missing"
: > damaged.npz
run 4 gradc import $lenet --weights damaged.npz -o wrong
says_once 'it is too short'
mkdir folder.npz
run 4 gradc import $lenet --weights folder.npz -o wrong
says_once 'not a regular file'
{ head -c 100000 lenet.npz; printf 'x'; tail -c +100002 lenet.npz; } > damaged.npz
run 4 gradc import $lenet --weights damaged.npz -o wrong
says_once "array 'h.dense1.weight': its checksum is wrong"
sed 's/<f4/>f4/' lenet.npz > damaged.npz
run 4 gradc import $lenet --weights damaged.npz -o wrong
says_once "array 'c1.weight': its elements are not little-endian numbers"
[ ! -e wrong ] || bad 'a run is left'
[ -z "$(ls "$XDG_CACHE_HOME/gradc/import")" ] || bad 'files are left in the cache'

if ! "$PYTHON" -c 'import torch, numpy' 2> err; then
  skip 'PyTorch reads and writes the same weights' 'no PyTorch'
  finish
fi
twin=$SOURCE/tests/e2e/torch_twin.py
{ printf '\000\000\010\003\000\000\000\050\000\000\000\034\000\000\000\034'
  LC_ALL=C awk 'BEGIN { for (i = 0; i < 40 * 784; i++) printf "%c", 1 + i * i * 7919 % 127 }'
} > images.idx
close() {                       # close NAME RUN TOLERANCE: our probabilities and those of PyTorch
  run 0 gradc predict "$spec" images.idx --weights "$2" --set real=f64 --out ours.csv
  awk -F , -v e="$3" '
    NR == FNR { for (k = 1; k <= 10; k++) want[FNR, k] = $k; rows = FNR; next }
    FNR > 1 { for (k = 1; k <= 10; k++) { d = $(k + NF - 10) - want[FNR - 1, k]
                                          if (d > e || -d > e) bad++ } }
    END { if (bad || rows != 40 || FNR != 41) print bad + 0 " of " rows " rows" }' \
    theirs.csv ours.csv > differ
  [ ! -s differ ] || bad "$1: $(cat differ) differ"
}
begin 'PyTorch computes the same from exported weights'
for name in lenet normed; do
  eval "spec=\$$name"
  for kind in npz safetensors; do
    run 0 "$PYTHON" "$twin" outputs $name $name.$kind images.idx theirs.csv
    close $name.$kind runs/$name 2e-9
  done
done
begin 'weights of PyTorch give the same here'
run 0 "$PYTHON" "$twin" fresh lenet 5 fresh.npz
run 4 gradc import $lenet --weights fresh.npz -o torch.lenet
says_once "no 'c1.weight' of shape \[6,1,5,5\].*not used: 'conv1.weight' \[6,1,5,5\]"
run 0 gradc import $lenet --weights fresh.npz -o torch.lenet \
  --rename conv1=c1,conv2=c2,fc.0=h.dense1,fc.2=h.dense2,fc.4=logits
run 0 gradc export $lenet --weights torch.lenet -o fresh.ours.npz
run 0 "$PYTHON" "$twin" outputs lenet fresh.ours.npz images.idx theirs.csv
spec=$lenet
close lenet torch.lenet 2e-9
run 0 "$PYTHON" "$twin" fresh normed 5 fresh.npz
run 0 gradc import $normed --weights fresh.npz -o torch.normed
run 0 "$PYTHON" "$twin" outputs normed fresh.npz images.idx theirs.csv
spec=$normed
close normed torch.normed 2e-9
finish
