# Read by quickstart.sh and tests/run.sh: need_packages PACKAGE.. installs the Debian packages that
# are missing; want_packages PACKAGE.. tries to, and goes on without them.
need_packages() {
  command -v dpkg-query > /dev/null || {
    echo "this is not a Debian or Ubuntu: please install the likes of: $*"
    return 0
  }
  missing=
  for package in "$@"; do
    dpkg-query -W -f '${Status}\n' "$package" 2> /dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" -eq 0 ]; then
    as_root=
  elif command -v sudo > /dev/null; then
    as_root=sudo
  else
    echo "missing packages, and neither root nor sudo: apt-get install$missing"
    return 1
  fi
  echo "== install$missing (apt-get)"
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing \
    > /dev/null 2>&1 && return 0
  # Usually the lists of packages are missing or old.
  $as_root apt-get -qq update &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends $missing
}

want_packages() {
  need_packages "$@" 2> /dev/null && return 0    # all at once; else those there are
  for package in "$@"; do
    need_packages "$package" 2> /dev/null || echo "== going on without $package"
  done
}
