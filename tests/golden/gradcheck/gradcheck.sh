#!/bin/sh
# Runs `gradc gradcheck`; passes when it ends with CODE. Nothing is taken from an earlier build.
#   gradcheck.sh CODE GRADC SPEC DATA WORK [OPTION ..]
# GOLDEN_SAYS: a pattern that the output must have.
want=$1 gradc=$2 spec=$3 data=$4 work=$5
shift 5
XDG_CACHE_HOME=$work
export XDG_CACHE_HOME
rm -rf "$work" && mkdir -p "$work" || exit 1
"$gradc" gradcheck "$spec" --thin --data "$data" "$@" >"$work/output" 2>&1
code=$?
grep -E 'elements|error|all within|kinks' "$work/output"
if [ -n "$GOLDEN_SAYS" ] && ! grep -Eq "$GOLDEN_SAYS" "$work/output"; then
  echo "gradcheck does not say '$GOLDEN_SAYS'"
  exit 1
fi
[ "$code" -eq "$want" ] && exit 0
tail -20 "$work/output"
echo "gradcheck ended with $code, not $want"
[ -z "$GOLDEN_KERNEL" ] || echo "a sign was wrong in ..$GOLDEN_KERNEL ($GOLDEN_KIND)"
exit 1
