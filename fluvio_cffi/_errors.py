"""What the library raises.

::

    FluvioError                       .retriable .code .topic .partition .offset .outcome
    ├── ConfigError                   (also ValueError) a bad argument or profile
    │   ├── ConfigTypeError           (also TypeError) an argument of a type that is not taken
    │   └── EncodeError               a codec does not take a value
    ├── UsageError                    a wrong event loop, a second reader
    │   ├── ClosedError               the object was closed
    │   └── ForkedError               the client was inherited through a fork
    ├── ResourceError                 no descriptor, memory, port or room is left here
    ├── FluvioTimeoutError            (also TimeoutError) .phase .receipt
    ├── FluvioConnectionError         (also ConnectionError) unreachable, or the connection was lost
    │   ├── TLSError
    │   ├── AuthError
    │   └── VersionError
    ├── ServerError                   the server's own error, .code
    │   ├── NotFoundError
    │   │   ├── TopicNotFoundError
    │   │   ├── PartitionNotFoundError
    │   │   ├── SpuNotFoundError
    │   │   ├── SmartModuleNotFoundError
    │   │   ├── TableFormatNotFoundError
    │   │   ├── MirrorNotFoundError
    │   │   ├── SpuGroupNotFoundError
    │   │   ├── ConsumerOffsetNotFoundError
    │   │   └── GroupNotFoundError
    │   ├── AlreadyExistsError
    │   ├── PermissionDeniedError
    │   ├── InvalidTopicError
    │   ├── NotLeaderError
    │   ├── StorageError
    │   ├── OffsetOutOfRangeError
    │   └── OffsetEvictedError        .next_available
    ├── ProducerError
    │   ├── RecordTooLargeError
    │   ├── DeliveryUnknownError      bytes may have reached the log
    │   ├── CompressionError
    │   └── DeliveryError             .count .errors .result
    ├── ConsumerError
    │   ├── CorruptRecordError
    │   ├── MemberFencedError         a consumer of the same `instance` has taken over
    │   ├── CommitFencedError         .fenced: the group has given these partitions to others
    │   ├── GroupNotEmptyError        the group has members that live
    │   ├── RecordFailedError
    │   └── DecodeError               .record
    ├── SmartModuleError              .module .kind .offset .key .value .hint .record_index
    └── InternalError                 a panic was caught at the boundary

All of them compare by class, message and attributes, and can be pickled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import ClassVar, Literal, Protocol, TypeAlias, cast, overload

from ._metadata import RecordMetadata

Outcome: TypeAlias = Literal["not_written", "unknown", "pending"]
Phase: TypeAlias = Literal["connect", "enqueue", "wait", "delivery", "flush", "read", "commit", "admin", "close"]


class ReceiptLike(Protocol):
    """A receipt, as an error has it: an :class:`AsyncReceipt`, or of synchronous calls a :class:`Receipt`."""

    def wait(self, timeout: float | None = None) -> Awaitable[RecordMetadata] | RecordMetadata:
        """Wait until the record is settled: a :class:`RecordMetadata`, of an :class:`AsyncReceipt` to be awaited."""
        ...

    def done(self) -> bool:
        """Whether the record is settled."""
        ...

    def result(self) -> RecordMetadata:
        """Where the record is."""
        ...

    def exception(self) -> FluvioError | None:
        """Why the record failed."""
        ...


class ResultLike(Protocol):
    """A :class:`SendResult`, as an error has it."""

    @property
    def count(self) -> int:
        """How many of the records were acknowledged."""
        ...

    @property
    def errors(self) -> dict[int, FluvioError]:
        """The errors of the records that failed, by their index."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[RecordMetadata]: ...

    @overload
    def __getitem__(self, index: int) -> RecordMetadata: ...

    @overload
    def __getitem__(self, index: slice) -> list[RecordMetadata]: ...


class RecordLike(Protocol):
    """A :class:`Record` as it is in the log, as an error has it."""

    @property
    def topic(self) -> str:
        """The topic's name."""
        ...

    @property
    def partition(self) -> int:
        """The partition's number."""
        ...

    @property
    def offset(self) -> int:
        """Its offset."""
        ...

    @property
    def timestamp(self) -> int | None:
        """Milliseconds since the epoch."""
        ...

    @property
    def key(self) -> bytes | None:
        """Its key."""
        ...

    @property
    def value(self) -> bytes:
        """Its value."""
        ...


class FluvioError(Exception):
    """The base of all errors of this library.

    :ivar retriable: true only where trying again cannot do anything twice, and can succeed.
    :ivar code: the server's own error code, where a server answered one.
    :ivar topic: the topic concerned, where known.
    :ivar partition: the partition concerned, where known.
    :ivar offset: the offset concerned, where known.
    :ivar outcome: for errors about records: ``"not_written"``, ``"unknown"`` (bytes may be in the log) or ``"pending"``
        (only the wait ended; the record goes on until its delivery time-out). For changes by administration, where no
        server's answer says it: ``"not_written"`` (not sent), ``"unknown"`` (sent, and nobody knows) or ``"pending"``
        (done, and what follows from it was not seen).
    """

    _retriable: ClassVar[bool] = False
    _unpickled: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        message: str = "",
        *,
        retriable: bool | None = None,
        code: int | None = None,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(message)
        self.retriable: bool = self._retriable if retriable is None else retriable
        self.code: int | None = code
        self.topic: str | None = topic
        self.partition: int | None = partition
        self.offset: int | None = offset
        self.outcome: Outcome | None = outcome

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def _state(self) -> dict[str, object]:
        return {
            name: value for name, value in vars(self).items() if name not in self._unpickled and name != "__notes__"
        }

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.args == other.args and self._state() == other._state()

    def __hash__(self) -> int:
        return hash((type(self), self.args))

    def __reduce__(self) -> tuple[Callable[..., FluvioError], tuple[type[FluvioError], str, dict[str, object]]]:
        return _restore, (type(self), str(self), self._state())


def fresh(error: FluvioError) -> FluvioError:
    """A copy to raise: an error that several callers receive must not collect their tracebacks."""
    copy = _restore(type(error), str(error), dict(vars(error)))
    copy.__cause__ = error.__cause__
    return copy


def _restore(cls: type[FluvioError], message: str, state: dict[str, object]) -> FluvioError:
    error = cls(message)
    vars(error).update(state)
    return error


class ConfigError(FluvioError, ValueError):
    """An argument, a profile or a file is not usable."""


class ConfigTypeError(ConfigError, TypeError):
    """An argument is of a type that is not taken."""


class UsageError(FluvioError):
    """A call that the state of the object, or the place it is made from, forbids."""


class ClosedError(UsageError):
    """The client, producer or consumer was closed."""


class ForkedError(UsageError):
    """The client was inherited through a fork. Connect in the child (or use the spawn start method)."""


class ResourceError(FluvioError):
    """The machine, or what this process may have of it, has no more: file descriptors, threads, memory, ports or room
    on a disk. ``__cause__`` is the ``OSError``. Nothing is lost, and the same call works once there is more."""

    _retriable = True


class FluvioTimeoutError(FluvioError, TimeoutError):
    """A deadline passed.

    :ivar phase: what was being waited for: ``"connect"``, ``"enqueue"``, ``"wait"``, ``"delivery"``, ``"flush"``,
        ``"read"``, ``"commit"``, ``"admin"`` or ``"close"``.
    :ivar receipt: where ``outcome`` is ``"pending"``: the record's receipt.
    """

    _unpickled = ("receipt",)

    def __init__(
        self,
        message: str = "",
        *,
        phase: Phase | None = None,
        receipt: ReceiptLike | None = None,
        retriable: bool | None = None,
        code: int | None = None,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(
            message,
            retriable=outcome in (None, "not_written") if retriable is None else retriable,
            code=code,
            topic=topic,
            partition=partition,
            offset=offset,
            outcome=outcome,
        )
        self.phase: Phase | None = phase
        self.receipt: ReceiptLike | None = receipt


class FluvioConnectionError(FluvioError, ConnectionError):
    """The peer cannot be reached, or the connection was lost."""

    _retriable = True


class TLSError(FluvioConnectionError):
    """Client and server do not accept each other, or one of them does not speak TLS; the message says why."""

    _retriable = False


class AuthError(FluvioConnectionError):
    """The server refused the client's identity."""

    _retriable = False


class VersionError(FluvioConnectionError):
    """Client and server do not understand each other's protocol version."""

    _retriable = False


class ServerError(FluvioError):
    """The server answered an error; ``code`` is its own number."""


class NotFoundError(ServerError):
    """The object does not exist."""


class TopicNotFoundError(NotFoundError):
    """The topic does not exist, or no longer."""


class PartitionNotFoundError(NotFoundError):
    """The topic has no such partition."""


class SpuNotFoundError(NotFoundError):
    """There is no such SPU."""


class SmartModuleNotFoundError(NotFoundError):
    """There is no such SmartModule."""


class TableFormatNotFoundError(NotFoundError):
    """There is no such table format."""


class MirrorNotFoundError(NotFoundError):
    """There is no such mirror."""


class SpuGroupNotFoundError(NotFoundError):
    """There is no such SPU group."""


class ConsumerOffsetNotFoundError(NotFoundError):
    """No offset is stored under that consumer id for that partition."""


class GroupNotFoundError(NotFoundError):
    """There is no such consumer group."""


class AlreadyExistsError(ServerError):
    """An object of that name exists."""


class PermissionDeniedError(ServerError):
    """The server's policy forbids it."""


class InvalidTopicError(ServerError):
    """The topic's name or configuration is not allowed."""


class NotLeaderError(ServerError):
    """The SPU does not lead the partition."""

    _retriable = True


class StorageError(ServerError):
    """The server could not store to or read from its log."""


class OffsetOutOfRangeError(ServerError):
    """The offset lies beyond the end of the log."""


class OffsetEvictedError(ServerError):
    """The offset was removed by the topic's retention.

    :ivar next_available: the first offset that still exists.
    """

    def __init__(
        self,
        message: str = "",
        *,
        next_available: int | None = None,
        retriable: bool | None = None,
        code: int | None = None,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(
            message,
            retriable=retriable,
            code=code,
            topic=topic,
            partition=partition,
            offset=offset,
            outcome=outcome,
        )
        self.next_available: int | None = next_available


class ProducerError(FluvioError):
    """Producing failed."""


class RecordTooLargeError(ProducerError):
    """The record does not fit into one request (``max_request_size``)."""


class DeliveryUnknownError(ProducerError):
    """Bytes may have reached the log, and nobody can tell."""


class CompressionError(ProducerError):
    """Compressing failed, or the topic forbids the codec."""


class DeliveryError(ProducerError):
    """Records were not delivered.

    :ivar count: how many.
    :ivar errors: why; at most 16 examples.
    :ivar result: of ``send_all``: what became of each record.
    """

    def __init__(
        self,
        message: str = "",
        *,
        count: int = 0,
        errors: tuple[FluvioError, ...] = (),
        result: ResultLike | None = None,
        retriable: bool | None = None,
        topic: str | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(message, retriable=retriable, topic=topic, outcome=outcome)
        self.count: int = count
        self.errors: tuple[FluvioError, ...] = errors
        self.result: ResultLike | None = result


class ConsumerError(FluvioError):
    """Consuming failed."""


class CorruptRecordError(ConsumerError):
    """The log holds bytes that are no valid record batch."""


class MemberFencedError(ConsumerError):
    """Another consumer of the group was opened with the same ``instance``, and has the partitions. Nothing more can be
    read or committed with this one: close it."""


class CommitFencedError(ConsumerError):
    """Of some partitions nothing was committed: the group has given them to other members since the records were handed
    out. What the call committed of other partitions is stored, and the consumer goes on with what it has.

    :ivar fenced: those partitions, with the offsets that were not stored.
    """

    def __init__(
        self,
        message: str = "",
        *,
        fenced: Mapping[int, int] | None = None,
        retriable: bool | None = None,
        code: int | None = None,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(
            message,
            retriable=retriable,
            code=code,
            topic=topic,
            partition=partition,
            offset=offset,
            outcome=outcome,
        )
        self.fenced: dict[int, int] = dict(fenced or {})


class GroupNotEmptyError(ConsumerError):
    """The group has members that give signs of life: its offsets are theirs. Close them first."""


class RecordFailedError(ConsumerError):
    """A worker of a tracker has said that a record failed; what it raised is the cause."""


class DecodeError(ConsumerError):
    """A codec of a consumer cannot read a record. The cause is what it raised. Reading can go on: with the next record.

    :ivar record: the record as it is in the log.
    """

    def __init__(
        self,
        message: str = "",
        *,
        record: RecordLike | None = None,
        retriable: bool | None = None,
        code: int | None = None,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(
            message,
            retriable=retriable,
            code=code,
            topic=topic,
            partition=partition,
            offset=offset,
            outcome=outcome,
        )
        # Each that the library raises has one: only its copy lacks it, until the attributes are there.
        self.record: RecordLike = cast("RecordLike", record)


class EncodeError(ConfigError):
    """A codec of a producer does not take a value, or a key. Nothing was sent. The cause is what it raised."""


class SmartModuleError(FluvioError):
    """A SmartModule failed.

    :ivar module: its name, where known.
    :ivar kind: what it is: ``"filter"``, ``"map"``, ``"array_map"``, ``"filter_map"``, ``"aggregate"``, where known.
    :ivar key: the key of the record it failed on, where known.
    :ivar value: the value of that record, where known.
    :ivar hint: what the module said.
    :ivar record_index: of what was sent: which record of a ``send_all`` it failed on; 0: the one that the receipt
        stands for.
    """

    def __init__(
        self,
        message: str = "",
        *,
        module: str | None = None,
        kind: str | None = None,
        key: bytes | None = None,
        value: bytes | None = None,
        hint: str | None = None,
        record_index: int | None = None,
        retriable: bool | None = None,
        code: int | None = None,
        topic: str | None = None,
        partition: int | None = None,
        offset: int | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(
            message,
            retriable=retriable,
            code=code,
            topic=topic,
            partition=partition,
            offset=offset,
            outcome=outcome,
        )
        self.module: str | None = module
        self.kind: str | None = kind
        self.key: bytes | None = key
        self.value: bytes | None = value
        self.hint: str | None = hint
        self.record_index: int | None = record_index


class InternalError(FluvioError):
    """A bug of this library: a panic was caught at the boundary. The object it happened in is no longer usable."""
