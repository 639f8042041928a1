"""How records enter a producer on an event loop: admission, and then one queue. Beside a library that is not there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fluvio_cffi import ClosedError, FluvioError
from fluvio_cffi._native.loader import ffi, lib
from fluvio_cffi._native.tickets import Ticket, deliver
from fluvio_cffi._produce.encode import OVERHEAD, Accept, Block, join_records
from fluvio_cffi._produce.loop_intake import DIRECT, LoopIntake
from fluvio_cffi._produce.options import ProducerOptions
from fluvio_cffi._produce.receipt import BaseReceipt, bind_receipt
from fluvio_cffi._produce.room import NO_ROOM, RoomWaiter

BUFFER = 2_000


class Request:
    """An operation that waits for room."""

    def __init__(self, wanted: int, callback: Callable[[Any], None]) -> None:
        self.wanted = wanted
        self.callback = callback
        self.done = False
        self.status = lib.FLV_STATUS_OK

    def dispose(self) -> None: ...

    def check(self) -> None:
        raise ClosedError("gone")


class Queue:
    """Starts the library's waits for room, one at a time."""

    def __init__(self) -> None:
        self.request: Request | None = None

    def start(
        self, function: Any, handle: Any, wanted: int, *, timeout: Any, phase: str, callback: Callable[[Any], None]
    ) -> Request:
        assert self.request is None or self.request.done
        assert 0 < wanted <= BUFFER
        self.request = Request(wanted, callback)
        return self.request

    def cancel(self, request: Request) -> None:
        request.status = lib.FLV_STATUS_CANCELLED

    def complete(self, room: int) -> None:
        """The request completes, if there is room for it, or it was cancelled."""
        request = self.request
        if request is None or request.done:
            return
        if request.status == lib.FLV_STATUS_CANCELLED or request.wanted <= room:
            request.done = True
            request.callback(request)

    def fail(self) -> None:
        request = self.request
        if request is not None and not request.done:
            request.done, request.status = True, lib.FLV_STATUS_CLOSED
            request.callback(request)


class Loop:
    """An event loop that turns when it is told to."""

    cancellations = 0
    thread = 0
    deliver = staticmethod(deliver)

    def __init__(self) -> None:
        self.completions = Queue()
        self.callbacks: deque[Callable[[], None]] = deque()

    def check(self) -> None: ...
    def check_fork(self) -> None: ...
    def look(self) -> None: ...
    def turned(self) -> None: ...

    def due(self, calls: int = 1) -> bool:
        return False

    def soon(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def turn(self) -> None:
        while self.callbacks:
            self.callbacks.popleft()()


class Library:
    """In the place of a `Submitter`: a buffer of limited size."""

    def __init__(self, ledger: Any) -> None:
        self.ledger = ledger
        self.left = self.room = BUFFER
        self.log: list[bytes] = []
        self.tickets: list[tuple[Ticket, int]] = []

    def refresh_room(self) -> int:
        self.room = self.left
        return self.room

    def catch_up(self) -> None: ...

    def submit_one(
        self, value: bytes, key: Any, partition: Any, timestamp: Any, accept: Any, owner: Any, awaited: bool = False
    ) -> bool:
        block = join_records([value], None, None, None)
        return self.submit_isolating(block, lambda _, ticket, index, __, time: accept(owner, ticket, index, time)) > 0

    def submit_isolating(self, block: Block, accept: Accept) -> int:
        accepted = 0
        while block.start < block.count and block.next_cost() <= self.left:
            cost = block.next_cost()
            self.left -= cost
            size = block.value_lengths[block.start]
            self.log.append(bytes(block.data[block.position : block.position + size]))
            block.advance(1)
            ticket = Ticket()
            ticket.attach(self.ledger)
            self.ledger.submitted += 1
            accept(block.start - 1, ticket, 0, 1, 0)
            self.tickets.append((ticket, cost))
            accepted += 1
        self.room = self.left
        return accepted

    submit_queued = submit_isolating

    def settle(self, count: int) -> None:
        for ticket, cost in self.tickets[:count]:
            ticket.settle(0, 1, 0)
            self.left += cost
        del self.tickets[:count]


class Bell:
    def __init__(self) -> None:
        self.rung = False

    def wake(self) -> None:
        self.rung = True


def made() -> tuple[Any, Any, Any]:
    options = ProducerOptions(
        "64KiB", 0, None, BUFFER, BUFFER, 1, "read_uncommitted", "at_least_once", 1.0, partitioner=None, smartmodules=()
    )
    loop = Loop()
    intake: Any = LoopIntake(loop, ffi.NULL, "t", options, BaseReceipt)  # type: ignore[arg-type]
    library = intake.submitter = Library(intake.ledger)
    # A buffer of this size is too small for the margin.
    intake._certain = intake._usual = BUFFER
    intake.refresh_room()
    return loop, intake, library


class Producing(RuleBasedStateMachine):
    """Tasks that enqueue, those of them that wait for room, and a server that answers late."""

    def __init__(self) -> None:
        super().__init__()
        self.loop, self.intake, self.native = made()
        self.number = 0
        # What was accepted, in order; who waits.
        self.accepted: list[tuple[Any, bytes]] = []
        self.waits: list[tuple[RoomWaiter, bytes]] = []
        self.failed: set[bytes] = set()

    def accept(self, call: Callable[..., bool], value: bytes) -> bool:
        receipt = BaseReceipt(self.loop, self.intake.ledger, None)
        if not call(receipt, value, None, None, None, len(value) + OVERHEAD, False):
            return False
        self.accepted.append((receipt, value))
        return True

    @rule(size=st.integers(4, 600))
    def enqueue(self, size: int) -> None:
        self.number += 1
        value = (b"%d" % self.number).ljust(size)
        receipt = self.intake.accept_usual(value, None)
        if receipt is not None:
            self.accepted.append((receipt, value))
        elif not self.accept(self.intake.accept, value):
            place = RoomWaiter(Bell(), size + OVERHEAD)
            self.waits.append((place, value))
            self.intake.join(place, False)

    @precondition(lambda self: any(place.granted for place, _ in self.waits))
    @rule(data=st.data())
    def goes_on(self, data: st.DataObject) -> None:
        """A task that was granted room takes it."""
        wait = data.draw(st.sampled_from([wait for wait in self.waits if wait[0].granted]))
        self.waits.remove(wait)
        place, value = wait
        assert place.waiter.rung  # type: ignore[attr-defined]
        self.intake.take(place)
        assert self.accept(self.intake.accept_granted, value)
        self.intake.leave(place)

    @precondition(lambda self: self.waits)
    @rule(data=st.data())
    def leaves(self, data: st.DataObject) -> None:
        """A task is cancelled, or its time is over."""
        wait = data.draw(st.sampled_from(self.waits))
        self.waits.remove(wait)
        self.intake.leave(wait[0])

    @rule(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=5))
    def send_all(self, sizes: list[int]) -> None:
        values = []
        for size in sizes:
            self.number += 1
            values.append((b"%d" % self.number).ljust(size + 4))
        if self.intake.contended:
            return
        block = join_records(values, None, None, None)

        def accept(position: int, ticket: Ticket, index: int, count: int, timestamp: int) -> None:
            receipt = BaseReceipt(self.loop, self.intake.ledger, None)
            bind_receipt(receipt, ticket, index, timestamp)
            self.accepted.append((receipt, values.pop(0)))

        self.intake.accept_block(block, accept)

    @rule()
    def turn(self) -> None:
        self.loop.turn()

    @rule(count=st.integers(1, 4))
    def answers(self, count: int) -> None:
        self.native.settle(count)
        self.loop.completions.complete(self.native.left)

    @invariant()
    def what_is_accepted_goes_in_its_order(self) -> None:
        values = [value for _, value in self.accepted]
        assert self.native.log == values[: len(self.native.log)]
        assert self.intake._outbox.count == len(values) - len(self.native.log)

    @invariant()
    def nobody_comes_before_those_who_wait(self) -> None:
        waiting = [place for place, _ in self.waits if not place.granted]
        assert [*self.intake.queue.waiting] == waiting
        assert not (waiting and self.intake.free > 0)

    @invariant()
    def no_room_is_given_away_twice(self) -> None:
        promised = sum(place.cost for place, _ in self.waits if place.granted)
        if self.intake.free > 0:
            assert self.intake.free + self.intake._outbox.cost + promised <= self.native.left

    @invariant()
    def somebody_sees_to_it_that_those_who_wait_go_on(self) -> None:
        if self.intake.queue.waiting or (self.intake._outbox.count and not self.loop.callbacks):
            request = self.loop.completions.request
            assert request is not None and not request.done

    def teardown(self) -> None:
        """Everything that was not given up is sent in the end."""
        for _ in range(10_000):
            if not (self.waits or self.intake._outbox.count):
                break
            while any(place.granted for place, _ in self.waits):
                wait = next(wait for wait in self.waits if wait[0].granted)
                self.waits.remove(wait)
                self.intake.take(wait[0])
                assert self.accept(self.intake.accept_granted, wait[1])
                self.intake.leave(wait[0])
            self.loop.turn()
            self.native.settle(1)
            self.loop.completions.complete(self.native.left)
        assert not self.waits
        self.native.settle(len(self.native.tickets))
        assert self.native.log == [value for _, value in self.accepted]
        assert all(receipt.done() and receipt.exception() is None for receipt, _ in self.accepted)
        assert self.intake.ledger.submitted == self.intake.ledger.settled == len(self.accepted)
        assert self.intake.refresh_room() == self.intake.free == BUFFER


TestProducing = Producing.TestCase
TestProducing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_first_few_go_at_once_and_the_rest_when_the_loop_turns() -> None:
    loop, intake, library = made()
    for number in range(DIRECT + 3):
        assert intake.accept_usual(b"%d" % number, None) is not None
    assert len(library.log) == DIRECT
    assert len(loop.callbacks) == 1
    loop.turn()
    assert library.log == [b"%d" % number for number in range(DIRECT + 3)]


def test_a_close_refuses_those_who_wait_but_not_what_was_accepted() -> None:
    loop, intake, library = made()
    for _ in range(3):
        assert intake.accept_usual(b"x" * 600, None) is not None
    send, flush = RoomWaiter(Bell(), 624), RoomWaiter(Bell(), NO_ROOM)
    intake.join(send, False)
    intake.join(flush, False)
    intake.begin_to_close()
    assert isinstance(send.error, ClosedError) and flush.error is None
    assert intake.free == 0
    assert intake.accept_usual(b"x", None) is None
    library.settle(3)
    loop.completions.complete(library.left)
    assert flush.granted
    assert len(library.log) == 3


def test_the_library_is_asked_for_less_when_a_large_record_is_given_up() -> None:
    loop, intake, library = made()
    assert intake.accept_usual(b"x" * 1_000, None) is not None
    large, small = RoomWaiter(Bell(), 1_900), RoomWaiter(Bell(), 1_200)
    intake.join(large, False)
    intake.join(small, False)
    assert loop.completions.request is not None and loop.completions.request.wanted == 1_900
    intake.leave(large)
    loop.completions.complete(library.left)
    assert loop.completions.request.wanted == 1_200
    library.settle(1)
    loop.completions.complete(library.left)
    assert small.granted


def test_a_library_that_fails_tells_everybody_why() -> None:
    loop, intake, library = made()
    receipts = [intake.accept_usual(b"x" * 600, None) for _ in range(3)]
    library.left = library.room = 0
    intake.free = 10_000
    late = intake.accept_usual(b"y", None)
    loop.callbacks.append(intake.push)
    loop.turn()
    place = RoomWaiter(Bell(), 624)
    intake.join(place, False)
    loop.completions.fail()
    errors: list[FluvioError | None] = [late.exception() if late.done() else None, place.error]
    assert [str(error) for error in errors if error is not None] == ["gone"] * 2
    assert place.error is not None and place.error.outcome == "not_written"
    assert not any(receipt.done() for receipt in receipts)
