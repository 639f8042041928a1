"""Partitions."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from fluvio_cffi._admin.document import named
from fluvio_cffi._admin.value import value
from fluvio_cffi._exports import publish
from fluvio_cffi._values.records import Compression

from .common import Deduplication, HomePartition, RemotePartition

PartitionResolution: TypeAlias = Literal[
    "offline", "online", "leader_offline", "election_leader_found", "out_of_storage"
]


@value()
class ReplicaStatus:
    """How far one SPU is with a partition.

    :ivar spu: its id.
    :ivar high_watermark: the offset after the last record that is replicated; ``None``: not known.
    :ivar log_end: the offset after the last record of its log; ``None``: not known.
    """

    spu: int
    high_watermark: int | None
    log_end: int | None


@value()
class PartitionSpec:
    """How a partition is to be kept. What it has of its topic is described at :class:`TopicSpec`.

    :ivar leader: the id of the SPU that leads it.
    :ivar replicas: the ids of the SPUs that hold it.
    :ivar mirror: the partition of another cluster that it mirrors.
    """

    leader: int
    replicas: tuple[int, ...]
    mirror: HomePartition | RemotePartition | None
    retention: int | None = field(metadata=named("retention_seconds"))
    segment_size: int | None
    max_partition_size: int | None
    compression: Compression
    deduplication: Deduplication | None
    system: bool


@value()
class PartitionStatus:
    """How a partition is.

    :ivar resolution: ``"online"``, ``"offline"``, ``"leader_offline"`` (no new leader could be found),
        ``"election_leader_found"`` or ``"out_of_storage"`` (it can be read, not written).
    :ivar leader: how far its leader is; ``None``: it has not said so yet.
    :ivar replicas: how far those of its followers are that are alive.
    :ivar live_replicas: the cluster's own count of them, which not every version keeps.
    :ivar size: bytes of the leader's log; ``None``: not known.
    :ivar base_offset: the first offset that the log still holds.
    :ivar is_being_deleted: whether it is about to go.

    What the SPUs say arrives up to a second late: for exact ends use a consumer.
    """

    resolution: PartitionResolution
    leader: ReplicaStatus | None
    replicas: tuple[ReplicaStatus, ...]
    live_replicas: int
    size: int | None
    base_offset: int
    is_being_deleted: bool


@value()
class Partition:
    """A partition of a topic of the cluster."""

    topic: str
    partition: int
    spec: PartitionSpec
    status: PartitionStatus


publish(__name__)
