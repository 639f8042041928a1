"""Which records a tracker has taken, which of them are done, and so how far each partition is processed.

Any call may come in the middle of any other one, also of another thread: `_native.queue` says what "one step" means.
Only one adds records at a time; any may say that they are done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from fluvio_cffi._consume.batch import SharedOffset
from fluvio_cffi._values.records import Record


class _Entry:
    """One record that was taken.

    :ivar offset: its offset.
    :ivar processed: the offset to store when it and all before it are done.
    :ivar done: whether it is.
    """

    __slots__ = ("done", "offset", "processed")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.processed: int = offset.processed if isinstance(offset, SharedOffset) else offset
        self.done = False


class _Partition:
    """The records of one partition that are not all done, in their order.

    :ivar entries: from the first one that is not done on.
    :ivar by_offset: the same by offset, which several records may share.
    :ivar processed: the offset to store; -1: none yet.
    """

    __slots__ = ("by_offset", "entries", "processed")

    def __init__(self) -> None:
        self.entries: deque[_Entry] = deque()
        self.by_offset: dict[int, tuple[_Entry, ...]] = {}
        self.processed = -1


class Window:
    """The records of one topic that a tracker has taken, from the first of each partition on that is not done.

    :ivar count: how many there are.
    :ivar undone: how many of them are not done.
    :ivar reserved: those that are about to be taken. Whoever takes them puts an empty list in its place.
    """

    __slots__ = ("_partitions", "count", "reserved", "undone")

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}
        self.count: int = 0
        self.undone: int = 0
        self.reserved: list[tuple[_Partition, _Entry]] = []

    def add(self, records: Iterable[Record]) -> None:
        """These are about to be taken, in this order: :attr:`reserved` has them until they are."""
        reserved = self.reserved
        for record in records:
            partition = self._partitions.setdefault(record.partition, _Partition())
            entry = _Entry(record.offset)
            shared = (*partition.by_offset.get(entry.offset, ()), entry)
            reserved.append((partition, entry))
            partition.entries.append(entry)
            # One step.
            partition.by_offset[entry.offset] = shared
            self.count += 1
            self.undone += 1

    def take_back(self) -> None:
        """What was about to be taken was not, because an exception came, or somebody has moved the reader."""
        reserved = self.reserved
        while reserved:
            partition, entry = reserved[-1]
            shared = partition.by_offset.get(entry.offset, ())
            rest = shared[:-1]
            if partition.entries and partition.entries[-1] is entry:
                partition.entries.pop()
            if shared and shared[-1] is entry:
                # One step.
                partition.by_offset[entry.offset] = rest
                self.count -= 1
                self.undone -= 1
            if not rest:
                partition.by_offset.pop(entry.offset, None)
            reserved.pop()

    def done(self, number: int, offset: int) -> int:
        """A record is done. The offset to store of its partition, if that has risen by it; else -1."""
        partition = self._partitions.get(number)
        if partition is None:
            return -1
        for entry in partition.by_offset.get(offset, ()):
            # One step.
            if not entry.done:
                entry.done = True
                self.undone -= 1
                break
        return self._pass(partition)

    def holds(self, number: int, offset: int) -> bool:
        """Whether a record was taken and is not done."""
        partition = self._partitions.get(number)
        return partition is not None and not all(entry.done for entry in partition.by_offset.get(offset, ()))

    def processed(self, dropped: Mapping[int, int]) -> dict[int, int]:
        """For each partition the offset up to which all that was taken is done.

        :param dropped: the offsets before the next ones that can be taken; where nothing unfinished is held, all up to
            these is processed.
        """
        partitions = [*self._partitions.items()]
        processed = {number: each.processed for number, each in partitions if each.processed >= 0}
        held = {number for number, each in partitions if each.entries}
        return processed | {number: offset for number, offset in dropped.items() if number not in held}

    def _pass(self, partition: _Partition) -> int:
        """Passes the records that are done and have none before them that is not."""
        entries, by_offset = partition.entries, partition.by_offset
        risen = -1
        while True:
            try:
                first = entries[0]
            except IndexError:
                return risen
            if not first.done:
                return risen
            last = by_offset.get(first.offset, (first,))[-1] is first
            # One step: others may have passed it meanwhile.
            if entries and entries[0] is first:
                del entries[0]
                self.count -= 1
                if last and first.offset in by_offset:
                    del by_offset[first.offset]
                risen = partition.processed = first.processed
