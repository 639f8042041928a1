"""Who takes part, and how each of their runs is started: always as a process of its own."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 300.0
HOSTS = ("asyncio", "uvloop", "trio", "sync")
HERE = Path(__file__).parent
OFFICIAL = "official"
BATCHES = "official, by batches"
SHARED = "official, one client"
PEER = "PyPI fluvio"
PLAIN = "plain loop"
OFF = "sync, tracing off"
TRACED = "sync, traced"
PEER_PACKAGE = "fluvio==0.21.0"


class Failure(Exception):
    """A run that ended with an error, or that lost, repeated or reordered a record."""


@dataclass(frozen=True)
class Contestant:
    """A program that takes what is to be done as JSON, and prints one line of JSON.

    `share`: of the records that the others are given; for one so slow that all of them would take minutes.
    """

    name: str
    command: Sequence[str]
    spec: Mapping[str, Any] = field(default_factory=dict[str, Any])
    share: float = 1.0

    def run(self, spec: Mapping[str, Any]) -> dict[str, float]:
        spec = {**spec, **self.spec}
        command = [*self.command, json.dumps(spec)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name}, {spec['verb']}: not done after {PATIENCE:g} s") from None
        if done.returncode != 0:
            said = done.stderr.strip()[-2000:]
            raise Failure(f"{self.name}, {spec['verb']}: exit status {done.returncode}: {said}")
        result: dict[str, float] = json.loads(done.stdout)
        return result


def rust(program: Path) -> list[Contestant]:
    """The official client, in Rust, as its documentation says to use it, and in the other ways that the README names;
    the plain loop on the protocol crates."""
    official = [str(program), "official"]
    return [
        Contestant(OFFICIAL, official, {"by": "records"}),
        Contestant(BATCHES, official, {"by": "batches"}),
        Contestant(SHARED, official, {"shared": True}),
        Contestant(PLAIN, [str(program), "plain"]),
    ]


def ours(host: str) -> Contestant:
    """This library on one event loop, or on threads."""
    return Contestant(host, [sys.executable, str(HERE / "worker.py"), host])


def tracing() -> list[Contestant]:
    """This library in a process in which tracing was on, and is off again; and with tracing, of which the SDK makes
    spans that nobody exports."""
    if importlib.util.find_spec("opentelemetry.sdk") is None:
        return []
    command = ours("sync").command
    return [Contestant(OFF, command, {"tracing": "off"}), Contestant(TRACED, command, {"tracing": "on"}, share=0.05)]


def installed_hosts() -> list[str]:
    return [host for host in HOSTS if host in ("asyncio", "sync") or importlib.util.find_spec(host) is not None]


def peer(folder: Path) -> Contestant:
    """The PyPI package, in a virtual environment of its own, made here if need be; Failure where it cannot be."""
    python = folder / "bin" / "python"
    if not _imports_peer(python):
        _install_peer(folder)
    return Contestant(PEER, [str(python), str(HERE / "peer.py")], share=0.1)


def _imports_peer(python: Path) -> bool:
    return python.exists() and subprocess.run([str(python), "-c", "import fluvio"], capture_output=True).returncode == 0


def _interpreters() -> Iterator[str]:
    yield sys.executable
    # The newest for which it and what it needs have wheels is 3.11; later ones have to build one of them.
    for minor in (11, 12, 10, 13, 9):
        found = shutil.which(f"python3.{minor}")
        if found is not None:
            yield found


def _install_peer(folder: Path) -> None:
    said = "no interpreter was found"
    for interpreter in _interpreters():
        steps = (
            [interpreter, "-m", "venv", "--clear", str(folder)],
            [str(folder / "bin" / "pip"), "install", "--quiet", "--only-binary", "fluvio", PEER_PACKAGE],
        )
        for step in steps:
            try:
                done = subprocess.run(step, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
            except (OSError, subprocess.TimeoutExpired) as error:
                said = str(error)
                break
            if done.returncode != 0:
                said = f"{interpreter}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}"
                break
        else:
            if _imports_peer(folder / "bin" / "python"):
                return
    shutil.rmtree(folder, ignore_errors=True)
    raise Failure(f"PyPI {PEER_PACKAGE} cannot be installed here: {said}")
