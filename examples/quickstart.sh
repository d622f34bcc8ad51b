#!/bin/sh
# From a fresh checkout to a trained network: sh examples/quickstart.sh, from any folder, as root
# or with sudo. Installs what is missing, builds gradc into build/, trains LeNet-5 on digits that
# the program draws itself.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
jobs=$(nproc 2>/dev/null || echo 2)

. "$root/examples/install.sh"
need_packages flex bison cmake gcc libc6-dev make pkg-config zlib1g-dev || exit 5
want_packages libpng-dev libjpeg-dev    # for folders of images

echo "== build $root/build/gradc"
mkdir -p "$root/build"
log=$root/build/build.log
if ! { cmake -S "$root" -B "$root/build" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF &&
       cmake --build "$root/build" -j "$jobs" --target gradc; } > "$log" 2>&1; then
  tail -n 30 "$log"
  echo "build failed; the whole log is $log"
  exit 5
fi

echo "== train: gradc train examples/digits.nn --out runs/digits"
cd "$root"
started=$(date +%s)
build/gradc train examples/digits.nn --out runs/digits
echo
echo "== done in $(($(date +%s) - started)) s"
echo "report:  $root/runs/digits/report.html"
echo "the net: $root/examples/digits.nn"
echo "its C:   build/gradc build examples/digits.nn -o digits.c"
