"""Tickets: batches of the library whose fate is still to be told."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import count as numbers
from itertools import repeat
from typing import Any, Final, Protocol, cast

from fluvio_cffi._errors import FluvioError
from fluvio_cffi._metadata import RecordMetadata

# What calling RecordMetadata does, without the way through Python code.
_new_metadata: Final = cast("Callable[[type[RecordMetadata], Iterable[object]], RecordMetadata]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]


class Wakeable(Protocol):
    """Something that a completion wakes."""

    def wake(self) -> None:
        """It is time. Called from where the queue is drained, perhaps more than once; never blocks."""


class Slot(Protocol):
    """What a task that sends a record awaits: a future of where the record is, no more. On the host's loop.

    Awaited once, by one task; when that is cancelled it is done.
    """

    def done(self) -> bool:
        """Whether nobody waits (any more)."""
        ...

    def set_result(self, metadata: RecordMetadata, /) -> None:
        """The record is acknowledged. Must not be done."""
        ...

    def set_exception(self, error: FluvioError, /) -> None:
        """The record failed. Must not be done."""
        ...

    def __await__(self) -> Generator[Any, Any, RecordMetadata]: ...


class Account(Protocol):
    """Whose records a ticket has: what is in flight, and which failures nobody looked at.

    :ivar topic: where the records go.
    :ivar settled: how many of its records are settled.
    :ivar count: how many failures nobody looked at.
    :ivar generation: rises whenever the failures were reported.
    """

    topic: str
    settled: int
    count: int
    generation: int

    def example(self, ticket: Ticket) -> None:
        """Records of `ticket` failed."""
        ...


class Ticket:
    """One batch of the library.

    :ivar bound: how many of its records submissions have accounted for.
    :ivar passed: whether its completion is passed over, and does not come again.
    :ivar seen: how many of its records somebody looks at, or will.
    """

    __slots__ = (
        "_accounted",
        "_slots",
        "_waiters",
        "base",
        "bound",
        "count",
        "done",
        "error",
        "generation",
        "ledger",
        "partition",
        "passed",
        "seen",
    )

    def __init__(self) -> None:
        self._accounted: bool = False
        self.ledger: Account | None = None
        self.generation: int = -1
        self.bound: int = 0
        self.seen: int = 0
        self.done: bool = False
        self.passed: bool = False
        self.error: FluvioError | None = None
        self.base: int = -1
        self.count: int = 0
        self.partition: int = 0
        # Most tickets have neither: thousands of empty lists would have the garbage collector look through the memory
        # of the whole process.
        self._waiters: list[Wakeable] | None = None
        # Runs of consecutive records whose senders wait: the first one's index, their timestamp, their slots.
        self._slots: list[tuple[int, int, Sequence[Slot]]] | None = None

    def attach(self, ledger: Account) -> None:
        """It belongs to this account."""
        self.ledger = ledger
        if self.done and not self._accounted:
            self._account(ledger)

    def settle(self, base: int, count: int, partition: int) -> None:
        """Its records are acknowledged. May be done twice, as :meth:`fail` may."""
        # One step.
        if not self.done:
            self.base = base
            self.partition = partition
            self.count = count
            self.done = True
        self._tell()

    def fail(self, error: FluvioError, count: int) -> None:
        """Its records failed."""
        # One step.
        if not self.done:
            self.error = error
            self.count = count
            self.done = True
        self._tell()

    def serve(self, index: int, stamp: int, slots: Sequence[Slot]) -> None:
        """The records from `index` on are those that `slots` wait for."""
        if self.done:
            self._serve(index, stamp, slots)
        elif self._slots is None:
            self._slots = [(index, stamp, slots)]
        else:
            self._slots.append((index, stamp, slots))

    def wait(self, *waiters: Wakeable) -> None:
        """These are woken when it is settled, or at once."""
        added = [*waiters]
        before = self._waiters
        if before is None:
            # One step.
            self._waiters = added
        else:
            before.extend(added)
        # Whoever settles it marks it, and then looks who waits.
        if self.done:
            for waiter in waiters:
                waiter.wake()

    def leave(self, waiter: Wakeable) -> None:
        """This one, if it waits, does so no more."""
        # One step.
        if self._waiters is not None and waiter in self._waiters:
            self._waiters.remove(waiter)

    def look(self, count: int) -> None:
        """Somebody looks at so many of its records, or will; negative: would have, and will not."""
        ledger = self.ledger
        # One step.
        self.seen += count
        if self.error is not None and ledger is not None and self.generation == ledger.generation:
            ledger.count -= count

    def metadata(self, topic: str, index: int, stamp: int) -> RecordMetadata:
        """Where the record `index` of it is; raises the error if it failed."""
        if self.error is not None:
            raise self.error._fresh()
        return RecordMetadata(topic, self.partition, self.base + index, stamp)

    def _account(self, ledger: Account) -> None:
        waiting = 0
        if self.error is not None:
            waiting = sum([not slot.done() for _, _, slots in self._slots or () for slot in slots])
            ledger.example(self)
        # One step.
        if not self._accounted:
            self._accounted = True
            ledger.settled += self.count
            if self.error is not None:
                self.generation = ledger.generation
                ledger.count += self.count - self.seen - waiting

    def _tell(self) -> None:
        """Tells whoever wants to know that it is settled."""
        ledger = self.ledger
        if ledger is not None and not self._accounted:
            self._account(ledger)
        if self._waiters is not None:
            for waiter in tuple(self._waiters or ()):
                waiter.wake()
            self._waiters = None
        if self._slots is not None:
            for index, stamp, slots in self._slots:
                self._serve(index, stamp, slots)
            self._slots = None

    def _serve(self, index: int, stamp: int, slots: Sequence[Slot]) -> None:
        if self.error is not None:
            for slot in slots:
                if not slot.done():
                    slot.set_exception(self.error._fresh())
        elif self.ledger is not None:
            if len(slots) == 1:
                if not slots[0].done():
                    place = (self.ledger.topic, self.partition, self.base + index, stamp)
                    slots[0].set_result(_new_metadata(RecordMetadata, place))
                return
            offsets = numbers(self.base + index)
            fields = zip(repeat(self.ledger.topic), repeat(self.partition), offsets, repeat(stamp), strict=False)
            for slot, metadata in zip(slots, map(_new_metadata, repeat(RecordMetadata), fields), strict=False):
                if not slot.done():
                    slot.set_result(metadata)
