#!/usr/bin/env bash
# Builds a wheel from a source distribution alone, as `pip install` does, with no crate at hand but those within it, and
# tries it: tools/test-sdist.sh SDIST
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=$PWD/.venv/bin/python
sdist=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# Cargo itself is where rustup keeps it; of its home nothing but settings is used.
PATH=$(dirname "$(rustup which cargo 2>/dev/null || command -v cargo)"):$PATH
export PATH CARGO_HOME=$folder/cargo CARGO_NET_OFFLINE=true CARGO_TARGET_DIR=$folder/target
"$python" -m pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir built "$sdist"
"$python" -m venv try
try/bin/python -m pip install --quiet --constraint "$OLDPWD/requirements/lock.txt" built/*.whl
cd /
"$folder/try/bin/python" -I -m fluvio_cffi demo --records 1000
