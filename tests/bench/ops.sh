#!/bin/sh
# Single operations, forward and backward, beside the same ones in PyTorch: microseconds of the
# layer's kernels in a training step, one thread. sh tests/bench/ops.sh [-r ROUNDS] [-s SECONDS]
# [ROW..] prints a Markdown table; the last column is gradc's time as a share of PyTorch's. Runs
# alternate, and medians count.
. "$(dirname "$0")/common.sh"
rounds=3
seconds=0.3
read_options "r:rounds s:seconds" "$@"
shift "$taken"

# row|batch|input|stem|the layer. ops_torch.py has a row of each name. The stem makes `stem` and,
# where the layer reads it, `other`; without a stem the layer reads the input itself.
rows='layernorm|64|f32[16,16,16]|conv(16, 1)|layernorm
groupnorm|64|f32[16,16,16]|conv(16, 1)|groupnorm(4)
conv_transpose|32|f32[16,16,16]|conv(16, 1)|conv_transpose(16, 4, stride=2, pad=1)
conv1d|64|f32[16,256]|conv1d(16, 1)|conv1d(16, 5, pad=2)
upsample|32|f32[16,16,16]|conv(16, 1)|upsample(2)
adaptive_avgpool|64|f32[16,16,16]|conv(16, 1)|adaptive_avgpool(4)
global_avgpool|64|f32[16,16,16]|conv(16, 1)|global_avgpool
global_maxpool|64|f32[16,16,16]|conv(16, 1)|global_maxpool
depthwise|32|f32[32,16,16]|conv(32, 1)|conv(32, 3, pad=1, groups=32)
grouped|32|f32[32,16,16]|conv(32, 1)|conv(32, 3, pad=1, groups=4)
reflect|32|f32[16,16,16]|conv(16, 1)|conv(16, 3, pad=1, pad_mode=reflect)
pool_overlap|64|f32[16,16,16]|conv(16, 1)|maxpool(3, stride=2, ceil=true)
concat|64|f32[16,16,16]|conv(16, 1)|concat(stem)
concat_two|64|f32[16,16,16]|conv(16, 1)|concat(other)
transpose|64|f32[16,16,16]|conv(16, 1)|transpose([0, 2, 1])
axis_mean|64|f32[16,16,16]|conv(16, 1)|mean(axis=[1, 2])
axis_max|64|f32[16,16,16]|conv(16, 1)|max(axis=0)
matmul|64|f32[64,64]|conv1d(64, 1)|matmul(stem)
matmul_two|64|f32[64,64]|conv1d(64, 1)|matmul(other)
embedding|64|u8[64]||embedding(64, tokens=256)
local2d|32|f32[8,16,16]|conv(8, 1)|local2d(8, 3)
own_conv|32|f32[16,16,16]|conv(16, 1)|corr(f=16)
own_steps|64|f32[32,64]|conv1d(32, 1)|steps(64)
own_product|64|f32[64,64]|conv1d(64, 1)|product(other)'

own_op() {                      # own_op LAYER: the op that it calls, if the spec is to write it
  case $1 in
    corr*) echo 'op corr(x: f32[c,h,w], k: param f32[f,c,3,3]) -> y: f32[f,h,w] {
      y[f,i,j] += x[c, i + u, j + v] * k[f, c, u + 1, v + 1] where u in -1..1, v in -1..1;
    }' ;;
    steps*) echo 'op steps(x: f32[t,n], w: param f32[u,n]) -> y: f32[t,u] {
      y[t,i] += x[t,j] * w[i,j];
    }' ;;
    product*) echo 'op product(a: f32[m,k], b: f32[k,n]) -> y: f32[m,n] {
      y[i,j] += a[i,p] * b[p,j];
    }' ;;
  esac
}

spec() {                        # spec BATCH INPUT STEM LAYER
  cat << SPEC
net 1;
data noise {
  train: raw("noise.bin");
  field x: $2;
  field y: u8 as label(10);
}
$(own_op "$4")
model micro(x: $2) -> logits: f32[10] {
${3:+  stem = x -> $3;}
$(case $4 in *other*) echo "  other = x -> $3;" ;; esac)
  tested = ${3:+stem}$([ -n "$3" ] || echo x) -> $4;
  logits = tested -> flatten -> dense(10);
}
train micro on noise {
  loss: softmax_xent(logits, y);
  optimizer: sgd(lr=0.01);
  epochs: 1;
  batch: $1;
}
SPEC
}

cat "$here/json.awk" - << 'AWK' > "$work/sum.awk"
field($0, "function") == "train" && field($0, "layer") ~ /^tested/ { ns += field($0, "ns") }
END { printf "%.2f\n", ns / 1e3 }
AWK
cat "$here/json.awk" - << 'AWK' > "$work/table.awk"
{
  if (!($2 in all)) order[++n] = $2
  time[$1, $2] = time[$1, $2] " " $3
  all[$2] = 1
}
END {
  print "| operation | gradc, us | PyTorch, us | gradc/PyTorch |"
  print "|---|---:|---:|---:|"
  for (i = 1; i <= n; i++) {
    a = median(time["gradc", order[i]])
    b = median(time["torch", order[i]])
    printf "| %s | %.2f | %.2f | %.2f |\n", order[i], a, b, a / b
  }
}
AWK

# once ROW BATCH INPUT: a line "gradc ROW US" and one "torch ROW US"
once() {
  "$work/$1" bench --json --threads 1 --seconds "$seconds" > "$work/profile" &&
    ours=$(awk -f "$work/sum.awk" "$work/profile") &&
    theirs=$("$PYTHON" "$here/ops_torch.py" "$1" "$2" "$3" "$seconds") &&
    printf 'gradc %s %s\ntorch %s %s\n' "$1" "$ours" "$1" "$theirs" >> "$work/lines"
}

: > "$work/lines"
wanted=${*:-}
bad=0
round=0
while [ "$round" -lt "$rounds" ]; do
  while IFS='|' read -r row batch input stem layer; do
    case " ${wanted:-$row} " in *" $row "*) ;; *) continue ;; esac
    spec "$batch" "$input" "$stem" "$layer" > "$work/micro.nn"
    if [ "$round" -eq 0 ]; then
      "$GRADC" build "$work/micro.nn" --profile -q --emit exe -o "$work/$row"
    fi
    once "$row" "$batch" "$input" || { echo "$row failed" >&2; bad=1; }
  done << ROWS
$rows
ROWS
  round=$((round + 1))
done
awk -f "$work/table.awk" "$work/lines"
exit $bad
