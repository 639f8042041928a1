"""Trackers: records for any number of workers, and commits of what is done."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic

from fluvio_cffi._backends.base import AsyncBackend, Waiter
from fluvio_cffi._consume.batch import Cut
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._consume.topics import Topics
from fluvio_cffi._consume.tracking import Processing, Tracking
from fluvio_cffi._errors import ClosedError, ConfigError, FluvioError, FluvioTimeoutError, RecordLike
from fluvio_cffi._exports import publish
from fluvio_cffi._lifetime import logger
from fluvio_cffi._values.checks import instance, number, shown
from fluvio_cffi._values.quantities import Timeout, ending, left, parse_timeout
from fluvio_cffi._values.records import K, Record, V

from . import reading, topics_reading
from .decoding import decode_batch
from .session import AsyncSession

# Records that are taken at a time, at most: they come from one topic, and others are to have their turn.
_AT_ONCE = 100


class AsyncTracker(Generic[K, V]):
    """Hands out the records of a consumer to any number of workers, who tell in any order which are done. Made by
    :meth:`AsyncConsumer.tracker`.

    Of each partition it commits what has no unfinished record before it, so that after a crash nothing is skipped that
    was not done. With ``commit="auto"`` that happens by itself, every ``auto_commit_interval`` and when the consumer is
    closed; else by :meth:`commit`, and when a block of the tracker is left.

    Any number of workers may iterate over it, or call :meth:`receive`. Not more than `max_in_hand` records are taken
    from the oldest one on that is not done: then it waits. So a record that nobody finishes holds up all others in the
    end, and no more than that many come twice after a crash. Of a partition that is paused it hands out what it has
    taken already, 100 records at most.

    :meth:`done`, :meth:`retry`, :meth:`fail` and :attr:`in_hand`: any thread.
    """

    def __init__(
        self,
        consumer: object,
        backend: AsyncBackend,
        session: AsyncSession,
        reader: Subscription | Topics,
        max_in_hand: int,
    ) -> None:
        number(max_in_hand, "max_in_hand", 1, 1 << 31)
        subscriptions = [reader] if isinstance(reader, Subscription) else [*reader.subscriptions.values()]
        for each in subscriptions:
            each.commits.check()
        # Not forgotten as long as there is the tracker.
        self._consumer = consumer
        self._backend: AsyncBackend = backend
        self._session = session
        self._reader = reader
        self._subscriptions: dict[str, Subscription] = {each.topic: each for each in subscriptions}
        tracking: Tracking[Waiter] = Tracking([*self._subscriptions], max_in_hand, backend.awaken)
        if not reader.reading:
            # One step. From now on nobody else reads; if nobody ever has the tracker, its end undoes that.
            reader.reading = True
            self._tracking = tracking
        else:
            raise subscriptions[0].second_reader()
        for each in subscriptions:
            tracking.take_over(each)

    def __del__(self) -> None:
        # Only of one that has handed out nothing, such as where Ctrl-C came before the caller had it.
        tracking = getattr(self, "_tracking", None)
        if tracking is not None and tracking.untouched:
            for each in self._subscriptions.values():
                tracking.give_up(each)
            self._reader.reading = False

    @property
    def in_hand(self) -> int:
        """How many records workers have and have not finished."""
        return self._tracking.in_hand

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {', '.join(map(repr, self._subscriptions))}, {self.in_hand} in hand>"

    # -- handing out

    def __aiter__(self) -> AsyncTracker[K, V]:
        self._reader.check_open()
        return self

    async def __anext__(self) -> Record[K, V]:
        record = await self._next(None)
        if record is None:
            raise StopAsyncIteration
        return record

    async def receive(self, timeout: Timeout = ...) -> Record[K, V]:
        """The next record, for a worker.

        :param timeout: seconds; left out or ``None``: no limit; ``0``: only what is there now.
        :raises FluvioTimeoutError: ``phase="read"``: no record came in time, or too many are not done.
        :raises RecordFailedError: a record has failed: see :meth:`fail`.
        :raises DecodeError: a codec cannot read a record. Its ``record`` is in the caller's hand then: say that it is
            :meth:`done`, once it is put elsewhere, or that it did :meth:`fail`.
        :raises ClosedError: at the end (``stop_at_end``), and when the consumer was stopped or closed.
        """
        deadline = ending(parse_timeout(timeout, None))
        self._reader.check_open()
        record = await self._next(deadline)
        if record is None:
            raise self._reader.no_more()
        return record

    # -- being told

    def done(self, record: Record[K, V] | RecordLike) -> None:
        """The record is processed. Again, nothing happens. Any thread.

        :raises ConfigError: it is no record of the consumer.
        """
        subscription = self._of(record)
        tracking = self._tracking
        processed = tracking.windows[record.topic].done(record.partition, record.offset)
        if processed >= 0:
            tracking.note(subscription, record.partition, processed)
        tracking.wake_room()
        tracking.wake_joining()

    def retry(self, record: Record[K, V]) -> None:
        """The record is to be handed out again, to whoever asks next, unless it is :meth:`done` before. Any thread.

        :raises ConfigError: it is no record of the consumer.
        :raises UsageError: no codec can read it: that would not be otherwise the next time.
        """
        subscription = self._of(record)
        tracking = self._tracking
        if tracking.give_back(record):
            self._call_away(subscription)
            tracking.wake_joining()

    def fail(self, record: Record[K, V] | RecordLike, error: BaseException) -> None:
        """The record failed for good: nothing further is handed out. Reads raise a :class:`RecordFailedError` with
        `error` as its cause; what was done before the record is committed, and it comes again when the consumer is
        opened next. To go on without it put it elsewhere, and say that it is :meth:`done`. Any thread.

        :raises ConfigError: it is no record of the consumer.
        """
        instance(error, "error", BaseException)
        subscription = self._of(record)
        self._tracking.fail(record, error)
        self._call_away(subscription)
        self._tracking.wake_all()

    def processing(self, record: Record[K, V]) -> AbstractContextManager[Record[K, V]]:
        """A block in which the record is processed, for ``with``: :meth:`done` at its end, and :meth:`fail` if it
        raises. A cancellation does neither: the record comes again when the consumer is opened next."""
        self._of(record)
        return Processing(self, record)

    # -- committing

    async def commit(self, timeout: Timeout = ...) -> None:
        """Store what is done and has no unfinished record before it, of each partition.

        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises FluvioTimeoutError: ``phase="commit"``: it may be stored, or not; storing it again is safe.
        :raises ClosedError: the consumer was closed.
        """
        backend = self._backend
        backend.check()
        self._reader.check_open()
        limit = parse_timeout(timeout, self._session.admin_timeout)
        tracking = self._tracking
        processed = [(topic, tracking.processed(each)) for topic, each in self._subscriptions.items()]
        await topics_reading.finish_all(
            backend,
            [
                self._subscriptions[topic].commits.start(offsets, False, limit, backend.waiter())
                for topic, offsets in processed
                if offsets
            ],
        )

    async def join(self, timeout: Timeout = ...) -> None:
        """Wait until all is done that workers have.

        :param timeout: seconds; left out or ``None``: no limit.
        :raises FluvioTimeoutError: ``phase="wait"``: something is not done.
        :raises RecordFailedError: a record has failed.
        """
        backend = self._backend
        backend.check()
        tracking = self._tracking
        deadline = ending(parse_timeout(timeout, None))
        while tracking.in_hand:
            tracking.check()
            waiter = backend.waiter()
            tracking.joining.append(waiter)
            try:
                # Whoever is done looks for those who wait after that.
                if tracking.in_hand and not await backend.wait(waiter, left(deadline)):
                    raise FluvioTimeoutError(f"{tracking.in_hand} records are not done", phase="wait")
            finally:
                tracking.joining.remove(waiter)
        tracking.check()

    def stop(self) -> None:
        """Nothing further is handed out; loops over the tracker end. What workers have may still be done and committed.
        Any thread; safe in a signal handler."""
        for each in self._subscriptions.values():
            each.stop()

    async def __aenter__(self) -> AsyncTracker[K, V]:
        self._reader.check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._backend.forked:
            return
        self.stop()
        if error is None:
            with contextlib.suppress(ClosedError):
                await self.commit()
        elif not self._backend.is_cancellation(error):
            try:
                await self.commit()
            except ClosedError:
                pass
            except FluvioError as failure:
                logger.error("%r: %s", self, failure)

    # -- inside

    def _of(self, record: Record[K, V] | RecordLike) -> Subscription:
        instance(record, "record", Record)
        subscription = self._subscriptions.get(record.topic)
        if subscription is None:
            raise ConfigError(f"record is of topic {shown(record.topic)}: the tracker has {[*self._subscriptions]}")
        return subscription

    def _call_away(self, subscription: Subscription) -> None:
        """Whoever fetches has something else to look at."""
        # Whoever waits looks at this after it has said that it waits.
        self._reader.called_away = True
        self._tracking.wake_room()
        if isinstance(self._reader, Topics):
            waiter = self._reader.bell.waiter
            if isinstance(waiter, Waiter):
                self._backend.awaken(waiter)
        else:
            # Whoever waits says so first, and then looks whether it is called.
            waiting = subscription.waiting
            if waiting is not None:
                self._backend.completions.cancel(waiting)

    async def _next(self, deadline: float | None) -> Record[K, V] | None:
        """The next record; ``None`` at the end."""
        self._backend.check()
        tracking = self._tracking
        if self._backend.due():
            await self._backend.rest()
        try:
            while True:
                tracking.check()
                if self._reader.stopped:
                    return None
                for record in tracking.records:
                    return record
                if not tracking.fetching:
                    # One step.
                    tracking.fetching = True
                else:
                    await self._wait(deadline)
                    continue
                try:
                    if not await self._fetch(deadline):
                        return None
                finally:
                    tracking.fetching = False
        finally:
            tracking.wake_one()

    async def _wait(self, deadline: float | None) -> None:
        """Waits for another one who fetches."""
        tracking = self._tracking
        waiter = self._backend.waiter()
        tracking.wait(waiter)
        try:
            # Whoever fetches says so first when it leaves, and then wakes one.
            if tracking.fetching and not await self._backend.wait(waiter, left(deadline)):
                raise self._reader.too_late()
        finally:
            tracking.leave(waiter)

    async def _fetch(self, deadline: float | None) -> bool:
        """Takes records that may leave: true; false at the end."""
        tracking, reader = self._tracking, self._reader
        tracking.take_back()
        while not reader.stopped:
            reader.called_away = False
            tracking.check()
            tracking.tell()
            if tracking.hand_out_again():
                return True
            free = tracking.free
            if free <= 0:
                await self._wait_for_room(deadline)
                continue
            found = await self._read(min(free, _AT_ONCE), deadline)
            if found is not None:
                if await self._hold(*found):
                    return True
            elif not reader.called_away:
                return False
        return False

    async def _hold(self, subscription: Subscription, cut: Cut) -> bool:
        """Takes a batch, decoded; false: there is nothing of it to hand out."""
        if subscription.decoding is None:
            return self._tracking.hold(subscription, cut)
        decoded = await decode_batch(self._backend, subscription.decoding, subscription.buffer, cut)
        if decoded is None:
            return False
        cut, failure = decoded
        if cut.parts:
            return self._tracking.hold(subscription, cut)
        if self._tracking.hold_undecodable(subscription, cut, failure) and failure is None:
            self.done(cut.batch[0])
        return False

    async def _read(self, limit: int, deadline: float | None) -> tuple[Subscription, Cut] | None:
        """The next batch, which is still to be taken; ``None`` at the end, and when the reader was called away."""
        reader = self._reader
        for each in self._subscriptions.values():
            self._tracking.note_dropped(each)
        # For the read, which claims it at once.
        reader.reading = False
        try:
            if isinstance(reader, Topics):
                return await topics_reading.next_batch(self._backend, reader, limit, 0.0, deadline)
            cut = await reading.next_batch(self._backend, reader, limit, 0.0, deadline)
            return None if cut is None else (reader, cut)
        finally:
            reader.reading = True

    async def _wait_for_room(self, deadline: float | None) -> None:
        tracking = self._tracking
        waiter = self._backend.waiter()
        tracking.room = waiter
        try:
            # Whoever is done says so first, and then looks who waits.
            waits = tracking.free <= 0 and not self._reader.called_away and not self._reader.stopped
            if waits and not await self._backend.wait(waiter, left(deadline)):
                raise tracking.no_room()
        finally:
            tracking.room = None


publish(__name__)
