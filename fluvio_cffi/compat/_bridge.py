"""Tasks of event loops that wait for a client of threads.

The old package lets one client be used from any thread and any loop, and lets a task block its loop. So everything
stands on the synchronous client. While a task waits for it, its loop has the client's completion queue in its selector,
and drains it, as one more of those threads do that wait; whoever drains wakes the task by ``call_soon_threadsafe``.

What the synchronous classes do not tell is looked at here, and nowhere else.
"""

# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from threading import Thread
from typing import Any, Protocol, TypeVar, cast

from fluvio_cffi import (
    Consumer,
    Fluvio,
    FluvioError,
    FluvioTimeoutError,
    Producer,
    Receipt,
    Record,
    RecordMetadata,
    TopicsConsumer,
)
from fluvio_cffi._async import reading, topics_reading
from fluvio_cffi._async.room import use_room
from fluvio_cffi._backends.base import AsyncBackend, Waiter
from fluvio_cffi._backends.threads import SyncBackend
from fluvio_cffi._native.loader import lib
from fluvio_cffi._native.queue import CompletionQueue, Operation
from fluvio_cffi._native.tickets import Ticket
from fluvio_cffi._produce.chunks import ChunkSizer, chunks
from fluvio_cffi._produce.delivery import Deliveries
from fluvio_cffi._produce.encode import OVERHEAD, Block, RecordRefused, at_index, encode
from fluvio_cffi._produce.receipt import bind_receipt
from fluvio_cffi._sync import reading as sync_reading
from fluvio_cffi._sync import topics_reading as sync_topics_reading
from fluvio_cffi._values.quantities import ending

ResultT = TypeVar("ResultT")


class Holder(Protocol):
    """Whoever holds a record that has left its consumer, until it has reached the caller: an interrupt in between loses
    nothing.

    :ivar held: the record.
    """

    held: Record | None


class LoopWaiter(Waiter):
    """One wait of one task. Any thread may end it."""

    __slots__ = ("_future", "_loop", "owner")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[bool] = self._loop.create_future()
        self.owner: object = self

    def wake(self) -> None:
        # RuntimeError: the loop is closed.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._end, True)

    async def wait(self, timeout: float | None) -> bool:
        """True once it is woken; false if the time is over first."""
        if timeout is None:
            return await self._future
        timer = self._loop.call_later(timeout, self._end, False)
        try:
            return await self._future
        finally:
            timer.cancel()

    def _end(self, woken: bool) -> None:
        if not self._future.done():
            self._future.set_result(woken)


class Receipts:
    """The receipts of records that are accepted many at a time.

    :ivar found: they, in the records' order.
    """

    __slots__ = ("_backend", "_ledger", "found")

    def __init__(self, backend: SyncBackend, producer: Producer) -> None:
        self._backend = backend
        self._ledger = producer._ledger
        self.found: list[Receipt] = []

    @property
    def length(self) -> int:
        """How many there are."""
        return len(self.found)

    def add(self, ticket: Ticket, index: int, count: int, timestamp: int | list[int]) -> None:
        """Appends those of the records `index`.. of `ticket`; nobody has given them time stamps of their own."""
        assert isinstance(timestamp, int)
        for each in range(index, index + count):
            receipt = Receipt(self._backend, self._ledger, None)
            bind_receipt(receipt, ticket, each, timestamp)
            self.found.append(receipt)

    def accept(self, position: int, ticket: Ticket, index: int, count: int, timestamp: int) -> None:
        """The same, as it is called for a block, whose records from `position` on they are."""
        self.add(ticket, index, count, timestamp)


class Bridge:
    """Where the tasks of any loop wait for one client: as much of a backend of loops as reading, and waiting for room,
    ask for."""

    def __init__(self, client: Fluvio) -> None:
        self._backend: SyncBackend = client._session.backend
        self.completions: CompletionQueue = self._backend.completions
        # How many tasks of each loop wait.
        self._waiting: dict[asyncio.AbstractEventLoop, int] = {}

    # -- the backend

    def check(self) -> None:
        """Raises after a fork."""
        self._backend.check()

    @property
    def forked(self) -> bool:
        """Whether this process is a child of the one that connected."""
        return self._backend.forked

    def waiter(self) -> LoopWaiter:
        """A new wait of the running task."""
        return LoopWaiter()

    async def wait(self, waiter: LoopWaiter, timeout: float | None) -> bool:
        """Waits for ``waiter.wake()``: true; at most `timeout` seconds: false."""
        with self._draining():
            return await waiter.wait(timeout)

    async def finish(self, operation: Operation) -> Operation:
        """Waits for an operation; one whose task is cancelled is cancelled, and disposed of."""
        try:
            await self.wait(cast("LoopWaiter", operation.waiter), None)
        except BaseException:
            self.completions.abandon(operation)
            raise
        return operation

    def due(self) -> bool:
        """Other tasks are let run with each read, which brings many records."""
        return True

    async def rest(self) -> None:
        """Lets other tasks run."""
        await asyncio.sleep(0)

    @contextmanager
    def _draining(self) -> Generator[None, None, None]:
        """The running loop drains the completion queue, whoever else does."""
        loop = asyncio.get_running_loop()
        count = self._waiting.get(loop, 0)
        if count == 0:
            loop.add_reader(self.completions.descriptor, self._drain, loop)
        self._waiting[loop] = count + 1
        try:
            # The descriptor says nothing of what another one has begun.
            self._drain(loop)
            yield
        finally:
            count = self._waiting[loop] - 1
            self._waiting[loop] = count
            if count == 0:
                del self._waiting[loop]
                if not loop.is_closed():
                    loop.remove_reader(self.completions.descriptor)

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._backend.look()
        except BaseException:
            # A signal handler's: what is left is done in the loop's next turn.
            loop.call_soon(self._drain, loop)
            raise

    def close_later(self, producer: Producer) -> None:
        """The library closes a producer that nobody refers to any more: it goes on with what was accepted as long as
        with any other record."""
        if self.forked or producer.closed:
            return
        producer._intake.begin_to_close()
        # ClosedError: the program ends.
        with suppress(FluvioError):
            self.completions.start(
                lib.flv_producer_close,
                producer._handle,
                1,
                timeout=producer._delivery_timeout,
                phase="close",
                callback=Operation.dispose,
            )

    # -- what tasks wait for

    async def settled(self, receipt: Receipt) -> RecordMetadata:
        """Where the record is, once it is settled."""
        if not receipt.done():
            waiter = LoopWaiter()
            try:
                receipt._watch(waiter)
                await self.wait(waiter, None)
            except BaseException:
                receipt._leave(waiter)
                raise
        return receipt.result()

    async def enqueue(self, producer: Producer, key: bytes, value: bytes) -> Receipt:
        """Accepts a record; waits while the buffer is full. A task that is cancelled meanwhile has sent nothing."""
        try:
            return producer.enqueue(value, key=key, timeout=0)
        except FluvioTimeoutError:
            intake = producer._intake
            receipt = Receipt(self._backend, intake.ledger, None)
            chooser = producer._chooser
            partition = None if chooser.partitioner is None else chooser.partition(None, key, value)
            cost = len(value) + OVERHEAD + len(key)
            use = partial(intake.accept_granted, receipt, value, key, partition, None, cost, False)
            deadline = ending(producer._delivery_timeout)
            await use_room(cast("AsyncBackend", self), cast("Any", intake), cost, deadline, use)
            return receipt

    def enqueue_all(self, producer: Producer, records: Sequence[tuple[bytes, bytes]]) -> list[Receipt]:
        """Accepts records, keys and values, in their order; for threads, which wait while the buffer is full."""
        receipts, sizer = Receipts(self._backend, producer), ChunkSizer()
        try:
            for chunk in chunks(records, sizer):
                producer._send_chunk(chunk, cast("Deliveries", receipts), sizer, None)
        except RecordRefused as refused:
            raise refused.error from None
        return receipts.found

    async def enqueue_all_later(self, producer: Producer, records: Sequence[tuple[bytes, bytes]]) -> list[Receipt]:
        """The same, for tasks. Of one that is cancelled some are sent, from the first on."""
        receipts, sizer = Receipts(self._backend, producer), ChunkSizer()
        chooser = producer._chooser
        for chunk in chunks(records, sizer):
            rest = chunk if chooser.partitioner is None else [chooser.placed(record) for record in chunk]
            while rest:
                await self.rest()
                block = encode(rest, receipts.length)
                sizer.weigh(block)
                await self._enqueue_block(producer, block, receipts)
                rest = rest[block.count :]
        return receipts.found

    async def _enqueue_block(self, producer: Producer, block: Block, receipts: Receipts) -> None:
        intake = producer._intake
        first = receipts.length
        accept = partial(intake.accept_block, block, receipts.accept)
        try:
            left = block.count - block.start
            while True:
                if not left:
                    break
                # Nobody comes before those who wait for room.
                if intake.contended or not accept():
                    room = intake.worthwhile(block)
                    await use_room(cast("AsyncBackend", self), cast("Any", intake), room, None, accept)
                left = block.count - block.start
        except RecordRefused as refused:
            raise at_index(intake.explained(refused.error, block), first + block.start) from None

    async def flush(self, producer: Producer) -> None:
        """Waits until everything that was accepted is settled."""
        producer._intake.submitter.catch_up()
        operation = self.completions.start(
            lib.flv_producer_flush,
            producer._handle,
            timeout=producer._delivery_timeout,
            phase="flush",
            waiter=LoopWaiter(),
        )
        (await self.finish(operation)).check()
        producer._raise_failures()

    @staticmethod
    def hold(consumer: Consumer | TopicsConsumer, holder: Holder) -> bool:
        """Gives the holder the next record, if it need not be waited for."""
        for record in (consumer._subscription if isinstance(consumer, Consumer) else consumer._topics.current).records:
            # One step with its leaving the consumer.
            holder.held = record
            return True
        return False

    def hold_now(self, consumer: Consumer | TopicsConsumer, holder: Holder) -> bool:
        """The same, for threads, which wait; false at the end."""
        while (
            sync_reading.next_records(self._backend, consumer._subscription, None)
            if isinstance(consumer, Consumer)
            else sync_topics_reading.next_records(self._backend, consumer._topics, None)
        ):
            if self.hold(consumer, holder):
                return True
        return False

    async def hold_later(self, consumer: Consumer | TopicsConsumer, holder: Holder) -> bool:
        """The same, for tasks, which wait; false at the end."""
        backend = cast("AsyncBackend", self)
        while (
            await reading.next_records(backend, consumer._subscription, None)
            if isinstance(consumer, Consumer)
            else await topics_reading.next_records(backend, consumer._topics, None)
        ):
            if self.hold(consumer, holder):
                return True
        return False


def excuse(forgotten: Fluvio | Producer | Consumer | TopicsConsumer) -> None:
    """It may be dropped unclosed, without a warning."""
    (forgotten._session if isinstance(forgotten, Fluvio) else forgotten)._excuse()


async def in_thread(call: Callable[[], ResultT]) -> ResultT:
    """Has a thread of its own make a call that waits, and is rare. If the task is cancelled the call goes on, and what
    it returns is dropped."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[ResultT] = loop.create_future()

    def settle(result: ResultT | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(cast("ResultT", result))

    def run() -> None:
        result: ResultT | None = None
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as raised:
            error = raised
        # RuntimeError: the loop is closed.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    Thread(target=run, name="fluvio_cffi.compat", daemon=True).start()
    return await future
