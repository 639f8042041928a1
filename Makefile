# make demo     build everything, start an embedded cluster, produce and consume
# make test     all tests, Rust and Python, the latter against the installed wheel
# make help     the other targets
#
# Needs Rust, Python 3.10 or later, and make. Everything made is in .venv, build, dist and rust-ffi/target.

PYTHON ?= python3
export CARGO_TARGET_DIR ?= $(CURDIR)/rust-ffi/target
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Nothing of these may find its way in from the caller's surroundings.
unexport PYTHONPATH PYTHONHOME

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-warn-conflicts --constraint requirements/lock.txt
# Not from the checkout's folder: the tests, and the programs that they start, are to import the installed package.
PYTEST := cd $(VENV) && bin/pytest --config-file=../pyproject.toml --rootdir=.. ../tests
PROGRESS := $(BIN)/python tools/progress.py
CARGO := cargo
MANIFEST := --manifest-path rust-ffi/Cargo.toml --locked
MODELS := --manifest-path rust-ffi/models/Cargo.toml --locked

RUST_SOURCES := $(shell find rust-ffi \( -name target -o -name fuzz -o -name models \) -prune -o \( -name '*.rs' -o -name '*.toml' -o -name Cargo.lock \) -print)
PYTHON_SOURCES := pytest_fluvio_cffi.py fluvio_cffi_flv.py $(shell find fluvio_cffi \( -name '*.py' -o -name "*.pyi" -o -name py.typed \) ! -name _binding.py)
WHEEL_SOURCES := $(RUST_SOURCES) $(PYTHON_SOURCES) include/fluvio_cffi.h setup.py pyproject.toml README.md LICENSE \
	$(addprefix tools/,build_binding.py release_flags.py third_party.py vendor.py wheel_files.py)

.PHONY: help demo test test-rust test-python test-pythons test-reproducible test-sdist test-upgrade test-long test-unit conformance docs links bench bench-full develop wheel wheel-manylinux sdist c-sdk test-c-sdk fuzz sanitize lint lint-python lint-rust deny format clean

help:
	@echo 'make demo          build, start an embedded cluster, produce and consume, and say how fast it was'
	@echo 'make test          all tests: test-rust, then test-python'
	@echo 'make test-unit     what needs no cluster, in seconds (after make develop)'
	@echo 'make test-long     what takes long, within two hours'
	@echo 'make conformance ENDPOINT=host:port'
	@echo '                   whether another cluster does what the embedded one does'
	@echo 'make test-pythons  the Python tests with the same wheel on every CPython that is here'
	@echo 'make docs          build the documentation, with the reference, into docs/_build/'
	@echo 'make links         whether the links of the documentation to other sites lead somewhere'
	@echo 'make bench         compare with the official client, in 10 minutes (BENCH_ARGS=--quick: in one; benchmarks/README.md)'
	@echo 'make bench-full    the same and much more, within an hour'
	@echo 'make develop       put library, program and binding into fluvio_cffi/, to work without reinstalling'
	@echo '                   (a debug build; make develop RELEASE=1 for an optimised one)'
	@echo 'make wheel         build the wheel into dist/;  make sdist: the source distribution, with the crates'
	@echo 'make wheel-manylinux'
	@echo '                   the wheel for any Linux with glibc 2.28 (TARGET=x86_64-unknown-linux-musl: with musl)'
	@echo 'make test-reproducible'
	@echo '                   build the wheel in another folder as well: the bytes are the same'
	@echo 'make test-sdist    build a wheel from the source distribution alone, without a network'
	@echo 'make test-upgrade  package, C programs and tests of an earlier commit, with the library of this one (after make develop)'
	@echo 'make lint          style, types, generated files, clippy;  make format: put style right'
	@echo '                   (make test-python PYTEST_ARGS="-k name" for some of the tests)'
	@echo 'make c-sdk         a tarball for C and C++ in dist/;  make test-c-sdk: programs built from it alone'
	@echo 'make fuzz          bytes of any kind to all that reads what others wrote, a minute each (FUZZ_SECONDS=60)'
	@echo 'make sanitize      the programs in C with a library that AddressSanitizer watches, then ThreadSanitizer; miri'
	@echo 'make deny          whether the crates that are used may be used: licences, bans, sources'
	@echo 'make clean         remove everything that was made'

demo: $(VENV)/.wheel $(VENV)/.demo
	@$(BIN)/python -I -m fluvio_cffi demo

test: test-rust test-python

# What takes long: all orders of events in consumer groups, memory, the health of the loop, campaigns of faults, every place at which
# a call can be interrupted. Within two hours, on a machine that does nothing else; a line for each figure.
test-long: $(VENV)/.wheel $(VENV)/.test $(VENV)/.witness
	FLUVIO_CFFI_LONG=1 $(CARGO) test $(MANIFEST) -p fluvio-cffi-group -- --nocapture --test-threads 1
	FLUVIO_CFFI_LONG=1 $(CARGO) test $(MANIFEST) --workspace --lib -- --nocapture kept_of_fuzzing
	FLUVIO_CFFI_LONG=1 $(CARGO) test $(MODELS)
	tools/fuzz.sh
	cd $(VENV) && FLUVIO_CFFI_LONG=1 bin/pytest --config-file=../pyproject.toml --rootdir=.. --verbose --capture=no -m long $(PYTEST_ARGS) \
		../tests

# Without a cluster, in seconds; against the checkout (make develop).
test-unit:
	$(CARGO) test --quiet $(MANIFEST) -p fluvio-cffi-group -- --skip search --skip simulation --skip guards
	PYTHONPATH=$(CURDIR) $(BIN)/python -m pytest -W error --quiet tests/unit $(PYTEST_ARGS)

# What holds for every cluster, against the one whose SC is at ENDPOINT: its protocol, then the client with it. Objects are made
# in it under names of their own, and removed again.
conformance:
	@[ -n '$(ENDPOINT)' ] || { echo 'which cluster? make conformance ENDPOINT=host:port'; exit 2; }
	@$(MAKE) --no-print-directory develop
	FLUVIO_CFFI_ENDPOINT='$(ENDPOINT)' $(CARGO) test $(MANIFEST) -p fluvio-cffi-cluster --test conformance
	PYTHONPATH=$(CURDIR) $(BIN)/python -m pytest -W error --quiet tests/interop/test_conformance.py \
		tests/client/test_groups.py tests/admin/test_groups_admin.py --fluvio-endpoint '$(ENDPOINT)'

test-rust:
	$(CARGO) test --workspace $(MANIFEST)
	$(CARGO) test --quiet $(MODELS)

# They need a nightly compiler, with cargo-fuzz or miri; where these are missing they say so, and are content.
fuzz:
	@tools/fuzz.sh

sanitize: $(VENV)/.wheel $(VENV)/.test
	@tools/sanitize.sh address
	@tools/sanitize.sh thread
	@tools/miri.sh

test-python: $(VENV)/.wheel $(VENV)/.test $(VENV)/.witness
	$(PYTEST) $(PYTEST_ARGS)

test-pythons: dist/.built
	@tools/test-pythons.sh dist/*.whl $(PYTEST_ARGS)

docs: $(VENV)/.wheel $(VENV)/.docs
	@$(BIN)/sphinx-build --quiet --fail-on-warning --fresh-env --builder html docs docs/_build
	@echo 'docs/_build/index.html'

# With a script's path Python looks for modules in its folder, not here: the installed wheel is measured. The PyPI package
# that it is compared with has a virtual environment of its own, which the program makes.
bench bench-full: $(VENV)/.wheel $(VENV)/.test
	@eval "$$($(BIN)/python tools/release_flags.py)" && $(PROGRESS) 'building the official client' \
		$(CARGO) build --release $(MANIFEST) -p fluvio-cffi-cluster --example contestants
	@$(BIN)/python benchmarks/bench.py --rust $(CARGO_TARGET_DIR)/release/examples/contestants --peer .venv-peer \
		--wheel dist/*.whl --json $@.json --picture $@.svg $(if $(filter %-full,$@),--full) $(BENCH_ARGS)

# Whether the links to other sites lead somewhere; it needs the network. Links within the checkout are the tests' business.
links: $(VENV)/.wheel $(VENV)/.docs
	@$(BIN)/sphinx-build --quiet --builder linkcheck docs docs/_build/links

# Tests against the checkout: make develop, then .venv/bin/python -m pytest
develop: $(VENV)/.build $(VENV)/.test
	@$(PROGRESS) 'building into fluvio_cffi/' $(BIN)/python setup.py build_rust --inplace $(if $(RELEASE),--release,--debug)
	@$(BIN)/python tools/build_binding.py

wheel: dist/.built
	@ls -l dist/*.whl

# The library of tomorrow under the program of yesterday: FROM=<commit>, by default the last release.
test-upgrade:
	tools/test-upgrade.sh $(FROM) $(PYTEST_ARGS)

test-reproducible: dist/.built
	tools/reproduce.sh dist/*.whl

test-sdist: sdist
	tools/test-sdist.sh dist/*.tar.gz

# The Rust standard library of the target must be there: rustup target add.
wheel-manylinux: $(VENV)/.build $(VENV)/.release
	tools/zig-wheel.sh $(or $(TARGET),$(shell uname -m)-unknown-linux-gnu)

sdist: $(VENV)/.build
	@$(PROGRESS) 'building the source distribution' $(BIN)/python setup.py sdist --vendor

c-sdk: | $(VENV)/.made
	@CARGO='$(CARGO)' $(BIN)/python tools/c_sdk.py

test-c-sdk: c-sdk $(VENV)/.wheel $(VENV)/.test
	cd $(VENV) && FLUVIO_CFFI_C_SDK=$(CURDIR)/dist bin/pytest --config-file=../pyproject.toml --rootdir=.. --verbose \
		../tests/c_abi/test_sdk.py

lint: lint-python lint-rust

lint-python: $(VENV)/.lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python tools/async_to_sync.py --check
	$(BIN)/codespell *.md docs/*.md docs/*.rst docs/dev changelog.d examples benchmarks fluvio_cffi pytest_fluvio_cffi.py fluvio_cffi_flv.py \
		tests tools include $(addprefix rust-ffi/,wire engine abi cluster group)
	@$(BIN)/towncrier build --draft --version next >/dev/null
	PYTHONPATH=$(CURDIR) $(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/zizmor --offline --quiet --pedantic .github
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python tools/doc_types.py
	PYTHONPATH=$(CURDIR) $(BIN)/basedpyright --pythonpath $(BIN)/python --verifytypes fluvio_cffi --ignoreexternal

lint-rust:
	for workspace in . fuzz models; do $(CARGO) fmt --manifest-path rust-ffi/$$workspace/Cargo.toml --all --check || exit 1; done
	@! grep --recursive --include='*.rs' --exclude-dir=target --line-number --extended-regexp '^ *//.{119,}$$' rust-ffi \
		|| { echo 'comments are at most 120 characters wide'; exit 1; }
	tools/header.sh --check
	$(CARGO) clippy --workspace --all-targets $(MANIFEST) -- --deny warnings

deny:
	tools/deny.sh

format: $(VENV)/.lint
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	for workspace in . fuzz models; do $(CARGO) fmt --manifest-path rust-ffi/$$workspace/Cargo.toml --all || exit 1; done

clean:
	rm -rf $(VENV) .venv-peer bench.json bench.svg bench-full.json bench-full.svg build dist fluvio_cffi.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf rust-ffi/target rust-ffi/*/target rust-ffi/fuzz/artifacts fluvio_cffi/bin docs/_build
	rm -f fluvio_cffi/_binding.py fluvio_cffi/libfluvio_cffi.so fluvio_cffi/libfluvio_cffi.dylib
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

# -- what these need

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo 'Python 3.10 or later is needed (make PYTHON=/path/to/python3)'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo "Python 3.10 or later is needed, this is $$($(PYTHON) --version) (make PYTHON=/path/to/python3)"; exit 1; }
	@command -v $(CARGO) >/dev/null || { echo 'Rust is needed: cargo is not on the PATH'; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo 'The venv module of Python is needed (on Debian: python3-venv)'; exit 1; }
	@touch $@

$(VENV)/.build: requirements/build.in requirements/lock.txt | $(VENV)/.made
	@$(PIP_INSTALL) --requirement requirements/build.in
	@touch $@

$(VENV)/.demo: requirements/lock.txt | $(VENV)/.made
	@$(PIP_INSTALL) trio
	@touch $@

$(VENV)/.test: requirements/test.in requirements/lock.txt | $(VENV)/.made
	@$(PIP_INSTALL) --requirement requirements/test.in
	@touch $@

# There are no wheels of it for every Python; where there is none, its tests are skipped, and say so. Nothing of what else it
# wants is needed, which pip would complain about ever after.
$(VENV)/.witness: requirements/witness.in | $(VENV)/.made
	@$(BIN)/python -m pip install --quiet --no-deps --only-binary :all: --requirement requirements/witness.in || true
	@touch $@

$(VENV)/.docs: requirements/docs.in requirements/lock.txt | $(VENV)/.made
	@$(PIP_INSTALL) --requirement requirements/docs.in
	@touch $@

$(VENV)/.release: requirements/release.in requirements/lock.txt | $(VENV)/.made
	@$(PIP_INSTALL) --requirement requirements/release.in
	@touch $@

$(VENV)/.lint: requirements/lint.in requirements/build.in requirements/test.in requirements/lock.txt | $(VENV)/.made
	@$(PIP_INSTALL) --requirement requirements/lint.in
	@touch $@

dist/.built: $(WHEEL_SOURCES) | $(VENV)/.build
	@rm -rf build dist
	@$(PROGRESS) 'building the wheel (the first time takes some minutes)' \
		$(BIN)/python -m pip wheel --verbose --no-deps --no-build-isolation --wheel-dir dist .
	@touch $@

$(VENV)/.wheel: dist/.built
	@$(PIP_INSTALL) --no-deps --no-index --force-reinstall dist/*.whl
	@touch $@
