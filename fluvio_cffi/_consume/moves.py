"""Moves of a subscription that somebody asks for: going on elsewhere, and holding partitions back.

Any call may come in the middle of any other one: `_native.queue` says what "one step" means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from fluvio_cffi._consume.batch import holding_back, without
from fluvio_cffi._consume.options import native_start
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._native.errors import raise_status
from fluvio_cffi._native.loader import ffi, lib
from fluvio_cffi._native.queue import Operation
from fluvio_cffi._native.tickets import Wakeable
from fluvio_cffi._values.checks import number
from fluvio_cffi._values.records import Offset


def start_seek(
    subscription: Subscription, partition: int, to: Offset, timeout: float | None, waiter: Wakeable
) -> Operation:
    """Seeks. It is in force when this returns or raises; the operation completes when the new position is known."""
    start = ffi.new("flv_start_t *", (partition, *native_start(to)))
    try:
        return subscription.backend.completions.start(
            lib.flv_consumer_seek, subscription.handle, start[0], timeout=timeout, phase="read", waiter=waiter
        )
    finally:
        # Whatever exception came: if the library has sought, what was read ahead of it must go.
        try:
            _follow(subscription, partition)
        except BaseException:
            _follow(subscription, partition)
            raise


def _follow(subscription: Subscription, partition: int) -> None:
    """Drops what was read ahead of a partition before it was sought last."""
    for place in subscription.places():
        if place.partition == partition:
            subscription.change(partial(without, partition=partition, seeks=place.seeks))
    # One step.
    subscription.seeks += 1
    subscription.ended = False


def hold_back(subscription: Subscription, partitions: tuple[int, ...]) -> None:
    """Hands out nothing more of these partitions; of none that it reads, if none is named."""
    _hold(subscription, lib.flv_consumer_pause, partitions, frozenset[int].union)


def go_on(subscription: Subscription, partitions: tuple[int, ...]) -> None:
    """Goes on with these partitions; with all, if none is named."""
    _hold(subscription, lib.flv_consumer_resume, partitions, frozenset[int].difference)
    waiting = subscription.waiting
    if waiting is not None:
        # There may be something in the buffer, of which the library knows nothing: the read is to look.
        subscription.backend.completions.cancel(waiting)


def _hold(
    subscription: Subscription,
    function: Callable[..., int],
    partitions: tuple[int, ...],
    combine: Callable[[frozenset[int], tuple[int, ...]], frozenset[int]],
) -> None:
    """Holds partitions back, here and in the library, or goes on with them."""
    subscription.check_open()
    for partition in partitions:
        number(partition, "a partition", 0, (1 << 31) - 1)
    if not partitions:
        partitions = subscription.assignment
    _order(subscription, function, partitions)
    subscription.change(lambda state: holding_back(state, combine(state.paused, partitions)))
    # Another call may say otherwise at the same time. What is in force here is told to the library, and again if
    # another one has begun to tell it something meanwhile, which may be older.
    while True:
        # One step.
        subscription.orders += 1
        order = subscription.orders
        paused = subscription.buffer.state.paused
        _order(subscription, lib.flv_consumer_pause, [partition for partition in partitions if partition in paused])
        _order(
            subscription, lib.flv_consumer_resume, [partition for partition in partitions if partition not in paused]
        )
        if subscription.orders == order:
            return


def _order(subscription: Subscription, function: Callable[..., int], partitions: Sequence[int]) -> None:
    error = ffi.new("flv_error_t **")
    raise_status(function(subscription.handle, ffi.new("uint32_t[]", partitions), len(partitions), error), error)
