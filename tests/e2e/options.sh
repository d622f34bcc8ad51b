#!/bin/sh
# Every option of gradc does something: what it makes with the option and without differs. An option
# in `gradc help` that no case here proves is a failure.
. "$(dirname "$0")/lib.sh"
small_spec > small.nn
unset CC
proved=

proof() {                       # proof OPTION: begins its case
  begin "gradc $1"
  proved="$proved $1 "
}

made() {                        # made WORD..: what gradc build writes, without the spec's settings
  run 0 gradc build small.nn -q -o - "$@"
  cat "$work/out" "$work/err" | sed '/fingerprint/d'
}

changes() {                     # changes WORD..: the words change what is made
  made > plain
  made "$@" > other
  cmp -s plain other && bad "$* changes nothing"
  [ -s other ] || bad "$* leaves nothing"
}

proof --output
run 0 gradc build small.nn -q --output here.c
[ -s here.c ] || bad 'nothing is written'
run 0 gradc fmt small.nn -o canonical.nn
[ -s canonical.nn ] || bad 'fmt writes nothing'

proof --emit
changes --emit loop
for kind in ast graph loop grad c; do made --emit $kind; done > all
made --emit graph > graph
made --emit grad > grad
cmp -s graph grad && bad 'graph and grad are the same'

proof --set
changes --set batch=7
for setting in epochs=9 lr=0.5 seed=9 real=f64; do changes -P $setting; done

proof --train
sed -n '/^train/,/^}/p' small.nn | sed '1s/{/as other {/; s/batch: 32/batch: 16/' >> small.nn
changes --train other
small_spec > small.nn
proof --cpu
changes --cpu aarch64
proof --layout
changes --layout channels
proof --skip
changes --skip fuse
proof --thin
changes --thin
says '^#include "gradrt.h"'
proof --library
changes --library
grep -q '^int main' other && bad 'a library with a main'
run 2 gradc build small.nn --emit exe --library
says '--library goes with --emit c'
proof --bench
changes --bench
proof --profile
changes --profile
proof --memory
changes --memory 200KB

proof --print-after
run 0 gradc check small.nn
cp err plain
run 0 gradc check small.nn --print-after cse
cat out err | grep -q cse || bad 'nothing is printed after cse'
proof --print-changed
run 0 gradc check small.nn --print-changed
[ "$(cat out err | wc -l)" -gt 20 ] || bad 'no graph is printed'
proof --stop-after
run 0 gradc build small.nn --stop-after cse -o none.c
[ -e none.c ] && bad 'C is written although the passes stopped before'
proof --time-passes
run 0 gradc check small.nn --time-passes
says 'expand +[0-9.]+'

proof --check
sed 's/^net 1;/net   1;/' small.nn > loose.nn
cp loose.nn kept.nn
run 1 gradc fmt loose.nn --check
same loose.nn kept.nn
run 0 gradc fmt loose.nn
run 0 gradc fmt loose.nn --check

proof --json
run 0 gradc summary small.nn --json
says '^\{"v":1'

proof --quiet
run 0 gradc check small.nn
says 'no mistakes'
run 0 gradc check small.nn --quiet
[ -s err ] && bad 'quiet, but something is said'

proof --verbose
run 0 gradc eval small.nn --untrained --backend c -v
says ' -O3 .*small'

proof --backend
run 5 env CC=/nowhere/cc gradc eval small.nn --untrained --backend c --set seed=77
if gradc build small.nn -q --emit ll -o small.ll 2> err; then
  run 0 env CC=/nowhere/cc gradc eval small.nn --untrained --backend llvm --set seed=77
  proof --target
  run 0 gradc build small.nn -q --emit asm -o here.s
  run 0 gradc build small.nn -q --emit asm --target aarch64-linux-gnu -o there.s
  cmp -s here.s there.s && bad 'the same for another machine'
else
  grep -q 'LLVM' err || bad "no module is written: $(cat err)"
  skip 'gradc --target' 'this gradc has no LLVM'
  proved="$proved --target "
fi

# How measured tiles change code is shown in tune.sh; here only who reads them.
proof --tuned
run 0 gradc tune small.nn --rounds 1 --seconds 0 -q
file=$(echo "$XDG_CACHE_HOME"/gradc/tune/*.txt)
echo damaged > "$file"
run 0 gradc build small.nn -q -o - --tuned
says 'measured tiles in .* are damaged'
proof --no-tune
run 0 gradc summary small.nn
says 'measured tiles in .* are damaged'
run 0 gradc summary small.nn --no-tune
grep -q damaged err && bad '--no-tune reads measured tiles'
rm "$file"

mkdir files elsewhere
cat > table.nn << 'SPEC'
net 1;
data rows { train: csv("table.csv"); field x: f32 from "x"; field y: f32 from "y"; }
model m(x: f32) -> z: f32 { z = 2 * x; }
SPEC
printf 'x,y\n1,2\n3,4\n' > files/table.csv
proof --data
run 3 gradc data table.nn
run 0 gradc data table.nn --data files
says '^train +2 '
proof --data-root
ln -s ../files/table.csv elsewhere/table.csv
run 3 gradc data table.nn --data elsewhere
run 0 gradc data table.nn --data elsewhere --data-root files
proof --out
run 0 gradc data small.nn --out page.html
[ -s page.html ] || bad 'no page'

begin 'an option that a command does not have is refused'
run 2 gradc check small.nn --thin
says "'check' has no option '--thin'"
run 2 gradc train small.nn --emit c
says "'train' has no option '--emit'"
run 2 gradc check small.nn --quiet=1
says 'takes no value'

begin 'gradcheck --param checks one parameter'
sed 's/relu -> maxpool(2)/tanh -> avgpool(2)/; s/relu/tanh/' small.nn > smooth.nn
run 0 gradc gradcheck smooth.nn --param c.weight
[ "$(grep -c 'worst error' out)" -eq 1 ] || bad 'not one parameter is checked'
run 2 gradc gradcheck smooth.nn --param c.wieght
says 'did you mean c.weight'

begin 'every option in the help is proved here'
run 0 gradc help
for option in $(sed -n 's/^  \(-., \)\{0,1\}\(--[a-z-]*\).*/\2/p' out); do
  case $proved in *" $option "*) ;; *) bad "no proof of $option" ;; esac
done
finish
