# Read after lib.sh by tests of texts that show what programs print. Programs print the same on
# every machine, so what a text shows is compared line by line.

# shown SPEC [DIR]: runs the commands in the first comment of a spec, lines "# $ gradc ..", here;
# lines of the comment behind a command are lines of its output, and "# ..." stands for others.
# In commands and lines DIR is the folder given.
shown() {
  awk '!/^#/ { exit } /^# \$ / { on = 1 } on { print substr($0, 3) }' "$1" > "$work/shown"
  grep -q '^\$ ' "$work/shown" || bad "the first comment of $1 has no command"
  while IFS= read -r line; do
    case $line in
      '$ '*) run 0 sh -c "$(echo "${line#??}" | sed "s|\<DIR\>|${2:-DIR}|g")" < /dev/null ;;
      '...' | '') ;;
      *) prints "$line" ;;
    esac
  done < "$work/shown"
}

# prints LINE: the last command printed this very line.
prints() {
  grep -qxF -e "$1" "$work/out" "$work/err" || {
    bad "the text shows a line that is not printed: $1"
    tail -n 12 "$work/out"
  }
}
