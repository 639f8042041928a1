"""What the tests of the laws have in common: the long variants, and what may be left when all is closed."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluvio_cffi._native.loader import ffi, lib
from fluvio_cffi._native.logs import logs

LONG = os.environ.get("FLUVIO_CFFI_LONG", "") not in ("", "0")
"""Whether the long variants run: set the environment variable FLUVIO_CFFI_LONG to 1."""

has_long_form = pytest.mark.long
"""Marks a test that does more where LONG is set, so that `make test-long` runs it. All in tests/long bear the mark."""

long_only = pytest.mark.skipif(not LONG, reason="long: set FLUVIO_CFFI_LONG=1")


def stop(process: int | None) -> None:
    """Stops a process as SIGSTOP does, and returns once the last of its threads has noticed."""
    assert process is not None
    os.kill(process, signal.SIGSTOP)
    tasks = Path(f"/proc/{process}/task")
    while any((task / "stat").read_text().rpartition(")")[2].split()[0] != "T" for task in tasks.iterdir()):
        time.sleep(0.001)


def native_counts() -> dict[str, int]:
    """What is alive in the library."""
    found = ffi.new("flv_counts_t *")
    found.struct_size = ffi.sizeof("flv_counts_t")
    assert lib.flv_debug_counts(found) == 0
    return {name: getattr(found, name) for name in dir(found) if name not in ("struct_size", "reserved")}


def native_threads() -> list[str]:
    """The names of our threads in this process. Those of the official client's crates, async-io and
    async-global-executor, are made once, hold nothing of ours, and stay."""
    names: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            name = (task / "comm").read_text().strip()
            if name.startswith(("fluvio", "tokio")):
                names.append(name)
    return sorted(names)


def connections() -> int:
    """The TCP sockets of this process."""
    sockets: set[str] = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets.add(os.readlink(link))
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path("/proc/self/net", name).read_text().splitlines()]
    return sum(f"socket:[{row[9]}]" in sockets for row in rows)


def descriptors() -> int:
    """The descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def state() -> dict[str, object]:
    """Everything that must be after a test as it was before it. The owner of what this interpreter opens comes with the
    first client, and stays: that one is always counted."""
    counts = native_counts()
    counts["owners"] = max(counts["owners"], 1)
    return {**counts, "threads": native_threads(), "tcp": connections()}


def left(before: dict[str, object], now: dict[str, object]) -> dict[str, tuple[object, object]]:
    """What is otherwise than before. Threads that the library keeps for a while may have ended meanwhile."""
    changed = {name: (value, now[name]) for name, value in before.items() if now[name] != value}
    threads = [names for names in (before["threads"], now["threads"]) if isinstance(names, list)]
    if len(threads[1]) < len(threads[0]):
        del changed["threads"]
    return changed


@contextlib.contextmanager
def nothing_left(seconds: float = 5.0) -> Iterator[None]:
    """What the block makes is gone within `seconds` after it: handles, operations, descriptors, connections, threads.

    The official client's crates hold on to the last event loop of the library, of which four poll descriptors are left,
    until the next one is made; sometimes to the last two. So of the descriptors only the number is bounded.
    """
    # The thread that reads the library's log stays once there was a client.
    logs.begin()
    gc.collect()
    before = settled()
    opened = descriptors()
    yield
    deadline = time.monotonic() + seconds
    while True:
        gc.collect()
        changed = left(before, state())
        if (not changed and descriptors() <= opened + 12) or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    assert descriptors() <= opened + 12
    assert not changed, f"was, and is: {changed}"


def settled(quiet: float = 0.1, seconds: float = 5.0) -> dict[str, object]:
    """The state, once it has not changed for a while: what was closed in the background is gone."""
    deadline = time.monotonic() + seconds
    last, since = state(), time.monotonic()
    while time.monotonic() - since < quiet and time.monotonic() < deadline:
        time.sleep(0.02)
        now = state()
        if now != last:
            last, since = now, time.monotonic()
    return last
