#!/bin/sh
# A C compiler for thin programs of the golden tests: adds the runtime's headers and library
# ($GOLDEN_RUNTIME, $GOLDEN_LIBRARY with $GOLDEN_LINKS) and $GOLDEN_FLAGS, and optimises less, which
# changes no bits.
# With $GOLDEN_KERNEL, the end of a kernel's name, it first seeds a sign error there, as
# $GOLDEN_KIND says:
#   fma     the products of the first accumulator are taken away
#   store   vectors are stored with the other sign
#   scalar  the first sum over all lanes has the other sign
#   sum     the first lane sum of a gradient has the other sign
case $GOLDEN_KIND in
fma) change='s/(acc(_0)?) = fma([0-9]*)\(/\1 = fma\3(-/' ;;
store) change='s/store([0-9]+)\(/mutant\1(/' ;;
sum) change='s/= sum([0-9]+)\(/= -sum\1(/' ;;
scalar) change='s/ total = (sum[0-9]+\()/ total = -\1/' ;;
*) change= ;;
esac

# The file with the error, or exit code 3 when the kernel offers no place for it.
seed() {
  sed -E "/KERNEL void [a-z0-9_]*${GOLDEN_KERNEL}\(/,/^}/ $change" "$1" |
    awk '/static KERNEL void/ && !done {
           for (n = 1; n <= 16; n *= 2)
             printf "#define mutant%d(p, ...) store%d((p), -(__VA_ARGS__))\n", n, n
           done = 1
         }
         { print }' >"$2"
  [ "$(diff "$1" "$2" | grep -c '^<')" -gt 0 ]
}

count=$#
for word in "$@"; do
  case $word in
  *.c)
    if [ -n "$GOLDEN_KERNEL" ]; then
      if ! seed "$word" "${word%.c}.mutant.c"; then
        echo "cc.sh: nothing to change by '$GOLDEN_KIND' in a kernel ..$GOLDEN_KERNEL" >&2
        exit 3
      fi
      word=${word%.c}.mutant.c
    fi
    ;;
  -O3) word=-O1 ;;
  esac
  set -- "$@" "$word"
done
shift "$count"
# shellcheck disable=SC2086
exec cc $GOLDEN_FLAGS "-I$GOLDEN_RUNTIME" "$@" "$GOLDEN_LIBRARY" $GOLDEN_LINKS -lm -lpthread
