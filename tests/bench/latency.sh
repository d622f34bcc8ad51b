#!/bin/sh
# How long one image takes: inference with batch 1 of the nets in nets/, gradc and, where there is
# one, PyTorch. sh tests/bench/latency.sh [-n NETS] [-r ROUNDS] [-s SECONDS], nets separated by
# commas. Runs alternate; the medians over the rounds of each run's median and 99th percentile, on
# one thread. Prints a Markdown table. GRADC names the compiler, PYTHON a Python that has torch.
. "$(dirname "$0")/common.sh"
nets=$(cd "$here/nets" && echo *.nn | sed 's/\.nn//g')
rounds=3
seconds=0.3
read_options "n:nets r:rounds s:seconds" "$@"
if [ -z "${OPENBLAS_CORETYPE:-}" ] && grep -q avx512f /proc/cpuinfo; then
  OPENBLAS_CORETYPE=SkylakeX
  export OPENBLAS_CORETYPE
fi
peer=1
"$PYTHON" "$here/torch_peer.py" --check 2> "$work/messages" || peer=0
[ $peer -eq 1 ] || echo "without PyTorch"

: > "$work/lines"
for net in $(echo "$nets" | tr ',' ' '); do
  "$GRADC" build "$here/nets/$net.nn" --bench -q --set batch=1 --emit exe -o "$work/$net" || exit 2
  round=0
  while [ "$round" -lt "$rounds" ]; do
    line=$("$work/$net" bench --json --threads 1 --seconds "$seconds") || exit 2
    printf 'gradc %s %s\n' "$net" "$line" >> "$work/lines"
    if [ $peer -eq 1 ]; then
      line=$(OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$PYTHON" "$here/torch_peer.py" "$net" 1 1 \
        "$seconds" 2> "$work/messages") && printf 'torch %s %s\n' "$net" "$line" >> "$work/lines"
    fi
    round=$((round + 1))
  done
done

cat "$here/json.awk" - << 'AWK' > "$work/table.awk"
function shown(list) { return list == "" ? "-" : sprintf("%.1f", median(list)) }
{
  if (!($2 in seen)) { seen[$2] = 1; order[++n] = $2 }
  mid[$1, $2] = mid[$1, $2] " " inner($0, "infer", "median_ns") / 1e3
  tail[$1, $2] = tail[$1, $2] " " inner($0, "infer", "p99_ns") / 1e3
}
END {
  print "| net | gradc us: median | p99 | PyTorch us: median | p99 | ratio |"
  print "|---|---:|---:|---:|---:|---:|"
  for (i = 1; i <= n; i++) {
    k = order[i]
    a = mid["gradc", k]; b = mid["torch", k]
    printf "| %s | %s | %s | %s | %s | %s |\n", k, shown(a), shown(tail["gradc", k]), shown(b),
      shown(tail["torch", k]), b == "" ? "-" : sprintf("%.1f", median(b) / median(a))
  }
}
AWK
awk -f "$work/table.awk" "$work/lines"
