#!/bin/sh
# Proves that check.sh can fail: seeds one offence of each kind into a small tree and expects
# exactly its rule.
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d) || exit 2
trap 'rm -rf "$tree"' EXIT
failed=0
cases=0

fresh() {
  rm -rf "$tree"/*
  mkdir -p "$tree/compiler/ops" "$tree/compiler/base" "$tree/compiler/sema" "$tree/compiler/pass" "$tree/compiler/cmd" \
    "$tree/compiler/backend/c" "$tree/runtime" "$tree/lib/compiler" "$tree/lib/runtime" "$tree/tests/style"
  printf 'OP(relu, act)\nOP(conv, conv)\n' > "$tree/compiler/ops/ops.def"
  printf '#ifndef GRADC_BASE_ARENA_H\n#define GRADC_BASE_ARENA_H\nvoid *arena(void);\n#endif\n' > "$tree/compiler/base/arena.h"
  printf '#include "base/arena.h"\nconst char *op(void) { return "relu"; }\n' > "$tree/compiler/ops/act.c"
  printf 'int gradrt_one(void);\nint gradrt_one(void) { return 1; }\n' > "$tree/runtime/one.c"
  printf 'int two(void);\nint two(void) { return 2; }\nconst char *const names[] = { "a" };\n' > "$tree/compiler/base/two.c"
}

archive() {                     # archive SOURCE LIBRARY
  ${CC:-cc} -c "$tree/$1" -I "$tree/compiler" -o "$tree/object.o" && ar rcs "$tree/lib/$2" "$tree/object.o" && rm -f "$tree/object.o"
}

expect() {                      # expect RULE NAME: the check says RULE and nothing else; "": it passes
  cases=$((cases + 1))
  rm -f "$tree"/lib/compiler/* "$tree"/lib/runtime/*
  archive compiler/base/two.c compiler/libgradc_base.a && archive runtime/one.c runtime/libgradrt.a || exit 2
  out=$(sh "$here/check.sh" "$tree" "$tree/lib")
  code=$?
  rules=$(echo "$out" | sed -n 's/^\([a-z]*\): [^ ]*: .*/\1/p; s/^\(tab\): .*/\1/p' | grep -v '^style$' | sort -u | tr '\n' ' ')
  want=${1:+$1 }
  if [ "$rules" != "$want" ] || { [ -n "$1" ] && [ $code -ne 1 ]; } || { [ -z "$1" ] && [ $code -ne 0 ]; }; then
    echo "FAILED  $2: expected '$want', got '$rules' (exit $code)"
    echo "$out"
    failed=$((failed + 1))
  fi
}

tab=$(printf '\t')
long=$(printf '%0101d' 0)
fresh; expect '' 'a clean tree'
fresh; echo "int a;$tab" > "$tree/compiler/ops/x.c"; expect tab 'a tab'
fresh; echo 'int a; ' > "$tree/compiler/ops/x.c"; expect trailing 'a blank at the end'
fresh; echo "/* $long */" > "$tree/runtime/x.c"; expect columns 'a long line'
fresh; echo "/* $long */" > "$tree/runtime/x.c"; echo 'runtime/x.c 1' > "$tree/tests/style/wide.txt"
expect '' 'a long line in wide.txt'
fresh; echo "/* $long */" > "$tree/runtime/x.c"; echo 'runtime/y.c 1' > "$tree/tests/style/wide.txt"
expect columns 'a new long line'
fresh; yes 'int a;' | head -901 > "$tree/compiler/ops/x.c"; expect length 'a long file'
fresh; yes 'int a;' | head -900 > "$tree/compiler/ops/x.c"; expect '' 'a file of 900 lines'
fresh; echo '#include "ops/ops.def"' > "$tree/compiler/base/x.c"; expect arrow 'base includes ops'
fresh; echo '#include "ops/ops.def"' > "$tree/compiler/sema/x.c"; expect arrow 'sema includes ops'
fresh; echo '#include "ops/conv.h"' > "$tree/compiler/pass/x.c"
expect arrow 'pass includes a family of ops'
fresh; echo '#include "ops/build.h"' > "$tree/compiler/pass/x.c"
expect '' 'pass includes ops/build.h'
fresh; echo '#include "ir/graph.h"' > "$tree/compiler/backend/c/x.c"
expect arrow 'a back end sees the graph'
fresh; echo '#include "compiler/base/arena.h"' > "$tree/runtime/x.c"
expect arrow 'the runtime includes the compiler'
fresh; mkdir "$tree/compiler/extra"; echo '#include "base/arena.h"' > "$tree/compiler/extra/x.c"
expect arrow 'an unknown folder'
fresh; echo '#include "ops/ops.def"' > "$tree/compiler/cmd/x.c"
expect '' 'commands include everything'
fresh; echo 'const char *a = "conv";' > "$tree/compiler/sema/x.c"
expect operation 'the name of an operation in sema'
fresh; echo 'void *a = &op_relu;' > "$tree/compiler/sema/x.c"
expect operation 'a descriptor in sema'
fresh; echo 'void *a = &op_relu;' > "$tree/compiler/pass/x.c"; expect '' 'a descriptor in pass'
fresh; echo 'void *a = "relu";' > "$tree/compiler/pass/x.c"
expect operation 'the name of an operation in pass'
fresh; echo 'void *a = malloc(3);' > "$tree/compiler/sema/x.c"; expect memory 'malloc in sema'
fresh; echo 'void *a = malloc(3);' > "$tree/compiler/base/x.c"; expect '' 'malloc in base'
fresh; echo 'int arena;' > "$tree/compiler/base/arena.h"; expect guard 'no header guard'
fresh; echo 'int counter = 3;' >> "$tree/compiler/base/two.c"; expect globals 'a mutable global'
fresh; echo 'static int n; int count(void); int count(void) { return ++n; }' >> "$tree/compiler/base/two.c"
expect globals 'a static counter'
fresh; echo 'int helper(void) { return 3; }' >> "$tree/runtime/one.c"
expect prefix 'an exported name without prefix'
[ $failed -eq 0 ] || { echo "style selftest: $failed of $cases cases failed"; exit 1; }
echo "style selftest: $cases cases passed"
