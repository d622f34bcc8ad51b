#!/bin/sh
# Register spills in the inner loops of generated code: sh tests/bench/spills.sh [-m MOST] [-a]
# [NET..]. Compiles the nets of nets/ to assembly with gcc and clang for x86-64-v4 and x86-64-v3 and
# looks at the innermost loops with fused multiply-adds over vectors of stencils, outer products,
# matrix products and Winograd tiles, whose transforms need more registers than narrow targets have:
# an instruction there that moves a vector to or from the stack is a spill. Prints a line for each
# kernel with spills (-a: for each kernel), and fails when a loop has more than MOST (default 25) of
# them for 100 multiply-adds.
. "$(dirname "$0")/common.sh"
most=25
all=0
read_options "m:most a=all" "$@"
shift "$taken"
[ $# -gt 0 ] || set -- softmax mlp course_cnn lenet5 vgg_small resnet20

# A loop is what lies between a label and a later jump back to it; innermost, when no other loop
# lies inside. rbp belongs to the stack in functions that set it from rsp.
cat "$here/json.awk" - << 'AWK' > "$work/spills.awk"
FNR == NR {                     # the summary: kernels to look at
  count = split($0, part, /\{"name":/)
  for (i = 2; i <= count; i++) {
    how = field(part[i], "template")
    if (how ~ /^(stencil|outer|matmul|winograd)/)
      template[net "_" field("\"name\":" part[i], "name")] = how
  }
  next
}
function finish(    i, k, innermost, fma, spill, worst, nfma, nspill, stack) {
  stack = frame ? "-?[0-9]*\\(%r[sb]p\\)" : "-?[0-9]*\\(%rsp\\)"
  for (i = 1; i <= nloop; i++) {
    innermost = 1
    for (k = 1; k <= nloop; k++)
      if (from[k] >= from[i] && to[k] <= to[i] && (from[k] > from[i] || to[k] < to[i]))
        innermost = 0
    if (!innermost) continue
    fma = spill = 0
    for (k = from[i]; k <= to[i]; k++) {
      if (line[k] ~ /vfn?m(add|sub)[0-9]+p[sd]/) fma++
      if (line[k] ~ /%[xyz]mm/ && line[k] ~ stack) spill++
    }
    if (fma < 4) continue
    nfma += fma; nspill += spill
    if (100 * spill / fma > worst) worst = 100 * spill / fma
  }
  if (nfma && (all || nspill))
    printf "%-10s %-6s %-10s %-30s %-16s %5d fma %4d spills, worst loop %.0f per 100\n", net, cc,
      cpu, name, template[name], nfma, nspill, worst
  total += nspill
  if (worst > most) bad++
}
/^[A-Za-z_][A-Za-z0-9_.]*:/ {
  name = $1
  sub(/:.*/, "", name)
  n = nloop = frame = 0
  split("", label)
  next
}
/^\.L[A-Za-z0-9_]+:/ { at = $1; sub(/:.*/, "", at); label[at] = n + 1; next }
/^[ \t]+\.size[ \t]/ { if (n && name in template) finish(); n = nloop = 0; next }
/^[ \t]+\./ { next }
/^[ \t]/ {
  line[++n] = $0
  if ($1 == "movq" && $2 == "%rsp," && $3 == "%rbp") frame = 1
  if ($1 ~ /^j/ && $2 in label) { from[++nloop] = label[$2]; to[nloop] = n }
}
END { printf "%-10s %-6s %-10s %d spills\n", net, cc, cpu, total; exit bad > 0 }
AWK

code=0
for net in "$@"; do
  for cpu in x86-64-v4 x86-64-v3; do
    { "$GRADC" build "$here/nets/$net.nn" -q --thin --cpu "$cpu" -o "$work/$net.c" &&
        "$GRADC" summary "$here/nets/$net.nn" --json --cpu "$cpu" > "$work/summary"
    } 2> "$work/messages" || { cat "$work/messages"; exit 2; }
    for cc in gcc clang; do
      command -v "$cc" > /dev/null || { echo "there is no $cc here"; continue; }
      "$cc" -std=c11 -O3 "-march=$cpu" -S -I "$here/../../runtime" "$work/$net.c" \
        -o "$work/$net.s" || exit 2
      awk -v net="$net" -v cc="$cc" -v cpu="$cpu" -v most="$most" -v all="$all" \
        -f "$work/spills.awk" "$work/summary" "$work/$net.s" || { [ $? -eq 1 ] || exit 2; code=1; }
    done
  done
done
[ $code -eq 0 ] || echo "spills: a loop has more than $most for 100 multiply-adds"
exit $code
