"""The intake of a producer that threads use: records go to the library at once."""

from __future__ import annotations

from typing import Any, Final

from fluvio_cffi._errors import FluvioError
from fluvio_cffi._native.loader import CData, lib
from fluvio_cffi._produce.backend import ProduceBackend
from fluvio_cffi._produce.encode import OVERHEAD, Accept, Block
from fluvio_cffi._produce.intake import Intake, ReceiptT
from fluvio_cffi._produce.options import ProducerOptions
from fluvio_cffi._produce.receipt import bind_receipt
from fluvio_cffi._produce.room import RoomWaiter, ThreadRoomQueue

UNSETTLED: Final = 10_000
"""With more records in flight, a thread that accepts one takes up what has completed."""


class ThreadIntake(Intake[ReceiptT, ThreadRoomQueue]):
    """How records enter a producer that threads use."""

    asynchronous = False

    def __init__(
        self, backend: ProduceBackend, handle: CData, topic: str, options: ProducerOptions, receipt: type[ReceiptT]
    ) -> None:
        super().__init__(backend, handle, topic, options, receipt, ThreadRoomQueue())
        self._backend = backend
        self._waiting = self.queue.waiting

    # -- accepting

    def accept_usual(self, value: Any, key: Any, awaited: bool = False) -> ReceiptT | None:
        """The short way for the usual record: `value` and `key` are what the caller gave. ``None``: the record does not
        fit, and goes the long way."""
        backend = self._backend
        backend.check()
        if type(value) is not bytes:
            return None
        cost = len(value) + OVERHEAD
        if key is not None:
            if type(key) is not bytes:
                return None
            cost += len(key)
        # Nobody comes before those who wait for room.
        if cost > self._usual or self._waiting or self.closing:
            return None
        ledger = self.ledger
        receipt = self._receipt(backend, ledger, None)
        if not self.submitter.submit_one(value, key, None, None, bind_receipt, receipt, awaited):
            return None
        if ledger.submitted - ledger.settled > UNSETTLED:
            backend.look()
        return receipt

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
        # Nobody comes before those who wait for room.
        return not self._waiting and self.accept_granted(owner, value, key, partition, timestamp, cost, awaited)

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
        accepted = self.submitter.submit_one(value, key, partition, timestamp, bind_receipt, receipt, awaited)
        if self.ledger.submitted - self.ledger.settled > UNSETTLED:
            self._backend.look()
        return accepted

    def accept_block(self, block: Block, accept: Accept) -> bool:
        if self.closing:
            raise self.closed_error()
        return self.submitter.submit_isolating(block, accept) > 0

    # -- room

    def join(self, place: RoomWaiter, first: bool) -> None:
        self.queue.join(place, first)
        # `begin_to_close` sets `closing` before it looks for waiters: one of the two notices.
        self.check_open()
        self.grant()

    def leave(self, place: RoomWaiter) -> None:
        if self.queue.leave(place):
            self._ask_anew()
        self.grant()

    def grant(self) -> None:
        wanted = self.queue.grant(self._room)
        if wanted:
            self._ask_for_room(wanted)

    def _room(self) -> int:
        room: int = lib.flv_producer_room(self._handle)
        return room

    def refuse(self, error: FluvioError) -> None:
        self.queue.refuse(lambda: self._not_written(error))

    # -- handing over: nothing is queued here

    def push(self) -> bool:
        return True

    def push_at_exit(self) -> int:
        return 0

    def forget(self) -> None:
        pass

    def fail_queued(self, why: FluvioError) -> None:
        pass

    # -- closing

    def begin_to_close(self) -> None:
        self.closing = True
        self.queue.refuse(self.closed_error)
        self.submitter.catch_up()
