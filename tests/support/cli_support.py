"""The command line, as a program of its own, on a terminal, or within the test."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import fluvio_cffi
from fluvio_cffi import LocalCluster
from fluvio_cffi.__main__ import main

# Where the package is, a checkout or an installed wheel.
HOME = str(Path(fluvio_cffi.__file__).parents[1])
PROGRAM = [sys.executable, "-c", "import sys; sys.argv[0] = 'flv'; from fluvio_cffi_flv import main; sys.exit(main())"]


def environment(**changes: str) -> dict[str, str]:
    """What the program finds around it: no profile, nothing that was asked for otherwise."""
    others = ("FLV_", "NO_COLOR", "COLUMNS", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return {**kept, "PYTHONPATH": HOME, "FLV_PROFILE_PATH": "/nonexistent/config", "TERM": "xterm", **changes}


def flv(*arguments: str, input: bytes = b"", timeout: float = 60, **changes: str) -> subprocess.CompletedProcess[bytes]:
    """Runs it to its end."""
    command = [*PROGRAM, *arguments]
    return subprocess.run(
        command, input=input, capture_output=True, timeout=timeout, check=False, env=environment(**changes)
    )


def started(*arguments: str, **keywords: Any) -> subprocess.Popen[Any]:
    """Starts it."""
    return subprocess.Popen([*PROGRAM, *arguments], env=environment(), **keywords)


def on_terminal(*arguments: str, columns: int = 80, rows: int = 24, **changes: str) -> Any:
    """Starts it on a terminal of its own."""
    import pexpect

    return pexpect.spawn(
        PROGRAM[0],
        [*PROGRAM[1:], *arguments],
        env=environment(**changes),
        dimensions=(rows, columns),
        timeout=30,
        encoding="utf-8",
        echo=False,
    )


@dataclass
class Result:
    """What became of a command.

    :ivar status: what it exited with.
    """

    status: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, fluvio_cluster: LocalCluster
) -> Run:
    """Runs commands within the test, which starts no interpreter: on the cluster that all share."""
    for variable, value in environment().items():
        monkeypatch.setenv(variable, value)

    def invoke(*arguments: str, input: bytes = b"", cluster: str | None = fluvio_cluster.endpoint) -> Result:
        capfdbinary.readouterr()
        reader, writer = os.pipe()
        os.write(writer, input)
        os.close(writer)
        with os.fdopen(reader, "r") as source, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", source)
            given = [] if cluster is None else ["-c", cluster]
            status = main([*given, *arguments], program="flv")
        out, err = capfdbinary.readouterr()
        return Result(status, out.decode(), err.decode())

    return invoke


@pytest.fixture
def name() -> str:
    """A name that nothing else has."""
    return f"cli-{uuid.uuid4().hex[:12]}"
