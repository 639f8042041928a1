"""Waiting, in one place: the contract that asyncio, trio and threads fulfil.

A *backend* is where the tasks or threads of a client wait. It owns a :class:`CompletionQueue` and sees to it that the
completion queue is drained while a client is open. Three things pin the contract down:

*Who drains.* asyncio: a reader callback of the loop. trio: one system task. Threads: one of those that wait; it wakes
the others and hands over when its own wait is over, and where it does not go on another one takes over. The first
client to open starts the draining, the last to close ends it.

*How a wait ends.* ``wait(waiter, timeout)`` returns true once ``waiter.wake()`` was called, false once the time is
over, and raises the caller's cancellation. It decides nothing else: whoever waited must undo what it waited for.
Cancellation is never held back; no task outlives the wait.

*When a task yields that has no need to wait.* ``due()`` says so, once per 1,000 calls or per 0.3 ms that no task
has waited; then ``await rest()`` lets the other tasks run. Under trio it also says so in a cancelled task, and
``rest()`` raises.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import TYPE_CHECKING, ClassVar, Final

from fluvio_cffi._native.process import forked, process
from fluvio_cffi._native.queue import CompletionQueue, Operation
from fluvio_cffi._native.tickets import SendFuture, deliver

if TYPE_CHECKING:
    from fluvio_cffi._metadata import RecordMetadata

READY_CALLS: Final = 1000
READY_SECONDS: Final = 0.0003
BREATH_SECONDS: Final = 0.005
BREATH_LENGTH: Final = 0.00002


class Waiter(ABC):
    """One wait of one task.

    :ivar owner: whose wait it is, where the owner may wait once more in the middle of it.
    """

    __slots__ = ()

    owner: object = None

    @abstractmethod
    def wake(self) -> None:
        """Ends the wait. On the backend's loop, or in any of the threads; calls after the first do nothing."""


class Backend:
    """What the backends of loops and threads share.

    :ivar cancellations: rises when a task that awaits a future is cancelled, where that is known.
    """

    def __init__(self, completions: CompletionQueue) -> None:
        self.completions = completions
        self.cancellations = 0
        self.generation: int = process.generation
        self._clients = 0
        self._breathed = 0.0

    def check_fork(self) -> None:
        """Raises :class:`ForkedError` in a child of the process that made the backend."""
        if self.generation != process.generation:
            raise forked("this client was inherited through a fork")

    @property
    def forked(self) -> bool:
        """Whether this process is a child of the one that made the backend."""
        return self.generation != process.generation

    def acquire(self) -> None:
        """A client opens: from now on the completion queue is drained."""
        self.completions.ended = False
        self._clients += 1
        if self._clients == 1:
            self._attach()

    def release(self) -> None:
        """A client has closed. With the last one the draining ends; never raises."""
        self._clients -= 1
        if self._clients == 0:
            self._detach()

    def breathe(self) -> None:
        """Lets other threads have the interpreter, every few milliseconds of work that calls the library in short.

        A call of the library gives up the interpreter's lock for about a microsecond: too short for a thread that waits
        for it, but enough to begin its five milliseconds of patience anew. It could starve for a tenth of a second.
        """
        now = monotonic()
        if now - self._breathed > BREATH_SECONDS:
            if now - self._breathed < 4 * BREATH_SECONDS and threading.active_count() > 1:
                sleep(BREATH_LENGTH)
            self._breathed = now

    def _attach(self) -> None:
        """Starts draining."""

    def _detach(self) -> None:
        """Stops draining."""

    def _pump(self) -> None:
        self.completions.drain()
        self.completions.run_due()

    def _last_words(self) -> None:
        """The last client is closed: what completed until now is looked at, the rest cannot be."""
        self._pump()
        self.completions.fail_rest()
        self.completions.run_due()


class AsyncBackend(Backend, ABC):
    """Where the tasks of an event loop wait."""

    tells_late: ClassVar[bool] = False
    """Whether a cancelled task hears of it only when it waits next."""

    def __init__(self, completions: CompletionQueue) -> None:
        super().__init__(completions)
        # The loop's.
        self.thread: int = threading.get_ident()
        self._ready = 0
        self._since = 0.0
        self._turning = False

    @abstractmethod
    def check(self) -> None:
        """Raises unless it is called in the backend's event loop, and not after a fork."""

    def look(self) -> None:
        """Does nothing: the loop takes up what has completed by itself. Any thread."""

    @abstractmethod
    def waiter(self) -> Waiter:
        """A new wait of the calling task, which must not suspend before it waits."""

    @abstractmethod
    def send_future(self) -> SendFuture:
        """A new future for the calling task to await. Checks as :meth:`check` does."""

    def deliver(self, futures: Sequence[SendFuture], results: Sequence[RecordMetadata]) -> None:
        """The records whose senders await `futures` are acknowledged."""
        deliver(futures, results)

    @abstractmethod
    async def wait(self, waiter: Waiter, timeout: float | None) -> bool:
        """Waits for ``waiter.wake()``: true; at most `timeout` seconds: false."""

    @abstractmethod
    async def rest(self) -> None:
        """Lets other tasks run."""

    @abstractmethod
    def soon(self, callback: Callable[[], None]) -> None:
        """Calls `callback`, which must not raise, when the loop turns next."""

    def call_later(self, callback: Callable[[], None]) -> None:
        """Calls `callback`, which must not raise, in the loop: at the end of the drain that is under way, before any
        task that it wakes; else when the loop turns next. Does nothing when the loop is closed. Any thread."""
        completions = self.completions
        completions.call_later(callback)
        if threading.get_ident() != self.thread or not completions.draining:
            self.threadsafe(completions.run_due)

    def awaken(self, waiter: Waiter) -> None:
        """Ends a wait, which is over when the loop turns next. Any thread; safe in a signal handler."""
        self.threadsafe(waiter.wake)

    @abstractmethod
    def threadsafe(self, callback: Callable[[], None]) -> None:
        """The same from any thread; does nothing when the loop is closed."""

    @abstractmethod
    def is_cancellation(self, error: BaseException) -> bool:
        """Whether `error` is how a cancelled task ends."""

    @abstractmethod
    def runs_elsewhere(self) -> bool:
        """Whether the loop runs, in another thread than the calling one. Any thread."""

    def cancelled(self) -> bool:
        """Whether the calling task was cancelled and will be told so when it waits next, as far as that is known."""
        return False

    def due(self, calls: int = 1) -> bool:
        """Whether a task that need not wait must yield: see the module's comment.

        :param calls: what it has done counts as that many.
        """
        ready = self._ready
        self._ready = ready + calls
        if ready == 0:
            self._since = monotonic()
            self._expect_turn()
            return False
        return ready + calls >= READY_CALLS or monotonic() - self._since > READY_SECONDS

    def _expect_turn(self) -> None:
        """The caller may let the loop turn by waiting for something else, of which nothing is heard here."""
        if not self._turning:
            self._turning = True
            self.soon(self._turn)

    def _turn(self) -> None:
        self._turning = False
        self.turned()

    def turned(self) -> None:
        """The loop has turned, or another task has its turn: nobody need yield for a while."""
        self._ready = 0

    async def finish(self, operation: Operation) -> Operation:
        """Waits for an operation that was started with one of this backend's waiters.

        A cancelled caller leaves at once, and the operation is cancelled and disposed of.
        """
        waiter = operation.waiter
        assert isinstance(waiter, Waiter)
        try:
            await self.wait(waiter, None)
        except BaseException:
            self.completions.abandon(operation)
            raise
        return operation


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions of a group, or the one that it is."""
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return [leaf for item in inner for leaf in leaves(item)] if inner else [error]
