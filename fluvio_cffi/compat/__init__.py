"""The interface of the package ``fluvio`` of PyPI, version 0.21.0, on this library.

Programs that were written for it run unchanged: ``python -m fluvio_cffi.compat program.py``, or :func:`install` before
they import ``fluvio``; or with one line changed: ``import fluvio_cffi.compat as fluvio``.

What its interface means is kept, what it loses is not: docs/migration.md says where the two differ.
"""

from __future__ import annotations

from . import record, specs, topic, utils
from ._admin import FluvioAdmin
from ._client import ConsumerOffset, Fluvio, FluvioConfig
from ._consume import (
    ConsumerConfig,
    ConsumerConfigExt,
    ConsumerConfigExtBuilder,
    ConsumerIterator,
    MultiplePartitionConsumer,
    PartitionConsumer,
    PartitionSelectionStrategy,
)
from ._enums import Compression, DeliverySemantic, Isolation, Offset, OffsetManagementStrategy, SmartModuleKind
from ._errors import FluviorError
from ._install import install
from ._produce import ProduceOutput, TopicProducer, TopicProducerConfig, TopicProducerConfigBuilder
from .record import Record, RecordMetadata
from .specs import (
    CommonCreateRequest,
    MessageMetadataTopicSpec,
    MetadataPartitionSpec,
    MetadataSmartModuleSpec,
    MetadataTopicSpec,
    MetaUpdateSmartModuleSpec,
    MetaUpdateTopicSpec,
    PartitionMap,
    SmartModuleSpec,
)
from .topic import CompressionType, TopicMode, TopicSpec

__all__ = [
    "CommonCreateRequest",
    "Compression",
    "CompressionType",
    "ConsumerConfig",
    "ConsumerConfigExt",
    "ConsumerConfigExtBuilder",
    "ConsumerIterator",
    "ConsumerOffset",
    "DeliverySemantic",
    "Fluvio",
    "FluvioAdmin",
    "FluvioConfig",
    "FluviorError",
    "Isolation",
    "MessageMetadataTopicSpec",
    "MetaUpdateSmartModuleSpec",
    "MetaUpdateTopicSpec",
    "MetadataPartitionSpec",
    "MetadataSmartModuleSpec",
    "MetadataTopicSpec",
    "MultiplePartitionConsumer",
    "Offset",
    "OffsetManagementStrategy",
    "PartitionConsumer",
    "PartitionMap",
    "PartitionSelectionStrategy",
    "ProduceOutput",
    "Record",
    "RecordMetadata",
    "SmartModuleKind",
    "SmartModuleSpec",
    "TopicMode",
    "TopicProducer",
    "TopicProducerConfig",
    "TopicProducerConfigBuilder",
    "TopicSpec",
    "install",
    "record",
    "specs",
    "topic",
    "utils",
]

for _name in __all__:
    _public: object = globals()[_name]
    # Where they are defined is nobody's business, and pickles outlive it.
    if isinstance(_public, type) and _public.__module__.startswith(f"{__name__}._"):
        _public.__module__ = __name__
