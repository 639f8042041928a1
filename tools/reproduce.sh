#!/usr/bin/env bash
# Builds a wheel of the same sources in another folder, by another target folder, and compares it with one that was built
# here: tools/reproduce.sh WHEEL. What is committed or staged is what counts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=$PWD/.venv/bin/python
wheel=$PWD/$1
folder=$(mktemp -d)/elsewhere
trap 'rm -rf "$(dirname "$folder")"' EXIT
git checkout-index --all --prefix="$folder/"
cd "$folder"
CARGO_TARGET_DIR=$folder/target PYTHONHASHSEED=1 TZ=Asia/Tokyo \
    "$python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir built .
cmp "$wheel" built/*.whl
echo "the same bytes: $(sha256sum <"$wheel" | cut -d' ' -f1)"
