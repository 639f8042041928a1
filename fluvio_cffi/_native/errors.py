"""The exceptions for the statuses and error objects of the library."""

from __future__ import annotations

import os
from collections.abc import Callable

from fluvio_cffi._errors import (
    AlreadyExistsError,
    AuthError,
    ClosedError,
    CommitFencedError,
    CompressionError,
    ConfigError,
    ConsumerError,
    ConsumerOffsetNotFoundError,
    CorruptRecordError,
    DeliveryUnknownError,
    FluvioConnectionError,
    FluvioError,
    FluvioTimeoutError,
    ForkedError,
    GroupNotEmptyError,
    GroupNotFoundError,
    InternalError,
    InvalidTopicError,
    MemberFencedError,
    MirrorNotFoundError,
    NotFoundError,
    NotLeaderError,
    OffsetEvictedError,
    OffsetOutOfRangeError,
    Outcome,
    PartitionNotFoundError,
    PermissionDeniedError,
    Phase,
    ProducerError,
    RecordTooLargeError,
    ResourceError,
    ServerError,
    SmartModuleError,
    SmartModuleNotFoundError,
    SpuGroupNotFoundError,
    SpuNotFoundError,
    StorageError,
    TableFormatNotFoundError,
    TLSError,
    TopicNotFoundError,
    UsageError,
    VersionError,
)
from fluvio_cffi._failures import LONGEST, brief, timed_out

from .calls import text_of
from .loader import CData, ffi, lib
from .process import forked

_OUTCOMES: tuple[Outcome | None, ...] = (None, "not_written", "unknown", "pending")
_PHASES: tuple[Phase | None, ...] = (
    None,
    "connect",
    "enqueue",
    "wait",
    "delivery",
    "flush",
    "read",
    "commit",
    "admin",
    "close",
)

_CLASSES: dict[int, type[FluvioError]] = {
    lib.FLV_STATUS_TIMEOUT: FluvioTimeoutError,
    lib.FLV_STATUS_CANCELLED: ClosedError,
    lib.FLV_STATUS_CLOSED: ClosedError,
    lib.FLV_STATUS_FORKED: ForkedError,
    lib.FLV_STATUS_INVALID_ARGUMENT: ConfigError,
    lib.FLV_STATUS_USAGE: UsageError,
    lib.FLV_STATUS_RESOURCE: ResourceError,
    lib.FLV_STATUS_CONNECTION: FluvioConnectionError,
    lib.FLV_STATUS_TLS: TLSError,
    lib.FLV_STATUS_AUTH: AuthError,
    lib.FLV_STATUS_VERSION: VersionError,
    lib.FLV_STATUS_SERVER: ServerError,
    lib.FLV_STATUS_NOT_FOUND: NotFoundError,
    lib.FLV_STATUS_TOPIC_NOT_FOUND: TopicNotFoundError,
    lib.FLV_STATUS_PARTITION_NOT_FOUND: PartitionNotFoundError,
    lib.FLV_STATUS_SPU_NOT_FOUND: SpuNotFoundError,
    lib.FLV_STATUS_SMARTMODULE_NOT_FOUND: SmartModuleNotFoundError,
    lib.FLV_STATUS_TABLE_FORMAT_NOT_FOUND: TableFormatNotFoundError,
    lib.FLV_STATUS_MIRROR_NOT_FOUND: MirrorNotFoundError,
    lib.FLV_STATUS_SPU_GROUP_NOT_FOUND: SpuGroupNotFoundError,
    lib.FLV_STATUS_CONSUMER_OFFSET_NOT_FOUND: ConsumerOffsetNotFoundError,
    lib.FLV_STATUS_ALREADY_EXISTS: AlreadyExistsError,
    lib.FLV_STATUS_PERMISSION_DENIED: PermissionDeniedError,
    lib.FLV_STATUS_INVALID_TOPIC: InvalidTopicError,
    lib.FLV_STATUS_NOT_LEADER: NotLeaderError,
    lib.FLV_STATUS_STORAGE: StorageError,
    lib.FLV_STATUS_OFFSET_OUT_OF_RANGE: OffsetOutOfRangeError,
    lib.FLV_STATUS_OFFSET_EVICTED: OffsetEvictedError,
    lib.FLV_STATUS_PRODUCER: ProducerError,
    lib.FLV_STATUS_RECORD_TOO_LARGE: RecordTooLargeError,
    lib.FLV_STATUS_DELIVERY_UNKNOWN: DeliveryUnknownError,
    lib.FLV_STATUS_COMPRESSION: CompressionError,
    lib.FLV_STATUS_CONSUMER: ConsumerError,
    lib.FLV_STATUS_CORRUPT_RECORD: CorruptRecordError,
    lib.FLV_STATUS_MEMBER_FENCED: MemberFencedError,
    lib.FLV_STATUS_COMMIT_FENCED: CommitFencedError,
    lib.FLV_STATUS_GROUP_NOT_EMPTY: GroupNotEmptyError,
    lib.FLV_STATUS_GROUP_NOT_FOUND: GroupNotFoundError,
    lib.FLV_STATUS_SMARTMODULE: SmartModuleError,
    lib.FLV_STATUS_INTERNAL: InternalError,
}

# There is nothing wrong, or nothing to ask.
_UNTROUBLED = (lib.FLV_STATUS_OK, lib.FLV_STATUS_CLOSED, lib.FLV_STATUS_FORKED, lib.FLV_STATUS_INVALID_ARGUMENT)


def explained(late: FluvioTimeoutError, trouble: Callable[[CData, CData], int], handle: CData) -> FluvioTimeoutError:
    """The error for a deadline that passed, with what went wrong last, as `trouble` says of `handle`."""
    error = ffi.new("flv_error_t **")
    status = trouble(handle, error)
    if status not in _UNTROUBLED:
        cause = from_native(status, error[0])
        begun = f"{late}; the last attempt: "
        # Of both it should be known where, and what to do.
        late.args = (brief(begun + brief(str(cause), max(LONGEST - len(begun), LONGEST // 3))),)
        late.topic, late.partition = late.topic or cause.topic, cause.partition
        late.__cause__ = cause.__cause__
    else:
        lib.flv_error_free(error[0])
    return late


def class_of(status: int) -> type[FluvioError]:
    """The class of the errors with a status of the library."""
    return _CLASSES.get(status, FluvioError)


def from_native(status: int, error: CData, phase: Phase | None = None) -> FluvioError:
    """The exception for a status of the library and its error object, which is freed; NULL: only the status is known.

    :param phase: what was being done, for a time-out that does not say so itself.
    """
    try:
        return describe(status, error, phase)
    finally:
        lib.flv_error_free(error)


def describe(status: int, error: CData, phase: Phase | None = None) -> FluvioError:
    """The same, but the error object stays the caller's."""
    cls = class_of(status)
    if not error:
        if cls is FluvioTimeoutError:
            return timed_out(phase)
        if cls is ForkedError:
            return forked("this process was forked from one that had connected")
        if cls is ClosedError:
            return ClosedError("what was called, or the client that it belongs to, was closed meanwhile")
        return cls(f"the operation ended with status {status}")
    info = ffi.new("flv_error_info_t *")
    info.struct_size = ffi.sizeof("flv_error_info_t")
    lib.flv_error_info(error, info)
    result = cls(text_of(info.message) or f"the operation ended with status {status}")
    result.retriable = bool(info.retriable)
    result.code = info.code if info.has_code else None
    result.topic = text_of(info.topic) or None
    result.partition = info.partition if info.partition >= 0 else None
    result.offset = info.offset if info.offset >= 0 else None
    result.outcome = _OUTCOMES[info.outcome] if info.outcome < len(_OUTCOMES) else None
    if info.os_error:
        result.__cause__ = OSError(info.os_error, os.strerror(info.os_error))
    if isinstance(result, FluvioTimeoutError):
        result.phase = (_PHASES[info.phase] if info.phase < len(_PHASES) else None) or phase
    elif isinstance(result, OffsetEvictedError):
        result.next_available = info.next_available if info.next_available >= 0 else None
    elif isinstance(result, SmartModuleError):
        result.module = text_of(info.module) or None
        result.hint = text_of(info.hint) or None
        result.kind = text_of(info.module_kind) or None
        result.key = bytes(ffi.buffer(info.key.data, info.key.len)) if info.has_key else None
        result.value = bytes(ffi.buffer(info.value.data, info.value.len)) if info.has_value else None
        result.record_index = info.record_index if info.record_index >= 0 else None
    return result


def raise_status(status: int, error: CData, phase: Phase | None = None) -> None:
    """Raises what a call of the library said, unless it went well."""
    if status != lib.FLV_STATUS_OK:
        raise from_native(status, error[0], phase)
