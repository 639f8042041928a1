"""Who takes part, and how each of their runs is started: always as a process of its own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 300.0
HOSTS = ("asyncio", "uvloop", "trio", "sync")


class Failure(Exception):
    """A run that ended with an error, or that lost, repeated or reordered a record."""


@dataclass(frozen=True)
class Contestant:
    """A program with verbs that prints one line of JSON."""

    name: str
    command: Sequence[str]
    # Its own words for the verbs that it calls otherwise.
    verbs: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def run(self, verb: str, addr: str, topic: str, *arguments: int) -> dict[str, float]:
        word, *options = self.verbs.get(verb, (verb,))
        command = [*self.command, word, addr, topic, *map(str, arguments), *options]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name}, {verb}: not done after {PATIENCE:g} s") from None
        if done.returncode != 0:
            raise Failure(f"{self.name}, {verb}: exit status {done.returncode}: {done.stderr.strip()[-2000:]}")
        result: dict[str, float] = json.loads(done.stdout)
        return result


def official(program: Path) -> Contestant:
    """The official client, in Rust, as its documentation says to use it."""
    verbs = {"consume-batches": ("consume", "records"), "consume-records": ("consume", "records")}
    return Contestant("official", [str(program)], verbs)


def official_batches(program: Path) -> Contestant:
    """The official client, reading by batches; that part of its interface is deprecated."""
    return Contestant("official, by batches", [str(program)], {"consume-batches": ("consume", "batches")})


def ours(host: str) -> Contestant:
    """This library on one event loop, or on threads."""
    worker = Path(__file__).with_name("worker.py")
    return Contestant(host, [sys.executable, str(worker), host])


def installed_hosts() -> list[str]:
    return [host for host in HOSTS if host in ("asyncio", "sync") or importlib.util.find_spec(host) is not None]
