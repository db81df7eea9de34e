#!/usr/bin/env bash
# Runs the array API standard's official test suite, github.com/data-apis/array-api-tests, on one backend.
#
#   tests/conformance/array_api_suite.sh CHECKOUT [numpy|jax|cupy] [EXAMPLES] [SEED] [pytest's options ...]
#
# CHECKOUT is a clone of the suite with its submodule (git clone --recurse-submodules). There is no list of expected
# failures: what the suite reports is what there is. Python is the one on PATH, with polyad and the suite's
# requirements.txt installed; PYTHON names another.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
checkout=$1 backend=${2:-numpy} examples=${3:-100} seed=${4:-0}
shift $(($# < 4 ? $# : 4))
[ -d "$checkout/array_api_tests" ] || { echo "$checkout is no checkout of array-api-tests" >&2; exit 2; }
[ -d "$checkout/array-api/src" ] || { echo "$checkout lacks its submodule: git submodule update --init" >&2; exit 2; }

cd "$checkout"
export ARRAY_API_TESTS_MODULE=polyad ARRAY_API_TESTS_VERSION=2025.12 POLYAD_BACKEND="$backend"
# the suite's own folder has no list for polyad; empty files keep it from falling back on one of another library
empty=$(mktemp)
trap 'rm -f "$empty"' EXIT
"${PYTHON:-python}" -m pytest array_api_tests -q -p no:cacheprovider --max-examples "$examples" \
    --hypothesis-seed "$seed" --disable-deadline --skips-file "$empty" --xfails-file "$empty" "$@"
