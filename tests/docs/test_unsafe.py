"""The table of what unsafe code relies on names all of it, and tests that exist."""

from __future__ import annotations

import re

from c_support import ROOT, SOURCES

SOURCE = ROOT / "rust-ffi" / "abi" / "src"
TABLE = ROOT / "docs" / "dev" / "unsafe.md"
_UNSAFE = re.compile(r"^(?!\s*//).*\bunsafe (?:\{|impl\b)", re.MULTILINE)


def rows() -> dict[str, tuple[int, str]]:
    found = re.findall(r"^\| `(\S+\.rs)` \| (\d+) \| .* \| (.*) \|$", TABLE.read_text(encoding="utf-8"), re.MULTILINE)
    return {file: (int(count), tests) for file, count, tests in found}


def test_every_block_is_in_the_table() -> None:
    blocks = {}
    for path in SOURCE.rglob("*.rs"):
        text = path.read_text(encoding="utf-8").split("#[cfg(test)]\nmod ")[0]
        if path.name != "tests.rs" and (count := len(_UNSAFE.findall(text))):
            blocks[str(path.relative_to(SOURCE))] = count
    assert {file: count for file, (count, _) in rows().items()} == blocks


def test_its_tests_exist() -> None:
    sources = [*(ROOT / "rust-ffi" / "abi").rglob("*.rs"), *(ROOT / "rust-ffi" / "models" / "tests").iterdir()]
    rust = "".join(path.read_text(encoding="utf-8") for path in sources)
    programs = {path.name for folder in (SOURCES, ROOT / "examples" / "c") for path in folder.iterdir()}
    named = {name for _, tests in rows().values() for name in re.findall(r"`([\w.]+)`", tests)}
    assert len(named) > 15
    assert not [name for name in named if name not in programs and f"fn {name}(" not in rust]
