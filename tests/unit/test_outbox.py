"""Records that are accepted and not handed over: they go in their order, each once, and each owner hears of its own."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from places import Stepper, interrupt

from fluvio_cffi import ClosedError, FluvioError, RecordMetadata, RecordTooLargeError
from fluvio_cffi._native.loader import ffi
from fluvio_cffi._native.tickets import Ticket
from fluvio_cffi._produce.delivery import Ledger
from fluvio_cffi._produce.encode import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    NO_PARTITION,
    NO_TIMESTAMP,
    OVERHEAD,
    Accept,
    Block,
    RecordRefused,
    encode,
)
from fluvio_cffi._produce.outbox import Outbox, PendingReceipts, PendingSends
from fluvio_cffi._produce.receipt import BaseReceipt
from fluvio_cffi._produce.submit import Submitter

BAD = b"bad"
BATCH = 5


class Backend:
    def look(self) -> None: ...


class Future:
    """What a task awaits."""

    def __init__(self) -> None:
        self.outcome: RecordMetadata | FluvioError | None = None
        self.cancelled = False

    def done(self) -> bool:
        return self.cancelled or self.outcome is not None

    def set_result(self, outcome: RecordMetadata | FluvioError) -> None:
        assert not self.done()
        self.outcome = outcome

    set_exception = set_result


def records(block: Block) -> list[tuple[bytes | None, bytes]]:
    """Keys and values of what has not left a block."""
    position = block.position
    found = []
    for index in range(block.start, block.count):
        key = None
        if block.key_lengths is not None and block.key_lengths[index] >= 0:
            key = bytes(block.data[position : position + block.key_lengths[index]])
            position += len(key)
        found.append((key, bytes(block.data[position : position + block.value_lengths[index]])))
        position += block.value_lengths[index]
    return found


class Library:
    """Takes records into batches of :data:`BATCH`, as far as there is room, and not those that are bad."""

    def __init__(self, ledger: Ledger) -> None:
        self.room = 0
        self.log: list[tuple[bytes | None, bytes]] = []
        self._ledger = ledger
        # The batch that takes records: its ticket, where it begins, how many it has.
        self._ticket = Ticket()
        self._base = 0
        self._count = 0

    def submit(self, block: Block, accept: Accept) -> int:
        taken = 0
        for key, value in records(block):
            cost = len(key or b"") + len(value) + OVERHEAD
            if cost > self.room or value == BAD:
                break
            self.room -= cost
            self.log.append((key, value))
            taken += 1
        if not taken and self.room >= block.next_cost():
            raise RecordRefused(RecordTooLargeError("bad"))
        position = block.start
        block.advance(taken)
        self._ledger.submitted += taken
        left = taken
        while left:
            count = min(BATCH - self._count, left)
            self._ticket.attach(self._ledger)
            accept(position, self._ticket, self._count, count, 7)
            self._count += count
            position += count
            left -= count
            if self._count == BATCH:
                self.settle()
        return taken

    def settle(self) -> None:
        """The batch that takes records is acknowledged."""
        if self._count:
            self._ticket.settle(self._base, self._count, 0)
            self._base += self._count
            self._ticket, self._count = Ticket(), 0


def group_of(outbox: Outbox, kind: Any, cancellations: int = 0) -> Any:
    """The group that takes a record: as the intake does it."""
    last = outbox.groups[-1] if outbox.groups else None
    if last is None or last.block is not None or type(last) is not kind:
        return outbox.begin(kind, cancellations)
    return last


def outcome(owner: Any) -> RecordMetadata | FluvioError:
    if isinstance(owner, Future):
        assert owner.outcome is not None
        return owner.outcome
    error: FluvioError | None = owner.exception()
    return owner.result() if error is None else error


class Sending(RuleBasedStateMachine):
    """An outbox, the tasks that fill it, and the library that empties it."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger("t", ffi.NULL)
        self.outbox = Outbox(self.ledger)
        self.native = Library(self.ledger)
        self.cancellations = 0
        self.sent: list[tuple[Any, bytes | None, bytes]] = []
        # Cancelled before anything could make their group go.
        self.withdrawn: set[Any] = set()
        self.number = 0

    def value(self, bad: bool) -> bytes:
        self.number += 1
        return BAD if bad else b"%d" % self.number

    def add(self, kind: Any, owner: Any, key: bytes | None, bad: bool) -> None:
        value = self.value(bad)
        group = group_of(self.outbox, kind, self.cancellations)
        group.add(owner, value, key, None, None, len(key or b"") + len(value) + OVERHEAD)
        self.sent.append((owner, key, value))

    @rule(key=st.sampled_from([None, None, b"k"]), bad=st.booleans())
    def enqueue(self, key: bytes | None, bad: bool) -> None:
        self.add(PendingReceipts, BaseReceipt(Backend(), self.ledger, None), key, bad)

    @rule(key=st.sampled_from([None, None, b"k"]), bad=st.booleans())
    def send(self, key: bytes | None, bad: bool) -> None:
        self.add(PendingSends, Future(), key, bad)

    @precondition(lambda self: any(isinstance(owner, Future) and not owner.done() for owner, _, _ in self.sent))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        waiting = [owner for owner, _, _ in self.sent if isinstance(owner, Future) and not owner.done()]
        future = data.draw(st.sampled_from(waiting))
        future.cancelled = True
        self.cancellations += 1
        for group in self.outbox.groups:
            if group.block is None and future in group.entries:
                self.withdrawn.add(future)

    @rule(room=st.integers(0, 300))
    def push(self, room: int) -> None:
        self.native.room = room
        if self.outbox.push(self.native.submit, self.cancellations):
            assert not self.outbox.groups
        else:
            block = self.outbox.seal_first(self.cancellations)
            assert block is not None and block.next_cost() > self.native.room

    @rule()
    def seal(self) -> None:
        block = self.outbox.seal_first(self.cancellations)
        assert (block is None) == (not self.outbox.groups)

    @rule()
    def settle(self) -> None:
        self.native.settle()

    @invariant()
    def what_is_counted_is_what_is_left(self) -> None:
        groups = self.outbox.groups
        assert self.outbox.count == sum(
            len(records(group.block)) if group.block is not None else len(group.entries) // 2 for group in groups
        )
        assert (self.outbox.cost >= OVERHEAD * self.outbox.count) and (self.outbox.cost == 0 or groups)

    def teardown(self) -> None:
        self.native.room = 1 << 40
        assert self.outbox.push(self.native.submit, self.cancellations)
        self.native.settle()
        expected = [(key, value) for owner, key, value in self.sent if value != BAD and owner not in self.withdrawn]
        assert self.native.log == expected
        offset = 0
        for owner, _, value in self.sent:
            if owner in self.withdrawn:
                assert owner.outcome is None
                continue
            if isinstance(owner, Future) and owner.cancelled:
                offset += value != BAD
                continue
            if value == BAD:
                assert isinstance(outcome(owner), RecordTooLargeError)
            else:
                assert outcome(owner) == RecordMetadata("t", 0, offset, 7)
                offset += 1
        assert self.ledger.submitted == self.ledger.settled
        # Whoever was told has it; only those are reported whose task was cancelled after its record was gone.
        gone = [owner for owner, _, value in self.sent if value == BAD and isinstance(owner, Future)]
        assert self.ledger.count == sum(owner.cancelled and owner not in self.withdrawn for owner in gone)


TestSending = Sending.TestCase
TestSending.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_a_column_is_made_when_a_record_needs_it() -> None:
    group = PendingReceipts(0)
    for number, (key, partition, timestamp) in enumerate(
        [(None, None, None), (b"k", None, None), (None, 3, None), (None, None, 9), (b"", 0, 0)]
    ):
        group.add(BaseReceipt(Backend(), Ledger("t", ffi.NULL), None), b"%d" % number, key, partition, timestamp, 25)
    block = group.seal(0)
    assert records(block) == [(None, b"0"), (b"k", b"1"), (None, b"2"), (None, b"3"), (b"", b"4")]
    assert block.partitions is not None and block.timestamps is not None
    assert [*block.partitions] == [NO_PARTITION, NO_PARTITION, 3, NO_PARTITION, 0]
    assert [*block.timestamps] == [NO_TIMESTAMP, NO_TIMESTAMP, NO_TIMESTAMP, 9, 0]
    assert group.seal(1) is block


def test_a_group_is_full_by_count_or_by_size() -> None:
    for value, count in ((b"", CHUNK_RECORDS), (b"x" * 100_000, -(-CHUNK_BYTES // (100_000 + OVERHEAD)))):
        group = PendingSends(0)
        added = 0
        while not group.full:
            group.add(Future(), value, None, None, None, len(value) + OVERHEAD)  # type: ignore[arg-type]
            added += 1
        assert added == count


def test_kinds_do_not_mix_and_a_sealed_group_takes_no_more() -> None:
    outbox = Outbox(Ledger("t", ffi.NULL))
    first = group_of(outbox, PendingSends)
    assert group_of(outbox, PendingSends) is first
    other = group_of(outbox, PendingReceipts)
    assert other is not first
    outbox.groups.popleft()
    outbox.seal_first(0)
    assert group_of(outbox, PendingReceipts) is not other


def test_what_is_queued_when_the_library_is_gone_fails_once() -> None:
    ledger = Ledger("t", ffi.NULL)
    outbox = Outbox(ledger)
    future = Future()
    receipt: Any = BaseReceipt(Backend(), ledger, None)
    group_of(outbox, PendingSends).add(future, b"x", None, None, None, 25)
    group_of(outbox, PendingReceipts).add(receipt, b"y", None, None, None, 25)

    def gone(block: Block, accept: Accept) -> int:
        raise ClosedError("gone")

    assert outbox.push(gone, 0)
    assert isinstance(future.outcome, ClosedError)
    assert isinstance(receipt.exception(), ClosedError)
    assert (ledger.submitted, ledger.settled, ledger.count) == (2, 2, 0)
    outbox.fail(ClosedError("later"), 0)
    assert str(future.outcome) == "gone"


def test_what_is_dropped_keeps_its_cause() -> None:
    ledger = Ledger("t", ffi.NULL)
    outbox = Outbox(ledger)
    receipts: list[Any] = [BaseReceipt(Backend(), ledger, None) for _ in range(3)]
    for receipt in receipts:
        group_of(outbox, PendingReceipts).add(receipt, b"x", None, None, None, 25)
    outbox.fail(RecordTooLargeError("why"), 0)
    errors = [receipt.exception() for receipt in receipts]
    assert {type(error) for error in errors} == {RecordTooLargeError}
    assert {(error.topic, error.outcome) for error in errors} == {("t", "not_written")}
    assert not outbox.groups and outbox.count == outbox.cost == 0


class Refusing(Submitter):
    """The library refuses records that are bad, together with those that they are handed over with."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.refreshed = 0
        self.log: list[bytes] = []

    def submit(self, block: Block, count: int, accept: Accept, kept: bool = False) -> int:
        self.calls.append(count)
        values = [value for _, value in records(block)][:count]
        if b"closed" in values:
            raise ClosedError("closed")
        if BAD in values:
            raise RecordTooLargeError("bad")
        self.log += values
        block.advance(count)
        return count

    def refresh_room(self) -> int:
        self.refreshed += 1
        return 0


def ignore(position: int, ticket: Ticket, index: int, count: int, timestamp: int) -> None: ...


def test_the_one_that_is_refused_is_found() -> None:
    submitter = Refusing()
    block = encode([b"a", b"b", BAD, b"c"], 0)
    refused = 0
    while block.start < block.count:
        try:
            assert submitter.submit_isolating(block, ignore) > 0
        except RecordRefused as error:
            assert isinstance(error.error, RecordTooLargeError)
            assert block.start == 2
            block.advance(1)
            refused += 1
    assert refused == 1
    assert submitter.log == [b"a", b"b", b"c"]
    assert submitter.calls == [4, 1, 1, 1, 1]


def test_a_library_that_is_closed_is_not_asked_about_each() -> None:
    submitter = Refusing()
    block = encode([b"a", b"closed", b"b"], 0)
    with pytest.raises(ClosedError):
        submitter.submit_isolating(block, ignore)
    assert submitter.calls == [3]
    assert block.start == 0


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="knows the bytecode of CPython")
@pytest.mark.parametrize("call", ["add", "add the last", "seal"])
def test_an_exception_out_of_the_blue_confuses_nobody(call: str) -> None:
    """At each place of a call: no owner ever hears of another one's record."""
    at = 0
    while True:
        ledger = Ledger("t", ffi.NULL)
        outbox = Outbox(ledger)
        library = Library(ledger)
        owners = [Future() for _ in range(4)]

        def add(number: int, outbox: Outbox = outbox, owners: list[Future] = owners, key: bytes | None = None) -> None:
            group_of(outbox, PendingSends).add(owners[number], b"%d" % number, key, None, None, 25)

        add(0)
        stepper = Stepper(at, interrupt)
        try:
            with stepper:
                if call.startswith("add"):
                    add(1, key=b"k")
                else:
                    outbox.seal_first(0)
        except KeyboardInterrupt:
            pass
        if call == "seal":
            add(1)
        if call != "add the last":
            add(2)
            add(3, key=b"l")
        library.room = 1 << 40
        assert outbox.push(library.submit, 0)
        library.settle()
        for number, owner in enumerate(owners):
            if owner.outcome is not None:
                assert isinstance(owner.outcome, RecordMetadata) and owner.outcome.offset is not None
                assert library.log[owner.outcome.offset][1] == b"%d" % number
        # Only the one that the exception came to may be missing.
        told = [number for number, owner in enumerate(owners) if owner.outcome is not None]
        added = [0, 1] if call == "add the last" else [0, 1, 2, 3]
        assert told == added or (stepper.hit and told == [0, *added[2:]])
        values = [value for _, value in library.log]
        assert values == sorted(set(values))
        if not stepper.hit:
            break
        at += 1
    assert at
