"""Records that were read, kept in columns: what a consumer has taken from the library, and what it hands out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from operator import eq, length_hint
from typing import Any, ClassVar, Final, Generic, NamedTuple, cast, overload

from fluvio_cffi._consume.columns import ABSENT, Columns, OwnedPartition, Source
from fluvio_cffi._errors import UsageError
from fluvio_cffi._native.loader import CData
from fluvio_cffi._values.records import K, Record, V

_NONE: Final[Iterator[bytes]] = iter(())
_NOBODY: Final[frozenset[int]] = frozenset()
# What calling State does, without the way through Python code.
_new_state: Final = cast("Callable[[type[State], Iterable[object]], State]", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]


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

    def __len__(self) -> int:
        return self._length

    def _spans(self) -> dict[int, tuple[int, int]]:
        spans: dict[int, tuple[int, int]] = {}
        for part in self._parts:
            first, last = part.span
            before = spans.get(part.partition, (first, last))
            spans[int(part.partition)] = min(before[0], first), max(before[1], last)
        return spans

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


# For who watches, and not for the users who see the class: of each partition, the first and the last offset.
batch_spans: Final[Callable[[ReadTogether], dict[int, tuple[int, int]]]] = ReadTogether._spans  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


def arrow_data() -> Any:
    """The module for Arrow data, which is loaded when it is first used: few programs do."""
    from fluvio_cffi._native import arrow

    return arrow


def _arrow_of(arrow: Any, part: Columns) -> object:
    """The records of a part in the Arrow format."""
    stamps = [ABSENT if stamp is None else stamp for stamp in part.stamp_list()]
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
