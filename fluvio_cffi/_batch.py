"""Records that were read, kept in columns: what a consumer takes from the library, and what it hands out."""

from __future__ import annotations

import itertools
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import length_hint
from typing import ClassVar, Final, NamedTuple, cast, overload

from ._ffi import CData, ffi
from ._types import Record

_ABSENT = -1
# What calling Record does, without the way through Python code.
_new_record: Final = cast("Callable[[type[Record], Iterable[object]], Record]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]


class Columns:
    """Records of one partition, in order. `keys` is ``None`` where none has one; `stamps` is one number where all are
    equal."""

    __slots__ = ("_nbytes", "keys", "next_offset", "offsets", "partition", "stamps", "topic", "values")

    def __init__(
        self,
        topic: str,
        partition: int,
        offsets: Sequence[int],
        stamps: int | list[int | None] | None,
        keys: list[bytes | None] | None,
        values: list[bytes],
        next_offset: int,
        nbytes: int | None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offsets = offsets
        self.stamps = stamps
        self.keys = keys
        self.values = values
        self.next_offset = next_offset
        self._nbytes = nbytes

    @classmethod
    def decode(cls, topic: str, chunk: CData) -> Columns:
        """The records of a chunk of the library (``FLV_FORMAT_PICKLE``), copied out of it."""
        offsets, stamps, keys, values = pickle.loads(ffi.buffer(chunk.data, chunk.len))
        if isinstance(offsets, int):
            offsets = range(offsets, offsets + len(values))
        if isinstance(stamps, int):
            stamps = None if stamps == _ABSENT else stamps
        elif _ABSENT in stamps:
            stamps = [None if stamp == _ABSENT else stamp for stamp in stamps]
        return cls(topic, chunk.partition, offsets, stamps, keys, values, chunk.next_offset, chunk.bytes)

    def __len__(self) -> int:
        return len(self.values)

    def __reduce__(self) -> tuple[object, ...]:
        return Columns, tuple(getattr(self, name) for name in _COLUMNS)

    def slice(self, start: int, stop: int) -> Columns:
        """The records `start` up to `stop`."""
        return Columns(
            self.topic,
            self.partition,
            self.offsets[start:stop],
            self.stamps[start:stop] if isinstance(self.stamps, list) else self.stamps,
            None if self.keys is None else self.keys[start:stop],
            self.values[start:stop],
            self.next_offset if stop == len(self.values) else self.offsets[stop],
            None,
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values; counted when it is first asked for, unless the library has said so."""
        if self._nbytes is None:
            self._nbytes = sum(map(len, self.values)) + sum(map(len, filter(None, self.keys or ())))
        return self._nbytes

    def stamp_list(self) -> list[int | None]:
        """The timestamps, one a record."""
        return self.stamps if isinstance(self.stamps, list) else [self.stamps] * len(self.values)

    def key_list(self) -> list[bytes | None]:
        """The keys, one a record."""
        return [None] * len(self.values) if self.keys is None else self.keys

    def record(self, index: int) -> Record:
        """One record."""
        return Record(
            self.topic,
            self.partition,
            self.offsets[index],
            self.stamps[index] if isinstance(self.stamps, list) else self.stamps,
            None if self.keys is None else self.keys[index],
            self.values[index],
        )

    def records(self, values: Iterator[bytes]) -> Iterator[Record]:
        """The records, made as they are asked for, without Python code; `values` is an iterator over their values."""
        fields = zip(
            itertools.repeat(self.topic),
            itertools.repeat(self.partition),
            self.offsets,
            self.stamps if isinstance(self.stamps, list) else itertools.repeat(self.stamps),
            itertools.repeat(None) if self.keys is None else self.keys,
            values,
            strict=False,
        )
        return map(_new_record, itertools.repeat(Record), fields)


_COLUMNS = ("topic", "partition", "offsets", "stamps", "keys", "values", "next_offset", "nbytes")


class RecordBatch(Sequence[Record]):
    """Records that were read together, never none. They may be of several partitions; those of one are in order.

    The records are kept in columns, and a :class:`Record` is made when it is asked for: whoever needs the values only
    takes :meth:`value_list`, which is several times faster.
    """

    __slots__ = ("_length", "_parts")

    def __init__(self, parts: Sequence[Columns]) -> None:
        self._parts = tuple(parts)
        self._length = sum(map(len, self._parts))

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._parts[0].topic

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values."""
        return sum(part.nbytes for part in self._parts)

    @property
    def last_offsets(self) -> dict[int, int]:
        """For each partition in the batch the offset of its last record."""
        return {part.partition: part.offsets[-1] for part in self._parts}

    def value_list(self) -> list[bytes]:
        """The values, one a record."""
        if len(self._parts) == 1:
            return self._parts[0].values.copy()
        return list(itertools.chain.from_iterable(part.values for part in self._parts))

    def key_list(self) -> list[bytes | None]:
        """The keys, one a record; ``None`` where it has none."""
        return list(itertools.chain.from_iterable(part.key_list() for part in self._parts))

    def offset_list(self) -> list[int]:
        """The offsets, one a record."""
        return list(itertools.chain.from_iterable(part.offsets for part in self._parts))

    def timestamp_list(self) -> list[int | None]:
        """The timestamps, one a record: milliseconds since the epoch; ``None`` where it has none."""
        return list(itertools.chain.from_iterable(part.stamp_list() for part in self._parts))

    def tuples(self) -> list[tuple[int, int, int | None, bytes | None, bytes]]:
        """``(partition, offset, timestamp, key, value)``, one a record."""
        return list(
            itertools.chain.from_iterable(
                zip(
                    itertools.repeat(part.partition),
                    part.offsets,
                    part.stamp_list(),
                    part.key_list(),
                    part.values,
                )
                for part in self._parts
            )
        )

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Record]:
        if len(self._parts) == 1:
            return self._parts[0].records(iter(self._parts[0].values))
        return itertools.chain.from_iterable(part.records(iter(part.values)) for part in self._parts)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...

    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._length))]
        position = index + self._length if index < 0 else index
        if position < 0:
            raise IndexError("record index out of range")
        for part in self._parts:
            if position < len(part):
                return part.record(position)
            position -= len(part)
        raise IndexError("record index out of range")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecordBatch):
            return NotImplemented
        return self._length == other._length and all(map(Record.__eq__, self, other))

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __repr__(self) -> str:
        spans = ", ".join(f"{part.partition}: {part.offsets[0]}..{part.offsets[-1]}" for part in self._parts)
        return f"<RecordBatch of {self._length} from {self.topic!r} ({spans}), {self.nbytes} bytes>"

    def __reduce__(self) -> tuple[type[RecordBatch], tuple[tuple[Columns, ...]]]:
        return RecordBatch, (self._parts,)


class Cut(NamedTuple):
    """A batch that can leave a buffer.

    KeyboardInterrupt may come after any call; before CPython 3.11 also where a function has returned. So whoever hands
    the batch to the caller does the last step himself, without a call in between: if :attr:`before` is the buffer's
    ``parts`` still (else another thread has dropped a partition meanwhile), :attr:`after` becomes the buffer's
    ``parts, positions, source, count``.
    """

    batch: RecordBatch
    before: deque[Columns]
    after: tuple[deque[Columns], dict[int, int], None, int]


class Buffer:
    """Chunks that were taken from the library and are not all handed out.

    Records leave it one by one (:meth:`records`) or as a batch (:meth:`cut`), in any mixture; :attr:`count` and
    :meth:`position` know what has left.
    """

    __slots__ = ("_begun", "_left", "_mark", "count", "given", "parts", "positions", "source")

    def __init__(self) -> None:
        self.parts: deque[Columns] = deque()
        self.positions: dict[int, int] = {}
        # Where each partition began, or was sought to: nothing before was handed out since.
        self._begun: dict[int, int] = {}
        # The first part is read through these two once records leave it one by one. What is left of the values' own
        # iterator says how far that went, so nothing has to be counted record by record.
        self.source: Iterator[Record] | None = None
        self._left: Iterator[bytes] = iter(())
        self._mark = 0
        self.count = 0
        # How many records the last iterator was given.
        self.given = 0

    # KeyboardInterrupt may come after any call, in threads. So what is read and made comes first, and then all that is
    # changed, without a call in between.

    def push(self, columns: Columns, chunk: CData | None = None) -> None:
        """A chunk came in; never an empty one. It is struck out of the library's `chunk`."""
        count = len(columns)
        self.positions.setdefault(columns.partition, columns.offsets[0])
        self._begun.setdefault(columns.partition, columns.offsets[0])
        append = self.parts.append
        self.count += count
        if chunk is not None:
            chunk.count = 0
        append(columns)

    def push_first(self, columns: Columns, chunk: CData) -> None:
        """The same for a chunk that is to be handed out before what is there of other partitions."""
        partition = columns.partition
        index = self._settle()
        if any(part.partition == partition for part in self.parts):
            self.push(columns, chunk)
            return
        parts = self.parts.copy()
        if self.source is not None:
            parts[0] = parts[0].slice(index, len(parts[0]))
        parts.appendleft(columns)
        count = self.count + len(columns)
        self.positions.setdefault(partition, columns.offsets[0])
        self._begun.setdefault(partition, columns.offsets[0])
        chunk.count = 0
        self.parts = parts
        self.source = None
        self.count = count

    def _settle(self) -> int:
        """Accounts for what left the first part one by one; the index of the first record that did not."""
        if self.source is None:
            return 0
        left = length_hint(self._left)
        part = self.parts[0]
        index = len(part) - left
        partition = part.partition
        position = part.offsets[index] if left else part.next_offset
        self.count -= self._mark - left
        self._mark = left
        self.positions[partition] = position
        if left:
            return index
        del self.parts[0]
        self.source = None
        return 0

    def settle(self) -> None:
        """Brings :attr:`count` up to date."""
        self._settle()

    def records(self, stride: int) -> Iterator[Record]:
        """An iterator over the next records, at most `stride`, and at least one where there is one."""
        self._settle()
        if not self.parts:
            return iter(())
        if self.source is None:
            part = self.parts[0]
            self._left = iter(part.values)
            self._mark = len(part)
            self.source = part.records(self._left)
        self.given = min(stride, self._mark)
        return itertools.islice(self.source, stride)

    def cut(self, limit: int, full: bool = False) -> Cut:
        """The next records, at most `limit`, as a batch; there must be one. They leave with :attr:`Cut.after`.

        :param full: as many as there are. Else a batch of more than a quarter of them ends where a chunk does, so that
            fewer chunks are cut in two.
        """
        index = self._settle()
        before = self.parts
        rest = before.copy()
        positions = self.positions.copy()
        if self.source is not None:
            rest[0] = rest[0].slice(index, len(rest[0]))
        parts: list[Columns] = []
        left = limit
        while left and rest:
            part = rest.popleft()
            if len(part) > left:
                if left * 4 <= limit * 3 and not full:
                    rest.appendleft(part)
                    break
                rest.appendleft(part.slice(left, len(part)))
                part = part.slice(0, left)
            parts.append(part)
            left -= len(part)
            positions[part.partition] = part.next_offset
        return Cut(RecordBatch(parts), before, (rest, positions, None, self.count - (limit - left)))

    def position(self) -> dict[int, int]:
        """For each partition that a chunk came from the offset that is handed out next."""
        self._settle()
        return dict(self.positions)

    def handed_out(self) -> dict[int, int]:
        """For each partition of which something was handed out the offset of the last such record."""
        begun = self._begun
        return {partition: at - 1 for partition, at in self.position().items() if at > begun[partition]}

    def in_hand(self) -> tuple[int, int] | None:
        """Partition and offset of the record that left last one by one, if one left since :meth:`records`."""
        if self.source is None:
            return None
        part = self.parts[0]
        index = len(part) - length_hint(self._left)
        return (part.partition, part.offsets[index - 1]) if index else None

    def drop(self, partition: int, anew: bool = False) -> int | None:
        """Forgets what was not handed out of a partition; returns the offset of the first record forgotten.

        :param anew: it goes on elsewhere: what was handed out before is forgotten too.
        """
        index = self._settle()
        parts = self.parts.copy()
        if self.source is not None:
            parts[0] = parts[0].slice(index, len(parts[0]))
        dropped = [part for part in parts if part.partition == partition]
        kept = deque([part for part in parts if part.partition != partition])
        count = sum([len(part) for part in kept])
        positions = self.positions.copy()
        begun = self._begun.copy()
        if anew:
            positions.pop(partition, None)
            begun.pop(partition, None)
        self.parts = kept
        self.positions = positions
        self._begun = begun
        self.source = None
        self.count = count
        return dropped[0].offsets[0] if dropped else None
