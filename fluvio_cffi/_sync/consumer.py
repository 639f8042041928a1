# Made by tools/async_to_sync.py from fluvio_cffi/_async/consumer.py: change that, and run it.
"""The consumer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from struct import Struct
from time import monotonic
from types import TracebackType
from typing import Final

from fluvio_cffi._backends.base import Waiter
from fluvio_cffi._backends.threads import SyncHost
from fluvio_cffi._consume.batch import Buffer, Columns, Cut, RecordBatch, State, holding_back, positions, without
from fluvio_cffi._consume.options import KINDS, ConsumerOptions
from fluvio_cffi._errors import ClosedError, ConfigError, ConfigTypeError, FluvioError, FluvioTimeoutError, UsageError
from fluvio_cffi._lifetime import Closeable, Forgettable, logger
from fluvio_cffi._native.calls import copy_buffer
from fluvio_cffi._native.errors import explained, from_native, raise_status
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._native.queue import Operation
from fluvio_cffi._values.checks import kind, number
from fluvio_cffi._values.quantities import CLOSE_TIMEOUT, Timeout, ending, left, parse_duration, parse_timeout
from fluvio_cffi._values.records import Offset, Record

from .readiness import begin_to_wait, until_ready
from .session import Session

_NOTHING: Iterator[Record] = iter(())
# flv_offset_t
_STORED = Struct("=IIq")
# As many partitions does a repr show.
_SHOWN: Final = 8
_ENDS = (lib.FLV_STATUS_END, lib.FLV_STATUS_CLOSED)
_NO_ERROR = (ffi.NULL,)
_STRIDE = 512
_STRIDE_SECONDS = 0.00016
# How long one who works on what was taken may go on without a look for partitions that had nothing before.
_FRESH_SECONDS = 0.005


class Consumer(Forgettable, Closeable):
    """Reads the records of a topic, each once and in the order of its partition. Made by :meth:`Fluvio.consumer`.

    ``for record in consumer`` reads them one by one, :meth:`batches` many at a time, :meth:`receive` a single
    one, in any mixture. Breaking out of a loop loses nothing: the next read goes on where it ended.
    One thread reads at a time.

    A read that is interrupted or runs out of time has taken nothing. An error that is raised while reading leaves the
    consumer open, at the same position.
    """

    _opened = "the client's consumer(topic)"

    def __init__(self, session: Session, handle: CData, topic: str, options: ConsumerOptions) -> None:
        super().__init__()
        host = session.host
        self._session = session
        self._host: SyncHost = host
        self._topic = topic
        self._handle = handle
        self._chunk = ffi.new("flv_chunk_t *")
        self._chunk.struct_size = ffi.sizeof("flv_chunk_t")
        self._error = ffi.new("flv_error_t **")
        self._buffer = Buffer()
        self._records = _NOTHING
        self._stride = 1
        self._strode = 0.0
        # When something was last taken, or looked for.
        self._took = 0.0
        # Whether a read is going on; and what it waits for, while it does.
        self._reading = False
        self._waiting: Operation | None = None
        # How many seeks there were.
        self._seeks = 0
        # Rises when the library is told what to hold back.
        self._orders = 0
        self._stopped = False
        self._ended = False
        self._closed = False
        self._consumer_id = options.consumer_id
        self._commits = options.consumer_id is not None
        self._commits_by_itself = options.commits_by_itself
        # What the library commits in the background: by partition, the last processed offset.
        self._slots: dict[int, CData] = {}

    # -- what it is

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._topic

    @property
    def assignment(self) -> tuple[int, ...]:
        """The partitions that are read. Partitions that the topic gets later appear by themselves. Any thread."""
        return tuple(sorted(partition for partition, _, _, _ in self._native_positions()))

    def position(self) -> dict[int, int]:
        """For each partition the offset of the record that is handed out next. Any thread.

        A partition that the topic has just got is missing until its first offset is known.
        """
        while True:
            places = self._native_positions()
            known = {partition: position for partition, position, _, _ in places if position >= 0}
            # What was taken from the library is not handed out yet; neither is what is just being taken, in this order.
            chunk = self._chunk
            if chunk.count and (chunk.partition, chunk.seeks) in [(place[0], place[3]) for place in places]:
                known[chunk.partition] = chunk.first_offset
            state = self._buffer.state
            # Otherwise a seek has come in between.
            if all(state.seeks.get(partition, 0) <= seeks for partition, _, _, seeks in places):
                return known | positions(state)

    def lag(self) -> dict[int, int]:
        """For each partition how many offsets lie between :meth:`position` and the end of its log, as far as it was
        seen. Any thread.

        A partition is missing as long as its position or its end is not known.
        """
        positions = self.position()
        ends = {partition: end for partition, _, end, _ in self._native_positions()}
        return {
            partition: max(0, ends[partition] - position)
            for partition, position in positions.items()
            if ends.get(partition, -1) >= 0
        }

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def __repr__(self) -> str:
        parts = [repr(self._topic)]
        if self._consumer_id is not None:
            parts.append(f"consumer_id={self._consumer_id!r}")
        if self._host.forked:
            parts.append("inherited through a fork")
        elif self._closed:
            parts.append("closed")
        else:
            with contextlib.suppress(FluvioError):
                parts.append(f"at {_some(self.position())}")
            parts += ["stopped"] if self._stopped else []
        return f"<{type(self).__name__} of {', '.join(parts)}>"

    # -- reading

    def __iter__(self) -> Consumer:
        self._check_open()
        return self

    def __next__(self) -> Record:
        while True:
            for record in self._records:
                return record
            if not self._next(None):
                raise StopIteration

    def receive(self, timeout: Timeout = ...) -> Record:
        """The next record.

        :param timeout: seconds; left out or ``None``: no limit; ``0``: only what is there now.
        :raises FluvioTimeoutError: ``phase="read"`` when the time is over; nothing is lost.
        :raises ClosedError: at the end (``stop_at_end``), after :meth:`stop`, and when the consumer is closed.
        """
        deadline = ending(parse_timeout(timeout, None))
        self._check_open()
        while True:
            for record in self._records:
                return record
            if not self._next(deadline):
                raise self._no_more()

    def batches(self, *, max_records: int = 1000, max_wait: float | str | None = 0.0) -> Batches:
        """An iterator of batches: waits for a first record without limit, then at most `max_wait` for more.

        :param max_records: records of a batch, at most.
        :param max_wait: seconds (or text such as ``"100ms"``); ``0``: only what is there already; some milliseconds
            make larger batches of a trickle; ``None``: until the batch is full.
        """
        self._check_open()
        number(max_records, "max_records", 1, 1 << 31)
        wait = None if max_wait is None else parse_duration(max_wait, "max_wait")
        return Batches(self, max_records, wait)

    # -- elsewhere, later

    def seek(self, partition: int, offset: Offset | int, *, timeout: Timeout = ...) -> None:
        """Go on elsewhere in a partition. What was read ahead of it is dropped; an error at which it stands is passed.

        The seek is in force at once: when it is interrupted or runs out of time, only the wait for the new position is
        abandoned.

        :param partition: one that is read.
        :param offset: the next offset to read, or an :class:`Offset`.
        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises PartitionNotFoundError: the partition is not read by this consumer.
        :raises OffsetEvictedError: retention has removed the offset.
        :raises ClosedError: the consumer was closed or stopped.
        """
        host = self._host
        host.check()
        self._check_open()
        if self._stopped:
            raise self._no_more()
        number(partition, "partition", 0, (1 << 31) - 1)
        target = offset if isinstance(offset, Offset) else Offset.at(offset)
        operation = self._start_seek(
            partition, target, parse_timeout(timeout, self._session.admin_timeout), host.waiter()
        )
        (host.finish(operation)).check()

    def pause(self, *partitions: int) -> None:
        """Hold partitions back: nothing more of them is handed out until :meth:`resume`. Any thread; safe in a signal
        handler.

        :param partitions: which; none: all that it reads by now.
        :raises PartitionNotFoundError: one of them is not read by this consumer.
        """
        self._hold(lib.flv_consumer_pause, partitions, frozenset[int].union)

    def resume(self, *partitions: int) -> None:
        """Go on with partitions that were paused, where they were. Any thread; safe in a signal handler.

        :param partitions: which; none: all that are paused.
        :raises PartitionNotFoundError: one of them is not read by this consumer.
        """
        self._hold(lib.flv_consumer_resume, partitions, frozenset[int].difference)
        waiting = self._waiting
        if waiting is not None:
            # There may be something in the buffer, of which the library knows nothing: the read is to look.
            self._host.hub.cancel(waiting)

    # -- stored offsets

    def commit(self, what: Record | RecordBatch | Mapping[int, int] | None = None, *, timeout: Timeout = ...) -> None:
        """Store, under the consumer's id, which record of each partition was processed last.

        A consumer that is opened with this id later goes on after it. A commit of records never moves what is stored
        backwards, say by a worker that was suspended while another one took its place; unless this consumer has sought
        backwards in that partition. What is stored is looked up if that was last done more than a second ago: within
        that second two consumers with one id can still overtake each other.

        While the partition's leader is away, or the server that keeps the offsets, it is tried again until the time is
        over; of several commits the last one wins.

        :param what: a record, a batch, or left out: all that was handed out; or ``{partition: offset}`` of the last
            processed records, which is stored exactly as given, also backwards.
        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises UsageError: the consumer was opened without a ``consumer_id``.
        :raises ConfigError: `what` is of another topic, or no offsets.
        :raises OffsetOutOfRangeError: an offset in `what` lies beyond the end of its log: nothing is stored.
        :raises FluvioTimeoutError: ``phase="commit"``: it may be stored, or not; storing it again is safe.
        :raises ClosedError: the consumer was closed meanwhile.
        """
        host = self._host
        host.check()
        self._check_open()
        self._check_commits()
        processed = self._handed_out() if what is None else self._offsets_of(what)
        if not processed:
            return
        native = ffi.new("flv_offset_t[]", [(partition, 0, offset) for partition, offset in processed.items()])
        operation = host.hub.start(
            lib.flv_consumer_commit if isinstance(what, Mapping) else lib.flv_consumer_commit_processed,
            self._handle,
            native,
            len(processed),
            timeout=parse_timeout(timeout, self._session.admin_timeout),
            phase="commit",
            waiter=host.waiter(),
        )
        (host.finish(operation)).check()

    def committed(self, timeout: Timeout = ...) -> dict[int, int]:
        """The stored offsets of the consumer's id, by partition: those of the last processed records.

        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises UsageError: the consumer was opened without a ``consumer_id``.
        """
        host = self._host
        host.check()
        self._check_open()
        self._check_commits()
        operation = host.hub.start(
            lib.flv_consumer_committed,
            self._handle,
            timeout=parse_timeout(timeout, self._session.admin_timeout),
            phase="commit",
            waiter=host.waiter(),
        )
        buffer = (host.finish(operation)).take("flv_buffer_t *", lib.flv_buffer_free)
        return {partition: offset for partition, _, offset in _STORED.iter_unpack(copy_buffer(buffer))}

    def stop(self) -> None:
        """End reading: nothing further is handed out, and the loop ends at its next read.

        Any thread; safe in a signal handler. The consumer must still be closed.
        """
        self._stopped = True
        self._records = _NOTHING
        if not self._host.forked:
            lib.flv_consumer_stop(self._handle)

    # -- closing

    def close(self, timeout: Timeout = ...) -> None:
        """Give up the connections. A read that is going on ends. Closing twice is fine.

        :param timeout: seconds; left out: 5; ``None``: no limit.
        """
        host = self._host
        host.check()
        if self._closed:
            return
        self._end()
        operation = host.hub.start(
            lib.flv_consumer_close,
            self._handle,
            timeout=parse_timeout(timeout, CLOSE_TIMEOUT),
            phase="close",
            waiter=host.waiter(),
        )
        try:
            host.finish(operation)
        except BaseException:
            self._hand_over_close()
            raise
        operation.check()

    def __enter__(self) -> Consumer:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._host.is_cancellation(error):
            if not self._closed:
                self._end()
                self._hand_over_close()
        else:
            try:
                self.close()
            except FluvioError as failure:
                logger.error("%r: %s", self, failure)

    def __del__(self) -> None:
        if getattr(self, "_closed", True) or self._session.closed or self._host.forked:
            return
        self._forgotten(repr(self))

    # -- inside

    # A record, or a batch, leaves the buffer as the last step, and no call comes between that and the caller: where
    # an exception may come after any call nothing is lost. Any call may come in the middle of any other one: the
    # comment of `_native.queue` says what "one step" means.

    def _next(self, deadline: float | None) -> bool:
        """Whether there is a next record, now in the stride; called when the current stride is used up."""
        self._host.check()
        if not self._reading:
            # One step.
            self._reading = True
        else:
            raise self._second_reader()
        try:
            self._begin_to_read()
            self._pace()
            buffer = self._buffer
            while self._ready(deadline):
                self._strode = monotonic()
                state = buffer.state
                begun = buffer.read(state, self._stride)
                # One step: what was held back, sought or stopped meanwhile is not handed out.
                if begun is not None and buffer.state is state and not self._stopped:
                    buffer.state, self._records = begun
                    return True
            return False
        finally:
            self._reading = False

    def _batch(self, limit: int, wait: float | None) -> Cut | None:
        """The next batch, still to be taken out of the buffer, or ``None`` at the end."""
        self._host.check()
        if not self._reading:
            # One step.
            self._reading = True
        else:
            raise self._second_reader()
        try:
            self._begin_to_read()
            self._records = _NOTHING
            while self._ready(None):
                if self._buffer.count < limit:
                    self._fill(limit, ending(wait))
                cut = self._buffer.cut(limit, full=wait is None)
                if cut is not None:
                    return cut
            return None
        finally:
            self._reading = False

    def _native_positions(self) -> list[tuple[int, int, int, int]]:
        """Partitions, where the library is in them, and where they end, -1: not known yet; and how often they were
        sought."""
        self._host.check_fork()
        count = ffi.new("size_t *")
        capacity = 64
        while True:
            found = ffi.new("flv_position_t[]", capacity)
            raise_status(lib.flv_consumer_positions(self._handle, found, capacity, count), _NO_ERROR)
            if count[0] <= capacity:
                return [
                    (place.partition, place.position, place.end, place.seeks) for place in ffi.unpack(found, count[0])
                ]
            capacity = count[0]

    def _second_reader(self) -> UsageError:
        return UsageError("this consumer is being read already: one reads at a time")

    def _begin_to_read(self) -> None:
        if self._commits_by_itself:
            # Who reads on has processed what he was given.
            self._mark(self._handed_out())

    def _handed_out(self) -> dict[int, int]:
        """By partition, the offset of the last record that was handed out since the start, or the last seek."""
        return self._buffer.handed_out()

    def _mark(self, processed: dict[int, int]) -> None:
        """Tells the library what it may commit in the background."""
        for partition, offset in processed.items():
            slot = self._slots.get(partition)
            if slot is None:
                place = ffi.new("int64_t **")
                raise_status(lib.flv_consumer_processed(self._handle, partition, place, _NO_ERROR), _NO_ERROR)
                slot = self._slots[partition] = place[0]
            slot[0] = offset

    def _mark_before_hand(self) -> None:
        """At the end: what was handed out one by one counts but for the last record, which is in the caller's hand."""
        if self._commits_by_itself:
            in_hand = self._buffer.in_hand()
            if in_hand is not None and in_hand[1] > 0:
                partition, offset = in_hand
                self._mark({partition: offset - 1})

    def _start_seek(self, partition: int, to: Offset, timeout: float | None, waiter: Waiter) -> Operation:
        start = ffi.new("flv_start_t *", (partition, KINDS[to.kind], to.value))
        try:
            return self._host.hub.start(
                lib.flv_consumer_seek, self._handle, start[0], timeout=timeout, phase="read", waiter=waiter
            )
        finally:
            # Whatever exception came: if the library has sought, what was read ahead of it must go.
            try:
                self._follow(partition)
            except BaseException:
                self._follow(partition)
                raise

    def _follow(self, partition: int) -> None:
        """Drops what was read ahead of a partition before it was sought last."""
        for place, _, _, seeks in self._native_positions():
            if place == partition:
                self._change(partial(without, partition=partition, seeks=seeks))
        # One step.
        self._seeks += 1
        self._ended = False

    def _change(self, change: Callable[[State], State]) -> None:
        """Changes what the buffer holds."""
        buffer = self._buffer
        while True:
            before = buffer.state
            # Until another state takes the place of this one, no more records leave it one by one.
            self._records = _NOTHING
            after = change(before)
            # One step.
            if buffer.state is before:
                buffer.state = after
                return

    def _hold(
        self,
        function: Callable[..., int],
        partitions: tuple[int, ...],
        combine: Callable[[frozenset[int], tuple[int, ...]], frozenset[int]],
    ) -> None:
        """Holds partitions back, here and in the library, or goes on with them."""
        self._host.check_fork()
        self._check_open()
        for partition in partitions:
            number(partition, "a partition", 0, (1 << 31) - 1)
        if not partitions:
            partitions = self.assignment
        self._order(function, partitions)
        self._change(lambda state: holding_back(state, combine(state.paused, partitions)))
        # Another call may say otherwise at the same time. What is in force here is told to the library, and again if
        # another one has begun to tell it something meanwhile, which may be older.
        while True:
            # One step.
            self._orders += 1
            order = self._orders
            paused = self._buffer.state.paused
            self._order(lib.flv_consumer_pause, [partition for partition in partitions if partition in paused])
            self._order(lib.flv_consumer_resume, [partition for partition in partitions if partition not in paused])
            if self._orders == order:
                return

    def _order(self, function: Callable[..., int], partitions: Sequence[int]) -> None:
        error = ffi.new("flv_error_t **")
        raise_status(function(self._handle, ffi.new("uint32_t[]", partitions), len(partitions), error), error)

    def _check_commits(self) -> None:
        if not self._commits:
            raise UsageError("the consumer was opened without a consumer_id: it has no stored offsets")

    def _offsets_of(self, what: Record | RecordBatch | Mapping[int, int]) -> dict[int, int]:
        if isinstance(what, Mapping):
            for partition, offset in what.items():
                number(partition, "a partition to commit", 0, (1 << 31) - 1)
                number(offset, f"the offset to commit of partition {partition}", 0, (1 << 63) - 1)
            return dict(what)
        if not isinstance(what, (Record, RecordBatch)):
            raise ConfigTypeError(f"what must be a Record, a RecordBatch or {{partition: offset}}, not {kind(what)}")
        if what.topic != self._topic:
            raise ConfigError(f"what is of topic {what.topic!r}: this consumer reads {self._topic!r}")
        return {what.partition: what.offset} if isinstance(what, Record) else what.last_offsets

    def _pace(self) -> None:
        """Sets how many records may leave before the clock is looked at: few while the caller is slow, so that other
        threads are let run every millisecond."""
        spent = max(monotonic() - self._strode, 1e-6)
        fitting = int(self._buffer.given * _STRIDE_SECONDS / spent)
        self._stride = max(min(fitting, self._stride * 2, _STRIDE), 1)

    def _ready(self, deadline: float | None) -> bool:
        """Whether there is a record in the buffer: waits for it. False at the end."""
        host = self._host
        if host.due():
            host.rest()
        buffer = self._buffer
        ready = buffer.count
        if ready and monotonic() - self._took > _FRESH_SECONDS:
            self._take_fresh()
        while not self._stopped:
            if ready:
                return True
            if not self._take():
                if self._ended:
                    return False
                if not self._wait(deadline):
                    what = f"no record of {self._topic!r} came in time"
                    late = FluvioTimeoutError(what, phase="read", topic=self._topic)
                    raise explained(late, lib.flv_consumer_trouble, self._handle)
            ready = buffer.count
        return False

    def _fill(self, limit: int, deadline: float | None) -> None:
        """Takes what comes until `limit` records are in the buffer, or the time is over, or it must be handed out."""
        buffer = self._buffer
        while buffer.count < limit and not self._stopped:
            try:
                if self._take():
                    continue
                if self._ended or not self._wait(deadline):
                    return
            except FluvioError:
                # The records before it first; the library says it again.
                return

    def _take(self) -> bool:
        """Takes a chunk that is there; false if none is, or no more come."""
        if self._closed:
            self._ended = True
            return False
        if self._take_up():
            return True
        seeks = self._seeks
        status = lib.flv_consumer_take(self._handle, self._chunk, self._error)
        if status == lib.FLV_STATUS_OK:
            self._take_up()
            self._took = monotonic()
            self._host.breathe()
            return True
        if status == lib.FLV_STATUS_EMPTY:
            return False
        error, self._error[0] = self._error[0], ffi.NULL
        if status in _ENDS or self._closed or self._stopped:
            lib.flv_error_free(error)
            # One step: a seek may have come meanwhile, after which there is more.
            if self._seeks == seeks:
                self._ended = True
            return False
        raise from_native(status, error, "read")

    def _take_fresh(self) -> None:
        """Takes what is there of a partition that had nothing before: it is handed out before the rest of others."""
        self._took = monotonic()
        self._take_up()
        if not self._closed:
            lib.flv_consumer_take_fresh(self._handle, self._chunk, ffi.NULL)
            self._take_up(first=True)

    def _take_up(self, first: bool = False) -> bool:
        """Puts the chunk that the library has handed over into the buffer. If an exception comes in between, the next
        reader does it.

        :param first: before what is there of other partitions.
        """
        chunk = self._chunk
        if not chunk.count:
            return False
        self._buffer.push(Columns.decode(self._topic, chunk), chunk, first)
        return True

    def _wait(self, deadline: float | None) -> bool:
        """Waits until there is something to take, or to look at; false if the time is over first."""
        seconds = left(deadline)
        if seconds == 0:
            return False
        host = self._host
        try:
            self._waiting = waiting = begin_to_wait(host, lib.flv_consumer_wait, self._handle, seconds)
            # Whoever resumes a partition does it the other way round.
            if self._buffer.count:
                host.hub.abandon(waiting)
                return True
            return until_ready(host, waiting)
        except ClosedError:
            # The next take says so.
            return True
        finally:
            self._waiting = None

    def _hand_over_close(self) -> None:
        try:
            self._host.hub.close_later(lib.flv_consumer_close, self._handle)
        except FluvioError as failure:
            logger.debug("%r: %s", self, failure)

    def _end(self) -> None:
        self._mark_before_hand()
        self._closed = True
        self._records = _NOTHING
        self._session.consumers.discard(self)
        self._stop_reading()

    def _stop_reading(self) -> None:
        """A read that is going on ends."""
        self._stopped = True
        self._records = _NOTHING
        lib.flv_consumer_stop(self._handle)

    def _check_open(self) -> None:
        self._host.check_fork()
        if self._closed:
            raise ClosedError("the consumer is closed", topic=self._topic)

    def _no_more(self) -> ClosedError:
        if self._closed:
            return ClosedError("the consumer is closed", topic=self._topic)
        if self._stopped:
            return ClosedError("the consumer was stopped", topic=self._topic)
        return ClosedError("the consumer has read to the end it was opened for", topic=self._topic)


def _some(positions: dict[int, int]) -> str:
    """Where a consumer is, of some partitions at least."""
    shown = ", ".join(f"{partition}: {position}" for partition, position in sorted(positions.items())[:_SHOWN])
    return f"{{{shown}{', ...' if len(positions) > _SHOWN else ''}}}"


class Batches:
    """The batches of a consumer, made by :meth:`Consumer.batches`. A loop goes on where the last one ended."""

    __slots__ = ("_consumer", "_limit", "_wait")

    def __init__(self, consumer: Consumer, limit: int, wait: float | None) -> None:
        self._consumer = consumer
        self._limit = limit
        self._wait = wait

    def __iter__(self) -> Iterator[RecordBatch]:
        self._consumer._check_open()
        return self

    def __next__(self) -> RecordBatch:
        buffer = self._consumer._buffer
        while True:
            cut = self._consumer._batch(self._limit, self._wait)
            if cut is None:
                raise StopIteration
            # One step: what was held back, sought or stopped meanwhile is not handed out.
            if buffer.state is cut.before and not self._consumer._stopped:
                buffer.state = cut.after
                return cut.batch

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._consumer!r}>"
