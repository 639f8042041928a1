"""Records of one partition in columns, as they are taken from the library."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias, cast

from fluvio_cffi._native.loader import CData, ffi
from fluvio_cffi._values.records import Record

Source: TypeAlias = Callable[[Iterable[str]], Iterator[Record[Any, Any]]]
"""Gives the next records of a part, as many as there are names of the topic in the list: its *gate*."""

ABSENT: Final = -1
"""In place of a timestamp: there is none."""
# What calling Record does, without the way through Python code.
_new_record: Final = cast("Callable[[type[Record[Any, Any]], Iterable[object]], Record[Any, Any]]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]


class Columns:
    """Records of one partition, in order, as they are in the log, or decoded. `keys` is ``None`` where none has one;
    `stamps` is one number where all are equal. `places` is ``None`` where offsets rise; else it has for each record the
    smallest offset from there on."""

    __slots__ = ("_nbytes", "keys", "next_offset", "offsets", "partition", "places", "stamps", "topic", "values")

    def __init__(
        self,
        topic: str,
        partition: int,
        offsets: Sequence[int],
        stamps: int | list[int | None] | None,
        keys: list[Any] | None,
        values: list[Any],
        next_offset: int,
        nbytes: int | None,
        places: list[int] | None = None,
    ) -> None:
        self.topic: str = topic
        self.partition: int = partition
        self.offsets: Sequence[int] = offsets
        self.stamps: int | list[int | None] | None = stamps
        self.keys: list[Any] | None = keys
        self.values: list[Any] = values
        self.next_offset: int = next_offset
        self.places: list[int] | None = places
        self._nbytes: int | None = nbytes

    @classmethod
    def decode(cls, consumer: CData, topic: str, chunk: CData) -> Columns:
        """The records of a chunk of the library's `consumer` (``FLV_FORMAT_PICKLE``), copied out of it."""
        offsets, stamps, keys, values = pickle.loads(ffi.buffer(chunk.data, chunk.len))
        if isinstance(offsets, int):
            offsets = range(offsets, offsets + len(values))
        if isinstance(stamps, int):
            stamps = None if stamps == ABSENT else stamps
        elif ABSENT in stamps:
            stamps = [None if stamp == ABSENT else stamp for stamp in stamps]
        places = None
        if chunk.shares_offsets:
            places = places_of_chunk(chunk, offsets)
            offsets = [*map(SharedOffset, offsets, [*places[1:], chunk.next_offset])]
        partition = partition_of_chunk(chunk)
        return cls(topic, partition, offsets, stamps, keys, values, chunk.next_offset, chunk.bytes, places)

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
            self.next_offset if stop == len(self.values) else self.place(stop),
            None,
            None if self.places is None else self.places[start:stop],
        )

    def place(self, index: int) -> int:
        """The offset from which on to read that and all later records."""
        return self.offsets[index] if self.places is None else self.places[index]

    @property
    def processed(self) -> int:
        """The offset to store when all of them are processed."""
        return self.offsets[-1] if self.places is None else self.next_offset - 1

    @property
    def span(self) -> tuple[int, int]:
        """The smallest and the largest offset."""
        offsets = self.offsets
        return (offsets[0], offsets[-1]) if self.places is None else (min(offsets), max(offsets))

    @property
    def nbytes(self) -> int:
        """Bytes of all keys and values; counted when it is first asked for, unless the library has said so."""
        if self._nbytes is None:
            keys: list[bytes | None] = self.keys or []
            self._nbytes = sum(map(len, self.values)) + sum(map(len, filter(None, keys)))
        return self._nbytes

    def stamp_list(self) -> list[int | None]:
        """The timestamps, one a record."""
        return self.stamps if isinstance(self.stamps, list) else [self.stamps] * len(self.values)

    def key_list(self) -> list[Any]:
        """The keys, one a record."""
        return [None] * len(self.values) if self.keys is None else self.keys

    def record(self, index: int) -> Record[Any, Any]:
        """One record."""
        return Record(
            self.topic,
            self.partition,
            self.offsets[index],
            self.stamps[index] if isinstance(self.stamps, list) else self.stamps,
            None if self.keys is None else self.keys[index],
            self.values[index],
        )

    def records(self, values: Iterator[object]) -> Iterator[Record[Any, Any]]:
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

    def source(self, values: Iterator[bytes]) -> Source:
        """The records, a few at a time; `values` is an iterator over their values. None leaves any more once the gate
        that was given is emptied."""
        columns = (
            itertools.repeat(self.partition),
            iter(self.offsets),
            iter(self.stamps) if isinstance(self.stamps, list) else itertools.repeat(self.stamps),
            itertools.repeat(None) if self.keys is None else iter(self.keys),
            values,
        )

        def next_ones(gate: Iterable[str]) -> Iterator[Record[Any, Any]]:
            # The gate stands first: when it ends, nothing is taken from the others.
            return map(_new_record, itertools.repeat(Record), zip(gate, *columns, strict=False))

        return next_ones


def places_of_chunk(chunk: CData, offsets: Sequence[int]) -> list[int]:
    """For each record of a chunk in which offsets do not rise the smallest offset from there on."""
    # What is made of a batch in whose midst reading began has the offset of the whole batch.
    begins = map(max, reversed(offsets), itertools.repeat(chunk.first_offset))
    return [*itertools.accumulate(begins, min, initial=chunk.next_offset)][:0:-1]


def partition_of_chunk(chunk: CData) -> int:
    """The partition of a chunk, with the epoch under which the member of a group owned it."""
    return chunk.partition if chunk.epoch < 0 else OwnedPartition(chunk.partition, chunk.epoch)


_COLUMNS = ("topic", "partition", "offsets", "stamps", "keys", "values", "next_offset", "nbytes", "places")


class SharedOffset(int):
    """The offset of a record that shares it with others, or is followed by a smaller one.

    :ivar processed: the offset to store when the record is processed, and not all that follow are.
    """

    processed: int

    def __new__(cls, offset: int, next_place: int) -> SharedOffset:
        self = super().__new__(cls, offset)
        self.processed = next_place - 1
        return self

    def __reduce__(self) -> tuple[type[SharedOffset], tuple[int, int]]:
        return SharedOffset, (int(self), self.processed + 1)


class OwnedPartition(int):
    """The partition of records that were handed out to the member of a group.

    :ivar epoch: under which it owned the partition then.
    """

    epoch: int

    def __new__(cls, partition: int, epoch: int) -> OwnedPartition:
        self = super().__new__(cls, partition)
        self.epoch = epoch
        return self

    def __reduce__(self) -> tuple[type[OwnedPartition], tuple[int, int]]:
        return OwnedPartition, (int(self), self.epoch)
