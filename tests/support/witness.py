"""The package ``fluvio`` of PyPI, where it is installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util

import pytest

VERSION = "0.21.0"


def installed() -> str | None:
    return importlib.metadata.version("fluvio") if importlib.util.find_spec("fluvio") else None


needs_witness = pytest.mark.skipif(
    installed() != VERSION,
    reason=f"needs fluvio {VERSION} of PyPI, which has wheels for CPython 3.10 to 3.13: "
    "pip install --no-deps --only-binary :all: -r requirements/witness.in",
)
