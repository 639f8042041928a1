# Made by tools/async_to_sync.py from fluvio_cffi/_async/consumer.py: change that, and run it.
"""The consumer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from fluvio_cffi._batch import Buffer, Columns, RecordBatch
from fluvio_cffi._errors import ClosedError, FluvioError, UsageError, from_native, timed_out
from fluvio_cffi._ffi import CData, ffi, lib
from fluvio_cffi._hub import Operation, raise_status
from fluvio_cffi._lifetime import Closeable, logger
from fluvio_cffi._options import CLOSE_TIMEOUT, HAND_OVER_TIMEOUT, number
from fluvio_cffi._types import Record, Timeout, parse_duration, parse_timeout
from fluvio_cffi._wait_threads import SyncHost
from fluvio_cffi._waiting import ending, left

if TYPE_CHECKING:
    from .client import Fluvio

_NOTHING: Iterator[Record] = iter(())
_ENDS = (lib.FLV_STATUS_END, lib.FLV_STATUS_CLOSED)
_NO_ERROR = (ffi.NULL,)
_STRIDE = 64
_STRIDE_SECONDS = 0.0005


class Consumer(Closeable):
    """Reads the records of a topic, each once and in the order of its partition. Made by :meth:`Fluvio.consumer`.

    ``for record in consumer`` reads them one by one, :meth:`batches` many at a time, :meth:`receive` a single
    one, in any mixture. Breaking out of a loop loses nothing: the next read goes on where it ended.
    One thread reads at a time.

    A read that is interrupted or runs out of time has taken nothing. An error that is raised while reading leaves the
    consumer open, at the same position.
    """

    def __init__(self, client: Fluvio, handle: CData, topic: str) -> None:
        super().__init__()
        host = client._host
        self._client = client
        self._host: SyncHost = host
        self._topic = topic
        self._handle = ffi.gc(handle, lib.flv_consumer_free)
        self._chunk = ffi.new("flv_chunk_t *")
        self._chunk.struct_size = ffi.sizeof("flv_chunk_t")
        self._error = ffi.new("flv_error_t **")
        self._buffer = Buffer()
        self._records = _NOTHING
        self._stride = 1
        self._strode = 0.0
        self._reading = threading.Lock()
        self._stopped = False
        self._ended = False
        self._closed = False

    # -- what it is

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._topic

    @property
    def assignment(self) -> tuple[int, ...]:
        """The partitions that are read. Partitions that the topic gets later appear by themselves. Any thread."""
        return tuple(sorted(partition for partition, _ in self._native_positions()))

    def position(self) -> dict[int, int]:
        """For each partition the offset of the record that is handed out next. Any thread.

        A partition that the topic has just got is missing until its first offset is known.
        """
        known = {partition: position for partition, position in self._native_positions() if position >= 0}
        # What was taken from the library is not handed out yet.
        return known | self._buffer.position()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def __repr__(self) -> str:
        state = ", closed" if self._closed else ", stopped" if self._stopped else ""
        return f"<{type(self).__name__} of {self._topic!r}{state}>"

    # -- reading

    def __iter__(self) -> Consumer:
        self._check_open()
        return self

    def __next__(self) -> Record:
        for record in self._records:
            return record
        found = self._next(None)
        if found is None:
            raise StopIteration
        return found

    def receive(self, timeout: Timeout = ...) -> Record:
        """The next record.

        :param timeout: seconds; left out or ``None``: no limit; ``0``: only what is there now.
        :raises FluvioTimeoutError: ``phase="read"`` when the time is over; nothing is lost.
        :raises ClosedError: at the end (``stop_at_end``), after :meth:`stop`, and when the consumer is closed.
        """
        deadline = ending(parse_timeout(timeout, None))
        self._check_open()
        for record in self._records:
            return record
        found = self._next(deadline)
        if found is None:
            raise self._no_more()
        return found

    def batches(self, *, max_records: int = 1000, max_wait: float | str | None = 0.1) -> Batches:
        """An iterator of batches: waits for a first record without limit, then at most `max_wait` for more.

        :param max_records: records of a batch, at most.
        :param max_wait: seconds (or text such as ``"100ms"``); ``0``: only what is there already; ``None``: until the
            batch is full.
        """
        self._check_open()
        number(max_records, "max_records", 1, 1 << 31)
        wait = None if max_wait is None else parse_duration(max_wait, "max_wait")
        return Batches(self, max_records, wait)

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
        if getattr(self, "_closed", True) or self._client._closed or self._host.forked:
            return
        self._forgotten(repr(self))

    # -- inside

    def _next(self, deadline: float | None) -> Record | None:
        """The next record, or ``None`` at the end; called when the current stride is used up."""
        self._begin_to_read()
        try:
            if self._ready(deadline):
                self._records = self._buffer.records(self._pace())
                if not self._stopped:
                    return next(self._records)
                self._records = _NOTHING
            return None
        finally:
            self._reading.release()

    def _batch(self, limit: int, wait: float | None) -> RecordBatch | None:
        """The next batch, or ``None`` at the end."""
        self._begin_to_read()
        try:
            self._records = _NOTHING
            if not self._ready(None):
                return None
            buffer = self._buffer
            if buffer.count < limit:
                self._fill(limit, ending(wait))
                if self._stopped:
                    return None
            return buffer.cut(limit)
        finally:
            self._reading.release()

    def _native_positions(self) -> list[tuple[int, int]]:
        """Partitions and where the library is in them; -1: not known yet."""
        self._host.check_fork()
        count = ffi.new("size_t *")
        capacity = 64
        while True:
            positions = ffi.new("flv_position_t[]", capacity)
            raise_status(lib.flv_consumer_positions(self._handle, positions, capacity, count), _NO_ERROR)
            if count[0] <= capacity:
                return [(positions[index].partition, positions[index].position) for index in range(count[0])]
            capacity = count[0]

    def _begin_to_read(self) -> None:
        self._host.check()
        if not self._reading.acquire(blocking=False):
            raise UsageError("another task is reading this consumer: one reads at a time")

    def _pace(self) -> int:
        """How many records may leave before the clock is looked at: few while the caller is slow, so that other threads
        are let run every millisecond."""
        now = monotonic()
        spent = now - self._strode
        self._strode = now
        if spent > _STRIDE_SECONDS:
            self._stride = max(1, self._stride // 4)
        elif self._stride < _STRIDE:
            self._stride *= 2
        return self._stride

    def _ready(self, deadline: float | None) -> bool:
        """Whether there is a record in the buffer: waits for it. False at the end."""
        host = self._host
        if host.due():
            host.rest()
        self._buffer.settle()
        while not self._stopped:
            if self._buffer.count or self._take():
                return not self._stopped
            if self._ended:
                return False
            if not self._wait(deadline):
                raise timed_out("read")
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
        chunk = self._chunk
        status = lib.flv_consumer_take(self._handle, chunk, self._error)
        if status == lib.FLV_STATUS_OK:
            columns = Columns.decode(self._topic, chunk)
            self._host.breathe()
            if len(columns):
                self._buffer.push(columns)
            return bool(len(columns)) or self._take()
        if status == lib.FLV_STATUS_EMPTY:
            return False
        error, self._error[0] = self._error[0], ffi.NULL
        if status in _ENDS or self._closed or self._stopped:
            lib.flv_error_free(error)
            self._ended = True
            return False
        raise from_native(status, error, "read")

    def _wait(self, deadline: float | None) -> bool:
        """Waits until there is something to take; false if the time is over first."""
        host = self._host
        seconds = left(deadline)
        if seconds == 0:
            return False
        try:
            operation = host.hub.start(
                lib.flv_consumer_wait, self._handle, timeout=seconds, phase="read", waiter=host.waiter()
            )
            host.finish(operation)
            if not operation.timed_out:
                operation.check()
                return True
            operation.dispose()
            return False
        except ClosedError:
            # Closed meanwhile, or the library was shut down at the end of the program: the next take says so.
            return True

    def _hand_over_close(self) -> None:
        try:
            self._host.hub.start(
                lib.flv_consumer_close,
                self._handle,
                timeout=HAND_OVER_TIMEOUT,
                phase="close",
                callback=Operation.dispose,
            )
        except FluvioError as failure:
            logger.debug("%r: %s", self, failure)

    def _end(self) -> None:
        self._closed = True
        self._records = _NOTHING
        self._client._consumers.discard(self)
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
        batch = self._consumer._batch(self._limit, self._wait)
        if batch is None:
            raise StopIteration
        return batch

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._consumer!r}>"
