#!/bin/sh
# gradc and PyTorch beside each other: sh tests/bench/compare.sh [-n NETS] [-b BATCHES] [-t THREADS]
# [-r ROUNDS] [-s SECONDS] [-f], lists separated by commas. Same nets, weights, samples and steps;
# runs alternate, and medians count. Prints a Markdown table. Exit 1: losses differ; 3: the PyTorch
# here is not worth comparing with; 4: the machine does other work (-f: go on all the same).
# GRADC names the compiler, PYTHON a Python that has torch. Where g++ and libdnnl-dev are installed,
# oneDNN's primitives run the same nets, without a framework around them.
. "$(dirname "$0")/common.sh"
nets=softmax,mlp,course_cnn,lenet5,vgg_small,vgg_small_fast,resnet20,charlstm,chargru,charrnn
batches=1,32,128
threads=1,2
rounds=3
seconds=1
force=0
busy=0
read_options "n:nets b:batches t:threads r:rounds s:seconds f=force" "$@"

sed -n 's/^model name[^:]*: /machine: /p' /proc/cpuinfo | head -n 1
"$GRADC" --version
"$PYTHON" "$here/torch_peer.py" --check || exit 3
onednn=0
if g++ -O3 -march=native -fopenmp "$here/onednn_peer.cpp" -o "$work/onednn_peer" -ldnnl \
  2> "$work/messages"; then
  onednn=1
  sed -n 's/#define DNNL_VERSION_\(M[A-Z]*\|PATCH\) \([0-9]*\)/\2/p' \
    /usr/include/oneapi/dnnl/dnnl_version.h | paste -sd. | sed 's/^/oneDNN /'
else
  echo "without oneDNN: its peer does not compile here"
fi
echo

# quiet: waits up to 20 s for a second in which the CPUs are idle for at least 90 %. Threads that
# spin for each other lose whole time slices to other work, PyTorch's most of all.
quiet() {
  for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    before=$(head -n 1 /proc/stat)
    sleep 1
    printf '%s\n' "$before" "$(head -n 1 /proc/stat)" | awk '
      { all = 0; for (i = 2; i <= 9; i++) all += $i; idle = $5 + $6 }
      NR == 1 { all1 = all; idle1 = idle }
      END { exit !(idle - idle1 >= 0.9 * (all - all1)) }' && return 0
  done
  return 1
}

if [ $force -eq 0 ] && ! quiet; then
  echo "the machine is busy: times would mean nothing (-f: go on)"
  exit 4
fi

peer() {                        # peer NET BATCH THREADS
  OMP_NUM_THREADS=$3 OPENBLAS_NUM_THREADS=$3 \
    "$PYTHON" "$here/torch_peer.py" "$1" "$2" "$3" "$seconds"
}

primitives() {                  # primitives NET BATCH THREADS: a line for oneDNN
  [ $onednn -eq 1 ] || return 0
  case $1 in char*) return 0 ;; esac    # not among its nets
  line=$(OMP_NUM_THREADS=$3 "$work/onednn_peer" "$1" "$2" "$3" "$seconds" "$work/start") || exit 2
  printf 'onednn %s\n' "$line" >> "$work/lines"
}

for net in $(echo "$nets" | tr ',' ' '); do
  for batch in $(echo "$batches" | tr ',' ' '); do
    "$GRADC" build "$here/nets/$net.nn" --bench -q --set "batch=$batch" --emit exe \
      -o "$work/$net" 2> "$work/messages" || { cat "$work/messages"; exit 2; }
    "$PYTHON" "$here/torch_peer.py" --start "$net" "$batch" "$work/start" || exit 2
    for n in $(echo "$threads" | tr ',' ' '); do
      round=0
      while [ "$round" -lt "$rounds" ]; do
        [ $force -eq 1 ] || quiet || busy=$((busy + 1))
        ours=$("$work/$net" bench --json --threads "$n" --seconds "$seconds") || exit 2
        theirs=$(peer "$net" "$batch" "$n") || exit 2
        printf 'gradc %s\ntorch %s\n' "$ours" "$theirs" >> "$work/lines"
        primitives "$net" "$batch" "$n"
        round=$((round + 1))
      done
    done
  done
done

cat "$here/json.awk" - << 'AWK' > "$work/table.awk"
function ratio(a, b) { return sprintf("%.1f", a / b) }
function short(x) {
  if (x == 0)
    return "-"
  return sprintf(x < 1 ? "%.3f" : x < 10 ? "%.2f" : x < 100 ? "%.1f" : "%.0f", x)
}
function print_times(torch, onednn, gradc) {
  torch = median(torch); gradc = median(gradc)
  printf " %s | %s | %s | %s |", short(torch), short(median(onednn)), short(gradc),
    ratio(torch, gradc)
}
function off(a, b, scale) { return (a > b ? a - b : b - a) / scale }
{
  who = $1
  key = field($0, "net") " " field($0, "batch") " " field($0, "threads")
  if (!(key in seen)) { seen[key] = 1; order[++n] = key }
  train[who, key] = train[who, key] " " inner($0, "train", "median_ns") / 1e6
  infer[who, key] = infer[who, key] " " inner($0, "infer", "median_ns") / 1e6
  memory[who, key] = field($0, "peak_rss_bytes") / 1e6
  first[who, key] = element($0, "loss", 1)
  last[who, key] = element($0, "loss", 5)
}
END {
  print "| net | batch | threads | train ms: PyTorch | oneDNN | gradc | ratio " \
    "| inference ms: PyTorch | oneDNN | gradc | ratio | MB: PyTorch | oneDNN | gradc |"
  print "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
  for (i = 1; i <= n; i++) {
    k = order[i]
    split(k, part, " ")
    printf "| %s | %d | %d |", part[1], part[2], part[3]
    print_times(train["torch", k], train["onednn", k], train["gradc", k])
    print_times(infer["torch", k], infer["onednn", k], infer["gradc", k])
    printf " %.0f | %s | %.0f |\n", memory["torch", k],
      memory["onednn", k] ? sprintf("%.0f", memory["onednn", k]) : "-", memory["gradc", k]
    # Rounding differs; what it starts is the same net, and 4 steps do not lead far apart.
    f = first["torch", k]
    if (off(first["gradc", k], f, f) > 1e-5 || off(last["gradc", k], last["torch", k], f) > 1e-2) {
      print "losses differ: " k ": " f " and " first["gradc", k] > "/dev/stderr"
      bad = 1
    }
    if (("onednn", k) in first && off(last["onednn", k], last["torch", k], f) > 1e-2) {
      print "oneDNN does other work: " k ": losses differ" > "/dev/stderr"
      bad = 1
    }
  }
  exit bad
}
AWK
awk -f "$work/table.awk" "$work/lines"
code=$?
[ $busy -eq 0 ] || echo "warning: $busy runs began on a busy machine"
exit $code
