#!/bin/sh
# Folders of images: class folders, label tables, sizes, chosen classes, damaged files, prediction
# from files and folders, the page of gradc data.
. "$(dirname "$0")/lib.sh"
${CC:-cc} -std=c11 -D_POSIX_C_SOURCE=200809L -O1 "$SOURCE/tests/e2e/pictures.c" -o pictures -lpng \
  2> err || { skip 'folders of images' 'no libpng'; finish; }
mkdir pets
./pictures pets pets/train 12 1
./pictures pets pets/test 4 2
cat > pets.nn << 'SPEC'
net 1;
data pets {
  train: images("pets/train");
  test: images("pets/test");
  field x: u8[3,12,16] as f32[3,12,16] -> div(255);
  field y: label(3);
}
model m(x: f32[3,h,w]) -> z: f32[3] { z = x -> conv(4, 3) -> relu -> flatten -> dense(3); }
train m on pets {
  loss: softmax_xent(z, y);
  optimizer: adam(lr=0.01);
  epochs: 4;
  batch: 8;
  metrics: accuracy(z, y);
}
eval m on pets.test { report accuracy(z, y), confusion(z, y); }
infer m { output: softmax(z) as p; }
SPEC

begin 'folders are classes, and give them their names'
run 0 gradc data pets.nn
says '^train +36 +images, pets.nn:3; files of 12 x 16 pixels$'
says '^  fox +12 +4$'
run 0 gradc train pets.nn --out pets.run
says '^ +dog +[0-9] +[0-9] +[0-9]$'
says '^test: .*accuracy 100\.00 %'

begin 'any number of threads, the same bits'
run 0 gradc train pets.nn --out three.run --threads 3
same pets.run/last.safetensors three.run/last.safetensors

begin 'prediction names the class of each file of a folder'
run 0 gradc predict pets.nn --weights pets.run pets/test --top 1
[ "$(grep -c '^pets/test/cat/00[0-3].png\[0\]  cat ' out)" -eq 4 ] || bad 'cats are not cats'
[ "$(wc -l < out)" -eq 12 ] || bad 'not 12 lines'
run 0 gradc predict pets.nn --weights pets.run --image pets/test/fox/000.png
says '^pets/test/fox/000.png\[0\]  fox '
mkdir empty
run 3 gradc predict pets.nn --weights pets.run empty
says_once 'empty: no .png, .jpg or .jpeg files'

begin 'weights keep the names of classes, and meet those of the data'
grep -a -q '"gradc.classes":"{.\{1,2\}"y.\{1,2\}":\[.\{1,2\}"cat' pets.run/last.safetensors ||
  bad 'the names of the classes are not in the weights'
mkdir far other
cp pets.nn far/pets.nn
cp pets/test/fox/000.png far/one.png
(cd far && gradc predict pets.nn --weights ../pets.run one.png) > out 2> err
says '^one.png\[0\]  fox '
run 0 gradc report pets.nn --weights pets.run --landscape 0 --out pets.html -q
grep -q '<td>dog</td>' pets.html || bad 'the page does not name the classes'
cp -r pets pets.nn other/
for split in train test; do mv other/pets/$split/dog other/pets/$split/cow; done
run 0 gradc eval other/pets.nn --weights pets.run
says "warning: the weights of pets.run/last.safetensors know other classes of 'y': cat, dog, fox;"
says '; here they are cat, cow, fox$'

begin 'words of a table are classes, numbered as the weights say'
printf 'a,kind\n1,up\n2,do\\wn\n3,left\n4,up\n' > words.csv
cat > words.nn << 'SPEC'
net 1;
data rows { train: csv("words.csv"); field x: f32[1] from "a"; field y: label(3) from "kind"; }
model m(x: f32[1]) -> z: f32[3] { z = x -> dense(3); }
train m on rows {
  loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 2; metrics: accuracy(z, y);
}
SPEC
run 0 gradc train words.nn --out words.run
run 0 gradc eval words.nn --weights words.run --split train
says '^ +do\\wn +left +up$'
printf 'a,kind\n1,up\n2,up\n3,up\n4,do\\wn\n' > words.csv
run 0 gradc eval words.nn --weights words.run --split train
says '^ +up +[0-3] +[0-3] +[0-3]$'
printf 'a,kind\n1,up\n2,up\n3,over\n4,do\\wn\n' > words.csv
run 3 gradc eval words.nn --weights words.run --split train
says_once 'over'

begin 'grey from colours, and other sides, when asked for'
sed 's/3,12,16/1,6,8/g; s/f32\[3,h,w\]/f32[1,h,w]/; s/test")/test", size=[6, 8])/
  s/train")/train", size=[6, 8], channels=1)/' pets.nn > grey.nn
run 0 gradc data grey.nn
says '^field x: u8\[1, 6, 8\]$'
says '^train +36 +images, grey.nn:3; files of 12 x 16 pixels$'
run 0 gradc data grey.nn --json
says '"source":"images","height":\[12,12\],"width":\[16,16\]\}'
run 0 gradc data grey.nn --out grey.html
grep -q '<p>6 x 8 pixels; files of 12 x 16 pixels</p>' grey.html || bad 'the page tells no sides'
run 0 gradc train grey.nn --out grey.run --epochs 1
sed 's/, size=\[6, 8\]//' grey.nn | sed 's/, channels=1//' > wrong.nn
run 3 gradc train wrong.nn --out wrong.run
says_once 'pets/train/cat/000.png: a picture of 16 x 12 pixels does not fit'
says 'images\(.., size=\[6, 8\]\) resizes every picture'

begin 'some classes by name, numbered in that order'
sed 's/label(3)/label(2)/; s/field y.*/&\n  classes: fox, cat;/; s/f32\[3\] {/f32[2] {/
  s/dense(3)/dense(2)/' pets.nn > two.nn
run 0 gradc data two.nn
says '^train +24 '
says '^  fox +12 +4$'
says '^  row 0: .* y = cat$'
run 0 gradc train two.nn --out two.run --epochs 1
sed 's/classes: fox, cat/classes: 2, 0/' two.nn > numbers.nn
run 0 gradc data numbers.nn
says '^  fox +12 +4$'
run 0 gradc train numbers.nn --out numbers.run --epochs 1 --log-steps numbers.log
run 0 gradc train two.nn --out two.run --epochs 1 --log-steps two.log
same two.log numbers.log
sed 's/classes: fox, cat/classes: fox, cow/' two.nn > cow.nn
run 3 gradc data cow.nn
says_once 'pets/train has no class cow'
says 'each folder is a class, the first is number 0: cat, dog, fox'
sed 's/classes: fox, cat/classes: 0, 3/' two.nn > three.nn
run 3 gradc data three.nn
says_once 'pets/train has no class 3'

begin 'some classes of other sources'
cat > digits.nn << 'SPEC'
net 1;
data drawings {
  train: digits(samples=100);
  field x: u8[28,28] as f32[784] -> div(255);
  field y: u8 as label(3);
  classes: 7, 1, 0;
}
model m(x: f32[784]) -> z: f32[3] { z = x -> dense(3); }
train m on drawings { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 8; }
SPEC
run 0 gradc data digits.nn --json
says '"rows":30,'
says '"counts":\{"train":\[10,10,10\]\}'
printf 'a,kind\n1,up\n2,down\n3,left\n4,up\n' > kinds.csv
cat > kinds.nn << 'SPEC'
net 1;
data rows {
  train: csv("kinds.csv");
  field x: f32[1] from "a";
  field y: label(2) from "kind";
  classes: up, left;
}
model m(x: f32[1]) -> z: f32[2] { z = x -> dense(2); }
train m on rows { loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 1; batch: 2; }
SPEC
run 0 gradc data kinds.nn
says '^  up +2$'
says '^  left +1$'
says '^  row 1:  x = 3  y = left$'
run 0 gradc train kinds.nn --out kinds.run

begin 'the folders must be the classes'
mkdir pets/train/owl
run 3 gradc train pets.nn --out wrong.run
says_once 'field .y. has 3 classes, but pets/train holds 4 folders'
says 'each folder is a class: cat, dog, fox, owl'
rmdir pets/train/owl
mkdir pets/test/owl
run 3 gradc train pets.nn --out wrong.run
says_once 'the folder "owl" of pets/test is none of the classes'
rmdir pets/test/owl
sed 's/label(3)/label(3, names="fox,dog,cat")/' pets.nn > named.nn
run 0 gradc data named.nn
says '^  row 0: .* y = cat$'
sed 's/label(3)/label(3, names="fox,dog,cow")/' pets.nn > named.nn
run 3 gradc data named.nn
says_once 'the folder "cat" of pets/train is none of the classes'

begin 'a damaged image is named with its fault'
cp pets/train/cat/003.png kept.png
head -c 200 kept.png > pets/train/cat/003.png
run 3 gradc train pets.nn --out wrong.run
says_once 'pets/train/cat/003.png: cannot decode this PNG picture: the file is cut short'
cp pets/train/cat/003.png pets/train/cat/later.png
for i in 1 2 3 4 5; do
  run 3 gradc train pets.nn --out wrong.run
  says_once 'pets/train/cat/003.png: cannot decode'
done
rm pets/train/cat/later.png
printf 'GIF89a..' > pets/train/cat/003.png
run 3 gradc train pets.nn --out wrong.run
says_once 'pets/train/cat/003.png: not a PNG or JPEG picture, but a GIF picture'
: > pets/train/cat/003.png
run 3 gradc train pets.nn --out wrong.run
says_once 'pets/train/cat/003.png: not a PNG or JPEG picture, but an empty file'
rm pets/train/cat/003.png
mkfifo pets/train/cat/003.png
run 3 gradc train pets.nn --out wrong.run
says_once 'pets/train/cat/003.png": it is not a regular file'
rm pets/train/cat/003.png
ln -s /etc/passwd pets/train/cat/003.png
run 3 gradc train pets.nn --out wrong.run
says_once 'it lies outside of the folder of the data'
rm pets/train/cat/003.png
cp kept.png pets/train/cat/003.png
mv pets elsewhere
run 3 gradc train pets.nn --out wrong.run
says_once 'cannot read "pets/train": No such file or directory'
mv elsewhere pets

begin 'the table of labels'
./pictures faces faces faces.csv 40 1
cat > faces.nn << 'SPEC'
net 1;
data faces {
  source: images("faces", labels="faces.csv", file="image_id");
  split: train = 80%, valid = 20%;
  field x: u8[3,32,32] as f32[3,32,32] -> div(255);
  field y: f32[2] from "Smiling, Young" -> add(1) -> div(2);
  field male: label(2, names="-1,1") from "Male";
}
model m(x: f32[3,h,w]) -> z: f32[2] { z = x -> flatten -> dense(2); }
train m on faces {
  loss: bce_logits(z, y);
  optimizer: sgd(lr=0.1);
  epochs: 1;
  batch: 8;
  metrics: multilabel(z, y);
}
eval m on faces.valid { report multilabel(z, y); }
SPEC
run 0 gradc data faces.nn
says '^  Smiling +train +-1 +1 '
run 0 gradc train faces.nn --out faces.run
says '^ +Young +[01]\.[0-9]+ +[01]\.[0-9]+ +[01]\.[0-9]+ +[0-9]+$'
grep -A9 'Scores of each label' faces.run/report.html |
  grep -q '<td>Young</td><td class="n">[01]\.' || bad 'the report lacks the scores of a label'
sed 's/000007.png/000070.png/' faces.csv > moved && mv moved faces.csv
run 3 gradc train faces.nn --out faces.run
says_once 'cannot read "faces/000070.png": No such file'
says 'faces.csv:8 names it'
sed 's/file="image_id"/file="image"/' faces.nn > wrong.nn
run 3 gradc train wrong.nn --out faces.run
says_once 'faces.csv has no column "image"'

begin 'the page shows images with their classes'
run 0 gradc data pets.nn --out page.html
[ "$(grep -c '<figcaption>fox</figcaption>' page.html)" -eq 8 ] || bad 'not 8 foxes'

# 120 pictures of 150,528 bytes, decoded, 18 MB in all, and 2 MB to test with.
mkdir many
./pictures pets many/train 40 1
./pictures pets many/test 5 2
cat > many.nn << 'SPEC'
net 1;
data many {
  train: images("many/train", size=[224, 224]);
  test: images("many/test", size=[224, 224]);
  field x: u8[3,224,224] as f32[3,224,224] -> div(255) -> standardize(fit=train);
  field y: label(3);
}
model m(x: f32[3,h,w]) -> z: f32[3] { z = x -> maxpool(8) -> maxpool(4) -> flatten -> dense(3); }
train m on many {
  loss: softmax_xent(z, y); optimizer: sgd(lr=0.01); epochs: 2; batch: 8; metrics: accuracy(z, y);
}
eval m on many.test { report accuracy(z, y); }
SPEC
sed 's/  field y/  augment: x -> flip(0.5) -> noise(2);\n&/' many.nn > changed.nn

begin 'memory decides when pictures are decoded, and no bit'
for name in many changed; do
  gradc build $name.nn --emit exe -q -o $name.exe || bad "$name does not build"
  run 0 ./pictures peak ./$name.exe train --silent --out $name.all
  all=$(head -n 1 out)
  for how in '--threads 3 --data-memory 3MB' '--threads 1 --data-memory 1KB'; do
    rm -rf $name.run
    run 0 ./pictures peak ./$name.exe train --silent --out $name.run $how
    peak=$(head -n 1 out)
    [ $((peak + 10000)) -lt "$all" ] || bad "$name $how: $peak KB, without a limit $all KB"
    same $name.all/last.safetensors $name.run/last.safetensors
    same $name.all/metrics.csv $name.run/metrics.csv
  done
  run 0 ./$name.exe train --silent --no-prefetch --data-memory 3MB --out $name.between
  same $name.all/last.safetensors $name.between/last.safetensors
  run 0 gradc train $name.nn --silent --data-memory 3MB --out $name.gradc
  same $name.all/last.safetensors $name.gradc/last.safetensors
  run 0 ./$name.exe eval --weights $name.all --json
  mv out all.json
  run 0 ./$name.exe eval --weights $name.all --json --data-memory 1KB
  same out all.json
done
run 2 ./many.exe train --data-memory 3TB
says_once '--data-memory takes a size such as 64MB, not .3TB.'

begin 'kill -9 in mid-epoch, then resume: the same bytes'
for name in many changed; do
  rm -rf cut
  ./$name.exe train --silent --data-memory 3MB --save-every 2 --out cut > /dev/null 2>&1 &
  pid=$!
  while [ ! -f cut/last.safetensors ] && kill -0 $pid 2> /dev/null; do :; done
  kill -9 $pid 2> /dev/null || bad 'the run ended before it could be killed'
  wait $pid 2> /dev/null
  run 0 ./$name.exe train --silent --data-memory 1KB --threads 2 --out cut --resume
  same $name.all/last.safetensors cut/last.safetensors
  same $name.all/metrics.csv cut/metrics.csv
done

begin 'a picture damaged in its middle ends the training where it is wanted'
sed 's/ -> standardize(fit=train)//' many.nn > worn.nn
sed 's/ -> standardize(fit=train)//' changed.nn > wornout.nn
for name in worn wornout; do
  gradc build $name.nn --emit exe -q -o $name.exe || bad "$name does not build"
  rm -rf $name.whole $name.run
  run 0 ./$name.exe train --silent --out $name.whole
  run 0 ./$name.exe train --silent --epochs 1 --out $name.run
  cp $name.run/last.safetensors first.safetensors
  ./pictures damage many/train/dog/020.png
  for how in '--threads 1' '--threads 3' '--no-prefetch' '--data-memory 1KB'; do
    rm -f now.csv
    run 3 ./$name.exe train --silent --resume --out $name.run --log-steps now.csv $how
    says_once 'error: many/train/dog/020.png: cannot decode this PNG picture: '
    says_once 'note: last good checkpoint: .*/last.safetensors \(step 15\)'
    [ "$how" != '--threads 1' ] || cp now.csv steps.csv
    same now.csv steps.csv
    same $name.run/last.safetensors first.safetensors
  done
  ./pictures damage many/train/dog/020.png
  run 0 ./$name.exe train --silent --resume --out $name.run
  same $name.whole/last.safetensors $name.run/last.safetensors
done
./pictures damage many/train/dog/020.png
run 3 ./many.exe train --silent --out wrong.run
says_once 'many/train/dog/020.png: cannot decode'
[ ! -e wrong.run ] || bad 'statistics of the split were not wanted before the run began'
run 3 gradc data many.nn
says_once 'many/train/dog/020.png: cannot decode'
./pictures damage many/train/dog/020.png
./pictures damage many/test/dog/003.png
run 3 ./many.exe train --silent --out wrong.run
says_once 'many/test/dog/003.png: cannot decode'
run 3 gradc report many.nn --weights many.all --landscape 0 --out many.html -q
says_once 'many/test/dog/003.png: cannot decode'
./pictures damage many/test/dog/003.png

begin 'a picture that becomes another one ends the training, too'
mkdir kept
cp -r many kept/
for how in '--threads 3' '--threads 1 --no-prefetch'; do
  rm -rf many.run
  ./worn.exe train --silent --epochs 300 --save-every 2 --data-memory 1KB --out many.run $how \
    > /dev/null 2> err &
  pid=$!
  while [ ! -f many.run/last.safetensors ] && kill -0 $pid 2> /dev/null; do :; done
  cp pets/train/fox/000.png many/train/fox/swap
  mv many/train/fox/swap many/train/fox/030.png
  wait $pid
  [ $? -eq 3 ] || bad "$how: the run did not end with code 3"
  says_once 'error: worn.nn:3: many/train/fox/030.png is not the file that it was when this began'
  says 'note: last good checkpoint: '
  cp kept/many/train/fox/030.png many/train/fox/030.png
done

begin 'splits, folds and the other commands read through the same door'
sed 's/  train: im.*/  source: images("many\/train", size=[224, 224]);/
  s/  test: im.*/  split: train = 80%, valid = 20%;\n  stratify: y;/
  s/many.test/many.valid/' changed.nn > dealt.nn
run 0 gradc train dealt.nn --silent --out dealt.all
run 0 gradc train dealt.nn --silent --out dealt.run --data-memory 3MB --threads 3
same dealt.all/last.safetensors dealt.run/last.safetensors
same dealt.all/metrics.csv dealt.run/metrics.csv
run 0 gradc train dealt.nn --folds 2 --epochs 1 --out folds.all --json
run 0 gradc train dealt.nn --folds 2 --epochs 1 --out folds.run --json --data-memory 3MB
same folds.all/fold2/last.safetensors folds.run/fold2/last.safetensors
run 0 gradc train dealt.nn --fast-dev-run --data-memory 3MB
run 0 gradc train dealt.nn --lr-range 1e-4..1 --steps 20 --data-memory 3MB --json --out range.run
mv out range.json
run 0 gradc train dealt.nn --lr-range 1e-4..1 --steps 20 --no-prefetch --json --out range.run
same out range.json
run 0 gradc gradcheck pets.nn --data-memory 1KB --quiet
cat > film.nn << 'SPEC'
net 1;
data film {
  source: images("many/train", size=[48, 64]);
  split: train = 80%, test = 20%;
  window: 3;
  field x: u8[3,48,64] as f32[3,48,64] -> div(255);
}
model m(x: f32[3,48,64]) -> z: f32[3,48,64] { z = x -> conv(3, 3, pad=1); }
train m on film { loss: mse(z, x); optimizer: sgd(lr=0.01); epochs: 1; batch: 4; }
SPEC
run 0 gradc train film.nn --silent --out film.run
run 0 gradc train film.nn --silent --out film.short --data-memory 1KB
same film.run/last.safetensors film.short/last.safetensors
./pictures damage many/train/cat/007.png
run 3 gradc train film.nn --silent --out wrong.run
says_once 'many/train/cat/007.png: cannot decode'
./pictures damage many/train/cat/007.png

begin 'the program says how it is compiled, and needs nothing else'
run 0 gradc build pets.nn -o pets.c
says '^next  cc -O3 -march=native pets.c -o pets -lm -lpthread -lpng -ljpeg$'
run 0 cc -O1 -march=native pets.c -o pets.exe -lm -lpthread -lpng -ljpeg
run 0 ./pets.exe train --out alone.run --silent
same pets.run/last.safetensors alone.run/last.safetensors
finish
