#!/bin/sh
# gradc tune: what it keeps and where, how damage is met, that measured tiles are really used where
# they should be and nowhere else, and that they change no bit. Which tile is faster is not tested:
# the test gives a tile of its own to a kernel.
. "$(dirname "$0")/lib.sh"
cat > dense.nn << 'SPEC'
net 1;
data drawings {
  train: digits(samples=96);
  test: digits(samples=40, seed=2);
  field x: u8[28,28] as f32[1,28,28] -> div(255);
  field y: u8 as label(10);
}
model tuned(x: f32[1,28,28]) -> logits: f32[10] {
  logits = x -> conv(6, 5, stride=2) -> relu -> flatten -> dense(24) -> relu -> dense(10);
}
train tuned on drawings {
  loss: softmax_xent(logits, y);
  optimizer: adam(lr=0.003);
  epochs: 2;
  batch: 32;
  metrics: accuracy(logits, y);
}
SPEC
weights() {                     # weights NAME WORD..: trains and keeps the weights
  name=$1
  shift
  rm -rf runs
  run 0 gradc train dense.nn --silent "$@" --out "runs/$name"
  cp "runs/$name/last.safetensors" "$name.weights" || bad "no weights of $name"
}

begin "tune measures every choice, keeps a file and says where"
run 0 gradc tune dense.nn --rounds 1 --seconds 0 --batch 32 --layout lanes
says '^\| kernel \| for \| standard tile \| best tile \| gain % \|$'
says '^\| [a-z0-9_]*dense1? \| dense units=24 '
says 'weights are equal, bit for bit'
cp out table
file=$(echo "$XDG_CACHE_HOME"/gradc/tune/*.txt)
[ -f "$file" ] || bad "there is no file of tiles"
head -n 1 "$file" | grep -qx 'gradc tiles 1' || bad "the file does not begin as it should"
tail -n 1 "$file" | grep -qE '^end [0-9a-f]{32}$' || bad "the file has no end"

begin "measured tiles are used by summary and, on request, by build; weights stay"
run 0 gradc build dense.nn --layout lanes --emit loop -o plain.loop
weights plain --no-tune --layout lanes
key=$(sed -n 's/^| [^|]* | \(dense_dw [^|]*24[^|]*\) | [^|]*|.*/\1/p' table | head -n 1)
[ -n "$key" ] || bad "the table has no weight gradient"
{ head -n 2 "$file"; echo "tile 1 1 5.0 $key"; } > body
{ cat body; echo "end $(sha256sum body | cut -c 1-32)"; } > "$file"
run 0 gradc build dense.nn --layout lanes --emit loop -o still.loop
same plain.loop still.loop
run 0 gradc build dense.nn --layout lanes --emit loop --tuned -o tuned.loop
cmp -s plain.loop tuned.loop && bad "--tuned changes nothing"
run 0 gradc summary dense.nn --layout lanes
says ' \[tuned\]$'
run 0 gradc summary dense.nn --layout lanes --no-tune
grep -q '\[tuned\]' out && bad "--no-tune shows measured tiles"
weights tuned --layout lanes
same plain.weights tuned.weights

begin "a tile that would not be legal is not used"
{ head -n 2 "$file"; echo "tile 31 31 5.0 $key"; echo "tile 0 -3 5.0 $key"; } > body
{ cat body; echo "end $(sha256sum body | cut -c 1-32)"; } > "$file"
run 0 gradc build dense.nn --layout lanes --emit loop --tuned -o illegal.loop
same plain.loop illegal.loop

begin "a damaged file is a warning, and tune writes it anew"
cp "$file" whole
for damage in 's/tile 31/tile 3/' 's/^machine /machine other /' '$d' '1s/1/2/'; do
  sed "$damage" whole > "$file"
  run 0 gradc build dense.nn --layout lanes --emit loop --tuned -o damaged.loop
  says 'warning: the measured tiles in .* are damaged and not used'
  same plain.loop damaged.loop
done
: > "$file"
run 0 gradc summary dense.nn
says 'warning: the measured tiles'
run 0 gradc tune dense.nn --rounds 1 --seconds 0 -q
run 0 gradc summary dense.nn
grep -q warning err && bad "the new file is damaged"

begin "what tune does not take"
run 2 gradc tune dense.nn --rounds 0
says_once '--rounds takes a number from 1 to 99'
run 2 gradc tune dense.nn --batch many
says_once "'many'"
run 2 gradc tune dense.nn --threads=0
run 2 gradc tune dense.nn --seconds -1
run 2 gradc tune dense.nn --faster
says_once "tune does not know '--faster'"
run 2 gradc tune dense.nn --rounds
says_once "needs a value after '--rounds'"
run 2 gradc tune
run 2 gradc train dense.nn --tuned
run 2 gradc build dense.nn --no-tune
run 0 gradc tune dense.nn --help
says '  --seconds X '
case $(uname -m) in
  x86_64) run 2 gradc tune dense.nn --cpu aarch64
    says_once 'tune measures on this machine' ;;
esac
finish
