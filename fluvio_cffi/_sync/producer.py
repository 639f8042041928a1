# Made by tools/async_to_sync.py from fluvio_cffi/_async/producer.py: change that, and run it.
"""The producer."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import monotonic
from types import TracebackType
from typing import cast

from fluvio_cffi._backends.base import Waiter
from fluvio_cffi._backends.threads import SyncHost
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
from fluvio_cffi._native.tickets import Ticket
from fluvio_cffi._produce.delivery import Gathering, Ledger, SendResult, delivery_error
from fluvio_cffi._produce.options import ProducerOptions
from fluvio_cffi._produce.submit import (
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
)
from fluvio_cffi._values.quantities import Timeout, ending, left, parse_timeout
from fluvio_cffi._values.records import Bytes, Pending, ProducerRecord, Record

from .session import Session


class Receipt:
    """Stands for a record that was accepted. Waited for, it says where the record is, or raises why it is not.

    It can be waited for as often as wanted, by several threads. :meth:`done`, :meth:`result` and :meth:`exception`: any
    thread; safe in a signal handler.
    """

    __slots__ = ("_delivered", "_host", "_index", "_ledger", "_seen", "_stamp", "_ticket", "_waiters", "_watchers")

    def __init__(self, host: SyncHost, ledger: Ledger, timestamp: int | None) -> None:
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

    def wait(self, timeout: Timeout = ...) -> RecordMetadata:
        """Wait until the record is acknowledged.

        :param timeout: seconds; left out or ``None``: until the record is settled, which it is within the producer's
            ``delivery_timeout``; ``0``: only if it is settled by now.
        :raises FluvioTimeoutError: with ``outcome="pending"`` when the time is over; the record goes on.
        :raises FluvioError: why the record was not delivered.
        """
        return self._wait(parse_timeout(timeout, None))

    def done(self) -> bool:
        """Whether the record is settled, delivered or failed."""
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

    # -- waiting

    def _wait(self, limit: float | None) -> RecordMetadata:
        host = self._host
        host.check()
        if limit == 0:
            self.done()
        ticket = self._ticket
        if ticket is None or not ticket.done:
            waiter = host.waiter()
            try:
                self._watch(waiter)
                if not host.wait(waiter, limit):
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
            host.rest()
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


class Producer(Forgettable, Closeable):
    """Sends records to one topic. Made by :meth:`Fluvio.producer`.

    *What is promised.* A record that is acknowledged is in the leader's log (``isolation="read_committed"``: on its
    replicas too). Per partition records are in the order in which they were accepted. Failures never vanish: whoever
    does not look at a receipt hears of it at :meth:`flush`, :meth:`close` or the end of the block.

    Leaving the block flushes, for up to ``delivery_timeout``; a block that is left by an interrupt is left at once,
    and the library goes on for one second.
    """

    _opened = "the client's producer(topic)"

    def __init__(self, session: Session, handle: CData, topic: str, options: ProducerOptions) -> None:
        super().__init__()
        host = session.host
        self._session = session
        self._host: SyncHost = host
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

    def send(
        self,
        value: Bytes,
        *,
        key: Bytes | None = None,
        partition: int | None = None,
        timestamp: int | None = None,
        timeout: Timeout = ...,
    ) -> RecordMetadata:
        """Send a record and wait until it is acknowledged.

        Interrupted before the record is accepted, nothing is sent; after that it is sent, and only the wait is
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
        limit = parse_timeout(timeout, self._delivery_timeout)
        begun = monotonic()
        receipt = self._accept(value, key, partition, timestamp, limit, awaited=True)
        if limit is not None:
            spent = monotonic() - begun
            limit = None if timeout is ... and spent < 0.1 else max(limit - spent, 0.0)
        return receipt._wait(limit)

    def enqueue(
        self,
        value: Bytes,
        *,
        key: Bytes | None = None,
        partition: int | None = None,
        timestamp: int | None = None,
        timeout: Timeout = ...,
    ) -> Receipt:
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
        return self._accept(value, key, partition, timestamp, timeout)

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

    def flush(self, timeout: Timeout = ...) -> None:
        """Wait until everything that was accepted before is settled.

        :param timeout: seconds; left out: the producer's ``delivery_timeout``; ``None``: no limit.
        :raises DeliveryError: for failed records whose receipts nobody looked at.
        :raises FluvioTimeoutError: ``phase="flush"``; what is queued goes on.
        """
        self._host.check()
        self._check_open()
        deadline = self._deadline(timeout)
        self._pipe.catch_up()
        operation = self._host.hub.start(
            lib.flv_producer_flush,
            self._handle,
            timeout=left(deadline),
            phase="flush",
            waiter=self._host.waiter(),
        )
        (self._host.finish(operation)).check()
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
        self._host.check()
        if self._closed:
            return
        deadline = self._deadline(timeout)
        self._begin_to_close()
        try:
            operation = self._host.hub.start(
                lib.flv_producer_close,
                self._handle,
                int(flush),
                timeout=left(deadline),
                phase="close",
                waiter=self._host.waiter(),
            )
            (self._host.finish(operation)).check()
        except FluvioError:
            self._end()
            raise
        except BaseException:
            self._hand_over_close(flush)
            raise
        self._end()
        self._raise_failures()

    def __enter__(self) -> Producer:
        self._check_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._host.is_cancellation(error):
            self._begin_to_close()
            self._hand_over_close(True)
        else:
            try:
                self.close()
            except FluvioError as failure:
                logger.error("%r: %s", self, failure)

    def __del__(self) -> None:
        if getattr(self, "_closing", True) or self._session.closed or self._host.forked:
            return
        # The library flushes what it has for one second, in the background.
        self._forgotten(repr(self))

    # -- inside: accepting

    def _accept(
        self,
        value: Bytes,
        key: Bytes | None,
        partition: int | None,
        timestamp: int | None,
        timeout: Timeout,
        awaited: bool = False,
    ) -> Receipt:
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
        if self._closing:
            raise self._closed_error()
        pipe = self._pipe
        receipt = Receipt(host, self._ledger, timestamp)
        # Nobody comes before those who wait for room.
        if self._line or not pipe.submit_one(value, key, partition, timestamp, Receipt._bind, receipt, awaited):
            submit = partial(pipe.submit_one, value, key, partition, timestamp, Receipt._bind, receipt, awaited)
            self._submit_with_room(cost, ending(limit), submit)
        if self._ledger.submitted - self._ledger.settled > 10_000:
            host.look()
        return receipt

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

    def _send_chunk(self, chunk: Sequence[object], result: SendResult, pace: Pace, deadline: float | None) -> None:
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
                self._send_block(block, result, first, deadline)
                chunk = chunk[block.count :]
            if bad is not None:
                raise bad

    def _send_block(self, block: Block, result: SendResult, first: int, deadline: float | None) -> None:
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

    def _wait_for_all(self, result: SendResult, deadline: float | None) -> None:
        tickets = result._open_tickets()
        if not tickets:
            return
        waiter = self._host.waiter()
        gathering = Gathering(waiter, tickets)
        try:
            for ticket in tickets:
                ticket.wait(gathering)
            woken = self._host.wait(waiter, left(deadline))
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
        for place in tuple(self._line):
            place.error = self._closed_error()
            place.waiter.wake()
        self._pipe.catch_up()

    def _hand_over_close(self, flush: bool) -> None:
        """The caller leaves at once; the library goes on closing for a second."""
        if self._closed:
            return
        with contextlib.suppress(FluvioError):
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
