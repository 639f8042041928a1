#!/usr/bin/env bash
# Runs the programs in C against a library that a sanitizer watches: address (with leaks) or thread; and for address the
# tests of Arrow data, in an interpreter that has the runtime. It needs a nightly compiler with rust-src, and cargo-fuzz,
# whose build of the library is used: without them it says so, and is content.
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

# With the package that is installed, or with that of PYTHONPATH.
root=$PWD
tests() {
    local python=$1 files=("${@:2}")
    (cd .venv && "$python" -m pytest --config-file="$root/pyproject.toml" --rootdir="$root" -W error -q "${files[@]/#/$root/tests/}")
}
FLUVIO_CFFI_SANITIZED=$library:$runtime tests bin/python c_abi/test_c_abi.py long/test_sequences.py

[ "$kind" = address ] || exit 0
# Python's own program, with the runtime, which must be there before anything is loaded. Python leaves at its end what
# it has, so leaks are no subject here.
place=$target/python
mkdir -p "$place/bin"
cp .venv/pyvenv.cfg "$place/"
ln -sfn "$root/.venv/lib" "$place/lib"
read -r include libraries name < <(.venv/bin/python -c '
import sysconfig
print(*map(sysconfig.get_config_var, ("INCLUDEPY", "LIBDIR", "LDVERSION")))')
if ! [ -e "$libraries/libpython$name.so" ]; then
    echo "no Arrow data under a sanitizer: there is no libpython$name.so"
    exit 0
fi
printf '#include <Python.h>\nint main(int count, char **arguments) { return Py_BytesMain(count, arguments); }\n' |
    cc -x c - -x none -o "$place/bin/python" -I"$include" -L"$libraries" -Wl,-rpath,"$libraries" -lpython"$name" \
        -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive,--export-dynamic -ldl -lrt -lm
# What is freed is kept for a while, so that the test of memory would find it growing.
ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc PYTEST_ADDOPTS='-k "not takes_no_memory"' FLUVIO_CFFI_LIBRARY=$library \
    tests "$root/$place/bin/python" client/test_arrow.py client/test_send_arrow.py process/test_arrow_exit.py
