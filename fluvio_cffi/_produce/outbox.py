"""Records that a producer of an event loop has accepted and not handed over to the library. Pure: nothing here awaits,
or calls the library.

Many tasks that send in one turn of the loop share one call of the library that way. The loop's thread alone changes
the outbox; KeyboardInterrupt may come after any call: `_native.queue` says what "one step" means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from itertools import compress
from typing import Any, ClassVar, Final, Generic, TypeVar

from fluvio_cffi._errors import FluvioError, fresh
from fluvio_cffi._native.tickets import SendFuture, Ticket
from fluvio_cffi._produce.delivery import Ledger
from fluvio_cffi._produce.encode import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    NO_PARTITION,
    NO_TIMESTAMP,
    Accept,
    Block,
    RecordRefused,
    join_records,
)
from fluvio_cffi._produce.receipt import BaseReceipt, bind_receipt, fail_receipt

OwnerT = TypeVar("OwnerT")
ENTRIES: Final = 2 * CHUNK_RECORDS
"""A group with as many entries is full."""
Submit = Callable[[Block, Accept], int]
"""Hands over what is left of a block, as far as there is room: ``Submitter.submit_queued``."""


class PendingGroup(ABC, Generic[OwnerT]):
    """Records that were accepted one by one, and will be handed over together.

    Each has an owner, which is told where it is: see the subclasses.

    :ivar cancellations: the backend's, when the group began.
    :ivar entries: of each record its value and its owner, one after the other. Both are added by one call, so that no
        exception can come in between.
    :ivar owners: in the order of the records, once the group is sealed.
    :ivar block: the records, once the group is sealed and takes no more.
    """

    __slots__ = ("_partitions", "_timestamps", "block", "cancellations", "entries", "keys", "owners", "size", "values")

    bind_one: ClassVar[staticmethod[[Any, Ticket, int, int], None]]
    """Tells the owner of a single record where it is."""

    def __init__(self, cancellations: int) -> None:
        self.cancellations = cancellations
        self.entries: list[Any] = []
        self.values: list[bytes] = []
        self.owners: list[OwnerT] = []
        self.keys: list[bytes | None] | None = None
        self._partitions: list[int] | None = None
        self._timestamps: list[int] | None = None
        self.size = 0
        self.block: Block | None = None

    @property
    def full(self) -> bool:
        """Whether the group is as large as what is handed over together."""
        return len(self.entries) >= ENTRIES or self.size >= CHUNK_BYTES

    @property
    def cost(self) -> int:
        """Bytes of the buffer that its records cost."""
        return self.size if self.block is None else self.block.cost

    @property
    def count(self) -> int:
        """How many of its records are not handed over."""
        return len(self.entries) // 2 if self.block is None else self.block.remaining

    def add(
        self, owner: OwnerT, value: bytes, key: bytes | None, partition: int | None, timestamp: int | None, cost: int
    ) -> None:
        """Adds a record."""
        count = len(self.entries) // 2
        # A column is made when the first record needs it. An exception may have left it longer than the others.
        if key is not None or self.keys is not None:
            keys = self.keys
            if keys is None:
                keys = self.keys = [None for _ in range(count)]
            elif len(keys) != count:
                del keys[count:]
            keys.append(key)
        if partition is not None or self._partitions is not None:
            partitions = self._partitions
            if partitions is None:
                partitions = self._partitions = [NO_PARTITION] * count
            elif len(partitions) != count:
                del partitions[count:]
            partitions.append(NO_PARTITION if partition is None else partition)
        if timestamp is not None or self._timestamps is not None:
            timestamps = self._timestamps
            if timestamps is None:
                timestamps = self._timestamps = [NO_TIMESTAMP] * count
            elif len(timestamps) != count:
                del timestamps[count:]
            timestamps.append(NO_TIMESTAMP if timestamp is None else timestamp)
        self.entries.extend((value, owner))
        self.size += cost

    def seal(self, cancellations: int) -> Block:
        """The records as a block; the group takes no more.

        :param cancellations: the backend's by now.
        """
        if self.block is None:
            values, owners = self.entries[::2], self.entries[1::2]
            for column in (self.keys, self._partitions, self._timestamps):
                if column is not None:
                    del column[len(values) :]
            # One step.
            self.values, self.owners = values, owners
            if cancellations != self.cancellations:
                self.withdraw()
            self.block = join_records(self.values, self.keys, self._partitions, self._timestamps)
            self.entries = self.values = []
            self.keys = self._partitions = self._timestamps = None
        return self.block

    def withdraw(self) -> None:
        """Leaves out the records whose senders were cancelled before they were handed over."""

    @abstractmethod
    def bind(self, position: int, ticket: Ticket, index: int, count: int, timestamp: int) -> None:
        """Tells the owners of `count` records from `position` on that they are the records `index`.. of `ticket`. May
        be called twice."""

    @abstractmethod
    def fail(self, start: int, stop: int, error: FluvioError, ledger: Ledger) -> None:
        """Tells the owners of the records from `start` to `stop` that these will not be handed over."""


class PendingReceipts(PendingGroup[BaseReceipt[Any]]):
    """Records of ``enqueue``: their owners are receipts."""

    __slots__ = ()

    bind_one = staticmethod(bind_receipt)

    def bind(self, position: int, ticket: Ticket, index: int, count: int, timestamp: int) -> None:
        for receipt in self.owners[position : position + count]:
            bind_receipt(receipt, ticket, index, timestamp)
            index += 1

    def fail(self, start: int, stop: int, error: FluvioError, ledger: Ledger) -> None:
        for receipt in self.owners[start:stop]:
            fail_receipt(receipt, error)


def _serve(future: SendFuture, ticket: Ticket, index: int, timestamp: int) -> None:
    ticket.serve(index, timestamp, (future,))


class PendingSends(PendingGroup[SendFuture]):
    """Records of ``send``: their owners are the futures that their senders await. They have no partition and no
    timestamp of their own."""

    __slots__ = ()

    bind_one = staticmethod(_serve)

    def bind(self, position: int, ticket: Ticket, index: int, count: int, timestamp: int) -> None:
        ticket.serve(index, timestamp, self.owners[position : position + count])

    def fail(self, start: int, stop: int, error: FluvioError, ledger: Ledger) -> None:
        if start < stop:
            ticket = Ticket()
            ticket.attach(ledger)
            ledger.submitted += stop - start
            ticket.serve(0, 0, self.owners[start:stop])
            ticket.fail(error, stop - start)

    def withdraw(self) -> None:
        kept = [not future.done() for future in self.owners]
        owners = [*compress(self.owners, kept)]
        values = [*compress(self.values, kept)]
        keys = None if self.keys is None else [*compress(self.keys, kept)]
        # One step.
        self.owners, self.values, self.keys = owners, values, keys


class Outbox:
    """Groups of records in the order in which they were accepted.

    :ivar groups: those of which not all is handed over.
    :ivar open: the last of them, while it takes records of ``send``, and the loop has not turned.
    """

    __slots__ = ("_ledger", "groups", "open")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.groups: Final[deque[PendingGroup[Any]]] = deque()
        self.open: PendingSends | None = None

    @property
    def count(self) -> int:
        """How many records there are. Any thread."""
        return sum([group.count for group in tuple(self.groups)])

    @property
    def cost(self) -> int:
        """Bytes of the buffer that they cost. Any thread."""
        return sum([group.cost for group in tuple(self.groups)]) if self.groups else 0

    def begin(self, kind: type[PendingGroup[Any]], cancellations: int) -> PendingGroup[Any]:
        """Begins a group: the last one does not take records of this kind.

        :param cancellations: the backend's by now.
        """
        self.open = None
        group = kind(cancellations)
        self.groups.append(group)
        return group

    def push(self, submit: Submit, cancellations: int) -> bool:
        """Hands over the records in their order, as far as there is room; false: some are left. Never raises what
        concerns a record: its owner is told."""
        groups = self.groups
        while groups:
            if not self._hand_over(groups[0], submit, cancellations):
                return False
            groups.popleft()
        return True

    def seal_first(self, cancellations: int) -> Block | None:
        """What is left of the first group, which takes no more; ``None``: there is none."""
        return self._seal(self.groups[0], cancellations) if self.groups else None

    def fail(self, why: FluvioError, cancellations: int) -> None:
        """The records will not be handed over."""
        ledger = self._ledger
        for group in self.groups:
            block = self._seal(group, cancellations)
            error = fresh(why)
            error.topic, error.outcome = ledger.topic, "not_written"
            group.fail(block.start, block.count, error, ledger)
        self.groups.clear()

    def _seal(self, group: PendingGroup[Any], cancellations: int) -> Block:
        if group is self.open:
            self.open = None
        return group.seal(cancellations)

    def _hand_over(self, group: PendingGroup[Any], submit: Submit, cancellations: int) -> bool:
        block = self._seal(group, cancellations)
        while block.start < block.count:
            try:
                accepted = submit(block, group.bind)
            except RecordRefused as refused:
                self._drop(group, block, 1, refused.error)
            except FluvioError as error:
                self._drop(group, block, block.remaining, error)
            else:
                if not accepted:
                    return False
        return True

    def _drop(self, group: PendingGroup[Any], block: Block, count: int, error: FluvioError) -> None:
        """The next `count` records of a group are refused."""
        group.fail(block.start, block.start + count, error, self._ledger)
        block.advance(count)
