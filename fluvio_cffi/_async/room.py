"""Waiting for room in a producer's buffer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluvio_cffi._backends.base import AsyncBackend
from fluvio_cffi._produce.loop_intake import LoopIntake
from fluvio_cffi._produce.room import NO_ROOM, RoomWaiter
from fluvio_cffi._values.quantities import left


async def use_room(
    backend: AsyncBackend, intake: LoopIntake[Any], cost: int, deadline: float | None, use: Callable[[], bool]
) -> None:
    """Waits for room, first come, first served, until `use` has made use of it.

    :param cost: bytes of the buffer.
    :param use: returns whether there was room indeed; false: the caller goes on waiting, before all others.
    :raises FluvioTimeoutError: there was no room by the deadline.
    :raises ClosedError: the producer was closed meanwhile.
    """
    again = False
    while True:
        waiter = backend.waiter()
        place = RoomWaiter(waiter, cost, waiter.owner)
        try:
            intake.join(place, again)
            if not place.granted:
                seconds = left(deadline)
                if seconds == 0 or not await backend.wait(waiter, seconds):
                    raise intake.no_room()
            intake.take(place)
            if use():
                return
        finally:
            # One step, whatever exception came.
            place.left = True
            intake.leave(place)
        again = True


async def hand_over_all(backend: AsyncBackend, intake: LoopIntake[Any], deadline: float | None) -> None:
    """Waits until everything that was accepted is handed over to the library.

    :raises FluvioTimeoutError: that was not the case by the deadline.
    """
    intake.submitter.catch_up()
    if not intake.push():
        await use_room(backend, intake, NO_ROOM, deadline, _turn)


def _turn() -> bool:
    return True
