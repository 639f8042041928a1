#!/usr/bin/env bash
# Run the Python tests with one wheel on every CPython from 3.10 that is here, or on those that PYTHONS names:
# tools/test-pythons.sh WHEEL [PYTEST ARGS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=$PWD
wheel=$1
shift
passed=() failed=() absent=()

# The newest python of that minor version on the PATH or under pyenv; one that does not run does not count.
find_python() {
    local version=$1 candidate
    local candidates=("python$version")
    if command -v pyenv >/dev/null; then
        while IFS= read -r candidate; do
            candidates+=("$candidate")
        done < <(find "$(pyenv root)/versions" -maxdepth 3 -path "*/$version.*/bin/python" 2>/dev/null | sort -rV)
    fi
    for candidate in "${candidates[@]}"; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
}

for version in ${PYTHONS:-3.10 3.11 3.12 3.13 3.14}; do
    python=$(find_python "$version")
    if [[ -z $python ]]; then
        absent+=("$version")
        echo "== CPython $version: skipped, it is not here"
        continue
    fi
    echo "== $("$python" --version) with $(basename "$wheel")"
    venv=.venv/pythons/$version
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --constraint requirements/lock.txt --requirement requirements/test.in "$wheel"
    # As for `make test`: where it has no wheel its tests are skipped.
    "$venv/bin/python" -m pip install --quiet --no-deps --only-binary :all: --requirement requirements/witness.in || true
    # Not from the checkout's folder: what is tested is the installed package.
    if (cd "$venv" && bin/pytest -p no:cacheprovider --config-file="$root/pyproject.toml" --rootdir="$root" "$root/tests" "$@"); then
        passed+=("$version")
    else
        failed+=("$version")
    fi
done

echo "passed on CPython: ${passed[*]:-none}; failed: ${failed[*]:-none}; not here: ${absent[*]:-none}"
((${#failed[@]} == 0 && ${#passed[@]} > 0))
