#!/usr/bin/env bash
# Writes include/fluvio_cffi.h from rust-ffi/abi; with --check says whether it is up to date.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.29.4
tools=${CARGO_TARGET_DIR:-rust-ffi/target}/tools
cbindgen=$tools/bin/cbindgen
if ! [ -x "$cbindgen" ] || [ "$("$cbindgen" --version)" != "cbindgen $version" ]; then
    cargo install --quiet --locked --root "$tools" --version "$version" cbindgen
fi

header=include/fluvio_cffi.h
generate() { "$cbindgen" --quiet --config rust-ffi/abi/cbindgen.toml rust-ffi/abi; }

if [ "${1:-}" = --check ]; then
    diff -u "$header" <(generate) || {
        echo "$header is out of date: run tools/header.sh" >&2
        exit 1
    }
else
    mkdir -p "$(dirname "$header")"
    generate >"$header.new"
    mv "$header.new" "$header"
fi
