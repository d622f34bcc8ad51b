#!/bin/sh
# Nets of awkward sizes against round ones of the nearest size: sh tests/bench/awkward.sh
# [-r ROUNDS] [-s SECONDS] [-t THREADS] [ROW..]. GFLOP/s of training steps, of real FLOPs; programs
# run in turn. A row's ratio is the median over the rounds. Prints a Markdown table; exit 1: a row
# has less than 70 % of the round net's GFLOP/s, and the last lines say how much. GRADC names the
# compiler.
. "$(dirname "$0")/common.sh"
rounds=5
seconds=0.2
threads=1
read_options "r:rounds s:seconds t:threads" "$@"
shift "$taken"

# row|awkward: batch|input|trunk|round: batch|input|trunk; 3:17 is a 3x3 convolution with 17
# channels that keeps the image, 3/2:64 one with stride 2, d:50 a dense layer; relu between them.
rows='channels-17|32|17,16,16|3:17 3:17|32|16,16,16|3:16 3:16
channels-50|32|50,16,16|3:50 3:50|32|48,16,16|3:48 3:48
kernel-5|32|32,16,16|5:32 5:32|32|32,16,16|3:32 3:32
batch-50|50|16,16,16|3:16 3:16|48|16,16,16|3:16 3:16
batch-50-mlp|50|512|d:512 d:512|48|512|d:512 d:512
image-7|32|64,7,7|3:64 3:64|32|64,8,8|3:64 3:64
stride-2|32|32,32,32|3/2:64 3/2:64|32|32,16,16|3:64 3:64
dense-17-50|64|500|d:250 d:50 d:17|64|512|d:256 d:48 d:16'

# trunk LAYERS: as the language writes them
trunk() {
  echo "$1" | sed -E -e 's/ / -> relu -> /g' -e 's/d:([0-9]+)/dense(\1)/g' \
    -e 's|([35])/2:([0-9]+)|conv(\2, \1, stride=2, pad=1)|g' \
    -e 's/3:([0-9]+)/conv(\1, 3, pad=1)/g' -e 's/5:([0-9]+)/conv(\1, 5, pad=2)/g'
}

spec() {                        # spec BATCH INPUT TRUNK
  cat << SPEC
net 1;
data noise {
  train: raw("noise.bin");
  field x: f32[$2];
  field y: u8 as label(10);
}
model sized(x: f32[$2]) -> logits: f32[10] {
  logits = x -> $(trunk "$3") -> flatten -> dense(10);
}
train sized on noise {
  loss: softmax_xent(logits, y);
  optimizer: sgd(lr=0.01);
  epochs: 1;
  batch: $1;
}
SPEC
}

build() {                       # build NAME BATCH INPUT TRUNK
  spec "$2" "$3" "$4" > "$work/$1.nn" &&
    "$GRADC" build "$work/$1.nn" --bench -q --emit exe -o "$work/$1"
}

wanted=${*:-}
: > "$work/lines"
while IFS='|' read -r row batch input trunk round_batch round_input round_trunk; do
  case " ${wanted:-$row} " in *" $row "*) ;; *) continue ;; esac
  build awkward "$batch" "$input" "$trunk" || exit 2
  build round "$round_batch" "$round_input" "$round_trunk" || exit 2
  round=0
  while [ "$round" -lt "$rounds" ]; do
    for which in awkward round; do
      line=$("$work/$which" bench --json --threads "$threads" --seconds "$seconds") || exit 2
      printf '%s %s %s\n' "$which" "$row" "$line" >> "$work/lines"
    done
    round=$((round + 1))
  done
done << ROWS
$rows
ROWS
[ -s "$work/lines" ] || { echo "there is no row '$wanted'"; exit 2; }

cat "$here/json.awk" - << 'AWK' > "$work/table.awk"
{
  if (!($2 in seen)) { seen[$2] = 1; order[++n] = $2 }
  rate = inner($0, "train", "flops") / inner($0, "train", "median_ns")
  all[$1, $2] = all[$1, $2] " " rate
  if ($1 == "round") ratio[$2] = ratio[$2] " " last / rate
  last = rate
}
END {
  print "| row | GFLOP/s: awkward | round | ratio |"
  print "|---|---:|---:|---:|"
  for (i = 1; i <= n; i++) {
    k = order[i]
    printf "| %s | %.1f | %.1f | %.2f |\n", k, median(all["awkward", k]), median(all["round", k]),
      median(ratio[k])
  }
  for (i = 1; i <= n; i++) {
    k = order[i]
    if (median(ratio[k]) >= 0.7) continue
    printf "%s falls short: %.0f %% of the round net, 70 %% wanted\n", k, 100 * median(ratio[k])
    short = 1
  }
  exit short
}
AWK
awk -f "$work/table.awk" "$work/lines"
