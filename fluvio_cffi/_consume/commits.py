"""Which offsets a consumer stores under its id, and the calls of the library that store and fetch them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from struct import Struct
from typing import Any, Final

from fluvio_cffi._consume.backend import ConsumeBackend
from fluvio_cffi._consume.batch import Buffer, ReadTogether
from fluvio_cffi._consume.columns import OwnedPartition, SharedOffset
from fluvio_cffi._consume.options import ConsumerOptions
from fluvio_cffi._errors import CommitFencedError, ConfigError, ConfigTypeError, UsageError
from fluvio_cffi._native.calls import copy_buffer
from fluvio_cffi._native.errors import raise_status
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._native.queue import Operation
from fluvio_cffi._native.tickets import Wakeable
from fluvio_cffi._values.checks import kind, number
from fluvio_cffi._values.records import Record

_NO_ERROR: Final = (ffi.NULL,)
# flv_offset_t
_STORED: Final = Struct("=IIq")
_CURRENT: Final = -1


class Commits:
    """What a consumer has processed, and what of it is stored.

    :ivar consumer_id: the id under which offsets are stored, if there is one.
    :ivar group: the name of the group for which they are stored, if it is one's member that consumes.
    """

    __slots__ = (
        "_automatic",
        "_backend",
        "_before",
        "_buffer",
        "_by_itself",
        "_cells",
        "_handle",
        "_topic",
        "consumer_id",
        "group",
    )

    def __init__(
        self,
        backend: ConsumeBackend,
        handle: CData,
        topic: str,
        options: ConsumerOptions,
        buffer: Buffer,
    ) -> None:
        self.consumer_id: str | None = options.consumer_id
        self.group: str | None = options.membership.group if options.membership else None
        self._backend = backend
        self._handle = handle
        self._topic = topic
        self._buffer = buffer
        self._automatic = self._by_itself = options.commits_by_itself
        # What the library commits in the background: by partition, the last processed offset.
        self._cells: dict[int, CData] = {}
        # What had been handed out when the last read began.
        self._before: dict[int, int] | None = None

    # -- in the background

    def mark(self, with_dropped: Callable[[dict[int, int]], dict[int, int]]) -> None:
        """The next read begins, so what was handed out before is processed: the library may commit it.

        :param with_dropped: adds to what was handed out what SmartModules have dropped.
        """
        if self._by_itself:
            self._before = self._buffer.handed_out()
            self._mark(with_dropped(self._before))

    def mark_before_hand(self, with_dropped: Callable[[dict[int, int]], dict[int, int]]) -> None:
        """Reading ends: of what was handed out one by one all is processed but the last record, which is in the
        caller's hand; all of it, if another read has begun since and brought nothing."""
        if self._by_itself:
            in_hand = self._buffer.in_hand()
            handed_out = self._buffer.handed_out()
            if handed_out == self._before:
                self._mark(with_dropped(handed_out))
            elif in_hand is not None and in_hand[1] > 0:
                partition, offset = in_hand
                self._mark({partition: offset - 1})

    def _mark(self, processed: dict[int, int]) -> None:
        """Tells the library what it may commit in the background."""
        for partition, offset in processed.items():
            cell = self._cells.get(partition)
            if cell is None:
                place = ffi.new("int64_t **")
                raise_status(lib.flv_consumer_processed(self._handle, partition, place, _NO_ERROR), _NO_ERROR)
                cell = self._cells[partition] = place[0]
            cell[0] = offset

    def take_over(self) -> bool:
        """From now on somebody else says what is processed, by :meth:`note`, and not what is read; whether the library
        commits it in the background."""
        self._by_itself = False
        return self._automatic

    def give_back(self) -> None:
        """It is what is read again."""
        self._by_itself = self._automatic

    def note(self, partition: int, offset: int) -> None:
        """All up to this offset is processed: the library may commit it."""
        self._mark({partition: offset})

    # -- when asked

    def check(self) -> None:
        """Raises unless there is an id to store offsets under, or a group."""
        if self.consumer_id is None and self.group is None:
            raise UsageError("the consumer was opened without a consumer_id: it has no stored offsets")

    def processed(self, what: Record[Any, Any] | ReadTogether | Mapping[int, int]) -> dict[int, int]:
        """By partition, the offset that a commit of `what` stores: of the last record that was processed."""
        if isinstance(what, Mapping):
            for partition, offset in what.items():
                number(partition, "a partition to commit", 0, (1 << 31) - 1)
                number(offset, f"the offset to commit of partition {partition}", 0, (1 << 63) - 1)
            # Of a key that was there before, a dict keeps the first one: it may be of an earlier epoch.
            return {int(partition): offset for partition, offset in what.items()}
        if not isinstance(what, (Record, ReadTogether)):
            raise ConfigTypeError(f"what must be a Record, a RecordBatch or {{partition: offset}}, not {kind(what)}")
        if what.topic != self._topic:
            raise ConfigError(f"what is of topic {what.topic!r}: this consumer reads {self._topic!r}")
        if isinstance(what, ReadTogether):
            epochs = what.epochs
            last = {
                OwnedPartition(partition, epochs[partition]) if epochs else partition: offset
                for partition, offset in what.last_offsets.items()
            }
        else:
            offset = what.offset
            last = {what.partition: offset.processed if isinstance(offset, SharedOffset) else offset}
        # Of the records that share offset 0, not all are processed.
        return {partition: offset for partition, offset in last.items() if offset >= 0}

    def start(self, offsets: dict[int, int], exactly: bool, timeout: float | None, waiter: Wakeable) -> Operation:
        """Starts to store offsets.

        :param exactly: as given, also backwards; false: never less than what is stored. A group takes what the owner
            of a partition says.
        """
        if self.group is not None:
            return self._start_for_group(offsets, timeout, waiter)
        native = ffi.new("flv_offset_t[]", [(partition, 0, offset) for partition, offset in offsets.items()])
        return self._backend.completions.start(
            lib.flv_consumer_commit if exactly else lib.flv_consumer_commit_processed,
            self._handle,
            native,
            len(offsets),
            timeout=timeout,
            phase="commit",
            waiter=waiter,
        )

    def _start_for_group(self, offsets: dict[int, int], timeout: float | None, waiter: Wakeable) -> Operation:
        """Of records under the epoch under which they were handed out, of bare offsets under the one of now."""
        native = ffi.new(
            "flv_epoch_offset_t[]",
            [
                (partition, 0, offset, partition.epoch if isinstance(partition, OwnedPartition) else _CURRENT)
                for partition, offset in offsets.items()
            ],
        )
        return self._backend.completions.start(
            lib.flv_consumer_commit_epochs,
            self._handle,
            native,
            len(offsets),
            timeout=timeout,
            phase="commit",
            waiter=waiter,
        )

    def finish(self, operation: Operation) -> None:
        """Raises why offsets were not stored, if they were not."""
        operation.check()
        if self.group is None or not operation.value:
            return
        fenced = self.fetched(operation)
        raise CommitFencedError(
            f"the group {self.group!r} has given {_named(fenced)} of {self._topic!r} to other members since these "
            "records were handed out: their offsets were not committed, those of other partitions were",
            fenced=fenced,
            topic=self._topic,
        )

    def start_fetching(self, timeout: float | None, waiter: Wakeable) -> Operation:
        """Starts to fetch what is stored, for :meth:`fetched`."""
        return self._backend.completions.start(
            lib.flv_consumer_committed, self._handle, timeout=timeout, phase="commit", waiter=waiter
        )

    @staticmethod
    def fetched(operation: Operation) -> dict[int, int]:
        """The stored offsets, by partition; raises why they could not be fetched."""
        buffer = operation.take("flv_buffer_t *", lib.flv_buffer_free)
        return {partition: offset for partition, _, offset in _STORED.iter_unpack(copy_buffer(buffer))}


def _named(partitions: Collection[int]) -> str:
    numbers = ", ".join(map(str, sorted(partitions)))
    return f"partition {numbers}" if len(partitions) == 1 else f"partitions {numbers}"
