"""The Fluvio client for Python, for asyncio, trio and threads.

>>> async with AsyncFluvio.connect("127.0.0.1:9003") as client:
...     async with client.producer("orders") as producer:
...         await producer.send(b"paid", key="o-1")
...     async with client.consumer("orders", start=Offset.beginning()) as consumer:
...         async for record in consumer:
...             print(record.offset, record.value)

:class:`Fluvio` is the same without ``async`` and ``await``, for threads.
"""

from ._async.admin import AsyncAdmin, AsyncTopics
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
    CorruptRecordError,
    DeliveryError,
    DeliveryUnknownError,
    FluvioConnectionError,
    FluvioError,
    FluvioTimeoutError,
    ForkedError,
    InternalError,
    InvalidTopicError,
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
    SpuNotFoundError,
    StorageError,
    TLSError,
    TopicNotFoundError,
    UsageError,
    VersionError,
)
from ._metrics import Metrics
from ._opening import Opening
from ._sync.admin import Admin, Topics
from ._sync.client import Fluvio
from ._sync.consumer import Batches, Consumer
from ._sync.events import Events
from ._sync.producer import Producer, Receipt
from ._types import (
    ClientEvent,
    Offset,
    PartitionAssignment,
    Partitioner,
    Pending,
    ProducerRecord,
    Record,
    RecordMetadata,
    Topic,
    TopicSpec,
    TopicStatus,
)
from .cluster import LocalCluster

__version__ = "0.1.0"

__all__ = [
    "Admin",
    "AlreadyExistsError",
    "AsyncAdmin",
    "AsyncBatches",
    "AsyncConsumer",
    "AsyncEvents",
    "AsyncFluvio",
    "AsyncProducer",
    "AsyncReceipt",
    "AsyncTopics",
    "AuthError",
    "Batches",
    "ClientEvent",
    "ClosedError",
    "ClusterConfig",
    "CompressionError",
    "ConfigError",
    "Consumer",
    "ConsumerError",
    "CorruptRecordError",
    "DeliveryError",
    "DeliveryUnknownError",
    "Events",
    "Fluvio",
    "FluvioConnectionError",
    "FluvioError",
    "FluvioTimeoutError",
    "ForkedError",
    "InternalError",
    "InvalidTopicError",
    "LocalCluster",
    "Metrics",
    "NotFoundError",
    "NotLeaderError",
    "Offset",
    "OffsetEvictedError",
    "OffsetOutOfRangeError",
    "Opening",
    "PartitionAssignment",
    "PartitionNotFoundError",
    "Partitioner",
    "Pending",
    "PermissionDeniedError",
    "Producer",
    "ProducerError",
    "ProducerRecord",
    "Profile",
    "ProfileStore",
    "Receipt",
    "Record",
    "RecordBatch",
    "RecordMetadata",
    "RecordTooLargeError",
    "SendResult",
    "ServerError",
    "SmartModuleError",
    "SmartModuleNotFoundError",
    "SpuNotFoundError",
    "StorageError",
    "TLSError",
    "Tls",
    "Topic",
    "TopicNotFoundError",
    "TopicSpec",
    "TopicStatus",
    "Topics",
    "UsageError",
    "VersionError",
    "__version__",
]

# Where they are defined is nobody's business, and pickles outlive it.
for _object in [globals()[_name] for _name in __all__]:
    if isinstance(_object, type) and _object.__module__.startswith("fluvio_cffi."):
        _object.__module__ = "fluvio_cffi"
