"""Which records a tracker has taken, which of them are done, and so how far each partition is processed.

Any call may come in the middle of any other one, also of another thread: `_native.queue` says what "one step" means.
Only one adds records at a time; any may say that they are done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from fluvio_cffi._consume.columns import SharedOffset
from fluvio_cffi._values.records import Record


class _Entry:
    """One record that was taken.

    :ivar offset: its offset: the object that the record has, by which those are told apart that share one.
    :ivar processed: the offset to store when it and all before it are done.
    :ivar done: whether it is.
    :ivar undecodable: whether no codec can read it, so that it cannot be handed out again.
    :ivar returned: whether a worker has given it back, and it was not handed out again.
    """

    __slots__ = ("done", "offset", "processed", "returned", "undecodable")

    def __init__(self, offset: int, undecodable: bool, done: bool) -> None:
        self.offset = offset
        self.processed: int = offset.processed if isinstance(offset, SharedOffset) else offset
        self.done = done
        self.undecodable = undecodable
        self.returned = False


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

    :ivar count: how many there are, with those that are about to be taken.
    :ivar undone: how many were taken and are not done.
    :ivar returned: how many of these workers have given back, and were not handed out again.
    :ivar reserved: those that are about to be taken. Whoever takes them puts an empty list in its place and adds them
        to :attr:`undone`, in one step.
    """

    __slots__ = ("_partitions", "count", "reserved", "returned", "undone")

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}
        self.count: int = 0
        self.undone: int = 0
        self.returned: int = 0
        self.reserved: list[tuple[_Partition, _Entry]] = []

    @property
    def used(self) -> bool:
        """Whether anything was ever taken."""
        return bool(self._partitions)

    def add(self, records: Iterable[Record[Any, Any]], *, undecodable: bool = False, done: bool = False) -> None:
        """These are about to be taken, in this order: :attr:`reserved` has them until they are."""
        reserved = self.reserved
        for record in records:
            partition = self._partitions.get(record.partition)
            if partition is None:
                partition = self._partitions[record.partition] = _Partition()
            entry = _Entry(record.offset, undecodable, done)
            shared = (*partition.by_offset.get(entry.offset, ()), entry)
            reserved.append((partition, entry))
            partition.entries.append(entry)
            # One step.
            partition.by_offset[entry.offset] = shared
            self.count += 1

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
                self.count -= 1
                if rest:
                    partition.by_offset[entry.offset] = rest
                else:
                    del partition.by_offset[entry.offset]
            reserved.pop()

    def done(self, number: int, offset: int) -> int:
        """A record is done. The offset to store of its partition, if that has risen by it; else -1."""
        partition = self._partitions.get(number)
        if partition is None:
            return -1
        entry = _entry_of(partition, offset)
        # One step.
        if entry is not None and not entry.done:
            entry.done = True
            self.undone -= 1
            if entry.returned:
                entry.returned = False
                self.returned -= 1
        return self._pass(partition)

    def give_back(self, number: int, offset: int) -> bool:
        """A record is to be handed out again; false: it is not held, or done, or was given back already."""
        entry = self.entry(number, offset)
        # One step.
        if entry is not None and not entry.done and not entry.returned:
            entry.returned = True
            self.returned += 1
            return True
        return False

    def entry(self, number: int, offset: int) -> _Entry | None:
        """What is known of a record, if it is held."""
        partition = self._partitions.get(number)
        return None if partition is None else _entry_of(partition, offset)

    def at(self, number: int) -> int:
        """The offset to store of a partition; -1: none yet."""
        partition = self._partitions.get(number)
        return -1 if partition is None else partition.processed

    def processed(self, dropped: Mapping[int, int]) -> dict[int, int]:
        """For each partition the offset up to which all that was taken is done.

        :param dropped: the offsets before the next ones that can be taken; where nothing unfinished is held, all up to
            these is processed.
        """
        partitions = [*self._partitions.items()]
        processed = {number: each.processed for number, each in partitions if each.processed >= 0}
        held = {number for number, each in partitions if each.entries}
        for number, offset in dropped.items():
            # More may have been taken and done since that was looked at.
            if number not in held and offset > processed.get(number, -1):
                processed[number] = offset
        return processed

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
            # One step: others may have passed it meanwhile.
            if entries and entries[0] is first:
                del entries[0]
                self.count -= 1
                if first.offset in by_offset and by_offset[first.offset][-1] is first:
                    del by_offset[first.offset]
                risen = partition.processed = first.processed


def _entry_of(partition: _Partition, offset: int) -> _Entry | None:
    """The entry of the record with that offset. Of several that share it the one with the same object; of a copy of
    such a record, say from another process, the first that is not done."""
    shared = partition.by_offset.get(offset, ())
    if len(shared) > 1:
        if isinstance(offset, SharedOffset):
            for entry in shared:
                if entry.offset is offset:
                    return entry
        for entry in shared:
            if not entry.done:
                return entry
    return shared[0] if shared else None
