"""What becomes of records that were accepted: tickets, the account of failures, and the result of ``send_all``.

A *ticket* stands for one batch of the library and is settled once. Receipts and results are views of their tickets, so
a million records cost a few thousand small objects.

Any call may come in the middle of any other one: `_hub` says what "one step" means.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, overload

from fluvio_cffi._errors import DeliveryError, FluvioError, FluvioTimeoutError, Outcome, Phase, brief
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._native.errors import explained
from fluvio_cffi._native.library import CData, ffi, lib
from fluvio_cffi._native.tickets import Ticket, Wakeable
from fluvio_cffi._values.checks import kind

EXAMPLES: Final = 16


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
