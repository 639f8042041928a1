"""The values that go in and come out: offsets, records. All of them compare, have a ``repr``, and pickle."""

from __future__ import annotations

import datetime as dt
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeAlias, cast

from fluvio_cffi._errors import ConfigError

from .checks import number, shown, wrong_type
from .quantities import parse_duration
from .times import Timestamp, to_datetime, to_milliseconds

Bytes: TypeAlias = bytes | bytearray | memoryview | str
"""What a value or a key may be; a ``str`` is sent as UTF-8."""

Partitioning: TypeAlias = Callable[[bytes | None, bytes, int], int]
"""Chooses the partition of a record: gets key, value and the number of partitions. See :class:`Partitioner`."""

Isolation: TypeAlias = Literal["read_uncommitted", "read_committed"]
ISOLATIONS: Final = ("read_uncommitted", "read_committed")
Delivery: TypeAlias = Literal["at_least_once", "at_most_once"]
ClientState: TypeAlias = Literal["connected", "reconnecting", "closed"]
EventKind: TypeAlias = Literal[
    "connected", "reconnecting", "closed", "leader_changed", "joined", "suspended", "resumed", "lost"
]
Commit: TypeAlias = Literal["manual", "auto"]
OnEvicted: TypeAlias = Literal["raise", "skip"]
RecordFormat: TypeAlias = Literal["records", "arrow"]
RECORD_FORMATS: Final = ("records", "arrow")
Codec: TypeAlias = Literal["none", "gzip", "snappy", "lz4", "zstd"]
Compression: TypeAlias = Literal["any", "none", "gzip", "snappy", "lz4", "zstd"]


_A_TIME: Final = 'an aware datetime, milliseconds since the epoch, or an age such as "10m"'

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    # What a consumer's codecs make of keys and values.
    K = TypeVar("K", default=bytes)
    V = TypeVar("V", default=bytes)
    # What a producer's codecs take.
    KeyIn = TypeVar("KeyIn", default=Bytes)
    ValueIn = TypeVar("ValueIn", default=Bytes)
else:
    from typing import TypeVar

    K, V, KeyIn, ValueIn = map(TypeVar, ("K", "V", "KeyIn", "ValueIn"))


def _cut(data: object) -> str:
    if not isinstance(data, bytes):
        text = repr(data)
        return text if len(text) <= 200 else f"{text[:200]}..."
    return repr(data) if len(data) <= 64 else f"{data[:64]!r}... ({len(data)} bytes)"


@dataclass(frozen=True, slots=True, repr=False)
class Offset:
    """Where reading begins. Made by its class methods."""

    kind: Literal["beginning", "end", "at", "since", "age"]
    value: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("beginning", "end", "at", "since", "age"):
            raise ConfigError(f"kind is {shown(self.kind)}: use Offset.beginning(), .end(), .at(n) and so on")
        number(self.value, "an offset", 0, (1 << 63) - 1)

    @classmethod
    def beginning(cls) -> Offset:
        """The first record that exists."""
        return cls("beginning")

    @classmethod
    def end(cls) -> Offset:
        """After the last record: only what comes from now on."""
        return cls("end")

    @classmethod
    def at(cls, offset: int) -> Offset:
        """Exactly this offset."""
        return cls("at", offset)

    @classmethod
    def from_beginning(cls, count: int) -> Offset:
        """That many records after the first one that exists, in each partition: of three partitions, three times as
        many are passed over."""
        return cls("beginning", count)

    @classmethod
    def from_end(cls, count: int) -> Offset:
        """That many records before the end of each partition: ``Offset.from_end(10)`` of a topic with three partitions
        begins with up to 30 records. Where there are fewer, at the first that exists."""
        return cls("end", count)

    @classmethod
    def since(cls, when: Timestamp | str) -> Offset:
        """The first record that is not older than this; where there is none, the end.

        It is looked for when it is used, by halving the log: about twenty short reads of each partition. Times are
        taken to rise with the offsets; where they do not (producers may give any), it is the first record of such a
        run, and older ones may follow. A record without a time counts as older than all others.

        :param when: an aware ``datetime``, milliseconds since the epoch, or an age such as ``"10m"`` or ``"1d"``, which
            is counted from when it is used.
        :raises ConfigError: a naive ``datetime``, or something else.
        """
        if isinstance(when, str):
            age = math.ceil(parse_duration(when, "when") * 1000)
            return cls("age", number(age, "when, as an age in milliseconds,", 0, (1 << 63) - 1))
        if not isinstance(when, (int, dt.datetime)) or isinstance(when, bool):
            raise wrong_type("when", _A_TIME, when)
        return cls("since", to_milliseconds(when, "when"))

    @property
    def time(self) -> int | None:
        """Of one that :meth:`since` made: the time, in milliseconds since the epoch; an age is counted from now."""
        if self.kind == "age":
            return max(0, time.time_ns() // 1_000_000 - self.value)
        return self.value if self.kind == "since" else None

    def __repr__(self) -> str:
        if self.kind == "at":
            return f"Offset.at({self.value})"
        if self.kind == "since":
            return f"Offset.since({self.value})"
        if self.kind == "age":
            return f"Offset.since('{self.value}ms')"
        return f"Offset.from_{self.kind}({self.value})" if self.value else f"Offset.{self.kind}()"


class Partitioner:
    """Ready-made values of a producer's ``partitioner``.

    A partitioner of one's own is any callable ``(key, value, partitions) -> int``: it gets the key (``bytes`` or
    ``None``), the value (``bytes``) and how many partitions there are, and returns the number of one of them. It is
    called in the caller's thread, when the record is accepted.
    """

    @staticmethod
    def fixed(partition: int) -> Partitioning:
        """All records go to this partition."""
        return partial(_fixed, number(partition, "partition", 0, (1 << 31) - 1))


def _fixed(partition: int, key: bytes | None, value: bytes, partitions: int) -> int:
    return partition


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """Something that happened to a client.

    :ivar kind: ``"connected"``: it sees its cluster, or sees it again; ``"reconnecting"``: the cluster's controller is
        away, producing and consuming go on; ``"leader_changed"``: another SPU leads a partition; ``"closed"``: it was
        closed. Of the members of groups: ``"joined"``; ``"suspended"``: it cannot tell whether it still owns its
        partitions, and its reads wait; ``"resumed"``: it does; ``"lost"``: its partitions are gone.
    :ivar number: rises by 1 with each event, from 1. Where it rises by more, events in between were dropped, because
        they were not read in time.
    :ivar topic: of ``"leader_changed"``, and of what happens to members of groups: the topic.
    :ivar partition: of ``"leader_changed"``: the partition.
    :ivar leader: of ``"leader_changed"``: the id of the SPU that leads it now.
    :ivar reason: of ``"reconnecting"`` and ``"lost"``: why.
    :ivar group: of what happens to members of groups: the group.
    """

    kind: EventKind
    number: int
    topic: str | None = None
    partition: int | None = None
    leader: int | None = None
    reason: str | None = None
    group: str | None = None


class Pending(NamedTuple):
    """What a producer has accepted and the cluster has not settled.

    :ivar records: how many records.
    :ivar bytes: of how many bytes, with what each record costs of the buffer.
    """

    records: int
    bytes: int


if TYPE_CHECKING:

    class _RecordFields(NamedTuple, Generic[K, V]):
        topic: str
        partition: int
        offset: int
        timestamp: int | None
        key: K | None
        value: V

else:
    # Python 3.10 has no generic named tuples.
    class _RecordFields(NamedTuple):
        topic: str
        partition: int
        offset: int
        timestamp: int | None
        key: object
        value: object


class Record(_RecordFields[K, V]):
    """A record that was read: a named tuple, which is what Python makes fastest. ``Record[K, V]`` has a key of type
    ``K`` and a value of type ``V``, made by the consumer's codecs; without these both are ``bytes``.

    :ivar topic: the topic's name.
    :ivar partition: the partition's number.
    :ivar offset: its offset.
    :ivar timestamp: milliseconds since the epoch; ``None`` where the log has none.
    :ivar key: its key; ``None``: it has none (which is not an empty one).
    :ivar value: its value.
    """

    __slots__ = ()

    @property
    def datetime(self) -> dt.datetime | None:
        """The timestamp as an aware ``datetime`` in UTC; ``None`` where the log has none.

        :raises OverflowError: it lies beyond the year 9999.
        """
        return None if self.timestamp is None else to_datetime(self.timestamp)

    @property
    def text(self) -> str:
        """The value, which is ``bytes``, as UTF-8 text.

        :raises UnicodeDecodeError: if it is none.
        """
        return cast("bytes", self.value).decode()

    def json(self) -> object:
        """The value, which is ``bytes``, parsed as JSON. Of values that are read with ``codecs.Json``, types are known.

        :raises ValueError: if it is none.
        """
        parsed: object = json.loads(cast("bytes", self.value))
        return parsed

    def __repr__(self) -> str:
        return (
            f"Record(topic={self.topic!r}, partition={self.partition}, offset={self.offset}, "
            f"timestamp={self.timestamp}, key={_cut(self.key)}, value={_cut(self.value)})"
        )


@dataclass(frozen=True, slots=True, repr=False)
class ProducerRecord(Generic[KeyIn, ValueIn]):
    """A record to send, for ``send_all``; with a producer's codecs, of values and keys that they take.

    :param value: its value.
    :param key: its key; ``None``: none.
    :param partition: its partition; ``None``: the producer's partitioner decides.
    :param timestamp: milliseconds since the epoch, or an aware ``datetime``; ``None``: the time of sending.
    """

    value: ValueIn
    key: KeyIn | None = field(default=None, kw_only=True)
    partition: int | None = field(default=None, kw_only=True)
    timestamp: Timestamp | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        parts = [_shown(self.value)]
        if self.key is not None:
            parts.append(f"key={_shown(self.key)}")
        if self.partition is not None:
            parts.append(f"partition={self.partition}")
        if self.timestamp is not None:
            parts.append(f"timestamp={self.timestamp!r}")
        return f"ProducerRecord({', '.join(parts)})"


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(value) if len(value) <= 64 else f"{value[:64]!r}... ({len(value)} characters)"
    if isinstance(value, (bytearray, memoryview)):
        value = bytes(cast("bytearray | memoryview", value))
    return _cut(value)
