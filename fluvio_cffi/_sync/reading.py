# Made by tools/async_to_sync.py from fluvio_cffi/_async/reading.py: change that, and run it.
"""Reading: waiting until a subscription has records to hand out."""

from __future__ import annotations

from contextlib import suppress

from fluvio_cffi._backends.threads import SyncBackend
from fluvio_cffi._consume.batch import Cut
from fluvio_cffi._consume.group import Group
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._errors import ClosedError, FluvioError
from fluvio_cffi._native.loader import lib
from fluvio_cffi._values.quantities import ending, left

from .listening import tell_changes
from .readiness import begin_to_wait, until_ready


def next_records(backend: SyncBackend, subscription: Subscription, deadline: float | None) -> bool:
    """Waits for the next records: true once they may leave one by one, by ``subscription.records``; false at the end.

    :raises FluvioTimeoutError: none came by the deadline.
    """
    backend.check()
    if not subscription.reading:
        # One step.
        subscription.reading = True
    else:
        raise subscription.second_reader()
    try:
        subscription.begin_to_read()
        found = False
        while True:
            if found or not _ready(backend, subscription, deadline):
                return found
            found = subscription.hand_out()
    finally:
        subscription.reading = False


def next_batch(
    backend: SyncBackend, subscription: Subscription, limit: int, wait: float | None, deadline: float | None = None
) -> Cut | None:
    """Waits for the next batch. It is still to be taken out of the buffer; ``None`` at the end.

    :param limit: records of it, at most.
    :param wait: seconds to wait for more than the first record; ``None``: no limit.
    :raises FluvioTimeoutError: there is none by the deadline.
    """
    backend.check()
    if not subscription.reading:
        # One step.
        subscription.reading = True
    else:
        raise subscription.second_reader()
    try:
        subscription.begin_batch()
        buffer = subscription.buffer
        cut = None
        while True:
            if cut is not None or not _ready(backend, subscription, deadline):
                return cut
            if subscription.count < limit:
                _fill(backend, subscription, limit, ending(wait))
            cut = buffer.cut(limit, full=wait is None, barred=subscription.barred)
    finally:
        subscription.reading = False


def _ready(backend: SyncBackend, subscription: Subscription, deadline: float | None) -> bool:
    """Waits for a record in the buffer: true; false at the end."""
    if backend.due():
        backend.rest()
    if subscription.group is not None:
        return _owned_ready(backend, subscription, subscription.group, deadline)
    buffer = subscription.buffer
    ready = buffer.count
    if ready:
        subscription.take_fresh()
    while not subscription.stopped:
        if ready:
            return True
        if subscription.called_away:
            return False
        if not subscription.take():
            if subscription.ended:
                return False
            waited = _wait(backend, subscription, 0, subscription.mark_due(deadline))
            if not waited and not subscription.mark_dropped(deadline):
                raise subscription.too_late()
        ready = buffer.count
    return False


def _owned_ready(backend: SyncBackend, subscription: Subscription, group: Group, deadline: float | None) -> bool:
    """The same for the member of a group, which is told first what has changed of what it owns."""
    while not subscription.stopped:
        if group.moved:
            tell_changes(subscription, group)
        if subscription.count and not group.waited:
            subscription.take_fresh()
            if not group.moved:
                return True
        elif not subscription.take() and not group.untold:
            if subscription.ended and not subscription.buffer.count:
                return False
            if subscription.count:
                continue
            waited = _wait(backend, subscription, 0, subscription.mark_due(deadline))
            if not waited and not subscription.mark_dropped(deadline):
                raise subscription.too_late()
    return False


def _fill(backend: SyncBackend, subscription: Subscription, limit: int, deadline: float | None) -> None:
    """Takes what comes until `limit` records are in the buffer, or the time is over, or it must be handed out."""
    group = subscription.group
    while not subscription.stopped:
        held = subscription.count
        if held >= limit:
            break
        try:
            if subscription.take():
                continue
            if subscription.ended or (group is not None and group.untold):
                return
            if not _wait(backend, subscription, held, deadline):
                break
        except FluvioError:
            # The records before it first; the library says it again.
            return
    if group is not None and group.waited:
        with suppress(FluvioError):
            subscription.take()


def _wait(backend: SyncBackend, subscription: Subscription, held: int, deadline: float | None) -> bool:
    """Waits until there is something to take, or to look at; false if the time is over first.

    :param held: how many records could be handed out when the library had no more.
    """
    seconds = left(deadline)
    if seconds == 0:
        return False
    if subscription.group is not None:
        subscription.group.waited = True
    try:
        waiting = begin_to_wait(backend, lib.flv_consumer_wait, subscription.handle, seconds)
        subscription.waiting = waiting
        # Whoever resumes a partition does it the other way round.
        if subscription.count > held or subscription.called_away:
            backend.completions.abandon(waiting)
            return True
        return until_ready(backend, waiting)
    except ClosedError:
        # The next take says so.
        return True
    finally:
        subscription.waiting = None
