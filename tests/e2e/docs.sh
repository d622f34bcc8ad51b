#!/bin/sh
# The guides tell the truth: the commands of README run, every spec in LANGUAGE.md is accepted.
. "$(dirname "$0")/lib.sh"
cp -r "$SOURCE/examples" examples

# Blocks that open with the fence given, one a file: prefix.1, prefix.2, ..
blocks() {
  awk -v fence="$2" -v prefix="$3" '
    /^```/ { if (on) on = 0; else if ($0 == fence) { on = 1; n++ } next }
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

blocks "$SOURCE/compiler/LANGUAGE.md" '```nn' language
[ -f language.1 ] || { begin 'LANGUAGE.md has examples'; bad 'none found'; }
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
