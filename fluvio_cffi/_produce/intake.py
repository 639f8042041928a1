"""How records enter a producer: *admission*, for which there must be room in the buffer and nobody may wait for room,
and then one queue, which the library's buffer ends.

With an event loop (`loop_intake`) records that are accepted one by one queue in an outbox until the next turn of the
loop; with threads (`thread_intake`) they go to the library at once. Nothing here awaits or sleeps: callers that must
wait for room do so in `_async.room`.

Any call may come in the middle of any other one: `_native.queue` says how.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from fluvio_cffi._errors import (
    ClosedError,
    DeliveryError,
    FluvioError,
    FluvioTimeoutError,
    RecordTooLargeError,
    fresh,
)
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._native.queue import Operation
from fluvio_cffi._produce.backend import ProduceBackend
from fluvio_cffi._produce.delivery import Ledger
from fluvio_cffi._produce.encode import OVERHEAD, Accept, Block
from fluvio_cffi._produce.options import ProducerOptions
from fluvio_cffi._produce.receipt import BaseReceipt
from fluvio_cffi._produce.room import RoomQueue, RoomWaiter, ThreadRoomQueue
from fluvio_cffi._produce.submit import Submitter
from fluvio_cffi._values.records import Pending

ReceiptT = TypeVar("ReceiptT", bound=BaseReceipt[Any])
QueueT = TypeVar("QueueT", RoomQueue, ThreadRoomQueue)

_MARGIN = 4096


class Intake(ABC, Generic[ReceiptT, QueueT]):
    """What the intakes of loops and threads have in common. The producer owns it; its session, and the library's
    callbacks, know it and not the producer.

    :ivar free: bytes of the buffer that a record may take at once: 0 while others wait for room, after the producer has
        begun to close, and always with threads, where only the library knows.
    :ivar most: bytes of the buffer that a record may cost at most.
    :ivar submitter: hands records over.
    :ivar ledger: the producer's account.
    :ivar queue: who waits for room.
    :ivar closing: whether no more records are accepted.
    :ivar closed: whether the producer, or its client, is closed.
    """

    asynchronous: ClassVar[bool]
    """Whether callers wait on an event loop."""

    def __init__(
        self,
        backend: ProduceBackend,
        handle: CData,
        topic: str,
        options: ProducerOptions,
        receipt: type[ReceiptT],
        queue: QueueT,
    ) -> None:
        self.ledger = Ledger(topic, handle)
        self.submitter = Submitter(handle, backend.completions, self.ledger)
        self.free = 0
        self.closing = False
        self.closed = False
        self.queue: QueueT = queue
        self._topic = topic
        self._handle = handle
        self._completions = backend.completions
        self._check_fork = backend.check_fork
        self._receipt = receipt
        self._buffer_size = options.buffer_size
        self._max_request_size = options.max_request_size
        self.most = options.max_request_size + OVERHEAD
        # A record that costs no more fits into a request for certain; of the rest only the library knows.
        self._certain = options.max_request_size - _MARGIN
        # The short ways are for records that cost no more.
        self._usual = self._certain if options.partitioner is None else 0
        # The library's wait for room, on behalf of those who wait.
        self._asking: Operation | None = None

    # -- accepting

    @abstractmethod
    def accept(
        self,
        owner: ReceiptT,
        value: bytes,
        key: bytes | None,
        partition: int | None,
        timestamp: int | None,
        cost: int,
        awaited: bool,
    ) -> bool:
        """Accepts one record; false: it must wait for room.

        :param owner: is told where the record is.
        :param awaited: whether the caller waits for the owner.
        :raises FluvioError: the record was not accepted.
        """

    @abstractmethod
    def accept_granted(
        self,
        receipt: ReceiptT,
        value: bytes,
        key: bytes | None,
        partition: int | None,
        timestamp: int | None,
        cost: int,
        awaited: bool,
    ) -> bool:
        """The same for a record that room was granted to; false: another thread was faster."""

    @abstractmethod
    def accept_block(self, block: Block, accept: Accept) -> bool:
        """Accepts the next records of a block, as far as there is room; whether any was accepted.

        :raises RecordRefused: the next record is not acceptable.
        :raises FluvioError: no record is.
        """

    # -- room

    @property
    def contended(self) -> bool:
        """Whether others wait for room: nobody may come before them."""
        return bool(self.queue.waiting)

    @abstractmethod
    def join(self, place: RoomWaiter, first: bool) -> None:
        """Queues for room. It may be granted before this returns.

        :param first: whether its turn has come before, but others were faster.
        """

    def take(self, place: RoomWaiter) -> None:
        """The room is about to be used; raises why there is none."""
        self.queue.take(place)

    @abstractmethod
    def leave(self, place: RoomWaiter) -> None:
        """A wait for room is over, whether or not the room was used."""

    @abstractmethod
    def grant(self) -> None:
        """Grants room to those who wait for it, in their order, and asks the library for what is missing."""

    @abstractmethod
    def refuse(self, error: FluvioError) -> None:
        """There will be no room any more."""

    def worthwhile(self, block: Block) -> int:
        """How much room it is worth to wait for, to go on with a block."""
        return min(max(block.next_cost(), min(block.cost, self._buffer_size // 4)), self._buffer_size)

    def _ask_for_room(self, wanted: int) -> None:
        asking = self._asking
        if asking is not None and not asking.done:
            return
        try:
            self._asking = self._completions.start(
                lib.flv_producer_wait_room,
                self._handle,
                max(min(wanted, self._buffer_size), 1),
                timeout=None,
                phase="enqueue",
                callback=self._room_came,
            )
        except FluvioError as error:
            self.refuse(error)

    def _ask_anew(self) -> None:
        """Those who wait may need less than the library is asked for."""
        asking = self._asking
        if asking is not None and not asking.done:
            self._completions.cancel(asking)

    def _room_came(self, operation: Operation) -> None:
        """The library has room, or the wait for it has ended otherwise."""
        if operation.status in (lib.FLV_STATUS_OK, lib.FLV_STATUS_CANCELLED):
            operation.dispose()
            self.grant()
            return
        try:
            operation.check()
        except FluvioError as error:
            self.refuse(error)

    def _not_written(self, error: FluvioError) -> FluvioError:
        """A copy of an error for a record that was not accepted."""
        copy = fresh(error)
        copy.outcome = "not_written"
        return copy

    # -- handing over

    @abstractmethod
    def push(self) -> bool:
        """Hands over what is queued, as far as there is room; whether nothing is left."""

    @abstractmethod
    def push_at_exit(self) -> int:
        """The program ends: does the same, unless a loop that runs in another thread does so by itself. How many
        records are left."""

    @abstractmethod
    def forget(self) -> None:
        """The producer was garbage-collected unclosed: hands over what is queued. Any thread; never raises."""

    @abstractmethod
    def fail_queued(self, why: FluvioError) -> None:
        """What is queued will not be sent."""

    @property
    def pending(self) -> Pending:
        """Records and bytes that were accepted and are not settled. Any thread; safe in a signal handler."""
        records = ffi.new("uint64_t *")
        size = ffi.new("uint64_t *")
        lib.flv_producer_pending(self._handle, records, size)
        return Pending(records[0], size[0])

    # -- closing

    @abstractmethod
    def begin_to_close(self) -> None:
        """No more records are accepted; what is queued is handed over as far as there is room, and those who wait for
        room are refused."""

    def end(self) -> None:
        """The producer, or its client, is closed."""
        self.closing = self.closed = True
        self.free = 0

    def failures(self) -> DeliveryError | None:
        """The error for the failures that nobody has claimed."""
        return self.ledger.report()

    # -- errors

    def check_open(self) -> None:
        """Raises after a fork, and when the producer was closed."""
        self._check_fork()
        if self.closing:
            raise self.closed_error()

    def closed_error(self) -> ClosedError:
        """The error for a record that comes too late."""
        return ClosedError("the producer is closed", topic=self._topic, outcome="not_written")

    def no_room(self) -> FluvioTimeoutError:
        """The error for a record that has waited for room in vain."""
        what = f"the buffer of the producer for {self._topic!r}, {self._buffer_size} bytes, had no room in time"
        return self.ledger.late("enqueue", what, "not_written")

    def explained(self, error: FluvioError, block: Block) -> FluvioError:
        """The error for which the library has refused the next record of a block."""
        return self.too_large(block.next_cost()) if isinstance(error, RecordTooLargeError) else error

    def too_large(self, cost: int) -> RecordTooLargeError:
        """The error for a record that no request can have."""
        return RecordTooLargeError(
            f"the record has {cost - OVERHEAD} bytes of key and value, too many for a request: max_request_size is "
            f"{self._max_request_size}",
            topic=self._topic,
            outcome="not_written",
        )
