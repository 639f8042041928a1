"""The benchmarks run, with few records: what they find out is for ``make bench``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from laws import long_only

import fluvio_cffi

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 600
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "rust-ffi" / "target"))
# `cargo test` builds it.
RUST = [TARGET / profile / "examples" / "contestants" for profile in ("debug", "release")]


@pytest.fixture
def rust() -> Path:
    for program in RUST:
        if program.exists():
            return program
    pytest.skip(f"{RUST[0]} is not built")


def run(command: list[str]) -> str:
    """What a program says that works with the package that is tested, wherever it is."""
    path = os.pathsep.join(
        [str(Path(fluvio_cffi.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    surroundings = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=surroundings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bench(rust: Path, folder: Path, *options: str) -> dict[str, object]:
    command = [sys.executable, str(ROOT / "benchmarks" / "bench.py"), "--rust", str(rust), "--smoke"]
    command += ["--json", str(folder / "found.json"), "--picture", str(folder / "found.svg"), *options]
    run(command)
    found: dict[str, object] = json.loads((folder / "found.json").read_text())
    ElementTree.parse(folder / "found.svg")
    assert found["failures"] == []
    return found


@pytest.mark.timeout(TIMEOUT + 10)
def test_the_table(rust: Path, tmp_path: Path) -> None:
    found = bench(
        rust,
        tmp_path,
        "--hosts",
        "asyncio",
        "--measures",
        "produce,batches,consume,records,latency,tasks,growth,health",
    )
    measures = found["measures"]
    assert isinstance(measures, dict)
    assert set(measures["consume-arrow"]["contestants"]) == {
        "official",
        "official, by batches",
        "plain loop",
        "asyncio",
    }
    assert set(measures["produce-1"]["contestants"]) == {"official", "plain loop", "asyncio"}
    assert measures["produce-1"]["targets"][0]["found"] > 0


@pytest.mark.timeout(TIMEOUT + 10)
def test_first_calls_hardly_compile() -> None:
    """What holds an event loop in a first call is, above all, the compiler: 40 dataclasses of the standard library are
    240 pieces of code, and 20 ms. Producing and consuming compile nothing."""
    found = json.loads(run([sys.executable, str(ROOT / "benchmarks" / "first_calls.py"), "--compiled"]))
    assert set(found) == {"asyncio", "trio"}
    for host, calls in found.items():
        assert len(calls) > 40
        for name, compiled in calls.items():
            administers = "_" in name and name not in ("send_all", "producer_close", "consumer_close")
            limit = 50 if administers else 1 if name == "connect" else 0
            assert compiled <= limit or name == "everything", f"{host}: {name} compiles {compiled} pieces of code"


@long_only
@pytest.mark.timeout(TIMEOUT + 10)
def test_all_measures(rust: Path, tmp_path: Path) -> None:
    found = bench(rust, tmp_path, "--full")
    assert "idle" in found["measures"]  # type: ignore[operator]
