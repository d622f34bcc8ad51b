#!/bin/sh
# Every code that gradc may print has a page, every word of the language is explained, and doctor
# knows what a machine lacks.
. "$(dirname "$0")/lib.sh"
compiler=$SOURCE/compiler

begin 'codes'
codes=$(grep -rhoE '"[EW]0[0-9]{3}"' "$compiler" --include='*.c' --include='*.y' |
  tr -d '"' | sort -u)
[ "$(echo "$codes" | wc -l)" -gt 60 ] || bad 'the codes are not found in the sources'
for message in $codes; do
  case $message in E0102 | E0299 | E0901) continue ;; esac        # texts of gradc's own making
  run 0 gradc explain "$message"
  grep -q "^$message: " "$work/out" || bad "$message has no page"
done

begin 'words'
run 0 gradc explain
sed -n '/^codes:/q; s/^[^:]*://p' "$work/out" | tr ' ' '\n' | sed '/^$/d' > words
[ "$(wc -l < words)" -gt 60 ] || bad 'few words are listed'
while read -r word; do
  run 0 gradc explain "$word"
  grep -q "^$word (" "$work/out" || bad "$word is not explained"
done < words
run 0 gradc explain Conv2D
grep -q '^conv (layer)' "$work/out" || bad 'a word of Keras is not understood'
run 2 gradc explain convv
grep -q "did you mean 'conv'?" "$work/err" || bad 'a misspelt word leads to no proposal'

begin 'doctor'
run 0 gradc doctor
grep -q 'gradc can train here' "$work/out" || bad 'a sound machine is not called one'
CC=/nowhere/cc run 0 gradc doctor
grep -q '^C compiler *no ' "$work/out" || bad 'a compiler that is not there is found'

finish
