"""Who waits for room in a producer's buffer, first come, first served. Pure: nothing here calls the library, sleeps, or
knows an event loop.

Any call may come in the middle of any other one: `_native.queue` says what "one step" means. KeyboardInterrupt may come
after any call, so a waiter that is to be woken is noted as such first: the next call wakes it again.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

from fluvio_cffi._errors import FluvioError
from fluvio_cffi._native.tickets import Wakeable

NO_ROOM: Final = 0
"""The cost of a waiter that needs no room, and only waits until everything before it is handed over."""


class RoomWaiter:
    """One wait for room.

    :ivar waiter: ends the wait.
    :ivar cost: bytes of the buffer that it needs.
    :ivar owner: who waits: a thread, which a signal handler may have wait once more in the middle of this wait.
    :ivar granted: whether it may take its room.
    :ivar left: whether it is gone.
    :ivar error: why there will be no room for it.
    """

    __slots__ = ("cost", "error", "granted", "left", "owner", "waiter")

    def __init__(self, waiter: Wakeable, cost: int, owner: object = None) -> None:
        self.waiter = waiter
        self.cost = cost
        self.owner = owner
        self.granted = False
        self.left = False
        self.error: FluvioError | None = None


class RoomQueue:
    """The tasks of one event loop that wait for room. Room that is granted is kept for its waiter until it takes it.

    :ivar waiting: those that no room is granted to, in their order.
    :ivar granted: those that room is granted to, and that have not taken it.
    """

    __slots__ = ("granted", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[RoomWaiter] = deque()
        self.granted: set[RoomWaiter] = set()

    @property
    def promised(self) -> int:
        """Bytes that are granted, and not taken."""
        return sum([place.cost for place in self.granted]) if self.granted else 0

    @property
    def wanted(self) -> int:
        """Bytes for those that room is granted to and for the first that waits; 0: nobody waits."""
        return self.waiting[0].cost + self.promised if self.waiting else 0

    def join(self, place: RoomWaiter, first: bool = False) -> None:
        """Adds a waiter.

        :param first: whether its turn has come before, but others were faster.
        """
        if first:
            self.waiting.appendleft(place)
        else:
            self.waiting.append(place)

    def grant(self, room: int) -> None:
        """Grants room to those who wait, in their order, and wakes them.

        :param room: bytes that the buffer has room for, less what is promised.
        """
        waiting = self.waiting
        granted = self.granted
        while waiting:
            place = waiting[0]
            if place not in granted:
                if place.cost > room:
                    break
                room -= place.cost
                granted.add(place)
            del waiting[0]
        for place in granted:
            place.granted = True
            place.waiter.wake()

    def take(self, place: RoomWaiter) -> None:
        """The waiter uses its room now, or raises why there is none."""
        if place.error is not None:
            raise place.error
        self.granted.discard(place)

    def leave(self, place: RoomWaiter) -> bool:
        """The waiter is gone; returns whether others may get room now, because it did not take what was granted to it,
        or they may need less than it did."""
        place.left = True
        first = bool(self.waiting) and self.waiting[0] is place
        with contextlib.suppress(ValueError):
            self.waiting.remove(place)
        granted = place in self.granted
        self.granted.discard(place)
        return first or granted

    def refuse(self, error: Callable[[], FluvioError], all_of_them: bool = True) -> None:
        """No room will be granted any more: those who wait raise `error`.

        :param all_of_them: whether that includes those who need no room.
        """
        refused = [place for place in self.waiting if place.cost != NO_ROOM or all_of_them]
        for place in refused:
            place.error = error()
            place.waiter.wake()
        self.waiting = deque(place for place in self.waiting if place.error is None)


class ThreadRoomQueue:
    """The threads that wait for room. Room is not kept for anybody: a thread that is granted room tries to take it, and
    waits at the head of the queue if another thread was faster.

    :ivar waiting: all of them, in their order, until they have left.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: deque[RoomWaiter] = deque()

    def join(self, place: RoomWaiter, first: bool = False) -> None:
        """Adds a waiter.

        :param first: whether its turn has come before, but others were faster.
        """
        if first:
            self.waiting.appendleft(place)
        else:
            self.waiting.append(place)

    def grant(self, room: Callable[[], int]) -> int:
        """Wakes those for whom there is room, in their order; returns the bytes for these and the next one, 0 if nobody
        else waits.

        :param room: tells how many bytes the buffer has room for; called at most once.
        """
        places = tuple(self.waiting)
        if not places:
            return 0
        # A wait in the middle of another wait of the same thread comes first: the other one does not go on before.
        last = {place.owner: place for place in places}
        there_is = room()
        wanted = 0
        for place in places:
            if place.left:
                self._remove(place)
            elif last[place.owner] is place:
                wanted += place.cost
                if wanted > there_is:
                    return wanted
                place.waiter.wake()
                place.granted = True
        return 0

    def take(self, place: RoomWaiter) -> None:
        """The waiter tries to use its room now, or raises why there is none."""
        if place.error is not None:
            raise place.error

    def leave(self, place: RoomWaiter) -> bool:
        """The waiter is gone; returns whether the next one may need less room than this one waited for."""
        place.left = True
        self._remove(place)
        return not place.granted

    def refuse(self, error: Callable[[], FluvioError]) -> None:
        """No room will be granted any more: those who wait raise `error`."""
        for place in tuple(self.waiting):
            place.error = error()
            place.waiter.wake()

    def _remove(self, place: RoomWaiter) -> None:
        with contextlib.suppress(ValueError):
            self.waiting.remove(place)
