#!/usr/bin/env bash
# Runs the programs in C against a library that a sanitizer watches: address (with leaks) or thread. It needs a nightly
# compiler with rust-src, and cargo-fuzz, whose build of the library is used: without them it says so, and is content.
# docs/dev/hardening.md has more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kind=${1:-address}
sysroot=$(rustc +nightly --print sysroot 2>/dev/null) || sysroot=
if ! [ -d "$sysroot/lib/rustlib/src" ] || ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "no $kind sanitizer: that takes cargo-fuzz and a nightly compiler with rust-src (rustup component add rust-src --toolchain nightly)"
    exit 0
fi

folder=rust-ffi/fuzz
platform=$(rustc +nightly -vV | sed -n 's/^host: //p')
runtime=$sysroot/lib/rustlib/$platform/lib/librustc-nightly_rt.${kind:0:1}san.a
target=$folder/target
options=()
if [ "$kind" = thread ]; then
    # It must see what the standard library does with locks and threads.
    target=$target/thread
    options+=(--build-std)
fi
unset CARGO_TARGET_DIR
cargo +nightly fuzz build documents --fuzz-dir "$folder" --target-dir "$target" --sanitizer "$kind" \
    --no-default-features --features abi "${options[@]}"
library=$(realpath "$target/$platform/release/deps/libfluvio_cffi.so")

FLUVIO_CFFI_SANITIZED=$library:$runtime PYTHONPATH=$PWD .venv/bin/python -m pytest -W error -q \
    tests/c_abi/test_c_abi.py tests/long/test_sequences.py "${@:2}"
