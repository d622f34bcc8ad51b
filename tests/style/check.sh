#!/bin/sh
# Style check: sh tests/style/check.sh [ROOT [BUILD]]. Looks at ROOT (default: this checkout) and,
# when BUILD is given, at the static libraries in it. Prints one line per offence, "rule: place:
# what"; exit 1 when there is any. Lines have at most 100 columns. Files that have wider ones stand
# in wide.txt with their number, which may only shrink: sh tests/style/check.sh --ratchet writes
# wide.txt anew.
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
ratchet=0
[ "${1:-}" != --ratchet ] || { ratchet=1; shift; }
root=${1:-$here/../..}
build=${2:-}
cd "$root" || exit 2
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT

sources=$(find compiler runtime tests examples -type f \( -name '*.c' -o -name '*.h' -o -name '*.l' -o -name '*.y' \
  -o -name '*.def' -o -name '*.sh' -o -name '*.nn' \) 2>/dev/null | sort)
[ -n "$sources" ] || { echo "style: no sources below $root"; exit 2; }

wide=tests/style/wide.txt
[ -f "$wide" ] || wide=/dev/null
if [ $ratchet -eq 1 ]; then
  echo "$sources" | xargs awk 'length($0) > 100 { n[FILENAME]++ } END { for (f in n) print f, n[f] }' | sort > "$here/wide.txt"
  echo "style: $(wc -l < "$here/wide.txt") files with lines of more than 100 columns in wide.txt"
  exit 0
fi

# Form: length of files and lines, tabs, blanks at the end of a line.
echo "$sources" | xargs awk -v table="$wide" '
  BEGIN { while ((getline line < table) > 0) { split(line, w, " "); may[w[1]] = w[2] } }
  FNR == 1 { if (file != "" && last > 900) print "length: " file ": " last " lines, at most 900"; file = FILENAME }
  { last = FNR }
  length($0) > 100 { many[FILENAME]++; where[FILENAME] = where[FILENAME] " " FNR }
  /\t/ { print "tab: " FILENAME ":" FNR }
  /[ \r]$/ { print "trailing: " FILENAME ":" FNR ": blank at the end of the line" }
  END {
    if (last > 900) print "length: " file ": " last " lines, at most 900"
    for (f in many)
      if (many[f] > may[f] + 0)
        print "columns: " f ": " many[f] " lines of more than 100 columns (allowed here: " may[f] + 0 "):" where[f]
  }' >> "$log"

# Arrows: which folder may include which.
code=$(echo "$sources" | grep -E '^(compiler|runtime)/.*\.(c|h|l|y|def)$')
echo "$code" | xargs grep -nE '^[[:blank:]]*# *include +"' /dev/null | awk -v table="$here/arrows.txt" '
  BEGIN {
    while ((getline line < table) > 0) {
      if (line ~ /^#/ || line == "") continue
      at = index(line, ":"); allowed[substr(line, 1, at - 1)] = " " substr(line, at + 1) " "
    }
  }
  {
    file = $0; sub(/:.*/, "", file)
    what = $0; sub(/^[^"]*"/, "", what); sub(/".*/, "", what)
    n = split(file, part, "/")
    if (part[1] == "runtime") {
      if (what ~ /\//) print "arrow: " file ": the runtime includes \"" what "\""
      next
    }
    if (n == 2 || part[2] == "cmd") next
    folder = part[2]
    if (folder == "backend" && n > 3) folder = folder "/" part[3]
    if (!(folder in allowed)) { print "arrow: " file ": folder " folder " is not in arrows.txt"; next }
    to = what
    if (sub(/\/[^\/]*$/, "", to) == 0) to = ""
    if (to == folder || index(allowed[folder], " " what " ") || (to != "" && index(allowed[folder], " " to " "))) next
    print "arrow: " file ": " folder " must not include \"" what "\""
  }' >> "$log"

# Names of operations stand in ops/ alone; pass/ may point at their descriptors.
if [ -f compiler/ops/ops.def ]; then
  ops=$(sed -n 's/^OP(\([a-z0-9_]*\),.*/\1/p' compiler/ops/ops.def | paste -sd '|' -)
  echo "$code" | grep '^compiler/' | grep -vE '^compiler/(ops/|sema/[a-z]*\.def$|loop/scalar\.def$)' |
    xargs grep -nE "\"($ops)\"|(^|[^A-Za-z0-9_])op_($ops)([^A-Za-z0-9_]|\$)" /dev/null |
    awk -v table="$here/words.txt" -v ops="$ops" '
      BEGIN {
        while ((getline line < table) > 0) {
          if (line ~ /^#/ || line == "") continue
          n = split(line, w, " ")
          for (i = 2; i <= n; i++) known[w[1] " " w[i]] = 1
        }
        nops = split(ops, op, "|")
      }
      {
        at = index($0, ":"); file = substr($0, 1, at - 1); rest = substr($0, at + 1)
        at = index(rest, ":"); number = substr(rest, 1, at - 1); text = substr(rest, at + 1)
        folder = file; sub(/^compiler\//, "", folder); sub(/\/.*/, "", folder)
        comment = text; sub(/^[ ]*/, "", comment)
        if (comment ~ /^(\/\*|\*)/) next
        sub(/\/\*.*/, "", text)
        for (i = 1; i <= nops; i++) {
          if (index(text, "\"" op[i] "\"") && !((("compiler/" folder) " " op[i]) in known) && !((file " " op[i]) in known))
            print "operation: " file ":" number ": names \"" op[i] "\""
          if (folder != "pass" && match(text, "(^|[^A-Za-z0-9_])op_" op[i] "([^A-Za-z0-9_]|$)"))
            print "operation: " file ":" number ": names op_" op[i]
        }
      }' >> "$log"
fi

# Memory: arenas everywhere in the compiler; only base/ and the command line's tools talk to libc.
echo "$code" | grep -E '^compiler/.*\.(c|h|l|y)$' | grep -v '^compiler/base/' | grep -v '^compiler/backend/c/embed/' |
  xargs grep -nE '(^|[^A-Za-z0-9_])(malloc|calloc|realloc|free|strdup|strndup) *\(' /dev/null |
  grep -vE ':[0-9]+: *(/\*|\*)' | sed 's/:\([0-9]*\):.*/:\1: memory outside base/; s/^/memory: /' >> "$log"

# Header guards follow the path.
echo "$code" | grep '\.h$' | while read -r file; do
  case $file in
    compiler/*) guard=GRADC_$(echo "${file#compiler/}" | tr 'a-z/.' 'A-Z__') ;;
    *) guard=GRADRT_$(basename "$file" | tr 'a-z.' 'A-Z_') ;;
  esac
  case $guard in GRADRT_GRADRT_H) guard=GRADRT_H ;; esac
  grep -q "^#ifndef $guard\$" "$file" || echo "guard: $file: $guard is missing"
done >> "$log"

# Libraries: no mutable globals in the compiler, one prefix in the runtime.
if [ -n "$build" ]; then
  for lib in "$build"/compiler/libgradc_*.a; do
    [ -f "$lib" ] || { echo "globals: no libraries below $build"; break; }
    nm -f sysv "$lib" 2>/dev/null | awk -F '|' -v lib="$(basename "$lib")" '
      /^[A-Za-z0-9_.]+\.o:|\[.*\.o\]:$/ { object = $1; sub(/.*\[/, "", object); sub(/\]?:.*/, "", object) }
      NF == 7 {
        name = $1; section = $7; gsub(/ /, "", name); gsub(/ /, "", section)
        if ($4 !~ /OBJECT/ || section ~ /^\.data\.rel\.ro/ || section ~ /rodata/ || section == "*UND*") next
        if (section ~ /^(\.data|\.bss|\*COM\*|\.tbss|\.tdata)/ && object !~ /^(lexer|parser)\.c\.o$/)
          print "globals: " lib "(" object "): " name " is in " section
      }'
  done >> "$log"
  lib=$build/runtime/libgradrt.a
  if [ -f "$lib" ]; then
    nm -g --defined-only "$lib" | awk 'NF == 3 && $3 !~ /^gradrt_/ { print "prefix: libgradrt.a: " $3 " is exported" }' >> "$log"
  else
    echo "prefix: $lib is missing" >> "$log"
  fi
fi

sort -u "$log"
n=$(sort -u "$log" | wc -l)
[ "$n" -eq 0 ] || { echo "style: $n offences"; exit 1; }
echo "style: no offences"
