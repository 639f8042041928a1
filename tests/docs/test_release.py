"""How releases are made: what the wheel is of, that the same sources give the same bytes, and the workflows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# What rust-ffi/deny.toml allows, and what others offer besides.
LICENCES = {
    *("Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "Unicode-3.0"),
    *("0BSD", "BSL-1.0", "LLVM-exception", "Unlicense", "Zlib"),
}

needs_cargo = pytest.mark.skipif(shutil.which("cargo") is None, reason="no cargo here")


def tool(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    module: ModuleType = pytest.importorskip(name)
    return module


# -- what is in it


@needs_cargo
def test_every_crate_is_named_with_its_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    third_party = tool("third_party", monkeypatch)
    sbom = json.loads(third_party.sbom("fluvio_cffi", "1.2.3"))
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    crates = {crate["bom-ref"]: crate for crate in sbom["components"]}
    for crate in crates.values():
        licences = set(re.findall(r"[\w.-]+", crate["licenses"][0]["expression"]))
        assert licences - {"AND", "OR", "WITH"} <= LICENCES, crate["name"]
        assert "hashes" in crate or crate["name"] == "rust-std"
    names = {crate["name"] for crate in crates.values()}
    assert names >= {"fluvio", "wasmi", "ring"}
    # Neither ours nor what stays behind: tools of the build, macros, what only tests or only Windows use.
    assert not {name for name in names if re.match(r"fluvio-cffi|cc$|syn$|serde_derive$|proptest|windows", name)}
    inner = [inner["purl"] for crate in crates.values() for inner in crate.get("components", ())]
    assert [purl for purl in inner if purl.startswith("pkg:generic/zstd@1.")]

    edges = {edge["ref"]: edge["dependsOn"] for edge in sbom["dependencies"]}
    root = sbom["metadata"]["component"]["bom-ref"]
    assert root == "pkg:pypi/fluvio-cffi@1.2.3"
    reached, open_ends = set(), [root]
    while open_ends:
        new = [ref for ref in edges.get(open_ends.pop(), ()) if ref not in reached]
        reached.update(new)
        open_ends += new
    assert reached == set(crates)


@needs_cargo
def test_notices_have_the_text_of_every_licence(monkeypatch: pytest.MonkeyPatch) -> None:
    third_party = tool("third_party", monkeypatch)
    notices = third_party.notices()
    assert third_party.notices() == notices
    assert str(Path.home()) not in notices and str(ROOT) not in notices
    with_text = {
        name for names in re.findall(r"^-{100}\n(.+)\n-{100}$", notices, re.MULTILINE) for name in names.split(", ")
    }
    # Who brings none may be used under the licence of this package, which is in the wheel.
    without = {crate.key: crate.licence for crate in third_party.crates() if crate.name not in with_text}
    assert [key for key, licence in without.items() if "Apache-2.0" not in licence.split(" OR ")] == []
    for words in ("BoringSSL", "Meta Platforms, Inc.", "Mozilla Public License Version 2.0"):
        assert words in notices


# -- the same bytes


def a_wheel(path: Path, names: list[str], when: tuple[int, int, int, int, int, int], mode: int, level: int) -> Path:
    with zipfile.ZipFile(path, "w") as wheel:
        for name in names:
            entry = zipfile.ZipInfo(name, when)
            entry.external_attr = (mode | (0o111 if name.endswith("cluster") else 0)) << 16
            wheel.writestr(entry, name * 1000, zipfile.ZIP_DEFLATED, compresslevel=level)
    return path


def test_order_times_and_modes_are_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel_files = tool("wheel_files", monkeypatch)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    names = ["x/__init__.py", "x/bin/cluster", "x-1.dist-info/METADATA", "x-1.dist-info/RECORD"]
    one = a_wheel(tmp_path / "one.whl", names, (2026, 11, 29, 12, 0, 0), 0o100600, 1)
    other = a_wheel(tmp_path / "other.whl", names[::-1], (1999, 1, 1, 0, 0, 0), 0o100664, 9)
    for wheel in (one, other):
        wheel_files.settle(wheel)
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as settled:
        assert settled.namelist() == names
        assert [entry.external_attr >> 16 for entry in settled.infolist()] == [0o100644, 0o100755, 0o100644, 0o100644]
        assert {entry.date_time for entry in settled.infolist()} == {(2020, 2, 2, 0, 0, 0)}
        assert settled.read("x/bin/cluster") == b"x/bin/cluster" * 1000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    wheel_files.settle(one)
    with zipfile.ZipFile(one) as settled:
        assert {entry.date_time for entry in settled.infolist()} == {(2023, 11, 14, 22, 13, 20)}


def test_smallest_is_the_same_but_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zopfli.zlib")
    wheel_files = tool("wheel_files", monkeypatch)
    wheel = tmp_path / "one.whl"
    with zipfile.ZipFile(wheel, "w") as new:
        new.writestr("a", (ROOT / "CHANGELOG.md").read_bytes())
        new.writestr("b", b"")
    wheel_files.settle(wheel)
    size = wheel.stat().st_size
    wheel_files.settle(wheel, smallest=True)
    assert wheel.stat().st_size < size
    with zipfile.ZipFile(wheel) as small:
        assert small.testzip() is None
        assert small.read("a") == (ROOT / "CHANGELOG.md").read_bytes()


@needs_cargo
def test_released_code_has_no_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the compiler is told so; whether it heeds it is asked of the installed files, in test_packaging.py."""
    release_flags = tool("release_flags", monkeypatch)
    monkeypatch.setenv("RUSTFLAGS", "-Cforce-frame-pointers")
    first, *ours = release_flags.released()["RUSTFLAGS"].split()
    assert first == "-Cforce-frame-pointers"
    home = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
    assert any(flag.startswith(f"--remap-path-prefix={home}") and flag.endswith("=/crates") for flag in ours)


def test_zstd_packs_at_the_level_that_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """At level 1 it looks for repetitions in the fastest way, however large a batch is. The others are left out."""
    flags = tool("release_flags", monkeypatch).released()["CFLAGS"]
    assert "-DZSTD_EXCLUDE_DFAST_BLOCK_COMPRESSOR" in flags.split()
    codec = (ROOT / "rust-ffi" / "wire" / "src" / "codec.rs").read_text(encoding="utf-8")
    assert re.findall(r"ZSTD_LEVEL.* = (\d+);", codec) == ["1"]


# -- the workflows


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_and_may_do_little(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name) for name in used)
    # Beside each stands the version, and one action has one.
    pins = set(re.findall(r"uses: (\S+) # (v\d+\.\d+\.\d+)$", text, re.MULTILINE))
    assert {name for name, _ in pins} == set(used)
    assert len({name.partition("@")[0] for name, _ in pins}) == len(pins)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert "permissions" in job and "timeout-minutes" in job
        writes = {name for name, kind in job["permissions"].items() if kind == "write"}
        assert writes == ({"attestations", "id-token"} if job["name"] == "publish" else set())
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_what_workflows_run_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for file in WORKFLOWS:
        for step in steps(yaml.safe_load(file.read_text(encoding="utf-8"))):
            for target in re.findall(r"\bmake ([\w-]+)", step.get("run", "")):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
            for path in re.findall(r"\btools/[\w./-]+", step.get("run", "")):
                assert os.access(ROOT / path, os.X_OK), path


def test_wheels_are_built_for_every_platform_once() -> None:
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    # By one Python, for glibc and for musl.
    assert re.search(r'^\[tool.cibuildwheel\]\nbuild = "cp3\d+-\*"$', settings, re.MULTILINE)
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    machines = release["jobs"]["wheels"]["strategy"]["matrix"]["machine"]
    assert {machine.partition("-")[0] for machine in machines} == {"ubuntu", "macos"}
    assert len(machines) == 4


def test_scripts_are_well_formed() -> None:
    for script in sorted((ROOT / "tools").glob("*.sh")):
        subprocess.run(["bash", "-n", str(script)], check=True)
        assert os.access(script, os.X_OK), script
