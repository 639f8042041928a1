"""The checks that hold for every cluster, run as one does against a real one: they know its address alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fluvio_cffi import LocalCluster

SPU = 5001
CHECKS = Path(__file__).with_name("test_conformance.py")
CHECKOUT = CHECKS.parents[2]


@pytest.mark.timeout(180)
def test_the_checks_pass_on_a_cluster_that_is_named() -> None:
    """One that is as late as the real one, and loses what that loses."""
    with LocalCluster() as cluster, cluster.faults.lose_reports(SPU), cluster.faults.delay_partitions(SPU, 0.005):
        named = ["--fluvio-endpoint", cluster.endpoint]
        options = ["-q", "-W", "error", f"--config-file={CHECKOUT / 'pyproject.toml'}", f"--rootdir={CHECKOUT}"]
        checks = subprocess.run(
            [sys.executable, "-m", "pytest", *options, str(CHECKS), *named],
            env={**os.environ, "FLUVIO_CFFI_CLUSTER": "/nowhere"},  # it is not to start another one
            capture_output=True,
            text=True,
        )
        assert checks.returncode == 0, checks.stdout + checks.stderr
        assert " passed" in checks.stdout and " skipped" not in checks.stdout
