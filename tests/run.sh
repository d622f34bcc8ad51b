#!/bin/sh
# Runs all tests: sh tests/run.sh [--nightly] [-j N] [-L LABEL], from any folder, as root or with
# sudo. Installs what is missing, builds into build/test, runs ctest, prints how many passed,
# failed and were skipped; fails when anything failed. Real data comes from the folder in
# GRADC_TEST_DATA; tests that need it are skipped without it.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build/test
jobs=$(($(nproc 2> /dev/null || echo 2) + 1))   # some tests wait
label=
GRADC_NIGHTLY=${GRADC_NIGHTLY:-}
while [ $# -gt 0 ]; do
  case $1 in
    --nightly) GRADC_NIGHTLY=1 ;;
    -j) jobs=${2:?-j needs a number}; shift ;;
    -L) label=${2:?-L needs a label}; shift ;;
    *) echo "usage: sh tests/run.sh [--nightly] [-j N] [-L LABEL]"; exit 2 ;;
  esac
  shift
done
export GRADC_NIGHTLY

. "$root/examples/install.sh"
need_packages flex bison cmake gcc libc6-dev make pkg-config zlib1g-dev libcmocka-dev clang binutils || exit 5
# What lacks one of these is skipped: folders of images, the LLVM back end, programs for other
# machines, which run in emulators and in node, nets that Python calls.
want_packages libpng-dev libjpeg-dev llvm-19-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
  gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user lld nodejs python3

echo "== build $build"
log=$build/build.log
mkdir -p "$build" || exit 5
if ! { cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DGRADC_WERROR=ON -DBUILD_TESTING=ON &&
       cmake --build "$build" -j "$jobs"; } > "$log" 2>&1; then
  grep -nE 'error|Error|undefined reference' "$log" | head -40
  echo "build failed; the whole log is $log"
  exit 1
fi

echo "== tests${GRADC_NIGHTLY:+ (nightly)}${GRADC_TEST_DATA:+, real data in $GRADC_TEST_DATA}"
report=$build/ctest.log
cd "$build" || exit 5
ctest -j "$jobs" --timeout 900 ${label:+-L "$label"} --no-tests=error > "$report" 2>&1
code=$?
# What ran is in ctest's own log, whole; a cmocka program and the scripts end with the same
# counting lines.
last=Testing/Temporary/LastTest.log
sed -n 's/^ *[0-9]*\/[0-9]* Test *#[0-9]*: *\([^ ]*\) .*\**\(Failed\|Timeout\|Not Run\|Exception: [A-Za-z]*\|Skipped\).*/\1: \2/p' \
  "$report" | sort > "$build/notable.txt"
count() { awk -v word="$1" '$0 ~ "^\\[  " word " *\\] [0-9]+ test\\(s\\)" { sub(/^[^\]]*\] /, ""); n += $1 } END { print n + 0 }' "$last"; }
programs=$(grep -cE '^ *[0-9]+/[0-9]+ Test +#' "$report")
bad=$(grep -vc ': Skipped$' "$build/notable.txt")
skipped=$(grep -c ': Skipped$' "$build/notable.txt")
if [ $code -ne 0 ]; then
  grep -v ': Skipped$' "$build/notable.txt" | sed 's/^/failed program  /'
  grep -E '^(\[  FAILED  \] [^0-9]|FAILED )' "$last" | sort -u | head -60
  echo "details: $build/$last"
fi
grep -E '^\[  SKIPPED \] [^0-9]' "$last" | sort -u | sed 's/^\[  SKIPPED \] /skipped  /'
echo "programs: $((programs - bad - skipped)) passed, $bad failed, $skipped skipped"
echo "cases: $(count PASSED) passed, $(count FAILED) failed, $(count SKIPPED) skipped"
[ $code -eq 0 ] && echo "all tests passed" || echo "TESTS FAILED"
exit $code
