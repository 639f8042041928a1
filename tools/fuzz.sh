#!/usr/bin/env bash
# Fuzzes each target of rust-ffi/fuzz, or those that are named, for FUZZ_SECONDS each (60). Needs a nightly compiler and
# cargo-fuzz: without them it says so, and is content. docs/dev/hardening.md has more.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo 'not fuzzed: that takes a nightly compiler and cargo-fuzz (rustup toolchain install nightly; cargo install cargo-fuzz)'
    exit 0
fi

folder=rust-ffi/fuzz
target=$folder/target
unset CARGO_TARGET_DIR
fuzz() {
    cargo +nightly fuzz "$1" --fuzz-dir "$folder" --target-dir "$target" "${@:2}"
}

if [ $# -eq 0 ]; then
    targets=("$folder"/fuzz_targets/*.rs)
    set -- "${targets[@]##*/}"
    set -- "${@%.rs}"
fi
fuzz build
for name; do
    # What is found on the way is kept outside of the repository; what is there is read only.
    mkdir -p "$target/corpus/$name"
    log=$target/$name.log
    limits=(-max_total_time="${FUZZ_SECONDS:-60}" -timeout=30 -rss_limit_mb=4096 -malloc_limit_mb=1024 -max_len=4096 -print_final_stats=1)
    if ! fuzz run "$name" "$target/corpus/$name" "$folder/corpus/$name" -- "${limits[@]}" >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "$name: see $log; the input is in $folder/artifacts/$name"
        exit 1
    fi
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in ${FUZZ_SECONDS:-60} s"
done
