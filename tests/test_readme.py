"""Runs the Python blocks of the README, each as a program, and compares what it prints where that is shown."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluvio_cffi import LocalCluster

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
BLOCKS = list(BLOCK.finditer(README))


def heading(block: re.Match[str]) -> str:
    return re.findall(r"^#+ (.+)$", README[: block.start()], re.MULTILINE)[-1]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


def run(*arguments: str, folder: Path) -> str:
    # Elsewhere than in the checkout, so that the installed package is what is imported.
    result = subprocess.run(
        [sys.executable, "-W", "error", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_every_block_is_found() -> None:
    assert len(BLOCKS) == README.count("```python") >= 7


@pytest.mark.parametrize("block", BLOCKS, ids=heading)
def test_block(block: re.Match[str], cluster: LocalCluster, tmp_path: Path) -> None:
    code = block["code"].replace("127.0.0.1:9003", cluster.endpoint)
    output = run("-c", code, folder=tmp_path)
    assert output
    if block["output"] is not None:
        assert output == block["output"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example(example: Path, cluster: LocalCluster, tmp_path: Path) -> None:
    assert run(str(example), cluster.endpoint, folder=tmp_path)


def test_demo(tmp_path: Path) -> None:
    output = run("-m", "fluvio_cffi", "demo", "--records", "5000", folder=tmp_path)
    for name in ("asyncio", "trio", "threads"):
        assert name in output


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_link(link: str) -> None:
    assert (ROOT / link).exists(), link


def test_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)\b(?=\s*(?:`|#))", README))
    assert named >= {"demo", "test", "wheel", "help"}
    assert named <= targets
