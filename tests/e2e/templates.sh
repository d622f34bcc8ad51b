#!/bin/sh
# Which template computes what: the kernels of each example's training step in order, without figures.
# A generic nest (elementwise, gather, rows, copy) where a template is due shows up as a difference here.
# UPDATE=1 rewrites the goldens.
. "$(dirname "$0")/lib.sh"
golden=$SOURCE/tests/golden/templates
for spec in "$SOURCE"/examples/*.nn; do
  name=$(basename "$spec" .nn)
  begin "$name: every kernel comes from the template it should"
  run 0 gradc summary "$spec" --cpu x86-64-v4 || continue
  sed -n '/^kernel  /,/barriers a step/p' out | awk '$1 == "--" || $1 == "." { next } /barriers a step/ { print; next } { print $1, $2 }' > "$name.txt"
  [ -z "${UPDATE:-}" ] || cp "$name.txt" "$golden/$name.txt"
  diff -u "$golden/$name.txt" "$name.txt" || bad "kernels or templates changed; if that is meant: UPDATE=1 sh tests/e2e/templates.sh"
done
finish
