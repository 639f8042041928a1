#!/usr/bin/env bash
# Runs package, C programs and tests of an earlier commit with the library and the cluster of this checkout, as after an
# upgrade of the library alone: tools/test-upgrade.sh [COMMIT [PYTEST ARGS]], after make develop. By default the commit is the
# last release, and while there is none the first one whose interface was 0.2: programs for 0.1 gave no sizes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=$PWD
first=15bddba
commit=${1:-$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || echo "$first")}
shift || true
(($#)) || set -- tests/c_abi tests/client tests/admin

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git archive "$commit" | tar --extract --directory "$folder"
cd "$folder"
"$root/.venv/bin/python" tools/build_binding.py

echo "== of $(git -C "$root" log --max-count=1 --format='%h (%cs)' "$commit"), with the library of today: $*"
export FLUVIO_CFFI_LIBRARY=${FLUVIO_CFFI_LIBRARY:-$root/fluvio_cffi/libfluvio_cffi.so}
export FLUVIO_CFFI_CLUSTER=${FLUVIO_CFFI_CLUSTER:-$root/fluvio_cffi/bin/fluvio-cffi-cluster}
# Not what compares the library's exports with a header, since there are more by now; nor a later structure that was made up,
# which ends in the middle of what has really come since.
PYTHONPATH=$folder "$root/.venv/bin/python" -m pytest -p no:cacheprovider --quiet \
    --deselect tests/c_abi/test_c_abi.py::test_exports_are_what_the_header_declares \
    --deselect tests/c_abi/test_versions.py::test_every_function_has_a_version \
    --deselect "tests/c_abi/test_versions.py::test_program_of_another_version[LATER]" "$@"
