#!/bin/sh
# gradc data get brings published files, here from a folder: only right ones stay, a stopped
# download goes on, and what is there is left alone.
. "$(dirname "$0")/lib.sh"
command -v curl > /dev/null || { skip 'data get' 'no curl'; finish; }

begin 'mistakes in the command'
run 2 gradc data get
says_once 'takes the name of one data set'
run 2 gradc data get mnits
says_once "there is no data set 'mnits'; did you mean 'mnist'"
says 'there is: mnist, fashion-mnist, cifar10'
run 2 gradc data get mnist --from here
says_once '\-\-from takes an address'
run 2 gradc data a.nn b.nn
says_once "'data' takes one spec"

begin 'an address that does not answer'
run 5 gradc data get mnist --from "file://$work/nowhere" --data far
says "cannot bring 'train-images-idx3-ubyte.gz'"
says "offline\\? bring it by other means, to 'far/mnist/train-images-idx3-ubyte.gz'"

begin 'a file with another checksum is refused and leaves nothing behind'
mkdir wrong
echo 'a web page of a hotel' > wrong/cifar-10-binary.tar.gz
run 5 gradc data get cifar10 --from "file://$work/wrong" --data far
says 'is not the published file: its checksum differs'
[ -z "$(ls far/cifar10)" ] || bad "left: $(ls far/cifar10)"

begin 'a file of that name is not overwritten'
echo 'mine' > far/cifar10/cifar-10-binary.tar.gz
run 3 gradc data get cifar10 --from "file://$work/wrong" --data far
says_once 'is there, but it is not the published file'
[ "$(cat far/cifar10/cifar-10-binary.tar.gz)" = mine ] || bad 'it was overwritten'

mnist=${GRADC_TEST_DATA:-none}/mnist
[ -f "$mnist/train-images-idx3-ubyte.gz" ] || { skip 'MNIST' 'no real data'; finish; }

begin 'MNIST comes, a stopped download goes on, and a second command has nothing to do'
mkdir -p near/mnist
head -c 100000 "$mnist/train-images-idx3-ubyte.gz" > near/mnist/train-images-idx3-ubyte.gz.part
run 0 gradc data get mnist --from "file://$mnist" --data near
says 'mnist lies in near/mnist'
for file in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
  same "$mnist/$file-ubyte.gz" "near/mnist/$file-ubyte.gz"
done
[ "$(ls near/mnist | wc -l)" -eq 4 ] || bad "in the folder: $(ls near/mnist)"
run 0 gradc data get mnist --from "file://$work/nowhere" --data near
says '^have near/mnist/t10k-labels-idx1-ubyte.gz$'

begin 'data need no model to be looked at'
cat > rows.nn << 'SPEC'
net 1;
data digits28 {
  train: idx("mnist/t10k-images-idx3-ubyte.gz", "mnist/t10k-labels-idx1-ubyte.gz");
  field x: u8[28,28];
  field y: u8 as label(10);
}
SPEC
run 0 gradc data rows.nn --data near
says '^train +10,000 '
run 1 gradc check rows.nn
says_once 'rows.nn has no model'
finish
