"""The producer."""

# mypy: disable-error-code="unreachable"

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Sequence
from functools import partial
from itertools import compress
from threading import get_ident
from time import monotonic
from types import TracebackType
from typing import Any, cast

from fluvio_cffi._backends.base import AsyncHost, Waiter
from fluvio_cffi._errors import (
    ClosedError,
    ConfigError,
    DeliveryError,
    FluvioError,
    FluvioTimeoutError,
    ForkedError,
    PartitionNotFoundError,
    RecordTooLargeError,
    UsageError,
)
from fluvio_cffi._lifetime import Closeable, Forgettable, logger
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._native.library import CData, ffi, lib
from fluvio_cffi._native.queue import Operation
from fluvio_cffi._native.tickets import Slot, Ticket
from fluvio_cffi._produce.delivery import Gathering, Ledger, SendResult, delivery_error
from fluvio_cffi._produce.options import ProducerOptions
from fluvio_cffi._produce.submit import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    NO_STAMP,
    OVERHEAD,
    BadElement,
    Block,
    Pace,
    Pipe,
    Refused,
    as_bytes,
    at_index,
    check_partition,
    check_source,
    check_timestamp,
    chunks,
    encode,
    many,
    weight,
)
from fluvio_cffi._values.quantities import Timeout, ending, left, parse_timeout
from fluvio_cffi._values.records import Bytes, Pending, ProducerRecord, Record

from .session import AsyncSession

if True:  # ASYNC
    # Below so many records in flight each is handed over at once; from there on, once per turn of the loop.
    DIRECT = 4


class AsyncReceipt:
    """Stands for a record that was accepted. Awaited, it says where the record is, or raises why it is not.

    It can be awaited as often as wanted, by several tasks. :meth:`done`, :meth:`result` and :meth:`exception`: any
    thread; safe in a signal handler.
    """

    __slots__ = ("_delivered", "_host", "_index", "_ledger", "_seen", "_stamp", "_ticket", "_waiters", "_watchers")

    def __init__(self, host: AsyncHost, ledger: Ledger, timestamp: int | None) -> None:
        self._host = host
        self._ledger = ledger
        self._stamp = timestamp
        self._ticket: Ticket | None = None
        self._index = 0
        # Who waits; whether somebody looks at the outcome, or will; and whether somebody has.
        self._waiters: list[Waiter] | None = None
        self._watchers = 0
        self._seen = False
        self._delivered = False

    async def wait(self, timeout: Timeout = ...) -> RecordMetadata:
        """Wait until the record is acknowledged.

        :param timeout: seconds; left out or ``None``: until the record is settled, which it is within the producer's
            ``delivery_timeout``; ``0``: only if it is settled by now.
        :raises FluvioTimeoutError: with ``outcome="pending"`` when the time is over; the record goes on.
        :raises FluvioError: why the record was not delivered.
        """
        return await self._wait(parse_timeout(timeout, None))

    if True:  # ASYNC

        def __await__(self) -> Generator[object, None, RecordMetadata]:
            return self._wait(None).__await__()

    def done(self) -> bool:
        """Whether the record is settled, delivered or failed."""
        if True:  # ASYNC
            pass
        else:
            if self._ticket is None or not self._ticket.done:
                self._host.look()
        return self._ticket is not None and self._ticket.done

    def result(self) -> RecordMetadata:
        """Where the record is, or raises why it was not delivered. Never waits.

        :raises UsageError: while it is not settled.
        """
        ticket = self._settled()
        if ticket.error is not None:
            error = ticket.error._fresh()
            self._see(True)
            # One step with the raising: what was raised is not told again.
            self._delivered = True
            raise error
        return ticket.metadata(self._ledger.topic, self._index, self._stamp or 0)

    def exception(self) -> FluvioError | None:
        """Why the record was not delivered, or ``None`` if it was. Never waits.

        :raises UsageError: while it is not settled.
        """
        ticket = self._settled()
        error = None if ticket.error is None else ticket.error._fresh()
        self._see(True)
        self._delivered = True
        return error

    def __repr__(self) -> str:
        if self._ticket is None or not self._ticket.done:
            return f"<{type(self).__name__} for {self._ledger.topic!r}, pending>"
        if self._ticket.error is not None:
            return f"<{type(self).__name__} for {self._ledger.topic!r}, failed: {self._ticket.error}>"
        place = f"partition {self._ticket.partition}, offset {self._ticket.base + self._index}"
        return f"<{type(self).__name__} for {self._ledger.topic!r}, {place}>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    # -- for the producer

    def _bind(self, ticket: Ticket, index: int, stamp: int) -> None:
        self._index = index
        if self._stamp is None:
            self._stamp = stamp
        if self._seen:
            ticket.look(1)
        self._ticket = ticket
        waiters, self._waiters = self._waiters, None
        if waiters is not None:
            ticket.wait(*waiters)

    if True:  # ASYNC

        def _fail(self, error: FluvioError) -> None:
            ticket = Ticket()
            ticket.attach(self._ledger)
            self._ledger.submitted += 1
            if self._seen:
                ticket.seen = 1
            ticket.fail(error, 1)
            self._seen, seen = False, self._seen
            self._bind(ticket, 0, 0)
            self._seen = seen

    # -- waiting

    async def _wait(self, limit: float | None) -> RecordMetadata:
        host = self._host
        host.check()
        if True:  # ASYNC
            pass
        else:
            if limit == 0:
                self.done()
        ticket = self._ticket
        if ticket is None or not ticket.done:
            waiter = host.waiter()
            try:
                self._watch(waiter)
                if not await host.wait(waiter, limit):
                    what = f"the record for {self._ledger.topic!r} was not acknowledged within {limit:g} s; it goes on"
                    late = self._ledger.late("wait", what, "pending")
                    late.receipt = self
                    raise late
                host.turned()
                return self.result()
            except BaseException:
                if not self._delivered:
                    self._leave(waiter)
                raise
        if host.due():
            await host.rest()
        return self.result()

    def _watch(self, waiter: Waiter) -> None:
        self._watchers += 1
        self._see(True)
        ticket = self._ticket
        if ticket is not None:
            ticket.wait(waiter)
        elif self._waiters is None:
            self._waiters = [waiter]
        else:
            self._waiters.append(waiter)

    def _leave(self, waiter: Waiter) -> None:
        # One step.
        if self._watchers:
            self._watchers -= 1
        ticket = self._ticket
        if ticket is not None:
            ticket.leave(waiter)
        elif self._waiters is not None and waiter in self._waiters:
            self._waiters.remove(waiter)
        if not self._watchers and not self._delivered:
            self._see(False)

    def _see(self, seen: bool) -> None:
        """Somebody looks at the outcome, or will; or nobody does, after all."""
        ledger = self._ledger
        count = 1 if seen else -1
        # One step.
        ticket = self._ticket
        if self._seen is not seen:
            self._seen = seen
            if ticket is not None:
                ticket.seen += count
                if ticket.error is not None and ticket.generation == ledger.generation:
                    ledger.count -= count

    def _settled(self) -> Ticket:
        ticket = self._ticket
        if ticket is None or not ticket.done:
            if not self.done():
                raise self._not_yet()
            ticket = self._ticket
            assert ticket is not None
        return ticket

    def _not_yet(self) -> FluvioError:
        return UsageError("the record is not settled yet: wait for the receipt")


if True:  # ASYNC

    class _Group:
        """Records that were accepted one by one and are not handed over: either all have a receipt, or all have a slot.

        :ivar aborts: the host's when it began.
        """

        __slots__ = ("aborts", "block", "keys", "partitions", "receipts", "size", "slots", "stamps", "values")

        def __init__(self, aborts: int) -> None:
            self.aborts = aborts
            self.values: list[bytes] = []
            self.keys: list[bytes | None] | None = None
            self.partitions: list[int] | None = None
            self.stamps: list[int] | None = None
            self.receipts: list[AsyncReceipt] = []
            self.slots: list[Slot] = []
            self.size = 0
            self.block: Block | None = None

        def takes(self, owner: AsyncReceipt | Slot) -> bool:
            """Whether a record with this receipt, or slot, can join."""
            return self.block is None and not (self.slots if isinstance(owner, AsyncReceipt) else self.receipts)

        def add(
            self,
            owner: AsyncReceipt | Slot,
            value: bytes,
            key: bytes | None,
            partition: int | None,
            timestamp: int | None,
            cost: int,
        ) -> None:
            """One more record."""
            if key is not None and self.keys is None:
                self.keys = [None for _ in self.values]
            if partition is not None and self.partitions is None:
                self.partitions = [-1] * len(self.values)
            if timestamp is not None and self.stamps is None:
                self.stamps = [NO_STAMP] * len(self.values)
            self.values.append(value)
            if self.keys is not None:
                self.keys.append(key)
            if self.partitions is not None:
                self.partitions.append(-1 if partition is None else partition)
            if self.stamps is not None:
                self.stamps.append(NO_STAMP if timestamp is None else timestamp)
            if isinstance(owner, AsyncReceipt):
                self.receipts.append(owner)
            else:
                self.slots.append(owner)
            self.size += cost

        def bind(self, place: int, ticket: Ticket, index: int, count: int, stamp: int) -> None:
            """`count` records from `place` on are the records `index`.. of `ticket`."""
            if self.slots:
                ticket.serve(index, stamp, self.slots[place : place + count])
                return
            for receipt in self.receipts[place : place + count]:
                receipt._bind(ticket, index, stamp)
                index += 1

        def fail(self, start: int, stop: int, error: FluvioError, ledger: Ledger) -> None:
            """The records from `start` to `stop` will not be handed over."""
            if self.slots and start < stop:
                ticket = Ticket()
                ticket.attach(ledger)
                ledger.submitted += stop - start
                ticket.serve(0, 0, self.slots[start:stop])
                ticket.fail(error, stop - start)
            for receipt in self.receipts[start:stop]:
                receipt._fail(error)

        def seal(self, aborts: int) -> Block:
            """The records as a block; no more come. What was sent by tasks that were cancelled since is left out.

            :param aborts: the host's by now.
            """
            if self.block is None:
                if aborts != self.aborts and self.slots:
                    self._withdraw()
                self.block = many(self.values, self.keys, self.partitions, self.stamps)
                self.values = []
                self.keys = None
            return self.block

        @property
        def cost(self) -> int:
            """Bytes of the buffer that it costs."""
            return self.size if self.block is None else self.block.cost

        @property
        def count(self) -> int:
            """How many records there are."""
            return len(self.values) if self.block is None else self.block.count - self.block.start

        def _withdraw(self) -> None:
            # Records with a slot have no partition and no timestamp of their own.
            kept = [not slot.done() for slot in self.slots]
            slots = [*compress(self.slots, kept)]
            values = [*compress(self.values, kept)]
            keys = None if self.keys is None else [*compress(self.keys, kept)]
            self.slots, self.values, self.keys = slots, values, keys

    def _bind(owner: AsyncReceipt | Slot, ticket: Ticket, index: int, stamp: int) -> None:
        """Tells a receipt, or a slot, where its record is."""
        if isinstance(owner, AsyncReceipt):
            owner._bind(ticket, index, stamp)
        else:
            ticket.serve(index, stamp, (owner,))


if True:  # ASYNC

    class _Seat:
        """A place in the queue for room."""

        __slots__ = ("cost", "error", "waiter")

        def __init__(self, waiter: Waiter, cost: int) -> None:
            self.waiter = waiter
            self.cost = cost
            self.error: FluvioError | None = None

else:

    class _Place:
        """A place in the queue for room.

        :ivar owner: who has it.
        :ivar granted: whether he was called.
        :ivar left: whether he is gone.
        """

        __slots__ = ("cost", "error", "granted", "left", "owner", "waiter")

        def __init__(self, waiter: Waiter, owner: object, cost: int) -> None:
            self.waiter = waiter
            self.owner = owner
            self.cost = cost
            self.granted = False
            self.left = False
            self.error: FluvioError | None = None


class AsyncProducer(Forgettable, Closeable):
    """Sends records to one topic. Made by :meth:`AsyncFluvio.producer`.

    *What is promised.* A record that is acknowledged is in the leader's log (``isolation="read_committed"``: on its
    replicas too). Per partition records are in the order in which they were accepted. Failures never vanish: whoever
    does not look at a receipt hears of it at :meth:`flush`, :meth:`close` or the end of the block.

    Leaving the block flushes, for up to ``delivery_timeout``; a block that is left by cancellation is left at once,
    and the library goes on for one second.
    """

    _opened = "the client's producer(topic)"

    def __init__(self, session: AsyncSession, handle: CData, topic: str, options: ProducerOptions) -> None:
        super().__init__()
        host = session.host
        self._session = session
        self._host: AsyncHost = host
        self._topic = topic
        self._handle = handle
        self._delivery_timeout = options.delivery_timeout
        self._most = options.max_request_size
        self._partitioner = options.partitioner
        # What is no larger fits for certain; of the rest only the library knows.
        self._sure = options.max_request_size - 4096
        self._buffer_size = options.buffer_size
        self._ledger = Ledger(topic, handle)
        self._pipe = Pipe(self._handle, host.hub, self._ledger)
        # The library's wait for room, for those who stand in line for it.
        self._asking: Operation | None = None
        if True:  # ASYNC
            self._seats: deque[_Seat] = deque()
            # Room: what the library granted, less what is queued here and less what waiting tasks were promised.
            self._room = self._pipe.room
            self._groups: deque[_Group] = deque()
            # The last of them while records with a slot may join it; it goes to the library when the loop turns.
            self._open: _Group | None = None
            # Those whose room is promised, and not taken.
            self._granted: set[_Seat] = set()
            self._scheduled = False
        else:
            self._line: deque[_Place] = deque()
        self._closing = False
        self._closed = False

    # -- what it is

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._topic

    @property
    def pending(self) -> Pending:
        """Records and bytes that were accepted and are not settled. Any thread; safe in a signal handler."""
        self._host.check_fork()
        count = cost = 0
        if True:  # ASYNC
            for group in tuple(self._groups):
                count += group.count
                cost += group.cost
        records = ffi.new("uint64_t *")
        size = ffi.new("uint64_t *")
        lib.flv_producer_pending(self._handle, records, size)
        return Pending(records[0] + count, size[0] + cost)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closing

    def __repr__(self) -> str:
        if self._host.forked:
            state = "inherited through a fork"
        elif self._closing:
            state = "closed"
        else:
            state = f"{self.pending.records} pending"
        return f"<{type(self).__name__} for {self._topic!r}, {state}>"

    # -- sending

    async def send(
        self,
        value: Bytes,
        *,
        key: Bytes | None = None,
        partition: int | None = None,
        timestamp: int | None = None,
        timeout: Timeout = ...,
    ) -> RecordMetadata:
        """Send a record and wait until it is acknowledged.

        Cancelled before the record is accepted, nothing is sent; after that it is sent, and only the wait is
        abandoned.

        :param value: its value.
        :param key: its key; records with equal keys go to one partition. ``None``: none.
        :param partition: its partition; ``None``: the partitioner decides.
        :param timestamp: milliseconds since the epoch; ``None``: now.
        :param timeout: seconds for all of it; left out: the producer's ``delivery_timeout``; ``None``: no limit.
        :raises FluvioTimeoutError: ``phase="enqueue"``, ``outcome="not_written"``: there was no room in time;
            ``phase="wait"``, ``outcome="pending"``: it was accepted, goes on, and ``.receipt`` stands for it;
            ``phase="delivery"``: it was given up.
        :raises RecordTooLargeError: it exceeds ``max_request_size``.
        :raises FluvioError: why it was not delivered.
        """
        if True:  # ASYNC
            if timeout is ... and partition is None and timestamp is None:
                # The library settles a record within the delivery time-out by itself: that needs no timer here.
                slot = self._post(value, key)
                if slot is not None:
                    return await slot
        limit = parse_timeout(timeout, self._delivery_timeout)
        begun = monotonic()
        receipt = await self._accept(value, key, partition, timestamp, limit, awaited=True)
        if limit is not None:
            spent = monotonic() - begun
            limit = None if timeout is ... and spent < 0.1 else max(limit - spent, 0.0)
        return await receipt._wait(limit)

    async def enqueue(
        self,
        value: Bytes,
        *,
        key: Bytes | None = None,
        partition: int | None = None,
        timestamp: int | None = None,
        timeout: Timeout = ...,
    ) -> AsyncReceipt:
        """Accept a record for sending; waits only while the buffer is full, first come, first served.

        If it raises, nothing was sent, nor will be; if it returns, the record is accepted, and the receipt says what
        becomes of it.

        :param value: its value.
        :param key: its key; ``None``: none.
        :param partition: its partition; ``None``: the partitioner decides.
        :param timestamp: milliseconds since the epoch; ``None``: now.
        :param timeout: seconds to wait for room; left out: the producer's ``delivery_timeout``; ``None``: no limit;
            ``0``: only if there is room now.
        :raises FluvioTimeoutError: ``phase="enqueue"``: there was no room in time.
        :raises RecordTooLargeError: it exceeds ``max_request_size``.
        """
        if True:  # ASYNC
            if timeout is ... and partition is None and timestamp is None:
                receipt = self._at_once(value, key)
                if receipt is not None:
                    return receipt
        return await self._accept(value, key, partition, timestamp, timeout)

    if True:  # ASYNC

        async def send_all(
            self,
            records: Iterable[Bytes | tuple[Bytes | None, Bytes] | ProducerRecord | Record]
            | AsyncIterable[Bytes | tuple[Bytes | None, Bytes] | ProducerRecord | Record],
            *,
            timeout: Timeout = ...,
        ) -> SendResult:
            """Send many records and wait until all are acknowledged.

            The input is read no further ahead than one chunk (at most 500 records or about 256 KiB); per partition
            its order is kept. Of what was accepted before an error or a cancellation, all is sent.

            :param records: values, ``(key, value)`` pairs, :class:`ProducerRecord`, or consumed :class:`Record` (of
                which key and value are used). An iterable or an asynchronous iterable.
            :param timeout: seconds for all of it; left out or ``None``: no limit beside each record's
                ``delivery_timeout``.
            :returns: where the records are.
            :raises DeliveryError: if any failed; ``.result`` says which. One record that is too large for a request
                ends it when those before are settled: it is the last of ``.result``, and the error names its index.
            :raises ConfigError: for an element that is no record; it names its index.
            :raises FluvioTimeoutError: when the time is over; ``outcome="pending"``: what was accepted goes on.
            """
            self._host.check()
            check_source(records, asynchronous=True)
            self._check_open()
            deadline = ending(parse_timeout(timeout, None))
            result = SendResult(self._topic)
            pace = Pace()
            try:
                try:
                    if isinstance(records, AsyncIterable):
                        async for chunk in _AsyncChunks(records, pace):
                            await self._send_chunk(chunk, result, pace, deadline)
                    else:
                        for chunk in chunks(records, pace):
                            await self._send_chunk(chunk, result, pace, deadline)
                except Refused as refused:
                    result._refuse(refused.error)
                await self._wait_for_all(result, deadline)
                failure = self._judge(result)
            except BaseException:
                result._unwatch()
                raise
            if failure is not None:
                raise failure
            return result

    else:

        def send_all(
            self,
            records: Iterable[Bytes | tuple[Bytes | None, Bytes] | ProducerRecord | Record],
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
            self._host.check()
            check_source(records, asynchronous=False)
            self._check_open()
            deadline = ending(parse_timeout(timeout, None))
            result = SendResult(self._topic)
            pace = Pace()
            try:
                try:
                    for chunk in chunks(records, pace):
                        self._send_chunk(chunk, result, pace, deadline)
                except Refused as refused:
                    result._refuse(refused.error)
                self._wait_for_all(result, deadline)
                failure = self._judge(result)
            except BaseException:
                result._unwatch()
                raise
            if failure is not None:
                raise failure
            return result

    async def flush(self, timeout: Timeout = ...) -> None:
        """Wait until everything that was accepted before is settled.

        :param timeout: seconds; left out: the producer's ``delivery_timeout``; ``None``: no limit.
        :raises DeliveryError: for failed records whose receipts nobody looked at.
        :raises FluvioTimeoutError: ``phase="flush"``; what is queued goes on.
        """
        self._host.check()
        self._check_open()
        deadline = self._deadline(timeout)
        self._pipe.catch_up()
        if True:  # ASYNC
            try:
                await self._hand_over_all(deadline)
            except FluvioTimeoutError:
                what = f"the flush of the producer for {self._topic!r} did not end in time; what is queued goes on"
                raise self._ledger.late("flush", what, "pending") from None
        operation = self._host.hub.start(
            lib.flv_producer_flush,
            self._handle,
            timeout=left(deadline),
            phase="flush",
            waiter=self._host.waiter(),
        )
        (await self._host.finish(operation)).check()
        self._raise_failures()

    # -- closing

    async def close(self, *, flush: bool = True, timeout: Timeout = ...) -> None:
        """Take no more records, wait until the accepted ones are settled, and give up the connections.

        Closing twice is fine. When it is cancelled the library goes on in the background, for one second.

        :param flush: false: what is queued is dropped (its receipts fail with ``outcome="not_written"`` or
            ``"unknown"``).
        :param timeout: seconds; left out: the producer's ``delivery_timeout``; ``None``: no limit. What is not settled
            then is dropped.
        :raises DeliveryError: for failed records whose receipts nobody looked at.
        """
        self._host.check()
        if self._closed:
            return
        deadline = self._deadline(timeout)
        self._begin_to_close()
        try:
            if True:  # ASYNC
                if flush:
                    with contextlib.suppress(FluvioTimeoutError):
                        await self._hand_over_all(deadline)
                self._fail_queued(ClosedError("the producer was closed before the record was sent"))
            operation = self._host.hub.start(
                lib.flv_producer_close,
                self._handle,
                int(flush),
                timeout=left(deadline),
                phase="close",
                waiter=self._host.waiter(),
            )
            (await self._host.finish(operation)).check()
        except FluvioError:
            self._end()
            raise
        except BaseException:
            self._hand_over_close(flush)
            raise
        self._end()
        self._raise_failures()

    if True:  # ASYNC

        async def aclose(self, *, flush: bool = True, timeout: Timeout = ...) -> None:
            """The same as :meth:`close`."""
            await self.close(flush=flush, timeout=timeout)

    async def __aenter__(self) -> AsyncProducer:
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        elif self._host.is_cancellation(error):
            self._begin_to_close()
            self._hand_over_close(True)
        else:
            try:
                await self.close()
            except FluvioError as failure:
                logger.error("%r: %s", self, failure)

    def __del__(self) -> None:
        if getattr(self, "_closing", True) or self._session.closed or self._host.forked:
            return
        # The library flushes what it has for one second, in the background.
        if True:  # ASYNC
            with contextlib.suppress(Exception):
                if self._host.thread == get_ident():
                    self._push()
                else:
                    self._host.threadsafe(self._push)
        self._forgotten(repr(self))

    # -- inside: accepting

    async def _accept(
        self,
        value: Bytes,
        key: Bytes | None,
        partition: int | None,
        timestamp: int | None,
        timeout: Timeout,
        awaited: bool = False,
    ) -> AsyncReceipt:
        """The whole of :meth:`enqueue`. `awaited`: the caller waits for the receipt."""
        host = self._host
        host.check()
        limit = parse_timeout(timeout, self._delivery_timeout)
        if type(value) is not bytes:
            value = as_bytes(value, "value")
        size = len(value)
        if key is not None:
            if type(key) is not bytes:
                key = as_bytes(key, "key")
            size += len(key)
        if partition is None and self._partitioner is not None:
            partition = self._choose(key, value)
        if partition is not None:
            self._check_partition(partition)
        if timestamp is not None:
            check_timestamp(timestamp)
        if size > self._most:
            raise self._too_large(size)
        cost = size + OVERHEAD
        if True:  # ASYNC
            # Who has to wait for room takes his place at once.
            if cost <= self._room and not self._seats and host.due():
                await host.rest()
            if self._closing:
                raise self._closed_error()
            if cost <= self._room and not self._seats:
                self._room -= cost
            else:
                seat = _Seat(host.waiter(), cost)
                await self._wait_for_room(seat, ending(limit))
                self._take(seat)
                self._check_open()
            receipt = AsyncReceipt(host, self._ledger, timestamp)
            if size > self._sure or (not self._groups and self._ledger.submitted - self._ledger.settled < DIRECT):
                self._direct(receipt, value, key, partition, timestamp, cost, awaited)
            else:
                self._append(receipt, value, key, partition, timestamp, cost)
            return receipt
        else:
            if self._closing:
                raise self._closed_error()
            pipe = self._pipe
            receipt = AsyncReceipt(host, self._ledger, timestamp)
            # Nobody comes before those who wait for room.
            if self._line or not pipe.submit_one(
                value, key, partition, timestamp, AsyncReceipt._bind, receipt, awaited
            ):
                submit = partial(
                    pipe.submit_one, value, key, partition, timestamp, AsyncReceipt._bind, receipt, awaited
                )
                self._submit_with_room(cost, ending(limit), submit)
            if self._ledger.submitted - self._ledger.settled > 10_000:
                host.look()
            return receipt

    if True:  # ASYNC
        # The short ways: `value` and `key` are what the caller gave, and bytes if they fit.

        def _at_once(self, value: Any, key: Any) -> AsyncReceipt | None:
            """The short way for the usual record: accepts it, unless it does not fit."""
            host = self._host
            host.check()
            cost = self._usual_cost(value, key)
            if not cost or self._partitioner is not None or self._seats or self._closing or host.due():
                return None
            self._room -= cost
            ledger = self._ledger
            receipt = AsyncReceipt(host, ledger, None)
            if not self._groups and ledger.submitted - ledger.settled < DIRECT:
                self._direct(receipt, value, key, None, None, cost)
            else:
                self._append(receipt, value, key, None, None, cost)
            return receipt

        def _usual_cost(self, value: Any, key: Any) -> int:
            """What the usual record costs; 0 if something needs a closer look, or there is no room."""
            if type(value) is not bytes:
                return 0
            cost = len(value) + OVERHEAD
            if key is not None:
                if type(key) is not bytes:
                    return 0
                cost += len(key)
            return cost if cost <= self._room and cost <= self._sure else 0

        def _post(self, value: Any, key: Any) -> Slot | None:
            """The short way for the usual record that its sender waits for: accepts it, unless it does not fit.

            A thousand tasks that send come here: what the first one finds holds for all until the loop turns.
            """
            cost = self._usual_cost(value, key)
            if not cost:
                return None
            group = self._open
            if group is None or len(group.values) >= CHUNK_RECORDS or group.size >= CHUNK_BYTES:
                return self._post_first(value, key, cost)
            slot = self._host.slot()
            self._room -= cost
            if key is not None or group.keys is not None:
                group.add(slot, value, key, None, None, cost)
                return slot
            group.values.append(value)
            group.slots.append(slot)
            group.size += cost
            return slot

        def _post_first(self, value: bytes, key: bytes | None, cost: int) -> Slot | None:
            """The same for a record that no group takes: it is handed over at once if hardly anything is in flight, or
            begins one."""
            host = self._host
            groups = self._groups
            if groups:
                if self._open is not None:
                    host.check()
                    self._push()
                elif groups[-1].block is None and groups[-1].receipts:
                    return None
            if self._partitioner is not None or self._seats or self._closing or cost >= CHUNK_BYTES:
                return None
            if not groups and self._ledger.submitted - self._ledger.settled < DIRECT:
                slot = host.lone_slot()
                # What only waits for the turn of the loop is left out if its task is cancelled; this is not.
                if host.cancelled():
                    return None
                self._room -= cost
                self._direct(slot, value, key, None, None, cost, True)
                return slot
            slot = host.slot()
            self._room -= cost
            self._append(slot, value, key, None, None, cost)
            self._open = groups[-1]
            return slot

    if True:  # ASYNC

        def _direct(
            self,
            owner: AsyncReceipt | Slot,
            value: bytes,
            key: bytes | None,
            partition: int | None,
            timestamp: int | None,
            cost: int,
            awaited: bool = False,
        ) -> None:
            """Hands over one record at once; its room is taken already. Queues it if there is none, against all
            odds."""
            if self._groups:
                self._push()
            if not self._groups:
                try:
                    accepted = self._pipe.submit_one(value, key, partition, timestamp, _bind, owner, awaited)
                except BaseException:
                    self._look()
                    raise
                if accepted:
                    self._count_room()
                    return
                self._room = self._look() - cost
            self._append(owner, value, key, partition, timestamp, cost)

        def _append(
            self,
            owner: AsyncReceipt | Slot,
            value: bytes,
            key: bytes | None,
            partition: int | None,
            timestamp: int | None,
            cost: int,
        ) -> None:
            """Queues one record, which goes to the library when the loop turns; its room is taken already."""
            groups = self._groups
            if not groups or not groups[-1].takes(owner):
                self._open = None
                groups.append(_Group(self._host.aborts))
            group = groups[-1]
            group.add(owner, value, key, partition, timestamp, cost)
            if len(group.values) >= CHUNK_RECORDS or group.size >= CHUNK_BYTES:
                self._push()
            elif not self._scheduled:
                self._scheduled = True
                self._host.soon(self._tick)

        def _tick(self) -> None:
            self._host.turned()
            self._scheduled = False
            self._push()

        def _push(self) -> None:
            """Hands over what is queued, as far as there is room. Never raises what concerns a record: its receipt
            does."""
            groups = self._groups
            while groups:
                group = groups[0]
                block = self._seal(group)
                if not self._push_group(group, block):
                    self._ask_for_room()
                    break
                groups.popleft()
            self._count_room()

        def _seal(self, group: _Group) -> Block:
            """The records of a group as a block; no more come."""
            if group is self._open:
                self._open = None
            return group.seal(self._host.aborts)

        def _push_group(self, group: _Group, block: Block) -> bool:
            """Whether all of the group is out."""
            single = False
            while block.start < block.count:
                place = block.start

                def accept(ticket: Ticket, index: int, count: int, stamp: int) -> None:
                    nonlocal place
                    group.bind(place, ticket, index, count, stamp)
                    place += count

                try:
                    accepted, _ = self._pipe.submit(block, 1 if single else block.count - block.start, accept)
                except FluvioError as error:
                    if single or block.count - block.start == 1 or isinstance(error, (ClosedError, ForkedError)):
                        # This one is the bad one, or all are.
                        every = isinstance(error, (ClosedError, ForkedError))
                        stop = block.count if every else block.start + 1
                        group.fail(block.start, stop, error, self._ledger)
                        block.advance(stop - block.start)
                        self._pipe.look()
                    else:
                        single = True
                    continue
                if not accepted:
                    return False
            return True

        def _fail_queued(self, why: FluvioError) -> None:
            """What is queued here will not be sent."""
            for group in self._groups:
                block = self._seal(group)
                error = why._fresh()
                error.topic, error.outcome = self._topic, "not_written"
                group.fail(block.start, block.count, error, self._ledger)
            self._groups.clear()

        # -- inside: waiting for room

        # KeyboardInterrupt may come after any call. Whoever is granted room leaves the queue then, and is woken after
        # that: the next time all who are granted room are woken again.

        def _look(self) -> int:
            self._pipe.look()
            return self._count_room()

        def _count_room(self) -> int:
            promised = sum([seat.cost for seat in self._granted]) if self._granted else 0
            self._room = self._pipe.room - self._queued() - promised
            return self._room

        def _queued(self) -> int:
            """Bytes of the buffer that those cost which are queued here."""
            return sum([group.cost for group in self._groups]) if self._groups else 0

        async def _wait_for_room(self, seat: _Seat, deadline: float | None) -> None:
            """Waits until the seat's room is promised; the caller takes it or gives it up."""
            try:
                self._push()
                if not self._seats and not self._groups and seat.cost <= self._look():
                    self._granted.add(seat)
                    self._count_room()
                    return
                self._seats.append(seat)
                self._ask_for_room()
                seconds = left(deadline)
                if seconds == 0 or not await self._host.wait(seat.waiter, seconds):
                    raise self._no_room()
                if seat.error is not None:
                    raise seat.error
            except BaseException:
                self._give_up(seat)
                raise

        def _take(self, seat: _Seat) -> None:
            self._granted.discard(seat)

        def _give_up(self, seat: _Seat) -> None:
            """Does nothing if the room was taken, or given up before."""
            first = bool(self._seats) and self._seats[0] is seat
            if seat in self._seats:
                self._seats.remove(seat)
            if seat in self._granted:
                self._granted.discard(seat)
                self._grant()
            elif first and self._asking is not None:
                # The next one may need less.
                self._host.hub.cancel(self._asking)

        def _ask_for_room(self) -> None:
            if self._asking is not None or not (self._groups or self._seats):
                return
            block = self._seal(self._groups[0]) if self._groups else None
            if block is not None:
                # One of which all is withdrawn goes with the first room.
                cost = block.next_cost() if block.count else 1
            else:
                cost = self._seats[0].cost + sum([seat.cost for seat in self._granted])
            try:
                self._asking = self._host.hub.start(
                    lib.flv_producer_wait_room,
                    self._handle,
                    max(min(cost, self._buffer_size), 1),
                    timeout=None,
                    phase="enqueue",
                    callback=self._room_came,
                )
            except FluvioError as error:
                self._refuse(error)

        def _room_came(self, operation: Operation) -> None:
            """The library has room, or the wait for it ended otherwise."""
            if self._asking is operation:
                self._asking = None
            if operation.status not in (lib.FLV_STATUS_OK, lib.FLV_STATUS_CANCELLED):
                try:
                    operation.check()
                except FluvioError as error:
                    self._refuse(error)
                    return
            operation.dispose()
            self._pipe.look()
            self._push()
            self._grant()

        def _grant(self) -> None:
            """Promises room to those who wait, in their order."""
            seats = self._seats
            granted = self._granted
            self._count_room()
            while seats and not self._groups and (seats[0] in granted or seats[0].cost <= self._room):
                granted.add(seats[0])
                del seats[0]
                self._count_room()
            for seat in granted:
                seat.waiter.wake()
            self._ask_for_room()

        def _refuse(self, error: FluvioError) -> None:
            """There will be no room any more."""
            self._fail_queued(error)
            for seat in self._seats:
                seat.error = error._fresh()
                seat.error.outcome = "not_written"
                seat.waiter.wake()
            self._seats.clear()

        def _hand_over_now(self) -> int:
            """What is queued here goes to the library, as far as there is room; a loop that runs in another thread
            still does so by itself. How many records are left."""
            if not self._host.runs_elsewhere():
                self._push()
            return sum(group.count for group in self._groups)

        async def _hand_over_all(self, deadline: float | None) -> None:
            """Everything that is queued here goes to the library."""
            self._push()
            if not self._groups:
                return
            await self._wait_for_room(_Seat(self._host.waiter(), 0), deadline)

    else:

        def _submit_with_room(self, cost: int, deadline: float | None, submit: Callable[[], bool]) -> None:
            """Waits for room, first come, first served, until `submit` has made use of it."""
            first = False
            while True:
                waiter = self._host.waiter()
                place = _Place(waiter, waiter.owner, cost)
                try:
                    if first:
                        self._line.appendleft(place)
                    else:
                        self._line.append(place)
                    # Whoever closes says so first, and looks then who waits.
                    self._check_open()
                    self._grant()
                    if not self._host.wait(waiter, left(deadline)):
                        raise self._no_room()
                    if place.error is not None:
                        raise place.error
                    if submit():
                        return
                finally:
                    # One step, whatever exception came.
                    place.left = True
                    self._give_way(place)
                # Another one was faster.
                first = True

        def _give_way(self, place: _Place) -> None:
            with contextlib.suppress(ValueError):
                self._line.remove(place)
            asking = self._asking
            if asking is not None and not place.granted:
                # The next one may need less.
                self._host.hub.cancel(asking)
            self._grant()

        def _grant(self) -> None:
            """Calls those who wait for room to take it, in their order."""
            places = tuple(self._line)
            # What came in the middle of another call comes first: that does not go on before.
            last = {place.owner: place for place in places}
            room = lib.flv_producer_room(self._handle) if places else 0
            want = 0
            for place in places:
                if place.left:
                    with contextlib.suppress(ValueError):
                        self._line.remove(place)
                elif last[place.owner] is place:
                    want += place.cost
                    if want > room:
                        self._ask_for_room(want)
                        return
                    place.waiter.wake()
                    place.granted = True

        def _ask_for_room(self, want: int) -> None:
            asking = self._asking
            if asking is not None and not asking.done:
                return
            try:
                self._asking = self._host.hub.start(
                    lib.flv_producer_wait_room,
                    self._handle,
                    min(want, self._buffer_size),
                    timeout=None,
                    phase="enqueue",
                    callback=self._room_came,
                )
            except FluvioError as error:
                self._refuse(error)

        def _room_came(self, operation: Operation) -> None:
            """The library has room, or the wait for it ended otherwise."""
            if operation.status in (lib.FLV_STATUS_OK, lib.FLV_STATUS_CANCELLED):
                operation.dispose()
                self._grant()
                return
            try:
                operation.check()
            except FluvioError as error:
                self._refuse(error)

        def _refuse(self, error: FluvioError) -> None:
            """There will be no room any more."""
            for place in tuple(self._line):
                place.error = error._fresh()
                place.error.outcome = "not_written"
                place.waiter.wake()

    # -- inside: send_all

    async def _send_chunk(
        self, chunk: Sequence[object], result: SendResult, pace: Pace, deadline: float | None
    ) -> None:
        if self._partitioner is not None:
            chunk = [self._placed(element) for element in chunk]
        while chunk:
            first = len(result)
            bad: FluvioError | None = None
            try:
                block: Block | None = encode(chunk, first)
            except BadElement as error:
                block = error.block
                bad = error.error
            if block is not None:
                pace.weighed(block)
                await self._send_block(block, result, first, deadline)
                chunk = chunk[block.count :]
            if bad is not None:
                raise bad
            if True:  # ASYNC
                if self._host.due(len(result) - first):
                    await self._host.rest()

    async def _send_block(self, block: Block, result: SendResult, first: int, deadline: float | None) -> None:
        stamps = block.stamps
        single = False
        base = len(result)

        def accept(ticket: Ticket, index: int, count: int, stamp: int) -> None:
            if stamps is None:
                result._add(ticket, index, count, stamp)
            else:
                start = len(result) - base
                own = [stamp if item == NO_STAMP else item for item in stamps[start : start + count]]
                result._add(ticket, index, count, own)

        def submit() -> bool:
            """Whether any was accepted."""
            nonlocal single
            if self._closing:
                raise self._closed_error()
            while True:
                try:
                    return self._pipe.submit(block, 1 if single else block.count - block.start, accept)[0] > 0
                except FluvioError as error:
                    if isinstance(error, (ClosedError, ForkedError)):
                        raise
                    if single or block.count - block.start == 1:
                        if isinstance(error, RecordTooLargeError):
                            error = self._too_large(block.next_cost() - OVERHEAD)
                        raise Refused(at_index(error, first + block.start)) from None
                    single = True

        if True:  # ASYNC
            seat: _Seat | None = None
            try:
                while True:
                    ours = seat is not None or not self._seats
                    if seat is not None:
                        self._take(seat)
                        seat = None
                    accepted = False
                    try:
                        if self._groups:
                            self._push()
                        accepted = ours and not self._groups and submit()
                    finally:
                        self._look()
                    if block.start == block.count:
                        return
                    if accepted:
                        continue
                    seat = _Seat(self._host.waiter(), self._want(block))
                    try:
                        await self._wait_for_room(seat, deadline)
                    except FluvioTimeoutError as late:
                        if len(result):
                            late.outcome, late.retriable = "pending", False
                        raise
            except BaseException:
                if seat is not None:
                    self._give_up(seat)
                raise
        else:
            while block.start < block.count:
                # Nobody comes before those who wait for room.
                if self._line or not submit():
                    try:
                        self._submit_with_room(self._want(block), deadline, submit)
                    except FluvioTimeoutError as late:
                        if len(result):
                            late.outcome, late.retriable = "pending", False
                        raise

    def _want(self, block: Block) -> int:
        """How much room is worth waiting for."""
        return min(max(block.next_cost(), min(block.cost, self._buffer_size // 4)), self._buffer_size)

    async def _wait_for_all(self, result: SendResult, deadline: float | None) -> None:
        tickets = result._open_tickets()
        if not tickets:
            return
        waiter = self._host.waiter()
        gathering = Gathering(waiter, tickets)
        try:
            for ticket in tickets:
                ticket.wait(gathering)
            woken = await self._host.wait(waiter, left(deadline))
        except BaseException:
            self._forget(tickets, gathering)
            raise
        if not woken:
            self._forget(tickets, gathering)
            what = f"not all of the {len(result)} records for {self._topic!r} were acknowledged in time; they go on"
            raise self._ledger.late("wait", what, "pending")

    def _forget(self, tickets: list[Ticket], gathering: Gathering) -> None:
        for ticket in tickets:
            ticket.leave(gathering)

    def _judge(self, result: SendResult) -> DeliveryError | None:
        count, errors = result._failures()
        return delivery_error(self._topic, count, errors, result) if count else None

    # -- inside: closing

    def _begin_to_close(self) -> None:
        """No more records are accepted; who waits for room is refused."""
        self._closing = True
        if True:  # ASYNC
            for seat in self._seats:
                if seat.cost:
                    seat.error = self._closed_error()
                    seat.waiter.wake()
            self._seats = deque(seat for seat in self._seats if not seat.cost)
            self._push()
        else:
            for place in tuple(self._line):
                place.error = self._closed_error()
                place.waiter.wake()
            self._pipe.catch_up()

    def _hand_over_close(self, flush: bool) -> None:
        """The caller leaves at once; the library goes on closing for a second."""
        if self._closed:
            return
        with contextlib.suppress(FluvioError):
            if True:  # ASYNC
                self._push()
                self._fail_queued(ClosedError("the producer was closed before the record was sent"))
            self._host.hub.close_later(lib.flv_producer_close, self._handle, int(flush))
        self._end()

    def _end(self) -> None:
        self._closing = self._closed = True
        self._session.producers.discard(self)

    def _raise_failures(self) -> None:
        failure = self._ledger.report()
        if failure is not None:
            raise failure

    def _failures(self) -> DeliveryError | None:
        return self._ledger.report()

    # -- inside: checks

    def _check_open(self) -> None:
        self._host.check_fork()
        if self._closing:
            raise self._closed_error()

    def _closed_error(self) -> ClosedError:
        return ClosedError("the producer is closed", topic=self._topic, outcome="not_written")

    def _no_room(self) -> FluvioTimeoutError:
        what = f"the buffer of the producer for {self._topic!r}, {self._buffer_size} bytes, had no room in time"
        return self._ledger.late("enqueue", what, "not_written")

    def _too_large(self, size: int) -> RecordTooLargeError:
        return RecordTooLargeError(
            f"the record has {size} bytes of key and value, too many for a request: max_request_size is {self._most}",
            topic=self._topic,
            outcome="not_written",
        )

    def _choose(self, key: bytes | None, value: bytes) -> int:
        """What the caller's own partitioner says."""
        assert self._partitioner is not None
        return self._partitioner(key, value, lib.flv_producer_partition_count(self._handle))

    def _placed(self, element: object) -> object:
        """The element with the partition that the caller's own partitioner chooses. What is wrong stays as it is: it is
        refused later, with its index."""
        whole = element
        key: object = None
        value: object = element
        stamp: int | None = None
        if isinstance(element, ProducerRecord):
            if element.partition is not None:
                return whole
            key, value, stamp = element.key, element.value, element.timestamp
        elif isinstance(element, Record):
            key, value = element.key, element.value
        elif isinstance(element, tuple):
            pair = cast("tuple[object, ...]", element)
            if len(pair) != 2:
                return whole
            key, value = pair
        try:
            plain_key = None if key is None else as_bytes(key, "key")
            plain = as_bytes(value, "value")
        except ConfigError:
            return whole
        return ProducerRecord(plain, key=plain_key, partition=self._choose(plain_key, plain), timestamp=stamp)

    def _check_partition(self, partition: int) -> None:
        check_partition(partition)
        count = lib.flv_producer_partition_count(self._handle)
        if partition >= count:
            raise PartitionNotFoundError(
                f'topic "{self._topic}" has no partition {partition}: it has {count}, numbered from 0',
                topic=self._topic,
                partition=partition,
                outcome="not_written",
            )

    def _deadline(self, timeout: Timeout) -> float | None:
        return ending(parse_timeout(timeout, self._delivery_timeout))


if True:  # ASYNC

    class _AsyncChunks:
        """Chunks of an asynchronous iterable of records, which is read no further than needed.

        No generator: one that is left in the middle would have to be closed by a task of its own.
        """

        def __init__(self, records: AsyncIterable[object], pace: Pace) -> None:
            self._iterator = records.__aiter__()
            self._pace = pace
            self._end: Exception | None = None

        def __aiter__(self) -> AsyncIterator[Sequence[object]]:
            return self

        async def __anext__(self) -> Sequence[object]:
            chunk: list[object] = []
            self._pace.begin()
            size = 0
            while len(chunk) < self._pace.count and size < CHUNK_BYTES and self._end is None:
                try:
                    chunk.append(await self._iterator.__anext__())
                    size += weight(chunk[-1:])
                except Exception as end:
                    # Or an error of the input: what it gave before is sent.
                    self._end = end
            if not chunk:
                assert self._end is not None
                raise self._end
            self._pace.taken()
            return chunk
