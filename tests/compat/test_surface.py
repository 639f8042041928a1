"""The public interface is that of the package fluvio 0.21.0 of PyPI: names, kinds, parameters and their defaults."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from witness import needs_witness

DESCRIBE = Path(__file__).parents[1] / "support" / "surface.py"
# As the witness is, described by tests/support/surface.py.
SURFACE: dict[str, Any] = json.loads((Path(__file__).parent / "surface.json").read_text(encoding="utf-8"))
# What the class says of itself is not what the objects are that the old package gives out.
ATTRIBUTES = ("consumer_id", "modified_time", "offset", "partition", "topic")


def described(*how: str) -> dict[str, Any]:
    command = [sys.executable, *how, str(DESCRIBE)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@needs_witness
def test_the_witness_is_as_described() -> None:
    assert described() == SURFACE


def test_ours_is_the_same() -> None:
    ours = described("-m", "fluvio_cffi.compat")
    package = ours["fluvio"]
    assert package.pop("install") == "()"
    # There it is an attribute of the objects, and not seen in the class.
    assert package["ConsumerIterator"].pop("stream") == "an attribute"
    for name in ATTRIBUTES:
        assert package["ConsumerOffset"][name] == "an attribute"
        package["ConsumerOffset"][name] = "()"
    assert ours == SURFACE
