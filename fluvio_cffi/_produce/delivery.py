"""What becomes of accepted records: the account of failures, and the result of ``send_all``.

A *ticket* stands for one batch of the library and is settled once. Receipts and results are views of their tickets, so
a million records cost a few thousand small objects.

Any call may come in the middle of any other one: `_native.queue` says what "one step" means.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, overload

from fluvio_cffi._errors import DeliveryError, FluvioError, FluvioTimeoutError, Outcome, Phase
from fluvio_cffi._failures import brief
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._native.errors import explained
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._native.tickets import Deliver, Ticket, Wakeable, about, deliver
from fluvio_cffi._values.checks import kind

EXAMPLES: Final = 16
"""At most this many errors are kept as examples."""
# Of a run of records: partition, base offset and error of its ticket, index of the first record in it, how many records
# there are, and their timestamp, or one for each.
_Run = tuple[int, int, "FluvioError | None", int, int, "int | list[int]"]


class Ledger:
    """A producer's account: what is in flight, and which failures nobody has claimed.

    Memory is bounded: counters, and at most :data:`EXAMPLES` tickets.

    :ivar submitted: how many records the library has accepted, or refused after the producer had accepted them.
    :ivar settled: how many of them are settled.
    :ivar count: how many failures nobody has claimed.
    :ivar generation: how often failures were reported; each is reported once.
    :ivar deliver: has senders that wait go on with where their records are.
    """

    __slots__ = ("_examples", "_producer", "count", "deliver", "generation", "settled", "submitted", "topic")

    def __init__(self, topic: str, producer: CData) -> None:
        self.topic: str = topic
        # This pointer does not keep the producer alive: receipts may outlive it.
        self._producer: CData = ffi.cast("flv_producer_t *", producer)
        self.submitted: int = 0
        self.settled: int = 0
        self.count: int = 0
        self.generation: int = 0
        self.deliver: Deliver = deliver
        self._examples: list[Ticket] = []

    def late(self, phase: Phase, what: str, outcome: Outcome) -> FluvioTimeoutError:
        """The error for a deadline that passed, with what keeps the producer from delivering."""
        late = FluvioTimeoutError(what, phase=phase, topic=self.topic, outcome=outcome)
        return explained(late, lib.flv_producer_trouble, self._producer)

    def example(self, ticket: Ticket) -> None:
        """Notes a ticket whose records failed."""
        if len(self._examples) >= EXAMPLES:
            self._examples = [example for example in self._examples if example.claimed < example.count]
        if len(self._examples) < EXAMPLES and ticket not in self._examples:
            self._examples.append(ticket)

    def report(self) -> DeliveryError | None:
        """The error for the failures that nobody has claimed; from now on they count as reported."""
        while True:
            count, generation = self.count, self.generation
            examples = [ticket for ticket in tuple(self._examples) if ticket.claimed < ticket.count]
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


class TicketBarrier:
    """Wakes a waiter once all of its tickets are settled."""

    __slots__ = ("_left", "_waiter")

    def __init__(self, waiter: Wakeable, tickets: Sequence[Ticket]) -> None:
        self._waiter = waiter
        self._left = list(tickets)

    def wake(self) -> None:
        """Notes that another ticket is settled."""
        left = self._left
        while left:
            # One step.
            if left and left[-1].done:
                del left[-1]
            else:
                break
        if not left:
            self._waiter.wake()


class Deliveries:
    """The records of one ``send_all`` in their order: runs of consecutive records of one ticket.

    :ivar topic: where the records go.
    :ivar length: how many records there are.
    """

    __slots__ = ("_claimed", "_indices", "_starts", "_tickets", "_timestamps", "length", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.length = 0
        # One entry a run: the index of its first record here, the ticket, the index of its first record there, and
        # their timestamp, or one for each.
        self._starts: list[int] = []
        self._tickets: list[Ticket] = []
        self._indices: list[int] = []
        self._timestamps: list[int | list[int]] = []
        self._claimed = True

    def add(self, ticket: Ticket, index: int, count: int, timestamp: int | list[int]) -> None:
        """Appends `count` records, which are the records `index`.. of `ticket`, and claims their outcome."""
        self._starts.append(self.length)
        self._tickets.append(ticket)
        self._indices.append(index)
        self._timestamps.append(timestamp)
        self.length += count
        ticket.claim(count)

    def refuse(self, error: FluvioError) -> None:
        """Appends a record that was not accepted."""
        ticket = Ticket()
        ticket.fail(error, 1)
        self.add(ticket, 0, 1, 0)

    def open_tickets(self) -> list[Ticket]:
        """The tickets that are not settled, each once."""
        return [ticket for ticket in dict.fromkeys(self._tickets) if not ticket.done]

    def release(self) -> None:
        """Nobody will see the outcome, because the caller was cancelled or got an error: failures are reported."""
        if self._claimed:
            self._claimed = False
            for ticket, start, stop in self.runs():
                ticket.release(stop - start)

    def failures(self) -> tuple[int, tuple[FluvioError, ...]]:
        """How many records failed, and examples of why."""
        count = 0
        errors: dict[Ticket, FluvioError] = {}
        for (ticket, start, stop), first in zip(self.runs(), self._indices, strict=False):
            if ticket.error is not None:
                count += stop - start
                if len(errors) < EXAMPLES or ticket in errors:
                    error = about(ticket.error, first, stop - start, start)
                    # Of several runs of one batch the one that the error is about.
                    if ticket not in errors or getattr(error, "record_index", None) is not None:
                        errors[ticket] = error
        return count, tuple(errors.values())

    def runs(self) -> Iterator[tuple[Ticket, int, int]]:
        """The ticket of each run, and the indices of its first record and of the one after its last."""
        stops = [*self._starts[1:], self.length] if self._starts else []
        # The last run may be there in part, if an exception came while it was added.
        return zip(self._tickets, self._starts, stops, strict=False)

    def metadata(self, index: int) -> RecordMetadata:
        """Where a record is; raises its error if it failed."""
        ticket, within, timestamp = self._find(index)
        if ticket.error is not None:
            raise about(ticket.error, within - index, self.length, 0)
        return ticket.metadata(self.topic, within, timestamp)

    def errors(self) -> Iterator[tuple[range, FluvioError]]:
        """The records that failed, by their indices, and why."""
        for (ticket, start, stop), first in zip(self.runs(), self._indices, strict=False):
            if ticket.error is not None:
                yield range(start, stop), about(ticket.error, first, stop - start, start)

    def place(self, index: int) -> tuple[int, int | None, int]:
        """Partition, offset and timestamp of a record; -1, if it failed."""
        ticket, within, timestamp = self._find(index)
        return (-1, -1, -1) if ticket.error is not None else (ticket.partition, ticket.offset(within), timestamp)

    def spans(self) -> dict[int, tuple[int, int]]:
        """Of each partition, the first and the last offset of what is known to be there."""
        spans: dict[int, tuple[int, int]] = {}
        for (ticket, start, stop), index in zip(self.runs(), self._indices, strict=False):
            first = ticket.offset(index)
            if ticket.done and ticket.error is None and first is not None:
                last = first + stop - start - 1
                before = spans.get(ticket.partition, (first, last))
                spans[ticket.partition] = min(before[0], first), max(before[1], last)
        return spans

    def state(self) -> list[_Run]:
        """What a copy of them is made of: see :func:`_restore`."""
        return [
            (ticket.partition, ticket.base, ticket.error, index, stop - start, timestamp)
            for (ticket, start, stop), index, timestamp in zip(
                self.runs(), self._indices, self._timestamps, strict=True
            )
        ]

    def _find(self, index: int) -> tuple[Ticket, int, int]:
        run = bisect_right(self._starts, index) - 1
        within = index - self._starts[run]
        timestamp = self._timestamps[run]
        return (
            self._tickets[run],
            self._indices[run] + within,
            timestamp if isinstance(timestamp, int) else timestamp[within],
        )


class SendResult:
    """What became of the records of one ``send_all``: a sequence of :class:`RecordMetadata`, made when asked for.

    Looking at a record that failed raises its error.
    """

    __slots__ = ("_deliveries",)

    def __init__(self, topic: str) -> None:
        self._deliveries = Deliveries(topic)

    @property
    def count(self) -> int:
        """How many of the records were acknowledged."""
        return sum(
            stop - start for ticket, start, stop in self._deliveries.runs() if ticket.done and ticket.error is None
        )

    @property
    def errors(self) -> dict[int, FluvioError]:
        """The errors of the records that failed, by their index."""
        found: dict[int, FluvioError] = {}
        for indices, error in self._deliveries.errors():
            found.update(dict.fromkeys(indices, error))
        return found

    def __len__(self) -> int:
        return self._deliveries.length

    def __iter__(self) -> Iterator[RecordMetadata]:
        return (self._deliveries.metadata(index) for index in range(len(self)))

    def __reversed__(self) -> Iterator[RecordMetadata]:
        return (self._deliveries.metadata(index) for index in reversed(range(len(self))))

    def __contains__(self, item: object) -> bool:
        deliveries = self._deliveries
        return any(item == (deliveries.topic, *deliveries.place(index)) for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> RecordMetadata: ...

    @overload
    def __getitem__(self, index: slice) -> list[RecordMetadata]: ...

    def __getitem__(self, index: int | slice) -> RecordMetadata | list[RecordMetadata]:
        deliveries = self._deliveries
        length = deliveries.length
        if isinstance(index, slice):
            return [deliveries.metadata(i) for i in range(*index.indices(length))]
        position = index + length if index < 0 else index
        if not 0 <= position < length:
            raise IndexError(f"record index {index} is out of range: there are {length} records")
        return deliveries.metadata(position)

    def index(self, value: RecordMetadata) -> int:
        """Where the record with this metadata is.

        :raises ValueError: if there is none.
        """
        deliveries = self._deliveries
        for index in range(len(self)):
            if value == (deliveries.topic, *deliveries.place(index)):
                return index
        # A value of another type may be a payload, or a secret: the message names its type alone.
        what = repr(value) if isinstance(value, RecordMetadata) else kind(value)
        raise ValueError(f"{what} is not in the result")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SendResult):
            return NotImplemented
        ours, theirs = self._deliveries, other._deliveries
        if (ours.topic, ours.length, self.errors) != (theirs.topic, theirs.length, other.errors):
            return False
        return all(ours.place(index) == theirs.place(index) for index in range(ours.length))

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __repr__(self) -> str:
        deliveries = self._deliveries
        failed = deliveries.failures()[0]
        return f"<SendResult of {deliveries.length} for {deliveries.topic!r}{f', {failed} failed' if failed else ''}>"

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self._deliveries.topic, self._deliveries.state())


Sequence.register(SendResult)  # type: ignore[arg-type, type-abstract, unused-ignore]


def result_of(deliveries: Deliveries) -> SendResult:
    """The result for these records."""
    result = SendResult.__new__(SendResult)
    # Nobody else is to make one of them.
    result._deliveries = deliveries  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return result


def result_spans(result: SendResult) -> dict[int, tuple[int, int]]:
    """Of each partition, the first and the last offset of what is known to be there."""
    return result._deliveries.spans()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def _restore(topic: str, runs: list[_Run]) -> SendResult:
    """Makes a result of what :meth:`SendResult.__reduce__` has given to pickle or copy."""
    deliveries = Deliveries(topic)
    for partition, base, error, index, count, timestamp in runs:
        ticket = Ticket()
        if error is None:
            ticket.settle(base, index + count, partition)
        else:
            ticket.fail(error, index + count)
        deliveries.add(ticket, index, count, timestamp)
    return result_of(deliveries)
