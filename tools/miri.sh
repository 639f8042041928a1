#!/usr/bin/env bash
# Has miri watch what the unsafe code that needs no system does with memory: rust-ffi/models/tests/arrow.rs. It needs a
# nightly compiler with miri and rust-src: without them it says so, and is content. docs/dev/hardening.md has more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo 'no miri: rustup component add miri rust-src --toolchain nightly'
    exit 0
fi
unset CARGO_TARGET_DIR
# What it takes from `encode` has no unsafe code, and its properties would take minutes.
cargo +nightly miri test --locked --manifest-path rust-ffi/models/Cargo.toml --test arrow -- --skip encode::
