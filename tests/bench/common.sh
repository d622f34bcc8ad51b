# Read first by the scripts here: their options, the compiler, a folder for their files.
#   here    this folder
#   GRADC   the compiler, ours unless the environment names one
#   PYTHON  a Python that may have torch
#   work    a folder that goes with the script
set -u
here=$(cd "$(dirname "$0")" && pwd)
GRADC=${GRADC:-$here/../../build/gradc}
PYTHON=${PYTHON:-/usr/bin/python3}
[ -x "$GRADC" ] || { echo "there is no compiler at $GRADC"; exit 2; }
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

# PyTorch at its best: the BLAS kernels of this machine.
if [ -z "${OPENBLAS_CORETYPE:-}" ] && grep -q avx512f /proc/cpuinfo; then
  OPENBLAS_CORETYPE=SkylakeX
  export OPENBLAS_CORETYPE
fi

# read_options "r:rounds f=force" "$@": -r VALUE sets rounds, -f sets force to 1. Leaves in taken
# how many words these were; another option ends the script.
read_options() {
  known=" $1"
  shift
  OPTIND=1
  while getopts "$(echo "$known" | sed -E 's/ (.:?)[^ ]*/\1/g')" option; do
    case $known in
      *" $option:"*) row=${known##*" $option:"}; eval "${row%% *}=\$OPTARG" ;;
      *" $option="*) row=${known##*" $option="}; eval "${row%% *}=1" ;;
      *) exit 2 ;;
    esac
  done
  taken=$((OPTIND - 1))
}
