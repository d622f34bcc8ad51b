#!/bin/sh
# What is wrong with files, data and disks is said in one message with the right exit code; nothing
# crashes.
. "$(dirname "$0")/lib.sh"
small_spec > small.nn

table() {                       # a net on table.csv
  cat > table.nn << 'SPEC'
net 1;
data rows {
  source: csv("table.csv");
  split: train = 50%, valid = 50%;
  field x: f32[2] from "a..b";
  field y: label(3) from "c";
}
model m(x: f32[2]) -> z: f32[3] { z = x -> dense(3); }
train m on rows { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 2; }
SPEC
}
table
good='a,b,c\n1,2,0\n3,4,1\n5,6,2\n7,8,0\n'

begin 'a good table trains'
printf "$good" > table.csv
run 0 gradc train table.nn --out table

rows() {                        # rows NAME TEXT PATTERN: exit 3 and one message
  begin "$1"
  printf "$2" > table.csv
  run 3 gradc train table.nn --out table
  says_once "$3"
}
rows 'a label out of range' 'a,b,c\n1,2,0\n3,4,7\n5,6,2\n' 'table.csv:3:5: .*label 7.*0\.\.2'
rows 'a negative label' 'a,b,c\n1,2,0\n3,4,-1\n5,6,2\n' 'table.csv:3:5: .*-1'
rows 'a ragged row' 'a,b,c\n1,2,0\n3,4\n5,6,2\n' 'table.csv:3:[0-9]+: .*2 cells.*3'
rows 'a word where a number belongs' 'a,b,c\n1,2,0\n3,four,1\n5,6,2\n' 'table.csv:3:3: .*"four"'
rows 'a missing cell' 'a,b,c\n1,2,0\n3,,1\n5,6,2\n' 'table.csv:3:3: .*missing'
rows 'a missing column' 'a,z,c\n1,2,0\n3,4,1\n' '"b"'
rows 'an empty file' '' 'table.csv'
rows 'a header without rows' 'a,b,c\n' 'table.csv'
begin 'a table that does not exist'
rm -f table.csv
run 3 gradc train table.nn --out table
says_once 'table.csv.*No such file'

cat > images.nn << 'SPEC'
net 1;
data files {
  source: idx("images", "labels");
  split: train = 50%, valid = 50%;
  field x: u8[2,2] as f32[4] -> div(255);
  field y: u8 as label(3);
}
model m(x: f32[4]) -> z: f32[3] { z = x -> dense(3); }
train m on files { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 2; }
SPEC
images='\0\0\010\003\0\0\0\004\0\0\0\002\0\0\0\0021234123412341234'
labels='\0\0\010\001\0\0\0\004\0\001\002\0'
begin 'good IDX files train'
printf "$images" > images
printf "$labels" > labels
run 0 gradc train images.nn --out images.run
broken() {                      # broken NAME IMAGES LABELS
  begin "$1"
  printf "$2" > images
  printf "$3" > labels
  run 3 gradc train images.nn --out images.run
  says_once 'images|labels'
}
broken 'truncated images' '\0\0\010\003\0\0\0\004\0\0\0\002\0\0\0\002123412341234123' "$labels"
broken 'truncated header' '\0\0\010\003\0\0' "$labels"
broken 'bytes after the end' "${images}5" "$labels"
broken 'a wrong magic number' '\0\0\015\003\0\0\0\004\0\0\0\002\0\0\0\0021234123412341234' "$labels"
broken 'images of another size' '\0\0\010\003\0\0\0\004\0\0\0\001\0\0\0\003123123123123' "$labels"
long='\0\0\010\003\0\0\0\004\0\0\0\001\0\0\0\0041234123412341234'
broken 'images of as many numbers in another shape' "$long" "$labels"
says 'shape \[1, 4\], but .*\[2, 2\]'
broken 'four thousand million images promised' '\0\0\010\003\0377\0377\0377\0377\0\0\0\002\0\0\0\0021234' "$labels"
broken 'fewer labels than images' "$images" '\0\0\010\001\0\0\0\003\0\001\002'
broken 'a label out of range in IDX' "$images" '\0\0\010\001\0\0\0\004\0\001\011\0'

begin 'data outside of the folder of the spec'
mkdir inner outer
printf "$good" > outer/table.csv
cp table.nn inner/table.nn
ln -s ../outer/table.csv inner/table.csv
run 3 gradc train inner/table.nn --out table
says_once 'inner/table.csv|outside of the folder'
run 0 gradc train inner/table.nn --out table --data-root outer
run 0 gradc train inner/table.nn --out table --data outer
sed 's|"table.csv"|"../outer/table.csv"|' table.nn > inner/up.nn
run 3 gradc train inner/up.nn --out table
says_once 'outside of the folder'

begin 'a table whose words are those of the training table, elsewhere'
cat > words.nn << 'SPEC'
net 1;
data rows {
  source: csv("words.csv");
  split: train = 50%, valid = 50%;
  field x: f32[3] from "a, b:onehot";
  field y: label(2) from "c";
}
model m(x: f32[3]) -> z: f32[2] { z = x -> dense(2); }
train m on rows { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 2; }
infer m { output: z; }
SPEC
printf 'a,b,c\n1,red,0\n3,blue,1\n5,red,0\n7,blue,1\n' > outer/words.csv
printf 'a,b\n2,blue\n' > new.csv
run 0 gradc predict words.nn new.csv --data outer --untrained
printf 'a,b\n2,green\n' > new.csv
run 3 gradc predict words.nn new.csv --data outer --untrained
says_once 'new.csv:2:3: .*"green"'

begin 'a label that is no whole number among numbers'
printf 'a,b,c\n1,2,0\n3,4,1.5\n5,6,2\n7,8,0\n' > table.csv
run 3 gradc train table.nn --out table
says_once 'table.csv:3:5: .*1\.5'

begin 'a hundred thousand names'
{ sed -n 1p small.nn; awk 'BEGIN { for (i = 0; i < 100000; i++) print "param p" i " = 1;" }'
  sed 1d small.nn; } > names.nn
run 0 timeout 20 gradc check names.nn
says 'too many warnings'

begin 'a trillion parameters'
sed 's/dense(19)/dense(1000000) -> relu -> dense(1000000)/' small.nn > big.nn
run 6 gradc train big.nn
says 'parameters need 1000[0-9]+ numbers.*E0601'

begin 'a spec that does not exist'
run 5 gradc train nothing.nn
says_once "cannot open 'nothing.nn'"

begin 'a mistake in a spec has a place, a caret and a proposal'
sed 's/relu -> drop/rleu -> drop/' small.nn > typo.nn
run 1 gradc check typo.nn
says '^typo.nn:10:41: error: .*rleu'
says '\^~~~'
says "relu"

begin 'several mistakes in one run'
sed 's/maxpool(2)/maxpool(2, z=1)/; s/accuracy(logits, y);$/acuracy(logits, y);/' small.nn > many.nn
run 1 gradc check many.nn
[ "$(grep -c ': error: ' err)" -eq 2 ] || { bad 'not two errors'; cat err; }

begin 'folders that cannot be written'
run 5 gradc build small.nn -o missing/small.c
says_once 'missing/small.c'
run 5 gradc train small.nn --out /proc/run
says_once '/proc/run'

begin 'names with control characters are shown without them'
run 5 gradc check "$(printf 'no\033[31m.nn')"
run 2 gradc check small.nn --cpu "$(printf '\033[31mx')"
run 2 gradc "$(printf 'tr\033[31main')"
! grep -q "$(printf '\033')" err || bad 'a control character reached the terminal'

begin 'a pipe that nobody writes is no spec'
mkfifo pipe
run 5 timeout 10 gradc check pipe
says_once "'pipe'"

begin 'no folder for the cache'
run 5 env -u XDG_CACHE_HOME HOME=/proc gradc eval small.nn --untrained
says_once 'cache folder'

begin 'a cache that others could fill runs nothing'
for home in "$PWD/none" /dev/null ''; do
  run 0 env -u XDG_CACHE_HOME HOME="$home" gradc eval small.nn --untrained
done
shared=/tmp/gradc-$(id -u)
chmod 777 "$shared"
run 5 env -u XDG_CACHE_HOME -u HOME gradc eval small.nn --untrained
says_once "$shared"
chmod 700 "$shared"

begin 'no C compiler, and one that fails'
for cc in nowhere/cc /tmp false; do
  run 5 env CC=$cc XDG_CACHE_HOME="$PWD/none-$$" gradc eval small.nn --untrained
  says_once "'$cc'"
done
[ -z "$(find none-$$ -type f ! -name '*.c')" ] || bad 'a program that was not finished is left'

begin 'a C compiler that cannot link the runtime of gradc makes the same program of the whole text'
cat > alone << 'WRAPPER'
#!/bin/sh
case "$*" in *libgradrt.a*) echo 'no such library' >&2; exit 1 ;; esac
exec cc "$@"
WRAPPER
chmod +x alone
for cc in cc ./alone; do
  run 0 env CC=$cc XDG_CACHE_HOME="$PWD/linked-$$" gradc train small.nn --silent --epochs 1 \
    --out "by-${cc##*/}"
  ! grep -q 'no such library' err || bad 'the first attempt is not silent'
done
same by-cc/last.safetensors by-alone/last.safetensors

begin 'a C compiler of several words'
run 0 env CC='env gcc -pipe' XDG_CACHE_HOME="$PWD/several-$$" gradc eval small.nn --untrained

begin 'a file size limit is an error and leaves nothing'
run 5 sh -c 'ulimit -f 1; exec gradc build small.nn -o limited.c'
says_once "'limited.c': File too large"
[ -z "$(ls | grep limited)" ] || bad 'something is left of limited.c'

begin 'a full disk'
if [ -w /dev/full ]; then
  for command in 'gradc build small.nn -o -' 'gradc summary small.nn' 'gradc help' 'gradc eval small.nn --untrained'; do
    $command > /dev/full 2> err
    code=$?
    [ $code -eq 5 ] || bad "exit $code instead of 5: $command > /dev/full"
  done
fi

program small
./small train --silent --epochs 3 --out whole
begin 'a file size limit while training keeps the checkpoint before'
cp -r whole limited
run 5 sh -c 'ulimit -f 8; exec ./small train --silent --epochs 4 --out limited --resume'
says_once 'File too large'
same whole/last.safetensors limited/last.safetensors
run 0 ./small train --silent --epochs 4 --out limited --resume

damage() {                      # damage NAME FILE PATTERN: eval refuses the file with exit 4
  begin "checkpoint: $1"
  run 4 ./small eval --weights "$2"
  says_once "$3"
}
size=$(wc -c < whole/last.safetensors)
for at in 3 100 $((size / 2)) $((size - 1)); do
  cp whole/last.safetensors flipped.safetensors
  printf '\377' | dd of=flipped.safetensors bs=1 seek="$at" conv=notrunc 2> /dev/null
  cmp -s whole/last.safetensors flipped.safetensors && printf '\0' | dd of=flipped.safetensors bs=1 seek="$at" conv=notrunc 2> /dev/null
  damage "byte $at changed" flipped.safetensors 'flipped.safetensors'
done
for keep in 0 7 8 100 $((size / 2)) $((size - 1)); do
  head -c "$keep" whole/last.safetensors > short.safetensors
  damage "cut after $keep bytes" short.safetensors 'short.safetensors'
done
cat whole/last.safetensors whole/last.safetensors > twice.safetensors
damage 'twice in one file' twice.safetensors 'twice.safetensors'
sed 's/dense(19)/dense(20)/' small.nn > wider.nn
begin 'checkpoint: weights of another net'
run 4 gradc eval wider.nn --weights whole
says_once 'whole/(last|best).safetensors'

begin 'a damaged last checkpoint: resume goes on from the one before'
cp -r whole damaged
printf 'x' > damaged/last.safetensors
run 0 ./small train --silent --epochs 4 --out damaged --resume
says 'last.safetensors.prev'
run 0 ./small train --silent --epochs 4 --out straight
same damaged/metrics.csv straight/metrics.csv

finish
