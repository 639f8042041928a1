#!/usr/bin/env bash
# Checks the crates that are used against rust-ffi/deny.toml: licences, bans, sources; and, with --advisories, what is
# known of them, which is asked of the RustSec data base.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.20.2
tools=${CARGO_TARGET_DIR:-rust-ffi/target}/tools
deny=$tools/bin/cargo-deny
if ! [ -x "$deny" ] || [ "$("$deny" --version)" != "cargo-deny $version" ]; then
    cargo install --quiet --locked --root "$tools" --version "$version" cargo-deny
fi

checks=(bans licenses sources)
if [ "${1:-}" = --advisories ]; then
    checks+=(advisories)
fi
"$deny" --manifest-path rust-ffi/Cargo.toml check "${checks[@]}"
