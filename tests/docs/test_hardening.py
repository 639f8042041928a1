"""What is fuzzed and modelled is all there: targets, seeds, rows of the documentation."""

from __future__ import annotations

import re

from c_support import ROOT

RUST = ROOT / "rust-ffi"
FUZZ = RUST / "fuzz"
PAGE = ROOT / "docs" / "dev" / "hardening.md"
#: Bytes of the seeds of a target, at most: the repository is no place for a fuzzer's finds.
MOST = 16 << 10


def targets() -> list[str]:
    manifest = (FUZZ / "Cargo.toml").read_text(encoding="utf-8")
    return re.findall(r'^\[\[bin\]\]\nname = "(\w+)"$', manifest, re.MULTILINE)


def test_every_target_is_complete() -> None:
    listed = set()
    for path in RUST.glob("*/src/fuzzing.rs"):
        text = path.read_text(encoding="utf-8")
        table = text[text.index("pub const TARGETS") :]
        listed |= set(re.findall(r'\("(\w+)", ', table[: table.index(";\n\n")]))
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| .* \| .* \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    files = {path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs")}
    assert len(targets()) > 10
    assert set(targets()) == listed == described == files


def test_every_target_has_a_few_small_seeds() -> None:
    for name in targets():
        seeds = list((FUZZ / "corpus" / name).iterdir())
        assert len(seeds) >= 3, name
        assert sum(seed.stat().st_size for seed in seeds) <= MOST, name


def test_the_fuzzers_lock_file_has_what_the_crates_depend_on() -> None:
    lock = (FUZZ / "Cargo.lock").read_text(encoding="utf-8")
    for manifest in [RUST / crate / "Cargo.toml" for crate in ("wire", "group", "engine", "abi", "cluster")]:
        text = manifest.read_text(encoding="utf-8")
        table = re.search(r"^\[dependencies\]\n(.*?)^\[", text, re.MULTILINE | re.DOTALL)
        assert table is not None
        names = set(re.findall(r"^([\w-]+)(?:\.workspace)? = ", table[1], re.MULTILINE))
        package = f'name = "fluvio-cffi-{manifest.parent.name}"\nversion = "[^"]+"\ndependencies = \\[(.*?)\\]'
        locked = re.search(package, lock, re.DOTALL)
        assert locked is not None
        assert set(re.findall(r'"([\w-]+)[ "]', locked[1])) == names, manifest


def test_every_model_includes_the_source_that_it_says() -> None:
    rows = re.findall(r"^\| `(\w+\.rs)` \| `rust-ffi/([\w/]+\.rs)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    models = {path.name for path in (RUST / "models" / "tests").glob("*.rs")}
    assert {model for model, _ in rows} == models
    for model, source in rows:
        assert f'#[path = "../../{source}"]' in (RUST / "models" / "tests" / model).read_text(encoding="utf-8")
