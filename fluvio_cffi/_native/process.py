"""What must be known of this process: whether it connected, and what became of that in a fork."""

from __future__ import annotations

import os
from typing import Final

from fluvio_cffi._errors import ForkedError

from .loader import lib


class _Process:
    """What must be known of this process.

    :ivar connected: whether it, or a process that it is a child of, ever connected.
    :ivar generation: how many forks lie between the process that imported the package and this one.
    :ivar orphaned: whether it is a child of a process that had connected. Nothing of the library works in it.
    """

    __slots__ = ("connected", "generation", "orphaned")

    def __init__(self) -> None:
        self.connected = False
        self.generation = 0
        self.orphaned = False


process: Final = _Process()


def _after_fork_in_child() -> None:
    process.generation += 1
    if process.connected:
        process.orphaned = True
        lib.flv_fork_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def forked(what: str) -> ForkedError:
    """The error for a use after a fork, with what to do about it."""
    return ForkedError(f'{what}: connect only after the fork, in parent and child, or use the "spawn" start method')


def check_orphaned() -> None:
    """Raises :class:`ForkedError` in a child of a process that had connected."""
    if process.orphaned:
        raise forked("this process was forked from one that had connected")
