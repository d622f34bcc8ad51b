# Read by the end-to-end tests. GRADC names the compiler (build/gradc by default); works in a
# folder of its own. A script runs cases: begin NAME, then checks; a case without a failed check
# passed. finish prints the counting lines that tests/run.sh adds up (those of cmocka), and exits:
# 0, 1 when a case failed, 77 when all were skipped.
#
# With GRADC_BACKEND=c or llvm every gradc that a script calls by its name compiles through that
# back end, and so does program; a case that names a back end or a C compiler itself keeps it.
set -u
SOURCE=${SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}
GRADC=${GRADC:-$SOURCE/build/gradc}
[ -x "$GRADC" ] || { echo "there is no compiler at $GRADC"; exit 1; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
XDG_CACHE_HOME=$work/cache
HOME=$work
NO_COLOR=1
export XDG_CACHE_HOME HOME NO_COLOR
mkdir "$XDG_CACHE_HOME"
PATH=$(dirname "$GRADC"):$PATH
case_name=
case_bad=0
passed=0
failed=0
skipped=0

if [ -n "${GRADC_BACKEND:-}" ]; then
  mkdir "$work/bin"
  cat > "$work/bin/gradc" << WRAPPER
#!/bin/sh
case "\${1:-} \$* " in
  *' --backend '* | *' --backend='* | *' --help '* | *' -h '*) ;;
  'train '* | 'eval '* | 'predict '* | 'gradcheck '* | 'bench '* | 'build '*' --emit exe '*)
    [ -n "\${CC:-}" ] || set -- "\$@" --backend $GRADC_BACKEND ;;
esac
exec "$GRADC" "\$@"
WRAPPER
  chmod +x "$work/bin/gradc"
  PATH=$work/bin:$PATH
fi

thin_links() {                  # thin_links SPEC: what programs need behind libgradrt
  "$GRADC" build "$1" --thin -q -o - | sed -n 's/.* -lgradrt//p' | head -n 1
}

settle() {                      # ends the case that is running
  [ -n "$case_name" ] || return 0
  if [ $case_bad -eq 0 ]; then
    echo "[       OK ] $case_name"
    passed=$((passed + 1))
  else
    echo "[  FAILED  ] $case_name"
    failed=$((failed + 1))
  fi
  case_name=
}

begin() {
  settle
  case_name=$1
  case_bad=0
}

bad() {                         # outside a case it counts by itself
  echo "FAILED ${case_name:-preparation}: $*"
  [ -n "$case_name" ] || failed=$((failed + 1))
  case_bad=1
}

skip() {                        # skip NAME WHY
  settle
  echo "[  SKIPPED ] $1: $2"
  skipped=$((skipped + 1))
}

# run CODE COMMAND..: the exit code must be CODE; leaves the output in $work/out and $work/err.
run() {
  want=$1
  shift
  "$@" > "$work/out" 2> "$work/err"
  code=$?
  [ $code -eq "$want" ] && return 0
  bad "exit $code instead of $want: $*"
  tail -n 8 "$work/out" "$work/err"
  return 1
}

says() {                        # says PATTERN: a line of the output or of the messages matches
  grep -qE -e "$1" "$work/out" "$work/err" || { bad "nothing says '$1'"; tail -n 8 "$work/out" "$work/err"; }
}

says_once() {                   # says_once PATTERN: one error and no more, and it matches
  says "$1"
  n=$(grep -cE '(^|[ :])error(:|\[)' "$work/err")
  [ "$n" -eq 1 ] || { bad "$n errors instead of one"; cat "$work/err"; }
}

same() {                        # same FILE FILE..: equal bytes
  first=$1
  shift
  for other in "$@"; do
    cmp -s "$first" "$other" || bad "$first and $other differ"
  done
}

finish() {
  settle
  echo "[  PASSED  ] $passed test(s)."
  [ $skipped -eq 0 ] || echo "[  SKIPPED ] $skipped test(s), listed above"
  [ $failed -eq 0 ] || { echo "[  FAILED  ] $failed test(s), listed above"; exit 1; }
  [ $passed -gt 0 ] || exit 77
  exit 0
}

# Grouped and depthwise convolutions, kernels wider than a register tile, random numbers for images
# whose planes are a multiple of four elements and for others.
grouped_spec() {
  cat << 'SPEC'
net 1;
data drawings {
  train: digits(samples=150);
  test: digits(samples=40, seed=2);
  field x: u8[28,28] as f32[1,28,28] -> div(255);
  field y: u8 as label(10);
}
model grouped(x: f32[1,28,28]) -> logits: f32[10] {
  a = x -> conv(18, 3, stride=2, pad=1) -> relu;
  b = a -> conv(18, 3, pad=1, groups=18) -> relu -> dropout(0.1);
  c = b -> conv(18, 5, stride=3, pad=1, groups=18) -> maxpool(2);
  d = b -> conv(36, [2, 3], stride=5, groups=9) -> dropout(0.2);
  e = x -> conv(3, [3, 28], stride=4);
  logits = (c -> flatten -> dense(10)) + (d -> flatten -> dense(10)) + (e -> flatten -> dense(10));
}
train grouped on drawings {
  loss: softmax_xent(logits, y);
  optimizer: adam(lr=0.002);
  epochs: 3;
  batch: 20;
  metrics: accuracy(logits, y);
}
eval grouped on drawings.test { report accuracy(logits, y); }
SPEC
}

# The smallest net that has it all: convolution, pooling, dropout, dense layers, Adam; batches that
# do not divide 310.
small_spec() {
  cat << 'SPEC'
net 1;
data drawings {
  train: digits(samples=310);
  test: digits(samples=70, seed=2);
  field x: u8[28,28] as f32[1,28,28] -> div(255);
  field y: u8 as label(10);
}
model small(x: f32[1,28,28]) -> logits: f32[10] {
  c = x -> conv(3, 5, stride=2) -> relu -> maxpool(2);
  logits = c -> flatten -> dense(19) -> relu -> dropout(0.2) -> dense(10);
}
train small on drawings {
  loss: softmax_xent(logits, y);
  optimizer: adam(lr=0.003);
  epochs: 3;
  batch: 32;
  metrics: accuracy(logits, y);
}
eval small on drawings.test { report accuracy(logits, y), confusion(logits, y), mean(loss); }
infer small { output: softmax(logits) as prob; }
SPEC
}

# --thin, where programs can be linked with this build's runtime: not with one with sanitizers
runtime=$(dirname "$GRADC")/runtime/libgradrt.a
thin=
[ ! -f "$runtime" ] || grep -q '__[a-z]*san_' "$runtime" || thin=--thin

# compile NAME [CC [FLAG..]]: ./NAME of NAME.c, with the command of README, or as --thin says: with
# this build's runtime, which takes a third of the time
compile() {
  base=$1 compiler=${2:-cc}
  shift $(($# < 2 ? $# : 2))
  [ $# -gt 0 ] || set -- -O3 -march=native
  libraries=$(sed -n '1,9s/^ \*   cc .* -lgradrt//p' "$base.c")
  if [ -n "$libraries" ]; then
    # shellcheck disable=SC2086
    "$compiler" "$@" -I "$SOURCE/runtime" "$base.c" -o "$base" "$runtime" $libraries
  else
    "$compiler" "$@" "$base.c" -o "$base" -lm -lpthread
  fi
}

# The program ./NAME of NAME.nn, through GRADC_BACKEND: for c, or without it, from thin C.
program() {
  if [ "${GRADC_BACKEND:-c}" = c ]; then
    run 0 gradc build "$1.nn" $thin -o "$1.c" -q && compile "$1"
  else
    run 0 gradc build "$1.nn" --emit exe -o "$1" -q
  fi
}
