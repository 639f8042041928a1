# Made by tools/async_to_sync.py from fluvio_cffi/_async/producer.py: change that, and run it.
"""The producer: what awaits. Everything else of it is in `_produce`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Generic

from fluvio_cffi._backends.threads import SyncBackend
from fluvio_cffi._errors import ClosedError, DeliveryError, FluvioError, FluvioTimeoutError
from fluvio_cffi._exports import publish
from fluvio_cffi._lifetime import Closeable, Forgettable, logger
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._native.loader import CData, lib
from fluvio_cffi._native.tickets import Ticket
from fluvio_cffi._produce.arrow import PLACED, ArrowBlock, ArrowData, ArrowReader, check_plain
from fluvio_cffi._produce.chunks import ChunkSizer, check_source, chunks
from fluvio_cffi._produce.delivery import Deliveries, SendResult, TicketBarrier, delivery_error, result_of
from fluvio_cffi._produce.encode import (
    NO_TIMESTAMP,
    OVERHEAD,
    BadElement,
    Block,
    RecordRefused,
    as_bytes,
    at_index,
    check_timestamp,
    encode,
)
from fluvio_cffi._produce.encoding import Encoding
from fluvio_cffi._produce.options import ProducerOptions
from fluvio_cffi._produce.partitions import PartitionChooser
from fluvio_cffi._produce.thread_intake import ThreadIntake
from fluvio_cffi._values.quantities import Timeout, ending, left, parse_timeout
from fluvio_cffi._values.records import KeyIn, Pending, ProducerRecord, Record, ValueIn
from fluvio_cffi._values.times import Timestamp

from .receipt import Receipt, wait_for
from .room import hand_over_all, use_room
from .session import Session


class Producer(Forgettable, Closeable, Generic[KeyIn, ValueIn]):
    """Sends records to one topic. Made by :meth:`Fluvio.producer`.

    *What is promised.* A record that is acknowledged is in the leader's log (``isolation="read_committed"``: on its
    replicas too). Per partition records are in the order in which they were accepted. Failures never vanish: if
    nobody looks at a failed record's receipt, :meth:`flush`, :meth:`close` or the end of the block raises for it.

    Leaving the block flushes, for up to ``delivery_timeout``; a block that is left by an interrupt is left at once,
    and the library goes on for one second.

    ``Producer[K, V]`` takes keys of type ``K`` and values of type ``V``, of which codecs make bytes; without these
    both are bytes or text.
    """

    _opened = "the client's producer(topic)"

    def __init__(
        self,
        session: Session,
        handle: CData,
        topic: str,
        options: ProducerOptions,
        encoding: Encoding | None = None,
    ) -> None:
        super().__init__()
        backend = session.backend
        self._session = session
        self._backend: SyncBackend = backend
        self._topic = topic
        self._handle = handle
        self._delivery_timeout = options.delivery_timeout
        self._encoding = encoding
        self._chooser = PartitionChooser(handle, topic, options.partitioner)
        self._intake: ThreadIntake[Receipt] = ThreadIntake(backend, handle, topic, options, Receipt)
        self._ledger = self._intake.ledger
        session.producers.add(self._intake)

    # -- what it is

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._topic

    @property
    def pending(self) -> Pending:
        """Records and bytes that were accepted and are not settled. Any thread; safe in a signal handler."""
        self._backend.check_fork()
        return self._intake.pending

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._intake.closing

    def __repr__(self) -> str:
        if self._backend.forked:
            state = "inherited through a fork"
        elif self._intake.closing:
            state = "closed"
        else:
            state = f"{self.pending.records} pending"
        return f"<{type(self).__name__} for {self._topic!r}, {state}>"

    # -- sending

    def send(
        self,
        value: ValueIn,
        *,
        key: KeyIn | None = None,
        partition: int | None = None,
        timestamp: Timestamp | None = None,
        timeout: Timeout = ...,
    ) -> RecordMetadata:
        """Send a record and wait until it is acknowledged.

        Interrupted before the record is accepted, nothing is sent; after that it is sent, and only the wait is
        abandoned.

        :param value: its value.
        :param key: its key; records with equal keys go to one partition. ``None``: none.
        :param partition: its partition; ``None``: the partitioner decides.
        :param timestamp: milliseconds since the epoch, or an aware ``datetime``; ``None``: now.
        :param timeout: seconds for all of it; left out: the producer's ``delivery_timeout``; ``None``: no limit.
        :raises FluvioTimeoutError: ``phase="enqueue"``, ``outcome="not_written"``: there was no room in time;
            ``phase="wait"``, ``outcome="pending"``: it was accepted, goes on, and ``.receipt`` stands for it;
            ``phase="delivery"``: it was given up.
        :raises RecordTooLargeError: it exceeds ``max_request_size``.
        :raises EncodeError: a codec does not take it; nothing is sent.
        :raises FluvioError: why it was not delivered.
        """
        data: object = value
        name: object = key
        if self._encoding is not None:
            data, name = self._encoding.pair(value, key)
        if timeout is ... and partition is None and timestamp is None:
            # The library settles a record within the delivery time-out by itself: that needs no timer here.
            receipt = self._intake.accept_usual(data, name, True)
            if receipt is not None:
                return wait_for(receipt, None)
        limit = parse_timeout(timeout, self._delivery_timeout)
        begun = monotonic()
        receipt = self._accept(data, name, partition, timestamp, limit, awaited=True)
        if limit is not None:
            spent = monotonic() - begun
            limit = None if timeout is ... and spent < 0.1 else max(limit - spent, 0.0)
        return wait_for(receipt, limit)

    def enqueue(
        self,
        value: ValueIn,
        *,
        key: KeyIn | None = None,
        partition: int | None = None,
        timestamp: Timestamp | None = None,
        timeout: Timeout = ...,
    ) -> Receipt:
        """Accept a record for sending; waits only while the buffer is full, first come, first served.

        If it raises, nothing was sent, nor will be; if it returns, the record is accepted, and the receipt says what
        becomes of it.

        :param value: its value.
        :param key: its key; ``None``: none.
        :param partition: its partition; ``None``: the partitioner decides.
        :param timestamp: milliseconds since the epoch, or an aware ``datetime``; ``None``: now.
        :param timeout: seconds to wait for room; left out: the producer's ``delivery_timeout``; ``None``: no limit;
            ``0``: only if there is room now.
        :raises FluvioTimeoutError: ``phase="enqueue"``: there was no room in time.
        :raises RecordTooLargeError: it exceeds ``max_request_size``.
        """
        data: object = value
        name: object = key
        if self._encoding is not None:
            data, name = self._encoding.pair(value, key)
        if timeout is ... and partition is None and timestamp is None:
            receipt = self._intake.accept_usual(data, name)
            if receipt is not None:
                return receipt
        return self._accept(data, name, partition, timestamp, timeout)

    def send_all(
        self,
        records: Iterable[
            ValueIn | tuple[KeyIn | None, ValueIn] | ProducerRecord[KeyIn, ValueIn] | Record[KeyIn, ValueIn]
        ],
        *,
        timeout: Timeout = ...,
    ) -> SendResult:
        """Send many records and wait until all are acknowledged.

        The input is read no further ahead than one chunk (at most 500 records or about 256 KiB); per partition
        its order is kept. Of what was accepted before an error or an interruption, all is sent.

        :param records: values, ``(key, value)`` pairs, :class:`ProducerRecord`, or consumed :class:`Record` (of
            which key and value are used).
        :param timeout: seconds for all of it; left out or ``None``: no limit beside each record's
            ``delivery_timeout``.
        :returns: where the records are.
        :raises DeliveryError: if any failed; ``.result`` says which. One record that is too large for a request
            ends it when those before are settled: it is the last of ``.result``, and the error names its index.
        :raises ConfigError: for an element that is no record; it names its index.
        :raises FluvioTimeoutError: when the time is over; ``outcome="pending"``: what was accepted goes on.
        """
        self._backend.check()
        check_source(records, asynchronous=self._intake.asynchronous)
        self._intake.check_open()
        deadline = ending(parse_timeout(timeout, None))
        deliveries = Deliveries(self._topic)
        sizer = ChunkSizer()
        try:
            try:
                given = records if self._encoding is None else self._encoding.elements(records)
                for chunk in chunks(given, sizer):
                    self._send_chunk(chunk, deliveries, sizer, deadline)
            except RecordRefused as refused:
                deliveries.refuse(refused.error)
            result, failure = self._outcome(deliveries, deadline)
        except BaseException:
            deliveries.release()
            raise
        if failure is not None:
            raise failure
        return result

    def send_arrow(
        self,
        data: ArrowData,
        *,
        value: str = "value",
        key: str | None = None,
        partition: str | None = None,
        timestamp: str | None = None,
        timeout: Timeout = ...,
    ) -> SendResult:
        """Send the rows of a table and wait until all are acknowledged: no Python object is made of a row.

        The table is read batch by batch, as there is room, and no further ahead than a chunk (at most 4,096 rows or
        about 256 KiB) but for the batch that its owner makes; per partition its order is kept. Of what was accepted
        before an error or an interruption, all is sent. A table that is slow to read, such as one that is still being
        computed, holds up all else in this thread meanwhile: read it in another one, or send from there.

        :param data: what has ``__arrow_c_stream__`` or ``__arrow_c_array__``: a table, batch or reader of pyarrow, a
            frame of polars or pandas, a relation of DuckDB, an :class:`ArrowBatch`.
        :param value: the name of the column with the values: binary or utf8, also large, views, of a fixed size or in
            a dictionary. Each row must have one.
        :param key: the name of the column with the keys, of the same types; null: no key.
        :param partition: the name of the column with the partitions, integers; null: the partitioner decides.
        :param timestamp: the name of the column with the times: timestamps with a time zone, or integers, which are
            milliseconds since the epoch; null: now.
        :param timeout: seconds for all of it; left out or ``None``: no limit beside each record's
            ``delivery_timeout``.
        :returns: where the records are, by row.
        :raises ConfigError: there is no such column, or its type is none of these, which is found before anything is
            sent; or a row has no value: nothing of its batch is sent; or a partition or time that is none: the rows
            before it are sent.
        :raises DeliveryError: if any failed; ``.result`` says which. One record that is too large for a request
            ends it when those before are settled: it is the last of ``.result``, and the error names its row.
        :raises FluvioTimeoutError: when the time is over; ``outcome="pending"``: what was accepted goes on.
        :raises UsageError: the producer has codecs; or this is no CPython.
        """
        self._backend.check()
        check_plain(self._encoding)
        self._intake.check_open()
        deadline = ending(parse_timeout(timeout, None))
        reader = ArrowReader(data, value, key, partition, timestamp)
        deliveries = Deliveries(self._topic)
        try:
            try:
                while True:
                    block = reader.next()
                    if block is None:
                        break
                    self._send_rows(block, deliveries, deadline)
            except RecordRefused as refused:
                deliveries.refuse(refused.error)
            result, failure = self._outcome(deliveries, deadline)
        except BaseException:
            deliveries.release()
            raise
        if failure is not None:
            raise failure
        return result

    def flush(self, timeout: Timeout = ...) -> None:
        """Wait until everything that was accepted before is settled.

        :param timeout: seconds; left out: the producer's ``delivery_timeout``; ``None``: no limit.
        :raises DeliveryError: for failed records whose receipts nobody looked at.
        :raises FluvioTimeoutError: ``phase="flush"``; what is queued goes on.
        """
        self._backend.check()
        self._intake.check_open()
        deadline = ending(parse_timeout(timeout, self._delivery_timeout))
        try:
            hand_over_all(self._backend, self._intake, deadline)
        except FluvioTimeoutError:
            what = f"the flush of the producer for {self._topic!r} did not end in time; what is queued goes on"
            raise self._ledger.late("flush", what, "pending") from None
        operation = self._backend.completions.start(
            lib.flv_producer_flush,
            self._handle,
            timeout=left(deadline),
            phase="flush",
            waiter=self._backend.waiter(),
        )
        (self._backend.finish(operation)).check()
        self._raise_failures()

    # -- closing

    def close(self, *, flush: bool = True, timeout: Timeout = ...) -> None:
        """Take no more records, wait until the accepted ones are settled, and give up the connections.

        Closing twice is fine. When it is interrupted the library goes on in the background, for one second.

        :param flush: false: what is queued is dropped (its receipts fail with ``outcome="not_written"`` or
            ``"unknown"``).
        :param timeout: seconds; left out: the producer's ``delivery_timeout``; ``None``: no limit. What is not settled
            then is dropped.
        :raises DeliveryError: for failed records whose receipts nobody looked at.
        """
        self._backend.check()
        intake = self._intake
        if intake.closed:
            return
        deadline = ending(parse_timeout(timeout, self._delivery_timeout))
        intake.begin_to_close()
        try:
            if flush:
                with contextlib.suppress(FluvioTimeoutError):
                    hand_over_all(self._backend, intake, deadline)
            intake.fail_queued(_too_late())
            operation = self._backend.completions.start(
                lib.flv_producer_close,
                self._handle,
                int(flush),
                timeout=left(deadline),
                phase="close",
                waiter=self._backend.waiter(),
            )
            (self._backend.finish(operation)).check()
        except FluvioError:
            self._end()
            raise
        except BaseException:
            self._hand_over_close(flush)
            raise
        self._end()
        self._raise_failures()

    def __enter__(self) -> Producer[KeyIn, ValueIn]:
        self._intake.check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._backend.is_cancellation(error):
            self._intake.begin_to_close()
            self._hand_over_close(True)
        else:
            try:
                self.close()
            except FluvioError as failure:
                logger.error("%r: %s", self, failure)

    def __del__(self) -> None:
        intake = getattr(self, "_intake", None)
        if intake is None or intake.closing or self._session.closed or self._backend.forked:
            return
        # The library flushes what it has for one second, in the background.
        intake.forget()
        self._forgotten(repr(self))

    # -- inside

    def _accept(
        self,
        value: object,
        key: object,
        partition: int | None,
        timestamp: Timestamp | None,
        timeout: Timeout,
        awaited: bool = False,
    ) -> Receipt:
        """The long way of :meth:`enqueue` and :meth:`send`: for every record.

        :param awaited: whether the caller waits for the receipt.
        """
        backend = self._backend
        intake = self._intake
        backend.check()
        limit = self._delivery_timeout if timeout is ... else parse_timeout(timeout, None)
        if type(value) is not bytes:
            value = as_bytes(value, "value")
        cost = len(value) + OVERHEAD
        if key is not None:
            if type(key) is not bytes:
                key = as_bytes(key, "key")
            cost += len(key)
        if partition is not None or self._chooser.partitioner is not None:
            partition = self._chooser.partition(partition, key, value)
        stamp = None if timestamp is None else check_timestamp(timestamp)
        if cost > intake.most:
            raise intake.too_large(cost)
        # A record that must queue for room does not yield first: it would lose its turn.
        if cost <= intake.free and backend.due():
            backend.rest()
        if intake.closing:
            raise intake.closed_error()
        receipt = Receipt(backend, self._ledger, stamp)
        if not intake.accept(receipt, value, key, partition, stamp, cost, awaited):
            use = partial(intake.accept_granted, receipt, value, key, partition, stamp, cost, awaited)
            use_room(backend, intake, cost, ending(limit), use)
        return receipt

    def _send_chunk(
        self, chunk: Sequence[object], deliveries: Deliveries, sizer: ChunkSizer, deadline: float | None
    ) -> None:
        if self._chooser.partitioner is not None:
            chunk = [self._chooser.placed(element) for element in chunk]
        while chunk:
            first = deliveries.length
            bad: FluvioError | None = None
            try:
                block: Block | None = encode(chunk, first)
            except BadElement as error:
                block = error.block
                bad = error.error
            if block is not None:
                sizer.weigh(block)
                self._send_block(block, deliveries, deadline)
                chunk = chunk[block.count :]
            if bad is not None:
                raise bad
            if self._backend.due(deliveries.length - first):
                self._backend.rest()

    def _send_block(self, block: Block, deliveries: Deliveries, deadline: float | None) -> None:
        intake = self._intake
        timestamps = block.timestamps
        base = deliveries.length

        def accept(position: int, ticket: Ticket, index: int, count: int, timestamp: int) -> None:
            if timestamps is None:
                deliveries.add(ticket, index, count, timestamp)
            else:
                given = timestamps[position : position + count]
                own = [timestamp if time == NO_TIMESTAMP else time for time in given]
                deliveries.add(ticket, index, count, own)

        accept_block = partial(intake.accept_block, block, accept)
        try:
            left = block.count - block.start
            while True:
                if not left:
                    break
                # Nobody comes before those who wait for room.
                if intake.contended or not accept_block():
                    use_room(self._backend, intake, intake.worthwhile(block), deadline, accept_block)
                left = block.count - block.start
        except RecordRefused as refused:
            error = intake.explained(refused.error, block)
            raise RecordRefused(at_index(error, base + block.start)) from None
        except FluvioTimeoutError as late:
            if deliveries.length:
                late.outcome, late.retriable = "pending", False
            raise

    def _send_rows(self, block: ArrowBlock, deliveries: Deliveries, deadline: float | None) -> None:
        row = position = 0
        while self._chooser.partitioner is not None and row < block.count:
            row, position = block.place(self._chooser, row, position)
            if self._backend.due(PLACED):
                self._backend.rest()
        self._send_block(block, deliveries, deadline)
        if self._backend.due(block.count):
            self._backend.rest()

    def _outcome(self, deliveries: Deliveries, deadline: float | None) -> tuple[SendResult, DeliveryError | None]:
        """Waits until all is settled; what became of it, and the error to raise, if some failed."""
        self._wait_for_all(deliveries, deadline)
        result = result_of(deliveries)
        count, errors = deliveries.failures()
        return result, delivery_error(self._topic, count, errors, result) if count else None

    def _wait_for_all(self, deliveries: Deliveries, deadline: float | None) -> None:
        tickets = deliveries.open_tickets()
        if not tickets:
            return
        waiter = self._backend.waiter()
        barrier = TicketBarrier(waiter, tickets)
        try:
            for ticket in tickets:
                ticket.wait(barrier)
            if not self._backend.wait(waiter, left(deadline)):
                length = deliveries.length
                what = f"not all of the {length} records for {self._topic!r} were acknowledged in time; they go on"
                raise self._ledger.late("wait", what, "pending")
        except BaseException:
            for ticket in tickets:
                ticket.leave(barrier)
            raise

    def _hand_over_close(self, flush: bool) -> None:
        """The caller leaves at once; the library goes on closing for a second."""
        intake = self._intake
        if intake.closed:
            return
        with contextlib.suppress(FluvioError):
            intake.push()
            intake.fail_queued(_too_late())
            self._backend.completions.close_later(lib.flv_producer_close, self._handle, int(flush))
        self._end()

    def _end(self) -> None:
        self._intake.end()
        self._session.producers.discard(self._intake)

    def _raise_failures(self) -> None:
        failure = self._intake.failures()
        if failure is not None:
            raise failure


def _too_late() -> ClosedError:
    return ClosedError("the producer was closed before the record was sent")


publish(__name__)
