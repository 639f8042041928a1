"""The intake of a producer on an event loop.

A record that is accepted by itself is handed over to the library at once where hardly anything is in flight, and queues
in the outbox until the next turn of the loop otherwise. The loop's thread alone comes here, but for what says "any
thread".
"""

from __future__ import annotations

import contextlib
from threading import get_ident
from typing import Any, Final

from fluvio_cffi._errors import FluvioError
from fluvio_cffi._native.loader import CData
from fluvio_cffi._native.tickets import SendFuture
from fluvio_cffi._produce.backend import LoopBackend
from fluvio_cffi._produce.encode import CHUNK_BYTES, OVERHEAD, Accept, Block
from fluvio_cffi._produce.intake import Intake, ReceiptT
from fluvio_cffi._produce.options import ProducerOptions
from fluvio_cffi._produce.outbox import ENTRIES, Outbox, PendingGroup, PendingReceipts, PendingSends
from fluvio_cffi._produce.room import RoomQueue, RoomWaiter
from fluvio_cffi._values.records import Pending

DIRECT: Final = 4
"""With fewer records in flight a record is submitted immediately; otherwise once the loop turns."""


class LoopIntake(Intake[ReceiptT, RoomQueue]):
    """How records enter a producer on an event loop.

    The room of the buffer is counted here: what the library had last, less what is in the outbox, less what was granted
    to those who wait.
    """

    asynchronous = True

    def __init__(
        self, backend: LoopBackend, handle: CData, topic: str, options: ProducerOptions, receipt: type[ReceiptT]
    ) -> None:
        super().__init__(backend, handle, topic, options, receipt, RoomQueue())
        self._backend = backend
        self.ledger.deliver = backend.deliver
        self._outbox = Outbox(self.ledger)
        self._groups = self._outbox.groups
        self._scheduled = False
        self.free = self.submitter.room

    # -- accepting
    #
    # `accept_usual` and `post` are short ways for the usual record. They return ``None`` for any other one, which goes
    # the long way: through `AsyncProducer._accept`.

    def accept_usual(self, value: Any, key: Any) -> ReceiptT | None:
        """Accepts a record of ``enqueue``: `value` and `key` are what its caller gave."""
        backend = self._backend
        backend.check()
        if type(value) is not bytes:
            return None
        cost = len(value) + OVERHEAD
        if key is not None:
            if type(key) is not bytes:
                return None
            cost += len(key)
        if cost > self.free or cost > self._usual or backend.due():
            return None
        receipt = self._receipt(backend, self.ledger, None)
        return receipt if self.accept(receipt, value, key, None, None, cost) else None

    def post(self, value: Any, key: Any) -> SendFuture | None:
        """Accepts a record of ``send``; its caller awaits the future.

        A thousand tasks that send come here in one turn of the loop: what the first one finds holds for all.
        """
        if type(value) is not bytes:
            return None
        cost = len(value) + OVERHEAD
        if key is not None:
            if type(key) is not bytes:
                return None
            cost += len(key)
        if cost > self.free or cost > self._usual:
            return None
        group = self._outbox.open
        if group is None or len(group.entries) >= ENTRIES or group.size >= CHUNK_BYTES:
            return self._post_first(value, key, cost)
        future = self._backend.send_future()
        self.free -= cost
        if key is not None or group.keys is not None:
            group.add(future, value, key, None, None, cost)
            return future
        group.entries.extend((value, future))
        group.size += cost
        return future

    def _post_first(self, value: bytes, key: bytes | None, cost: int) -> SendFuture | None:
        """The same for a record that no open group takes."""
        backend = self._backend
        groups = self._groups
        outbox = self._outbox
        if groups:
            if outbox.open is not None:
                backend.check()
                self.push()
            elif groups[-1].block is None and type(groups[-1]) is PendingReceipts:
                return None
        if cost > self.free or cost >= CHUNK_BYTES:
            return None
        if not groups and self.ledger.submitted - self.ledger.settled < DIRECT:
            future = backend.send_future()
            # A record in the outbox is left out if its task is cancelled before the loop turns; this one would go.
            if backend.tells_late and backend.cancelled():
                return None
            return future if self.accept(future, value, key, None, None, cost, True, PendingSends) else None
        future = backend.send_future()
        if not self.accept(future, value, key, None, None, cost, False, PendingSends):
            return None
        last = groups[-1] if groups else None
        outbox.open = last if isinstance(last, PendingSends) and last.block is None else None
        return future

    def accept(
        self,
        owner: Any,
        value: bytes,
        key: bytes | None,
        partition: int | None,
        timestamp: int | None,
        cost: int,
        awaited: bool = False,
        kind: type[PendingGroup[Any]] = PendingReceipts,
    ) -> bool:
        """See the base class: all records that are accepted one by one come here, or join a group in :meth:`post`.

        :param kind: the kind of the owner.
        """
        if cost > self.free:
            return False
        self.free -= cost
        groups = self._groups
        ledger = self.ledger
        if cost > self._certain or (not groups and ledger.submitted - ledger.settled < DIRECT):
            if groups:
                self.push()
            if not groups:
                bind = kind.bind_one
                try:
                    accepted = self.submitter.submit_one(value, key, partition, timestamp, bind, owner, awaited)
                except BaseException:
                    self.refresh_room()
                    raise
                if accepted:
                    self._count_room()
                    return True
                # There is no room, against all odds.
                self.refresh_room()
                self.free -= cost
        group = groups[-1] if groups else None
        if group is None or group.block is not None or type(group) is not kind:
            group = self._outbox.begin(kind, self._backend.cancellations)
        group.add(owner, value, key, partition, timestamp, cost)
        if len(group.entries) >= ENTRIES or group.size >= CHUNK_BYTES:
            self.push()
        elif not self._scheduled:
            self._scheduled = True
            self._backend.soon(self._turn)
        return True

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
        self.check_open()
        # The room was kept for this record: nothing else can take it before `accept` does.
        self.free = max(self.free, 0) + cost
        return self.accept(receipt, value, key, partition, timestamp, cost, awaited)

    def accept_block(self, block: Block, accept: Accept) -> bool:
        if self.closing:
            raise self.closed_error()
        try:
            if self._groups:
                self.push()
            return not self._groups and self.submitter.submit_isolating(block, accept) > 0
        finally:
            self.refresh_room()

    def _turn(self) -> None:
        """The loop has turned."""
        self._backend.turned()
        self._scheduled = False
        self.push()

    # -- room

    def refresh_room(self) -> int:
        """Asks the library how much room there is; returns what is left of it: bytes that nobody has or was granted."""
        self.submitter.refresh_room()
        return self._count_room()

    def _count_room(self) -> int:
        queue = self.queue
        room = self.submitter.room
        if self._groups:
            room -= self._outbox.cost
        if queue.granted:
            room -= queue.promised
        self.free = 0 if queue.waiting or self.closing else room
        return room

    def join(self, place: RoomWaiter, first: bool) -> None:
        self.queue.join(place, first)
        self.grant()

    def leave(self, place: RoomWaiter) -> None:
        if self.queue.leave(place):
            self._ask_anew()
            self.grant()

    def grant(self) -> None:
        # What is in the outbox was accepted before, and goes first.
        self.push()
        room = self.refresh_room()
        if not self._groups:
            self.queue.grant(room)
            self._count_room()
        self._ask()

    def _ask(self) -> None:
        """Asks the library for room for the first group, or for the first that waits."""
        if self._groups:
            block = self._outbox.seal_first(self._backend.cancellations)
            assert block is not None
            # A group of which all is withdrawn goes with the first room.
            self._ask_for_room(block.next_cost() if block.count else 1)
        elif self.queue.waiting:
            self._ask_for_room(self.queue.wanted)

    def refuse(self, error: FluvioError) -> None:
        self.fail_queued(error)
        self.queue.refuse(lambda: self._not_written(error))
        self._count_room()

    # -- handing over

    def push(self) -> bool:
        empty = True
        if self._groups:
            self.submitter.catch_up()
            empty = self._outbox.push(self.submitter.submit_queued, self._backend.cancellations)
        self._count_room()
        if not empty:
            self._ask()
        return empty

    def push_at_exit(self) -> int:
        if not self._backend.runs_elsewhere():
            self.push()
        return self._outbox.count

    def forget(self) -> None:
        with contextlib.suppress(Exception):
            if self._backend.thread == get_ident():
                self.push()
            else:
                self._backend.threadsafe(self._turn)

    def fail_queued(self, why: FluvioError) -> None:
        self.submitter.catch_up()
        self._outbox.fail(why, self._backend.cancellations)

    @property
    def pending(self) -> Pending:
        # What is handed over meanwhile is counted twice rather than not at all.
        count, cost = self._outbox.count, self._outbox.cost
        records, size = super().pending
        return Pending(records + count, size + cost)

    # -- closing

    def begin_to_close(self) -> None:
        self.closing = True
        self.queue.refuse(self.closed_error, all_of_them=False)
        self.submitter.catch_up()
        self.push()
