# Read by the scripts here: fields of the JSON lines that programs print.
# The number or text after "key" in s; "" when it is not there.
function field(s, key,    at) {
  at = index(s, "\"" key "\":")
  if (!at) return ""
  s = substr(s, at + length(key) + 3)
  sub(/^[ \[]+/, "", s)
  if (substr(s, 1, 1) == "\"") { s = substr(s, 2); sub(/".*/, "", s); return s }
  match(s, /^[-+0-9.eE]+/)
  return substr(s, 1, RLENGTH)
}
# The same inside the object "outer".
function inner(s, outer, key,    at) {
  at = index(s, "\"" outer "\":")
  return at ? field(substr(s, at + length(outer) + 3), key) : ""
}
# The n-th number of the list "key", from 1.
function element(s, key, n,    at, part) {
  at = index(s, "\"" key "\":")
  if (!at) return ""
  s = substr(s, at)
  sub(/^[^[]*\[/, "", s); sub(/\].*/, "", s)
  split(s, part, /, */)
  return part[n]
}
# Median of numbers separated by blanks.
function median(list,    x, n, i, j, v) {
  n = split(list, x, " ")
  for (i = 2; i <= n; i++) {
    v = x[i] + 0
    for (j = i - 1; j >= 1 && x[j] + 0 > v; j--) x[j + 1] = x[j]
    x[j + 1] = v
  }
  return n ? x[int((n + 1) / 2)] + 0 : 0
}
