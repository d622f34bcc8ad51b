#!/bin/sh
# Every kernel template by itself: nets of one layer behind a small stem, through the same path as
# any net. sh tests/bench/micro.sh [-s SECONDS] [-t THREADS] [ROW..] prints a Markdown table of the
# layer's kernels with GFLOP/s and % of the measured peak. FLOPs are nominal: taps on padding count.
. "$(dirname "$0")/common.sh"
seconds=0.5
threads=1
read_options "s:seconds t:threads" "$@"
shift "$taken"

# row|layout|batch|input|stem|the layer; layout fast: channels under numerics: fast
rows='conv3-16|channels|32|16,32,32|conv(16, 1)|conv(16, 3, pad=1)
conv3-64|channels|16|32,16,16|conv(64, 1)|conv(64, 3, pad=1)
conv3-256|channels|16|32,8,8|conv(256, 1)|conv(256, 3, pad=1)
conv3-64-fast|fast|32|16,16,16|conv(64, 1)|conv(64, 3, pad=1)
conv3-256-fast|fast|32|16,8,8|conv(256, 1)|conv(256, 3, pad=1)
conv3-stride|channels|16|32,32,32|conv(32, 1)|conv(64, 3, stride=2, pad=1)
conv1-64|channels|16|32,16,16|conv(64, 1)|conv(64, 1)
conv-depthwise-lanes|lanes|16|8,32,32|conv(8, 1)|conv(8, 3, pad=1, groups=8)
conv-depthwise-64|channels|16|16,32,32|conv(64, 1)|conv(64, 3, pad=1, groups=64)
conv-depthwise-256|channels|16|16,16,16|conv(256, 1)|conv(256, 3, pad=1, groups=256)
conv-depthwise-64-s2|channels|16|16,32,32|conv(64, 1)|conv(64, 3, stride=2, pad=1, groups=64)
conv-depthwise-256-s2|channels|16|16,16,16|conv(256, 1)|conv(256, 3, stride=2, pad=1, groups=256)
conv-groups-16|channels|16|16,16,16|conv(128, 1)|conv(128, 3, pad=1, groups=8)
conv-groups-4|channels|16|16,16,16|conv(128, 1)|conv(128, 3, pad=1, groups=32)
conv5-6-16|lanes|128|6,14,14|conv(6, 1)|conv(16, 5)
conv2-2-4|lanes|128|2,16,16|conv(2, 1)|conv(4, 2, pad=1)
conv3-lanes-stride|lanes|64|8,16,16|conv(8, 1)|conv(8, 3, stride=2, pad=1)
maxpool|channels|32|16,32,32|conv(16, 1)|maxpool(2)
maxpool-lanes|lanes|64|8,28,28|conv(8, 1)|maxpool(2)
avgpool|channels|32|16,32,32|conv(16, 1)|avgpool(2)
avgpool-lanes|lanes|64|8,28,28|conv(8, 1)|avgpool(2)
batchnorm|channels|32|16,32,32|conv(16, 1)|batchnorm
batchnorm-lanes|lanes|64|8,28,28|conv(8, 1)|batchnorm
dense-512|channels|128|512|dense(512)|dense(512)
dense-512-lanes|lanes|128|512|dense(512)|dense(512)
dense-512-one|channels|1|512|dense(512)|dense(512)
dense-10|channels|128|512|dense(512)|dense(10)
softmax|channels|128|64|dense(64)|softmax
softmax-lanes|lanes|128|64|dense(64)|softmax
dropout|channels|128|512|dense(512)|dropout(0.5)'

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
infer micro { output: logits; }
SPEC
  [ "$layout" != fast ] || echo 'build { numerics: fast; }'
}

cat "$here/json.awk" - << 'AWK' > "$work/table.awk"
FNR == NR {                     # the summary: template of every kernel
  n = split($0, part, /\{"name":/)
  for (i = 2; i <= n; i++)
    if (index(part[i], "\"template\":"))
      template[field("\"name\":" part[i], "name")] = field(part[i], "template")
  next
}
field($0, "function") == "train" && field($0, "layer") ~ /^tested/ {
  ns = field($0, "ns") + 0
  rate = ns > 0 ? field($0, "flops") / ns : 0
  printf "| %s | %s | %s | %s | %s | %.2f | %.1f | %.0f |\n", row, layout, field($0, "direction"),
    field($0, "kernel"), template[field($0, "kernel")], ns / 1e3, rate,
    100 * rate * 1e9 / field($0, "peak_flops")
  found = 1
}
END { if (!found) { print row ": no kernels of the tested layer" > "/dev/stderr"; exit 1 } }
AWK

echo "| row | layout | direction | kernel | template | us | GFLOP/s | % of peak |"
echo "|---|---|---|---|---|---:|---:|---:|"
wanted=${*:-}
bad=0
while IFS='|' read -r row layout batch input stem layer; do
  case " ${wanted:-$row} " in *" $row "*) ;; *) continue ;; esac
  spec "$batch" "$input" "$stem" "$layer" > "$work/micro.nn"
  family=$layout
  [ "$layout" != fast ] || family=channels
  "$GRADC" build "$work/micro.nn" --profile -q --layout "$family" --emit exe -o "$work/micro" &&
    "$GRADC" summary "$work/micro.nn" --json --layout "$family" > "$work/summary" &&
    "$work/micro" bench --json --threads "$threads" --seconds "$seconds" > "$work/profile" &&
    awk -v row="$row" -v layout="$layout" -f "$work/table.awk" "$work/summary" "$work/profile" ||
    { echo "$row failed" >&2; bad=1; }
done << ROWS
$rows
ROWS
exit $bad
