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
from importlib import import_module
from typing import TYPE_CHECKING

from fluvio_cffi._connect.config import ClusterConfig, Profile, ProfileStore, Tls, TlsPolicy
from fluvio_cffi._consume.arrow import ArrowBatch
from fluvio_cffi._consume.batch import RecordBatch
from fluvio_cffi._consume.decoding import OnUndecodable
from fluvio_cffi._consume.membership import Listener
from fluvio_cffi._errors import (
    AlreadyExistsError,
    AuthError,
    ClosedError,
    CommitFencedError,
    CompressionError,
    ConfigError,
    ConfigTypeError,
    ConsumerError,
    ConsumerOffsetNotFoundError,
    CorruptRecordError,
    DecodeError,
    DeliveryError,
    DeliveryUnknownError,
    EncodeError,
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
    ReceiptLike,
    RecordFailedError,
    RecordLike,
    RecordTooLargeError,
    ResourceError,
    ResultLike,
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
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._native.lifecycle import set_exit_timeout
from fluvio_cffi._produce.arrow import ArrowData
from fluvio_cffi._produce.delivery import SendResult
from fluvio_cffi._values.metrics import Metrics, TopicMetrics
from fluvio_cffi._values.quantities import Duration, Size, Timeout
from fluvio_cffi._values.records import (
    Bytes,
    ClientEvent,
    ClientState,
    Codec,
    Commit,
    Compression,
    Delivery,
    EventKind,
    Isolation,
    Offset,
    OnEvicted,
    Partitioner,
    Partitioning,
    Pending,
    ProducerRecord,
    Record,
    RecordFormat,
)
from fluvio_cffi._values.smartmodules import Lookback, ParamValue, SmartModule, SmartModuleChain, SmartModuleKind
from fluvio_cffi._values.times import Timestamp

from ._opening import Opening

if TYPE_CHECKING:
    from ._admin.objects.changes import Change, ChangeKind
    from ._admin.objects.cluster import ClusterStatus
    from ._admin.objects.common import Deduplication, HomePartition, RemotePartition
    from ._admin.objects.groups import Group, GroupMember, GroupPartition, GroupSummary
    from ._admin.objects.mirrors import (
        ConnectionStatus,
        HomeCluster,
        Mirror,
        MirrorStatus,
        MirrorTls,
        Pairing,
        PairingResolution,
        RemoteCluster,
    )
    from ._admin.objects.offsets import ConsumerOffset
    from ._admin.objects.partitions import Partition, PartitionResolution, PartitionSpec, PartitionStatus, ReplicaStatus
    from ._admin.objects.smartmodules import (
        SmartModuleInfo,
        SmartModulePackage,
        SmartModuleParam,
        SmartModuleSpec,
        Visibility,
    )
    from ._admin.objects.spu_groups import SpuGroup, SpuGroupResolution, SpuGroupSpec, SpuGroupStatus
    from ._admin.objects.spus import (
        CustomSpuSpec,
        Encryption,
        Endpoint,
        IngressAddress,
        PublicEndpoint,
        Spu,
        SpuKind,
        SpuResolution,
        SpuSpec,
        SpuStatus,
    )
    from ._admin.objects.tables import (
        Alignment,
        Color,
        TableColumn,
        TableFormat,
        TableFormatResolution,
        TableFormatSpec,
        TableFormatStatus,
    )
    from ._admin.objects.topics import (
        HomeMirror,
        HomeSpu,
        PartitionAssignment,
        RemoteMirror,
        Topic,
        TopicResolution,
        TopicSpec,
        TopicStatus,
    )
    from ._async.admin import AsyncAdmin
    from ._async.arrow import AsyncArrowBatches, AsyncArrowConsumer
    from ._async.batches import AsyncBatches
    from ._async.client import AsyncFluvio
    from ._async.cluster import AsyncClusterAdmin
    from ._async.consumer import AsyncConsumer
    from ._async.events import AsyncEvents
    from ._async.groups import AsyncGroups
    from ._async.mirrors import AsyncMirrors
    from ._async.offsets import AsyncConsumerOffsets
    from ._async.partitions import AsyncPartitions
    from ._async.producer import AsyncProducer
    from ._async.receipt import AsyncReceipt
    from ._async.smartmodules import AsyncSmartModules
    from ._async.spu_groups import AsyncSpuGroups
    from ._async.spus import AsyncCustomSpus, AsyncSpus
    from ._async.tables import AsyncTableFormats
    from ._async.topics import AsyncTopics
    from ._async.topics_consumer import AsyncTopicsConsumer
    from ._async.tracker import AsyncTracker
    from ._async.watch import AsyncWatch
    from ._cluster.faults import Fault, Faults
    from ._sync.admin import Admin
    from ._sync.arrow import ArrowBatches, ArrowConsumer
    from ._sync.batches import Batches
    from ._sync.client import Fluvio
    from ._sync.cluster import ClusterAdmin
    from ._sync.consumer import Consumer
    from ._sync.events import Events
    from ._sync.groups import Groups
    from ._sync.mirrors import Mirrors
    from ._sync.offsets import ConsumerOffsets
    from ._sync.partitions import Partitions
    from ._sync.producer import Producer
    from ._sync.receipt import Receipt
    from ._sync.smartmodules import SmartModules
    from ._sync.spu_groups import SpuGroups
    from ._sync.spus import CustomSpus, Spus
    from ._sync.tables import TableFormats
    from ._sync.topics import Topics
    from ._sync.topics_consumer import TopicsConsumer
    from ._sync.tracker import Tracker
    from ._sync.watch import Watch
    from .cluster import LocalCluster

__version__ = "0.1.0"

__all__ = [
    "Admin",
    "Alignment",
    "AlreadyExistsError",
    "ArrowBatch",
    "ArrowBatches",
    "ArrowConsumer",
    "ArrowData",
    "AsyncAdmin",
    "AsyncArrowBatches",
    "AsyncArrowConsumer",
    "AsyncBatches",
    "AsyncClusterAdmin",
    "AsyncConsumer",
    "AsyncConsumerOffsets",
    "AsyncCustomSpus",
    "AsyncEvents",
    "AsyncFluvio",
    "AsyncGroups",
    "AsyncMirrors",
    "AsyncPartitions",
    "AsyncProducer",
    "AsyncReceipt",
    "AsyncSmartModules",
    "AsyncSpuGroups",
    "AsyncSpus",
    "AsyncTableFormats",
    "AsyncTopics",
    "AsyncTopicsConsumer",
    "AsyncTracker",
    "AsyncWatch",
    "AuthError",
    "Batches",
    "Bytes",
    "Change",
    "ChangeKind",
    "ClientEvent",
    "ClientState",
    "ClosedError",
    "ClusterAdmin",
    "ClusterConfig",
    "ClusterStatus",
    "Codec",
    "Color",
    "Commit",
    "CommitFencedError",
    "Compression",
    "CompressionError",
    "ConfigError",
    "ConfigTypeError",
    "ConnectionStatus",
    "Consumer",
    "ConsumerError",
    "ConsumerOffset",
    "ConsumerOffsetNotFoundError",
    "ConsumerOffsets",
    "CorruptRecordError",
    "CustomSpuSpec",
    "CustomSpus",
    "DecodeError",
    "Deduplication",
    "Delivery",
    "DeliveryError",
    "DeliveryUnknownError",
    "Duration",
    "EncodeError",
    "Encryption",
    "Endpoint",
    "EventKind",
    "Events",
    "Fault",
    "Faults",
    "Fluvio",
    "FluvioConnectionError",
    "FluvioError",
    "FluvioTimeoutError",
    "ForkedError",
    "Group",
    "GroupMember",
    "GroupNotEmptyError",
    "GroupNotFoundError",
    "GroupPartition",
    "GroupSummary",
    "Groups",
    "HomeCluster",
    "HomeMirror",
    "HomePartition",
    "HomeSpu",
    "IngressAddress",
    "InternalError",
    "InvalidTopicError",
    "Isolation",
    "Listener",
    "LocalCluster",
    "Lookback",
    "MemberFencedError",
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
    "OnEvicted",
    "OnUndecodable",
    "Opening",
    "Outcome",
    "Pairing",
    "PairingResolution",
    "ParamValue",
    "Partition",
    "PartitionAssignment",
    "PartitionNotFoundError",
    "PartitionResolution",
    "PartitionSpec",
    "PartitionStatus",
    "Partitioner",
    "Partitioning",
    "Partitions",
    "Pending",
    "PermissionDeniedError",
    "Phase",
    "Producer",
    "ProducerError",
    "ProducerRecord",
    "Profile",
    "ProfileStore",
    "PublicEndpoint",
    "Receipt",
    "ReceiptLike",
    "Record",
    "RecordBatch",
    "RecordFailedError",
    "RecordFormat",
    "RecordLike",
    "RecordMetadata",
    "RecordTooLargeError",
    "RemoteCluster",
    "RemoteMirror",
    "RemotePartition",
    "ReplicaStatus",
    "ResourceError",
    "ResultLike",
    "SendResult",
    "ServerError",
    "Size",
    "SmartModule",
    "SmartModuleChain",
    "SmartModuleError",
    "SmartModuleInfo",
    "SmartModuleKind",
    "SmartModuleNotFoundError",
    "SmartModulePackage",
    "SmartModuleParam",
    "SmartModuleSpec",
    "SmartModules",
    "Spu",
    "SpuGroup",
    "SpuGroupNotFoundError",
    "SpuGroupResolution",
    "SpuGroupSpec",
    "SpuGroupStatus",
    "SpuGroups",
    "SpuKind",
    "SpuNotFoundError",
    "SpuResolution",
    "SpuSpec",
    "SpuStatus",
    "Spus",
    "StorageError",
    "TLSError",
    "TableColumn",
    "TableFormat",
    "TableFormatNotFoundError",
    "TableFormatResolution",
    "TableFormatSpec",
    "TableFormatStatus",
    "TableFormats",
    "Timeout",
    "Timestamp",
    "Tls",
    "TlsPolicy",
    "Topic",
    "TopicMetrics",
    "TopicNotFoundError",
    "TopicResolution",
    "TopicSpec",
    "TopicStatus",
    "Topics",
    "TopicsConsumer",
    "Tracker",
    "UsageError",
    "VersionError",
    "Visibility",
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
        from ._exports import MODULES, loading

        with loading(name):
            module = import_module(MODULES[name], __name__)
            try:
                found: object = getattr(module, name)
            except AttributeError as error:
                raise ImportError(f"{module.__name__} is partially initialized") from error
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
