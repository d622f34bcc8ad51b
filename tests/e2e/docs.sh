#!/bin/sh
# The guides tell the truth: the commands of README run, its blocks show what programs print, its
# figures and those of examples/README.md stand in the specs, whose first comments other tests hold;
# every spec in LANGUAGE.md is accepted.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
cp -r "$SOURCE/examples" examples

# Blocks that open with the fence given, one a file: prefix.1, prefix.2, ..
blocks() {
  awk -v fence="$2" -v prefix="$3" '
    /^```/ { open = !open; on = open && $0 == fence; n += on; next }
    on { print > (prefix "." n) }' "$1"
}

blocks "$SOURCE/README.md" '```sh' readme
for block in readme.*; do
  while read -r line; do
    case $line in
      '' | '#'*) ;;
      'sh examples/quickstart.sh'* | 'sh tests/run.sh'*)
        begin "README: $line"
        script=$(echo "$line" | cut -d ' ' -f 2)
        sh -n "$SOURCE/$script" || bad 'the script has mistakes' ;;
      git* | cd*) ;;
      *)
        begin "README: $line"
        run 0 sh -c "$line" ;;
    esac
  done < "$block"
done

# spec SPEC: without its first comment
spec() { awk '/^#/ && !on { next } { on = 1; print }' "$1"; }

blocks "$SOURCE/README.md" '```nn' spec
begin 'README: its spec is examples/digits.nn'
spec examples/digits.nn > digits.plain
same spec.1 digits.plain

blocks "$SOURCE/README.md" '```c' code
begin 'README: its C is that of digits.c'
run 0 gradc build examples/digits.nn --cpu x86-64-v4 -q -o digits.c
awk 'NR == FNR { if ($0 != " ...") want[++n] = $0; next }
  $0 == want[at + 1] { at++ }
  END { if (at < n) { print "not in digits.c, or not there: " want[at + 1]; exit 1 } }' \
  code.1 digits.c > out || bad "$(cat out)"

blocks "$SOURCE/README.md" '```' print
for block in print.*; do
  case $(head -n 1 "$block") in
    'best epoch'*)
      begin 'README: what gradc train examples/digits.nn ends with'
      run 0 gradc train examples/digits.nn
      while IFS= read -r line; do [ -z "$line" ] || prints "$line"; done < "$block" ;;
    'net.nn:'*)
      begin 'README: what a mistake looks like'
      small_spec | sed 's/dense(19) -> relu/dense(19) -> rleu/' > net.nn
      run 1 gradc check net.nn
      same "$block" err ;;
    *)
      begin "README: $block"
      bad "no test knows the block that begins with: $(head -n 1 "$block")" ;;
  esac
done

begin 'README: the table of accuracies'
sed -n 's/^| `\(mnist_[a-z_]*\)\.nn`.*| \([0-9]*\) | \([0-9.]* %\).*/\1 \2 \3/p' \
  "$SOURCE/README.md" > accuracies
[ "$(wc -l < accuracies)" -eq 4 ] || bad "$(wc -l < accuracies) rows instead of 4"
while read -r name epochs percent; do
  grep -q "^  epochs: $epochs;" "examples/$name.nn" || bad "$name does not run $epochs epochs"
  grep -q "^# test: .* accuracy $percent " "examples/$name.nn" ||
    bad "$name does not reach $percent"
done < accuracies

# The tutorial, block by block: commands (their exit code, when it is not 0, stands behind them),
# and lines that the command before printed.
mkdir tutorial
cd tutorial || exit 1
awk '/^```/ { on = !on; kind = $0; next } on { print (kind == "```sh" ? "$ " : "> ") $0 }' \
  "$SOURCE/examples/TUTORIAL.md" > steps
[ "$(grep -c '^\$ ' steps)" -gt 15 ] || { begin 'tutorial'; bad 'it has no commands'; }
while IFS= read -r step; do
  case $step in
    '$ '*)
      begin "tutorial: ${step#??}"
      exit=$(echo "$step" | sed -n 's/.*# exit \([0-9]*\)$/\1/p')
      run "${exit:-0}" sh -c "${step#??}" < /dev/null ;;
    *) prints "${step#??}" ;;
  esac
done < steps
cd "$work" || exit 1

begin 'README names every command'
run 0 gradc help
for verb in $(sed -n 's/^  \([a-z]*\)   *[a-z].*/\1/p' out | grep -v '^gradc$'); do
  grep -qE "gradc $verb|\`$verb\`" "$SOURCE/README.md" || bad "README does not name $verb"
done

# Figures of the index: every number in a row's last column stands in the spec's first comment.
begin 'examples/README.md: figures are those of the specs'
awk -F '|' '/^\| `[a-z0-9_\/]*\.nn`/ {
  split($2, name, "`")
  n = split($(NF - 1), word, /[^0-9.,]+/)
  for (i = 1; i <= n; i++) {
    sub(/[.,]+$/, "", word[i])
    if (word[i] != "") print name[2], word[i]
  }
}' examples/README.md > figures
[ -s figures ] || bad 'there are none'
while read -r name figure; do
  awk '!/^#/ { exit } { print }' "examples/$name" | grep -qF -e "$figure" ||
    bad "the first comment of $name does not say $figure"
done < figures
for file in examples/*.nn examples/course/*.nn; do
  [ ! -f "$file" ] || grep -q "^| \`${file#examples/}\`" examples/README.md ||
    bad "$file is missing in examples/README.md"
done

blocks "$SOURCE/compiler/LANGUAGE.md" '```nn' language
[ -f language.1 ] || { begin 'LANGUAGE.md has examples'; bad 'none found'; }
awk 'BEGIN { while (n++ < 60) print "the cat sat by the door, and so it goes" }' > speech.txt
for block in language.*; do
  begin "LANGUAGE.md, example ${block#language.}: $(sed -n 's/^model \([a-z_0-9]*\).*/\1/p' "$block" | head -n 1)"
  mv "$block" "$block.nn"
  run 0 gradc check "$block.nn"
  run 0 gradc build "$block.nn" -q -o "$block.c"
done
blocks "$SOURCE/compiler/LANGUAGE.md" '```wrong' wrong
for block in wrong.*; do
  [ -f "$block" ] || continue
  begin "LANGUAGE.md, mistake ${block#wrong.}"
  mv "$block" "$block.nn"
  run 1 gradc check "$block.nn"
  want=$(sed -n 's/^# says: //p' "$block.nn")
  [ -n "$want" ] || bad 'the example does not say what is wrong'
  grep -qF "$want" err || { bad "nothing says '$want'"; cat err; }
done
finish
