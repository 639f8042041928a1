"""What the tests of the command line have in common."""

from __future__ import annotations

import uuid

import pytest
from cli_support import Run, within

from fluvio_cffi import LocalCluster


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, cluster: LocalCluster) -> Run:
    """Runs commands within the test, on the cluster that all share."""
    return within(capfdbinary, monkeypatch, cluster.endpoint)


@pytest.fixture
def name() -> str:
    """A name that nothing else has."""
    return f"cli-{uuid.uuid4().hex[:12]}"
