"""Where the public names are that are loaded when they are first used: the client, of which most programs need one
half, for loops or for threads; administration, kind by kind, which is a good half of the package; the embedded
cluster."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from fluvio_cffi._errors import UsageError

_NAMES: Final = {
    "._admin.objects.changes": ["Change", "ChangeKind"],
    "._admin.objects.cluster": ["ClusterStatus"],
    "._admin.objects.common": ["Deduplication", "HomePartition", "RemotePartition"],
    "._admin.objects.groups": ["Group", "GroupMember", "GroupPartition", "GroupSummary"],
    "._admin.objects.mirrors": [
        "ConnectionStatus",
        "HomeCluster",
        "Mirror",
        "MirrorStatus",
        "MirrorTls",
        "Pairing",
        "PairingResolution",
        "RemoteCluster",
    ],
    "._admin.objects.offsets": ["ConsumerOffset"],
    "._admin.objects.partitions": [
        "Partition",
        "PartitionResolution",
        "PartitionSpec",
        "PartitionStatus",
        "ReplicaStatus",
    ],
    "._admin.objects.smartmodules": [
        "SmartModuleInfo",
        "SmartModulePackage",
        "SmartModuleParam",
        "SmartModuleSpec",
        "Visibility",
    ],
    "._admin.objects.spu_groups": ["SpuGroup", "SpuGroupResolution", "SpuGroupSpec", "SpuGroupStatus"],
    "._admin.objects.spus": [
        "CustomSpuSpec",
        "Encryption",
        "Endpoint",
        "IngressAddress",
        "PublicEndpoint",
        "Spu",
        "SpuKind",
        "SpuResolution",
        "SpuSpec",
        "SpuStatus",
    ],
    "._admin.objects.tables": [
        "Alignment",
        "Color",
        "TableColumn",
        "TableFormat",
        "TableFormatResolution",
        "TableFormatSpec",
        "TableFormatStatus",
    ],
    "._admin.objects.topics": [
        "HomeMirror",
        "HomeSpu",
        "PartitionAssignment",
        "RemoteMirror",
        "Topic",
        "TopicResolution",
        "TopicSpec",
        "TopicStatus",
    ],
    "._async.arrow": ["AsyncArrowBatches", "AsyncArrowConsumer"],
    "._async.batches": ["AsyncBatches"],
    "._async.client": ["AsyncFluvio"],
    "._async.consumer": ["AsyncConsumer"],
    "._async.events": ["AsyncEvents"],
    "._async.producer": ["AsyncProducer"],
    "._async.receipt": ["AsyncReceipt"],
    "._async.topics_consumer": ["AsyncTopicsConsumer"],
    "._async.tracker": ["AsyncTracker"],
    "._async.admin": ["AsyncAdmin"],
    "._async.cluster": ["AsyncClusterAdmin"],
    "._async.groups": ["AsyncGroups"],
    "._async.mirrors": ["AsyncMirrors"],
    "._async.offsets": ["AsyncConsumerOffsets"],
    "._async.partitions": ["AsyncPartitions"],
    "._async.smartmodules": ["AsyncSmartModules"],
    "._async.spu_groups": ["AsyncSpuGroups"],
    "._async.spus": ["AsyncCustomSpus", "AsyncSpus"],
    "._async.tables": ["AsyncTableFormats"],
    "._async.topics": ["AsyncTopics"],
    "._async.watch": ["AsyncWatch"],
    "._sync.arrow": ["ArrowBatches", "ArrowConsumer"],
    "._sync.batches": ["Batches"],
    "._sync.client": ["Fluvio"],
    "._sync.consumer": ["Consumer"],
    "._sync.events": ["Events"],
    "._sync.producer": ["Producer"],
    "._sync.receipt": ["Receipt"],
    "._sync.topics_consumer": ["TopicsConsumer"],
    "._sync.tracker": ["Tracker"],
    "._sync.admin": ["Admin"],
    "._sync.cluster": ["ClusterAdmin"],
    "._sync.groups": ["Groups"],
    "._sync.mirrors": ["Mirrors"],
    "._sync.offsets": ["ConsumerOffsets"],
    "._sync.partitions": ["Partitions"],
    "._sync.smartmodules": ["SmartModules"],
    "._sync.spu_groups": ["SpuGroups"],
    "._sync.spus": ["CustomSpus", "Spus"],
    "._sync.tables": ["TableFormats"],
    "._sync.topics": ["Topics"],
    "._sync.watch": ["Watch"],
    "._cluster.faults": ["Fault", "Faults"],
    ".cluster": ["LocalCluster"],
}

MODULES: Final[Mapping[str, str]] = {name: module for module, names in _NAMES.items() for name in names}
"""The module of each name, relative to the package."""


def publish(module: str) -> None:
    """The public names of a module, which has just been loaded, become the package's. Where they are defined is
    nobody's business: pickles outlive it, and whoever evaluates annotations looks for them in the package."""
    package, found = sys.modules["fluvio_cffi"], vars(sys.modules[module])
    for name in _NAMES[module.removeprefix("fluvio_cffi")]:
        public: object = found[name]
        if isinstance(public, type):
            public.__module__ = "fluvio_cffi"
        setattr(package, name, public)


@contextmanager
def loading(what: str) -> Generator[None, None, None]:
    """Around the import of such a module. A signal handler or a finalizer may come in the middle of that
    very import, and ask for what it has not defined yet.

    :raises UsageError: this is the case.
    """
    try:
        yield
    except ImportError as error:
        if "partially initialized" not in str(error):
            raise
        raise UsageError(
            f"{what} is being loaded by what this call interrupted: use it once before, or not in a signal handler"
        ) from error
