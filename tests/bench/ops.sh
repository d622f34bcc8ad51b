#!/bin/sh
# Single operations, forward and backward, beside the same ones in PyTorch: microseconds of the
# layer's kernels in a training step, one thread. sh tests/bench/ops.sh [-s SECONDS] [ROW..] prints
# a Markdown table; the last column is gradc's time as a share of PyTorch's.
. "$(dirname "$0")/common.sh"
seconds=0.3
read_options "s:seconds" "$@"
shift "$taken"

# row|batch|input|stem|the layer. ops_torch.py has a row of each name.
rows='layernorm|64|16,16,16|conv(16, 1)|layernorm
groupnorm|64|16,16,16|conv(16, 1)|groupnorm(4)
conv_transpose|32|16,16,16|conv(16, 1)|conv_transpose(16, 4, stride=2, pad=1)
upsample|32|16,16,16|conv(16, 1)|upsample(2)
adaptive_avgpool|64|16,16,16|conv(16, 1)|adaptive_avgpool(4)
global_avgpool|64|16,16,16|conv(16, 1)|global_avgpool
global_maxpool|64|16,16,16|conv(16, 1)|global_maxpool
depthwise|32|32,16,16|conv(32, 1)|conv(32, 3, pad=1, groups=32)
reflect|32|16,16,16|conv(16, 1)|conv(16, 3, pad=1, pad_mode=reflect)
pool_overlap|64|16,16,16|conv(16, 1)|maxpool(3, stride=2, ceil=true)
concat|64|16,16,16|conv(16, 1)|concat(stem)
transpose|64|16,16,16|conv(16, 1)|transpose([0, 2, 1])
axis_mean|64|16,16,16|conv(16, 1)|mean(axis=[1, 2])
axis_max|64|16,16,16|conv(16, 1)|max(axis=0)
matmul|64|64,64|reshape([1, 64, 64]) -> conv(1, 1) -> reshape([64, 64])|matmul(stem)
local2d|32|8,16,16|conv(8, 1)|local2d(8, 3)'

spec() {                        # spec BATCH INPUT STEM LAYER
  cat << SPEC
net 1;
data noise {
  train: raw("noise.bin");
  field x: f32[$2];
  field y: u8 as label(10);
}
model micro(x: f32[$2]) -> logits: f32[10] {
  stem = x -> $3;
  tested = stem -> $4;
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

echo "| operation | gradc, us | PyTorch, us | gradc/PyTorch |"
echo "|---|---:|---:|---:|"
wanted=${*:-}
bad=0
while IFS='|' read -r row batch input stem layer; do
  case " ${wanted:-$row} " in *" $row "*) ;; *) continue ;; esac
  spec "$batch" "$input" "$stem" "$layer" > "$work/micro.nn"
  "$GRADC" build "$work/micro.nn" --profile -q --emit exe -o "$work/micro" &&
    "$work/micro" bench --json --threads 1 --seconds "$seconds" > "$work/profile" &&
    ours=$(awk -f "$work/sum.awk" "$work/profile") &&
    theirs=$("$PYTHON" "$here/ops_torch.py" "$row" "$batch" "$input" "$seconds") &&
    awk -v row="$row" -v a="$ours" -v b="$theirs" \
      'BEGIN { printf "| %s | %s | %s | %.2f |\n", row, a, b, a / b }' ||
    { echo "$row failed" >&2; bad=1; }
done << ROWS
$rows
ROWS
exit $bad
