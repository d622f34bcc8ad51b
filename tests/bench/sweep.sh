#!/bin/sh
# Does cost grow linearly? sh tests/bench/sweep.sh [-b BATCHES] [-c CHANNELS] [-t THREADS]
# [-r ROUNDS] [-s SECONDS] [-o PLOT.svg], lists separated by commas. Training steps of a
# convolutional net and of an MLP: against the batch, with 32 channels; against the channels (units)
# of the middle layer, with batch 32; on every number of threads. The least time of all rounds
# counts, which other work on the machine disturbs least. Prints a Markdown table, and for each line
# of points the fit a + b * size: its residual is the root mean square of (time - fit) / time. The
# plot is one self-contained file. GRADC names the compiler.
. "$(dirname "$0")/common.sh"
batches=1,2,4,8,16,32,64,128,256
channels=4,8,16,32,64,128
threads=1,2
rounds=3
seconds=0.1
plot=sweep.svg
read_options "b:batches c:channels t:threads r:rounds s:seconds o:plot" "$@"

spec() {                        # spec NET BATCH SIZE
  input=16,16,16
  trunk="conv($3, 3, pad=1) -> relu -> maxpool(2) -> flatten"
  [ "$1" = conv ] || { input=512; trunk="dense($3) -> relu"; }
  cat << SPEC
net 1;
data noise {
  train: raw("noise.bin");
  field x: f32[$input];
  field y: u8 as label(10);
}
model swept(x: f32[$input]) -> logits: f32[10] {
  logits = x -> $trunk -> dense(10);
}
train swept on noise {
  loss: softmax_xent(logits, y);
  optimizer: sgd(lr=0.01);
  epochs: 1;
  batch: $2;
}
SPEC
}

: > "$work/programs"
add() {                         # add NET AXIS BATCH SIZE X
  exe=$work/$1-$3-$4
  if [ ! -x "$exe" ]; then
    spec "$1" "$3" "$4" > "$exe.nn"
    "$GRADC" build "$exe.nn" --bench -q --emit exe -o "$exe" || exit 2
  fi
  echo "$1 $2 $5 $exe" >> "$work/programs"
}
for net in conv mlp; do
  for batch in $(echo "$batches" | tr ',' ' '); do add $net batch "$batch" 32 "$batch"; done
  for size in $(echo "$channels" | tr ',' ' '); do add $net channels 32 "$size" "$size"; done
done

round=0
while [ "$round" -lt "$rounds" ]; do
  while read -r net axis x exe; do
    for n in $(echo "$threads" | tr ',' ' '); do
      line=$("$exe" bench --json --threads "$n" --seconds "$seconds" < /dev/null) || exit 2
      echo "$net $axis $n $x $line"
    done
  done < "$work/programs" >> "$work/lines"
  round=$((round + 1))
done

cat "$here/json.awk" - << 'AWK' > "$work/table.awk"
function px(x) { return 60 + 560 * log(x) / log(256) }
function py(us) { return 420 - 390 * (log(us) - low) / (high - low) }
# The least squares of relative errors: weights 1 / time^2.
function fit(k,    i, w, s, sx, sy, sxx, sxy, x, y, d, e) {
  for (i = 1; i <= count[k]; i++) {
    x = at[k, i]; y = best[k, x]; w = 1 / (y * y)
    s += w; sx += w * x; sy += w * y; sxx += w * x * x; sxy += w * x * y
  }
  d = s * sxx - sx * sx
  slope = d ? (s * sxy - sx * sy) / d : 0
  start = (sy - slope * sx) / s
  for (i = 1; i <= count[k]; i++) {
    x = at[k, i]; y = best[k, x]
    e += ((y - start - slope * x) / y) ^ 2
  }
  return sqrt(e / count[k])
}
{
  k = $1 " " $2 " " $3; x = $4 + 0
  us = inner($0, "train", "min_ns") / 1e3
  if (!(k in count)) order[++n] = k
  if (!((k, x) in best)) { at[k, ++count[k]] = x; best[k, x] = us }
  if (us < best[k, x]) best[k, x] = us
}
END {
  split("#1f77b4 #ff7f0e #2ca02c #d62728 #9467bd #8c564b #e377c2 #17becf", colour, " ")
  print "| net | against | threads | size | us | us / size |\n|---|---|---:|---:|---:|---:|"
  for (i = 1; i <= n; i++)
    for (j = 1; j <= count[order[i]]; j++) {
      split(order[i], part, " "); x = at[order[i], j]; us = best[order[i], x]
      printf "| %s | %s | %d | %d | %.2f | %.3f |\n", part[1], part[2], part[3], x, us, us / x
      if (!high || log(us) > high) high = log(us)
      if (!seen++ || log(us) < low) low = log(us)
    }
  print "\n| net | against | threads | fit us | residual % |\n|---|---|---:|---|---:|"
  print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 470\" " \
    "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"860\" height=\"470\" " \
    "fill=\"white\"/>" > plot
  if (high <= low) high = low + 1
  for (x = 1; x <= 256; x *= 2)
    printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"30\" y2=\"420\" stroke=\"#ddd\"/>" \
      "<text x=\"%.1f\" y=\"438\" text-anchor=\"middle\">%d</text>\n", px(x), px(x), px(x), x > plot
  for (us = 0.01; us < 1e9; us *= 10)
    if (log(us) >= low && log(us) <= high)
      printf "<line x1=\"60\" x2=\"620\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>" \
        "<text x=\"54\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", py(us), py(us), py(us),
        us > plot
  print "<text x=\"340\" y=\"460\" text-anchor=\"middle\">batch or channels</text>" \
    "<text x=\"60\" y=\"20\">us a training step; dashed: fit a + b * size</text>" > plot
  for (i = 1; i <= n; i++) {
    k = order[i]; residual = fit(k); split(k, part, " ")
    points = line = ""
    for (j = 1; j <= count[k]; j++) {
      x = at[k, j]; y = start + slope * x
      points = points sprintf("%.1f,%.1f ", px(x), py(best[k, x]))
      if (y > exp(low) / 2) line = line sprintf("%.1f,%.1f ", px(x), py(y))
    }
    c = colour[(i - 1) % 8 + 1]
    printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>" \
      "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-dasharray=\"4 4\"/>\n" \
      "<text x=\"640\" y=\"%d\" fill=\"%s\">%s, %s, %d thread%s: %.0f %%</text>\n",
      points, c, line, c, 30 + 20 * i, c, part[1], part[2], part[3], part[3] == 1 ? "" : "s",
      100 * residual > plot
    printf "| %s | %s | %d | %.3g + %.3g * size | %.1f |\n", part[1], part[2], part[3], start,
      slope, 100 * residual
  }
  print "</svg>" > plot
}
AWK
awk -v plot="$plot" -f "$work/table.awk" "$work/lines" && echo "wrote $plot"
