"""What consuming asks of the place where its callers wait; `_backends` has the classes that can do it."""

from __future__ import annotations

from typing import Protocol

from fluvio_cffi._native.queue import CompletionQueue


class ConsumeBackend(Protocol):
    """Where tasks or threads wait.

    :ivar completions: completes what is started.
    """

    completions: CompletionQueue

    @property
    def forked(self) -> bool:
        """Whether this process is a child of the one that made the backend."""
        ...

    def check_fork(self) -> None:
        """Raises :class:`ForkedError` in a child of the process that made the backend."""
        ...

    def breathe(self) -> None:
        """Lets other threads have the interpreter, every few milliseconds of work that calls the library in short."""
        ...
