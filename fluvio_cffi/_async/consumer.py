"""The consumer: what awaits. Everything else of it is in `_consume`."""

# mypy: disable-error-code="unreachable"

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import chain
from types import TracebackType
from typing import Any, Generic, TypeVar

from fluvio_cffi._backends.base import AsyncBackend
from fluvio_cffi._consume.batch import ReadTogether, RecordBatch
from fluvio_cffi._consume.moves import go_on, hold_back, start_seek
from fluvio_cffi._consume.options import ConsumerOptions
from fluvio_cffi._consume.places import shown
from fluvio_cffi._consume.subscription import RECORDS, Form, Subscription
from fluvio_cffi._errors import FluvioError, UsageError
from fluvio_cffi._exports import publish
from fluvio_cffi._lifetime import Closeable, Forgettable, logger
from fluvio_cffi._native.loader import CData, lib
from fluvio_cffi._values.checks import flag, number
from fluvio_cffi._values.quantities import CLOSE_TIMEOUT, Timeout, ending, parse_duration, parse_timeout
from fluvio_cffi._values.records import K, Offset, Record, V

from .batches import AsyncBatches
from .reading import next_records
from .session import AsyncSession
from .tracker import AsyncTracker

WhatT = TypeVar("WhatT", bound=Record[Any, Any] | ReadTogether)
"""What of a consumer can be committed, beside offsets."""


class AsyncConsuming(Forgettable, Closeable, Generic[WhatT]):
    """What the consumers of one topic have in common, in whatever form they hand out its records."""

    _opened = "the client's consumer(topic)"

    def __init__(self, session: AsyncSession, handle: CData, topic: str, options: ConsumerOptions) -> None:
        super().__init__()
        backend = session.backend
        self._session = session
        self._backend: AsyncBackend = backend
        self._topic = topic
        self._subscription: Subscription = Subscription(backend, handle, topic, options, self._form())
        session.consumers.add(self._subscription)

    # -- what it is

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._topic

    @property
    def assignment(self) -> tuple[int, ...]:
        """The partitions that are read. Partitions that the topic gets later appear by themselves. With a group: those
        that this member owned when it was last read. Any thread."""
        return self._subscription.assignment

    @property
    def member_id(self) -> str | None:
        """What this consumer is called in its group: a number that is drawn anew each time that it joins. ``None``: it
        is no member just now. Any thread.

        :raises UsageError: the consumer was opened without a group.
        """
        return self._subscription.member.member_id()

    @property
    def generation(self) -> int:
        """The generation of its group, which rises with each change of members, partitions or, by a reset, offsets; -1:
        not known yet. Any thread.

        :raises UsageError: the consumer was opened without a group.
        """
        return self._subscription.member.generation()

    def epoch(self, partition: int) -> int:
        """The epoch under which this member owns a partition: no other owner has the same one, and later owners have
        greater ones. So it serves as a fencing token: a store that keeps the greatest one that it has seen of each
        partition may refuse what comes with a smaller one. Any thread.

        :param partition: one that it owns; of ``record.partition`` the epoch is that under which the record was handed
            out, also if the partition has gone since. A batch has :attr:`RecordBatch.epochs`.
        :raises PartitionNotFoundError: it does not own the partition.
        :raises UsageError: the consumer was opened without a group.
        """
        member = self._subscription.member
        return member.epoch(number(partition, "partition", 0, (1 << 31) - 1), self._topic)

    def position(self) -> dict[int, int]:
        """For each partition the offset of the record that is handed out next. Any thread.

        A partition that the topic has just got is missing until its first offset is known.
        """
        return self._subscription.position()

    def lag(self) -> dict[int, int]:
        """For each partition how many offsets lie between :meth:`position` and the end of its log, as far as it was
        seen. Any thread.

        A partition is missing as long as its position or its end is not known.
        """
        return self._subscription.lag()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._subscription.closed

    def __repr__(self) -> str:
        subscription = self._subscription
        parts = [repr(self._topic)]
        if subscription.commits.consumer_id is not None:
            parts.append(f"consumer_id={subscription.commits.consumer_id!r}")
        if subscription.commits.group is not None:
            parts.append(f"group={subscription.commits.group!r}")
        if self._backend.forked:
            parts.append("inherited through a fork")
        elif subscription.closed:
            parts.append("closed")
        else:
            with contextlib.suppress(FluvioError):
                parts.append(f"at {shown(subscription.position())}")
            parts += ["stopped"] if subscription.stopped else []
        return f"<{type(self).__name__} of {', '.join(parts)}>"

    # -- elsewhere, later

    async def seek(self, partition: int, offset: Offset | int, *, timeout: Timeout = ...) -> None:
        """Go on elsewhere in a partition. What was read ahead of it is dropped; an error at which it stands is passed.

        The seek is in force at once: when it is cancelled or runs out of time, only the wait for the new position is
        abandoned.

        :param partition: one that is read.
        :param offset: the next offset to read, or an :class:`Offset`.
        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises PartitionNotFoundError: the partition is not read by this consumer.
        :raises OffsetEvictedError: retention has removed the offset.
        :raises UsageError: a tracker hands out its records.
        :raises ClosedError: the consumer was closed or stopped.
        """
        backend = self._backend
        backend.check()
        subscription = self._subscription
        subscription.check_open()
        if subscription.stopped:
            raise subscription.no_more()
        subscription.check_untracked()
        number(partition, "partition", 0, (1 << 31) - 1)
        target = offset if isinstance(offset, Offset) else Offset.at(offset)
        limit = parse_timeout(timeout, self._session.admin_timeout)
        operation = start_seek(subscription, partition, target, limit, backend.waiter())
        (await backend.finish(operation)).check()

    def pause(self, *partitions: int) -> None:
        """Hold partitions back: nothing more of them is handed out until :meth:`resume`. Any thread; safe in a signal
        handler.

        :param partitions: which; none: all that it reads by now.
        :raises PartitionNotFoundError: one of them is not read by this consumer.
        """
        hold_back(self._subscription, partitions)

    def resume(self, *partitions: int) -> None:
        """Go on with partitions that were paused, where they were. Any thread; safe in a signal handler.

        :param partitions: which; none: all that are paused.
        :raises PartitionNotFoundError: one of them is not read by this consumer.
        """
        go_on(self._subscription, partitions)

    # -- stored offsets

    async def commit(
        self,
        what: WhatT | Mapping[int, int] | None = None,
        *,
        timeout: Timeout = ...,
    ) -> None:
        """Store, under the consumer's id, which record of each partition was processed last.

        A consumer that is opened with this id later goes on after it. A commit of records never moves what is stored
        backwards, say by a worker that was suspended while another one took its place; unless this consumer has sought
        backwards in that partition. What is stored is looked up if that was last done more than a second ago: within
        that second two consumers with one id can still overtake each other.

        While the partition's leader is away, or the server that keeps the offsets, it is tried again until the time is
        over; of several commits the last one wins.

        With a group, it stores for the group, and only of partitions that this member owns: of a record or batch, if it
        has owned the partition ever since that was handed out. That is decided at one place, so a commit that comes
        late, from a worker that was suspended or cut off, changes nothing.

        :param what: a record, a batch, or left out: all that was handed out; or ``{partition: offset}`` of the last
            processed records, which is stored exactly as given, also backwards.
        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises UsageError: the consumer was opened without a ``consumer_id`` or a group.
        :raises CommitFencedError: some of the partitions belong to other members by now; the rest is stored.
        :raises MemberFencedError: another consumer has taken over the ``instance``.
        :raises ConfigError: `what` is of another topic, or no offsets.
        :raises OffsetOutOfRangeError: an offset in `what` lies beyond the end of its log: nothing is stored.
        :raises FluvioTimeoutError: ``phase="commit"``: it may be stored, or not; storing it again is safe.
        :raises ClosedError: the consumer was closed meanwhile.
        """
        backend = self._backend
        backend.check()
        self._subscription.check_open()
        commits = self._subscription.commits
        commits.check()
        processed = self._subscription.handed_out() if what is None else commits.processed(what)
        if not processed:
            return
        limit = parse_timeout(timeout, self._session.admin_timeout)
        operation = commits.start(processed, isinstance(what, Mapping), limit, backend.waiter())
        commits.finish(await backend.finish(operation))

    async def committed(self, timeout: Timeout = ...) -> dict[int, int]:
        """The stored offsets of the consumer's id, by partition: those of the last processed records. With a group: of
        the group, of all partitions; -1: a partition is read from its first record.

        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises UsageError: the consumer was opened without a ``consumer_id`` or a group.
        """
        backend = self._backend
        backend.check()
        self._subscription.check_open()
        commits = self._subscription.commits
        commits.check()
        limit = parse_timeout(timeout, self._session.admin_timeout)
        return commits.fetched(await backend.finish(commits.start_fetching(limit, backend.waiter())))

    def stop(self) -> None:
        """End reading: nothing further is handed out, and the loop ends at its next read.

        Any thread; safe in a signal handler. The consumer must still be closed.
        """
        self._subscription.stop()

    # -- closing

    async def close(self, timeout: Timeout = ..., *, leave: bool = False) -> None:
        """Give up the connections. A read that is going on ends. Closing twice is fine.

        With a group: leave it, so that the others have the partitions at once. A member with an ``instance`` stays, to
        come back within its ``session_timeout``.

        :param timeout: seconds; left out: 5; ``None``: no limit.
        :param leave: leave the group also with an ``instance``.
        """
        backend = self._backend
        backend.check()
        subscription = self._subscription
        close = subscription.member.leave if flag(leave, "leave") else lib.flv_consumer_close
        if subscription.closed:
            return
        self._session.end_consumer(subscription)
        operation = backend.completions.start(
            close,
            subscription.handle,
            timeout=parse_timeout(timeout, CLOSE_TIMEOUT),
            phase="close",
            waiter=backend.waiter(),
        )
        try:
            await backend.finish(operation)
        except BaseException:
            self._hand_over_close()
            raise
        operation.check()

    if True:  # ASYNC

        async def aclose(self, timeout: Timeout = ...) -> None:
            """The same as :meth:`close`."""
            await self.close(timeout)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        elif self._backend.is_cancellation(error):
            if not self._subscription.closed:
                self._session.end_consumer(self._subscription)
                self._hand_over_close()
        else:
            try:
                await self.close()
            except FluvioError as failure:
                logger.error("%r: %s", self, failure)

    def __del__(self) -> None:
        subscription = getattr(self, "_subscription", None)
        if subscription is None or subscription.closed or self._session.closed or self._backend.forked:
            return
        shown = repr(self)
        # What holds the subscription in turn, or else the library's consumer would last until the garbage is collected.
        subscription.records = iter(())
        self._forgotten(shown)

    # -- inside

    @staticmethod
    def _form() -> Form:
        """In which form it hands out records."""
        return RECORDS

    def _hand_over_close(self) -> None:
        """The caller leaves at once; the library goes on closing for a second."""
        try:
            self._backend.completions.close_later(lib.flv_consumer_close, self._subscription.handle)
        except FluvioError as failure:
            logger.debug("%r: %s", self, failure)


class AsyncConsumer(AsyncConsuming[Record[K, V] | RecordBatch[K, V]], Generic[K, V]):
    """Reads the records of a topic, each once and in the order of its partition. Made by :meth:`AsyncFluvio.consumer`.

    ``async for record in consumer`` reads them one by one, :meth:`batches` many at a time, :meth:`receive` a single
    one, in any mixture. Breaking out of a loop loses nothing: the next read goes on where it ended.
    One task reads at a time.

    A read that is cancelled or runs out of time has taken nothing. An error that is raised while reading leaves the
    consumer open, at the same position. ``AsyncConsumer[K, V]`` reads keys of type ``K`` and values of type ``V``,
    made by codecs; without these both are ``bytes``.
    """

    def __aiter__(self) -> AsyncIterator[Record[K, V]]:
        subscription = self._subscription
        subscription.check_open()
        if True:  # ASYNC
            return self
        else:
            if not subscription.leaves_alone:
                return self

            def run() -> Iterator[Record[K, V]] | None:
                return subscription.records if next_records(self._backend, subscription, None) else None

            # No Python code runs for each record. An iterator that has raised is over; a new one goes on.
            return chain.from_iterable(iter(run, None))

    async def __anext__(self) -> Record[K, V]:
        subscription = self._subscription
        while True:
            try:
                for record in subscription.records:
                    return record
            except Exception as error:
                subscription.undecodable(error)
            if not await next_records(self._backend, subscription, None):
                raise StopAsyncIteration

    async def receive(self, timeout: Timeout = ...) -> Record[K, V]:
        """The next record.

        :param timeout: seconds; left out or ``None``: no limit; ``0``: only what is there now.
        :raises FluvioTimeoutError: ``phase="read"`` when the time is over; nothing is lost.
        :raises DecodeError: a codec cannot read it; the next read goes on after it.
        :raises ClosedError: at the end (``stop_at_end``), after :meth:`stop`, and when the consumer is closed.
        """
        deadline = ending(parse_timeout(timeout, None))
        subscription = self._subscription
        subscription.check_open()
        subscription.begin_to_receive()
        while True:
            try:
                for record in subscription.records:
                    return record
            except Exception as error:
                subscription.undecodable(error)
            if not await next_records(self._backend, subscription, deadline):
                raise subscription.no_more()

    def batches(self, *, max_records: int = 1000, max_wait: float | str | None = 0.0) -> AsyncBatches[K, V]:
        """An iterator of batches: waits for a first record without limit, then at most `max_wait` for more.

        :param max_records: records of a batch, at most.
        :param max_wait: seconds (or text such as ``"100ms"``); ``0``: only what is there already; some milliseconds
            make larger batches of a trickle; ``None``: until the batch is full.
        """
        self._subscription.check_open()
        number(max_records, "max_records", 1, 1 << 31)
        wait = None if max_wait is None else parse_duration(max_wait, "max_wait")
        return self._new_batches(max_records, wait)

    def tracker(self, *, max_in_hand: int = 1000) -> AsyncTracker[K, V]:
        """Hands out the records from now on, to any number of workers, is told in any order which are done, and commits
        of each partition what has no unfinished record before it. Nothing else reads or seeks the consumer after that.

        :param max_in_hand: how many records it takes, at most, from the oldest one on that is not done.
        :raises UsageError: the consumer was opened without a ``consumer_id``, or with a group, or is being read.
        """
        self._subscription.check_open()
        if self._subscription.group is not None:
            raise UsageError("a tracker is not for the members of a group yet: open the consumer with a consumer_id")
        return self._new_tracker(max_in_hand)

    async def __aenter__(self) -> AsyncConsumer[K, V]:
        self._subscription.check_open()
        return self

    def _new_batches(self, limit: int, wait: float | None) -> AsyncBatches[K, V]:
        return AsyncBatches(self, self._backend, self._subscription, limit, wait)

    def _new_tracker(self, most: int) -> AsyncTracker[K, V]:
        return AsyncTracker(self, self._backend, self._session, self._subscription, most)


publish(__name__)
