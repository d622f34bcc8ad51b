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

run 2 gradc fmt small.nn canonical.nn -o both.nn
says_once '-o is for one spec; here are 2'
for name in loose lax; do sed 's/$/ /' canonical.nn > $name.nn; done
run 1 gradc fmt --check canonical.nn loose.nn lax.nn
[ "$(grep -c 'not in canonical form' err)" -eq 2 ] || bad 'not both are named'
run 0 gradc fmt loose.nn lax.nn
same canonical.nn loose.nn lax.nn

proof --emit
changes --emit loop
for kind in ast graph loop grad c; do made --emit $kind; done > all
made --emit graph > graph
made --emit grad > grad
cmp -s graph grad && bad 'graph and grad are the same'

proof --set
changes --set batch=7
for setting in epochs=9 lr=0.5 seed=9 real=f64; do changes -P $setting; done

proof --batch
changes --batch 7
made --set batch=7 > plain
made --batch 7 > other
same plain other
run 1 gradc build small.nn --batch many -o -

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

proof --mc
changes --mc 10
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

begin 'a command that is none'
run 2 gradc trian
says_once "did you mean 'train'"
run 2 gradc test small.nn
says_once "here it is called 'eval'"
run 2 gradc small.nn
says_once "'small.nn' is no command; which one is it for"
says 'gradc train small.nn'
run 2 gradc help tran
run 5 gradc check small
says_once "cannot open 'small'"
says "there is 'small.nn'"

begin 'gradcheck --param checks one parameter'
sed 's/relu -> maxpool(2)/tanh -> avgpool(2)/; s/relu/tanh/' small.nn > smooth.nn
run 0 gradc gradcheck smooth.nn --param c.weight
[ "$(grep -c 'worst error' out)" -eq 1 ] || bad 'not one parameter is checked'
run 2 gradc gradcheck smooth.nn --param c.wieght
says 'did you mean c.weight'

proof --template
run 0 gradc new one
run 0 gradc new two --template cnn
sed 's/two/one/' two.nn > other
cmp -s one.nn other && bad 'the same template'
proof --untrained
run 4 gradc export small.nn -o weights.npz
run 0 gradc export small.nn -o weights.npz --untrained
proof --weights
run 2 gradc import small.nn -o taken
run 0 gradc import small.nn -o taken --weights weights.npz
proof --rename
run 4 gradc import small.nn -o other --weights weights.npz --rename d=c
run 2 gradc import small.nn -o other --weights weights.npz --rename d=e

proof --dot
run 0 gradc graph small.nn -o - --dot
says '^digraph'
proof --html
run 0 gradc graph small.nn -o -
says '^<svg'
run 0 gradc graph small.nn -o - --html
says '<html'
page() {                        # page NAME WORD..: the report of a run
  name=$1
  shift
  run 0 gradc report small.nn --weights pages -q --out "$name.html" "$@"
}
run 0 gradc train small.nn --epochs 1 -q --out pages
page plain --landscape 3
proof --sample
page other --landscape 3 --sample 5
cmp -s plain.html other.html && bad 'the same sample'
proof --landscape
page other --landscape 5
cmp -s plain.html other.html && bad 'the same landscape'
proof --threads
page other --landscape 3 --threads 1
same plain.html other.html
run 2 gradc report small.nn --weights pages --threads many
proof --from
run 5 gradc data get mnist --from file:///nowhere --data brought
says 'get  file:///nowhere/train-images'

begin 'every option of gradc in the help of a command is proved here'
run 0 gradc help
verbs=$(sed -n 's/^  \([a-z]*\)   *[a-z].*/\1/p' out | grep -v '^gradc$')
[ "$(echo "$verbs" | wc -l)" -ge 16 ] || bad "too few commands: $verbs"
for verb in $verbs; do
  run 0 gradc help "$verb"
  for option in $(tac out | sed '/^Options/q' |
    sed -n 's/^  \(-., \)\{0,1\}\(--[a-z-]*\).*/\2/p'); do
    case $proved in *" $option "*) ;; *) bad "no proof of $option" ;; esac
  done
  run 0 gradc "$verb" --help
  sed "/^\$/q" out | grep -q "^  gradc $verb" || bad "$verb --help does not begin with an example"
done

begin 'examples of commands work as they are typed, one after the other'
cp -r "$SOURCE/examples" examples
for verb in new check summary data graph build train eval predict fmt export import report \
  explain doctor generate; do
  example=$(gradc help $verb | sed -n '/^$/q; s/^  //p')
  run 0 sh -c "$example"
done
cp examples/moons.nn .
run 0 gradc predict moons.nn --help
head -n 1 out | grep -qx '  gradc predict moons.nn rows.csv' || bad "predict: $(head -n 1 out)"
run 2 gradc predict moons.nn
says 'for example: gradc predict moons.nn rows.csv'
finish
