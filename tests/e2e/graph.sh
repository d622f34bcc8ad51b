#!/bin/sh
# gradc graph: the diagram of a net as SVG, page and text for Graphviz. What is in it is compared
# with what summary says.
. "$(dirname "$0")/lib.sh"

residual_spec() {
  cat << 'SPEC'
net 1;
data d {
  train: digits(samples=64);
  field x: u8[28,28] as f32[1,28,28] -> div(255);
  field y: u8 as label(10);
}
block residual(x: f32[c,h,w], filters) -> f32[filters,h,w] {
  a = x -> conv(filters, 3, pad=1, bias=false) -> batchnorm -> relu;
  return a + x -> relu;
}
model tiny(x: f32[1,28,28]) -> logits: f32[10] {
  stem = x -> conv(4, 3, pad=1) -> relu;
  r = stem -> residual(4);
  logits = r -> global_avgpool -> flatten -> dense(10);
}
train tiny on d { loss: softmax_xent(logits, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 8; }
infer tiny { output: softmax(logits) as prob; }
SPEC
}

begin "every example is drawn as well-formed SVG with all its parameters"
drawn=0
for spec in "$SOURCE"/examples/*.nn "$SOURCE"/examples/course/*.nn; do
  # Some read their data while compiling, and not all have them here.
  gradc check "$spec" -q 2> "$work/err"
  [ $? -ne 3 ] || continue
  drawn=$((drawn + 1))
  run 0 gradc graph "$spec" -o net.svg -q || continue
  run 0 gradc summary "$spec" --no-tune
  want=$(sed -n 's/^parameters  \([0-9,]*\).*/\1/p' "$work/out")
  [ -z "$want" ] || grep -q ">$want parameters</text>" net.svg || bad "$spec: not $want parameters"
  if command -v python3 > /dev/null; then
    python3 -c 'import sys, xml.dom.minidom as d; d.parse(sys.argv[1])' net.svg || bad "$spec: XML"
  fi
done
[ $drawn -ge 20 ] || bad "only $drawn examples"

begin "a residual block has a frame, a skip connection, and shapes at its edges"
residual_spec > tiny.nn
run 0 gradc graph tiny.nn -o tiny.svg -q
for what in '>stem</text>' '>r.a</text>' '>r</text>' '>prob</text>' '>loss</text>' \
  'conv <tspan class="n-soft">filters=4, kernel=3, pad=1, bias=false</tspan>' \
  '>4×28×28</text>'; do
  grep -q "$what" tiny.svg || bad "no $what"
done
[ "$(grep -c 'class="n-group"' tiny.svg)" -eq 1 ] || bad "not one frame"
[ "$(grep -c 'class="n-edge" d="M[0-9. -]*C[0-9. -]*V' tiny.svg)" -eq 1 ] || bad "not one lane"
[ "$(grep -c 'class="n-box"' tiny.svg)" -eq 9 ] || bad "not 9 boxes"
[ "$(grep -c 'class="n-edge"' tiny.svg)" -eq 9 ] || bad "not 9 connections"

begin "Graphviz gets the same boxes and connections, and reads them where it is installed"
run 0 gradc graph tiny.nn --dot -o tiny.dot -q
[ "$(grep -c '^  b[0-9]* \[' tiny.dot)" -eq 9 ] || bad "not 9 boxes"
[ "$(grep -c -- '->' tiny.dot)" -eq 9 ] || bad "not 9 connections"
grep -q 'cluster_0' tiny.dot || bad "no cluster"
if command -v dot > /dev/null; then run 0 dot -Tsvg tiny.dot -o dotted.svg; fi

begin "the page is self-contained, light, dark and for paper; the same bytes each time"
run 0 gradc graph tiny.nn --html -o a.html -q
run 0 gradc graph tiny.nn --html -o b.html -q
same a.html b.html
for what in 'prefers-color-scheme:dark' '@media print' '</svg>' '</html>'; do
  grep -q "$what" a.html || bad "no $what"
done
! sed 's/xmlns="[^"]*"//' a.html | grep -qE 'http:|https:|<script|url\(' || bad "not self-contained"
run 0 gradc graph tiny.nn -o -
says '^<svg '
run 0 gradc graph tiny.nn
[ -f tiny.svg ] || bad "no tiny.svg by default"

begin "a wrong spec, two forms at once and a place that cannot be written are refused"
echo 'net 1; model m(x: f32[2]) -> y: f32[1] { y = x -> dens(1); }' > wrong.nn
run 1 gradc graph wrong.nn
says 'E0301'
run 2 gradc graph tiny.nn --dot --html
says_once 'one of --dot and --html'
run 5 gradc graph tiny.nn -o no/such/folder.svg
finish
