"""What producing asks of the place where its callers wait; `_backends` has the classes that can do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from fluvio_cffi._native.queue import CompletionQueue
from fluvio_cffi._native.tickets import SendFuture

if TYPE_CHECKING:
    from fluvio_cffi._metadata import RecordMetadata


class ProduceBackend(Protocol):
    """Where tasks or threads wait.

    :ivar completions: completes what is started.
    """

    completions: CompletionQueue

    def check_fork(self) -> None:
        """Raises :class:`ForkedError` in a child of the process that made the backend."""
        ...

    def check(self) -> None:
        """Raises unless the caller may wait here."""
        ...

    def call_later(self, callback: Callable[[], None]) -> None:
        """Calls `callback`, which must not raise, soon: where the completion queue is drained, and not in the middle
        of that. Any thread."""
        ...

    def look(self) -> None:
        """Takes up what has completed, unless an event loop does so by itself."""
        ...


class LoopBackend(ProduceBackend, Protocol):
    """Where the tasks of an event loop wait.

    :ivar thread: the loop's thread.
    :ivar tells_late: whether a cancelled task hears of it only when it waits next.
    :ivar cancellations: rises when a task that awaits a future is cancelled, where that is known.
    """

    thread: int
    tells_late: ClassVar[bool]
    cancellations: int

    def send_future(self) -> SendFuture:
        """A new future for the calling task to await. Checks as :meth:`check` does."""
        ...

    def deliver(self, futures: Sequence[SendFuture], results: Sequence[RecordMetadata]) -> None:
        """The records whose senders await `futures` are acknowledged."""
        ...

    def cancelled(self) -> bool:
        """Whether the calling task was cancelled and will be told so when it waits next, as far as that is known."""
        ...

    def due(self, calls: int = 1) -> bool:
        """Whether the calling task must let others run, though it need not wait."""
        ...

    def turned(self) -> None:
        """The loop has turned: no task need yield for a while."""
        ...

    def soon(self, callback: Callable[[], None]) -> None:
        """Calls `callback`, which must not raise, when the loop turns next."""
        ...

    def threadsafe(self, callback: Callable[[], None]) -> None:
        """The same from any thread; does nothing when the loop is closed."""
        ...

    def runs_elsewhere(self) -> bool:
        """Whether the loop runs, in another thread than the calling one. Any thread."""
        ...
