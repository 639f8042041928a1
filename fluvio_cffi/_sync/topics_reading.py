# Made by tools/async_to_sync.py from fluvio_cffi/_async/topics_reading.py: change that, and run it.
"""Reading several topics: waiting until one of the subscriptions has records to hand out."""

from __future__ import annotations

from collections.abc import Sequence

from fluvio_cffi._backends.threads import SyncBackend
from fluvio_cffi._consume.batch import Cut
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._consume.topics import Topics
from fluvio_cffi._errors import ClosedError, FluvioError
from fluvio_cffi._native.queue import Operation
from fluvio_cffi._values.quantities import left


def next_records(backend: SyncBackend, topics: Topics, deadline: float | None) -> bool:
    """Waits for the next records: true once they may leave one by one, by ``topics.current.records``; false at the end.

    :raises FluvioTimeoutError: none came by the deadline.
    """
    backend.check()
    if not topics.reading:
        # One step.
        topics.reading = True
    else:
        raise topics.second_reader()
    try:
        topics.begin_to_read()
        found = False
        while True:
            if found or not _ready(backend, topics, deadline):
                return found
            found = topics.hand_out()
    finally:
        topics.reading = False


def next_batch(
    backend: SyncBackend, topics: Topics, limit: int, wait: float | None, deadline: float | None = None
) -> tuple[Subscription, Cut] | None:
    """Waits for the next batch, which is of one topic. It is still to be taken out of the subscription's buffer;
    ``None`` at the end.

    :param limit: records of it, at most.
    :param wait: seconds to wait for more than the first record; ``None``: no limit.
    :raises FluvioTimeoutError: there is none by the deadline.
    """
    backend.check()
    if not topics.reading:
        # One step.
        topics.reading = True
    else:
        raise topics.second_reader()
    try:
        topics.begin_batch()
        found = None
        while True:
            if found is not None or not _ready(backend, topics, deadline):
                return found
            first, since = topics.first()
            if first.buffer.count < limit:
                # A topic that had to wait for its turn has waited for more meanwhile.
                _fill(backend, topics, first, limit, None if wait is None else since + wait)
            cut = first.buffer.cut(limit, full=wait is None)
            topics.had_turn(first)
            found = (first, cut) if cut is not None else None
    finally:
        topics.reading = False


def finish_all(backend: SyncBackend, operations: Sequence[Operation]) -> None:
    """Waits for operations that were started with waiters of the backend; raises the first one's error, if any has
    failed. A cancelled caller leaves at once, and they are cancelled."""
    try:
        for operation in operations:
            backend.finish(operation)
    except BaseException:
        for operation in operations:
            backend.completions.abandon(operation)
        raise
    for operation in operations:
        operation.check()


def _ready(backend: SyncBackend, topics: Topics, deadline: float | None) -> bool:
    """Waits for a record of any topic: true; false at the end."""
    if backend.due():
        backend.rest()
    while not topics.stopped:
        try:
            if topics.look():
                return True
        except FluvioError:
            topics.set_aside()
            raise
        if topics.called_away:
            return False
        if topics.ended:
            return False
        waited = _wait(backend, topics, topics.current.mark_due(deadline))
        if not waited and not topics.mark_dropped(deadline):
            raise topics.too_late()
    return False


def _fill(backend: SyncBackend, topics: Topics, first: Subscription, limit: int, deadline: float | None) -> None:
    """Takes what comes of one topic until it has `limit` records, or the time is over, or it must be handed out."""
    while first.buffer.count < limit and not topics.stopped:
        try:
            if first.take():
                continue
            topics.look()
            if first.ended or not _wait(backend, topics, deadline, first):
                return
        except FluvioError:
            # The records before it first; the library says it again.
            return


def _wait(backend: SyncBackend, topics: Topics, deadline: float | None, full: Subscription | None = None) -> bool:
    """Waits until there is something to take, or to look at; false if the time is over first."""
    seconds = left(deadline)
    if seconds == 0:
        return False
    waiter = backend.waiter()
    topics.bell.waiter = waiter
    try:
        return not topics.listen(full) or topics.called_away or backend.wait(waiter, seconds)
    except ClosedError:
        # The next look says so.
        return True
    finally:
        topics.bell.waiter = None
