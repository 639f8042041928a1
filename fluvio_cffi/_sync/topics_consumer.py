# Made by tools/async_to_sync.py from fluvio_cffi/_async/topics_consumer.py: change that, and run it.
"""The consumer of several topics: what awaits. Everything else of it is in `_consume.topics`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from itertools import chain
from types import TracebackType
from typing import Generic

from fluvio_cffi._backends.threads import SyncBackend
from fluvio_cffi._consume.batch import Cut, RecordBatch
from fluvio_cffi._consume.moves import go_on, hold_back, start_seek
from fluvio_cffi._consume.options import ConsumerOptions
from fluvio_cffi._consume.places import shown
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._consume.topics import Topics
from fluvio_cffi._errors import ConfigTypeError, DecodeError, FluvioError
from fluvio_cffi._exports import publish
from fluvio_cffi._lifetime import Closeable, Forgettable, logger
from fluvio_cffi._native.loader import CData, lib
from fluvio_cffi._native.queue import Operation
from fluvio_cffi._values.checks import kind, number
from fluvio_cffi._values.quantities import CLOSE_TIMEOUT, Timeout, ending, parse_duration, parse_timeout
from fluvio_cffi._values.records import K, Offset, Record, V

from .batches import Batches
from .decoding import decode_batch
from .session import Session
from .topics_reading import finish_all, next_batch, next_records
from .tracker import Tracker


class TopicsConsumer(Forgettable, Closeable, Generic[K, V]):
    """Reads the records of several topics, each once and in the order of its partition; the topics take turns. Made by
    :meth:`Fluvio.consumer`, of a list of topics.

    ``for record in consumer`` reads them one by one, :meth:`batches` many at a time, each batch of one topic,
    :meth:`receive` a single one, in any mixture; else as :class:`Consumer`. What that tells by partition is told
    by topic and partition here. An error that is raised while reading names its topic, and is raised once: the others
    go on without that topic, until it is sought, paused or resumed. When nothing else is left, it is raised again.
    """

    _opened = "the client's consumer([topic, ...])"

    def __init__(self, session: Session, handles: Mapping[str, CData], options: Mapping[str, ConsumerOptions]) -> None:
        super().__init__()
        backend = session.backend
        self._session = session
        self._backend: SyncBackend = backend
        self._topics = Topics(
            [Subscription(backend, handle, topic, options[topic]) for topic, handle in handles.items()]
        )
        for each in self._topics.subscriptions.values():
            session.consumers.add(each)

    # -- what it is

    @property
    def topics(self) -> tuple[str, ...]:
        """The names of the topics, as they were given."""
        return tuple(self._topics.subscriptions)

    @property
    def assignment(self) -> dict[str, tuple[int, ...]]:
        """By topic, the partitions that are read. Partitions that a topic gets later appear by themselves. Any
        thread."""
        return {topic: each.assignment for topic, each in self._topics.subscriptions.items()}

    def position(self) -> dict[str, dict[int, int]]:
        """By topic and partition, the offset of the record that is handed out next. Any thread.

        A partition that a topic has just got is missing until its first offset is known.
        """
        return {topic: each.position() for topic, each in self._topics.subscriptions.items()}

    def lag(self) -> dict[str, dict[int, int]]:
        """By topic and partition, how many offsets lie between :meth:`position` and the end of its log, as far as it
        was seen. Any thread.

        A partition is missing as long as its position or its end is not known.
        """
        return {topic: each.lag() for topic, each in self._topics.subscriptions.items()}

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._topics.current.closed

    def __repr__(self) -> str:
        topics = self._topics
        state = ""
        if self._backend.forked:
            state = ", inherited through a fork"
        elif self.closed:
            state = ", closed"
        elif topics.stopped:
            state = ", stopped"
        parts: list[str] = []
        for topic, each in [*topics.subscriptions.items()][:8]:
            part = repr(topic)
            if not self._backend.forked and not self.closed:
                with contextlib.suppress(FluvioError):
                    part += f" at {shown(each.position())}"
            parts.append(part)
        parts += ["..."] if len(topics.subscriptions) > len(parts) else []
        return f"<{type(self).__name__} of {', '.join(parts)}{state}>"

    # -- reading

    def __iter__(self) -> Iterator[Record[K, V]]:
        topics = self._topics
        topics.check_open()
        if not topics.leave_alone:
            return self

        def run() -> Iterator[Record[K, V]] | None:
            return topics.current.records if next_records(self._backend, topics, None) else None

        # As of one topic: no Python code runs for each record.
        return chain.from_iterable(iter(run, None))

    def __next__(self) -> Record[K, V]:
        topics = self._topics
        while True:
            try:
                for record in topics.current.records:
                    return record
            except Exception as error:
                topics.current.undecodable(error)
            if not next_records(self._backend, topics, None):
                raise StopIteration

    def receive(self, timeout: Timeout = ...) -> Record[K, V]:
        """The next record.

        :param timeout: seconds; left out or ``None``: no limit; ``0``: only what is there now.
        :raises FluvioTimeoutError: ``phase="read"`` when the time is over; nothing is lost.
        :raises ClosedError: at the end (``stop_at_end``), after :meth:`stop`, and when the consumer is closed.
        """
        deadline = ending(parse_timeout(timeout, None))
        topics = self._topics
        topics.check_open()
        while True:
            try:
                for record in topics.current.records:
                    return record
            except Exception as error:
                topics.current.undecodable(error)
            if not next_records(self._backend, topics, deadline):
                raise topics.no_more()

    def batches(self, *, max_records: int = 1000, max_wait: float | str | None = 0.0) -> Batches[K, V]:
        """An iterator of batches, each of one topic: waits for a first record without limit, then at most `max_wait`
        for more of its topic. So :attr:`RecordBatch.topic` and :attr:`RecordBatch.last_offsets` are as of any batch.

        :param max_records: records of a batch, at most.
        :param max_wait: seconds (or text such as ``"100ms"``); ``0``: only what is there already; ``None``: until the
            batch is full.
        """
        self._topics.check_open()
        number(max_records, "max_records", 1, 1 << 31)
        wait = None if max_wait is None else parse_duration(max_wait, "max_wait")
        return self._new_batches(max_records, wait)

    def tracker(self, *, max_in_hand: int = 1000) -> Tracker[K, V]:
        """Hands out the records from now on, to any number of workers: as :meth:`Consumer.tracker`.

        :param max_in_hand: how many records it takes, at most, from the oldest one on that is not done.
        :raises UsageError: the consumer was opened without a ``consumer_id``, or is being read.
        """
        self._topics.check_open()
        return self._new_tracker(max_in_hand)

    # -- elsewhere, later

    def seek(self, topic: str, partition: int, offset: Offset | int, *, timeout: Timeout = ...) -> None:
        """Go on elsewhere in a partition of a topic: as :meth:`Consumer.seek`.

        :param topic: one that is read.
        :param partition: one of it that is read.
        :param offset: the next offset to read, or an :class:`Offset`.
        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises ConfigError: the topic is not read by this consumer.
        :raises PartitionNotFoundError: the partition is not read by this consumer.
        :raises OffsetEvictedError: retention has removed the offset.
        :raises UsageError: a tracker hands out its records.
        :raises ClosedError: the consumer was closed or stopped.
        """
        backend = self._backend
        backend.check()
        topics = self._topics
        topics.check_open()
        if topics.stopped:
            raise topics.no_more()
        subscription = topics.of(topic)
        subscription.check_untracked()
        number(partition, "partition", 0, (1 << 31) - 1)
        target = offset if isinstance(offset, Offset) else Offset.at(offset)
        limit = parse_timeout(timeout, self._session.admin_timeout)
        operation = start_seek(subscription, partition, target, limit, backend.waiter())
        topics.bring_back(topic)
        (backend.finish(operation)).check()

    def pause(self, topic: str | None = None, *partitions: int) -> None:
        """Hold partitions back: nothing more of them is handed out until :meth:`resume`. Any thread; safe in a signal
        handler.

        :param topic: which topic; left out: all.
        :param partitions: which of it; none: all that it reads by now.
        :raises ConfigError: the topic is not read by this consumer.
        :raises PartitionNotFoundError: one of the partitions is not read by this consumer.
        """
        for each in self._topics.subscriptions.values() if topic is None else (self._topics.of(topic),):
            hold_back(each, partitions)
            self._topics.bring_back(each.topic)

    def resume(self, topic: str | None = None, *partitions: int) -> None:
        """Go on with partitions that were paused, where they were. Any thread; safe in a signal handler.

        :param topic: which topic; left out: all.
        :param partitions: which of it; none: all that are paused.
        :raises ConfigError: the topic is not read by this consumer.
        :raises PartitionNotFoundError: one of the partitions is not read by this consumer.
        """
        for each in self._topics.subscriptions.values() if topic is None else (self._topics.of(topic),):
            go_on(each, partitions)
            self._topics.bring_back(each.topic)

    # -- stored offsets

    def commit(
        self,
        what: Record[K, V] | RecordBatch[K, V] | Mapping[str, Mapping[int, int]] | None = None,
        *,
        timeout: Timeout = ...,
    ) -> None:
        """Store, under the consumer's id, which record of each partition was processed last: as
        :meth:`Consumer.commit`. Each topic's offsets are stored by themselves: where some cannot be, those of
        other topics may be.

        :param what: a record, a batch, or left out: all that was handed out of all topics; or ``{topic: {partition:
            offset}}`` of the last processed records, which is stored exactly as given, also backwards.
        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises UsageError: the consumer was opened without a ``consumer_id``.
        :raises ConfigError: `what` is of another topic, or no offsets.
        :raises OffsetOutOfRangeError: an offset in `what` lies beyond the end of its log: nothing of its topic is
            stored.
        :raises FluvioTimeoutError: ``phase="commit"``: it may be stored, or not; storing it again is safe.
        :raises ClosedError: the consumer was closed meanwhile.
        """
        backend = self._backend
        backend.check()
        self._topics.check_open()
        self._topics.current.commits.check()
        processed = self._processed(what)
        limit = parse_timeout(timeout, self._session.admin_timeout)
        exactly = isinstance(what, Mapping)
        finish_all(
            backend,
            [each.commits.start(offsets, exactly, limit, backend.waiter()) for each, offsets in processed if offsets],
        )

    def _processed(
        self, what: Record[K, V] | RecordBatch[K, V] | Mapping[str, Mapping[int, int]] | None
    ) -> list[tuple[Subscription, dict[int, int]]]:
        topics = self._topics
        if what is None:
            return [(each, each.handed_out()) for each in topics.subscriptions.values()]
        if isinstance(what, Mapping):
            return [(topics.of(topic), topics.of(topic).commits.processed(offsets)) for topic, offsets in what.items()]
        if not isinstance(what, (Record, RecordBatch)):
            raise ConfigTypeError(
                f"what must be a Record, a RecordBatch or {{topic: {{partition: offset}}}}, not {kind(what)}"
            )
        subscription = topics.of(what.topic)
        return [(subscription, subscription.commits.processed(what))]

    def committed(self, timeout: Timeout = ...) -> dict[str, dict[int, int]]:
        """The stored offsets of the consumer's id, by topic and partition: those of the last processed records.

        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises UsageError: the consumer was opened without a ``consumer_id``.
        """
        backend = self._backend
        backend.check()
        self._topics.check_open()
        self._topics.current.commits.check()
        limit = parse_timeout(timeout, self._session.admin_timeout)
        subscriptions = self._topics.subscriptions
        operations = [each.commits.start_fetching(limit, backend.waiter()) for each in subscriptions.values()]
        finish_all(backend, operations)
        return {
            topic: each.commits.fetched(operation)
            for (topic, each), operation in zip(subscriptions.items(), operations, strict=True)
        }

    # -- ending

    def stop(self) -> None:
        """Nothing further is handed out; loops end at their next read, which also counts the record in hand as
        processed. Any thread; safe in a signal handler."""
        self._topics.stop()

    def close(self, timeout: Timeout = ...) -> None:
        """Stop reading and give up the connections. Closing twice is fine. With ``commit="auto"`` what was processed is
        committed.

        When it is interrupted the library goes on in the background, for one second.

        :param timeout: seconds; left out: 5; ``None``: no limit.
        """
        backend = self._backend
        backend.check()
        if self.closed:
            return
        self._end()
        limit = parse_timeout(timeout, CLOSE_TIMEOUT)
        operations: list[Operation] = []
        try:
            for each in self._topics.subscriptions.values():
                operations.append(
                    backend.completions.start(
                        lib.flv_consumer_close, each.handle, timeout=limit, phase="close", waiter=backend.waiter()
                    )
                )
            finish_all(backend, operations)
        except FluvioError:
            raise
        except BaseException:
            self._hand_over_close()
            raise

    def __enter__(self) -> TopicsConsumer[K, V]:
        self._topics.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._backend.is_cancellation(error):
            if not self.closed:
                self._end()
                self._hand_over_close()
        else:
            try:
                self.close()
            except FluvioError as failure:
                logger.error("%r: %s", self, failure)

    def __del__(self) -> None:
        topics = getattr(self, "_topics", None)
        if topics is None or topics.current.closed or self._session.closed or self._backend.forked:
            return
        self._forgotten(repr(self))

    # -- inside

    def _new_batches(self, limit: int, wait: float | None) -> Batches[K, V]:
        return TopicsBatches(self, self._backend, self._topics, limit, wait)

    def _new_tracker(self, most: int) -> Tracker[K, V]:
        return Tracker(self, self._backend, self._session, self._topics, most)

    def _end(self) -> None:
        for each in self._topics.subscriptions.values():
            self._session.end_consumer(each)
        self._topics.bell.wake()

    def _hand_over_close(self) -> None:
        """The caller leaves at once; the library goes on closing for a second."""
        for each in self._topics.subscriptions.values():
            try:
                self._backend.completions.close_later(lib.flv_consumer_close, each.handle)
            except FluvioError as failure:
                logger.debug("%r: %s", self, failure)


class TopicsBatches(Batches[K, V]):
    """The batches of a consumer of several topics."""

    __slots__ = ("_topics",)

    def __init__(
        self, consumer: TopicsConsumer[K, V], backend: SyncBackend, topics: Topics, limit: int, wait: float | None
    ) -> None:
        super().__init__(consumer, backend, topics.current, limit, wait)
        self._topics = topics

    def __iter__(self) -> Iterator[RecordBatch[K, V]]:
        self._topics.check_open()
        return self

    def __next__(self) -> RecordBatch[K, V]:
        while True:
            found = self._next_of_all()
            if found is None:
                raise StopIteration
            subscription, cut = found
            buffer = subscription.buffer
            failure: DecodeError | None = None
            if subscription.decoding is not None:
                decoded = decode_batch(self._backend, subscription.decoding, buffer, cut)
                if decoded is None:
                    continue
                cut, failure = decoded
            batch: RecordBatch[K, V] | None = cut.batch if cut.parts and failure is None else None
            # One step, as of a consumer of one topic.
            if buffer.state is cut.before and not subscription.stopped:
                buffer.state = cut.after
                if batch is not None:
                    return batch
                if failure is not None:
                    raise failure

    def _next_of_all(self) -> tuple[Subscription, Cut] | None:
        return next_batch(self._backend, self._topics, self._limit, self._wait)


publish(__name__)
