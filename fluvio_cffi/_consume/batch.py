"""Records that were read, kept in columns: what a consumer takes from the library, and what it hands out."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from operator import eq, length_hint
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeAlias, cast, overload

from fluvio_cffi._errors import UsageError
from fluvio_cffi._native.loader import CData, ffi
from fluvio_cffi._values.records import K, Record, V

Source: TypeAlias = Callable[[Iterable[str]], Iterator[Record[Any, Any]]]
"""Gives the next records of a part, as many as there are names of the topic in the list: its *gate*."""

_ABSENT = -1
_NONE: Final[Iterator[bytes]] = iter(())
_NOBODY: Final[frozenset[int]] = frozenset()
# What calling Record does, without the way through Python code; and State.
_new_record: Final = cast("Callable[[type[Record[Any, Any]], Iterable[object]], Record[Any, Any]]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]
_new_state: Final = cast("Callable[[type[State], Iterable[object]], State]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]


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
            stamps = None if stamps == _ABSENT else stamps
        elif _ABSENT in stamps:
            stamps = [None if stamp == _ABSENT else stamp for stamp in stamps]
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


class ReadTogether:
    """What batches have in common, in whatever form their records are."""

    __slots__ = ("_length", "_parts")

    def __init__(self, parts: Sequence[Columns]) -> None:
        self._parts: tuple[Columns, ...] = tuple(parts)
        self._length: int = sum(map(len, self._parts))

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
        """For each partition in the batch the offset of its last record; where SmartModules have made several records
        of one, the last offset of which all were handed out, if there is one. What ``commit`` stores of a batch."""
        return {int(part.partition): part.processed for part in self._parts if part.processed >= 0}

    @property
    def epochs(self) -> dict[int, int]:
        """With a group: for each partition in the batch the epoch under which the consumer owned it. No other owner has
        the same one, and later ones have greater ones, so that a store may refuse what comes with a smaller one than it
        has seen. Otherwise empty."""
        owned = [part.partition for part in self._parts if isinstance(part.partition, OwnedPartition)]
        return {int(partition): partition.epoch for partition in owned}

    def __repr__(self) -> str:
        spans = ", ".join(f"{part.partition}: {part.offsets[0]}..{part.offsets[-1]}" for part in self._parts)
        return f"<{type(self).__name__} of {self._length} from {self.topic!r} ({spans}), {self.nbytes} bytes>"


class RecordBatch(ReadTogether, Sequence[Record[K, V]], Generic[K, V]):
    """Records that were read together, never none. They may be of several partitions; those of one are in order.

    The records are kept in columns, and a :class:`Record` is made when it is asked for: whoever needs the values only
    takes :meth:`value_list`, which is several times faster. ``RecordBatch[K, V]`` has keys of type ``K`` and values of
    type ``V``, made by the consumer's codecs; without these both are ``bytes``.
    """

    __slots__ = ()

    def value_list(self) -> list[V]:
        """The values, one a record."""
        if len(self._parts) == 1:
            return self._parts[0].values.copy()
        return list(itertools.chain.from_iterable(part.values for part in self._parts))

    def key_list(self) -> list[K | None]:
        """The keys, one a record; ``None`` where it has none."""
        return list(itertools.chain.from_iterable(part.key_list() for part in self._parts))

    def offset_list(self) -> list[int]:
        """The offsets, one a record."""
        return list(itertools.chain.from_iterable(part.offsets for part in self._parts))

    def timestamp_list(self) -> list[int | None]:
        """The timestamps, one a record: milliseconds since the epoch; ``None`` where it has none."""
        return list(itertools.chain.from_iterable(part.stamp_list() for part in self._parts))

    def tuples(self) -> list[tuple[int, int, int | None, K | None, V]]:
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

    def __iter__(self) -> Iterator[Record[K, V]]:
        if len(self._parts) == 1:
            return self._parts[0].records(iter(self._parts[0].values))
        return itertools.chain.from_iterable(part.records(iter(part.values)) for part in self._parts)

    @overload
    def __getitem__(self, index: int) -> Record[K, V]: ...

    @overload
    def __getitem__(self, index: slice) -> list[Record[K, V]]: ...

    def __getitem__(self, index: int | slice) -> Record[K, V] | list[Record[K, V]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._length))]
        position = index + self._length if index < 0 else index
        if position >= 0:
            for part in self._parts:
                if position < len(part):
                    return part.record(position)
                position -= len(part)
        raise IndexError(f"record index {index} is out of range: there are {self._length} records")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecordBatch):
            return NotImplemented
        records: RecordBatch[Any, Any] = other  # pyright: ignore[reportUnknownVariableType]
        return self._length == records._length and all(map(eq, self, records))

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __reduce__(self) -> tuple[object, ...]:
        return RecordBatch, (self._parts,)

    # -- as Arrow data

    def __arrow_c_schema__(self) -> object:
        return arrow_data().schema_capsule(self.topic)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The records as an Arrow stream, for packages that read such: with the columns of :class:`ArrowBatch`. They
        are copied; a consumer that was opened with ``format="arrow"`` has them in this form from the beginning.

        :raises UsageError: codecs have decoded them; or this is no CPython.
        """
        arrow = arrow_data()
        return arrow.stream_capsule(self.topic, [(_arrow_of(arrow, part), 0, len(part)) for part in self._parts])

    def _spans(self) -> dict[int, tuple[int, int]]:
        spans: dict[int, tuple[int, int]] = {}
        for part in self._parts:
            first, last = min(part.offsets), max(part.offsets)
            before = spans.get(part.partition, (first, last))
            spans[int(part.partition)] = min(before[0], first), max(before[1], last)
        return spans


# For who watches, and not for the users who see the class: of each partition, the first and the last offset.
batch_spans: Final[Callable[[RecordBatch[Any, Any]], dict[int, tuple[int, int]]]] = RecordBatch._spans  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType, reportUnknownVariableType]


def arrow_data() -> Any:
    """The module for Arrow data, which is loaded when it is first used: few programs do."""
    from fluvio_cffi._native import arrow

    return arrow


def _arrow_of(arrow: Any, part: Columns) -> object:
    """The records of a part in the Arrow format."""
    stamps = [_ABSENT if stamp is None else stamp for stamp in part.stamp_list()]
    if not all(type(value) is bytes for value in part.values):
        raise UsageError("codecs have decoded these records: only bytes can be Arrow data")
    return arrow.from_columns(part.partition, part.offsets, stamps, part.keys, part.values)


class State(NamedTuple):
    """What a buffer holds. It is never changed: another one takes its place.

    :ivar parts: chunks, in order within each partition.
    :ivar size: how many records are in those that are not held back.
    :ivar positions: by partition, the offset that is handed out next; of the first part when it was begun.
    :ivar begun: where each partition began, or was sought to: nothing before was handed out since.
    :ivar seeks: how many seeks of each partition are carried out here.
    :ivar paused: the partitions that are held back.
    :ivar source: the records of the first part, once they leave it one by one.
    :ivar left: the values that `source` has not given. How far that went needs not be counted record by record.
    :ivar hand: partition and offset of the record that left last, if it left one by one and nothing was begun since.
    """

    parts: tuple[Columns, ...]
    size: int
    positions: dict[int, int]
    begun: dict[int, int]
    seeks: dict[int, int]
    paused: frozenset[int]
    source: Source | None
    left: Iterator[bytes]
    hand: tuple[int, int] | None


class Cut(NamedTuple):
    """A batch that can leave a buffer: it does in the step that puts `after` in the place of `before`. `parts` are what
    it is made of.

    :ivar batch: of the class that the buffer makes.
    """

    batch: Any
    before: State
    after: State
    parts: Sequence[Columns]


class Buffer:
    """Chunks that were taken from the library and are not all handed out.

    Records leave it one by one (:meth:`read`) or as a batch (:meth:`cut`), in any mixture.

    Any call may come in the middle of any other one, also of another thread: `_native.queue` says what "one step"
    means. So :attr:`state` is looked at once, what follows is made of that, and takes its place in one step, if it is
    still the same; else all is done again. Records that leave one by one change no state. Whoever reckons with how many
    have left must see to it first that nobody takes any more of them without putting another state in its place: that
    is what :meth:`close_gate` is for, and :attr:`Subscription.records` emptied.
    """

    __slots__ = ("_batch", "_gate", "_source", "given", "state")

    def __init__(
        self,
        source: Callable[[Columns, Iterator[bytes]], Source] = Columns.source,
        batch: Callable[[Sequence[Columns]], ReadTogether] = RecordBatch,
    ) -> None:
        # What makes a source of columns, and an iterator over their values.
        self._source = source
        self._batch = batch
        # Of the records that may leave one by one.
        self._gate: list[str] = []
        self.state: State = State((), 0, {}, {}, {}, frozenset(), None, _NONE, None)
        # How many records the last iterator was given.
        self.given: int = 0

    @property
    def count(self) -> int:
        """How many records can be handed out."""
        state = self.state
        if state.source is None:
            return state.size
        return state.size - len(state.parts[0]) + length_hint(state.left)

    @property
    def following(self) -> Record[Any, Any] | None:
        """The record that leaves next one by one, as it is in the log; ``None``: none is about to."""
        state = self.state
        left = 0 if state.source is None else length_hint(state.left)
        return state.parts[0].record(len(state.parts[0]) - left) if left else None

    def push(self, columns: Columns, chunk: CData, first: bool = False) -> None:
        """A chunk came in; never an empty one. It is struck out of the library's `chunk`.

        :param first: it is to be handed out before what is there of other partitions.
        """
        while chunk.count:
            state = self.state
            after = _with(state, columns, chunk.seeks, first)
            # One step.
            if self.state is state and chunk.count:
                chunk.count = 0
                self.state = after

    def read(
        self,
        state: State,
        stride: int,
        barred: frozenset[int] = _NOBODY,
        leave: Callable[[Iterable[str]], Iterator[str]] | None = None,
    ) -> tuple[State, Iterator[Record[Any, Any]]] | None:
        """The state from which records leave one by one, and an iterator over the next ones, at most `stride`, at least
        one; ``None`` if there is none.

        :param barred: partitions of which nothing may be handed out, beside those that are held back.
        :param leave: what is to pass the gate passes this as well; none leaves any more where it ends.
        """
        parts, size, at, begun, seeks, paused, source, left, _ = state
        remain = 0 if source is None or parts[0].partition in barred else length_hint(left)
        if source is None or not remain:
            parts, size, at, _ = _settled(state)
            first = 0
            while first < len(parts) and (parts[first].partition in paused or parts[first].partition in barred):
                first += 1
            if first == len(parts):
                return None
            if first:
                parts = (parts[first], *parts[:first], *parts[first + 1 :])
            left = iter(parts[0].values)
            source = self._source(parts[0], left)
            remain = len(parts[0].values)
        self.given = remain if remain < stride else stride
        after = _new_state(State, (parts, size, at, begun, seeks, paused, source, left, None))
        gate = [parts[0].topic] * stride
        self._gate = gate
        return after, source(gate if leave is None else leave(gate))

    def close_gate(self) -> None:
        """No more records leave one by one, whoever has the iterator, until :meth:`read` has given another one."""
        self._gate.clear()

    def cut(self, limit: int, full: bool = False, barred: frozenset[int] = _NOBODY) -> Cut | None:
        """The next records, at most `limit`, as a batch; ``None`` if there is none.

        :param full: as many as there are. Else a batch of more than a quarter of them ends where a chunk does, so that
            fewer chunks are cut in two.
        :param barred: partitions of which nothing may be handed out, beside those that are held back.
        """
        before = self.state
        paused = before.paused
        parts, size, at, _ = _settled(before)
        at = at.copy()
        taken: list[Columns] = []
        rest: list[Columns] = []
        left = limit
        ended = False
        for part in parts:
            if ended or not left or part.partition in paused or part.partition in barred:
                rest.append(part)
                continue
            if len(part) > left:
                if left * 4 <= limit * 3 and not full:
                    ended = True
                    rest.append(part)
                    continue
                rest.append(part.slice(left, len(part)))
                part = part.slice(0, left)
            taken.append(part)
            left -= len(part)
            at[part.partition] = part.next_offset
        if not taken:
            return None
        size -= limit - left
        after = _new_state(State, (tuple(rest), size, at, before.begun, before.seeks, paused, None, _NONE, None))
        return Cut(self._batch(taken), before, after, taken)

    def handed_out(self) -> dict[int, int]:
        """For each partition of which something was handed out the offset of the last such record."""
        state = self.state
        return {partition: at - 1 for partition, at in positions(state).items() if at > state.begun[partition]}

    def in_hand(self) -> tuple[int, int] | None:
        """Partition and place of the record that left last, if it left one by one and nothing was begun since."""
        return _settled(self.state)[3]


def positions(state: State) -> dict[int, int]:
    """For each partition that a chunk came from the offset that is handed out next."""
    if state.source is None:
        return state.positions.copy()
    part = state.parts[0]
    left = length_hint(state.left)
    return {**state.positions, part.partition: part.place(len(part) - left) if left else part.next_offset}


def waiting(state: State) -> set[int]:
    """The partitions of which there are records that are not handed out."""
    parts = state.parts
    if state.source is not None and not length_hint(state.left):
        parts = parts[1:]
    return {part.partition for part in parts}


def _settled(state: State) -> tuple[tuple[Columns, ...], int, dict[int, int], tuple[int, int] | None]:
    """The parts, size, positions and hand after the records have left that left one by one; those behind them are not
    begun."""
    parts, size, at, _, _, _, source, left, hand = state
    if source is None:
        return parts, size, at, hand
    part = parts[0]
    remain = length_hint(left)
    index = len(part.values) - remain
    if not index:
        return parts, size, at, None
    if remain:
        parts = (part.slice(index, index + remain), *parts[1:])
        position = part.place(index)
    else:
        parts = parts[1:]
        position = part.next_offset
    partition = part.partition
    return parts, size - index, {**at, partition: position}, (partition, part.place(index - 1))


def _with(state: State, columns: Columns, seeks: int, first: bool) -> State:
    """The state when a chunk has come in that was read after that many seeks."""
    partition = columns.partition
    if seeks < state.seeks.get(partition, 0):
        return state
    if seeks > state.seeks.get(partition, 0):
        # Whoever sought has not said so here yet.
        state = without(state, partition, seeks)
    parts, size, at, begun, known, paused, source, left, hand = state
    first = first and all(part.partition != partition for part in parts)
    if first:
        parts, size, at, hand = _settled(state)
        source, left = None, _NONE
    if partition not in paused:
        size += len(columns)
    if partition not in at:
        at = {**at, partition: columns.place(0)}
        begun = {**begun, partition: columns.place(0)}
    parts = (columns, *parts) if first else (*parts, columns)
    return _new_state(State, (parts, size, at, begun, known, paused, source, left, hand))


def without(state: State, partition: int, seeks: int) -> State:
    """The state when a partition was sought for the `seeks`-th time: what was read ahead of it is dropped."""
    if seeks <= state.seeks.get(partition, 0):
        return state
    parts, _, at, hand = _settled(state)
    parts = tuple([part for part in parts if part.partition != partition])
    return State(
        parts,
        _size(parts, state.paused),
        {key: value for key, value in at.items() if key != partition},
        {key: value for key, value in state.begun.items() if key != partition},
        {**state.seeks, partition: seeks},
        state.paused,
        None,
        _NONE,
        None if hand is None or hand[0] == partition else hand,
    )


def gone(state: State, partitions: Container[int]) -> State:
    """The state when partitions belong to somebody else: all that was read ahead and known of them is dropped."""
    parts, _, at, hand = _settled(state)
    parts = tuple([part for part in parts if part.partition not in partitions])
    paused = frozenset([partition for partition in state.paused if partition not in partitions])
    return State(
        parts,
        _size(parts, paused),
        {key: value for key, value in at.items() if key not in partitions},
        {key: value for key, value in state.begun.items() if key not in partitions},
        {key: value for key, value in state.seeks.items() if key not in partitions},
        paused,
        None,
        _NONE,
        None if hand is None or hand[0] in partitions else hand,
    )


def waiting_but(state: State, partitions: frozenset[int]) -> int:
    """How many records can be handed out that are not of these partitions."""
    return _size(_settled(state)[0], state.paused | partitions)


def holding_back(state: State, paused: frozenset[int]) -> State:
    """The state when these partitions are held back, and no others."""
    parts, _, at, hand = _settled(state)
    return State(parts, _size(parts, paused), at, state.begun, state.seeks, paused, None, _NONE, hand)


def _size(parts: tuple[Columns, ...], paused: frozenset[int]) -> int:
    return sum([len(part) for part in parts if part.partition not in paused])
