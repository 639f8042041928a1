"""How records become columns: one joined buffer and arrays of lengths, which the library takes in one call."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, chain
from operator import add
from typing import Any, Final, TypeAlias, cast

from fluvio_cffi._errors import ConfigError, ConfigTypeError, FluvioError
from fluvio_cffi._native.loader import lib
from fluvio_cffi._native.tickets import Ticket
from fluvio_cffi._values import checks as _check
from fluvio_cffi._values.records import ProducerRecord, Record
from fluvio_cffi._values.times import Timestamp, to_milliseconds

OVERHEAD: Final = int(lib.FLV_RECORD_OVERHEAD)
"""Bytes of the producer's buffer that a record costs beside its key and value."""

CHUNK_RECORDS: Final = 500
"""At most this many records are encoded together."""
CHUNK_BYTES: Final = 256 * 1024
"""At most this many bytes of keys and values are encoded together, unless one record alone is larger."""
NO_TIMESTAMP: Final = -(1 << 63)
"""Stands in a column of timestamps for the time of acceptance."""
NO_PARTITION: Final = -1
"""Stands in a column of partitions for the one that the partitioner chooses."""
_NO_KEY: Final = -1


def as_bytes(value: object, what: str) -> bytes:
    """The bytes of a value or a key: text is encoded as UTF-8, and what can change is copied.

    :raises ConfigError: `value` is none of these.
    """
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise _check.not_utf8(what, error) from None
    if isinstance(value, (bytearray, memoryview)):
        return bytes(cast("bytearray | memoryview", value))
    raise ConfigTypeError(
        f"{what} must be bytes, bytearray, memoryview or str, not {_check.kind(value)}{_advice(value)}"
    )


def _advice(value: object) -> str:
    """What the caller can do about a value that no record can have."""
    if isinstance(value, (Mapping, list)):
        return ": encode it first, say with json.dumps()"
    if isinstance(value, (bool, int, float)):
        return ": encode it first, say with str()"
    return ""


def check_partition(partition: int) -> int:
    """A partition's number, checked."""
    return _check.number(partition, "partition", 0, (1 << 31) - 1)


def check_timestamp(timestamp: Timestamp) -> int:
    """A timestamp in milliseconds since the epoch, checked."""
    return to_milliseconds(timestamp, "timestamp")


Column: TypeAlias = "array[int] | memoryview"
"""Numbers, one a record."""


class Block:
    """Records as columns. They leave it in order, in as many pieces as the buffer has room for.

    :ivar count: how many records it was made of.
    :ivar left: what has left, in one value, since an exception may come between two: `start`, `position` and `cost`.
    :ivar isolating: whether the records leave one by one, because the library refuses one of them.
    """

    __slots__ = (
        "count",
        "data",
        "isolating",
        "key_lengths",
        "left",
        "partitions",
        "timestamps",
        "value_lengths",
    )

    def __init__(
        self,
        data: bytes | memoryview,
        value_lengths: Column,
        key_lengths: Column | None = None,
        partitions: Column | None = None,
        timestamps: Column | None = None,
    ) -> None:
        self.count = len(value_lengths)
        self.left = (0, 0, len(data) + OVERHEAD * self.count)
        self.isolating = False
        self.data: bytes | memoryview = data
        self.value_lengths: Column = value_lengths
        self.key_lengths: Column | None = key_lengths
        self.partitions: Column | None = partitions
        self.timestamps: Column | None = timestamps

    @property
    def start(self) -> int:
        """How many records have left."""
        return self.left[0]

    @property
    def position(self) -> int:
        """Where in `data` the record at `start` begins."""
        return self.left[1]

    @property
    def cost(self) -> int:
        """Bytes of the producer's buffer that the remaining records cost."""
        return self.left[2]

    @property
    def remaining(self) -> int:
        """How many records have not left."""
        return self.count - self.left[0]

    def next_cost(self) -> int:
        """Bytes of the producer's buffer that the next record costs."""
        key_length = self.key_lengths[self.start] if self.key_lengths is not None else 0
        return self.value_lengths[self.start] + max(key_length, 0) + OVERHEAD

    def left_after(self, count: int) -> tuple[int, int, int]:
        """What `left` becomes when the next `count` records leave."""
        start, position, cost = self.left
        if start + count == self.count:
            return self.count, len(self.data), 0
        size = self.size(count)
        return start + count, position + size, cost - size - OVERHEAD * count

    def advance(self, count: int) -> None:
        """Notes that the next `count` records have left."""
        self.left = self.left_after(count)

    def size(self, count: int) -> int:
        """Bytes of the keys and values of the next `count` records."""
        start = self.start
        size = sum(self.value_lengths[start : start + count])
        if self.key_lengths is not None:
            size += sum(length for length in self.key_lengths[start : start + count] if length > 0)
        return size


Accept = Callable[[int, Ticket, int, int, int], None]
"""Is told (position, ticket, index, count, timestamp) of each run of records that went into one batch: those from
`position` on in their block are the `count` records `index`.. of the ticket. After an exception that ended a
submission too early it may be told of the same run again."""


def join_records(
    values: list[bytes],
    keys: list[bytes | None] | None,
    partitions: list[int] | None,
    timestamps: list[int] | None,
) -> Block:
    """The block of records that are given as columns; ``None`` in place of a column: no record has one.

    :param partitions: with :data:`NO_PARTITION` where a record has none.
    :param timestamps: with :data:`NO_TIMESTAMP` where a record has none.
    """
    value_lengths = array("I", [*map(len, values)])
    if keys is None:
        data = b"".join(values)
        key_lengths = None
    else:
        data = b"".join(
            chain.from_iterable(
                (value,) if key is None else (key, value) for key, value in zip(keys, values, strict=True)
            )
        )
        key_lengths = array("i", [_NO_KEY if key is None else len(key) for key in keys])
    return Block(
        data,
        value_lengths,
        key_lengths,
        None if partitions is None else array("i", partitions),
        None if timestamps is None else array("q", timestamps),
    )


class Refused:
    """Stands for an element of ``send_all``'s input that a codec did not take."""

    __slots__ = ("error",)

    def __init__(self, error: FluvioError) -> None:
        self.error: FluvioError = error


class BadElement(Exception):
    """An element of ``send_all``'s input cannot be sent; the block holds the elements before it."""

    def __init__(self, block: Block | None, error: FluvioError) -> None:
        super().__init__(str(error))
        self.block = block
        self.error = error


class RecordRefused(Exception):
    """The library does not accept the next record of a block; it has accepted those before it."""

    def __init__(self, error: FluvioError) -> None:
        super().__init__(str(error))
        self.error = error


def at_index(error: FluvioError, index: int) -> FluvioError:
    """The same error; its message names the element `index` of ``send_all``'s input."""
    error.args = (f"record {index}: {error}",)
    return error


def encode(chunk: Sequence[object], first: int) -> Block:
    """The block of the first elements of a chunk of ``send_all``'s input, which is not empty: all of them, or as many
    as fit into :data:`CHUNK_BYTES`.

    :param first: the index of the chunk's first element in the whole input.
    :raises BadElement: an element cannot be sent.
    """
    # `list.count` and `array` of a list are faster than any loop over the elements.
    kinds = [*map(type, chunk)]
    if kinds.count(bytes) == len(kinds):
        values = cast("Sequence[bytes]", chunk)
        lengths = [*map(len, values)]
        if sum(lengths) > CHUNK_BYTES:
            count = _fitting(lengths)
            values, lengths = values[:count], lengths[:count]
        return Block(b"".join(values), array("I", lengths))
    if kinds.count(tuple) == len(kinds):
        block = _encode_pairs(cast("Sequence[tuple[object, ...]]", chunk))
        if block is not None:
            return block
    return _encode_each(chunk, first)


def _fitting(sizes: list[int]) -> int:
    """How many of the records with these sizes fit into one block; at least one."""
    return max(bisect_right([*accumulate(sizes)], CHUNK_BYTES), 1)


def _encode_pairs(chunk: Sequence[tuple[object, ...]]) -> Block | None:
    """The block of elements that are pairs of bytes; ``None``: some are not."""
    if set(map(len, chunk)) != {2} or set(map(type, chain.from_iterable(chunk))) != {bytes}:
        return None
    pairs = cast("Sequence[tuple[bytes, bytes]]", chunk)
    keys = [len(key) for key, _ in pairs]
    values = [len(value) for _, value in pairs]
    if sum(keys) + sum(values) > CHUNK_BYTES:
        count = _fitting([*map(add, keys, values)])
        pairs, keys, values = pairs[:count], keys[:count], values[:count]
    return Block(b"".join(chain.from_iterable(pairs)), array("I", values), array("i", keys))


def _encode_each(chunk: Sequence[object], first: int) -> Block:
    values: list[bytes] = []
    keys: list[bytes | None] = []
    partitions: list[int] = []
    timestamps: list[int] = []
    size = 0

    def block() -> Block | None:
        if not values:
            return None
        return join_records(
            values,
            keys if any(key is not None for key in keys) else None,
            partitions if any(number != NO_PARTITION for number in partitions) else None,
            timestamps if any(time != NO_TIMESTAMP for time in timestamps) else None,
        )

    for index, element in enumerate(chunk, first):
        key: object = None
        partition: int | None = None
        timestamp: Timestamp | None = None
        value = element
        try:
            if isinstance(element, Refused):
                raise element.error
            if isinstance(element, Record):
                record: Record[Any, Any] = element  # pyright: ignore[reportUnknownVariableType]
                value, key = record.value, record.key
            elif isinstance(element, tuple):
                pair = cast("tuple[object, ...]", element)
                if len(pair) != 2:
                    raise ConfigError(f"a tuple of {len(pair)} elements is no record: it must be (key, value)")
                key, value = pair
            elif isinstance(element, ProducerRecord):
                given: ProducerRecord[Any, Any] = element  # pyright: ignore[reportUnknownVariableType]
                value, key, partition, timestamp = given.value, given.key, given.partition, given.timestamp
            value_bytes = as_bytes(value, "the value")
            key_bytes = None if key is None else as_bytes(key, "the key")
            number = NO_PARTITION if partition is None else check_partition(partition)
            time = NO_TIMESTAMP if timestamp is None else check_timestamp(timestamp)
        except FluvioError as error:
            raise BadElement(block(), at_index(error, index)) from None
        size += len(value_bytes) + len(key_bytes or b"")
        if size > CHUNK_BYTES and values:
            break
        values.append(value_bytes)
        keys.append(key_bytes)
        partitions.append(number)
        timestamps.append(time)
    made = block()
    assert made is not None
    return made
