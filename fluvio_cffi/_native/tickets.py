"""Tickets: batches of the library whose outcome is not known yet."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import count as numbers
from itertools import repeat
from typing import Any, Final, Protocol, cast

from fluvio_cffi._errors import FluvioError, SmartModuleError, fresh
from fluvio_cffi._metadata import RecordMetadata

# What calling RecordMetadata does, without the way through Python code.
_new_metadata: Final = cast("Callable[[type[RecordMetadata], Iterable[object]], RecordMetadata]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]


class Wakeable(Protocol):
    """Something that a completion wakes."""

    def wake(self) -> None:
        """Ends the wait. Called where the queue is drained, perhaps more than once; never blocks."""


class SendFuture(Protocol):
    """What a task that sends a record awaits: as much of a future as that needs. It belongs to the backend's loop.

    One task awaits it, once; when that task is cancelled, the future is done.
    """

    def done(self) -> bool:
        """Whether no task waits (any more)."""
        ...

    def set_result(self, metadata: RecordMetadata, /) -> None:
        """The record is acknowledged. The future must not be done."""
        ...

    def set_exception(self, error: FluvioError, /) -> None:
        """The record failed. The future must not be done."""
        ...

    def __await__(self) -> Generator[Any, Any, RecordMetadata]: ...


def deliver(futures: Sequence[SendFuture], results: Sequence[RecordMetadata]) -> None:
    """The records whose senders await `futures` are acknowledged."""
    for future, result in zip(futures, results, strict=False):
        if not future.done():
            future.set_result(result)


class Deliver(Protocol):
    """:func:`deliver`, as it is done where the senders wait."""

    def __call__(self, futures: Sequence[SendFuture], results: Sequence[RecordMetadata], /) -> None: ...


class Account(Protocol):
    """The account of the producer whose records a ticket has: what is in flight, and which failures nobody has claimed.

    :ivar topic: where the records go.
    :ivar settled: how many of its records are settled.
    :ivar count: how many failures nobody has claimed.
    :ivar generation: rises whenever the failures were reported.
    """

    topic: str
    settled: int
    count: int
    generation: int

    @property
    def deliver(self) -> Deliver:
        """Has the senders of records go on."""
        ...

    def example(self, ticket: Ticket) -> None:
        """Notes a ticket whose records failed."""
        ...


class Ticket:
    """One batch of the library.

    :ivar bound: how many of its records submissions have accounted for.
    :ivar passed: whether its completion is passed over, and does not come again.
    :ivar claimed: of how many of its records somebody has seen the outcome, or will see it.
    """

    __slots__ = (
        "_accounted",
        "_futures",
        "_waiters",
        "base",
        "bound",
        "claimed",
        "count",
        "done",
        "error",
        "generation",
        "ledger",
        "partition",
        "passed",
    )

    def __init__(self) -> None:
        self._accounted: bool = False
        self.ledger: Account | None = None
        self.generation: int = -1
        self.bound: int = 0
        self.claimed: int = 0
        self.done: bool = False
        self.passed: bool = False
        self.error: FluvioError | None = None
        self.base: int = -1
        self.count: int = 0
        self.partition: int = 0
        # Most tickets have neither: thousands of empty lists would have the garbage collector look through the memory
        # of the whole process.
        self._waiters: list[Wakeable] | None = None
        # Runs of consecutive records whose senders wait: the index of the first one, their timestamp, their futures.
        self._futures: list[tuple[int, int, Sequence[SendFuture]]] | None = None

    def attach(self, ledger: Account) -> None:
        """Notes whose account the records belong to."""
        self.ledger = ledger
        if self.done and not self._accounted:
            self._account(ledger)

    def settle(self, base: int, count: int, partition: int) -> None:
        """The records are acknowledged. May be called twice, as :meth:`fail` may."""
        # One step.
        if not self.done:
            self.base = base
            self.partition = partition
            self.count = count
            self.done = True
        ledger = self.ledger
        # What `_account` does, of what has not failed. One step.
        if ledger is not None and not self._accounted and self.error is None:
            self._accounted = True
            ledger.settled += self.count
        if self._waiters is not None or self._futures is not None:
            self._notify()

    def fail(self, error: FluvioError, count: int) -> None:
        """The records failed."""
        # One step.
        if not self.done:
            self.error = error
            self.count = count
            self.done = True
        self._notify()

    def serve(self, index: int, timestamp: int, futures: Sequence[SendFuture]) -> None:
        """The senders of the records from `index` on await `futures`."""
        if self.done:
            self._serve(index, timestamp, futures)
        elif self._futures is None:
            self._futures = [(index, timestamp, futures)]
        else:
            self._futures.append((index, timestamp, futures))

    def wait(self, *waiters: Wakeable) -> None:
        """Has `waiters` woken when the ticket is settled; at once, if it is."""
        added = [*waiters]
        before = self._waiters
        if before is None:
            # One step.
            self._waiters = added
        else:
            before.extend(added)
        # `settle` and `fail` mark the ticket before they look for waiters: one of the two notices.
        if self.done:
            for waiter in waiters:
                waiter.wake()

    def leave(self, waiter: Wakeable) -> None:
        """`waiter` does not wait any more, if it did."""
        # One step.
        if self._waiters is not None and waiter in self._waiters:
            self._waiters.remove(waiter)

    def claim(self, count: int) -> None:
        """Somebody has seen the outcome of `count` more records, or will see it: their failures need no report.
        Negative: as :meth:`release`."""
        ledger = self.ledger
        # One step.
        self.claimed += count
        if self.error is not None and ledger is not None and self.generation == ledger.generation:
            ledger.count -= count

    def release(self, count: int) -> None:
        """Reverses :meth:`claim` for `count` records: the caller has left without their outcome."""
        self.claim(-count)

    def metadata(self, topic: str, index: int, timestamp: int) -> RecordMetadata:
        """Where the record `index` of the ticket is; raises the error if it failed."""
        if self.error is not None:
            raise self.error_of(index)
        return RecordMetadata(topic, self.partition, self.offset(index), timestamp)

    def offset(self, index: int) -> int | None:
        """The offset of the record `index`; ``None``: nobody knows it."""
        return None if self.base < 0 else self.base + index

    def error_of(self, index: int) -> FluvioError:
        """A copy of the error, of which the record `index` is one cause of perhaps several."""
        assert self.error is not None
        return about(self.error, index, 1, 0)

    def _account(self, ledger: Account) -> None:
        awaited = 0
        if self.error is not None:
            awaited = sum([not future.done() for _, _, futures in self._futures or () for future in futures])
            ledger.example(self)
        # One step.
        if not self._accounted:
            self._accounted = True
            ledger.settled += self.count
            if self.error is not None:
                self.generation = ledger.generation
                ledger.count += self.count - self.claimed - awaited

    def _notify(self) -> None:
        """Tells everybody who waits for the ticket that it is settled."""
        ledger = self.ledger
        if ledger is not None and not self._accounted:
            self._account(ledger)
        if self._waiters is not None:
            for waiter in tuple(self._waiters or ()):
                waiter.wake()
            self._waiters = None
        if self._futures is not None:
            for index, timestamp, futures in self._futures:
                self._serve(index, timestamp, futures)
            self._futures = None

    def _serve(self, index: int, timestamp: int, futures: Sequence[SendFuture]) -> None:
        ledger = self.ledger
        if self.error is not None:
            for place, future in enumerate(futures, index):
                if not future.done():
                    future.set_exception(self.error_of(place))
        elif ledger is not None:
            base = self.base
            if len(futures) == 1:
                offset = None if base < 0 else base + index
                record = _new_metadata(RecordMetadata, (ledger.topic, self.partition, offset, timestamp))
                ledger.deliver(futures, (record,))
                return
            offsets = repeat(None) if base < 0 else numbers(base + index)
            fields = zip(repeat(ledger.topic), repeat(self.partition), offsets, repeat(timestamp), strict=False)
            records = map(_new_metadata, repeat(RecordMetadata, len(futures)), fields)
            ledger.deliver(futures, [*records])


def about(error: FluvioError, first: int, count: int, place: int) -> FluvioError:
    """A copy of a batch's error for whom `count` of its records, from `first` on, are the records from `place` on."""
    copy = fresh(error)
    if isinstance(copy, SmartModuleError) and copy.record_index is not None:
        index = copy.record_index - first
        copy.record_index = place + index if 0 <= index < count else None
    return copy
