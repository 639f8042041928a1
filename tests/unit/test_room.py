"""Who waits for room: first come, first served, never more than there is, and nothing is lost with who leaves."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from places import Stepper, interrupt

from fluvio_cffi import ClosedError, FluvioError
from fluvio_cffi._produce.room import NO_ROOM, RoomQueue, RoomWaiter, ThreadRoomQueue


class Bell:
    """A waiter that counts how often it is woken."""

    def __init__(self) -> None:
        self.rings = 0

    def wake(self) -> None:
        self.rings += 1


def place(cost: int, owner: object = None) -> RoomWaiter:
    return RoomWaiter(Bell(), cost, owner)


def woken(place: RoomWaiter) -> bool:
    assert isinstance(place.waiter, Bell)
    return place.waiter.rings > 0


def closed() -> FluvioError:
    return ClosedError("closed")


def test_first_come_first_served() -> None:
    queue = RoomQueue()
    places = [place(cost) for cost in (10, 1, 1)]
    for one in places:
        queue.join(one)
    # The small ones fit, and wait for the large one all the same.
    queue.grant(9)
    assert not any(map(woken, places))
    assert queue.wanted == 10
    queue.grant(11)
    assert [*map(woken, places)] == [True, True, False]
    assert (queue.promised, queue.wanted) == (11, 12)


def test_who_was_granted_room_too_late_gives_it_on() -> None:
    queue = RoomQueue()
    first, second = place(5), place(5)
    queue.join(first)
    queue.join(second)
    queue.grant(5)
    assert woken(first) and not woken(second)
    assert queue.leave(first)
    assert queue.promised == 0
    queue.grant(5)
    assert woken(second)
    queue.take(second)
    # What was used is not given on.
    assert not queue.leave(second)
    assert queue.promised == 0


def test_who_leaves_the_head_of_the_queue_lets_smaller_ones_go() -> None:
    queue = RoomQueue()
    large, small, last = place(100), place(1), place(1)
    for one in (large, small, last):
        queue.join(one)
    queue.grant(2)
    # Nobody gets room because somebody in the middle leaves.
    assert not queue.leave(last)
    assert queue.leave(large)
    assert queue.wanted == 1


def test_whose_turn_has_come_before_goes_first() -> None:
    for queue in (RoomQueue(), ThreadRoomQueue()):
        one, again = place(5, 1), place(5, 2)
        queue.join(one)
        queue.join(again, first=True)
        if isinstance(queue, RoomQueue):
            queue.grant(5)
        else:
            queue.grant(lambda: 5)
        assert woken(again) and not woken(one)


def test_a_flush_is_not_refused_when_the_producer_closes() -> None:
    queue = RoomQueue()
    send, flush = place(5), place(NO_ROOM)
    queue.join(send)
    queue.join(flush)
    queue.refuse(closed, all_of_them=False)
    assert woken(send) and not woken(flush)
    with pytest.raises(ClosedError):
        queue.take(send)
    queue.grant(0)
    assert woken(flush)
    queue.take(flush)


def test_threads_are_woken_as_far_as_room_goes() -> None:
    queue = ThreadRoomQueue()
    places = [place(4, owner) for owner in range(3)]
    for one in places:
        queue.join(one)
    assert queue.grant(lambda: 8) == 12
    assert [one.granted for one in places] == [True, True, False]
    # One of them took its room; the other one is still before the third.
    queue.take(places[0])
    assert not queue.leave(places[0])
    assert queue.grant(lambda: 4) == 8
    assert queue.leave(places[2])
    assert queue.grant(lambda: 4) == 0


def test_a_wait_in_the_middle_of_another_one_of_its_thread_comes_first() -> None:
    queue = ThreadRoomQueue()
    outer, other, inner = place(5, "me"), place(5, "other"), place(5, "me")
    for one in (outer, other, inner):
        queue.join(one)
    assert queue.grant(lambda: 10) == 0
    assert not woken(outer) and woken(other) and woken(inner)
    queue.leave(inner)
    queue.leave(other)
    assert queue.grant(lambda: 5) == 0
    assert woken(outer)


def test_nobody_asks_for_room_if_nobody_waits() -> None:
    def room() -> int:
        raise AssertionError

    assert ThreadRoomQueue().grant(room) == 0


class Waits(RuleBasedStateMachine):
    """A loop's queue beside a buffer that is filled and emptied."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = RoomQueue()
        self.room = 0
        # In the order in which they are to be served.
        self.line: list[RoomWaiter] = []
        self.served: list[RoomWaiter] = []

    @rule(cost=st.integers(0, 9), again=st.booleans())
    def join(self, cost: int, again: bool) -> None:
        one = place(cost)
        self.queue.join(one, again)
        self.line.insert(0 if again else len(self.line), one)

    @rule(room=st.integers(0, 20))
    def room_comes(self, room: int) -> None:
        self.room += room
        self.grant()

    @precondition(lambda self: self.served)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.served))
        self.served.remove(one)
        self.queue.take(one)
        self.room -= one.cost
        assert self.room >= 0
        assert not self.queue.leave(one)

    @precondition(lambda self: self.served or self.line)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.served + self.line))
        matters = one in self.served or self.line[0] is one
        (self.served if one in self.served else self.line).remove(one)
        assert self.queue.leave(one) == matters
        assert not self.queue.leave(one)
        if matters:
            self.grant()

    @rule()
    def refuse(self) -> None:
        self.queue.refuse(closed)
        for one in self.line:
            assert one.error is not None and woken(one)
        self.line.clear()

    def grant(self) -> None:
        self.queue.grant(self.room - self.queue.promised)
        left = self.room - sum(one.cost for one in self.served)
        while self.line and self.line[0].cost <= left:
            left -= self.line[0].cost
            self.served.append(self.line.pop(0))

    @invariant()
    def those_who_fit_are_served_in_order(self) -> None:
        assert [*self.queue.waiting] == self.line
        assert self.queue.granted == set(self.served)
        assert all(map(woken, self.served)) and not any(map(woken, self.line))

    @invariant()
    def no_more_is_granted_than_there_is(self) -> None:
        assert self.queue.promised == sum(one.cost for one in self.served) <= max(self.room, 0)


TestWaits = Waits.TestCase
TestWaits.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3), st.booleans())), st.integers(0, 30))
def test_what_threads_are_granted_fits(waits: list[tuple[int, int, bool]], room: int) -> None:
    queue = ThreadRoomQueue()
    places = [place(cost, owner) for cost, owner, _ in waits]
    for one, (_, _, left) in zip(places, waits, strict=True):
        queue.join(one)
        one.left = left
    wanted = queue.grant(lambda: room)
    granted = [one for one in places if one.granted]
    assert sum(one.cost for one in granted) <= room
    assert wanted == 0 or wanted > room
    last = {one.owner: one for one in places}
    turns = [one for one in places if not one.left and last[one.owner] is one]
    assert granted == turns[: len(granted)]
    assert wanted == sum(one.cost for one in turns[: len(granted) + 1]) if len(granted) < len(turns) else wanted == 0


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="knows the bytecode of CPython")
@pytest.mark.parametrize("call", ["grant", "leave", "refuse"])
def test_an_exception_out_of_the_blue_loses_nobody(call: str) -> None:
    """At each place of a call; the next call makes up for it."""
    at = 0
    while True:
        queue = RoomQueue()
        places = [place(4) for _ in range(4)]
        for one in places:
            queue.join(one)
        queue.grant(4)
        stepper = Stepper(at, interrupt)
        try:
            with stepper:
                if call == "grant":
                    queue.grant(8)
                elif call == "leave":
                    queue.leave(places[0])
                else:
                    queue.refuse(closed)
        except KeyboardInterrupt:
            pass
        if call == "grant":
            queue.grant(12 - queue.promised)
            assert [*map(woken, places)] == [True, True, True, False]
            assert queue.promised == 12
        elif call == "leave":
            places[0].left = True
            queue.leave(places[0])
            assert queue.promised == 0 and [*queue.waiting] == places[1:]
        else:
            queue.refuse(closed)
            assert all(map(woken, places)) and not queue.waiting
        if not stepper.hit:
            break
        at += 1
    assert at
