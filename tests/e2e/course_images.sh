#!/bin/sh
# The examples of the course that read, write or classify images: examples/course/convolve.nn,
# cifar.nn, attributes.nn, vgg.nn.
. "$(dirname "$0")/lib.sh"
. "$SOURCE/tests/e2e/shown.sh"
ln -s "$SOURCE/examples" examples
course=examples/course

begin 'a network in the style of VGG, batches of 50'
shown $course/vgg.nn

${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L -O1 "$SOURCE/tests/e2e/pictures.c" -o pictures -lpng \
  2> err || { skip 'images in and out' 'no libpng'; finish; }

begin 'one convolution: an image file in, an image file out'
./pictures ramp photo.png 320 240
shown $course/convolve.nn .
run 0 ./pictures show edges.png
[ "$(head -n 1 out)" = '318 238 1' ] || bad "the sides are $(head -n 1 out)"
# 255 max(0, (sum of the right column - sum of the left one) / 3 / 255 - 0.1), rounded; where that
# is half-way between two numbers either is right
tail -n +2 out | awk '
  function ramp(x, y) { return (7 * x + 11 * y + x * y) % 256 }
  {
    x = (NR - 1) % 318; y = int((NR - 1) / 318); sum = 0
    for (k = 0; k < 3; k++) sum += ramp(x + 2, y + k) - ramp(x, y + k)
    v = sum / 3 - 25.5
    if (v < 0) v = 0
    if ($1 - v > 0.501 || v - $1 > 0.501) { print "pixel " NR ": " $1 " for " v; exit }
    if ($1 > 0) lit++
  }
  END { if (lit < 1000) print lit + 0 " lit pixels" }' > wrong
[ -s wrong ] && bad "$(cat wrong)"

begin 'an image that does not have the size of the field is resized, or refused'
./pictures ramp small.png 20 10
run 0 gradc predict $course/convolve.nn --untrained small.png --out out.png
sed 's/, size=\[240, 320\]//' $course/convolve.nn > exact.nn
run 3 gradc predict exact.nn --untrained small.png --out out.png
says_once 'small.png: a picture of 20 x 10 pixels does not fit field .x. \[1, 240, 320\]'
says 'size=\[240, 320\]\) in the data block resizes pictures'

begin 'only one picture goes into a file'
run 2 gradc predict $course/convolve.nn --untrained photo.png small.png --out out.png
says_once 'out.png would hold one picture, but there are 2 inputs'

begin 'the CIFAR-10 classifier: binary files and folders of images give the same bits'
mkdir cifar10
./pictures cifar cifar10/all.bin cifar10/train 40 1
./pictures cifar cifar10/test_batch.bin cifar10/test 10 2
for i in 1 2 3 4 5; do
  dd if=cifar10/all.bin of=cifar10/data_batch_$i.bin bs=3073 skip=$((i * 80 - 80)) count=80 2> err
done
for block in files folders; do
  run 0 gradc train $course/cifar.nn --train $block --data . --data-root . --epochs 6 \
    --out $block --log-steps $block.log
  says '^test: loss [0-9.]+, accuracy (9[89]|100)\.[0-9]+ %'
  says '^ +ship +[01]\.[0-9]+ +[01]\.[0-9]+ +[01]\.[0-9]+ +10$'
  tail -c +$(($(od -An -tu8 -N8 $block/last.safetensors) + 9)) $block/last.safetensors > $block.body
done
same files.log folders.log
same files.body folders.body
[ "$(wc -l < files.log)" -gt 600 ] || bad 'not 600 steps'

begin 'several labels for each image, with the accuracy of each'
mkdir celeba
./pictures faces celeba/img_align_celeba celeba/list_attr_celeba.csv 400 1
run 0 gradc train $course/attributes.nn --data . --data-root . --out attributes
says '^test: loss [0-9.]+, multilabel (9[5-9]|100)\.[0-9]+ %'
for label in Eyeglasses Smiling Young; do
  says "^ *$label +(0\\.9[0-9]+|1\\.0000) +[01]\\.[0-9]+ +[01]\\.[0-9]+ +[0-9]+$"
done
run 0 gradc eval $course/attributes.nn --data . --data-root . --weights attributes --json
says '"labels":\[\{"label":"Eyeglasses","accuracy":(1|0\.9[0-9]*),"precision":[0-9.]+,'
says '"recall":[0-9.]+,"present":[0-9]+\},'
finish
