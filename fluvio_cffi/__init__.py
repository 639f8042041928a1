"""The Fluvio client for Python, for asyncio, trio and threads.

>>> async with AsyncFluvio.connect("127.0.0.1:9003") as client:
...     async with client.producer("orders") as producer:
...         await producer.send(b"paid", key="o-1")
...     async with client.consumer("orders", start=Offset.beginning()) as consumer:
...         async for record in consumer:
...             print(record.offset, record.value)

:class:`Fluvio` is the same without ``async`` and ``await``, for threads.
"""

from ._async.admin import AsyncAdmin
from ._async.client import AsyncFluvio
from ._async.consumer import AsyncBatches, AsyncConsumer
from ._async.events import AsyncEvents
from ._async.mirrors import AsyncMirrors
from ._async.modules import AsyncSmartModules, AsyncTableFormats
from ._async.offsets import AsyncConsumerOffsets
from ._async.producer import AsyncProducer, AsyncReceipt
from ._async.servers import AsyncClusterAdmin, AsyncCustomSpus, AsyncSpuGroups, AsyncSpus
from ._async.topics import AsyncPartitions, AsyncTopics
from ._async.watch import AsyncWatch
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
from ._metrics import Metrics
from ._objects import (
    Change,
    ClusterStatus,
    ConsumerOffset,
    CustomSpuSpec,
    Deduplication,
    Endpoint,
    HomeCluster,
    HomeMirror,
    HomePartition,
    HomeSpu,
    IngressAddress,
    Mirror,
    MirrorStatus,
    MirrorTls,
    Pairing,
    Partition,
    PartitionAssignment,
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
    SmartModuleSpec,
    Spu,
    SpuGroup,
    SpuGroupSpec,
    SpuGroupStatus,
    SpuSpec,
    SpuStatus,
    TableColumn,
    TableFormat,
    TableFormatSpec,
    TableFormatStatus,
    Topic,
    TopicSpec,
    TopicStatus,
)
from ._opening import Opening
from ._sync.admin import Admin
from ._sync.client import Fluvio
from ._sync.consumer import Batches, Consumer
from ._sync.events import Events
from ._sync.mirrors import Mirrors
from ._sync.modules import SmartModules, TableFormats
from ._sync.offsets import ConsumerOffsets
from ._sync.producer import Producer, Receipt
from ._sync.servers import ClusterAdmin, CustomSpus, SpuGroups, Spus
from ._sync.topics import Partitions, Topics
from ._sync.watch import Watch
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
]

# Where they are defined is nobody's business, and pickles outlive it.
for _object in [globals()[_name] for _name in __all__]:
    if isinstance(_object, type) and _object.__module__.startswith("fluvio_cffi."):
        _object.__module__ = "fluvio_cffi"
