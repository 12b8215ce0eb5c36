#!/usr/bin/env bash
# Creates .venv-tests and runs ruff, mypy and pytest in it.
# usage: ./run_tests.sh [--slow]      --slow adds the full-size and long tests
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
source "$here/scripts/environment.sh"

marks=(-m 'not slow')
case $# in
  0) ;;
  *) [ "$*" = --slow ] || fail "'$*': expected nothing, or --slow." 2
    marks=(-m '') ;;
esac

prepare_environment "$here/.venv-tests" '[dev]'
cd "$here"
failed=()
step() {
  echo "== $*"
  .venv-tests/bin/python -m "$@" || failed+=("$1")
}
step ruff check .
step ruff format --check .
step mypy
# The tests of a file stay in one process: they share expensive fixtures. The files begin in the
# order of tests/conftest.py.
step pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder "${marks[@]}"

[ ${#failed[@]} = 0 ] || fail "failed: ${failed[*]} (after $SECONDS s)" 1
echo "All passed in $SECONDS s."
