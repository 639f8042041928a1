#!/usr/bin/env bash
# Builds a wheel that runs on any Linux from some C library on, by zig as compiler and linker: tools/zig-wheel.sh [TARGET]
#
# TARGET is one of {x86_64,aarch64}-unknown-linux-{gnu,musl}; its Rust standard library must be installed (rustup target
# add). The tools are those of requirements/release.in. auditwheel decides whether the wheel keeps what its tag promises.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${1:-x86_64-unknown-linux-gnu}
bin=$PWD/.venv/bin
case $target in
    *-gnu) platform=manylinux_2_28_${target%%-*} ;;
    *-musl) platform=musllinux_1_2_${target%%-*} ;;
    *) echo "no wheel is made for $target" && exit 2 ;;
esac

built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT
rm -rf build
# The wrappers of cargo-zigbuild find zig, of the package ziglang, by the first python on the PATH.
PATH=$bin:$PATH CARGO=$PWD/tools/zig-cargo CARGO_BUILD_TARGET=$target _PYTHON_HOST_PLATFORM=linux-${target%%-*} \
    "$bin/python" -m pip wheel --verbose --no-deps --no-build-isolation --wheel-dir "$built" .
PATH=$bin:$PATH "$bin/auditwheel" repair --plat "$platform" --only-plat --wheel-dir dist "$built"/*.whl
"$bin/python" tools/wheel_files.py --smallest dist/*"$platform"*.whl
"$bin/auditwheel" show dist/*"$platform"*.whl
