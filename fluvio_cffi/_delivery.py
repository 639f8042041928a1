"""What becomes of records that were accepted: tickets, the account of failures, and the result of ``send_all``.

A *ticket* stands for one batch of the library and is settled once. Receipts and results are views of their tickets, so
a million records cost a few thousand small objects.

Any call may come in the middle of any other one: `_hub` says what "one step" means.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count as numbers
from itertools import repeat
from typing import TYPE_CHECKING, ClassVar, Final, cast, overload

from ._check import kind
from ._errors import DeliveryError, FluvioError, FluvioTimeoutError, Outcome, Phase, brief, explained
from ._ffi import CData, ffi, lib
from ._types import RecordMetadata

if TYPE_CHECKING:
    from ._hub import Wakeable
    from ._waiting import Slot

EXAMPLES: Final = 16
# What calling RecordMetadata does, without the way through Python code.
_new_metadata: Final = cast("Callable[[type[RecordMetadata], Iterable[object]], RecordMetadata]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]


class Ledger:
    """A producer's account: what is in flight, and which failures nobody looked at.

    Memory is bounded: a counter and at most 16 examples.
    """

    __slots__ = ("_examples", "_producer", "count", "generation", "settled", "submitted", "topic")

    def __init__(self, topic: str, producer: CData) -> None:
        self.topic: str = topic
        # Not one that keeps the producer alive: receipts may outlive it.
        self._producer: CData = ffi.cast("flv_producer_t *", producer)
        self.submitted: int = 0
        self.settled: int = 0
        self.count: int = 0
        # Failures are reported once: those of an earlier generation were.
        self.generation: int = 0
        self._examples: list[Ticket] = []

    def late(self, phase: Phase, what: str, outcome: Outcome) -> FluvioTimeoutError:
        """The error for a deadline that passed, with what keeps the producer from delivering."""
        late = FluvioTimeoutError(what, phase=phase, topic=self.topic, outcome=outcome)
        return explained(late, lib.flv_producer_trouble, self._producer)

    def example(self, ticket: Ticket) -> None:
        """Records of `ticket` failed."""
        if len(self._examples) >= EXAMPLES:
            self._examples = [example for example in self._examples if example.seen < example.count]
        if len(self._examples) < EXAMPLES and ticket not in self._examples:
            self._examples.append(ticket)

    def report(self) -> DeliveryError | None:
        """The error for the failures that nobody looked at; they count as looked at from now on."""
        while True:
            count, generation = self.count, self.generation
            examples = [ticket for ticket in tuple(self._examples) if ticket.seen < ticket.count]
            errors = tuple(ticket.error for ticket in examples if ticket.error is not None)
            failure = delivery_error(self.topic, count, errors) if count > 0 else None
            none: list[Ticket] = []
            # One step.
            if self.count == count and self.generation == generation:
                self.count = 0
                self.generation += 1
                self._examples = none
                return failure


def delivery_error(
    topic: str, count: int, errors: tuple[FluvioError, ...], result: SendResult | None = None
) -> DeliveryError:
    """The error that says how many records were not delivered, and why."""
    records = "1 record" if count == 1 else f"{count} records"
    reason = f": {errors[0]}" if errors else ""
    outcomes: set[Outcome | None] = {error.outcome for error in errors}
    outcome: Outcome | None = "not_written" if not outcomes else outcomes.pop() if len(outcomes) == 1 else "unknown"
    failure = DeliveryError(
        brief(f"{records} for {topic!r} failed{reason}"),
        count=count,
        errors=errors[:EXAMPLES],
        result=result,
        retriable=bool(errors) and all(error.retriable for error in errors),
        topic=topic,
        outcome=outcome,
    )
    if errors:
        failure.__cause__ = errors[0]
    return failure


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
        self.ledger: Ledger | None = None
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

    def attach(self, ledger: Ledger) -> None:
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

    def _account(self, ledger: Ledger) -> None:
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


class Gathering:
    """Wakes once all of the tickets that it was added to are settled."""

    __slots__ = ("_left", "_waiter")

    def __init__(self, waiter: Wakeable, tickets: Sequence[Ticket]) -> None:
        self._waiter = waiter
        self._left = list(tickets)

    def wake(self) -> None:
        """Another one is settled."""
        left = self._left
        while left:
            # One step.
            if left and left[-1].done:
                del left[-1]
            else:
                break
        if not left:
            self._waiter.wake()


class SendResult:
    """What became of the records of one ``send_all``: a sequence of :class:`RecordMetadata`, made when asked for.

    Looking at a record that failed raises its error.
    """

    __slots__ = ("_indices", "_length", "_stamps", "_starts", "_tickets", "_topic", "_watching")

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._length = 0
        # Runs of consecutive records: where each begins, and where it is in which ticket.
        self._starts: list[int] = []
        self._tickets: list[Ticket] = []
        self._indices: list[int] = []
        self._stamps: list[int | list[int]] = []
        self._watching = True

    # -- for the producer

    def _add(self, ticket: Ticket, index: int, count: int, stamp: int | list[int]) -> None:
        """`count` more records are the records `index`.. of `ticket`."""
        self._starts.append(self._length)
        self._tickets.append(ticket)
        self._indices.append(index)
        self._stamps.append(stamp)
        self._length += count
        ticket.look(count)

    def _refuse(self, error: FluvioError) -> None:
        """The next record was not accepted."""
        ticket = Ticket()
        ticket.fail(error, 1)
        self._add(ticket, 0, 1, 0)

    def _open_tickets(self) -> list[Ticket]:
        """The tickets that are not settled, each once."""
        return [ticket for ticket in dict.fromkeys(self._tickets) if not ticket.done]

    def _unwatch(self) -> None:
        """Nobody will look at it: the caller was cancelled or got an error."""
        if self._watching:
            self._watching = False
            for ticket, start, stop in self._runs():
                ticket.look(start - stop)

    def _failures(self) -> tuple[int, tuple[FluvioError, ...]]:
        """How many records failed, and examples of why."""
        count = 0
        errors: dict[Ticket, FluvioError] = {}
        for ticket, start, stop in self._runs():
            if ticket.error is not None:
                count += stop - start
                if len(errors) < EXAMPLES:
                    errors[ticket] = ticket.error
        return count, tuple(errors.values())

    def _runs(self) -> Iterator[tuple[Ticket, int, int]]:
        stops = [*self._starts[1:], self._length] if self._starts else []
        # The last may be there in part, if an interruption came while it was added.
        return zip(self._tickets, self._starts, stops, strict=False)

    # -- for everybody

    @property
    def count(self) -> int:
        """How many of the records were acknowledged."""
        return sum(stop - start for ticket, start, stop in self._runs() if ticket.done and ticket.error is None)

    @property
    def errors(self) -> dict[int, FluvioError]:
        """The errors of the records that failed, by their index."""
        found: dict[int, FluvioError] = {}
        for ticket, start, stop in self._runs():
            if ticket.error is not None:
                found.update(dict.fromkeys(range(start, stop), ticket.error))
        return found

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[RecordMetadata]:
        return (self._get(index) for index in range(self._length))

    def __reversed__(self) -> Iterator[RecordMetadata]:
        return (self._get(index) for index in reversed(range(self._length)))

    def __contains__(self, item: object) -> bool:
        return any(item == (self._topic, *self._place(index)) for index in range(self._length))

    @overload
    def __getitem__(self, index: int) -> RecordMetadata: ...

    @overload
    def __getitem__(self, index: slice) -> list[RecordMetadata]: ...

    def __getitem__(self, index: int | slice) -> RecordMetadata | list[RecordMetadata]:
        if isinstance(index, slice):
            return [self._get(i) for i in range(*index.indices(self._length))]
        position = index + self._length if index < 0 else index
        if not 0 <= position < self._length:
            raise IndexError(f"record index {index} is out of range: there are {self._length} records")
        return self._get(position)

    def index(self, value: RecordMetadata) -> int:
        """Where the record with this metadata is.

        :raises ValueError: if there is none.
        """
        for index in range(self._length):
            if value == (self._topic, *self._place(index)):
                return index
        # Of what is something else only the type is told.
        what = repr(value) if isinstance(value, RecordMetadata) else kind(value)
        raise ValueError(f"{what} is not in the result")

    def _find(self, index: int) -> tuple[Ticket, int, int]:
        run = bisect_right(self._starts, index) - 1
        within = index - self._starts[run]
        stamp = self._stamps[run]
        return (
            self._tickets[run],
            self._indices[run] + within,
            stamp if isinstance(stamp, int) else stamp[within],
        )

    def _get(self, index: int) -> RecordMetadata:
        ticket, within, stamp = self._find(index)
        return ticket.metadata(self._topic, within, stamp)

    def _place(self, index: int) -> tuple[int, int, int]:
        ticket, within, stamp = self._find(index)
        return (-1, -1, -1) if ticket.error is not None else (ticket.partition, ticket.base + within, stamp)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SendResult):
            return NotImplemented
        if (self._topic, self._length, self.errors) != (other._topic, other._length, other.errors):
            return False
        return all(self._place(index) == other._place(index) for index in range(self._length))

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __repr__(self) -> str:
        failed = self._failures()[0]
        return f"<SendResult of {self._length} for {self._topic!r}{f', {failed} failed' if failed else ''}>"

    def __reduce__(self) -> tuple[object, ...]:
        runs = [
            (ticket.partition, ticket.base, ticket.error, index, stop - start, stamp)
            for (ticket, start, stop), index, stamp in zip(self._runs(), self._indices, self._stamps, strict=True)
        ]
        return _restore, (self._topic, runs)


Sequence.register(SendResult)  # type: ignore[arg-type, type-abstract, unused-ignore]


def _restore(topic: str, runs: list[tuple[int, int, FluvioError | None, int, int, int | list[int]]]) -> SendResult:
    result = SendResult(topic)
    for partition, base, error, index, count, stamp in runs:
        ticket = Ticket()
        if error is None:
            ticket.settle(base, index + count, partition)
        else:
            ticket.fail(error, index + count)
        result._add(ticket, index, count, stamp)
    return result
