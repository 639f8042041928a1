"""The Fluvio client for Python, for asyncio, trio and threads.

>>> async with AsyncFluvio.connect("127.0.0.1:9003") as client:
...     async with client.producer("orders") as producer:
...         await producer.send(b"paid", key="o-1")
...     async with client.consumer("orders", start=Offset.beginning()) as consumer:
...         async for record in consumer:
...             print(record.offset, record.value)

:class:`Fluvio` is the same without ``async`` and ``await``, for threads.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ._async.client import AsyncFluvio
from ._async.consumer import AsyncBatches, AsyncConsumer
from ._async.events import AsyncEvents
from ._async.producer import AsyncProducer, AsyncReceipt
from ._batch import RecordBatch
from ._config import ClusterConfig, Profile, ProfileStore, Tls
from ._delivery import SendResult
from ._errors import (
    AlreadyExistsError,
    AuthError,
    ClosedError,
    CompressionError,
    ConfigError,
    ConsumerError,
    ConsumerOffsetNotFoundError,
    CorruptRecordError,
    DeliveryError,
    DeliveryUnknownError,
    FluvioConnectionError,
    FluvioError,
    FluvioTimeoutError,
    ForkedError,
    InternalError,
    InvalidTopicError,
    MirrorNotFoundError,
    NotFoundError,
    NotLeaderError,
    OffsetEvictedError,
    OffsetOutOfRangeError,
    PartitionNotFoundError,
    PermissionDeniedError,
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
from ._exit import set_exit_timeout
from ._metrics import Metrics
from ._opening import Opening
from ._sync.client import Fluvio
from ._sync.consumer import Batches, Consumer
from ._sync.events import Events
from ._sync.producer import Producer, Receipt
from ._types import (
    ClientEvent,
    Offset,
    Partitioner,
    Pending,
    ProducerRecord,
    Record,
    RecordMetadata,
)
from .cluster import LocalCluster

if TYPE_CHECKING:
    from ._administration import (
        Admin,
        AsyncAdmin,
        AsyncClusterAdmin,
        AsyncConsumerOffsets,
        AsyncCustomSpus,
        AsyncMirrors,
        AsyncPartitions,
        AsyncSmartModules,
        AsyncSpuGroups,
        AsyncSpus,
        AsyncTableFormats,
        AsyncTopics,
        AsyncWatch,
        Change,
        ClusterAdmin,
        ClusterStatus,
        ConsumerOffset,
        ConsumerOffsets,
        CustomSpus,
        CustomSpuSpec,
        Deduplication,
        Endpoint,
        HomeCluster,
        HomeMirror,
        HomePartition,
        HomeSpu,
        IngressAddress,
        Mirror,
        Mirrors,
        MirrorStatus,
        MirrorTls,
        Pairing,
        Partition,
        PartitionAssignment,
        Partitions,
        PartitionSpec,
        PartitionStatus,
        PublicEndpoint,
        RemoteCluster,
        RemoteMirror,
        RemotePartition,
        ReplicaStatus,
        SmartModuleInfo,
        SmartModulePackage,
        SmartModuleParam,
        SmartModules,
        SmartModuleSpec,
        Spu,
        SpuGroup,
        SpuGroups,
        SpuGroupSpec,
        SpuGroupStatus,
        Spus,
        SpuSpec,
        SpuStatus,
        TableColumn,
        TableFormat,
        TableFormats,
        TableFormatSpec,
        TableFormatStatus,
        Topic,
        Topics,
        TopicSpec,
        TopicStatus,
        Watch,
    )

__version__ = "0.1.0"

__all__ = [
    "Admin",
    "AlreadyExistsError",
    "AsyncAdmin",
    "AsyncBatches",
    "AsyncClusterAdmin",
    "AsyncConsumer",
    "AsyncConsumerOffsets",
    "AsyncCustomSpus",
    "AsyncEvents",
    "AsyncFluvio",
    "AsyncMirrors",
    "AsyncPartitions",
    "AsyncProducer",
    "AsyncReceipt",
    "AsyncSmartModules",
    "AsyncSpuGroups",
    "AsyncSpus",
    "AsyncTableFormats",
    "AsyncTopics",
    "AsyncWatch",
    "AuthError",
    "Batches",
    "Change",
    "ClientEvent",
    "ClosedError",
    "ClusterAdmin",
    "ClusterConfig",
    "ClusterStatus",
    "CompressionError",
    "ConfigError",
    "Consumer",
    "ConsumerError",
    "ConsumerOffset",
    "ConsumerOffsetNotFoundError",
    "ConsumerOffsets",
    "CorruptRecordError",
    "CustomSpuSpec",
    "CustomSpus",
    "Deduplication",
    "DeliveryError",
    "DeliveryUnknownError",
    "Endpoint",
    "Events",
    "Fluvio",
    "FluvioConnectionError",
    "FluvioError",
    "FluvioTimeoutError",
    "ForkedError",
    "HomeCluster",
    "HomeMirror",
    "HomePartition",
    "HomeSpu",
    "IngressAddress",
    "InternalError",
    "InvalidTopicError",
    "LocalCluster",
    "Metrics",
    "Mirror",
    "MirrorNotFoundError",
    "MirrorStatus",
    "MirrorTls",
    "Mirrors",
    "NotFoundError",
    "NotLeaderError",
    "Offset",
    "OffsetEvictedError",
    "OffsetOutOfRangeError",
    "Opening",
    "Pairing",
    "Partition",
    "PartitionAssignment",
    "PartitionNotFoundError",
    "PartitionSpec",
    "PartitionStatus",
    "Partitioner",
    "Partitions",
    "Pending",
    "PermissionDeniedError",
    "Producer",
    "ProducerError",
    "ProducerRecord",
    "Profile",
    "ProfileStore",
    "PublicEndpoint",
    "Receipt",
    "Record",
    "RecordBatch",
    "RecordMetadata",
    "RecordTooLargeError",
    "RemoteCluster",
    "RemoteMirror",
    "RemotePartition",
    "ReplicaStatus",
    "ResourceError",
    "SendResult",
    "ServerError",
    "SmartModuleError",
    "SmartModuleInfo",
    "SmartModuleNotFoundError",
    "SmartModulePackage",
    "SmartModuleParam",
    "SmartModuleSpec",
    "SmartModules",
    "Spu",
    "SpuGroup",
    "SpuGroupNotFoundError",
    "SpuGroupSpec",
    "SpuGroupStatus",
    "SpuGroups",
    "SpuNotFoundError",
    "SpuSpec",
    "SpuStatus",
    "Spus",
    "StorageError",
    "TLSError",
    "TableColumn",
    "TableFormat",
    "TableFormatNotFoundError",
    "TableFormatSpec",
    "TableFormatStatus",
    "TableFormats",
    "Tls",
    "Topic",
    "TopicNotFoundError",
    "TopicSpec",
    "TopicStatus",
    "Topics",
    "UsageError",
    "VersionError",
    "Watch",
    "__version__",
    "set_exit_timeout",
]


def _publish(names: Iterable[str]) -> None:
    """Where they are defined is nobody's business, and pickles outlive it."""
    for name in names:
        object = globals()[name]
        if isinstance(object, type) and object.__module__.startswith("fluvio_cffi."):
            object.__module__ = "fluvio_cffi"


_publish(name for name in __all__ if name in globals())

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import _administration

        for later in _administration.__all__:
            globals()[later] = getattr(_administration, later)
        _publish(_administration.__all__)
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
