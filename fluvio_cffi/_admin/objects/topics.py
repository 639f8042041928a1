"""Topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal, TypeAlias

from fluvio_cffi._admin.checks import I32, U32, U64, assign, seconds, size
from fluvio_cffi._admin.document import named
from fluvio_cffi._admin.value import value
from fluvio_cffi._check import choice, flag, instance, number, several
from fluvio_cffi._errors import ConfigError
from fluvio_cffi._types import Compression, Duration, Size

from .deduplication import Deduplication
from .mirroring import HomeMirror, HomePartition, RemoteMirror, RemotePartition

TopicResolution: TypeAlias = Literal[
    "init", "pending", "insufficient_resources", "invalid_config", "provisioned", "deleting"
]


@value()
class PartitionAssignment:
    """Which SPUs hold a partition of a topic that is laid out by hand; the first is the preferred leader."""

    partition: int
    replicas: tuple[int, ...]

    def __post_init__(self) -> None:
        number(self.partition, "partition", 0, U32)
        assign(self, replicas=several(self.replicas, "replicas", int))
        for spu in self.replicas:
            number(spu, "an SPU in replicas", 0, I32)


@value(init=False)
class TopicSpec:
    """What a topic is to be.

    :param partitions: how many partitions.
    :param replication: how many SPUs hold each.
    :param ignore_rack: whether replicas may share a rack.
    :param assignment: which SPUs hold which partition; then `partitions` and `replication` follow from it.
    :param mirror: it mirrors topics of other clusters; then its partitions follow from that.
    :param retention: how long records are kept, at least: seconds or text such as ``"7d"``; ``None``: the cluster's
        default. Kept as whole seconds.
    :param segment_size: bytes of one file of the log; ``None``: the cluster's default.
    :param max_partition_size: bytes of one partition, at most, about; ``None``: the cluster's default.
    :param compression: which codecs producers may use: ``"any"``, or the only one that is allowed.
    :param deduplication: how repeated records are dropped; ``None``: they are kept.
    :param system: whether it is one of the cluster's own.
    """

    partitions: int
    replication: int
    ignore_rack: bool
    assignment: tuple[PartitionAssignment, ...] | None
    mirror: HomeMirror | RemoteMirror | None
    retention: int | None = field(metadata=named("retention_seconds"))
    segment_size: int | None
    max_partition_size: int | None
    compression: Compression
    deduplication: Deduplication | None
    system: bool

    def __init__(
        self,
        partitions: int = 1,
        *,
        replication: int = 1,
        ignore_rack: bool = False,
        assignment: Sequence[PartitionAssignment] | None = None,
        mirror: HomeMirror | RemoteMirror | None = None,
        retention: Duration | None = None,
        segment_size: Size | None = None,
        max_partition_size: Size | None = None,
        compression: Compression = "any",
        deduplication: Deduplication | None = None,
        system: bool = False,
    ) -> None:
        number(partitions, "partitions", 1, U32)
        number(replication, "replication", 1, U32)
        choice(compression, "compression", ("any", "none", "gzip", "snappy", "lz4", "zstd"))
        if assignment is not None and mirror is not None:
            raise ConfigError("assignment and mirror are both given: a topic has one of them")
        if mirror is not None:
            instance(mirror, "mirror", HomeMirror, RemoteMirror)
        if deduplication is not None:
            instance(deduplication, "deduplication", Deduplication)
        assign(
            self,
            partitions=partitions,
            replication=replication,
            ignore_rack=flag(ignore_rack, "ignore_rack"),
            assignment=None if assignment is None else several(assignment, "assignment", PartitionAssignment),
            mirror=mirror,
            retention=seconds(retention, "retention"),
            segment_size=size(segment_size, "segment_size", U32),
            max_partition_size=size(max_partition_size, "max_partition_size", U64),
            compression=compression,
            deduplication=deduplication,
            system=flag(system, "system"),
        )


@value()
class TopicStatus:
    """What became of a topic.

    :ivar resolution: ``"init"``, ``"pending"``, ``"insufficient_resources"``, ``"invalid_config"``,
        ``"provisioned"`` or ``"deleting"``.
    :ivar reason: why, in the cluster's words.
    :ivar replica_map: for each partition the SPUs that hold it.
    :ivar mirror_map: for each partition that mirrors one of another cluster, which.
    """

    resolution: TopicResolution
    reason: str = ""
    replica_map: Mapping[int, tuple[int, ...]] = field(default_factory=dict[int, "tuple[int, ...]"], hash=False)
    mirror_map: Mapping[int, HomePartition | RemotePartition] = field(
        default_factory=dict[int, "HomePartition | RemotePartition"], hash=False
    )


@value()
class Topic:
    """A topic of the cluster."""

    name: str
    spec: TopicSpec
    status: TopicStatus
