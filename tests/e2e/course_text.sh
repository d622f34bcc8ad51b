#!/bin/sh
# Texts and series: examples of the course, generation, and files that are no text.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
cp -r "$SOURCE/examples" examples
data=${GRADC_TEST_DATA:-}
course=examples/course
mkdir text

begin 'next_char: eight characters tell the ninth, and the sentence writes itself'
sentence=Thiscourseisaboutdeeplearningandneuralnetworks
echo $sentence > text/course.txt
run 0 gradc train $course/next_char.nn --data . --quiet --out run --require 'accuracy>=1'
run 0 gradc generate $course/next_char.nn --data . --weights run --prompt Thiscour --length 1
[ "$(cat out)" = Thiscours ] || bad "Thiscour goes on as $(cat out)"
run 0 gradc generate $course/next_char.nn --data . --weights run --prompt Thiscour --length 38 \
  --temperature 0 --threads 3
[ "$(cat out)" = $sentence ] || bad "the sentence is $(cat out)"

begin 'generate: the seed decides, and a wrong prompt is refused'
for seed in 1 1 2; do
  run 0 gradc generate $course/next_char.nn --data . --weights run --prompt Thiscour --length 60 \
    --temperature 3 --top-k 9 --seed $seed
  mv out text.$seed.$((seen = ${seen:-0} + 1))
done
same text.1.1 text.1.2
cmp -s text.1.1 text.2.3 && bad 'two seeds write the same'
run 2 gradc generate $course/next_char.nn --data . --weights run --prompt This
grep -q 'has 4 tokens, but this net needs 8' err || bad 'a short prompt is not refused'
run 2 gradc generate $course/next_char.nn --data . --weights run --prompt 'Thisquiz'
grep -q "'q' is not in the vocabulary" err || bad 'an unknown character is not refused'

begin 'sample: training writes what generate would, resumed or not, with both kinds of lines'
sed 's/  epochs: 100;/  epochs: 4;\
  every 2 epochs {\
    sample generate("Thiscour", length=20, temperature=0.8, top_k=10, seed=3);\
  }/' $course/next_char.nn > sample.nn
run 0 gradc train sample.nn --data . --out whole --threads 1
grep -A 1 '^epoch [24]:$' out > whole.txt
run 0 gradc train sample.nn --data . --out parts --threads 3 --epochs 3
grep -A 1 '^epoch 2:$' out > parts.txt
run 0 gradc train sample.nn --data . --out parts --resume
grep -A 1 '^epoch 4:$' out >> parts.txt
same whole.txt parts.txt
run 0 gradc generate sample.nn --data . --weights whole --prompt Thiscour --length 20 \
  --temperature 0.8 --top-k 10 --seed 3
[ "$(tail -n 1 whole.txt)" = "$(cat out)" ] || bad "generate writes $(cat out)"
run 0 gradc train sample.nn --data . --out events --json
grep -q "\"event\":\"sample\",\"epoch\":4,\"text\":\"$(tail -n 1 whole.txt)\"" out ||
  bad 'no event has the text'
run 0 gradc train sample.nn --data . --out silent --quiet
grep -q Thiscour out && bad '--quiet prints a text'
sed 's/Thiscour"/This"/' sample.nn > short.nn
run 2 gradc train short.nn --data . --out short
grep -q 'the prompt has 4 tokens, but this net needs 8' err || bad 'a short prompt is not refused'
[ -f short/metrics.csv ] && bad 'training began with a text that cannot be'
run 0 gradc data $course/next_char.nn --data .
grep -q '^  \\n  *1$' out || bad 'a line end is not shown as \n'

begin 'a text that has changed since is refused where its characters are unknown'
run 0 gradc build $course/next_char.nn --data . -q --emit exe -o next_char
echo 'Quite another text!' > text/course.txt
run 3 ./next_char eval --weights run
grep -q "line 1: the character 'Q' is not in the vocabulary" err || bad "it says $(cat err)"

begin 'weights of another vocabulary are refused, though the shapes agree'
echo $sentence | tr a-y b-z > text/course.txt
run 4 gradc eval $course/next_char.nn --data . --weights run
grep -q 'made with another vocabulary' err || bad "it says $(cat err)"

begin 'series: what comes next, in the units of the data'
run 0 gradc train $course/series.nn --quiet --out run2 --require 'valid_r2>=0.99'

if [ -n "$data" ] && [ -f "$data/text/names.txt" ]; then
  begin 'names: a short training knows letters, and writes names that lines separate'
  head -n 3000 "$data/text/names.txt" > text/names.txt
  run 0 gradc train $course/names.nn --data . --quiet --out run3 --epochs 2 \
    --require 'valid_loss<=2.75'
  run 0 gradc generate $course/names.nn --data . --weights run3 --length 100
  [ "$(grep -c . out)" -ge 4 ] || bad 'these are not several names'
else
  skip 'names: a short training knows letters' 'no text/names.txt below GRADC_TEST_DATA'
fi

if [ -n "$data" ] && [ -f "$data/text/tinyshakespeare.txt" ]; then
  begin 'charlm: 150 steps of an LSTM, or a GRU, tell Shakespeare from noise'
  for gru in 0 1; do
    run 0 gradc train $course/charlm.nn --data "$data" --quiet --out charlm$gru --steps 150 \
      --set gru=$gru --require 'valid_loss<=2.2'
  done
  run 0 gradc generate $course/charlm.nn --data "$data" --weights charlm0 --prompt ROMEO: \
    --length 50 --temperature 0.8 --top-k 10
  [ "$(head -c 6 out)" = ROMEO: ] && [ "$(wc -c < out)" -eq 57 ] || bad "it wrote $(cat out)"
else
  skip 'charlm: 150 steps' 'no text/tinyshakespeare.txt below GRADC_TEST_DATA'
fi

if [ -n "${GRADC_NIGHTLY:-}" ] && [ -n "$data" ] && [ -d "$data/text" ]; then
  for name in names charlm; do
    begin "$name prints what its first comment shows"
    shown $course/$name.nn "$data"
  done
fi

begin 'streams: each sample of a batch goes on where it was, to the bit with any threads'
awk 'BEGIN { while (n++ < 90) print "so many words, and so little time" }' > text/course.txt
sed -e 's/window: 8;/window: 8; streams: true;/' -e 's/y: token = /y: token[8] = /' \
  -e 's/f32\[sentence.vocab\]/f32[8, sentence.vocab]/' \
  -e 's/e = x -> .*/e = x -> embedding(sentence.vocab);/' -e 's/logits = e.*/logits = e * 2;/' \
  -e 's/epochs: 100/epochs: 3/' $course/next_char.nn > streams.nn
run 0 gradc train streams.nn --data . --quiet --out one --threads 1
run 0 gradc train streams.nn --data . --quiet --out three --threads 3
same one/last.safetensors three/last.safetensors
run 0 gradc gradcheck streams.nn --data .

begin 'lines: padding counts nowhere, as with ignore_index (tests/golden/torch/make_padded.py)'
printf 'abc\nde\nfghijabcdefg\na\nbadge\n' > text/course.txt
cat > padded.nn << 'SPEC'
net 1;
data names {
  train: text("text/course.txt", lines=true);
  window: 8;
  field x: token[8];
  field y: token[8] = next(x);
}
model bigram(x: token[8]) -> logits: f32[8,names.vocab] {
  logits = x -> embedding(names.vocab);
}
train bigram on names {
  loss: softmax_xent(logits, y);
  optimizer: sgd(lr=1);
  epochs: 2;
  batch: 4;
  shuffle: false;
  seed: 5;
  rng: torch;
  metrics: perplexity, bits_per_char, accuracy(logits, y);
}
SPEC
run 0 gradc train padded.nn --quiet --out padded --log-steps losses
printf '%s\n' 3.030895709991455 3.2809183597564697 2.936281204223633 3.110419511795044 > want
sed 1d losses | paste -d, - want | awk -F , '
  { d = $2 - $4; good += NF == 4 && d < 1e-6 && d > -1e-6 }
  END { exit NR != 4 || good != 4 }' ||
  bad "the losses of the steps are $(cat losses)"
run 0 gradc eval padded.nn --weights padded
says '^train: loss 2.8811, perplexity 17.8342, bits_per_char 4.1566, accuracy 7.14 %.*, n = 6$'
run 0 gradc gradcheck padded.nn
sed 's/batch: 4/batch: 6/' padded.nn > whole.nn
sed 's/batch: 4;/batch: 2; accumulate: 3;/' padded.nn > parts.nn
for spec in whole parts; do
  run 0 gradc train $spec.nn --quiet --out $spec --log-steps $spec.losses
done
paste -d, whole.losses parts.losses | sed 1d | awk -F , '
  { d = $2 - $5; if (d < 1e-6 && d > -1e-6) good++ } END { exit NR != 2 || good != 2 }' ||
  bad "batches of one step lose $(cat parts.losses), the same samples in one $(cat whole.losses)"

begin 'an interval tells the predictions it was made of: of a window each of its places'
awk 'BEGIN { for (i = 0; i < 25; i++) printf "ab" }' > text/ab.txt
sed 's/  train: text.*/  source: text("text\/ab.txt");\n  split: train = 50%, valid = 50%;/
  s/8/5/g' padded.nn > ab.nn
run 0 gradc train ab.nn --quiet --out ab
says '^best epoch .* interval .*, n = 20)$'
says '^valid: .* interval .*, n = 4$'

begin 'lines: no window lies behind the last target of its line'
sed 's/window: 8;/window: 8, stride=13;/; s/batch: 4/batch: 1/' padded.nn > far.nn
run 0 gradc train far.nn --silent --out far
run 0 gradc eval far.nn --weights far
says '^train: loss [0-9.]+, .*, n = 5$'

begin 'tokens are no numbers: the layers that make vectors of them are named'
sed 's/embedding(names.vocab)/dense(4)/' padded.nn > amounts.nn
run 1 gradc check amounts.nn
says_once 'needs real numbers, but .x. holds'
says '^help: .*.embedding.dim.. or .one_hot.'

refused() {                     # refused CODE NAME MESSAGE: of the file text/course.txt
  begin "a file that is no text: $2"
  run "$1" gradc check $course/next_char.nn --data .
  grep -q "$3" err || bad "it says $(cat err)"
}
rm -f text/course.txt
refused 3 missing 'cannot read "text/course.txt"'
mkdir text/course.txt
refused 3 'a folder' 'it is a folder'
rmdir text/course.txt
ln -s /dev/zero text/course.txt
refused 3 'a device' 'cannot read'
rm text/course.txt
: > text/course.txt
refused 3 empty 'the file is empty'
printf x > text/course.txt
refused 3 'one character' 'only one character'
printf 'ab\nc\0d' > text/course.txt
refused 3 'a NUL' 'line 2: byte 0x00 at 4'
printf 'ab\nc\300d' > text/course.txt
refused 3 'no UTF-8' 'line 2: byte 0xc0 at 4 is no UTF-8'

begin 'a text shorter than the window is refused, one long line is not'
printf 'abcdef' > text/course.txt
run 3 gradc train $course/next_char.nn --data . --quiet
grep -q "split 'train' has 6 rows, too few for a window of 8 and the one behind it" err ||
  bad "it says $(cat err)"
awk 'BEGIN { while (n++ < 200000) printf "a line that does not end, it goes on and on; " }' \
  > text/course.txt
run 0 gradc train $course/next_char.nn --data . --quiet --out long --steps 5 --threads 1

begin 'bytes, words and the most frequent words'
printf 'one two two, three three three\n\377\n' > text/course.txt
sed 's/course.txt"/course.txt", tokens=bytes/' $course/next_char.nn > bytes.nn
run 0 gradc train bytes.nn --data . --quiet --out bytes --epochs 1
printf 'one two two, three three three one two, three\n' > text/course.txt
sed 's/course.txt"/course.txt", tokens=words, vocab=3/' $course/next_char.nn > words.nn
run 0 gradc train words.nn --data . --quiet --out words --epochs 40
run 0 gradc generate words.nn --data . --weights words \
  --prompt 'one two two, three three three one' --length 3
grep -q 'unk' out || bad "unknown words are not <unk>: $(cat out)"
finish
