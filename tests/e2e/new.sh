#!/bin/sh
# gradc new: every template is a canonical spec that trains, and nothing is ever written over.
. "$(dirname "$0")/lib.sh"
run 2 gradc new flowers --template none
templates=$(sed -n 's/^ *note: \([a-z]*\): .*/\1/p' err)
[ "$(echo "$templates" | wc -l)" -ge 4 ] || bad "too few templates: $templates"
for template in $templates; do
  begin "$template: written, checked, trained, predicts"
  run 0 gradc new "my_$template.nn" --template "$template"
  says "^wrote  my_$template.nn\$"
  says "^next   gradc train my_$template.nn\$"
  run 0 gradc check "my_$template.nn"
  run 0 gradc fmt --check "my_$template.nn"
  grep -q '@' "my_$template.nn" && bad 'a name is not filled in'
  run 0 sh -c "$(sed -n 's/^# \$ //p' "my_$template.nn" | head -n 1) --epochs 3"
  says "^next   gradc eval my_$template.nn"
done
begin 'table: its comment predicts its own table'
run 0 gradc predict my_table.nn my_table.csv
says '^my_table.csv\[0\]  rent [0-9.]+$'

begin 'text: its comment goes on with its own text'
run 0 sh -c "$(sed -n 's/^# \$ \(gradc generate\)/\1/p' my_text.nn)"
says '^the old miller [a-z. ]+'

begin 'without --template it is the first; a path may stand before the name'
mkdir deep
run 0 gradc new deep/first
grep -q '^model first_net' deep/first.nn || bad 'another name'
sed 's/first/my_mlp/g' deep/first.nn > other
same other my_mlp.nn

begin 'a file that is there stays as it is'
echo mine > own.nn
cp own.nn kept
run 5 gradc new own
says_once "'own.nn' is there already"
same own.nn kept
echo a,b > table.csv
cp table.csv kept
run 5 gradc new table --template table
says_once "'table.csv' is there already"
same table.csv kept
[ ! -e table.nn ] || bad 'a spec without its table'
ln -s nowhere link.nn
run 5 gradc new link
[ ! -e nowhere ] || bad 'written through a link'

begin 'mistakes'
run 2 gradc new
says_once "'new' needs a name"
run 2 gradc new Flowers
says_once "'Flowers' is no name for a net"
run 2 gradc new 'a b'
run 2 gradc new x --template cn
says_once "did you mean 'cnn'"
run 5 gradc new no/such/folder/x
says_once "cannot write 'no/such/folder/x.nn'"
finish
